//! Frameworks: queues, caches, sessions and locks, in the commands that they consist of.

use super::{if_known, info, knows};
use redstart::testkit::{Kit, check};

#[test]
fn celery_and_kombu() {
    check(
        r#"
        > SADD _kombu.binding.celery "celery\x06\x16\x06\x16celery"
        1
        > LPUSH celery {"id":1}
        1
        2> BRPOP celery celery\x06\x163 celery\x06\x166 1
        ["celery", "{id:1}"]
        > MULTI
        +OK
        > ZADD unacked_index 1700000000.5 tag
        +QUEUED
        > HSET unacked tag payload
        +QUEUED
        > EXEC
        [1, 1]
        > ZREVRANGEBYSCORE unacked_index 1700003600 0 WITHSCORES LIMIT 0 10
        ["tag", "1700000000.5"]
        > WATCH unacked
        +OK
        > HGET unacked tag
        "payload"
        > MULTI
        +OK
        > HDEL unacked tag
        +QUEUED
        > EXEC
        [1]
        3> PSUBSCRIBE /0.celery.*
        ["psubscribe", "/0.celery.*", 1]
        > PUBLISH /0.celery.pidbox go
        1
        3: ["pmessage", "/0.celery.*", "/0.celery.pidbox", "go"]
        > PING
        +PONG
        "#,
    );
}

#[test]
fn rq() {
    let mut kit = Kit::new();
    assert_eq!(info(&mut kit, "INFO server")["Server"]["redis_version"], "8.0.0");
    kit.play(
        r#"
        > CLIENT SETNAME rq:worker:1
        +OK
        > RPUSH rq:queue:default job
        1
        > BLMOVE rq:queue:default rq:wip LEFT RIGHT 1
        "job"
        > LMOVE rq:wip rq:done LEFT RIGHT
        "job"
        > BLPOP rq:done 1
        ["rq:done", "job"]
        > WATCH rq:job:1
        +OK
        > MULTI
        +OK
        > HSET rq:job:1 status queued
        +QUEUED
        > EXEC
        [1]
        > XADD rq:results:1 MAXLEN ~ 10 1-1 type 1
        "1-1"
        > XREVRANGE rq:results:1 + - COUNT 1
        [["1-1", ["type", "1"]]]
        "#,
    );
    // It finds its workers by their names and addresses.
    let clients = kit.run("CLIENT LIST");
    assert!(clients.contains(" addr=") && clients.contains(" name=rq:worker:1 "), "{clients}");
    if let Some(reply) = if_known(&mut kit, "SCRIPT LOAD \"return 1\"") {
        assert_eq!(reply, "\"e0e1f9fabfc9d4800c877a703b823ac0578ff8db\"");
    }
}

/// What gates on a version number let through: Sidekiq asks for 7.0.0, BullMQ for 6.2.
fn is_new_enough(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 7)
}

#[test]
fn sidekiq() {
    let mut kit = Kit::new();
    assert!(kit.run("HELLO 3").contains("\"proto\": 3"));
    assert_eq!(kit.run("CLIENT SETINFO LIB-NAME redis-client(sidekiq)"), "+OK");
    let info = info(&mut kit, "INFO");
    assert!(is_new_enough(&info["Server"]["redis_version"]));
    assert_eq!(info["Memory"]["maxmemory_policy"], "noeviction");
    kit.play(
        r#"
        > LPUSH queue:default job
        1
        > BRPOP queue:default 2
        ["queue:default", "job"]
        > BITFIELD stat INCRBY u16 #0 1
        [1]
        > ZADD schedule 1700000000 job
        1
        > ZRANGE schedule -inf 1700000000 BYSCORE LIMIT 0 1
        ["job"]
        > LPUSH q job
        1
        > LMOVE q p RIGHT LEFT
        "job"
        > UNLINK p
        1
        "#,
    );
    if let Some(reply) = if_known(&mut kit, "EVALSHA 0000000000000000000000000000000000000000 0") {
        assert_eq!(reply, "-NOSCRIPT No matching script. Please use EVAL.");
    }
}

#[test]
fn bullmq() {
    let mut kit = Kit::new();
    let all = info(&mut kit, "INFO");
    assert!(is_new_enough(&all["Server"]["redis_version"]));
    assert_eq!(all["Memory"]["maxmemory_policy"], "noeviction");
    kit.play(
        r#"
        > CLIENT SETNAME bull:queue
        +OK
        > XADD bull:queue:events MAXLEN ~ 10000 1-1 event added
        "1-1"
        > XREAD BLOCK 5000 STREAMS bull:queue:events 0
        [["bull:queue:events", [["1-1", ["event", "added"]]]]]
        > XTRIM bull:queue:events MAXLEN ~ 0
        1
        > ZADD bull:queue:marker 0 0
        1
        > BZPOPMIN bull:queue:marker 0.5
        ["bull:queue:marker", "0", "0"]
        > RPUSH bull:queue:wait 1 2
        2
        > LPOS bull:queue:wait 2
        1
        > ZPOPMIN bull:queue:prioritized
        []
        > HMSET bull:queue:1 name job data {}
        +OK
        "#,
    );
    // It sends scripts inside of transactions, too.
    if knows(&mut kit, "EVALSHA") {
        assert_eq!(kit.run("MULTI"), "+OK");
        assert_eq!(kit.run("EVALSHA 0000000000000000000000000000000000000000 0"), "+QUEUED");
    }
}

#[test]
fn django_and_flask_caches() {
    check(
        r#"
        > SET :1:key "\x80\x05K\x01." EX 300
        +OK
        > SET :1:key other EX 300 NX
        nil
        > MGET :1:key :1:none
        ["\x80\x05K\x01.", nil]
        > MSET a 1 b 2
        +OK
        > EXPIRE a 300
        1
        > INCR a
        2
        > PERSIST :1:key
        1
        > SETEX session:1 1800 "\x81\xa1a\x01"
        +OK
        > FLUSHDB
        +OK
        "#,
    );
}

#[test]
fn laravel_queues() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > RPUSH queues:default {}
        1
        > LLEN queues:default
        1
        > ZADD queues:default:delayed 1700000090 {}
        1
        "#,
    );
    let script = "EVAL \"return cjson.decode(cjson.encode({attempts=ARGV[1]+1})).attempts\" 0 1";
    if let Some(reply) = if_known(&mut kit, script) {
        assert_eq!(reply, "2");
    }
}

#[test]
fn spring_session_and_redisson_ask_for_events() {
    check(
        r#"
        > CONFIG GET notify-keyspace-events
        ["notify-keyspace-events", ""]
        > CONFIG SET notify-keyspace-events Egx
        +OK
        > CONFIG GET notify-keyspace-events
        ["notify-keyspace-events", "gxE"]
        2> PSUBSCRIBE __keyevent@*__:expired
        ["psubscribe", "__keyevent@*__:expired", 1]
        > SET spring:session:expires:1 "" PX 100
        +OK
        # advance 101
        # sweep
        > EXISTS spring:session:expires:1
        0
        2: ["pmessage", "__keyevent@*__:expired", "__keyevent@0__:expired", "spring:session:expires:1"]
        "#,
    );
}

#[test]
fn scripts_see_resp2_in_a_connection_of_resp3() {
    let mut kit = Kit::new();
    kit.run("HELLO 3");
    kit.run("HSET h f v");
    if let Some(reply) = if_known(&mut kit, "EVAL \"return redis.call('hgetall','h')\" 0") {
        assert_eq!(reply, r#"["f", "v"]"#);
    }
}
