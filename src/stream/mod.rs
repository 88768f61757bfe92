//! The write stream: every write, encoded once, in the order in which it happened. The append-only file and replicas are
//! consumers of it; while there are none, nothing is encoded.
//!
//! An execution unit that changed more than one thing is wrapped in MULTI/EXEC; a change of database is told by SELECT.

use crate::resp::request::Args;
use crate::types::DbIndex;

/// Takes the bytes of the stream.
pub trait Consumer {
    /// Called once per batch of requests with everything that the batch wrote: whole execution units. `end` is the stream's
    /// offset behind it.
    fn append(&mut self, bytes: &[u8], end: u64);
}

/// Names a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerId(u64);

/// The stream and those who read it.
#[derive(Default)]
pub struct WriteStream {
    consumers: Vec<(ConsumerId, Box<dyn Consumer>)>,
    last_id: u64,
    /// Requests are read back from a file: nobody is told.
    pub silent: bool,
    pending: Vec<u8>,
    selected: Option<DbIndex>,
    /// Bytes handed out since the start.
    pub offset: u64,
}

impl WriteStream {
    /// Adds a reader; it sees everything from here on.
    pub fn attach(&mut self, consumer: Box<dyn Consumer>) -> ConsumerId {
        self.begin_part();
        self.last_id += 1;
        let id = ConsumerId(self.last_id);
        self.consumers.push((id, consumer));
        id
    }

    /// Removes a reader; it has seen everything up to here.
    pub fn detach(&mut self, id: ConsumerId) {
        self.flush();
        self.consumers.retain(|(consumer, _)| *consumer != id);
    }

    /// What follows can be read without what came before: it names its database first.
    pub fn begin_part(&mut self) {
        self.flush();
        self.selected = None;
    }

    /// The offset behind everything written so far, handed out or not.
    pub fn end(&self) -> u64 {
        self.offset + self.pending.len() as u64
    }

    /// Bytes written and not yet handed out.
    pub fn pending_len(&self) -> u64 {
        self.pending.len() as u64
    }

    /// True if anybody reads.
    pub fn has_consumers(&self) -> bool {
        !self.consumers.is_empty() && !self.silent
    }

    /// Appends the requests of one execution unit.
    pub fn append_unit<'a>(&mut self, unit: &[(DbIndex, Args<'a>)]) {
        if unit.is_empty() || !self.has_consumers() {
            return;
        }
        if unit.len() > 1 {
            encode(&mut self.pending, [&b"MULTI"[..]].into_iter());
        }
        for (db, args) in unit {
            self.select(*db);
            encode(&mut self.pending, args.from(0));
        }
        if unit.len() > 1 {
            encode(&mut self.pending, [&b"EXEC"[..]].into_iter());
        }
    }

    /// Hands everything written since the last call to the consumers: once per batch.
    #[inline]
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.offset += self.pending.len() as u64;
        for (_, consumer) in &mut self.consumers {
            consumer.append(&self.pending, self.offset);
        }
        self.pending.clear();
    }

    fn select(&mut self, db: DbIndex) {
        if self.selected != Some(db) {
            let mut text = itoa::Buffer::new();
            encode(&mut self.pending, [&b"SELECT"[..], text.format(db.0).as_bytes()].into_iter());
            self.selected = Some(db);
        }
    }
}

/// Appends a request as it goes over the wire.
pub fn encode<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut text = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(text.format(args.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for arg in args {
        out.push(b'$');
        out.extend_from_slice(text.format(arg.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
