//! Streams and their consumer groups.

use redstart::testkit::{Kit, check};

#[test]
fn entries_are_appended_read_and_deleted() {
    check(
        r#"
        > XADD s * f v
        "1700000000000-0"
        ~ XADD s 1700000000000-0 f v
        ! xadd s
        > XADD s * g 17 h ""
        "1700000000000-1"
        > XADD s 1700000000000-* f w
        "1700000000000-2"
        ~ XADD s 1700000000000-2 f w
        > XADD s 1700000000001-5 f x
        "1700000000001-5"
        ~ XADD s 1700000000001-5 f x
        > XADD s 1700000000001-5 f x
        -ERR The ID specified in XADD is equal or smaller than the target stream top item
        ~
        !
        > XLEN s
        4
        > XRANGE s - + COUNT 2
        [["1700000000000-0", ["f", "v"]], ["1700000000000-1", ["g", "17", "h", ""]]]
        ~
        !
        > XRANGE s (1700000000000-1 1700000000000
        [["1700000000000-2", ["f", "w"]]]
        > XREVRANGE s + (1700000000000
        [["1700000000001-5", ["f", "x"]], ["1700000000000-2", ["f", "w"]], ["1700000000000-1", ["g", "17", "h", ""]]]
        > XRANGE s - + COUNT 0
        nil
        > XRANGE none - +
        []
        > XRANGE s (18446744073709551615-18446744073709551615 +
        -ERR invalid start ID for the interval
        > XRANGE s - (0-0
        -ERR invalid end ID for the interval
        > XRANGE s - + COUNT
        -ERR syntax error
        > XDEL s 1700000000000-1 1700000000000-2 9
        2
        ~ XDEL s 1700000000000-1 1700000000000-2 9
        ! xdel s
        > XDEL s 9
        0
        ~
        !
        > XDEL s x
        -ERR Invalid stream ID specified as stream command argument
        > XDEL none x
        0
        > XADD s NOMKSTREAM 1700000000002 f v
        "1700000000002-0"
        > XADD none NOMKSTREAM * f v
        nil
        ~
        > XADD s 0-0 f v
        -ERR The ID specified in XADD must be greater than 0-0
        > XADD s * f
        -ERR wrong number of arguments for 'xadd' command
        > XADD s * f v g
        -ERR wrong number of arguments for 'xadd' command
        > XADD s 1-2-3 f v
        -ERR Invalid stream ID specified as stream command argument
        > XADD end 18446744073709551615-18446744073709551615 f v
        > XADD end * f v
        -ERR The stream has exhausted the last possible ID, unable to add more items
        > SET t v
        > XADD t * f v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XLEN t
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XDEL t 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XRANGE t - +
        -WRONGTYPE Operation against a key holding the wrong kind of value
        # resp3
        > XADD none NOMKSTREAM * f v
        nil
        "#,
    );
}

#[test]
fn streams_are_trimmed() {
    check(
        r#"
        # config stream-node-max-entries 3
        > XADD s 1 f v
        > XADD s 2 f v
        > XADD s 3 f v
        > XADD s 4 f v
        > XADD s 5 f v
        > XADD s 6 f v
        > XADD s MAXLEN ~ 4 LIMIT 10 7-* f v
        "7-0"
        ~ XADD s MAXLEN = 4 7-0 f v
        ! xadd s
        ! xtrim s
        > XTRIM s MAXLEN ~ 2
        0
        ~
        !
        > XTRIM s MINID ~ 7
        3
        ~ XTRIM s MINID = 7-0
        ! xtrim s
        > XADD s MAXLEN 1 8 f v
        "8-0"
        ~ XADD s MAXLEN 1 8 f v
        ! xadd s
        ! xtrim s
        > XTRIM s MINID = 9
        1
        ~ XTRIM s MINID = 9
        ! xtrim s
        > EXISTS s
        1
        > XTRIM none MAXLEN 1
        0
        > XTRIM s FOO 1
        -ERR syntax error
        > XTRIM s MAXLEN -1
        -ERR The MAXLEN argument must be >= 0.
        > XTRIM s MAXLEN 1 LIMIT 1
        -ERR syntax error, LIMIT cannot be used without the special ~ option
        > XTRIM s MAXLEN ~ 1 LIMIT -1
        -ERR The LIMIT argument must be >= 0.
        > XTRIM s LIMIT 1
        -ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
        > XADD s MAXLEN 1 MINID 1 * f v
        -ERR syntax error, MAXLEN and MINID options at the same time are not compatible
        > XADD s MAXLEN * f v
        -ERR value is not an integer or out of range
        > SET t v
        > XTRIM t MAXLEN 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn several_streams_are_read_at_once() {
    check(
        r#"
        > XADD a 1 f v
        > XADD a 2 f w
        > XADD b 3 g x
        > XREAD COUNT 1 STREAMS a none b 0 0 2-9
        [["a", [["1-0", ["f", "v"]]]], ["b", [["3-0", ["g", "x"]]]]]
        ~
        > XREAD STREAMS a b $ $
        nil
        > XREAD STREAMS a b + 3
        [["a", [["2-0", ["f", "w"]]]]]
        # resp3
        > XREAD STREAMS a b 1 0
        {"a": [["2-0", ["f", "w"]]], "b": [["3-0", ["g", "x"]]]}
        > XREAD STREAMS a 2
        nil
        > XREAD STREAMS a b 0
        -ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.
        > XREAD BLOCK x STREAMS a 0
        -ERR timeout is not an integer or out of range
        > XREAD BLOCK -1 STREAMS a 0
        -ERR timeout is negative
        > XREAD BLOCK 9223372036854775807 STREAMS a 0
        -ERR timeout is out of range
        > XREAD NOACK STREAMS a 0
        -ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.
        > XREAD GROUP g c STREAMS a 0
        -ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.
        > XREAD STREAMS a >
        -ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
        > XREAD STREAMS a x
        -ERR Invalid stream ID specified as stream command argument
        > XREAD COUNT 1 a 0
        -ERR syntax error
        > SET t v
        > XREAD STREAMS t 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn groups_deliver_every_entry_once() {
    check(
        r#"
        > XGROUP CREATE s g $
        -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
        > XGROUP CREATE s g $ MKSTREAM
        +OK
        ~ XGROUP CREATE s g $ MKSTREAM
        ! xgroup-create s
        > XGROUP CREATE s g 0
        -BUSYGROUP Consumer Group name already exists
        > XADD s 1 f v
        > XADD s 2 f w
        > XADD s 3 f x
        > XREADGROUP GROUP g c COUNT 1 STREAMS s >
        [["s", [["1-0", ["f", "v"]]]]]
        ~ MULTI
        ~ XCLAIM s g c 0 1-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0
        ~ XGROUP SETID s g 1-0 ENTRIESREAD 1
        ~ EXEC
        ! xgroup-createconsumer s
        > XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >
        [["s", [["2-0", ["f", "w"]]]]]
        ~ XGROUP SETID s g 2-0 ENTRIESREAD 2
        !
        > XREADGROUP GROUP g d NOACK STREAMS s 0
        [["s", []]]
        ~ XGROUP CREATECONSUMER s g d
        # advance 5
        # resp3
        > XREADGROUP GROUP g c STREAMS s 0
        {"s": [["1-0", ["f", "v"]]]}
        ~
        # resp2
        > XINFO GROUPS s
        [["name", "g", "consumers", 2, "pending", 1, "last-delivered-id", "2-0", "entries-read", 2, "lag", 1]]
        > XPENDING s g
        [1, "1-0", "1-0", [["c", "1"]]]
        > XPENDING s g - + 10
        [["1-0", "c", 0, 2]]
        # advance 10
        > XPENDING s g IDLE 10 - + 10 c
        [["1-0", "c", 10, 2]]
        > XPENDING s g IDLE 11 - + 10 c
        []
        > XPENDING s g - + 10 nobody
        []
        > XINFO CONSUMERS s g
        [["name", "c", "pending", 1, "idle", 10, "inactive", 15], ["name", "d", "pending", 0, "idle", 15, "inactive", -1]]
        > XDEL s 1
        > XREADGROUP GROUP g c STREAMS s 0
        [["s", [["1-0", nil]]]]
        > XACK s g 1 2
        1
        ~ XACK s g 1 2
        !
        > XACK s g 1
        0
        ~
        > XACK none g x
        0
        > XACK s g x
        -ERR Invalid stream ID specified as stream command argument
        > XPENDING s g
        [0, nil, nil, nil]
        > XPENDING s none
        -NOGROUP No such key 's' or consumer group 'none'
        > XPENDING s g - +
        -ERR syntax error
        > XREADGROUP GROUP none c STREAMS s >
        -NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option
        > XREADGROUP COUNT 1 NOACK STREAMS s >
        -ERR Missing GROUP option for XREADGROUP
        > XREADGROUP GROUP g c STREAMS s >
        [["s", [["3-0", ["f", "x"]]]]]
        > XREADGROUP GROUP g c STREAMS s >
        nil
        ~
        > SET t v
        > XREADGROUP GROUP g c STREAMS t >
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XACK t g 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XPENDING t g
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn groups_are_managed() {
    check(
        r#"
        > XADD s 1 f v
        > XGROUP CREATE s g 0 ENTRIESREAD 7
        +OK
        > XGROUP CREATE s h x
        -ERR Invalid stream ID specified as stream command argument
        > XGROUP CREATE s h 0 FOO
        -ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
        > XGROUP CREATE s h 0 ENTRIESREAD -2
        -ERR value for ENTRIESREAD must be positive or -1
        > XGROUP SETID s g $
        +OK
        ~ XGROUP SETID s g $
        ! xgroup-setid s
        > XGROUP SETID s h 0
        -NOGROUP No such consumer group 'h' for key name 's'
        > XGROUP CREATECONSUMER s g c
        1
        ~ XGROUP CREATECONSUMER s g c
        ! xgroup-createconsumer s
        > XGROUP CREATECONSUMER s g c
        0
        ~
        !
        > XGROUP CREATECONSUMER s h c
        -NOGROUP No such consumer group 'h' for key name 's'
        > XGROUP DELCONSUMER s g none
        0
        ~
        > XGROUP DELCONSUMER s g c
        0
        ~ XGROUP DELCONSUMER s g c
        ! xgroup-delconsumer s
        > XGROUP DESTROY s g
        1
        ~ XGROUP DESTROY s g
        ! xgroup-destroy s
        > XGROUP DESTROY s g
        0
        ~
        > XGROUP DESTROY none g
        -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
        > XGROUP FOO s
        -ERR unknown subcommand 'FOO'. Try XGROUP HELP.
        > SET t v
        > XGROUP CREATE t g $ MKSTREAM
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XGROUP SETID t g $
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XGROUP DESTROY t g
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XGROUP DELCONSUMER t g c
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XGROUP CREATECONSUMER t g c
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn pending_entries_change_hands() {
    check(
        r#"
        > XADD s 1 f v
        > XADD s 2 f w
        > XADD s 3 f x
        > XGROUP CREATE s g 0
        > XREADGROUP GROUP g c STREAMS s >
        > XDEL s 2
        # advance 10
        > XCLAIM s g d 11 1
        []
        ~
        ! xgroup-createconsumer s
        > XCLAIM s g d 10 1 2 IDLE 4
        [["1-0", ["f", "v"]]]
        ~ MULTI
        ~ XCLAIM s g d 0 1-0 TIME 1700000000006 RETRYCOUNT 2 FORCE JUSTID LASTID 3-0
        ~ XCLAIM s g c 0 2-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 3-0
        ~ EXEC
        !
        > XCLAIM s g d 0 1 RETRYCOUNT 9 JUSTID LASTID 5
        ["1-0"]
        ~ XCLAIM s g d 0 1-0 TIME 1700000000010 RETRYCOUNT 9 FORCE JUSTID LASTID 5-0
        > XCLAIM s g d 0 9 LASTID 6
        []
        ~ XGROUP SETID s g 6-0 ENTRIESREAD 3
        > XAUTOCLAIM s g e 10 0 COUNT 1
        ["0-0", [["3-0", ["f", "x"]]], []]
        ~ XCLAIM s g e 0 3-0 TIME 1700000000010 RETRYCOUNT 2 FORCE JUSTID LASTID 6-0
        ! xgroup-createconsumer s
        > XDEL s 1
        > XAUTOCLAIM s g e 0 - COUNT 1 JUSTID
        ["3-0", [], ["1-0"]]
        ~ XCLAIM s g d 0 1-0 TIME 1700000000010 RETRYCOUNT 9 FORCE JUSTID LASTID 6-0
        > XAUTOCLAIM s g e 0 3-0 JUSTID
        ["0-0", ["3-0"], []]
        > XACK s g 3
        > XCLAIM s g d 0 3
        []
        > XCLAIM s g d 0 3 FORCE
        [["3-0", ["f", "x"]]]
        ~ XCLAIM s g d 0 3-0 TIME 1700000000010 RETRYCOUNT 2 FORCE JUSTID LASTID 6-0
        > XCLAIM s g d x 3
        -ERR Invalid min-idle-time argument for XCLAIM
        > XCLAIM s g d 0 3 FOO
        -ERR Unrecognized XCLAIM option 'FOO'
        > XCLAIM s g d 0 3 RETRYCOUNT x
        -ERR Invalid RETRYCOUNT option argument for XCLAIM
        > XCLAIM s none d 0 3
        -NOGROUP No such key 's' or consumer group 'none'
        > XAUTOCLAIM s none d 0 3
        -NOGROUP No such key 's' or consumer group 'none'
        > XAUTOCLAIM s g d 0 0 COUNT 0
        -ERR COUNT must be > 0
        > XAUTOCLAIM s g d 0 0 COUNT 576460752303423488
        -ERR COUNT must be > 0
        > XAUTOCLAIM s g d 0 0 COUNT 576460752303423487 JUSTID
        ["0-0", ["3-0"], []]
        > XAUTOCLAIM s g d x 0
        -ERR Invalid min-idle-time argument for XAUTOCLAIM
        > SET t v
        > XCLAIM t g d 0 3
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XAUTOCLAIM t g d 0 3
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn numbers_about_a_stream_are_told_and_set() {
    check(
        r#"
        > XADD s 1 f v
        > XADD s 2 f w
        > XDEL s 1
        # resp3
        > XINFO STREAM s
        {"length": 1, "radix-tree-keys": 1, "radix-tree-nodes": 2, "last-generated-id": "2-0", "max-deleted-entry-id": "1-0", "entries-added": 2, "recorded-first-entry-id": "2-0", "groups": 0, "first-entry": ["2-0", ["f", "w"]], "last-entry": ["2-0", ["f", "w"]]}
        > XGROUP CREATE s g 0
        > XREADGROUP GROUP g c STREAMS s >
        > XINFO STREAM s FULL
        {"length": 1, "radix-tree-keys": 1, "radix-tree-nodes": 2, "last-generated-id": "2-0", "max-deleted-entry-id": "1-0", "entries-added": 2, "recorded-first-entry-id": "2-0", "entries": [["2-0", ["f", "w"]]], "groups": [{"name": "g", "last-delivered-id": "2-0", "entries-read": 2, "lag": 0, "pel-count": 1, "pending": [["2-0", "c", 1700000000000, 1]], "consumers": [{"name": "c", "seen-time": 1700000000000, "active-time": 1700000000000, "pel-count": 1, "pending": [["2-0", 1700000000000, 1]]}]}]}
        # resp2
        > XINFO STREAM s FULL COUNT
        -ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.
        > XINFO STREAM s FULL COUNT x
        -ERR value is not an integer or out of range
        > XINFO STREAM none
        -ERR no such key
        > XINFO GROUPS none
        -ERR no such key
        > XINFO CONSUMERS s none
        -NOGROUP No such consumer group 'none' for key name 's'
        > XSETID s 9-9 ENTRIESADDED 20 MAXDELETEDID 8-0
        +OK
        ~ XSETID s 9-9 ENTRIESADDED 20 MAXDELETEDID 8-0
        ! xsetid s
        > XSETID s 1
        -ERR The ID specified in XSETID is smaller than current max_deleted_entry_id
        > XSETID s 9 MAXDELETEDID 10
        -ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id
        > XSETID s 9 ENTRIESADDED -1
        -ERR entries_added must be positive
        > XSETID s 9 ENTRIESADDED 0
        -ERR The entries_added specified in XSETID is smaller than the target stream length
        > XSETID none 1
        -ERR no such key
        > XADD u 5-5 f v
        > XSETID u 1-1
        -ERR The ID specified in XSETID is smaller than the target stream top item
        > SET t v
        > XSETID t 1-1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XINFO STREAM t
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XINFO GROUPS t
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > XINFO CONSUMERS t g
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn help_is_there() {
    let mut kit = Kit::new();
    for container in ["XGROUP", "XINFO"] {
        let help = kit.run(&format!("{container} HELP"));
        assert!(help.starts_with(&format!("[+{container} <subcommand>")), "{help}");
    }
}
