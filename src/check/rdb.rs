//! redis-check-rdb: whether a file would load, and if not, where it is broken.

use crate::clock::Clock;
use crate::ds::hash::Hash;
use crate::ds::object::Limits;
use crate::keyspace::Entry;
use crate::keyspace::value::{ValueType, type_of};
use crate::persist::rdb::format::opcode;
use crate::persist::rdb::load::{AccessMark, Options, Sink, read};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};

/// Runs the tool with its arguments. True if all is well.
///
/// # Errors
/// What is told cannot be written.
pub fn run(args: &[OsString], out: &mut impl Write) -> io::Result<bool> {
    let [file] = args else {
        writeln!(out, "Usage: redis-check-rdb <rdb-file-name>")?;
        return Ok(false);
    };
    if file == "-v" || file == "--version" {
        writeln!(out, "redis-check-rdb {}", crate::config::cli::version_text().trim_end())?;
        return Ok(true);
    }
    let name = file.to_string_lossy();
    let opened = File::open(file).and_then(|file| file.metadata().map(|about| (file, about.len())));
    match opened {
        Ok((file, len)) => Ok(check(&name, file, len, out)?.is_some()),
        Err(error) => {
            writeln!(out, "Cannot open file {name}: {error}")?;
            Ok(false)
        }
    }
}

/// Checks a file of `len` bytes, or the beginning of one. Returns the length of what is in order, if it is.
///
/// # Errors
/// What is told cannot be written.
pub fn check(name: &str, file: impl Read, len: u64, out: &mut impl Write) -> io::Result<Option<u64>> {
    writeln!(out, "[offset 0] Checking RDB file {name}")?;
    let mut checker = Checker { out, now: Clock::Real.millis(), lines: Vec::new(), counts: Counts::default(), at: None };
    let options = Options { limits: &Limits::default(), checksum: true, deep: true };
    let result = read(file, len, options, &mut checker);
    let Checker { out, lines, counts, at, .. } = checker;
    let end = match &result {
        Ok(end) => *end,
        Err(error) => error.offset,
    };
    for line in lines {
        writeln!(out, "[offset {end}] {line}")?;
    }
    match &result {
        Ok(_) => writeln!(out, "[offset {end}] \\o/ RDB looks OK! \\o/")?,
        Err(error) => {
            writeln!(out, "--- RDB ERROR DETECTED ---")?;
            writeln!(out, "[offset {end}] {}", error.reason)?;
            let At { code, key } = at.unwrap_or(At { code: opcode::EOF, key: None });
            writeln!(out, "[additional info] While doing: {}", doing(code, key.is_some()))?;
            if let Some(key) = key {
                writeln!(out, "[additional info] Reading key '{}'", String::from_utf8_lossy(&key))?;
                let name = TYPES.get(usize::from(code)).unwrap_or(&"unknown");
                writeln!(out, "[additional info] Reading type {code} ({name})")?;
            }
        }
    }
    writeln!(out, "[info] {} keys read", counts.keys)?;
    writeln!(out, "[info] {} expires", counts.expires)?;
    writeln!(out, "[info] {} already expired", counts.already_expired)?;
    writeln!(out, "[info] {} subexpires", counts.subexpires)?;
    Ok(result.ok())
}

/// Names of the types of values, in the order of their numbers.
const TYPES: &[&str] = &[
    "string",
    "list-linked",
    "set-hashtable",
    "zset-v1",
    "hash-hashtable",
    "zset-v2",
    "module-pre-release",
    "module-value",
    "",
    "hash-zipmap",
    "list-ziplist",
    "set-intset",
    "zset-ziplist",
    "hash-ziplist",
    "quicklist",
    "stream",
    "hash-listpack",
    "zset-listpack",
    "quicklist-v2",
    "stream-v2",
    "set-listpack",
    "stream-v3",
    "hash-hashtable-md-pre-release",
    "hash-listpack-md-pre-release",
    "hash-hashtable-md",
    "hash-listpack-md",
];

/// What was being read behind the byte `code`.
fn doing(code: u8, has_key: bool) -> &'static str {
    match code {
        opcode::EXPIRE_SECONDS | opcode::EXPIRE_MILLIS => "read-expire",
        opcode::SELECT_DB | opcode::RESIZE_DB | opcode::SLOT_INFO | opcode::IDLE | opcode::FREQ => "read-len",
        opcode::AUX => "read-aux",
        opcode::MODULE_AUX => "read-module-aux",
        opcode::FUNCTION | opcode::FUNCTION_EARLY => "read-functions",
        opcode::EOF => "check-sum",
        _ if has_key => "read-object-value",
        _ => "read-key",
    }
}

#[derive(Default)]
struct Counts {
    keys: u64,
    expires: u64,
    already_expired: u64,
    subexpires: u64,
}

/// The part that is being read: the byte that began it, and its key, once that is known.
struct At {
    code: u8,
    key: Option<Vec<u8>>,
}

/// Tells what comes by, and remembers where it is.
struct Checker<'a, W> {
    out: &'a mut W,
    now: i64,
    /// Lines to be written as soon as the offset behind what they tell of is known.
    lines: Vec<String>,
    counts: Counts,
    at: Option<At>,
}

impl<W: Write> Sink for Checker<'_, W> {
    fn part(&mut self, offset: u64, code: u8) {
        for line in self.lines.drain(..) {
            // Whoever stopped listening is told so at the end.
            let _ = writeln!(self.out, "[offset {offset}] {line}");
        }
        self.at = Some(At { code, key: None });
    }

    fn value(&mut self, key: &[u8]) {
        self.counts.keys += 1;
        if let Some(at) = &mut self.at {
            at.key = Some(key.to_vec());
        }
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        self.lines.push(format!("AUX FIELD {name} = '{value}'"));
    }

    fn expect(&mut self, db: u64, _keys: u64) {
        self.lines.push(format!("Selecting DB ID {db}"));
    }

    fn checksum(&mut self, present: bool) {
        self.lines.push(match present {
            true => "Checksum OK".to_owned(),
            false => "RDB file was saved with checksum disabled: no check performed.".to_owned(),
        });
    }

    fn entry(&mut self, _db: u64, entry: Entry, _access: AccessMark) -> Result<(), &'static str> {
        if let Some(deadline) = entry.deadline() {
            self.counts.expires += 1;
            self.counts.already_expired += u64::from(deadline < self.now);
        }
        if type_of(&entry) == ValueType::Hash {
            let mut mortal = false;
            if let Some(hash) = entry.lend::<Hash>() {
                hash.for_each(|_, field| mortal |= field.deadline.is_some());
            }
            self.counts.subexpires += u64::from(mortal);
        }
        Ok(())
    }
}
