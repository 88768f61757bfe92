//! The tree against a `BTreeMap`, with a checker of everything the nodes promise.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::clock::Rng;
use crate::raw::member::OwnedMember;

/// The tree with owners of its members and a model: the key is what orders, the value finds the member.
struct Pair {
    tree: BTree,
    owners: HashMap<Vec<u8>, OwnedMember>,
    model: BTreeMap<(u64, Vec<u8>), f64>,
}

impl Pair {
    fn new() -> Pair {
        Pair { tree: BTree::new(), owners: HashMap::new(), model: BTreeMap::new() }
    }

    fn put(&mut self, score: f64, bytes: &[u8]) {
        // SAFETY: owners keep members alive, and each is inserted once.
        unsafe {
            if let Some(owner) = self.owners.get(bytes) {
                self.model.remove(&(order_key(owner.score()), bytes.to_vec()));
                self.tree.update_score(owner.handle(), score);
                assert_eq!(owner.score().to_bits(), score.to_bits());
            } else {
                let owner = OwnedMember::new(score, bytes);
                self.tree.insert(owner.handle());
                self.owners.insert(bytes.to_vec(), owner);
            }
        }
        self.model.insert((order_key(score), bytes.to_vec()), score);
    }

    fn take(&mut self, bytes: &[u8]) {
        if let Some(owner) = self.owners.remove(bytes) {
            // SAFETY: alive until the end of this block.
            assert!(unsafe { self.tree.remove(owner.handle()) });
            self.model.remove(&(order_key(owner.score()), bytes.to_vec()));
        }
    }

    fn take_range(&mut self, ranks: Range<usize>) {
        let expected: Vec<_> = self.model.keys().skip(ranks.start).take(ranks.len()).cloned().collect();
        let mut seen = Vec::new();
        let owners = &mut self.owners;
        self.tree.remove_range(ranks, |member| {
            // SAFETY: alive until its owner is dropped below.
            let key = unsafe { (member.key(), member.bytes().to_vec()) };
            owners.remove(&key.1);
            seen.push(key);
        });
        assert_eq!(seen, expected);
        expected.iter().for_each(|key| assert!(self.model.remove(key).is_some()));
    }

    /// Compares everything that can be asked.
    fn check(&self, rng: &mut Rng) {
        self.tree.validate();
        assert_eq!(self.tree.len(), self.model.len());
        let all: Vec<(u64, &[u8])> = self.model.keys().map(|(key, bytes)| (*key, bytes.as_slice())).collect();
        // SAFETY: owners keep members alive.
        let view = |member: Member| unsafe { (member.key(), member.bytes()) };
        let len = all.len();
        assert!(self.tree.range(0..len, false).map(view).eq(all.iter().copied()));
        assert!(self.tree.range(0..usize::MAX, true).map(view).eq(all.iter().rev().copied()));
        assert_eq!(self.tree.first().map(view), all.first().copied());
        assert_eq!(self.tree.last().map(view), all.last().copied());
        assert_eq!(self.tree.select(len), None);
        for _ in 0..40.min(len) {
            let rank = rng.index(len);
            let (key, bytes) = all[rank];
            let owner = &self.owners[bytes];
            assert_eq!(self.tree.select(rank), Some(owner.handle()));
            // SAFETY: the owner is alive.
            assert_eq!(unsafe { self.tree.rank(owner.handle()) }, rank);
            let near = if rng.index(2) == 0 { owner.score() } else { owner.score() + 0.5 };
            let at = order_key(near);
            assert_eq!(self.tree.rank_of_score(near, false), all.partition_point(|item| item.0 < at));
            assert_eq!(self.tree.rank_of_score(near, true), all.partition_point(|item| item.0 <= at));
            let (start, want) = (rng.index(len), rng.index(150));
            let end = (start + want).min(len);
            assert!(self.tree.range(start..start + want, false).map(view).eq(all[start..end].iter().copied()));
            assert!(self.tree.range(start..start + want, true).map(view).eq(all[start..end].iter().rev().copied()));
            if all[0].0 == all[len - 1].0 {
                assert_eq!(self.tree.rank_of_lex(bytes, false), rank);
                assert_eq!(self.tree.rank_of_lex(bytes, true), rank + 1);
            } else {
                assert!(self.tree.rank_of_lex(bytes, true) <= len);
            }
            let _ = key;
        }
    }
}

impl BTree {
    /// Checks counts, order, first members, hints, links and depth of the whole tree.
    fn validate(&self) {
        let (mut leaves, mut inners) = (Vec::new(), 0);
        if !self.root.is_null() {
            assert_eq!(self.validate_node(self.root, 0, Scale::FLAT, &mut leaves, &mut inners), self.len);
        }
        assert_eq!((leaves.len(), inners), (self.leaves, self.inners));
        assert_eq!(self.head, leaves.first().copied().unwrap_or(std::ptr::null_mut()));
        assert_eq!(self.tail, leaves.last().copied().unwrap_or(std::ptr::null_mut()));
        let mut previous: Option<(u64, &[u8])> = None;
        for (at, &leaf) in leaves.iter().enumerate() {
            // SAFETY: leaves of the tree.
            let leaf = unsafe { &*leaf };
            assert_eq!(leaf.prev, if at == 0 { std::ptr::null_mut() } else { leaves[at - 1] });
            assert_eq!(leaf.next, leaves.get(at + 1).copied().unwrap_or(std::ptr::null_mut()));
            for word in leaf.words() {
                // SAFETY: members of the tree.
                let item = unsafe { (word.member().key(), word.member().bytes()) };
                assert!(previous.is_none_or(|previous| previous < item));
                previous = Some(item);
            }
        }
    }

    fn validate_node(&self, node: *mut u8, level: usize, scale: Scale, leaves: &mut Vec<*mut Leaf>, inners: &mut usize) -> usize {
        // SAFETY: nodes of the tree, told apart by their level.
        unsafe {
            if level == self.height {
                let leaf = &*node.cast::<Leaf>();
                assert!((1..=LEAF_SLOTS).contains(&leaf.len));
                for word in leaf.words() {
                    assert_eq!(word.hint(), scale.hint(word.member().key()));
                }
                leaves.push(node.cast());
                return leaf.len;
            }
            let inner = &*node.cast::<Inner>();
            *inners += 1;
            assert!((1..=INNER_SLOTS).contains(&inner.len) && (level > 0 || inner.len > 1));
            for at in 0..inner.len {
                let count = self.validate_node(inner.kids[at], level + 1, inner.scale, leaves, inners);
                assert_eq!(count, inner.counts[at]);
                let first = inner.firsts[at].member();
                assert_eq!(inner.keys[at], first.key());
                let mut below = inner.kids[at];
                for _ in level + 1..self.height {
                    below = (*below.cast::<Inner>()).kids[0];
                }
                assert_eq!((*below.cast::<Leaf>()).words[0].member(), first);
            }
            inner.total()
        }
    }

    fn fill(&self) -> f64 {
        self.len as f64 / (self.leaves * LEAF_SLOTS) as f64
    }
}

/// Scores of one kind each: spread, few distinct, one, skewed over all magnitudes, clustered.
fn score(rng: &mut Rng, kind: usize) -> f64 {
    match kind {
        0 => rng.index(1 << 40) as f64 - (1_u64 << 39) as f64,
        1 => [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY][rng.index(6)],
        2 => 7.0,
        3 => loop {
            let score = f64::from_bits(rng.next_u64() << 20 ^ rng.next_u64());
            if !score.is_nan() {
                break score;
            }
        },
        _ => 1e9 + rng.index(3) as f64 * 1e6 + rng.index(1000) as f64 / 16.0,
    }
}

fn name(rng: &mut Rng, names: usize) -> Vec<u8> {
    let mut bytes = format!("member:{}", rng.index(names)).into_bytes();
    if bytes.len().is_multiple_of(3) {
        bytes.resize(150, b'x');
    }
    bytes
}

#[test]
fn agrees_with_a_model() {
    for kind in 0..5 {
        let rng = &mut Rng::seeded(0x9e37_79b9 + kind as u64);
        let mut pair = Pair::new();
        for step in 0..24_000 {
            // Grow, storm, shrink: a third of the steps each.
            let grows = [85, 50, 25][step / 8_000];
            match rng.index(100) {
                n if n < grows => pair.put(score(rng, kind), &name(rng, 9_000)),
                98 => {
                    let start = rng.index(pair.tree.len() + 1);
                    let limit = [3, 80, 200][rng.index(3)];
                    let len = rng.index(limit);
                    pair.take_range(start..start + len);
                }
                99 if pair.tree.len() > 0 => {
                    let end = rng.index(2) * (pair.tree.len() - 1);
                    pair.take_range(end..end + 1);
                }
                _ => pair.take(&name(rng, 9_000)),
            }
            if step % 1_500 == 0 {
                pair.check(rng);
            }
        }
        pair.check(rng);
        pair.take_range(10..usize::MAX);
        pair.check(rng);
        pair.take_range(0..10);
        pair.check(rng);
        pair.put(1.0, b"again");
        pair.check(rng);
    }
}

#[test]
fn small_steps_of_a_score_stay_in_place() {
    let rng = &mut Rng::seeded(77);
    let mut pair = Pair::new();
    for i in 0..5_000 {
        pair.put(i as f64 * 10.0, format!("{i}").as_bytes());
    }
    for step in 0..20_000 {
        let i = rng.index(5_000);
        let score = i as f64 * 10.0 + rng.index(12) as f64 - 1.0;
        pair.put(score, format!("{i}").as_bytes());
        if step % 4_000 == 0 {
            pair.check(rng);
        }
    }
    pair.check(rng);
}

#[test]
fn ordered_and_random_inserts_fill_the_leaves() {
    for order in 0..3 {
        let rng = &mut Rng::seeded(5);
        let mut pair = Pair::new();
        for i in 0..30_000 {
            let score = match order {
                0 => i as f64,
                1 => -(i as f64),
                _ => rng.index(1 << 30) as f64,
            };
            pair.put(score, format!("{i}").as_bytes());
        }
        pair.check(rng);
        let least = if order == 2 { 0.75 } else { 0.99 };
        assert!(pair.tree.fill() > least, "order {order}: {}", pair.tree.fill());
    }
}

#[test]
fn popping_either_end_empties_the_tree() {
    for from_tail in [false, true] {
        let rng = &mut Rng::seeded(9);
        let mut pair = Pair::new();
        for i in 0..6_000 {
            pair.put(score(rng, 0), format!("{i}").as_bytes());
        }
        while pair.tree.len() > 0 {
            let at = if from_tail { pair.tree.len() - 1 } else { 0 };
            pair.take_range(at..at + 1);
            if pair.tree.len().is_multiple_of(997) {
                pair.check(rng);
            }
        }
        pair.check(rng);
    }
}

#[test]
fn builds_from_sorted_members() {
    let rng = &mut Rng::seeded(3);
    for len in [0, 1, 61, 62, 122, 123, 61 * 32, 61 * 32 + 1, 70_000] {
        let mut pair = Pair::new();
        for i in 0..len {
            let owner = OwnedMember::new((i / 2) as f64, format!("{i:06}").as_bytes());
            pair.model.insert((owner_key(&owner), owner.bytes().to_vec()), owner.score());
            pair.owners.insert(owner.bytes().to_vec(), owner);
        }
        let members: Vec<Member> = pair.model.keys().map(|(_, bytes)| pair.owners[bytes].handle()).collect();
        // SAFETY: the model sorted them, and the owners live beside the tree.
        pair.tree = unsafe { BTree::from_sorted(&members) };
        pair.check(rng);
        for i in 0..(len / 4).min(3_000) {
            pair.put(score(rng, 0), format!("{:06}", i * 3).as_bytes());
        }
        pair.check(rng);
    }
}

fn owner_key(owner: &OwnedMember) -> u64 {
    order_key(owner.score())
}

#[test]
fn scales_spread_and_clamp() {
    let scale = Scale::spanning(1_000_000, 9_000_000);
    assert!(scale.serves(1_000_000, 9_000_000) && !scale.serves(1_000_000, 1_000_100) && !scale.serves(0, 1 << 60));
    assert!(scale.hint(0) <= scale.hint(1_000_000) && scale.hint(1_000_000) < scale.hint(9_000_000));
    assert_eq!((scale.hint(u64::MAX), scale.hint(0)), (0xffff, 0));
    assert!(Scale::spanning(0, u64::MAX).serves(0, u64::MAX));
    assert!(Scale::spanning(5, 5).serves(5, 5) && Scale::FLAT.hint(u64::MAX) == 0);
}
