//! Descents: from the root to the leaf position where a target belongs.
//!
//! A target says, in an inner node, which child to enter, and in a leaf, how many members stand before it. Inner
//! nodes are decided by their copies of score keys, leaves by the hints in their words; members are read only where
//! those are equal.

use std::mem::offset_of;

use super::BTree;
use super::node::{Inner, Leaf, Scale, Word, prefetch_lines};
use crate::raw::member::Member;

/// Deepest tree: an inner node keeps ten children or more, save along the edges, so this is never reached.
pub(super) const MAX_HEIGHT: usize = 16;

/// The way from the root to a position: `nodes[l]` is left through its child `at[l]`.
pub(super) struct Path {
    pub(super) nodes: [*mut Inner; MAX_HEIGHT],
    pub(super) at: [usize; MAX_HEIGHT],
    pub(super) leaf: *mut Leaf,
    pub(super) pos: usize,
    pub(super) scale: Scale,
}

pub(super) trait Target {
    /// The child to enter: the last one that can hold the target.
    fn child(&self, node: &Inner) -> usize;
    /// The number of members of the leaf that stand before the target.
    fn slot(&self, leaf: &Leaf, scale: Scale) -> usize;
}

/// Where a score and member bytes belong in the whole order.
pub(super) struct Place<'a> {
    pub(super) key: u64,
    pub(super) bytes: &'a [u8],
}

impl Target for Place<'_> {
    fn child(&self, node: &Inner) -> usize {
        let low = node.keys().partition_point(|&key| key < self.key);
        let ties = node.keys()[low..].partition_point(|&key| key == self.key);
        // SAFETY: the tree's contract: members in it are alive.
        let at_or_before = |first: Member| unsafe { first.bytes() } <= self.bytes;
        let before = match ties {
            0 => low,
            _ => low + probe(&node.firsts[low..low + ties], at_or_before),
        };
        before.saturating_sub(1)
    }

    fn slot(&self, leaf: &Leaf, scale: Scale) -> usize {
        let (low, high) = same_hint(leaf.words(), scale.hint(self.key));
        // SAFETY: the tree's contract: members in it are alive.
        low + probe(&leaf.words()[low..high], |member| unsafe { member.cmp_to(self.key, self.bytes).is_lt() })
    }
}

/// A member that is in the tree: found in its leaf by address.
pub(super) struct Present<'a> {
    pub(super) place: Place<'a>,
    pub(super) member: Member,
}

impl Target for Present<'_> {
    fn child(&self, node: &Inner) -> usize {
        self.place.child(node)
    }

    fn slot(&self, leaf: &Leaf, scale: Scale) -> usize {
        let wanted = Word::new(scale.hint(self.place.key), self.member);
        leaf.words().iter().position(|&word| word == wanted).unwrap_or(leaf.len)
    }
}

/// A score as a bound: before or after all the members that have it.
pub(super) struct ScoreEdge {
    pub(super) key: u64,
    pub(super) after: bool,
}

impl Target for ScoreEdge {
    fn child(&self, node: &Inner) -> usize {
        let before = match self.after {
            true => node.keys().partition_point(|&key| key <= self.key),
            false => node.keys().partition_point(|&key| key < self.key),
        };
        before.saturating_sub(1)
    }

    fn slot(&self, leaf: &Leaf, scale: Scale) -> usize {
        let (low, high) = same_hint(leaf.words(), scale.hint(self.key));
        let words = &leaf.words()[low..high];
        // SAFETY: the tree's contract: members in it are alive.
        let key = |member: Member| unsafe { member.key() };
        low + match self.after {
            true => probe(words, |member| key(member) <= self.key),
            false => probe(words, |member| key(member) < self.key),
        }
    }
}

/// Member bytes as a bound, for sets whose members all have one score; scores are not looked at.
pub(super) struct LexEdge<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) after: bool,
}

impl LexEdge<'_> {
    fn passes(&self, member: Member) -> bool {
        // SAFETY: the tree's contract: members in it are alive.
        let bytes = unsafe { member.bytes() };
        if self.after { bytes <= self.bytes } else { bytes < self.bytes }
    }
}

impl Target for LexEdge<'_> {
    fn child(&self, node: &Inner) -> usize {
        probe(&node.firsts[..node.len], |first| self.passes(first)).saturating_sub(1)
    }

    fn slot(&self, leaf: &Leaf, _: Scale) -> usize {
        probe(leaf.words(), |member| self.passes(member))
    }
}

impl BTree {
    /// The path to a target, or `None` in an empty tree.
    pub(super) fn path(&self, target: &impl Target) -> Option<Path> {
        let slot = |leaf: &Leaf, scale| target.slot(leaf, scale);
        self.walk(|node| target.child(node), |_, _| (), slot)
    }

    /// The number of members before a target.
    pub(super) fn members_before(&self, target: &impl Target) -> usize {
        let mut before = 0;
        let passed = |node: &Inner, child| before += node.counts[..child].iter().sum::<usize>();
        let slot = |leaf: &Leaf, scale| target.slot(leaf, scale);
        let path = self.walk(|node| target.child(node), passed, slot);
        before + path.map_or(0, |path| path.pos)
    }

    /// The path to the member of this rank, which is less than the length.
    pub(super) fn path_to_rank(&self, rank: usize) -> Option<Path> {
        let mut left = rank;
        let child = |node: &Inner| {
            let last = node.len - 1;
            for (child, &count) in node.counts[..last].iter().enumerate() {
                if left < count {
                    return child;
                }
                left -= count;
            }
            last
        };
        let mut path = self.walk(child, |_, _| (), |_, _| 0)?;
        path.pos = left;
        Some(path)
    }

    /// A descent: `child` picks the way, `passed` hears of it while the next node is already on its way from memory,
    /// and `slot` picks the position in the leaf.
    pub(super) fn walk(
        &self,
        mut child: impl FnMut(&Inner) -> usize,
        mut passed: impl FnMut(&Inner, usize),
        slot: impl FnOnce(&Leaf, Scale) -> usize,
    ) -> Option<Path> {
        if self.root.is_null() {
            return None;
        }
        let mut path = Path {
            nodes: [std::ptr::null_mut(); MAX_HEIGHT],
            at: [0; MAX_HEIGHT],
            leaf: std::ptr::null_mut(),
            pos: 0,
            scale: Scale::FLAT,
        };
        let mut node = self.root;
        for level in 0..self.height {
            // SAFETY: the first `height` nodes from the root are inner nodes, alive while the tree is borrowed.
            let inner = unsafe { &*node.cast::<Inner>() };
            let at = child(inner);
            (path.nodes[level], path.at[level], path.scale) = (node.cast(), at, inner.scale);
            node = inner.kids[at];
            // All lines of the next node at once: a search touches several of them, one after the other.
            match level + 1 == self.height {
                true => prefetch_lines(node, size_of::<Leaf>()),
                false => prefetch_lines(node, offset_of!(Inner, firsts)),
            }
            passed(inner, at);
        }
        path.leaf = node.cast();
        // SAFETY: below the inner nodes stands a leaf.
        path.pos = slot(unsafe { &*path.leaf }, path.scale);
        Some(path)
    }
}

/// The words with this hint, as a range.
fn same_hint(words: &[Word], hint: u64) -> (usize, usize) {
    let low = words.partition_point(|word| word.hint() < hint);
    let ties = words[low..].iter().take_while(|word| word.hint() == hint).count();
    (low, low + ties)
}

/// A partition point that reads members. A long one starts by prefetching the first members it may ask for, so
/// that their cache misses overlap.
fn probe(words: &[Word], before: impl Fn(Member) -> bool) -> usize {
    if words.len() >= 8 {
        let step = words.len() / 8;
        for word in words.iter().step_by(step).skip(1) {
            word.member().prefetch();
        }
    }
    words.partition_point(|word| before(word.member()))
}
