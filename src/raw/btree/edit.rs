//! Changes of shape: making room, splitting, sharing with a neighbour, merging, growing and losing levels.
//!
//! A full leaf first hands members to a neighbour under the same parent and splits only when both are full, which
//! keeps random inserts above 80 % fill; at either end of the tree a new node starts with the new member alone, so
//! ascending and descending inserts leave full nodes behind. Two neighbouring leaves that fit into one become one, and
//! a leaf below a third evens out with a neighbour; the counts that tell are in the parent. Inner nodes do either only
//! when one is below a third, because their leaves' hints have to be computed again.

use super::BTree;
use super::node::{Child, INNER_SLOTS, Inner, LEAF_SLOTS, Leaf, Scale, Word};
use super::search::{MAX_HEIGHT, Path, Place};
use crate::raw::member::Member;

/// A neighbour takes members from a full leaf if it holds at most this many.
const LEAF_SHARE: usize = LEAF_SLOTS - 4;
/// Two leaves merge if they hold at most this many: room is left, so that a merge is not undone at once.
const LEAF_MERGED: usize = LEAF_SLOTS - 5;
/// A leaf with fewer evens out with a neighbour that it cannot merge with.
const LEAF_MIN: usize = LEAF_SLOTS / 3;
const INNER_MIN: usize = INNER_SLOTS / 3;
const INNER_MERGED: usize = INNER_SLOTS * 7 / 8;

/// Which end of the tree an insert goes to, if any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Head,
    Tail,
    Within,
}

impl BTree {
    /// Puts `member` at `path`.
    pub(super) fn insert_at(&mut self, mut path: Path, member: Member, place: &Place<'_>) {
        // SAFETY: the path was just made; its nodes are alive, distinct, and only this borrow of the tree uses them.
        let leaf = unsafe { &mut *path.leaf };
        if leaf.len == LEAF_SLOTS {
            let edge = match path.pos {
                0 if leaf.prev.is_null() => Edge::Head,
                LEAF_SLOTS if leaf.next.is_null() => Edge::Tail,
                _ => Edge::Within,
            };
            if edge != Edge::Within {
                return self.extend(&mut path, member, edge);
            }
            self.make_room(&mut path);
            match self.path(place) {
                Some(after) => path = after,
                None => return,
            }
        }
        // SAFETY: as above, for the path as it is now.
        unsafe {
            let pos = path.pos;
            (*path.leaf).insert(pos, Word::new(path.scale.hint(place.key), member));
            for level in 0..self.height {
                (*path.nodes[level]).counts[path.at[level]] += 1;
            }
            self.len += 1;
            if pos == 0 {
                self.first_changed(&path, self.height, member);
            }
        }
    }

    /// Makes the tree of one member.
    pub(super) fn plant(&mut self, member: Member) {
        let leaf = self.new_leaf();
        // SAFETY: fresh from the allocation.
        unsafe { (*leaf).insert(0, Word::new(Scale::FLAT.hint(0), member)) };
        self.root = leaf.cast();
        (self.head, self.tail, self.len, self.height) = (leaf, leaf, 1, 0);
    }

    /// Takes `count` members from `path.pos` on, all in that leaf, out of the tree.
    pub(super) fn remove_at(&mut self, path: &Path, count: usize) {
        // SAFETY: the path was just made, as for `insert_at`.
        unsafe {
            (*path.leaf).remove(path.pos, count);
            self.len -= count;
            for level in 0..self.height {
                (*path.nodes[level]).counts[path.at[level]] -= count;
            }
            let len = (*path.leaf).len;
            if len == 0 {
                self.unlink(path.leaf);
                match self.height {
                    0 => self.root = std::ptr::null_mut(),
                    height => self.remove_child(path, height - 1, path.at[height - 1]),
                }
                return;
            }
            if path.pos == 0 {
                self.first_changed(path, self.height, (*path.leaf).words[0].member());
            }
            if len < LEAF_MERGED && self.height > 0 {
                self.fill_leaf(path);
            }
        }
    }

    /// Tells the ancestors above `level` that the subtree below them on the path starts with another member, or
    /// that its first member's score changed.
    pub(super) fn first_changed(&mut self, path: &Path, level: usize, first: Member) {
        for above in (0..level).rev() {
            // SAFETY: nodes of a path that was just made.
            unsafe { (*path.nodes[above]).set_first(path.at[above], first) };
            if path.at[above] > 0 {
                return;
            }
        }
    }

    /// Starts a new leaf with `member` at the head or tail of the tree.
    fn extend(&mut self, path: &mut Path, member: Member, edge: Edge) {
        let fresh = self.new_leaf();
        // SAFETY: `fresh` is new, the other nodes are those of a path that was just made.
        unsafe {
            let old = path.leaf;
            match edge {
                Edge::Head => {
                    (*fresh).next = old;
                    (*old).prev = fresh;
                    self.head = fresh;
                }
                _ => {
                    (*fresh).prev = old;
                    (*old).next = fresh;
                    self.tail = fresh;
                }
            }
            (*fresh).insert(0, Word::new(path.scale.hint(member.key()), member));
            self.len += 1;
            let child = Child { node: fresh.cast(), count: 1, first: member };
            if self.height == 0 {
                let old_child = Child { node: old.cast(), count: (*old).len, first: (*old).words[0].member() };
                return match edge {
                    Edge::Head => self.grow(child, old_child),
                    _ => self.grow(old_child, child),
                };
            }
            let bottom = self.height - 1;
            for level in 0..bottom {
                (*path.nodes[level]).counts[path.at[level]] += 1;
            }
            let at = if edge == Edge::Head { 0 } else { path.at[bottom] + 1 };
            self.insert_child(path, bottom, at, child, edge);
        }
    }

    /// Hands members of the full leaf to a neighbour, or splits it.
    fn make_room(&mut self, path: &mut Path) {
        let leaf = path.leaf;
        // SAFETY: nodes of a path that was just made; neighbours under one parent are distinct leaves.
        unsafe {
            if self.height > 0 {
                let bottom = self.height - 1;
                let (parent, at) = (&mut *path.nodes[bottom], path.at[bottom]);
                if at + 1 < parent.len && parent.counts[at + 1] <= LEAF_SHARE {
                    return even_leaves(parent, at);
                }
                if at > 0 && parent.counts[at - 1] <= LEAF_SHARE {
                    return even_leaves(parent, at - 1);
                }
            }
            let right = self.new_leaf();
            let moved = LEAF_SLOTS / 2;
            (*leaf).give_right(&mut *right, moved);
            let next = (*leaf).next;
            (*right).prev = leaf;
            (*right).next = next;
            (*leaf).next = right;
            match next.is_null() {
                true => self.tail = right,
                false => (*next).prev = right,
            }
            let child = Child { node: right.cast(), count: moved, first: (*right).words[0].member() };
            if self.height == 0 {
                let left = Child { node: leaf.cast(), count: (*leaf).len, first: (*leaf).words[0].member() };
                return self.grow(left, child);
            }
            let bottom = self.height - 1;
            (*path.nodes[bottom]).counts[path.at[bottom]] -= moved;
            self.insert_child(path, bottom, path.at[bottom] + 1, child, Edge::Within);
        }
    }

    /// Puts a child into the node of `level`, splitting it if it is full. The members of the child are already
    /// counted by the levels above, and by no child of this node.
    fn insert_child(&mut self, path: &mut Path, level: usize, at: usize, child: Child, edge: Edge) {
        let is_bottom = level + 1 == self.height;
        // SAFETY: nodes of a path that was just made, and new ones.
        unsafe {
            let node = path.nodes[level];
            if (*node).len < INNER_SLOTS {
                (*node).insert(at, child);
                if at == 0 {
                    self.first_changed(path, level, child.first);
                }
                // At an edge the hints wait until the node is full: it would outgrow each scale at once.
                if is_bottom && edge == Edge::Within {
                    suit_scale(&mut *node);
                }
                return;
            }
            let fresh = self.new_inner((*node).scale);
            let (left, right) = match edge {
                Edge::Head => {
                    (*fresh).insert(0, child);
                    (fresh, node)
                }
                Edge::Tail => {
                    (*fresh).insert(0, child);
                    (node, fresh)
                }
                Edge::Within => {
                    (*node).give_right(&mut *fresh, INNER_SLOTS / 2);
                    let kept = (*node).len;
                    match at <= kept {
                        true => (*node).insert(at, child),
                        false => (*fresh).insert(at - kept, child),
                    }
                    (node, fresh)
                }
            };
            if is_bottom {
                suit_scale(&mut *node);
                if edge == Edge::Within {
                    suit_scale(&mut *fresh);
                }
            }
            let describe = |node: *mut Inner| Child { node: node.cast(), count: (*node).total(), first: (*node).first() };
            let (left, right) = (describe(left), describe(right));
            if level == 0 {
                return self.grow(left, right);
            }
            let (above, here) = (level - 1, path.at[level - 1]);
            match edge {
                Edge::Head => {
                    (*path.nodes[above]).counts[here] = right.count;
                    self.insert_child(path, above, here, left, edge);
                }
                _ => {
                    (*path.nodes[above]).counts[here] = left.count;
                    self.insert_child(path, above, here + 1, right, edge);
                }
            }
        }
    }

    /// Adds a level: the root and one more node become children of a new root.
    fn grow(&mut self, left: Child, right: Child) {
        assert!(self.height < MAX_HEIGHT, "a tree this deep does not fit in memory");
        let root = self.new_inner(Scale::FLAT);
        // SAFETY: fresh from the allocation; the children were made or found by the caller.
        unsafe {
            (*root).insert(0, left);
            (*root).insert(1, right);
            self.root = root.cast();
            self.height += 1;
            if self.height == 1 {
                suit_scale(&mut *root);
            }
        }
    }

    /// Takes a child, already freed, out of the node of `level`.
    fn remove_child(&mut self, path: &Path, level: usize, at: usize) {
        // SAFETY: nodes of a path that was just made.
        unsafe {
            let node = path.nodes[level];
            (*node).remove(at);
            let len = (*node).len;
            if len == 0 {
                self.free_inner(node);
                match level {
                    0 => (self.root, self.height) = (std::ptr::null_mut(), 0),
                    _ => self.remove_child(path, level - 1, path.at[level - 1]),
                }
                return;
            }
            if at == 0 {
                self.first_changed(path, level, (*node).first());
            }
            if level == 0 {
                self.drop_levels();
            } else if len < INNER_MIN {
                self.fill_inner(path, level);
            }
        }
    }

    /// Removes roots of one child.
    fn drop_levels(&mut self) {
        // SAFETY: the first `height` nodes from the root are inner nodes, the next is a leaf.
        unsafe {
            while self.height > 0 {
                let root: *mut Inner = self.root.cast();
                if (*root).len > 1 {
                    return;
                }
                self.root = (*root).kids[0];
                self.height -= 1;
                self.free_inner(root);
            }
            (*self.root.cast::<Leaf>()).rehint(Scale::FLAT);
        }
    }

    /// Merges the leaf of the path with a neighbour, or evens them out.
    fn fill_leaf(&mut self, path: &Path) {
        let bottom = self.height - 1;
        // SAFETY: nodes of a path that was just made; neighbours under one parent are distinct leaves.
        unsafe {
            let parent = &mut *path.nodes[bottom];
            if parent.len < 2 {
                return;
            }
            let at = path.at[bottom];
            let pair = |left_at: usize| parent.counts[left_at] + parent.counts[left_at + 1];
            let left_at = if at > 0 && pair(at - 1) <= LEAF_MERGED { at - 1 } else { at.min(parent.len - 2) };
            let total = pair(left_at);
            if total > LEAF_MERGED {
                if parent.counts[at] < LEAF_MIN {
                    even_leaves(parent, left_at);
                }
                return;
            }
            let (left, right) = (&mut *parent.leaf(left_at), parent.leaf(left_at + 1));
            left.take_right(&mut *right, (*right).len);
            parent.counts[left_at] = total;
            self.unlink(right);
            self.remove_child(path, bottom, left_at + 1);
        }
    }

    /// Merges the node of `level` with a neighbour, or evens them out.
    fn fill_inner(&mut self, path: &Path, level: usize) {
        let is_bottom = level + 1 == self.height;
        // SAFETY: nodes of a path that was just made; neighbours under one parent are distinct nodes.
        unsafe {
            let parent = &mut *path.nodes[level - 1];
            if parent.len < 2 {
                return;
            }
            let left_at = path.at[level - 1].min(parent.len - 2);
            let left = &mut *parent.kids[left_at].cast::<Inner>();
            let right = parent.kids[left_at + 1].cast::<Inner>();
            let total = left.len + (*right).len;
            let merge = total <= INNER_MERGED;
            let want = if merge { total } else { total / 2 };
            match left.len < want {
                true => {
                    let (from, count) = (left.len, want - left.len);
                    left.take_right(&mut *right, count);
                    if is_bottom {
                        rehint_children(left, from, count);
                    }
                }
                false => {
                    let count = left.len - want;
                    left.give_right(&mut *right, count);
                    if is_bottom {
                        rehint_children(&mut *right, 0, count);
                    }
                }
            }
            if is_bottom {
                suit_scale(left);
            }
            parent.counts[left_at] = left.total();
            if merge {
                self.free_inner(right);
                return self.remove_child(path, level - 1, left_at + 1);
            }
            if is_bottom {
                suit_scale(&mut *right);
            }
            parent.counts[left_at + 1] = (*right).total();
            parent.set_first(left_at + 1, (*right).first());
        }
    }

    pub(super) fn new_leaf(&mut self) -> *mut Leaf {
        self.leaves += 1;
        Leaf::new_raw()
    }

    pub(super) fn new_inner(&mut self, scale: Scale) -> *mut Inner {
        self.inners += 1;
        Inner::new_raw(scale)
    }

    fn free_inner(&mut self, node: *mut Inner) {
        self.inners -= 1;
        // SAFETY: made by `new_inner`, and no longer reachable from the root.
        drop(unsafe { Box::from_raw(node) });
    }

    /// Takes a leaf out of the chain and frees it.
    fn unlink(&mut self, leaf: *mut Leaf) {
        // SAFETY: made by `new_leaf`; its neighbours in the chain are alive and forget it here.
        unsafe {
            let (prev, next) = ((*leaf).prev, (*leaf).next);
            match prev.is_null() {
                true => self.head = next,
                false => (*prev).next = next,
            }
            match next.is_null() {
                true => self.tail = prev,
                false => (*next).prev = prev,
            }
            self.leaves -= 1;
            drop(Box::from_raw(leaf));
        }
    }
}

/// Spreads the members of the leaf at `left_at` and its right neighbour evenly. They share a scale, so words move as
/// they are; neither is empty, so the left one keeps its first member.
fn even_leaves(parent: &mut Inner, left_at: usize) {
    // SAFETY: children of a bottom node are leaves, alive and distinct.
    let (left, right) = unsafe { (&mut *parent.leaf(left_at), &mut *parent.leaf(left_at + 1)) };
    let want = (left.len + right.len) / 2;
    match left.len < want {
        true => left.take_right(right, want - left.len),
        false => left.give_right(right, left.len - want),
    }
    parent.counts[left_at] = left.len;
    parent.counts[left_at + 1] = right.len;
    parent.set_first(left_at + 1, right.words[0].member());
}

/// Gives a bottom node a new scale, and its leaves new hints, if the present one no longer tells members apart.
/// A split halves what a scale spans, so this happens once in four splits.
pub(super) fn suit_scale(node: &mut Inner) {
    let (low, high) = node.ideal_span();
    if !node.scale.serves(low, high) {
        node.scale = Scale::spanning(low, high);
        rehint_children(node, 0, node.len);
    }
}

/// Computes the hints of some leaves again, after they came from under another parent.
fn rehint_children(node: &mut Inner, from: usize, count: usize) {
    for at in from..from + count {
        // SAFETY: children of a bottom node are leaves; the next one is prefetched, not read.
        unsafe {
            if at + 1 < from + count {
                (*node.leaf(at + 1)).prefetch_members();
            }
            (*node.leaf(at)).rehint(node.scale);
        }
    }
}
