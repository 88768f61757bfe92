//! The nodes of a stream as they were at one moment, shown bit by bit and in order while the stream goes on changing.
//!
//! Nodes are told apart by the ids they are kept by, and those that come since have greater ids than all that were there. So
//! the cut is a range of ids that the walk makes shorter; a node in it that changes or goes before its turn is kept as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Stream, StreamId};
use crate::ds::parts::listpack::Listpack;

/// What a stream knows of its cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// What whoever began the cut knows it by.
    label: u32,
    /// The walk has come to this node.
    after: Option<StreamId>,
    /// The last node of the cut.
    until: StreamId,
    /// Nodes that changed or went before their turn.
    kept: BTreeMap<StreamId, Listpack>,
    /// Nodes in the range that are none of the cut's: XSETID can take an empty stream back to ids that it had before.
    fresh: BTreeSet<StreamId>,
}

impl Cut {
    /// Whether the cut has yet to show this node of the stream, and has no copy of it.
    fn wants(&self, base: StreamId) -> bool {
        base <= self.until
            && self.after.is_none_or(|after| base > after)
            && !self.fresh.contains(&base)
            && !self.kept.contains_key(&base)
    }

    /// A node is about to change.
    #[cold]
    pub(super) fn keep_copy(&mut self, base: StreamId, node: &Listpack) {
        if self.wants(base) {
            self.kept.insert(base, node.clone());
        }
    }

    /// A node is gone.
    #[cold]
    pub(super) fn keep_gone(&mut self, base: StreamId, node: Listpack) {
        if self.wants(base) {
            self.kept.insert(base, node);
        }
    }

    /// A node came.
    pub(super) fn note_added(&mut self, base: StreamId) {
        if base <= self.until {
            self.fresh.insert(base);
        }
    }
}

/// A stream that is lent for the sake of its cut: whoever has it can begin, walk and end one, and nothing else.
pub struct CutOf<'a>(&'a mut Stream);

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
        let until = self.0.nodes.last_key_value().map_or(StreamId::MIN, |(&base, _)| base);
        self.0.cut = Some(Box::new(Cut { label, after: None, until, kept: BTreeMap::new(), fresh: BTreeSet::new() }));
    }

    /// Shows the next nodes of the cut, up to `max`, and returns whether that was all. True without a cut.
    pub fn step(&mut self, max: usize, f: &mut dyn FnMut(StreamId, &[u8])) -> bool {
        let Stream { nodes, cut, .. } = &mut *self.0;
        let Some(cut) = cut else { return true };
        for _ in 0..max {
            let start = cut.after.map_or(Bound::Unbounded, Bound::Excluded);
            let live = nodes.range((start, Bound::Included(cut.until))).find(|(base, _)| !cut.fresh.contains(base));
            let kept = cut.kept.first_key_value().map(|(&base, _)| base);
            let shown = match (live, kept) {
                (Some((&base, node)), kept) if kept.is_none_or(|kept| base < kept) => {
                    f(base, node.as_bytes());
                    base
                }
                (_, Some(base)) => {
                    if let Some(node) = cut.kept.remove(&base) {
                        f(base, node.as_bytes());
                    }
                    base
                }
                (_, None) => return true,
            };
            cut.after = Some(shown);
        }
        cut.after == Some(cut.until)
    }

    /// Ends the cut, whether or not all of it was shown.
    pub fn end(&mut self) {
        self.0.cut = None;
    }
}

impl Stream {
    /// The stream, for a cut of it.
    pub fn cut(&mut self) -> CutOf<'_> {
        CutOf(self)
    }

    /// The label of the cut, if there is one.
    pub fn cut_label(&self) -> Option<u32> {
        self.cut.as_ref().map(|cut| cut.label)
    }
}
