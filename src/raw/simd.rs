//! Loops that run several times faster with instructions newer than the baseline of the build.
//!
//! The loops themselves are ordinary safe code; only the call into a function compiled for more features is unsafe, and
//! each one is guarded by a check at run time.

/// The number of set bits.
pub fn count_ones(bytes: &[u8]) -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        if bytes.len() >= 256 && is_x86_feature_detected!("avx512vpopcntdq") && is_x86_feature_detected!("avx512f") {
            // SAFETY: both features were just detected.
            return unsafe { count_ones_avx512(bytes) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: both features were just detected.
            return unsafe { count_ones_avx2(bytes) };
        }
    }
    count_ones_in_words(bytes)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_ones_avx512(bytes: &[u8]) -> u64 {
    count_ones_in_words(bytes)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx2,popcnt")]
fn count_ones_avx2(bytes: &[u8]) -> u64 {
    count_ones_in_words(bytes)
}

/// Sixteen independent sums, so that the additions of one step do not wait for those of the last.
#[inline(always)]
fn count_ones_in_words(bytes: &[u8]) -> u64 {
    let blocks = bytes.chunks_exact(128);
    let tail = blocks.remainder();
    let mut sums = [0u64; 16];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block.chunks_exact(8)) {
            *sum += u64::from(u64::from_ne_bytes(word.try_into().expect("chunks of eight")).count_ones());
        }
    }
    let words = tail.chunks_exact(8);
    let rest: u64 = words.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum();
    let tail: u64 = words.map(|word| u64::from(u64::from_ne_bytes(word.try_into().expect("chunks of eight")).count_ones())).sum();
    sums.iter().sum::<u64>() + tail + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_agrees_with_a_loop() {
        let bytes: Vec<u8> = (0..1200u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for start in [0, 1, 7] {
            for end in (start..bytes.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
                let slice = &bytes[start..end];
                let expected = slice.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
                assert_eq!(count_ones(slice), expected);
                assert_eq!(count_ones_in_words(slice), expected);
            }
        }
    }
}
