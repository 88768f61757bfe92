//! Replies: one vocabulary, two protocols. A handler says what it answers (`map`, `double`, `null`); whether that becomes
//! RESP2 or RESP3 is decided here and nowhere else.
//!
//! Replies are written straight into the client's output: LRANGE of a million elements builds no tree. Long values are not
//! copied at all: the output keeps a reference to the shared buffer and the socket gets it by `writev`.

use super::number;
use crate::raw::shared::SharedBytes;

/// Values of at least this many bytes leave as references instead of being copied.
pub const REFERENCE_MIN: usize = 16 * 1024;

/// Bytes on their way to one client: plain bytes, and buffers to be sent between them.
#[derive(Default)]
pub struct Output {
    /// Everything that was written, except referenced buffers.
    pub bytes: Vec<u8>,
    /// Buffers to be sent, each before `bytes[at]`; ascending.
    pub references: Vec<Reference>,
    /// Bytes above which the client is cut off instead of being sent this; 0: none.
    pub limit: usize,
}

/// A buffer that is sent without being copied.
pub struct Reference {
    /// Position in `Output::bytes` before which the buffer goes out.
    pub at: usize,
    pub buffer: SharedBytes,
}

/// A place in an output to return to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    bytes: usize,
    references: usize,
}

impl Mark {
    /// Plain bytes in front of it.
    pub fn position(self) -> usize {
        self.bytes
    }
}

impl Output {
    /// True if there is nothing to send.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.references.is_empty()
    }

    /// Bytes waiting, referenced buffers included.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.references.iter().map(|r| r.buffer.len()).sum::<usize>()
    }

    /// Bytes written since a mark, referenced buffers included.
    pub fn len_since(&self, mark: Mark) -> usize {
        let references = self.references.get(mark.references..).unwrap_or_default();
        self.bytes.len().saturating_sub(mark.bytes) + references.iter().map(|r| r.buffer.len()).sum::<usize>()
    }

    /// The current end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), references: self.references.len() }
    }

    /// Drops everything after `mark`.
    #[inline]
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.references.truncate(mark.references);
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.references.clear();
    }

    /// Drops everything, also memory that is worth more elsewhere.
    pub fn forget(&mut self) {
        const KEPT_MAX: usize = 64 * 1024;
        self.clear();
        if self.bytes.capacity() > KEPT_MAX {
            self.bytes = Vec::new();
        }
    }

    /// The whole text in one piece. For tests, scripts and threads that write for us.
    pub fn flatten(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.len());
        let mut from = 0;
        for reference in &self.references {
            whole.extend_from_slice(&self.bytes[from..reference.at]);
            whole.extend_from_slice(reference.buffer.as_slice());
            from = reference.at;
        }
        whole.extend_from_slice(&self.bytes[from..]);
        whole
    }

    /// Appends another output.
    pub fn append(&mut self, other: &Output) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.references.extend(other.references.iter().map(|r| Reference { at: base + r.at, buffer: r.buffer.clone() }));
    }
}

/// An aggregate whose number of items is not known yet.
#[must_use = "finish it with the number of items"]
pub struct Deferred {
    at: usize,
    kind: u8,
}

/// Writes replies in the protocol that the client speaks.
pub struct ReplyWriter<'a> {
    out: &'a mut Output,
    resp3: bool,
}

/// Longest text of a bulk string that is put together in a register.
pub(super) const SHORT_MAX: usize = 8;

/// A text of up to [`SHORT_MAX`] bytes, followed by zeroes, as a little-endian number.
#[inline(always)]
pub(super) fn short_text(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    // Two loads of a fixed length, which overlap, hold any text of up to twice that length.
    if let (Some(front), Some(back)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u32::from_le_bytes(*front)) | u64::from(u32::from_le_bytes(*back)) << (8 * (len - 4))
    } else if let (Some(front), Some(back)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u16::from_le_bytes(*front)) | u64::from(u16::from_le_bytes(*back)) << (8 * (len - 2))
    } else {
        u64::from(bytes.first().copied().unwrap_or(0))
    }
}

/// A bulk string of up to [`SHORT_MAX`] bytes, followed by zeroes.
#[inline]
fn short_bulk(bytes: &[u8]) -> [u8; 16] {
    let (len, text) = (bytes.len(), short_text(bytes));
    let head = u32::from_le_bytes([b'$', b'0' + len as u8, b'\r', b'\n']);
    let tail = u16::from_le_bytes(*b"\r\n");
    (u128::from(head) | u128::from(text) << 32 | u128::from(tail) << (32 + 8 * len)).to_le_bytes()
}

impl<'a> ReplyWriter<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Output, resp3: bool) -> Self {
        ReplyWriter { out, resp3 }
    }

    /// True if the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// The same output, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> ReplyWriter<'_> {
        ReplyWriter { out: self.out, resp3: self.resp3 }
    }

    /// Speaks another protocol from here on (HELLO).
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// True if replies are bounded.
    pub fn is_limited(&self) -> bool {
        self.out.limit != 0
    }

    /// True if the client will not be sent this any more: there is no use in going on.
    pub fn is_full(&self) -> bool {
        self.out.limit != 0 && self.out.bytes.len() > self.out.limit
    }

    /// Bytes of the buffer that is written to.
    pub fn room(&self) -> usize {
        self.out.bytes.capacity()
    }

    /// The current end of the output.
    pub fn mark(&self) -> Mark {
        self.out.mark()
    }

    /// Drops everything after `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.out.rewind(mark);
    }

    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A status line. `text` has no line breaks.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error line, code first. Line breaks inside become spaces, so that no argument can forge a reply.
    pub fn error(&mut self, text: &str) {
        self.raw(b"-");
        self.out.bytes.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.raw(b"\r\n");
    }

    /// An error line from bytes, which may hold arguments in any encoding. Line breaks at the end are dropped.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let is_break = |b: &u8| *b == b'\r' || *b == b'\n';
        let end = text.iter().rposition(|b| !is_break(b)).map_or(0, |last| last + 1);
        self.raw(b"-");
        self.out.bytes.extend(text[..end].iter().map(|b| if is_break(b) { b' ' } else { *b }));
        self.raw(b"\r\n");
    }

    #[inline]
    pub fn integer(&mut self, n: i64) {
        match n {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            _ => {
                self.head(b':', n);
            }
        }
    }

    /// A count or length.
    pub fn count(&mut self, n: usize) {
        self.integer(n as i64);
    }

    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() > SHORT_MAX {
            return self.long_bulk(bytes);
        }
        // One store of a fixed length instead of three copies of lengths that only the run knows.
        let out = &mut self.out.bytes;
        out.extend_from_slice(&short_bulk(bytes));
        out.truncate(out.len() - (SHORT_MAX - bytes.len()) - 2);
    }

    /// Apart from the short ones, which need no registers saved.
    #[inline(never)]
    fn long_bulk(&mut self, bytes: &[u8]) {
        let out = &mut self.out.bytes;
        out.reserve(bytes.len() + 32);
        let mut text = itoa::Buffer::new();
        out.push(b'$');
        out.extend_from_slice(text.format(bytes.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    /// A bulk string taken from a shared buffer: by reference when it is long.
    pub fn bulk_shared(&mut self, buffer: &SharedBytes) {
        if buffer.len() < REFERENCE_MIN {
            return self.bulk(buffer.as_slice());
        }
        self.head(b'$', buffer.len() as i64);
        self.out.references.push(Reference { at: self.out.bytes.len(), buffer: buffer.clone() });
        self.raw(b"\r\n");
    }

    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, n: i64) {
        let mut text = itoa::Buffer::new();
        self.bulk(text.format(n).as_bytes());
    }

    /// A bulk string, or null if there is none.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// The absent value.
    #[inline]
    pub fn null(&mut self) {
        self.raw(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The absent value where RESP2 clients expect an array.
    pub fn null_array(&mut self) {
        self.raw(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// An array; `n` replies follow.
    #[inline]
    pub fn array(&mut self, n: usize) {
        self.head(b'*', n as i64);
    }

    /// A map; `n` pairs of replies follow.
    pub fn map(&mut self, n: usize) {
        if self.resp3 { self.head(b'%', n as i64) } else { self.head(b'*', 2 * n as i64) }
    }

    /// A set; `n` replies follow.
    pub fn set(&mut self, n: usize) {
        self.head(if self.resp3 { b'~' } else { b'*' }, n as i64);
    }

    /// Data outside of a reply; `n` replies follow. RESP2 subscribers get an array.
    pub fn push(&mut self, n: usize) {
        self.head(if self.resp3 { b'>' } else { b'*' }, n as i64);
    }

    /// Extra data before a reply (RESP3 only: RESP2 has no attributes); `n` pairs follow.
    pub fn attribute(&mut self, n: usize) {
        debug_assert!(self.resp3);
        self.head(b'|', n as i64);
    }

    /// Begins an array whose length `finish` will tell.
    pub fn array_deferred(&mut self) -> Deferred {
        Deferred { at: self.out.bytes.len(), kind: b'*' }
    }

    /// Begins a set whose length `finish` will tell.
    pub fn set_deferred(&mut self) -> Deferred {
        Deferred { at: self.out.bytes.len(), kind: if self.resp3 { b'~' } else { b'*' } }
    }

    /// Begins a map whose number of pairs `finish` will tell.
    pub fn map_deferred(&mut self) -> Deferred {
        Deferred { at: self.out.bytes.len(), kind: if self.resp3 { b'%' } else { b'2' } }
    }

    /// Puts the head of a deferred aggregate of `n` items (pairs for a map) where it belongs.
    pub fn finish(&mut self, deferred: Deferred, n: usize) {
        let (kind, n) = if deferred.kind == b'2' { (b'*', 2 * n) } else { (deferred.kind, n) };
        let mut text = itoa::Buffer::new();
        let digits = text.format(n).as_bytes();
        let mut head = [0u8; 24];
        head[0] = kind;
        head[1..=digits.len()].copy_from_slice(digits);
        head[digits.len() + 1..digits.len() + 3].copy_from_slice(b"\r\n");
        let len = digits.len() + 3;
        self.out.bytes.splice(deferred.at..deferred.at, head[..len].iter().copied());
        for reference in self.out.references.iter_mut().rev() {
            if reference.at < deferred.at {
                break;
            }
            reference.at += len;
        }
    }

    /// A floating point number, in the shortest text that reads back the same.
    pub fn double(&mut self, value: f64) {
        if self.resp3 {
            self.raw(b",");
            number::write_f64(&mut self.out.bytes, value);
            self.raw(b"\r\n");
        } else {
            self.bulk_double(value);
        }
    }

    /// A floating point number as a bulk string in both protocols.
    pub fn bulk_double(&mut self, value: f64) {
        self.bulk(number::f64_text(value).as_bytes());
    }

    /// Yes or no: RESP2 has 1 and 0.
    pub fn boolean(&mut self, yes: bool) {
        match (self.resp3, yes) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, yes) => self.integer(yes as i64),
        }
    }

    /// Text for people, with its format of three letters (`txt`, `mkd`). A bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        if !self.resp3 {
            return self.bulk(text);
        }
        self.head(b'=', text.len() as i64 + 4);
        self.raw(format.as_bytes());
        self.raw(b":");
        self.raw(text);
        self.raw(b"\r\n");
    }

    /// An integer beyond 64 bits, as digits. A bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        if !self.resp3 {
            return self.bulk(digits.as_bytes());
        }
        self.raw(b"(");
        self.raw(digits.as_bytes());
        self.raw(b"\r\n");
    }

    /// Replies that were encoded elsewhere, in this client's protocol.
    pub fn encoded(&mut self, other: &Output) {
        self.out.append(other);
    }

    /// A list of lines as HELP gives them.
    pub fn help(&mut self, lines: &[&str]) {
        self.array(lines.len());
        for line in lines {
            self.simple(line);
        }
    }

    /// Bytes as they stand.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn head(&mut self, kind: u8, n: i64) {
        let mut text = itoa::Buffer::new();
        let digits = text.format(n).as_bytes();
        self.out.bytes.reserve(24);
        self.out.bytes.push(kind);
        self.out.bytes.extend_from_slice(digits);
        self.out.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut ReplyWriter)) -> (String, String) {
        let text = |resp3| {
            let mut out = Output::default();
            write(&mut ReplyWriter::new(&mut out, resp3));
            String::from_utf8(out.flatten()).unwrap()
        };
        (text(false), text(true))
    }

    #[test]
    fn the_two_protocols_differ_only_here() {
        assert_eq!(both(|w| w.null()), ("$-1\r\n".into(), "_\r\n".into()));
        assert_eq!(both(|w| w.null_array()), ("*-1\r\n".into(), "_\r\n".into()));
        assert_eq!(both(|w| w.map(2)), ("*4\r\n".into(), "%2\r\n".into()));
        assert_eq!(both(|w| w.boolean(true)), (":1\r\n".into(), "#t\r\n".into()));
        assert_eq!(both(|w| w.double(0.5)), ("$3\r\n0.5\r\n".into(), ",0.5\r\n".into()));
        assert_eq!(both(|w| w.verbatim("txt", b"hi")), ("$2\r\nhi\r\n".into(), "=6\r\ntxt:hi\r\n".into()));
        assert_eq!(both(|w| w.bulk(b"0123456789")), ("$10\r\n0123456789\r\n".into(), "$10\r\n0123456789\r\n".into()));
    }

    #[test]
    fn bulk_strings_of_each_length() {
        for len in 0..40 {
            let text: String = ('a'..='z').cycle().take(len).collect();
            let line = format!("${len}\r\n{text}\r\n");
            assert_eq!(both(|w| (0..2).for_each(|_| w.bulk(text.as_bytes()))), (line.repeat(2), line.repeat(2)));
        }
    }

    #[test]
    fn a_deferred_head_moves_what_follows() {
        let big = SharedBytes::new(&[b'x'; REFERENCE_MIN]);
        let (two, three) = both(|w| {
            w.integer(5);
            let list = w.map_deferred();
            w.bulk(b"a");
            w.bulk_shared(&big);
            w.finish(list, 1);
            w.integer(6);
        });
        let x = "x".repeat(REFERENCE_MIN);
        assert_eq!(two, format!(":5\r\n*2\r\n$1\r\na\r\n$16384\r\n{x}\r\n:6\r\n"));
        assert_eq!(three, format!(":5\r\n%1\r\n$1\r\na\r\n$16384\r\n{x}\r\n:6\r\n"));
    }

    #[test]
    fn an_error_stays_one_line() {
        assert_eq!(both(|w| w.error("ERR bad\r\n+OK")).0, "-ERR bad  +OK\r\n");
    }
}
