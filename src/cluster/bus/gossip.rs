//! Questions and answers between nodes, and the news of further nodes that they carry.

use super::LinkId;
use super::message::{self, Body, Extensions, Gossip, Kind};
use crate::clock::Rng;
use crate::cluster::{Cluster, Node, NodeFlags, NodeId};
use crate::config::Config;
use crate::types::UnixMillis;

impl Cluster {
    /// Asks the node at the other end of a connection, or answers it.
    pub(super) fn send_gossip(&mut self, to: LinkId, kind: Kind, now: UnixMillis, rng: &mut Rng) {
        let Some(link) = self.bus.links.get(&to) else { return };
        let (receiver, inbound) = (link.node, link.inbound);
        if let Some(node) = receiver.and_then(|node| self.nodes.get_mut(&node))
            && !inbound
            && kind == Kind::Ping
        {
            node.ping_sent = now;
        }
        let entries = self.news(receiver, rng);
        let understands = receiver.and_then(|node| self.node(node)).is_some_and(|node| node.flags.has(NodeFlags::EXTENSIONS));
        let extensions = if understands { self.extensions(now) } else { Extensions::default() };
        let message = message::encode(&self.header(kind), &Body::Gossip(entries, extensions));
        self.send(to, kind, message);
    }

    /// Some nodes chosen at random, a tenth of them and at least three; and all that do not answer.
    fn news(&self, receiver: Option<NodeId>, rng: &mut Rng) -> Vec<Gossip> {
        const LEAST: usize = 3;
        const UNKNOWN: u16 = NodeFlags::HANDSHAKE | NodeFlags::NO_ADDRESS;
        let worth = |node: &&Node| node.id != self.me && Some(node.id) != receiver && !node.flags.has(UNKNOWN);
        let told = |node: &&Node| !node.flags.has(NodeFlags::MAYBE_FAILED) && (node.link.is_some() || !node.slots.is_empty());
        let mut others: Vec<&Node> = self.nodes().filter(worth).filter(told).collect();
        let wanted = (self.node_count() / 10).max(LEAST).min(others.len());
        for at in 0..wanted {
            let other = at + rng.below((others.len() - at) as u64) as usize;
            others.swap(at, other);
        }
        others.truncate(wanted);
        others.extend(self.nodes().filter(worth).filter(|node| node.flags.has(NodeFlags::MAYBE_FAILED)));
        others.into_iter().map(|node| self.entry(node)).collect()
    }

    fn entry(&self, node: &Node) -> Gossip {
        let (port, other_port) = if self.tls { (node.tls_port, node.port) } else { (node.port, node.tls_port) };
        Gossip {
            id: node.id,
            ping_sent: (node.ping_sent / 1000) as u32,
            pong_received: (node.pong_received / 1000) as u32,
            ip: node.ip.clone(),
            port,
            other_port,
            bus_port: node.bus_port,
            flags: node.flags.0,
        }
    }

    fn extensions(&self, now: UnixMillis) -> Extensions {
        let me = self.myself();
        let left = |until: i64| ((until - now) / 1000).max(0) as u64;
        let forgotten = self.bus.forgotten.iter().map(|(node, until)| (*node, left(*until))).filter(|(_, left)| *left > 0);
        Extensions {
            hostname: me.hostname.clone(),
            nodename: me.nodename.clone(),
            shard: Some(me.shard),
            forgotten: forgotten.collect(),
        }
    }

    /// Learns from what a node tells about others. `sender` is none if it is not known, and may be trusted all the same.
    pub(super) fn hear_news(&mut self, sender: Option<NodeId>, entries: &[Gossip], now: UnixMillis, config: &Config) {
        const FAILING: u16 = NodeFlags::FAILED | NodeFlags::MAYBE_FAILED;
        let from_primary = sender.and_then(|sender| self.node(sender)).filter(|node| node.is_primary()).map(|node| node.id);
        for entry in entries {
            let flags = NodeFlags(entry.flags);
            let (port, tls_port) = if self.tls { (entry.other_port, entry.port) } else { (entry.port, entry.other_port) };
            let Some(node) = self.nodes.get_mut(&entry.id) else {
                self.hear_of_stranger(sender, entry, (port, tls_port), now);
                continue;
            };
            if entry.id == self.me {
                continue;
            }
            let mut reported = false;
            if let Some(sender) = from_primary {
                if flags.has(FAILING) {
                    node.reports.insert(sender, now);
                    reported = true;
                } else {
                    node.reports.remove(&sender);
                }
            }
            if !flags.has(FAILING) && node.ping_sent == 0 && node.reports.is_empty() {
                // What another node heard of it is as good, unless that clock is ahead of this one.
                const TOLERANCE_MILLIS: i64 = 500;
                let heard = i64::from(entry.pong_received) * 1000;
                if heard <= now + TOLERANCE_MILLIS && heard > node.pong_received {
                    node.pong_received = heard;
                }
            }
            let moved = node.ip != entry.ip || (node.port, node.tls_port, node.bus_port) != (port, tls_port, entry.bus_port);
            if node.flags.has(FAILING) && !flags.has(FAILING | NodeFlags::NO_ADDRESS) && moved {
                node.ip.clone_from(&entry.ip);
                (node.port, node.tls_port, node.bus_port) = (port, tls_port, entry.bus_port);
                node.flags.clear(NodeFlags::NO_ADDRESS);
                if let Some(link) = node.link {
                    self.drop_link(link);
                }
            }
            if reported {
                self.fail_if_agreed(entry.id, now, config);
            }
        }
    }

    /// Adds a node that a known one told of.
    fn hear_of_stranger(&mut self, sender: Option<NodeId>, entry: &Gossip, ports: (u16, u16), now: UnixMillis) {
        let flags = NodeFlags(entry.flags);
        if sender.is_none() || flags.has(NodeFlags::NO_ADDRESS | NodeFlags::HANDSHAKE) || self.is_forgotten(entry.id, now) {
            return;
        }
        const KEPT: u16 = NodeFlags::PRIMARY
            | NodeFlags::REPLICA
            | NodeFlags::MAYBE_FAILED
            | NodeFlags::FAILED
            | NodeFlags::MIGRATE_TO
            | NodeFlags::NO_FAILOVER;
        let mut node = Node::new(entry.id, entry.flags & KEPT);
        node.ip.clone_from(&entry.ip);
        (node.port, node.tls_port) = ports;
        (node.bus_port, node.known_since) = (entry.bus_port, now);
        if flags.has(NodeFlags::FAILED) {
            node.failed_at = now;
        }
        self.nodes.insert(node.id, node);
        self.bus.wanted.save = true;
    }

    /// Takes over what a node tells about itself besides.
    pub(super) fn hear_extensions(&mut self, sender: NodeId, extensions: Extensions, now: UnixMillis) {
        let my_primary = self.myself().primary;
        for (id, seconds) in extensions.forgotten {
            if id != self.me && Some(id) != my_primary && id != sender && self.nodes.contains_key(&id) {
                let millis = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000).min(10 * super::FORGET_MILLIS);
                self.bus.forgotten.insert(id, now + millis);
                self.forget(id);
                (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
            }
        }
        let Some(primary_shard) = self.node(sender).map(|node| node.primary.and_then(|p| self.node(p)).unwrap_or(node).shard)
        else {
            return;
        };
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        let shard = extensions.shard.unwrap_or(primary_shard);
        if node.hostname != extensions.hostname || node.nodename != extensions.nodename || node.shard != shard {
            (node.hostname, node.nodename, node.shard) = (extensions.hostname, extensions.nodename, shard);
            self.bus.wanted.save = true;
        }
    }
}
