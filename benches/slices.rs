//! Shows that the end of a large collection holds nobody up: `N=10000000 cargo bench --bench slices`.
//!
//! For each type a collection of N elements is made and then ended in each way there is. The command is timed by the clock
//! and by the CPU time of the thread, and so are the slices that follow, in which the engine goes on inserting and takes in,
//! as its ticks do, what the other thread frees. A slice that is long by the clock only was interrupted by the machine.

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

fn main() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let mut kit = Kit::new();
    (kit.world.stream, kit.world.listeners) = (WriteStream::default(), Listeners::default());
    kit.world.adopt_config();
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
            let (mut slice_cpu, mut slice_wall) = (Duration::ZERO, Duration::ZERO);
            let mut after = 0_u64;
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1500) {
                let slice = timed(|| {
                    for _ in 0..100 {
                        execute(&mut kit, &[b"SET", format!("after:{:06}", after % 100_000).as_bytes(), &[b'v'; 20]]);
                        after += 1;
                    }
                    let start = Instant::now();
                    while alloc::collect(1) == 1 && start.elapsed() < Duration::from_micros(200) {}
                });
                (slice_cpu, slice_wall) = (slice_cpu.max(slice.0), slice_wall.max(slice.1));
            }
            println!(
                "{kind:5} {name:11} CPU {end_cpu:>9.1?}, clock {end_wall:>9.1?}; then slices of 100 SETs: CPU up to {slice_cpu:>9.1?}, clock {slice_wall:>9.1?}"
            );
            execute(&mut kit, &[b"FLUSHALL"]);
            alloc::collect(usize::MAX);
        }
    }
}
