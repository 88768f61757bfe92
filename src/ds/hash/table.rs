//! The fields of a large hash: a table, and beside it the deadlines in their order.
//!
//! The order holds the hash of a field's name in place of the name: the bucket to which the hash leads is where the field
//! is. That is 16 bytes for a field with a deadline and nothing for one without.

use super::{Deadline, Found, is_past};
use crate::ds::object::Object;
use crate::ds::parts::element::Element;
use crate::raw::field::Field;
use crate::raw::relocate::{Relocate, Tally};
use crate::raw::table::{CutOf, Ref, Slot, Table};
use std::collections::BTreeSet;

/// The fields of a large hash.
pub struct FieldTable {
    table: Table<Field>,
    /// Deadline and hash of the name. Two fields of the same hash and deadline would share a place, and one of them might stay
    /// past its deadline until it is looked at; with 64 bits of hash that is not worth a list.
    deadlines: BTreeSet<(i64, u64)>,
}

impl FieldTable {
    /// No fields, with room for some. `seed` keys the hash function.
    pub fn with_capacity(seed: u64, fields: usize) -> Self {
        FieldTable { table: Table::with_capacity(seed, fields), deadlines: BTreeSet::new() }
    }

    /// The fields themselves, for walking through them.
    pub fn table(&self) -> &Table<Field> {
        &self.table
    }

    /// Moves fields out of sparse pages, see `Object::relocate_some`.
    pub fn relocate(&mut self, cursor: &mut usize, buckets: usize, tally: &mut Tally) -> bool {
        self.table.relocate(cursor, buckets, &mut |field| field.relocate(tally))
    }

    /// The fields, for a cut of them.
    pub fn cut(&mut self) -> CutOf<'_, Field> {
        CutOf::new(&mut self.table)
    }

    /// A field is about to change or go: a cut that has yet to see it keeps a copy.
    #[inline]
    fn before_change(&mut self, hash: u64, name: &[u8]) {
        if self.table.is_cut() {
            self.table.keep(hash, name);
        }
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True if there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of fields past their deadline at `now`.
    pub fn past_len(&self, now: i64) -> usize {
        self.deadlines.range(..(now, 0)).count()
    }

    /// The nearest deadline of a field.
    pub fn nearest_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Calls `f` with what the field holds, or with none.
    #[inline]
    pub fn find<R>(&self, name: &[u8], f: impl FnOnce(Option<Found<'_>>) -> R) -> R {
        match self.table.get(self.table.hash(name), name) {
            Some(field) => f(Some(found(&field))),
            None => f(None),
        }
    }

    /// Adds a field that is known to be new.
    pub fn add(&mut self, name: &[u8], value: &[u8], deadline: Option<i64>) {
        let hash = self.table.hash(name);
        self.table.insert_unique(hash, Field::new(name, value, deadline));
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, hash));
        }
    }

    /// Sets a field; true if it is new.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], deadline: Deadline) -> bool {
        let hash = self.table.hash(name);
        self.before_change(hash, name);
        match self.table.slot(hash, name) {
            Slot::Vacant(place) => {
                place.insert(Field::new(name, value, None));
                true
            }
            Slot::Occupied(mut place) => {
                let (old, done) = place.with_mut(|field| {
                    let old = field.deadline();
                    let stays = old.is_none() || deadline == Deadline::Keep;
                    (old, stays && field.overwrite(value))
                });
                if !done {
                    let kept = old.filter(|_| deadline == Deadline::Keep);
                    place.replace(Field::new(name, value, kept));
                    if let (Some(old), None) = (old, kept) {
                        self.deadlines.remove(&(old, hash));
                    }
                }
                false
            }
        }
    }

    /// Gives a field a deadline or takes it away; false if there is no such field.
    pub fn set_deadline(&mut self, name: &[u8], deadline: Option<i64>) -> bool {
        let hash = self.table.hash(name);
        self.before_change(hash, name);
        let Slot::Occupied(mut place) = self.table.slot(hash, name) else { return false };
        let old = place.get().deadline();
        if old == deadline {
            return true;
        }
        place.update(|field| (Field::new(field.name(), field.value(), deadline), ()));
        if let Some(old) = old {
            self.deadlines.remove(&(old, hash));
        }
        if let Some(new) = deadline {
            self.deadlines.insert((new, hash));
        }
        true
    }

    /// Removes a field; false if there is none.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let hash = self.table.hash(name);
        self.before_change(hash, name);
        let Some(field) = self.table.remove(hash, name) else { return false };
        if let Some(deadline) = field.deadline() {
            self.deadlines.remove(&(deadline, hash));
        }
        true
    }

    /// Removes up to `max` fields that are past their deadline at `now`, and calls `f` with the name of each.
    pub fn remove_past(&mut self, now: i64, max: usize, f: &mut dyn FnMut(&[u8])) -> usize {
        let mut removed = 0;
        while removed < max
            && let Some((deadline, hash)) = self.deadlines.first().copied()
            && is_past(Some(deadline), now)
        {
            self.deadlines.pop_first();
            let mut names: Vec<Box<[u8]>> = Vec::new();
            self.table.bucket_items(self.table.bucket_of(hash), &mut |field| {
                if field.deadline() == Some(deadline) && self.table.hash(field.name()) == hash {
                    names.push(field.name().into());
                }
            });
            for name in names {
                self.before_change(hash, &name);
                self.table.remove(hash, &name);
                f(&name);
                removed += 1;
            }
        }
        removed
    }

    /// Calls `f` with every field.
    pub fn for_each(&self, f: &mut dyn FnMut(Element<'_>, Found<'_>)) {
        for field in self.table.iter() {
            f(Element::Str(field.name()), found(&field));
        }
    }

    /// One step of a scan, see `Table::scan`.
    pub fn scan(&self, cursor: u64, f: &mut dyn FnMut(Element<'_>, Found<'_>)) -> u64 {
        self.table.scan(cursor, &mut |field| f(Element::Str(field.name()), found(field)))
    }

    /// A field picked at random.
    pub fn random(&self, mut rng: impl FnMut() -> u64) -> Option<Ref<'_, Field>> {
        self.table.random(&mut rng)
    }

    /// A copy of its own.
    pub fn duplicate(&self) -> FieldTable {
        let mut copy = self.table.like();
        copy.reserve(self.table.len());
        for field in self.table.iter() {
            let field = Field::new(field.name(), field.value(), field.deadline());
            copy.insert_unique(copy.hash(field.name()), field);
        }
        FieldTable { table: copy, deadlines: self.deadlines.clone() }
    }

    /// Bytes of memory; `samples` fields are measured, 0 means all.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        /// A place in the order, with its share of a tree whose nodes are about three quarters full.
        const DEADLINE_BYTES: usize = 24;
        let samples = if samples == 0 { self.table.len() } else { samples.min(self.table.len()) };
        let measured: usize = self.table.iter().take(samples).map(|field| field.memory_bytes()).sum();
        let all = (measured as u128 * self.table.len() as u128).checked_div(samples as u128).unwrap_or(0) as usize;
        size_of::<Object>() + self.table.memory_bytes() + all + self.deadlines.len() * DEADLINE_BYTES
    }
}

fn found(field: &Field) -> Found<'_> {
    Found { value: Element::Str(field.value()), deadline: field.deadline() }
}
