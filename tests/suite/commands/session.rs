//! Commands about connections.

use redstart::server::{Port, Server};
use redstart::testkit::{Kit, check};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn small_talk() {
    check(
        r#"
        > PING
        +PONG
        ~
        > PING hello
        "hello"
        > PING a b
        -ERR wrong number of arguments for 'ping' command
        > ECHO hi
        "hi"
        > ECHO
        -ERR wrong number of arguments for 'echo' command
        > SELECT 15
        +OK
        > SELECT 16
        -ERR DB index is out of range
        > SELECT -1
        -ERR DB index is out of range
        > SELECT abc
        -ERR value is not an integer or out of range
        > SELECT 3000000000
        -ERR value is out of range, value must between -2147483648 and 2147483647
        > RESET x
        -ERR wrong number of arguments for 'reset' command
        > QUIT
        +OK
        "#,
    );
}

#[test]
fn hello_agrees_on_a_protocol() {
    check(
        r#"
        > HELLO
        ["server", "redis", "version", "8.0.0", "proto", 2, "id", 1, "mode", "standalone", "role", "master", "modules", []]
        > HELLO 3 SETNAME me
        {"server": "redis", "version": "8.0.0", "proto": 3, "id": 1, "mode": "standalone", "role": "master", "modules": []}
        > CLIENT GETNAME
        "me"
        > HELLO 4
        -NOPROTO unsupported protocol version
        > HELLO abc
        -ERR Protocol version is not an integer or out of range
        > HELLO 2 FOO
        -ERR Syntax error in HELLO option 'FOO'
        > HELLO 2 SETNAME
        -ERR Syntax error in HELLO option 'SETNAME'
        > HELLO 2 AUTH a
        -ERR Syntax error in HELLO option 'AUTH'
        > HELLO 2 SETNAME "a b"
        -ERR Client names cannot contain spaces, newlines or special characters.
        > HELLO 2 AUTH nouser x
        -WRONGPASS invalid username-password pair or user is disabled.
        > CLIENT TRACKINGINFO
        {"flags": ~["off"], "redirect": -1, "prefixes": []}
        > RESET
        +RESET
        > CLIENT GETNAME
        nil
        > CLIENT TRACKINGINFO
        ["flags", ["off"], "redirect", -1, "prefixes", []]
        "#,
    );
}

#[test]
fn passwords_are_asked_for() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > AUTH x
        -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        > AUTH default anything
        +OK
        > AUTH nouser x
        -WRONGPASS invalid username-password pair or user is disabled.
        > AUTH a b c
        -ERR syntax error
        > AUTH
        -ERR wrong number of arguments for 'auth' command
        # config requirepass secret
        > PING
        +PONG
        > RESET
        +RESET
        > PING
        -NOAUTH Authentication required.
        > CLIENT SETNAME x
        -NOAUTH Authentication required.
        > HELLO 3
        -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
        > AUTH wrong
        -WRONGPASS invalid username-password pair or user is disabled.
        > AUTH default wrong
        -WRONGPASS invalid username-password pair or user is disabled.
        > AUTH secret x y
        -ERR syntax error
        > HELLO 3 AUTH default secret SETNAME me
        {"server": "redis", "version": "8.0.0", "proto": 3, "id": 1, "mode": "standalone", "role": "master", "modules": []}
        > AUTH secret
        +OK
        > INFO errorstats
        =txt:# Errorstats\r\nerrorstat_ERR:count=4\r\nerrorstat_NOAUTH:count=3\r\nerrorstat_WRONGPASS:count=3\r\n
        "#,
    );
}

#[test]
fn clients_describe_themselves() {
    let mut kit = Kit::new();
    kit.play(
        r#"
        > CLIENT ID
        1
        > CLIENT SETNAME "a b"
        -ERR Client names cannot contain spaces, newlines or special characters.
        > CLIENT SETNAME me
        +OK
        > CLIENT GETNAME
        "me"
        > CLIENT SETINFO LIB-NAME lib
        +OK
        > CLIENT SETINFO lib-ver 1.2
        +OK
        > CLIENT SETINFO FOO bar
        -ERR Unrecognized option 'FOO'
        > CLIENT SETINFO lib-name "a b"
        -ERR lib-name cannot contain spaces, newlines or special characters.
        > CLIENT NO-EVICT foo
        -ERR syntax error
        > CLIENT NO-EVICT on
        +OK
        > CLIENT NO-TOUCH on
        +OK
        > CLIENT NO-TOUCH
        -ERR wrong number of arguments for 'client|no-touch' command
        > CLIENT GETREDIR
        -1
        > CLIENT MAINT_NOTIFICATIONS ON
        -ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.
        > CLIENT
        -ERR wrong number of arguments for 'client' command
        > CLIENT LIST FOO
        -ERR syntax error
        > CLIENT LIST TYPE foo
        -ERR Unknown client type 'foo'
        > CLIENT LIST TYPE replica
        ""
        > CLIENT LIST ID abc
        -ERR Invalid client ID
        > CLIENT LIST ID 1 0
        -ERR Invalid client ID
        > CLIENT LIST NOT-SKIPME yes
        -ERR syntax error
        > CLIENT LIST IDLE 0
        -ERR idle should be greater than 0
        > CLIENT LIST DB -1
        -ERR DB index is out of range
        > CLIENT LIST NOT-NAME me
        ""
        > CLIENT LIST NAME me SKIPME yes
        ""
        > CLIENT LIST FLAGS eT NOT-ID 1 2
        ""
        > CLIENT LIST LIB-NAME lib LIB-VER 1.1
        ""
        > CLIENT LIST ID 999
        ""
        "#,
    );
    let line = kit.run("CLIENT INFO");
    let line = line.trim_matches('"').trim_end_matches("\\n");
    let names: Vec<&str> = line.split(' ').map(|field| field.split('=').next().unwrap()).collect();
    let wanted = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs \
                  rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver io-thread tot-net-in tot-net-out tot-cmds";
    assert_eq!(names, wanted.split_whitespace().collect::<Vec<_>>());
    for part in
        [" name=me ", " flags=eT ", " qbuf=26 ", " argv-mem=10 ", " cmd=client|info user=default ", " lib-name=lib lib-ver=1.2 "]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(kit.run("CLIENT LIST").contains("cmd=client|list"));
    // What fits is described, in the order asked for.
    kit.run_as(2, "CLIENT SETNAME other");
    kit.run_as(2, "SELECT 3");
    let found = |request: &str, kit: &mut Kit| {
        let lines = kit.run(request);
        let ids = lines.trim_matches('"').split("\\n").filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
        ids.collect::<Vec<_>>().join(" ")
    };
    for (filter, ids) in [
        ("", "1 2"),
        ("ID 2 1 7", "2 1"),
        ("ID 1 ID 2", "2"),
        ("NOT-ID 1", "2"),
        ("SKIPME yes", "2"),
        ("NAME other DB 3", "2"),
        ("NOT-DB 3", "1"),
        ("FLAGS N", "2"),
        ("NOT-FLAGS e", "2"),
        ("IP client", "2"),
        ("ADDR client:2 TYPE normal USER default", "2"),
        ("NOT-USER default", ""),
        ("LIB-NAME lib", "1"),
    ] {
        assert_eq!(found(&format!("CLIENT LIST {filter}"), &mut kit), ids, "{filter}");
    }
}

#[test]
fn replies_can_be_switched_off() {
    check(
        r#"
        > CLIENT REPLY foo
        -ERR syntax error
        > CLIENT REPLY SKIP

        > PING

        > PING
        +PONG
        > CLIENT REPLY OFF
        > PING
        > FOO
        > CLIENT REPLY SKIP
        > CLIENT REPLY ON
        +OK
        > PING
        +PONG
        "#,
    );
    let mut kit = Kit::new();
    assert_eq!(kit.run("CLIENT REPLY SKIP"), "");
    assert_eq!(kit.run("PING"), "");
    assert_eq!(kit.run("CLIENT REPLY OFF"), "");
    assert_eq!(kit.run("FOO"), "");
    assert_eq!(kit.run("CLIENT REPLY ON"), "+OK");
}

#[test]
fn kill_refuses_what_it_does_not_understand() {
    check(
        r#"
        > CLIENT KILL
        -ERR wrong number of arguments for 'client|kill' command
        > CLIENT KILL 1.2.3.4:5
        -ERR No such client
        > CLIENT KILL FOO bar
        -ERR syntax error
        > CLIENT KILL ID 0
        -ERR client-id should be greater than 0
        > CLIENT KILL ID abc
        -ERR client-id should be greater than 0
        > CLIENT KILL ID 10 wrong
        -ERR syntax error
        > CLIENT KILL MAXAGE abc
        -ERR maxage is not an integer or out of range
        > CLIENT KILL MAXAGE 0
        -ERR maxage should be greater than 0
        > CLIENT KILL TYPE foo
        -ERR Unknown client type 'foo'
        > CLIENT KILL USER nouser
        -ERR No such user 'nouser'
        > CLIENT KILL SKIPME maybe
        -ERR syntax error
        > CLIENT KILL ID 999999
        0
        > CLIENT KILL TYPE normal
        0
        > CLIENT KILL TYPE normal SKIPME no
        1
        "#,
    );
}

fn ask(client: &mut TcpStream, request: &str) -> String {
    client.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let n = client.read(&mut buffer).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

#[test]
fn killed_clients_are_gone_at_once() {
    let server = Server::builder().port(Port::Auto).start().unwrap();
    let connect = || TcpStream::connect(server.address()).unwrap();
    let (mut killer, mut victim) = (connect(), connect());
    assert_eq!(ask(&mut victim, "PING\r\n"), "+PONG\r\n");
    let address = victim.local_addr().unwrap();
    assert_eq!(ask(&mut killer, &format!("CLIENT KILL ADDR {address}\r\n")), ":1\r\n");
    assert_eq!(ask(&mut killer, "CLIENT KILL TYPE normal\r\n"), ":0\r\n");
    assert_eq!(ask(&mut victim, "PING\r\n"), "");
    assert_eq!(ask(&mut killer, "CLIENT KILL SKIPME no LADDR 1.2.3.4:5\r\n"), ":0\r\n");
    let own = killer.local_addr().unwrap();
    assert_eq!(ask(&mut killer, &format!("CLIENT KILL {own}\r\n")), "+OK\r\n");
    assert_eq!(ask(&mut killer, "PING\r\n"), "");
}
