//! Listening and ceasing to listen: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their opposites.
//!
//! Each name given is confirmed by a message of its own, so one request has several replies, or for a client that switched
//! replies off the same messages all the same.

use crate::command::context::SessionCtx;
use crate::command::spec::*;
use crate::resp::reply::ReplyWriter;
use crate::session::{Message, ReplyMode, Topic};

/// A request with more names than this lets others have their turn in between.
const NAMES_PER_TURN: usize = 32;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PSUBSCRIBE",
        since: "2.0.0",
        complexity: "O(N) where N is the number of patterns given",
        summary: "Listens to all channels that fit patterns.",
        syntax: "pattern [pattern ...]",
        run: Handler::Session(psubscribe),
        ..BASE
    },
    CommandSpec {
        name: "PUNSUBSCRIBE",
        arity: Arity::at_least(1),
        since: "2.0.0",
        complexity: "O(N) where N is the number of patterns given, or of all patterns listened to",
        summary: "Listens no longer to channels that fit patterns, or to any pattern.",
        syntax: "[pattern [pattern ...]]",
        run: Handler::Session(punsubscribe),
        ..BASE
    },
    CommandSpec {
        name: "SSUBSCRIBE",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels given",
        summary: "Listens to shard channels.",
        syntax: "shardchannel [shardchannel ...]",
        keys: SHARD_CHANNELS,
        run: Handler::Session(ssubscribe),
        ..BASE
    },
    CommandSpec {
        name: "SUBSCRIBE",
        since: "2.0.0",
        complexity: "O(N) where N is the number of channels given",
        summary: "Listens to channels.",
        syntax: "channel [channel ...]",
        run: Handler::Session(subscribe),
        ..BASE
    },
    CommandSpec {
        name: "SUNSUBSCRIBE",
        arity: Arity::at_least(1),
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels given, or of all shard channels listened to",
        summary: "Listens no longer to shard channels, or to any shard channel.",
        syntax: "[shardchannel [shardchannel ...]]",
        keys: SHARD_CHANNELS,
        run: Handler::Session(sunsubscribe),
        ..BASE
    },
    CommandSpec {
        name: "UNSUBSCRIBE",
        arity: Arity::at_least(1),
        since: "2.0.0",
        complexity: "O(N) where N is the number of channels given, or of all channels listened to",
        summary: "Listens no longer to channels, or to any channel.",
        syntax: "[channel [channel ...]]",
        run: Handler::Session(unsubscribe),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec = CommandSpec {
    arity: Arity::at_least(2),
    group: Group::PubSub,
    flags: flags(&[Flag::PubSub, Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..CommandSpec::BASE
};

const SHARD_CHANNELS: &[KeySpec] =
    &[KeySpec { flags: KeyFlags::NOT_KEY, begin: Begin::Index(1), find: Find::Range { last: -1, step: 1, limit: 0 } }];

fn psubscribe(ctx: &mut SessionCtx<'_>) -> CommandResult {
    begin(ctx, Topic::Pattern, b"psubscribe")
}

fn punsubscribe(ctx: &mut SessionCtx<'_>) -> CommandResult {
    end(ctx, Topic::Pattern, b"punsubscribe")
}

fn ssubscribe(ctx: &mut SessionCtx<'_>) -> CommandResult {
    begin(ctx, Topic::Shard, b"ssubscribe")
}

fn subscribe(ctx: &mut SessionCtx<'_>) -> CommandResult {
    begin(ctx, Topic::Channel, b"subscribe")
}

fn sunsubscribe(ctx: &mut SessionCtx<'_>) -> CommandResult {
    end(ctx, Topic::Shard, b"sunsubscribe")
}

fn unsubscribe(ctx: &mut SessionCtx<'_>) -> CommandResult {
    end(ctx, Topic::Channel, b"unsubscribe")
}

fn begin(ctx: &mut SessionCtx<'_>, topic: Topic, word: &[u8]) -> CommandResult {
    let (first, end) = some_names(ctx);
    for name in ctx.args.from(first).take(end - first) {
        ctx.world.pubsub.subscribe(ctx.session, topic, name);
        confirm(ctx, topic, word, Some(name));
    }
    go_on_from(ctx, end)
}

fn end(ctx: &mut SessionCtx<'_>, topic: Topic, word: &[u8]) -> CommandResult {
    if ctx.args.len() > 1 {
        let (first, end) = some_names(ctx);
        for name in ctx.args.from(first).take(end - first) {
            ctx.world.pubsub.unsubscribe(ctx.session, topic, name);
            confirm(ctx, topic, word, Some(name));
        }
        return go_on_from(ctx, end);
    }
    let most = if ctx.may_block { NAMES_PER_TURN } else { usize::MAX };
    let names: Vec<_> = ctx.session.subscriptions.iter().flat_map(|mine| mine.names(topic)).take(most).cloned().collect();
    for name in &names {
        ctx.world.pubsub.unsubscribe(ctx.session, topic, name);
        confirm(ctx, topic, word, Some(name));
    }
    if names.is_empty() {
        confirm(ctx, topic, word, None);
    }
    if ctx.session.subscribed(topic) > 0 {
        ctx.session.progress.done += names.len();
        return Ok(Flow::More);
    }
    Ok(Flow::Done)
}

/// The arguments that have their turn now: the first, and the one behind the last.
fn some_names(ctx: &SessionCtx<'_>) -> (usize, usize) {
    let (first, all) = (ctx.session.progress.done.max(1), ctx.args.len());
    (first, if ctx.may_block { all.min(first + NAMES_PER_TURN) } else { all })
}

/// Goes on with this argument in another turn, if there is one.
fn go_on_from(ctx: &mut SessionCtx<'_>, next: usize) -> CommandResult {
    if next >= ctx.args.len() {
        return Ok(Flow::Done);
    }
    ctx.session.progress.done = next;
    Ok(Flow::More)
}

/// Tells the client of one name, and how many things it listens to now. Shard channels are counted apart.
fn confirm(ctx: &mut SessionCtx<'_>, topic: Topic, word: &[u8], name: Option<&[u8]>) {
    let count = match topic {
        Topic::Shard => ctx.session.subscribed(Topic::Shard),
        _ => ctx.session.subscribed(Topic::Channel) + ctx.session.subscribed(Topic::Pattern),
    };
    let write = |reply: &mut ReplyWriter<'_>| {
        reply.push(3);
        reply.bulk(word);
        reply.bulk_or_null(name);
        reply.count(count);
    };
    if ctx.session.reply_mode == ReplyMode::On {
        write(&mut ctx.reply);
    } else {
        // Not a reply that could be left out, but a message.
        ctx.world.sessions.deliver(ctx.session.id, ctx.session.slot, &mut Message::new(&write));
    }
}
