//! Times a whole server over loopback: one client thread that sends 1 or 16 requests at a time and waits for the replies:
//! `N=100000 cargo bench --bench server`.
//!
//! This is what one caller sees, and so it is mostly the kernel's time: two trips through the loopback device and two wake-ups
//! per round. Throughput with many clients is for redis-benchmark and memtier_benchmark to measure.
//! Where the scheduler puts the two threads makes a factor of two: compare runs under `taskset` only.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use redstart::server::{Port, Server};

#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;

const KEYS: usize = 10_000;
const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

fn request(args: &[&str]) -> String {
    args.iter().fold(format!("*{}\r\n", args.len()), |text, arg| format!("{text}${}\r\n{arg}\r\n", arg.len()))
}

/// Sends `n` requests, `pipeline` at a time; `reply` is what each must get.
fn run(stream: &mut TcpStream, name: &str, n: usize, pipeline: usize, make: impl Fn(&str) -> String, reply: &str) {
    let rounds = n.div_ceil(pipeline);
    // Made beforehand, so that the client's own work is small.
    let made = |round: usize| -> String {
        (0..pipeline).map(|i| make(&format!("key:{:012}", (round * pipeline + i) * 7919 % KEYS))).collect()
    };
    let requests: Vec<String> = (0..rounds.min(KEYS / pipeline)).map(made).collect();
    let expected = reply.repeat(pipeline);
    let mut got = vec![0; expected.len()];
    let mut took = Vec::with_capacity(rounds);
    let started = Instant::now();
    for round in 0..rounds {
        let sent = Instant::now();
        stream.write_all(requests[round % requests.len()].as_bytes()).expect("the server takes requests");
        stream.read_exact(&mut got).expect("the server answers");
        took.push(sent.elapsed());
        assert!(got == expected.as_bytes(), "{name}: {}", String::from_utf8_lossy(&got));
    }
    let total = started.elapsed();
    took.sort_unstable();
    let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
    println!(
        "{name} P{pipeline:<4}{:>12.0} requests/s   per round: mean {:>6.1} us, median {:>6.1} us, 99% {:>6.1} us",
        (rounds * pipeline) as f64 / total.as_secs_f64(),
        micros(total) / rounds as f64,
        micros(took[rounds / 2]),
        micros(took[(rounds - 1) * 99 / 100]),
    );
}

fn main() {
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000).max(1);
    let server = Server::builder().port(Port::Auto).start().expect("the server starts");
    let mut stream = TcpStream::connect(server.address()).expect("the server is there");
    stream.set_nodelay(true).expect("a TCP socket");
    let hit = format!("${}\r\n{VALUE}\r\n", VALUE.len());
    let get = |key: &str| request(&["GET", key]);
    let set = |key: &str| request(&["SET", key, VALUE]);
    // 7919 is prime to the number of keys, so that this writes each of them.
    run(&mut stream, "fill", KEYS, 16, set, "+OK\r\n");
    for pipeline in [1, 16] {
        let n = if pipeline == 1 { n } else { n * 4 };
        run(&mut stream, "SET ", n, pipeline, set, "+OK\r\n");
        run(&mut stream, "GET ", n, pipeline, get, &hit);
    }
}
