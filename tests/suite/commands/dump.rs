//! DUMP, RESTORE and RESTORE-ASKING; SAVE and DEBUG RELOAD as far as they need no disk.

use redstart::testkit::check;

#[test]
fn dump_and_restore() {
    check(
        r#"
        > DUMP missing
        nil
        > SET k v
        +OK
        > DUMP k
        "\x00\x01v\x0c\x00Z~\xfar\xe3\x12\x14\x87"
        > RESTORE k 0 "\x00\x01v\x0c\x00Z~\xfar\xe3\x12\x14\x87"
        -BUSYKEY Target key name already exists.
        ~
        !
        > RESTORE copy 0 "\x00\x01v\x0c\x00Z~\xfar\xe3\x12\x14\x87"
        +OK
        ! restore copy
        > GET copy
        "v"
        > RESTORE k 0 "\x00\x01v\x0a\x00\x91\x08\xce\xb2\x198\x8a\xce" REPLACE
        +OK
        > RESTORE old 0 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f"
        +OK
        > RESTORE-ASKING asked 0 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f"
        +OK
        > SET n 12
        +OK
        > DUMP n
        "\x00\xc0\x0c\x0c\x00\xf7\\\xcc\x91\xa6.\"\x9c"
        "#,
    );
}

#[test]
fn restore_with_deadlines() {
    check(
        r#"
        > RESTORE k 1000 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f"
        +OK
        ~ RESTORE k 1700000001000 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" ABSTTL
        ! restore k
        > PTTL k
        1000
        > RESTORE k 1700000002000 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" ABSTTL REPLACE
        +OK
        ~ RESTORE k 1700000002000 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" ABSTTL REPLACE
        > PEXPIRETIME k
        1700000002000
        # What is past its deadline only removes what it replaces.
        # config lazyfree-lazy-server-del no
        > RESTORE k 1600000000000 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" ABSTTL REPLACE
        +OK
        ~ DEL k
        ! del k
        > RESTORE k 1600000000000 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" ABSTTL
        +OK
        ~
        !
        > EXISTS k
        0
        > RESTORE k 0 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" IDLETIME 100
        +OK
        > OBJECT IDLETIME k
        100
        # config maxmemory-policy allkeys-lfu
        > RESTORE k 0 "\x00\x01v\t\x00A\xfa\x9f~M\xbe\xe9\x7f" FREQ 77 REPLACE
        +OK
        > OBJECT FREQ k
        77
        "#,
    );
}

#[test]
fn bad_payloads() {
    check(
        r#"
        > RESTORE k 0
        -ERR wrong number of arguments for 'restore' command
        > DUMP
        -ERR wrong number of arguments for 'dump' command
        > RESTORE-ASKING k 0
        -ERR wrong number of arguments for 'restore-asking' command
        > RESTORE k 0 garbage
        -ERR DUMP payload version or checksum are wrong
        > RESTORE k 0 ""
        -ERR DUMP payload version or checksum are wrong
        > RESTORE k -1 garbage
        -ERR Invalid TTL value, must be >= 0
        > RESTORE k abc garbage
        -ERR value is not an integer or out of range
        > RESTORE k 0 garbage FOO
        -ERR syntax error
        > RESTORE k 0 garbage IDLETIME -1
        -ERR Invalid IDLETIME value, must be >= 0
        > RESTORE k 0 garbage IDLETIME abc
        -ERR value is not an integer or out of range
        > RESTORE k 0 garbage FREQ 256
        -ERR Invalid FREQ value, must be >= 0 and <= 255
        > RESTORE k 0 garbage IDLETIME 1 FREQ 1
        -ERR syntax error
        > RESTORE k 0 "\xff\x0a\x00\xc9\x48\x85\x1c\x72\x27\x3c\x17"
        -ERR Bad data format
        # The length of the text reaches into the checksum, which nobody minds.
        > RESTORE other 0 "\x00\x0a\x61\x62\x63\x0a\x00\x3c\x5d\x11\xbd\x3c\x0e\x58\xcd"
        +OK
        > RESTORE k 0 "\x11\x05\x61\x61\x61\x61\x61\x0a\x00\xc4\x44\x48\x80\xf4\x16\x24\x6f"
        -ERR Bad data format
        > RESTORE k 0 "\x12\x00\x0a\x00\x69\xf6\x84\x5b\x6a\x1b\xbf\x57"
        -ERR Bad data format
        > RESTORE k 0 "\x02\x00\x0a\x00\x3a\xce\x39\x00\x9b\x89\x39\xe8"
        -ERR Bad data format
        > RESTORE k 0 "\x0b\x05\x61\x61\x61\x61\x61\x0a\x00\x87\xd1\x4a\xf6\xa2\x4f\xfa\x76"
        -ERR Bad data format
        > RESTORE k 0 "\x00\x01\x76\xc8\x00\x10\x67\x10\xcf\x72\x4c\x0c\x9f"
        -ERR DUMP payload version or checksum are wrong
        # Data behind the value do not matter.
        > RESTORE k 0 "\x00\x01\x76\x78\x78\x0a\x00\x3f\xca\x06\xc8\xf9\x1d\x40\x48"
        +OK
        > RESTORE z 0 "\x00\xc3\x04\x10\x61\x61\x61\x61\x0a\x00\x72\x67\x4d\xec\x16\xba\xed\xa5"
        -ERR Bad data format
        "#,
    );
}
