//! What a node does about the others as time passes: connect, ask, and find out who is gone.

use super::LinkId;
use super::failover::Following;
use super::message::{Body, Kind};
use crate::clock::Rng;
use crate::cluster::{Cluster, NodeFlags, NodeId};
use crate::config::Config;
use crate::types::UnixMillis;
use std::sync::atomic::Ordering;

/// How often this is to be done.
pub const TICK_MILLIS: u64 = 100;

/// A node to connect to.
pub struct Wish {
    pub node: NodeId,
    pub ip: String,
    pub bus_port: u16,
}

impl Cluster {
    /// Looks after the other nodes; tells to which of them connections are to be made.
    pub fn look_after_nodes(&mut self, following: Following, now: UnixMillis, rng: &mut Rng, config: &Config) -> Vec<Wish> {
        const HANDSHAKE_MILLIS_MIN: i64 = 1000;
        self.bus.ticks += 1;
        self.bus.forgotten.retain(|_, until| now < *until);
        self.cut_those_who_do_not_read(config.cluster_link_sendbuf_limit);
        let timeout = config.cluster_node_timeout;
        let patience = timeout.max(HANDSHAKE_MILLIS_MIN);
        let stale: Vec<NodeId> = self
            .nodes()
            .filter(|node| node.flags.has(NodeFlags::HANDSHAKE) && now - node.known_since > patience)
            .map(|node| node.id)
            .collect();
        stale.into_iter().for_each(|id| self.forget(id));
        let mut wishes = Vec::new();
        for node in self.nodes.values() {
            let reachable = !node.flags.has(NodeFlags::MYSELF | NodeFlags::NO_ADDRESS) && !node.ip.is_empty();
            if reachable && node.link.is_none() && !self.bus.connecting.contains(&node.id) {
                wishes.push(Wish { node: node.id, ip: node.ip.clone(), bus_port: node.bus_port });
            }
        }
        self.bus.connecting.extend(wishes.iter().map(|wish| wish.node));
        if self.bus.ticks.is_multiple_of(10) {
            self.ask_someone(now, rng);
        }
        self.find_the_silent(now, rng, config);
        self.look_after_failover(following, now, rng, config);
        self.look_after_orphans(now, config);
        wishes
    }

    fn cut_those_who_do_not_read(&mut self, limit: u64) {
        if limit == 0 {
            return;
        }
        let too_much = |link: &super::Link| link.queued.load(Ordering::Relaxed) as u64 > limit;
        let cut: Vec<LinkId> = self.bus.links.iter().filter(|(_, link)| too_much(link)).map(|(id, _)| *id).collect();
        for link in cut {
            tracing::warn!("Closing a link of the cluster bus: its send buffer exceeds the limit.");
            self.drop_link(link);
            self.bus.cut += 1;
        }
    }

    /// Asks the one of a few nodes that was silent for the longest time.
    fn ask_someone(&mut self, now: UnixMillis, rng: &mut Rng) {
        const LOOKED_AT: usize = 5;
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let asked = (0..LOOKED_AT)
            .filter_map(|_| self.node(ids[rng.below(ids.len() as u64) as usize]))
            .filter(|node| node.ping_sent == 0 && !node.flags.has(NodeFlags::MYSELF | NodeFlags::HANDSHAKE))
            .min_by_key(|node| node.pong_received)
            .and_then(|node| node.link);
        if let Some(link) = asked {
            self.send_gossip(link, Kind::Ping, now, rng);
        }
    }

    fn find_the_silent(&mut self, now: UnixMillis, rng: &mut Rng, config: &Config) {
        const UNKNOWN: u16 = NodeFlags::MYSELF | NodeFlags::NO_ADDRESS | NodeFlags::HANDSHAKE;
        let timeout = config.cluster_node_timeout;
        let interval = if config.cluster_ping_interval > 0 { config.cluster_ping_interval } else { timeout / 2 };
        let known: Vec<NodeId> = self.nodes().filter(|node| !node.flags.has(UNKNOWN)).map(|node| node.id).collect();
        for id in known {
            let Some(node) = self.node(id) else { continue };
            let asked = node.ping_sent != 0;
            let silence = (now - node.ping_sent).min(now - node.data_received);
            let link_age = node.link.and_then(|link| self.bus.links.get(&link)).map(|link| now - link.since);
            if let (Some(link), Some(age)) = (node.link, link_age) {
                if asked && age > timeout && silence > timeout / 2 {
                    // Perhaps only the connection is broken.
                    self.drop_link(link);
                } else if !asked && now - node.pong_received > interval {
                    self.send_gossip(link, Kind::Ping, now, rng);
                    continue;
                }
            }
            if !asked || silence <= timeout {
                continue;
            }
            let alone = self.myself().is_primary() && self.size() == 1;
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            if !node.flags.has(NodeFlags::MAYBE_FAILED | NodeFlags::FAILED) {
                node.flags.set(NodeFlags::MAYBE_FAILED);
                self.bus.wanted.review = true;
                if alone {
                    self.fail_if_agreed(id, now, config);
                }
            }
        }
    }

    /// Counts a node as failed if most primaries say that it does not answer, and tells everybody.
    pub(super) fn fail_if_agreed(&mut self, id: NodeId, now: UnixMillis, config: &Config) {
        let needed = self.size() / 2 + 1;
        let own_voice = self.myself().is_primary() as usize;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if !node.flags.has(NodeFlags::MAYBE_FAILED) || node.flags.has(NodeFlags::FAILED) {
            return;
        }
        if count_reports(&mut node.reports, now, config) + own_voice < needed {
            return;
        }
        tracing::info!("Marking node {id} ({}) as failing (quorum reached).", node.nodename);
        node.flags.clear(NodeFlags::MAYBE_FAILED);
        node.flags.set(NodeFlags::FAILED);
        node.failed_at = now;
        (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        self.broadcast(Kind::Fail, &Body::Fail(Some(id)));
    }

    /// The primaries that report a node as failing.
    pub fn failure_reports(&mut self, id: NodeId, now: UnixMillis, config: &Config) -> usize {
        self.nodes.get_mut(&id).map_or(0, |node| count_reports(&mut node.reports, now, config))
    }

    /// A failed node answers again.
    pub(super) fn forgive(&mut self, id: NodeId, now: UnixMillis, config: &Config) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let long_ago = now - node.failed_at > 2 * config.cluster_node_timeout;
        if node.is_replica() || node.slots.is_empty() || long_ago {
            tracing::info!("Clear FAIL state for node {id} ({}): it is reachable again.", node.nodename);
            node.flags.clear(NodeFlags::FAILED);
            (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        }
    }
}

/// Counts reports that are not too old, and drops the others.
fn count_reports(reports: &mut std::collections::BTreeMap<NodeId, UnixMillis>, now: UnixMillis, config: &Config) -> usize {
    reports.retain(|_, at| now - *at <= 2 * config.cluster_node_timeout);
    reports.len()
}
