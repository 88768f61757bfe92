//! Bytes on their way into the file that grows, and the thread that syncs it.
//!
//! Under `appendfsync always` it depends on the disk. Where a sync takes a millisecond or so at most the engine writes
//! and syncs itself, once for all that a round of requests changed: all their replies leave together, and while the disk is
//! busy the requests of the next round arrive. Where it takes longer, as the smoothed time of the last syncs tells, the engine
//! would stand still for too long; so it hands the thread bytes, which writes and syncs them. There are two buffers: the
//! engine fills one while the thread writes the other. The thread takes what has gathered as soon as it is done with what
//! came before, so that every sync commits the writes of all clients that came during the last one. Where a sync takes long
//! the thread waits, for a small part of that time, until as many replies are held as were during the last one: clients that
//! were just answered come back soon, and would else wait for two syncs.
//!
//! Under the other policies the engine writes to the file itself, once for all that a batch of requests changed and before it
//! answers: when the process is killed the system has what was acknowledged, and only a loss of power takes what was not synced.
//! The thread syncs once a second. While it has the file in its hands to sync it the engine hands bytes over and answers all the
//! same: a write would stand still until the sync is over, and with it the server. There is a limit to that. If the thread needs
//! longer than two seconds the replies wait as well, until it has written what they tell of; the engine goes on. So it does when
//! the thread goes on in another file, whose name must be on the disk first. And if a write of the engine's own took long, the
//! disk does not take bytes any more as fast as memory does, and for the next second the thread writes and replies wait for it.
//! (Redis stands still in all three cases.)
//!
//! Nothing that was handed over is dropped. A write that failed is tried again until it succeeds, and so is a sync (see `log`);
//! that is the thread's business, also where it was the engine that failed.

mod log;
#[cfg(test)]
mod tests;
mod worker;

use crate::config::AppendFsync;
use crate::persist::disk::{Disk, LogFile};
use log::{Failure, Log};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::warn;
use worker::Worker;

/// Between two tries of what failed.
const RETRY: Duration = Duration::from_millis(100);
/// The engine waits when so much waits to be written.
const BUFFERED_MAX: usize = 256 << 20;
/// A sync that takes longer than this while there is something to write counts as delayed.
const SYNC_PATIENCE: Duration = Duration::from_secs(2);
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Replies wait for the thread when it has had the file for longer than this.
const THREAD_PATIENCE: Duration = Duration::from_secs(2);
/// Under `appendfsync always` the engine syncs itself from the first figure down, and leaves it to the thread from the second
/// one up: the thread gets about half as much done where a sync takes half a millisecond, as half of the clients wait for the next
/// one, and who only reads waits a millisecond at most. Of each sync this part goes into what is compared with them.
const SYNC_QUICK: Duration = Duration::from_micros(1000);
const SYNC_SLOW: Duration = Duration::from_micros(1500);
const SYNC_SMOOTHING: u32 = 16;
/// The engine leaves writing to the thread for a while when a write took longer than this, and ten nanoseconds for each byte.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);
const NANOS_PER_BYTE: u64 = 10;
const LEAVE_FOR: Duration = Duration::from_secs(1);

/// A change of files, in its place between the bytes.
#[derive(Debug)]
pub enum Change {
    /// Go on in a new file. What came before is synced first; the manifest that names the new file follows.
    Rotate { path: PathBuf, manifest: Option<ManifestText> },
    /// Give files their final names, then write the manifest.
    Install { renames: Vec<(PathBuf, PathBuf)>, manifest: ManifestText },
    /// Write the manifest.
    Tidy { manifest: ManifestText },
    /// Sync what was written.
    Sync,
    /// Sync what was written and let go of the file.
    Close,
}

/// A manifest on its way to the disk.
#[derive(Debug)]
pub struct ManifestText {
    pub folder: PathBuf,
    pub temporary: String,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What came of a change of files.
#[derive(Debug)]
pub enum Report {
    Rotated(io::Result<()>),
    Installed(io::Result<()>),
    Tidied(io::Result<()>),
    /// Of what needs no answer.
    Done,
    /// The disk failed; writes are to be refused.
    Failed(String),
    /// It works again. What was written before may be lost if a sync failed that is not repeated.
    Recovered {
        doubtful: bool,
    },
}

/// How long the slowest call of each kind took, in milliseconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Slowest {
    pub write: u32,
    pub sync: u32,
    /// Giving files their final names after a rewrite.
    pub rename: u32,
}

enum Job {
    Data { bytes: Vec<u8>, end: u64 },
    Change(Change),
}

/// What engine and thread share.
pub struct Shared {
    state: Mutex<State>,
    work: Condvar,
    progress: Condvar,
    /// Position in the stream up to which everything is on the disk.
    durable: AtomicU64,
    /// Position up to which replies may leave.
    settled: AtomicU64,
    /// Bytes in the current file.
    file_len: AtomicU64,
    buffered: AtomicU64,
    /// Replies are to wait until what they tell of is written, though they need not wait for a sync.
    holding: AtomicBool,
    /// Replies that wait, as many as waited at the end of the last sync, and whether the thread waits for them.
    held: AtomicUsize,
    expected: AtomicUsize,
    gathering: AtomicBool,
    syncing: AtomicBool,
    delayed: AtomicU64,
    /// The slowest of each since they were last asked for, in milliseconds.
    slow_write: AtomicU32,
    slow_sync: AtomicU32,
    slow_rename: AtomicU32,
    /// Syncs are so quick that the engine had better wait for them than for a thread that does.
    quick_syncs: AtomicBool,
    /// Microseconds to wait before each write (DEBUG AOF-FLUSH-SLEEP).
    flush_sleep: AtomicU64,
    /// Tells the engine that there is news.
    tell: Box<dyn Fn() + Send + Sync>,
}

struct State {
    queue: VecDeque<Job>,
    /// A buffer to be filled next.
    spare: Vec<u8>,
    policy: AppendFsync,
    /// `no-appendfsync-on-rewrite` while there is a rewrite.
    unsynced: bool,
    parked: bool,
    /// The thread has something to do.
    busy: bool,
    /// Changes to another file that are not done.
    rotations: usize,
    /// The file, unless the thread has it in its hands.
    log: Option<Log>,
    /// Since when the thread has had it.
    taken_at: Instant,
    /// How long syncs take, smoothed.
    sync_time: Duration,
    /// Until then the engine leaves writing to the thread.
    left_until: Option<Instant>,
    failing: bool,
    /// What the engine met when it wrote or synced; the thread takes it up.
    failure: Option<Failure>,
    stop: bool,
    /// The policy changed.
    nudged: bool,
    reports: Vec<Report>,
}

/// The engine's end.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nobody panics while holding it; and if, the state is as good as before.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Starts the thread; `file` is what it appends to, if there is one already, and `position` where the stream stands.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        disk: Arc<dyn Disk>,
        file: Option<Box<dyn LogFile>>,
        position: u64,
        policy: AppendFsync,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Writer> {
        let len = file.as_ref().map_or(Ok(0), |file| file.size())?;
        let state = State {
            queue: VecDeque::new(),
            spare: Vec::new(),
            policy,
            unsynced: false,
            parked: false,
            busy: false,
            rotations: 0,
            log: Some(Log::new(file, len, position)),
            taken_at: Instant::now(),
            sync_time: Duration::ZERO,
            left_until: None,
            failing: false,
            failure: None,
            stop: false,
            nudged: false,
            reports: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
            durable: AtomicU64::new(position),
            settled: AtomicU64::new(position),
            file_len: AtomicU64::new(len),
            buffered: AtomicU64::new(0),
            holding: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            expected: AtomicUsize::new(0),
            gathering: AtomicBool::new(false),
            syncing: AtomicBool::new(false),
            delayed: AtomicU64::new(0),
            slow_write: AtomicU32::new(0),
            slow_sync: AtomicU32::new(0),
            slow_rename: AtomicU32::new(0),
            quick_syncs: AtomicBool::new(true),
            flush_sleep: AtomicU64::new(0),
            tell,
        });
        let mut worker = Worker::new(shared.clone(), disk);
        let thread = std::thread::Builder::new().name("aof".into()).spawn(move || worker.run())?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    /// The shared part, to append to.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Writer {
    /// Everything handed over is written and synced, unless the disk fails.
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Writes bytes of the stream up to position `end`, or hands them over. Waits only while far too much is not yet written.
    pub fn append(&self, parts: [&[u8]; 2], end: u64) {
        let more = parts[0].len() + parts[1].len();
        let mut state = lock(&self.state);
        if self.write_at_once(&mut state, parts, end) {
            return;
        }
        if state.policy != AppendFsync::Always {
            self.holding.store(state.is_late(), Ordering::Relaxed);
        }
        if self.buffered.load(Ordering::Relaxed) as usize + more > BUFFERED_MAX {
            state = self.wait_for_room(state, more);
        }
        self.buffered.fetch_add(more as u64, Ordering::Relaxed);
        if !matches!(state.queue.back(), Some(Job::Data { .. })) {
            let bytes = std::mem::take(&mut state.spare);
            state.queue.push_back(Job::Data { bytes, end });
        }
        if let Some(Job::Data { bytes, end: last }) = state.queue.back_mut() {
            bytes.extend_from_slice(parts[0]);
            bytes.extend_from_slice(parts[1]);
            *last = end;
        }
        self.wake(state);
    }

    /// Writes on the engine's own thread, and syncs if the policy wants it. False if it is to be left to the other one.
    fn write_at_once(&self, state: &mut State, parts: [&[u8]; 2], end: u64) -> bool {
        let syncs = state.policy == AppendFsync::Always && !state.unsynced;
        let is_busy = state.failing || !state.queue.is_empty() || self.flush_sleep.load(Ordering::Relaxed) > 0;
        let is_left = is_busy || (syncs && !self.syncs_are_quick());
        let Some(log) = state.log.as_mut().filter(|_| !is_left) else { return false };
        let start = Instant::now();
        if state.left_until.is_some_and(|until| start < until) {
            return false;
        }
        let was_dirty = log.is_dirty();
        let written = match parts {
            [[], bytes] => log.append(bytes, end, syncs),
            parts => log.append(&parts.concat(), end, syncs),
        };
        if let Err(failure) = written {
            self.leave_failure(state, failure);
            return false;
        }
        let took = start.elapsed();
        note(&self.slow_write, took);
        let patience = WRITE_PATIENCE + Duration::from_nanos(NANOS_PER_BYTE * (parts[0].len() + parts[1].len()) as u64);
        state.left_until = (took > patience).then(|| start + took + LEAVE_FOR);
        self.file_len.store(log.len(), Ordering::Relaxed);
        self.holding.store(false, Ordering::Relaxed);
        if syncs {
            self.sync_at_once(state);
            return true;
        }
        self.settled.store(end, Ordering::Release);
        // Whoever syncs has to know that there is something to sync.
        if !was_dirty && std::mem::take(&mut state.parked) {
            self.work.notify_one();
        }
        true
    }

    /// Syncs on the engine's own thread.
    fn sync_at_once(&self, state: &mut State) {
        let Some(log) = &mut state.log else { return };
        let start = Instant::now();
        if let Err(failure) = log.sync() {
            return self.leave_failure(state, failure);
        }
        self.settle_synced(log.written());
        let took = start.elapsed();
        self.note_sync(state, took);
    }

    /// Takes note of how long a sync took, whoever did it.
    fn note_sync(&self, state: &mut State, took: Duration) {
        note(&self.slow_sync, took);
        state.sync_time = (state.sync_time * (SYNC_SMOOTHING - 1) + took) / SYNC_SMOOTHING;
        let limit = if self.syncs_are_quick() { SYNC_SLOW } else { SYNC_QUICK };
        self.quick_syncs.store(state.sync_time < limit, Ordering::Relaxed);
    }

    /// True if syncs are so quick that the engine does them itself under `appendfsync always`.
    #[inline]
    pub fn syncs_are_quick(&self) -> bool {
        self.quick_syncs.load(Ordering::Relaxed)
    }

    /// Leaves it to the thread to tell of a failure and to try again.
    #[cold]
    fn leave_failure(&self, state: &mut State, failure: Failure) {
        state.failing = true;
        state.failure = Some(failure);
        if std::mem::take(&mut state.parked) {
            self.work.notify_one();
        }
    }

    /// Everything up to this position is on the disk.
    fn settle_synced(&self, position: u64) {
        self.settled.store(position, Ordering::Release);
        self.durable.store(position, Ordering::Release);
    }

    #[cold]
    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State>, more: usize) -> MutexGuard<'a, State> {
        self.delayed.fetch_add(1, Ordering::Relaxed);
        warn!("The AOF buffer is full: the disk does not keep up. Waiting for it; this slows Redis down.");
        // While the disk fails writes are refused; what comes all the same (keys that expire) must not stop the server.
        while !state.failing && self.buffered() > 0 && self.buffered() as usize + more > BUFFERED_MAX {
            let waited = self.progress.wait_timeout(state, RETRY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Hands over a change of files, behind everything handed over so far.
    pub fn change(&self, change: Change) {
        let mut state = lock(&self.state);
        state.rotations += usize::from(matches!(change, Change::Rotate { .. }));
        state.queue.push_back(Job::Change(change));
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        if parked {
            self.work.notify_one();
        }
    }

    /// Tells how many replies wait for the next sync.
    pub fn set_held(&self, replies: usize) {
        self.held.store(replies, Ordering::SeqCst);
        if self.gathering.load(Ordering::SeqCst) && replies >= self.expected.load(Ordering::Relaxed) {
            // Under the lock, so that the thread does not miss it on its way into the wait.
            drop(lock(&self.state));
            self.work.notify_one();
        }
    }

    /// Changes the policy.
    pub fn set_policy(&self, policy: AppendFsync, unsynced: bool) {
        let mut state = lock(&self.state);
        if state.policy != policy || state.unsynced != unsynced {
            (state.policy, state.unsynced) = (policy, unsynced);
            state.nudged = true;
            self.wake(state);
        }
    }

    /// Takes the reports that came since the last call.
    pub fn take_reports(&self) -> Vec<Report> {
        std::mem::take(&mut lock(&self.state).reports)
    }

    /// Waits until everything handed over was dealt with, or the disk fails.
    pub fn drain(&self) {
        let mut state = lock(&self.state);
        while (!state.queue.is_empty() || state.busy) && !state.failing {
            let waited = self.progress.wait_timeout(state, RETRY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// True while replies are to wait until what they tell of is written, whatever the policy.
    #[inline]
    pub fn holds_replies(&self) -> bool {
        self.holding.load(Ordering::Relaxed)
    }

    /// Position up to which everything is on the disk.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Position up to which replies may leave.
    #[inline]
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// Bytes in the current file.
    pub fn file_len(&self) -> u64 {
        self.file_len.load(Ordering::Relaxed)
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> u64 {
        self.buffered.load(Ordering::Relaxed)
    }

    /// True while a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing.load(Ordering::Relaxed)
    }

    /// Takes the number of times that the disk was too slow since the last call.
    pub fn take_delayed(&self) -> u64 {
        self.delayed.swap(0, Ordering::Relaxed)
    }

    /// Takes what was slowest since the last call.
    pub fn take_slowest(&self) -> Slowest {
        let take = |slowest: &AtomicU32| slowest.swap(0, Ordering::Relaxed);
        Slowest { write: take(&self.slow_write), sync: take(&self.slow_sync), rename: take(&self.slow_rename) }
    }

    /// Sets the wait before each write, in microseconds.
    pub fn set_flush_sleep(&self, micros: u64) {
        self.flush_sleep.store(micros, Ordering::Relaxed);
    }
}

impl State {
    /// True if what the thread has yet to write has waited for too long, or would.
    fn is_late(&self) -> bool {
        // While the disk fails writes are refused; others must not wait for it.
        let is_late = || self.log.is_none() && self.taken_at.elapsed() > THREAD_PATIENCE;
        !self.failing && (self.rotations > 0 || is_late() || self.left_until.is_some_and(|until| Instant::now() < until))
    }
}

/// Keeps the slowest, in milliseconds.
fn note(slowest: &AtomicU32, took: Duration) {
    slowest.fetch_max(took.as_millis().min(u128::from(u32::MAX)) as u32, Ordering::Relaxed);
}
