//! A node's view of its cluster: who the nodes are, who owns which hash slot, and whether the whole can serve.
//!
//! Nothing here knows clients or keys. Commands ask and change this view (`commands::cluster`), requests are judged by it
//! (`dispatch::route`), and a file keeps it from one start to the next (`file`).

mod bus;
mod describe;
mod file;
mod node;
mod slot_set;
mod state;

pub use bus::{FailoverKind, Following, Link, LinkId, Published, TICK_MILLIS, Wanted, Wish, message};
pub use describe::Reader;
pub use file::{Broken, Refusal};
pub use node::{NAME_LEN, Node, NodeFlags, NodeId};
pub use slot_set::SlotSet;
pub use state::Health;

use crate::config::{ClusterEndpoint, Config};
use crate::ds::algo::hash_slot::SLOTS;
use std::collections::BTreeMap;

/// The bus listens this far above the port for clients, unless it is told otherwise.
pub const BUS_PORT_OFFSET: u16 = 10_000;

/// A node's view of its cluster.
pub struct Cluster {
    me: NodeId,
    /// There is always one called `me`.
    nodes: BTreeMap<NodeId, Node>,
    owners: Vec<Option<NodeId>>,
    /// Slots whose keys are on their way to another node, and those whose keys are on their way here.
    migrating: BTreeMap<u16, NodeId>,
    importing: BTreeMap<u16, NodeId>,
    pub current_epoch: u64,
    pub last_vote_epoch: u64,
    health: state::State,
    file: Option<file::ConfigFile>,
    bus: bus::Bus,
    /// The bus names ports for TLS first.
    tls: bool,
    /// What others are told of this node: an address, unless they are to look at the connection, and how far its data are.
    announced_ip: String,
    pub offset: i64,
    /// Number of the kind of messages that are dropped as if they had been lost, for tests; none if it is negative.
    pub dropped_kind: i64,
}

impl Cluster {
    /// A node that knows only itself. It has no file.
    pub fn new() -> Self {
        let me = Node::new(NodeId::random(), NodeFlags::MYSELF | NodeFlags::PRIMARY);
        Cluster {
            me: me.id,
            nodes: BTreeMap::from([(me.id, me)]),
            owners: vec![None; SLOTS as usize],
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            current_epoch: 0,
            last_vote_epoch: 0,
            health: state::State::default(),
            file: None,
            bus: bus::Bus::default(),
            tls: false,
            announced_ip: String::new(),
            offset: 0,
            dropped_kind: -1,
        }
    }

    /// Takes over what the configuration says about this node: its address as others are to see it. True if that is news.
    pub fn adopt_config(&mut self, config: &Config) -> bool {
        let before = self.describe(self.myself(), Reader::File);
        let announced = |announced: i64, own: i64| if announced != 0 { announced } else { own } as u16;
        let (port, tls_port) =
            (announced(config.cluster_announce_port, config.port), announced(config.cluster_announce_tls_port, config.tls_port));
        let bus_port = announced(config.cluster_announce_bus_port, bus_port(config).unwrap_or(0).into());
        self.tls = config.tls_cluster;
        self.announced_ip.clone_from(&config.cluster_announce_ip);
        let me = self.myself_mut();
        (me.port, me.tls_port, me.bus_port) = (port, tls_port, bus_port);
        if !config.cluster_announce_ip.is_empty() {
            me.ip.clone_from(&config.cluster_announce_ip);
        }
        me.hostname.clone_from(&config.cluster_announce_hostname);
        me.nodename.clone_from(&config.cluster_announce_human_nodename);
        if config.cluster_replica_no_failover {
            me.flags.set(NodeFlags::NO_FAILOVER);
        } else {
            me.flags.clear(NodeFlags::NO_FAILOVER);
        }
        self.describe(self.myself(), Reader::File) != before
    }

    /// This node's name.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// This node.
    pub fn myself(&self) -> &Node {
        &self.nodes[&self.me]
    }

    fn myself_mut(&mut self) -> &mut Node {
        self.nodes.entry(self.me).or_insert_with(|| Node::new(self.me, NodeFlags::MYSELF | NodeFlags::PRIMARY))
    }

    /// A node by its name.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// A node by its name as a client wrote it.
    pub fn find(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.get(&NodeId::parse(name)?)
    }

    /// All nodes, in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// How many nodes are known, this one included.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The replicas of a node.
    pub fn replicas_of(&self, id: NodeId) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(move |node| node.primary == Some(id))
    }

    /// Lets a node follow another one, or nobody. Who follows whom changes nowhere else: a primary is worth joining from its first
    /// replica on until its last one leaves (that a replica failed is not leaving).
    fn set_primary(&mut self, id: NodeId, primary: Option<NodeId>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let before = std::mem::replace(&mut node.primary, primary);
        if before == primary {
            return;
        }
        if let Some(before) = before
            && self.replicas_of(before).next().is_none()
            && let Some(left) = self.nodes.get_mut(&before)
        {
            left.flags.clear(NodeFlags::MIGRATE_TO);
        }
        if let Some(joined) = primary.and_then(|primary| self.nodes.get_mut(&primary)) {
            joined.flags.set(NodeFlags::MIGRATE_TO);
        }
    }

    /// True if any primary has a replica.
    fn has_replicas(&self) -> bool {
        self.nodes().filter_map(|node| self.node(node.primary?)).any(|primary| !primary.is_replica())
    }

    /// Who owns a slot.
    #[inline]
    pub fn owner(&self, slot: u16) -> Option<NodeId> {
        self.owners[slot as usize]
    }

    /// True if this node owns the slot.
    #[inline]
    pub fn owns(&self, slot: u16) -> bool {
        self.owners[slot as usize] == Some(self.me)
    }

    /// Gives a slot that nobody owns to a node. Where primaries have replicas, one that gets its first slot is to have some, too.
    pub fn assign(&mut self, slot: u16, to: NodeId) {
        debug_assert!(self.owners[slot as usize].is_none());
        let is_worth_joining = self.node(to).is_some_and(|node| node.slots.is_empty()) && self.has_replicas();
        if let Some(node) = self.nodes.get_mut(&to) {
            if is_worth_joining {
                node.flags.set(NodeFlags::MIGRATE_TO);
            }
            node.slots.insert(slot);
            self.owners[slot as usize] = Some(to);
        }
    }

    /// Takes a slot away from its owner.
    pub fn unassign(&mut self, slot: u16) {
        self.bus.set_claimed(slot);
        if let Some(owner) = self.owners[slot as usize].take()
            && let Some(node) = self.nodes.get_mut(&owner)
        {
            node.slots.remove(slot);
        }
    }

    /// Where the keys of a slot are on their way to.
    #[inline]
    pub fn migrating_to(&self, slot: u16) -> Option<NodeId> {
        if self.migrating.is_empty() { None } else { self.migrating.get(&slot).copied() }
    }

    /// Where the keys of a slot are on their way from.
    #[inline]
    pub fn importing_from(&self, slot: u16) -> Option<NodeId> {
        if self.importing.is_empty() { None } else { self.importing.get(&slot).copied() }
    }

    /// Begins or ends that the keys of a slot move to another node.
    pub fn set_migrating(&mut self, slot: u16, to: Option<NodeId>) {
        match to {
            Some(node) => self.migrating.insert(slot, node),
            None => self.migrating.remove(&slot),
        };
    }

    /// Begins or ends that the keys of a slot come from another node.
    pub fn set_importing(&mut self, slot: u16, from: Option<NodeId>) {
        match from {
            Some(node) => self.importing.insert(slot, node),
            None => self.importing.remove(&slot),
        };
    }

    /// The newest epoch that any node has told of.
    pub fn max_epoch(&self) -> u64 {
        self.nodes.values().map(|node| node.epoch).max().unwrap_or(0).max(self.current_epoch)
    }

    /// Gives this node a newer epoch than all others, without asking them, unless it has that already: then false.
    pub fn bump_epoch(&mut self) -> bool {
        let newest = self.max_epoch();
        if self.myself().epoch != 0 && self.myself().epoch == newest {
            return false;
        }
        self.current_epoch += 1;
        let epoch = self.current_epoch;
        self.myself_mut().epoch = epoch;
        tracing::info!("New configEpoch set to {epoch}");
        true
    }

    /// Sets the epoch with which a fresh node begins.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.myself_mut().epoch = epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        tracing::info!("configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH");
    }

    /// The epoch that this node goes by: its primary's, if it has one.
    pub fn my_epoch(&self) -> u64 {
        let me = self.myself();
        me.primary.and_then(|primary| self.node(primary)).unwrap_or(me).epoch
    }

    /// Forgets a node and all that it owned.
    pub fn forget(&mut self, id: NodeId) {
        for slot in 0..SLOTS {
            if self.owner(slot) == Some(id) {
                self.unassign(slot);
            }
        }
        self.migrating.retain(|_, to| *to != id);
        self.importing.retain(|_, from| *from != id);
        self.set_primary(id, None);
        let forgotten = self.nodes.remove(&id);
        for link in forgotten.into_iter().flat_map(|node| [node.link, node.inbound]).flatten() {
            self.drop_link(link);
        }
        for node in self.nodes.values_mut() {
            node.reports.remove(&id);
            if node.primary == Some(id) {
                node.primary = None;
            }
        }
    }

    /// Starts over: no slots, no other nodes. `hard` gives this node another name as well.
    pub fn reset(&mut self, hard: bool) {
        (0..SLOTS).for_each(|slot| self.unassign(slot));
        self.bus.start_over();
        self.migrating.clear();
        self.importing.clear();
        let mut me = self.myself().clone();
        (me.primary, me.link, me.inbound) = (None, None, None);
        me.flags.clear(NodeFlags::REPLICA | NodeFlags::MIGRATE_TO);
        me.flags.set(NodeFlags::PRIMARY);
        if hard {
            (self.current_epoch, self.last_vote_epoch, me.epoch) = (0, 0, 0);
            (me.id, me.shard) = (NodeId::random(), NodeId::random());
            tracing::info!("Node hard reset, now I'm {}", me.id);
        }
        self.me = me.id;
        self.nodes = BTreeMap::from([(me.id, me)]);
    }

    /// Gives slots of which there are keys here to this node, or marks them as arriving: what a start may find if the file and
    /// the data do not agree. True if anything changed.
    pub fn claim(&mut self, has_keys: impl Fn(u16) -> bool) -> bool {
        let mut changed = false;
        if self.myself().is_replica() {
            return false;
        }
        for slot in (0..SLOTS).filter(|slot| has_keys(*slot)) {
            match self.owner(slot) {
                _ if self.importing.contains_key(&slot) => {}
                Some(owner) if owner == self.me => {}
                Some(owner) => {
                    tracing::info!(
                        "I have keys for slot {slot}, but the slot is assigned to another node. Setting it to importing state."
                    );
                    self.importing.insert(slot, owner);
                    changed = true;
                }
                None => {
                    tracing::info!("I have keys for unassigned slot {slot}. Taking responsibility for it.");
                    self.assign(slot, self.me);
                    changed = true;
                }
            }
        }
        changed
    }

    /// How clients are to be told of a node: its address, its name, or nothing, so that they stay where they are.
    pub fn endpoint<'a>(&'a self, node: &'a Node, kind: ClusterEndpoint) -> Option<&'a str> {
        match kind {
            ClusterEndpoint::Ip => Some(&node.ip),
            ClusterEndpoint::Hostname if node.hostname.is_empty() => Some("?"),
            ClusterEndpoint::Hostname => Some(&node.hostname),
            ClusterEndpoint::Unknown => None,
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

/// The port of the bus; none if it would lie above all ports.
pub fn bus_port(config: &Config) -> Option<u16> {
    if config.cluster_port != 0 {
        return u16::try_from(config.cluster_port).ok();
    }
    let port = if config.tls_cluster || config.port == 0 { config.tls_port } else { config.port };
    u16::try_from(port).ok()?.checked_add(BUS_PORT_OFFSET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_leaves_nothing_behind() {
        let mut cluster = Cluster::new();
        let (me, other) = (cluster.me(), Node::new(NodeId::random(), NodeFlags::PRIMARY));
        let id = other.id;
        cluster.nodes.insert(id, other);
        cluster.assign(1, me);
        cluster.assign(2, id);
        cluster.set_migrating(1, Some(id));
        cluster.set_importing(3, Some(id));
        cluster.forget(id);
        assert_eq!((cluster.owner(1), cluster.owner(2)), (Some(me), None));
        assert_eq!((cluster.migrating_to(1), cluster.importing_from(3)), (None, None));
        assert_eq!(cluster.node_count(), 1);
    }

    #[test]
    fn keys_claim_their_slots() {
        let mut cluster = Cluster::new();
        let other = Node::new(NodeId::random(), NodeFlags::PRIMARY);
        let id = other.id;
        cluster.nodes.insert(id, other);
        cluster.assign(2, id);
        assert!(cluster.claim(|slot| slot == 1 || slot == 2));
        assert!(cluster.owns(1));
        assert_eq!(cluster.importing_from(2), Some(id));
        assert!(!cluster.claim(|slot| slot == 1 || slot == 2));
    }

    #[test]
    fn a_hard_reset_makes_another_node_of_it() {
        let mut cluster = Cluster::new();
        let before = cluster.me();
        cluster.assign(1, before);
        cluster.set_epoch(7);
        cluster.reset(false);
        assert_eq!((cluster.me(), cluster.myself().epoch, cluster.owner(1)), (before, 7, None));
        cluster.reset(true);
        assert_ne!(cluster.me(), before);
        assert_eq!((cluster.myself().epoch, cluster.current_epoch), (0, 0));
    }
}
