//! Members by chance: SPOP, SRANDMEMBER.
//!
//! What chance took propagates as SREM of these members, so that a replica or a log replayed later loses the same ones.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError, WRONGTYPE};
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::ds::set::Set;
use crate::keyspace::Event;
use crate::resp::request::OwnedRequest;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SPOP",
        arity: Arity::at_least(2),
        group: Group::Set,
        complexity: "O(1); O(N) for a count of N",
        summary: "Removes and tells random members of a set; a set left empty is deleted.",
        syntax: "key [count]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(TAKE)],
        tips: &["nondeterministic_output"],
        history: &[("3.2.0", "Takes a count.")],
        run: Handler::Keys(spop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SRANDMEMBER",
        arity: Arity::at_least(2),
        group: Group::Set,
        complexity: "O(1); O(N) for a count of N or -N",
        summary: "Tells random members of a set.",
        syntax: "key [count]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(READ)],
        tips: &["nondeterministic_output"],
        history: &[("2.6.0", "Takes a count.")],
        run: Handler::Keys(srandmember),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn spop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    match ctx.args.len() {
        2 => {}
        3 => return spop_many(ctx),
        _ => return Err(error::SYNTAX),
    }
    let (key, index) = (ctx.args.get(1), ctx.db.index);
    let reply = &mut ctx.reply;
    let popped = ctx.db.entry(key).edit_existing::<Set, _>(|set, env| {
        let effects = &mut env.effects;
        let popped = set.pop(&mut || env.rng.next_u64(), |member| {
            bulk(reply, member);
            effects.propagate_as(index, || member.with_text(|text| OwnedRequest::build([&b"SREM"[..], key, text])));
        });
        ((), popped.map(|()| Event::SPOP))
    })?;
    if popped.is_none() {
        ctx.reply.null();
    }
    Ok(Flow::Done)
}

fn spop_many(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, index) = (ctx.args.get(1), ctx.db.index);
    let count = ctx.args.i64(2).ok().and_then(|n| usize::try_from(n).ok()).ok_or(error::MUST_BE_POSITIVE)?;
    let entry = ctx.db.entry(key);
    let found = entry.value::<Set>()?;
    let len = found.as_ref().map_or(0, |set| set.len());
    let reply = &mut ctx.reply;
    reply.set(count.min(len));
    if count == 0 || len == 0 {
        return Ok(Flow::Done);
    }
    if count >= len {
        if let Some(set) = found {
            set.each(|member| bulk(reply, member));
        }
        let lazily = ctx.db.keyspace.env.settings.lazyfree_server_del;
        ctx.db.keyspace.delete(index, key, lazily, Event::SPOP);
        ctx.db.keyspace.env.effects.went_away(index, key, Event::DEL);
        ctx.db.keyspace.env.effects.more(len as u64 - 1);
        ctx.db.propagate_as([if lazily { &b"UNLINK"[..] } else { b"DEL" }, key]);
        return Ok(Flow::Done);
    }
    /// Members in one propagated SREM, so that no request becomes huge.
    const BATCH: usize = 1024;
    ctx.db.entry(key).edit_existing::<Set, _>(|set, env| {
        let streaming = env.effects.streaming;
        let (mut requests, mut pending) = (Vec::new(), 0);
        set.pop_many(count, &env.settings.limits, &mut || env.rng.next_u64(), |member| {
            bulk(reply, member);
            if !streaming {
                return;
            }
            if pending == 0 {
                requests.push(OwnedRequest::build([&b"SREM"[..], key]));
            }
            if let Some(request) = requests.last_mut() {
                member.with_text(|text| request.push(text));
            }
            pending = (pending + 1) % BATCH;
        });
        env.effects.propagate_nothing();
        for request in requests {
            env.effects.propagate_as(index, || request);
        }
        env.effects.more(count as u64 - 1);
        ((), Some(Event::SPOP))
    })?;
    Ok(Flow::Done)
}

fn srandmember(ctx: &mut KeysCtx<'_>) -> CommandResult {
    const OUT_OF_RANGE: CommandError =
        CommandError::new("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    let count = match ctx.args.len() {
        2 => None,
        3 => Some(ctx.args.i64(2)?),
        _ => return Err(error::SYNTAX),
    };
    /// Most members chosen with repeats, as for HRANDFIELD.
    const REPEATS_MAX: i64 = 1 << 26;
    if count == Some(i64::MIN) {
        return Err(OUT_OF_RANGE);
    }
    if count.is_some_and(|count| count < -REPEATS_MAX) && !ctx.reply.is_limited() {
        return Err(error::OUT_OF_RANGE);
    }
    let key = ctx.args.get(1);
    let found = match ctx.db.read(key) {
        Some(entry) if entry.lend::<Set>().is_none() => return Err(WRONGTYPE),
        found => found.is_some(),
    };
    // Looked up again, because chance is the keyspace's as well.
    let (db, env) = ctx.db.keyspace.db_mut(ctx.db.index);
    let mut random = || env.rng.next_u64();
    let entry = if found { db.table.get(db.table.hash(key), key) } else { None };
    let set = entry.and_then(|entry| entry.into_lent::<Set>());
    let reply = &mut ctx.reply;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) | (Some(_), Some(0)) => reply.array(0),
        (Some(set), None) => {
            set.random(&mut random, |member| bulk(reply, member));
        }
        (Some(set), Some(count @ 1..)) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
            reply.array(count);
            set.sample(count, &mut random, |member| bulk(reply, member));
        }
        (Some(set), Some(count)) => {
            reply.array(count.unsigned_abs() as usize);
            set.sample_repeating(count.unsigned_abs(), &mut random, |member| bulk(reply, member));
        }
    }
    Ok(Flow::Done)
}
