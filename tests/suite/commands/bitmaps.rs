//! Bitmaps: bits, counts, combinations and fields, over strings and over integers stored as numbers.

use redstart::testkit::{Kit, check};

#[test]
fn single_bits() {
    check(
        r#"
        > SETBIT k 1 1
        0
        ~ SETBIT k 1 1
        ! setbit k
        > GET k
        "@"
        # encoding k raw
        > SETBIT k 1 1
        1
        ~
        !
        > SETBIT k 17 0
        0
        ~ SETBIT k 17 0
        > GET k
        "@\x00\x00"
        > GETBIT k 1
        1
        > GETBIT k 2
        0
        > GETBIT k 100000
        0
        > GETBIT nokey 0
        0
        > SET n 1 EX 10
        +OK
        > GETBIT n 2
        1
        > SETBIT n 6 1
        0
        > GET n
        "3"
        # encoding n raw
        > TTL n
        10
        > SETBIT nokey 0 0
        0
        ~ SETBIT nokey 0 0
        > GET nokey
        "\x00"
        > SETBIT k -1 0
        -ERR bit offset is not an integer or out of range
        > SETBIT k abc 0
        -ERR bit offset is not an integer or out of range
        > SETBIT k 4294967296 1
        -ERR bit offset is not an integer or out of range
        > SETBIT k #1 1
        -ERR bit offset is not an integer or out of range
        > SETBIT k 0 2
        -ERR bit is not an integer or out of range
        > SETBIT k 0 abc
        -ERR bit is not an integer or out of range
        > GETBIT k -1
        -ERR bit offset is not an integer or out of range
        > SETBIT k 0
        -ERR wrong number of arguments for 'setbit' command
        > GETBIT k
        -ERR wrong number of arguments for 'getbit' command
        "#,
    );
}

/// Bits set one by one through every way of storing a string agree with a plain array.
#[test]
fn bits_against_a_model() {
    let mut kit = Kit::new();
    let mut rng = redstart::clock::Rng::seeded(0x9e37_79b9_7f4a_7c15u64);
    let mut next = |n: u64| rng.below(n);
    let mut model = vec![0u8; 1000];
    for round in 0..2000u64 {
        let (offset, bit) = (next((round + 10) * 4).min(7999), next(2));
        let before = model[offset as usize / 8] >> (7 - offset % 8) & 1;
        assert_eq!(kit.run(&format!("SETBIT k {offset} {bit}")), before.to_string());
        model[offset as usize / 8] &= !(0x80 >> (offset % 8));
        model[offset as usize / 8] |= (bit as u8) << (7 - offset % 8);
        if round % 50 == 0 {
            let ones: u32 = model.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(kit.run("BITCOUNT k"), ones.to_string());
        }
    }
}

#[test]
fn counting() {
    check(
        r#"
        > SET k foobar
        +OK
        > BITCOUNT k
        26
        > BITCOUNT k 0 0
        4
        > BITCOUNT k 1 1 BYTE
        6
        > BITCOUNT k 5 30 BIT
        17
        > BITCOUNT k 5 30 bit
        17
        > BITCOUNT k -2 -1
        7
        > BITCOUNT k 10 20
        0
        > BITCOUNT k -1 -2
        0
        > BITCOUNT nokey
        0
        > SET n 123
        +OK
        > BITCOUNT n
        10
        > BITCOUNT k 0
        -ERR syntax error
        > BITCOUNT nokey a b
        -ERR value is not an integer or out of range
        > BITCOUNT k 0 1 FOO
        -ERR syntax error
        > BITCOUNT k 0 1 BIT x
        -ERR syntax error
        > BITCOUNT
        -ERR wrong number of arguments for 'bitcount' command
        "#,
    );
}

#[test]
fn searching() {
    check(
        r#"
        > SET k "\xff\xf0\x00"
        +OK
        > BITPOS k 0
        12
        > BITPOS k 1
        0
        > BITPOS k 1 2
        -1
        > BITPOS k 0 -2
        12
        > BITPOS k 1 1 1 BYTE
        8
        > BITPOS k 0 4 9 BIT
        -1
        > BITPOS k 0 4 13 BIT
        12
        > SET k "\xff\xff"
        +OK
        > BITPOS k 0
        16
        > BITPOS k 0 0 -1
        -1
        > BITPOS k 0 5
        -1
        > BITPOS nokey 0
        0
        > BITPOS nokey 1
        -1
        > BITPOS nokey 0 5 10
        0
        > SET e ""
        +OK
        > BITPOS e 0
        -1
        > SET n 1
        +OK
        > BITPOS n 1
        2
        > BITPOS k 2
        -ERR The bit argument must be 1 or 0.
        > BITPOS k abc
        -ERR value is not an integer or out of range
        > BITPOS k 1 a
        -ERR value is not an integer or out of range
        > BITPOS k 1 0 b
        -ERR value is not an integer or out of range
        > BITPOS k 1 0 1 FOO
        -ERR syntax error
        > BITPOS k 1 0 1 BIT x
        -ERR syntax error
        > BITPOS k
        -ERR wrong number of arguments for 'bitpos' command
        "#,
    );
}

#[test]
fn combining() {
    check(
        r#"
        > MSET x "\xf0\xff" y "\x3c" z "\x0f\x01\x01"
        +OK
        > BITOP AND d x y
        2
        ~ BITOP AND d x y
        ! set d
        > GET d
        "0\x00"
        # encoding d raw
        > BITOP or d x y z
        3
        > GET d
        "\xff\xff\x01"
        > BITOP XOR d x y
        2
        > GET d
        "\xcc\xff"
        > BITOP NOT d x
        2
        > GET d
        "\x0f\x00"
        > BITOP DIFF d x y z
        3
        > GET d
        "\xc0\xfe\x00"
        > BITOP DIFF1 d x y z
        3
        > GET d
        "\x0f\x00\x01"
        > BITOP ANDOR d x y z
        3
        > GET d
        "0\x01\x00"
        > BITOP ONE d x y z
        3
        > GET d
        "\xc3\xfe\x01"
        > BITOP ONE d y
        1
        > GET d
        "<"
        > BITOP NOT x x
        2
        > GET x
        "\x0f\x00"
        > SET n 12 EX 10
        +OK
        > BITOP OR n n n
        2
        > GET n
        "12"
        # encoding n raw
        > TTL n
        -1
        > BITOP AND d nokey nokey2
        0
        ~ BITOP AND d nokey nokey2
        ! del d
        > BITOP AND d nokey
        0
        ~
        !
        > BITOP DIFF d nokey y
        1
        > GET d
        "\x00"
        > BITOP NOT d x y
        -ERR BITOP NOT must be called with a single source key.
        > BITOP diff d x
        -ERR BITOP DIFF must be called with multiple source keys.
        > BITOP DIFF1 d x
        -ERR BITOP DIFF1 must be called with multiple source keys.
        > BITOP ANDOR d x
        -ERR BITOP ANDOR must be called with multiple source keys.
        > BITOP FOO d x
        -ERR syntax error
        > BITOP AND d
        -ERR wrong number of arguments for 'bitop' command
        "#,
    );
}

#[test]
fn fields() {
    check(
        r#"
        > BITFIELD k SET u8 0 200 OVERFLOW FAIL INCRBY u8 0 100 GET u4 0
        [0, nil, 12]
        ~ BITFIELD k SET u8 0 200 OVERFLOW FAIL INCRBY u8 0 100 GET u4 0
        ! setbit k
        > BITFIELD k INCRBY u8 0 100
        [44]
        > BITFIELD k OVERFLOW SAT INCRBY u8 0 250 INCRBY i8 #1 -200
        [255, -128]
        > GET k
        "\xff\x80"
        > BITFIELD k SET u8 0 255
        [255]
        ~
        !
        > BITFIELD k GET i64 0 GET u63 100000
        [-36028797018963968, 0]
        ~
        > BITFIELD k
        []
        > BITFIELD nokey GET u8 0
        [0]
        ~
        > BITFIELD nokey OVERFLOW FAIL SET u4 0 16
        [nil]
        ~
        !
        > EXISTS nokey
        0
        > BITFIELD nokey SET u8 0 0
        [0]
        ~ BITFIELD nokey SET u8 0 0
        > GET nokey
        "\x00"
        > SET n 1234
        +OK
        > BITFIELD n GET u8 8 INCRBY u8 8 1
        [50, 51]
        > GET n
        "1334"
        # encoding n raw
        # resp3
        > BITFIELD n OVERFLOW FAIL INCRBY u8 0 255
        [nil]
        # resp2
        > BITFIELD i64 SET i64 0 -1 INCRBY i64 0 -9223372036854775808 OVERFLOW SAT INCRBY i64 0 -9223372036854775808
        [0, 9223372036854775807, -1]
        > BITFIELD w SET u2 3 7 GET u2 3
        [0, 3]
        > BITFIELD k GET
        -ERR syntax error
        > BITFIELD k GET u64 0
        -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD k GET i65 0
        -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD k GET u0 0
        -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD k GET x8 0
        -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD k GET u8 -1
        -ERR bit offset is not an integer or out of range
        > BITFIELD k GET u8 #abc
        -ERR bit offset is not an integer or out of range
        > BITFIELD k GET u8 4294967296
        -ERR bit offset is not an integer or out of range
        > BITFIELD k SET u8 0 abc
        -ERR value is not an integer or out of range
        > BITFIELD k SET u8 0 1 INCRBY u8 0 abc
        -ERR value is not an integer or out of range
        ~
        > BITFIELD k OVERFLOW FOO
        -ERR Invalid OVERFLOW type specified
        > BITFIELD k OVERFLOW
        -ERR syntax error
        > BITFIELD k FOO u8 0
        -ERR syntax error
        > BITFIELD
        -ERR wrong number of arguments for 'bitfield' command
        "#,
    );
}

/// An update that every operation refuses leaves the length of the string alone, wherever it is stored.
#[test]
fn a_refused_field_grows_nothing() {
    let mut kit = Kit::new();
    assert_eq!(kit.run("SETRANGE k 999 x"), "1000");
    kit.take_propagated();
    assert_eq!(kit.run("BITFIELD k OVERFLOW FAIL SET u4 800000 16"), "[nil]");
    assert_eq!(kit.run("STRLEN k"), "1000");
    assert!(kit.take_propagated().is_empty());
    assert_eq!(kit.run("BITFIELD k SET u4 80000 1"), "[0]");
    assert_eq!(kit.run("STRLEN k"), "10001");
}

#[test]
fn fields_for_readers() {
    check(
        r#"
        > SET k "\xf0\x0f"
        +OK
        > BITFIELD_RO k GET u4 0 GET i4 0 GET u8 4
        [15, -1, 0]
        > BITFIELD_RO nokey GET u8 0
        [0]
        > BITFIELD_RO k OVERFLOW WRAP GET u8 0
        [240]
        > BITFIELD_RO k SET u8 0 1
        -ERR BITFIELD_RO only supports the GET subcommand
        > BITFIELD_RO k GET u8 0 INCRBY u8 0 1
        -ERR BITFIELD_RO only supports the GET subcommand
        > BITFIELD_RO
        -ERR wrong number of arguments for 'bitfield_ro' command
        "#,
    );
}
