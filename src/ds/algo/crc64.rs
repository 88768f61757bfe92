//! CRC-64 with the Jones polynomial (reflected, no final inversion), the checksum at the end of an RDB file and of a
//! DUMP payload.

use crc_fast::{CrcAlgorithm, Digest};

/// A running checksum. Feeding the parts one by one gives the checksum of the whole.
#[derive(Clone, Debug)]
pub struct Crc64(Digest);

impl Crc64 {
    pub fn new() -> Crc64 {
        Crc64(Digest::new(CrcAlgorithm::Crc64Redis))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything fed so far.
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Crc64::new()
    }
}

/// The checksum of one piece.
pub fn checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

/// The checksum of two pieces in a row, from that of each and the length of the second.
pub fn combine(first: u64, second: u64, second_len: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Redis, first, second, second_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: one bit at a time.
    fn model(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0u64, |crc, &byte| {
            (0..8).fold(crc ^ u64::from(byte), |crc, _| (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 * (crc & 1)))
        })
    }

    #[test]
    fn check_values() {
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn agrees_with_the_definition_in_parts() {
        let bytes: Vec<u8> = (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for len in [1, 7, 8, 63, 64, 127, 128, 255, 256, 1000, 5000] {
            assert_eq!(checksum(&bytes[..len]), model(&bytes[..len]), "{len}");
            for cut in [0, 1, len / 3, len / 2, len] {
                let mut crc = Crc64::new();
                crc.update(&bytes[..cut]);
                crc.update(&bytes[cut..len]);
                assert_eq!(crc.value(), model(&bytes[..len]));
                let (first, second) = (checksum(&bytes[..cut]), checksum(&bytes[cut..len]));
                assert_eq!(combine(first, second, (len - cut) as u64), model(&bytes[..len]), "{len} {cut}");
            }
        }
    }
}
