//! The manifest: which files, in which order, make up the append-only file.
//!
//! ```text
//! file appendonly.aof.2.base.rdb seq 2 type b      the data set at the last rewrite, at most one
//! file appendonly.aof.1.incr.aof seq 1 type h      history: replaced by the base, about to be deleted
//! file appendonly.aof.2.incr.aof seq 2 type i      what was written since; the last one still grows
//! ```
//! The format, the names and the complaints about a broken file are those of the original, as either server may have to read
//! what the other wrote.

use crate::config::text;
use std::fmt;

/// What a file is to the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Base,
    History,
    Incr,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Kind::Base => 'b',
            Kind::History => 'h',
            Kind::Incr => 'i',
        }
    }
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub name: String,
    pub seq: i64,
    pub kind: Kind,
}

/// The whole list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    pub base: Option<Part>,
    pub history: Vec<Part>,
    pub incr: Vec<Part>,
    /// The numbers given last, also to files that are gone.
    pub base_seq: i64,
    pub incr_seq: i64,
}

/// A manifest that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadManifest {
    /// The line, from 1 on, and its text, unless the file as a whole is at fault.
    pub line: Option<(usize, String)>,
    pub reason: &'static str,
}

/// The complaint that tools and logs show, without the banner above it.
impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((number, line)) = &self.line {
            write!(f, "Reading the manifest file, at line {number}\n>>> '{line}'\n")?;
        }
        f.write_str(self.reason)
    }
}

/// Bytes of a line, its end included.
const LINE_MAX: usize = 1024;

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// The first line that is wrong. A server must not go on then: it would not know which data are its own.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, BadManifest> {
        let mut manifest = Manifest::default();
        if bytes.is_empty() {
            return Err(BadManifest { line: None, reason: "Found an empty AOF manifest" });
        }
        for (at, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            if line[0] == b'#' && line.len() <= LINE_MAX {
                continue;
            }
            let fail = |reason, shown: bool| {
                let shown = shown.then(|| (at + 1, String::from_utf8_lossy(line.trim_ascii()).into_owned()));
                Err(BadManifest { line: shown, reason })
            };
            if line.len() > LINE_MAX || line.last() != Some(&b'\n') {
                return fail("The AOF manifest file contains too long line", false);
            }
            match manifest.take_line(line.trim_ascii()) {
                Ok(()) => {}
                Err(reason) => return fail(reason, true),
            }
        }
        Ok(manifest)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        const FORMAT: &str = "Invalid AOF manifest file format";
        let words = text::split_words(line).ok_or(FORMAT)?;
        // More pairs than are known may come from a newer server.
        if words.len() < 6 || words.len() % 2 != 0 {
            return Err(FORMAT);
        }
        let (mut name, mut seq, mut kind) = (None, 0, None);
        for pair in words.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            if key.eq_ignore_ascii_case(b"file") {
                if value.contains(&b'/') || value.contains(&b'\\') {
                    return Err("File can't be a path, just a filename");
                }
                name = Some(String::from_utf8(value.clone()).map_err(|_| FORMAT)?);
            } else if key.eq_ignore_ascii_case(b"seq") {
                seq = std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<i64>().ok()).unwrap_or(0);
            } else if key.eq_ignore_ascii_case(b"type") {
                kind = value.first().copied();
            }
        }
        let (Some(name), Some(letter), true) = (name, kind, seq != 0) else { return Err(FORMAT) };
        let part = |kind| Part { name, seq, kind };
        match letter {
            b'b' if self.base.is_some() => Err("Found duplicate base file information"),
            b'b' => {
                self.base = Some(part(Kind::Base));
                self.base_seq = self.base_seq.max(seq);
                Ok(())
            }
            b'h' => {
                let part = part(Kind::History);
                // Its number is not given again while the file may be there.
                match part.name.ends_with(".incr.aof") {
                    true => self.incr_seq = self.incr_seq.max(seq),
                    false => self.base_seq = self.base_seq.max(seq),
                }
                self.history.push(part);
                Ok(())
            }
            b'i' if self.incr.last().is_some_and(|last| seq <= last.seq) || seq < 0 => {
                Err("Found a non-monotonic sequence number")
            }
            b'i' => {
                self.incr.push(part(Kind::Incr));
                self.incr_seq = self.incr_seq.max(seq);
                Ok(())
            }
            _ => Err("Unknown AOF file type"),
        }
    }

    /// The text of the file.
    pub fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for part in self.base.iter().chain(&self.history).chain(&self.incr) {
            out.extend_from_slice(b"file ");
            match needs_quotes(part.name.as_bytes()) {
                true => out.extend_from_slice(&text::quote(part.name.as_bytes())),
                false => out.extend_from_slice(part.name.as_bytes()),
            }
            out.extend_from_slice(format!(" seq {} type {}\n", part.seq, part.kind.letter()).as_bytes());
        }
        out
    }

    /// True if no data are in any file.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// The files that hold data, in the order in which they are to be read.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.incr)
    }

    /// Adds a base file; the one before it is history. Returns the new file's name.
    pub fn push_base(&mut self, file_name: &str, rdb: bool) -> String {
        if let Some(old) = self.base.take() {
            self.history.insert(0, Part { kind: Kind::History, ..old });
        }
        self.base_seq += 1;
        let name = format!("{file_name}.{}.base.{}", self.base_seq, if rdb { "rdb" } else { "aof" });
        self.base = Some(Part { name: name.clone(), seq: self.base_seq, kind: Kind::Base });
        name
    }

    /// Adds a file for what is written from now on. Returns its name.
    pub fn push_incr(&mut self, file_name: &str) -> String {
        self.incr_seq += 1;
        let name = format!("{file_name}.{}.incr.aof", self.incr_seq);
        self.incr.push(Part { name: name.clone(), seq: self.incr_seq, kind: Kind::Incr });
        name
    }

    /// A base that holds all of them was written: makes the incremental files history, but for the last if it still grows.
    pub fn retire_incr(&mut self, but_last: bool) {
        let retired = self.incr.len() - usize::from(but_last && !self.incr.is_empty());
        for part in self.incr.drain(..retired).rev() {
            self.history.insert(0, Part { kind: Kind::History, ..part });
        }
    }
}

/// The manifest's name.
pub fn file_name(append_file_name: &str) -> String {
    format!("{append_file_name}.manifest")
}

/// The name under which a manifest is written before it takes the place of the old one.
pub fn temporary_name(append_file_name: &str) -> String {
    format!("temp-{append_file_name}.manifest")
}

/// True if a name cannot stand as a word of its own.
fn needs_quotes(name: &[u8]) -> bool {
    name.is_empty() || name.iter().any(|b| !b.is_ascii_graphic() || b"\\\"'".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, &'static str> {
        let manifest = Manifest::parse(text.as_bytes()).map_err(|bad| bad.reason)?;
        Ok(String::from_utf8(manifest.to_text()).unwrap())
    }

    #[test]
    fn what_is_read_is_written_in_order() {
        let text = "file a.2.base.rdb seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\n";
        assert_eq!(parse(text).as_deref(), Ok(text));
        let strange = "file \" file seq \\n\\n.aof .2.base.rdb\" seq 2 type b\n";
        assert_eq!(parse(strange).as_deref(), Ok(strange));
        let newer = "# a remark\nfile a seq 1 type b key value\nTYPE i SEQ 3 FILE b\n";
        assert_eq!(parse(newer).as_deref(), Ok("file a seq 1 type b\nfile b seq 3 type i\n"));
    }

    #[test]
    fn broken_manifests_are_refused_with_the_line() {
        const FORMAT: &str = "Invalid AOF manifest file format";
        for (text, reason) in [
            ("", "Found an empty AOF manifest"),
            ("\n", FORMAT),
            ("filx a seq 1 type b\n", FORMAT),
            ("file a type i\n", FORMAT),
            ("file a seq 1 type i newkey\n", FORMAT),
            ("file a seq 0 type i\n", FORMAT),
            ("file \"a seq 1 type i\n", FORMAT),
            ("file a seq 1 type x\n", "Unknown AOF file type"),
            ("file ../a seq 1 type i\n", "File can't be a path, just a filename"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", "Found duplicate base file information"),
            ("file a seq 2 type i\nfile b seq 1 type i\n", "Found a non-monotonic sequence number"),
            ("file a seq 1 type i", "The AOF manifest file contains too long line"),
        ] {
            assert_eq!(parse(text), Err(reason), "{text:?}");
        }
        let long = format!("file a seq 1 type i {}\n", "k v ".repeat(300));
        assert_eq!(parse(&long), Err("The AOF manifest file contains too long line"));
        let bad = Manifest::parse(b"file a seq 1 type b\nfile b seq 2 type b\n").unwrap_err();
        assert_eq!(bad.line, Some((2, "file b seq 2 type b".to_owned())));
    }

    #[test]
    fn a_rewrite_retires_what_it_replaces() {
        let mut manifest = Manifest::default();
        assert_eq!(manifest.push_base("a", true), "a.1.base.rdb");
        assert_eq!(manifest.push_incr("a"), "a.1.incr.aof");
        assert_eq!(manifest.push_incr("a"), "a.2.incr.aof");
        assert_eq!(manifest.push_base("a", false), "a.2.base.aof");
        manifest.retire_incr(true);
        let text = "file a.2.base.aof seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.1.base.rdb seq 1 type h\n\
                    file a.2.incr.aof seq 2 type i\n";
        assert_eq!(String::from_utf8(manifest.to_text()).unwrap(), text);
        // Without a file that grows all are retired. No number is given twice, not even after the text was read again.
        manifest.retire_incr(false);
        let mut again = Manifest::parse(&manifest.to_text()).unwrap();
        assert_eq!((again.incr.len(), again.push_incr("a")), (0, "a.3.incr.aof".to_owned()));
        assert_eq!(again.push_base("a", true), "a.3.base.rdb");
    }
}
