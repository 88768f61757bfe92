//! Requests as they come off the socket, found without copying and without allocating.
//!
//! The decoder reads one input buffer and appends the place of every argument to a list that all requests of the buffer
//! share. It remembers where it stopped (arguments still to come, length of the bulk it waits for, how far a line was
//! searched), so bytes that were read once are never looked at again, however small the pieces they arrive in. The beginning
//! of a request may be moved to the front of a buffer meanwhile: see [`Decoder::shift`].
//!
//! Announced counts and lengths cost nothing: the list grows by arguments that are there, and room for input is the caller's
//! affair, who is told by [`Step::NeedMore`] how much a request can use (CVE-2021-32675 was memory reserved on announcement).
//!
//! What is accepted follows Redis to the byte where clients and test suites look: the byte after a carriage return and the two
//! after a bulk are not checked, a zero byte hides the rest of a line, and requests of no arguments vanish.

use super::number;
use super::request::Span;
use std::fmt;

/// Length of a line above which it is refused if it has no end yet, in bytes.
pub const INLINE_MAX: usize = 64 * 1024;
/// Arguments that one request may have. Their bytes count against the query buffer's limit, which is met long before.
pub const ARGS_MAX: usize = i32::MAX as usize;
/// Arguments that one request may have before the client has authenticated.
pub const ARGS_MAX_UNAUTHENTICATED: usize = 10;
/// Length of an argument before the client has authenticated, in bytes.
pub const BULK_MAX_UNAUTHENTICATED: usize = 16 * 1024;
/// The default of `proto-max-bulk-len`, in bytes.
pub const BULK_MAX_DEFAULT: usize = 512 * 1024 * 1024;

/// Positions are kept in 32 bits, so nothing beyond this is looked at, and a request that cannot fit is refused.
const INPUT_MAX: usize = u32::MAX as usize;

/// Bytes of requests that may wait, by default.
pub const QUERY_MAX_DEFAULT: usize = 1 << 30;
/// Bytes of requests of a client that has yet to authenticate.
pub const QUERY_MAX_UNAUTHENTICATED: usize = 1 << 20;

/// How much one client may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Arguments of one request.
    pub max_args: usize,
    /// Bytes of one argument.
    pub max_bulk: usize,
    /// Bytes of a line whose end has not arrived.
    pub max_inline: usize,
    /// Bytes that may wait to be executed; the connection closes a client beyond it. (The decoder does not look at it.)
    pub max_query: usize,
    /// Decides which error tells of the two limits above.
    pub authenticated: bool,
}

impl Limits {
    /// For clients that may run commands; `max_bulk` is `proto-max-bulk-len`.
    pub const fn authenticated(max_bulk: usize) -> Self {
        Limits { max_args: ARGS_MAX, max_bulk, max_inline: INLINE_MAX, max_query: QUERY_MAX_DEFAULT, authenticated: true }
    }

    /// For clients that have yet to authenticate.
    pub const fn unauthenticated() -> Self {
        Limits {
            max_args: ARGS_MAX_UNAUTHENTICATED,
            max_bulk: BULK_MAX_UNAUTHENTICATED,
            max_inline: INLINE_MAX,
            max_query: QUERY_MAX_UNAUTHENTICATED,
            authenticated: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::authenticated(BULK_MAX_DEFAULT)
    }
}

/// What a look at the input came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A whole request: `spans[first..first + count]`. There is at least one argument.
    Request { first: usize, count: usize },
    /// The input ends inside a request, or before one.
    NeedMore {
        /// Length of the input that would bring the decoder on: the end of the bulk it waits for, or one byte more. It is
        /// what the client announced, so room for it is better made as the bytes arrive.
        total: usize,
    },
    /// The input is no request. The decoder says the same from here on: the reply is the error, then the
    /// connection is closed.
    Error(ProtocolError),
}

/// Why bytes are no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    InvalidMultibulkLength,
    UnauthenticatedMultibulkLength,
    TooBigCountString,
    InvalidBulkLength,
    UnauthenticatedBulkLength,
    TooBigBulkCountString,
    /// The byte that stands where a bulk should begin.
    ExpectedDollar(u8),
    TooBigInlineRequest,
    UnbalancedQuotes,
}

impl ProtocolError {
    /// The error's text for the wire, with its code and without sign and line end.
    pub fn text(self) -> Vec<u8> {
        let what: &[u8] = match self {
            ProtocolError::InvalidMultibulkLength => b"invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => b"unauthenticated multibulk length",
            ProtocolError::TooBigCountString => b"too big mbulk count string",
            ProtocolError::InvalidBulkLength => b"invalid bulk length",
            ProtocolError::UnauthenticatedBulkLength => b"unauthenticated bulk length",
            ProtocolError::TooBigBulkCountString => b"too big bulk count string",
            ProtocolError::ExpectedDollar(_) => b"expected '$', got '",
            ProtocolError::TooBigInlineRequest => b"too big inline request",
            ProtocolError::UnbalancedQuotes => b"unbalanced quotes in request",
        };
        let mut text = [b"ERR Protocol error: ", what].concat();
        if let ProtocolError::ExpectedDollar(byte) = self {
            // A line break would end the error's line early.
            text.push(if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
            text.push(b'\'');
        }
        text
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::error::Error for ProtocolError {}

/// Finds requests in one input buffer. The default decoder stands at the buffer's front.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// Where the unfinished request begins; everything before belongs to requests that were handed out.
    start: usize,
    /// The next byte to read: a header, or the bulk whose length is `bulk`.
    at: usize,
    /// No line ends between `at` and here.
    searched: usize,
    /// Arguments of the unfinished request that have not arrived; none if even their number has not.
    remaining: usize,
    /// Length of the bulk at `at`, once its header was read.
    bulk: Option<usize>,
    /// The unfinished request's first entry in the list of spans.
    first: usize,
    /// The input was found to be no request. Kept, because quotes may have been taken off a line before they proved wrong.
    failed: Option<ProtocolError>,
}

impl Decoder {
    /// Looks for the next request in `input`, which holds what has been read so far: the bytes seen before and any that came
    /// since. Spans of arguments are appended to `spans`, those of an unfinished request included; the caller leaves
    /// them there. Quoted arguments of inline requests are unquoted in place, for text only ever gets shorter by it.
    #[inline]
    pub fn next(&mut self, input: &mut [u8], spans: &mut Vec<Span>, limits: &Limits) -> Step {
        if let Some(error) = self.failed {
            return Step::Error(error);
        }
        let filled = input.len().min(INPUT_MAX);
        let input = &mut input[..filled];
        let found = if self.remaining > 0 { self.bulks(input, spans, limits) } else { self.request(input, spans, limits) };
        match found {
            Ok(()) => {
                let first = std::mem::replace(&mut self.first, spans.len());
                self.start = self.at;
                Step::Request { first, count: spans.len().saturating_sub(first) }
            }
            Err(Stop::Need(total)) => Step::NeedMore { total },
            Err(Stop::Bad(error)) => {
                self.failed = Some(error);
                Step::Error(error)
            }
        }
    }

    /// Where the unfinished request begins; the input before belongs to requests that were handed out, or to none.
    #[inline]
    pub fn start(&self) -> usize {
        self.start
    }

    /// The input before this was understood: it is a part of requests, or of the unfinished one.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Tells the decoder that the input from [`start`](Self::start) on was moved to the front of a buffer. Of `spans` only
    /// those of the unfinished request are left, at the front, so they may be handed on with that buffer.
    pub fn shift(&mut self, spans: &mut Vec<Span>) {
        spans.drain(..self.first.min(spans.len()));
        for span in spans {
            span.0 = span.0.saturating_sub(self.start as u32);
        }
        self.at -= self.start;
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.first = 0;
    }

    /// A request from its first byte on; those without arguments are passed over.
    fn request(&mut self, input: &mut [u8], spans: &mut Vec<Span>, limits: &Limits) -> Result<(), Stop> {
        loop {
            self.start = self.at;
            self.first = spans.len();
            match input.get(self.at) {
                None => return Err(Stop::Need(self.at + 1)),
                Some(b'*') => {
                    self.remaining = self.count(input, limits)?;
                    if self.remaining > 0 {
                        return self.bulks(input, spans, limits);
                    }
                }
                Some(_) => {
                    self.inline(input, spans, limits)?;
                    if spans.len() > self.first {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The header of a request: the number of its arguments.
    #[inline]
    fn count(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Stop> {
        let (count, len) = match short_header(&input[self.at..]) {
            Some(header) => header,
            None => {
                let end = self.header_end(input, limits, ProtocolError::TooBigCountString)?;
                let count = number::parse_i64(&input[self.at + 1..end]).filter(|n| *n <= i64::from(i32::MAX));
                let count = count.ok_or(Stop::Bad(ProtocolError::InvalidMultibulkLength))?;
                (usize::try_from(count).unwrap_or(0), end + 2 - self.at)
            }
        };
        if count > limits.max_args {
            return Err(Stop::Bad(if limits.authenticated {
                ProtocolError::InvalidMultibulkLength
            } else {
                ProtocolError::UnauthenticatedMultibulkLength
            }));
        }
        self.at += len;
        Ok(count)
    }

    /// Arguments, until the request is whole.
    #[inline]
    fn bulks(&mut self, input: &[u8], spans: &mut Vec<Span>, limits: &Limits) -> Result<(), Stop> {
        while self.remaining > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => self.bulk_length(input, limits)?,
            };
            let end = self.at + len + 2;
            if end > input.len() {
                self.bulk = Some(len);
                return Err(Stop::Need(end));
            }
            spans.push((self.at as u32, len as u32));
            self.at = end;
            self.bulk = None;
            self.remaining -= 1;
        }
        Ok(())
    }

    /// The header of an argument: its length.
    #[inline]
    fn bulk_length(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Stop> {
        let header = match input.get(self.at) {
            Some(b'$') => short_header(&input[self.at..]),
            Some(_) => None,
            None => return Err(Stop::Need(self.at + 1)),
        };
        let (len, header) = match header {
            Some(header) => header,
            None => {
                let end = self.header_end(input, limits, ProtocolError::TooBigBulkCountString)?;
                if input[self.at] != b'$' {
                    return Err(Stop::Bad(ProtocolError::ExpectedDollar(input[self.at])));
                }
                let len = number::parse_i64(&input[self.at + 1..end]).and_then(|n| usize::try_from(n).ok());
                (len.ok_or(Stop::Bad(ProtocolError::InvalidBulkLength))?, end + 2 - self.at)
            }
        };
        let at = self.at + header;
        if len > limits.max_bulk || len > INPUT_MAX - 2 - (at - self.start).min(INPUT_MAX - 2) {
            return Err(Stop::Bad(if limits.authenticated || len > BULK_MAX_DEFAULT {
                ProtocolError::InvalidBulkLength
            } else {
                ProtocolError::UnauthenticatedBulkLength
            }));
        }
        self.at = at;
        Ok(len)
    }

    /// The carriage return that ends the header at `at`; it has a byte after it.
    #[cold]
    fn header_end(&mut self, input: &[u8], limits: &Limits, too_big: ProtocolError) -> Result<usize, Stop> {
        match self.line_end(input, b'\r') {
            Some(end) if end + 1 < input.len() => Ok(end),
            Some(end) => {
                self.searched = end;
                Err(Stop::Need(end + 2))
            }
            None if input.len() - self.at > limits.max_inline => Err(Stop::Bad(too_big)),
            None => Err(Stop::Need(input.len() + 1)),
        }
    }

    /// A line of words instead of counted arguments.
    #[cold]
    fn inline(&mut self, input: &mut [u8], spans: &mut Vec<Span>, limits: &Limits) -> Result<(), Stop> {
        let Some(end) = self.line_end(input, b'\n') else {
            return Err(if input.len() - self.at > limits.max_inline {
                Stop::Bad(ProtocolError::TooBigInlineRequest)
            } else {
                Stop::Need(input.len() + 1)
            });
        };
        let length = end - self.at - usize::from(end > self.at && input[end - 1] == b'\r');
        if !split_words(&mut input[self.at..self.at + length], self.at, spans) {
            spans.truncate(self.first);
            return Err(Stop::Bad(ProtocolError::UnbalancedQuotes));
        }
        self.at = end + 1;
        Ok(())
    }

    /// The first `stop` from `at` on, unless a zero byte comes before it. Every byte is searched once.
    fn line_end(&mut self, input: &[u8], stop: u8) -> Option<usize> {
        let from = self.searched.clamp(self.at, input.len());
        let found = memchr::memchr2(stop, 0, &input[from..]).map_or(input.len(), |n| from + n);
        self.searched = found;
        (input.get(found) == Some(&stop)).then_some(found)
    }
}

/// Why the decoder cannot go on.
enum Stop {
    Need(usize),
    Bad(ProtocolError),
}

/// The number and the length of a header as nearly all are: a type byte, at most nine digits, the line's end. `None` says
/// nothing about other bytes than that they need a closer look.
#[inline(always)]
fn short_header(bytes: &[u8]) -> Option<(usize, usize)> {
    let digit = bytes.get(1)?.wrapping_sub(b'0');
    if digit > 9 {
        return None;
    }
    let mut value = usize::from(digit);
    let mut at = 2;
    loop {
        let byte = *bytes.get(at)?;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (byte == b'\r' && at + 1 < bytes.len()).then_some((value, at + 2));
        }
        // No leading zeros, and no more digits than surely fit.
        if value == 0 || at == 10 {
            return None;
        }
        value = value * 10 + usize::from(digit);
        at += 1;
    }
}

/// Splits a line into words as a shell would, unquoting them where they stand: double quotes know `\n \r \t \a \b \xHH`, single
/// quotes only `\'`, and nothing but space may follow a closing quote. False if quotes do not match.
fn split_words(line: &mut [u8], base: usize, spans: &mut Vec<Span>) -> bool {
    // Words are written from `to` on, which never overtakes `from`.
    let (mut from, mut to) = (0, 0);
    loop {
        while line.get(from).is_some_and(|byte| is_space(*byte)) {
            from += 1;
        }
        if from == line.len() {
            return true;
        }
        let start = to;
        let mut quote = None;
        loop {
            let Some(&byte) = line.get(from) else {
                if quote.is_some() {
                    return false;
                }
                break;
            };
            from += 1;
            let (plain, taken) = match (quote, byte) {
                (None, b' ' | b'\n' | b'\r' | b'\t') => break,
                (None, b'"' | b'\'') => {
                    quote = Some(byte);
                    continue;
                }
                (Some(open), _) if open == byte => {
                    if line.get(from).is_some_and(|next| !is_space(*next)) {
                        return false;
                    }
                    break;
                }
                (Some(b'"'), b'\\') => escape(&line[from..]),
                (Some(_), b'\\') if line.get(from) == Some(&b'\'') => (b'\'', 1),
                _ => (byte, 0),
            };
            from += taken;
            line[to] = plain;
            to += 1;
        }
        spans.push(((base + start) as u32, (to - start) as u32));
    }
}

/// What follows a backslash in double quotes: the byte meant, and how many bytes said so.
fn escape(rest: &[u8]) -> (u8, usize) {
    if let [b'x', high, low, ..] = rest
        && let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16))
    {
        return ((high * 16 + low) as u8, 3);
    }
    match rest.first() {
        None => (b'\\', 0),
        Some(b'n') => (b'\n', 1),
        Some(b'r') => (b'\r', 1),
        Some(b't') => (b'\t', 1),
        Some(b'a') => (7, 1),
        Some(b'b') => (8, 1),
        Some(&byte) => (byte, 1),
    }
}

/// White space as C has it: vertical tab and form feed belong to it, but do not end a word.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests;
