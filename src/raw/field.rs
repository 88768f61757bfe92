//! A field of a large hash with its value and, if it has one, its deadline, in one allocation behind one pointer:
//! `[flags][deadline, 8 bytes, if flagged][varint name length][name][varint value length][value]`.

use super::relocate::{self, Relocate, Tally};
use super::table::Item;
use super::varint;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Slot tag and flag: the field has a deadline.
pub const TAG_TTL: u8 = 1;

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
            at.write(deadline.map_or(0, |_| TAG_TTL));
            let mut offset = 1;
            if let Some(deadline) = deadline {
                at.add(1).cast::<i64>().write_unaligned(deadline);
                offset = 9;
            }
            for part in [name, value] {
                offset += varint::write(at.add(offset), part.len());
                std::ptr::copy_nonoverlapping(part.as_ptr(), at.add(offset), part.len());
                offset += part.len();
            }
            Field(block)
        }
    }

    /// The name.
    #[inline]
    pub fn name(&self) -> &[u8] {
        self.part(self.head())
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let name = self.name();
        self.part(self.head() + varint::len(name.len()) + name.len())
    }

    /// The deadline in Unix milliseconds.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        // SAFETY: the flag byte is there, and says whether the deadline is.
        unsafe {
            let flagged = self.0.as_ptr().read() & TAG_TTL != 0;
            flagged.then(|| self.0.as_ptr().add(1).cast::<i64>().read_unaligned())
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

    fn head(&self) -> usize {
        if self.deadline().is_some() { 9 } else { 1 }
    }

    #[inline]
    fn part(&self, offset: usize) -> &[u8] {
        // SAFETY: `new` wrote a length and as many bytes at this offset.
        unsafe {
            let (len, width) = varint::read(self.0.as_ptr().add(offset));
            std::slice::from_raw_parts(self.0.as_ptr().add(offset + width), len)
        }
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

fn size(name: usize, value: usize, has_deadline: bool) -> usize {
    1 + if has_deadline { 8 } else { 0 } + varint::len(name) + name + varint::len(value) + value
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
        for (name, value, deadline) in [("", "", None), ("f", "v", Some(-1)), ("name", &"x".repeat(300), Some(i64::MAX))] {
            let mut field = Field::new(name.as_bytes(), value.as_bytes(), deadline);
            assert_eq!((field.name(), field.value(), field.deadline()), (name.as_bytes(), value.as_bytes(), deadline));
            assert!(field.overwrite(&vec![b'y'; value.len()]));
            assert!(!field.overwrite(&vec![b'y'; value.len() + 1]));
            assert_eq!(field.value(), vec![b'y'; value.len()]);
        }
    }
}
