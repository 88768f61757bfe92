//! The libraries that scripts find beside Lua's own: `cjson`, `cmsgpack`, `struct`, `bit`.
//!
//! # How a library is written
//! A file here uses `sys::lua::State` and nothing of the interpreter below it, so it needs no `unsafe`. A function for scripts
//! is a plain `fn(&mut State) -> Result<usize, LuaError>`: the arguments are on the stack from 1 on, the results are pushed
//! and counted.
//! ```
//! use redstart::sys::lua::{LuaError, Outcome, State};
//!
//! fn double(state: &mut State) -> Result<usize, LuaError> {
//!     let n = state.number(1).ok_or_else(|| {
//!         let given = state.type_of(1).name();
//!         LuaError::argument(1, format!("number expected, got {given}"))
//!     })?;
//!     state.push_number(2.0 * n)?;
//!     Ok(1)
//! }
//!
//! /// Leaves the library's table on top.
//! pub fn open(state: &mut State) -> Outcome {
//!     state.push_table(0, 1)?;
//!     state.set_function(-1, "double", double)
//! }
//! ```
//! - `LuaError::Text` gets the script's place before it (`user_script:1: …`), `LuaError::argument` the function's name as well.
//! - Bytes on the stack are borrowed (`state.bytes(1)`) until the stack changes; copy what is to outlive that.
//! - Everything that pushes or stores returns `Err` when stack or memory are used up: pass it on with `?`. Loops over outside
//!   counts push as they go, so they end there; nothing may be allocated in Rust by a count that was not checked first.
//! - Tables are read and written raw, as metamethods could raise errors: `raw_get`, `raw_set`, `next`.
//! - State between calls of one script belongs into upvalues (`push_closure`, `push_upvalue`) or, typed, beside the interpreter
//!   (`Machine::add_context`, `State::context`).

pub(super) mod arguments;
mod bit;
mod cjson;
mod cmsgpack;
mod number;
mod strukt;
#[cfg(test)]
mod tests;

use crate::sys::lua::{Outcome, State};

/// Leaves a library's table on top of the stack.
pub type Open = fn(&mut State) -> Outcome;

/// All libraries with their names.
pub const ALL: &[(&str, Open)] =
    &[("bit", bit::open), ("cjson", cjson::open), ("cmsgpack", cmsgpack::open), ("struct", strukt::open)];
