//! Intersections, unions and differences: told, counted or stored.

use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError, WRONGTYPE};
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::ds::object::Typed;
use crate::ds::set::{self, Set};
use crate::keyspace::db::discard;
use crate::keyspace::value::type_of;
use crate::keyspace::{Entry, Event, Keyspace, ValueType};
use crate::raw::entry::Lent;
use crate::types::DbIndex;
use std::ops::ControlFlow;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SDIFF",
        complexity: "O(N) for N members in all sets together",
        summary: "Tells the members of the first set that none of the others has.",
        run: Handler::Keys(sdiff),
        ..TOLD
    },
    CommandSpec {
        name: "SDIFFSTORE",
        complexity: "O(N) for N members in all sets together",
        summary: "Stores the members of the first set that none of the others has.",
        run: Handler::Keys(sdiffstore),
        ..STORED
    },
    CommandSpec {
        name: "SINTER",
        complexity: "O(N*M) at worst, for N members in the smallest of M sets",
        summary: "Tells the members that all sets have.",
        run: Handler::Keys(sinter),
        ..TOLD
    },
    CommandSpec {
        name: "SINTERCARD",
        arity: Arity::at_least(3),
        since: "7.0.0",
        complexity: "O(N*M) at worst, for N members in the smallest of M sets",
        summary: "Counts the members that all sets have, up to a limit.",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        flags: flags(&[Flag::ReadOnly, Flag::MovableKeys]),
        keys: &[KeySpec::counted(1)],
        tips: &[],
        run: Handler::Keys(sintercard),
        ..TOLD
    },
    CommandSpec {
        name: "SINTERSTORE",
        complexity: "O(N*M) at worst, for N members in the smallest of M sets",
        summary: "Stores the members that all sets have.",
        run: Handler::Keys(sinterstore),
        ..STORED
    },
    CommandSpec {
        name: "SUNION",
        complexity: "O(N) for N members in all sets together",
        summary: "Tells the members of all sets.",
        run: Handler::Keys(sunion),
        ..TOLD
    },
    CommandSpec {
        name: "SUNIONSTORE",
        complexity: "O(N) for N members in all sets together",
        summary: "Stores the members of all sets.",
        run: Handler::Keys(sunionstore),
        ..STORED
    },
];
const _: () = check(COMMANDS);

/// What the rows that tell have in common.
const TOLD: CommandSpec = CommandSpec {
    arity: Arity::at_least(2),
    group: Group::Set,
    syntax: "key [key ...]",
    flags: flags(&[Flag::ReadOnly]),
    acl: categories(&[Category::Set]),
    keys: &[KeySpec::range(1, -1, 1)],
    tips: &["nondeterministic_output_order"],
    ..CommandSpec::BASE
};

/// What the rows that store have in common.
const STORED: CommandSpec = CommandSpec {
    arity: Arity::at_least(3),
    group: Group::Set,
    syntax: "destination key [key ...]",
    flags: flags(&[Flag::Write, Flag::DenyOom]),
    acl: categories(&[Category::Set]),
    keys: &[KeySpec::at(1).access(OVERWRITE), KeySpec::range(2, -1, 1)],
    ..CommandSpec::BASE
};

fn sdiff(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = ctx.args.from(1);
    look_up(&mut ctx.db, keys.clone())?;
    let keyspace = &*ctx.db.keyspace;
    let list = ctx.reply.set_deferred();
    let mut told = 0;
    with_difference(keyspace, ctx.db.index, keys, |first, others| {
        set::subtract(first, others, &keyspace.env.settings.limits, |member| {
            bulk(&mut ctx.reply, member);
            told += 1;
        });
    });
    ctx.reply.finish(list, told);
    Ok(Flow::Done)
}

fn sdiffstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = ctx.args.from(2);
    look_up(&mut ctx.db, keys.clone())?;
    let keyspace = &*ctx.db.keyspace;
    let limits = &keyspace.env.settings.limits;
    let made = with_difference(keyspace, ctx.db.index, keys, |first, others| set::difference(first, others, limits));
    store(ctx, made, Event::SDIFFSTORE)
}

fn sinter(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = ctx.args.from(1);
    look_up(&mut ctx.db, keys.clone())?;
    let list = ctx.reply.set_deferred();
    let mut told = 0;
    if let Some(lent) = all_of(ctx.db.keyspace, ctx.db.index, keys) {
        set::intersect(&mut borrow(&lent), |member| {
            bulk(&mut ctx.reply, member);
            told += 1;
            ControlFlow::Continue(())
        });
    }
    ctx.reply.finish(list, told);
    Ok(Flow::Done)
}

fn sintercard(ctx: &mut KeysCtx<'_>) -> CommandResult {
    const NO_KEYS: CommandError = CommandError::new("ERR numkeys should be greater than 0");
    const TOO_MANY_KEYS: CommandError = CommandError::new("ERR Number of keys can't be greater than number of args");
    const NEGATIVE_LIMIT: CommandError = CommandError::new("ERR LIMIT can't be negative");
    let args = ctx.args;
    let count = args.i64(1).ok().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0).ok_or(NO_KEYS)?;
    if count > args.len() - 2 {
        return Err(TOO_MANY_KEYS);
    }
    let mut limit = 0;
    let mut i = 2 + count;
    while i < args.len() {
        if !args.is(i, "LIMIT") || i + 1 == args.len() {
            return Err(error::SYNTAX);
        }
        limit = args.i64(i + 1).ok().and_then(|n| u64::try_from(n).ok()).ok_or(NEGATIVE_LIMIT)?;
        i += 2;
    }
    let keys = args.from(2).take(count);
    look_up(&mut ctx.db, keys.clone())?;
    let mut counted = 0;
    if let Some(lent) = all_of(ctx.db.keyspace, ctx.db.index, keys) {
        set::intersect(&mut borrow(&lent), |_| {
            counted += 1;
            // A limit of 0 is none, and is never reached.
            if counted == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    ctx.reply.integer(counted as i64);
    Ok(Flow::Done)
}

fn sinterstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = ctx.args.from(2);
    look_up(&mut ctx.db, keys.clone())?;
    let limits = &ctx.db.keyspace.env.settings.limits;
    let lent = all_of(ctx.db.keyspace, ctx.db.index, keys);
    let made = lent.map(|lent| set::intersection(&mut borrow(&lent), limits));
    store(ctx, made, Event::SINTERSTORE)
}

fn sunion(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = ctx.args.from(1);
    look_up(&mut ctx.db, keys.clone())?;
    let list = ctx.reply.set_deferred();
    let mut told = 0;
    let lent = existing(ctx.db.keyspace, ctx.db.index, keys);
    set::unite(&borrow(&lent), &ctx.db.keyspace.env.settings.limits, |member| {
        bulk(&mut ctx.reply, member);
        told += 1;
    });
    ctx.reply.finish(list, told);
    Ok(Flow::Done)
}

fn sunionstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = ctx.args.from(2);
    look_up(&mut ctx.db, keys.clone())?;
    let lent = existing(ctx.db.keyspace, ctx.db.index, keys);
    let made = set::union(&borrow(&lent), &ctx.db.keyspace.env.settings.limits);
    store(ctx, Some(made), Event::SUNIONSTORE)
}

/// Looks the keys up as reads, with all that goes with it, and refuses those that hold something else than a set. What is
/// left afterwards may be borrowed together.
fn look_up<'k>(db: &mut Selected<'_>, keys: impl Iterator<Item = &'k [u8]> + Clone) -> Result<(), CommandError> {
    db.keyspace.prefetch(db.index, keys.clone());
    for key in keys {
        if let Some(entry) = db.read(key)
            && type_of(&entry) != ValueType::Set
        {
            return Err(WRONGTYPE);
        }
    }
    Ok(())
}

/// The set under a key that `look_up` has seen.
fn lend<'a>(keyspace: &'a Keyspace, index: DbIndex, key: &[u8]) -> Option<Lent<'a, Set>> {
    let table = &keyspace.db(index).table;
    table.get(table.hash(key), key)?.into_lent::<Set>()
}

/// The sets under these keys; missing ones are left out.
fn existing<'a, 'k>(keyspace: &'a Keyspace, index: DbIndex, keys: impl Iterator<Item = &'k [u8]>) -> Vec<Lent<'a, Set>> {
    keys.filter_map(|key| lend(keyspace, index, key)).collect()
}

/// The sets under these keys, if none is missing.
fn all_of<'a, 'k>(keyspace: &'a Keyspace, index: DbIndex, keys: impl Iterator<Item = &'k [u8]>) -> Option<Vec<Lent<'a, Set>>> {
    keys.map(|key| lend(keyspace, index, key)).collect()
}

fn borrow<'a>(lent: &'a [Lent<'_, Set>]) -> Vec<&'a Set> {
    lent.iter().map(|set| &**set).collect()
}

/// Calls `f` with the set under the first key and those under the others. `None` where the difference is empty for sure: the
/// first key is missing, or comes again.
fn with_difference<'k, R>(
    keyspace: &Keyspace,
    index: DbIndex,
    mut keys: impl Iterator<Item = &'k [u8]> + Clone,
    f: impl FnOnce(&Set, &mut [&Set]) -> R,
) -> Option<R> {
    let first_key = keys.next()?;
    let first = lend(keyspace, index, first_key)?;
    if keys.clone().any(|key| key == first_key) {
        return None;
    }
    let others = existing(keyspace, index, keys);
    Some(f(&first, &mut borrow(&others)))
}

/// Puts a set in place of whatever the destination holds; an empty one, or none, deletes it.
fn store(ctx: &mut KeysCtx<'_>, set: Option<Set>, event: Event) -> CommandResult {
    let destination = ctx.args.get(1);
    let len = set.as_ref().map_or(0, Set::len);
    match set.filter(|_| len > 0) {
        Some(set) => {
            let mut entry = Entry::with_value(destination, None, set.into_value());
            entry.set_clock(ctx.db.keyspace.env.fresh_clock());
            if let Some(old) = ctx.db.entry(destination).put_entry(entry, event) {
                let lazily = ctx.db.keyspace.env.settings.lazyfree_server_del;
                discard(&mut ctx.db.keyspace.env, old, lazily);
            }
        }
        None => {
            ctx.db.delete(destination, Event::DEL);
        }
    }
    ctx.reply.count(len);
    Ok(Flow::Done)
}
