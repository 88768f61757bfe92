//! The pubsub commands. Who listens to what is in `session::pubsub`.

mod about;
mod publish;
mod subscribe;

use crate::command::CommandSpec;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[about::COMMANDS, publish::COMMANDS, subscribe::COMMANDS];
