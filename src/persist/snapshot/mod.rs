//! Snapshots without `fork`: the data set as it is when one starts, written out while commands go on changing it.
//!
//! [`start`] begins a cut of the keyspace (`keyspace::cut`, where it is told how entries are kept as they were) and a writer
//! (`writer`). The engine calls [`Snapshot::step`] when it has time: entries become frames, RDB bytes in which long
//! strings are not yet compressed (`transcript`, `frames`). The writer, a thread of its own, compresses, sums and writes
//! them into a [`Sink`]. When all is walked the cut ends, and when the writer is done [`Snapshot::outcome`] tells how it
//! went. There is one snapshot at a time, whatever it is for ([`Purpose`]).
//!
//! Who needs a snapshot makes a sink, calls [`start`], puts the result where the engine looks for it
//! (`Persistence::snapshot`) and adds what is to happen at its end to `engine::snapshot`. What `start` sees is what is
//! written: whoever follows the changes from the same moment on misses nothing and gets nothing twice.

pub mod frames;
pub mod sink;
mod transcript;
mod writer;

use crate::keyspace::Keyspace;
use crate::keyspace::cut::Progress;
use crate::persist::rdb::save::Options;
use crate::raw::alloc;
use sink::Sink;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use transcript::Transcript;
pub use writer::delay_of;
use writer::{Manner, Shared, Writer};

/// What a snapshot is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The data file (BGSAVE).
    Rdb,
    /// The base of an append-only file.
    AofBase,
    /// A replica that needs everything.
    FullSync,
}

/// A snapshot in the making.
pub struct Snapshot {
    pub purpose: Purpose,
    pub started: Instant,
    /// When the cut was, in Unix seconds.
    pub unix_seconds: i64,
    /// Changes of the keyspace that are in it, by the keyspace's count of all.
    pub changes: u64,
    /// Keys at the cut.
    pub keys: u64,
    /// Most bytes that waited for the writer at a time.
    pub queued_max: usize,
    /// Makes a sink that waits for somebody give up.
    pub stop: Option<Arc<AtomicBool>>,
    /// Bytes that may wait for the writer, and in all, before those who cause it have to wait as well.
    queued_limit: usize,
    ahead_limit: usize,
    walked: bool,
    broken: bool,
    shared: Arc<Shared>,
    /// Gone when its result was taken.
    thread: Option<JoinHandle<io::Result<u64>>>,
}

/// Buckets walked between two looks at the clock: about 10 µs of work.
const BUCKETS_PER_LOOK: usize = 8;
/// What is recorded ahead of the walk waits in memory, for the writer or until an open collection is complete. Clients that
/// write have to wait when the first, or both together, come to so many bytes, or to this share of all memory if that is
/// more: the disk is slower than they are. (A replica's link may be slower by far; there memory is spent, as nobody should
/// wait for a replica.) The writer soon makes room again, so little may wait for it; a large collection takes longer.
const QUEUED_MAX: usize = 8 << 20;
const AHEAD_MAX: usize = 64 << 20;
const AHEAD_SHARE: usize = 16;

/// Starts a snapshot of the keyspace as it is now. `key_delay` is `rdb-key-save-delay`.
///
/// # Errors
/// There is no thread to be had.
///
/// # Panics
/// If there is a snapshot in the making.
pub fn start(
    keyspace: &mut Keyspace,
    purpose: Purpose,
    options: Options,
    key_delay: i64,
    sink: Box<dyn Sink>,
) -> io::Result<Snapshot> {
    let manner = Manner { compression: options.compression, checksum: options.checksum, key_delay };
    let Writer { messages, spares, shared, thread } = writer::start(sink, manner)?;
    let unix_seconds = options.facts.unix_seconds;
    let transcript = Transcript::new(keyspace, options, messages, spares, shared.clone());
    keyspace.begin_cut(Box::new(transcript));
    let limit = |least: usize| match purpose {
        Purpose::FullSync => usize::MAX,
        _ => least.max(alloc::used() / AHEAD_SHARE),
    };
    Ok(Snapshot {
        purpose,
        started: Instant::now(),
        unix_seconds,
        changes: keyspace.env.effects.dirty,
        keys: keyspace.total_keys() as u64,
        queued_max: 0,
        stop: None,
        queued_limit: limit(QUEUED_MAX),
        ahead_limit: limit(AHEAD_MAX),
        walked: false,
        broken: false,
        shared,
        thread: Some(thread),
    })
}

impl Snapshot {
    /// Bytes that may wait for the writer before clients that write have to wait.
    pub fn queued_limit(&self) -> usize {
        self.queued_limit
    }

    /// Goes on for about `budget`; less if the writer has enough to do. True if there is more to do at once.
    pub fn step(&mut self, keyspace: &mut Keyspace, budget: Duration) -> bool {
        if self.walked {
            return false;
        }
        if self.shared.failed.load(Ordering::Acquire) {
            self.end_walk(keyspace);
            return false;
        }
        let start = Instant::now();
        let more = loop {
            match keyspace.cut_step(BUCKETS_PER_LOOK) {
                Progress::Going if start.elapsed() < budget => {}
                Progress::Going => break true,
                Progress::Full => break false,
                Progress::Done => {
                    self.end_walk(keyspace);
                    break false;
                }
            }
        };
        self.queued_max = self.queued_max.max(self.queued());
        more
    }

    /// How it went, once it is over: the bytes written, or why it failed.
    pub fn outcome(&mut self, keyspace: &mut Keyspace) -> Option<io::Result<u64>> {
        if !self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return None;
        }
        self.end_walk(keyspace);
        let result = self.thread.take().map(JoinHandle::join);
        Some(match result {
            Some(Ok(_)) if self.broken => Err(io::Error::other("the snapshot contradicts itself")),
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the writer of the snapshot broke down")),
        })
    }

    /// Gives it up and returns when nothing is left of it.
    pub fn cancel(mut self, keyspace: &mut Keyspace) {
        self.shared.cancelled.store(true, Ordering::Release);
        if let Some(stop) = &self.stop {
            stop.store(true, Ordering::Release);
        }
        self.end_walk(keyspace);
        if let Some(thread) = self.thread.take() {
            // Its result is of no interest: it was told to fail.
            let _ = thread.join();
        }
    }

    /// Goes on until it is over (tests; and whoever cannot wait).
    ///
    /// # Errors
    /// As for `outcome`.
    pub fn complete(mut self, keyspace: &mut Keyspace) -> io::Result<u64> {
        loop {
            if !self.step(keyspace, Duration::from_millis(10)) {
                if let Some(result) = self.outcome(keyspace) {
                    return result;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Bytes that wait for the writer.
    pub fn queued(&self) -> usize {
        self.shared.queued.load(Ordering::Relaxed)
    }

    /// True while clients had better not write: what they change has to be recorded first, and too much of that waits.
    pub fn holds_writers(&self) -> bool {
        let (queued, aside) = (self.queued(), self.shared.aside.load(Ordering::Relaxed));
        !self.walked && (queued > self.queued_limit || queued + aside > self.ahead_limit)
    }

    /// Keys written.
    pub fn keys_done(&self) -> u64 {
        self.shared.keys.load(Ordering::Relaxed)
    }

    /// True when everything was walked and only the writer is still at work.
    pub fn is_walked(&self) -> bool {
        self.walked
    }

    /// Ends the cut; the writer is told that this was all, or, if it was not, hears no more.
    fn end_walk(&mut self, keyspace: &mut Keyspace) {
        if std::mem::replace(&mut self.walked, true) {
            return;
        }
        let complete = keyspace.env.cut.as_ref().is_some_and(|cut| cut.is_done());
        if let Some(mut recorder) = keyspace.end_cut()
            && complete
        {
            self.broken = !recorder.end();
        }
    }
}
