//! The keyspace as it was at one moment, recorded bit by bit while commands go on changing it: what snapshots are made of.
//!
//! A cut begins in no time: the tables do the walking and know which of their entries are due (`raw::table`). Then
//! [`Keyspace::cut_step`] walks on whenever the engine has time, and whoever is about to change an entry that is due has it
//! recorded first ([`Cut::before_change`], called by `Keyspace::entry` and by whatever else removes entries). One entry
//! at a time, not the bucket with it: the entry is in the cache by then, and memory for what is recorded ahead of the walk
//! grows with what is written, not with nine times that.
//!
//! Large collections would hold up whoever meets them. The walk passes them by and comes back when it has seen all tables.
//! Who writes to one meanwhile begins a cut of the collection itself, in no time again: fields and members are in tables
//! of the same kind, and lists and streams do the like with their nodes. From then on it bears a label by which it is found
//! wherever it goes: under another key, into another database, or out of the keyspace, which leaves it to the cut.
//!
//! A database that is flushed leaves its table to the cut. Databases that change places take their tables along.

use super::db::{Db, Keyspace};
use super::lazyfree::Garbage;
use super::value::{Entry, Object, free_effort};
use crate::ds::object::Variant;
use crate::ds::parts::quicklist::{NodeView, Quicklist};
use crate::ds::stream::{Stream, StreamId};
use crate::raw::entry::{Payload, PayloadMut, Value};
use crate::raw::field::Field;
use crate::raw::table::{CutOf, Item, Slot, Table};
use crate::types::DbIndex;
use std::collections::{HashMap, VecDeque};

/// Takes down what it is shown. Between `open` and `close` other entries may come whole.
pub trait Recorder {
    /// A whole entry of a database.
    fn entry(&mut self, db: DbIndex, entry: &Entry);
    /// What is to be said of a large collection ahead of its elements. Nothing is recorded yet.
    fn head(&mut self, entry: &Entry) -> Head;
    /// The elements of a large collection are about to come, in no order, or its nodes, in theirs.
    fn open(&mut self, db: DbIndex, head: &Head);
    /// A field of the hash; with its deadline if the hash had any, which the nearest one tells.
    fn field(&mut self, field: &Field, nearest: Option<i64>);
    /// A member of the set.
    fn member(&mut self, member: &[u8]);
    /// A member of the sorted set.
    fn scored(&mut self, member: &[u8], score: f64);
    /// A node of the list.
    fn list_node(&mut self, node: NodeView<'_>);
    /// A node of the stream, and the id it is kept by.
    fn stream_node(&mut self, base: StreamId, node: &[u8]);
    /// The collection is complete.
    fn close(&mut self, head: &Head);
    /// The collection turned out to be another than its head said: what was recorded is worth nothing.
    fn contradiction(&mut self);
    /// True while nothing more should be brought that can wait.
    fn is_full(&self) -> bool;
    /// That was all. False if what was recorded is worth nothing.
    fn end(&mut self) -> bool;
}

/// What is told of a large collection ahead of its elements.
pub struct Head {
    /// What goes ahead of the elements and what comes after them, as the recorder wants it.
    pub bytes: Vec<u8>,
    pub rest: Vec<u8>,
    /// The nearest deadline of a field.
    pub nearest: Option<i64>,
    /// Elements or nodes.
    pub elements: u64,
}

/// A collection of more elements than this is recorded bit by bit: they take about 25 µs.
const ELEMENTS_AT_ONCE: usize = 256;
/// The same for lists and streams, in nodes of a few kilobytes.
const NODES_AT_ONCE: usize = 32;
/// Nodes that take about as long as a bucket of a table.
const NODES_PER_BUCKET: usize = 1;

/// How a walk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    Going,
    /// The recorder wants a pause.
    Full,
    Done,
}

/// A cut being recorded.
pub struct Cut {
    recorder: Box<dyn Recorder>,
    walks: Vec<Walk>,
    /// The walk in progress.
    at: usize,
    /// Large collections by their labels.
    large: Vec<Large>,
    /// Those to be recorded, in order.
    queue: VecDeque<u32>,
    /// Those without a cut of their own, by where they are.
    untouched: HashMap<DbIndex, HashMap<Box<[u8]>, u32>>,
    /// Keys there were.
    pub keys: u64,
    /// Keys recorded.
    pub keys_done: u64,
}

/// The walk of one table.
struct Walk {
    /// The database that it was.
    origin: DbIndex,
    table: Whereabouts,
}

enum Whereabouts {
    /// It is the table of this database.
    Live(DbIndex),
    /// The database was flushed.
    Left(Table<Entry>),
}

/// A large collection.
struct Large {
    origin: DbIndex,
    /// There once the collection has a cut of its own, or is being recorded.
    head: Option<Head>,
    place: Place,
    open: bool,
    recorded: u64,
}

enum Place {
    Live(DbIndex, Box<[u8]>),
    /// In a table that was left to the cut.
    Left(usize, Box<[u8]>),
    /// Removed from the keyspace.
    Orphan(Value<Object>),
    Recorded,
}

impl Cut {
    /// An entry of the database that now is `db` is about to change or to go. `due`: its table has yet to show it.
    pub fn before_change(&mut self, db: DbIndex, origin: DbIndex, entry: &mut Entry, due: bool) {
        if due {
            self.keys_done += 1;
            if !is_large(entry) {
                return self.recorder.entry(origin, entry);
            }
            let label = self.add(origin, Place::Live(db, entry.key().into()));
            self.protect(label, entry);
        } else if let Payload::Boxed(..) = entry.payload()
            && let Some(label) = self.untouched.get_mut(&db).and_then(|keys| keys.remove(entry.key()))
        {
            self.protect(label, entry);
        }
    }

    /// An entry was put under a key.
    pub fn filed(&mut self, db: DbIndex, entry: &Entry) {
        if let Some(label) = label_of(entry.payload()) {
            self.large[label as usize].place = Place::Live(db, entry.key().into());
        }
    }

    /// False if an entry that is not due is none of the cut's business any more.
    #[inline]
    pub fn may_want(&self, entry: &Entry) -> bool {
        !self.untouched.is_empty() && matches!(entry.payload(), Payload::Boxed(..))
    }

    /// True if the cut has yet to record something of this entry, which is about to leave the keyspace.
    pub fn wants(&self, entry: &Entry) -> bool {
        label_of(entry.payload()).is_some()
    }

    /// Takes over a value that the cut wants and that left the keyspace.
    pub fn adopt(&mut self, value: Value<Object>) {
        if let Value::Boxed(_, object) = &value
            && let Some(label) = label_of_object(object)
        {
            self.large[label as usize].place = Place::Orphan(value);
        }
    }

    /// A database is emptied. If the cut needs its table still it takes it over, else gives it back.
    pub fn flushed(&mut self, db: DbIndex, table: Table<Entry>) -> Option<Table<Entry>> {
        let known = self.walks.iter().position(|walk| matches!(walk.table, Whereabouts::Live(at) if at == db));
        let walk = match known {
            Some(walk) => walk,
            // A table that is none of the cut's can hold collections of the cut: they were moved there.
            None if self.large.iter().any(|large| matches!(&large.place, Place::Live(at, _) if *at == db)) => {
                self.walks.push(Walk { origin: db, table: Whereabouts::Live(db) });
                self.walks.len() - 1
            }
            None => return Some(table),
        };
        self.walks[walk].table = Whereabouts::Left(table);
        self.untouched.remove(&db);
        for large in &mut self.large {
            if let Place::Live(at, key) = &mut large.place
                && *at == db
            {
                large.place = Place::Left(walk, std::mem::take(key));
            }
        }
        None
    }

    /// Two databases change places.
    pub fn swapped(&mut self, a: DbIndex, b: DbIndex) {
        let other = |db: &mut DbIndex| match *db {
            at if at == a => *db = b,
            at if at == b => *db = a,
            _ => {}
        };
        for walk in &mut self.walks {
            if let Whereabouts::Live(db) = &mut walk.table {
                other(db);
            }
        }
        for large in &mut self.large {
            if let Place::Live(db, _) = &mut large.place {
                other(db);
            }
        }
        let (of_a, of_b) = (self.untouched.remove(&a), self.untouched.remove(&b));
        self.untouched.extend(of_a.map(|keys| (b, keys)).into_iter().chain(of_b.map(|keys| (a, keys))));
    }

    /// True when everything is recorded.
    pub fn is_done(&self) -> bool {
        self.at >= self.walks.len() && self.queue.is_empty()
    }

    fn add(&mut self, origin: DbIndex, place: Place) -> u32 {
        let label = self.large.len() as u32;
        self.large.push(Large { origin, head: None, place, open: false, recorded: 0 });
        self.queue.push_back(label);
        label
    }

    /// Makes a large collection fit to be changed, by a cut of its own.
    fn protect(&mut self, label: u32, entry: &mut Entry) {
        let large = &mut self.large[label as usize];
        if large.head.is_none() {
            large.head = Some(self.recorder.head(entry));
        }
        if let PayloadMut::Boxed(object) = entry.payload_mut() {
            begin(object, label);
        }
    }

    /// Walks on by a number of buckets, more or less. Values that are no longer needed go to `garbage`.
    fn step(&mut self, dbs: &mut [Db], buckets: usize, garbage: &mut dyn FnMut(Garbage)) -> Progress {
        if self.recorder.is_full() {
            return Progress::Full;
        }
        if self.at < self.walks.len() {
            if self.walk(dbs, buckets) {
                self.at += 1;
            }
            return Progress::Going;
        }
        let Some(&label) = self.queue.front() else { return Progress::Done };
        if self.record_large(dbs, label, buckets) {
            self.queue.pop_front();
            let place = std::mem::replace(&mut self.large[label as usize].place, Place::Recorded);
            if let Place::Orphan(value) = place {
                garbage(Garbage::Orphan(value));
            }
        }
        Progress::Going
    }

    /// Walks on in a table. True when it is done.
    fn walk(&mut self, dbs: &mut [Db], buckets: usize) -> bool {
        let at = self.at;
        let origin = self.walks[at].origin;
        let mut passed: Vec<Box<[u8]>> = Vec::new();
        let (recorder, keys_done) = (&mut *self.recorder, &mut self.keys_done);
        let mut show = |entry: &Entry| {
            *keys_done += 1;
            if is_large(entry) { passed.push(entry.key().into()) } else { recorder.entry(origin, entry) }
        };
        let (done, live) = match &mut self.walks[at].table {
            Whereabouts::Live(db) => (dbs[db.at()].table.cut_step(buckets, &mut show), Some(*db)),
            Whereabouts::Left(table) => (table.cut_step(buckets, &mut show), None),
        };
        for key in passed {
            match live {
                Some(db) => {
                    let label = self.add(origin, Place::Live(db, key.clone()));
                    self.untouched.entry(db).or_default().insert(key, label);
                }
                None => {
                    self.add(origin, Place::Left(at, key));
                }
            }
        }
        done
    }

    /// Records some of a large collection. True when it is done.
    fn record_large(&mut self, dbs: &mut [Db], label: u32, buckets: usize) -> bool {
        let Cut { recorder, walks, large, untouched, .. } = self;
        let large = &mut large[label as usize];
        let recorder = &mut **recorder;
        let mut place = std::mem::replace(&mut large.place, Place::Recorded);
        let found = match &mut place {
            Place::Live(db, key) => {
                if large.head.is_none()
                    && let Some(keys) = untouched.get_mut(db)
                {
                    // From here on the cut is the collection's own.
                    keys.remove(key);
                }
                let table = &mut dbs[db.at()].table;
                record_at(table, key, large, label, recorder, buckets)
            }
            Place::Left(walk, key) => match &mut walks[*walk].table {
                Whereabouts::Left(table) => record_at(table, key, large, label, recorder, buckets),
                Whereabouts::Live(_) => None,
            },
            Place::Orphan(Value::Boxed(_, object)) => Some(advance(large, recorder, object, buckets)),
            Place::Orphan(_) => None,
            Place::Recorded => Some(true),
        };
        large.place = place;
        if found.is_none() {
            debug_assert!(false, "a large collection of the cut is gone");
            recorder.contradiction();
        }
        found.unwrap_or(true)
    }
}

/// Begins a collection's own cut, unless it has one.
fn begin(object: &mut Object, label: u32) {
    if label_of_object(object).is_some() {
        return;
    }
    match object {
        Object::Hash(fields) => fields.cut().begin(label),
        Object::Set(members) => members.cut().begin(label),
        Object::SortedSet(members) => members.cut().begin(label),
        Object::List(list) => list.cut().begin(label),
        Object::Stream(stream) => stream.cut().begin(label),
    }
}

/// Records some of the large collection under a key. `None` if it is not there.
fn record_at(
    table: &mut Table<Entry>,
    key: &[u8],
    large: &mut Large,
    label: u32,
    recorder: &mut dyn Recorder,
    buckets: usize,
) -> Option<bool> {
    let Slot::Occupied(mut found) = table.slot(table.hash(key), key) else { return None };
    found.with_mut(|entry| {
        if large.head.is_none() {
            large.head = Some(recorder.head(entry));
            if let PayloadMut::Boxed(object) = entry.payload_mut() {
                begin(object, label);
            }
        }
        match entry.payload_mut() {
            PayloadMut::Boxed(object) => Some(advance(large, recorder, object, buckets)),
            _ => None,
        }
    })
}

/// Records some of a collection. True when that was the last of it.
fn advance(large: &mut Large, recorder: &mut dyn Recorder, object: &mut Object, buckets: usize) -> bool {
    let Some(head) = &large.head else { return true };
    if !large.open {
        recorder.open(large.origin, head);
        large.open = true;
    }
    let (elements, nearest, recorded) = (head.elements, head.nearest, &mut large.recorded);
    let done = match object {
        Object::Hash(fields) => elements_of(fields.cut(), buckets, recorded, &mut |field| recorder.field(field, nearest)),
        Object::Set(members) => elements_of(members.cut(), buckets, recorded, &mut |text| recorder.member(text.bytes())),
        Object::SortedSet(members) => {
            elements_of(members.cut(), buckets, recorded, &mut |member| recorder.scored(member.bytes(), member.score()))
        }
        Object::List(list) => {
            let mut cut = list.cut();
            let done = cut.step(buckets.saturating_mul(NODES_PER_BUCKET), &mut |node| {
                *recorded += 1;
                recorder.list_node(node);
            });
            if done {
                cut.end();
            }
            done
        }
        Object::Stream(stream) => {
            let mut cut = stream.cut();
            let done = cut.step(buckets.saturating_mul(NODES_PER_BUCKET), &mut |base, node| {
                *recorded += 1;
                recorder.stream_node(base, node);
            });
            if done {
                cut.end();
            }
            done
        }
    };
    if done {
        if *recorded != elements {
            debug_assert!(false, "a collection of {elements} elements was recorded with {recorded}");
            recorder.contradiction();
        }
        recorder.close(head);
    }
    done
}

/// Shows some elements of a collection with a cut of its own, those first that changed since.
fn elements_of<T: Item>(mut table: CutOf<'_, T>, buckets: usize, recorded: &mut u64, show: &mut dyn FnMut(&T)) -> bool {
    let mut count = |item: &T| {
        *recorded += 1;
        show(item);
    };
    table.take_kept().iter().for_each(&mut count);
    let done = table.step(buckets, &mut count);
    if done {
        table.end();
    }
    done
}

/// True for collections that are not recorded in one go.
fn is_large(entry: &Entry) -> bool {
    match entry.payload() {
        Payload::Boxed(kind, _) => {
            let at_once = if kind == Quicklist::KIND || kind == Stream::KIND { NODES_AT_ONCE } else { ELEMENTS_AT_ONCE };
            free_effort(entry) > at_once
        }
        _ => false,
    }
}

fn label_of(payload: Payload<'_, Object>) -> Option<u32> {
    match payload {
        Payload::Boxed(_, object) => label_of_object(object),
        _ => None,
    }
}

fn label_of_object(object: &Object) -> Option<u32> {
    match object {
        Object::Hash(fields) => fields.table().cut_label(),
        Object::Set(members) => members.0.cut_label(),
        Object::SortedSet(members) => members.index().cut_label(),
        Object::List(list) => list.cut_label(),
        Object::Stream(stream) => stream.cut_label(),
    }
}

/// Ends a collection's own cut.
fn end_own_cut(object: &mut Object) {
    match object {
        Object::Hash(fields) => fields.cut().end(),
        Object::Set(members) => members.cut().end(),
        Object::SortedSet(members) => members.cut().end(),
        Object::List(list) => list.cut().end(),
        Object::Stream(stream) => stream.cut().end(),
    }
}

impl Keyspace {
    /// Begins to record the keyspace as it is now.
    ///
    /// # Panics
    /// If a cut is being recorded.
    pub fn begin_cut(&mut self, recorder: Box<dyn Recorder>) {
        assert!(self.env.cut.is_none(), "one cut at a time");
        let mut cut = Cut {
            recorder,
            walks: Vec::new(),
            at: 0,
            large: Vec::new(),
            queue: VecDeque::new(),
            untouched: HashMap::new(),
            keys: self.total_keys() as u64,
            keys_done: 0,
        };
        for db in self.all_mut().iter_mut().filter(|db| !db.table.is_empty()) {
            db.meta.origin = db.meta.index;
            db.table.begin_cut(0);
            cut.walks.push(Walk { origin: db.meta.index, table: Whereabouts::Live(db.meta.index) });
        }
        self.env.cut = Some(Box::new(cut));
    }

    /// Records some more, about as much as so many buckets of a table hold.
    pub fn cut_step(&mut self, buckets: usize) -> Progress {
        let Some(mut cut) = self.env.cut.take() else { return Progress::Done };
        let (dbs, env) = self.all_and_env_mut();
        let progress = cut.step(dbs, buckets, &mut |garbage| env.lazyfree.send(garbage));
        self.env.cut = Some(cut);
        progress
    }

    /// Ends the cut, whether or not all of it is recorded, and gives the recorder back.
    pub fn end_cut(&mut self) -> Option<Box<dyn Recorder>> {
        let cut = self.env.cut.take()?;
        let Cut { recorder, walks, large, .. } = *cut;
        for large in large {
            match large.place {
                Place::Live(db, key) if large.head.is_some() => {
                    let table = &mut self.db_mut(db).0.table;
                    if let Slot::Occupied(mut found) = table.slot(table.hash(&key), &key) {
                        found.with_mut(|entry| {
                            if let PayloadMut::Boxed(object) = entry.payload_mut() {
                                end_own_cut(object);
                            }
                        });
                    }
                }
                Place::Orphan(value) => self.env.lazyfree.send(Garbage::Orphan(value)),
                _ => {}
            }
        }
        for walk in walks {
            match walk.table {
                Whereabouts::Live(db) => self.db_mut(db).0.table.end_cut(),
                Whereabouts::Left(table) => self.env.lazyfree.send(Garbage::Table(table)),
            }
        }
        Some(recorder)
    }
}
