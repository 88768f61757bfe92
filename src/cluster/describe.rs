//! The texts in which the cluster is shown: CLUSTER NODES, CLUSTER INFO, and the lines of nodes.conf, which are the former with
//! some more.

use super::{Cluster, Node, NodeFlags};
use crate::ds::algo::hash_slot::SLOTS;
use std::fmt::Write;

/// For whom a node is described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// A client, which speaks TLS or does not.
    Client { tls: bool },
    /// The file, which keeps what is not shown to clients as well.
    File,
}

impl Cluster {
    /// All nodes, a line each. Those in a handshake have no name worth keeping.
    pub fn describe_all(&self, reader: Reader) -> String {
        let mut text = String::new();
        let keeps = |node: &&Node| matches!(reader, Reader::Client { .. }) || !node.flags.has(NodeFlags::HANDSHAKE);
        for node in self.nodes().filter(keeps) {
            text.push_str(&self.describe(node, reader));
            text.push('\n');
        }
        text
    }

    /// One node.
    pub fn describe(&self, node: &Node, reader: Reader) -> String {
        let tls = reader == Reader::Client { tls: true };
        let mut text = format!("{} {}:{}@{}", node.id, node.ip, node.client_port(tls), node.bus_port);
        if !node.hostname.is_empty() {
            let _ = write!(text, ",{}", node.hostname);
        }
        if reader == Reader::File {
            if node.hostname.is_empty() {
                text.push(',');
            }
            let _ = write!(text, ",tls-port={}", node.tls_port);
            if !node.nodename.is_empty() {
                let _ = write!(text, ",nodename={}", node.nodename);
            }
            let _ = write!(text, ",shard-id={}", node.shard);
        }
        let primary = node.primary.and_then(|primary| self.node(primary));
        let link = if node.link.is_some() || node.id == self.me() { "connected" } else { "disconnected" };
        let _ = write!(
            text,
            " {} {} {} {} {} {link}",
            node.flags.text(),
            primary.map_or("-", |primary| primary.id.as_str()),
            node.ping_sent,
            node.pong_received,
            primary.unwrap_or(node).epoch
        );
        for (first, last) in node.slots.ranges() {
            let _ = if first == last { write!(text, " {first}") } else { write!(text, " {first}-{last}") };
        }
        if node.id == self.me() {
            for slot in 0..SLOTS {
                if let Some(to) = self.migrating_to(slot) {
                    let _ = write!(text, " [{slot}->-{to}]");
                } else if let Some(from) = self.importing_from(slot) {
                    let _ = write!(text, " [{slot}-<-{from}]");
                }
            }
        }
        text
    }

    /// What CLUSTER INFO tells.
    pub fn info(&self) -> String {
        let (mut assigned, mut ok, mut maybe_failed, mut failed) = (0, 0, 0, 0);
        for owner in (0..SLOTS).filter_map(|slot| self.owner(slot)).filter_map(|owner| self.node(owner)) {
            assigned += 1;
            match owner.flags {
                flags if flags.has(NodeFlags::FAILED) => failed += 1,
                flags if flags.has(NodeFlags::MAYBE_FAILED) => maybe_failed += 1,
                _ => ok += 1,
            }
        }
        let state = if self.is_healthy() { "ok" } else { "fail" };
        let messages = |sent: bool, word: &str| {
            let mut text = String::new();
            let mut all = 0;
            for (name, count) in self.messages(sent) {
                let _ = write!(text, "cluster_stats_messages_{name}_{word}:{count}\r\n");
                all += count;
            }
            let _ = write!(text, "cluster_stats_messages_{word}:{all}\r\n");
            text
        };
        let (sent, received, cut) = (messages(true, "sent"), messages(false, "received"), self.links_cut());
        format!(
            "cluster_state:{state}\r\ncluster_slots_assigned:{assigned}\r\ncluster_slots_ok:{ok}\r\n\
             cluster_slots_pfail:{maybe_failed}\r\ncluster_slots_fail:{failed}\r\ncluster_known_nodes:{}\r\n\
             cluster_size:{}\r\ncluster_current_epoch:{}\r\ncluster_my_epoch:{}\r\n{sent}{received}\
             total_cluster_links_buffer_limit_exceeded:{cut}\r\n",
            self.node_count(),
            self.size(),
            self.current_epoch,
            self.my_epoch(),
        )
    }
}
