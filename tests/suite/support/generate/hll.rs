//! HyperLogLogs.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("PFADD", 30, "hll {member}*"),
    row("PFCOUNT", 20, "{hll}+"),
    row("PFMERGE", 10, "hll {hll}*"),
    row("PFDEBUG", 2, "<GETREG|DECODE|ENCODING|TODENSE> hll"),
    row("STRLEN", 2, "hll"),
    row("DEL", 1, "hll"),
];
