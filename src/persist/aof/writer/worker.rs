//! The writer's thread: it writes what it is handed, syncs, changes files, and tells of failures, whoever met them.

use super::log::{Failure, Log};
use super::{Change, Job, ManifestText, RETRY, Report, SYNC_EVERY, SYNC_PATIENCE, Shared, State, lock, note};
use crate::config::AppendFsync;
use crate::persist::disk::{Disk, put, replace};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Under `appendfsync always` the replies of a group are waited for up to this part of the time that a sync takes, and never
/// longer than `GROUP_MAX`. What is below `GROUP_MIN` is not worth a wait.
const GROUP_PART: u32 = 4;
const GROUP_MAX: Duration = Duration::from_millis(1);
const GROUP_MIN: Duration = Duration::from_micros(50);
/// Between two complaints about what fails.
const COMPLAIN: Duration = Duration::from_secs(30);
/// A buffer that was filled beyond this is given back.
const BUFFER_KEPT_MAX: usize = 4 << 20;

/// A manifest is where a start looks for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    Safely,
    /// After a loss of power the one before may be there, and with it what that names.
    Unsynced,
}

/// The thread's side.
pub(super) struct Worker {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    /// Nothing while it waits: then the engine may write.
    log: Log,
    last_sync: Instant,
    /// How long the last one took.
    sync_took: Duration,
    failing: bool,
    complained: Option<Instant>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, disk: Arc<dyn Disk>) -> Worker {
        Worker {
            shared,
            disk,
            log: Log::default(),
            last_sync: Instant::now(),
            sync_took: Duration::ZERO,
            failing: false,
            complained: None,
        }
    }

    pub(super) fn run(&mut self) {
        let mut jobs = VecDeque::new();
        loop {
            let (policy, unsynced, stop) = self.next(&mut jobs);
            self.take_up_failure();
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
                return self.log.close();
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
            if state.failure.is_some() {
                self.take_log(&mut state);
                std::mem::swap(&mut state.queue, jobs);
                return (state.policy, state.unsynced, state.stop);
            }
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
            let is_dirty = state.log.as_ref().is_some_and(Log::is_dirty);
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
        // Under `always` replies wait for a sync, and the next one is this thread's.
        while policy != AppendFsync::Always && !self.log.is_awaited() && !self.failing {
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
        let awaits_sync = policy == AppendFsync::Always;
        while let Err(failure) = self.log.append(&bytes, end, awaits_sync) {
            self.fail(&failure);
            if self.gives_up() {
                return;
            }
        }
        note(&self.shared.slow_write, start.elapsed());
        if !awaits_sync {
            self.recovered();
            self.shared.settled.store(end, Ordering::Release);
        }
        let len = bytes.len();
        self.give_back(bytes);
        self.count_written(len);
        // Under `always` the sync tells.
        if !awaits_sync && (self.shared.holds_replies() || self.shared.held.load(Ordering::SeqCst) > 0) {
            (self.shared.tell)();
        }
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= BUFFER_KEPT_MAX {
            bytes.clear();
            lock(&self.shared.state).spare = bytes;
        }
    }

    fn count_written(&self, len: usize) {
        self.shared.file_len.store(self.log.len(), Ordering::Relaxed);
        // Under the lock, so that nobody who waits misses it.
        let state = lock(&self.shared.state);
        self.shared.buffered.fetch_sub(len as u64, Ordering::Release);
        drop(state);
        self.shared.progress.notify_all();
    }

    /// Syncs if the policy wants it now.
    fn sync_if_due(&mut self, policy: AppendFsync, unsynced: bool) {
        if (policy == AppendFsync::Always && !unsynced) || self.log.is_lost() {
            return self.sync_until_done();
        }
        if self.log.is_awaited() {
            self.settle();
        }
        if policy == AppendFsync::Everysec
            && !unsynced
            && self.last_sync.elapsed() >= SYNC_EVERY
            && let Err(failure) = self.sync()
        {
            self.fail(&failure);
        }
    }

    /// Lets replies leave that were held for what is written but will not be synced at once.
    fn settle(&mut self) {
        self.log.forget_uncommitted();
        self.recovered();
        self.shared.settled.store(self.log.written(), Ordering::Release);
        (self.shared.tell)();
    }

    /// Syncs, however often it takes.
    fn sync_until_done(&mut self) {
        while let Err(failure) = self.sync() {
            self.fail(&failure);
            if self.gives_up() {
                return;
            }
        }
    }

    fn sync(&mut self) -> Result<(), Failure> {
        if !self.log.is_dirty() {
            return Ok(());
        }
        let start = Instant::now();
        self.shared.syncing.store(true, Ordering::Relaxed);
        let synced = self.log.sync();
        self.shared.syncing.store(false, Ordering::Relaxed);
        self.last_sync = Instant::now();
        self.sync_took = self.last_sync - start;
        self.shared.expected.store(self.shared.held.load(Ordering::SeqCst), Ordering::Relaxed);
        if self.sync_took > SYNC_PATIENCE && self.shared.buffered() > 0 {
            self.shared.delayed.fetch_add(1, Ordering::Relaxed);
            info!("AOF fsync is taking too long (disk is busy?). What is written meanwhile waits in memory.");
        }
        self.shared.note_sync(&mut lock(&self.shared.state), self.sync_took);
        synced?;
        self.recovered();
        self.shared.settle_synced(self.log.written());
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
                let installed = self.sync().map_err(|failure| failure.error).and_then(|()| {
                    self.lend_log(jobs, policy);
                    let installed = self.install(renames, manifest);
                    self.take_log_back();
                    self.see_to_folder(manifest, installed?);
                    Ok(())
                });
                Report::Installed(installed)
            }
            Change::Tidy { manifest } => {
                self.lend_log(jobs, policy);
                let ManifestText { folder, temporary, name, bytes } = manifest;
                let tidied = replace(&*self.disk, folder, temporary, name, bytes);
                self.take_log_back();
                Report::Tidied(tidied)
            }
            Change::Sync | Change::Close => {
                if let Err(Failure { what, error }) = self.sync() {
                    warn!("{what}: {error}");
                }
                if matches!(change, Change::Close) {
                    self.log.close();
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
        self.log.cut_reserve()?;
        self.sync().map_err(|failure| failure.error)?;
        let file = self.disk.create(path)?;
        let placed = manifest.map(|manifest| self.persist(manifest)).transpose();
        let placed = placed.inspect_err(|_| drop(self.disk.remove(path)))?;
        self.log.go_on_in(file);
        self.shared.file_len.store(0, Ordering::Relaxed);
        if let (Some(manifest), Some(placed)) = (manifest, placed) {
            self.see_to_folder(manifest, placed);
        }
        Ok(())
    }

    fn install(&mut self, renames: &[(PathBuf, PathBuf)], manifest: &ManifestText) -> io::Result<Placed> {
        let start = Instant::now();
        for (from, to) in renames {
            self.disk.rename(from, to)?;
        }
        note(&self.shared.slow_rename, start.elapsed());
        self.persist(manifest)
    }

    /// Puts a manifest in the place of the one before. An error: that one still is there.
    fn persist(&self, manifest: &ManifestText) -> io::Result<Placed> {
        let ManifestText { folder, temporary, name, bytes } = manifest;
        put(&*self.disk, folder, temporary, name, bytes)?;
        Ok(match self.disk.sync_folder(folder) {
            Ok(()) => Placed::Safely,
            Err(error) => {
                warn!("Fail to fsync the folder of the AOF: {error}");
                Placed::Unsynced
            }
        })
    }

    /// What is written behind a manifest that a loss of power may undo is not safe before its folder is.
    fn see_to_folder(&mut self, manifest: &ManifestText, placed: Placed) {
        if placed == Placed::Unsynced {
            self.log.owe_folder(self.disk.clone(), manifest.folder.clone());
        }
    }

    /// A failure that the engine met is the thread's from here on: to tell of and to try again.
    fn take_up_failure(&mut self) {
        let failure = lock(&self.shared.state).failure.take();
        if let Some(failure) = failure {
            self.fail(&failure);
        }
    }

    /// Tells of a failure and waits before the next try.
    fn fail(&mut self, Failure { what, error }: &Failure) {
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
            let doubtful = self.log.take_doubt();
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
