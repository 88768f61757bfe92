//! Ids of stream entries.

use std::fmt;

/// Milliseconds and a sequence number within them. Ids of a stream only ever rise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

impl StreamId {
    /// 0-0: before every entry; no entry has it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last id there can be.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id after this one, unless it is the last.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one, unless it is the first.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The text that clients see, without an allocation.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; IdText::LEN_MAX], len: 0 };
        let mut number = itoa::Buffer::new();
        text.push(number.format(self.ms).as_bytes());
        text.push(b"-");
        text.push(number.format(self.seq).as_bytes());
        text
    }

    /// The 16 bytes, big endian, under which a data file keeps the id.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The reverse of [`StreamId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

/// An id as text.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; IdText::LEN_MAX],
    len: usize,
}

impl IdText {
    /// Two numbers of 64 bits and the sign between them.
    const LEN_MAX: usize = 41;

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_and_bytes() {
        assert_eq!(StreamId::new(5, u64::MAX).next(), Some(StreamId::new(6, 0)));
        assert_eq!(StreamId::new(6, 0).previous(), Some(StreamId::new(5, u64::MAX)));
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
        let id = StreamId::new(0x0102, 3);
        assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.text().as_bytes(), b"258-3");
        assert_eq!(StreamId::MAX.text().as_bytes(), StreamId::MAX.to_string().as_bytes());
        assert_eq!((id.to_bytes()[7], id.to_string()), (2, "258-3".to_string()));
    }
}
