//! Removing members: ZREM, ZREMRANGEBYLEX, ZREMRANGEBYRANK, ZREMRANGEBYSCORE.

use super::bounds::{By, Part};
use crate::command::context::KeysCtx;
use crate::command::spec::*;
use crate::ds::sorted_set::SortedSet;
use crate::keyspace::Event;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZREM",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(M*log(N)) for M members to be removed from N",
        summary: "Removes members from a sorted set, and the key with the last of them.",
        syntax: "key member [member ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        history: &[("2.4.0", "Takes several members.")],
        element: ElementAt::At(2),
        run: Handler::Keys(zrem),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYLEX",
        arity: Arity::exactly(4),
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)+M) for M members removed from N",
        summary: "Removes the members in an alphabetical range; all must have the same score.",
        syntax: "key min max",
        flags: flags(&[Flag::Write]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(zremrangebylex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYRANK",
        arity: Arity::exactly(4),
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)+M) for M members removed from N",
        summary: "Removes the members from one position to another.",
        syntax: "key start stop",
        flags: flags(&[Flag::Write]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(zremrangebyrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYSCORE",
        arity: Arity::exactly(4),
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)+M) for M members removed from N",
        summary: "Removes the members with scores in a range.",
        syntax: "key min max",
        flags: flags(&[Flag::Write]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(zremrangebyscore),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn zrem(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let removed = ctx.db.entry(ctx.args.get(1)).edit_existing::<SortedSet, _>(|set, env| {
        let mut removed = 0_u64;
        for member in ctx.args.from(2) {
            removed += u64::from(set.remove(member).is_some());
            if set.is_empty() {
                break;
            }
        }
        env.effects.more(removed.saturating_sub(1));
        (removed, (removed > 0).then_some(Event::ZREM))
    })?;
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(Flow::Done)
}

fn zremrangebylex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    remove_part(ctx, By::Lex, Event::ZREMRANGEBYLEX)
}

fn zremrangebyrank(ctx: &mut KeysCtx<'_>) -> CommandResult {
    remove_part(ctx, By::Rank, Event::ZREMRANGEBYRANK)
}

fn zremrangebyscore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    remove_part(ctx, By::Score, Event::ZREMRANGEBYSCORE)
}

fn remove_part(ctx: &mut KeysCtx<'_>, by: By, event: Event) -> CommandResult {
    let part = Part::parse(ctx.args, by, 2, 3)?;
    let removed = ctx.db.entry(ctx.args.get(1)).edit_existing::<SortedSet, _>(|set, env| {
        let ranks = part.ranks(set, false);
        let count = ranks.len();
        if count > 0 {
            set.remove_ranks(ranks);
            env.effects.more(count as u64 - 1);
        }
        (count, (count > 0).then_some(event))
    })?;
    ctx.reply.count(removed.unwrap_or(0));
    Ok(Flow::Done)
}
