//! How long keys live: the EXPIRE and TTL commands and PERSIST.
//!
//! A deadline is absolute and in milliseconds; so is what propagates, so that a replica or a log replayed later agrees on
//! the moment. A deadline that is already over deletes the key here and now, and propagates as that.

use super::look;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::keyspace::Event;
use crate::keyspace::db::removal_command;
use crate::resp::request::Args;
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "EXPIRE",
        summary: "Lets a key live for a number of seconds.",
        syntax: "key seconds [NX|XX|GT|LT]",
        run: Handler::Keys(expire),
        ..SETTER
    },
    CommandSpec {
        name: "EXPIREAT",
        since: "1.2.0",
        summary: "Lets a key live until a point in time, in Unix seconds.",
        syntax: "key unix-time-seconds [NX|XX|GT|LT]",
        run: Handler::Keys(expireat),
        ..SETTER
    },
    CommandSpec {
        name: "EXPIRETIME",
        since: "7.0.0",
        summary: "Tells until when a key lives, in Unix seconds.",
        run: Handler::Keys(expiretime),
        ..GETTER
    },
    CommandSpec {
        name: "PERSIST",
        arity: Arity::exactly(2),
        since: "2.2.0",
        summary: "Lets a key live for ever.",
        syntax: "key",
        history: &[],
        run: Handler::Keys(persist),
        ..SETTER
    },
    CommandSpec {
        name: "PEXPIRE",
        since: "2.6.0",
        summary: "Lets a key live for a number of milliseconds.",
        syntax: "key milliseconds [NX|XX|GT|LT]",
        run: Handler::Keys(pexpire),
        ..SETTER
    },
    CommandSpec {
        name: "PEXPIREAT",
        since: "2.6.0",
        summary: "Lets a key live until a point in time, in Unix milliseconds.",
        syntax: "key unix-time-milliseconds [NX|XX|GT|LT]",
        run: Handler::Keys(pexpireat),
        ..SETTER
    },
    CommandSpec {
        name: "PEXPIRETIME",
        since: "7.0.0",
        summary: "Tells until when a key lives, in Unix milliseconds.",
        run: Handler::Keys(pexpiretime),
        ..GETTER
    },
    CommandSpec {
        name: "PTTL",
        since: "2.6.0",
        summary: "Tells how many milliseconds a key has left.",
        tips: &["nondeterministic_output"],
        history: &[("2.8.0", "Answers -2 for a key that does not exist.")],
        run: Handler::Keys(pttl),
        ..GETTER
    },
    CommandSpec {
        name: "TTL",
        summary: "Tells how many seconds a key has left.",
        tips: &["nondeterministic_output"],
        history: &[("2.8.0", "Answers -2 for a key that does not exist.")],
        run: Handler::Keys(ttl),
        ..GETTER
    },
];
const _: () = check(COMMANDS);

/// What the rows that change a lifetime have in common.
const SETTER: CommandSpec = CommandSpec {
    arity: Arity::at_least(3),
    flags: flags(&[Flag::Write, Flag::Fast]),
    acl: categories(&[Category::Keyspace]),
    keys: &[KeySpec::at(1).access(UPDATE)],
    history: &[("7.0.0", "Takes the conditions `NX`, `XX`, `GT` and `LT`.")],
    ..CommandSpec::BASE
};

/// What the rows that tell a lifetime have in common.
const GETTER: CommandSpec = CommandSpec {
    arity: Arity::exactly(2),
    syntax: "key",
    flags: flags(&[Flag::ReadOnly, Flag::Fast]),
    acl: categories(&[Category::Keyspace]),
    keys: &[KeySpec::at(1).access(READ)],
    ..CommandSpec::BASE
};

fn expire(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadline(ctx, Amount { seconds: true, from_now: true })
}

fn expireat(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadline(ctx, Amount { seconds: true, from_now: false })
}

fn expiretime(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadline(ctx, |deadline, _| to_seconds(deadline))
}

fn persist(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let entry = ctx.db.entry(ctx.args.get(1));
    let volatile = entry.deadline().is_some();
    if volatile {
        entry.set_deadline(None, Event::PERSIST);
    }
    ctx.reply.integer(volatile as i64);
    Ok(Flow::Done)
}

fn pexpire(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadline(ctx, Amount { seconds: false, from_now: true })
}

fn pexpireat(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadline(ctx, Amount { seconds: false, from_now: false })
}

fn pexpiretime(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadline(ctx, |deadline, _| deadline)
}

fn pttl(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadline(ctx, |deadline, now| deadline.saturating_sub(now))
}

fn ttl(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadline(ctx, |deadline, now| to_seconds(deadline.saturating_sub(now)))
}

/// What the number in a request means.
#[derive(Clone, Copy)]
struct Amount {
    /// Seconds, not milliseconds.
    seconds: bool,
    /// Counted from now on, not from the epoch.
    from_now: bool,
}

impl Amount {
    /// The point in time, if it can be expressed. Amounts below zero are in the past.
    fn deadline(self, amount: i64, now: UnixMillis) -> Option<UnixMillis> {
        let millis = if self.seconds { amount.checked_mul(1000)? } else { amount };
        if self.from_now { millis.checked_add(now) } else { Some(millis) }
    }
}

/// The conditions on which a deadline is set. A key without one counts as living for ever.
#[derive(Clone, Copy, Default)]
struct Conditions {
    missing: bool,
    present: bool,
    later: bool,
    sooner: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        const NX_ALONE: CommandError = CommandError::new("ERR NX and XX, GT or LT options at the same time are not compatible");
        const GT_OR_LT: CommandError = CommandError::new("ERR GT and LT options at the same time are not compatible");
        let mut met = Conditions::default();
        for i in 3..args.len() {
            if args.is(i, "NX") {
                met.missing = true;
            } else if args.is(i, "XX") {
                met.present = true;
            } else if args.is(i, "GT") {
                met.later = true;
            } else if args.is(i, "LT") {
                met.sooner = true;
            } else {
                return Err(CommandError::bytes([b"ERR Unsupported option ", args.get(i)].concat()));
            }
        }
        if met.missing && (met.present || met.later || met.sooner) {
            return Err(NX_ALONE);
        }
        if met.later && met.sooner {
            return Err(GT_OR_LT);
        }
        Ok(met)
    }

    fn allow(self, old: Option<UnixMillis>, new: UnixMillis) -> bool {
        (!self.missing || old.is_none())
            && (!self.present || old.is_some())
            && (!self.later || old.is_some_and(|old| new > old))
            && (!self.sooner || old.is_none_or(|old| new < old))
    }
}

fn set_deadline(ctx: &mut KeysCtx<'_>, amount: Amount) -> CommandResult {
    let key = ctx.args.get(1);
    let conditions = Conditions::parse(ctx.args)?;
    let now = ctx.db.now();
    let number = ctx.args.i64(2)?;
    let deadline = amount.deadline(number, now).ok_or_else(|| error::invalid_expire(ctx.spec.name))?;
    let entry = ctx.db.entry(key);
    if !entry.exists() || !conditions.allow(entry.deadline(), deadline) {
        ctx.reply.integer(0);
        return Ok(Flow::Done);
    }
    ctx.reply.integer(1);
    // Where keys do not go away by themselves the deadline is kept: the write stream will bring the deletion.
    let env = &ctx.db.keyspace.env;
    if deadline <= env.expiry_now() && env.active_expire {
        let lazily = env.settings.lazyfree_expire;
        let command = ctx.db.peek(key).map_or(&b"DEL"[..], |entry| removal_command(&entry, lazily));
        ctx.db.keyspace.delete(ctx.db.index, key, lazily, Event::DEL);
        ctx.db.propagate_as([command, key]);
        return Ok(Flow::Done);
    }
    ctx.db.entry(key).set_deadline(Some(deadline), Event::EXPIRE);
    if amount.seconds || amount.from_now {
        let mut text = itoa::Buffer::new();
        let head = [&b"PEXPIREAT"[..], key, text.format(deadline).as_bytes()];
        ctx.db.propagate_as(head.into_iter().chain(ctx.args.from(3)));
    }
    Ok(Flow::Done)
}

/// Answers what `tell` makes of the deadline and the present; -1 for a key that lives for ever, -2 for none at all.
fn tell_deadline(ctx: &mut KeysCtx<'_>, tell: impl FnOnce(UnixMillis, UnixMillis) -> i64) -> CommandResult {
    let now = ctx.db.now();
    let told = match look(&mut ctx.db, ctx.args.get(1), |entry| entry.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => tell(deadline, now).max(0),
    };
    ctx.reply.integer(told);
    Ok(Flow::Done)
}

/// Milliseconds as seconds, rounded to the nearest; adding half a second first could overflow.
fn to_seconds(millis: i64) -> i64 {
    millis / 1000 + (millis % 1000 >= 500) as i64
}
