//! Transactions.

use redstart::testkit::{Kit, check};

#[test]
fn a_queue_runs_as_one() {
    check(
        r#"
        > EXEC
        -ERR EXEC without MULTI
        > DISCARD
        -ERR DISCARD without MULTI
        > MULTI x
        -ERR wrong number of arguments for 'multi' command
        > MULTI
        +OK
        ~
        > MULTI
        -ERR MULTI calls can not be nested
        > WATCH k
        -ERR WATCH inside MULTI is not allowed
        > UNWATCH
        +QUEUED
        > EXEC
        [+OK]
        ~
        > MULTI
        +OK
        > SET k v
        +QUEUED
        ~
        !
        > GET k
        +QUEUED
        > INCR k
        +QUEUED
        > RPUSH l a b
        +QUEUED
        > EXEC
        [+OK, "v", -ERR value is not an integer or out of range, 2]
        ~ MULTI
        ~ SET k v
        ~ RPUSH l a b
        ~ EXEC
        ! set k
        ! rpush l
        > MULTI
        +OK
        > INCR n
        +QUEUED
        > EXEC
        [1]
        ~ INCR n
        > MULTI
        +OK
        > GET n
        +QUEUED
        > EXEC
        ["1"]
        ~
        > MULTI
        +OK
        > EXEC
        []
        ~
        > MULTI
        +OK
        > SET k w
        +QUEUED
        > DISCARD
        +OK
        ~
        > GET k
        "v"
        > MULTI
        +OK
        > HELLO 3
        +QUEUED
        > GET none
        +QUEUED
        > EXEC
        [{"server": "redis", "version": "8.0.0", "proto": 3, "id": 1, "mode": "standalone", "role": "master", "modules": []}, nil]
        "#,
    );
}

#[test]
fn a_refused_request_breaks_the_queue() {
    check(
        r#"
        > MULTI
        +OK
        > SET k v
        +QUEUED
        > FOO
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        ~
        > GET k
        nil
        > MULTI
        +OK
        > GET
        -ERR wrong number of arguments for 'get' command
        > DISCARD
        +OK
        > MULTI
        +OK
        > EXEC x
        -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
        > EXEC x
        -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
        > PING
        +PONG
        > MULTI
        +OK
        > SHUTDOWN FOO
        -ERR Command not allowed inside a transaction
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        > MULTI
        +OK
        > CLIENT REPLY FOO
        +QUEUED
        > MONITOR
        +QUEUED
        > EXEC
        [-ERR syntax error, -ERR MONITOR isn't allowed for DENY BLOCKING client]
        > MULTI
        +OK
        > SET k v
        +QUEUED
        > RESET
        +RESET
        > EXEC
        -ERR EXEC without MULTI
        "#,
    );
    let mut kit = Kit::new();
    kit.play("> MULTI\n+OK\n> SET k v\n+QUEUED");
    kit.world.memory_short = true;
    kit.play(
        r#"
        > EXEC
        -EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.
        > MULTI
        +OK
        > GET k
        +QUEUED
        > EXEC
        [nil]
        > MULTI
        +OK
        > SET k v
        -OOM command not allowed when used memory > 'maxmemory'.
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        "#,
    );
}

#[test]
fn nobody_waits_in_a_transaction() {
    check(
        r#"
        > MULTI
        +OK
        > BLPOP l 0
        +QUEUED
        > RPUSH l a
        +QUEUED
        > BLPOP l 0
        +QUEUED
        > EXEC
        [nil, 1, ["l", "a"]]
        ~ MULTI
        ~ RPUSH l a
        ~ LPOP l
        ~ EXEC
        "#,
    );
}

#[test]
fn watched_keys_must_stay_as_they_are() {
    check(
        r#"
        > WATCH
        -ERR wrong number of arguments for 'watch' command
        > WATCH k other
        +OK
        > CLIENT LIST ID 1
        > MULTI
        +OK
        > GET k
        +QUEUED
        2> SET k 1
        +OK
        > EXEC
        nil
        ~
        > MULTI
        +OK
        > GET k
        +QUEUED
        > EXEC
        ["1"]
        > WATCH k
        +OK
        > SET k 2
        +OK
        > MULTI
        +OK
        > EXEC
        nil
        > WATCH k
        +OK
        2> SET k 3
        +OK
        > UNWATCH
        +OK
        > MULTI
        +OK
        > EXEC
        []
        > WATCH k
        +OK
        2> SELECT 1
        +OK
        2> SET k 3
        +OK
        > MULTI
        +OK
        > EXEC
        []
        > WATCH k
        +OK
        2> GET k
        "3"
        2> SETRANGE other 0 ""
        0
        > MULTI
        +OK
        > EXEC
        []
        # resp3
        > WATCH k
        +OK
        > DEL k
        1
        > MULTI
        +OK
        > GET k
        +QUEUED
        > EXEC
        nil
        "#,
    );
}

#[test]
fn watched_keys_expire() {
    check(
        r#"
        > SET k v PX 100
        +OK
        > WATCH k
        +OK
        # advance 101
        > MULTI
        +OK
        > EXEC
        nil
        ~
        # A key that was past its deadline when the watch began has not changed when it is gone.
        > SET k v PX 100
        +OK
        # advance 101
        > WATCH k
        +OK
        2> GET k
        nil
        > MULTI
        +OK
        > EXEC
        []
        > SET k v PX 100
        +OK
        # advance 101
        > WATCH k
        +OK
        # sweep
        2> SET k w
        +OK
        > MULTI
        +OK
        > EXEC
        nil
        "#,
    );
}

#[test]
fn flushes_and_swaps_touch_what_they_change() {
    check(
        r#"
        > WATCH none
        +OK
        2> FLUSHALL
        +OK
        > MULTI
        +OK
        > EXEC
        []
        > SET k v
        +OK
        > WATCH k
        +OK
        2> FLUSHDB ASYNC
        +OK
        > MULTI
        +OK
        > EXEC
        nil
        > WATCH k
        +OK
        2> SWAPDB 0 1
        +OK
        > MULTI
        +OK
        > EXEC
        []
        2> SELECT 1
        +OK
        2> SET k v
        +OK
        > WATCH k
        +OK
        2> SWAPDB 0 1
        +OK
        > MULTI
        +OK
        > EXEC
        nil
        "#,
    );
}

#[test]
fn the_state_of_a_transaction_is_told() {
    let mut kit = Kit::new();
    let mut fields = |before: &[&str]| {
        before.iter().for_each(|line| {
            kit.run(line);
        });
        let list = kit.run_as(2, "CLIENT LIST");
        let own = kit.run("CLIENT INFO");
        assert!(list.contains("flags="), "{list}");
        own
    };
    let watched = fields(&["WATCH a b"]);
    assert!(watched.contains(" multi=-1 watch=2 "), "{watched}");
    let queued = fields(&["MULTI"]);
    assert_eq!(queued, "+QUEUED");
    let mut kit = Kit::new();
    kit.play("> WATCH k\n+OK\n> SET k v\n+OK");
    let touched = kit.run("CLIENT INFO");
    assert!(touched.contains(" flags=d ") && touched.contains(" watch=0 "), "{touched}");
    kit.play("> MULTI\n+OK\n> PING\n+QUEUED");
    assert!(kit.session.multi_bytes() > 0);
    assert!(kit.run_as(2, "INFO clients").contains("watching_clients:1\\r\\n"));
    assert!(kit.run_as(2, "INFO clients").contains("total_watched_keys:1\\r\\n"));
    kit.play("> DISCARD\n+OK");
    assert!(kit.run_as(2, "INFO clients").contains("total_watched_keys:0\\r\\n"));
}

#[test]
fn the_dispatcher_counts_what_ran() {
    let mut kit = Kit::new();
    kit.play("> MULTI\n+OK\n> INCR n\n+QUEUED\n> INCR n\n+QUEUED\n> EXEC\n[1, 2]");
    let stats = kit.run("INFO commandstats");
    assert!(stats.contains("cmdstat_incr:calls=2,"), "{stats}");
    assert!(stats.contains("cmdstat_exec:calls=1,"), "{stats}");
}
