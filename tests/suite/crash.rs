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
