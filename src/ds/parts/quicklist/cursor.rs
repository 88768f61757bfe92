//! Walking a quicklist. Elements are lent one at a time, because those of a compressed node live in the cursor.

use std::collections::VecDeque;

use super::node::{Node, plain_element};
use super::{Place, Quicklist};
use crate::ds::parts::element::{Element, Visit};
use crate::ds::parts::listpack::{Direction, Listpack, Pos, View};

/// A walk from some element towards either end.
#[derive(Debug)]
pub struct Cursor<'a> {
    nodes: &'a VecDeque<Node>,
    direction: Direction,
    node: usize,
    /// The current node's listpack while that node is compressed.
    expanded: Option<Listpack>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The next element is this one of the current node.
    Start(usize),
    /// The element lent last; a plain node has no position.
    Lent(Option<Pos>),
    Done,
}

impl Quicklist {
    /// Lends up to `count` elements, from an index towards the back: node by node, which is quicker than a cursor.
    pub fn visit_range(&self, start: usize, count: usize, visit: &mut impl Visit) {
        if start >= self.len || count == 0 {
            return;
        }
        let Place { node, mut offset } = self.locate(start);
        let mut left = count.min(self.len - start);
        for (node, elements) in self.nodes.iter().zip(&self.counts).skip(node) {
            let here = left.min(*elements as usize - offset);
            let mut walk = |pack: View<'_>| {
                if let Some(pos) = pack.seek(offset as i64) {
                    pack.visit(pos, here, visit);
                }
            };
            match node {
                Node::Pack(pack) => walk(pack.view()),
                Node::Roomy(roomy) => walk(roomy.view()),
                Node::Packed(packed) => walk(packed.expand().view()),
                Node::Plain(thin) => visit.element(plain_element(thin)),
            }
            left -= here;
            offset = 0;
            if left == 0 {
                return;
            }
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(nodes: &'a VecDeque<Node>, place: Option<Place>, direction: Direction) -> Cursor<'a> {
        let (node, state) = match place {
            Some(place) => (place.node, State::Start(place.offset)),
            None => (0, State::Done),
        };
        let mut cursor = Cursor { nodes, direction, node, expanded: None, state };
        cursor.expand();
        cursor
    }

    /// The next element in the direction of the walk.
    pub fn next_element(&mut self) -> Option<Element<'_>> {
        let next = match self.state {
            State::Start(offset) => match self.pack() {
                Some(pack) => Some(pack.seek(offset as i64)),
                None => Some(None),
            },
            State::Lent(Some(pos)) => {
                let pack = self.pack()?;
                let next = match self.direction {
                    Direction::Forward => pack.next(pos),
                    Direction::Backward => pack.prev(pos),
                };
                next.map(Some)
            }
            State::Lent(None) => None,
            State::Done => return None,
        };
        let pos = match next {
            Some(pos) => pos,
            None => self.enter_next_node()?,
        };
        self.state = State::Lent(pos);
        match (pos, &self.nodes[self.node]) {
            (None, Node::Plain(thin)) => Some(plain_element(thin)),
            (Some(pos), _) => Some(self.pack()?.get(pos)),
            (None, _) => None,
        }
    }

    /// The first position of the neighbouring node; `None` past the last node.
    fn enter_next_node(&mut self) -> Option<Option<Pos>> {
        let next = match self.direction {
            Direction::Forward => Some(self.node + 1).filter(|&node| node < self.nodes.len()),
            Direction::Backward => self.node.checked_sub(1),
        };
        let Some(next) = next else {
            self.state = State::Done;
            return None;
        };
        self.node = next;
        self.expand();
        Some(self.pack().and_then(|pack| pack.edge(self.direction)))
    }

    fn expand(&mut self) {
        self.expanded = match self.nodes.get(self.node) {
            Some(Node::Packed(packed)) => Some(packed.expand()),
            _ => None,
        };
    }

    fn pack(&self) -> Option<View<'_>> {
        match self.nodes.get(self.node) {
            Some(Node::Pack(pack)) => Some(pack.view()),
            Some(Node::Roomy(roomy)) => Some(roomy.view()),
            _ => self.expanded.as_ref().map(Listpack::view),
        }
    }
}
