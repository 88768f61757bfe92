//! Persistence: data files in Redis' formats, and what is known about the last time they were written and read.

pub mod rdb;

use crate::config::{Config, MaxmemoryPolicy, SanitizeDumpPayload};
use crate::keyspace::Keyspace;
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
        let unix_seconds = keyspace.env.clock.micros() / 1_000_000;
        let facts = Facts { unix_seconds, used_memory: crate::raw::alloc::used() as u64, aof_base: false };
        let options = rdb::save::Options {
            compression: config.rdbcompression,
            checksum: config.rdbchecksum,
            access: access_kind(config.maxmemory_policy),
            facts,
        };
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

/// Which part of the access clocks a policy needs after a restart.
fn access_kind(policy: MaxmemoryPolicy) -> AccessKind {
    match policy {
        MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru => AccessKind::Idle,
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessKind::Frequency,
        _ => AccessKind::None,
    }
}
