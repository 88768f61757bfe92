//! Waiting until writes are safe: WAIT for replicas, WAITAOF for the disk.
//!
//! A client that waits is parked, and its request runs again when the disk has got further, and when its time is over.

use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::resp::number;
use crate::session::Awaits;
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "WAIT",
        arity: Arity::exactly(3),
        since: "3.0.0",
        summary: "Waits until so many replicas have got what this client wrote.",
        syntax: "numreplicas timeout",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        run: Handler::Session(wait),
        ..BASE
    },
    CommandSpec {
        name: "WAITAOF",
        arity: Arity::exactly(4),
        since: "7.2.0",
        summary: "Waits until what this client wrote is safe on the disk, here and at so many replicas.",
        syntax: "numlocal numreplicas timeout",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        run: Handler::Session(waitaof),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec = CommandSpec {
    group: Group::Generic,
    complexity: "O(1)",
    flags: flags(&[Flag::Blocking]),
    acl: categories(&[Category::Connection]),
    ..CommandSpec::BASE
};

const NO_AOF: CommandError = CommandError::new("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

const WAIT_ON_REPLICA: CommandError = CommandError::new(
    "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be \
     writable (which is not the default) writes to replicas are just local and are not propagated.",
);
const WAITAOF_ON_REPLICA: CommandError = CommandError::new(
    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not \
     propagated.",
);

fn wait(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if ctx.world.replication.is_replica() {
        return Err(WAIT_ON_REPLICA);
    }
    let wanted = ctx.args.i64(1)?;
    let deadline = deadline(ctx, 2)?;
    let offset = ctx.session.awaits.map_or(ctx.session.replicated_to, |awaits| awaits.replicated);
    let have = ctx.world.replication.acknowledged(offset) as i64;
    if have >= wanted || over(ctx, deadline) {
        ctx.reply.integer(have);
        return Ok(Flow::Done);
    }
    await_replicas(ctx);
    Ok(Flow::Block)
}

fn waitaof(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let local = match ctx.args.i64(1)? {
        n @ 0..=1 => n,
        _ => return Err(CommandError::new("ERR value is out of range, value must between 0 and 1")),
    };
    let replicas = ctx.args.non_negative(2)?;
    if ctx.world.replication.is_replica() {
        return Err(WAITAOF_ON_REPLICA);
    }
    let deadline = deadline(ctx, 3)?;
    if local > 0 && !ctx.world.config.appendonly {
        return Err(NO_AOF);
    }
    let (offset, replicated) = match ctx.session.awaits {
        Some(awaits) => (awaits.offset, awaits.replicated),
        None => (ctx.session.wrote_to, ctx.session.replicated_to),
    };
    let safe = i64::from(ctx.world.persistence.aof.durable().is_some_and(|durable| durable >= offset));
    let have = ctx.world.replication.synced(replicated) as i64;
    if (safe >= local && have >= replicas) || over(ctx, deadline) {
        ctx.reply.array(2);
        ctx.reply.integer(safe);
        ctx.reply.integer(have);
        return Ok(Flow::Done);
    }
    await_replicas(ctx);
    Ok(Flow::Block)
}

/// The request runs again when there is news; replicas are asked how far they are, the first time.
fn await_replicas(ctx: &mut SessionCtx<'_>) {
    ctx.world.awaiting_safety.push(ctx.session.id);
    if ctx.session.awaits.as_mut().is_some_and(|awaits| !std::mem::replace(&mut awaits.asked, true)) {
        ctx.world.replication.wants_acks |= ctx.world.replication.has_replicas();
    }
}

/// Until when to wait: argument `i` in milliseconds from now; `None` for 0: for ever. Of a client that waits already it is
/// known.
fn deadline(ctx: &SessionCtx<'_>, i: usize) -> Result<Option<UnixMillis>, CommandError> {
    if let Some(awaits) = ctx.session.awaits {
        return Ok(awaits.deadline);
    }
    const NOT_AN_INTEGER: CommandError = CommandError::new("ERR timeout is not an integer or out of range");
    match number::parse_i64(ctx.args.get(i)).ok_or(NOT_AN_INTEGER)? {
        ..0 => Err(error::TIMEOUT_NEGATIVE),
        0 => Ok(None),
        millis => ctx.world.keyspace.env.now().checked_add(millis).map(Some).ok_or(error::TIMEOUT_OUT_OF_RANGE),
    }
}

/// True if the client is to be answered now, however far things are; else it is noted that it waits.
fn over(ctx: &mut SessionCtx<'_>, deadline: Option<UnixMillis>) -> bool {
    let over = !ctx.may_block || deadline.is_some_and(|at| ctx.world.keyspace.env.now() >= at);
    if !over && ctx.session.awaits.is_none() {
        ctx.session.awaits =
            Some(Awaits { offset: ctx.session.wrote_to, replicated: ctx.session.replicated_to, deadline, asked: false });
    }
    over
}
