//! A stack of zeroed 64 KB chunks for the hash table's buckets.
//!
//! Linear hashing adds and removes buckets at one end only, so chunks come and go last-in first-out
//! and are carved, in address order, out of larger mapped regions. Asking the general allocator for
//! 64 KB with cache-line alignment costs a quarter more, since the next size class has to hold the
//! alignment slack. Regions grow with the stack, from one chunk to 2 MB, so a table of ten thousand
//! members does not pin megabytes and a table of a billion does not exhaust the kernel's count of
//! mappings. A big table takes huge pages for its regions as long as they are made ready in time, see
//! `huge.rs`.

use super::alloc::{self, giver};
use super::huge;
use crate::sys::mem;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes in a chunk.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Chunks in the largest region: 2 MB, one huge page.
const MAX_REGION: usize = huge::BYTES / CHUNK_BYTES;
/// Regions are huge pages from here on: 4 MB, half a million keys.
const HUGE_FROM: usize = (4 << 20) / CHUNK_BYTES;
const CHUNK_LAYOUT: Layout = match Layout::from_size_align(CHUNK_BYTES, 64) {
    Ok(layout) => layout,
    Err(_) => panic!("a chunk has a valid layout"),
};

/// A stack of chunks. Chunks never move while they are in the stack.
pub struct Chunks {
    directory: Vec<NonNull<u8>>,
    regions: Vec<Region>,
}

/// Where consecutive chunks of the stack come from.
struct Region {
    base: NonNull<u8>,
    chunks: u32,
    used: u32,
    mapped: bool,
    is_huge: bool,
}

impl Chunks {
    /// An empty stack; allocates nothing.
    pub const fn new() -> Self {
        Self { directory: Vec::new(), regions: Vec::new() }
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.directory.len()
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.directory.is_empty()
    }

    /// Bytes of the chunks handed out, the directory included.
    pub fn memory_bytes(&self) -> usize {
        self.directory.len() * CHUNK_BYTES
            + self.directory.capacity() * size_of::<NonNull<u8>>()
            + self.regions.capacity() * size_of::<Region>()
    }

    /// The start of chunk `index`.
    ///
    /// # Safety
    /// `index` must be below [`Chunks::len`].
    #[inline(always)]
    pub unsafe fn get(&self, index: usize) -> NonNull<u8> {
        debug_assert!(index < self.directory.len());
        // SAFETY: the caller keeps to the bound.
        unsafe { *self.directory.get_unchecked(index) }
    }

    /// Adds a zeroed chunk, aligned to a cache line at least. Aborts the process when memory has
    /// run out.
    pub fn push(&mut self) {
        self.push_cold();
        let region = self.regions.last().expect("the chunk lies in a region");
        if region.used as usize >= MAX_REGION / 2 && self.directory.len() + MAX_REGION > HUGE_FROM {
            huge::order();
        }
    }

    /// Adds a chunk as [`Chunks::push`] does, but makes nothing ready for the chunks to come: for
    /// many in a row that are not used yet.
    pub fn push_cold(&mut self) {
        if self.regions.last().is_none_or(|r| r.used == r.chunks) {
            let ready = if self.directory.len() >= HUGE_FROM { huge::take() } else { None };
            let region = ready
                .map(Region::of_huge_page)
                .unwrap_or_else(|| Region::new(self.directory.len().clamp(1, MAX_REGION).next_power_of_two()));
            self.regions.push(region);
        }
        let region = self.regions.last_mut().expect("a region was just made sure of");
        // SAFETY: used < chunks, so the chunk lies inside the region.
        let chunk = unsafe { region.base.add(region.used as usize * CHUNK_BYTES) };
        region.used += 1;
        if region.mapped {
            alloc::count_mapped(CHUNK_BYTES as isize);
        }
        self.directory.push(chunk);
    }

    /// Removes the last chunk and gives its memory back. Does nothing when there is none.
    pub fn pop(&mut self) {
        let Some(chunk) = self.directory.pop() else {
            return;
        };
        let region = self.regions.last_mut().expect("every chunk lies in a region");
        region.used -= 1;
        if region.mapped {
            alloc::count_mapped(-(CHUNK_BYTES as isize));
        }
        if region.used == 0 {
            self.regions.pop();
        } else {
            region.discard(chunk);
        }
        if self.directory.capacity() > 64 && self.directory.len() < self.directory.capacity() / 4 {
            self.directory.shrink_to(self.directory.capacity() / 2);
        }
    }

    /// Growth has paused: gives back what the last region holds beyond what is used of it.
    pub fn settle(&mut self) {
        if let Some(region) = self.regions.last_mut()
            && region.is_huge
            && region.used < region.chunks
        {
            region.split();
            let (used, rest) = (region.used as usize, (region.chunks - region.used) as usize);
            // SAFETY: chunks beyond those used hold nothing but zeroes, and read as zeroes afterwards.
            unsafe { mem::discard(region.base.add(used * CHUNK_BYTES), rest * CHUNK_BYTES) };
        }
    }

    /// Makes room in the directory for `chunks` in total, so that the pushes up to there do not
    /// copy it.
    pub fn reserve(&mut self, chunks: usize) {
        self.directory.reserve_exact(chunks.saturating_sub(self.directory.len()));
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self::new()
    }
}

impl Region {
    fn of_huge_page(base: NonNull<u8>) -> Self {
        Self { base, chunks: MAX_REGION as u32, used: 0, mapped: true, is_huge: true }
    }

    fn new(chunks: usize) -> Self {
        if let Some(base) = mem::map(chunks * CHUNK_BYTES) {
            return Self { base, chunks: chunks as u32, used: 0, mapped: true, is_huge: false };
        }
        // No mapping to be had (their number is limited too): the allocator may still have 64 KB.
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(CHUNK_LAYOUT) };
        match NonNull::new(base) {
            Some(base) => Self { base, chunks: 1, used: 0, mapped: false, is_huge: false },
            None => handle_alloc_error(CHUNK_LAYOUT),
        }
    }

    /// Is no huge page any more: else the kernel would, sooner or later, back what is given back of it with one again.
    fn split(&mut self) {
        if std::mem::take(&mut self.is_huge) {
            // SAFETY: the range is the region.
            unsafe { mem::advise_huge(self.base, huge::BYTES, false) };
        }
    }

    /// Returns the pages of a chunk that left the stack, which reads as zeroes when it comes back.
    fn discard(&mut self, chunk: NonNull<u8>) {
        debug_assert!(self.mapped, "an allocated region holds one chunk and goes as a whole");
        self.split();
        #[cfg(target_os = "linux")]
        {
            // SAFETY: the chunk is a page-aligned part of a private anonymous mapping that nothing
            // refers to any more.
            let rc = unsafe { libc::madvise(chunk.as_ptr().cast(), CHUNK_BYTES, libc::MADV_DONTNEED) };
            if rc == 0 {
                return;
            }
        }
        // Elsewhere the advice does not promise zeroes, and locked memory refuses it.
        // SAFETY: the chunk is writable, CHUNK_BYTES long, and nothing refers to it.
        unsafe { chunk.as_ptr().write_bytes(0, CHUNK_BYTES) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.mapped {
            alloc::count_mapped(-(self.used as isize * CHUNK_BYTES as isize));
            // SAFETY: the region was mapped with this size, and nothing refers to its chunks any more.
            unsafe { giver::unmap(self.base, self.chunks as usize * CHUNK_BYTES) };
        } else {
            // SAFETY: allocated in `new` with this layout.
            unsafe { dealloc(self.base.as_ptr(), CHUNK_LAYOUT) };
        }
    }
}

// SAFETY: the stack owns its memory, and no part of it is tied to a thread.
unsafe impl Send for Chunks {}
// SAFETY: shared access only reads the directory.
unsafe impl Sync for Chunks {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks are zeroed when they are new and when they come back, and never overlap.
    #[test]
    fn chunks_are_zeroed_and_apart() {
        let mut stack = Chunks::new();
        for round in 0..3 {
            let target = 150;
            while stack.len() < target {
                let i = stack.len();
                stack.push();
                // SAFETY: chunk i was just pushed; the slice is its whole length.
                let bytes = unsafe { std::slice::from_raw_parts_mut(stack.get(i).as_ptr(), CHUNK_BYTES) };
                assert_eq!(bytes.as_ptr() as usize % 64, 0);
                assert!(bytes.iter().all(|&b| b == 0), "round {round}, chunk {i}");
                bytes.fill(i as u8 | 1);
            }
            for i in 0..target {
                // SAFETY: i is below the length.
                let first_and_last = unsafe { (*stack.get(i).as_ptr(), *stack.get(i).as_ptr().add(CHUNK_BYTES - 1)) };
                assert_eq!(first_and_last, (i as u8 | 1, i as u8 | 1));
            }
            while stack.len() > [100, 3, 0][round] {
                stack.pop();
            }
        }
        stack.pop();
        assert!(stack.is_empty());
    }

    /// Regions that are huge pages are used like others, and go with the stack.
    #[test]
    fn huge_regions_come_and_go() {
        huge::allow();
        let mut stack = Chunks::new();
        let mut huge_regions = 0;
        for _ in 0..100 {
            while stack.len() < HUGE_FROM + 5 * MAX_REGION {
                stack.push();
                // SAFETY: the chunk was just pushed.
                unsafe { assert_eq!(stack.get(stack.len() - 1).as_ptr().replace(1), 0) };
            }
            huge_regions += stack.regions.iter().filter(|region| region.is_huge).count();
            stack.push();
            stack.settle();
            stack.push();
            // SAFETY: the chunk was just pushed.
            assert_eq!(unsafe { *stack.get(stack.len() - 1).as_ptr() }, 0);
            while stack.len() > HUGE_FROM + MAX_REGION / 2 {
                stack.pop();
            }
            assert!(!stack.regions.last().unwrap().is_huge, "no longer whole");
            if huge_regions > 5 {
                break;
            }
        }
        assert!(huge_regions > 0);
    }

    /// What a table counts for its memory is what it asked for, directory and all.
    #[test]
    fn memory_is_counted() {
        let mut stack = Chunks::new();
        assert_eq!(stack.memory_bytes(), 0);
        (0..40).for_each(|_| stack.push());
        let bytes = stack.memory_bytes();
        assert!((40 * CHUNK_BYTES..40 * CHUNK_BYTES + 2048).contains(&bytes), "{bytes}");
    }
}
