//! Segments, pages and blocks: how small memory is laid out and found again from a block's address.
//!
//! A segment is 2 MB at a multiple of 2 MB (one huge page) and holds 32 pages of 64 KB. A page holds blocks of one
//! size and belongs to one heap. The headers of all 32 pages stand together at the start of the segment, not each at
//! the start of its page: 64 KB strides would map every header to the same few cache sets and each to a TLB entry of
//! its own, so that freeing random entries would miss on the header as well as on the entry.
//!
//! Who may touch what: the fields in `Cell`s belong to the heap that owns the page (a heap belongs to one thread at a
//! time), those of a free page to whoever holds the pool's lock. Other threads read `owner` and `block_bytes` of a
//! page in which they own a block, and write the two `remote` fields.
use super::class::BLOCK_BYTES;
use super::heap::Heap;
use std::cell::Cell;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

pub const SEGMENT_BYTES: usize = 2 << 20;
pub const PAGE_BYTES: usize = 64 << 10;
pub const PAGES_PER_SEGMENT: usize = SEGMENT_BYTES / PAGE_BYTES;
/// How many lists a heap keeps its partly filled pages of a class in, by how full they are.
pub const BINS: usize = 4;

/// A free block: the link to the next one.
pub struct Block {
    pub next: *mut Block,
}

/// What a page is to its heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Blocks of the class are taken from it, until it has none.
    Current,
    /// (Nearly) all blocks are out; in no list.
    Full,
    /// In the list of the pages that are this full: bin `b` holds more than `b` quarters, at most `b + 1`.
    Bin(u8),
}

/// A page's header.
#[repr(C, align(64))]
pub struct Page {
    owner: AtomicPtr<Heap>,
    /// Blocks that came back, last one first.
    pub free: Cell<*mut Block>,
    /// Blocks handed out at least once; the others lie behind `bump` and were never touched.
    fresh: Cell<u16>,
    pub capacity: Cell<u16>,
    /// Blocks that are out, those freed by other threads and not yet drained included.
    pub live: Cell<i16>,
    /// When `live` falls to this, the page has to change lists: one compare on the way of a free.
    pub alarm: Cell<i16>,
    /// Offset of the next untouched block from the segment's start.
    bump: Cell<u32>,
    block_bytes: Cell<u16>,
    class: Cell<u8>,
    state: Cell<u8>,
    /// Blocks freed by threads that do not own the page, see [`Remote`]. Zero: none.
    remote: AtomicU64,
    /// Link in the owner's stack of pages with remote frees.
    pub remote_next: AtomicPtr<Page>,
    /// Links in a bin.
    pub next: Cell<*const Page>,
    pub prev: Cell<*const Page>,
}

/// Blocks of a page that other threads freed, each of which starts with a link to the one before, in a word: how many (16 bits),
/// and how far from the segment's start the first and the last of them lie (24 bits each). With the first at hand the owner takes
/// in the whole chain without walking it, which would be a miss of the cache per block.
#[derive(Clone, Copy)]
struct Remote(u64);

impl Remote {
    const BITS: u32 = 24;
    const MASK: u64 = (1 << Self::BITS) - 1;

    /// With a block pushed.
    fn push(self, offset: u64) -> Remote {
        let first = if self.0 == 0 { offset } else { self.first() as u64 };
        Remote((self.count() as u64 + 1) << (2 * Self::BITS) | first << Self::BITS | offset)
    }

    fn count(self) -> usize {
        (self.0 >> (2 * Self::BITS)) as usize
    }

    fn first(self) -> usize {
        (self.0 >> Self::BITS & Self::MASK) as usize
    }

    fn last(self) -> usize {
        (self.0 & Self::MASK) as usize
    }
}

/// Segment header; the pool's half is guarded by the pool's lock.
#[repr(C, align(64))]
pub struct Segment {
    pages: [Page; PAGES_PER_SEGMENT],
    /// Bit set of the pages that no heap has.
    pub free: Cell<u32>,
    /// Those of the free pages that have memory behind them.
    pub warm: Cell<u32>,
    /// The segment is a huge page, of which no part was given back yet.
    pub huge: Cell<bool>,
    pub links: [Links; 2],
}

pub struct Links {
    pub next: Cell<*const Segment>,
    pub prev: Cell<*const Segment>,
}

const HEADER_BYTES: usize = size_of::<Segment>();
const STATE_CURRENT: u8 = 0xFE;
const STATE_FULL: u8 = 0xFF;
/// Only the page that stands in for "none" is never written to.
const ALARM_NEVER: i16 = -1;

const _: () = assert!(size_of::<Page>() == 64 && size_of::<Segment>() == 33 * 64);
const _: () = assert!(HEADER_BYTES.is_multiple_of(super::class::ALIGN_MAX) && HEADER_BYTES < crate::sys::mem::PAGE);
const _: () = assert!(SEGMENT_BYTES <= 1 << Remote::BITS);
const _: () = assert!(PAGE_BYTES / 8 < i16::MAX as usize && PAGES_PER_SEGMENT == u32::BITS as usize);

impl Page {
    /// A page with no blocks, that stands in where a heap has none.
    pub const fn none() -> Page {
        Page {
            owner: AtomicPtr::new(null_mut()),
            free: Cell::new(null_mut()),
            fresh: Cell::new(0),
            capacity: Cell::new(0),
            live: Cell::new(0),
            alarm: Cell::new(ALARM_NEVER),
            bump: Cell::new(0),
            block_bytes: Cell::new(0),
            class: Cell::new(0),
            state: Cell::new(STATE_CURRENT),
            remote: AtomicU64::new(0),
            remote_next: AtomicPtr::new(null_mut()),
            next: Cell::new(null()),
            prev: Cell::new(null()),
        }
    }

    /// The page that a block lies in.
    ///
    /// # Safety
    /// `block` was handed out by a page and not yet freed, and the page outlives the reference: it does while the
    /// block is live or the caller owns the page.
    #[inline(always)]
    pub unsafe fn of<'a>(block: NonNull<u8>) -> &'a Page {
        let header = block.as_ptr().map_addr(|address| {
            let segment = address & !(SEGMENT_BYTES - 1);
            // Which 64 KB of the 2 MB, times the size of a header.
            segment | ((address >> 10) & ((PAGES_PER_SEGMENT - 1) * size_of::<Page>()))
        });
        // SAFETY: blocks lie in segments, whose page headers stand at their start in the order of the pages.
        unsafe { &*header.cast::<Page>() }
    }

    /// The segment that the page is part of.
    pub fn segment(&self) -> &Segment {
        let start = (self as *const Page).map_addr(|address| address & !(SEGMENT_BYTES - 1));
        // SAFETY: every page that is not `none()` lives in a segment header; callers never ask `none()`.
        unsafe { &*start.cast::<Segment>() }
    }

    /// Which page of its segment this is.
    pub fn index(&self) -> usize {
        ((self as *const Page).addr() & (SEGMENT_BYTES - 1)) / size_of::<Page>()
    }

    /// Makes a free page ready to serve blocks of `class`, as its owner's current page.
    pub fn prepare(&self, class: usize, owner: *const Heap) {
        let bytes = BLOCK_BYTES[class];
        let room = (self.index() + 1) * PAGE_BYTES - self.start();
        self.owner.store(owner.cast_mut(), Ordering::Relaxed);
        self.capacity.set((room / bytes as usize) as u16);
        self.forget_blocks();
        self.block_bytes.set(bytes);
        self.class.set(class as u8);
        self.set_state(State::Current);
    }

    /// Offset of the first block from the segment's start.
    fn start(&self) -> usize {
        let index = self.index();
        if index == 0 { HEADER_BYTES } else { index * PAGE_BYTES }
    }

    /// Makes all blocks untouched ones. None is out.
    fn forget_blocks(&self) {
        self.free.set(null_mut());
        self.fresh.set(0);
        self.live.set(0);
        self.bump.set(self.start() as u32);
    }

    /// The block at an offset from the segment's start.
    #[inline(always)]
    fn block_at(&self, offset: usize) -> *mut Block {
        let segment = (self as *const Page).map_addr(|address| address & !(SEGMENT_BYTES - 1));
        segment.cast_mut().wrapping_byte_add(offset).cast()
    }

    #[inline(always)]
    pub fn is_owned_by(&self, heap: *const Heap) -> bool {
        std::ptr::eq(self.owner.load(Ordering::Relaxed), heap)
    }

    #[inline(always)]
    pub fn block_bytes(&self) -> usize {
        self.block_bytes.get() as usize
    }

    pub fn class(&self) -> usize {
        self.class.get() as usize
    }

    pub fn state(&self) -> State {
        match self.state.get() {
            STATE_CURRENT => State::Current,
            STATE_FULL => State::Full,
            bin => State::Bin(bin),
        }
    }

    /// Sets the state and the alarm that goes with it.
    pub fn set_state(&self, state: State) {
        let capacity = self.capacity.get();
        let (code, alarm) = match state {
            State::Current => (STATE_CURRENT, ALARM_NEVER),
            // Coming back with a single block would make the next allocation change pages again: wait for a few.
            State::Full => (STATE_FULL, (capacity - (capacity / 64).max(1)) as i16),
            State::Bin(bin) => (bin, (capacity as usize * bin as usize / BINS) as i16),
        };
        self.state.set(code);
        self.alarm.set(alarm);
    }

    /// The bin that fits how full the page is; it has live blocks.
    pub fn fitting_bin(&self) -> u8 {
        ((self.live.get() as usize - 1) * BINS / self.capacity.get() as usize) as u8
    }

    pub fn has_room(&self) -> bool {
        !self.free.get().is_null() || self.fresh.get() < self.capacity.get()
    }

    /// Takes a block, or null when there is none. Owner only.
    #[inline(always)]
    pub fn take(&self) -> *mut Block {
        let block = self.free.get();
        if !block.is_null() {
            // SAFETY: blocks on the list are free and start with their link; the owner alone uses the list.
            let next = unsafe { (*block).next };
            self.free.set(next);
            // Its link is read by the next allocation, and its bytes are written after that one.
            prefetch(next);
            self.live.set(self.live.get() + 1);
            return block;
        }
        if self.fresh.get() < self.capacity.get() {
            self.fresh.set(self.fresh.get() + 1);
            self.live.set(self.live.get() + 1);
            let offset = self.bump.get();
            self.bump.set(offset + self.block_bytes.get() as u32);
            return self.block_at(offset as usize);
        }
        null_mut()
    }

    /// Takes a block back and tells whether the page has to change lists. Owner only.
    ///
    /// # Safety
    /// The block is one of this page's, live until now.
    #[inline(always)]
    pub unsafe fn give_back(&self, block: NonNull<Block>) -> bool {
        // SAFETY: the block is free from here on, at least 8 bytes and 8-aligned.
        unsafe { (*block.as_ptr()).next = self.free.get() };
        self.free.set(block.as_ptr());
        let live = self.live.get() - 1;
        self.live.set(live);
        live <= self.alarm.get()
    }

    /// Takes a block back from a thread that does not own the page. Once this returns the page may vanish.
    ///
    /// # Safety
    /// The block is one of this page's, live until now.
    pub unsafe fn give_back_remotely(&self, block: NonNull<Block>) {
        // The owner cannot change, nor the page vanish, before our block is drained; the first to push on an empty
        // list is the one who tells the owner, and the owner drains a page only when told. So this thread may go on
        // using the page up to the push on the owner's stack.
        let owner = self.owner.load(Ordering::Relaxed);
        let offset = (block.as_ptr().addr() & (SEGMENT_BYTES - 1)) as u64;
        let mut remote = self.remote.load(Ordering::Relaxed);
        loop {
            let before = if remote == 0 { null_mut() } else { self.block_at(Remote(remote).last()) };
            // SAFETY: the block is ours until the exchange succeeds.
            unsafe { (*block.as_ptr()).next = before };
            let with_ours = Remote(remote).push(offset).0;
            match self.remote.compare_exchange_weak(remote, with_ours, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => remote = now,
            }
        }
        if remote == 0 {
            // SAFETY: heaps are never unmapped.
            unsafe { (*owner).push_remote(self) };
        }
    }

    /// Takes in the blocks that other threads freed and returns how many. Owner only.
    pub fn drain_remote(&self) -> usize {
        let remote = self.remote.swap(0, Ordering::Acquire);
        if remote == 0 {
            return 0;
        }
        let remote = Remote(remote);
        let count = remote.count();
        if count == self.live.get() as usize {
            // All that were out came back, as at the end of a large collection.
            self.forget_blocks();
            return count;
        }
        // SAFETY: the whole chain is ours since the swap; its blocks are free and start with their links.
        unsafe { (*self.block_at(remote.first())).next = self.free.get() };
        self.free.set(self.block_at(remote.last()));
        self.live.set(self.live.get() - count as i16);
        count
    }
}

/// Fetches a cache line early. Any address will do.
#[inline(always)]
fn prefetch(block: *const Block) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction is part of the baseline and does not fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(block.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = block;
}

impl Segment {
    /// Makes zeroed memory at a multiple of [`SEGMENT_BYTES`] a segment, whose pages are yet to be called free.
    ///
    /// # Safety
    /// The memory is [`SEGMENT_BYTES`] long, mapped, zeroed and used by nobody.
    pub unsafe fn create<'a>(at: NonNull<u8>, huge: bool) -> &'a Segment {
        debug_assert!(at.as_ptr().addr().is_multiple_of(SEGMENT_BYTES));
        // SAFETY: zeroes are a valid header: null pointers, zero counts, false flags. Pages are prepared when taken.
        let segment = unsafe { at.cast::<Segment>().as_ref() };
        segment.huge.set(huge);
        segment
    }

    pub fn page(&self, index: usize) -> &Page {
        &self.pages[index]
    }

    pub fn start(&self) -> NonNull<u8> {
        NonNull::from(self).cast()
    }
}
