//! About functions and the one that runs: FUNCTION with LIST, STATS, KILL, HELP.

use super::{BASE, busy_error, kill};
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::ds::algo::glob;
use crate::scripting::Purpose;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "FUNCTION",
        arity: Arity::at_least(2),
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about functions.",
        flags: 0,
        acl: 0,
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|HELP",
        arity: Arity::exactly(2),
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|KILL",
        arity: Arity::exactly(2),
        summary: "Ends the function that runs, unless it has written.",
        flags: flags(&[Flag::NoScript, Flag::AllowBusy]),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Handler::Server(function_kill),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|LIST",
        arity: Arity::at_least(2),
        complexity: "O(N) where N is the number of functions",
        summary: "Tells the libraries and their functions.",
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        tips: &["nondeterministic_output_order"],
        run: Handler::Server(list),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|STATS",
        arity: Arity::exactly(2),
        summary: "Tells about the function that runs, and how many there are.",
        flags: flags(&[Flag::NoScript, Flag::AllowBusy]),
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: Handler::Server(stats),
        ..BASE
    },
];
const _: () = check(COMMANDS);

fn function_kill(ctx: &mut ServerCtx<'_>) -> CommandResult {
    kill(ctx, Purpose::Functions)
}

fn list(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (mut with_code, mut pattern) = (false, None);
    let mut i = 2;
    while i < ctx.args.len() {
        if !with_code && ctx.args.is(i, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && ctx.args.is(i, "LIBRARYNAME") {
            i += 1;
            pattern = Some(ctx.args.opt(i).ok_or(CommandError::new("ERR library name argument was not given"))?);
        } else {
            return Err(CommandError::bytes([b"ERR Unknown argument ", ctx.args.get(i)].concat()));
        }
        i += 1;
    }
    let reply = &mut ctx.reply;
    let libraries = reply.array_deferred();
    let mut n = 0;
    for (name, library) in ctx.world.scripting.libraries.iter() {
        if !pattern.is_none_or(|pattern| glob::matches(pattern, name, true)) {
            continue;
        }
        n += 1;
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&function.name);
            reply.bulk(b"description");
            reply.bulk_or_null(function.description.as_deref());
            reply.bulk(b"flags");
            reply.set(function.flags.names().count());
            function.flags.names().for_each(|flag| reply.simple(flag));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    reply.finish(libraries, n);
    Ok(Flow::Done)
}

fn stats(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let scripting = &ctx.world.scripting;
    let reply = &mut ctx.reply;
    if let Some(busy) = scripting.busy.as_ref().filter(|busy| busy.purpose == Purpose::Scripts) {
        return Err(busy_error(busy.purpose));
    }
    reply.map(2);
    reply.bulk(b"running_script");
    match &scripting.busy {
        None => reply.null(),
        Some(busy) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&busy.name);
            reply.bulk(b"command");
            let request = busy.request.args();
            reply.array(request.len());
            request.from(0).for_each(|arg| reply.bulk(arg));
            reply.bulk(b"duration_ms");
            reply.integer(busy.started.elapsed().as_millis() as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(scripting.libraries.iter().len());
    reply.bulk(b"functions_count");
    reply.count(scripting.libraries.function_count());
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DELETE <library-name>",
        "    Drop a library.",
        "DUMP",
        "    Return all libraries as a payload for RESTORE.",
        "FLUSH [ASYNC|SYNC]",
        "    Drop all libraries.",
        "KILL",
        "    End the function that runs, unless it has written.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    Tell the libraries and their functions.",
        "LOAD [REPLACE] <function-code>",
        "    Load a library.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Load the libraries of a payload; by default none may exist already.",
        "STATS",
        "    Tell about the function that runs, and how many there are.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
