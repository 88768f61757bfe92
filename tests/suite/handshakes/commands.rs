//! The commands beside those on data that the programs of the other files send, all together: each answers sensibly.

use super::if_known;
use crate::support::glob;
use redstart::config::Protected;
use redstart::testkit::Kit;

/// Requests and the pattern of their replies, in which `*` stands for anything.
fn answers(kit: &mut Kit, expected: &[(&str, &str)]) {
    for (request, pattern) in expected {
        let reply = kit.run(request);
        assert!(glob(pattern, &reply), "{request}: {reply} is not {pattern}");
    }
}

#[test]
fn about_the_connection() {
    let mut kit = Kit::new();
    answers(
        &mut kit,
        &[
            ("HELLO", "[\"server\", *"),
            ("HELLO 2 SETNAME x", "[*\"proto\", 2*"),
            ("AUTH default x", "+OK"),
            ("AUTH x", "-ERR AUTH <password> called without any password configured*"),
            ("PING", "+PONG"),
            ("ECHO x", "\"x\""),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("CLIENT ID", "1"),
            ("CLIENT INFO", "*id=1 addr=*user=default*"),
            ("CLIENT LIST", "*id=1 addr=*"),
            ("CLIENT SETNAME y", "+OK"),
            ("CLIENT GETNAME", "\"y\""),
            ("CLIENT SETINFO LIB-NAME z", "+OK"),
            ("CLIENT KILL ID 77", "0"),
            ("CLIENT NO-EVICT ON", "+OK"),
            ("CLIENT NO-TOUCH OFF", "+OK"),
            ("CLIENT REPLY ON", "+OK"),
            ("CLIENT PAUSE 0 WRITE", "+OK"),
            ("CLIENT UNPAUSE", "+OK"),
            ("CLIENT MAINT_NOTIFICATIONS ON", "-ERR unknown subcommand*"),
            ("SUBSCRIBE c", "[\"subscribe\", \"c\", 1]"),
            // A subscriber of RESP2 gets arrays only.
            ("PING", "[\"pong\", \"\"]"),
            ("RESET", "+RESET"),
            ("QUIT", "+OK"),
        ],
    );
}

#[test]
fn about_commands_and_the_configuration() {
    let mut kit = Kit::new();
    answers(
        &mut kit,
        &[
            ("COMMAND INFO get nosuch", "[[\"get\", 2, [+readonly, +fast], 1, 1, 1, *, nil]"),
            ("COMMAND GETKEYS MSET a 1 b 2", "[\"a\", \"b\"]"),
            ("COMMAND LIST FILTERBY PATTERN xrev*", "[\"xrevrange\"]"),
            ("COMMAND DOCS get", "[\"get\", [\"summary\", *"),
            ("INFO", "*# Server*# Keyspace*"),
            ("INFO all", "*# Commandstats*"),
            ("INFO EVERYTHING", "*# Commandstats*"),
            ("INFO default", "*# Server*# Keyspace*"),
            ("INFO sErVeR clients", "*# Server*# Clients*"),
            ("INFO nosuch", "\"\""),
            ("CONFIG GET maxmem* hz", "[*\"maxmemory\", \"0\"*"),
            ("CONFIG SET hz 20 timeout 0", "+OK"),
            ("CONFIG RESETSTAT", "+OK"),
            ("CONFIG REWRITE", "-ERR The server is running without a config file"),
            ("MODULE LIST", "[]"),
        ],
    );
}

#[test]
fn about_the_server() {
    let mut kit = Kit::new();
    assert_eq!(kit.run_as(2, "MONITOR"), "+OK");
    kit.world.config.enable_debug_command = Protected::Yes;
    answers(
        &mut kit,
        &[
            ("SET k v", "+OK"),
            ("DBSIZE", "1"),
            ("MEMORY USAGE k SAMPLES 5", "*"),
            ("MEMORY STATS", "[\"peak.allocated\", *"),
            ("MEMORY DOCTOR", "*"),
            ("OBJECT ENCODING k", "\"embstr\""),
            ("OBJECT IDLETIME k", "0"),
            ("OBJECT FREQ k", "-ERR An LFU maxmemory policy is not selected*"),
            ("OBJECT REFCOUNT k", "1"),
            ("OBJECT HELP", "[*"),
            ("SLOWLOG GET", "[*]"),
            ("SLOWLOG LEN", "*"),
            ("SLOWLOG RESET", "+OK"),
            ("LATENCY LATEST", "[]"),
            ("LATENCY HISTORY command", "[]"),
            ("LATENCY RESET", "0"),
            ("LATENCY DOCTOR", "*"),
            ("LATENCY HISTOGRAM", "[*"),
            ("ACL WHOAMI", "\"default\""),
            ("ACL LIST", "[\"user default on nopass sanitize-payload *\"]"),
            ("ACL CAT", "[\"keyspace\", *"),
            ("ACL SETUSER u on", "+OK"),
            ("ACL GETUSER u", "[\"flags\", *"),
            ("ACL LOG", "[]"),
            ("ROLE", "[\"master\", 0, []]"),
            ("LASTSAVE", "*"),
            ("DEBUG SLEEP 0", "+OK"),
            ("DEBUG OBJECT k", "+Value at:*"),
            ("DEBUG SET-ACTIVE-EXPIRE 1", "+OK"),
            ("SWAPDB 0 1", "+OK"),
            ("TIME", "[\"1700000000\", *"),
            ("LOLWUT", "*Redis ver. 8.0.0*"),
            ("PUBSUB CHANNELS", "[]"),
            ("PUBSUB NUMSUB c", "[\"c\", 0]"),
            ("PUBSUB NUMPAT", "0"),
            ("PUBSUB SHARDCHANNELS", "[]"),
            ("PUBSUB SHARDNUMSUB", "[]"),
            ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
            ("SHUTDOWN NOSAVE NOW FORCE", ""),
        ],
    );
}

/// On a plain server these say so in the words that programs know.
#[test]
fn about_clusters_and_sentinels() {
    let mut kit = Kit::new();
    const DISABLED: &str = "-ERR This instance has cluster support disabled";
    for request in ["READONLY", "READWRITE", "ASKING"] {
        assert_eq!(kit.run(request), DISABLED, "{request}");
    }
    for subcommand in ["INFO", "NODES", "SLOTS", "SHARDS", "MYID", "KEYSLOT k"] {
        assert_eq!(kit.run(&format!("CLUSTER {subcommand}")), DISABLED, "{subcommand}");
    }
    assert_eq!(kit.run("CLUSTER"), "-ERR wrong number of arguments for 'cluster' command");
    assert!(kit.run("SENTINEL MASTERS").starts_with("-ERR unknown command 'SENTINEL'"));
}

/// What this version may lack is refused in a way that programs take for a no.
#[test]
fn about_scripts_replication_and_files() {
    let mut kit = Kit::new();
    for (request, pattern) in [
        ("SCRIPT EXISTS 0000000000000000000000000000000000000000", "[0]"),
        ("SCRIPT FLUSH", "+OK"),
        ("SCRIPT KILL", "-NOTBUSY*"),
        ("EVAL \"return 1\" 0", "1"),
        ("EVAL_RO \"return 1\" 0", "1"),
        ("EVALSHA 0000000000000000000000000000000000000000 0", "-NOSCRIPT*"),
        ("FUNCTION LIST", "[]"),
        ("FCALL nosuch 0", "-ERR Function not found"),
        ("WAIT 0 0", "0"),
        ("WAITAOF 0 0 0", "[0, 0]"),
        ("FAILOVER", "-ERR FAILOVER requires connected replicas."),
        ("BGSAVE", "+Background saving *"),
        ("BGREWRITEAOF", "+Background append only file rewriting *"),
    ] {
        if let Some(reply) = if_known(&mut kit, request) {
            assert!(glob(pattern, &reply), "{request}: {reply} is not {pattern}");
        }
    }
    for request in ["REPLICAOF NO ONE", "SLAVEOF NO ONE"] {
        if let Some(reply) = if_known(&mut kit, request) {
            assert!(reply.starts_with("+OK"), "{request}: {reply}");
        }
    }
    if let Some(reply) = if_known(&mut kit, "CLIENT TRACKING") {
        assert!(reply.starts_with("-ERR "), "{reply}");
    }
}
