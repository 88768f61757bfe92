//! Which members a request means: by position, by score or by bytes.

use std::ops::{Bound, Range};

use crate::command::error::CommandError;
use crate::ds::sorted_set::SortedSet;
use crate::resp::request::Args;

const NOT_A_SCORE: CommandError = CommandError::new("ERR min or max is not a float");
const NOT_A_LEX_BOUND: CommandError = CommandError::new("ERR min or max not valid string range item");

/// What two arguments count in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Rank,
    Score,
    Lex,
}

/// A part of a sorted set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Part<'a> {
    /// From one position to another; negative ones count from the end.
    Ranks(i64, i64),
    Scores(Bound<f64>, Bound<f64>),
    Lex(Bound<&'a [u8]>, Bound<&'a [u8]>),
    /// Bounds that contradict each other by themselves (`+ -`).
    Nothing,
}

impl<'a> Part<'a> {
    /// The part between the arguments `min` and `max`.
    pub fn parse(args: Args<'a>, by: By, min: usize, max: usize) -> Result<Self, CommandError> {
        match by {
            By::Rank => Ok(Part::Ranks(args.i64(min)?, args.i64(max)?)),
            By::Score => Ok(Part::Scores(score(args.get(min))?, score(args.get(max))?)),
            By::Lex => match (Lex::parse(args.get(min))?, Lex::parse(args.get(max))?) {
                (Lex::Highest, _) | (_, Lex::Lowest) => Ok(Part::Nothing),
                (min, max) => Ok(Part::Lex(min.bound(), max.bound())),
            },
        }
    }

    /// The ranks of its members. Positions count from the highest if `reverse`; the ranks never do.
    pub fn ranks(&self, set: &SortedSet, reverse: bool) -> Range<usize> {
        match *self {
            Part::Ranks(start, stop) => {
                let ranks = positions(start, stop, set.len());
                if reverse { set.len() - ranks.end..set.len() - ranks.start } else { ranks }
            }
            Part::Scores(min, max) => set.ranks_by_score(min, max),
            Part::Lex(min, max) => set.ranks_by_lex(min, max),
            Part::Nothing => 0..0,
        }
    }
}

/// `LIMIT offset count`: what to leave out of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    pub offset: i64,
    /// Negative for all.
    pub count: i64,
}

impl Limit {
    pub const NONE: Limit = Limit { offset: 0, count: -1 };

    /// The ranks that are left, walking down if `reverse`.
    pub fn apply(self, ranks: Range<usize>, reverse: bool, is_large: bool) -> Range<usize> {
        let Ok(offset) = usize::try_from(self.offset) else {
            return self.apply_backwards(ranks, reverse, is_large);
        };
        let skipped = offset.min(ranks.len());
        let taken = self.taken(ranks.len() - skipped);
        if reverse {
            let end = ranks.end - skipped;
            end - taken..end
        } else {
            let start = ranks.start + skipped;
            start..start + taken
        }
    }

    /// A negative offset. It is nowhere described, and leaves nothing of a small set; but of a large one Redis since 8.0 and
    /// Valkey take it as a place counted from the other end of the part, and clients may have come to like that.
    fn apply_backwards(self, ranks: Range<usize>, reverse: bool, is_large: bool) -> Range<usize> {
        let from_end = usize::try_from(self.offset.unsigned_abs()).unwrap_or(usize::MAX);
        if !is_large || from_end > ranks.len() {
            return 0..0;
        }
        let taken = self.taken(from_end);
        if reverse {
            let end = ranks.start + from_end;
            end - taken..end
        } else {
            let start = ranks.end - from_end;
            start..start + taken
        }
    }

    fn taken(self, there: usize) -> usize {
        usize::try_from(self.count).map_or(there, |count| count.min(there))
    }
}

/// The positions from `start` to `stop`, both included and negative ones counted from the end, within `len`.
pub fn positions(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// A bound of scores: a number, after `(` if it is excluded. Read more leniently than scores to be stored: nothing at all is
/// zero, what is too large or too small for a double is infinite or zero, and the text ends at the first zero byte; but there
/// are no hexadecimal ones.
fn score(text: &[u8]) -> Result<Bound<f64>, CommandError> {
    let (excluded, text) = match text {
        [b'(', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let value = match text {
        [] => Some(0.0),
        _ => std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()),
    };
    let value = value.filter(|value| !value.is_nan()).ok_or(NOT_A_SCORE)?;
    Ok(if excluded { Bound::Excluded(value) } else { Bound::Included(value) })
}

/// A bound of bytes.
enum Lex<'a> {
    Lowest,
    Highest,
    Text(Bound<&'a [u8]>),
}

impl<'a> Lex<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, CommandError> {
        match text {
            [b'-'] | [b'-', 0, ..] => Ok(Lex::Lowest),
            [b'+'] | [b'+', 0, ..] => Ok(Lex::Highest),
            [b'[', rest @ ..] => Ok(Lex::Text(Bound::Included(rest))),
            [b'(', rest @ ..] => Ok(Lex::Text(Bound::Excluded(rest))),
            _ => Err(NOT_A_LEX_BOUND),
        }
    }

    fn bound(self) -> Bound<&'a [u8]> {
        match self {
            Lex::Lowest | Lex::Highest => Bound::Unbounded,
            Lex::Text(bound) => bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_scores_are_read_leniently() {
        for (text, value) in [
            (&b""[..], 0.0),
            (b"1\0x", 1.0),
            (b"+5", 5.0),
            (b".5", 0.5),
            (b"5.", 5.0),
            (b"1e400", f64::INFINITY),
            (b"-1e400", f64::NEG_INFINITY),
            (b"1e-400", 0.0),
            (b"-Infinity", f64::NEG_INFINITY),
            (b"INF", f64::INFINITY),
        ] {
            assert_eq!(score(text), Ok(Bound::Included(value)));
            let excluded = [b"(", text].concat();
            assert_eq!(score(&excluded), Ok(Bound::Excluded(value)));
        }
        for bad in [&b"x"[..], b" 1", b"1 ", b"0x10", b"1.5e", b"((1", b"nan", b"nan(1)", b".", b"+"] {
            assert_eq!(score(bad), Err(NOT_A_SCORE), "{bad:?}");
        }
    }

    #[test]
    fn positions_stay_inside() {
        for (start, stop, expected) in [
            (0, -1, 0..10),
            (-3, -1, 7..10),
            (-100, 2, 0..3),
            (3, 100, 3..10),
            (5, 4, 0..0),
            (10, 12, 0..0),
            (0, -11, 0..0),
            (i64::MIN, i64::MAX, 0..10),
            (i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(positions(start, stop, 10), expected);
        }
        assert_eq!(positions(0, -1, 0), 0..0);
    }

    #[test]
    fn limits_leave_out_from_the_end_where_the_walk_begins() {
        let limit = |offset, count, reverse, large| Limit { offset, count }.apply(10..20, reverse, large);
        assert_eq!(limit(0, -1, false, false), 10..20);
        assert_eq!(limit(3, 4, false, false), 13..17);
        assert_eq!(limit(3, 4, true, false), 13..17);
        assert_eq!(limit(1, 2, true, true), 17..19);
        assert_eq!(limit(8, 9, true, true), 10..12);
        assert!(limit(i64::MAX, i64::MAX, false, true).is_empty());
        assert!(limit(i64::MIN, 1, true, true).is_empty());
        assert!(limit(-1, 1, false, false).is_empty());
        assert_eq!(limit(-2, -1, false, true), 18..20);
        assert_eq!(limit(-3, 1, true, true), 12..13);
        assert_eq!(limit(2, 0, true, true).len(), 0);
    }
}
