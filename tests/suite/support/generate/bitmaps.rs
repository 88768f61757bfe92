//! Bitmaps and bit fields.

use super::{Row, row};

pub const ROWS: &[Row] = &[
    row("SETBIT", 15, "bits bit-offset bit"),
    row("GETBIT", 6, "bits bit-offset"),
    row("BITCOUNT", 8, "bits [index index [BYTE|BIT]]"),
    row("BITPOS", 8, "bits bit [index [index [BYTE|BIT]]]"),
    row("BITOP", 8, "<AND|OR|XOR|NOT> bits {bits}+"),
    row("BITOP", 2, "NOT bits bits"),
    row(
        "BITFIELD",
        12,
        "bits {GET encoding field-offset|[OVERFLOW <WRAP|SAT|FAIL>] <SET encoding field-offset number|INCRBY encoding field-offset number>}*",
    ),
    row("BITFIELD_RO", 3, "bits {GET encoding field-offset}*"),
    row("BITFIELD_RO", 1, "bits SET encoding 0 1"),
    row("SET", 3, "bits value"),
    row("GET", 3, "bits"),
];
