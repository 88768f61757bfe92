//! The small encoding of a sorted set: members and scores in turn in a listpack, in order of score and then bytes.
//!
//! Redis saves this form as it stands, so a score is an integer where it can be one, and otherwise the text that the
//! wire would show. Zero has no sign here: the integer 0 stands for both.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

use super::super::parts::element::Element;
use super::super::parts::listpack::{Entries, Listpack, Pos};
use super::Pair;
use crate::resp::number::{f64_text, parse_f64};

/// Integers beyond this are written as text: halfway to the end of the 64 bits, as Redis has it.
const INTEGER_MAX: f64 = (1_u64 << 62) as f64;

/// Calls `f` with the form in which a score is stored.
fn with_stored<R>(score: f64, f: impl FnOnce(Element<'_>) -> R) -> R {
    if score.abs() <= INTEGER_MAX && score.trunc() == score {
        f(Element::Int(score as i64))
    } else {
        f(Element::Str(f64_text(score).as_bytes()))
    }
}

/// The score that an element stands for. Text that is no number, which only a forged file can hold, counts as zero.
#[inline]
pub(super) fn score_of(stored: Element<'_>) -> f64 {
    match stored {
        Element::Int(score) => score as f64,
        Element::Str(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// Number of pairs.
pub(super) fn len(pack: &Listpack) -> usize {
    pack.len() / 2
}

/// Where a member is.
pub(super) fn find(pack: &Listpack, member: &[u8]) -> Option<Pos> {
    pack.find(Element::Str(member), 1)
}

/// The score of the pair at `pos`.
pub(super) fn score_at(pack: &Listpack, pos: Pos) -> f64 {
    pack.next(pos).map_or(0.0, |pos| score_of(pack.get(pos)))
}

/// Adds a member that is not there yet.
pub(super) fn insert(pack: &mut Listpack, member: &[u8], score: f64) {
    let place = place_of(pack, member, score);
    with_stored(score, |score| pack.insert_pair(place, Element::Str(member), score));
}

/// Adds a member behind all others.
pub(super) fn append(pack: &mut Listpack, member: &[u8], score: f64) {
    with_stored(score, |score| pack.insert_pair(None, Element::Str(member), score));
}

/// Gives the member at `pos` another score.
pub(super) fn rescore(pack: &mut Listpack, pos: Pos, member: &[u8], score: f64) {
    let score_pos = pack.next(pos);
    let follows = score_pos.and_then(|at| pack.next(at));
    let precedes = pack.prev(pos).and_then(|at| pack.prev(at));
    let before = |at: Pos| compare(pack.get(at), score_at(pack, at), member, score);
    let stays = precedes.is_none_or(|at| before(at).is_lt()) && follows.is_none_or(|at| before(at).is_gt());
    match score_pos {
        Some(at) if stays => {
            with_stored(score, |score| pack.replace(at, score));
        }
        _ => {
            pack.delete_from(pos, 2);
            insert(pack, member, score);
        }
    }
}

/// How many pairs stand before the one at `pos`.
pub(super) fn rank_at(pack: &Listpack, pos: Pos) -> usize {
    pack.entries().step_by(2).take_while(|(at, _)| *at < pos).count()
}

/// The ranks of the pairs with scores between two bounds.
pub(super) fn ranks_by_score(pack: &Listpack, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
    ranks(
        pack,
        |pair| match min {
            Bound::Included(min) => pair.score() >= min,
            Bound::Excluded(min) => pair.score() > min,
            Bound::Unbounded => true,
        },
        |pair| match max {
            Bound::Included(max) => pair.score() <= max,
            Bound::Excluded(max) => pair.score() < max,
            Bound::Unbounded => true,
        },
    )
}

/// The ranks of the pairs with members between two bounds, from the first above the lower bound up to the next above the
/// upper one: nothing more can be said where scores differ.
pub(super) fn ranks_by_lex(pack: &Listpack, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
    ranks(
        pack,
        |pair| match min {
            Bound::Included(min) => pair.member.with_text(|text| text >= min),
            Bound::Excluded(min) => pair.member.with_text(|text| text > min),
            Bound::Unbounded => true,
        },
        |pair| match max {
            Bound::Included(max) => pair.member.with_text(|text| text <= max),
            Bound::Excluded(max) => pair.member.with_text(|text| text < max),
            Bound::Unbounded => true,
        },
    )
}

/// The pairs of a range of ranks, which lies within the listpack.
pub(super) fn range(pack: &Listpack, ranks: Range<usize>, reverse: bool) -> Pairs<'_> {
    let left = ranks.len();
    let mut entries = pack.entries();
    if reverse {
        for _ in 0..2 * (len(pack) - ranks.end) {
            entries.next_back();
        }
    } else if ranks.start > 0
        && let Some(pos) = pack.seek(2 * ranks.start as i64)
    {
        entries = pack.entries_from(pos);
    }
    Pairs { entries, left, reverse }
}

/// Pairs in order, from either end.
pub(super) struct Pairs<'a> {
    entries: Entries<'a>,
    pub(super) left: usize,
    reverse: bool,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.reverse {
            let (_, score) = self.entries.next_back()?;
            let (_, member) = self.entries.next_back()?;
            return Some(Pair::packed(member, score));
        }
        let (_, member) = self.entries.next()?;
        let (_, score) = self.entries.next()?;
        Some(Pair::packed(member, score))
    }
}

fn ranks(pack: &Listpack, above_min: impl Fn(&Pair<'_>) -> bool, below_max: impl Fn(&Pair<'_>) -> bool) -> Range<usize> {
    let mut rank = 0;
    let mut pairs = range(pack, 0..len(pack), false);
    let mut pair = pairs.next();
    while pair.as_ref().is_some_and(|pair| !above_min(pair)) {
        rank += 1;
        pair = pairs.next();
    }
    let start = rank;
    while pair.as_ref().is_some_and(&below_max) {
        rank += 1;
        pair = pairs.next();
    }
    start..rank
}

/// The pair before which a new one belongs; none if that is the end.
fn place_of(pack: &Listpack, member: &[u8], score: f64) -> Option<Pos> {
    // What comes in order, by time say, is appended without a search.
    let last = pack.last()?;
    let last_member = pack.prev(last)?;
    if compare(pack.get(last_member), score_of(pack.get(last)), member, score).is_lt() {
        return None;
    }
    let mut entries = pack.entries();
    while let (Some((pos, other)), Some((_, stored))) = (entries.next(), entries.next()) {
        if compare(other, score_of(stored), member, score).is_gt() {
            return Some(pos);
        }
    }
    None
}

/// Orders a stored pair against another one.
fn compare(own: Element<'_>, own_score: f64, member: &[u8], score: f64) -> Ordering {
    own_score.partial_cmp(&score).unwrap_or(Ordering::Equal).then_with(|| own.with_text(|text| text.cmp(member)))
}
