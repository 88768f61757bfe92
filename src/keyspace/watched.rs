//! The keys that clients watch (WATCH), known where keys change, so that a change, a flush and an exchange of databases can
//! tell exactly which of them they touched. While nobody watches a change costs one look at an empty map.

use super::db::{Db, Keyspace};
use crate::types::DbIndex;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// One client's watch, shared between the client and the keys that it watches.
#[derive(Default)]
pub struct Watcher {
    touched: Cell<bool>,
}

impl Watcher {
    /// True if a watched key changed.
    pub fn is_touched(&self) -> bool {
        self.touched.get()
    }
}

/// A watcher of a key.
struct Watching {
    watcher: Rc<Watcher>,
    /// The key was past its deadline when the watch began: its removal changes nothing for the client.
    stale: bool,
}

/// Who watches what.
#[derive(Default)]
pub struct Watched {
    /// Number of clients that watch a key.
    pub clients: usize,
    /// By database, so that a key can be looked up without a copy of it.
    by_db: HashMap<DbIndex, HashMap<Box<[u8]>, Vec<Watching>>>,
}

impl Watched {
    /// True if nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_db.is_empty()
    }

    /// Number of different keys watched.
    pub fn keys(&self) -> usize {
        self.by_db.values().map(HashMap::len).sum()
    }

    /// A key changed; `present` tells whether it exists now.
    #[cold]
    pub fn touch(&mut self, db: DbIndex, key: &[u8], present: bool) {
        let Some(all) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(key)) else { return };
        for watching in all {
            if watching.stale && !present {
                watching.stale = false;
            } else {
                watching.watcher.touched.set(true);
            }
        }
    }

    /// Touches every watched key of a database that `table` holds: the database is about to lose all of them.
    pub(super) fn touch_all_of(&mut self, db: &Db) {
        let Some(keys) = self.by_db.get(&db.meta.index) else { return };
        let held: Vec<Box<[u8]>> = keys.keys().filter(|key| deadline_of(db, key).is_some()).cloned().collect();
        held.iter().for_each(|key| self.touch(db.meta.index, key, false));
    }

    /// Touches the watched keys of a database that differ between its contents `before` and those it has `now`.
    pub(super) fn touch_exchanged(&mut self, before: &Db, now: &Db, millis: i64) {
        let Some(keys) = self.by_db.get_mut(&now.meta.index) else { return };
        for (key, all) in keys {
            let (was, is) = (deadline_of(before, key), deadline_of(now, key));
            if was.is_none() && is.is_none() {
                continue;
            }
            let is_stale = is.is_some_and(|deadline| deadline.is_some_and(|at| millis > at));
            for watching in all {
                match (watching.stale, is) {
                    (true, None) => watching.stale = false,
                    (true, Some(_)) if is_stale => {}
                    (false, Some(_)) if is_stale && was.is_none() => watching.stale = true,
                    _ => watching.watcher.touched.set(true),
                }
            }
        }
    }
}

/// The deadline of a key, if the key is held, stale or not.
fn deadline_of(db: &Db, key: &[u8]) -> Option<Option<i64>> {
    db.table.get(db.table.hash(key), key).map(|entry| entry.deadline())
}

impl Keyspace {
    /// Begins to watch a key. False if this watcher does already.
    pub fn watch(&mut self, db: DbIndex, key: &[u8], watcher: &Rc<Watcher>) -> bool {
        let stale = self.is_stale(db, key);
        let all = self.env.effects.watched.by_db.entry(db).or_default().entry(key.into()).or_default();
        if all.iter().any(|known| Rc::ptr_eq(&known.watcher, watcher)) {
            return false;
        }
        all.push(Watching { watcher: watcher.clone(), stale });
        true
    }

    /// Ends a watch of a key.
    pub fn unwatch(&mut self, db: DbIndex, key: &[u8], watcher: &Rc<Watcher>) {
        let watched = &mut self.env.effects.watched;
        let Some(keys) = watched.by_db.get_mut(&db) else { return };
        if let Some(all) = keys.get_mut(key) {
            all.retain(|known| !Rc::ptr_eq(&known.watcher, watcher));
            if all.is_empty() {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            watched.by_db.remove(&db);
        }
    }

    /// True if a watched key has passed its deadline since the watch began.
    pub fn expired_since(&self, db: DbIndex, key: &[u8], watcher: &Rc<Watcher>) -> bool {
        let all = self.env.effects.watched.by_db.get(&db).and_then(|keys| keys.get(key));
        let mine = all.and_then(|all| all.iter().find(|known| Rc::ptr_eq(&known.watcher, watcher)));
        mine.is_some_and(|mine| !mine.stale) && self.is_stale(db, key)
    }

    /// True if a key is held past its deadline.
    fn is_stale(&self, db: DbIndex, key: &[u8]) -> bool {
        deadline_of(self.db(db), key).flatten().is_some_and(|at| self.env.now() > at)
    }
}
