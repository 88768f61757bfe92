//! MIGRATE between servers in this process, and to servers that behave badly.

use crate::support::client::{Address, Client, PATIENCE};
use redstart::server::Server;
use redstart::testkit::Kit;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

fn start() -> (Server, Client) {
    let server = Server::builder().start().expect("it starts");
    let client = client(server.address());
    (server, client)
}

fn client(address: SocketAddr) -> Client {
    Client::connect(&Address::Tcp(address)).expect("the server is there")
}

fn check(client: &mut Client, requests: &[(&str, &str)]) {
    for (request, expected) in requests {
        assert_eq!(client.run(request).to_string(), *expected, "{request}");
    }
}

#[test]
fn keys_move_with_their_lifetimes() {
    let (_here, mut from) = start();
    let (there, mut to) = start();
    let port = there.address().port();
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {port} {rest}");
    check(
        &mut from,
        &[
            ("MSET a 1 b 2 c 3", "OK"),
            ("RPUSH list x y z", "(integer) 3"),
            ("SET short v EX 1000", "OK"),
            (&migrate("a 9 5000"), "OK"),
            (&migrate("\"\" 9 5000 KEYS list gone short list"), "OK"),
            (&migrate("b 9 5000 COPY"), "OK"),
            ("EXISTS a list short", "(integer) 0"),
            ("GET b", "\"2\""),
            (&migrate("\"\" 9 5000 KEYS gone"), "NOKEY"),
            // What is there stays there, and what has no way in stays here.
            ("SET b new", "OK"),
            (
                &migrate("\"\" 9 5000 KEYS b c"),
                "(error) ERR Target instance replied with error: BUSYKEY Target key name already exists.",
            ),
            ("EXISTS b c", "(integer) 1"),
            (&migrate("b 9 5000 REPLACE"), "OK"),
            (&migrate("c 9 5000"), "NOKEY"),
            ("DBSIZE", "(integer) 0"),
        ],
    );
    assert!(from.run("INFO stats").to_string().contains("migrate_cached_sockets:1"));
    check(
        &mut to,
        &[
            ("DBSIZE", "(integer) 0"),
            ("SELECT 9", "OK"),
            ("MGET a b c", "[\"1\", \"new\", \"3\"]"),
            ("LRANGE list 0 -1", "[\"x\", \"y\", \"z\"]"),
            ("TTL a", "(integer) -1"),
        ],
    );
    let ttl = to.run("TTL short").to_string();
    assert!(ttl == "(integer) 1000" || ttl == "(integer) 999", "{ttl}");
}

#[test]
fn passwords_open_the_other_side() {
    let (_here, mut from) = start();
    let there = Server::builder().set("requirepass", "secret").start().expect("it starts");
    let migrate = |rest: &str| format!("MIGRATE 127.0.0.1 {} k 0 5000 {rest}", there.address().port());
    check(
        &mut from,
        &[
            ("SET k v", "OK"),
            (&migrate(""), "(error) ERR Target instance replied with error: NOAUTH Authentication required."),
            (
                &migrate("AUTH wrong"),
                "(error) ERR Target instance replied with error: WRONGPASS invalid username-password pair or user is disabled.",
            ),
            (&migrate("AUTH2 default"), "(error) ERR syntax error"),
            (&migrate("AUTH2 default secret COPY"), "OK"),
            (&migrate("AUTH secret REPLACE"), "OK"),
            ("EXISTS k", "(integer) 0"),
        ],
    );
}

#[test]
fn transactions_move_keys_at_once() {
    let (_here, mut from) = start();
    let (there, mut to) = start();
    let migrate = format!("MIGRATE 127.0.0.1 {} k 0 5000", there.address().port());
    check(
        &mut from,
        &[("SET k v", "OK"), ("MULTI", "OK"), (&migrate, "QUEUED"), ("EXISTS k", "QUEUED"), ("EXEC", "[OK, (integer) 0]")],
    );
    check(&mut to, &[("GET k", "\"v\"")]);
}

/// Only the client that asked waits, and a key that changes meanwhile arrives as it is at the end.
#[test]
fn others_go_on_while_a_key_is_on_its_way() {
    let (here, mut from) = start();
    let slow = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = slow.local_addr().expect("its number").port();
    from.run("SET k first");
    from.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "k", "0", "5000"]).expect("it is taken");
    let (mut arriving, _) = slow.accept().expect("a connection");
    arriving.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let expect = |arriving: &mut std::net::TcpStream, words: &[&str]| {
        let mut heard = Vec::new();
        while !words.iter().all(|word| String::from_utf8_lossy(&heard).contains(word)) {
            let mut chunk = [0; 1024];
            let n = arriving.read(&mut chunk).expect("a request");
            assert_ne!(n, 0, "{}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&chunk[..n]);
        }
        String::from_utf8_lossy(&heard).into_owned()
    };
    let first = expect(&mut arriving, &["SELECT", "RESTORE", "first"]);
    assert!(!first.contains("REPLACE"), "{first}");
    let mut other = client(here.address());
    check(&mut other, &[("SET k second", "OK"), ("PING", "PONG")]);
    arriving.write_all(b"+OK\r\n+OK\r\n").expect("it is taken");
    expect(&mut arriving, &["RESTORE", "second", "REPLACE"]);
    check(&mut other, &[("GET k", "\"second\"")]);
    arriving.write_all(b"+OK\r\n").expect("it is taken");
    assert_eq!(from.read().expect("a reply").to_string(), "OK");
    check(&mut other, &[("EXISTS k", "(integer) 0")]);
}

#[test]
fn servers_that_are_not_there_or_stay_silent() {
    let (_here, mut from) = start();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its number").port();
    let begun = Instant::now();
    check(
        &mut from,
        &[
            ("SET k v", "OK"),
            (&format!("MIGRATE 127.0.0.1 {port} k 0 100"), "(error) IOERR error or timeout reading from target instance"),
            ("MIGRATE 127.0.0.1 1 k 0 100", "(error) IOERR error or timeout writing to target instance"),
            ("MIGRATE no.such.host.invalid 1 k 0 100", "(error) IOERR error or timeout connecting to the client"),
            ("GET k", "\"v\""),
        ],
    );
    assert!(begun.elapsed() < PATIENCE);
    // One that answers nonsense, or with more than a reply can be.
    for nonsense in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[b'+'; 200_000]] {
        let odd = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = odd.local_addr().expect("its number").port();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = odd.accept().expect("a connection");
            let _ = stream.write_all(nonsense);
        });
        let refusal = from.run(&format!("MIGRATE 127.0.0.1 {port} k 0 1000")).to_string();
        assert!(refusal.contains("IOERR"), "{refusal}");
        answering.join().expect("it answered");
    }
    check(&mut from, &[("GET k", "\"v\"")]);
}

/// A kept connection that the other side has closed is replaced.
#[test]
fn the_other_side_may_have_closed_a_connection() {
    let (_here, mut from) = start();
    let (there, mut to) = start();
    let migrate = format!("MIGRATE 127.0.0.1 {} k 0 5000 REPLACE", there.address().port());
    check(&mut from, &[("SET k v", "OK"), (&migrate, "OK")]);
    check(&mut to, &[("CLIENT KILL TYPE normal SKIPME yes", "(integer) 1")]);
    check(&mut from, &[("SET k again", "OK"), (&migrate, "OK")]);
    check(&mut to, &[("GET k", "\"again\"")]);
}

#[test]
fn what_has_left_is_propagated_as_removed() {
    let (there, mut to) = start();
    let mut kit = Kit::new();
    let port = there.address().port();
    kit.play(&format!(
        r#"
        > MSET a 1 b 2
        +OK
        > MIGRATE 127.0.0.1 {port} "" 0 1000 KEYS a gone b
        +OK
        ~ DEL a b
        ! del a
        ! del b
        > MIGRATE 127.0.0.1 {port} "" 0 1000 KEYS a
        +NOKEY
        ~
        "#
    ));
    check(&mut to, &[("MGET a b", "[\"1\", \"2\"]")]);
}
