//! The cursor and the options that SCAN, HSCAN, SSCAN and ZSCAN share.

use crate::command::error::{self, CommandError};
use crate::ds::algo::glob;
use crate::keyspace::ValueType;
use crate::resp::number;
use crate::resp::request::Args;

/// What a scan goes through; some options are for one of them only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scanned {
    /// The keys of a database: TYPE selects among them.
    Keys,
    /// The fields of a hash: NOVALUES leaves their values out.
    Fields,
    /// The members of a set.
    Members,
    /// The members of a sorted set: NOSCORES leaves their scores out.
    Scores,
}

/// `[MATCH pattern] [COUNT count] [TYPE type] [NOVALUES|NOSCORES]`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanOptions<'a> {
    /// None if everything matches.
    pub pattern: Option<&'a [u8]>,
    /// About how many items to look at; at least 1.
    pub count: usize,
    pub value_type: Option<ValueType>,
    /// NOVALUES or NOSCORES was given.
    pub no_values: bool,
}

/// Items looked at when COUNT is not given.
const COUNT_DEFAULT: usize = 10;
/// Buckets visited per item asked for, so that a sparse table does not hold the server up.
const BUCKETS_PER_ITEM: usize = 10;

impl<'a> ScanOptions<'a> {
    /// The options from argument `first` on. The last one of a kind counts.
    pub fn parse(args: Args<'a>, first: usize, what: Scanned) -> Result<Self, CommandError> {
        let mut options = ScanOptions { pattern: None, count: COUNT_DEFAULT, value_type: None, no_values: false };
        let mut i = first;
        while i < args.len() {
            if let Some(value) = args.opt(i + 1)
                && ["COUNT", "MATCH", "TYPE"].iter().any(|word| args.is(i, word))
            {
                if args.is(i, "COUNT") {
                    options.count = match args.i64(i + 1)? {
                        n if n >= 1 => n as usize,
                        _ => return Err(error::SYNTAX),
                    };
                } else if args.is(i, "MATCH") {
                    options.pattern = (value != b"*").then_some(value);
                } else if what == Scanned::Keys {
                    options.value_type = Some(ValueType::named(value).ok_or_else(|| unknown_type(value))?);
                } else {
                    return Err(error::SYNTAX);
                }
                i += 2;
            } else if args.is(i, "NOVALUES") {
                if what != Scanned::Fields {
                    return Err(CommandError::new("ERR NOVALUES option can only be used in HSCAN"));
                }
                options.no_values = true;
                i += 1;
            } else if what == Scanned::Scores && args.is(i, "NOSCORES") {
                options.no_values = true;
                i += 1;
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// True if the pattern, if any, matches.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, text, false))
    }

    /// How many buckets of a hash table one call may visit.
    pub fn buckets_max(&self) -> usize {
        self.count.saturating_mul(BUCKETS_PER_ITEM)
    }
}

/// A cursor as a client sends it back: an unsigned number of 64 bits, read as generously as the original does.
pub fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    number::parse_u64(text).ok_or(error::INVALID_CURSOR)
}

fn unknown_type(name: &[u8]) -> CommandError {
    let mut text = b"ERR unknown type name '".to_vec();
    text.extend_from_slice(name);
    text.push(b'\'');
    CommandError::bytes(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_any_unsigned_number() {
        assert_eq!(cursor(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(cursor(b" +007"), Ok(7));
        assert_eq!(cursor(b"-0"), Ok(0));
        assert_eq!(cursor(b"-9223372036854775809"), Ok(9_223_372_036_854_775_807));
        for bad in [&b""[..], b"+", b"-1", b"1 ", b"x", b"18446744073709551616", b"++1"] {
            assert_eq!(cursor(bad), Err(error::INVALID_CURSOR), "{bad:?}");
        }
    }
}
