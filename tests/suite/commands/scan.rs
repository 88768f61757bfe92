//! Going through the names: KEYS, RANDOMKEY, SCAN and what SCAN promises.

use redstart::testkit::{Kit, check};
use std::collections::HashSet;

/// One call: the cursor to go on with, and the names.
fn scan(kit: &mut Kit, cursor: &str, options: &str) -> (String, Vec<String>) {
    let reply = kit.run(&format!("SCAN {cursor} {options}"));
    let (cursor, names) = reply.trim_start_matches('[').trim_end_matches(']').split_once(", [").expect("two parts");
    let unquoted = |text: &str| text.trim_matches('"').to_owned();
    let names = names.split(", ").filter(|name| !name.is_empty()).map(unquoted).collect();
    (unquoted(cursor), names)
}

/// A whole scan from 0 to 0.
fn scan_all(kit: &mut Kit, options: &str) -> Vec<String> {
    let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
    loop {
        let (next, names) = scan(kit, &cursor, options);
        all.extend(names);
        if next == "0" {
            return all;
        }
        cursor = next;
    }
}

fn populated(n: usize) -> Kit {
    let mut kit = Kit::new();
    for i in 0..n {
        kit.run(&format!("SET key:{i} v"));
    }
    kit
}

#[test]
fn keys_matches_patterns() {
    check(
        r#"
        > KEYS *
        []
        > SET hello 1
        > KEYS *
        ["hello"]
        ~
        > KEYS h?l*o
        ["hello"]
        > KEYS h[^e]llo
        []
        > KEYS hello
        ["hello"]
        > SET soon 1 PX 1
        # advance 2
        > KEYS *
        ["hello"]
        ~
        > DBSIZE
        2
        > KEYS
        -ERR wrong number of arguments for 'keys' command
        "#,
    );
}

#[test]
fn randomkey_names_a_key_that_lives() {
    check(
        r#"
        > RANDOMKEY
        nil
        # resp3
        > RANDOMKEY
        nil
        > SET a 1
        > RANDOMKEY
        "a"
        ~
        > PEXPIRE a 10
        # advance 11
        > RANDOMKEY
        nil
        ~ DEL a
        ! expired a
        > RANDOMKEY x
        -ERR wrong number of arguments for 'randomkey' command
        "#,
    );
    let mut kit = populated(20);
    let seen: HashSet<String> = (0..2000).map(|_| kit.run("RANDOMKEY")).collect();
    assert_eq!(seen.len(), 20);
}

#[test]
fn scan_parses_its_options() {
    check(
        r#"
        > SCAN 0
        ["0", []]
        > SET k v
        > SCAN 0
        ["0", ["k"]]
        ~
        > scan 0 match x* count 100
        ["0", []]
        > SCAN 0 TYPE string MATCH * COUNT 1
        ["0", ["k"]]
        > SCAN 0 TYPE LIST
        ["0", []]
        > SCAN 0 COUNT 9223372036854775807
        ["0", ["k"]]
        > SCAN 18446744073709551615
        ["0", ["k"]]
        > SCAN abc
        -ERR invalid cursor
        > SCAN -1
        -ERR invalid cursor
        > SCAN ""
        -ERR invalid cursor
        > SCAN 99999999999999999999
        -ERR invalid cursor
        > SCAN 0 COUNT 0
        -ERR syntax error
        > SCAN 0 COUNT -1
        -ERR syntax error
        > SCAN 0 COUNT abc
        -ERR value is not an integer or out of range
        > SCAN 0 COUNT
        -ERR syntax error
        > SCAN 0 TYPE
        -ERR syntax error
        > SCAN 0 MATCH
        -ERR syntax error
        > SCAN 0 FOO bar
        -ERR syntax error
        > SCAN 0 TYPE foo
        -ERR unknown type name 'foo'
        > SCAN 0 NOVALUES
        -ERR NOVALUES option can only be used in HSCAN
        > SCAN
        -ERR wrong number of arguments for 'scan' command
        "#,
    );
}

#[test]
fn a_scan_names_every_key() {
    let mut kit = populated(1000);
    for options in ["", "COUNT 5", "COUNT 1000", "TYPE string", "MATCH key:* COUNT 3"] {
        let names: HashSet<String> = scan_all(&mut kit, options).into_iter().collect();
        assert_eq!(names.len(), 1000, "SCAN {options}");
    }
    assert_eq!(scan_all(&mut kit, "MATCH key:1??").into_iter().collect::<HashSet<_>>().len(), 100);
    assert_eq!(scan_all(&mut kit, "TYPE hash").len(), 0);
}

#[test]
fn count_is_about_how_many_come() {
    let mut kit = populated(5000);
    for count in [1, 10, 100, 1000] {
        let (_, names) = scan(&mut kit, "0", &format!("COUNT {count}"));
        assert!((count..count + 40).contains(&names.len()), "{} names for COUNT {count}", names.len());
    }
}

#[test]
fn keys_that_stay_are_named_while_others_come_and_go() {
    let mut kit = populated(300);
    for round in 0..6 {
        let (mut cursor, mut named, mut step) = ("0".to_owned(), HashSet::new(), 0);
        loop {
            let (next, names) = scan(&mut kit, &cursor, "COUNT 4");
            named.extend(names);
            if next == "0" {
                break;
            }
            cursor = next;
            // Growing in the even rounds, shrinking in the odd ones: the table splits and merges under the cursor.
            for i in 0..40 {
                let n = step * 40 + i;
                kit.run(&if round % 2 == 0 { format!("SET guest:{n} v") } else { format!("DEL guest:{n}") });
            }
            step += 1;
        }
        for i in 0..300 {
            assert!(named.contains(&format!("key:{i}")), "round {round} missed key:{i}");
        }
    }
}

#[test]
fn a_scan_removes_the_stale_keys_that_it_would_have_named() {
    let mut kit = populated(200);
    kit.play("> SET stale:a v PX 1\n> SET stale:b v PX 1\n# advance 2");
    assert_eq!(scan_all(&mut kit, "MATCH key:*").len(), 200);
    assert_eq!(kit.run("DBSIZE"), "202");
    assert_eq!(scan_all(&mut kit, "TYPE list").len(), 0);
    assert_eq!(kit.run("DBSIZE"), "202");
    kit.take_events();
    kit.take_propagated();
    assert_eq!(scan_all(&mut kit, "COUNT 1000").len(), 200);
    assert_eq!(kit.run("DBSIZE"), "200");
    let mut events = kit.take_events();
    events.sort();
    assert_eq!(events, ["expired stale:a", "expired stale:b"]);
    // Not as a transaction: they have nothing to do with each other.
    let mut deleted = kit.take_propagated();
    deleted.sort();
    assert_eq!(deleted, ["DEL stale:a", "DEL stale:b"]);
}

#[test]
fn any_cursor_is_safe() {
    let mut kit = populated(100);
    for cursor in ["1", "7", "123456789", "9223372036854775808", "18446744073709551615"] {
        let (mut at, mut calls) = (cursor.to_owned(), 0);
        loop {
            at = scan(&mut kit, &at, "COUNT 50").0;
            calls += 1;
            if at == "0" {
                break;
            }
            assert!(calls < 1000, "no end from {cursor}");
        }
    }
}
