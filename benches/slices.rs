//! Shows that the end of a large collection holds nobody up: `N=10000000 cargo bench --bench slices`.
//!
//! For each type a collection of N elements is made and then ended in each way there is. The command is timed by the clock
//! and by the CPU time of the thread, and so are the slices that follow, in which the engine goes on inserting and takes in,
//! as its ticks do, what the other thread frees. A slice that is long by the clock only was interrupted by the machine; what a
//! machine that is not alone on its cores adds to the CPU time as well, the lines at the beginning tell, where nothing is freed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redstart::dispatch;
use redstart::raw::alloc;
use redstart::resp::request::OwnedRequest;
use redstart::stream::WriteStream;
use redstart::testkit::Kit;
use redstart::world::Listeners;

#[global_allocator]
static ALLOCATOR: alloc::Allocator = alloc::Allocator;

/// Elements that one command adds.
const PER_COMMAND: u64 = 1000;

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the time it is given and nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time and time that something takes.
fn timed(f: impl FnOnce()) -> (Duration, Duration) {
    let (wall, start) = (Instant::now(), cpu());
    f();
    (cpu() - start, wall.elapsed())
}

fn execute(kit: &mut Kit, words: &[&[u8]]) {
    let request = OwnedRequest::build(words.iter().copied());
    let command = dispatch::lookup(&kit.world.commands, request.args());
    dispatch::execute(&mut kit.world, &mut kit.session, request.args(), command);
    assert!(!kit.session.out.bytes.starts_with(b"-"), "{}", String::from_utf8_lossy(&kit.session.out.bytes));
    kit.session.out.clear();
}

/// Adds elements from `first` on to the collection, in one command or, where the type knows none, in many.
fn fill(kit: &mut Kit, kind: &str, first: u64, count: u64) {
    let texts: Vec<String> = (first..first + count).map(|i| format!("element:{i:09}")).collect();
    let numbers: Vec<String> = (first..first + count).map(|i| (i * 7919 % 1_000_003).to_string()).collect();
    let mut words: Vec<&[u8]> = Vec::new();
    match kind {
        "HSET" | "ZADD" => {
            words.extend([kind.as_bytes(), b"big"]);
            for (text, number) in texts.iter().zip(&numbers) {
                let pair = if kind == "HSET" { [text, number] } else { [number, text] };
                words.extend(pair.map(|word| word.as_bytes()));
            }
            execute(kit, &words);
        }
        "XADD" => texts.iter().for_each(|text| execute(kit, &[b"XADD", b"big", b"*", b"field", text.as_bytes()])),
        _ => {
            words.extend([kind.as_bytes(), b"big"]);
            words.extend(texts.iter().map(|text| text.as_bytes()));
            execute(kit, &words);
        }
    }
}

/// The longest of many slices.
#[derive(Default)]
struct Slices {
    count: u32,
    over_a_millisecond: u32,
    cpu: Duration,
    wall: Duration,
}

impl Slices {
    /// Goes on inserting for a while.
    fn of(kit: &mut Kit) -> Slices {
        let mut slices = Slices::default();
        let mut after = 0_u64;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1500) {
            let (cpu, wall) = timed(|| {
                for _ in 0..100 {
                    execute(kit, &[b"SET", format!("after:{:06}", after % 100_000).as_bytes(), &[b'v'; 20]]);
                    after += 1;
                }
                let start = Instant::now();
                while alloc::collect(1) == 1 && start.elapsed() < Duration::from_micros(200) {}
                alloc::giver::tidy();
            });
            slices.count += 1;
            slices.over_a_millisecond += u32::from(cpu > Duration::from_millis(1));
            (slices.cpu, slices.wall) = (slices.cpu.max(cpu), slices.wall.max(wall));
        }
        slices
    }
}

impl std::fmt::Display for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Slices { count, over_a_millisecond, cpu, wall } = self;
        write!(f, "{count} slices of 100 SETs: CPU up to {cpu:>9.1?} ({over_a_millisecond} above 1 ms), clock {wall:>9.1?}")
    }
}

/// What the machine itself does to slices: with nothing to be freed, alone and beside a thread that is as busy with memory as the
/// one that frees.
fn control(kit: &mut Kit) {
    for round in 1..=3 {
        println!("nothing freed, alone, {round}: {}", Slices::of(kit));
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::black_box(vec![1_u8; 16 << 20]);
                }
            });
            println!("nothing freed, beside a busy thread, {round}: {}", Slices::of(kit));
            ends.store(true, Ordering::Relaxed);
        });
    }
    execute(kit, &[b"FLUSHALL"]);
}

fn main() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let mut kit = Kit::new();
    (kit.world.stream, kit.world.listeners) = (WriteStream::default(), Listeners::default());
    kit.world.adopt_config();
    alloc::giver::start();
    control(&mut kit);
    let ends: [(&str, &[&[u8]]); 4] = [
        ("DEL", &[b"DEL", b"big"]),
        ("UNLINK", &[b"UNLINK", b"big"]),
        ("expiry", &[b"PEXPIRE", b"big", b"1"]),
        ("SET over it", &[b"SET", b"big", b"x"]),
    ];
    for kind in ["HSET", "SADD", "ZADD", "RPUSH", "XADD"] {
        for (name, words) in ends {
            for first in (0..n).step_by(PER_COMMAND as usize) {
                fill(&mut kit, kind, first, PER_COMMAND.min(n - first));
            }
            let (mut end_cpu, mut end_wall) = timed(|| execute(&mut kit, words));
            if name == "expiry" {
                kit.advance(10);
                (end_cpu, end_wall) = timed(|| kit.sweep());
            }
            let slices = Slices::of(&mut kit);
            println!("{kind:5} {name:11} CPU {end_cpu:>9.1?}, clock {end_wall:>9.1?}; then {slices}");
            execute(&mut kit, &[b"FLUSHALL"]);
            alloc::collect(usize::MAX);
        }
    }
}
