//! How long fields live: the HEXPIRE and HTTL commands and HPERSIST.
//!
//! Deadlines are absolute and in milliseconds, and propagate as such. A deadline that is already over removes the field here
//! and now, and propagates as that.

use super::{Amount, COUNT_NOT_POSITIVE, READER, WRITER, expect_fields, hash_of};
use crate::command::context::KeysCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::ds::hash::Hash;
use crate::keyspace::{Env, Event, ValueType};
use crate::resp::request::{Args, OwnedRequest};
use crate::types::{DbIndex, UnixMillis};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HEXPIRE",
        summary: "Lets fields live for a number of seconds.",
        syntax: "key seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]",
        run: Handler::Keys(hexpire),
        ..SETTER
    },
    CommandSpec {
        name: "HEXPIREAT",
        summary: "Lets fields live until a point in time, in Unix seconds.",
        syntax: "key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]",
        run: Handler::Keys(hexpireat),
        ..SETTER
    },
    CommandSpec {
        name: "HEXPIRETIME",
        summary: "Tells until when fields live, in Unix seconds.",
        run: Handler::Keys(hexpiretime),
        ..GETTER
    },
    CommandSpec {
        name: "HPERSIST",
        arity: Arity::at_least(5),
        summary: "Lets fields live as long as their hash.",
        syntax: "key FIELDS numfields field [field ...]",
        run: Handler::Keys(hpersist),
        ..SETTER
    },
    CommandSpec {
        name: "HPEXPIRE",
        summary: "Lets fields live for a number of milliseconds.",
        syntax: "key milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]",
        run: Handler::Keys(hpexpire),
        ..SETTER
    },
    CommandSpec {
        name: "HPEXPIREAT",
        summary: "Lets fields live until a point in time, in Unix milliseconds.",
        syntax: "key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]",
        run: Handler::Keys(hpexpireat),
        ..SETTER
    },
    CommandSpec {
        name: "HPEXPIRETIME",
        summary: "Tells until when fields live, in Unix milliseconds.",
        run: Handler::Keys(hpexpiretime),
        ..GETTER
    },
    CommandSpec {
        name: "HPTTL",
        summary: "Tells how many milliseconds fields have left.",
        tips: &["nondeterministic_output"],
        run: Handler::Keys(hpttl),
        ..GETTER
    },
    CommandSpec {
        name: "HTTL",
        summary: "Tells how many seconds fields have left.",
        tips: &["nondeterministic_output"],
        run: Handler::Keys(httl),
        ..GETTER
    },
];
const _: () = check(COMMANDS);

/// What the rows that change lifetimes have in common.
const SETTER: CommandSpec = CommandSpec {
    arity: Arity::at_least(6),
    since: "7.4.0",
    complexity: "O(N) for N fields named",
    flags: flags(&[Flag::Write, Flag::Fast]),
    ..WRITER
};

/// What the rows that tell lifetimes have in common.
const GETTER: CommandSpec = CommandSpec {
    arity: Arity::at_least(5),
    since: "7.4.0",
    complexity: "O(N) for N fields named",
    syntax: "key FIELDS numfields field [field ...]",
    ..READER
};

fn hexpire(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadlines(ctx, Amount { seconds: true, from_now: true })
}

fn hexpireat(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadlines(ctx, Amount { seconds: true, from_now: false })
}

fn hexpiretime(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadlines(ctx, |deadline, _| to_seconds(deadline))
}

fn hpersist(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    ctx.db.entry(key).expect(ValueType::Hash)?;
    expect_fields(ctx, 2, COUNT_NOT_POSITIVE)?;
    let names = ctx.args.from(4);
    ctx.reply.array(names.len());
    let reply = &mut ctx.reply;
    let found = ctx.db.entry(key).edit_existing::<Hash, _>(|hash, env| {
        let now = env.expiry_now();
        let mut changed = false;
        for name in names.clone() {
            let state = hash.find(name, |found| match found {
                Some(found) if found.is_past(now) => NO_FIELD,
                Some(found) if found.deadline.is_none() => NO_DEADLINE,
                Some(_) => CHANGED,
                None => NO_FIELD,
            });
            if state == CHANGED {
                hash.set_deadline(name, None, &env.settings.limits);
                changed = true;
            }
            reply.integer(state);
        }
        ((), changed.then_some(Event::HPERSIST))
    })?;
    if found.is_none() {
        names.for_each(|_| reply.integer(NO_FIELD));
    }
    Ok(Flow::Done)
}

fn hpexpire(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadlines(ctx, Amount { seconds: false, from_now: true })
}

fn hpexpireat(ctx: &mut KeysCtx<'_>) -> CommandResult {
    set_deadlines(ctx, Amount { seconds: false, from_now: false })
}

fn hpexpiretime(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadlines(ctx, |deadline, _| deadline)
}

fn hpttl(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadlines(ctx, |deadline, now| deadline - now)
}

fn httl(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_deadlines(ctx, |deadline, now| to_seconds(deadline - now))
}

// What is answered for a field.
const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const CONDITION_NOT_MET: i64 = 0;
const CHANGED: i64 = 1;
const REMOVED: i64 = 2;

/// The condition on which a deadline is set.
#[derive(Clone, Copy)]
enum Condition {
    Missing,
    Present,
    Later,
    Sooner,
}

impl Condition {
    /// The condition at argument `i`, if it is one.
    fn parse(args: Args<'_>, i: usize) -> Option<Self> {
        let all = [("NX", Self::Missing), ("XX", Self::Present), ("GT", Self::Later), ("LT", Self::Sooner)];
        all.into_iter().find(|(word, _)| args.is(i, word)).map(|(_, condition)| condition)
    }

    /// A field without deadline counts as living for ever.
    fn allows(self, old: Option<UnixMillis>, new: UnixMillis) -> bool {
        match self {
            Condition::Missing => old.is_none(),
            Condition::Present => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Sooner => old.is_none_or(|old| new < old),
        }
    }
}

fn set_deadlines(ctx: &mut KeysCtx<'_>, amount: Amount) -> CommandResult {
    const BAD_COUNT: CommandError = CommandError::new("ERR Parameter `numFields` should be greater than 0");
    let args = ctx.args;
    let key = args.get(1);
    ctx.db.entry(key).expect(ValueType::Hash)?;
    let deadline = amount.deadline(ctx, 2)?;
    let condition = Condition::parse(args, 3);
    let at = 3 + condition.is_some() as usize;
    expect_fields(ctx, at, BAD_COUNT)?;
    let names = args.from(at + 2);
    let index = ctx.db.index;
    let reply = &mut ctx.reply;
    reply.array(names.len());
    let mut changed: Vec<&[u8]> = Vec::new();
    let found = ctx.db.entry(key).edit_existing::<Hash, _>(|hash, env| {
        let over = deadline <= env.expiry_now();
        hash.expect_deadlines(&env.settings.limits);
        let mut removed = 0;
        for name in names.clone() {
            // One past its deadline gets a new one, as long as nobody has removed it.
            let old = hash.find(name, |found| found.map(|found| found.deadline));
            reply.integer(match old {
                None => NO_FIELD,
                Some(old) if condition.is_some_and(|condition| !condition.allows(old, deadline)) => CONDITION_NOT_MET,
                Some(_) if over => {
                    remove(hash, env, index, key, name);
                    removed += 1;
                    REMOVED
                }
                Some(_) => {
                    hash.set_deadline(name, Some(deadline), &env.settings.limits);
                    changed.push(name);
                    CHANGED
                }
            });
        }
        env.effects.more((removed + changed.len()).saturating_sub(1) as u64);
        let event = if removed > 0 { Some(Event::HDEL) } else { (!changed.is_empty()).then_some(Event::HEXPIRE) };
        ((), event)
    })?;
    if found.is_none() {
        names.for_each(|_| reply.integer(NO_FIELD));
    }
    if !changed.is_empty() {
        let (mut at_text, mut count_text) = (itoa::Buffer::new(), itoa::Buffer::new());
        let head = [&b"HPEXPIREAT"[..], key, at_text.format(deadline).as_bytes()];
        let condition = condition.map(|_| args.get(3));
        let fields = [&b"FIELDS"[..], count_text.format(changed.len()).as_bytes()];
        ctx.db.propagate_as(head.into_iter().chain(condition).chain(fields).chain(changed));
    }
    Ok(Flow::Done)
}

/// Removes a field whose new deadline is already over. The caller records the change.
pub(super) fn remove(hash: &mut Hash, env: &mut Env, index: DbIndex, key: &[u8], name: &[u8]) {
    hash.remove(name);
    env.stats.expired_fields += 1;
    env.effects.propagate_as(index, || OwnedRequest::build([&b"HDEL"[..], key, name]));
}

/// Answers for each field what `tell` makes of its deadline and the present.
fn tell_deadlines(ctx: &mut KeysCtx<'_>, tell: impl Fn(UnixMillis, UnixMillis) -> i64) -> CommandResult {
    let now = ctx.db.now();
    let key = ctx.args.get(1);
    ctx.db.entry(key).expect(ValueType::Hash)?;
    expect_fields(ctx, 2, COUNT_NOT_POSITIVE)?;
    let names = ctx.args.from(4);
    let reply = &mut ctx.reply;
    reply.array(names.len());
    match ctx.db.read(key) {
        Some(entry) => {
            let hash = hash_of(entry)?;
            for name in names {
                reply.integer(hash.find(name, |found| match found {
                    Some(found) if found.is_past(now) => NO_FIELD,
                    Some(found) => found.deadline.map_or(NO_DEADLINE, |deadline| tell(deadline, now)),
                    None => NO_FIELD,
                }));
            }
        }
        None => names.for_each(|_| reply.integer(NO_FIELD)),
    }
    Ok(Flow::Done)
}

/// Milliseconds as seconds, rounded up.
fn to_seconds(millis: i64) -> i64 {
    (millis + 999) / 1000
}
