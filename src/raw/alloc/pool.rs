//! What all heaps share, behind one lock: segments with free pages, and heaps without a thread.
//!
//! A heap comes here once per 64 KB page, so the lock costs a thousandth of an allocation. Pages are given out in
//! address order, those with memory behind them first: a huge page is used up before the next one is begun.
use super::giver;
use super::heap::Heap;
use super::page::{Links, PAGE_BYTES, PAGES_PER_SEGMENT, Page, SEGMENT_BYTES, Segment};
use crate::raw::huge;
use crate::sys::mem;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Address space is asked for in an eighth of what there is, within these bounds.
const CHUNK_MIN: usize = SEGMENT_BYTES;
const CHUNK_MAX: usize = 32 << 20;
/// From so many pages in use on, segments are huge pages, if one is ready: see `huge.rs`. A server that holds next to
/// nothing has some seventy, one for each size of block, of which little is touched.
const HUGE_FROM: usize = (16 << 20) / PAGE_BYTES;
/// The next one is asked for when the segment in use has this many free pages left.
const HUGE_ORDER_AT: u32 = PAGES_PER_SEGMENT as u32 / 2;
/// Free pages that keep their memory: this many, or a thirty-second of those in use.
const WARM_MIN: usize = 32;
const HEAP_AREA: usize = 64 << 10;

/// The two lists of segments.
#[derive(Clone, Copy)]
enum List {
    /// Has free pages with memory behind them.
    Warm,
    /// Has free pages without.
    Cold,
}

pub struct Pool {
    lists: [Ends; 2],
    /// Mapped address space that is not a segment yet.
    chunk: Option<NonNull<u8>>,
    chunk_bytes: usize,
    /// The last segment that was made of a huge page, until growth pauses.
    newest_huge: Option<&'static Segment>,
    /// Growth has paused, so that this one has too much.
    has_settled: bool,
    /// No page was taken since the process came to rest, so that it needs none of those with memory behind them.
    is_at_rest: bool,
    heap_area: Option<NonNull<u8>>,
    heap_area_bytes: usize,
    abandoned: *const Heap,
    /// Bytes of address space mapped for small pages.
    pub reserved: usize,
    /// Pages that heaps have.
    pub in_use: usize,
    /// Free pages with memory behind them.
    pub warm: usize,
}

struct Ends {
    first: *const Segment,
    last: *const Segment,
}

// SAFETY: the pointers lead to mapped memory that is not tied to a thread, and only the lock's holder follows them.
unsafe impl Send for Pool {}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    lists: [const { Ends { first: null(), last: null() } }; 2],
    chunk: None,
    chunk_bytes: 0,
    newest_huge: None,
    has_settled: false,
    is_at_rest: false,
    heap_area: None,
    heap_area_bytes: 0,
    abandoned: null(),
    reserved: 0,
    in_use: 0,
    warm: 0,
});

/// All heaps ever made, linked by `next_heap`. They are reused, never unmapped.
static HEAPS: AtomicPtr<Heap> = AtomicPtr::new(null_mut());

/// The pool, locked. Nothing below allocates, so that the lock is never asked for twice.
pub fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All heaps. Of those that belong to other threads only the counters may be read.
pub fn heaps() -> impl Iterator<Item = &'static Heap> {
    let mut next = HEAPS.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: published heaps are fully made, stay mapped and keep their `next_heap`.
        let heap = unsafe { next.as_ref() }?;
        next = heap.next_heap.get();
        Some(heap)
    })
}

impl Pool {
    /// A free page, yet to be prepared. `None` when the kernel has no memory.
    pub fn take(&mut self) -> Option<&'static Page> {
        let (segment, list) = match (self.first(List::Warm), self.first(List::Cold)) {
            (Some(segment), _) => (segment, List::Warm),
            (None, Some(segment)) => (segment, List::Cold),
            (None, None) => self.add_segment()?,
        };
        let index = self.set_of(segment, list).trailing_zeros();
        let bit = 1 << index;
        self.change(segment, segment.free.get() & !bit, segment.warm.get() & !bit);
        self.in_use += 1;
        self.is_at_rest = false;
        if self.in_use >= HUGE_FROM && segment.free.get().count_ones() <= HUGE_ORDER_AT {
            huge::order();
        }
        Some(segment.page(index as usize))
    }

    /// Takes back a page without live blocks, that its heap has forgotten. It may be unmapped at once, or by `giver` soon.
    pub fn put(&mut self, page: &Page) {
        // SAFETY: the page is part of a segment, which is mapped as long as one of its pages is not free.
        let segment: &'static Segment = unsafe { &*(page.segment() as *const Segment) };
        let bit = 1 << page.index();
        debug_assert_eq!(segment.free.get() & bit, 0);
        self.change(segment, segment.free.get() | bit, segment.warm.get() | bit);
        self.in_use -= 1;
        if self.warm <= self.warm_max() {
            return;
        }
        if segment.free.get() == u32::MAX {
            self.retire(segment);
        } else if self.has_much_warm() {
            self.have_given_back();
        }
    }

    /// Free pages that keep their memory, at most, unless they are scattered: then as many again.
    fn warm_max(&self) -> usize {
        WARM_MIN.max(self.in_use / 32)
    }

    fn has_much_warm(&self) -> bool {
        self.warm > 2 * self.warm_max()
    }

    /// Gives the memory of all free pages back to the kernel; returns how many bytes.
    pub fn discard_all(&mut self) -> usize {
        let before = self.warm;
        while let Some(segment) = self.last(List::Warm) {
            if segment.free.get() == u32::MAX {
                self.retire(segment);
            } else {
                self.discard(segment);
            }
        }
        before * PAGE_BYTES
    }

    /// A heap for a thread: one that another thread left, or a new one. `None` when the kernel has no memory.
    pub fn adopt(&mut self) -> Option<&'static Heap> {
        self.take_abandoned().or_else(|| self.add_heap())
    }

    /// A heap that a thread left, or `None`.
    pub fn take_abandoned(&mut self) -> Option<&'static Heap> {
        // SAFETY: heaps stay mapped; the one on top of the list belongs to nobody but the lock's holder.
        let heap = unsafe { self.abandoned.as_ref() }?;
        self.abandoned = heap.next_abandoned.get();
        Some(heap)
    }

    /// Takes over the heap of a thread that ends. The blocks in it live on.
    pub fn abandon(&mut self, heap: &'static Heap) {
        heap.next_abandoned.set(self.abandoned);
        self.abandoned = heap;
    }

    fn add_heap(&mut self) -> Option<&'static Heap> {
        const BYTES: usize = size_of::<Heap>();
        if self.heap_area_bytes < BYTES {
            self.heap_area = Some(mem::map(HEAP_AREA)?);
            self.heap_area_bytes = HEAP_AREA;
        }
        let at = self.heap_area?;
        // SAFETY: the area has room for one more, at a multiple of the alignment because the size is one and the
        // mapping begins at a page boundary.
        let heap = unsafe {
            self.heap_area = Some(at.add(BYTES));
            self.heap_area_bytes -= BYTES;
            let heap = at.cast::<Heap>();
            heap.write(Heap::new(true));
            heap.as_ref()
        };
        heap.next_heap.set(HEAPS.load(Ordering::Relaxed));
        HEAPS.store((heap as *const Heap).cast_mut(), Ordering::Release);
        Some(heap)
    }

    fn add_segment(&mut self) -> Option<(&'static Segment, List)> {
        if self.in_use >= HUGE_FROM
            && let Some(page) = huge::take()
        {
            self.reserved += SEGMENT_BYTES;
            // SAFETY: the page is ours, zeroed, and a segment's size and alignment.
            let segment: &'static Segment = unsafe { Segment::create(page, true) };
            self.change(segment, u32::MAX, u32::MAX);
            self.newest_huge = Some(segment);
            return Some((segment, List::Warm));
        }
        if self.chunk_bytes == 0 {
            let wish = (self.reserved / 8 / SEGMENT_BYTES * SEGMENT_BYTES).clamp(CHUNK_MIN, CHUNK_MAX);
            let (at, bytes) = match mem::map_aligned(wish, SEGMENT_BYTES) {
                Some(at) => (at, wish),
                None => (mem::map_aligned(CHUNK_MIN, SEGMENT_BYTES)?, CHUNK_MIN),
            };
            // SAFETY: the range was mapped a moment ago.
            unsafe { mem::advise_huge(at, bytes, false) };
            self.chunk = Some(at);
            self.chunk_bytes = bytes;
            self.reserved += bytes;
        }
        let at = self.chunk?;
        self.chunk_bytes -= SEGMENT_BYTES;
        // SAFETY: the chunk is a whole number of zeroed segments, and this one is given out once. Stepping past the
        // last one gives the end of the mapping.
        let segment: &'static Segment = unsafe {
            self.chunk = Some(at.add(SEGMENT_BYTES));
            Segment::create(at, false)
        };
        self.change(segment, u32::MAX, 0);
        Some((segment, List::Cold))
    }

    /// Growth has paused: what the last huge page holds beyond what is used of it is given back.
    pub fn settle(&mut self) {
        self.has_settled = true;
        self.have_given_back();
    }

    /// Whether the process holds so little that what it has free beside it counts.
    pub fn is_small(&self) -> bool {
        self.in_use < HUGE_FROM
    }

    /// The process is at rest: all free pages are given back.
    pub fn rest(&mut self) {
        self.is_at_rest = true;
        self.have_given_back();
    }

    /// Has `giver` give back what there is too much of, or gives back one segment of it.
    fn have_given_back(&mut self) {
        if !giver::ring()
            && let Some(segment) = self.take_too_much()
        {
            self.discard(segment);
        }
    }

    /// A segment whose free pages are to be given back to the kernel.
    fn take_too_much(&mut self) -> Option<&'static Segment> {
        if std::mem::take(&mut self.has_settled)
            && let Some(segment) = self.newest_huge.take()
            && segment.warm.get() != 0
        {
            return Some(segment);
        }
        if self.is_at_rest || self.has_much_warm() { self.last(List::Warm) } else { None }
    }

    /// Gives a segment without used pages back to the kernel.
    fn retire(&mut self, segment: &'static Segment) {
        debug_assert_eq!(segment.free.get(), u32::MAX);
        self.change(segment, 0, 0);
        self.newest_huge.take_if(|newest| std::ptr::eq(*newest, segment));
        self.reserved -= SEGMENT_BYTES;
        // SAFETY: no page of the segment has a live block or an owner, and no list leads to it any more.
        unsafe { giver::unmap(segment.start(), SEGMENT_BYTES) };
    }

    /// Gives the memory of a segment's free pages back to the kernel.
    fn discard(&mut self, segment: &'static Segment) {
        let detached = self.detach(segment);
        detached.discard();
        self.attach(detached);
    }

    /// Takes the free pages with memory behind them out of the segment, so that nobody is given one.
    fn detach(&mut self, segment: &'static Segment) -> Detached {
        let pages = segment.warm.get();
        self.change(segment, segment.free.get() & !pages, 0);
        Detached { segment, pages, were_huge: segment.huge.take() }
    }

    /// Makes pages that were detached free ones, without memory behind them.
    fn attach(&mut self, Detached { segment, pages, .. }: Detached) {
        self.change(segment, segment.free.get() | pages, segment.warm.get());
    }

    /// Sets a segment's bit sets and puts it in the lists that go with them.
    fn change(&mut self, segment: &'static Segment, free: u32, warm: u32) {
        let had = [List::Warm, List::Cold].map(|list| self.set_of(segment, list) != 0);
        self.warm += warm.count_ones() as usize;
        self.warm -= segment.warm.get().count_ones() as usize;
        segment.free.set(free);
        segment.warm.set(warm);
        for list in [List::Warm, List::Cold] {
            match (had[list as usize], self.set_of(segment, list) != 0) {
                (false, true) => self.link(segment, list),
                (true, false) => self.unlink(segment, list),
                _ => (),
            }
        }
    }

    fn set_of(&self, segment: &Segment, list: List) -> u32 {
        match list {
            List::Warm => segment.warm.get(),
            List::Cold => segment.free.get() & !segment.warm.get(),
        }
    }

    fn first(&self, list: List) -> Option<&'static Segment> {
        // SAFETY: segments in a list are mapped.
        unsafe { self.lists[list as usize].first.as_ref() }
    }

    fn last(&self, list: List) -> Option<&'static Segment> {
        // SAFETY: segments in a list are mapped.
        unsafe { self.lists[list as usize].last.as_ref() }
    }

    fn link(&mut self, segment: &'static Segment, list: List) {
        let ends = &mut self.lists[list as usize];
        let Links { next, prev } = &segment.links[list as usize];
        prev.set(null());
        next.set(ends.first);
        // SAFETY: segments in a list are mapped.
        match unsafe { ends.first.as_ref() } {
            Some(first) => first.links[list as usize].prev.set(segment),
            None => ends.last = segment,
        }
        ends.first = segment;
    }

    fn unlink(&mut self, segment: &'static Segment, list: List) {
        let ends = &mut self.lists[list as usize];
        let Links { next, prev } = &segment.links[list as usize];
        // SAFETY: segments in a list are mapped.
        match unsafe { prev.get().as_ref() } {
            Some(neighbour) => neighbour.links[list as usize].next.set(next.get()),
            None => ends.first = next.get(),
        }
        // SAFETY: as above.
        match unsafe { next.get().as_ref() } {
            Some(neighbour) => neighbour.links[list as usize].prev.set(prev.get()),
            None => ends.last = prev.get(),
        }
    }
}

/// Gives back to the kernel what the pool has too much of. The kernel takes long, so the others may have the lock meanwhile.
pub fn give_back() {
    loop {
        let mut pool = lock();
        let Some(segment) = pool.take_too_much() else { return };
        let detached = pool.detach(segment);
        drop(pool);
        detached.discard();
        let mut pool = lock();
        pool.attach(detached);
        if segment.free.get() == u32::MAX {
            // The rest of it became free meanwhile.
            pool.retire(segment);
        }
    }
}

/// Free pages of a segment that nobody is given as long as this is there.
struct Detached {
    segment: &'static Segment,
    pages: u32,
    /// They were part of a huge page.
    were_huge: bool,
}

impl Detached {
    /// Gives their memory back to the kernel.
    fn discard(&self) {
        if self.were_huge {
            // Else the kernel would, sooner or later, back the holes with a huge page again.
            // SAFETY: the range is one segment of ours.
            unsafe { mem::advise_huge(self.segment.start(), SEGMENT_BYTES, false) };
        }
        let mut index = 0;
        while index < PAGES_PER_SEGMENT {
            if self.pages & (1 << index) == 0 {
                index += 1;
                continue;
            }
            let run = (self.pages >> index).trailing_ones() as usize;
            // The first page shares its start with the segment's header.
            let start = if index == 0 { mem::PAGE } else { index * PAGE_BYTES };
            let end = (index + run) * PAGE_BYTES;
            // SAFETY: the range lies in pages of the segment, behind the header, that nobody is given before they are attached.
            unsafe { mem::discard(self.segment.start().add(start), end - start) };
            index += run;
        }
    }
}
