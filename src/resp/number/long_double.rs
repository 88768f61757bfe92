//! The x87's extended format in software: a sign, 15 bits of exponent and a significand of 64.
//!
//! INCRBYFLOAT and HINCRBYFLOAT are defined by it: 0.1 + 0.2 is 0.3 there and 0.30000000000000004 in doubles. Doing it in
//! software gives the same sums on every machine. Reading and printing are exact, by wide integers where 128 bits do not do.

use super::binary::{self, Binary, Format};
use super::{mantissa, split_sign};
use std::cmp::Ordering;

/// A number of the extended format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `significand * 2^exponent`. The significand's first bit is set, except at the smallest exponent.
    Finite {
        significand: u64,
        exponent: i64,
    },
    Infinite,
    Nan,
}

const EXTENDED: Format = Format { precision: 64, exponent_min: -16445, exponent_max: 16320 };

/// Longer texts are not read as numbers.
const TEXT_MAX: usize = 5 * 1024 - 1;
/// Numbers from ten to this power on are too large for the format.
const DECIMAL_MAX: i64 = 4933;
/// Numbers below ten to this power are nearer to zero than to the smallest number.
const DECIMAL_MIN: i64 = -4951;
/// Digits printed after the point.
const DECIMALS: usize = 17;
const TEN_TO_19: u64 = 10_000_000_000_000_000_000;

impl LongDouble {
    /// The number nearest to what `text` says: decimal, hexadecimal or infinity, as C's `strtold` reads them. Refused are NaN,
    /// space around the number, texts above 5119 bytes, and numbers too large for the format or so small that they become zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, digits) = split_sign(text);
        let kind = if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            Kind::Infinite
        } else {
            let number = match digits {
                [b'0', b'x' | b'X', digits @ ..] => binary::parse_hex(digits)?,
                _ => parse_decimal(digits)?,
            };
            let (significand, exponent) = number.round(&EXTENDED)?;
            if significand == 0 && (number.significand != 0 || number.sticky) {
                return None;
            }
            Kind::Finite { significand, exponent }
        };
        Some(LongDouble { negative, kind })
    }

    /// True for the result of infinity minus infinity.
    pub fn is_nan(self) -> bool {
        self.kind == Kind::Nan
    }

    /// True for numbers beyond the format.
    pub fn is_infinite(self) -> bool {
        self.kind == Kind::Infinite
    }

    /// True for numbers below zero, and for minus zero.
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// A thousand times the number, rounded up to an integer: seconds as milliseconds. `None` beyond 64 bits.
    pub fn thousandfold_up(self) -> Option<i64> {
        let Kind::Finite { significand, exponent } = self.kind else { return None };
        // The product is a number of this format as well, rounded to nearest: 0.1 is to become 100, not 101.
        let product = u128::from(significand) * 1000;
        let excess = 64_u32.saturating_sub(product.leading_zeros());
        let (kept, lost) = (product >> excess, product & ((1 << excess) - 1));
        let half = (1 << excess) >> 1;
        let up = excess > 0 && (lost > half || lost == half && kept & 1 == 1);
        let (kept, exponent) = (kept + u128::from(up), exponent + i64::from(excess));
        let magnitude = match exponent {
            // More than 65 bits go: nothing is left of the number but that it is not zero.
            ..-65 => u128::from(kept > 0 && !self.negative),
            -65..=0 => {
                let whole = kept >> -exponent;
                whole + u128::from(!self.negative && whole << -exponent != kept)
            }
            _ if kept == 0 => 0,
            _ if exponent > 62 => return None,
            _ => kept << exponent,
        };
        let magnitude = i64::try_from(magnitude).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// Appends the number in decimal: never an exponent, at most 17 digits after the point, rounded to even on ties, without
    /// trailing zeros.
    pub fn write(self, out: &mut Vec<u8>) {
        let Kind::Finite { significand, exponent } = self.kind else {
            let text: &[u8] = match (self.is_nan(), self.negative) {
                (true, _) => b"nan",
                (false, false) => b"inf",
                (false, true) => b"-inf",
            };
            return out.extend_from_slice(text);
        };
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        match exponent {
            ..0 => write_fraction(out, significand, -exponent as u64),
            0..=64 => out.extend_from_slice(itoa::Buffer::new().format(u128::from(significand) << exponent).as_bytes()),
            _ => Big::shifted(significand, exponent as usize).write(out),
        }
        if out[start..] == *b"-0" {
            out.remove(start);
        }
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        let number = Binary { significand: u128::from(value.unsigned_abs()), exponent: 0, sticky: false };
        LongDouble { negative: value < 0, kind: finite_or_infinite(number) }
    }
}

impl std::ops::Add for LongDouble {
    type Output = Self;

    /// The sum, rounded to the nearest number of the format.
    fn add(self, other: Self) -> Self {
        let (a, b) = match (self.kind, other.kind) {
            (Kind::Finite { significand: a, exponent: x }, Kind::Finite { significand: b, exponent: y }) => ((x, a), (y, b)),
            (Kind::Nan, _) | (_, Kind::Finite { .. }) => return self,
            (Kind::Infinite, Kind::Infinite) if self.negative != other.negative => {
                return LongDouble { negative: false, kind: Kind::Nan };
            }
            _ => return other,
        };
        // The smaller number moves under the larger; 62 bits below the significand keep what decides the rounding.
        let (negative, larger, smaller) =
            if a.cmp(&b) == Ordering::Less { (other.negative, b, a) } else { (self.negative, a, b) };
        let distance = (larger.0 - smaller.0).min(127) as u32;
        let wide = u128::from(smaller.1) << 62;
        let moved = wide >> distance;
        let sticky = moved << distance != wide;
        let larger_wide = u128::from(larger.1) << 62;
        let significand = if self.negative == other.negative {
            larger_wide + moved
        } else {
            // What was cut off makes the difference smaller by less than one unit.
            larger_wide - moved - u128::from(sticky)
        };
        // A difference of nothing has no sign, as long as it is not the sum of two negative zeros.
        let negative = if significand == 0 { self.negative && other.negative } else { negative };
        let number = Binary { significand, exponent: larger.0 - 62, sticky };
        LongDouble { negative, kind: finite_or_infinite(number) }
    }
}

fn finite_or_infinite(number: Binary) -> Kind {
    match number.round(&EXTENDED) {
        Some((significand, exponent)) => Kind::Finite { significand, exponent },
        None => Kind::Infinite,
    }
}

/// A decimal number without its sign, exact as far as rounding needs.
fn parse_decimal(text: &[u8]) -> Option<Binary> {
    let zero = Binary { significand: 0, exponent: 0, sticky: false };
    let number_len = mantissa(text).count();
    let (number, exponent) = text.split_at(number_len);
    let exponent = match exponent {
        [] => 0,
        exponent => binary::parse_exponent(&exponent[1..])?,
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(point) => (&number[..point], &number[point + 1..]),
        None => (number, &[][..]),
    };
    let digits = || whole.iter().chain(fraction);
    if digits().next().is_none() || !digits().all(u8::is_ascii_digit) {
        return None;
    }
    let leading = digits().take_while(|byte| **byte == b'0').count();
    let trailing = digits().rev().take_while(|byte| **byte == b'0').count();
    let count = whole.len() + fraction.len();
    if leading == count {
        return Some(zero);
    }
    // The number is its significant digits, as an integer, times a power of ten.
    let power = exponent - fraction.len() as i64 + trailing as i64;
    let count = count - leading - trailing;
    let magnitude = power + count as i64;
    if !(DECIMAL_MIN..=DECIMAL_MAX).contains(&magnitude) {
        return None;
    }
    let digits = digits().skip(leading).take(count).map(|byte| u64::from(byte - b'0'));

    if count <= 19 && power.abs() <= 27 {
        let value = u128::from(digits.fold(0u64, |value, digit| value * 10 + digit));
        let ten = 10u128.pow(power.unsigned_abs() as u32);
        if power < 0 {
            return Some(divide_small(value, ten));
        }
        if let Some(significand) = value.checked_mul(ten) {
            return Some(Binary { significand, exponent: 0, sticky: false });
        }
        return Some(Big::from_u128(value).times_ten_to(power as usize).leading());
    }
    let mut value = Big::default();
    digits.for_each_chunk(|factor, add| value.multiply_add(factor, add));
    if power >= 0 {
        return Some(value.times_ten_to(power as usize).leading());
    }
    Some(divide(value, Big::from_u128(1).times_ten_to(power.unsigned_abs() as usize)))
}

/// Groups digits into words of up to nineteen.
trait Chunks: Iterator<Item = u64> + Sized {
    /// Calls `each` with ten to the number of digits in the group, and their value.
    fn for_each_chunk(self, mut each: impl FnMut(u64, u64)) {
        let (mut factor, mut value) = (1, 0);
        for digit in self {
            (factor, value) = (factor * 10, value * 10 + digit);
            if factor == TEN_TO_19 {
                each(factor, value);
                (factor, value) = (1, 0);
            }
        }
        if factor > 1 {
            each(factor, value);
        }
    }
}

impl<T: Iterator<Item = u64>> Chunks for T {}

/// Bits of a quotient that are worked out: two more than the format has.
const QUOTIENT_BITS: i64 = 67;

/// `a / b`, both below 2^127 and not zero.
fn divide_small(a: u128, b: u128) -> Binary {
    let (width_a, width_b) = (a.leading_zeros(), b.leading_zeros());
    let width = width_a.min(width_b);
    let (mut rest, divisor) = (a << (width_a - width), b << (width_b - width));
    let mut quotient = 0u128;
    for _ in 0..QUOTIENT_BITS {
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
        rest <<= 1;
    }
    let exponent = i64::from(width_b) - i64::from(width_a) - (QUOTIENT_BITS - 1);
    Binary { significand: quotient, exponent, sticky: rest != 0 }
}

/// `a / b` for numbers of any size, not zero.
fn divide(mut a: Big, mut b: Big) -> Binary {
    let (bits_a, bits_b) = (a.bits(), b.bits());
    let bits = bits_a.max(bits_b);
    a.shift_left(bits - bits_a);
    b.shift_left(bits - bits_b);
    let mut quotient = 0u128;
    for _ in 0..QUOTIENT_BITS {
        quotient <<= 1;
        if a.compare(&b) != Ordering::Less {
            a.subtract(&b);
            quotient |= 1;
        }
        a.shift_left(1);
    }
    let exponent = bits_a as i64 - bits_b as i64 - (QUOTIENT_BITS - 1);
    Binary { significand: quotient, exponent, sticky: a.bits() > 0 }
}

/// Appends `significand / 2^shift`.
fn write_fraction(out: &mut Vec<u8>, significand: u64, shift: u64) {
    const UNIT: u128 = 10u128.pow(DECIMALS as u32);

    // Below 2^121, so a shift of 122 and more leaves less than half of the last digit.
    let scaled = u128::from(significand) * UNIT;
    let rounded = if shift >= 122 {
        0
    } else {
        let kept = scaled >> shift;
        let rest = scaled & ((1 << shift) - 1);
        let half = 1 << (shift - 1);
        kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
    };
    out.extend_from_slice(itoa::Buffer::new().format(rounded / UNIT).as_bytes());
    let mut fraction = (rounded % UNIT) as u64;
    if fraction > 0 {
        let mut decimals = [b'0'; DECIMALS];
        let mut last = 0;
        for (at, decimal) in decimals.iter_mut().enumerate().rev() {
            *decimal = b'0' + (fraction % 10) as u8;
            fraction /= 10;
            if *decimal != b'0' && last == 0 {
                last = at + 1;
            }
        }
        out.push(b'.');
        out.extend_from_slice(&decimals[..last]);
    }
}

/// A non-negative integer of any size: words from the lowest, the highest not zero.
#[derive(Clone, Debug, Default)]
struct Big(Vec<u64>);

impl Big {
    fn from_u128(value: u128) -> Self {
        let mut made = Big(vec![value as u64, (value >> 64) as u64]);
        made.trim();
        made
    }

    /// `significand * 2^shift`.
    fn shifted(significand: u64, shift: usize) -> Self {
        let mut made = Big::from_u128(u128::from(significand));
        made.shift_left(shift);
        made
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Number of bits up to the highest set one.
    fn bits(&self) -> usize {
        self.0.last().map_or(0, |high| 64 * self.0.len() - high.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u64, add: u64) {
        let mut carry = add;
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + u128::from(carry);
            (*word, carry) = (product as u64, (product >> 64) as u64);
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    fn times_ten_to(mut self, power: usize) -> Self {
        for _ in 0..power / 19 {
            self.multiply_add(TEN_TO_19, 0);
        }
        self.multiply_add(10u64.pow((power % 19) as u32), 0);
        self
    }

    fn shift_left(&mut self, by: usize) {
        let bits = by % 64;
        if bits > 0 {
            let mut carry = 0;
            for word in &mut self.0 {
                (*word, carry) = (*word << bits | carry, *word >> (64 - bits));
            }
            if carry > 0 {
                self.0.push(carry);
            }
        }
        if by >= 64 && !self.0.is_empty() {
            self.0.splice(..0, std::iter::repeat_n(0, by / 64));
        }
    }

    fn compare(&self, other: &Big) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Takes away `other`, which is not larger.
    fn subtract(&mut self, other: &Big) {
        let mut borrow = false;
        for (at, word) in self.0.iter_mut().enumerate() {
            let (less, under) = word.overflowing_sub(other.0.get(at).copied().unwrap_or(0));
            let (less, under_again) = less.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (less, under || under_again);
        }
        self.trim();
    }

    /// The highest 128 bits, and whether anything is below them.
    fn leading(&self) -> Binary {
        let skip = self.bits().saturating_sub(128);
        let word = |at: usize| self.0.get(at).copied().unwrap_or(0);
        let (first, bits) = (skip / 64, skip % 64);
        let mut significand = u128::from(word(first)) >> bits;
        significand |= u128::from(word(first + 1)) << (64 - bits);
        if bits > 0 {
            significand |= u128::from(word(first + 2)) << (128 - bits);
        }
        let sticky = (0..first).any(|at| self.0[at] != 0) || word(first) & ((1 << bits) - 1) != 0;
        Binary { significand, exponent: skip as i64, sticky }
    }

    /// Appends the number in decimal.
    fn write(mut self, out: &mut Vec<u8>) {
        let mut groups = Vec::with_capacity(self.0.len() * 65 / 63 + 1);
        while !self.0.is_empty() {
            let mut rest = 0;
            for word in self.0.iter_mut().rev() {
                let dividend = u128::from(rest) << 64 | u128::from(*word);
                *word = (dividend / u128::from(TEN_TO_19)) as u64;
                rest = (dividend % u128::from(TEN_TO_19)) as u64;
            }
            groups.push(rest);
            self.trim();
        }
        let mut groups = groups.into_iter().rev();
        out.extend_from_slice(itoa::Buffer::new().format(groups.next().unwrap_or(0)).as_bytes());
        for group in groups {
            let mut text = itoa::Buffer::new();
            let text = text.format(group).as_bytes();
            out.extend(std::iter::repeat_n(b'0', 19 - text.len()));
            out.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Division has a quick way for numbers of one or two words; both come to the same quotient.
    #[test]
    fn divisions_agree() {
        let mut rng = crate::clock::Rng::seeded(0x5eed_0007u64);
        let mut random = || {
            let state = rng.next_u64();
            (u128::from(state) << 26 | 1) >> (state % 80)
        };
        for _ in 0..20_000 {
            let (a, b) = (random().max(1), random().max(1));
            let (small, big) = (divide_small(a, b), divide(Big::from_u128(a), Big::from_u128(b)));
            assert_eq!((small.significand, small.exponent, small.sticky), (big.significand, big.exponent, big.sticky));
        }
    }

    #[test]
    fn wide_integers_print_in_full() {
        let mut out = Vec::new();
        Big::from_u128(1).times_ten_to(300).write(&mut out);
        assert_eq!(out, ["1", &"0".repeat(300)].concat().into_bytes());
        let power = Big::from_u128(1).times_ten_to(300);
        let leading = power.leading();
        assert_eq!(leading.exponent as usize, power.bits() - 128);
        assert!(leading.significand >> 127 == 1 && leading.sticky);
    }
}
