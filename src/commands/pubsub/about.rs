//! PUBSUB: what is listened to, and by how many.

use crate::command::context::SessionCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::ds::algo::glob;
use crate::session::Topic;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PUBSUB",
        arity: Arity::at_least(2),
        group: Group::PubSub,
        since: "2.8.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands that tell about subscriptions.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PUBSUB|CHANNELS",
        since: "2.8.0",
        complexity: "O(N) where N is the number of channels",
        summary: "Lists the channels that have subscribers.",
        syntax: "[pattern]",
        run: Handler::Session(channels),
        ..BASE
    },
    CommandSpec {
        name: "PUBSUB|HELP",
        arity: Arity::exactly(2),
        since: "6.2.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Session(help),
        ..BASE
    },
    CommandSpec {
        name: "PUBSUB|NUMPAT",
        arity: Arity::exactly(2),
        since: "2.8.0",
        summary: "Counts the patterns that clients listen to.",
        run: Handler::Session(numpat),
        ..BASE
    },
    CommandSpec {
        name: "PUBSUB|NUMSUB",
        since: "2.8.0",
        complexity: "O(N) where N is the number of channels given",
        summary: "Counts the subscribers of channels.",
        syntax: "[channel [channel ...]]",
        run: Handler::Session(numsub),
        ..BASE
    },
    CommandSpec {
        name: "PUBSUB|SHARDCHANNELS",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels",
        summary: "Lists the shard channels that have subscribers.",
        syntax: "[pattern]",
        run: Handler::Session(shardchannels),
        ..BASE
    },
    CommandSpec {
        name: "PUBSUB|SHARDNUMSUB",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels given",
        summary: "Counts the subscribers of shard channels.",
        syntax: "[shardchannel [shardchannel ...]]",
        run: Handler::Session(shardnumsub),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec = CommandSpec {
    arity: Arity::at_least(2),
    group: Group::PubSub,
    flags: flags(&[Flag::PubSub, Flag::Loading, Flag::Stale]),
    ..CommandSpec::BASE
};

fn channels(ctx: &mut SessionCtx<'_>) -> CommandResult {
    list(ctx, Topic::Channel)
}

fn help(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    List the channels with subscribers that fit a pattern (default: '*').",
        "NUMPAT",
        "    Count the patterns that clients listen to.",
        "NUMSUB [<channel> ...]",
        "    Count the subscribers of each channel, those by pattern left out.",
        "SHARDCHANNELS [<pattern>]",
        "    List the shard channels with subscribers that fit a pattern (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Count the subscribers of each shard channel.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn numpat(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.reply.count(ctx.world.pubsub.count(Topic::Pattern));
    Ok(Flow::Done)
}

fn numsub(ctx: &mut SessionCtx<'_>) -> CommandResult {
    count(ctx, Topic::Channel)
}

fn shardchannels(ctx: &mut SessionCtx<'_>) -> CommandResult {
    list(ctx, Topic::Shard)
}

fn shardnumsub(ctx: &mut SessionCtx<'_>) -> CommandResult {
    count(ctx, Topic::Shard)
}

fn list(ctx: &mut SessionCtx<'_>, topic: Topic) -> CommandResult {
    if ctx.args.len() > 3 {
        let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
        text.extend_from_slice(ctx.args.get(1));
        text.extend_from_slice(b"'. Try PUBSUB HELP.");
        return Err(CommandError::bytes(text));
    }
    let pattern = ctx.args.opt(2);
    let all = ctx.reply.array_deferred();
    let mut n = 0;
    for (name, _) in ctx.world.pubsub.names(topic) {
        if pattern.is_none_or(|pattern| glob::matches(pattern, name, false)) {
            ctx.reply.bulk(name);
            n += 1;
        }
    }
    ctx.reply.finish(all, n);
    Ok(Flow::Done)
}

fn count(ctx: &mut SessionCtx<'_>, topic: Topic) -> CommandResult {
    ctx.reply.array(2 * (ctx.args.len() - 2));
    for name in ctx.args.from(2) {
        ctx.reply.bulk(name);
        ctx.reply.count(ctx.world.pubsub.subscribers(topic, name));
    }
    Ok(Flow::Done)
}
