//! `EX seconds`, `PX milliseconds`, `EXAT …`, `PXAT …`: options that several families take, and their bounds.

use crate::command::error::{self, CommandError};
use crate::resp::request::Args;
use crate::types::UnixMillis;

/// An expiry option as it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry<'a> {
    amount: &'a [u8],
    seconds: bool,
    absolute: bool,
}

impl<'a> Expiry<'a> {
    /// The option at argument `i`, if it is one and its amount follows.
    pub fn parse(args: Args<'a>, i: usize) -> Option<Self> {
        let (seconds, absolute) = if args.is(i, "EX") {
            (true, false)
        } else if args.is(i, "PX") {
            (false, false)
        } else if args.is(i, "EXAT") {
            (true, true)
        } else if args.is(i, "PXAT") {
            (false, true)
        } else {
            return None;
        };
        Some(Expiry { amount: args.opt(i + 1)?, seconds, absolute })
    }

    /// An amount that counts from now and has a place of its own among the arguments (SETEX, PSETEX).
    pub fn relative(amount: &'a [u8], seconds: bool) -> Self {
        Expiry { amount, seconds, absolute: false }
    }

    /// True if both were given by the same word. Repeating an option is fine, the last one counts; mixing them is not.
    pub fn is_like(&self, other: &Expiry<'_>) -> bool {
        self.seconds == other.seconds && self.absolute == other.absolute
    }

    /// The point in time, in the name of a command (for its error text). Zero, negative and overflowing amounts are refused.
    pub fn deadline(&self, now: UnixMillis, command: &str) -> Result<UnixMillis, CommandError> {
        let amount = crate::resp::number::parse_i64(self.amount).ok_or(error::NOT_AN_INTEGER)?;
        let refuse = || error::invalid_expire(command);
        if amount <= 0 {
            return Err(refuse());
        }
        let millis = if self.seconds { amount.checked_mul(1000).ok_or_else(refuse)? } else { amount };
        if self.absolute { Ok(millis) } else { millis.checked_add(now).ok_or_else(refuse) }
    }

    /// True for PXAT: the deadline itself.
    pub fn is_deadline(&self) -> bool {
        self.absolute && !self.seconds
    }

    /// True for EXAT and PXAT.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }
}
