//! Whole databases: DBSIZE, FLUSHALL, FLUSHDB, SWAPDB.

use crate::command::context::{BlockOn, KeysCtx};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::types::DbIndex;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DBSIZE",
        arity: Arity::exactly(1),
        group: Group::Server,
        summary: "Counts the keys of the database.",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        run: Handler::Keys(dbsize),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "FLUSHALL",
        complexity: "O(N) for N keys in all databases; with `ASYNC` another thread does the work",
        summary: "Removes all keys of all databases.",
        run: Handler::Keys(flushall),
        ..FLUSH
    },
    CommandSpec {
        name: "FLUSHDB",
        complexity: "O(N) for N keys in the database; with `ASYNC` another thread does the work",
        summary: "Removes all keys of the database.",
        run: Handler::Keys(flushdb),
        ..FLUSH
    },
    CommandSpec {
        name: "SWAPDB",
        arity: Arity::exactly(3),
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(N) for N clients that watch or wait for keys of the two databases",
        summary: "Exchanges the contents of two databases.",
        syntax: "index1 index2",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Keyspace, Category::Dangerous]),
        run: Handler::Keys(swapdb),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

/// What the rows of the two flushing commands have in common.
const FLUSH: CommandSpec = CommandSpec {
    arity: Arity::at_least(1),
    group: Group::Server,
    syntax: "[ASYNC|SYNC]",
    flags: flags(&[Flag::Write]),
    acl: categories(&[Category::Keyspace, Category::Dangerous]),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    history: &[("4.0.0", "Takes `ASYNC`."), ("6.2.0", "Takes `SYNC`.")],
    ..CommandSpec::BASE
};

fn dbsize(ctx: &mut KeysCtx<'_>) -> CommandResult {
    // Keys past their deadline count until they are removed, as in the original.
    ctx.reply.count(ctx.db.keyspace.db(ctx.db.index).table.len());
    Ok(Flow::Done)
}

fn flushall(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let databases = ctx.db.keyspace.databases() as u32;
    let flow = flush(ctx, 0..databases)?;
    ctx.db.keyspace.env.effects.all_flushed = true;
    Ok(flow)
}

fn flushdb(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let index = ctx.db.index.0;
    flush(ctx, index..index + 1)
}

fn swapdb(ctx: &mut KeysCtx<'_>) -> CommandResult {
    if ctx.db.keyspace.is_node() {
        return Err(CommandError::new("ERR SWAPDB is not allowed in cluster mode"));
    }
    let index = |i, refusal| ctx.args.i64(i).ok().and_then(|n| i32::try_from(n).ok()).ok_or(CommandError::new(refusal));
    let a = index(1, "ERR invalid first DB index")?;
    let b = index(2, "ERR invalid second DB index")?;
    let databases = 0..ctx.db.keyspace.databases() as i64;
    if !databases.contains(&(a as i64)) || !databases.contains(&(b as i64)) {
        return Err(error::DB_OUT_OF_RANGE);
    }
    ctx.db.keyspace.swap(DbIndex(a as u32), DbIndex(b as u32));
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn flush(ctx: &mut KeysCtx<'_>, databases: std::ops::Range<u32>) -> CommandResult {
    let keyspace = &mut ctx.db.keyspace;
    // Whoever asks for a flush waits until all is freed, but waits alone, unless something follows that must come next.
    let may_block = ctx.may_block;
    let lazily = match ctx.args.len() {
        // What is configured holds for what is worth it, as with DEL.
        1 => {
            !may_block
                && keyspace.env.settings.lazyfree_user_flush
                && databases.clone().any(|db| keyspace.is_worth_sending(DbIndex(db)))
        }
        2 if ctx.args.is(1, "SYNC") => false,
        2 if ctx.args.is(1, "ASYNC") => true,
        _ => return Err(error::SYNTAX),
    };
    let waits = may_block && !lazily;
    let mut keys = 0;
    for index in databases.map(DbIndex) {
        keys += keyspace.flush(index, lazily || waits);
    }
    // Replicas flush as well even if nothing was there: they may hold what this server never saw.
    ctx.db.propagate_as(ctx.args.from(0));
    if waits && keys > 0 {
        *ctx.block = Some(BlockOn { freed: Some(ctx.db.keyspace.env.lazyfree.ticket()), ..BlockOn::default() });
        return Ok(Flow::Block);
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}
