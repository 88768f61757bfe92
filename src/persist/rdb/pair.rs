//! The writing side of SAVE, by two threads. Most of the time of a SAVE goes into compressing, so a helper compresses what
//! the caller has no time for. What is written stays in order; data that fit into one frame start no thread.

use super::encode::{Encoder, Out};
use super::output::Output;
use crate::persist::snapshot::frames::{FULL, Frames};
use crate::persist::snapshot::sink::Sink;
use crate::raw::shared::SharedBytes;
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// Frames that the helper may have before it, so that it never waits for the caller.
const AHEAD: usize = 10;
/// Frames that may be finished behind one that is not, before the caller waits: a few megabytes at most.
const PARTS_MAX: usize = 32;
/// Longer strings are neither copied nor handed over: what is on its way would take their memory many times.
const HANDED_MAX: usize = 1 << 20;

/// A file being written. Errors are kept and told at the end.
pub struct Pair<S: Sink> {
    out: Output<S>,
    encoder: Encoder,
    compression: bool,
    /// What is being filled.
    frames: Frames,
    spares: Vec<Frames>,
    /// Empty buffers for finished frames.
    buffers: Vec<Vec<u8>>,
    /// What is not in `out` yet, in order.
    parts: VecDeque<Part>,
    helper: Helper,
    /// The helper ended early.
    broken: bool,
}

enum Part {
    /// The helper is about it.
    Owed,
    Ready(Vec<u8>),
}

enum Helper {
    NotYet,
    At(Work),
    /// There is no second core, or no thread to be had: all goes straight into `out`.
    None,
}

struct Work {
    jobs: Sender<(Frames, Vec<u8>)>,
    done: Receiver<(Frames, Vec<u8>)>,
    thread: JoinHandle<()>,
    owed: usize,
}

impl<S: Sink> Pair<S> {
    /// Begins to write into `out`.
    pub fn new(out: Output<S>, compression: bool) -> Self {
        Pair {
            out,
            encoder: Encoder::new(compression),
            compression,
            frames: Frames::new(),
            spares: Vec::new(),
            buffers: Vec::new(),
            parts: VecDeque::new(),
            helper: Helper::NotYet,
            broken: false,
        }
    }

    /// True if something could not be written: all that follows is in vain.
    pub fn failed(&self) -> bool {
        self.broken || self.out.failed()
    }

    /// Ends the file, see [`Output::finish`].
    ///
    /// # Errors
    /// As there, and that the helper ended early.
    pub fn finish(mut self, version: u16) -> io::Result<u64> {
        self.settle();
        if let Helper::At(Work { jobs, done, thread, .. }) = std::mem::replace(&mut self.helper, Helper::None) {
            drop((jobs, done));
            self.broken |= thread.join().is_err();
        }
        if self.broken {
            let ended = || io::Error::other("the thread that helps to save has ended");
            return Err(self.out.abandon().unwrap_or_else(ended));
        }
        self.out.finish(version)
    }

    /// Writes everything that was put so far.
    #[cold]
    fn settle(&mut self) {
        self.write_ready(0);
        self.frames.finish(&mut self.encoder, &mut self.out, false);
        self.frames.clear();
    }

    /// Puts a string of so many bytes that is still to be compressed, if it is one to be handed over.
    #[inline]
    fn sets_apart(&mut self, len: usize, put: impl FnOnce(&mut Frames) -> bool) -> bool {
        if matches!(self.helper, Helper::None) || len > HANDED_MAX {
            return false;
        }
        let put = put(&mut self.frames);
        self.look();
        put
    }

    /// Passes the frames on once they are full.
    #[inline]
    fn look(&mut self) {
        if self.frames.size() >= FULL {
            self.pass_on();
        }
    }

    /// Sees to it that full frames get finished.
    #[cold]
    fn pass_on(&mut self) {
        let empty = match self.spares.pop() {
            Some(spare) => spare,
            None => Frames::new(),
        };
        let full = std::mem::replace(&mut self.frames, empty);
        let mut buffer = self.buffers.pop().unwrap_or_default();
        let mut mine = Some(full);
        if let Some(work) = self.helper()
            && work.owed < AHEAD
            && let Some(frames) = mine.take()
        {
            match work.jobs.send((frames, std::mem::take(&mut buffer))) {
                Ok(()) => {
                    work.owed += 1;
                    self.parts.push_back(Part::Owed);
                }
                Err(refused) => mine = Some(refused.0.0),
            }
        }
        self.write_ready(PARTS_MAX);
        if let Some(frames) = mine {
            if self.parts.is_empty() {
                frames.finish(&mut self.encoder, &mut self.out, false);
            } else {
                frames.finish(&mut self.encoder, &mut buffer, false);
                self.parts.push_back(Part::Ready(std::mem::take(&mut buffer)));
            }
            self.keep(frames);
        }
        self.keep_buffer(buffer);
    }

    fn helper(&mut self) -> Option<&mut Work> {
        if matches!(self.helper, Helper::NotYet) {
            let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
            let work = if cores > 1 && self.compression { start().ok() } else { None };
            self.helper = work.map_or(Helper::None, Helper::At);
        }
        match &mut self.helper {
            Helper::At(work) => Some(work),
            _ => None,
        }
    }

    /// Writes what is ready; waits until no more than so many parts are left.
    fn write_ready(&mut self, parts_max: usize) {
        while let Some(part) = self.parts.pop_front() {
            if let Part::Ready(bytes) = part {
                self.out.put(&bytes);
                self.keep_buffer(bytes);
                continue;
            }
            let Helper::At(work) = &mut self.helper else { continue };
            let waits = self.parts.len() >= parts_max;
            let received = if waits { work.done.recv().map_err(|_| TryRecvError::Disconnected) } else { work.done.try_recv() };
            match received {
                Ok((frames, bytes)) => {
                    work.owed -= 1;
                    self.out.put(&bytes);
                    self.keep(frames);
                    self.keep_buffer(bytes);
                }
                Err(TryRecvError::Empty) => return self.parts.push_front(part),
                Err(TryRecvError::Disconnected) => self.broken = true,
            }
        }
    }

    fn keep(&mut self, mut frames: Frames) {
        if frames.clear() {
            self.spares.push(frames);
        }
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if (1..=2 * FULL).contains(&buffer.capacity()) {
            self.buffers.push(buffer);
        }
    }
}

impl<S: Sink> Out for Pair<S> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Helper::None = self.helper {
            return self.out.put(bytes);
        }
        if bytes.len() > HANDED_MAX {
            self.settle();
            return self.out.put(bytes);
        }
        self.frames.put(bytes);
        self.look();
    }

    #[inline]
    fn put_long(&mut self, text: &[u8]) -> bool {
        self.sets_apart(text.len(), |frames| frames.put_long(text))
    }

    fn put_shared(&mut self, text: &SharedBytes) -> bool {
        self.sets_apart(text.len(), |frames| frames.put_shared(text))
    }
}

/// Starts the helper. It ends when nobody wants anything of it any more.
fn start() -> io::Result<Work> {
    let (jobs, inbox) = channel::<(Frames, Vec<u8>)>();
    let (outbox, done) = channel();
    let thread = std::thread::Builder::new().name("save".into()).spawn(move || {
        let mut encoder = Encoder::new(true);
        while let Ok((frames, mut bytes)) = inbox.recv() {
            frames.finish(&mut encoder, &mut bytes, false);
            if outbox.send((frames, bytes)).is_err() {
                return;
            }
        }
    })?;
    Ok(Work { jobs, done, thread, owed: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;
    use crate::persist::snapshot::sink::MemorySink;

    #[test]
    fn two_threads_write_what_one_writes() {
        let mut rng = Rng::seeded(8);
        for (texts, compression) in [(3, true), (4000, true), (4000, false), (20_000, true)] {
            let (memory, alone) = (MemorySink::default(), MemorySink::default());
            let mut pair = Pair::new(Output::new(Box::new(memory.clone()), true), compression);
            let mut out = Output::new(Box::new(alone.clone()), true);
            let (mut encoder, mut other) = (Encoder::new(compression), Encoder::new(compression));
            for nth in 1..=texts {
                // Now and then one that is not handed over, in letters that compress or do not.
                let (len, letters) = if nth % 3000 == 0 { (HANDED_MAX as u64 + 1, 256) } else { (rng.below(600), 3) };
                let text: Vec<u8> = (0..len).map(|_| b'a'.wrapping_add(rng.below(letters) as u8)).collect();
                encoder.text(&text, &mut pair);
                other.text(&text, &mut out);
            }
            assert!(!pair.failed());
            assert_eq!(pair.finish(11).unwrap(), out.finish(11).unwrap());
            assert!(memory.take() == alone.take(), "{texts} texts");
        }
    }
}
