//! The keys of each hash slot, on a node of a cluster.
//!
//! A node is asked what a slot holds: GETKEYSINSLOT, SCAN for one slot, a slot that is given away. The table of keys cannot tell,
//! as it is ordered by another hash, and to order it by slots would make the slot of a popular tag one long chain. So a node
//! keeps beside the table, for each slot, the hashes under which the table has the slot's keys: eight bytes a key in an ordered
//! set, without the names. A hash finds its entry without the name, because the table can be asked for all entries of a hash.
//! Servers that are no node have none of this.

use super::value::Entry;
use crate::ds::algo::hash_slot::{self, SLOTS};
use crate::raw::table::{KeyHash, Table};
use std::collections::BTreeSet;

/// What each slot holds.
pub struct SlotIndex {
    slots: Vec<BTreeSet<u64>>,
    hash: KeyHash,
}

/// Cursors carry the slot in their low bits, as the original's do.
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// Bits of the hash that a cursor leaves out: a cursor has 48 bits, so that clients can keep it in a floating-point number.
const HASH_SHIFT: u32 = 30;

impl SlotIndex {
    /// The index of a table.
    pub fn new(table: &Table<Entry>) -> Self {
        let mut index = SlotIndex { slots: vec![BTreeSet::new(); SLOTS as usize], hash: table.key_hash() };
        table.into_iter().for_each(|entry| index.arrived(entry.key()));
        index
    }

    /// A key was added to the table.
    pub fn arrived(&mut self, key: &[u8]) {
        self.slots[hash_slot::of_key(key) as usize].insert(self.hash.of(key));
    }

    /// A key was taken out of the table.
    pub fn left(&mut self, key: &[u8]) {
        self.slots[hash_slot::of_key(key) as usize].remove(&self.hash.of(key));
    }

    /// All keys were taken out.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(BTreeSet::clear);
    }

    /// Number of keys in a slot.
    pub fn count(&self, slot: u16) -> usize {
        self.slots[slot as usize].len()
    }

    /// Shows `f` up to `max` keys of a slot. `table` is the table that this is the index of.
    pub fn first_keys(&self, table: &Table<Entry>, slot: u16, max: usize, f: &mut dyn FnMut(&Entry)) {
        for hash in self.slots[slot as usize].iter().take(max) {
            show(table, slot, *hash, f);
        }
    }

    /// Shows `f` at least `count` keys of a slot from a cursor on, if there are so many, and returns the cursor of the next; 0
    /// after the last, and to start with. A key that is there from the first call to the last is shown, whatever comes and goes
    /// in between. Any cursor is safe, also one made up.
    pub fn scan(&self, table: &Table<Entry>, slot: u16, cursor: u64, count: usize, f: &mut dyn FnMut(&Entry)) -> u64 {
        let at = (cursor & (u64::from(SLOTS) - 1)) as u16;
        if at > slot {
            return 0;
        }
        // A cursor of an earlier slot has this one still ahead.
        let from = if at == slot { cursor >> SLOT_BITS << HASH_SHIFT } else { 0 };
        let mut shown = 0;
        let mut part = None;
        for hash in self.slots[slot as usize].range(from..) {
            // Hashes that a cursor could not tell apart are shown in one go.
            if shown >= count && part != Some(hash >> HASH_SHIFT) {
                return hash >> HASH_SHIFT << SLOT_BITS | u64::from(slot);
            }
            part = Some(hash >> HASH_SHIFT);
            show(table, slot, *hash, f);
            shown += 1;
        }
        0
    }
}

fn show(table: &Table<Entry>, slot: u16, hash: u64, f: &mut dyn FnMut(&Entry)) {
    table.items_of_hash(hash, &mut |entry| {
        if hash_slot::of_key(entry.key()) == slot {
            f(entry);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Rng};
    use crate::keyspace::{Event, Keyspace};
    use crate::types::DbIndex;
    use std::collections::BTreeMap;

    const DB: DbIndex = DbIndex(0);

    fn put(keyspace: &mut Keyspace, key: &str) {
        keyspace.entry(DB, key.as_bytes()).set(b"v", None, Event::SET);
    }

    /// The index agrees with a count of the keys themselves.
    fn agrees(keyspace: &Keyspace) {
        let mut counts = BTreeMap::new();
        for entry in &keyspace.db(DB).table {
            *counts.entry(hash_slot::of_key(entry.key())).or_insert(0) += 1;
        }
        for slot in 0..SLOTS {
            let counted = counts.get(&slot).copied().unwrap_or(0);
            assert_eq!(keyspace.keys_in_slot(slot), counted, "slot {slot}");
        }
    }

    #[test]
    fn the_index_follows_the_keys() {
        let mut keyspace = Keyspace::new(1, Clock::Real, 7);
        put(&mut keyspace, "before");
        keyspace.index_slots();
        let mut rng = Rng::seeded(3);
        for _ in 0..20_000 {
            let key = format!("{{{}}}{}", rng.below(20), rng.below(300));
            match rng.below(3) {
                0 => {
                    keyspace.delete(DB, key.as_bytes(), false, Event::DEL);
                }
                _ => put(&mut keyspace, &key),
            }
        }
        agrees(&keyspace);
        keyspace.flush(DB, false);
        agrees(&keyspace);
        put(&mut keyspace, "after");
        agrees(&keyspace);
    }

    #[test]
    fn a_scan_shows_what_stays_whatever_comes_and_goes() {
        let mut keyspace = Keyspace::new(1, Clock::Real, 7);
        keyspace.index_slots();
        for i in 0..500 {
            put(&mut keyspace, &format!("{{a}}stays{i}"));
            put(&mut keyspace, &format!("{{b}}other{i}"));
        }
        let slot = hash_slot::of_key(b"a");
        let mut seen = std::collections::BTreeSet::new();
        let (mut cursor, mut round) = (0, 0);
        loop {
            let db = keyspace.db(DB);
            let index = db.meta.slots.as_ref().unwrap();
            cursor = index.scan(&db.table, slot, cursor, 10, &mut |entry| {
                assert!(entry.key().starts_with(b"{a}"));
                seen.insert(entry.key().to_vec());
            });
            assert!(cursor < 1 << 48);
            put(&mut keyspace, &format!("{{a}}comes{round}"));
            keyspace.delete(DB, format!("{{a}}comes{}", round / 2).as_bytes(), false, Event::DEL);
            round += 1;
            if cursor == 0 {
                break;
            }
        }
        assert!(round > 40);
        (0..500).for_each(|i| assert!(seen.contains(format!("{{a}}stays{i}").as_bytes())));
        let db = keyspace.db(DB);
        let index = db.meta.slots.as_ref().unwrap();
        assert_eq!(index.scan(&db.table, 3, u64::MAX, 10, &mut |_| panic!("nothing is left")), 0);
    }
}
