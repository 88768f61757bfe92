//! Shortest digits of a double by the Grisu2 algorithm (Florian Loitsch, "Printing floating-point numbers quickly and
//! accurately with integers", PLDI 2010).
//!
//! Newer algorithms always find the shortest digits; Grisu2 misses them in about one number of a thousand. Redis uses it, and
//! replies are compared as text, so the same digits matter more than the best ones.

/// Digits of a number, at most 18.
pub struct Digits {
    bytes: [u8; DIGITS_MAX],
    len: usize,
}

const DIGITS_MAX: usize = 18;

impl Digits {
    /// The digits in ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Adds a digit, unless it would be a leading zero.
    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.len > 0) && self.len < DIGITS_MAX {
            self.bytes[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }
}

/// `significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    /// The same number with the significand's first bit set. The significand is not zero.
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Scaled { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        Scaled { significand: ((product + (1 << 63)) >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// The digits of a positive finite number, and the power of ten that the last of them stands for.
pub fn digits(value: f64) -> (Digits, i32) {
    const HIDDEN: u64 = 1 << 52;

    let bits = value.to_bits();
    let (fraction, biased) = (bits & (HIDDEN - 1), (bits >> 52) as i32);
    let exact = match biased {
        0 => Scaled { significand: fraction, exponent: -1074 },
        _ => Scaled { significand: fraction | HIDDEN, exponent: biased - 1075 },
    };

    // The numbers half way to both neighbours: all between them reads back as `value`. The lower neighbour of a power of
    // two is only half as far away.
    let above = Scaled { significand: exact.significand * 2 + 1, exponent: exact.exponent - 1 }.normalized();
    let nearer = if exact.significand == HIDDEN { 2 } else { 1 };
    let below_exponent = exact.exponent - nearer;
    let below = Scaled {
        significand: ((exact.significand << nearer) - 1) << (below_exponent - above.exponent),
        exponent: above.exponent,
    };

    // Scaled by a power of ten so that the binary point falls into the word.
    let (power, decimal_exponent) = power_for(above.exponent);
    let exact = exact.normalized().times(power);
    let mut above = above.times(power);
    let mut below = below.times(power);
    // The products may be off by one; step inwards to stay on the safe side.
    above.significand -= 1;
    below.significand += 1;

    let mut digits = Digits { bytes: [0; DIGITS_MAX], len: 0 };
    let exponent = generate(exact, above, below, &mut digits) - decimal_exponent;
    (digits, exponent)
}

/// Digits of `above` until they fall between `below` and `above`, the last one brought as near to `exact` as can be; the
/// result is the power of ten of the last digit.
fn generate(exact: Scaled, above: Scaled, below: Scaled, digits: &mut Digits) -> i32 {
    let point = -above.exponent as u32;
    let one = 1u64 << point;
    let mut width = above.significand - below.significand;
    let distance = above.significand - exact.significand;
    let mut whole = above.significand >> point;
    let mut fraction = above.significand & (one - 1);

    let mut unit = 1_000_000_000;
    for power in (0..10).rev() {
        digits.push(whole / unit);
        whole %= unit;
        let rest = (whole << point) + fraction;
        if rest <= width {
            approach(digits, distance, width, rest, unit << point);
            return power;
        }
        unit /= 10;
    }

    let mut power = 0;
    let mut scale = 1u64;
    loop {
        fraction = fraction.wrapping_mul(10);
        width = width.wrapping_mul(10);
        scale = scale.wrapping_mul(10);
        power -= 1;
        digits.push(fraction >> point);
        fraction &= one - 1;
        if fraction < width {
            approach(digits, distance.wrapping_mul(scale), width, fraction, one);
            return power;
        }
    }
}

/// Lowers the last digit while that brings the number nearer to the exact one, `distance` below the upper limit, and keeps
/// it inside. `rest` is how far below the limit it is now, `unit` the worth of the digit.
fn approach(digits: &mut Digits, distance: u64, width: u64, mut rest: u64, unit: u64) {
    while rest < distance && width - rest >= unit && (rest + unit < distance || distance - rest > rest + unit - distance) {
        digits.bytes[digits.len - 1] -= 1;
        rest += unit;
    }
}

/// The power of ten that brings a number of this binary exponent to one between -60 and -32, and its decimal exponent.
fn power_for(exponent: i32) -> (Scaled, i32) {
    // A guess by logarithm, which is off by a step at most.
    let guess = (f64::from(-(exponent + POWERS.len() as i32)) * std::f64::consts::LOG10_2) as i32;
    let mut at = ((guess - POWER_FIRST) / POWER_STEP).clamp(0, POWERS.len() as i32 - 1) as usize;
    loop {
        let (significand, power_exponent) = POWERS[at];
        match exponent + power_exponent + 64 {
            ..=-61 if at + 1 < POWERS.len() => at += 1,
            -31.. if at > 0 => at -= 1,
            _ => {
                let power = Scaled { significand, exponent: power_exponent };
                return (power, POWER_FIRST + at as i32 * POWER_STEP);
            }
        }
    }
}

const POWER_FIRST: i32 = -348;
const POWER_STEP: i32 = 8;

/// 10^-348, 10^-340 and so on up to 10^340, rounded to 64 bits: significand and binary exponent.
#[rustfmt::skip]
const POWERS: [(u64, i32); 87] = [
    (0xfa8fd5a0081c0288, -1220),
    (0xbaaee17fa23ebf76, -1193),
    (0x8b16fb203055ac76, -1166),
    (0xcf42894a5dce35ea, -1140),
    (0x9a6bb0aa55653b2d, -1113),
    (0xe61acf033d1a45df, -1087),
    (0xab70fe17c79ac6ca, -1060),
    (0xff77b1fcbebcdc4f, -1034),
    (0xbe5691ef416bd60c, -1007),
    (0x8dd01fad907ffc3c, -980),
    (0xd3515c2831559a83, -954),
    (0x9d71ac8fada6c9b5, -927),
    (0xea9c227723ee8bcb, -901),
    (0xaecc49914078536d, -874),
    (0x823c12795db6ce57, -847),
    (0xc21094364dfb5637, -821),
    (0x9096ea6f3848984f, -794),
    (0xd77485cb25823ac7, -768),
    (0xa086cfcd97bf97f4, -741),
    (0xef340a98172aace5, -715),
    (0xb23867fb2a35b28e, -688),
    (0x84c8d4dfd2c63f3b, -661),
    (0xc5dd44271ad3cdba, -635),
    (0x936b9fcebb25c996, -608),
    (0xdbac6c247d62a584, -582),
    (0xa3ab66580d5fdaf6, -555),
    (0xf3e2f893dec3f126, -529),
    (0xb5b5ada8aaff80b8, -502),
    (0x87625f056c7c4a8b, -475),
    (0xc9bcff6034c13053, -449),
    (0x964e858c91ba2655, -422),
    (0xdff9772470297ebd, -396),
    (0xa6dfbd9fb8e5b88f, -369),
    (0xf8a95fcf88747d94, -343),
    (0xb94470938fa89bcf, -316),
    (0x8a08f0f8bf0f156b, -289),
    (0xcdb02555653131b6, -263),
    (0x993fe2c6d07b7fac, -236),
    (0xe45c10c42a2b3b06, -210),
    (0xaa242499697392d3, -183),
    (0xfd87b5f28300ca0e, -157),
    (0xbce5086492111aeb, -130),
    (0x8cbccc096f5088cc, -103),
    (0xd1b71758e219652c, -77),
    (0x9c40000000000000, -50),
    (0xe8d4a51000000000, -24),
    (0xad78ebc5ac620000, 3),
    (0x813f3978f8940984, 30),
    (0xc097ce7bc90715b3, 56),
    (0x8f7e32ce7bea5c70, 83),
    (0xd5d238a4abe98068, 109),
    (0x9f4f2726179a2245, 136),
    (0xed63a231d4c4fb27, 162),
    (0xb0de65388cc8ada8, 189),
    (0x83c7088e1aab65db, 216),
    (0xc45d1df942711d9a, 242),
    (0x924d692ca61be758, 269),
    (0xda01ee641a708dea, 295),
    (0xa26da3999aef774a, 322),
    (0xf209787bb47d6b85, 348),
    (0xb454e4a179dd1877, 375),
    (0x865b86925b9bc5c2, 402),
    (0xc83553c5c8965d3d, 428),
    (0x952ab45cfa97a0b3, 455),
    (0xde469fbd99a05fe3, 481),
    (0xa59bc234db398c25, 508),
    (0xf6c69a72a3989f5c, 534),
    (0xb7dcbf5354e9bece, 561),
    (0x88fcf317f22241e2, 588),
    (0xcc20ce9bd35c78a5, 614),
    (0x98165af37b2153df, 641),
    (0xe2a0b5dc971f303a, 667),
    (0xa8d9d1535ce3b396, 694),
    (0xfb9b7cd9a4a7443c, 720),
    (0xbb764c4ca7a44410, 747),
    (0x8bab8eefb6409c1a, 774),
    (0xd01fef10a657842c, 800),
    (0x9b10a4e5e9913129, 827),
    (0xe7109bfba19c0c9d, 853),
    (0xac2820d9623bf429, 880),
    (0x80444b5e7aa7cf85, 907),
    (0xbf21e44003acdd2d, 933),
    (0x8e679c2f5e44ff8f, 960),
    (0xd433179d9c8cb841, 986),
    (0x9e19db92b4e31ba9, 1013),
    (0xeb96bf6ebadf77d9, 1039),
    (0xaf87023b9bf0ee6b, 1066),
];
