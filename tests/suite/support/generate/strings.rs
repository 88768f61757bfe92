//! Strings and counters.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("SET", 30, "str value ~([NX|XX] [GET] [EX seconds|PX millis|EXAT at|PXAT at-ms|KEEPTTL])"),
    row("SET", 2, "str value ~([NX] [XX] [GET] [EX seconds] [PX millis] [KEEPTTL] [PERSIST])"),
    row("GET", 15, "str"),
    row("GETDEL", 3, "str"),
    row("GETEX", 8, "str [EX seconds|PX millis|EXAT at|PXAT at-ms|PERSIST]"),
    row("GETRANGE", 5, "str index index"),
    row("SUBSTR", 2, "str index index"),
    row("GETSET", 4, "str value"),
    row("APPEND", 8, "str value"),
    row("STRLEN", 4, "str"),
    row("SETRANGE", 6, "str offset value"),
    row("INCR", 6, "str"),
    row("DECR", 4, "str"),
    row("INCRBY", 6, "str number"),
    row("DECRBY", 4, "str number"),
    row("INCRBYFLOAT", 8, "str float"),
    row("MGET", 5, "{str}+"),
    row("MSET", 5, "{str value}+"),
    row("MSETNX", 4, "{str value}+"),
    row("PSETEX", 3, "str millis value"),
    row("SETEX", 3, "str seconds value"),
    row("SETNX", 3, "str value"),
    // Valkey's; left out where the peer does not have it.
    row("DELIFEQ", 3, "str value"),
    row("LCS", 2, "str str ~([LEN] [IDX] [MINMATCHLEN small] [WITHMATCHLEN])"),
];
