//! Sending messages: PUBLISH, SPUBLISH.

use crate::command::context::SessionCtx;
use crate::command::spec::*;
use crate::resp::request::OwnedRequest;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PUBLISH",
        since: "2.0.0",
        complexity: "O(N+M) where N is the number of subscribers of the channel and M the number of patterns",
        summary: "Sends a message to a channel.",
        syntax: "channel message",
        run: Handler::Session(publish),
        ..BASE
    },
    CommandSpec {
        name: "SPUBLISH",
        since: "7.0.0",
        complexity: "O(N) where N is the number of subscribers of the shard channel",
        summary: "Sends a message to a shard channel.",
        syntax: "shardchannel message",
        keys: &[KeySpec::at(1).access(KeyFlags::NOT_KEY)],
        run: Handler::Session(spublish),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec = CommandSpec {
    arity: Arity::exactly(3),
    group: Group::PubSub,
    flags: flags(&[Flag::PubSub, Flag::Loading, Flag::Stale, Flag::Fast, Flag::MayReplicate]),
    ..CommandSpec::BASE
};

fn publish(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let world = &mut *ctx.world;
    let receivers = world.pubsub.publish(&mut world.sessions, ctx.args.get(1), ctx.args.get(2));
    if let Some(cluster) = &mut world.cluster {
        cluster.spread(false, ctx.args.get(1), ctx.args.get(2));
    }
    ctx.reply.count(receivers);
    pass_on(ctx);
    Ok(Flow::Done)
}

fn spublish(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let world = &mut *ctx.world;
    let receivers = world.pubsub.publish_shard(&mut world.sessions, ctx.args.get(1), ctx.args.get(2));
    if let Some(cluster) = &mut world.cluster {
        cluster.spread(true, ctx.args.get(1), ctx.args.get(2));
    }
    ctx.reply.count(receivers);
    pass_on(ctx);
    Ok(Flow::Done)
}

/// Subscribers at replicas are to hear of it, too. In a cluster the bus has told them.
fn pass_on(ctx: &mut SessionCtx<'_>) {
    if ctx.world.cluster.is_none() && ctx.world.replication.leads() {
        let request = || OwnedRequest::copy(ctx.args);
        ctx.world.keyspace.env.effects.propagate_as(ctx.session.db, request);
    }
}
