//! Reading the elements of the format: numbers, lengths, strings. Where the bytes come from is a `Source`.

use super::format::string;
use crate::ds::algo::crc64::Crc64;
use crate::ds::algo::lzf;
use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::TEXT_LEN_MAX;
use std::borrow::Cow;
use std::io::Read;

/// Why input was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Bytes of input before the place where the fault was noticed.
    pub offset: u64,
    /// What is wrong there.
    pub reason: Cow<'static, str>,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at offset {}", self.reason, self.offset)
    }
}

impl std::error::Error for LoadError {}

/// The result of reading.
pub type Result<T> = std::result::Result<T, LoadError>;

/// Bytes that are read once, from front to back.
pub trait Source {
    /// Lends the next `n` bytes and goes past them.
    ///
    /// # Errors
    /// There are not so many, or they cannot be read.
    fn take(&mut self, n: usize) -> Result<&[u8]>;
    /// Bytes taken so far.
    fn offset(&self) -> u64;
    /// Bytes that may follow at most.
    fn remaining(&self) -> u64;
}

fn cut_off(offset: u64) -> LoadError {
    LoadError { offset, reason: Cow::Borrowed("unexpected end of the data") }
}

/// Bytes in memory.
pub struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Slice { bytes, at: 0 }
    }
}

impl Source for Slice<'_> {
    #[inline]
    fn take(&mut self, n: usize) -> Result<&[u8]> {
        let part = self.bytes[self.at..].get(..n).ok_or(cut_off(self.at as u64))?;
        self.at += n;
        Ok(part)
    }

    fn offset(&self) -> u64 {
        self.at as u64
    }

    fn remaining(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }
}

/// Bytes of a file or another reader, with a checksum over all that was taken.
pub struct Buffered<R> {
    reader: R,
    /// Bytes that the reader holds in all.
    len: u64,
    buffer: Vec<u8>,
    /// What is in the buffer and not yet taken.
    start: usize,
    end: usize,
    /// Offset of the buffer's first byte.
    base: u64,
    crc: Option<Crc64>,
    /// Up to here the buffer is in the checksum.
    summed: usize,
}

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

impl<R: Read> Buffered<R> {
    /// Reads `len` bytes from a reader (`u64::MAX`: it is not known how many there are), with a checksum if wanted.
    pub fn new(reader: R, len: u64, checksum: bool) -> Self {
        let crc = checksum.then(Crc64::new);
        Buffered { reader, len, buffer: Vec::new(), start: 0, end: 0, base: 0, crc, summed: 0 }
    }

    /// The checksum of everything taken; none if it was not wanted.
    pub fn checksum(&mut self) -> Option<u64> {
        self.sum();
        self.crc.as_ref().map(Crc64::value)
    }

    fn sum(&mut self) {
        if let Some(crc) = &mut self.crc {
            crc.update(&self.buffer[self.summed..self.start]);
        }
        self.summed = self.start;
    }

    /// Makes the buffer hold `n` bytes that are not yet taken.
    #[cold]
    fn fill(&mut self, n: usize) -> Result<()> {
        if n as u64 > self.remaining() {
            return Err(cut_off(self.offset()));
        }
        self.sum();
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        (self.start, self.summed) = (0, 0);
        if self.buffer.len() > CHUNK && n <= CHUNK && self.end <= CHUNK {
            // A large string made it grow.
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to_fit();
        }
        while self.end < n {
            if self.end == self.buffer.len() {
                // Grows with what really arrives, not with what was announced.
                let wanted = (2 * self.end).clamp(CHUNK, n.max(CHUNK));
                self.buffer.resize(wanted, 0);
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(cut_off(self.base + self.end as u64)),
                Ok(more) => self.end += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let reason = Cow::Owned(format!("read error ({error})"));
                    return Err(LoadError { offset: self.base + self.end as u64, reason });
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Source for Buffered<R> {
    #[inline]
    fn take(&mut self, n: usize) -> Result<&[u8]> {
        if self.end - self.start < n {
            self.fill(n)?;
        }
        let from = self.start;
        self.start += n;
        Ok(&self.buffer[from..self.start])
    }

    fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.offset())
    }
}

/// A length, or the mark of a string that is no plain text.
enum Length {
    Plain(u64),
    Encoded(u8),
}

/// A buffer that was filled beyond this is not filled again.
const PLAIN_KEPT_MAX: usize = 1 << 20;

/// Reads elements of the format.
pub struct Reader<S> {
    pub source: S,
    /// The last string that was compressed.
    plain: Vec<u8>,
}

#[expect(clippy::len_without_is_empty, reason = "it reads a length, it has none")]
impl<S: Source> Reader<S> {
    /// A reader of a source's bytes.
    pub fn new(source: S) -> Self {
        Reader { source, plain: Vec::new() }
    }

    /// An error here.
    pub fn fault(&self, reason: impl Into<Cow<'static, str>>) -> LoadError {
        LoadError { offset: self.source.offset(), reason: reason.into() }
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8> {
        self.source.take(1).map(|bytes| bytes[0])
    }

    /// `N` bytes.
    #[inline]
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.source.take(N)?);
        Ok(bytes)
    }

    /// A length.
    #[inline]
    pub fn len(&mut self) -> Result<u64> {
        match self.length()? {
            Length::Plain(len) => Ok(len),
            Length::Encoded(_) => Err(self.fault("a string's encoding in place of a length")),
        }
    }

    /// A number of things that take at least `bytes_each` bytes each.
    pub fn count(&mut self, bytes_each: u64) -> Result<usize> {
        let count = self.len()?;
        if count > self.source.remaining() / bytes_each.max(1) {
            return Err(self.fault("more elements announced than there is data for"));
        }
        usize::try_from(count).map_err(|_| self.fault("too many elements"))
    }

    /// A string, as it is stored.
    #[inline]
    pub fn string(&mut self) -> Result<Element<'_>> {
        let len = match self.length()? {
            Length::Plain(len) => len,
            Length::Encoded(string::INT8) => return Ok(Element::Int(i8::from_le_bytes(self.bytes()?).into())),
            Length::Encoded(string::INT16) => return Ok(Element::Int(i16::from_le_bytes(self.bytes()?).into())),
            Length::Encoded(string::INT32) => return Ok(Element::Int(i32::from_le_bytes(self.bytes()?).into())),
            Length::Encoded(string::LZF) => return self.compressed(),
            Length::Encoded(_) => return Err(self.fault("unknown encoding of a string")),
        };
        let len = self.checked(len)?;
        self.source.take(len).map(Element::Str)
    }

    /// A string's bytes behind those of `out`.
    pub fn text(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        self.string()?.write_to(out);
        Ok(())
    }

    fn compressed(&mut self) -> Result<Element<'_>> {
        let packed_len = self.len()?;
        let len = self.len()?;
        let packed_len = self.checked(packed_len)?;
        if len > TEXT_LEN_MAX as u64 {
            return Err(self.fault("string too long"));
        }
        let offset = self.source.offset();
        if self.plain.capacity() > PLAIN_KEPT_MAX {
            self.plain = Vec::new();
        }
        let packed = self.source.take(packed_len)?;
        if lzf::decompress(packed, len as usize, &mut self.plain).is_err() {
            return Err(LoadError { offset, reason: Cow::Borrowed("broken compressed string") });
        }
        Ok(Element::Str(&self.plain))
    }

    /// The length of a string that follows.
    #[inline]
    fn checked(&mut self, len: u64) -> Result<usize> {
        if len > self.source.remaining() {
            return Err(self.fault("a string longer than the rest of the data"));
        }
        if len > TEXT_LEN_MAX as u64 {
            return Err(self.fault("string too long"));
        }
        Ok(len as usize)
    }

    #[inline]
    fn length(&mut self) -> Result<Length> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(first)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(u32::from_be_bytes(self.bytes()?).into()),
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(self.bytes()?)),
            2 => return Err(self.fault("unknown form of a length")),
            _ => Length::Encoded(first & 0x3f),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_any_size_give_the_same_bytes() {
        let bytes: Vec<u8> = (0..700_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut source = Buffered::new(&bytes[..], bytes.len() as u64, true);
        let mut at = 0;
        for n in [1, 9, 300_000, 0, 5, 262_144, 100_000] {
            assert_eq!(source.take(n).unwrap(), &bytes[at..at + n]);
            at += n;
            assert_eq!(source.offset(), at as u64);
            assert_eq!(source.checksum(), Some(crate::ds::algo::crc64::checksum(&bytes[..at])));
        }
        assert!(source.take(bytes.len() - at + 1).is_err());
        assert_eq!(source.take(bytes.len() - at).unwrap(), &bytes[at..]);
        // Without a length: what is announced is not believed.
        let mut endless = Buffered::new(&bytes[..10], u64::MAX, false);
        assert_eq!(endless.take(1 << 40).unwrap_err().offset, 10);
    }

    #[test]
    fn lengths_and_strings() {
        let read = |bytes: &[u8]| Reader::new(Slice::new(bytes)).string().map(|e| e.to_vec()).map_err(|e| e.offset);
        assert_eq!(read(b"\x03abc"), Ok(b"abc".to_vec()));
        assert_eq!(read(b"\xc0\xff"), Ok(b"-1".to_vec()));
        assert_eq!(read(b"\xc1\x00\x80"), Ok(b"-32768".to_vec()));
        assert_eq!(read(b"\xc2\x00\x00\x01\x00"), Ok(b"65536".to_vec()));
        assert_eq!(read(b"\xc3\x04\x0a\x00a\xe0\x00"), Err(3), "eleven bytes, not ten");
        assert_eq!(read(b"\x40\x02ab"), Ok(b"ab".to_vec()));
        assert_eq!(read(b"\x80\x00\x00\x00\x01z"), Ok(b"z".to_vec()));
        assert_eq!(read(b"\x81\xff\xff\xff\xff\xff\xff\xff\xffz"), Err(9));
        assert_eq!(read(b"\xc4"), Err(1));
        assert_eq!(read(b"\x82"), Err(1));
        assert_eq!(read(b""), Err(0));
        let count = |bytes: &[u8], each| Reader::new(Slice::new(bytes)).count(each).ok();
        assert_eq!((count(b"\x03abc", 1), count(b"\x03abc", 2)), (Some(3), None));
    }
}
