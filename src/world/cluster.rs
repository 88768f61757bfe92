//! The world as a node of a cluster: the view is opened at the start and saved when it has changed, and clients are told when a
//! slot is not served here any more.

use super::{Order, World};
use crate::cluster::{self, Broken, Cluster, NodeId};
use crate::command::error::{self, CommandError};
use crate::ds::algo::hash_slot;
use crate::resp::reply::ReplyWriter;
use crate::session::{Message, Origin, Session, Topic};

impl World {
    /// Opens the node's view of its cluster, if the server is to be a node, and keeps account of the keys of each slot. To be
    /// called before anything is loaded.
    ///
    /// # Errors
    /// The file of the view cannot be used, or the ports leave no room for the bus.
    pub fn join_cluster(&mut self) -> Result<(), String> {
        if !self.config.cluster_enabled {
            return Ok(());
        }
        if cluster::bus_port(&self.config).is_none() {
            return Err(
                "Redis port number too high for cluster mode. It has to be below 55536, or cluster-port is to be set.".into()
            );
        }
        let path = self.config.path(&self.config.cluster_config_file);
        let cluster = Cluster::open(&path).map_err(|broken: Broken| broken.to_string())?;
        self.become_node(cluster);
        self.save_cluster().map_err(|error| format!("Cannot write {}: {error}", path.display()))
    }

    /// Makes this server a node with this view, without a file.
    pub fn become_node(&mut self, cluster: Cluster) {
        self.cluster = Some(Box::new(cluster));
        self.keyspace.index_slots();
        self.adopt_cluster_config();
        self.review_restrictions();
    }

    /// Tells the node of what the configuration says about it.
    pub(super) fn adopt_cluster_config(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        if cluster.adopt_config(&self.config) {
            // A failure is in the log.
            let _ = self.save_cluster();
        }
        self.review_cluster();
    }

    /// Takes responsibility for the slots of keys that were loaded, where nobody has it.
    pub fn claim_slots(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        let keyspace = &self.keyspace;
        if cluster.claim(|slot| keyspace.keys_in_slot(slot) > 0) {
            self.cluster_changed();
        } else {
            self.review_cluster();
        }
    }

    /// Keeps what has just changed in the node's view, and sees what follows from it.
    pub fn cluster_changed(&mut self) {
        // A failure is in the log, and the file is written again with the next change.
        let _ = self.save_cluster();
        self.review_cluster();
        self.redirect_waiting();
    }

    /// Looks at the cluster's health.
    pub fn review_cluster(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.review_health(self.keyspace.env.now(), &self.config);
        }
    }

    /// What a node does from time to time.
    pub fn look_after_cluster(&mut self) {
        if self.cluster.as_ref().is_some_and(|cluster| cluster.node_count() > 1 || !cluster.is_healthy()) {
            self.review_cluster();
        }
    }

    /// Lets this server follow whom the view says that it follows.
    pub fn settle_cluster_role(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        if cluster.myself().is_primary() {
            if self.replication.is_replica() {
                self.become_primary();
            }
            return;
        }
        let Some((ip, port)) = cluster.primary_address(self.config.tls_replication) else { return };
        let follows = self.replication.upstream.as_ref().is_some_and(|upstream| upstream.host == ip && upstream.port == port);
        if !follows {
            let ip = ip.to_owned();
            self.become_replica_of(&ip, port);
        }
    }

    /// Writes the node's view to its file.
    ///
    /// # Errors
    /// The system's.
    pub fn save_cluster(&mut self) -> std::io::Result<()> {
        self.cluster.as_mut().map_or(Ok(()), |cluster| cluster.save())
    }

    /// Ends the subscriptions to the shard channels of these slots. `running` is the client whose request does that.
    pub fn end_shard_channels(&mut self, running: &mut Session, gone: impl Fn(u16) -> bool) {
        let names: Vec<Box<[u8]>> = self.pubsub.names(Topic::Shard).map(|(name, _)| name.into()).collect();
        for name in names.iter().filter(|name| gone(hash_slot::of_key(name))) {
            for client in self.pubsub.listeners(Topic::Shard, name) {
                let session = if running.id == client { Some(&mut *running) } else { self.sessions.get_mut(client) };
                let Some(session) = session else { continue };
                self.pubsub.unsubscribe(session, Topic::Shard, name);
                let left = session.subscribed(Topic::Shard);
                let place = session.slot;
                let write = |reply: &mut ReplyWriter<'_>| {
                    reply.push(3);
                    reply.bulk(b"sunsubscribe");
                    reply.bulk(name);
                    reply.count(left);
                };
                self.sessions.deliver(client, place, &mut Message::new(&write));
            }
        }
    }

    /// The error that sends a client to another node.
    pub fn redirection(&self, session: &Session, word: &str, slot: u16, to: NodeId) -> CommandError {
        let Some((cluster, node)) = self.cluster.as_ref().and_then(|cluster| Some((cluster, cluster.node(to)?))) else {
            return error::SLOT_NOT_SERVED;
        };
        let endpoint = cluster.endpoint(node, self.config.cluster_preferred_endpoint_type).unwrap_or_default();
        let port = node.client_port(self.speaks_tls(session));
        CommandError::text(format!("{word} {slot} {endpoint}:{port}"))
    }

    /// Whether a client is to be told ports for TLS.
    pub fn speaks_tls(&self, session: &Session) -> bool {
        match session.origin {
            Origin::Tls => true,
            Origin::Internal => self.config.tls_cluster,
            Origin::Tcp | Origin::Unix => false,
        }
    }

    /// Sends clients away that wait for keys which are not served here any more.
    pub fn redirect_waiting(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        for client in self.blocked.clients() {
            let Some(key) = self.blocked.keys_of(client).next() else { continue };
            let Some(session) = self.sessions.get(client) else { continue };
            let slot = hash_slot::of_key(key);
            let refusal = match cluster.owner(slot) {
                _ if !cluster.is_healthy() => error::CLUSTER_DOWN,
                Some(owner) if owner == cluster.me() || self.may_read_here(session, owner) => continue,
                _ if cluster.importing_from(slot).is_some() => continue,
                Some(owner) => self.redirection(session, "MOVED", slot, owner),
                None => error::SLOT_NOT_SERVED,
            };
            self.orders.push_back(Order::Refuse { client, error: refusal });
        }
    }

    /// True if this node is a replica of a slot's owner and the client is content with that.
    pub fn may_read_here(&self, session: &Session, owner: NodeId) -> bool {
        session.reads_replica && self.cluster.as_ref().is_some_and(|cluster| cluster.myself().primary == Some(owner))
    }
}
