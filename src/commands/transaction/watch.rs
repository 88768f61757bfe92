//! The condition of a transaction: WATCH, UNWATCH.

use super::BASE;
use crate::command::context::SessionCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "UNWATCH",
        since: "2.2.0",
        summary: "Ends the watch of all keys.",
        run: Handler::Session(unwatch),
        ..BASE
    },
    CommandSpec {
        name: "WATCH",
        arity: Arity::at_least(2),
        since: "2.2.0",
        complexity: "O(1) for every key",
        summary: "Watches keys: the next transaction is only run if none of them has changed.",
        syntax: "key [key ...]",
        keys: &[KeySpec::range(1, -1, 1).access(LOOK)],
        run: Handler::Session(watch),
        ..BASE
    },
];
const _: () = check(COMMANDS);

fn unwatch(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.world.end_watch(ctx.session);
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn watch(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if ctx.session.transaction.is_some() {
        return Err(CommandError::new("ERR WATCH inside MULTI is not allowed"));
    }
    let db = ctx.session.db;
    let watch = ctx.session.watch.get_or_insert_default();
    // The transaction will not run anyway if a key has changed already.
    if !watch.is_touched() {
        ctx.args.from(1).for_each(|key| watch.add(&mut ctx.world.keyspace, db, key));
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}
