//! The append-only file: a consumer of the write stream that keeps every write on the disk.
//!
//! It is made of several files that a manifest lists (see `manifest`): a BASE with the data set as of the last rewrite, and
//! INCR files with the stream since. `writer` brings bytes into the file that grows and syncs it, in groups (`group`) where
//! replies wait for that; `replay` and `commands` read and write files of commands. This module decides: when it is on, when
//! files change, what is told about it.
//!
//! A rewrite begins a new INCR file at a cut of the stream, has the data set as of the cut written beside it, and, when both
//! are safe, names the two in the manifest in place of all that came before. Whenever the power goes, the manifest
//! on the disk names files that together hold everything.

pub mod commands;
pub mod group;
pub mod manifest;
pub mod replay;
pub mod rewrite;
pub mod writer;

use super::disk::{Disk, RealDisk};
use crate::config::{AppendFsync, Config};
use crate::stream::{Consumer, ConsumerId, Targets, WriteStream};
use manifest::{Kind, Manifest, Part};
use rewrite::Rewrite;
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, warn};
use writer::{Change, ManifestText, Report, Shared, Slowest, Writer};

/// Whether writes are logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    #[default]
    Off,
    On,
    /// Switched on; writes are kept in a file of their own until the first rewrite has brought what was there before.
    WaitsForRewrite,
}

/// The append-only file of one server.
pub struct Aof {
    state: State,
    pub(super) manifest: Manifest,
    /// Files of former manifests, to be removed as soon as none of those can come back.
    retired: Vec<PathBuf>,
    writer: Option<Writer>,
    tap: Option<ConsumerId>,
    /// `aof-timestamp-enabled`, where the tap sees it.
    timestamps: Rc<Cell<Stamping>>,
    disk: Arc<dyn Disk>,
    tell: Arc<dyn Fn() + Send + Sync>,
    rewrite: Rewrite,
    /// Bytes in the files that do not grow.
    closed_bytes: u64,
    /// Bytes in all files after the last rewrite.
    base_bytes: u64,
    /// Why writes are refused at the moment.
    failure: Option<String>,
    delayed: u64,
    flush_sleep: u64,
    saving: bool,
}

impl Default for Aof {
    fn default() -> Self {
        Aof {
            state: State::Off,
            manifest: Manifest::default(),
            retired: Vec::new(),
            writer: None,
            tap: None,
            timestamps: Rc::default(),
            disk: Arc::new(RealDisk),
            tell: Arc::new(|| {}),
            rewrite: Rewrite::default(),
            closed_bytes: 0,
            base_bytes: 0,
            failure: None,
            delayed: 0,
            flush_sleep: 0,
            saving: false,
        }
    }
}

/// Where the files are.
pub struct Places {
    pub folder: PathBuf,
    /// `appendfilename`.
    pub name: String,
}

impl Places {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        Places { folder: Path::new(&config.dir).join(&*config.appenddirname), name: config.appendfilename.to_string() }
    }

    /// The file that a rewrite leaves as the new base. Numbered, as what a failed one left may be about to be removed.
    pub fn temporary_base(&self, rewrite: u64) -> PathBuf {
        self.folder.join(self.base_names(rewrite).whole)
    }

    /// The names of the new base on its way.
    fn base_names(&self, rewrite: u64) -> BaseNames {
        let name = |kind| format!("temp-{}.{rewrite}.{kind}", self.name);
        BaseNames { folder: self.folder.clone(), part: name("part"), whole: name("base") }
    }

    /// The file that grows until the first rewrite has succeeded.
    pub fn temporary_incr(&self, rewrite: u64) -> PathBuf {
        self.folder.join(format!("temp-{}.{rewrite}.incr", self.name))
    }

    /// True for a name that one of the above gave, or another server of this kind.
    fn is_temporary(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix("temp-").and_then(|rest| rest.strip_prefix(&self.name)) else { return false };
        let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        matches!(rest, "part" | "base" | "incr" | "manifest")
    }

    fn text_of(&self, manifest: &Manifest) -> ManifestText {
        ManifestText {
            folder: self.folder.clone(),
            temporary: manifest::temporary_name(&self.name),
            name: manifest::file_name(&self.name),
            bytes: manifest.to_text(),
        }
    }
}

/// Where a new base is written.
pub struct BaseNames {
    pub folder: PathBuf,
    /// What is not yet complete.
    pub part: String,
    /// What is, and is safe on the disk.
    pub whole: String,
}

/// Timestamps between the requests.
#[derive(Clone, Copy, Default)]
struct Stamping {
    on: bool,
    /// The second written last; 0 in a new file.
    last: i64,
}

/// Passes the stream on to the writer.
struct Tap {
    shared: Arc<Shared>,
    stamping: Rc<Cell<Stamping>>,
}

impl Consumer for Tap {
    fn target(&self) -> Targets {
        Targets::FILE
    }

    fn append(&mut self, bytes: &[u8], end: u64) {
        let mut stamping = self.stamping.get();
        if !stamping.on {
            return self.shared.append([&[], bytes], end);
        }
        let now = crate::clock::Clock::Real.micros() / 1_000_000;
        if now <= stamping.last {
            return self.shared.append([&[], bytes], end);
        }
        stamping.last = now;
        self.stamping.set(stamping);
        self.shared.append([stamp(now).as_bytes(), bytes], end);
    }
}

/// A remark that tells the time.
pub(super) fn stamp(unix_seconds: i64) -> String {
    format!("#TS:{unix_seconds}\r\n")
}

/// What the engine is to do after a look at the reports.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct News {
    /// Writes are refused, or no longer: the guard is to be set anew.
    pub guard_changed: bool,
}

impl Aof {
    /// Uses another disk, and tells whoever runs the engine of news by `tell`.
    pub fn set_surroundings(&mut self, disk: Option<Arc<dyn Disk>>, tell: Option<Arc<dyn Fn() + Send + Sync>>) {
        if let Some(disk) = disk {
            self.disk = disk;
        }
        if let Some(tell) = tell {
            self.tell = tell;
        }
    }

    /// Whether it is on.
    pub fn state(&self) -> State {
        self.state
    }

    /// The list of files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Why writes are refused.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What is told of rewrites.
    pub fn rewrites(&self) -> &Rewrite {
        &self.rewrite
    }

    /// What is known of rewrites, to be changed.
    pub fn rewrites_mut(&mut self) -> &mut Rewrite {
        &mut self.rewrite
    }

    /// Reads the manifest; with `appendonly` an old single file is taken over first.
    ///
    /// # Errors
    /// What is wrong, which is logged: the server must not start.
    pub fn read_manifest(&mut self, config: &Config) -> Result<(), String> {
        let places = Places::of(config);
        let path = places.folder.join(manifest::file_name(&places.name));
        self.manifest = match std::fs::read(&path) {
            Ok(bytes) => Manifest::parse(&bytes).map_err(|bad| {
                warn!("\n*** FATAL AOF MANIFEST FILE ERROR ***\n");
                if let Some((number, line)) = &bad.line {
                    warn!("Reading the manifest file, at line {number}\n");
                    warn!(">>> '{line}'\n");
                }
                warn!("{}\n", bad.reason);
                format!("the manifest {} cannot be read", path.display())
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::default(),
            Err(error) => {
                let text = format!("Fatal error: can't open the AOF manifest file {} for reading: {error}", path.display());
                warn!("{text}");
                return Err(text);
            }
        };
        Ok(())
    }

    /// Takes over a file of the time before there were several: it becomes the base.
    ///
    /// # Errors
    /// As above.
    pub fn upgrade(&mut self, config: &Config) -> Result<(), String> {
        let places = Places::of(config);
        let old = Path::new(&config.dir).join(&places.name);
        if !old.exists() {
            return Ok(());
        }
        let moved = places.folder.join(&places.name);
        let base_is_old = self.manifest.base.as_ref().is_some_and(|base| base.name == places.name);
        let interrupted = self.manifest.incr.is_empty() && base_is_old && !moved.exists();
        if !self.manifest.is_empty() && !interrupted {
            return Ok(());
        }
        let base = Part { name: places.name.clone(), seq: 1, kind: Kind::Base };
        let manifest = Manifest { base: Some(base), base_seq: 1, ..Manifest::default() };
        let written = self.disk.create_folder(&places.folder).and_then(|()| self.persist(&places, &manifest));
        let done = written.and_then(|()| {
            self.disk.rename(&old, &moved)?;
            self.disk.sync_folder(&places.folder)?;
            self.disk.sync_folder(Path::new(&config.dir))
        });
        done.map_err(|error| {
            let folder = places.folder.display();
            let text = format!("Error trying to move the old AOF file {} into dir {folder}: {error}", places.name);
            warn!("{text}");
            text
        })?;
        let dir = &config.appenddirname;
        info!("Successfully migrated an old-style AOF file ({}) into the AOF directory ({dir}).", places.name);
        self.manifest = manifest;
        Ok(())
    }

    fn persist(&self, places: &Places, manifest: &Manifest) -> io::Result<()> {
        let text = places.text_of(manifest);
        super::disk::replace(&*self.disk, &text.folder, &text.temporary, &text.name, &text.bytes)
    }

    /// Opens the file for what is written from now on: the server starts and its data are loaded. `write_base` writes the
    /// data set to a file; it is called if there is none yet.
    ///
    /// # Errors
    /// What is wrong: the server must not start.
    pub fn open(
        &mut self,
        config: &Config,
        stream: &mut WriteStream,
        write_base: impl FnOnce(&BaseNames) -> io::Result<()>,
    ) -> io::Result<()> {
        let places = Places::of(config);
        self.disk.create_folder(&places.folder)?;
        self.remove_leftovers(&places);
        let mut manifest = self.manifest.clone();
        if manifest.is_empty() {
            let name = manifest.push_base(&places.name, config.aof_use_rdb_preamble);
            let temporary = places.temporary_base(0);
            write_base(&places.base_names(0))?;
            self.disk.rename(&temporary, &places.folder.join(&name))?;
            info!("Creating AOF base file {name} on server start");
        }
        let known = manifest.incr.last().map(|part| part.name.clone());
        let name = known.clone().unwrap_or_else(|| manifest.push_incr(&places.name));
        let file = self.open_to_go_on(&places.folder.join(&name))?;
        if manifest != self.manifest {
            self.persist(&places, &manifest)?;
        }
        self.manifest = manifest;
        let what = if known.is_some() { "Opening" } else { "Creating" };
        info!("{what} AOF incr file {name} on server start");
        self.closed_bytes = self.measure(&places, true);
        self.base_bytes = self.manifest.base.as_ref().map_or(0, |base| size(&places.folder.join(&base.name)));
        self.writer = Some(self.start_writer(Some(file), stream, config)?);
        self.attach(stream, config);
        self.state = State::On;
        self.remove_history(config);
        Ok(())
    }

    /// Opens a file to go on behind what is in it.
    fn open_to_go_on(&self, path: &Path) -> io::Result<Box<dyn super::disk::LogFile>> {
        let mut file = self.disk.append(path)?;
        let len = file.size()?;
        let data = group::data_len(&std::fs::File::open(path)?, len)?;
        if data < len {
            file.truncate(data)?;
        }
        Ok(file)
    }

    fn start_writer(
        &self,
        file: Option<Box<dyn super::disk::LogFile>>,
        stream: &WriteStream,
        config: &Config,
    ) -> io::Result<Writer> {
        let tell = self.tell.clone();
        let writer = Writer::start(self.disk.clone(), file, stream.end(), config.appendfsync, Box::new(move || tell()))?;
        writer.shared().set_flush_sleep(self.flush_sleep);
        Ok(writer)
    }

    fn attach(&mut self, stream: &mut WriteStream, config: &Config) {
        if let Some(writer) = &self.writer {
            self.timestamps.set(Stamping { on: config.aof_timestamp_enabled, last: 0 });
            let tap = Tap { shared: writer.shared().clone(), stamping: self.timestamps.clone() };
            self.tap = Some(stream.attach(Box::new(tap)));
        }
    }

    /// Removes what a crash may have left.
    fn remove_leftovers(&self, places: &Places) {
        let Ok(entries) = std::fs::read_dir(&places.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| places.is_temporary(name)) {
                let _ = self.disk.remove(&entry.path());
            }
        }
    }

    /// Bytes of the files in the manifest, the one that grows left out if `closed_only`.
    fn measure(&self, places: &Places, closed_only: bool) -> u64 {
        let growing = self.manifest.incr.last().filter(|_| closed_only).map(|part| &part.name);
        let parts = self.manifest.parts().filter(|part| Some(&part.name) != growing);
        parts.map(|part| size(&places.folder.join(&part.name))).sum()
    }

    /// Forgets and removes the files that a rewrite replaced, on a thread of their own. True if the writer will report.
    pub fn remove_history(&mut self, config: &Config) -> bool {
        if self.manifest.history.is_empty() || config.aof_disable_auto_gc {
            return false;
        }
        let places = Places::of(config);
        let history = std::mem::take(&mut self.manifest.history);
        let paths: Vec<PathBuf> = history
            .iter()
            .map(|part| {
                info!("Removing the history file {} in the background", part.name);
                places.folder.join(&part.name)
            })
            .collect();
        self.retired.extend(paths);
        let text = places.text_of(&self.manifest);
        match &self.writer {
            Some(writer) => writer.shared().change(Change::Tidy { manifest: text }),
            None => self.remove_retired(self.persist(&places, &self.manifest)),
        }
        self.writer.is_some()
    }

    /// The manifest that names the replaced files no longer is written, or not. If it is not, one that needs them may come back
    /// with a loss of power.
    fn remove_retired(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => {
                let retired = std::mem::take(&mut self.retired);
                self.remove_in_background(retired);
            }
            Err(error) => warn!("Can't write the AOF manifest file: {error}"),
        }
    }

    fn remove_in_background(&self, paths: Vec<PathBuf>) {
        let disk = self.disk.clone();
        let remove = move || paths.iter().for_each(|path| drop(disk.remove(path)));
        // Without a thread the files stay until the next start finds them.
        let _ = std::thread::Builder::new().name("aof_unlink".into()).spawn(remove);
    }

    /// Obeys what the configuration says now.
    pub fn adopt_config(&mut self, config: &Config) {
        let stamping = self.timestamps.get();
        self.timestamps.set(Stamping { on: config.aof_timestamp_enabled, ..stamping });
        self.set_policy(config);
        // Whoever switches the removal on sees at once that the manifest has changed.
        if self.remove_history(config)
            && let Some(writer) = &self.writer
        {
            writer.shared().drain();
        }
    }

    /// Whether a data file is being written beside it (`no-appendfsync-on-rewrite`).
    pub fn set_saving(&mut self, saving: bool, config: &Config) {
        if self.saving != saving {
            self.saving = saving;
            self.set_policy(config);
        }
    }

    fn set_policy(&self, config: &Config) {
        if let Some(writer) = &self.writer {
            let unsynced = config.no_appendfsync_on_rewrite && (self.rewrite.is_running() || self.saving);
            writer.shared().set_policy(config.appendfsync, unsynced);
        }
    }

    /// Takes note of what the writer reports.
    pub fn look(&mut self, config: &Config, stream: &mut WriteStream) -> News {
        let mut news = News::default();
        let Some(writer) = &self.writer else { return news };
        let shared = writer.shared().clone();
        self.delayed += shared.take_delayed();
        for report in shared.take_reports() {
            match report {
                Report::Rotated(outcome) => self.rotated(outcome, config, stream),
                Report::Installed(outcome) => self.installed(outcome, config, stream),
                Report::Tidied(outcome) => {
                    self.remove_retired(outcome);
                    self.tidied(config);
                }
                Report::Done => {}
                Report::Failed(reason) => {
                    self.failure = Some(reason);
                    news.guard_changed = true;
                }
                Report::Recovered { doubtful } => {
                    self.failure = None;
                    news.guard_changed = true;
                    // What a failed sync was to save may be lost from the file, but not from memory.
                    if doubtful {
                        self.rewrite.schedule();
                    }
                }
            }
        }
        news
    }

    /// Switches it off: what was logged so far is safe on the disk afterwards.
    pub fn stop(&mut self, config: &Config, stream: &mut WriteStream) {
        self.abort_rewrite(config, stream);
        if let Some(tap) = self.tap.take() {
            stream.detach(tap);
        }
        if let Some(writer) = &self.writer {
            writer.shared().change(Change::Close);
            writer.shared().drain();
        }
        self.look(config, stream);
        self.writer = None;
        self.state = State::Off;
        self.failure = None;
        self.rewrite.unschedule();
        self.closed_bytes = 0;
    }

    /// Writes what was handed over, and syncs it if wanted, as far as the disk lets it: the server ends, or is about to read
    /// the files.
    pub fn flush(&mut self, stream: &mut WriteStream, sync: bool) {
        stream.flush();
        if let Some(writer) = &self.writer {
            if sync {
                writer.shared().change(Change::Sync);
            }
            writer.shared().drain();
        }
    }

    /// Position of the stream up to which replies may leave. None if they need not wait.
    #[inline]
    pub fn settled(&self, config: &Config) -> Option<u64> {
        // Other policies than `always` promise nothing that a failing disk could break.
        let matters = self.tap.is_some() && (self.failure.is_none() || config.appendfsync == AppendFsync::Always);
        self.writer.as_ref().filter(|_| matters).map(|writer| writer.shared().settled())
    }

    /// Tells the writer how many replies wait for it.
    pub fn note_held(&self, replies: usize) {
        if let Some(writer) = &self.writer {
            writer.shared().set_held(replies);
        }
    }

    /// True if replies wait for the disk.
    #[inline]
    pub fn holds_replies(&self, config: &Config) -> bool {
        let late = || self.writer.as_ref().is_some_and(|writer| writer.shared().holds_replies());
        self.tap.is_some() && self.state == State::On && (config.appendfsync == AppendFsync::Always || late())
    }

    /// True if what is handed to the file is synced at once, by whoever hands it over (unless the disk fails).
    #[inline]
    pub fn syncs_in_passing(&self, config: &Config) -> bool {
        let is_quick = || self.writer.as_ref().is_some_and(|writer| writer.shared().syncs_are_quick());
        config.appendfsync == AppendFsync::Always && self.tap.is_some() && self.state == State::On && is_quick()
    }

    /// Position of the stream up to which the disk has it; none while there is no complete file.
    pub fn durable(&self) -> Option<u64> {
        self.writer.as_ref().filter(|_| self.state == State::On).map(|writer| writer.shared().durable())
    }

    /// Sets the wait before each write, in microseconds (DEBUG AOF-FLUSH-SLEEP).
    pub fn set_flush_sleep(&mut self, micros: u64) {
        self.flush_sleep = micros;
        if let Some(writer) = &self.writer {
            writer.shared().set_flush_sleep(micros);
        }
    }

    /// What was slowest since the last call.
    pub fn take_slowest(&self) -> Slowest {
        self.writer.as_ref().map_or(Slowest::default(), |writer| writer.shared().take_slowest())
    }

    /// What INFO tells.
    pub fn figures(&self) -> Figures {
        let shared = self.writer.as_ref().map(Writer::shared);
        Figures {
            current_bytes: self.closed_bytes + shared.map_or(0, |shared| shared.file_len()),
            base_bytes: self.base_bytes,
            buffered: shared.map_or(0, |shared| shared.buffered()),
            syncing: shared.is_some_and(|shared| shared.is_syncing()),
            delayed: self.delayed,
        }
    }

    /// Starts counting anew (CONFIG RESETSTAT).
    pub fn reset_stats(&mut self) {
        self.delayed = 0;
        self.rewrite.reset_stats();
    }
}

/// See INFO persistence.
pub struct Figures {
    pub current_bytes: u64,
    pub base_bytes: u64,
    pub buffered: u64,
    pub syncing: bool,
    pub delayed: u64,
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

/// Seconds since an instant.
fn seconds_since(start: Instant) -> i64 {
    start.elapsed().as_secs() as i64
}
