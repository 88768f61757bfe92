//! Reading a file of commands: requests as they were written, in their order, with the places where each begins. What to do
//! with them is for others.

use super::group::{self, Remark};
use crate::resp::request::{Args, Span};
use std::io::Read;

/// Why a file of commands cannot be read on.
#[derive(Debug)]
pub enum ReadError {
    /// It is no file of commands from here on.
    Format,
    /// It ends within a request, or within a group that was not synced.
    CutOff,
    System(std::io::Error),
}

/// Reads requests from a file.
pub struct Requests<R> {
    reader: R,
    /// Bytes that the file holds from the start of `buffer` on.
    len: u64,
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet handed out.
    start: usize,
    end: usize,
    /// Offset in the file of the buffer's first byte.
    base: u64,
    /// What comes next is behind a reserve.
    behind_reserve: bool,
    spans: Vec<Span>,
    found: Vec<Found>,
}

/// A request in the buffer.
#[derive(Clone, Copy, Default)]
pub struct Found {
    first: u32,
    count: u32,
    /// Offset in the file behind it.
    pub end: u64,
}

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// A line before an argument, or a remark.
const LINE_MAX: usize = 1024;
/// Arguments of a request, and bytes of all of them.
const ARGS_MAX: u64 = 1 << 30;
const REQUEST_MAX: u64 = u32::MAX as u64;
/// An argument takes five bytes at least.
const ARG_LEN_MIN: u64 = 5;

impl<R: Read> Requests<R> {
    /// Reads on at `offset` of a file in which there are `len` bytes in all, without the reserve at its end.
    pub fn new(reader: R, offset: u64, len: u64) -> Self {
        let (spans, found) = Default::default();
        Requests { reader, len, buffer: Vec::new(), start: 0, end: 0, base: offset, behind_reserve: false, spans, found }
    }

    /// Reads the next requests, up to `wanted`; none at the end of the file. They are valid until the next call.
    ///
    /// # Errors
    /// The file is broken behind those that were read before, which are in the result of the call before.
    pub fn next_few(&mut self, wanted: usize) -> Result<&[Found], ReadError> {
        self.spans.clear();
        self.found.clear();
        // What is handed out was used: the rest goes to the front when room is needed.
        let mut at = self.start;
        while self.found.len() < wanted {
            match self.parse(&mut at) {
                Ok(true) => self.start = at,
                Ok(false) => {
                    if !self.found.is_empty() {
                        break;
                    }
                    self.spans.clear();
                    if !self.read_more()? {
                        return match self.start == self.end {
                            true => Ok(&[]),
                            false => Err(ReadError::CutOff),
                        };
                    }
                    at = self.start;
                }
                // Those before it come first; then it is met again.
                Err(_) if !self.found.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(&self.found)
    }

    /// The arguments of a request.
    pub fn args(&self, found: Found) -> Args<'_> {
        let spans = &self.spans[found.first as usize..(found.first + found.count) as usize];
        Args::new(&self.buffer, spans)
    }

    /// Offset in the file behind the requests handed out.
    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Parses one request, or a remark; false if the buffer ends before it does.
    fn parse(&mut self, at: &mut usize) -> Result<bool, ReadError> {
        let mut here = *at;
        let first = self.spans.len();
        let offset = self.base + *at as u64;
        if self.behind_reserve
            && group::lost_its_beginning(offset)
            && self.buffer[*at..self.end].first().is_some_and(|b| *b != b'#')
        {
            return Err(self.unsynced(offset));
        }
        let Some(line) = self.line(&mut here)? else { return Ok(false) };
        if line[0] == b'#' {
            let remark = group::read_remark(line, offset);
            self.behind_reserve = remark == Remark::Reserve;
            match remark {
                Remark::Group { len, checksum } => match self.check_group(here, len, checksum) {
                    Ok(true) => {}
                    other => return other,
                },
                Remark::Broken => return Err(self.unsynced(offset)),
                Remark::Reserve | Remark::Other => {}
            }
            *at = here;
            return Ok(true);
        }
        let count = number(line, b'*')?;
        if count == 0 || count > ARGS_MAX {
            return Err(ReadError::Format);
        }
        if count * ARG_LEN_MIN > self.len.saturating_sub(self.base + here as u64) {
            return Err(ReadError::CutOff);
        }
        for _ in 0..count {
            let Some(line) = self.line(&mut here)? else { return self.wait(first) };
            let len = number(line, b'$')?;
            if len > REQUEST_MAX {
                return Err(ReadError::Format);
            }
            let end = here as u64 + len + 2;
            if end - *at as u64 > REQUEST_MAX {
                return Err(ReadError::Format);
            }
            if self.base + end > self.len {
                return Err(ReadError::CutOff);
            }
            if end > self.end as u64 {
                return self.wait(first);
            }
            self.spans.push((here as u32, len as u32));
            here = end as usize;
        }
        *at = here;
        self.found.push(Found { first: first as u32, count: count as u32, end: self.base + here as u64 });
        Ok(true)
    }

    /// Whether the group whose bytes begin at `here` is whole; false if the buffer ends before it does.
    fn check_group(&self, here: usize, len: usize, checksum: u64) -> Result<bool, ReadError> {
        let (begin, end) = (self.base + here as u64, here + len);
        match self.buffer[..self.end].get(here..end) {
            _ if begin + len as u64 > self.len => Err(ReadError::CutOff),
            None => Ok(false),
            Some(bytes) if group::is_whole(bytes, checksum) => Ok(true),
            // In the middle of a file nothing can be but what was synced.
            Some(_) if begin + (len as u64) < self.len => Err(ReadError::Format),
            Some(_) => Err(ReadError::CutOff),
        }
    }

    /// What is at `offset` may be what is left of the last group, whose sync was not over.
    fn unsynced(&self, offset: u64) -> ReadError {
        if group::may_be_last(self.len.saturating_sub(offset)) { ReadError::CutOff } else { ReadError::Format }
    }

    fn wait(&mut self, first: usize) -> Result<bool, ReadError> {
        self.spans.truncate(first);
        Ok(false)
    }

    /// The line at `at`, without its end; none if the buffer ends before it does.
    fn line(&self, at: &mut usize) -> Result<Option<&[u8]>, ReadError> {
        let rest = &self.buffer[*at..self.end];
        match memchr::memchr(b'\n', &rest[..rest.len().min(LINE_MAX)]) {
            Some(end) => {
                *at += end + 1;
                let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
                if line.is_empty() { Err(ReadError::Format) } else { Ok(Some(line)) }
            }
            None if rest.len() >= LINE_MAX => Err(ReadError::Format),
            None => match rest.first() {
                // Garbage is told from a cut line at once.
                Some(b'*' | b'$' | b'#') | None => Ok(None),
                Some(_) => Err(ReadError::Format),
            },
        }
    }

    /// Reads more of the file behind what is not yet handed out; false at its end.
    fn read_more(&mut self) -> Result<bool, ReadError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() > CHUNK && self.end < CHUNK / 2 {
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to_fit();
        }
        if self.end + LINE_MAX > self.buffer.len() {
            // Grows with what really comes.
            self.buffer.resize((2 * self.end).max(CHUNK), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::System(error)),
            }
        }
    }
}

/// The number behind a mark.
fn number(line: &[u8], mark: u8) -> Result<u64, ReadError> {
    let digits = line.strip_prefix(&[mark]).ok_or(ReadError::Format)?;
    let text = std::str::from_utf8(digits).map_err(|_| ReadError::Format)?;
    if !digits.first().is_some_and(u8::is_ascii_digit) {
        return Err(ReadError::Format);
    }
    text.parse().map_err(|_| ReadError::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(1);
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// Requests as lines, the end of the last one, and how it ended.
    fn read(bytes: &[u8], reader: impl Read) -> (Vec<String>, u64, &'static str) {
        let mut requests = Requests::new(reader, 0, bytes.len() as u64);
        let (mut seen, mut valid) = (Vec::new(), 0);
        let how = loop {
            let few = match requests.next_few(3) {
                Ok([]) => break "end",
                Ok(few) => few.to_vec(),
                Err(ReadError::Format) => break "format",
                Err(ReadError::CutOff) => break "cut off",
                Err(ReadError::System(_)) => break "system",
            };
            for found in few {
                let words: Vec<_> = requests.args(found).from(0).map(String::from_utf8_lossy).collect();
                seen.push(words.join(" "));
                valid = found.end;
            }
        };
        (seen, valid, how)
    }

    fn both(bytes: &[u8]) -> (Vec<String>, u64, &'static str) {
        let quick = read(bytes, bytes);
        assert_eq!(read(bytes, Drip(bytes)), quick);
        quick
    }

    const SET: &[u8] = b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$2\r\n\r\n\r\n";
    const INCR: &[u8] = b"*2\r\n$4\r\nincr\r\n$1\r\nn\r\n";

    #[test]
    fn requests_and_remarks() {
        let text = [SET, b"#TS:1628217470\r\n", INCR, INCR, b"#TS:1\r\n#TS:2\r\n", INCR].concat();
        let (seen, valid, how) = both(&text);
        assert_eq!(seen, ["set k \r\n", "incr n", "incr n", "incr n"]);
        assert_eq!((valid, how), (text.len() as u64, "end"));
        assert_eq!(both(b""), (vec![], 0, "end"));
        assert_eq!(both(b"#TS:1\r\n"), (vec![], 0, "end"));
    }

    #[test]
    fn a_cut_at_any_byte_leaves_whole_requests() {
        let text = [SET, INCR, b"#TS:1\r\n", INCR].concat();
        for cut in 0..text.len() {
            let (seen, valid, how) = both(&text[..cut]);
            let whole = [SET.len(), SET.len() + INCR.len()].iter().filter(|end| **end <= cut).count();
            assert_eq!(seen.len(), whole, "cut at {cut}");
            assert!(valid <= cut as u64);
            let clean = [0, SET.len(), SET.len() + INCR.len(), SET.len() + INCR.len() + 7].contains(&cut);
            assert_eq!(how, if clean { "end" } else { "cut off" }, "cut at {cut}");
        }
    }

    /// Two groups in the place of a reserve, and where the second begins.
    fn groups() -> (Vec<u8>, Vec<u8>, usize) {
        let requests = |count: usize| (0..count).flat_map(|_| SET.iter().copied()).collect::<Vec<u8>>();
        let (first, second) = (requests(5), requests(100));
        let mut file = Vec::new();
        group::write_header(&mut file, 0, &first);
        file.extend_from_slice(&first);
        let begin = file.len();
        group::write_reserve(&mut file, begin as u64, 5000);
        let before = file.clone();
        let mut written = Vec::new();
        group::write_header(&mut written, begin as u64, &second);
        written.extend_from_slice(&second);
        file[begin..begin + written.len()].copy_from_slice(&written);
        (before, file, begin)
    }

    /// What the server reads: without the reserve at the end.
    fn read_file(bytes: &[u8]) -> (usize, u64, &'static str) {
        let len = bytes.len() - bytes.iter().rev().take_while(|byte| matches!(byte, b'#' | b'\n')).count();
        let len = if bytes[..len].ends_with(b"\r") { len + 1 } else { len };
        let mut requests = Requests::new(bytes, 0, len as u64);
        let (mut seen, mut valid) = (0, 0);
        loop {
            match requests.next_few(3) {
                Ok([]) => return (seen, valid, "end"),
                Ok(few) => (seen, valid) = (seen + few.len(), few[few.len() - 1].end),
                Err(ReadError::CutOff) => return (seen, valid, "cut off"),
                Err(ReadError::Format) => return (seen, valid, "format"),
                Err(ReadError::System(_)) => return (seen, valid, "system"),
            }
        }
    }

    #[test]
    fn of_a_group_that_lost_sectors_nothing_is_read() {
        const SECTOR: usize = 512;
        let (before, after, begin) = groups();
        let written = (0..after.len()).rposition(|at| before[at] != after[at]).unwrap() + 1;
        let sectors: Vec<_> = (begin / SECTOR..=(written - 1) / SECTOR).map(|n| n * SECTOR..(n + 1) * SECTOR).collect();
        assert!((6..8).contains(&sectors.len()));
        assert_eq!((read_file(&before), read_file(&after).0), ((5, begin as u64, "end"), 105));
        for lost in 1..1 << sectors.len() {
            let mut file = after.clone();
            for (_, sector) in sectors.iter().enumerate().filter(|(i, _)| lost >> i & 1 == 1) {
                file[sector.clone()].copy_from_slice(&before[sector.clone()]);
            }
            let (seen, valid, how) = read_file(&file);
            let nothing_left = lost == (1 << sectors.len()) - 1;
            assert_eq!((seen, valid, how), (5, begin as u64, if nothing_left { "end" } else { "cut off" }), "{lost:b}");
        }
    }

    #[test]
    fn a_group_in_the_middle_was_synced_and_must_be_whole() {
        let (_, file, _) = groups();
        for at in 0..4 * SET.len() {
            let mut bad = file.clone();
            bad[30 + at] ^= 1;
            assert_eq!(read_file(&bad), (0, 0, "format"), "at {at}");
        }
        // Redis went on behind the reserve.
        let (mut file, _, _) = groups();
        file.extend_from_slice(INCR);
        assert_eq!(read_file(&file), (6, file.len() as u64, "end"));
        let far = [b"#G:99999999,0\r\n", INCR.repeat(5000).as_slice()].concat();
        assert_eq!(read_file(&far), (0, 0, "format"));
    }

    #[test]
    fn garbage_is_told_from_a_cut() {
        for bad in [&b"!!!"[..], b"\r\n", b"*x\r\n", b"*0\r\n", b"*-1\r\n", b"*1\r\n+3\r\nset\r\n", b"*1\r\n$-3\r\n", b"\0\0\0"] {
            let text = [SET, bad, INCR].concat();
            let (seen, valid, how) = both(&text);
            assert_eq!((seen.len(), valid, how), (1, SET.len() as u64, "format"), "{:?}", bad.escape_ascii().to_string());
        }
        // What is announced is not believed.
        assert_eq!(both(b"*1\r\n$1000000000\r\nab").2, "cut off");
        assert_eq!(both(b"*100000000\r\n").2, "cut off");
        assert_eq!(both(b"*1\r\n$99999999999999\r\nab").2, "format");
        assert_eq!(both(&[b'#'; 2000]).2, "format");
    }

    #[test]
    fn long_requests_grow_the_buffer() {
        let value = vec![b'x'; 3 << 20];
        let mut text = format!("*2\r\n$4\r\necho\r\n${}\r\n", value.len()).into_bytes();
        text.extend_from_slice(&value);
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(INCR);
        let (seen, _, how) = read(&text, &text[..]);
        assert_eq!((seen.len(), seen[0].len(), how), (2, 5 + value.len(), "end"));
    }
}
