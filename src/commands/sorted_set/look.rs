//! Asking about members: ZCARD, ZCOUNT, ZLEXCOUNT, ZMSCORE, ZRANK, ZREVRANK, ZSCORE.

use super::bounds::{By, Part};
use crate::command::context::KeysCtx;
use crate::command::error;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZCARD",
        arity: Arity::exactly(2),
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Counts the members of a sorted set.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(zcard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZCOUNT",
        arity: Arity::exactly(4),
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Counts the members with scores in a range.",
        syntax: "key min max",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(zcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZLEXCOUNT",
        arity: Arity::exactly(4),
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Counts the members in an alphabetical range; all must have the same score.",
        syntax: "key min max",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(zlexcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZMSCORE",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N) for N members asked about",
        summary: "Tells the scores of some members.",
        syntax: "key member [member ...]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        element: ElementAt::At(2),
        run: Handler::Keys(zmscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANK",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Tells the position of a member, counted from the lowest score.",
        syntax: "key member [WITHSCORE]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        history: &[("7.2.0", "Takes the option `WITHSCORE`.")],
        element: ElementAt::At(2),
        run: Handler::Keys(zrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANK",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Tells the position of a member, counted from the highest score.",
        syntax: "key member [WITHSCORE]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        history: &[("7.2.0", "Takes the option `WITHSCORE`.")],
        element: ElementAt::At(2),
        run: Handler::Keys(zrevrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZSCORE",
        arity: Arity::exactly(3),
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Tells the score of a member.",
        syntax: "key member",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        element: ElementAt::At(2),
        run: Handler::Keys(zscore),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn zcard(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let len = super::read(&mut ctx.db, ctx.args.get(1))?.map_or(0, |set| set.len());
    ctx.reply.count(len);
    Ok(Flow::Done)
}

fn zcount(ctx: &mut KeysCtx<'_>) -> CommandResult {
    count(ctx, By::Score)
}

fn zlexcount(ctx: &mut KeysCtx<'_>) -> CommandResult {
    count(ctx, By::Lex)
}

fn count(ctx: &mut KeysCtx<'_>, by: By) -> CommandResult {
    let part = Part::parse(ctx.args, by, 2, 3)?;
    let count = super::read(&mut ctx.db, ctx.args.get(1))?.map_or(0, |set| part.ranks(&set, false).len());
    ctx.reply.count(count);
    Ok(Flow::Done)
}

fn zmscore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let set = super::read(&mut ctx.db, ctx.args.get(1))?;
    let members = ctx.args.from(2);
    ctx.reply.array(members.len());
    for member in members {
        match set.as_ref().and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(Flow::Done)
}

fn zrank(ctx: &mut KeysCtx<'_>) -> CommandResult {
    rank(ctx, false)
}

fn zrevrank(ctx: &mut KeysCtx<'_>) -> CommandResult {
    rank(ctx, true)
}

fn rank(ctx: &mut KeysCtx<'_>, reverse: bool) -> CommandResult {
    if ctx.args.len() > 4 {
        return Err(error::wrong_arity(ctx.spec.name));
    }
    let with_score = ctx.args.len() == 4;
    if with_score && !ctx.args.is(3, "WITHSCORE") {
        return Err(error::SYNTAX);
    }
    let found = super::read(&mut ctx.db, ctx.args.get(1))?.and_then(|set| set.rank(ctx.args.get(2), reverse));
    match found {
        Some((rank, score)) if with_score => {
            ctx.reply.array(2);
            ctx.reply.count(rank);
            ctx.reply.double(score);
        }
        Some((rank, _)) => ctx.reply.count(rank),
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

fn zscore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    match super::read(&mut ctx.db, ctx.args.get(1))?.and_then(|set| set.score(ctx.args.get(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}
