//! Strings: replies, what is propagated and which events are raised. SET and its kin are tested with value.rs' topic.

use redstart::testkit::{Kit, check};

#[test]
fn counters() {
    check(
        r#"
        > INCR n
        1
        ~ INCR n
        ! incrby n
        > INCRBY n 41
        42
        ~ INCRBY n 41
        ! incrby n
        > DECR n
        41
        ~ DECR n
        ! incrby n
        > DECRBY n -9
        50
        ~ DECRBY n -9
        # encoding n int
        > SET n 10 EX 100
        +OK
        > INCR n
        11
        > TTL n
        100
        > APPEND n 5
        3
        > INCR n
        116
        # encoding n int
        > SET n 9223372036854775807
        +OK
        > INCR n
        -ERR increment or decrement would overflow
        ~
        !
        > SET n -9223372036854775808
        +OK
        > DECR n
        -ERR increment or decrement would overflow
        > DECRBY n -9223372036854775808
        -ERR decrement would overflow
        > INCRBY n 9223372036854775808
        -ERR value is not an integer or out of range
        > INCRBY n abc
        -ERR value is not an integer or out of range
        > SET t " 1"
        +OK
        > INCR t
        -ERR value is not an integer or out of range
        > SET t 01
        +OK
        > INCR t
        -ERR value is not an integer or out of range
        > PFADD h a
        1
        > INCR h
        -ERR value is not an integer or out of range
        > INCR
        -ERR wrong number of arguments for 'incr' command
        > INCRBY n
        -ERR wrong number of arguments for 'incrby' command
        "#,
    );
}

/// Beside a key of hundreds of bytes no value fits inside the entry; it counts all the same.
#[test]
fn counters_under_long_keys() {
    let mut kit = Kit::new();
    let key = "k".repeat(600);
    assert_eq!(kit.run(&format!("SET {key} 1")), "+OK");
    assert_eq!(kit.run(&format!("APPEND {key} 0")), "2");
    assert_eq!(kit.run(&format!("INCR {key}")), "11");
    assert_eq!(kit.run(&format!("SETBIT {key} 7 0")), "1");
    assert_eq!(kit.run(&format!("GET {key}")), "\"01\"");
}

#[test]
fn floats() {
    check(
        r#"
        > INCRBYFLOAT f 0.1
        "0.1"
        ~ SET f 0.1 KEEPTTL
        ! incrbyfloat f
        > INCRBYFLOAT f 0.2
        "0.3"
        > INCRBYFLOAT f -0.3
        "0"
        # encoding f embstr
        > SET f 3
        +OK
        > INCRBYFLOAT f 5.0e3
        "5003"
        > SET f 10 PX 1000
        +OK
        > INCRBYFLOAT f 1e-1
        "10.1"
        > PTTL f
        1000
        > INCRBYFLOAT f abc
        -ERR value is not a valid float
        ~
        > INCRBYFLOAT f nan
        -ERR value is not a valid float
        > INCRBYFLOAT f inf
        -ERR increment would produce NaN or Infinity
        > INCRBYFLOAT f ""
        -ERR value is not a valid float
        > SET f "1 "
        +OK
        > INCRBYFLOAT f 1
        -ERR value is not a valid float
        # resp3
        > INCRBYFLOAT g 1.5
        "1.5"
        "#,
    );
}

#[test]
fn setting_with_a_time() {
    check(
        r#"
        > SETEX k 10 v
        +OK
        ~ SET k v PXAT 1700000010000
        ! set k
        ! expire k
        > TTL k
        10
        > PSETEX k 1500 w
        +OK
        ~ SET k w PXAT 1700000001500
        > PTTL k
        1500
        # advance 1501
        > GET k
        nil
        ~ DEL k
        > SETEX k 0 v
        -ERR invalid expire time in 'setex' command
        ~
        > SETEX k -1 v
        -ERR invalid expire time in 'setex' command
        > SETEX k abc v
        -ERR value is not an integer or out of range
        > PSETEX k 0 v
        -ERR invalid expire time in 'psetex' command
        > SETEX k 9223372036854775807 v
        -ERR invalid expire time in 'setex' command
        > PSETEX k 9223372036854775807 v
        -ERR invalid expire time in 'psetex' command
        > SETEX k 10
        -ERR wrong number of arguments for 'setex' command
        "#,
    );
}

#[test]
fn reading_with_a_time() {
    check(
        r#"
        > SET k v
        +OK
        > GETEX k
        "v"
        ~
        !
        > GETEX k EX 10
        "v"
        ~ PEXPIREAT k 1700000010000
        ! expire k
        > GETEX k PX 20 PX 30
        "v"
        ~ PEXPIREAT k 1700000000030
        > GETEX k PXAT 1700000005000
        "v"
        > PTTL k
        5000
        > GETEX k PERSIST
        "v"
        ~ PERSIST k
        ! persist k
        > GETEX k PERSIST
        "v"
        ~
        !
        > GETEX k EXAT 1600000000
        "v"
        ~ DEL k
        ! del k
        > EXISTS k
        0
        > GETEX nokey EX 0
        nil
        > GETEX nokey FOO
        -ERR syntax error
        > SET k v
        +OK
        > GETEX k EX 0
        -ERR invalid expire time in 'getex' command
        ~
        > GETEX k EX abc
        -ERR value is not an integer or out of range
        > GETEX k PERSIST EX 10
        -ERR syntax error
        > GETEX k EX 10 PERSIST
        -ERR syntax error
        > GETEX k EX 10 PX 10
        -ERR syntax error
        > GETEX k EX
        -ERR syntax error
        > GETEX
        -ERR wrong number of arguments for 'getex' command
        # resp3
        > GETEX nokey
        nil
        "#,
    );
}

#[test]
fn several_keys() {
    check(
        r#"
        > MSET a 1 b two
        +OK
        ~ MSET a 1 b two
        ! set a
        ! set b
        > MGET a nokey b a
        ["1", nil, "two", "1"]
        # resp3
        > MGET a nokey b
        ["1", nil, "two"]
        # resp2
        > MSET a 1 b
        -ERR wrong number of arguments for 'mset' command
        ~
        > MSET a
        -ERR wrong number of arguments for 'mset' command
        > MGET
        -ERR wrong number of arguments for 'mget' command
        > MSET a 1 a 2
        +OK
        > GET a
        "2"
        > EXPIRE a 100
        1
        > MSET a 3
        +OK
        > TTL a
        -1
        > MSETNX a 4 c 4
        0
        ~
        !
        > EXISTS c
        0
        > MSETNX c 4 d 5
        1
        ~ MSETNX c 4 d 5
        ! set c
        ! set d
        > MSETNX c
        -ERR wrong number of arguments for 'msetnx' command
        > MSETNX x 1 y
        -ERR wrong number of arguments for 'msetnx' command
        "#,
    );
}

/// More keys than one step of prefetching takes, in a table large enough to be prefetched.
#[test]
fn many_keys() {
    let mut kit = Kit::new();
    for start in (0..5000).step_by(50) {
        let pairs: Vec<String> = (start..start + 50).map(|n| format!("k{n} v{n}")).collect();
        assert_eq!(kit.run(&format!("MSET {}", pairs.join(" "))), "+OK");
    }
    let names: Vec<String> = (0..5000).step_by(97).map(|n| format!("k{n}")).collect();
    let values: Vec<String> = (0..5000).step_by(97).map(|n| format!("\"v{n}\"")).collect();
    assert_eq!(kit.run(&format!("MGET {}", names.join(" "))), format!("[{}]", values.join(", ")));
    assert_eq!(kit.run("DBSIZE"), "5000");
}

#[test]
fn several_keys_with_a_time() {
    check(
        r#"
        > MSETEX 1 a b
        1
        ~ MSETEX 1 a b
        ! set a
        > MSETEX 2 a 1 b 2 XX EX 100
        0
        ~
        !
        > MSETEX 2 a 1 b 2 EX 100
        1
        ~ MSETEX 2 a 1 b 2 PXAT 1700000100000
        ! set a
        ! expire a
        ! set b
        ! expire b
        > MSETEX 2 a 3 b 4 XX KEEPTTL
        1
        > TTL b
        100
        > MSETEX 1 a 3
        1
        > TTL a
        -1
        > MSETEX 2 q 1 q 2 NX
        1
        > GET q
        "2"
        > MSETEX 1 q 3 NX NX
        0
        > MSETEX 1 r 3 PX 50 NX
        1
        ~ MSETEX 1 r 3 NX PXAT 1700000000050
        > MSETEX 1 a b EXAT 5
        1
        ~ MSETEX 1 a b PXAT 5000
        > GET a
        nil
        > MSETEX
        -ERR wrong number of arguments for 'msetex' command
        > MSETEX 1 a
        -ERR wrong number of arguments for 'msetex' command
        > MSETEX 0 a b
        -ERR invalid numkeys value or out of range
        > MSETEX -1 a b
        -ERR invalid numkeys value or out of range
        > MSETEX x a b
        -ERR invalid numkeys value or out of range
        > MSETEX 2147483648 a b
        -ERR invalid numkeys value or out of range
        > MSETEX 1073741824 a b
        -ERR syntax error
        > MSETEX 2 a b
        -ERR syntax error
        > MSETEX 1 a b c
        -ERR syntax error
        > MSETEX 1 a b NX XX
        -ERR syntax error
        > MSETEX 1 a b EX 10 KEEPTTL
        -ERR syntax error
        > MSETEX 1 a b EX
        -ERR syntax error
        > MSETEX 1 a b EX abc
        -ERR value is not an integer or out of range
        > MSETEX 1 a b EX 0
        -ERR invalid expire time in 'msetex' command
        "#,
    );
}

#[test]
fn reading_a_range() {
    check(
        r#"
        > SET k "This is a string"
        +OK
        > GETRANGE k 0 3
        "This"
        > GETRANGE k -6 -1
        "string"
        > GETRANGE k 0 -1
        "This is a string"
        > GETRANGE k 10 100
        "string"
        > GETRANGE k 100 200
        ""
        > GETRANGE k 5 3
        ""
        > GETRANGE k -1 -5
        ""
        > GETRANGE k -9223372036854775808 9223372036854775807
        "This is a string"
        > SUBSTR k 0 1
        "Th"
        > SET n 1234
        +OK
        > GETRANGE n 1 2
        "23"
        > GETRANGE n -100 0
        "1"
        > GETRANGE nokey 0 -1
        ""
        > GETRANGE k a 1
        -ERR value is not an integer or out of range
        > GETRANGE k 0 b
        -ERR value is not an integer or out of range
        > GETRANGE k 0
        -ERR wrong number of arguments for 'getrange' command
        > SUBSTR k 0
        -ERR wrong number of arguments for 'substr' command
        "#,
    );
}

#[test]
fn writing_a_range() {
    check(
        r#"
        > SETRANGE k 2 ab
        4
        ~ SETRANGE k 2 ab
        ! setrange k
        > GET k
        "\x00\x00ab"
        > SETRANGE k 0 xyz
        4
        > GET k
        "xyzb"
        # encoding k raw
        > SETRANGE k 3 ""
        4
        ~
        !
        > SETRANGE nokey 3 ""
        0
        ~
        > EXISTS nokey
        0
        > SET n 1234 EX 10
        +OK
        > SETRANGE n 1 x
        4
        > GET n
        "1x34"
        # encoding n raw
        > TTL n
        10
        > SETRANGE k -1 x
        -ERR offset is out of range
        > SETRANGE k abc x
        -ERR value is not an integer or out of range
        > SETRANGE k 0
        -ERR wrong number of arguments for 'setrange' command
        "#,
    );
    // Through all the ways in which a string is stored, and back to a short range of a long one.
    let mut kit = Kit::new();
    assert_eq!(kit.run("SETRANGE k 200 x"), "201");
    assert_eq!(kit.run("SETRANGE k 20000 y"), "20001");
    assert_eq!(kit.run("SETRANGE k 2000000 z"), "2000001");
    assert_eq!(kit.run("GETRANGE k 199 201"), "\"\\x00x\\x00\"");
    assert_eq!(kit.run("GETRANGE k 20000 20000"), "\"y\"");
    assert_eq!(kit.run("GETRANGE k -2 -1"), "\"\\x00z\"");
}

/// A client that is still being sent the old value must not see the new one.
#[test]
fn a_range_written_under_a_reply() {
    let mut kit = Kit::new();
    let text = "a".repeat(20_000);
    kit.run(&format!("SET k {text}"));
    let request = ["GET", "k"].iter().map(|arg| arg.as_bytes()).collect::<redstart::resp::request::OwnedRequest>();
    let command = redstart::dispatch::lookup(&kit.world.commands, request.args());
    redstart::dispatch::execute(&mut kit.world, &mut kit.session, request.args(), command);
    let waiting = std::mem::take(&mut kit.session.out);
    assert_eq!(kit.run("SETRANGE k 0 bbb"), "20000");
    assert!(waiting.flatten().ends_with(format!("{text}\r\n").as_bytes()));
    assert_eq!(kit.run("GETRANGE k 0 4"), "\"bbbaa\"");
}

#[test]
fn longest_common_subsequence() {
    check(
        r#"
        > MSET a ohmytext b mynewtext n 12345
        +OK
        > LCS a b
        "mytext"
        > LCS a b LEN
        6
        > LCS a b IDX
        ["matches", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], "len", 6]
        # resp3
        > LCS a b IDX
        {"matches": [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], "len": 6}
        # resp2
        > LCS a b IDX MINMATCHLEN 4
        ["matches", [[[4, 7], [5, 8]]], "len", 6]
        > LCS a b idx minmatchlen 4 withmatchlen
        ["matches", [[[4, 7], [5, 8], 4]], "len", 6]
        > LCS a b IDX MINMATCHLEN -5 WITHMATCHLEN
        ["matches", [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]], "len", 6]
        > LCS n n
        "12345"
        > LCS nokey b
        ""
        > LCS nokey b IDX
        ["matches", [], "len", 0]
        > LCS a b LEN IDX
        -ERR If you want both the length and indexes, please just use IDX.
        > LCS a b MINMATCHLEN x
        -ERR value is not an integer or out of range
        > LCS a b MINMATCHLEN
        -ERR syntax error
        > LCS a b FOO
        -ERR syntax error
        > LCS a
        -ERR wrong number of arguments for 'lcs' command
        "#,
    );
}
