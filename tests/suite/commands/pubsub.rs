//! Publish and subscribe, and the commands that hold or show clients.

use redstart::session::Topic;
use redstart::testkit::{Kit, check};

#[test]
fn messages_reach_their_subscribers() {
    check(
        r#"
        > PUBLISH c
        -ERR wrong number of arguments for 'publish' command
        > SUBSCRIBE
        -ERR wrong number of arguments for 'subscribe' command
        > PSUBSCRIBE
        -ERR wrong number of arguments for 'psubscribe' command
        > SPUBLISH c
        -ERR wrong number of arguments for 'spublish' command
        > PUBLISH c nobody
        0
        2> SUBSCRIBE c d c
        ["subscribe", "c", 1] ;; ["subscribe", "d", 2] ;; ["subscribe", "c", 2]
        2> PSUBSCRIBE c* x*
        ["psubscribe", "c*", 3] ;; ["psubscribe", "x*", 4]
        > PUBLISH c hello
        2
        2: ["message", "c", "hello"] ;; ["pmessage", "c*", "c", "hello"]
        > PUBLISH e hello
        0
        2:
        2> UNSUBSCRIBE c none
        ["unsubscribe", "c", 3] ;; ["unsubscribe", "none", 3]
        2> UNSUBSCRIBE
        ["unsubscribe", "d", 2]
        2> UNSUBSCRIBE
        ["unsubscribe", nil, 2]
        2> PUNSUBSCRIBE
        ["punsubscribe", "c*", 1] ;; ["punsubscribe", "x*", 0]
        2> PUNSUBSCRIBE
        ["punsubscribe", nil, 0]
        > PUBLISH c hello
        0
        ~
        2:
        # resp3
        > SUBSCRIBE c
        >["subscribe", "c", 1]
        > PUBLISH c self
        1 ;; >["message", "c", "self"]
        > GET k
        nil
        2> PUBLISH c "from 2"
        1
        1: >["message", "c", "from 2"]
        > UNSUBSCRIBE
        >["unsubscribe", "c", 0]
        "#,
    );
}

#[test]
fn shard_channels_are_apart() {
    check(
        r#"
        2> SSUBSCRIBE c
        ["ssubscribe", "c", 1]
        2> SUBSCRIBE c
        ["subscribe", "c", 1]
        > SPUBLISH c hello
        1
        2: ["smessage", "c", "hello"]
        > PUBLISH c hello
        1
        2: ["message", "c", "hello"]
        > PUBSUB SHARDCHANNELS
        ["c"]
        > PUBSUB SHARDNUMSUB c d
        ["c", 1, "d", 0]
        > PUBSUB SHARDNUMSUB
        []
        2> SUNSUBSCRIBE c
        ["sunsubscribe", "c", 0]
        2> SUNSUBSCRIBE
        ["sunsubscribe", nil, 0]
        > PUBSUB SHARDCHANNELS *
        []
        "#,
    );
}

#[test]
fn subscriptions_are_told() {
    check(
        r#"
        > PUBSUB
        -ERR wrong number of arguments for 'pubsub' command
        > PUBSUB FOO
        -ERR unknown subcommand 'FOO'. Try PUBSUB HELP.
        > PUBSUB NUMPAT x
        -ERR wrong number of arguments for 'pubsub|numpat' command
        > PUBSUB CHANNELS a b
        -ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.
        > PUBSUB CHANNELS
        []
        > PUBSUB NUMSUB
        []
        2> SUBSCRIBE alpha beta
        3> SUBSCRIBE alpha
        3> PSUBSCRIBE a* b*
        2> PSUBSCRIBE a*
        > PUBSUB CHANNELS
        ["alpha", "beta"]
        > PUBSUB CHANNELS a*
        ["alpha"]
        > PUBSUB NUMSUB alpha beta gamma
        ["alpha", 2, "beta", 1, "gamma", 0]
        > PUBSUB NUMPAT
        2
        > PUBLISH alpha x
        4
        "#,
    );
    let mut kit = Kit::new();
    kit.play("2> SUBSCRIBE a b\n2> PSUBSCRIBE c\n2> SSUBSCRIBE d\n");
    let list = kit.run("CLIENT LIST TYPE pubsub");
    assert!(list.contains("flags=P ") && list.contains(" sub=2 psub=1 ssub=1 "), "{list}");
    let info = kit.run("INFO everything");
    for field in ["pubsub_clients:1", "pubsub_channels:2", "pubsub_patterns:1", "pubsubshard_channels:1"] {
        assert!(info.contains(field), "{field}");
    }
    assert!(kit.run("PUBSUB HELP").contains("NUMPAT"));
    assert_eq!(kit.run_as(2, "RESET"), "+RESET");
    assert!(kit.run("INFO clients").contains("pubsub_clients:0"));
    assert_eq!(kit.run("PUBLISH a x"), "0");
}

#[test]
fn resp2_subscribers_may_send_little() {
    check(
        r#"
        > SUBSCRIBE c
        ["subscribe", "c", 1]
        > GET k
        -ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        > CONFIG GET maxmemory
        -ERR Can't execute 'config|get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        > HELLO 3
        -ERR Can't execute 'hello': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        > FOO
        > PING
        ["pong", ""]
        > PING hello
        ["pong", "hello"]
        > PING a b
        -ERR wrong number of arguments for 'ping' command
        # resp3
        > PING
        +PONG
        > GET k
        nil
        # resp2
        > UNSUBSCRIBE c
        ["unsubscribe", "c", 0]
        > PING
        +PONG
        > SUBSCRIBE c
        > QUIT
        +OK
        "#,
    );
}

#[test]
fn messages_in_transactions_and_without_replies() {
    check(
        r#"
        # resp3
        > SUBSCRIBE c
        > MULTI
        +OK
        > PUBLISH c one
        +QUEUED
        > SUBSCRIBE d
        +QUEUED
        > PUBLISH d two
        +QUEUED
        > EXEC
        [1, >["subscribe", "d", 2], 1] ;; >["message", "c", "one"] ;; >["message", "d", "two"]
        > CLIENT REPLY OFF
        > SUBSCRIBE e
        >["subscribe", "e", 3]
        > GET k
        2> PUBLISH c x
        1
        1: >["message", "c", "x"]
        > CLIENT REPLY ON
        +OK
        "#,
    );
}

#[test]
fn long_messages_are_shared() {
    let mut kit = Kit::new();
    let long = "x".repeat(20_000);
    kit.play("2> SUBSCRIBE c\n3> PSUBSCRIBE *");
    assert_eq!(kit.run(&format!("PUBLISH c {long}")), "2");
    assert_eq!(kit.take_heard(2), format!("[\"message\", \"c\", \"{long}\"]"));
    assert_eq!(kit.take_heard(3), format!("[\"pmessage\", \"*\", \"c\", \"{long}\"]"));
}

#[test]
fn pauses_and_waits_are_asked_for_in_form() {
    check(
        r#"
        > CLIENT PAUSE abc
        -ERR timeout is not an integer or out of range
        > CLIENT PAUSE -1
        -ERR timeout is negative
        > CLIENT PAUSE 9223372036854775807
        -ERR timeout is out of range
        > CLIENT PAUSE 1 FOO
        -ERR CLIENT PAUSE mode must be WRITE or ALL
        > CLIENT PAUSE 1 ALL x
        -ERR syntax error
        > CLIENT UNBLOCK abc
        -ERR value is not an integer or out of range
        > CLIENT UNBLOCK 1 FOO
        -ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR
        > CLIENT UNBLOCK 1
        0
        > CLIENT UNPAUSE x
        -ERR wrong number of arguments for 'client|unpause' command
        > CLIENT UNPAUSE
        +OK
        "#,
    );
}

#[test]
fn a_pause_holds_writes_and_expiry() {
    check(
        r#"
        > SET k v PX 100
        +OK
        > CLIENT PAUSE 1000 WRITE
        +OK
        > SET k w
        > GET k
        "v"
        > MULTI
        +OK
        > SET k w
        > GET k
        +QUEUED
        > EXEC
        ["v"]
        # advance 101
        > GET k
        nil
        ~
        > DBSIZE
        1
        > CLIENT UNPAUSE
        +OK
        > GET k
        nil
        ~ DEL k
        > CLIENT PAUSE 100
        +OK
        > PUBLISH c x
        > GET k
        # advance 101
        > PUBLISH c x
        0
        "#,
    );
}

/// What the second client, a monitor, saw since it was last asked, without the times.
fn seen(kit: &mut Kit) -> Vec<String> {
    kit.take_heard(2).split(" ;; ").map(|line| line.split_once('[').map_or("", |(_, line)| line).to_owned()).collect()
}

/// ioredis waited in vain for the EVALSHA of a script that the server did not know.
#[test]
fn monitors_see_scripts_that_cannot_begin() {
    let mut kit = Kit::new();
    kit.play("2> MONITOR\n+OK\n> EVALSHA x 1 k\n> EVAL \"return redis.call('get', KEYS[1])\" 1 k\nnil");
    let script = r#""return redis.call('get', KEYS[1])""#;
    let eval = format!(r#"0 ] "EVAL" {script} "1" "k""#);
    assert_eq!(seen(&mut kit), [r#"0 ] "EVALSHA" "x" "1" "k""#, &eval, r#"0 lua] "get" "k""#]);
    kit.play("> MULTI\n+OK\n> FCALL f 0\n+QUEUED\n> GET\n> LLEN\n> DISCARD\n> MULTI\n> FCALL f 0\n> EXEC");
    let wanted = [r#"0 ] "MULTI""#, r#"0 ] "DISCARD""#, r#"0 ] "MULTI""#, r#"0 ] "FCALL" "f" "0""#, r#"0 ] "EXEC""#];
    assert_eq!(seen(&mut kit), wanted);
}

#[test]
fn monitors_see_what_runs() {
    let mut kit = Kit::new();
    kit.play("2> MONITOR\n+OK\n> SET k \"a b\"\n+OK\n> CONFIG GET port\n> AUTH default secret\n> MULTI\n> GET k\n> EXEC");
    let wanted = [
        r#"0 ] "SET" "k" "a b""#,
        r#"0 ] "AUTH" "(redacted)" "(redacted)""#,
        r#"0 ] "MULTI""#,
        r#"0 ] "GET" "k""#,
        r#"0 ] "EXEC""#,
    ];
    assert_eq!(seen(&mut kit), wanted);
    assert!(kit.run("CLIENT LIST").contains("flags=O "));
    assert_eq!(kit.run_as(2, "RESET"), "+RESET");
    kit.run("PING");
    assert_eq!(kit.take_heard(2), "");
}

#[test]
fn a_request_of_many_names_counts_once() {
    let mut kit = Kit::new();
    let names = |word: &str| (0..300).fold(word.to_owned(), |all, n| format!("{all} c{n}"));
    assert_eq!(kit.run(&names("SUBSCRIBE")).matches("subscribe").count(), 300);
    assert_eq!(kit.run(&names("UNSUBSCRIBE")).matches("unsubscribe").count(), 300);
    kit.run(&names("SUBSCRIBE"));
    assert_eq!(kit.run("UNSUBSCRIBE").matches("unsubscribe").count(), 300);
    assert_eq!(kit.run("UNSUBSCRIBE"), r#">["unsubscribe", nil, 0]"#.trim_start_matches('>'));
    kit.run(&names("PSUBSCRIBE"));
    assert_eq!(kit.run("RESET"), "+RESET");
    assert_eq!(kit.run("PUBSUB NUMPAT"), "0");
    // What is left out as a reply is said as a message; in a transaction all is done at once.
    kit.run("CLIENT REPLY OFF");
    kit.run(&names("SUBSCRIBE"));
    kit.run("UNSUBSCRIBE");
    kit.run("CLIENT REPLY ON");
    kit.run("MULTI");
    kit.run(&names("SUBSCRIBE"));
    kit.run("EXEC");
    assert_eq!(kit.world.pubsub.count(Topic::Channel), 300);
    kit.run("RESET");
    let stats = kit.run("INFO commandstats");
    for (command, calls) in [("subscribe", 4), ("unsubscribe", 4), ("psubscribe", 1), ("reset", 2)] {
        assert!(stats.contains(&format!("cmdstat_{command}:calls={calls},")), "{command}: {stats}");
    }
}
