//! The cluster bus: how nodes learn of one another. Each keeps a connection to each, asks from time to time whether the other is
//! there, and every question and answer carries news of some further nodes.
//!
//! The view knows connections by numbers; sockets live in `net::bus`, which brings whole messages (`receive`), has the passing of
//! time noticed (`watch`), and does what is left in `Wanted`.

mod failover;
mod gossip;
pub mod message;
mod orphans;
mod receive;
mod watch;

pub use failover::{FailoverKind, Following};
pub use watch::{TICK_MILLIS, Wish};

use super::{Cluster, Node, NodeFlags, NodeId};
use crate::clock::Rng;
use crate::config::Config;
use crate::types::UnixMillis;
use bytes::Bytes;
use message::{Body, Header, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// A connection of the bus.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct LinkId(u64);

/// The view's end of a connection. Dropping it closes the connection when what was sent has left.
pub struct Link {
    /// Whom it leads to, as soon as that is known.
    pub node: Option<NodeId>,
    /// The other side made it.
    pub inbound: bool,
    pub since: UnixMillis,
    out: UnboundedSender<Bytes>,
    /// Bytes that have not left yet.
    pub queued: Arc<AtomicUsize>,
    /// The addresses of this end and of the other.
    pub here: IpAddr,
    pub there: IpAddr,
}

/// A message for subscribers, from another node.
pub struct Published {
    pub shard: bool,
    pub channel: Vec<u8>,
    pub message: Vec<u8>,
}

/// What follows from messages and from time, to be done by whoever holds the view.
#[derive(Default)]
pub struct Wanted {
    /// The view is to be written to its file.
    pub save: bool,
    /// The health is to be looked at.
    pub review: bool,
    pub publish: Vec<Published>,
    /// Slots that another node has now: their keys are to go.
    pub lost: BTreeSet<u16>,
    /// Clients that write are to wait until then, or not any more.
    pub pause_until: Option<UnixMillis>,
    pub resume: bool,
}

/// The state of the bus.
#[derive(Default)]
pub(super) struct Bus {
    links: BTreeMap<LinkId, Link>,
    last_link: u64,
    /// Nodes to which a connection is being made.
    connecting: BTreeSet<NodeId>,
    /// Nodes that were forgotten, and until when nobody's word brings them back.
    forgotten: BTreeMap<NodeId, UnixMillis>,
    ticks: u64,
    wanted: Wanted,
    sent: [u64; Kind::ALL.len()],
    received: [u64; Kind::ALL.len()],
    /// Connections cut because the other side did not read.
    pub cut: u64,
    /// Slots whose owner has ceased to claim them.
    unclaimed: BTreeSet<u16>,
    pub(super) is_open: bool,
    election: failover::Election,
    manual: failover::Manual,
    /// Primaries that lack a replica, as this replica sees it, and since when.
    orphans: BTreeMap<NodeId, UnixMillis>,
}

impl Bus {
    /// A slot has a new owner, or none.
    pub(super) fn set_claimed(&mut self, slot: u16) {
        self.unclaimed.remove(&slot);
    }

    /// Ends all connections and forgets who was forgotten.
    pub(super) fn start_over(&mut self) {
        self.links.clear();
        self.connecting.clear();
        self.forgotten.clear();
        self.unclaimed.clear();
        self.election = Default::default();
        self.manual = Default::default();
        self.orphans.clear();
    }
}

/// So long a forgotten node stays forgotten.
const FORGET_MILLIS: i64 = 60_000;

impl Cluster {
    /// The bus listens: other nodes can be met.
    pub fn open_bus(&mut self) {
        self.bus.is_open = true;
    }

    /// True if other nodes can be met.
    pub fn has_bus(&self) -> bool {
        self.bus.is_open
    }

    /// Begins to get to know the node at an address. False if that is under way already.
    pub fn meet(&mut self, ip: IpAddr, port: u16, bus_port: u16, now: UnixMillis, config: &Config) -> bool {
        let ip = ip.to_string();
        let under_way = |node: &Node| node.flags.has(NodeFlags::HANDSHAKE) && node.ip == ip && node.bus_port == bus_port;
        if self.nodes().any(under_way) {
            return false;
        }
        let mut node = Node::new(NodeId::random(), NodeFlags::HANDSHAKE | NodeFlags::MEET);
        (node.ip, node.bus_port, node.known_since) = (ip, bus_port, now);
        if config.tls_cluster {
            node.tls_port = port;
        } else {
            node.port = port;
        }
        self.nodes.insert(node.id, node);
        true
    }

    /// Keeps a forgotten node forgotten, for a while.
    pub fn keep_forgotten(&mut self, id: NodeId, now: UnixMillis) {
        self.bus.forgotten.insert(id, now + FORGET_MILLIS);
    }

    /// True if a node was forgotten lately.
    pub fn is_forgotten(&self, id: NodeId, now: UnixMillis) -> bool {
        self.bus.forgotten.get(&id).is_some_and(|until| now < *until)
    }

    /// Takes what is to be done.
    pub fn take_wanted(&mut self) -> Wanted {
        std::mem::take(&mut self.bus.wanted)
    }

    /// Adds a connection that another node made.
    pub fn accepted(
        &mut self,
        out: UnboundedSender<Bytes>,
        here: IpAddr,
        there: IpAddr,
        now: UnixMillis,
    ) -> (LinkId, Arc<AtomicUsize>) {
        self.add_link(None, out, here, there, now)
    }

    /// Adds a connection that was made to a node, and greets it; none if the node is known no more.
    pub fn connected(
        &mut self,
        to: NodeId,
        out: UnboundedSender<Bytes>,
        here: IpAddr,
        there: IpAddr,
        (now, rng): (UnixMillis, &mut Rng),
    ) -> Option<(LinkId, Arc<AtomicUsize>)> {
        self.bus.connecting.remove(&to);
        let node = self.node(to)?;
        let (old_ping, meets) = (node.ping_sent, node.flags.has(NodeFlags::MEET));
        let added = self.add_link(Some(to), out, here, there, now);
        if let Some(old) = self.nodes.get_mut(&to).and_then(|node| node.link.replace(added.0)) {
            self.bus.links.remove(&old);
        }
        self.send_gossip(added.0, if meets { Kind::Meet } else { Kind::Ping }, now, rng);
        if let Some(node) = self.nodes.get_mut(&to) {
            // A question that was open before is as old as it is.
            if old_ping != 0 {
                node.ping_sent = old_ping;
            }
            node.flags.clear(NodeFlags::MEET);
        }
        Some(added)
    }

    /// A connection to a node could not be made. Silence counts from now on.
    pub fn not_connected(&mut self, to: NodeId, now: UnixMillis) {
        self.bus.connecting.remove(&to);
        if let Some(node) = self.nodes.get_mut(&to)
            && node.ping_sent == 0
        {
            node.ping_sent = now;
        }
    }

    fn add_link(
        &mut self,
        node: Option<NodeId>,
        out: UnboundedSender<Bytes>,
        here: IpAddr,
        there: IpAddr,
        since: UnixMillis,
    ) -> (LinkId, Arc<AtomicUsize>) {
        self.bus.last_link += 1;
        let id = LinkId(self.bus.last_link);
        let queued = Arc::new(AtomicUsize::new(0));
        let link = Link { node, inbound: node.is_none(), since, out, queued: queued.clone(), here, there };
        self.bus.links.insert(id, link);
        (id, queued)
    }

    /// Ends a connection, or notes that it has ended.
    pub fn drop_link(&mut self, id: LinkId) {
        let Some(link) = self.bus.links.remove(&id) else { return };
        if let Some(node) = link.node.and_then(|node| self.nodes.get_mut(&node)) {
            if node.link == Some(id) {
                node.link = None;
            }
            if node.inbound == Some(id) {
                node.inbound = None;
            }
        }
    }

    /// The connections to and from known nodes: of each node the one to it first, as clients take them in pairs.
    pub fn links(&self) -> impl Iterator<Item = (NodeId, &Link)> {
        self.nodes().flat_map(|node| {
            let known = [node.link, node.inbound].into_iter().flatten();
            known.filter_map(|id| Some((node.id, self.bus.links.get(&id)?)))
        })
    }

    /// Messages sent or received, by their kinds' names; kinds without any are left out.
    pub fn messages(&self, sent: bool) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = if sent { self.bus.sent } else { self.bus.received };
        Kind::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).map(|((_, name), count)| (name, count))
    }

    /// How many connections were cut because the other side did not read.
    pub fn links_cut(&self) -> u64 {
        self.bus.cut
    }

    /// What this node tells about itself in every message.
    fn header(&self, kind: Kind) -> Header {
        let me = self.myself();
        let shown = me.primary.and_then(|primary| self.node(primary)).unwrap_or(me);
        let (port, other_port) = if self.tls { (me.tls_port, me.port) } else { (me.port, me.tls_port) };
        Header {
            kind,
            port,
            other_port,
            bus_port: me.bus_port,
            current_epoch: self.current_epoch,
            config_epoch: shown.epoch,
            offset: self.offset as u64,
            sender: Some(me.id),
            slots: shown.slots.clone(),
            primary: me.primary,
            ip: self.announced_ip.clone(),
            flags: me.flags.0,
            is_down: !self.is_healthy(),
            message_flags: message::FLAG_EXTENSIONS | if self.is_paused() { message::FLAG_PAUSED } else { 0 },
        }
    }

    fn send(&mut self, to: LinkId, kind: Kind, message: Bytes) {
        if let Some(link) = self.bus.links.get(&to) {
            link.queued.fetch_add(message.len(), Ordering::Relaxed);
            // If the other end is gone the link will be dropped.
            let _ = link.out.send(message);
            self.bus.sent[kind as usize] += 1;
        }
    }

    /// Sends a message to every node that can be reached.
    fn broadcast(&mut self, kind: Kind, body: &Body<'_>) {
        self.broadcast_as(self.header(kind), body);
    }

    fn broadcast_as(&mut self, header: Header, body: &Body<'_>) {
        let (kind, message) = (header.kind, message::encode(&header, body));
        let fits = |node: &&Node| !node.flags.has(NodeFlags::MYSELF | NodeFlags::HANDSHAKE);
        let links: Vec<LinkId> = self.nodes().filter(fits).filter_map(|node| node.link).collect();
        links.into_iter().for_each(|link| self.send(link, kind, message.clone()));
    }

    /// Has a message published by all other nodes, or by those of the shard.
    pub fn spread(&mut self, shard: bool, channel: &[u8], payload: &[u8]) {
        if self.node_count() == 1 {
            return;
        }
        let body = Body::Publish { channel, message: payload };
        if !shard {
            return self.broadcast(Kind::Publish, &body);
        }
        let mine = self.myself().shard;
        let fits = |node: &&Node| node.shard == mine && !node.flags.has(NodeFlags::MYSELF | NodeFlags::HANDSHAKE);
        let links: Vec<LinkId> = self.nodes().filter(fits).filter_map(|node| node.link).collect();
        let message = message::encode(&self.header(Kind::PublishShard), &body);
        links.into_iter().for_each(|link| self.send(link, Kind::PublishShard, message.clone()));
    }

    /// Tells all nodes at once what has changed here.
    pub fn tell_all(&mut self, now: UnixMillis, rng: &mut Rng) {
        let fits = |node: &&Node| !node.flags.has(NodeFlags::MYSELF | NodeFlags::HANDSHAKE);
        let links: Vec<LinkId> = self.nodes().filter(fits).filter_map(|node| node.link).collect();
        links.into_iter().for_each(|link| self.send_gossip(link, Kind::Pong, now, rng));
    }
}
