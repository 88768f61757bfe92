//! Counting in a field: HINCRBY and HINCRBYFLOAT.

use super::{WRITER, drop_past};
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::hash::{Deadline, Hash};
use crate::keyspace::Event;
use crate::resp::number::LongDouble;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HINCRBY",
        summary: "Adds an integer to the value of a field; a missing field counts as zero.",
        element: ElementAt::At(2),
        run: Handler::Keys(hincrby),
        ..COUNTER
    },
    CommandSpec {
        name: "HINCRBYFLOAT",
        since: "2.6.0",
        summary: "Adds a number that may have a fraction to the value of a field; a missing field counts as zero.",
        element: ElementAt::At(2),
        run: Handler::Keys(hincrbyfloat),
        ..COUNTER
    },
];
const _: () = check(COMMANDS);

/// What these rows have in common.
const COUNTER: CommandSpec = CommandSpec {
    arity: Arity::exactly(4),
    syntax: "key field increment",
    keys: &[KeySpec::at(1).access(READ_UPDATE)],
    ..WRITER
};

fn hincrby(ctx: &mut KeysCtx<'_>) -> CommandResult {
    const NOT_AN_INTEGER: CommandError = CommandError::new("ERR hash value is not an integer");
    let (key, name) = (ctx.args.get(1), ctx.args.get(2));
    let increment = ctx.args.i64(3)?;
    drop_past(&mut ctx.db, key, name)?;
    let sum = ctx.db.entry(key).edit::<Hash, _>(|hash, env| {
        let old = hash.find(name, |found| found.map_or(Some(0), |found| found.value.as_int()));
        let sum = old.ok_or(NOT_AN_INTEGER).and_then(|old| old.checked_add(increment).ok_or(error::INCR_OVERFLOW));
        if let Ok(sum) = &sum {
            let mut text = itoa::Buffer::new();
            hash.set(name, text.format(*sum).as_bytes(), Deadline::Keep, &env.settings.limits);
        }
        let event = sum.is_ok().then_some(Event::HINCRBY);
        (sum, event)
    })??;
    ctx.reply.integer(sum);
    Ok(Flow::Done)
}

fn hincrbyfloat(ctx: &mut KeysCtx<'_>) -> CommandResult {
    const NOT_A_FLOAT: CommandError = CommandError::new("ERR hash value is not a float");
    const NOT_FINITE: CommandError = CommandError::new("ERR value is NaN or Infinity");
    let (key, name) = (ctx.args.get(1), ctx.args.get(2));
    let increment = LongDouble::parse(ctx.args.get(3)).ok_or(error::NOT_A_FLOAT)?;
    if increment.is_nan() || increment.is_infinite() {
        return Err(NOT_FINITE);
    }
    drop_past(&mut ctx.db, key, name)?;
    let mut lasts = true;
    let text = ctx.db.entry(key).edit::<Hash, _>(|hash, env| {
        let old = hash.find(name, |found| match found {
            None => Some(LongDouble::from(0)),
            Some(found) => {
                lasts = found.deadline.is_none();
                found.value.with_text(LongDouble::parse)
            }
        });
        let sum = match old.map(|old| old + increment) {
            None => return (Err(NOT_A_FLOAT), None),
            Some(sum) if sum.is_nan() || sum.is_infinite() => return (Err(error::INCR_NAN_OR_INFINITY), None),
            Some(sum) => sum,
        };
        let mut text = Vec::with_capacity(32);
        sum.write(&mut text);
        hash.set(name, &text, Deadline::Keep, &env.settings.limits);
        (Ok(text), Some(Event::HINCRBYFLOAT))
    })??;
    // The sum itself, so that nobody has to get the same digits from another addition.
    // Where there is no deadline to keep, in a way that older servers know.
    if lasts {
        ctx.db.propagate_as([&b"HSET"[..], key, name, &text]);
    } else {
        ctx.db.propagate_as([&b"HSETEX"[..], key, b"KEEPTTL", b"FIELDS", b"1", name, &text]);
    }
    ctx.reply.bulk(&text);
    Ok(Flow::Done)
}
