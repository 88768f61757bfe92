//! How a value is kept: OBJECT.

use crate::command::context::KeysCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::keyspace::value::{Entry, EntryPayload, encoding_of};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "OBJECT",
        arity: Arity::at_least(2),
        since: "2.2.3",
        complexity: "As the subcommand says.",
        summary: "Commands that tell how values are kept.",
        run: Handler::Container,
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "OBJECT|ENCODING",
        summary: "Tells the representation in which a value is kept.",
        run: Handler::Keys(object_encoding),
        ..QUESTION
    },
    CommandSpec {
        name: "OBJECT|FREQ",
        since: "4.0.0",
        summary: "Tells the logarithmic counter of a key's uses.",
        run: Handler::Keys(object_freq),
        ..QUESTION
    },
    CommandSpec {
        name: "OBJECT|HELP",
        arity: Arity::exactly(2),
        since: "6.2.0",
        summary: "Explains the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        acl: categories(&[Category::Keyspace]),
        run: Handler::Keys(object_help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "OBJECT|IDLETIME",
        summary: "Tells how many seconds ago a key was last used.",
        run: Handler::Keys(object_idletime),
        ..QUESTION
    },
    CommandSpec {
        name: "OBJECT|REFCOUNT",
        summary: "Tells how many references there are to a value.",
        run: Handler::Keys(object_refcount),
        ..QUESTION
    },
];
const _: () = check(COMMANDS);

/// What the rows that ask about one key have in common.
const QUESTION: CommandSpec = CommandSpec {
    arity: Arity::exactly(3),
    since: "2.2.3",
    syntax: "key",
    flags: flags(&[Flag::ReadOnly]),
    acl: categories(&[Category::Keyspace]),
    keys: &[KeySpec::at(2).access(LOOK)],
    tips: &["nondeterministic_output"],
    ..CommandSpec::BASE
};

const NO_LFU: CommandError = CommandError::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
const NO_LRU: CommandError = CommandError::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

fn object_encoding(ctx: &mut KeysCtx<'_>) -> CommandResult {
    match inspect(ctx, encoding_of) {
        Some(name) => ctx.reply.bulk(name.as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

fn object_freq(ctx: &mut KeysCtx<'_>) -> CommandResult {
    match inspect(ctx, Entry::clock) {
        Some(_) if !ctx.db.keyspace.env.settings.lfu => return Err(NO_LFU),
        Some(clock) => ctx.reply.integer(ctx.db.keyspace.env.lfu_decayed(clock) as i64),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

fn object_help(ctx: &mut KeysCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    The representation in which the value of <key> is kept.",
        "FREQ <key>",
        "    How often <key> was used of late, as a logarithmic counter (LFU policies only).",
        "IDLETIME <key>",
        "    How many seconds ago <key> was last used (not with an LFU policy).",
        "REFCOUNT <key>",
        "    How many references there are to the value of <key>.",
        "HELP",
        "    This text.",
    ]);
    Ok(Flow::Done)
}

fn object_idletime(ctx: &mut KeysCtx<'_>) -> CommandResult {
    match inspect(ctx, Entry::clock) {
        Some(_) if ctx.db.keyspace.env.settings.lfu => return Err(NO_LRU),
        Some(clock) => ctx.reply.integer(ctx.db.keyspace.env.idle_seconds(clock) as i64),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

fn object_refcount(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let shared_numbers = ctx.db.keyspace.env.settings.shared_numbers;
    match inspect(ctx, |entry| references(entry, shared_numbers)) {
        Some(count) => ctx.reply.integer(count),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

/// What clients expect to hear: the original keeps one object for each small number and counts no references to it, unless
/// each needs an access clock of its own. Here a value belongs to its key alone.
fn references(entry: &Entry, shared_numbers: bool) -> i64 {
    const SHARED_NUMBERS: std::ops::Range<i64> = 0..10_000;
    match entry.payload() {
        EntryPayload::Int(n) if shared_numbers && SHARED_NUMBERS.contains(&n) => i32::MAX as i64,
        _ => 1,
    }
}

/// Looks at the key in question. It counts as a hit or a miss, but a miss is no event.
fn inspect<R>(ctx: &mut KeysCtx<'_>, f: impl FnOnce(&Entry) -> R) -> Option<R> {
    let seen = ctx.db.peek(ctx.args.get(2)).map(|entry| f(&entry));
    let stats = &mut ctx.db.keyspace.env.stats;
    *(if seen.is_some() { &mut stats.hits } else { &mut stats.misses }) += 1;
    seen
}
