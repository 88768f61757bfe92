//! Values together with a time to live: GETEX, PSETEX, SETEX.
//!
//! Times are propagated as absolute ones, so that a replica or a log read later means the same moment.

use super::value;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::expire_options::Expiry;
use crate::keyspace::{Event, Str};
use crate::resp::request::Args;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GETEX",
        arity: Arity::at_least(2),
        group: Group::String,
        since: "6.2.0",
        summary: "Tells the string value of a key and sets or removes the key's time to live.",
        syntax: "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(getex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PSETEX",
        arity: Arity::exactly(4),
        group: Group::String,
        since: "2.6.0",
        summary: "Sets a key to a string that expires after some milliseconds.",
        syntax: "key milliseconds value",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(OVERWRITE)],
        deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
        run: Handler::Keys(psetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETEX",
        arity: Arity::exactly(4),
        group: Group::String,
        since: "2.0.0",
        summary: "Sets a key to a string that expires after some seconds.",
        syntax: "key seconds value",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(OVERWRITE)],
        deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
        run: Handler::Keys(setex),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

/// What GETEX does to the deadline.
enum Change<'a> {
    Nothing,
    Persist,
    Expire(Expiry<'a>),
}

fn getex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    let change = parse_getex(ctx.args)?;
    let now = ctx.db.now();
    let Some(entry) = ctx.db.read(key) else {
        ctx.reply.null();
        return Ok(Flow::Done);
    };
    let text = Str::of(&entry)?;
    // The time is looked at only now: a missing key is answered even if the time makes no sense.
    let deadline = match &change {
        Change::Expire(expiry) => Some(expiry.deadline(now, "getex")?),
        _ => None,
    };
    value::write(&mut ctx.reply, text);
    let volatile = entry.deadline().is_some();
    match (change, deadline) {
        (Change::Expire(expiry), Some(at)) if expiry.is_absolute() && at <= ctx.db.expiry_now() => {
            let lazily = ctx.db.keyspace.env.settings.lazyfree_expire;
            ctx.db.keyspace.delete(ctx.db.index, key, lazily, Event::DEL);
            ctx.db.propagate_as([&b"DEL"[..], key]);
        }
        (_, Some(at)) => {
            ctx.db.entry(key).set_deadline(Some(at), Event::EXPIRE);
            let mut digits = itoa::Buffer::new();
            ctx.db.propagate_as([&b"PEXPIREAT"[..], key, digits.format(at).as_bytes()]);
        }
        (Change::Persist, None) if volatile => {
            ctx.db.entry(key).set_deadline(None, Event::PERSIST);
            ctx.db.propagate_as([&b"PERSIST"[..], key]);
        }
        _ => {}
    }
    Ok(Flow::Done)
}

fn parse_getex(args: Args<'_>) -> Result<Change<'_>, CommandError> {
    let mut change = Change::Nothing;
    let mut i = 2;
    while i < args.len() {
        let given = Expiry::parse(args, i);
        change = match (change, given) {
            (Change::Nothing | Change::Persist, None) if args.is(i, "PERSIST") => Change::Persist,
            (Change::Nothing, Some(expiry)) => Change::Expire(expiry),
            (Change::Expire(before), Some(expiry)) if before.is_like(&expiry) => Change::Expire(expiry),
            _ => return Err(error::SYNTAX),
        };
        i += if given.is_some() { 2 } else { 1 };
    }
    Ok(change)
}

fn psetex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_for(ctx, false, "psetex")
}

fn setex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_for(ctx, true, "setex")
}

/// Sets argument 3 for the time in argument 2.
fn set_for(ctx: &mut KeysCtx<'_>, seconds: bool, command: &str) -> CommandResult {
    let (key, value) = (ctx.args.get(1), ctx.args.get(3));
    let at = Expiry::relative(ctx.args.get(2), seconds).deadline(ctx.db.now(), command)?;
    ctx.db.entry(key).set(value, Some(at), Event::SET);
    ctx.db.keyspace.env.effects.noticed(ctx.db.index, key, Event::EXPIRE);
    let mut digits = itoa::Buffer::new();
    ctx.db.propagate_as([&b"SET"[..], key, value, b"PXAT", digits.format(at).as_bytes()]);
    ctx.reply.ok();
    Ok(Flow::Done)
}
