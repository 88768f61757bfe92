//! Going through the names of a database: KEYS, RANDOMKEY, SCAN.
//!
//! Keys past their deadline are never named. SCAN and RANDOMKEY remove those that they would have named; KEYS, which has
//! enough to do, leaves them to the sweep.

use crate::command::context::KeysCtx;
use crate::command::spec::*;
use crate::commands::scan_options::{self, ScanOptions, Scanned};
use crate::ds::algo::{glob, hash_slot};
use crate::keyspace::Entry;
use crate::keyspace::value::type_of;
use crate::resp::reply::{Output, ReplyWriter};
use crate::types::UnixMillis;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "KEYS",
        arity: Arity::exactly(2),
        complexity: "O(N) for N keys in the database",
        summary: "Names all keys that match a pattern.",
        syntax: "pattern",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Keyspace, Category::Dangerous]),
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        run: Handler::Keys(keys),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RANDOMKEY",
        arity: Arity::exactly(1),
        summary: "Names a key chosen at random.",
        flags: flags(&[Flag::ReadOnly, Flag::TouchesArbitraryKeys]),
        acl: categories(&[Category::Keyspace]),
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        run: Handler::Keys(randomkey),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SCAN",
        arity: Arity::at_least(2),
        since: "2.8.0",
        complexity: "O(1) per call, O(N) for all calls until the cursor is 0 again, with N keys in the database",
        summary: "Names some keys, and the cursor with which to go on.",
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        flags: flags(&[Flag::ReadOnly, Flag::TouchesArbitraryKeys]),
        acl: categories(&[Category::Keyspace]),
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        history: &[("6.0.0", "Takes the `TYPE` option.")],
        run: Handler::Keys(scan),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn keys(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let pattern = ctx.args.get(1);
    let all = pattern == b"*";
    let now = ctx.db.now();
    let list = ctx.reply.array_deferred();
    let mut named = 0;
    for entry in &ctx.db.keyspace.db(ctx.db.index).table {
        if (all || glob::matches(pattern, entry.key(), false)) && !is_past(&entry, now) {
            ctx.reply.bulk(entry.key());
            named += 1;
        }
    }
    ctx.reply.finish(list, named);
    Ok(Flow::Done)
}

/// Keys past their deadline that RANDOMKEY passes over where it must not remove them.
const ROUNDS_MAX: usize = 100;

fn randomkey(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let now = ctx.db.now();
    // Each round removes a key or ends; where none may be removed there is an end, too.
    let mut rounds_left = ROUNDS_MAX;
    loop {
        let (db, env) = ctx.db.keyspace.db_mut(ctx.db.index);
        let Some(entry) = db.table.random(&mut || env.rng.next_u64()) else {
            ctx.reply.null();
            return Ok(Flow::Done);
        };
        if !is_past(&entry, now) || (env.keeps_past() && rounds_left == 0) {
            ctx.reply.bulk(entry.key());
            return Ok(Flow::Done);
        }
        rounds_left -= env.keeps_past() as usize;
        let key = entry.key().to_vec();
        ctx.db.peek(&key);
    }
}

fn scan(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let mut cursor = scan_options::cursor(ctx.args.get(1))?;
    let options = ScanOptions::parse(ctx.args, 2, Scanned::Keys)?;
    let now = ctx.db.now();
    let db = ctx.db.keyspace.db(ctx.db.index);
    let table = &db.table;
    // On a node of a cluster a pattern may show that only one slot's keys can match.
    let slot = db.meta.slots.as_ref().zip(options.pattern.and_then(hash_slot::of_pattern));
    // The cursor comes first in the reply and is known last.
    let mut names = Output::default();
    let mut writer = ReplyWriter::new(&mut names, ctx.reply.is_resp3());
    let mut past: Vec<Box<[u8]>> = Vec::new();
    let (mut seen, mut named) = (0, 0);
    let mut buckets_left = options.buckets_max();
    loop {
        let mut show = |entry: &Entry| {
            seen += 1;
            if !options.matches(entry.key()) || options.value_type.is_some_and(|wanted| type_of(entry) != wanted) {
                return;
            }
            if is_past(entry, now) {
                past.push(entry.key().into());
            } else {
                writer.bulk(entry.key());
                named += 1;
            }
        };
        cursor = match slot {
            Some((slots, slot)) => slots.scan(table, slot, cursor, options.count, &mut show),
            None => table.scan(cursor, &mut show),
        };
        buckets_left -= 1;
        if cursor == 0 || seen >= options.count || buckets_left == 0 {
            break;
        }
    }
    for key in &past {
        // Looking is what removes it.
        ctx.db.peek(key);
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(named);
    ctx.reply.encoded(&names);
    Ok(Flow::Done)
}

/// True if the entry's deadline is over, so that no client may see it.
#[inline]
fn is_past(entry: &Entry, now: UnixMillis) -> bool {
    entry.deadline().is_some_and(|deadline| now > deadline)
}
