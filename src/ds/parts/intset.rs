//! Intset: a small set of integers, sorted, in one buffer.
//!
//! Redis stores every member in the width the largest magnitude needs. Ids in one set tend to be neighbours of each
//! other rather than of zero, so here members are unsigned offsets from a base (a frame of reference): twenty ids near
//! each other take a byte each where Redis takes four. Redis' own layout is made and read at the border, for data
//! files and DUMP.
//!
//! Layout, little endian: total bytes (u32), width of an offset (u8: 1, 2, 4 or 8), base (i64), the offsets, ascending.
//! Every member lies in the frame `base ..= base + largest offset`; the base need not be a member.

use std::cmp::Ordering;

use super::corrupt::Corrupt;
use super::element::Element;
use crate::raw::thin::{LEN_MAX, ThinBytes};

const WIDTH_AT: usize = 4;
const BASE_AT: usize = 5;
const HEADER_LEN: usize = 13;

/// Redis' header: bytes per member (u32), number of members (u32).
const REDIS_HEADER_LEN: usize = 8;

/// Most members an intset takes; the buffer then is safely below its own limit.
pub const LEN_LIMIT: usize = 1 << 28;

const _: () = assert!(HEADER_LEN + 8 * LEN_LIMIT < LEN_MAX);

/// A set of i64, one pointer wide.
#[derive(Clone, Debug)]
pub struct Intset(ThinBytes);

/// Bytes per member in Redis' layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RedisEncoding {
    Int16 = 2,
    Int32 = 4,
    Int64 = 8,
}

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
    }
}

impl Intset {
    /// The empty set.
    pub fn new() -> Intset {
        Intset::framed(1, 0, 0)
    }

    /// A set of strictly ascending members.
    ///
    /// # Panics
    /// With more than [`LEN_LIMIT`] members.
    pub fn from_sorted(members: &[i64]) -> Intset {
        debug_assert!(members.is_sorted_by(|a, b| a < b));
        assert!(members.len() <= LEN_LIMIT, "intset too long");
        let (Some(&min), Some(&max)) = (members.first(), members.last()) else {
            return Intset::new();
        };
        let width = width_for(span(min, max));
        let mut set = Intset::framed(width, min, members.len());
        set.fill(members.iter().copied());
        set
    }

    /// A copy of bytes in Redis' layout from outside, once they proved well-formed: known encoding, matching size, not
    /// empty, strictly ascending. A wider encoding than needed is fine: Redis never narrows a set.
    pub fn from_redis_bytes_validated(bytes: &[u8]) -> Result<Intset, Corrupt> {
        let Some((header, body)) = bytes.split_first_chunk::<REDIS_HEADER_LEN>() else {
            return Err(Corrupt::at(bytes.len(), "intset shorter than its header"));
        };
        let [e0, e1, e2, e3, n0, n1, n2, n3] = *header;
        let width = u32::from_le_bytes([e0, e1, e2, e3]) as usize;
        let len = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        if !matches!(width, 2 | 4 | 8) {
            return Err(Corrupt::at(0, "unknown intset encoding"));
        }
        if len == 0 || body.len() != len * width {
            return Err(Corrupt::at(4, "intset size differs from its header"));
        }
        if len > LEN_LIMIT {
            return Err(Corrupt::at(4, "intset too long"));
        }
        let member = |nth: usize| read_signed(&body[nth * width..][..width]);
        let (min, max) = (member(0), member(len - 1));
        let mut last = min;
        for nth in 1..len {
            let value = member(nth);
            if value <= last {
                return Err(Corrupt::at(REDIS_HEADER_LEN + nth * width, "intset not in ascending order"));
            }
            last = value;
        }
        let mut set = Intset::framed(width_for(span(min, max)), min, len);
        set.fill((0..len).map(member));
        Ok(set)
    }

    /// The set in Redis' layout, in the narrowest of its encodings.
    pub fn to_redis_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(REDIS_HEADER_LEN + self.len() * self.redis_encoding() as usize);
        self.write_redis_bytes(&mut out);
        out
    }

    /// As `to_redis_bytes`, behind what is in `out`.
    pub fn write_redis_bytes(&self, out: &mut Vec<u8>) {
        let encoding = self.redis_encoding();
        out.extend_from_slice(&(encoding as u32).to_le_bytes());
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        match encoding {
            RedisEncoding::Int16 => self.each(|value| out.extend_from_slice(&(value as i16).to_le_bytes())),
            RedisEncoding::Int32 => self.each(|value| out.extend_from_slice(&(value as i32).to_le_bytes())),
            RedisEncoding::Int64 => self.each(|value| out.extend_from_slice(&value.to_le_bytes())),
        }
    }

    /// Calls `f` with each member in ascending order; the width is looked at once, not per member.
    #[inline]
    fn each(&self, mut f: impl FnMut(i64)) {
        let (base, offsets) = (self.base(), self.offsets());
        let mut at = |offset: u64| f(base.wrapping_add(offset as i64));
        match self.width() {
            1 => offsets.iter().for_each(|&byte| at(byte.into())),
            2 => offsets.as_chunks().0.iter().for_each(|&two| at(u16::from_le_bytes(two).into())),
            4 => offsets.as_chunks().0.iter().for_each(|&four| at(u32::from_le_bytes(four).into())),
            _ => offsets.as_chunks().0.iter().for_each(|&eight| at(u64::from_le_bytes(eight))),
        }
    }

    /// The narrowest of Redis' encodings that holds every member.
    pub fn redis_encoding(&self) -> RedisEncoding {
        let (min, max) = (self.min().unwrap_or(0), self.max().unwrap_or(0));
        let holds = |low: i64, high: i64| min >= low && max <= high;
        if holds(i16::MIN.into(), i16::MAX.into()) {
            RedisEncoding::Int16
        } else if holds(i32::MIN.into(), i32::MAX.into()) {
            RedisEncoding::Int32
        } else {
            RedisEncoding::Int64
        }
    }

    /// Gives up the buffer, for storage behind a bare pointer.
    pub fn into_thin(self) -> ThinBytes {
        self.0
    }

    /// Takes back a buffer from [`Intset::into_thin`]. Anything else makes later calls panic.
    pub fn from_thin(thin: ThinBytes) -> Intset {
        Intset(thin)
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        (self.0.len() - HEADER_LEN) >> self.width().trailing_zeros()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.len() == HEADER_LEN
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// The member with this index in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        if index >= self.len() {
            return None;
        }
        let width = self.width();
        let offset = read_unsigned(&self.offsets()[index * width..][..width]);
        Some(self.base().wrapping_add(offset as i64))
    }

    /// The smallest member.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest member.
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// A member chosen evenly; `random(n)` returns a number below n.
    pub fn random(&self, random: impl FnOnce(u64) -> u64) -> Option<i64> {
        if self.is_empty() {
            return None;
        }
        self.get(random(self.len() as u64) as usize)
    }

    /// All members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        let base = self.base();
        let chunks = self.offsets().chunks_exact(self.width());
        chunks.map(move |offset| base.wrapping_add(read_unsigned(offset) as i64))
    }

    /// All members as elements, ascending.
    pub fn elements(&self) -> impl DoubleEndedIterator<Item = Element<'static>> + ExactSizeIterator + Clone + '_ {
        self.iter().map(Element::Int)
    }

    /// Adds `value`; false if it was there.
    ///
    /// # Panics
    /// When the set has [`LEN_LIMIT`] members already; callers convert sets long before.
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(index) = self.search(value) else {
            return false;
        };
        assert!(self.len() < LEN_LIMIT, "intset too long");
        if !self.frames(value) {
            self.reframe(value);
        }
        let width = self.width();
        let offset = value.wrapping_sub(self.base()) as u64;
        let gap = self.0.splice(HEADER_LEN + index * width, 0, width).expect("below LEN_LIMIT");
        gap.copy_from_slice(&offset.to_le_bytes()[..width]);
        true
    }

    /// Removes `value`; false if it was not there. The frame stays, so that members coming and going cost no re-encoding.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else {
            return false;
        };
        let width = self.width();
        self.0.splice(HEADER_LEN + index * width, width, 0).expect("shrinks");
        true
    }

    /// Calls `f` with each member of both sets, ascending.
    pub fn intersect(&self, other: &Intset, mut f: impl FnMut(i64)) {
        let (small, large) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        // A search costs about log2(n) steps of a merge; beyond that ratio it wins.
        if small.len().saturating_mul(1 + large.len().max(1).ilog2() as usize) < large.len() {
            small.iter().filter(|&value| large.contains(value)).for_each(f);
            return;
        }
        let (mut ours, mut theirs) = (small.iter(), large.iter());
        let (mut a, mut b) = (ours.next(), theirs.next());
        while let (Some(x), Some(y)) = (a, b) {
            match x.cmp(&y) {
                Ordering::Less => a = ours.next(),
                Ordering::Greater => b = theirs.next(),
                Ordering::Equal => {
                    f(x);
                    (a, b) = (ours.next(), theirs.next());
                }
            }
        }
    }

    /// `len` zero offsets in a frame; the caller fills them in.
    fn framed(width: usize, base: i64, len: usize) -> Intset {
        let mut thin = ThinBytes::new(HEADER_LEN + width * len).expect("below LEN_LIMIT");
        let body = thin.as_mut_slice();
        body[WIDTH_AT - 4] = width as u8;
        body[BASE_AT - 4..][..8].copy_from_slice(&base.to_le_bytes());
        Intset(thin)
    }

    /// Writes the members, which ascend, lie in the frame and are as many as there is room for.
    fn fill(&mut self, members: impl Iterator<Item = i64>) {
        let (width, base) = (self.width(), self.base());
        let slots = self.0.as_mut_slice()[HEADER_LEN - 4..].chunks_exact_mut(width);
        for (slot, member) in slots.zip(members) {
            let offset = member.wrapping_sub(base) as u64;
            slot.copy_from_slice(&offset.to_le_bytes()[..width]);
        }
    }

    fn width(&self) -> usize {
        usize::from(self.0.as_slice()[WIDTH_AT])
    }

    fn base(&self) -> i64 {
        read_signed(&self.0.as_slice()[BASE_AT..HEADER_LEN])
    }

    fn offsets(&self) -> &[u8] {
        &self.0.as_slice()[HEADER_LEN..]
    }

    /// Whether the frame holds `value`.
    fn frames(&self, value: i64) -> bool {
        let base = self.base();
        value >= base && span(base, value) <= offset_max(self.width())
    }

    /// Moves to the narrowest frame that holds the members and `value`, which the current one does not.
    fn reframe(&mut self, value: i64) {
        let (min, max) = (self.min().unwrap_or(value), self.max().unwrap_or(value));
        let (low, high) = (min.min(value), max.max(value));
        let width = width_for(span(low, high));
        // Growing downwards, the free half of the frame goes below, or a descending series would re-encode every time.
        let free = offset_max(width) - span(low, high);
        let base = if value < min { low.saturating_sub_unsigned(free / 2) } else { low };
        let mut set = Intset::framed(width, base, self.len());
        set.fill(self.iter());
        *self = set;
    }

    /// The index of `value`, or where it belongs.
    fn search(&self, value: i64) -> Result<usize, usize> {
        if !self.frames(value) {
            return Err(if value < self.base() { 0 } else { self.len() });
        }
        let offset = value.wrapping_sub(self.base()) as u64;
        let offsets = self.offsets();
        // One arm per width, so that each compares plain numbers.
        match self.width() {
            1 => offsets.binary_search(&(offset as u8)),
            2 => offsets.as_chunks().0.binary_search_by(|raw| u16::from_le_bytes(*raw).cmp(&(offset as u16))),
            4 => offsets.as_chunks().0.binary_search_by(|raw| u32::from_le_bytes(*raw).cmp(&(offset as u32))),
            _ => offsets.as_chunks().0.binary_search_by(|raw| u64::from_le_bytes(*raw).cmp(&offset)),
        }
    }
}

impl PartialEq for Intset {
    /// Equality of members; the frames may differ.
    fn eq(&self, other: &Intset) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Intset {}

/// `high - low`, which always fits unsigned.
fn span(low: i64, high: i64) -> u64 {
    debug_assert!(low <= high);
    high.wrapping_sub(low) as u64
}

fn width_for(span: u64) -> usize {
    match span {
        0..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFFFF_FFFF => 4,
        _ => 8,
    }
}

fn offset_max(width: usize) -> u64 {
    u64::MAX >> (64 - 8 * width)
}

/// A little-endian number of 1, 2, 4 or 8 bytes.
fn read_unsigned(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("widths are 1, 2, 4 and 8"),
    }
}

/// A little-endian two's complement number of 2, 4 or 8 bytes.
fn read_signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len() as u32;
    ((read_unsigned(bytes) << unused) as i64) >> unused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;
    use std::collections::BTreeSet;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn check(set: &Intset, model: &BTreeSet<i64>) {
        assert_eq!(set.len(), model.len());
        assert!(set.iter().eq(model.iter().copied()));
        assert!(set.iter().rev().eq(model.iter().rev().copied()));
        assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
        assert_eq!(set.get(model.len()), None);
    }

    #[test]
    fn agrees_with_a_tree() {
        let mut rng = Rng::seeded(42);
        let mut random = || rng.next_u64();
        for shift in [0, 1, 7, 20, 31, 33, 40, 47, 49, 54, 56, 60] {
            // Somewhere far from zero, but for the widest, which has to wrap around.
            let start = if shift > 1 { random() as i64 >> 2 } else { 0 };
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for _ in 0..800 {
                let value = start.wrapping_add(random() as i64 >> shift);
                if !random().is_multiple_of(3) {
                    assert_eq!(set.insert(value), model.insert(value));
                } else {
                    assert_eq!(set.remove(value), model.remove(&value));
                }
                assert_eq!(set.contains(value), model.contains(&value));
                assert_eq!(set.contains(value ^ 1), model.contains(&(value ^ 1)));
                if let Some(&member) = model.first().filter(|_| random().is_multiple_of(8)) {
                    assert_eq!(set.remove(member), model.remove(&member));
                }
            }
            check(&set, &model);
            let members: Vec<i64> = model.iter().copied().collect();
            assert_eq!(Intset::from_sorted(&members), set);
            if !model.is_empty() {
                let bytes = set.to_redis_bytes();
                let read = Intset::from_redis_bytes_validated(&bytes).unwrap();
                check(&read, &model);
                assert_eq!(read.to_redis_bytes(), bytes);
            }
        }
    }

    #[test]
    fn same_bytes_as_redis() {
        // Taken from DUMP on Redis 8.0.6.
        let check = |members: &[i64], text: &str, encoding| {
            let set = Intset::from_sorted(members);
            assert_eq!(set.to_redis_bytes(), hex(text));
            assert_eq!(set.redis_encoding(), encoding);
            assert_eq!(Intset::from_redis_bytes_validated(&hex(text)), Ok(set));
        };
        let int16 = "0200000008000000f6fff7ff000001000200030004001300";
        check(&[-10, -9, 0, 1, 2, 3, 4, 19], int16, RedisEncoding::Int16);
        let int32 = "0400000004000000000000800100000002000000a0860100";
        check(&[-(1 << 31), 1, 2, 100_000], int32, RedisEncoding::Int32);
        let int64 = "080000000300000000000000000000800100000000000000ffffffffffffff7f";
        check(&[i64::MIN, 1, i64::MAX], int64, RedisEncoding::Int64);
    }

    #[test]
    fn extremes_share_a_frame() {
        let mut set = Intset::new();
        let members = [0, i64::MAX, i64::MIN, -1, 1, i64::MIN + 1, i64::MAX - 1];
        for value in members {
            assert!(set.insert(value) && !set.insert(value));
        }
        check(&set, &members.into_iter().collect());
        assert_eq!(set.redis_encoding(), RedisEncoding::Int64);
        for value in members {
            assert!(set.remove(value) && !set.remove(value));
        }
        assert!(set.is_empty() && set.min().is_none() && set.max().is_none());
        assert!(set.insert(i64::MIN) && set.contains(i64::MIN));
    }

    #[test]
    fn neighbours_take_a_byte_each() {
        let mut set = Intset::new();
        for value in 0..20 {
            set.insert(1_700_000_000 + value * 7);
        }
        assert_eq!(set.memory_bytes(), 40);
        assert_eq!(set.to_redis_bytes().len(), 8 + 20 * 4);
    }

    #[test]
    fn series_reframe_seldom() {
        for step in [1_i64, -1] {
            let mut set = Intset::new();
            let model: BTreeSet<i64> = (0..20_000).map(|n| n * step).collect();
            for n in 0..20_000 {
                assert!(set.insert(n * step));
            }
            check(&set, &model);
            assert_eq!(set.width(), 2);
        }
    }

    #[test]
    fn intersections() {
        let mut rng = Rng::seeded(7);
        let mut random = || rng.next_u64();
        for (a_len, b_len, range) in [(100, 100, 150), (3, 5000, 20_000), (0, 10, 10), (1, 1, 1), (1000, 10, 2000)] {
            let mut pick = |n| (0..n).map(|_| (random() % range) as i64 - 70).collect::<BTreeSet<i64>>();
            let (a, b) = (pick(a_len), pick(b_len));
            let set = |model: &BTreeSet<i64>| Intset::from_sorted(&model.iter().copied().collect::<Vec<_>>());
            let mut found = Vec::new();
            set(&a).intersect(&set(&b), |value| found.push(value));
            assert!(found.iter().eq(a.intersection(&b)));
        }
    }

    #[test]
    fn random_reaches_all() {
        let set = Intset::from_sorted(&[-5, 3, 900]);
        let seen: Vec<i64> = (0..3).filter_map(|n| set.random(|below| n % below)).collect();
        assert_eq!(seen, [-5, 3, 900]);
        assert_eq!(Intset::new().random(|_| unreachable!()), None);
    }

    #[test]
    fn corrupt_bytes_are_refused() {
        let good = Intset::from_sorted(&[1, 2, 70_000]).to_redis_bytes();
        assert!(Intset::from_redis_bytes_validated(&good).is_ok());
        for end in 0..good.len() {
            assert!(Intset::from_redis_bytes_validated(&good[..end]).is_err());
        }
        let reason = |text| Intset::from_redis_bytes_validated(&hex(text)).unwrap_err().reason;
        assert_eq!(reason("0200000000000000"), "intset size differs from its header");
        assert_eq!(reason("0300000001000000010203"), "unknown intset encoding");
        assert_eq!(reason("020000000200000001000100"), "intset not in ascending order");
        assert_eq!(reason("020000000200000001000080"), "intset not in ascending order");
        assert_eq!(reason("08000000ffffffff0000"), "intset size differs from its header");
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let mut rng = Rng::seeded(99);
        let mut random = || rng.next_u64();
        let seeds = [
            Intset::from_sorted(&[1, 2, 3, 500]).to_redis_bytes(),
            Intset::from_sorted(&[-70_000, 2, 3, 500]).to_redis_bytes(),
            Intset::from_sorted(&[i64::MIN, 2, 3]).to_redis_bytes(),
        ];
        for round in 0..200_000 {
            let mut bytes = seeds[round % seeds.len()].clone();
            for _ in 0..1 + random() % 3 {
                let at = random() as usize % bytes.len();
                bytes[at] ^= 1 << (random() % 8);
            }
            bytes.truncate(bytes.len() - random().is_multiple_of(64) as usize);
            if let Ok(set) = Intset::from_redis_bytes_validated(&bytes) {
                assert!(set.iter().is_sorted_by(|a, b| a < b));
                assert!(set.iter().all(|value| set.contains(value)));
                let again = Intset::from_redis_bytes_validated(&set.to_redis_bytes()).unwrap();
                assert_eq!(again, set);
            }
        }
    }
}
