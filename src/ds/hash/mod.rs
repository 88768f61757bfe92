//! Hashes: a listpack of fields and values while small (of triplets once a field has a deadline), a table of fields when
//! large.
//!
//! Fields past their deadline stay until somebody removes them: what is told of a hash, its length included, counts them
//! unless it takes the present time as an argument. The keyspace decides when they go.

mod random;
mod table;
#[cfg(test)]
mod tests;

pub use table::FieldTable;

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::element::Element;
use super::parts::listpack::{Listpack, Pos};
use crate::raw::entry::{FromValue, Value};

/// A hash in any encoding.
pub enum Hash {
    Packed(Listpack),
    /// Triplets of field, value and deadline (0: none), fields with the nearest deadline first, those without one last.
    PackedWithTtls(Listpack),
    Table(Big<FieldTable>),
}

/// What is found at a field.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub value: Element<'a>,
    /// In Unix milliseconds.
    pub deadline: Option<i64>,
}

impl Found<'_> {
    /// True if the deadline is over at `now`, so that no client may see the field.
    #[inline]
    pub fn is_past(&self, now: i64) -> bool {
        is_past(self.deadline, now)
    }
}

/// True if a deadline is over at `now`; both in Unix milliseconds.
#[inline]
pub fn is_past(deadline: Option<i64>, now: i64) -> bool {
    deadline.is_some_and(|deadline| now > deadline)
}

/// What becomes of a field's deadline when its value is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    Drop,
    Keep,
}

/// Entries of a listpack per field, without and with deadlines.
const PAIR: usize = 2;
const TRIPLET: usize = 3;
/// Most bytes of a deadline in a listpack.
const DEADLINE_BYTES_MAX: usize = 11;

impl Hash {
    /// Number of fields, those past their deadline included.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Hash::Packed(pack) => pack.len() / PAIR,
            Hash::PackedWithTtls(pack) => pack.len() / TRIPLET,
            Hash::Table(fields) => fields.len(),
        }
    }

    /// True if there is no field at all.
    pub fn is_empty(&self) -> bool {
        Typed::is_empty(self)
    }

    /// Number of fields past their deadline at `now`.
    pub fn past_len(&self, now: i64) -> usize {
        match self {
            Hash::Packed(_) => 0,
            Hash::PackedWithTtls(pack) => triplets(pack).take_while(|(_, _, deadline)| is_past(*deadline, now)).count(),
            Hash::Table(fields) => fields.past_len(now),
        }
    }

    /// Calls `f` with what the field holds, or with none. A field past its deadline is found, too.
    #[inline]
    pub fn find<R>(&self, name: &[u8], f: impl FnOnce(Option<Found<'_>>) -> R) -> R {
        match self {
            Hash::Packed(pack) => {
                let at = pack.find(Element::Str(name), PAIR - 1).and_then(|at| pack.next(at));
                f(at.map(|at| Found { value: pack.get(at), deadline: None }))
            }
            Hash::PackedWithTtls(pack) => {
                let at = pack.find(Element::Str(name), TRIPLET - 1).and_then(|at| pack.next(at));
                f(at.map(|at| Found { value: pack.get(at), deadline: deadline_after(pack, at) }))
            }
            Hash::Table(fields) => fields.find(name, f),
        }
    }

    /// True if there is such a field and it is past its deadline.
    #[inline]
    pub fn has_past(&self, name: &[u8], now: i64) -> bool {
        is_past(self.nearest_deadline(), now) && self.find(name, |found| found.is_some_and(|found| found.is_past(now)))
    }

    /// Prepares for `fields` more fields: when they are too many for a small hash it becomes a large one at once.
    pub fn expect_more(&mut self, fields: usize, limits: &Limits) {
        if fields > limits.hash_entries && !matches!(self, Hash::Table(_)) {
            self.spread(limits, fields);
        }
    }

    /// Prepares for deadlines of fields, as the original does also when it sets none in the end.
    pub fn expect_deadlines(&mut self, limits: &Limits) {
        if let Hash::Packed(pack) = self {
            if pack.would_fit((pack.len() / PAIR).saturating_mul(DEADLINE_BYTES_MAX)) {
                self.add_deadlines();
            } else {
                self.spread(limits, 0);
            }
        }
    }

    /// Sets a field; true if it is new.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], deadline: Deadline, limits: &Limits) -> bool {
        if !self.has_room(name, value, limits) {
            self.spread(limits, 0);
        }
        match self {
            Hash::Packed(pack) => {
                if let Some(at) = pack.find(Element::Str(name), PAIR - 1).and_then(|at| pack.next(at)) {
                    pack.replace(at, Element::Str(value));
                    return false;
                }
                pack.push_back(Element::Str(name));
                pack.push_back(Element::Str(value));
            }
            Hash::PackedWithTtls(pack) => {
                if let Some(head) = pack.find(Element::Str(name), TRIPLET - 1) {
                    let Some(at) = pack.next(head) else { return false };
                    if deadline == Deadline::Keep || deadline_after(pack, at).is_none() {
                        pack.replace(at, Element::Str(value));
                    } else {
                        pack.delete_from(head, TRIPLET);
                        file(pack, name, Element::Str(value), None);
                    }
                    return false;
                }
                file(pack, name, Element::Str(value), None);
            }
            Hash::Table(fields) => return fields.set(name, value, deadline),
        }
        if self.len() > limits.hash_entries {
            self.spread(limits, 0);
        }
        true
    }

    /// Sets a field with its deadline, whatever it had (loading, RESTORE); true if it is new.
    pub fn put(&mut self, name: &[u8], value: &[u8], deadline: Option<i64>, limits: &Limits) -> bool {
        let is_new = self.set(name, value, Deadline::Drop, limits);
        if deadline.is_some() {
            self.set_deadline(name, deadline, limits);
        }
        is_new
    }

    /// Gives a field a deadline (in Unix milliseconds, above 0) or takes it away; false if there is no such field.
    pub fn set_deadline(&mut self, name: &[u8], deadline: Option<i64>, limits: &Limits) -> bool {
        if deadline.is_some() {
            self.expect_deadlines(limits);
        }
        match self {
            Hash::Packed(pack) => pack.find(Element::Str(name), PAIR - 1).is_some(),
            Hash::PackedWithTtls(pack) => {
                let Some(head) = pack.find(Element::Str(name), TRIPLET - 1) else { return false };
                let value = pack.next(head).map(|at| pack.get(at).to_vec()).unwrap_or_default();
                pack.delete_from(head, TRIPLET);
                file(pack, name, Element::Str(&value), deadline);
                true
            }
            Hash::Table(fields) => fields.set_deadline(name, deadline),
        }
    }

    /// Removes a field; false if there is none.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (pack, step) = match self {
            Hash::Packed(pack) => (pack, PAIR),
            Hash::PackedWithTtls(pack) => (pack, TRIPLET),
            Hash::Table(fields) => return fields.remove(name),
        };
        match pack.find(Element::Str(name), step - 1) {
            Some(at) => {
                pack.delete_from(at, step);
                true
            }
            None => false,
        }
    }

    /// Removes up to `max` fields that are past their deadline at `now`, those with the nearest first, and calls `f` with the
    /// name of each. Returns how many there were.
    pub fn remove_past(&mut self, now: i64, max: usize, f: &mut dyn FnMut(&[u8])) -> usize {
        match self {
            Hash::Packed(_) => 0,
            Hash::PackedWithTtls(pack) => {
                let mut removed = 0;
                for (name, ..) in triplets(pack).take_while(|(_, _, deadline)| is_past(*deadline, now)).take(max) {
                    name.with_text(&mut *f);
                    removed += 1;
                }
                pack.delete_range(0, removed * TRIPLET);
                removed
            }
            Hash::Table(fields) => fields.remove_past(now, max, f),
        }
    }

    /// Calls `f` with the name of every field, its value and its deadline.
    #[inline]
    pub fn for_each(&self, mut f: impl FnMut(Element<'_>, Found<'_>)) {
        match self {
            Hash::Packed(pack) => {
                let mut entries = pack.iter();
                while let (Some(name), Some(value)) = (entries.next(), entries.next()) {
                    f(name, Found { value, deadline: None });
                }
            }
            Hash::PackedWithTtls(pack) => {
                triplets(pack).for_each(|(name, value, deadline)| f(name, Found { value, deadline }));
            }
            Hash::Table(fields) => fields.for_each(&mut f),
        }
    }

    /// Names and values in turn, if it is kept so: in a small hash without deadlines.
    pub fn pairs(&self) -> Option<&Listpack> {
        match self {
            Hash::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    /// One step of a scan: calls `f` with some fields and returns the cursor for the next step, 0 at the end. Start with 0. A
    /// small hash is shown in one step.
    pub fn scan(&self, cursor: u64, f: &mut dyn FnMut(Element<'_>, Found<'_>)) -> u64 {
        match self {
            Hash::Table(fields) => fields.scan(cursor, f),
            _ => {
                self.for_each(f);
                0
            }
        }
    }

    /// True if a small hash may take this field; always of a large one.
    #[inline]
    fn has_room(&self, name: &[u8], value: &[u8], limits: &Limits) -> bool {
        match self {
            Hash::Packed(pack) | Hash::PackedWithTtls(pack) => {
                let longest = name.len().max(value.len());
                // Heads and lengths of three entries are far below this.
                const OVERHEAD: usize = 64;
                longest <= limits.hash_value && pack.would_fit(name.len() + value.len() + OVERHEAD)
            }
            Hash::Table(_) => true,
        }
    }

    /// From pairs to triplets.
    fn add_deadlines(&mut self) {
        if let Hash::Packed(pack) = self {
            let pairs = std::mem::take(pack);
            let mut triplets = Listpack::new();
            let mut entries = pairs.iter();
            while let (Some(name), Some(value)) = (entries.next(), entries.next()) {
                triplets.push_back(name);
                triplets.push_back(value);
                triplets.append_int(0);
            }
            *self = Hash::PackedWithTtls(triplets);
        }
    }

    /// From a listpack to a table, with room for `more` fields.
    #[cold]
    fn spread(&mut self, limits: &Limits, more: usize) {
        let mut fields = FieldTable::with_capacity(limits.hash_seed, self.len() + more);
        self.for_each(|name, found| {
            name.with_text(|name| found.value.with_text(|value| fields.add(name, value, found.deadline)));
        });
        *self = Hash::Table(Big::new(fields));
    }
}

/// Files a triplet where its deadline belongs.
fn file(pack: &mut Listpack, name: &[u8], value: Element<'_>, deadline: Option<i64>) {
    let Some(deadline) = deadline else {
        pack.push_back(Element::Str(name));
        pack.push_back(value);
        pack.append_int(0);
        return;
    };
    let mut entries = pack.entries();
    let mut place = None;
    while let (Some((head, _)), Some(_), Some((_, other))) = (entries.next(), entries.next(), entries.next()) {
        if other.as_int().is_none_or(|other| other == 0 || other >= deadline) {
            place = Some(head);
            break;
        }
    }
    match place {
        Some(place) => {
            // Each one in front of the last, so that the place stays the same.
            pack.insert_before(place, Element::Int(deadline));
            pack.insert_before(place, value);
            pack.insert_before(place, Element::Str(name));
        }
        None => {
            pack.push_back(Element::Str(name));
            pack.push_back(value);
            pack.append_int(deadline);
        }
    }
}

/// The deadline behind a value.
fn deadline_after(pack: &Listpack, value: Pos) -> Option<i64> {
    pack.next(value).and_then(|at| pack.get(at).as_int()).filter(|deadline| *deadline != 0)
}

/// The fields of a listpack of triplets.
fn triplets(pack: &Listpack) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
    let mut entries = pack.iter();
    std::iter::from_fn(move || {
        let (name, value, deadline) = (entries.next()?, entries.next()?, entries.next()?);
        Some((name, value, deadline.as_int().filter(|deadline| *deadline != 0)))
    })
}

impl FromValue<Object> for Hash {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::HASH, bytes) => Ok(Hash::Packed(Listpack::from_thin(bytes))),
            Value::Thin(thin::HASH_WITH_TTLS, bytes) => Ok(Hash::PackedWithTtls(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(Hash::Table).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for Hash {
    const TYPE: ValueType = ValueType::Hash;

    fn empty(_: &Limits) -> Self {
        Hash::Packed(Listpack::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(pack) | Hash::PackedWithTtls(pack) => pack.is_empty(),
            Hash::Table(fields) => fields.is_empty(),
        }
    }

    fn into_value(self) -> Value<Object> {
        match self {
            Hash::Packed(pack) => Value::Thin(thin::HASH, pack.into_thin()),
            Hash::PackedWithTtls(pack) => Value::Thin(thin::HASH_WITH_TTLS, pack.into_thin()),
            Hash::Table(fields) => fields.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            Hash::Packed(pack) => Hash::Packed(pack.clone()),
            Hash::PackedWithTtls(pack) => Hash::PackedWithTtls(pack.clone()),
            Hash::Table(fields) => Hash::Table(Big::new(fields.duplicate())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::PackedWithTtls(_) => "listpackex",
            Hash::Table(_) => "hashtable",
        }
    }

    fn memory_bytes(&self, samples: usize) -> usize {
        match self {
            Hash::Packed(pack) | Hash::PackedWithTtls(pack) => pack.memory_bytes(),
            Hash::Table(fields) => fields.memory_bytes(samples),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Hash::Table(fields) => fields.len(),
            _ => 1,
        }
    }

    #[inline]
    fn nearest_deadline(&self) -> Option<i64> {
        match self {
            Hash::Packed(_) => None,
            Hash::PackedWithTtls(pack) => triplets(pack).next().and_then(|(_, _, deadline)| deadline),
            Hash::Table(fields) => fields.nearest_deadline(),
        }
    }
}
