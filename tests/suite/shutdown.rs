//! How a server ends: by signal or SHUTDOWN, with its data safe, its socket's file gone, or not at all.

use crate::replication::primary::{Replica, await_info};
use crate::support::client::{Address, PATIENCE};
use crate::support::spawn::Server;
use std::process::Command;
use std::time::Instant;

fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), server.pid().to_string()]).status();
    assert!(sent.expect("there is kill").success());
}

fn wait_for_log(server: &Server, text: &str) {
    let log = server.log_with(text, PATIENCE);
    assert!(log.contains(text), "never logged: {text}; log:\n{log}");
}

#[test]
fn signals_and_shutdown_save_what_is_to_be_saved() {
    for (how, save, saved) in [
        ("TERM", "900 1", true),
        ("INT", "900 1", true),
        ("TERM", "", false),
        ("SHUTDOWN", "900 1", true),
        ("SHUTDOWN", "", false),
        ("SHUTDOWN SAVE", "", true),
        ("SHUTDOWN NOSAVE", "900 1", false),
        ("SHUTDOWN NOW FORCE", "900 1", true),
    ] {
        let mut server = Server::ours(&["--save", save, "--unixsocket", "end.sock"]);
        let mut client = server.client();
        client.run("SET k v");
        match how {
            "TERM" | "INT" => signal(&server, how),
            request => client.send_raw(format!("{request}\r\n").as_bytes()).expect("it is taken"),
        }
        assert!(client.closes_within(PATIENCE), "{how}");
        assert!(server.ends_well_within(PATIENCE), "{how}: {}", server.log());
        wait_for_log(&server, "Redis is now ready to exit, bye bye...");
        assert!(server.log().contains("User requested shutdown..."));
        assert_eq!(server.directory.join("dump.rdb").exists(), saved, "{how} with save {save:?}");
        assert!(!server.directory.join("end.sock").exists(), "{how}");
    }
}

/// SAVE took no notice of `rdb-key-save-delay`, so that nobody could see a file in the making.
#[test]
fn a_second_interrupt_leaves_no_unfinished_file() {
    let mut server = Server::ours(&["--save", "900 1", "--rdb-key-save-delay", "1000000"]);
    let mut client = server.client();
    (0..60).for_each(|key| drop(client.run(&format!("SET {key} v"))));
    let unfinished = server.directory.join(format!("temp-{}.rdb", server.pid()));
    signal(&server, "INT");
    let start = Instant::now();
    while !unfinished.exists() {
        assert!(start.elapsed() < PATIENCE, "never began: {}", server.log());
        std::thread::yield_now();
    }
    signal(&server, "INT");
    assert!(!server.ends_well_within(PATIENCE), "a failure to whoever waits for it");
    assert!(start.elapsed() < PATIENCE, "but at once: {}", server.log());
    assert!(!unfinished.exists() && !server.directory.join("dump.rdb").exists());
}

#[test]
fn a_server_whose_data_cannot_be_saved_goes_on() {
    let mut server = Server::ours(&["--save", "900 1"]);
    let mut client = server.client();
    client.run("SET k v");
    // The finished file cannot take the place of a folder.
    std::fs::create_dir(server.directory.join("dump.rdb")).expect("made");
    signal(&server, "TERM");
    wait_for_log(&server, "Error trying to save the DB, can't exit");
    assert_eq!(client.run("SHUTDOWN").to_string(), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(client.run("GET k").to_string(), "\"v\"");
    client.send_raw(b"SHUTDOWN FORCE\r\n").expect("it is taken");
    assert!(server.ends_well_within(PATIENCE), "{}", server.log());
}

#[test]
fn a_scheduled_end_can_be_called_off() {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.run("DEBUG PAUSE-CRON 1");
    signal(&server, "TERM");
    wait_for_log(&server, "Received SIGTERM scheduling shutdown");
    let deadline = Instant::now() + PATIENCE;
    while client.run("SHUTDOWN ABORT").to_string() != "OK" {
        assert!(Instant::now() < deadline, "nothing to call off");
    }
    wait_for_log(&server, "Shutdown manually aborted");
    client.run("DEBUG PAUSE-CRON 0");
    assert_eq!(client.run("PING").to_string(), "PONG");
    assert_eq!(client.run("SHUTDOWN ABORT").to_string(), "(error) ERR No shutdown in progress.");
}

/// Without it the next start would find an append-only file with nothing in it.
#[test]
fn a_server_that_writes_its_first_append_only_file_does_not_end() {
    let mut server = Server::ours(&["--save", ""]);
    let mut client = server.client();
    client.run("SET k v");
    client.run("CONFIG SET rdb-key-save-delay 10000000");
    assert_eq!(client.run("CONFIG SET appendonly yes").to_string(), "OK");
    assert_eq!(client.run("SHUTDOWN").to_string(), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
    wait_for_log(&server, "Writing initial AOF, can't exit");
    signal(&server, "TERM");
    wait_for_log(&server, "Errors trying to shut down the server");
    client.send_raw(b"SHUTDOWN NOSAVE FORCE\r\n").expect("it is taken");
    assert!(server.ends_well_within(PATIENCE), "{}", server.log());
}

const FAILED: &str = "(error) ERR Errors trying to SHUTDOWN. Check logs.";
/// A SELECT and an INCR of a key with one letter.
const FIRST_INCR_BYTES: u64 = 23 + 21;

/// A server with a replica that has not told that it has what was written last.
fn with_lagging_replica(patience: &str) -> (Server, Replica, u64) {
    let args = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1000", "--shutdown-timeout", patience];
    let server = Server::ours(&args);
    let Address::Tcp(address) = server.address else { panic!("it listens there") };
    let (mut replica, _, offset, _) = Replica::in_step(address);
    assert_eq!(server.client().run("INCR k").to_string(), "(integer) 1");
    replica.expect(&["SELECT 0", "INCR k"]);
    (server, replica, offset + FIRST_INCR_BYTES)
}

#[test]
fn a_server_does_not_end_before_replicas_have_everything() {
    for by_signal in [true, false] {
        let (mut server, mut replica, offset) = with_lagging_replica("300");
        let (mut client, mut writer, mut other) = (server.client(), server.client(), server.client());
        match by_signal {
            true => signal(&server, "TERM"),
            false => client.send_raw(b"SHUTDOWN\r\n").expect("it is taken"),
        }
        await_info(&mut other, "shutdown_in_milliseconds:29");
        // Nothing is written any more, or replicas would never have everything; reads go on.
        writer.send_raw(b"INCR k\r\n").expect("it is taken");
        await_info(&mut other, if by_signal { "blocked_clients:1" } else { "blocked_clients:2" });
        assert_eq!(other.run("GET k").to_string(), "\"1\"");
        assert!(!server.log().contains("in sync"), "{}", server.log());
        replica.acknowledge(offset);
        assert!(writer.closes_within(PATIENCE) && server.ends_well_within(PATIENCE), "{}", server.log());
        let log = server.log();
        assert_eq!(log.matches("User requested shutdown...").count(), 1);
        assert!(log.contains("Waiting for replicas before shutting down."));
        assert!(log.contains("1 of 1 replicas are in sync when shutting down.") && !log.contains("Lagging replica"), "{log}");
    }
}

#[test]
fn replicas_are_not_waited_for_without_end() {
    // At once if that is wanted, and with a script that may never end.
    for (patience, request) in [("1", "SHUTDOWN"), ("0", "SHUTDOWN"), ("300", "SHUTDOWN NOW")] {
        let (mut server, _replica, _) = with_lagging_replica(patience);
        server.client().send_raw(format!("{request}\r\n").as_bytes()).expect("it is taken");
        assert!(server.ends_well_within(PATIENCE), "{request}: {}", server.log());
        let log = server.log();
        let lagging = format!("Lagging replica 127.0.0.1:7777 reported offset {FIRST_INCR_BYTES} behind master, lag=");
        assert!(log.contains(&lagging) && log.contains(", state=online."), "{log}");
        assert!(log.contains("0 of 1 replicas are in sync when shutting down."), "{log}");
        assert_eq!(log.contains("Waiting for replicas"), patience == "1");
    }
}

#[test]
fn an_end_that_waits_can_be_called_off() {
    let (server, _replica, _) = with_lagging_replica("300");
    let (mut first, mut second, mut writer, mut other) = (server.client(), server.client(), server.client(), server.client());
    let id = first.run("CLIENT ID").to_string().replace("(integer) ", "");
    first.send_raw(b"SHUTDOWN\r\n").expect("it is taken");
    await_info(&mut other, "blocked_clients:1");
    second.send_raw(b"SHUTDOWN NOW FORCE\r\n").expect("it is taken");
    writer.send_raw(b"INCR k\r\n").expect("it is taken");
    await_info(&mut other, "blocked_clients:3");
    assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")).to_string(), "(integer) 0");
    // Pauses come and go meanwhile.
    assert_eq!(other.run("CLIENT PAUSE 1 WRITE").to_string(), "OK");
    assert_eq!(other.run("CLIENT UNPAUSE").to_string(), "OK");
    await_info(&mut other, "blocked_clients:3");
    assert_eq!(other.run("SHUTDOWN ABORT").to_string(), "OK");
    assert_eq!(first.read().expect("a reply").to_string(), FAILED);
    assert_eq!(second.read().expect("a reply").to_string(), FAILED);
    assert_eq!(writer.read().expect("a reply").to_string(), "(integer) 2");
    assert_eq!(first.run("PING").to_string(), "PONG");
    assert!(!other.run("INFO server").to_string().contains("shutdown_in_milliseconds"));
    assert_eq!(other.run("SHUTDOWN ABORT").to_string(), "(error) ERR No shutdown in progress.");
    wait_for_log(&server, "Shutdown manually aborted");
}

/// What keeps a server from ending may have begun while it waited.
#[test]
fn an_end_that_waits_can_fail() {
    let (server, mut replica, offset) = with_lagging_replica("300");
    let (mut client, mut writer, mut other) = (server.client(), server.client(), server.client());
    client.send_raw(b"SHUTDOWN\r\n").expect("it is taken");
    // Otherwise the write may come first, and is not held.
    await_info(&mut other, "blocked_clients:1");
    writer.send_raw(b"INCR k\r\n").expect("it is taken");
    await_info(&mut other, "blocked_clients:2");
    other.run("CONFIG SET rdb-key-save-delay 10000000");
    assert_eq!(other.run("CONFIG SET appendonly yes").to_string(), "OK");
    replica.acknowledge(offset);
    assert_eq!(client.read().expect("a reply").to_string(), FAILED);
    assert_eq!(writer.read().expect("a reply").to_string(), "(integer) 2");
    wait_for_log(&server, "Writing initial AOF, can't exit");
    wait_for_log(&server, "Errors trying to shut down the server");
}
