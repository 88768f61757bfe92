//! Listpack: a sequence of short elements in one buffer, byte for byte the format Redis keeps in memory and on disk.
//!
//! Being identical makes saving, DUMP and RESTORE a copy plus one validation. The format, after Redis' listpack.md:
//! total bytes (u32), number of elements (u16, 65535 = unknown), entries, 0xFF. An entry is its encoding byte(s) with
//! integer or text, then the length of that, seven bits per byte, written so that it can be read backwards.
//!
//! A position is an offset into the buffer. It stays good until the listpack changes before it.
//! Bytes from outside pass [`Listpack::from_bytes_validated`]; everything after that trusts the buffer, and would
//! panic, never read wild, if it were wrong.

mod roomy;
mod view;

use super::corrupt::Corrupt;
use super::element::{Element, Visit};
use crate::raw::relocate::{Relocate, Tally};
use crate::raw::thin::{LEN_MAX, ThinBytes};
pub use roomy::Roomy;
pub use view::{Entries, View};

/// Bytes of a listpack without elements.
pub const EMPTY_LEN: usize = HEADER_LEN + 1;

/// Largest total size a caller may let a listpack grow to, in bytes: Redis' LISTPACK_MAX_SAFETY_SIZE.
pub const SAFETY_LIMIT: usize = 1 << 30;

/// Longest text of one element in bytes; keeps every sum of sizes here far from overflow.
pub const TEXT_LEN_MAX: usize = LEN_MAX - 64;

const HEADER_LEN: usize = 6;
const COUNT_AT: usize = 4;
const COUNT_UNKNOWN: u16 = u16::MAX;
const END: u8 = 0xFF;
/// An entry's encoding and its back length take a byte each at least.
const ENTRY_LEN_MIN: usize = 2;

/// Texts of at most so many bytes are lent with as many. The second is the longest whose length shares a byte with the encoding.
const SHORT_MAX: usize = 8;
const MIDDLING_MAX: usize = 63;

/// A listpack, one pointer wide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listpack(ThinBytes);

impl Relocate for Listpack {
    fn relocate(&mut self, tally: &mut Tally) {
        self.0.relocate(tally);
    }
}

/// Where an entry starts, as an offset into the listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos(u32);

/// Which way to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Listpack {
        let mut thin = ThinBytes::new(EMPTY_LEN).expect("short");
        thin.as_mut_slice()[HEADER_LEN - 4] = END;
        Listpack(thin)
    }

    /// A copy of bytes from outside, once they proved to be a well-formed listpack.
    pub fn from_bytes_validated(bytes: &[u8]) -> Result<Listpack, Corrupt> {
        walk(bytes, |_, _| Ok(()))?;
        ThinBytes::from_slice(bytes).map(Listpack).map_err(|_| Corrupt::at(0, "listpack too long"))
    }

    /// As [`Listpack::from_bytes_validated`], and `check` may refuse entries (given with their index) by a reason.
    pub fn from_bytes_checked(
        bytes: &[u8],
        check: impl FnMut(usize, Element<'_>) -> Result<(), &'static str>,
    ) -> Result<Listpack, Corrupt> {
        validate(bytes, check)?;
        ThinBytes::from_slice(bytes).map(Listpack).map_err(|_| Corrupt::at(0, "listpack too long"))
    }

    /// Gives up the buffer, for storage behind a bare pointer.
    pub fn into_thin(self) -> ThinBytes {
        self.0
    }

    /// Takes back a buffer from [`Listpack::into_thin`]. Anything else makes later calls panic.
    pub fn from_thin(thin: ThinBytes) -> Listpack {
        Listpack(thin)
    }

    /// Total size in bytes, header and terminator included.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The listpack as it is saved.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    /// Number of elements. Walks the entries when there are too many for the header (65535 and more).
    pub fn len(&self) -> usize {
        match self.count_field() {
            COUNT_UNKNOWN => self.count_from(HEADER_LEN),
            count => usize::from(count),
        }
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes() == EMPTY_LEN
    }

    /// Whether `add` more bytes (see [`encoded_size`]) keep the listpack within [`SAFETY_LIMIT`].
    pub fn would_fit(&self, add: usize) -> bool {
        self.bytes().saturating_add(add) <= SAFETY_LIMIT
    }

    /// The listpack, lent.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View::new(self.as_bytes())
    }

    /// First entry.
    #[inline]
    pub fn first(&self) -> Option<Pos> {
        self.view().first()
    }

    /// Last entry.
    pub fn last(&self) -> Option<Pos> {
        self.view().last()
    }

    /// The entry after `pos`.
    #[inline]
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        self.view().next(pos)
    }

    /// The entry before `pos`.
    #[inline]
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        self.view().prev(pos)
    }

    /// See [`View::seek`].
    pub fn seek(&self, index: i64) -> Option<Pos> {
        self.view().seek(index)
    }

    /// The element at `pos`.
    #[inline]
    pub fn get(&self, pos: Pos) -> Element<'_> {
        self.view().get(pos)
    }

    /// All elements; walks from both ends.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Element<'_>> + Clone {
        self.view().iter()
    }

    /// All elements with their positions.
    pub fn entries(&self) -> Entries<'_> {
        self.view().entries()
    }

    /// The elements from `pos` to the end with their positions.
    pub fn entries_from(&self, pos: Pos) -> Entries<'_> {
        self.view().entries_from(pos)
    }

    /// Lends up to `count` elements from `pos` on.
    #[inline]
    pub fn visit(&self, pos: Pos, count: usize, visit: &mut impl Visit) {
        self.view().visit(pos, count, visit);
    }

    /// Lends all elements.
    pub fn visit_all(&self, visit: &mut impl Visit) {
        self.visit(Pos::new(HEADER_LEN), usize::MAX, visit);
    }

    /// The first entry equal to `needle`, leaving out `skip` entries after each one compared (1: only the fields of
    /// field-value pairs).
    pub fn find(&self, needle: Element<'_>, skip: usize) -> Option<Pos> {
        self.find_from(self.first()?, needle, skip)
    }

    /// As [`Listpack::find`], starting at `pos`.
    pub fn find_from(&self, pos: Pos, needle: Element<'_>, skip_count: usize) -> Option<Pos> {
        let needle = needle.canonical();
        let bytes = self.as_bytes();
        let mut at = pos.offset();
        while bytes[at] != END {
            let (element, next) = entry(bytes, at);
            if element.matches(needle) {
                return Some(Pos::new(at));
            }
            at = next;
            for _ in 0..skip_count {
                if bytes[at] == END {
                    return None;
                }
                at = skip(bytes, at);
            }
        }
        None
    }

    /// Appends. As with every insertion, the caller has checked [`Listpack::would_fit`].
    ///
    /// # Panics
    /// As with every insertion, when the listpack would exceed the longest buffer (almost 4 GB).
    pub fn push_back(&mut self, element: Element<'_>) -> Pos {
        self.splice_in(self.end(), 0, element)
    }

    /// Appends an integer.
    pub fn append_int(&mut self, value: i64) -> Pos {
        self.push_back(Element::Int(value))
    }

    /// Appends elements that were encoded beforehand, growing the buffer once.
    pub fn append_encoded(&mut self, elements: &Encoder) {
        let at = self.end();
        self.0.splice_in(at, 0, &elements.bytes).expect("callers check would_fit");
        self.adjust_count(elements.count, 0);
    }

    /// Puts in front.
    pub fn push_front(&mut self, element: Element<'_>) -> Pos {
        self.splice_in(HEADER_LEN, 0, element)
    }

    /// Inserts before `pos`; returns where the new entry is.
    pub fn insert_before(&mut self, pos: Pos, element: Element<'_>) -> Pos {
        self.splice_in(pos.offset(), 0, element)
    }

    /// Inserts after `pos`; returns where the new entry is.
    pub fn insert_after(&mut self, pos: Pos, element: Element<'_>) -> Pos {
        self.splice_in(skip(self.as_bytes(), pos.offset()), 0, element)
    }

    /// Inserts two entries before `pos`, or at the end, moving what follows once.
    pub fn insert_pair(&mut self, pos: Option<Pos>, first: Element<'_>, second: Element<'_>) {
        let at = pos.map_or(self.end(), Pos::offset);
        let (first, second) = (Encoded::new(first), Encoded::new(second));
        let gap = grow(&mut self.0, at, 0, first.total() + second.total());
        let (head, tail) = gap.split_at_mut(first.total());
        first.write(head);
        second.write(tail);
        self.adjust_count(2, 0);
    }

    /// Replaces the entry at `pos`, which keeps its position.
    pub fn replace(&mut self, pos: Pos, element: Element<'_>) -> Pos {
        let end = skip(self.as_bytes(), pos.offset());
        self.splice_in(pos.offset(), end - pos.offset(), element)
    }

    /// Deletes the entry at `pos`; returns where the following one is now.
    pub fn delete(&mut self, pos: Pos) -> Option<Pos> {
        let end = skip(self.as_bytes(), pos.offset());
        self.cut(pos.offset(), end, 1);
        self.at_or_end(pos.offset())
    }

    /// Deletes up to `count` entries from `pos` on; returns how many, and where the following one is now.
    pub fn delete_from(&mut self, pos: Pos, count: usize) -> (usize, Option<Pos>) {
        let bytes = self.as_bytes();
        let (mut at, mut deleted) = (pos.offset(), 0);
        while deleted < count && bytes[at] != END {
            at = skip(bytes, at);
            deleted += 1;
        }
        self.cut(pos.offset(), at, deleted);
        (deleted, self.at_or_end(pos.offset()))
    }

    /// Deletes up to `count` entries from the index on (negative: from the end); returns how many.
    pub fn delete_range(&mut self, index: i64, count: usize) -> usize {
        match self.seek(index) {
            Some(pos) => self.delete_from(pos, count).0,
            None => 0,
        }
    }

    /// Deletes the entries at these positions, given in ascending order without repetition, moving each byte once.
    pub fn delete_many(&mut self, positions: &[Pos]) {
        let Some(first) = positions.first() else {
            return;
        };
        debug_assert!(positions.is_sorted_by(|a, b| a < b));
        let end = self.end();
        let mut write = first.offset();
        for (nth, pos) in positions.iter().enumerate() {
            // Still in place: what moved so far ends before this entry.
            let from = skip(self.as_bytes(), pos.offset());
            let to = positions.get(nth + 1).map_or(end, |next| next.offset());
            self.0.as_mut_slice().copy_within(from - 4..to - 4, write - 4);
            write += to - from;
        }
        self.cut(write, end, positions.len());
    }

    /// Deletes entries equal to `value`, at most `limit`, the first met in `direction`; returns how many.
    pub fn remove_value(&mut self, value: Element<'_>, limit: usize, direction: Direction) -> usize {
        let needle = value.canonical();
        let hit = |(pos, element): (Pos, Element<'_>)| element.matches(needle).then_some(pos);
        let positions: Vec<Pos> = match direction {
            Direction::Forward => self.entries().filter_map(hit).take(limit).collect(),
            Direction::Backward => {
                let mut found: Vec<Pos> = self.entries().rev().filter_map(hit).take(limit).collect();
                found.reverse();
                found
            }
        };
        self.delete_many(&positions);
        positions.len()
    }

    /// Deletes everything.
    pub fn clear(&mut self) {
        *self = Listpack::new();
    }

    /// Appends all elements of another listpack.
    pub fn append_all(&mut self, other: &Listpack) {
        self.splice_entries(self.end(), other);
    }

    /// Puts all elements of another listpack in front.
    pub fn prepend_all(&mut self, other: &Listpack) {
        self.splice_entries(HEADER_LEN, other);
    }

    /// Cuts off and returns the elements from `index` (counted from the front) on.
    pub fn split_off(&mut self, index: usize) -> Listpack {
        let mut right = Listpack::new();
        let Some(pos) = i64::try_from(index).ok().and_then(|index| self.seek(index)) else {
            return right;
        };
        let count = match self.count_field() {
            COUNT_UNKNOWN => self.count_from(pos.offset()),
            count => usize::from(count) - index,
        };
        let end = self.end();
        let moved = &self.as_bytes()[pos.offset()..end];
        grow(&mut right.0, HEADER_LEN, 0, moved.len()).copy_from_slice(moved);
        right.set_count(count);
        self.cut(pos.offset(), end, count);
        right
    }

    /// Calls `f` with the entry of each index in `indices`, which ascend and may repeat, and which of them it is.
    /// Indices past the end are left out. One walk, whatever their number.
    pub fn pick(&self, indices: &[usize], mut f: impl FnMut(usize, Pos)) {
        let mut entries = self.entries();
        let (mut index, mut current) = (0, entries.next());
        for (nth, &wanted) in indices.iter().enumerate() {
            debug_assert!(wanted >= index);
            if wanted > index {
                current = entries.nth(wanted - index - 1);
                index = wanted;
            }
            match current {
                Some((pos, _)) => f(nth, pos),
                None => return,
            }
        }
    }

    /// Calls `f` with `count` different tuples of `step` entries (its first entry), chosen evenly, in their order.
    /// Fewer when there are not so many. `random(n)` returns a number below n.
    pub fn sample(&self, step: usize, count: usize, mut random: impl FnMut(u64) -> u64, mut f: impl FnMut(Pos)) {
        // Selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
        let step = step.max(1);
        let mut left = self.len() / step;
        let mut wanted = count.min(left);
        let mut heads = self.entries().step_by(step);
        while wanted > 0 {
            let Some((pos, _)) = heads.next() else { return };
            if random(left as u64) < wanted as u64 {
                f(pos);
                wanted -= 1;
            }
            left -= 1;
        }
    }

    /// Offset of the terminator.
    #[inline]
    fn end(&self) -> usize {
        self.bytes() - 1
    }

    #[inline]
    fn at_or_end(&self, at: usize) -> Option<Pos> {
        self.view().at_or_end(at)
    }

    fn count_from(&self, at: usize) -> usize {
        let bytes = self.as_bytes();
        let (mut at, mut count) = (at, 0);
        while bytes[at] != END {
            at = skip(bytes, at);
            count += 1;
        }
        count
    }

    fn count_field(&self) -> u16 {
        self.view().count_field()
    }

    fn set_count(&mut self, count: usize) {
        let field = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.0.as_mut_slice()[..2].copy_from_slice(&field.to_le_bytes());
    }

    /// Keeps the count when it is known. When so few bytes are left that the field has room again, counts once.
    fn adjust_count(&mut self, added: usize, removed: usize) {
        match self.count_field() {
            COUNT_UNKNOWN if self.bytes() < ENTRY_LEN_MIN * usize::from(COUNT_UNKNOWN) => {
                self.set_count(self.count_from(HEADER_LEN));
            }
            COUNT_UNKNOWN => {}
            count => self.set_count(usize::from(count) + added - removed),
        }
    }

    /// Puts an entry in place of `remove` bytes (no entry, or a whole one).
    fn splice_in(&mut self, at: usize, remove: usize, element: Element<'_>) -> Pos {
        let encoded = Encoded::new(element);
        let gap = grow(&mut self.0, at, remove, encoded.total());
        encoded.write(gap);
        if remove == 0 {
            self.adjust_count(1, 0);
        }
        Pos::new(at)
    }

    fn splice_entries(&mut self, at: usize, other: &Listpack) {
        let count = match (self.count_field(), other.count_field()) {
            (COUNT_UNKNOWN, _) | (_, COUNT_UNKNOWN) => usize::MAX,
            (own, others) => usize::from(own) + usize::from(others),
        };
        let entries = &other.as_bytes()[HEADER_LEN..other.end()];
        grow(&mut self.0, at, 0, entries.len()).copy_from_slice(entries);
        self.set_count(count);
    }

    /// Takes out the bytes `from..to`, which are `count` entries.
    fn cut(&mut self, from: usize, to: usize, count: usize) {
        if to == self.end() {
            // Nothing to move: the terminator goes where the first of them began.
            self.0.as_mut_slice()[from - 4] = END;
            self.0.truncate(from + 1);
        } else {
            grow(&mut self.0, from, to - from, 0);
        }
        self.adjust_count(0, count);
    }
}

impl Pos {
    /// Offset into the bytes of the listpack.
    #[inline]
    pub fn offset(self) -> usize {
        self.0 as usize
    }

    #[inline]
    fn new(at: usize) -> Pos {
        debug_assert!(at <= LEN_MAX);
        Pos(at as u32)
    }
}

/// Bytes an element takes in a listpack.
pub fn encoded_size(element: Element<'_>) -> usize {
    Encoded::new(element).total()
}

/// Checks that `bytes` are a well-formed listpack: sizes, every entry and its back length, count, terminator.
/// `check` sees each element with its index and may refuse it with a reason.
pub fn validate(bytes: &[u8], mut check: impl FnMut(usize, Element<'_>) -> Result<(), &'static str>) -> Result<(), Corrupt> {
    walk(bytes, |nth, at| check(nth, entry(bytes, at).0))
}

/// As `validate`; `visit` is told where the entries are.
fn walk(bytes: &[u8], mut visit: impl FnMut(usize, usize) -> Result<(), &'static str>) -> Result<(), Corrupt> {
    if bytes.len() < EMPTY_LEN {
        return Err(Corrupt::at(bytes.len(), "listpack shorter than its header"));
    }
    if bytes.len() > LEN_MAX {
        return Err(Corrupt::at(0, "listpack too long"));
    }
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if total as usize != bytes.len() {
        return Err(Corrupt::at(0, "listpack size differs from its header"));
    }
    let (end, entries) = (bytes.len() - 1, &bytes[..bytes.len() - 1]);
    if bytes[end] != END {
        return Err(Corrupt::at(end, "listpack without terminator"));
    }
    let (mut at, mut count) = (HEADER_LEN, 0_usize);
    while at < end {
        let len = encoded_len(entries, at).filter(|len| *len <= end - at).ok_or(Corrupt::at(at, "bad listpack entry"))?;
        let next = match entries.get(at + len) {
            Some(&back) if len <= BACK_LEN_SHORT && usize::from(back) == len => at + len + 1,
            _ => {
                let (back, back_len) = back_length(len);
                let next = at + len + back_len;
                if entries.get(at + len..next) != Some(&back[..back_len]) {
                    return Err(Corrupt::at(at + len, "bad listpack back length"));
                }
                next
            }
        };
        visit(count, at).map_err(|reason| Corrupt::at(at, reason))?;
        at = next;
        count += 1;
    }
    let field = u16::from_le_bytes([bytes[COUNT_AT], bytes[COUNT_AT + 1]]);
    if field != COUNT_UNKNOWN && usize::from(field) != count {
        return Err(Corrupt::at(COUNT_AT, "wrong number of listpack entries"));
    }
    Ok(())
}

/// The gap of `insert` bytes that replaces `remove` bytes at `at`.
fn grow(thin: &mut ThinBytes, at: usize, remove: usize, insert: usize) -> &mut [u8] {
    thin.splice(at, remove, insert).expect("callers check would_fit")
}

/// Length of the encoded element at `at`, without its back length. `None`: not an entry, or cut off.
#[inline]
fn encoded_len(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let first = *rest.first()?;
    Some(match first {
        0x00..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*rest.get(1)?)),
        0xF0 => 5 + u32::from_le_bytes(*rest.get(1..)?.first_chunk()?) as usize,
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        _ => return None,
    })
}

/// The element at `at` and its encoded length without back length. `None`: not an entry, or cut off.
#[inline]
fn decode(bytes: &[u8], at: usize) -> Option<(Element<'_>, usize)> {
    let len = encoded_len(bytes, at)?;
    let element = match *bytes.get(at..)?.get(..len)? {
        [first @ 0x00..=0x7F] => Element::Int(i64::from(first)),
        [0x80..=0xBF, ref text @ ..] => Element::Str(text),
        [first @ 0xC0..=0xDF, low] => {
            let raw = u16::from(first & 0x1F) << 8 | u16::from(low);
            // 13 bits: move the sign to the top and back.
            Element::Int(i64::from((raw << 3) as i16 >> 3))
        }
        [0xE0..=0xEF, _, ref text @ ..] => Element::Str(text),
        [0xF0, _, _, _, _, ref text @ ..] => Element::Str(text),
        [0xF1, a, b] => Element::Int(i64::from(i16::from_le_bytes([a, b]))),
        [0xF2, a, b, c] => Element::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)),
        [0xF3, a, b, c, d] => Element::Int(i64::from(i32::from_le_bytes([a, b, c, d]))),
        [0xF4, a, b, c, d, e, f, g, h] => Element::Int(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
        _ => return None,
    };
    Some((element, len))
}

/// The element at `at` and where the next entry starts, in trusted bytes.
#[inline]
fn entry(bytes: &[u8], at: usize) -> (Element<'_>, usize) {
    let (element, len) = decode(bytes, at).expect("a valid listpack entry");
    (element, at + len + back_length_size(len))
}

/// Where the entry after the one at `at` starts, in trusted bytes.
#[inline]
fn skip(bytes: &[u8], at: usize) -> usize {
    let len = encoded_len(bytes, at).expect("a valid listpack entry");
    at + len + back_length_size(len)
}

/// Where the entry that ends at `at` starts, in trusted bytes.
#[inline]
fn entry_before(bytes: &[u8], at: usize) -> usize {
    let (mut len, mut shift, mut byte_at) = (0, 0, at - 1);
    loop {
        let byte = bytes[byte_at];
        len |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return byte_at - len;
        }
        shift += 7;
        byte_at -= 1;
    }
}

/// Encoded lengths up to this have a back length of one byte, which is the length.
const BACK_LEN_SHORT: usize = 127;

/// Bytes of the back length. The steps are one short of the powers of two, as in Redis, whose bytes we match.
#[inline]
fn back_length_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The back length for an encoded length, and how many of the bytes it takes.
fn back_length(len: usize) -> ([u8; 5], usize) {
    let size = back_length_size(len);
    let mut bytes = [0; 5];
    for (nth, byte) in bytes[..size].iter_mut().enumerate() {
        // The top bit says that more bytes precede this one.
        let more = if nth == 0 { 0 } else { 128 };
        *byte = (len >> (7 * (size - 1 - nth)) & 127) as u8 | more;
    }
    (bytes, size)
}

/// Elements in the form they have in a listpack, one after the other: see [`Listpack::append_encoded`].
pub struct Encoder {
    bytes: Vec<u8>,
    count: usize,
}

impl Encoder {
    /// Room for so many elements that have so many bytes of text in all.
    pub fn with_capacity(elements: usize, text: usize) -> Encoder {
        // Header and back length of a text that is not long; an integer takes as much at most.
        const AROUND: usize = 10;
        Encoder { bytes: Vec::with_capacity(text + elements * AROUND), count: 0 }
    }

    pub fn push(&mut self, element: Element<'_>) {
        let encoded = Encoded::new(element);
        self.bytes.extend_from_slice(&encoded.head[..encoded.head_len]);
        self.bytes.extend_from_slice(encoded.text);
        match encoded.head_len + encoded.text.len() {
            len @ 0..=127 => self.bytes.push(len as u8),
            len => {
                let (back, size) = back_length(len);
                self.bytes.extend_from_slice(&back[..size]);
            }
        }
        self.count += 1;
    }

    pub fn push_int(&mut self, value: i64) {
        self.push(Element::Int(value));
    }
}

/// An element ready to be written: encoding bytes, text, back length.
struct Encoded<'a> {
    head: [u8; 9],
    head_len: usize,
    text: &'a [u8],
}

impl<'a> Encoded<'a> {
    fn new(element: Element<'a>) -> Encoded<'a> {
        match element.canonical() {
            Element::Int(value @ 0..=127) => Encoded::of(&[value as u8], b""),
            Element::Int(value) => Encoded::int(value),
            Element::Str(text) => Encoded::text(text),
        }
    }

    fn text(text: &'a [u8]) -> Encoded<'a> {
        assert!(text.len() <= TEXT_LEN_MAX, "element text too long");
        let len = text.len() as u32;
        let [a, b, c, d] = len.to_le_bytes();
        match len {
            0..64 => Encoded::of(&[0x80 | a], text),
            64..4096 => Encoded::of(&[0xE0 | b, a], text),
            _ => Encoded::of(&[0xF0, a, b, c, d], text),
        }
    }

    fn int(value: i64) -> Encoded<'a> {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        let head: &[u8] = match value {
            0..=127 => &[a],
            -4096..=4095 => &[0xC0 | b & 0x1F, a],
            -0x8000..=0x7FFF => &[0xF1, a, b],
            -0x80_0000..=0x7F_FFFF => &[0xF2, a, b, c],
            -0x8000_0000..=0x7FFF_FFFF => &[0xF3, a, b, c, d],
            _ => &[0xF4, a, b, c, d, e, f, g, h],
        };
        Encoded::of(head, b"")
    }

    fn of(bytes: &[u8], text: &'a [u8]) -> Encoded<'a> {
        let mut head = [0; 9];
        head[..bytes.len()].copy_from_slice(bytes);
        Encoded { head, head_len: bytes.len(), text }
    }

    fn total(&self) -> usize {
        let len = self.head_len + self.text.len();
        len + back_length_size(len)
    }

    /// Fills a gap of `total()` bytes.
    fn write(&self, gap: &mut [u8]) {
        let (head, rest) = gap.split_at_mut(self.head_len);
        let (text, back) = rest.split_at_mut(self.text.len());
        copy(head, &self.head[..self.head_len]);
        copy(text, self.text);
        let (bytes, size) = back_length(self.head_len + self.text.len());
        copy(back, &bytes[..size]);
    }
}

/// Copies what is mostly a handful of bytes: two moves that may overlap, where a call would cost more.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    let len = from.len();
    match len {
        1 => to[0] = from[0],
        2..4 => {
            to[..2].copy_from_slice(&from[..2]);
            to[len - 1] = from[len - 1];
        }
        4..8 => {
            to[..4].copy_from_slice(&from[..4]);
            to[len - 4..].copy_from_slice(&from[len - 4..]);
        }
        8..=16 => {
            to[..8].copy_from_slice(&from[..8]);
            to[len - 8..].copy_from_slice(&from[len - 8..]);
        }
        _ => to.copy_from_slice(from),
    }
}

#[cfg(test)]
mod tests;
