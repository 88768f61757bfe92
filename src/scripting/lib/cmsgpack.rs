//! `cmsgpack`: Lua values from and to MessagePack, as lua-cmsgpack 0.4.0 does it.
//!
//! Numbers without a fraction become integers, others the shortest float that holds them; a table whose keys are 1 to n is
//! an array; tables within 16 others, functions and the like become nil.

use super::arguments::{self, Steps};
use crate::sys::lua::{LuaError, LuaFn, Outcome, State, Type};

const FUNCTIONS: &[(&str, LuaFn)] =
    &[("pack", pack), ("unpack", unpack), ("unpack_one", unpack_one), ("unpack_limit", unpack_limit)];

const FIELDS: &[(&str, &str)] = &[
    ("_NAME", "cmsgpack"),
    ("_VERSION", "lua-cmsgpack 0.4.0"),
    ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
    ("_DESCRIPTION", "MessagePack C implementation for Lua"),
];

/// How many tables around a table make it nil.
const NESTING_MAX: usize = 16;
/// How deep what is read may be: the original, which has a place on the stack for each table and its key, gets as far.
const DEPTH_MAX: usize = 3990;
const TOO_MANY: &str = "too many return values at once; use unpack_one or unpack_limit instead.";

/// Pushes the library.
pub fn open(state: &mut State) -> Outcome {
    state.push_table(0, FUNCTIONS.len() + FIELDS.len())?;
    for (name, function) in FUNCTIONS {
        state.set_function(-1, name, *function)?;
    }
    for (name, text) in FIELDS {
        state.push_bytes(text.as_bytes())?;
        state.raw_set_field(-2, name)?;
    }
    Ok(())
}

fn pack(state: &mut State) -> Outcome<usize> {
    let count = state.top();
    if count == 0 {
        return Err(LuaError::argument(0, "MessagePack pack needs input."));
    }
    let mut packer = Packer { out: Vec::new(), bytes_max: state.memory_left(), steps: Steps::default() };
    for at in 1..=count {
        arguments::room(state, 1, "in function mp_check")?;
        state.push_copy(at as i32)?;
        packer.value(state, 0)?;
    }
    state.push_bytes(&packer.out)?;
    Ok(1)
}

struct Packer {
    out: Vec<u8>,
    /// A table may hold another one many times, so that a small value makes a long text.
    bytes_max: usize,
    steps: Steps,
}

impl Packer {
    /// Writes the value on top, which lies within so many tables, and drops it.
    fn value(&mut self, state: &mut State, level: usize) -> Outcome {
        if self.out.len() > self.bytes_max {
            return Err(LuaError::Memory);
        }
        self.steps.step(state)?;
        match state.type_of(-1) {
            Type::String => self.text(state.bytes(-1).unwrap_or_default()),
            Type::Boolean => self.out.push(if state.truth(-1) { 0xC3 } else { 0xC2 }),
            Type::Number => self.number(state.number(-1).unwrap_or_default()),
            Type::Table if level < NESTING_MAX => {
                if is_array(state)? {
                    self.array(state, level)?;
                } else {
                    self.map(state, level)?;
                }
            }
            _ => self.out.push(0xC0),
        }
        state.pop(1);
        Ok(())
    }

    fn array(&mut self, state: &mut State, level: usize) -> Outcome {
        let len = state.raw_len(-1);
        self.head(len, 0x90, 0xDC);
        arguments::room(state, 1, "in function mp_encode_lua_table_as_array")?;
        for n in 1..=len {
            state.raw_get_item(-1, n as i32)?;
            self.value(state, level + 1)?;
        }
        Ok(())
    }

    fn map(&mut self, state: &mut State, level: usize) -> Outcome {
        arguments::room(state, 3, "in function mp_encode_lua_table_as_map")?;
        let mut len = 0;
        state.push_nil()?;
        while state.next(-2)? {
            state.pop(1);
            len += 1;
        }
        self.head(len, 0x80, 0xDE);
        state.push_nil()?;
        while state.next(-2)? {
            state.push_copy(-2)?;
            self.value(state, level + 1)?;
            self.value(state, level + 1)?;
        }
        Ok(())
    }

    /// The head of an array or map: with the number in four bits, in two bytes or in four.
    fn head(&mut self, len: usize, short: u8, long: u8) {
        match len {
            0..16 => self.out.push(short | len as u8),
            16..0x1_0000 => {
                self.out.push(long);
                self.out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                self.out.push(long + 1);
                self.out.extend_from_slice(&(len as u32).to_be_bytes());
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        match text.len() {
            len @ 0..32 => self.out.push(0xA0 | len as u8),
            len @ 32..0x100 => self.out.extend_from_slice(&[0xD9, len as u8]),
            len @ 0x100..0x1_0000 => {
                self.out.push(0xDA);
                self.out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                self.out.push(0xDB);
                self.out.extend_from_slice(&(len as u32).to_be_bytes());
            }
        }
        self.out.extend_from_slice(text);
    }

    fn number(&mut self, number: f64) {
        let whole = arguments::truncated(number);
        if number.is_finite() && whole as f64 == number {
            return self.integer(whole);
        }
        if f64::from(number as f32) == number {
            self.out.push(0xCA);
            self.out.extend_from_slice(&(number as f32).to_be_bytes());
        } else {
            self.out.push(0xCB);
            self.out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn integer(&mut self, n: i64) {
        let (kind, bytes) = match n {
            -32..=127 => return self.out.push(n as u8),
            128..0x100 => (0xCC, 1),
            0x100..0x1_0000 => (0xCD, 2),
            0x1_0000..0x1_0000_0000 => (0xCE, 4),
            0x1_0000_0000.. => (0xCF, 8),
            -0x80..-32 => (0xD0, 1),
            -0x8000..-0x80 => (0xD1, 2),
            -0x8000_0000..-0x8000 => (0xD2, 4),
            _ => (0xD3, 8),
        };
        self.out.push(kind);
        self.out.extend_from_slice(&n.to_be_bytes()[8 - bytes..]);
    }
}

/// Whether the keys of the table on top are the numbers from 1 to how many there are.
fn is_array(state: &mut State) -> Outcome<bool> {
    arguments::room(state, 2, "in function table_is_an_array")?;
    let (mut count, mut most) = (0_u64, 0.0_f64);
    state.push_nil()?;
    while state.next(-2)? {
        state.pop(1);
        let key = state.number(-1).filter(|_| state.type_of(-1) == Type::Number);
        let Some(key) = key.filter(|key| (1.0..=f64::from(i32::MAX)).contains(key) && key.fract() == 0.0) else {
            state.pop(1);
            return Ok(false);
        };
        most = most.max(key);
        count += 1;
    }
    Ok(most == count as f64)
}

fn unpack(state: &mut State) -> Outcome<usize> {
    unpack_some(state, 0, 0)
}

fn unpack_one(state: &mut State) -> Outcome<usize> {
    let offset = arguments::integer_or(state, 2, 0)?;
    state.set_top(1)?;
    unpack_some(state, 1, offset)
}

fn unpack_limit(state: &mut State) -> Outcome<usize> {
    let limit = arguments::integer(state, 2)?;
    let offset = arguments::integer_or(state, 3, 0)?;
    state.set_top(1)?;
    unpack_some(state, limit, offset)
}

/// Unpacks at most `limit` values from `offset` on and tells where the rest begins (-1: there is none). If both are zero:
/// all values, and nothing else.
fn unpack_some(state: &mut State, limit: i64, offset: i64) -> Outcome<usize> {
    arguments::string(state, 1)?;
    // The stack changes while the text is read.
    let text = state.bytes(1).unwrap_or_default().to_vec();
    let len = text.len();
    if offset < 0 || limit < 0 {
        // The second number is what the original tells.
        let (offset, len) = (offset as i32, len as i32);
        return Err(LuaError::text(format!("Invalid request to unpack with offset of {offset} and limit of {len}.")));
    }
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| text.get(offset..)) else {
        return Err(LuaError::text(format!("Start offset {} greater than input length {}.", offset as i32, len as i32)));
    };
    let all = limit == 0 && offset == 0;
    let limit = if all { i64::from(i32::MAX) } else { limit };
    let mut unpacker = Unpacker { rest, depth: 0, steps: Steps::default() };
    let mut count = 0;
    while !unpacker.rest.is_empty() && (count as i64) < limit {
        unpacker.value(state)?;
        count += 1;
    }
    if !all {
        arguments::room(state, 1, "in function mp_unpack_full")?;
        let next = if unpacker.rest.is_empty() { -1.0 } else { (len - unpacker.rest.len()) as f64 };
        state.push_number(next)?;
        state.insert(2);
        count += 1;
    }
    Ok(count)
}

struct Unpacker<'t> {
    rest: &'t [u8],
    depth: usize,
    steps: Steps,
}

impl<'t> Unpacker<'t> {
    fn take(&mut self, len: usize) -> Outcome<&'t [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(LuaError::text("Missing bytes in input."))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// A length or unsigned integer of so many bytes.
    fn unsigned(&mut self, bytes: usize) -> Outcome<u64> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Pushes the next value.
    fn value(&mut self, state: &mut State) -> Outcome {
        self.steps.step(state)?;
        let [kind] = self.array()?;
        arguments::room(state, 1, TOO_MANY)?;
        match kind {
            0x00..0x80 => state.push_number(f64::from(kind)),
            0x80..0x90 => self.map(state, u64::from(kind & 15)),
            0x90..0xA0 => self.items(state, u64::from(kind & 15)),
            0xA0..0xC0 => self.text(state, u64::from(kind & 31)),
            0xC0 => state.push_nil(),
            0xC2 | 0xC3 => state.push_boolean(kind == 0xC3),
            0xCA => {
                let bytes = self.array()?;
                state.push_number(f64::from(f32::from_be_bytes(bytes)))
            }
            0xCB => {
                let bytes = self.array()?;
                state.push_number(f64::from_be_bytes(bytes))
            }
            0xCC..=0xCF => {
                // One of 64 bits is taken for a signed one, as by the original.
                let number = self.unsigned(1 << (kind - 0xCC))? as i64;
                state.push_number(number as f64)
            }
            0xD0..=0xD3 => {
                let bits = 8 << (kind - 0xD0);
                let number = self.unsigned(bits / 8)?;
                // Move the sign to the top and back.
                state.push_number(((number << (64 - bits)) as i64 >> (64 - bits)) as f64)
            }
            0xD9..=0xDB => {
                let len = self.unsigned(1 << (kind - 0xD9))?;
                self.text(state, len)
            }
            0xDC | 0xDD => {
                let len = self.unsigned(2 << (kind - 0xDC))?;
                self.items(state, len)
            }
            0xDE | 0xDF => {
                let len = self.unsigned(2 << (kind - 0xDE))?;
                self.map(state, len)
            }
            0xE0.. => state.push_number(f64::from(kind as i8)),
            _ => Err(LuaError::text("Bad data format in input.")),
        }
    }

    fn text(&mut self, state: &mut State, len: u64) -> Outcome {
        let text = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        state.push_bytes(text)
    }

    /// An array. Its length is a claim: nothing is set aside for it.
    fn items(&mut self, state: &mut State, len: u64) -> Outcome {
        self.descend()?;
        state.push_table(0, 0)?;
        arguments::room(state, 1, "in function mp_decode_to_lua_array")?;
        for n in 1..=len {
            self.value(state)?;
            state.raw_set_item(-2, i32::try_from(n).map_err(|_| LuaError::Memory)?)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn descend(&mut self) -> Outcome {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(LuaError::text(format!("stack overflow ({TOO_MANY})"))) } else { Ok(()) }
    }

    fn map(&mut self, state: &mut State, len: u64) -> Outcome {
        self.descend()?;
        state.push_table(0, 0)?;
        for _ in 0..len {
            self.value(state)?;
            self.value(state)?;
            if state.type_of(-2) == Type::Nil {
                return Err(LuaError::Bare(b"table index is nil".into()));
            }
            if state.type_of(-2) == Type::Number && state.number(-2).is_some_and(f64::is_nan) {
                return Err(LuaError::Bare(b"table index is NaN".into()));
            }
            state.raw_set(-3)?;
        }
        self.depth -= 1;
        Ok(())
    }
}
