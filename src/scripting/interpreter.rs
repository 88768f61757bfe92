//! An interpreter made ready for scripts: the sandbox closed, the API in it, and what lives as long as one run.

use super::random::Lrand48;
use super::{Debugger, MEMORY_MAX, convert, debugger, library, sandbox};
use crate::resp::reply::Output;
use crate::resp::request::{Args, OwnedRequest};
use crate::stream::Targets;
use crate::sys::lua::{Fiber, FiberStack, Hook, Kept, LuaError, Machine, Outcome, Remains, State, Type};
use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a script wants of the server: it suspends itself with this. The command in question is `Run::request`.
#[derive(Clone, Copy)]
pub enum Ask {
    /// Run a command.
    Call,
    /// May the user run this command?
    MayRun,
    /// The script has run for so long that others should be answered.
    Pause,
    /// The script is stopped in the debugger: wait for its client's next command, which goes to `Run::command`.
    Command,
}

/// What the server answers.
pub enum Answer {
    /// To `Pause` and `Command`, and at the start.
    GoOn,
    /// To `Pause` and `Command`: the script is to end.
    Kill,
    /// To `Call`: the reply is in `Run::output`.
    Replied,
    /// To `Call`: the command did not run.
    Refused(Vec<u8>),
    /// To `MayRun`; `None` for a command that does not exist.
    MayRun(Option<bool>),
}

/// A script that runs. The result is true if it ended without an error; the value is on the interpreter's stack.
pub type Running = Fiber<Ask, Answer, bool>;

/// What belongs to one run of a script; its functions find it beside the interpreter.
#[derive(Default)]
pub struct Run {
    /// The protocol of replies to the script (`redis.setresp`).
    pub resp3: Cell<bool>,
    /// Who is told of writes (`redis.set_repl`).
    pub targets: Cell<Targets>,
    pub random: Cell<Lrand48>,
    /// Seeds the generator of each run, so that no script hands its own seed on to the next.
    seeds: Cell<Lrand48>,
    /// When the hook first looked at the clock.
    started: Cell<Option<Instant>>,
    /// After how long others are answered; none: never.
    patience: Cell<Option<Duration>>,
    /// The command that the script asks for, and what is replied to it.
    pub request: RefCell<OwnedRequest>,
    pub output: RefCell<Output>,
    /// While the script is debugged: the session, and what its client asks for.
    pub debugger: RefCell<Option<Box<Debugger>>>,
    pub command: RefCell<OwnedRequest>,
    /// Addresses of the tables that scripts may not change.
    pub(super) protected: RefCell<Vec<usize>>,
    /// Lua's `next`.
    pub(super) next: RefCell<Option<Kept>>,
    /// While FUNCTION LOAD runs a library: what it registers.
    pub(super) loading: RefCell<Option<Vec<library::Registered>>>,
}

impl Run {
    /// That of a running script.
    pub fn of(state: &State) -> Rc<Run> {
        state.context::<Run>().unwrap_or_default()
    }

    fn begin(&self, patience: Option<Duration>) {
        self.resp3.set(false);
        self.targets.set(Targets::ALL);
        let mut seeds = self.seeds.get();
        self.random.set(Lrand48::seeded(seeds.next() as i32));
        self.seeds.set(seeds);
        self.started.set(None);
        self.patience.set(patience);
    }

    /// How long the run took so far, beyond `patience`.
    fn is_late(&self) -> bool {
        let Some(patience) = self.patience.get() else { return false };
        let started = self.started.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.started.set(Some(now));
            now
        });
        started.elapsed() >= patience
    }
}

/// What the interpreter is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// EVAL and its like.
    Scripts,
    /// FCALL.
    Functions,
}

/// An interpreter at rest.
pub struct Interpreter {
    machine: Machine,
    stack: FiberStack,
    run: Rc<Run>,
    /// See `on_error`.
    handler: Kept,
    /// Globals of scripts, where KEYS and ARGV are put.
    globals: Kept,
    /// What `globals` of functions are while a library is loaded, and otherwise.
    scopes: Option<library::Scopes>,
}

/// A script in the middle of its run, and what it needs beside its fiber.
pub struct Suspended {
    fiber: Running,
    run: Rc<Run>,
    handler: Kept,
    globals: Kept,
    scopes: Option<library::Scopes>,
}

impl Interpreter {
    /// A new one.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(purpose: Purpose) -> Result<Self, LuaError> {
        let mut machine = Machine::new(MEMORY_MAX)?;
        let run = Rc::new(Run { seeds: Cell::new(Lrand48::by_chance()), ..Run::default() });
        machine.add_context(run.clone());
        let mut state = machine.state();
        state.push_function(on_error)?;
        let handler = state.keep()?;
        let globals = sandbox::close(&mut state, &run)?;
        let scopes = match purpose {
            Purpose::Scripts => None,
            Purpose::Functions => Some(library::Scopes::open(&mut state, &run)?),
        };
        state.set_top(0)?;
        state.collect();
        let stack = FiberStack::new().map_err(|_| LuaError::Memory)?;
        Ok(Interpreter { machine, stack, run, handler, globals, scopes })
    }

    /// The stack.
    pub fn state(&mut self) -> State {
        self.machine.state()
    }

    /// Ends its use, so that it can be dropped elsewhere.
    pub fn retire(self) -> Remains {
        self.machine.retire()
    }

    /// What belongs to the last run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Bytes of memory in use.
    pub fn memory(&self) -> usize {
        self.machine.memory()
    }

    /// Compiles a script or library. The message names its source and line.
    pub fn compile(&mut self, source: &[u8], name: &CStr) -> Result<Kept, Vec<u8>> {
        let mut state = self.state();
        let made = state.load(source, name).and_then(|()| state.keep());
        let message = state.bytes(-1).unwrap_or(b"not enough memory").to_vec();
        let _ = state.set_top(0);
        made.map_err(|_| message)
    }

    /// Forgets a function.
    pub fn release(&mut self, function: Kept) {
        self.state().release(function);
    }

    /// Makes a script ready to run: its function and its arguments are on the stack then.
    pub fn prepare(&mut self, function: &Kept, keys: usize, args: Args<'_>, as_globals: bool) -> Outcome {
        let mut state = self.machine.state();
        state.set_top(0)?;
        state.push_kept(&self.handler)?;
        if as_globals {
            state.push_kept(&self.globals)?;
            push_list(&mut state, args, 0, keys)?;
            state.raw_set_field(-2, "KEYS")?;
            push_list(&mut state, args, keys, args.len())?;
            state.raw_set_field(-2, "ARGV")?;
            state.pop(1);
            state.push_kept(function)
        } else {
            state.push_kept(function)?;
            push_list(&mut state, args, 0, keys)?;
            push_list(&mut state, args, keys, args.len())
        }
    }

    /// Makes a run of what `prepare` made ready; the first answer, `GoOn`, starts it.
    pub fn start(self, patience: Option<Duration>) -> Suspended {
        self.run.begin(patience);
        self.start_with(move |state| state.set_tick(patience.map(|_| on_hook as Hook)))
    }

    /// As `start`, under the debugger.
    pub fn start_debugged(self, session: Box<Debugger>) -> Suspended {
        self.run.begin(None);
        *self.run.debugger.borrow_mut() = Some(session);
        self.start_with(debugger::attach)
    }

    fn start_with(self, watch: impl FnOnce(&mut State) + 'static) -> Suspended {
        let body = move |state: &mut State, _: Answer| {
            watch(state);
            let arguments = state.top().saturating_sub(2);
            let ended = state.call_handled(arguments, 1, 1).is_ok();
            state.set_tick(None);
            ended
        };
        let fiber = Fiber::new(self.machine, self.stack, body);
        Suspended { fiber, run: self.run, handler: self.handler, globals: self.globals, scopes: self.scopes }
    }

    /// Runs a library's source, which registers functions. The error's text, if it fails.
    pub fn load_library(mut self, source: &[u8], limit: Option<Duration>) -> (Self, Result<Vec<library::Registered>, Vec<u8>>) {
        let function = match self.compile(source, c"@user_function") {
            Ok(function) => function,
            Err(message) => return (self, Err([b"ERR Error compiling function: ", &message[..]].concat())),
        };
        self.run.begin(limit);
        *self.run.loading.borrow_mut() = Some(Vec::new());
        let prepared = (|| {
            let mut state = self.machine.state();
            state.push_function(as_it_is)?;
            state.push_kept(&function)?;
            self.scopes.as_ref().map_or(Ok(()), |scopes| scopes.enter_loading(&mut state))
        })();
        let (mut interpreter, ended) = match prepared {
            Err(_) => (self, false),
            Ok(()) => {
                let mut suspended = self.start_with(|state| state.set_tick(Some(on_load_hook)));
                // Nothing in a library's load asks: the API for that is not in scope.
                let asked = suspended.resume(Answer::GoOn).is_some();
                while asked && suspended.resume(Answer::Kill).is_some() {}
                let (interpreter, ended) = suspended.end();
                (interpreter, ended && !asked)
            }
        };
        let registered = interpreter.run.loading.take().unwrap_or_default();
        let mut state = interpreter.machine.state();
        let message = match state.type_of(-1) {
            Type::Table => convert::string_field(&mut state, -1, "err").ok().flatten(),
            _ => state.bytes(-1).map(|text| [b"ERR ", text].concat()),
        };
        if let Some(scopes) = &interpreter.scopes {
            let _ = scopes.leave_loading(&mut state);
        }
        let _ = state.set_top(0);
        state.release(function);
        if ended {
            return (interpreter, Ok(registered));
        }
        registered.into_iter().for_each(|one| interpreter.release(one.callback));
        let text = message.unwrap_or_default();
        (interpreter, Err([b"ERR Error registering functions: ", &text[..]].concat()))
    }

    /// Tidies up after a run, whose result has been read.
    pub fn settle(&mut self) {
        /// Garbage beyond this is not left to the next script.
        const GARBAGE_MAX: usize = 32 << 20;
        let mut state = self.machine.state();
        let _ = state.set_top(0);
        self.run.output.borrow_mut().forget();
        if state.memory() > GARBAGE_MAX {
            state.collect();
        }
    }
}

impl Suspended {
    /// Goes on with the answer. `None` when the script has ended: `end` must follow.
    #[inline]
    pub fn resume(&mut self, answer: Answer) -> Option<Ask> {
        self.fiber.resume(answer)
    }

    /// What belongs to the run.
    #[inline]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The interpreter of a script that has ended, and whether it did so without an error: the value on top is its result, or
    /// the error.
    pub fn end(self) -> (Interpreter, bool) {
        let Suspended { fiber, run, handler, globals, scopes } = self;
        let (machine, stack, ended) = fiber.end().expect("the script has ended");
        (Interpreter { machine, stack, run, handler, globals, scopes }, ended)
    }
}

fn push_list(state: &mut State, args: Args<'_>, from: usize, to: usize) -> Outcome {
    state.push_table(to - from, 0)?;
    for (n, at) in (from..to).enumerate() {
        state.push_bytes(args.get(at))?;
        state.raw_set_item(-2, n as i32 + 1)?;
    }
    Ok(())
}

/// Makes of any error a table that tells where it came from, while the place is still on the stack.
fn on_error(state: &mut State) -> Result<usize, LuaError> {
    if state.type_of(1) != Type::Table {
        let text = match state.type_of(1) {
            Type::Nil | Type::None => b"nil".to_vec(),
            Type::Boolean => state.truth(1).to_string().into_bytes(),
            Type::String | Type::Number => state.text(1).unwrap_or_default().to_vec(),
            other => format!("{}: {:#x}", other.name(), state.address(1).unwrap_or_default()).into_bytes(),
        };
        state.set_top(0)?;
        convert::push_error(state, &[b"ERR ", &text[..]].concat(), false)?;
    }
    // The function that raised the error, or its caller if that is one of ours.
    let is_lua = |place: &crate::sys::lua::Place| place.line >= 0;
    if let Some(place) = state.place_of(1).filter(is_lua).or_else(|| state.place_of(2)) {
        state.push_bytes(&place.source)?;
        state.raw_set_field(1, "source")?;
        state.push_bytes(place.line.to_string().as_bytes())?;
        state.raw_set_field(1, "line")?;
    }
    state.set_top(1)?;
    Ok(1)
}

/// Leaves an error as it is.
fn as_it_is(state: &mut State) -> Result<usize, LuaError> {
    state.set_top(1)?;
    Ok(1)
}

/// Lets others be answered when the script takes long; ends it when one of them says so.
fn on_hook(state: &mut State) -> Result<(), LuaError> {
    if !Run::of(state).is_late() {
        return Ok(());
    }
    state.set_tick(None);
    match state.ask::<Ask, Answer>(Ask::Pause) {
        Some(Answer::Kill) => {
            tracing::info!("Lua script killed by user with SCRIPT KILL.");
            // From now on every instruction ends it, so that it cannot catch that.
            state.set_hook(Some((on_kill_hook, 1)));
            on_kill_hook(state)
        }
        _ => {
            state.set_tick(Some(on_hook));
            Ok(())
        }
    }
}

/// Ends the script.
pub(super) fn on_kill_hook(state: &mut State) -> Result<(), LuaError> {
    convert::push_error(state, b"ERR Script killed by user with SCRIPT KILL...", false)?;
    Err(LuaError::Value)
}

fn on_load_hook(state: &mut State) -> Result<(), LuaError> {
    if !Run::of(state).is_late() {
        return Ok(());
    }
    state.set_hook(Some((on_late_load_hook, 1)));
    on_late_load_hook(state)
}

fn on_late_load_hook(state: &mut State) -> Result<(), LuaError> {
    convert::push_error(state, b"ERR FUNCTION LOAD timeout", false)?;
    Err(LuaError::Value)
}
