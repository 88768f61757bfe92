//! Entries that were delivered and not acknowledged: XACK, XAUTOCLAIM, XCLAIM, XPENDING.

use super::read::consumer;
use super::{GroupName, expect_group, find, id, no_group, range_end, range_start, shown, write_entry, write_id};
use crate::command::args::Args;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::stream::{ConsumerId, Group as ConsumerGroup, Nack, Stream, StreamId, StreamValue};
use crate::keyspace::db::Env;
use crate::resp::number;
use crate::resp::reply::ReplyWriter;
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XACK",
        arity: Arity::at_least(4),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(1) per id",
        summary: "Acknowledges entries and tells how many of them were pending.",
        syntax: "key group id [id ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        run: Handler::Keys(xack),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XAUTOCLAIM",
        arity: Arity::at_least(6),
        group: Group::Stream,
        since: "6.2.0",
        complexity: "O(1) if COUNT is small",
        summary: "Gives a consumer the entries that have been pending for long, as by XCLAIM, walking through all of them.",
        syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        tips: &["nondeterministic_output"],
        history: &[("7.0.0", "Drops deleted entries and answers with their ids.")],
        run: Handler::Keys(xautoclaim),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XCLAIM",
        arity: Arity::at_least(6),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(log N) with N pending entries of the group",
        summary: "Gives a consumer entries that are pending for another one.",
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        tips: &["nondeterministic_output"],
        run: Handler::Keys(xclaim),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XPENDING",
        arity: Arity::at_least(3),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(N) with N entries answered; O(M) for the overview, with M consumers",
        summary: "Tells which entries of a group are pending.",
        syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1)],
        tips: &["nondeterministic_output"],
        history: &[("6.2.0", "Takes `IDLE`; an id behind `(` is left out.")],
        run: Handler::Keys(xpending),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn xack(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, name) = (ctx.args.get(1), ctx.args.get(2));
    // Without a group nothing can be pending: ids that are none are fine then.
    if !find(&mut ctx.db, key)?.is_some_and(|stream| stream.groups.contains_key(name)) {
        ctx.reply.integer(0);
        return Ok(Flow::Done);
    }
    let ids = ctx.args.from(3).map(|text| id(text, 0)).collect::<Result<Vec<_>, _>>()?;
    let acknowledged = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, env| {
        let group = stream.groups.get_mut(name);
        let count = group.map_or(0, |group| ids.iter().filter(|id| group.ack(**id)).count());
        env.effects.more(count as u64);
        (count, None)
    })?;
    ctx.reply.count(acknowledged.unwrap_or(0));
    Ok(Flow::Done)
}

fn xautoclaim(ctx: &mut KeysCtx<'_>) -> CommandResult {
    /// Entries looked at for each that is wanted.
    const ATTEMPTS: i64 = 10;
    /// The limit of the original, which reserved memory for as many ids; here it only bounds the arithmetic.
    const COUNT_MAX: i64 = i64::MAX / 16;
    const BAD_COUNT: CommandError = CommandError::new("ERR COUNT must be > 0");

    let args = ctx.args;
    let (key, group) = (args.get(1), args.get(2));
    let min_idle = min_idle(args, "XAUTOCLAIM")?;
    let start = range_start(args.get(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut i = 6;
    while i < args.len() {
        if args.is(i, "COUNT") && i + 1 < args.len() {
            i += 1;
            count = number::parse_i64(args.get(i)).filter(|n| (1..=COUNT_MAX).contains(n)).ok_or(BAD_COUNT)?;
        } else if args.is(i, "JUSTID") {
            just_id = true;
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    expect_group(&mut ctx.db, key, group)?;
    let name = GroupName { db: ctx.db.index, key, group };
    claim_with(ctx, name, |reply, stream, group, owner, env| {
        let now = env.now();
        let (mut left, mut attempts) = (count, count * ATTEMPTS);
        let (mut claimed, mut gone) = (Vec::new(), Vec::new());
        let mut next = Some(start);
        while let Some(from) = next
            && let Some((&id, &nack)) = group.pending().range(from..).next()
        {
            if attempts == 0 || left == 0 {
                next = Some(id);
                break;
            }
            attempts -= 1;
            next = id.next();
            if stream.get(id).is_none() {
                forget(name, group, id, &nack, env);
                gone.push(id);
                left -= 1;
            } else if min_idle == 0 || now.saturating_sub(nack.delivered_at) >= min_idle {
                let deliveries = nack.deliveries.saturating_add(!just_id as u64);
                take(name, group, id, Nack { delivered_at: now, deliveries, consumer: owner }, env);
                claimed.push(id);
                left -= 1;
            }
        }
        reply.array(3);
        write_id(reply, next.filter(|from| group.pending().range(*from..).next().is_some()).unwrap_or(StreamId::MIN));
        reply.array(claimed.len());
        for id in claimed {
            match stream.get(id) {
                Some(entry) if !just_id => write_entry(reply, &entry),
                _ => write_id(reply, id),
            }
        }
        reply.array(gone.len());
        gone.into_iter().for_each(|id| write_id(reply, id));
    })
}

fn xclaim(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let (key, group) = (args.get(1), args.get(2));
    expect_group(&mut ctx.db, key, group)?;
    let min_idle = min_idle(args, "XCLAIM")?;
    // Ids end where an option begins.
    let ids: Vec<StreamId> = args.from(5).map_while(|text| id(text, 0).ok()).collect();
    let options = ClaimOptions::parse(args, 5 + ids.len(), ctx.db.now())?;
    let name = GroupName { db: ctx.db.index, key, group };
    claim_with(ctx, name, |reply, stream, group, owner, env| {
        let now = env.now();
        let mut tell_last_id = options.last_id > group.last_id;
        if tell_last_id {
            group.last_id = options.last_id;
        }
        let list = reply.array_deferred();
        let mut claimed = 0;
        for id in ids {
            let nack = group.pending().get(&id).copied();
            let Some(entry) = stream.get(id) else {
                if let Some(nack) = nack {
                    forget(name, group, id, &nack, env);
                    tell_last_id = false;
                }
                continue;
            };
            let deliveries = match nack {
                Some(nack) if min_idle > 0 && now.saturating_sub(nack.delivered_at) < min_idle => continue,
                Some(nack) => nack.deliveries,
                None if options.force => 1,
                None => continue,
            };
            let deliveries = options.deliveries.unwrap_or(deliveries.saturating_add(!options.just_id as u64));
            take(name, group, id, Nack { delivered_at: options.delivered_at, deliveries, consumer: owner }, env);
            tell_last_id = false;
            if options.just_id {
                write_id(reply, id)
            } else {
                write_entry(reply, &entry)
            }
            claimed += 1;
        }
        reply.finish(list, claimed);
        if tell_last_id {
            name.propagate_last_id(&mut env.effects, group);
            env.effects.more(1);
        }
    })
}

/// Runs `f` on a group that exists, for a consumer that is created if it is missing. What propagates is up to `f`.
fn claim_with(
    ctx: &mut KeysCtx<'_>,
    name: GroupName<'_>,
    f: impl FnOnce(&mut ReplyWriter<'_>, &Stream, &mut ConsumerGroup, ConsumerId, &mut Env),
) -> CommandResult {
    let who = ctx.args.get(3);
    let reply = &mut ctx.reply;
    let dirty = ctx.db.keyspace.env.effects.dirty;
    let done = ctx.db.entry(name.key).edit_existing::<StreamValue, _>(|stream, env| {
        let done = stream.with_group(name.group, |stream, group| {
            consumer(name, group, who, env).map(|(owner, _)| f(reply, stream, group, owner, env))
        });
        (done.flatten(), None)
    })?;
    done.flatten().ok_or_else(|| no_group(name.key, name.group))?;
    let effects = &mut ctx.db.keyspace.env.effects;
    if effects.dirty != dirty {
        effects.propagate_nothing();
    }
    Ok(Flow::Done)
}

/// Makes an entry pending for a consumer that was active thereby.
fn take(name: GroupName<'_>, group: &mut ConsumerGroup, id: StreamId, nack: Nack, env: &mut Env) {
    group.assign(id, nack);
    group.consumer_mut(nack.consumer).active_at = Some(env.now());
    name.propagate_claim(&mut env.effects, group, id, &nack);
    env.effects.more(1);
}

/// Drops a pending entry that was deleted from the stream. To claim it does the same wherever that is propagated to.
fn forget(name: GroupName<'_>, group: &mut ConsumerGroup, id: StreamId, nack: &Nack, env: &mut Env) {
    name.propagate_claim(&mut env.effects, group, id, nack);
    group.ack(id);
    env.effects.more(1);
}

fn min_idle(args: Args<'_>, command: &str) -> Result<i64, CommandError> {
    let value = number::parse_i64(args.get(4));
    let value = value.ok_or_else(|| CommandError::text(format!("ERR Invalid min-idle-time argument for {command}")))?;
    Ok(value.max(0))
}

/// The options of XCLAIM.
struct ClaimOptions {
    delivered_at: UnixMillis,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    /// Reads the options from argument `i` on.
    fn parse(args: Args<'_>, mut i: usize, now: UnixMillis) -> Result<ClaimOptions, CommandError> {
        let number = |i: usize, name: &str| {
            let text = || CommandError::text(format!("ERR Invalid {name} option argument for XCLAIM"));
            number::parse_i64(args.get(i)).ok_or_else(text)
        };
        let mut options =
            ClaimOptions { delivered_at: now, deliveries: None, force: false, just_id: false, last_id: StreamId::MIN };
        let mut delivered_at = None;
        while i < args.len() {
            let more = i + 1 < args.len();
            let has_value = match () {
                () if args.is(i, "FORCE") => {
                    options.force = true;
                    false
                }
                () if args.is(i, "JUSTID") => {
                    options.just_id = true;
                    false
                }
                () if more && args.is(i, "IDLE") => {
                    delivered_at = Some(now.saturating_sub(number(i + 1, "IDLE")?));
                    true
                }
                () if more && args.is(i, "TIME") => {
                    delivered_at = Some(number(i + 1, "TIME")?);
                    true
                }
                () if more && args.is(i, "RETRYCOUNT") => {
                    options.deliveries = u64::try_from(number(i + 1, "RETRYCOUNT")?).ok();
                    true
                }
                () if more && args.is(i, "LASTID") => {
                    options.last_id = id(args.get(i + 1), 0)?;
                    true
                }
                () => {
                    let text: [&[u8]; 3] = [b"ERR Unrecognized XCLAIM option '", shown(args.get(i)), b"'"];
                    return Err(CommandError::bytes(text.concat()));
                }
            };
            i += 1 + has_value as usize;
        }
        // Times that cannot be are those of clients whose clocks differ: no reason to refuse the claim.
        options.delivered_at = delivered_at.filter(|at| (0..=now).contains(at)).unwrap_or(now);
        Ok(options)
    }
}

fn xpending(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let (key, name) = (args.get(1), args.get(2));
    let filter = match args.len() {
        3 => None,
        6..=9 => Some(Filter::parse(args)?),
        _ => return Err(error::SYNTAX),
    };
    let now = ctx.db.now();
    let stream = find(&mut ctx.db, key)?;
    let Some(group) = stream.as_ref().and_then(|stream| stream.groups.get(name)) else {
        return Err(no_group(key, name));
    };
    match filter {
        None => write_overview(&mut ctx.reply, group),
        Some(filter) => filter.write(&mut ctx.reply, group, now),
    }
    Ok(Flow::Done)
}

/// How many entries are pending, the first and last of them, and how many each consumer has.
fn write_overview(reply: &mut ReplyWriter<'_>, group: &ConsumerGroup) {
    let pending = group.pending();
    reply.array(4);
    reply.count(pending.len());
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, *first);
    write_id(reply, *last);
    let busy = || group.consumers().map(|(_, consumer)| consumer).filter(|consumer| !consumer.pending().is_empty());
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(&consumer.name);
        reply.bulk_integer(consumer.pending().len() as i64);
    }
}

/// Which pending entries XPENDING shows.
struct Filter<'a> {
    min_idle: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, CommandError> {
        let (mut min_idle, mut first) = (0, 3);
        if args.is(3, "IDLE") {
            min_idle = args.i64(4)?;
            if args.len() < 8 {
                return Err(error::SYNTAX);
            }
            first = 5;
        }
        let count = args.i64(first + 2)?.max(0) as usize;
        let start = range_start(args.get(first))?;
        let end = range_end(args.get(first + 1))?;
        Ok(Filter { min_idle, start, end, count, consumer: args.opt(first + 3) })
    }

    fn write(&self, reply: &mut ReplyWriter<'_>, group: &ConsumerGroup, now: UnixMillis) {
        if self.start > self.end {
            return reply.array(0);
        }
        let all = group.pending();
        match self.consumer {
            None => self.write_each(reply, group, now, all.range(self.start..=self.end)),
            Some(name) => {
                let consumer = group.find(name).map(|id| group.consumer(id));
                let ids = consumer.into_iter().flat_map(|consumer| consumer.pending().range(self.start..=self.end));
                self.write_each(reply, group, now, ids.filter_map(|id| all.get_key_value(id)));
            }
        }
    }

    fn write_each<'e>(
        &self,
        reply: &mut ReplyWriter<'_>,
        group: &ConsumerGroup,
        now: UnixMillis,
        pending: impl Iterator<Item = (&'e StreamId, &'e Nack)>,
    ) {
        let idle = |nack: &Nack| now.saturating_sub(nack.delivered_at);
        let list = reply.array_deferred();
        let mut written = 0;
        for (id, nack) in pending.filter(|(_, nack)| self.min_idle == 0 || idle(nack) >= self.min_idle).take(self.count) {
            reply.array(4);
            write_id(reply, *id);
            reply.bulk(&group.consumer(nack.consumer).name);
            reply.integer(idle(nack).max(0));
            reply.integer(nack.deliveries as i64);
            written += 1;
        }
        reply.finish(list, written);
    }
}
