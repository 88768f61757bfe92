//! The set commands.

mod algebra;
mod chance;
mod members;
mod scan;

use crate::command::CommandSpec;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[members::COMMANDS, chance::COMMANDS, algebra::COMMANDS, scan::COMMANDS];
