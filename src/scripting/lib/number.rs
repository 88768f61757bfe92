//! Numbers as C's `printf` writes them with `%g` and `strtod` reads them, which is what scripts' JSON is made of.

use crate::resp::number::parse_f64;
use std::io::Write;

/// Most significant digits of [`write_g`].
pub const PRECISION_MAX: usize = 14;

/// Appends a finite number with so many significant digits (1 to [`PRECISION_MAX`]), in the shorter of the two notations and
/// without trailing zeros.
pub fn write_g(out: &mut Vec<u8>, number: f64, precision: usize) {
    let precision = precision.clamp(1, PRECISION_MAX);
    if number.fract() == 0.0 && number.abs() < 10f64.powi(precision as i32) && (number != 0.0 || number.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
        return;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number.is_infinite() {
        out.extend_from_slice(b"inf");
        return;
    }
    // One digit, a point, the others, an exponent.
    let mut text = [0_u8; 32];
    let mut rest = &mut text[..];
    let _ = write!(rest, "{:.*e}", precision - 1, number.abs());
    let len = 32 - rest.len();
    let Some(e) = text[..len].iter().position(|byte| *byte == b'e') else { return };
    let exponent: i32 = std::str::from_utf8(&text[e + 1..len]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut digits = [b'0'; PRECISION_MAX];
    for (digit, byte) in digits.iter_mut().zip(text[..e].iter().filter(|byte| **byte != b'.')) {
        *digit = *byte;
    }
    let kept = digits[..precision].iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..kept];
    match exponent {
        -4..0 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
            out.extend_from_slice(digits);
        }
        0.. if (exponent as usize) < precision => {
            let whole = exponent as usize + 1;
            out.extend_from_slice(&digits[..kept.min(whole)]);
            out.extend(std::iter::repeat_n(b'0', whole.saturating_sub(kept)));
            if kept > whole {
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        }
        _ => {
            out.push(digits[0]);
            if kept > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
        }
    }
}

/// The number that `text` begins with, and how many bytes say so: decimal or hexadecimal, infinity or NaN.
pub fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let signed = matches!(text.first(), Some(b'-' | b'+')) as usize;
    let (number, len) = leading_magnitude(&text[signed..])?;
    Some((if text[0] == b'-' { -number } else { number }, signed + len))
}

fn leading_magnitude(text: &[u8]) -> Option<(f64, usize)> {
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word));
    if begins(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if begins(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if begins(b"nan") {
        return Some((f64::NAN, 3 + payload(&text[3..])));
    }
    if begins(b"0x")
        && let Some(found) = leading_hex(text)
    {
        return Some(found);
    }
    let mut len = mantissa(text, |byte| byte.is_ascii_digit())?;
    len += exponent(&text[len..], b'e');
    let number = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((number, len))
}

/// Digits with at most one point among them; at least one digit.
fn mantissa(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<usize> {
    let run = |from: usize| text[from..].iter().take_while(|byte| is_digit(byte)).count();
    let whole = run(0);
    let fraction = if text.get(whole) == Some(&b'.') { run(whole + 1) } else { 0 };
    match (whole, fraction) {
        (0, 0) => None,
        _ if text.get(whole) == Some(&b'.') => Some(whole + 1 + fraction),
        _ => Some(whole),
    }
}

/// Length of an exponent, 0 if there is none.
fn exponent(text: &[u8], letter: u8) -> usize {
    if !text.first().is_some_and(|first| first.eq_ignore_ascii_case(&letter)) {
        return 0;
    }
    let signed = matches!(text.get(1), Some(b'-' | b'+')) as usize;
    match text[1 + signed..].iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => 0,
        digits => 1 + signed + digits,
    }
}

/// A hexadecimal number, `0x` included.
fn leading_hex(text: &[u8]) -> Option<(f64, usize)> {
    let digits = 2 + mantissa(&text[2..], u8::is_ascii_hexdigit)?;
    let len = digits + exponent(&text[digits..], b'p');
    // Out of range: the exponent tells which way.
    let is_zero = text[2..digits].iter().all(|byte| matches!(byte, b'0' | b'.'));
    let beyond = if is_zero || text[digits..len].contains(&b'-') { 0.0 } else { f64::INFINITY };
    Some((parse_f64(&text[..len]).unwrap_or(beyond), len))
}

/// Length of what may follow NaN in parentheses.
fn payload(text: &[u8]) -> usize {
    if text.first() != Some(&b'(') {
        return 0;
    }
    let inside = text[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if text.get(1 + inside) == Some(&b')') { inside + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_printf_does() {
        let text = |number, precision| {
            let mut out = Vec::new();
            write_g(&mut out, number, precision);
            String::from_utf8(out).unwrap()
        };
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (-12.0, "-12"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e14, "1e+14"),
            (99_999_999_999_999.0, "99999999999999"),
            (123_456_789_012_345.0, "1.2345678901234e+14"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e300, "1e+300"),
            (5e-324, "4.9406564584125e-324"),
            (f64::NEG_INFINITY, "-inf"),
            (123.456, "123.456"),
        ] {
            assert_eq!(text(number, 14), expected);
        }
        assert_eq!(text(123.456, 3), "123");
        assert_eq!(text(1234.0, 3), "1.23e+03");
        assert_eq!(text(999.9, 3), "1e+03");
        assert_eq!(text(0.5, 1), "0.5");
        assert_eq!(text(2.5, 1), "2");
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, number, len) in [
            ("1", 1.0, 1),
            ("-1.5e3,", -1500.0, 6),
            ("1e", 1.0, 1),
            ("1.", 1.0, 2),
            ("+.5x", 0.5, 3),
            ("0x10]", 16.0, 4),
            ("0x1.8p1", 3.0, 7),
            ("0xg", 0.0, 1),
            ("0x1p", 1.0, 3),
            ("0x1p99999", f64::INFINITY, 9),
            ("0x1p-99999", 0.0, 10),
            ("1e999", f64::INFINITY, 5),
            ("-Infinity", f64::NEG_INFINITY, 9),
            ("infinit", f64::INFINITY, 3),
        ] {
            assert_eq!(leading_number(text.as_bytes()), Some((number, len)), "{text}");
        }
        assert!(leading_number(b"nan(ab)").is_some_and(|(number, len)| number.is_nan() && len == 7));
        for text in ["", "-", "+", ".", "e5", "x"] {
            assert_eq!(leading_number(text.as_bytes()), None, "{text}");
        }
    }
}
