//! Scripts that were seen, by the SHA-1 of their text. Those that came with EVAL are forgotten when there are too many of them;
//! those of SCRIPT LOAD stay, as somebody will call them by their digest.

use super::flags::Flags;
use crate::sys::lua::Kept;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// A digest in hexadecimal.
pub type Sha = [u8; 40];

/// The SHA-1 of a text, in hexadecimal.
pub fn sha1_hex(text: &[u8]) -> Sha {
    let digest = sha1_smol::Sha1::from(text).digest().bytes();
    let mut hex = [0; 40];
    for (byte, pair) in digest.iter().zip(hex.chunks_exact_mut(2)) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

/// The digest that a client sent, in lower case.
pub fn parse_sha(text: &[u8]) -> Option<Sha> {
    let mut sha: Sha = text.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

/// A script that was seen.
pub struct Script {
    pub body: Box<[u8]>,
    pub flags: Flags,
    /// The compiled function, in the interpreter's keeping.
    pub function: Kept,
    /// When it was last used, if it can be forgotten.
    last_use: Option<u64>,
}

/// Scripts of EVAL that are remembered.
const FORGETTABLE_MAX: usize = 500;

/// Texts whose digests are at hand: clients that send texts send few again and again, and SHA-1 takes longer than all else that
/// is done for a short script.
const RECENT: usize = 16;

/// Hashes digests, which are as good as random already: nobody can choose many that agree in 64 bits.
#[derive(Default, Clone, Copy)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // Not the length, which is hashed as well.
        if let Some((first, rest)) = bytes.split_first_chunk::<8>()
            && let Some(second) = rest.first_chunk::<8>()
        {
            let mixed = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*second).rotate_left(4);
            let product = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 = product ^ product >> 32;
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// All scripts.
#[derive(Default)]
pub struct Cache {
    scripts: HashMap<Sha, Script, BuildHasherDefault<DigestHasher>>,
    /// Digests of texts that came lately, each in the place that a few bytes of its text tell.
    recent: [Option<Sha>; RECENT],
    /// Those that can be forgotten, the least recently used first.
    by_use: BTreeMap<u64, Sha>,
    uses: u64,
    bytes: usize,
}

impl Cache {
    /// A script, if it is known.
    #[inline]
    pub fn get(&self, sha: &Sha) -> Option<&Script> {
        self.scripts.get(sha)
    }

    /// The digest of a text.
    pub fn digest(&mut self, text: &[u8]) -> Sha {
        let place = place(text);
        if let Some(sha) = &self.recent[place]
            && self.scripts.get(sha).is_some_and(|script| *script.body == *text)
        {
            return *sha;
        }
        let sha = sha1_hex(text);
        self.recent[place] = Some(sha);
        sha
    }

    /// A script that is about to run.
    #[inline]
    pub fn use_script(&mut self, sha: &Sha) -> Option<&Script> {
        let script = self.scripts.get_mut(sha)?;
        if let Some(last) = script.last_use
            && last != self.uses
        {
            self.by_use.remove(&last);
            self.uses += 1;
            self.by_use.insert(self.uses, *sha);
            script.last_use = Some(self.uses);
        }
        Some(script)
    }

    /// Adds a script. Returns what it pushed out.
    pub fn add(&mut self, sha: Sha, body: &[u8], flags: Flags, function: Kept, forgettable: bool) -> Option<Kept> {
        let mut pushed_out = None;
        let mut last_use = None;
        if forgettable {
            if self.by_use.len() >= FORGETTABLE_MAX
                && let Some((_, oldest)) = self.by_use.pop_first()
            {
                pushed_out = self.scripts.remove(&oldest).map(|script| {
                    self.bytes -= memory_of(&script);
                    script.function
                });
            }
            self.uses += 1;
            self.by_use.insert(self.uses, sha);
            last_use = Some(self.uses);
        }
        let script = Script { body: body.into(), flags, function, last_use };
        self.bytes += memory_of(&script);
        self.scripts.insert(sha, script);
        pushed_out
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// True without scripts.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

/// Where `Cache::recent` holds a text's digest.
fn place(text: &[u8]) -> usize {
    let last = text.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let middle = text.get(text.len() / 2).copied().unwrap_or_default();
    let mixed = (last ^ u64::from(middle) << 32 ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 60) as usize % RECENT
}

fn memory_of(script: &Script) -> usize {
    script.body.len() + size_of::<Script>() + size_of::<Sha>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_lower_case() {
        assert_eq!(&sha1_hex(b"return 1"), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(parse_sha(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(sha1_hex(b"return 1")));
        assert_eq!(parse_sha(b"e0"), None);
        let mut cache = Cache::default();
        for text in ["return 1", "return 2", "return 1", "", "x"] {
            assert_eq!(cache.digest(text.as_bytes()), sha1_hex(text.as_bytes()));
        }
    }
}
