//! Writing a whole file: under another name in the same folder first, so that the old file stays until the new one is safe
//! on the disk.

use super::encode::{Access, Encoder, Out};
use super::format::{HEADER_LEN, VERSION_ACCESS, VERSION_WRITTEN_MIN, opcode, version_of};
use crate::ds::algo::crc64::{Crc64, combine};
use crate::keyspace::{Entry, Keyspace};
use crate::types::DbIndex;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// What is said about the data set at the head of a file.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub unix_seconds: i64,
    /// Bytes of memory in use.
    pub used_memory: u64,
    /// The file is the base of an append-only file.
    pub aof_base: bool,
}

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `rdbcompression`.
    pub compression: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// Idle times or frequencies are of use to the policy in force.
    pub access: AccessKind,
    pub facts: Facts,
}

/// Which part of the access clock a file is to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessKind {
    None,
    Idle,
    Frequency,
}

/// Writes all databases into `name` in `folder` and returns when they are safe there. Returns the number of keys.
///
/// # Errors
/// What the system says; then the old file is as it was.
pub fn save_file(folder: &Path, name: &str, keyspace: &Keyspace, options: Options) -> io::Result<u64> {
    let target = folder.join(name);
    let temporary = folder.join(format!("temp-{}.rdb", std::process::id()));
    let written = write_file(&temporary, keyspace, options).and_then(|keys| {
        std::fs::rename(&temporary, &target)?;
        File::open(folder)?.sync_all()?;
        Ok(keys)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Writes all databases into a file of this very name and waits for the disk. Returns the number of keys.
///
/// # Errors
/// What the system says; then a part of the file may be there.
pub fn write_file(path: &Path, keyspace: &Keyspace, options: Options) -> io::Result<u64> {
    let mut file = FileOut::new(File::create(path)?, options.checksum);
    let mut writer = Writer::new(options);
    writer.head(&mut file);
    for index in (0..keyspace.databases() as u32).map(DbIndex) {
        let db = keyspace.db(index);
        if db.table.is_empty() {
            continue;
        }
        writer.database(index, db.table.len() as u64, db.meta.volatile as u64, &mut file);
        for entry in db.table.iter() {
            writer.entry(keyspace, &entry, &mut file);
            if file.failed() {
                return file.finish(writer.version).map(|()| 0);
            }
        }
    }
    file.put(&[opcode::EOF]);
    file.finish(writer.version).map(|()| writer.keys)
}

/// Writes the parts of a file in their order and keeps track of the version that they need.
pub struct Writer {
    encoder: Encoder,
    options: Options,
    /// The lowest version that knows everything written.
    pub version: u16,
    /// Entries written.
    pub keys: u64,
}

impl Writer {
    /// A writer of one file.
    pub fn new(options: Options) -> Self {
        Writer { encoder: Encoder::new(options.compression), options, version: VERSION_WRITTEN_MIN, keys: 0 }
    }

    /// Writes what stands before the first entry, behind the header.
    pub fn head(&mut self, out: &mut impl Out) {
        let facts = self.options.facts;
        let number = |n: i64| n.to_string().into_bytes();
        for (name, value) in [
            ("redis-ver", crate::config::REDIS_VERSION.as_bytes().to_vec()),
            ("redis-bits", number(64)),
            ("ctime", number(facts.unix_seconds)),
            ("used-mem", number(facts.used_memory as i64)),
            ("aof-base", number(facts.aof_base.into())),
        ] {
            out.put(&[opcode::AUX]);
            self.encoder.text(name.as_bytes(), out);
            self.encoder.text(&value, out);
        }
    }

    /// Begins a database with so many keys, of which so many have a deadline.
    pub fn database(&mut self, db: DbIndex, keys: u64, volatile: u64, out: &mut impl Out) {
        out.put(&[opcode::SELECT_DB]);
        self.encoder.len(db.0.into(), out);
        out.put(&[opcode::RESIZE_DB]);
        self.encoder.len(keys, out);
        self.encoder.len(volatile, out);
    }

    /// Writes an entry of the database begun last.
    pub fn entry(&mut self, keyspace: &Keyspace, entry: &Entry, out: &mut impl Out) {
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

/// A file being written, with a checksum over all but its header: the header tells the version, which is known at the end.
struct FileOut {
    file: File,
    buffer: Vec<u8>,
    crc: Option<Crc64>,
    /// Bytes behind the header that are in the checksum.
    summed: u64,
    error: Option<io::Error>,
}

/// Bytes written at once.
const CHUNK: usize = 256 << 10;

impl FileOut {
    fn new(file: File, checksum: bool) -> Self {
        let crc = checksum.then(Crc64::new);
        let mut out = FileOut { file, buffer: Vec::with_capacity(CHUNK), crc, summed: 0, error: None };
        // The header's place.
        out.write(&[0; HEADER_LEN]);
        out
    }

    fn failed(&self) -> bool {
        self.error.is_some()
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none()
            && let Err(error) = self.file.write_all(bytes)
        {
            self.error = Some(error);
        }
    }

    fn sum(&mut self, bytes: &[u8]) {
        if let Some(crc) = &mut self.crc {
            crc.update(bytes);
        }
        self.summed += bytes.len() as u64;
    }

    fn flush(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.sum(&buffer);
        self.write(&buffer);
        buffer.clear();
        self.buffer = buffer;
    }

    /// Writes header and checksum and waits for the disk.
    fn finish(mut self, version: u16) -> io::Result<()> {
        self.flush();
        let header = format!("REDIS{version:04}");
        let checksum = match &self.crc {
            Some(crc) => combine(crate::ds::algo::crc64::checksum(header.as_bytes()), crc.value(), self.summed),
            None => 0,
        };
        self.write(&checksum.to_le_bytes());
        if let Some(error) = self.error {
            return Err(error);
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header.as_bytes())?;
        self.file.sync_all()
    }
}

impl Out for FileOut {
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.flush();
        }
        if bytes.len() >= CHUNK {
            self.sum(bytes);
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
    }
}
