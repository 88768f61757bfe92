//! redis-check-aof: whether an append-only file would be read to its end; cutting off a broken tail, or what is younger than
//! a point in time. Only the last file of several may be cut: what was written later would hang in the air.

use super::rdb;
use crate::persist::aof::group::{self, Remark};
use crate::persist::aof::manifest::{Kind, Manifest, Part};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What to do about what is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Look,
    Fix,
    /// Cut off what was written after this Unix time, in seconds.
    TruncateTo(i64),
}

/// What a file turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    Empty,
    Truncated,
    TruncatedToTime,
}

/// The tool cannot go on; the text says why.
struct Abort(String);

impl From<io::Error> for Abort {
    fn from(error: io::Error) -> Self {
        Abort(format!("Failed to read or write: {error}, aborting..."))
    }
}

type Checked<T> = Result<T, Abort>;

/// Runs the tool with its arguments; `answers` is where consent comes from. True if all is well.
///
/// # Errors
/// What is told cannot be written.
pub fn run(args: &[OsString], answers: &mut impl BufRead, out: &mut impl Write) -> io::Result<bool> {
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let (mode, file) = match *words {
        ["-v" | "--version"] => {
            writeln!(out, "redis-check-aof {}", crate::config::cli::version_text().trim_end())?;
            return Ok(true);
        }
        [_] => (Mode::Look, &args[0]),
        ["--fix", _] => (Mode::Fix, &args[1]),
        ["--truncate-to-timestamp", time, _] => match time.parse() {
            Ok(time) => (Mode::TruncateTo(time), &args[2]),
            Err(_) => {
                writeln!(out, "Invalid timestamp, aborting...")?;
                return Ok(false);
            }
        },
        _ => {
            writeln!(out, "Usage: redis-check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>")?;
            return Ok(false);
        }
    };
    match (Tool { mode, answers, out: &mut *out }).check(Path::new(file)) {
        Ok(()) => Ok(true),
        Err(Abort(text)) => {
            writeln!(out, "{text}")?;
            Ok(false)
        }
    }
}

struct Tool<'a, A, W> {
    mode: Mode,
    answers: &'a mut A,
    out: &'a mut W,
}

impl<A: BufRead, W: Write> Tool<'_, A, W> {
    fn check(&mut self, file: &Path) -> Checked<()> {
        if is_manifest(file)? {
            return self.check_parts(file);
        }
        writeln!(self.out, "Start checking Old-Style AOF")?;
        let name = file.display().to_string();
        let verdict = self.check_file(&name, file, true, is_rdb(file)?)?;
        self.tell(verdict, &name, "AOF")
    }

    fn check_parts(&mut self, file: &Path) -> Checked<()> {
        writeln!(self.out, "Start checking Multi Part AOF")?;
        let manifest = Manifest::parse(&std::fs::read(file)?)
            .map_err(|bad| Abort(format!("\n*** FATAL AOF MANIFEST FILE ERROR ***\n{bad}")))?;
        let parts: Vec<&Part> = manifest.parts().collect();
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut told_of_incr = false;
        for (i, part) in parts.iter().enumerate() {
            let (path, last) = (folder.join(&part.name), i + 1 == parts.len());
            let base = part.kind == Kind::Base;
            let preamble = base && is_rdb(&path)?;
            if base {
                writeln!(self.out, "Start to check BASE AOF ({} format).", if preamble { "RDB" } else { "RESP" })?;
            } else if !std::mem::replace(&mut told_of_incr, true) {
                writeln!(self.out, "Start to check INCR files.")?;
            }
            let verdict = self.check_file(&part.name, &path, last, preamble)?;
            self.tell(verdict, &part.name, if base { "BASE AOF" } else { "INCR AOF" })?;
        }
        writeln!(self.out, "All AOF files and manifest are valid")?;
        Ok(())
    }

    fn tell(&mut self, verdict: Verdict, name: &str, kind: &str) -> Checked<()> {
        match (verdict, self.mode) {
            (Verdict::Valid, _) => writeln!(self.out, "{kind} {name} is valid")?,
            (Verdict::Empty, _) => writeln!(self.out, "{kind} {name} is empty")?,
            (Verdict::TruncatedToTime, Mode::TruncateTo(time)) => {
                writeln!(self.out, "Successfully truncated AOF {name} to timestamp {time}")?;
            }
            (Verdict::Truncated | Verdict::TruncatedToTime, _) => writeln!(self.out, "Successfully truncated AOF {name}")?,
        }
        Ok(())
    }

    /// Checks one file. `last` tells that nothing was written after it, `preamble` that it begins with an RDB file.
    fn check_file(&mut self, name: &str, path: &Path, last: bool, preamble: bool) -> Checked<Verdict> {
        let cannot_open = |error| Abort(format!("Cannot open file {}: {error}, aborting...", path.display()));
        let writes = self.mode != Mode::Look;
        let mut file = File::options().read(true).write(writes).open(path).map_err(cannot_open)?;
        let len = file.metadata()?.len();
        // Behind the data there may be a reserve.
        let size = if preamble { len } else { group::data_len(&file, len)? };
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let mut start = 0;
        if preamble {
            let Some(end) = rdb::check(&path.display().to_string(), &mut file, size, self.out)? else {
                return Err(Abort("RDB preamble of AOF file is not sane, aborting.".into()));
            };
            writeln!(self.out, "RDB preamble is OK, proceeding with AOF tail...")?;
            start = end;
        }
        file.seek(SeekFrom::Start(start))?;
        let mut scan = Scan { input: BufReader::new((&file).take(size - start)), at: start, line: 1 };
        let (mut good, mut in_transaction) = (start, false);
        let ended = loop {
            if !in_transaction {
                good = scan.at;
            }
            match scan.peek()? {
                None if in_transaction => break Some(scan.fault(scan.at, "Reached EOF before reading EXEC for MULTI".into())),
                None => break None,
                Some(b'#') => {
                    let at = scan.at;
                    let line = scan.remark()?;
                    match (group::read_remark(line.trim_ascii_end(), at), self.mode) {
                        (Remark::Group { len, checksum }, _) if is_group(&file, scan.at, len, checksum)? => {}
                        (Remark::Group { .. } | Remark::Broken, _) => {
                            break Some(scan.fault(at, "A group of writes is not whole".into()));
                        }
                        (Remark::Other, Mode::TruncateTo(until)) if time(&line)?.is_some_and(|time| time > until) => {
                            return cut_at_time(&file, path, good, until, last);
                        }
                        _ => {}
                    }
                }
                Some(b'*') => match scan.request(&mut in_transaction, path)? {
                    Ok(()) => {}
                    Err(fault) => break Some(fault),
                },
                Some(_) => break Some(format!("AOF {name} format error")),
            }
        };
        let line = scan.line;
        if let Some(fault) = ended {
            writeln!(self.out, "{fault}")?;
        }
        let rest = size - good;
        if let (0, Mode::TruncateTo(time)) = (rest, self.mode) {
            writeln!(self.out, "Truncate nothing in AOF {name} to timestamp {time}")?;
            return Ok(Verdict::Valid);
        }
        writeln!(self.out, "AOF analyzed: filename={name}, size={size}, ok_up_to={good}, ok_up_to_line={line}, diff={rest}")?;
        match (rest, self.mode) {
            (0, _) => Ok(Verdict::Valid),
            (_, Mode::Fix) if !last => Err(Abort(format!("Failed to truncate AOF {name} because it is not the last file"))),
            (_, Mode::Fix) => {
                writeln!(self.out, "This will shrink the AOF {name} from {size} bytes, with {rest} bytes, to {good} bytes")?;
                write!(self.out, "Continue? [y/N]: ")?;
                self.out.flush()?;
                let mut answer = String::new();
                self.answers.read_line(&mut answer)?;
                if !answer.starts_with(['y', 'Y']) {
                    return Err(Abort("Aborting...".into()));
                }
                file.set_len(good).and_then(|()| file.sync_all()).map_err(|_| Abort(format!("Failed to truncate AOF {name}")))?;
                Ok(Verdict::Truncated)
            }
            _ => Err(Abort(format!("AOF {name} is not valid. Use the --fix option to try fixing it."))),
        }
    }
}

fn cut_at_time(file: &File, path: &Path, good: u64, until: i64, last: bool) -> Checked<Verdict> {
    let name = path.display();
    if good == 0 {
        return Err(Abort(format!("AOF {name} has nothing before timestamp {until}, aborting...")));
    }
    if !last {
        return Err(Abort(format!(
            "Failed to truncate AOF {name} to timestamp {until} to offset {good} because it is not the last file.\n\
             If you insist, please delete all files after this file according to the manifest file and delete the \
             corresponding records in manifest file manually. Then re-run redis-check-aof."
        )));
    }
    let cut = file.set_len(good).and_then(|()| file.sync_all());
    cut.map_err(|_| Abort(format!("Failed to truncate AOF {name} to timestamp {until}")))?;
    Ok(Verdict::TruncatedToTime)
}

/// The time that a remark tells of, if it does.
fn time(line: &[u8]) -> Checked<Option<i64>> {
    let Some(rest) = line.strip_prefix(b"#TS:") else { return Ok(None) };
    let digits = rest.strip_suffix(b"\r\n").and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or(Abort("Invalid timestamp annotation".into()))
}

/// True if a whole group begins at `at`.
fn is_group(file: &File, at: u64, len: usize, checksum: u64) -> Checked<bool> {
    let mut bytes = vec![0; len];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) => Ok(group::is_whole(&bytes, checksum)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// True if the file's lines are those of a manifest.
fn is_manifest(path: &Path) -> Checked<bool> {
    const LINE_MAX: u64 = 1024;
    let mut input = BufReader::new(open(path)?);
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        if line[0] != b'#' {
            return Ok(line.starts_with(b"file"));
        }
        // A remark of the other kind of file.
        if line.starts_with(b"#TS:") || line.starts_with(group::MARK) {
            return Ok(false);
        }
    }
}

/// True if the file begins as an RDB file does.
fn is_rdb(path: &Path) -> Checked<bool> {
    let mut head = Vec::new();
    open(path)?.take(9).read_to_end(&mut head)?;
    Ok(head.len() == 9 && (head.starts_with(b"REDIS") || head.starts_with(b"VALKEY")))
}

fn open(path: &Path) -> Checked<File> {
    File::open(path).map_err(|error| Abort(format!("Cannot open file {}: {error}", path.display())))
}

/// Goes through requests without keeping them.
struct Scan<R> {
    input: BufReader<R>,
    /// Offset in the file.
    at: u64,
    line: u64,
}

impl<R: Read> Scan<R> {
    fn peek(&mut self) -> Checked<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn fault(&self, at: u64, text: String) -> String {
        format!("0x{at:16x}: {text}")
    }

    /// A line with its end; empty at the end of the file.
    fn line(&mut self, max: u64) -> Checked<Vec<u8>> {
        let mut line = Vec::new();
        self.at += self.input.by_ref().take(max).read_until(b'\n', &mut line)? as u64;
        Ok(line)
    }

    /// A line that begins with `#`.
    fn remark(&mut self) -> Checked<Vec<u8>> {
        const REMARK_MAX: u64 = 1024;
        self.line(REMARK_MAX)
    }

    /// A number behind `prefix`, on a line of its own.
    fn number(&mut self, prefix: u8) -> Checked<Result<i64, String>> {
        const NUMBER_LINE_MAX: u64 = 127;
        let at = self.at;
        let line = self.line(NUMBER_LINE_MAX)?;
        let Some((first, rest)) = line.split_first() else {
            return Ok(Err(self.fault(at, "Unexpected end of the file".into())));
        };
        if *first != prefix {
            let text = format!("Expected prefix '{}', got: '{}'", prefix as char, *first as char);
            return Ok(Err(self.fault(at, text)));
        }
        let number = rest.strip_suffix(b"\r\n").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match number {
            Some(number) => {
                self.line += 1;
                Ok(Ok(number))
            }
            None => {
                let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-').unwrap_or(rest.len());
                let byte = |at| rest.get(at).copied().unwrap_or(0);
                let text = format!("Expected \\r\\n, got: {:02x}{:02x}", byte(end), byte(end + 1));
                Ok(Err(self.fault(at, text)))
            }
        }
    }

    /// A request; MULTI and EXEC are noted.
    fn request(&mut self, in_transaction: &mut bool, path: &Path) -> Checked<Result<(), String>> {
        let count = match self.number(b'*')? {
            Ok(count) => count,
            Err(fault) => return Ok(Err(fault)),
        };
        for i in 0..count {
            let length = match self.number(b'$')? {
                Ok(length) => length,
                Err(fault) => return Ok(Err(fault)),
            };
            let at = self.at;
            let Ok(length) = u64::try_from(length) else {
                let text = format!("Expected to read string of {length} bytes, which is not in the suitable range");
                return Ok(Err(self.fault(at, text)));
            };
            // Of an argument only as much is kept as a name of interest has, and the line's end.
            let mut head = Vec::new();
            let kept = if i == 0 { length.min(8) } else { 0 };
            let mut read = self.input.by_ref().take(kept).read_to_end(&mut head)? as u64;
            read += io::copy(&mut self.input.by_ref().take(length - kept), &mut io::sink())?;
            let mut end = Vec::new();
            read += self.input.by_ref().take(2).read_to_end(&mut end)? as u64;
            self.at += read;
            if read < length.saturating_add(2) {
                let text = format!("Expected to read {} bytes, got {read} bytes", length.saturating_add(2));
                return Ok(Err(self.fault(at, text)));
            }
            if end != b"\r\n" {
                return Ok(Err(self.fault(at, format!("Expected \\r\\n, got: {:02x}{:02x}", end[0], end[1]))));
            }
            self.line += 1;
            let name = if length == kept { head.to_ascii_lowercase() } else { Vec::new() };
            let odd = match &*name {
                b"multi" if i == 0 => std::mem::replace(in_transaction, true).then_some("MULTI"),
                b"exec" if i == 0 => (!std::mem::replace(in_transaction, false)).then_some("EXEC"),
                _ => None,
            };
            if let Some(odd) = odd {
                return Ok(Err(self.fault(at, format!("Unexpected {odd} in AOF {}", path.display()))));
            }
        }
        Ok(Ok(()))
    }
}
