//! Active expiry: a sweep over the slots that are flagged as having a deadline. There is no second table of deadlines; a
//! slot without the flag costs nothing, as its entry is not looked at.
//!
//! The engine gives the sweep a time budget per tick. Within it the sweep goes on while more than a tenth of the volatile
//! keys it meets are past their deadline, else it stops after one round. Fields of hashes that have deadlines of their own
//! go first: they are kept in order, so only what is due is looked at.

use super::db::{Db, Env, Keyspace, expire};
use super::value::Entry;
use crate::raw::entry::TAG_TTL;
use crate::raw::table::Verdict;
use crate::types::DbIndex;
use std::time::{Duration, Instant};

/// Buckets looked at between two looks at the clock: at nine slots each about 10 to 50 µs.
const BUCKETS_PER_STEP: usize = 64;
/// Going on is worth it above this share of stale keys.
const STALE_SHARE: f64 = 0.10;

/// What a sweep found.
#[derive(Default, Clone, Copy)]
pub struct Swept {
    /// Volatile keys looked at.
    pub seen: usize,
    /// Keys removed.
    pub expired: usize,
    /// Fields of hashes removed.
    pub fields: usize,
    /// The budget ended the sweep, not the lack of stale keys.
    pub out_of_time: bool,
}

impl Keyspace {
    /// Removes keys and fields past their deadline for at most about `budget`, in every database that has such.
    pub fn sweep_expired(&mut self, budget: Duration) -> Swept {
        let start = Instant::now();
        let mut total = Swept::default();
        let databases = self.databases() as u32;
        for index in (0..databases).map(DbIndex) {
            let (fields, done) = self.sweep_fields(index, start, budget);
            total.fields += fields;
            if !done {
                total.out_of_time = true;
                return total;
            }
            let (db, env) = self.db_mut(index);
            if db.meta.volatile == 0 {
                db.meta.ttl_mean = 0.0;
                continue;
            }
            // One whole round at the most, however many stale keys there are.
            let mut buckets_left = db.table.bucket_count();
            // A table that is mostly volatile shows its share of stale keys in one step; a sparse one needs more buckets.
            loop {
                let step = BUCKETS_PER_STEP.min(buckets_left);
                let swept = sweep(db, env, step);
                buckets_left -= step;
                total.seen += swept.seen;
                total.expired += swept.expired;
                if buckets_left == 0 || db.meta.volatile == 0 {
                    break;
                }
                if start.elapsed() >= budget {
                    total.out_of_time = true;
                    return total;
                }
                let enough = swept.seen > 0 && (swept.expired as f64) < swept.seen as f64 * STALE_SHARE;
                if enough {
                    break;
                }
            }
        }
        total
    }
}

impl Keyspace {
    /// On a replica: removes keys past their deadline that its own clients gave one, and forgets keys that have none any more. Looks
    /// at `max` keys at the most. True if any went away.
    pub fn sweep_own_deadlines(&mut self, max: usize) -> bool {
        let now = self.env.now();
        let mut settled = Vec::new();
        for place in self.env.own_deadlines.keys.iter().take(max) {
            let table = &self.db(place.0).table;
            let deadline = table.get(table.hash(&place.1), &place.1).and_then(|entry| entry.deadline());
            if deadline.is_none_or(|deadline| now > deadline) {
                settled.push(place.clone());
            }
        }
        let before = self.env.stats.expired;
        for place in settled {
            // Looking for it in order to change it removes it, if it is past its deadline.
            self.entry(place.0, &place.1);
            self.env.own_deadlines.keys.remove(&place);
        }
        self.env.stats.expired != before
    }
}

/// Sweeps `buckets` buckets of one database.
fn sweep(db: &mut Db, env: &mut Env, buckets: usize) -> Swept {
    let now = env.now();
    let mut swept = Swept::default();
    let (mut ttl_sum, mut ttl_seen) = (0f64, 0usize);
    let Db { table, meta } = db;
    let mut at = meta.sweep_at;
    let mut removed: Vec<(Entry, bool)> = Vec::new();
    table.sweep(
        &mut at,
        buckets,
        TAG_TTL,
        &mut |entry| {
            let Some(deadline) = entry.deadline() else { return Verdict::Keep };
            swept.seen += 1;
            if now > deadline {
                Verdict::Remove
            } else {
                ttl_sum += (deadline - now) as f64;
                ttl_seen += 1;
                Verdict::Keep
            }
        },
        &mut |entry, due| removed.push((entry, due)),
    );
    meta.sweep_at = at;
    swept.expired = removed.len();
    for (mut entry, due) in removed {
        if let Some(cut) = &mut env.cut {
            cut.before_change(meta.index, meta.origin, &mut entry, due);
        }
        expire(meta, env, entry);
    }
    if ttl_seen > 0 {
        let mean = ttl_sum / ttl_seen as f64;
        // A running mean over about fifty steps, as the original keeps it.
        meta.ttl_mean = if meta.ttl_mean == 0.0 { mean } else { meta.ttl_mean * 0.98 + mean * 0.02 };
    }
    swept
}
