//! Lists.

use redstart::testkit::{Kit, check};

#[test]
fn elements_come_and_go_at_the_ends() {
    check(
        r#"
        > RPUSH l b c 17
        3
        ~ RPUSH l b c 17
        ! rpush l
        > LPUSH l a -0
        5
        ! lpush l
        > LRANGE l 0 -1
        ["-0", "a", "b", "c", "17"]
        ~
        !
        > LLEN l
        5
        > LPUSHX none x
        0
        ~
        > RPUSHX none x y
        0
        > RPUSHX l x y
        7
        ! rpush l
        > LPUSHX l x
        8
        ~ LPUSHX l x
        ! lpush l
        > LPOP l
        "x"
        ~ LPOP l
        ! lpop l
        > RPOP l 3
        ["y", "x", "17"]
        ~ RPOP l 3
        ! rpop l
        > LPOP l 0
        []
        ~
        > LPOP l 100
        ["-0", "a", "b", "c"]
        ! lpop l
        ! del l
        > EXISTS l
        0
        > LPOP l
        nil
        > RPOP l 1
        nil
        > LPOP l 0
        nil
        > LLEN l
        0
        > LPOP l -1
        -ERR value is out of range, must be positive
        > LPOP l x
        -ERR value is out of range, must be positive
        > LPOP l 1 2
        -ERR wrong number of arguments for 'lpop' command
        > LPUSH l
        -ERR wrong number of arguments for 'lpush' command
        > SET s v
        > LPUSH s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > RPUSHX s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LPOP s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > RPOP s 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LLEN s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn changes_are_counted_by_elements() {
    let mut kit = Kit::new();
    let mut counted = |request: &str| {
        let before = kit.world.keyspace.env.effects.dirty;
        kit.run(request);
        kit.world.keyspace.env.effects.dirty - before
    };
    assert_eq!(counted("RPUSH l a b c d e f a a"), 8);
    assert_eq!(counted("LPOP l 2"), 2);
    assert_eq!(counted("LREM l 0 a"), 2);
    assert_eq!(counted("LTRIM l 0 2"), 1);
    assert_eq!(counted("LTRIM l 0 -1"), 0);
    assert_eq!(counted("LMOVE l m LEFT RIGHT"), 1);
    assert_eq!(counted("LMOVE l l LEFT RIGHT"), 1);
    assert_eq!(counted("LMPOP 1 l LEFT COUNT 5"), 2);
    assert_eq!(counted("RPUSH l 3 1 2"), 3);
    assert_eq!(counted("SORT l STORE d"), 3);
    assert_eq!(counted("SORT none STORE d"), 1);
}

#[test]
fn elements_are_found_by_index() {
    check(
        r#"
        > RPUSH l a b 3 d
        > LINDEX l 0
        "a"
        > LINDEX l -2
        "3"
        > LINDEX l 4
        nil
        > LINDEX l -5
        nil
        # resp3
        > LINDEX l 4
        nil
        # resp2
        > LINDEX none x
        nil
        > LINDEX l x
        -ERR value is not an integer or out of range
        > LRANGE l 1 2
        ["b", "3"]
        > LRANGE l -100 100
        ["a", "b", "3", "d"]
        > LRANGE l 3 1
        []
        > LRANGE l 4 9
        []
        > LRANGE l -9223372036854775808 9223372036854775807
        ["a", "b", "3", "d"]
        > LRANGE none 0 -1
        []
        > LRANGE none a 1
        -ERR value is not an integer or out of range
        > LSET l 1 B
        +OK
        ~ LSET l 1 B
        ! lset l
        > LSET l -1 4
        +OK
        > LRANGE l 0 -1
        ["a", "B", "3", "4"]
        > LSET l 4 x
        -ERR index out of range
        ~
        !
        > LSET l -5 x
        -ERR index out of range
        > LSET l x x
        -ERR value is not an integer or out of range
        > LSET none x x
        -ERR no such key
        > SET s v
        > LSET s x x
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LINDEX s x
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LRANGE s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn trimming_keeps_a_range() {
    check(
        r#"
        > RPUSH l a b c d e
        > LTRIM l 1 -2
        +OK
        ~ LTRIM l 1 -2
        ! ltrim l
        > LRANGE l 0 -1
        ["b", "c", "d"]
        > LTRIM l -100 100
        +OK
        ~
        ! ltrim l
        > LTRIM l 5 9
        +OK
        ! ltrim l
        ! del l
        > LTRIM l 0 1
        +OK
        ~
        !
        > LTRIM l a 1
        -ERR value is not an integer or out of range
        > SET s v
        > LTRIM s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn elements_are_found_by_value() {
    check(
        r#"
        > RPUSH l a b c a 1 a
        > LPOS l a
        0
        > LPOS l a RANK 2
        3
        > LPOS l a RANK -1
        5
        > LPOS l a RANK -2 COUNT 0
        [3, 0]
        > LPOS l a COUNT 2
        [0, 3]
        > LPOS l a COUNT 0 MAXLEN 4
        [0, 3]
        > LPOS l a COUNT 0 RANK -1 MAXLEN 2
        [5]
        > LPOS l 1
        4
        > LPOS l x
        nil
        > LPOS l x COUNT 1
        []
        > LPOS none a
        nil
        > LPOS none a COUNT 0
        []
        > LPOS l a RANK 0
        -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
        > LPOS l a RANK -9223372036854775808
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > LPOS l a COUNT -1
        -ERR COUNT can't be negative
        > LPOS l a MAXLEN -1
        -ERR MAXLEN can't be negative
        > LPOS l a RANK
        -ERR syntax error
        > LPOS l a FOO 1
        -ERR syntax error
        > LINSERT l BEFORE c x
        7
        ~ LINSERT l BEFORE c x
        ! linsert l
        > LINSERT l after a y
        8
        > LRANGE l 0 -1
        ["a", "y", "b", "x", "c", "a", "1", "a"]
        > LINSERT l BEFORE none z
        -1
        ~
        !
        > LINSERT none BEFORE a z
        0
        > LINSERT l FOO a z
        -ERR syntax error
        > LREM l -1 a
        1
        ~ LREM l -1 a
        ! lrem l
        > LREM l 1 a
        1
        > LRANGE l 0 -1
        ["y", "b", "x", "c", "a", "1"]
        > LREM l 0 none
        0
        ~
        !
        > LREM none 0 a
        0
        > LREM l x a
        -ERR value is not an integer or out of range
        > DEL l
        > RPUSH l 1 1
        > LREM l 0 1
        2
        ! lrem l
        ! del l
        > SET s v
        > LPOS s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LREM s 0 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LINSERT s BEFORE a b
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn elements_move_between_lists() {
    check(
        r#"
        > RPUSH a 1 2 3
        > RPOPLPUSH a b
        "3"
        ~ RPOPLPUSH a b
        ! lpush b
        ! rpop a
        > LMOVE a b LEFT RIGHT
        "1"
        ~ LMOVE a b LEFT RIGHT
        ! rpush b
        ! lpop a
        > LMOVE a b right left
        "2"
        ! lpush b
        ! rpop a
        ! del a
        > LRANGE b 0 -1
        ["2", "3", "1"]
        > LMOVE b b LEFT RIGHT
        "2"
        ! rpush b
        ! lpop b
        > LRANGE b 0 -1
        ["3", "1", "2"]
        > RPOPLPUSH a b
        nil
        ~
        > LMOVE a b FOO LEFT
        -ERR syntax error
        > LMOVE a b LEFT FOO
        -ERR syntax error
        > SET s v
        > RPOPLPUSH b s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LMOVE s b LEFT LEFT
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LMOVE none s LEFT LEFT
        nil
        > LLEN b
        3
        > BLMOVE b a LEFT RIGHT 1
        "3"
        ~ LMOVE b a LEFT RIGHT
        > BRPOPLPUSH b a 0
        "2"
        ~ RPOPLPUSH b a
        > BLMOVE b s LEFT RIGHT 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > BLMOVE a b LEFT RIGHT -1
        -ERR timeout is negative
        > BLMOVE a b LEFT RIGHT abc
        -ERR timeout is not a float or out of range
        > BRPOPLPUSH a b 1e400
        -ERR timeout is out of range
        "#,
    );
}

#[test]
fn the_first_list_with_elements_gives_some() {
    check(
        r#"
        > RPUSH b 1 2 3 4 5 6
        > LMPOP 2 a b LEFT
        ["b", ["1"]]
        ~ LPOP b 1
        ! lpop b
        > LMPOP 2 a b RIGHT COUNT 2
        ["b", ["6", "5"]]
        ~ RPOP b 2
        ! rpop b
        > BLMPOP 0.1 1 b LEFT COUNT 1
        ["b", ["2"]]
        ~ LPOP b 1
        > BLPOP a b 0
        ["b", "3"]
        ~ LPOP b
        ! lpop b
        > BRPOP b a 0
        ["b", "4"]
        ~ RPOP b
        ! rpop b
        ! del b
        > LMPOP 2 a b LEFT
        nil
        ~
        # resp3
        > LMPOP 1 a LEFT
        nil
        # resp2
        > LMPOP 0 k LEFT
        -ERR numkeys should be greater than 0
        > LMPOP 9223372036854775807 k LEFT
        -ERR syntax error
        > LMPOP 1 k FOO
        -ERR syntax error
        > LMPOP 2 k LEFT
        -ERR syntax error
        > LMPOP 1 k LEFT COUNT 0
        -ERR count should be greater than 0
        > LMPOP 1 k LEFT COUNT 1 COUNT 2
        -ERR syntax error
        > BLMPOP abc 1 k LEFT
        -ERR timeout is not a float or out of range
        > BLMPOP 0 0 k LEFT
        -ERR numkeys should be greater than 0
        > BLPOP k abc
        -ERR timeout is not a float or out of range
        > BLPOP k nan
        -ERR timeout is not a float or out of range
        > BLPOP k -1
        -ERR timeout is negative
        > BLPOP k -inf
        -ERR timeout is negative
        > BLPOP k 9223372036854775807
        -ERR timeout is out of range
        > BLPOP k inf
        -ERR timeout is out of range
        > SET s v
        > BLPOP k s 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > LMPOP 2 k s LEFT
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn encodings_change_with_size() {
    check(
        r#"
        # config list-max-listpack-size 3
        > RPUSH l 1 2 3
        # encoding l listpack
        > LINSERT l BEFORE none x
        -1
        # encoding l quicklist
        > LPOP l
        # encoding l quicklist
        > LPOP l
        # encoding l listpack
        > RPUSH l 5 6 7 8
        # encoding l quicklist
        > LTRIM l 0 0
        # encoding l listpack
        > SORT l STORE d
        1
        # encoding d listpack
        > RPUSH l 4 3 2
        > SORT l STORE d
        4
        # encoding d quicklist
        # config list-max-listpack-size -2
        > RPUSH m a
        # encoding m listpack
        "#,
    );
}

#[test]
fn inner_nodes_are_compressed_and_read_back() {
    let mut kit = Kit::new();
    kit.play("# config list-compress-depth 1\n# config list-max-listpack-size 10");
    let text = |n: usize| format!("{n}-{}", "abc".repeat(20));
    for n in 0..300 {
        kit.run(&format!("RPUSH l {}", text(n)));
    }
    kit.play("# encoding l quicklist");
    for n in [0, 1, 150, 298, 299] {
        assert_eq!(kit.run(&format!("LINDEX l {n}")), format!("\"{}\"", text(n)));
    }
    let range: Vec<String> = (95..205).map(|n| format!("\"{}\"", text(n))).collect();
    assert_eq!(kit.run("LRANGE l 95 204"), format!("[{}]", range.join(", ")));
    assert_eq!(kit.run(&format!("LPOS l {}", text(200))), "200");
    assert_eq!(kit.run(&format!("LREM l 0 {}", text(100))), "1");
    assert_eq!(kit.run("LLEN l"), "299");
}
