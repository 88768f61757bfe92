//! The write stream: every write, encoded once, in the order in which it happened. The append-only file and replicas are
//! consumers of it; while there are none, nothing is encoded.
//!
//! An execution unit that changed more than one thing is wrapped in MULTI/EXEC; a change of database is told by SELECT.
//!
//! A script can keep a write from the file or from the replicas (`redis.set_repl`). The file then lacks these bytes; replicas
//! get as many line ends in their stead, which mean nothing, so that offsets stay the same everywhere.

use crate::resp::request::{Args, OwnedRequest};
use crate::types::DbIndex;
use std::ops::Range;

/// Who is told of a write: any of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Targets(pub u8);

impl Targets {
    pub const NONE: Targets = Targets(0);
    pub const FILE: Targets = Targets(1);
    pub const REPLICAS: Targets = Targets(2);
    pub const ALL: Targets = Targets(3);
}

/// A request of an execution unit, with its database and who is told of it.
pub type Part = (DbIndex, OwnedRequest, Targets);

/// Takes the bytes of the stream.
pub trait Consumer {
    /// Which of both it is. One that is both is given everything.
    fn target(&self) -> Targets {
        Targets::REPLICAS
    }

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
    /// Which of these bytes are not for all.
    partial: Vec<(Range<usize>, Targets)>,
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

    /// The database that what comes next is about, unless it names another. (Where none was named yet, the next one is.)
    pub fn selected(&self) -> DbIndex {
        self.selected.unwrap_or_default()
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
        self.append(unit.iter().map(|(db, args)| (*db, *args, Targets::ALL)));
    }

    /// As `append_unit`, for requests that are not all for everybody.
    pub fn append_parts(&mut self, unit: &[Part]) {
        self.append(unit.iter().map(|(db, request, targets)| (*db, request.args(), *targets)));
    }

    fn append<'a>(&mut self, unit: impl ExactSizeIterator<Item = (DbIndex, Args<'a>, Targets)>) {
        let count = unit.len();
        if count == 0 || !self.has_consumers() {
            return;
        }
        if count > 1 {
            encode(&mut self.pending, [&b"MULTI"[..]].into_iter());
        }
        for (db, args, targets) in unit {
            self.select(db);
            let start = self.pending.len();
            encode(&mut self.pending, args.from(0));
            if targets != Targets::ALL {
                self.partial.push((start..self.pending.len(), targets));
            }
        }
        if count > 1 {
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
        let partial = std::mem::take(&mut self.partial);
        for (_, consumer) in &mut self.consumers {
            if partial.is_empty() || consumer.target() == Targets::ALL {
                consumer.append(&self.pending, self.offset);
            } else {
                consumer.append(&select_bytes(&self.pending, &partial, consumer.target()), self.offset);
            }
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

/// The bytes that one target is given.
#[cold]
fn select_bytes(bytes: &[u8], partial: &[(Range<usize>, Targets)], target: Targets) -> Vec<u8> {
    let mut selected = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for (range, targets) in partial {
        if targets.0 & target.0 == 0 {
            selected.extend_from_slice(&bytes[from..range.start]);
            if target == Targets::REPLICAS {
                selected.resize(selected.len() + range.len(), b'\n');
            }
            from = range.end;
        }
    }
    selected.extend_from_slice(&bytes[from..]);
    selected
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    struct Tape(Targets, Rc<RefCell<Vec<u8>>>);

    impl Consumer for Tape {
        fn target(&self) -> Targets {
            self.0
        }

        fn append(&mut self, bytes: &[u8], _end: u64) {
            self.1.borrow_mut().extend_from_slice(bytes);
        }
    }

    #[test]
    fn parts_go_to_whom_they_are_for() {
        let mut stream = WriteStream::default();
        let read = |stream: &mut WriteStream, target| {
            let bytes = Rc::new(RefCell::new(Vec::new()));
            stream.attach(Box::new(Tape(target, bytes.clone())));
            bytes
        };
        let [file, replica, both] = [Targets::FILE, Targets::REPLICAS, Targets::ALL].map(|target| read(&mut stream, target));
        let part = |word: &[u8], targets| (DbIndex(0), OwnedRequest::build([word]), targets);
        stream.append_parts(&[part(b"a", Targets::FILE), part(b"b", Targets::REPLICAS), part(b"c", Targets::ALL)]);
        stream.flush();
        let multi = "*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
        let [a, b, c] = ["a", "b", "c"].map(|word| format!("*1\r\n$1\r\n{word}\r\n"));
        let exec = "*1\r\n$4\r\nEXEC\r\n";
        let text = |bytes: &RefCell<Vec<u8>>| String::from_utf8(bytes.borrow().clone()).unwrap();
        assert_eq!(text(&both), format!("{multi}{a}{b}{c}{exec}"));
        assert_eq!(text(&file), format!("{multi}{a}{c}{exec}"));
        assert_eq!(text(&replica), format!("{multi}{}{b}{c}{exec}", "\n".repeat(a.len())));
        assert_eq!(stream.offset, both.borrow().len() as u64);
    }
}
