//! HyperLogLogs.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("PFADD", 30, "hll {member}*"),
    row("PFCOUNT", 20, "{hll}+"),
    row("PFMERGE", 10, "hll {hll}*"),
    // Those that change the encoding do so without a word to watchers there, and an EXEC would tell.
    row("PFDEBUG", 2, "<DECODE|ENCODING> hll"),
    row("STRLEN", 2, "hll"),
    row("DEL", 1, "hll"),
];
