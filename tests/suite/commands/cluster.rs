//! A node of a cluster: what it tells, how slots change hands, and where it sends requests that are not its own.

use crate::support::spawn::{self, Server};
use redstart::testkit::{Kit, check};

const ME: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const REPLICA: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// A node that knows only itself and owns these slots.
fn alone(slots: &str) -> Kit {
    Kit::node(&format!("{ME} :7000@17000,,shard-id={ME} myself,master - 0 0 0 connected {slots}"))
}

/// One of two primaries: slots 0 to 8191 are its own, the rest is the other's.
fn one_of_two() -> Kit {
    Kit::node(&format!(
        "{ME} 10.0.0.1:7000@17000,,shard-id={ME} myself,master - 0 0 1 connected 0-8191\n\
         {OTHER} 10.0.0.2:7001@17001,there.example,tls-port=7101,shard-id={OTHER} master - 0 0 2 connected 8192-16383\n\
         vars currentEpoch 2 lastVoteEpoch 0"
    ))
}

#[test]
fn a_plain_server_is_no_node() {
    for command in ["CLUSTER INFO", "CLUSTER ADDSLOTS 1", "CLUSTER RESET", "CLUSTER MEET 127.0.0.1 1", "CLUSTER HELP", "ASKING"] {
        assert_eq!(Kit::new().run(command), "-ERR This instance has cluster support disabled", "{command}");
    }
    check(
        r#"
        > CLUSTER FOO
        -ERR unknown subcommand 'FOO'. Try CLUSTER HELP.
        > CLUSTER
        -ERR wrong number of arguments for 'cluster' command
        "#,
    );
}

#[test]
fn a_node_tells_about_itself() {
    let mut kit = alone("0-16383");
    kit.play(&format!(
        r#"
        > CLUSTER MYID
        "{ME}"
        > CLUSTER MYSHARDID
        "{ME}"
        > CLUSTER SLOTS
        [[0, 16383, ["", 6379, "{ME}", []]]]
        > CLUSTER NODES
        "{ME} :6379@16379 myself,master - 0 0 0 connected 0-16383\n"
        > CLUSTER LINKS
        []
        > CLUSTER REPLICAS {ME}
        []
        > CLUSTER SLAVES {OTHER}
        -ERR Unknown node {OTHER}
        > CLUSTER COUNT-FAILURE-REPORTS {ME}
        0
        > CLUSTER COUNT-FAILURE-REPORTS abc
        -ERR Unknown node abc
        > CLUSTER SAVECONFIG
        +OK
        # config cluster-announce-hostname here.example
        # config cluster-announce-ip 10.0.0.9
        # config cluster-announce-port 7
        > CLUSTER SLOTS
        [[0, 16383, ["10.0.0.9", 7, "{ME}", ["hostname", "here.example"]]]]
        # config cluster-preferred-endpoint-type hostname
        > CLUSTER SLOTS
        [[0, 16383, ["here.example", 7, "{ME}", ["ip", "10.0.0.9"]]]]
        # config cluster-preferred-endpoint-type unknown-endpoint
        # resp3
        > CLUSTER SLOTS
        [[0, 16383, [nil, 7, "{ME}", {{"ip": "10.0.0.9", "hostname": "here.example"}}]]]
        > CLUSTER NODES
        =txt:{ME} 10.0.0.9:7@16379,here.example myself,master - 0 0 0 connected 0-16383\n
        > CLUSTER SHARDS
        [{{"slots": [0, 16383], "nodes": [{{"id": "{ME}", "port": 7, "ip": "10.0.0.9", "endpoint": "", "hostname": "here.example", "role": "master", "replication-offset": 0, "health": "online"}}]}}]
        "#
    ));
    let info = kit.run("CLUSTER INFO");
    for line in
        ["cluster_state:ok", "cluster_slots_assigned:16384", "cluster_known_nodes:1", "cluster_size:1", "cluster_my_epoch:0"]
    {
        assert!(info.contains(line), "{line} in {info}");
    }
    assert!(kit.run("INFO cluster").contains("cluster_enabled:1"));
    assert!(kit.run("INFO server").contains("redis_mode:cluster"));
    assert!(kit.run("HELLO").contains(r#""mode": "cluster""#));
    assert!(kit.run("CLUSTER HELP").contains("SETSLOT"));
}

#[test]
fn slots_change_hands() {
    alone("").play(
        r#"
        > CLUSTER ADDSLOTS 0 1 5
        +OK
        > CLUSTER ADDSLOTS 2 1
        -ERR Slot 1 is already busy
        > CLUSTER ADDSLOTS 2 2
        -ERR Slot 2 specified multiple times
        > CLUSTER ADDSLOTS 2 x
        -ERR Invalid or out of range slot
        > CLUSTER ADDSLOTSRANGE 10 12 14 14
        +OK
        > CLUSTER ADDSLOTSRANGE 20 19
        -ERR start slot number 20 is greater than end slot number 19
        > CLUSTER ADDSLOTSRANGE 20 21 22
        -ERR wrong number of arguments for 'cluster|addslotsrange' command
        > CLUSTER DELSLOTS 11 13
        -ERR Slot 13 is already unassigned
        > CLUSTER DELSLOTS 11
        +OK
        > CLUSTER DELSLOTSRANGE 0 1
        +OK
        > CLUSTER DELSLOTSRANGE 5 16384
        -ERR Invalid or out of range slot
        > CLUSTER NODES
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa :6379@16379 myself,master - 0 0 0 connected 5 10 12 14\n"
        > CLUSTER FLUSHSLOTS
        +OK
        > CLUSTER SLOTS
        []
        > CLUSTER SETSLOT 1 STABLE
        +OK
        > CLUSTER SETSLOT 1 MIGRATING x
        -ERR I'm not the owner of hash slot 1
        > CLUSTER SETSLOT 1 NODE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        +OK
        > CLUSTER SETSLOT 1 IMPORTING x
        -ERR I'm already the owner of hash slot 1
        > CLUSTER SETSLOT 1 NODE x
        -ERR Unknown node x
        > CLUSTER SETSLOT 1
        -ERR wrong number of arguments for 'cluster|setslot' command
        > CLUSTER SETSLOT 1 FOO
        -ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP
        > CLUSTER SETSLOT 1 FOO x
        -ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP
        "#,
    );
}

#[test]
fn slots_know_their_keys() {
    alone("0-16383").play(
        r#"
        > CLUSTER KEYSLOT foo
        12182
        > CLUSTER KEYSLOT bar{foo}
        12182
        > MSET {foo}1 a {foo}2 b
        +OK
        > SET bar x PX 10
        +OK
        > CLUSTER COUNTKEYSINSLOT 12182
        2
        > CLUSTER COUNTKEYSINSLOT 16384
        -ERR Invalid slot
        > CLUSTER GETKEYSINSLOT 12182 1
        > CLUSTER GETKEYSINSLOT 5061 10
        ["bar"]
        > CLUSTER GETKEYSINSLOT 5061 -1
        -ERR Invalid slot or number of keys
        # advance 11
        > GET bar
        nil
        > CLUSTER GETKEYSINSLOT 5061 10
        []
        > DEL {foo}1
        1
        > RENAME {foo}2 {foo}3
        +OK
        > SCAN 0 MATCH {foo}*
        ["0", ["{foo}3"]]
        > SCAN 0 MATCH {bar}*
        ["0", []]
        > CLUSTER FLUSHSLOTS
        -ERR DB must be empty to perform CLUSTER FLUSHSLOTS.
        > CLUSTER RESET
        -ERR CLUSTER RESET can't be called with master nodes containing keys
        > FLUSHALL
        +OK
        > CLUSTER COUNTKEYSINSLOT 12182
        0
        "#,
    );
}

#[test]
fn epochs_and_a_fresh_start() {
    let mut kit = alone("0-16383");
    kit.play(
        r#"
        > CLUSTER SET-CONFIG-EPOCH -1
        -ERR Invalid config epoch specified: -1
        > CLUSTER SET-CONFIG-EPOCH 3
        +OK
        > CLUSTER SET-CONFIG-EPOCH 4
        -ERR Node config epoch is already non-zero
        > CLUSTER BUMPEPOCH
        +STILL 3
        > CLUSTER RESET FOO
        -ERR syntax error
        "#,
    );
    assert!(
        kit.run(r#"EVAL "return redis.call('cluster', 'reset')" 0"#)
            .starts_with("-ERR This Redis command is not allowed from script")
    );
    assert_eq!(kit.run("CLUSTER RESET SOFT"), "+OK");
    assert_eq!((kit.run("CLUSTER MYID"), kit.run("CLUSTER SLOTS")), (format!("\"{ME}\""), "[]".to_owned()));
    assert_eq!(kit.run("CLUSTER RESET HARD"), "+OK");
    assert_ne!(kit.run("CLUSTER MYID"), format!("\"{ME}\""));
    assert_eq!(kit.run("CLUSTER BUMPEPOCH"), "+BUMPED 1");
}

/// A node whose bus is closed, as all are in tests without sockets, says so only to requests that make sense.
#[test]
fn other_nodes_are_out_of_reach() {
    alone("0-16383").play(&format!(
        r#"
        > CLUSTER MEET abc 1
        -ERR Invalid node address specified: abc:1
        > CLUSTER MEET 127.0.0.1 x
        -ERR Invalid base port specified: x
        > CLUSTER MEET 127.0.0.1 1 x
        -ERR Invalid bus port specified: x
        > CLUSTER MEET 127.0.0.1 7001
        -ERR This node has no cluster bus: it is not spoken over TLS
        > CLUSTER FORGET x
        -ERR Unknown node x
        > CLUSTER FORGET {ME}
        -ERR I tried hard but I can't forget myself...
        > CLUSTER REPLICATE {ME}
        -ERR Can't replicate myself
        > CLUSTER FAILOVER
        -ERR You should send CLUSTER FAILOVER to a replica
        > CLUSTER FAILOVER FOO
        -ERR syntax error
        "#
    ));
}

#[test]
fn one_database_only() {
    alone("0-16383").play(
        r#"
        > SELECT 0
        +OK
        > SELECT 1
        -ERR SELECT is not allowed in cluster mode
        > SWAPDB 0 1
        -ERR SWAPDB is not allowed in cluster mode
        > MOVE k 1
        -ERR MOVE is not allowed in cluster mode
        > COPY {b}1 {b}2 DB 1
        -ERR DB index is out of range
        > CONFIG GET databases
        ["databases", "1"]
        > RPUSH {a}l 2 1
        2
        > SORT {a}l BY w_*
        -ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        > SORT {a}l GET w_*
        -ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        > SORT {a}l BY {a}w_* GET {a}w_* GET #
        [nil, "1", nil, "2"]
        > SORT_RO {a}l BY nosort
        ["2", "1"]
        "#,
    );
}

#[test]
fn requests_are_sent_to_the_owner_of_their_slot() {
    let mut kit = one_of_two();
    for protocol in ["# resp2", "# resp3"] {
        kit.play(protocol);
        kit.play(
            r#"
            > GET foo
            -MOVED 12182 10.0.0.2:7001
            > SET b v
            +OK
            > GET b
            "v"
            > MGET a b
            -CROSSSLOT Keys in request don't hash to the same slot
            > RENAME b c
            -CROSSSLOT Keys in request don't hash to the same slot
            > DEL {b}1 {b}2
            0
            > KEYS *
            ["b"]
            > PING
            +PONG
            > SET foo
            -ERR wrong number of arguments for 'set' command
            > SORT foo BY nosort
            -MOVED 12182 10.0.0.2:7001
            > EVAL "return redis.call('get',KEYS[1])" 1 foo
            -MOVED 12182 10.0.0.2:7001
            > EVAL "return 1" 2 a b
            -CROSSSLOT Keys in request don't hash to the same slot
            > EVAL "return redis.call('get','foo')" 0
            -ERR Script attempted to access a non local key in a cluster node script: 6b1bf486c81ceb7edf3c093f4c48582e38c0e791, on @user_script:1.
            > EVAL "return redis.call('get','b')" 0
            "v"
            > SPUBLISH foo m
            -MOVED 12182 10.0.0.2:7001
            > SPUBLISH b m
            0
            > PUBLISH foo m
            0
            > SUNSUBSCRIBE foo
            -MOVED 12182 10.0.0.2:7001
            > SSUBSCRIBE a b
            -CROSSSLOT Keys in request don't hash to the same slot
            # config cluster-preferred-endpoint-type hostname
            > GET foo
            -MOVED 12182 there.example:7001
            # config cluster-preferred-endpoint-type unknown-endpoint
            > GET foo
            -MOVED 12182 :7001
            # config cluster-preferred-endpoint-type ip
            "#,
        );
    }
}

#[test]
fn transactions_keep_to_one_slot() {
    one_of_two().play(
        r#"
        > MULTI
        +OK
        > GET foo
        -MOVED 12182 10.0.0.2:7001
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        > MULTI
        +OK
        > SET b v
        +QUEUED
        > SET {b}2 v
        +QUEUED
        > EXEC
        [+OK, +OK]
        > MULTI
        +OK
        > GET b
        +QUEUED
        > GET bar
        +QUEUED
        > EXEC
        -CROSSSLOT Keys in request don't hash to the same slot
        > EXEC
        -ERR EXEC without MULTI
        "#,
    );
}

#[test]
fn scripts_keep_to_one_slot_unless_they_say_otherwise() {
    let mut kit = alone("0-16383");
    let failed = |reply: String| {
        assert!(reply.starts_with("-ERR Script attempted to access keys that do not hash to the same slot"), "{reply}")
    };
    failed(kit.run(r##"EVAL "#!lua\nredis.call('set','foo','a') redis.call('set','bar','b')" 0"##));
    failed(kit.run(r##"EVAL "#!lua\nredis.call('set','foo','a')" 1 bar"##));
    assert_eq!(kit.run(r#"EVAL "redis.call('set','foo','a') redis.call('set','bar','b')" 0"#), "nil");
    assert_eq!(
        kit.run(r##"EVAL "#!lua flags=allow-cross-slot-keys\nredis.call('set','foo','a') redis.call('set','bar','b')" 0"##),
        "nil"
    );
    assert!(
        kit.run(r#"EVAL "return redis.call('mget','foo','bar')" 0"#)
            .contains("Command 'mget' in script attempted to access keys that don't hash to the same slot")
    );
    assert!(
        kit.run(r##"EVAL "#!lua flags=no-cluster\nreturn 1" 0"##)
            .contains("Can not run script on cluster, 'no-cluster' flag is set.")
    );
}

#[test]
fn a_slot_on_its_way() {
    let mut kit = one_of_two();
    kit.play(&format!(
        r#"
        > SET {{b}}1 v
        +OK
        > CLUSTER SETSLOT 3300 MIGRATING {OTHER}
        +OK
        > GET {{b}}1
        "v"
        > GET b
        -ASK 3300 10.0.0.2:7001
        > SET b v
        -ASK 3300 10.0.0.2:7001
        > MGET {{b}}1 {{b}}2
        -TRYAGAIN Multiple keys request during rehashing of slot
        "#
    ));
    let script = r#"EVAL "return redis.call('mget','{b}1','{b}2')" 1 {b}1"#;
    assert!(kit.run(script).contains("Unable to execute command 'mget' in script because undeclared keys were accessed"));
    assert!(kit.run("CLUSTER NODES").contains(&format!(" 0-8191 [3300->-{OTHER}]\\n")));
    kit.play(&format!(
        r#"
        > CLUSTER SETSLOT 3300 NODE {OTHER}
        -ERR Can't assign hashslot 3300 to a different node while I still hold keys for this hash slot.
        > DEL {{b}}1
        1
        > CLUSTER SETSLOT 3300 NODE {OTHER}
        +OK
        > GET b
        -MOVED 3300 10.0.0.2:7001
        > CLUSTER SETSLOT 12182 IMPORTING {OTHER}
        +OK
        > GET foo
        -MOVED 12182 10.0.0.2:7001
        > ASKING
        +OK
        > GET foo
        nil
        > GET foo
        -MOVED 12182 10.0.0.2:7001
        > ASKING
        +OK
        > MGET {{foo}}1 {{foo}}2
        -TRYAGAIN Multiple keys request during rehashing of slot
        > ASKING
        +OK
        > MULTI
        +OK
        > SET foo v
        +QUEUED
        > EXEC
        [+OK]
        > GET foo
        -MOVED 12182 10.0.0.2:7001
        > CLUSTER SETSLOT 12182 NODE {ME}
        +OK
        > GET foo
        "v"
        > CLUSTER BUMPEPOCH
        +STILL 3
        "#
    ));
}

/// Who gives its last slot away follows the new owner, if nodes may change sides by themselves.
#[test]
fn the_last_slot_leaves() {
    let view = format!(
        "{ME} 10.0.0.1:7000@17000,,shard-id={ME} myself,master - 0 0 3 connected 0-1\n\
         {OTHER} 10.0.0.2:7001@17001,,shard-id={OTHER} master - 0 0 2 connected 2-16383"
    );
    for allowed in ["yes", "no"] {
        let mut kit = Kit::node(&view);
        kit.play(&format!(
            r#"
            > CONFIG SET cluster-allow-replica-migration {allowed}
            +OK
            > CLUSTER SETSLOT 0 NODE {OTHER}
            +OK
            > CLUSTER COUNTKEYSINSLOT 1
            0
            "#
        ));
        assert!(kit.run("CLUSTER NODES").contains("myself,master - "));
        assert_eq!(kit.run(&format!("CLUSTER SETSLOT 1 NODE {OTHER}")), "+OK");
        let role = if allowed == "yes" { format!("myself,slave {OTHER}") } else { "myself,master - ".to_owned() };
        assert!(kit.run("CLUSTER NODES").contains(&role), "{allowed}");
        assert_eq!(kit.world.replication.is_replica(), allowed == "yes");
    }
}

#[test]
fn a_cluster_that_is_down() {
    let mut kit = alone("0-8191");
    kit.play(
        r#"
        > GET b
        -CLUSTERDOWN The cluster is down
        > GET foo
        -CLUSTERDOWN Hash slot not served
        > EVAL "return redis.call('get','b')" 0
        -ERR Script attempted to execute a command while the cluster is down script: eefb072c762647cc8d8a40e7fe048aaf8872d416, on @user_script:1.
        > SPUBLISH b m
        0
        # config cluster-allow-pubsubshard-when-down no
        > SPUBLISH b m
        -CLUSTERDOWN The cluster is down
        # config cluster-allow-reads-when-down yes
        > GET b
        nil
        > SET b v
        -CLUSTERDOWN The cluster is down and only accepts read commands
        > EVAL "return redis.call('set','b','v')" 0
        -ERR Script attempted to execute a write command while the cluster is down and readonly script: cd1c5f5de980f5d10758120c918858ec5f09a2e2, on @user_script:1.
        # config cluster-require-full-coverage no
        > SET b v
        +OK
        > GET foo
        -CLUSTERDOWN Hash slot not served
        "#,
    );
}

#[test]
fn replicas_are_read_by_those_who_are_content_with_them() {
    let mut kit = Kit::node(&format!(
        "{REPLICA} 10.0.0.3:7002@17002,,shard-id={ME} myself,slave {ME} 0 0 1 connected\n\
         {ME} 10.0.0.1:7000@17000,,shard-id={ME} master - 0 0 1 connected 0-16383"
    ));
    kit.play(&format!(
        r#"
        > GET foo
        -MOVED 12182 10.0.0.1:7000
        > READONLY
        +OK
        > GET foo
        nil
        > SET foo v
        -MOVED 12182 10.0.0.1:7000
        > READWRITE
        +OK
        > GET foo
        -MOVED 12182 10.0.0.1:7000
        > CLUSTER SETSLOT 1 STABLE
        -ERR Please use SETSLOT only with masters.
        > CLUSTER REPLICAS {REPLICA}
        -ERR The specified node is not a master
        "#
    ));
    assert!(kit.run(&format!("CLUSTER REPLICAS {ME}")).contains("myself,slave"));
}

/// Who listens to a shard channel whose slot goes away is told, and so is who waits for a key there.
#[test]
fn those_who_listen_hear_that_a_slot_is_gone() {
    alone("0-16383").play(
        r#"
        2> SSUBSCRIBE foo
        ["ssubscribe", "foo", 1]
        3> SSUBSCRIBE bar
        ["ssubscribe", "bar", 1]
        > CLUSTER DELSLOTS 12182
        +OK
        2: ["sunsubscribe", "foo", 0]
        3:
        > PUBSUB SHARDCHANNELS
        ["bar"]
        # resp3
        > CLUSTER ADDSLOTS 12182
        +OK
        > SSUBSCRIBE foo
        >["ssubscribe", "foo", 1]
        > CLUSTER DELSLOTS 12182
        +OK ;; >["sunsubscribe", "foo", 0]
        "#,
    );
}

#[test]
fn those_who_wait_hear_that_a_slot_is_gone() {
    let server = Server::ours(&["--cluster-enabled", "yes"]);
    let mut admin = server.client();
    admin.run("CLUSTER ADDSLOTSRANGE 0 16383");
    let mut waits = server.client();
    waits.send(&["BLPOP", "foo", "0"]).unwrap();
    while !admin.run("INFO clients").lossy().contains("blocked_clients:1") {}
    admin.run("CLUSTER DELSLOTS 12182");
    let told = waits.read().unwrap().lossy();
    assert!(told.contains("CLUSTERDOWN"), "{told}");
}

/// What a node knew it knows after a start; what it cannot understand it refuses, and leaves as it is.
#[test]
fn the_view_outlives_the_server() {
    let folder = std::env::temp_dir().join(format!("redstart-nodes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.to_str().unwrap();
    let start =
        || Server::start(&spawn::ours(), &["--cluster-enabled", "yes", "--cluster-config-file", &format!("{path}/nodes.conf")]);
    let id = {
        let server = start().unwrap();
        let mut client = server.client();
        client.run("CLUSTER ADDSLOTSRANGE 0 9 20 16383");
        client.run("CLUSTER BUMPEPOCH");
        assert!(start().err().unwrap().contains("is already used by a different Redis Cluster node"));
        client.run("CLUSTER MYID").lossy()
    };
    {
        let server = start().unwrap();
        let mut client = server.client();
        assert_eq!(client.run("CLUSTER MYID").lossy(), id);
        let nodes = client.run("CLUSTER NODES").lossy();
        assert!(nodes.contains("myself,master - 0 0 1 connected 0-9 20-16383"), "{nodes}");
    }
    let file = folder.join("nodes.conf");
    let spoilt = std::fs::read_to_string(&file).unwrap().replace("20-16383", "20-16384");
    std::fs::write(&file, &spoilt).unwrap();
    let refusal = start().err().unwrap();
    assert!(refusal.contains("corrupted cluster config file") && refusal.contains("nodes.conf, line 1:"), "{refusal}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), spoilt);
    std::fs::remove_dir_all(&folder).unwrap();
}
