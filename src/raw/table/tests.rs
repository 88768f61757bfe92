//! Seeded random tests of the table against naive models.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ptr::NonNull;

use super::{Item, Slot, Table, Verdict};
use crate::clock::Rng;

thread_local! {
    /// Items alive in this test's thread.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
}

/// `[u32 key length][u32 tag][u64 value][key]` in one allocation.
struct Thin(NonNull<u8>);

impl Thin {
    fn new(key: &[u8], value: u64, tag: u8) -> Self {
        // SAFETY: the layout has 16 bytes for the header and the key's length after it.
        let raw = unsafe {
            let raw = alloc(Self::layout(key.len()));
            raw.cast::<u32>().write(key.len() as u32);
            raw.add(4).cast::<u32>().write(u32::from(tag));
            raw.add(8).cast::<u64>().write(value);
            raw.add(16).copy_from_nonoverlapping(key.as_ptr(), key.len());
            raw
        };
        ALIVE.set(ALIVE.get() + 1);
        Self(NonNull::new(raw).expect("memory"))
    }

    fn layout(key: usize) -> Layout {
        Layout::from_size_align(16 + key, 8).expect("small")
    }

    fn value(&self) -> u64 {
        // SAFETY: see `new`.
        unsafe { self.0.add(8).cast().read() }
    }

    fn set_value(&mut self, value: u64) {
        // SAFETY: see `new`.
        unsafe { self.0.add(8).cast().write(value) };
    }

    fn set_tag(&mut self, tag: u8) {
        // SAFETY: see `new`.
        unsafe { self.0.add(4).cast().write(u32::from(tag)) };
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        let layout = Self::layout(self.key().len());
        // SAFETY: allocated with this layout, and this is the owner.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }
}

// SAFETY: the address is all there is, 8-aligned; the key never changes.
unsafe impl Item for Thin {
    fn into_raw(self) -> NonNull<u8> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    fn key(&self) -> &[u8] {
        // SAFETY: see `new`.
        unsafe { std::slice::from_raw_parts(self.0.add(16).as_ptr(), self.0.cast::<u32>().read() as usize) }
    }

    fn tag(&self) -> u8 {
        // SAFETY: see `new`.
        unsafe { self.0.add(4).cast::<u32>().read() as u8 }
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("k{n}").into_bytes()
}

fn insert(table: &mut Table<Thin>, n: usize, tag: u8) {
    let key = key(n);
    table.insert_unique(table.hash(&key), Thin::new(&key, n as u64, tag));
}

fn remove(table: &mut Table<Thin>, n: usize) -> bool {
    let key = key(n);
    table.remove(table.hash(&key), &key).is_some()
}

fn filled(n: usize) -> Table<Thin> {
    let mut table = Table::new(n as u64);
    (0..n).for_each(|i| insert(&mut table, i, (i % 4) as u8));
    table
}

/// What must hold of any table between two operations.
fn check(table: &Table<Thin>) {
    let mut seen = HashSet::new();
    let mut children = 0;
    for index in 0..table.buckets {
        let mut at = Some(table.bucket(index));
        let mut length = 0;
        while let Some(bucket) = at {
            // SAFETY: a bucket of the borrowed table.
            let bucket = unsafe { bucket.as_ref() };
            length += 1;
            at = bucket.child();
            assert!(at.is_none() || bucket.free() == 0, "only the last bucket of a chain has holes");
            assert!(length == 1 || bucket.used().count_ones() + u32::from(at.is_some()) >= 2, "a child of one item");
        }
        children += length - 1;
        assert!(length <= table.longest_chain);
        table.bucket_items(index, &mut |item| {
            assert_eq!(table.bucket_of(table.hash(item.key())), index);
            assert!(seen.insert(item.key().to_vec()), "twice: {:?}", item.key());
        });
    }
    assert_eq!(seen.len(), table.len());
    assert_eq!(children as usize, table.children);
    assert_eq!(table.iter().len(), table.iter().count());
    if table.buckets > 0 {
        assert_eq!(table.mask, (2 << table.buckets.ilog2()) - 1);
        assert_eq!(table.rest.len(), (table.buckets - 1) / 1024);
    }
}

#[test]
fn agrees_with_a_map_through_growth_and_shrinking() {
    for (seed, peak) in [(1, 30), (2, 700), (3, 9_000), (4, 50_000)] {
        let mut rng = Rng::seeded(seed);
        let mut model: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut table: Table<Thin> = Table::new(seed);
        let space = peak * 5 / 4;
        let mut growing = true;
        let mut step = 0;
        while growing || !model.is_empty() {
            step += 1;
            growing &= model.len() < peak;
            let k = key(rng.index(space));
            let h = table.hash(&k);
            let value = rng.next_u64();
            let tag = ((value >> 9) & 7) as u8;
            match (rng.index(10), table.slot(h, &k)) {
                (0..6, Slot::Vacant(slot)) if growing => {
                    slot.insert(Thin::new(&k, value, tag));
                    assert_eq!(model.insert(k, value), None);
                }
                (0 | 6, Slot::Occupied(mut slot)) => {
                    let old = slot.replace(Thin::new(&k, value, tag));
                    assert_eq!(model.insert(k, value), Some(old.value()));
                }
                (1, Slot::Occupied(mut slot)) => {
                    let old = slot.with_mut(|item| {
                        let old = item.value();
                        item.set_value(value);
                        old
                    });
                    assert_eq!((model.insert(k, value), slot.get().value()), (Some(old), value));
                }
                (2, Slot::Occupied(mut slot)) => {
                    let old = slot.update(|old| (Thin::new(old.key(), value, tag), old.value()));
                    assert_eq!((model.insert(k, value), slot.into_ref().value()), (Some(old), value));
                }
                (7, Slot::Occupied(slot)) => {
                    assert_eq!(model.remove(&k), Some(slot.remove().value()))
                }
                (8..10, _) if !growing => {
                    assert_eq!(model.remove(&k), table.remove(h, &k).map(|item| item.value()));
                }
                _ => assert_eq!(table.get(h, &k).map(|item| item.value()), model.get(&k).copied()),
            }
            assert_eq!(table.len(), model.len());
            if model.len() > 200 && !growing && step % 4 != 0 {
                // Random keys would take long to find the last ones.
                let k = model.keys().next().cloned().expect("not empty");
                assert_eq!(table.remove(table.hash(&k), &k).map(|item| item.value()), model.remove(&k));
            }
            if peak < 100 || step % (peak * 2) == 0 {
                check(&table);
            }
        }
        assert_eq!(table.bucket_count(), 1);
        assert_eq!(table.memory_bytes() - table.rest.memory_bytes(), 64);
        assert_eq!(ALIVE.get(), 0);
    }
}

#[test]
fn an_empty_table_allocates_nothing_and_answers() {
    let mut table: Table<Thin> = Table::new(1);
    let hash = table.hash(b"a");
    assert_eq!((table.memory_bytes(), table.bucket_count(), table.len()), (0, 0, 0));
    assert!(table.get(hash, b"a").is_none() && table.remove(hash, b"a").is_none());
    assert!(table.iter().next().is_none() && table.random(&mut || 7).is_none());
    assert_eq!(table.scan(99, &mut |_| unreachable!()), 0);
    table.sample(&mut || 7, 5, 0, &mut |_| unreachable!());
    let mut cursor = 5;
    assert!(table.sweep(&mut cursor, 5, 0, &mut |_| Verdict::Keep, &mut |_, _| ()));
    assert!(!table.maintain(9));
    table.prefetch_bucket(hash);
    table.prefetch_items(hash);
    table.clear();
    assert_eq!((table.drain().count(), cursor), (0, 0));
}

#[test]
fn small_tables_are_small() {
    for (items, buckets) in [(1, 1), (7, 1), (8, 2), (14, 2), (15, 3), (130, 27), (500, 120)] {
        let table = filled(items);
        assert!(table.memory_bytes() <= buckets * 64, "{items} items: {} bytes", table.memory_bytes());
    }
}

#[test]
fn a_million_items_take_eleven_bytes_each() {
    let mut table: Table<Thin> = Table::new(3);
    for i in 0..1_000_000_usize {
        let key = i.to_le_bytes();
        table.insert_unique(table.hash(&key), Thin::new(&key, 0, 0));
    }
    let each = table.memory_bytes() as f64 / 1e6;
    assert!((9.1..11.8).contains(&each), "{each}");
}

#[test]
fn every_item_is_iterated_once() {
    for n in [0, 1, 8, 100, 10_000] {
        let table = filled(n);
        check(&table);
        let mut values: Vec<u64> = table.iter().map(|item| item.value()).collect();
        values.sort_unstable();
        assert!(values.into_iter().eq(0..n as u64));
        let mut owned: Vec<u64> = table.into_iter().map(|item| item.value()).collect();
        owned.sort_unstable();
        assert!(owned.into_iter().eq(0..n as u64));
        assert_eq!(ALIVE.get(), 0);
    }
}

#[test]
fn nothing_leaks_and_nothing_is_dropped_twice() {
    let mut table = filled(5_000);
    assert_eq!(ALIVE.get(), 5_000);
    let mut items = table.drain();
    assert!(table.is_empty());
    assert_eq!(items.len(), 5_000);
    let kept: Vec<Thin> = items.by_ref().take(1_234).collect();
    drop(items);
    assert_eq!(ALIVE.get(), 1_234);
    drop(kept);
    insert(&mut table, 1, 0);
    assert_eq!((table.len(), ALIVE.get()), (1, 1));
    table.clear();
    assert_eq!((table.memory_bytes(), ALIVE.get()), (0, 0));
    drop(filled(20_000));
    assert_eq!(ALIVE.get(), 0);
}

#[test]
fn a_panic_in_an_update_loses_only_that_item() {
    let mut table = filled(500);
    let k = key(77);
    let hash = table.hash(&k);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let Slot::Occupied(mut slot) = table.slot(hash, &k) else { unreachable!() };
        slot.with_mut(|_| std::panic::resume_unwind(Box::new(())));
    }));
    assert!(outcome.is_err());
    assert!(table.get(hash, &k).is_none());
    assert_eq!((table.len(), table.iter().count(), ALIVE.get()), (499, 499, 499));
    insert(&mut table, 77, 0);
    (0..500).for_each(|i| assert!(remove(&mut table, i)));
    check(&table);
}

/// Items present throughout a scan are shown, though the table splits and merges between its calls.
#[test]
fn scan_shows_what_is_there_throughout() {
    for seed in 0..120 {
        let mut rng = Rng::seeded(seed + 1);
        let stable = rng.index(400);
        let mut table: Table<Thin> = Table::new(seed);
        (0..stable).for_each(|i| insert(&mut table, i, 0));
        let mut others: Vec<usize> = Vec::new();
        let mut fresh = 1_000_000;
        for _ in 0..rng.index(3_000) {
            others.push(fresh);
            insert(&mut table, fresh, 0);
            fresh += 1;
        }
        let mut seen = HashSet::new();
        let mut cursor = 0;
        let mut calls = 0;
        // Growing and shrinking alternate in long stretches, so that the number of buckets crosses
        // powers of two.
        let mut growing = seed % 2 == 0;
        loop {
            cursor = table.scan(cursor, &mut |item| {
                seen.insert(item.value());
            });
            calls += 1;
            assert!(calls < 20_000, "seed {seed}: the scan does not end");
            if cursor == 0 {
                break;
            }
            if rng.index(40) == 0 {
                growing = !growing;
            }
            for _ in 0..rng.index(120) {
                if growing && others.len() < 6_000 {
                    others.push(fresh);
                    insert(&mut table, fresh, 0);
                    fresh += 1;
                } else if !others.is_empty() {
                    let gone = others.swap_remove(rng.index(others.len()));
                    assert!(remove(&mut table, gone));
                }
            }
        }
        assert!((0..stable as u64).all(|i| seen.contains(&i)), "seed {seed}: a key was missed");
    }
}

#[test]
fn scan_of_an_unchanged_table_shows_each_item_once() {
    for n in [1, 9, 100, 3_333, 7_200] {
        let table = filled(n);
        let (mut cursor, mut seen) = (0, vec![0; n]);
        loop {
            cursor = table.scan(cursor, &mut |item| seen[item.value() as usize] += 1);
            if cursor == 0 {
                break;
            }
        }
        assert!(seen.iter().all(|&times| times == 1));
        // A cursor that was never handed out is as good as any.
        table.scan(u64::MAX, &mut |_| ());
        table.scan(0xdead_beef_dead_beef, &mut |_| ());
    }
}

#[test]
fn a_lap_of_the_sweep_shows_every_item_once() {
    let mut table = filled(5_000);
    for mask in [0, 1, 2, 3] {
        let mut seen = HashSet::new();
        let mut cursor = 0;
        let mut calls = 0;
        while !table.sweep(
            &mut cursor,
            37,
            mask,
            &mut |item| {
                assert!(mask == 0 || item.tag() & mask != 0);
                assert!(seen.insert(item.value()));
                Verdict::Keep
            },
            &mut |_, _| unreachable!(),
        ) {
            calls += 1;
        }
        assert_eq!(calls, (table.bucket_count() - 1) / 37);
        let wanted = (0..5_000).filter(|i| mask == 0 || (i % 4) & u64::from(mask) != 0).count();
        assert_eq!(seen.len(), wanted);
    }
}

#[test]
fn a_sweep_removes_and_stops() {
    let mut table = filled(5_000);
    let (mut cursor, mut gone) = (0, Vec::new());
    for _ in 0..10_000 {
        // Items that merges carried behind the cursor are found in a later lap.
        table.sweep(
            &mut cursor,
            5,
            2,
            &mut |item| {
                if item.value() % 16 < 8 { Verdict::Remove } else { Verdict::Keep }
            },
            &mut |item, _| gone.push(item.value()),
        );
    }
    check(&table);
    gone.sort_unstable();
    assert!(gone.into_iter().eq((0..5_000).filter(|i| i % 4 >= 2 && i % 16 < 8)));
    cursor = 0;
    let mut shown = 0;
    let wrapped = table.sweep(
        &mut cursor,
        100,
        0,
        &mut |_| {
            shown += 1;
            Verdict::Stop
        },
        &mut |_, _| unreachable!(),
    );
    assert!(!wrapped && cursor >= 1);
    let mut before = 0;
    (0..cursor).for_each(|index| table.bucket_items(index, &mut |_| before += 1));
    assert_eq!(before, shown);
    // Everything goes, and the buckets with it.
    for _ in 0..10_000 {
        table.sweep(&mut cursor, 50, 0, &mut |_| Verdict::Remove, &mut |_, _| ());
    }
    while table.maintain(10) {}
    assert_eq!((table.len(), table.bucket_count(), table.children, ALIVE.get()), (0, 1, 0, 0));
}

#[test]
fn tags_follow_the_item() {
    let mut table = filled(100);
    let k = key(10);
    let hash = table.hash(&k);
    let stored = |table: &mut Table<Thin>| {
        let mut tags = Vec::new();
        for bit in 0..2 {
            let mut cursor = 0;
            let mut found = false;
            let mut look = |item: &Thin| {
                found |= item.value() == 10;
                Verdict::Keep
            };
            table.sweep(&mut cursor, usize::MAX, 1 << bit, &mut look, &mut |_, _| ());
            tags.push(found);
        }
        tags
    };
    assert_eq!(stored(&mut table), [false, true]);
    let Slot::Occupied(mut slot) = table.slot(hash, &k) else { panic!("10 is there") };
    slot.replace(Thin::new(&k, 10, 3));
    assert_eq!(stored(&mut table), [true, true]);
    let Slot::Occupied(mut slot) = table.slot(hash, &k) else { panic!("10 is there") };
    slot.with_mut(|item| item.set_tag(1));
    assert_eq!(stored(&mut table), [true, false]);
    let mut alias = std::mem::ManuallyDrop::new(Thin(table.get(hash, &k).expect("10 is there").0));
    alias.set_tag(6);
    assert_eq!(stored(&mut table), [true, false]);
    let Slot::Occupied(mut slot) = table.slot(hash, &k) else { panic!("10 is there") };
    slot.retag();
    assert_eq!(stored(&mut table), [false, true]);
    // Splits and merges carry them along.
    (100..3_000).for_each(|i| insert(&mut table, i, 0));
    (100..3_000).for_each(|i| assert!(remove(&mut table, i)));
    assert_eq!(stored(&mut table), [false, true]);
}

/// Pearson's statistic of uniform picks has mean `n - 1` and variance about twice that.
#[test]
fn random_is_fair() {
    for n in [1, 3, 9, 130, 1_000, 1_700] {
        let table = filled(n);
        let mut rng = Rng::seeded(n as u64 + 5);
        let each = 100;
        let mut picks = vec![0_u32; n];
        for _ in 0..each * n {
            let value = table.random(&mut || rng.next_u64()).expect("not empty").value();
            picks[value as usize] += 1;
        }
        let square: f64 = picks.iter().map(|&p| (f64::from(p) - each as f64).powi(2) / each as f64).sum();
        let (mean, deviation) = (n as f64 - 1.0, (2.0 * n as f64).sqrt());
        assert!((square - mean).abs() <= 5.0 * deviation, "{n} items: {square}");
    }
}

#[test]
fn random_finds_the_one_item_of_a_large_table() {
    let mut table: Table<Thin> = Table::with_capacity(1, 100_000);
    insert(&mut table, 5, 0);
    let mut rng = Rng::seeded(8);
    for _ in 0..20 {
        assert_eq!(table.random(&mut || rng.next_u64()).map(|item| item.value()), Some(5));
    }
}

#[test]
fn samples_are_bounded_and_keep_to_the_tag() {
    let table = filled(3_000);
    let mut rng = Rng::seeded(4);
    for mask in [0, 1, 2] {
        let mut all = HashSet::new();
        for n in 0..200 {
            let mut count = 0;
            table.sample(&mut || rng.next_u64(), n % 20, mask, &mut |item| {
                count += 1;
                assert!(mask == 0 || item.tag() & mask != 0);
                all.insert(item.value());
            });
            assert_eq!(count, n % 20);
        }
        assert!(all.len() > 600, "{}", all.len());
    }
    let table = {
        let mut t = Table::new(1);
        insert(&mut t, 1, 0);
        t
    };
    table.sample(&mut || 3, 10, 2, &mut |_| unreachable!());
}

#[test]
fn reserve_makes_room_at_once() {
    let mut table: Table<Thin> = Table::with_capacity(9, 30_000);
    let buckets = table.bucket_count();
    assert_eq!(buckets, 30_000_usize.div_ceil(7));
    (0..30_000).for_each(|i| insert(&mut table, i, 0));
    assert_eq!(table.bucket_count(), buckets);
    table.reserve(40_000);
    assert_eq!(table.bucket_count(), 40_000_usize.div_ceil(7));
    check(&table);
    table.reserve(10);
    assert!(!table.maintain(100));
    table.reserve(200_000);
    while table.maintain(1_000) {}
    assert_eq!(table.bucket_count(), 30_000 / 4 + 1);
    check(&table);
}

#[test]
fn tables_of_one_seed_share_hashes() {
    let (a, b, c): (Table<Thin>, Table<Thin>, Table<Thin>) = (Table::new(1), Table::new(1), Table::new(2));
    let mut apart = 0;
    for i in 0..100 {
        let k = key(i);
        assert_eq!(a.hash(&k), b.hash(&k));
        apart += usize::from(a.hash(&k) != c.hash(&k));
    }
    assert_eq!(apart, 100);
}

/// Shows all of a cut that is left.
fn rest_of_cut(table: &mut Table<Thin>, shown: &mut HashMap<Vec<u8>, u64>) {
    while !table.cut_step(3, &mut |item| {
        assert!(shown.insert(item.key().to_vec(), item.value()).is_none(), "shown twice");
    }) {}
}

/// Whoever changes or removes shows what is due first; then a cut shows the items of its moment, each once, whatever
/// happens meanwhile.
#[test]
fn a_cut_shows_the_items_of_its_moment_once() {
    for seed in 0..if cfg!(miri) { 2 } else { 60 } {
        let mut rng = Rng::seeded(seed);
        let mut table = Table::new(seed);
        let mut model: HashMap<Vec<u8>, u64> = HashMap::new();
        let names = [40, 400, 4_000][seed as usize % 3];
        for round in 0..12 {
            let grows = round % 2 == 0;
            for _ in 0..rng.index(names) {
                change(&mut table, &mut model, &mut rng, names, grows, &mut |_, _| unreachable!("there is no cut"));
            }
            let at_cut = model.clone();
            let mut shown = HashMap::new();
            table.begin_cut(7);
            assert_eq!((table.is_cut(), table.cut_label()), (true, Some(7)));
            for _ in 0..rng.index(names) {
                let grows = grows != (rng.index(4) == 0);
                change(&mut table, &mut model, &mut rng, names, grows, &mut |key, value| {
                    assert!(shown.insert(key.to_vec(), value).is_none(), "shown twice");
                });
                if rng.index(8) == 0 {
                    table.cut_step(rng.index(4), &mut |item| {
                        assert!(shown.insert(item.key().to_vec(), item.value()).is_none(), "shown twice");
                    });
                }
            }
            // Some cuts are given up; the next one has to be right all the same.
            if rng.index(3) > 0 {
                rest_of_cut(&mut table, &mut shown);
                assert_eq!(shown, at_cut);
            }
            table.end_cut();
            assert!(!table.is_cut());
            while table.maintain(10) {}
            check(&table);
            assert_eq!(table.len(), model.len());
        }
    }
}

/// One random insertion, replacement or removal; `due` is told of what the cut has yet to see.
fn change(
    table: &mut Table<Thin>,
    model: &mut HashMap<Vec<u8>, u64>,
    rng: &mut Rng,
    names: usize,
    grows: bool,
    due: &mut dyn FnMut(&[u8], u64),
) {
    let name = key(rng.index(names));
    let hash = table.hash(&name);
    let value = rng.next_u64() >> 1;
    let inserts = rng.index(4) > 0 || grows;
    if rng.index(50) == 0 {
        let mut cursor = rng.index(table.bucket_count().max(1));
        let mut gone = Vec::new();
        let mut wants = |item: &Thin| if item.value().is_multiple_of(3) { Verdict::Remove } else { Verdict::Keep };
        table.sweep(&mut cursor, 4, 0, &mut wants, &mut |item, is_due| {
            if is_due {
                due(item.key(), item.value());
            }
            gone.push(item.key().to_vec());
        });
        gone.iter().for_each(|name| assert!(model.remove(name).is_some()));
    }
    match table.slot(hash, &name) {
        Slot::Vacant(place) if inserts => {
            place.insert(Thin::new(&name, value, (value % 4) as u8));
            model.insert(name, value);
        }
        Slot::Vacant(_) => {}
        Slot::Occupied(mut found) => {
            if found.is_due() {
                due(&name, found.get().value());
                found.set_shown();
            }
            assert!(!found.is_due());
            if inserts {
                found.replace(Thin::new(&name, value, (value % 4) as u8));
                model.insert(name, value);
            } else {
                found.remove();
                model.remove(&name);
            }
        }
    }
}

/// Items that change or go before their turn are kept as they were.
#[test]
fn kept_items_are_those_of_the_cut() {
    let mut table: Table<crate::raw::text::Text> = Table::new(1);
    let text = |n: usize| crate::raw::text::Text::new(&key(n));
    for n in 0..1_000 {
        table.insert_unique(table.hash(&key(n)), text(n));
    }
    table.begin_cut(0);
    let mut shown = HashSet::new();
    table.cut_step(40, &mut |item| assert!(shown.insert(item.bytes().to_vec())));
    for n in (0..1_000).step_by(3) {
        let hash = table.hash(&key(n));
        table.keep(hash, &key(n));
        table.keep(hash, &key(n));
        table.remove(hash, &key(n));
        // A newcomer of the same name is none of the cut's.
        table.insert_unique(hash, text(n));
    }
    table.insert_unique(table.hash(b"late"), crate::raw::text::Text::new(b"late"));
    assert!(table.kept_len() > 100);
    while !table.cut_step(1, &mut |item| assert!(shown.insert(item.bytes().to_vec()))) {}
    for item in table.take_kept() {
        assert!(shown.insert(item.bytes().to_vec()));
    }
    table.end_cut();
    assert_eq!(shown, (0..1_000).map(key).collect());
}
