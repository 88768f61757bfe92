//! Replies of other servers, read off the wire. What is on the other side may be anything: lengths are bounded before anything is
//! allocated, and nesting is.

use crate::resp::number;

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Reply>),
}

/// Bytes that a reply may have. The longest is the INFO of a primary with thousands of replicas.
pub const REPLY_BYTES_MAX: usize = 4 << 20;

/// Bytes of a line: of a status, an error or a length.
const LINE_BYTES_MAX: usize = 64 << 10;
/// How deep arrays may stand in arrays, and how many items each may have. What a sentinel asks for is answered with less; and as a
/// reply is read anew whenever more of it has come, one of many parts would cost.
const DEPTH_MAX: usize = 2;
const ITEMS_MAX: usize = 64;

/// What came is no reply, or too large a one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// The reply at the head of `bytes` and its length, if it is there as a whole.
///
/// # Errors
/// What is there is no reply.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.reply(0)? {
        Some(reply) => Ok(Some((reply, reader.at))),
        None if bytes.len() > REPLY_BYTES_MAX => Err(Malformed),
        None => Ok(None),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        let Some((kind, text)) = line.split_first() else { return Err(Malformed) };
        let number = || number::parse_i64(text).ok_or(Malformed);
        let length = || match number()? {
            -1 => Ok(None),
            n => usize::try_from(n).ok().filter(|n| *n <= REPLY_BYTES_MAX).map(Some).ok_or(Malformed),
        };
        Ok(Some(match kind {
            b'+' => Reply::Status(text.to_vec()),
            b'-' => Reply::Error(text.to_vec()),
            b':' => Reply::Integer(number()?),
            b'$' => match length()? {
                None => Reply::Null,
                Some(length) => {
                    let rest = &self.bytes[self.at..];
                    let Some(body) = rest.get(..length) else { return Ok(None) };
                    match rest.get(length..length + 2) {
                        Some(b"\r\n") => self.at += length + 2,
                        Some(_) => return Err(Malformed),
                        None => return Ok(None),
                    }
                    Reply::Bulk(body.to_vec())
                }
            },
            b'*' if depth == DEPTH_MAX => return Err(Malformed),
            b'*' => match length()? {
                None => Reply::Null,
                Some(length) if length > ITEMS_MAX => return Err(Malformed),
                Some(length) => {
                    // Grows with what has really come: the number alone is only a claim.
                    let mut items = Vec::new();
                    for _ in 0..length {
                        match self.reply(depth + 1)? {
                            Some(item) => items.push(item),
                            None => return Ok(None),
                        }
                    }
                    Reply::Array(items)
                }
            },
            _ => return Err(Malformed),
        }))
    }

    /// The next line without its end.
    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let head = &rest[..rest.len().min(LINE_BYTES_MAX)];
        match memchr::memmem::find(head, b"\r\n") {
            Some(end) => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            None if rest.len() >= LINE_BYTES_MAX => Err(Malformed),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    #[test]
    fn replies_are_read_when_they_are_whole() {
        let wire = b"*3\r\n:1\r\n$3\r\na\r\n\r\n*2\r\n$-1\r\n-ERR x\r\n+PONG\r\n";
        let first = Reply::Array(vec![
            Reply::Integer(1),
            bulk("a\r\n"),
            Reply::Array(vec![Reply::Null, Reply::Error(b"ERR x".to_vec())]),
        ]);
        let length = wire.len() - b"+PONG\r\n".len();
        assert_eq!(read(wire), Ok(Some((first, length))));
        assert_eq!(read(&wire[length..]), Ok(Some((Reply::Status(b"PONG".to_vec()), 7))));
        for end in 0..length {
            assert_eq!(read(&wire[..end]), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let deep = b"*1\r\n".repeat(DEPTH_MAX + 1);
        let bad: [&[u8]; 9] = [
            b"\r\n",
            b"hello\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$99999999999\r\n",
            b"*99999999\r\n",
            b"*65\r\n",
            b"$1\r\nabc",
            &deep,
        ];
        for bytes in bad {
            assert_eq!(read(bytes), Err(Malformed), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(read(&vec![b'+'; LINE_BYTES_MAX - 1]), Ok(None));
        assert_eq!(read(&vec![b'+'; LINE_BYTES_MAX]), Err(Malformed));
        let endless = [b"$4194304\r\n", vec![b'a'; REPLY_BYTES_MAX].as_slice()].concat();
        assert_eq!(read(&endless), Err(Malformed));
    }
}
