//! FAILOVER: a replica takes this primary's place, without losing a write.

use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::replication::failover::{Failover, Stage};

pub(super) const TOPICS: &[&[CommandSpec]] = &[COMMANDS];

const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "FAILOVER",
    arity: Arity::at_least(1),
    group: Group::Server,
    since: "6.2.0",
    summary: "Has a replica take this server's place, once it has everything.",
    syntax: "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
    flags: flags(&[Flag::Admin, Flag::NoScript, Flag::Stale]),
    run: Handler::Server(failover),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

fn failover(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.world.config.cluster_enabled {
        return Err(CommandError::new("ERR FAILOVER not allowed in cluster mode."));
    }
    let args = ctx.args;
    if args.len() == 2 && args.is(1, "ABORT") {
        if !ctx.world.abort_failover("Failover manually aborted") {
            return Err(CommandError::new("ERR No failover in progress."));
        }
        ctx.reply.ok();
        return Ok(Flow::Done);
    }
    let (mut target, mut timeout, mut force) = (None, 0, false);
    let mut i = 1;
    while i < args.len() {
        if args.is(i, "TIMEOUT") && i + 1 < args.len() && timeout == 0 {
            timeout = args.i64(i + 1)?;
            if timeout <= 0 {
                return Err(CommandError::new("ERR FAILOVER timeout must be greater than 0"));
            }
            i += 2;
        } else if args.is(i, "TO") && i + 2 < args.len() && target.is_none() {
            let port = args.i64(i + 2)?;
            target = Some((String::from_utf8_lossy(args.get(i + 1)).into_owned(), port));
            i += 3;
        } else if args.is(i, "FORCE") && !force {
            force = true;
            i += 1;
        } else {
            return Err(error::SYNTAX);
        }
    }
    let replication = &ctx.world.replication;
    if replication.is_failing_over() {
        return Err(CommandError::new("ERR FAILOVER already in progress."));
    }
    if replication.is_replica() {
        return Err(CommandError::new("ERR FAILOVER is not valid when server is a replica."));
    }
    if replication.replicas.is_empty() {
        return Err(CommandError::new("ERR FAILOVER requires connected replicas."));
    }
    if force && (timeout == 0 || target.is_none()) {
        return Err(CommandError::new("ERR FAILOVER with force option requires both a timeout and target HOST and IP."));
    }
    let target = match target {
        None => None,
        Some((host, port)) => {
            let is_it = |replica: &&crate::replication::primary::Replica| {
                replica.address.eq_ignore_ascii_case(&host) && i64::from(replica.port) == port
            };
            let replica = replication.replicas.iter().find(is_it);
            let replica = replica.ok_or(CommandError::new("ERR FAILOVER target HOST and PORT is not a replica."))?;
            if !replica.is_online() {
                return Err(CommandError::new("ERR FAILOVER target replica is not online."));
            }
            Some((replica.address.clone(), replica.port))
        }
    };
    let now = ctx.world.keyspace.env.now();
    let deadline = (timeout > 0).then(|| now.saturating_add(timeout));
    ctx.world.begin_failover(Failover { target, deadline, force, stage: Stage::WaitsForSync });
    ctx.reply.ok();
    Ok(Flow::Done)
}
