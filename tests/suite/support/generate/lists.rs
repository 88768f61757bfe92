//! Lists.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("LPUSH", 12, "list {element}+"),
    row("RPUSH", 14, "list {element}+"),
    row("LPUSHX", 3, "list {element}+"),
    row("RPUSHX", 3, "list {element}+"),
    row("LPOP", 6, "list [count]"),
    row("RPOP", 6, "list [count]"),
    row("LLEN", 4, "list"),
    row("LRANGE", 8, "list index index"),
    row("LINDEX", 6, "list index"),
    row("LSET", 6, "list index element"),
    row("LINSERT", 6, "list <BEFORE|AFTER> element element"),
    row("LREM", 6, "list index element"),
    row("LTRIM", 4, "list index index"),
    row("LPOS", 6, "list element ~([RANK signed-count] [COUNT count] [MAXLEN count])"),
    row("LMOVE", 5, "list list <LEFT|RIGHT> <LEFT|RIGHT>"),
    row("RPOPLPUSH", 4, "list list"),
    row("LMPOP", 5, "#{list} <LEFT|RIGHT> [COUNT count]"),
    row("BLPOP", 2, "{list}+ timeout").blocking(),
    row("BRPOP", 2, "{list}+ timeout").blocking(),
    row("BLMOVE", 2, "list list <LEFT|RIGHT> <LEFT|RIGHT> timeout").blocking(),
    row("BRPOPLPUSH", 2, "list list timeout").blocking(),
    row("BLMPOP", 2, "timeout #{list} <LEFT|RIGHT> [COUNT count]").blocking(),
    row("OBJECT ENCODING", 3, "list"),
    row("DEL", 1, "list"),
];
