//! A node of the cluster as this node knows it.

use super::bus::LinkId;
use super::slot_set::SlotSet;
use crate::types::UnixMillis;
use std::collections::BTreeMap;

/// Length of a node's name.
pub const NAME_LEN: usize = 40;

/// A node's name, or a shard's: forty letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; NAME_LEN]);

impl NodeId {
    /// A name that no other node has.
    pub fn random() -> Self {
        Self::parse(crate::clock::random_id().as_bytes()).unwrap_or(NodeId([b'0'; NAME_LEN]))
    }

    /// A name as clients, files and other nodes write it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        text.try_into().ok().filter(|_| fits).map(NodeId)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8; NAME_LEN] {
        &self.0
    }
}

impl std::fmt::Debug for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a node is, as bits of the bus protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeFlags(pub u16);

impl NodeFlags {
    pub const PRIMARY: u16 = 1 << 0;
    pub const REPLICA: u16 = 1 << 1;
    /// This node has not heard of it for longer than the timeout.
    pub const MAYBE_FAILED: u16 = 1 << 2;
    /// Most primaries agree that it failed.
    pub const FAILED: u16 = 1 << 3;
    pub const MYSELF: u16 = 1 << 4;
    /// Its name is not known yet.
    pub const HANDSHAKE: u16 = 1 << 5;
    pub const NO_ADDRESS: u16 = 1 << 6;
    /// The first message to it is to be MEET.
    pub const MEET: u16 = 1 << 7;
    /// It is worth joining when it has no replica: it had one, took the place of a primary, or got its first slot while others had
    /// replicas.
    pub const MIGRATE_TO: u16 = 1 << 8;
    pub const NO_FAILOVER: u16 = 1 << 9;
    /// It understands extensions.
    pub const EXTENSIONS: u16 = 1 << 10;

    /// The names that CLUSTER NODES and nodes.conf show, in their order.
    const NAMES: [(u16, &'static str); 8] = [
        (Self::MYSELF, "myself"),
        (Self::PRIMARY, "master"),
        (Self::REPLICA, "slave"),
        (Self::MAYBE_FAILED, "fail?"),
        (Self::FAILED, "fail"),
        (Self::HANDSHAKE, "handshake"),
        (Self::NO_ADDRESS, "noaddr"),
        (Self::NO_FAILOVER, "nofailover"),
    ];

    /// True if any of these bits is set.
    #[inline]
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    pub fn set(&mut self, bits: u16) {
        self.0 |= bits;
    }

    pub fn clear(&mut self, bits: u16) {
        self.0 &= !bits;
    }

    /// The bit of a name; `noflags` is none.
    pub fn named(name: &str) -> Option<u16> {
        if name == "noflags" {
            return Some(0);
        }
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(bit, _)| *bit)
    }

    /// The names, joined by commas.
    pub fn text(self) -> String {
        let names: Vec<&str> = Self::NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect();
        if names.is_empty() { "noflags".to_owned() } else { names.join(",") }
    }
}

/// A node.
#[derive(Clone)]
pub struct Node {
    pub id: NodeId,
    /// The primary and its replicas share it.
    pub shard: NodeId,
    pub flags: NodeFlags,
    /// Empty until somebody told.
    pub ip: String,
    /// Ports for clients, plain and TLS; 0 if there is none.
    pub port: u16,
    pub tls_port: u16,
    pub bus_port: u16,
    pub hostname: String,
    /// For people: shown in the log only.
    pub nodename: String,
    pub epoch: u64,
    pub slots: SlotSet,
    pub primary: Option<NodeId>,
    /// When a ping that was not answered yet was sent; 0 if there is none. And when the last answer came.
    pub ping_sent: UnixMillis,
    pub pong_received: UnixMillis,
    /// The connection to it, and the one that it made.
    pub link: Option<LinkId>,
    pub inbound: Option<LinkId>,
    pub replication_offset: i64,
    /// When this node heard of it, when anything came from it, when it failed, and when a replica of it got this node's vote.
    pub known_since: UnixMillis,
    pub data_received: UnixMillis,
    pub failed_at: UnixMillis,
    pub voted_at: UnixMillis,
    /// The primaries that say it does not answer, and when they last said so.
    pub reports: BTreeMap<NodeId, UnixMillis>,
}

impl Node {
    /// A node of which nothing but its name is known.
    pub fn new(id: NodeId, flags: u16) -> Self {
        Node {
            id,
            shard: NodeId::random(),
            flags: NodeFlags(flags),
            ip: String::new(),
            port: 0,
            tls_port: 0,
            bus_port: 0,
            hostname: String::new(),
            nodename: String::new(),
            epoch: 0,
            slots: SlotSet::default(),
            primary: None,
            ping_sent: 0,
            pong_received: 0,
            link: None,
            inbound: None,
            replication_offset: 0,
            known_since: 0,
            data_received: 0,
            failed_at: 0,
            voted_at: 0,
            reports: BTreeMap::new(),
        }
    }

    pub fn is_primary(&self) -> bool {
        self.flags.has(NodeFlags::PRIMARY)
    }

    pub fn is_replica(&self) -> bool {
        self.flags.has(NodeFlags::REPLICA)
    }

    /// The port for clients that speak TLS, or for those that do not.
    pub fn client_port(&self, tls: bool) -> u16 {
        if tls { self.tls_port } else { self.port }
    }
}
