//! Streams: entries of field-value pairs under rising ids, in listpack nodes of Redis' layout, and consumer groups.
//!
//! Nodes are kept by the id of their first entry, in a B-tree: an id leads to its node in one search, and appending
//! touches the last node only. What a node looks like is in `node`, groups are in `group`, and the counters that tell
//! how far a group lags are in [`Counters`].

mod cut;
mod group;
mod id;
mod node;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
pub use value::StreamValue;

use crate::ds::parts::corrupt::Corrupt;
use crate::ds::parts::listpack::Listpack;

pub use cut::CutOf;
pub use group::{Consumer, ConsumerId, Group, Nack};
pub use id::{IdText, StreamId};
pub use node::{Entry, Pairs};

/// Most bytes of fields and values that an entry, or of all that a node, may hold.
pub const NODE_BYTES_MAX: usize = 1 << 30;

/// When a node is full: `stream-node-max-bytes` and `stream-node-max-entries`; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    pub bytes: usize,
    pub entries: u64,
}

/// The id an append asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NewId {
    /// `*`: from this time, or the next one if the clock is behind.
    Auto { now_ms: u64 },
    /// `ms-*`.
    AutoSeq { ms: u64 },
    /// As given.
    Exact(StreamId),
}

/// Why nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The id is not greater than the last one.
    NotGreater,
    /// There is no greater id than the last one.
    Exhausted,
    /// Fields and values exceed [`NODE_BYTES_MAX`].
    TooLarge,
}

/// What a trim keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// At most this many entries.
    Len(u64),
    /// The entries from this id on.
    From(StreamId),
}

/// Numbers about a stream that outlive its entries.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Counters {
    /// Entries there are.
    pub len: u64,
    /// Entries there ever were.
    pub entries_added: u64,
    /// First entry there is; 0-0 if there is none.
    pub first_id: StreamId,
    /// Greatest id ever appended, or set since.
    pub last_id: StreamId,
    /// Greatest id of an entry deleted one by one (trimming does not count).
    pub max_deleted_id: StreamId,
}

impl Counters {
    /// Entries that a group has yet to be given. `None` if deletions made that unknowable; negative if what a data file or
    /// SETID told of the group contradicts the stream.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.entries_added == 0 || self.len == 0 {
            return Some(0);
        }
        if group.last_id < self.first_id && self.max_deleted_id < self.first_id {
            return Some(self.len as i64);
        }
        let read = match group.entries_read {
            Some(read) if self.may_count_on(group.last_id) => read,
            _ => self.entries_up_to(group.last_id)?,
        };
        Some((self.entries_added as i64).saturating_sub_unsigned(read))
    }

    /// How many entries there ever were up to this id, if that can be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            let trimmed = self.entries_added.saturating_sub(self.len);
            if id < self.first_id {
                return Some(trimmed);
            }
            if id == self.first_id {
                return Some(trimmed + 1);
            }
        }
        None
    }

    /// Notes that an entry was delivered to a group as a new one.
    pub fn advance(&self, group: &mut Group, id: StreamId) {
        if id <= group.last_id {
            return;
        }
        match group.entries_read {
            Some(read) if self.may_count_on(group.last_id) => group.entries_read = Some(read.saturating_add(1)),
            _ if self.entries_added > 0 => group.entries_read = self.entries_up_to(id),
            _ => {}
        }
        group.last_id = id;
    }

    /// Whether a group that was given the entries up to this id has counted them right: it began where entries still are,
    /// and none at or after the id was deleted.
    fn may_count_on(&self, id: StreamId) -> bool {
        id >= self.first_id && (self.len == 0 || self.max_deleted_id == StreamId::MIN || id > self.max_deleted_id)
    }
}

/// A stream. See the module's page.
#[derive(Debug, Default)]
pub struct Stream {
    nodes: BTreeMap<StreamId, Listpack>,
    counters: Counters,
    /// The consumer groups by name.
    pub groups: BTreeMap<Box<[u8]>, Group>,
    /// The nodes as they were once, while somebody walks them.
    cut: Option<Box<cut::Cut>>,
}

impl Clone for Stream {
    /// A copy of its own, with no part in the cut.
    fn clone(&self) -> Stream {
        Stream { nodes: self.nodes.clone(), counters: self.counters, groups: self.groups.clone(), cut: None }
    }
}

impl Stream {
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.counters.len
    }

    /// Whether there is no entry. An empty stream is still a value: it keeps its last id and groups.
    pub fn is_empty(&self) -> bool {
        self.counters.len == 0
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets what XSETID sets and a data file brings; the length and first id are the stream's own to know. The caller
    /// has compared the ids with each other and with the last entry.
    pub fn set_counters(&mut self, last_id: StreamId, entries_added: u64, max_deleted_id: StreamId) {
        self.counters = Counters { last_id, entries_added, max_deleted_id, ..self.counters };
    }

    /// The id that an append with `wanted` gets.
    pub fn resolve(&self, wanted: NewId) -> Result<StreamId, AppendError> {
        let last = self.counters.last_id;
        let id = match wanted {
            NewId::Auto { now_ms } if now_ms > last.ms => StreamId::new(now_ms, 0),
            NewId::Auto { .. } => return last.next().ok_or(AppendError::Exhausted),
            NewId::AutoSeq { ms } if ms == last.ms => match last.seq.checked_add(1) {
                Some(seq) => StreamId::new(ms, seq),
                None => return Err(AppendError::NotGreater),
            },
            NewId::AutoSeq { ms } => StreamId::new(ms, 0),
            NewId::Exact(id) => id,
        };
        if id > last { Ok(id) } else { Err(AppendError::NotGreater) }
    }

    /// Appends an entry under an id greater than the last (see [`Stream::resolve`]).
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: NodeLimits,
    ) -> Result<(), AppendError> {
        if id <= self.counters.last_id {
            return Err(AppendError::NotGreater);
        }
        let bytes: usize =
            fields.clone().map(|(name, value)| name.len().saturating_add(value.len())).fold(0, usize::saturating_add);
        if bytes > NODE_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let last = self.nodes.last_entry().and_then(|last| Some((node::master(last.get())?, last)));
        match last.filter(|(master, last)| has_room(last.get(), master, bytes, limits)) {
            Some((master, mut last)) => {
                let base = *last.key();
                if let Some(cut) = &mut self.cut {
                    cut.keep_copy(base, last.get());
                }
                node::append(last.get_mut(), &master, base, id, fields, bytes);
            }
            None => {
                if let Some(cut) = &mut self.cut {
                    cut.note_added(id);
                }
                self.nodes.insert(id, node::create(fields, bytes));
            }
        }
        let counters = &mut self.counters;
        counters.len += 1;
        counters.entries_added = counters.entries_added.saturating_add(1);
        counters.last_id = id;
        if counters.len == 1 {
            counters.first_id = id;
        }
        Ok(())
    }

    /// The entries from `start` to `end`, both included, from the first on or, if `reverse`, from the last.
    pub fn range(&self, start: StreamId, end: StreamId, reverse: bool) -> Range<'_> {
        let from = self.nodes.range(..=start).next_back().map_or(start, |(&base, _)| base);
        let nodes = if start <= end { self.nodes.range(from..=end) } else { btree_map::Range::default() };
        Range { nodes, here: None, start, end, reverse }
    }

    pub fn first(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX, false).next()
    }

    pub fn last(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX, true).next()
    }

    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id, false).next()
    }

    /// Deletes an entry. False if there is none with this id.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((&base, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        let Some(master) = node::master(node) else { return false };
        let found = node::entries(node, base, master).take_while(|entry| entry.id <= id).find(|entry| entry.id == id);
        let Some(at) = found.filter(|entry| !entry.is_deleted()).map(|entry| entry.at) else { return false };
        if let Some(cut) = &mut self.cut {
            cut.keep_copy(base, node);
        }
        if master.live <= 1 {
            self.nodes.remove(&base);
        } else {
            node::flag_deleted(node, at);
            node::set_counts(node, &master, master.live - 1, master.deleted + 1);
        }
        self.counters.len -= 1;
        self.counters.max_deleted_id = self.counters.max_deleted_id.max(id);
        if id == self.counters.first_id {
            self.find_first();
        }
        true
    }

    /// Removes the oldest entries and returns how many. `approximate` removes whole nodes only; a `limit` stops before
    /// the node with which more entries than that would be gone.
    pub fn trim(&mut self, keep: Keep, approximate: bool, limit: Option<u64>) -> u64 {
        let mut removed = 0;
        while let Some(mut first) = self.nodes.first_entry() {
            let (base, len) = (*first.key(), self.counters.len);
            if matches!(keep, Keep::Len(most) if len <= most) {
                break;
            }
            let Some(master) = node::master(first.get()) else { break };
            if limit.is_some_and(|limit| removed + master.live > limit) {
                break;
            }
            let whole = match keep {
                Keep::Len(most) => len.saturating_sub(master.live) >= most,
                Keep::From(id) => node::last(first.get(), base, &master).is_none_or(|last| last.id < id),
            };
            if whole {
                let gone = first.remove();
                if let Some(cut) = &mut self.cut {
                    cut.keep_gone(base, gone);
                }
                self.counters.len = len.saturating_sub(master.live);
                removed += master.live;
                continue;
            }
            if approximate {
                break;
            }
            let excess = match keep {
                Keep::Len(most) => len - most,
                Keep::From(_) => u64::MAX,
            };
            let live = node::entries(first.get(), base, master)
                .take_while(|entry| !matches!(keep, Keep::From(id) if entry.id >= id))
                .filter(|entry| !entry.is_deleted());
            let gone: Vec<_> = live.map(|entry| entry.at).take(usize::try_from(excess).unwrap_or(usize::MAX)).collect();
            let count = gone.len() as u64;
            if let Some(cut) = &mut self.cut {
                cut.keep_copy(base, first.get());
            }
            // Flags keep their size, so the positions hold until the counts are written.
            gone.into_iter().for_each(|at| node::flag_deleted(first.get_mut(), at));
            if count == master.live {
                first.remove();
            } else {
                node::set_counts(first.get_mut(), &master, master.live - count, master.deleted + count);
            }
            self.counters.len = len - count;
            removed += count;
            break;
        }
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    /// Lends a group, to be changed while the entries are read. `None` if there is none of this name.
    pub fn with_group<R>(&mut self, name: &[u8], f: impl FnOnce(&Stream, &mut Group) -> R) -> Option<R> {
        let mut groups = std::mem::take(&mut self.groups);
        let result = groups.get_mut(name).map(|group| f(self, group));
        self.groups = groups;
        result
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes that the original's tree of ids has: XINFO tells it. Exact for small streams, else a guess.
    pub fn tree_nodes(&self) -> usize {
        const COUNTED_MAX: usize = 4096;

        if self.nodes.len() > COUNTED_MAX {
            return self.nodes.len() + self.nodes.len() / 64;
        }
        let keys: Vec<[u8; 16]> = self.nodes.keys().map(|id| id.to_bytes()).collect();
        tree_nodes(&keys, 0)
    }

    /// The nodes as they are saved, with the ids they are kept by.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &[u8])> {
        self.nodes.iter().map(|(&base, node)| (base, node.as_bytes()))
    }

    /// Appends a node from a data file, after checking all of it. Nodes come in order; their entries are counted, and
    /// [`Stream::set_counters`] brings what nodes cannot tell. A node without live entries is left out.
    pub fn push_node(&mut self, base: StreamId, bytes: &[u8]) -> Result<(), Corrupt> {
        let loaded = node::validate(base, bytes)?;
        let fault = |reason| Corrupt { offset: 0, reason };
        let master = node::master(&loaded).ok_or(fault("stream node without a master entry"))?;
        if let Some((&before, node)) = self.nodes.last_key_value() {
            let last = node::master(node).and_then(|master| node::last(node, before, &master));
            if base <= before || last.is_some_and(|last| last.id >= base) {
                return Err(fault("stream nodes out of order"));
            }
        }
        let Some(last) = node::last(&loaded, base, &master).map(|last| last.id).filter(|_| master.live > 0) else {
            return Ok(());
        };
        let counters = &mut self.counters;
        counters.len = counters.len.saturating_add(master.live);
        counters.entries_added = counters.entries_added.max(counters.len);
        counters.last_id = counters.last_id.max(last);
        let is_first = self.nodes.is_empty();
        self.nodes.insert(base, loaded);
        if is_first {
            self.find_first();
        }
        Ok(())
    }

    /// Bytes of the nodes and, roughly, of the structures that hold them.
    pub fn memory_bytes(&self) -> usize {
        let nodes: usize = self.nodes.values().map(|node| node.memory_bytes() + size_of::<(StreamId, Listpack)>()).sum();
        let pending: usize = self.groups.values().map(|group| group.pending().len()).sum();
        let consumers: usize = self.groups.values().map(Group::consumer_count).sum();
        nodes
            + pending * (size_of::<(StreamId, Nack)>() + size_of::<StreamId>())
            + consumers * size_of::<Consumer>()
            + self.groups.len() * size_of::<Group>()
    }

    fn find_first(&mut self) {
        self.counters.first_id = self.first().map_or(StreamId::MIN, |entry| entry.id);
    }
}

/// Entries of a [`Stream`] in one direction, deleted ones left out.
#[derive(Clone)]
pub struct Range<'a> {
    nodes: btree_map::Range<'a, StreamId, Listpack>,
    /// The node being walked and the entry to look at next.
    here: Option<(StreamId, node::Master, Entry<'a>)>,
    start: StreamId,
    end: StreamId,
    reverse: bool,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some((base, master, entry)) = self.here else {
                let (&base, node) = if self.reverse { self.nodes.next_back()? } else { self.nodes.next()? };
                let master = node::master(node)?;
                let edge = if self.reverse { node::last } else { node::first };
                self.here = edge(node, base, &master).map(|entry| (base, master, entry));
                continue;
            };
            let (too_early, too_late) = (entry.id < self.start, entry.id > self.end);
            if if self.reverse { too_early } else { too_late } {
                self.nodes = btree_map::Range::default();
                self.here = None;
                return None;
            }
            let step = if self.reverse { node::before } else { node::after };
            self.here = step(base, &master, &entry).map(|entry| (base, master, entry));
            if !(too_early || too_late || entry.is_deleted()) {
                return Some(entry);
            }
        }
    }
}

fn has_room(node: &Listpack, master: &node::Master, bytes: usize, limits: NodeLimits) -> bool {
    let most = if limits.bytes == 0 { NODE_BYTES_MAX } else { limits.bytes.min(NODE_BYTES_MAX) };
    if node.bytes().saturating_add(bytes) >= most {
        return false;
    }
    limits.entries == 0 || master.live.saturating_add(master.deleted) < limits.entries
}

/// Nodes of a tree of sorted `keys` that share their first `depth` bytes: a node per run of bytes that all keys below it
/// share, per branching and per key.
fn tree_nodes(keys: &[[u8; 16]], depth: usize) -> usize {
    let [first, .., last] = keys else { return 1 + (!keys.is_empty() && depth < size_of::<StreamId>()) as usize };
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let below: usize = keys.chunk_by(|a, b| a[shared] == b[shared]).map(|keys| tree_nodes(keys, shared + 1)).sum();
    (shared > depth) as usize + 1 + below
}

/// The bounds of a range as ids: an excluded one is moved by one. `None` if that leaves no id.
pub fn ids_between(start: Bound<StreamId>, end: Bound<StreamId>) -> Option<(StreamId, StreamId)> {
    let start = match start {
        Bound::Included(id) => id,
        Bound::Excluded(id) => id.next()?,
        Bound::Unbounded => StreamId::MIN,
    };
    let end = match end {
        Bound::Included(id) => id,
        Bound::Excluded(id) => id.previous()?,
        Bound::Unbounded => StreamId::MAX,
    };
    Some((start, end))
}
