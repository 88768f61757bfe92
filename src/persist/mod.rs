//! Persistence: data files in Redis' formats, and what is known about the last time they were written and read.

pub mod aof;
pub mod disk;
pub mod rdb;
pub mod snapshot;

use crate::clock::Clock;
use crate::config::{Config, MaxmemoryPolicy, SanitizeDumpPayload, SavePoint};
use crate::keyspace::Keyspace;
use crate::stream::WriteStream;
use rdb::load::{Library, Loaded};
use rdb::save::{AccessKind, Facts, Place};
use snapshot::sink::FileSink;
use snapshot::{Purpose, Snapshot};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// What INFO, LASTSAVE and the like tell, and what they are computed from.
#[derive(Default)]
pub struct Persistence {
    /// When the data were last saved or loaded, in Unix seconds.
    pub last_save: i64,
    /// Changes that the file on the disk holds, by the keyspace's count of all.
    pub saved_changes: u64,
    /// Files written.
    pub saves: u64,
    /// The last attempt to save failed.
    pub last_save_failed: bool,
    /// What the last loading brought.
    pub loaded: Loaded,
    /// The data file, if it was found to be broken while the server runs: it must not be overwritten.
    unread: Option<PathBuf>,
    /// Libraries of functions, as files hold them: those who load them keep this up to date.
    pub functions: Sources,
    pub aof: aof::Aof,
    /// The snapshot in the making, whatever it is for.
    pub snapshot: Option<Snapshot>,
    pub background: Background,
    /// The loading of the data that is under way.
    pub loading: Option<Loading>,
    /// Data files that lie about at the start are somebody else's.
    pub starts_empty: bool,
    /// What the next data file tells of the history that its data are of: see `World::stamp_history`.
    pub place: Cell<Option<Place>>,
}

/// What is known of the saves in the background.
#[derive(Default)]
pub struct Background {
    /// One is to start as soon as another snapshot is done.
    pub scheduled: bool,
    /// When the last one was tried, in Unix seconds.
    pub tried: i64,
    /// How long the last one took.
    pub took: Option<Duration>,
    /// Most bytes that the last one took beside the data.
    pub extra_bytes: usize,
    /// Numbers the temporary files.
    files: u64,
    /// Snapshots begun, for whatever purpose: Redis forks for each.
    pub begun: u64,
}

/// Source texts of libraries of functions, by their names.
pub type Sources = Rc<RefCell<BTreeMap<Box<[u8]>, Arc<[u8]>>>>;

/// Data on their way into the keyspace, as INFO tells of them. While there is one, clients are told to wait.
#[derive(Debug)]
pub struct Loading {
    pub started: Instant,
    pub started_unix_seconds: i64,
    /// Bytes of all files, as far as they are known.
    pub bytes: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// What the data took in memory when they were saved, if a file tells.
    pub memory_bytes: u64,
    /// They go beside the data in use, which can be read meanwhile.
    pub is_async: bool,
}

/// Seconds between two tries of a save point when saving fails.
const RETRY_SECONDS: i64 = 5;

/// The data file could not be loaded.
#[derive(Debug)]
pub struct LoadFailure {
    pub file: PathBuf,
    pub error: rdb::LoadError,
}

impl std::fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.error)
    }
}

impl std::error::Error for LoadFailure {}

impl Persistence {
    /// Nothing saved yet by a server that starts now.
    pub fn new(now_seconds: i64) -> Self {
        Persistence { last_save: now_seconds, ..Persistence::default() }
    }

    /// Changes since the data were last saved.
    pub fn unsaved_changes(&self, keyspace: &Keyspace) -> u64 {
        keyspace.env.effects.dirty.saturating_sub(self.saved_changes)
    }

    /// Writes the data file and waits for the disk.
    ///
    /// # Errors
    /// What the system says, which is logged, too. Then the old file is as it was.
    pub fn save(&mut self, keyspace: &Keyspace, config: &Config) -> io::Result<()> {
        let options = self.options(keyspace, config, false);
        let unix_seconds = options.facts.unix_seconds;
        let temporary = format!("temp-{}.rdb", std::process::id());
        let sink = self.data_file(&temporary, config);
        match sink.and_then(|sink| rdb::save::save_file(sink, keyspace, options, config.rdb_key_save_delay)) {
            Ok(_) => {
                info!("DB saved on disk");
                self.unread = None;
                self.saved_changes = keyspace.env.effects.dirty;
                self.saves += 1;
                self.last_save = unix_seconds;
                self.last_save_failed = false;
                Ok(())
            }
            Err(error) => {
                warn!("Failed saving the DB to {} in {}: {error}", config.dbfilename, config.dir);
                self.last_save_failed = true;
                Err(error)
            }
        }
    }

    /// The data file to be, which takes the place of the one that is there; but one that could not be read is kept.
    fn data_file(&self, temporary: &str, config: &Config) -> io::Result<FileSink> {
        let folder = Path::new(&config.dir);
        let mut sink = FileSink::create(folder, temporary, &config.dbfilename, config.rdb_save_incremental_fsync)?;
        if self.unread.as_ref().is_some_and(|file| *file == folder.join(&*config.dbfilename)) {
            let aside = folder.join(format!("{}.unread-{}", config.dbfilename, Clock::Real.micros() / 1_000_000));
            warn!("{} could not be read and is kept as {}", config.dbfilename, aside.display());
            sink.keep_aside(Some(aside));
        }
        Ok(sink)
    }

    /// True while data are being loaded that clients have to wait for.
    pub fn is_loading(&self) -> bool {
        self.loading.as_ref().is_some_and(|loading| !loading.is_async)
    }

    /// True while data are being loaded beside those in use.
    pub fn is_loading_beside(&self) -> bool {
        self.loading.as_ref().is_some_and(|loading| loading.is_async)
    }

    /// True while the data file is being saved in the background.
    pub fn is_saving(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.purpose == Purpose::Rdb)
    }

    /// Starts to write the data file in the background. There must be no snapshot in the making.
    ///
    /// # Errors
    /// What the system says, which is logged and counts as a failed save.
    pub fn save_in_background(&mut self, keyspace: &mut Keyspace, config: &Config) -> io::Result<()> {
        let options = self.options(keyspace, config, false);
        self.background.scheduled = false;
        self.background.tried = options.facts.unix_seconds;
        self.background.files += 1;
        let temporary = format!("temp-{}.{}.rdb", std::process::id(), self.background.files);
        let sink = self.data_file(&temporary, config);
        let started =
            sink.and_then(|sink| snapshot::start(keyspace, Purpose::Rdb, options, config.rdb_key_save_delay, Box::new(sink)));
        match started {
            Ok(snapshot) => {
                info!("Background saving started");
                self.background.begun += 1;
                self.snapshot = Some(snapshot);
                Ok(())
            }
            Err(error) => {
                warn!("Can't save in background: {error}");
                self.last_save_failed = true;
                Err(error)
            }
        }
    }

    /// Accounts for a save in the background that is over.
    pub fn saved_in_background(&mut self, snapshot: &Snapshot, result: io::Result<u64>) {
        self.background.took = Some(snapshot.started.elapsed());
        self.background.extra_bytes = snapshot.queued_max;
        match result {
            Ok(_) => {
                info!("Background saving terminated with success");
                self.unread = None;
                self.saved_changes = snapshot.changes;
                self.saves += 1;
                self.last_save = Clock::Real.micros() / 1_000_000;
                self.last_save_failed = false;
            }
            Err(error) => {
                warn!("Background saving error: {error}");
                self.last_save_failed = true;
            }
        }
    }

    /// Gives up a save in the background; that is not a failure.
    pub fn cancel_save(&mut self, keyspace: &mut Keyspace) {
        if self.is_saving()
            && let Some(snapshot) = self.snapshot.take()
        {
            self.background.took = Some(snapshot.started.elapsed());
            snapshot.cancel(keyspace);
            warn!("Background saving was given up");
        }
    }

    /// The save point that wants the data saved now, if there is one.
    pub fn due_save_point(&self, keyspace: &Keyspace, config: &Config) -> Option<SavePoint> {
        let now = Clock::Real.micros() / 1_000_000;
        let changes = self.unsaved_changes(keyspace);
        if self.last_save_failed && now - self.background.tried <= RETRY_SECONDS {
            return None;
        }
        let due = |point: &&SavePoint| changes >= point.changes as u64 && now - self.last_save > point.seconds;
        config.save.iter().find(due).copied()
    }

    /// True if writes are to be refused because saving fails (`stop-writes-on-bgsave-error`).
    pub fn stops_writes(&self, config: &Config) -> bool {
        self.last_save_failed && config.stop_writes_on_bgsave_error && !config.save.is_empty()
    }

    /// Fills the keyspace from the data file, if there is one; the file is only read. With `merge` entries replace those of
    /// the same key. The libraries of functions in the file are for the caller to load.
    ///
    /// # Errors
    /// The file cannot be read or is broken: which one, where and why. The keyspace then holds a part of it.
    pub fn load(&mut self, keyspace: &mut Keyspace, config: &Config, merge: bool) -> Result<Vec<Library>, LoadFailure> {
        let start = Instant::now();
        let file = Path::new(&config.dir).join(&*config.dbfilename);
        let deep = config.sanitize_dump_payload == SanitizeDumpPayload::Yes;
        let loaded = rdb::load::load_file(&file, keyspace, config.rdbchecksum, deep, merge);
        let Some((loaded, libraries)) = loaded.map_err(|error| {
            self.unread = Some(file.clone());
            LoadFailure { file, error }
        })?
        else {
            return Ok(Vec::new());
        };
        self.loaded = loaded;
        self.saved_changes = keyspace.env.effects.dirty;
        let empty = if loaded.empty > 0 { format!(", empty keys skipped: {}", loaded.empty) } else { String::new() };
        info!("Done loading RDB, keys loaded: {}, keys expired: {}{empty}.", loaded.keys, loaded.expired);
        info!("DB loaded from disk: {:.3} seconds", start.elapsed().as_secs_f64());
        Ok(libraries)
    }
}

impl Persistence {
    /// Rewrites the append-only file in the background. There must be no snapshot in the making.
    ///
    /// # Errors
    /// It cannot be begun. What fails later is told by the log and by INFO.
    pub fn rewrite_aof(&mut self, keyspace: &mut Keyspace, config: &Config, stream: &mut WriteStream) -> io::Result<()> {
        let names = self.aof.begin_rewrite(config, stream)?;
        let options = self.options(keyspace, config, true);
        let sink = aof::rewrite::base_sink(&names, config, keyspace);
        let started = sink.and_then(|sink| snapshot::start(keyspace, Purpose::AofBase, options, config.rdb_key_save_delay, sink));
        match started {
            Ok(snapshot) => {
                self.background.begun += 1;
                self.snapshot = Some(snapshot);
            }
            Err(error) => self.aof.base_written(Err(error), config, stream),
        }
        Ok(())
    }

    /// Gives up the snapshot that a rewrite of the append-only file has made, if there is one.
    pub fn cancel_rewrite(&mut self, keyspace: &mut Keyspace, config: &Config, stream: &mut WriteStream) {
        self.aof.abort_rewrite(config, stream);
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.purpose == Purpose::AofBase)
            && let Some(snapshot) = self.snapshot.take()
        {
            snapshot.cancel(keyspace);
        }
    }

    /// True while something is written beside the data: nothing else of the kind can start.
    pub fn is_busy(&self) -> bool {
        self.snapshot.is_some() || self.aof.rewrites().is_running()
    }

    /// Opens the append-only file when the server starts and the data are loaded.
    ///
    /// # Errors
    /// It cannot be opened: the server must not start.
    pub fn open_aof(&mut self, keyspace: &mut Keyspace, config: &Config, stream: &mut WriteStream) -> io::Result<()> {
        let options = self.options(keyspace, config, true);
        self.aof.open(config, stream, |names| {
            let sink = aof::rewrite::base_sink(names, config, keyspace)?;
            snapshot::start(keyspace, Purpose::AofBase, options, 0, sink)?.complete(keyspace).map(|_| ())
        })
    }

    /// Accounts for what was loaded: the files hold all of it.
    pub fn note_loaded(&mut self, loaded: Loaded, keyspace: &Keyspace) {
        self.loaded = loaded;
        self.saved_changes = keyspace.env.effects.dirty;
    }

    /// How the data are to be written as they are now. `aof_base`: as the base of an append-only file.
    pub fn options(&self, keyspace: &Keyspace, config: &Config, aof_base: bool) -> rdb::save::Options {
        let unix_seconds = keyspace.env.clock.micros() / 1_000_000;
        // It holds for one file: the next is of another moment.
        let place = self.place.take().filter(|_| !aof_base);
        rdb::save::Options {
            compression: config.rdbcompression,
            checksum: config.rdbchecksum,
            access: access_kind(config.maxmemory_policy),
            facts: Facts { unix_seconds, used_memory: crate::raw::alloc::used() as u64, aof_base, place },
            functions: self.functions.borrow().values().map(|source| Library::from(&**source)).collect(),
        }
    }
}

/// Which part of the access clocks a policy needs after a restart.
fn access_kind(policy: MaxmemoryPolicy) -> AccessKind {
    match policy {
        MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru => AccessKind::Idle,
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessKind::Frequency,
        _ => AccessKind::None,
    }
}
