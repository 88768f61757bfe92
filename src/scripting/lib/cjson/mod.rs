//! `cjson`: Lua values from and to JSON, as lua-cjson 2.1.0 does it: its options, its idea of which tables are arrays, its
//! texts of errors.
//!
//! Options belong to an instance: the library, or what `cjson.new()` makes. They are a string of bytes in a table that
//! the instance's functions share and scripts cannot reach.

mod decode;
mod encode;

use super::arguments;
use super::number;
use crate::sys::lua::{LuaError, LuaFn, Outcome, State, Type};

const FUNCTIONS: &[(&str, LuaFn)] = &[
    ("encode", encode::encode),
    ("decode", decode::decode),
    ("encode_sparse_array", encode_sparse_array),
    ("encode_max_depth", encode_max_depth),
    ("decode_max_depth", decode_max_depth),
    ("encode_number_precision", encode_number_precision),
    ("encode_keep_buffer", encode_keep_buffer),
    ("encode_invalid_numbers", encode_invalid_numbers),
    ("decode_invalid_numbers", decode_invalid_numbers),
    ("new", new),
];

/// Pushes the library, with options of its own.
pub fn open(state: &mut State) -> Outcome {
    state.push_table(0, FUNCTIONS.len() + 3)?;
    state.push_table(1, 0)?;
    Options::DEFAULT.store(state)?;
    for (name, function) in FUNCTIONS {
        state.push_copy(-1)?;
        state.push_closure(*function, 1)?;
        state.raw_set_field(-3, name)?;
    }
    state.pop(1);
    state.push_null()?;
    state.raw_set_field(-2, "null")?;
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        state.push_bytes(text.as_bytes())?;
        state.raw_set_field(-2, name)?;
    }
    Ok(())
}

fn new(state: &mut State) -> Outcome<usize> {
    open(state)?;
    Ok(1)
}

/// Whether a value is `cjson.null`.
fn is_null(state: &State, index: i32) -> bool {
    state.type_of(index) == Type::LightUserdata && state.address(index) == Some(0)
}

/// An option's number: its place in [`Options`].
#[derive(Clone, Copy)]
enum Opt {
    SparseConvert,
    SparseRatio,
    SparseSafe,
    EncodeMaxDepth,
    DecodeMaxDepth,
    /// 0: refused; 1: written; 2: null.
    EncodeInvalid,
    DecodeInvalid,
    /// Without effect here: the buffer belongs to each call.
    KeepBuffer,
    Precision,
}

/// The options of an instance.
struct Options([i32; Options::COUNT]);

impl Options {
    const COUNT: usize = 9;
    const BYTES: usize = Options::COUNT * size_of::<i32>();
    const DEFAULT: Options = Options([0, 2, 10, 1000, 1000, 0, 1, 1, number::PRECISION_MAX as i32]);

    /// Those of the function that runs.
    fn load(state: &mut State) -> Outcome<Options> {
        state.push_upvalue(1)?;
        state.raw_get_item(-1, 1)?;
        let mut options = Options::DEFAULT;
        if let Some(bytes) = state.bytes(-1) {
            for (option, bytes) in options.0.iter_mut().zip(bytes.as_chunks().0) {
                *option = i32::from_le_bytes(*bytes);
            }
        }
        state.pop(2);
        Ok(options)
    }

    /// Puts them into the table on top.
    fn store(&self, state: &mut State) -> Outcome {
        let mut bytes = [0; Options::BYTES];
        for (bytes, option) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = option.to_le_bytes();
        }
        state.push_bytes(&bytes)?;
        state.raw_set_item(-2, 1)
    }

    fn save(&self, state: &mut State) -> Outcome {
        state.push_upvalue(1)?;
        self.store(state)?;
        state.pop(1);
        Ok(())
    }

    fn get(&self, option: Opt) -> i32 {
        self.0[option as usize]
    }

    /// Sets a number if argument `at` is one, and pushes what it is then.
    fn integer(&mut self, state: &mut State, at: usize, option: Opt, least: i32, most: i32) -> Outcome {
        if state.type_of(at as i32) != Type::Nil {
            let value = arguments::integer(state, at)? as i32;
            if !(least..=most).contains(&value) {
                // Whichever argument it is, the first is blamed.
                return Err(LuaError::argument(1, format!("expected integer between {least} and {most}")));
            }
            self.0[option as usize] = value;
        }
        state.push_number(f64::from(self.get(option)))
    }

    /// Sets one of these words if argument `at` is one, or a truth value; pushes what it is then.
    fn word(&mut self, state: &mut State, at: usize, option: Opt, words: &[&str]) -> Outcome {
        match state.type_of(at as i32) {
            Type::Nil => {}
            Type::Boolean => self.0[option as usize] = state.truth(at as i32) as i32,
            _ => {
                arguments::string(state, at)?;
                let given = state.bytes(at as i32).unwrap_or_default();
                let Some(found) = words.iter().position(|word| word.as_bytes() == given) else {
                    let text = String::from_utf8_lossy(given);
                    return Err(LuaError::argument(at, format!("invalid option '{text}'")));
                };
                self.0[option as usize] = found as i32;
            }
        }
        match self.get(option) {
            is @ (0 | 1) => state.push_boolean(is == 1),
            other => state.push_bytes(words[other as usize].as_bytes()),
        }
    }
}

const OFF_OR_ON: &[&str] = &["off", "on"];

/// Fills up to so many arguments; more are refused.
fn begin(state: &mut State, arguments: usize) -> Outcome<Options> {
    if state.top() > arguments {
        return Err(LuaError::argument(arguments + 1, "found too many arguments"));
    }
    state.set_top(arguments)?;
    Options::load(state)
}

/// A function that reads and sets one number.
fn integer(state: &mut State, option: Opt, least: i32, most: i32) -> Outcome<usize> {
    let mut options = begin(state, 1)?;
    options.integer(state, 1, option, least, most)?;
    options.save(state)?;
    Ok(1)
}

/// A function that reads and sets one word.
fn word(state: &mut State, option: Opt, words: &[&str]) -> Outcome<usize> {
    let mut options = begin(state, 1)?;
    options.word(state, 1, option, words)?;
    options.save(state)?;
    Ok(1)
}

fn encode_sparse_array(state: &mut State) -> Outcome<usize> {
    let mut options = begin(state, 3)?;
    let set = options.word(state, 1, Opt::SparseConvert, OFF_OR_ON).and_then(|()| {
        options.integer(state, 2, Opt::SparseRatio, 0, i32::MAX)?;
        options.integer(state, 3, Opt::SparseSafe, 0, i32::MAX)
    });
    // What came before a bad argument is set all the same.
    options.save(state)?;
    set.map(|()| 3)
}

fn encode_max_depth(state: &mut State) -> Outcome<usize> {
    integer(state, Opt::EncodeMaxDepth, 1, i32::MAX)
}

fn decode_max_depth(state: &mut State) -> Outcome<usize> {
    integer(state, Opt::DecodeMaxDepth, 1, i32::MAX)
}

fn encode_number_precision(state: &mut State) -> Outcome<usize> {
    integer(state, Opt::Precision, 1, number::PRECISION_MAX as i32)
}

fn encode_keep_buffer(state: &mut State) -> Outcome<usize> {
    word(state, Opt::KeepBuffer, OFF_OR_ON)
}

fn encode_invalid_numbers(state: &mut State) -> Outcome<usize> {
    word(state, Opt::EncodeInvalid, &["off", "on", "null"])
}

fn decode_invalid_numbers(state: &mut State) -> Outcome<usize> {
    word(state, Opt::DecodeInvalid, OFF_OR_ON)
}
