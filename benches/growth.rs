//! Shows what growing costs: `N=10000000 cargo bench --bench growth`.
//!
//! Keys are inserted through the whole of a command, with the server's own allocator, in slices of 100. Each slice is timed by
//! the clock and by the CPU time of the thread: a slice that is long by the first and short by the second was interrupted
//! by the machine, not by growing. What the machine does to the CPU time as well shows in the same slices once more, when all
//! keys are there and nothing grows. Then all keys are flushed with their memory freed elsewhere, and dropped one by one.

use std::time::{Duration, Instant};

use redstart::dispatch;
use redstart::resp::request::OwnedRequest;
use redstart::stream::WriteStream;
use redstart::testkit::Kit;
use redstart::world::Listeners;

#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;

const SLICE: u64 = 100;

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the time it is given and nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes resident now, and at most so far.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0 kB");
        line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The longest slices by both clocks.
#[derive(Default)]
struct Slices {
    wall_max: Duration,
    cpu_max: Duration,
    cpu_over_250_us: u64,
    cpu_over_1_ms: u64,
}

impl Slices {
    fn time(&mut self, slice: impl FnOnce()) {
        let (wall_start, cpu_start) = (Instant::now(), cpu());
        slice();
        let (cpu, wall) = (cpu() - cpu_start, wall_start.elapsed());
        self.wall_max = self.wall_max.max(wall);
        self.cpu_max = self.cpu_max.max(cpu);
        self.cpu_over_250_us += u64::from(cpu > Duration::from_micros(250));
        self.cpu_over_1_ms += u64::from(cpu > Duration::from_millis(1));
    }

    fn report(&self, what: &str) {
        println!(
            "{what}: longest slice of {SLICE} by the thread's CPU {:?}, by the clock {:?}; CPU over 250 us: {}, over 1 ms: {}",
            self.cpu_max, self.wall_max, self.cpu_over_250_us, self.cpu_over_1_ms
        );
    }
}

fn execute(kit: &mut Kit, words: &[&[u8]]) {
    let request = OwnedRequest::build(words.iter().copied());
    let command = dispatch::lookup(&kit.world.commands, request.args());
    dispatch::execute(&mut kit.world, &mut kit.session, request.args(), command);
    kit.session.out.clear();
}

fn key(i: u64) -> String {
    format!("key:{i:012}")
}

/// Sets `n` keys, in slices.
fn set_all(kit: &mut Kit, n: u64) -> Slices {
    let (mut slices, value) = (Slices::default(), [b'v'; 32]);
    for first in (0..n).step_by(SLICE as usize) {
        slices.time(|| (first..n.min(first + SLICE)).for_each(|i| execute(kit, &[b"SET", key(i).as_bytes(), &value])));
    }
    slices
}

fn main() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let mut kit = Kit::new();
    (kit.world.stream, kit.world.listeners) = (WriteStream::default(), Listeners::default());
    kit.world.adopt_config();
    for round in ["insert", "insert again after FLUSHALL"] {
        set_all(&mut kit, n).report(round);
        let (now, most) = resident();
        println!("resident {:.1} B/key; at most {:.3} x that", now as f64 / n as f64, most as f64 / now as f64);
        if round == "insert" {
            set_all(&mut kit, n).report("control: set again");
            let mut flush = Slices::default();
            flush.time(|| execute(&mut kit, &[b"FLUSHALL", b"ASYNC"]));
            println!("FLUSHALL ASYNC: CPU {:?}, clock {:?}", flush.cpu_max, flush.wall_max);
            std::thread::sleep(Duration::from_secs(3));
        }
    }
    let mut slices = Slices::default();
    for first in (0..n).step_by(SLICE as usize) {
        slices.time(|| (first..n.min(first + SLICE)).for_each(|i| execute(&mut kit, &[b"DEL", key(i).as_bytes()])));
    }
    slices.report("delete");
}
