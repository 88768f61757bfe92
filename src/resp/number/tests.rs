//! Texts and values whose counterparts were taken from a running Redis 8.0.6.

use super::*;
use crate::clock::Rng;

fn text(value: f64) -> String {
    String::from_utf8(f64_text(value).as_bytes().to_vec()).unwrap()
}

fn long(value: LongDouble) -> String {
    let mut out = Vec::new();
    value.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn sum(a: &str, b: &str) -> String {
    long(LongDouble::parse(a.as_bytes()).unwrap() + LongDouble::parse(b.as_bytes()).unwrap())
}

#[test]
fn integers_are_canonical() {
    for good in [0, 1, -1, 10, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1, 999_999_999_999_999_999] {
        let mut out = Vec::new();
        write_i64(&mut out, good);
        assert_eq!(parse_i64(&out), Some(good));
    }
    let bad = [
        "",
        "-",
        "+1",
        "-0",
        "00",
        "01",
        "-01",
        " 1",
        "1 ",
        "1a",
        "a",
        "1.0",
        "1e3",
        "0x1",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "99999999999999999999",
        "1\0",
        "--1",
    ];
    for text in bad {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn unsigned_integers_are_read_as_stream_ids() {
    let cases = [
        ("0", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("+5", Some(5)),
        (" 5", Some(5)),
        ("005", Some(5)),
        ("-5", None),
        ("-0", Some(0)),
        ("-05", Some(u64::MAX - 4)),
        ("", None),
        ("+", None),
        (" ", None),
        ("5 ", None),
        ("5a", None),
    ];
    for (text, value) in cases {
        assert_eq!(parse_u64(text.as_bytes()), value, "{text}");
    }
}

#[test]
fn doubles_from_text() {
    let good = [
        ("0x10", 16.0),
        ("+5", 5.0),
        ("1e-320", 1e-320),
        ("5e-324", 5e-324),
        (".5", 0.5),
        ("5.", 5.0),
        ("+inf", f64::INFINITY),
        ("Infinity", f64::INFINITY),
        ("-INF", f64::NEG_INFINITY),
        ("0x1p3", 8.0),
        ("0X1P-3", 0.125),
        ("0x.8", 0.5),
        ("-0x10", -16.0),
        ("00012", 12.0),
        ("0e99999999999999999999", 0.0),
        ("1E5", 100_000.0),
        ("0x1.fffffffffffff8p0", 2.0),
        ("0x1.fffffffffffff7fffffffffffffffffffffffffffp0", 1.999_999_999_999_999_8),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.000000000000080000000000000000000000000001p0", 1.000_000_000_000_000_2),
        ("0x1p-1074", 5e-324),
        ("0x1.8p-1075", 5e-324),
        ("0x1p-1022", f64::MIN_POSITIVE),
        ("0x0.fffffffffffffp-1022", 2.225_073_858_507_201e-308),
        ("0x1.fffffffffffffp1023", f64::MAX),
    ];
    for (text, value) in good {
        assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
    }
    assert!(parse_f64(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
    let bad = [
        "",
        "++5",
        "1e400",
        "-1e400",
        "1e-400",
        "2e-324",
        ".",
        "nan",
        "-NaN",
        "nan(abc)",
        "1e5x",
        " 1",
        "1 ",
        "1e",
        "1e+",
        "infin",
        "infinityx",
        "inf ",
        "+",
        "-",
        "1\x002",
        "1_0",
        "1d5",
        "0x",
        "0x.",
        "0xg",
        "0x1p",
        "0x1.2.3",
        "0x1p1024",
        "0x1p-1075",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "0x1p99999999999999999999",
    ];
    for text in bad {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn doubles_to_text() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (3.0e3, "3000"),
        (1e17, "100000000000000000"),
        (4e18, "4000000000000000000"),
        (4_611_686_018_427_387_904.0, "4611686018427387904"),
        (5e18, "5e+18"),
        (1e20, "1e+20"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (1.25e-5, "1.25e-5"),
        (1.2345678e-5, "1.2345678e-5"),
        (-0.0123, "-0.0123"),
        (1.0000001e-3, "0.0010000001"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1_234_567.891, "1234567.891"),
    ];
    for (value, expected) in cases {
        assert_eq!(text(value), expected);
    }
}

#[test]
fn doubles_survive_the_round_trip() {
    let mut random = Rng::seeded(0x5eed_0003);
    for round in 0..50_000 {
        let bits = random.next_u64();
        let value = match round % 4 {
            0 => f64::from_bits(bits),
            1 => (bits as i32) as f64 / 1000.0,
            2 => f64::from_bits(bits >> 12),
            _ => (bits >> 1) as f64,
        };
        if value.is_finite() && value != 0.0 {
            assert_eq!(parse_f64(text(value).as_bytes()), Some(value), "{value:e}");
        }
    }
}

#[test]
fn long_doubles_add_as_incrbyfloat_does() {
    let cases = [
        ("10.50", "0.1", "10.6"),
        ("0.1", "0.2", "0.3"),
        ("5.0e3", "2.0e2", "5200"),
        ("3.0e3", "200", "3200"),
        ("1e17", "0.1", "100000000000000000.1015625"),
        ("-0", "-0", "0"),
        ("1", "-1", "0"),
        ("-1e-18", "0", "0"),
        ("0", "1e-10", "0.0000000001"),
        ("1e20", "1", "100000000000000000000"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("18446744073709551616", "3", "18446744073709551620"),
        ("0x10", "0x1p-1", "16.5"),
        ("1e-4000", "1e-4940", "0"),
    ];
    for (a, b, expected) in cases {
        assert_eq!(sum(a, b), expected, "{a} + {b}");
        assert_eq!(sum(b, a), expected, "{b} + {a}");
    }
}

#[test]
fn long_doubles_have_their_range() {
    let max = "1.18973149535723176502e4932";
    let parsed = |text: &str| LongDouble::parse(text.as_bytes());
    assert!((parsed(max).unwrap() + parsed(max).unwrap()).is_infinite());
    assert!((parsed("inf").unwrap() + parsed("-Infinity").unwrap()).is_nan());
    assert!((parsed("inf").unwrap() + parsed("1").unwrap()).is_infinite());
    assert!((parsed("1").unwrap() + parsed("-inf").unwrap()).is_infinite());
    assert_eq!(long(parsed("-inf").unwrap()), "-inf");
    assert!(long(parsed(max).unwrap()).starts_with("118973149535723176502"));
    assert_eq!(long(parsed("1e400").unwrap()).len(), 401);
    assert!(parsed("3.6451995318824746025e-4951").is_some() && parsed("1e-4952").is_none() && parsed("1e-4960").is_none());
    assert!(parsed("1.2e4932").is_none() && parsed("1e5000").is_none() && parsed("1e99999999999999999999").is_none());
    assert!(parsed(&("0".repeat(5118) + "1")).is_some() && parsed(&("0".repeat(5119) + "1")).is_none());
    assert!(parsed(&("0.".to_owned() + &"9".repeat(5000))).is_some_and(|one| long(one) == "1"));
    assert!(parsed(&("9".repeat(4000) + "e900")).is_some());
    for bad in ["", ".", "+", "-", "e5", "1e", "1e+", " 1", "1 ", "nan", "1..2", "0x", "1,5", "1\0", "++1", "infinit"] {
        assert_eq!(parsed(bad), None, "{bad}");
    }
}

#[test]
fn seconds_become_milliseconds_rounded_up() {
    let millis = |text: &str| LongDouble::parse(text.as_bytes()).unwrap().thousandfold_up();
    let cases: &[(&str, i64)] = &[
        ("0", 0),
        ("-0", 0),
        ("0.1", 100),
        ("0.3", 300),
        ("1.0001", 1001),
        ("1e-4000", 1),
        ("-1e-4000", 0),
        ("-0.0001", 0),
        ("-0.0015", -1),
        ("-1", -1000),
        ("123456789.123", 123_456_789_123),
        ("0x10", 16_000),
        ("9223372036854775", 9_223_372_036_854_775_000),
        ("9223372036854775.807", i64::MAX),
    ];
    for (text, expected) in cases {
        assert_eq!(millis(text), Some(*expected), "{text}");
    }
    for text in ["9223372036854775.808", "9223372036854776", "1e400", "-1e400", "inf", "-inf", "9223372036854775807"] {
        assert_eq!(millis(text), None, "{text}");
    }
}

/// Sums of integers that fit the significand are exact.
#[test]
fn long_doubles_add_integers_exactly() {
    let mut random = Rng::seeded(0x5eed_0004);
    for _ in 0..20_000 {
        let a = random.next_u64() as i64 >> (random.next_u64() % 64);
        let b = random.next_u64() as i64 >> (random.next_u64() % 64);
        let exact = i128::from(a) + i128::from(b);
        assert_eq!(long(LongDouble::from(a) + LongDouble::from(b)), exact.to_string());
        assert_eq!(LongDouble::parse(a.to_string().as_bytes()), Some(LongDouble::from(a)));
    }
}

#[test]
fn garbage_is_no_number_and_no_panic() {
    const ALPHABET: &[u8] = b"0123456789.eE+-xXpPinfa \0\xff";
    let mut random = Rng::seeded(0x5eed_0006);
    for _ in 0..100_000 {
        let len = random.next_u64() % 14;
        let text: Vec<u8> = (0..len).map(|_| ALPHABET[random.next_u64() as usize % ALPHABET.len()]).collect();
        parse_i64(&text);
        parse_u64(&text);
        let double = parse_f64(&text);
        let extended = LongDouble::parse(&text);
        // What is a double is also a number of the wider format.
        assert!(double.is_none() || extended.is_some(), "{}", text.escape_ascii());
    }
}
