//! What a cut shows, transcribed into frames for the writer: the recorder of snapshots.

use super::frames::{FULL, Frames};
use super::writer::{Message, Shared};
use crate::ds::parts::quicklist::NodeView;
use crate::ds::stream::StreamId;
use crate::keyspace::cut::{Head, Recorder};
use crate::keyspace::{Entry, Env, Keyspace};
use crate::persist::rdb::encode::{Access, Encoder, Out, kind_of};
use crate::persist::rdb::format::{VERSION_ACCESS, VERSION_WRITTEN_MIN, opcode, version_of};
use crate::persist::rdb::save::{AccessKind, Options, version_of_head, write_head};
use crate::persist::rdb::stream;
use crate::raw::field::Field;
use crate::types::DbIndex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};

/// The walk waits while this many bytes wait for the writer.
const WALK_QUEUED_MAX: usize = 1 << 20;

/// Transcribes a cut.
pub struct Transcript {
    encoder: Encoder,
    access: AccessKind,
    clock: Clock,
    out: Frames,
    /// Whole entries that came while a collection was open, and the database that they end in.
    aside: Frames,
    aside_db: Option<DbIndex>,
    /// The database that the output is in.
    db: Option<DbIndex>,
    is_open: bool,
    version: u16,
    broken: bool,
    messages: Sender<Message>,
    spares: Receiver<Frames>,
    shared: Arc<Shared>,
}

/// What access clocks are compared with: a part of `Env`, as of the cut.
struct Clock {
    now_micros: i64,
    lfu_decay_minutes: u32,
}

impl Transcript {
    /// A transcript that begins with what stands before the first entry.
    pub fn new(
        keyspace: &Keyspace,
        options: Options,
        messages: Sender<Message>,
        spares: Receiver<Frames>,
        shared: Arc<Shared>,
    ) -> Transcript {
        let env = &keyspace.env;
        let mut encoder = Encoder::new(false);
        let mut out = Frames::new();
        write_head(&mut encoder, &options, &mut out);
        let version = version_of_head(&options);
        for db in (0..keyspace.databases() as u32).map(DbIndex) {
            let (keys, volatile) = (keyspace.db(db).table.len(), keyspace.db(db).meta.volatile);
            if keys > 0 {
                select(&mut encoder, db, &mut out);
                out.put(&[opcode::RESIZE_DB]);
                encoder.len(keys as u64, &mut out);
                encoder.len(volatile as u64, &mut out);
            }
        }
        Transcript {
            encoder,
            access: options.access,
            clock: Clock { now_micros: env.now_micros, lfu_decay_minutes: env.settings.lfu_decay_minutes },
            out,
            aside: Frames::default(),
            aside_db: None,
            db: None,
            is_open: false,
            version,
            broken: false,
            messages,
            spares,
            shared,
        }
    }

    fn access_of(&self, entry: &Entry) -> Option<Access> {
        match self.access {
            AccessKind::None => None,
            AccessKind::Idle => Some(Access::Idle(Env::idle_seconds_at(self.clock.now_micros, entry.clock()))),
            AccessKind::Frequency => {
                let counter = Env::lfu_decayed_at(self.clock.now_micros, self.clock.lfu_decay_minutes, entry.clock());
                Some(Access::Frequency(counter.min(255) as u8))
            }
        }
    }

    fn need(&mut self, kind: u8) {
        let access = if self.access == AccessKind::None { VERSION_WRITTEN_MIN } else { VERSION_ACCESS };
        self.version = self.version.max(version_of(kind)).max(access);
    }

    /// Sends the frames if there are enough of them.
    #[inline]
    fn settle(&mut self) {
        if self.out.size() >= FULL {
            self.send();
        }
    }

    fn send(&mut self) {
        let spare = self.spares.try_recv().unwrap_or_else(|_| Frames::new());
        let frames = std::mem::replace(&mut self.out, spare);
        self.shared.queued.fetch_add(frames.size(), Ordering::AcqRel);
        // A writer that is gone has failed, which is told by its result.
        let _ = self.messages.send(Message::Frames(frames));
    }
}

fn select(encoder: &mut Encoder, db: DbIndex, out: &mut Frames) {
    out.put(&[opcode::SELECT_DB]);
    encoder.len(db.0.into(), out);
}

impl Recorder for Transcript {
    fn entry(&mut self, db: DbIndex, entry: &Entry) {
        let access = self.access_of(entry);
        let (out, current) = match self.is_open {
            true => (&mut self.aside, &mut self.aside_db),
            false => (&mut self.out, &mut self.db),
        };
        if *current != Some(db) {
            select(&mut self.encoder, db, out);
            *current = Some(db);
        }
        let kind = self.encoder.entry(entry, access, out);
        out.keys += 1;
        self.need(kind);
        match self.is_open {
            true => self.shared.aside.store(self.aside.size(), Ordering::Relaxed),
            false => self.settle(),
        }
    }

    fn head(&mut self, entry: &Entry) -> Head {
        use crate::ds::object::Object;
        use crate::raw::entry::Payload;
        let (mut bytes, mut rest) = (Vec::new(), Vec::new());
        let kind = self.encoder.head(entry, self.access_of(entry), &mut bytes);
        self.need(kind);
        let (mut nearest, mut elements) = (None, 0);
        if let Payload::Boxed(_, object) = entry.payload() {
            elements = match object {
                Object::Hash(fields) => {
                    nearest = fields.nearest_deadline();
                    fields.len()
                }
                Object::Set(members) => members.0.len(),
                Object::SortedSet(members) => members.len(),
                Object::List(list) => list.node_count(),
                Object::Stream(value) => {
                    stream::write_rest(&mut self.encoder, value, &mut rest);
                    value.node_count()
                }
            };
        }
        if let Some(nearest) = nearest {
            bytes.put(&nearest.to_le_bytes());
        }
        self.encoder.len(elements as u64, &mut bytes);
        debug_assert_eq!(kind, kind_of(entry));
        Head { bytes, rest, nearest, elements: elements as u64 }
    }

    fn open(&mut self, db: DbIndex, head: &Head) {
        debug_assert!(!self.is_open);
        if self.db != Some(db) {
            select(&mut self.encoder, db, &mut self.out);
            self.db = Some(db);
        }
        self.out.put(&head.bytes);
        self.out.keys += 1;
        self.is_open = true;
    }

    fn field(&mut self, field: &Field, nearest: Option<i64>) {
        self.encoder.field(field, nearest, &mut self.out);
        self.settle();
    }

    fn member(&mut self, member: &[u8]) {
        self.encoder.text(member, &mut self.out);
        self.settle();
    }

    fn scored(&mut self, member: &[u8], score: f64) {
        self.encoder.scored(member, score, &mut self.out);
        self.settle();
    }

    fn list_node(&mut self, node: NodeView<'_>) {
        self.encoder.node(node, &mut self.out);
        self.settle();
    }

    fn stream_node(&mut self, base: StreamId, node: &[u8]) {
        stream::write_node(&mut self.encoder, base, node, &mut self.out);
        self.settle();
    }

    fn close(&mut self, head: &Head) {
        self.out.put(&head.rest);
        self.is_open = false;
        if let Some(db) = self.aside_db.take() {
            self.out.append(&mut self.aside);
            self.shared.aside.store(0, Ordering::Relaxed);
            self.db = Some(db);
        }
        self.settle();
    }

    fn contradiction(&mut self) {
        self.broken = true;
    }

    fn is_full(&self) -> bool {
        self.shared.queued.load(Ordering::Acquire) + self.out.size() > WALK_QUEUED_MAX
    }

    fn end(&mut self) -> bool {
        if self.broken || self.is_open {
            return false;
        }
        self.send();
        self.messages.send(Message::End { version: self.version }).is_ok()
    }
}
