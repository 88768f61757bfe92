//! The order of a large sorted set: an order-statistic B+tree over the members' allocations.
//!
//! Members are ordered by score and then by their bytes. A leaf is 512 bytes: up to 61 eight-byte words and links both
//! ways; an inner node keeps up to 32 children with the number of members below each, so a rank, or the member of a
//! rank, is one descent. Neither repeats what the member index knows: leaves hold addresses only, and the tree costs
//! about 11 bytes per member after random inserts, 9 after ordered ones.
//!
//! What makes it fast is not reading members on the way down, as each read is a cache miss. Inner nodes copy the score
//! keys of their children's first members, and the 16 bits of a word that an address leaves free hold a hint of the
//! score (see `node::Scale`), so a search reads about one member in the leaf, and the rank of a known member reads none.
//!
//! The tree owns its nodes, not the members. Its contract, on which every `SAFETY` note in this folder leans: a member
//! stays alive, and its score unchanged, from `insert` to `remove` (`update_score` apart); nodes are reachable from one
//! `BTree` alone, which the caller borrows.

mod edit;
mod node;
mod search;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::ops::Range;

use super::member::{Member, order_key};
use edit::suit_scale;
use node::{Child, INNER_SLOTS, Inner, LEAF_SLOTS, Leaf, Scale, Word, prefetch_lines};
use search::{LexEdge, Path, Place, Present, ScoreEdge};

/// Members that a walk prefetches ahead of the one it returns.
const AHEAD: usize = 24;

/// See the module's page.
pub(super) struct BTree {
    /// An `Inner` if `height` is not 0, else a `Leaf`, or null in an empty tree.
    root: *mut u8,
    /// Levels of inner nodes.
    height: usize,
    len: usize,
    head: *mut Leaf,
    tail: *mut Leaf,
    leaves: usize,
    inners: usize,
}

impl BTree {
    pub(super) const fn new() -> BTree {
        BTree {
            root: std::ptr::null_mut(),
            height: 0,
            len: 0,
            head: std::ptr::null_mut(),
            tail: std::ptr::null_mut(),
            leaves: 0,
            inners: 0,
        }
    }

    /// Builds the tree of members that are already in order, in linear time and with full nodes.
    ///
    /// # Safety
    /// The members fulfil the tree's contract and are strictly ascending.
    pub(super) unsafe fn from_sorted(members: &[Member]) -> BTree {
        let mut tree = BTree::new();
        let mut children = Vec::with_capacity(members.len().div_ceil(LEAF_SLOTS));
        for part in even_parts(members.len(), LEAF_SLOTS) {
            let leaf = tree.new_leaf();
            // SAFETY: fresh leaves.
            unsafe {
                for (word, &member) in (*leaf).words.iter_mut().zip(&members[part.clone()]) {
                    *word = Word::new(Scale::FLAT.hint(0), member);
                }
                (*leaf).len = part.len();
                (*leaf).prev = tree.tail;
                match tree.tail.is_null() {
                    true => tree.head = leaf,
                    false => (*tree.tail).next = leaf,
                }
            }
            tree.tail = leaf;
            children.push(Child { node: leaf.cast(), count: part.len(), first: members[part.start] });
        }
        while children.len() > 1 {
            tree.height += 1;
            let mut above = Vec::with_capacity(children.len().div_ceil(INNER_SLOTS));
            for part in even_parts(children.len(), INNER_SLOTS) {
                let inner = tree.new_inner(Scale::FLAT);
                // SAFETY: a fresh node, and children that nothing else refers to.
                let inner_ref = unsafe { &mut *inner };
                for child in &children[part] {
                    inner_ref.insert(inner_ref.len, *child);
                }
                if tree.height == 1 {
                    suit_scale(inner_ref);
                }
                above.push(Child { node: inner.cast(), count: inner_ref.total(), first: inner_ref.first() });
            }
            children = above;
        }
        tree.root = children.first().map_or(std::ptr::null_mut(), |root| root.node);
        tree.len = members.len();
        tree
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all nodes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.leaves * size_of::<Leaf>() + self.inners * size_of::<Inner>()
    }

    /// # Safety
    /// The member is not in the tree and fulfils its contract from now on.
    pub(super) unsafe fn insert(&mut self, member: Member) {
        // SAFETY: the member is alive.
        let place = unsafe { Place { key: member.key(), bytes: member.bytes() } };
        match self.insertion_path(&place) {
            Some(path) => self.insert_at(path, member, &place),
            None => self.plant(member),
        }
    }

    /// # Safety
    /// The member is alive.
    pub(super) unsafe fn remove(&mut self, member: Member) -> bool {
        // SAFETY: the member is alive.
        let Some(path) = (unsafe { self.path_to(member) }) else {
            return false;
        };
        self.remove_at(&path, 1);
        true
    }

    /// Gives a member another score, in place if its rank stays.
    ///
    /// # Safety
    /// The member is in the tree.
    pub(super) unsafe fn update_score(&mut self, member: Member, score: f64) {
        // SAFETY: the member is alive, as are its neighbours; nodes as in `insert_at`.
        unsafe {
            let Some(path) = self.path_to(member) else {
                return;
            };
            let place = Place { key: order_key(score), bytes: member.bytes() };
            let hint = path.scale.hint(place.key);
            if self.fits_between(&path, &place, hint) {
                member.set_score(score);
                (*path.leaf).words[path.pos] = Word::new(hint, member);
                if path.pos == 0 {
                    self.first_changed(&path, self.height, member);
                }
                return;
            }
            self.remove_at(&path, 1);
            member.set_score(score);
            self.insert(member);
        }
    }

    /// # Safety
    /// The member is alive.
    pub(super) unsafe fn rank(&self, member: Member) -> usize {
        // SAFETY: the member is alive.
        self.members_before(&unsafe { present(member) })
    }

    /// The number of members with a lower score, or, if `after`, with the same or a lower one.
    pub(super) fn rank_of_score(&self, score: f64, after: bool) -> usize {
        self.members_before(&ScoreEdge { key: order_key(score), after })
    }

    /// The number of members whose bytes are lower, or, if `after`, the same or lower. Means something only while all
    /// scores are equal; otherwise it is some number up to the length.
    pub(super) fn rank_of_lex(&self, bytes: &[u8], after: bool) -> usize {
        self.members_before(&LexEdge { bytes, after })
    }

    /// The member of this rank.
    pub(super) fn select(&self, rank: usize) -> Option<Member> {
        if rank >= self.len {
            return None;
        }
        let path = self.path_to_rank(rank)?;
        // SAFETY: the path leads to a member, as the rank is less than the length.
        Some(unsafe { (*path.leaf).words[path.pos].member() })
    }

    pub(super) fn first(&self) -> Option<Member> {
        // SAFETY: the head is null or alive and not empty.
        unsafe { self.head.as_ref() }.map(|leaf| leaf.words[0].member())
    }

    pub(super) fn last(&self) -> Option<Member> {
        // SAFETY: the tail is null or alive and not empty.
        unsafe { self.tail.as_ref() }.map(|leaf| leaf.words[leaf.len - 1].member())
    }

    /// Walks the members whose ranks are in the range, which is cut to the length.
    pub(super) fn range(&self, ranks: Range<usize>, reverse: bool) -> Walk<'_> {
        let end = ranks.end.min(self.len);
        let left = end.saturating_sub(ranks.start);
        let mut walk = Walk { leaf: std::ptr::null(), pos: 0, left: 0, reverse, tree: PhantomData };
        if left == 0 {
            return walk;
        }
        if let Some(path) = self.path_to_rank(if reverse { end - 1 } else { ranks.start }) {
            (walk.leaf, walk.pos, walk.left) = (path.leaf, path.pos, left);
            walk.start();
        }
        walk
    }

    /// Removes the members whose ranks are in the range, which is cut to the length, and hands out each.
    pub(super) fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(Member)) {
        let mut left = ranks.end.min(self.len).saturating_sub(ranks.start);
        while left > 0 {
            let Some(path) = self.path_to_rank(ranks.start) else {
                return;
            };
            // SAFETY: a path that was just made.
            let leaf = unsafe { &*path.leaf };
            let count = left.min(leaf.len - path.pos);
            let words = leaf.words;
            for word in &words[path.pos..path.pos + count] {
                word.member().prefetch();
            }
            self.remove_at(&path, count);
            left -= count;
            words[path.pos..path.pos + count].iter().for_each(|word| removed(word.member()));
        }
    }

    /// The path to where a new member goes. Members before the first or after the last one need no search.
    fn insertion_path(&self, place: &Place<'_>) -> Option<Path> {
        // SAFETY: the tree's contract: members in it are alive.
        let compare = |member: Member| unsafe { member.cmp_to(place.key, place.bytes) };
        if compare(self.last()?).is_lt() {
            return self.walk(|node| node.len - 1, |_, _| (), |leaf, _| leaf.len);
        }
        if compare(self.first()?).is_gt() {
            return self.walk(|_| 0, |_, _| (), |_, _| 0);
        }
        self.path(place)
    }

    /// # Safety
    /// The member is alive.
    unsafe fn path_to(&self, member: Member) -> Option<Path> {
        // SAFETY: the member is alive; the leaf is one of a path that was just made.
        unsafe {
            let path = self.path(&present(member))?;
            let found = path.pos < (*path.leaf).len && (*path.leaf).words[path.pos].member() == member;
            debug_assert!(found, "the member is in the tree");
            found.then_some(path)
        }
    }

    /// Whether the member at `path` keeps its rank with another score. Hints often settle it without reading a member.
    fn fits_between(&self, path: &Path, place: &Place<'_>, hint: u64) -> bool {
        // SAFETY: nodes of a path that was just made, and the members in them.
        unsafe {
            let leaf = &*path.leaf;
            let below = |word: Word| word.member().cmp_to(place.key, place.bytes).is_lt();
            let above = |word: Word| word.member().cmp_to(place.key, place.bytes).is_gt();
            let after_previous = match path.pos {
                0 => leaf.prev.as_ref().is_none_or(|prev| below(prev.words[prev.len - 1])),
                pos => leaf.words[pos - 1].hint() < hint || below(leaf.words[pos - 1]),
            };
            after_previous
                && match path.pos + 1 {
                    next if next == leaf.len => leaf.next.as_ref().is_none_or(|next| above(next.words[0])),
                    next => leaf.words[next].hint() > hint || above(leaf.words[next]),
                }
        }
    }
}

impl Drop for BTree {
    fn drop(&mut self) {
        if !self.root.is_null() {
            // SAFETY: the whole tree, from a root of this height, is freed once.
            unsafe { free(self.root, self.height) };
        }
    }
}

/// A walk over consecutive members, in either direction.
pub(super) struct Walk<'a> {
    leaf: *const Leaf,
    pos: usize,
    left: usize,
    reverse: bool,
    tree: PhantomData<&'a BTree>,
}

impl Walk<'_> {
    /// Prefetches the members that the first steps return.
    fn start(&self) {
        // SAFETY: the leaf of a path that was just made.
        let leaf = unsafe { &*self.leaf };
        let soon = self.left.min(AHEAD);
        let words = match self.reverse {
            true => &leaf.words[(self.pos + 1).saturating_sub(soon)..=self.pos],
            false => &leaf.words[self.pos..leaf.len.min(self.pos + soon)],
        };
        words.iter().for_each(|word| word.member().prefetch());
        if self.left > AHEAD {
            prefetch_lines(if self.reverse { leaf.prev } else { leaf.next }, size_of::<Leaf>());
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        // SAFETY: while members are left, the leaf is in the chain of the borrowed tree and holds `pos`; its
        // neighbours are null or alive and not empty.
        unsafe {
            let leaf = &*self.leaf;
            let word = leaf.words[self.pos];
            if self.reverse {
                if self.left >= AHEAD {
                    let ahead = match self.pos.checked_sub(AHEAD) {
                        Some(pos) => leaf.words().get(pos),
                        None => leaf.prev.as_ref().and_then(|prev| prev.words().get((prev.len + self.pos).wrapping_sub(AHEAD))),
                    };
                    ahead.inspect(|word| word.member().prefetch());
                }
                if self.pos > 0 {
                    self.pos -= 1;
                } else if self.left > 0 {
                    self.leaf = leaf.prev;
                    self.pos = (*leaf.prev).len - 1;
                    prefetch_lines((*leaf.prev).prev, size_of::<Leaf>());
                }
            } else {
                if self.left >= AHEAD {
                    let ahead = match self.pos + AHEAD {
                        pos if pos < leaf.len => Some(&leaf.words[pos]),
                        pos => leaf.next.as_ref().and_then(|next| next.words().get(pos - leaf.len)),
                    };
                    ahead.inspect(|word| word.member().prefetch());
                }
                if self.pos + 1 < leaf.len {
                    self.pos += 1;
                } else if self.left > 0 {
                    (self.leaf, self.pos) = (leaf.next, 0);
                    prefetch_lines((*leaf.next).next, size_of::<Leaf>());
                }
            }
            Some(word.member())
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk<'_> {}

/// # Safety
/// The member is alive.
unsafe fn present<'a>(member: Member) -> Present<'a> {
    // SAFETY: the caller's promise is passed on.
    unsafe { Present { place: Place { key: member.key(), bytes: member.bytes() }, member } }
}

/// # Safety
/// `node` is the root of a subtree with this many levels of inner nodes, and is not used again.
unsafe fn free(node: *mut u8, height: usize) {
    // SAFETY: nodes are made by `Box` and each is the child of one parent.
    unsafe {
        if height == 0 {
            return drop(Box::from_raw(node.cast::<Leaf>()));
        }
        let inner = Box::from_raw(node.cast::<Inner>());
        for &kid in &inner.kids[..inner.len] {
            free(kid, height - 1);
        }
    }
}

/// Cuts `0..len` into the fewest parts of at most `most`, as equal as can be.
fn even_parts(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = len.div_ceil(most);
    let start = move |part: usize| part * (len / parts) + part.min(len % parts);
    (0..parts).map(move |part| start(part)..start(part + 1))
}
