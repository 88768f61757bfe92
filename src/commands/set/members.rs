//! Members one by one, and all of them: SADD, SCARD, SISMEMBER, SMEMBERS, SMISMEMBER, SMOVE, SREM.

use crate::command::context::KeysCtx;
use crate::command::error::{CommandError, WRONGTYPE};
use crate::command::spec::*;
use crate::commands::elements::{Row, bulk};
use crate::ds::parts::element::Element;
use crate::ds::set::{PREFETCH_MAX, Set};
use crate::keyspace::{Event, ValueType};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SADD",
        arity: Arity::at_least(3),
        group: Group::Set,
        complexity: "O(N) for N members given, O(1) for each",
        summary: "Adds members to a set; creates the key if it is missing.",
        syntax: "key member [member ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(INSERT)],
        history: &[("2.4.0", "Takes more than one member.")],
        element: ElementAt::At(2),
        run: Handler::Keys(sadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SCARD",
        arity: Arity::exactly(2),
        group: Group::Set,
        summary: "Counts the members of a set.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(scard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SISMEMBER",
        arity: Arity::exactly(3),
        group: Group::Set,
        summary: "Tells whether something is a member of a set.",
        syntax: "key member",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(LOOK)],
        element: ElementAt::At(2),
        run: Handler::Keys(sismember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMEMBERS",
        arity: Arity::exactly(2),
        group: Group::Set,
        complexity: "O(N) for N members in the set",
        summary: "Tells all members of a set.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(READ)],
        tips: &["nondeterministic_output_order"],
        run: Handler::Keys(smembers),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMISMEMBER",
        arity: Arity::at_least(3),
        group: Group::Set,
        since: "6.2.0",
        complexity: "O(N) for N members asked about",
        summary: "Tells of several things whether they are members of a set.",
        syntax: "key member [member ...]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(READ)],
        element: ElementAt::At(2),
        run: Handler::Keys(smismember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMOVE",
        arity: Arity::exactly(4),
        group: Group::Set,
        summary: "Moves a member from one set to another.",
        syntax: "source destination member",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(TAKE), KeySpec::at(2).access(INSERT)],
        run: Handler::Keys(smove),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SREM",
        arity: Arity::at_least(3),
        group: Group::Set,
        complexity: "O(N) for N members given",
        summary: "Removes members from a set; a set left empty is deleted.",
        syntax: "key member [member ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Set]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        history: &[("2.4.0", "Takes more than one member.")],
        element: ElementAt::At(2),
        run: Handler::Keys(srem),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn sadd(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let added = ctx.db.entry(args.get(1)).edit::<Set, _>(|set, env| {
        let limits = &env.settings.limits;
        set.expect(args.len() - 2, Element::Str(args.get(2)), limits);
        let mut added = 0;
        for i in 2..args.len() {
            if i % PREFETCH_MAX == 2 && i + 1 < args.len() {
                set.prefetch(args.from(i));
            }
            added += set.insert(Element::Str(args.get(i)), limits) as u64;
        }
        env.effects.more(added.saturating_sub(1));
        (added, (added > 0).then_some(Event::SADD))
    })?;
    ctx.reply.integer(added as i64);
    Ok(Flow::Done)
}

fn scard(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let count = read(ctx, |set| set.map_or(0, Set::len))?;
    ctx.reply.count(count);
    Ok(Flow::Done)
}

fn sismember(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let member = Element::Str(ctx.args.get(2));
    let found = read(ctx, |set| set.is_some_and(|set| set.contains(member)))?;
    ctx.reply.integer(found as i64);
    Ok(Flow::Done)
}

fn smembers(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        ctx.reply.set(0);
        return Ok(Flow::Done);
    };
    let set = entry.into_lent::<Set>().ok_or(WRONGTYPE)?;
    ctx.reply.set(set.len());
    match set.packed() {
        Some(members) => members.visit_all(&mut Row::new(&mut ctx.reply)),
        None => set.each(|member| bulk(&mut ctx.reply, member)),
    }
    Ok(Flow::Done)
}

fn smismember(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let entry = ctx.db.read(args.get(1));
    let set = entry.map(|entry| entry.into_lent::<Set>().ok_or(WRONGTYPE)).transpose()?;
    ctx.reply.array(args.len() - 2);
    for i in 2..args.len() {
        let found = set.as_ref().is_some_and(|set| {
            if i % PREFETCH_MAX == 2 && i + 1 < args.len() {
                set.prefetch(args.from(i));
            }
            set.contains(Element::Str(args.get(i)))
        });
        ctx.reply.integer(found as i64);
    }
    Ok(Flow::Done)
}

fn smove(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (source, destination) = (ctx.args.get(1), ctx.args.get(2));
    let member = Element::Str(ctx.args.get(3));
    let from = ctx.db.entry(source);
    if !from.exists() {
        ctx.reply.integer(0);
        return Ok(Flow::Done);
    }
    from.expect(ValueType::Set)?;
    ctx.db.entry(destination).expect(ValueType::Set)?;
    let from = ctx.db.entry(source);
    let moved = if source == destination {
        from.value::<Set>()?.is_some_and(|set| set.contains(member))
    } else {
        let removed = from.edit_existing::<Set, _>(|set, _| {
            let removed = set.remove(member);
            (removed, removed.then_some(Event::SREM))
        })?;
        removed == Some(true)
    };
    if moved && source != destination {
        ctx.db.entry(destination).edit::<Set, _>(|set, env| {
            let limits = &env.settings.limits;
            set.expect(1, member, limits);
            ((), set.insert(member, limits).then_some(Event::SADD))
        })?;
    }
    ctx.reply.integer(moved as i64);
    Ok(Flow::Done)
}

fn srem(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let removed = ctx.db.entry(args.get(1)).edit_existing::<Set, _>(|set, env| {
        let mut removed = 0;
        for i in 2..args.len() {
            if i % PREFETCH_MAX == 2 && i + 1 < args.len() {
                set.prefetch(args.from(i));
            }
            removed += set.remove(Element::Str(args.get(i))) as u64;
        }
        env.effects.more(removed.saturating_sub(1));
        (removed, (removed > 0).then_some(Event::SREM))
    })?;
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(Flow::Done)
}

/// Lends the set under the key that comes first, if there is one, to `f`.
fn read<R>(ctx: &mut KeysCtx<'_>, f: impl FnOnce(Option<&Set>) -> R) -> Result<R, CommandError> {
    match ctx.db.read(ctx.args.get(1)) {
        None => Ok(f(None)),
        Some(entry) => Ok(f(Some(&*entry.into_lent::<Set>().ok_or(WRONGTYPE)?))),
    }
}
