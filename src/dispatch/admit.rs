//! The guards before a command, in the order in which the original applies them: clients see the first that refuses.

use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandSpec, Flag, Handler};
use crate::command::table::Command;
use crate::resp::request::Args;
use crate::scripting::flags::Flags;
use crate::session::Session;
use crate::session::multi::Queued;
use crate::world::World;

use super::{permit, route, script, transaction};

/// Refuses what may not run now.
#[inline]
pub fn admit(
    world: &mut World,
    session: &mut Session,
    at: u16,
    spec: &'static CommandSpec,
    args: Args<'_>,
) -> Result<(), CommandError> {
    if matches!(spec.run, Handler::Container) && args.len() > 1 {
        return Err(bad_subcommand(spec, args));
    }
    if !spec.arity.allows(args.len()) {
        return Err(error::wrong_arity(spec.name));
    }
    if session.guarded {
        permit::admit(world, session, at, spec, args)?;
    }
    if world.memory_short | world.read_only {
        admit_writer(world, session, spec, args)?;
    }
    Ok(())
}

/// Refuses what adds while memory is short, and what writes on a replica.
fn admit_writer(world: &World, session: &Session, spec: &CommandSpec, args: Args<'_>) -> Result<(), CommandError> {
    if world.memory_short && spec.has(Flag::DenyOom) {
        // Where there is no place for a key that belongs elsewhere, the client is told where.
        route::admit(world, session, spec, args)?;
        return Err(error::OOM);
    }
    if world.read_only && effective_flags(world, session, spec, args) & Flag::Write.bit() != 0 {
        // A node of a cluster knows who takes it.
        route::admit(world, session, spec, args)?;
        return Err(error::READONLY);
    }
    Ok(())
}

/// Refuses what a client inside MULTI, or a subscriber that speaks RESP2, may not send.
pub fn admit_special(
    world: &World,
    session: &Session,
    spec: &CommandSpec,
    command: &Command,
    args: Args<'_>,
) -> Result<(), CommandError> {
    if session.transaction.is_some() && spec.has(Flag::NoMulti) {
        return Err(error::NOT_IN_MULTI);
    }
    if world.is_restricted {
        route::admit(world, session, spec, args)?;
        admit_restricted(world, session, spec, args)?;
    }
    if spec.name == "EXEC" {
        transaction::admit_exec(world, session)?;
    }
    // In RESP2 a subscriber could not tell replies from messages.
    const FOR_SUBSCRIBERS: &[&str] =
        &["PING", "SUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "SUNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "QUIT", "RESET"];
    if session.subscriptions.is_some() && !session.resp3 && !FOR_SUBSCRIBERS.contains(&spec.name) {
        return Err(CommandError::text(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            command.name
        )));
    }
    Ok(())
}

/// Refuses what the state of the server does not allow.
fn admit_restricted(world: &World, session: &Session, spec: &CommandSpec, args: Args<'_>) -> Result<(), CommandError> {
    let queued = session.transaction.as_ref().filter(|_| spec.name == "EXEC");
    let flags = effective_flags(world, session, spec, args);
    let writes = flags & Flag::Write.bit() != 0;
    if (writes || spec.name == "PING")
        && let Some(refusal) = world.refused_writes()
    {
        return Err(refusal);
    }
    if writes && world.replication.lacking {
        return Err(error::NOREPLICAS);
    }
    let needs_fresh = |at: u16| !world.commands.get(at).spec.has(Flag::Stale);
    if world.is_stale()
        && (flags & Flag::Stale.bit() == 0
            || queued.is_some_and(|transaction| transaction.queue.iter().any(|queued| needs_fresh(queued.command))))
    {
        return Err(error::MASTERDOWN);
    }
    if world.persistence.is_loading_beside() && spec.has(Flag::NoAsyncLoading) {
        return Err(error::LOADING);
    }
    let waits = |at: u16| !world.commands.get(at).spec.has(Flag::Loading);
    let queue_waits = queued.is_some_and(|transaction| transaction.queue.iter().any(|queued| waits(queued.command)));
    if world.persistence.is_loading() && (!spec.has(Flag::Loading) || queue_waits) {
        return Err(error::LOADING);
    }
    Ok(())
}

/// A command's flags; those of one that runs a script are what the script says of itself, and EXEC has those of what it runs, too.
fn effective_flags(world: &World, session: &Session, spec: &CommandSpec, args: Args<'_>) -> u32 {
    if let Some(transaction) = &session.transaction
        && spec.name == "EXEC"
    {
        let of = |queued: &Queued| own_flags(world, world.commands.get(queued.command).spec, queued.request.args());
        let writes = transaction.queue.iter().any(|queued| of(queued) & Flag::Write.bit() != 0);
        return spec.flags | if writes { Flag::Write.bit() } else { 0 };
    }
    own_flags(world, spec, args)
}

fn own_flags(world: &World, spec: &CommandSpec, args: Args<'_>) -> u32 {
    let Some(script) = script::flags_of(world, spec, args) else { return spec.flags };
    let mut flags = spec.flags & !Flag::Stale.bit();
    if !script.has(Flags::NO_WRITES) {
        flags |= Flag::Write.bit();
    }
    if script.has(Flags::ALLOW_STALE) {
        flags |= Flag::Stale.bit();
    }
    flags
}

/// True if the request has to wait for the end of CLIENT PAUSE.
pub fn is_paused(world: &World, session: &Session, spec: &CommandSpec, args: Args<'_>) -> bool {
    let Some(pause) = world.paused() else { return false };
    let may_write = |flags: u32| flags & (Flag::Write.bit() | Flag::MayReplicate.bit()) != 0;
    let queued = match &session.transaction {
        Some(transaction) if spec.name == "EXEC" => transaction.flags,
        _ => 0,
    };
    // A script that says it does not write is taken at its word.
    let reads_only = || script::flags_of(world, spec, args).is_some_and(|flags| flags.has(Flags::NO_WRITES));
    !session.monitor && !session.is_replica() && (pause.all || (may_write(spec.flags) && !reads_only()) || may_write(queued))
}

/// The refusal for a container whose subcommand is unknown.
pub fn bad_subcommand(spec: &CommandSpec, args: Args<'_>) -> CommandError {
    if args.len() < 2 {
        return error::wrong_arity(spec.name);
    }
    error::unknown_subcommand(spec.name, args.get(1))
}

/// True if a line of HTTP arrived in place of a command: `POST …` or `Host: …`.
pub fn is_web_request(args: Args<'_>) -> bool {
    args.is(0, "POST") || args.is(0, "HOST:")
}

/// The refusal for an unknown command, with the beginning of its arguments.
#[cold]
pub fn unknown(_world: &World, _session: &Session, args: Args<'_>) -> CommandError {
    const SHOWN_MAX: usize = 128;
    let name = args.get(0);
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(&name[..name.len().min(SHOWN_MAX)]);
    text.extend_from_slice(b"', with args beginning with: ");
    let mut shown = 0;
    for arg in args.from(1) {
        if shown >= SHOWN_MAX {
            break;
        }
        let cut = &arg[..arg.len().min(SHOWN_MAX - shown)];
        text.push(b'\'');
        text.extend_from_slice(cut);
        text.extend_from_slice(b"' ");
        shown += cut.len() + 3;
    }
    CommandError::bytes(text)
}
