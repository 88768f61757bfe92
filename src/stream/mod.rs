//! The write stream: every write, encoded once, in the order in which it happened. The append-only file and replicas are
//! consumers of it; while there are none, nothing is encoded.
//!
//! An execution unit that changed more than one thing is wrapped in MULTI/EXEC; a change of database is told by SELECT.

use crate::resp::request::Args;
use crate::types::DbIndex;

/// Takes the bytes of the stream.
pub trait Consumer {
    /// Called once per batch of requests with everything that the batch wrote.
    fn append(&mut self, bytes: &[u8]);
}

/// The stream and those who read it.
#[derive(Default)]
pub struct WriteStream {
    consumers: Vec<Box<dyn Consumer>>,
    pending: Vec<u8>,
    selected: Option<DbIndex>,
    /// Bytes written since the start.
    pub offset: u64,
}

impl WriteStream {
    /// Adds a reader; it sees everything from here on.
    pub fn attach(&mut self, consumer: Box<dyn Consumer>) {
        self.flush();
        self.selected = None;
        self.consumers.push(consumer);
    }

    /// True if anybody reads.
    pub fn has_consumers(&self) -> bool {
        !self.consumers.is_empty()
    }

    /// Appends the requests of one execution unit.
    pub fn append_unit<'a>(&mut self, unit: &[(DbIndex, Args<'a>)]) {
        if unit.is_empty() || self.consumers.is_empty() {
            return;
        }
        if unit.len() > 1 {
            // SELECT goes before MULTI, so that the transaction holds nothing but its own requests.
            self.select(unit[0].0);
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
        for consumer in &mut self.consumers {
            consumer.append(&self.pending);
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

fn encode<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
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
