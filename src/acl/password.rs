//! Passwords, of which only the SHA-256 digests are kept.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// The digest of a password.
#[derive(Clone, Copy)]
pub struct Password([u8; 32]);

impl Password {
    /// The digest of what a client or an administrator typed.
    pub fn of(text: &[u8]) -> Self {
        Password(Sha256::digest(text).into())
    }

    /// A digest given as 64 hexadecimal digits in lower case.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_chunks::<2>() else { return None };
        let mut digest = [0; 32];
        if pairs.len() != digest.len() {
            return None;
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Password(digest))
    }

    /// The digest in hexadecimal digits.
    pub fn hex(&self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Compares in a time that does not depend on where the digests differ.
    pub fn is_same(&self, other: &Password) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha_256() {
        // The example of FIPS 180-2.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Password::of(b"abc").hex(), digest);
        assert!(Password::from_hex(digest.as_bytes()).unwrap().is_same(&Password::of(b"abc")));
        assert!(!Password::of(b"abd").is_same(&Password::of(b"abc")));
        for bad in [&digest[..63], &digest.to_uppercase(), &format!("{digest}0"), &digest.replace('b', "g"), ""] {
            assert!(Password::from_hex(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
