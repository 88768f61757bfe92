//! Real servers as replicas: a full sync while writes of all types go on, connections that are cut and go on where they
//! were, and at the end the same data. Left out where there is no redis-server; `REDSTART_PEER` names another one.

use crate::support::client::Client;
use crate::support::generate::{FAMILIES, Generator, Row};
use crate::support::reply::Reply;
use crate::support::spawn::{Server, peer};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Pairs of a replica's data with the primary's.
struct Pair {
    primary: Server,
    replica: Server,
    /// Connections that only look.
    looks: (Client, Client),
}

impl Pair {
    fn start(settings: &[&str]) -> Option<Pair> {
        let peer = peer()?;
        let debug = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
        let primary = Server::ours(&[&debug[..], settings].concat());
        let replica = Server::start(&peer, &debug[..2]).unwrap_or_else(|error| panic!("the peer does not start: {error}"));
        let looks = (primary.client(), replica.client());
        Some(Pair { primary, replica, looks })
    }

    fn follow(&mut self) {
        let port = self.primary.port();
        assert_eq!(self.looks.1.run(&format!("REPLICAOF 127.0.0.1 {port}")).to_string(), "OK");
    }

    /// Waits until the replica is in step.
    fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (here, there) = &mut self.looks;
            let offset = here.info("master_repl_offset");
            if there.info("master_link_status") == "up" && there.info("slave_repl_offset") == offset {
                return;
            }
            let logs = (self.primary.log(), self.replica.log());
            assert!(Instant::now() < deadline, "not in step at {offset}\n{}\n{}", logs.0, logs.1);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Both hold the same keys with the same values and deadlines.
    fn compare(&mut self, what: &str) {
        self.settle();
        for db in 0..16 {
            self.looks.0.run(&format!("SELECT {db}"));
            self.looks.1.run(&format!("SELECT {db}"));
            let (here, there) = (keys(&mut self.looks.0), keys(&mut self.looks.1));
            let show = |keys: Vec<&Vec<u8>>| {
                keys.iter().take(5).map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
            };
            assert_eq!(show(here.difference(&there).collect()), show(there.difference(&here).collect()), "{what}: keys of {db}");
            for key in &here {
                let (ours, theirs) = (value(&mut self.looks.0, key), value(&mut self.looks.1, key));
                assert_eq!(ours, theirs, "{what}: {}", String::from_utf8_lossy(key));
            }
        }
    }
}

/// A key's deadline and value as text that does not depend on how a server stores or prints it.
fn value(client: &mut Client, key: &[u8]) -> Vec<String> {
    let mut ask = |command: &str, rest: &[&str]| {
        let mut args = vec![command.as_bytes().to_vec(), key.to_vec()];
        args.extend(rest.iter().map(|word| word.as_bytes().to_vec()));
        client.call(&args).unwrap_or_else(|error| panic!("{command}: {error}"))
    };
    let kind = ask("TYPE", &[]).to_string();
    let read = match kind.as_str() {
        "string" => ask("GET", &[]),
        "list" => ask("LRANGE", &["0", "-1"]),
        "set" => ask("SMEMBERS", &[]),
        "zset" => ask("ZRANGE", &["0", "-1", "WITHSCORES"]),
        "hash" => ask("HGETALL", &[]),
        _ => ask("XRANGE", &["-", "+"]),
    };
    let mut parts: Vec<String> = match &read {
        Reply::Array(parts) => parts.iter().map(Reply::to_string).collect(),
        other => vec![other.to_string()],
    };
    match kind.as_str() {
        "set" => parts.sort(),
        "hash" => {
            let mut pairs: Vec<String> = parts.chunks(2).map(|pair| pair.join(" = ")).collect();
            pairs.sort();
            parts = pairs;
        }
        // Some print more digits than others.
        "zset" => {
            for score in parts.iter_mut().skip(1).step_by(2) {
                *score = format!("{:?}", score.trim_matches('"').parse::<f64>());
            }
        }
        _ => {}
    }
    parts.push(ask("PEXPIRETIME", &[]).to_string());
    parts
}

fn keys(client: &mut Client) -> BTreeSet<Vec<u8>> {
    let Reply::Array(keys) = client.run("KEYS *") else { return BTreeSet::new() };
    keys.into_iter().filter_map(|key| if let Reply::Bulk(key) = key { Some(key) } else { None }).collect()
}

/// Commands whose effects the replica cannot follow: those that it does not have. Redis 7.0 does not read small sets and
/// streams as later versions write them.
fn beyond(client: &mut Client) -> BTreeSet<&'static str> {
    let is_old = client.run("INFO server").to_string().contains("redis_version:7.0");
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    for family in FAMILIES {
        let too_new = is_old && ["sets", "streams"].contains(&family.name);
        for name in family.rows.iter().map(Row::name) {
            if too_new || is_unknown(client, name) {
                left_out.insert(name);
            }
        }
    }
    // They bring about sets, too.
    if is_old {
        left_out.extend(["SADD", "SMOVE", "SUNIONSTORE", "SDIFFSTORE", "SINTERSTORE", "XADD", "RESTORE"]);
    }
    left_out
}

fn is_unknown(client: &mut Client, name: &str) -> bool {
    client.run(&format!("COMMAND INFO {name}")).items().is_none_or(|found| found.iter().all(Reply::is_null))
}

/// Sends made-up requests of all families until `enough` says so, or so many.
fn load(client: &mut Client, seed: u64, left_out: &BTreeSet<&str>, count: usize, mut enough: impl FnMut() -> bool) {
    let mut generator = Generator::new(seed, &[], left_out);
    let mut sent = 0;
    while sent < count && !enough() {
        let mut batch = Vec::new();
        while batch.len() < 200 {
            batch.extend(generator.unit());
        }
        sent += batch.len();
        let (_, ended) = client.pipeline(&batch);
        ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// A full sync in the midst of writes, cut connections, and the same data at the end.
fn follow(settings: &[&str]) {
    let Some(mut pair) = Pair::start(settings) else { return };
    let mut left_out = beyond(&mut pair.looks.1);
    left_out.extend(["DEBUG", "SHUTDOWN", "FLUSHALL", "CLIENT", "RESET", "QUIT", "HELLO", "OBJECT"]);
    let mut client = pair.primary.client();
    client.run("DEBUG POPULATE 20000 filler 100");
    load(&mut client, 1, &left_out, 20_000, || false);
    pair.follow();
    let (mut watch, deadline) = (pair.replica.client(), Instant::now() + PATIENCE);
    load(&mut client, 2, &left_out, usize::MAX, || {
        watch.run("INFO replication").to_string().contains("master_link_status:up") || Instant::now() > deadline
    });
    load(&mut client, 3, &left_out, 20_000, || false);
    pair.compare("after the full sync");
    for seed in 4..7 {
        assert_eq!(client.run("CLIENT KILL TYPE replica").to_string(), "(integer) 1", "{}", pair.primary.log());
        load(&mut client, seed, &left_out, 4000, || false);
        pair.compare("after a cut");
    }
    assert_eq!(client.info("sync_full"), "1");
    assert_eq!(client.info("sync_partial_ok"), "3");
    // Deadlines that pass here, and that a replica hears of.
    for n in 0..100 {
        client.run(&format!("SET short:{n} v PX {}", 1 + n));
    }
    let deadline = Instant::now() + PATIENCE;
    while client.run("EXISTS short:99").to_string() != "(integer) 0" && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    load(&mut client, 7, &left_out, 4000, || false);
    assert_eq!(client.run("WAIT 1 10000").to_string(), "(integer) 1");
    pair.compare("at the end");
}

#[test]
fn a_real_server_follows_without_a_file() {
    follow(&["--repl-diskless-sync", "yes", "--repl-backlog-size", "64mb"]);
}

#[test]
fn a_real_server_follows_by_way_of_a_file() {
    follow(&["--repl-diskless-sync", "no", "--repl-backlog-size", "64mb"]);
}
