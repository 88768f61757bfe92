//! How a server ends: by signal or SHUTDOWN, with its data safe, its socket's file gone, or not at all.

use crate::support::client::PATIENCE;
use crate::support::spawn::Server;
use std::process::Command;
use std::time::Instant;

fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), server.pid().to_string()]).status();
    assert!(sent.expect("there is kill").success());
}

fn wait_for_log(server: &Server, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains(text) {
        assert!(Instant::now() < deadline, "never logged: {text}; log:\n{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
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
    wait_for_log(&server, "The server goes on");
    client.send_raw(b"SHUTDOWN NOSAVE FORCE\r\n").expect("it is taken");
    assert!(server.ends_well_within(PATIENCE), "{}", server.log());
}
