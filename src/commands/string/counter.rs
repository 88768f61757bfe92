//! Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.
//!
//! An integer is kept as one word inside its entry, so counting up is one lookup and one store. Sums with a fraction are
//! those of the extended format of 80 bits, in which 0.1 and 0.2 make 0.3, and leave as the SET of their text: replicas and
//! the log need not agree on rounding.

use crate::command::context::KeysCtx;
use crate::command::error;
use crate::command::spec::*;
use crate::keyspace::{Event, Str};
use crate::resp::number::LongDouble;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DECR",
        arity: Arity::exactly(2),
        group: Group::String,
        summary: "Takes one from the integer value of a key; a missing key counts as zero.",
        syntax: "key",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(decr),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DECRBY",
        arity: Arity::exactly(3),
        group: Group::String,
        summary: "Takes a number from the integer value of a key; a missing key counts as zero.",
        syntax: "key decrement",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(decrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCR",
        arity: Arity::exactly(2),
        group: Group::String,
        summary: "Adds one to the integer value of a key; a missing key counts as zero.",
        syntax: "key",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(incr),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCRBY",
        arity: Arity::exactly(3),
        group: Group::String,
        summary: "Adds a number to the integer value of a key; a missing key counts as zero.",
        syntax: "key increment",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(incrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCRBYFLOAT",
        arity: Arity::exactly(3),
        group: Group::String,
        since: "2.6.0",
        summary: "Adds a number that may have a fraction to the value of a key; a missing key counts as zero.",
        syntax: "key increment",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(incrbyfloat),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn decr(ctx: &mut KeysCtx<'_>) -> CommandResult {
    add(ctx, -1)
}

fn decrby(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let decrement = ctx.args.i64(2)?.checked_neg().ok_or(error::DECR_OVERFLOW)?;
    add(ctx, decrement)
}

fn incr(ctx: &mut KeysCtx<'_>) -> CommandResult {
    add(ctx, 1)
}

fn incrby(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let increment = ctx.args.i64(2)?;
    add(ctx, increment)
}

fn incrbyfloat(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    let entry = ctx.db.entry(key);
    let old = entry.with_string(|old| match old {
        None => Some(LongDouble::from(0)),
        Some(Str::Int(n)) => Some(LongDouble::from(n)),
        Some(text) => LongDouble::parse(text.text(&mut itoa::Buffer::new())),
    })?;
    let old = old.ok_or(error::NOT_A_FLOAT)?;
    let sum = old + LongDouble::parse(ctx.args.get(2)).ok_or(error::NOT_A_FLOAT)?;
    if sum.is_nan() || sum.is_infinite() {
        return Err(error::INCR_NAN_OR_INFINITY);
    }
    let mut text = Vec::with_capacity(32);
    sum.write(&mut text);
    // As text even if it spells an integer: so it is called embstr and not int.
    entry.put_string(&text, false, Event::INCRBYFLOAT);
    ctx.db.propagate_as([&b"SET"[..], key, &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    Ok(Flow::Done)
}

#[inline]
fn add(ctx: &mut KeysCtx<'_>, increment: i64) -> CommandResult {
    let entry = ctx.db.entry(ctx.args.get(1));
    let old = entry.with_string(|old| old.map_or(Some(0), |text| text.to_i64()))?;
    let old = old.ok_or(error::NOT_AN_INTEGER)?;
    let sum = old.checked_add(increment).ok_or(error::INCR_OVERFLOW)?;
    entry.put_int(sum, Event::INCRBY);
    ctx.reply.integer(sum);
    Ok(Flow::Done)
}
