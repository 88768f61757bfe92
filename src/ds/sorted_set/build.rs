//! Collecting a sorted set from many members before it is put in order: what the STORE commands, COPY and loading do.

use super::super::object::{Big, Limits};
use super::super::parts::listpack::{Listpack, SAFETY_LIMIT};
use super::{SortedSet, pack};
use crate::raw::zset::ScoreMapBuilder;

/// Members on their way into a sorted set.
pub struct SortedSetBuilder {
    members: ScoreMapBuilder,
    longest: usize,
    text_bytes: usize,
}

/// How many members are looked for at once: enough to hide one memory access behind another.
pub const BATCH: usize = 16;

impl SortedSetBuilder {
    /// A builder with room for `expected` members, a number that the caller vouches for.
    pub fn new(limits: &Limits, expected: usize) -> Self {
        SortedSetBuilder { members: ScoreMapBuilder::new(limits.hash_seed, expected), longest: 0, text_bytes: 0 }
    }

    /// Number of members so far.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member. Returns false, and changes nothing, if it is there already. The score is not NaN.
    pub fn push(&mut self, member: &[u8], score: f64) -> bool {
        let new = self.members.push(member, score);
        if new {
            self.measure(member);
        }
        new
    }

    /// Adds a member, or gives the one that is there already the score that `combine(old, score)` makes.
    pub fn merge(&mut self, member: &[u8], score: f64, combine: impl FnOnce(f64, f64) -> f64) {
        let hash = self.members.look_ahead(member);
        if self.members.merge(hash, member, score, combine) {
            self.measure(member);
        }
    }

    /// Merges several members, each as `merge` does; quicker where members are spread over much memory.
    pub fn merge_all(&mut self, batch: &[(&[u8], f64)], combine: impl Fn(f64, f64) -> f64) {
        for part in batch.chunks(BATCH) {
            let mut hashes = [0; BATCH];
            for (hash, (member, _)) in hashes.iter_mut().zip(part) {
                *hash = self.members.look_ahead(member);
            }
            for hash in &hashes[..part.len()] {
                self.members.fetch_ahead(*hash);
            }
            for (hash, (member, score)) in hashes.iter().zip(part) {
                if self.members.merge(*hash, member, *score, &combine) {
                    self.measure(member);
                }
            }
        }
    }

    /// The set, in the encoding that suits it.
    pub fn finish(self, limits: &Limits) -> SortedSet {
        let small = self.len() <= limits.sorted_set_entries && self.longest <= limits.sorted_set_value;
        let map = self.members.finish();
        if !small || self.text_bytes > SAFETY_LIMIT {
            return SortedSet::Tree(Big::new(map));
        }
        let mut packed = Listpack::new();
        for (score, member) in map.iter() {
            pack::append(&mut packed, member, score);
        }
        SortedSet::Packed(packed)
    }

    /// The set in its large encoding, whatever its size: for a result that is shown and dropped. Zeros keep their signs so.
    pub fn finish_large(self) -> SortedSet {
        SortedSet::Tree(Big::new(self.members.finish()))
    }

    fn measure(&mut self, member: &[u8]) {
        self.longest = self.longest.max(member.len());
        self.text_bytes += member.len();
    }
}
