//! `math.random`: the generator of drand48. A script that seeds it gets the same numbers on every machine and in every run;
//! others get different ones each time.

use super::interpreter::Run;
use crate::sys::lua::{LuaError, State};
use crate::sys::random;

/// The generator's whole state: 48 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Lrand48(u64);

/// One more than the largest number.
const MAX: f64 = 2_147_483_647.0;

impl Lrand48 {
    /// One that nobody can foresee, as far as the system has chance to give.
    pub fn by_chance() -> Self {
        let seed = random::bytes(4).ok().and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_le_bytes);
        Lrand48::seeded(seed)
    }

    /// The generator that `srand48` leaves.
    pub fn seeded(seed: i32) -> Self {
        Lrand48((u64::from(seed as u32) << 16) | 0x330e)
    }

    /// The next number, of 31 bits.
    pub fn next(&mut self) -> u32 {
        const FACTOR: u64 = 0x5_deec_e66d;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(11) & ((1 << 48) - 1);
        (self.0 >> 17) as u32
    }
}

/// math.random([low,] high)
pub(super) fn random(state: &mut State) -> Result<usize, LuaError> {
    let run = Run::of(state);
    let mut generator = run.random.get();
    let unit = f64::from(generator.next() % MAX as u32) / MAX;
    run.random.set(generator);
    let number = match state.top() {
        0 => unit,
        1 => {
            let high = integer(state, 1)?;
            if high < 1 {
                return Err(LuaError::argument(1, "interval is empty"));
            }
            (unit * f64::from(high)).floor() + 1.0
        }
        2 => {
            let (low, high) = (integer(state, 1)?, integer(state, 2)?);
            if low > high {
                return Err(LuaError::argument(2, "interval is empty"));
            }
            (unit * f64::from(high.wrapping_sub(low).wrapping_add(1))).floor() + f64::from(low)
        }
        _ => return Err(LuaError::text("wrong number of arguments")),
    };
    state.push_number(number)?;
    Ok(1)
}

/// math.randomseed(seed)
pub(super) fn randomseed(state: &mut State) -> Result<usize, LuaError> {
    let seed = integer(state, 1)?;
    Run::of(state).random.set(Lrand48::seeded(seed));
    Ok(0)
}

/// An argument as the 32 bits of C's `int`.
fn integer(state: &State, at: usize) -> Result<i32, LuaError> {
    match state.number(at as i32) {
        Some(number) => Ok(super::convert::to_i64(number) as i32),
        None => {
            let given = state.type_of(at as i32).name();
            Err(LuaError::argument(at, format!("number expected, got {given}")))
        }
    }
}
