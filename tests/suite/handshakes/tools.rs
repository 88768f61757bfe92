//! Exporters, and the tools that start a server for tests: they read its log, give it arguments in their own way, and end it.

use super::info;
use crate::support::spawn::Server;
use redstart::testkit::Kit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn redis_exporter() {
    let mut kit = Kit::new();
    kit.run("SET k v EX 100");
    kit.run("GET k");
    kit.run("GET none");
    kit.run("NOSUCH");
    kit.run("CLIENT SETNAME redis_exporter");
    let all = info(&mut kit, "INFO ALL");
    for (section, fields) in [
        ("Server", "redis_version uptime_in_seconds process_id"),
        ("Clients", "connected_clients blocked_clients maxclients"),
        ("Memory", "used_memory used_memory_rss used_memory_peak maxmemory mem_fragmentation_ratio"),
        ("Persistence", "loading rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time aof_enabled"),
        (
            "Stats",
            "total_connections_received total_commands_processed instantaneous_ops_per_sec keyspace_hits keyspace_misses \
             expired_keys evicted_keys rejected_connections total_net_input_bytes total_net_output_bytes",
        ),
        ("Replication", "role connected_slaves master_repl_offset"),
        ("CPU", "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children"),
        ("Cluster", "cluster_enabled"),
    ] {
        for field in fields.split_whitespace() {
            let value = all[section].get(field).unwrap_or_else(|| panic!("{section} lacks {field}"));
            assert!(!value.contains(':'), "{field}: {value}");
        }
    }
    assert!(all["Commandstats"]["cmdstat_get"].starts_with("calls=2,usec="));
    assert_eq!(all["Errorstats"]["errorstat_ERR"], "count=1");
    assert!(all["Keyspace"]["db0"].starts_with("keys=1,expires=1,avg_ttl="));
    assert_eq!((&*all["Stats"]["keyspace_hits"], &*all["Stats"]["keyspace_misses"]), ("1", "1"));
    assert_eq!(all["Cluster"]["cluster_enabled"], "0");
    // One pair per directive.
    let directives = kit.run("CONFIG GET *");
    assert!(directives.contains("\"maxmemory\", \"0\"") && directives.contains("\"maxclients\", \"10000\""));
    assert_eq!(kit.run("LATENCY LATEST"), "[]");
    assert!(kit.run("LATENCY HISTOGRAM").starts_with('['));
    assert_eq!(kit.run("SLOWLOG LEN"), "0");
    assert_eq!(kit.run("SLOWLOG GET 1"), "[]");
    assert!(kit.run("COMMAND INFO COMMANDLOG").starts_with('['));
}

/// The version as pytest-redis reads it: the first numbers with dots.
#[test]
fn pytest_redis() {
    let output = Command::new(env!("CARGO_BIN_EXE_redstart")).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers = |word: &str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    let version = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find(|word| numbers(word));
    assert_eq!(version, Some("8.0.0"), "{text}");
    let server = Server::ours(&[
        "--rdbcompression",
        "yes",
        "--rdbchecksum",
        "no",
        "--appendonly",
        "no",
        "--databases",
        "8",
        "--timeout",
        "0",
        "--pidfile",
        "redis.pid",
        "--unixsocket",
        "redis.sock",
        "--dbfilename",
        "dump.rdb",
        "--loglevel",
        "notice",
        "--syslog-enabled",
        "no",
        "--save",
        "60 1",
        "--requirepass",
        "secret",
    ]);
    let mut client = server.client();
    assert_eq!(client.run("AUTH secret").lossy(), "OK");
    assert!(client.run("SELECT 8").is_error());
    assert!(server.directory.join("redis.sock").exists() && server.directory.join("redis.pid").exists());
}

#[test]
fn testcontainers_gives_a_name_and_its_value_in_one_argument() {
    let server = Server::ours(&["--requirepass secret", "--save 1 1 ", "--maxmemory 100mb"]);
    // What it waits for, to the letter.
    assert!(server.log().contains("* Ready to accept connections"));
    let mut client = server.client();
    assert_eq!(client.run("GET k").lossy(), "NOAUTH Authentication required.");
    assert_eq!(client.run("AUTH default secret").lossy(), "OK");
    assert_eq!(client.run("CONFIG GET save").items().unwrap()[1].lossy(), "1 1");
}

#[test]
fn redis_memory_server_stops_by_sigint() {
    let dir = std::env::temp_dir().join(format!("redstart-handshakes-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_redstart"));
    command.args(["--port", "auto", "--save", "", "--dir", &dir.display().to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut log = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Ready to accept connections") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut log, &mut line).unwrap(), 0, "it ended early");
    }
    let stopped = Instant::now();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(stopped.elapsed() < Duration::from_secs(10));
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn http_on_the_port_is_cut_off() {
    let server = Server::ours(&[]);
    for request in [&b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k v\r\n"[..], b"GET k\r\nHost: localhost\r\nSET k v\r\n"] {
        let mut attacker = server.client();
        attacker.send_raw(request).unwrap();
        assert!(attacker.closes_within(Duration::from_secs(5)));
    }
    assert!(server.client().run("GET k").is_null());
}
