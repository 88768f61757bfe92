//! Rewriting: the data set as of a cut takes the place of the requests that led to it.
//!
//! The steps: the writer goes on in a new file (the cut), a snapshot of the cut becomes the new base, and
//! when both are done the writer gives the files their names and writes the manifest. A step that fails leaves the
//! files that were there, which hold everything.

use super::{Aof, BaseNames, Change, Places, State, WriteStream, commands, seconds_since, stamp};
use crate::config::Config;
use crate::ds::object::Limits;
use crate::keyspace::{Entry, Keyspace};
use crate::persist::aof::manifest::Manifest;
use crate::persist::rdb::encode::Out;
use crate::persist::rdb::format::HEADER_LEN;
use crate::persist::rdb::load;
use crate::persist::snapshot::sink::{FileSink, Sink};
use crate::types::DbIndex;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// What is known about rewrites.
pub struct Rewrite {
    running: Option<Running>,
    /// The list with the file that the writer is about to open.
    rotating: Option<Manifest>,
    /// Numbers temporary files.
    number: u64,
    scheduled: bool,
    last_ok: bool,
    last_seconds: i64,
    count: u64,
    failures: u64,
    /// After repeated failures: when rewrites may start by themselves again.
    limited_until: Option<Instant>,
    delay_minutes: u64,
}

struct Running {
    started: Instant,
    /// The writer is in the new file.
    rotated: bool,
    /// The base is written.
    base_ready: bool,
    /// The list as it is when all is done.
    installing: Option<Manifest>,
    /// All is done but for the list without the files that were replaced.
    tidying: bool,
}

impl Default for Rewrite {
    fn default() -> Self {
        Rewrite {
            running: None,
            rotating: None,
            number: 0,
            scheduled: false,
            last_ok: true,
            last_seconds: -1,
            count: 0,
            failures: 0,
            limited_until: None,
            delay_minutes: 0,
        }
    }
}

/// From so many failures in a row on rewrites that start by themselves are put off, up to so long.
const FAILURES_BEFORE_LIMIT: u64 = 3;
const DELAY_MAX_MINUTES: u64 = 60;

impl Rewrite {
    /// True while there is one.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// One is to start as soon as it can.
    pub fn is_scheduled(&self) -> bool {
        self.scheduled
    }

    /// Has one start as soon as it can.
    pub fn schedule(&mut self) {
        self.scheduled = true;
    }

    /// Somebody asked for one that cannot start at once: earlier failures are forgotten.
    pub fn schedule_by_hand(&mut self) {
        self.scheduled = true;
        self.failures = 0;
    }

    pub(super) fn unschedule(&mut self) {
        self.scheduled = false;
    }

    /// How the last one ended.
    pub fn last_ok(&self) -> bool {
        self.last_ok
    }

    /// How long the last one took; -1 if there was none.
    pub fn last_seconds(&self) -> i64 {
        self.last_seconds
    }

    /// How long the current one has taken; -1 if there is none.
    pub fn current_seconds(&self) -> i64 {
        self.running.as_ref().map_or(-1, |running| seconds_since(running.started))
    }

    /// Rewrites begun.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    pub(super) fn reset_stats(&mut self) {
        self.count = 0;
        self.failures = 0;
    }

    /// True if a rewrite that nobody asked for must not start yet: they kept failing, and each leaves a file behind.
    pub fn is_limited(&mut self) -> bool {
        if self.failures < FAILURES_BEFORE_LIMIT {
            self.delay_minutes = 0;
            self.limited_until = None;
            return false;
        }
        if let Some(until) = self.limited_until {
            let over = Instant::now() >= until;
            if over {
                self.limited_until = None;
            }
            return !over;
        }
        self.delay_minutes = (self.delay_minutes * 2).clamp(1, DELAY_MAX_MINUTES);
        self.limited_until = Some(Instant::now() + Duration::from_secs(60 * self.delay_minutes));
        let minutes = self.delay_minutes;
        warn!("Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {minutes} minutes");
        true
    }
}

impl Aof {
    /// Switched on at run time: the first rewrite has to bring what is in memory.
    pub fn start(&mut self) {
        self.state = State::WaitsForRewrite;
        self.rewrite.scheduled = true;
        if self.failure.take().is_some() {
            warn!("AOF reopen, just ignore the last error.");
        }
    }

    /// Not switched on after all.
    pub fn cancel_start(&mut self) {
        self.state = State::Off;
        self.rewrite.scheduled = false;
    }

    /// By how many percent the files have grown since the last rewrite, if that is enough for the next one.
    pub fn growth_due(&mut self, config: &Config) -> Option<u64> {
        if self.state != State::On || self.rewrite.is_running() || config.auto_aof_rewrite_percentage <= 0 {
            return None;
        }
        let bytes = self.figures().current_bytes;
        if bytes <= config.auto_aof_rewrite_min_size {
            return None;
        }
        let growth = (u128::from(bytes) * 100 / u128::from(self.base_bytes.max(1))).saturating_sub(100) as u64;
        (growth >= config.auto_aof_rewrite_percentage as u64 && !self.rewrite.is_limited()).then_some(growth)
    }

    /// Begins a rewrite: what is written from here on goes into a new file. The data set as it is now is to be written under
    /// the names returned; then `base_written`.
    ///
    /// # Errors
    /// There cannot be one now; nothing has changed.
    pub fn begin_rewrite(&mut self, config: &Config, stream: &mut WriteStream) -> io::Result<BaseNames> {
        let places = Places::of(config);
        if self.rewrite.rotating.is_some() {
            // The one before failed and the writer is not yet where it began.
            self.flush(stream, false);
            self.look(config, stream);
        }
        let ready = self.disk.create_folder(&places.folder).and_then(|()| match self.writer {
            Some(_) => Ok(None),
            None => self.start_writer(None, stream, config).map(Some),
        });
        match ready {
            Ok(Some(writer)) => self.writer = Some(writer),
            Ok(None) => {}
            Err(error) => {
                warn!("Can't open or create append-only dir {}: {error}", config.appenddirname);
                self.rewrite.last_ok = false;
                return Err(error);
            }
        }
        stream.begin_part();
        self.rewrite.number += 1;
        let number = self.rewrite.number;
        match self.state {
            State::Off => {}
            State::WaitsForRewrite => {
                self.change(Change::Rotate { path: places.temporary_incr(number), manifest: None });
                info!("Creating a temp AOF incr file on background rewrite");
                self.attach(stream, config);
            }
            State::On => {
                let mut manifest = self.manifest.clone();
                let name = manifest.push_incr(&places.name);
                let text = places.text_of(&manifest);
                self.change(Change::Rotate { path: places.folder.join(&name), manifest: Some(text) });
                info!("Creating AOF incr file {name} on background rewrite");
                self.timestamps.set(super::Stamping { last: 0, ..self.timestamps.get() });
                self.rewrite.rotating = Some(manifest);
            }
        }
        self.rewrite.scheduled = false;
        self.rewrite.count += 1;
        let started = Instant::now();
        self.rewrite.running =
            Some(Running { started, rotated: self.state == State::Off, base_ready: false, installing: None, tidying: false });
        self.set_policy(config);
        info!("Background append only file rewriting started");
        Ok(places.base_names(number))
    }

    fn change(&self, change: Change) {
        if let Some(writer) = &self.writer {
            writer.shared().change(change);
        }
    }

    /// The new base is written and synced, or it failed.
    pub fn base_written(&mut self, outcome: io::Result<u64>, config: &Config, stream: &mut WriteStream) {
        let Some(running) = &mut self.rewrite.running else { return };
        match outcome {
            Ok(_) => {
                running.base_ready = true;
                self.try_install(config);
            }
            Err(error) => {
                warn!("Write error writing append only file on disk: {error}");
                self.fail_rewrite(config, stream);
            }
        }
    }

    /// The writer is in the new file, or could not open it.
    pub(super) fn rotated(&mut self, outcome: io::Result<()>, config: &Config, stream: &mut WriteStream) {
        let rotating = self.rewrite.rotating.take();
        match outcome {
            Ok(()) => {
                if let Some(manifest) = rotating {
                    self.manifest = manifest;
                    self.closed_bytes = self.measure(&Places::of(config), true);
                }
                if let Some(running) = &mut self.rewrite.running {
                    running.rotated = true;
                }
                self.try_install(config);
            }
            Err(error) => {
                warn!("Can't open the append-only file for what follows: {error}");
                if self.rewrite.is_running() {
                    self.fail_rewrite(config, stream);
                }
            }
        }
    }

    fn try_install(&mut self, config: &Config) {
        let Some(running) = &mut self.rewrite.running else { return };
        if !running.rotated || !running.base_ready || running.installing.is_some() {
            return;
        }
        let places = Places::of(config);
        let mut manifest = self.manifest.clone();
        let base = manifest.push_base(&places.name, config.aof_use_rdb_preamble);
        let number = self.rewrite.number;
        let mut renames = vec![(places.temporary_base(number), places.folder.join(&base))];
        if self.state == State::WaitsForRewrite {
            let incr = manifest.push_incr(&places.name);
            renames.push((places.temporary_incr(number), places.folder.join(&incr)));
        }
        manifest.retire_incr(self.state != State::Off);
        let text = places.text_of(&manifest);
        running.installing = Some(manifest);
        self.change(Change::Install { renames, manifest: text });
    }

    /// The files have their names and the manifest is written, or not.
    pub(super) fn installed(&mut self, outcome: io::Result<()>, config: &Config, stream: &mut WriteStream) {
        let Some(running) = &mut self.rewrite.running else { return };
        let Some(manifest) = running.installing.take() else { return };
        if let Err(error) = outcome {
            warn!("Error trying to rename the temporary AOF files or to write the manifest: {error}");
            let places = Places::of(config);
            let base = manifest.base.as_ref().map(|base| places.folder.join(&base.name));
            self.remove_in_background(base.into_iter().collect());
            return self.fail_rewrite(config, stream);
        }
        running.tidying = true;
        self.manifest = manifest;
        if let Some(base) = &self.manifest.base {
            info!("Successfully renamed the temporary AOF base file into {}", base.name);
        }
        if self.state == State::WaitsForRewrite {
            self.state = State::On;
        }
        self.closed_bytes = self.measure(&Places::of(config), self.state == State::On);
        self.base_bytes = self.figures().current_bytes;
        if !self.remove_history(config) {
            self.finish_rewrite(config);
        }
    }

    /// The last manifest of a rewrite is written.
    pub(super) fn tidied(&mut self, config: &Config) {
        if self.rewrite.running.as_ref().is_some_and(|running| running.tidying) {
            self.finish_rewrite(config);
        }
    }

    fn finish_rewrite(&mut self, config: &Config) {
        let Some(running) = self.rewrite.running.take() else { return };
        self.rewrite.last_seconds = seconds_since(running.started);
        self.rewrite.last_ok = true;
        self.rewrite.failures = 0;
        self.set_policy(config);
        if self.state == State::Off {
            self.writer = None;
        }
        info!("Background AOF rewrite terminated with success");
        info!("Background AOF rewrite finished successfully");
    }

    fn fail_rewrite(&mut self, config: &Config, stream: &mut WriteStream) {
        warn!("Background AOF rewrite terminated with error");
        self.rewrite.last_ok = false;
        self.rewrite.failures += 1;
        self.drop_rewrite(config, stream);
        if self.state == State::WaitsForRewrite {
            self.rewrite.scheduled = true;
        }
    }

    /// Ends a rewrite that nobody waits for any more.
    pub fn abort_rewrite(&mut self, config: &Config, stream: &mut WriteStream) {
        if self.rewrite.is_running() {
            info!("Killing running AOF rewrite child: there is none, the rewrite ends here");
            // The writer may be about to install it; what it reports decides then.
            if let Some(writer) = &self.writer {
                writer.shared().drain();
            }
            self.look(config, stream);
            if self.rewrite.is_running() {
                self.drop_rewrite(config, stream);
            }
        }
    }

    fn drop_rewrite(&mut self, config: &Config, stream: &mut WriteStream) {
        let Some(running) = self.rewrite.running.take() else { return };
        self.rewrite.last_seconds = seconds_since(running.started);
        let places = Places::of(config);
        let number = self.rewrite.number;
        let mut leftovers = vec![places.temporary_base(number)];
        if self.state == State::WaitsForRewrite {
            // What gathered there is of no use without the base.
            if let Some(tap) = self.tap.take() {
                stream.detach(tap);
            }
            self.change(Change::Close);
            info!("Removing the temp incr aof file in the background");
            leftovers.push(places.temporary_incr(number));
            if let Some(writer) = self.writer.take() {
                writer.shared().drain();
            }
        }
        if self.state == State::Off {
            self.writer = None;
        }
        self.remove_in_background(leftovers);
        self.set_policy(config);
    }
}

/// Where a snapshot goes that is to be a base: the base itself, or, without RDB, the commands that make the same data.
///
/// # Errors
/// The system's.
pub fn base_sink(names: &BaseNames, config: &Config, keyspace: &Keyspace) -> io::Result<Box<dyn Sink>> {
    let incremental = config.aof_rewrite_incremental_fsync;
    if config.aof_use_rdb_preamble {
        return Ok(Box::new(FileSink::create(&names.folder, &names.part, &names.whole, incremental)?));
    }
    let part = names.folder.join(&names.part);
    let stamp = config.aof_timestamp_enabled.then(|| keyspace.env.clock.micros() / 1_000_000);
    Ok(Box::new(CommandSink {
        file: File::options().create(true).truncate(true).read(true).write(true).open(&part)?,
        part,
        whole: names.folder.join(&names.whole),
        limits: keyspace.env.settings.limits.clone(),
        stamp,
        done: false,
    }))
}

/// Turns a snapshot into commands, on the snapshot's thread: when it is complete it is read back.
struct CommandSink {
    file: File,
    part: PathBuf,
    whole: PathBuf,
    limits: Limits,
    /// The time to be told at the beginning.
    stamp: Option<i64>,
    done: bool,
}

impl Sink for CommandSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn patches_header(&self) -> bool {
        true
    }

    fn finish(&mut self, header: &[u8; HEADER_LEN]) -> io::Result<()> {
        let len = self.file.stream_position()?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)?;
        self.file.seek(SeekFrom::Start(0))?;
        let mut out = FileOut { file: File::create(&self.whole)?, buffer: Vec::with_capacity(CHUNK), error: None };
        if let Some(seconds) = self.stamp {
            out.put(stamp(seconds).as_bytes());
        }
        let options = load::Options { limits: &self.limits, checksum: false, deep: false };
        let mut commands = Commands { db: None, out: &mut out };
        load::read(&self.file, len, options, &mut commands).map_err(io::Error::other)?;
        out.flush();
        if let Some(error) = out.error {
            return Err(error);
        }
        out.file.sync_all()?;
        self.done = true;
        std::fs::remove_file(&self.part)
    }

    fn abandon(&mut self) {
        let _ = std::fs::remove_file(&self.part);
        if !self.done {
            let _ = std::fs::remove_file(&self.whole);
        }
    }
}

/// Writes the commands for what a snapshot holds.
struct Commands<'a> {
    db: Option<u64>,
    out: &'a mut FileOut,
}

impl load::Sink for Commands<'_> {
    fn function(&mut self, code: &[u8]) {
        commands::library(code, self.out);
    }

    fn entry(&mut self, db: u64, entry: Entry, _: load::AccessMark) -> Result<(), &'static str> {
        if self.db != Some(db) {
            self.db = Some(db);
            commands::select(DbIndex(db as u32), self.out);
        }
        commands::entry(&entry, self.out);
        if self.out.error.is_some() { Err("the commands cannot be written") } else { Ok(()) }
    }
}

/// Bytes written at once.
const CHUNK: usize = 256 << 10;

struct FileOut {
    file: File,
    buffer: Vec<u8>,
    error: Option<io::Error>,
}

impl FileOut {
    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.file.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }
}

impl Out for FileOut {
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.flush();
        }
        self.buffer.extend_from_slice(bytes);
    }
}
