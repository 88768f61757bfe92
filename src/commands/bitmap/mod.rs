//! Bitmaps: strings taken as rows of bits, bit 0 being the highest bit of the first byte.
//!
//! An integer that is stored as a number is seen as its digits here, as everywhere.

mod bit;
mod combine;
mod field;

use crate::command::{CommandError, CommandSpec};
use crate::resp::number;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[bit::COMMANDS, combine::COMMANDS, field::COMMANDS];

const BAD_OFFSET: CommandError = CommandError::new("ERR bit offset is not an integer or out of range");

/// An offset in bits, whose byte must lie below the longest string. `#n` is the n-th integer of `width` bits, where a
/// width is given.
fn parse_offset(text: &[u8], width: Option<u8>, longest: usize) -> Result<u64, CommandError> {
    let (digits, unit) = match (text, width) {
        ([b'#', digits @ ..], Some(width)) => (digits, i64::from(width)),
        _ => (text, 1),
    };
    let offset = number::parse_i64(digits).and_then(|n| n.checked_mul(unit)).and_then(|n| u64::try_from(n).ok());
    offset.filter(|at| at / 8 < longest as u64).ok_or(BAD_OFFSET)
}
