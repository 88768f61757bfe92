//! What the argument names in the rows stand for: keys from small pools, so that types collide; values at and around the
//! limits of encodings and numbers; times that are far away or long past.

use super::Random;
use crate::support::notation::{table, unescape};

/// Makes values up.
pub struct Values {
    pub random: Random,
    /// In a transaction commands never wait, so a timeout of 0 is safe.
    pub waits_forever: bool,
    /// The last stream ID used for new entries.
    stream_ms: u64,
    payloads: Vec<Vec<u8>>,
}

/// Keys per family.
const KEYS_PER_POOL: u64 = 5;
/// The first letters of the pools' keys.
const POOLS: &[&str] = &["str", "bits", "hll", "list", "hash", "set", "zset", "stream", "geo", "any"];
/// Sorted sets whose members all have one score, as ranges of members mean nothing otherwise. No other row uses them.
const LEX_POOL: &str = "lex";
const ODD_KEYS: &[&[u8]] = &[
    b"",
    b"\x00\xff odd",
    b"with space",
    b"{tag}a",
    b"any:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
];

/// True for the keys that the pools give.
pub fn is_key(arg: &[u8]) -> bool {
    if arg.is_empty() {
        return false;
    }
    let pool = |name: &&str| arg.strip_prefix(name.as_bytes()).is_some_and(|rest| matches!(rest, [b':', b'0'..=b'9']));
    ODD_KEYS.contains(&arg) || POOLS.iter().any(pool) || pool(&LEX_POOL)
}

/// Whole numbers around the limits of encodings and types.
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "12",
    "13",
    "100",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "4095",
    "4096",
    "-4096",
    "-4097",
    "9999",
    "10000",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "65535",
    "65536",
    "8388607",
    "8388608",
    "-8388608",
    "-8388609",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "1099511627776",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "-9223372036854775807",
];
/// What looks like a number and is none, or not one everywhere.
const NEAR_INTEGERS: &[&str] = &[
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "01",
    "-0",
    "+1",
    " 1",
    "1 ",
    "1.0",
    "1e3",
    "0x10",
    "",
    "-",
    "abc",
    "99999999999999999999999999",
    "00",
];
const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "-0.5",
    "1.5",
    "3.0",
    "3.14159",
    "1e3",
    "1e-3",
    "1e17",
    "123456789012345678",
    "1e21",
    "1e22",
    "1e100",
    "-1e100",
    "1e300",
    "1.7976931348623157e308",
    "5e-324",
    "2.2250738585072014e-308",
    "0.30000000000000004",
    "100.0000001",
    "1234567890.123",
    "-0",
    "0.000001",
    "0.0000001",
    "9007199254740993",
    "3",
    "10",
    "20",
    "inf",
    "-inf",
    "+inf",
];
const NEAR_FLOATS: &[&str] = &["nan", "abc", "", "1.5x", " 1.5", "1e400", "-1e400", "0x1p3", "infinity", "1,5", "--1", "."];
const WORDS: &[&str] =
    &["a", "b", "c", "d", "e", "f", "foo", "bar", "baz", "hello", "ohmytext", "mynewtext", "A", "B", "aa", "ab"];
/// Lengths around the limits of encodings: embstr 44, listpack values 64, and greater ones.
const LENGTHS: &[u64] = &[1, 11, 12, 20, 21, 43, 44, 45, 63, 64, 65, 127, 128, 255, 300, 1023, 1024, 4096, 5000];

impl Values {
    /// Values from this source.
    pub fn new(random: Random) -> Values {
        let payloads = table(include_str!("../../../data/dumps.tsv"))
            .filter(|row| row.first() == Some(&"redis7.0"))
            .filter_map(|row| hex(row.last()?))
            .collect();
        Values { random, waits_forever: false, stream_ms: 0, payloads }
    }

    /// A value of this name.
    ///
    /// # Panics
    /// If there is no such name: a row has a typing error.
    pub fn make(&mut self, name: &str) -> Vec<u8> {
        if let Some(pool) = POOLS.iter().find(|pool| **pool == name) {
            return self.key(pool);
        }
        match name {
            "key" => self.any_key(),
            LEX_POOL => format!("{LEX_POOL}:{}", self.random.below(KEYS_PER_POOL)).into_bytes(),
            "value" => self.value(),
            // Elements, members and fields: mostly from a small pool, so that they are found again.
            "member" | "element" | "field" => match self.random.below(10) {
                0..6 => self.random.pick(WORDS).as_bytes().to_vec(),
                6 | 7 => self.random.below(30).to_string().into_bytes(),
                8 => self.member_of_many(),
                _ => self.value(),
            },
            "number" => self.integer().into_bytes(),
            "float" => self.float().into_bytes(),
            "score" => match self.random.below(10) {
                0..5 => (self.random.below(20) as i64 - 5).to_string().into_bytes(),
                5..8 => format!("{}.{}", self.random.below(10), self.random.below(100)).into_bytes(),
                _ => self.float().into_bytes(),
            },
            "weight" => self.mostly(&["1", "2", "0", "-1", "0.5", "3", "1e10", "inf", "-inf"], &["nan", "abc", ""]),
            "score-min" | "score-max" => self.score_bound(),
            "lex-bound" => self.lex_bound(),
            "index" => match self.random.below(20) {
                0..17 => (self.random.below(14) as i64 - 6).to_string().into_bytes(),
                17 => (self.random.below(400) as i64 - 200).to_string().into_bytes(),
                _ => self.integer().into_bytes(),
            },
            // How many of something: never so many that a reply with repetitions gets huge.
            "count" => self.mostly(
                &["0", "1", "1", "2", "3", "5", "10", "100", "1000"],
                &["-1", "-5", "abc", "", "9223372036854775807", "9223372036854775808", "1.5"],
            ),
            "signed-count" => self.mostly(
                &["0", "1", "1", "2", "3", "5", "10", "-1", "-2", "-5", "-20", "100"],
                &["abc", "", "-9223372036854775808", "9223372036854775808", "1.5"],
            ),
            "offset" => match self.random.below(30) {
                0..20 => self.random.below(60).to_string().into_bytes(),
                20..27 => self.random.below(5000).to_string().into_bytes(),
                _ => self.one_of(&["-1", "536870912", "9223372036854775807", "abc", "", "1.5"]),
            },
            "bit-offset" => match self.random.below(30) {
                0..20 => self.random.below(200).to_string().into_bytes(),
                20..27 => self.random.below(40_000).to_string().into_bytes(),
                _ => self.one_of(&["-1", "4294967296", "9223372036854775807", "abc", "", "1.5"]),
            },
            "field-offset" => match self.random.below(30) {
                0..15 => self.random.below(120).to_string().into_bytes(),
                15..27 => format!("#{}", self.random.below(20)).into_bytes(),
                _ => self.one_of(&["-1", "#-1", "4294967296", "#4294967296", "#", "abc", ""]),
            },
            "bit" => self.mostly(&["0", "1"], &["2", "-1", "abc", ""]),
            "encoding" => match self.random.below(20) {
                0..9 => format!("u{}", 1 + self.random.below(63)).into_bytes(),
                9..18 => format!("i{}", 1 + self.random.below(64)).into_bytes(),
                _ => self.one_of(&["u0", "u64", "i65", "u", "i", "x8", "U8", "", "8", "i-1", "u8x"]),
            },
            "seconds" => match self.random.below(20) {
                // Far apart, so that neither GT nor LT depends on the moment.
                0..16 => (100_000 + 10 * self.random.below(1_000_000)).to_string().into_bytes(),
                16 => self.one_of(&["0", "-1", "-1000"]),
                _ => self.one_of(&["9223372036854775807", "-9223372036854775808", "9223372036854776", "abc", "", "1.5"]),
            },
            "millis" => match self.random.below(20) {
                0..16 => (100_000_000 + 10_000 * self.random.below(1_000_000)).to_string().into_bytes(),
                16 => self.one_of(&["0", "-1", "-1000"]),
                _ => self.one_of(&["9223372036854775807", "-9223372036854775808", "abc", "", "1.5"]),
            },
            "at" => match self.random.below(20) {
                0..16 => (4_102_444_800 + self.random.below(5)).to_string().into_bytes(),
                16..18 => self.one_of(&["0", "1", "-1", "1000000000"]),
                _ => self.one_of(&["9223372036854775807", "-9223372036854775808", "9223372036854775", "abc", "", "1.5"]),
            },
            "at-ms" => match self.random.below(20) {
                0..16 => (4_102_444_800_000 + self.random.below(5)).to_string().into_bytes(),
                16..18 => self.one_of(&["0", "1", "-1", "1000000000000"]),
                _ => self.one_of(&["9223372036854775807", "-9223372036854775808", "abc", "", "1.5"]),
            },
            "restore-ttl" => match self.random.below(10) {
                0..6 => b"0".to_vec(),
                6 | 7 => (4_102_444_800_000 + self.random.below(5)).to_string().into_bytes(),
                _ => self.mostly(&["0", "-1"], &["abc", ""]),
            },
            "payload" => self.payload(),
            "timeout" => match (self.waits_forever, self.random.below(10)) {
                (true, 0..5) => self.one_of(&["0", "1", "0.5", "100"]),
                (_, 9) => self.one_of(&["-1", "abc", "", "nan", "1e300", "9223372036854775807000"]),
                _ => self.one_of(&["0.001", "0.002"]),
            },
            "block-ms" => match (self.waits_forever, self.random.below(10)) {
                (true, 0..5) => self.one_of(&["0", "1", "100"]),
                (_, 9) => self.one_of(&["-1", "abc", "", "1.5"]),
                _ => self.one_of(&["1", "2"]),
            },
            "db" => match self.random.below(20) {
                0..15 => b"0".to_vec(),
                15..19 => self.one_of(&["1", "2", "3"]),
                _ => self.one_of(&["16", "-1", "abc", "", "9223372036854775808"]),
            },
            "pattern" => self.pattern(),
            "sort-by" => {
                self.one_of(&["nosort", "str:*", "*", "hash:*->a", "hash:*->", "#", "nokey", "zset:*", "any:*", "*->foo"])
            }
            "sort-get" => self.one_of(&["#", "str:*", "hash:*->a", "hash:*->foo", "*", "nokey", "nokey:*", "list:*", "*->"]),
            "cursor" => match self.random.below(20) {
                0..16 => b"0".to_vec(),
                16..18 => self.random.below(1000).to_string().into_bytes(),
                _ => self.one_of(&["-1", "abc", "", "18446744073709551615", "18446744073709551616", " 0", "1.5"]),
            },
            "type" => self.mostly(&["string", "list", "set", "zset", "hash", "stream", "STRING", "Hash"], &["foo", "", "none"]),
            "small" => self.mostly(&["0", "1", "2", "3", "4", "10", "255"], &["-1", "256", "abc", ""]),
            "empty" => Vec::new(),
            "subcommand" => self.one_of(&["FOO", "", "ENCODIN", "HELPME"]),
            "name" => self.one_of(&["me", "you", "", "a b", "x\n", "lib-1"]),
            "lon" => self.coordinate(&["13.361389", "15.087269", "0", "-180", "180", "2.349014", "-122.4194", "139.6917"], 180),
            "lat" => self.coordinate(&["38.115556", "37.502669", "0", "85.05112878", "-85.05112878", "48.864716", "37.7749"], 85),
            "distance" => {
                self.mostly(&["0", "1", "100", "200", "1000", "5000", "20000", "0.5", "40000000"], &["-1", "abc", "", "nan"])
            }
            "id" => self.stream_id(),
            "new-id" => self.new_stream_id(),
            "bound-id" => match self.random.below(10) {
                0..2 => b"-".to_vec(),
                2..4 => b"+".to_vec(),
                4 => [b"(".to_vec(), self.stream_id()].concat(),
                _ => self.stream_id(),
            },
            "read-id" => match self.random.below(10) {
                0..5 => b"0".to_vec(),
                5 => b"$".to_vec(),
                6 => b"+".to_vec(),
                _ => self.stream_id(),
            },
            "group-id" => match self.random.below(10) {
                0..6 => b">".to_vec(),
                6..8 => b"0".to_vec(),
                8 => b"$".to_vec(),
                _ => self.stream_id(),
            },
            "group" => self.mostly(&["g0", "g0", "g1"], &["nogroup", ""]),
            "consumer" => self.one_of(&["c0", "c1", "c2"]),
            // Nothing is older than a day unless XCLAIM made it so; so no answer depends on the moment.
            "idle" => self.mostly(&["0", "0", "100000000", "1000000000"], &["-1", "abc", "", "9223372036854775808"]),
            _ => panic!("a row uses {name}, which is not defined"),
        }
    }

    /// Changes the case of random letters.
    pub fn random_case(&mut self, word: &mut [u8]) {
        for byte in word {
            if self.random.percent(50) {
                *byte = if byte.is_ascii_uppercase() { byte.to_ascii_lowercase() } else { byte.to_ascii_uppercase() };
            }
        }
    }

    fn one_of(&mut self, from: &[&str]) -> Vec<u8> {
        self.random.pick(from).as_bytes().to_vec()
    }

    /// One of `good`, seldom one of `bad`.
    fn mostly(&mut self, good: &[&str], bad: &[&str]) -> Vec<u8> {
        if self.random.percent(6) { self.one_of(bad) } else { self.one_of(good) }
    }

    fn key(&mut self, pool: &str) -> Vec<u8> {
        if self.random.percent(8) { self.any_key() } else { format!("{pool}:{}", self.random.below(KEYS_PER_POOL)).into_bytes() }
    }

    fn any_key(&mut self) -> Vec<u8> {
        if self.random.percent(3) {
            return self.random.pick(ODD_KEYS).to_vec();
        }
        let pool = *self.random.pick(POOLS);
        format!("{pool}:{}", self.random.below(KEYS_PER_POOL)).into_bytes()
    }

    fn integer(&mut self) -> String {
        match self.random.below(20) {
            0..9 => (self.random.below(200) as i64 - 100).to_string(),
            9..18 => (*self.random.pick(INTEGERS)).to_owned(),
            18 => (self.random.next() as i64).to_string(),
            _ => (*self.random.pick(NEAR_INTEGERS)).to_owned(),
        }
    }

    fn float(&mut self) -> String {
        match self.random.below(20) {
            0..14 => (*self.random.pick(FLOATS)).to_owned(),
            14..17 => format!("{}", (self.random.next() as i64 >> 20) as f64 / 1000.0),
            17 => format!("{:e}", f64::from_bits(self.random.next() & !(1 << 62))),
            18 => self.integer(),
            _ => (*self.random.pick(NEAR_FLOATS)).to_owned(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(20) {
            0..5 => self.random.pick(WORDS).as_bytes().to_vec(),
            5..9 => self.integer().into_bytes(),
            9 | 10 => self.float().into_bytes(),
            11 => Vec::new(),
            12 | 13 => {
                let length = self.random.below(24);
                (0..length).map(|_| self.random.next() as u8).collect()
            }
            14 | 15 => {
                let length = *self.random.pick(LENGTHS);
                let letter = b'a' + self.random.below(26) as u8;
                vec![letter; length as usize]
            }
            16 => {
                let length = *self.random.pick(LENGTHS);
                (0..length).map(|_| b' ' + self.random.below(95) as u8).collect()
            }
            _ => format!("value:{}", self.random.below(1000)).into_bytes(),
        }
    }

    fn member_of_many(&mut self) -> Vec<u8> {
        format!("member:{}", self.random.below(1000)).into_bytes()
    }

    fn score_bound(&mut self) -> Vec<u8> {
        let open = if self.random.percent(25) { "(" } else { "" };
        match self.random.below(20) {
            0..4 => b"-inf".to_vec(),
            4..8 => b"+inf".to_vec(),
            8..17 => format!("{open}{}", self.random.below(25) as i64 - 6).into_bytes(),
            17 | 18 => format!("{open}{}", self.float()).into_bytes(),
            _ => self.one_of(&["", "(", "((1", "[1", "nan", "(nan", "(inf", "1("]),
        }
    }

    fn lex_bound(&mut self) -> Vec<u8> {
        match self.random.below(20) {
            0..4 => b"-".to_vec(),
            4..8 => b"+".to_vec(),
            8..13 => format!("[{}", self.random.pick(WORDS)).into_bytes(),
            13..18 => format!("({}", self.random.pick(WORDS)).into_bytes(),
            18 => self.one_of(&["[", "("]),
            _ => self.one_of(&["a", "", "-x", "+x", "]a"]),
        }
    }

    fn pattern(&mut self) -> Vec<u8> {
        self.one_of(&[
            "*",
            "*",
            "str:*",
            "*:0",
            "?*",
            "[a-h]*",
            "[^a-s]*",
            "*:[0-2]",
            "h*:?",
            "nokey",
            "",
            "\\*",
            "*a*",
            "[",
            "[a",
            "a\\",
            "member:1*",
            "[z-a]*",
            "**:**",
            "s*r:1",
            "[]*",
            "*[!a]",
            "str:[\\0-1]",
        ])
    }

    fn payload(&mut self) -> Vec<u8> {
        let mut payload = self.random.pick(&self.payloads).clone();
        match self.random.below(10) {
            0 => {
                let at = self.random.below(payload.len() as u64) as usize;
                payload[at] ^= 1 << self.random.below(8);
            }
            1 => payload.truncate(self.random.below(payload.len() as u64) as usize),
            _ => {}
        }
        payload
    }

    fn coordinate(&mut self, known: &[&str], limit: u64) -> Vec<u8> {
        match self.random.below(20) {
            0..8 => self.one_of(known),
            8..18 => {
                let whole = self.random.below(2 * limit) as i64 - limit as i64;
                format!("{whole}.{:06}", self.random.below(1_000_000)).into_bytes()
            }
            18 => (self.random.below(6) as i64 - 3).to_string().into_bytes(),
            _ => self.one_of(&["181", "-181", "86", "-86", "abc", "", "nan", "inf"]),
        }
    }

    fn stream_id(&mut self) -> Vec<u8> {
        let ms = if self.random.percent(70) { self.random.below(self.stream_ms + 3) } else { self.random.below(10) };
        match self.random.below(20) {
            0..8 => format!("{ms}-{}", self.random.below(3)).into_bytes(),
            8..16 => format!("{ms}").into_bytes(),
            16 | 17 => self.one_of(&["0", "0-0", "0-1", "18446744073709551615-18446744073709551615", "18446744073709551615"]),
            _ => self.one_of(&["abc", "", "-", "1-", "-1", "1-2-3", "1-abc", "18446744073709551616", "1-*", "*"]),
        }
    }

    fn new_stream_id(&mut self) -> Vec<u8> {
        if self.random.percent(12) {
            return match self.stream_id() {
                // The clock would decide; such requests have a row of their own.
                id if id == b"*" => b"0-*".to_vec(),
                // After this one a stream takes no more entries: let that be seldom.
                id if id.starts_with(b"18446744073709551615") && self.random.percent(90) => b"1-1".to_vec(),
                id => id,
            };
        }
        self.stream_ms += self.random.below(3);
        match self.random.below(3) {
            0 => format!("{}-*", self.stream_ms).into_bytes(),
            1 => format!("{}", self.stream_ms).into_bytes(),
            _ => format!("{}-{}", self.stream_ms, self.random.below(4)).into_bytes(),
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = unescape(text);
    pairs.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
