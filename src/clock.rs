//! Time and chance, as inputs. One keyspace clock serves TTLs, TIME, stream ids, blocking timeouts and idle times; tests move
//! it by hand. Randomness comes from a seed. Socket timeouts, latency figures and log stamps keep the real clock.

use crate::types::UnixMillis;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the keyspace's time comes from.
#[derive(Clone, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    Real,
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
}

/// A clock in the hand of a test: microseconds since the epoch.
#[derive(Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock standing at `unix_millis`.
    pub fn at(unix_millis: UnixMillis) -> Self {
        ManualClock(Arc::new(AtomicI64::new(unix_millis * 1000)))
    }

    /// Moves the clock forward.
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis * 1000, Ordering::Relaxed);
    }
}

impl Clock {
    /// Microseconds since the Unix epoch.
    pub fn micros(&self) -> i64 {
        match self {
            Clock::Real => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64),
            Clock::Manual(at) => at.0.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(&self) -> UnixMillis {
        self.micros() / 1000
    }
}

/// xoshiro256**: quick, seeded, good enough for sampling. Not for secrets.
/// (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021.)
#[derive(Clone)]
pub struct Rng([u64; 4]);

impl Rng {
    /// A generator whose whole future follows from `seed`.
    pub fn seeded(seed: u64) -> Self {
        // SplitMix64 spreads the seed over the state, which must not be all zero.
        let mut x = seed;
        let mut next = || {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Rng([next(), next(), next(), next()])
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `n`, which is not zero.
    pub fn below(&mut self, n: u64) -> u64 {
        // The high half of a 128-bit product: unbiased enough for any n far below 2^64.
        ((self.next_u64() as u128 * n as u128) >> 64) as u64
    }

    /// A place in something of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number in 0.0..1.0.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// 40 random hexadecimal digits, as run ids and replication ids are.
pub fn random_id() -> String {
    let mut text: String = (0..3).map(|_| format!("{:016x}", entropy())).collect();
    text.truncate(40);
    text
}

/// Seed material from the operating system, for hash keys, run ids and generators.
pub fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // `RandomState` is keyed by the operating system's random source; hashing the time on top separates calls.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_i64(Clock::Real.micros());
    hasher.finish()
}
