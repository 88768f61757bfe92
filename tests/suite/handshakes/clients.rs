//! Client libraries, from the first byte to the first command of their user.

use super::if_known;
use crate::support::client::{Address, Client};
use redstart::server::{Port, Server};
use redstart::testkit::{Kit, check};

/// Two server fields of HELLO decide whether lettuce stays with RESP3, and redis-py insists on `proto`.
const HELLO_3: &str =
    r#"{"server": "redis", "version": "8.0.0", "proto": 3, "id": 1, "mode": "standalone", "role": "master", "modules": []}"#;

#[test]
fn redis_py() {
    let mut kit = Kit::new();
    assert_eq!(kit.run("HELLO 3"), HELLO_3);
    kit.play(
        r#"
        # Anything but +OK is taken for a no; what must not happen is silence.
        > CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip
        -ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.
        > CLIENT SETNAME worker
        +OK
        > CLIENT SETINFO LIB-NAME redis-py(hiredis_v3)
        +OK
        > CLIENT SETINFO LIB-VER 8.0.0
        +OK
        > SELECT 1
        +OK
        # Its health check, and its lock: taken once.
        > PING
        +PONG
        > SET lock token NX PX 10000
        +OK
        ~ SET lock token PXAT 1700000010000
        > SET lock other NX PX 10000
        nil
        ~
        # Texts that it turns into exceptions of their own.
        > AUTH
        -ERR wrong number of arguments for 'auth' command
        > HELLO 3 AUTH nobody x
        -WRONGPASS invalid username-password pair or user is disabled.
        "#,
    );
    // The lock is released by a script, which is loaded when it is unknown.
    if let Some(reply) = if_known(&mut kit, "EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 lock token") {
        assert_eq!(reply, "-NOSCRIPT No matching script. Please use EVAL.");
    }
}

#[test]
fn redis_py_before_version_8_speaks_resp2() {
    check(
        r#"
        # config requirepass secret
        2> AUTH default secret
        +OK
        2> CLIENT SETINFO LIB-NAME redis-py
        +OK
        2> SELECT 2
        +OK
        2> HSET h f v
        1
        2> HGETALL h
        ["f", "v"]
        3> AUTH wrong
        -WRONGPASS invalid username-password pair or user is disabled.
        3> GET k
        -NOAUTH Authentication required.
        "#,
    );
}

/// Sends all requests at once, as a library with pipelining does; a line for each reply.
fn pipeline(client: &mut Client, requests: &[&str]) -> Vec<String> {
    let requests: Vec<Vec<Vec<u8>>> = requests.iter().map(|line| redstart::testkit::split_line(line)).collect();
    let (replies, end) = client.pipeline(&requests);
    end.unwrap();
    replies.iter().map(|reply| reply.text().map_or_else(|| format!("{reply}"), |_| reply.lossy())).collect()
}

fn connect(server: &Server) -> Client {
    Client::connect(&Address::Tcp(server.address())).unwrap()
}

#[test]
fn node_redis_pipelines_its_handshake() {
    let server = Server::builder().set("requirepass", "secret").port(Port::Auto).start().unwrap();
    let mut client = connect(&server);
    let replies = pipeline(
        &mut client,
        &[
            "HELLO 3 AUTH default secret SETNAME app",
            "SELECT 3",
            "READONLY",
            "CLIENT SETINFO LIB-NAME node-redis",
            "CLIENT SETINFO LIB-VER 6.0.0",
            "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none",
            "PING",
        ],
    );
    assert_eq!(replies[1], "OK");
    // Errors among the answers do not end the connection, and come in their places.
    assert_eq!(replies[2], "ERR This instance has cluster support disabled");
    assert_eq!(&replies[3..5], ["OK", "OK"]);
    assert_eq!(&replies[5..], ["ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.", "PONG"]);
    assert_eq!(client.run("CLIENT GETNAME").lossy(), "app");
}

#[test]
fn ioredis() {
    let mut kit = Kit::new();
    assert_eq!(kit.run("HELLO 3"), HELLO_3);
    kit.play(
        r#"
        > SELECT 0
        +OK
        > CLIENT setname queue
        +OK
        > CLIENT SETINFO LIB-NAME ioredis
        +OK
        > CLIENT SETINFO LIB-VER 6.0.0
        +OK
        "#,
    );
    // Its ready check waits while `loading` is not 0.
    let info = super::info(&mut kit, "INFO");
    assert_eq!(info["Persistence"]["loading"], "0");
    assert!(!info["Persistence"].contains_key("loading_eta_seconds"));
    // A server that speaks no RESP3 is told by the code of the error.
    assert_eq!(kit.run("HELLO 9"), "-NOPROTO unsupported protocol version");
}

#[test]
fn go_redis() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        # config requirepass secret
        2> HELLO 3 AUTH default wrong SETNAME app
        -WRONGPASS invalid username-password pair or user is disabled.
        # After any error it logs in by AUTH.
        2> AUTH default secret
        +OK
        2> SELECT 4
        +OK
        2> READONLY
        -ERR This instance has cluster support disabled
        2> CLIENT SETNAME app
        +OK
        2> CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip
        -ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.
        2> CLIENT SETINFO LIB-NAME go-redis(,go1.26)
        +OK
        2> CLIENT GETNAME
        "app"
        "#,
    );
}

#[test]
fn lettuce_and_jedis() {
    let mut kit = Kit::new();
    let reply = kit.run("HELLO 3");
    for field in ["version", "mode", "role", "id", "proto", "server", "modules"] {
        assert!(reply.contains(&format!("\"{field}\": ")), "{field}");
    }
    kit.play(
        r#"
        > CLIENT SETNAME service
        +OK
        > CLIENT SETINFO lib-name Lettuce
        +OK
        > SELECT 0
        +OK
        > READONLY
        -ERR This instance has cluster support disabled
        > ROLE
        ["master", 0, []]
        # What it falls back to.
        > HELLO 2
        ["server", "redis", "version", "8.0.0", "proto", 2, "id", 1, "mode", "standalone", "role", "master", "modules", []]
        > PING
        +PONG
        "#,
    );
}

#[test]
fn redis_rs_retries_without_a_name() {
    check(
        r#"
        # config requirepass secret
        2> AUTH someone secret
        -WRONGPASS invalid username-password pair or user is disabled.
        2> AUTH secret
        +OK
        2> SELECT 1
        +OK
        2> CLIENT SETINFO LIB-NAME redis-rs
        +OK
        2> CLIENT SETINFO LIB-VER 1.6.0
        +OK
        "#,
    );
}

#[test]
fn stackexchange_redis_sends_one_batch() {
    let server = Server::builder().set("requirepass", "secret").port(Port::Auto).start().unwrap();
    let mut client = connect(&server);
    let replies = pipeline(
        &mut client,
        &[
            "AUTH secret",
            "HELLO 3 SETNAME machine",
            "CLIENT SETNAME machine",
            "CLIENT SETINFO lib-name SE.Redis",
            "CLIENT SETINFO lib-ver 3.0.0",
            "CLIENT ID",
            "CONFIG GET timeout",
            "CONFIG GET replica-read-only",
            "CONFIG GET databases",
            "SENTINEL MASTERS",
            "INFO replication",
            "INFO server",
            "CLUSTER NODES",
            "GET __Booksleeve_TieBreak",
            "ECHO 0f8fad5b-d9cb-469f-a165-70867728950e",
        ],
    );
    assert_eq!(replies[0], "OK");
    assert!(replies[8].contains("databases") && replies[8].contains("16"), "{}", replies[8]);
    // Answers to these two make it believe that it talks to a sentinel, or to a node of a cluster.
    assert_eq!(replies[9], "ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' ");
    assert!(replies[10].contains("role:master\r\n") && replies[10].contains("connected_slaves:0\r\n"));
    assert!(replies[11].contains("redis_version:8.0.0\r\n") && replies[11].contains("redis_mode:standalone\r\n"));
    assert_eq!(replies[12], "ERR This instance has cluster support disabled");
    assert_eq!(replies[14], "0f8fad5b-d9cb-469f-a165-70867728950e");
    // Its second connection.
    let mut listener = connect(&server);
    let replies = pipeline(&mut listener, &["PING", "AUTH wrong", "AUTH secret", "SUBSCRIBE __Booksleeve_MasterChanged"]);
    // A failing AUTH is answered wherever it stands in a batch.
    assert_eq!(
        replies[..3],
        ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair or user is disabled.", "OK"]
    );
    assert!(replies[3].contains("__Booksleeve_MasterChanged"), "{}", replies[3]);
}

#[test]
fn hiredis_phpredis_and_predis() {
    check(
        r#"
        # config requirepass secret
        2> AUTH secret
        +OK
        2> SELECT 5
        +OK
        2> CLIENT SETNAME php
        +OK
        2> SET k v EX 10
        +OK
        "#,
    );
}

#[test]
fn redis_cli_and_redis_benchmark() {
    let mut kit = Kit::new();
    let docs = kit.run("COMMAND DOCS");
    assert!(docs.contains("\"summary\"") && docs.contains("\"arguments\""));
    assert_eq!(super::info(&mut kit, "INFO SERVER").len(), 1);
    assert_eq!(kit.run("CONFIG GET save"), r#"["save", "3600 1 300 100 60 10000"]"#);
    assert_eq!(kit.run("CONFIG GET appendonly"), r#"["appendonly", "no"]"#);
    assert_eq!(kit.run("HELLO 3"), HELLO_3);
    assert_eq!(kit.run("CLUSTER NODES"), "-ERR This instance has cluster support disabled");
}
