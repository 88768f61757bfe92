//! One node of a stream: a listpack in Redis' own layout, so that saving and loading are copies.
//!
//! It starts with a master entry: `live, deleted, n, field 1 … field n, 0`. Then, per entry: `flags, ms, seq` (the id,
//! as differences from the node's), unless SAMEFIELDS the number of fields, then the values (SAMEFIELDS: in the order
//! of the master fields) or field-value pairs, and last the number of elements before it in the entry, by which a
//! backward walk finds the start. A deleted entry stays, flagged.

use super::StreamId;
use crate::ds::parts::corrupt::Corrupt;
use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::{Encoder, Listpack, Pos};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of an entry besides fields and values: flags and the two parts of the id.
const FIXED: i64 = 3;

/// The master entry.
#[derive(Clone, Copy)]
pub(super) struct Master {
    pub(super) live: u64,
    pub(super) deleted: u64,
    fields: usize,
    /// First field, or the terminator if there is none.
    names: Pos,
    terminator: Pos,
}

/// An entry of a stream, borrowed from it.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub id: StreamId,
    node: &'a Listpack,
    pub(super) at: Pos,
    flags: i64,
    fields: usize,
    /// The master fields, if the entry shares them.
    names: Option<Pos>,
    /// First value or field, or the back count if there is none.
    body: Pos,
}

impl<'a> Entry<'a> {
    /// Number of field-value pairs.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Whether there is no pair; commands never make such an entry.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// The pairs in the order they were given.
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs { node: self.node, left: self.fields, name: self.names, at: Some(self.body) }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }
}

/// The field-value pairs of an [`Entry`].
#[derive(Clone)]
pub struct Pairs<'a> {
    node: &'a Listpack,
    left: usize,
    name: Option<Pos>,
    at: Option<Pos>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut at = self.at?;
        let name = match &mut self.name {
            Some(name) => {
                let this = *name;
                *name = self.node.next(this)?;
                this
            }
            None => {
                let this = at;
                at = self.node.next(this)?;
                this
            }
        };
        self.at = self.node.next(at);
        Some((self.node.get(name), self.node.get(at)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// A node of one entry, under whose id it is kept and whose fields become the master entry's. `text` is how many bytes of
/// fields and values there are.
pub(super) fn create<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone, text: usize) -> Listpack {
    let count = fields.clone().count();
    let mut elements = Encoder::with_capacity(2 * count + 9, text);
    for number in [1, 0, count as i64] {
        elements.push_int(number);
    }
    for (name, _) in fields.clone() {
        elements.push(Element::Str(name));
    }
    for number in [0, SAME_FIELDS, 0, 0] {
        elements.push_int(number);
    }
    for (_, value) in fields {
        elements.push(Element::Str(value));
    }
    elements.push_int(count as i64 + FIXED);
    let mut node = Listpack::new();
    node.append_encoded(&elements);
    node
}

/// Appends an entry. Its id is greater than those in the node, whose `master` this is; `text` as for [`create`].
pub(super) fn append<'f>(
    node: &mut Listpack,
    master: &Master,
    base: StreamId,
    id: StreamId,
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    text: usize,
) {
    let count = fields.clone().count();
    let mut name = Some(master.names);
    let same = count == master.fields
        && fields.clone().all(|(field, _)| {
            let Some(at) = name else { return false };
            name = node.next(at);
            node.get(at).eq_bytes(field)
        });
    let mut elements = Encoder::with_capacity(2 * count + 5, text);
    elements.push_int(if same { SAME_FIELDS } else { 0 });
    elements.push_int(id.ms.wrapping_sub(base.ms) as i64);
    elements.push_int(id.seq.wrapping_sub(base.seq) as i64);
    if !same {
        elements.push_int(count as i64);
    }
    for (field, value) in fields {
        if !same {
            elements.push(Element::Str(field));
        }
        elements.push(Element::Str(value));
    }
    let count = count as i64;
    elements.push_int(if same { count + FIXED } else { 2 * count + FIXED + 1 });
    node.append_encoded(&elements);
    // Last, as the entry's positions may move with it.
    set_counts(node, master, master.live + 1, master.deleted);
}

/// Flags an entry as deleted; the counts follow with [`set_counts`].
pub(super) fn flag_deleted(node: &mut Listpack, at: Pos) {
    let flags = node.get(at).as_int().unwrap_or(0);
    node.replace(at, Element::Int(flags | DELETED));
}

/// Writes the counts of the master entry, which are those of `was` so far. Positions in the node may move.
pub(super) fn set_counts(node: &mut Listpack, was: &Master, live: u64, deleted: u64) {
    for (index, count, old) in [(0, live, was.live), (1, deleted, was.deleted)] {
        if count != old
            && let Some(at) = node.seek(index)
        {
            node.replace(at, Element::Int(count as i64));
        }
    }
}

pub(super) fn master(node: &Listpack) -> Option<Master> {
    let live = node.first()?;
    let deleted = node.next(live)?;
    let fields = node.next(deleted)?;
    let names = node.next(fields)?;
    let number = |at: Pos| u64::try_from(node.get(at).as_int()?).ok();
    let count = usize::try_from(number(fields)?).ok()?;
    let terminator = skip(node, names, count)?;
    let (live, deleted) = (number(live)?, number(deleted)?);
    Some(Master { live, deleted, fields: count, names, terminator })
}

/// The first entry of a node.
pub(super) fn first<'a>(node: &'a Listpack, base: StreamId, master: &Master) -> Option<Entry<'a>> {
    entry(node, base, master, node.next(master.terminator)?)
}

/// The last entry of a node.
pub(super) fn last<'a>(node: &'a Listpack, base: StreamId, master: &Master) -> Option<Entry<'a>> {
    ending(node, base, master, node.last()?)
}

/// The entry after another one of the same node.
pub(super) fn after<'a>(base: StreamId, master: &Master, this: &Entry<'a>) -> Option<Entry<'a>> {
    entry(this.node, base, master, this.node.next(back_count(this)?)?)
}

/// The entry before another one of the same node.
pub(super) fn before<'a>(base: StreamId, master: &Master, this: &Entry<'a>) -> Option<Entry<'a>> {
    ending(this.node, base, master, this.node.prev(this.at)?)
}

/// All entries of a node, deleted ones too.
pub(super) fn entries<'a>(node: &'a Listpack, base: StreamId, master: Master) -> impl Iterator<Item = Entry<'a>> {
    std::iter::successors(first(node, base, &master), move |this| after(base, &master, this))
}

/// Checks bytes from outside all the way: the layout, the counts, and ids that rise from the node's own.
pub(super) fn validate(base: StreamId, bytes: &[u8]) -> Result<Listpack, Corrupt> {
    let node = Listpack::from_bytes_validated(bytes)?;
    let fault = |pos: Option<Pos>, reason| Corrupt { offset: pos.map_or(0, Pos::offset), reason };
    let head = master(&node).ok_or(fault(None, "stream node without a master entry"))?;
    if node.get(head.terminator).as_int() != Some(0) {
        return Err(fault(Some(head.terminator), "stream master entry without its end"));
    }
    let (mut live, mut deleted) = (0, 0);
    let mut previous = None;
    let mut at = node.next(head.terminator);
    while let Some(pos) = at {
        let broken = |reason| fault(Some(pos), reason);
        let this = entry(&node, base, &head, pos).ok_or(broken("broken stream entry"))?;
        let end = back_count(&this).ok_or(broken("stream entry cut off"))?;
        let fields = this.fields as i64;
        let count = match this.names {
            Some(_) => fields + FIXED,
            None => 2 * fields + FIXED + 1,
        };
        if node.get(end).as_int() != Some(count) {
            return Err(broken("wrong back count of a stream entry"));
        }
        if this.id < base || previous.is_some_and(|previous| this.id <= previous) {
            return Err(broken("stream ids out of order"));
        }
        previous = Some(this.id);
        *(if this.is_deleted() { &mut deleted } else { &mut live }) += 1;
        at = node.next(end);
    }
    if (live, deleted) != (head.live, head.deleted) {
        return Err(fault(None, "wrong counts of a stream node"));
    }
    Ok(node)
}

/// Reads the entry that starts at `at`. `None` if it is not one, which a validated node never has.
fn entry<'a>(node: &'a Listpack, base: StreamId, master: &Master, at: Pos) -> Option<Entry<'a>> {
    let flags = node.get(at).as_int()?;
    let ms = node.next(at)?;
    let seq = node.next(ms)?;
    let id = StreamId {
        ms: base.ms.wrapping_add(node.get(ms).as_int()? as u64),
        seq: base.seq.wrapping_add(node.get(seq).as_int()? as u64),
    };
    let mut body = node.next(seq)?;
    let (mut fields, mut names) = (master.fields, Some(master.names));
    if flags & SAME_FIELDS == 0 {
        fields = usize::try_from(node.get(body).as_int()?).ok()?;
        names = None;
        body = node.next(body)?;
    }
    Some(Entry { id, node, at, flags, fields, names, body })
}

/// The entry whose back count is at `end`; `None` if that is the end of the master entry.
fn ending<'a>(node: &'a Listpack, base: StreamId, master: &Master, end: Pos) -> Option<Entry<'a>> {
    if end <= master.terminator {
        return None;
    }
    let mut at = end;
    for _ in 0..node.get(end).as_int()? {
        at = node.prev(at)?;
    }
    entry(node, base, master, at)
}

fn back_count(this: &Entry<'_>) -> Option<Pos> {
    let per_field = if this.names.is_some() { 1 } else { 2 };
    skip(this.node, this.body, this.fields.checked_mul(per_field)?)
}

/// Goes `count` entries on. A count from a file that exceeds the node ends the walk at the node's end.
fn skip(node: &Listpack, mut at: Pos, count: usize) -> Option<Pos> {
    for _ in 0..count {
        at = node.next(at)?;
    }
    Some(at)
}
