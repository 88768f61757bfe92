//! SLOWLOG: the commands that took longer than `slowlog-log-slower-than`, newest first.

use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::number;

const ADMIN: u32 = flags(&[Flag::Admin, Flag::Loading, Flag::Stale]);

pub(super) const COMMANDS: &[CommandSpec] = &[
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

fn get(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const SHOWN: i64 = 10;
    if ctx.args.len() > 3 {
        return Err(crate::command::error::wrong_arity(ctx.spec.name));
    }
    let count = match ctx.args.opt(2) {
        None => SHOWN,
        Some(text) => number::parse_i64(text)
            .filter(|n| *n >= -1)
            .ok_or(CommandError::new("ERR count should be greater than or equal to -1"))?,
    };
    let entries = &ctx.world.slow.entries;
    let count = if count == -1 { entries.len() } else { entries.len().min(count as usize) };
    let reply = &mut ctx.reply;
    reply.array(count);
    for entry in entries.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.unix_seconds);
        reply.integer(entry.micros as i64);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(Flow::Done)
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
    ctx.reply.count(ctx.world.slow.entries.len());
    Ok(Flow::Done)
}

fn reset(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.world.slow.entries.clear();
    ctx.reply.ok();
    Ok(Flow::Done)
}
