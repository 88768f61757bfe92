//! The cluster commands. The view that they tell of and change is in `cluster`, how requests are sent to the node that serves them in
//! `dispatch::route`. On a server that is no node all of them refuse, by which client libraries and GUIs tell a plain server.

mod about;
mod members;
mod mode;
mod slots;

use crate::cluster::Cluster;
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[about::COMMANDS, members::COMMANDS, mode::COMMANDS, slots::COMMANDS];

/// What rows of the container have in common.
const BASE: CommandSpec =
    CommandSpec { group: Group::Cluster, since: "3.0.0", flags: flags(&[Flag::Stale]), ..CommandSpec::BASE };

/// Flags of what changes the cluster.
const CHANGES: u32 = flags(&[Flag::Admin, Flag::Stale, Flag::NoAsyncLoading]);

/// The node's view, for reading.
fn view<'a>(ctx: &'a ServerCtx<'_>) -> Result<&'a Cluster, CommandError> {
    ctx.world.cluster.as_deref().ok_or(error::NO_CLUSTER)
}

/// The node's view, for changing it.
fn view_mut<'a>(ctx: &'a mut ServerCtx<'_>) -> Result<&'a mut Cluster, CommandError> {
    ctx.world.cluster.as_deref_mut().ok_or(error::NO_CLUSTER)
}

/// The refusal of a node's name that nobody has.
fn unknown_node(name: &[u8]) -> CommandError {
    CommandError::bytes([b"ERR Unknown node ", name].concat())
}

/// Keeps a change of the view, and answers OK.
fn changed(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.world.cluster_changed();
    ctx.reply.ok();
    Ok(Flow::Done)
}
