//! Replays probes recorded on Redis 8.0.6: `tests/data/errors.tsv` (a request and its exact reply) and
//! `tests/data/replies_resp3.tsv` (the reply in RESP2 and in RESP3).
//!
//! A probe is a set-up, a request, and steps afterwards, separated by ` ;; `: `CMD` on the connection under test, `2> CMD`
//! on a second one, `2~> CMD` there without waiting, `SLEEP s`. `RAW "bytes"*n` is sent as it stands; `$ID` is the
//! connection's client id. Every probe gets an empty keyspace and new connections.
//!
//! `REDSTART_ERRORS` and `REDSTART_REPLIES` select contexts (first columns), separated by semicolons, or `all`.

use crate::support::client::Client;
use crate::support::compare::shape;
use crate::support::env;
use crate::support::notation::{raw, shorten, split, table, unescape};
use crate::support::reply::Reply;
use crate::support::spawn::Server;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Contexts of errors.tsv that the server is expected to get right. (Scripts that run long end when they like, which on a busy
/// machine is during the next probe: that context is replayed on demand.)
const READY_ERRORS: &[&str] = &[
    "wrongtype",
    "arity and unknown",
    "strings",
    "keys",
    "lists",
    "sets",
    "hashes",
    "sorted sets",
    "streams",
    "geo",
    "hyperloglog",
    "transactions",
    "pubsub",
    "scripting",
    "acl",
    "connection and client",
    "config and server",
    "protocol",
    "protocol limits (proto-max-bulk-len 1mb)",
    "authentication (requirepass secret)",
    "out of memory (maxmemory 1, noeviction)",
    "enable-debug-command local",
];
/// Contexts of replies_resp3.tsv that the server is expected to get right.
const READY_REPLIES: &[&str] = &[
    "connection",
    "debug protocol",
    "geo",
    "hashes",
    "keys",
    "lists",
    "pubsub and push",
    "scripting",
    "server",
    "sets",
    "sorted sets",
    "streams",
    "strings",
    "transactions",
];

/// How a context's server comes about.
enum World {
    /// Started with these arguments; then these requests are sent, by a connection that has the password of the world.
    Args(&'static [&'static str], &'static [&'static str]),
    /// As `Args`, and it follows a master that lives.
    Replica,
    /// It is not replayed here, for this reason.
    Skipped(&'static str),
}

/// Contexts that need more than a server as it starts.
const WORLDS: &[(&str, World)] = &[
    ("protocol limits (proto-max-bulk-len 1mb)", World::Args(&["--proto-max-bulk-len", "1mb"], &[])),
    ("authentication (requirepass secret)", World::Args(&["--requirepass", "secret"], &[])),
    ("out of memory (maxmemory 1, noeviction)", World::Args(&["--maxmemory", "1"], &[])),
    ("min-replicas-to-write 1", World::Args(&["--min-replicas-to-write", "1"], &[])),
    ("enable-debug-command local", World::Args(&["--enable-debug-command", "local"], &[])),
    ("debug protocol", World::Args(&["--enable-debug-command", "local"], &[])),
    ("a script runs longer than busy-reply-threshold (10 ms)", World::Args(&["--busy-reply-threshold", "10"], &[])),
    ("cluster-enabled yes, no slots assigned", World::Args(&["--cluster-enabled", "yes"], &[])),
    (
        "cluster-enabled yes, only slots 0-8191 assigned, cluster-require-full-coverage yes",
        World::Args(&["--cluster-enabled", "yes"], &["CLUSTER ADDSLOTSRANGE 0 8191", "SLEEP 0.2"]),
    ),
    (
        "cluster-enabled yes, only slots 0-8191 assigned, cluster-allow-reads-when-down yes",
        World::Args(
            &["--cluster-enabled", "yes", "--cluster-allow-reads-when-down", "yes"],
            &["CLUSTER ADDSLOTSRANGE 0 8191", "SLEEP 0.2"],
        ),
    ),
    (
        "cluster-enabled yes, cluster-require-full-coverage no, only slots 0-8191 assigned",
        World::Args(
            &["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"],
            &["CLUSTER ADDSLOTSRANGE 0 8191", "SLEEP 2.5"],
        ),
    ),
    ("replica (read only)", World::Replica),
    (
        "replica with a dead master, replica-serve-stale-data no",
        World::Args(&["--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"], &[]),
    ),
    ("last BGSAVE failed, stop-writes-on-bgsave-error yes", World::Skipped("needs a disk that fails")),
    ("AOF write failed (file size limit)", World::Skipped("needs a disk that fails")),
    ("maxclients 1, one client connected", World::Skipped("a second connection is needed to prepare, too")),
    ("BGSAVE already running (rdb-key-save-delay)", World::Skipped("needs a save that takes long")),
    ("while an RDB file is being loaded (key-load-delay)", World::Skipped("needs a data file and a server that is not ready")),
    ("two-node cluster, first node holds slots 0-8191, second 8192-16383", World::Skipped("needs two servers that have met")),
    ("cluster", World::Skipped("needs two servers that have met")),
];

/// Requests (their start) whose replies vary, with the reason: only the shape is compared.
const VARYING: &[(&str, &str)] = &[
    ("HELLO", "version and client id"),
    ("CLIENT ID", "counts connections"),
    ("CLIENT INFO", "addresses, ages, sizes"),
    ("CLIENT LIST", "addresses, ages, sizes"),
    ("MEMORY", "sizes"),
    ("LATENCY", "times and advice"),
    ("SLOWLOG", "times and addresses"),
    ("TIME", "the clock"),
    ("LASTSAVE", "the clock"),
    ("MONITOR", "the clock"),
    ("LOLWUT", "art"),
    ("COMMAND", "texts of our own, the order of a hash table, the number of commands"),
    ("ACL CAT", "the order of a hash table"),
    ("DUMP", "the version in the payload"),
    ("FUNCTION DUMP", "the version in the payload"),
    ("XINFO", "idle times"),
    ("XPENDING", "idle times"),
    ("INFO", "statistics"),
    ("MODULE LIST", "modules"),
    ("CONFIG GET maxmemory hz", "the order of a hash table"),
    ("VINFO", "a random level"),
    ("VLINKS", "a random level"),
    ("SRANDMEMBER", "a random pick"),
];

/// Requests (their start) that are left out, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("DEBUG SEGFAULT", "ends the server"),
    ("SHUTDOWN", "ends the server where the check it probes is absent"),
    ("VADD", "there are no vector sets"),
    ("VSIM", "there are no vector sets"),
    ("VDIM", "there are no vector sets"),
    ("VEMB", "there are no vector sets"),
    ("VINFO", "there are no vector sets"),
    ("VSETATTR", "there are no vector sets"),
    ("VGETATTR", "there are no vector sets"),
    ("VRANDMEMBER", "there are no vector sets"),
    ("VREM", "there are no vector sets"),
    ("VLINKS", "there are no vector sets"),
    ("VISMEMBER", "there are no vector sets"),
    ("VCARD", "there are no vector sets"),
    ("SET k v IFEQ x", "a later option"),
    ("BITOP DIFF d a", "a later operation"),
    ("DELIFEQ", "a later command"),
    ("MSETEX", "a later command"),
    ("SCRIPT SHOW", "a later subcommand"),
    ("SCAN 0 TYPE foo", "an unknown type is an error, as in newer servers"),
    ("FOO \"a\\x00b\"", "the original cuts echoed arguments at a zero byte"),
    ("EVAL \"return redis.call('append','k',string.rep('x',1048577))\"", "the original lets scripts exceed the limit"),
];

#[test]
fn errors_are_those_of_redis() {
    let mut probes = Vec::new();
    for row in table(include_str!("../data/errors.tsv")) {
        let &[context, setup, request, afterwards, expected] = &row[..] else { panic!("{row:?}") };
        probes.push(Probe { context, setup, request, afterwards, expected, resp3: false });
    }
    replay(&probes, "REDSTART_ERRORS", READY_ERRORS);
}

#[test]
fn replies_have_the_types_of_redis_in_both_protocols() {
    let mut probes = Vec::new();
    for row in table(include_str!("../data/replies_resp3.tsv")) {
        let &[context, setup, request, afterwards, resp2, resp3] = &row[..] else { panic!("{row:?}") };
        probes.push(Probe { context, setup, request, afterwards, expected: resp2, resp3: false });
        probes.push(Probe { context, setup, request, afterwards, expected: resp3, resp3: true });
    }
    replay(&probes, "REDSTART_REPLIES", READY_REPLIES);
}

struct Probe<'a> {
    context: &'a str,
    setup: &'a str,
    request: &'a str,
    afterwards: &'a str,
    expected: &'a str,
    resp3: bool,
}

/// How long an expected reply may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to watch for a reply that should not come, or may come before the steps afterwards.
const GLANCE: Duration = Duration::from_millis(60);

fn replay(probes: &[Probe<'_>], variable: &str, ready: &[&str]) {
    let selected = env(variable);
    let selected: Option<Vec<&str>> = match selected.as_deref() {
        None => Some(ready.to_vec()),
        Some("all") => None,
        Some(list) => Some(list.split(';').map(str::trim).collect()),
    };
    if selected.as_ref().is_some_and(Vec::is_empty) {
        println!("left out: no context is ready, and {variable} selects none");
        return;
    }
    let mut contexts: Vec<&str> = Vec::new();
    for probe in probes {
        if !contexts.contains(&probe.context) && selected.as_ref().is_none_or(|selected| selected.contains(&probe.context)) {
            contexts.push(probe.context);
        }
    }
    let (mut failures, mut count) = (Vec::new(), 0);
    for context in contexts {
        let (args, prepare): (&[&str], &[&str]) = match WORLDS.iter().find(|(name, _)| *name == context) {
            None => (&[], &[]),
            Some((_, World::Args(args, prepare))) => (args, prepare),
            Some((_, World::Replica)) => (&[], &[]),
            Some((_, World::Skipped(reason))) => {
                println!("left out: {context}: {reason}");
                continue;
            }
        };
        let master =
            matches!(WORLDS.iter().find(|(name, _)| *name == context), Some((_, World::Replica))).then(|| Server::ours(&[]));
        let Some(server) = Server::ours_if_ready(args) else { return };
        for request in prepare {
            step(request, &mut server.client());
        }
        let mut master_port = String::new();
        if let Some(master) = &master {
            master_port = master.port().to_string();
            server.client().run(&format!("REPLICAOF 127.0.0.1 {master_port}"));
            let deadline = Instant::now() + Duration::from_secs(10);
            let up = |info: Reply| String::from_utf8_lossy(info.text().unwrap_or_default()).contains("master_link_status:up");
            while !up(server.client().run("INFO replication")) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        for probe in probes.iter().filter(|probe| probe.context == context) {
            if probe.expected.contains("(the server ended)") || LEFT_OUT.iter().any(|(start, _)| probe.request.starts_with(start))
            {
                continue;
            }
            count += 1;
            if let Err(error) = run(&server, probe, &master_port) {
                let protocol = if probe.resp3 { ", RESP3" } else { "" };
                let (setup, after) = (shorten(probe.setup, 300), probe.afterwards);
                let request = shorten(probe.request, 300);
                failures.push(format!("{context}{protocol}: [{setup}] {request} [{after}]\n{error}"));
            }
        }
    }
    println!("{count} probes");
    assert!(failures.is_empty(), "{} of {count} probes fail:\n{}", failures.len(), failures.join("\n"));
}

/// Connections of a probe by their number.
struct Connections<'a> {
    server: &'a Server,
    all: BTreeMap<u32, Client>,
    id: String,
    master_port: &'a str,
}

impl Connections<'_> {
    fn get(&mut self, number: u32) -> Result<&mut Client, String> {
        if !self.all.contains_key(&number) {
            self.all.insert(number, Client::connect(&self.server.address).map_err(|error| format!("  no connection: {error}"))?);
        }
        self.all.get_mut(&number).ok_or_else(|| "no such connection".into())
    }

    /// Sends a request without waiting.
    fn send(&mut self, number: u32, request: &str) -> Result<(), String> {
        let request = request.replace("$ID", &self.id).replace("$MASTERPORT", self.master_port);
        let client = self.get(number)?;
        let sent = match request.strip_prefix("RAW ") {
            Some(bytes) => client.send_raw(&raw(bytes)?),
            None => client.send(&split(&request)?),
        };
        // A server that refuses a long request may close before it is all sent.
        if request.starts_with("RAW ") { Ok(()) } else { sent.map_err(|error| format!("  {request} cannot be sent: {error}")) }
    }

    /// Takes the steps of a set-up or of what comes afterwards.
    fn steps(&mut self, steps: &str) -> Result<(), String> {
        for step in steps.split(" ;; ").filter(|step| !step.is_empty()) {
            if let Some(seconds) = step.strip_prefix("SLEEP ") {
                std::thread::sleep(Duration::from_secs_f64(seconds.parse().map_err(|_| format!("{step} cannot be read"))?));
                continue;
            }
            let (number, waits, request) = match step.split_once("> ") {
                Some((head, rest)) if head.trim_end_matches('~').parse::<u32>().is_ok() => {
                    (head.trim_end_matches('~').parse().unwrap_or(1), !head.ends_with('~'), rest)
                }
                _ => (1, true, step),
            };
            self.send(number, request)?;
            if waits {
                self.get(number)?.read_within(PATIENCE).map_err(|error| format!("  no reply to {step}: {error}"))?;
            }
        }
        Ok(())
    }
}

/// Prepares an empty server and new connections, and replays a probe.
fn run(server: &Server, probe: &Probe<'_>, master_port: &str) -> Result<(), String> {
    let mut control = Client::connect(&server.address).map_err(|error| format!("  no connection: {error}"))?;
    for request in ["AUTH secret", "FLUSHALL", "FUNCTION FLUSH", "ACL DELUSER u v w", "ACL LOG RESET", "SLOWLOG RESET"] {
        // Not all of them are welcome everywhere.
        control.call(&split(request)?).map_err(|error| format!("  no reply to {request}: {error}"))?;
    }
    let mut connections = Connections { server, all: BTreeMap::new(), id: String::new(), master_port };
    if probe.resp3 {
        connections.get(1)?.call(&["HELLO", "3"]).map_err(|error| format!("  no reply to HELLO 3: {error}"))?;
    }
    if [probe.setup, probe.request, probe.afterwards].iter().any(|text| text.contains("$ID")) {
        let id = connections.get(1)?.call(&["CLIENT", "ID"]).map_err(|error| error.to_string())?;
        connections.id = id.integer().unwrap_or(0).to_string();
    }
    connections.steps(probe.setup)?;

    let (expected, closes) = match probe.expected.strip_suffix("(closed)") {
        Some(rest) => (rest.trim_end(), true),
        None => (probe.expected, false),
    };
    let silent = expected == "(no reply)" || (closes && expected.is_empty());
    let loose = VARYING.iter().any(|(start, _)| probe.request.starts_with(start)) || expected.contains("<text>");
    let mut expected = if silent { Vec::new() } else { unescape(expected) };
    if !silent && !expected.ends_with(b"\r\n") {
        expected.extend_from_slice(b"\r\n");
    }
    let wanted = if loose { count_lines(&expected) } else { decode_all(&expected).map(|all| all.len()) };
    let wanted = wanted.ok_or("  the expectation cannot be read")?;

    connections.send(1, probe.request)?;
    let (mut replies, mut ended) = (Vec::new(), None);
    let mut collect = |client: &mut Client, patience: Duration, most: usize| {
        while ended.is_none() && replies.len() < most {
            match client.read_within(patience) {
                Ok(reply) => replies.push(reply),
                Err(error) => ended = Some(error),
            }
        }
        if ended.as_ref().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
            ended = None;
        }
    };
    if !probe.afterwards.is_empty() {
        collect(connections.get(1)?, GLANCE, wanted);
        // A client that is busy cannot take a step itself; all those steps are for other connections.
        connections.steps(probe.afterwards)?;
    }
    collect(connections.get(1)?, PATIENCE, wanted);
    if silent && !closes {
        collect(connections.get(1)?, GLANCE, 1);
    }
    let closed = closes && (ended.is_some() || connections.get(1)?.closes_within(PATIENCE));
    let shown: Vec<String> = replies.iter().map(|reply| shorten(&reply.to_string(), 600)).collect();
    let told = format!(
        "  ours:   {}{}\n  theirs: {}",
        shown.join(" "),
        if closed { " (closed)" } else { "" },
        shorten(probe.expected, 600)
    );
    if closed != closes {
        return Err(told);
    }
    let as_expected = match decode_all(&expected) {
        Some(expected) => {
            replies.len() == expected.len()
                && replies.iter().zip(&expected).all(|(ours, theirs)| {
                    sorted(ours) == sorted(theirs) || (loose && (shape(ours, theirs) || ours.kind() == theirs.kind()))
                })
        }
        // Texts that the table leaves out make its bytes unreadable: the type must do.
        None => replies.first().map(Reply::kind) == expected.first().copied(),
    };
    if as_expected { Ok(()) } else { Err(told) }
}

/// Sends one request of a preparation.
fn step(request: &str, client: &mut Client) {
    match request.strip_prefix("SLEEP ") {
        Some(seconds) => std::thread::sleep(Duration::from_secs_f64(seconds.parse().unwrap_or(1.0))),
        None => drop(client.run(request)),
    }
}

/// Replies one after another.
fn decode_all(mut bytes: &[u8]) -> Option<Vec<Reply>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (reply, length) = Reply::decode(bytes).ok()??;
        all.push(reply);
        bytes = &bytes[length..];
    }
    Some(all)
}

/// The number of replies, or one if they cannot be read.
fn count_lines(bytes: &[u8]) -> Option<usize> {
    Some(decode_all(bytes).map_or(1, |all| all.len()))
}

/// A reply with the elements of its sets and maps in order.
fn sorted(reply: &Reply) -> Reply {
    match reply {
        Reply::Set(items) => {
            let mut items: Vec<Reply> = items.iter().map(sorted).collect();
            items.sort();
            Reply::Set(items)
        }
        Reply::Map(pairs) => {
            let mut pairs: Vec<(Reply, Reply)> = pairs.iter().map(|(key, value)| (sorted(key), sorted(value))).collect();
            pairs.sort();
            Reply::Map(pairs)
        }
        Reply::Array(items) => Reply::Array(items.iter().map(sorted).collect()),
        _ => reply.clone(),
    }
}
