//! Sets.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("SADD", 20, "set {member}+"),
    row("SADD", 8, "set {number}+"),
    row("SREM", 6, "set {member}+"),
    row("SCARD", 4, "set"),
    row("SISMEMBER", 4, "set member"),
    row("SMISMEMBER", 4, "set {member}+"),
    row("SMEMBERS", 6, "set"),
    row("SMOVE", 5, "set set member"),
    row("SPOP", 3, "set [count]").unsettling(),
    // It takes all there is, so nothing is left to chance.
    row("SPOP", 2, "set 1000").fragile(),
    row("SRANDMEMBER", 4, "set [signed-count]"),
    row("SINTER", 4, "{set}+"),
    row("SUNION", 4, "{set}+"),
    row("SDIFF", 4, "{set}+"),
    row("SINTERSTORE", 4, "set {set}+"),
    row("SUNIONSTORE", 4, "set {set}+"),
    row("SDIFFSTORE", 4, "set {set}+"),
    row("SINTERCARD", 4, "#{set} [LIMIT count]"),
    row("SSCAN", 5, "set cursor ~([MATCH pattern] [COUNT count])"),
    row("OBJECT ENCODING", 3, "set"),
    row("DEL", 1, "set"),
];
