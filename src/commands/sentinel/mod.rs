//! The commands of a sentinel. It has a table of its own: the rows of this family, and of the others those that make sense without
//! keys. On other servers none of this family exists, by which client libraries tell the two apart.

mod about;
mod changes;
mod peers;
mod settings;

use crate::command::CommandSpec;
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::sentinel::{InstanceId, Sentinel};
use crate::world::World;

/// The topics of this family.
const TOPICS: &[&[CommandSpec]] = &[about::COMMANDS, changes::COMMANDS, peers::COMMANDS, settings::COMMANDS];

/// Commands of other families that a sentinel has, with all of their subcommands but `NOT_SHARED`.
const SHARED: &[&str] = &[
    "ACL",
    "AUTH",
    "CLIENT",
    "COMMAND",
    "HELLO",
    "INFO",
    "PING",
    "PSUBSCRIBE",
    "PUNSUBSCRIBE",
    "QUIT",
    "SHUTDOWN",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
];
/// What is about keys after all.
const NOT_SHARED: &[&str] = &["CLIENT|NO-TOUCH"];

/// All rows of a sentinel's table.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    let container = |name: &'static str| name.split('|').next().unwrap_or(name);
    let is_shared = move |row: &&CommandSpec| SHARED.contains(&container(row.name)) && !NOT_SHARED.contains(&row.name);
    super::all().filter(is_shared).chain(TOPICS.iter().flat_map(|rows| rows.iter()))
}

/// What rows of the container have in common.
const BASE: CommandSpec =
    CommandSpec { group: Group::Sentinel, since: "2.8.4", flags: flags(&[Flag::Admin]), ..CommandSpec::BASE };

/// Its rows are in no other table.
const NO_SENTINEL: CommandError = CommandError::new("ERR This instance is not a sentinel");
const NO_PRIMARY: CommandError = CommandError::new("ERR No such master with that name");
const NOT_SAVED: CommandError = CommandError::new("ERR Failed to save config file. Check server logs.");

/// The sentinel's state, for reading.
fn view<'a>(ctx: &'a ServerCtx<'_>) -> Result<&'a Sentinel, CommandError> {
    state(ctx.world)
}

/// The same where the reply is written meanwhile.
fn state(world: &World) -> Result<&Sentinel, CommandError> {
    world.sentinel.as_ref().map(|watch| &watch.state).ok_or(NO_SENTINEL)
}

/// The primary that argument 2 names.
fn primary(ctx: &ServerCtx<'_>) -> Result<InstanceId, CommandError> {
    view(ctx)?.find(ctx.args.get(2)).ok_or(NO_PRIMARY)
}

/// Changes the state.
fn change<R>(ctx: &mut ServerCtx<'_>, f: impl FnOnce(&mut Sentinel) -> R) -> Result<R, CommandError> {
    ctx.world.with_sentinel(f).ok_or(NO_SENTINEL)
}

/// Keeps the state in the file, and answers OK.
fn saved(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if !ctx.world.save_sentinel() {
        return Err(NOT_SAVED);
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// An argument as text; what is no UTF-8 in it is replaced.
fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
