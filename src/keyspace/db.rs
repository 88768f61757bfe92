//! A database: one table of entries and a few counters. `Keyspace` is all databases and what they share (`Env`).

use super::cut::Cut;
use super::effects::{Effects, Event};
use super::evict::Evictor;
use super::fields::FieldDeadlines;
use super::handle::Handle;
use super::lazyfree::{Garbage, LazyFree};
use super::slot_index::SlotIndex;
use super::value::Entry;
use crate::clock::{Clock, Rng};
use crate::raw::table::{Ref, Slot, Table};
use crate::resp::request::OwnedRequest;
use crate::types::{DbIndex, UnixMillis};
use std::collections::HashSet;

/// Counters of the keyspace that INFO shows.
#[derive(Default, Clone)]
pub struct KeyStats {
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    /// Fields of hashes removed because their deadline passed.
    pub expired_fields: u64,
    pub evicted: u64,
    /// Share of volatile keys seen past their deadline in the last sweep, 0..=100.
    pub expired_stale_percent: f64,
    pub expired_time_cap_reached: u64,
}

/// The part of the configuration that lookups and values need, in the form in which they need it.
#[derive(Clone)]
pub struct Settings {
    /// The access clock counts uses (LFU) instead of telling the time (LRU).
    pub lfu: bool,
    pub lfu_log_factor: u32,
    pub lfu_decay_minutes: u32,
    /// OBJECT REFCOUNT may call small numbers shared: there is no limit on memory that ranks keys by their use.
    pub shared_numbers: bool,
    pub lazyfree_user_del: bool,
    pub lazyfree_user_flush: bool,
    pub lazyfree_server_del: bool,
    pub lazyfree_expire: bool,
    /// Longest string, in bytes.
    pub bulk_max: usize,
    pub hll_sparse_max_bytes: usize,
    /// DUMP compresses long strings.
    pub rdb_compression: bool,
    /// RESTORE searches packed values for duplicates.
    pub sanitize_dumps: bool,
    /// … but not those of users who are trusted with them.
    pub sanitize_by_user: bool,
    /// RESTORE believes payloads whatever their checksum (DEBUG).
    pub skip_dump_checksum: bool,
    /// Where collections change their encoding.
    pub limits: crate::ds::object::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            lfu: false,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            shared_numbers: true,
            lazyfree_user_del: true,
            lazyfree_user_flush: true,
            lazyfree_server_del: true,
            lazyfree_expire: true,
            bulk_max: 512 << 20,
            hll_sparse_max_bytes: 3000,
            rdb_compression: true,
            sanitize_dumps: false,
            sanitize_by_user: false,
            skip_dump_checksum: false,
            limits: crate::ds::object::Limits::default(),
        }
    }
}

/// What all databases share.
pub struct Env {
    pub clock: Clock,
    /// The time at which this batch began, in microseconds since the epoch; what every command in it calls "now".
    pub now_micros: i64,
    pub rng: Rng,
    pub effects: Effects,
    pub stats: KeyStats,
    pub settings: Settings,
    pub lazyfree: LazyFree,
    /// The client asked that its reads leave access clocks alone.
    pub no_touch: bool,
    /// Keys past their deadline are removed (DEBUG SET-ACTIVE-EXPIRE switches the sweep, not this).
    pub active_expire: bool,
    /// The requests come from the primary or a file of the server's own: what another server settled is not refused.
    pub obeys: bool,
    /// While clients are paused nothing expires: keys past their deadline are not to be seen, but stay.
    pub expiry_paused: bool,
    /// This server is a replica: what is past its deadline is not to be seen, but stays until the primary says that it goes.
    pub follows: bool,
    /// On a replica whose clients may write: the keys to which they gave a deadline. The primary does not know of those, so they
    /// go away by themselves.
    pub own_deadlines: OwnDeadlines,
    /// The keyspace of an earlier moment, while it is being recorded.
    pub cut: Option<Box<Cut>>,
}

impl Env {
    /// Now, in milliseconds.
    #[inline]
    pub fn now(&self) -> UnixMillis {
        self.now_micros / 1000
    }

    /// The time by which deadlines are judged: now; but a file, or the primary, tells by itself what went away, so that for
    /// its requests nothing is over yet.
    #[inline]
    pub fn expiry_now(&self) -> UnixMillis {
        if self.obeys { UnixMillis::MIN } else { self.now() }
    }

    /// True if keys and fields past their deadline are hidden from the client that asks, but not removed.
    #[inline]
    pub fn keeps_past(&self) -> bool {
        (self.expiry_paused | self.follows) && !self.obeys
    }

    /// The access clock of a new entry.
    #[inline]
    pub fn fresh_clock(&self) -> u32 {
        if self.settings.lfu { (self.lfu_minutes() << 8) | LFU_START } else { self.lru_seconds() }
    }

    /// The access clock after another use.
    #[inline]
    pub fn used_clock(&mut self, old: u32) -> u32 {
        if !self.settings.lfu {
            return self.lru_seconds();
        }
        let counter = self.lfu_decayed(old);
        let counter = self.lfu_count(counter);
        (self.lfu_minutes() << 8) | counter
    }

    /// The use counter of an LFU clock as it stands now, decayed by the time since the last use.
    pub fn lfu_decayed(&self, clock: u32) -> u32 {
        Self::lfu_decayed_at(self.now_micros, self.settings.lfu_decay_minutes, clock)
    }

    /// The same for another time.
    pub fn lfu_decayed_at(now_micros: i64, decay_minutes: u32, clock: u32) -> u32 {
        let (then, counter) = ((clock >> 8) & 0xffff, clock & 0xff);
        let minutes = lfu_minutes(now_micros).wrapping_sub(then) & 0xffff;
        let periods = minutes.checked_div(decay_minutes).unwrap_or(0);
        counter.saturating_sub(periods)
    }

    /// Seconds since the entry was used, by an LRU clock.
    pub fn idle_seconds(&self, clock: u32) -> u64 {
        Self::idle_seconds_at(self.now_micros, clock)
    }

    /// The same for another time.
    pub fn idle_seconds_at(now_micros: i64, clock: u32) -> u64 {
        (lru_seconds(now_micros).wrapping_sub(clock) & 0xff_ffff) as u64
    }

    /// A logarithmic counter: the higher it stands, the less likely it moves.
    fn lfu_count(&mut self, counter: u32) -> u32 {
        if counter == 255 {
            return 255;
        }
        let base = counter.saturating_sub(LFU_START) as f64;
        let chance = 1.0 / (base * self.settings.lfu_log_factor as f64 + 1.0);
        counter + (self.rng.unit() < chance) as u32
    }

    fn lru_seconds(&self) -> u32 {
        lru_seconds(self.now_micros)
    }

    fn lfu_minutes(&self) -> u32 {
        lfu_minutes(self.now_micros)
    }
}

fn lru_seconds(now_micros: i64) -> u32 {
    (now_micros / 1_000_000) as u32 & 0xff_ffff
}

fn lfu_minutes(now_micros: i64) -> u32 {
    (now_micros / 60_000_000) as u32 & 0xffff
}

/// Keys to which clients of a replica gave a deadline.
#[derive(Default)]
pub struct OwnDeadlines {
    /// Such keys are noted: clients of this replica may write.
    pub noted: bool,
    pub keys: HashSet<(DbIndex, Box<[u8]>)>,
}

impl Env {
    /// A key of this database was given a deadline.
    #[inline]
    pub(super) fn deadline_given(&mut self, db: DbIndex, key: &[u8]) {
        if self.own_deadlines.noted && !self.obeys {
            self.own_deadlines.keys.insert((db, key.into()));
        }
    }
}

/// The counter that a new entry starts with, so that it is not the first to be evicted.
const LFU_START: u32 = 5;

/// One database.
pub struct Db {
    pub table: Table<Entry>,
    pub meta: DbMeta,
}

/// A database's counters, apart from its table so that a slot and these can be borrowed together.
#[derive(Default)]
pub struct DbMeta {
    pub index: DbIndex,
    /// Which database this was when the cut began that its table is part of.
    pub origin: DbIndex,
    /// Number of entries with a deadline.
    pub volatile: usize,
    /// The hashes that have fields with a deadline.
    pub fields: FieldDeadlines,
    /// Mean time to live of the volatile entries seen by the last sweeps, in milliseconds.
    pub ttl_mean: f64,
    /// Where the expiry sweep goes on.
    pub sweep_at: usize,
    /// Where eviction goes on to look for keys with a deadline.
    pub evict_at: usize,
    /// The keys of each slot, on a node of a cluster.
    pub slots: Option<Box<SlotIndex>>,
}

impl DbMeta {
    /// A key was added.
    #[inline]
    pub(super) fn key_arrived(&mut self, key: &[u8]) {
        if let Some(slots) = &mut self.slots {
            slots.arrived(key);
        }
    }

    /// An entry was taken out of the table.
    #[inline]
    pub(super) fn entry_left(&mut self, entry: &Entry) {
        self.volatile -= entry.deadline().is_some() as usize;
        if let Some(slots) = &mut self.slots {
            slots.left(entry.key());
        }
    }
}

/// All databases and what they share.
pub struct Keyspace {
    dbs: Vec<Db>,
    pub env: Env,
    pub(super) evictor: Evictor,
    hash_seed: u64,
}

/// Values of more allocations than this are freed on another thread, unless the configuration says otherwise.
const LAZY_FREE_MIN_EFFORT: usize = 64;

impl Keyspace {
    /// `databases` empty databases. `seed` keys the hash function and starts the random generator.
    pub fn new(databases: usize, clock: Clock, seed: u64) -> Self {
        let mut keyspace = Keyspace {
            dbs: Vec::new(),
            env: Env {
                now_micros: clock.micros(),
                clock,
                rng: Rng::seeded(seed),
                effects: Effects::default(),
                stats: KeyStats::default(),
                settings: Settings {
                    limits: crate::ds::object::Limits { hash_seed: seed, ..Default::default() },
                    ..Settings::default()
                },
                lazyfree: LazyFree::default(),
                no_touch: false,
                active_expire: true,
                obeys: false,
                expiry_paused: false,
                follows: false,
                own_deadlines: OwnDeadlines::default(),
                cut: None,
            },
            evictor: Evictor::default(),
            hash_seed: seed,
        };
        keyspace.env.settings.limits.hash_seed = seed;
        for i in 0..databases as u32 {
            let meta = DbMeta { index: DbIndex(i), ..DbMeta::default() };
            keyspace.dbs.push(Db { table: Table::new(seed), meta });
        }
        keyspace
    }

    /// All databases.
    pub(super) fn all_mut(&mut self) -> &mut [Db] {
        &mut self.dbs
    }

    /// All databases and what they share.
    pub(super) fn all_and_env_mut(&mut self) -> (&mut [Db], &mut Env) {
        (&mut self.dbs, &mut self.env)
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.dbs.len()
    }

    /// A database; `index` must have been checked against `databases`.
    #[inline]
    pub fn db(&self, index: DbIndex) -> &Db {
        &self.dbs[index.at()]
    }

    /// A database and what all share, to be changed together.
    #[inline]
    pub fn db_mut(&mut self, index: DbIndex) -> (&mut Db, &mut Env) {
        (&mut self.dbs[index.at()], &mut self.env)
    }

    /// Takes the clock's time for the commands that follow.
    #[inline]
    pub fn refresh_clock(&mut self) {
        self.env.now_micros = self.env.clock.micros();
    }

    /// Finds a key for reading: counts a hit or a miss and touches the access clock.
    #[inline]
    pub fn read(&mut self, index: DbIndex, key: &[u8]) -> Option<Ref<'_, Entry>> {
        let db = &mut self.dbs[index.at()];
        let env = &mut self.env;
        if env.keeps_past() && is_past(db, env, key) {
            env.stats.misses += 1;
            return None;
        }
        match find_live(&mut db.table, &mut db.meta, env, key) {
            Slot::Occupied(mut found) => {
                env.stats.hits += 1;
                if !env.no_touch {
                    found.with_mut(|entry| touch(entry, env));
                }
                Some(found.into_ref())
            }
            Slot::Vacant(_) => {
                env.stats.misses += 1;
                env.effects.noticed(index, key, Event::KEY_MISS);
                None
            }
        }
    }

    /// Finds a key without counting or touching anything: TTL, TYPE, OBJECT.
    pub fn peek(&mut self, index: DbIndex, key: &[u8]) -> Option<Ref<'_, Entry>> {
        let db = &mut self.dbs[index.at()];
        if self.env.keeps_past() && is_past(db, &self.env, key) {
            return None;
        }
        match find_live(&mut db.table, &mut db.meta, &mut self.env, key) {
            Slot::Occupied(found) => Some(found.into_ref()),
            Slot::Vacant(_) => None,
        }
    }

    /// Finds a key as it is held, even past its deadline: DEBUG OBJECT.
    pub fn held(&self, index: DbIndex, key: &[u8]) -> Option<Ref<'_, Entry>> {
        let table = &self.dbs[index.at()].table;
        table.get(table.hash(key), key)
    }

    /// True if a key is held past its deadline.
    pub fn is_past(&self, index: DbIndex, key: &[u8]) -> bool {
        is_past(&self.dbs[index.at()], &self.env, key)
    }

    /// Finds a key for changing it, or the place where it would be.
    #[inline]
    pub fn entry<'a>(&'a mut self, index: DbIndex, key: &'a [u8]) -> Handle<'a> {
        let db = &mut self.dbs[index.at()];
        let mut slot = find_live(&mut db.table, &mut db.meta, &mut self.env, key);
        if self.env.cut.is_some() {
            before_change(&mut slot, &db.meta, &mut self.env);
        }
        Handle::new(slot, key, &mut db.meta, &mut self.env)
    }

    /// Removes a key. The value is freed on another thread if `lazily` and it is large.
    pub fn delete(&mut self, index: DbIndex, key: &[u8], lazily: bool, event: Event) -> bool {
        match self.entry(index, key).take(event) {
            Some(entry) => {
                discard(&mut self.env, entry, lazily);
                true
            }
            None => false,
        }
    }

    /// Reads the buckets, and then the entries, of these keys into the cache ahead of use.
    #[inline]
    pub fn prefetch<'k>(&self, index: DbIndex, keys: impl Iterator<Item = &'k [u8]>) {
        const AHEAD: usize = 16;
        let table = &self.dbs[index.at()].table;
        if table.len() < PREFETCH_MIN_KEYS {
            return;
        }
        let mut hashes = [0u64; AHEAD];
        let mut n = 0;
        for key in keys.take(AHEAD) {
            hashes[n] = table.hash(key);
            table.prefetch_bucket(hashes[n]);
            n += 1;
        }
        for hash in &hashes[..n] {
            table.prefetch_items(*hash);
        }
    }

    /// The hash under which a database keeps a key, or 0 where prefetching is not worth it.
    #[inline]
    pub fn prefetch_bucket(&self, index: DbIndex, key: &[u8]) -> u64 {
        let table = &self.dbs[index.at()].table;
        if table.len() < PREFETCH_MIN_KEYS {
            return 0;
        }
        let hash = table.hash(key);
        table.prefetch_bucket(hash);
        hash
    }

    /// The second step of prefetching: the entries that the bucket's fingerprints point to.
    #[inline]
    pub fn prefetch_entry(&self, index: DbIndex, hash: u64) {
        if hash != 0 {
            self.dbs[index.at()].table.prefetch_items(hash);
        }
    }

    /// True if it takes longer to free a database than to send it to another thread.
    pub fn is_worth_sending(&self, index: DbIndex) -> bool {
        let table = &self.db(index).table;
        if table.len() > LAZY_FREE_MIN_EFFORT {
            return true;
        }
        table.iter().map(|entry| super::value::free_effort(&entry)).sum::<usize>() > LAZY_FREE_MIN_EFFORT
    }

    /// Removes every key of a database, on another thread if `lazily`. Returns how many there were.
    pub fn flush(&mut self, index: DbIndex, lazily: bool) -> u64 {
        let fresh = Table::new(self.hash_seed);
        let db = &mut self.dbs[index.at()];
        if !self.env.effects.watched.is_empty() {
            self.env.effects.watched.touch_all_of(db);
        }
        let table = std::mem::replace(&mut db.table, fresh);
        db.meta.volatile = 0;
        db.meta.ttl_mean = 0.0;
        db.meta.sweep_at = 0;
        db.meta.fields.clear();
        if let Some(slots) = &mut db.meta.slots {
            slots.clear();
        }
        let keys = table.len() as u64;
        let table = match &mut self.env.cut {
            Some(cut) => cut.flushed(index, table),
            None => Some(table),
        };
        // Clients may also hold copies of keys that do not exist, and of keys of other databases.
        if keys == 0 && !self.env.effects.tracked {
            return 0;
        }
        self.env.effects.flushed(index, keys);
        if let Some(table) = table
            && lazily
        {
            self.env.lazyfree.send(Garbage::Table(table));
        }
        keys
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.dbs.swap(a.at(), b.at());
        self.dbs[a.at()].meta.index = a;
        self.dbs[b.at()].meta.index = b;
        if let Some(cut) = &mut self.env.cut {
            cut.swapped(a, b);
        }
        let (now, watched) = (self.env.now(), &mut self.env.effects.watched);
        if !watched.is_empty() && a != b {
            watched.touch_exchanged(&self.dbs[b.at()], &self.dbs[a.at()], now);
            watched.touch_exchanged(&self.dbs[a.at()], &self.dbs[b.at()], now);
        }
        self.env.effects.swapped(a, b);
    }

    /// Other databases, empty, with the same settings: to be filled, and then to take the place of these.
    pub fn another(&self) -> Keyspace {
        let mut other = Keyspace::new(self.databases(), self.env.clock.clone(), self.hash_seed);
        other.env.settings = self.env.settings.clone();
        if self.is_node() {
            other.index_slots();
        }
        other
    }

    /// Puts the databases of `other` in the place of these, which are returned. There must be no cut.
    pub fn exchange(&mut self, mut other: Keyspace) -> Keyspace {
        std::mem::swap(&mut self.dbs, &mut other.dbs);
        let now = self.env.now();
        for (before, after) in other.dbs.iter().zip(&self.dbs) {
            if !self.env.effects.watched.is_empty() {
                self.env.effects.watched.touch_exchanged(before, after, now);
            }
            self.env.effects.flushed(after.meta.index, 0);
        }
        other
    }

    /// Has all keys freed on another thread.
    pub fn discard(self, lazyfree: &mut LazyFree) {
        for db in self.dbs {
            lazyfree.send(Garbage::Table(db.table));
        }
    }

    /// Makes room for so many keys that are about to be loaded. The number was checked against the size of what holds them.
    pub fn expect(&mut self, index: DbIndex, keys: usize) {
        let table = &mut self.dbs[index.at()].table;
        if table.is_empty() {
            table.reserve(keys);
        }
    }

    /// Files an entry that was read from a data file: no change of anybody's, so nothing is recorded. If the key is there
    /// already the entry takes its place if `replace`, else it is dropped and the result is false.
    pub fn file_loaded(&mut self, index: DbIndex, entry: Entry, replace: bool) -> bool {
        let Db { table, meta } = &mut self.dbs[index.at()];
        let hash = table.hash(entry.key());
        if table.get(hash, entry.key()).is_some() {
            if !replace {
                return false;
            }
            if self.env.cut.is_some() {
                before_change(&mut table.slot(hash, entry.key()), meta, &mut self.env);
            }
            if let Some(old) = table.remove(hash, entry.key()) {
                meta.entry_left(&old);
                meta.fields.left(&old);
                let lazily = self.env.settings.lazyfree_server_del;
                discard(&mut self.env, old, lazily);
            }
        }
        meta.volatile += entry.deadline().is_some() as usize;
        meta.fields.arrived(&entry);
        meta.key_arrived(entry.key());
        table.insert_unique(hash, entry);
        true
    }

    /// Lets tables give buckets back that they could not give back when they should have, a few at a time.
    pub fn maintain_tables(&mut self) {
        const BUCKETS: usize = 512;
        for db in &mut self.dbs {
            db.table.maintain(BUCKETS);
        }
    }

    /// Keeps account of the keys of each slot from now on: the server is a node of a cluster, which has one database.
    pub fn index_slots(&mut self) {
        let Db { table, meta } = &mut self.dbs[0];
        meta.slots = Some(Box::new(SlotIndex::new(table)));
    }

    /// True on a node of a cluster.
    pub fn is_node(&self) -> bool {
        self.dbs[0].meta.slots.is_some()
    }

    /// Number of keys in a slot, on a node of a cluster.
    pub fn keys_in_slot(&self, slot: u16) -> usize {
        self.dbs[0].meta.slots.as_ref().map_or(0, |slots| slots.count(slot))
    }

    /// Keys in all databases.
    pub fn total_keys(&self) -> usize {
        self.dbs.iter().map(|db| db.table.len()).sum()
    }

    /// Growth has paused: gives back memory that was made ready for more keys.
    pub fn settle(&mut self) {
        self.dbs.iter_mut().for_each(|db| db.table.settle());
    }

    /// Bytes that the tables take, without their entries.
    pub fn table_bytes(&self) -> usize {
        self.dbs.iter().map(|db| db.table.memory_bytes()).sum()
    }
}

/// Below this many keys a table stays in the cache by itself.
pub const PREFETCH_MIN_KEYS: usize = 4096;

/// Frees an entry, on another thread if `lazily` and it is worth it.
pub fn discard(env: &mut Env, entry: Entry, lazily: bool) {
    if let Some(cut) = &mut env.cut
        && cut.wants(&entry)
    {
        return cut.adopt(entry.into_value());
    }
    if lazily && is_worth_sending(&entry) {
        env.lazyfree.send(Garbage::Entry(entry));
    }
}

/// Frees the value of an entry that is about to be overwritten, on another thread if that is worth it and nobody forbade it.
pub(super) fn discard_value(env: &mut Env, entry: &mut Entry) {
    let take = |entry: &mut Entry| entry.map_value(|value| (crate::raw::entry::Value::Int(0), value));
    match &mut env.cut {
        Some(cut) if cut.wants(entry) => cut.adopt(take(entry)),
        _ if env.settings.lazyfree_server_del && is_worth_sending(entry) => env.lazyfree.send(Garbage::Value(take(entry))),
        _ => {}
    }
}

/// True if freeing it takes longer than sending it to another thread.
fn is_worth_sending(entry: &Entry) -> bool {
    super::value::free_effort(entry) > LAZY_FREE_MIN_EFFORT
}

/// The command by which followers hear that a key expired or was evicted: UNLINK only if there is something to free lazily.
pub fn removal_command(entry: &Entry, lazily: bool) -> &'static [u8] {
    if lazily && is_worth_sending(entry) { b"UNLINK" } else { b"DEL" }
}

#[inline]
fn touch(entry: &mut Entry, env: &mut Env) {
    let old = entry.clock();
    let new = env.used_clock(old);
    // Most reads fall into the second of the last one; not writing then keeps the line clean.
    if new != old {
        entry.set_clock(new);
    }
}

/// The key's slot, after removing the key if it is past its deadline.
#[inline]
fn find_live<'a>(table: &'a mut Table<Entry>, meta: &mut DbMeta, env: &mut Env, key: &[u8]) -> Slot<'a, Entry> {
    let hash = table.hash(key);
    if meta.volatile > 0 && table.get(hash, key).is_some_and(|entry| entry.deadline().is_some_and(|at| env.expiry_now() > at)) {
        if env.cut.is_some() {
            before_change(&mut table.slot(hash, key), meta, env);
        }
        if let Some(entry) = table.remove(hash, key) {
            expire(meta, env, entry);
        }
    }
    table.slot(hash, key)
}

/// Has the entry recorded by the cut, if the cut needs it, before it changes or goes.
#[cold]
pub(super) fn before_change(slot: &mut Slot<'_, Entry>, meta: &DbMeta, env: &mut Env) {
    if let Slot::Occupied(found) = slot
        && let Some(cut) = &mut env.cut
    {
        let due = found.is_due();
        if due {
            found.set_shown();
        }
        if due || cut.may_want(&found.get()) {
            found.with_mut(|entry| cut.before_change(meta.index, meta.origin, entry, due));
        }
    }
}

/// True if the key is held past its deadline.
#[cold]
fn is_past(db: &Db, env: &Env, key: &[u8]) -> bool {
    let entry = db.table.get(db.table.hash(key), key);
    entry.is_some_and(|entry| entry.deadline().is_some_and(|at| env.now() > at))
}

/// Accounts for an entry that was removed because its deadline passed.
pub(super) fn expire(meta: &mut DbMeta, env: &mut Env, entry: Entry) {
    meta.entry_left(&entry);
    meta.fields.left(&entry);
    env.stats.expired += 1;
    let key = entry.key();
    let lazily = env.settings.lazyfree_expire;
    env.effects.propagate_before(meta.index, || OwnedRequest::build([removal_command(&entry, lazily), key]));
    env.effects.went_away(meta.index, key, Event::EXPIRED);
    discard(env, entry, lazily);
}
