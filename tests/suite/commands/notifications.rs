//! Keyspace notifications.

use redstart::testkit::check;

#[test]
fn nobody_is_told_unless_asked_for() {
    check(
        r#"
        2> PSUBSCRIBE *
        > SET k v
        2:
        # config notify-keyspace-events K
        > SET k v
        2:
        # config notify-keyspace-events A
        > SET k v
        2:
        "#,
    );
}

#[test]
fn both_forms_come_in_order() {
    check(
        r#"
        # config notify-keyspace-events KEA
        2> PSUBSCRIBE *
        2: 
        > SET k v EX 10
        2: ["pmessage", "*", "__keyspace@0__:k", "set"] ;; ["pmessage", "*", "__keyevent@0__:set", "k"] ;; ["pmessage", "*", "__keyspace@0__:k", "expire"] ;; ["pmessage", "*", "__keyevent@0__:expire", "k"]
        > GET none
        2:
        > SELECT 3
        +OK
        > RPUSH l a
        2: ["pmessage", "*", "__keyspace@3__:l", "rpush"] ;; ["pmessage", "*", "__keyevent@3__:rpush", "l"]
        > LPOP l
        2: ["pmessage", "*", "__keyspace@3__:l", "lpop"] ;; ["pmessage", "*", "__keyevent@3__:lpop", "l"] ;; ["pmessage", "*", "__keyspace@3__:l", "del"] ;; ["pmessage", "*", "__keyevent@3__:del", "l"]
        "#,
    );
}

#[test]
fn classes_are_chosen_by_letters() {
    check(
        r#"
        # config notify-keyspace-events E$gx
        2> PSUBSCRIBE *
        2: 
        > SET k v PX 100
        2: ["pmessage", "*", "__keyevent@0__:set", "k"] ;; ["pmessage", "*", "__keyevent@0__:expire", "k"]
        > RPUSH l a
        2:
        > RENAME l m
        2: ["pmessage", "*", "__keyevent@0__:rename_from", "l"] ;; ["pmessage", "*", "__keyevent@0__:rename_to", "m"]
        # advance 101
        > GET k
        nil
        2: ["pmessage", "*", "__keyevent@0__:expired", "k"]
        > SET k v PX 100
        2: ["pmessage", "*", "__keyevent@0__:set", "k"] ;; ["pmessage", "*", "__keyevent@0__:expire", "k"]
        # advance 101
        # sweep
        > PING
        2: ["pmessage", "*", "__keyevent@0__:expired", "k"]
        # config notify-keyspace-events Emn
        > GET k
        nil
        2: ["pmessage", "*", "__keyevent@0__:keymiss", "k"]
        > SET k v
        2: ["pmessage", "*", "__keyevent@0__:new", "k"]
        > SET k v
        2:
        "#,
    );
}

#[test]
fn a_client_hears_of_its_own_changes_behind_the_reply() {
    check(
        r#"
        # config notify-keyspace-events KEA
        # resp3
        > SUBSCRIBE __keyevent@0__:set
        > SET k v
        +OK ;; >["message", "__keyevent@0__:set", "k"]
        > MULTI
        +OK
        > SET a 1
        +QUEUED
        > SET b 1
        +QUEUED
        > EXEC
        [+OK, +OK] ;; >["message", "__keyevent@0__:set", "a"] ;; >["message", "__keyevent@0__:set", "b"]
        "#,
    );
}
