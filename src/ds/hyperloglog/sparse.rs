//! The sparse form: runs of equal registers, from the first register to the last.
//!
//! ```text
//! ZERO  00llllll            l + 1 zeros, at most 64
//! XZERO 01llllll llllllll   l + 1 zeros, at most 16,384, high bits first
//! VAL   1vvvvvll            l + 1 registers (at most 4) of value v + 1 (at most 32)
//! ```
//!
//! Setting a register splits the run that holds it in place and then joins equal neighbours within a short distance.
//! Which runs get split and joined decides the bytes, so the rules follow what other servers do.

use super::{HEADER, Invalid, REGISTERS};

/// All registers zero: one XZERO.
pub const EMPTY: [u8; 2] = [0x7f, 0xff];

const ZERO_MAX: usize = 64;
const VAL_LEN_MAX: usize = 4;
const VAL_MAX: u8 = 32;
/// How many runs, from the one before the change, are looked at for joining.
const JOIN_SCAN: usize = 5;

/// What became of an attempt to raise a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It was as high already.
    No,
    Yes,
    /// This form cannot hold the result; nothing was changed.
    NeedsDense,
}

/// Where a search may start: the run before the last one changed. Registers raised in ascending order then cost one
/// pass together instead of one each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The run's offset in the value, 0 for the first run.
    at: usize,
    /// The run's first register.
    register: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zero,
    LongZero,
    Value(u8),
}

#[derive(Clone, Copy, Debug)]
struct Run {
    kind: Kind,
    /// Registers covered.
    len: usize,
}

impl Run {
    /// The run at the start of the bytes; `None` at the end, or where a two-byte run is cut.
    fn read(bytes: &[u8]) -> Option<Run> {
        let first = *bytes.first()?;
        Some(match first >> 6 {
            0 => Run { kind: Kind::Zero, len: usize::from(first & 0x3f) + 1 },
            1 => {
                let low = usize::from(*bytes.get(1)?);
                Run { kind: Kind::LongZero, len: (usize::from(first & 0x3f) << 8 | low) + 1 }
            }
            _ => Run { kind: Kind::Value((first >> 2 & 0x1f) + 1), len: usize::from(first & 3) + 1 },
        })
    }

    fn bytes(self) -> usize {
        if self.kind == Kind::LongZero { 2 } else { 1 }
    }

    fn value(self) -> u8 {
        if let Kind::Value(value) = self.kind { value } else { 0 }
    }
}

/// Shows every run as (first register, length, value). Fails unless the runs cover the registers exactly.
pub fn for_each_run(runs: &[u8], mut show: impl FnMut(usize, usize, u8)) -> Result<(), Invalid> {
    let (mut at, mut register) = (0, 0);
    while at < runs.len() {
        let run = Run::read(&runs[at..]).ok_or(Invalid::Corrupt)?;
        if run.len > REGISTERS - register {
            return Err(Invalid::Corrupt);
        }
        show(register, run.len, run.value());
        at += run.bytes();
        register += run.len;
    }
    if register == REGISTERS { Ok(()) } else { Err(Invalid::Corrupt) }
}

/// Sets the register at `index` of a whole value, header included, to `count` if that is more. The caller marks the
/// cache.
pub fn raise(value: &mut Vec<u8>, cursor: &mut Cursor, index: usize, count: u8, max_bytes: usize) -> Result<Raised, Invalid> {
    if count > VAL_MAX {
        return Ok(Raised::NeedsDense);
    }
    let Place { run, at, first, before } = match locate(value, *cursor, index)? {
        // The run before the cursor's own is unknown, and joining must start there.
        place if place.before.is_none() && cursor.at != 0 => locate(value, Cursor::default(), index)?,
        place => place,
    };
    if run.value() >= count {
        return Ok(Raised::No);
    }
    if run.len == 1 && run.bytes() == 1 {
        value[at] = value_run(count, 1);
    } else {
        let mut split = Split::default();
        let (left, right) = (index - first, first + run.len - 1 - index);
        split.keep(run, left);
        split.push(value_run(count, 1));
        split.keep(run, right);
        let grown = value.len() - run.bytes() + split.len;
        if grown > value.len() && grown > max_bytes {
            return Ok(Raised::NeedsDense);
        }
        value.splice(at..at + run.bytes(), split.bytes[..split.len].iter().copied());
    }
    let start = before.map_or(HEADER, |before| before.at);
    *cursor = before.unwrap_or_default();
    join(value, start);
    Ok(Raised::Yes)
}

/// PFDEBUG DECODE's text.
pub fn decode(runs: &[u8]) -> Result<String, Invalid> {
    use std::fmt::Write;
    let (mut at, mut text) = (0, String::new());
    while at < runs.len() {
        let run = Run::read(&runs[at..]).ok_or(Invalid::Corrupt)?;
        let separator = if at == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = match run.kind {
            Kind::Zero => write!(text, "{separator}z:{}", run.len),
            Kind::LongZero => write!(text, "{separator}Z:{}", run.len),
            Kind::Value(value) => write!(text, "{separator}v:{value},{}", run.len),
        };
        at += run.bytes();
    }
    Ok(text)
}

/// The run that holds a register.
struct Place {
    run: Run,
    at: usize,
    /// The run's first register.
    first: usize,
    /// The run before it, if the search passed one.
    before: Option<Cursor>,
}

fn locate(value: &[u8], from: Cursor, index: usize) -> Result<Place, Invalid> {
    let (mut at, mut first) = (from.at.max(HEADER), from.register);
    let mut before = None;
    loop {
        let run = value.get(at..).and_then(Run::read).ok_or(Invalid::Corrupt)?;
        if index < first + run.len {
            return Ok(Place { run, at, first, before });
        }
        before = Some(Cursor { at, register: first });
        at += run.bytes();
        first += run.len;
    }
}

/// Joins neighbouring VAL runs of one value where the result still fits a run.
fn join(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_SCAN {
        let Some(run) = value.get(at..).and_then(Run::read) else { return };
        let Kind::Value(register) = run.kind else {
            at += run.bytes();
            continue;
        };
        let next = Run::read(&value[at + 1..]);
        match next {
            Some(next) if next.kind == run.kind && run.len + next.len <= VAL_LEN_MAX => {
                value[at] = value_run(register, run.len + next.len);
                value.remove(at + 1);
            }
            _ => at += 1,
        }
    }
}

fn value_run(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len as u8 - 1)
}

/// What replaces a run: at most a long run of zeros on both sides of a value.
#[derive(Default)]
struct Split {
    bytes: [u8; 5],
    len: usize,
}

impl Split {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Appends `len` registers of the old run's value; a long run of zeros may become a short one.
    fn keep(&mut self, old: Run, len: usize) {
        match old.kind {
            _ if len == 0 => {}
            Kind::Value(value) => self.push(value_run(value, len)),
            _ if len > ZERO_MAX => {
                self.push(0x40 | ((len - 1) >> 8) as u8);
                self.push((len - 1) as u8);
            }
            _ => self.push((len - 1) as u8),
        }
    }
}
