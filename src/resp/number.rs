//! Numbers as text, by the rules that clients have come to rely on.
//!
//! A number is accepted only if the whole text is one, and integers only in the one form in which they would be printed, so
//! that a value can be stored as an integer and read back unchanged. Doubles are printed by Grisu2, see [`grisu`];
//! INCRBYFLOAT and HINCRBYFLOAT count in the x87's 80-bit format, see [`LongDouble`].

mod binary;
mod grisu;
mod long_double;

pub use long_double::LongDouble;

/// The integer that `text` is, if it is one in canonical form: no plus sign, leading zeros, spaces or "-0".
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    if digits.len() > 19 {
        return None;
    }
    // Nineteen digits fit into 64 bits without a sign.
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// The unsigned integer that `text` is, as the halves of stream IDs are read: canonical integers by the rule above, so no
/// negative ones, and what C's `strtoull` makes of the rest: leading space, a sign and zeros are fine, and a minus sign
/// before a number that is not canonical counts down from 2^64.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// The double nearest to what `text` says: decimal or hexadecimal as C writes them, or infinity. Refused are NaN, space
/// around the number, numbers too large for a double, and numbers so small that they would become zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // Most scores are small integers, which are exact.
    if text.len() <= 15
        && let Some(value) = parse_i64(text)
    {
        return Some(value as f64);
    }
    let (negative, digits) = split_sign(text);
    if let [b'0', b'x' | b'X', digits @ ..] = digits {
        let value = binary::parse_hex(digits)?.to_f64()?;
        return Some(if negative { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let lost = if value.is_infinite() {
        // The word, as opposed to a number that is too large.
        digits.first().is_some_and(|byte| !matches!(byte, b'i' | b'I'))
    } else {
        value == 0.0 && mantissa(digits).any(|byte| matches!(byte, b'1'..=b'9'))
    };
    (!value.is_nan() && !lost).then_some(value)
}

/// Appends `value` in decimal.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `value` as `f64_text` has it.
#[inline]
pub fn write_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(f64_text(value).as_bytes());
}

/// The text of a double: one that reads back as the same double, nearly always the shortest.
#[derive(Clone, Copy)]
pub struct F64Text {
    bytes: [u8; F64_TEXT_MAX],
    len: u8,
}

/// No text is longer: a sign, 18 digits, a point and up to six zeros, or an exponent of five.
const F64_TEXT_MAX: usize = 32;

impl F64Text {
    fn of(text: &[u8]) -> Self {
        let mut made = F64Text { bytes: [0; F64_TEXT_MAX], len: 0 };
        made.push(text);
        made
    }

    fn push(&mut self, text: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + text.len()].copy_from_slice(text);
        self.len += text.len() as u8;
    }

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The text of `value`: `inf`, `-inf`, `nan`, `-0`; integers up to 2^62 in full; small exponents as plain decimals; otherwise
/// digits and an exponent, as in 1e+20 and 1.5e-7.
pub fn f64_text(value: f64) -> F64Text {
    /// Integers below this are printed as such. They are far beyond 2^53, but are still integers.
    const INTEGER_MAX: f64 = (1u64 << 62) as f64;

    if value.is_nan() {
        F64Text::of(b"nan")
    } else if value.is_infinite() {
        F64Text::of(if value > 0.0 { b"inf" } else { b"-inf" })
    } else if value == 0.0 {
        F64Text::of(if value.is_sign_negative() { b"-0" } else { b"0" })
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        F64Text::of(itoa::Buffer::new().format(value as i64).as_bytes())
    } else {
        fraction_text(value)
    }
}

/// The text of a number that is not printed as an integer.
fn fraction_text(value: f64) -> F64Text {
    const ZEROS: &[u8] = b"0.000000000000000000";

    let negative = value < 0.0;
    let (digits, exponent) = grisu::digits(value.abs());
    let digits = digits.as_bytes();
    let count = digits.len() as i32;
    // The exponent of the first digit, the one that scientific notation shows.
    let scientific = exponent + count - 1;
    let mut text = F64Text::of(if negative { b"-" } else { b"" });
    if exponent >= 0 && scientific < count + 7 {
        text.push(digits);
        text.push(&ZEROS[2..2 + exponent as usize]);
    } else if exponent < 0 && (exponent > -7 || scientific.abs() < 4) {
        let before_point = count + exponent;
        if before_point > 0 {
            let (whole, rest) = digits.split_at(before_point as usize);
            text.push(whole);
            text.push(b".");
            text.push(rest);
        } else {
            text.push(&ZEROS[..2 + before_point.unsigned_abs() as usize]);
            text.push(digits);
        }
    } else {
        text.push(&digits[..1]);
        let shown = digits.len().min(18 - usize::from(negative));
        if shown > 1 {
            text.push(b".");
            text.push(&digits[1..shown]);
        }
        text.push(if scientific < 0 { b"e-" } else { b"e+" });
        text.push(itoa::Buffer::new().format(scientific.unsigned_abs()).as_bytes());
    }
    text
}

/// Whether there is a minus sign, and the text without its sign.
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// The bytes of a decimal number before its exponent.
fn mantissa(digits: &[u8]) -> impl Iterator<Item = &u8> {
    digits.iter().take_while(|byte| !matches!(byte, b'e' | b'E'))
}

#[cfg(test)]
mod tests;
