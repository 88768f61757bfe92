//! MULTI: queueing requests, and running the queue as one execution unit that propagates as one transaction.

use super::{Open, Ran, fail, invoke, monitor, permit, publish, route, script, tracking};
use crate::acl::Place;
use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandResult, CommandSpec, Flow};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::Args;
use crate::session::{Session, Transaction};
use crate::stream::{Part, Targets};
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
    if route::is_redirection(&refusal) {
        return refusal;
    }
    let text = refusal.as_bytes();
    let reason = text.strip_prefix(b"ERR ").unwrap_or(text);
    CommandError::bytes([b"EXECABORT Transaction discarded because of: ", reason].concat())
}

/// A transaction in the middle of running its queue.
struct Run {
    transaction: Box<Transaction>,
    /// The request that runs.
    next: usize,
    unit: Vec<Part>,
    flow: Flow,
}

/// A transaction one of whose scripts takes long.
pub struct Paused {
    run: Run,
    open: Open,
    script: Box<script::Paused>,
}

/// Runs the queue; the guards have let EXEC pass. The unit ends when all of it ran.
pub fn run_queue(world: &mut World, session: &mut Session) -> Ran<Box<Paused>> {
    let Some(transaction) = session.transaction.take() else { return Ran::Done(Ok(Flow::Done)) };
    ReplyWriter::new(&mut session.out, session.resp3).array(transaction.queue.len());
    let run = Run { transaction, next: 0, unit: Vec::new(), flow: Flow::Done };
    world.in_transaction = true;
    run_rest(world, session, run)
}

/// Goes on with a transaction, after others were answered.
#[allow(clippy::boxed_local)] // It travels by its box.
pub fn go_on(world: &mut World, session: &mut Session, paused: Box<Paused>) -> Ran<Box<Paused>> {
    let Paused { mut run, open, script } = *paused;
    let args = run.transaction.queue[run.next].request.args();
    match script::go_on(world, session, args, script, &mut run.unit) {
        Ran::Paused(script) => Ran::Paused(Box::new(Paused { run, open, script })),
        Ran::Done(result) => {
            conclude_one(world, session, &mut run, open, result);
            run_rest(world, session, run)
        }
    }
}

fn run_rest(world: &mut World, session: &mut Session, mut run: Run) -> Ran<Box<Paused>> {
    while let Some(queued) = run.transaction.queue.get(run.next) {
        let (at, args) = (queued.command, queued.request.args());
        let spec = world.commands.get(at).spec;
        let start = session.out.mark();
        // The user's rules may have changed since the request was queued.
        if session.guarded
            && let Err(denial) = permit::check(world, session, at, spec, args, Place::Multi)
        {
            fail(world, session, start, &permit::changed_since_queued(denial), None);
            run.next += 1;
            continue;
        }
        world.recent.note(&spec.name);
        let dirty = world.keyspace.env.effects.dirty;
        let open = Open { at, start, timer: Some(Instant::now()), dirty, again: false };
        let mut result = invoke(world, session, args, at, &mut None, false);
        if result == Ok(Flow::RunScript) {
            match script::start(world, session, args, at, &mut run.unit) {
                Ran::Done(done) => result = done,
                Ran::Paused(script) => return Ran::Paused(Box::new(Paused { run, open, script })),
            }
        }
        conclude_one(world, session, &mut run, open, result);
    }
    world.in_transaction = false;
    script::append(world, &run.unit);
    // What is to propagate has been: EXEC itself is not.
    world.keyspace.env.effects.propagate_nothing();
    Ran::Done(Ok(run.flow))
}

/// Closes the part of the unit that the request just run is.
fn conclude_one(world: &mut World, session: &mut Session, run: &mut Run, open: Open, result: CommandResult) {
    let Open { at, start, timer, dirty, .. } = open;
    let Run { transaction, next, unit, flow } = run;
    let args = transaction.queue[*next].request.args();
    *next += 1;
    let spec = world.commands.get(at).spec;
    if let Some(timer) = timer {
        let nanos = timer.elapsed().as_nanos() as u64;
        world.stats.note_duration(at, nanos, world.config.latency_tracking);
        world.note_duration(session, spec, args, nanos);
    }
    if world.slow.log.may_note(session.out.bytes.len().max(args.wire_bytes_bound())) || !session.out.references.is_empty() {
        world.note_sizes(session, spec, args, start);
    }
    world.stats.per_command[at as usize].calls += 1;
    match result {
        Ok(Flow::Silent) => session.out.rewind(start),
        Ok(Flow::Block) => {
            session.out.rewind(start);
            ReplyWriter::new(&mut session.out, session.resp3).null_array();
        }
        Ok(Flow::Close) => *flow = Flow::Close,
        Ok(_) => {}
        Err(refusal) => fail(world, session, start, &refusal, Some(at)),
    }
    let changed = world.keyspace.env.effects.dirty != dirty;
    if changed || !world.keyspace.env.effects.is_quiet() {
        publish::close_part(world, session, args, changed, Targets::ALL, unit);
    }
    if session.tracking {
        tracking::note_keys(world, session, spec, args);
    }
    monitor::show(world, session, spec, args);
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
