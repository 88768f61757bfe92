//! An in-process server without sockets, for tests: a transcript goes in, replies, propagated requests and events come out,
//! and the clock stands still until it is moved.
//!
//! ```
//! redstart::testkit::check(r#"
//! > SET greeting hello EX 10
//! +OK
//! ~ SET greeting hello PXAT 1700000010000
//! ! set greeting
//! ! expire greeting
//! ## advance 10001
//! > GET greeting
//! nil
//! "#);
//! ```
//! A line `> …` is a request in redis-cli's notation; the lines below it are what must come back: the reply on one line, each
//! propagated request as `~ …` (`~` alone: none may be), each event as `! name key`. Propagation and events are only
//! compared where a transcript mentions them under that request. `2> …` (to 9) is a request of another client; `2: …` below a
//! request is what client 2 was sent beside its replies since it was last asked, several messages joined by ` ;; `. `# resp3`, `# resp2`, `# advance MILLIS`,
//! `# config NAME VALUE`, `# encoding KEY NAME` and `# fresh` are directives; other `#` lines are comments.

use crate::clock::{Clock, ManualClock};
use crate::cluster::Cluster;
use crate::command::context::BlockOn;
use crate::config::Config;
use crate::dispatch;
use crate::keyspace::Effect;
use crate::resp::request::OwnedRequest;
use crate::server;
use crate::session::{Origin, Session};
use crate::stream::{Consumer, Targets};
use crate::types::ClientId;
use crate::world::World;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

/// The time at which the kit's clock starts: a round number, so that deadlines are easy to read.
pub const START_MILLIS: i64 = 1_700_000_000_000;

/// A server in a box.
pub struct Kit {
    pub world: World,
    pub session: Box<Session>,
    /// Clients 2 to 9, as far as a transcript spoke of them: their ids and what they were sent.
    others: Vec<(ClientId, String)>,
    /// What client 1 was sent while others ran requests.
    overheard: String,
    /// The request whose script is stopped in the debugger.
    debugged: Option<Debugged>,
    clock: ManualClock,
    propagated: Rc<RefCell<Vec<u8>>>,
    events: Rc<RefCell<Vec<String>>>,
}

struct Debugged {
    client: ClientId,
    request: OwnedRequest,
    paused: Box<dispatch::Paused>,
}

impl Default for Kit {
    fn default() -> Self {
        Self::new()
    }
}

struct Tape(Rc<RefCell<Vec<u8>>>);

impl Consumer for Tape {
    fn target(&self) -> Targets {
        Targets::ALL
    }

    fn append(&mut self, bytes: &[u8], _end: u64) {
        self.0.borrow_mut().extend_from_slice(bytes);
    }
}

impl Kit {
    /// An empty server with one client.
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// A node of a cluster with one client. `view` is what it knows of the cluster, in the form of nodes.conf.
    ///
    /// # Panics
    /// If the view is not understood.
    pub fn node(view: &str) -> Self {
        let mut kit = Self::with(Config { cluster_enabled: true, ..Config::default() });
        match Cluster::read(view) {
            Ok(cluster) => kit.world.become_node(cluster),
            Err((line, reason)) => panic!("line {line} of the view: {reason}"),
        }
        kit.settle_cluster();
        kit
    }

    /// Lets so much time pass that a node knows how its cluster is.
    pub fn settle_cluster(&mut self) {
        const PATIENCE_MILLIS: i64 = 10_000;
        for _ in 0..2 {
            self.world.keyspace.refresh_clock();
            self.world.review_cluster();
            self.advance(PATIENCE_MILLIS);
        }
    }

    fn with(config: Config) -> Self {
        let clock = ManualClock::at(START_MILLIS);
        let mut world = server::world(config, Clock::Manual(clock.clone()), 0, String::new());
        let propagated = Rc::new(RefCell::new(Vec::new()));
        let events = Rc::new(RefCell::new(Vec::new()));
        world.stream.attach(Box::new(Tape(propagated.clone())));
        let heard = events.clone();
        world.listeners.add(Box::new(move |effect| {
            let line = match effect {
                Effect::Modified { key, event, .. } | Effect::Noticed { key, event, .. } => {
                    format!("{} {}", event.name, String::from_utf8_lossy(key))
                }
                Effect::Flushed { db } => format!("flushed {}", db.0),
                Effect::Swapped { a, b } => format!("swapped {} {}", a.0, b.0),
            };
            heard.borrow_mut().push(line);
        }));
        world.adopt_config();
        world.keyspace.env.effects.watch_modified = true;
        let mut session = Box::new(Session { origin: Origin::Internal, ..Session::default() });
        world.welcome(&mut session);
        let (id, slot) = world.sessions.add(session);
        let session = world.sessions.take(id, slot).expect("just added");
        Kit { world, session, others: Vec::new(), overheard: String::new(), debugged: None, clock, propagated, events }
    }

    /// Moves the clock.
    pub fn advance(&mut self, millis: i64) {
        self.clock.advance_millis(millis);
    }

    /// Runs a request given as one line in redis-cli's notation; the reply in one-line notation.
    pub fn run(&mut self, line: &str) -> String {
        let request: OwnedRequest = split_line(line).iter().map(|arg| arg.as_slice()).collect();
        self.run_request(&request)
    }

    /// Runs a request; the reply in one-line notation.
    pub fn run_request(&mut self, request: &OwnedRequest) -> String {
        dispatch::begin_turn(&mut self.world);
        let command = dispatch::lookup(&self.world.commands, request.args());
        let mut step = match self.debugged.take_if(|debugged| debugged.client == self.session.id) {
            Some(Debugged { client, request: script, paused }) => {
                let step = dispatch::debug(&mut self.world, &mut self.session, script.args(), request.args(), paused);
                self.keep_debugged(client, &script, step)
            }
            None => dispatch::execute(&mut self.world, &mut self.session, request.args(), command),
        };
        while let dispatch::Step::Pause(paused) = step {
            step = match paused.awaits_client() {
                true => self.keep_debugged(self.session.id, request, dispatch::Step::Pause(paused)),
                false => dispatch::go_on(&mut self.world, &mut self.session, request.args(), paused),
            };
        }
        while let dispatch::Step::More = step {
            step = dispatch::run_on(&mut self.world, &mut self.session, request.args(), command);
        }
        if let dispatch::Step::Wait(BlockOn { freed: Some(_), .. }) = step {
            dispatch::freed(&mut self.world, &mut self.session, command);
        }
        self.end_turn();
        let bytes = self.session.out.flatten();
        self.session.out.clear();
        render_all(&bytes)
    }

    /// Keeps a script that is stopped in the debugger until its client's next request.
    fn keep_debugged(&mut self, client: ClientId, request: &OwnedRequest, step: dispatch::Step) -> dispatch::Step {
        match step {
            dispatch::Step::Pause(paused) if paused.awaits_client() => {
                self.debugged = Some(Debugged { client, request: request.clone(), paused });
                dispatch::Step::Next
            }
            step => step,
        }
    }

    /// Runs a request of another client (2 to 9).
    pub fn run_as(&mut self, client: usize, line: &str) -> String {
        while self.others.len() < client - 1 {
            let peer = format!("client:{}", self.others.len() + 2).into();
            let mut session = Session { origin: Origin::Internal, peer, ..Session::default() };
            self.world.welcome(&mut session);
            self.others.push((self.world.sessions.add(Box::new(session)).0, String::new()));
        }
        let id = self.others[client - 2].0;
        self.listen();
        let slot = self.world.sessions.get(id).expect("it is there").slot;
        let mut other = self.world.sessions.take(id, slot).expect("it is there");
        std::mem::swap(&mut self.session, &mut other);
        let reply = self.run(line);
        std::mem::swap(&mut self.session, &mut other);
        self.world.sessions.put_back(other);
        reply
    }

    /// Notes what clients were sent.
    fn listen(&mut self) {
        let note = |session: &mut Session, heard: &mut String| {
            if !session.out.is_empty() {
                if !heard.is_empty() {
                    heard.push_str(" ;; ");
                }
                heard.push_str(&render_all(&session.out.flatten()));
                session.out.clear();
            }
        };
        self.world.sessions.collect_late(&mut self.session);
        note(&mut self.session, &mut self.overheard);
        for (id, heard) in &mut self.others {
            if let Some(session) = self.world.sessions.get_mut(*id) {
                note(session, heard);
            }
        }
    }

    /// What a client was sent beside its replies since the last call.
    pub fn take_heard(&mut self, client: usize) -> String {
        self.listen();
        match client {
            1 => std::mem::take(&mut self.overheard),
            _ => self.others.get_mut(client - 2).map(|other| std::mem::take(&mut other.1)).unwrap_or_default(),
        }
    }

    /// The requests propagated since the last call, in redis-cli's notation, without SELECT.
    pub fn take_propagated(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.propagated.borrow_mut());
        let mut rest = &bytes[..];
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let (words, after) = read_request(rest);
            rest = after;
            if !words[0].eq_ignore_ascii_case(b"SELECT") {
                lines.push(words.iter().map(|w| quote_if_needed(w)).collect::<Vec<_>>().join(" "));
            }
        }
        lines
    }

    /// The events since the last call, as `name key`.
    pub fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut *self.events.borrow_mut())
    }

    /// Runs the sweep for keys past their deadline once.
    pub fn sweep(&mut self) {
        self.world.keyspace.refresh_clock();
        self.world.keyspace.sweep_expired(std::time::Duration::from_millis(100));
        dispatch::publish::close_background(&mut self.world);
        self.end_turn();
    }

    /// What the engine does when all requests of a turn have run.
    fn end_turn(&mut self) {
        self.world.tracking.broadcast(&mut self.world.sessions);
        self.world.sessions.collect_late(&mut self.session);
        self.world.stream.flush();
    }

    /// Plays a transcript. Panics with the transcript's line on the first difference.
    pub fn play(&mut self, transcript: &str) {
        let lines: Vec<&str> = transcript.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let mut i = 0;
        while i < lines.len() {
            let line = lines[i];
            i += 1;
            if let Some(directive) = line.strip_prefix("# ") {
                self.obey(directive);
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            let (client, request) = requested(line).unwrap_or_else(|| panic!("not a request: {line}"));
            let reply = if client == 1 { self.run(request) } else { self.run_as(client, request) };
            let (propagated, events) = (self.take_propagated(), self.take_events());
            let mut expected = None;
            let (mut wanted_stream, mut wanted_events) = (None::<Vec<String>>, None::<Vec<String>>);
            while i < lines.len() && requested(lines[i]).is_none() && !is_directive(lines[i]) {
                let line = lines[i];
                i += 1;
                if let Some(text) = line.strip_prefix('~').filter(|t| !t.starts_with('[')) {
                    let list = wanted_stream.get_or_insert_default();
                    if !text.trim().is_empty() {
                        list.push(text.trim().to_owned());
                    }
                } else if let Some((client, text)) = line.split_once(':').and_then(|(n, text)| Some((client_number(n)?, text))) {
                    assert_eq!(self.take_heard(client), text.trim(), "sent to client {client} by > {request}");
                } else if let Some(text) = line.strip_prefix('!') {
                    let list = wanted_events.get_or_insert_default();
                    if !text.trim().is_empty() {
                        list.push(text.trim().to_owned());
                    }
                } else {
                    assert!(expected.is_none(), "two replies below > {request}");
                    expected = Some(line);
                }
            }
            if let Some(expected) = expected {
                assert_eq!(reply, expected, "reply to > {request}");
            }
            if let Some(wanted) = wanted_stream {
                assert_eq!(propagated, wanted, "propagated by > {request}");
            }
            if let Some(wanted) = wanted_events {
                assert_eq!(events, wanted, "events of > {request}");
            }
        }
    }

    fn obey(&mut self, directive: &str) {
        let words: Vec<&str> = directive.split_whitespace().collect();
        match words[..] {
            ["resp2"] => self.session.resp3 = false,
            ["resp3"] => self.session.resp3 = true,
            ["fresh"] => *self = Kit::new(),
            ["sweep"] => self.sweep(),
            ["advance", millis] => self.advance(millis.parse().expect("milliseconds")),
            ["config", name, ref value @ ..] => {
                let value = value.join(" ");
                let reply = self.run(&format!("CONFIG SET {name} \"{value}\""));
                assert_eq!(reply, "+OK", "# {directive}");
                self.take_propagated();
            }
            ["encoding", key, name] => {
                let reply = self.run(&format!("OBJECT ENCODING {key}"));
                assert_eq!(reply, format!("\"{name}\""), "# {directive}");
            }
            _ => {}
        }
    }
}

/// The client and the request that a line holds, if it holds one.
fn requested(line: &str) -> Option<(usize, &str)> {
    let (client, request) = line.split_once("> ")?;
    if client.is_empty() { Some((1, request)) } else { Some((client_number(client)?, request)) }
}

fn client_number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| (1..=9).contains(n))
}

/// True for directives and comments; a boolean reply also begins with `#`.
fn is_directive(line: &str) -> bool {
    line.starts_with('#') && !matches!(line, "#t" | "#f")
}

/// Plays a transcript against a fresh server.
pub fn check(transcript: &str) {
    Kit::new().play(transcript);
}

/// Splits a line as redis-cli does: blanks separate, double quotes know escapes, single quotes only `\'`.
pub fn split_line(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let bytes = line.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i].is_ascii_whitespace() {
            i += 1;
            continue;
        }
        let mut word = Vec::new();
        while i < bytes.len() && !bytes[i].is_ascii_whitespace() {
            match bytes[i] {
                b'"' => {
                    i += 1;
                    while i < bytes.len() && bytes[i] != b'"' {
                        if bytes[i] == b'\\' && i + 1 < bytes.len() {
                            let (byte, used) = unescape(&bytes[i + 1..]);
                            word.push(byte);
                            i += 1 + used;
                        } else {
                            word.push(bytes[i]);
                            i += 1;
                        }
                    }
                    i += 1;
                }
                b'\'' => {
                    i += 1;
                    while i < bytes.len() && bytes[i] != b'\'' {
                        word.push(bytes[i]);
                        i += 1;
                    }
                    i += 1;
                }
                byte => {
                    word.push(byte);
                    i += 1;
                }
            }
        }
        words.push(word);
    }
    words
}

fn unescape(bytes: &[u8]) -> (u8, usize) {
    match bytes[0] {
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'x' if bytes.len() >= 3 => {
            let text = std::str::from_utf8(&bytes[1..3]).unwrap_or("00");
            (u8::from_str_radix(text, 16).unwrap_or(0), 3)
        }
        other => (other, 1),
    }
}

/// Renders every reply in `bytes` in one-line notation, joined by ` ;; `.
pub fn render_all(bytes: &[u8]) -> String {
    let mut rest = bytes;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let mut text = String::new();
        rest = render(rest, &mut text);
        texts.push(text);
    }
    texts.join(" ;; ")
}

fn line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = memchr::memchr(b'\n', bytes).expect("a whole line");
    (std::str::from_utf8(&bytes[..end - 1]).unwrap_or("?"), &bytes[end + 1..])
}

fn render<'a>(bytes: &'a [u8], out: &mut String) -> &'a [u8] {
    let (head, mut rest) = line(bytes);
    let (kind, text) = head.split_at(1);
    match kind {
        "+" | "-" | "," | "#" | "(" => out.push_str(head),
        ":" => out.push_str(text),
        "_" => out.push_str("nil"),
        "$" | "=" if text == "-1" => out.push_str("nil"),
        "*" if text == "-1" => out.push_str("nil"),
        "$" | "=" => {
            let len: usize = text.parse().expect("a length");
            let quoted = quote(&rest[..len]);
            if kind == "=" {
                out.push('=');
                out.push_str(quoted.trim_matches('"'));
            } else {
                out.push_str(&quoted);
            }
            rest = &rest[len + 2..];
        }
        "*" | "~" | ">" | "%" | "|" => {
            let n: usize = text.parse().expect("a count");
            let pairs = kind == "%" || kind == "|";
            out.push_str(match kind {
                "~" => "~[",
                ">" => ">[",
                "%" => "{",
                "|" => "|{",
                _ => "[",
            });
            for i in 0..n {
                if i > 0 {
                    out.push_str(", ");
                }
                rest = render(rest, out);
                if pairs {
                    out.push_str(": ");
                    rest = render(rest, out);
                }
            }
            out.push(if pairs { '}' } else { ']' });
        }
        other => panic!("not a reply type: {other:?}"),
    }
    rest
}

fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x20..0x7f => text.push(*byte as char),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

fn quote_if_needed(word: &[u8]) -> String {
    let plain = !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\".contains(b));
    if plain { String::from_utf8_lossy(word).into_owned() } else { quote(word) }
}

fn read_request(bytes: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let (head, mut rest) = line(bytes);
    let n: usize = head[1..].parse().expect("a count");
    let mut words = Vec::with_capacity(n);
    for _ in 0..n {
        let (head, after) = line(rest);
        let len: usize = head[1..].parse().expect("a length");
        words.push(after[..len].to_vec());
        rest = &after[len + 2..];
    }
    (words, rest)
}
