//! The `aclfile`: a line per user, in the form of ACL LIST. It is read as a whole or not at all, and written as a whole.

use super::user::merge_selectors;
use super::{Acl, RuleError, Rules, User, Users, has_blanks};
use crate::config::rewrite;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

/// Most bytes of a file; what is longer holds no users.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads the users of a file. `shown` is its name in errors.
///
/// # Errors
/// Everything that is wrong with it, in one line of text.
pub fn load(path: &Path, shown: &str, rules: Rules<'_>) -> Result<Users, String> {
    let failed = |error: std::io::Error| {
        let reason = crate::config::io_reason(&error);
        format!("Error loading ACLs, opening file '{shown}': {reason}")
    };
    let mut text = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("File too large")));
    }
    parse(&text, shown, rules)
}

fn parse(text: &[u8], shown: &str, rules: Rules<'_>) -> Result<Users, String> {
    let (mut users, mut errors) = (Users::new(), String::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let place = format!("{shown}:{}", index + 1);
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
            errors += &format!("{place} should start with user keyword followed by the username. ");
            continue;
        };
        let name_shown = String::from_utf8_lossy(name);
        if has_blanks(name) {
            errors += &format!("'{place}: username '{name_shown}' contains invalid characters. ");
            continue;
        }
        if users.contains_key(name) {
            errors += &format!("WARNING: Duplicate user '{name_shown}' found on line {}. ", index + 1);
            continue;
        }
        let mut user = User::new(name, rules);
        match merge_selectors(words) {
            Ok(modifiers) => errors += &apply(&mut user, &modifiers, &place, rules),
            Err(_) => errors += &format!("{place}: Unmatched parenthesis in selector definition."),
        }
        users.insert(name.into(), Rc::new(user));
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors += "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    Err(errors)
}

/// Applies a line's modifiers; what is wrong with them, if anything.
fn apply(user: &mut User, modifiers: &[Vec<u8>], place: &str, rules: Rules<'_>) -> String {
    let (mut errors, mut told) = (String::new(), false);
    for modifier in modifiers {
        let modifier = modifier.trim_ascii();
        match user.apply(modifier, rules) {
            Ok(()) => {}
            // Names of commands are no secrets, other modifiers may be.
            Err(reason @ RuleError::UnknownCommand) => {
                let modifier = String::from_utf8_lossy(modifier);
                errors += &format!("{place}: Error in applying operation '{modifier}': {reason}. ");
            }
            // One mistake may be the reason for those that follow.
            Err(reason) if !told => {
                errors += &format!("{place}: {reason}. ");
                told = true;
            }
            Err(_) => {}
        }
    }
    errors
}

/// Writes all users to a file, in the place of what it held.
///
/// # Errors
/// What the system says.
pub fn save(acl: &Acl, path: &Path) -> std::io::Result<()> {
    let mut text = Vec::new();
    for user in acl.users() {
        text.extend_from_slice(&user.line());
        text.push(b'\n');
    }
    rewrite::replace(path, &text)
}
