//! A member of a large set: its bytes in one allocation behind one pointer, `[varint length][bytes]`.

use super::relocate::{self, Relocate, Tally};
use super::table::Item;
use super::varint;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// An owned member.
pub struct Text(NonNull<u8>);

// SAFETY: a member owns its block and nothing else.
unsafe impl Send for Text {}

// SAFETY: the pointer is the allocation, 8-aligned; the bytes lie inside and never change.
unsafe impl Item for Text {
    fn into_raw(self) -> NonNull<u8> {
        let block = self.0;
        std::mem::forget(self);
        block
    }

    unsafe fn from_raw(block: NonNull<u8>) -> Self {
        Text(block)
    }

    fn key(&self) -> &[u8] {
        self.bytes()
    }
}

impl Clone for Text {
    fn clone(&self) -> Self {
        Text::new(self.bytes())
    }
}

impl Text {
    /// A member with a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let layout = layout(varint::len(bytes.len()) + bytes.len());
        // SAFETY: the size is at least one; the block takes the length and the bytes.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            let width = varint::write(block.as_ptr(), bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.as_ptr().add(width), bytes.len());
            Text(block)
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `new` wrote the length and as many bytes.
        unsafe {
            let (len, width) = varint::read(self.0.as_ptr());
            std::slice::from_raw_parts(self.0.as_ptr().add(width), len)
        }
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        let len = self.bytes().len();
        layout(varint::len(len) + len).size()
    }
}

impl Relocate for Text {
    fn relocate(&mut self, tally: &mut Tally) {
        let size = self.memory_bytes();
        // SAFETY: allocated with this size, and owned by this alone.
        unsafe { relocate::block(&mut self.0, size, tally) };
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.next_multiple_of(8), 8).expect("bounded by the request limits")
}

impl Drop for Text {
    fn drop(&mut self) {
        let len = self.bytes().len();
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.as_ptr(), layout(varint::len(len) + len)) };
    }
}
