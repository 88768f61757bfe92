//! Reading what is new in several streams, waiting for it if wanted: XREAD, and XREADGROUP for a consumer of a group.

use super::{GroupName, find, id, shown, write_entries, write_entry, write_id};
use crate::command::args::Args;
use crate::command::context::{BlockOn, KeysCtx};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::stream::{ConsumerId, Group as ConsumerGroup, Nack, Stream, StreamId, StreamValue};
use crate::keyspace::Event;
use crate::keyspace::db::Env;
use crate::resp::number;
use crate::resp::reply::ReplyWriter;
use crate::resp::request::OwnedRequest;
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XREAD",
        arity: Arity::at_least(4),
        group: Group::Stream,
        since: "5.0.0",
        summary: "Reads the entries of streams behind the given ids; waits for one if there is none.",
        complexity: "O(N) with N entries answered",
        syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        flags: flags(&[Flag::ReadOnly, Flag::Blocking, Flag::MovableKeys]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::behind("STREAMS", 1, Find::Range { last: -1, step: 1, limit: 2 })],
        run: Handler::Keys(xread),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XREADGROUP",
        arity: Arity::at_least(7),
        group: Group::Stream,
        since: "5.0.0",
        summary: "Reads the entries of streams that a group has yet to be given, or those a consumer has yet to acknowledge.",
        complexity: "O(N) with N entries answered",
        syntax: "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
        flags: flags(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::behind("STREAMS", 4, Find::Range { last: -1, step: 1, limit: 2 })],
        run: Handler::Keys(xreadgroup),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

/// What a request asks for.
struct Wanted<'a> {
    /// Most entries of each stream; 0 is no limit.
    count: usize,
    /// Whether to wait, and until when.
    wait: Option<Option<UnixMillis>>,
    no_ack: bool,
    /// XREADGROUP.
    grouped: bool,
    group: &'a [u8],
    consumer: &'a [u8],
    /// The first key, and how many there are; as many ids follow.
    first: usize,
    streams: usize,
}

fn xread(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let wanted = Wanted::parse(ctx, false)?;
    let mut after = Vec::with_capacity(wanted.streams);
    let mut from_now = false;
    for i in wanted.keys() {
        let stream = find(&mut ctx.db, args.get(i))?;
        after.push(match args.get(i + wanted.streams) {
            b"$" => {
                from_now = true;
                stream.map_or(StreamId::MIN, |stream| stream.counters().last_id)
            }
            b"+" => stream.and_then(|stream| stream.last()?.id.previous()).unwrap_or(StreamId::MIN),
            b">" => return Err(NEW_WITHOUT_GROUP),
            text => id(text, 0)?,
        });
    }
    let head = Head::begin(&mut ctx.reply);
    let mut served = 0;
    for (i, after) in wanted.keys().zip(&after) {
        let Some(stream) = find(&mut ctx.db, args.get(i))? else { continue };
        let Some(start) = after.next().filter(|start| *start <= stream.counters().last_id) else { continue };
        let mut entries = stream.range(start, StreamId::MAX, false).peekable();
        if entries.peek().is_some() {
            head.next(&mut ctx.reply, args.get(i));
            write_entries(&mut ctx.reply, entries, wanted.count);
            served += 1;
        }
    }
    if served > 0 {
        head.finish(&mut ctx.reply, served);
        return Ok(Flow::Done);
    }
    // "From now on" means from this try on, not from the one that a new entry causes.
    let again = from_now.then(|| {
        let first_id = wanted.first + wanted.streams;
        let mut request = OwnedRequest::default();
        for i in 0..args.len() {
            match after.get(i.wrapping_sub(first_id)) {
                Some(id) if args.get(i) == b"$" => request.push(id.text().as_bytes()),
                _ => request.push(args.get(i)),
            }
        }
        request
    });
    wanted.wait(ctx, again)
}

fn xreadgroup(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let wanted = Wanted::parse(ctx, true)?;
    let mut after = Vec::with_capacity(wanted.streams);
    for i in wanted.keys() {
        let key = args.get(i);
        if !find(&mut ctx.db, key)?.is_some_and(|stream| stream.groups.contains_key(wanted.group)) {
            let text: [&[u8]; 5] = [
                b"NOGROUP No such key '",
                shown(key),
                b"' or consumer group '",
                shown(wanted.group),
                b"' in XREADGROUP with GROUP option",
            ];
            return Err(CommandError::bytes(text.concat()));
        }
        after.push(match args.get(i + wanted.streams) {
            b"$" => return Err(meaningless('$')),
            b"+" => return Err(meaningless('+')),
            b">" => StreamId::MAX,
            text => id(text, 0)?,
        });
    }
    let dirty = ctx.db.keyspace.env.effects.dirty;
    let head = Head::begin(&mut ctx.reply);
    let mut served = 0;
    for (i, after) in wanted.keys().zip(after) {
        let key = args.get(i);
        let name = GroupName { db: ctx.db.index, key, group: wanted.group };
        let reply = &mut ctx.reply;
        let answered = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, env| {
            let answered = stream.with_group(wanted.group, |stream, group| {
                let Some(consumer) = consumer(name, group, wanted.consumer, env) else { return false };
                if wanted.no_ack && consumer.1 {
                    name.propagate_consumer(&mut env.effects, wanted.consumer);
                }
                let consumer = consumer.0;
                match after.next() {
                    Some(start) => {
                        head.next(reply, key);
                        repeat(reply, stream, group, consumer, start, wanted.count, env.now());
                        true
                    }
                    // The last id of all stands for "new ones": nothing comes after it anyway.
                    None if stream.last().is_none_or(|last| last.id <= group.last_id) => false,
                    None => {
                        head.next(reply, key);
                        deliver(reply, stream, (name, group, consumer), &wanted, env);
                        true
                    }
                }
            });
            (answered, None)
        })?;
        served += (answered.flatten() == Some(true)) as usize;
    }
    let effects = &mut ctx.db.keyspace.env.effects;
    if effects.dirty != dirty {
        effects.propagate_nothing();
    }
    if served > 0 {
        head.finish(&mut ctx.reply, served);
        return Ok(Flow::Done);
    }
    wanted.wait(ctx, None)
}

/// Finds or creates a consumer, seen now; and whether it was created.
pub(super) fn consumer(
    name: GroupName<'_>,
    group: &mut ConsumerGroup,
    consumer: &[u8],
    env: &mut Env,
) -> Option<(ConsumerId, bool)> {
    let now = env.now();
    if let Some(id) = group.find(consumer) {
        group.consumer_mut(id).seen_at = now;
        return Some((id, false));
    }
    let id = group.create(consumer, now)?;
    env.effects.more(1);
    env.effects.noticed(name.db, name.key, Event::XGROUP_CREATECONSUMER);
    Some((id, true))
}

/// Answers with a consumer's pending entries from an id on, which counts as delivering them again. Entries that were deleted
/// meanwhile are ids without fields.
fn repeat(
    reply: &mut ReplyWriter<'_>,
    stream: &Stream,
    group: &mut ConsumerGroup,
    consumer: ConsumerId,
    start: StreamId,
    count: usize,
    now: UnixMillis,
) {
    let most = if count == 0 { usize::MAX } else { count };
    let pending: Vec<StreamId> = group.consumer(consumer).pending().range(start..).take(most).copied().collect();
    reply.array(pending.len());
    for id in pending {
        let Some(entry) = stream.get(id) else {
            reply.array(2);
            write_id(reply, id);
            reply.null_array();
            continue;
        };
        write_entry(reply, &entry);
        if let Some((delivered_at, deliveries)) = group.nack_mut(id) {
            *delivered_at = now;
            *deliveries = deliveries.saturating_add(1);
        }
    }
}

/// Answers with the entries that the group has yet to be given, and makes them pending.
fn deliver(
    reply: &mut ReplyWriter<'_>,
    stream: &Stream,
    (name, group, consumer): (GroupName<'_>, &mut ConsumerGroup, ConsumerId),
    wanted: &Wanted<'_>,
    env: &mut Env,
) {
    let now = env.now();
    let start = group.last_id.next().unwrap_or(StreamId::MAX);
    let before = group.last_id;
    let list = reply.array_deferred();
    let mut written = 0;
    for entry in stream.range(start, StreamId::MAX, false) {
        stream.counters().advance(group, entry.id);
        write_entry(reply, &entry);
        if !wanted.no_ack {
            let nack = Nack { delivered_at: now, deliveries: 1, consumer };
            group.assign(entry.id, nack);
            group.consumer_mut(consumer).active_at = Some(now);
            name.propagate_claim(&mut env.effects, group, entry.id, &nack);
        }
        written += 1;
        if written == wanted.count {
            break;
        }
    }
    reply.finish(list, written);
    // Claims tell the last id but not how many entries the group has read.
    if group.last_id != before {
        name.propagate_last_id(&mut env.effects, group);
    }
    env.effects.more(1);
}

const NEW_WITHOUT_GROUP: CommandError =
    CommandError::new("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.");

fn meaningless(id: char) -> CommandError {
    CommandError::text(format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
         specifying a proper ID, or use the > ID to get new messages. The {id} ID would just return an empty result set."
    ))
}

fn only_with_group(option: &str) -> CommandError {
    CommandError::text(format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."))
}

impl<'a> Wanted<'a> {
    fn parse(ctx: &KeysCtx<'a>, grouped: bool) -> Result<Wanted<'a>, CommandError> {
        let args = ctx.args;
        let mut wanted = Wanted { count: 0, wait: None, no_ack: false, grouped, group: b"", consumer: b"", first: 0, streams: 0 };
        let mut has_group = false;
        let mut i = 1;
        while i < args.len() {
            let more = args.len() - 1 - i;
            match () {
                () if more > 0 && args.is(i, "BLOCK") => {
                    i += 1;
                    wanted.wait = Some(deadline(args, i, ctx.db.now())?);
                }
                () if more > 0 && args.is(i, "COUNT") => {
                    i += 1;
                    wanted.count = args.i64(i)?.max(0) as usize;
                }
                () if more > 0 && args.is(i, "STREAMS") => {
                    wanted.first = i + 1;
                    wanted.streams = more / 2;
                    if !more.is_multiple_of(2) {
                        return Err(unbalanced(grouped));
                    }
                    break;
                }
                () if more > 1 && args.is(i, "GROUP") => {
                    if !grouped {
                        return Err(only_with_group("GROUP"));
                    }
                    has_group = true;
                    wanted.group = args.get(i + 1);
                    wanted.consumer = args.get(i + 2);
                    i += 2;
                }
                () if args.is(i, "NOACK") => {
                    if !grouped {
                        return Err(only_with_group("NOACK"));
                    }
                    wanted.no_ack = true;
                }
                () => return Err(error::SYNTAX),
            }
            i += 1;
        }
        if wanted.first == 0 {
            return Err(error::SYNTAX);
        }
        if grouped && !has_group {
            return Err(CommandError::new("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(wanted)
    }

    /// Argument positions of the keys.
    fn keys(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.streams
    }

    /// Waits if that is wanted and possible; answers with nothing otherwise.
    fn wait(&self, ctx: &mut KeysCtx<'_>, again: Option<OwnedRequest>) -> CommandResult {
        match self.wait {
            Some(deadline) if ctx.may_block => {
                *ctx.block = Some(BlockOn { keys: self.keys().collect(), deadline, again, or_gone: self.grouped, freed: None });
                Ok(Flow::Block)
            }
            _ => {
                ctx.reply.null_array();
                Ok(Flow::Done)
            }
        }
    }
}

fn unbalanced(grouped: bool) -> CommandError {
    let (command, ids) = if grouped { ("xreadgroup", "ID or '>'") } else { ("xread", "ID, '+', or '$'") };
    CommandError::text(format!("ERR Unbalanced '{command}' list of streams: for each stream key an {ids} must be specified."))
}

/// The moment until which to wait: argument `i` in milliseconds from now. `None` for 0: for ever.
fn deadline(args: Args<'_>, i: usize, now: UnixMillis) -> Result<Option<UnixMillis>, CommandError> {
    const NOT_AN_INTEGER: CommandError = CommandError::new("ERR timeout is not an integer or out of range");

    match number::parse_i64(args.get(i)).ok_or(NOT_AN_INTEGER)? {
        0 => Ok(None),
        ..0 => Err(error::TIMEOUT_NEGATIVE),
        millis => now.checked_add(millis).map(Some).ok_or(error::TIMEOUT_OUT_OF_RANGE),
    }
}

/// Streams with their entries: a map, or in RESP2 an array of pairs.
struct Head(crate::resp::reply::Deferred);

impl Head {
    fn begin(reply: &mut ReplyWriter<'_>) -> Head {
        Head(if reply.is_resp3() { reply.map_deferred() } else { reply.array_deferred() })
    }

    /// The entries of this stream follow.
    fn next(&self, reply: &mut ReplyWriter<'_>, key: &[u8]) {
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(key);
    }

    fn finish(self, reply: &mut ReplyWriter<'_>, streams: usize) {
        reply.finish(self.0, streams);
    }
}
