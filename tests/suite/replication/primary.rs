//! The primary's side, as a replica sees it.

use crate::support::client::{Address, Client, PATIENCE};
use redstart::server::{Builder, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A replica that says and hears what the test wants.
pub struct Replica {
    stream: TcpStream,
    arrived: Vec<u8>,
}

impl Replica {
    fn connect(address: SocketAddr) -> Replica {
        let stream = TcpStream::connect(address).expect("the server is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Replica { stream, arrived: Vec::new() }
    }

    /// Connects, introduces itself, asks for the history and gets the data: its name and offset, and the data.
    pub fn in_step(address: SocketAddr) -> (Replica, String, u64, Vec<u8>) {
        let mut replica = Replica::connect(address);
        replica.introduce();
        replica.say("PSYNC ? -1");
        let (id, offset) = replica.full_resync();
        let data = replica.data();
        replica.acknowledge(offset);
        (replica, id, offset, data)
    }

    fn introduce(&mut self) {
        for request in ["REPLCONF listening-port 7777", "REPLCONF capa eof capa psync2"] {
            self.say(request);
            assert_eq!(self.line(), "+OK");
        }
    }

    fn say(&mut self, request: &str) {
        self.stream.write_all(format!("{request}\r\n").as_bytes()).expect("the server listens");
    }

    pub fn acknowledge(&mut self, offset: u64) {
        self.say(&format!("REPLCONF ACK {offset}"));
    }

    fn full_resync(&mut self) -> (String, u64) {
        let line = self.line();
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("+FULLRESYNC"), "{line}");
        (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
    }

    fn more(&mut self) {
        let mut piece = [0; 65536];
        let len = self.stream.read(&mut piece).expect("the server answers in time");
        assert!(len > 0, "the server closed the connection");
        self.arrived.extend_from_slice(&piece[..len]);
    }

    /// True if the server closes the connection without another word.
    fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(0))
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        while self.arrived.len() < len {
            self.more();
        }
        self.arrived.drain(..len).collect()
    }

    /// The next line that is not empty.
    fn line(&mut self) -> String {
        loop {
            while let Some(end) = self.arrived.iter().position(|byte| *byte == b'\n') {
                let line = self.take(end + 1);
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !line.is_empty() {
                    return line;
                }
            }
            self.more();
        }
    }

    /// The data of a full sync, in either form.
    fn data(&mut self) -> Vec<u8> {
        let head = self.line();
        let data = match head.strip_prefix("$EOF:") {
            Some(mark) => loop {
                let mark = mark.as_bytes();
                if let Some(at) = self.arrived.windows(mark.len()).position(|window| window == mark) {
                    let mut data = self.take(at + mark.len());
                    data.truncate(at);
                    break data;
                }
                self.more();
            },
            None => {
                let len = head.strip_prefix('$').and_then(|len| len.parse().ok()).expect("a length");
                self.take(len)
            }
        };
        assert!(data.starts_with(b"REDIS00"), "{head}");
        data
    }

    /// The next request of the history.
    fn request(&mut self) -> String {
        let head = self.line();
        let count: usize = head.strip_prefix('*').and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{head}"));
        let words = (0..count).map(|_| {
            let head = self.line();
            let len: usize = head.strip_prefix('$').and_then(|len| len.parse().ok()).unwrap_or_else(|| panic!("{head}"));
            let word = self.take(len + 2);
            String::from_utf8_lossy(&word[..len]).into_owned()
        });
        words.collect::<Vec<_>>().join(" ")
    }

    pub fn expect(&mut self, requests: &[&str]) {
        for expected in requests {
            assert_eq!(self.request(), *expected);
        }
    }
}

fn start(settings: impl FnOnce(Builder) -> Builder) -> (Server, Client) {
    let builder = Server::builder().set("repl-diskless-sync-delay", "0").set("repl-ping-replica-period", "1000");
    let directory = std::env::temp_dir();
    let server = settings(builder.set("dir", &directory.display().to_string())).start().expect("it starts");
    let client = client(server.address());
    (server, client)
}

fn client(address: SocketAddr) -> Client {
    Client::connect(&Address::Tcp(address)).expect("the server is there")
}

/// Waits until a field of INFO reads so.
pub fn await_info(client: &mut Client, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let info = client.run("INFO everything").to_string();
        if info.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "no {wanted} in {info}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What is written after the data were asked for follows them: once, in order, in MULTI and EXEC what belongs together.
#[test]
fn the_history_follows_the_data() {
    let (server, mut client) = start(|builder| builder);
    client.run("SET before 1");
    let (mut replica, id, offset, data) = Replica::in_step(server.address());
    assert_eq!((id.len(), offset), (40, 0));
    assert!(data.windows(6).any(|window| window == b"before"));
    for request in ["SET k v", "GET k", "DEL gone", "SELECT 3", "SET short v EX 100000 NX", "MULTI", "INCR a", "INCR b", "EXEC"] {
        client.run(request);
    }
    client.run("EVAL \"redis.call('RPUSH', KEYS[1], 'x') redis.call('LPOP', KEYS[1])\" 1 list");
    replica.expect(&["SELECT 0", "SET k v", "SELECT 3"]);
    assert!(replica.request().starts_with("SET short v PXAT "));
    replica.expect(&["MULTI", "INCR a", "INCR b", "EXEC", "MULTI", "RPUSH list x", "LPOP list", "EXEC"]);
}

/// Packets may be saved on the way: what is written gets there all the same, whichever thread has the socket.
#[test]
fn the_history_comes_in_fewer_packets() {
    for threads in ["1", "3"] {
        let (server, mut client) = start(|builder| builder.set("repl-disable-tcp-nodelay", "yes").set("io-threads", threads));
        let (mut replica, ..) = Replica::in_step(server.address());
        client.run("SET k 0");
        replica.expect(&["SELECT 0", "SET k 0"]);
        for n in 1..20 {
            client.run(&format!("SET k {n}"));
            replica.expect(&[&format!("SET k {n}")]);
        }
    }
}

/// SYNC is the old form: no greeting, a length ahead, no acknowledgements.
#[test]
fn sync_by_hand() {
    let (server, mut client) = start(|builder| builder.set("dbfilename", "sync-by-hand.rdb"));
    client.run("SET k v");
    let mut replica = Replica::connect(server.address());
    replica.say("SYNC");
    assert!(replica.data().len() > 20);
    client.run("SET k w");
    replica.expect(&["SELECT 0", "SET k w"]);
    assert!(client.run("CLIENT LIST TYPE replica").to_string().contains("flags=S"));
    let _ = std::fs::remove_file(std::env::temp_dir().join("sync-by-hand.rdb"));
}

/// A replica that comes back goes on where it was; one that asks for what is no longer known gets everything.
#[test]
fn a_replica_goes_on_where_it_was() {
    let (server, mut client) = start(|builder| builder.set("repl-backlog-size", "16384"));
    let (mut replica, id, _, _) = Replica::in_step(server.address());
    client.run("SET k v");
    replica.expect(&["SELECT 0", "SET k v"]);
    let seen = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n".len();
    assert_eq!(client.run("CLIENT KILL TYPE replica").to_string(), "(integer) 1");
    assert!(replica.is_closed());
    await_info(&mut client, "connected_slaves:0");
    client.run("SET k w");

    let mut replica = Replica::connect(server.address());
    replica.introduce();
    replica.say(&format!("PSYNC {id} {}", seen + 1));
    assert_eq!(replica.line(), format!("+CONTINUE {id}"));
    replica.expect(&["SET k w"]);
    client.run("SET k x");
    replica.expect(&["SET k x"]);
    await_info(&mut client, "sync_partial_ok:1");

    for asked in [format!("{id} {}", seen + 100_000), format!("{} 1", "f".repeat(40)), format!("{id} 0")] {
        let mut other = Replica::connect(server.address());
        other.introduce();
        other.say(&format!("PSYNC {asked}"));
        assert_eq!(other.full_resync().0, id, "{asked}");
        other.data();
    }
    await_info(&mut client, "sync_partial_err:3");
    // What left the backlog is gone, too.
    client.run(&format!("SET big {}", "x".repeat(40_000)));
    let mut late = Replica::connect(server.address());
    late.introduce();
    late.say(&format!("PSYNC {id} {}", seen + 1));
    late.full_resync();
}

/// WAIT counts replicas that told that they have what this client wrote; who waits makes the primary ask.
#[test]
fn wait_for_replicas() {
    let (server, mut client) = start(|builder| builder);
    assert_eq!(client.run("WAIT 0 0").to_string(), "(integer) 0");
    assert_eq!(client.run("WAIT 1 1").to_string(), "(integer) 0");
    let (mut replica, ..) = Replica::in_step(server.address());
    await_info(&mut client, "slave0:ip=127.0.0.1,port=7777,state=online,offset=0,lag=0");
    assert_eq!(client.run("WAIT 1 0").to_string(), "(integer) 1");
    client.run("SET k v");
    client.send(&["WAIT", "1", "0"]).unwrap();
    replica.expect(&["SELECT 0", "SET k v", "REPLCONF GETACK *"]);
    replica.acknowledge(50);
    replica.acknowledge(52);
    assert_eq!(client.read().unwrap().to_string(), "(integer) 1");
    assert_eq!(client.run("WAITAOF 0 1 1").to_string(), "[(integer) 0, (integer) 0]");
    replica.say("REPLCONF ACK 60 FACK 49");
    client.send(&["WAITAOF", "0", "1", "0"]).unwrap();
    replica.say("REPLCONF ACK 61 FACK 60");
    assert_eq!(client.read().unwrap().to_string(), "[(integer) 0, (integer) 1]");
    let role = client.run("ROLE").to_string();
    assert!(role.contains("\"127.0.0.1\"") && role.contains("\"7777\"") && role.contains("\"61\""), "{role}");
}

#[test]
fn writes_want_replicas() {
    let (server, mut client) = start(|builder| builder.set("min-replicas-to-write", "1"));
    // Counted when there is reason to.
    client.run("CONFIG SET min-replicas-max-lag 5");
    let refusal = "(error) NOREPLICAS Not enough good replicas to write.";
    assert_eq!(client.run("SET k v").to_string(), refusal);
    assert_eq!(client.run("GET k").to_string(), "(nil)");
    let (replica, ..) = Replica::in_step(server.address());
    await_info(&mut client, "min_slaves_good_slaves:1");
    assert_eq!(client.run("SET k v").to_string(), "OK");
    drop(replica);
    await_info(&mut client, "connected_slaves:0");
    assert_eq!(client.run("SET k v").to_string(), refusal);
}

#[test]
fn what_is_refused() {
    let (server, mut client) = start(|builder| builder);
    for (request, expected) in [
        ("REPLCONF foo", "(error) ERR syntax error"),
        ("REPLCONF foo bar", "(error) ERR Unrecognized REPLCONF option: foo"),
        ("REPLCONF listening-port abc", "(error) ERR value is not an integer or out of range"),
        ("REPLCONF rdb-only 2", "(error) ERR value is out of range, value must between 0 and 1"),
        ("REPLCONF rdb-filter-only foo", "(error) ERR Unsupported rdb-filter-only option: foo"),
        ("REPLCONF rdb-filter-only functions", "OK"),
        ("PSYNC ? -1", "(error) ERR Filtered replica requires EOF capability"),
        ("PSYNC ? x", "(error) ERR Filtered replica requires EOF capability"),
        ("PSYNC ? -1 FAILOVER", "(error) ERR PSYNC FAILOVER can't be sent to a master."),
        ("MULTI", "OK"),
        ("PSYNC ? -1", "(error) ERR Command not allowed inside a transaction"),
    ] {
        assert_eq!(client.run(request).to_string(), expected, "{request}");
    }
    let mut replica = Replica::connect(server.address());
    replica.say("REPLCONF GETACK *");
    replica.say("REPLCONF ACK 1");
    replica.say("PING");
    assert_eq!(replica.line(), "+PONG");
}

/// Functions alone, for `redis-cli --functions-rdb`; the data alone, for `redis-cli --rdb`.
#[test]
fn a_part_of_the_data() {
    let (server, mut client) = start(|builder| builder.set("rdbcompression", "no"));
    client.run("SET key-of-data v");
    let code = "#!lua name=lib\\nredis.register_function('f', function() return 1 end)";
    client.run(&format!("FUNCTION LOAD \"{code}\""));
    for (wish, has_function, has_key) in [("rdb-filter-only functions", true, false), ("rdb-only 1", true, true)] {
        let mut replica = Replica::connect(server.address());
        replica.introduce();
        replica.say(&format!("REPLCONF {wish}"));
        assert_eq!(replica.line(), "+OK");
        replica.say("PSYNC ? -1");
        replica.full_resync();
        let data = replica.data();
        assert_eq!(data.windows(17).any(|window| window == b"register_function"), has_function, "{wish}");
        assert_eq!(data.windows(11).any(|window| window == b"key-of-data"), has_key, "{wish}");
        if wish.starts_with("rdb-only") {
            assert!(replica.is_closed());
        }
    }
}

/// The data file tells where in the history it was made: a primary that was restarted lets its replicas go on.
#[test]
fn a_primary_comes_back_after_a_restart() {
    let name = format!("history-{}.rdb", std::process::id());
    let settings = |builder: Builder| builder.set("dbfilename", &name);
    let (server, mut client) = start(settings);
    let (mut replica, id, ..) = Replica::in_step(server.address());
    client.run("SET k v");
    replica.expect(&["SELECT 0", "SET k v"]);
    client.run("SAVE");
    drop(server);
    let (server, mut client) = start(settings);
    let mut replica = Replica::connect(server.address());
    replica.introduce();
    replica.say(&format!("PSYNC {id} 51"));
    let line = replica.line();
    assert!(line.starts_with("+CONTINUE ") && !line.contains(&id), "{line}");
    client.run("SET k w");
    replica.expect(&["SELECT 0", "SET k w"]);
    await_info(&mut client, &format!("master_replid2:{id}"));
    let _ = std::fs::remove_file(std::env::temp_dir().join(name));
}

/// A replica that does not read is cut off when more waits for it than `client-output-buffer-limit` allows.
#[test]
fn a_replica_that_does_not_read_is_cut_off() {
    let (server, mut client) =
        start(|builder| builder.set("repl-backlog-size", "16384").set("client-output-buffer-limit", "replica 4mb 0 0"));
    let (_replica, ..) = Replica::in_step(server.address());
    await_info(&mut client, "state=online");
    let value = "x".repeat(1 << 20);
    for _ in 0..64 {
        client.run(&format!("SET k {value}"));
    }
    await_info(&mut client, "connected_slaves:0");
    await_info(&mut client, "client_output_buffer_limit_disconnections:1");
}
