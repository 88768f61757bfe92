//! Files that go from one server to another: what we write is read by the others with the same content, key by key, and what
//! they write is read by us; data files and append-only files.
//!
//! `REDSTART_PEER` is the other server's command line (`chroot FOLDER /usr/bin/valkey-server`); else `redis-server` on PATH.

use crate::append_only::{DATA, Folder, ask, client, fill, rewrite, start, wait_for};
use crate::support::client::Client;
use crate::support::reply::Reply;
use crate::support::scribe::show;
use crate::support::spawn::{Program, Server as Process, peer};
use redstart::clock::Rng;
use redstart::server::{Port, Server};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The other server, and what it can take.
struct Peer {
    program: Program,
    /// Where it sees its folders, if it runs under chroot.
    root: String,
    /// Redis 7.0 knows RDB 10, and Valkey none of Redis' deadlines of fields.
    old: bool,
    fields: bool,
}

impl Peer {
    fn find() -> Option<Peer> {
        let program = peer()?;
        let root = match &program {
            Program::CommandLine(words) if words.len() > 2 && words[0].ends_with("chroot") => words[1].clone(),
            _ => String::new(),
        };
        let version = {
            let peer = Process::start(&program, &[]).unwrap();
            let info = peer.client().run("INFO server");
            String::from_utf8_lossy(info.text().unwrap_or_default()).into_owned()
        };
        let old = version.contains("redis_version:7.0");
        Some(Peer { program, root, old, fields: !old && !version.contains("valkey") })
    }

    fn folder(&self, name: &str) -> Folder {
        let name = format!("interop-{name}-{}", std::process::id());
        if self.root.is_empty() { Folder::new(&name) } else { Folder::at(Path::new(&self.root).join("tmp").join(name)) }
    }

    fn start(&self, folder: &Folder, args: &[&str]) -> Process {
        let dir = folder.0.to_str().unwrap().trim_start_matches(&*self.root);
        Process::start(&self.program, &[&["--dir", dir, "--enable-debug-command", "yes"], args].concat()).unwrap()
    }
}

/// Ends a server that has written what it was to write.
fn end(peer: Process, c: &mut Client) {
    c.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    c.closes_within(Duration::from_secs(10));
    drop(peer);
}

/// Values of all types and encodings, from a seed.
fn scatter(c: &mut Client, seed: u64) {
    let mut rng = Rng::seeded(seed);
    let word = |rng: &mut Rng| -> Vec<u8> {
        match rng.below(9) {
            0..3 => (rng.next_u64() as i64 >> rng.below(64)).to_string().into_bytes(),
            3 => vec![b'a' + rng.below(26) as u8; rng.below(200) as usize],
            4 => (0..rng.below(60)).map(|_| rng.below(256) as u8).collect(),
            5 => format!("{}{}", "the same again and again, ".repeat(rng.below(8) as usize), rng.below(99)).into_bytes(),
            6 if rng.below(12) == 0 => vec![b'L'; 9000 + rng.below(9000) as usize],
            _ => format!("word:{}", rng.below(5000)).into_bytes(),
        }
    };
    let send = |c: &mut Client, words: Vec<Vec<u8>>| {
        let reply = c.call(&words).unwrap();
        assert!(!reply.is_error(), "{words:?}: {}", show(&reply));
    };
    for i in 0..150_u64 {
        let len = [1_u64, 3, 20, 130, 600][rng.below(5) as usize];
        let key = |kind: &str| format!("{kind}:{i}").into_bytes();
        let text = |text: &str| text.as_bytes().to_vec();
        match i % 7 {
            0 => send(c, vec![text("SET"), key("string"), word(&mut rng)]),
            1 => {
                for _ in 0..=len / 8 {
                    let words = (0..8).map(|_| word(&mut rng));
                    send(c, [text("RPUSH"), key("list")].into_iter().chain(words).collect());
                }
            }
            2 => {
                for _ in 0..len {
                    send(c, vec![text("SADD"), key("set"), word(&mut rng)]);
                }
            }
            3 => {
                let bits = rng.below(62);
                for _ in 0..len.min(400) {
                    let number = (rng.next_u64() as i64 >> (63 - bits)).to_string().into_bytes();
                    send(c, vec![text("SADD"), key("ints"), number]);
                }
            }
            4 => {
                for _ in 0..len {
                    let value = word(&mut rng);
                    send(c, vec![text("HSET"), key("hash"), word(&mut rng), value]);
                }
            }
            5 => {
                for _ in 0..len {
                    let scores = ["inf", "-inf", "0", "-0", "1.5", "1e300", "3", "-17", "0.1", "123456789012345680"];
                    let score = text(scores[rng.below(10) as usize]);
                    send(c, vec![text("ZADD"), key("zset"), score, word(&mut rng)]);
                }
            }
            _ => {
                for n in 1..=len {
                    let (name, value) = (word(&mut rng), word(&mut rng));
                    send(c, vec![text("XADD"), key("stream"), text(&format!("{n}-{}", n % 3)), name, value]);
                }
                for n in (1..len).step_by(3) {
                    send(c, vec![text("XDEL"), key("stream"), text(&format!("{n}-{}", n % 3))]);
                }
                send(c, vec![text("XGROUP"), text("CREATE"), key("stream"), text("group"), text("0")]);
                let read = ["XREADGROUP", "GROUP", "group", "reader", "COUNT", "9", "STREAMS"].map(text);
                send(c, read.into_iter().chain([key("stream"), text(">")]).collect());
            }
        }
        if rng.below(4) == 0 {
            let kind = ["string", "list", "set", "ints", "hash", "zset", "stream"][i as usize % 7];
            send(c, vec![text("PEXPIRE"), key(kind), (100_000_000 + rng.below(1 << 30)).to_string().into_bytes()]);
        }
    }
}

#[test]
fn data_files() {
    let Some(peer) = Peer::find() else { return };
    for compression in ["yes", "no"] {
        let folder = peer.folder(&format!("rdb-{compression}"));
        let ours = || {
            let builder = Server::builder().port(Port::Auto).set("dir", folder.0.to_str().unwrap());
            builder.set("rdbcompression", compression).set("enable-debug-command", "yes").start().unwrap()
        };
        let server = ours();
        let mut c = client(&server);
        fill(&mut c);
        scatter(&mut c, 1);
        if !peer.fields {
            c.run("DEL hash");
        }
        if peer.old {
            // Of kinds that came later: sets in listpacks, and consumers that tell when they were active.
            drop_what_is_new(&mut c);
        }
        assert_eq!(ask(&mut c, if compression == "yes" { "SAVE" } else { "BGSAVE" }).as_bytes()[0], b'+');
        wait_for(|| c.info("rdb_bgsave_in_progress") == "0");
        let told = contents(&mut c);
        drop(server);
        let process = peer.start(&folder, &["--rdbcompression", compression]);
        let mut c = process.client();
        assert_same(&contents(&mut c), &told, "ours read by the peer", compression);
        c.run("FLUSHALL");
        DATA.iter().for_each(|request| drop(c.run(request)));
        scatter(&mut c, 2);
        assert_eq!(ask(&mut c, "SAVE"), "+OK");
        let told = contents(&mut c);
        end(process, &mut c);
        assert_same(&contents(&mut client(&ours())), &told, "the peer's read by us", compression);
    }
}

/// Removes what an RDB file of version 10 cannot hold.
fn drop_what_is_new(c: &mut Client) {
    for db in [5, 0] {
        c.run(&format!("SELECT {db}"));
        let keys = c.run("KEYS *");
        for key in keys.items().unwrap() {
            let key = String::from_utf8_lossy(key.text().unwrap()).into_owned();
            let (kind, encoding) = (ask(c, &format!("TYPE {key}")), ask(c, &format!("OBJECT ENCODING {key}")));
            if kind == "+stream" || (kind == "+set" && encoding.contains("listpack")) {
                c.run(&format!("DEL {key}"));
            }
        }
    }
}

#[test]
fn append_only_files() {
    let Some(peer) = Peer::find() else { return };
    for preamble in ["yes", "no"] {
        let folder = peer.folder(preamble);
        let server = start(&folder);
        let mut c = client(&server);
        c.run(&format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
        fill(&mut c);
        scatter(&mut c, 3);
        if !peer.fields {
            c.run("DEL hash");
        }
        if peer.old && preamble == "yes" {
            drop_what_is_new(&mut c);
        }
        rewrite(&mut c);
        c.run("RPUSH list more");
        let ours = contents(&mut c);
        drop(server);
        let process = peer.start(&folder, &["--appendonly", "yes"]);
        let mut c = process.client();
        assert_same(&contents(&mut c), &ours, "ours read by the peer", preamble);
        c.run("CONFIG SET aof-timestamp-enabled yes");
        c.run("SET written \"by the peer\"");
        for request in DATA {
            c.run(request);
        }
        c.run("BGREWRITEAOF");
        wait_for(|| c.info("aof_rewrite_in_progress") == "0" && c.info("aof_rewrite_scheduled") == "0");
        c.run("RPUSH list again");
        let theirs = contents(&mut c);
        end(process, &mut c);
        let server = start(&folder);
        assert_same(&contents(&mut client(&server)), &theirs, "the peer's read by us", preamble);
    }
}

fn assert_same(is: &[String], wanted: &[String], what: &str, how: &str) {
    assert_eq!(is.len(), wanted.len(), "{what}, {how}");
    for (i, (is, wanted)) in is.iter().zip(wanted).enumerate() {
        let at = is.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| text.get(at.saturating_sub(40)..).unwrap_or_default().chars().take(120).collect::<String>();
        assert!(is == wanted, "{what}, {how}: line {i}, byte {at}: {} in place of {}", part(is), part(wanted));
    }
}

/// Everything that can be asked, in an order that does not depend on the server.
fn contents(client: &mut Client) -> Vec<String> {
    let mut told = Vec::new();
    for db in [0, 5] {
        client.run(&format!("SELECT {db}"));
        let keys = client.run("KEYS *");
        let mut keys: Vec<String> =
            keys.items().unwrap().iter().map(|key| String::from_utf8_lossy(key.text().unwrap()).into_owned()).collect();
        keys.sort();
        for key in keys {
            let kind = ask(client, &format!("TYPE {key}"));
            let requests = match &*kind {
                "+string" => vec![format!("GET {key}")],
                "+list" => vec![format!("LRANGE {key} 0 -1")],
                "+set" => vec![format!("SMEMBERS {key}")],
                "+hash" => vec![format!("HGETALL {key}")],
                "+zset" => vec![format!("ZRANGE {key} 0 -1 WITHSCORES")],
                _ => vec![format!("XRANGE {key} - +"), format!("XLEN {key}"), format!("XINFO CONSUMERS {key} group")],
            };
            told.push(format!("{key} {kind} {}", ask(client, &format!("PEXPIRETIME {key}"))));
            for request in requests {
                let reply = client.run(&request);
                if request.starts_with("XINFO") {
                    // Names and counts; times differ.
                    for consumer in reply.items().unwrap_or_default() {
                        told.push(consumer.items().unwrap()[..4].iter().map(show).collect::<Vec<_>>().join(" "));
                    }
                    continue;
                }
                told.push(match &*kind {
                    // In the order of the table, which is nobody's business.
                    "+hash" | "+set" => {
                        let size = if kind == "+set" { 1 } else { 2 };
                        let mut pairs: Vec<String> =
                            reply.items().unwrap().chunks(size).map(|pair| format!("{pair:?}")).collect();
                        pairs.sort();
                        pairs.join(" ")
                    }
                    // Redis 7.0 shows more digits of a score than it takes to tell it.
                    "+zset" => {
                        let score = |text: &Reply| String::from_utf8_lossy(text.text().unwrap()).parse::<f64>().unwrap();
                        let pairs = reply.items().unwrap().chunks(2).map(|pair| format!("{} {:?}", pair[0], score(&pair[1])));
                        pairs.collect::<Vec<_>>().join(" ")
                    }
                    _ => show(&reply),
                });
            }
        }
    }
    client.run("SELECT 0");
    told
}

/// Under `appendfsync always` the file is longer than what is in it, which nobody cuts when the process is killed.
#[test]
fn an_append_only_file_with_a_reserve() {
    let folder = match Peer::find() {
        Some(peer) => peer.folder("reserve"),
        None => Folder::new("interop-reserve"),
    };
    let dir = folder.0.to_str().unwrap();
    let options = ["--dir", dir, "--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Process::ours(&options);
    let mut c = server.client();
    c.run("SET small 1");
    let incr = folder.log("appendonly.aof.1.incr.aof");
    assert!(std::fs::read(&incr).unwrap().ends_with(b"\r\n$1\r\n1\r\n"), "little is written as ever, for simple readers");
    c.run(&format!("SET large {}", "v".repeat(1024)));
    for i in 0..300 {
        assert_eq!(show(&c.run(&format!("SET key:{i} {}", "v".repeat(i + 1)))), "+OK");
    }
    c.run("MULTI");
    c.run("INCR n");
    c.run("RPUSH list a b #");
    c.run("EXEC");
    let ours = contents(&mut c);
    let told: u64 = c.info("aof_current_size").parse().unwrap();
    server.kill();
    let len = std::fs::metadata(&incr).unwrap().len();
    assert!(told < len && std::fs::read(&incr).unwrap().ends_with(b"##\n"), "{told} of {len}");
    for tool in [&[env!("CARGO_BIN_EXE_redstart"), "check-aof"][..], &["redis-check-aof"]] {
        let checked = Command::new(tool[0]).args(&tool[1..]).arg(folder.log("appendonly.aof.manifest")).output();
        let Ok(checked) = checked else { continue };
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success() && text.contains("All AOF files and manifest are valid"), "{tool:?}: {text}");
    }
    let mut again = Process::ours(&options);
    let mut c = again.client();
    assert_same(&contents(&mut c), &ours, "read again", "always");
    assert!(std::fs::metadata(&incr).unwrap().len() < len, "cut at the start");
    c.run("SET key:0 again");
    let ours = contents(&mut c);
    again.kill();
    if let Some(peer) = Peer::find() {
        let process = peer.start(&folder, &["--appendonly", "yes"]);
        let mut c = process.client();
        assert_same(&contents(&mut c), &ours, "ours read by the peer", "always");
        c.run("SET written \"by the peer\"");
        let theirs = contents(&mut c);
        end(process, &mut c);
        assert_same(&contents(&mut client(&start(&folder))), &theirs, "the peer's read by us", "always");
    }
}
