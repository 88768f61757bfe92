//! Saving the data set to the disk: SAVE. And the helpers of DEBUG RELOAD and SHUTDOWN.
//!
//! SAVE writes in one go: whoever asks for it wants to have the file when the reply comes.

use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::types::DbIndex;
use crate::world::World;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "SAVE",
    arity: Arity::exactly(1),
    group: Group::Server,
    complexity: "O(N) where N is the number of keys in all databases",
    summary: "Saves the data to the disk; everybody waits until it is done.",
    flags: flags(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti]),
    run: Handler::Server(save),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

/// The reply of the original when saving fails: the log tells more.
const FAILED: CommandError = CommandError::new("ERR");

fn save(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let World { persistence, keyspace, config, .. } = &mut *ctx.world;
    persistence.save(keyspace, config).map_err(|_| FAILED)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// DEBUG RELOAD: saves, empties the keyspace and loads it again; the options leave steps out.
pub(super) fn reload(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (mut saves, mut flushes, mut merges) = (true, true, false);
    for i in 2..ctx.args.len() {
        if ctx.args.is(i, "MERGE") {
            merges = true;
        } else if ctx.args.is(i, "NOFLUSH") {
            flushes = false;
        } else if ctx.args.is(i, "NOSAVE") {
            saves = false;
        } else {
            return Err(CommandError::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
        }
    }
    let World { persistence, keyspace, config, .. } = &mut *ctx.world;
    if saves {
        persistence.save(keyspace, config).map_err(|_| FAILED)?;
    }
    if flushes {
        for index in (0..keyspace.databases() as u32).map(DbIndex) {
            keyspace.flush(index, false);
        }
    }
    // Neither replicas nor logs are to do the same.
    keyspace.env.effects.propagate_nothing();
    match persistence.load(keyspace, config, merges) {
        Ok(()) => {
            tracing::info!("DB reloaded by DEBUG RELOAD");
            ctx.reply.ok();
        }
        Err(failure) => {
            tracing::warn!("Can't load {failure}");
            // Not as `Err`: something was changed.
            ctx.reply.error("ERR Error trying to load the RDB dump, check server logs.");
        }
    }
    Ok(Flow::Done)
}
