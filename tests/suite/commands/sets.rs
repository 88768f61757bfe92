//! Sets.

use redstart::testkit::{Kit, check};
use std::collections::BTreeSet;

#[test]
fn members_come_and_go() {
    check(
        r#"
        > SADD s 3 1 2 1
        3
        ~ SADD s 3 1 2 1
        ! sadd s
        > SADD s 1
        0
        ~
        !
        > SCARD s
        3
        > SCARD none
        0
        > SISMEMBER s 2
        1
        > SISMEMBER s 02
        0
        > SISMEMBER none 2
        0
        > SMISMEMBER s 1 x 3
        [1, 0, 1]
        > SMISMEMBER none a b
        [0, 0]
        > SMEMBERS s
        ["1", "2", "3"]
        > SMEMBERS none
        []
        > SREM s 1 x 3
        2
        ~ SREM s 1 x 3
        ! srem s
        > SREM s x
        0
        ~
        !
        > SREM none x
        0
        > SREM s 2 1
        1
        ! srem s
        ! del s
        > EXISTS s
        0
        # resp3
        > SADD s 5
        > SMEMBERS s
        ~["5"]
        > SMEMBERS none
        ~[]
        > SMISMEMBER s 5 6
        [1, 0]
        > SISMEMBER s 5
        1
        "#,
    );
}

#[test]
fn what_is_refused() {
    check(
        r#"
        > SET k v
        > SADD k a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SREM k a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SMEMBERS k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SISMEMBER k a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SMISMEMBER k a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SCARD k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SPOP k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SPOP k 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SRANDMEMBER k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SRANDMEMBER k 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SINTER nokey k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SUNION k nokey
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SDIFF nokey k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SINTERSTORE d nokey k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SUNIONSTORE d nokey k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SDIFFSTORE d nokey k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SINTERCARD 1 k
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SSCAN k 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SMOVE k d a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SADD s a
        > SMOVE s k a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ~
        > SMOVE s k nomember
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SMEMBERS s
        ["a"]
        > SADD k
        -ERR wrong number of arguments for 'sadd' command
        > SREM k
        -ERR wrong number of arguments for 'srem' command
        > SCARD k x
        -ERR wrong number of arguments for 'scard' command
        > SISMEMBER k
        -ERR wrong number of arguments for 'sismember' command
        > SMISMEMBER k
        -ERR wrong number of arguments for 'smismember' command
        > SMEMBERS
        -ERR wrong number of arguments for 'smembers' command
        > SMOVE a b
        -ERR wrong number of arguments for 'smove' command
        > SPOP
        -ERR wrong number of arguments for 'spop' command
        > SRANDMEMBER
        -ERR wrong number of arguments for 'srandmember' command
        > SINTER
        -ERR wrong number of arguments for 'sinter' command
        > SUNIONSTORE d
        -ERR wrong number of arguments for 'sunionstore' command
        > SINTERCARD 1
        -ERR wrong number of arguments for 'sintercard' command
        > SSCAN s
        -ERR wrong number of arguments for 'sscan' command
        > SPOP s -1
        -ERR value is out of range, must be positive
        > SPOP s abc
        -ERR value is out of range, must be positive
        > SPOP s 1 2
        -ERR syntax error
        > SRANDMEMBER s abc
        -ERR value is not an integer or out of range
        > SRANDMEMBER s 1 2
        -ERR syntax error
        > SRANDMEMBER s -9223372036854775808
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > SINTERCARD 0 s
        -ERR numkeys should be greater than 0
        > SINTERCARD abc s
        -ERR numkeys should be greater than 0
        > SINTERCARD 2 s
        -ERR Number of keys can't be greater than number of args
        > SINTERCARD 1 s LIMIT -1
        -ERR LIMIT can't be negative
        > SINTERCARD 1 s LIMIT abc
        -ERR LIMIT can't be negative
        > SINTERCARD 1 s LIMIT
        -ERR syntax error
        > SINTERCARD 1 s FOO
        -ERR syntax error
        > SINTERCARD 1 s LIMIT 1 LIMIT 2
        1
        > SSCAN s abc
        -ERR invalid cursor
        > SSCAN s 0 COUNT 0
        -ERR syntax error
        > SSCAN s 0 NOVALUES
        -ERR NOVALUES option can only be used in HSCAN
        > SSCAN none 0 NOVALUES
        ["0", []]
        "#,
    );
}

#[test]
fn encodings_follow_the_configuration() {
    check(
        r#"
        > SADD s 1 2 3
        # encoding s intset
        > SADD s a
        # encoding s listpack
        > SREM s a
        # encoding s listpack
        # config set-max-listpack-value 5
        > SADD s abcdef
        # encoding s hashtable
        # config set-max-intset-entries 2
        > SADD t 1 2
        # encoding t intset
        > SADD t 3
        # encoding t hashtable
        > SADD u 1 2 3
        # encoding u listpack
        # config set-max-listpack-entries 2
        > SADD v a b
        # encoding v listpack
        > SADD v c
        # encoding v hashtable
        > SADD w a a a
        # encoding w hashtable
        > SADD x 9223372036854775808
        # encoding x hashtable
        "#,
    );
}

#[test]
fn moving_tells_of_both_sets() {
    check(
        r#"
        > SADD a 1 x
        > SADD b 2
        > SMOVE a b 1
        1
        ~ SMOVE a b 1
        ! srem a
        ! sadd b
        > SMOVE a b nothing
        0
        ~
        !
        > SMOVE none b x
        0
        > SMOVE a a x
        1
        ~
        !
        > SMOVE a a y
        0
        > SMOVE a c x
        1
        ! srem a
        ! del a
        ! sadd c
        # encoding c listpack
        > SADD a x
        > SMOVE a c x
        1
        ~ SMOVE a c x
        ! srem a
        ! del a
        > SMEMBERS b
        ["1", "2"]
        "#,
    );
}

#[test]
fn popping_propagates_what_was_taken() {
    check(
        r#"
        > SADD s 7
        > SPOP s
        "7"
        ~ SREM s 7
        ! spop s
        ! del s
        > SPOP s
        nil
        ~
        !
        > SPOP s 3
        []
        > SADD s a
        > SPOP s 0
        []
        ~
        !
        # config lazyfree-lazy-server-del no
        > SPOP s 3
        ["a"]
        ~ DEL s
        ! spop s
        ! del s
        # config lazyfree-lazy-server-del yes
        > SADD s a
        > SPOP s 1
        ["a"]
        ~ UNLINK s
        # resp3
        > SPOP s 1
        ~[]
        > SPOP s
        nil
        > SADD s a
        > SPOP s 1
        ~["a"]
        "#,
    );
    let mut kit = Kit::new();
    let members: Vec<String> = (0..3000).map(|i| format!("m{i}")).collect();
    kit.run(&format!("SADD s {}", members.join(" ")));
    kit.take_propagated();
    kit.run("SPOP s 2500");
    let propagated = kit.take_propagated();
    // More than one request: they stay together.
    assert_eq!((propagated.first().map(String::as_str), propagated.last().map(String::as_str)), (Some("MULTI"), Some("EXEC")));
    let sizes: Vec<usize> = propagated[1..4].iter().map(|line| line.split(' ').count() - 2).collect();
    assert_eq!(sizes, [1024, 1024, 452]);
    assert_eq!(kit.run("SCARD s"), "500");
    let mut replica = Kit::new();
    replica.run(&format!("SADD s {}", members.join(" ")));
    propagated[1..4].iter().for_each(|line| drop(replica.run(line)));
    let of =
        |kit: &mut Kit| kit.run("SMEMBERS s").split(", ").map(|m| m.trim_matches(['[', ']']).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of(&mut kit), of(&mut replica));
}

#[test]
fn random_members_stay() {
    check(
        r#"
        > SRANDMEMBER none
        nil
        > SRANDMEMBER none 3
        []
        > SADD s a
        > SRANDMEMBER s
        "a"
        ~
        !
        > SRANDMEMBER s 0
        []
        > SRANDMEMBER s 9223372036854775807
        ["a"]
        > SRANDMEMBER s -3
        ["a", "a", "a"]
        # resp3
        > SRANDMEMBER s 2
        ["a"]
        > SRANDMEMBER none
        nil
        > SCARD s
        1
        "#,
    );
}

#[test]
fn sets_are_intersected_united_and_subtracted() {
    check(
        r#"
        > SADD a 1 2 3 4
        > SADD b 2 3 5
        > SADD c 3 4 5
        > SINTER a b
        ["2", "3"]
        > SINTER a b c
        ["3"]
        > SINTER a a
        ["1", "2", "3", "4"]
        > SINTER a none
        []
        > SINTERCARD 2 a b
        2
        > SINTERCARD 2 a b LIMIT 1
        1
        > SINTERCARD 2 a b LIMIT 0
        2
        > SINTERCARD 2 a none
        0
        > SUNION a b none
        ["1", "2", "3", "4", "5"]
        > SUNION none
        []
        > SDIFF a b
        ["1", "4"]
        > SDIFF a b c
        ["1"]
        > SDIFF a b a
        []
        > SDIFF none a
        []
        > SDIFF a none
        ["1", "2", "3", "4"]
        > SADD t x 2
        > SINTER a t
        ["2"]
        > SDIFF t a
        ["x"]
        # resp3
        > SINTER a b
        ~["2", "3"]
        > SUNION b none
        ~["2", "3", "5"]
        > SDIFF none
        ~[]
        > SINTERCARD 1 a
        4
        "#,
    );
}

#[test]
fn results_are_stored_over_anything() {
    check(
        r#"
        > SADD a 1 2 3
        > SADD b 2 3 x
        > SET d v EX 100
        > SINTERSTORE d a b
        2
        ~ SINTERSTORE d a b
        ! sinterstore d
        > TTL d
        -1
        # encoding d intset
        > SMEMBERS d
        ["2", "3"]
        > SUNIONSTORE d a b
        4
        ~ SUNIONSTORE d a b
        ! sunionstore d
        # encoding d listpack
        > SDIFFSTORE d b a
        1
        ~ SDIFFSTORE d b a
        ! sdiffstore d
        > SMEMBERS d
        ["x"]
        > SINTERSTORE d a none
        0
        ~ SINTERSTORE d a none
        ! del d
        > SINTERSTORE d a none
        0
        ~
        !
        > SUNIONSTORE d none
        0
        > SDIFFSTORE d a a
        0
        > SUNIONSTORE a a b
        4
        > SCARD a
        4
        > SDIFFSTORE a a b
        1
        > SMEMBERS a
        ["1"]
        "#,
    );
}

#[test]
fn a_scan_shows_every_member() {
    check(
        r#"
        > SADD s 1 2 10 a
        > SSCAN s 0
        ["0", ["1", "2", "10", "a"]]
        > SSCAN s 5 MATCH 1* COUNT 1
        ["0", ["1", "10"]]
        > SSCAN none 0
        ["0", []]
        # resp3
        > SSCAN s 0 MATCH a
        ["0", ["a"]]
        "#,
    );
    let mut kit = Kit::new();
    let members: BTreeSet<String> = (0..1000).map(|i| format!("member{i}")).collect();
    kit.run(&format!("SADD s {}", members.iter().cloned().collect::<Vec<_>>().join(" ")));
    for (options, expected) in [("", 1000), ("MATCH member9*", 111), ("COUNT 500", 1000)] {
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
        loop {
            let reply = kit.run(&format!("SSCAN s {cursor} {options}"));
            let (next, told) = reply.split_once(", [").expect("two parts");
            seen.extend(told.trim_matches(']').split(", ").filter(|m| !m.is_empty()).map(|m| m.trim_matches('"').to_owned()));
            cursor = next.trim_matches(['[', '"']).to_owned();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), expected, "{options}");
        assert!(seen.is_subset(&members));
    }
}
