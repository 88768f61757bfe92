//! Whether keys are there, what type they have, and making them go away: DEL, EXISTS, TOUCH, TYPE, UNLINK.

use super::look;
use crate::command::context::{KeysCtx, Selected};
use crate::command::spec::*;
use crate::keyspace::Event;
use crate::keyspace::value::type_of;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DEL",
        arity: Arity::at_least(2),
        complexity: "O(N) for N keys of strings; a key that holds a collection of M elements costs O(M)",
        summary: "Deletes keys.",
        syntax: "key [key ...]",
        flags: flags(&[Flag::Write]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::range(1, -1, 1).access(REMOVE)],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        run: Handler::Keys(del),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXISTS",
        arity: Arity::at_least(2),
        complexity: "O(N) for N keys",
        summary: "Counts those of the keys that exist.",
        syntax: "key [key ...]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::range(1, -1, 1).access(LOOK)],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        history: &[("3.0.3", "Takes several keys.")],
        run: Handler::Keys(exists),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TOUCH",
        arity: Arity::at_least(2),
        since: "3.2.1",
        complexity: "O(N) for N keys",
        summary: "Counts those of the keys that exist, and marks them as used just now.",
        syntax: "key [key ...]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::range(1, -1, 1).access(LOOK)],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        run: Handler::Keys(touch),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TYPE",
        arity: Arity::exactly(2),
        summary: "Tells the type of a key's value.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(type_),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "UNLINK",
        arity: Arity::at_least(2),
        since: "4.0.0",
        complexity: "O(1) per key; another thread then frees the values in O(N) for their N allocations",
        summary: "Deletes keys and frees large values in the background.",
        syntax: "key [key ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::range(1, -1, 1).access(REMOVE)],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        run: Handler::Keys(unlink),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn del(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let lazily = ctx.db.keyspace.env.settings.lazyfree_user_del;
    delete(ctx, lazily)
}

fn exists(ctx: &mut KeysCtx<'_>) -> CommandResult {
    count_keys(ctx, |db, key| look(db, key, |_| ()).is_some())
}

fn touch(ctx: &mut KeysCtx<'_>) -> CommandResult {
    // This command is for touching, so CLIENT NO-TOUCH does not reach it.
    let no_touch = std::mem::take(&mut ctx.db.keyspace.env.no_touch);
    let result = count_keys(ctx, |db, key| db.read(key).is_some());
    ctx.db.keyspace.env.no_touch = no_touch;
    result
}

fn type_(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let found = look(&mut ctx.db, ctx.args.get(1), type_of);
    ctx.reply.simple(found.map_or("none", |value_type| value_type.name()));
    Ok(Flow::Done)
}

fn unlink(ctx: &mut KeysCtx<'_>) -> CommandResult {
    delete(ctx, true)
}

fn delete(ctx: &mut KeysCtx<'_>, lazily: bool) -> CommandResult {
    count_keys(ctx, |db, key| db.keyspace.delete(db.index, key, lazily, Event::DEL))
}

/// Answers with the number of keys for which `f` says yes. Each group of keys is on its way into the cache before the
/// first of it is looked at.
fn count_keys(ctx: &mut KeysCtx<'_>, mut f: impl FnMut(&mut Selected<'_>, &[u8]) -> bool) -> CommandResult {
    const GROUP: usize = 16;
    let args = ctx.args;
    let mut counted = 0;
    for start in (1..args.len()).step_by(GROUP) {
        let group = args.from(start).take(GROUP);
        if group.len() > 1 {
            ctx.db.keyspace.prefetch(ctx.db.index, group.clone());
        }
        for key in group {
            counted += f(&mut ctx.db, key) as usize;
        }
    }
    ctx.reply.count(counted);
    Ok(Flow::Done)
}
