//! The nodes of a list as they were at one moment, shown bit by bit and in order while the list goes on changing.
//!
//! What the hash table does with marks in its buckets (`raw::table`) is done here with a number per node: its place among
//! the nodes of that moment, or none for a node that came since. Old nodes keep their order, so the walk only ever goes
//! forward. A node that is about to change before its turn is copied first, and one that goes is kept; a list changes
//! at a few places at a time, so few are. To begin takes four bytes per node of eight kilobytes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::Quicklist;
use super::node::{Node, NodeView};

/// What a list knows of its cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// What whoever began the cut knows it by.
    label: u32,
    /// Of each node of the list: its place among those of the cut, counted from 1; 0 if it is none of them any more.
    places: VecDeque<u32>,
    /// Nodes of the cut that have been shown.
    shown: u32,
    total: u32,
    /// Before this node of the list none is left to be shown.
    at: usize,
    /// Nodes that changed or went before their turn, with the number of their elements.
    kept: BTreeMap<u32, (Node, u32)>,
}

/// A list that is lent for the sake of its cut: whoever has it can begin, walk and end one, and nothing else.
pub struct CutOf<'a>(&'a mut Quicklist);

impl CutOf<'_> {
    /// What the cut was begun with, if there is one.
    pub fn label(&self) -> Option<u32> {
        self.0.cut_label()
    }

    /// Begins a cut: the nodes of this moment can be walked from now on.
    ///
    /// # Panics
    /// If there is one already.
    pub fn begin(&mut self, label: u32) {
        assert!(self.0.cut.is_none(), "one cut at a time");
        let total = self.0.nodes.len() as u32;
        let cut = Cut { label, places: (1..=total).collect(), shown: 0, total, at: 0, kept: BTreeMap::new() };
        self.0.cut = Some(Box::new(cut));
    }

    /// Shows the next nodes of the cut, up to `max`, and returns whether that was all. True without a cut.
    pub fn step(&mut self, max: usize, f: &mut dyn FnMut(NodeView<'_>)) -> bool {
        let Quicklist { nodes, counts, cut, .. } = &mut *self.0;
        let Some(cut) = cut else { return true };
        for _ in 0..max {
            if cut.shown == cut.total {
                break;
            }
            let place = cut.shown + 1;
            if let Some((node, count)) = cut.kept.remove(&place) {
                f(node.view(count as usize));
            } else {
                let ahead = cut.places.range(cut.at..).position(|&found| found != 0);
                let Some(at) = ahead.map(|ahead| cut.at + ahead) else {
                    debug_assert!(false, "a node of the cut is gone");
                    cut.shown = cut.total;
                    break;
                };
                debug_assert_eq!(cut.places[at], place);
                f(nodes[at].view(counts[at] as usize));
                cut.places[at] = 0;
                cut.at = at + 1;
            }
            cut.shown = place;
        }
        cut.shown == cut.total
    }

    /// Ends the cut, whether or not all of it was shown.
    pub fn end(&mut self) {
        self.0.cut = None;
    }
}

impl Quicklist {
    /// The list, for a cut of it.
    pub fn cut(&mut self) -> CutOf<'_> {
        CutOf(self)
    }

    /// The label of the cut, if there is one.
    pub fn cut_label(&self) -> Option<u32> {
        self.cut.as_ref().map(|cut| cut.label)
    }

    /// A node is about to change, or to go: the cut gets a copy if it has yet to show it.
    #[inline]
    pub(super) fn before_change(&mut self, node: usize) {
        if self.cut.is_some() {
            self.keep_copy(node);
        }
    }

    #[cold]
    fn keep_copy(&mut self, node: usize) {
        if let Some(cut) = &mut self.cut
            && cut.places[node] != 0
        {
            let place = std::mem::take(&mut cut.places[node]);
            cut.kept.insert(place, (self.nodes[node].clone(), self.counts[node]));
        }
    }

    /// A node comes at this index.
    #[inline]
    pub(super) fn note_added(&mut self, node: usize) {
        if let Some(cut) = &mut self.cut {
            cut.places.insert(node, 0);
            cut.at += usize::from(node < cut.at);
        }
    }

    /// The node at this index, of which the cut needs nothing any more, goes.
    #[inline]
    pub(super) fn note_removed(&mut self, node: usize) {
        if let Some(cut) = &mut self.cut {
            let place = cut.places.remove(node);
            debug_assert_eq!(place, Some(0), "kept before");
            cut.at -= usize::from(node < cut.at);
        }
    }

    /// Removes nodes, which the cut keeps if it has yet to show them. Returns how many elements went with them.
    pub(super) fn drop_nodes(&mut self, range: Range<usize>) -> usize {
        if let Some(cut) = &mut self.cut {
            cut.at -= cut.at.min(range.end).saturating_sub(range.start);
            let places = cut.places.drain(range.clone());
            let old = self.nodes.drain(range.clone()).zip(self.counts.range(range.clone()));
            for (place, (node, &count)) in places.zip(old) {
                if place != 0 {
                    cut.kept.insert(place, (node, count));
                }
            }
        } else {
            self.nodes.drain(range.clone());
        }
        self.counts.drain(range).map(|count| count as usize).sum()
    }
}
