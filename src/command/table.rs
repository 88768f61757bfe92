//! All rows in one table, found by name. Built once at the start, as `rename-command` can change names; read-only after
//! that, so threads that decode requests share it.

use super::spec::CommandSpec;
use crate::resp::request::Args;
use std::collections::HashMap;
use std::ops::Range;

/// A command as this server knows it.
pub struct Command {
    pub spec: &'static CommandSpec,
    /// The name in lower case as clients use it (after `rename-command`), with the container's for subcommands.
    pub name: Box<str>,
    /// Positions of the subcommands, for containers.
    pub subcommands: Range<usize>,
    /// The first key's argument, where prefetching can tell it without looking at other arguments.
    pub first_key: Option<usize>,
}

/// Every command, containers directly before their subcommands.
pub struct CommandTable {
    commands: Vec<Command>,
    short: Vec<(Packed, u16)>,
    mask: usize,
    long: HashMap<Box<[u8]>, u16>,
}

/// Up to 16 bytes of a name in upper case.
type Packed = (u64, u64);

/// Marks an unused place of the hash table.
const NONE: u16 = u16::MAX;
const PACKED_MAX: usize = 16;

impl CommandTable {
    /// A table of these rows. `renames` are pairs of a command and its new name; an empty one removes it.
    pub fn new(rows: impl IntoIterator<Item = &'static CommandSpec>, renames: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let mut rows: Vec<&'static CommandSpec> = rows.into_iter().collect();
        rows.sort_by_key(|row| row.name);
        let mut commands: Vec<Command> = Vec::with_capacity(rows.len());
        for spec in rows {
            let first_key = super::getkeys::first_key(spec);
            let name = spec.name.to_ascii_lowercase().into_boxed_str();
            commands.push(Command { spec, name, subcommands: 0..0, first_key });
        }
        for i in 0..commands.len() {
            let name = commands[i].spec.name;
            if name.contains('|') {
                continue;
            }
            // `|` sorts behind all letters, so a longer name that begins alike (CONFIG, CONFIGURE) could stand between.
            let prefix = format!("{name}|");
            let start = commands.partition_point(|c| *c.spec.name < *prefix);
            let count = commands[start..].iter().take_while(|c| c.spec.name.starts_with(&prefix)).count();
            commands[i].subcommands = start..start + count;
        }
        let mut table = CommandTable { commands, short: Vec::new(), mask: 0, long: HashMap::new() };
        table.index(renames);
        table
    }

    /// The position of the command called `name`, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        if name.len() > PACKED_MAX {
            return self.long.get(&*name.to_ascii_uppercase()).copied();
        }
        let key = pack(name);
        let mut at = Self::place(key) & self.mask;
        loop {
            let (found, id) = self.short[at];
            if found == key && id != NONE {
                return Some(id);
            }
            if id == NONE {
                return None;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// The position of a container's subcommand.
    pub fn find_sub(&self, container: u16, name: &[u8]) -> Option<u16> {
        let container = &self.commands[container as usize];
        let skip = container.spec.name.len() + 1;
        container
            .subcommands
            .clone()
            .find(|i| self.commands[*i].spec.name.as_bytes()[skip..].eq_ignore_ascii_case(name))
            .map(|i| i as u16)
    }

    /// The position of the command declared under this name (`config|set` for a subcommand), in any case, whatever clients
    /// call it.
    pub fn declared(&self, name: &[u8]) -> Option<u16> {
        let name = name.to_ascii_uppercase();
        self.commands.binary_search_by(|command| command.spec.name.as_bytes().cmp(&name)).ok().map(|at| at as u16)
    }

    /// The command or subcommand that a request names; a container whose subcommand is unknown stands for itself.
    #[inline]
    pub fn lookup(&self, args: Args<'_>) -> Option<u16> {
        let found = self.find(args.get(0))?;
        if args.len() > 1 && !self.commands[found as usize].subcommands.is_empty() {
            return self.find_sub(found, args.get(1)).or(Some(found));
        }
        Some(found)
    }

    /// The command at a position that `find` gave.
    #[inline]
    pub fn get(&self, at: u16) -> &Command {
        &self.commands[at as usize]
    }

    /// All commands, subcommands included, with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Command)> {
        self.commands.iter().enumerate().map(|(i, c)| (i as u16, c))
    }

    /// Number of rows, subcommands included.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// True for a table without rows.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Commands that clients can call by a name of one word.
    pub fn top_level(&self) -> impl Iterator<Item = (u16, &Command)> {
        self.iter().filter(|(at, c)| !c.spec.name.contains('|') && self.find(c.name.as_bytes()) == Some(*at))
    }

    fn index(&mut self, renames: &[(Vec<u8>, Vec<u8>)]) {
        for (from, to) in renames {
            let wanted = from.to_ascii_uppercase();
            if let Some(command) = self.commands.iter_mut().find(|c| c.spec.name.as_bytes() == wanted) {
                command.name = String::from_utf8_lossy(to).to_ascii_lowercase().into_boxed_str();
            }
        }
        let size = (self.commands.len() * 4).next_power_of_two().max(16);
        self.short = vec![((0, 0), NONE); size];
        self.mask = size - 1;
        for i in 0..self.commands.len() {
            let name = self.commands[i].name.clone();
            if name.is_empty() || name.contains('|') {
                continue;
            }
            if name.len() > PACKED_MAX {
                self.long.insert(name.as_bytes().to_ascii_uppercase().into(), i as u16);
                continue;
            }
            let key = pack(name.as_bytes());
            let mut at = Self::place(key) & self.mask;
            while self.short[at].1 != NONE {
                at = (at + 1) & self.mask;
            }
            self.short[at] = (key, i as u16);
        }
    }

    #[inline]
    fn place(key: Packed) -> usize {
        let mixed = (key.0 ^ key.1.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize
    }
}

/// Up to 16 bytes as two words, lower-case letters made upper case.
#[inline]
fn pack(name: &[u8]) -> Packed {
    match name.split_first_chunk::<8>() {
        Some((first, rest)) => (upper(u64::from_le_bytes(*first)), upper(short_word(rest))),
        None => (upper(short_word(name)), 0),
    }
}

/// Up to 8 bytes as a word: put together of pieces that may overlap, as copying so few would cost more.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        return u64::from(u32::from_le_bytes(*first)) | last << (8 * (len.min(8) - 4));
    }
    match bytes {
        [] => 0,
        [a] => u64::from(*a),
        [a, b] => u64::from(u16::from_le_bytes([*a, *b])),
        [a, b, c, ..] => u64::from(u32::from_le_bytes([*a, *b, *c, 0])),
    }
}

/// Upper-cases eight ASCII bytes at once; other bytes stay.
#[inline]
fn upper(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * ONES);
    let from_a = low + (0x80 - b'a' as u64) * ONES;
    let past_z = low + (0x7f - b'z' as u64) * ONES;
    let is_lower = from_a & !past_z & !word & (0x80 * ONES);
    word ^ (is_lower >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_casing_touches_letters_only() {
        for b in 0..=255u8 {
            let word = upper(u64::from_le_bytes([b; 8]));
            assert_eq!(word, u64::from_le_bytes([b.to_ascii_uppercase(); 8]), "byte {b}");
        }
    }

    #[test]
    fn short_words_are_their_bytes() {
        for len in 0..=8 {
            let mut padded = [0; 8];
            padded[..len].copy_from_slice(&b"abcdefgh"[..len]);
            assert_eq!(short_word(&padded[..len]), u64::from_le_bytes(padded), "{len} bytes");
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        const ROWS: [CommandSpec; 4] = [
            CommandSpec { name: "GET", ..CommandSpec::BASE },
            CommandSpec { name: "CLIENT", ..CommandSpec::BASE },
            CommandSpec { name: "CLIENT|KILL", ..CommandSpec::BASE },
            CommandSpec { name: "GEORADIUSBYMEMBER_RO", ..CommandSpec::BASE },
        ];
        static TABLE: [CommandSpec; 4] = ROWS;
        let table = CommandTable::new(&TABLE, &[(b"get".to_vec(), b"fetch".to_vec())]);
        assert_eq!(table.find(b"get"), None);
        assert_eq!(table.get(table.find(b"FeTcH").unwrap()).spec.name, "GET");
        assert!(table.find(b"georadiusbymember_ro").is_some());
        assert!(table.find(b"geTT").is_none());
        let client = table.find(b"client").unwrap();
        assert_eq!(table.get(table.find_sub(client, b"kIll").unwrap()).spec.name, "CLIENT|KILL");
        assert!(table.find(b"client|kill").is_none());
    }
}
