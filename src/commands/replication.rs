//! What replicas ask of their primary: REPLCONF, PSYNC, SYNC.
//!
//! A replica introduces itself (REPLCONF), asks to go on where it was (PSYNC) and, when it is in step, tells from time to time how
//! far it is (REPLCONF ACK). Whether it can go on or needs all data is decided here; what it is sent, `engine::replication` sees
//! to.

use crate::clock::{self, Clock};
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::config::text::split_words;
use crate::resp::number;
use crate::session::follower::{Filter, Follower};
use crate::world::Order;
use tracing::{info, warn};

pub(super) const TOPICS: &[&[CommandSpec]] = &[COMMANDS];

const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PSYNC",
        arity: Arity::at_least(3),
        since: "2.8.0",
        summary: "Makes the connection that of a replica, which goes on where it was if it can.",
        syntax: "replicationid offset",
        flags: SYNC,
        run: Handler::Server(psync),
        ..ROW
    },
    CommandSpec {
        name: "REPLCONF",
        arity: Arity::at_least(1),
        since: "3.0.0",
        complexity: "O(1)",
        summary: "Tells the primary about a replica.",
        flags: flags(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::AllowBusy]),
        run: Handler::Server(replconf),
        ..ROW
    },
    CommandSpec {
        name: "SYNC",
        arity: Arity::exactly(1),
        summary: "Makes the connection that of a replica, which gets all data first.",
        flags: SYNC,
        run: Handler::Server(sync),
        ..ROW
    },
];
const _: () = check(COMMANDS);

const SYNC: u32 = flags(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti]);

const ROW: CommandSpec = CommandSpec {
    group: Group::Server,
    complexity: "O(N) where N is the number of keys",
    acl: categories(&[Category::Admin, Category::Dangerous]),
    ..CommandSpec::BASE
};

const PENDING_OUTPUT: CommandError = CommandError::new("ERR SYNC and PSYNC are invalid with pending output");
const NO_LINK: CommandError = CommandError::new("NOMASTERLINK Can't SYNC while not connected with my master");
const FAILING_OVER: CommandError = CommandError::new("NOMASTERLINK Can't SYNC while failing over");
const FILTER_WITHOUT_EOF: CommandError = CommandError::new("ERR Filtered replica requires EOF capability");
const FAILOVER_TO_PRIMARY: CommandError = CommandError::new("ERR PSYNC FAILOVER can't be sent to a master.");
const FAILOVER_OF_ANOTHER: CommandError = CommandError::new("ERR PSYNC FAILOVER replid must match my replid.");

/// Bytes that an address may have.
const ADDRESS_MAX: usize = 256;

fn psync(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len() > 3 && ctx.args.is(3, "FAILOVER") {
        take_over(ctx)?;
    }
    admit(ctx)?;
    let name = name(ctx);
    let id = String::from_utf8_lossy(ctx.args.get(1)).into_owned();
    let Some(wanted) = number::parse_i64(ctx.args.get(2)) else {
        warn!("Replica {name} asks for synchronization but with a wrong offset");
        return Err(error::NOT_AN_INTEGER);
    };
    ctx.world.stream.flush();
    // The offset asked for is that of the next byte, counted from 1.
    let place = u64::try_from(wanted.saturating_sub(1)).unwrap_or(u64::MAX);
    match ctx.world.replication.can_continue(&id, place) {
        Ok(()) => {
            ctx.world.stats.sync_partial_ok += 1;
            let psync2 = ctx.session.follower.as_ref().is_some_and(|follower| follower.psync2);
            let greeting = if psync2 { format!("CONTINUE {}", ctx.world.replication.id) } else { "CONTINUE".to_owned() };
            ctx.reply.simple(&greeting);
            let bytes = ctx.world.replication.offset() - place;
            info!(
                "Partial resynchronization request from {name} accepted. Sending {bytes} bytes of backlog starting from offset \
                 {wanted}."
            );
            ctx.world.add_replica(ctx.session, Some(place), false);
            ctx.world.orders.push_back(Order::ReplicaJoined(ctx.session.id));
        }
        Err(reason) => {
            if id == "?" {
                info!("Full resync requested by replica {name}");
            } else {
                ctx.world.stats.sync_partial_err += 1;
                match reason.strip_prefix("lack of") {
                    Some(rest) => info!("Unable to partial resync with replica {name} for lack of{rest}."),
                    None => info!("Partial resynchronization not accepted: {reason}"),
                }
            }
            begin_full_sync(ctx, false);
        }
    }
    Ok(Flow::Done)
}

fn sync(ctx: &mut ServerCtx<'_>) -> CommandResult {
    admit(ctx)?;
    begin_full_sync(ctx, true);
    Ok(Flow::Done)
}

/// Refuses what cannot become a replica now.
fn admit(ctx: &mut ServerCtx<'_>) -> Result<(), CommandError> {
    let world = &*ctx.world;
    if world.replication.is_failing_over() {
        return Err(FAILING_OVER);
    }
    if world.replication.upstream.as_ref().is_some_and(|upstream| !upstream.is_connected()) {
        return Err(NO_LINK);
    }
    let unsent = ctx.session.link.as_ref().map_or(0, |link| link.buffers().unsent);
    if unsent > 0 || ctx.session.follower.as_ref().is_some_and(|follower| follower.is_replica) {
        return Err(PENDING_OUTPUT);
    }
    if ctx.session.follower.as_ref().is_some_and(|follower| follower.filter.is_some() && !follower.eof) {
        return Err(FILTER_WITHOUT_EOF);
    }
    info!("Replica {} asks for synchronization", name(ctx));
    Ok(())
}

/// The client is a replica from now on, and waits for the data.
fn begin_full_sync(ctx: &mut ServerCtx<'_>, plain: bool) {
    let world = &mut *ctx.world;
    world.stats.sync_full += 1;
    if !world.replication.backlog().is_active() {
        // Nobody has followed so far, so this is a history of its own.
        world.replication.id = clock::random_id();
        world.replication.forget_second_id();
        world.replication.keep_history(world.config.repl_backlog_size, &mut world.stream);
        let replication = &world.replication;
        info!("Replication backlog created, my new replication IDs are '{}' and '{}'", replication.id, replication.second_id);
        world.adopt_config();
    }
    world.add_replica(ctx.session, None, plain);
    if world.persistence.is_busy() {
        info!("A snapshot is in the making. The full sync waits.");
    }
    world.orders.push_back(Order::ReplicaJoined(ctx.session.id));
}

/// PSYNC … FAILOVER: the primary hands over to this replica.
fn take_over(ctx: &mut ServerCtx<'_>) -> Result<(), CommandError> {
    let id = ctx.args.get(1);
    info!("Failover request received for replid {}.", String::from_utf8_lossy(id));
    if !ctx.world.replication.is_replica() {
        return Err(FAILOVER_TO_PRIMARY);
    }
    if !id.eq_ignore_ascii_case(ctx.world.replication.id.as_bytes()) {
        return Err(FAILOVER_OF_ANOTHER);
    }
    ctx.world.become_primary();
    info!("MASTER MODE enabled (failover request from '{}')", name(ctx));
    Ok(())
}

/// `address:port` of the client, as far as it is known.
fn name(ctx: &ServerCtx<'_>) -> String {
    let peer = ctx.session.peer.rsplit_once(':').map_or(&*ctx.session.peer, |(address, _)| address);
    match &ctx.session.follower {
        Some(follower) => {
            let address = if follower.address.is_empty() { peer } else { &follower.address };
            match follower.listening_port {
                0 => format!("{address}:<unknown-replica-port>"),
                port => format!("{address}:{port}"),
            }
        }
        None => format!("client id #{}", ctx.session.id.0),
    }
}

fn replconf(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len().is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    for i in (1..ctx.args.len()).step_by(2) {
        if ctx.args.is(i, "ACK") {
            acknowledge(ctx, i + 1);
            return Ok(Flow::Silent);
        }
        // Only a primary asks for this, and what it sends does not come by here.
        if ctx.args.is(i, "GETACK") {
            return Ok(Flow::Silent);
        }
        let args = ctx.args;
        let value = args.get(i + 1);
        let follower = ctx.session.follower.get_or_insert_default();
        match &*args.get(i).to_ascii_lowercase() {
            b"listening-port" => follower.listening_port = args.i64(i + 1)? as u16,
            b"ip-address" if value.len() < ADDRESS_MAX => follower.address = String::from_utf8_lossy(value).into_owned(),
            b"ip-address" => {
                let len = value.len();
                let refusal = format!("ERR REPLCONF ip-address provided by replica instance is too long: {len} bytes");
                return Err(CommandError::text(refusal));
            }
            b"capa" if value.eq_ignore_ascii_case(b"eof") => follower.eof = true,
            b"capa" if value.eq_ignore_ascii_case(b"psync2") => follower.psync2 = true,
            // Others need not be understood.
            b"capa" | b"version" => {}
            b"rdb-only" => match args.i64(i + 1)? {
                wanted @ 0..=1 => follower.rdb_only = wanted == 1,
                _ => return Err(CommandError::new("ERR value is out of range, value must between 0 and 1")),
            },
            b"rdb-filter-only" => set_filter(follower, value)?,
            _ => return Err(unknown_option(args.get(i))),
        }
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn unknown_option(name: &[u8]) -> CommandError {
    CommandError::bytes([b"ERR Unrecognized REPLCONF option: ", name].concat())
}

fn set_filter(follower: &mut Follower, value: &[u8]) -> Result<(), CommandError> {
    let Some(parts) = split_words(value) else { return Err(CommandError::new("ERR Missing rdb-filter-only values")) };
    let mut filter = Filter::Nothing;
    for part in parts {
        if !part.eq_ignore_ascii_case(b"functions") {
            return Err(CommandError::bytes([b"ERR Unsupported rdb-filter-only option: ", &part[..]].concat()));
        }
        filter = Filter::Functions;
    }
    follower.filter = Some(filter);
    Ok(())
}

/// REPLCONF ACK offset [FACK offset]: how far the replica is, and its disk.
fn acknowledge(ctx: &mut ServerCtx<'_>, at: usize) {
    let args = ctx.args;
    let offset = |at: usize| number::parse_i64(args.get(at)).and_then(|offset| u64::try_from(offset).ok());
    let Some(replica) = ctx.world.replication.replica_mut(ctx.session.id) else { return };
    let Some(acked) = offset(at) else { return };
    replica.acked = replica.acked.max(acked);
    if args.len() > at + 2
        && args.is(at + 1, "FACK")
        && let Some(synced) = offset(at + 2)
    {
        replica.synced = replica.synced.max(synced);
    }
    replica.acked_at = Clock::Real.millis();
    if replica.is_online() {
        replica.awaits_ack = false;
    }
    ctx.world.count_good_replicas();
    if !ctx.world.awaiting_safety.is_empty() {
        ctx.world.orders.push_back(Order::Acknowledged);
    }
}
