//! The transaction commands. What a queue is, and how it runs, is in `session::multi` and in the dispatcher.

mod multi;
mod watch;

use crate::command::CommandSpec;
use crate::command::spec::*;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[multi::COMMANDS, watch::COMMANDS];

/// What most rows have in common.
const BASE: CommandSpec = CommandSpec {
    arity: Arity::exactly(1),
    group: Group::Transactions,
    flags: flags(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy]),
    acl: categories(&[Category::Transaction]),
    ..CommandSpec::BASE
};
