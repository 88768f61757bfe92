//! Quicklist: a long list as a deque of listpacks.
//!
//! Few large nodes make the overhead per element small and the ends cheap; a limit on the node size bounds what an
//! insertion in the middle moves. An element above the limit gets a node of its own. Nodes fill and split by Redis'
//! rules, so that a list that was pushed is saved as the same nodes. The elements per node are kept in an array of
//! their own: finding an index adds up small numbers that lie side by side (25,000 of them for ten million elements),
//! from the nearer end.
//!
//! Nodes further from both ends than a set depth can be held compressed, by a [`Codec`] the caller chooses.

mod cursor;
mod cut;
mod node;

use std::collections::VecDeque;

use super::element::Element;
use super::listpack::{Direction, Listpack, Roomy};
use crate::raw::relocate::{Relocate, Tally};
pub use cursor::Cursor;
pub use cut::CutOf;
use node::Node;
pub use node::{Codec, NodeView};

/// Bytes Redis adds to a text's length to estimate its entry in a listpack.
const ENTRY_OVERHEAD: usize = 8;

/// Largest node in bytes when the limit is a number of elements.
const NODE_BYTES_MAX: usize = 8192;

/// Elements at the end of a node that are removed one by one.
const FEW: usize = 8;

/// Node counts added up at once when looking for an index.
const BLOCK: usize = 64;

/// How large nodes may get, and which are compressed. One for all lists; a list keeps a copy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// As `list-max-listpack-size`: -1 to -5 for 4, 8, 16, 32 or 64 KB per node, else the most elements per node.
    pub fill: i32,
    /// As `list-compress-depth`: nodes at either end that stay plain; 0 compresses none.
    pub compress_depth: usize,
    /// What compresses; without it nothing is compressed.
    pub codec: Option<Codec>,
    /// Text length in bytes from which an element gets its own node, when the node size limit should not decide.
    pub large_min: Option<usize>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fill: -2, compress_depth: 0, codec: None, large_min: None }
    }
}

/// A list of elements. Elements longer than [`super::listpack::TEXT_LEN_MAX`] must not be given to it.
#[derive(Debug, Default)]
pub struct Quicklist {
    nodes: VecDeque<Node>,
    /// Elements of each node; never 0.
    counts: VecDeque<u32>,
    len: usize,
    limits: Limits,
    /// The nodes as they were once, while somebody walks them.
    cut: Option<Box<cut::Cut>>,
}

impl Clone for Quicklist {
    /// A copy of its own, with no part in the cut.
    fn clone(&self) -> Quicklist {
        Quicklist { nodes: self.nodes.clone(), counts: self.counts.clone(), cut: None, ..*self }
    }
}

/// Where an element is: a node, and an index within it.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: usize,
    offset: usize,
}

impl Quicklist {
    /// An empty list.
    pub fn new(limits: Limits) -> Quicklist {
        Quicklist { limits, ..Quicklist::default() }
    }

    /// A list that starts with all elements of a listpack, in one node whatever its size.
    pub fn from_listpack(pack: Listpack, limits: Limits) -> Quicklist {
        let mut list = Quicklist::new(limits);
        list.append_pack_node(pack);
        list
    }

    /// Size in bytes of the one listpack that the list is, if it is nothing else, nor bound to stay a list of nodes by a cut of it.
    pub fn single_listpack_bytes(&self) -> Option<usize> {
        match (self.nodes.len(), self.nodes.front()) {
            (1, Some(node @ (Node::Pack(_) | Node::Roomy(_)))) if self.cut.is_none() => Some(node.plain_bytes()),
            _ => None,
        }
    }

    /// The listpack, when the list is nothing else; the list is empty after that.
    pub fn take_single_listpack(&mut self) -> Option<Listpack> {
        self.single_listpack_bytes()?;
        self.unpack(0);
        match self.take_node(0) {
            Node::Pack(pack) => Some(pack),
            _ => None,
        }
    }

    /// Adds a node as it was saved, at the back. An empty listpack is left out.
    pub fn append_pack_node(&mut self, pack: Listpack) {
        let count = pack.len();
        if count > 0 {
            self.put_node(self.nodes.len(), Node::Pack(pack), count);
            self.settle(self.nodes.len() - 1);
        }
    }

    /// Adds a node of one element as it was saved, at the back.
    pub fn append_plain_node(&mut self, text: &[u8]) {
        self.put_node(self.nodes.len(), Node::plain(Element::Str(text)), 1);
        self.settle(self.nodes.len() - 1);
    }

    /// Takes over other limits. Existing nodes keep their size; compression follows at once.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for index in 0..self.nodes.len() {
            if self.is_inner(index) {
                self.pack(index);
            } else {
                self.unpack(index);
            }
        }
    }

    /// Takes over the text length from which an element gets its own node. Existing elements stay where they are.
    #[inline]
    pub fn set_large_min(&mut self, large_min: Option<usize>) {
        self.limits.large_min = large_min;
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Moves nodes out of sparse pages, see `Object::relocate_some`.
    pub fn relocate(&mut self, cursor: &mut usize, nodes: usize, tally: &mut Tally) -> bool {
        let end = cursor.saturating_add(nodes).min(self.nodes.len());
        self.nodes.range_mut((*cursor).min(end)..end).for_each(|node| node.relocate(tally));
        *cursor = end;
        end >= self.nodes.len()
    }

    /// The nodes from front to back, for saving and for DEBUG LISTPACK.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeView<'_>> + ExactSizeIterator {
        self.nodes.iter().zip(&self.counts).map(|(node, &count)| node.view(count as usize))
    }

    /// Bytes allocated, the deques' spare room included, this struct not. Visits every node.
    pub fn memory_bytes(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(Node::memory_bytes).sum();
        nodes + self.nodes.capacity() * size_of::<Node>() + self.counts.capacity() * size_of::<u32>()
    }

    /// Adds an element at the back.
    pub fn push_back(&mut self, element: Element<'_>) {
        let text_len = element.text_len();
        let index = self.nodes.len();
        if index > 0 && self.has_room(index - 1, text_len) {
            match self.roomy(index - 1) {
                Some(roomy) => roomy.push_back(element),
                None => _ = self.edit(index - 1, |pack| pack.push_back(element)),
            }
            self.grown(index - 1);
        } else {
            self.put_node(index, self.fresh_node(element), 1);
            self.settle(index);
        }
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, element: Element<'_>) {
        let text_len = element.text_len();
        if !self.is_empty() && self.has_room(0, text_len) {
            match self.roomy_front() {
                Some(roomy) => roomy.push_front(element),
                None => _ = self.edit(0, |pack| pack.push_front(element)),
            }
            self.grown(0);
        } else {
            self.put_node(0, self.fresh_node(element), 1);
            self.settle(0);
        }
    }

    /// Takes the last element away, after `f` has seen it.
    pub fn pop_back<R>(&mut self, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        self.take(Place { node: self.nodes.len().checked_sub(1)?, offset: usize::MAX }, f)
    }

    /// Takes the first element away, after `f` has seen it.
    pub fn pop_front<R>(&mut self, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        self.take(Place { node: 0, offset: 0 }, f)
    }

    /// Moves an element from one end to the other (`Forward`: the last becomes the first); `f` sees it.
    pub fn rotate<R>(&mut self, direction: Direction, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let copy = |element: Element<'_>| match element {
            Element::Int(value) => Moved::Int(value),
            Element::Str(text) => Moved::Str(text.to_vec()),
        };
        let moved = match direction {
            Direction::Forward => self.pop_back(copy)?,
            Direction::Backward => self.pop_front(copy)?,
        };
        let element = match &moved {
            Moved::Int(value) => Element::Int(*value),
            Moved::Str(text) => Element::Str(text),
        };
        match direction {
            Direction::Forward => self.push_front(element),
            Direction::Backward => self.push_back(element),
        }
        Some(f(element))
    }

    /// Lends the element at an index (negative: from the end) to `f`.
    pub fn get<R>(&self, index: i64, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let place = self.locate(self.absolute(index)?);
        self.nodes[place.node].with(place.offset, f)
    }

    /// Replaces the element at an index (negative: from the end); false if there is none.
    pub fn set(&mut self, index: i64, element: Element<'_>) -> bool {
        let Some(index) = self.absolute(index) else {
            return false;
        };
        let Place { node, offset } = self.locate(index);
        let text_len = element.text_len();
        match &self.nodes[node] {
            Node::Plain(_) if self.is_large(text_len) => {
                self.before_change(node);
                self.nodes[node] = Node::plain(element);
                self.settle(node);
            }
            // Redis, too, lets a replacement overfill its node by one element.
            Node::Pack(_) | Node::Roomy(_) | Node::Packed(_) if !self.is_large(text_len) => {
                self.edit(node, |pack| pack.seek(offset as i64).map(|pos| pack.replace(pos, element)));
            }
            _ => {
                self.insert_beside(Place { node, offset }, true, element);
                let place = self.locate(index);
                self.take(place, |_| ());
            }
        }
        true
    }

    /// Inserts so that the element gets this index; at most `len()`.
    ///
    /// # Panics
    /// When the index is past the end.
    pub fn insert(&mut self, index: usize, element: Element<'_>) {
        assert!(index <= self.len, "insert past the end");
        match index {
            0 => self.push_front(element),
            _ if index == self.len => self.push_back(element),
            _ => self.insert_beside(self.locate(index), false, element),
        }
    }

    /// Inserts before or after the first element equal to `pivot`; false if there is none.
    pub fn insert_at_pivot(&mut self, pivot: Element<'_>, after: bool, element: Element<'_>) -> bool {
        let pivot = pivot.canonical();
        for node in 0..self.nodes.len() {
            if let Some(offset) = self.nodes[node].find(pivot) {
                self.insert_beside(Place { node, offset }, after, element);
                return true;
            }
        }
        false
    }

    /// Removes elements equal to `value`: the first `count`, the last `-count`, or all when 0. Returns how many.
    pub fn remove_value(&mut self, value: Element<'_>, count: i64) -> usize {
        let value = value.canonical();
        let limit = match count {
            0 => usize::MAX,
            _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
        };
        let direction = if count < 0 { Direction::Backward } else { Direction::Forward };
        let (mut removed, mut step, mut left) = (0, 0, self.nodes.len());
        while left > 0 && removed < limit {
            let node = if count < 0 { left - 1 } else { step };
            let hits = self.remove_in_node(node, value, limit - removed, direction);
            removed += hits;
            left -= 1;
            if self.counts[node] == 0 {
                self.take_node(node);
            } else {
                step += 1;
            }
        }
        if removed > 0 {
            self.settle_ends();
        }
        removed
    }

    /// Removes up to `count` elements from an index on.
    pub fn delete_range(&mut self, start: usize, count: usize) -> usize {
        let total = count.min(self.len.saturating_sub(start));
        if total == 0 {
            return 0;
        }
        let Place { mut node, offset } = self.locate(start);
        let mut left = total;
        if offset > 0 {
            let here = left.min(self.counts[node] as usize - offset);
            self.shrink(node, offset, here);
            left -= here;
            node += 1;
        }
        let mut end = node;
        while left > 0 && left >= self.counts[end] as usize {
            left -= self.counts[end] as usize;
            end += 1;
        }
        self.len -= self.drop_nodes(node..end);
        if left > 0 {
            self.shrink(node, 0, left);
        }
        self.release_room();
        self.settle_ends();
        total
    }

    /// Keeps `count` elements from an index on, and removes the others.
    pub fn trim(&mut self, start: usize, count: usize) {
        let end = start.saturating_add(count);
        self.delete_range(end, usize::MAX);
        self.delete_range(0, start);
    }

    /// Walks from an index (negative: from the end) in a direction. From outside the list: nothing to see.
    pub fn cursor(&self, index: i64, direction: Direction) -> Cursor<'_> {
        let place = self.absolute(index).map(|index| self.locate(index));
        Cursor::new(&self.nodes, place, direction)
    }

    /// Calls `f` with the indices of elements equal to `value`, from the front or the back, after leaving out the first
    /// `skip` of them and looking at no more than `compare_max` elements, until `f` returns false.
    pub fn positions(
        &self,
        value: Element<'_>,
        direction: Direction,
        mut skip: usize,
        compare_max: usize,
        mut f: impl FnMut(usize) -> bool,
    ) {
        let value = value.canonical();
        let first = if direction == Direction::Forward { 0 } else { -1 };
        let mut cursor = self.cursor(first, direction);
        for step in 0..compare_max {
            let Some(element) = cursor.next_element() else {
                return;
            };
            if !element.matches(value) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let index = if direction == Direction::Forward { step } else { self.len - 1 - step };
            if !f(index) {
                return;
            }
        }
    }

    /// An index from either end as one from the front.
    fn absolute(&self, index: i64) -> Option<usize> {
        let distance = usize::try_from(index.unsigned_abs()).ok()?;
        match index {
            0.. => (distance < self.len).then_some(distance),
            _ => self.len.checked_sub(distance),
        }
    }

    /// The place of an element that exists.
    fn locate(&self, index: usize) -> Place {
        debug_assert!(index < self.len);
        let (head, tail) = self.counts.as_slices();
        if index <= self.len / 2 {
            let blocks = head.chunks(BLOCK).chain(tail.chunks(BLOCK));
            let (node, offset) = walk(blocks, <[u32]>::iter, index);
            Place { node, offset }
        } else {
            let blocks = tail.rchunks(BLOCK).chain(head.rchunks(BLOCK));
            let (nodes_after, from_end) = walk(blocks, |block| block.iter().rev(), self.len - 1 - index);
            let node = self.nodes.len() - 1 - nodes_after;
            Place { node, offset: self.counts[node] as usize - 1 - from_end }
        }
    }

    fn is_large(&self, text_len: usize) -> bool {
        match self.limits.large_min {
            Some(min) => text_len >= min,
            None => text_len > node_bytes_max(self.limits.fill),
        }
    }

    fn within_limits(&self, bytes: usize, count: usize) -> bool {
        let count_max = if self.limits.fill < 0 { usize::MAX } else { self.limits.fill.max(1) as usize };
        bytes <= node_bytes_max(self.limits.fill) && count <= count_max
    }

    /// Whether a node takes one more element.
    fn has_room(&self, node: usize, text_len: usize) -> bool {
        let bytes = match &self.nodes[node] {
            Node::Plain(_) => return false,
            other => other.plain_bytes(),
        };
        !self.is_large(text_len) && self.within_limits(bytes + text_len + ENTRY_OVERHEAD, self.counts[node] as usize + 1)
    }

    fn fresh_node(&self, element: Element<'_>) -> Node {
        if self.is_large(element.text_len()) {
            return Node::plain(element);
        }
        let mut pack = Listpack::new();
        pack.push_back(element);
        Node::Pack(pack)
    }

    fn insert_beside(&mut self, place: Place, after: bool, element: Element<'_>) {
        let Place { node, offset } = place;
        let text_len = element.text_len();
        let at_edge = if after { offset + 1 == self.counts[node] as usize } else { offset == 0 };
        // Index within the node, and among the nodes, where the element or a new node goes.
        let (gap, node_gap) = (offset + usize::from(after), node + usize::from(after));

        if self.has_room(node, text_len) {
            self.edit(node, |pack| match pack.seek(gap as i64) {
                Some(pos) => pack.insert_before(pos, element),
                None => pack.push_back(element),
            });
            self.grown(node);
        } else if at_edge {
            if after && node_gap < self.nodes.len() && self.has_room(node_gap, text_len) {
                self.edit(node_gap, |pack| pack.push_front(element));
                self.grown(node_gap);
            } else if !after && node > 0 && self.has_room(node - 1, text_len) {
                self.edit(node - 1, |pack| pack.push_back(element));
                self.grown(node - 1);
            } else {
                self.put_node(node_gap, self.fresh_node(element), 1);
                self.settle(node_gap);
            }
        } else {
            self.split(node, gap);
            if self.is_large(text_len) {
                self.put_node(node + 1, Node::plain(element), 1);
                self.settle(node);
                self.settle(node + 2);
            } else {
                // The half on the element's side takes it.
                let half = node_gap;
                if after {
                    self.edit(half, |pack| pack.push_front(element));
                } else {
                    self.edit(half, |pack| pack.push_back(element));
                }
                self.grown(half);
                self.merge_around(node);
            }
        }
    }

    /// Takes one element away. An offset past the node's end means its last.
    fn take<R>(&mut self, place: Place, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let Place { node, offset } = place;
        let count = *self.counts.get(node)? as usize;
        if count == 1 {
            let taken = self.take_node(node);
            self.settle_ends();
            return taken.with(0, f);
        }
        let from_end = offset.saturating_add(1) >= count;
        let roomy = match offset {
            0 if node == 0 => self.roomy_front(),
            _ if from_end => self.roomy(node),
            _ => None,
        };
        let result = match roomy {
            Some(roomy) => {
                let pack = roomy.view();
                let result = f(pack.get(if from_end { pack.last() } else { pack.first() }?));
                if from_end {
                    roomy.drop_back()
                } else {
                    roomy.drop_front()
                }
                Some(result)
            }
            None => self.edit(node, |pack| {
                let pos = pack.seek(if from_end { -1 } else { offset as i64 })?;
                let result = f(pack.get(pos));
                pack.delete(pos);
                Some(result)
            })?,
        };
        self.counts[node] -= 1;
        self.len -= 1;
        result
    }

    /// Removes equal elements from one node, which may be left with none and is the caller's to drop then.
    fn remove_in_node(&mut self, node: usize, value: Element<'_>, limit: usize, direction: Direction) -> usize {
        // Look first: most nodes stay as they are, and a compressed one need not be made again.
        if self.nodes[node].find(value).is_none() {
            return 0;
        }
        self.before_change(node);
        let hits = match &self.nodes[node] {
            Node::Plain(_) => 1,
            _ => self.edit(node, |pack| pack.remove_value(value, limit, direction)).unwrap_or(0),
        };
        self.counts[node] -= hits as u32;
        self.len -= hits;
        hits
    }

    /// Removes a part of a node.
    fn shrink(&mut self, node: usize, offset: usize, count: usize) {
        let at_back = offset + count == self.counts[node] as usize;
        let deleted = match self.roomy(node) {
            Some(roomy) if at_back && count <= FEW => {
                (0..count).for_each(|_| roomy.drop_back());
                count
            }
            Some(roomy) if offset == 0 && count <= FEW => {
                (0..count).for_each(|_| roomy.drop_front());
                count
            }
            _ => self.edit(node, |pack| pack.delete_range(offset as i64, count)).unwrap_or(0),
        };
        debug_assert_eq!(deleted, count);
        self.counts[node] -= deleted as u32;
        self.len -= deleted;
    }

    /// Makes two nodes of one; both have elements.
    fn split(&mut self, node: usize, offset: usize) {
        self.before_change(node);
        self.unpack(node);
        let count = self.counts[node] as usize;
        debug_assert!(offset > 0 && offset < count);
        if let Node::Pack(pack) = &mut self.nodes[node] {
            let right = pack.split_off(offset);
            self.note_added(node + 1);
            self.nodes.insert(node + 1, Node::Pack(right));
            self.counts[node] = offset as u32;
            self.counts.insert(node + 1, (count - offset) as u32);
        }
    }

    /// After a split into `left` and `left + 1`: each half joins its outer neighbour if they fit together.
    fn merge_around(&mut self, left: usize) {
        if !self.try_merge(left + 1) {
            self.settle(left + 1);
        }
        if left == 0 || !self.try_merge(left - 1) {
            self.settle(left);
        }
    }

    /// Joins a node with the one after it, if the result keeps to the limits.
    fn try_merge(&mut self, node: usize) -> bool {
        let Some(next) = self.nodes.get(node + 1) else {
            return false;
        };
        if matches!(self.nodes[node], Node::Plain(_)) || matches!(next, Node::Plain(_)) {
            return false;
        }
        let bytes = self.nodes[node].plain_bytes() + next.plain_bytes() - super::listpack::EMPTY_LEN;
        let count = self.counts[node] as usize + self.counts[node + 1] as usize;
        if !self.within_limits(bytes, count) {
            return false;
        }
        self.unpack(node);
        self.unpack(node + 1);
        let Node::Pack(right) = self.take_node(node + 1) else {
            return false;
        };
        self.edit(node, |pack| pack.append_all(&right));
        self.len += count - self.counts[node] as usize;
        self.counts[node] = count as u32;
        self.settle(node);
        true
    }

    /// The first node, made one with room around it, where nothing is compressed.
    fn roomy_front(&mut self) -> Option<&mut Roomy> {
        if self.limits.compress_depth > 0 || !self.may_be_roomy(0) {
            return None;
        }
        self.before_change(0);
        self.nodes[0].make_roomy(self.counts[0] as usize)
    }

    /// A node that is to change, if it is one with room around it.
    #[inline]
    fn roomy(&mut self, node: usize) -> Option<&mut Roomy> {
        if !self.may_be_roomy(node) {
            return None;
        }
        self.before_change(0);
        self.nodes[0].as_roomy()
    }

    /// True for the first node, if one element more can be counted in its header.
    #[inline]
    fn may_be_roomy(&self, node: usize) -> bool {
        node == 0 && (self.counts[0] as usize) < Roomy::LEN_MAX - 1
    }

    /// Changes a node's listpack; a compressed node is compressed again afterwards. Nothing for a plain node.
    fn edit<R>(&mut self, node: usize, f: impl FnOnce(&mut Listpack) -> R) -> Option<R> {
        self.before_change(node);
        let was_packed = self.unpack(node);
        let result = match &mut self.nodes[node] {
            Node::Pack(pack) => Some(f(pack)),
            _ => None,
        };
        if was_packed {
            self.pack(node);
        }
        result
    }

    /// Accounts for an element added to a node.
    fn grown(&mut self, node: usize) {
        self.counts[node] += 1;
        self.len += 1;
    }

    fn put_node(&mut self, index: usize, node: Node, count: usize) {
        self.note_added(index);
        if index == 0
            && let Some(first) = self.nodes.front_mut()
        {
            first.tighten();
        }
        self.nodes.insert(index, node);
        self.counts.insert(index, count as u32);
        self.len += count;
    }

    fn take_node(&mut self, index: usize) -> Node {
        self.before_change(index);
        self.note_removed(index);
        let count = self.counts.remove(index).expect("a node at the index");
        self.len -= count as usize;
        let node = self.nodes.remove(index).expect("a node at the index");
        self.release_room();
        node
    }

    /// Gives spare room back when a list has become much shorter.
    fn release_room(&mut self) {
        let len = self.nodes.len();
        if self.nodes.capacity() > 64 && self.nodes.capacity() / 4 > len {
            self.nodes.shrink_to(len * 2);
            self.counts.shrink_to(len * 2);
        }
    }

    /// Whether a node is one that compression is for.
    fn is_inner(&self, node: usize) -> bool {
        let depth = self.limits.compress_depth;
        depth > 0 && self.limits.codec.is_some() && node >= depth && node < self.nodes.len().saturating_sub(depth)
    }

    /// Restores compression after a node was added, removed or changed at this index.
    fn settle(&mut self, node: usize) {
        if self.limits.compress_depth == 0 {
            return;
        }
        self.settle_ends();
        if self.is_inner(node) {
            self.pack(node);
        }
    }

    /// Restores compression at both ends: plain up to the depth, and the node behind it, which just moved there, packed.
    fn settle_ends(&mut self) {
        let (depth, len) = (self.limits.compress_depth, self.nodes.len());
        if depth == 0 {
            return;
        }
        for index in 0..depth.min(len.div_ceil(2)) {
            self.unpack(index);
            self.unpack(len - 1 - index);
        }
        for index in [Some(depth), len.checked_sub(depth.saturating_add(1))].into_iter().flatten() {
            if self.is_inner(index) {
                self.pack(index);
            }
        }
    }

    fn pack(&mut self, node: usize) {
        if let (Some(codec), Some(node)) = (self.limits.codec, self.nodes.get_mut(node)) {
            node.pack(codec);
        }
    }

    /// Returns whether the node was compressed.
    fn unpack(&mut self, node: usize) -> bool {
        self.nodes.get_mut(node).is_some_and(Node::unpack)
    }
}

/// An element on its way from one end to the other.
enum Moved {
    Int(i64),
    Str(Vec<u8>),
}

/// How many whole nodes lie before an element on the way to it, and its index within its node, both as `each` walks.
fn walk<'a, I>(blocks: impl Iterator<Item = &'a [u32]>, each: impl Fn(&'a [u32]) -> I, index: usize) -> (usize, usize)
where
    I: Iterator<Item = &'a u32>,
{
    let (mut left, mut nodes) = (index as u64, 0);
    for block in blocks {
        // A sum without a branch per node is vector code.
        let sum: u64 = block.iter().map(|&count| u64::from(count)).sum();
        if left >= sum {
            left -= sum;
            nodes += block.len();
            continue;
        }
        for &count in each(block) {
            if left < u64::from(count) {
                break;
            }
            left -= u64::from(count);
            nodes += 1;
        }
        break;
    }
    (nodes, left as usize)
}

/// Most bytes of a node's listpack.
fn node_bytes_max(fill: i32) -> usize {
    match fill {
        0.. => NODE_BYTES_MAX,
        -1 => 4 << 10,
        -2 => 8 << 10,
        -3 => 16 << 10,
        -4 => 32 << 10,
        _ => 64 << 10,
    }
}

#[cfg(test)]
mod tests;
