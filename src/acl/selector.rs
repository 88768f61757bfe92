//! A selector: which commands may be run on which keys and channels. Every user has a root selector, and any number of
//! further ones, written in parentheses.

use super::{Catalog, RuleError, Rules, has_blanks};
use crate::ds::algo::glob;
use crate::resp::request::Args;
use std::collections::BTreeMap;

/// What may be done with a key, or is done to it. Bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access(pub u8);

impl Access {
    pub const NONE: Access = Access(0);
    pub const READ: Access = Access(1);
    pub const WRITE: Access = Access(2);
    pub const ALL: Access = Access(3);

    /// Both.
    pub const fn and(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    const fn covers(self, wanted: Access) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    const fn prefix(self) -> &'static [u8] {
        match self {
            Access::READ => b"%R~",
            Access::WRITE => b"%W~",
            _ => b"~",
        }
    }
}

/// Why a request is refused, from the least to the most that its user may do. Numbers are positions of arguments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Denial {
    /// No selector allows the command.
    Command,
    /// A selector allows the command, but not this key.
    Key(usize),
    /// … but not this channel.
    Channel(usize),
}

/// Is told the position of a key with what is done to it, or of a channel with `true` if it is a pattern.
pub type Visitor<'a, T> = &'a mut dyn FnMut(usize, T);

/// A request to be judged.
pub struct Request<'a> {
    /// Position of the command in the table.
    pub command: u16,
    /// Everybody may run the command: AUTH and the like.
    pub open: bool,
    pub is_subcommand: bool,
    pub args: Args<'a>,
    /// Shows all keys. False if they cannot be told, as the arguments contradict the command's rules: then it will fail.
    pub keys: &'a dyn Fn(Visitor<'_, Access>) -> bool,
    /// Shows all channels.
    pub channels: &'a dyn Fn(Visitor<'_, bool>),
}

/// A pattern of keys and what may be done with them.
#[derive(Clone)]
struct KeyPattern {
    access: Access,
    pattern: Box<[u8]>,
}

/// A set of permissions.
#[derive(Clone)]
pub struct Selector {
    /// Nothing was taken away since `+@all`.
    all_commands: bool,
    /// The rules start from `+@all`, not from `-@all`.
    from_all: bool,
    /// A bit per command of the table.
    allowed: Box<[u64]>,
    /// First arguments with which a command is allowed that is not allowed otherwise.
    first_args: BTreeMap<u16, Vec<Box<[u8]>>>,
    /// The rules about commands in order, as far as they still mean something.
    command_rules: Vec<Box<[u8]>>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Box<[u8]>>,
}

impl Selector {
    /// A selector that allows nothing, except perhaps all channels.
    pub fn new(rules: Rules<'_>) -> Self {
        Selector {
            all_commands: false,
            from_all: false,
            allowed: vec![0; rules.catalog.size().div_ceil(64)].into(),
            first_args: BTreeMap::new(),
            command_rules: Vec::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: rules.all_channels,
            channels: Vec::new(),
        }
    }

    /// A selector of the rules inside a pair of parentheses.
    pub fn parse(text: &[u8], rules: Rules<'_>) -> Result<Self, RuleError> {
        let mut selector = Selector::new(rules);
        for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            selector.apply(word, rules)?;
        }
        Ok(selector)
    }

    /// True if nothing is ever refused.
    pub fn is_unlimited(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Changes the selector by one rule.
    pub fn apply(&mut self, rule: &[u8], rules: Rules<'_>) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || is("~*") => {
                self.all_keys = true;
                self.keys.clear();
            }
            _ if is("resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || is("&*") => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is("allcommands") || is("+@all") => self.set_all_commands(true),
            _ if is("nocommands") || is("-@all") => self.set_all_commands(false),
            [b'~' | b'%', ..] => self.add_keys(rule)?,
            [b'&', pattern @ ..] => self.add_channels(pattern)?,
            [sign @ (b'+' | b'-'), category @ ..] if category.first() == Some(&b'@') => {
                let bit = rules.catalog.category(&category[1..]).ok_or(RuleError::UnknownCommand)?;
                self.note_command_rule(*sign, category);
                self.set_category(bit, *sign == b'+', rules.catalog);
            }
            [b'+', name @ ..] => self.allow(name, rules.catalog)?,
            [b'-', name @ ..] => {
                let command = rules.catalog.position(name).ok_or(RuleError::UnknownCommand)?;
                self.set_command(command, false, rules.catalog);
                self.note_command_rule(b'-', name);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all_commands(&mut self, allowed: bool) {
        self.allowed.fill(if allowed { u64::MAX } else { 0 });
        (self.all_commands, self.from_all) = (allowed, allowed);
        self.command_rules.clear();
        self.first_args.clear();
    }

    /// `~pattern`, or `%R~pattern` and the like.
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        let (access, pattern) = match rule.strip_prefix(b"%") {
            None => (Access::ALL, &rule[1..]),
            Some(rest) => {
                // Without `~` it is a pattern for the empty key.
                let end = memchr::memchr(b'~', rest).unwrap_or(rest.len());
                let access = match &*rest[..end].to_ascii_uppercase() {
                    b"R" => Access::READ,
                    b"W" => Access::WRITE,
                    b"RW" | b"WR" => Access::ALL,
                    // A pattern without any access would be no permission at all (CVE-2024-31227).
                    _ => return Err(RuleError::Syntax),
                };
                (access, rest.get(end + 1..).unwrap_or_default())
            }
        };
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => known.access = known.access.and(access),
            None => self.keys.push(KeyPattern { access, pattern: pattern.into() }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// `+command`, `+container|subcommand` or `+command|first-argument`.
    fn allow(&mut self, name: &[u8], catalog: &dyn Catalog) -> Result<(), RuleError> {
        match memchr::memrchr(b'|', name) {
            None => {
                let command = catalog.position(name).ok_or(RuleError::UnknownCommand)?;
                self.set_command(command, true, catalog);
            }
            Some(bar) => {
                let (outer, inner) = (&name[..bar], &name[bar + 1..]);
                let outer = catalog.position(outer).ok_or(RuleError::UnknownCommand)?;
                if catalog.is_subcommand(outer) {
                    return Err(RuleError::FirstArgumentOfSubcommand);
                }
                if inner.is_empty() {
                    return Err(RuleError::Syntax);
                }
                if catalog.subcommands(outer).is_empty() {
                    let known = self.first_args.entry(outer).or_default();
                    if !known.iter().any(|arg| arg.eq_ignore_ascii_case(inner)) {
                        known.push(inner.into());
                    }
                } else {
                    let command = catalog.position(name).ok_or(RuleError::UnknownCommand)?;
                    self.set_command(command, true, catalog);
                }
            }
        }
        self.note_command_rule(b'+', name);
        Ok(())
    }

    /// Allows or forbids a command and its subcommands.
    fn set_command(&mut self, command: u16, allowed: bool, catalog: &dyn Catalog) {
        self.set_bit(command as usize, allowed);
        self.first_args.remove(&command);
        catalog.subcommands(command).for_each(|subcommand| self.set_bit(subcommand, allowed));
    }

    fn set_category(&mut self, bit: u32, allowed: bool, catalog: &dyn Catalog) {
        // Containers stand before their subcommands, and take them along.
        for command in (0..catalog.size() as u16).filter(|at| !catalog.is_subcommand(*at)) {
            if catalog.categories(command) & bit != 0 {
                self.set_command(command, allowed, catalog);
            }
            for subcommand in catalog.subcommands(command).filter(|at| catalog.categories(*at as u16) & bit != 0) {
                self.set_bit(subcommand, allowed);
            }
        }
    }

    fn set_bit(&mut self, command: usize, allowed: bool) {
        let bit = 1 << (command % 64);
        if allowed {
            self.allowed[command / 64] |= bit;
        } else {
            self.allowed[command / 64] &= !bit;
            self.all_commands = false;
        }
    }

    /// Adds a rule about commands behind those that it does not make pointless: the same rule, with either sign, and rules
    /// about subcommands of the command that it names.
    fn note_command_rule(&mut self, sign: u8, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        self.command_rules.retain(|known| {
            let rest = known[1..].strip_prefix(name.as_slice());
            !rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'|')
        });
        self.command_rules.push([&[sign], name.as_slice()].concat().into());
    }

    /// Why a request is refused, if it is.
    pub fn check(&self, request: &Request<'_>) -> Result<(), Denial> {
        if !self.all_commands && !request.open && !self.allows_command(request) {
            return Err(Denial::Command);
        }
        let args = request.args;
        let mut denial = None;
        if !self.all_keys {
            let told = (request.keys)(&mut |at, access| {
                if denial.is_none() && !self.allows_key(args.get(at), access) {
                    denial = Some(Denial::Key(at));
                }
            });
            denial = denial.filter(|_| told);
        }
        if !self.all_channels && denial.is_none() {
            (request.channels)(&mut |at, is_pattern| {
                if denial.is_none() && !self.allows_channel(args.get(at), is_pattern) {
                    denial = Some(Denial::Channel(at));
                }
            });
        }
        denial.map_or(Ok(()), Err)
    }

    fn allows_command(&self, request: &Request<'_>) -> bool {
        let command = request.command as usize;
        if self.allowed[command / 64] >> (command % 64) & 1 != 0 {
            return true;
        }
        let first = request.args.get(1 + request.is_subcommand as usize);
        request.args.len() >= 2
            && self.first_args.get(&request.command).is_some_and(|known| known.iter().any(|arg| arg.eq_ignore_ascii_case(first)))
    }

    fn allows_key(&self, key: &[u8], access: Access) -> bool {
        self.keys.iter().any(|known| known.access.covers(access) && glob::matches(&known.pattern, key, false))
    }

    /// True if every key whatever may be read.
    pub fn reads_every_key(&self) -> bool {
        self.all_keys || self.keys.iter().any(|known| known.access.covers(Access::READ) && *known.pattern == *b"*")
    }

    /// A pattern is only allowed if it is one of the selector's own, as nobody can tell which channels it will fit.
    fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels || fits_any(self.channels.iter().map(|pattern| &**pattern), channel, is_pattern)
    }

    /// True if all channels may be used.
    pub fn allows_all_channels(&self) -> bool {
        self.all_channels
    }

    /// The patterns of channels, if not all are allowed.
    pub fn channel_patterns(&self) -> impl Iterator<Item = &[u8]> {
        self.channels.iter().map(|pattern| &**pattern)
    }

    /// The rules about commands that make this selector from nothing.
    pub fn describe_commands(&self) -> Vec<u8> {
        let base: &[u8] = if self.from_all { b"+@all" } else { b"-@all" };
        let words: Vec<&[u8]> = std::iter::once(base).chain(self.command_rules.iter().map(|rule| &**rule)).collect();
        words.join(&b' ')
    }

    /// The patterns of keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let words: Vec<Vec<u8>> = self.keys.iter().map(|known| [known.access.prefix(), &known.pattern].concat()).collect();
        words.join(&b' ')
    }

    /// The patterns of channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let words: Vec<Vec<u8>> = self.channels.iter().map(|pattern| [b"&", &**pattern].concat()).collect();
        words.join(&b' ')
    }

    /// All rules that make this selector from nothing.
    pub fn describe(&self) -> Vec<u8> {
        let channels = self.describe_channels();
        let reset: &[u8] = if self.all_channels { b"" } else { b"resetchannels" };
        let parts = [&self.describe_keys()[..], reset, &channels, &self.describe_commands()];
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b' ')
    }
}

/// True if a channel fits one of these patterns, or if a pattern is one of them.
pub fn fits_any<'a>(mut patterns: impl Iterator<Item = &'a [u8]>, channel: &[u8], is_pattern: bool) -> bool {
    patterns.any(|pattern| if is_pattern { pattern == channel } else { glob::matches(pattern, channel, false) })
}
