//! SORT and SORT_RO.

use redstart::testkit::check;

#[test]
fn elements_are_sorted_as_numbers_or_text() {
    check(
        r#"
        > RPUSH l 3 1 10 2.5 -1 2.50
        > SORT l
        ["-1", "1", "2.5", "2.50", "3", "10"]
        ~
        > SORT l DESC
        ["10", "3", "2.50", "2.5", "1", "-1"]
        > SORT l ALPHA
        ["-1", "1", "10", "2.5", "2.50", "3"]
        > SORT l ALPHA DESC LIMIT 1 2
        ["2.50", "2.5"]
        > SORT_RO l LIMIT 4 100
        ["3", "10"]
        > SORT l LIMIT -5 2
        ["-1", "1"]
        > SORT l LIMIT 2 -1
        ["2.5", "2.50", "3", "10"]
        > SORT l LIMIT 100 100
        []
        > SORT l LIMIT 0 0
        []
        > SORT l LIMIT 2 9223372036854775807
        ["2.5", "2.50", "3", "10"]
        > SORT none
        []
        > RPUSH inf 0 inf -inf +1e3 ""
        > SORT inf
        ["-inf", "", "0", "+1e3", "inf"]
        > RPUSH bad 1 nan
        > SORT bad
        -ERR One or more scores can't be converted into double
        > RPUSH worse " 1"
        > SORT worse
        -ERR One or more scores can't be converted into double
        > SET s v
        > SORT s
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SORT l LIMIT a b
        -ERR value is not an integer or out of range
        > SORT l LIMIT 0
        -ERR syntax error
        > SORT l BY
        -ERR syntax error
        > SORT l FOO
        -ERR syntax error
        > SORT_RO l STORE d
        -ERR syntax error
        "#,
    );
}

#[test]
fn other_keys_are_weights_and_answers() {
    check(
        r#"
        > RPUSH l 1 2 3
        > SET w1 30
        > SET w2 10
        > SET w3 20
        > SORT l BY w*
        ["2", "3", "1"]
        > SORT l BY w* DESC LIMIT 0 1
        ["1"]
        > SET o1 first
        > SET o3 third
        > SORT l BY w* GET # GET o* GET w*
        ["2", nil, "10", "3", "third", "20", "1", "first", "30"]
        # resp3
        > SORT l GET o*
        ["first", nil, "third"]
        # resp2
        > SORT l GET none
        [nil, nil, nil]
        > SORT l BY o*
        -ERR One or more scores can't be converted into double
        > SORT l BY o* ALPHA
        ["2", "1", "3"]
        > SORT l BY x*
        ["1", "2", "3"]
        > SORT l BY nosort
        ["1", "2", "3"]
        > SORT l BY nosort DESC LIMIT 0 2
        ["3", "2"]
        > SORT l BY l* GET #
        ["1", "2", "3"]
        > SORT l STORE d GET o*
        3
        ~ SORT l STORE d GET o*
        ! sortstore d
        > LRANGE d 0 -1
        ["first", "", "third"]
        > EXPIRE d 100
        > SORT l DESC STORE d
        3
        > TTL d
        -1
        > LRANGE d 0 -1
        ["3", "2", "1"]
        > SORT l STORE l DESC
        3
        > SORT none STORE d
        0
        ~ SORT none STORE d
        ! del d
        > SORT none STORE d
        0
        ~
        !
        > COMMAND GETKEYS SORT l BY w* STORE x STORE y
        "#,
    );
}

#[test]
fn fields_of_hashes_are_weights_and_answers() {
    check(
        r#"
        > RPUSH l 1 2 3
        > HSET h1 f 3 g a
        > HSET h2 f 1
        > HSET h3 f 2 g ""
        > SORT l BY h*->f
        ["2", "3", "1"]
        > SORT l GET h*->g GET h*->
        ["a", nil, nil, nil, "", nil]
        > SORT l GET h*->none
        [nil, nil, nil]
        "#,
    );
}

#[test]
fn sets_and_sorted_sets_are_sorted() {
    check(
        r#"
        > SADD s 3 1 2
        > SORT s DESC
        ["3", "2", "1"]
        > SADD t b c a
        > SORT t ALPHA
        ["a", "b", "c"]
        > SORT t BY nosort STORE d
        3
        > LRANGE d 0 -1
        ["a", "b", "c"]
        > ZADD z 1 30 2 20 3 10
        > SORT z
        ["10", "20", "30"]
        > SORT z BY nosort
        ["30", "20", "10"]
        > SORT z BY nosort DESC LIMIT 1 2
        ["20", "30"]
        > SORT z BY nosort LIMIT 1 1
        ["20"]
        "#,
    );
}
