//! Running scripts and functions: EVAL, EVALSHA, FCALL, each also read-only.

use super::{BASE, NOT_FORKED};
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::resp::number;
use crate::resp::request::Args;
use crate::scripting::cache::parse_sha;
use crate::scripting::flags::Flags;
use crate::scripting::{Debugger, NO_INTERPRETER, Prepared, Purpose};
use crate::session::Debugging;
use std::time::Duration;

const RUN: &[Flag] = &[Flag::NoScript, Flag::Stale, Flag::SkipMonitor, Flag::NoMandatoryKeys, Flag::MovableKeys];
const WRITES: u32 = flags(RUN) | flags(&[Flag::MayReplicate]);
const READS: u32 = flags(RUN) | flags(&[Flag::ReadOnly]);
const WRITE_KEYS: &[KeySpec] = &[KeySpec::counted(2).access(READ_UPDATE)];
const READ_KEYS: &[KeySpec] = &[KeySpec::counted(2).access(READ)];

const ROW: CommandSpec = CommandSpec { arity: Arity::at_least(3), complexity: "Depends on the script.", ..BASE };

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "EVAL",
        since: "2.6.0",
        summary: "Runs a Lua script.",
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        flags: WRITES,
        keys: WRITE_KEYS,
        run: Handler::Server(eval),
        ..ROW
    },
    CommandSpec {
        name: "EVALSHA",
        since: "2.6.0",
        summary: "Runs a Lua script that the server knows, named by its SHA-1.",
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        flags: WRITES,
        keys: WRITE_KEYS,
        run: Handler::Server(evalsha),
        ..ROW
    },
    CommandSpec {
        name: "EVALSHA_RO",
        summary: "Runs a Lua script that the server knows and that only reads.",
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        flags: READS,
        keys: READ_KEYS,
        run: Handler::Server(evalsha),
        ..ROW
    },
    CommandSpec {
        name: "EVAL_RO",
        summary: "Runs a Lua script that only reads.",
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        flags: READS,
        keys: READ_KEYS,
        run: Handler::Server(eval),
        ..ROW
    },
    CommandSpec {
        name: "FCALL",
        summary: "Calls a function of a library.",
        syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
        flags: WRITES,
        keys: WRITE_KEYS,
        run: Handler::Server(fcall),
        ..ROW
    },
    CommandSpec {
        name: "FCALL_RO",
        summary: "Calls a function of a library that only reads.",
        syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
        flags: READS,
        keys: READ_KEYS,
        run: Handler::Server(fcall),
        ..ROW
    },
];
const _: () = check(COMMANDS);

fn eval(ctx: &mut ServerCtx<'_>) -> CommandResult {
    match ctx.session.debugging {
        Debugging::No => eval_script(ctx),
        // A transaction is not stopped in the middle.
        Debugging::Sync if ctx.world.in_transaction => eval_script(ctx),
        Debugging::Sync | Debugging::Refused => eval_debugged(ctx),
    }
}

/// Has the script debugged. For the client the session has begun, whatever becomes of it: one that fails ends at once.
fn eval_debugged(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let patience = Duration::from_millis(ctx.world.config.busy_reply_threshold.max(0) as u64);
    let mut debugger = Debugger::new(ctx.args.get(1), patience);
    let is_refused = ctx.session.debugging == Debugging::Refused;
    let refusal = match if is_refused { Err(NOT_FORKED) } else { eval_script(ctx) } {
        Ok(flow) => {
            if let Some(prepared) = &mut ctx.world.scripting.prepared {
                prepared.debugger = Some(debugger);
            }
            return Ok(flow);
        }
        Err(refusal) => refusal,
    };
    debugger.end();
    debugger.answer(&mut ctx.reply);
    ctx.reply.error_bytes(refusal.as_bytes());
    ctx.world.stats.count_error(refusal.code());
    Ok(Flow::Close)
}

fn eval_script(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let keys = key_count(ctx, error::NOT_AN_INTEGER)?;
    let sha = ctx.world.scripting.add(ctx.args.get(1), true).map_err(CommandError::bytes)?;
    run_script(ctx, &sha, keys)
}

fn evalsha(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.session.debugging != Debugging::No {
        return Err(CommandError::new("ERR Please use EVAL instead of EVALSHA for debugging"));
    }
    let sha = parse_sha(ctx.args.get(1)).ok_or(error::NOSCRIPT)?;
    let keys = key_count(ctx, error::NOT_AN_INTEGER)?;
    run_script(ctx, &sha, keys)
}

fn run_script(ctx: &mut ServerCtx<'_>, sha: &[u8; 40], keys: usize) -> CommandResult {
    let flags = ctx.world.scripting.cache.get(sha).ok_or(error::NOSCRIPT)?.flags;
    admit(ctx, flags)?;
    let scripting = &mut ctx.world.scripting;
    let mut interpreter = scripting.take(Purpose::Scripts).map_err(|text| CommandError::bytes(text.to_vec()))?;
    let script = scripting.cache.use_script(sha).ok_or(error::NOSCRIPT)?;
    if interpreter.prepare(&script.function, keys, arguments(ctx.args), true).is_err() {
        interpreter.settle();
        scripting.give_back(Purpose::Scripts, interpreter);
        return Err(CommandError::bytes(NO_INTERPRETER.to_vec()));
    }
    let name = (*sha).into();
    let read_only = ctx.spec.has(Flag::ReadOnly);
    scripting.prepared = Some(Prepared { interpreter, purpose: Purpose::Scripts, name, flags, read_only, debugger: None });
    Ok(Flow::RunScript)
}

fn fcall(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const NOT_FOUND: CommandError = CommandError::new("ERR Function not found");
    let name = ctx.args.get(1);
    let flags = ctx.world.scripting.libraries.function(name).ok_or(NOT_FOUND)?.flags;
    let keys = key_count(ctx, CommandError::new("ERR Bad number of keys provided"))?;
    admit(ctx, flags)?;
    let scripting = &mut ctx.world.scripting;
    let mut interpreter = scripting.take(Purpose::Functions).map_err(|text| CommandError::bytes(text.to_vec()))?;
    let function = scripting.libraries.function(name).ok_or(NOT_FOUND)?;
    if interpreter.prepare(&function.callback, keys, arguments(ctx.args), false).is_err() {
        interpreter.settle();
        scripting.give_back(Purpose::Functions, interpreter);
        return Err(CommandError::bytes(NO_INTERPRETER.to_vec()));
    }
    let read_only = ctx.spec.has(Flag::ReadOnly);
    let (purpose, name) = (Purpose::Functions, name.into());
    scripting.prepared = Some(Prepared { interpreter, purpose, name, flags, read_only, debugger: None });
    Ok(Flow::RunScript)
}

/// The arguments for the script: keys first.
fn arguments(args: Args<'_>) -> Args<'_> {
    const FIRST: usize = 3;
    let (bytes, spans) = args.parts();
    Args::new(bytes, spans.get(FIRST..).unwrap_or_default())
}

fn key_count(ctx: &ServerCtx<'_>, not_a_number: CommandError) -> Result<usize, CommandError> {
    let count = number::parse_i64(ctx.args.get(2)).ok_or(not_a_number)?;
    if count > ctx.args.len() as i64 - 3 {
        return Err(CommandError::new("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| CommandError::new("ERR Number of keys can't be negative"))
}

/// Refuses a script by what it says about itself.
fn admit(ctx: &ServerCtx<'_>, flags: Flags) -> Result<(), CommandError> {
    if flags.is_compatible() {
        return if ctx.world.is_stale() { Err(error::MASTERDOWN) } else { Ok(()) };
    }
    if flags.has(Flags::NO_CLUSTER) && ctx.world.config.cluster_enabled {
        return Err(CommandError::new("ERR Can not run script on cluster, 'no-cluster' flag is set."));
    }
    if ctx.world.memory_short && !flags.has(Flags::ALLOW_OOM | Flags::NO_WRITES) {
        return Err(error::OOM);
    }
    if ctx.spec.has(Flag::ReadOnly) && !flags.has(Flags::NO_WRITES) {
        return Err(CommandError::new("ERR Can not execute a script with write flag using *_ro command."));
    }
    Ok(())
}
