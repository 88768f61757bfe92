//! Reading arguments as numbers, with the error that a command answers when they are none.

use super::error::{self, CommandError};
use crate::resp::number;
pub use crate::resp::request::{Args, OwnedRequest, Span};

impl Args<'_> {
    /// Argument `i` as an integer.
    pub fn i64(&self, i: usize) -> Result<i64, CommandError> {
        number::parse_i64(self.get(i)).ok_or(error::NOT_AN_INTEGER)
    }

    /// Argument `i` as an integer of at least zero.
    pub fn non_negative(&self, i: usize) -> Result<i64, CommandError> {
        match self.i64(i)? {
            n if n >= 0 => Ok(n),
            _ => Err(error::MUST_BE_POSITIVE),
        }
    }

    /// Argument `i` as a floating point number; NaN is refused.
    pub fn f64(&self, i: usize) -> Result<f64, CommandError> {
        number::parse_f64(self.get(i)).ok_or(error::NOT_A_FLOAT)
    }
}
