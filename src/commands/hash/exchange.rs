//! Two things in one request: HGETDEL, HGETEX and HSETEX.

use super::{Amount, COUNT_NOT_POSITIVE, WRITER, expect_fields, lifetime};
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::ds::hash::{Deadline, Hash};
use crate::ds::object::Typed;
use crate::keyspace::{Event, ValueType};
use crate::resp::reply::ReplyWriter;
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HGETDEL",
        arity: Arity::at_least(5),
        since: "8.0.0",
        complexity: "O(N) for N fields named",
        summary: "Tells the values of fields and removes the fields.",
        syntax: "key FIELDS numfields field [field ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::at(1).access(TAKE)],
        run: Handler::Keys(hgetdel),
        ..WRITER
    },
    CommandSpec {
        name: "HGETEX",
        arity: Arity::at_least(5),
        since: "8.0.0",
        complexity: "O(N) for N fields named",
        summary: "Tells the values of fields and changes how long they live.",
        syntax: "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] FIELDS numfields field [field ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(hgetex),
        ..WRITER
    },
    CommandSpec {
        name: "HSETEX",
        arity: Arity::at_least(6),
        since: "8.0.0",
        complexity: "O(N) for N fields to set",
        summary: "Sets fields, on conditions and with a time to live if asked.",
        syntax: "key [FNX|FXX] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] FIELDS numfields field value [field value ...]",
        run: Handler::Keys(hsetex),
        ..WRITER
    },
];
const _: () = check(COMMANDS);

fn hgetdel(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    ctx.db.entry(key).expect(ValueType::Hash)?;
    expect_fields(ctx, 2, COUNT_NOT_POSITIVE)?;
    let names = ctx.args.from(4);
    if !drop_past_or_tell_none(ctx, key, 4) {
        return Ok(Flow::Done);
    }
    let reply = &mut ctx.reply;
    let removed = ctx.db.entry(key).edit_existing::<Hash, _>(|hash, env| {
        let mut removed = 0;
        for name in names.clone() {
            tell_value(reply, hash, name);
            removed += hash.remove(name) as u64;
        }
        env.effects.more(removed.max(1) - 1);
        (removed, (removed > 0).then_some(Event::HDEL))
    })?;
    if removed.is_some_and(|removed| removed > 0) {
        ctx.db.propagate_as([&b"HDEL"[..], key].into_iter().chain(names));
    }
    Ok(Flow::Done)
}

/// What HGETEX does to the deadlines of the fields that it tells.
enum Change {
    Nothing,
    Persist,
    Set(UnixMillis),
}

fn hgetex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let key = args.get(1);
    ctx.db.entry(key).expect(ValueType::Hash)?;
    let (change, at) = if let Some(amount) = Amount::of_option(args, 2) {
        (Change::Set(amount.deadline(ctx, 3)?), 4)
    } else if args.is(2, "PERSIST") {
        (Change::Persist, 3)
    } else {
        (Change::Nothing, 2)
    };
    expect_fields(ctx, at, COUNT_NOT_POSITIVE)?;
    let names = args.from(at + 2);
    if !drop_past_or_tell_none(ctx, key, at + 2) {
        return Ok(Flow::Done);
    }
    let reply = &mut ctx.reply;
    let deadline = match change {
        Change::Nothing => {
            if let Some(hash) = ctx.db.entry(key).value::<Hash>()? {
                names.for_each(|name| tell_value(reply, &hash, name));
            }
            return Ok(Flow::Done);
        }
        Change::Persist => None,
        Change::Set(deadline) => Some(deadline),
    };
    let index = ctx.db.index;
    let event = ctx.db.entry(key).edit_existing::<Hash, _>(|hash, env| {
        let over = deadline.is_some_and(|deadline| deadline <= env.expiry_now());
        hash.expect_deadlines(&env.settings.limits);
        let mut changes = 0;
        for name in names {
            tell_value(reply, hash, name);
            match hash.find(name, |found| found.map(|found| found.deadline)) {
                Some(_) if over => lifetime::remove(hash, env, index, key, name),
                Some(old) if old.is_some() || deadline.is_some() => {
                    hash.set_deadline(name, deadline, &env.settings.limits);
                }
                _ => continue,
            }
            changes += 1;
        }
        env.effects.more(changes.max(1) - 1);
        let event = match deadline {
            _ if changes == 0 => None,
            _ if over => Some(Event::HDEL),
            Some(_) => Some(Event::HEXPIRE),
            None => Some(Event::HPERSIST),
        };
        (event, event)
    })?;
    let mut count = itoa::Buffer::new();
    let fields = [&b"FIELDS"[..], count.format(args.len() - at - 2).as_bytes()];
    let names = args.from(at + 2);
    match (event.flatten(), deadline) {
        (Some(Event::HEXPIRE), Some(deadline)) => {
            let mut at = itoa::Buffer::new();
            let head = [&b"HPEXPIREAT"[..], key, at.format(deadline).as_bytes()];
            ctx.db.propagate_as(head.into_iter().chain(fields).chain(names));
        }
        (Some(Event::HPERSIST), _) => {
            ctx.db.propagate_as([&b"HPERSIST"[..], key].into_iter().chain(fields).chain(names));
        }
        _ => {}
    }
    Ok(Flow::Done)
}

/// Begins an answer for the fields named from argument `first` on. Those past their deadline are removed before anything is
/// told; if then nothing is left, or never was, nulls are told and false is returned.
fn drop_past_or_tell_none(ctx: &mut KeysCtx<'_>, key: &[u8], first: usize) -> bool {
    let names = ctx.args.from(first);
    let now = ctx.db.expiry_now();
    ctx.reply.array(names.len());
    let past = match ctx.db.read(key).and_then(|entry| entry.into_lent::<Hash>()) {
        Some(hash) => names.clone().any(|name| hash.has_past(name, now)),
        None => {
            names.for_each(|_| ctx.reply.null());
            return false;
        }
    };
    if past {
        ctx.db.entry(key).expire_named(names.clone());
        if !ctx.db.entry(key).exists() {
            names.for_each(|_| ctx.reply.null());
            return false;
        }
    }
    true
}

/// Tells the value of a field, or null.
fn tell_value(reply: &mut ReplyWriter<'_>, hash: &Hash, name: &[u8]) {
    hash.find(name, |found| match found {
        Some(found) => bulk(reply, found.value),
        None => reply.null(),
    });
}

/// The condition of HSETEX.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// No field exists.
    Missing,
    /// All fields exist.
    Present,
}

struct SetOptions {
    when: Option<When>,
    keep_ttl: bool,
    /// The deadline, and at which argument its option stands.
    expiry: Option<(UnixMillis, usize)>,
    /// Where the fields begin.
    first: usize,
}

fn hsetex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let key = args.get(1);
    let options = parse_hsetex(ctx)?;
    let pairs = || (options.first..args.len()).step_by(2).map(|i| (args.get(i), args.get(i + 1)));
    ctx.db.entry(key).expect(ValueType::Hash)?;
    let now = ctx.db.expiry_now();
    if let Some(when) = options.when {
        let names = || pairs().map(|(name, _)| name);
        let entry = ctx.db.entry(key);
        let hash = entry.value::<Hash>()?;
        let has = |name: &[u8]| {
            hash.as_ref().is_some_and(|hash| hash.find(name, |found| found.is_some_and(|found| !found.is_past(now))))
        };
        let met = match when {
            When::Missing => !names().any(has),
            When::Present => names().all(has),
        };
        if hash.as_ref().is_some_and(|hash| names().any(|name| hash.has_past(name, now))) {
            entry.expire_named(names());
        }
        if !met {
            ctx.reply.integer(0);
            return Ok(Flow::Done);
        }
    }
    let index = ctx.db.index;
    let deadline = options.expiry.map(|(deadline, _)| deadline);
    let over = deadline.is_some_and(|deadline| deadline <= now);
    let kept = if options.keep_ttl || deadline.is_some() { Deadline::Keep } else { Deadline::Drop };
    ctx.db.entry(key).edit::<Hash, _>(|hash, env| {
        let was_missing = Typed::is_empty(hash);
        hash.expect_more(pairs().count(), &env.settings.limits);
        for (name, value) in pairs() {
            hash.set(name, value, kept, &env.settings.limits);
            if over {
                lifetime::remove(hash, env, index, key, name);
            } else if deadline.is_some() {
                hash.set_deadline(name, deadline, &env.settings.limits);
            }
        }
        let event = match deadline {
            None => Event::HSET,
            Some(_) => {
                env.effects.noticed(index, key, Event::HSET);
                if over { Event::HDEL } else { Event::HEXPIRE }
            }
        };
        if over && was_missing {
            // Nothing came of it, but it happened: listeners are told, and a watch of the key is broken.
            env.effects.noticed(index, key, Event::HDEL);
            env.effects.modified_too(index, key, Event::DEL, false);
        } else {
            env.effects.more(pairs().count() as u64 - 1);
        }
        ((), Some(event))
    })?;
    if let (Some((deadline, at)), false) = (options.expiry, over) {
        let mut text = itoa::Buffer::new();
        let expiry = [&b"PXAT"[..], text.format(deadline).as_bytes()];
        ctx.db.propagate_as(args.from(0).take(at).chain(expiry).chain(args.from(at + 2)));
    }
    ctx.reply.integer(1);
    Ok(Flow::Done)
}

fn parse_hsetex(ctx: &KeysCtx<'_>) -> Result<SetOptions, CommandError> {
    const ONE_CONDITION: CommandError = CommandError::new("ERR Only one of FXX or FNX arguments can be specified");
    const ONE_EXPIRY: CommandError =
        CommandError::new("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
    const BAD_COUNT: CommandError = CommandError::new("ERR invalid number of fields");
    let args = ctx.args;
    let wrong_arity = || error::wrong_arity(ctx.spec.name);
    let mut options = SetOptions { when: None, keep_ttl: false, expiry: None, first: 0 };
    let mut i = 2;
    while i < args.len() {
        let timed = options.keep_ttl || options.expiry.is_some();
        if args.is(i, "FIELDS") {
            // A count, a field and a value are asked for before the count is looked at.
            let count = args.opt(i + 1).filter(|_| i + 3 < args.len()).ok_or_else(wrong_arity)?;
            let in_range = |count: &i64| (1..=i64::from(i32::MAX)).contains(count);
            let count = crate::resp::number::parse_i64(count).filter(in_range).ok_or(BAD_COUNT)?;
            options.first = i + 2;
            let given = args.len() - options.first;
            if usize::try_from(count).ok().and_then(|count| count.checked_mul(2)) != Some(given) {
                return Err(wrong_arity());
            }
            return Ok(options);
        } else if args.is(i, "FNX") || args.is(i, "FXX") {
            if options.when.is_some() {
                return Err(ONE_CONDITION);
            }
            options.when = Some(if args.is(i, "FNX") { When::Missing } else { When::Present });
        } else if args.is(i, "KEEPTTL") {
            if timed {
                return Err(ONE_EXPIRY);
            }
            options.keep_ttl = true;
        } else if let Some(amount) = Amount::of_option(args, i) {
            if timed {
                return Err(ONE_EXPIRY);
            }
            if i + 1 >= args.len() {
                return Err(wrong_arity());
            }
            options.expiry = Some((amount.deadline(ctx, i + 1)?, i));
            i += 1;
        } else {
            return Err(CommandError::bytes([b"ERR unknown argument: ", args.get(i)].concat()));
        }
        i += 1;
    }
    Err(wrong_arity())
}
