//! Commands about the server: its configuration, figures, command table, memory, slow commands, and what tests need.

mod config;
mod debug;
mod digest;

use crate::command::CommandSpec;

/// The family's rows, a table per topic.
pub(super) const TOPICS: &[&[CommandSpec]] = &[config::COMMANDS, debug::COMMANDS];
