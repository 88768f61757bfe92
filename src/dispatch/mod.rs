//! From a request to its effects: look the command up, admit it, run it, close the execution unit.
//!
//! This is the only place that writes error replies and counts them, and the only one that knows the order of things.

mod admit;
pub mod memory;
mod monitor;
mod permit;
pub mod publish;
mod route;
mod script;
mod tracking;
mod transaction;

use crate::command::context::{BlockOn, KeysCtx, Rights, Selected, ServerCtx, SessionCtx};
use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandResult, CommandSpec, Flag, Flow, Group, Handler};
use crate::command::table::CommandTable;
use crate::commands::session::description;
use crate::config::PropagationErrorBehavior;
use crate::keyspace::lazyfree::Garbage;
use crate::keyspace::value::{ValueType, type_of};
use crate::resp::reply::{Mark, ReplyWriter};
use crate::resp::request::Args;
use crate::session::{ReplyMode, Session};
use crate::stats::ERROR_CODES_MAX;
use crate::world::{Order, Shutdown, World};
pub use script::Paused as PausedScript;
use std::time::Instant;

/// What happens to the client's next request.
pub enum Step {
    /// It may run.
    Next,
    /// This one waits for keys; it runs again when they are ready.
    Wait(BlockOn),
    /// This one is executed, as if it came then, when clients are no longer paused.
    Postpone,
    /// Nothing of this client runs any more.
    Close,
    /// This one runs a script that takes long: others are to be answered before `go_on`. Or its script is stopped in the debugger
    /// (`Paused::awaits_client`): `debug` or `end_debugging` is to follow.
    Pause(Box<Paused>),
    /// This one is in the middle: others are to have their turn before `run_on`.
    More,
}

/// What running something that may take long came to.
enum Ran<P> {
    Done(CommandResult),
    Paused(P),
}

/// A request in the middle of running a script.
pub struct Paused {
    work: Work,
    open: Open,
}

impl Paused {
    /// True if it waits for the next command of its client.
    pub fn awaits_client(&self) -> bool {
        matches!(&self.work, Work::Script(paused) if paused.awaits_client)
    }
}

/// What takes long: a script, perhaps inside a transaction.
enum Work {
    Script(Box<script::Paused>),
    Queue(Box<transaction::Paused>),
}

/// What is known of a request from before it ran.
struct Open {
    at: u16,
    start: Mark,
    timer: Option<Instant>,
    dirty: u64,
    /// It waited for keys, and runs once more.
    again: bool,
}

/// The command that a request names, as far as the table knows: looked up where the request is decoded.
#[inline]
pub fn lookup(commands: &CommandTable, args: Args<'_>) -> Option<u16> {
    commands.lookup(args)
}

/// Takes the time, and a look at the memory, for the requests that follow: once per turn.
#[inline]
pub fn begin_turn(world: &mut World) {
    world.last_ended = None;
    world.keyspace.refresh_clock();
    memory::refresh(world);
}

/// Runs one request for a session that was taken out of the registry.
pub fn execute(world: &mut World, session: &mut Session, args: Args<'_>, command: Option<u16>) -> Step {
    world.stats.commands += 1;
    session.commands += 1;
    let Some(at) = command else {
        let start = session.out.mark();
        if admit::is_web_request(args) {
            return hang_up_on_browser(world, session);
        }
        let refusal = admit::unknown(world, session, args);
        return refuse(world, session, start, refusal, None);
    };
    let spec = world.commands.get(at).spec;
    session.last_command = Some(at);
    memory::before_command(world, session);
    let start = session.out.mark();
    if let Err(refusal) = admit::admit(world, session, at, spec, args) {
        return refuse(world, session, start, refusal, Some(at));
    }
    if world.is_special() || session.is_special() {
        return execute_specially(world, session, args, at, start);
    }
    run(world, session, args, at, start, false)
}

/// Executes an admitted request while clients are paused or monitored, or the client is inside MULTI, a subscriber or tracking.
#[cold]
fn execute_specially(world: &mut World, session: &mut Session, args: Args<'_>, at: u16, start: Mark) -> Step {
    if session.is_replica() {
        return execute_for_replica(world, session, args, at, start);
    }
    let spec = world.commands.get(at).spec;
    if script::is_held_up(world, spec) {
        return postpone(world, session);
    }
    let admitted = admit::admit_special(world, session, spec, world.commands.get(at), args);
    if let Err(refusal) = admitted.and_then(|()| script::admit_while_busy(world, spec)) {
        return refuse(world, session, start, refusal, Some(at));
    }
    if admit::is_paused(world, session, spec, args) {
        return postpone(world, session);
    }
    if session.transaction.is_some() && !transaction::runs_at_once(spec) {
        transaction::queue(session, at, spec, args);
        return after(session, start, Step::Next);
    }
    let step = run(world, session, args, at, start, false);
    end_asking(session, spec);
    if session.tracking {
        tracking::after_command(world, session, spec, args);
    }
    monitor::show(world, session, spec, args);
    step
}

/// Puts a request off, as if it had not come yet.
fn postpone(world: &mut World, session: &mut Session) -> Step {
    world.stats.commands -= 1;
    session.commands -= 1;
    Step::Postpone
}

/// What ASKING allows is over with the request behind it, or with the transaction that it is part of.
fn end_asking(session: &mut Session, spec: &CommandSpec) {
    session.asking &= session.transaction.is_some() || spec.name == "ASKING";
}

/// Executes a request of a replica. It reads the history and nothing else: a reply would stand in the middle of that, so one
/// that would get a reply is disconnected.
#[cold]
fn execute_for_replica(world: &mut World, session: &mut Session, args: Args<'_>, at: u16, start: Mark) -> Step {
    let mode = std::mem::replace(&mut session.reply_mode, ReplyMode::On);
    let step = match world.commands.get(at).spec.run {
        Handler::Keys(_) => refuse(world, session, start, error::REPLICA_BESIDE_HISTORY, Some(at)),
        _ => run(world, session, args, at, start, false),
    };
    session.reply_mode = mode;
    if session.out.len_since(start) == 0 {
        return step;
    }
    let name = world.commands.get(at).name.to_ascii_lowercase();
    let reply = session.out.flatten();
    if let Some(failure) = reply.get(start.position()..).filter(|reply| reply.starts_with(b"-")) {
        let failure = String::from_utf8_lossy(failure).trim_end().to_owned();
        tracing::warn!(
            "== CRITICAL == This master is sending an error to its replica: '{failure}' after processing the command '{name}'"
        );
    }
    session.out.rewind(start);
    let client = description(world, session, args);
    let client = String::from_utf8_lossy(&client).into_owned();
    tracing::warn!("Replica generated a reply to command '{name}', disconnecting it: {client}");
    session.closing = true;
    Step::Close
}

/// Ends the conversation with a browser that was made to send commands in the body of a form: it gets no answer, and nothing
/// that follows is executed.
#[cold]
fn hang_up_on_browser(world: &mut World, session: &mut Session) -> Step {
    const SILENCE_SECONDS: i64 = 60;
    let now = world.keyspace.env.clock.micros() / 1_000_000;
    let last = world.stats.web_request_logged_at.replace(now);
    if last.is_none_or(|last| (now - last).abs() > SILENCE_SECONDS) {
        tracing::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is \
             likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. \
             Connection from {} aborted.",
            session.peer
        );
    }
    session.closing = true;
    Step::Close
}

/// Answers a request that may not run.
#[cold]
fn refuse(world: &mut World, session: &mut Session, start: Mark, refusal: CommandError, command: Option<u16>) -> Step {
    let mut is_exec = false;
    if let Some(at) = command {
        world.stats.per_command[at as usize].rejected += 1;
        let spec = world.commands.get(at).spec;
        is_exec = spec.name == "EXEC";
        end_asking(session, spec);
    }
    let refusal = transaction::refuse(world, session, refusal, is_exec);
    fail(world, session, start, &refusal, None);
    after(session, start, if session.closing { Step::Close } else { Step::Next })
}

/// What came of a request that was read from the append-only file.
pub enum Replayed {
    Done,
    /// There is no such command.
    Unknown,
    /// A script takes long: `replay_on` goes on with it.
    Paused(Box<PausedScript>),
}

/// Runs a request that was read from the append-only file: what it does was admitted, measured and propagated when it was
/// written. Nobody hears its reply.
pub fn replay(world: &mut World, session: &mut Session, args: Args<'_>) -> Replayed {
    let Some(at) = lookup(&world.commands, args) else { return Replayed::Unknown };
    let spec = world.commands.get(at).spec;
    if session.transaction.is_some() && !transaction::runs_at_once(spec) {
        transaction::queue(session, at, spec, args);
    } else if spec.arity.allows(args.len()) {
        // What fails now failed then.
        match invoke(world, session, args, at, &mut None, false) {
            Ok(Flow::RunQueue) => replay_queue(world, session),
            // Files of old servers, and of people, have scripts in them, not only what scripts did.
            Ok(Flow::RunScript) => {
                if let Ran::Paused(paused) = script::start(world, session, args, at, &mut Vec::new()) {
                    return Replayed::Paused(paused);
                }
            }
            _ => {}
        }
    }
    end_replay(world, session, args)
}

/// Goes on with a script that was read from the append-only file.
pub fn replay_on(world: &mut World, session: &mut Session, args: Args<'_>, paused: Box<PausedScript>) -> Replayed {
    match script::go_on(world, session, args, paused, &mut Vec::new()) {
        Ran::Paused(paused) => Replayed::Paused(paused),
        Ran::Done(_) => end_replay(world, session, args),
    }
}

fn replay_queue(world: &mut World, session: &mut Session) {
    let Some(transaction) = session.transaction.take() else { return };
    for queued in &transaction.queue {
        let args = queued.request.args();
        if invoke(world, session, args, queued.command, &mut None, false) == Ok(Flow::RunScript) {
            let mut ran = script::start(world, session, args, queued.command, &mut Vec::new());
            while let Ran::Paused(paused) = ran {
                ran = script::go_on(world, session, args, paused, &mut Vec::new());
            }
        }
    }
}

fn end_replay(world: &mut World, session: &mut Session, args: Args<'_>) -> Replayed {
    if !world.keyspace.env.effects.is_quiet() {
        publish::close_unit(world, session, args, false, false);
    }
    session.out.clear();
    Replayed::Done
}

/// Executes a request of the primary: it was admitted there. Nobody hears its reply; an error is logged, as the data may not
/// be the primary's any more.
pub fn obey(world: &mut World, session: &mut Session, args: Args<'_>, command: Option<u16>) {
    world.stats.commands += 1;
    session.commands += 1;
    // Keys are evicted here unless `replica-ignore-maxmemory`, as before a client's request.
    memory::before_command(world, session);
    let start = session.out.mark();
    let errors = world.stats.errors;
    world.keyspace.env.obeys = true;
    match command {
        None => {
            let refusal = admit::unknown(world, session, args);
            fail(world, session, start, &refusal, None);
        }
        Some(at) => obey_known(world, session, args, at, start),
    }
    world.keyspace.env.obeys = false;
    if world.stats.errors != errors {
        complain(world, session, args);
    }
    session.out.rewind(start);
}

fn obey_known(world: &mut World, session: &mut Session, args: Args<'_>, at: u16, start: Mark) {
    let spec = world.commands.get(at).spec;
    session.last_command = Some(at);
    if matches!(spec.run, Handler::Container) && args.len() > 1 {
        let refusal = admit::bad_subcommand(spec, args);
        return fail(world, session, start, &refusal, None);
    }
    if !spec.arity.allows(args.len()) {
        return fail(world, session, start, &error::wrong_arity(spec.name), None);
    }
    if session.transaction.is_some() && !transaction::runs_at_once(spec) {
        return transaction::queue(session, at, spec, args);
    }
    let mut step = run(world, session, args, at, start, false);
    // The primary's scripts come as what they did; those of old ones are run to their end.
    while let Step::Pause(paused) = step {
        step = go_on(world, session, args, paused);
    }
    monitor::show(world, session, spec, args);
}

/// Logs that a request of the primary failed.
#[cold]
fn complain(world: &mut World, session: &Session, args: Args<'_>) {
    let reply = session.out.flatten();
    let text = reply.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"-")).unwrap_or_default();
    tracing::warn!(
        "== CRITICAL == This replica is sending an error to its master: '{}' after processing the command '{}'",
        String::from_utf8_lossy(text).trim_end(),
        String::from_utf8_lossy(args.get(0)).to_ascii_lowercase()
    );
    world.stats.unexpected_errors += 1;
    let is_fatal = world.config.propagation_error_behavior != PropagationErrorBehavior::Ignore;
    if is_fatal && world.config.replica_read_only {
        tracing::warn!("The data may not be those of the master any more, and propagation-error-behavior wants the end then.");
        world.orders.push_back(Order::Shutdown(Shutdown { insist: true, force: true, ..Shutdown::default() }));
    }
}

/// Runs a request that waited for keys once more: it was counted and admitted when it came, but its user may have changed.
pub fn retry(world: &mut World, session: &mut Session, args: Args<'_>, command: Option<u16>) -> Step {
    world.last_ended = None;
    let start = session.out.mark();
    match command {
        Some(at) => {
            let spec = world.commands.get(at).spec;
            if session.guarded
                && let Err(refusal) = permit::admit(world, session, at, spec, args)
            {
                return refuse(world, session, start, refusal, Some(at));
            }
            let step = run(world, session, args, at, start, true);
            if session.tracking {
                tracking::note_keys(world, session, spec, args);
            }
            step
        }
        None => Step::Next,
    }
}

/// Goes on with a request that was left in the middle: it was counted and admitted when it came.
pub fn run_on(world: &mut World, session: &mut Session, args: Args<'_>, command: Option<u16>) -> Step {
    let start = session.out.mark();
    match command {
        Some(at) => run(world, session, args, at, start, false),
        None => Step::Next,
    }
}

/// Answers a request that waited for keys in vain: as its timeout would, or with an error.
pub fn give_up(world: &mut World, session: &mut Session, args: Args<'_>, command: Option<u16>, error: Option<CommandError>) {
    let start = session.out.mark();
    match &error {
        Some(error) => fail(world, session, start, error, command),
        None => ReplyWriter::new(&mut session.out, session.resp3).null_array(),
    }
    if let Some(at) = command {
        world.stats.per_command[at as usize].calls += 1;
        world.note_duration(session, world.commands.get(at).spec, args, 0);
    }
    after(session, start, Step::Next);
}

/// Answers a request that was done and waited until garbage was freed.
pub fn freed(world: &mut World, session: &mut Session, command: Option<u16>) {
    let start = session.out.mark();
    ReplyWriter::new(&mut session.out, session.resp3).ok();
    if let Some(at) = command {
        world.stats.per_command[at as usize].calls += 1;
    }
    after(session, start, Step::Next);
}

#[inline]
fn run(world: &mut World, session: &mut Session, args: Args<'_>, at: u16, start: Mark, again: bool) -> Step {
    let spec = world.commands.get(at).spec;
    world.recent.note(&spec.name);
    // Commands of constant time share the batch's measurement; only the others are worth two looks at the clock.
    let last_ended = world.last_ended.take();
    let timer = (!spec.has(Flag::Fast) || world.measure_all).then(|| last_ended.unwrap_or_else(Instant::now));
    let dirty = world.keyspace.env.effects.dirty;
    let mut block = None;
    let may_block = !world.keyspace.env.obeys;
    let mut result = invoke(world, session, args, at, &mut block, may_block);
    let open = Open { at, start, timer, dirty, again };
    if matches!(result, Ok(Flow::RunQueue | Flow::RunScript)) {
        match run_long(world, session, args, at, result) {
            Ran::Done(done) => result = done,
            Ran::Paused(work) => return Step::Pause(Box::new(Paused { work, open })),
        }
    }
    conclude(world, session, args, open, block, result)
}

/// Runs a transaction or a script.
fn run_long(world: &mut World, session: &mut Session, args: Args<'_>, at: u16, wanted: CommandResult) -> Ran<Work> {
    if wanted == Ok(Flow::RunQueue) {
        return transaction::run_queue(world, session).map(Work::Queue);
    }
    let mut unit = Vec::new();
    let ran = script::start(world, session, args, at, &mut unit);
    script::append(world, &unit);
    ran.map(Work::Script)
}

/// Goes on with a request that runs a script, after others were answered.
#[allow(clippy::boxed_local)] // It travels by its box.
pub fn go_on(world: &mut World, session: &mut Session, args: Args<'_>, paused: Box<Paused>) -> Step {
    let Paused { work, open } = *paused;
    let ran = match work {
        Work::Script(paused) => {
            let mut unit = Vec::new();
            let ran = script::go_on(world, session, args, paused, &mut unit);
            script::append(world, &unit);
            ran.map(Work::Script)
        }
        Work::Queue(paused) => transaction::go_on(world, session, paused).map(Work::Queue),
    };
    match ran {
        Ran::Done(result) => conclude(world, session, args, open, None, result),
        Ran::Paused(work) => Step::Pause(Box::new(Paused { work, open })),
    }
}

/// Goes on with a request whose script is debugged: its client asks for `command`.
pub fn debug(world: &mut World, session: &mut Session, args: Args<'_>, command: Args<'_>, mut paused: Box<Paused>) -> Step {
    if let Work::Script(script) = &mut paused.work {
        script.take_command(command);
    }
    // What was told so far has left.
    paused.open.start = session.out.mark();
    go_on(world, session, args, paused)
}

/// Ends a script that is stopped in the debugger.
pub fn end_debugging(world: &mut World, session: &mut Session, args: Args<'_>, mut paused: Box<Paused>) -> Step {
    loop {
        if let Some(busy) = &mut world.scripting.busy {
            busy.killed = true;
        }
        paused.open.start = session.out.mark();
        match go_on(world, session, args, paused) {
            Step::Pause(again) => paused = again,
            step => return step,
        }
    }
}

impl<P> Ran<P> {
    fn map<Q>(self, f: impl FnOnce(P) -> Q) -> Ran<Q> {
        match self {
            Ran::Done(result) => Ran::Done(result),
            Ran::Paused(paused) => Ran::Paused(f(paused)),
        }
    }
}

/// Closes the unit of a request that ran.
#[inline]
fn conclude(
    world: &mut World,
    session: &mut Session,
    args: Args<'_>,
    open: Open,
    block: Option<BlockOn>,
    result: CommandResult,
) -> Step {
    let Open { at, start, timer, dirty, again } = open;
    let spec = world.commands.get(at).spec;
    let nanos = timer.map(|timer| {
        let ended = Instant::now();
        world.last_ended = Some(ended);
        ended.duration_since(timer).as_nanos() as u64
    });
    if result == Ok(Flow::More) {
        return leave_for_now(world, session, start, nanos.unwrap_or(0));
    }
    let nanos = if session.progress.done == 0 { nanos } else { end_progress(session, nanos) };
    let waits = match &result {
        Ok(Flow::Block) => true,
        // A key of another type is not what the client waits for; only XREADGROUP is told. That a destination is of another
        // type is an error all the same.
        Err(refusal) => {
            again && *refusal == error::WRONGTYPE && spec.name != "XREADGROUP" && waits_beside_another_type(world, session, spec)
        }
        Ok(_) => false,
    };
    if waits {
        session.out.rewind(start);
        // What it found out on the way (expired keys) is published all the same.
        if !world.keyspace.env.effects.is_quiet() {
            publish::close_unit(world, session, args, false, false);
        }
        world.last_ended = None;
        let deadline = session.awaits.and_then(|awaits| awaits.deadline);
        return Step::Wait(block.unwrap_or(BlockOn { deadline, ..BlockOn::default() }));
    }
    world.stats.per_command[at as usize].calls += 1;
    if let Some(nanos) = nanos {
        world.stats.note_duration(at, nanos, world.config.latency_tracking);
        world.note_duration(session, spec, args, nanos);
    }
    // Bounds first: what is written may be replies to other requests as well, and long values are references.
    let bytes = session.out.bytes.len().max(args.wire_bytes_bound());
    if world.slow.log.may_note(bytes) || !session.out.references.is_empty() {
        world.note_sizes(session, spec, args, start);
    }
    let step = match result {
        Ok(Flow::Done) => Step::Next,
        Ok(Flow::Close) => {
            session.closing = true;
            Step::Close
        }
        Ok(Flow::Silent) => {
            session.out.rewind(start);
            Step::Next
        }
        Ok(Flow::Block | Flow::RunQueue | Flow::RunScript | Flow::More) => Step::Next,
        Err(refusal) => {
            debug_assert_eq!(dirty, world.keyspace.env.effects.dirty, "{} failed after it changed something", spec.name);
            fail(world, session, start, &refusal, Some(at));
            Step::Next
        }
    };
    let changed = world.keyspace.env.effects.dirty != dirty;
    if changed || !world.keyspace.env.effects.is_quiet() {
        publish::close_unit(world, session, args, changed, !spec.has(Flag::TouchesArbitraryKeys));
        session.wrote_to = world.stream.end();
        if world.replication.is_fed() {
            session.replicated_to = world.replication.end(&world.stream);
        }
    }
    let step = after(session, start, step);
    if world.sessions.has_late() {
        world.sessions.collect_late(session);
    }
    step
}

/// Leaves a request in the middle, so that others have their turn.
#[cold]
fn leave_for_now(world: &mut World, session: &mut Session, start: Mark, nanos: u64) -> Step {
    session.progress.nanos += nanos;
    if session.reply_mode != ReplyMode::On {
        session.out.rewind(start);
    }
    if world.sessions.has_late() {
        world.sessions.collect_late(session);
    }
    Step::More
}

/// A request that was run bit by bit is done. Returns how long all of it took.
#[cold]
fn end_progress(session: &mut Session, nanos: Option<u64>) -> Option<u64> {
    let before = std::mem::take(&mut session.progress).nanos;
    nanos.map(|nanos| nanos + before)
}

/// Calls the handler. Only what it wrote and what it did tell of it afterwards.
#[inline]
fn invoke(
    world: &mut World,
    session: &mut Session,
    args: Args<'_>,
    at: u16,
    block: &mut Option<BlockOn>,
    may_block: bool,
) -> CommandResult {
    let spec = world.commands.get(at).spec;
    match spec.run {
        Handler::Keys(run) => {
            world.keyspace.env.no_touch = session.no_touch;
            let rights = if session.guarded { permit::rights(session, at, spec, args) } else { Rights::ALL };
            let mut ctx = KeysCtx {
                args,
                reply: ReplyWriter::new(&mut session.out, session.resp3),
                db: Selected { keyspace: &mut world.keyspace, index: session.db },
                spec,
                block,
                may_block,
                rights,
            };
            run(&mut ctx)
        }
        Handler::Session(run) => {
            let mut out = std::mem::take(&mut session.out);
            let reply = ReplyWriter::new(&mut out, session.resp3);
            let result = run(&mut SessionCtx { args, reply, session, world, spec, may_block });
            give_back(session, out);
            result
        }
        Handler::Server(run) => {
            if spec.has(Flag::SkipMonitor) {
                monitor::show_script(world, session, spec, args);
            }
            let mut out = std::mem::take(&mut session.out);
            let reply = ReplyWriter::new(&mut out, session.resp3);
            let result = run(&mut ServerCtx { args, reply, session, world, spec });
            give_back(session, out);
            result
        }
        Handler::Container => Err(admit::bad_subcommand(spec, args)),
    }
}

/// True if one of the keys that the client waits for exists with a type that its command has nothing to do with.
fn waits_beside_another_type(world: &mut World, session: &Session, spec: &CommandSpec) -> bool {
    let wanted = match spec.group {
        Group::List => ValueType::List,
        Group::SortedSet => ValueType::SortedSet,
        Group::Stream => ValueType::Stream,
        _ => return false,
    };
    let keyspace = &mut world.keyspace;
    let mut keys = world.blocked.keys_of(session.id);
    keys.any(|key| keyspace.peek(session.db, key).is_some_and(|entry| type_of(&entry) != wanted))
}

/// Applies CLIENT REPLY to what was just written.
#[inline]
fn after(session: &mut Session, start: Mark, step: Step) -> Step {
    match session.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => session.out.rewind(start),
        ReplyMode::SkipThisAndNext => {
            session.out.rewind(start);
            session.reply_mode = ReplyMode::SkipNext;
        }
        ReplyMode::SkipNext => {
            session.out.rewind(start);
            session.reply_mode = ReplyMode::On;
        }
    }
    step
}

/// Puts back the output that a handler wrote to, behind anything that was pushed to the session meanwhile.
fn give_back(session: &mut Session, mut out: crate::resp::reply::Output) {
    if !session.out.is_empty() {
        out.append(&session.out);
    }
    session.out = out;
}

/// Writes an error in place of whatever the command wrote, and counts it.
#[cold]
fn fail(world: &mut World, session: &mut Session, start: Mark, refusal: &CommandError, ran: Option<u16>) {
    session.out.rewind(start);
    ReplyWriter::new(&mut session.out, session.resp3).error_bytes(refusal.as_bytes());
    count_error(world, refusal.code());
    if let Some(at) = ran {
        world.stats.per_command[at as usize].failed += 1;
    }
}

/// Counts an error reply. Codes are few, unless someone invents them: then they are no longer told apart.
pub(super) fn count_error(world: &mut World, code: &[u8]) {
    let Some(given_up) = world.stats.count_error(code) else { return };
    tracing::warn!("Errorstats stopped adding new errors because the number of errors reached the limit ({ERROR_CODES_MAX}).");
    let codes: Vec<_> = given_up.keys().map(|code| String::from_utf8_lossy(code)).collect();
    tracing::warn!("Current errors code list: {}", codes.join(", "));
    let objects = given_up.len() as u64;
    world.keyspace.env.lazyfree.send(Garbage::Other(Box::new(given_up), objects));
}

/// Refuses what the decoder could not read; the connection is closed after the reply.
pub fn protocol_error(world: &mut World, session: &mut Session, text: &str) {
    ReplyWriter::new(&mut session.out, session.resp3).error(text);
    count_error(world, error::SYNTAX.code());
    session.closing = true;
}
