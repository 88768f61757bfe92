//! An RDB file that arrives in pieces and goes straight into a keyspace (a full sync without a file on the disk).
//!
//! The reader of files pulls bytes; a socket pushes them. So the reader runs on a stack of its own: it is left when it
//! wants bytes that have not arrived, or has read something that is to be filed, and is taken up again with the answer. It
//! holds nothing of the server's in between.

use super::load::{AccessMark, Filling, Library, Loaded, Manner, Options, Reading, Sink};
use super::read::{LoadError, Result};
use crate::ds::object::Limits;
use crate::keyspace::{Entry, Keyspace};
use crate::types::DbIndex;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;

/// A file on its way from a socket into a keyspace.
pub struct Feed {
    routine: Option<Routine>,
    inlet: Rc<Inlet>,
    manner: Manner,
    loaded: Loaded,
    libraries: Vec<Library>,
    /// Entries that were read and are about to be filed.
    pending: Vec<(DbIndex, Entry)>,
}

type Routine = Coroutine<Answer, Want, Result<u64>>;
type Answer = std::result::Result<(), &'static str>;
type Way = Yielder<Answer, Want>;

/// What the reader suspends itself for.
enum Want {
    Bytes,
    File(Part),
}

/// Something read.
enum Part {
    Aux(Vec<u8>, Vec<u8>),
    Function(Vec<u8>),
    Expect(u64, u64),
    Empty(Vec<u8>),
    Entry(u64, Entry, AccessMark),
}

/// Bytes on their way to the reader.
#[derive(Default)]
struct Inlet {
    bytes: RefCell<Vec<u8>>,
    at: Cell<usize>,
    /// No more will come.
    ended: Cell<bool>,
}

impl Inlet {
    fn take(&self, out: &mut [u8]) -> usize {
        let (bytes, at) = (self.bytes.borrow(), self.at.get());
        let n = out.len().min(bytes.len() - at);
        out[..n].copy_from_slice(&bytes[at..at + n]);
        self.at.set(at + n);
        n
    }

    fn fill(&self, more: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        bytes.drain(..self.at.replace(0));
        bytes.extend_from_slice(more);
    }
}

/// The reader's end of the inlet.
struct Outlet<'y> {
    inlet: Rc<Inlet>,
    way: &'y Way,
}

impl Read for Outlet<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let n = self.inlet.take(out);
            if n > 0 || self.inlet.ended.get() || out.is_empty() {
                return Ok(n);
            }
            // An answer to this has nothing to say.
            let _ = self.way.suspend(Want::Bytes);
        }
    }
}

/// Hands what was read to those who hold the keyspace.
struct Handing<'y>(&'y Way);

impl Handing<'_> {
    fn hand(&self, part: Part) -> Answer {
        self.0.suspend(Want::File(part))
    }
}

impl Sink for Handing<'_> {
    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let _ = self.hand(Part::Aux(name.to_vec(), value.to_vec()));
    }

    fn function(&mut self, code: &[u8]) {
        let _ = self.hand(Part::Function(code.to_vec()));
    }

    fn expect(&mut self, db: u64, keys: u64) {
        let _ = self.hand(Part::Expect(db, keys));
    }

    fn empty(&mut self, key: &[u8]) {
        let _ = self.hand(Part::Empty(key.to_vec()));
    }

    fn entry(&mut self, db: u64, entry: Entry, access: AccessMark) -> Answer {
        self.hand(Part::Entry(db, entry, access))
    }
}

/// Whether the file is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fed {
    More,
    Done,
}

impl Feed {
    /// A file of `len` bytes (`u64::MAX` if that is not known) for a keyspace with these limits.
    pub fn new(len: u64, manner: Manner, limits: Limits) -> Feed {
        let inlet = Rc::<Inlet>::default();
        let reader = inlet.clone();
        let routine = Coroutine::new(move |way: &Way, _: Answer| {
            let options = Options { limits: &limits, checksum: manner.checksum, deep: manner.deep };
            let mut reading = Reading::begin(Outlet { inlet: reader, way }, len, manner.checksum)?;
            while reading.step(options, &mut Handing(way))? {}
            Ok(reading.offset())
        });
        Feed { routine: Some(routine), inlet, manner, loaded: Loaded::default(), libraries: Vec::new(), pending: Vec::new() }
    }

    /// Reads on with the bytes that arrived.
    ///
    /// # Errors
    /// The file is broken, here or before.
    pub fn push(&mut self, bytes: &[u8], keyspace: &mut Keyspace) -> Result<Fed> {
        self.inlet.fill(bytes);
        let Some(mut routine) = self.routine.take() else { return Ok(Fed::Done) };
        let now = keyspace.env.clock.millis();
        let Feed { manner, loaded, libraries, pending, .. } = self;
        let mut sink = Filling { keyspace, now, manner: *manner, loaded, libraries, pending };
        let mut answer = Ok(());
        let read = loop {
            match routine.resume(answer) {
                CoroutineResult::Yield(Want::Bytes) => break None,
                CoroutineResult::Yield(Want::File(part)) => answer = file(&mut sink, part),
                CoroutineResult::Return(read) => break Some(read?),
            }
        };
        let offset = read.unwrap_or_default();
        sink.file_pending().map_err(|reason| LoadError { offset, reason: reason.into() })?;
        Ok(match read {
            None => {
                self.routine = Some(routine);
                Fed::More
            }
            Some(bytes) => {
                self.loaded.bytes = bytes;
                Fed::Done
            }
        })
    }

    /// No more bytes will come.
    ///
    /// # Errors
    /// The file is not complete.
    pub fn end(&mut self, keyspace: &mut Keyspace) -> Result<()> {
        self.inlet.ended.set(true);
        match self.push(&[], keyspace)? {
            Fed::Done => Ok(()),
            Fed::More => Err(LoadError { offset: self.loaded.bytes, reason: "the data end too early".into() }),
        }
    }

    /// What came of it, and the libraries of functions in the file.
    pub fn finish(mut self) -> (Loaded, Vec<Library>) {
        (std::mem::take(&mut self.loaded), std::mem::take(&mut self.libraries))
    }
}

impl Drop for Feed {
    /// A reader that is given up reads to its end: there is no other way off its stack.
    fn drop(&mut self) {
        self.inlet.ended.set(true);
        if let Some(mut routine) = self.routine.take() {
            while let CoroutineResult::Yield(_) = routine.resume(Err("given up")) {}
        }
    }
}

fn file(sink: &mut Filling<'_>, part: Part) -> Answer {
    match part {
        Part::Aux(name, value) => sink.aux(&name, &value),
        Part::Function(code) => sink.function(&code),
        Part::Expect(db, keys) => sink.expect(db, keys),
        Part::Empty(key) => sink.empty(&key),
        Part::Entry(db, entry, access) => return sink.entry(db, entry, access),
    }
    Ok(())
}
