//! What there is to know about streams, groups and consumers: XINFO.

use super::{bad_subcommand, find, no_group_of, write_entries, write_entry, write_id};
use crate::command::args::Args;
use crate::command::context::KeysCtx;
use crate::command::error::{CommandError, NO_SUCH_KEY};
use crate::command::spec::*;
use crate::ds::stream::{Consumer, Group as ConsumerGroup, Stream, StreamId};
use crate::resp::reply::ReplyWriter;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XINFO",
        arity: Arity::at_least(2),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "As the subcommand says.",
        summary: "Commands that tell about streams and consumer groups.",
        run: Handler::Container,
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XINFO|CONSUMERS",
        arity: Arity::exactly(4),
        summary: "Lists the consumers of a group.",
        syntax: "key group",
        tips: &["nondeterministic_output"],
        history: &[("7.2.0", "Answers with `inactive`; `idle` counts from the last attempt.")],
        run: Handler::Keys(xinfo_consumers),
        ..TELLING
    },
    CommandSpec {
        name: "XINFO|GROUPS",
        arity: Arity::exactly(3),
        summary: "Lists the consumer groups of a stream.",
        syntax: "key",
        history: &[("7.0.0", "Answers with `entries-read` and `lag`.")],
        run: Handler::Keys(xinfo_groups),
        ..TELLING
    },
    CommandSpec {
        name: "XINFO|HELP",
        arity: Arity::exactly(2),
        summary: "Explains the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        keys: &[],
        run: Handler::Keys(xinfo_help),
        ..TELLING
    },
    CommandSpec {
        name: "XINFO|STREAM",
        arity: Arity::at_least(3),
        summary: "Tells about a stream, and with FULL about its groups.",
        syntax: "key [FULL [COUNT count]]",
        history: &[
            ("6.0.0", "Takes `FULL`."),
            (
                "7.0.0",
                "Answers with `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`.",
            ),
            ("7.2.0", "Answers with `active-time`; `seen-time` is that of the last attempt."),
        ],
        run: Handler::Keys(xinfo_stream),
        ..TELLING
    },
];
const _: () = check(COMMANDS);

/// What the subcommands have in common.
const TELLING: CommandSpec = CommandSpec {
    group: Group::Stream,
    since: "5.0.0",
    flags: flags(&[Flag::ReadOnly]),
    acl: categories(&[Category::Stream]),
    keys: &[KeySpec::at(2)],
    ..CommandSpec::BASE
};

fn xinfo_consumers(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, name) = (ctx.args.get(2), ctx.args.get(3));
    let now = ctx.db.now();
    let stream = find(&mut ctx.db, key)?.ok_or(NO_SUCH_KEY)?;
    let group = stream.groups.get(name).ok_or_else(|| no_group_of(key, name))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(&consumer.name);
        reply.bulk(b"pending");
        reply.count(consumer.pending().len());
        reply.bulk(b"idle");
        reply.integer(now.saturating_sub(consumer.seen_at).max(0));
        reply.bulk(b"inactive");
        reply.integer(consumer.active_at.map_or(-1, |at| now.saturating_sub(at)));
    }
    Ok(Flow::Done)
}

fn xinfo_groups(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let stream = find(&mut ctx.db, ctx.args.get(2))?.ok_or(NO_SUCH_KEY)?;
    let reply = &mut ctx.reply;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.count(group.consumer_count());
        reply.bulk(b"pending");
        reply.count(group.pending().len());
        write_progress(reply, &stream, group);
    }
    Ok(Flow::Done)
}

fn xinfo_help(ctx: &mut KeysCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    The consumers of the group.",
        "GROUPS <key>",
        "    The consumer groups of the stream.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    The stream itself; with FULL its first entries and its groups too.",
        "HELP",
        "    This text.",
    ]);
    Ok(Flow::Done)
}

fn xinfo_stream(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let stream = find(&mut ctx.db, args.get(2))?.ok_or(NO_SUCH_KEY)?;
    let count = full_count(args)?;
    let reply = &mut ctx.reply;
    reply.map(if count.is_some() { 9 } else { 10 });
    let counters = stream.counters();
    reply.bulk(b"length");
    reply.integer(counters.len as i64);
    reply.bulk(b"radix-tree-keys");
    reply.count(stream.node_count());
    reply.bulk(b"radix-tree-nodes");
    reply.count(stream.tree_nodes());
    for (name, id) in [("last-generated-id", counters.last_id), ("max-deleted-entry-id", counters.max_deleted_id)] {
        reply.bulk(name.as_bytes());
        write_id(reply, id);
    }
    reply.bulk(b"entries-added");
    reply.integer(counters.entries_added as i64);
    reply.bulk(b"recorded-first-entry-id");
    write_id(reply, counters.first_id);
    if let Some(count) = count {
        write_contents(reply, &stream, count);
        return Ok(Flow::Done);
    }
    reply.bulk(b"groups");
    reply.count(stream.groups.len());
    for (name, entry) in [("first-entry", stream.first()), ("last-entry", stream.last())] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, &entry),
            None => reply.null(),
        }
    }
    Ok(Flow::Done)
}

/// With FULL, how many of each kind to show; 0 is all.
fn full_count(args: Args<'_>) -> Result<Option<usize>, CommandError> {
    /// A stream may be large, and who asks about it wants an idea of it.
    const DEFAULT: usize = 10;

    let is_full = args.is(3, "FULL");
    match args.len() {
        3 => Ok(None),
        4 if is_full => Ok(Some(DEFAULT)),
        6 if is_full && args.is(4, "COUNT") => Ok(Some(usize::try_from(args.i64(5)?).unwrap_or(DEFAULT))),
        _ => Err(bad_subcommand("XINFO", args.get(1))),
    }
}

/// The first entries and all groups, with the first pending entries of each.
fn write_contents(reply: &mut ReplyWriter<'_>, stream: &Stream, count: usize) {
    let most = if count == 0 { usize::MAX } else { count };
    reply.bulk(b"entries");
    write_entries(reply, stream.range(StreamId::MIN, StreamId::MAX, false), count);
    reply.bulk(b"groups");
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        write_progress(reply, stream, group);
        reply.bulk(b"pel-count");
        reply.count(group.pending().len());
        reply.bulk(b"pending");
        reply.array(group.pending().len().min(most));
        for (id, nack) in group.pending().iter().take(most) {
            reply.array(4);
            write_id(reply, *id);
            reply.bulk(&group.consumer(nack.consumer).name);
            reply.integer(nack.delivered_at);
            reply.integer(nack.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumer_count());
        for (_, consumer) in group.consumers() {
            write_consumer(reply, group, consumer, most);
        }
    }
}

fn write_consumer(reply: &mut ReplyWriter<'_>, group: &ConsumerGroup, consumer: &Consumer, most: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(&consumer.name);
    reply.bulk(b"seen-time");
    reply.integer(consumer.seen_at);
    reply.bulk(b"active-time");
    reply.integer(consumer.active_at.unwrap_or(-1));
    reply.bulk(b"pel-count");
    reply.count(consumer.pending().len());
    reply.bulk(b"pending");
    let list = reply.array_deferred();
    let mut written = 0;
    for id in consumer.pending().iter().take(most) {
        let Some(nack) = group.pending().get(id) else { continue };
        reply.array(3);
        write_id(reply, *id);
        reply.integer(nack.delivered_at);
        reply.integer(nack.deliveries as i64);
        written += 1;
    }
    reply.finish(list, written);
}

/// How far a group was delivered: three pairs of a map.
fn write_progress(reply: &mut ReplyWriter<'_>, stream: &Stream, group: &ConsumerGroup) {
    reply.bulk(b"last-delivered-id");
    write_id(reply, group.last_id);
    let read = group.entries_read.map(|count| count as i64);
    for (name, count) in [("entries-read", read), ("lag", stream.counters().lag(group))] {
        reply.bulk(name.as_bytes());
        match count {
            Some(count) => reply.integer(count),
            None => reply.null(),
        }
    }
}
