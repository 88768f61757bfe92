//! Hash slots: which of a cluster's 16384 slots a key belongs to.
//!
//! The slot is a checksum of the key; of a key with a tag in braces, of the tag alone, so that clients can keep keys together.

use crc16::{State, XMODEM};

/// Number of slots.
pub const SLOTS: u16 = 16384;

/// The slot of a key or of a shard channel.
#[inline]
pub fn of_key(key: &[u8]) -> u16 {
    State::<XMODEM>::calculate(tag(key)) & (SLOTS - 1)
}

/// The part of a key that decides: what stands between the first `{` and the next `}`, unless that is nothing.
#[inline]
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    let rest = &key[open + 1..];
    match memchr::memchr(b'}', rest) {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

/// The one slot to which everything belongs that a glob pattern fits, if its text shows that there is one.
pub fn of_pattern(pattern: &[u8]) -> Option<u16> {
    let mut open = None;
    let mut empty = false;
    for (at, byte) in pattern.iter().enumerate() {
        match (byte, open) {
            (b'*' | b'?' | b'[' | b'\\', _) => return None,
            (b'{', None) if !empty => open = Some(at),
            (b'}', Some(start)) if at == start + 1 => (open, empty) = (None, true),
            (b'}', Some(start)) => return Some(State::<XMODEM>::calculate(&pattern[start + 1..at]) & (SLOTS - 1)),
            _ => {}
        }
    }
    Some(of_key(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_decides_unless_it_is_empty() {
        assert_eq!(of_key(b"foo"), 12182);
        assert_eq!(of_key(b"{foo}bar"), 12182);
        assert_eq!(of_key(b"x{foo}{bar}"), 12182);
        assert_eq!(of_key(b"foo{}{bar}"), State::<XMODEM>::calculate(b"foo{}{bar}") & 16383);
        assert_eq!(of_key(b"{foo"), State::<XMODEM>::calculate(b"{foo") & 16383);
        assert_eq!(of_key(b""), 0);
    }

    #[test]
    fn a_pattern_tells_its_slot_only_if_all_it_fits_share_it() {
        assert_eq!(of_pattern(b"{foo}*"), Some(12182));
        assert_eq!(of_pattern(b"foo"), Some(12182));
        for open in [&b"*{foo}"[..], b"f*", b"{f*}", b"{}*", b"{foo\\}", b"[f]oo", b"f?o"] {
            assert_eq!(of_pattern(open), None, "{}", String::from_utf8_lossy(open));
        }
        assert_eq!(of_pattern(b"{}foo"), Some(of_key(b"{}foo")));
    }
}
