//! Getting acquainted and leaving: AUTH, HELLO, RESET, QUIT, and the small talk of PING, ECHO and SELECT.

use super::client_list::description;
use crate::acl;
use crate::acl::log::{Note, Reason};
use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::config::REDIS_VERSION;
use crate::resp::number;
use crate::types::DbIndex;

/// Flags of commands that a client may send before it is known.
const BEFORE_AUTH: u32 = flags(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth, Flag::AllowBusy]);

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "AUTH",
        arity: Arity::at_least(2),
        group: Group::Connection,
        complexity: "O(N) where N is the number of passwords of the user",
        summary: "Proves who the client is.",
        syntax: "[username] password",
        flags: BEFORE_AUTH,
        acl: categories(&[Category::Connection]),
        history: &[("6.0.0", "Takes a user name as well.")],
        run: Handler::Session(auth),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ECHO",
        arity: Arity::exactly(2),
        group: Group::Connection,
        summary: "Answers with the given text.",
        syntax: "message",
        flags: flags(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        acl: categories(&[Category::Connection]),
        run: Handler::Session(echo),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HELLO",
        arity: Arity::at_least(1),
        group: Group::Connection,
        since: "6.0.0",
        summary: "Agrees on a protocol version, logs in and names the connection if asked, and tells about the server.",
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        flags: BEFORE_AUTH,
        acl: categories(&[Category::Connection]),
        history: &[("6.2.0", "The protocol version may be left out.")],
        run: Handler::Session(hello),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PING",
        arity: Arity::at_least(1),
        group: Group::Connection,
        summary: "Answers PONG, or with the given text.",
        syntax: "[message]",
        flags: flags(&[Flag::Fast]),
        acl: categories(&[Category::Connection]),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Handler::Session(ping),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "QUIT",
        arity: Arity::at_least(1),
        group: Group::Connection,
        summary: "Closes the connection once its replies have been sent.",
        flags: BEFORE_AUTH,
        acl: categories(&[Category::Connection]),
        deprecated: Some(("7.2.0", "just closing the connection")),
        run: Handler::Session(quit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RESET",
        arity: Arity::exactly(1),
        group: Group::Connection,
        since: "6.2.0",
        summary: "Takes the connection back to the state it had when it was new.",
        flags: BEFORE_AUTH,
        acl: categories(&[Category::Connection]),
        run: Handler::Session(reset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SELECT",
        arity: Arity::exactly(2),
        group: Group::Connection,
        summary: "Chooses the database that later commands work on.",
        syntax: "index",
        flags: flags(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        acl: categories(&[Category::Connection]),
        run: Handler::Session(select),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn auth(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let (user, password) = match ctx.args.len() {
        2 if ctx.world.acl.default_user().nopass => return Err(error::AUTH_NOT_CONFIGURED),
        2 => (acl::DEFAULT, ctx.args.get(1)),
        3 => (ctx.args.get(1), ctx.args.get(2)),
        _ => return Err(error::SYNTAX),
    };
    log_in(ctx, user, password)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn echo(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.reply.bulk(ctx.args.get(1));
    Ok(Flow::Done)
}

fn hello(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let mut resp3 = ctx.session.resp3;
    if let Some(version) = args.opt(1) {
        resp3 = match number::parse_i64(version) {
            Some(2) => false,
            Some(3) => true,
            Some(_) => return Err(error::NOPROTO),
            None => return Err(CommandError::new("ERR Protocol version is not an integer or out of range")),
        };
    }
    let (mut login, mut name) = (None, None);
    let mut i = 2;
    while i < args.len() {
        let following = args.len() - i - 1;
        if args.is(i, "AUTH") && following >= 2 {
            login = Some((args.get(i + 1), args.get(i + 2)));
            i += 3;
        } else if args.is(i, "SETNAME") && following >= 1 {
            check_name(args.get(i + 1))?;
            name = Some(args.get(i + 1));
            i += 2;
        } else {
            let mut text = b"ERR Syntax error in HELLO option '".to_vec();
            text.extend_from_slice(args.get(i));
            text.push(b'\'');
            return Err(CommandError::bytes(text));
        }
    }
    if let Some((user, password)) = login {
        log_in(ctx, user, password)?;
    }
    if !ctx.session.authenticated {
        return Err(HELLO_NOAUTH);
    }
    if let Some(name) = name {
        ctx.session.name = name.into();
    }
    ctx.session.resp3 = resp3;
    let reply = &mut ctx.reply;
    reply.set_resp3(resp3);
    // A sentinel has no role in replication.
    let has_role = ctx.world.sentinel.is_none();
    reply.map(6 + has_role as usize);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(ctx.session.id.0 as i64);
    reply.bulk(b"mode");
    reply.bulk(ctx.world.mode().as_bytes());
    if has_role {
        reply.bulk(b"role");
        reply.bulk(if ctx.world.replication.is_replica() { b"replica" } else { b"master" });
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(Flow::Done)
}

fn ping(ctx: &mut SessionCtx<'_>) -> CommandResult {
    // A subscriber that speaks RESP2 gets nothing but arrays.
    let subscriber = ctx.session.subscriptions.is_some() && !ctx.session.resp3;
    match ctx.args.len() {
        1 | 2 if subscriber => {
            ctx.reply.array(2);
            ctx.reply.bulk(b"pong");
            ctx.reply.bulk(ctx.args.get(1));
        }
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(ctx.args.get(1)),
        _ => return Err(error::wrong_arity(ctx.spec.name)),
    }
    Ok(Flow::Done)
}

fn quit(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.reply.ok();
    Ok(Flow::Close)
}

fn reset(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if ctx.may_block && !ctx.world.pubsub.leave_some(ctx.session) {
        ctx.session.progress.done = 1;
        return Ok(Flow::More);
    }
    ctx.world.let_go(ctx.session);
    ctx.session.reset();
    ctx.world.welcome(ctx.session);
    ctx.reply.set_resp3(false);
    ctx.reply.simple("RESET");
    Ok(Flow::Done)
}

fn select(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let index = ctx.args.i64(1)?;
    if i32::try_from(index).is_err() {
        return Err(CommandError::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    if index != 0 && ctx.world.keyspace.is_node() {
        return Err(CommandError::new("ERR SELECT is not allowed in cluster mode"));
    }
    match u32::try_from(index) {
        Ok(index) if (index as usize) < ctx.world.keyspace.databases() => ctx.session.db = DbIndex(index),
        _ => return Err(error::DB_OUT_OF_RANGE),
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

const HELLO_NOAUTH: CommandError = CommandError::new(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);

/// Logs the client in. A failure is noted; it does not tell whether there is such a user.
fn log_in(ctx: &mut SessionCtx<'_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let session = &mut *ctx.session;
    if ctx.world.log_in(session, user, password) {
        return Ok(());
    }
    let line = description(ctx.world, session, ctx.args);
    let note = Note { reason: Reason::Auth, place: Note::place_of(session), object: ctx.args.get(0), user };
    ctx.world.note_refusal(note, || line);
    Err(error::WRONGPASS)
}

/// Refuses names that would break the format of CLIENT LIST.
pub(super) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if is_listable(name) {
        Ok(())
    } else {
        Err(CommandError::new("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}

/// True for text that CLIENT LIST can show: printable and without blanks.
pub(super) fn is_listable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}
