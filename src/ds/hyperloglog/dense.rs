//! The dense form: 16,384 registers of six bits, the first in the low bits of the first byte.
//!
//! Whole values are turned into bytes and back eight registers at a time, by spreading 48 bits over 64 in three halving
//! steps. There is no branch per register, and the compiler makes vector code of it.

use super::{REGISTERS, Registers};

/// The size of the packed registers.
pub const BYTES: usize = REGISTERS * 6 / 8;

/// Every register as a byte. Missing bytes read as zero.
pub fn unpack(packed: &[u8]) -> Registers {
    let mut registers = [0; REGISTERS];
    for (out, six) in registers.chunks_exact_mut(8).zip(packed.chunks_exact(6)) {
        let word = u64::from_le_bytes([six[0], six[1], six[2], six[3], six[4], six[5], 0, 0]);
        let word = (word & 0xff_ffff) | (word & 0xffff_ff00_0000) << 8;
        let word = (word & 0x0000_0fff_0000_0fff) | (word & 0x00ff_f000_00ff_f000) << 4;
        let word = (word & 0x003f_003f_003f_003f) | (word & 0x0fc0_0fc0_0fc0_0fc0) << 2;
        out.copy_from_slice(&word.to_le_bytes());
    }
    registers
}

/// The inverse of [`unpack`]. Only the low six bits of a register are kept.
pub fn pack(registers: &Registers, packed: &mut [u8]) {
    for (eight, out) in registers.chunks_exact(8).zip(packed.chunks_exact_mut(6)) {
        let word = u64::from_le_bytes(eight.try_into().expect("chunks of eight"));
        let word = (word & 0x003f_003f_003f_003f) | (word & 0x3f00_3f00_3f00_3f00) >> 2;
        let word = (word & 0x0000_0fff_0000_0fff) | (word & 0x0fff_0000_0fff_0000) >> 4;
        let word = (word & 0xff_ffff) | (word & 0x00ff_ffff_0000_0000) >> 8;
        out.copy_from_slice(&word.to_le_bytes()[..6]);
    }
}

/// One register.
pub fn get(packed: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * 6 / 8, index * 6 % 8);
    (pair(packed, byte) >> shift) as u8 & 63
}

/// Sets a register to `value` if that is more; whether it was.
pub fn raise(packed: &mut [u8], index: usize, value: u8) -> bool {
    if value <= get(packed, index) {
        return false;
    }
    let (byte, shift) = (index * 6 / 8, index * 6 % 8);
    let [low, high] = (pair(packed, byte) & !(63 << shift) | u16::from(value & 63) << shift).to_le_bytes();
    packed[byte] = low;
    if let Some(next) = packed.get_mut(byte + 1) {
        *next = high;
    }
    true
}

/// The two bytes a register can span. The last register ends with the last byte.
fn pair(packed: &[u8], byte: usize) -> u16 {
    u16::from_le_bytes([packed[byte], packed.get(byte + 1).copied().unwrap_or(0)])
}
