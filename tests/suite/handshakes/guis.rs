//! GUIs: what they ask on their first page, and what they make of the answers.

use super::{if_known, info};
use redstart::testkit::{Kit, check};

#[test]
fn another_redis_desktop_manager() {
    let mut kit = Kit::new();
    assert_eq!(kit.run("CONFIG GET databases"), r#"["databases", "16"]"#);
    // It takes what stands behind the header of this section, which must be there without any key, too.
    assert!(kit.run("INFO").contains("# Keyspace\\r\\n"));
    let all = info(&mut kit, "INFO");
    for (section, fields) in [
        ("Server", &["redis_version", "os", "process_id"][..]),
        ("Memory", &["used_memory", "used_memory_peak", "used_memory_lua"]),
        ("Clients", &["connected_clients"]),
        ("Stats", &["total_connections_received", "total_commands_processed"]),
    ] {
        fields.iter().for_each(|field| assert!(all[section].contains_key(*field), "{field}"));
    }
    kit.play(
        r#"
        > SELECT 1
        +OK
        > RPUSH l a
        1
        > XADD x 1-1 f v
        "1-1"
        > HSET h f v
        1
        > SCAN 0 MATCH l* COUNT 500
        ["0", ["l"]]
        > TYPE l
        +list
        > PTTL l
        -1
        > HSCAN h 0 MATCH * COUNT 200
        ["0", ["f", "v"]]
        > HTTL h FIELDS 1 f
        [-1]
        > XREVRANGE x + - COUNT 200
        [["1-1", ["f", "v"]]]
        > XINFO GROUPS x
        []
        > SLOWLOG GET 100
        []
        > CONFIG GET slowlog-*
        ["slowlog-log-slower-than", "10000", "slowlog-max-len", "128"]
        2> MONITOR
        +OK
        "#,
    );
    assert!(kit.run("MEMORY USAGE l").parse::<u64>().is_ok());
    assert!(info(&mut kit, "INFO KEYSPACE")["Keyspace"]["db1"].starts_with("keys=3,expires=0,avg_ttl=0"));
    let dump = kit.run("DUMP h");
    assert_eq!(kit.run(&format!("RESTORE h 0 {dump} REPLACE")), "+OK");
    assert!(kit.run("SENTINEL get-master-addr-by-name m").starts_with("-ERR unknown command"));
}

#[test]
fn redis_desktop_manager_counts_databases_by_selecting_them() {
    let mut kit = Kit::new();
    assert_eq!(kit.run("PING"), "+PONG");
    assert!(info(&mut kit, "INFO ALL").len() > 10);
    for index in 0..16 {
        assert_eq!(kit.run(&format!("SELECT {index}")), "+OK");
    }
    assert_eq!(kit.run("SELECT 16"), "-ERR DB index is out of range");
}

#[test]
fn redis_insight() {
    let mut kit = Kit::new();
    let all = info(&mut kit, "INFO");
    for (section, fields) in [
        ("Server", &["redis_version", "uptime_in_days", "uptime_in_seconds", "redis_mode"][..]),
        ("Clients", &["connected_clients"]),
        ("Memory", &["used_memory", "maxmemory_policy", "maxmemory", "number_of_cached_scripts"]),
        (
            "Stats",
            &[
                "instantaneous_ops_per_sec",
                "instantaneous_input_kbps",
                "instantaneous_output_kbps",
                "keyspace_hits",
                "keyspace_misses",
            ],
        ),
        ("Replication", &["role", "connected_slaves"]),
        ("CPU", &["used_cpu_sys", "used_cpu_user"]),
    ] {
        fields.iter().for_each(|field| assert!(all[section].contains_key(*field), "{section}: {field}"));
    }
    kit.play(
        r#"
        > CLUSTER INFO
        -ERR This instance has cluster support disabled
        > MODULE LIST
        []
        > COMMAND INFO json.get ft.info bf.info
        [nil, nil, nil]
        > CONFIG GET databases
        ["databases", "16"]
        > DBSIZE
        0
        > SET k v
        +OK
        > SCAN 0 MATCH * COUNT 10000 TYPE string
        ["0", ["k"]]
        > TYPE k
        +string
        > TTL k
        -1
        > SLOWLOG GET 50
        []
        > CONFIG GET slowlog*
        ["slowlog-log-slower-than", "10000", "slowlog-max-len", "128"]
        > CONFIG GET io-threads
        ["io-threads", "1"]
        > COMMAND INFO ARGET
        [nil]
        "#,
    );
    assert!(kit.run("MEMORY USAGE k SAMPLES 0").parse::<u64>().is_ok());
    assert!(kit.run("ACL CAT dangerous").contains("\"flushall\""));
    assert!(kit.run("SENTINEL MASTERS").starts_with("-ERR unknown command 'SENTINEL'"));
    assert!(kit.run("CLIENT LIST").contains("id=1 addr="));
    assert!(kit.run("HELLO").contains("\"version\", \"8.0.0\""));
    assert_eq!(kit.run("MONITOR"), "+OK");
}

#[test]
fn redis_commander_looks_for_flags_of_commands() {
    let mut kit = Kit::new();
    let commands = kit.run("COMMAND");
    assert!(commands.contains(r#"["get", 2, [+readonly, +fast], 1, 1, 1, [+@read, +@string, +@fast]"#), "flags of GET");
    assert_eq!(kit.run("MODULE LIST"), "[]");
    assert_eq!(info(&mut kit, "INFO cluster")["Cluster"]["cluster_enabled"], "0");
    assert!(info(&mut kit, "INFO keyspace").contains_key("Keyspace"));
    kit.run("HSET h f value");
    if let Some(reply) = if_known(&mut kit, r#"EVAL "return redis.call('HSTRLEN',KEYS[1],ARGV[1])" 1 h f"#) {
        assert_eq!(reply, "5");
    }
}

#[test]
fn tiny_rdm() {
    let mut kit = Kit::new();
    kit.run("SET k v EX 100");
    assert!(kit.run("HELLO 3").contains("\"proto\": 3"));
    assert_eq!(kit.run("CLIENT SETNAME TinyRDM%20local"), "+OK");
    assert_eq!(kit.run("PING"), "+PONG");
    assert_eq!(kit.run("CONFIG GET databases"), r#"{"databases": "16"}"#);
    let keyspace = &info(&mut kit, "INFO keyspace")["Keyspace"]["db0"];
    assert!(keyspace.starts_with("keys=1,expires=1,avg_ttl="), "{keyspace}");
    let server = &info(&mut kit, "INFO server")["Server"];
    // Fields by which it takes the server for another product.
    assert!(!server.keys().any(|name| name.starts_with("valkey_") || name.starts_with("dragonfly_")));
    assert_eq!(kit.run("DBSIZE"), "1");
    assert_eq!(kit.run("SCAN 0 MATCH * COUNT 10000"), r#"["0", ["k"]]"#);
    assert!(kit.run("MEMORY USAGE k").parse::<u64>().is_ok());
    assert_eq!(kit.run("SLOWLOG GET 100"), "[]");
    assert!(kit.run("CLIENT LIST").contains("name=TinyRDM%20local"));
}

#[test]
fn php_redis_admin_dbeaver_and_nosql4idea() {
    check(
        r#"
        > CONFIG GET databases
        ["databases", "16"]
        > SET k 12
        +OK
        > OBJECT ENCODING k
        "int"
        > OBJECT ENCODING nosuch
        nil
        "#,
    );
}
