//! REPLICAOF and its old name SLAVEOF: whom this server follows.

use super::session::description;
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::number;
use tracing::info;

pub(super) const TOPICS: &[&[CommandSpec]] = &[COMMANDS];

const COMMANDS: &[CommandSpec] = &[
    CommandSpec { name: "REPLICAOF", since: "5.0.0", ..ROW },
    CommandSpec { name: "SLAVEOF", since: "1.0.0", deprecated: Some(("5.0.0", "`REPLICAOF`")), ..ROW },
];
const _: () = check(COMMANDS);

const ROW: CommandSpec = CommandSpec {
    arity: Arity::exactly(3),
    group: Group::Server,
    summary: "Makes the server a replica of another one, or a primary again.",
    syntax: "<host port|NO ONE>",
    flags: flags(&[Flag::Admin, Flag::NoScript, Flag::Stale, Flag::NoAsyncLoading]),
    run: Handler::Server(replicaof),
    ..CommandSpec::BASE
};

fn replicaof(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.world.config.cluster_enabled {
        return Err(CommandError::new("ERR REPLICAOF not allowed in cluster mode."));
    }
    if ctx.world.replication.is_failing_over() {
        return Err(CommandError::new("ERR REPLICAOF not allowed while failing over."));
    }
    if ctx.args.is(1, "NO") && ctx.args.is(2, "ONE") {
        if ctx.world.replication.is_replica() {
            ctx.world.become_primary();
            info!("MASTER MODE enabled (user request from '{}')", who(ctx));
        }
        ctx.reply.ok();
        return Ok(Flow::Done);
    }
    if ctx.session.is_replica() {
        return Err(CommandError::new("ERR Command is not valid when client is a replica."));
    }
    const INVALID_PORT: CommandError = CommandError::new("ERR Invalid master port");
    let port = number::parse_i64(ctx.args.get(2)).and_then(|port| u16::try_from(port).ok()).ok_or(INVALID_PORT)?;
    let host = String::from_utf8_lossy(ctx.args.get(1)).into_owned();
    let same =
        |upstream: &crate::replication::replica::Upstream| upstream.host.eq_ignore_ascii_case(&host) && upstream.port == port;
    if ctx.world.replication.upstream.as_deref().is_some_and(same) {
        info!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
        );
        ctx.reply.simple("OK Already connected to specified master");
        return Ok(Flow::Done);
    }
    ctx.world.become_replica_of(&host, port);
    info!("REPLICAOF {host}:{port} enabled (user request from '{}')", who(ctx));
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The client that asks, for the log.
fn who(ctx: &ServerCtx<'_>) -> String {
    String::from_utf8_lossy(&description(ctx.world, ctx.session, ctx.args)).into_owned()
}
