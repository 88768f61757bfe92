//! Disks that are full, folders that vanish and files that cannot be read: writes are refused as
//! Redis refuses them, nothing acknowledged is lost, and service goes on when the cause is gone.
//!
//! (Disks that fail, lose power and forget are in `append_only`, through the file layer.)

use crate::append_only::{Folder, MANIFEST, ask, builder, client, wait_for};
use crate::support::scribe::show;
use crate::support::spawn::{Program, Server, ours};
use std::process::Command;

/// A server whose files may have 64 KB, as long as `relieve` was not called.
fn cramped(args: &[&str]) -> Option<Server> {
    let Program::CommandLine(ours) = ours() else { return None };
    // Ignored, the signal turns into an error of the write, as on a full disk.
    let script = "trap '' XFSZ; ulimit -S -f 128; exec \"$0\" \"$@\"";
    let words = ["bash", "-c", script].map(str::to_owned).into_iter().chain(ours).collect();
    Some(Server::start(&Program::CommandLine(words), args).unwrap())
}

fn relieve(server: &Server) -> bool {
    let done = Command::new("prlimit").args(["--pid", &server.pid().to_string(), "--fsize=unlimited:"]).status();
    let done = done.is_ok_and(|status| status.success());
    if !done {
        println!("left out: no prlimit");
    }
    done
}

/// Text that does not compress.
fn noise(len: usize) -> String {
    let mut rng = redstart::clock::Rng::seeded(7);
    (0..len).map(|_| char::from(b'0' + rng.below(70) as u8)).filter(|c| c.is_ascii_alphanumeric()).collect()
}

#[test]
fn a_full_disk_stops_saves_and_then_writes() {
    let Some(server) = cramped(&["--save", "3600 1"]) else { return };
    let mut c = server.client();
    assert_eq!(ask(&mut c, "SET small v"), "+OK");
    assert_eq!(ask(&mut c, "SAVE"), "+OK");
    let before = std::fs::read(server.directory.join("dump.rdb")).unwrap();
    assert_eq!(show(&c.call(&["SET", "big", &noise(400_000)]).unwrap()), "+OK");
    c.run("BGSAVE");
    wait_for(|| c.info("rdb_last_bgsave_status") == "err");
    assert!(ask(&mut c, "SET a 1").starts_with("-MISCONF Redis is configured to save RDB snapshots"));
    assert_eq!(ask(&mut c, "SAVE"), "-ERR");
    assert_eq!(ask(&mut c, "GET small"), "\"v\"");
    assert_eq!(std::fs::read(server.directory.join("dump.rdb")).unwrap(), before, "the old file is as it was");
    let names: Vec<_> = std::fs::read_dir(&server.directory).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["dump.rdb"], "nothing is left behind; log:\n{}", server.log());
    if !relieve(&server) {
        return;
    }
    c.run("BGSAVE");
    wait_for(|| c.info("rdb_bgsave_in_progress") == "0");
    assert_eq!((c.info("rdb_last_bgsave_status"), ask(&mut c, "SET a 1")), ("ok".into(), "+OK".into()));
}

#[test]
fn a_full_disk_stops_the_log_until_there_is_room() {
    for policy in ["everysec", "always"] {
        let Some(mut server) = cramped(&["--appendonly", "yes", "--appendfsync", policy]) else { return };
        let (mut c, mut other) = (server.client(), server.client());
        assert_eq!(ask(&mut c, "SET a 1"), "+OK");
        // Accepted; under `always` its reply comes when it is safe.
        c.send(&["SET", "big", &noise(400_000)]).unwrap();
        wait_for(|| other.info("aof_last_write_status") == "err");
        assert_eq!(ask(&mut other, "SET a 2"), "-MISCONF Errors writing to the AOF file: File too large", "{policy}");
        if policy == "everysec" {
            // Under `always` even a read waits, as it may have seen a write that is not yet safe.
            assert_eq!(ask(&mut other, "GET a"), "\"1\"");
        }
        if !relieve(&server) {
            return;
        }
        assert_eq!(show(&c.read().unwrap()), "+OK");
        wait_for(|| ask(&mut other, "SET a 3") == "+OK");
        assert_eq!(ask(&mut other, "WAITAOF 1 0 10000"), "[1, 0]");
        server.kill();
        let dir = server.directory.to_str().unwrap();
        let again = Server::ours(&["--dir", dir, "--appendonly", "yes"]);
        let mut c = again.client();
        assert_eq!((ask(&mut c, "GET a"), ask(&mut c, "EXISTS big")), ("\"3\"".into(), "1".into()), "{policy}");
    }
}

#[test]
fn a_log_whose_folder_vanished_is_whole_after_a_rewrite() {
    let folder = Folder::new("vanished");
    let server = builder(&folder.0).start().unwrap();
    let mut c = client(&server);
    assert_eq!(ask(&mut c, "SET a 1"), "+OK");
    std::fs::remove_dir_all(folder.log("")).unwrap();
    assert_eq!(ask(&mut c, "SET b 2"), "+OK");
    assert_eq!(ask(&mut c, "BGREWRITEAOF"), "+Background append only file rewriting started");
    wait_for(|| c.info("aof_rewrite_in_progress") == "0");
    assert_eq!(c.info("aof_last_bgrewrite_status"), "ok");
    assert_eq!(ask(&mut c, "SET c 3"), "+OK");
    drop(server);
    let server = builder(&folder.0).start().unwrap();
    assert_eq!(ask(&mut client(&server), "MGET a b c"), r#"["1", "2", "3"]"#, "{}", folder.read(MANIFEST));
}

#[test]
fn a_folder_that_takes_no_files_stops_writes() {
    // Nobody can make files there, whatever their rights.
    let server = Server::ours(&["--save", "3600 1", "--dir", "/proc/self"]);
    let mut c = server.client();
    assert_eq!(ask(&mut c, "SET a 1"), "+OK");
    assert_eq!(ask(&mut c, "SAVE"), "-ERR");
    assert!(ask(&mut c, "SET a 2").starts_with("-MISCONF Redis is configured"));
    let failed = Server::start(&ours(), &["--appendonly", "yes", "--dir", "/proc/self"]);
    assert!(failed.is_err_and(|log| log.contains("Can't open the append-only file")));
}

#[test]
fn a_file_that_could_not_be_read_is_kept() {
    let folder = Folder::new("unread");
    let server = builder(&folder.0).set("appendonly", "no").start().unwrap();
    let mut c = client(&server);
    std::fs::write(folder.0.join("dump.rdb"), "REDIS0011 and no more").unwrap();
    assert_eq!(ask(&mut c, "DEBUG RELOAD NOSAVE"), "-ERR Error trying to load the RDB dump, check server logs.");
    assert_eq!(ask(&mut c, "SAVE"), "+OK");
    assert_eq!(ask(&mut c, "SAVE"), "+OK");
    let mut kept: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|file| file.unwrap().path()).collect();
    kept.retain(|path| path.to_string_lossy().contains("dump.rdb.unread-"));
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), b"REDIS0011 and no more");
}
