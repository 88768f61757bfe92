//! From registers to a cardinality: the improved raw estimator of Otmar Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches" (arXiv:1702.01284). It needs only how often each register value occurs, and no correction
//! tables. Answers are compared between servers, so the operations stay in the usual order.

use super::{REGISTERS, RUN_BITS, Registers};

/// How many registers have each value.
pub type Histogram = [u32; 64];

/// Counts in four tables by turns: neighbours are often equal, and an increment would otherwise wait for the last one
/// to the same cell.
pub fn histogram(registers: &Registers) -> Histogram {
    let mut tables = [[0u32; 64]; 4];
    for four in registers.chunks_exact(4) {
        for (table, &register) in tables.iter_mut().zip(four) {
            table[usize::from(register & 63)] += 1;
        }
    }
    std::array::from_fn(|value| tables.iter().map(|table| table[value]).sum())
}

/// The estimate, rounded half away from zero.
pub fn cardinality(histogram: &Histogram) -> u64 {
    /// 1 / (2 ln 2)
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    const M: f64 = REGISTERS as f64;
    let longest = RUN_BITS as usize;
    let mut z = M * tau((M - f64::from(histogram[longest + 1])) / M);
    for &registers in histogram[1..=longest].iter().rev() {
        z += f64::from(registers);
        z *= 0.5;
    }
    z += M * sigma(f64::from(histogram[0]) / M);
    // Registers beyond any possible run make the sum vanish; keep the answer within a signed reply.
    (ALPHA * M * M / z).round().min(i64::MAX as f64) as u64 & i64::MAX as u64
}

/// The contribution of untouched registers; infinite when all are, which makes the estimate zero.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// The contribution of saturated registers.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
