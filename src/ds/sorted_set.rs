//! Sorted sets: a listpack of members and scores in order while small, a member table with an order-statistic tree when large.
//!
//! What a command asks for by score, by bytes or by position becomes a range of ranks first; walking, counting and removing
//! take ranks. Scores are never NaN: commands refuse it before they come here.

mod build;
mod pack;
#[cfg(test)]
mod tests;

use std::ops::{Bound, Range};

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::element::Element;
use super::parts::listpack::Listpack;
use crate::raw::entry::{FromValue, Value};
use crate::raw::zset::{RangeIter, ScoreMap, ScoreMapBuilder};

pub use crate::raw::zset::Added;
pub use build::{BATCH, SortedSetBuilder};

/// A sorted set in either encoding.
pub enum SortedSet {
    Packed(Listpack),
    Tree(Big<ScoreMap>),
}

/// A member with its score, which is read when asked for.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub member: Element<'a>,
    score: Score<'a>,
}

#[derive(Clone, Copy)]
enum Score<'a> {
    Known(f64),
    Packed(Element<'a>),
}

impl<'a> Pair<'a> {
    /// The score.
    #[inline]
    pub fn score(&self) -> f64 {
        match self.score {
            Score::Known(score) => score,
            Score::Packed(stored) => pack::score_of(stored),
        }
    }

    fn packed(member: Element<'a>, score: Element<'a>) -> Self {
        Pair { member, score: Score::Packed(score) }
    }

    fn known((score, member): (f64, &'a [u8])) -> Self {
        Pair { member: Element::Str(member), score: Score::Known(score) }
    }
}

impl SortedSet {
    /// A small set that was stored as one, in the encoding that suits it. The listpack holds members and scores in order.
    pub fn from_packed(packed: Listpack, limits: &Limits) -> Self {
        let fits = |pair: Pair<'_>| pair.member.text_len() <= limits.sorted_set_value;
        let len = pack::len(&packed);
        let small = len <= limits.sorted_set_entries && pack::range(&packed, 0..len, false).all(fits);
        let mut set = SortedSet::Packed(packed);
        if !small {
            set.spread(limits, 0);
        }
        set
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            SortedSet::Packed(packed) => pack::len(packed),
            SortedSet::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            SortedSet::Packed(packed) => packed.is_empty(),
            SortedSet::Tree(tree) => tree.is_empty(),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSet::Packed(packed) => pack::find(packed, member).map(|pos| pack::score_at(packed, pos)),
            SortedSet::Tree(tree) => tree.score(member),
        }
    }

    /// The rank of a member, counted from the lowest score, or from the highest if `reverse`; and its score.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        match self {
            SortedSet::Packed(packed) => {
                let pos = pack::find(packed, member)?;
                let rank = pack::rank_at(packed, pos);
                let rank = if reverse { pack::len(packed) - 1 - rank } else { rank };
                Some((rank, pack::score_at(packed, pos)))
            }
            SortedSet::Tree(tree) => tree.rank(member, reverse),
        }
    }

    /// Says that so many members are about to be added, the first of this length: what is going to be large becomes so now.
    #[inline]
    pub fn expect(&mut self, more: usize, first_len: usize, limits: &Limits) {
        if let SortedSet::Packed(packed) = self
            && (more > limits.sorted_set_entries || (packed.is_empty() && first_len > limits.sorted_set_value))
        {
            self.spread(limits, more);
        }
    }

    /// Adds a member, or changes its score.
    pub fn add(&mut self, member: &[u8], score: f64, limits: &Limits) -> Added {
        self.update(member, limits, |_| Some(score)).unwrap_or(Added::Same)
    }

    /// Lets `decide` see the score of a member (none if it is missing) and say the score it is to have; if it says none,
    /// nothing changes and the result is none.
    #[inline]
    pub fn update(&mut self, member: &[u8], limits: &Limits, decide: impl FnOnce(Option<f64>) -> Option<f64>) -> Option<Added> {
        let packed = match self {
            SortedSet::Tree(tree) => return tree.update(member, decide),
            SortedSet::Packed(packed) => packed,
        };
        if let Some(pos) = pack::find(packed, member) {
            let old = pack::score_at(packed, pos);
            let score = decide(Some(old))?;
            if score == old {
                return Some(Added::Same);
            }
            pack::rescore(packed, pos, member, score);
            return Some(Added::Updated(old));
        }
        let score = decide(None)?;
        if member.len() > limits.sorted_set_value
            || pack::len(packed) >= limits.sorted_set_entries
            || !packed.would_fit(member.len())
        {
            self.spread(limits, 1);
            if let SortedSet::Tree(tree) = self {
                tree.add(member, score);
            }
        } else {
            pack::insert(packed, member, score);
        }
        Some(Added::New)
    }

    /// Removes a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSet::Packed(packed) => {
                let pos = pack::find(packed, member)?;
                let score = pack::score_at(packed, pos);
                packed.delete_from(pos, 2);
                Some(score)
            }
            SortedSet::Tree(tree) => tree.remove(member),
        }
    }

    /// Removes the members of a range of ranks. Ranks beyond the last are left out.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self {
            SortedSet::Packed(packed) => {
                if !ranks.is_empty() {
                    packed.delete_range(2 * ranks.start as i64, 2 * ranks.len());
                }
            }
            SortedSet::Tree(tree) => tree.remove_ranks(ranks, |_, _| ()),
        }
    }

    /// The ranks of the members with scores between two bounds. Empty if there is none.
    pub fn ranks_by_score(&self, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
        match self {
            SortedSet::Packed(packed) => pack::ranks_by_score(packed, min, max),
            SortedSet::Tree(tree) => tree.ranks_by_score(min, max),
        }
    }

    /// The ranks of the members whose bytes are between two bounds. Means something only while all scores are equal;
    /// otherwise it is some range within the set.
    pub fn ranks_by_lex(&self, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
        match self {
            SortedSet::Packed(packed) => pack::ranks_by_lex(packed, min, max),
            SortedSet::Tree(tree) => tree.ranks_by_lex(min, max),
        }
    }

    /// The members of a range of ranks in rising order, or in falling order if `reverse` (the range itself is counted
    /// from the lowest score either way). Ranks beyond the last are left out.
    pub fn range(&self, ranks: Range<usize>, reverse: bool) -> Pairs<'_> {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match self {
            SortedSet::Packed(packed) => Pairs(Walk::Packed(pack::range(packed, ranks, reverse))),
            SortedSet::Tree(tree) => Pairs(Walk::Tree(tree.range(ranks, reverse))),
        }
    }

    /// All members in rising order.
    pub fn iter(&self) -> Pairs<'_> {
        self.range(0..self.len(), false)
    }

    /// A member chosen evenly; `random(n)` returns a number below n.
    pub fn random(&self, random: &mut dyn FnMut(u64) -> u64) -> Option<Pair<'_>> {
        if self.is_empty() {
            return None;
        }
        let rank = random(self.len() as u64) as usize;
        match self {
            SortedSet::Packed(_) => self.range(rank..rank + 1, false).next(),
            SortedSet::Tree(tree) => tree.select(rank).map(Pair::known),
        }
    }

    /// Calls `f` with `count` different members chosen evenly, with all if there are not so many. `random(n)` returns a
    /// number below n.
    pub fn sample(&self, count: usize, random: &mut dyn FnMut(u64) -> u64, f: &mut dyn FnMut(Pair<'_>)) {
        /// Walking past a member is about this much cheaper than finding one by its rank.
        const WALK_GAIN: usize = 16;

        let len = self.len();
        match self {
            SortedSet::Tree(tree) if count < len / WALK_GAIN => {
                // Robert Floyd's selection (Bentley and Floyd, "A sample of brilliance", 1987).
                let mut chosen = std::collections::HashSet::with_capacity(count);
                for last in len - count..len {
                    let rank = random(last as u64 + 1) as usize;
                    let rank = if chosen.insert(rank) { rank } else { last };
                    chosen.insert(rank);
                    if let Some(pair) = tree.select(rank) {
                        f(Pair::known(pair));
                    }
                }
            }
            _ => {
                // Selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
                let (mut left, mut wanted) = (len, count.min(len));
                for pair in self.iter() {
                    if wanted == 0 {
                        break;
                    }
                    if wanted == left || random(left as u64) < wanted as u64 {
                        f(pair);
                        wanted -= 1;
                    }
                    left -= 1;
                }
            }
        }
    }

    /// One step of a scan: calls `f` with some members and returns the cursor of the next step, 0 after the last. A small
    /// set is shown whole. The guarantee is that of [`crate::raw::table::Table::scan`].
    pub fn scan(&self, cursor: u64, f: &mut dyn FnMut(Pair<'_>)) -> u64 {
        match self {
            SortedSet::Packed(_) => {
                self.iter().for_each(f);
                0
            }
            SortedSet::Tree(tree) => tree.scan(cursor, &mut |score, member| f(Pair::known((score, member)))),
        }
    }

    /// True for the large encoding.
    #[inline]
    pub fn is_large(&self) -> bool {
        matches!(self, SortedSet::Tree(_))
    }

    /// Turns to the large encoding, with room for `more` members.
    fn spread(&mut self, limits: &Limits, more: usize) {
        let SortedSet::Packed(packed) = self else { return };
        let mut members = ScoreMapBuilder::new(limits.hash_seed, pack::len(packed).saturating_add(more));
        for pair in pack::range(packed, 0..pack::len(packed), false) {
            pair.member.with_text(|member| members.push(member, pair.score()));
        }
        *self = SortedSet::Tree(Big::new(members.finish()));
    }
}

/// Members with their scores, in order.
pub struct Pairs<'a>(Walk<'a>);

enum Walk<'a> {
    Packed(pack::Pairs<'a>),
    Tree(RangeIter<'a>),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        match &mut self.0 {
            Walk::Packed(pairs) => pairs.next(),
            Walk::Tree(pairs) => pairs.next().map(Pair::known),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Walk::Packed(pairs) => pairs.left,
            Walk::Tree(pairs) => pairs.len(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl FromValue<Object> for SortedSet {
    #[inline]
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::SORTED_SET, bytes) => Ok(SortedSet::Packed(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(SortedSet::Tree).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for SortedSet {
    const TYPE: ValueType = ValueType::SortedSet;

    fn empty(_: &Limits) -> Self {
        SortedSet::Packed(Listpack::new())
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn into_value(self) -> Value<Object> {
        match self {
            SortedSet::Packed(packed) => Value::Thin(thin::SORTED_SET, packed.into_thin()),
            SortedSet::Tree(tree) => tree.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            SortedSet::Packed(packed) => SortedSet::Packed(packed.clone()),
            SortedSet::Tree(tree) => SortedSet::Tree(Big::new(tree.duplicate())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            SortedSet::Packed(_) => "listpack",
            SortedSet::Tree(_) => "skiplist",
        }
    }

    fn memory_bytes(&self, _samples: usize) -> usize {
        match self {
            SortedSet::Packed(packed) => packed.memory_bytes(),
            SortedSet::Tree(tree) => size_of::<Object>() + tree.memory_bytes(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            SortedSet::Packed(_) => 1,
            SortedSet::Tree(tree) => tree.len(),
        }
    }
}
