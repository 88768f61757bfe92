//! The debugger of scripts, as redis-cli speaks to it (`--ldb-sync-mode`): after SCRIPT DEBUG SYNC an EVAL stops at its first
//! line, its client's requests are commands of the debugger until the script has ended, and then the connection ends, too.
//!
//! A script under the debugger has a hook for each line. Where it is to stop the hook asks for a command (`Ask::Command`), which
//! suspends the script like anything else that a script asks for, and carries commands out until one says to go on; so a session
//! that waits for its client costs nothing. The answer to a command is an array of status lines: all that was noted since the
//! last answer.
//!
//! What is noted is bounded, and so is the time that the script or a piece of code from the client may take in one go.

mod commands;
mod show;

use super::convert;
use super::interpreter::{Answer, Ask, Run, on_kill_hook};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::Args;
use crate::sys::lua::{LuaError, State};
use commands::Next;
pub(super) use show::write_value;
use show::{Text, write_reply};
use std::time::{Duration, Instant};

/// Instructions between two looks at the clock.
const COUNT: u32 = 100_000;
/// What messages call a script's own source.
const SCRIPT: &[u8] = b"@user_script";
/// Bytes that may be noted until the client is answered.
const NOTES_MAX: usize = 16 << 20;
const BREAKPOINTS_MAX: usize = 64;
/// The last line of a session.
const END: &[u8] = b"<endsession>";
/// Longest values and replies that are shown, unless the client wants another length.
const SHOWN_MAX: usize = 256;
/// How long a script may run without a stop where `busy-reply-threshold` sets no limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session.
pub struct Debugger {
    /// The script's lines.
    source: Vec<Box<[u8]>>,
    notes: Notes,
    breakpoints: Vec<i64>,
    /// Stop at the next line, and tell of commands that the script runs until then.
    step: bool,
    /// The script asked to be stopped.
    asked: bool,
    /// The line that was begun last.
    line: i64,
    begun: Begun,
    /// Longest values and replies that are shown; 0: all of them.
    shown_max: usize,
    hinted: bool,
    /// When the script went on, and how long it may until it is stopped.
    resumed: Instant,
    patience: Duration,
}

impl Debugger {
    /// A session that is about to begin. A script may run for `patience` without a stop, if that is not zero.
    pub fn new(script: &[u8], patience: Duration) -> Box<Self> {
        let end = script.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let lines = script[..end].split(|byte| *byte == b'\n').filter(|_| end > 0);
        Box::new(Debugger {
            source: lines.map(Box::from).collect(),
            notes: Notes::default(),
            breakpoints: Vec::new(),
            step: true,
            asked: false,
            line: 0,
            begun: Begun::default(),
            shown_max: SHOWN_MAX,
            hinted: false,
            resumed: Instant::now(),
            patience: if patience.is_zero() { PATIENCE } else { patience },
        })
    }

    /// Answers the client with all that was noted.
    pub fn answer(&mut self, reply: &mut ReplyWriter<'_>) {
        let notes = std::mem::take(&mut self.notes);
        reply.array(notes.count + (notes.dropped > 0) as usize);
        // First, as the end of a session is its last line.
        if notes.dropped > 0 {
            reply.simple(&format!("<hint> There was too much to tell: {} lines were left out.", notes.dropped));
        }
        reply.raw(&notes.lines);
    }

    /// The session is over: the client is told with the next answer, which is the last.
    pub fn end(&mut self) {
        self.notes.add(END);
    }

    fn note(&mut self, line: &[u8]) {
        self.notes.add(line);
    }

    /// Where a text is written of which only so much is shown.
    fn text(&self, begin: &[u8]) -> Text {
        let max = if self.shown_max == 0 { usize::MAX } else { self.shown_max };
        Text::new(begin, max.min(self.notes.room()))
    }

    /// Notes a text, or what is shown of it.
    fn note_text(&mut self, text: Text) {
        let (line, is_cut) = text.end();
        self.note(&line);
        if is_cut && !std::mem::replace(&mut self.hinted, true) {
            self.note(b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    fn note_source(&mut self, line: i64) {
        const BEYOND: &[u8] = b"<out of range source code line>";
        let source = usize::try_from(line - 1).ok().and_then(|at| self.source.get(at)).map_or(BEYOND, |source| source);
        let mark = match (line == self.line, self.breakpoints.contains(&line)) {
            (true, true) => "->#",
            (true, false) => "-> ",
            (false, true) => "  #",
            (false, false) => "   ",
        };
        let noted = [format!("{mark}{line:<3} ").as_bytes(), source].concat();
        self.note(&noted);
    }
}

/// Status lines for the client, as they will be sent.
#[derive(Default)]
struct Notes {
    lines: Vec<u8>,
    count: usize,
    /// Lines that there was no room for.
    dropped: usize,
}

/// Lines that the functions which run are in the middle of, the innermost last, on one stack: LuaJIT tells of a line once more
/// when a function returns into it.
#[derive(Default)]
struct Begun {
    stack: usize,
    lines: Vec<(u32, i64)>,
}

impl Begun {
    /// True if the function at this place now begins the line, and was not in the middle of it while it called others.
    fn begins(&mut self, (stack, place): (usize, u32), line: i64) -> bool {
        if std::mem::replace(&mut self.stack, stack) != stack {
            self.lines.clear();
        }
        let before = self.lines.len();
        while self.lines.last().is_some_and(|(other, _)| *other > place) {
            self.lines.pop();
        }
        let has_returned = self.lines.len() < before;
        match self.lines.last_mut() {
            Some((other, begun)) if *other == place => std::mem::replace(begun, line) != line || !has_returned,
            _ => {
                self.lines.push((place, line));
                true
            }
        }
    }
}

impl Notes {
    /// Bytes that a line may have. Never none, so that each line is told of as far as there is room.
    fn room(&self) -> usize {
        const LEAST: usize = 256;
        (NOTES_MAX / 2).min(NOTES_MAX.saturating_sub(self.lines.len())).max(LEAST)
    }

    fn add(&mut self, line: &[u8]) {
        const FRAME: usize = "+\r\n".len();
        if self.lines.len() + line.len() + FRAME > NOTES_MAX && line != END {
            self.dropped += 1;
            return;
        }
        self.lines.push(b'+');
        self.lines.extend(line.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.lines.extend_from_slice(b"\r\n");
        self.count += 1;
    }
}

/// From now on the script is under the debugger.
pub(super) fn attach(state: &mut State) {
    state.set_line_hook(on_line, COUNT);
}

/// Uses the session of a run, if there is one.
fn with<R>(run: &Run, f: impl FnOnce(&mut Debugger) -> R) -> Option<R> {
    run.debugger.borrow_mut().as_mut().map(|debugger| f(debugger))
}

/// A line begins, or some time has passed.
fn on_line(state: &mut State) -> Result<(), LuaError> {
    let run = Run::of(state);
    let (at_line, frame) = (state.is_at_line(), state.frame());
    let place = state.place_of(0).filter(|place| place.source == SCRIPT);
    let reason = with(&run, |debugger| {
        if let Some(place) = &place {
            debugger.line = place.line.into();
        }
        if !debugger.step && debugger.resumed.elapsed() >= debugger.patience {
            return Some("timeout reached, infinite loop?");
        }
        // Lines of other texts are not among those that the client sees.
        if !at_line || place.is_none() || !debugger.begun.begins(frame, debugger.line) {
            return None;
        }
        if std::mem::take(&mut debugger.asked) {
            Some("redis.breakpoint() called")
        } else if debugger.breakpoints.contains(&debugger.line) {
            Some("break point")
        } else {
            debugger.step.then_some("step over")
        }
    });
    match reason.flatten() {
        Some(reason) => stop(state, &run, reason),
        None => Ok(()),
    }
}

/// Carries the client's commands out until one of them lets the script go on.
fn stop(state: &mut State, run: &Run, reason: &str) -> Result<(), LuaError> {
    with(run, |debugger| {
        debugger.step = false;
        debugger.asked = false;
        let line = debugger.line;
        debugger.note(format!("* Stopped at {line}, stop reason = {reason}").as_bytes());
        debugger.note_source(line);
    });
    loop {
        let Some(Answer::GoOn) = state.ask::<Ask, Answer>(Ask::Command) else {
            // From now on every instruction ends the script, so that it cannot catch that.
            state.set_hook(Some((on_kill_hook, 1)));
            return on_kill_hook(state);
        };
        match commands::carry_out(state, run)? {
            Next::Command => {}
            Next::Line => break,
        }
    }
    with(run, |debugger| debugger.resumed = Instant::now());
    Ok(())
}

/// True while the client is told of what the script does.
pub(super) fn is_stepping(run: &Run) -> bool {
    run.debugger.borrow().as_ref().is_some_and(|debugger| debugger.step)
}

/// Tells of a command that the script runs.
#[cold]
pub(super) fn note_command(run: &Run, args: Args<'_>) {
    const ARGS_MAX: usize = 10;
    let Some(room) = with(run, |debugger| debugger.notes.room()) else { return };
    let mut text = Text::new(b"<redis>", room);
    for arg in args.from(0).take(ARGS_MAX) {
        text.push(b" ");
        text.push(arg);
    }
    if args.len() > ARGS_MAX {
        text.push(format!(" ... ({} more)", args.len() - ARGS_MAX - 1).as_bytes());
    }
    with(run, |debugger| debugger.note(&text.end().0));
}

/// Tells what a command of the script was answered.
#[cold]
pub(super) fn note_reply(run: &Run, reply: &[u8]) {
    with(run, |debugger| {
        let mut text = debugger.text(b"<reply> ");
        write_reply(&mut text, reply);
        debugger.note_text(text);
    });
}

/// Tells of an error reply that the script gets or makes.
pub(super) fn note_error(run: &Run, error: &[u8]) {
    if is_stepping(run) {
        with(run, |debugger| debugger.note(&[b"<error> -", error].concat()));
    }
}

/// Tells of an error that is no command's: it has a code only if that is none of all.
pub(super) fn note_own_error(run: &Run, error: &[u8]) {
    match error.strip_prefix(b"ERR ") {
        Some(text) if is_stepping(run) => drop(with(run, |debugger| debugger.note(&[b"<error> ", text].concat()))),
        Some(_) => {}
        None => note_error(run, error),
    }
}

/// `redis.breakpoint()`: false where there is no debugger.
pub(super) fn breakpoint(run: &Run) -> bool {
    with(run, |debugger| debugger.asked = true).is_some()
}

/// `redis.debug(…)`: tells the client of all values on the stack.
pub(super) fn debug(state: &mut State, run: &Run) -> Result<(), LuaError> {
    let Some((line, room)) = with(run, |debugger| (debugger.line, debugger.notes.room())) else { return Ok(()) };
    let mut text = Text::new(format!("<debug> line {line}: ").as_bytes(), room);
    let count = state.top() as i32;
    for at in 1..=count {
        if at > 1 {
            text.push(b", ");
        }
        write_value(&mut text, state, at)?;
    }
    let (line, _) = text.end();
    with(run, |debugger| debugger.note(&line));
    Ok(())
}

/// Leaves an error that ends the script.
fn abort<T>(state: &mut State) -> Result<T, LuaError> {
    convert::push_error(state, b"ERR script aborted for user request", false)?;
    Err(LuaError::Value)
}
