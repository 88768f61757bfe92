//! Sets: an intset while all members are integers, a listpack while small, a table of members when large.
//!
//! When a set changes its encoding is visible to clients (OBJECT ENCODING) and follows Redis to the letter. Members go
//! in and out as [`Element`]s, so that integers are not turned into text on the way from one small set to another.

mod algebra;
mod random;
#[cfg(test)]
mod tests;

use super::object::{Big, Limits, Object, PREFETCH_MIN_ELEMENTS, Typed, ValueType, thin};
use super::parts::element::Element;
use super::parts::intset::{self, Intset};
use super::parts::listpack::{Listpack, SAFETY_LIMIT, encoded_size};
use crate::raw::entry::{FromValue, Value};
use crate::raw::table::{CutOf, Slot, Table};
use crate::raw::text::Text;
use std::ops::ControlFlow;

pub use algebra::{difference, intersect, intersection, subtract, union, unite};

/// Members that [`Set::prefetch`] looks at in one call.
pub const PREFETCH_MAX: usize = 16;

/// The members of a large set.
pub struct MemberTable(pub Table<Text>);

/// A set in any encoding.
pub enum Set {
    Ints(Intset),
    Packed(Listpack),
    Table(Big<MemberTable>),
}

impl Set {
    /// Prepares for `more` members, of which `first` is the first: it decides on the encoding of a set that is empty so
    /// far, and a small set that they alone would make large becomes large at once.
    pub fn expect(&mut self, more: usize, first: Element<'_>, limits: &Limits) {
        let too_many = match self {
            Set::Table(_) => return,
            Set::Ints(ints) if ints.is_empty() && (more > limits.set_intset || first.as_int().is_none()) => {
                *self = Set::Packed(Listpack::new());
                more > limits.set_entries
            }
            Set::Ints(_) => more > limits.set_intset,
            Set::Packed(_) => more > limits.set_entries,
        };
        if too_many {
            self.enlarge(more, limits);
        }
    }

    /// Reads the places of these members into the cache ahead of use, where that helps; a handful at a time.
    pub fn prefetch<'k>(&self, members: impl Iterator<Item = &'k [u8]>) {
        if let Set::Table(table) = self {
            table.prefetch(members);
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.len(),
            Set::Packed(pack) => pack.len(),
            Set::Table(table) => table.0.len(),
        }
    }

    /// Whether there is no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Set::Ints(ints) => ints.is_empty(),
            Set::Packed(pack) => pack.is_empty(),
            Set::Table(table) => table.0.is_empty(),
        }
    }

    /// Whether `element` is a member.
    #[inline]
    pub fn contains(&self, element: Element<'_>) -> bool {
        match self {
            Set::Ints(ints) => element.as_int().is_some_and(|value| ints.contains(value)),
            Set::Packed(pack) => pack.find(element, 0).is_some(),
            Set::Table(table) => table.contains(element),
        }
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn insert(&mut self, element: Element<'_>, limits: &Limits) -> bool {
        match self {
            Set::Table(table) => table.insert(element),
            Set::Ints(ints) => match element.as_int() {
                Some(value) => {
                    let fresh = ints.insert(value);
                    if fresh && ints.len() > intset_max(limits) {
                        self.enlarge(0, limits);
                    }
                    fresh
                }
                None => {
                    self.insert_new(element, limits);
                    true
                }
            },
            Set::Packed(pack) => {
                // Once, not again for each comparison and for the insertion.
                let element = element.canonical();
                if pack.find(element, 0).is_some() {
                    return false;
                }
                self.insert_new(element, limits);
                true
            }
        }
    }

    /// Adds a member that is known to be missing.
    pub fn insert_new(&mut self, element: Element<'_>, limits: &Limits) {
        match self {
            Set::Table(table) => table.insert_new(element),
            Set::Ints(ints) => match element.as_int() {
                Some(_) => {
                    self.insert(element, limits);
                }
                None if packable(ints, element, limits) => {
                    let mut pack = Listpack::new();
                    for member in ints.elements() {
                        pack.push_back(member);
                    }
                    pack.push_back(element);
                    *self = Set::Packed(pack);
                }
                None => self.enlarge(0, limits).insert_new(element),
            },
            Set::Packed(pack) => {
                let len = element.text_len();
                if pack.len() < limits.set_entries && len <= limits.set_value && pack.would_fit(len) {
                    pack.push_back(element);
                } else {
                    self.enlarge(0, limits).insert_new(element);
                }
            }
        }
    }

    /// Removes a member; false if it was not there. A large set stays large.
    #[inline]
    pub fn remove(&mut self, element: Element<'_>) -> bool {
        match self {
            Set::Ints(ints) => element.as_int().is_some_and(|value| ints.remove(value)),
            Set::Packed(pack) => match pack.find(element, 0) {
                Some(at) => {
                    pack.delete(at);
                    true
                }
                None => false,
            },
            Set::Table(table) => table.remove(element),
        }
    }

    /// Shows `f` every member until it breaks off.
    pub fn walk(&self, mut f: impl FnMut(Element<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        match self {
            Set::Ints(ints) => ints.elements().try_for_each(f),
            Set::Packed(pack) => pack.iter().try_for_each(f),
            Set::Table(table) => table.0.iter().try_for_each(|member| f(Element::Str(member.bytes()))),
        }
    }

    /// Shows `f` every member.
    pub fn each(&self, mut f: impl FnMut(Element<'_>)) {
        let _ = self.walk(|element| {
            f(element);
            ControlFlow::Continue(())
        });
    }

    /// The members, if they are kept in a row.
    pub fn packed(&self) -> Option<&Listpack> {
        match self {
            Set::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    /// Turns a small set into a large one with room for `expected` members, or one more than it has.
    #[cold]
    fn enlarge(&mut self, expected: usize, limits: &Limits) -> &mut MemberTable {
        if !matches!(self, Set::Table(_)) {
            let mut table = MemberTable::with_capacity(expected.max(self.len() + 1), limits);
            self.each(|element| table.insert_new(element));
            *self = Set::Table(Big::new(table));
        }
        match self {
            Set::Table(table) => table,
            _ => unreachable!("made a table above"),
        }
    }
}

/// Most members of an intset; the configuration cannot raise it above what the structure takes.
fn intset_max(limits: &Limits) -> usize {
    limits.set_intset.min(intset::LEN_LIMIT - 1)
}

/// Whether integers together with a text still make a listpack. The longest of them is the smallest or the largest.
fn packable(ints: &Intset, text: Element<'_>, limits: &Limits) -> bool {
    let ends = || ints.min().into_iter().chain(ints.max()).map(Element::Int);
    let bytes_each = ends().map(encoded_size).max().unwrap_or(0);
    ints.len() < limits.set_entries
        && text.text_len() <= limits.set_value
        && ends().all(|end| end.text_len() <= limits.set_value)
        && bytes_each.saturating_mul(ints.len()).saturating_add(text.text_len()) <= SAFETY_LIMIT
}

impl FromValue<Object> for Set {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::INTSET, bytes) => Ok(Set::Ints(Intset::from_thin(bytes))),
            Value::Thin(thin::SET, bytes) => Ok(Set::Packed(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(Set::Table).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for Set {
    const TYPE: ValueType = ValueType::Set;

    fn empty(_: &Limits) -> Self {
        Set::Ints(Intset::new())
    }

    fn is_empty(&self) -> bool {
        Set::is_empty(self)
    }

    fn into_value(self) -> Value<Object> {
        match self {
            Set::Ints(ints) => Value::Thin(thin::INTSET, ints.into_thin()),
            Set::Packed(pack) => Value::Thin(thin::SET, pack.into_thin()),
            Set::Table(table) => table.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            Set::Ints(ints) => Set::Ints(ints.clone()),
            Set::Packed(pack) => Set::Packed(pack.clone()),
            Set::Table(table) => Set::Table(Big::new(table.duplicate())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            Set::Ints(_) => "intset",
            Set::Packed(_) => "listpack",
            Set::Table(_) => "hashtable",
        }
    }

    fn memory_bytes(&self, samples: usize) -> usize {
        match self {
            Set::Ints(ints) => ints.memory_bytes(),
            Set::Packed(pack) => pack.memory_bytes(),
            Set::Table(table) => table.memory_bytes(samples),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Set::Table(table) => table.0.len(),
            _ => 1,
        }
    }
}

impl MemberTable {
    /// An empty table with room for `members`.
    fn with_capacity(members: usize, limits: &Limits) -> MemberTable {
        MemberTable(Table::with_capacity(limits.hash_seed, members))
    }

    /// The members, for a cut of them.
    pub fn cut(&mut self) -> CutOf<'_, Text> {
        CutOf::new(&mut self.0)
    }

    /// A member is about to go: a cut that has yet to see it keeps a copy.
    #[inline]
    fn before_change(&mut self, hash: u64, member: &[u8]) {
        if self.0.is_cut() {
            self.0.keep(hash, member);
        }
    }

    /// See [`Set::prefetch`].
    fn prefetch<'k>(&self, members: impl Iterator<Item = &'k [u8]>) {
        if self.0.len() < PREFETCH_MIN_ELEMENTS {
            return;
        }
        let mut hashes = [0; PREFETCH_MAX];
        let mut n = 0;
        for member in members.take(PREFETCH_MAX) {
            hashes[n] = self.0.hash(member);
            self.0.prefetch_bucket(hashes[n]);
            n += 1;
        }
        for &hash in &hashes[..n] {
            self.0.prefetch_items(hash);
        }
    }

    /// Whether `element` is a member.
    #[inline]
    pub fn contains(&self, element: Element<'_>) -> bool {
        element.with_text(|text| self.0.get(self.0.hash(text), text).is_some())
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn insert(&mut self, element: Element<'_>) -> bool {
        element.with_text(|text| match self.0.slot(self.0.hash(text), text) {
            Slot::Occupied(_) => false,
            Slot::Vacant(place) => {
                place.insert(Text::new(text));
                true
            }
        })
    }

    /// Adds a member that is known to be missing.
    pub fn insert_new(&mut self, element: Element<'_>) {
        element.with_text(|text| self.0.insert_unique(self.0.hash(text), Text::new(text)));
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, element: Element<'_>) -> bool {
        element.with_text(|text| {
            let hash = self.0.hash(text);
            self.before_change(hash, text);
            self.0.remove(hash, text).is_some()
        })
    }

    /// A copy of its own.
    pub fn duplicate(&self) -> MemberTable {
        let mut copy = self.0.like();
        copy.reserve(self.0.len());
        for member in self.0.iter() {
            let member = Text::new(member.bytes());
            copy.insert_unique(copy.hash(member.bytes()), member);
        }
        MemberTable(copy)
    }

    /// Bytes of memory; `samples` members are measured, 0 means all.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let samples = if samples == 0 { self.0.len() } else { samples.min(self.0.len()) };
        let measured: usize = self.0.iter().take(samples).map(|member| member.memory_bytes()).sum();
        let all = (measured as u128 * self.0.len() as u128).checked_div(samples as u128).unwrap_or(0) as usize;
        size_of::<Object>() + self.0.memory_bytes() + all
    }
}
