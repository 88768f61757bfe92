//! Fields of hashes that have a deadline of their own: which hashes have such fields, and how the fields go away.
//!
//! A database keeps its hashes with such fields in the order of their nearest deadline. What is kept is exact: a hash is
//! listed under its nearest deadline for as long as it has one, whatever happens to its key. So the sweep never looks at a
//! hash in vain, and the number of entries is what INFO calls `subexpiry`.

use super::db::{Keyspace, discard};
use super::effects::Event;
use super::handle::Handle;
use super::value::{Entry, EntryPayload, boxed, thin};
use crate::ds::hash::{Hash, is_past};
use crate::ds::object::Typed;
use crate::raw::entry::FromValue;
use crate::raw::table::Slot;
use crate::resp::request::OwnedRequest;
use crate::types::{DbIndex, UnixMillis};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The hashes of a database that have fields with a deadline, by their nearest one.
#[derive(Default)]
pub struct FieldDeadlines(BTreeSet<(UnixMillis, Box<[u8]>)>);

impl FieldDeadlines {
    /// Number of hashes that have fields with a deadline.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no hash has a field with a deadline.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything: the keys are gone.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// An entry came into the database.
    #[inline]
    pub(super) fn arrived(&mut self, entry: &Entry) {
        if let Some(deadline) = nearest(entry) {
            self.0.insert((deadline, entry.key().into()));
        }
    }

    /// An entry left the database, or its value is about to be replaced.
    #[inline]
    pub(super) fn left(&mut self, entry: &Entry) {
        if !self.0.is_empty()
            && let Some(deadline) = nearest(entry)
        {
            self.0.remove(&(deadline, entry.key().into()));
        }
    }

    /// The nearest deadline in the value of a key changed.
    #[inline]
    pub(super) fn moved(&mut self, key: &[u8], before: Option<UnixMillis>, after: Option<UnixMillis>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.0.remove(&(before, key.into()));
        }
        if let Some(after) = after {
            self.0.insert((after, key.into()));
        }
    }

    /// The key of the hash with the nearest deadline, if that is over.
    fn due(&self, now: UnixMillis) -> Option<&(UnixMillis, Box<[u8]>)> {
        self.0.first().filter(|(deadline, _)| is_past(Some(*deadline), now))
    }
}

/// The nearest deadline of a field in this entry.
#[inline]
fn nearest(entry: &Entry) -> Option<UnixMillis> {
    match entry.payload() {
        EntryPayload::Thin(thin::HASH_WITH_TTLS, _) | EntryPayload::Boxed(boxed::HASH, _) => {
            entry.lend::<Hash>().and_then(|hash| hash.nearest_deadline())
        }
        _ => None,
    }
}

impl Handle<'_> {
    /// Removes those of the named fields that are past their deadline. Returns how many there were.
    pub fn expire_named<'n>(self, names: impl Iterator<Item = &'n [u8]>) -> usize {
        self.expire_fields(|hash, now, gone| {
            for name in names {
                if hash.has_past(name, now) && hash.remove(name) {
                    gone(name);
                }
            }
        })
    }

    /// Removes fields that are past their deadline, `max` at the most. Returns how many there were.
    pub fn expire_past(self, max: usize) -> usize {
        self.expire_fields(|hash, now, gone| {
            hash.remove_past(now, max, gone);
        })
    }

    /// Lets `remove` remove fields that are past their deadline, which calls its last argument with the name of each. They go
    /// away by themselves: nothing is counted as a change of the command that came by. Does nothing to other types.
    fn expire_fields(self, remove: impl FnOnce(&mut Hash, UnixMillis, &mut dyn FnMut(&[u8]))) -> usize {
        // The primary tells when they go.
        if self.env.follows {
            return 0;
        }
        let Slot::Occupied(mut found) = self.slot else { return 0 };
        let (env, meta, key) = (self.env, self.meta, self.key);
        let now = env.expiry_now();
        let outcome = found.update(|mut entry| {
            let outcome = entry.map_value(|value| match Hash::from_value(value) {
                Ok(mut hash) => {
                    let before = hash.nearest_deadline();
                    let mut removed = 0;
                    remove(&mut hash, now, &mut |name| {
                        env.effects.propagate_before(meta.index, || OwnedRequest::build([&b"HDEL"[..], key, name]));
                        removed += 1;
                    });
                    let outcome = Some((removed, before, hash.nearest_deadline(), Typed::is_empty(&hash)));
                    (hash.into_value(), outcome)
                }
                Err(other) => (other, None::<(usize, Option<UnixMillis>, Option<UnixMillis>, bool)>),
            });
            (entry, outcome)
        });
        let Some((removed, before, after, empty)) = outcome else { return 0 };
        if removed == 0 {
            return 0;
        }
        meta.fields.moved(key, before, after);
        env.stats.expired_fields += removed as u64;
        env.effects.changed_itself(meta.index, key, Event::HEXPIRED, !empty);
        if empty {
            let entry = found.remove();
            meta.entry_left(&entry);
            let lazily = env.settings.lazyfree_expire;
            discard(env, entry, lazily);
            env.effects.went_away(meta.index, key, Event::DEL);
        }
        removed
    }
}

/// Fields removed from one hash between two looks at the clock.
const FIELDS_PER_STEP: usize = 64;

impl Keyspace {
    /// Removes fields past their deadline from the hashes of a database, those with the nearest first, for at most about
    /// `budget` from `start` on. Returns how many fields there were, and whether none is left.
    pub(super) fn sweep_fields(&mut self, index: DbIndex, start: Instant, budget: Duration) -> (usize, bool) {
        let mut removed = 0;
        let now = self.env.now();
        while let Some((deadline, key)) = self.db(index).meta.fields.due(now).cloned() {
            removed += self.entry(index, &key).expire_past(FIELDS_PER_STEP);
            let (db, _) = self.db_mut(index);
            let stuck = db.meta.fields.due(now).is_some_and(|next| next.0 == deadline && next.1 == key);
            if stuck && self.peek(index, &key).is_none_or(|entry| nearest(&entry) != Some(deadline)) {
                // Not to be: the list is exact. But a sweep that goes round in circles would be worse than a lost entry.
                debug_assert!(false, "a hash is listed under a deadline that it does not have");
                self.db_mut(index).0.meta.fields.moved(&key, Some(deadline), None);
            }
            if start.elapsed() >= budget {
                return (removed, false);
            }
        }
        (removed, true)
    }
}
