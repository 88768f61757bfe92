//! Bitmaps over byte strings: counting, searching, combining, and integers of any width at any bit offset.
//!
//! Bit 0 is the most significant bit of byte 0, as SETBIT numbers them, so a word read big-endian keeps the order.
//! Bytes past the end of a string read as zero everywhere.

use crate::raw::simd;
use std::ops::Range;

/// What the start and end of a BITCOUNT or BITPOS range count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Byte,
    Bit,
}

/// The number of set bits.
pub fn count_ones(bytes: &[u8]) -> u64 {
    simd::count_ones(bytes)
}

/// The number of set bits in a range of bit positions; what lies past the end counts as zero.
pub fn count_ones_in(bytes: &[u8], bits: Range<u64>) -> u64 {
    let end = bits.end.min(bit_len(bytes));
    if bits.start >= end {
        return 0;
    }
    let (first, last) = (byte_of(bits.start), byte_of(end - 1));
    let outside_left = bytes[first] & !from_bit(bits.start);
    let outside_right = bytes[last] & !until_bit(end - 1);
    count_ones(&bytes[first..=last]) - u64::from(outside_left.count_ones()) - u64::from(outside_right.count_ones())
}

/// BITCOUNT's answer for an inclusive range whose negative positions count from the end; `None` is the whole string.
pub fn bitcount(bytes: &[u8], range: Option<(i64, i64)>, unit: Unit) -> u64 {
    match range {
        None => count_ones(bytes),
        // Both before the start and crossed: clamping alone would turn this into the range 0..=0.
        Some((start, end)) if start < 0 && end < 0 && start > end => 0,
        Some((start, end)) => {
            resolve(start, end, len_in(bytes, unit)).map_or(0, |range| count_ones_in(bytes, in_bits(range, unit)))
        }
    }
}

/// The first position in a range of bits that holds `bit`. The range is cut at the end of the string.
pub fn find(bytes: &[u8], bit: bool, bits: Range<u64>) -> Option<u64> {
    let end = bits.end.min(bit_len(bytes));
    if bits.start >= end {
        return None;
    }
    let (first, last) = (byte_of(bits.start), byte_of(end - 1));
    let skip = if bit { 0 } else { 0xff };
    // Looking for a zero is looking for a one in the complement; the edges are masked after that.
    let sought = |at: usize, mask: u8| (bytes[at] ^ skip) & mask;
    let at_bit = |at: usize, sought: u8| Some(at as u64 * 8 + u64::from(sought.leading_zeros()));

    let mask = if first == last { from_bit(bits.start) & until_bit(end - 1) } else { from_bit(bits.start) };
    match sought(first, mask) {
        0 if first == last => return None,
        0 => {}
        byte => return at_bit(first, byte),
    }
    let middle = &bytes[first + 1..last];
    let words = middle.chunks_exact(8);
    let tail_start = middle.len() - words.remainder().len();
    let skip_word = u64::from_ne_bytes([skip; 8]);
    for (index, word) in words.enumerate() {
        let word = u64::from_be_bytes(word.try_into().expect("chunks of eight")) ^ skip_word;
        if word != 0 {
            return Some((first + 1 + index * 8) as u64 * 8 + u64::from(word.leading_zeros()));
        }
    }
    let tail_start = first + 1 + tail_start;
    if let Some(at) = bytes[tail_start..last].iter().position(|&byte| byte != skip) {
        return at_bit(tail_start + at, sought(tail_start + at, 0xff));
    }
    match sought(last, until_bit(end - 1)) {
        0 => None,
        byte => at_bit(last, byte),
    }
}

/// BITPOS' answer, −1 for none. Without an `end` the string is taken as followed by zeros for ever, so a search for a
/// zero succeeds just past the end; with one, only the range counts.
pub fn bitpos(bytes: &[u8], bit: bool, start: Option<i64>, end: Option<i64>, unit: Unit) -> i64 {
    let Some(range) = resolve(start.unwrap_or(0), end.unwrap_or(i64::MAX), len_in(bytes, unit)) else {
        return -1;
    };
    let found = find(bytes, bit, in_bits(range, unit));
    let padding = (!bit && end.is_none()).then(|| bit_len(bytes));
    found.or(padding).map_or(-1, |position| i64::try_from(position).unwrap_or(i64::MAX))
}

/// How BITOP combines its sources, bit by bit. X is the first source and Y every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOp {
    And,
    Or,
    Xor,
    /// Of the first source alone.
    Not,
    /// In X and in no Y.
    Diff,
    /// In some Y and not in X.
    Diff1,
    /// In X and in some Y.
    AndOr,
    /// In exactly one source.
    One,
}

/// Combines the sources into a string as long as the longest; shorter ones are extended with zeros.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let len = match op {
        BitOp::Not => sources.first().map_or(0, |source| source.len()),
        _ => sources.iter().map(|source| source.len()).max().unwrap_or(0),
    };
    let mut out = vec![0u8; len];
    let Some((x, ys)) = sources.split_first() else { return out };
    // A block stays in the first-level cache while every source passes over it.
    let mut scratch = [0u8; BLOCK];
    for (index, out) in out.chunks_mut(BLOCK).enumerate() {
        let from = index * BLOCK;
        let part = |source: &'_ [u8]| -> Range<usize> { from.min(source.len())..(from + BLOCK).min(source.len()) };
        let x = &x[part(x)];
        match op {
            BitOp::Not => fold(out, x, |_, x| !x),
            BitOp::And => {
                out[..x.len()].copy_from_slice(x);
                for y in ys {
                    let y = &y[part(y)];
                    fold(out, y, |a, y| a & y);
                    out[y.len()..].fill(0);
                }
            }
            BitOp::Or | BitOp::Xor => {
                out[..x.len()].copy_from_slice(x);
                for y in ys {
                    match op {
                        BitOp::Or => fold(out, &y[part(y)], |a, y| a | y),
                        _ => fold(out, &y[part(y)], |a, y| a ^ y),
                    }
                }
            }
            BitOp::Diff | BitOp::Diff1 | BitOp::AndOr => {
                for y in ys {
                    fold(out, &y[part(y)], |a, y| a | y);
                }
                match op {
                    BitOp::Diff => fold(out, x, |any, x| x & !any),
                    BitOp::Diff1 => fold(out, x, |any, x| any & !x),
                    _ => fold(out, x, |any, x| any & x),
                }
                if op != BitOp::Diff1 {
                    out[x.len()..].fill(0);
                }
            }
            BitOp::One => {
                // `out` gathers what was seen once, `scratch` what was seen again.
                scratch.fill(0);
                out[..x.len()].copy_from_slice(x);
                for y in ys {
                    let y = &y[part(y)];
                    for ((seen, again), &y) in out.iter_mut().zip(&mut scratch).zip(y) {
                        *again |= *seen & y;
                        *seen |= y;
                    }
                }
                fold(out, &scratch[..out.len()], |seen, again| seen & !again);
            }
        }
    }
    out
}

const BLOCK: usize = 4096;

/// Over the bytes both have; the plain loop is what the compiler turns into vector code.
fn fold(out: &mut [u8], source: &[u8], op: impl Fn(u8, u8) -> u8) {
    for (out, &source) in out.iter_mut().zip(source) {
        *out = op(*out, source);
    }
}

/// The type of a BITFIELD integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u8,
}

impl FieldType {
    /// `None` unless there are 1..=64 bits, or 1..=63 for an unsigned field (its values must fit a signed reply).
    pub fn new(signed: bool, bits: u8) -> Option<FieldType> {
        let max = if signed { 64 } else { 63 };
        (1..=max).contains(&bits).then_some(FieldType { signed, bits })
    }

    /// Reads `u8`, `i16` and the like.
    pub fn parse(text: &[u8]) -> Option<FieldType> {
        let (signed, digits) = match text {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return None,
        };
        match digits {
            [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'] => {
                FieldType::new(signed, digits.iter().fold(0, |n, d| n * 10 + (d - b'0')))
            }
            _ => None,
        }
    }

    pub fn signed(self) -> bool {
        self.signed
    }

    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The least and the greatest value.
    fn bounds(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// Applies an overflow rule to an exact result; `None` when the rule refuses.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        let fitted = match overflow {
            _ if (min..=max).contains(&exact) => exact,
            Overflow::Wrap => i128::from(self.extend(exact as u64)),
            Overflow::Saturate => exact.clamp(min, max),
            Overflow::Fail => return None,
        };
        i64::try_from(fitted).ok()
    }

    /// The value of the lowest `bits` bits.
    fn extend(self, raw: u64) -> i64 {
        let unused = 64 - u32::from(self.bits);
        match self.signed {
            true => (raw << unused) as i64 >> unused,
            false => (raw << unused >> unused) as i64,
        }
    }
}

/// What BITFIELD does with a value its type cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// The field at a bit offset.
pub fn get_field(bytes: &[u8], offset: u64, field: FieldType) -> i64 {
    let shift = 128 - (offset % 8) as u32 - u32::from(field.bits);
    field.extend((window(bytes, offset) >> shift) as u64)
}

/// Stores the low bits of `value` at a bit offset. The string must reach as far as [`field_end`] says: what would
/// fall outside is dropped.
pub fn set_field(bytes: &mut [u8], offset: u64, field: FieldType, value: i64) {
    let shift = 128 - (offset % 8) as u32 - u32::from(field.bits);
    let ones = u128::from(u64::MAX >> (64 - u32::from(field.bits)));
    let merged = (window(bytes, offset) & !(ones << shift)) | ((value as u64 as u128 & ones) << shift);
    if let Some(tail) = usize::try_from(offset / 8).ok().and_then(|first| bytes.get_mut(first..)) {
        let len = tail.len().min(WINDOW);
        tail[..len].copy_from_slice(&merged.to_be_bytes()[..len]);
    }
}

/// How long the string must be, in bytes, to hold the field; `None` past the range of the offset.
pub fn field_end(offset: u64, field: FieldType) -> Option<u64> {
    Some(offset.checked_add(u64::from(field.bits))?.div_ceil(8))
}

/// BITFIELD SET's new value. A negative value for an unsigned field is taken as the huge unsigned number of the same
/// bits, so it saturates to the greatest value. So does a signed value so low that its distance to the greatest does not
/// fit 64 bits: the reference measures that distance first.
pub fn fit_set(field: FieldType, value: i64, overflow: Overflow) -> Option<i64> {
    if !field.signed {
        return field.fit(i128::from(value as u64), overflow);
    }
    let exact = i128::from(value);
    let max = field.bounds().1;
    if overflow == Overflow::Saturate && max < i128::from(i64::MAX) && max - exact > i128::from(i64::MAX) {
        return i64::try_from(max).ok();
    }
    field.fit(exact, overflow)
}

/// BITFIELD INCRBY's new value.
pub fn fit_increment(field: FieldType, value: i64, by: i64, overflow: Overflow) -> Option<i64> {
    field.fit(i128::from(value) + i128::from(by), overflow)
}

/// The bit at an offset.
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte >> (7 - offset % 8) & 1 == 1)
}

/// Sets or clears the bit at an offset inside the string; the previous bit, or `None` outside of it.
pub fn set_bit(bytes: &mut [u8], offset: u64, bit: bool) -> Option<bool> {
    let byte = bytes.get_mut(usize::try_from(offset / 8).ok()?)?;
    let mask = 0x80 >> (offset % 8);
    let before = *byte & mask != 0;
    *byte = if bit { *byte | mask } else { *byte & !mask };
    Some(before)
}

/// The bytes a 64-bit field can touch at any offset.
const WINDOW: usize = 9;

/// The bytes from the offset's one on, first byte on top; past the end zeros.
fn window(bytes: &[u8], offset: u64) -> u128 {
    let tail = usize::try_from(offset / 8).ok().and_then(|first| bytes.get(first..)).unwrap_or(&[]);
    let mut raw = [0u8; 16];
    let len = tail.len().min(WINDOW);
    raw[..len].copy_from_slice(&tail[..len]);
    u128::from_be_bytes(raw)
}

/// An inclusive range with negative positions counted from the end, made half-open and cut to `len`.
fn resolve(start: i64, end: i64, len: u64) -> Option<Range<u64>> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (absolute(start), absolute(end).min(len - 1));
    (start <= end).then(|| start as u64..end as u64 + 1)
}

fn len_in(bytes: &[u8], unit: Unit) -> u64 {
    match unit {
        Unit::Byte => bytes.len() as u64,
        Unit::Bit => bit_len(bytes),
    }
}

fn in_bits(range: Range<u64>, unit: Unit) -> Range<u64> {
    match unit {
        Unit::Byte => range.start * 8..range.end * 8,
        Unit::Bit => range,
    }
}

fn bit_len(bytes: &[u8]) -> u64 {
    bytes.len() as u64 * 8
}

fn byte_of(bit: u64) -> usize {
    (bit / 8) as usize
}

/// The bits of a byte from a position on.
fn from_bit(bit: u64) -> u8 {
    0xff >> (bit % 8)
}

/// The bits of a byte up to and including a position.
fn until_bit(bit: u64) -> u8 {
    0xff << (7 - bit % 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;

    fn random_bytes(next: &mut impl FnMut(u64) -> u64, len: u64) -> Vec<u8> {
        let style = next(4);
        (0..len)
            .map(|_| match style {
                0 => 0,
                1 => 0xff,
                2 if next(20) > 0 => 0xff,
                3 if next(20) > 0 => 0,
                _ => next(256) as u8,
            })
            .collect()
    }

    #[test]
    fn counts_and_finds_like_a_loop() {
        let mut rng = Rng::seeded(7);
        let mut next = |n: u64| rng.below(n);
        for _ in 0..4_000 {
            let len = next(40) + next(2) * next(300);
            let bytes = random_bytes(&mut next, len);
            let bits = bytes.len() as u64 * 8;
            let (start, end) = (next(bits + 9), next(bits + 9));
            let ones = (start..end.min(bits)).filter(|&at| get_bit(&bytes, at)).count() as u64;
            assert_eq!(count_ones_in(&bytes, start..end), ones);
            for bit in [false, true] {
                let expected = (start..end.min(bits)).find(|&at| get_bit(&bytes, at) == bit);
                assert_eq!(find(&bytes, bit, start..end), expected, "{bytes:?} {bit} {start}..{end}");
            }
        }
        let big: Vec<u8> = (0..100_003u32).map(|n| (n * 37 % 251) as u8).collect();
        assert_eq!(count_ones(&big), big.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>());
    }

    #[test]
    fn ranges_as_the_commands_give_them() {
        let foobar = b"foobar";
        assert_eq!(bitcount(foobar, None, Unit::Byte), 26);
        assert_eq!(bitcount(foobar, Some((0, 0)), Unit::Byte), 4);
        assert_eq!(bitcount(foobar, Some((5, 30)), Unit::Bit), 17);
        assert_eq!(bitcount(foobar, Some((-2, -1)), Unit::Byte), 7);
        assert_eq!(bitcount(foobar, Some((-100, -200)), Unit::Byte), 0);
        assert_eq!(bitcount(foobar, Some((-200, -100)), Unit::Byte), 4);
        assert_eq!(bitcount(b"", Some((0, -1)), Unit::Byte), 0);
        assert_eq!(bitcount(foobar, Some((i64::MIN, i64::MAX)), Unit::Bit), 26);
        assert_eq!(bitpos(b"\xff\xf0\x00", false, None, None, Unit::Byte), 12);
        assert_eq!(bitpos(b"\x00\xff\xf0", true, Some(2), None, Unit::Byte), 16);
        assert_eq!(bitpos(b"\x00\xff\xf0", true, Some(7), Some(15), Unit::Bit), 8);
        assert_eq!(bitpos(b"\xff\xff", false, None, None, Unit::Byte), 16);
        assert_eq!(bitpos(b"\xff\xff", false, Some(0), Some(-1), Unit::Byte), -1);
        assert_eq!(bitpos(b"\xff\xff", false, Some(2), None, Unit::Byte), -1);
        assert_eq!(bitpos(b"\x00", true, None, None, Unit::Byte), -1);
    }

    #[test]
    fn combines_like_a_loop() {
        let mut rng = Rng::seeded(11);
        let mut next = |n: u64| rng.below(n);
        let ops = [BitOp::And, BitOp::Or, BitOp::Xor, BitOp::Not, BitOp::Diff, BitOp::Diff1, BitOp::AndOr, BitOp::One];
        for round in 0..400 {
            let longest = if round % 20 == 0 { 10_000 } else { 70 };
            let sources: Vec<Vec<u8>> = (0..1 + next(5))
                .map(|_| {
                    let len = next(longest);
                    (0..len).map(|_| next(256) as u8).collect()
                })
                .collect();
            let refs: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            for op in ops {
                let got = combine(op, &refs);
                let count = if op == BitOp::Not { 1 } else { refs.len() };
                let len = refs[..count].iter().map(|source| source.len()).max().unwrap();
                assert_eq!(got.len(), len);
                for (at, &got) in got.iter().enumerate() {
                    let byte = |source: &&[u8]| source.get(at).copied().unwrap_or(0);
                    let (x, ys) = (byte(&refs[0]), &refs[1..]);
                    let any = ys.iter().map(byte).fold(0, |a, b| a | b);
                    let expected = match op {
                        BitOp::And => ys.iter().map(byte).fold(x, |a, b| a & b),
                        BitOp::Or => x | any,
                        BitOp::Xor => ys.iter().map(byte).fold(x, |a, b| a ^ b),
                        BitOp::Not => !x,
                        BitOp::Diff => x & !any,
                        BitOp::Diff1 => any & !x,
                        BitOp::AndOr => any & x,
                        BitOp::One => (0..8)
                            .map(|bit| 1u8 << bit)
                            .filter(|bit| refs.iter().filter(|source| byte(source) & bit != 0).count() == 1)
                            .sum(),
                    };
                    assert_eq!(got, expected, "{op:?} at {at}");
                }
            }
        }
        assert!(combine(BitOp::Or, &[]).is_empty());
    }

    #[test]
    fn fields_round_trip_at_any_offset() {
        let mut rng = Rng::seeded(13);
        let mut next = |n: u64| rng.below(n);
        for _ in 0..20_000 {
            let signed = next(2) == 0;
            let field = FieldType::new(signed, 1 + next(if signed { 64 } else { 63 }) as u8).unwrap();
            let mut bytes: Vec<u8> = (0..20).map(|_| next(256) as u8).collect();
            let offset = next(160 - u64::from(field.bits()) + 1);
            let before = bytes.clone();
            let value = field.extend(next(u64::MAX) << next(2));
            set_field(&mut bytes, offset, field, value);
            assert_eq!(get_field(&bytes, offset, field), value);
            let mut model = before.clone();
            for bit in 0..u64::from(field.bits()) {
                let one = value as u64 >> (u64::from(field.bits()) - 1 - bit) & 1 == 1;
                set_bit(&mut model, offset + bit, one).unwrap();
            }
            assert_eq!(bytes, model);
        }
        let u8_ = FieldType::new(false, 8).unwrap();
        assert_eq!(get_field(b"\xff", 4, u8_), 0xf0);
        assert_eq!(get_field(b"\xff", u64::MAX, u8_), 0);
        assert_eq!(field_end(u64::MAX, u8_), None);
        assert_eq!(field_end(9, u8_), Some(3));
        set_field(&mut [], 3, u8_, 1);
    }

    #[test]
    fn overflow_rules() {
        use Overflow::*;
        let (u8_, i8_) = (FieldType::parse(b"u8").unwrap(), FieldType::parse(b"i8").unwrap());
        let i64_ = FieldType::parse(b"i64").unwrap();
        assert_eq!(fit_increment(u8_, 250, 10, Wrap), Some(4));
        assert_eq!(fit_increment(u8_, 250, 10, Saturate), Some(255));
        assert_eq!(fit_increment(u8_, 250, 10, Fail), None);
        assert_eq!(fit_increment(u8_, 3, -10, Wrap), Some(249));
        assert_eq!(fit_increment(u8_, 3, -10, Saturate), Some(0));
        assert_eq!(fit_increment(i8_, 127, 1, Wrap), Some(-128));
        assert_eq!(fit_increment(i8_, -128, -1, Saturate), Some(-128));
        assert_eq!(fit_increment(i64_, i64::MAX, 1, Wrap), Some(i64::MIN));
        assert_eq!(fit_increment(i64_, i64::MAX, 1, Saturate), Some(i64::MAX));
        assert_eq!(fit_increment(i64_, i64::MIN, i64::MAX, Fail), Some(-1));
        assert_eq!(fit_set(u8_, -1, Saturate), Some(255), "a negative value is a huge one");
        assert_eq!(fit_set(i8_, i64::MIN, Saturate), Some(127), "too far from the greatest");
        assert_eq!(fit_set(i8_, i64::MIN + 128, Saturate), Some(-128));
        assert_eq!(fit_set(i64_, i64::MIN, Saturate), Some(i64::MIN));
        assert_eq!(fit_set(u8_, 257, Wrap), Some(1));
        assert_eq!(fit_set(i8_, 200, Wrap), Some(-56));
        assert_eq!(fit_set(i8_, 200, Fail), None);
        for bad in ["u64", "i65", "u0", "i", "x8", "u08", "u-1", "u100"] {
            assert_eq!(FieldType::parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(FieldType::parse(b"u63").is_some());
    }
}
