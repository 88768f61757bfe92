//! The longest common subsequence of two strings, for LCS.
//!
//! The usual table of lengths takes four bytes per cell. Neighbouring cells differ by at most one, so one bit per cell
//! holds the same knowledge, and 64 cells fall out of one addition (Hyyrö, "Bit-parallel LCS-length computation
//! revisited", 2004). Row i has a zero bit at column j where L(i,j) = L(i,j-1) + 1. That bit is also all the walk back
//! needs: on a mismatch L(i,j) is the larger neighbour, so a zero bit says that the row above holds it.
//! The columns are taken 64 at a time, which keeps the match masks at 2 KiB whatever the strings are.

/// Why the subsequence was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LcsError {
    /// An input of 2³² − 2 bytes or more.
    TooLong,
    /// The classical table, four bytes per cell, would exceed the given limit.
    ExceedsLimit,
    /// The memory for the work could not be had.
    OutOfMemory,
}

impl std::fmt::Display for LcsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LcsError::TooLong => "String too long for LCS",
            LcsError::ExceedsLimit => "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            LcsError::OutOfMemory => "Insufficient memory, failed allocating transient memory for LCS",
        })
    }
}

impl std::error::Error for LcsError {}

/// A run of equal bytes: `a[a_start..a_start + len] == b[b_start..b_start + len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub a_start: usize,
    pub b_start: usize,
    /// At least 1.
    pub len: usize,
}

/// The subsequence and where its bytes come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lcs {
    pub bytes: Vec<u8>,
    /// From the last run to the first, as the table is walked.
    pub matches: Vec<Match>,
}

/// The length of the longest common subsequence. `limit_bytes` bounds the size of the table another server would take
/// (rows × columns × 4), so that the same inputs are refused.
pub fn length(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<usize, LcsError> {
    check_size(a, b, limit_bytes)?;
    sweep(a, b, |_| ())
}

/// The subsequence itself and its runs. Where several subsequences are longest, the walk from the ends prefers to drop
/// a byte of `b`.
pub fn longest(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<Lcs, LcsError> {
    check_size(a, b, limit_bytes)?;
    // Column blocks one after the other, each with one word per row.
    let mut words: Vec<u64> = Vec::new();
    words.try_reserve_exact(a.len() * b.len().div_ceil(64)).map_err(|_| LcsError::OutOfMemory)?;
    let len = sweep(a, b, |word| words.push(word))?;

    let mut lcs = Lcs { bytes: Vec::new(), matches: Vec::new() };
    lcs.bytes.try_reserve_exact(len).map_err(|_| LcsError::OutOfMemory)?;
    let (mut i, mut j) = (a.len(), b.len());
    let mut run: Option<Match> = None;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            lcs.bytes.push(a[i]);
            run = Some(Match { a_start: i, b_start: j, len: run.map_or(0, |run| run.len) + 1 });
            continue;
        }
        lcs.matches.extend(run.take());
        let step_up = words[(j - 1) / 64 * a.len() + i - 1] >> ((j - 1) % 64) & 1 == 0;
        if step_up {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    lcs.matches.extend(run);
    lcs.bytes.reverse();
    Ok(lcs)
}

fn check_size(a: &[u8], b: &[u8], limit_bytes: u64) -> Result<(), LcsError> {
    let longest = u64::from(u32::MAX - 1);
    let (rows, columns) = (a.len() as u64, b.len() as u64);
    if rows >= longest || columns >= longest {
        return Err(LcsError::TooLong);
    }
    match (rows + 1).checked_mul(columns + 1).and_then(|cells| cells.checked_mul(4)) {
        Some(bytes) if bytes <= limit_bytes => Ok(()),
        Some(_) => Err(LcsError::ExceedsLimit),
        None => Err(LcsError::OutOfMemory),
    }
}

/// Runs down every block of 64 columns, showing each row's word to `row`; returns the length.
fn sweep(a: &[u8], b: &[u8], mut row: impl FnMut(u64)) -> Result<usize, LcsError> {
    // What each row's addition carried out of the previous block.
    let mut carries: Vec<u8> = Vec::new();
    carries.try_reserve_exact(a.len()).map_err(|_| LcsError::OutOfMemory)?;
    carries.resize(a.len(), 0);
    let mut len = 0;
    for columns in b.chunks(64) {
        let mut masks = [0u64; 256];
        for (bit, &byte) in columns.iter().enumerate() {
            masks[usize::from(byte)] |= 1 << bit;
        }
        let mut word = u64::MAX;
        for (&byte, carry) in a.iter().zip(&mut carries) {
            let mask = masks[usize::from(byte)];
            let (sum, over) = word.overflowing_add(word & mask);
            let (sum, over_again) = sum.overflowing_add(u64::from(*carry));
            *carry = u8::from(over | over_again);
            word = sum | (word & !mask);
            row(word);
        }
        let valid = u64::MAX >> (64 - columns.len());
        len += (!word & valid).count_ones() as usize;
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 512 << 20;

    #[test]
    fn documented_example() {
        let lcs = longest(b"ohmytext", b"mynewtext", LIMIT).unwrap();
        assert_eq!(lcs.bytes, b"mytext");
        let runs = [Match { a_start: 4, b_start: 5, len: 4 }, Match { a_start: 2, b_start: 0, len: 2 }];
        assert_eq!(lcs.matches, runs);
        assert_eq!(length(b"ohmytext", b"mynewtext", LIMIT), Ok(6));
        assert_eq!(longest(b"", b"abc", LIMIT), Ok(Lcs::default()));
    }

    #[test]
    fn sizes_are_checked_as_the_full_table() {
        assert_eq!(length(&[0; 9], &[0; 9], 400), Ok(9));
        assert_eq!(length(&[0; 9], &[0; 9], 399), Err(LcsError::ExceedsLimit));
        assert_eq!(longest(&[0; 100_000], &[0; 100_000], LIMIT), Err(LcsError::ExceedsLimit));
    }

    /// The textbook table, walked with the same preference.
    fn model(a: &[u8], b: &[u8]) -> Lcs {
        let mut table = vec![vec![0u32; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] { table[i - 1][j - 1] + 1 } else { table[i - 1][j].max(table[i][j - 1]) };
            }
        }
        let mut pairs = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                pairs.push((i, j));
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        let mut matches: Vec<Match> = Vec::new();
        for &(i, j) in &pairs {
            match matches.last_mut() {
                Some(last) if last.a_start == i + 1 && last.b_start == j + 1 => {
                    *last = Match { a_start: i, b_start: j, len: last.len + 1 }
                }
                _ => matches.push(Match { a_start: i, b_start: j, len: 1 }),
            }
        }
        Lcs { bytes: pairs.iter().rev().map(|&(i, _)| a[i]).collect(), matches }
    }

    #[test]
    fn agrees_with_the_table() {
        let mut rng = crate::clock::Rng::seeded(0x1234_5678_9abc_def1_u64);
        let mut next = |n: u64| rng.below(n);
        for round in 0..400 {
            let (longest_len, letters) = (1 + round % 200, 1 + next(5));
            let a: Vec<u8> = (0..next(longest_len)).map(|_| b'a' + next(letters) as u8).collect();
            let b: Vec<u8> = (0..next(longest_len)).map(|_| b'a' + next(letters) as u8).collect();
            let expected = model(&a, &b);
            assert_eq!(length(&a, &b, LIMIT), Ok(expected.bytes.len()));
            assert_eq!(longest(&a, &b, LIMIT), Ok(expected));
        }
    }
}
