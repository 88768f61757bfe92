//! Keys whatever they hold: names, types, databases.

use redstart::testkit::{Kit, check};
use redstart::types::DbIndex;

#[test]
fn del_and_unlink_count_what_was_there() {
    check(
        r#"
        > SET a 1
        > SET b 2
        > DEL a b c a
        2
        ~ DEL a b c a
        ! del a
        ! del b
        > DEL a
        0
        ~
        !
        > SET a 1
        > UNLINK a b
        1
        ~ UNLINK a b
        ! del a
        > DEL
        -ERR wrong number of arguments for 'del' command
        > UNLINK
        -ERR wrong number of arguments for 'unlink' command
        "#,
    );
}

#[test]
fn a_key_past_its_deadline_expires_before_del_sees_it() {
    check(
        r#"
        > SET a 1 PX 10
        > SET b 2
        # advance 11
        > DEL a b
        1
        ~ MULTI
        ~ DEL a
        ~ DEL a b
        ~ EXEC
        ! expired a
        ! del b
        "#,
    );
}

#[test]
fn a_string_however_long_is_freed_on_the_spot() {
    // It is one allocation: sending it to another thread would cost more.
    let big = format!("SET big {}", "x".repeat(200_000));
    for (request, lazy_del) in [("UNLINK big", false), ("DEL big", false), ("DEL big", true)] {
        let mut kit = Kit::new();
        kit.world.config.lazyfree_lazy_user_del = lazy_del;
        kit.world.adopt_config();
        kit.run(&big);
        assert_eq!(kit.run(request), "1");
        let lazyfree = &kit.world.keyspace.env.lazyfree;
        assert_eq!((lazyfree.pending(), lazyfree.freed()), (0, 0), "{request}, lazyfree-lazy-user-del {lazy_del}");
    }
}

/// A "no" was not obeyed for what takes more than half a millisecond, and the default was "no".
#[test]
fn values_go_to_another_thread_unless_the_configuration_forbids() {
    let directives = [
        ("user-del", "DEL big"),
        ("server-del", "SET big x"),
        ("server-del", "RENAME small big"),
        ("server-del", "SUNIONSTORE big small"),
        ("expire", "EXPIRE big 0"),
        ("eviction", "CONFIG SET maxmemory 1 maxmemory-policy allkeys-random"),
    ];
    for (directive, request) in directives {
        for (value, sent) in [(None, 1), (Some("yes"), 1), (Some("no"), 0)] {
            let mut kit = Kit::new();
            if let Some(value) = value {
                kit.play(&format!("# config lazyfree-lazy-{directive} {value}"));
            }
            kit.run("SADD small a");
            kit.run(&(0..10_000).fold("SADD big".to_owned(), |add, n| format!("{add} member:{n}")));
            kit.run(request);
            kit.run("PING");
            assert_eq!(kit.world.keyspace.env.lazyfree.ticket(), sent, "{request}, lazyfree-lazy-{directive} {value:?}");
        }
    }
    let mut kit = Kit::new();
    kit.play("# config lazyfree-lazy-user-del no");
    kit.run(&(0..10_000).fold("SADD big".to_owned(), |add, n| format!("{add} member:{n}")));
    kit.run("UNLINK big");
    assert_eq!(kit.world.keyspace.env.lazyfree.ticket(), 1);
}

#[test]
fn exists_and_touch_count_repeats() {
    check(
        r#"
        > SET a 1
        > EXISTS a a b
        2
        ~
        !
        > EXISTS b
        0
        > TOUCH a a b
        2
        > EXISTS
        -ERR wrong number of arguments for 'exists' command
        > TOUCH
        -ERR wrong number of arguments for 'touch' command
        "#,
    );
}

#[test]
fn many_keys_are_looked_up_in_groups() {
    let mut kit = Kit::new();
    for i in 0..6000 {
        kit.run(&format!("SET key:{i} x"));
    }
    let names = |n: usize| (0..n).map(|i| format!(" key:{}", i * 7)).collect::<String>();
    assert_eq!(kit.run(&format!("EXISTS{}", names(100))), "100");
    assert_eq!(kit.run(&format!("DEL{} nokey", names(33))), "33");
    assert_eq!(kit.run("DBSIZE"), "5967");
}

#[test]
fn hits_and_misses_are_counted() {
    let mut kit = Kit::new();
    kit.run("SET a 1");
    for request in ["TTL a", "TYPE a", "EXISTS a", "OBJECT ENCODING a", "TOUCH a", "COPY a b"] {
        assert_ne!(kit.run(request), "nil");
    }
    for request in ["TTL x", "TYPE x", "EXISTS x x", "OBJECT ENCODING x", "TOUCH x", "COPY x y"] {
        kit.run(request);
    }
    // Commands that look in order to change do not count.
    for request in ["EXPIRE x 10", "PERSIST x", "RENAME x y", "DEL x", "MOVE x 1"] {
        kit.run(request);
    }
    assert_eq!((kit.world.keyspace.env.stats.hits, kit.world.keyspace.env.stats.misses), (6, 7));
}

#[test]
fn type_names_the_type() {
    check(
        r#"
        > SET a 1
        > TYPE a
        +string
        ~
        > TYPE nokey
        +none
        > TYPE
        -ERR wrong number of arguments for 'type' command
        # resp3
        > TYPE a
        +string
        "#,
    );
}

#[test]
fn rename_takes_value_and_deadline_along() {
    check(
        r#"
        > SET a 1 PX 5000
        > SET b 2 PX 99000
        > RENAME a b
        +OK
        ~ RENAME a b
        ! rename_from a
        ! rename_to b
        > GET b
        "1"
        > PTTL b
        5000
        > EXISTS a
        0
        > RENAME b b
        +OK
        ~
        !
        > RENAME nokey nokey
        -ERR no such key
        > RENAME nokey b
        -ERR no such key
        > RENAME a
        -ERR wrong number of arguments for 'rename' command
        > SET long "a string that is kept as it is, in the block of its key"
        > RENAME long another-name-of-another-length
        > GET another-name-of-another-length
        "a string that is kept as it is, in the block of its key"
        "#,
    );
}

#[test]
fn rename_is_one_change() {
    let mut kit = Kit::new();
    kit.run("SET a 1");
    kit.run("SET b 2");
    let before = kit.world.keyspace.env.effects.dirty;
    kit.run("RENAME a b");
    kit.run("MOVE b 1");
    assert_eq!(kit.world.keyspace.env.effects.dirty - before, 2);
}

#[test]
fn renamenx_wants_the_new_name_free() {
    check(
        r#"
        > SET a 1
        > SET b 2
        > RENAMENX a b
        0
        ~
        !
        > RENAMENX a a
        0
        > RENAMENX a c
        1
        ~ RENAMENX a c
        ! rename_from a
        ! rename_to c
        > RENAMENX nokey x
        -ERR no such key
        > SET soon x PX 1
        # advance 2
        > RENAMENX c soon
        1
        ~ MULTI
        ~ DEL soon
        ~ RENAMENX c soon
        ~ EXEC
        ! expired soon
        ! rename_from c
        ! rename_to soon
        "#,
    );
}

#[test]
fn copy_duplicates_value_and_deadline() {
    check(
        r#"
        > SET a hello PX 5000
        > COPY a b
        1
        ~ COPY a b
        ! copy_to b
        > GET b
        "hello"
        > PTTL b
        5000
        > APPEND b "!"
        > GET a
        "hello"
        > SET c other
        > COPY a c
        0
        ~
        !
        > COPY a c REPLACE
        1
        ~ COPY a c REPLACE
        ! copy_to c
        > GET c
        "hello"
        > COPY nokey x
        0
        > COPY a a
        -ERR source and destination objects are the same
        > COPY nokey nokey
        -ERR source and destination objects are the same
        > COPY a a DB 1
        1
        > COPY a a DB 1
        0
        > COPY a a REPLACE DB 1
        1
        > COPY a b DB 99
        -ERR DB index is out of range
        > COPY a b DB -1
        -ERR DB index is out of range
        > COPY a b DB abc
        -ERR value is not an integer or out of range
        > COPY a b DB 3000000000
        -ERR value is out of range, value must between -2147483648 and 2147483647
        > COPY a b DB
        -ERR syntax error
        > COPY a b FOO
        -ERR syntax error
        > COPY a
        -ERR wrong number of arguments for 'copy' command
        "#,
    );
}

#[test]
fn move_changes_the_database() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > SET k v PX 5000
        > MOVE k 0
        -ERR source and destination objects are the same
        > MOVE nokey 0
        -ERR source and destination objects are the same
        > MOVE k 99
        -ERR DB index is out of range
        > MOVE k abc
        -ERR value is not an integer or out of range
        > MOVE k 9
        1
        ~ MOVE k 9
        ! move_from k
        ! move_to k
        > MOVE k 9
        0
        ~
        !
        > SET k w
        > MOVE k 9
        0
        > GET k
        "w"
        > MOVE k
        -ERR wrong number of arguments for 'move' command
        "#,
    );
    kit.session.db = DbIndex(9);
    assert_eq!((kit.run("GET k"), kit.run("PTTL k")), ("\"v\"".into(), "5000".into()));
}

#[test]
fn a_moved_deadline_is_swept_in_its_new_database() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > SET a v PX 5000
        > SET b v PX 5000
        > MOVE a 3
        > RENAME b c
        > COPY c d DB 3
        > COPY c e REPLACE
        # advance 5001
        # sweep
        > DBSIZE
        0
        > SET a w
        "#,
    );
    kit.session.db = DbIndex(3);
    assert_eq!(kit.run("DBSIZE"), "0");
    assert_eq!(kit.world.keyspace.db(DbIndex(3)).meta.volatile, 0);
    assert_eq!(kit.world.keyspace.db(DbIndex(0)).meta.volatile, 0);
}

#[test]
fn flushing_empties_one_database_or_all() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > SET a 1
        > SET b 2
        > COPY a a DB 1
        > FLUSHDB
        +OK
        ~ FLUSHDB
        ! flushed 0
        > DBSIZE
        0
        > FLUSHDB SYNC
        +OK
        ~ FLUSHDB SYNC
        !
        > SET a 1
        > FLUSHALL ASYNC
        +OK
        ~ FLUSHALL ASYNC
        ! flushed 0
        ! flushed 1
        > FLUSHALL FOO
        -ERR syntax error
        > FLUSHDB ASYNC SYNC
        -ERR syntax error
        "#,
    );
    kit.session.db = DbIndex(1);
    assert_eq!(kit.run("DBSIZE"), "0");
    assert_eq!(kit.run("DBSIZE x"), "-ERR wrong number of arguments for 'dbsize' command");
}

#[test]
fn a_flush_is_lazy_when_configured_or_asked_for() {
    // Who wants to wait for it waits alone, while another thread frees; inside a transaction there is nobody else to do it.
    for (request, lazy_flush, elsewhere) in [
        ("FLUSHDB", false, 2),
        ("FLUSHDB", true, 2),
        ("FLUSHALL ASYNC", false, 2),
        ("FLUSHALL SYNC", true, 2),
        ("MULTI\n+OK\n> FLUSHALL\n+QUEUED\n> EXEC\n[+OK]", false, 0),
        // Two keys are not worth it.
        ("MULTI\n+OK\n> FLUSHALL\n+QUEUED\n> EXEC\n[+OK]", true, 0),
        ("SADD big {}\n300\n> MULTI\n+OK\n> FLUSHALL\n+QUEUED\n> EXEC\n[+OK]", true, 3),
        ("MULTI\n+OK\n> FLUSHALL ASYNC\n+QUEUED\n> EXEC\n[+OK]", false, 2),
    ] {
        let mut kit = Kit::new();
        kit.world.config.lazyfree_lazy_user_flush = lazy_flush;
        kit.world.adopt_config();
        kit.play("> SET a 1\n> SET b 2");
        let request = request.replace("{}", &(0..300).map(|n| format!("m{n}")).collect::<Vec<_>>().join(" "));
        kit.play(&if request.contains('\n') { format!("> {request}") } else { format!("> {request}\n+OK") });
        let lazyfree = &kit.world.keyspace.env.lazyfree;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while lazyfree.pending() > 0 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(lazyfree.freed(), elsewhere, "{request}, lazyfree-lazy-user-flush {lazy_flush}");
    }
}

#[test]
fn swapdb_exchanges_contents() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > SET here 1 PX 5000
        > SWAPDB 0 1
        +OK
        ~ SWAPDB 0 1
        ! swapped 0 1
        > DBSIZE
        0
        > SWAPDB 0 0
        +OK
        > SWAPDB 0 99
        -ERR DB index is out of range
        > SWAPDB -1 0
        -ERR DB index is out of range
        > SWAPDB a b
        -ERR invalid first DB index
        > SWAPDB 0 b
        -ERR invalid second DB index
        > SWAPDB 3000000000 0
        -ERR invalid first DB index
        > SWAPDB 0
        -ERR wrong number of arguments for 'swapdb' command
        # advance 5001
        # sweep
        > SWAPDB 1 0
        > DBSIZE
        0
        "#,
    );
}

#[test]
fn object_tells_how_a_value_is_kept() {
    check(
        r#"
        > SET n 123
        > SET s hello
        > SET l "forty-five characters make a string a raw one"
        > OBJECT ENCODING n
        "int"
        ~
        > object encoding s
        "embstr"
        > OBJECT ENCODING l
        "raw"
        > OBJECT REFCOUNT s
        1
        > OBJECT REFCOUNT n
        2147483647
        > SET n 10000
        > OBJECT REFCOUNT n
        1
        > OBJECT ENCODING nokey
        nil
        > OBJECT FREQ nokey
        nil
        > OBJECT FREQ s
        -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        > OBJECT
        -ERR wrong number of arguments for 'object' command
        > OBJECT FOO k
        -ERR unknown subcommand 'FOO'. Try OBJECT HELP.
        > OBJECT ENCODING
        -ERR wrong number of arguments for 'object|encoding' command
        > OBJECT ENCODING a b
        -ERR wrong number of arguments for 'object|encoding' command
        > OBJECT HELP x
        -ERR wrong number of arguments for 'object|help' command
        # resp3
        > OBJECT REFCOUNT nokey
        nil
        "#,
    );
}

#[test]
fn object_tells_when_a_key_was_used() {
    check(
        r#"
        > SET a 1
        # advance 10000
        > OBJECT IDLETIME a
        10
        > TTL a
        -1
        > TYPE a
        > EXISTS a
        > OBJECT ENCODING a
        > OBJECT IDLETIME a
        10
        > TOUCH a
        1
        > OBJECT IDLETIME a
        0
        # advance 5000
        > COPY a b
        > OBJECT IDLETIME b
        0
        # advance 3000
        > RENAME b c
        > OBJECT IDLETIME c
        3
        > OBJECT IDLETIME nokey
        nil
        "#,
    );
}

#[test]
fn touch_reaches_clients_that_leave_clocks_alone() {
    let mut kit = Kit::new();
    kit.session.no_touch = true;
    kit.play(
        r#"
        > SET a 1
        # advance 10000
        > GET a
        > OBJECT IDLETIME a
        10
        > TOUCH a
        > OBJECT IDLETIME a
        0
        "#,
    );
}

#[test]
fn object_freq_needs_an_lfu_policy() {
    let mut kit = Kit::new();
    kit.world.keyspace.env.settings.lfu = true;
    kit.play(
        r#"
        > SET a 1
        > OBJECT FREQ a
        5
        > OBJECT FREQ nokey
        nil
        > OBJECT IDLETIME a
        -ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        # advance 120000
        > OBJECT FREQ a
        3
        "#,
    );
}

#[test]
fn object_help_lists_the_subcommands() {
    let help = Kit::new().run("OBJECT HELP");
    for line in ["+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", "+ENCODING <key>", "+HELP"] {
        assert!(help.contains(line), "{help}");
    }
}
