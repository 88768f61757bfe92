//! Times commands without sockets and without the decoder: `N=100000 cargo bench --bench command`.
//!
//! Each figure is what the engine spends on one request that is decoded already: admission, lookup, change, reply. Nobody
//! listens to the write stream or to events, as in a server without replicas. N is how many keys there are, for seeing what
//! a larger keyspace costs; keys are chosen at random.

use std::time::Instant;

use redstart::dispatch;
use redstart::resp::request::OwnedRequest;
use redstart::stream::WriteStream;
use redstart::testkit::Kit;
use redstart::world::Listeners;

#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;

/// Requests made beforehand and run in turn.
const REQUESTS: usize = 8192;
/// The best of this many rounds counts.
const ROUNDS: usize = 5;
const CALLS: usize = 200_000;

struct Bench {
    kit: Kit,
    keys: u64,
    rng: u64,
}

impl Bench {
    fn new(keys: u64) -> Self {
        let mut kit = Kit::new();
        (kit.world.stream, kit.world.listeners) = (WriteStream::default(), Listeners::default());
        kit.world.adopt_config();
        let effects = &mut kit.world.keyspace.env.effects;
        (effects.watch_modified, effects.notify) = (false, 0);
        Bench { kit, keys, rng: 0x1234_5678_9abc_def1 }
    }

    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng % n
    }

    fn execute(&mut self, requests: &[(OwnedRequest, Option<u16>)]) {
        let Kit { world, session, .. } = &mut self.kit;
        for (request, command) in requests {
            dispatch::execute(world, session, request.args(), *command);
            session.out.clear();
        }
    }

    fn with_commands(&self, requests: Vec<OwnedRequest>) -> Vec<(OwnedRequest, Option<u16>)> {
        let commands = &self.kit.world.commands;
        let found = |request: OwnedRequest| {
            let command = dispatch::lookup(commands, request.args());
            assert!(command.is_some());
            (request, command)
        };
        requests.into_iter().map(found).collect()
    }

    /// Runs the same template for the keys from 0 on.
    fn fill(&mut self, template: &str) {
        let requests: Vec<_> = (0..self.keys).map(|n| expand(template, &mut |_| n)).collect();
        let requests = self.with_commands(requests);
        self.execute(&requests);
    }

    /// Times requests made from these templates in turn. In a template `{key}` is one of the keys, `{miss}` none of them,
    /// `{n}` a number below their count, `{field}` one below 64.
    fn time(&mut self, name: &str, templates: &[&str]) {
        let keys = self.keys;
        let mut requests = Vec::with_capacity(REQUESTS);
        for i in 0..REQUESTS {
            let template = templates[i % templates.len()];
            requests.push(expand(template, &mut |what| match what {
                "key" | "n" => self.below(keys),
                "miss" => keys + self.below(keys),
                _ => self.below(64),
            }));
        }
        let requests = self.with_commands(requests);
        let first = dispatch_reply(&mut self.kit, &requests[0]);
        assert!(!first.starts_with('-'), "{name}: {first}");
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            for _ in 0..CALLS / REQUESTS {
                self.execute(&requests);
            }
            best = best.min(started.elapsed().as_nanos() as f64 / (CALLS / REQUESTS * REQUESTS) as f64);
        }
        println!("{name:<30}{best:>9.1} ns");
    }
}

fn dispatch_reply(kit: &mut Kit, (request, _): &(OwnedRequest, Option<u16>)) -> String {
    kit.run_request(request)
}

fn expand(template: &str, choose: &mut dyn FnMut(&str) -> u64) -> OwnedRequest {
    let mut request = OwnedRequest::default();
    for word in template.split(' ') {
        match word.find('{').zip(word.find('}')) {
            Some((open, close)) => {
                let n = choose(&word[open + 1..close]);
                let text = match &word[open + 1..close] {
                    "n" => format!("{n}"),
                    "field" => format!("{n:02}"),
                    _ => format!("{n:012}"),
                };
                request.push(format!("{}{text}{}", &word[..open], &word[close + 1..]).as_bytes());
            }
            None => request.push(word.as_bytes()),
        }
    }
    request
}

fn main() {
    let keys = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000).max(1);
    let value = "v".repeat(32);
    let mut bench = Bench::new(keys);
    println!("{keys} keys");
    bench.fill(&format!("SET key:{{key}} {value}"));
    bench.fill("SET count:{key} 0");
    bench.time("PING", &["PING"]);
    bench.time("GET hit", &["GET key:{key}"]);
    bench.time("GET miss", &["GET key:{miss}"]);
    bench.time("SET over", &[&format!("SET key:{{key}} {value}")]);
    bench.time("SET over, EX", &[&format!("SET key:{{key}} {value} EX 1000")]);
    bench.time("SET new, DEL", &[&format!("SET fresh {value}"), "DEL fresh"]);
    bench.time("INCR", &["INCR count:{key}"]);
    bench.time("EXPIRE", &["EXPIRE key:{key} 1000"]);
    bench.time("EXISTS", &["EXISTS key:{key}"]);
    bench.time("MGET of 10", &[&format!("MGET{}", " key:{key}".repeat(10))]);
    bench.time("MSET of 10", &[&format!("MSET{}", format!(" key:{{key}} {value}").repeat(10))]);
    bench.time("SETBIT", &["SETBIT bits {n} 1"]);
    bench.time("PFADD", &["PFADD visits {key}"]);
    bench.time("HSET, 64 fields", &["HSET hash f{field} value"]);
    bench.time("HGET, 64 fields", &["HGET hash f{field}"]);
    bench.time("HSET, N fields", &["HSET large {key} value"]);
    bench.time("HGET, N fields", &["HGET large {key}"]);
    bench.time("LPUSH, RPOP", &[&format!("LPUSH list {value}"), "RPOP list"]);
    bench.time("LPUSH, LTRIM, LRANGE of 100", &["LPUSH range a b c d e f g h i j", "LTRIM range 0 99", "LRANGE range 0 99"]);
    bench.time("SADD, N members", &["SADD set {key}"]);
    bench.time("SISMEMBER, N members", &["SISMEMBER set {key}"]);
    bench.time("ZADD, N members", &["ZADD ranks {n} {key}"]);
    bench.time("ZSCORE, N members", &["ZSCORE ranks {key}"]);
    bench.time("ZRANGE of 10", &["ZRANGE ranks 100 109"]);
    bench.time("XADD", &["XADD stream MAXLEN ~ 1000 * field value"]);
}
