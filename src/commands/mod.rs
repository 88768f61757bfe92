//! What commands DO, a folder or file per family and a file per topic. Each topic file begins with its rows, its table of
//! contents; adding a command touches that file and its test, nothing else.

mod expire_options;
pub mod keys;
pub mod scan_options;
mod server;
mod session;
pub mod string;

use crate::command::CommandSpec;

/// All rows of all topics.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().flat_map(|topics| topics.iter()).flat_map(|rows| rows.iter())
}

/// The topics of a family, each with its rows.
type Topics = &'static [&'static [CommandSpec]];

const FAMILIES: &[Topics] = &[keys::TOPICS, server::TOPICS, session::TOPICS, string::TOPICS];
