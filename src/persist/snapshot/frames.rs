//! Encoded entries on their way from the engine to the writer, with the work that is left to the writer: compressing.

use crate::persist::rdb::encode::{Encoder, Out};
use crate::raw::shared::SharedBytes;

/// Bytes of an RDB file in which some strings are still to be put, compressed if that is shorter.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Strings that stand in the bytes without their lengths: where, and how long they are.
    strings: Vec<(u32, u32)>,
    /// Strings that are only referred to, and where they belong.
    shared: Vec<(u32, SharedBytes)>,
    /// Keys, for the debugging delay and for progress.
    pub keys: u32,
    /// Bytes of the strings that are referred to.
    shared_bytes: usize,
}

/// Frames are sent when they hold this many bytes.
pub const FULL: usize = 64 << 10;
/// Strings from this size on are referred to and not copied.
const SHARED_MIN: usize = 16 << 10;
/// After so many bytes that it may have to compress, some tenth of a millisecond, the writer lets others in.
const YIELD_EVERY: usize = 4 << 10;
/// Beyond this strings are not set apart: their places would not fit. Only what comes aside gets so large.
const PLACES_MAX: usize = u32::MAX as usize / 2;

const _: () = assert!(SHARED_MIN < FULL && FULL < PLACES_MAX);

impl Frames {
    /// Empty frames, with room for what they are sent with.
    pub fn new() -> Frames {
        // Grown as needed they would end up with twice the room.
        Frames { bytes: Vec::with_capacity(FULL + SHARED_MIN), strings: Vec::with_capacity(FULL / 32), ..Frames::default() }
    }

    /// Bytes that these frames hold in memory beside the keyspace; strings that are referred to count in full, as a
    /// writer to one of them copies it.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.strings.len() * size_of::<(u32, u32)>() + self.shared_bytes
    }

    /// Empties them. False if they have become so large that they are better freed.
    pub fn clear(&mut self) -> bool {
        self.bytes.clear();
        self.strings.clear();
        self.shared.clear();
        self.keys = 0;
        self.shared_bytes = 0;
        self.bytes.capacity() <= 2 * FULL
    }

    /// Adds others at the end.
    pub fn append(&mut self, other: &mut Frames) {
        debug_assert!(self.bytes.len() < PLACES_MAX);
        let by = self.bytes.len() as u32;
        self.bytes.append(&mut other.bytes);
        self.strings.extend(other.strings.drain(..).map(|(at, len)| (at + by, len)));
        self.shared.extend(other.shared.drain(..).map(|(at, text)| (at + by, text)));
        self.keys += std::mem::take(&mut other.keys);
        self.shared_bytes += std::mem::take(&mut other.shared_bytes);
    }

    /// The finished bytes. If there is time the thread lets others in on the way: where cores are few, who waits for a reply
    /// would otherwise wait for the system's scheduler, for some milliseconds.
    pub fn finish(&self, encoder: &mut Encoder, out: &mut impl Out, has_time: bool) {
        let (mut from, mut yielded) = (0, 0);
        let mut shared = self.shared.iter().peekable();
        let mut refer = |from: &mut usize, upto: usize, encoder: &mut Encoder, out: &mut _| {
            while let Some((at, text)) = shared.next_if(|(at, _)| *at as usize <= upto) {
                self.plain(from, *at as usize, out);
                encoder.long_text(text.as_slice(), out);
            }
        };
        for &(at, len) in &self.strings {
            let at = at as usize;
            refer(&mut from, at, encoder, out);
            self.plain(&mut from, at, out);
            from = at + len as usize;
            encoder.long_text(&self.bytes[at..from], out);
            if has_time && from - yielded >= YIELD_EVERY {
                yielded = from;
                std::thread::yield_now();
            }
        }
        refer(&mut from, usize::MAX, encoder, out);
        self.plain(&mut from, self.bytes.len(), out);
    }

    fn plain(&self, from: &mut usize, upto: usize, out: &mut impl Out) {
        out.put(&self.bytes[*from..upto]);
        *from = upto;
    }
}

impl Out for Frames {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn put_long(&mut self, text: &[u8]) -> bool {
        if self.bytes.len() + text.len() > PLACES_MAX {
            return false;
        }
        self.strings.push((self.bytes.len() as u32, text.len() as u32));
        self.bytes.extend_from_slice(text);
        true
    }

    fn put_shared(&mut self, text: &SharedBytes) -> bool {
        if text.len() < SHARED_MIN || self.bytes.len() > PLACES_MAX {
            return self.put_long(text.as_slice());
        }
        self.shared.push((self.bytes.len() as u32, text.clone()));
        self.shared_bytes += text.len();
        true
    }
}
