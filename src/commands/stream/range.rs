//! Reading entries between two ids: XRANGE, XREVRANGE.

use super::{find, range_end, range_start, write_entries};
use crate::command::context::KeysCtx;
use crate::command::error;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XRANGE",
        summary: "Reads the entries between two ids, the oldest first.",
        syntax: "key start end [COUNT count]",
        run: Handler::Keys(xrange),
        ..READING
    },
    CommandSpec {
        name: "XREVRANGE",
        summary: "Reads the entries between two ids, the newest first.",
        syntax: "key end start [COUNT count]",
        run: Handler::Keys(xrevrange),
        ..READING
    },
];
const _: () = check(COMMANDS);

/// What both rows have in common.
const READING: CommandSpec = CommandSpec {
    arity: Arity::at_least(4),
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) with N entries answered; O(1) if COUNT bounds them",
    flags: flags(&[Flag::ReadOnly]),
    acl: categories(&[Category::Stream]),
    keys: &[KeySpec::at(1)],
    history: &[("6.2.0", "An id behind `(` is left out.")],
    ..CommandSpec::BASE
};

fn xrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    range(ctx, false)
}

fn xrevrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    range(ctx, true)
}

fn range(ctx: &mut KeysCtx<'_>, reverse: bool) -> CommandResult {
    let args = ctx.args;
    let (start_at, end_at) = if reverse { (3, 2) } else { (2, 3) };
    let start = range_start(args.get(start_at))?;
    let end = range_end(args.get(end_at))?;
    let mut count = None;
    let mut i = 4;
    while i < args.len() {
        if !args.is(i, "COUNT") || i + 1 == args.len() {
            return Err(error::SYNTAX);
        }
        count = Some(args.i64(i + 1)?.max(0) as usize);
        i += 2;
    }
    match find(&mut ctx.db, args.get(1))? {
        None => ctx.reply.array(0),
        Some(_) if count == Some(0) => ctx.reply.null_array(),
        Some(stream) => write_entries(&mut ctx.reply, stream.range(start, end, reverse), count.unwrap_or(0)),
    }
    Ok(Flow::Done)
}
