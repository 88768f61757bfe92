//! Reading ahead: what the next requests will look at is asked for together, so that the waits for memory overlap.
//!
//! A look at a key, or at a member of a large collection, is two waits for memory that is in no cache: the bucket, then what
//! its fingerprints point to. One after the other they take longer than all the rest of a simple command; sixteen at once take
//! about as long as one. So the requests of a turn are looked at in windows: first all buckets are asked for, then all that
//! they lead to, then the requests run.

use super::batch::Batch;
use crate::keyspace::Keyspace;
use crate::keyspace::db::PREFETCH_MIN_KEYS;
use crate::keyspace::value::object_of;
use crate::types::DbIndex;
use crate::world::World;

/// Requests whose keys are read into the cache together, ahead of running them.
pub const PREFETCH_WINDOW: usize = 16;
/// Looks for elements that are left out after one that found no large collection: finding keys twice is not free.
const PAUSE: u8 = 15;

/// Whether it is worth it to look inside collections.
#[derive(Default)]
pub struct ReadAhead {
    pause: u8,
}

impl ReadAhead {
    /// Reads what the next requests' first keys, and the first elements that they name, lead to into the cache. Returns for
    /// how many requests.
    #[inline]
    pub fn prefetch(&mut self, world: &World, batches: &[Box<Batch>], batch_now: usize, at_now: usize, db: DbIndex) -> usize {
        let keyspace = &world.keyspace;
        let for_keys = keyspace.db(db).table.len() >= PREFETCH_MIN_KEYS;
        let for_elements = self.pause == 0;
        if !for_elements {
            self.pause -= 1;
            if !for_keys {
                return usize::MAX;
            }
        }
        let mut hashes = [0u64; PREFETCH_WINDOW];
        let mut elements: [(&[u8], &[u8]); PREFETCH_WINDOW] = [(&[], &[]); PREFETCH_WINDOW];
        let (mut looked, mut keys_found, mut elements_found) = (0, 0, 0);
        let (mut batch_at, mut at) = (batch_now, at_now);
        while looked < PREFETCH_WINDOW && batch_at < batches.len() {
            let batch = &batches[batch_at];
            let Some(request) = batch.requests.get(at) else {
                batch_at += 1;
                at = batches.get(batch_at).map_or(0, |b| b.next);
                continue;
            };
            looked += 1;
            at += 1;
            let Some(command) = request.command().map(|at| world.commands.get(at)) else { continue };
            let args = batch.args(*request);
            let Some(key) = command.first_key.and_then(|at| args.opt(at)) else { continue };
            if for_keys {
                hashes[keys_found] = keyspace.prefetch_bucket(db, key);
                keys_found += 1;
            }
            if for_elements && let Some(element) = command.spec.element.of(args) {
                elements[elements_found] = (key, element);
                elements_found += 1;
            }
        }
        for hash in &hashes[..keys_found] {
            keyspace.prefetch_entry(db, *hash);
        }
        if for_elements && !prefetch_elements(keyspace, db, &elements[..elements_found]) {
            self.pause = PAUSE;
        }
        looked.max(1)
    }
}

/// The same for elements of large collections, each with its key. False if there were none, or only one to wait for.
fn prefetch_elements(keyspace: &Keyspace, db: DbIndex, elements: &[(&[u8], &[u8])]) -> bool {
    if elements.len() < 2 {
        return false;
    }
    let mut owners = [const { None }; PREFETCH_WINDOW];
    let mut places = [(0usize, 0u64); PREFETCH_WINDOW];
    for (i, (key, element)) in elements.iter().enumerate() {
        // Requests in a row are often for the same key.
        let owner = if i > 0 && elements[i - 1].0 == *key { places[i - 1].0 } else { i };
        if owner == i {
            owners[i] = keyspace.held(db, key);
        }
        let object = owners[owner].as_deref().and_then(object_of);
        places[i] = (owner, object.map_or(0, |object| object.prefetch_bucket(element)));
    }
    let mut any = false;
    for (owner, hash) in &places[..elements.len()] {
        if *hash != 0
            && let Some(object) = owners[*owner].as_deref().and_then(object_of)
        {
            object.prefetch_items(*hash);
            any = true;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use crate::command::spec::ElementAt;
    use crate::ds::object::{Object, Variant};
    use crate::raw::zset::ScoreMap;
    use crate::resp::request::OwnedRequest;

    #[test]
    fn elements_are_where_the_rows_say() {
        let request = OwnedRequest::build([&b"ZADD"[..], b"key", b"1", b"member"]);
        assert_eq!(ElementAt::Last.of(request.args()), Some(&b"member"[..]));
        assert_eq!(ElementAt::At(2).of(request.args()), Some(&b"1"[..]));
        assert_eq!(ElementAt::At(4).of(request.args()), None, "left out");
        assert_eq!(ElementAt::Nowhere.of(request.args()), None);
        for spec in crate::commands::all().filter(|spec| spec.element != ElementAt::Nowhere) {
            assert!(crate::command::getkeys::first_key(spec).is_some(), "{} has a key to look in", spec.name);
        }
    }

    #[test]
    fn only_large_collections_are_worth_it() {
        let mut map = ScoreMap::new(7);
        for i in 0..4095 {
            map.add(format!("m:{i}").as_bytes(), 1.0);
        }
        let mut object = map.wrap();
        assert_eq!(object.prefetch_bucket(b"m:1"), 0);
        if let Object::SortedSet(map) = &mut object {
            map.add(b"one more", 1.0);
        }
        for name in [&b"m:1"[..], b"not there"] {
            let hash = object.prefetch_bucket(name);
            assert_ne!(hash, 0);
            object.prefetch_items(hash);
        }
    }
}
