//! The process's memory: blocks of up to 1 KB from pages of one size each, the rest from mimalloc; all of it counted.
//!
//! Keyspace entries and collection members are 16 to 256 bytes. General allocators round those to 16-byte classes
//! (mimalloc) or put a header before each (glibc), 4 to 16 bytes per key; here a class is every 8 bytes and a block
//! has no header. The layout is in `page.rs` (2 MB segments, 32 pages each, headers apart from the blocks), a
//! thread's pages are in `heap.rs`, what threads share is in `pool.rs`.
//!
//! - A page belongs to one thread's heap. That thread takes and frees its blocks without atomics; another thread
//!   that frees one pushes it on the page's remote list, and the first such push tells the heap. The owner takes
//!   these in when its current page runs out, or in slices by [`collect`].
//! - A thread that ends leaves its heap to the next one that starts; the blocks in it stay valid.
//! - Every heap counts its own bytes; [`used`] adds them up. A block counts with what it occupies, a large allocation
//!   with what was asked for.
//! - Memory is touched in address order and given back when many pages are free. Once the heap is large its segments are
//!   huge pages, see `huge.rs`; not before, because a small server should look small.
//!
//! Measured (test `figures`, optimised without LTO, on a virtual machine): 10 million live blocks of 56 bytes take 56.2
//! resident bytes each. To allocate and free a block that is in the cache takes 4 to 5 ns for both. To allocate and
//! write one in fresh memory took 7.5 ns in some runs and 80 to 110 in others, presumably those in which the host had
//! to find the memory first. Of cold blocks in random order, freeing one takes 10 to 14 ns and allocating it again
//! 120 in a tight loop, as each holds the link to the next; the prefetch of the next one is there to hide that when
//! other work lies between (not measured).
//!
//! Unlike the rest of `raw/` this module uses `sys/` (for memory) and has global state: an allocator is one per process.
//! With the feature `system-alloc`, and under Miri, blocks come from the system's allocator instead, so that
//! AddressSanitizer sees each of them; they are counted alike.
mod class;
pub mod giver;
mod heap;
mod page;
mod pool;
#[cfg(test)]
mod tests;

use heap::Heap;
use mimalloc::MiMalloc;
use page::{Block, Page};
use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{NonNull, copy_nonoverlapping, null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The allocator as a type, to be registered with `#[global_allocator]` by a binary.
pub struct Allocator;

/// What [`stats`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Bytes of live blocks.
    pub small_live: usize,
    /// Bytes of address space mapped for blocks.
    pub small_reserved: usize,
    /// Bytes asked for by live large allocations.
    pub large_live: usize,
    /// Pages (64 KB) that hold live blocks or are about to.
    pub pages: usize,
    /// Free pages that still have memory behind them.
    pub pages_idle: usize,
}

/// Everything from the system's allocator.
const SYSTEM: bool = cfg!(any(feature = "system-alloc", miri));
/// The alignment of what the functions (not the trait) hand out.
const ALIGN: usize = 8;

/// Allocates `size` bytes at a multiple of 8. Aborts when there is no memory.
#[inline]
pub fn allocate(size: usize) -> NonNull<u8> {
    let Ok(layout) = Layout::from_size_align(size, ALIGN) else {
        handle_alloc_error(Layout::new::<u64>());
    };
    match NonNull::new(allocate_layout(layout)) {
        Some(at) => at,
        None => handle_alloc_error(layout),
    }
}

/// Frees what [`allocate`] or [`reallocate`] returned for `size`. Any thread may.
///
/// # Safety
/// `ptr` is live, was handed out for `size`, and is not used any more.
#[inline]
pub unsafe fn deallocate(ptr: NonNull<u8>, size: usize) {
    // SAFETY: as promised by the caller; the layout was valid when it was allocated.
    unsafe { deallocate_layout(ptr, Layout::from_size_align_unchecked(size, ALIGN)) };
}

/// Moves an allocation of `old` bytes to one of `new`, keeping what fits; in place where the block allows. Aborts when
/// there is no memory.
///
/// # Safety
/// `ptr` is live, was handed out for `old`, and is not used any more (the result is).
#[inline]
pub unsafe fn reallocate(ptr: NonNull<u8>, old: usize, new: usize) -> NonNull<u8> {
    let Ok(layout) = Layout::from_size_align(new, ALIGN) else {
        handle_alloc_error(Layout::new::<u64>());
    };
    // SAFETY: as promised by the caller; both layouts are valid.
    let moved = unsafe { reallocate_layout(ptr, Layout::from_size_align_unchecked(old, ALIGN), new) };
    match NonNull::new(moved) {
        Some(at) => at,
        None => handle_alloc_error(layout),
    }
}

/// Bytes of all live allocations of the process: blocks as they occupy memory, large ones as asked for. Exact when
/// no thread is allocating at this moment.
pub fn used() -> usize {
    let (small, large) = live();
    small + large
}

/// This thread's share of [`used`]: what it allocated less what it freed, whoever's it was, so it may be below zero. Two
/// loads, for those who ask often.
#[inline]
pub fn used_by_thread() -> isize {
    own_heap().map_or(0, |heap| heap.small.load(Ordering::Relaxed).wrapping_add(heap.large.load(Ordering::Relaxed)) as isize)
}

/// Counts bytes that did not come from this allocator, because they are mapped for themselves, as if they had: more of them,
/// or less. They are told among the large ones.
pub(super) fn count_mapped(bytes: isize) {
    count(|heap| &heap.large, &STRAY_LARGE, bytes as usize);
}

/// Bytes of address space mapped for blocks, used or not.
pub fn reserved() -> usize {
    pool::lock().reserved
}

/// All figures at once.
pub fn stats() -> Stats {
    let (small_live, large_live) = live();
    let pool = pool::lock();
    Stats { small_live, small_reserved: pool.reserved, large_live, pages: pool.in_use, pages_idle: pool.warm }
}

/// Bytes that an allocation of `size` really occupies.
pub fn block_size(size: usize) -> usize {
    match class::small_size(size, ALIGN) {
        Some(size) => class::BLOCK_BYTES[class::class_of(size)] as usize,
        None => large_block_size(size),
    }
}

/// Takes in what other threads freed of this thread's blocks, and of blocks whose thread ended: of at most
/// `budget_pages` pages (each some microseconds). Returns of how many; fewer than the budget means that all is done.
pub fn collect(budget_pages: usize) -> usize {
    let mut done = own_heap().map_or(0, |heap| heap.drain(budget_pages));
    for_abandoned_heaps(|heap| {
        done += heap.drain(budget_pages - done);
        done < budget_pages
    });
    done
}

/// Gives back to the system what is not in use: pages without live blocks, here and in the large allocator. Returns
/// how many bytes of pages. Takes in all remote frees first. Takes milliseconds on a large heap with many holes.
pub fn trim() -> usize {
    collect(usize::MAX);
    if let Some(heap) = own_heap() {
        heap.release_idle();
    }
    for_abandoned_heaps(|heap| {
        heap.release_idle();
        true
    });
    if !SYSTEM {
        // SAFETY: may be called at any time.
        unsafe { mi_collect(true) };
    }
    pool::lock().discard_all()
}

/// To be called when growth has paused (see `huge::rest`): what the last huge page has beyond what is used of it is given back.
pub fn settle() {
    pool::lock().settle();
}

/// To be called by a thread with nothing to do, several times a second: a small process has the pages that it has free given
/// back, if they are worth it. They cost a page fault each when they are needed again, which a large one had better save.
pub fn rest() {
    /// Half a megabyte. Fewer come and go with what the thread itself does now and then.
    const WORTH: usize = 8;
    let Some(heap) = own_heap() else { return };
    let pool = pool::lock();
    if pool.is_small() && pool.warm + heap.idle_pages() >= WORTH {
        drop(pool);
        heap.release_idle();
        pool::lock().rest();
    }
}

/// Whether moving this block (allocate anew, copy, free) helps to empty a page: its page is about as full as the
/// class's partly filled pages are on average or less so, is not the one that allocations come from, and its blocks
/// fit in the others. Only for blocks of the calling thread; false for all others and for large allocations.
///
/// # Safety
/// `ptr` is live and was handed out for `size`.
pub unsafe fn is_sparse(ptr: NonNull<u8>, size: usize) -> bool {
    if SYSTEM || class::small_size(size, ALIGN).is_none() {
        return false;
    }
    let Some(heap) = own_heap() else { return false };
    // SAFETY: the block is live, as promised by the caller.
    let page = unsafe { Page::of(ptr) };
    page.is_owned_by(heap) && heap.is_sparse(page)
}

// SAFETY: blocks are disjoint, as large and as aligned as the layout says, and stay so until deallocated; a block's
// class follows from the layout alone. Nothing unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocate_layout(layout)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class::small_size(layout.size(), layout.align()).is_none() {
            return allocate_large(layout, true);
        }
        let at = allocate_layout(layout);
        if !at.is_null() {
            // SAFETY: the block is ours and that large.
            unsafe { at.write_bytes(0, layout.size()) };
        }
        at
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: live and of this layout, as promised by the caller; live pointers are not null.
        unsafe { deallocate_layout(NonNull::new_unchecked(ptr), layout) };
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { reallocate_layout(NonNull::new_unchecked(ptr), layout, new_size) }
    }
}

thread_local! {
    /// The thread's heap, or a stand-in. Without a destructor, hence usable to the thread's very end.
    static HEAP: Cell<*const Heap> = const { Cell::new(Heap::none()) };
    /// Gives the heap away when the thread ends.
    static SENTINEL: Sentinel = const { Sentinel };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(heap) = own_heap() {
            HEAP.set(Heap::past());
            heap.drain(usize::MAX);
            heap.release_idle();
            pool::lock().abandon(heap);
        }
    }
}

/// What is counted where there is no heap: by the destructors of threads that end.
static STRAY_SMALL: AtomicUsize = AtomicUsize::new(0);
static STRAY_LARGE: AtomicUsize = AtomicUsize::new(0);
static STRAY_FREED_LARGE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    /// mimalloc's: the size of the block that a request gets.
    fn mi_good_size(size: usize) -> usize;
    /// mimalloc's: gives free memory back.
    fn mi_collect(force: bool);
}

/// The thread's heap, if it has one by now.
#[inline(always)]
fn own_heap() -> Option<&'static Heap> {
    // SAFETY: heaps and their stand-ins are never unmapped.
    let heap = unsafe { &*HEAP.get() };
    heap.real.then_some(heap)
}

/// Null when there is no memory.
#[inline(always)]
fn allocate_layout(layout: Layout) -> *mut u8 {
    let Some(size) = class::small_size(layout.size(), layout.align()) else {
        return allocate_large(layout, false);
    };
    let class = class::class_of(size);
    if SYSTEM {
        return system_allocate(class, layout);
    }
    // SAFETY: heaps and their stand-ins are never unmapped; a stand-in's pages have no blocks to take.
    let block = unsafe { (*HEAP.get()).take(class) };
    if block.is_null() { allocate_slow(class) } else { block.cast() }
}

/// # Safety
/// As for [`GlobalAlloc::dealloc`].
#[inline(always)]
unsafe fn deallocate_layout(ptr: NonNull<u8>, layout: Layout) {
    let Some(size) = class::small_size(layout.size(), layout.align()) else {
        // SAFETY: as promised by the caller; the layout is that of a large allocation.
        return unsafe { deallocate_large(ptr, layout) };
    };
    if SYSTEM {
        let bytes = class::BLOCK_BYTES[class::class_of(size)] as usize;
        count(|heap| &heap.small, &STRAY_SMALL, bytes.wrapping_neg());
        // SAFETY: under this constant, small blocks were allocated by `system_allocate`.
        return unsafe { System.dealloc(ptr.as_ptr(), system_layout(layout)) };
    }
    let heap = HEAP.get();
    // SAFETY: the block is live; `heap` is the thread's own, and compares equal only when real.
    unsafe {
        let page = Page::of(ptr);
        debug_assert_eq!(page.class(), class::class_of(size));
        if page.is_owned_by(heap) {
            (*heap).give_back(page, ptr.cast());
        } else {
            deallocate_remotely(page, ptr.cast());
        }
    }
}

/// # Safety
/// As for [`GlobalAlloc::realloc`]; null when there is no memory or `new` is impossible.
#[inline]
unsafe fn reallocate_layout(ptr: NonNull<u8>, layout: Layout, new: usize) -> *mut u8 {
    let align = layout.align();
    let Ok(new_layout) = Layout::from_size_align(new, align) else {
        return null_mut();
    };
    match (class::small_size(layout.size(), align), class::small_size(new, align)) {
        (Some(old), Some(new)) if !SYSTEM && class::class_of(old) == class::class_of(new) => ptr.as_ptr(),
        // SAFETY: as promised by the caller; both layouts are large ones.
        (None, None) => unsafe { reallocate_large(ptr, layout, new) },
        _ => {
            let moved = allocate_layout(new_layout);
            if !moved.is_null() {
                // SAFETY: both are live and at least that long; the old one is not used any more.
                unsafe {
                    copy_nonoverlapping(ptr.as_ptr(), moved, layout.size().min(new));
                    deallocate_layout(ptr, layout);
                }
            }
            moved
        }
    }
}

/// The current page has no block, or the thread no heap.
#[cold]
#[inline(never)]
fn allocate_slow(class: usize) -> *mut u8 {
    if let Some(heap) = own_heap().or_else(start_heap) {
        return heap.take_slow(class).cast();
    }
    // The thread is ending: borrow a heap for the moment.
    let borrowed = pool::lock().adopt();
    let Some(heap) = borrowed else {
        return null_mut();
    };
    let block = heap.take_slow(class);
    pool::lock().abandon(heap);
    block.cast()
}

/// Gives the thread a heap; `None` when it is ending, or when there is no memory.
#[cold]
fn start_heap() -> Option<&'static Heap> {
    if std::ptr::eq(HEAP.get(), Heap::past()) {
        return None;
    }
    let heap = pool::lock().adopt()?;
    HEAP.set(heap);
    // Only now, as registering the destructor may allocate.
    if SENTINEL.try_with(|_| ()).is_err() {
        HEAP.set(Heap::past());
        pool::lock().abandon(heap);
        return None;
    }
    Some(heap)
}

/// # Safety
/// As for [`Page::give_back_remotely`].
#[cold]
#[inline(never)]
unsafe fn deallocate_remotely(page: &Page, block: NonNull<Block>) {
    count(|heap| &heap.small, &STRAY_SMALL, page.block_bytes().wrapping_neg());
    // SAFETY: as promised by the caller.
    unsafe { page.give_back_remotely(block) };
}

/// Nothing is a request like any other here, but not for the system's allocator.
fn system_layout(layout: Layout) -> Layout {
    if layout.size() == 0 { Layout::new::<u64>() } else { layout }
}

fn system_allocate(class: usize, layout: Layout) -> *mut u8 {
    // SAFETY: the size is not zero.
    let at = unsafe { System.alloc(system_layout(layout)) };
    if !at.is_null() {
        count(|heap| &heap.small, &STRAY_SMALL, class::BLOCK_BYTES[class] as usize);
    }
    at
}

#[inline(never)]
fn allocate_large(layout: Layout, zeroed: bool) -> *mut u8 {
    // SAFETY: requests that are not small have a size, unless they have an enormous alignment; both allocators
    // take a size of zero.
    let at = unsafe {
        match (SYSTEM, zeroed) {
            (false, false) => MiMalloc.alloc(layout),
            (false, true) => MiMalloc.alloc_zeroed(layout),
            (true, false) => System.alloc(layout),
            (true, true) => System.alloc_zeroed(layout),
        }
    };
    if !at.is_null() {
        count(|heap| &heap.large, &STRAY_LARGE, layout.size());
    }
    at
}

/// # Safety
/// As for [`GlobalAlloc::dealloc`]; the layout is not a small one.
#[inline(never)]
unsafe fn deallocate_large(ptr: NonNull<u8>, layout: Layout) {
    count(|heap| &heap.large, &STRAY_LARGE, layout.size().wrapping_neg());
    count(|heap| &heap.freed_large, &STRAY_FREED_LARGE, layout.size());
    // SAFETY: as promised by the caller.
    unsafe {
        if SYSTEM {
            System.dealloc(ptr.as_ptr(), layout);
        } else {
            MiMalloc.dealloc(ptr.as_ptr(), layout);
        }
    }
}

/// # Safety
/// As for [`GlobalAlloc::realloc`]; neither layout is a small one.
#[inline(never)]
unsafe fn reallocate_large(ptr: NonNull<u8>, layout: Layout, new: usize) -> *mut u8 {
    // SAFETY: as promised by the caller.
    let moved =
        unsafe { if SYSTEM { System.realloc(ptr.as_ptr(), layout, new) } else { MiMalloc.realloc(ptr.as_ptr(), layout, new) } };
    if !moved.is_null() {
        count(|heap| &heap.large, &STRAY_LARGE, new.wrapping_sub(layout.size()));
        if moved != ptr.as_ptr() {
            count(|heap| &heap.freed_large, &STRAY_FREED_LARGE, layout.size());
        }
    }
    moved
}

fn large_block_size(size: usize) -> usize {
    if SYSTEM {
        // A word before each, in steps of 16.
        return size.saturating_add(8 + 15) & !15;
    }
    // SAFETY: a pure function of the size.
    unsafe { mi_good_size(size) }
}

/// Visits the heaps whose threads ended, until the visitor returns false.
fn for_abandoned_heaps(mut visit: impl FnMut(&Heap) -> bool) {
    // Visited without the lock, as that is taken for every page that becomes empty; and given back only after the
    // last, so that each is visited once.
    let mut visited: *const Heap = null();
    let mut more = true;
    while more {
        let Some(heap) = pool::lock().take_abandoned() else {
            break;
        };
        more = visit(heap);
        heap.next_abandoned.set(visited);
        visited = heap;
    }
    // SAFETY: heaps are never unmapped; those linked above are ours until given back.
    while let Some(heap) = unsafe { visited.as_ref() } {
        visited = heap.next_abandoned.get();
        pool::lock().abandon(heap);
    }
}

/// Adds to a counter of the thread's heap, or to the stray one when the thread cannot have a heap.
#[inline]
fn count(counter: impl Fn(&Heap) -> &AtomicUsize, stray: &AtomicUsize, bytes: usize) {
    match own_heap().or_else(start_heap) {
        Some(heap) => heap::add(counter(heap), bytes),
        None => _ = stray.fetch_add(bytes, Ordering::Relaxed),
    }
}

/// Bytes of large allocations that were freed since the start.
fn freed_large() -> usize {
    let stray = STRAY_FREED_LARGE.load(Ordering::Relaxed);
    pool::heaps().fold(stray, |sum, heap| sum.wrapping_add(heap.freed_large.load(Ordering::Relaxed)))
}

/// Live small and large bytes.
fn live() -> (usize, usize) {
    let mut small = STRAY_SMALL.load(Ordering::Relaxed);
    let mut large = STRAY_LARGE.load(Ordering::Relaxed);
    for heap in pool::heaps() {
        small = small.wrapping_add(heap.small.load(Ordering::Relaxed));
        large = large.wrapping_add(heap.large.load(Ordering::Relaxed));
    }
    // A block that moves between threads may be seen freed but not allocated: that is less than nothing for a moment.
    ((small as isize).max(0) as usize, (large as isize).max(0) as usize)
}
