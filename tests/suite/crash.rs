//! What a crash leaves in the log: the cause, the last commands by name, never a value, and where the code was.

use crate::support::spawn::Server;
use std::time::Duration;

/// Runs commands with a secret in them and then the one that crashes the server; the log.
fn log_of_crash(crash: &[&str], args: &[&str]) -> String {
    let args = [&["--enable-debug-command", "yes"], args].concat();
    let server = Server::ours(&args);
    let mut client = server.client();
    client.run("SET key-of-secret value-of-secret");
    client.run("LPUSH list element-of-secret");
    client.send(crash).unwrap();
    // The report is written before the process, and with it the connection, ends.
    assert!(client.closes_within(Duration::from_secs(10)));
    std::thread::sleep(Duration::from_millis(200));
    server.log()
}

#[test]
fn a_report_names_the_cause_and_the_last_commands() {
    for (crash, cause) in [("SEGFAULT", "crashed by signal: 11 (SIGSEGV)"), ("PANIC", "DEBUG PANIC was asked for")] {
        let log = log_of_crash(&["DEBUG", crash], &[]);
        for part in [cause, "0: DEBUG", "1: LPUSH", "2: SET", "STACK TRACE DONE", "BUG REPORT END"] {
            assert!(log.contains(part), "{part} is missing:\n{log}");
        }
        assert!(!log.contains("secret"), "{log}");
        assert_eq!(log.matches("BUG REPORT START").count(), 1, "{log}");
    }
}

#[test]
fn reports_can_be_declined() {
    let log = log_of_crash(&["DEBUG", "SEGFAULT"], &["--crash-log-enabled", "no"]);
    assert!(!log.contains("BUG REPORT"), "{log}");
}

/// The watchdog shows where the engine is when it stands still for longer than its period, once each time, and ends nothing.
#[test]
fn the_watchdog_shows_a_stack() {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.run("CONFIG SET watchdog-period 200");
    for times in 1..=2 {
        assert_eq!(client.run("DEBUG SLEEP 1").to_string(), "OK");
        let log = server.log();
        assert_eq!(log.matches("--- WATCHDOG TIMER EXPIRED ---").count(), times, "{log}");
        assert_eq!(log.matches("STACK TRACE DONE").count(), times, "{log}");
    }
    client.run("CONFIG SET watchdog-period 0");
    client.run("DEBUG SLEEP 0.5");
    assert_eq!(server.log().matches("WATCHDOG").count(), 2);
    assert_eq!(client.run("PING").to_string(), "PONG");
}

/// `ps` shows what `proc-title-template` says, however long the command line was.
#[test]
fn the_title_follows_its_template() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    let title = || {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("it runs");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.trim_end_matches('\0').to_owned()
    };
    assert!(title().ends_with(&format!(" 127.0.0.1:{}", server.port())), "{}", title());
    let long = "x".repeat(200);
    client.run(&format!("CONFIG SET proc-title-template \"{long} {{title}} {{port}} {{config-file}}\""));
    assert!(title().starts_with(&long) && title().ends_with(&format!("/redstart {} -", server.port())), "{}", title());
    assert!(client.run("CONFIG SET proc-title-template {nothing}").is_error());
    let server = Server::ours(&["--set-proc-title", "no"]);
    let bytes = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("it runs");
    assert!(String::from_utf8_lossy(&bytes).contains("--set-proc-title"));
}
