//! The scripts that the server knows: SCRIPT.

use super::{BASE, NOT_FORKED, is_flush_mode, kill};
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::scripting::Purpose;
use crate::scripting::cache::parse_sha;
use crate::session::Debugging;

const TO_ALL: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SCRIPT",
        arity: Arity::at_least(2),
        since: "2.6.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about scripts.",
        flags: 0,
        acl: 0,
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|DEBUG",
        arity: Arity::exactly(3),
        since: "3.2.0",
        summary: "Has the client's next script debugged.",
        syntax: "<YES|SYNC|NO>",
        run: Handler::Server(debug),
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|EXISTS",
        arity: Arity::at_least(3),
        since: "2.6.0",
        complexity: "O(N) where N is the number of digests",
        summary: "Tells which scripts the server knows.",
        syntax: "sha1 [sha1 ...]",
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        run: Handler::Server(exists),
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|FLUSH",
        arity: Arity::at_least(2),
        since: "2.6.0",
        complexity: "O(N) where N is the number of scripts",
        summary: "Forgets all scripts.",
        syntax: "[ASYNC|SYNC]",
        tips: TO_ALL,
        history: &[("6.2.0", "Knows `ASYNC` and `SYNC`.")],
        run: Handler::Server(flush),
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|HELP",
        arity: Arity::exactly(2),
        since: "5.0.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|KILL",
        arity: Arity::exactly(2),
        since: "2.6.0",
        summary: "Ends the script that runs, unless it has written.",
        flags: flags(&[Flag::NoScript, Flag::AllowBusy]),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Handler::Server(script_kill),
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|LOAD",
        arity: Arity::exactly(3),
        since: "2.6.0",
        complexity: "O(N) where N is the length of the script",
        summary: "Makes a script known without running it.",
        syntax: "script",
        flags: flags(&[Flag::NoScript, Flag::Stale]),
        tips: TO_ALL,
        run: Handler::Server(load),
        ..BASE
    },
    CommandSpec {
        name: "SCRIPT|SHOW",
        arity: Arity::exactly(3),
        since: "8.0.0",
        summary: "Shows the text of a script that the server knows.",
        syntax: "sha1",
        flags: flags(&[Flag::NoScript, Flag::Stale]),
        run: Handler::Server(show),
        ..BASE
    },
];
const _: () = check(COMMANDS);

fn debug(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let debugging = match () {
        () if ctx.args.is(2, "NO") => Debugging::No,
        () if ctx.args.is(2, "SYNC") => Debugging::Sync,
        () if ctx.args.is(2, "YES") => {
            // redis-cli does not look at this answer and sends the script, which must not run as if nothing had been asked for.
            ctx.session.debugging = Debugging::Refused;
            return Err(NOT_FORKED);
        }
        () => return Err(CommandError::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    };
    ctx.session.debugging = debugging;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn exists(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.array(ctx.args.len() - 2);
    for text in ctx.args.from(2) {
        let known = parse_sha(text).is_some_and(|sha| sha == *text && ctx.world.scripting.cache.get(&sha).is_some());
        ctx.reply.integer(known as i64);
    }
    Ok(Flow::Done)
}

fn flush(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if !is_flush_mode(ctx) {
        return Err(CommandError::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    ctx.world.scripting.flush_scripts();
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn script_kill(ctx: &mut ServerCtx<'_>) -> CommandResult {
    kill(ctx, Purpose::Scripts)
}

fn load(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let sha = ctx.world.scripting.add(ctx.args.get(2), false).map_err(CommandError::bytes)?;
    ctx.reply.bulk(&sha);
    Ok(Flow::Done)
}

fn show(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let sha = parse_sha(ctx.args.get(2)).ok_or(error::NOSCRIPT)?;
    let script = ctx.world.scripting.cache.get(&sha).ok_or(error::NOSCRIPT)?;
    ctx.reply.bulk(&script.body);
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DEBUG (YES|SYNC|NO)",
        "    Debug the scripts that this client sends with EVAL, and keep what they write (SYNC), or run them (NO).",
        "    YES, for which Redis forks, is an error.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Tell which of these scripts are known.",
        "FLUSH [ASYNC|SYNC]",
        "    Forget all scripts.",
        "KILL",
        "    End the script that runs, unless it has written.",
        "LOAD <script>",
        "    Make a script known without running it.",
        "SHOW <sha1>",
        "    Show the text of a script.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
