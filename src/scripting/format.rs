//! `string.format` as Lua 5.1 has it. LuaJIT's own takes any value for `%s`, quotes and pads zero bytes, writes no sign of NaN
//! and words its errors otherwise; scripts that look at such things are rare, but what they look at is often stored.

use super::lib::arguments;
use crate::sys::lua::{LuaError, State, Type};
use crate::sys::printf::{self, Value};
use std::borrow::Cow;
use std::ffi::CString;

/// A text of this length or more, asked for without a precision, is taken as it is.
const LONG_TEXT: usize = 100;
/// Flags before a width.
const FLAGS: &[u8] = b"-+ #0";

/// string.format(format, …)
pub(super) fn format(state: &mut State) -> Result<usize, LuaError> {
    arguments::string(state, 1)?;
    // Arguments become strings where they are, which the format must outlive.
    let format = state.bytes(1).unwrap_or_default().to_vec();
    let mut out = Vec::with_capacity(format.len() + 32);
    let (mut rest, mut at) = (&format[..], 1);
    while let Some(percent) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..percent]);
        rest = &rest[percent + 1..];
        if let Some(after) = rest.strip_prefix(b"%") {
            out.push(b'%');
            rest = after;
            continue;
        }
        at += 1;
        if at > state.top() {
            return Err(LuaError::argument(at, "no value"));
        }
        let form = form_len(rest)?;
        let (form, conversion) = (&rest[..form], rest.get(form).copied());
        rest = rest.get(form.len() + 1..).unwrap_or_default();
        append(state, at, form, conversion, &mut out)?;
        if out.len() > state.memory_left() {
            return Err(LuaError::Memory);
        }
    }
    out.extend_from_slice(rest);
    state.push_bytes(&out)?;
    Ok(1)
}

/// How many bytes of an item are flags, width and precision.
fn form_len(item: &[u8]) -> Result<usize, LuaError> {
    let flags = item.iter().take_while(|byte| FLAGS.contains(byte)).count();
    if flags > FLAGS.len() {
        return Err(LuaError::text("invalid format (repeated flags)"));
    }
    let digits = |from: usize| item[from..].iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    let mut len = flags + digits(flags);
    if item.get(len) == Some(&b'.') {
        len += 1 + digits(len + 1);
    }
    match item.get(len) {
        Some(byte) if byte.is_ascii_digit() => Err(LuaError::text("invalid format (width or precision too long)")),
        _ => Ok(len),
    }
}

/// Appends argument `at`.
fn append(state: &mut State, at: usize, form: &[u8], conversion: Option<u8>, out: &mut Vec<u8>) -> Result<(), LuaError> {
    let value = match conversion {
        Some(b's') => return append_text(state, at, form, out),
        Some(b'q') => {
            arguments::string(state, at)?;
            quote(state.bytes(at as i32).unwrap_or_default(), out);
            return Ok(());
        }
        // What is no `int` becomes the smallest one, as where C converts it.
        Some(b'c') => Value::Char(arguments::integer(state, at)?.try_into().unwrap_or(i32::MIN)),
        Some(b'd' | b'i') => {
            let number = arguments::integer(state, at)?;
            if form.is_empty() {
                out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                return Ok(());
            }
            Value::Signed(number)
        }
        Some(b'o' | b'u' | b'x' | b'X') => Value::Unsigned(unsigned(arguments::number(state, at)?)),
        Some(b'e' | b'E' | b'f' | b'g' | b'G') => Value::Double(arguments::number(state, at)?),
        other => {
            let mut text = b"invalid option '%".to_vec();
            text.extend(other.filter(|byte| *byte != 0));
            text.extend_from_slice(b"' to 'format'");
            return Err(LuaError::Text(Cow::Owned(text)));
        }
    };
    printf::append(out, form, conversion.unwrap_or_default(), value);
    Ok(())
}

/// A text ends at a zero byte, unless it is long.
fn append_text(state: &mut State, at: usize, form: &[u8], out: &mut Vec<u8>) -> Result<(), LuaError> {
    if !matches!(state.type_of(at as i32), Type::String | Type::Number) {
        return Err(arguments::wrong_type(state, at, "string"));
    }
    let text = state.text(at as i32).unwrap_or_default();
    if text.len() >= LONG_TEXT && !form.contains(&b'.') {
        out.extend_from_slice(text);
        return Ok(());
    }
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if form.is_empty() {
        out.extend_from_slice(text);
        return Ok(());
    }
    let text = CString::new(text).unwrap_or_default();
    printf::append(out, form, b's', Value::Text(&text));
    Ok(())
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => out.extend_from_slice(&[b'\\', *byte]),
            b'\r' => out.extend_from_slice(b"\\r"),
            0 => out.extend_from_slice(b"\\000"),
            other => out.push(*other),
        }
    }
    out.push(b'"');
}

/// As C converts: a negative number wraps around; what is too large becomes 0, and what is no number the greatest power of two.
fn unsigned(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF { (arguments::truncated(number - HALF) as u64) ^ (1 << 63) } else { arguments::truncated(number) as u64 }
}
