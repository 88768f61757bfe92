//! Reading and writing single fields: HSET and its old forms, HGET, HMGET, HDEL, and what there is to know of a field.

use super::{READER, WRITER, drop_past, hash_of};
use crate::command::context::KeysCtx;
use crate::command::error;
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::ds::hash::{Deadline, Found, Hash};
use crate::keyspace::Event;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HDEL",
        arity: Arity::at_least(3),
        complexity: "O(N) for N fields to remove",
        summary: "Removes fields from a hash, and the hash with its last field.",
        syntax: "key field [field ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        history: &[("2.4.0", "Takes several fields.")],
        element: ElementAt::At(2),
        run: Handler::Keys(hdel),
        ..WRITER
    },
    CommandSpec {
        name: "HEXISTS",
        arity: Arity::exactly(3),
        summary: "Tells whether a hash has a field.",
        syntax: "key field",
        keys: &[KeySpec::at(1).access(LOOK)],
        element: ElementAt::At(2),
        run: Handler::Keys(hexists),
        ..READER
    },
    CommandSpec {
        name: "HGET",
        arity: Arity::exactly(3),
        summary: "Tells the value of a field.",
        syntax: "key field",
        element: ElementAt::At(2),
        run: Handler::Keys(hget),
        ..READER
    },
    CommandSpec {
        name: "HLEN",
        arity: Arity::exactly(2),
        summary: "Tells how many fields a hash has.",
        syntax: "key",
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(hlen),
        ..READER
    },
    CommandSpec {
        name: "HMGET",
        arity: Arity::at_least(3),
        complexity: "O(N) for N fields asked for",
        summary: "Tells the values of several fields.",
        syntax: "key field [field ...]",
        element: ElementAt::At(2),
        run: Handler::Keys(hmget),
        ..READER
    },
    CommandSpec {
        name: "HMSET",
        arity: Arity::at_least(4),
        complexity: "O(N) for N fields to set",
        summary: "Sets several fields.",
        syntax: "key field value [field value ...]",
        deprecated: Some(("4.0.0", "`HSET` with several fields")),
        element: ElementAt::At(2),
        run: Handler::Keys(hmset),
        ..WRITER
    },
    CommandSpec {
        name: "HSET",
        arity: Arity::at_least(4),
        complexity: "O(N) for N fields to set",
        summary: "Sets fields to values; creates the hash if it is missing.",
        syntax: "key field value [field value ...]",
        history: &[("4.0.0", "Takes several fields.")],
        element: ElementAt::At(2),
        run: Handler::Keys(hset),
        ..WRITER
    },
    CommandSpec {
        name: "HSETNX",
        arity: Arity::exactly(4),
        summary: "Sets a field if it is missing.",
        syntax: "key field value",
        keys: &[KeySpec::at(1).access(INSERT)],
        element: ElementAt::At(2),
        run: Handler::Keys(hsetnx),
        ..WRITER
    },
    CommandSpec {
        name: "HSTRLEN",
        arity: Arity::exactly(3),
        since: "3.2.0",
        summary: "Tells the length of the value of a field in bytes.",
        syntax: "key field",
        keys: &[KeySpec::at(1).access(LOOK)],
        element: ElementAt::At(2),
        run: Handler::Keys(hstrlen),
        ..READER
    },
];
const _: () = check(COMMANDS);

fn hdel(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let names = ctx.args.from(2);
    let removed = ctx.db.entry(ctx.args.get(1)).edit_existing::<Hash, _>(|hash, env| {
        let removed = names.filter(|name| hash.remove(name)).count();
        env.effects.more(removed.saturating_sub(1) as u64);
        (removed, (removed > 0).then_some(Event::HDEL))
    })?;
    ctx.reply.count(removed.unwrap_or(0));
    Ok(Flow::Done)
}

fn hexists(ctx: &mut KeysCtx<'_>) -> CommandResult {
    look(ctx, |reply, found| reply.integer(found.is_some() as i64))
}

fn hget(ctx: &mut KeysCtx<'_>) -> CommandResult {
    look(ctx, |reply, found| match found {
        Some(found) => bulk(reply, found.value),
        None => reply.null(),
    })
}

fn hlen(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let len = match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => hash_of(entry)?.len(),
        None => 0,
    };
    ctx.reply.count(len);
    Ok(Flow::Done)
}

fn hmget(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    let names = ctx.args.from(2);
    let now = ctx.db.now();
    let mut past = false;
    match ctx.db.read(key) {
        Some(entry) => {
            let hash = hash_of(entry)?;
            ctx.reply.array(names.len());
            for name in names.clone() {
                hash.find(name, |found| match found {
                    Some(found) if !found.is_past(now) => bulk(&mut ctx.reply, found.value),
                    found => {
                        past |= found.is_some();
                        ctx.reply.null();
                    }
                });
            }
        }
        None => {
            ctx.reply.array(names.len());
            for _ in names.clone() {
                ctx.reply.null();
            }
        }
    }
    if past {
        ctx.db.entry(key).expire_named(names);
    }
    Ok(Flow::Done)
}

fn hmset(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set(ctx)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn hset(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let created = set(ctx)?;
    ctx.reply.count(created);
    Ok(Flow::Done)
}

fn hsetnx(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, name, value) = (ctx.args.get(1), ctx.args.get(2), ctx.args.get(3));
    drop_past(&mut ctx.db, key, name)?;
    let is_new = ctx.db.entry(key).edit::<Hash, _>(|hash, env| {
        let is_new = hash.find(name, |found| found.is_none());
        if is_new {
            hash.set(name, value, Deadline::Drop, &env.settings.limits);
        }
        (is_new, is_new.then_some(Event::HSET))
    })?;
    ctx.reply.integer(is_new as i64);
    Ok(Flow::Done)
}

fn hstrlen(ctx: &mut KeysCtx<'_>) -> CommandResult {
    look(ctx, |reply, found| reply.count(found.map_or(0, |found| found.value.text_len())))
}

/// Sets the fields of HSET and HMSET; returns how many were new.
#[inline]
fn set(ctx: &mut KeysCtx<'_>) -> Result<usize, crate::command::error::CommandError> {
    let args = ctx.args;
    if args.len() % 2 == 1 {
        return Err(error::wrong_arity(ctx.spec.name));
    }
    let fields = (args.len() - 2) / 2;
    let created = ctx.db.entry(args.get(1)).edit::<Hash, _>(|hash, env| {
        let limits = &env.settings.limits;
        if fields > 1 {
            hash.expect_more(fields, limits);
        }
        let mut created = 0;
        for i in 0..fields {
            created += hash.set(args.get(2 + 2 * i), args.get(3 + 2 * i), Deadline::Drop, limits) as usize;
        }
        env.effects.more(fields as u64 - 1);
        (created, Some(Event::HSET))
    })?;
    Ok(created)
}

/// Answers what `tell` makes of the field of a request; of none if the field is missing or past its deadline.
#[inline]
fn look(ctx: &mut KeysCtx<'_>, tell: impl FnOnce(&mut crate::resp::reply::ReplyWriter<'_>, Option<Found<'_>>)) -> CommandResult {
    let (key, name) = (ctx.args.get(1), ctx.args.get(2));
    let now = ctx.db.now();
    let past = match ctx.db.read(key) {
        Some(entry) => hash_of(entry)?.find(name, |found| {
            let past = found.is_some_and(|found| found.is_past(now));
            tell(&mut ctx.reply, found.filter(|_| !past));
            past
        }),
        None => {
            tell(&mut ctx.reply, None);
            false
        }
    };
    if past {
        ctx.db.entry(key).expire_named(std::iter::once(name));
    }
    Ok(Flow::Done)
}
