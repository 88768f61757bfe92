//! A listpack with room around it: elements come and go at both ends without the others being moved.
//!
//! What is pushed in front of a node of eight kilobytes would move four of them on the average. The room in front costs up to
//! an eighth of the size after pushes and a quarter after pops, so only the first node of a list is kept this way.

use super::{COUNT_AT, COUNT_UNKNOWN, END, Encoded, HEADER_LEN, Listpack, View, skip};
use crate::ds::parts::element::Element;
use crate::raw::thin::ThinBytes;

/// Room in front that is worth moving everything for, in bytes.
const ROOM_MIN: usize = 64;

/// A listpack that begins somewhere in its buffer. Its number of elements must stay below [`Roomy::LEN_MAX`].
#[derive(Clone, Debug)]
pub struct Roomy {
    buffer: Vec<u8>,
    start: usize,
}

impl Roomy {
    /// From so many elements on the header does not tell how many there are.
    pub const LEN_MAX: usize = COUNT_UNKNOWN as usize;

    /// A copy, with room in front. `count` is the number of elements, which the header of a listpack from outside need not tell.
    pub fn new(pack: &Listpack, count: usize) -> Roomy {
        let mut roomy = Roomy::with_room(pack.view(), 0);
        roomy.stamp(count as u16);
        roomy
    }

    fn with_room(pack: View<'_>, wish: usize) -> Roomy {
        let bytes = pack.as_bytes();
        let start = wish.max(bytes.len() / 8).max(ROOM_MIN);
        let mut buffer = Vec::with_capacity(start + bytes.len());
        buffer.resize(start, 0);
        buffer.extend_from_slice(bytes);
        Roomy { buffer, start }
    }

    /// A copy, without room.
    pub fn to_listpack(&self) -> Listpack {
        Listpack::from_thin(ThinBytes::from_slice(&self.buffer[self.start..]).expect("as long as a node may get"))
    }

    /// The listpack, lent.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View::new(&self.buffer[self.start..])
    }

    /// Bytes allocated, this struct not.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Puts in front.
    pub fn push_front(&mut self, element: Element<'_>) {
        let encoded = Encoded::new(element);
        let len = encoded.total();
        if self.start < len {
            *self = Roomy::with_room(self.view(), len);
        }
        let count = self.view().count_field() + 1;
        self.start -= len;
        encoded.write(&mut self.buffer[self.start + HEADER_LEN..][..len]);
        self.stamp(count);
    }

    /// Appends.
    pub fn push_back(&mut self, element: Element<'_>) {
        let encoded = Encoded::new(element);
        let (count, at) = (self.view().count_field() + 1, self.buffer.len() - 1);
        if self.buffer.capacity() - self.buffer.len() < encoded.total() {
            self.buffer.reserve_exact(encoded.total().max(at / 8));
        }
        self.buffer.resize(at + encoded.total(), 0);
        encoded.write(&mut self.buffer[at..]);
        self.buffer.push(END);
        self.stamp(count);
    }

    /// Removes the first element, which must exist.
    pub fn drop_front(&mut self) {
        let count = self.view().count_field() - 1;
        self.start += skip(self.view().as_bytes(), HEADER_LEN) - HEADER_LEN;
        self.stamp(count);
        let bytes = self.view().as_bytes().len();
        if self.start > ROOM_MIN + bytes / 4 {
            *self = Roomy::with_room(self.view(), 0);
        }
    }

    /// Removes the last element, which must exist.
    pub fn drop_back(&mut self) {
        let count = self.view().count_field() - 1;
        let last = self.view().last().expect("an element");
        self.buffer.truncate(self.start + last.offset());
        self.buffer.push(END);
        self.stamp(count);
        if self.buffer.capacity() - self.buffer.len() > ROOM_MIN + self.buffer.len() / 4 {
            self.buffer.shrink_to(self.buffer.len());
        }
    }

    /// Writes the header.
    fn stamp(&mut self, count: u16) {
        debug_assert_ne!(count, COUNT_UNKNOWN);
        let pack = &mut self.buffer[self.start..];
        let len = pack.len() as u32;
        pack[..COUNT_AT].copy_from_slice(&len.to_le_bytes());
        pack[COUNT_AT..HEADER_LEN].copy_from_slice(&count.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;

    /// Whatever is pushed and popped, it is byte for byte the listpack to which the same was done, and the room has its bounds.
    #[test]
    fn it_is_the_same_listpack() {
        for seed in 0..if cfg!(miri) { 2 } else { 100 } {
            let mut rng = Rng::seeded(seed);
            let mut pack = Listpack::new();
            for i in 0..rng.index(20) {
                pack.append_int(i as i64 * 77);
            }
            let mut roomy = Roomy::new(&pack, pack.len());
            for step in 0..2000 {
                let longest = [3, 70, 300][rng.index(3)];
                let len = rng.index(longest);
                let text = vec![b'a' + (step % 26) as u8; len];
                let element = if rng.index(4) == 0 { Element::Int(step * step * 1_000_003) } else { Element::Str(&text) };
                let shrinks = step / 300 % 2 == 1;
                match rng.index(if shrinks { 6 } else { 3 }) {
                    0 => (pack.push_front(element), roomy.push_front(element)).1,
                    1 => (pack.push_back(element), roomy.push_back(element)).1,
                    _ if pack.is_empty() => {}
                    2 | 3 => (pack.delete(pack.first().unwrap()), roomy.drop_front()).1,
                    _ => (pack.delete(pack.last().unwrap()), roomy.drop_back()).1,
                }
                assert_eq!(roomy.view().as_bytes(), pack.as_bytes(), "seed {seed}, step {step}");
                let room = roomy.memory_bytes() - pack.bytes();
                assert!(room <= 3 * (ROOM_MIN + 8) + 400 + pack.bytes() / 8 * 5, "{room} bytes around {}", pack.bytes());
            }
            assert_eq!(roomy.to_listpack(), pack);
        }
    }
}
