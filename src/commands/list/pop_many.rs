//! From the first of several lists that has something: LMPOP, BLMPOP, BLPOP, BRPOP. They propagate as LPOP or RPOP of the
//! one list.

use super::{end_named, pop_command, pop_one, pop_several, timeout, wait};
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::list::End;
use crate::resp::request::Args;
use std::ops::Range;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BLMPOP",
        arity: Arity::at_least(5),
        since: "7.0.0",
        complexity: "O(N+M) for N keys and M elements taken",
        summary: "Takes elements from the first of several lists that has some; waits for one if none has.",
        syntax: "timeout numkeys key [key ...] <LEFT|RIGHT> [COUNT count]",
        flags: flags(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        keys: &[KeySpec::counted(2).access(TAKE)],
        history: &[],
        run: Handler::Keys(blmpop),
        ..POP
    },
    CommandSpec {
        name: "BLPOP",
        summary: "Takes the first element of the first of several lists that has one; waits for one if none has.",
        run: Handler::Keys(blpop),
        ..POP
    },
    CommandSpec {
        name: "BRPOP",
        summary: "Takes the last element of the first of several lists that has one; waits for one if none has.",
        run: Handler::Keys(brpop),
        ..POP
    },
    CommandSpec {
        name: "LMPOP",
        arity: Arity::at_least(4),
        since: "7.0.0",
        complexity: "O(N+M) for N keys and M elements taken",
        summary: "Takes elements from the first of several lists that has some.",
        syntax: "numkeys key [key ...] <LEFT|RIGHT> [COUNT count]",
        flags: flags(&[Flag::Write, Flag::MovableKeys]),
        keys: &[KeySpec::counted(1).access(TAKE)],
        history: &[],
        run: Handler::Keys(lmpop),
        ..POP
    },
];
const _: () = check(COMMANDS);

/// BLPOP and BRPOP, and what the others share with them.
const POP: CommandSpec = CommandSpec {
    arity: Arity::at_least(3),
    group: Group::List,
    since: "2.0.0",
    complexity: "O(N) for N keys",
    syntax: "key [key ...] timeout",
    flags: flags(&[Flag::Write, Flag::Blocking]),
    acl: categories(&[Category::List]),
    keys: &[KeySpec::range(1, -2, 1).access(TAKE)],
    history: &[("6.0.0", "The timeout may have fractions of seconds.")],
    ..CommandSpec::BASE
};

fn blmpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let request = parse(ctx.args, 2)?;
    let deadline = timeout::deadline(ctx.args, 1, ctx.db.now())?;
    if pop_first(ctx, &request)? { Ok(Flow::Done) } else { wait(ctx, request.keys, deadline) }
}

fn blpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop_or_wait(ctx, End::Front)
}

fn brpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop_or_wait(ctx, End::Back)
}

fn lmpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let request = parse(ctx.args, 1)?;
    if !pop_first(ctx, &request)? {
        ctx.reply.null_array();
    }
    Ok(Flow::Done)
}

fn pop_or_wait(ctx: &mut KeysCtx<'_>, end: End) -> CommandResult {
    let last = ctx.args.len() - 1;
    let deadline = timeout::deadline(ctx.args, last, ctx.db.now())?;
    for i in 1..last {
        let key = ctx.args.get(i);
        let popped = pop_one(ctx, key, end, |reply| {
            reply.array(2);
            reply.bulk(key);
        })?;
        if popped {
            ctx.db.propagate_as([pop_command(end), key]);
            return Ok(Flow::Done);
        }
    }
    wait(ctx, 1..last, deadline)
}

/// What LMPOP and BLMPOP ask for.
struct Request {
    /// Argument positions.
    keys: Range<usize>,
    end: End,
    count: usize,
}

/// Reads `numkeys key [key ...] <LEFT|RIGHT> [COUNT count]` from argument `at` on.
fn parse(args: Args<'_>, at: usize) -> Result<Request, CommandError> {
    let positive = |i: usize, refusal: &'static str| match args.i64(i) {
        Ok(n) if n > 0 => Ok(n as usize),
        _ => Err(CommandError::new(refusal)),
    };
    let keys = at + 1..(at + 1).saturating_add(positive(at, "ERR numkeys should be greater than 0")?);
    if keys.end >= args.len() {
        return Err(error::SYNTAX);
    }
    let end = end_named(args, keys.end)?;
    let mut count = None;
    let mut i = keys.end + 1;
    while i < args.len() {
        if count.is_some() || !args.is(i, "COUNT") || i + 1 == args.len() {
            return Err(error::SYNTAX);
        }
        count = Some(positive(i + 1, "ERR count should be greater than 0")?);
        i += 2;
    }
    Ok(Request { keys, end, count: count.unwrap_or(1) })
}

/// Takes from the first list that there is; false, and nothing written, if there is none.
fn pop_first(ctx: &mut KeysCtx<'_>, request: &Request) -> Result<bool, CommandError> {
    for i in request.keys.clone() {
        let key = ctx.args.get(i);
        let popped = pop_several(ctx, key, request.end, request.count, |reply| {
            reply.array(2);
            reply.bulk(key);
        })?;
        if let Some(taken) = popped {
            let mut count = itoa::Buffer::new();
            ctx.db.propagate_as([pop_command(request.end), key, count.format(taken).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}
