//! Snapshots hold the data of their moment: seeded histories with a snapshot in flight, whose file is decoded and compared
//! with a model of the keyspace taken when it began.
//!
//! `REDSTART_SNAPSHOT_HISTORIES` says how many (a few hundred if it is not set), `REDSTART_SNAPSHOT_SEED` where to begin.

use crate::persist::describe;
use crate::support::generate::Random;
use crate::support::json::Json;
use redstart::ds::object::Limits;
use redstart::keyspace::Entry;
use redstart::persist::rdb::load::{self, AccessMark, Sink};
use redstart::persist::snapshot::sink::{self, MemorySink};
use redstart::persist::snapshot::{Purpose, Snapshot, start};
use redstart::resp::request::OwnedRequest;
use redstart::testkit::Kit;
use redstart::types::DbIndex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What is at a key.
type Content = BTreeMap<(u64, Vec<u8>), (Option<i64>, Json)>;

fn content_of(kit: &Kit) -> Content {
    let keyspace = &kit.world.keyspace;
    let mut all = Content::new();
    for db in 0..keyspace.databases() as u32 {
        for entry in &keyspace.db(DbIndex(db)).table {
            all.insert((db.into(), entry.key().to_vec()), (entry.deadline(), describe(&entry)));
        }
    }
    all
}

#[derive(Default)]
struct Found(Content);

impl Sink for Found {
    fn entry(&mut self, db: u64, entry: Entry, _: AccessMark) -> Result<(), &'static str> {
        let old = self.0.insert((db, entry.key().to_vec()), (entry.deadline(), describe(&entry)));
        if old.is_some() { Err("twice") } else { Ok(()) }
    }
}

fn content_of_file(bytes: &[u8]) -> Content {
    let limits = Limits::default();
    let options = load::Options { limits: &limits, checksum: true, deep: true };
    let mut found = Found::default();
    load::read(bytes, bytes.len() as u64, options, &mut found).expect("a snapshot is a sound file");
    found.0
}

fn begin(kit: &mut Kit, compression: bool) -> (Snapshot, MemorySink) {
    let sink = MemorySink::default();
    let mut options = kit.world.persistence.options(&kit.world.keyspace, &kit.world.config, false);
    options.compression = compression;
    let snapshot = start(&mut kit.world.keyspace, Purpose::Rdb, options, 0, Box::new(sink.clone())).expect("a thread");
    (snapshot, sink)
}

/// Makes up requests: few keys, so that they meet; collections small, large and in between.
struct History {
    random: Random,
    keys: u64,
    /// Without what depends on chance of the server's own.
    determined: bool,
}

impl History {
    fn key(&mut self) -> String {
        format!("k{}", self.random.below(self.keys))
    }

    fn text(&mut self) -> String {
        let len = match self.random.below(40) {
            0 => 20_000 + self.random.below(40_000),
            1..8 => self.random.below(400),
            _ => self.random.below(40),
        };
        let (letter, number) = (self.random.below(26) as u8, self.random.next());
        format!("{number}{}", ((b'a' + letter) as char).to_string().repeat(len as usize))
    }

    /// How many elements, of how many different ones.
    fn measure(&mut self) -> (u64, u64) {
        match self.random.below(30) {
            0 => (3_000, 4_000),
            1..6 => (400, 1_000),
            _ => (1 + self.random.below(6), 1_000),
        }
    }

    fn many(&mut self, head: &str, each: impl Fn(u64, u64) -> String) -> String {
        let (count, different) = self.measure();
        let mut line = head.to_owned();
        for _ in 0..count {
            let (element, value) = (self.random.below(different), self.random.below(1_000_000));
            line.push(' ');
            line.push_str(&each(element, value));
        }
        line
    }

    fn next(&mut self) -> String {
        let key = self.key();
        let other = self.key();
        let small = self.random.below(1_000);
        match self.random.below(if self.determined { 58 } else { 62 }) {
            0..6 => format!("SET {key} {}", self.text()),
            6 => format!("SET {key} {small} PX {}", self.random.below(400) + 1),
            7 => format!("APPEND s{key} {}", self.text()),
            8 => format!("SETRANGE s{key} {} {}", small * 20, self.text()),
            9 => format!("INCRBY n{key} {small}"),
            10..14 => self.many(&format!("HSET h{key}"), |field, value| format!("f{field} value{value}")),
            14 => self.many(&format!("HDEL h{key}"), |field, _| format!("f{field}")),
            15 => format!("HINCRBY h{key} c{} 5", small % 9),
            16 => format!("HPEXPIRE h{key} {} FIELDS 2 f{} f{}", small * 3 + 1, small, small / 2),
            17..20 => self.many(&format!("SADD t{key}"), |member, _| format!("m{member}")),
            20 => self.many(&format!("SREM t{key}"), |member, _| format!("m{member}")),
            21 => self.many(&format!("SADD t{key}"), |member, _| member.to_string()),
            22..25 => self.many(&format!("ZADD z{key}"), |member, score| format!("{score} m{member}")),
            25 => self.many(&format!("ZREM z{key}"), |member, _| format!("m{member}")),
            26 => format!("ZREMRANGEBYRANK z{key} {} {}", small / 2, small),
            27 => format!("ZPOPMIN z{key} {}", small % 20),
            28..30 => self.many(&format!("RPUSH l{key}"), |element, value| format!("{element}:{value}")),
            30 => self.many(&format!("LPUSH l{key}"), |_, value| "x".repeat((value % 90) as usize + 1)),
            31 => format!("LPOP l{key} {}", small % 50 + 1),
            32 => format!("LTRIM l{key} {} -{}", small % 40, small % 90 + 1),
            33..36 => {
                let fields = self.text();
                format!("XADD x{key} * f {fields} g {small}")
            }
            36 => format!("XTRIM x{key} MAXLEN {}", small / 10),
            37 => format!("XGROUP CREATE x{key} g{} 0 MKSTREAM", small % 4),
            38 => format!("XREADGROUP GROUP g{} c{} COUNT 3 STREAMS x{key} >", small % 4, small % 3),
            39..41 => self.random_place(|place| format!("DEL {place}")),
            41 => self.random_place(|place| format!("UNLINK {place}")),
            42..44 => self.random_two(|from, to| format!("RENAME {from} {to}")),
            44 => self.random_two(|from, to| format!("COPY {from} {to} REPLACE")),
            45 => self.random_place(|place| format!("MOVE {place} {}", small % 3)),
            46 => self.random_two(|from, to| format!("COPY {from} {to} DB {} REPLACE", small % 3)),
            47 => self.random_place(|place| format!("PEXPIRE {place} {}", small + 1)),
            48 => self.random_place(|place| format!("PERSIST {place}")),
            49 => self.random_place(|place| format!("SET {place} over")),
            50 => format!("SELECT {}", small % 3),
            51 if small < 300 => format!("SWAPDB {} {}", small % 3, small / 3 % 3),
            52 if small < 150 => "FLUSHDB".to_owned(),
            53 if small < 20 => "FLUSHALL ASYNC".to_owned(),
            54 => format!("SUNIONSTORE t{key} t{key} t{other}"),
            55 => format!("ZUNIONSTORE z{key} 2 z{other} t{key}"),
            56 => format!("RESTORE r{key} 0 {}", r#""\x00\xc0\n\x0b\x00\xd6\xb8\xc1N\xbc\x14\xcb\x02""#),
            58 => format!("SPOP t{key} {}", small % 20),
            59 => format!("SPOP t{key} {}", small * 3),
            60 => format!("SRANDMEMBER t{key} 3"),
            _ => format!("GET {key}"),
        }
    }

    fn random_place(&mut self, f: impl Fn(&str) -> String) -> String {
        let kind = ["", "s", "n", "h", "h", "t", "t", "z", "z", "l", "l", "x"][self.random.below(12) as usize];
        let place = format!("{kind}{}", self.key());
        f(&place)
    }

    fn random_two(&mut self, f: impl Fn(&str, &str) -> String) -> String {
        let kind = ["", "h", "t", "z", "l", "x"][self.random.below(6) as usize];
        let (from, to) = (format!("{kind}{}", self.key()), format!("{kind}{}", self.key()));
        f(&from, &to)
    }

    /// Some requests, now and then a crowd of keys that come or go, now and then time that passes.
    fn run(&mut self, kit: &mut Kit, requests: u64) {
        for _ in 0..requests {
            if self.random.below(60) == 0 {
                let count = self.random.below(1_500);
                let go = self.random.percent(50);
                for n in 0..count {
                    let line = if go { format!("DEL crowd{n}") } else { format!("SET crowd{n} {n}") };
                    kit.run(&line);
                }
            }
            if self.random.below(25) == 0 {
                kit.advance(self.random.below(300) as i64);
                kit.sweep();
            }
            let line = self.next();
            let request: OwnedRequest = redstart::testkit::split_line(&line).iter().map(|arg| arg.as_slice()).collect();
            kit.run_request(&request);
        }
    }
}

/// One history. Panics where the file differs from the model.
fn history(seed: u64) {
    let mut random = Random::new(seed);
    let determined = random.percent(50);
    let keys = [5, 40, 400][random.below(3) as usize];
    let mut history = History { random: random.clone(), keys, determined };
    let mut kit = Kit::new();
    let before = history.random.below(150);
    history.run(&mut kit, before);
    for round in 0..1 + history.random.below(3) {
        let model = content_of(&kit);
        let compression = history.random.percent(50);
        let (mut snapshot, sink) = begin(&mut kit, compression);
        let turns = history.random.below(30);
        for _ in 0..turns {
            let requests = history.random.below(12);
            history.run(&mut kit, requests);
            let buckets = history.random.below(4) as usize;
            kit.world.keyspace.cut_step(buckets);
        }
        if history.random.below(8) == 0 {
            snapshot.cancel(&mut kit.world.keyspace);
        } else {
            if history.random.percent(50) {
                snapshot.step(&mut kit.world.keyspace, Duration::ZERO);
            }
            let written = snapshot.complete(&mut kit.world.keyspace).expect("memory does not fail");
            let bytes = sink.take();
            assert_eq!(written, bytes.len() as u64, "seed {seed}");
            same(&content_of_file(&bytes), &model, seed, round);
        }
        let after = history.random.below(20);
        history.run(&mut kit, after);
        tables_agree(&kit, seed);
    }
    if determined {
        unmoved(&mut kit, random, keys, seed);
    }
}

/// The same requests without any snapshot lead to the same data.
fn unmoved(kit: &mut Kit, random: Random, keys: u64, seed: u64) {
    let mut twin = Kit::new();
    let mut history = History { random, keys, determined: true };
    let before = history.random.below(150);
    history.run(&mut twin, before);
    for _ in 0..1 + history.random.below(3) {
        history.random.percent(50);
        let turns = history.random.below(30);
        for _ in 0..turns {
            let requests = history.random.below(12);
            history.run(&mut twin, requests);
            history.random.below(4);
        }
        if history.random.below(8) != 0 {
            history.random.percent(50);
        }
        let after = history.random.below(20);
        history.run(&mut twin, after);
    }
    // Which of the keys past their deadline are gone already depends on where they lie.
    let now = twin.world.keyspace.env.now();
    let live = |kit: &Kit| {
        let mut content = content_of(kit);
        content.retain(|_, (deadline, _)| deadline.is_none_or(|deadline| deadline >= now));
        content
    };
    same(&live(kit), &live(&twin), seed, 99);
}

fn tables_agree(kit: &Kit, seed: u64) {
    let keyspace = &kit.world.keyspace;
    for db in (0..keyspace.databases() as u32).map(DbIndex) {
        let table = &keyspace.db(db).table;
        let volatile = table.iter().filter(|entry| entry.deadline().is_some()).count();
        assert_eq!((table.iter().count(), volatile), (table.len(), keyspace.db(db).meta.volatile), "seed {seed}");
        assert!(!table.is_cut());
    }
}

fn same(found: &Content, wanted: &Content, seed: u64, round: u64) {
    let show = |key: &(u64, Vec<u8>)| format!("seed {seed}, round {round}: {} {}", key.0, String::from_utf8_lossy(&key.1));
    for (key, value) in wanted {
        match found.get(key) {
            None => panic!("{}: missing", show(key)),
            Some(other) if other != value => panic!("{}: {other:?} in place of {value:?}", show(key)),
            Some(_) => {}
        }
    }
    if let Some(key) = found.keys().find(|key| !wanted.contains_key(key)) {
        panic!("{}: too much", show(key));
    }
}

/// Takes some bytes, then fails; or fails at the very end.
struct Failing {
    room: usize,
    abandoned: Arc<AtomicUsize>,
}

impl sink::Sink for Failing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.room = self.room.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("no room"))?;
        Ok(())
    }

    fn finish(&mut self, _: &[u8; 9]) -> std::io::Result<()> {
        Err(std::io::Error::other("not safe"))
    }

    fn abandon(&mut self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a snapshot goes to may fail at any time: it is told, nothing is left behind, and the data are as they were.
#[test]
fn a_sink_that_fails_ends_the_snapshot() {
    for room in [0, 8, 9, 1_000, 300_000, usize::MAX] {
        let mut kit = Kit::new();
        for n in 0..20_000 {
            kit.run(&format!("SET key{n} a-value-of-some-length-{}", n * 7_919));
        }
        let abandoned = Arc::new(AtomicUsize::new(0));
        let options = kit.world.persistence.options(&kit.world.keyspace, &kit.world.config, false);
        let sink = Box::new(Failing { room, abandoned: abandoned.clone() });
        let mut snapshot = start(&mut kit.world.keyspace, Purpose::Rdb, options, 0, sink).expect("a thread");
        snapshot.step(&mut kit.world.keyspace, Duration::ZERO);
        kit.run("SET key1 other");
        kit.run("DEL key2");
        let error = snapshot.complete(&mut kit.world.keyspace).expect_err("the sink fails");
        assert_eq!(error.to_string(), if room == usize::MAX { "not safe" } else { "no room" }, "{room}");
        assert_eq!(abandoned.load(Ordering::Relaxed), 1);
        tables_agree(&kit, 0);
        assert_eq!(kit.run("DBSIZE"), "19999");
    }
}

/// A hash of many fields is in the file as it was, though it was written to, renamed, removed and replaced meanwhile, and
/// no writer had to wait until it was recorded.
#[test]
fn a_large_collection_is_recorded_while_it_changes() {
    let mut kit = Kit::new();
    for n in 0..60_000 {
        kit.run(&format!("HSET big field{n} value{n}"));
    }
    let model = content_of(&kit);
    let (mut snapshot, sink) = begin(&mut kit, true);
    kit.run("HSET big field7 changed new here");
    kit.run("HDEL big field8");
    let keyspace = &mut kit.world.keyspace;
    for _ in 0..50 {
        assert!(snapshot.step(keyspace, Duration::ZERO));
    }
    kit.run("HSET big field7 changed-again field59999 changed");
    kit.run("RENAME big other");
    kit.run("HSET other field100 changed");
    kit.run("SET big short");
    kit.run("MOVE other 1");
    assert!(!snapshot.is_walked());
    // A database that was empty when the snapshot began, flushed with what was moved there.
    kit.run("SELECT 1");
    kit.run("FLUSHDB");
    snapshot.complete(&mut kit.world.keyspace).expect("memory does not fail");
    same(&content_of_file(&sink.take()), &model, 0, 0);
}

/// The same of a list and of a stream, whose nodes have an order: written to at both ends and inside, trimmed, moved, emptied.
#[test]
fn long_lists_and_streams_are_recorded_while_they_change() {
    let mut kit = Kit::new();
    kit.run("XGROUP CREATE stream group 0 MKSTREAM");
    for n in 0..30_000 {
        kit.run(&format!("RPUSH list element{n}-{}", "x".repeat(n % 50)));
        kit.run(&format!("XADD stream {}-1 field value{n}", n + 1));
    }
    kit.run("XREADGROUP GROUP group me COUNT 100 STREAMS stream >");
    let model = content_of(&kit);
    let (mut snapshot, sink) = begin(&mut kit, true);
    for line in ["LPUSH list new", "RPUSH list new", "LSET list 15000 changed", "LINSERT list BEFORE element20000- in"] {
        kit.run(line);
    }
    for line in ["XADD stream * new entry", "XDEL stream 20000-1", "XTRIM stream MAXLEN 25000", "XACK stream group 5501-1"] {
        kit.run(line);
    }
    for _ in 0..20 {
        // A writer that is behind stops the walk early.
        snapshot.step(&mut kit.world.keyspace, Duration::ZERO);
    }
    for line in ["LTRIM list 10 20000", "RENAME list other", "LREM other 0 element15001-x", "RPOPLPUSH other list"] {
        kit.run(line);
    }
    for line in ["XDEL stream 29999-1", "XTRIM stream MINID 28000", "MOVE stream 1", "XGROUP DESTROY stream group", "DEL other"] {
        kit.run(line);
    }
    assert!(!snapshot.is_walked());
    kit.run("SELECT 1");
    kit.run("XTRIM stream MAXLEN 0");
    kit.run("DEL stream");
    snapshot.complete(&mut kit.world.keyspace).expect("memory does not fail");
    same(&content_of_file(&sink.take()), &model, 0, 0);
}

/// Takes nothing before it is told to.
struct Gated(std::sync::mpsc::Receiver<()>, MemorySink);

impl sink::Sink for Gated {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // Once the other side is gone this does not wait.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn finish(&mut self, header: &[u8; 9]) -> std::io::Result<()> {
        self.1.finish(header)
    }

    fn abandon(&mut self) {
        self.1.abandon();
    }
}

/// What is recorded ahead of the walk is bounded: whoever writes faster than the disk takes it is made to wait.
#[test]
fn writers_are_held_while_too_much_waits_for_the_disk() {
    let mut kit = Kit::new();
    let value = "v".repeat(100_000);
    for n in 0..1000 {
        kit.run(&format!("SET key{n} {value}"));
    }
    let model = content_of(&kit);
    let (gate, closed) = std::sync::mpsc::channel();
    let (sink, options) = (MemorySink::default(), kit.world.persistence.options(&kit.world.keyspace, &kit.world.config, false));
    let gated = Box::new(Gated(closed, sink.clone()));
    let mut snapshot = start(&mut kit.world.keyspace, Purpose::Rdb, options, 0, gated).expect("a thread");
    let held_at = (0..1000).find(|n| {
        kit.run(&format!("SET key{n} x"));
        snapshot.holds_writers()
    });
    let least = snapshot.queued_limit() / value.len();
    assert!(held_at.is_some_and(|n| (least - 10..least + 30).contains(&n)), "{held_at:?}, limit {least} values");
    drop(gate);
    while snapshot.holds_writers() {
        snapshot.step(&mut kit.world.keyspace, Duration::from_millis(1));
        std::thread::yield_now();
    }
    kit.run("SET key999 x");
    snapshot.complete(&mut kit.world.keyspace).expect("memory does not fail");
    same(&content_of_file(&sink.take()), &model, 0, 0);
}

#[test]
fn snapshots_hold_the_data_of_their_moment() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let histories: u64 = number("REDSTART_SNAPSHOT_HISTORIES").unwrap_or(if cfg!(debug_assertions) { 150 } else { 300 });
    let first: u64 = number("REDSTART_SNAPSHOT_SEED").unwrap_or(1);
    (first..first + histories).for_each(history);
}
