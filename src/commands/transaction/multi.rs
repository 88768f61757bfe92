//! The bounds of a transaction: MULTI, EXEC, DISCARD.

use super::BASE;
use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DISCARD",
        since: "2.0.0",
        complexity: "O(N) where N is the number of queued commands",
        summary: "Gives up a transaction.",
        run: Handler::Session(discard),
        ..BASE
    },
    CommandSpec {
        name: "EXEC",
        since: "1.2.0",
        complexity: "That of the queued commands",
        summary: "Runs the queued commands of a transaction, unless a watched key has changed.",
        flags: flags(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::SkipSlowlog]),
        run: Handler::Session(exec),
        ..BASE
    },
    CommandSpec {
        name: "MULTI",
        since: "1.2.0",
        summary: "Begins a transaction: commands are queued until EXEC.",
        run: Handler::Session(multi),
        ..BASE
    },
];
const _: () = check(COMMANDS);

fn discard(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if ctx.session.transaction.is_none() {
        return Err(CommandError::new("ERR DISCARD without MULTI"));
    }
    ctx.world.end_transaction(ctx.session);
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn exec(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let Some(transaction) = &ctx.session.transaction else { return Err(CommandError::new("ERR EXEC without MULTI")) };
    if transaction.broken {
        ctx.world.end_transaction(ctx.session);
        return Err(error::EXECABORT);
    }
    if ctx.session.watch.as_ref().is_some_and(|watch| watch.is_broken(&ctx.world.keyspace)) {
        ctx.world.end_transaction(ctx.session);
        ctx.reply.null_array();
        return Ok(Flow::Done);
    }
    // The keys have served: what the queue changes need not be looked up for this client.
    ctx.world.end_watch(ctx.session);
    Ok(Flow::RunQueue)
}

fn multi(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::new("ERR MULTI calls can not be nested"));
    }
    ctx.session.transaction = Some(Box::default());
    ctx.reply.ok();
    Ok(Flow::Done)
}
