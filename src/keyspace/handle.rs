//! A key being changed: its slot in the table together with everything that a change must account for.
//!
//! Every method that changes something takes the `Event` that names the change. Removing, creating and re-deadlining keep
//! the counters of volatile keys right. A `Handle` lives for one change; look the key up again for the next.

use super::db::{DbMeta, Env, discard, discard_value};
use super::effects::Event;
use super::value::{Entry, Str, Text, Typed, ValueType, WrongType, type_of};
use crate::raw::entry::{Lent, PayloadMut, Value};
use crate::raw::shared::SharedBytes;
use crate::raw::table::{Ref, Slot};
use crate::types::UnixMillis;

/// The place of one key.
pub struct Handle<'a> {
    pub(super) slot: Slot<'a, Entry>,
    pub(super) key: &'a [u8],
    pub(super) meta: &'a mut DbMeta,
    pub(super) env: &'a mut Env,
}

impl<'a> Handle<'a> {
    pub(super) fn new(slot: Slot<'a, Entry>, key: &'a [u8], meta: &'a mut DbMeta, env: &'a mut Env) -> Self {
        Handle { slot, key, meta, env }
    }

    /// True if the key exists.
    #[inline]
    pub fn exists(&self) -> bool {
        matches!(self.slot, Slot::Occupied(_))
    }

    /// The entry, if the key exists.
    pub fn get(&self) -> Option<Ref<'_, Entry>> {
        match &self.slot {
            Slot::Occupied(found) => Some(found.get()),
            Slot::Vacant(_) => None,
        }
    }

    /// The value's type, if the key exists.
    pub fn value_type(&self) -> Option<ValueType> {
        self.get().map(|entry| type_of(&entry))
    }

    /// The key's deadline.
    pub fn deadline(&self) -> Option<UnixMillis> {
        self.get().and_then(|entry| entry.deadline())
    }

    /// Refuses values of other types.
    pub fn expect(&self, wanted: ValueType) -> Result<(), WrongType> {
        match self.value_type() {
            Some(found) if found != wanted => Err(WrongType),
            _ => Ok(()),
        }
    }

    /// Calls `f` with the string value, or with none.
    #[inline]
    pub fn with_string<R>(&self, f: impl FnOnce(Option<Str<'_>>) -> R) -> Result<R, WrongType> {
        match &self.slot {
            Slot::Occupied(found) => {
                let entry = found.get();
                let text = Str::of(&entry)?;
                Ok(f(Some(text)))
            }
            Slot::Vacant(_) => Ok(f(None)),
        }
    }

    /// SET: a string whatever was there, with this deadline or none. Numbers are stored as numbers.
    #[inline]
    pub fn set(self, bytes: &[u8], deadline: Option<UnixMillis>, event: Event) {
        self.store(bytes, crate::resp::number::parse_i64(bytes), true, deadline, event);
    }

    /// A string whatever was there, without deadline and never stored as a number: bytes that a command computed.
    pub fn set_computed(self, bytes: &[u8], event: Event) {
        self.store(bytes, None, false, None, event);
    }

    #[inline]
    fn store(self, bytes: &[u8], number: Option<i64>, plain: bool, deadline: Option<UnixMillis>, event: Event) {
        match self.slot {
            Slot::Occupied(mut found) => {
                let clock = self.env.used_clock(found.get().clock());
                let was_volatile = found.get().deadline().is_some();
                self.meta.fields.left(&found.get());
                found.update(|mut entry| {
                    discard_value(self.env, &mut entry);
                    let entry = if was_volatile || deadline.is_some() { entry.set_deadline(deadline) } else { entry };
                    let mut entry = match number {
                        Some(n) => entry.set_value(Value::Int(n)),
                        None => entry.set_string(bytes, plain),
                    };
                    entry.set_clock(clock);
                    (entry, ())
                });
                self.meta.volatile += deadline.is_some() as usize;
                self.meta.volatile -= was_volatile as usize;
            }
            Slot::Vacant(place) => {
                let mut entry = match number {
                    Some(n) => Entry::with_value(self.key, deadline, Value::Int(n)),
                    None => Entry::with_string(self.key, deadline, bytes, plain),
                };
                entry.set_clock(self.env.fresh_clock());
                place.insert(entry);
                self.meta.key_arrived(self.key);
                self.meta.volatile += deadline.is_some() as usize;
                self.env.effects.noticed(self.meta.index, self.key, Event::NEW);
            }
        }
        if deadline.is_some() {
            self.env.deadline_given(self.meta.index, self.key);
        }
        self.env.effects.modified(self.meta.index, self.key, event, true);
    }

    /// Makes the value a string, keeping the deadline. `edited` strings are never called embstr.
    pub fn put_string(self, bytes: &[u8], edited: bool, event: Event) {
        self.put_with(event, |entry| entry.set_string(bytes, !edited), |key| Entry::with_string(key, None, bytes, !edited));
    }

    /// Makes the value a string as SET stores it (numbers as numbers), keeping the deadline.
    pub fn put_text(self, bytes: &[u8], event: Event) {
        match crate::resp::number::parse_i64(bytes) {
            Some(n) => self.put_int(n, event),
            None => self.put_string(bytes, false, event),
        }
    }

    /// Makes the value an integer, keeping the deadline.
    #[inline]
    pub fn put_int(mut self, n: i64, event: Event) {
        if let Slot::Occupied(found) = &mut self.slot {
            let clock = self.env.used_clock(found.get().clock());
            let done = found.with_mut(|entry| match entry.payload_mut() {
                PayloadMut::Int(stored) => {
                    *stored = n;
                    entry.set_clock(clock);
                    true
                }
                _ => false,
            });
            if done {
                return self.env.effects.modified(self.meta.index, self.key, event, true);
            }
        }
        self.put_value(Value::Int(n), event);
    }

    /// Makes the value this one, keeping the deadline.
    pub fn put_value(self, value: Value<super::Object>, event: Event) {
        let value = std::cell::Cell::new(Some(value));
        let take = || value.take().unwrap_or(Value::Int(0));
        self.put_with(event, |entry| entry.set_value(take()), |key| Entry::with_value(key, None, take()));
    }

    /// Makes the value a string of exactly `len` bytes, the old text zero-extended or cut, and lets `f` write into it.
    /// Callers have checked the type and bounded `len`.
    pub fn edit_string(self, len: usize, f: impl FnOnce(&mut [u8]), event: Event) {
        let always = |bytes: &mut [u8]| {
            f(bytes);
            1
        };
        self.try_edit(len, always, event);
    }

    /// As `edit_string`, for edits that may turn out to change nothing: `f` tells how many changes it made. With none the
    /// string stays as it was and nothing is recorded. `len` is at least the old length then.
    pub fn try_edit(mut self, len: usize, f: impl FnOnce(&mut [u8]) -> u64, event: Event) -> u64 {
        let mut f = Some(f);
        let mut run = |bytes: &mut [u8]| f.take().map_or(0, |f| f(bytes));
        if let Slot::Occupied(found) = &mut self.slot {
            let clock = self.env.used_clock(found.get().clock());
            let done = found.with_mut(|entry| {
                let changes = match entry.payload_mut() {
                    PayloadMut::Inline(bytes) if bytes.len() == len => run(bytes),
                    PayloadMut::Shared(buffer) => {
                        let old = buffer.len();
                        if old != len {
                            buffer.resize(len);
                        }
                        let changes = run(buffer.make_mut());
                        if changes == 0 && old != len {
                            buffer.resize(old);
                        }
                        changes
                    }
                    _ => return None,
                };
                if changes > 0 {
                    entry.mark_edited();
                    entry.set_clock(clock);
                }
                Some(changes)
            });
            if let Some(changes) = done {
                if changes > 0 {
                    self.env.effects.modified(self.meta.index, self.key, event, true);
                    self.env.effects.more(changes - 1);
                }
                return changes;
            }
        }
        let old = self.with_string(|old| old.map(|s| s.to_vec())).ok().flatten().unwrap_or_default();
        let value;
        let changes;
        if len <= crate::raw::entry::INLINE_TOTAL_MAX {
            let mut bytes = old;
            bytes.resize(len, 0);
            changes = run(&mut bytes);
            value = Text::Own(bytes);
        } else {
            let mut buffer = SharedBytes::with_capacity(len);
            buffer.extend(&old);
            buffer.resize(len);
            changes = run(buffer.make_mut());
            value = Text::Shared(buffer);
        }
        if changes > 0 {
            self.env.effects.more(changes - 1);
            match value {
                Text::Own(bytes) => self.put_string(&bytes, true, event),
                Text::Shared(buffer) => self.put_value(Value::Shared(buffer), event),
            }
        }
        changes
    }

    /// Appends to the string; a missing key begins as SET would store it. Returns the new length.
    pub fn append(mut self, bytes: &[u8], event: Event) -> usize {
        if let Slot::Occupied(found) = &mut self.slot {
            let clock = self.env.used_clock(found.get().clock());
            let done = found.with_mut(|entry| match entry.payload_mut() {
                PayloadMut::Shared(buffer) => {
                    buffer.extend(bytes);
                    let len = buffer.len();
                    entry.set_clock(clock);
                    Some(len)
                }
                _ => None,
            });
            if let Some(len) = done {
                self.env.effects.modified(self.meta.index, self.key, event, true);
                return len;
            }
        }
        match self.with_string(|old| old.map(|s| s.to_vec())).ok().flatten() {
            Some(mut old) => {
                let at = old.len();
                let len = at + bytes.len();
                if len <= crate::raw::entry::INLINE_TOTAL_MAX {
                    old.extend_from_slice(bytes);
                    self.put_string(&old, true, event);
                } else {
                    self.edit_string(len, |text| text[at..].copy_from_slice(bytes), event);
                }
                len
            }
            None => {
                self.put_text(bytes, event);
                bytes.len()
            }
        }
    }

    /// The collection, for reading. `None` if the key is missing.
    #[inline]
    pub fn value<T: Typed>(&self) -> Result<Option<Lent<'_, T>>, WrongType> {
        match &self.slot {
            Slot::Vacant(_) => Ok(None),
            Slot::Occupied(found) => found.get().into_lent::<T>().ok_or(WrongType).map(Some),
        }
    }

    /// Lets `f` change the collection; a missing key begins as an empty one. `f` says by an `Event` whether and how the value
    /// changed; further changes of the same command are counted with `env.effects.more`. A collection left empty is removed,
    /// with the event `del`.
    #[inline]
    pub fn edit<T: Typed, R>(self, f: impl FnOnce(&mut T, &mut Env) -> (R, Option<Event>)) -> Result<R, WrongType> {
        if !self.exists() {
            let mut value = T::empty(&self.env.settings.limits);
            let (result, event) = f(&mut value, self.env);
            if let Some(event) = event
                && (!value.is_empty() || T::TYPE == ValueType::Stream)
            {
                self.put_value(value.into_value(), event);
            }
            return Ok(result);
        }
        self.edit_existing(f).map(|result| result.unwrap_or_else(|| unreachable!("the key exists")))
    }

    /// As `edit`, but a missing key stays missing: `None`.
    #[inline]
    pub fn edit_existing<T: Typed, R>(
        self,
        f: impl FnOnce(&mut T, &mut Env) -> (R, Option<Event>),
    ) -> Result<Option<R>, WrongType> {
        let Slot::Occupied(mut found) = self.slot else { return Ok(None) };
        if type_of(&found.get()) != T::TYPE {
            return Err(WrongType);
        }
        let env = self.env;
        let meta = self.meta;
        let (result, event, empty) = found.update(|mut entry| {
            entry.set_clock(env.used_clock(entry.clock()));
            let outcome = entry.map_value(|value| match T::from_value(value) {
                Ok(mut value) => {
                    let nearest = value.nearest_deadline();
                    let (result, event) = f(&mut value, env);
                    meta.fields.moved(self.key, nearest, value.nearest_deadline());
                    let empty = value.is_empty() && T::TYPE != ValueType::Stream;
                    (value.into_value(), (result, event, empty))
                }
                Err(_) => unreachable!("the type was looked at above"),
            });
            (entry, outcome)
        });
        if let Some(event) = event {
            env.effects.modified(meta.index, self.key, event, !empty);
        }
        if empty {
            let entry = found.remove();
            meta.entry_left(&entry);
            let lazily = env.settings.lazyfree_server_del;
            discard(env, entry, lazily);
            env.effects.went_away(meta.index, self.key, Event::DEL);
        }
        Ok(Some(result))
    }

    /// Sets or clears the deadline of an existing key.
    pub fn set_deadline(self, deadline: Option<UnixMillis>, event: Event) {
        if let Slot::Occupied(mut found) = self.slot {
            let was = found.get().deadline().is_some();
            let clock = self.env.used_clock(found.get().clock());
            found.update(|entry| {
                let mut entry = entry.set_deadline(deadline);
                entry.set_clock(clock);
                (entry, ())
            });
            self.meta.volatile += deadline.is_some() as usize;
            self.meta.volatile -= was as usize;
            if deadline.is_some() {
                self.env.deadline_given(self.meta.index, self.key);
            }
            self.env.effects.modified(self.meta.index, self.key, event, true);
        }
    }

    /// Replaces the access clock of an existing key (RESTORE, loading). No effect is recorded: the value is the same.
    pub fn set_clock(&mut self, clock: u32) {
        if let Slot::Occupied(found) = &mut self.slot {
            found.with_mut(|entry| entry.set_clock(clock));
        }
    }

    /// Touches the access clock as a read does.
    pub fn touch(&mut self) {
        if let Slot::Occupied(found) = &mut self.slot {
            let clock = self.env.used_clock(found.get().clock());
            found.with_mut(|entry| entry.set_clock(clock));
        }
    }

    /// Takes the key out of the database. The caller frees or re-files the entry.
    pub fn take(self, event: Event) -> Option<Entry> {
        let Slot::Occupied(found) = self.slot else { return None };
        let entry = found.remove();
        self.meta.entry_left(&entry);
        self.meta.fields.left(&entry);
        self.env.effects.modified(self.meta.index, self.key, event, false);
        Some(entry)
    }

    /// Takes the key out as the first half of a larger change, which is to tell of it: nothing is recorded here.
    pub(super) fn detach(self) -> Option<Entry> {
        let Slot::Occupied(found) = self.slot else { return None };
        let entry = found.remove();
        self.meta.entry_left(&entry);
        self.meta.fields.left(&entry);
        Some(entry)
    }

    /// Puts a whole entry, whose key must be this key, in place of what was there. The old one is returned.
    pub fn put_entry(self, entry: Entry, event: Event) -> Option<Entry> {
        debug_assert_eq!(entry.key(), self.key);
        if let Some(cut) = &mut self.env.cut {
            cut.filed(self.meta.index, &entry);
        }
        self.meta.volatile += entry.deadline().is_some() as usize;
        if entry.deadline().is_some() {
            self.env.deadline_given(self.meta.index, self.key);
        }
        if let Slot::Occupied(found) = &self.slot {
            self.meta.fields.left(&found.get());
        }
        self.meta.fields.arrived(&entry);
        let old = match self.slot {
            Slot::Occupied(mut found) => {
                let old = found.replace(entry);
                self.meta.volatile -= old.deadline().is_some() as usize;
                Some(old)
            }
            Slot::Vacant(place) => {
                place.insert(entry);
                self.meta.key_arrived(self.key);
                self.env.effects.noticed(self.meta.index, self.key, Event::NEW);
                None
            }
        };
        self.env.effects.modified(self.meta.index, self.key, event, true);
        old
    }

    fn put_with(self, event: Event, change: impl FnOnce(Entry) -> Entry, make: impl FnOnce(&[u8]) -> Entry) {
        match self.slot {
            Slot::Occupied(mut found) => {
                let clock = self.env.used_clock(found.get().clock());
                self.meta.fields.left(&found.get());
                found.update(|mut entry| {
                    discard_value(self.env, &mut entry);
                    let mut entry = change(entry);
                    entry.set_clock(clock);
                    self.meta.fields.arrived(&entry);
                    (entry, ())
                });
            }
            Slot::Vacant(place) => {
                let mut entry = make(self.key);
                entry.set_clock(self.env.fresh_clock());
                self.meta.fields.arrived(&entry);
                place.insert(entry);
                self.meta.key_arrived(self.key);
                self.env.effects.noticed(self.meta.index, self.key, Event::NEW);
            }
        }
        self.env.effects.modified(self.meta.index, self.key, event, true);
    }
}

pub use super::value::duplicate;
