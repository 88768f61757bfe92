//! Arguments as Lua's own C libraries take them: numbers and strings stand in for each other, and messages name the place.

use crate::sys::lua::{LuaError, Outcome, State, Type};

/// Argument `at` is of another type.
#[cold]
pub fn wrong_type(state: &State, at: usize, expected: &str) -> LuaError {
    LuaError::argument(at, format!("{expected} expected, got {}", state.type_of(at as i32).name()))
}

/// A number, or a string that reads as one.
#[inline]
pub fn number(state: &State, at: usize) -> Outcome<f64> {
    state.number(at as i32).ok_or_else(|| wrong_type(state, at, "number"))
}

/// A number without its fraction.
pub fn integer(state: &State, at: usize) -> Outcome<i64> {
    number(state, at).map(truncated)
}

/// A number without its fraction, or something else if there is none.
pub fn integer_or(state: &State, at: usize, default: i64) -> Outcome<i64> {
    match state.type_of(at as i32) {
        Type::None | Type::Nil => Ok(default),
        _ => integer(state, at),
    }
}

/// Makes sure that there is a string: a number becomes one. The bytes are `state.bytes(at)` then.
pub fn string(state: &mut State, at: usize) -> Outcome {
    match state.text(at as i32) {
        Some(_) => Ok(()),
        None => Err(wrong_type(state, at, "string")),
    }
}

/// What the processor makes of a number beyond the range, which is what scripts have always got: the least integer.
pub fn truncated(number: f64) -> i64 {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if (-BEYOND..BEYOND).contains(&number) { number as i64 } else { i64::MIN }
}

/// Makes room for `n` more values; `what` tells what takes it.
#[inline]
pub fn room(state: &mut State, n: u32, what: &str) -> Outcome {
    state.reserve(n).map_err(|_| LuaError::text(format!("stack overflow ({what})")))
}

/// Counts what a function does, so that a long one can be ended from outside.
#[derive(Default)]
pub struct Steps(u32);

impl Steps {
    #[inline]
    pub fn step(&mut self, state: &mut State) -> Outcome {
        const BETWEEN_LOOKS: u32 = 4096;
        self.0 = self.0.wrapping_add(1);
        if self.0.is_multiple_of(BETWEEN_LOOKS) { state.give_way() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_range_become_the_least_integer() {
        assert_eq!(truncated(-1.9), -1);
        assert_eq!(truncated(9_223_372_036_854_774_784.0), 9_223_372_036_854_774_784);
        for beyond in [9_223_372_036_854_775_808.0, -1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(truncated(beyond), i64::MIN, "{beyond}");
        }
    }
}
