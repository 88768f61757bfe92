//! Consumer groups: who was given which entry and has yet to acknowledge it.
//!
//! A pending entry is kept once in the group, with its owner's number, and as a bare id with its owner.

use std::collections::{BTreeMap, BTreeSet};

use super::StreamId;

/// A consumer's number within its group. Numbers of deleted consumers are used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerId(u32);

/// A delivered entry that was not acknowledged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Nack {
    /// When it was last delivered, in Unix milliseconds.
    pub delivered_at: i64,
    /// How often.
    pub deliveries: u64,
    pub consumer: ConsumerId,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub name: Box<[u8]>,
    /// Its last attempt to do something, in Unix milliseconds.
    pub seen_at: i64,
    /// Its last success at it; `None` if there was none yet.
    pub active_at: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Its pending entries in order.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last entry delivered; new ones come after it.
    pub last_id: StreamId,
    /// Entries of the stream up to `last_id`, counted from its first ever; `None` if that cannot be told.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Nack>,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
}

impl Group {
    /// A group that will be given what comes after `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group { last_id, entries_read, pending: BTreeMap::new(), names: BTreeMap::new(), consumers: Vec::new() }
    }

    /// The pending entries in order of id.
    pub fn pending(&self) -> &BTreeMap<StreamId, Nack> {
        &self.pending
    }

    /// A pending entry, to change its time and count.
    pub fn nack_mut(&mut self, id: StreamId) -> Option<(&mut i64, &mut u64)> {
        let nack = self.pending.get_mut(&id)?;
        Some((&mut nack.delivered_at, &mut nack.deliveries))
    }

    /// The consumers in order of name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|&id| (id, self.consumer(id)))
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.names.len()
    }

    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// # Panics
    /// If the consumer was deleted.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect("a consumer of this group")
    }

    /// # Panics
    /// If the consumer was deleted.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect("a consumer of this group")
    }

    /// Creates a consumer, seen now. `None` if the name is taken.
    pub fn create(&mut self, name: &[u8], now: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let fresh = Consumer { name: name.into(), seen_at: now, active_at: None, pending: BTreeSet::new() };
        let slot = match self.consumers.iter().position(Option::is_none) {
            Some(slot) if self.names.len() < self.consumers.len() => slot,
            _ => {
                self.consumers.push(None);
                self.consumers.len() - 1
            }
        };
        let id = ConsumerId(u32::try_from(slot).ok()?);
        self.consumers[slot] = Some(fresh);
        self.names.insert(name.into(), id);
        Some(id)
    }

    /// Deletes a consumer with its pending entries and returns how many those were.
    pub fn delete(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers[id.0 as usize].take()?;
        for entry in &consumer.pending {
            self.pending.remove(entry);
        }
        Some(consumer.pending.len())
    }

    /// Makes an entry pending for a consumer, taking it from whoever had it.
    pub fn assign(&mut self, id: StreamId, nack: Nack) {
        if let Some(old) = self.pending.insert(id, nack) {
            if old.consumer == nack.consumer {
                return;
            }
            self.consumer_mut(old.consumer).pending.remove(&id);
        }
        self.consumer_mut(nack.consumer).pending.insert(id);
    }

    /// Acknowledges an entry (or drops it because it is gone). False if it was not pending.
    pub fn ack(&mut self, id: StreamId) -> bool {
        let Some(nack) = self.pending.remove(&id) else { return false };
        self.consumer_mut(nack.consumer).pending.remove(&id);
        true
    }
}
