//! The memory limit: what is refused, what is evicted, and what others hear of it. A limit of one byte is always exceeded.

use redstart::testkit::{Kit, check};

#[test]
fn without_eviction_commands_that_add_are_refused() {
    check(
        r#"
        > SET a 1
        +OK
        > MULTI
        +OK
        > SET a 2
        +QUEUED
        2> CONFIG SET maxmemory 1
        +OK
        > EXEC
        -EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.
        > SET a 3
        -OOM command not allowed when used memory > 'maxmemory'.
        ~
        !
        > GET a
        "1"
        > DEL a
        1
        > MULTI
        +OK
        > GET a
        +QUEUED
        > LPUSH l x
        -OOM command not allowed when used memory > 'maxmemory'.
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        # config maxmemory 0
        > SET a 4
        +OK
        "#,
    );
    let mut kit = Kit::new();
    kit.play("# config maxmemory 1\n> SET a 1\n-OOM command not allowed when used memory > 'maxmemory'.");
    assert!(kit.run("INFO errorstats").contains("errorstat_OOM:count=1"));
    assert!(
        kit.run("INFO commandstats").contains("cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0")
    );
}

#[test]
fn evicted_keys_propagate_and_are_heard_of() {
    // Followers are asked to free lazily what is worth it, if this server does so itself.
    let add = (0..300).fold("SADD a".to_owned(), |add, n| format!("{add} m{n}"));
    for (lazily, verb) in [("no", "DEL"), ("yes", "UNLINK")] {
        check(&format!(
            r#"
            # config lazyfree-lazy-eviction {lazily}
            # config maxmemory-policy allkeys-lru
            > {add}
            300
            # config maxmemory 1
            > PING
            +PONG
            ~ {verb} a
            ! evicted a
            "#
        ));
    }
    for lazily in ["no", "yes"] {
        check(&format!(
            r#"
            # config lazyfree-lazy-eviction {lazily}
            > SET a 1
            2> WATCH a
            +OK
            2> MULTI
            +OK
            # config maxmemory-policy allkeys-lru
            # config maxmemory 1
            > PING
            +PONG
            ~ DEL a
            ! evicted a
            > SET a 1
            -OOM command not allowed when used memory > 'maxmemory'.
            2> EXEC
            nil
            # config maxmemory 0
            > SET a 1
            +OK
            ~ SET a 1
            "#,
        ));
    }
}

#[test]
fn only_what_the_policy_names_goes() {
    let policies = ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"];
    for policy in policies.into_iter().chain(["allkeys-lru", "allkeys-lfu", "allkeys-random"]) {
        let mut kit = Kit::new();
        kit.play("# config maxmemory-eviction-tenacity 100");
        for i in 0..200 {
            kit.run(&format!("SET plain:{i} x"));
            kit.run(&format!("SET volatile:{i} x EX {}", 100 + i));
            kit.run(&format!("HSET fields:{i} f v"));
            kit.run(&format!("HEXPIRE fields:{i} 100 FIELDS 1 f"));
        }
        kit.play(&format!("# config maxmemory-policy {policy}\n# config maxmemory 1"));
        let kept = kit.run("DBSIZE");
        let stats = kit.run("INFO stats");
        if policies.contains(&policy) {
            assert_eq!(kept, "400", "{policy}");
            assert!(stats.contains("evicted_keys:200"), "{policy}: {stats}");
            // A deadline of a field is none of the key.
            assert_eq!(kit.run("EXISTS plain:0 plain:199 fields:0 fields:199 volatile:0"), "4", "{policy}");
            assert!(kit.run("INFO keyspace").contains("expires=0"), "{policy}");
        } else {
            assert_eq!(kept, "0", "{policy}");
        }
        assert!(stats.contains("current_eviction_exceeded_time:"));
    }
}

#[test]
fn uses_are_counted_as_the_policy_wants() {
    check(
        r#"
        > SET n 7
        +OK
        # advance 5000
        > OBJECT IDLETIME n
        5
        > EXPIRE n 100
        1
        > OBJECT IDLETIME n
        0
        > OBJECT FREQ n
        -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        # config maxmemory-policy allkeys-lfu
        # config lfu-log-factor 0
        > SET fresh x
        +OK
        > OBJECT FREQ fresh
        5
        > GET fresh
        "x"
        > SET fresh y
        +OK
        > APPEND fresh z
        2
        > OBJECT FREQ fresh
        8
        # advance 120000
        > OBJECT FREQ fresh
        6
        > OBJECT IDLETIME fresh
        -ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        "#,
    );
}
