//! Whole sessions by other people's clients, against the built binary: what a client library sends when it connects, how it
//! pipelines, and how it reads each reply type in both protocols, is nothing that a client of our own would find out. And the
//! library as another crate uses it: servers inside of a test.
//!
//! redis-rs is linked in; redis-py and redis-cli are used where they are installed, else a line says that they were left out.

use crate::support::client::PATIENCE;
use crate::support::spawn::Server as Spawned;
use redis::{Commands, Connection, RedisResult, Value};
use redstart::server::{Port, Server};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Requests in the long pipeline of each session.
const PIPELINE: usize = 10_000;

#[test]
fn redis_rs_over_tcp_and_unix() {
    let (server, socket) = spawn();
    let tcp = format!("redis://127.0.0.1:{}/", server.port());
    let unix = format!("redis+unix://{}", socket.display());
    for url in [tcp.clone(), format!("{tcp}?protocol=resp3"), unix.clone(), format!("{unix}?protocol=resp3")] {
        let resp3 = url.ends_with("resp3");
        let session = redis::Client::open(url.as_str())
            .and_then(|client| client.get_connection())
            .and_then(|mut connection| redis_rs_session(&mut connection, resp3));
        session.unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

#[test]
fn redis_py_over_tcp_and_unix() {
    let (server, socket) = spawn();
    run_python("session.py", &[&server.port().to_string(), &socket.display().to_string()]);
}

/// The programs that tutorials for redis-py teach: threads that share a pool, count, listen and compete for work.
#[test]
fn redis_py_tutorial_programs() {
    let server = Spawned::ours(&[]);
    run_python("tutorials.py", &[&server.port().to_string()]);
}

/// Runs a program of tests/data with redis-py; it says "ok" at its end.
fn run_python(program: &str, args: &[&str]) {
    /// What the program exits with where there is no redis-py.
    const LEFT_OUT: i32 = 77;
    let path = format!("{}/tests/data/{program}", env!("CARGO_MANIFEST_DIR"));
    match Command::new("python3").arg(path).args(args).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("left out: there is no python3 on PATH"),
        Err(error) => panic!("python3: {error}"),
        Ok(run) if run.status.code() == Some(LEFT_OUT) => println!("left out: python3 has no redis-py of version 5 or later"),
        Ok(run) => {
            let told = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success() && told == "ok\n", "{told}{}", String::from_utf8_lossy(&run.stderr));
        }
    }
}

#[test]
fn redis_cli_reads_commands_from_its_input() {
    let (server, _) = spawn();
    for resp3 in [false, true] {
        let requests: String = CLI_SESSION.iter().map(|(request, ..)| format!("{request}\n")).collect();
        let expected: String = CLI_SESSION.iter().map(|(_, in2, in3)| format!("{}\n", if resp3 { in3 } else { in2 })).collect();
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &server.port().to_string(), "--no-raw"]).args(resp3.then_some("-3"));
        let mut cli = match cli.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return println!("left out: there is no redis-cli on PATH"),
            started => started.expect("redis-cli starts"),
        };
        // Dropped at once: redis-cli goes when its input ends.
        cli.stdin.take().expect("piped").write_all(requests.as_bytes()).expect("redis-cli reads");
        let run = cli.wait_with_output().expect("redis-cli ends");
        let told = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
        assert_eq!(told, expected, "RESP{}", if resp3 { 3 } else { 2 });
    }
}

/// Its clients hear that a server was dropped, whichever thread serves them.
#[tokio::test]
async fn a_dropped_server_lets_go_of_its_clients() {
    for threads in ["1", "2"] {
        let server = Server::builder().set("io-threads", threads).start().expect("it starts");
        let mut idle = TcpStream::connect(server.address()).await.expect("the server is there");
        let mut waiting = TcpStream::connect(server.address()).await.expect("the server is there");
        exchange(&mut idle, "PING\r\n", "+PONG\r\n").await;
        exchange(&mut waiting, "PING\r\nBLPOP list 0\r\n", "+PONG\r\n").await;
        drop(server);
        expect_end(&mut idle).await;
        expect_end(&mut waiting).await;
    }
}

#[tokio::test]
async fn two_servers_in_one_process() {
    let start = || Server::builder().port(Port::Auto).start().expect("it starts");
    let (first, second) = (start(), start());
    assert_ne!(first.address(), second.address());
    assert_eq!(first.url(), format!("redis://{}/", first.address()));
    let mut to_first = TcpStream::connect(first.address()).await.expect("the first server is there");
    let mut to_second = TcpStream::connect(second.address()).await.expect("the second server is there");

    exchange(&mut to_first, "SET k one\r\n", "+OK\r\n").await;
    exchange(&mut to_second, "GET k\r\n", "$-1\r\n").await;
    exchange(&mut to_second, "SET k two\r\nCONFIG SET maxmemory 1gb\r\n", "+OK\r\n+OK\r\n").await;
    exchange(&mut to_first, "GET k\r\nDBSIZE\r\n", "$3\r\none\r\n:1\r\n").await;
    exchange(&mut to_first, "CONFIG GET maxmemory\r\n", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n").await;

    let address = first.address();
    drop(first);
    expect_end(&mut to_first).await;
    let refused = TcpStream::connect(address).await.expect_err("nobody listens any more");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    exchange(&mut to_second, "GET k\r\n", "$3\r\ntwo\r\n").await;

    // The port is free again.
    let third = Server::builder().port(Port::Number(address.port())).start().expect("the port can be had again");
    let mut to_third = TcpStream::connect(third.address()).await.expect("the third server is there");
    exchange(&mut to_third, "GET k\r\n", "$-1\r\n").await;
}

/// A server inside of another program does not take a data file in the working directory for its own.
#[tokio::test]
async fn a_stray_data_file_is_left_alone() {
    // Where tests run there is such a file only while this test does.
    let file = std::path::Path::new("dump.rdb");
    assert!(!file.exists(), "tests leave no files");
    let written = std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rdb/redis7.0-lfu.rdb"), file);
    written.expect("the file can be written");
    let started = [Server::builder().start(), Server::builder().set("dbfilename", "dump.rdb").start()];
    std::fs::remove_file(file).expect("it is there");
    let [stray, wanted] = started.map(|server| server.expect("it starts"));
    exchange(&mut TcpStream::connect(stray.address()).await.expect("it is there"), "DBSIZE\r\n", ":0\r\n").await;
    let mut to_wanted = TcpStream::connect(wanted.address()).await.expect("it is there");
    to_wanted.write_all(b"DBSIZE\r\n").await.expect("it is taken");
    let mut reply = [0; 4];
    to_wanted.read_exact(&mut reply).await.expect("a reply");
    assert_ne!(&reply, b":0\r\n");
}

/// A server under test with a Unix socket, and the socket's path.
fn spawn() -> (Spawned, PathBuf) {
    let server = Spawned::ours(&["--unixsocket", "clients.sock"]);
    let socket = server.directory.join("clients.sock");
    (server, socket)
}

async fn exchange(stream: &mut TcpStream, request: &str, expected: &str) {
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut reply = vec![0; expected.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut reply)).await.expect("a reply in time");
    read.expect("a reply");
    assert_eq!(String::from_utf8_lossy(&reply), expected, "{request}");
}

/// The end of the stream, or a reset: either way the server has let go of its client.
async fn expect_end(stream: &mut TcpStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("an end in time");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

fn redis_rs_session(c: &mut Connection, resp3: bool) -> RedisResult<()> {
    redis::cmd("FLUSHALL").exec(c)?;

    // Strings.
    let binary: &[u8] = b"\0\r\n\xff";
    assert_eq!(c.set::<_, _, String>("greeting", "hello")?, "OK");
    assert_eq!(c.append::<_, _, usize>("greeting", " world")?, 11);
    assert_eq!(c.get::<_, String>("greeting")?, "hello world");
    assert_eq!(c.getrange::<_, String>("greeting", -5, -1)?, "world");
    assert_eq!(c.get::<_, Option<String>>("nothing")?, None);
    c.set::<_, _, ()>("binary", binary)?;
    assert_eq!(c.get::<_, Vec<u8>>("binary")?, binary);
    assert_eq!((c.incr::<_, _, i64>("n", 41)?, c.incr::<_, _, i64>("n", 1)?), (41, 42));
    assert_eq!(c.incr::<_, _, f64>("f", 1.5)?, 1.5);
    assert_eq!(c.mget::<_, Vec<Option<i64>>>(&["n", "nothing"])?, [Some(42), None]);
    let long = vec![b'x'; 100_000];
    c.set::<_, _, ()>("long", &long)?;
    assert_eq!(c.get::<_, Vec<u8>>("long")?, long);
    let wrong = c.lpush::<_, _, i64>("greeting", "x").expect_err("a string is no list");
    assert_eq!(wrong.code(), Some("WRONGTYPE"));

    // Expiry: a deadline that has passed takes the key at once, so that nobody needs to wait.
    c.set_ex::<_, _, ()>("short", "v", 100)?;
    assert!((99..=100).contains(&c.ttl::<_, i64>("short")?));
    assert!(c.persist::<_, bool>("short")?);
    assert_eq!((c.ttl::<_, i64>("short")?, c.ttl::<_, i64>("nothing")?), (-1, -2));
    assert!(c.expire::<_, bool>("short", -1)?);
    assert!(!c.exists::<_, bool>("short")?);

    // Bitmaps.
    assert!(!c.setbit::<_, bool>("bits", 1000, true)?);
    assert!(c.setbit::<_, bool>("bits", 1000, true)?);
    assert_eq!((c.getbit::<_, bool>("bits", 1000)?, c.getbit::<_, bool>("bits", 1001)?), (true, false));
    c.setbit::<_, ()>("more", 7, true)?;
    assert_eq!(c.bit_or::<_, _, usize>("either", &["bits", "more"])?, 126);
    assert_eq!(c.bitcount::<_, usize>("either")?, 2);

    // HyperLogLog. Small ones are exact.
    assert!(c.pfadd::<_, _, bool>("visits", &["ada", "bob"])?);
    assert!(!c.pfadd::<_, _, bool>("visits", "ada")?);
    c.pfadd::<_, _, ()>("others", "eve")?;
    c.pfmerge::<_, _, ()>("all", &["visits", "others"])?;
    assert_eq!((c.pfcount::<_, usize>("visits")?, c.pfcount::<_, usize>("all")?), (2, 3));

    // What has a type of its own in RESP3 only.
    c.hset::<_, _, _, ()>("hash", "field", "value")?;
    let whole: Value = c.hgetall("hash")?;
    assert_eq!(matches!(whole, Value::Map(_)), resp3, "{whole:?}");
    c.zadd::<_, _, _, ()>("ranks", "member", 1.5)?;
    let score: Value = c.zscore("ranks", "member")?;
    assert_eq!(matches!(score, Value::Double(1.5)), resp3, "{score:?}");

    // A long pipeline, then SCAN over what it made: every key once, as nothing changes meanwhile.
    let mut pipeline = redis::pipe();
    for i in 0..PIPELINE {
        pipeline.incr(format!("p:{i}"), i);
    }
    let sums: Vec<usize> = pipeline.query(c)?;
    assert!(sums.into_iter().eq(0..PIPELINE));
    let mut keys: Vec<String> =
        c.scan_options(redis::ScanOptions::default().with_pattern("p:*").with_count(1000))?.collect::<Result<_, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), PIPELINE);
    Ok(())
}

/// A line of input, and what redis-cli prints for its reply in RESP2 and in RESP3.
const CLI_SESSION: &[(&str, &str, &str)] = &[
    ("FLUSHALL", "OK", "OK"),
    ("PING", "PONG", "PONG"),
    ("SET greeting \"hello world\" EX 1000000", "OK", "OK"),
    ("GET greeting", "\"hello world\"", "\"hello world\""),
    ("GET nothing", "(nil)", "(nil)"),
    ("PERSIST greeting", "(integer) 1", "(integer) 1"),
    ("TTL greeting", "(integer) -1", "(integer) -1"),
    ("INCR counter", "(integer) 1", "(integer) 1"),
    ("MSET a 1 b 2", "OK", "OK"),
    ("MGET a b c", "1) \"1\"\n2) \"2\"\n3) (nil)", "1) \"1\"\n2) \"2\"\n3) (nil)"),
    ("HSET h f v", "(integer) 1", "(integer) 1"),
    ("HGETALL h", "1) \"f\"\n2) \"v\"", "1# \"f\" => \"v\""),
    ("ZADD z 1.5 m", "(integer) 1", "(integer) 1"),
    ("ZSCORE z m", "\"1.5\"", "(double) 1.5"),
    ("SADD s x", "(integer) 1", "(integer) 1"),
    ("SMEMBERS s", "1) \"x\"", "1~ \"x\""),
    ("SETBIT bits 7 1", "(integer) 0", "(integer) 0"),
    ("GET bits", "\"\\x01\"", "\"\\x01\""),
    ("PFADD visits ada bob", "(integer) 1", "(integer) 1"),
    ("PFCOUNT visits", "(integer) 2", "(integer) 2"),
    ("SCAN 0 MATCH gr* COUNT 1000", "1) \"0\"\n2) 1) \"greeting\"", "1) \"0\"\n2) 1) \"greeting\""),
    (
        "LPUSH greeting x",
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    (
        "NOSUCH",
        "(error) ERR unknown command 'NOSUCH', with args beginning with: ",
        "(error) ERR unknown command 'NOSUCH', with args beginning with: ",
    ),
    ("DBSIZE", "(integer) 9", "(integer) 9"),
];
