//! Shows that the end of a large collection holds nobody up: `N=10000000 cargo bench --bench slices`.
//!
//! For each type a collection of N elements is made and then ended in each way there is. The command is timed by the clock
//! and by the CPU time of the thread, and so are the slices that follow, in which the engine goes on inserting and takes in,
//! as its ticks do, what the other thread frees. A slice that is long by the clock only was interrupted by the machine; what a
//! machine that is not alone on its cores adds to the CPU time as well, the lines at the beginning tell, where nothing is freed,
//! and one for each type, where the engine's thread only reads the clock while the other one frees.
//! Of each slice that is long the parts are told: the core was away where a single SET took it all and no page was missing.

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

/// The end after which the engine's thread does nothing: what its slices show comes from the machine.
const IDLE: &str = "(idle)";

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

/// What the kernel has counted of this thread: page faults, how often it waited, how often it was put aside.
fn counted() -> [i64; 3] {
    // SAFETY: a structure of integers, of which all may be zero.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes the structure it is given and nothing else.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    [usage.ru_minflt + usage.ru_majflt, usage.ru_nvcsw, usage.ru_nivcsw]
}

/// Milliseconds that the host has taken from this machine's cores so far, as far as it tells.
fn stolen() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().and_then(|line| line.split_whitespace().nth(8)).and_then(|ticks| ticks.parse::<u64>().ok());
    ticks.unwrap_or(0) * 10
}

/// The longest of many slices, and what there is to tell about each that is longer than it should be.
#[derive(Default)]
struct Slices {
    count: u32,
    cpu: Duration,
    wall: Duration,
    stolen: u64,
    long: Vec<String>,
}

impl Slices {
    /// Does `slice` again and again for a while. It notes how long its parts took, if it has some: the last for taking in.
    fn of(mut slice: impl FnMut(&mut Vec<Duration>)) -> Slices {
        let mut slices = Slices::default();
        let mut parts = Vec::with_capacity(101);
        let stolen_before = stolen();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1500) {
            parts.clear();
            let before = counted();
            let (cpu, wall) = timed(|| slice(&mut parts));
            slices.count += 1;
            if cpu > Duration::from_millis(1) {
                let now = counted();
                let [faults, waits, pauses] = [0, 1, 2].map(|index| now[index] - before[index]);
                let mut told = format!("CPU {cpu:.1?}, clock {wall:.1?}: ");
                if let Some((taking_in, sets)) = parts.split_last_mut() {
                    sets.sort_unstable();
                    let [middle, second, first] = [sets.len() / 2, sets.len() - 2, sets.len() - 1].map(|index| sets[index]);
                    told += &format!("longest SETs {first:.1?} and {second:.1?}, one in the middle {middle:.1?}, ");
                    told += &format!("taking in {taking_in:.1?}; ");
                }
                told += &format!("{faults} page faults, waited {waits} times, put aside {pauses} times");
                slices.long.push(told);
            }
            (slices.cpu, slices.wall) = (slices.cpu.max(cpu), slices.wall.max(wall));
        }
        slices.stolen = stolen() - stolen_before;
        slices
    }

    /// Reads the clock, in slices as long as those that insert and take in, and nothing else.
    fn of_nothing() -> Slices {
        Slices::of(|_| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(300) {}
        })
    }

    /// Goes on inserting, and takes in what was freed.
    fn of_inserting(kit: &mut Kit) -> Slices {
        let mut after = 0_u64;
        Slices::of(|parts| {
            let mut last = Instant::now();
            let mut step = || {
                let now = Instant::now();
                parts.push(now - last);
                last = now;
            };
            for _ in 0..100 {
                execute(kit, &[b"SET", format!("after:{:06}", after % 100_000).as_bytes(), &[b'v'; 20]]);
                after += 1;
                step();
            }
            let start = Instant::now();
            while alloc::collect(1) == 1 && start.elapsed() < Duration::from_micros(200) {}
            alloc::giver::tidy();
            step();
        })
    }
}

impl std::fmt::Display for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Slices { count, cpu, wall, stolen, long } = self;
        write!(f, "{count} slices: CPU up to {cpu:>9.1?} ({} above 1 ms), clock {wall:>9.1?}", long.len())?;
        write!(f, ", {stolen} ms taken by the host")?;
        long.iter().try_for_each(|slice| write!(f, "\n    {slice}"))
    }
}

/// What the machine itself does to slices: with nothing to be freed, alone and beside a thread that is as busy with memory as the
/// one that frees.
fn control(kit: &mut Kit) {
    for round in 1..=3 {
        println!("nothing freed, alone, {round}: {}", Slices::of_inserting(kit));
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::black_box(vec![1_u8; 16 << 20]);
                }
            });
            println!("nothing freed, beside a busy thread, {round}: {}", Slices::of_inserting(kit));
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
    let ends: [(&str, &[&[u8]]); 5] = [
        (IDLE, &[b"UNLINK", b"big"]),
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
            let slices = if name == IDLE { Slices::of_nothing() } else { Slices::of_inserting(&mut kit) };
            println!("{kind:5} {name:11} CPU {end_cpu:>9.1?}, clock {end_wall:>9.1?}; then {slices}");
            execute(&mut kit, &[b"FLUSHALL"]);
            alloc::collect(usize::MAX);
        }
    }
}
