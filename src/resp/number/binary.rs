//! Exact binary numbers on their way to a floating point format: a wide significand, an exponent, and whether anything was
//! cut off below. Rounding happens once, here, to the nearest and to even on ties.

/// The positive number `significand * 2^exponent`, and a bit more if `sticky`: less than one unit of the significand.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    pub significand: u128,
    pub exponent: i64,
    pub sticky: bool,
}

/// A floating point format, by what rounding needs to know of it.
pub struct Format {
    /// Bits of a full significand.
    pub precision: i64,
    /// Exponent of the significand's last bit in the smallest numbers.
    pub exponent_min: i64,
    /// The same in the largest numbers.
    pub exponent_max: i64,
}

/// IEEE 754 binary64.
const DOUBLE: Format = Format { precision: 53, exponent_min: -1074, exponent_max: 971 };

impl Binary {
    /// The nearest number of a format: a significand with all its bits (fewer only at the smallest exponent; zero if the
    /// number is too small) and its exponent. `None` if the number is too large.
    pub fn round(self, format: &Format) -> Option<(u64, i64)> {
        if self.significand == 0 {
            return Some((0, format.exponent_min));
        }
        let bits = 128 - i64::from(self.significand.leading_zeros());
        let mut drop = (bits - format.precision).max(format.exponent_min - self.exponent);
        let mut kept = match drop {
            ..=0 => self.significand << -drop,
            1..=128 => {
                let kept = self.significand.checked_shr(drop as u32).unwrap_or(0);
                let half = 1u128 << (drop - 1);
                let rest = self.significand & (half | (half - 1));
                let up = rest > half || (rest == half && (self.sticky || kept & 1 == 1));
                kept + u128::from(up)
            }
            _ => 0,
        };
        if kept >> format.precision != 0 {
            kept >>= 1;
            drop += 1;
        }
        let exponent = self.exponent + drop;
        (exponent <= format.exponent_max).then_some((kept as u64, exponent))
    }

    /// The nearest double; `None` if the number is too large, or not zero but so small that it would become zero.
    pub fn to_f64(self) -> Option<f64> {
        let (kept, exponent) = self.round(&DOUBLE)?;
        if kept == 0 && (self.significand != 0 || self.sticky) {
            return None;
        }
        let hidden = 1u64 << (DOUBLE.precision - 1);
        let biased = if kept < hidden { 0 } else { (exponent - DOUBLE.exponent_min + 1) as u64 };
        Some(f64::from_bits(biased << (DOUBLE.precision - 1) | (kept & (hidden - 1))))
    }
}

/// A hexadecimal number after its `0x`: digits with at most one point among them, then perhaps `p` and a binary exponent.
pub fn parse_hex(text: &[u8]) -> Option<Binary> {
    let mut number = Binary { significand: 0, exponent: 0, sticky: false };
    let mut at = 0;
    let (mut point, mut digits) = (false, false);
    while let Some(&byte) = text.get(at) {
        if let Some(digit) = (byte as char).to_digit(16) {
            digits = true;
            let scale = if number.significand >> 124 == 0 {
                number.significand = number.significand << 4 | u128::from(digit);
                if point { -4 } else { 0 }
            } else {
                number.sticky |= digit != 0;
                if point { 0 } else { 4 }
            };
            number.exponent += scale;
        } else if byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        at += 1;
    }
    if !digits {
        return None;
    }
    match &text[at..] {
        [] => {}
        [b'p' | b'P', exponent @ ..] => number.exponent = number.exponent.saturating_add(parse_exponent(exponent)?),
        _ => return None,
    }
    Some(number)
}

/// An exponent's sign and digits; beyond any that makes a difference it stays where it is.
pub fn parse_exponent(text: &[u8]) -> Option<i64> {
    const ENOUGH: i64 = 1 << 40;

    let (negative, digits) = super::split_sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value: i64, byte| (value * 10 + i64::from(byte - b'0')).min(ENOUGH));
    Some(if negative { -value } else { value })
}
