//! What the tests stand on: servers as child processes, a raw client, replies as trees, requests in redis-cli notation,
//! seeded random commands, and the comparison of two servers' replies.
#![allow(dead_code)] // Areas use different parts of it.

pub mod certificates;
pub mod client;
pub mod compare;
pub mod disk;
pub mod generate;
pub mod json;
pub mod notation;
pub mod reply;
pub mod scribe;
pub mod spawn;

/// A setting from the environment, if it is there and not empty.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// A number from the environment.
///
/// # Panics
/// If the variable is set to something else, as a silently ignored setting misleads.
pub fn env_number(name: &str, default: u64) -> u64 {
    env(name).map_or(default, |text| text.trim().parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// True if `text` matches `pattern`, in which `*` stands for anything.
pub fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text
            .strip_prefix(head)
            .is_some_and(|text| text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| glob(rest, &text[at..]))),
    }
}
