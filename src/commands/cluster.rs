//! CLUSTER, ASKING, READONLY and READWRITE on a server that is no node of a cluster, which is what this version can be. Client
//! libraries and GUIs ask in order to find out, and tell a plain server by this very refusal.

use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;

pub(super) const TOPICS: &[&[CommandSpec]] = &[COMMANDS];

const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ASKING",
        acl: categories(&[Category::Connection]),
        flags: flags(&[Flag::Fast]),
        summary: "Lets the next command use a slot that is being imported.",
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER",
        arity: Arity::at_least(2),
        complexity: "Depends on the subcommand.",
        summary: "Tells about the cluster, and changes it.",
        syntax: "subcommand [argument [argument ...]]",
        ..ROW
    },
    CommandSpec {
        name: "READONLY",
        acl: categories(&[Category::Connection]),
        flags: flags(&[Flag::Fast, Flag::Loading, Flag::Stale]),
        summary: "Lets the connection read from a replica of a cluster's node.",
        ..ROW
    },
    CommandSpec {
        name: "READWRITE",
        acl: categories(&[Category::Connection]),
        flags: flags(&[Flag::Fast, Flag::Loading, Flag::Stale]),
        summary: "Ends what READONLY began.",
        ..ROW
    },
];
const _: () = check(COMMANDS);

const ROW: CommandSpec = CommandSpec { group: Group::Cluster, since: "3.0.0", run: Handler::Server(refuse), ..CommandSpec::BASE };

fn refuse(_: &mut ServerCtx<'_>) -> CommandResult {
    Err(CommandError::new("ERR This instance has cluster support disabled"))
}
