//! Eviction: which key goes when memory is short, and how it goes. When memory is short, and for how long to go on, is
//! `dispatch::memory`'s business.
//!
//! The policies that rank keys do it by sampling: a handful of keys of every database, the best of which are kept in a pool
//! of sixteen from one eviction to the next. The pool's best goes first. Keys are remembered by name, so a key in the pool
//! may be gone, or be another one, by the time its turn comes; then the next is tried.
//!
//! Keys with a deadline are not kept apart. Their slots are flagged in the table, so a random bucket shows them without a
//! look at its entries; and where too few slots are flagged for that, a walk around the table goes on where the last ended.

use super::db::{Db, Env, Keyspace, before_change, discard, removal_command};
use super::effects::Event;
use super::value::Entry;
use crate::config::MaxmemoryPolicy;
use crate::raw::entry::TAG_TTL;
use crate::resp::request::OwnedRequest;
use crate::types::DbIndex;

/// Candidates kept from one eviction to the next.
const POOL: usize = 16;
/// Names of candidates up to this length leave their room to the next.
const NAME_KEPT_MAX: usize = 255;
/// Buckets that a walk for several keys with a deadline looks at: beyond, the first will do.
const WALK_MAX: usize = 1024;

/// What eviction remembers.
#[derive(Default)]
pub struct Evictor {
    /// The better a candidate, the further back.
    pool: Vec<Candidate>,
    /// Rooms for names.
    spare: Vec<Vec<u8>>,
    /// The database that a random eviction looked at last.
    database: u32,
}

struct Candidate {
    /// How little it will be missed.
    score: u64,
    db: DbIndex,
    key: Vec<u8>,
}

/// A key that is to go.
pub struct Victim {
    db: DbIndex,
    key: Vec<u8>,
}

/// Only keys with a deadline may go.
fn only_volatile(policy: MaxmemoryPolicy) -> bool {
    use MaxmemoryPolicy::*;
    matches!(policy, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
}

impl Keyspace {
    /// Picks the key that is to go next, or none if the policy lets none go.
    pub fn pick_victim(&mut self, policy: MaxmemoryPolicy, samples: usize) -> Option<Victim> {
        let mut evictor = std::mem::take(&mut self.evictor);
        let victim = match policy {
            MaxmemoryPolicy::Noeviction => None,
            MaxmemoryPolicy::AllkeysRandom | MaxmemoryPolicy::VolatileRandom => self.pick_random(&mut evictor, policy),
            _ => self.pick_best(&mut evictor, policy, samples),
        };
        self.evictor = evictor;
        victim
    }

    /// Removes a key that was picked. It is freed on another thread if `lazily` and it is large; then the result is true. The
    /// caller publishes.
    pub fn evict(&mut self, victim: Victim, lazily: bool) -> bool {
        let Victim { db, key } = victim;
        let (Db { table, meta }, env) = self.db_mut(db);
        let hash = table.hash(&key);
        if env.cut.is_some() {
            before_change(&mut table.slot(hash, &key), meta, env);
        }
        let before = env.lazyfree.ticket();
        if let Some(entry) = table.remove(hash, &key) {
            meta.entry_left(&entry);
            meta.fields.left(&entry);
            env.stats.evicted += 1;
            env.effects.propagate_before(db, || OwnedRequest::build([removal_command(&entry, lazily), &key]));
            env.effects.went_away(db, &key, Event::EVICTED);
            discard(env, entry, lazily);
        }
        let sent = env.lazyfree.ticket() != before;
        self.evictor.reclaim(key);
        sent
    }

    fn pick_random(&mut self, evictor: &mut Evictor, policy: MaxmemoryPolicy) -> Option<Victim> {
        let databases = self.databases() as u32;
        for _ in 0..databases {
            evictor.database = (evictor.database + 1) % databases;
            let index = DbIndex(evictor.database);
            let (db, env) = self.db_mut(index);
            let mut name = None;
            sample(db, env, 1, only_volatile(policy), &mut |_, entry| {
                name.get_or_insert_with(|| evictor.name(entry.key()));
            });
            if let Some(key) = name {
                return Some(Victim { db: index, key });
            }
        }
        None
    }

    fn pick_best(&mut self, evictor: &mut Evictor, policy: MaxmemoryPolicy, samples: usize) -> Option<Victim> {
        let volatile = only_volatile(policy);
        loop {
            let mut any = false;
            for index in (0..self.databases() as u32).map(DbIndex) {
                let (db, env) = self.db_mut(index);
                let keys = if volatile { db.meta.volatile } else { db.table.len() };
                if keys > 0 {
                    any = true;
                    let mut consider = |env: &Env, entry: &Entry| evictor.consider(index, entry, score(policy, env, entry));
                    sample(db, env, samples.min(keys), volatile, &mut consider);
                }
            }
            if !any {
                return None;
            }
            while let Some(Candidate { db, key, .. }) = evictor.pool.pop() {
                let table = &self.db(db).table;
                if table.get(table.hash(&key), &key).is_some_and(|entry| !volatile || entry.deadline().is_some()) {
                    return Some(Victim { db, key });
                }
                evictor.reclaim(key);
            }
        }
    }
}

/// Shows `f` about `n` keys of a database, only such with a deadline if `volatile`; at least one if there is any.
fn sample(db: &mut Db, env: &mut Env, n: usize, volatile: bool, f: &mut dyn FnMut(&Env, &Entry)) {
    let tag = if volatile { TAG_TTL } else { 0 };
    if volatile && db.meta.volatile == 0 {
        return;
    }
    let mut rng = env.rng.clone();
    let shown = db.table.sample(&mut || rng.next_u64(), n, tag, &mut |entry| f(env, entry));
    env.rng = rng;
    if shown == 0 {
        db.table.seek(&mut db.meta.evict_at, n, WALK_MAX, tag, &mut |entry| f(env, entry));
    }
}

/// How little a key will be missed: by the time since its last use, by how rarely it is used, by how soon it goes anyway.
fn score(policy: MaxmemoryPolicy, env: &Env, entry: &Entry) -> u64 {
    use MaxmemoryPolicy::*;
    match policy {
        AllkeysLfu | VolatileLfu => 255 - env.lfu_decayed(entry.clock()) as u64,
        VolatileTtl => u64::MAX - entry.deadline().unwrap_or(i64::MAX).max(0) as u64,
        _ => env.idle_seconds(entry.clock()),
    }
}

impl Evictor {
    /// Takes a key into the pool if there is room or a worse one.
    fn consider(&mut self, db: DbIndex, entry: &Entry, score: u64) {
        let at = self.pool.partition_point(|candidate| candidate.score < score);
        let full = self.pool.len() == POOL;
        if full && at == 0 {
            return;
        }
        if full {
            let worst = self.pool.remove(0).key;
            self.reclaim(worst);
        }
        let key = self.name(entry.key());
        self.pool.insert(at - full as usize, Candidate { score, db, key });
    }

    /// A copy of a name.
    fn name(&mut self, key: &[u8]) -> Vec<u8> {
        let mut name = self.spare.pop().unwrap_or_default();
        name.extend_from_slice(key);
        name
    }

    /// Keeps the room of a name for the next.
    fn reclaim(&mut self, mut name: Vec<u8>) {
        if name.capacity() <= NAME_KEPT_MAX && self.spare.len() < POOL {
            name.clear();
            self.spare.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    /// A keyspace with `n` keys; `volatile(i)` says which have a deadline, key `i` at `1000 + i`.
    fn keyspace(n: i64, volatile: impl Fn(i64) -> bool) -> (Keyspace, ManualClock) {
        let clock = ManualClock::at(0);
        let mut keyspace = Keyspace::new(4, Clock::Manual(clock.clone()), 7);
        for i in 0..n {
            let deadline = volatile(i).then_some(1000 + i);
            keyspace.entry(DbIndex(i as u32 % 3), format!("key:{i}").as_bytes()).set(b"x", deadline, Event::SET);
        }
        (keyspace, clock)
    }

    /// Evicts up to `n` keys; their numbers.
    fn evict(keyspace: &mut Keyspace, policy: MaxmemoryPolicy, n: usize) -> Vec<i64> {
        let mut gone = Vec::new();
        while gone.len() < n
            && let Some(victim) = keyspace.pick_victim(policy, 5)
        {
            gone.push(std::str::from_utf8(&victim.key[4..]).unwrap().parse().unwrap());
            keyspace.evict(victim, false);
        }
        gone
    }

    #[test]
    fn volatile_policies_take_every_key_with_a_deadline_and_no_other() {
        use MaxmemoryPolicy::*;
        // One in three, and two in twenty thousand: few enough that random buckets do not show them.
        for (n, step) in [(300, 3), (20_000, 9973)] {
            for policy in [VolatileLru, VolatileLfu, VolatileRandom, VolatileTtl] {
                let (mut keyspace, _) = keyspace(n, |i| i % step == 1);
                let mut gone = evict(&mut keyspace, policy, usize::MAX);
                gone.sort_unstable();
                let wanted: Vec<i64> = (0..n).filter(|i| i % step == 1).collect();
                assert_eq!(gone, wanted, "{policy:?}");
                assert_eq!(keyspace.total_keys(), n as usize - wanted.len());
                assert_eq!(keyspace.env.stats.evicted, wanted.len() as u64);
            }
        }
    }

    #[test]
    fn other_policies_take_all_keys_and_noeviction_none() {
        use MaxmemoryPolicy::*;
        for policy in [AllkeysLru, AllkeysLfu, AllkeysRandom] {
            let (mut keyspace, _) = keyspace(100, |i| i % 2 == 0);
            assert_eq!(evict(&mut keyspace, policy, usize::MAX).len(), 100);
            assert_eq!((keyspace.total_keys(), keyspace.db(DbIndex(0)).meta.volatile), (0, 0));
        }
        let (mut keyspace, _) = keyspace(10, |_| true);
        assert!(evict(&mut keyspace, Noeviction, 1).is_empty());
    }

    #[test]
    fn what_is_missed_least_goes_first() {
        use MaxmemoryPolicy::*;
        // With so many samples the choice is exact, but for keys of a pool that is full.
        let mean = |gone: &[i64]| gone.iter().sum::<i64>() as f64 / gone.len() as f64;
        let (mut soonest, _) = keyspace(1000, |_| true);
        assert!(mean(&evict(&mut soonest, VolatileTtl, 100)) < 120.0);
        let (mut oldest, clock) = keyspace(1000, |_| false);
        for i in 0..1000i64 {
            clock.advance_millis(1000);
            oldest.refresh_clock();
            oldest.read(DbIndex(i as u32 % 3), format!("key:{i}").as_bytes());
        }
        assert!(mean(&evict(&mut oldest, AllkeysLru, 100)) < 120.0);
        let (mut rarest, _) = keyspace(1000, |_| false);
        rarest.env.settings.lfu = true;
        for i in 0..1000i64 {
            rarest.entry(DbIndex(i as u32 % 3), format!("key:{i}").as_bytes()).set_clock((i / 4) as u32);
        }
        assert!(mean(&evict(&mut rarest, AllkeysLfu, 100)) < 120.0);
    }

    #[test]
    fn a_candidate_that_is_gone_or_safe_now_is_passed_over() {
        let (mut keyspace, _) = keyspace(6, |_| true);
        assert_eq!(evict(&mut keyspace, MaxmemoryPolicy::VolatileTtl, 1), [0]);
        // The pool holds the others by now.
        keyspace.entry(DbIndex(1), b"key:1").take(Event::DEL);
        keyspace.entry(DbIndex(2), b"key:2").set_deadline(None, Event::PERSIST);
        assert_eq!(evict(&mut keyspace, MaxmemoryPolicy::VolatileTtl, 9), [3, 4, 5]);
    }
}
