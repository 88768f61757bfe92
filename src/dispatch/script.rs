//! Scripts: runs the commands that they ask for, and ends them.
//!
//! A script asks by suspending itself, so what it wants is done here, with everything at hand, and it is resumed with the
//! answer. One that takes long is left suspended; the engine answers others and comes back.

use super::{Ran, fail, invoke, monitor, permit, publish, route, tracking};
use crate::acl::Place;
use crate::command::error::{self, CommandError};
use crate::command::permission::{self, denial_text};
use crate::command::spec::{CommandSpec, Flag, Flow, Handler};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::{Args, OwnedRequest};
use crate::scripting::cache::{parse_sha, sha1_hex};
use crate::scripting::flags::{Flags, of_script};
use crate::scripting::{self, Answer, Ask, Busy, Interpreter, Prepared, Purpose, Run, Suspended};
use crate::session::{Origin, Session};
use crate::stats::CommandStats;
use crate::stream::Part;
use crate::sys::lua::Type;
use crate::world::{Order, World};
use std::time::{Duration, Instant};

/// What belongs to a running script on this side.
struct Script {
    /// The command that runs it.
    at: u16,
    purpose: Purpose,
    name: Box<[u8]>,
    /// The client that its commands think they serve.
    session: Box<Session>,
    /// What it propagates: one unit.
    unit: Vec<Part>,
    read_only: bool,
    allow_oom: bool,
    /// On a node of a cluster: the slot of its keys, as soon as it is known, and whether it has to keep to that.
    slot: Option<u16>,
    keeps_to_slot: bool,
    /// Memory was short when it started.
    memory_short: bool,
    wrote: bool,
    /// Commands that it has run which are measured.
    calls: u32,
    /// The time that it sees all along.
    now_micros: i64,
}

/// A script that takes long, or is stopped in the debugger.
pub struct Paused {
    script: Script,
    suspended: Suspended,
    /// It waits for the next command of its client.
    pub awaits_client: bool,
}

impl Paused {
    /// Takes the command of the client for which it waits.
    pub fn take_command(&mut self, command: Args<'_>) {
        *self.suspended.run().command.borrow_mut() = OwnedRequest::copy(command);
    }
}

/// Runs the script that its command's handler prepared. What it propagates is added to `unit`.
pub(super) fn start(world: &mut World, session: &mut Session, args: Args<'_>, at: u16, unit: &mut Vec<Part>) -> Ran<Box<Paused>> {
    let spec = world.commands.get(at).spec;
    let Some(prepared) = world.scripting.prepared.take() else { return Ran::Done(Ok(Flow::Done)) };
    let Prepared { interpreter, purpose, name, flags, read_only, debugger } = prepared;
    let mut own = world.scripting.session.take().unwrap_or_else(|| {
        Box::new(Session { origin: Origin::Internal, authenticated: true, peer: "lua".into(), ..Session::default() })
    });
    own.db = session.db;
    own.user = session.user.clone();
    own.guarded = session.guarded;
    // What its commands read and change, the client does.
    own.id = session.id;
    own.tracking = session.tracking;
    own.no_touch = session.no_touch;
    (own.asking, own.reads_replica) = (session.asking, session.reads_replica);
    let script = Script {
        at,
        purpose,
        name,
        session: own,
        unit: Vec::new(),
        read_only: read_only || (!flags.is_compatible() && flags.has(Flags::NO_WRITES)),
        allow_oom: !flags.is_compatible() && flags.has(Flags::ALLOW_OOM),
        slot: world.cluster.as_ref().and_then(|_| route::slot_of(spec, args)),
        keeps_to_slot: !flags.is_compatible() && !flags.has(Flags::ALLOW_CROSS_SLOT),
        memory_short: world.memory_short && !world.keyspace.env.obeys,
        wrote: false,
        calls: 0,
        now_micros: world.keyspace.env.now_micros,
    };
    let threshold = world.config.busy_reply_threshold;
    let patience = (threshold > 0).then(|| Duration::from_millis(threshold as u64));
    let suspended = match debugger {
        Some(debugger) => {
            tracing::info!("Redis synchronous debugging eval session started");
            interpreter.start_debugged(debugger)
        }
        None => interpreter.start(patience),
    };
    proceed(world, session, args, script, suspended, Answer::GoOn, unit)
}

/// Goes on with a script that was paused.
#[allow(clippy::boxed_local)] // It travels by its box.
pub(super) fn go_on(
    world: &mut World,
    session: &mut Session,
    args: Args<'_>,
    paused: Box<Paused>,
    unit: &mut Vec<Part>,
) -> Ran<Box<Paused>> {
    let Paused { script, suspended, .. } = *paused;
    let killed = world.scripting.busy.as_ref().is_some_and(|busy| busy.killed);
    let outside = std::mem::replace(&mut world.keyspace.env.now_micros, script.now_micros);
    let answer = if killed { Answer::Kill } else { Answer::GoOn };
    let ran = proceed(world, session, args, script, suspended, answer, unit);
    world.keyspace.env.now_micros = outside;
    ran
}

fn proceed(
    world: &mut World,
    session: &mut Session,
    args: Args<'_>,
    mut script: Script,
    mut suspended: Suspended,
    mut answer: Answer,
    unit: &mut Vec<Part>,
) -> Ran<Box<Paused>> {
    loop {
        match suspended.resume(answer) {
            Some(Ask::Call) => answer = call(world, session, &mut script, suspended.run()),
            Some(Ask::MayRun) => answer = Answer::MayRun(may_run(world, &script, suspended.run().request.borrow().args())),
            Some(Ask::Pause) => {
                note_busy(world, &script, args, false);
                return Ran::Paused(Box::new(Paused { script, suspended, awaits_client: false }));
            }
            Some(Ask::Command) => {
                if let Some(debugger) = &mut *suspended.run().debugger.borrow_mut() {
                    debugger.answer(&mut ReplyWriter::new(&mut session.out, session.resp3));
                }
                note_busy(world, &script, args, true);
                return Ran::Paused(Box::new(Paused { script, suspended, awaits_client: true }));
            }
            None => break,
        }
    }
    let (interpreter, ended) = suspended.end();
    unit.append(&mut script.unit);
    let debugger = interpreter.run().debugger.take();
    let flow = if debugger.is_some() { Flow::Close } else { Flow::Done };
    if let Some(mut debugger) = debugger {
        tracing::info!("Redis synchronous debugging eval session ended");
        debugger.end();
        debugger.answer(&mut ReplyWriter::new(&mut session.out, session.resp3));
        // Those who had to wait.
        world.orders.push_back(Order::Resume);
    }
    finish(world, session, script, interpreter, ended);
    // What is to propagate is in the unit: the request that ran the script is not.
    world.keyspace.env.effects.propagate_nothing();
    Ran::Done(Ok(flow))
}

/// Makes it known that a script takes long, or that it is stopped in the debugger.
fn note_busy(world: &mut World, script: &Script, args: Args<'_>, debugged: bool) {
    if let Some(busy) = &mut world.scripting.busy {
        busy.wrote |= script.wrote;
        return;
    }
    let command = if script.purpose == Purpose::Scripts { "SCRIPT KILL" } else { "FUNCTION KILL" };
    let millis = if debugged { 0 } else { world.config.busy_reply_threshold };
    if !debugged {
        tracing::warn!(
            "Slow script detected: still in execution after {millis} milliseconds. You can try killing the script using the \
             {command} command. Script name is: {}.",
            String::from_utf8_lossy(&script.name)
        );
    }
    world.scripting.busy = Some(Busy {
        purpose: script.purpose,
        name: script.name.clone(),
        request: OwnedRequest::copy(args),
        started: Instant::now() - Duration::from_millis(millis.max(0) as u64),
        wrote: script.wrote,
        killed: false,
        debugged,
    });
}

/// Runs the command that a script asks for. `client` is who runs the script.
fn call(world: &mut World, client: &Session, script: &mut Script, run: &Run) -> Answer {
    let request = run.request.borrow();
    let (args, resp3) = (request.args(), run.resp3.get());
    let Some(at) = super::lookup(&world.commands, args).filter(|at| !is_unknown_subcommand(world.commands.get(*at).spec, args))
    else {
        return refuse(world, CommandError::new("ERR Unknown Redis command called from script"), None);
    };
    let spec = world.commands.get(at).spec;
    if let Err(refusal) = admit_call(world, client, script, at, args) {
        return refuse(world, refusal, Some(at));
    }
    script.wrote |= spec.has(Flag::Write);
    script.session.resp3 = resp3;
    script.session.out.clear();
    world.stats.commands += 1;
    let start = script.session.out.mark();
    let timer = (!spec.has(Flag::Fast) || world.measure_all).then(|| script.timer(&world.stats.per_command[at as usize]));
    let dirty = world.keyspace.env.effects.dirty;
    let result = invoke(world, &mut script.session, args, at, &mut None, false);
    if let Some(timer) = timer {
        world.stats.note_duration(at, timer.nanos(), world.config.latency_tracking);
    }
    world.stats.per_command[at as usize].calls += 1;
    match result {
        Ok(Flow::Block) => {
            script.session.out.rewind(start);
            ReplyWriter::new(&mut script.session.out, resp3).null_array();
        }
        Ok(Flow::RunScript | Flow::RunQueue) => {
            // Only where a test allows it: there is one script at a time.
            world.scripting.prepared = None;
            let refusal = CommandError::new("ERR scripts cannot be nested");
            fail(world, &mut script.session, start, &refusal, Some(at));
        }
        Ok(_) => {}
        Err(refusal) => fail(world, &mut script.session, start, &refusal, Some(at)),
    }
    let changed = world.keyspace.env.effects.dirty != dirty;
    if changed || !world.keyspace.env.effects.is_quiet() {
        publish::close_part(world, &script.session, args, changed, run.targets.get(), &mut script.unit);
    }
    if script.session.tracking {
        tracking::note_keys(world, &script.session, spec, args);
    }
    monitor::show(world, &script.session, spec, args);
    std::mem::swap(&mut *run.output.borrow_mut(), &mut script.session.out);
    Answer::Replied
}

/// How long a command takes: measured, or taken from the last time that it was.
enum Timer {
    Since(Instant),
    Nanos(u64),
}

impl Timer {
    fn nanos(self) -> u64 {
        match self {
            Timer::Since(start) => start.elapsed().as_nanos() as u64,
            Timer::Nanos(nanos) => nanos,
        }
    }
}

impl Script {
    /// Two looks at the clock cost as much as a quarter of a short command: of many calls in a script, one of some is measured.
    #[inline]
    fn timer(&mut self, stats: &CommandStats) -> Timer {
        const ALL_MEASURED: u32 = 16;
        const MEASURED_ONE_OF: u32 = 16;
        self.calls = self.calls.wrapping_add(1);
        if self.calls > ALL_MEASURED && !self.calls.is_multiple_of(MEASURED_ONE_OF) && stats.last_nanos != 0 {
            return Timer::Nanos(stats.last_nanos);
        }
        Timer::Since(Instant::now())
    }
}

fn is_unknown_subcommand(spec: &CommandSpec, args: Args<'_>) -> bool {
    matches!(spec.run, Handler::Container) && args.len() > 1
}

/// Refuses what a script may not run, in the order in which the original looks at it.
fn admit_call(world: &mut World, client: &Session, script: &mut Script, at: u16, args: Args<'_>) -> Result<(), CommandError> {
    let spec = world.commands.get(at).spec;
    if !spec.arity.allows(args.len()) {
        return Err(CommandError::new("ERR Wrong number of args calling Redis command from script"));
    }
    let not_for_scripts = spec.has(Flag::NoScript) && !world.debug.any_command_in_scripts;
    if not_for_scripts || matches!(spec.run, Handler::Container) {
        return Err(CommandError::new("ERR This Redis command is not allowed from script"));
    }
    let session = &script.session;
    if session.guarded
        && let Err(denial) = permit::check(world, client, at, spec, args, Place::Script)
    {
        let text = session.user.as_ref().map(|user| denial_text(denial, user, spec, args, false));
        return Err(CommandError::bytes([b"ERR ACL failure in script: ", &text.unwrap_or_default()[..]].concat()));
    }
    if script.read_only && (spec.has(Flag::Write) || spec.has(Flag::MayReplicate)) {
        return Err(CommandError::new("ERR Write commands are not allowed from read-only scripts."));
    }
    if world.read_only && spec.has(Flag::Write) && !world.keyspace.env.obeys {
        return Err(error::READONLY);
    }
    if world.is_restricted && world.is_stale() && !spec.has(Flag::Stale) && !world.keyspace.env.obeys {
        return Err(CommandError::new("ERR Can not execute the command on a stale replica"));
    }
    // A script that has written already cannot be stopped in the middle.
    if world.is_restricted
        && spec.has(Flag::Write)
        && !script.wrote
        && !world.keyspace.env.obeys
        && let Some(refusal) = world.refused_writes().or_else(|| world.replication.lacking.then_some(error::NOREPLICAS))
    {
        return Err(refusal);
    }
    if script.memory_short && !script.allow_oom && !script.wrote && spec.has(Flag::DenyOom) {
        return Err(error::OOM);
    }
    route::admit_call(world, &script.session, spec, args, script.keeps_to_slot.then_some(&mut script.slot))
}

/// Whether the script's user may run a command; `None` if there is no such.
fn may_run(world: &World, script: &Script, args: Args<'_>) -> Option<bool> {
    let at = super::lookup(&world.commands, args)?;
    let spec = world.commands.get(at).spec;
    let user = script.session.user.as_ref().filter(|_| script.session.guarded);
    (!is_unknown_subcommand(spec, args)).then(|| user.is_none_or(|user| permission::may_run(user, at, spec, args).is_ok()))
}

#[cold]
fn refuse(world: &mut World, refusal: CommandError, at: Option<u16>) -> Answer {
    super::count_error(world, refusal.code());
    if let Some(at) = at {
        world.stats.per_command[at as usize].rejected += 1;
    }
    Answer::Refused(refusal.as_bytes().to_vec())
}

/// Turns a script's result into the reply, and puts everything back.
fn finish(world: &mut World, session: &mut Session, mut script: Script, mut interpreter: Interpreter, ended: bool) {
    let resp3 = interpreter.run().resp3.get();
    let mut state = interpreter.state();
    let mut reply = ReplyWriter::new(&mut session.out, session.resp3);
    let (is_error, to_count) = if ended {
        let returned = scripting::write_reply(&mut state, &mut reply, resp3);
        (returned.is_error, returned.error_to_count)
    } else {
        let (text, counted) = error_text(&mut state, &script.name);
        reply.error_bytes(&text);
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        (true, (!counted).then(|| code.to_vec()))
    };
    world.stats.per_command[script.at as usize].failed += u64::from(is_error);
    // An error of a command was counted when that ran.
    if let Some(code) = to_count {
        super::count_error(world, &code);
    }
    interpreter.settle();
    script.session.out.forget();
    world.scripting.give_back(script.purpose, interpreter);
    world.scripting.session = Some(script.session);
    world.scripting.busy = None;
}

/// The text for the client of the error on top, and whether it was counted where it came from.
fn error_text(state: &mut crate::sys::lua::State, name: &[u8]) -> (Vec<u8>, bool) {
    if state.type_of(-1) != Type::Table {
        let text = state.bytes(-1).unwrap_or(b"execution failure");
        return ([b"ERR Error running script ", name, b", ", text].concat(), false);
    }
    let mut field = |name: &str| scripting::string_field(state, -1, name).ok().flatten();
    let (text, source, line) = (field("err"), field("source"), field("line"));
    let counted = state.raw_get_field(-1, "ignore_error_stats_update").is_ok() && state.truth(-1);
    let mut text = text.unwrap_or_else(|| b"ERR unknown error".to_vec());
    if let (Some(source), Some(line)) = (source, line) {
        text = [&text[..], b" script: ", name, b", on ", &source, b":", &line, b"."].concat();
    }
    (text, counted)
}

/// What a request that would run a script says about it, if the script is known.
pub(super) fn flags_of(world: &World, spec: &CommandSpec, args: Args<'_>) -> Option<Flags> {
    let scripting = &world.scripting;
    let flags = match spec.name {
        "EVAL" | "EVAL_RO" => match scripting.cache.get(&sha1_hex(args.get(1))) {
            Some(script) => script.flags,
            None => of_script(args.get(1)).ok()?.0,
        },
        "EVALSHA" | "EVALSHA_RO" => scripting.cache.get(&parse_sha(args.get(1))?)?.flags,
        "FCALL" | "FCALL_RO" => scripting.libraries.function(args.get(1))?.flags,
        _ => return None,
    };
    (!flags.is_compatible()).then_some(flags)
}

/// True if a request has to wait until a script is no longer debugged.
pub(super) fn is_held_up(world: &World, spec: &CommandSpec) -> bool {
    world.scripting.busy.as_ref().is_some_and(|busy| busy.debugged) && !spec.has(Flag::AllowBusy)
}

/// Refuses a request while a script takes long.
pub(super) fn admit_while_busy(world: &World, spec: &CommandSpec) -> Result<(), CommandError> {
    match &world.scripting.busy {
        Some(busy) if !spec.has(Flag::AllowBusy) => Err(crate::commands::scripting::busy_error(busy.purpose)),
        _ => Ok(()),
    }
}

/// Takes the requests of a unit to the write stream.
pub(super) fn append(world: &mut World, unit: &[Part]) {
    world.stream.append_parts(unit);
}
