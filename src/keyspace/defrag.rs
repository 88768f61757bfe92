//! Defragmentation: after many keys are gone, those that are left lie scattered over pages that are all but empty, and the
//! system cannot have these back. A pass walks through all entries and moves the blocks of sparse pages into fuller ones.
//!
//! Nothing here is needed for correctness, so a pass goes on in steps, each with a budget of time, with anything happening in
//! between. Large sets, hashes and lists are passed by and walked bit by bit afterwards. Members of large sorted sets and
//! nodes of streams stay where they are: both are known by their address elsewhere. So do blocks beyond 2 KB, which come from
//! the general allocator.

use super::db::{Db, Keyspace};
use super::value::free_effort;
use crate::raw::entry::PayloadMut;
use crate::raw::relocate::Tally;
use crate::types::DbIndex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Buckets, and nodes of lists, between two looks at the clock.
const BUCKETS_PER_STEP: usize = 16;
/// Collections of more parts than this are walked bit by bit.
const PARTS_AT_ONCE: usize = 256;

/// A pass on its way through the keyspace.
#[derive(Default)]
pub struct Defrag {
    db: u32,
    bucket: usize,
    /// Large collections that are still to be walked.
    large: VecDeque<(DbIndex, Box<[u8]>)>,
    /// Where the walk through the first of them goes on.
    inside: usize,
}

/// What a step did.
#[derive(Clone, Copy, Default)]
pub struct Defragmented {
    pub blocks: Tally,
    /// Keys of which something was moved, and keys of which nothing was.
    pub keys: Tally,
    /// The pass is complete.
    pub done: bool,
}

impl Keyspace {
    /// Goes on with the pass for about `budget`; begins a new one when there is none.
    pub fn defragment(&mut self, pass: &mut Defrag, budget: Duration) -> Defragmented {
        let start = Instant::now();
        let mut done = Defragmented::default();
        while start.elapsed() < budget {
            if !pass.large.is_empty() {
                self.walk_large(pass, &mut done);
            } else if (pass.db as usize) < self.databases() {
                self.walk_table(pass, &mut done);
            } else {
                *pass = Defrag::default();
                done.done = true;
                break;
            }
        }
        done
    }

    fn walk_table(&mut self, pass: &mut Defrag, done: &mut Defragmented) {
        let index = DbIndex(pass.db);
        let (Db { table, .. }, _) = self.db_mut(index);
        let Defragmented { blocks, keys, .. } = done;
        let large = &mut pass.large;
        let wrapped = table.relocate(&mut pass.bucket, BUCKETS_PER_STEP, &mut |entry| {
            let before = blocks.moved;
            entry.relocate(blocks);
            let parts = free_effort(entry);
            if let PayloadMut::Boxed(object) = entry.payload_mut() {
                if parts > PARTS_AT_ONCE {
                    large.push_back((index, entry.key().into()));
                } else {
                    object.relocate_some(&mut 0, usize::MAX, blocks);
                }
            }
            *(if blocks.moved > before { &mut keys.moved } else { &mut keys.stayed }) += 1;
        });
        if wrapped {
            pass.db += 1;
            pass.bucket = 0;
        }
    }

    fn walk_large(&mut self, pass: &mut Defrag, done: &mut Defragmented) {
        let Some((index, key)) = pass.large.front() else { return };
        let (Db { table, .. }, _) = self.db_mut(*index);
        let mut finished = true;
        let (blocks, inside) = (&mut done.blocks, &mut pass.inside);
        table.relocate_one(table.hash(key), key, &mut |entry| {
            if let PayloadMut::Boxed(object) = entry.payload_mut() {
                finished = object.relocate_some(inside, BUCKETS_PER_STEP, blocks);
            }
        });
        if finished {
            pass.large.pop_front();
            pass.inside = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::keyspace::Event;

    #[test]
    fn a_pass_sees_every_key_and_changes_none() {
        let mut keyspace = Keyspace::new(3, Clock::Manual(ManualClock::at(0)), 7);
        for i in 0..3000u32 {
            let (db, key) = (DbIndex(i % 2), format!("key:{i}"));
            keyspace.entry(db, key.as_bytes()).set(&b"v".repeat(i as usize % 100), (i % 3 == 0).then_some(99), Event::SET);
        }
        let (mut pass, mut steps, mut keys) = (Defrag::default(), 0, 0);
        loop {
            let step = keyspace.defragment(&mut pass, Duration::from_micros(1));
            steps += 1;
            keys += step.keys.moved + step.keys.stayed;
            if step.done {
                break;
            }
        }
        assert_eq!(keys, 3000);
        assert!(steps > 3);
        for i in 0..3000u32 {
            let key = format!("key:{i}");
            let entry = keyspace.peek(DbIndex(i % 2), key.as_bytes()).expect("it is there");
            assert_eq!(entry.deadline(), (i % 3 == 0).then_some(99));
        }
    }
}
