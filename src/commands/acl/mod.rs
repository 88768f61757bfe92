//! ACL: who may do what. The rules themselves live in `acl/`; here is what clients see of them.

mod file;
mod inspect;
mod log;
mod users;

use crate::command::CommandSpec;
use crate::command::spec::*;

/// The family's rows, a table per topic.
pub(super) const TOPICS: &[&[CommandSpec]] = &[file::COMMANDS, inspect::COMMANDS, log::COMMANDS, users::COMMANDS];

/// What the rows of commands for administrators have in common.
const ADMIN: CommandSpec = CommandSpec { flags: PLAIN.flags | flags(&[Flag::Admin]), ..PLAIN };

/// What the rows of the others have in common.
const PLAIN: CommandSpec = CommandSpec {
    group: Group::Server,
    since: "6.0.0",
    flags: flags(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..CommandSpec::BASE
};

/// Hints on commands that change users.
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
