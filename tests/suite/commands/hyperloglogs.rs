//! HyperLogLogs: what counts as a change, which form a value takes, and what is not a HyperLogLog.

use redstart::testkit::{Kit, check};

#[test]
fn adding_and_counting() {
    check(
        r#"
        > PFADD h
        1
        ~ PFADD h
        ! pfadd h
        > GET h
        "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
        # encoding h raw
        > PFADD h
        0
        ~
        !
        > PFADD h a b c
        1
        ~ PFADD h a b c
        > PFADD h a b
        0
        ~
        !
        > PFCOUNT h
        3
        ~ PFCOUNT h
        > PFCOUNT h
        3
        ~
        > PFADD h d
        1
        > PFCOUNT h
        4
        > PFCOUNT nokey
        0
        > PFCOUNT nokey nokey2
        0
        > PFADD i c d e
        1
        > PFCOUNT h i nokey
        5
        ~
        > PFADD
        -ERR wrong number of arguments for 'pfadd' command
        > PFCOUNT
        -ERR wrong number of arguments for 'pfcount' command
        "#,
    );
}

#[test]
fn merging() {
    check(
        r#"
        > PFADD a 1 2 3
        1
        > PFADD b 3 4
        1
        > PFMERGE d a b nokey
        +OK
        ~ PFMERGE d a b nokey
        ! pfadd d
        > PFCOUNT d
        4
        > PFDEBUG ENCODING d
        +sparse
        > PFDEBUG TODENSE b
        1
        > PFMERGE a b
        +OK
        > PFCOUNT a
        4
        > PFDEBUG ENCODING a
        +dense
        > EXPIRE d 10
        1
        > PFMERGE d
        +OK
        ~ PFMERGE d
        > TTL d
        10
        > PFMERGE fresh
        +OK
        > PFCOUNT fresh
        0
        > PFMERGE
        -ERR wrong number of arguments for 'pfmerge' command
        "#,
    );
}

#[test]
fn looking_inside() {
    check(
        r#"
        > PFADD h a b c
        1
        > PFDEBUG DECODE h
        "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
        > PFDEBUG encoding h
        +sparse
        > PFDEBUG TODENSE h
        1
        ~ PFDEBUG TODENSE h
        > PFDEBUG TODENSE h
        0
        ~
        > STRLEN h
        12304
        > PFDEBUG DECODE h
        -ERR HLL encoding is not sparse
        > PFADD h a
        0
        ~
        > PFADD h z
        1
        ~ PFADD h z
        > PFCOUNT h
        4
        ~ PFCOUNT h
        > PFDEBUG GETREG nokey
        -ERR The specified key does not exist
        > PFDEBUG FOO nokey
        -ERR The specified key does not exist
        > PFDEBUG FOO h
        -ERR Unknown PFDEBUG subcommand 'FOO'
        > PFDEBUG GETREG
        -ERR wrong number of arguments for 'pfdebug' command
        "#,
    );
    let mut kit = Kit::new();
    kit.run("PFADD h a b c");
    kit.take_propagated();
    let registers = kit.run("PFDEBUG GETREG h");
    assert_eq!(registers.matches(", ").count(), 16_383);
    assert_eq!(registers.matches('1').count() + registers.matches('2').count(), 3);
    assert_eq!(kit.take_propagated(), ["PFDEBUG GETREG h"]);
    assert_eq!(kit.run("PFDEBUG ENCODING h"), "+dense");
}

/// Ten million elements, as the command has it, are for optimised builds.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes seconds without optimisation")]
fn self_test() {
    check("> PFSELFTEST\n+OK");
}

#[test]
fn self_test_takes_no_arguments() {
    check("> PFSELFTEST x\n-ERR wrong number of arguments for 'pfselftest' command");
}

#[test]
fn a_value_turns_dense_when_it_grows() {
    let mut kit = Kit::new();
    for n in 0..20 {
        assert_eq!(kit.run(&format!("PFADD h {n}")), "1");
    }
    assert_eq!(kit.run("PFDEBUG ENCODING h"), "+sparse");
    kit.world.keyspace.env.settings.hll_sparse_max_bytes = 30;
    assert_eq!(kit.run("PFADD h another one"), "1");
    assert_eq!(kit.run("PFDEBUG ENCODING h"), "+dense");
    assert_eq!(kit.run("PFCOUNT h"), "22");
    assert_eq!(kit.run("STRLEN h"), "12304");
}

#[test]
fn other_strings_are_refused() {
    check(
        r#"
        > SET k v
        +OK
        > PFCOUNT k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFADD k a
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE k k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE d k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > EXISTS d
        0
        > PFDEBUG ENCODING k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > SET k 12
        +OK
        > PFCOUNT k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > SET k HYLLxxxxxxxxxxxxxxxx
        +OK
        > PFCOUNT k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > SET k "HYLL\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00"
        +OK
        > PFCOUNT k k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        "#,
    );
}

/// What the runs of a value that a SETBIT has lengthened cannot hold is found when it is to become dense. Nothing of a PFADD
/// stays then; the original keeps what it had added, and tells no replica.
#[test]
fn a_refused_pfadd_adds_nothing() {
    let mut kit = Kit::new();
    assert_eq!(kit.run("PFADD h bar mynewtext"), "1");
    assert_eq!(kit.run("SETBIT h 23983 0"), "0");
    let before = kit.run("GET h");
    kit.take_propagated();
    assert_eq!(kit.run("PFADD h a b c d e"), "-INVALIDOBJ Corrupted HLL object detected");
    assert_eq!(kit.run("GET h"), before);
    assert!(kit.take_propagated().is_empty());
}
