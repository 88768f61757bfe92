//! REPLICAOF and SLAVEOF, and what a replica refuses, without a primary at the other end.

use redstart::testkit::check;

#[test]
fn a_replica_takes_no_writes() {
    check(
        r##"
        > SET k v
        +OK
        > EVAL "return redis.call('get', 'k')" 0
        "v"
        > REPLICAOF 127.0.0.1 99999
        -ERR Invalid master port
        > REPLICAOF NO TWO
        -ERR Invalid master port
        > REPLICAOF NO ONE
        +OK
        > REPLICAOF 127.0.0.1 1
        +OK
        > SLAVEOF 127.0.0.1 1
        +OK Already connected to specified master
        > ROLE
        ["slave", "127.0.0.1", 1, "connect", -1]
        > CONFIG GET replicaof
        ["replicaof", "127.0.0.1 1"]
        > GET k
        "v"
        > SET k w
        -READONLY You can't write against a read only replica.
        > FLUSHALL
        -READONLY You can't write against a read only replica.
        > PFCOUNT nokey
        0
        > EVAL "return redis.pcall('set', 'k', 'w')" 0
        -READONLY You can't write against a read only replica.
        > EVAL "return redis.call('get', 'k')" 0
        "v"
        > EVAL "#!lua\nreturn 1" 0
        -READONLY You can't write against a read only replica.
        > EVAL "#!lua flags=no-writes\nreturn 1" 0
        1
        > MULTI
        +OK
        > GET k
        +QUEUED
        > SET k w
        -READONLY You can't write against a read only replica.
        > EXEC
        -EXECABORT Transaction discarded because of previous errors.
        # Written before the server changed sides, and to be executed now.
        > SLAVEOF NO ONE
        +OK
        > MULTI
        +OK
        > SET k w
        +QUEUED
        2> REPLICAOF 127.0.0.1 1
        +OK
        > EXEC
        -EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.
        > WAITAOF 0 0 0
        -ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.
        # config replica-serve-stale-data no
        > GET k
        -MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
        > PING
        -MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
        > EVAL "return 1" 0
        -MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
        > EVAL "#!lua flags=allow-stale,no-writes\nreturn 1" 0
        1
        > SELECT 0
        +OK
        > REPLICAOF NO ONE
        +OK
        > GET k
        "v"
        "##,
    );
}

#[test]
fn failover_needs_replicas() {
    check(
        r##"
        > FAILOVER
        -ERR FAILOVER requires connected replicas.
        > FAILOVER ABORT
        -ERR No failover in progress.
        > FAILOVER TO 127.0.0.1
        -ERR syntax error
        > FAILOVER FORCE
        -ERR FAILOVER requires connected replicas.
        > FAILOVER TIMEOUT -1
        -ERR FAILOVER timeout must be greater than 0
        > FAILOVER FOO
        -ERR syntax error
        > REPLICAOF 127.0.0.1 1
        +OK
        > FAILOVER
        -ERR FAILOVER is not valid when server is a replica.
        "##,
    );
}

/// Keys to which clients of a replica gave a deadline go away by themselves; those of the primary's are hidden.
#[test]
fn a_replica_whose_clients_may_write() {
    check(
        r##"
        > SET theirs v PX 100
        +OK
        # config replica-read-only no
        > REPLICAOF 127.0.0.1 1
        +OK
        > SET ours v PX 100
        +OK
        > SET stays v
        +OK
        # advance 200
        > MGET theirs ours stays
        [nil, nil, "v"]
        > KEYS *
        ["stays"]
        > RANDOMKEY
        "stays"
        > DBSIZE
        3
        # Writing to it removes it, as it would on a primary.
        > APPEND theirs x
        1
        > DBSIZE
        3
        "##,
    );
}
