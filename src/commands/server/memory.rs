//! MEMORY: what the data and the server take, and giving unused memory back.

use super::info::{Human, MemoryUse, percent, ratio};
use crate::command::context::ServerCtx;
use crate::command::error;
use crate::command::spec::*;
use crate::keyspace::value::memory_bytes;
use crate::raw::alloc;
use crate::types::DbIndex;
use std::fmt::Write as _;

const SPECIAL: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "MEMORY",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "4.0.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about memory.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY|DOCTOR",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "4.0.0",
        summary: "Describes what is remarkable about memory in words.",
        tips: SPECIAL,
        run: Handler::Server(doctor),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "4.0.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY|MALLOC-STATS",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(1)",
        summary: "Tells the allocator's figures.",
        tips: SPECIAL,
        run: Handler::Server(malloc_stats),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY|PURGE",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(N) where N is the number of pages of memory",
        summary: "Gives memory that is not in use back to the system.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Handler::Server(purge),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY|STATS",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "4.0.0",
        summary: "Tells what memory is used for.",
        tips: SPECIAL,
        run: Handler::Server(stats),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY|USAGE",
        arity: Arity::at_least(3),
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(N) where N is the number of samples",
        summary: "Estimates the memory that a key and its value take.",
        syntax: "key [SAMPLES count]",
        flags: flags(&[Flag::ReadOnly]),
        keys: &[KeySpec::at(2).access(LOOK)],
        run: Handler::Server(usage),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn doctor(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const LITTLE: u64 = 5 << 20;
    let memory = MemoryUse::of(ctx.world, alloc::used() as u64);
    let mut text = String::new();
    if memory.used < LITTLE {
        text.push_str("Hardly any memory is in use; there is nothing to judge yet.\n");
    } else {
        if ratio(memory.peak, memory.used) > 1.5 {
            let _ = writeln!(
                text,
                "* Peak: memory use was {} once and is {} now. MEMORY PURGE gives pages back.",
                Human(memory.peak),
                Human(memory.used)
            );
        }
        if ratio(memory.active, memory.used) > 1.4 {
            let _ = writeln!(text, "* Fragmentation: pages hold {:.2} times what is in use.", ratio(memory.active, memory.used));
        }
        let clients = ctx.world.sessions.len().max(1) as u64;
        if memory.clients / clients > 200 * 1024 {
            let _ = writeln!(text, "* Clients: their buffers take {} each on average.", Human(memory.clients / clients));
        }
        if text.is_empty() {
            text.push_str("No memory problem was found.\n");
        }
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Describe what is remarkable in words.",
        "MALLOC-STATS",
        "    Tell the allocator's figures.",
        "PURGE",
        "    Give unused memory back to the system.",
        "STATS",
        "    Tell what memory is used for.",
        "USAGE <key> [SAMPLES <count>]",
        "    Tell the bytes that a key and its value take. Of large values <count> elements are looked at",
        "    (default: 5, 0: all).",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn malloc_stats(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let stats = alloc::stats();
    let text = format!(
        "small blocks: {} bytes live in {} pages of 64 KB, {} pages idle, {} bytes of address space\n\
         large blocks: {} bytes live\n",
        stats.small_live, stats.pages, stats.pages_idle, stats.small_reserved, stats.large_live
    );
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn purge(ctx: &mut ServerCtx<'_>) -> CommandResult {
    alloc::trim();
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn stats(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let memory = MemoryUse::of(ctx.world, alloc::used() as u64);
    let keys = ctx.world.keyspace.total_keys() as u64;
    let map = ctx.reply.map_deferred();
    let mut n = 0;
    let reply = &mut ctx.reply;
    let mut integer = |reply: &mut crate::resp::reply::ReplyWriter<'_>, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
        n += 1;
    };
    integer(reply, "peak.allocated", memory.peak as i64);
    integer(reply, "total.allocated", memory.used as i64);
    integer(reply, "startup.allocated", memory.startup as i64);
    integer(reply, "replication.backlog", memory.backlog as i64);
    integer(reply, "replica.fullsync.buffer", 0);
    integer(reply, "clients.slaves", memory.replicas as i64);
    integer(reply, "clients.normal", memory.clients as i64);
    for name in ["cluster.links", "aof.buffer", "lua.caches", "functions.caches", "script.VMs"] {
        integer(reply, name, 0);
    }
    let mut databases = 0;
    for index in 0..ctx.world.keyspace.databases() as u32 {
        let db = ctx.world.keyspace.db(DbIndex(index));
        // One that was emptied keeps a little.
        if db.table.memory_bytes() == 0 {
            continue;
        }
        databases += 1;
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(2);
        reply.bulk(b"overhead.hashtable.main");
        reply.integer(db.table.memory_bytes() as i64);
        // Deadlines are kept in the entries.
        reply.bulk(b"overhead.hashtable.expires");
        reply.integer(0);
    }
    integer(reply, "overhead.db.hashtable.lut", memory.tables as i64);
    integer(reply, "overhead.db.hashtable.rehashing", 0);
    integer(reply, "overhead.total", memory.overhead as i64);
    integer(reply, "db.dict.rehashing.count", 0);
    integer(reply, "keys.count", keys as i64);
    let beyond_start = memory.used - memory.startup;
    integer(reply, "keys.bytes-per-key", beyond_start.checked_div(keys).unwrap_or(0) as i64);
    integer(reply, "dataset.bytes", memory.dataset as i64);
    let mut doubles = 0;
    let mut double = |reply: &mut crate::resp::reply::ReplyWriter<'_>, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
        doubles += 1;
    };
    double(reply, "dataset.percentage", memory.dataset_percent());
    double(reply, "peak.percentage", percent(memory.used, memory.peak));
    integer(reply, "allocator.allocated", memory.used as i64);
    integer(reply, "allocator.active", memory.active as i64);
    integer(reply, "allocator.resident", memory.reserved as i64);
    integer(reply, "allocator.muzzy", 0);
    double(reply, "allocator-fragmentation.ratio", ratio(memory.active, memory.used));
    integer(reply, "allocator-fragmentation.bytes", memory.active as i64 - memory.used as i64);
    double(reply, "allocator-rss.ratio", ratio(memory.reserved, memory.active));
    integer(reply, "allocator-rss.bytes", memory.reserved as i64 - memory.active as i64);
    double(reply, "rss-overhead.ratio", ratio(memory.resident, memory.reserved));
    integer(reply, "rss-overhead.bytes", memory.resident as i64 - memory.reserved as i64);
    double(reply, "fragmentation", ratio(memory.resident, memory.used));
    integer(reply, "fragmentation.bytes", memory.resident as i64 - memory.used as i64);
    reply.finish(map, n + doubles + databases);
    Ok(Flow::Done)
}

fn usage(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const SAMPLES: usize = 5;
    let mut samples = SAMPLES;
    let mut i = 3;
    while i < ctx.args.len() {
        if !ctx.args.is(i, "SAMPLES") || i + 1 >= ctx.args.len() {
            return Err(error::SYNTAX);
        }
        samples = usize::try_from(ctx.args.i64(i + 1)?).map_err(|_| error::SYNTAX)?;
        i += 2;
    }
    let entry = ctx.world.keyspace.peek(ctx.session.db, ctx.args.get(2));
    match entry.map(|entry| memory_bytes(&entry, samples)) {
        // A slot in the table: six bytes and a fingerprint in a bucket that is seven ninths full.
        Some(bytes) => ctx.reply.count(bytes + 9),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}
