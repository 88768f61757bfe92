//! The table `redis` (also called `server`): what scripts can ask of the server.

use super::convert::{self, to_i64};
use super::interpreter::{Answer, Ask, Run};
use super::{debugger, library};
use crate::config::REDIS_VERSION;
use crate::resp::number;
use crate::resp::request::OwnedRequest;
use crate::stream::Targets;
use crate::sys::lua::{Argument, LuaError, LuaFn, Outcome, State, Type};

const LOG_DEBUG: i64 = 0;
const LOG_WARNING: i64 = 3;

/// For scripts.
const FUNCTIONS: &[(&str, LuaFn)] = &[
    ("log", log),
    ("setresp", setresp),
    ("sha1hex", sha1hex),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("set_repl", set_repl),
    ("acl_check_cmd", acl_check_cmd),
    ("replicate_commands", replicate_commands),
    ("breakpoint", breakpoint),
    ("debug", debug),
];

/// For scripts, and theirs are two texts.
const CALLS: &[(&str, LuaFn)] = &[("call", call), ("pcall", pcall)];

/// For libraries while they are loaded.
const LOADING_FUNCTIONS: &[(&str, LuaFn)] = &[("register_function", library::register_function), ("log", log)];

const LOG_LEVELS: &[(&str, i64)] =
    &[("LOG_DEBUG", LOG_DEBUG), ("LOG_VERBOSE", 1), ("LOG_NOTICE", 2), ("LOG_WARNING", LOG_WARNING)];

const REPL_TARGETS: &[(&str, Targets)] = &[
    ("REPL_NONE", Targets::NONE),
    ("REPL_AOF", Targets::FILE),
    ("REPL_SLAVE", Targets::REPLICAS),
    ("REPL_REPLICA", Targets::REPLICAS),
    ("REPL_ALL", Targets::ALL),
];

/// Leaves the table for scripts on top.
pub(super) fn open(state: &mut State) -> Outcome {
    open_with(state, FUNCTIONS)?;
    for (name, function) in CALLS {
        // At hand, as most replies are made of them.
        state.push_bytes(b"ok")?;
        state.push_bytes(b"OK")?;
        state.push_closure(*function, 2)?;
        state.raw_set_field(-2, name)?;
    }
    for (name, targets) in REPL_TARGETS {
        state.push_number(f64::from(targets.0))?;
        state.raw_set_field(-2, name)?;
    }
    Ok(())
}

/// Leaves the table for libraries that are being loaded on top.
pub(super) fn open_for_loading(state: &mut State) -> Outcome {
    open_with(state, LOADING_FUNCTIONS)
}

fn open_with(state: &mut State, functions: &[(&str, LuaFn)]) -> Outcome {
    state.push_table(0, 32)?;
    for (name, function) in functions {
        state.set_function(-1, name, *function)?;
    }
    for (name, level) in LOG_LEVELS {
        state.push_number(*level as f64)?;
        state.raw_set_field(-2, name)?;
    }
    state.push_bytes(REDIS_VERSION.as_bytes())?;
    state.raw_set_field(-2, "REDIS_VERSION")?;
    state.push_number(f64::from(version_number()))?;
    state.raw_set_field(-2, "REDIS_VERSION_NUM")
}

/// The version as one number, a byte for each part.
fn version_number() -> u32 {
    REDIS_VERSION.split('.').fold(0, |sum, part| sum << 8 | part.parse::<u32>().unwrap_or_default())
}

/// Leaves an error without a code of its own on the stack, to be raised or returned.
fn refuse(state: &mut State, text: &str) -> Outcome {
    push_error(state, format!("ERR {text}").as_bytes(), false)
}

fn push_error(state: &mut State, text: &[u8], counted: bool) -> Outcome {
    debugger::note_own_error(&Run::of(state), text);
    convert::push_error(state, text, counted)
}

/// Raises an error.
fn raise<T>(state: &mut State, text: &str) -> Result<T, LuaError> {
    refuse(state, text)?;
    Err(LuaError::Value)
}

/// redis.call(command, …): an error of the command is raised.
fn call(state: &mut State) -> Result<usize, LuaError> {
    if run_command(state)? { Err(LuaError::Value) } else { Ok(1) }
}

/// redis.pcall(command, …): an error of the command is returned.
fn pcall(state: &mut State) -> Result<usize, LuaError> {
    run_command(state)?;
    Ok(1)
}

/// Runs a command and leaves its reply on top. True if that is an error.
fn run_command(state: &mut State) -> Result<bool, LuaError> {
    let run = Run::of(state);
    if let Err(text) = read_request(state, &mut run.request.borrow_mut()) {
        refuse(state, text)?;
        return Ok(true);
    }
    state.set_top(0)?;
    let is_stepping = debugger::is_stepping(&run);
    if is_stepping {
        debugger::note_command(&run, run.request.borrow().args());
    }
    match state.ask::<Ask, Answer>(Ask::Call) {
        Some(Answer::Replied) if is_stepping => {
            let reply = run.output.borrow().flatten();
            let is_error = convert::push_reply(state, &reply)?;
            debugger::note_reply(&run, &reply);
            Ok(is_error)
        }
        Some(Answer::Replied) => {
            let output = run.output.borrow();
            if output.references.is_empty() {
                push_reply(state, &output.bytes)
            } else {
                convert::push_reply(state, &output.flatten())
            }
        }
        Some(Answer::Refused(text)) => {
            push_error(state, &text, true)?;
            Ok(true)
        }
        _ => raise(state, "redis.call/pcall can only be called inside a script invocation"),
    }
}

/// Pushes a reply: the most frequent kinds by short ways.
#[inline]
fn push_reply(state: &mut State, reply: &[u8]) -> Result<bool, LuaError> {
    match reply {
        b"+OK\r\n" => {
            state.push_table(0, 1)?;
            state.push_upvalue(1)?;
            state.push_upvalue(2)?;
            state.raw_set(1)?;
        }
        [b':', digit @ b'0'..=b'9', b'\r', b'\n'] => state.push_number(f64::from(digit - b'0'))?,
        [b'$', digit @ b'0'..=b'9', b'\r', b'\n', rest @ ..] => {
            let len = usize::from(digit - b'0');
            state.push_bytes(rest.get(..len).unwrap_or_default())?;
        }
        _ => return convert::push_reply(state, reply),
    }
    Ok(false)
}

/// Reads the arguments of a command.
fn read_request(state: &State, request: &mut OwnedRequest) -> Result<(), &'static str> {
    request.clear();
    if state.top() == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let readable = state.each_argument(|argument| match argument {
        Argument::Bytes(bytes) => request.push(bytes),
        Argument::Number(number) => push_number(request, number),
    });
    if readable { Ok(()) } else { Err("Lua redis lib command arguments must be strings or integers") }
}

/// Numbers become integers where they are, and otherwise the shortest text that reads back the same.
fn push_number(request: &mut OwnedRequest, number: f64) {
    let integer = to_i64(number);
    if integer as f64 == number && integer != i64::MIN && !(number == 0.0 && number.is_sign_negative()) {
        request.push(itoa::Buffer::new().format(integer).as_bytes());
    } else {
        request.push(number::f64_text(number).as_bytes());
    }
}

/// redis.sha1hex(text)
fn sha1hex(state: &mut State) -> Result<usize, LuaError> {
    if state.top() != 1 {
        return raise(state, "wrong number of arguments");
    }
    let digest = super::cache::sha1_hex(state.text(1).unwrap_or_default());
    state.push_bytes(&digest)?;
    Ok(1)
}

/// redis.error_reply(text)
fn error_reply(state: &mut State) -> Result<usize, LuaError> {
    if state.top() != 1 || state.type_of(1) != Type::String {
        refuse(state, "wrong number or type of arguments")?;
        return Ok(1);
    }
    let text = state.bytes(1).unwrap_or_default().to_vec();
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    // A text of one word is no code.
    let text = if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() };
    debugger::note_error(&Run::of(state), &text);
    convert::push_error(state, &text, false)?;
    Ok(1)
}

/// redis.status_reply(text)
fn status_reply(state: &mut State) -> Result<usize, LuaError> {
    if state.top() != 1 || state.type_of(1) != Type::String {
        refuse(state, "wrong number or type of arguments")?;
        return Ok(1);
    }
    state.push_table(0, 1)?;
    state.push_copy(1)?;
    state.raw_set_field(-2, "ok")?;
    Ok(1)
}

/// redis.setresp(version)
fn setresp(state: &mut State) -> Result<usize, LuaError> {
    if state.top() != 1 {
        return raise(state, "redis.setresp() requires one argument.");
    }
    let version = state.number(1).map(to_i64);
    match version {
        Some(2 | 3) => {
            Run::of(state).resp3.set(version == Some(3));
            Ok(0)
        }
        _ => raise(state, "RESP version must be 2 or 3."),
    }
}

/// redis.set_repl(targets)
fn set_repl(state: &mut State) -> Result<usize, LuaError> {
    if state.top() != 1 {
        return raise(state, "redis.set_repl() requires one argument.");
    }
    let targets = to_i64(state.number(1).unwrap_or_default());
    if targets & !i64::from(Targets::ALL.0) != 0 {
        return raise(state, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    }
    Run::of(state).targets.set(Targets(targets as u8));
    Ok(0)
}

/// redis.log(level, text, …)
fn log(state: &mut State) -> Result<usize, LuaError> {
    let count = state.top() as i32;
    if count < 2 {
        return raise(state, "redis.log() requires two arguments or more.");
    }
    let Some(level) = state.number(1).map(to_i64) else {
        return raise(state, "First argument must be a number (log level).");
    };
    if !(LOG_DEBUG..=LOG_WARNING).contains(&level) {
        return raise(state, "Invalid log level.");
    }
    let mut text = Vec::new();
    for at in 2..=count {
        if let Some(part) = state.text(at) {
            if at > 2 {
                text.push(b' ');
            }
            text.extend_from_slice(part);
        }
    }
    let text = String::from_utf8_lossy(&text);
    match level {
        LOG_DEBUG => tracing::trace!("{text}"),
        1 => tracing::debug!("{text}"),
        2 => tracing::info!("{text}"),
        _ => tracing::warn!("{text}"),
    }
    Ok(0)
}

/// redis.acl_check_cmd(command, …)
fn acl_check_cmd(state: &mut State) -> Result<usize, LuaError> {
    if let Err(text) = read_request(state, &mut Run::of(state).request.borrow_mut()) {
        return raise(state, text);
    }
    match state.ask::<Ask, Answer>(Ask::MayRun) {
        Some(Answer::MayRun(Some(may))) => {
            state.push_boolean(may)?;
            Ok(1)
        }
        _ => raise(state, "Invalid command passed to redis.acl_check_cmd()"),
    }
}

/// redis.replicate_commands(): it is what always happens.
fn replicate_commands(state: &mut State) -> Result<usize, LuaError> {
    state.push_boolean(true)?;
    Ok(1)
}

/// redis.breakpoint(): stops at the next line, if there is a debugger.
fn breakpoint(state: &mut State) -> Result<usize, LuaError> {
    let is_debugged = debugger::breakpoint(&Run::of(state));
    state.push_boolean(is_debugged)?;
    Ok(1)
}

/// redis.debug(…): tells the debugger's client of values.
fn debug(state: &mut State) -> Result<usize, LuaError> {
    let run = Run::of(state);
    debugger::debug(state, &run)?;
    Ok(0)
}
