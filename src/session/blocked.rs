//! Clients that wait for keys, in the order in which they began to wait.
//!
//! A blocking command tries first. If it finds nothing the engine parks the request and files its client here under the keys
//! that it named. When one of them changes, the same request runs again; if it still finds nothing the client keeps its
//! place. There is thus one code path for the first try and the wake-up.

use crate::types::{ClientId, DbIndex, UnixMillis};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// A key and its database.
pub type Key = (DbIndex, Box<[u8]>);

/// Who waits for what.
#[derive(Default)]
pub struct Blocked {
    by_key: HashMap<Key, VecDeque<ClientId>>,
    clients: HashMap<ClientId, Waiting>,
    deadlines: BTreeSet<(UnixMillis, ClientId)>,
    ready: VecDeque<Key>,
    is_ready: HashSet<Key>,
}

struct Waiting {
    db: DbIndex,
    keys: Vec<Box<[u8]>>,
    deadline: Option<UnixMillis>,
    or_gone: bool,
}

impl Blocked {
    /// Files a client behind those who wait already. A key named twice counts once.
    pub fn add(&mut self, client: ClientId, db: DbIndex, keys: Vec<Box<[u8]>>, deadline: Option<UnixMillis>) {
        let mut distinct: Vec<Box<[u8]>> = Vec::with_capacity(keys.len());
        for key in keys {
            let queue = self.by_key.entry((db, key.clone())).or_default();
            if queue.back() != Some(&client) {
                queue.push_back(client);
                distinct.push(key);
            }
        }
        if let Some(at) = deadline {
            self.deadlines.insert((at, client));
        }
        self.clients.insert(client, Waiting { db, keys: distinct, deadline, or_gone: false });
    }

    /// Notes that the wait of a client also ends when a key goes away. It does so anyway: this is for INFO.
    pub fn or_gone(&mut self, client: ClientId) {
        if let Some(waiting) = self.clients.get_mut(&client) {
            waiting.or_gone = true;
        }
    }

    /// Forgets a client: it was served, gave up or is gone. True if it was waiting.
    pub fn remove(&mut self, client: ClientId) -> bool {
        let Some(waiting) = self.clients.remove(&client) else { return false };
        if let Some(at) = waiting.deadline {
            self.deadlines.remove(&(at, client));
        }
        for key in waiting.keys {
            let place = (waiting.db, key);
            if let Some(queue) = self.by_key.get_mut(&place) {
                queue.retain(|c| *c != client);
                if queue.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        true
    }

    /// A key changed; if someone waits for it, it is ready to be looked at.
    pub fn key_changed(&mut self, db: DbIndex, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        let place = (db, Box::from(key));
        if self.by_key.contains_key(&place) && self.is_ready.insert(place.clone()) {
            self.ready.push_back(place);
        }
    }

    /// A database has other contents now (SWAPDB): everything waited for there is ready to be looked at.
    pub fn database_changed(&mut self, db: DbIndex) {
        let mut keys: Vec<Key> = self.by_key.keys().filter(|(at, _)| *at == db).cloned().collect();
        keys.sort();
        for place in keys {
            if self.is_ready.insert(place.clone()) {
                self.ready.push_back(place);
            }
        }
    }

    /// True if a key is ready.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next ready key, and its clients in order.
    pub fn next_ready(&mut self) -> Option<(Key, Vec<ClientId>)> {
        let place = self.ready.pop_front()?;
        self.is_ready.remove(&place);
        let clients = self.by_key.get(&place).map(|queue| queue.iter().copied().collect()).unwrap_or_default();
        Some((place, clients))
    }

    /// Clients whose time is over.
    pub fn expired(&self, now: UnixMillis) -> Vec<ClientId> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, client)| *client).collect()
    }

    /// The nearest deadline.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The keys that a client waits for.
    pub fn keys_of(&self, client: ClientId) -> impl Iterator<Item = &[u8]> {
        self.clients.get(&client).into_iter().flat_map(|waiting| waiting.keys.iter().map(|key| &**key))
    }

    /// The clients that wait.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// True if this client waits.
    pub fn contains(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// Number of waiting clients.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Number of waiting clients that give up at some time.
    pub fn timed(&self) -> usize {
        self.deadlines.len()
    }

    /// True if nobody waits.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Keys whose loss ends a wait.
    pub fn keys_or_gone(&self) -> usize {
        let waits = self.clients.values().filter(|waiting| waiting.or_gone);
        waits.flat_map(|waiting| waiting.keys.iter().map(|key| (waiting.db, key))).collect::<HashSet<_>>().len()
    }

    /// Keys waited for.
    pub fn keys(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_served_first() {
        let (db, key) = (DbIndex(0), || Box::<[u8]>::from(&b"k"[..]));
        let mut blocked = Blocked::default();
        blocked.add(ClientId(2), db, vec![key(), key()], Some(50));
        blocked.add(ClientId(1), db, vec![key()], None);
        blocked.key_changed(db, b"other");
        assert!(!blocked.has_ready());
        blocked.key_changed(db, b"k");
        blocked.key_changed(db, b"k");
        assert_eq!(blocked.next_ready(), Some(((db, key()), vec![ClientId(2), ClientId(1)])));
        assert_eq!(blocked.next_ready(), None);
        assert_eq!(blocked.expired(49), vec![]);
        assert_eq!(blocked.expired(50), vec![ClientId(2)]);
        assert!(blocked.remove(ClientId(2)));
        assert_eq!((blocked.len(), blocked.keys(), blocked.next_deadline()), (1, 1, None));
    }
}
