//! How long a blocking command waits, as its argument says it.

use crate::command::args::Args;
use crate::command::error::{self, CommandError};
use crate::resp::number::LongDouble;
use crate::types::UnixMillis;

/// The moment until which to wait: argument `i` in seconds from now, rounded up to milliseconds. `None` for 0: for ever.
pub(in crate::commands) fn deadline(args: Args<'_>, i: usize, now: UnixMillis) -> Result<Option<UnixMillis>, CommandError> {
    let seconds = LongDouble::parse(args.get(i)).ok_or(error::TIMEOUT_NOT_A_FLOAT)?;
    if seconds.is_negative() {
        return match seconds.thousandfold_up() {
            Some(0) => Ok(None),
            _ => Err(error::TIMEOUT_NEGATIVE),
        };
    }
    match seconds.thousandfold_up().map(|millis| (millis, now.checked_add(millis))) {
        Some((0, _)) => Ok(None),
        Some((_, Some(at))) => Ok(Some(at)),
        _ => Err(error::TIMEOUT_OUT_OF_RANGE),
    }
}
