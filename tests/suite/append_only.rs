//! The append-only file through servers: what is in its files, what is loaded from them, and what is left when a disk fails or
//! the power goes.

use crate::support::client::{Address, Client};
use crate::support::disk::FaultyDisk;
use crate::support::env_number;
use crate::support::scribe::{Model, Written, show, write_until_gone};
use redstart::clock::Rng;
use redstart::server::{Port, Server};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A folder that goes away with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        Folder::at(std::env::temp_dir().join(format!("redstart-aof-{name}-{}", std::process::id())))
    }

    pub fn at(path: PathBuf) -> Folder {
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.0.join("appendonlydir").join(name)
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log(name)).unwrap_or_default()).into_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.0.join("appendonlydir")).unwrap();
        std::fs::write(self.log(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn builder(folder: &Path) -> redstart::server::Builder {
    Server::builder()
        .port(Port::Auto)
        .set("dir", folder.to_str().unwrap())
        .set("appendonly", "yes")
        .set("enable-debug-command", "yes")
}

pub fn start(folder: &Folder) -> Server {
    builder(&folder.0).start().unwrap()
}

pub fn client(server: &Server) -> Client {
    Client::connect(&Address::Tcp(server.address())).unwrap()
}

/// Runs a request; the reply in one-line notation.
pub fn ask(client: &mut Client, request: &str) -> String {
    show(&client.run(request))
}

pub fn wait_for(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn rewrite(client: &mut Client) {
    assert!(ask(client, "BGREWRITEAOF").contains("started"));
    wait_for(|| client.info("aof_rewrite_in_progress") == "0");
}

pub const MANIFEST: &str = "appendonly.aof.manifest";
/// One of each type, with deadlines of keys and of fields.
pub const DATA: &[&str] = &[
    "SET string \"a value\" EX 100000",
    "RPUSH list a b c 12",
    "SADD set x y 7",
    "SADD ints 1 2 3",
    "HSET hash f v g 5",
    "HPEXPIRE hash 100000000 FIELDS 1 g",
    "ZADD zset 1.5 m 2 n -inf least",
    "XADD stream 1-1 f v",
    "XADD stream 2-2 f v g w",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group consumer COUNT 1 STREAMS stream >",
    "XGROUP CREATECONSUMER stream group idle",
    "XDEL stream 2-2",
    "XADD empty 1-1 f v",
    "XDEL empty 1-1",
    "PFADD loglog a b c",
    "SETBIT bits 100 1",
];

pub fn fill(client: &mut Client) {
    for request in DATA {
        assert!(!client.run(request).is_error(), "{request}");
    }
    for i in 0..300 {
        client.run(&format!("RPUSH long {i}"));
        client.run(&format!("ZADD tree {i} member:{i}"));
        client.run(&format!("HSET table field:{i} {i}"));
        client.run(&format!("SADD members member:{i}"));
    }
    client.run("SELECT 5");
    client.run("SET elsewhere 1");
    client.run("SELECT 0");
}

#[test]
fn scripts_choose_who_is_told_of_their_writes() {
    let folder = Folder::new("targets");
    let server = start(&folder);
    let mut c = client(&server);
    let script = "EVAL \"redis.set_repl(redis.REPL_REPLICA) redis.call('set', 'replicas', 1) \
        redis.set_repl(redis.REPL_AOF) redis.call('set', 'file', 1) redis.set_repl(redis.REPL_NONE) redis.call('set', 'nobody', 1) \
        redis.set_repl(redis.REPL_ALL) redis.call('set', 'all', 1)\" 0";
    assert_eq!(ask(&mut c, script), "nil");
    assert_eq!(ask(&mut c, "EXISTS replicas file nobody all"), "4");
    drop(c);
    drop(server);
    let server = start(&folder);
    let mut c = client(&server);
    assert_eq!(ask(&mut c, "EXISTS replicas nobody"), "0");
    assert_eq!(ask(&mut c, "EXISTS file all"), "2");
}

#[test]
fn files_and_their_order() {
    let folder = Folder::new("files");
    let server = start(&folder);
    let mut c = client(&server);
    assert_eq!(
        folder.read(MANIFEST),
        "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    );
    assert_eq!(ask(&mut c, "SET a 1"), "+OK");
    c.run("MULTI");
    c.run("INCR a");
    c.run("INCR b");
    c.run("EXEC");
    c.run("SET e x PX 10000000");
    assert_eq!(ask(&mut c, "WAITAOF 1 0 5000"), "[1, 0]");
    let log = folder.read("appendonly.aof.1.incr.aof").replace("\r\n", " ");
    assert!(log.starts_with("*2 $6 SELECT $1 0 *3 $3 SET $1 a $1 1 *1 $5 MULTI *2 $4 INCR"), "{log}");
    assert!(log.contains("*1 $4 EXEC *5 $3 SET $1 e $1 x $4 PXAT $13 "), "{log}");
    // A rewrite begins a new file, and what was before is removed.
    rewrite(&mut c);
    let manifest = "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
    assert_eq!(folder.read(MANIFEST), manifest);
    wait_for(|| !folder.log("appendonly.aof.1.incr.aof").exists());
    c.run("CONFIG SET aof-use-rdb-preamble no aof-timestamp-enabled yes");
    rewrite(&mut c);
    assert!(folder.read("appendonly.aof.3.base.aof").starts_with("#TS:"));
    c.run("SET c 1");
    c.run("WAITAOF 1 0 5000");
    assert!(folder.read("appendonly.aof.3.incr.aof").starts_with("#TS:"));
    // Off and on again.
    c.run("CONFIG SET appendonly no");
    assert_eq!(c.info("aof_enabled"), "0");
    c.run("SET unlogged 1");
    c.run("CONFIG SET appendonly yes");
    wait_for(|| c.info("aof_rewrite_in_progress") == "0" && c.info("aof_rewrite_scheduled") == "0");
    let digest = ask(&mut c, "DEBUG DIGEST");
    assert_eq!(ask(&mut c, "DEBUG LOADAOF"), "+OK");
    assert_eq!(ask(&mut c, "DEBUG DIGEST"), digest);
    assert_eq!(ask(&mut c, "EXISTS a b c e unlogged"), "5");
}

/// The list must not name files that are about to be removed once the removal was asked for.
#[test]
fn history_is_gone_from_the_list_as_soon_as_it_may_go() {
    let folder = Folder::new("history");
    let server = start(&folder);
    let mut c = client(&server);
    c.run("CONFIG SET aof-disable-auto-gc yes");
    rewrite(&mut c);
    rewrite(&mut c);
    assert_eq!(folder.read(MANIFEST).matches("type h").count(), 4);
    assert_eq!(ask(&mut c, "CONFIG SET aof-disable-auto-gc no"), "+OK");
    let manifest = "file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.3.incr.aof seq 3 type i\n";
    assert_eq!(folder.read(MANIFEST), manifest);
    assert!(ask(&mut c, "INFO stats").contains("total_forks:2"));
}

#[test]
fn every_type_comes_back() {
    for preamble in ["yes", "no"] {
        let folder = Folder::new(&format!("types-{preamble}"));
        let server = start(&folder);
        let mut c = client(&server);
        c.run(&format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
        fill(&mut c);
        let (digest, stream) = (ask(&mut c, "DEBUG DIGEST"), ask(&mut c, "XINFO GROUPS stream"));
        assert_eq!(ask(&mut c, "DEBUG LOADAOF"), "+OK");
        assert_eq!(ask(&mut c, "DEBUG DIGEST"), digest, "the log");
        rewrite(&mut c);
        assert_eq!(ask(&mut c, "DEBUG LOADAOF"), "+OK");
        assert_eq!(ask(&mut c, "DEBUG DIGEST"), digest, "the base, preamble {preamble}");
        assert_eq!(ask(&mut c, "XINFO GROUPS stream"), stream);
        assert_eq!(ask(&mut c, "XLEN empty"), "0");
        drop(server);
        let server = start(&folder);
        assert_eq!(ask(&mut client(&server), "DEBUG DIGEST"), digest, "after a restart");
    }
}

#[test]
fn what_expired_while_it_was_written_is_not_judged_again() {
    let folder = Folder::new("expired");
    let request = |words: &[&str]| {
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text += &format!("${}\r\n{word}\r\n", word.len()));
        text
    };
    let log: String = [
        &["SET", "kept", "5", "PXAT", "1000"][..],
        &["INCR", "kept"],
        &["PERSIST", "kept"],
        &["RPUSH", "gone", "a"],
        &["PEXPIREAT", "gone", "1000"],
        &["RPUSH", "gone", "b"],
        &["HSET", "hash", "kept", "5", "gone", "5"],
        &["HPEXPIREAT", "hash", "1000", "FIELDS", "2", "kept", "gone"],
        &["HINCRBY", "hash", "kept", "1"],
        &["HPERSIST", "hash", "FIELDS", "1", "kept"],
    ]
    .iter()
    .map(|words| request(words))
    .collect();
    folder.write(MANIFEST, "file appendonly.aof.1.incr.aof seq 1 type i\n");
    folder.write("appendonly.aof.1.incr.aof", &log);
    let server = start(&folder);
    let mut c = client(&server);
    assert_eq!(ask(&mut c, "GET kept"), "\"6\"");
    assert_eq!(ask(&mut c, "EXISTS gone"), "0");
    wait_for(|| ask(&mut c, "HGETALL hash") == "[\"kept\", \"6\"]");
    // That they went away is logged now.
    wait_for(|| folder.read("appendonly.aof.1.incr.aof").contains("DEL\r\n$4\r\ngone"));
}

#[test]
fn tails_and_garbage() {
    let folder = Folder::new("tails");
    const INCR: &str = "*2\r\n$4\r\nincr\r\n$1\r\nn\r\n";
    const NAME: &str = "appendonly.aof.1.incr.aof";
    folder.write(MANIFEST, "file appendonly.aof.1.incr.aof seq 1 type i\n");
    let whole = INCR.repeat(3);
    let unfinished = format!("{whole}*1\r\n$5\r\nmulti\r\n{INCR}");
    for text in [format!("{whole}{}", &INCR[..INCR.len() - 1]), format!("{whole}*"), unfinished] {
        folder.write(NAME, &text);
        assert!(builder(&folder.0).set("aof-load-truncated", "no").start().is_err());
        assert_eq!(folder.read(NAME), text, "left as it was");
        let server = start(&folder);
        assert_eq!(ask(&mut client(&server), "GET n"), "\"3\"");
        assert_eq!(folder.read(NAME), whole, "cut");
    }
    // A wrong length makes everything behind it a tail: what is cut off is kept.
    let text = format!("{INCR}{}{INCR}", INCR.replace("$4", "$4000"));
    folder.write(NAME, &text);
    drop(start(&folder));
    let behind = format!("{NAME}.behind-{}", INCR.len());
    assert_eq!((folder.read(NAME), folder.read(&behind)), (INCR.to_owned(), text[INCR.len()..].to_owned()));
    for text in [format!("{INCR}!!!{INCR}"), format!("{INCR}*1\r\n$4\r\nblah\r\n{INCR}")] {
        folder.write(NAME, &text);
        assert!(start_fails(&folder));
        assert_eq!(folder.read(NAME), text);
    }
    // Only the last file may be cut.
    folder.write(MANIFEST, "file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n");
    folder.write(NAME, &whole[..whole.len() - 3]);
    folder.write("appendonly.aof.2.incr.aof", INCR);
    assert!(start_fails(&folder));
    folder.write(NAME, &whole);
    assert_eq!(ask(&mut client(&start(&folder)), "GET n"), "\"4\"");
    std::fs::remove_file(folder.log(NAME)).unwrap();
    assert!(start_fails(&folder));
}

fn start_fails(folder: &Folder) -> bool {
    builder(&folder.0).start().is_err()
}

/// They were skipped without a word: what scripts did in the files of old servers was lost.
#[test]
fn scripts_in_the_log_are_run() {
    let folder = Folder::new("scripts");
    let long = "for i = 1, 300000 do redis.call('PING') end return redis.call('APPEND', KEYS[1], 'c')";
    let lines = [
        "SELECT 9".to_owned(),
        "EVAL \"redis.call('SET', KEYS[1], ARGV[1])\" 1 k a".to_owned(),
        "MULTI".to_owned(),
        "EVAL \"redis.call('APPEND', KEYS[1], ARGV[1])\" 1 k b".to_owned(),
        "INCR n".to_owned(),
        "EXEC".to_owned(),
        format!("EVAL \"{long}\" 1 k"),
        "EVAL \"return redis.call('APPEND', KEYS[1], 'd')\" 1 k".to_owned(),
    ];
    let mut log = Vec::new();
    for line in lines {
        crate::support::notation::encode(&crate::support::notation::split(&line).unwrap(), &mut log);
    }
    folder.write(MANIFEST, "file appendonly.aof.1.incr.aof seq 1 type i\n");
    folder.write("appendonly.aof.1.incr.aof", &String::from_utf8(log).unwrap());
    let server = builder(&folder.0).set("busy-reply-threshold", "1").set("replicaof", "127.0.0.1 1").start().unwrap();
    let mut c = client(&server);
    c.run("SELECT 9");
    assert_eq!(ask(&mut c, "MGET k n"), r#"["abcd", "1"]"#);
    // Monitors are not shown what a file's scripts did.
    let mut monitor = client(&server);
    monitor.run("MONITOR");
    assert_eq!(ask(&mut c, "DEBUG LOADAOF"), "+OK");
    assert_eq!(ask(&mut c, "MGET k n"), r#"["abcd", "1"]"#);
    let shown = monitor.read().unwrap().to_string();
    assert!(shown.ends_with(r#"] "MGET" "k" "n""#), "{shown}");
}

#[test]
fn an_old_single_file_is_taken_over() {
    let folder = Folder::new("old");
    let old = folder.0.join("appendonly.aof");
    std::fs::write(&old, "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$1\r\nv\r\n").unwrap();
    let server = start(&folder);
    assert_eq!(ask(&mut client(&server), "GET k"), "\"v\"");
    assert!(!old.exists());
    let manifest = "file appendonly.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    assert_eq!(folder.read(MANIFEST), manifest);
}

#[test]
fn a_disk_that_fails_refuses_writes_until_it_works_again() {
    for policy in ["everysec", "always"] {
        let folder = Folder::new(&format!("failing-{policy}"));
        let disk = FaultyDisk::new(1);
        let server = builder(&folder.0).set("appendfsync", policy).disk(Arc::new(disk.clone())).start().unwrap();
        let mut c = client(&server);
        assert_eq!(ask(&mut c, "SET a 1"), "+OK");
        disk.set_failures(1000);
        // This one is accepted; under `always` its reply comes when it is safe.
        c.send(&["SET", "a", "2"]).unwrap();
        let mut other = client(&server);
        wait_for(|| other.info("aof_last_write_status") == "err");
        assert_eq!(ask(&mut other, "SET b 1"), "-MISCONF Errors writing to the AOF file: Input/output error");
        assert_eq!(ask(&mut other, "PING"), "-MISCONF Errors writing to the AOF file: Input/output error");
        assert_eq!(other.info("aof_last_write_status"), "err");
        disk.set_failures(0);
        assert_eq!(show(&c.read().unwrap()), "+OK");
        wait_for(|| ask(&mut other, "SET b 2") == "+OK");
        assert_eq!(other.info("aof_last_write_status"), "ok");
        drop(server);
        let server = start(&folder);
        assert_eq!(ask(&mut client(&server), "MGET a b"), "[\"2\", \"2\"]", "{policy}");
    }
}

/// Who waits for safety in the turn that wrote is told by the sync at the end of it, whoever does that.
#[test]
fn a_turn_that_is_synced_ends_the_wait_of_its_own_clients() {
    let folder = Folder::new("own-turn");
    let server = builder(&folder.0).set("appendfsync", "always").start().unwrap();
    let mut c = client(&server);
    for round in 0..20 {
        c.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\nWAITAOF 1 0 0\r\nINCR n\r\nWAITAOF 1 0 0\r\n").unwrap();
        let replies: Vec<String> = (0..4).map(|_| show(&c.read().unwrap())).collect();
        assert_eq!(replies, ["+OK".into(), "[1, 0]".into(), format!("{}", round + 1), "[1, 0]".into()]);
    }
}

/// A manifest that was in its place already when its folder would not sync named a file that was removed again: no start.
#[test]
fn a_folder_that_does_not_sync_loses_no_file() {
    for seed in 0..24 {
        let (folder, copy) = (Folder::new("folder"), Folder::new("folder-copy"));
        let disk = FaultyDisk::new(seed);
        let server = builder(&folder.0).set("appendfsync", "always").disk(Arc::new(disk.clone())).start().unwrap();
        let mut c = client(&server);
        assert_eq!(ask(&mut c, "SET sure 1"), "+OK");
        // It fails from the start of a rewrite on, or in the middle of one.
        disk.set_folders_fail(seed % 2 == 0);
        c.run("BGREWRITEAOF");
        std::thread::sleep(Duration::from_millis(seed % 5));
        disk.set_folders_fail(true);
        let mut other = client(&server);
        let waits = std::thread::spawn(move || ask(&mut other, "SET sure 2"));
        std::thread::sleep(Duration::from_millis(30));
        let (image, wanted): (_, &[&str]) = match seed % 3 {
            0 => {
                disk.lose_power();
                (&folder, &["\"1\"", "\"2\""])
            }
            1 => {
                disk.set_folders_fail(false);
                wait_for(|| ask(&mut c, "SET sure 3") == "+OK");
                assert!(ask(&mut c, "INFO persistence").contains("aof_last_write_status:ok"));
                disk.lose_power();
                (&folder, &["\"3\""])
            }
            // As when the process is killed.
            _ => {
                std::fs::create_dir_all(copy.0.join("appendonlydir")).unwrap();
                for entry in std::fs::read_dir(folder.0.join("appendonlydir")).unwrap() {
                    let path = entry.unwrap().path();
                    let _ = std::fs::copy(&path, copy.0.join("appendonlydir").join(path.file_name().unwrap()));
                }
                (&copy, &["\"1\"", "\"2\""])
            }
        };
        drop((c, server));
        let _ = waits.join();
        let found = ask(&mut client(&start(image)), "GET sure");
        assert!(wanted.contains(&&*found), "seed {seed}: {found}");
    }
}

#[test]
fn the_power_goes_and_nothing_acknowledged_is_lost() {
    const CLIENTS: usize = 4;
    let rounds = env_number("REDSTART_POWER_ROUNDS", 6);
    let seed = env_number("REDSTART_SEED", 1);
    let folder = Folder::new("power");
    let mut models: Vec<Model> = (0..CLIENTS).map(|_| Model::default()).collect();
    let mut rng = Rng::seeded(seed);
    let mut total = 0;
    for round in 0..rounds {
        let disk = FaultyDisk::new(rng.next_u64());
        let server = builder(&folder.0).set("appendfsync", "always").disk(Arc::new(disk.clone())).start().unwrap();
        let address = Address::Tcp(server.address());
        let threads: Vec<_> = (0..CLIENTS)
            .map(|i| {
                let (address, rng) = (address.clone(), Rng::seeded(rng.next_u64()));
                std::thread::spawn(move || write_until_gone(&address, i, rng))
            })
            .collect();
        let mut admin = client(&server);
        for _ in 0..rng.below(6) {
            std::thread::sleep(Duration::from_millis(rng.below(30)));
            match rng.below(4) {
                0 => disk.set_failures(rng.below(300)),
                1 => disk.set_failures(0),
                _ => drop(admin.run("BGREWRITEAOF")),
            }
        }
        std::thread::sleep(Duration::from_millis(rng.below(60)));
        disk.lose_power();
        drop(admin);
        drop(server);
        let written: Vec<Written> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let server = start(&folder);
        let mut c = client(&server);
        for (i, (model, written)) in models.iter_mut().zip(&written).enumerate() {
            total += written.done.len();
            assert_eq!(model.settle(&mut c, i, written, None), 0, "round {round}");
        }
    }
    assert!(total > 0);
}
