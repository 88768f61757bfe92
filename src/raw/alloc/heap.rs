//! A thread's heap: per size class one current page and the partly filled ones, by how full they are.
//!
//! Blocks are taken from the current page until it has none, then from the fullest of the partly filled ones, so that
//! sparse pages get the chance to become empty. Counters have one writer, the heap's thread, and are therefore a load
//! and a store, not a locked instruction.
use super::class::{CLASS_SLOTS, CLASSES};
use super::page::{BINS, Block, Page, State};
use super::pool;
use std::cell::Cell;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// How many pages with remote frees an allocation looks at before it is content with what it found. Each is a few misses of the
/// cache.
const DRAIN_SLICE: usize = 1;
/// So many such looks at most when there is nothing to hand.
const DRAIN_ROUNDS: usize = 16;

#[repr(C, align(64))]
pub struct Heap {
    current: [Cell<*const Page>; CLASS_SLOTS],
    /// Live small bytes: what this thread allocated less what it freed, whoever's it was. May wrap below zero.
    pub small: AtomicUsize,
    /// The same for large allocations.
    pub large: AtomicUsize,
    /// Bytes of large allocations that this thread freed.
    pub freed_large: AtomicUsize,
    /// False for the stand-ins of threads that have no heap (any more).
    pub real: bool,
    /// Pages with remote frees that were taken off `remote` and wait to be drained.
    pending: Cell<*const Page>,
    bins: [[Cell<*const Page>; BINS]; CLASSES],
    bin_pages: [[Cell<u32>; BINS]; CLASSES],
    /// Links: all heaps there are (never changes once published), and the heaps without a thread (pool's lock).
    pub next_heap: Cell<*const Heap>,
    pub next_abandoned: Cell<*const Heap>,
    shared: Shared,
}

/// What other threads write to, on a cache line of its own.
#[repr(align(64))]
struct Shared {
    /// Stack of pages that have blocks freed by other threads.
    remote: AtomicPtr<Page>,
}

/// Values of the heap's types that several threads hold a pointer to.
struct Static<T>(T);
// SAFETY: the two statics below are never written to: `NO_PAGE` has no blocks, so nothing is taken from or given back
// to it, and a heap that is not `real` is only looked at.
unsafe impl<T> Sync for Static<T> {}

static NO_PAGE: Static<Page> = Static(Page::none());
static NO_HEAP: Static<Heap> = Static(Heap::new(false));
static PAST_HEAP: Static<Heap> = Static(Heap::new(false));

impl Heap {
    /// Stands in for the heap of a thread that has not allocated yet.
    pub const fn none() -> *const Heap {
        &raw const NO_HEAP.0
    }

    /// Stands in for the heap of a thread that is ending and has given its heap away.
    pub fn past() -> *const Heap {
        &raw const PAST_HEAP.0
    }

    pub const fn new(real: bool) -> Heap {
        Heap {
            current: [const { Cell::new(&raw const NO_PAGE.0) }; CLASS_SLOTS],
            small: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
            freed_large: AtomicUsize::new(0),
            real,
            pending: Cell::new(null()),
            bins: [const { [const { Cell::new(null()) }; BINS] }; CLASSES],
            bin_pages: [const { [const { Cell::new(0) }; BINS] }; CLASSES],
            next_heap: Cell::new(null()),
            next_abandoned: Cell::new(null()),
            shared: Shared { remote: AtomicPtr::new(null_mut()) },
        }
    }

    /// Takes a block of `class` from the current page and counts it; null when that page has none.
    #[inline(always)]
    pub fn take(&self, class: usize) -> *mut Block {
        // SAFETY: `current` always points to `NO_PAGE` or a page that this heap owns.
        let page = unsafe { &*self.current[class & (CLASS_SLOTS - 1)].get() };
        let block = page.take();
        if !block.is_null() {
            add(&self.small, page.block_bytes());
        }
        block
    }

    /// As [`Heap::take`], when the current page may have none: changes it. Null when memory is exhausted.
    pub fn take_slow(&self, class: usize) -> *mut Block {
        if self.refill(class) { self.take(class) } else { null_mut() }
    }

    /// Takes a block of one of its own pages back and counts it.
    ///
    /// # Safety
    /// This heap is the calling thread's and owns `page`; `block` is one of the page's, live until now.
    #[inline(always)]
    pub unsafe fn give_back(&self, page: &Page, block: NonNull<Block>) {
        sub(&self.small, page.block_bytes());
        // SAFETY: as promised by the caller.
        if unsafe { page.give_back(block) } {
            self.settle(page);
        }
    }

    /// Tells the heap that another thread freed blocks of `page`. Any thread; see [`Page::give_back_remotely`].
    pub fn push_remote(&self, page: &Page) {
        let page_ptr = (page as *const Page).cast_mut();
        let mut top = self.shared.remote.load(Ordering::Relaxed);
        loop {
            page.remote_next.store(top, Ordering::Relaxed);
            match self.shared.remote.compare_exchange_weak(top, page_ptr, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// Takes in what other threads freed, of at most `budget` pages; returns of how many.
    pub fn drain(&self, budget: usize) -> usize {
        let mut done = 0;
        while done < budget {
            if self.pending.get().is_null() {
                if self.shared.remote.load(Ordering::Relaxed).is_null() {
                    break;
                }
                self.pending.set(self.shared.remote.swap(null_mut(), Ordering::Acquire));
            }
            // SAFETY: pages on the stack are owned by this heap and hold undrained, hence live, blocks.
            let page = unsafe { &*self.pending.get() };
            // Before draining: from then on another thread may push the page again and overwrite its link.
            self.pending.set(page.remote_next.load(Ordering::Relaxed));
            page.drain_remote();
            if page.live.get() <= page.alarm.get() {
                self.settle(page);
            }
            done += 1;
        }
        done
    }

    /// Returns the current pages that are empty to the pool.
    pub fn release_idle(&self) {
        for (current, page) in self.idle() {
            current.set(&raw const NO_PAGE.0);
            pool::lock().put(page);
        }
    }

    /// How many pages [`Heap::release_idle`] would return.
    pub fn idle_pages(&self) -> usize {
        self.idle().count()
    }

    /// The current pages that are empty, and where they are kept.
    fn idle(&self) -> impl Iterator<Item = (&Cell<*const Page>, &Page)> {
        // SAFETY: `current` always points to `NO_PAGE` or a page that this heap owns.
        let pages = self.current.iter().map(|current| (current, unsafe { &*current.get() }));
        pages.filter(|(_, page)| page.capacity.get() > 0 && page.live.get() == 0)
    }

    /// Whether moving the blocks of `page` elsewhere would pay: see [`super::is_sparse`].
    pub fn is_sparse(&self, page: &Page) -> bool {
        let State::Bin(own) = page.state() else {
            return false;
        };
        let class = page.class();
        let capacity = page.capacity.get() as usize;
        let live = page.live.get() as usize;
        let (mut pages, mut eighths) = (0, 0);
        for (bin, count) in self.bin_pages[class].iter().enumerate() {
            pages += count.get() as usize;
            eighths += count.get() as usize * (2 * bin + 1);
        }
        // SAFETY: `current` always points to `NO_PAGE` or a page that this heap owns.
        let current = unsafe { &*self.current[class].get() };
        let current_room = current.capacity.get() as usize - current.live.get() as usize;
        let elsewhere_eighths = (8 * pages - eighths) - (8 - (2 * own as usize + 1));
        let room = elsewhere_eighths * capacity / 8 + current_room;
        live * 8 * pages <= (eighths + pages) * capacity && room >= live
    }

    /// Finds a current page with room for `class`. False when memory is exhausted.
    fn refill(&self, class: usize) -> bool {
        let slot = &self.current[class];
        let mut rounds = 0;
        let page = loop {
            let drained = self.drain(DRAIN_SLICE);
            rounds += 1;
            // SAFETY: `current` always points to `NO_PAGE` or a page that this heap owns.
            if unsafe { (*slot.get()).has_room() } {
                return true;
            }
            if let Some(page) = self.pop_fullest(class) {
                break page;
            }
            // Nothing to hand. A little more of what others freed is taken in before the kernel is asked for memory, but not
            // all: the heap's owner must not stand still because another thread freed millions of blocks.
            let mut pool = pool::lock();
            if drained == 0 || pool.warm > 0 || rounds == DRAIN_ROUNDS {
                let Some(page) = pool.take() else {
                    return false;
                };
                drop(pool);
                page.prepare(class, self);
                break page;
            }
        };
        // SAFETY: as above.
        let used_up = unsafe { &*slot.get() };
        if used_up.capacity.get() > 0 {
            debug_assert_eq!(used_up.live.get() as u16, used_up.capacity.get());
            used_up.set_state(State::Full);
        }
        page.set_state(State::Current);
        slot.set(page);
        true
    }

    fn pop_fullest(&self, class: usize) -> Option<&Page> {
        for bin in (0..BINS).rev() {
            let first = self.bins[class][bin].get();
            if !first.is_null() {
                // SAFETY: pages in bins are owned by this heap.
                let page = unsafe { &*first };
                self.unlink(page, bin);
                return Some(page);
            }
        }
        None
    }

    /// Moves a page whose live count reached its alarm to where it belongs now.
    #[cold]
    fn settle(&self, page: &Page) {
        if let State::Bin(bin) = page.state() {
            self.unlink(page, bin as usize);
        }
        if page.live.get() == 0 {
            pool::lock().put(page);
            return;
        }
        let bin = page.fitting_bin();
        page.set_state(State::Bin(bin));
        self.link(page, bin as usize);
    }

    fn link(&self, page: &Page, bin: usize) {
        let class = page.class();
        let head = &self.bins[class][bin];
        page.prev.set(null());
        page.next.set(head.get());
        if !head.get().is_null() {
            // SAFETY: pages in bins are owned by this heap.
            unsafe { (*head.get()).prev.set(page) };
        }
        head.set(page);
        let count = &self.bin_pages[class][bin];
        count.set(count.get() + 1);
    }

    fn unlink(&self, page: &Page, bin: usize) {
        let class = page.class();
        let (prev, next) = (page.prev.get(), page.next.get());
        if prev.is_null() {
            self.bins[class][bin].set(next);
        } else {
            // SAFETY: the neighbours of a page in a bin are in it too, and owned by this heap.
            unsafe { (*prev).next.set(next) };
        }
        if !next.is_null() {
            // SAFETY: as above.
            unsafe { (*next).prev.set(prev) };
        }
        let count = &self.bin_pages[class][bin];
        count.set(count.get() - 1);
    }
}

/// Adds to a counter that only this thread writes.
#[inline(always)]
pub fn add(counter: &AtomicUsize, bytes: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
}

/// Subtracts from a counter that only this thread writes.
#[inline(always)]
pub fn sub(counter: &AtomicUsize, bytes: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_sub(bytes), Ordering::Relaxed);
}
