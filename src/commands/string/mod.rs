//! Strings: the family that shows how all others read. A topic file is a table of rows, then the handlers in the same
//! order, then their helpers.

mod counter;
mod expiring;
mod many;
mod range;
mod value;

use crate::command::CommandSpec;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[value::COMMANDS, expiring::COMMANDS, counter::COMMANDS, many::COMMANDS, range::COMMANDS];
