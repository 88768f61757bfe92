//! Writing a whole file in one go: SAVE. (What is written while commands go on is a snapshot, `persist::snapshot`.)

use super::encode::{Access, Encoder, Out};
use super::format::{VERSION_ACCESS, VERSION_FUNCTIONS, VERSION_WRITTEN_MIN, opcode, version_of};
use super::output::Output;
use super::pair::Pair;
use crate::keyspace::{Entry, Keyspace};
use crate::persist::snapshot::delay_of;
use crate::persist::snapshot::sink::{FileSink, MemorySink};
use crate::types::DbIndex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What is said about the data set at the head of a file.
#[derive(Clone, Debug)]
pub struct Facts {
    pub unix_seconds: i64,
    /// Bytes of memory in use.
    pub used_memory: u64,
    /// The file is the base of an append-only file.
    pub aof_base: bool,
    /// The place in the history that the data are at.
    pub place: Option<Place>,
}

/// A place in the history that replicas follow.
#[derive(Clone, Debug)]
pub struct Place {
    /// Name of the history.
    pub id: String,
    pub offset: u64,
    /// The database that the next request is for, if it does not name one.
    pub db: DbIndex,
}

/// How a file is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// `rdbcompression`.
    pub compression: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// Idle times or frequencies are of use to the policy in force.
    pub access: AccessKind,
    pub facts: Facts,
    /// Libraries of functions, as their source text.
    pub functions: Arc<[super::load::Library]>,
}

/// Which part of the access clock a file is to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessKind {
    None,
    Idle,
    Frequency,
}

/// Writes all databases into a file and returns when they are safe there. Returns the number of keys. `key_delay` is
/// `rdb-key-save-delay`.
///
/// # Errors
/// What the system says; then the old file is as it was.
pub fn save_file(sink: FileSink, keyspace: &Keyspace, options: Options, key_delay: i64) -> io::Result<u64> {
    let mut out = Pair::new(Output::new(Box::new(sink), options.checksum), options.compression);
    let mut writer = Writer::new(options);
    write_head(&mut writer.encoder, &writer.options, &mut out);
    for index in (0..keyspace.databases() as u32).map(DbIndex) {
        let db = keyspace.db(index);
        if db.table.is_empty() {
            continue;
        }
        writer.database(index, db.table.len() as u64, db.meta.volatile as u64, &mut out);
        for entry in db.table.iter() {
            writer.entry(keyspace, &entry, &mut out);
            if key_delay != 0 {
                std::thread::sleep(delay_of_key(key_delay, writer.keys));
            }
            if out.failed() {
                return out.finish(writer.version).map(|_| 0);
            }
        }
    }
    out.finish(writer.version).map(|_| writer.keys)
}

/// How long the key that comes as the n-th is to take longer.
fn delay_of_key(key_delay: i64, nth: u64) -> Duration {
    delay_of(key_delay, nth) - delay_of(key_delay, nth - 1)
}

/// A file without entries: libraries of functions only.
///
/// # Errors
/// None that are known.
pub fn head_only(options: Options) -> io::Result<Vec<u8>> {
    let memory = MemorySink::default();
    let mut out = Output::new(Box::new(memory.clone()), options.checksum);
    write_head(&mut Encoder::new(options.compression), &options, &mut out);
    out.finish(version_of_head(&options))?;
    Ok(memory.take())
}

/// Writes what stands before the first entry, behind the header.
pub fn write_head(encoder: &mut Encoder, options: &Options, out: &mut impl Out) {
    let facts = &options.facts;
    let number = |n: i64| n.to_string().into_bytes();
    let mut said = vec![
        ("redis-ver", crate::config::REDIS_VERSION.as_bytes().to_vec()),
        ("redis-bits", number(64)),
        ("ctime", number(facts.unix_seconds)),
        ("used-mem", number(facts.used_memory as i64)),
    ];
    if let Some(Place { id, offset, db }) = &facts.place {
        said.push(("repl-stream-db", number(db.0.into())));
        said.push(("repl-id", id.as_bytes().to_vec()));
        said.push(("repl-offset", number(*offset as i64)));
    }
    said.push(("aof-base", number(facts.aof_base.into())));
    for (name, value) in said {
        out.put(&[opcode::AUX]);
        encoder.text(name.as_bytes(), out);
        encoder.text(&value, out);
    }
    for code in options.functions.iter() {
        out.put(&[opcode::FUNCTION]);
        encoder.text(code, out);
    }
}

/// The lowest version that knows what `write_head` writes.
pub fn version_of_head(options: &Options) -> u16 {
    if options.functions.is_empty() { VERSION_WRITTEN_MIN } else { VERSION_FUNCTIONS }
}

/// Writes the parts of a file in their order and keeps track of the version that they need.
struct Writer {
    encoder: Encoder,
    options: Options,
    /// The lowest version that knows everything written.
    version: u16,
    /// Entries written.
    keys: u64,
}

impl Writer {
    fn new(options: Options) -> Self {
        let version = version_of_head(&options);
        Writer { encoder: Encoder::new(options.compression), options, version, keys: 0 }
    }

    /// Begins a database with so many keys, of which so many have a deadline.
    fn database(&mut self, db: DbIndex, keys: u64, volatile: u64, out: &mut impl Out) {
        out.put(&[opcode::SELECT_DB]);
        self.encoder.len(db.0.into(), out);
        out.put(&[opcode::RESIZE_DB]);
        self.encoder.len(keys, out);
        self.encoder.len(volatile, out);
    }

    /// Writes an entry of the database begun last.
    fn entry(&mut self, keyspace: &Keyspace, entry: &Entry, out: &mut impl Out) {
        let env = &keyspace.env;
        let access = match self.options.access {
            AccessKind::None => None,
            AccessKind::Idle => Some(Access::Idle(env.idle_seconds(entry.clock()))),
            AccessKind::Frequency => Some(Access::Frequency(env.lfu_decayed(entry.clock()).min(255) as u8)),
        };
        let kind = self.encoder.entry(entry, access, out);
        let needed = if access.is_some() { VERSION_ACCESS } else { VERSION_WRITTEN_MIN };
        self.version = self.version.max(version_of(kind)).max(needed);
        self.keys += 1;
    }
}
