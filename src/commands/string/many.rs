//! Several keys at once: MGET, MSET, MSETEX, MSETNX.
//!
//! Keys are taken in steps: the buckets and entries of a whole step are asked of memory before the first is used, so that
//! their misses overlap.

use super::value;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::expire_options::Expiry;
use crate::keyspace::{Event, Str};
use crate::resp::request::Args;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "MGET",
        arity: Arity::at_least(2),
        group: Group::String,
        complexity: "O(N), N being the number of keys",
        summary: "Tells the string values of several keys; null for keys that are missing or hold something else.",
        syntax: "key [key ...]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::range(1, -1, 1).access(READ)],
        tips: &["request_policy:multi_shard"],
        run: Handler::Keys(mget),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSET",
        arity: Arity::at_least(3),
        group: Group::String,
        since: "1.0.1",
        complexity: "O(N), N being the number of keys",
        summary: "Sets several keys to strings, whatever they held.",
        syntax: "key value [key value ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::range(1, -1, 2).access(OVERWRITE)],
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        run: Handler::Keys(mset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSETEX",
        arity: Arity::at_least(4),
        group: Group::String,
        since: "9.1.0",
        complexity: "O(N), N being the number of keys",
        summary: "Sets several keys to strings with one time to live, if all or none of them exist where that is asked.",
        syntax: "numkeys key value [key value ...] [NX|XX] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec { flags: OVERWRITE, begin: Begin::Index(1), find: Find::Count { count_at: 0, first: 1, step: 2 } }],
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        run: Handler::Keys(msetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSETNX",
        arity: Arity::at_least(3),
        group: Group::String,
        since: "1.0.1",
        complexity: "O(N), N being the number of keys",
        summary: "Sets several keys to strings if none of them exists.",
        syntax: "key value [key value ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::range(1, -1, 2).access(KeyFlags::OW | KeyFlags::INSERT)],
        run: Handler::Keys(msetnx),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

/// Keys per step; as many as one prefetch takes.
const STEP: usize = 16;

const INVALID_NUMKEYS: CommandError = CommandError::new("ERR invalid numkeys value or out of range");

fn mget(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    ctx.reply.array(args.len() - 1);
    for first in (1..args.len()).step_by(STEP) {
        ctx.db.keyspace.prefetch(ctx.db.index, args.from(first).take(STEP));
        for key in args.from(first).take(STEP) {
            match ctx.db.read(key).as_deref().map(Str::of) {
                Some(Ok(text)) => value::write(&mut ctx.reply, text),
                Some(Err(_)) | None => ctx.reply.null(),
            }
        }
    }
    Ok(Flow::Done)
}

fn mset(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let pairs = all_pairs(ctx.args)?;
    for step in pairs.steps() {
        ctx.db.keyspace.prefetch(ctx.db.index, step.iter().map(|(key, _)| key));
        for (key, value) in step.iter() {
            ctx.db.entry(key).set(value, None, Event::SET);
        }
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The condition of MSETEX.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    AllMissing,
    AllPresent,
}

struct MsetexOptions<'a> {
    pairs: Pairs<'a>,
    when: When,
    keep_ttl: bool,
    expiry: Option<Expiry<'a>>,
}

fn msetex(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let MsetexOptions { pairs, when, keep_ttl, expiry } = parse_msetex(ctx.args)?;
    let deadline = match expiry {
        Some(expiry) => Some(expiry.deadline(ctx.db.now(), "msetex")?),
        None => None,
    };
    if !holds(ctx, pairs, when) {
        ctx.reply.integer(0);
        return Ok(Flow::Done);
    }
    for step in pairs.steps() {
        ctx.db.keyspace.prefetch(ctx.db.index, step.iter().map(|(key, _)| key));
        for (key, value) in step.iter() {
            let entry = ctx.db.entry(key);
            let kept = if keep_ttl { entry.deadline() } else { None };
            entry.set(value, deadline.or(kept), Event::SET);
            if deadline.is_some() {
                ctx.db.keyspace.env.effects.noticed(ctx.db.index, key, Event::EXPIRE);
            }
        }
    }
    if let Some(at) = deadline {
        let mut digits = itoa::Buffer::new();
        let condition: Option<&[u8]> = match when {
            When::Always => None,
            When::AllMissing => Some(b"NX"),
            When::AllPresent => Some(b"XX"),
        };
        let head = [&b"MSETEX"[..], ctx.args.get(1)].into_iter();
        let tail = [&b"PXAT"[..], digits.format(at).as_bytes()];
        ctx.db.propagate_as(head.chain(pairs.arguments()).chain(condition).chain(tail));
    }
    ctx.reply.integer(1);
    Ok(Flow::Done)
}

fn parse_msetex(args: Args<'_>) -> Result<MsetexOptions<'_>, CommandError> {
    let count = args.i64(1).ok().and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0).ok_or(INVALID_NUMKEYS)?;
    let end = 2 + 2 * count as usize;
    if end > args.len() {
        return Err(error::SYNTAX);
    }
    let pairs = Pairs { args, first: 2, end };
    let mut options = MsetexOptions { pairs, when: When::Always, keep_ttl: false, expiry: None };
    let mut i = end;
    while i < args.len() {
        if args.is(i, "NX") && options.when != When::AllPresent {
            options.when = When::AllMissing;
        } else if args.is(i, "XX") && options.when != When::AllMissing {
            options.when = When::AllPresent;
        } else if args.is(i, "KEEPTTL") && options.expiry.is_none() {
            options.keep_ttl = true;
        } else if let Some(expiry) = Expiry::parse(args, i)
            && !options.keep_ttl
            && options.expiry.is_none_or(|before| before.is_like(&expiry))
        {
            options.expiry = Some(expiry);
            i += 1;
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    Ok(options)
}

fn msetnx(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let pairs = all_pairs(ctx.args)?;
    let missing = holds(ctx, pairs, When::AllMissing);
    if missing {
        // A key that is named twice exists by the second time; the last value stays.
        for (key, value) in pairs.iter() {
            ctx.db.entry(key).set(value, None, Event::SET);
        }
    }
    ctx.reply.integer(missing as i64);
    Ok(Flow::Done)
}

/// True if the condition holds for every key as things are now.
fn holds(ctx: &mut KeysCtx<'_>, pairs: Pairs<'_>, when: When) -> bool {
    let wanted = match when {
        When::Always => return true,
        When::AllMissing => false,
        When::AllPresent => true,
    };
    for step in pairs.steps() {
        ctx.db.keyspace.prefetch(ctx.db.index, step.iter().map(|(key, _)| key));
        for (key, _) in step.iter() {
            if ctx.db.entry(key).exists() != wanted {
                return false;
            }
        }
    }
    true
}

/// Keys and values that take turns among the arguments `first..end`.
#[derive(Clone, Copy)]
struct Pairs<'a> {
    args: Args<'a>,
    first: usize,
    end: usize,
}

/// The pairs of MSET and MSETNX: all arguments.
fn all_pairs(args: Args<'_>) -> Result<Pairs<'_>, CommandError> {
    if args.len().is_multiple_of(2) {
        let name = String::from_utf8_lossy(args.get(0));
        return Err(error::wrong_arity(&name));
    }
    Ok(Pairs { args, first: 1, end: args.len() })
}

impl<'a> Pairs<'a> {
    fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        (self.first..self.end).step_by(2).map(move |i| (self.args.get(i), self.args.get(i + 1)))
    }

    /// The same, in pieces of `STEP` pairs.
    fn steps(self) -> impl Iterator<Item = Pairs<'a>> {
        (self.first..self.end).step_by(2 * STEP).map(move |first| Pairs { first, end: self.end.min(first + 2 * STEP), ..self })
    }

    /// The arguments as they stand.
    fn arguments(self) -> impl Iterator<Item = &'a [u8]> {
        (self.first..self.end).map(move |i| self.args.get(i))
    }
}
