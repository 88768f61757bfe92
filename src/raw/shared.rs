//! `SharedBytes`: a reference-counted, growable byte buffer behind one pointer.
//!
//! Strings too long to live inside their entry are kept in one of these. A reply that is being sent, or a snapshot that is
//! being written, holds a second reference, and a writer that finds the buffer shared copies it first. Unlike `Arc<Vec<u8>>`
//! the handle is one word and the bytes follow the header, so a read touches one allocation.

use super::relocate::{self, Relocate, Tally};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// Growing doubles the buffer below this size and adds this much above it, as the field's string libraries do.
const GROWTH_STEP_MAX: usize = 1 << 20;

#[repr(C)]
struct Header {
    references: AtomicUsize,
    len: usize,
    capacity: usize,
}

const HEADER: usize = size_of::<Header>();

/// An owned reference to a shared byte buffer. `clone` is cheap and shares; mutation copies when shared.
pub struct SharedBytes {
    header: NonNull<Header>,
}

// SAFETY: the bytes are only written through `&mut SharedBytes` while the reference count is one; the count is atomic.
unsafe impl Send for SharedBytes {}
// SAFETY: as above; `&SharedBytes` only reads.
unsafe impl Sync for SharedBytes {}

impl Relocate for SharedBytes {
    fn relocate(&mut self, tally: &mut Tally) {
        // Others would not learn of the new place.
        if !self.is_shared() {
            let mut block = self.header.cast();
            // SAFETY: the block has the layout of its capacity, and this is the only reference to it.
            unsafe { relocate::block(&mut block, Self::layout(self.capacity()).size(), tally) };
            self.header = block.cast();
        }
    }
}

impl SharedBytes {
    /// A buffer holding a copy of `bytes`, without slack.
    pub fn new(bytes: &[u8]) -> Self {
        let mut made = Self::with_capacity(bytes.len());
        made.extend(bytes);
        made
    }

    /// An empty buffer with room for `capacity` bytes. Callers bound `capacity` (Redis: 512 MB by default).
    pub fn with_capacity(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout is never of size zero, as the header is not.
        let block = unsafe { alloc(layout) };
        let Some(header) = NonNull::new(block.cast::<Header>()) else { handle_alloc_error(layout) };
        // SAFETY: the block is as large and as aligned as a header.
        unsafe { header.write(Header { references: AtomicUsize::new(1), len: 0, capacity }) };
        SharedBytes { header }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes after the header are initialised and live as long as this reference.
        unsafe { std::slice::from_raw_parts(self.data(), self.header().len) }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.header().len
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that fit before the buffer must move.
    pub fn capacity(&self) -> usize {
        self.header().capacity
    }

    /// Bytes of memory that the buffer takes, header and slack included.
    pub fn memory_bytes(&self) -> usize {
        HEADER + self.capacity()
    }

    /// True if another reference exists.
    pub fn is_shared(&self) -> bool {
        self.header().references.load(Ordering::Acquire) != 1
    }

    /// The bytes for writing; a shared buffer is copied first.
    pub fn make_mut(&mut self) -> &mut [u8] {
        self.own(self.len());
        // SAFETY: `own` made this the only reference; `len` bytes are initialised.
        unsafe { std::slice::from_raw_parts_mut(self.data(), self.header().len) }
    }

    /// Appends `bytes`, growing with slack.
    pub fn extend(&mut self, bytes: &[u8]) {
        let old = self.len();
        self.reserve_total(old + bytes.len());
        // SAFETY: there is room for `old + bytes.len()` bytes, this is the only reference, and a shared borrow of other
        // memory cannot overlap it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data().add(old), bytes.len());
            self.header.as_mut().len = old + bytes.len();
        }
    }

    /// Makes the length `len`, filling with zero bytes when it grows.
    pub fn resize(&mut self, len: usize) {
        let old = self.len();
        self.reserve_total(len);
        // SAFETY: there is room for `len` bytes and this is the only reference.
        unsafe {
            if len > old {
                std::ptr::write_bytes(self.data().add(old), 0, len - old);
            }
            self.header.as_mut().len = len;
        }
    }

    /// Replaces the content. The buffer is kept if it is not shared, is large enough and is not more than half empty.
    pub fn assign(&mut self, bytes: &[u8]) {
        if self.is_shared() || self.capacity() < bytes.len() || self.capacity() / 2 > bytes.len() {
            *self = SharedBytes::new(bytes);
            return;
        }
        // SAFETY: the only reference, with room for the bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data(), bytes.len());
            self.header.as_mut().len = bytes.len();
        }
    }

    pub(super) fn into_raw(self) -> NonNull<u8> {
        let raw = self.header.cast();
        std::mem::forget(self);
        raw
    }

    fn reserve_total(&mut self, total: usize) {
        self.own(total);
        if total <= self.capacity() {
            return;
        }
        let capacity = if total < GROWTH_STEP_MAX { total * 2 } else { total + GROWTH_STEP_MAX };
        let (old, new) = (Self::layout(self.capacity()), Self::layout(capacity));
        // SAFETY: the block was allocated with `old`, and the new size is not zero.
        let block = unsafe { realloc(self.header.as_ptr().cast(), old, new.size()) };
        let Some(header) = NonNull::new(block.cast::<Header>()) else { handle_alloc_error(new) };
        self.header = header;
        // SAFETY: this is the only reference.
        unsafe { self.header.as_mut().capacity = capacity };
    }

    /// Makes this the only reference, copying into a buffer of at least `capacity` when it is not.
    fn own(&mut self, capacity: usize) {
        if self.is_shared() {
            let mut copy = SharedBytes::with_capacity(capacity.max(self.len()));
            copy.extend(self.as_slice());
            *self = copy;
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: the header lives as long as any reference.
        unsafe { self.header.as_ref() }
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: the data begin right after the header, inside the same block.
        unsafe { self.header.as_ptr().cast::<u8>().add(HEADER) }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(HEADER + capacity, align_of::<Header>()).expect("a bounded capacity")
    }
}

impl Clone for SharedBytes {
    fn clone(&self) -> Self {
        self.header().references.fetch_add(1, Ordering::Relaxed);
        SharedBytes { header: self.header }
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        if self.header().references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let layout = Self::layout(self.capacity());
            // SAFETY: the last reference frees the block with the layout that it was allocated with.
            unsafe { dealloc(self.header.as_ptr().cast(), layout) };
        }
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_copy_what_readers_hold() {
        let mut mine = SharedBytes::new(b"hello");
        let theirs = mine.clone();
        mine.make_mut()[0] = b'j';
        mine.extend(b" world");
        assert_eq!(theirs.as_slice(), b"hello");
        assert_eq!(mine.as_slice(), b"jello world");
        mine.resize(3);
        mine.resize(5);
        assert_eq!(mine.as_slice(), b"jel\0\0");
        drop(theirs);
        assert!(!mine.is_shared());
        mine.assign(b"x");
        assert_eq!(mine.as_slice(), b"x");
    }

    #[test]
    fn a_reference_survives_on_another_thread() {
        let mine = SharedBytes::new(&[7; 100_000]);
        let theirs = mine.clone();
        let sum = std::thread::spawn(move || theirs.as_slice().iter().map(|b| *b as u64).sum::<u64>());
        drop(mine);
        assert_eq!(sum.join().unwrap(), 700_000);
    }
}
