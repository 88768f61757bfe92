//! A listpack that is lent, wherever it lies: in a buffer of its own ([`Listpack`]) or in a larger one ([`Roomy`]).
//!
//! [`Listpack`]: super::Listpack
//! [`Roomy`]: super::roomy::Roomy

use super::{COUNT_AT, COUNT_UNKNOWN, Direction, END, HEADER_LEN, MIDDLING_MAX, Pos, SHORT_MAX, entry, entry_before, skip};
use crate::ds::parts::element::{Element, Visit};

/// The bytes of a listpack, which are trusted.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(&'a [u8]);

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> View<'a> {
        View(bytes)
    }

    /// The listpack as it is saved.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// First entry.
    #[inline]
    pub fn first(self) -> Option<Pos> {
        self.at_or_end(HEADER_LEN)
    }

    /// Last entry.
    #[inline]
    pub fn last(self) -> Option<Pos> {
        self.before(self.end())
    }

    /// The first or last entry, as seen when walking.
    pub fn edge(self, direction: Direction) -> Option<Pos> {
        match direction {
            Direction::Forward => self.first(),
            Direction::Backward => self.last(),
        }
    }

    /// The entry after `pos`.
    #[inline]
    pub fn next(self, pos: Pos) -> Option<Pos> {
        self.at_or_end(skip(self.0, pos.offset()))
    }

    /// The entry before `pos`.
    #[inline]
    pub fn prev(self, pos: Pos) -> Option<Pos> {
        self.before(pos.offset())
    }

    /// The entry with this index; negative ones count from the end (-1 is the last). Walks from the nearer end.
    pub fn seek(self, index: i64) -> Option<Pos> {
        let (mut forward, mut steps) = match index {
            0.. => (true, index.unsigned_abs()),
            _ => (false, index.unsigned_abs() - 1),
        };
        if self.count_field() != COUNT_UNKNOWN {
            let count = u64::from(self.count_field());
            if steps >= count {
                return None;
            }
            if steps > count / 2 {
                steps = count - 1 - steps;
                forward = !forward;
            }
        }
        let mut pos = if forward { self.first()? } else { self.last()? };
        for _ in 0..steps {
            pos = if forward { self.next(pos)? } else { self.prev(pos)? };
        }
        Some(pos)
    }

    /// The element at `pos`.
    #[inline]
    pub fn get(self, pos: Pos) -> Element<'a> {
        entry(self.0, pos.offset()).0
    }

    /// All elements; walks from both ends.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Element<'a>> + Clone {
        self.entries().map(|(_, element)| element)
    }

    /// All elements with their positions.
    pub fn entries(self) -> Entries<'a> {
        Entries { bytes: self.0, front: HEADER_LEN, back: self.end() }
    }

    /// The elements from `pos` to the end with their positions.
    pub fn entries_from(self, pos: Pos) -> Entries<'a> {
        Entries { bytes: self.0, front: pos.offset(), back: self.end() }
    }

    /// Lends up to `count` elements from `pos` on.
    #[inline]
    pub fn visit(self, pos: Pos, count: usize, visit: &mut impl Visit) {
        let bytes = self.0;
        let (mut at, mut left) = (pos.offset(), count);
        while left > 0 {
            visit.texts(|| padded_text::<SHORT_MAX>(bytes, &mut at, &mut left));
            visit.texts(|| padded_text::<MIDDLING_MAX>(bytes, &mut at, &mut left));
            if left == 0 || bytes[at] == END {
                return;
            }
            let (element, next) = entry(bytes, at);
            visit.element(element);
            (at, left) = (next, left - 1);
        }
    }

    /// Offset of the terminator.
    #[inline]
    pub(super) fn end(self) -> usize {
        self.0.len() - 1
    }

    #[inline]
    pub(super) fn at_or_end(self, at: usize) -> Option<Pos> {
        (self.0[at] != END).then(|| Pos::new(at))
    }

    #[inline]
    pub(super) fn before(self, at: usize) -> Option<Pos> {
        (at > HEADER_LEN).then(|| Pos::new(entry_before(self.0, at)))
    }

    #[inline]
    pub(super) fn count_field(self) -> u16 {
        u16::from_le_bytes([self.0[COUNT_AT], self.0[COUNT_AT + 1]])
    }
}

/// Entries with their positions, walking from either end.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Pos, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Pos, Element<'a>)> {
        if self.front >= self.back {
            return None;
        }
        let at = self.front;
        // Most are texts of less than 64 bytes: told from the others in place, without a call.
        let first = self.bytes[at];
        let (element, next) = match self.bytes.get(at + 1..at + 1 + usize::from(first & 0x3F)) {
            Some(text) if matches!(first, 0x80..=0xBF) => (Element::Str(text), at + text.len() + 2),
            _ => entry(self.bytes, at),
        };
        self.front = next;
        Some((Pos::new(at), element))
    }

    fn nth(&mut self, n: usize) -> Option<(Pos, Element<'a>)> {
        for _ in 0..n {
            if self.front >= self.back {
                return None;
            }
            self.front = skip(self.bytes, self.front);
        }
        self.next()
    }
}

impl<'a> DoubleEndedIterator for Entries<'a> {
    fn next_back(&mut self) -> Option<(Pos, Element<'a>)> {
        if self.front >= self.back {
            return None;
        }
        self.back = entry_before(self.bytes, self.back);
        Some((Pos::new(self.back), entry(self.bytes, self.back).0))
    }
}

/// The text at `at` with what lies behind it, if one of up to `N` (at most 63) bytes is there, and the way to the next.
#[inline(always)]
fn padded_text<'a, const N: usize>(bytes: &'a [u8], at: &mut usize, left: &mut usize) -> Option<(&'a [u8; N], usize)> {
    let (first, rest) = bytes.get(*at..)?.split_first()?;
    let (text, len) = (rest.first_chunk()?, usize::from(first.wrapping_sub(0x80)));
    if len > N {
        return None;
    }
    *left = left.checked_sub(1)?;
    *at += len + 2;
    Some((text, len))
}
