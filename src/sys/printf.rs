//! C's `printf` for one value: what Lua's `string.format` is defined by.

use std::ffi::{CStr, c_int, c_long, c_ulong};

/// What is formatted.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// For `c`.
    Char(c_int),
    /// For `d` and `i`.
    Signed(i64),
    /// For `o`, `u`, `x` and `X`.
    Unsigned(u64),
    /// For `e`, `E`, `f`, `g` and `G`.
    Double(f64),
    /// For `s`.
    Text(&'a CStr),
}

/// Longest result. With widths and precisions of two digits only texts could be longer.
const LEN_MAX: usize = 512;

/// Appends a value as `printf` writes it, up to the first zero byte. `form` is flags, width and precision, the latter of at most
/// two digits. Nothing is appended if the form is not one, or the conversion not one for the value.
pub fn append(out: &mut Vec<u8>, form: &[u8], conversion: u8, value: Value<'_>) {
    let fits: &[u8] = match value {
        Value::Char(_) => b"c",
        Value::Signed(_) => b"di",
        Value::Unsigned(_) => b"ouxX",
        Value::Double(_) => b"eEfgG",
        Value::Text(_) => b"s",
    };
    if !is_form(form) || !fits.contains(&conversion) {
        return;
    }
    let mut format = [0_u8; 16];
    let long: &[u8] = if matches!(value, Value::Signed(_) | Value::Unsigned(_)) { b"l" } else { b"" };
    for (place, byte) in format[..15].iter_mut().zip([b"%", form, long, &[conversion]].into_iter().flatten()) {
        *place = *byte;
    }
    let mut buffer = [0_u8; LEN_MAX];
    let (to, format) = (buffer.as_mut_ptr().cast(), format.as_ptr().cast());
    // SAFETY: the format ends in a zero byte and asks for one argument, of the type that it is given (checked above); the
    // buffer is as long as told.
    unsafe {
        match value {
            Value::Char(c) => libc::snprintf(to, LEN_MAX, format, c),
            Value::Signed(n) => libc::snprintf(to, LEN_MAX, format, n as c_long),
            Value::Unsigned(n) => libc::snprintf(to, LEN_MAX, format, n as c_ulong),
            Value::Double(n) => libc::snprintf(to, LEN_MAX, format, n),
            Value::Text(text) => libc::snprintf(to, LEN_MAX, format, text.as_ptr()),
        };
    }
    let end = memchr::memchr(0, &buffer).unwrap_or(LEN_MAX);
    out.extend_from_slice(&buffer[..end]);
}

/// At most five flags, two digits, a point and two digits.
fn is_form(form: &[u8]) -> bool {
    let flags = form.iter().take_while(|byte| b"-+ #0".contains(byte)).count();
    let digits = |bytes: &[u8]| bytes.len() <= 2 && bytes.iter().all(u8::is_ascii_digit);
    let rest = &form[flags..];
    flags <= 5
        && match memchr::memchr(b'.', rest) {
            Some(point) => digits(&rest[..point]) && digits(&rest[point + 1..]),
            None => digits(rest),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: &str, conversion: char, value: Value<'_>) -> String {
        let mut out = Vec::new();
        append(&mut out, form.as_bytes(), conversion as u8, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_c_does() {
        assert_eq!(text("-5", 'd', Value::Signed(-7)), "-7   ");
        assert_eq!(text("#06", 'x', Value::Unsigned(255)), "0x00ff");
        assert_eq!(text("+.3", 'e', Value::Double(1234.5)), "+1.234e+03");
        assert_eq!(text("99.99", 'f', Value::Double(-1e308)).len(), 410);
        assert_eq!(text("6.2", 's', Value::Text(c"abc")), "    ab");
        assert_eq!(text("3", 'c', Value::Char(0)), "  ");
        assert_eq!(text("", 'n', Value::Signed(1)), "");
        assert_eq!(text("100", 'd', Value::Signed(1)), "");
        assert_eq!(text("*", 'd', Value::Signed(1)), "");
        assert_eq!(text("", 's', Value::Double(1.0)), "");
    }
}
