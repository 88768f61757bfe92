//! Tests of the allocator as a whole. Those that look at figures of the whole process run in one of their own.
use super::*;
use crate::clock::Rng;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

impl Rng {
    /// Mostly sizes of entries, some around every class, some large.
    fn size(&mut self) -> usize {
        match self.index(20) {
            0 => self.index(200_000),
            1..4 => self.index(1100),
            _ => self.index(257),
        }
    }
}

/// Runs the calling test again, alone in a new process, and returns false; true in that process.
fn alone(test: &str) -> bool {
    const MARK: &str = "REDSTART_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let name = format!("raw::alloc::tests::{test}");
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// An allocation that is filled with a pattern of its own.
struct Filled {
    at: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

// SAFETY: it owns its bytes; any thread may free them.
unsafe impl Send for Filled {}

impl Filled {
    fn new(layout: Layout, seed: u8) -> Filled {
        let at = match layout.align() {
            8 => allocate(layout.size()),
            // SAFETY: the tests give such layouts a size.
            _ => NonNull::new(unsafe { Allocator.alloc(layout) }).unwrap(),
        };
        assert!(at.as_ptr().addr().is_multiple_of(layout.align()));
        let mut filled = Filled { at, layout, seed };
        filled.fill();
        filled
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the allocation is ours, live, that long and initialised (by `fill`, or written whole first).
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.layout.size()) }
    }

    fn fill(&mut self) {
        // SAFETY: the allocation is ours and that long.
        unsafe { self.at.as_ptr().write_bytes(0, self.layout.size()) };
        let seed = self.seed;
        for (index, byte) in self.bytes().iter_mut().enumerate() {
            *byte = seed.wrapping_add(index as u8);
        }
    }

    fn check(&mut self, bytes: usize) {
        let seed = self.seed;
        for (index, byte) in self.bytes()[..bytes].iter().enumerate() {
            assert_eq!(*byte, seed.wrapping_add(index as u8));
        }
    }

    fn resize(&mut self, size: usize) {
        let old = self.layout.size();
        // SAFETY: the allocation is live and of this layout; the functions and the trait agree on an alignment of 8.
        let at = unsafe {
            match self.layout.align() {
                8 => reallocate(self.at, old, size).as_ptr(),
                _ => Allocator.realloc(self.at.as_ptr(), self.layout, size),
            }
        };
        self.at = NonNull::new(at).unwrap();
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        assert!(self.at.as_ptr().addr().is_multiple_of(self.layout.align()));
        self.check(old.min(size));
        self.fill();
    }

    fn free(mut self) {
        self.check(self.layout.size());
        // SAFETY: the allocation is live and of this layout, and given up here.
        unsafe {
            match self.layout.align() {
                8 => deallocate(self.at, self.layout.size()),
                _ => Allocator.dealloc(self.at.as_ptr(), self.layout),
            }
        }
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// `count` blocks of `size` bytes.
fn blocks(count: usize, size: usize) -> Vec<Filled> {
    (0..count).map(|index| Filled::new(layout(size), index as u8)).collect()
}

#[test]
fn blocks_are_disjoint_aligned_and_keep_their_bytes() {
    let mut random = Rng::seeded(0x9E37_79B9_7F4A_7C15);
    let mut live: Vec<Filled> = Vec::new();
    // Start to end of all that is live.
    let mut ranges: BTreeMap<usize, usize> = BTreeMap::new();
    for round in 0..40_000 {
        // Waves, so that pages fill up and become empty.
        let grow = if round / 5_000 % 2 == 0 { 70 } else { 30 };
        let mut filled = if live.is_empty() || random.index(100) < grow {
            let align = [8, 8, 8, 1, 2, 4, 16, 32, 64, 4096][random.index(10)];
            let size = random.size().max(usize::from(align != 8));
            Filled::new(Layout::from_size_align(size, align).unwrap(), round as u8)
        } else {
            let mut filled = live.swap_remove(random.index(live.len()));
            ranges.remove(&filled.at.as_ptr().addr());
            if random.index(4) > 0 {
                filled.free();
                continue;
            }
            filled.resize(random.size().max(1));
            filled
        };
        let start = filled.at.as_ptr().addr();
        let end = start + filled.bytes().len().max(1);
        assert!(ranges.range(..end).next_back().is_none_or(|(_, before)| *before <= start));
        ranges.insert(start, end);
        live.push(filled);
    }
    live.into_iter().for_each(Filled::free);
}

#[test]
fn zeroed_memory_is_zeroed_even_when_used_before() {
    for size in [8, 56, 2048, 2049, 100_000] {
        blocks(10, size).into_iter().for_each(Filled::free);
        // SAFETY: the layout has a size; the memory is that long and freed once.
        unsafe {
            let at = Allocator.alloc_zeroed(layout(size));
            assert!(std::slice::from_raw_parts(at, size).iter().all(|byte| *byte == 0));
            Allocator.dealloc(at, layout(size));
        }
    }
}

#[test]
fn impossible_sizes_are_refused() {
    let at = blocks(1, 40).pop().unwrap();
    // SAFETY: the block is live; a refusal leaves it alone.
    unsafe {
        assert!(Allocator.realloc(at.at.as_ptr(), at.layout, usize::MAX).is_null());
        assert!(Allocator.realloc(at.at.as_ptr(), at.layout, isize::MAX as usize / 2).is_null());
    }
    at.free();
}

#[test]
fn block_sizes_are_what_blocks_occupy() {
    let exact = if SYSTEM { [(0, 8), (1, 8), (56, 56), (57, 64)] } else { [(0, 8), (1, 8), (250, 256), (513, 576)] };
    for (size, block) in exact {
        assert_eq!(block_size(size), block);
    }
    for size in (0..100_000).step_by(7) {
        assert!(block_size(size) >= size && block_size(size) <= size + size / 4 + 16);
    }
    assert!(block_size(1 << 62) >= 1 << 62);
}

#[test]
fn blocks_wander_between_threads() {
    let (to_consumer, from_producers) = mpsc::sync_channel::<Filled>(500);
    let producers = (1..=3).map(|seed| {
        let to_consumer = to_consumer.clone();
        thread::spawn(move || {
            let mut random = Rng::seeded(seed);
            let mut own: Vec<Filled> = Vec::new();
            for round in 0..8_000 {
                let filled = Filled::new(layout(random.index(300)), round as u8);
                if random.index(3) == 0 {
                    own.push(filled)
                } else {
                    to_consumer.send(filled).unwrap()
                }
                if own.len() > 100 {
                    own.swap_remove(random.index(100)).free();
                }
                if random.index(500) == 0 {
                    collect(4);
                }
            }
            own.into_iter().for_each(Filled::free);
        })
    });
    let producers: Vec<_> = producers.collect();
    drop(to_consumer);
    let mut random = Rng::seeded(99);
    let mut held: Vec<Filled> = Vec::new();
    for mut filled in from_producers {
        if random.index(4) == 0 {
            filled.resize(random.index(300));
        }
        held.push(filled);
        if held.len() > 300 {
            held.swap_remove(random.index(300)).free();
        }
    }
    held.into_iter().for_each(Filled::free);
    producers.into_iter().for_each(|producer| producer.join().unwrap());
}

#[test]
fn every_byte_is_counted_and_comes_back() {
    if !alone("every_byte_is_counted_and_comes_back") {
        return;
    }
    let start = stats();
    let small = blocks(1000, 50);
    let large = blocks(3, 5000);
    assert_eq!(stats().small_live, start.small_live + 1000 * 56);
    assert_eq!(stats().large_live, start.large_live + 3 * 5000);
    assert_eq!(used(), start.small_live + start.large_live + 71_000);
    // Freed by another thread, half of them grown before.
    let freed = thread::spawn(move || {
        for (index, mut filled) in small.into_iter().chain(large).enumerate() {
            if index % 2 == 0 {
                filled.resize(900 + index);
            }
            filled.free();
        }
    });
    freed.join().unwrap();
    assert_eq!(stats().small_live, start.small_live);
    assert_eq!(stats().large_live, start.large_live);
    let mut filled = Filled::new(layout(10), 1);
    for size in [16, 17, 2048, 2049, 4000, 100_000, 20000, 30, 0] {
        filled.resize(size);
        assert_eq!(used() - start.small_live, if size > 2048 { size } else { block_size(size) });
    }
    filled.free();
    assert_eq!(used(), start.small_live);
}

#[test]
fn a_thread_may_end_before_its_blocks() {
    if SYSTEM || !alone("a_thread_may_end_before_its_blocks") {
        return;
    }
    // This thread has a heap already, else it would take over the one that is left.
    let own = blocks(1, 1024);
    let left = thread::spawn(|| blocks(20_000, 56)).join().unwrap();
    let pages = stats().pages;
    assert!(pages >= 19);
    assert_eq!(used(), 1024 + 20_000 * 56);
    // Freed here, where they are foreign: the pages stay with the heap that nobody has, until it is drained.
    let (some, rest) = left.into_iter().enumerate().partition::<Vec<_>, _>(|(index, _)| index % 2 == 0);
    some.into_iter().for_each(|(_, filled)| filled.free());
    assert_eq!(used(), 1024 + 10_000 * 56);
    // A new thread takes over the heap with its half empty pages and fills them up before it takes new ones.
    let more = thread::spawn(|| blocks(9_000, 56)).join().unwrap();
    assert_eq!(stats().pages, pages);
    for filled in rest.into_iter().map(|(_, filled)| filled).chain(more) {
        filled.free();
    }
    assert_eq!(used(), 1024);
    assert_eq!(collect(1), 1);
    assert!(collect(usize::MAX) > 10);
    assert_eq!(collect(usize::MAX), 0);
    // All but this thread's and the ones that the heaps would go on with.
    assert!(stats().pages <= 3);
    trim();
    assert_eq!(stats().pages, 1);
    own.into_iter().for_each(Filled::free);
}

#[test]
fn thread_locals_may_allocate_and_free_while_the_thread_ends() {
    if !alone("thread_locals_may_allocate_and_free_while_the_thread_ends") {
        return;
    }
    struct Late(Vec<Filled>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.extend(blocks(3000, 100));
            self.0.extend(blocks(3, 10_000));
            self.0.drain(..).for_each(Filled::free);
        }
    }
    thread_local! {
        static EARLY: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(Vec::new())) };
        static LATE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(Vec::new())) };
    }
    for _ in 0..3 {
        thread::spawn(|| {
            EARLY.with_borrow_mut(|_| ());
            let mine = blocks(2000, 24);
            LATE.with_borrow_mut(|late| late.0 = blocks(2000, 24));
            EARLY.with_borrow_mut(|early| early.0 = mine);
        })
        .join()
        .unwrap();
    }
    assert_eq!(used(), 0);
    assert_eq!(collect(0), 0);
    trim();
    assert_eq!(stats().pages, 0);
}

#[test]
fn free_pages_serve_other_classes() {
    if SYSTEM || !alone("free_pages_serve_other_classes") {
        return;
    }
    blocks(30_000, 56).into_iter().for_each(Filled::free);
    let before = stats();
    assert!(before.pages_idle > 20 && before.pages_idle <= 32, "{before:?}");
    for size in [64, 200, 1000] {
        blocks(1_000_000 / size, size).into_iter().for_each(Filled::free);
    }
    assert_eq!(reserved(), before.small_reserved);
}

#[test]
fn memory_is_used_tightly_and_given_back() {
    if SYSTEM || !alone("memory_is_used_tightly_and_given_back") {
        return;
    }
    const COUNT: usize = 1_500_000;
    let mut all: Vec<NonNull<u8>> = Vec::with_capacity(COUNT);
    all.extend((0..COUNT).map(|_| NonNull::dangling()));
    let start = resident();
    for (index, at) in all.iter_mut().enumerate() {
        *at = allocate(56);
        // SAFETY: the block is ours.
        unsafe { at.write_bytes(1, 56) };
        if index % 100_000 == 99_999 {
            let live = (index + 1) * 56;
            let grown = resident() - start;
            assert!(grown < live + live / 10 + (1 << 20), "{grown} resident for {live}");
        }
    }
    assert!(used() == COUNT * 56);
    // Every eighth stays: no page becomes empty.
    let mut kept = Vec::with_capacity(COUNT / 8 + 1);
    for (index, at) in all.into_iter().enumerate() {
        if index % 8 == 0 {
            kept.push(at);
        } else {
            // SAFETY: live, and not used after this.
            unsafe { deallocate(at, 56) };
        }
    }
    let pages = stats().pages;
    assert!(pages > 1200);
    // Moving what stands in sparse pages empties them.
    for _ in 0..2 {
        for at in &mut kept {
            // SAFETY: live and of that size; the moved block takes its place.
            unsafe {
                if is_sparse(*at, 56) {
                    let moved = allocate(56);
                    copy_nonoverlapping(at.as_ptr(), moved.as_ptr(), 56);
                    deallocate(*at, 56);
                    *at = moved;
                }
            }
        }
    }
    assert!(stats().pages < pages / 7, "{} pages of {pages}", stats().pages);
    trim();
    let grown = resident() - start;
    assert!(grown < used() + used() / 5 + (2 << 20), "{grown} resident for {}", used());
    for at in kept {
        // SAFETY: live and of that size, not used after this.
        unsafe {
            assert_eq!(at.add(55).read(), 1);
            deallocate(at, 56);
        }
    }
    trim();
    assert_eq!(stats().pages, 0);
    assert!(reserved() <= 32 << 20, "{}", reserved());
    assert!(resident() < start + (1 << 20));
}

/// Waves of blocks, whose bytes are looked at, while another thread gives back what each wave leaves.
#[test]
#[cfg_attr(any(miri, feature = "system-alloc"), ignore = "there is nothing to give back")]
fn memory_is_given_back_on_another_thread() {
    if !alone("memory_is_given_back_on_another_thread") {
        return;
    }
    giver::start();
    let mut random = Rng::seeded(31);
    let start = resident();
    for _ in 0..6 {
        let mut live = blocks(300_000, 56);
        // The first tenth of it falls at random, and makes holes; then whole segments are free.
        for _ in 0..30_000 {
            live.swap_remove(random.index(live.len())).free();
        }
        live.into_iter().for_each(Filled::free);
    }
    // A wave is 17 MB, and its list 10 more, of which the large allocator may hold on to some.
    wait_until(|| resident() < start + (16 << 20) && stats().pages_idle <= 64 && reserved() <= 8 << 20);
    assert!(stats().pages <= 1, "the page that allocations come from");
}

/// Large allocations of every size, freed by the thread that made them or by another one, are given back by a third.
#[test]
#[cfg_attr(any(miri, feature = "system-alloc"), ignore = "there is nothing to give back")]
fn large_memory_is_given_back_on_another_thread() {
    if !alone("large_memory_is_given_back_on_another_thread") {
        return;
    }
    giver::start();
    let start = resident();
    for size in [5000, 40 << 10, 300 << 10, 2 << 20, 9 << 20] {
        for is_foreign in [false, true] {
            let all = blocks((64 << 20) / size, size);
            assert!(resident() > start + (60 << 20), "{size}");
            if is_foreign {
                thread::scope(|scope| _ = scope.spawn(|| all.into_iter().for_each(Filled::free)));
            } else {
                all.into_iter().for_each(Filled::free);
            }
            wait_until(|| resident() < start + (12 << 20));
        }
    }
}

/// At rest nothing free is kept, whether the giver runs or not; a page or two are.
#[test]
#[cfg_attr(any(miri, feature = "system-alloc"), ignore = "there is nothing to give back")]
fn a_small_process_keeps_nothing_at_rest() {
    if !alone("a_small_process_keeps_nothing_at_rest") {
        return;
    }
    for round in 0..4 {
        let live: Vec<Filled> = (1..=128).flat_map(|eight| blocks(20, eight * 8)).collect();
        live.into_iter().for_each(Filled::free);
        let before = stats();
        assert!(before.pages > 40, "{before:?}");
        rest();
        assert!(stats().pages < 8, "{:?}", stats());
        wait_until(|| stats().pages_idle == 0);
        let few = blocks(5, 40);
        let taken = stats();
        rest();
        assert_eq!(stats(), taken, "so few are not worth it");
        few.into_iter().for_each(Filled::free);
        if round == 1 {
            giver::start();
        }
    }
}

/// Waits for the giver, which is rung for as the server does.
#[track_caller]
fn wait_until(is_given_back: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !is_given_back() {
        assert!(std::time::Instant::now() < deadline, "{} resident, {:?}", resident(), stats());
        giver::tidy();
        thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Figures, by hand: `cargo test --profile fast --lib raw::alloc -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn figures() {
    if !alone("figures") {
        return;
    }
    use std::time::Instant;
    const COUNT: usize = 10_000_000;
    let mut all: Vec<NonNull<u8>> = vec![NonNull::dangling(); COUNT];
    let nanos = |since: Instant, count: usize| since.elapsed().as_nanos() as f64 / count as f64;

    let since = Instant::now();
    for _ in 0..COUNT {
        let at = std::hint::black_box(allocate(std::hint::black_box(56)));
        // SAFETY: live, and not used after this.
        unsafe { deallocate(at, 56) };
    }
    println!("allocate and free one block: {:.2} ns", nanos(since, COUNT));

    for _ in 0..2 {
        let since = Instant::now();
        for _ in 0..COUNT / 1000 {
            for at in &mut all[..1000] {
                *at = allocate(std::hint::black_box(56));
            }
            for at in &all[..1000] {
                // SAFETY: live, and not used after this.
                unsafe { deallocate(*at, std::hint::black_box(56)) };
            }
        }
        println!("allocate and free, batches of 1000: {:.2} ns", nanos(since, COUNT));
    }

    let start = resident();
    let mut slowest = 0;
    let since = Instant::now();
    for (index, at) in all.iter_mut().enumerate() {
        let one = (index % 64 == 0).then(Instant::now);
        *at = allocate(56);
        // SAFETY: the block is ours.
        unsafe { at.write_bytes(1, 56) };
        if let Some(one) = one {
            slowest = slowest.max(one.elapsed().as_micros());
        }
    }
    let fill = nanos(since, COUNT);
    let bytes = (resident() - start) as f64 / COUNT as f64;
    println!("fill with {COUNT} blocks of 56: {fill:.2} ns, {bytes:.2} resident bytes each, slowest sampled {slowest} us");
    println!("{:?}", stats());

    let mut random = Rng::seeded(7);
    let since = Instant::now();
    for _ in 0..COUNT {
        let index = random.index(COUNT);
        // SAFETY: live, and replaced by a new block.
        unsafe { deallocate(all[index], 56) };
        all[index] = allocate(56);
    }
    println!("replace random ones: {:.2} ns", nanos(since, COUNT));
    println!("{:.2} resident bytes each", (resident() - start) as f64 / COUNT as f64);

    for index in (1..COUNT).rev() {
        all.swap(index, random.index(index + 1));
    }
    let since = Instant::now();
    for at in &all[..COUNT / 2] {
        // SAFETY: live, and not used after this.
        unsafe { deallocate(*at, 56) };
    }
    println!("free a random half: {:.2} ns", nanos(since, COUNT / 2));
    let since = Instant::now();
    for at in &mut all[..COUNT / 2] {
        *at = allocate(std::hint::black_box(56));
    }
    println!("and allocate it again: {:.2} ns", nanos(since, COUNT / 2));
    println!("{:.2} resident bytes each", (resident() - start) as f64 / COUNT as f64);
    let since = Instant::now();
    for at in &all {
        // SAFETY: live, and not used after this.
        unsafe { deallocate(*at, 56) };
    }
    println!("free all: {:.2} ns", nanos(since, COUNT));
    trim();
    println!("{:?}, {} KB resident more than at the start", stats(), (resident().saturating_sub(start)) >> 10);
}
