//! Every bug leaves a test here that tells its story in its first line.

mod lua;

use crate::support::client::{Client, PATIENCE};
use crate::support::scribe::show;
use crate::support::spawn::Server;
use redstart::testkit::{Kit, check};

/// CVE-2023-28425: MSETNX with the same key twice ran into an assertion, which ended the process.
#[test]
fn cve_2023_28425_msetnx_same_key_twice() {
    check(
        r#"
        > MSETNX k 1 k 2
        1
        ! set k
        ! set k
        > GET k
        "2"
        > MSETNX k 3 k 4
        0
        > MSETEX 2 m 1 m 2 NX
        1
        > GET m
        "2"
        "#,
    );
}

/// CVE-2022-35977: SETRANGE far out asked for memory before it looked at the limit, and the process ended.
#[test]
fn cve_2022_35977_setrange_far_out() {
    check(
        r#"
        > SETRANGE k 536870912 x
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE k 536870911 xy
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE k 4294967295 x
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SET k v
        +OK
        > SETRANGE k 9223372036854775807 x
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE k 9223372036854775807 ""
        1
        > GET k
        "v"
        "#,
    );
    // Even with a limit that no memory can hold, sums must not wrap around.
    let mut kit = Kit::new();
    kit.world.keyspace.env.settings.bulk_max = usize::MAX >> 1;
    assert_eq!(kit.run("SETRANGE k 9223372036854775807 x"), "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

/// CVE-2021-21309, CVE-2021-41099: lengths near a large limit overflowed on the way to the allocator.
#[test]
fn cve_2021_21309_bit_offsets_at_the_limit() {
    let mut kit = Kit::new();
    kit.world.keyspace.env.settings.bulk_max = 1 << 20;
    kit.play(
        r#"
        > SETBIT k 8388608 1
        -ERR bit offset is not an integer or out of range
        > GETBIT k 8388608
        -ERR bit offset is not an integer or out of range
        > BITFIELD k SET u8 8388608 1
        -ERR bit offset is not an integer or out of range
        > BITFIELD k SET u8 #1048576 1
        -ERR bit offset is not an integer or out of range
        > BITFIELD k GET i64 #9223372036854775807
        -ERR bit offset is not an integer or out of range
        > BITFIELD k GET i64 #288230376151711744
        -ERR bit offset is not an integer or out of range
        > SETRANGE k 1048576 x
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETBIT k 8388607 1
        0
        > APPEND k x
        -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > STRLEN k
        1048576
        > BITFIELD k INCRBY i64 8388607 -1
        [9223372036854775807]
        > BITFIELD k GET i64 8388607
        [9223372036854775807]
        "#,
    );
    kit.world.keyspace.env.settings.bulk_max = usize::MAX >> 1;
    assert_eq!(kit.run("GETBIT k 9223372036854775807"), "0");
    assert_eq!(kit.run("BITFIELD k GET u63 9223372036854775807"), "[0]");
    assert_eq!(kit.run("BITCOUNT k -9223372036854775808 9223372036854775807 BIT"), "63");
}

/// CVE-2021-29477, CVE-2021-32625: the size of the LCS table overflowed, and what was allocated was too small.
#[test]
fn cve_2021_29477_lcs_table_too_large() {
    let mut kit = Kit::new();
    kit.run(&format!("MSET a {} b {}", "a".repeat(20_000), "b".repeat(20_000)));
    let refusal = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    assert_eq!(kit.run("LCS a b"), refusal);
    assert_eq!(kit.run("LCS a b LEN"), refusal);
    assert_eq!(kit.run("LCS a b IDX"), refusal);
}

/// CVE-2019-10192, CVE-2019-10193, CVE-2025-32023: HyperLogLogs planted by SET made the server write outside of the value.
#[test]
fn cve_2025_32023_planted_hyperloglogs() {
    check(
        r#"
        > SET k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00"
        +OK
        > PFADD k a
        -INVALIDOBJ Corrupted HLL object detected
        > PFCOUNT k
        -INVALIDOBJ Corrupted HLL object detected
        > PFCOUNT k k
        -INVALIDOBJ Corrupted HLL object detected
        > PFMERGE d k
        -INVALIDOBJ Corrupted HLL object detected
        > PFDEBUG GETREG k
        -INVALIDOBJ Corrupted HLL object detected
        > PFDEBUG TODENSE k
        -INVALIDOBJ Corrupted HLL object detected
        > SET k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff\x7f\xff\x80"
        +OK
        > PFCOUNT k
        -INVALIDOBJ Corrupted HLL object detected
        > PFMERGE d k
        -INVALIDOBJ Corrupted HLL object detected
        > EXISTS d
        0
        > SET k "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00"
        +OK
        > PFADD k a
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        "#,
    );
}

/// CVE-2016-8606 and its kind: a web page makes a browser on the server's machine post a form, and a line of its body is a
/// command.
#[test]
fn cve_2016_8606_commands_in_the_body_of_a_form() {
    let server = Server::ours(&[]);
    let mut admin = Client::connect(&server.address).expect("the server is there");
    for head in ["POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n", "host: x\r\n"] {
        let mut browser = Client::connect(&server.address).expect("the server is there");
        browser.send_raw(format!("{head}Content-Length: 11\r\n\r\nSET k stolen\r\n").as_bytes()).expect("it is taken");
        assert!(browser.closes_within(PATIENCE), "{head}");
    }
    assert_eq!(admin.run("EXISTS k").to_string(), "(integer) 0");
    let told = server.log_with(" aborted.", PATIENCE);
    let address = "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis.";
    assert_eq!(told.matches(address).count(), 1, "once a minute at the most: {told}");
    assert!(told.contains("Connection from 127.0.0.1:"), "{told}");
}

/// CVE-2023-41053: SORT_RO read keys through BY and GET that the user's rules forbid.
#[test]
fn cve_2023_41053_sort_by_keys_out_of_reach() {
    check(
        r#"
        > RPUSH list 1
        1
        > SET v1 secret
        +OK
        > ACL SETUSER u on nopass (+sort +sort_ro ~list) (+get ~*)
        +OK
        2> AUTH u x
        +OK
        2> SORT_RO list BY v*
        -ERR BY option of SORT denied due to insufficient ACL permissions.
        2> SORT list GET v*
        -ERR GET option of SORT denied due to insufficient ACL permissions.
        2> SORT list GET #
        -ERR GET option of SORT denied due to insufficient ACL permissions.
        2> SORT list BY nosort
        ["1"]
        > ACL SETUSER u (+sort ~list %W~*)
        +OK
        2> SORT list GET v*
        -ERR GET option of SORT denied due to insufficient ACL permissions.
        > ACL SETUSER u (+sort ~list %R~*)
        +OK
        2> SORT list GET v*
        ["secret"]
        "#,
    );
}

/// CVE-2024-31227, CVE-2024-51741: rules that were not well formed ended the process, when they were set or when shown.
#[test]
fn cve_2024_31227_malformed_selectors() {
    let mut kit = Kit::new();
    for rule in [
        "%",
        "%~",
        "%~k",
        "%X~k",
        "%R",
        "(",
        "()",
        ")",
        "(%)",
        "(%~)",
        "(()",
        "(+get",
        "(~a ~*) (~*",
        "\"( \\\" )\"",
        "&",
        "~",
        "+",
        "-",
    ] {
        let reply = kit.run(&format!("ACL SETUSER u {rule}"));
        assert!(reply == "+OK" || reply.starts_with("-ERR "), "{rule}: {reply}");
        assert!(kit.run("ACL LIST").contains("user default on"), "{rule}");
        kit.run("ACL DRYRUN u GET k");
    }
}

/// CVE-2023-36824: counts of keys in the arguments led past their end when keys were looked for.
#[test]
fn cve_2023_36824_counts_of_keys_that_lie() {
    let mut kit = Kit::new();
    kit.run("ACL SETUSER u on nopass +@all ~k*");
    kit.run_as(2, "AUTH u x");
    for count in ["-1", "0", "3", "2147483647", "9223372036854775807", "9223372036854775808", "x", "\"\""] {
        for request in [
            format!("SINTERCARD {count} k1 k2"),
            format!("ZUNION {count} k1 k2"),
            format!("LMPOP {count} k1 LEFT"),
            format!("ZUNIONSTORE k1 {count} k2"),
        ] {
            assert!(kit.run(&format!("COMMAND GETKEYS {request}")).starts_with(['-', '[']), "{request}");
            assert!(kit.run(&format!("ACL DRYRUN u {request}")).starts_with(['+', '"']), "{request}");
            assert!(kit.run_as(2, &request).starts_with('-'), "{request}");
        }
    }
}

/// Clients that track keys were told of each key that was evicted, what they were told took memory, and for that memory the next
/// key was evicted, until none was left.
#[test]
fn telling_of_evicted_keys_evicts_no_more_of_them() {
    let server = Server::ours(&["--maxmemory-policy", "allkeys-lru", "--maxmemory-eviction-tenacity", "100"]);
    let mut client = server.client();
    let mut trackers: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for tracker in &mut trackers {
        tracker.run("HELLO 3");
        tracker.run("CLIENT TRACKING ON");
    }
    for n in 0..300 {
        let key = format!("{n}{}", "x".repeat(1000));
        client.run(&format!("SET {key} x"));
        for tracker in &mut trackers {
            tracker.run(&format!("GET {key}"));
        }
    }
    // Buffers of requests are taken back within a second or two.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let limit = client.figure("used_memory") - 40_000;
    client.run(&format!("CONFIG SET maxmemory {limit}"));
    let deadline = std::time::Instant::now() + PATIENCE;
    while client.figure("evicted_keys") == 0 && std::time::Instant::now() < deadline {}
    let left = client.run("DBSIZE").integer().expect("a number");
    // Forty are over the limit; while what they were told is under way to the clients a few more may go.
    assert!((100..300).contains(&left), "{left} of 300 are left");
}

/// A client that had once sent a request of many arguments kept room for them as long as it went on sending small ones.
#[test]
fn room_for_a_large_request_is_taken_back_from_a_busy_client() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    let mut request = vec!["SADD".to_owned(), "set".to_owned()];
    request.extend((0..100_000).map(|n| n.to_string()));
    assert_eq!(client.call(&request).expect("a reply").integer(), Some(100_000));
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let told = client.run("CLIENT INFO").to_string();
        let memory = told.split("tot-mem=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a figure");
        if memory.parse::<u64>().expect("a number") < 100_000 {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{told}");
    }
}

/// With I/O threads, the order to close a client could overtake the batch with its last reply: the client was not told why.
#[test]
fn the_last_reply_comes_before_the_end_with_io_threads() {
    let server = Server::ours(&["--io-threads", "3"]);
    for _ in 0..100 {
        let mut client = server.client();
        client.send_raw(b"*3000000000\r\n").unwrap();
        assert_eq!(show(&client.read().unwrap()), "-ERR Protocol error: invalid multibulk length");
    }
}

/// With I/O threads, a message could overtake the reply to the SUBSCRIBE that asked for it, if both were of one turn.
#[test]
fn a_subscription_is_confirmed_before_its_messages_with_io_threads() {
    let server = Server::ours(&["--io-threads", "3"]);
    let mut publisher = server.client();
    for i in 0..100 {
        let (mut subscriber, channel) = (server.client(), format!("c{i}"));
        subscriber.send(&["SUBSCRIBE", &channel]).unwrap();
        let mut arrives = || show(&publisher.call(&["PUBLISH", &channel, "m"]).unwrap()) == "1";
        assert!((0..100_000).any(|_| arrives()));
        assert!(show(&subscriber.read().unwrap()).contains("subscribe"), "{i}");
        assert!(show(&subscriber.read().unwrap()).contains("message"), "{i}");
    }
}

/// A client that woke up to a key past its deadline deleted it, and replicas heard of that before anybody had asked for the key.
#[test]
fn waking_up_to_a_key_past_its_deadline_leaves_it_alone() {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let (mut client, mut waiter) = (server.client(), server.client());
    for request in ["DEBUG SET-ACTIVE-EXPIRE 0", "SELECT 1", "RPUSH k hello", "PEXPIRE k 1"] {
        client.run(request);
    }
    waiter.run("SELECT 9");
    waiter.send(&["BRPOP", "k", "0.5"]).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while client.figure("blocked_clients") == 0 && std::time::Instant::now() < deadline {}
    // Nobody looks at the key meanwhile: that would end it.
    std::thread::sleep(std::time::Duration::from_millis(5));
    client.run("SWAPDB 1 9");
    assert_eq!(show(&waiter.read().unwrap()), "nil");
    client.run("SELECT 9");
    assert_eq!(show(&client.run("DBSIZE")), "1");
    assert_eq!(show(&client.run("EXISTS k")), "0");
    assert_eq!(show(&client.run("DBSIZE")), "0");
}

/// A client that went right behind its BLPOP was taken for one that waits, for ever, and was served the next element.
#[test]
fn a_client_that_goes_behind_its_blocking_request_does_not_wait() {
    for io_threads in ["1", "2"] {
        let server = Server::ours(&["--io-threads", io_threads]);
        let mut client = server.client();
        for round in 0..12 {
            let before = client.figure("total_connections_received");
            let mut gone = server.client();
            gone.send(&["BLPOP", "k", "0"]).unwrap();
            if round % 2 == 0 {
                // With something behind it that is never read.
                gone.send(&["PING"]).unwrap();
            }
            if round % 4 == 2 {
                // With something that comes when the request was read: the end is hidden behind it.
                let deadline = std::time::Instant::now() + PATIENCE;
                while client.figure("blocked_clients") == 0 && std::time::Instant::now() < deadline {}
                gone.send(&["PING"]).unwrap();
            }
            drop(gone);
            let deadline = std::time::Instant::now() + PATIENCE;
            let is_over = |client: &mut Client| {
                client.figure("total_connections_received") > before && client.figure("connected_clients") == 1
            };
            while !is_over(&mut client) && std::time::Instant::now() < deadline {}
            assert_eq!(client.figure("blocked_clients"), 0, "round {round}");
        }
        assert_eq!(show(&client.run("RPUSH k a")), "1");
        assert_eq!(show(&client.run("LLEN k")), "1");
    }
}

/// Under a key of some kilobytes every string was called raw, as short ones did not fit beside it.
#[test]
fn a_long_key_does_not_tell_how_its_short_string_is_kept() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    let key = "k".repeat(5000);
    for (value, encoding) in [("", "embstr"), ("short", "embstr"), (&"v".repeat(44), "embstr"), (&"v".repeat(45), "raw")] {
        for command in ["SET", "APPEND", "GETSET"] {
            client.run("FLUSHALL");
            client.run(&format!("{command} {key} '{value}'"));
            assert_eq!(show(&client.run(&format!("OBJECT ENCODING {key}"))), format!("\"{encoding}\""), "{command} {value}");
            assert_eq!(show(&client.run(&format!("GET {key}"))), format!("\"{value}\""));
        }
        client.run(&format!("SET {key} {}", "long".repeat(1000)));
        client.run(&format!("SET {key} '{value}' EX 100"));
        assert_eq!(show(&client.run(&format!("OBJECT ENCODING {key}"))), format!("\"{encoding}\""));
        assert_eq!(show(&client.run(&format!("GET {key}"))), format!("\"{value}\""));
    }
}

/// A plain FLUSHALL answered before another thread had freed and counted what it removed, where flushes were lazy by configuration.
#[test]
fn a_plain_flush_answers_when_all_is_freed() {
    let server = Server::ours(&["--lazyfree-lazy-user-flush", "yes", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    for request in ["FLUSHALL", "FLUSHDB", "FLUSHALL SYNC"] {
        client.run("CONFIG RESETSTAT");
        client.run("DEBUG POPULATE 100000");
        assert_eq!(show(&client.run(request)), "+OK");
        assert_eq!(client.figure("lazyfreed_objects"), 100_000, "{request}");
    }
}
