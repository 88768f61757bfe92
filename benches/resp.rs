//! Times the request decoder and the reply writer on warm buffers: `cargo bench --bench resp`.

use std::hint::black_box;
use std::time::Instant;

use redstart::resp::decode::{Decoder, Limits, Step};
use redstart::resp::number;
use redstart::resp::reply::{Output, ReplyWriter};

/// One request as clients send it.
fn encode(args: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

fn set(value_bytes: usize) -> Vec<Vec<u8>> {
    vec![b"SET".to_vec(), b"key:000000012345".to_vec(), vec![b'v'; value_bytes]]
}

fn mset(keys: usize) -> Vec<Vec<u8>> {
    let pairs = (0..keys).flat_map(|n| [format!("key:{n:012}").into_bytes(), vec![b'v'; 32]]);
    std::iter::once(b"MSET".to_vec()).chain(pairs).collect()
}

/// Nanoseconds for one call, the best of several rounds.
fn best_ns(mut run: impl FnMut()) -> f64 {
    const CALLS: u32 = 100_000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| run());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..7).map(round).fold(f64::INFINITY, f64::min)
}

/// Decodes a buffer that holds `pipeline` equal requests; nanoseconds per request.
fn decode_ns(request: &[Vec<u8>], pipeline: usize) -> f64 {
    let mut input = Vec::new();
    (0..pipeline).for_each(|_| encode(request, &mut input));
    let mut spans = Vec::new();
    let limits = Limits::default();
    let total = best_ns(|| {
        spans.clear();
        let mut decoder = Decoder::default();
        let mut found = 0;
        while let Step::Request { count, .. } = decoder.next(black_box(&mut input), &mut spans, &limits) {
            found += 1;
            black_box(count);
        }
        assert_eq!(found, pipeline);
    });
    total / pipeline as f64
}

/// Nanoseconds for one reply.
fn write_ns(resp3: bool, write: impl Fn(&mut ReplyWriter<'_>)) -> f64 {
    let mut out = Output::default();
    best_ns(|| {
        out.clear();
        write(&mut ReplyWriter::new(&mut out, resp3));
        black_box(&out.bytes);
    })
}

fn replies() {
    let (short, long) = ([b'v'; 32], [b'v'; 1024]);
    let print = |name: &str, ns: f64| println!("reply {name:<22} {ns:7.1} ns");
    print("OK", write_ns(false, |reply| reply.ok()));
    print("nil", write_ns(false, |reply| reply.null()));
    print("integer 1", write_ns(false, |reply| reply.integer(black_box(1))));
    print("integer 1234567890", write_ns(false, |reply| reply.integer(black_box(1_234_567_890))));
    print("bulk, 32 bytes", write_ns(false, |reply| reply.bulk(black_box(&short))));
    print("bulk, 1 KB", write_ns(false, |reply| reply.bulk(black_box(&long))));
    print("double 0.1, RESP2", write_ns(false, |reply| reply.double(black_box(0.1))));
    print("double 0.1, RESP3", write_ns(true, |reply| reply.double(black_box(0.1))));
    for (name, resp3) in [("map of 10, RESP2", false), ("map of 10, RESP3", true)] {
        let ns = write_ns(resp3, |reply| {
            reply.map(10);
            for _ in 0..10 {
                reply.bulk(black_box(b"field"));
                reply.bulk(black_box(&short));
            }
        });
        print(name, ns);
    }
    let deferred = write_ns(false, |reply| {
        let array = reply.array_deferred();
        (0..10).for_each(|_| reply.bulk(black_box(&short)));
        reply.finish(array, 10);
    });
    print("deferred array of 10", deferred);
}

fn main() {
    println!("SET, 32-byte value, alone    {:7.1} ns", decode_ns(&set(32), 1));
    println!("SET, 32-byte value, P16      {:7.1} ns", decode_ns(&set(32), 16));
    println!("SET, 1 KB value, P16         {:7.1} ns", decode_ns(&set(1024), 16));
    println!("GET, P16                     {:7.1} ns", decode_ns(&set(0)[..2], 16));
    println!("MSET of 10 keys              {:7.1} ns", decode_ns(&mset(10), 1));
    replies();

    let mut out = Vec::with_capacity(64);
    let mut print = |name: &str, value: f64| {
        let ns = best_ns(|| {
            out.clear();
            number::write_f64(&mut out, black_box(value));
        });
        println!("write double {name:<15} {ns:7.1} ns");
    };
    print("12345", 12345.0);
    print("0.1", 0.1);
    print("1.2345678901e100", 1.2345678901e100);
    for text in ["12345", "0.1", "1.2345678901e100"] {
        let double = best_ns(|| {
            black_box(number::parse_f64(black_box(text.as_bytes())));
        });
        let long = best_ns(|| {
            black_box(number::LongDouble::parse(black_box(text.as_bytes())));
        });
        println!("read {text:<18} double {double:7.1} ns, long double {long:7.1} ns");
    }
}
