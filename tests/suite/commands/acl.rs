//! ACL: users, their rules, and what is refused to them.

use redstart::server::{Port, Server};
use redstart::testkit::{Kit, check};

#[test]
fn users_come_and_go() {
    check(
        r#"
        > ACL WHOAMI
        "default"
        > ACL USERS
        ["default"]
        > ACL LIST
        ["user default on nopass sanitize-payload ~* &* +@all"]
        > ACL SETUSER alice
        +OK
        ~
        > ACL SETUSER "a b"
        -ERR Usernames can't contain spaces or null characters
        > ACL SETUSER "a\x00b"
        -ERR Usernames can't contain spaces or null characters
        > ACL USERS
        ["alice", "default"]
        > ACL GETUSER alice
        ["flags", ["off", "sanitize-payload"], "passwords", [], "commands", "-@all", "keys", "", "channels", "", "selectors", []]
        > ACL GETUSER bob
        nil
        > ACL DELUSER alice bob
        1
        > ACL DELUSER bob default
        -ERR The 'default' user cannot be removed
        > ACL USERS
        ["default"]
        > ACL USERS x
        -ERR wrong number of arguments for 'acl|users' command
        > ACL FOO
        -ERR unknown subcommand 'FOO'. Try ACL HELP.
        # resp3
        > ACL SETUSER alice on >secret ~k* %R~r* &c* +@read -get (+set %W~w*)
        +OK
        > ACL GETUSER alice
        {"flags": ~["on", "sanitize-payload"], "passwords": ["2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"], "commands": "-@all +@read -get", "keys": "~k* %R~r*", "channels": "&c*", "selectors": [{"commands": "-@all +set", "keys": "%W~w*", "channels": ""}]}
        > ACL LIST
        ["user alice on sanitize-payload #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~k* %R~r* resetchannels &c* -@all +@read -get (%W~w* resetchannels -@all +set)", "user default on nopass sanitize-payload ~* &* +@all"]
        > ACL SETUSER alice reset
        +OK
        > ACL LIST
        ["user alice off sanitize-payload resetchannels -@all", "user default on nopass sanitize-payload ~* &* +@all"]
        "#,
    );
}

#[test]
fn a_modifier_that_is_wrong_changes_nothing() {
    let mut kit = Kit::new();
    let head = "-ERR Error in ACL SETUSER modifier";
    let hash = "a".repeat(64);
    let (unknown, syntax) = ("Unknown command or category name in ACL", "Syntax error");
    let no_hash = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    let no_password = "The password you are trying to remove from the user does not exist";
    let of_subcommand = "Allowing first-arg of a subcommand is not supported";
    for (modifier, reason) in [
        ("+nosuch", unknown),
        ("-nosuch", unknown),
        ("+@nosuch", unknown),
        ("+config|nosuch", unknown),
        ("-config|nosuch", unknown),
        ("+get|a|b", unknown),
        ("-select|0", unknown),
        ("+", unknown),
        ("+config|get|dir", of_subcommand),
        ("+config|", syntax),
        ("nosuch", syntax),
        ("@all", syntax),
        ("%X~a", syntax),
        ("%RR~a", syntax),
        ("#abc", no_hash),
        (&format!("#{}", "A".repeat(64)), no_hash),
        ("!abc", no_hash),
        ("<secret", no_password),
        (&format!("!{hash}"), no_password),
        ("(+nosuch)", unknown),
    ] {
        let reply = kit.run(&format!("ACL SETUSER u on {modifier}"));
        assert_eq!(reply, format!("{head} '{modifier}': {reason}"));
        assert_eq!(kit.run("ACL GETUSER u"), "nil", "{modifier}");
    }
    kit.play(
        r#"
        > ACL SETUSER u "~a b"
        -ERR Error in ACL SETUSER modifier '~a b': Syntax error
        > ACL SETUSER u allkeys ~k
        -ERR Error in ACL SETUSER modifier '~k': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns
        > ACL SETUSER u &* &c
        -ERR Error in ACL SETUSER modifier '&c': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels
        > ACL SETUSER u (+get ~k (+set
        -ERR Unmatched parenthesis in acl selector starting at '(+get'.
        > ACL SETUSER u )
        -ERR Error in ACL SETUSER modifier ')': Syntax error
        > ACL GETUSER u
        nil
        "#,
    );
}

#[test]
fn rules_about_commands_are_kept_in_order_and_without_those_that_mean_nothing_any_more() {
    let mut kit = Kit::new();
    for (modifiers, wanted) in [
        ("+@all -@hash -@slow +hget", "+@all -@hash -@slow +hget"),
        ("-@hash", "+@all -@slow +hget -@hash"),
        ("+@HASH", "+@all -@slow +hget +@hash"),
        ("allcommands", "+@all"),
        ("nocommands", "-@all"),
        ("+HGET +hGet", "-@all +hget"),
        ("-@all +hget -hset +hset -hget", "-@all +hset -hget"),
        ("-@all +client|list +config|get +config +acl|list -acl", "-@all +client|list +config -acl"),
        ("-@all +select|0 +select|0 +debug|segfault +debug", "-@all +select|0 +debug"),
        ("-@all +config +config|get -config|set +config", "-@all +config"),
        ("-@all -@dangerous", "-@all -@dangerous"),
        ("reset", "-@all"),
    ] {
        assert_eq!(kit.run(&format!("ACL SETUSER u {modifiers}")), "+OK");
        assert!(kit.run("ACL GETUSER u").contains(&format!("\"commands\", \"{wanted}\", ")), "{modifiers}");
    }
    for (modifiers, keys) in
        [("%R~foo %W~foo %RW~bar", "~foo ~bar"), ("resetkeys %r~a %W~b ~c ~c", "%R~a %W~b ~c"), ("~*", "~*"), ("resetkeys", "")]
    {
        assert_eq!(kit.run(&format!("ACL SETUSER u {modifiers}")), "+OK");
        assert!(kit.run("ACL GETUSER u").contains(&format!("\"keys\", \"{keys}\", ")), "{modifiers}");
    }
}

#[test]
fn what_is_not_allowed_is_refused() {
    check(
        r#"
        > ACL SETUSER u on nopass
        +OK
        2> AUTH u any
        +OK
        2> GET k
        -NOPERM User u has no permissions to run the 'get' command
        2> ACL WHOAMI
        -NOPERM User u has no permissions to run the 'acl|whoami' command
        2> AUTH u x
        +OK
        2> GET
        -ERR wrong number of arguments for 'get' command
        # Changes are felt at once.
        > ACL SETUSER u +@read +set +acl|whoami
        +OK
        2> ACL WHOAMI
        "u"
        2> GET k
        -NOPERM No permissions to access a key
        2> SET k v
        -NOPERM No permissions to access a key
        ~
        > ACL SETUSER u %R~r* %W~w*
        +OK
        2> GET r
        nil
        2> GET w
        -NOPERM No permissions to access a key
        2> SET r v
        -NOPERM No permissions to access a key
        2> SET w v
        +OK
        ~ SET w v
        2> SET w v GET
        -NOPERM No permissions to access a key
        2> MGET r1 r2 x
        -NOPERM No permissions to access a key
        # Looking at a key takes any access to it.
        2> EXISTS r w
        1
        2> EXISTS x
        -NOPERM No permissions to access a key
        # A command allowed with one first argument.
        > ACL SETUSER u +select|0 -@read
        +OK
        2> SELECT 0
        +OK
        2> SELECT 1
        -NOPERM User u has no permissions to run the 'select' command
        2> RESET
        +RESET
        2> ACL WHOAMI
        "default"
        "#,
    );
}

#[test]
fn containers_and_their_subcommands() {
    check(
        r#"
        > ACL SETUSER u on nopass +@all -client +client|id (-@all)
        +OK
        2> AUTH u x
        +OK
        2> CLIENT ID
        2
        2> CLIENT GETNAME
        -NOPERM User u has no permissions to run the 'client|getname' command
        > ACL SETUSER u +client -client|id
        +OK
        2> CLIENT GETNAME
        nil
        2> CLIENT ID
        -NOPERM User u has no permissions to run the 'client|id' command
        2> CLIENT NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.
        > ACL SETUSER u reset on nopass +@string
        +OK
        2> AUTH u x
        +OK
        2> LPUSH l a
        -NOPERM User u has no permissions to run the 'lpush' command
        "#,
    );
}

#[test]
fn channels_are_guarded() {
    check(
        r#"
        > ACL SETUSER u on nopass +@all
        +OK
        2> AUTH u x
        +OK
        2> PUBLISH c m
        -NOPERM No permissions to access a channel
        2> SPUBLISH c m
        -NOPERM No permissions to access a channel
        2> SUBSCRIBE c
        -NOPERM No permissions to access a channel
        2> SSUBSCRIBE c
        -NOPERM No permissions to access a channel
        2> PSUBSCRIBE c*
        -NOPERM No permissions to access a channel
        2> UNSUBSCRIBE other
        ["unsubscribe", "other", 0]
        > ACL SETUSER u &c* &news
        +OK
        2> PUBLISH channel m
        0
        2> PUBLISH newspaper m
        -NOPERM No permissions to access a channel
        2> SUBSCRIBE news x
        -NOPERM No permissions to access a channel
        # A pattern must be one of the user's own: it might fit more than any of them.
        2> PSUBSCRIBE c
        -NOPERM No permissions to access a channel
        2> PSUBSCRIBE c*
        ["psubscribe", "c*", 1]
        2> SUBSCRIBE news
        ["subscribe", "news", 2]
        > ACL SETUSER v allchannels
        +OK
        > CONFIG SET acl-pubsub-default allchannels
        +OK
        > ACL SETUSER w
        +OK
        > ACL LIST
        ["user default on nopass sanitize-payload ~* &* +@all", "user u on nopass sanitize-payload resetchannels &c* &news +@all", "user v off sanitize-payload &* -@all", "user w off sanitize-payload &* -@all"]
        "#,
    );
}

#[test]
fn one_selector_must_allow_all_of_a_request() {
    check(
        r#"
        > ACL SETUSER u on nopass (+@write ~w*) (+@read ~r*) (+copy %R~r* %W~w*)
        +OK
        2> AUTH u x
        +OK
        2> SET w v
        +OK
        2> GET r
        nil
        2> GET w
        -NOPERM No permissions to access a key
        2> PING
        -NOPERM User u has no permissions to run the 'ping' command
        2> COPY r w
        0
        2> COPY w r
        -NOPERM No permissions to access a key
        2> RENAME w r
        -NOPERM No permissions to access a key
        > ACL SETUSER u clearselectors
        +OK
        2> GET r
        -NOPERM User u has no permissions to run the 'get' command
        "#,
    );
}

#[test]
fn dryrun_judges_without_running() {
    check(
        r#"
        > ACL SETUSER u +@all -debug %R~read* %W~write* %RW~rw* &c
        +OK
        > ACL DRYRUN u GET read
        +OK
        > ACL DRYRUN u GET write
        "User u has no permissions to access the 'write' key"
        > ACL DRYRUN u DEBUG JMAP
        "User u has no permissions to run the 'debug' command"
        > ACL DRYRUN u SUBSCRIBE c d
        "User u has no permissions to access the 'd' channel"
        > ACL DRYRUN u SUNSUBSCRIBE d
        +OK
        > ACL DRYRUN u SORT read STORE write
        +OK
        > ACL DRYRUN u SORT read STORE read
        "User u has no permissions to access the 'read' key"
        > ACL DRYRUN u SORT read LIMIT STORE 1 GET STORE STORE write
        +OK
        > ACL DRYRUN u GEORADIUS read 0 0 1 M STORE write STORE read
        "User u has no permissions to access the 'read' key"
        > ACL DRYRUN u BITFIELD read GET u8 0
        +OK
        > ACL DRYRUN u BITFIELD read GET u8 0 INCRBY u8 0 1
        "User u has no permissions to access the 'read' key"
        > ACL DRYRUN u SPUBLISH d x
        "User u has no permissions to access the 'd' channel"
        # What cannot be understood will fail by itself.
        > ACL DRYRUN u SINTERCARD 3 nothing
        +OK
        > ACL DRYRUN nobody GET read
        -ERR User 'nobody' not found
        > ACL DRYRUN u NOSUCH read
        -ERR Command 'NOSUCH' not found
        > ACL DRYRUN u CONFIG nosuch
        -ERR Command 'CONFIG' not found
        > ACL DRYRUN u CONFIG
        -ERR wrong number of arguments for 'config' command
        > ACL DRYRUN u SET k
        -ERR wrong number of arguments for 'set' command
        > EXISTS write
        0
        "#,
    );
}

#[test]
fn categories_and_passwords_to_use() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > ACL CAT
        ["keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"]
        > ACL CAT transaction
        ["discard", "exec", "multi", "unwatch", "watch"]
        > ACL CAT NoSuch
        -ERR Unknown category 'NoSuch'
        > ACL CAT a b
        -ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.
        > ACL GENPASS 0
        -ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096
        > ACL GENPASS 4097
        -ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096
        > ACL GENPASS x
        -ERR value is not an integer or out of range
        > ACL GENPASS 1 2
        -ERR unknown subcommand or wrong number of arguments for 'GENPASS'. Try ACL HELP.
        > ACL HELP x
        -ERR wrong number of arguments for 'acl|help' command
        > ACL LOG x
        -ERR value is not an integer or out of range
        > ACL LOG -1
        []
        "#,
    );
    let (one, other) = (kit.run("ACL GENPASS"), kit.run("ACL GENPASS"));
    assert!(one != other && one.len() == 66 && one.trim_matches('"').bytes().all(|digit| digit.is_ascii_hexdigit()), "{one}");
    assert_eq!(kit.run("ACL GENPASS 5").len(), 4);
    assert_eq!(kit.run("ACL GENPASS 4096").len(), 1026);
    assert!(kit.run("ACL HELP").contains("GENPASS"));
    for category in ["@admin", "@dangerous", "@slow"] {
        assert!(kit.run("COMMAND INFO acl|setuser").contains(category));
    }
}

/// The fields of the latest entries of ACL LOG: count, reason, context, object and user.
fn log(kit: &mut Kit) -> Vec<String> {
    let reply = kit.run("ACL LOG");
    let entries = reply.split("[\"count\", ").skip(1);
    let field = |entry: &str, name: &str| {
        let rest = entry.split(&format!("\"{name}\", \"")).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    entries
        .map(|entry| {
            let count = entry.split(',').next().unwrap_or_default();
            let fields = ["reason", "context", "object", "username"].map(|name| field(entry, name));
            format!("{count} {}", fields.join(" "))
        })
        .collect()
}

#[test]
fn refusals_are_noted() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > ACL SETUSER u on >p +@all -get -incr ~k &c
        +OK
        2> AUTH u wrong
        -WRONGPASS invalid username-password pair or user is disabled.
        2> AUTH u wronger
        -WRONGPASS invalid username-password pair or user is disabled.
        2> HELLO 3 AUTH nobody x
        -WRONGPASS invalid username-password pair or user is disabled.
        2> AUTH u p
        +OK
        2> GET k
        -NOPERM User u has no permissions to run the 'get' command
        2> SET other v
        -NOPERM No permissions to access a key
        2> PUBLISH d m
        -NOPERM No permissions to access a channel
        2> MULTI
        +OK
        2> INCR k
        -NOPERM User u has no permissions to run the 'incr' command
        2> EXEC
        -EXECABORT Transaction discarded because of previous errors.
        "#,
    );
    let noted = [
        "1 command multi incr u",
        "1 channel toplevel d u",
        "1 key toplevel other u",
        "1 command toplevel get u",
        "1 auth toplevel HELLO nobody",
        "2 auth toplevel AUTH u",
    ];
    assert_eq!(log(&mut kit), noted);
    let info = kit.run("INFO stats");
    for (what, count) in [("auth", 3), ("cmd", 2), ("key", 1), ("channel", 1)] {
        assert!(info.contains(&format!("acl_access_denied_{what}:{count}\\r\\n")), "{what}");
    }
    // One like it a minute later is an entry of its own; an age is told in seconds.
    kit.advance(60_001);
    kit.run_as(2, "GET k");
    assert_eq!(log(&mut kit)[0], "1 command toplevel get u");
    kit.advance(1500);
    assert!(kit.run("ACL LOG 1").contains("\"age-seconds\", \"1.5\", "));
    kit.play(
        r#"
        # config acllog-max-len 2
        2> SET x y
        -NOPERM No permissions to access a key
        "#,
    );
    assert_eq!(log(&mut kit), ["1 key toplevel x u", "1 command toplevel get u"]);
    // Of a script's command the client that runs the script is told.
    kit.run_as(2, "EVAL \"return redis.pcall('get', KEYS[1])\" 1 k");
    assert_eq!(log(&mut kit)[0], "1 command lua get u");
    let told = kit.run("ACL LOG 1");
    assert!(told.contains(" cmd=eval user=u ") && !told.contains("addr=lua"), "{told}");
    assert_eq!(kit.run("ACL LOG RESET"), "+OK");
    assert_eq!(kit.run("ACL LOG"), "[]");
}

#[test]
fn a_transaction_is_judged_when_it_runs_too() {
    check(
        r#"
        > ACL SETUSER u on nopass +@all ~* &*
        +OK
        2> AUTH u x
        +OK
        2> MULTI
        +OK
        2> SET k v
        +QUEUED
        2> INCR n
        +QUEUED
        2> PUBLISH c m
        +QUEUED
        2> SET l v
        +QUEUED
        > ACL SETUSER u -incr resetkeys ~k resetchannels
        +OK
        2> EXEC
        [+OK, -NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand, -NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to access one of the channels used as arguments, -NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to touch the specified keys]
        ~ SET k v
        "#,
    );
}

#[test]
fn clients_are_told_apart_by_their_users() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > ACL SETUSER u on >p +@all ~*
        +OK
        > ACL SETUSER u <q
        -ERR Error in ACL SETUSER modifier '<q': The password you are trying to remove from the user does not exist
        2> AUTH u p
        +OK
        > CLIENT KILL USER v
        -ERR No such user 'v'
        > CLIENT KILL USER default
        0
        "#,
    );
    let clients = kit.run("CLIENT LIST");
    assert!(clients.contains("cmd=auth user=u redir") && clients.contains("cmd=client|list user=default redir"), "{clients}");
    assert!(kit.run_as(2, "CLIENT INFO").contains(" user=u "));
    kit.play(
        r#"
        > CLIENT KILL USER u
        1
        > CLIENT KILL USER u
        0
        "#,
    );
    assert!(!kit.run("CLIENT LIST").contains("user=u"));
}

#[test]
fn passwords_are_shown_to_nobody() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        # config slowlog-log-slower-than 0
        # config slowlog-max-len 100
        > SLOWLOG RESET
        +OK
        2> MONITOR
        +OK
        > ACL SETUSER u on >secret
        +OK
        > ACL GETUSER u
        ["flags", ["on", "sanitize-payload"], "passwords", ["2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"], "commands", "-@all", "keys", "", "channels", "", "selectors", []]
        > CONFIG SET timeout 0 requirepass secret masterauth secret
        +OK
        > AUTH secret
        +OK
        > AUTH default secret
        +OK
        > HELLO 2 AUTH default secret SETNAME me
        ["server", "redis", "version", "8.0.0", "proto", 2, "id", 1, "mode", "standalone", "role", "master", "modules", []]
        > AUTH secrets
        -WRONGPASS invalid username-password pair or user is disabled.
        "#,
    );
    let (seen, slow, refused) = (kit.take_heard(2), kit.run("SLOWLOG GET 100"), kit.run("ACL LOG"));
    for shown in [&seen, &slow, &refused] {
        assert!(!shown.contains("secret"), "{shown}");
    }
    assert!(seen.contains("\"AUTH\" \"(redacted)\" \"(redacted)\""), "{seen}");
    assert!(seen.contains("\"HELLO\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"me\""), "{seen}");
    for wanted in [
        r#"["ACL", "SETUSER", "(redacted)", "(redacted)", "(redacted)"]"#,
        r#"["ACL", "GETUSER", "(redacted)"]"#,
        r#"["CONFIG", "SET", "timeout", "0", "requirepass", "(redacted)", "masterauth", "(redacted)"]"#,
        r#"["AUTH", "(redacted)"]"#,
    ] {
        assert!(slow.contains(wanted), "{wanted} in {slow}");
    }
}

#[test]
fn the_default_user_has_the_password_of_requirepass() {
    check(
        r#"
        # config requirepass one
        > ACL LIST
        ["user default on sanitize-payload #7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed ~* &* +@all"]
        > ACL SETUSER default >two
        +OK
        2> PING
        -NOAUTH Authentication required.
        2> AUTH one
        +OK
        2> AUTH two
        +OK
        2> AUTH default three
        -WRONGPASS invalid username-password pair or user is disabled.
        2> PING
        +PONG
        3> GET k
        -NOAUTH Authentication required.
        3> HELLO
        -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
        > ACL SETUSER default nopass
        +OK
        3> GET k
        nil
        > CONFIG GET requirepass
        ["requirepass", "one"]
        > ACL SETUSER default resetpass off
        +OK
        3> GET k
        -NOAUTH Authentication required.
        3> AUTH default x
        -WRONGPASS invalid username-password pair or user is disabled.
        # Who is logged in stays so.
        2> GET k
        nil
        "#,
    );
}

/// A directory that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("redstart-acl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn users_live_in_a_file() {
    let folder = Folder::new("file");
    let mut kit = Kit::new();
    assert!(kit.run("ACL LOAD").starts_with("-ERR This Redis instance is not configured to use an ACL file."));
    assert!(kit.run("ACL SAVE").starts_with("-ERR This Redis instance is not configured to use an ACL file."));
    kit.world.config.dir = folder.0.display().to_string();
    kit.world.config.aclfile = "users.acl".into();
    assert_eq!(kit.run("ACL LOAD"), "-ERR Error loading ACLs, opening file 'users.acl': No such file or directory");
    folder.write("users.acl", "\nuser alice on nopass  +@all ~*  (+get ~k)\r\nuser bob (%W~w* +set)\n\n");
    kit.play(
        r#"
        > ACL SETUSER carol on nopass +@all
        +OK
        2> AUTH carol x
        +OK
        > ACL LOAD
        +OK
        > ACL LIST
        ["user alice on nopass sanitize-payload ~* resetchannels +@all (~k resetchannels -@all +get)", "user bob off sanitize-payload resetchannels -@all (%W~w* resetchannels -@all +set)", "user default on nopass sanitize-payload ~* &* +@all"]
        # Carol is gone, and her connection is closed next.
        2> ACL WHOAMI
        "default"
        > ACL DELUSER bob
        1
        > ACL SAVE
        +OK
        "#,
    );
    let saved = "user alice on nopass sanitize-payload ~* resetchannels +@all (~k resetchannels -@all +get)\n\
                 user default on nopass sanitize-payload ~* &* +@all\n";
    assert_eq!(folder.read("users.acl"), saved);
    // A file with mistakes is not loaded at all, and passwords in it are not repeated.
    folder.write(
        "users.acl",
        "user alice -@all\nuser alice on\nfoo\nuser x\tx\nuser bob +nosuch >secret #secret\nuser eve (+get\n",
    );
    let reply = kit.run("ACL LOAD");
    for part in [
        "-ERR WARNING: Duplicate user 'alice' found on line 2. users.acl:3 should start with user keyword",
        "'users.acl:4: username 'x\tx' contains invalid characters. ",
        "users.acl:5: Error in applying operation '+nosuch': Unknown command or category name in ACL. users.acl:5: The password hash must",
        "users.acl:6: Unmatched parenthesis in selector definition.",
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    ] {
        assert!(reply.contains(part), "{part} in {reply}");
    }
    assert!(!reply.contains("secret"), "{reply}");
    assert!(kit.run("ACL LIST").contains("user alice on nopass"));
    kit.world.config.dir = folder.0.join("gone").display().to_string();
    assert!(kit.run("ACL SAVE").starts_with("-ERR There was an error trying to save the ACLs."));
}

#[test]
fn users_live_in_the_configuration() {
    let folder = Folder::new("conf");
    folder.write("redis.conf", "user default on nopass ~* +@all -flushdb\nuser eve on >p (+get\t~k)\n");
    let mut config = redstart::config::file::load(&folder.0.join("redis.conf")).unwrap();
    let mut kit = Kit::new();
    kit.world.config.users = std::mem::take(&mut config.users);
    kit.world.config.config_file = config.config_file;
    kit.world.load_users().unwrap();
    assert_eq!(kit.run("RESET"), "+RESET");
    kit.play(
        r#"
        > FLUSHDB
        -NOPERM User default has no permissions to run the 'flushdb' command
        > SUBSCRIBE c
        -NOPERM No permissions to access a channel
        > ACL SETUSER "new" on
        +OK
        > CONFIG REWRITE
        +OK
        "#,
    );
    let written = folder.read("redis.conf");
    for line in [
        "user default on nopass sanitize-payload ~* resetchannels +@all -flushdb\n",
        "user eve on sanitize-payload #148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 resetchannels -@all (~k resetchannels -@all +get)\n",
        "user new on sanitize-payload resetchannels -@all\n",
    ] {
        assert!(written.contains(line), "{line} in {written}");
    }
    // What was written is what is read.
    let shown = kit.run("ACL LIST");
    let again = redstart::config::file::load(&folder.0.join("redis.conf")).unwrap();
    let mut kit = Kit::new();
    kit.world.config.users = again.users;
    kit.world.load_users().unwrap();
    assert_eq!(kit.run("ACL LIST"), shown);

    let refusal = |text: &str| redstart::config::file::load_str(text, "test").map(|_| ()).unwrap_err().to_string();
    assert!(refusal("user foo\nuser foo on").contains("Error in user declaration 'foo': Duplicate user found."));
    for (users, aclfile, reason) in [
        ("user u +nosuch", "", "Error loading ACL rules of the user 'u': Error in ACL SETUSER modifier '+nosuch'"),
        ("user \"u u\" on", "", "Spaces not allowed in ACL usernames"),
        ("user u on", "users.acl", "Users are defined in the configuration and there is an aclfile as well"),
        ("", "no/such.acl", "Aborting Redis startup because of ACL errors: Error loading ACLs, opening file 'no/such.acl'"),
    ] {
        let mut kit = Kit::new();
        kit.world.config.users = redstart::config::file::load_str(users, "test").unwrap().users;
        kit.world.config.aclfile = aclfile.into();
        let error = kit.world.load_users().unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
}

#[test]
fn a_server_with_wrong_users_does_not_start() {
    let folder = Folder::new("wrong");
    let program = env!("CARGO_BIN_EXE_redstart");
    let start = |args: &[&str]| {
        let dir = folder.0.display().to_string();
        let mut command = std::process::Command::new(program);
        let output = command.args(args).args(["--port", "0", "--unixsocket", "s", "--dir", &dir]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let texts = [output.stdout, output.stderr].concat();
        String::from_utf8(texts).unwrap()
    };
    assert!(start(&["--user", "foo", "--user", "foo"]).contains("Duplicate user"));
    assert!(start(&["--user", "foo", "on", "+nosuch"]).contains("Unknown command or category name in ACL"));
    assert!(start(&["--aclfile", "none.acl"]).contains("Error loading ACLs, opening file 'none.acl'"));
}

mod over_sockets {
    //! What becomes of connections, which a kit does not have.

    use super::{Folder, Port, Server};
    use crate::support::client::{Address, Client};
    use std::time::Duration;

    fn connect(server: &Server) -> Client {
        Client::connect(&Address::Tcp(server.address())).unwrap()
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_deleted_user_is_closed() {
        let server = Server::builder().port(Port::Auto).start().unwrap();
        let (mut admin, mut user, mut own) = (connect(&server), connect(&server), connect(&server));
        admin.run("ACL SETUSER u on nopass +@all ~*");
        user.run("AUTH u x");
        own.run("AUTH u x");
        // Whoever deletes itself gets the reply.
        assert_eq!(own.run("ACL DELUSER u").integer(), Some(1));
        assert!(own.closes_within(SOON));
        assert!(user.closes_within(SOON));
        admin.run("PING");
    }

    #[test]
    fn subscribers_are_closed_that_may_not_listen_any_more() {
        let server = Server::builder().port(Port::Auto).start().unwrap();
        let mut admin = connect(&server);
        admin.run("ACL SETUSER u on nopass +@all resetchannels &a &p* &s");
        let mut subscribers: Vec<Client> = ["SUBSCRIBE a", "PSUBSCRIBE p*", "SSUBSCRIBE s"]
            .iter()
            .map(|request| {
                let mut client = connect(&server);
                client.run("AUTH u x");
                client.run(request);
                client
            })
            .collect();
        let mut idle = connect(&server);
        idle.run("AUTH u x");
        admin.run("ACL SETUSER u &more allchannels resetchannels &a &p* &s &others");
        subscribers.iter_mut().for_each(|client| assert!(client.send(&["PING"]).is_ok() && client.read().is_ok()));
        admin.run("ACL SETUSER u resetchannels &b &x*");
        subscribers.iter_mut().for_each(|client| assert!(client.closes_within(SOON)));
        idle.run("PING");
        assert_eq!(admin.run("PUBSUB NUMPAT").integer(), Some(0));
    }

    #[test]
    fn loading_the_file_closes_only_whom_it_concerns() {
        let folder = Folder::new("load");
        folder.write("users.acl", "user a on nopass +@all ~* &*\nuser b on nopass +@all &c*\n");
        let server = Server::builder().set("dir", &folder.0.display().to_string()).set("aclfile", "users.acl");
        let server = server.port(Port::Auto).start().unwrap();
        let (mut admin, mut a, mut b, mut c) = (connect(&server), connect(&server), connect(&server), connect(&server));
        admin.run("ACL SETUSER c on nopass +@all &*");
        for (client, name) in [(&mut a, "a"), (&mut b, "b"), (&mut c, "c")] {
            client.run(&format!("AUTH {name} x"));
            client.run("SUBSCRIBE channel");
        }
        folder.write("users.acl", "user a on nopass +@all ~* &*\nuser b on nopass +@all &d*\n");
        admin.run("ACL LOAD");
        assert!(b.closes_within(SOON) && c.closes_within(SOON));
        admin.run("PUBLISH channel hello");
        assert!(a.read().is_ok());
    }

    #[test]
    fn a_request_that_waited_is_judged_again() {
        let server = Server::builder().port(Port::Auto).start().unwrap();
        let (mut admin, mut user) = (connect(&server), connect(&server));
        admin.run("ACL SETUSER u on nopass +@all ~*");
        user.run("AUTH u x");
        user.send(&["BLPOP", "l", "0"]).unwrap();
        while !admin.run("CLIENT LIST").lossy().contains("flags=b") {}
        admin.run("ACL SETUSER u resetkeys");
        admin.run("RPUSH l a");
        assert_eq!(user.read().unwrap().lossy(), "NOPERM No permissions to access a key");
        assert_eq!(admin.run("LLEN l").integer(), Some(1));
        let stats = admin.run("INFO commandstats").lossy();
        assert!(stats.contains("cmdstat_blpop:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"), "{stats}");
    }

    /// CVE-2025-21605: replies to a client that had not logged in and did not read them took memory without end.
    #[test]
    fn strangers_that_do_not_read_are_closed() {
        let server = Server::builder().set("requirepass", "secret").port(Port::Auto).start().unwrap();
        let mut stranger = connect(&server);
        let requests = b"PING\r\n".repeat(10_000);
        // More refusals than the kernel's buffers hold; at the latest then a write fails.
        let closed = (0..2_000).any(|_| stranger.send_raw(&requests).is_err());
        assert!(closed || stranger.closes_within(SOON));
        let mut friend = connect(&server);
        friend.run("AUTH secret");
        assert_eq!(friend.run("CLIENT LIST").lossy().lines().count(), 1);
        // Those who read are refused as often as they like.
        let mut reader = connect(&server);
        for _ in 0..3_000 {
            assert_eq!(reader.run("PING").lossy(), "NOAUTH Authentication required.");
        }
    }

    /// CVE-2021-32675: counts and lengths in requests reserved memory before anybody had logged in.
    #[test]
    fn strangers_have_small_limits_until_they_log_in() {
        let server = Server::builder().set("requirepass", "secret").port(Port::Auto).start().unwrap();
        for (request, reason) in
            [("*11\r\n", "unauthenticated multibulk length"), ("*1\r\n$16385\r\n", "unauthenticated bulk length")]
        {
            let mut stranger = connect(&server);
            stranger.send_raw(request.as_bytes()).unwrap();
            assert_eq!(stranger.read().unwrap().lossy(), format!("ERR Protocol error: {reason}"));
            assert!(stranger.closes_within(SOON));
        }
        let mut friend = connect(&server);
        friend.run("HELLO 3 AUTH default secret");
        let value = "x".repeat(100_000);
        friend.call(&["SET", "k", &value]).unwrap();
        let many: Vec<&str> = std::iter::once("DEL").chain(std::iter::repeat_n("k", 100)).collect();
        assert_eq!(friend.call(&many).unwrap().integer(), Some(1));
        // RESET makes a stranger of a friend.
        friend.run("RESET");
        friend.send_raw(b"*11\r\n").unwrap();
        assert_eq!(friend.read().unwrap().lossy(), "ERR Protocol error: unauthenticated multibulk length");
    }
}
