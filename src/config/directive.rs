//! What a directive is: its names, who may set it and when, and how its value is read and printed.
//! A row of the table says all of that, so CONFIG GET, CONFIG SET, CONFIG REWRITE, redis.conf and
//! the command line cannot disagree.

use super::Config;
use super::special::{one, text};
use super::text::{format_memory, parse_integer, parse_integer_leniently, parse_memory, quote};

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Directive {
    /// The name, in lower case.
    pub name: &'static str,
    /// A second name of the same setting.
    pub alias: Option<&'static str>,
    /// The type of the value and the place of it.
    pub kind: Kind,
    /// Who may see and set it, and when.
    pub flags: Flags,
    /// Whether it changes anything.
    pub effect: Effect,
}

/// The type of a value, with its place in `Config` and its limits.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Bool(Field<bool>),
    /// An integer; `octal` ones are written to base 8.
    Int { at: Field<i64>, min: i64, max: i64, octal: bool },
    /// Bytes, given with or without a unit.
    Memory { at: Field<u64>, min: u64, max: u64 },
    /// One of several words.
    Choice(Choice),
    /// Text. `unset_if_empty`: the empty text means "none" and is left out of a rewritten file.
    Str { at: Field<String>, unset_if_empty: bool, check: fn(&str) -> Result<(), &'static str> },
    /// Bytes that need not be text; empty means "none".
    Bytes(Field<Vec<u8>>),
    /// Anything else.
    Special(Special),
}

/// The place of a value: the same field twice, once to look and once to write.
pub struct Field<T: 'static> {
    pub(super) get: fn(&Config) -> &T,
    pub(super) at: fn(&mut Config) -> &mut T,
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Field<T> {}

/// The words of a choice, and the field behind them.
#[derive(Clone, Copy)]
pub struct Choice {
    /// The accepted words, in the order of the error text.
    pub names: &'static [&'static str],
    pub(super) get: fn(&Config) -> &'static str,
    pub(super) set: fn(&mut Config, usize),
}

/// How a value that is none of the simple kinds is printed, set and written to the file.
/// `set` leaves the configuration as it was when it fails.
#[derive(Clone, Copy)]
pub struct Special {
    pub(super) get: fn(&Config) -> String,
    pub(super) set: fn(&mut Config, &[&[u8]]) -> Result<(), String>,
    /// Lines for the value, given the defaults. None: lines in the file are removed.
    pub(super) rewrite: fn(&Config, &Config) -> Vec<RewrittenLine>,
}

/// A line for CONFIG REWRITE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RewrittenLine {
    pub(super) text: Vec<u8>,
    /// Whether it is added if the file has no such line. The default value need not be.
    pub(super) forced: bool,
}

impl RewrittenLine {
    pub(super) fn new(name: &str, value: impl AsRef<[u8]>, forced: bool) -> Self {
        let text = [name.as_bytes(), b" ", value.as_ref()].concat();
        Self { text, forced }
    }
}

/// A set of properties of a directive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u16);

impl Flags {
    /// Fixed once the server runs.
    pub const IMMUTABLE: Self = Self(1);
    /// Shown by CONFIG GET only if named exactly.
    pub const HIDDEN: Self = Self(1 << 1);
    /// Settable only as `enable-protected-configs` allows.
    pub const PROTECTED: Self = Self(1 << 2);
    /// Must not show up in logs, MONITOR or SLOWLOG.
    pub const SENSITIVE: Self = Self(1 << 3);
    /// Takes any number of words.
    pub const MULTI_ARG: Self = Self(1 << 4);
    /// Not settable while data is being loaded.
    pub const DENY_LOADING: Self = Self(1 << 5);
    /// Setting the same value again is a change too: the file behind it may be another now.
    pub const VOLATILE: Self = Self(1 << 6);
    /// The alias is a name from another server and shown only if named exactly.
    pub const FOREIGN_ALIAS: Self = Self(1 << 7);

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether a directive changes anything in this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It does.
    Works,
    /// It is known, kept and shown so that files and tools that use it work, and changes nothing.
    None(&'static str),
}

impl Directive {
    /// Whether this is a name of the directive; case does not matter.
    pub fn is_called(&self, name: &[u8]) -> bool {
        self.called(name).is_some()
    }

    /// The name of the directive that was meant, in lower case.
    pub(super) fn called(&self, name: &[u8]) -> Option<&'static str> {
        let names = [Some(self.name), self.alias];
        names.into_iter().flatten().find(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The value as CONFIG GET shows it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        match self.kind {
            Kind::Bool(at) => yes_no(*(at.get)(config)).into(),
            Kind::Int { at, octal: true, .. } => format!("{:o}", (at.get)(config)).into(),
            Kind::Int { at, .. } => (at.get)(config).to_string().into(),
            Kind::Memory { at, .. } => (at.get)(config).to_string().into(),
            Kind::Choice(choice) => (choice.get)(config).into(),
            Kind::Str { at, .. } => (at.get)(config).as_bytes().to_vec(),
            Kind::Bytes(at) => (at.get)(config).clone(),
            Kind::Special(special) => (special.get)(config).into(),
        }
    }

    /// Sets the value from the words that follow the name. Whether it changed, or the reason for
    /// the refusal; then the configuration is as before.
    pub fn set(&self, config: &mut Config, args: &[&[u8]]) -> Result<bool, String> {
        let before = self.get(config);
        match self.kind {
            Kind::Bool(at) => *(at.at)(config) = parse_yes_no(one(args)?)?,
            Kind::Int { at, min, max, octal: true } => {
                let value = parse_integer_leniently(one(args)?, 8);
                let value = value.ok_or("argument couldn't be parsed as an octal number")?;
                if !(min..=max).contains(&value) {
                    return Err(format!("argument must be between {min:o} and {max:o} inclusive"));
                }
                *(at.at)(config) = value;
            }
            Kind::Int { at, min, max, .. } => set_integer((at.at)(config), one(args)?, min, max)?,
            Kind::Memory { at, min, max } => set_memory((at.at)(config), one(args)?, min, max)?,
            Kind::Choice(choice) => {
                let meant = |word: &&'static str| matches!(args, [arg] if word.as_bytes().eq_ignore_ascii_case(arg));
                let Some(index) = choice.names.iter().position(meant) else {
                    let words = choice.names.join(", ");
                    return Err(format!("argument(s) must be one of the following: {words}"));
                };
                (choice.set)(config, index);
            }
            Kind::Str { at, check, .. } => {
                let value = text(one(args)?)?;
                check(&value)?;
                *(at.at)(config) = value;
            }
            Kind::Bytes(at) => *(at.at)(config) = one(args)?.to_vec(),
            Kind::Special(special) => (special.set)(config, args)?,
        }
        Ok(self.flags.contains(Flags::VOLATILE) || self.get(config) != before)
    }

    /// The lines for a rewritten file. None: lines in the file are removed.
    pub(super) fn rewrite(&self, config: &Config, default: &Config) -> Vec<RewrittenLine> {
        let value = match self.kind {
            Kind::Special(special) => return (special.rewrite)(config, default),
            Kind::Str { at, unset_if_empty: true, .. } if (at.get)(config).is_empty() => {
                return Vec::new();
            }
            Kind::Bytes(at) if (at.get)(config).is_empty() => return Vec::new(),
            Kind::Memory { at, .. } => format_memory(*(at.get)(config)).into(),
            Kind::Str { .. } | Kind::Bytes(_) => quote(&self.get(config)),
            _ => self.get(config),
        };
        let forced = self.get(config) != self.get(default);
        vec![RewrittenLine::new(self.name, value, forced)]
    }
}

/// Sets an integer by the rules that all plain integers follow.
pub(super) fn set_integer(place: &mut i64, arg: &[u8], min: i64, max: i64) -> Result<(), String> {
    let value = parse_integer(arg).ok_or("argument couldn't be parsed into an integer")?;
    if !(min..=max).contains(&value) {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    *place = value;
    Ok(())
}

/// Sets a number of bytes by the rules that all of them follow.
pub(super) fn set_memory(place: &mut u64, arg: &[u8], min: u64, max: u64) -> Result<(), String> {
    let value = parse_memory(arg).ok_or("argument must be a memory value")?;
    if !(min..=max).contains(&value) {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    *place = value;
    Ok(())
}

/// A switch as it is written in files.
pub fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// The same read, in any case.
///
/// # Errors
/// It is neither.
pub fn parse_yes_no(arg: &[u8]) -> Result<bool, String> {
    match arg.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

// The words that rows are written in.

/// `field!(port)`: the place of `Config::port`.
macro_rules! field {
    ($name:ident) => {
        Field { get: |config| &config.$name, at: |config| &mut config.$name }
    };
}

/// `pick!(loglevel: LogLevel)`: the words of `LogLevel`, kept in `Config::loglevel`.
macro_rules! pick {
    ($name:ident: $type:ident) => {
        Choice { names: $type::NAMES, get: |config| config.$name.name(), set: |config, index| config.$name = $type::ALL[index] }
    };
}

pub(super) use {field, pick};

pub(super) const fn boolean(name: &'static str, at: Field<bool>) -> Directive {
    Directive::new(name, Kind::Bool(at))
}

pub(super) const fn int(name: &'static str, at: Field<i64>, min: i64, max: i64) -> Directive {
    Directive::new(name, Kind::Int { at, min, max, octal: false })
}

pub(super) const fn octal(name: &'static str, at: Field<i64>, min: i64, max: i64) -> Directive {
    Directive::new(name, Kind::Int { at, min, max, octal: true })
}

pub(super) const fn memory(name: &'static str, at: Field<u64>, min: u64, max: u64) -> Directive {
    Directive::new(name, Kind::Memory { at, min, max })
}

pub(super) const fn choice(name: &'static str, choice: Choice) -> Directive {
    Directive::new(name, Kind::Choice(choice))
}

/// Text that is "none" when empty.
pub(super) const fn string(name: &'static str, at: Field<String>) -> Directive {
    Directive::new(name, Kind::Str { at, unset_if_empty: true, check: |_| Ok(()) })
}

pub(super) const fn bytes(name: &'static str, at: Field<Vec<u8>>) -> Directive {
    Directive::new(name, Kind::Bytes(at))
}

pub(super) const fn special(name: &'static str, special: Special) -> Directive {
    Directive::new(name, Kind::Special(special))
}

impl Directive {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, alias: None, kind, flags: Flags(0), effect: Effect::Works }
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    pub(super) const fn foreign_alias(self, alias: &'static str) -> Self {
        self.alias(alias).with(Flags::FOREIGN_ALIAS)
    }

    pub(super) const fn immutable(self) -> Self {
        self.with(Flags::IMMUTABLE)
    }

    pub(super) const fn hidden(self) -> Self {
        self.with(Flags::HIDDEN)
    }

    pub(super) const fn protected(self) -> Self {
        self.with(Flags::PROTECTED)
    }

    pub(super) const fn sensitive(self) -> Self {
        self.with(Flags::SENSITIVE)
    }

    pub(super) const fn multi(self) -> Self {
        self.with(Flags::MULTI_ARG)
    }

    pub(super) const fn not_while_loading(self) -> Self {
        self.with(Flags::DENY_LOADING)
    }

    pub(super) const fn volatile(self) -> Self {
        self.with(Flags::VOLATILE)
    }

    /// The empty text is a value like any other.
    pub(super) const fn keeps_empty(mut self) -> Self {
        if let Kind::Str { at, check, .. } = self.kind {
            self.kind = Kind::Str { at, unset_if_empty: false, check };
        }
        self
    }

    pub(super) const fn check(mut self, check: fn(&str) -> Result<(), &'static str>) -> Self {
        if let Kind::Str { at, unset_if_empty, .. } = self.kind {
            self.kind = Kind::Str { at, unset_if_empty, check };
        }
        self
    }

    pub(super) const fn no_effect(mut self, reason: &'static str) -> Self {
        self.effect = Effect::None(reason);
        self
    }

    const fn with(mut self, flags: Flags) -> Self {
        self.flags = self.flags.with(flags);
        self
    }
}
