//! Reading a whole file: the header, what stands between the entries, the entries, the checksum.

use super::decode::{self, Decoded, Rules};
use super::format::{Flavor, HEADER_LEN, VALKEY_VERSION, VERSION_CHECKSUM, VERSION_MAX, opcode};
use super::read::{Buffered, LoadError, Reader, Result, Source};
use crate::ds::object::Limits;
use crate::keyspace::{Entry, Keyspace};
use crate::types::{DbIndex, UnixMillis};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use tracing::{info, warn};

/// Takes what a file holds, in its order.
pub trait Sink {
    /// A part begins at this offset, with this byte: a type, or an opcode. For those who tell where they are.
    fn part(&mut self, _offset: u64, _code: u8) {}
    /// A value is about to be read.
    fn value(&mut self, _key: &[u8]) {}
    /// The checksum was found to be right, or there is none.
    fn checksum(&mut self, _present: bool) {}
    /// A fact about the file.
    fn aux(&mut self, _name: &[u8], _value: &[u8]) {}
    /// A library of functions, as its source text.
    fn function(&mut self, _code: &[u8]) {}
    /// The entries of a database are about to come, so many of them.
    fn expect(&mut self, _db: u64, _keys: u64) {}
    /// A key without a value: some old servers wrote such.
    fn empty(&mut self, _key: &[u8]) {}
    /// An entry. An error is a reason why it cannot be.
    fn entry(&mut self, db: u64, entry: Entry, access: AccessMark) -> std::result::Result<(), &'static str>;
}

/// What a file tells of an entry's use.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct AccessMark {
    /// Seconds since the last use.
    pub idle: Option<u64>,
    /// The logarithmic counter of uses.
    pub frequency: Option<u8>,
}

/// How a file is read.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    pub limits: &'a Limits,
    /// Compare the checksum (`rdbchecksum`).
    pub checksum: bool,
    /// Search packed values for duplicates (`sanitize-dump-payload`).
    pub deep: bool,
}

/// Reads a file of `len` bytes (`u64::MAX` if that is not known) into a sink. Returns the bytes read.
///
/// # Errors
/// The file is broken or of a version that is not known. The sink has got what came before.
pub fn read(file: impl Read, len: u64, options: Options<'_>, sink: &mut impl Sink) -> Result<u64> {
    let mut reading = Reading::begin(file, len, options.checksum)?;
    while reading.step(options, sink)? {}
    Ok(reading.offset())
}

/// A file being read, entry by entry, so that the reader can do other things in between.
pub struct Reading<R> {
    input: Reader<Buffered<R>>,
    flavor: Flavor,
    version: u16,
    db: u64,
    deadline: Option<UnixMillis>,
    access: AccessMark,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<R: Read> Reading<R> {
    /// Reads the header of a file of `len` bytes.
    ///
    /// # Errors
    /// It is no RDB file, or of a version that is not known.
    pub fn begin(file: R, len: u64, checksum: bool) -> Result<Self> {
        let mut input = Reader::new(Buffered::new(file, len, checksum));
        let (flavor, version) = header(&mut input)?;
        let (deadline, access) = (None, AccessMark::default());
        Ok(Reading { input, flavor, version, db: 0, deadline, access, key: Vec::new(), value: Vec::new() })
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.input.source.offset()
    }

    /// Reads up to the next entry, or another part of the file; false when the end was read and is in order.
    ///
    /// # Errors
    /// The file is broken here.
    pub fn step(&mut self, options: Options<'_>, sink: &mut impl Sink) -> Result<bool> {
        let Reading { input, flavor, key, value, .. } = self;
        let rules = Rules { limits: options.limits, flavor: *flavor, deep: options.deep };
        let offset = input.source.offset();
        let code = input.byte()?;
        sink.part(offset, code);
        match code {
            opcode::EOF => return self.check_end(sink).map(|()| false),
            opcode::EXPIRE_SECONDS => {
                let seconds = i32::from_le_bytes(input.bytes()?);
                self.deadline = Some(i64::from(seconds) * 1000);
                return Ok(true);
            }
            opcode::EXPIRE_MILLIS => {
                self.deadline = Some(i64::from_le_bytes(input.bytes()?));
                return Ok(true);
            }
            opcode::IDLE => {
                self.access.idle = Some(input.len()?);
                return Ok(true);
            }
            opcode::FREQ => {
                self.access.frequency = Some(input.byte()?);
                return Ok(true);
            }
            opcode::SELECT_DB => {
                self.db = input.len()?;
                return Ok(true);
            }
            opcode::RESIZE_DB => {
                let keys = input.len()?;
                input.len()?;
                // An entry takes three bytes at least.
                sink.expect(self.db, keys.min(input.source.remaining() / 3));
                return Ok(true);
            }
            opcode::AUX => {
                input.text(key)?;
                input.text(value)?;
                sink.aux(key, value);
                return Ok(true);
            }
            opcode::FUNCTION => {
                input.text(value)?;
                sink.function(value);
                return Ok(true);
            }
            opcode::FUNCTION_EARLY => return Err(input.fault("functions in a form that was given up before 7.0")),
            opcode::MODULE_AUX => {
                let name = decode::module_name(input.len()?);
                decode::skip_module_data(input)?;
                warn!("Data of the module type '{name}' is left out: there are no modules here.");
                return Ok(true);
            }
            opcode::SLOT_INFO if *flavor == Flavor::Redis => {
                for _ in 0..3 {
                    input.len()?;
                }
                return Ok(true);
            }
            opcode::SLOT_IMPORT if *flavor == Flavor::Valkey => {
                input.string()?;
                for _ in 0..input.count(2)? {
                    input.len()?;
                    input.len()?;
                }
                return Ok(true);
            }
            _ => {}
        }
        input.text(key)?;
        sink.value(key);
        match decode::value(input, rules, code, key, self.deadline)? {
            Decoded::Entry(entry) => sink.entry(self.db, entry, self.access).map_err(|reason| input.fault(reason))?,
            Decoded::Empty => sink.empty(key),
            Decoded::Module(name) => {
                let key = String::from_utf8_lossy(key);
                warn!("Key '{key}' is left out: it belongs to the module type '{name}', and there are no modules here.");
            }
        }
        (self.deadline, self.access) = (None, AccessMark::default());
        Ok(true)
    }

    /// Compares the checksum behind the last entry.
    fn check_end(&mut self, sink: &mut impl Sink) -> Result<()> {
        let input = &mut self.input;
        if self.version < VERSION_CHECKSUM {
            return Ok(());
        }
        let computed = input.source.checksum();
        let stored = u64::from_le_bytes(input.bytes()?);
        // Zero: the file was written without one.
        if stored != 0
            && let Some(computed) = computed
            && stored != computed
        {
            let reason = format!("CRC error, wrong checksum: {stored:016x} in the file, {computed:016x} computed");
            return Err(input.fault(reason));
        }
        sink.checksum(stored != 0);
        Ok(())
    }
}

fn header<S: Source>(input: &mut Reader<S>) -> Result<(Flavor, u16)> {
    let wrong = |reason: &'static str| LoadError { offset: 0, reason: reason.into() };
    let header: [u8; HEADER_LEN] = input.bytes().map_err(|e| LoadError { offset: 0, ..e })?;
    let (flavor, digits) = match &header {
        [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (Flavor::Redis, &digits[..]),
        [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (Flavor::Valkey, &digits[..]),
        _ => return Err(wrong("not an RDB file: wrong signature")),
    };
    let version = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    let version: u16 = version.ok_or(wrong("not an RDB file: no version behind the signature"))?;
    let known = match flavor {
        Flavor::Redis => (1..=VERSION_MAX).contains(&version),
        Flavor::Valkey => version == VALKEY_VERSION,
    };
    if !known {
        return Err(LoadError { offset: 0, reason: format!("RDB format version {version} is not known").into() });
    }
    Ok((flavor, version))
}

/// What came of loading a file into the keyspace.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Loaded {
    pub keys: u64,
    /// Keys left out because their deadline was over.
    pub expired: u64,
    /// Keys left out because they held nothing.
    pub empty: u64,
    pub bytes: u64,
    /// The database that the stream of changes was at (replication).
    pub stream_db: Option<DbIndex>,
    /// The history of which the data are a moment (replication).
    pub history: SavedHistory,
}

/// Name and offset of a history, as files tell them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavedHistory {
    pub id: [u8; 40],
    pub offset: Option<u64>,
}

impl Default for SavedHistory {
    fn default() -> Self {
        SavedHistory { id: [0; 40], offset: None }
    }
}

impl SavedHistory {
    /// Name and offset, if both are known.
    pub fn place(&self) -> Option<(&str, u64)> {
        let id = std::str::from_utf8(&self.id).ok().filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some((id, self.offset?))
    }
}

/// Fills the keyspace from a file, and returns the libraries of functions in it, too. Returns none if there is no such file.
/// `merge` lets entries replace those of the same key; otherwise a key that is there already is an error.
///
/// # Errors
/// The file cannot be read or is broken; the keyspace then holds a part of it.
pub fn load_file(
    path: &Path,
    keyspace: &mut Keyspace,
    checksum: bool,
    deep: bool,
    merge: bool,
) -> Result<Option<(Loaded, Vec<Library>)>> {
    let Some(mut load) = FileLoad::open(path, Manner { checksum, deep, merge, keep_expired: false })? else { return Ok(None) };
    while load.step(keyspace)? {}
    Ok(Some(load.finish()))
}

/// The source text of a library of functions.
pub type Library = Box<[u8]>;

/// How a file is loaded.
#[derive(Clone, Copy)]
pub struct Manner {
    /// As in `Options`.
    pub checksum: bool,
    pub deep: bool,
    /// Entries may replace those of the same key.
    pub merge: bool,
    /// Entries past their deadline are kept: requests that follow may refer to them.
    pub keep_expired: bool,
}

/// A file on its way into the keyspace.
pub struct FileLoad {
    reading: Reading<File>,
    manner: Manner,
    loaded: Loaded,
    libraries: Vec<Library>,
    /// Entries that were read and are about to be filed.
    pending: Vec<(DbIndex, Entry)>,
}

/// Entries that wait while their places in the table come into the cache.
const AHEAD: usize = 16;

impl FileLoad {
    /// Opens a file; none if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no RDB file.
    pub fn open(path: &Path, manner: Manner) -> Result<Option<FileLoad>> {
        let broken = |error: std::io::Error| LoadError { offset: 0, reason: format!("cannot be read ({error})").into() };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        let len = file.metadata().map_err(broken)?.len();
        let reading = Reading::begin(file, len, manner.checksum)?;
        let (libraries, pending) = (Vec::new(), Vec::with_capacity(AHEAD));
        Ok(Some(FileLoad { reading, manner, loaded: Loaded::default(), libraries, pending }))
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.reading.offset()
    }

    /// Loads the next entry, or another part of the file; false at its end.
    ///
    /// # Errors
    /// The file is broken here.
    pub fn step(&mut self, keyspace: &mut Keyspace) -> Result<bool> {
        let limits = keyspace.env.settings.limits.clone();
        let now = keyspace.env.clock.millis();
        let FileLoad { reading, manner, loaded, libraries, pending } = self;
        let options = Options { limits: &limits, checksum: manner.checksum, deep: manner.deep };
        let mut sink = Filling { keyspace, now, manner: *manner, loaded, libraries, pending };
        // Many at once: what was set up is for all of them.
        let mut more = true;
        for _ in 0..STEP {
            more = reading.step(options, &mut sink)?;
            if !more {
                break;
            }
        }
        sink.file_pending().map_err(|reason| LoadError { offset: reading.offset(), reason: reason.into() })?;
        Ok(more)
    }

    /// What came of it, and the libraries of functions in the file.
    pub fn finish(self) -> (Loaded, Vec<Library>) {
        (Loaded { bytes: self.reading.offset(), ..self.loaded }, self.libraries)
    }
}

/// Parts of a file read in one step.
pub const STEP: usize = 64;

/// Puts entries into the keyspace.
pub(super) struct Filling<'a> {
    pub keyspace: &'a mut Keyspace,
    pub now: UnixMillis,
    pub manner: Manner,
    pub loaded: &'a mut Loaded,
    pub libraries: &'a mut Vec<Library>,
    pub pending: &'a mut Vec<(DbIndex, Entry)>,
}

impl Filling<'_> {
    pub fn file_pending(&mut self) -> std::result::Result<(), &'static str> {
        let mut is_twice = false;
        for (db, entry) in self.pending.drain(..) {
            is_twice |= !self.keyspace.file_loaded(db, entry, self.manner.merge);
        }
        if is_twice { Err("a key is there twice") } else { Ok(()) }
    }
}

impl Sink for Filling<'_> {
    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        match name {
            b"redis-ver" | b"valkey-ver" => info!("Loading RDB produced by version {text}"),
            b"ctime" => {
                let age = text.parse::<i64>().map_or(0, |at| (self.now / 1000).saturating_sub(at).max(0));
                info!("RDB age {age} seconds");
            }
            b"used-mem" => {
                let bytes = text.parse::<f64>().unwrap_or(0.0);
                info!("RDB memory usage when created {:.2} Mb", bytes / (1024.0 * 1024.0));
            }
            b"repl-stream-db" => {
                let db = text.parse::<u32>().ok().filter(|db| (*db as usize) < self.keyspace.databases());
                self.loaded.stream_db = db.map(DbIndex);
            }
            b"repl-id" => {
                if let Ok(id) = value.try_into() {
                    self.loaded.history.id = id;
                }
            }
            b"repl-offset" => self.loaded.history.offset = text.parse().ok(),
            b"aof-base" if value == b"1" => info!("RDB is base AOF"),
            _ => {}
        }
    }

    fn function(&mut self, code: &[u8]) {
        self.libraries.push(code.into());
    }

    fn expect(&mut self, db: u64, keys: u64) {
        if db < self.keyspace.databases() as u64 {
            self.keyspace.expect(DbIndex(db as u32), usize::try_from(keys).unwrap_or(usize::MAX));
        }
    }

    fn empty(&mut self, key: &[u8]) {
        /// Keys named in the log.
        const NAMED_MAX: u64 = 10;
        if self.loaded.empty < NAMED_MAX {
            info!("skipping empty key: {}", String::from_utf8_lossy(key));
        }
        self.loaded.empty += 1;
    }

    fn entry(&mut self, db: u64, mut entry: Entry, access: AccessMark) -> std::result::Result<(), &'static str> {
        if db >= self.keyspace.databases() as u64 {
            return Err("the file was written by a server with more databases than are configured here");
        }
        if !self.manner.keep_expired && entry.deadline().is_some_and(|deadline| deadline < self.now) {
            self.loaded.expired += 1;
            return Ok(());
        }
        entry.set_clock(clock(self.keyspace, access));
        self.loaded.keys += 1;
        let db = DbIndex(db as u32);
        self.keyspace.prefetch_bucket(db, entry.key());
        self.pending.push((db, entry));
        if self.pending.len() == AHEAD { self.file_pending() } else { Ok(()) }
    }
}

/// The access clock that a file's marks stand for under the policy in force.
pub fn clock(keyspace: &Keyspace, access: AccessMark) -> u32 {
    let env = &keyspace.env;
    match access {
        AccessMark { frequency: Some(counter), .. } if env.settings.lfu => env.fresh_clock() & !0xff | u32::from(counter),
        AccessMark { idle: Some(seconds), .. } if !env.settings.lfu => {
            env.fresh_clock().wrapping_sub(seconds.min(0xff_ffff) as u32) & 0xff_ffff
        }
        _ => env.fresh_clock(),
    }
}
