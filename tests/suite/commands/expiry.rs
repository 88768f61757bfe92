//! How long keys live, and how they go.

use redstart::testkit::{Kit, check};

#[test]
fn every_form_propagates_the_moment() {
    check(
        r#"
        > SET k v
        > EXPIRE k 100
        1
        ~ PEXPIREAT k 1700000100000
        ! expire k
        > TTL k
        100
        > PEXPIRE k 1500 XX
        1
        ~ PEXPIREAT k 1700000001500 XX
        ! expire k
        > PTTL k
        1500
        > EXPIREAT k 1700000200
        1
        ~ PEXPIREAT k 1700000200000
        ! expire k
        > PEXPIREAT k 1700000300000
        1
        ~ PEXPIREAT k 1700000300000
        ! expire k
        > EXPIRETIME k
        1700000300
        ~
        > PEXPIRETIME k
        1700000300000
        > PERSIST k
        1
        ~ PERSIST k
        ! persist k
        > PERSIST k
        0
        ~
        !
        > EXPIRE nokey 10
        0
        ~
        > PERSIST nokey
        0
        "#,
    );
}

#[test]
fn seconds_are_rounded_to_the_nearest() {
    check(
        r#"
        > SET k v PX 1499
        > TTL k
        1
        > PEXPIRE k 1500
        > TTL k
        2
        > EXPIRETIME k
        1700000002
        > PEXPIREAT k 9223372036854775807
        1
        > PEXPIRETIME k
        9223372036854775807
        > EXPIRETIME k
        9223372036854776
        > TTL k
        9223370336854776
        "#,
    );
}

#[test]
fn without_a_deadline_or_a_key_the_answer_is_negative() {
    check(
        r#"
        > SET k v
        > TTL k
        -1
        > PTTL k
        -1
        > EXPIRETIME k
        -1
        > PEXPIRETIME k
        -1
        > TTL nokey
        -2
        > PTTL nokey
        -2
        > EXPIRETIME nokey
        -2
        > PEXPIRETIME nokey
        -2
        > TTL
        -ERR wrong number of arguments for 'ttl' command
        "#,
    );
}

#[test]
fn a_deadline_that_is_over_deletes() {
    check(
        r#"
        > SET a v
        > EXPIRE a -1
        1
        ~ DEL a
        ! del a
        > SET a v
        > PEXPIREAT a 1700000000000
        1
        ~ DEL a
        ! del a
        > SET a v
        > EXPIRE a 0
        1
        > EXISTS a
        0
        > SET a v
        > EXPIREAT a -9999999999 LT
        1
        ~ DEL a
        > SET a v
        > EXPIRE a -1 GT
        0
        ~
        "#,
    );
    // Followers are asked to free lazily what is worth it, if this server does so itself.
    for (lazily, members, command) in [("yes", 3, "DEL"), ("yes", 300, "UNLINK"), ("no", 300, "DEL")] {
        let mut kit = Kit::new();
        kit.play(&format!("# config lazyfree-lazy-expire {lazily}"));
        let add = (0..members).fold("SADD a".to_owned(), |add, n| format!("{add} m{n}"));
        kit.play(&format!("> {add}\n> EXPIRE a -1\n1\n~ {command} a\n! del a"));
        kit.play(&format!("> {add}\n> PEXPIRE a 10\n1\n# advance 11\n> GET a\nnil\n~ {command} a\n! expired a"));
    }
}

#[test]
fn conditions_compare_with_the_deadline_there_is() {
    check(
        r#"
        > SET k v
        > EXPIRE k 100 XX
        0
        ~
        !
        > EXPIRE k 100 GT
        0
        > EXPIRE k 100 NX
        1
        ~ PEXPIREAT k 1700000100000 NX
        > EXPIRE k 200 NX
        0
        > EXPIRE k 100 GT
        0
        > EXPIRE k 50 GT
        0
        > EXPIRE k 101 gt
        1
        > EXPIRE k 101 LT
        0
        > EXPIRE k 50 LT XX
        1
        ~ PEXPIREAT k 1700000050000 LT XX
        > PERSIST k
        > EXPIRE k 50 LT XX
        0
        > EXPIRE k 50 LT
        1
        > TTL k
        50
        "#,
    );
}

#[test]
fn bad_numbers_and_options_are_refused_before_the_key_is_looked_at() {
    check(
        r#"
        > EXPIRE k abc
        -ERR value is not an integer or out of range
        > SET k v
        > EXPIRE k ""
        -ERR value is not an integer or out of range
        > EXPIRE k 9223372036854775807
        -ERR invalid expire time in 'expire' command
        > EXPIRE k -9223372036854775808
        -ERR invalid expire time in 'expire' command
        > PEXPIRE k 9223372036854775807
        -ERR invalid expire time in 'pexpire' command
        > EXPIREAT k 9223372036854775807
        -ERR invalid expire time in 'expireat' command
        > PEXPIREAT k 9223372036854775808
        -ERR value is not an integer or out of range
        > EXPIRE k 10 NX XX
        -ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIRE k 10 LT NX
        -ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIRE k 10 GT LT
        -ERR GT and LT options at the same time are not compatible
        > EXPIRE nokey 10 FOO
        -ERR Unsupported option FOO
        > EXPIRE k
        -ERR wrong number of arguments for 'expire' command
        > PERSIST
        -ERR wrong number of arguments for 'persist' command
        "#,
    );
}

#[test]
fn a_key_is_there_until_its_last_millisecond_is_over() {
    check(
        r#"
        > SET k v PX 100
        # advance 100
        > PTTL k
        0
        > EXISTS k
        1
        # advance 1
        > EXISTS k
        0
        ~ DEL k
        ! expired k
        > TTL k
        -2
        ~
        > TYPE k
        +none
        "#,
    );
}

#[test]
fn the_sweep_removes_what_nobody_asks_for() {
    let mut kit = Kit::new();
    for i in 0..500 {
        kit.run(&format!("SET soon:{i} v PX {}", 100 + i));
        kit.run(&format!("SET later:{i} v PX 100000"));
        kit.run(&format!("SET never:{i} v"));
    }
    kit.take_propagated();
    kit.take_events();
    kit.advance(700);
    // A step of the sweep may stop where few keys are stale; laps go on.
    for _ in 0..100 {
        kit.sweep();
    }
    assert_eq!(kit.run("DBSIZE"), "1000");
    assert_eq!(kit.world.keyspace.env.stats.expired, 500);
    let (deleted, expired) = (kit.take_propagated(), kit.take_events());
    assert_eq!((deleted.len(), expired.len()), (500, 500));
    assert!(deleted.iter().all(|request| request.starts_with("DEL soon:")), "{:?}", deleted[0]);
    assert!(expired.iter().all(|event| event.starts_with("expired soon:")), "{:?}", expired[0]);
    assert_eq!(kit.run("PERSIST later:7"), "1");
    kit.advance(100_000);
    for _ in 0..100 {
        kit.sweep();
    }
    assert_eq!(kit.run("DBSIZE"), "501");
}

#[test]
fn a_new_deadline_counts_and_an_old_one_does_not() {
    check(
        r#"
        > SET a v PX 100
        > SET b v PX 100
        > PEXPIRE a 1000
        > PERSIST b
        # advance 101
        # sweep
        > EXISTS a b
        2
        # advance 900
        # sweep
        > DBSIZE
        1
        "#,
    );
}
