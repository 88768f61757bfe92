//! Streams and their consumer groups.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("XADD", 25, "stream ~([NOMKSTREAM] [MAXLEN [=|~] count|MINID [=|~] id]) new-id {field value}+"),
    row(
        "XADD",
        3,
        "stream ~([NOMKSTREAM] [MAXLEN [=|~] count [LIMIT count]|MINID [=|~] id [LIMIT count]]) new-id {field value}+",
    ),
    row("XADD", 1, "stream ~([NOMKSTREAM] [MAXLEN [=|~] count]) * {field value}+").unsettling(),
    row("XLEN", 4, "stream"),
    row("XRANGE", 6, "stream bound-id bound-id [COUNT count]"),
    row("XREVRANGE", 5, "stream bound-id bound-id [COUNT count]"),
    row("XDEL", 5, "stream {id}+"),
    row("XTRIM", 5, "stream <MAXLEN [=|~] count [LIMIT count]|MINID [=|~] id [LIMIT count]>"),
    row("XSETID", 3, "stream id ~([ENTRIESADDED count] [MAXDELETEDID id])"),
    row("XREAD", 4, "~([COUNT count] [BLOCK block-ms]) STREAMS stream read-id").blocking(),
    row("XREAD", 4, "~([COUNT count] [BLOCK block-ms]) STREAMS stream stream read-id read-id").blocking(),
    row("XGROUP CREATE", 8, "stream group <id|$|0> ~([MKSTREAM] [ENTRIESREAD signed-count])"),
    row("XGROUP SETID", 3, "stream group <id|$> [ENTRIESREAD signed-count]"),
    row("XGROUP DESTROY", 1, "stream group"),
    row("XGROUP CREATECONSUMER", 2, "stream group consumer"),
    row("XGROUP DELCONSUMER", 2, "stream group consumer"),
    row("XGROUP HELP", 1, ""),
    row("XGROUP", 1, "subcommand stream"),
    row("XREADGROUP", 10, "GROUP group consumer ~([COUNT count] [BLOCK block-ms] [NOACK]) STREAMS stream group-id").blocking(),
    row(
        "XREADGROUP",
        3,
        "GROUP group consumer ~([COUNT count] [BLOCK block-ms] [NOACK]) STREAMS stream stream group-id group-id",
    )
    .blocking(),
    row("XACK", 4, "stream group {id}+"),
    row("XPENDING", 3, "stream group"),
    row("XPENDING", 5, "stream group [IDLE idle] bound-id bound-id count [consumer]"),
    row(
        "XCLAIM",
        6,
        "stream group consumer idle {id}+ ~([IDLE idle] [TIME at-ms] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id])",
    ),
    row("XAUTOCLAIM", 5, "stream group consumer idle id [COUNT count] [JUSTID]"),
    row("XINFO STREAM", 4, "stream [FULL [COUNT count]]"),
    row("XINFO GROUPS", 3, "stream"),
    row("XINFO CONSUMERS", 3, "stream group"),
    row("XINFO HELP", 1, ""),
    row("XINFO", 1, "subcommand stream"),
    row("DEL", 1, "stream"),
];
