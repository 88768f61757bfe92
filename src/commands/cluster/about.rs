//! What a node tells of its cluster: CLUSTER INFO, NODES, SLOTS, SHARDS, LINKS, MYID, MYSHARDID, REPLICAS, COUNT-FAILURE-REPORTS.

use super::{BASE, unknown_node, view};
use crate::cluster::{Cluster, Node, NodeFlags, NodeId, Reader};
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::config::ClusterEndpoint;
use crate::ds::algo::hash_slot::SLOTS;
use crate::resp::reply::ReplyWriter;
use crate::world::World;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLUSTER",
        arity: Arity::at_least(2),
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands that tell about the cluster and change it.",
        flags: 0,
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|COUNT-FAILURE-REPORTS",
        arity: Arity::exactly(3),
        complexity: "O(N) where N is the number of reports",
        summary: "Counts the nodes that report a node as failing.",
        syntax: "node-id",
        flags: flags(&[Flag::Admin, Flag::Stale]),
        tips: &["nondeterministic_output"],
        run: Handler::Server(count_failure_reports),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|HELP",
        arity: Arity::exactly(2),
        since: "5.0.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|INFO",
        summary: "Tells how the cluster is, as this node sees it.",
        run: Handler::Server(info),
        ..TELLS
    },
    CommandSpec {
        name: "CLUSTER|LINKS",
        since: "7.0.0",
        complexity: "O(N) where N is the number of nodes",
        summary: "Lists the node's connections to other nodes.",
        run: Handler::Server(links),
        ..TELLS
    },
    CommandSpec { name: "CLUSTER|MYID", summary: "Tells the name of the node.", tips: &[], run: Handler::Server(myid), ..TELLS },
    CommandSpec {
        name: "CLUSTER|MYSHARDID",
        since: "7.2.0",
        summary: "Tells the name of the node's shard.",
        run: Handler::Server(myshardid),
        ..TELLS
    },
    CommandSpec {
        name: "CLUSTER|NODES",
        complexity: "O(N) where N is the number of nodes",
        summary: "Lists the nodes as text.",
        run: Handler::Server(nodes),
        ..TELLS
    },
    CommandSpec { name: "CLUSTER|REPLICAS", since: "5.0.0", ..REPLICAS },
    CommandSpec {
        name: "CLUSTER|SHARDS",
        since: "7.0.0",
        complexity: "O(N) where N is the number of nodes",
        summary: "Lists the shards: their slots and their nodes.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(shards),
        ..TELLS
    },
    CommandSpec { name: "CLUSTER|SLAVES", deprecated: Some(("5.0.0", "`CLUSTER REPLICAS`")), ..REPLICAS },
    CommandSpec {
        name: "CLUSTER|SLOTS",
        complexity: "O(N) where N is the number of nodes",
        summary: "Lists the ranges of slots with the nodes that serve them.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        deprecated: Some(("7.0.0", "`CLUSTER SHARDS`")),
        history: &[("4.0.0", "Tells the names of nodes."), ("7.0.0", "Tells further addresses of nodes.")],
        run: Handler::Server(slots),
        ..TELLS
    },
];
const _: () = check(COMMANDS);

const TELLS: CommandSpec = CommandSpec { arity: Arity::exactly(2), tips: &["nondeterministic_output"], ..BASE };

const REPLICAS: CommandSpec = CommandSpec {
    arity: Arity::exactly(3),
    complexity: "O(N) where N is the number of replicas",
    summary: "Lists the replicas of a node.",
    syntax: "node-id",
    flags: flags(&[Flag::Admin, Flag::Stale]),
    tips: &["nondeterministic_output"],
    run: Handler::Server(replicas),
    ..BASE
};

fn info(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let text = view(ctx)?.info();
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn nodes(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let tls = ctx.world.speaks_tls(ctx.session);
    let text = view(ctx)?.describe_all(Reader::Client { tls });
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn myid(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let me = view(ctx)?.me();
    ctx.reply.bulk(me.as_bytes());
    Ok(Flow::Done)
}

fn myshardid(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let shard = view(ctx)?.myself().shard;
    ctx.reply.bulk(shard.as_bytes());
    Ok(Flow::Done)
}

fn links(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let cluster = ctx.world.cluster.as_deref().ok_or(error::NO_CLUSTER)?;
    let links: Vec<_> = cluster.links().collect();
    ctx.reply.array(links.len());
    for (node, link) in links {
        let queued = link.queued.load(Ordering::Relaxed);
        ctx.reply.map(6);
        ctx.reply.bulk(b"direction");
        ctx.reply.bulk(if link.inbound { b"from" } else { b"to" });
        ctx.reply.bulk(b"node");
        ctx.reply.bulk(node.as_bytes());
        ctx.reply.bulk(b"create-time");
        ctx.reply.integer(link.since);
        ctx.reply.bulk(b"events");
        ctx.reply.bulk(if queued > 0 { b"rw" } else { b"r" });
        for figure in ["send-buffer-allocated", "send-buffer-used"] {
            ctx.reply.bulk(figure.as_bytes());
            ctx.reply.count(queued);
        }
    }
    Ok(Flow::Done)
}

fn count_failure_reports(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let name = ctx.args.get(2);
    let id = view(ctx)?.find(name).ok_or_else(|| unknown_node(name))?.id;
    let World { cluster: Some(cluster), keyspace, config, .. } = &mut *ctx.world else { return Err(error::NO_CLUSTER) };
    ctx.reply.count(cluster.failure_reports(id, keyspace.env.now(), config));
    Ok(Flow::Done)
}

fn replicas(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let tls = ctx.world.speaks_tls(ctx.session);
    let (cluster, name) = (view(ctx)?, ctx.args.get(2));
    let node = cluster.find(name).ok_or_else(|| unknown_node(name))?;
    if node.is_replica() {
        return Err(CommandError::new("ERR The specified node is not a master"));
    }
    let lines: Vec<String> = cluster.replicas_of(node.id).map(|node| cluster.describe(node, Reader::Client { tls })).collect();
    ctx.reply.array(lines.len());
    lines.iter().for_each(|line| ctx.reply.bulk(line.as_bytes()));
    Ok(Flow::Done)
}

fn slots(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (tls, kind) = (ctx.world.speaks_tls(ctx.session), ctx.world.config.cluster_preferred_endpoint_type);
    let cluster = ctx.world.cluster.as_deref().ok_or(error::NO_CLUSTER)?;
    let ranges = owned_ranges(cluster);
    ctx.reply.array(ranges.len());
    for (first, last, owner) in ranges {
        let owner = cluster.node(owner);
        let replicas: Vec<&Node> = owner
            .map_or_else(Vec::new, |owner| cluster.replicas_of(owner.id).filter(|node| can_be_read(cluster, node)).collect());
        ctx.reply.array(2 + owner.is_some() as usize + replicas.len());
        ctx.reply.integer(first.into());
        ctx.reply.integer(last.into());
        owner.into_iter().chain(replicas).for_each(|node| node_of_slot(&mut ctx.reply, cluster, node, kind, tls));
    }
    Ok(Flow::Done)
}

/// The ranges of slots that one node owns, with that node.
fn owned_ranges(cluster: &Cluster) -> Vec<(u16, u16, NodeId)> {
    let mut ranges: Vec<(u16, u16, NodeId)> = Vec::new();
    for slot in 0..SLOTS {
        let Some(owner) = cluster.owner(slot) else { continue };
        match ranges.last_mut() {
            Some((_, last, of)) if *of == owner && *last + 1 == slot => *last = slot,
            _ => ranges.push((slot, slot, owner)),
        }
    }
    ranges
}

/// True for a replica that has the data.
fn can_be_read(cluster: &Cluster, node: &Node) -> bool {
    let offset = if node.id == cluster.me() { cluster.offset } else { node.replication_offset };
    !node.flags.has(NodeFlags::FAILED) && offset != 0
}

fn node_of_slot(reply: &mut ReplyWriter<'_>, cluster: &Cluster, node: &Node, kind: ClusterEndpoint, tls: bool) {
    reply.array(4);
    reply.bulk_or_null(cluster.endpoint(node, kind).map(str::as_bytes));
    reply.integer(node.client_port(tls).into());
    reply.bulk(node.id.as_bytes());
    // What else is known of where it is.
    let ip = (kind != ClusterEndpoint::Ip).then_some(("ip", &node.ip));
    let hostname = (kind != ClusterEndpoint::Hostname && !node.hostname.is_empty()).then_some(("hostname", &node.hostname));
    let more: Vec<_> = ip.into_iter().chain(hostname).collect();
    reply.map(more.len());
    for (name, value) in more {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

fn shards(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (kind, offset) = (ctx.world.config.cluster_preferred_endpoint_type, ctx.world.replication.offset() as i64);
    let cluster = ctx.world.cluster.as_deref().ok_or(error::NO_CLUSTER)?;
    let mut shards: BTreeMap<NodeId, Vec<&Node>> = BTreeMap::new();
    cluster.nodes().for_each(|node| shards.entry(node.shard).or_default().push(node));
    ctx.reply.array(shards.len());
    for nodes in shards.values() {
        ctx.reply.map(2);
        ctx.reply.bulk(b"slots");
        let alive = nodes.iter().find(|node| !node.flags.has(NodeFlags::FAILED));
        let primary = alive.and_then(|node| node.primary.map_or(Some(*node), |primary| cluster.node(primary)));
        let ranges = primary.map(|primary| primary.slots.ranges()).unwrap_or_default();
        ctx.reply.array(ranges.len() * 2);
        ranges.iter().flat_map(|(first, last)| [*first, *last]).for_each(|slot| ctx.reply.integer(slot.into()));
        ctx.reply.bulk(b"nodes");
        ctx.reply.array(nodes.len());
        for node in nodes {
            let offset = if node.id == cluster.me() { offset } else { node.replication_offset };
            node_of_shard(&mut ctx.reply, cluster, node, kind, offset);
        }
    }
    Ok(Flow::Done)
}

fn node_of_shard(reply: &mut ReplyWriter<'_>, cluster: &Cluster, node: &Node, kind: ClusterEndpoint, offset: i64) {
    let ports = [("port", node.port), ("tls-port", node.tls_port)].into_iter().filter(|(_, port)| *port != 0);
    let named = !node.hostname.is_empty();
    reply.map(6 + ports.clone().count() + named as usize);
    reply.bulk(b"id");
    reply.bulk(node.id.as_bytes());
    for (name, port) in ports {
        reply.bulk(name.as_bytes());
        reply.integer(port.into());
    }
    reply.bulk(b"ip");
    reply.bulk(node.ip.as_bytes());
    reply.bulk(b"endpoint");
    reply.bulk(cluster.endpoint(node, kind).unwrap_or_default().as_bytes());
    if named {
        reply.bulk(b"hostname");
        reply.bulk(node.hostname.as_bytes());
    }
    reply.bulk(b"role");
    reply.bulk(if node.is_replica() { b"replica" } else { b"master" });
    reply.bulk(b"replication-offset");
    reply.integer(offset);
    reply.bulk(b"health");
    reply.bulk(match node {
        node if node.flags.has(NodeFlags::FAILED) => b"fail",
        node if node.is_replica() && offset == 0 => b"loading",
        _ => b"online",
    });
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    ctx.reply.help(&[
        "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ADDSLOTS <slot> [<slot> ...]",
        "    Make this node the owner of slots.",
        "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Make this node the owner of ranges of slots.",
        "BUMPEPOCH",
        "    Give this node a newer configuration epoch than all others have.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    Count the nodes that report a node as failing.",
        "COUNTKEYSINSLOT <slot>",
        "    Count the keys in a slot.",
        "DELSLOTS <slot> [<slot> ...]",
        "    Forget who owns slots.",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Forget who owns ranges of slots.",
        "FAILOVER [FORCE|TAKEOVER]",
        "    Let this replica take the place of its master.",
        "FLUSHSLOTS",
        "    Give all slots of this node up.",
        "FORGET <node-id>",
        "    Remove a node from this node's view of the cluster.",
        "GETKEYSINSLOT <slot> <count>",
        "    Name keys of a slot.",
        "INFO",
        "    Tell how the cluster is.",
        "KEYSLOT <key>",
        "    Tell the slot of a key.",
        "LINKS",
        "    List the connections to other nodes.",
        "MEET <ip> <port> [<bus-port>]",
        "    Make this node and another one know each other.",
        "MYID",
        "    Tell the name of this node.",
        "MYSHARDID",
        "    Tell the name of this node's shard.",
        "NODES",
        "    List the nodes, a line each:",
        "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
        "REPLICAS <node-id>",
        "    List the replicas of a node.",
        "REPLICATE <node-id>",
        "    Make this node a replica of another one.",
        "RESET [HARD|SOFT]",
        "    Start over (default: soft).",
        "SAVECONFIG",
        "    Write the configuration file of the cluster.",
        "SET-CONFIG-EPOCH <epoch>",
        "    Set the configuration epoch of a fresh node.",
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "    Say where the keys of a slot move from or to, that they stay, or who owns the slot.",
        "SHARDS",
        "    List the shards with their slots and nodes.",
        "SLOTS",
        "    List the ranges of slots: first, last, and address, port and name of the master and its replicas.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
