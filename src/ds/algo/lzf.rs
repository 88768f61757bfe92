//! LZF, the compression of strings in RDB files.
//!
//! A control byte below 32 announces that many literals plus one. Otherwise its top three bits are the length of a
//! reference minus two (seven: one more byte adds to it), and its low five bits with the next byte are the distance
//! minus one. The compressor is greedy with one candidate per three-byte hash, indexing only the last two positions of
//! a reference, as liblzf's fast setting does. Hash, first position and the moments of giving up are those of liblzf, too,
//! so that DUMP answers and files hold the same bytes as those of other servers.

const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const REFERENCE_MAX: usize = 264;
const HASH_BITS: u32 = 16;
const SLOTS: usize = 1 << HASH_BITS;

/// Candidate positions by hash, reusable from one string to the next without being cleared: positions are offset by a
/// base that moves past every string, so old entries are recognised and the output depends on the input alone.
pub struct Table {
    slots: Box<[u32; SLOTS]>,
    base: u32,
}

impl Table {
    pub fn new() -> Table {
        Table { slots: Box::new([0; SLOTS]), base: 1 }
    }

    /// Makes room for positions `0..len`; false if they cannot be told apart in 32 bits.
    fn prepare(&mut self, len: usize) -> bool {
        let Some(len) = u32::try_from(len).ok().filter(|&len| len < u32::MAX) else { return false };
        if self.base.checked_add(len).is_none() {
            self.slots.fill(0);
            self.base = 1;
        }
        true
    }
}

impl Default for Table {
    fn default() -> Self {
        Table::new()
    }
}

/// Compresses into `out`. `None` if the result would not fit, which is how a caller asks for a gain: RDB gives four
/// bytes less than the input.
pub fn compress(input: &[u8], out: &mut [u8], table: &mut Table) -> Option<usize> {
    if input.is_empty() || !table.prepare(input.len()) {
        return None;
    }
    let base = table.base;
    // Taken at once, so that entries are recognised as old even if this string is given up half-way. Never overflows:
    // `prepare` made sure of it.
    table.base = base + input.len() as u32;
    let slots = &mut *table.slots;
    let mut writer = Writer { out, len: 0 };
    // Everything before `flushed` is in the output; `at` is what is being looked at.
    let (mut flushed, mut at) = (0, 0);
    while at + 2 < input.len() {
        let key = key(input, at);
        let slot = &mut slots[hash(key)];
        // The first position is never referred to: liblzf cannot tell it from an empty slot.
        let known = *slot > base;
        let from = slot.wrapping_sub(base) as usize;
        *slot = base + at as u32;
        if !known || at - from > DISTANCE_MAX || self::key(input, from) != key {
            at += 1;
            continue;
        }
        let len = common_prefix(input, from, at, reference_limit(input.len() - at));
        writer.expect_reference(at - flushed)?;
        writer.literals(input, flushed, at)?;
        writer.reference(at - from, len)?;
        at += len;
        flushed = at;
        if at + 2 >= input.len() {
            break;
        }
        for position in [at - 2, at - 1] {
            slots[hash(self::key(input, position))] = base + position as u32;
        }
    }
    writer.expect_end(at - flushed)?;
    writer.literals(input, flushed, input.len())?;
    Some(writer.len)
}

/// Compressed bytes that cannot be what a compressor wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("corrupt LZF data")
    }
}

impl std::error::Error for Corrupt {}

/// Decompresses into `out`; how much of it was filled. What is behind that may have changed, too.
pub fn decompress_into(mut input: &[u8], out: &mut [u8]) -> Result<usize, Corrupt> {
    let mut at = 0;
    while let Some((&control, rest)) = input.split_first() {
        let control = usize::from(control);
        input = rest;
        if control < LITERALS_MAX {
            let (literals, rest) = input.split_at_checked(control + 1).ok_or(Corrupt)?;
            // As many as a run can have at most, where there is room: that is quicker, and what is too much is overwritten.
            match (out[at..].first_chunk_mut::<LITERALS_MAX>(), input.first_chunk::<LITERALS_MAX>()) {
                (Some(room), Some(bytes)) => *room = *bytes,
                _ => out.get_mut(at..at + literals.len()).ok_or(Corrupt)?.copy_from_slice(literals),
            }
            at += literals.len();
            input = rest;
            continue;
        }
        let mut len = (control >> 5) + 2;
        if control >> 5 == 7 {
            let (&more, rest) = input.split_first().ok_or(Corrupt)?;
            len += usize::from(more);
            input = rest;
        }
        let (&low, rest) = input.split_first().ok_or(Corrupt)?;
        input = rest;
        let distance = ((control & 0x1f) << 8 | usize::from(low)) + 1;
        let from = at.checked_sub(distance).ok_or(Corrupt)?;
        if len > out.len() - at {
            return Err(Corrupt);
        }
        const WORD: usize = 16;
        if distance >= WORD && out.len() - at >= len + WORD {
            for offset in (0..len).step_by(WORD) {
                out.copy_within(from + offset..from + offset + WORD, at + offset);
            }
        } else if distance >= len {
            out.copy_within(from..from + len, at);
        } else {
            // The source overlaps what is being written: the bytes repeat.
            for offset in 0..len {
                out[at + offset] = out[from + offset];
            }
        }
        at += len;
    }
    Ok(at)
}

/// Decompresses a string whose length is known, as RDB records it, into `out`, whose content is replaced. The length is
/// checked against what the input could possibly expand to before anything is allocated.
pub fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
    // Three bytes make a reference of at most 264.
    if len > input.len().saturating_mul(REFERENCE_MAX / 3) {
        return Err(Corrupt);
    }
    out.resize(len, 0);
    match decompress_into(input, out)? {
        filled if filled == len => Ok(()),
        _ => Err(Corrupt),
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    /// Where liblzf's next byte would go after so many literals, for each run of which it leaves a byte ahead.
    fn position(&self, literals: usize) -> usize {
        self.len + literals + literals / LITERALS_MAX + 1
    }

    /// Gives up where liblzf does: a literal would be written at or behind the end.
    fn expect_literals(&self, literals: usize) -> Option<()> {
        (literals == 0 || self.position(literals - 1) < self.out.len()).then_some(())
    }

    /// Gives up where liblzf does ahead of a reference that follows so many literals.
    fn expect_reference(&self, literals: usize) -> Option<()> {
        self.expect_literals(literals)?;
        let unused_run = usize::from(literals.is_multiple_of(LITERALS_MAX));
        (self.position(literals) - unused_run + 4 < self.out.len()).then_some(())
    }

    /// Gives up where liblzf does ahead of the last bytes, behind so many literals.
    fn expect_end(&self, literals: usize) -> Option<()> {
        self.expect_literals(literals)?;
        (self.position(literals) + 3 <= self.out.len()).then_some(())
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    /// Writes the literals `from..upto` of the input.
    fn literals(&mut self, input: &[u8], mut from: usize, upto: usize) -> Option<()> {
        while from < upto {
            let run = (upto - from).min(LITERALS_MAX);
            // As many as a run can have at most, where there is room: that is quicker, and what is too much is overwritten.
            let room = self.out.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut::<{ LITERALS_MAX + 1 }>());
            if let (Some(room), Some(bytes)) = (room, input[from..].first_chunk::<LITERALS_MAX>()) {
                room[0] = run as u8 - 1;
                room[1..].copy_from_slice(bytes);
                self.len += 1 + run;
            } else {
                self.put(&[run as u8 - 1])?;
                self.put(&input[from..from + run])?;
            }
            from += run;
        }
        Some(())
    }

    fn reference(&mut self, distance: usize, len: usize) -> Option<()> {
        let (distance, len) = (distance - 1, len - 2);
        let [high, low] = [(distance >> 8) as u8, distance as u8];
        match len {
            0..7 => self.put(&[(len as u8) << 5 | high, low]),
            _ => self.put(&[7 << 5 | high, (len - 7) as u8, low]),
        }
    }
}

/// How far liblzf looks for equal bytes when so many are left: at the end of the input not quite to it.
fn reference_limit(left: usize) -> usize {
    let room = left.saturating_sub(2).min(REFERENCE_MAX);
    room.max(if room > 16 { 19 } else { 3 })
}

/// The three bytes at a position.
#[inline]
fn key(input: &[u8], at: usize) -> u32 {
    match input[at..].first_chunk() {
        Some(four) => u32::from_be_bytes(*four) >> 8,
        None => u32::from(input[at]) << 16 | u32::from(input[at + 1]) << 8 | u32::from(input[at + 2]),
    }
}

/// liblzf's hash of three bytes, on which it depends what is found.
#[inline]
fn hash(key: u32) -> usize {
    ((key >> (24 - HASH_BITS)).wrapping_sub(key.wrapping_mul(5)) & (SLOTS as u32 - 1)) as usize
}

/// How many bytes at `from` are the same as those at `at`, up to `limit`. Three are known to be.
#[inline]
fn common_prefix(input: &[u8], from: usize, at: usize, limit: usize) -> usize {
    let (a, b) = (&input[from..], &input[at..at + limit]);
    let mut len = 3;
    while let (Some(x), Some(y)) = (a[len..].first_chunk(), b[len..].first_chunk()) {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return len + (difference.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + a[len..].iter().zip(&b[len..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;

    fn samples() -> Vec<Vec<u8>> {
        let mut rng = Rng::seeded(3);
        let mut next = |n: u64| rng.below(n);
        let mut samples = vec![b"a".repeat(5000), b"ab".to_vec(), b"abc".repeat(3), vec![0; 3], vec![1]];
        for round in 0..300 {
            let (letters, len) = (1 + next(if round % 3 == 0 { 256 } else { 6 }), 1 + next(3000));
            let mut bytes: Vec<u8> = Vec::new();
            while (bytes.len() as u64) < len {
                if bytes.len() > 10 && next(3) == 0 {
                    let from = next(bytes.len() as u64) as usize;
                    let copy: Vec<u8> = bytes[from..].iter().take(next(400) as usize).copied().collect();
                    bytes.extend(copy);
                } else {
                    bytes.push(next(letters) as u8);
                }
            }
            samples.push(bytes);
        }
        samples
    }

    fn decompress(input: &[u8], len: usize) -> Result<Vec<u8>, Corrupt> {
        let mut out = b"what was there before".to_vec();
        super::decompress(input, len, &mut out).map(|()| out)
    }

    #[test]
    fn round_trips_and_depends_on_the_input_alone() {
        let mut shared = Table::new();
        shared.base = u32::MAX - 200_000; // so that it wraps on the way
        for input in samples() {
            let mut out = vec![0; input.len() * 2 + 8];
            let len = compress(&input, &mut out, &mut shared).unwrap();
            let mut fresh = vec![0; input.len() * 2 + 8];
            assert_eq!(compress(&input, &mut fresh, &mut Table::new()), Some(len));
            assert_eq!(fresh[..len], out[..len]);
            assert_eq!(decompress(&out[..len], input.len()), Ok(input.clone()));
            assert_eq!(compress(&input, &mut out[..len - 1], &mut shared), None, "one byte short");
        }
    }

    /// As Redis 8 compresses these strings.
    #[test]
    fn gives_the_bytes_of_liblzf() {
        let packed = |input: &[u8]| {
            let mut out = vec![0; input.len() - 4];
            compress(input, &mut out, &mut Table::new()).map(|len| out[..len].to_vec())
        };
        assert_eq!(packed(&b"x".repeat(98)).as_deref(), Some(&b"\x01xx\xe0\x55\x00\x01xx"[..]));
        let abc = packed(&b"abc".repeat(0x153 / 3));
        assert_eq!(abc.as_deref(), Some(&b"\x03abca\xe0\xff\x02\xe1\x3c\x07\x01bc"[..]));
    }

    #[test]
    fn reads_what_other_servers_wrote() {
        // Ninety-nine bytes of 'a': one literal and a repeating reference, then the same by hand in short pieces.
        assert_eq!(decompress(&[0, b'a', 0xe0, 89, 0], 99), Ok(b"a".repeat(99)));
        assert_eq!(decompress(&[1, b'a', b'b', 0x20, 1], 5), Ok(b"ababa".to_vec()));
    }

    #[test]
    fn refuses_corruption() {
        assert_eq!(decompress(&[0x20, 0], 3), Err(Corrupt), "before the start");
        assert_eq!(decompress(&[5, 1, 2], 6), Err(Corrupt), "cut literals");
        assert_eq!(decompress(&[0, 1, 0xe0], 12), Err(Corrupt), "cut reference");
        assert_eq!(decompress(&[0, 1], usize::MAX), Err(Corrupt), "an absurd length allocates nothing");
        assert_eq!(decompress(&[1, 1, 2], 1), Err(Corrupt), "too long");
        let mut rng = Rng::seeded(5);
        let mut next = |n: u64| rng.below(n);
        for _ in 0..30_000 {
            let bytes: Vec<u8> = (0..next(30)).map(|_| (if next(2) == 0 { next(4) } else { next(256) }) as u8).collect();
            let _ = decompress(&bytes, next(600) as usize);
        }
        let mut table = Table::new();
        for mut input in samples().into_iter().take(60) {
            let mut out = vec![0; input.len() * 2 + 8];
            let len = compress(&input, &mut out, &mut table).unwrap();
            for _ in 0..50 {
                let at = next(len as u64) as usize;
                let before = std::mem::replace(&mut out[at], next(256) as u8);
                let _ = decompress_into(&out[..len], &mut input);
                out[at] = before;
            }
        }
    }
}
