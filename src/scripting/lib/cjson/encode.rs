//! `cjson.encode`.

use super::arguments::Steps;
use super::number::write_g;
use super::{Opt, Options, is_null};
use crate::sys::lua::{LuaError, Outcome, State, Type};

pub fn encode(state: &mut State) -> Outcome<usize> {
    if state.top() != 1 {
        return Err(LuaError::argument(1, "expected 1 argument"));
    }
    let options = Options::load(state)?;
    let mut encoder = Encoder { out: Vec::new(), bytes_max: state.memory_left(), options, steps: Steps::default() };
    encoder.value(state, 0)?;
    state.push_bytes(&encoder.out)?;
    Ok(1)
}

struct Encoder {
    out: Vec<u8>,
    /// A table may hold another one many times, so that a small value makes a text without end.
    bytes_max: usize,
    options: Options,
    steps: Steps,
}

/// Place of the value that is written, and of its key in a walk.
const VALUE: i32 = -1;
const KEY: i32 = -2;

impl Encoder {
    /// Writes the value on top, which lies within so many tables.
    fn value(&mut self, state: &mut State, depth: i32) -> Outcome {
        if self.out.len() > self.bytes_max {
            return Err(LuaError::Memory);
        }
        self.steps.step(state)?;
        match state.type_of(VALUE) {
            Type::String => self.string(state.bytes(VALUE).unwrap_or_default()),
            Type::Number => self.number(state, VALUE)?,
            Type::Boolean if state.truth(VALUE) => self.out.extend_from_slice(b"true"),
            Type::Boolean => self.out.extend_from_slice(b"false"),
            Type::Table => self.table(state, depth + 1)?,
            Type::Nil => self.out.extend_from_slice(b"null"),
            Type::LightUserdata if is_null(state, VALUE) => self.out.extend_from_slice(b"null"),
            _ => return Err(refusal(state, VALUE, "type not supported")),
        }
        Ok(())
    }

    fn table(&mut self, state: &mut State, depth: i32) -> Outcome {
        let excessive = || LuaError::text(format!("Cannot serialise, excessive nesting ({depth})"));
        if depth > self.options.get(Opt::EncodeMaxDepth) {
            return Err(excessive());
        }
        state.reserve(3).map_err(|_| excessive())?;
        match self.array_len(state)? {
            Some(len @ 1..) => self.array(state, len, depth),
            _ => self.object(state, depth),
        }
    }

    /// Number of items of the table on top, or `None` if it is no array: it has a key that is no positive integer, or too
    /// many holes.
    fn array_len(&self, state: &mut State) -> Outcome<Option<i32>> {
        let (mut most, mut items) = (0_i32, 0_i32);
        state.push_nil()?;
        while state.next(-2)? {
            let key = state.number(KEY).filter(|_| state.type_of(KEY) == Type::Number);
            let Some(key) = key.filter(|key| *key >= 1.0 && key.floor() == *key) else {
                state.pop(2);
                return Ok(None);
            };
            if key > f64::from(most) {
                // A key beyond the range counts as the least integer, as it does in the original on this processor.
                most = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
            }
            items = items.wrapping_add(1);
            state.pop(1);
        }
        let (ratio, safe) = (self.options.get(Opt::SparseRatio), self.options.get(Opt::SparseSafe));
        if ratio > 0 && most > items.wrapping_mul(ratio) && most > safe {
            if self.options.get(Opt::SparseConvert) == 0 {
                return Err(refusal(state, VALUE, "excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(most))
    }

    fn array(&mut self, state: &mut State, len: i32, depth: i32) -> Outcome {
        self.out.push(b'[');
        for n in 1..=len {
            if n > 1 {
                self.out.push(b',');
            }
            state.raw_get_item(-1, n)?;
            self.value(state, depth)?;
            state.pop(1);
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, state: &mut State, depth: i32) -> Outcome {
        self.out.push(b'{');
        let mut is_first = true;
        state.push_nil()?;
        while state.next(-2)? {
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            match state.type_of(KEY) {
                Type::Number => {
                    self.out.push(b'"');
                    self.number(state, KEY)?;
                    self.out.push(b'"');
                }
                Type::String => self.string(state.bytes(KEY).unwrap_or_default()),
                _ => return Err(refusal(state, KEY, "table key must be a number or string")),
            }
            self.out.push(b':');
            self.value(state, depth)?;
            state.pop(1);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn number(&mut self, state: &State, at: i32) -> Outcome {
        let number = state.number(at).unwrap_or_default();
        if !number.is_finite() {
            match self.options.get(Opt::EncodeInvalid) {
                0 => return Err(refusal(state, at, "must not be NaN or Inf")),
                1 if number.is_nan() => {
                    self.out.extend_from_slice(b"nan");
                    return Ok(());
                }
                1 => {}
                _ => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        write_g(&mut self.out, number, self.options.get(Opt::Precision) as usize);
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
            self.out.extend_from_slice(&rest[..at]);
            self.escape(rest[at]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        let letter = match byte {
            8 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            12 => b'f',
            b'\r' => b'r',
            b'"' | b'\\' | b'/' => byte,
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
                self.out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', letter]);
    }
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..32 | b'"' | b'/' | b'\\' | 127)
}

#[cold]
fn refusal(state: &State, at: i32, reason: &str) -> LuaError {
    LuaError::text(format!("Cannot serialise {}: {reason}", state.type_of(at).name()))
}
