//! Bytes on their way into the file that grows, and the thread that syncs it.
//!
//! Under `appendfsync always` the engine hands the thread bytes, which writes and syncs them. There are two buffers: the engine
//! fills one while the thread writes the other. The thread takes what has gathered as soon as it is done with what came before,
//! so that every sync commits the writes of all clients that came during the last one. Where a sync takes long the thread
//! waits, for a small part of that time, until as many replies are held as were during the last one: clients that were just
//! answered come back soon, and would else wait for two syncs.
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
//! Nothing that was handed over is dropped. A write that failed is cut off again and tried again until it succeeds, and so is
//! what was to be committed by a sync that failed: after such a failure the system may have thrown the pages away.

#[cfg(test)]
mod tests;

use crate::config::AppendFsync;
use crate::persist::disk::{Disk, LogFile, replace};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Under `appendfsync always` the replies of a group are waited for up to this part of the time that a sync takes, and never
/// longer than `GROUP_MAX`. What is below `GROUP_MIN` is not worth a wait.
const GROUP_PART: u32 = 4;
const GROUP_MAX: Duration = Duration::from_millis(1);
const GROUP_MIN: Duration = Duration::from_micros(50);
/// Between two tries of what failed.
const RETRY: Duration = Duration::from_millis(100);
/// Between two complaints about it.
const COMPLAIN: Duration = Duration::from_secs(30);
/// The engine waits when so much waits to be written.
const BUFFERED_MAX: usize = 256 << 20;
/// A buffer that was filled beyond this is given back.
const BUFFER_KEPT_MAX: usize = 4 << 20;
/// A sync that takes longer than this while there is something to write counts as delayed.
const SYNC_PATIENCE: Duration = Duration::from_secs(2);
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Replies wait for the thread when it has had the file for longer than this.
const THREAD_PATIENCE: Duration = Duration::from_secs(2);
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
    /// Until then the engine leaves writing to the thread.
    left_until: Option<Instant>,
    failing: bool,
    stop: bool,
    /// The policy changed.
    nudged: bool,
    reports: Vec<Report>,
}

/// The file that grows.
#[derive(Default)]
struct Log {
    /// None while nothing is logged.
    file: Option<Box<dyn LogFile>>,
    /// Bytes in the file, without the rest of a write that failed.
    len: u64,
    /// There may be such a rest.
    torn: bool,
    synced_len: u64,
    /// Position in the stream of what is in the file.
    written: u64,
    /// There is something in the file that was not synced.
    dirty: bool,
}

impl Log {
    /// Appends all of `bytes`; on failure the file is as it was, or will be before more is written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.torn {
            file.truncate(self.len)?;
            self.torn = false;
        }
        let mut at = 0;
        while at < bytes.len() {
            match file.write(&bytes[at..]) {
                Ok(n) => at += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.torn = file.truncate(self.len).is_err();
                    return Err(error);
                }
            }
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
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
            log: Some(Log { file, len, synced_len: len, written: position, ..Log::default() }),
            taken_at: Instant::now(),
            left_until: None,
            failing: false,
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
            flush_sleep: AtomicU64::new(0),
            tell,
        });
        let mut worker = Worker {
            shared: shared.clone(),
            disk,
            log: Log::default(),
            doubtful: false,
            last_sync: Instant::now(),
            sync_took: Duration::ZERO,
            failing: false,
            complained: None,
            uncommitted: Vec::new(),
            uncommitted_at: 0,
        };
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
        if state.policy != AppendFsync::Always {
            if self.write_at_once(&mut state, parts, end) {
                return;
            }
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

    /// Writes on the engine's own thread. False if it is to be left to the other one.
    fn write_at_once(&self, state: &mut State, parts: [&[u8]; 2], end: u64) -> bool {
        let is_left = state.failing || !state.queue.is_empty() || self.flush_sleep.load(Ordering::Relaxed) > 0;
        let Some(log) = state.log.as_mut().filter(|_| !is_left) else { return false };
        let start = Instant::now();
        if state.left_until.is_some_and(|until| start < until) {
            return false;
        }
        let written = match parts {
            [[], bytes] => log.append(bytes),
            parts => log.append(&parts.concat()),
        };
        if written.is_err() {
            // The thread meets the same error, tells of it and tries again.
            return false;
        }
        let took = start.elapsed();
        note(&self.slow_write, took);
        let patience = WRITE_PATIENCE + Duration::from_nanos(NANOS_PER_BYTE * (parts[0].len() + parts[1].len()) as u64);
        state.left_until = (took > patience).then(|| start + took + LEAVE_FOR);
        log.written = end;
        self.settled.store(end, Ordering::Release);
        self.file_len.store(log.len, Ordering::Relaxed);
        self.holding.store(false, Ordering::Relaxed);
        // Whoever syncs has to know that there is something to sync.
        if !std::mem::replace(&mut log.dirty, true) && std::mem::take(&mut state.parked) {
            self.work.notify_one();
        }
        true
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

/// The thread's side.
struct Worker {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    /// Nothing while it waits: then the engine may write.
    log: Log,
    /// A sync failed and what it was to save cannot be written again.
    doubtful: bool,
    last_sync: Instant,
    /// How long the last one took.
    sync_took: Duration,
    failing: bool,
    complained: Option<Instant>,
    /// Under `appendfsync always`: what the next sync is to commit, and where it is in the file.
    uncommitted: Vec<u8>,
    uncommitted_at: u64,
}

impl Worker {
    fn run(&mut self) {
        let mut jobs = VecDeque::new();
        loop {
            let (policy, unsynced, stop) = self.next(&mut jobs);
            while let Some(job) = jobs.pop_front() {
                match job {
                    Job::Data { bytes, end } => self.write(bytes, end, policy),
                    Job::Change(change) => self.change(change, &mut jobs, policy),
                }
                if self.gives_up() {
                    return;
                }
            }
            self.sync_if_due(policy, unsynced);
            if stop && lock(&self.shared.state).queue.is_empty() {
                self.sync_until_done();
                return;
            }
        }
    }

    /// Waits for work. Returns without any when a sync is due.
    fn next(&mut self, jobs: &mut VecDeque<Job>) -> (AppendFsync, bool, bool) {
        let shared = self.shared.clone();
        let mut state = lock(&shared.state);
        if state.log.is_none() {
            state.log = Some(std::mem::take(&mut self.log));
        }
        if std::mem::take(&mut state.busy) {
            shared.progress.notify_all();
        }
        let mut gathering = None;
        loop {
            if let Some(left) = self.group_wait(&state, &mut gathering) {
                state = shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if !state.queue.is_empty() || state.stop || std::mem::take(&mut state.nudged) {
                shared.gathering.store(false, Ordering::Relaxed);
                std::mem::swap(&mut state.queue, jobs);
                self.take_log(&mut state);
                return (state.policy, state.unsynced, state.stop);
            }
            state.parked = true;
            let is_dirty = state.log.as_ref().is_some_and(|log| log.dirty);
            let waits = is_dirty && state.policy == AppendFsync::Everysec && !state.unsynced;
            state = match waits {
                false => shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                true => {
                    let left = SYNC_EVERY.saturating_sub(self.last_sync.elapsed());
                    if left.is_zero() {
                        self.take_log(&mut state);
                        return (state.policy, false, false);
                    }
                    shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn take_log(&mut self, state: &mut State) {
        state.parked = false;
        state.busy = true;
        state.taken_at = Instant::now();
        self.log = state.log.take().unwrap_or_default();
    }

    /// Lets the engine write while the thread does what does not need the file. What was handed over so far comes first.
    fn lend_log(&mut self, jobs: &mut VecDeque<Job>, policy: AppendFsync) {
        let shared = self.shared.clone();
        // Under `always` it would not write anyway.
        while policy != AppendFsync::Always && self.uncommitted.is_empty() && !self.failing {
            match jobs.pop_front() {
                Some(Job::Data { bytes, end }) => self.write(bytes, end, policy),
                Some(change) => return jobs.push_front(change),
                None => {
                    let mut state = lock(&shared.state);
                    if state.queue.is_empty() {
                        state.log = Some(std::mem::take(&mut self.log));
                        return;
                    }
                    std::mem::swap(&mut state.queue, jobs);
                }
            }
        }
    }

    fn take_log_back(&mut self) {
        let mut state = lock(&self.shared.state);
        if let Some(log) = state.log.take() {
            state.taken_at = Instant::now();
            self.log = log;
        }
    }

    /// How long to wait yet for the rest of a group whose replies one sync is to release. `since` is when the wait began.
    fn group_wait(&self, state: &State, since: &mut Option<Instant>) -> Option<Duration> {
        let patience = (self.sync_took / GROUP_PART).min(GROUP_MAX);
        let only_data = matches!(state.queue.front(), Some(Job::Data { .. })) && state.queue.len() == 1;
        if state.policy != AppendFsync::Always || state.unsynced || state.stop || !only_data || patience < GROUP_MIN {
            return None;
        }
        // Before the look at the number: who changes it afterwards tells.
        self.shared.gathering.store(true, Ordering::SeqCst);
        if self.shared.held.load(Ordering::SeqCst) >= self.shared.expected.load(Ordering::Relaxed) {
            return None;
        }
        let waited = since.get_or_insert_with(Instant::now).elapsed();
        patience.checked_sub(waited).filter(|left| !left.is_zero())
    }

    /// Writes bytes, however often it takes.
    fn write(&mut self, bytes: Vec<u8>, end: u64, policy: AppendFsync) {
        let sleep = self.shared.flush_sleep.load(Ordering::Relaxed);
        if sleep > 0 {
            std::thread::sleep(Duration::from_micros(sleep));
        }
        let start = Instant::now();
        while let Err(error) = self.log.append(&bytes) {
            self.fail("Error writing to the AOF file", &error);
            if self.gives_up() {
                return;
            }
        }
        note(&self.shared.slow_write, start.elapsed());
        self.log.written = end;
        self.log.dirty = true;
        let len = bytes.len();
        if policy == AppendFsync::Always {
            self.keep_uncommitted(bytes);
        } else {
            self.recovered();
            self.shared.settled.store(end, Ordering::Release);
            self.give_back(bytes);
        }
        self.count_written(len);
        // Under `always` the sync tells.
        if policy != AppendFsync::Always && (self.shared.holds_replies() || self.shared.held.load(Ordering::SeqCst) > 0) {
            (self.shared.tell)();
        }
    }

    fn keep_uncommitted(&mut self, bytes: Vec<u8>) {
        if self.uncommitted.is_empty() {
            self.uncommitted_at = self.log.len - bytes.len() as u64;
            self.uncommitted = bytes;
        } else {
            self.uncommitted.extend_from_slice(&bytes);
        }
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= BUFFER_KEPT_MAX {
            bytes.clear();
            lock(&self.shared.state).spare = bytes;
        }
    }

    fn count_written(&self, len: usize) {
        self.shared.file_len.store(self.log.len, Ordering::Relaxed);
        // Under the lock, so that nobody who waits misses it.
        let state = lock(&self.shared.state);
        self.shared.buffered.fetch_sub(len as u64, Ordering::Release);
        drop(state);
        self.shared.progress.notify_all();
    }

    /// Syncs if the policy wants it now.
    fn sync_if_due(&mut self, policy: AppendFsync, unsynced: bool) {
        if policy == AppendFsync::Always && !unsynced {
            return self.sync_until_done();
        }
        if !self.uncommitted.is_empty() {
            self.settle();
        }
        if policy == AppendFsync::Everysec
            && !unsynced
            && self.last_sync.elapsed() >= SYNC_EVERY
            && let Err(error) = self.sync()
        {
            self.fail("Fail to fsync the AOF file", &error);
        }
    }

    /// Lets replies leave that were held for what is written but will not be synced at once.
    fn settle(&mut self) {
        self.uncommitted.clear();
        self.recovered();
        self.shared.settled.store(self.log.written, Ordering::Release);
        (self.shared.tell)();
    }

    /// Syncs, however often it takes.
    fn sync_until_done(&mut self) {
        while let Err(error) = self.sync() {
            self.fail("Fail to fsync the AOF file", &error);
            // The pages may be gone: what was to be committed is written again.
            while !self.gives_up()
                && let Err(error) = self.write_again()
            {
                self.fail("Error writing to the AOF file", &error);
            }
            if self.gives_up() {
                return;
            }
        }
    }

    fn write_again(&mut self) -> io::Result<()> {
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        // What is before it was written under another policy, which promised less.
        self.doubtful |= self.log.synced_len < self.uncommitted_at;
        self.log.len = self.uncommitted_at;
        self.log.torn = true;
        self.log.append(&self.uncommitted)
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.log.dirty {
            return Ok(());
        }
        let start = Instant::now();
        self.shared.syncing.store(true, Ordering::Relaxed);
        let synced = self.log.file.as_mut().map_or(Ok(()), |file| file.sync());
        self.shared.syncing.store(false, Ordering::Relaxed);
        self.last_sync = Instant::now();
        self.sync_took = self.last_sync - start;
        self.shared.expected.store(self.shared.held.load(Ordering::SeqCst), Ordering::Relaxed);
        note(&self.shared.slow_sync, self.sync_took);
        if self.sync_took > SYNC_PATIENCE && self.shared.buffered() > 0 {
            self.shared.delayed.fetch_add(1, Ordering::Relaxed);
            info!("AOF fsync is taking too long (disk is busy?). What is written meanwhile waits in memory.");
        }
        if let Err(error) = synced {
            self.doubtful |= self.uncommitted.is_empty();
            return Err(error);
        }
        self.log.dirty = false;
        self.log.synced_len = self.log.len;
        let uncommitted = std::mem::take(&mut self.uncommitted);
        self.give_back(uncommitted);
        self.recovered();
        self.shared.settled.store(self.log.written, Ordering::Release);
        self.shared.durable.store(self.log.written, Ordering::Release);
        (self.shared.tell)();
        Ok(())
    }

    fn change(&mut self, change: Change, jobs: &mut VecDeque<Job>, policy: AppendFsync) {
        let report = match &change {
            Change::Rotate { path, manifest } => {
                let rotated = self.rotate(path, manifest.as_ref());
                lock(&self.shared.state).rotations -= 1;
                Report::Rotated(rotated)
            }
            Change::Install { renames, manifest } => {
                // A file that the manifest names must not be lost while its name is not.
                let installed = self.sync().and_then(|()| {
                    self.lend_log(jobs, policy);
                    let installed = self.install(renames, manifest);
                    self.take_log_back();
                    installed
                });
                Report::Installed(installed)
            }
            Change::Tidy { manifest } => {
                self.lend_log(jobs, policy);
                let tidied = self.persist(manifest);
                self.take_log_back();
                Report::Tidied(tidied)
            }
            Change::Sync | Change::Close => {
                if let Err(error) = self.sync() {
                    warn!("Fail to fsync the AOF file: {error}");
                }
                if matches!(change, Change::Close) {
                    self.log.file = None;
                    self.log.dirty = false;
                }
                Report::Done
            }
        };
        lock(&self.shared.state).reports.push(report);
        self.shared.progress.notify_all();
        (self.shared.tell)();
    }

    fn rotate(&mut self, path: &Path, manifest: Option<&ManifestText>) -> io::Result<()> {
        // A file that is not the last must be whole, whenever the power goes.
        self.sync()?;
        let file = self.disk.create(path)?;
        if let Some(manifest) = manifest
            && let Err(error) = self.persist(manifest)
        {
            let _ = self.disk.remove(path);
            return Err(error);
        }
        self.log = Log { file: Some(file), written: self.log.written, ..Log::default() };
        self.shared.file_len.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn install(&mut self, renames: &[(PathBuf, PathBuf)], manifest: &ManifestText) -> io::Result<()> {
        let start = Instant::now();
        for (from, to) in renames {
            self.disk.rename(from, to)?;
        }
        note(&self.shared.slow_rename, start.elapsed());
        self.persist(manifest)
    }

    fn persist(&self, manifest: &ManifestText) -> io::Result<()> {
        let ManifestText { folder, temporary, name, bytes } = manifest;
        replace(&*self.disk, folder, temporary, name, bytes)
    }

    /// Tells of a failure and waits before the next try.
    fn fail(&mut self, what: &str, error: &io::Error) {
        if self.complained.is_none_or(|at| at.elapsed() > COMPLAIN) {
            self.complained = Some(Instant::now());
            warn!("{what}: {error}");
        }
        if !self.failing {
            self.failing = true;
            let mut state = lock(&self.shared.state);
            state.failing = true;
            self.shared.holding.store(false, Ordering::Relaxed);
            state.reports.push(Report::Failed(reason(error)));
            drop(state);
            self.shared.progress.notify_all();
            (self.shared.tell)();
        }
        let state = lock(&self.shared.state);
        let waited = self.shared.work.wait_timeout_while(state, RETRY, |state| !state.stop);
        drop(waited);
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            info!("AOF write error looks solved, Redis can write again.");
            self.complained = None;
            let doubtful = std::mem::take(&mut self.doubtful);
            let mut state = lock(&self.shared.state);
            state.failing = false;
            state.reports.push(Report::Recovered { doubtful });
            drop(state);
            (self.shared.tell)();
        }
    }

    /// True if the server ends while the disk fails.
    fn gives_up(&self) -> bool {
        self.failing && lock(&self.shared.state).stop
    }
}

/// The system's reason for an error, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
