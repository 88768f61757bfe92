//! Scripts and functions. The interpreter is in `scripting`; `dispatch` runs what is prepared here.

mod eval;
mod function;
mod function_library;
mod script;

use crate::command::CommandSpec;
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::scripting::Purpose;
use crate::world::Order;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[eval::COMMANDS, script::COMMANDS, function::COMMANDS, function_library::COMMANDS];

/// What most rows have in common.
const BASE: CommandSpec = CommandSpec {
    group: Group::Scripting,
    since: "7.0.0",
    flags: flags(&[Flag::NoScript]),
    acl: categories(&[Category::Scripting]),
    ..CommandSpec::BASE
};

/// What is said to SCRIPT DEBUG YES, and to EVAL after it.
const NOT_FORKED: CommandError = CommandError::new(
    "ERR SCRIPT DEBUG YES needs a fork of the server, and this one never forks: use SCRIPT DEBUG SYNC (redis-cli \
     --ldb-sync-mode), which keeps what the script writes",
);

/// SCRIPT KILL and FUNCTION KILL.
fn kill(ctx: &mut ServerCtx<'_>, purpose: Purpose) -> CommandResult {
    let Some(busy) = &mut ctx.world.scripting.busy else {
        return Err(CommandError::new("NOTBUSY No scripts in execution right now."));
    };
    if busy.wrote {
        return Err(CommandError::new(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
             termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    if busy.purpose != purpose {
        return Err(busy_error(busy.purpose));
    }
    busy.killed = true;
    if busy.debugged {
        ctx.world.orders.push_back(Order::EndDebugging);
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// What others are told while a script takes long.
pub fn busy_error(purpose: Purpose) -> CommandError {
    match purpose {
        Purpose::Scripts => crate::command::error::BUSY_SCRIPT,
        Purpose::Functions => crate::command::error::BUSY_FUNCTION,
    }
}

/// What is said of a subcommand with too many arguments.
fn bad_subcommand(container: &str, name: &str) -> CommandError {
    CommandError::text(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP."))
}

/// Whether a flush may be done in the background: SYNC or ASYNC, or what the configuration says.
fn is_flush_mode(ctx: &ServerCtx<'_>) -> bool {
    ctx.args.len() == 2 || (ctx.args.len() == 3 && (ctx.args.is(2, "SYNC") || ctx.args.is(2, "ASYNC")))
}
