//! The replica's side of replication. In most tests the test itself plays the primary, byte by byte over a socket; where there is a
//! real server, it is followed as well.

use crate::support::client::{Address, Client, PATIENCE};
use crate::support::notation::{encode, split};
use crate::support::reply::Reply;
use crate::support::spawn;
use redstart::server::Server;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER_ID: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A primary that the test plays.
struct Primary {
    listener: TcpListener,
    stream: Option<TcpStream>,
    arrived: Vec<u8>,
}

impl Primary {
    fn new() -> Primary {
        Primary { listener: TcpListener::bind("127.0.0.1:0").expect("a port"), stream: None, arrived: Vec::new() }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().expect("its address").port()
    }

    /// Waits for the replica to connect.
    fn accept(&mut self) {
        self.listener.set_nonblocking(true).expect("it can");
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => panic!("the replica does not come: {error}"),
            }
        };
        stream.set_nonblocking(false).expect("it can");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can");
        self.stream = Some(stream);
        self.arrived.clear();
    }

    fn hang_up(&mut self) {
        self.stream = None;
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.as_mut().expect("a replica").write_all(bytes).expect("it is taken");
    }

    /// Sends requests, each in redis-cli's notation. Returns how many bytes they were.
    fn send(&mut self, requests: &[&str]) -> u64 {
        let bytes = encoded(requests);
        self.say(&bytes);
        bytes.len() as u64
    }

    /// The next request of the replica, words joined by spaces.
    fn heard(&mut self) -> String {
        loop {
            if let Some((words, length)) = parse(&self.arrived) {
                self.arrived.drain(..length);
                return words.join(" ");
            }
            let mut chunk = [0; 4096];
            let n = self.stream.as_mut().expect("a replica").read(&mut chunk).expect("the replica says something");
            assert_ne!(n, 0, "the replica hung up; said: {}", String::from_utf8_lossy(&self.arrived));
            self.arrived.extend_from_slice(&chunk[..n]);
        }
    }

    fn expect(&mut self, request: &str) {
        assert_eq!(self.heard(), request);
    }

    /// The next request that is no periodic ACK.
    fn expect_ack(&mut self, offset: u64) {
        let wanted = format!("REPLCONF ACK {offset}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard();
            if heard == wanted {
                return;
            }
            assert!(heard.starts_with("REPLCONF ACK") && Instant::now() < deadline, "{heard} in place of {wanted}");
        }
    }

    /// Everything up to PSYNC, whose arguments are returned.
    fn shake_hands(&mut self) -> String {
        self.accept();
        self.expect("PING");
        self.say(b"+PONG\r\n");
        assert!(self.heard().starts_with("REPLCONF listening-port "));
        self.expect("REPLCONF capa eof capa psync2");
        self.say(b"+OK\r\n+OK\r\n");
        let asked = self.heard();
        asked.strip_prefix("PSYNC ").unwrap_or_else(|| panic!("{asked} in place of PSYNC")).to_owned()
    }

    /// A full sync with these strings, from an offset on.
    fn full_sync(&mut self, offset: u64, entries: &[(&str, &str)]) {
        self.shake_hands();
        self.say(format!("+FULLRESYNC {ID} {offset}\r\n").as_bytes());
        let file = rdb(entries);
        self.say(format!("${}\r\n", file.len()).as_bytes());
        self.say(&file);
        self.expect_ack(offset);
    }
}

fn encoded(requests: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|request| encode(&split(request).expect("a request"), &mut bytes));
    bytes
}

fn parse(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let line = |at: usize| {
        let end = at + bytes[at..].iter().position(|byte| *byte == b'\n')?;
        Some((String::from_utf8_lossy(&bytes[at..end]).trim_end().to_owned(), end + 1))
    };
    let (count, mut at) = line(0)?;
    let mut words = Vec::new();
    for _ in 0..count.strip_prefix('*')?.parse::<usize>().ok()? {
        let (length, start) = line(at)?;
        let end = start + length.strip_prefix('$')?.parse::<usize>().ok()?;
        words.push(String::from_utf8_lossy(bytes.get(start..end)?).into_owned());
        at = end + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

/// A data file of short strings, without a checksum.
fn rdb(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut file = b"REDIS0011\xfe\x00".to_vec();
    for (key, value) in entries {
        file.push(0);
        for text in [key, value] {
            file.push(text.len() as u8);
            file.extend_from_slice(text.as_bytes());
        }
    }
    file.push(0xff);
    file.extend_from_slice(&[0; 8]);
    file
}

/// A replica of the primary that the test plays, with a folder of its own.
struct Replica {
    server: Server,
    client: Client,
    folder: PathBuf,
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Replica {
    fn start(port: u16, settings: &[(&str, &str)]) -> Replica {
        let folder = std::env::temp_dir().join(format!("redstart-replica-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut builder = Server::builder().set("dir", &folder.display().to_string());
        for (name, value) in settings {
            builder = builder.set(name, value);
        }
        let server = builder.set("replicaof", &format!("127.0.0.1 {port}")).start().expect("it starts");
        let client = Client::connect(&Address::Tcp(server.address())).expect("it is there");
        Replica { server, client, folder }
    }

    fn check(&mut self, requests: &[(&str, &str)]) {
        for (request, expected) in requests {
            assert_eq!(self.client.run(request).to_string(), *expected, "{request}");
        }
    }

    fn wait_for(&mut self, field: &str, value: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.client.info(field) != value {
            assert!(Instant::now() < deadline, "{field} is {}, not {value}", self.client.info(field));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One life of a replica: all data, requests, a break in the middle of a transaction, the rest, and a new name of the history.
#[test]
fn a_replica_takes_all_and_then_the_rest() {
    let mut primary = Primary::new();
    let mut replica = Replica::start(primary.port(), &[]);
    assert_eq!(primary.shake_hands(), "? -1");
    replica.check(&[("ROLE", &format!("[\"slave\", \"127.0.0.1\", (integer) {}, \"handshake\", (integer) -1]", primary.port()))]);
    // Signs of life, before the reply and before the data.
    primary.say(format!("\n\n+FULLRESYNC {ID} 1000\r\n\n\n").as_bytes());
    let file = rdb(&[("a", "1"), ("b", "two")]);
    primary.say(format!("${}\r\n", file.len()).as_bytes());
    primary.say(&file);
    primary.expect_ack(1000);
    replica.check(&[
        ("GET a", "\"1\""),
        ("GET b", "\"two\""),
        ("SET a 2", "(error) READONLY You can't write against a read only replica."),
        ("ROLE", &format!("[\"slave\", \"127.0.0.1\", (integer) {}, \"connected\", (integer) 1000]", primary.port())),
    ]);
    assert_eq!(replica.client.info("master_link_status"), "up");
    assert_eq!(replica.client.info("master_replid"), ID);
    let mut offset = 1000;
    offset += primary.send(&["SELECT 3", "SET c x", "MULTI", "INCR n", "INCR n", "EXEC", "PING"]);
    primary.send(&["REPLCONF GETACK *"]);
    // What asks how far the replica is does not count yet.
    primary.expect_ack(offset);
    offset += encoded(&["REPLCONF GETACK *"]).len() as u64;
    replica.check(&[("SELECT 3", "OK"), ("GET c", "\"x\""), ("GET n", "\"2\"")]);
    assert_eq!(replica.client.info("slave_repl_offset"), offset.to_string());
    // A transaction whose end does not come is as if it had not begun.
    let open = primary.send(&["MULTI", "SET n 77"]);
    replica.wait_for("slave_read_repl_offset", &(offset + open).to_string());
    assert_eq!(replica.client.info("slave_repl_offset"), offset.to_string());
    primary.hang_up();
    assert_eq!(primary.shake_hands(), format!("{ID} {}", offset + 1));
    primary.say(format!("+CONTINUE {OTHER_ID}\r\n").as_bytes());
    // The stream goes on in the database in which it was.
    offset += primary.send(&["MULTI", "SET n 5", "EXEC"]);
    replica.wait_for("slave_repl_offset", &offset.to_string());
    replica.check(&[("GET n", "\"5\"")]);
    assert_eq!(replica.client.info("master_replid"), OTHER_ID);
    assert_eq!(replica.client.info("master_replid2"), ID);
    // It becomes a primary that is known under the old name up to here.
    replica.check(&[("REPLICAOF NO ONE", "OK"), ("SET n 6", "OK")]);
    assert_eq!(replica.client.info("master_replid2"), OTHER_ID);
    assert_eq!(replica.client.info("second_repl_offset"), (offset + 1).to_string());
    assert_eq!(replica.client.info("role"), "master");
}

/// The data may come without a length, to a file or right into memory, and in the smallest pieces.
#[test]
fn data_come_in_either_form_and_way() {
    for (load, pieces) in [("disabled", 7), ("on-empty-db", 1), ("swapdb", 100), ("swapdb", 1 << 20)] {
        let mut primary = Primary::new();
        let mut replica = Replica::start(primary.port(), &[("repl-diskless-load", load)]);
        primary.shake_hands();
        primary.say(format!("+FULLRESYNC {ID} 7\r\n").as_bytes());
        let mark = "m".repeat(40);
        let data = [format!("$EOF:{mark}\r\n").into_bytes(), rdb(&[("a", "1"), ("b", "2")]), mark.into_bytes()].concat();
        for piece in data.chunks(pieces) {
            primary.say(piece);
        }
        primary.expect_ack(7);
        replica.check(&[("GET a", "\"1\""), ("GET b", "\"2\""), ("DBSIZE", "(integer) 2")]);
        primary.hang_up();
        // Another history: everything anew, and what was there is gone.
        primary.full_sync(9, &[("c", "3")]);
        replica.check(&[("GET a", "(nil)"), ("GET c", "\"3\""), ("DBSIZE", "(integer) 1")]);
    }
}

/// Broken data are asked for again; nothing of them stays, unless the old data are kept meanwhile.
#[test]
fn broken_data_are_no_data() {
    for load in ["disabled", "on-empty-db", "swapdb"] {
        let mut primary = Primary::new();
        let mut replica = Replica::start(primary.port(), &[("repl-diskless-load", load)]);
        let good = rdb(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let mut wrong = good.clone();
        wrong[12] = 0x77;
        for (length, bytes) in [(good.len(), &wrong[..]), (good.len(), &good[..good.len() - 12]), (5, b"nodb!"), (0, b"")] {
            primary.shake_hands();
            primary.say(format!("+FULLRESYNC {ID} 7\r\n${length}\r\n").as_bytes());
            primary.say(bytes);
            primary.hang_up();
        }
        primary.shake_hands();
        primary.say(b"-ERR not today\r\n");
        primary.hang_up();
        primary.shake_hands();
        replica.check(&[("DBSIZE", "(integer) 0"), ("PING", "PONG")]);
        primary.say(format!("+FULLRESYNC {ID} 7\r\n${}\r\n", good.len()).as_bytes());
        primary.say(&good);
        primary.expect_ack(7);
        replica.check(&[("DBSIZE", "(integer) 3")]);
    }
}

/// What is not the protocol of a primary ends the connection, and nothing else.
#[test]
fn strange_primaries_do_no_harm() {
    let mut primary = Primary::new();
    let mut replica = Replica::start(primary.port(), &[]);
    for words in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"-ERR no\r\n", b"$-5\r\n", b"*1000000000\r\n", b"\0\0\0"] {
        primary.accept();
        primary.expect("PING");
        primary.say(words);
        primary.hang_up();
    }
    for words in ["+FULLRESYNC\r\n", "+FULLRESYNC x y\r\n$5\r\n", "+WHAT\r\n", "-LOADING wait\r\n", "+CONTINUE\r\nSET a b\r\n"] {
        primary.shake_hands();
        primary.say(words.as_bytes());
        primary.hang_up();
    }
    primary.full_sync(10, &[("a", "1")]);
    // Words in a line are no stream of a primary: the history is not to be trusted any more.
    primary.say(b"SET a 2\r\n");
    assert_eq!(primary.shake_hands(), "? -1");
    primary.hang_up();
    primary.full_sync(10, &[("a", "1")]);
    primary.say(b"*1\r\n$-7\r\n");
    assert_eq!(primary.shake_hands(), "? -1");
    replica.check(&[("GET a", "\"1\"")]);
}

/// Keys past their deadline are hidden from readers, but go away only when the primary says so.
#[test]
fn the_primary_tells_what_expires() {
    let mut primary = Primary::new();
    let mut replica = Replica::start(primary.port(), &[]);
    primary.full_sync(0, &[("a", "1")]);
    let offset = primary.send(&["SELECT 0", "SET gone v PXAT 1000", "SET soon v PX 60", "HSET h f v", "INCR a"]);
    replica.wait_for("slave_repl_offset", &offset.to_string());
    std::thread::sleep(Duration::from_millis(150));
    replica.check(&[
        ("GET gone", "(nil)"),
        ("EXISTS soon", "(integer) 0"),
        ("TTL soon", "(integer) -2"),
        ("KEYS s*", "[]"),
        ("DBSIZE", "(integer) 4"),
        ("GET a", "\"2\""),
    ]);
    // To the primary they are there.
    let offset = offset + primary.send(&["APPEND soon w", "PERSIST soon", "DEL gone"]);
    replica.wait_for("slave_repl_offset", &offset.to_string());
    replica.check(&[("GET soon", "\"vw\""), ("DBSIZE", "(integer) 3")]);
}

/// Requests that fail here did not fail there: that is logged and counted, and the stream goes on.
#[test]
fn what_fails_is_counted() {
    let mut primary = Primary::new();
    let mut replica = Replica::start(primary.port(), &[]);
    primary.full_sync(0, &[("a", "1")]);
    let offset = primary.send(&["LPUSH a x", "NOSUCH command", "GET", "MULTI", "LPUSH a x", "SET b 1", "EXEC", "SELECT 99"]);
    replica.wait_for("slave_repl_offset", &offset.to_string());
    assert_eq!(replica.client.info("unexpected_error_replies"), "5");
    replica.check(&[("GET b", "\"1\"")]);
}

#[test]
fn clients_hear_of_the_change_of_sides() {
    let mut primary = Primary::new();
    let mut replica = Replica::start(primary.port(), &[]);
    primary.full_sync(0, &[]);
    replica.check(&[("REPLICAOF NO ONE", "OK")]);
    let address = Address::Tcp(replica.server.address());
    let mut waiting = Client::connect(&address).expect("it is there");
    waiting.send(&["BLPOP", "list", "0"]).expect("it is taken");
    replica.wait_for("blocked_clients", "1");
    let follow = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    replica.check(&[(&follow, "OK"), (&follow, "OK Already connected to specified master")]);
    assert_eq!(
        waiting.read().expect("a reply").to_string(),
        "(error) UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
    );
    assert!(waiting.closes_within(PATIENCE));
    // The history that it made itself is worth a try.
    assert!(!primary.shake_hands().starts_with('?'));
    replica.check(&[
        ("REPLICAOF 127.0.0.1 abc", "(error) ERR Invalid master port"),
        (
            "WAIT 0 0",
            "(error) ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
        ),
        ("CONFIG SET replica-serve-stale-data no", "OK"),
        ("GET a", "(error) MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        ("CONFIG SET replica-serve-stale-data yes replica-read-only no", "OK"),
        ("SET a 1", "OK"),
        ("GET a", "\"1\""),
        ("CONFIG SET replica-read-only yes", "OK"),
        ("CONFIG GET replicaof", &format!("[\"replicaof\", \"127.0.0.1 {}\"]", primary.port())),
        ("SLAVEOF no one", "OK"),
        ("SET a 1", "OK"),
    ]);
}

/// The primary is a client among others: it is listed, and can be sent away, which loses nothing.
#[test]
fn the_primary_is_a_client() {
    let mut primary = Primary::new();
    let mut replica = Replica::start(primary.port(), &[]);
    primary.full_sync(5, &[]);
    let listed = replica.client.run("CLIENT LIST TYPE master").to_string();
    assert!(listed.contains(" flags=M ") && listed.contains(&format!("addr=127.0.0.1:{}", primary.port())), "{listed}");
    replica.check(&[("CLIENT KILL TYPE master", "(integer) 1")]);
    assert_eq!(primary.shake_hands(), format!("{ID} 6"));
    primary.say(b"+CONTINUE\r\n");
    let address = Address::Tcp(replica.server.address());
    let mut listener = Client::connect(&address).expect("it is there");
    listener.run("SUBSCRIBE news");
    primary.send(&["PUBLISH news hello"]);
    assert_eq!(listener.read().expect("a message").to_string(), "[\"message\", \"news\", \"hello\"]");
}

/// Passwords, users, and what the replica announces of itself.
#[test]
fn greetings_carry_what_the_configuration_says() {
    let mut primary = Primary::new();
    let settings =
        [("masterauth", "secret"), ("masteruser", "bob"), ("replica-announce-ip", "10.1.2.3"), ("replica-announce-port", "7777")];
    let mut replica = Replica::start(primary.port(), &settings);
    primary.accept();
    primary.expect("PING");
    primary.say(b"-NOAUTH Authentication required.\r\n");
    for request in
        ["AUTH bob secret", "REPLCONF listening-port 7777", "REPLCONF ip-address 10.1.2.3", "REPLCONF capa eof capa psync2"]
    {
        primary.expect(request);
    }
    primary.say(b"-WRONGPASS no\r\n+OK\r\n+OK\r\n+OK\r\n");
    replica.check(&[("CONFIG SET masterauth better masteruser ''", "OK")]);
    primary.accept();
    primary.expect("PING");
    primary.say(b"+PONG\r\n");
    primary.expect("AUTH better");
}

/// A replica that is started again asks for what came after the data in its file.
#[test]
fn a_restart_goes_on_where_the_file_ends() {
    let mut primary = Primary::new();
    let folder = std::env::temp_dir().join(format!("redstart-restart-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut file = b"REDIS0011".to_vec();
    for (name, value) in [("repl-stream-db", "2"), ("repl-id", ID), ("repl-offset", "4711")] {
        file.push(0xfa);
        for text in [name, value] {
            file.push(text.len() as u8);
            file.extend_from_slice(text.as_bytes());
        }
    }
    file.extend_from_slice(&rdb(&[("a", "1")])[9..]);
    std::fs::write(folder.join("dump.rdb"), file).expect("it is written");
    let builder = Server::builder().set("dir", &folder.display().to_string());
    let server = builder.set("replicaof", &format!("127.0.0.1 {}", primary.port())).start().expect("it starts");
    assert_eq!(primary.shake_hands(), format!("{ID} 4712"));
    primary.say(b"+CONTINUE\r\n");
    let sent = primary.send(&["SET b 2"]);
    primary.send(&["REPLCONF GETACK *"]);
    primary.expect_ack(4711 + sent);
    let mut client = Client::connect(&Address::Tcp(server.address())).expect("it is there");
    assert_eq!(client.run("GET a").to_string(), "\"1\"");
    client.run("SELECT 2");
    assert_eq!(client.run("GET b").to_string(), "\"2\"");
    let _ = std::fs::remove_dir_all(&folder);
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A chain: what the first is told arrives at the last, under the same offsets; and the middle one takes the first one's place without
/// anybody needing all data again.
#[test]
fn a_chain_and_a_failover() {
    let folder = std::env::temp_dir().join(format!("redstart-chain-{}", std::process::id()));
    let start = |name: &str, of: Option<&Server>| {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut builder = Server::builder().set("dir", &folder.display().to_string()).set("repl-diskless-sync-delay", "0");
        if let Some(of) = of {
            builder = builder.set("replicaof", &format!("127.0.0.1 {}", of.address().port()));
        }
        let server = builder.start().expect("it starts");
        let client = Client::connect(&Address::Tcp(server.address())).expect("it is there");
        (server, client)
    };
    let (first, mut to_first) = start("a", None);
    fill(&mut to_first, 0);
    let (middle, mut to_middle) = start("b", Some(&first));
    wait_until("the middle one follows", || to_middle.info("master_link_status") == "up");
    let (_last, mut to_last) = start("c", Some(&middle));
    fill(&mut to_first, 1);
    wait_until("the last one follows", || to_last.info("master_link_status") == "up");
    fill(&mut to_first, 2);
    let offset = to_first.info("master_repl_offset");
    for client in [&mut to_middle, &mut to_last] {
        wait_until("it gets everything", || client.info("master_repl_offset") >= offset);
        assert_eq!(contents(&mut to_first), contents(client));
    }
    assert_eq!(to_first.run(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 10000", middle.address().port())).to_string(), "OK");
    wait_until("the middle one leads", || to_middle.info("role") == "master");
    wait_until("the first one follows", || to_first.info("master_link_status") == "up");
    assert_eq!(to_first.info("master_failover_state"), "no-failover");
    fill(&mut to_middle, 3);
    let offset: u64 = to_middle.info("master_repl_offset").parse().expect("a number");
    for client in [&mut to_first, &mut to_last] {
        wait_until("it gets everything", || client.info("master_repl_offset").parse::<u64>().is_ok_and(|at| at >= offset));
        assert_eq!(contents(&mut to_middle), contents(client));
    }
    assert_eq!(to_middle.info("sync_full"), "1");
    let _ = std::fs::remove_dir_all(&folder);
}

/// A real server is followed: all types, requests meanwhile, a broken link.
#[test]
fn real_primaries_are_followed() {
    let Some(program) = spawn::peer() else { return };
    for (load, diskless) in [("disabled", "no"), ("disabled", "yes"), ("swapdb", "yes"), ("on-empty-db", "no")] {
        let settings = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"];
        let primary = spawn::Server::start(&program, &settings).unwrap_or_else(|error| panic!("{error}"));
        let mut there = primary.client();
        fill(&mut there, 0);
        let mut replica = Replica::start(primary.port(), &[("repl-diskless-load", load)]);
        for round in 1..4 {
            fill(&mut there, round);
            if round == 2 {
                replica.wait_for("master_link_status", "up");
                replica.check(&[("CLIENT KILL TYPE master", "(integer) 1")]);
            }
        }
        replica.wait_for("slave_repl_offset", &there.info("master_repl_offset"));
        for db in ["SELECT 0", "SELECT 1"] {
            there.run(db);
            replica.client.run(db);
            let (theirs, ours) = (contents(&mut there), contents(&mut replica.client));
            assert!(theirs.len() > if db == "SELECT 0" { 400 } else { 1 });
            for (theirs, ours) in theirs.iter().zip(&ours) {
                assert_eq!(theirs, ours, "{load} {diskless}");
            }
            assert_eq!(theirs.len(), ours.len());
        }
        assert_eq!(replica.client.info("unexpected_error_replies"), "0");
        let text = there.run("INFO stats").to_string();
        assert!(text.contains("sync_partial_ok:1"), "{text}");
    }
}

/// All keys of a database with their values, as text that two servers can be compared by.
fn contents(client: &mut Client) -> Vec<String> {
    let list = |reply: Reply| -> Vec<String> { reply.items().unwrap_or_default().iter().map(|item| item.to_string()).collect() };
    let mut keys: Vec<String> = client.run("KEYS *").items().unwrap_or_default().iter().map(Reply::lossy).collect();
    keys.sort();
    let mut lines = Vec::new();
    for key in keys {
        let kind = client.run(&format!("TYPE {key}")).to_string();
        let value = match &*kind {
            "string" => vec![client.run(&format!("GET {key}")).to_string()],
            "list" => list(client.run(&format!("LRANGE {key} 0 -1"))),
            "set" => list(client.run(&format!("SMEMBERS {key}"))),
            "hash" => list(client.run(&format!("HGETALL {key}"))).chunks(2).map(|pair| pair.join("=")).collect(),
            "zset" => list(client.run(&format!("ZRANGE {key} 0 -1 WITHSCORES"))),
            _ => {
                let entries = client.run(&format!("XRANGE {key} - +")).to_string();
                vec![entries, client.run(&format!("XPENDING {key} group")).to_string()]
            }
        };
        let mut value = value;
        if matches!(&*kind, "set" | "hash") {
            value.sort();
        }
        let mortal = client.run(&format!("TTL {key}")).to_string() != "(integer) -1";
        lines.push(format!("{key} {kind} mortal={mortal} {}", value.join(" ")));
    }
    lines
}

/// Changes of all types.
fn fill(client: &mut Client, round: usize) {
    for n in 0..50 {
        for request in [
            format!("SET string:{n} value:{round}"),
            format!("INCRBY number:{n} {round}"),
            format!("RPUSH list:{n} a{round} b{round} {round}"),
            format!("SADD set:{n} {round} x{round}"),
            format!("HSET hash:{n} f{round} v{n} same {round}"),
            format!("ZADD zset:{n} {round} m{round} 5 same"),
            format!("XADD stream:{n} {}-{n} f {round}", round + 1),
            format!("PFADD hll:{n} {round} {n}"),
            format!("SETBIT bits:{n} {} 1", round * 100 + n),
            format!("SPOP set:{n}"),
            format!("EXPIRE string:{n} 1000"),
            format!("LPOP list:{n}"),
            format!("EVAL \"redis.call('incr', KEYS[1]) return redis.call('append', KEYS[2], 'x')\" 2 script:{n} text:{n}"),
        ] {
            client.run(&request);
        }
    }
    client.run("XGROUP CREATE stream:1 group 0");
    client.run("XREADGROUP GROUP group me COUNT 1 STREAMS stream:1 >");
    for request in ["SELECT 1", "SET other-db 1", "MULTI", "INCR in-multi", "INCR in-multi", "EXEC", "SELECT 0"] {
        client.run(request);
    }
}
