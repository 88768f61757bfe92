//! Requests off the wire: RESP arrays of bulk strings, and the inline form that people type.
//!
//! The decoder allocates nothing per request: it tells where the arguments lie in the input buffer. It is resumable: what
//! was understood of an unfinished request is kept, and when the unfinished part moves to the front of the buffer,
//! `shift` moves the positions along; so a request that arrives in a thousand pieces is parsed once.
//!
//! Announced counts and lengths reserve nothing (CVE-2021-32675): memory grows only with bytes that really came.
//! Limits and error texts are the original's, as clients' test suites match them.

use super::request::Span;
use std::fmt;

/// Bounds on what one request may announce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Arguments in a request.
    pub args: i64,
    /// Bytes in an argument.
    pub bulk: i64,
    /// The client has not authenticated: the bounds above are the small ones, and the error texts say so.
    pub guarded: bool,
}

/// Bytes in an inline request, and in a count or length.
const LINE_MAX: usize = 64 * 1024;
const ARGS_MAX: i64 = i32::MAX as i64;
const GUARDED_ARGS_MAX: i64 = 10;
const GUARDED_BULK_MAX: i64 = 16 * 1024;

impl Limits {
    /// For a client that may run commands. `bulk` is `proto-max-bulk-len`.
    pub fn authenticated(bulk: usize) -> Self {
        Limits { args: ARGS_MAX, bulk: bulk.min(i64::MAX as usize) as i64, guarded: false }
    }

    /// For a client that may only authenticate.
    pub fn unauthenticated() -> Self {
        Limits { args: GUARDED_ARGS_MAX, bulk: GUARDED_BULK_MAX, guarded: true }
    }
}

/// What the decoder found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A request: `count` spans from `first` on. Spans of an inline request lie in the inline text, others in the input.
    Request { first: usize, count: usize, inline: bool },
    /// More bytes are needed; with a buffer of `total` bytes the present argument would be whole.
    NeedMore { total: usize },
    /// The client does not speak the protocol.
    Error(ProtocolError),
}

/// Why the input is not a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    MultibulkLength,
    GuardedMultibulkLength,
    BulkLength,
    GuardedBulkLength,
    ExpectedDollar(u8),
    MultibulkLineTooLong,
    BulkLineTooLong,
    InlineTooLong,
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ERR Protocol error: ")?;
        f.write_str(match self {
            ProtocolError::MultibulkLength => "invalid multibulk length",
            ProtocolError::GuardedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::BulkLength => "invalid bulk length",
            ProtocolError::GuardedBulkLength => "unauthenticated bulk length",
            ProtocolError::ExpectedDollar(got) => return write!(f, "expected '$', got '{}'", printable(*got)),
            ProtocolError::MultibulkLineTooLong => "too big mbulk count string",
            ProtocolError::BulkLineTooLong => "too big bulk count string",
            ProtocolError::InlineTooLong => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
        })
    }
}

fn printable(byte: u8) -> char {
    // A line break would end the error line; other bytes pass as Latin-1.
    if byte == b'\r' || byte == b'\n' { ' ' } else { byte as char }
}

/// What is known of the request that is being read.
#[derive(Default, Debug)]
pub struct Decoder {
    /// Where it begins.
    start: usize,
    /// The next byte to look at.
    at: usize,
    /// Its first span.
    first: usize,
    /// Arguments still to come; 0 before the count is known.
    left: i64,
    /// Length of the argument being read, if known.
    bulk: Option<usize>,
}

impl Decoder {
    /// Reads one request of `input`, the filled part of the buffer. Spans are appended to `spans`; the text of an inline
    /// request, with its quotes resolved, to `inline`.
    #[inline]
    pub fn next(&mut self, input: &[u8], spans: &mut Vec<Span>, inline: &mut Vec<u8>, limits: &Limits) -> Step {
        loop {
            if self.left == 0 {
                self.start = self.at;
                self.first = spans.len();
                match input.get(self.at) {
                    None => return Step::NeedMore { total: 0 },
                    Some(b'*') => match self.count(input, limits) {
                        Ok(Some(0)) => continue,
                        Ok(Some(count)) => self.left = count,
                        Ok(None) => return Step::NeedMore { total: 0 },
                        Err(error) => return Step::Error(error),
                    },
                    Some(_) => match self.inline(input, spans, inline) {
                        Ok(Some(0)) => continue,
                        Ok(Some(count)) => return Step::Request { first: self.first, count, inline: true },
                        Ok(None) => return Step::NeedMore { total: 0 },
                        Err(error) => return Step::Error(error),
                    },
                }
            }
            while self.left > 0 {
                let len = match self.bulk {
                    Some(len) => len,
                    None => match self.length(input, limits) {
                        Ok(Some(len)) => len,
                        Ok(None) => return Step::NeedMore { total: 0 },
                        Err(error) => return Step::Error(error),
                    },
                };
                if input.len() - self.at < len + 2 {
                    self.bulk = Some(len);
                    return Step::NeedMore { total: self.at + len + 2 };
                }
                spans.push((self.at as u32, len as u32));
                // The two bytes behind the argument are not looked at; the original does not either.
                self.at += len + 2;
                self.bulk = None;
                self.left -= 1;
            }
            return Step::Request { first: self.first, count: spans.len() - self.first, inline: false };
        }
    }

    /// Where the unfinished request begins: everything before it has been handed out.
    pub fn start(&self) -> usize {
        if self.left == 0 { self.at } else { self.start }
    }

    /// The unfinished request was moved to the front of the buffer, and its spans (if any) are to be the only ones left.
    pub fn shift(&mut self, spans: &mut Vec<Span>) {
        let by = self.start();
        let keep = if self.left == 0 { spans.len() } else { self.first };
        spans.drain(..keep);
        for span in spans.iter_mut() {
            span.0 -= by as u32;
        }
        self.at -= by;
        self.start = 0;
        self.first = 0;
    }

    /// `*N\r\n`
    #[inline]
    fn count(&mut self, input: &[u8], limits: &Limits) -> Result<Option<i64>, ProtocolError> {
        // Nearly every request has less than ten arguments.
        if let [b'*', digit @ b'1'..=b'9', b'\r', _, ..] = input[self.at..] {
            self.at += 4;
            return Ok(Some((digit - b'0') as i64));
        }
        let Some((line, next)) = header(input, self.at, ProtocolError::MultibulkLineTooLong)? else { return Ok(None) };
        let count = super::number::parse_i64(line).filter(|n| *n <= ARGS_MAX).ok_or(ProtocolError::MultibulkLength)?;
        if limits.guarded && count > limits.args {
            return Err(ProtocolError::GuardedMultibulkLength);
        }
        self.at = next;
        Ok(Some(count.max(0)))
    }

    /// `$N\r\n`
    #[inline]
    fn length(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        match input[self.at..] {
            [b'$', a @ b'0'..=b'9', b'\r', _, ..] => {
                self.at += 4;
                return Ok(Some((a - b'0') as usize));
            }
            [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
                self.at += 5;
                return Ok(Some((a - b'0') as usize * 10 + (b - b'0') as usize));
            }
            _ => {}
        }
        if let Some(&first) = input.get(self.at)
            && first != b'$'
            && header(input, self.at, ProtocolError::BulkLineTooLong)?.is_some()
        {
            return Err(ProtocolError::ExpectedDollar(first));
        }
        let Some((line, next)) = header(input, self.at, ProtocolError::BulkLineTooLong)? else { return Ok(None) };
        let len = super::number::parse_i64(line).filter(|n| *n >= 0).ok_or(ProtocolError::BulkLength)?;
        if limits.guarded {
            if len > limits.bulk {
                return Err(ProtocolError::GuardedBulkLength);
            }
        } else if len > limits.bulk {
            return Err(ProtocolError::BulkLength);
        }
        self.at = next;
        Ok(Some(len as usize))
    }

    #[cold]
    fn inline(&mut self, input: &[u8], spans: &mut Vec<Span>, text: &mut Vec<u8>) -> Result<Option<usize>, ProtocolError> {
        let rest = &input[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > LINE_MAX { Err(ProtocolError::InlineTooLong) } else { Ok(None) };
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        self.at += end + 1;
        let mut count = 0;
        let mut i = 0;
        while let Some(skip) = line[i..].iter().position(|b| !is_space(*b)) {
            i += skip;
            let from = text.len();
            i = unquote(line, i, text).ok_or(ProtocolError::UnbalancedQuotes)?;
            spans.push((from as u32, (text.len() - from) as u32));
            count += 1;
        }
        Ok(Some(count))
    }
}

/// The digits of a header line from `at` on (without its type byte), and where the next line begins.
fn header(input: &[u8], at: usize, too_long: ProtocolError) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &input[at..];
    match memchr::memchr(b'\r', rest) {
        Some(end) if end + 1 < rest.len() => Ok(Some((&rest[1.min(end)..end], at + end + 2))),
        Some(_) => Ok(None),
        None if rest.len() > LINE_MAX => Err(too_long),
        None => Ok(None),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0)
}

/// Copies the word at `i` to `out` without its quotes and escapes; tells where it ends. `None` if a quote is not closed, or
/// is closed in the middle of a word.
fn unquote(line: &[u8], mut i: usize, out: &mut Vec<u8>) -> Option<usize> {
    while i < line.len() && !is_space(line[i]) {
        match line[i] {
            b'"' => {
                i += 1;
                loop {
                    match *line.get(i)? {
                        b'"' => break,
                        b'\\'
                            if i + 3 < line.len()
                                && line[i + 1] == b'x'
                                && hex(line[i + 2]).is_some()
                                && hex(line[i + 3]).is_some() =>
                        {
                            out.push(hex(line[i + 2])? * 16 + hex(line[i + 3])?);
                            i += 4;
                        }
                        b'\\' if i + 1 < line.len() => {
                            out.push(match line[i + 1] {
                                b'n' => b'\n',
                                b'r' => b'\r',
                                b't' => b'\t',
                                b'b' => 0x08,
                                b'a' => 0x07,
                                other => other,
                            });
                            i += 2;
                        }
                        byte => {
                            out.push(byte);
                            i += 1;
                        }
                    }
                }
                i += 1;
                if i < line.len() && !is_space(line[i]) {
                    return None;
                }
            }
            b'\'' => {
                i += 1;
                loop {
                    match *line.get(i)? {
                        b'\'' => break,
                        b'\\' if line.get(i + 1) == Some(&b'\'') => {
                            out.push(b'\'');
                            i += 2;
                        }
                        byte => {
                            out.push(byte);
                            i += 1;
                        }
                    }
                }
                i += 1;
                if i < line.len() && !is_space(line[i]) {
                    return None;
                }
            }
            byte => {
                out.push(byte);
                i += 1;
            }
        }
    }
    Some(i)
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|d| d as u8)
}
