//! Waiting until writes are safe, and the append-only file's own command, on a server without replicas and without a file.

use redstart::testkit::check;

#[test]
fn wait() {
    check(
        r#"
        > WAIT 0 0
        0
        > WAIT 0 1000
        0
        > WAIT -1 0
        0
        > WAIT x 0
        -ERR value is not an integer or out of range
        > WAIT 0 x
        -ERR timeout is not an integer or out of range
        > WAIT 0 -1
        -ERR timeout is negative
        > WAIT 0 9223372036854775807
        -ERR timeout is out of range
        # Nobody waits inside a transaction.
        > MULTI
        +OK
        > WAIT 1 0
        +QUEUED
        > EXEC
        [0]
        "#,
    );
}

#[test]
fn waitaof() {
    check(
        r#"
        > WAITAOF 0 0 0
        [0, 0]
        > WAITAOF 1 0 0
        -ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.
        > WAITAOF 2 0 0
        -ERR value is out of range, value must between 0 and 1
        > WAITAOF -1 0 0
        -ERR value is out of range, value must between 0 and 1
        > WAITAOF 0 -1 0
        -ERR value is out of range, must be positive
        > WAITAOF 0 0 -1
        -ERR timeout is negative
        > WAITAOF 0 0 abc
        -ERR timeout is not an integer or out of range
        > MULTI
        +OK
        > WAITAOF 0 1 0
        +QUEUED
        > EXEC
        [[0, 0]]
        "#,
    );
}

#[test]
fn bgrewriteaof_in_a_transaction_waits_for_its_end() {
    check(
        r#"
        > MULTI
        +OK
        > BGREWRITEAOF
        +QUEUED
        > EXEC
        [+Background append only file rewriting scheduled]
        "#,
    );
}
