//! Client-side caching: CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR, and who is told of what.

use redstart::testkit::{Kit, check};

#[test]
fn options_are_checked_against_each_other() {
    check(
        r#"
        > CLIENT TRACKING
        -ERR wrong number of arguments for 'client|tracking' command
        > CLIENT TRACKING maybe
        -ERR syntax error
        > CLIENT TRACKING on REDIRECT
        -ERR syntax error
        > CLIENT TRACKING on REDIRECT 77
        -ERR The client ID you want redirect to does not exist
        > CLIENT TRACKING on REDIRECT x
        -ERR value is not an integer or out of range
        > CLIENT TRACKING on REDIRECT 1 REDIRECT 1
        -ERR A client can only redirect to a single other client
        > CLIENT TRACKING on PREFIX a
        -ERR PREFIX option requires BCAST mode to be enabled
        > CLIENT TRACKING on BCAST OPTIN
        -ERR OPTIN and OPTOUT are not compatible with BCAST
        > CLIENT TRACKING on OPTIN OPTOUT
        -ERR You can't specify both OPTIN mode and OPTOUT mode
        > CLIENT TRACKING on BCAST PREFIX FOOBAR PREFIX FOO
        -ERR Prefix 'FOOBAR' overlaps with another provided prefix 'FOO'. Prefixes for a single client must not overlap.
        > CLIENT TRACKING on BCAST PREFIX FOO PREFIX BAR
        +OK
        ~
        > CLIENT TRACKING on BCAST PREFIX FO
        -ERR Prefix 'FO' overlaps with an existing prefix 'FOO'. Prefixes for a single client must not overlap.
        > CLIENT TRACKING on
        -ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.
        > CLIENT TRACKINGINFO
        ["flags", ["on", "bcast"], "redirect", 0, "prefixes", ["BAR", "FOO"]]
        > CLIENT TRACKING off
        +OK
        > CLIENT TRACKING on OPTIN NOLOOP
        +OK
        > CLIENT TRACKING on OPTOUT
        -ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.
        > CLIENT CACHING no
        -ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
        > CLIENT CACHING perhaps
        -ERR syntax error
        > CLIENT CACHING yes
        +OK
        > CLIENT TRACKINGINFO
        ["flags", ["on", "optin", "caching-yes", "noloop"], "redirect", 0, "prefixes", []]
        > PING
        +PONG
        > CLIENT TRACKINGINFO
        ["flags", ["on", "optin", "noloop"], "redirect", 0, "prefixes", []]
        > CLIENT GETREDIR
        0
        > RESET
        +RESET
        > CLIENT GETREDIR
        -1
        > CLIENT TRACKINGINFO
        ["flags", ["off"], "redirect", -1, "prefixes", []]
        > CLIENT CACHING yes
        -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        "#,
    );
}

#[test]
fn readers_are_told_once() {
    check(
        r#"
        2> HELLO 3
        2> CLIENT TRACKING on
        +OK
        2> GET k
        nil
        2> MGET a b
        [nil, nil]
        > SET unread x
        +OK
        2:
        > SET k 1
        +OK
        2: >["invalidate", ["k"]]
        > SET k 2
        +OK
        2:
        > MSET b 1 a 1
        +OK
        2: >["invalidate", ["b"]] ;; >["invalidate", ["a"]]
        # What a client changes itself it hears behind the reply, and a write does not make it a reader.
        2> GET k
        "2"
        2> SET k 3
        +OK ;; >["invalidate", ["k"]]
        2> SET k 4
        +OK
        2> GET k
        "4"
        2> MULTI
        +OK
        2> INCR k
        +QUEUED
        2> GET k
        +QUEUED
        2> EXEC
        [5, "5"] ;; >["invalidate", ["k"]]
        > DEL k
        1
        2: >["invalidate", ["k"]]
        # Replies may be off; messages are no replies.
        2> EXISTS k
        0
        2> CLIENT REPLY off
        > SET k 1 PX 10
        +OK
        2: >["invalidate", ["k"]]
        2> CLIENT REPLY on
        +OK
        2> TTL k
        # advance 11
        # sweep
        > PING
        +PONG
        2: >["invalidate", ["k"]]
        2> CLIENT TRACKING on NOLOOP
        +OK
        2> GET k
        nil
        2> SET k 1
        +OK
        2> CLIENT TRACKING off
        +OK
        2> GET k
        "1"
        > SET k 2
        +OK
        2:
        "#,
    );
}

#[test]
fn opting_in_and_out() {
    check(
        r#"
        2> HELLO 3
        2> CLIENT TRACKING on OPTIN
        +OK
        2> GET a
        nil
        2> CLIENT CACHING yes
        +OK
        2> GET b
        nil
        2> GET c
        nil
        > MSET a 1 b 1 c 1
        +OK
        2: >["invalidate", ["b"]]
        2> CLIENT CACHING yes
        +OK
        2> MULTI
        +OK
        2> GET a
        +QUEUED
        2> GET b
        +QUEUED
        2> EXEC
        ["1", "1"]
        2> GET c
        "1"
        > MSET a 1 b 1 c 1
        +OK
        2: >["invalidate", ["a"]] ;; >["invalidate", ["b"]]
        2> CLIENT TRACKING off
        +OK
        2> CLIENT TRACKING on OPTOUT
        +OK
        2> CLIENT CACHING no
        +OK
        2> GET a
        "1"
        2> GET b
        "1"
        > MSET a 1 b 1
        +OK
        2: >["invalidate", ["b"]]
        "#,
    );
}

#[test]
fn prefixes_are_told_of_once_in_a_turn() {
    check(
        r#"
        2> HELLO 3
        2> CLIENT TRACKING on BCAST PREFIX a: PREFIX b: NOLOOP
        +OK
        3> HELLO 3
        3> CLIENT TRACKING on BCAST
        +OK
        > MSET b:1 1 a:2 1 a:1 1 c:1 1
        +OK
        2: >["invalidate", ["a:1", "a:2"]] ;; >["invalidate", ["b:1"]]
        3: >["invalidate", ["a:1", "a:2", "b:1", "c:1"]]
        2> MULTI
        +OK
        2> SET a:1 2
        +QUEUED
        2> EXEC
        [+OK]
        3: >["invalidate", ["a:1"]]
        > GET a:1
        "2"
        3:
        > INFO clients
        > FLUSHALL
        +OK
        2: >["invalidate", nil]
        3: >["invalidate", nil]
        > FLUSHDB
        +OK
        2: >["invalidate", nil]
        3: >["invalidate", nil]
        2> CLIENT TRACKING off
        +OK
        > SET a:1 1
        +OK
        2:
        3: >["invalidate", ["a:1"]]
        # A key that goes away by itself is news for those who caused it, too.
        3> CLIENT TRACKING on BCAST NOLOOP
        +OK
        3> SET a:2 1 PX 1
        +OK
        # advance 2
        3> GET a:2
        nil ;; >["invalidate", ["a:2"]]
        "#,
    );
}

#[test]
fn others_can_be_told_instead() {
    check(
        r#"
        2> SUBSCRIBE __redis__:invalidate
        ["subscribe", "__redis__:invalidate", 1]
        > CLIENT TRACKING on REDIRECT 2
        +OK
        > CLIENT GETREDIR
        2
        > GET k
        nil
        3> SET k 1
        +OK
        2: ["message", "__redis__:invalidate", ["k"]]
        3> FLUSHALL
        +OK
        2: ["message", "__redis__:invalidate", nil]
        # Who speaks RESP2 and does not subscribe cannot be told anything.
        > CLIENT TRACKING on REDIRECT 3
        +OK
        > GET k
        nil
        3> SET k 2
        +OK
        3> HELLO 3
        > GET k
        "2"
        3> SET k 3
        +OK ;; >["invalidate", ["k"]]
        "#,
    );
    let mut kit = Kit::new();
    kit.play("2> PING\n> HELLO 3\n> CLIENT TRACKING on REDIRECT 2\n+OK\n> GET k\nnil");
    kit.world.sessions.remove(redstart::types::ClientId(2));
    kit.play(
        r#"
        3> SET k 1
        +OK
        1: >["tracking-redir-broken", 2]
        > CLIENT TRACKINGINFO
        {"flags": ~["on", "broken_redirect"], "redirect": 2, "prefixes": []}
        "#,
    );
}

#[test]
fn a_full_table_forgets_keys() {
    check(
        r#"
        # config tracking-table-max-keys 1
        2> HELLO 3
        2> CLIENT TRACKING on
        +OK
        2> GET a
        nil
        2> GET a
        nil
        2:
        > CLIENT TRACKING on
        +OK
        > GET a
        nil
        > INFO stats
        2:
        > SET a 1
        +OK
        2: >["invalidate", ["a"]]
        "#,
    );
    let mut kit = Kit::new();
    kit.play("# config tracking-table-max-keys 1\n2> HELLO 3\n2> CLIENT TRACKING on\n+OK");
    let heard = kit.run_as(2, "MGET a b c");
    assert_eq!(heard.matches("invalidate").count(), 2, "{heard}");
    assert_eq!((kit.world.tracking.keys(), kit.world.tracking.items(), kit.world.tracking.clients()), (1, 1, 1));
}
