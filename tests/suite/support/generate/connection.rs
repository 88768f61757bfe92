//! Commands about the connection that leave it usable for the rest: transactions, databases, names.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("PING", 4, "[value]"),
    row("ECHO", 4, "value"),
    row("SELECT", 3, "db"),
    row("DBSIZE", 4, ""),
    row("TIME", 1, ""),
    row("WATCH", 3, "{key}+"),
    row("UNWATCH", 2, ""),
    row("DISCARD", 1, ""),
    row("EXEC", 1, ""),
    row("MULTI", 1, "value"),
    row("CLIENT GETNAME", 2, ""),
    row("CLIENT SETNAME", 2, "name"),
    row("CLIENT ID", 1, ""),
    row("CLIENT", 1, "subcommand"),
    row("LASTSAVE", 1, ""),
    row("FLUSHALL", 1, "[ASYNC|SYNC]"),
    row("EXISTS", 2, "{key}+"),
];
