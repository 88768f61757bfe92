//! Lua's values and replies as the debugger shows them: on one line, and not longer than the client wants.

use crate::config::text::quote;
use crate::resp::number::parse_i64;
use crate::sys::lua::{Outcome, State, Type};
use crate::sys::printf::{self, Value};

/// A text of which no more is made than is shown.
pub struct Text {
    bytes: Vec<u8>,
    max: usize,
}

impl Text {
    /// One that begins so.
    pub fn new(begin: &[u8], max: usize) -> Self {
        Text { bytes: begin.to_vec(), max }
    }

    /// Adds bytes, as far as they count.
    pub fn push(&mut self, bytes: &[u8]) {
        // One more than is shown: it tells that there is more.
        let room = (self.max + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn push_quoted(&mut self, bytes: &[u8]) {
        // With its quotes that is more than is shown, if it is not all.
        self.push(&quote(&bytes[..bytes.len().min(self.max)]));
    }

    fn is_full(&self) -> bool {
        self.bytes.len() > self.max
    }

    /// What is shown, and whether that is not all.
    pub fn end(mut self) -> (Vec<u8>, bool) {
        let is_cut = self.is_full();
        if is_cut {
            self.bytes.truncate(self.max);
            self.bytes.extend_from_slice(b" ...");
        }
        (self.bytes, is_cut)
    }
}

/// Tables in tables beyond this many are not looked into.
const DEPTH_MAX: usize = 10;

/// Writes the value at `index` of the stack.
pub fn write_value(text: &mut Text, state: &mut State, index: i32) -> Outcome {
    let at = if index < 0 { state.top() as i32 + 1 + index } else { index };
    write_nested(text, state, at, 0)
}

fn write_nested(text: &mut Text, state: &mut State, at: i32, depth: usize) -> Outcome {
    if text.is_full() {
        return Ok(());
    }
    if depth == DEPTH_MAX {
        text.push(b"<max recursion level reached! Nested table?>");
        return Ok(());
    }
    match state.type_of(at) {
        Type::None | Type::Nil => text.push(b"nil"),
        Type::Boolean => text.push(if state.truth(at) { b"true" } else { b"false" }),
        Type::Number => {
            let mut digits = Vec::new();
            printf::append(&mut digits, b"", b'g', Value::Double(state.number(at).unwrap_or_default()));
            text.push(&digits);
        }
        Type::String => text.push_quoted(state.bytes(at).unwrap_or_default()),
        Type::Table => write_table(text, state, at, depth + 1)?,
        other => {
            let name = if other == Type::LightUserdata { "light-userdata" } else { other.name() };
            text.push(format!("\"{name}@{:#x}\"", state.address(at).unwrap_or_default()).as_bytes());
        }
    }
    Ok(())
}

fn write_table(text: &mut Text, state: &mut State, at: i32, depth: usize) -> Outcome {
    let is_list = is_list(state, at)?;
    text.push(b"{");
    let key = state.top() as i32 + 1;
    let mut is_first = true;
    state.push_nil()?;
    while state.next(at)? {
        if !std::mem::take(&mut is_first) {
            text.push(b"; ");
        }
        if !is_list {
            text.push(b"[");
            write_nested(text, state, key, depth)?;
            text.push(b"]=");
        }
        write_nested(text, state, key + 1, depth)?;
        state.pop(1);
        if text.is_full() {
            state.pop(1);
            return Ok(());
        }
    }
    text.push(b"}");
    Ok(())
}

/// True if a walk through the table meets 1, 2, 3 and so on, and nothing else.
fn is_list(state: &mut State, at: i32) -> Outcome<bool> {
    let mut expected = 1.0;
    state.push_nil()?;
    while state.next(at)? {
        state.pop(1);
        if state.type_of(-1) != Type::Number || state.number(-1) != Some(expected) {
            state.pop(1);
            return Ok(false);
        }
        expected += 1.0;
    }
    Ok(true)
}

/// Writes a reply.
pub fn write_reply(text: &mut Text, reply: &[u8]) {
    write_item(text, &mut { reply });
}

/// Writes the item that the reply begins with, and takes it off.
fn write_item(text: &mut Text, rest: &mut &[u8]) {
    let head = line(rest);
    let Some((kind, head)) = head.split_first() else { return };
    let count = parse_i64(head).unwrap_or_default();
    match kind {
        b'$' | b'*' if count < 0 => text.push(b"NULL"),
        b'+' | b'-' => text.push_quoted(&[&[*kind], head].concat()),
        b'$' => {
            let bytes = rest.get(..count as usize).unwrap_or_default();
            *rest = rest.get(count as usize + 2..).unwrap_or_default();
            text.push_quoted(bytes);
        }
        b'*' | b'>' => write_items(text, rest, count, [b"[", b",", b"]"]),
        b'~' => write_items(text, rest, count, [b"~(", b",", b")"]),
        b'%' => {
            text.push(b"{");
            for n in 0..count {
                if text.is_full() {
                    return;
                }
                if n > 0 {
                    text.push(b",");
                }
                write_item(text, rest);
                text.push(b" => ");
                write_item(text, rest);
            }
            text.push(b"}");
        }
        b'_' => text.push(b"(null)"),
        b'#' => text.push(if head == b"t" { b"#true" } else { b"#false" }),
        b',' => {
            text.push(b"(double) ");
            text.push(head);
        }
        b'=' => {
            let bytes = rest.get(..count as usize).unwrap_or_default();
            *rest = rest.get(count as usize + 2..).unwrap_or_default();
            text.push_quoted(bytes.get(4..).unwrap_or_default());
        }
        _ => text.push(head),
    }
}

fn write_items(text: &mut Text, rest: &mut &[u8], count: i64, [open, between, close]: [&[u8]; 3]) {
    text.push(open);
    for n in 0..count {
        if text.is_full() {
            return;
        }
        if n > 0 {
            text.push(between);
        }
        write_item(text, rest);
    }
    text.push(close);
}

/// Takes a line off.
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = rest.get(end + 2..).unwrap_or_default();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_shown_on_one_line_and_cut() {
        let shown = |reply: &str, max| {
            let mut text = Text::new(b"", max);
            write_reply(&mut text, reply.as_bytes());
            String::from_utf8(text.end().0).unwrap()
        };
        for (reply, expected) in [
            ("+OK\r\n", "\"+OK\""),
            ("-ERR no\r\n", "\"-ERR no\""),
            (":-3\r\n", "-3"),
            ("$3\r\na\"b\r\n", "\"a\\\"b\""),
            ("$-1\r\n", "NULL"),
            ("*-1\r\n", "NULL"),
            ("*3\r\n:1\r\n*0\r\n$-1\r\n", "[1,[],NULL]"),
            ("~2\r\n:1\r\n:2\r\n", "~(1,2)"),
            ("%1\r\n+a\r\n*1\r\n:1\r\n", "{\"+a\" => [1]}"),
            ("_\r\n", "(null)"),
            ("#t\r\n", "#true"),
            (",1.5\r\n", "(double) 1.5"),
            ("(123\r\n", "123"),
            ("=7\r\ntxt:abc\r\n", "\"abc\""),
            ("*5\r\n:1", "[1,,,,]"),
            ("$9\r\nabc", "\"\""),
            ("", ""),
        ] {
            assert_eq!(shown(reply, 100), expected, "{reply}");
        }
        assert_eq!(shown("*3\r\n$5\r\nabcde\r\n:1\r\n:2\r\n", 4), "[\"ab ...");
        assert_eq!(shown("$6\r\nabcdef\r\n", 7), "\"abcdef ...");
        assert_eq!(shown("$6\r\nabcdef\r\n", 8), "\"abcdef\"");
        assert_eq!(shown("$9\r\nabcdefghi\r\n", 3), "\"ab ...");
    }
}
