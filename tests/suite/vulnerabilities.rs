//! Published vulnerabilities of Redis and Valkey, played against this server: a test each, named after them. More are where
//! their subject is: `regression.rs` (strings, HyperLogLog, SORT, rules, keys in requests), `abuse.rs` (limits of strangers),
//! `scripts.rs` and `commands/scripting.rs` (Lua).

use crate::support::client::{Client, PATIENCE};
use crate::support::spawn::Server;
use redstart::resp::request::OwnedRequest;
use redstart::testkit::{Kit, check};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs a request that the notation of transcripts is too slow or too small for.
fn run(kit: &mut Kit, args: &[&[u8]]) -> String {
    let request: OwnedRequest = args.iter().copied().collect();
    kit.run_request(&request)
}

/// CVE-2018-12453: XGROUP took a key of another type for a stream.
#[test]
fn cve_2018_12453_xgroup_on_other_types() {
    let mut kit = Kit::new();
    for fill in ["SET k v", "RPUSH k a", "SADD k a", "HSET k f v", "ZADD k 1 a", "PFADD k a"] {
        kit.run("DEL k");
        kit.run(fill);
        for rest in
            ["CREATE k g $", "CREATE k g 0 MKSTREAM", "SETID k g 0", "DESTROY k g", "CREATECONSUMER k g c", "DELCONSUMER k g c"]
        {
            let reply = kit.run(&format!("XGROUP {rest}"));
            assert_eq!(reply, "-WRONGTYPE Operation against a key holding the wrong kind of value", "{fill}: XGROUP {rest}");
        }
    }
}

/// CVE-2021-29478, CVE-2021-32687: with a great `set-max-intset-entries` the bytes of a set of integers were counted in 32 bits.
#[test]
fn cve_2021_29478_great_sets_of_integers() {
    let mut kit = Kit::new();
    kit.play("# config set-max-intset-entries 9223372036854775807");
    let members: Vec<String> = (0..200_000_i64).map(|n| (n << 20).to_string()).collect();
    let mut args: Vec<&[u8]> = vec![b"SADD", b"k"];
    args.extend(members.iter().map(|member| member.as_bytes()));
    assert_eq!(run(&mut kit, &args), "200000");
    // However great the limit, a set of integers stays within what may be moved for one new member.
    assert!(["\"intset\"", "\"hashtable\""].contains(&&*kit.run("OBJECT ENCODING k")));
    assert_eq!(kit.run("SISMEMBER k 1048576"), "1");
    assert_eq!(kit.run("SADD k 9223372036854775807 -9223372036854775808 2"), "3");
    assert_eq!(kit.run("SCARD k"), "200003");
    // Sizes that a payload claims are checked before they are believed: 2^29 members of 8 bytes would be 2^32.
    kit.world.keyspace.env.settings.skip_dump_checksum = true;
    kit.play(
        r#"
        > RESTORE s 0 "\x0b\x10\x08\x00\x00\x00\x00\x00\x00\x20\x01\x00\x00\x00\x00\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        -ERR Bad data format
        "#,
    );
}

/// CVE-2021-32627, CVE-2021-32628: packed values were let grow beyond what their 32-bit sizes can say. At full size
/// (`REDSTART_ABUSE=full`, 3 GB of memory) they come to their end; else `src/ds/parts/listpack/tests.rs` has to do for that.
#[test]
fn cve_2021_32627_packed_values_have_an_end() {
    let mut kit = Kit::new();
    for name in ["hash-max-listpack-value", "zset-max-listpack-value", "set-max-listpack-value", "hash-max-listpack-entries"] {
        kit.play(&format!("# config {name} 9223372036854775807"));
    }
    kit.play("# config list-max-listpack-size 32767");
    kit.play("# config stream-node-max-bytes 0");
    kit.play("# config stream-node-max-entries 0");
    // Six of the large ones exceed the gigabyte at which a packed value ends, so that none comes near four.
    let full = crate::support::env("REDSTART_ABUSE").is_some_and(|value| value == "full");
    let size = if full { 200 << 20 } else { 2 << 20 };
    let mut large = vec![b'x'; size];
    for n in 0..6_u8 {
        large[0] = n;
        let field = [n];
        assert_eq!(run(&mut kit, &[b"HSET", b"h", &field, &large]), "1");
        run(&mut kit, &[b"XADD", b"x", b"*", b"f", &large]);
        if n == 4 {
            assert_eq!(kit.run("OBJECT ENCODING h"), "\"listpack\"");
        }
    }
    assert_eq!(kit.run("OBJECT ENCODING h"), if full { "\"hashtable\"" } else { "\"listpack\"" });
    assert_eq!(kit.run("HLEN h"), "6");
    assert_eq!(kit.run("HSTRLEN h \"\\x05\""), size.to_string());
    assert_eq!(kit.run("XLEN x"), "6");
    let nodes = if full { 2 } else { 1 };
    assert!(kit.run("XINFO STREAM x").contains(&format!("\"radix-tree-keys\", {nodes},")), "a node holds at most a gigabyte");
}

/// CVE-2022-31144, CVE-2022-35951: the ids of deleted entries overran the array that XAUTOCLAIM's COUNT had made room for.
#[test]
fn cve_2022_31144_xautoclaim_meets_deleted_entries() {
    let mut kit = Kit::new();
    kit.run("XGROUP CREATE s g $ MKSTREAM");
    for n in 1..=100 {
        kit.run(&format!("XADD s {n} f v"));
    }
    kit.run("XREADGROUP GROUP g c STREAMS s >");
    kit.run("XTRIM s MAXLEN 0");
    let reply = kit.run("XAUTOCLAIM s g d 0 0 COUNT 3");
    assert_eq!(reply, "[\"4-0\", [], [\"1-0\", \"2-0\", \"3-0\"]]");
    for count in ["0", "-1", "4611686018427387904", "9223372036854775807", "1152921504606846975"] {
        let reply = kit.run(&format!("XAUTOCLAIM s g d 0 0 COUNT {count}"));
        assert!(reply.starts_with("-ERR COUNT must be"), "{count}: {reply}");
    }
    let reply = kit.run("XAUTOCLAIM s g d 0 0 COUNT 10000");
    assert!(reply.starts_with("[\"0-0\", [], [\"4-0\", ") && reply.ends_with("\"100-0\"]]"), "{reply}");
    assert_eq!(kit.run("XPENDING s g"), "[0, nil, nil, nil]");
}

/// CVE-2022-33105: XAUTOCLAIM and XREADGROUP kept memory of entries that had been deleted.
#[test]
fn cve_2022_33105_deleted_entries_leave_nothing() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    client.run("XGROUP CREATE s g $ MKSTREAM");
    let mut round = || {
        for _ in 0..500 {
            client.run("XADD s * f v");
        }
        client.run("XREADGROUP GROUP g c COUNT 500 STREAMS s >");
        client.run("XTRIM s MAXLEN 0");
        client.run("XREADGROUP GROUP g c STREAMS s 0");
        client.run("XAUTOCLAIM s g d 0 0 COUNT 1000");
        client.run("XAUTOCLAIM s g c 0 0 COUNT 1000");
        client.run("XGROUP DELCONSUMER s g d");
        client.run("MEMORY USAGE s").integer().expect("a size")
    };
    let first = round();
    for _ in 0..10 {
        assert_eq!(round(), first);
    }
}

/// CVE-2022-36021, CVE-2024-31228: patterns with many stars took exponential time, and a level of the stack for each.
#[test]
fn cve_2022_36021_patterns_of_many_stars() {
    let started = Instant::now();
    let mut kit = Kit::new();
    let text = "a".repeat(20_000);
    kit.run(&format!("SET {text} v"));
    for pattern in [format!("{}b", "*a".repeat(40)), "*?".repeat(10_000) + "b", "*".repeat(300_000), "a*".repeat(100_000)] {
        let found = pattern.bytes().all(|b| b == b'*');
        let expected = if found { format!("[\"{text}\"]") } else { "[]".into() };
        assert_eq!(run(&mut kit, &[b"KEYS", pattern.as_bytes()]), expected);
        assert!(run(&mut kit, &[b"SCAN", b"0", b"MATCH", pattern.as_bytes()]).starts_with("[\"0\", ["));
        run(&mut kit, &[b"ACL", b"SETUSER", b"u", b"on", b"nopass", b"+@all", format!("~{pattern}").as_bytes()]);
        run(&mut kit, &[b"ACL", b"DRYRUN", b"u", b"GET", text.as_bytes()]);
        run(&mut kit, &[b"PSUBSCRIBE", pattern.as_bytes()]);
        kit.run_as(2, &format!("PUBLISH {text} m"));
        kit.run("PUNSUBSCRIBE");
        kit.run("FUNCTION LIST");
        run(&mut kit, &[b"FUNCTION", b"LIST", b"LIBRARYNAME", pattern.as_bytes()]);
        run(&mut kit, &[b"CONFIG", b"GET", pattern.as_bytes()]);
        run(&mut kit, &[b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", pattern.as_bytes()]);
    }
    // Seconds in a build for tests; it would not end in the life of the universe.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// CVE-2022-3647: what reports a crash tripped over its own feet. A report is whole, appears once, and the process ends.
#[test]
fn cve_2022_3647_reports_of_crashes_are_whole() {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let pid = client.run("INFO server").text().map(|text| String::from_utf8_lossy(text).into_owned()).expect("text");
    let pid = pid.lines().find_map(|line| line.strip_prefix("process_id:")).expect("an id").trim().to_owned();
    client.send(&["DEBUG", "SLEEP", "5"]).expect("it is taken");
    std::thread::sleep(Duration::from_millis(100));
    // Two signals at once: the second finds the handler of the first at work.
    for signal in ["-ABRT", "-SEGV"] {
        Command::new("kill").args([signal, &pid]).status().expect("kill");
    }
    assert!(client.closes_within(Duration::from_secs(10)));
    std::thread::sleep(Duration::from_millis(300));
    let log = server.log();
    // The second used to end the process at once, now and then in the middle of the report.
    assert_eq!(log.matches("BUG REPORT START").count(), 1, "{log}");
    assert_eq!(log.matches("BUG REPORT END").count(), 1, "{log}");
}

/// CVE-2023-22458, CVE-2023-25155: counts near the limits of integers overflowed where they were negated or doubled.
#[test]
fn cve_2023_22458_counts_at_the_limits() {
    let mut kit = Kit::new();
    kit.run("HSET h f v g w");
    kit.run("ZADD z 1 a 2 b");
    kit.run("SADD s a b");
    for count in [i64::MIN, i64::MIN + 1, -(1 << 62), -(1 << 62) - 1, i64::MIN / 2] {
        for request in [
            format!("HRANDFIELD h {count} WITHVALUES"),
            format!("HRANDFIELD h {count}"),
            format!("ZRANDMEMBER z {count} WITHSCORES"),
            format!("ZRANDMEMBER z {count}"),
            format!("SRANDMEMBER s {count}"),
        ] {
            let reply = kit.run(&request);
            assert!(
                reply.starts_with("-ERR value is out of range") || reply.starts_with("-ERR value is not"),
                "{request}: {reply}"
            );
        }
    }
    for count in [i64::MAX, i64::MAX - 1, 1 << 62] {
        for (request, elements) in [
            (format!("HRANDFIELD h {count}"), 2),
            (format!("ZRANDMEMBER z {count}"), 2),
            (format!("SRANDMEMBER s {count}"), 2),
            (format!("SPOP s2 {count}"), 0),
        ] {
            let reply = kit.run(&request);
            let told = reply.matches('"').count() / 2;
            assert!(told == elements || reply.starts_with("-ERR value is out of range"), "{request}: {reply}");
        }
    }
}

/// CVE-2023-28856: HINCRBYFLOAT stored what later could not be read back, which ended the process.
#[test]
fn cve_2023_28856_hincrbyfloat_keeps_numbers_only() {
    check(
        r#"
        > HINCRBYFLOAT h f inf
        -ERR value is NaN or Infinity
        > HINCRBYFLOAT h f -inf
        -ERR value is NaN or Infinity
        > HINCRBYFLOAT h f nan
        -ERR value is not a valid float
        > EXISTS h
        0
        > HSET h f 1e4932
        1
        > HINCRBYFLOAT h f 1e4932
        -ERR increment would produce NaN or Infinity
        > HINCRBYFLOAT h f 1e4933
        -ERR value is not a valid float
        > HSET h f "1.5\x00"
        0
        > HINCRBYFLOAT h f 1
        -ERR hash value is not a float
        > HSET h f inf
        0
        > HINCRBYFLOAT h f 1
        -ERR increment would produce NaN or Infinity
        > HINCRBY h f 1
        -ERR hash value is not an integer
        > HGET h f
        "inf"
        "#,
    );
}

/// CVE-2023-41056: the room for a request was counted wrong when it grew while another client's was given back.
#[test]
fn cve_2023_41056_requests_in_pieces_around_the_sizes_of_buffers() {
    let server = Server::ours(&[]);
    let mut others: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for length in [16_383, 16_384, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 1 << 20] {
        let value = vec![b'v'; length];
        for (n, first) in [1, 100, 16_384, length / 2, length - 1].into_iter().enumerate() {
            let mut client = server.client();
            let mut bytes = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${length}\r\n").into_bytes();
            bytes.extend_from_slice(&value);
            bytes.extend_from_slice(b"\r\n*2\r\n$6\r\nSTRLEN\r\n$1\r\nk\r\n");
            let cut = first.min(bytes.len());
            client.send_raw(&bytes[..cut]).expect("it is taken");
            assert_eq!(others[n % 4].run("PING").to_string(), "PONG");
            client.send_raw(&bytes[cut..]).expect("it is taken");
            assert_eq!(client.read_within(PATIENCE).expect("a reply").to_string(), "OK");
            assert_eq!(client.read_within(PATIENCE).expect("a reply").integer(), Some(length as i64));
        }
    }
}

/// CVE-2023-45145: for a moment a Unix socket took connections before its permissions were set.
#[test]
fn cve_2023_45145_sockets_listen_when_others_are_shut_out() {
    let folder = std::env::temp_dir().join(format!("redstart-socket-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for round in 0..5 {
        let socket = folder.join(format!("{round}.sock"));
        let watched = socket.clone();
        // The first connection that succeeds must find the permissions in place.
        let watcher = std::thread::spawn(move || {
            let end = Instant::now() + PATIENCE;
            while Instant::now() < end {
                if std::os::unix::net::UnixStream::connect(&watched).is_ok() {
                    return std::fs::metadata(&watched).map(|about| about.permissions().mode() & 0o777).ok();
                }
            }
            None
        });
        let _server = Server::ours(&["--unixsocket", socket.to_str().expect("text"), "--unixsocketperm", "600"]);
        assert_eq!(watcher.join().expect("it watches to the end"), Some(0o600));
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// CVE-2025-27151: redis-check-aof copied the path of a manifest into too small a buffer.
#[test]
fn cve_2025_27151_paths_of_any_length_are_checked() {
    for length in [200, 1024, 4095, 4096, 5000, 100_000] {
        for name in ["appendonly.aof.manifest", "x".repeat(300).as_str()] {
            let path = format!("{}{name}", "d/".repeat(length / 2));
            let done = Command::new(env!("CARGO_BIN_EXE_redstart")).args(["check-aof", &path]).output().expect("it runs");
            assert_eq!(done.status.code(), Some(1), "{length}: {done:?}");
            assert!(!done.stdout.is_empty() || !done.stderr.is_empty(), "{length}");
        }
    }
}

/// CVE-2025-48367: a connection that failed while it was accepted kept those behind it waiting.
#[test]
fn cve_2025_48367_connections_that_fail_at_once() {
    let server = Server::ours(&[]);
    let port = server.port();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = stop.clone();
    let storm = std::thread::spawn(move || {
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            // Closing sends a reset, which the server may meet in accept, in its first read, or in its first write.
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into());
            let _ = (&socket).write(b"PING\r\n");
        }
    });
    for _ in 0..200 {
        let started = Instant::now();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(b"PING\r\n").expect("it is taken");
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).expect("a reply");
        assert!(started.elapsed() < PATIENCE);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    storm.join().expect("it storms to the end");
}

/// CVE-2025-62507: more ids than a small array on the stack holds overran it in XACKDEL.
#[test]
fn cve_2025_62507_xackdel_with_very_many_ids() {
    let mut kit = Kit::new();
    let ids: Vec<String> = (1..=5000).map(|n| format!("{n}-0")).collect();
    kit.run("XGROUP CREATE s g $ MKSTREAM");
    for id in &ids {
        run(&mut kit, &[b"XADD", b"s", id.as_bytes(), b"f", b"v"]);
    }
    kit.run("XREADGROUP GROUP g c STREAMS s >");
    for name in ["XACKDEL", "XDELEX", "XACK", "XDEL"] {
        let (head, count): (Vec<&[u8]>, _) = match name {
            "XACKDEL" => (vec![b"XACKDEL", b"s", b"g", b"IDS", b"5000"], 5000),
            "XDELEX" => (vec![b"XDELEX", b"s", b"IDS", b"5000"], 5000),
            "XACK" => (vec![b"XACK", b"s", b"g"], 0),
            _ => (vec![b"XDEL", b"s"], 0),
        };
        let mut args = head;
        args.extend(ids.iter().map(|id| id.as_bytes()));
        let reply = run(&mut kit, &args);
        if count > 0 && !reply.starts_with("-ERR unknown command") {
            assert_eq!(reply.split(", ").count(), count, "{name}");
        }
        assert!(kit.run("XINFO STREAM s FULL").starts_with('['), "{name}");
    }
    assert_eq!(kit.run("XACKDEL s g IDS 9223372036854775807 1-0").chars().next(), Some('-'));
    assert_eq!(kit.run("XACKDEL s g IDS 2147483648 1-0").chars().next(), Some('-'));
}

/// CVE-2026-23479: a blocked command was run again for a client that had just gone.
#[test]
fn cve_2026_23479_blocked_clients_that_go_away() {
    let server = Server::ours(&["--maxmemory-clients", "0"]);
    let mut pusher = server.client();
    for round in 0..200 {
        let mut waiting: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (n, client) in waiting.iter_mut().enumerate() {
            let request =
                ["BLPOP list 0", "BLMOVE list other LEFT RIGHT 0", "BZPOPMIN zset 0", "XREAD BLOCK 0 STREAMS stream $"][n];
            client.send(&request.split(' ').collect::<Vec<_>>()).expect("it is taken");
        }
        if round % 2 == 0 {
            // They are ended in the very transaction that wakes them.
            pusher.run("MULTI");
            pusher.run("RPUSH list a b");
            pusher.run("ZADD zset 1 a");
            pusher.run("XADD stream * f v");
            pusher.run("CLIENT KILL TYPE normal SKIPME yes");
            pusher.run("EXEC");
        } else {
            drop(waiting);
            pusher.run("RPUSH list a b");
            pusher.run("ZADD zset 1 a");
            pusher.run("XADD stream * f v");
        }
        pusher.run("DEL list other zset stream");
    }
    assert_eq!(pusher.run("PING").to_string(), "PONG");
}

/// CVE-2026-25243: RESTORE believed payloads that it should have checked. Each payload is changed in thousands of ways, and
/// what is let in must bear being read and written.
#[test]
fn cve_2026_25243_payloads_that_are_not_what_they_say() {
    let mut kit = Kit::new();
    kit.world.keyspace.env.settings.skip_dump_checksum = true;
    let mut rng = redstart::clock::Rng::seeded(0x9e37_79b9_7f4a_7c15_u64);
    let mut next = move |below: usize| rng.index(below);
    let rounds = crate::support::env_number("REDSTART_PAYLOADS", 6) as usize;
    let (mut taken, mut refused) = (0, 0);
    for row in include_str!("../data/dumps.tsv").lines().skip(1) {
        let hex = row.rsplit('\t').next().expect("a column");
        let payload: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
        for _ in 0..rounds {
            let mut bad = payload.clone();
            for _ in 0..1 + next(3) {
                let at = next(bad.len().saturating_sub(10));
                match next(4) {
                    0 => bad[at] ^= 1 << next(8),
                    1 => bad[at] = [0, 0x7f, 0x80, 0xff, 0xf0, 0xfe, 0xc3][next(7)],
                    2 => drop(bad.remove(at)),
                    _ => bad.insert(at, next(256) as u8),
                }
            }
            let reply = run(&mut kit, &[b"RESTORE", b"k", b"0", &bad, b"REPLACE"]);
            if reply != "+OK" {
                assert!(reply.starts_with("-ERR"), "{reply}");
                refused += 1;
                continue;
            }
            taken += 1;
            for request in [
                "DUMP k",
                "OBJECT ENCODING k",
                "MEMORY USAGE k",
                "GET k",
                "APPEND k x",
                "PFCOUNT k",
                "PFADD k x",
                "LRANGE k 0 -1",
                "LPOS k a RANK -1",
                "LPUSH k a",
                "LPOP k",
                "SMEMBERS k",
                "SADD k a 1",
                "SPOP k",
                "HGETALL k",
                "HSET k f v",
                "HDEL k f",
                "HINCRBY k f 1",
                "HPTTL k FIELDS 1 f",
                "ZRANGE k 0 -1 WITHSCORES",
                "ZRANGEBYLEX k - +",
                "ZADD k 1 a",
                "ZPOPMIN k",
                "XRANGE k - +",
                "XREVRANGE k + -",
                "XINFO STREAM k FULL",
                "XADD k * f v",
                "XTRIM k MAXLEN 1",
                "XAUTOCLAIM k g c 0 0",
                "DEBUG DIGEST-VALUE k",
                "COPY k other REPLACE",
            ] {
                kit.run(request);
            }
        }
    }
    println!("{taken} payloads were taken and {refused} refused");
    assert!(refused > taken / 2);
}
