//! MULTI: queueing requests, and running the queue as one execution unit that propagates as one transaction.

use super::{Mark, fail, invoke, monitor, permit, publish, tracking};
use crate::acl::Place;
use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandResult, CommandSpec, Flow};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::{Args, OwnedRequest};
use crate::session::Session;
use crate::types::DbIndex;
use crate::world::World;
use std::time::Instant;

/// True for the commands that run at once inside MULTI.
pub fn runs_at_once(spec: &CommandSpec) -> bool {
    matches!(spec.name, "EXEC" | "DISCARD" | "MULTI" | "WATCH" | "QUIT" | "RESET")
}

/// Puts a request into the client's queue.
pub fn queue(session: &mut Session, at: u16, spec: &CommandSpec, args: Args<'_>) {
    if let Some(transaction) = &mut session.transaction {
        transaction.queue(at, spec.flags, args);
    }
    ReplyWriter::new(&mut session.out, session.resp3).simple("QUEUED");
}

/// A request was refused: a transaction that it was to be part of is broken, and a refused EXEC ends the transaction, if there
/// is one. Returns what the client is told.
pub fn refuse(world: &mut World, session: &mut Session, refusal: CommandError, is_exec: bool) -> CommandError {
    if let Some(transaction) = &mut session.transaction {
        transaction.broken = true;
    }
    if !is_exec {
        return refusal;
    }
    world.end_transaction(session);
    let text = refusal.as_bytes();
    let reason = text.strip_prefix(b"ERR ").unwrap_or(text);
    CommandError::bytes([b"EXECABORT Transaction discarded because of: ", reason].concat())
}

/// Runs the queue; the guards have let EXEC pass. The unit ends when all of it ran.
pub fn run_queue(world: &mut World, session: &mut Session) -> CommandResult {
    let Some(transaction) = session.transaction.take() else { return Ok(Flow::Done) };
    ReplyWriter::new(&mut session.out, session.resp3).array(transaction.queue.len());
    let mut unit: Vec<(DbIndex, OwnedRequest)> = Vec::new();
    let mut flow = Flow::Done;
    world.in_transaction = true;
    for queued in &transaction.queue {
        let start = session.out.mark();
        if run_one(world, session, queued.request.args(), queued.command, start, &mut unit) == Flow::Close {
            flow = Flow::Close;
        }
    }
    world.in_transaction = false;
    let parts: Vec<(DbIndex, Args<'_>)> = unit.iter().map(|(db, request)| (*db, request.args())).collect();
    world.stream.append_unit(&parts);
    // What is to propagate has been: EXEC itself is not.
    world.keyspace.env.effects.propagate_nothing();
    Ok(flow)
}

fn run_one(
    world: &mut World,
    session: &mut Session,
    args: Args<'_>,
    at: u16,
    start: Mark,
    unit: &mut Vec<(DbIndex, OwnedRequest)>,
) -> Flow {
    let spec = world.commands.get(at).spec;
    // The user's rules may have changed since the request was queued.
    if session.guarded
        && let Err(denial) = permit::check(world, session, at, spec, args, Place::Multi)
    {
        fail(world, session, start, &permit::changed_since_queued(denial), None);
        return Flow::Done;
    }
    world.recent.note(&spec.name);
    let dirty = world.keyspace.env.effects.dirty;
    let timer = Instant::now();
    let result = invoke(world, session, args, at, &mut None, false);
    let nanos = timer.elapsed().as_nanos() as u64;
    world.stats.note_duration(at, nanos, world.config.latency_tracking);
    world.note_duration(session, spec, args, nanos);
    if world.slow.log.may_note(session.out.bytes.len().max(args.wire_bytes_bound())) || !session.out.references.is_empty() {
        world.note_sizes(session, spec, args, start);
    }
    world.stats.per_command[at as usize].calls += 1;
    let flow = match result {
        Ok(Flow::Silent) => {
            session.out.rewind(start);
            Flow::Silent
        }
        Ok(Flow::Block) => {
            session.out.rewind(start);
            ReplyWriter::new(&mut session.out, session.resp3).null_array();
            Flow::Done
        }
        Ok(flow) => flow,
        Err(refusal) => {
            fail(world, session, start, &refusal, Some(at));
            Flow::Done
        }
    };
    let changed = world.keyspace.env.effects.dirty != dirty;
    if changed || !world.keyspace.env.effects.is_quiet() {
        publish::close_part(world, session, args, changed, unit);
    }
    if session.tracking {
        tracking::note_keys(world, session, spec, args);
    }
    monitor::show(world, session, spec, args);
    flow
}

/// What a transaction's EXEC is refused for besides what its own row says: EXEC needs what the commands in the queue need.
pub fn admit_exec(world: &World, session: &Session) -> Result<(), CommandError> {
    use crate::command::spec::Flag;
    let Some(transaction) = &session.transaction else { return Ok(()) };
    if world.memory_short && transaction.flags & Flag::DenyOom.bit() != 0 {
        return Err(error::OOM);
    }
    Ok(())
}
