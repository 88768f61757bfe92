//! The transaction commands.

use crate::command::CommandSpec;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[];
