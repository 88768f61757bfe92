//! `struct`: Lua values from and to the bytes of C structures, as Roberto Ierusalimschy's struct does it.
//!
//! | letter | means |
//! |---|---|
//! | `<` `>` | little and big endian from here on |
//! | `!n` | fields are aligned to their size, to `n` at most (8) |
//! | `x` | a byte of padding |
//! | `b` `h` `l` `i` and a size | signed integers of 1, 2, 8 and 4 bytes, or so many; unsigned in capitals |
//! | `T` | a size, unsigned, of 8 bytes |
//! | `f` `d` | floats |
//! | `cn` | `n` bytes (1); packing, 0 is the whole string; unpacking, 0 is as many as the number before says |
//! | `s` | a string that ends with a zero byte |
//! | blank | nothing |

use super::arguments;
use crate::sys::lua::{LuaError, LuaFn, Outcome, State};

const FUNCTIONS: &[(&str, LuaFn)] = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// Most bytes of an integer.
const INTEGER_MAX: usize = 32;
const ALIGN_MAX: usize = 8;

/// Pushes the library.
pub fn open(state: &mut State) -> Outcome {
    state.push_table(0, FUNCTIONS.len())?;
    for (name, function) in FUNCTIONS {
        state.set_function(-1, name, *function)?;
    }
    Ok(())
}

/// A format being read, and what it has set so far.
struct Format {
    text: Vec<u8>,
    at: usize,
    big: bool,
    align: usize,
}

/// One field: its letter, its size, and how many bytes go before it.
struct Field {
    letter: u8,
    size: usize,
    padding: usize,
}

impl Format {
    /// The first argument, up to a zero byte.
    fn of(state: &mut State) -> Outcome<Format> {
        arguments::string(state, 1)?;
        let text = state.bytes(1).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        Ok(Format { text, at: 0, big: false, align: 1 })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next field, which comes after so many bytes.
    fn field(&mut self, position: usize) -> Outcome<Option<Field>> {
        let Some(letter) = self.peek() else { return Ok(None) };
        self.at += 1;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_MAX}");
                    return Err(LuaError::text(text));
                }
                size
            }
            _ => 0,
        };
        let padding = if size == 0 || letter == b'c' {
            0
        } else {
            // For sizes that are no powers of two this is what the original makes of them.
            let unit = size.min(self.align);
            unit.wrapping_sub(position & (unit - 1)) & (unit - 1)
        };
        Ok(Some(Field { letter, size, padding }))
    }

    /// The number that follows, if one does.
    fn number(&mut self, default: usize) -> Outcome<usize> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Ok(default);
        }
        let mut number = 0_i32;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let grown = number.checked_mul(10).and_then(|number| number.checked_add(i32::from(digit - b'0')));
            number = grown.ok_or(LuaError::text("integral size overflow"))?;
            self.at += 1;
        }
        Ok(number as usize)
    }

    /// A letter that is no field.
    fn control(&mut self, letter: u8) -> Outcome {
        match letter {
            b' ' => {}
            b'<' => self.big = false,
            b'>' => self.big = true,
            b'!' => {
                let align = self.number(ALIGN_MAX)?;
                if !align.is_power_of_two() {
                    return Err(LuaError::text(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            _ => {
                let reason = [b"invalid format option '", &[letter][..], b"'"].concat();
                return Err(LuaError::Argument { at: 1, reason: reason.into() });
            }
        }
        Ok(())
    }

    /// Bytes of a number, least significant first, as they are stored, or the other way round.
    fn order<'b>(&self, bytes: &'b mut [u8]) -> &'b [u8] {
        if self.big {
            bytes.reverse();
        }
        bytes
    }
}

fn pack(state: &mut State) -> Outcome<usize> {
    let mut format = Format::of(state)?;
    // Missing arguments read as nil first.
    state.push_nil()?;
    let mut out = Vec::new();
    let bytes_max = state.memory_left();
    let mut at = 2;
    while let Some(Field { letter, size, padding }) = format.field(out.len())? {
        if out.len() > bytes_max {
            return Err(LuaError::Memory);
        }
        out.resize(out.len() + padding, 0);
        match letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = arguments::number(state, at)?;
                let mut bytes = [0; INTEGER_MAX];
                bytes[..8].copy_from_slice(&wrapped(number).to_le_bytes());
                out.extend_from_slice(format.order(&mut bytes[..size]));
                at += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let number = arguments::number(state, at)? as f32;
                out.extend_from_slice(format.order(&mut number.to_le_bytes()));
                at += 1;
            }
            b'd' => {
                let number = arguments::number(state, at)?;
                out.extend_from_slice(format.order(&mut number.to_le_bytes()));
                at += 1;
            }
            b'c' | b's' => {
                arguments::string(state, at)?;
                let text = state.bytes(at as i32).unwrap_or_default();
                at += 1;
                let size = if size == 0 { text.len() } else { size };
                // The argument after it is blamed, as it is in the original.
                out.extend_from_slice(text.get(..size).ok_or(LuaError::argument(at, "string too short"))?);
                if letter == b's' {
                    out.push(0);
                }
            }
            _ => format.control(letter)?,
        }
    }
    state.push_bytes(&out)?;
    Ok(1)
}

/// The 64 bits of a number; beyond the range what the processor makes of it.
fn wrapped(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF { if number < 2.0 * HALF { number as u64 } else { 0 } } else { arguments::truncated(number) as u64 }
}

fn unpack(state: &mut State) -> Outcome<usize> {
    let mut format = Format::of(state)?;
    arguments::string(state, 2)?;
    // The stack changes while the bytes are read.
    let data = state.bytes(2).unwrap_or_default().to_vec();
    let mut at = match arguments::integer_or(state, 3, 1)? {
        0 => return Err(LuaError::argument(3, "offset must be 1 or greater")),
        at => (at as usize).wrapping_sub(1),
    };
    let rest = |at: usize, size: usize| {
        let rest = data.get(at..).filter(|rest| rest.len() >= size);
        rest.ok_or(LuaError::argument(2, "data string too short"))
    };
    let mut count = 0;
    while let Some(Field { letter, mut size, padding }) = format.field(at)? {
        at = at.wrapping_add(padding);
        let bytes = rest(at, size)?;
        arguments::room(state, 2, "too many results")?;
        match letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                state.push_number(integer(&bytes[..size], format.big, letter.is_ascii_lowercase()))?;
                count += 1;
            }
            b'x' => {}
            b'f' => {
                let mut number = [0; 4];
                number.copy_from_slice(&bytes[..4]);
                format.order(&mut number);
                state.push_number(f64::from(f32::from_le_bytes(number)))?;
                count += 1;
            }
            b'd' => {
                let mut number = [0; 8];
                number.copy_from_slice(&bytes[..8]);
                format.order(&mut number);
                state.push_number(f64::from_le_bytes(number))?;
                count += 1;
            }
            b'c' => {
                if size == 0 {
                    let before = if count > 0 { state.number(-1) } else { None };
                    let before = before.ok_or(LuaError::text("format 'c0' needs a previous size"))?;
                    state.pop(1);
                    count -= 1;
                    size = wrapped(before) as usize;
                }
                state.push_bytes(&rest(at, size)?[..size])?;
                count += 1;
            }
            b's' => {
                let end = bytes.iter().position(|byte| *byte == 0);
                let end = end.ok_or(LuaError::text("unfinished string in data"))?;
                state.push_bytes(&bytes[..end])?;
                size = end + 1;
                count += 1;
            }
            _ => format.control(letter)?,
        }
        at += size;
    }
    // A place before the text is told as it was given.
    state.push_number(at.wrapping_add(1) as i64 as f64)?;
    Ok(count + 1)
}

/// An integer. Of more than eight bytes only the least significant ones count, and the sign is where the original looks for it.
fn integer(bytes: &[u8], big: bool, signed: bool) -> f64 {
    let mut number = 0_u64;
    let mut shift_in = |byte: &u8| number = number << 8 | u64::from(*byte);
    if big {
        bytes.iter().for_each(&mut shift_in);
    } else {
        bytes.iter().rev().for_each(&mut shift_in);
    }
    if !signed {
        return number as f64;
    }
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    (if number & mask != 0 { number | mask } else { number }) as i64 as f64
}

fn size(state: &mut State) -> Outcome<usize> {
    let mut format = Format::of(state)?;
    let mut position = 0;
    while let Some(Field { letter, size, padding }) = format.field(position)? {
        match letter {
            b's' => return Err(LuaError::argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(LuaError::argument(1, "option 'c0' has no fixed size")),
            letter if !letter.is_ascii_alphanumeric() => format.control(letter)?,
            _ => {}
        }
        position += padding + size;
    }
    state.push_number(position as f64)?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_integers_are_read_as_the_original_reads_them() {
        assert_eq!(integer(&[0xFE, 0xFF], false, true), -2.0);
        assert_eq!(integer(&[0xFE, 0xFF], false, false), 65534.0);
        assert_eq!(integer(&[0xFF, 0xFE], true, true), -2.0);
        assert_eq!(integer(&[], true, true), 0.0);
        assert_eq!(wrapped(-1.0), u64::MAX);
        assert_eq!(wrapped(1e19), 10_000_000_000_000_000_000);
        assert_eq!((wrapped(1e20), wrapped(f64::NAN)), (0, 1 << 63));
    }
}
