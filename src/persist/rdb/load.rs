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
    let mut input = Reader::new(Buffered::new(file, len, options.checksum));
    let (flavor, version) = header(&mut input)?;
    let rules = Rules { limits: options.limits, flavor, deep: options.deep };
    let mut db = 0;
    let (mut deadline, mut access) = (None, AccessMark::default());
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let code = input.byte()?;
        match code {
            opcode::EOF => break,
            opcode::EXPIRE_SECONDS => {
                let seconds = i32::from_le_bytes(input.bytes()?);
                deadline = Some(i64::from(seconds) * 1000);
                continue;
            }
            opcode::EXPIRE_MILLIS => {
                deadline = Some(i64::from_le_bytes(input.bytes()?));
                continue;
            }
            opcode::IDLE => {
                access.idle = Some(input.len()?);
                continue;
            }
            opcode::FREQ => {
                access.frequency = Some(input.byte()?);
                continue;
            }
            opcode::SELECT_DB => {
                db = input.len()?;
                continue;
            }
            opcode::RESIZE_DB => {
                let keys = input.len()?;
                input.len()?;
                // An entry takes three bytes at least.
                sink.expect(db, keys.min(input.source.remaining() / 3));
                continue;
            }
            opcode::AUX => {
                input.text(&mut key)?;
                input.text(&mut value)?;
                sink.aux(&key, &value);
                continue;
            }
            opcode::FUNCTION => {
                input.text(&mut value)?;
                sink.function(&value);
                continue;
            }
            opcode::FUNCTION_EARLY => return Err(input.fault("functions in a form that was given up before 7.0")),
            opcode::MODULE_AUX => {
                let name = decode::module_name(input.len()?);
                decode::skip_module_data(&mut input)?;
                warn!("Data of the module type '{name}' is left out: there are no modules here.");
                continue;
            }
            opcode::SLOT_INFO if flavor == Flavor::Redis => {
                for _ in 0..3 {
                    input.len()?;
                }
                continue;
            }
            opcode::SLOT_IMPORT if flavor == Flavor::Valkey => {
                input.string()?;
                for _ in 0..input.count(2)? {
                    input.len()?;
                    input.len()?;
                }
                continue;
            }
            _ => {}
        }
        input.text(&mut key)?;
        match decode::value(&mut input, rules, code, &key, deadline)? {
            Decoded::Entry(entry) => sink.entry(db, entry, access).map_err(|reason| input.fault(reason))?,
            Decoded::Empty => sink.empty(&key),
            Decoded::Module(name) => {
                let key = String::from_utf8_lossy(&key);
                warn!("Key '{key}' is left out: it belongs to the module type '{name}', and there are no modules here.");
            }
        }
        (deadline, access) = (None, AccessMark::default());
    }
    if version >= VERSION_CHECKSUM {
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
    }
    Ok(input.source.offset())
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
}

/// Fills the keyspace from a file. Returns none if there is no such file. `merge` lets entries replace those of the same
/// key; otherwise a key that is there already is an error. Libraries of functions go to `functions`.
///
/// # Errors
/// The file cannot be read or is broken; the keyspace then holds a part of it.
pub fn load_file(
    path: &Path,
    keyspace: &mut Keyspace,
    checksum: bool,
    deep: bool,
    merge: bool,
    functions: &mut Vec<Box<[u8]>>,
) -> Result<Option<Loaded>> {
    let broken = |error: std::io::Error| LoadError { offset: 0, reason: format!("cannot be read ({error})").into() };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(error)),
    };
    let len = file.metadata().map_err(broken)?.len();
    let limits = keyspace.env.settings.limits.clone();
    let now = keyspace.env.clock.micros() / 1000;
    let mut sink = Filling { keyspace, now, merge, loaded: Loaded::default(), functions };
    let bytes = read(file, len, Options { limits: &limits, checksum, deep }, &mut sink)?;
    Ok(Some(Loaded { bytes, ..sink.loaded }))
}

/// Puts entries into the keyspace.
struct Filling<'a> {
    keyspace: &'a mut Keyspace,
    now: UnixMillis,
    merge: bool,
    loaded: Loaded,
    functions: &'a mut Vec<Box<[u8]>>,
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
            b"aof-base" if value == b"1" => info!("RDB is base AOF"),
            _ => {}
        }
    }

    fn function(&mut self, code: &[u8]) {
        self.functions.push(code.into());
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
        if entry.deadline().is_some_and(|deadline| deadline < self.now) {
            self.loaded.expired += 1;
            return Ok(());
        }
        entry.set_clock(clock(self.keyspace, access));
        self.loaded.keys += 1;
        match self.keyspace.file_loaded(DbIndex(db as u32), entry, self.merge) {
            true => Ok(()),
            false => Err("a key is there twice"),
        }
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
