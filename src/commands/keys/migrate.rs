//! MIGRATE: keys move to another server.
//!
//! The network is waited for on another thread, and only the client that asked waits with it. The original holds everybody
//! up instead, and nothing can change meanwhile; here a key that did change before its arrival was known is sent again, and
//! the last time everybody waits. Inside of a transaction it is the last time at once.

use super::dump::portable_payload;
use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::keyspace::Event;
use crate::migration::{Job, Moving, Outcome, Target};
use crate::resp::request::OwnedRequest;
use crate::session::Watch;
use crate::types::DbIndex;
use crate::world::{Order, World};
use std::time::Duration;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "MIGRATE",
    arity: Arity::at_least(6),
    since: "2.6.0",
    complexity: "O(N) for each key, where N is the size of its value; DUMP and DEL here, RESTORE there",
    summary: "Moves keys to another server.",
    syntax: "host port <key|\"\"> destination-db timeout [COPY] [REPLACE] [AUTH password|AUTH2 username password] [KEYS key [key ...]]",
    flags: flags(&[Flag::Write, Flag::MovableKeys]),
    acl: categories(&[Category::Keyspace, Category::Dangerous]),
    keys: &[
        KeySpec::at(3).access(TAKE),
        KeySpec::behind("KEYS", -2, Find::Range { last: -1, step: 1, limit: 0 }).access(TAKE | KeyFlags::INCOMPLETE),
    ],
    history: &[
        ("3.0.0", "Knows `COPY` and `REPLACE`."),
        ("3.0.6", "Knows `KEYS`."),
        ("4.0.7", "Knows `AUTH`."),
        ("6.0.0", "Knows `AUTH2`."),
    ],
    tips: &["nondeterministic_output"],
    run: Handler::Session(migrate),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

/// Keys that change again and again are sent this often before everybody has to wait.
const ATTEMPTS_MAX: u32 = 3;

fn migrate(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let Some(mut job) = job(ctx)? else {
        ctx.reply.simple("NOKEY");
        return Ok(Flow::Done);
    };
    if ctx.may_block && ctx.world.outside.is_some() {
        watch(ctx.world, &job);
        ctx.world.orders.push_back(Order::Migrate(Box::new(job)));
        return Ok(Flow::Block);
    }
    job.attempts = ATTEMPTS_MAX;
    let outcome = job.run(&ctx.world.migration.connections);
    match settle(ctx.world, outcome) {
        Settled::Done(None) | Settled::Again(_) => ctx.reply.ok(),
        // Not as `Err`: keys that arrived are gone here.
        Settled::Done(Some(failure)) => ctx.reply.error(&failure),
    }
    Ok(Flow::Done)
}

/// What the request asks for; none if there are no such keys.
fn job(ctx: &mut SessionCtx<'_>) -> Result<Option<Job>, CommandError> {
    const TIMEOUT_DEFAULT: u64 = 1000;
    let args = ctx.args;
    let (mut copy, mut replace, mut auth) = (false, false, Vec::new());
    let mut names: Vec<&[u8]> = vec![args.get(3)];
    let mut i = 6;
    while i < args.len() {
        let left = args.len() - i - 1;
        if args.is(i, "COPY") {
            copy = true;
        } else if args.is(i, "REPLACE") {
            replace = true;
        } else if args.is(i, "AUTH") && left >= 1 {
            auth = vec![args.get(i + 1).to_vec()];
            i += 1;
        } else if args.is(i, "AUTH2") && left >= 2 {
            auth = vec![args.get(i + 1).to_vec(), args.get(i + 2).to_vec()];
            i += 2;
        } else if args.is(i, "KEYS") {
            if !args.get(3).is_empty() {
                return Err(CommandError::new(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            names = args.from(i + 1).collect();
            break;
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    let timeout = args.i64(5)?;
    let db = args.i64(4)?;
    let timeout = Duration::from_millis(u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_DEFAULT));
    let (source, keyspace) = (ctx.session.db, &mut ctx.world.keyspace);
    let compression = keyspace.env.settings.rdb_compression;
    let mut keys: Vec<Moving> = Vec::new();
    for name in names {
        // A key named twice would be in its own way there.
        if keys.iter().any(|known| known.key == name) {
            continue;
        }
        let now = keyspace.env.now();
        if let Some(entry) = keyspace.read(source, name) {
            let ttl = entry.deadline().map_or(0, |deadline| (deadline - now).max(1));
            keys.push(Moving { key: name.to_vec(), ttl, payload: portable_payload(&entry, compression) });
        }
    }
    if keys.is_empty() {
        return Ok(None);
    }
    // As with atoi: what is no port is none that anybody listens on.
    let port = std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let target = Target { host: String::from_utf8_lossy(args.get(1)).into_owned(), port, db, timeout, auth };
    let (client, asking) = (ctx.session.id, ctx.world.config.cluster_enabled);
    let tls = ctx.world.tls_to_nodes().map_err(|refusal| {
        tracing::warn!("MIGRATE: {refusal}");
        CommandError::new("IOERR error or timeout connecting to the client")
    })?;
    Ok(Some(Job { client, source, target, copy, replace, asking, keys, attempts: 0, tls }))
}

/// Begins to notice changes of a job's keys.
fn watch(world: &mut World, job: &Job) {
    let mut watches = Vec::with_capacity(job.keys.len());
    for moving in &job.keys {
        let mut watch = Watch::default();
        watch.add(&mut world.keyspace, job.source, &moving.key);
        watches.push(watch);
    }
    world.migration.under_way.insert(job.client, watches);
}

/// What an outcome comes to.
pub enum Settled {
    /// Answer OK, or this error.
    Done(Option<String>),
    /// Some keys changed: they are to be sent once more.
    Again(Box<Job>),
}

/// Removes keys that have arrived. What it does is to be published by the caller.
pub fn settle(world: &mut World, outcome: Outcome) -> Settled {
    let Outcome { mut job, arrived, failure } = outcome;
    let mut watches = world.migration.under_way.remove(&job.client).unwrap_or_default();
    let changed: Vec<bool> = watches.iter().map(Watch::is_touched).collect();
    watches.iter_mut().for_each(|watch| watch.end(&mut world.keyspace));
    if job.copy {
        return Settled::Done(failure);
    }
    let (mut gone, mut again): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for at in arrived {
        let key = std::mem::take(&mut job.keys[at].key);
        if changed.get(at).copied().unwrap_or(false) {
            again.push(key);
        } else if world.keyspace.delete(job.source, &key, world.keyspace.env.settings.lazyfree_server_del, Event::DEL) {
            gone.push(key);
        }
    }
    if !gone.is_empty() {
        propagate(world, job.source, &gone);
    }
    if failure.is_some() || again.is_empty() {
        return Settled::Done(failure);
    }
    let keyspace = &mut world.keyspace;
    let (compression, now) = (keyspace.env.settings.rdb_compression, keyspace.env.now());
    job.keys.clear();
    for key in again {
        if let Some(entry) = keyspace.read(job.source, &key) {
            let ttl = entry.deadline().map_or(0, |deadline| (deadline - now).max(1));
            let payload = portable_payload(&entry, compression);
            job.keys.push(Moving { key, ttl, payload });
        }
    }
    if job.keys.is_empty() {
        return Settled::Done(None);
    }
    // What is there is what we sent.
    job.replace = true;
    job.attempts += 1;
    if job.attempts < ATTEMPTS_MAX {
        watch(world, &job);
        return Settled::Again(Box::new(job));
    }
    let outcome = job.run(&world.migration.connections);
    settle(world, outcome)
}

fn propagate(world: &mut World, db: DbIndex, keys: &[Vec<u8>]) {
    let request = || OwnedRequest::build([&b"DEL"[..]].into_iter().chain(keys.iter().map(Vec::as_slice)));
    world.keyspace.env.effects.propagate_as(db, request);
}
