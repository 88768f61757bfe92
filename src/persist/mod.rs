//! Persistence: data files in Redis' formats, and what is known about the last time they were written and read.

pub mod aof;
pub mod disk;
pub mod rdb;

use crate::config::{Config, MaxmemoryPolicy, SanitizeDumpPayload};
use crate::keyspace::Keyspace;
use crate::stream::WriteStream;
use rdb::load::Loaded;
use rdb::save::{AccessKind, Facts};
use std::path::{Path, PathBuf};
use std::time::Instant;
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
    pub aof: aof::Aof,
}

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
    pub fn save(&mut self, keyspace: &Keyspace, config: &Config) -> std::io::Result<()> {
        let options = file_options(keyspace, config, false);
        let unix_seconds = options.facts.unix_seconds;
        match rdb::save::save_file(Path::new(&config.dir), &config.dbfilename, keyspace, options) {
            Ok(_) => {
                info!("DB saved on disk");
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

    /// Fills the keyspace from the data file, if there is one; the file is only read. With `merge` entries replace those of
    /// the same key.
    ///
    /// # Errors
    /// The file cannot be read or is broken: which one, where and why. The keyspace then holds a part of it.
    pub fn load(&mut self, keyspace: &mut Keyspace, config: &Config, merge: bool) -> Result<(), LoadFailure> {
        let start = Instant::now();
        let file = Path::new(&config.dir).join(&*config.dbfilename);
        let deep = config.sanitize_dump_payload == SanitizeDumpPayload::Yes;
        let loaded = rdb::load::load_file(&file, keyspace, config.rdbchecksum, deep, merge);
        let Some(loaded) = loaded.map_err(|error| LoadFailure { file, error })? else { return Ok(()) };
        self.loaded = loaded;
        self.saved_changes = keyspace.env.effects.dirty;
        let empty = if loaded.empty > 0 { format!(", empty keys skipped: {}", loaded.empty) } else { String::new() };
        info!("Done loading RDB, keys loaded: {}, keys expired: {}{empty}.", loaded.keys, loaded.expired);
        info!("DB loaded from disk: {:.3} seconds", start.elapsed().as_secs_f64());
        Ok(())
    }
}

impl Persistence {
    /// Rewrites the append-only file.
    ///
    /// # Errors
    /// It cannot be begun. What fails later is told by the log and by INFO.
    pub fn rewrite_aof(&mut self, keyspace: &Keyspace, config: &Config, stream: &mut WriteStream) -> std::io::Result<()> {
        let path = self.aof.begin_rewrite(config, stream)?;
        let written = aof::rewrite::write_base(&path, keyspace, config, file_options(keyspace, config, true));
        self.aof.base_written(written, config, stream);
        Ok(())
    }

    /// True while something is written beside the data: a rewrite cannot start.
    pub fn is_busy(&self) -> bool {
        self.aof.rewrites().is_running()
    }

    /// Opens the append-only file when the server starts and the data are loaded.
    ///
    /// # Errors
    /// It cannot be opened: the server must not start.
    pub fn open_aof(&mut self, keyspace: &Keyspace, config: &Config, stream: &mut WriteStream) -> std::io::Result<()> {
        let options = file_options(keyspace, config, true);
        self.aof.open(config, stream, |path| aof::rewrite::write_base(path, keyspace, config, options))
    }

    /// Accounts for what was loaded: the files hold all of it.
    pub fn note_loaded(&mut self, loaded: Loaded, keyspace: &Keyspace) {
        self.loaded = loaded;
        self.saved_changes = keyspace.env.effects.dirty;
    }
}

/// How a file with the data set as it is now is to be written.
fn file_options(keyspace: &Keyspace, config: &Config, aof_base: bool) -> rdb::save::Options {
    let unix_seconds = keyspace.env.clock.micros() / 1_000_000;
    rdb::save::Options {
        compression: config.rdbcompression,
        checksum: config.rdbchecksum,
        access: access_kind(config.maxmemory_policy),
        facts: Facts { unix_seconds, used_memory: crate::raw::alloc::used() as u64, aof_base },
    }
}

/// How far a load has come, for INFO.
#[derive(Clone, Copy, Debug)]
pub struct LoadProgress {
    pub unix_seconds: i64,
    pub started: Instant,
    pub total_bytes: u64,
    pub loaded_bytes: u64,
}

/// Which part of the access clocks a policy needs after a restart.
fn access_kind(policy: MaxmemoryPolicy) -> AccessKind {
    match policy {
        MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru => AccessKind::Idle,
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessKind::Frequency,
        _ => AccessKind::None,
    }
}
