//! `bit`: operations on the 32 bits of a number, as Lua BitOp does them.

use super::arguments;
use crate::sys::lua::{LuaFn, Outcome, State, Type};

const FUNCTIONS: &[(&str, LuaFn)] = &[
    ("tobit", |state| answer(state, |bits| bits)),
    ("bnot", |state| answer(state, |bits| !bits)),
    ("bswap", |state| answer(state, u32::swap_bytes)),
    ("band", |state| fold(state, |a, b| a & b)),
    ("bor", |state| fold(state, |a, b| a | b)),
    ("bxor", |state| fold(state, |a, b| a ^ b)),
    ("lshift", |state| shift(state, u32::wrapping_shl)),
    ("rshift", |state| shift(state, u32::wrapping_shr)),
    ("arshift", |state| shift(state, |bits, n| (bits as i32).wrapping_shr(n) as u32)),
    ("rol", |state| shift(state, u32::rotate_left)),
    ("ror", |state| shift(state, u32::rotate_right)),
    ("tohex", tohex),
];

/// Pushes the library.
pub fn open(state: &mut State) -> Outcome {
    state.push_table(0, FUNCTIONS.len())?;
    for (name, function) in FUNCTIONS {
        state.set_function(-1, name, *function)?;
    }
    Ok(())
}

/// The low 32 bits of argument `at`, rounded to an integer, half to even.
fn bits(state: &State, at: usize) -> Outcome<u32> {
    // 2^52 + 2^51: what is left of the fraction's bits after this is the integer.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    Ok((arguments::number(state, at)? + ROUNDER).to_bits() as u32)
}

fn push(state: &mut State, bits: u32) -> Outcome<usize> {
    state.push_number(f64::from(bits as i32))?;
    Ok(1)
}

fn answer(state: &mut State, f: fn(u32) -> u32) -> Outcome<usize> {
    let bits = bits(state, 1)?;
    push(state, f(bits))
}

fn fold(state: &mut State, f: fn(u32, u32) -> u32) -> Outcome<usize> {
    let mut result = bits(state, 1)?;
    for at in (2..=state.top()).rev() {
        result = f(result, bits(state, at)?);
    }
    push(state, result)
}

fn shift(state: &mut State, f: fn(u32, u32) -> u32) -> Outcome<usize> {
    let number = bits(state, 1)?;
    let n = bits(state, 2)? & 31;
    push(state, f(number, n))
}

fn tohex(state: &mut State) -> Outcome<usize> {
    let number = bits(state, 1)?;
    let digits = match state.type_of(2) {
        Type::None => 8,
        _ => bits(state, 2)? as i32,
    };
    let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    let kept = digits.unsigned_abs().min(8) as usize;
    state.push_bytes(&text.as_bytes()[8 - kept..])?;
    Ok(1)
}
