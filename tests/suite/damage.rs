//! Damaged input: data files, append-only files and payloads, cut at every byte, changed at every byte, and made up. Whatever
//! comes is loaded or refused with file, place and reason; nothing panics, and no file is changed that cannot be read.
//!
//! A sample by default; `REDSTART_DAMAGE=all` for every byte, and `REDSTART_RDB_DIR` for more data files. (What memory is
//! taken shows under `ulimit -v`: no input here justifies more than some megabytes.)

use crate::append_only::{Folder, MANIFEST, ask, builder, client};
use crate::persist::{Content, describe, files, golden, limits};
use crate::support::env;
use redstart::clock::{Clock, Rng};
use redstart::config::{Config, Protected};
use redstart::engine::Mailbox;
use redstart::persist::rdb::encode::Encoder;
use redstart::persist::rdb::load::{AccessMark, Options, Sink, read};
use redstart::resp::request::OwnedRequest;
use redstart::testkit::Kit;
use std::path::Path;

fn everything() -> bool {
    env("REDSTART_DAMAGE").is_some_and(|what| what == "all")
}

/// Every `sample`th place, from a different one each time; or all of them.
fn places(len: usize, sample: usize, rng: &mut Rng) -> Vec<usize> {
    if everything() { (0..len).collect() } else { (rng.below(sample as u64) as usize..len).step_by(sample).collect() }
}

/// From this length on an input is changed in two ways at each place instead of in all: to read it takes long, and to have
/// tried everything would take hours.
const LONG: usize = 2048;

/// What a byte becomes in an input of this length.
fn changes(byte: u8, len: usize, rng: &mut Rng) -> Vec<u8> {
    let marks = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc3, 0xf0, 0xfe, 0xff];
    match everything() && len < LONG {
        true => (0..8).map(|bit| byte ^ 1 << bit).chain(marks).collect(),
        false => vec![byte ^ 1 << rng.below(8), marks[rng.below(12) as usize]],
    }
}

/// Reads a file, and looks at, writes and frees what is in it. False if it is refused.
fn take(bytes: &[u8], checksum: bool, deep: bool) -> bool {
    let mut content = Content::default();
    match read(bytes, bytes.len() as u64, Options { limits: &limits(), checksum, deep }, &mut content) {
        Ok(_) => {
            for (entry, _) in content.entries.values() {
                describe(entry);
                Encoder::new(true).value(entry, &mut Vec::new());
            }
            true
        }
        Err(error) => {
            assert!(error.offset <= bytes.len() as u64 && !error.reason.is_empty(), "{error}");
            false
        }
    }
}

/// Finds the places between the entries of a file.
#[derive(Default)]
struct Cutter {
    cuts: Vec<usize>,
    behind_entry: bool,
}

impl Sink for Cutter {
    fn part(&mut self, offset: u64, _: u8) {
        if self.cuts.is_empty() || std::mem::take(&mut self.behind_entry) {
            self.cuts.push(offset as usize);
        }
    }

    fn entry(&mut self, _: u64, _: redstart::keyspace::Entry, _: AccessMark) -> Result<(), &'static str> {
        self.behind_entry = true;
        Ok(())
    }
}

/// A file as many, each with one of its entries: their damage is the same, and they are read faster.
fn pieces(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut cutter = Cutter::default();
    read(bytes, bytes.len() as u64, Options { limits: &limits(), checksum: true, deep: true }, &mut cutter).unwrap();
    cutter.cuts.push(bytes.len() - 9);
    let piece = |from: usize, to: usize| [&bytes[..9], &bytes[from..to], &[0xff, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    cutter.cuts.windows(2).filter(|cut| cut[0] < cut[1]).map(|cut| piece(cut[0], cut[1])).collect()
}

/// A file of our own with everything.
fn own_file() -> Vec<u8> {
    let folder = Folder::new("damage-own");
    let mut kit = Kit::new();
    kit.world.config.dir = folder.0.to_str().unwrap().into();
    crate::append_only::DATA.iter().for_each(|request| drop(kit.run(request)));
    for i in 0..140 {
        kit.run(&format!("RPUSH long {i} {}", "node ".repeat(20)));
        kit.run(&format!("ZADD tree {i}.5 member:{i}"));
        kit.run(&format!("HSET table field:{i} {i} g{i} {}", "y".repeat(70)));
        kit.run(&format!("HPEXPIRE table 100000 FIELDS 1 g{i}"));
        kit.run(&format!("SADD members member:{i} {i}"));
        kit.run(&format!("XADD log {i}-1 name {i} other text"));
    }
    kit.run("FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 1 end)\"");
    assert_eq!(kit.run("SAVE"), "+OK");
    std::fs::read(folder.0.join("dump.rdb")).unwrap()
}

#[test]
fn data_files() {
    let rng = &mut Rng::seeded(0x0fda);
    let mut found = golden();
    if let Some(folder) = env("REDSTART_RDB_DIR") {
        found.extend(files(Path::new(&folder)));
    }
    let files = found.iter().map(|file| (file.display().to_string(), std::fs::read(file).unwrap()));
    let (mut loaded, mut refused) = (0_u64, 0_u64);
    for (name, bytes) in files.chain([("one of our own".to_owned(), own_file())]) {
        let start = std::time::Instant::now();
        for cut in places(bytes.len(), 17, rng) {
            assert!(!take(&bytes[..cut], rng.below(2) == 0, false), "cut at {cut}");
            refused += 1;
        }
        // The checksum finds everything but itself missing, and versions from before it.
        if bytes[bytes.len() - 8..] != [0; 8] {
            for at in places(bytes.len() - 9, 41, rng).into_iter().map(|at| at + 9) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << rng.below(8);
                assert!(!take(&damaged, true, false), "byte {at}");
            }
        }
        for mut piece in pieces(&bytes) {
            for at in places(piece.len(), 11, rng) {
                let before = piece[at];
                for byte in changes(before, piece.len(), rng) {
                    piece[at] = byte;
                    let both = piece.len() < LONG;
                    for deep in [false, true].into_iter().filter(|deep| both || *deep == (at % 2 == 0)) {
                        *if take(&piece, false, deep) { &mut loaded } else { &mut refused } += 1;
                    }
                }
                piece[at] = before;
            }
        }
        println!("{name}: {} bytes, {:.1} s", bytes.len(), start.elapsed().as_secs_f64());
    }
    println!("{loaded} loaded, {refused} refused");
    assert!(loaded > 100 && refused > 1000);
}

#[test]
fn made_up_data_files() {
    let rng = &mut Rng::seeded(0xbad_f11e);
    for round in 0..if everything() { 2_000_000 } else { 4000 } {
        let mut bytes = if round % 2 == 0 { b"REDIS0012".to_vec() } else { Vec::new() };
        let kinds = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 250, 251, 252, 254];
        bytes.push(kinds[rng.below(27) as usize]);
        for _ in 0..rng.below(60) {
            let byte = [rng.below(256) as u8, rng.below(4) as u8, 0xff, 0x81, 0xc3][rng.below(5) as usize];
            bytes.push(byte);
        }
        take(&bytes, false, round % 3 == 0);
    }
}

/// What clients may ask of a key afterwards.
const ASKED: &[&str] =
    &["TYPE k", "OBJECT ENCODING k", "DUMP k", "COPY k l REPLACE", "DEBUG DIGEST-VALUE k", "MEMORY USAGE k", "SORT k ALPHA"];
const ASKED_OF: [(&str, &[&str]); 6] = [
    ("+string", &["GET k", "STRLEN k", "APPEND k x", "SETRANGE k 5 y", "BITCOUNT k", "PFCOUNT k", "GETRANGE k -3 -1"]),
    (
        "+list",
        &[
            "LRANGE k 0 -1",
            "LINDEX k -1",
            "LPOS k 5",
            "LINSERT k BEFORE 5 x",
            "LSET k 0 y",
            "LREM k 0 1",
            "LPOP k",
            "RPOP k",
            "LTRIM k 1 3",
        ],
    ),
    (
        "+set",
        &["SMEMBERS k", "SISMEMBER k 5", "SRANDMEMBER k -5", "SSCAN k 0", "SADD k 7 x", "SREM k 5", "SPOP k 2", "SUNION k k"],
    ),
    (
        "+zset",
        &[
            "ZRANGE k 0 -1 WITHSCORES",
            "ZRANK k a",
            "ZRANGEBYSCORE k 0 2",
            "ZSCAN k 0",
            "ZADD k 1.5 x",
            "ZINCRBY k 1 a",
            "ZPOPMIN k",
            "ZREM k a",
        ],
    ),
    (
        "+hash",
        &[
            "HGETALL k",
            "HGET k f",
            "HSCAN k 0",
            "HRANDFIELD k -3",
            "HSET k f 1 new 2",
            "HPTTL k FIELDS 1 f",
            "HPEXPIRE k 9 FIELDS 1 f",
            "HDEL k f",
        ],
    ),
    (
        "+stream",
        &[
            "XRANGE k - +",
            "XREVRANGE k + - COUNT 3",
            "XINFO STREAM k FULL",
            "XADD k * f v",
            "XDEL k 1-1",
            "XREADGROUP GROUP g c STREAMS k >",
            "XAUTOCLAIM k g c 0 0",
            "XPENDING k g - + 5",
            "XTRIM k MAXLEN 1",
            "XGROUP DESTROY k g",
        ],
    ),
];

/// Restores a payload and, if it is taken, uses what it made.
fn restore(kit: &mut Kit, payload: &[u8]) -> bool {
    let request: OwnedRequest = [&b"RESTORE"[..], b"k", b"0", payload, b"REPLACE"].into_iter().collect();
    let reply = kit.run_request(&request);
    if reply != "+OK" {
        assert!(reply.starts_with("-ERR Bad data format") || reply.starts_with("-ERR DUMP payload version"), "{reply}");
        return false;
    }
    let kind = kit.run("TYPE k");
    let asked_of = ASKED_OF.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, asked)| asked);
    for request in ASKED.iter().chain(asked_of).chain(&["DUMP k", "DEL k"]) {
        kit.run(request);
    }
    kit.take_propagated();
    kit.take_events();
    true
}

fn restorer() -> Kit {
    let mut kit = Kit::new();
    kit.world.config.enable_debug_command = Protected::Yes;
    assert_eq!(kit.run("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1"), "+OK");
    kit
}

#[test]
fn payloads() {
    let rng = &mut Rng::seeded(0xd0_0d);
    let mut kit = restorer();
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for line in include_str!("../data/dumps.tsv").lines().skip(1) {
        let hex = line.split('\t').nth(4).unwrap();
        let mut payload: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let sanitize = if rng.below(2) == 0 { "yes" } else { "no" };
        kit.run(&format!("CONFIG SET sanitize-dump-payload {sanitize}"));
        kit.world.adopt_config();
        let footer = payload[payload.len() - 10..].to_vec();
        for at in places(payload.len() - 10, 13, rng) {
            let cut = [&payload[..at], &footer].concat();
            *if restore(&mut kit, &cut) { &mut taken } else { &mut refused } += 1;
            let before = payload[at];
            for byte in changes(before, 0, rng) {
                payload[at] = byte;
                *if restore(&mut kit, &payload) { &mut taken } else { &mut refused } += 1;
            }
            payload[at] = before;
        }
        assert!(restore(&mut kit, &payload), "{line}");
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 100 && refused > 300);
}

#[test]
fn made_up_payloads() {
    let rng = &mut Rng::seeded(0x00ff);
    let mut kit = restorer();
    for round in 0..if everything() { 1_000_000 } else { 3000 } {
        let mut payload = vec![rng.below(26) as u8];
        for _ in 0..rng.below(50) {
            payload.push([rng.below(256) as u8, rng.below(4) as u8, 0xff, 0x81, 0xc3][rng.below(5) as usize]);
        }
        payload.extend_from_slice(&[12, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        if round % 500 == 0 {
            kit.run(&format!("CONFIG SET sanitize-dump-payload {}", if round % 1000 == 0 { "yes" } else { "no" }));
            kit.world.adopt_config();
        }
        restore(&mut kit, &payload);
    }
}

/// Requests of all kinds, with a transaction and remarks.
fn log() -> Vec<u8> {
    let mut log = b"#TS:1700000000\r\n".to_vec();
    let in_multi = [&["MULTI"][..], &["INCR", "n"], &["RPUSH", "list", "x"], &["EXEC"]];
    let single = crate::append_only::DATA.iter().map(|line| redstart::testkit::split_line(line));
    let in_multi = in_multi.iter().map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
    for words in single.chain(in_multi) {
        log.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            log.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            log.extend_from_slice(&word);
            log.extend_from_slice(b"\r\n");
        }
    }
    log
}

/// Loads what is in a folder: through a server, or, where there are thousands of files to load, as a server does it.
fn load(folder: &Folder) -> Result<(), String> {
    if !everything() {
        let server = builder(&folder.0).start().map_err(|error| error.to_string())?;
        assert_eq!(ask(&mut client(&server), "PING"), "+PONG");
        return Ok(());
    }
    let config = Config { dir: folder.0.to_str().unwrap().into(), appendonly: true, ..Config::default() };
    let mailbox = Mailbox::new(redstart::server::world(config, Clock::Real, 0, String::new()));
    let runtime = redstart::net::runtime::engine().unwrap();
    runtime.block_on(redstart::engine::loading::at_start(&mailbox))
}

#[test]
fn append_only_files() {
    const NAME: &str = "appendonly.aof.1.incr.aof";
    let rng = &mut Rng::seeded(0xa0f);
    let folder = Folder::new("damage");
    let path = folder.log(NAME);
    let whole = log();
    let mut tries: Vec<(Vec<u8>, bool)> = Vec::new();
    for at in places(whole.len(), 41, rng) {
        tries.push((whole[..at].to_vec(), true));
        for byte in changes(whole[at], 0, rng) {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            tries.push((damaged, false));
        }
    }
    for _ in 0..if everything() { 2000 } else { 10 } {
        tries.push(((0..rng.below(300)).map(|_| rng.below(256) as u8).collect(), false));
    }
    let (mut loaded, mut refused) = (0, 0);
    folder.write(MANIFEST, "");
    for (bytes, is_cut) in tries {
        let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
        std::fs::write(folder.log(MANIFEST), manifest).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        match load(&folder) {
            Ok(()) => {
                loaded += 1;
                let left = std::fs::read(&path).unwrap();
                // But for what expired since: that is added.
                let same = left.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
                assert!(same + 200 > left.len(), "more than its end was changed");
            }
            Err(text) => {
                refused += 1;
                assert!(!is_cut, "a cut file is loaded up to there: {text}");
                assert!(text.contains(NAME) && text.contains("offset"), "{text}");
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "left as it was");
            }
        }
    }
    println!("{loaded} loaded, {refused} refused");
    assert!(loaded > 10 && refused > 10);
}
