//! CONFIG GET and CONFIG SET on the value. Setting is all or nothing: the first refusal leaves
//! everything as it was. Applying a change (listeners, buffers, threads) is the engine's business.

use super::directive::Flags;
use super::table::{DIRECTIVES, find};
use super::{Config, Directive, glob};

/// What CONFIG SET has to know about the moment and the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetContext {
    /// The client is connected from this machine.
    pub client_is_local: bool,
    /// Data is being loaded.
    pub loading: bool,
}

/// Why CONFIG SET refused. `Display` is the whole error reply, code first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetError {
    /// Not while data is being loaded. The server has its own reply for that.
    Loading,
    /// There is no such directive.
    Unknown { name: Vec<u8> },
    /// The named one is the reason.
    Failed { name: Vec<u8>, reason: String },
}

impl std::fmt::Display for SetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loading => f.write_str("LOADING Redis is loading the dataset in memory"),
            Self::Unknown { name } => {
                let name = String::from_utf8_lossy(name);
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Self::Failed { name, reason } => {
                let name = String::from_utf8_lossy(name);
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for SetError {}

impl SetError {
    /// The error for a setting that was accepted and could not be applied.
    pub fn not_applied(directive: &Directive, reason: impl Into<String>) -> Self {
        Self::Failed { name: directive.name.into(), reason: reason.into() }
    }
}

impl Config {
    /// Names and values for CONFIG GET. A name without `*`, `?` and `[` comes back as it was
    /// typed and finds hidden settings too. No name comes twice.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], directive: &Directive| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), directive.get(self)));
            }
        };
        for &pattern in patterns {
            if !glob::is_pattern(pattern) {
                if let Some(directive) = find(pattern) {
                    add(pattern, directive);
                }
                continue;
            }
            for directive in DIRECTIVES {
                if directive.flags.contains(Flags::HIDDEN) {
                    continue;
                }
                let foreign = directive.flags.contains(Flags::FOREIGN_ALIAS);
                let alias = directive.alias.filter(|_| !foreign);
                for name in [Some(directive.name), alias].into_iter().flatten() {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        add(name.as_bytes(), directive);
                    }
                }
            }
        }
        found
    }

    /// CONFIG SET: all of the pairs or none. Returns the directives whose value changed.
    pub fn set_many(&mut self, pairs: &[(&[u8], &[u8])], context: SetContext) -> Result<Vec<&'static Directive>, SetError> {
        let found = self.look_up(pairs, context)?;
        let mut next = self.clone();
        let mut changed: Vec<&'static Directive> = Vec::new();
        for ((directive, name), (_, value)) in found.into_iter().zip(pairs) {
            let args = split_value(directive, value);
            let is_changed = directive.set(&mut next, &args).map_err(|reason| SetError::Failed { name: name.into(), reason })?;
            if is_changed && !changed.iter().any(|known| known.name == directive.name) {
                changed.push(directive);
            }
        }
        *self = next;
        Ok(changed)
    }

    /// Finds the directives and checks whether they may be set. The first refusal counts.
    fn look_up(
        &self,
        pairs: &[(&[u8], &[u8])],
        context: SetContext,
    ) -> Result<Vec<(&'static Directive, &'static str)>, SetError> {
        let allowed = self.enable_protected_configs.allows(context.client_is_local);
        let mut found: Vec<(&'static Directive, &'static str)> = Vec::with_capacity(pairs.len());
        for &(typed, _) in pairs {
            let failed = |reason: &str| Err(SetError::Failed { name: typed.to_vec(), reason: reason.to_owned() });
            let Some(directive) = find(typed) else {
                return Err(SetError::Unknown { name: typed.to_vec() });
            };
            let name = directive.called(typed).unwrap_or(directive.name);
            if directive.flags.contains(Flags::IMMUTABLE) {
                return failed("can't set immutable config");
            }
            if directive.flags.contains(Flags::PROTECTED) && !allowed {
                return failed("can't set protected config");
            }
            if directive.flags.contains(Flags::DENY_LOADING) && context.loading {
                return Err(SetError::Loading);
            }
            // A name and its alias do not count as the same here: Redis has them apart.
            if found.iter().any(|&(_, known)| known == name) {
                return failed("duplicate parameter");
            }
            found.push((directive, name));
        }
        Ok(found)
    }
}

/// Whether MONITOR, SLOWLOG and logs must not show the value that follows this name.
pub fn is_sensitive(name: &[u8]) -> bool {
    find(name).is_some_and(|directive| directive.flags.contains(Flags::SENSITIVE))
}

/// One value as words: a directive of many words takes it apart at single spaces.
fn split_value<'a>(directive: &Directive, value: &'a [u8]) -> Vec<&'a [u8]> {
    if !directive.flags.contains(Flags::MULTI_ARG) {
        return vec![value];
    }
    if value.is_empty() {
        return Vec::new();
    }
    value.split(|&c| c == b' ').collect()
}
