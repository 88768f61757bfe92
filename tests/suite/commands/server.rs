//! Commands about the server.

use redstart::server::{Port, Server};
use redstart::testkit::{Kit, check};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn config_is_read_and_set() {
    check(
        r#"
        > CONFIG GET maxmemory hz
        ["maxmemory", "0", "hz", "10"]
        > CONFIG GET noconfig
        []
        > CONFIG SET maxmemory 100mb hz 20
        +OK
        ~
        # resp3
        > CONFIG GET maxmemory HZ
        {"maxmemory": "104857600", "HZ": "20"}
        > CONFIG SET maxmemory 1 hz abc
        -ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer
        > CONFIG GET maxmemory
        {"maxmemory": "104857600"}
        > CONFIG SET foo bar
        -ERR Unknown option or number of arguments for CONFIG SET - 'foo'
        > CONFIG SET foo
        -ERR wrong number of arguments for 'config|set' command
        > CONFIG SET maxmemory 0 hz
        -ERR wrong number of arguments for 'config|set' command
        > CONFIG SET daemonize yes
        -ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config
        > CONFIG GET
        -ERR wrong number of arguments for 'config|get' command
        > CONFIG REWRITE
        -ERR The server is running without a config file
        > CONFIG RESETSTAT
        +OK
        > CONFIG RESETSTAT x
        -ERR wrong number of arguments for 'config|resetstat' command
        > CONFIG FOO
        -ERR unknown subcommand 'FOO'. Try CONFIG HELP.
        "#,
    );
}

#[test]
fn info_has_sections() {
    check(
        r##"
        > INFO keyspace
        "# Keyspace\r\n"
        > INFO nosection
        ""
        > SET k v EX 100
        +OK
        > INFO KeySpace CLUSTER
        "# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\ndb0:keys=1,expires=1,avg_ttl=0,subexpiry=0\r\n"
        # resp3
        > INFO modules
        =txt:# Modules\r\n
        "##,
    );
    let mut kit = Kit::new();
    let titles = |text: &str| -> Vec<String> {
        text.split("\\r\\n").filter_map(|line| line.trim_start_matches('"').strip_prefix("# ").map(str::to_owned)).collect()
    };
    let by_default =
        "Server Clients Memory Persistence Threads Stats Replication CPU Modules Errorstats Cluster Keyspace Keysizes";
    let all = "Server Clients Memory Persistence Threads Stats Replication CPU Modules Commandstats Errorstats Latencystats \
               Cluster Keyspace Keysizes";
    for (request, wanted) in [("INFO", by_default), ("INFO default", by_default), ("INFO all", all), ("INFO EVERYTHING cpu", all)]
    {
        let text = kit.run(request);
        assert_eq!(titles(&text), wanted.split_whitespace().collect::<Vec<_>>(), "{request}");
        for part in ["redis_version:8.0.0\\r\\n", "server_name:redstart\\r\\n", "redstart_version:", "connected_clients:1\\r\\n"]
        {
            assert!(text.contains(part), "{part} in {request}");
        }
    }
    kit.run("GET");
    let text = kit.run("INFO commandstats errorstats");
    assert!(text.contains("cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"), "{text}");
    assert!(text.contains("errorstat_ERR:count=1"), "{text}");
    assert!(kit.run("INFO latencystats").contains("latency_percentiles_usec_info:p50="));
}

#[test]
fn slow_commands_are_noted() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > SLOWLOG LEN
        0
        # config slowlog-log-slower-than 0
        > SET k v
        +OK
        # config slowlog-log-slower-than -1
        > SLOWLOG GET -2
        -ERR count should be greater than or equal to -1
        > SLOWLOG GET abc
        -ERR count should be greater than or equal to -1
        > SLOWLOG GET 0
        []
        "#,
    );
    let text = kit.run("SLOWLOG GET");
    assert!(text.contains(r#"["SET", "k", "v"], "", """#), "{text}");
    kit.play("> SLOWLOG RESET\n+OK\n> SLOWLOG GET\n[]\n> SLOWLOG FOO\n-ERR unknown subcommand 'FOO'. Try SLOWLOG HELP.");
}

#[test]
fn remarkable_commands_are_logged_by_type() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > COMMANDLOG GET 1 slow
        []
        > COMMANDLOG GET x slow
        -ERR count should be greater than or equal to -1
        > COMMANDLOG GET 1 quick
        -ERR type should be one of the following: slow, large-request, large-reply
        > COMMANDLOG LEN large-request
        0
        # config commandlog-request-larger-than 40
        > SET key 0123456789
        +OK
        > SET key 012345678901
        +OK
        > COMMANDLOG LEN large-request
        2
        # config commandlog-request-larger-than -1
        # config commandlog-reply-larger-than 19
        > GET key
        "012345678901"
        > MULTI
        +OK
        > GET key
        +QUEUED
        > EXEC
        ["012345678901"]
        # config commandlog-reply-larger-than -1
        "#,
    );
    // *3 $3 SET $3 key $12 ...: the framing counts.
    assert!(kit.run("COMMANDLOG GET -1 large-request").contains(r#", 41, ["SET", "key", "012345678901"], "", ""]"#));
    let replies = kit.run("COMMANDLOG GET -1 large-reply");
    // EXEC is not noted itself: what it ran is.
    assert!(replies.contains(r#", 19, ["GET", "key"], "#) && !replies.contains("EXEC"), "{replies}");
    kit.play("> COMMANDLOG LEN large-reply\n2\n> COMMANDLOG RESET large-reply\n+OK\n> COMMANDLOG LEN large-reply\n0");
    assert!(kit.run("COMMANDLOG HELP").contains("large-reply"));
}

#[test]
fn latency_is_watched() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > LATENCY LATEST
        []
        > LATENCY HISTORY command
        []
        > LATENCY GRAPH command
        -ERR No samples available for event 'command'
        > LATENCY RESET command
        0
        > LATENCY HISTOGRAM nocmd
        []
        > LATENCY HISTORY
        -ERR wrong number of arguments for 'latency|history' command
        "#,
    );
}

#[test]
fn spikes_are_recorded() {
    let mut kit = debugging();
    kit.play("# config latency-monitor-threshold 1\n> DEBUG SLEEP 0.005\n+OK");
    assert!(kit.run("LATENCY LATEST").starts_with(r#"[["command", 1700000000, "#));
    assert!(kit.run("LATENCY HISTORY command").starts_with("[[1700000000, "));
    assert!(kit.run("LATENCY GRAPH command").contains("command - high"));
    assert!(kit.run("LATENCY DOCTOR").contains("SLOWLOG"));
    assert!(kit.run("LATENCY HISTOGRAM debug").starts_with(r#"["debug", ["calls", 1, "histogram_usec", ["#));
    kit.play("> LATENCY RESET\n1\n> LATENCY LATEST\n[]");
}

#[test]
fn memory_is_told() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > SET k v
        +OK
        > MEMORY USAGE nokey
        nil
        > MEMORY USAGE k FOO 1
        -ERR syntax error
        > MEMORY USAGE k SAMPLES
        -ERR syntax error
        > MEMORY USAGE k SAMPLES -1
        -ERR syntax error
        > MEMORY USAGE k SAMPLES abc
        -ERR value is not an integer or out of range
        > MEMORY PURGE
        +OK
        > MEMORY FOO
        -ERR unknown subcommand 'FOO'. Try MEMORY HELP.
        "#,
    );
    let bytes: usize = kit.run("MEMORY USAGE k").parse().unwrap();
    assert!((16..64).contains(&bytes), "{bytes}");
    let text = kit.run("MEMORY STATS");
    for part in
        [r#""peak.allocated", "#, r#""keys.count", 1, "#, r#""db.0", ["overhead.hashtable.main", "#, r#""fragmentation.bytes", "#]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    // A database that was emptied is listed with what it keeps, one that was never used is not.
    kit.run("DEL k");
    let text = kit.run("MEMORY STATS");
    assert!(text.contains("\"db.0\"") && !text.contains("\"db.1\""), "{text}");
    assert!(!kit.run("MEMORY DOCTOR").is_empty());
    assert!(kit.run("MEMORY MALLOC-STATS").contains("pages"));
}

#[test]
fn the_server_as_a_whole() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > TIME
        ["1700000000", "0"]
        # advance 1500
        > TIME
        ["1700000001", "500000"]
        > ROLE
        ["master", 0, []]
        > MODULE LIST
        []
        > MODULE UNLOAD foo
        -ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
        > MODULE LOAD /nonexistent.so
        -ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
        > MODULE LOADEX
        -ERR wrong number of arguments for 'module|loadex' command
        > LOLWUT VERSION abc
        -ERR value is not an integer or out of range
        > LASTSAVE x
        -ERR wrong number of arguments for 'lastsave' command
        > SHUTDOWN FOO
        -ERR syntax error
        > SHUTDOWN SAVE NOSAVE
        -ERR syntax error
        > SHUTDOWN ABORT NOW
        -ERR syntax error
        > SHUTDOWN ABORT
        -ERR No shutdown in progress.
        > DEBUG SLEEP 0
        -ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
        "#,
    );
    for container in ["MODULE HELP", "LATENCY HELP", "CONFIG HELP", "MEMORY HELP", "SLOWLOG HELP", "COMMAND HELP", "CLIENT HELP"]
    {
        assert!(kit.run(container).contains("Subcommands are:"), "{container}");
    }
    assert!(kit.run("LOLWUT").contains("Redis ver. 8.0.0"));
    assert!(kit.run("LASTSAVE").parse::<i64>().unwrap() > 0);
    assert_eq!(kit.run("SHUTDOWN NOSAVE"), "");
    assert_eq!(kit.world.orders.len(), 1);
}

fn debugging() -> Kit {
    let mut kit = Kit::new();
    kit.world.config.enable_debug_command = redstart::config::Protected::Yes;
    kit
}

#[test]
fn debug_shows_what_tests_need() {
    let mut kit = debugging();
    kit.play(
        r#"
        > DEBUG FOO
        -ERR unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG HELP.
        > DEBUG SLEEP
        -ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.
        > DEBUG ERROR "MYERR some text"
        -MYERR some text
        > DEBUG SET-ACTIVE-EXPIRE 0
        +OK
        > DEBUG SET-ACTIVE-EXPIRE abc
        +OK
        > DEBUG DIGEST
        +0000000000000000000000000000000000000000
        > DEBUG POPULATE 2
        +OK
        ~
        > GET key:1
        "value:1"
        > DEBUG POPULATE 1 p 10
        +OK
        > GET p:0
        "value:0\x00\x00\x00"
        > DEBUG POPULATE x
        -ERR value is out of range, must be positive
        > DEBUG DIGEST-VALUE nokey
        [+0000000000000000000000000000000000000000]
        > DEBUG SDSLEN nokey
        -ERR no such key
        > DEBUG OBJECT nokey
        -ERR no such key
        > DEBUG HTSTATS abc
        -ERR value is not an integer or out of range
        > DEBUG HTSTATS-KEY p:0
        -ERR The value stored at the specified key is not represented using an hash table
        > DEBUG STRINGMATCH-LEN 1000 a*b
        0
        > DEBUG STRINGMATCH-LEN abc a
        -ERR unknown subcommand or wrong number of arguments for 'STRINGMATCH-LEN'. Try DEBUG HELP.
        > DEBUG CHANGE-REPL-ID
        +OK
        > DEBUG REPLYBUFFER PEAK-RESET-TIME never
        +OK
        > DEBUG REPLYBUFFER foo bar
        -ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.
        "#,
    );
    assert!(kit.run("DEBUG OBJECT p:0").contains("encoding:embstr serializedlength:11 "));
    let one = kit.run("DEBUG DIGEST");
    assert_eq!(one.len(), 41);
    kit.run("SET key:0 other");
    assert_ne!(kit.run("DEBUG DIGEST"), one);
    kit.run("SET key:0 value:0");
    assert_eq!(kit.run("DEBUG DIGEST"), one);
}

#[test]
fn debug_speaks_every_type() {
    let mut kit = debugging();
    kit.play(
        r#"
        > DEBUG PROTOCOL map
        [0, 0, 1, 1, 2, 0]
        > DEBUG PROTOCOL double
        "3.141"
        > DEBUG PROTOCOL attrib
        "Some real reply following the attribute"
        > DEBUG PROTOCOL push
        -ERR RESP2 is not supported by this command
        > DEBUG PROTOCOL foo
        -ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false
        # resp3
        > DEBUG PROTOCOL string
        "Hello World"
        > DEBUG PROTOCOL integer
        12345
        > DEBUG PROTOCOL double
        ,3.141
        > DEBUG PROTOCOL null
        nil
        > DEBUG PROTOCOL array
        [0, 1, 2]
        > DEBUG PROTOCOL map
        {0: #f, 1: #t, 2: #f}
        > DEBUG PROTOCOL bignum
        (1234567999999999999999999999999999999
        > DEBUG PROTOCOL verbatim
        =txt:This is a verbatim\nstring
        > DEBUG PROTOCOL true
        #t
        "#,
    );
    assert_eq!(kit.run("DEBUG PROTOCOL set"), "~[0, 1, 2]");
}

fn ask(client: &mut TcpStream, request: &str) -> String {
    client.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let n = client.read(&mut buffer).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

#[test]
fn listeners_move_with_port_and_bind() {
    let server = Server::builder().port(Port::Auto).start().unwrap();
    let mut client = TcpStream::connect(server.address()).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = ask(&mut client, &format!("CONFIG SET port {}\r\n", taken.local_addr().unwrap().port()));
    assert_eq!(
        refused,
        "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.\r\n"
    );
    let refused = ask(&mut client, "CONFIG SET bind 999.999.999.999\r\n");
    assert_eq!(
        refused,
        "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.\r\n"
    );
    // Still where it was, so a new client gets in; then it moves.
    drop(TcpStream::connect(server.address()).unwrap());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(ask(&mut client, &format!("CONFIG SET port {}\r\n", free.port())), "+OK\r\n");
    assert_eq!(ask(&mut TcpStream::connect(free).unwrap(), "PING\r\n"), "+PONG\r\n");
    assert!(TcpStream::connect(server.address()).is_err());
    assert_eq!(ask(&mut client, "CONFIG SET bind \"\"\r\n"), "+OK\r\n");
    assert!(TcpStream::connect(free).is_err());
    assert_eq!(ask(&mut client, "CONFIG SET bind *\r\n"), "+OK\r\n");
    assert_eq!(ask(&mut TcpStream::connect(free).unwrap(), "PING\r\n"), "+PONG\r\n");
}

#[test]
fn sizes_of_keys_are_counted_when_asked() {
    check(
        r##"
        > SET empty ""
        +OK
        > MSET a 1 b 12 c 123 d 1234
        +OK
        > RPUSH l a b c
        3
        > SADD s 1 2
        2
        > ZADD z 1 a
        1
        > HSET h f v g w
        2
        > XADD x 1 f v
        "1-0"
        > INFO keysizes
        "# Keysizes\r\ndb0_distrib_strings_sizes:0=1,1=1,2=2,4=1\r\ndb0_distrib_lists_items:2=1\r\ndb0_distrib_sets_items:2=1\r\ndb0_distrib_zsets_items:1=1\r\ndb0_distrib_hashes_items:2=1\r\n"
        "##,
    );
}
