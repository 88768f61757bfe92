//! CLIENT LIST, INFO and KILL: connections described in lines of fields, and chosen by their properties.

use super::client::CLIENT;
use crate::acl::{Acl, User};
use crate::clock::Clock;
use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::command::table::CommandTable;
use crate::resp::number;
use crate::resp::request::Args;
use crate::session::{Session, Topic};
use crate::types::ClientId;
use crate::world::Order;
use std::io::Write as _;
use std::rc::Rc;

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
    describe(&mut text, ctx.session, &ctx.world.commands, Some(ctx.args));
    ctx.reply.verbatim("txt", &text);
    Ok(Flow::Done)
}

fn kill(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let filter = Filter::parse(ctx.args, &ctx.world.acl)?;
    let seconds = Clock::Real.micros() / 1_000_000;
    let mut killed = Vec::new();
    for id in ctx.world.sessions.ids() {
        let session = if id == ctx.session.id { Some(&*ctx.session) } else { ctx.world.sessions.get(id) };
        if session.is_some_and(|s| !s.closing && filter.fits(s, id == ctx.session.id, seconds)) {
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
    let args = ctx.args;
    let mut wanted: Option<Vec<ClientId>> = None;
    let mut kind = None;
    if args.len() == 4 && args.is(2, "TYPE") {
        kind = Some(ClientType::parse(args.get(3))?);
    } else if args.len() > 3 && args.is(2, "ID") {
        let ids: Option<Vec<i64>> = args.from(3).map(number::parse_i64).collect();
        let ids = ids.ok_or(CommandError::new("ERR Invalid client ID"))?;
        wanted = Some(ids.into_iter().map(|id| ClientId(id as u64)).collect());
    } else if args.len() != 2 {
        return Err(error::SYNTAX);
    }
    let ids = match wanted {
        Some(ids) => ids,
        None => ctx.world.sessions.ids().collect(),
    };
    let mut text = Vec::with_capacity(ids.len() * LINE_BYTES);
    for id in ids {
        let me = id == ctx.session.id;
        let session = if me { Some(&*ctx.session) } else { ctx.world.sessions.get(id) };
        let Some(session) = session else { continue };
        if (session.closing && !me) || kind.is_some_and(|kind| ClientType::of(session) != kind) {
            continue;
        }
        describe(&mut text, session, &ctx.world.commands, me.then_some(args));
    }
    ctx.reply.verbatim("txt", &text);
    Ok(Flow::Done)
}

/// Room for requests in a connection's buffer.
const INPUT_BYTES: usize = 16 * 1024;
/// Bytes of a line, roughly.
const LINE_BYTES: usize = 400;

/// A client's line while it runs a request, without the line break: for logs.
pub fn description(session: &Session, commands: &CommandTable, running: Args<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(LINE_BYTES);
    describe(&mut text, session, commands, Some(running));
    text.pop();
    text
}

/// Appends a client's line. `running` is the request that this client runs at the moment.
fn describe(text: &mut Vec<u8>, session: &Session, commands: &CommandTable, running: Option<Args<'_>>) {
    let link = session.link.as_ref().map(|link| link.buffers()).unwrap_or_default();
    let now = Clock::Real.micros() / 1000;
    let argument_bytes: usize = running.map_or(0, |args| args.from(0).map(<[u8]>::len).sum());
    // While a request runs, its batch is with the engine: what the client's buffer holds is this request.
    let (query, query_free) = match running {
        Some(args) => {
            let bytes = request_bytes(args);
            (bytes, INPUT_BYTES.saturating_sub(bytes))
        }
        None => (link.query, link.query_free),
    };
    let command = session.last_command.map_or("NULL", |at| commands.get(at).name.as_ref());
    let _ = write!(text, "id={} addr={} laddr={} fd={} name=", session.id.0, session.peer, session.local, session.fd,);
    text.extend_from_slice(&session.name);
    let _ = write!(
        text,
        " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} qbuf={query} qbuf-free={query_free} \
         argv-mem={argument_bytes} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} cmd={command} \
         user={} redir=-1 resp={} lib-name=",
        (now - session.connected_at).max(0) / 1000,
        (now - session.active_at).max(0) / 1000,
        session.flag_letters(),
        session.db.0,
        session.subscribed(Topic::Channel),
        session.subscribed(Topic::Pattern),
        session.subscribed(Topic::Shard),
        session.transaction.as_ref().map_or(-1, |transaction| transaction.queue.len() as i64),
        session.watch.as_ref().map_or(0, |watch| watch.len()),
        session.multi_bytes(),
        session.out.bytes.capacity(),
        session.out.bytes.capacity(),
        session.out.bytes.len(),
        (link.unsent > 0) as u8,
        link.unsent,
        session.memory_bytes(),
        if link.unsent > 0 { "rw" } else { "r" },
        String::from_utf8_lossy(session.user_name()),
        if session.resp3 { 3 } else { 2 },
    );
    text.extend_from_slice(&session.lib_name);
    text.extend_from_slice(b" lib-ver=");
    text.extend_from_slice(&session.lib_version);
    text.extend_from_slice(b" io-thread=0\n");
}

/// Bytes that a request takes on the wire.
fn request_bytes(args: Args<'_>) -> usize {
    let head = |n: usize| itoa::Buffer::new().format(n).len() + 3;
    head(args.len()) + args.from(0).map(|arg| head(arg.len()) + arg.len() + 2).sum::<usize>()
}

/// The kinds of clients that TYPE tells apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientType {
    Normal,
    Master,
    Replica,
    PubSub,
}

impl ClientType {
    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        match &*name.to_ascii_lowercase() {
            b"normal" => Ok(ClientType::Normal),
            b"master" => Ok(ClientType::Master),
            b"replica" | b"slave" => Ok(ClientType::Replica),
            b"pubsub" => Ok(ClientType::PubSub),
            _ => {
                let mut text = b"ERR Unknown client type '".to_vec();
                text.extend_from_slice(name);
                text.push(b'\'');
                Err(CommandError::bytes(text))
            }
        }
    }

    fn of(session: &Session) -> Self {
        if session.subscriptions.is_some() { ClientType::PubSub } else { ClientType::Normal }
    }
}

/// What CLIENT KILL was asked to close.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    kind: Option<ClientType>,
    user: Option<Rc<User>>,
    age_seconds: Option<i64>,
    spare_me: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>, acl: &Acl) -> Result<Self, CommandError> {
        if args.len() == 3 {
            return Ok(Filter { address: Some(args.get(2)), ..Filter::default() });
        }
        let mut filter = Filter { spare_me: true, ..Filter::default() };
        for i in (2..args.len()).step_by(2) {
            let Some(value) = args.opt(i + 1) else { return Err(error::SYNTAX) };
            if args.is(i, "ID") {
                let id = number::parse_i64(value).filter(|id| *id > 0);
                filter.id = Some(id.ok_or(CommandError::new("ERR client-id should be greater than 0"))? as u64);
            } else if args.is(i, "MAXAGE") {
                let age = number::parse_i64(value);
                let age = age.ok_or(CommandError::new("ERR maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(CommandError::new("ERR maxage should be greater than 0"));
                }
                filter.age_seconds = Some(age);
            } else if args.is(i, "TYPE") {
                filter.kind = Some(ClientType::parse(value)?);
            } else if args.is(i, "ADDR") {
                filter.address = Some(value);
            } else if args.is(i, "LADDR") {
                filter.local = Some(value);
            } else if args.is(i, "USER") {
                let Some(user) = acl.get(value) else {
                    return Err(CommandError::bytes([b"ERR No such user '", value, b"'"].concat()));
                };
                filter.user = Some(user.clone());
            } else if args.is(i, "SKIPME") {
                filter.spare_me = match () {
                    () if value.eq_ignore_ascii_case(b"yes") => true,
                    () if value.eq_ignore_ascii_case(b"no") => false,
                    () => return Err(error::SYNTAX),
                };
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(filter)
    }

    fn fits(&self, session: &Session, is_me: bool, now_seconds: i64) -> bool {
        self.id.is_none_or(|id| session.id.0 == id)
            && self.address.is_none_or(|address| session.peer.as_bytes() == address)
            && self.local.is_none_or(|address| session.local.as_bytes() == address)
            && self.user.as_ref().is_none_or(|user| session.user.as_ref().is_some_and(|own| Rc::ptr_eq(own, user)))
            && self.kind.is_none_or(|kind| ClientType::of(session) == kind)
            && self.age_seconds.is_none_or(|age| now_seconds - session.connected_at / 1000 >= age)
            && !(self.spare_me && is_me)
    }
}
