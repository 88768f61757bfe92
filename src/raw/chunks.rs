//! A stack of zeroed 64 KB chunks for the hash table's buckets.
//!
//! Linear hashing adds and removes buckets at one end only, so chunks come and go last-in first-out
//! and are carved, in address order, out of larger mapped regions. Asking the general allocator for
//! 64 KB with cache-line alignment costs a quarter more, since the next size class has to hold the
//! alignment slack. Regions grow with the stack, from one chunk to 2 MB, so a table of ten thousand
//! members does not pin megabytes and a table of a billion does not exhaust the kernel's count of
//! mappings. Only a big table is backed by huge pages: zeroing 2 MB at a time would be felt by a
//! small one.
//!
//! Zeroing a huge page takes from 0.1 ms to, on some virtual machines, 5 ms. An insert must not
//! wait for that, so when a big region is half used the next one is mapped and a short-lived thread
//! touches its first byte.

use super::alloc;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

/// Bytes in a chunk.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Chunks in the largest region: 2 MB, one huge page.
const MAX_REGION: usize = HUGE_PAGE / CHUNK_BYTES;
const HUGE_PAGE: usize = 2 << 20;
/// Regions are advised to use huge pages once the stack holds this many chunks. Tests do so at 32 MB; servers never, as it
/// stands: faulting one in takes 5 ms on some virtual machines, and even on a thread of its own that is felt by an engine
/// that shares its core.
const HUGE_FROM: usize = if cfg!(test) { (32 << 20) / CHUNK_BYTES } else { usize::MAX - MAX_REGION };
const CHUNK_LAYOUT: Layout = match Layout::from_size_align(CHUNK_BYTES, 64) {
    Ok(layout) => layout,
    Err(_) => panic!("a chunk has a valid layout"),
};

/// A stack of chunks. Chunks never move while they are in the stack.
pub struct Chunks {
    directory: Vec<NonNull<u8>>,
    regions: Vec<Region>,
    /// The region to use next, if it is being made ready ahead of time.
    spare: Option<Box<Spare>>,
}

/// A region whose huge page is being faulted in by a thread.
struct Spare {
    region: Option<Region>,
    toucher: Option<JoinHandle<()>>,
}

/// Where consecutive chunks of the stack come from.
struct Region {
    base: NonNull<u8>,
    chunks: u32,
    used: u32,
    mapped: bool,
}

impl Chunks {
    /// An empty stack; allocates nothing.
    pub const fn new() -> Self {
        Self { directory: Vec::new(), regions: Vec::new(), spare: None }
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
            + self.spare.as_ref().map_or(0, |_| HUGE_PAGE)
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
        let half = region.chunks as usize == MAX_REGION && region.used as usize == MAX_REGION / 2;
        if half && self.directory.len() + MAX_REGION > HUGE_FROM && self.spare.is_none() {
            self.spare = Spare::start();
        }
    }

    /// Adds a chunk as [`Chunks::push`] does, but makes nothing ready for the chunks to come: for
    /// many in a row that are not used yet.
    pub fn push_cold(&mut self) {
        if self.regions.last().is_none_or(|r| r.used == r.chunks) {
            let region = self.spare.take().and_then(|mut spare| spare.finish());
            let region = region.unwrap_or_else(|| {
                let wanted = self.directory.len().clamp(1, MAX_REGION).next_power_of_two();
                Region::new(wanted, self.directory.len() >= HUGE_FROM)
            });
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
        // Shrinking needs no spare.
        self.spare = None;
        if region.used == 0 {
            self.regions.pop();
        } else {
            region.discard(chunk);
        }
        if self.directory.capacity() > 64 && self.directory.len() < self.directory.capacity() / 4 {
            self.directory.shrink_to(self.directory.capacity() / 2);
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

impl Spare {
    /// Maps a region of one huge page and has it touched. None if there is no mapping to be had.
    fn start() -> Option<Box<Self>> {
        let region = Region::new(MAX_REGION, true);
        if !region.mapped {
            return None;
        }
        let first_byte = region.base.as_ptr().expose_provenance();
        let touch = move || {
            let first_byte = std::ptr::with_exposed_provenance_mut::<u8>(first_byte);
            // SAFETY: the region stays mapped until this thread has been joined, and nobody else
            // uses it before.
            unsafe { AtomicU8::from_ptr(first_byte) }.store(0, Ordering::Relaxed);
        };
        // Without a thread the first insert into the region waits, as it would have anyway.
        let toucher = std::thread::Builder::new().name("prefault".into()).spawn(touch).ok();
        Some(Box::new(Self { region: Some(region), toucher }))
    }

    /// The region, once it has been touched.
    fn finish(&mut self) -> Option<Region> {
        if let Some(toucher) = self.toucher.take() {
            // The thread cannot panic, and if it did nothing would be amiss with the region.
            let _ = toucher.join();
        }
        self.region.take()
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        drop(self.finish());
    }
}

impl Region {
    fn new(chunks: usize, huge: bool) -> Self {
        if let Some(base) = map(chunks * CHUNK_BYTES, huge) {
            return Self { base, chunks: chunks as u32, used: 0, mapped: true };
        }
        // No mapping to be had (their number is limited too): the allocator may still have 64 KB.
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(CHUNK_LAYOUT) };
        match NonNull::new(base) {
            Some(base) => Self { base, chunks: 1, used: 0, mapped: false },
            None => handle_alloc_error(CHUNK_LAYOUT),
        }
    }

    /// Returns the pages of a chunk that left the stack, which reads as zeroes when it comes back.
    fn discard(&mut self, chunk: NonNull<u8>) {
        debug_assert!(self.mapped, "an allocated region holds one chunk and goes as a whole");
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
            unmap(self.base.as_ptr(), self.chunks as usize * CHUNK_BYTES);
        } else {
            // SAFETY: allocated in `new` with this layout.
            unsafe { dealloc(self.base.as_ptr(), CHUNK_LAYOUT) };
        }
    }
}

/// Maps `bytes` of zeroes, aligned to a huge page when there is one in it.
#[cfg(unix)]
fn map(bytes: usize, huge: bool) -> Option<NonNull<u8>> {
    let slack = if bytes >= HUGE_PAGE { HUGE_PAGE } else { 0 };
    // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice touches
    // nothing that exists.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes + slack,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    let start: *mut u8 = start.cast();
    let lead = if slack == 0 { 0 } else { start.align_offset(HUGE_PAGE) };
    // SAFETY: lead <= slack, so this stays within the mapping.
    let base = unsafe { start.add(lead) };
    if lead > 0 {
        unmap(start, lead);
    }
    if slack > lead {
        // SAFETY: base + bytes is inside the mapping, slack - lead before its end.
        unmap(unsafe { base.add(bytes) }, slack - lead);
    }
    #[cfg(target_os = "linux")]
    if huge && slack > 0 {
        // Only advice: without huge pages the table is slower, not wrong.
        // SAFETY: the range is the mapping made above.
        unsafe { libc::madvise(base.cast(), bytes, libc::MADV_HUGEPAGE) };
    }
    let _ = huge;
    NonNull::new(base)
}

#[cfg(not(unix))]
fn map(_: usize, _: bool) -> Option<NonNull<u8>> {
    None
}

fn unmap(start: *mut u8, bytes: usize) {
    #[cfg(unix)]
    {
        // SAFETY: called only for ranges of mappings made by `map`, which nothing refers to any
        // more.
        let rc = unsafe { libc::munmap(start.cast(), bytes) };
        debug_assert_eq!(rc, 0, "unmapping own memory");
    }
    #[cfg(not(unix))]
    let _ = (start, bytes);
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

    /// Regions made ready ahead are used, and go with the stack.
    #[test]
    fn spare_regions_come_and_go() {
        let mut stack = Chunks::new();
        let mut spares = 0;
        for _ in 0..3 {
            while stack.len() < HUGE_FROM + 5 * MAX_REGION {
                let before = stack.spare.is_some();
                stack.push();
                spares += usize::from(!before && stack.spare.is_some());
                // SAFETY: the chunk was just pushed.
                unsafe { *stack.get(stack.len() - 1).as_ptr() = 1 };
            }
            while stack.len() > HUGE_FROM {
                stack.pop();
            }
        }
        assert!(spares >= 6, "{spares}");
        while stack.spare.is_none() {
            stack.push();
        }
        assert!(stack.memory_bytes() > (stack.len() + MAX_REGION) * CHUNK_BYTES);
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
