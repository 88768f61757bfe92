//! Hashes, and fields with a time to live of their own.

use redstart::testkit::{Kit, check};
use std::collections::HashSet;

#[test]
fn fields_are_set_and_told() {
    check(
        r#"
        > HSET h a 1 b two
        2
        ~ HSET h a 1 b two
        ! hset h
        > HSET h a 5 c 007
        1
        > HGET h a
        "5"
        > HGET h c
        "007"
        > HGET h x
        nil
        > HGET none x
        nil
        > HMGET h a x b
        ["5", nil, "two"]
        > HMGET none a b
        [nil, nil]
        > HMSET h d 4
        +OK
        ~ HMSET h d 4
        ! hset h
        > HLEN h
        4
        > HLEN none
        0
        > HEXISTS h a
        1
        > HEXISTS h x
        0
        > HSTRLEN h b
        3
        > HSTRLEN h x
        0
        > HSETNX h a 9
        0
        ~
        > HSETNX h e 9
        1
        ~ HSETNX h e 9
        ! hset h
        > HDEL h a x b a
        2
        ~ HDEL h a x b a
        ! hdel h
        > HDEL h x
        0
        ~
        > HDEL h c d e
        3
        ! hdel h
        ! del h
        > EXISTS h
        0
        > HDEL h a
        0
        "#,
    );
}

#[test]
fn wrong_requests_are_refused() {
    check(
        r#"
        > HSET h f
        -ERR wrong number of arguments for 'hset' command
        > HSET h f v f2
        -ERR wrong number of arguments for 'hset' command
        > HMSET h f v f2
        -ERR wrong number of arguments for 'hmset' command
        > SET s v
        > HSET s f v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HMSET s f v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HSETNX s f v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HGET s f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HMGET s f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HDEL s f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HLEN s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HEXISTS s f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HSTRLEN s f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HGETALL s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HKEYS s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HVALS s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HSCAN s 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HRANDFIELD s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HINCRBY s f 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HINCRBYFLOAT s f 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HEXPIRE s abc FOO 2 f g
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HTTL s FOO 2 f g
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HPERSIST s FOO 2 f g
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HGETDEL s FOO 2 f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HGETEX s FOO 2 f
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > HSETEX s FIELDS 1 f v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn whole_hashes_are_maps_and_arrays() {
    check(
        r#"
        > HGETALL none
        []
        > HKEYS none
        []
        > HSET h a 1 b 2
        > HGETALL h
        ["a", "1", "b", "2"]
        > HKEYS h
        ["a", "b"]
        > HVALS h
        ["1", "2"]
        # resp3
        > HGETALL h
        {"a": "1", "b": "2"}
        > HGETALL none
        {}
        > HKEYS h
        ["a", "b"]
        > HVALS none
        []
        > HGET h x
        nil
        "#,
    );
}

#[test]
fn fields_count() {
    check(
        r#"
        > HINCRBY h f 5
        5
        ~ HINCRBY h f 5
        ! hincrby h
        > HINCRBY h f -7
        -2
        > HSET h t abc max 9223372036854775807 s " 1"
        > HINCRBY h t 1
        -ERR hash value is not an integer
        > HINCRBY h s 1
        -ERR hash value is not an integer
        > HINCRBY h f abc
        -ERR value is not an integer or out of range
        > HINCRBY h max 1
        -ERR increment or decrement would overflow
        > HINCRBY none t x
        -ERR value is not an integer or out of range
        > EXISTS none
        0
        > HINCRBYFLOAT h f 1.5
        "-0.5"
        ~ HSET h f -0.5
        ! hincrbyfloat h
        > HINCRBYFLOAT h new 3.0e3
        "3000"
        > HINCRBYFLOAT h t 1
        -ERR hash value is not a float
        > HINCRBYFLOAT h f x
        -ERR value is not a valid float
        > HINCRBYFLOAT h f nan
        -ERR value is not a valid float
        > HINCRBYFLOAT h f inf
        -ERR value is NaN or Infinity
        > HINCRBYFLOAT h f -inf
        -ERR value is NaN or Infinity
        > HSET h huge 1e4932
        > HINCRBYFLOAT h huge 1e4932
        -ERR increment would produce NaN or Infinity
        > HINCRBYFLOAT none f inf
        -ERR value is NaN or Infinity
        > EXISTS none
        0
        "#,
    );
}

#[test]
fn encodings_follow_the_limits() {
    check(
        r#"
        # config hash-max-listpack-entries 3
        # config hash-max-listpack-value 5
        > HSET h a 1 b 2 c 3
        # encoding h listpack
        > HSET h c 4
        # encoding h listpack
        > HSET h d 4
        # encoding h hashtable
        > HGET h c
        "4"
        > HSET i a 12345
        # encoding i listpack
        > HSET i a 123456
        # encoding i hashtable
        > HSET j abcdef 1
        # encoding j hashtable
        > HSET k a 1 a 2 a 3 a 4
        1
        # encoding k hashtable
        > HSET l a 1
        > HEXPIRE l 10 FIELDS 1 nope
        [-2]
        # encoding l listpackex
        > HSET l b 2 c 3 d 4
        # encoding l hashtable
        > HINCRBY m a 100000
        # encoding m hashtable
        "#,
    );
}

#[test]
fn scans_tell_every_field() {
    check(
        r#"
        > HSET h a 1 ab 2 b 3
        > HSCAN h 0
        ["0", ["a", "1", "ab", "2", "b", "3"]]
        > HSCAN h 0 MATCH a* COUNT 1
        ["0", ["a", "1", "ab", "2"]]
        > HSCAN h 0 NOVALUES MATCH a*
        ["0", ["a", "ab"]]
        > HSCAN none 0
        ["0", []]
        > HSCAN none 7 FOO
        ["0", []]
        > HSCAN h abc
        -ERR invalid cursor
        > HSCAN none abc
        -ERR invalid cursor
        > HSCAN h 0 COUNT 0
        -ERR syntax error
        > HSCAN h 0 COUNT x
        -ERR value is not an integer or out of range
        > HSCAN h 0 TYPE hash
        -ERR syntax error
        > HSCAN h 0 FOO
        -ERR syntax error
        "#,
    );
    let mut kit = Kit::new();
    let mut wanted = HashSet::new();
    for i in 0..1000 {
        kit.run(&format!("HSET big field:{i} {i}"));
        wanted.insert(format!("field:{i}"));
    }
    let (mut cursor, mut names) = ("0".to_owned(), HashSet::new());
    loop {
        let reply = kit.run(&format!("HSCAN big {cursor} NOVALUES COUNT 20"));
        let (next, found) = reply.trim_matches(['[', ']']).split_once(", [").expect("two parts");
        names.extend(found.split(", ").filter(|name| !name.is_empty()).map(|name| name.trim_matches('"').to_owned()));
        cursor = next.trim_matches('"').to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(names, wanted);
}

#[test]
fn random_fields_are_fields() {
    check(
        r#"
        > HRANDFIELD none
        nil
        > HRANDFIELD none 3
        []
        > HSET h a 1
        > HRANDFIELD h
        "a"
        > HRANDFIELD h 5
        ["a"]
        > HRANDFIELD h -3
        ["a", "a", "a"]
        > HRANDFIELD h 0
        []
        > HRANDFIELD h 1 WITHVALUES
        ["a", "1"]
        > HRANDFIELD h -2 WITHVALUES
        ["a", "1", "a", "1"]
        > HRANDFIELD h abc
        -ERR value is not an integer or out of range
        > HRANDFIELD h 1 FOO
        -ERR syntax error
        > HRANDFIELD h 1 WITHVALUES x
        -ERR syntax error
        > HRANDFIELD h -9223372036854775808
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > HRANDFIELD h -9223372036854775808 WITHVALUES
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > HRANDFIELD h -9223372036854775807
        -ERR value is out of range
        > HRANDFIELD h 4611686018427387904 WITHVALUES
        -ERR value is out of range
        > HRANDFIELD h 4611686018427387903 WITHVALUES
        ["a", "1"]
        # resp3
        > HRANDFIELD h -2 WITHVALUES
        [["a", "1"], ["a", "1"]]
        > HRANDFIELD h 2 WITHVALUES
        [["a", "1"]]
        "#,
    );
}

#[test]
fn fields_have_lifetimes() {
    check(
        r#"
        > HSET h a 1 b 2 c 3
        > HEXPIRE h 100 FIELDS 3 a x b
        [1, -2, 1]
        ~ HPEXPIREAT h 1700000100000 FIELDS 2 a b
        ! hexpire h
        # encoding h listpackex
        > HTTL h FIELDS 3 a c x
        [100, -1, -2]
        > HPTTL h FIELDS 1 a
        [100000]
        > HEXPIRETIME h FIELDS 1 a
        [1700000100]
        > HPEXPIRETIME h FIELDS 2 a c
        [1700000100000, -1]
        > HTTL none FIELDS 2 a b
        [-2, -2]
        > HEXPIRE h 100 NX FIELDS 2 a c
        [0, 1]
        ~ HPEXPIREAT h 1700000100000 NX FIELDS 1 c
        > HPEXPIRE h 200000 GT FIELDS 2 a x
        [1, -2]
        ~ HPEXPIREAT h 1700000200000 GT FIELDS 1 a
        > HEXPIRE h 100 GT FIELDS 1 a
        [0]
        ~
        > HPEXPIREAT h 1700000150000 LT FIELDS 2 a b
        [1, 0]
        ~ HPEXPIREAT h 1700000150000 LT FIELDS 1 a
        > HPERSIST h FIELDS 3 a b x
        [1, 1, -2]
        ~ HPERSIST h FIELDS 3 a b x
        ! hpersist h
        > HPERSIST h FIELDS 1 a
        [-1]
        ~
        > HPERSIST none FIELDS 2 a b
        [-2, -2]
        > HEXPIRE h 100 XX FIELDS 1 a
        [0]
        > HEXPIRE h 100 GT FIELDS 1 a
        [0]
        > HEXPIRE h 100 LT FIELDS 1 a
        [1]
        > HEXPIREAT h 1700000001 FIELDS 1 b
        [1]
        ~ HPEXPIREAT h 1700000001000 FIELDS 1 b
        > HEXPIRE h 0 FIELDS 2 b x
        [2, -2]
        ~ HDEL h b
        ! hdel h
        > HPEXPIREAT h 1 FIELDS 2 a c
        [2, 2]
        ~ MULTI
        ~ HDEL h a
        ~ HDEL h c
        ~ EXEC
        ! hdel h
        ! del h
        > EXISTS h
        0
        > HEXPIRE h 10 FIELDS 1 a
        [-2]
        ~
        "#,
    );
}

#[test]
fn lifetimes_are_checked() {
    check(
        r#"
        > HSET h f 1
        > HEXPIRE h abc FIELDS 1 f
        -ERR value is not an integer or out of range
        > HEXPIRE h -1 FIELDS 1 f
        -ERR invalid expire time, must be >= 0
        > HEXPIRE h 9223372036854775807 FIELDS 1 f
        -ERR invalid expire time in 'hexpire' command
        > HPEXPIREAT h 70368744177664 FIELDS 1 f
        -ERR invalid expire time in 'hpexpireat' command
        > HPEXPIREAT h 70368744177663 FIELDS 1 f
        [1]
        > HPEXPIRE h 70368744177663 FIELDS 1 f
        -ERR invalid expire time in 'hpexpire' command
        > HEXPIRE h 10 FIELDS 0 f
        -ERR Parameter `numFields` should be greater than 0
        > HEXPIRE h 10 FIELDS abc f
        -ERR Parameter `numFields` should be greater than 0
        > HEXPIRE h 10 FIELDS 2 f
        -ERR The `numfields` parameter must match the number of arguments
        > HEXPIRE h 10 FIELDS 1 f g
        -ERR The `numfields` parameter must match the number of arguments
        > HEXPIRE h 10 NX XX FIELDS 1 f
        -ERR Mandatory argument FIELDS is missing or not at the right position
        > HEXPIRE h 10 FOO FIELDS 1 f
        -ERR Mandatory argument FIELDS is missing or not at the right position
        > HTTL h FIELDS 0 f
        -ERR Number of fields must be a positive integer
        > HTTL h FIELDS 2 f
        -ERR The `numfields` parameter must match the number of arguments
        > HTTL h FOO 1 f
        -ERR Mandatory argument FIELDS is missing or not at the right position
        > HPERSIST h FIELDS 2 f
        -ERR The `numfields` parameter must match the number of arguments
        "#,
    );
}

#[test]
fn expired_fields_are_hidden_and_go() {
    for entries in ["512", "0"] {
        check(&format!("# config hash-max-listpack-entries {entries}\n{EXPIRED}"));
    }
}

const EXPIRED: &str = r#"
        > HSET h a 1 b 2 c 3
        > HPEXPIRE h 10 FIELDS 2 a b
        [1, 1]
        # advance 11
        > HLEN h
        3
        > HGETALL h
        ["c", "3"]
        > HKEYS h
        ["c"]
        > HVALS h
        ["3"]
        > HSCAN h 0
        ["0", ["c", "3"]]
        > HTTL h FIELDS 1 a
        [-2]
        > HPERSIST h FIELDS 1 a
        [-2]
        > HGET h a
        nil
        ~ HDEL h a
        ! hexpired h
        > HMGET h a b c
        [nil, nil, "3"]
        ~ HDEL h b
        ! hexpired h
        > HLEN h
        1
        > HPEXPIRE h 10 FIELDS 1 c
        # advance 11
        > HEXISTS h c
        0
        ~ HDEL h c
        ! hexpired h
        ! del h
        > EXISTS h
        0
        > HSET h a 1
        > HPEXPIRE h 10 FIELDS 1 a
        # advance 11
        > HSETNX h a 5
        1
        ~ MULTI
        ~ HDEL h a
        ~ HSETNX h a 5
        ~ EXEC
        ! hexpired h
        ! del h
        ! hset h
        > HPEXPIRE h 10 FIELDS 1 a
        # advance 11
        > HINCRBY h a 2
        2
        ~ MULTI
        ~ HDEL h a
        ~ HINCRBY h a 2
        ~ EXEC
        > HSET h b 1 c 1
        > HPEXPIRE h 9 FIELDS 1 b
        > HPEXPIRE h 10 FIELDS 1 a
        # advance 11
        > HRANDFIELD h
        "c"
        ~ MULTI
        ~ HDEL h b
        ~ HDEL h a
        ~ EXEC
        ! hexpired h
        > HPEXPIRE h 10 FIELDS 1 c
        # advance 11
        > HRANDFIELD h 5
        []
        ~ HDEL h c
        ! hexpired h
        ! del h
        > HSET h a 1 b 1
        > HPEXPIRE h 10 FIELDS 1 a
        > HSET h a 2
        > HTTL h FIELDS 1 a
        [-1]
        > HPEXPIRE h 10 FIELDS 1 a
        > HINCRBY h a 1
        > HPTTL h FIELDS 1 a
        [10]
        > HINCRBYFLOAT h a 1.5
        > HPTTL h FIELDS 1 a
        [10]
        > HSTRLEN h a
        3
        # advance 11
        > HSTRLEN h a
        0
        "#;

#[test]
fn fields_are_told_and_changed_at_once() {
    check(
        r#"
        > HSET h a 1 b 2 c 3
        > HGETEX h EX 100 FIELDS 2 a x
        ["1", nil]
        ~ HPEXPIREAT h 1700000100000 FIELDS 2 a x
        ! hexpire h
        > HGETEX h FIELDS 2 a x
        ["1", nil]
        ~
        > HGETEX h PERSIST FIELDS 3 a b x
        ["1", "2", nil]
        ~ HPERSIST h FIELDS 3 a b x
        ! hpersist h
        > HGETEX h PERSIST FIELDS 1 b
        ["2"]
        ~
        > HGETEX h EXAT 1 FIELDS 2 a x
        ["1", nil]
        ~ HDEL h a
        ! hdel h
        > HGETEX h PXAT 1 FIELDS 2 b c
        ["2", "3"]
        ~ MULTI
        ~ HDEL h b
        ~ HDEL h c
        ~ EXEC
        ! hdel h
        ! del h
        > HGETEX h EX 10 FIELDS 2 b c
        [nil, nil]
        ~
        > HSET h a 1 b 2 c 3
        > HGETDEL h FIELDS 2 a x
        ["1", nil]
        ~ HDEL h a x
        ! hdel h
        > HGETDEL h FIELDS 1 x
        [nil]
        ~
        > HSET twice f 1
        > HGETDEL twice FIELDS 2 f f
        ["1", nil]
        > HSET twice f 1
        > HGETEX twice EXAT 1 FIELDS 2 f f
        ["1", nil]
        > HPEXPIRE h 10 FIELDS 1 b
        # advance 11
        > HGETDEL h FIELDS 2 b c
        [nil, "3"]
        ~ MULTI
        ~ HDEL h b
        ~ HDEL h b c
        ~ EXEC
        ! hexpired h
        ! hdel h
        ! del h
        > HGETDEL h FIELDS 2 b c
        [nil, nil]
        > HSET k f 1
        > HGETDEL k FIELDS 0 f
        -ERR Number of fields must be a positive integer
        > HGETDEL k FIELDS 2 f
        -ERR The `numfields` parameter must match the number of arguments
        > HGETDEL k FOO 1 f
        -ERR Mandatory argument FIELDS is missing or not at the right position
        > HGETEX k EX 10 f g h i
        -ERR Mandatory argument FIELDS is missing or not at the right position
        > HGETEX k EX -1 FIELDS 1 f
        -ERR invalid expire time, must be >= 0
        > HGETEX none EX -1 FIELDS 1 f
        -ERR invalid expire time, must be >= 0
        > HGETEX k EX 99999999999999999 FIELDS 1 f
        -ERR invalid expire time in 'hgetex' command
        > HGETEX k FIELDS 1 f EX 10
        -ERR The `numfields` parameter must match the number of arguments
        > HGETEX k EX FIELDS 1 f
        -ERR value is not an integer or out of range
        > HGETEX k EX 10 PERSIST FIELDS 1 f
        -ERR Mandatory argument FIELDS is missing or not at the right position
        > HGETEX k PERSIST FIELDS a f
        -ERR Number of fields must be a positive integer
        "#,
    );
}

#[test]
fn fields_are_set_with_a_lifetime() {
    check(
        r#"
        > HSETEX h FNX EX 100 FIELDS 2 a 1 b 2
        1
        ~ HSETEX h FNX PXAT 1700000100000 FIELDS 2 a 1 b 2
        ! hset h
        ! hexpire h
        > HSETEX h FNX EX 100 FIELDS 2 a 1 c 2
        0
        ~
        > HSETEX h FXX EX 100 FIELDS 2 a 5 c 2
        0
        > HSETEX h PX 200000 FXX FIELDS 2 a 5 b 2
        1
        ~ HSETEX h PXAT 1700000200000 FXX FIELDS 2 a 5 b 2
        > HSETEX h KEEPTTL FIELDS 1 a 7
        1
        ~ HSETEX h KEEPTTL FIELDS 1 a 7
        ! hset h
        > HTTL h FIELDS 1 a
        [200]
        > HSETEX h FIELDS 1 a 7
        1
        > HTTL h FIELDS 1 a
        [-1]
        > HSETEX h EXAT 1 FIELDS 2 a 7 z 9
        1
        ~ MULTI
        ~ HDEL h a
        ~ HDEL h z
        ~ EXEC
        ! hset h
        ! hdel h
        > HGETALL h
        ["b", "2"]
        > HSETEX h EXAT 1 FIELDS 1 b 7
        1
        ~ HDEL h b
        ! hset h
        ! hdel h
        ! del h
        > HSETEX h EXAT 1 FIELDS 1 b 7
        1
        ! hset h
        ! hdel h
        ! del h
        > EXISTS h
        0
        > WATCH h
        > HSETEX h EXAT 1 FIELDS 1 b 7
        > MULTI
        > EXEC
        nil
        > HSETEX h FXX FIELDS 1 b 7
        0
        > HSET h a 1 b 1
        > HPEXPIRE h 10 FIELDS 1 a
        # advance 11
        > HSETEX h FNX EX 10 FIELDS 1 a 5
        1
        ~ MULTI
        ~ HDEL h a
        ~ HSETEX h FNX PXAT 1700000010011 FIELDS 1 a 5
        ~ EXEC
        ! hexpired h
        ! hset h
        ! hexpire h
        > HSETEX k FIELDS 0 f v
        -ERR invalid number of fields
        > HSETEX k PX 100 FIELDS 0 f
        -ERR wrong number of arguments for 'hsetex' command
        > HSETEX k FIELDS 2147483648 f v
        -ERR invalid number of fields
        > HSETEX k FIELDS 2 f v
        -ERR wrong number of arguments for 'hsetex' command
        > HSETEX k FIELDS 1 f v EX 10
        -ERR wrong number of arguments for 'hsetex' command
        > HSETEX k FNX FXX FIELDS 1 f v
        -ERR Only one of FXX or FNX arguments can be specified
        > HSETEX k EX 0 FIELDS 1 f v
        1
        > HSETEX k EX -1 FIELDS 1 f v
        -ERR invalid expire time, must be >= 0
        > HSETEX k EX 10 KEEPTTL FIELDS 1 f v
        -ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
        > HSETEX k KEEPTTL EX 10 FIELDS 1 f v
        -ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
        > HSETEX k FOO FIELDS 1 f v
        -ERR unknown argument: FOO
        > HSETEX k EX FIELDS 1 f v
        -ERR value is not an integer or out of range
        > HSETEX k PX 281474976710655 FIELDS 1 f v
        -ERR invalid expire time in 'hsetex' command
        "#,
    );
}

/// The list of hashes whose fields have deadlines must follow the keys, whatever happens to them.
#[test]
fn deadlines_of_fields_follow_their_hash() {
    let mut kit = Kit::new();
    let count = |kit: &Kit, db: u32| kit.world.keyspace.db(redstart::types::DbIndex(db)).meta.fields.len();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        kit.run(&format!("HSET {name} f 1 g 2"));
        kit.run(&format!("HEXPIRE {name} 10 FIELDS 1 f"));
    }
    assert_eq!(count(&kit, 0), 7);
    kit.run("RENAME a a2");
    kit.run("RENAME b c");
    assert_eq!(count(&kit, 0), 6);
    kit.run("COPY d d2");
    assert_eq!(count(&kit, 0), 7);
    kit.run("MOVE d2 1");
    assert_eq!((count(&kit, 0), count(&kit, 1)), (6, 1));
    kit.run("SET e string");
    assert_eq!(count(&kit, 0), 5);
    kit.run("HDEL f f");
    assert_eq!(count(&kit, 0), 4);
    kit.run("HPERSIST g FIELDS 1 f");
    assert_eq!(count(&kit, 0), 3);
    kit.run("SWAPDB 0 1");
    assert_eq!((count(&kit, 0), count(&kit, 1)), (1, 3));
    kit.run("PEXPIRE d2 5");
    kit.advance(6);
    assert_eq!(kit.run("EXISTS d2"), "0");
    assert_eq!((count(&kit, 0), count(&kit, 1)), (0, 3));
    kit.advance(10_000);
    kit.world.keyspace.refresh_clock();
    kit.take_propagated();
    let swept = kit.world.keyspace.sweep_expired(std::time::Duration::from_secs(10));
    assert_eq!(swept.fields, 3);
    assert_eq!(count(&kit, 1), 0);
    kit.run("SELECT 1");
    assert_eq!(kit.run("HGETALL a2"), r#"["g", "2"]"#);
    assert_eq!(kit.run("HLEN a2"), "1");
    kit.run("HEXPIRE a2 10 FIELDS 1 g");
    kit.run("FLUSHALL");
    assert_eq!(count(&kit, 1), 0);
}
