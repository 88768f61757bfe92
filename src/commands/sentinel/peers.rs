//! What other sentinels send: the question whether a master is down, with a request for a vote, and hellos.

use super::{BASE, change, text};
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::sentinel::HELLO_CHANNEL;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PUBLISH",
        arity: Arity::exactly(3),
        group: Group::PubSub,
        since: "2.0.0",
        summary: "Takes a hello of another sentinel.",
        syntax: "channel message",
        flags: flags(&[Flag::PubSub, Flag::Loading, Flag::Stale, Flag::Fast, Flag::MayReplicate]),
        run: Handler::Server(publish),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|IS-MASTER-DOWN-BY-ADDR",
        arity: Arity::exactly(6),
        summary: "Tells whether this sentinel misses a master, and its vote if that is asked for.",
        syntax: "ip port current-epoch runid",
        run: Handler::Server(is_master_down_by_addr),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const ONLY_HELLOS: CommandError = CommandError::new("ERR Only HELLO messages are accepted by Sentinel instances.");

fn publish(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.get(1) != HELLO_CHANNEL {
        return Err(ONLY_HELLOS);
    }
    let hello = ctx.args.get(2);
    change(ctx, |sentinel| sentinel.greeted(hello))?;
    ctx.reply.integer(1);
    Ok(Flow::Done)
}

fn is_master_down_by_addr(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (host, port, epoch) = (text(ctx.args.get(2)), ctx.args.i64(3)?, ctx.args.i64(4)?);
    let candidate = text(ctx.args.get(5));
    let candidate = (candidate != "*").then_some(&*candidate);
    // The vote is in the file when the reply leaves.
    let (is_down, leader, epoch) = change(ctx, |sentinel| sentinel.verdict(&host, port, epoch as u64, candidate))?;
    ctx.reply.array(3);
    ctx.reply.integer(is_down.into());
    ctx.reply.bulk(leader.as_deref().unwrap_or("*").as_bytes());
    ctx.reply.integer(epoch as i64);
    Ok(Flow::Done)
}
