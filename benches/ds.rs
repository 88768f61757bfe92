//! Times the hash table at keyspace size: `N=10000000 cargo bench --bench ds`.
//!
//! Items are single allocations of a 16-byte key and a 32-byte value from a bump arena, which
//! stands for the engine's slab, so that the resident bytes per key are those of the design and not
//! of a general allocator.

use std::hint::black_box;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use redstart::raw::table::{Item, Slot, Table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEY: usize = 16;
const ENTRY: usize = 8 + KEY + 32;
const ARENA: usize = 2 << 20;

/// A key and a value behind a header of 8 bytes; never freed.
struct Entry(NonNull<u8>);

// SAFETY: the address is all there is, 8-aligned, and the key is never written to again.
unsafe impl Item for Entry {
    fn into_raw(self) -> NonNull<u8> {
        self.0
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    fn key(&self) -> &[u8] {
        // SAFETY: an entry is ENTRY bytes long.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(8), KEY) }
    }
}

struct Arena {
    at: *mut u8,
    left: usize,
    blocks: usize,
}

impl Arena {
    fn entry(&mut self, key: &[u8; KEY]) -> Entry {
        if self.left < ENTRY {
            // SAFETY: a fresh anonymous mapping; the advice concerns it alone.
            self.at = unsafe {
                let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                let start: *mut u8 = libc::mmap(std::ptr::null_mut(), 2 * ARENA, prot, flags, -1, 0).cast();
                assert!(start.cast() != libc::MAP_FAILED);
                let lead = start.align_offset(ARENA);
                let base = start.add(lead);
                if lead > 0 {
                    libc::munmap(start.cast(), lead);
                }
                libc::munmap(base.add(ARENA).cast(), ARENA - lead);
                if self.blocks >= 16 && std::env::var_os("NO_HUGE").is_none() {
                    libc::madvise(base.cast(), ARENA, libc::MADV_HUGEPAGE);
                }
                base
            };
            self.left = ARENA;
            self.blocks += 1;
        }
        // SAFETY: ENTRY bytes are left at `at`.
        unsafe {
            let entry = self.at;
            entry.write_bytes(7, ENTRY);
            entry.add(8).copy_from_nonoverlapping(key.as_ptr(), KEY);
            self.at = entry.add(ENTRY);
            self.left -= ENTRY;
            Entry(NonNull::new_unchecked(entry))
        }
    }
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn key(n: u64) -> [u8; KEY] {
    let mut key = *b"key:000000000000";
    let mut rest = n;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0) * 1024
}

fn report(what: &str, started: Instant, ops: u64) {
    println!("{what:<32}{:>9.1} ns/op", started.elapsed().as_nanos() as f64 / ops as f64);
}

fn main() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let lookups = n.min(5_000_000);
    let mut rng = Rng(0x1234_5678_9abc_def1);
    let mut arena = Arena { at: std::ptr::null_mut(), left: 0, blocks: 0 };
    let before = resident();

    let mut table: Table<Entry> = Table::new(42);
    let (mut slowest, mut over_50, mut over_200) = (Duration::ZERO, 0, 0);
    let (mut total, mut batch) = (Duration::ZERO, Vec::with_capacity(1024));
    for first in (0..n).step_by(1024) {
        // Entries are made beforehand, so that the arena's page faults are not the table's.
        batch.extend((first..n.min(first + 1024)).map(|i| arena.entry(&key(i))));
        let started = Instant::now();
        let mut last = started;
        for entry in batch.drain(..) {
            let hash = table.hash(entry.key());
            match table.slot(hash, entry.key()) {
                Slot::Vacant(slot) => slot.insert(Entry(entry.0)),
                Slot::Occupied(_) => unreachable!("keys are distinct"),
            }
            let now = Instant::now();
            let took = now - last;
            last = now;
            slowest = slowest.max(took);
            over_50 += u64::from(took > Duration::from_micros(50));
            over_200 += u64::from(took > Duration::from_micros(200));
        }
        total += started.elapsed();
    }
    println!("{:<32}{:>9.1} ns/op", "insert while growing", total.as_nanos() as f64 / n as f64);
    println!("slowest insert {slowest:?}; over 50 us: {over_50}, over 200 us: {over_200}");
    println!(
        "resident {:.1} B/key, of which table {:.2} B/key ({} buckets)",
        (resident() - before) as f64 / n as f64,
        table.memory_bytes() as f64 / n as f64,
        table.bucket_count()
    );

    let started = Instant::now();
    for _ in 0..lookups {
        let key = key(rng.next() % n);
        black_box(table.get(table.hash(&key), &key).is_some());
    }
    report("random hit", started, lookups);

    let started = Instant::now();
    for _ in 0..lookups / 16 {
        let keys: [[u8; KEY]; 16] = std::array::from_fn(|_| key(rng.next() % n));
        let hashes = keys.map(|k| table.hash(&k));
        hashes.iter().for_each(|&h| table.prefetch_bucket(h));
        hashes.iter().for_each(|&h| table.prefetch_items(h));
        for (k, &h) in keys.iter().zip(&hashes) {
            black_box(table.get(h, k).is_some());
        }
    }
    report("random hit, 16 prefetched", started, lookups / 16 * 16);

    let started = Instant::now();
    for _ in 0..lookups {
        let key = key(n + rng.next() % n);
        black_box(table.get(table.hash(&key), &key).is_some());
    }
    report("random miss", started, lookups);

    let started = Instant::now();
    let (mut cursor, mut seen) = (0, 0);
    loop {
        cursor = table.scan(cursor, &mut |e| seen += u64::from(e.key()[0] == b'k'));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, n);
    report("scan, per key", started, n);

    let started = Instant::now();
    assert_eq!(table.iter().map(|e| u64::from(e.key()[0] == b'k')).sum::<u64>(), n);
    report("iterate, per key", started, n);

    let started = Instant::now();
    for _ in 0..lookups / 4 {
        black_box(table.random(&mut || rng.next()).is_some());
    }
    report("fair random item", started, lookups / 4);

    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut last = started;
    for i in 0..n {
        let key = key(i);
        black_box(table.remove(table.hash(&key), &key).is_some());
        let now = Instant::now();
        slowest = slowest.max(now - last);
        last = now;
    }
    report("remove while shrinking", started, n);
    println!("slowest remove {slowest:?}; table left {} B", table.memory_bytes());
}
