//! Reading and writing one whole value: GET, SET and their short forms, GETSET, GETDEL, DELIFEQ, APPEND, STRLEN.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::expire_options::Expiry;
use crate::keyspace::{Event, Str};
use crate::resp::request::Args;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "APPEND",
        arity: Arity::exactly(3),
        group: Group::String,
        since: "2.0.0",
        complexity: "O(1) amortised: the buffer grows by doubling",
        summary: "Adds text to the end of a string; creates the key if it is missing.",
        syntax: "key value",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(INSERT)],
        run: Handler::Keys(append),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DELIFEQ",
        arity: Arity::exactly(3),
        group: Group::String,
        since: "9.0.0",
        summary: "Deletes a key if its value is exactly the given string.",
        syntax: "key value",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(REMOVE)],
        run: Handler::Keys(delifeq),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GET",
        arity: Arity::exactly(2),
        group: Group::String,
        summary: "Tells the string value of a key.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETDEL",
        arity: Arity::exactly(2),
        group: Group::String,
        since: "6.2.0",
        summary: "Tells the string value of a key and deletes the key.",
        syntax: "key",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(TAKE)],
        run: Handler::Keys(getdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETSET",
        arity: Arity::exactly(3),
        group: Group::String,
        summary: "Tells the string value of a key and sets a new one.",
        syntax: "key value",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        deprecated: Some(("6.2.0", "`SET` with the `GET` argument")),
        run: Handler::Keys(getset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SET",
        arity: Arity::at_least(3),
        group: Group::String,
        summary: "Sets a key to a string, whatever it held, on conditions and with a time to live if asked.",
        syntax: "key value [NX|XX|IFEQ comparison-value] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ_UPDATE | KeyFlags::VARIABLE)],
        history: &[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
        ],
        run: Handler::Keys(set),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETNX",
        arity: Arity::exactly(3),
        group: Group::String,
        summary: "Sets a key to a string if the key is missing.",
        syntax: "key value",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(KeyFlags::OW | KeyFlags::INSERT)],
        deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
        run: Handler::Keys(setnx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "STRLEN",
        arity: Arity::exactly(2),
        group: Group::String,
        since: "2.2.0",
        summary: "Tells the length of a string value in bytes.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(strlen),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn append(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let text = ctx.args.get(2);
    let longest = ctx.db.keyspace.env.settings.bulk_max;
    let entry = ctx.db.entry(ctx.args.get(1));
    let old = entry.with_string(|old| old.map_or(0, |s| s.len()))?;
    if old.saturating_add(text.len()) > longest {
        return Err(error::STRING_TOO_LONG);
    }
    let len = entry.append(text, Event::APPEND);
    ctx.reply.count(len);
    Ok(Flow::Done)
}

fn delifeq(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    let equal = ctx.db.entry(key).with_string(|value| value.map(|v| is(&v, ctx.args.get(2))))?;
    let deleted = equal == Some(true) && ctx.db.delete(key, Event::DEL);
    if deleted {
        ctx.db.propagate_as([&b"DEL"[..], key]);
    }
    ctx.reply.integer(deleted as i64);
    Ok(Flow::Done)
}

fn get(ctx: &mut KeysCtx<'_>) -> CommandResult {
    match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => write(&mut ctx.reply, Str::of(&entry)?),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

fn getdel(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    match ctx.db.read(key) {
        Some(entry) => write(&mut ctx.reply, Str::of(&entry)?),
        None => {
            ctx.reply.null();
            return Ok(Flow::Done);
        }
    }
    ctx.db.delete(key, Event::DEL);
    ctx.db.propagate_as([&b"DEL"[..], key]);
    Ok(Flow::Done)
}

fn getset(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, value) = (ctx.args.get(1), ctx.args.get(2));
    match ctx.db.read(key) {
        Some(entry) => write(&mut ctx.reply, Str::of(&entry)?),
        None => ctx.reply.null(),
    }
    ctx.db.entry(key).set(value, None, Event::SET);
    ctx.db.propagate_as([&b"SET"[..], key, value]);
    Ok(Flow::Done)
}

/// The condition of SET.
#[derive(PartialEq, Eq, Clone, Copy)]
enum When<'a> {
    Always,
    Missing,
    Present,
    Equal(&'a [u8]),
}

struct SetOptions<'a> {
    when: When<'a>,
    get: bool,
    keep_ttl: bool,
    expiry: Option<Expiry<'a>>,
}

fn set(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, value) = (ctx.args.get(1), ctx.args.get(2));
    if ctx.args.len() == 3 {
        ctx.db.entry(key).set(value, None, Event::SET);
        ctx.reply.ok();
        return Ok(Flow::Done);
    }
    let options = parse_set(ctx.args)?;
    let deadline = match options.expiry {
        Some(expiry) => Some(expiry.deadline(ctx.db.now(), "set")?),
        None => None,
    };
    let mut replied = false;
    if options.get {
        match ctx.db.read(key) {
            Some(entry) => write(&mut ctx.reply, Str::of(&entry)?),
            None => ctx.reply.null(),
        }
        replied = true;
    }
    let entry = ctx.db.entry(key);
    let met = match options.when {
        When::Always => true,
        When::Missing => !entry.exists(),
        When::Present => entry.exists(),
        When::Equal(wanted) => entry.with_string(|found| found.is_some_and(|f| is(&f, wanted)))?,
    };
    if !met {
        if !replied {
            ctx.reply.null();
        }
        return Ok(Flow::Done);
    }
    let kept = if options.keep_ttl { entry.deadline() } else { None };
    // A deadline that is already over is stored as it is: the next look at the key removes it.
    entry.set(value, deadline.or(kept), Event::SET);
    if let Some(at) = deadline {
        ctx.db.keyspace.env.effects.noticed(ctx.db.index, key, Event::EXPIRE);
        // A request that says just that goes on as it came.
        let is_plain = ctx.args.len() == 5 && options.expiry.is_some_and(|expiry| expiry.is_deadline());
        if !is_plain {
            let mut text = itoa::Buffer::new();
            ctx.db.propagate_as([&b"SET"[..], key, value, b"PXAT", text.format(at).as_bytes()]);
        }
    }
    if !replied {
        ctx.reply.ok();
    }
    Ok(Flow::Done)
}

fn parse_set(args: Args<'_>) -> Result<SetOptions<'_>, CommandError> {
    let mut options = SetOptions { when: When::Always, get: false, keep_ttl: false, expiry: None };
    let mut i = 3;
    while i < args.len() {
        let conditional = options.when != When::Always;
        // Saying the same again is allowed.
        let same = |when: When<'_>| !conditional || options.when == when;
        if args.is(i, "NX") && same(When::Missing) {
            options.when = When::Missing;
        } else if args.is(i, "XX") && same(When::Present) {
            options.when = When::Present;
        } else if args.is(i, "IFEQ") && !conditional && i + 1 < args.len() {
            options.when = When::Equal(args.get(i + 1));
            i += 1;
        } else if args.is(i, "GET") {
            options.get = true;
        } else if args.is(i, "KEEPTTL") && options.expiry.is_none() {
            options.keep_ttl = true;
        } else if !options.keep_ttl
            && let Some(expiry) = Expiry::parse(args, i).filter(|e| options.expiry.is_none_or(|known| known.is_like(e)))
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

fn setnx(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let entry = ctx.db.entry(ctx.args.get(1));
    let missing = !entry.exists();
    if missing {
        entry.set(ctx.args.get(2), None, Event::SET);
    }
    ctx.reply.integer(missing as i64);
    Ok(Flow::Done)
}

fn strlen(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let len = match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => Str::of(&entry)?.len(),
        None => 0,
    };
    ctx.reply.count(len);
    Ok(Flow::Done)
}

/// Writes a string value as a bulk string.
#[inline]
pub(super) fn write(reply: &mut crate::resp::reply::ReplyWriter<'_>, value: Str<'_>) {
    match value {
        Str::Int(n) => reply.bulk_integer(n),
        Str::Bytes(bytes) => reply.bulk(bytes),
        Str::Shared(buffer) => reply.bulk_shared(buffer),
    }
}

fn is(value: &Str<'_>, wanted: &[u8]) -> bool {
    value.text(&mut itoa::Buffer::new()) == wanted
}
