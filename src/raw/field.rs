//! A field of a large hash with its value and, if it has one, its deadline, in one allocation behind one pointer:
//! `[varint: name length and flag][deadline, 8 bytes, if flagged][name][varint value length][value]`.
//!
//! The flag is the lowest bit of the first varint: a byte of its own would take a field and value of 15 bytes each, to
//! name a common case, from 32 bytes to the next size of 40.

use super::relocate::{self, Relocate, Tally};
use super::table::Item;
use super::varint;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Slot tag, and flag in the head: the field has a deadline.
pub const TAG_TTL: u8 = 1;

/// Bytes of a deadline.
const DEADLINE: usize = 8;

/// An owned field.
pub struct Field(NonNull<u8>);

// SAFETY: a field owns its block and nothing else.
unsafe impl Send for Field {}

// SAFETY: the pointer is the allocation, 8-aligned; the name lies inside and never changes.
unsafe impl Item for Field {
    fn into_raw(self) -> NonNull<u8> {
        let block = self.0;
        std::mem::forget(self);
        block
    }

    unsafe fn from_raw(block: NonNull<u8>) -> Self {
        Field(block)
    }

    fn key(&self) -> &[u8] {
        self.name()
    }

    fn tag(&self) -> u8 {
        self.deadline().map_or(0, |_| TAG_TTL)
    }
}

impl Clone for Field {
    fn clone(&self) -> Self {
        Field::new(self.name(), self.value(), self.deadline())
    }
}

impl Field {
    /// A field with copies of `name` and `value`.
    pub fn new(name: &[u8], value: &[u8], deadline: Option<i64>) -> Self {
        let layout = layout(size(name.len(), value.len(), deadline.is_some()));
        // SAFETY: the block is as large as what is written below, see `size`.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            let at = block.as_ptr();
            let mut offset = varint::write(at, head(name.len(), deadline.is_some()));
            if let Some(deadline) = deadline {
                at.add(offset).cast::<i64>().write_unaligned(deadline);
                offset += DEADLINE;
            }
            std::ptr::copy_nonoverlapping(name.as_ptr(), at.add(offset), name.len());
            offset += name.len();
            offset += varint::write(at.add(offset), value.len());
            std::ptr::copy_nonoverlapping(value.as_ptr(), at.add(offset), value.len());
            Field(block)
        }
    }

    /// The name.
    #[inline]
    pub fn name(&self) -> &[u8] {
        let (at, len) = self.name_at();
        // SAFETY: `new` wrote as many bytes there.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let (at, len) = self.name_at();
        // SAFETY: `new` wrote a length and as many bytes behind the name.
        unsafe {
            let at = self.0.as_ptr().add(at + len);
            let (len, width) = varint::read(at);
            std::slice::from_raw_parts(at.add(width), len)
        }
    }

    /// The deadline in Unix milliseconds.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        // SAFETY: the head is there, and its flag says whether the deadline is.
        unsafe {
            let (head, width) = varint::read(self.0.as_ptr());
            is_flagged(head).then(|| self.0.as_ptr().add(width).cast::<i64>().read_unaligned())
        }
    }

    /// Writes another value of the same length in place; false if the length differs.
    pub fn overwrite(&mut self, value: &[u8]) -> bool {
        let old = self.value();
        if old.len() != value.len() {
            return false;
        }
        let at = old.as_ptr().cast_mut();
        // SAFETY: `old` lies in the block that this exclusive borrow owns; the lengths are equal.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), at, value.len()) };
        true
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.layout().size()
    }

    /// Where the name is, and its length.
    #[inline]
    fn name_at(&self) -> (usize, usize) {
        // SAFETY: a field starts with its head.
        let (head, width) = unsafe { varint::read(self.0.as_ptr()) };
        (width + if is_flagged(head) { DEADLINE } else { 0 }, head >> 1)
    }

    fn layout(&self) -> Layout {
        layout(size(self.name().len(), self.value().len(), self.deadline().is_some()))
    }
}

impl Relocate for Field {
    fn relocate(&mut self, tally: &mut Tally) {
        let size = self.memory_bytes();
        // SAFETY: allocated with this size, and owned by this alone.
        unsafe { relocate::block(&mut self.0, size, tally) };
    }
}

/// What a field starts with.
fn head(name: usize, has_deadline: bool) -> usize {
    name << 1 | usize::from(has_deadline)
}

fn is_flagged(head: usize) -> bool {
    head & usize::from(TAG_TTL) != 0
}

fn size(name: usize, value: usize, has_deadline: bool) -> usize {
    varint::len(head(name, has_deadline)) + if has_deadline { DEADLINE } else { 0 } + name + varint::len(value) + value
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.next_multiple_of(8), 8).expect("bounded by the request limits")
}

impl Drop for Field {
    fn drop(&mut self) {
        let layout = self.layout();
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_hold_what_they_were_given() {
        for (name, value, deadline) in
            [("", "", None), ("f", "v", Some(-1)), ("name", &"x".repeat(300), Some(i64::MAX)), (&"n".repeat(70), "", Some(7))]
        {
            let mut field = Field::new(name.as_bytes(), value.as_bytes(), deadline);
            assert_eq!((field.name(), field.value(), field.deadline()), (name.as_bytes(), value.as_bytes(), deadline));
            assert!(field.overwrite(&vec![b'y'; value.len()]));
            assert!(!field.overwrite(&vec![b'y'; value.len() + 1]));
            assert_eq!(field.value(), vec![b'y'; value.len()]);
        }
    }

    /// Two bytes are all that a field takes beside its name and value, as long as these are short.
    #[test]
    fn short_fields_take_two_bytes_more() {
        assert_eq!(Field::new(&[b'n'; 15], &[b'v'; 15], None).memory_bytes(), 32);
        assert_eq!(Field::new(&[b'n'; 63], &[b'v'; 127], None).memory_bytes(), 192);
        assert_eq!(Field::new(&[b'n'; 15], &[b'v'; 15], Some(1)).memory_bytes(), 40);
    }
}
