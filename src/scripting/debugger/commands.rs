//! What the client of a debugger can ask for.

use super::{BREAKPOINTS_MAX, COUNT, Debugger, SCRIPT, abort, attach, show, with};
use crate::resp::number::parse_i64;
use crate::resp::request::Args;
use crate::scripting::convert;
use crate::scripting::interpreter::Run;
use crate::sys::lua::{LuaError, Outcome, State, Type};
use std::time::Instant;

/// What comes after a command.
pub enum Next {
    /// The answer to it, and another command.
    Command,
    /// The script goes on.
    Line,
}

/// Requests longer than this are refused.
const REQUEST_MAX: usize = 1 << 20;
const ARGS_MAX: usize = 1024;

const HELP: &[&str] = &[
    "Redis Lua debugger help:",
    "[s]tep, [n]ext       Go on, and stop at the next line.",
    "[c]ontinue           Go on, and stop at the next breakpoint.",
    "[l]ist [line [ctx]]  Show the source around a line (0 is the one to run",
    "                     next), with so many lines before and after it.",
    "[w]hole              Show all of the source.",
    "[p]rint              Show all local variables.",
    "[p]rint <var>        Show a local variable, or KEYS or ARGV.",
    "[b]reak              List the breakpoints.",
    "[b]reak <line>       Set a breakpoint.",
    "[b]reak -<line>      Remove a breakpoint.",
    "[b]reak 0            Remove all breakpoints.",
    "[t]race              Show which function called which.",
    "[e]val <code>        Run Lua code, which does not see local variables.",
    "[r]edis <cmd>        Run a command.",
    "[m]axlen [len]       Show so many bytes of values and replies; 0 is all.",
    "[a]bort              End the script. What it has written stays.",
    "[h]elp               Show this help.",
    "",
    "For scripts:",
    "redis.debug(...)     Show values here.",
    "redis.breakpoint()   Stop at the next line.",
];

/// Carries out the command that is in the run.
pub fn carry_out(state: &mut State, run: &Run) -> Result<Next, LuaError> {
    let request = run.command.take();
    let args = request.args();
    let is = |word: &str| args.is(0, word) || args.is(0, &word[..1]);
    if args.len() > ARGS_MAX || args.wire_bytes() > REQUEST_MAX {
        note(run, b"<error> The request is too long.");
    } else if is("STEP") || is("NEXT") {
        with(run, |debugger| debugger.step = true);
        return Ok(Next::Line);
    } else if is("CONTINUE") {
        return Ok(Next::Line);
    } else if is("ABORT") {
        return abort(state);
    } else if is("HELP") {
        HELP.iter().for_each(|line| note(run, line.as_bytes()));
    } else if is("TRACE") {
        trace(state, run);
    } else if is("MAXLEN") {
        with(run, |debugger| maxlen(debugger, args));
    } else if is("BREAK") {
        with(run, |debugger| set_breakpoints(debugger, args));
    } else if is("EVAL") {
        eval(state, run, args)?;
    } else if is("REDIS") && args.len() > 1 {
        redis(state, run, args)?;
    } else if is("PRINT") {
        match args.opt(1).filter(|_| args.len() == 2) {
            Some(name) => print(state, run, name)?,
            None => print_all(state, run)?,
        }
    } else if is("LIST") {
        let around = args.opt(1).map_or(0, leading_integer);
        let context = args.opt(2).map_or(5, leading_integer);
        with(run, |debugger| list(debugger, if around > 0 { around } else { debugger.line }, context));
    } else if is("WHOLE") {
        with(run, |debugger| list(debugger, 1, i64::from(i32::MAX)));
    } else {
        note(run, b"<error> Unknown Redis Lua debugger command or wrong number of arguments.");
    }
    Ok(Next::Command)
}

fn note(run: &Run, line: &[u8]) {
    with(run, |debugger| debugger.note(line));
}

/// The number that a text begins with, or 0.
fn leading_integer(text: &[u8]) -> i64 {
    const DIGITS_MAX: usize = 10;
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).take(DIGITS_MAX);
    let number = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')).min(i64::from(i32::MAX));
    if text.starts_with(b"-") { -number } else { number }
}

fn list(debugger: &mut Debugger, around: i64, context: i64) {
    for line in 1..=debugger.source.len() as i64 {
        if (line - around).abs() <= context {
            debugger.note_source(line);
        }
    }
}

fn maxlen(debugger: &mut Debugger, args: Args<'_>) {
    const MIN: i64 = 60;
    if args.len() == 2 {
        // Who sets it knows of it.
        debugger.hinted = true;
        debugger.shown_max = match leading_integer(args.get(1)) {
            0 => 0,
            bytes => bytes.max(MIN) as usize,
        };
    }
    match debugger.shown_max {
        0 => debugger.note(b"<value> replies are unlimited."),
        bytes => debugger.note(format!("<value> replies are truncated at {bytes} bytes.").as_bytes()),
    }
}

fn set_breakpoints(debugger: &mut Debugger, args: Args<'_>) {
    if args.len() == 1 {
        if debugger.breakpoints.is_empty() {
            return debugger.note(b"No breakpoints set. Use 'b <line>' to add one.");
        }
        let lines = debugger.breakpoints.clone();
        debugger.note(format!("{} breakpoints set:", lines.len()).as_bytes());
        lines.into_iter().for_each(|line| debugger.note_source(line));
    }
    for arg in args.from(1) {
        match parse_i64(arg) {
            None => debugger.note(&[b"Invalid argument:'", arg, b"'"].concat()),
            Some(0) => {
                debugger.breakpoints.clear();
                debugger.note(b"All breakpoints removed.");
            }
            Some(line @ 1..) => set_breakpoint(debugger, line),
            Some(line) => {
                let before = debugger.breakpoints.len();
                debugger.breakpoints.retain(|set| set.checked_neg() != Some(line));
                let is_removed = debugger.breakpoints.len() < before;
                debugger.note(if is_removed { b"Breakpoint removed." } else { b"No breakpoint in the specified line." });
            }
        }
    }
}

fn set_breakpoint(debugger: &mut Debugger, line: i64) {
    if debugger.breakpoints.len() == BREAKPOINTS_MAX {
        debugger.note(b"Too many breakpoints set.");
    } else if line > debugger.source.len() as i64 || debugger.breakpoints.contains(&line) {
        debugger.note(b"Wrong line number.");
    } else {
        debugger.breakpoints.push(line);
        list(debugger, line, 1);
    }
}

fn trace(state: &State, run: &Run) {
    let mut level = 0;
    while let Some(place) = state.place_of(level) {
        if place.source == SCRIPT {
            let name = state.name_of(level).unwrap_or_else(|| b"top level".to_vec());
            let how: &[u8] = if level == 0 { b"In " } else { b"From " };
            note(run, &[how, &name, b":"].concat());
            with(run, |debugger| debugger.note_source(place.line.into()));
        }
        level += 1;
    }
}

/// Shows a local variable of the function that runs, or else of one that called it.
fn print(state: &mut State, run: &Run, name: &[u8]) -> Outcome {
    let mut level = 0;
    while state.place_of(level).is_some() {
        let mut n = 1;
        while let Some(local) = state.push_local(level, n)? {
            if local == name {
                return show_top(state, run, b"<value> ");
            }
            state.pop(1);
            n += 1;
        }
        level += 1;
    }
    if matches!(name, b"KEYS" | b"ARGV") {
        push_global(state, &[if name == b"KEYS" { "KEYS" } else { "ARGV" }])?;
        return show_top(state, run, b"<value> ");
    }
    note(run, b"No such variable.");
    Ok(())
}

/// Shows all local variables of the function that runs.
fn print_all(state: &mut State, run: &Run) -> Outcome {
    let (mut n, mut found) = (1, false);
    while let Some(name) = state.push_local(0, n)? {
        n += 1;
        if name == b"(*temporary)" {
            state.pop(1);
            continue;
        }
        show_top(state, run, &[b"<value> ", &name[..], b" = "].concat())?;
        found = true;
    }
    if !found {
        note(run, b"No local variables in the current context.");
    }
    Ok(())
}

/// Notes the value on top, and drops it.
fn show_top(state: &mut State, run: &Run, begin: &[u8]) -> Outcome {
    let top = state.top();
    let text = with(run, |debugger| debugger.text(begin));
    if let Some(mut text) = text {
        let written = show::write_value(&mut text, state, -1);
        with(run, |debugger| debugger.note_text(text));
        state.pop(state.top() - top);
        written?;
    }
    state.pop(1);
    Ok(())
}

/// Pushes a global, or what is in one, from behind the tables that scripts see.
fn push_global(state: &mut State, path: &[&str]) -> Outcome {
    state.push_globals()?;
    for name in path {
        if state.push_metatable(-1)? {
            state.raw_get_field(-1, "__index")?;
            state.replace(-3);
            state.pop(1);
        }
        state.raw_get_field(-1, name)?;
        state.remove(-2);
    }
    Ok(())
}

/// Runs code of the client's, as an expression if it is one. What it returns is shown.
fn eval(state: &mut State, run: &Run, args: Args<'_>) -> Outcome {
    let top = state.top();
    let words: Vec<&[u8]> = args.from(1).collect();
    let code = words.join(&b' ');
    let mut compiled = state.load(&[b"return ", &code[..]].concat(), c"@ldb_eval");
    if compiled.is_err() {
        state.pop(state.top() - top);
        compiled = state.load(&code, c"@ldb_eval");
    }
    let ended = compiled.and_then(|()| {
        with(run, |debugger| debugger.resumed = Instant::now());
        state.call_in_hook(0, 1, on_eval_hook, COUNT)
    });
    attach(state);
    match ended {
        Ok(()) => show_top(state, run, b"<retval> ")?,
        Err(_) => {
            let text = match state.type_of(-1) {
                Type::Table => convert::string_field(state, -1, "err")?,
                Type::Number | Type::String => state.text(-1).map(<[u8]>::to_vec),
                _ => None,
            };
            let text = text.unwrap_or_else(|| format!("(error object is a {} value)", state.type_of(-1).name()).into_bytes());
            note(run, &[b"<error> ", &text[..]].concat());
        }
    }
    state.pop(state.top() - top);
    Ok(())
}

/// Ends code of the client's that takes long.
fn on_eval_hook(state: &mut State) -> Result<(), LuaError> {
    let run = Run::of(state);
    if with(&run, |debugger| debugger.resumed.elapsed() < debugger.patience) == Some(true) {
        return Ok(());
    }
    // From now on every instruction ends it, so that it cannot catch that.
    state.set_hook(Some((on_late_eval_hook, 1)));
    on_late_eval_hook(state)
}

fn on_late_eval_hook(_: &mut State) -> Result<(), LuaError> {
    Err(LuaError::text("the code takes too long"))
}

/// Runs a command as the script would; both it and its reply are told of as in a step.
fn redis(state: &mut State, run: &Run, args: Args<'_>) -> Outcome {
    let top = state.top();
    push_global(state, &["redis", "call"])?;
    for arg in args.from(1) {
        state.push_bytes(arg)?;
    }
    with(run, |debugger| debugger.step = true);
    // An error was told of where it came up.
    let _ = state.call(args.len() - 1, 1);
    with(run, |debugger| debugger.step = false);
    state.pop(state.top() - top);
    Ok(())
}
