//! A client's watch over keys, from WATCH to EXEC: optimistic locking. The keyspace marks it when one of the keys changes.

use crate::keyspace::Keyspace;
use crate::keyspace::watched::Watcher;
use crate::types::DbIndex;
use std::rc::Rc;

/// The keys that a client watches.
#[derive(Default)]
pub struct Watch {
    watcher: Rc<Watcher>,
    keys: Vec<(DbIndex, Box<[u8]>)>,
}

impl Watch {
    /// Watches one more key.
    pub fn add(&mut self, keyspace: &mut Keyspace, db: DbIndex, key: &[u8]) {
        if keyspace.watch(db, key, &self.watcher) {
            keyspace.env.effects.watched.clients += self.keys.is_empty() as usize;
            self.keys.push((db, key.into()));
        }
    }

    /// Ends the watch.
    pub fn end(&mut self, keyspace: &mut Keyspace) {
        keyspace.env.effects.watched.clients -= !self.keys.is_empty() as usize;
        for (db, key) in self.keys.drain(..) {
            keyspace.unwatch(db, &key, &self.watcher);
        }
    }

    /// True if a key changed.
    pub fn is_touched(&self) -> bool {
        self.watcher.is_touched()
    }

    /// True if a key changed, or has passed its deadline though nobody came by to remove it.
    pub fn is_broken(&self, keyspace: &Keyspace) -> bool {
        self.is_touched() || self.keys.iter().any(|(db, key)| keyspace.expired_since(*db, key, &self.watcher))
    }

    /// Number of keys watched; none once one has changed, as the watch has served then.
    pub fn len(&self) -> usize {
        if self.is_touched() { 0 } else { self.keys.len() }
    }

    /// True if no key is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.keys.iter().map(|(_, key)| key.len() + size_of::<(DbIndex, Box<[u8]>)>()).sum()
    }
}
