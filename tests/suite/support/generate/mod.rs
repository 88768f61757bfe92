//! Seeded random requests. Each family is a table of rows: a command, how often it comes, and its arguments in the small
//! grammar of `grammar.rs`. What the argument names stand for is decided in `values.rs`. A new family is a file with
//! `ROWS` and a line in `FAMILIES`.
//!
//! What is made up must have one right answer: relative times to live are so long that nothing expires meanwhile, blocking
//! commands wait for a millisecond, and after a random pick that changes a key, the key is deleted.

mod bitmaps;
mod connection;
mod geo;
mod grammar;
mod hashes;
mod hll;
mod keys;
mod lists;
pub mod lua;
mod sets;
mod streams;
mod strings;
mod values;
mod zsets;

use super::notation::{Args, show};
use grammar::Item;
use std::collections::{BTreeSet, HashMap};
use values::Values;

/// A command and how its arguments are made.
pub struct Row {
    /// In upper case; a subcommand follows after a space.
    pub command: &'static str,
    /// How often it comes, compared with the other rows of the family.
    pub weight: u32,
    /// Its arguments, in the grammar of `grammar.rs`.
    pub arguments: &'static str,
    /// It leaves keys in a state that the seed does not determine: they are deleted right after it.
    pub unsettling: bool,
    /// It may wait: its timeout must not be tampered with outside a transaction.
    pub blocking: bool,
    /// It keeps up a condition that other rows rely on: it is never spoiled.
    pub fragile: bool,
}

impl Row {
    /// The command without its subcommand.
    pub fn name(&self) -> &'static str {
        self.command.split(' ').next().unwrap_or_default()
    }

    const fn unsettling(mut self) -> Row {
        self.unsettling = true;
        self
    }

    const fn blocking(mut self) -> Row {
        self.blocking = true;
        self
    }

    const fn fragile(mut self) -> Row {
        self.fragile = true;
        self
    }
}

const fn row(command: &'static str, weight: u32, arguments: &'static str) -> Row {
    Row { command, weight, arguments, unsettling: false, blocking: false, fragile: false }
}

/// A table of rows under the name that `REDSTART_DIFF_GROUPS` selects it by.
pub struct Family {
    pub name: &'static str,
    pub rows: &'static [Row],
}

/// All families.
pub const FAMILIES: &[Family] = &[
    Family { name: "strings", rows: strings::ROWS },
    Family { name: "bitmaps", rows: bitmaps::ROWS },
    Family { name: "hll", rows: hll::ROWS },
    Family { name: "keys", rows: keys::ROWS },
    Family { name: "connection", rows: connection::ROWS },
    Family { name: "lists", rows: lists::ROWS },
    Family { name: "hashes", rows: hashes::ROWS },
    Family { name: "sets", rows: sets::ROWS },
    Family { name: "zsets", rows: zsets::ROWS },
    Family { name: "streams", rows: streams::ROWS },
    Family { name: "geo", rows: geo::ROWS },
];

/// A small generator of random numbers (xorshift64*).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Random {
        // Neighbouring seeds must not give similar numbers, and zero would stay zero.
        let mixed = (seed ^ (seed >> 30)).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        Random((mixed ^ (mixed >> 27)) | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { (self.next() >> 16) % bound }
    }

    /// True with this probability.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Puts these into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// Makes requests up.
pub struct Generator {
    values: Values,
    /// Of the selected families, with the sum of weights up to and with this one.
    rows: Vec<(&'static Row, u64)>,
    parsed: HashMap<&'static str, Vec<Item>>,
}

/// Out of 100 requests, so many are spoiled in some way.
const SPOILED_PERCENT: u64 = 5;
/// Out of 100 units, so many are transactions.
const TRANSACTION_PERCENT: u64 = 3;

/// Stand-ins for any argument. No small positive numbers: one in the place of a time to live would make the outcome a
/// matter of timing, and no great ones below 2^63, which would be lengths that are served.
const GARBAGE: &[&[u8]] = &[
    b"",
    b"abc",
    b"-1",
    b"0",
    b"1.5",
    b"-0",
    b"+1",
    b" 1",
    b"1 ",
    b"01",
    b"0x10",
    b"1e3",
    b"nan",
    b"inf",
    b"-inf",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"\x00",
    b"\xff\xfe",
    b"\r\n",
    b"*",
    b"$",
    b"-",
    b"(",
    b"[",
    b"NX",
    b"GT",
    b"COUNT",
    b"LIMIT",
    b"WITHSCORES",
    b"FIELDS",
];

/// Words behind or around which a number decides when a key ends.
const TIMED: &[&str] = &["EX", "PX", "EXAT", "PXAT", "EXPIRE", "SETEX", "RESTORE", "BLOCK", "WAIT", "HGETEX"];

impl Generator {
    /// A generator of requests of these families (all of them for an empty list), without the commands `left_out`.
    ///
    /// # Panics
    /// If a family's name is unknown or a row cannot be read.
    pub fn new(seed: u64, families: &[&str], left_out: &BTreeSet<&str>) -> Generator {
        for name in families {
            assert!(FAMILIES.iter().any(|family| family.name == *name), "there is no family {name}");
        }
        let (mut rows, mut parsed, mut sum) = (Vec::new(), HashMap::new(), 0);
        for family in FAMILIES.iter().filter(|family| families.is_empty() || families.contains(&family.name)) {
            // Families are equally frequent, however many rows they have.
            let total: u64 = family.rows.iter().map(|row| u64::from(row.weight)).sum();
            for row in family.rows.iter().filter(|row| !left_out.contains(row.name())) {
                sum += u64::from(row.weight) * 100_000 / total;
                rows.push((row, sum));
                let items = grammar::parse(row.arguments).unwrap_or_else(|error| panic!("{}: {error}", row.command));
                parsed.insert(row.arguments, items);
            }
        }
        Generator { values: Values::new(Random::new(seed)), rows, parsed }
    }

    /// Requests that belong together: mostly one, or a whole transaction, or one with what settles its keys.
    pub fn unit(&mut self) -> Vec<Args> {
        let mut unit = Vec::new();
        if self.values.random.percent(TRANSACTION_PERCENT) {
            unit.push(words("MULTI"));
            for _ in 0..self.values.random.below(6) {
                self.request(&mut unit, true);
            }
            unit.push(words(if self.values.random.percent(90) { "EXEC" } else { "DISCARD" }));
        } else {
            self.request(&mut unit, false);
        }
        unit
    }

    fn request(&mut self, unit: &mut Vec<Args>, in_transaction: bool) {
        let at = self.values.random.below(self.rows.last().map_or(0, |(_, sum)| *sum));
        let row = self.rows[self.rows.partition_point(|(_, sum)| *sum <= at)].0;
        if in_transaction && matches!(row.command, "WATCH" | "MULTI" | "EXEC" | "DISCARD") {
            return;
        }
        let mut args = words(row.command);
        let case = self.values.random.below(4);
        for word in &mut args {
            match case {
                0 => word.make_ascii_lowercase(),
                1 => self.values.random_case(word),
                _ => {}
            }
        }
        self.values.waits_forever = in_transaction;
        grammar::generate(&self.parsed[row.arguments], &mut self.values, &mut args);
        if !row.fragile && (!row.blocking || in_transaction) && self.values.random.percent(SPOILED_PERCENT) {
            self.spoil(&mut args);
        }
        // A spoiled request may have made a key of any of its words.
        let doomed = if row.unsettling { args[1..].to_vec() } else { Vec::new() };
        unit.push(args);
        if !doomed.is_empty() {
            unit.push([vec![b"DEL".to_vec()], doomed].concat());
        }
    }

    /// Breaks a request in one of the ways that clients do.
    fn spoil(&mut self, args: &mut Args) {
        let random = &mut self.values.random;
        let length = args.len() as u64;
        let any = |random: &mut Random| 1 + random.below(length.saturating_sub(1)) as usize;
        match random.below(12) {
            0..3 if length > 1 => {
                args.pop();
            }
            3 if length > 1 => {
                args.remove(any(random));
            }
            4 | 5 => args.push(random.pick(GARBAGE).to_vec()),
            6..9 if length > 1 => {
                let at = any(random);
                args[at] = random.pick(GARBAGE).to_vec();
            }
            9 if length > 1 => {
                let at = any(random);
                args.insert(at, args[at].clone());
            }
            10 if length > 2 && !is_timed(args) => {
                let (a, b) = (any(random), any(random));
                args.swap(a, b);
            }
            11 if random.percent(10) => args[0] = b"NOSUCHCOMMAND".to_vec(),
            _ => {}
        }
    }
}

fn is_timed(args: &Args) -> bool {
    args.iter().any(|arg| {
        let word = String::from_utf8_lossy(arg).to_ascii_uppercase();
        TIMED.iter().any(|timed| word == *timed || word.contains("EXPIRE"))
    }) || args[0].to_ascii_uppercase().ends_with(b"SETEX")
}

fn words(text: &str) -> Args {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// The arguments that are keys of the pools, command excluded.
pub fn keys_of(args: &Args) -> impl Iterator<Item = &[u8]> {
    args.iter().skip(1).map(Vec::as_slice).filter(|arg| values::is_key(arg))
}

/// Words that the rows of a command (of all its rows) can produce.
#[cfg(test)]
fn literals_of(command: &str) -> Option<Vec<String>> {
    let rows = FAMILIES.iter().flat_map(|family| family.rows).filter(|row| row.command == command);
    let words = rows.map(|row| grammar::literals(&grammar::parse(row.arguments).unwrap())).collect::<Vec<_>>();
    (!words.is_empty()).then(|| words.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::notation::table;

    /// Groups that the generator covers, and commands of theirs it leaves out, each with its reason.
    const GROUPS: &[&str] =
        &["string", "bitmap", "hyperloglog", "generic", "list", "hash", "set", "sorted-set", "stream", "geo", "transactions"];
    const LEFT_OUT: &[(&str, &str)] = &[
        ("PFSELFTEST", "takes half a second and has nothing to compare"),
        ("OBJECT", "a container"),
        ("XGROUP", "a container"),
        ("XINFO", "a container"),
    ];
    /// Option words left out, each with its reason.
    const WORDS_LEFT_OUT: &[(&str, &str, &str)] = &[
        ("MIGRATE", "AUTH", "there is no server at the other end"),
        ("MIGRATE", "AUTH2", "there is no server at the other end"),
    ];

    #[test]
    fn every_option_of_the_covered_groups_comes_up() {
        let mut missing = Vec::new();
        for row in table(include_str!("../../../data/commands.tsv")) {
            let &[name, group, _, _, syntax] = &row[..] else { panic!("{row:?}") };
            if !GROUPS.contains(&group) || LEFT_OUT.iter().any(|(left, _)| *left == name) {
                continue;
            }
            let Some(made) = literals_of(name) else {
                missing.push(name.to_owned());
                continue;
            };
            for word in syntax.split(|c: char| !(c.is_ascii_alphanumeric() || "-_=~".contains(c))) {
                let option = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "=~".contains(c));
                let left_out = WORDS_LEFT_OUT.iter().any(|(command, left, _)| *command == name && *left == word);
                if !word.is_empty() && option && !left_out && !made.iter().any(|made| made == word) {
                    missing.push(format!("{name}'s {word}"));
                }
            }
        }
        assert!(missing.is_empty(), "never generated: {}", missing.join(", "));
    }

    #[test]
    fn a_seed_gives_the_same_requests() {
        let make = |seed| {
            let mut generator = Generator::new(seed, &[], &BTreeSet::new());
            (0..2000).flat_map(|_| generator.unit()).map(|args| show(&args)).collect::<Vec<_>>()
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }

    #[test]
    fn rows_are_unique_and_in_upper_case() {
        for family in FAMILIES {
            for row in family.rows {
                assert_eq!(row.command, row.command.to_ascii_uppercase());
                assert!(row.weight > 0, "{} never comes", row.command);
            }
        }
    }
}
