//! Inside a list, by index or by value: LINDEX, LINSERT, LPOS, LRANGE, LREM, LSET, LTRIM.

use super::element;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::elements::{Row, bulk};
use crate::ds::list::{End, List};
use crate::ds::parts::element::Element;
use crate::keyspace::Event;
use crate::keyspace::value::ValueType;
use crate::resp::request::Args;
use std::ops::Range;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LINDEX",
        arity: Arity::exactly(3),
        complexity: "O(N) for N elements between the index and the nearer end",
        summary: "Tells the element at an index of a list.",
        syntax: "key index",
        flags: flags(&[Flag::ReadOnly]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(lindex),
        ..LIST
    },
    CommandSpec {
        name: "LINSERT",
        arity: Arity::exactly(5),
        since: "2.2.0",
        complexity: "O(N) for N elements before the pivot",
        summary: "Puts an element before or after the first one that equals a pivot.",
        syntax: "key <BEFORE|AFTER> pivot element",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::at(1).access(INSERT)],
        run: Handler::Keys(linsert),
        ..LIST
    },
    CommandSpec {
        name: "LPOS",
        arity: Arity::at_least(3),
        since: "6.0.6",
        complexity: "O(N) for N elements looked at: all of the list at most, or `MAXLEN`",
        summary: "Tells at which indices of a list an element is.",
        syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        flags: flags(&[Flag::ReadOnly]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(lpos),
        ..LIST
    },
    CommandSpec {
        name: "LRANGE",
        arity: Arity::exactly(4),
        complexity: "O(S+N) for N elements told and S between the start and the nearer end",
        summary: "Tells the elements between two indices of a list.",
        syntax: "key start stop",
        flags: flags(&[Flag::ReadOnly]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(lrange),
        ..LIST
    },
    CommandSpec {
        name: "LREM",
        arity: Arity::exactly(4),
        complexity: "O(N+M) for a list of N elements and M removed",
        summary: "Removes elements that equal a value; a list left empty is deleted.",
        syntax: "key count element",
        flags: flags(&[Flag::Write]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(lrem),
        ..LIST
    },
    CommandSpec {
        name: "LSET",
        arity: Arity::exactly(4),
        complexity: "O(N) for N elements between the index and the nearer end",
        summary: "Replaces the element at an index of a list.",
        syntax: "key index element",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        run: Handler::Keys(lset),
        ..LIST
    },
    CommandSpec {
        name: "LTRIM",
        arity: Arity::exactly(4),
        complexity: "O(N) for N elements removed",
        summary: "Removes what is outside of two indices of a list; a list left empty is deleted.",
        syntax: "key start stop",
        flags: flags(&[Flag::Write]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(ltrim),
        ..LIST
    },
];
const _: () = check(COMMANDS);

/// What the rows have in common.
const LIST: CommandSpec = CommandSpec { group: Group::List, acl: categories(&[Category::List]), ..CommandSpec::BASE };

fn lindex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        ctx.reply.null();
        return Ok(Flow::Done);
    };
    let list = entry.into_lent::<List>().ok_or(error::WRONGTYPE)?;
    let index = ctx.args.i64(2)?;
    if list.get(index, |element| bulk(&mut ctx.reply, element)).is_none() {
        ctx.reply.null();
    }
    Ok(Flow::Done)
}

fn linsert(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let after = match (ctx.args.is(2, "AFTER"), ctx.args.is(2, "BEFORE")) {
        (true, _) => true,
        (_, true) => false,
        _ => return Err(error::SYNTAX),
    };
    let (pivot, added) = (Element::Str(ctx.args.get(3)), element(ctx.args, 4)?);
    let len = ctx.db.entry(ctx.args.get(1)).edit_existing::<List, _>(|list, env| {
        // Before it is known whether the pivot is there, as the original does.
        list.grow(added.text_len(), 1, &env.settings.limits);
        match list.insert_beside(pivot, after, added) {
            true => (list.len() as i64, Some(Event::LINSERT)),
            false => (-1, None),
        }
    })?;
    ctx.reply.integer(len.unwrap_or(0));
    Ok(Flow::Done)
}

struct LposOptions {
    rank: i64,
    count: Option<usize>,
    compare_max: usize,
}

fn lpos(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let options = parse_lpos(ctx.args)?;
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        match options.count {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null(),
        }
        return Ok(Flow::Done);
    };
    let list = entry.into_lent::<List>().ok_or(error::WRONGTYPE)?;
    let wanted = Element::Str(ctx.args.get(2));
    let end = if options.rank < 0 { End::Back } else { End::Front };
    let skip = usize::try_from(options.rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    match options.count {
        None => {
            let mut found = None;
            list.positions(wanted, end, skip, options.compare_max, |index| {
                found = Some(index);
                false
            });
            match found {
                Some(index) => ctx.reply.count(index),
                None => ctx.reply.null(),
            }
        }
        Some(most) => {
            let (array, mut found) = (ctx.reply.array_deferred(), 0);
            list.positions(wanted, end, skip, options.compare_max, |index| {
                ctx.reply.count(index);
                found += 1;
                found != most
            });
            ctx.reply.finish(array, found);
        }
    }
    Ok(Flow::Done)
}

fn lrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (start, stop) = (ctx.args.i64(2)?, ctx.args.i64(3)?);
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        ctx.reply.array(0);
        return Ok(Flow::Done);
    };
    let list = entry.into_lent::<List>().ok_or(error::WRONGTYPE)?;
    let range = within(start, stop, list.len());
    ctx.reply.array(range.len());
    list.visit_range(range.start, range.len(), &mut Row::new(&mut ctx.reply));
    Ok(Flow::Done)
}

fn lrem(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (count, value) = (symmetric(ctx.args, 2)?, Element::Str(ctx.args.get(3)));
    let removed = ctx.db.entry(ctx.args.get(1)).edit_existing::<List, _>(|list, env| {
        let removed = list.remove(value, count);
        if removed == 0 {
            return (0, None);
        }
        list.shrink(&env.settings.limits);
        env.effects.more(removed as u64 - 1);
        (removed, Some(Event::LREM))
    })?;
    ctx.reply.count(removed.unwrap_or(0));
    Ok(Flow::Done)
}

fn lset(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let place = ctx.db.entry(ctx.args.get(1));
    if !place.exists() {
        return Err(error::NO_SUCH_KEY);
    }
    place.expect(ValueType::List)?;
    let (index, value) = (ctx.args.i64(2)?, element(ctx.args, 3)?);
    let set = place.edit_existing::<List, _>(|list, env| {
        list.grow(value.text_len(), 1, &env.settings.limits);
        let set = list.set(index, value);
        if set {
            list.shrink(&env.settings.limits);
        }
        (set, set.then_some(Event::LSET))
    })?;
    if set != Some(true) {
        return Err(error::INDEX_OUT_OF_RANGE);
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn ltrim(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (start, stop) = (ctx.args.i64(2)?, ctx.args.i64(3)?);
    let (key, index) = (ctx.args.get(1), ctx.db.index);
    ctx.db.entry(key).edit_existing::<List, _>(|list, env| {
        let len = list.len();
        let kept = within(start, stop, len);
        if kept.len() == len {
            // Nothing to propagate, but listeners hear of it, as they do from the original.
            env.effects.modified_too(index, key, Event::LTRIM, true);
            return ((), None);
        }
        list.cut(End::Back, len - kept.end);
        list.cut(End::Front, kept.start);
        list.shrink(&env.settings.limits);
        env.effects.more((len - kept.len()) as u64 - 1);
        ((), Some(Event::LTRIM))
    })?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The range between two indices, both included, negative ones counted from the end. Empty ranges start at 0.
fn within(start: i64, stop: i64, len: usize) -> Range<usize> {
    let end = len as i64;
    let absolute = |index: i64| if index < 0 { index.saturating_add(end) } else { index };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(end - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// Argument `i` as an integer whose negative is one, too.
fn symmetric(args: Args<'_>, i: usize) -> Result<i64, CommandError> {
    match args.i64(i)? {
        i64::MIN => {
            Err(CommandError::new("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"))
        }
        n => Ok(n),
    }
}

fn parse_lpos(args: Args<'_>) -> Result<LposOptions, CommandError> {
    let mut options = LposOptions { rank: 1, count: None, compare_max: usize::MAX };
    for i in (3..args.len()).step_by(2) {
        if i + 1 == args.len() {
            return Err(error::SYNTAX);
        }
        let positive = |refusal: &'static str| args.non_negative(i + 1).map_err(|_| CommandError::new(refusal));
        if args.is(i, "RANK") {
            options.rank = symmetric(args, i + 1)?;
            if options.rank == 0 {
                return Err(CommandError::new(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
                ));
            }
        } else if args.is(i, "COUNT") {
            options.count = Some(positive("ERR COUNT can't be negative")? as usize);
        } else if args.is(i, "MAXLEN") {
            options.compare_max = match positive("ERR MAXLEN can't be negative")? {
                0 => usize::MAX,
                most => most as usize,
            };
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok(options)
}
