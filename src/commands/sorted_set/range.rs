//! Ranges of members: ZRANGE and what it replaced, ZRANGESTORE.

use super::bounds::{By, Limit, Part};
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::sorted_set::{SortedSet, SortedSetBuilder};
use crate::keyspace::Event;
use crate::resp::request::Args;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZRANGE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)+M) for M members listed of N",
        summary: "Lists the members in a range of positions, of scores or of the alphabet.",
        syntax: "key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        history: &[("6.2.0", "Takes the options `REV`, `BYSCORE`, `BYLEX` and `LIMIT`.")],
        run: Handler::Keys(zrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANGEBYLEX",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)+M) for M members listed of N",
        summary: "Lists the members in an alphabetical range; all must have the same score.",
        syntax: "key min max [LIMIT offset count]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        run: Handler::Keys(zrangebylex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANGEBYSCORE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "1.0.5",
        complexity: "O(log(N)+M) for M members listed of N",
        summary: "Lists the members with scores in a range.",
        syntax: "key min max [WITHSCORES] [LIMIT offset count]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        history: &[("2.0.0", "Takes the option `WITHSCORES`.")],
        run: Handler::Keys(zrangebyscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANGESTORE",
        arity: Arity::at_least(5),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(log(N)+M) for M members stored of N",
        summary: "Stores a range of members as a sorted set in another key.",
        syntax: "dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(OVERWRITE), KeySpec::at(2).access(READ)],
        run: Handler::Keys(zrangestore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)+M) for M members listed of N",
        summary: "Lists the members in a range of positions, from the highest score down.",
        syntax: "key start stop [WITHSCORES]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        run: Handler::Keys(zrevrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGEBYLEX",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)+M) for M members listed of N",
        summary: "Lists the members in an alphabetical range backwards; all must have the same score.",
        syntax: "key max min [LIMIT offset count]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        run: Handler::Keys(zrevrangebylex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGEBYSCORE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "2.2.0",
        complexity: "O(log(N)+M) for M members listed of N",
        summary: "Lists the members with scores in a range, from the highest down.",
        syntax: "key max min [WITHSCORES] [LIMIT offset count]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        history: &[("2.1.6", "Bounds may be excluded.")],
        run: Handler::Keys(zrevrangebyscore),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn zrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Request::parse(ctx.args, 2, Form::default())?)
}

fn zrangebylex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Request::parse(ctx.args, 2, Form { by: Some(By::Lex), reverse: Some(false), store: false })?)
}

fn zrangebyscore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Request::parse(ctx.args, 2, Form { by: Some(By::Score), reverse: Some(false), store: false })?)
}

fn zrangestore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let request = Request::parse(ctx.args, 3, Form { store: true, ..Form::default() })?;
    let limits = &ctx.db.keyspace.env.settings.limits.clone();
    let stored = match super::read(&mut ctx.db, ctx.args.get(2))? {
        Some(set) => {
            let ranks = request.ranks(&set);
            let mut stored = SortedSetBuilder::new(limits, ranks.len());
            // In rising order, whatever was asked for: that is how the result is kept.
            for pair in set.range(ranks, false) {
                pair.member.with_text(|member| stored.push(member, pair.score()));
            }
            Some(stored.finish(limits))
        }
        None => None,
    };
    let count = stored.as_ref().map_or(0, SortedSet::len);
    match stored {
        Some(set) => super::store(&mut ctx.db, ctx.args.get(1), set, Event::ZRANGESTORE),
        None => {
            ctx.db.delete(ctx.args.get(1), Event::DEL);
        }
    }
    ctx.reply.count(count);
    Ok(Flow::Done)
}

fn zrevrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Request::parse(ctx.args, 2, Form { by: Some(By::Rank), reverse: Some(true), store: false })?)
}

fn zrevrangebylex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Request::parse(ctx.args, 2, Form { by: Some(By::Lex), reverse: Some(true), store: false })?)
}

fn zrevrangebyscore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Request::parse(ctx.args, 2, Form { by: Some(By::Score), reverse: Some(true), store: false })?)
}

/// What the command's name leaves open to options.
#[derive(Clone, Copy, Default)]
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
    store: bool,
}

/// Which members, in which order, and how they are shown.
struct Request<'a> {
    part: Part<'a>,
    reverse: bool,
    limit: Limit,
    scores: bool,
}

impl<'a> Request<'a> {
    /// Bounds at the arguments `first` and the one behind it, options after that.
    fn parse(args: Args<'a>, first: usize, form: Form) -> Result<Self, CommandError> {
        let (mut by, mut reverse) = (form.by, form.reverse);
        let (mut limit, mut scores) = (Limit::NONE, false);
        let mut i = first + 2;
        while i < args.len() {
            if !form.store && args.is(i, "WITHSCORES") {
                scores = true;
            } else if args.is(i, "LIMIT") && i + 2 < args.len() {
                limit = Limit { offset: args.i64(i + 1)?, count: args.i64(i + 2)? };
                i += 2;
            } else if reverse.is_none() && args.is(i, "REV") {
                reverse = Some(true);
            } else if by.is_none() && args.is(i, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && args.is(i, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(error::SYNTAX);
            }
            i += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if by == By::Rank && limit.count != -1 {
            return Err(CommandError::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && scores {
            return Err(CommandError::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        // Backwards the upper bound comes first; positions count backwards then, and keep their order.
        let (min, max) = if reverse && by != By::Rank { (first + 1, first) } else { (first, first + 1) };
        Ok(Request { part: Part::parse(args, by, min, max)?, reverse, limit, scores })
    }

    fn ranks(&self, set: &SortedSet) -> std::ops::Range<usize> {
        let ranks = self.part.ranks(set, self.reverse);
        match self.part {
            Part::Ranks(..) => ranks,
            _ => self.limit.apply(ranks, self.reverse, set.is_large()),
        }
    }
}

fn list(ctx: &mut KeysCtx<'_>, request: Request<'_>) -> CommandResult {
    match super::read(&mut ctx.db, ctx.args.get(1))? {
        Some(set) => {
            let ranks = request.ranks(&set);
            super::list_all(&mut ctx.reply, set.range(ranks, request.reverse), request.scores);
        }
        None => ctx.reply.array(0),
    }
    Ok(Flow::Done)
}
