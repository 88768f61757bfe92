//! Taking members out from either end: BZMPOP, BZPOPMAX, BZPOPMIN, ZMPOP, ZPOPMAX, ZPOPMIN.

use crate::command::context::{BlockOn, KeysCtx};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::commands::list::timeout::deadline;
use crate::ds::sorted_set::SortedSet;
use crate::keyspace::Event;
use crate::resp::request::Args;
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BZMPOP",
        arity: Arity::at_least(5),
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(K)+O(M*log(N)) for K keys and M members taken out of N",
        summary: "Takes out members with the lowest or highest scores of the first key that has any; waits if none has.",
        syntax: "timeout numkeys key [key ...] <MIN|MAX> [COUNT count]",
        flags: flags(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::counted(2).access(TAKE)],
        run: Handler::Keys(bzmpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BZPOPMAX",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Takes out the member with the highest score of the first key that has any; waits if none has.",
        syntax: "key [key ...] timeout",
        flags: flags(&[Flag::Write, Flag::Fast, Flag::Blocking]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::range(1, -2, 1).access(TAKE)],
        history: &[("6.0.0", "The timeout may have a fraction.")],
        run: Handler::Keys(bzpopmax),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BZPOPMIN",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Takes out the member with the lowest score of the first key that has any; waits if none has.",
        syntax: "key [key ...] timeout",
        flags: flags(&[Flag::Write, Flag::Fast, Flag::Blocking]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::range(1, -2, 1).access(TAKE)],
        history: &[("6.0.0", "The timeout may have a fraction.")],
        run: Handler::Keys(bzpopmin),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZMPOP",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(K)+O(M*log(N)) for K keys and M members taken out of N",
        summary: "Takes out members with the lowest or highest scores of the first key that has any.",
        syntax: "numkeys key [key ...] <MIN|MAX> [COUNT count]",
        flags: flags(&[Flag::Write, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::counted(1).access(TAKE)],
        run: Handler::Keys(zmpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZPOPMAX",
        arity: Arity::at_least(2),
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)*M) for M members taken out of N",
        summary: "Takes out the members with the highest scores.",
        syntax: "key [count]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(TAKE)],
        run: Handler::Keys(zpopmax),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZPOPMIN",
        arity: Arity::at_least(2),
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)*M) for M members taken out of N",
        summary: "Takes out the members with the lowest scores.",
        syntax: "key [count]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(TAKE)],
        run: Handler::Keys(zpopmin),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn bzmpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let request = Many::parse(ctx.args, 2)?;
    let deadline = deadline(ctx.args, 1, ctx.db.now())?;
    if pop_first(ctx, &request)? {
        return Ok(Flow::Done);
    }
    wait(ctx, request.keys, deadline)
}

fn bzpopmax(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop_or_wait(ctx, End::Max)
}

fn bzpopmin(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop_or_wait(ctx, End::Min)
}

fn zmpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let request = Many::parse(ctx.args, 1)?;
    if !pop_first(ctx, &request)? {
        ctx.reply.null_array();
    }
    Ok(Flow::Done)
}

fn zpopmax(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop(ctx, End::Max)
}

fn zpopmin(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop(ctx, End::Min)
}

/// The end from which members are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    fn event(self) -> Event {
        match self {
            End::Min => Event::ZPOPMIN,
            End::Max => Event::ZPOPMAX,
        }
    }

    /// The command that takes from this end without conditions: what replicas are told.
    fn command(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }
}

/// How the members taken out are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Members and scores in turn, whatever the protocol.
    Flat,
    /// The key, then members and scores in turn.
    KeyedFlat,
    /// Pairs where the protocol is RESP3.
    Pairs,
    /// The key and a list of pairs.
    KeyedPairs,
}

/// Takes up to `count` members out of a sorted set and writes them; returns how many. Writes nothing if there are none.
fn take(ctx: &mut KeysCtx<'_>, key: &[u8], end: End, count: usize, shape: Shape) -> Result<usize, CommandError> {
    let reply = &mut ctx.reply;
    let taken = ctx.db.entry(key).edit_existing::<SortedSet, _>(|set, env| {
        let count = count.min(set.len());
        if count == 0 {
            return (0, None);
        }
        let reverse = end == End::Max;
        let ranks = if reverse { set.len() - count..set.len() } else { 0..count };
        match shape {
            Shape::Flat => reply.array(2 * count),
            Shape::Pairs => super::list(reply, count, true),
            Shape::KeyedFlat => {
                reply.array(2 * count + 1);
                reply.bulk(key);
            }
            Shape::KeyedPairs => {
                reply.array(2);
                reply.bulk(key);
                reply.array(count);
            }
        }
        let paired = shape == Shape::KeyedPairs || (shape == Shape::Pairs && reply.is_resp3());
        for pair in set.range(ranks.clone(), reverse) {
            if paired {
                reply.array(2);
            }
            bulk(reply, pair.member);
            reply.double(pair.score());
        }
        set.remove_ranks(ranks);
        env.effects.more(count as u64 - 1);
        (count, Some(end.event()))
    })?;
    Ok(taken.unwrap_or(0))
}

fn pop(ctx: &mut KeysCtx<'_>, end: End) -> CommandResult {
    if ctx.args.len() > 3 {
        return Err(error::SYNTAX);
    }
    let (count, shape) = match ctx.args.opt(2) {
        Some(_) => (ctx.args.i64(2).ok().filter(|n| *n >= 0).ok_or(error::MUST_BE_POSITIVE)?, Shape::Pairs),
        None => (1, Shape::Flat),
    };
    if take(ctx, ctx.args.get(1), end, usize::try_from(count).unwrap_or(usize::MAX), shape)? == 0 {
        ctx.reply.array(0);
    }
    Ok(Flow::Done)
}

fn pop_or_wait(ctx: &mut KeysCtx<'_>, end: End) -> CommandResult {
    let timeout_at = ctx.args.len() - 1;
    let deadline = deadline(ctx.args, timeout_at, ctx.db.now())?;
    for at in 1..timeout_at {
        let key = ctx.args.get(at);
        if take(ctx, key, end, 1, Shape::KeyedFlat)? > 0 {
            ctx.db.propagate_as([end.command(), key]);
            return Ok(Flow::Done);
        }
    }
    wait(ctx, 1..timeout_at, deadline)
}

/// A request to take from the first of several keys that has members.
struct Many {
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

impl Many {
    /// `numkeys key [key …] <MIN|MAX> [COUNT count]` from argument `at` on.
    fn parse(args: Args<'_>, at: usize) -> Result<Self, CommandError> {
        let positive = |i: usize, refusal| match args.i64(i) {
            Ok(n) if n > 0 => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
            _ => Err(refusal),
        };
        let keys = positive(at, CommandError::new("ERR numkeys should be greater than 0"))?;
        let end_at = keys.checked_add(at + 1).filter(|i| *i < args.len()).ok_or(error::SYNTAX)?;
        let end = match () {
            () if args.is(end_at, "MIN") => End::Min,
            () if args.is(end_at, "MAX") => End::Max,
            () => return Err(error::SYNTAX),
        };
        let count = match args.len() - end_at - 1 {
            0 => 1,
            1 => return Err(error::SYNTAX),
            _ if !args.is(end_at + 1, "COUNT") => return Err(error::SYNTAX),
            more => {
                let count = positive(end_at + 2, CommandError::new("ERR count should be greater than 0"))?;
                if more > 2 {
                    return Err(error::SYNTAX);
                }
                count
            }
        };
        Ok(Many { keys: at + 1..end_at, end, count })
    }
}

/// Takes from the first key that has members; false if none has.
fn pop_first(ctx: &mut KeysCtx<'_>, request: &Many) -> Result<bool, CommandError> {
    for at in request.keys.clone() {
        let key = ctx.args.get(at);
        let taken = take(ctx, key, request.end, request.count, Shape::KeyedPairs)?;
        if taken > 0 {
            ctx.db.propagate_as([request.end.command(), key, itoa::Buffer::new().format(taken).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits for any of the keys; answers at once where nobody may wait.
fn wait(ctx: &mut KeysCtx<'_>, keys: std::ops::Range<usize>, deadline: Option<UnixMillis>) -> CommandResult {
    if !ctx.may_block {
        ctx.reply.null_array();
        return Ok(Flow::Done);
    }
    *ctx.block = Some(BlockOn { keys: keys.collect(), deadline, ..BlockOn::default() });
    Ok(Flow::Block)
}
