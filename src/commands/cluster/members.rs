//! Who belongs to the cluster and in which role: CLUSTER MEET, FORGET, REPLICATE, FAILOVER, RESET; and the epochs that settle whose
//! word counts: BUMPEPOCH, SET-CONFIG-EPOCH.

use super::{BASE, CHANGES, changed, unknown_node, view, view_mut};
use crate::cluster::{FailoverKind, NodeFlags, NodeId};
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::resp::number;
use crate::types::DbIndex;
use crate::world::World;
use std::net::IpAddr;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLUSTER|BUMPEPOCH",
        arity: Arity::exactly(2),
        summary: "Gives this node a newer configuration epoch than all others have.",
        tips: &["nondeterministic_output"],
        run: Handler::Server(bumpepoch),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|FAILOVER",
        arity: Arity::at_least(2),
        summary: "Lets this replica take the place of its primary.",
        syntax: "[FORCE|TAKEOVER]",
        run: Handler::Server(failover),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|FORGET",
        arity: Arity::exactly(3),
        summary: "Removes a node from this node's view.",
        syntax: "node-id",
        run: Handler::Server(forget),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|MEET",
        arity: Arity::at_least(4),
        summary: "Makes this node and another one know each other.",
        syntax: "ip port [cluster-bus-port]",
        history: &[("4.0.0", "Takes the port of the bus.")],
        run: Handler::Server(meet),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|REPLICATE",
        arity: Arity::exactly(3),
        summary: "Makes this node a replica of another one.",
        syntax: "node-id",
        run: Handler::Server(replicate),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|RESET",
        arity: Arity::at_least(2),
        complexity: "O(N) where N is the number of nodes",
        summary: "Starts over: without slots and other nodes, and with HARD under another name.",
        syntax: "[HARD|SOFT]",
        flags: flags(&[Flag::Admin, Flag::Stale, Flag::NoScript]),
        run: Handler::Server(reset),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|SAVECONFIG",
        arity: Arity::exactly(2),
        summary: "Writes the configuration file of the cluster.",
        run: Handler::Server(saveconfig),
        ..ROW
    },
    CommandSpec {
        name: "CLUSTER|SET-CONFIG-EPOCH",
        arity: Arity::exactly(3),
        summary: "Sets the configuration epoch of a fresh node.",
        syntax: "config-epoch",
        run: Handler::Server(set_config_epoch),
        ..ROW
    },
];
const _: () = check(COMMANDS);

const ROW: CommandSpec = CommandSpec { flags: CHANGES, ..BASE };

/// What needs other nodes is refused by a version that cannot talk to them.
const NO_BUS: CommandError = CommandError::new("ERR This node has no cluster bus: it is not spoken over TLS");

fn bumpepoch(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let cluster = view_mut(ctx)?;
    let bumped = cluster.bump_epoch();
    let text = format!("{} {}", if bumped { "BUMPED" } else { "STILL" }, cluster.myself().epoch);
    ctx.world.cluster_changed();
    ctx.reply.simple(&text);
    Ok(Flow::Done)
}

fn set_config_epoch(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    let given = ctx.args.i64(2)?;
    let Ok(epoch) = u64::try_from(given) else {
        return Err(CommandError::text(format!("ERR Invalid config epoch specified: {given}")));
    };
    let cluster = view_mut(ctx)?;
    if cluster.node_count() > 1 {
        let text = "ERR The user can assign a config epoch only when the node does not know any other node.";
        return Err(CommandError::new(text));
    }
    if cluster.myself().epoch != 0 {
        return Err(CommandError::new("ERR Node config epoch is already non-zero"));
    }
    cluster.set_epoch(epoch);
    changed(ctx)
}

fn saveconfig(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    let saved = ctx.world.save_cluster();
    saved.map_err(|error| CommandError::text(format!("ERR error saving the cluster node config: {error}")))?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn reset(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let cluster = view(ctx)?;
    let hard = match ctx.args.len() {
        2 => false,
        3 if ctx.args.is(2, "HARD") => true,
        3 if ctx.args.is(2, "SOFT") => false,
        3 => return Err(error::SYNTAX),
        _ => return Err(bad_subcommand(ctx)),
    };
    if cluster.myself().is_primary() && ctx.world.keyspace.total_keys() != 0 {
        return Err(CommandError::new("ERR CLUSTER RESET can't be called with master nodes containing keys"));
    }
    let was_replica = cluster.myself().is_replica();
    view_mut(ctx)?.reset(hard);
    ctx.world.settle_cluster_role();
    if was_replica {
        // The data were its primary's.
        ctx.world.keyspace.flush(DbIndex(0), true);
    }
    ctx.world.end_shard_channels(ctx.session, |_| true);
    changed(ctx)
}

fn forget(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (cluster, name, now) = (view(ctx)?, ctx.args.get(2), ctx.world.keyspace.env.now());
    let Some(node) = cluster.find(name) else {
        // Another node may have told of it already.
        if NodeId::parse(name).is_none_or(|id| !cluster.is_forgotten(id, now)) {
            return Err(unknown_node(name));
        }
        ctx.reply.ok();
        return Ok(Flow::Done);
    };
    if node.id == cluster.me() {
        return Err(CommandError::new("ERR I tried hard but I can't forget myself..."));
    }
    if cluster.myself().primary == Some(node.id) {
        return Err(CommandError::new("ERR Can't forget my master!"));
    }
    let id = node.id;
    let cluster = view_mut(ctx)?;
    cluster.keep_forgotten(id, now);
    cluster.forget(id);
    changed(ctx)
}

fn meet(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    if ctx.args.len() > 5 {
        return Err(bad_subcommand(ctx));
    }
    let port = |at: usize, what: &str| {
        let given = ctx.args.get(at);
        let invalid = || CommandError::bytes([b"ERR Invalid ", what.as_bytes(), b" port specified: ", given].concat());
        number::parse_i64(given).ok_or_else(invalid)
    };
    let base = port(3, "base")?;
    let bus = if ctx.args.len() == 5 { port(4, "bus")? } else { base + i64::from(crate::cluster::BUS_PORT_OFFSET) };
    let ip = str::from_utf8(ctx.args.get(2)).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let fits = |port: i64| (1..=65_535).contains(&port);
    let Some(ip) = ip.filter(|_| fits(base) && fits(bus)) else {
        let (ip, port) = (ctx.args.get(2), ctx.args.get(3));
        return Err(CommandError::bytes([b"ERR Invalid node address specified: ", ip, b":", port].concat()));
    };
    if !view(ctx)?.has_bus() {
        return Err(NO_BUS);
    }
    let World { cluster: Some(cluster), keyspace, config, .. } = &mut *ctx.world else { return Err(error::NO_CLUSTER) };
    // One that is under way already is as good.
    cluster.meet(ip, base as u16, bus as u16, keyspace.env.now(), config);
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn replicate(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (cluster, name) = (view(ctx)?, ctx.args.get(2));
    let node = cluster.find(name).ok_or_else(|| unknown_node(name))?;
    if node.id == cluster.me() {
        return Err(CommandError::new("ERR Can't replicate myself"));
    }
    if node.is_replica() {
        return Err(CommandError::new("ERR I can only replicate a master, not a replica."));
    }
    let me = cluster.myself();
    if me.is_primary() && (!me.slots.is_empty() || ctx.world.keyspace.total_keys() != 0) {
        return Err(CommandError::new("ERR To set a master the node must be empty and without assigned slots."));
    }
    let id = node.id;
    view_mut(ctx)?.follow(id);
    ctx.world.settle_cluster_role();
    ctx.world.end_shard_channels(ctx.session, |_| true);
    changed(ctx)
}

fn failover(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let cluster = view(ctx)?;
    if ctx.args.len() > 3 {
        return Err(bad_subcommand(ctx));
    }
    if ctx.args.len() == 3 && !ctx.args.is(2, "FORCE") && !ctx.args.is(2, "TAKEOVER") {
        return Err(error::SYNTAX);
    }
    if cluster.myself().is_primary() {
        return Err(CommandError::new("ERR You should send CLUSTER FAILOVER to a replica"));
    }
    let primary = cluster.myself().primary.and_then(|primary| cluster.node(primary));
    let Some(primary) = primary else {
        return Err(CommandError::new("ERR I'm a replica but my master is unknown to me"));
    };
    let kind = match ctx.args.len() {
        3 if ctx.args.is(2, "FORCE") => FailoverKind::Forced,
        3 => FailoverKind::Takeover,
        _ => FailoverKind::Agreed,
    };
    if kind == FailoverKind::Agreed && (primary.flags.has(NodeFlags::FAILED) || primary.link.is_none()) {
        return Err(CommandError::new("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE"));
    }
    let World { cluster: Some(cluster), keyspace, .. } = &mut *ctx.world else { return Err(error::NO_CLUSTER) };
    cluster.start_failover(kind, keyspace.env.now(), &mut keyspace.env.rng);
    ctx.world.settle_cluster_role();
    changed(ctx)
}

/// The refusal of a subcommand with arguments that it does not take.
fn bad_subcommand(ctx: &ServerCtx<'_>) -> CommandError {
    let given = ctx.args.get(1);
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(&given[..given.len().min(128)]);
    text.extend_from_slice(b"'. Try CLUSTER HELP.");
    CommandError::bytes(text)
}
