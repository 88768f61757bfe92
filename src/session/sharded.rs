//! A map of names that grows in small steps: whoever adds a name to a table of a hundred thousand is not to wait until all the
//! others have moved.
//!
//! Few names are kept in one table, in the order in which they came. Many are spread over tables by their hash, each of which
//! grows on its own.

use indexmap::IndexMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

/// Names up to this number are kept together.
const TOGETHER_MAX: usize = 512;
/// Tables for more.
const SHARDS: usize = 256;

/// Names, and something about each.
pub struct Sharded<V> {
    hasher: RandomState,
    /// One, or `SHARDS`.
    shards: Vec<IndexMap<Rc<[u8]>, V>>,
    len: usize,
}

impl<V> Default for Sharded<V> {
    fn default() -> Self {
        Sharded { hasher: RandomState::new(), shards: vec![IndexMap::new()], len: 0 }
    }
}

impl<V> Sharded<V> {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is known of a name.
    pub fn get(&self, name: &[u8]) -> Option<&V> {
        self.shards[self.shard_of(name)].get(name)
    }

    /// The same, to be changed, with the name itself.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<(&Rc<[u8]>, &mut V)> {
        let shard = self.shard_of(name);
        self.shards[shard].get_full_mut(name).map(|(_, name, value)| (name, value))
    }

    /// Adds a name, or changes what is known of it. True if it is new.
    pub fn insert(&mut self, name: Rc<[u8]>, value: V) -> bool {
        if self.len == TOGETHER_MAX && self.shards.len() == 1 {
            self.spread();
        }
        let shard = self.shard_of(&name);
        let is_new = self.shards[shard].insert(name, value).is_none();
        self.len += is_new as usize;
        is_new
    }

    /// Forgets a name. True if it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let shard = self.shard_of(name);
        let removed = self.shards[shard].swap_remove(name).is_some();
        self.forgot(removed);
        removed
    }

    /// Takes some name out.
    pub fn pop(&mut self) -> Option<Rc<[u8]>> {
        let name = self.shards.iter_mut().rev().find_map(IndexMap::pop)?.0;
        self.forgot(true);
        Some(name)
    }

    /// All names.
    pub fn iter(&self) -> impl Iterator<Item = (&Rc<[u8]>, &V)> {
        self.shards.iter().flatten()
    }

    #[inline]
    fn shard_of(&self, name: &[u8]) -> usize {
        if self.shards.len() == 1 { 0 } else { self.hasher.hash_one(name) as usize % SHARDS }
    }

    #[cold]
    fn spread(&mut self) {
        let together = self.shards.pop().unwrap_or_default();
        self.shards.resize_with(SHARDS, IndexMap::new);
        for (name, value) in together {
            let shard = self.shard_of(&name);
            self.shards[shard].insert(name, value);
        }
    }

    fn forgot(&mut self, removed: bool) {
        self.len -= removed as usize;
        if self.len == 0 && self.shards.len() > 1 {
            self.shards = vec![IndexMap::new()];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_all_there_until_they_go() {
        let mut names = Sharded::default();
        let name = |n: usize| Rc::from(format!("name:{n}").as_bytes());
        for n in 0..5000 {
            assert!(names.insert(name(n), n));
            assert!(!names.insert(name(n / 2), n / 2));
        }
        assert_eq!((names.len(), names.iter().count()), (5000, 5000));
        for n in (0..5000).step_by(2) {
            assert!(names.remove(&name(n)) && !names.remove(&name(n)));
        }
        assert_eq!(names.get(&name(7)), Some(&7));
        assert!(names.get(&name(8)).is_none());
        assert!(names.get_mut(&name(7)).is_some_and(|(found, value)| *found == name(7) && *value == 7));
        let mut popped = 0;
        while names.pop().is_some() {
            popped += 1;
        }
        assert_eq!((popped, names.len(), names.is_empty()), (2500, 0, true));
    }

    #[test]
    fn few_names_keep_their_order() {
        let mut names = Sharded::default();
        for n in 0..TOGETHER_MAX {
            names.insert(Rc::from(format!("{n}").as_bytes()), ());
        }
        assert!(names.iter().enumerate().all(|(n, (name, ()))| **name == *format!("{n}").as_bytes()));
    }
}
