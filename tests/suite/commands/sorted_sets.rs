//! Sorted sets: members with scores, in either encoding.

use redstart::testkit::{Kit, check};

#[test]
fn zadd_adds_changes_and_counts() {
    check(
        r#"
        > ZADD z 1 a 2 b
        2
        ~ ZADD z 1 a 2 b
        ! zadd z
        > ZADD z 1 a
        0
        ~
        !
        > ZADD z 5 a 3 c
        1
        ~ ZADD z 5 a 3 c
        ! zadd z
        > ZADD z CH 6 a 3 c 4 d
        2
        > ZRANGE z 0 -1 WITHSCORES
        ["b", "2", "c", "3", "d", "4", "a", "6"]
        > ZADD z XX 7 a 1 new
        0
        > ZADD z NX 8 a 1 new
        1
        > ZADD z GT CH 1 a 9 b
        1
        > ZADD z LT CH 1 a 10 b
        1
        > ZADD z xx gt ch 2 a
        1
        > ZRANGE z 0 -1 WITHSCORES
        ["new", "1", "a", "2", "c", "3", "d", "4", "b", "9"]
        > ZADD missing XX 1 a
        0
        ~
        !
        > EXISTS missing
        0
        > ZADD twice 1 a 2 a CH
        -ERR syntax error
        > ZADD twice CH 1 a 2 a
        2
        > ZSCORE twice a
        "2"
        "#,
    );
}

#[test]
fn zadd_incr_and_zincrby_tell_the_score() {
    let transcript = r#"
        > ZADD z INCR 1.5 a
        "1.5"
        ~ ZADD z INCR 1.5 a
        ! zincr z
        > ZINCRBY z 1 a
        "2.5"
        ~ ZINCRBY z 1 a
        ! zincr z
        > ZINCRBY z 0 a
        "2.5"
        ~
        !
        > ZADD z XX INCR 1 b
        nil
        ~
        > ZADD z NX INCR 1 a
        nil
        > ZADD z GT INCR -1 a
        nil
        > ZADD z GT INCR 1 a
        "3.5"
        > ZADD z inf i
        1
        > ZINCRBY z -inf i
        -ERR resulting score is not a number (NaN)
        ~
        > ZADD z INCR -inf i
        -ERR resulting score is not a number (NaN)
        > ZINCRBY z 1e300 e
        "1e+300"
        > ZINCRBY z abc e
        -ERR value is not a valid float
        > ZADD z INCR 1 a 2 b
        -ERR INCR option supports a single increment-element pair
        # resp3
        > ZINCRBY z 1 a
        ,4.5
        > ZADD z XX INCR 1 b
        nil
        > ZADD z INCR inf a
        ,inf
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn zadd_refuses_what_it_cannot_read() {
    check(
        r#"
        > ZADD z
        -ERR wrong number of arguments for 'zadd' command
        > ZADD z 1
        -ERR wrong number of arguments for 'zadd' command
        > ZADD z NX 1
        -ERR syntax error
        > ZADD z 1 a 2
        -ERR syntax error
        > ZADD z NX XX 1 a
        -ERR XX and NX options at the same time are not compatible
        > ZADD z NX GT 1 a
        -ERR GT, LT, and/or NX options at the same time are not compatible
        > ZADD z GT LT 1 a
        -ERR GT, LT, and/or NX options at the same time are not compatible
        > ZADD z 1 a abc b
        -ERR value is not a valid float
        ~
        !
        > ZADD z nan a
        -ERR value is not a valid float
        > ZADD z "" a
        -ERR value is not a valid float
        > EXISTS z
        0
        > ZINCRBY z NX a
        -ERR syntax error
        > ZINCRBY z 1
        -ERR wrong number of arguments for 'zincrby' command
        > SET s v
        > ZADD s 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZADD s XX 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i 10 j 11 k 12 l 13 m 14 n 15 o 16 p 17 q 18 r x s
        -ERR value is not a valid float
        > ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i 10 j 11 k 12 l 13 m 14 n 15 o 16 p 17 q 18 r 19 s
        19
        > ZSCORE z s
        "19"
        "#,
    );
}

#[test]
fn large_ones_are_said_to_be_skiplists() {
    let mut kit = Kit::new();
    for i in 0..128 {
        kit.run(&format!("ZADD z {i} {i}"));
    }
    kit.play("# encoding z listpack");
    kit.play("> ZADD z 1.5 more\n1\n# encoding z skiplist\n> ZCARD z\n129");
    kit.play("> ZREM z 1 2 3 4 5\n5\n# encoding z skiplist");
    let long = "x".repeat(65);
    kit.play(&format!("> ZADD l 1 {}\n1\n# encoding l listpack\n> ZADD l 2 {long}\n1\n# encoding l skiplist", &long[1..]));
    kit.play(
        r#"
        # config zset-max-listpack-entries 2
        > ZADD s 1 a 2 b
        2
        # encoding s listpack
        > ZRANGESTORE d z 0 1
        2
        # encoding d listpack
        > ZRANGESTORE d z 0 2
        3
        # encoding d skiplist
        > ZUNIONSTORE d 1 s
        2
        # encoding d listpack
        # config zset-max-listpack-value 0
        > ZUNIONSTORE d 1 s
        2
        # encoding d skiplist
        > ZADD m 1 a 2 b 3 c
        3
        # encoding m skiplist
        "#,
    );
}

#[test]
fn zero_loses_its_sign_in_small_sets() {
    check(
        r#"
        > ZADD z -0 a
        1
        > ZSCORE z a
        "0"
        # config zset-max-listpack-entries 0
        > ZADD y -0 a
        1
        > ZSCORE y a
        "-0"
        > ZADD y 0 a
        0
        > ZUNION 1 z WEIGHTS -1 WITHSCORES
        ["a", "-0"]
        "#,
    );
}

#[test]
fn asking_about_members() {
    let transcript = r#"
        > ZADD z 1 a 2.5 b 2.5 c 1e20 d -inf e
        5
        > ZCARD z
        5
        > ZSCORE z b
        "2.5"
        > ZSCORE z nobody
        nil
        > ZMSCORE z a nobody d e
        ["1", nil, "1e+20", "-inf"]
        > ZMSCORE missing a b
        [nil, nil]
        > ZRANK z a
        1
        > ZREVRANK z a
        3
        > ZRANK z a WITHSCORE
        [1, "1"]
        > ZREVRANK z e withscore
        [4, "-inf"]
        > ZRANK z nobody
        nil
        > ZRANK z nobody WITHSCORE
        nil
        > ZRANK z a FOO
        -ERR syntax error
        > ZRANK z a WITHSCORE x
        -ERR wrong number of arguments for 'zrank' command
        > ZCOUNT z 1 2.5
        3
        > ZCOUNT z (1 (2.5
        0
        > ZCOUNT z (1 +inf
        3
        > ZCOUNT z -inf inf
        5
        > ZCOUNT z 3 1
        0
        > ZCOUNT z foo 1
        -ERR min or max is not a float
        > ZCOUNT z "" 5
        3
        > ZCOUNT missing 0 1
        0
        > ZLEXCOUNT z a b
        -ERR min or max not valid string range item
        # resp3
        > ZSCORE z b
        ,2.5
        > ZSCORE z nobody
        nil
        > ZMSCORE z a nobody
        [,1, nil]
        > ZRANK z a WITHSCORE
        [1, ,1]
        > SET s v
        > ZCARD s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZSCORE s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZMSCORE s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZRANK s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZCOUNT s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZCARD
        -ERR wrong number of arguments for 'zcard' command
        > ZSCORE z
        -ERR wrong number of arguments for 'zscore' command
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn zrange_by_position_score_and_alphabet() {
    let transcript = r#"
        > ZADD z 1 a 2 b 3 c 4 d
        4
        > ZRANGE z 0 -1
        ["a", "b", "c", "d"]
        > ZRANGE z 1 2 WITHSCORES
        ["b", "2", "c", "3"]
        > ZRANGE z 0 1 REV
        ["d", "c"]
        > ZRANGE z -2 100 REV WITHSCORES
        ["b", "2", "a", "1"]
        > ZRANGE z 5 7
        []
        > ZRANGE z 2 1
        []
        > ZREVRANGE z 0 0 WITHSCORES
        ["d", "4"]
        > ZREVRANGE z 1 -2
        ["c", "b"]
        > ZRANGE z 2 3 BYSCORE
        ["b", "c"]
        > ZRANGE z (2 +inf BYSCORE LIMIT 1 5
        ["d"]
        > ZRANGE z 4 1 BYSCORE REV LIMIT 1 2 WITHSCORES
        ["c", "3", "b", "2"]
        > ZRANGEBYSCORE z -inf (3
        ["a", "b"]
        > ZRANGEBYSCORE z -inf +inf WITHSCORES LIMIT 1 1
        ["b", "2"]
        > ZRANGEBYSCORE z -inf +inf LIMIT 2 -1
        ["c", "d"]
        > ZRANGEBYSCORE z -inf +inf LIMIT 9 1
        []
        > ZREVRANGEBYSCORE z 3 -inf LIMIT 0 2
        ["c", "b"]
        > ZADD l 0 b 0 a 0 c 0 12
        4
        > ZRANGE l - + BYLEX
        ["12", "a", "b", "c"]
        > ZRANGE l [c (a BYLEX REV
        ["c", "b"]
        > ZRANGEBYLEX l [a (c
        ["a", "b"]
        > ZRANGEBYLEX l - + LIMIT 1 2
        ["a", "b"]
        > ZRANGEBYLEX l + -
        []
        > ZREVRANGEBYLEX l + [b
        ["c", "b"]
        > ZLEXCOUNT l (12 +
        3
        > ZLEXCOUNT l - [a
        2
        > ZLEXCOUNT missing - +
        0
        > ZRANGE missing 0 -1
        []
        # resp3
        > ZRANGE z 0 1 WITHSCORES
        [["a", ,1], ["b", ,2]]
        > ZREVRANGEBYSCORE z 2 1 WITHSCORES
        [["b", ,2], ["a", ,1]]
        > ZRANGE z 0 0
        ["a"]
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn zrange_refuses_contradictions() {
    check(
        r#"
        > ZADD z 1 a
        1
        > ZRANGE z a b
        -ERR value is not an integer or out of range
        > ZRANGE z 0 -1 LIMIT 0 1
        -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        > ZRANGE z - + BYLEX WITHSCORES
        -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        > ZRANGEBYLEX z - + WITHSCORES
        -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        > ZRANGE z 0 1 BYSCORE BYLEX
        -ERR syntax error
        > ZRANGE z 0 1 BYSCORE LIMIT 0
        -ERR syntax error
        > ZRANGE z 0 1 BYSCORE LIMIT a b
        -ERR value is not an integer or out of range
        > ZRANGE z 0 1 FOO
        -ERR syntax error
        > ZRANGE z 0 1 REV REV
        -ERR syntax error
        > ZREVRANGE z 0 -1 REV
        -ERR syntax error
        > ZRANGEBYSCORE z 0 1 REV
        -ERR syntax error
        > ZRANGE z a b BYLEX
        -ERR min or max not valid string range item
        > ZRANGE z foo bar BYSCORE
        -ERR min or max is not a float
        > ZRANGE z 0
        -ERR wrong number of arguments for 'zrange' command
        > SET s v
        > ZRANGE s 0 -1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZRANGEBYSCORE s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn negative_offsets_count_from_the_other_end_of_large_sets() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d
        4
        > ZRANGEBYSCORE z 1 3 LIMIT -2 5
        []
        # config zset-max-listpack-entries 0
        > ZADD z 1 a 9 e
        1
        # encoding z skiplist
        > ZRANGEBYSCORE z 1 3 LIMIT -2 5
        ["b", "c"]
        > ZRANGEBYSCORE z 1 3 LIMIT -4 5
        []
        > ZREVRANGEBYSCORE z 3 1 LIMIT -2 5
        ["b", "a"]
        > ZRANGEBYSCORE z 1 3 LIMIT -9223372036854775808 5
        []
        "#,
    );
}

#[test]
fn zrangestore_replaces_the_destination() {
    let transcript = r#"
        > ZADD z 1 a 2 b 3 c
        3
        > SET d old EX 100
        +OK
        > ZRANGESTORE d z 0 1
        2
        ~ ZRANGESTORE d z 0 1
        ! zrangestore d
        > TTL d
        -1
        > ZRANGE d 0 -1 WITHSCORES
        ["a", "1", "b", "2"]
        > ZRANGESTORE d z 3 2 BYSCORE REV LIMIT 0 1
        1
        > ZRANGE d 0 -1
        ["c"]
        > ZRANGESTORE d z 7 9
        0
        ~ ZRANGESTORE d z 7 9
        ! del d
        > ZRANGESTORE d missing 0 -1
        0
        ~
        !
        > ZRANGESTORE z z 1 1
        1
        > ZRANGE z 0 -1
        ["b"]
        > ZRANGESTORE d z 0 -1 WITHSCORES
        -ERR syntax error
        > ZRANGESTORE d z 0
        -ERR wrong number of arguments for 'zrangestore' command
        > SET s v
        > ZRANGESTORE d s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn removing_members_by_name_and_range() {
    let transcript = r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g
        7
        > ZREM z a nobody b a
        2
        ~ ZREM z a nobody b a
        ! zrem z
        > ZREM z nobody
        0
        ~
        !
        > ZREMRANGEBYRANK z 0 0
        1
        ! zremrangebyrank z
        > ZREMRANGEBYRANK z 7 9
        0
        ~
        !
        > ZREMRANGEBYSCORE z (4 5
        1
        ~ ZREMRANGEBYSCORE z (4 5
        ! zremrangebyscore z
        > ZRANGE z 0 -1
        ["d", "f", "g"]
        > ZREMRANGEBYSCORE z 5 4
        0
        > ZREMRANGEBYRANK z -2 -1
        2
        > ZREM z d x
        1
        ! zrem z
        ! del z
        > EXISTS z
        0
        > ZADD l 0 a 0 b 0 c
        3
        > ZREMRANGEBYLEX l [a (c
        2
        ! zremrangebylex l
        > ZREMRANGEBYLEX l - +
        1
        ! zremrangebylex l
        ! del l
        > ZREM l a
        0
        > ZREMRANGEBYRANK l 0 -1
        0
        > ZREMRANGEBYRANK l a b
        -ERR value is not an integer or out of range
        > ZREMRANGEBYSCORE l foo 1
        -ERR min or max is not a float
        > ZREMRANGEBYLEX l a b
        -ERR min or max not valid string range item
        > ZREM l
        -ERR wrong number of arguments for 'zrem' command
        > SET s v
        > ZREM s a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZREMRANGEBYRANK s 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn popping_from_either_end() {
    let transcript = r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 e
        5
        > ZPOPMIN z
        ["a", "1"]
        ~ ZPOPMIN z
        ! zpopmin z
        > ZPOPMAX z 2
        ["e", "5", "d", "4"]
        ~ ZPOPMAX z 2
        ! zpopmax z
        > ZPOPMIN z 0
        []
        ~
        !
        # resp3
        > ZPOPMIN z
        ["b", ,2]
        > ZPOPMIN z 9
        [["c", ,3]]
        ! zpopmin z
        ! del z
        > ZPOPMIN z
        []
        > ZPOPMAX z 2
        []
        > ZPOPMIN z -1
        -ERR value is out of range, must be positive
        > ZPOPMIN z abc
        -ERR value is out of range, must be positive
        > ZPOPMIN z 1 2
        -ERR syntax error
        > SET s v
        > ZPOPMIN s 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn zmpop_takes_from_the_first_that_has_any() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c
        3
        > ZMPOP 2 missing z MIN
        ["z", [["a", "1"]]]
        ~ ZPOPMIN z 1
        ! zpopmin z
        > ZMPOP 1 z MAX COUNT 10
        ["z", [["c", "3"], ["b", "2"]]]
        ~ ZPOPMAX z 2
        ! zpopmax z
        ! del z
        > ZMPOP 1 z MIN
        nil
        ~
        > ZMPOP 0 z MIN
        -ERR numkeys should be greater than 0
        > ZMPOP abc z MIN
        -ERR numkeys should be greater than 0
        > ZMPOP 2 z MIN
        -ERR syntax error
        > ZMPOP 9223372036854775807 z MIN
        -ERR syntax error
        > ZMPOP 1 z FOO
        -ERR syntax error
        > ZMPOP 1 z MIN COUNT 0
        -ERR count should be greater than 0
        > ZMPOP 1 z MIN COUNT
        -ERR syntax error
        > ZMPOP 1 z MIN COUNT 1 COUNT 1
        -ERR syntax error
        > SET s v
        > ZMPOP 1 s MIN
        -WRONGTYPE Operation against a key holding the wrong kind of value
        # resp3
        > ZADD z 1 a
        1
        > ZMPOP 1 z MIN
        ["z", [["a", ,1]]]
        "#,
    );
}

#[test]
fn blocking_pops_take_what_is_there() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d
        4
        > BZPOPMIN missing z 0
        ["z", "a", "1"]
        ~ ZPOPMIN z
        ! zpopmin z
        > BZPOPMAX z 0.5
        ["z", "d", "4"]
        ~ ZPOPMAX z
        > BZMPOP 0 1 z MIN COUNT 5
        ["z", [["b", "2"], ["c", "3"]]]
        ~ ZPOPMIN z 2
        ! zpopmin z
        ! del z
        > BZPOPMIN z abc
        -ERR timeout is not a float or out of range
        > BZPOPMIN z -1
        -ERR timeout is negative
        > BZPOPMIN z inf
        -ERR timeout is out of range
        > BZPOPMIN z 9223372036854775
        -ERR timeout is out of range
        > BZMPOP abc 1 z MIN
        -ERR timeout is not a float or out of range
        > BZMPOP 0 0 z MIN
        -ERR numkeys should be greater than 0
        > BZMPOP 0 1 z FOO
        -ERR syntax error
        > SET s v
        > BZPOPMIN z s 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        # resp3
        > ZADD z 1 a 2 b
        2
        > BZPOPMAX z 0
        ["z", "b", ,2]
        > BZMPOP 1 1 z MAX
        ["z", [["a", ,1]]]
        "#,
    );
}

#[test]
fn union_intersection_and_difference() {
    let transcript = r#"
        > ZADD x 1 a 2 b 3 c
        3
        > ZADD y 10 b 20 c 30 d
        3
        > ZUNION 2 x y
        ["a", "b", "c", "d"]
        > ZUNION 2 x y WITHSCORES
        ["a", "1", "b", "12", "c", "23", "d", "30"]
        > ZUNION 2 x y WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES
        ["d", "-30", "c", "-20", "b", "-10", "a", "2"]
        > ZUNION 3 x missing y AGGREGATE max WITHSCORES
        ["a", "1", "b", "10", "c", "20", "d", "30"]
        > ZINTER 2 x y WITHSCORES
        ["b", "12", "c", "23"]
        > ZINTER 2 x missing
        []
        > ZINTER 2 x x WITHSCORES
        ["a", "2", "b", "4", "c", "6"]
        > ZINTERCARD 2 x y
        2
        > ZINTERCARD 2 x y LIMIT 1
        1
        > ZINTERCARD 2 x y LIMIT 0
        2
        > ZDIFF 2 x y WITHSCORES
        ["a", "1"]
        > ZDIFF 2 x x
        []
        > ZDIFF 1 missing
        []
        > ZUNIONSTORE d 2 x y WEIGHTS 1 0
        4
        ~ ZUNIONSTORE d 2 x y WEIGHTS 1 0
        ! zunionstore d
        > ZRANGE d 0 -1 WITHSCORES
        ["d", "0", "a", "1", "b", "2", "c", "3"]
        > ZINTERSTORE d 2 x y AGGREGATE MIN
        2
        ! zinterstore d
        > ZRANGE d 0 -1 WITHSCORES
        ["b", "2", "c", "3"]
        > ZDIFFSTORE d 2 y x
        1
        ! zdiffstore d
        > ZRANGE d 0 -1 WITHSCORES
        ["d", "30"]
        > ZINTERSTORE d 2 x missing
        0
        ~ ZINTERSTORE d 2 x missing
        ! del d
        > ZINTERSTORE d 2 x missing
        0
        ~
        !
        > ZUNIONSTORE x 2 x x
        3
        > ZSCORE x c
        "6"
        > ZADD i inf a -inf b
        2
        > ZUNION 2 i i WEIGHTS 1 -1 WITHSCORES
        ["a", "0", "b", "0"]
        > ZUNION 1 i WEIGHTS 0 WITHSCORES
        ["a", "0", "b", "0"]
        # resp3
        > ZDIFF 2 y x WITHSCORES
        [["d", ,30]]
        > ZUNION 1 i WITHSCORES
        [["b", ,-inf], ["a", ,inf]]
    "#;
    check(transcript);
    check(&format!("# config zset-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn members_of_plain_sets_count_one_each() {
    let transcript = r#"
        > ZADD z 5 a 6 7 7 c
        3
        > SADD ints 7 8
        2
        > SADD words a b 7
        3
        > ZUNION 3 z ints words WEIGHTS 1 10 100 WITHSCORES
        ["c", "7", "8", "10", "b", "100", "a", "105", "7", "116"]
        > ZINTER 3 words z ints AGGREGATE MAX WITHSCORES
        ["7", "6"]
        > ZINTERCARD 2 ints words
        1
        > ZDIFF 3 z ints words WITHSCORES
        ["c", "7"]
        > ZDIFFSTORE d 2 words ints
        2
        > ZRANGE d 0 -1 WITHSCORES
        ["a", "1", "b", "1"]
    "#;
    check(transcript);
    check(&format!("# config set-max-intset-entries 0\n# config set-max-listpack-entries 0\n{transcript}"));
}

#[test]
fn operations_on_several_refuse_bad_options() {
    check(
        r#"
        > ZUNIONSTORE d 0 a
        -ERR at least 1 input key is needed for 'zunionstore' command
        > ZUNION -1 a
        -ERR at least 1 input key is needed for 'zunion' command
        > ZINTERCARD 0 a
        -ERR at least 1 input key is needed for 'zintercard' command
        > ZUNIONSTORE d abc a
        -ERR value is not an integer or out of range
        > ZUNIONSTORE d 2 a
        -ERR syntax error
        > ZUNIONSTORE d 1 a WEIGHTS abc
        -ERR weight value is not a float
        > ZUNIONSTORE d 2 a b WEIGHTS 1
        -ERR syntax error
        > ZUNIONSTORE d 1 a AGGREGATE FOO
        -ERR syntax error
        > ZUNIONSTORE d 1 a WITHSCORES
        -ERR syntax error
        > ZDIFF 1 a WEIGHTS 1
        -ERR syntax error
        > ZDIFFSTORE d 0 a
        -ERR at least 1 input key is needed for 'zdiffstore' command
        > ZINTERCARD 1 a LIMIT -1
        -ERR LIMIT can't be negative
        > ZINTERCARD 1 a LIMIT abc
        -ERR LIMIT can't be negative
        > ZINTERCARD 1 a LIMIT
        -ERR syntax error
        > ZINTERCARD 1 a WITHSCORES
        -ERR syntax error
        > ZINTER 1
        -ERR wrong number of arguments for 'zinter' command
        > SET s v
        > ZUNION 2 a s FOO
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > ZINTERSTORE d 1 s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn zrandmember_tells_members_that_are_there() {
    let mut kit = Kit::new();
    for (limit, members) in [(128, 100), (0, 100), (0, 1000)] {
        kit.play(&format!("# config zset-max-listpack-entries {limit}\n> DEL z"));
        for i in 0..members {
            kit.run(&format!("ZADD z {i} m{i}"));
        }
        let mut names = |request: &str| -> Vec<String> {
            let reply = kit.run(request);
            reply.trim_matches(['[', ']']).split(", ").map(|name| name.trim_matches('"').to_owned()).collect()
        };
        let one = names("ZRANDMEMBER z");
        assert!(one[0].starts_with('m'));
        for count in [1, 5, 60, 99] {
            let mut found = names(&format!("ZRANDMEMBER z {count}"));
            found.sort();
            found.dedup();
            assert_eq!(found.len(), count);
        }
        assert_eq!(names("ZRANDMEMBER z 5000").len(), members);
        assert_eq!(names("ZRANDMEMBER z -300").len(), 300);
        let pairs = names("ZRANDMEMBER z -20 WITHSCORES");
        assert!(pairs.chunks(2).all(|pair| pair[0] == format!("m{}", pair[1])), "{pairs:?}");
    }
    kit.play(
        r#"
        > DEL z
        1
        > ZADD z 1.5 a
        1
        > ZRANDMEMBER z
        "a"
        > ZRANDMEMBER z -2 WITHSCORES
        ["a", "1.5", "a", "1.5"]
        > ZRANDMEMBER z 0
        []
        > ZRANDMEMBER missing
        nil
        > ZRANDMEMBER missing 5
        []
        > ZRANDMEMBER z abc
        -ERR value is not an integer or out of range
        > ZRANDMEMBER z 1 FOO
        -ERR syntax error
        > ZRANDMEMBER z -9223372036854775808 WITHSCORES
        -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > ZRANDMEMBER z -9223372036854775807 WITHSCORES
        -ERR value is out of range
        > ZRANDMEMBER z -9223372036854775807
        -ERR value is out of range
        > ZRANDMEMBER z 9223372036854775807
        ["a"]
        # resp3
        > ZRANDMEMBER z 1 WITHSCORES
        [["a", ,1.5]]
        > SET s v
        > ZRANDMEMBER s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn zscan_shows_every_member() {
    check(
        r#"
        > ZADD z 1 a 2.5 b 0.1 c
        3
        > ZSCAN z 0
        ["0", ["c", "0.1", "a", "1", "b", "2.5"]]
        > ZSCAN z 0 MATCH [ab] COUNT 1
        ["0", ["a", "1", "b", "2.5"]]
        > ZSCAN z 0 NOSCORES
        ["0", ["c", "a", "b"]]
        > ZSCAN missing 0
        ["0", []]
        > ZSCAN z 0 COUNT abc
        -ERR value is not an integer or out of range
        > ZSCAN z 0 NOVALUES
        -ERR NOVALUES option can only be used in HSCAN
        > ZSCAN z abc
        -ERR invalid cursor
        > ZSCAN z
        -ERR wrong number of arguments for 'zscan' command
        > SET s v
        > ZSCAN s 0
        -WRONGTYPE Operation against a key holding the wrong kind of value
        # resp3
        > ZSCAN z 0 MATCH a
        ["0", ["a", "1"]]
        # config zset-max-listpack-entries 0
        > ZADD y 0.1 a
        1
        > ZSCAN y 0
        ["0", ["a", "0.10000000000000001"]]
        "#,
    );
    let mut kit = Kit::new();
    for i in 0..500 {
        kit.run(&format!("ZADD z {i} {i}"));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let reply = kit.run(&format!("ZSCAN z {cursor} COUNT 20"));
        let texts: Vec<&str> = reply.split('"').skip(1).step_by(2).collect();
        assert!(texts.len() < 150, "about as many as asked for");
        assert!(texts[1..].chunks(2).all(|pair| pair[0] == pair[1]));
        seen.extend(texts[1..].iter().step_by(2).map(|name| name.to_string()));
        cursor = texts[0].to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 500);
}
