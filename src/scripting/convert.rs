//! Between replies and Lua's values, both ways. What a script gets of `redis.call` is read straight from the reply's bytes, and
//! what it returns is written straight into the client's output.

use super::debugger;
use super::interpreter::Run;
use crate::resp::reply::ReplyWriter;
use crate::sys::lua::{LuaError, Outcome, State, Type};

/// A number as C converts it to an integer: what does not fit becomes the smallest.
pub fn to_i64(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// Pushes an error as scripts see it: `{err = 'CODE text'}`. `counted` keeps it from being counted once more when the script
/// hands it on.
pub fn push_error(state: &mut State, text: &[u8], counted: bool) -> Outcome {
    state.push_table(0, 2)?;
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    state.push_bytes(&text[..end])?;
    state.raw_set_field(-2, "err")?;
    if counted {
        state.push_boolean(true)?;
        state.raw_set_field(-2, IGNORE_STATS)?;
    }
    Ok(())
}

/// The field of an error that was counted already.
pub const IGNORE_STATS: &str = "ignore_error_stats_update";

/// Pushes a whole reply. True if it is an error.
pub fn push_reply(state: &mut State, reply: &[u8]) -> Outcome<bool> {
    let mut input = Input(reply);
    let is_error = reply.first() == Some(&b'-');
    push_value(state, &mut input)?;
    Ok(is_error)
}

/// What is left of a reply. It is our own, so what is missing reads as empty instead of being an error.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\r', self.0).unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 2..).unwrap_or_default();
        line
    }

    fn bulk(&mut self, len: usize) -> &'a [u8] {
        let bytes = self.0.get(..len).unwrap_or_default();
        self.0 = self.0.get(len + 2..).unwrap_or_default();
        bytes
    }
}

/// Digits, perhaps with a minus sign before them.
fn integer(digits: &[u8]) -> i64 {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let sum = digits.iter().fold(0i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(i64::from(digit.wrapping_sub(b'0'))));
    if negative { sum.wrapping_neg() } else { sum }
}

fn push_value(state: &mut State, input: &mut Input<'_>) -> Outcome {
    let head = input.line();
    let Some((kind, text)) = head.split_first() else { return state.push_nil() };
    match kind {
        b':' => state.push_number(integer(text) as f64),
        b'$' if text == b"-1" => state.push_boolean(false),
        b'$' => state.push_bytes(input.bulk(integer(text) as usize)),
        b'+' => push_field(state, "ok", text),
        b'-' => {
            debugger::note_error(&Run::of(state), text);
            push_error(state, text, true)
        }
        b'*' if text == b"-1" => state.push_boolean(false),
        b'*' | b'>' => push_array(state, input, integer(text) as usize),
        b'_' => state.push_nil(),
        b'#' => state.push_boolean(text == b"t"),
        b',' => {
            state.push_table(0, 1)?;
            state.push_number(double(text))?;
            state.raw_set_field(-2, "double")
        }
        b'(' => push_field(state, "big_number", text),
        b'=' => {
            let bytes = input.bulk(integer(text) as usize);
            state.push_table(0, 1)?;
            state.push_table(0, 2)?;
            state.push_bytes(bytes.get(4..).unwrap_or_default())?;
            state.raw_set_field(-2, "string")?;
            state.push_bytes(bytes.get(..3).unwrap_or_default())?;
            state.raw_set_field(-2, "format")?;
            state.raw_set_field(-2, "verbatim_string")
        }
        b'%' => {
            state.push_table(0, 1)?;
            state.push_table(0, integer(text) as usize)?;
            for _ in 0..integer(text) {
                push_value(state, input)?;
                push_value(state, input)?;
                state.raw_set(-3)?;
            }
            state.raw_set_field(-2, "map")
        }
        b'~' => {
            state.push_table(0, 1)?;
            state.push_table(0, integer(text) as usize)?;
            for _ in 0..integer(text) {
                push_value(state, input)?;
                state.push_boolean(true)?;
                state.raw_set(-3)?;
            }
            state.raw_set_field(-2, "set")
        }
        b'|' => {
            // Scripts do not see attributes.
            for _ in 0..2 * integer(text) {
                push_value(state, input)?;
                state.pop(1);
            }
            push_value(state, input)
        }
        _ => state.push_nil(),
    }
}

fn double(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn push_array(state: &mut State, input: &mut Input<'_>, len: usize) -> Outcome {
    state.push_table(len, 0)?;
    for n in 1..=len {
        push_value(state, input)?;
        state.raw_set_item(-2, n as i32)?;
    }
    Ok(())
}

fn push_field(state: &mut State, name: &str, text: &[u8]) -> Outcome {
    state.push_table(0, 1)?;
    state.push_bytes(text)?;
    state.raw_set_field(-2, name)
}

/// How a script's last value went.
pub struct Returned {
    /// There is an error in it.
    pub is_error: bool,
    /// It is an error that is to be counted: its code.
    pub error_to_count: Option<Vec<u8>>,
    /// How deep the value is nested that is being written.
    depth: usize,
}

/// Values that are nested deeper become an error: a table may hold itself.
const DEPTH_MAX: usize = 1000;

/// Writes the value on top as a reply, and drops it. `resp3` is what the script chose, not what the client speaks.
pub fn write_reply(state: &mut State, reply: &mut ReplyWriter<'_>, resp3: bool) -> Returned {
    let mut returned = Returned { is_error: false, error_to_count: None, depth: 0 };
    write_value(state, reply, resp3, &mut returned);
    returned
}

fn write_value(state: &mut State, reply: &mut ReplyWriter<'_>, resp3: bool, returned: &mut Returned) {
    match state.type_of(-1) {
        Type::String => reply.bulk(state.bytes(-1).unwrap_or_default()),
        Type::Number => reply.integer(to_i64(state.number(-1).unwrap_or_default())),
        Type::Boolean if resp3 => reply.boolean(state.truth(-1)),
        Type::Boolean if state.truth(-1) => reply.integer(1),
        Type::Table => {
            let top = state.top();
            let mark = reply.mark();
            returned.depth += 1;
            let written = match returned.depth {
                ..=DEPTH_MAX => write_table(state, reply, resp3, returned),
                _ => Err(LuaError::StackOverflow),
            };
            returned.depth -= 1;
            if written.is_err() {
                reply.rewind(mark);
                reply.error("ERR reached lua stack limit");
                state.pop(state.top() - top);
            }
        }
        _ => reply.null(),
    }
    state.pop(1);
}

/// Writes the table on top, and leaves it there.
fn write_table(state: &mut State, reply: &mut ReplyWriter<'_>, resp3: bool, returned: &mut Returned) -> Result<(), LuaError> {
    state.reserve(8)?;
    let table = state.top() as i32;
    if let Some(text) = string_field(state, table, "err")? {
        returned.is_error = true;
        state.raw_get_field(table, IGNORE_STATS)?;
        if !state.truth(-1) {
            let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
            returned.error_to_count.get_or_insert_with(|| code.to_vec());
        }
        state.pop(1);
        reply.error_bytes(&text);
        return Ok(());
    }
    if let Some(text) = string_field(state, table, "ok")? {
        let line: Vec<u8> = text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect();
        reply.raw(b"+");
        reply.raw(&line);
        reply.raw(b"\r\n");
        return Ok(());
    }
    state.raw_get_field(table, "double")?;
    let double = if state.type_of(-1) == Type::Number { state.number(-1) } else { None };
    state.pop(1);
    if let Some(double) = double {
        reply.double(double);
        return Ok(());
    }
    if let Some(digits) = string_field(state, table, "big_number")? {
        let line: String =
            digits.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { ' ' } else { char::from(*byte) }).collect();
        reply.big_number(&line);
        return Ok(());
    }
    if is_table_field(state, table, "verbatim_string")? {
        let format = string_field(state, table + 1, "format")?;
        let text = string_field(state, table + 1, "string")?;
        state.pop(1);
        if let (Some(format), Some(text)) = (format, text) {
            let mut letters: Vec<u8> = format.into_iter().chain(*b"   ").take(3).collect();
            letters.iter_mut().filter(|letter| !letter.is_ascii()).for_each(|letter| *letter = b'?');
            reply.verbatim(std::str::from_utf8(&letters).unwrap_or("txt"), &text);
            return Ok(());
        }
    }
    if is_table_field(state, table, "map")? {
        let head = reply.map_deferred();
        let mut n = 0;
        state.push_nil()?;
        while state.next(table + 1)? {
            state.push_copy(-2)?;
            write_value(state, reply, resp3, returned);
            write_value(state, reply, resp3, returned);
            n += 1;
        }
        reply.finish(head, n);
        state.pop(1);
        return Ok(());
    }
    if is_table_field(state, table, "set")? {
        let head = reply.set_deferred();
        let mut n = 0;
        state.push_nil()?;
        while state.next(table + 1)? {
            state.pop(1);
            state.push_copy(-1)?;
            write_value(state, reply, resp3, returned);
            n += 1;
        }
        reply.finish(head, n);
        state.pop(1);
        return Ok(());
    }
    let head = reply.array_deferred();
    let mut n = 0;
    loop {
        state.raw_get_item(table, n + 1)?;
        if state.type_of(-1) == Type::Nil {
            state.pop(1);
            break;
        }
        write_value(state, reply, resp3, returned);
        n += 1;
    }
    reply.finish(head, n as usize);
    Ok(())
}

/// A field that is a string.
pub fn string_field(state: &mut State, table: i32, name: &str) -> Outcome<Option<Vec<u8>>> {
    state.raw_get_field(table, name)?;
    let text = state.bytes(-1).map(<[u8]>::to_vec);
    state.pop(1);
    Ok(text)
}

/// Pushes a field if it is a table.
fn is_table_field(state: &mut State, table: i32, name: &str) -> Outcome<bool> {
    state.raw_get_field(table, name)?;
    let is = state.type_of(-1) == Type::Table;
    if !is {
        state.pop(1);
    }
    Ok(is)
}
