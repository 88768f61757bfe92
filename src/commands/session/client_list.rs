//! CLIENT LIST, INFO and KILL: connections described in lines of fields, and closed.

use super::client::CLIENT;
use super::client_filter::Filter;
use crate::clock::Clock;
use crate::command::context::SessionCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::request::Args;
use crate::session::tracking::Mode;
use crate::session::{Origin, Session, Topic};
use crate::world::{Order, World};
use std::io::Write as _;

const CONNECTION: u32 = categories(&[Category::Connection]);

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLIENT|INFO",
        arity: Arity::exactly(2),
        group: Group::Connection,
        since: "6.2.0",
        summary: "Describes the connection.",
        flags: CLIENT,
        acl: CONNECTION,
        tips: &["nondeterministic_output"],
        run: Handler::Session(info),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|KILL",
        arity: Arity::at_least(3),
        group: Group::Connection,
        since: "2.4.0",
        complexity: "O(N) where N is the number of connections",
        summary: "Closes connections.",
        syntax: "<ip:port|<[ID client-id]|[TYPE <NORMAL|MASTER|SLAVE|REPLICA|PUBSUB>]|[USER username]|[ADDR ip:port]|\
                 [LADDR ip:port]|[SKIPME <YES|NO>]|[MAXAGE maxage]> [<[ID client-id]|[TYPE <NORMAL|MASTER|SLAVE|REPLICA|\
                 PUBSUB>]|[USER username]|[ADDR ip:port]|[LADDR ip:port]|[SKIPME <YES|NO>]|[MAXAGE maxage]> ...]>",
        flags: CLIENT | flags(&[Flag::Admin]),
        acl: CONNECTION,
        history: &[
            ("2.8.12", "Chooses connections by properties."),
            ("3.2.0", "Knows the type master."),
            ("5.0.0", "Knows the type replica beside slave."),
            ("6.2.0", "Knows our own end's address."),
            ("8.0.0", "Knows the age of connections."),
        ],
        run: Handler::Session(kill),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|LIST",
        arity: Arity::at_least(2),
        group: Group::Connection,
        since: "2.4.0",
        complexity: "O(N) where N is the number of connections",
        summary: "Describes connections.",
        syntax: "[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [ID client-id [client-id ...]]",
        flags: CLIENT | flags(&[Flag::Admin]),
        acl: CONNECTION,
        tips: &["nondeterministic_output"],
        history: &[
            ("2.8.12", "Tells the client's id."),
            ("5.0.0", "Chooses connections by type."),
            ("6.0.0", "Tells the user."),
            ("6.2.0", "Tells memory, our own end's address and redirection; chooses connections by id."),
            ("7.0.0", "Tells protocol version, memory of transactions and of the reply buffer."),
            ("7.0.3", "Tells shard channels."),
            ("7.2.0", "Tells the client's library."),
            ("7.4.0", "Tells watched keys."),
            ("8.0.0", "Tells the thread that serves the socket."),
        ],
        run: Handler::Session(list),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn info(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let mut text = Vec::with_capacity(LINE_BYTES);
    let running = Running { args: ctx.args, reply_room: ctx.reply.room() };
    describe(&mut text, ctx.world, ctx.session, Some(running));
    ctx.reply.verbatim("txt", &text);
    Ok(Flow::Done)
}

fn kill(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let filter = Filter::for_kill(ctx.args, &ctx.world.acl)?;
    let now = Clock::Real.millis();
    let mut killed = Vec::new();
    for id in ctx.world.sessions.ids() {
        let me = id == ctx.session.id;
        let session = if me { Some(&*ctx.session) } else { ctx.world.sessions.get(id) };
        if session.is_some_and(|session| !session.closing && filter.fits(ctx.world, session, me, now)) {
            killed.push(id);
        }
    }
    let old_form = ctx.args.len() == 3;
    if old_form && killed.is_empty() {
        return Err(CommandError::new("ERR No such client"));
    }
    for &id in killed.iter().filter(|id| **id != ctx.session.id) {
        // Nothing more of it runs in this turn; the engine forgets it at the end of the turn.
        if let Some(session) = ctx.world.sessions.get_mut(id) {
            session.closing = true;
        }
        ctx.world.orders.push_back(Order::Disconnect { client: id, after_replies: false });
    }
    if old_form {
        ctx.reply.ok();
    } else {
        ctx.reply.count(killed.len());
    }
    Ok(if killed.contains(&ctx.session.id) { Flow::Close } else { Flow::Done })
}

fn list(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let filter = Filter::for_list(ctx.args, &ctx.world.acl)?;
    let now = Clock::Real.millis();
    let ids = match filter.ids() {
        Some(ids) => ids.to_vec(),
        None => ctx.world.sessions.ids().collect(),
    };
    let running = Running { args: ctx.args, reply_room: ctx.reply.room() };
    let mut text = Vec::with_capacity(ids.len() * LINE_BYTES);
    for id in ids {
        let me = id == ctx.session.id;
        let session = if me { Some(&*ctx.session) } else { ctx.world.sessions.get(id) };
        let Some(session) = session else { continue };
        if (me || !session.closing) && filter.fits(ctx.world, session, me, now) {
            describe(&mut text, ctx.world, session, me.then_some(running));
        }
    }
    ctx.reply.verbatim("txt", &text);
    Ok(Flow::Done)
}

/// Bytes of a line, roughly.
const LINE_BYTES: usize = 450;

/// What is known of a client that runs a request at the moment.
#[derive(Clone, Copy)]
struct Running<'a> {
    args: Args<'a>,
    /// Bytes of the buffer that its reply is written to.
    reply_room: usize,
}

/// A client's line while it runs a request, without the line break: for logs.
pub fn description(world: &World, session: &Session, args: Args<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(LINE_BYTES);
    describe(&mut text, world, session, Some(Running { args, reply_room: session.out.bytes.capacity() }));
    text.pop();
    text
}

/// Appends a client's line.
fn describe(text: &mut Vec<u8>, world: &World, session: &Session, running: Option<Running<'_>>) {
    let link = session.link.as_ref().map(|link| link.buffers()).unwrap_or_default();
    let now = Clock::Real.millis();
    let argument_bytes: usize = running.map_or(0, |running| running.args.from(0).map(<[u8]>::len).sum());
    // While a request runs its buffer is with the engine: what the client's buffer holds is this request.
    let (query, query_free) = match running {
        Some(running) => {
            let bytes = request_bytes(running.args);
            (bytes, session.lent_bytes.saturating_sub(bytes))
        }
        None => (link.query, link.query_free),
    };
    // Buffers for replies are lent while there is something to reply: a client that is at rest has none.
    let reply_room = running.map_or(session.out.bytes.capacity(), |running| running.reply_room);
    let memory =
        session.memory_bytes() + world.tracking.memory_bytes_of(session.id) + running.map_or(0, |running| running.reply_room);
    let command = session.last_command.map_or("NULL", |at| world.commands.get(at).name.as_ref());
    let redirection = world.tracking.of(session.id).map_or(-1, |tracker| tracker.redirect.map_or(0, |client| client.0 as i64));
    let _ = write!(text, "id={} addr={} laddr={} fd={} name=", session.id.0, session.peer, session.local, session.fd,);
    text.extend_from_slice(&session.name);
    let _ = write!(
        text,
        " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} qbuf={query} qbuf-free={query_free} \
         argv-mem={argument_bytes} multi-mem={} rbs={reply_room} rbp={reply_room} obl={} oll={} omem={} tot-mem={memory} events={} \
         cmd={command} user={} redir={redirection} resp={} lib-name=",
        (now - session.connected_at).max(0) / 1000,
        (now - session.active_at).max(0) / 1000,
        flag_letters(world, session),
        session.db.0,
        session.subscribed(Topic::Channel),
        session.subscribed(Topic::Pattern),
        session.subscribed(Topic::Shard),
        session.transaction.as_ref().map_or(-1, |transaction| transaction.queue.len() as i64),
        session.watch.as_ref().map_or(0, |watch| watch.len()),
        session.multi_bytes(),
        session.out.bytes.len(),
        (link.unsent > 0) as u8,
        link.unsent,
        if link.unsent > 0 { "rw" } else { "r" },
        String::from_utf8_lossy(session.user_name()),
        if session.resp3 { 3 } else { 2 },
    );
    text.extend_from_slice(&session.lib_name);
    text.extend_from_slice(b" lib-ver=");
    text.extend_from_slice(&session.lib_version);
    let _ = writeln!(
        text,
        " io-thread={} tot-net-in={} tot-net-out={} tot-cmds={}",
        session.io_thread, session.bytes_in, session.bytes_out, session.commands,
    );
}

/// The letters of `flags`, each for something that is true of the client; `N` if nothing is.
pub(super) fn flag_letters(world: &World, session: &Session) -> String {
    let tracker = world.tracking.of(session.id);
    let letters = [
        (session.is_primary, 'M'),
        (session.is_replica(), 'S'),
        (session.monitor, 'O'),
        (session.subscriptions.is_some(), 'P'),
        (session.transaction.is_some(), 'x'),
        (session.blocked, 'b'),
        (tracker.is_some(), 't'),
        (tracker.is_some_and(|tracker| tracker.broken), 'R'),
        (tracker.is_some_and(|tracker| tracker.mode == Mode::Broadcast), 'B'),
        (session.watch.as_ref().is_some_and(|watch| watch.is_touched()), 'd'),
        (session.closing, 'c'),
        (session.origin == Origin::Unix, 'U'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ];
    let letters: String = letters.iter().filter(|(is, _)| *is).map(|(_, letter)| *letter).collect();
    if letters.is_empty() { "N".to_owned() } else { letters }
}

/// Bytes that a request takes on the wire.
fn request_bytes(args: Args<'_>) -> usize {
    let head = |n: usize| itoa::Buffer::new().format(n).len() + 3;
    head(args.len()) + args.from(0).map(|arg| head(arg.len()) + arg.len() + 2).sum::<usize>()
}
