//! The data of a full sync on their way to the replicas: a pipe for each, from the thread that makes or reads the data to the
//! engine, which hands them to the replica's connection as it takes them.
//!
//! Without a file one snapshot feeds several pipes. What is in them is shared, not copied. When all replicas are slow the
//! snapshot waits; when only some are, what those have not taken yet goes to a file without a name, so that the others go on.

use crate::persist::rdb::format::{HEADER_LEN, VERSION_FUNCTIONS};
use crate::persist::snapshot::sink::Sink;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// More bytes than this do not wait in memory.
const BYTES_MAX: usize = 16 << 20;
/// A replica for which less than this waits is held up by the others.
const BYTES_HUNGRY: usize = 1 << 20;
/// Bytes read from a file at once.
const CHUNK: usize = 256 << 10;
/// From look to look at whether anybody still wants the data.
const LOOK: Duration = Duration::from_millis(20);

/// The writing end of a pipe.
#[derive(Clone)]
struct Pipe(Arc<Shared>);

/// The reading end of a pipe. The writer notices when it is dropped.
pub struct Payload(Pipe);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is more room, or nobody reads any more.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Arc<[u8]>>,
    /// Bytes in `chunks`.
    bytes: usize,
    /// What came while there was no room.
    aside: Option<Aside>,
    end: Option<End>,
    /// Nobody reads any more.
    closed: bool,
}

/// Bytes in a file, behind those in memory.
struct Aside {
    file: File,
    written: u64,
    read: u64,
}

/// How the data ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Complete,
    Failed,
}

/// What is to be sent next.
#[derive(Debug)]
pub enum Next {
    Bytes(Arc<[u8]>),
    /// Not there yet.
    Later,
    End(End),
}

impl Payload {
    /// Takes what is next.
    pub fn take_next(&mut self) -> Next {
        let mut state = self.0.lock();
        if let Some(chunk) = state.chunks.pop_front() {
            state.bytes -= chunk.len();
            self.0.0.changed.notify_all();
            return Next::Bytes(chunk);
        }
        match state.read_aside() {
            Ok(Some(chunk)) => Next::Bytes(chunk),
            Ok(None) => state.end.map_or(Next::Later, Next::End),
            Err(_) => Next::End(End::Failed),
        }
    }

    /// Bytes of memory that wait.
    pub fn memory_bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        *state = State { closed: true, ..State::default() };
        drop(state);
        self.0.0.changed.notify_all();
    }
}

impl State {
    fn read_aside(&mut self) -> io::Result<Option<Arc<[u8]>>> {
        let Some(aside) = &mut self.aside else { return Ok(None) };
        let mut chunk = vec![0; CHUNK.min((aside.written - aside.read) as usize)];
        aside.file.read_exact_at(&mut chunk, aside.read)?;
        aside.read += chunk.len() as u64;
        if aside.read == aside.written {
            self.aside = None;
        }
        Ok(Some(chunk.into()))
    }

    fn is_full(&self) -> bool {
        !self.closed && self.aside.is_none() && self.bytes > BYTES_MAX
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a chunk, whether there is room or not. False if nobody reads any more, or what is aside cannot be kept.
    fn push(&self, chunk: &Arc<[u8]>) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        if let Some(aside) = &mut state.aside {
            let kept = aside.file.write_all_at(chunk, aside.written);
            aside.written += chunk.len() as u64;
            if kept.is_err() {
                state.end = Some(End::Failed);
                state.aside = None;
            }
            return kept.is_ok();
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk.clone());
        true
    }

    /// Waits a moment for room.
    fn wait(&self) {
        let state = self.lock();
        if state.is_full() {
            let _ = self.0.changed.wait_timeout(state, LOOK);
        }
    }

    fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
    }
}

/// A snapshot straight into the pipes of some replicas, between two marks by which they know its end.
pub struct SocketSink {
    pipes: Vec<Pipe>,
    mark: String,
    /// Where to keep what slow replicas have not taken.
    folder: PathBuf,
    stop: Arc<AtomicBool>,
}

impl SocketSink {
    /// A sink for so many replicas, with the reading ends. `mark` are 40 characters that no data contain by chance; `folder` is
    /// where what slow replicas have not taken is kept; `stop` makes it fail soon.
    pub fn new(replicas: usize, mark: String, folder: PathBuf, stop: Arc<AtomicBool>) -> (SocketSink, Vec<Payload>) {
        let pipes: Vec<Pipe> = (0..replicas).map(|_| Pipe(Arc::default())).collect();
        let payloads = pipes.iter().map(|pipe| Payload(pipe.clone())).collect();
        let head: Arc<[u8]> = format!("$EOF:{mark}\r\n").into_bytes().into();
        for pipe in &pipes {
            pipe.push(&head);
        }
        (SocketSink { pipes, mark, folder, stop }, payloads)
    }

    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        let chunk: Arc<[u8]> = bytes.into();
        self.pipes.retain(|pipe| pipe.push(&chunk));
        loop {
            self.pipes.retain(|pipe| !pipe.lock().closed);
            if self.pipes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "all replicas are gone"));
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "the full sync was given up"));
            }
            let Some(full) = self.pipes.iter().find(|pipe| pipe.lock().is_full()) else { return Ok(()) };
            let hungry = |pipe: &Pipe| {
                let state = pipe.lock();
                state.aside.is_none() && state.bytes < BYTES_HUNGRY
            };
            if self.pipes.iter().any(hungry) {
                let file = nameless_file(&self.folder)?;
                full.lock().aside = Some(Aside { file, written: 0, read: 0 });
            } else {
                full.wait();
            }
        }
    }
}

impl Sink for SocketSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pass_on(bytes)
    }

    /// The header leaves before it is known what follows. A lower number does no harm: readers look at it only to see if they are
    /// too old, and one that is too old for a value notices at that value.
    fn announces(&self) -> u16 {
        VERSION_FUNCTIONS
    }

    fn finish(&mut self, _header: &[u8; HEADER_LEN]) -> io::Result<()> {
        let mark = self.mark.clone();
        self.pass_on(mark.as_bytes())?;
        self.pipes.iter().for_each(|pipe| pipe.end(End::Complete));
        Ok(())
    }

    fn abandon(&mut self) {
        self.pipes.iter().for_each(|pipe| pipe.end(End::Failed));
    }
}

impl Drop for SocketSink {
    fn drop(&mut self) {
        // No effect on those that are complete.
        self.abandon();
    }
}

/// A file that is gone when it is closed.
fn nameless_file(folder: &std::path::Path) -> io::Result<File> {
    let path = folder.join(format!("temp-sync-{}-{:x}", std::process::id(), crate::clock::entropy()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What is given is all.
pub fn of_bytes(bytes: Vec<u8>) -> Payload {
    let pipe = Pipe(Arc::default());
    pipe.push(&bytes.into());
    pipe.end(End::Complete);
    Payload(pipe)
}

/// A file behind its length, read by a thread of its own.
///
/// # Errors
/// The file cannot be opened, or there is no thread to be had.
pub fn of_file(path: &std::path::Path) -> io::Result<Payload> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let pipe = Pipe(Arc::default());
    pipe.push(&format!("${len}\r\n").into_bytes().into());
    let payload = Payload(pipe.clone());
    std::thread::Builder::new().name("full-sync".into()).spawn(move || {
        let end = if read_into(&pipe, file, len).is_ok() { End::Complete } else { End::Failed };
        pipe.end(end);
    })?;
    Ok(payload)
}

fn read_into(pipe: &Pipe, mut file: File, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let mut chunk = vec![0; CHUNK.min(left as usize)];
        file.read_exact(&mut chunk)?;
        left -= chunk.len() as u64;
        if !pipe.push(&chunk.into()) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        while pipe.lock().is_full() {
            pipe.wait();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(payload: &mut Payload) -> (Vec<u8>, Next) {
        let mut all = Vec::new();
        loop {
            match payload.take_next() {
                Next::Bytes(bytes) => all.extend_from_slice(&bytes),
                other => return (all, other),
            }
        }
    }

    /// One replica reads, one does not: the first gets everything at once, the second when it comes to it.
    #[test]
    fn a_slow_replica_does_not_hold_up_the_others() {
        let (mut sink, mut payloads) = SocketSink::new(2, "M".repeat(40), std::env::temp_dir(), Arc::default());
        let mut slow = payloads.pop().unwrap();
        let mut fast = payloads.pop().unwrap();
        let (mut got, mut sent) = (Vec::new(), Vec::new());
        for n in 0..100u8 {
            let chunk = vec![n; 1 << 19];
            sink.write(&chunk).unwrap();
            sent.extend_from_slice(&chunk);
            let (bytes, next) = drain(&mut fast);
            assert!(matches!(next, Next::Later));
            got.extend(bytes);
        }
        sink.finish(&[0; HEADER_LEN]).unwrap();
        drop(sink);
        let (bytes, next) = drain(&mut fast);
        assert!(matches!(next, Next::End(End::Complete)));
        got.extend(bytes);
        let head = format!("$EOF:{}\r\n", "M".repeat(40));
        let whole = [head.as_bytes(), &sent, "M".repeat(40).as_bytes()].concat();
        assert!(got == whole);
        assert!(slow.memory_bytes() < BYTES_MAX + (1 << 20));
        let (bytes, next) = drain(&mut slow);
        assert!(matches!(next, Next::End(End::Complete)));
        assert!(bytes == whole);
    }

    #[test]
    fn a_sink_without_replicas_fails() {
        let (mut sink, payloads) = SocketSink::new(2, "M".repeat(40), std::env::temp_dir(), Arc::default());
        sink.write(b"x").unwrap();
        drop(payloads);
        assert!(sink.write(b"y").is_err());
    }

    #[test]
    fn a_sink_that_is_given_up_tells_its_readers() {
        let (sink, mut payloads) = SocketSink::new(1, "M".repeat(40), std::env::temp_dir(), Arc::default());
        drop(sink);
        assert!(matches!(drain(&mut payloads[0]).1, Next::End(End::Failed)));
    }
}
