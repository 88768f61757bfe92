//! Saving the data set to the disk: SAVE, BGSAVE, BGREWRITEAOF. And the helper of DEBUG RELOAD.
//!
//! SAVE writes in one go: whoever asks for it wants to have the file when the reply comes. BGSAVE starts a snapshot, which the
//! engine carries on (`engine::snapshot`).

use crate::command::context::{ServerCtx, SessionCtx};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::types::DbIndex;
use crate::world::World;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BGREWRITEAOF",
        arity: Arity::exactly(1),
        group: Group::Server,
        complexity: "O(1)",
        summary: "Writes the append-only file anew, as short as it can be, in the background.",
        flags: flags(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading]),
        run: Handler::Session(bgrewriteaof),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BGSAVE",
        arity: Arity::at_least(1),
        group: Group::Server,
        complexity: "O(1)",
        summary: "Saves the data to the disk while everything goes on.",
        syntax: "[SCHEDULE]",
        flags: flags(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading]),
        history: &[("3.2.2", "Takes `SCHEDULE`.")],
        run: Handler::Server(bgsave),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SAVE",
        arity: Arity::exactly(1),
        group: Group::Server,
        complexity: "O(N) where N is the number of keys in all databases",
        summary: "Saves the data to the disk; everybody waits until it is done.",
        flags: flags(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti]),
        run: Handler::Server(save),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn bgrewriteaof(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let World { persistence, keyspace, config, stream, .. } = &mut *ctx.world;
    if persistence.aof.rewrites().is_running() {
        return Err(CommandError::new("ERR Background append only file rewriting already in progress"));
    }
    // A transaction is not cut in two.
    if persistence.is_busy() || !ctx.may_block {
        persistence.aof.rewrites_mut().schedule_by_hand();
        ctx.reply.simple("Background append only file rewriting scheduled");
        return Ok(Flow::Done);
    }
    if persistence.rewrite_aof(keyspace, config, stream).is_err() {
        return Err(CommandError::new(
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
        ));
    }
    ctx.world.adopt_config();
    ctx.reply.simple("Background append only file rewriting started");
    Ok(Flow::Done)
}

/// The reply of the original when saving fails: the log tells more.
const FAILED: CommandError = CommandError::new("ERR");

const IN_PROGRESS: CommandError = CommandError::new("ERR Background save already in progress");

fn bgsave(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let schedule = match ctx.args.len() {
        1 => false,
        2 if ctx.args.is(1, "SCHEDULE") => true,
        _ => return Err(error::SYNTAX),
    };
    let in_transaction = ctx.world.in_transaction;
    let persistence = &mut ctx.world.persistence;
    if persistence.is_saving() {
        return Err(IN_PROGRESS);
    }
    // The data in the middle of a transaction are nobody's to see.
    if persistence.snapshot.is_some() || in_transaction {
        if !schedule && !in_transaction {
            return Err(CommandError::new(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule \
                 a BGSAVE whenever possible.",
            ));
        }
        persistence.background.scheduled = true;
        ctx.reply.simple("Background saving scheduled");
        return Ok(Flow::Done);
    }
    ctx.world.stamp_history();
    let World { persistence, keyspace, config, .. } = &mut *ctx.world;
    persistence.save_in_background(keyspace, config).map_err(|_| FAILED)?;
    ctx.reply.simple("Background saving started");
    Ok(Flow::Done)
}

fn save(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.world.persistence.is_saving() {
        return Err(IN_PROGRESS);
    }
    ctx.world.stamp_history();
    let World { persistence, keyspace, config, .. } = &mut *ctx.world;
    let saved = persistence.save(keyspace, config);
    ctx.world.review_restrictions();
    saved.map_err(|_| FAILED)?;
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
    if flushes && ctx.world.persistence.is_saving() {
        let World { persistence, keyspace, .. } = &mut *ctx.world;
        persistence.cancel_save(keyspace);
    }
    if saves {
        ctx.world.stamp_history();
    }
    let World { persistence, keyspace, config, .. } = &mut *ctx.world;
    if saves {
        persistence.save(keyspace, config).map_err(|_| FAILED)?;
    }
    if flushes {
        for index in (0..keyspace.databases() as u32).map(DbIndex) {
            keyspace.flush(index, false);
        }
        ctx.world.scripting.flush_functions();
    }
    let World { persistence, keyspace, config, .. } = &mut *ctx.world;
    // Neither replicas nor logs are to do the same.
    keyspace.env.effects.propagate_nothing();
    let loaded = persistence.load(keyspace, config, merges).map_err(|failure| failure.to_string());
    match loaded.and_then(|libraries| ctx.world.adopt_libraries(&libraries, merges)) {
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
