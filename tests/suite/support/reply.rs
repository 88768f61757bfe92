//! Replies of RESP2 and RESP3 as trees: decoded within bounds, encoded again, and shown in a compact notation.
//! The test suite has its own decoder, so that a mistake in the server's cannot hide itself.

use std::fmt;

/// One reply. Doubles and big numbers stay text, as their exact digits are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    Array(Vec<Reply>),
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    Boolean(bool),
    Double(Vec<u8>),
    BigNumber(Vec<u8>),
    BulkError(Vec<u8>),
    /// The three letters of the format, and the text.
    Verbatim([u8; 3], Vec<u8>),
    Map(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    /// Attributes and the reply they belong to.
    Attribute(Vec<(Reply, Reply)>, Box<Reply>),
}

/// How deep replies may nest.
const DEPTH_MAX: usize = 64;
/// Elements an aggregate may have.
const LENGTH_MAX: i64 = 1 << 26;
/// Bytes a string may have: the greatest proto-max-bulk-len tests use.
const BULK_MAX: i64 = 1 << 30;

impl Reply {
    /// Decodes one reply from the start of `bytes`: the reply and its length, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
        let mut decoder = Decoder { bytes, at: 0 };
        Ok(decoder.reply(0)?.map(|reply| (reply, decoder.at)))
    }

    /// The bytes of the reply on the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
            out.push(kind);
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        fn header(out: &mut Vec<u8>, kind: u8, length: usize) {
            line(out, kind, length.to_string().as_bytes());
        }
        fn string(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
            header(out, kind, text.len());
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        fn pairs(out: &mut Vec<u8>, kind: u8, pairs: &[(Reply, Reply)]) {
            header(out, kind, pairs.len());
            for (key, value) in pairs {
                key.encode(out);
                value.encode(out);
            }
        }
        fn list(out: &mut Vec<u8>, kind: u8, items: &[Reply]) {
            header(out, kind, items.len());
            items.iter().for_each(|item| item.encode(out));
        }
        match self {
            Reply::Simple(text) => line(out, b'+', text),
            Reply::Error(text) => line(out, b'-', text),
            Reply::Integer(number) => line(out, b':', number.to_string().as_bytes()),
            Reply::Bulk(text) => string(out, b'$', text),
            Reply::NullBulk => out.extend_from_slice(b"$-1\r\n"),
            Reply::Array(items) => list(out, b'*', items),
            Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Reply::Null => out.extend_from_slice(b"_\r\n"),
            Reply::Boolean(yes) => line(out, b'#', if *yes { b"t" } else { b"f" }),
            Reply::Double(text) => line(out, b',', text),
            Reply::BigNumber(text) => line(out, b'(', text),
            Reply::BulkError(text) => string(out, b'!', text),
            Reply::Verbatim(format, text) => string(out, b'=', &[&format[..], b":", text].concat()),
            Reply::Map(items) => pairs(out, b'%', items),
            Reply::Set(items) => list(out, b'~', items),
            Reply::Push(items) => list(out, b'>', items),
            Reply::Attribute(items, reply) => {
                pairs(out, b'|', items);
                reply.encode(out);
            }
        }
    }

    /// The type byte.
    pub fn kind(&self) -> u8 {
        match self {
            Reply::Simple(_) => b'+',
            Reply::Error(_) => b'-',
            Reply::Integer(_) => b':',
            Reply::Bulk(_) | Reply::NullBulk => b'$',
            Reply::Array(_) | Reply::NullArray => b'*',
            Reply::Null => b'_',
            Reply::Boolean(_) => b'#',
            Reply::Double(_) => b',',
            Reply::BigNumber(_) => b'(',
            Reply::BulkError(_) => b'!',
            Reply::Verbatim(..) => b'=',
            Reply::Map(_) => b'%',
            Reply::Set(_) => b'~',
            Reply::Push(_) => b'>',
            Reply::Attribute(..) => b'|',
        }
    }

    /// Elements of an array, set or push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a string, status, error, double or big number.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Reply::Simple(text) | Reply::Error(text) | Reply::Bulk(text) | Reply::Double(text) | Reply::BigNumber(text) => {
                Some(text)
            }
            Reply::BulkError(text) | Reply::Verbatim(_, text) => Some(text),
            _ => None,
        }
    }

    /// The text as far as it is UTF-8; empty for replies that have none.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(self.text().unwrap_or_default()).into_owned()
    }

    /// The number of an integer reply.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Reply::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// True for errors of both kinds.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_) | Reply::BulkError(_))
    }

    /// True for the three ways to say nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Reply::Null | Reply::NullBulk | Reply::NullArray)
    }
}

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, String> {
        if depth > DEPTH_MAX {
            return Err("nested too deep".into());
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let Some((&kind, text)) = line.split_first() else { return Err("an empty line".into()) };
        let text = text.to_vec();
        Ok(Some(match kind {
            b'+' => Reply::Simple(text),
            b'-' => Reply::Error(text),
            b':' => Reply::Integer(number(&text)?),
            b'_' if text.is_empty() => Reply::Null,
            b'#' if text == b"t" => Reply::Boolean(true),
            b'#' if text == b"f" => Reply::Boolean(false),
            b',' => Reply::Double(text),
            b'(' => Reply::BigNumber(text),
            b'$' | b'!' | b'=' => {
                let length = number(&text)?;
                if length == -1 && kind == b'$' {
                    return Ok(Some(Reply::NullBulk));
                }
                let Some(text) = self.string(length)? else { return Ok(None) };
                match kind {
                    b'$' => Reply::Bulk(text),
                    b'!' => Reply::BulkError(text),
                    _ => match text.split_at_checked(4) {
                        Some((&[a, b, c, b':'], text)) => Reply::Verbatim([a, b, c], text.to_vec()),
                        _ => return Err("a verbatim string without its format".into()),
                    },
                }
            }
            b'*' | b'~' | b'>' => {
                let length = number(&text)?;
                if length == -1 && kind == b'*' {
                    return Ok(Some(Reply::NullArray));
                }
                let Some(items) = self.items(length, depth)? else { return Ok(None) };
                match kind {
                    b'*' => Reply::Array(items),
                    b'~' => Reply::Set(items),
                    _ => Reply::Push(items),
                }
            }
            b'%' | b'|' => {
                let length = number(&text)?;
                let Some(items) = self.items(length.saturating_mul(2), depth)? else { return Ok(None) };
                let mut pairs = Vec::with_capacity(items.len() / 2);
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                if kind == b'%' {
                    Reply::Map(pairs)
                } else {
                    let Some(reply) = self.reply(depth + 1)? else { return Ok(None) };
                    Reply::Attribute(pairs, Box::new(reply))
                }
            }
            _ => return Err(format!("a line that starts with {:?}", char::from(kind))),
        }))
    }

    fn items(&mut self, length: i64, depth: usize) -> Result<Option<Vec<Reply>>, String> {
        if !(0..=LENGTH_MAX).contains(&length) {
            return Err(format!("{length} elements"));
        }
        // The length is not believed before the bytes are here: each element takes three of them at least.
        let mut items = Vec::with_capacity((length as usize).min((self.bytes.len() - self.at) / 3));
        for _ in 0..length {
            match self.reply(depth + 1)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(items))
    }

    fn string(&mut self, length: i64) -> Result<Option<Vec<u8>>, String> {
        if !(0..=BULK_MAX).contains(&length) {
            return Err(format!("a string of {length} bytes"));
        }
        let end = self.at + length as usize;
        match self.bytes.get(end..end + 2) {
            None => Ok(None),
            Some(b"\r\n") => {
                let text = self.bytes[self.at..end].to_vec();
                self.at = end + 2;
                Ok(Some(text))
            }
            Some(_) => Err("a string that does not end in CRLF".into()),
        }
    }

    fn line(&mut self) -> Result<Option<&[u8]>, String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return if rest.len() > 1 << 20 { Err("a line without end".into()) } else { Ok(None) };
        };
        self.at += end + 2;
        Ok(Some(&rest[..end]))
    }
}

fn number(text: &[u8]) -> Result<i64, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{:?} is no number", String::from_utf8_lossy(text)))
}

/// `text` between quotes, with redis-cli's escapes.
pub fn quoted(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for &byte in text {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, open: &str, items: &[Reply]) -> fmt::Result {
            f.write_str(open)?;
            for (i, item) in items.iter().enumerate() {
                write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("]")
        }
        fn pairs(f: &mut fmt::Formatter<'_>, open: &str, items: &[(Reply, Reply)]) -> fmt::Result {
            f.write_str(open)?;
            for (i, (key, value)) in items.iter().enumerate() {
                write!(f, "{}{key}: {value}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("}")
        }
        match self {
            Reply::Simple(text) => f.write_str(&String::from_utf8_lossy(text)),
            Reply::Error(text) => write!(f, "(error) {}", String::from_utf8_lossy(text)),
            Reply::Integer(number) => write!(f, "(integer) {number}"),
            Reply::Bulk(text) => f.write_str(&quoted(text)),
            Reply::NullBulk => f.write_str("(nil)"),
            Reply::NullArray => f.write_str("(nil array)"),
            Reply::Null => f.write_str("(null)"),
            Reply::Boolean(yes) => write!(f, "({yes})"),
            Reply::Double(text) => write!(f, "(double) {}", String::from_utf8_lossy(text)),
            Reply::BigNumber(text) => write!(f, "(big number) {}", String::from_utf8_lossy(text)),
            Reply::BulkError(text) => write!(f, "(bulk error) {}", quoted(text)),
            Reply::Verbatim(format, text) => write!(f, "{}:{}", String::from_utf8_lossy(format), quoted(text)),
            Reply::Array(items) => list(f, "[", items),
            Reply::Set(items) => list(f, "~[", items),
            Reply::Push(items) => list(f, ">[", items),
            Reply::Map(items) => pairs(f, "{", items),
            Reply::Attribute(items, reply) => {
                pairs(f, "|{", items)?;
                write!(f, " {reply}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_the_wire() {
        let wire: &[u8] = b"*13\r\n+OK\r\n-ERR x\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n#t\r\n,1.5e3\r\n(123\r\n\
            !5\r\nERR x\r\n=5\r\ntxt:x\r\n%1\r\n+k\r\n~2\r\n:1\r\n>1\r\n|1\r\n+a\r\n+b\r\n:2\r\n";
        let (reply, length) = Reply::decode(wire).unwrap().unwrap();
        assert_eq!(length, wire.len());
        let mut again = Vec::new();
        reply.encode(&mut again);
        assert_eq!(again, wire);
        for end in 0..wire.len() {
            assert_eq!(Reply::decode(&wire[..end]), Ok(None), "{end} bytes are not enough");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        for wire in [&b"*99999999999\r\n"[..], b"$-2\r\n", b"$99999999999\r\n", b"%9223372036854775807\r\n", b"?\r\n", b"\r\n"] {
            assert!(Reply::decode(wire).is_err(), "{}", String::from_utf8_lossy(wire));
        }
        assert!(Reply::decode(&b"*1\r\n".repeat(1000)).is_err());
    }
}
