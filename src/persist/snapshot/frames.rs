//! Encoded entries on their way from the engine to the writer, with the work that is left to the writer: compressing.

use crate::persist::rdb::encode::{Encoder, Out};
use crate::raw::shared::SharedBytes;

/// Bytes of an RDB file in which some strings are still to be put, compressed if that is shorter.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// In the order of their places.
    strings: Vec<(usize, Text)>,
    /// Keys, for the debugging delay and for progress.
    pub keys: u32,
    /// Bytes of strings that are referred to.
    shared_bytes: usize,
}

enum Text {
    /// So many of the bytes at its place.
    Here(usize),
    Shared(SharedBytes),
}

/// Strings from this size on are referred to and not copied.
const SHARED_MIN: usize = 16 << 10;

impl Frames {
    /// Bytes that these frames hold in memory beside the keyspace; strings that are referred to count in full, as a
    /// writer to one of them copies it.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.shared_bytes
    }

    /// Empties them, keeping the memory unless it is much.
    pub fn clear(&mut self) {
        const KEPT_MAX: usize = 256 << 10;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        self.strings.clear();
        self.keys = 0;
        self.shared_bytes = 0;
    }

    /// Adds others at the end.
    pub fn append(&mut self, other: &mut Frames) {
        let by = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.strings.extend(other.strings.drain(..).map(|(at, text)| (at + by, text)));
        self.keys += std::mem::take(&mut other.keys);
        self.shared_bytes += std::mem::take(&mut other.shared_bytes);
    }

    /// The finished bytes.
    pub fn finish(&self, encoder: &mut Encoder, out: &mut impl Out) {
        let mut from = 0;
        for (at, text) in &self.strings {
            let at = *at;
            out.put(&self.bytes[from..at]);
            from = at;
            match text {
                Text::Here(len) => {
                    from += *len;
                    encoder.long_text(&self.bytes[at..from], out);
                }
                Text::Shared(text) => encoder.long_text(text.as_slice(), out),
            }
        }
        out.put(&self.bytes[from..]);
    }
}

impl Out for Frames {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn put_long(&mut self, text: &[u8]) -> bool {
        self.strings.push((self.bytes.len(), Text::Here(text.len())));
        self.bytes.extend_from_slice(text);
        true
    }

    fn put_shared(&mut self, text: &SharedBytes) -> bool {
        if text.len() < SHARED_MIN {
            return self.put_long(text.as_slice());
        }
        self.strings.push((self.bytes.len(), Text::Shared(text.clone())));
        self.shared_bytes += text.len();
        true
    }
}
