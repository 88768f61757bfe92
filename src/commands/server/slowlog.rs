//! SLOWLOG: the commands that took longer than `slowlog-log-slower-than`, newest first. COMMANDLOG: the same, and those whose
//! request or reply was large.

use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::resp::number;
use crate::world::commandlog::Remarkable;

const ADMIN: u32 = flags(&[Flag::Admin, Flag::Loading, Flag::Stale]);

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "COMMANDLOG",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "8.1.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about remarkable commands.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMANDLOG|GET",
        arity: Arity::exactly(4),
        group: Group::Server,
        since: "8.1.0",
        complexity: "O(N) where N is the number of entries returned",
        summary: "Tells the latest commands that were slow, or whose request or reply was large.",
        syntax: "count type",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        run: Handler::Server(commandlog_get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMANDLOG|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "8.1.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(commandlog_help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMANDLOG|LEN",
        arity: Arity::exactly(3),
        group: Group::Server,
        since: "8.1.0",
        summary: "Tells how many commands of a type are noted.",
        syntax: "type",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        run: Handler::Server(commandlog_len),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMANDLOG|RESET",
        arity: Arity::exactly(3),
        group: Group::Server,
        since: "8.1.0",
        complexity: "O(N) where N is the number of entries",
        summary: "Forgets the commands of a type.",
        syntax: "type",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Handler::Server(commandlog_reset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SLOWLOG",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "2.2.12",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about slow commands.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SLOWLOG|GET",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "2.2.12",
        complexity: "O(N) where N is the number of entries returned",
        summary: "Tells the latest slow commands.",
        syntax: "[count]",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        history: &[("4.0.0", "Tells the client's address and name.")],
        run: Handler::Server(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SLOWLOG|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "6.2.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SLOWLOG|LEN",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.2.12",
        summary: "Tells how many slow commands are noted.",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        run: Handler::Server(len),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SLOWLOG|RESET",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.2.12",
        complexity: "O(N) where N is the number of entries",
        summary: "Forgets the slow commands.",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Handler::Server(reset),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn commandlog_get(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let count = count(ctx.args.get(2))?;
    let kind = kind(ctx.args.get(3))?;
    tell(ctx, kind, count)
}

fn commandlog_help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "COMMANDLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <count> <type>",
        "    Tell the latest commands of a type (-1: all), each as id, time in seconds since 1970, a figure,",
        "    arguments, address and name of the client. The figure of <type> slow is in microseconds, that of",
        "    large-request and large-reply in bytes.",
        "LEN <type>",
        "    Tell how many are noted.",
        "RESET <type>",
        "    Forget them.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn commandlog_len(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let kind = kind(ctx.args.get(2))?;
    ctx.reply.count(ctx.world.slow.log.entries(kind).len());
    Ok(Flow::Done)
}

fn commandlog_reset(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let kind = kind(ctx.args.get(2))?;
    ctx.world.slow.log.forget(kind);
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The type of entries that a name means.
fn kind(name: &[u8]) -> Result<Remarkable, CommandError> {
    let known = Remarkable::NAMES.iter().find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
    let refusal = CommandError::new("ERR type should be one of the following: slow, large-request, large-reply");
    known.map(|(kind, _)| *kind).ok_or(refusal)
}

/// How many entries are asked for; -1 for all.
fn count(text: &[u8]) -> Result<i64, CommandError> {
    let refusal = CommandError::new("ERR count should be greater than or equal to -1");
    number::parse_i64(text).filter(|n| *n >= -1).ok_or(refusal)
}

fn tell(ctx: &mut ServerCtx<'_>, kind: Remarkable, count: i64) -> CommandResult {
    let entries = ctx.world.slow.log.entries(kind);
    let count = usize::try_from(count).map_or(entries.len(), |count| entries.len().min(count));
    let reply = &mut ctx.reply;
    reply.array(count);
    for entry in entries.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.unix_seconds);
        reply.integer(entry.figure as i64);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(Flow::Done)
}

fn get(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const SHOWN: i64 = 10;
    if ctx.args.len() > 3 {
        return Err(error::wrong_arity(ctx.spec.name));
    }
    let count = ctx.args.opt(2).map_or(Ok(SHOWN), count)?;
    tell(ctx, Remarkable::Slow, count)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Tell the latest slow commands (default: 10, -1: all), each as id, time in seconds since 1970,",
        "    microseconds taken, arguments, address and name of the client.",
        "LEN",
        "    Tell how many are noted.",
        "RESET",
        "    Forget them.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn len(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.count(ctx.world.slow.log.entries(Remarkable::Slow).len());
    Ok(Flow::Done)
}

fn reset(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.world.slow.log.forget(Remarkable::Slow);
    ctx.reply.ok();
    Ok(Flow::Done)
}
