//! Changing sides, and the beginning and the end of what a replica is served.

use super::{Order, World};
use crate::clock::{self, Clock};
use crate::config::value::Master;
use crate::persist::snapshot::{self, Purpose};
use crate::replication::payload::{self, SocketSink};
use crate::replication::primary::{Replica, Stage};
use crate::replication::replica::Upstream;
use crate::session::Session;
use crate::session::follower::Filter;
use crate::types::ClientId;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tracing::{info, warn};

impl World {
    /// Follows a primary. Its own replicas are let go: they have to find out what becomes of the history. Connecting is up to the
    /// engine.
    pub fn become_replica_of(&mut self, host: &str, port: u16) {
        let mut upstream = Box::new(Upstream::new(host.to_owned(), port));
        match self.leave_upstream() {
            Some(old) => {
                upstream.may_continue = old.may_continue;
                upstream.db = old.db;
                upstream.down_since = old.down_since;
            }
            None => {
                info!(
                    "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able \
                     to synchronize with the new master with just a partial transfer."
                );
                upstream.may_continue = true;
            }
        }
        self.config.replicaof = Some(Master { host: host.to_owned(), port });
        self.tell_role();
        self.replication.follow(upstream, &mut self.stream);
        self.replication.keep_history(self.config.repl_backlog_size, &mut self.stream);
        self.drop_replicas();
        self.adopt_config();
        self.orders.push_back(Order::ChangeRole);
    }

    /// Ends the link to the primary. Returns how far this server got with it.
    fn leave_upstream(&mut self) -> Option<Box<Upstream>> {
        let upstream = self.replication.upstream.take()?;
        upstream.line.cut();
        if let Some(mut session) = upstream.client.and_then(|client| self.sessions.remove(client)) {
            self.let_go(&mut session);
        }
        Some(upstream)
    }

    /// Follows nobody any more. Replicas are let go, so that they hear of the new name of the history; they can go on where they
    /// are.
    pub fn become_primary(&mut self) {
        self.leave_upstream();
        self.config.replicaof = None;
        self.tell_role();
        self.replication.lead(&mut self.stream);
        // The history is kept for those who followed the old primary, and come now.
        self.replication.alone_since = Clock::Real.millis();
        self.drop_replicas();
        self.adopt_config();
        self.orders.push_back(Order::ChangeRole);
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

    /// Goes on with the history of the data file that was loaded when the server started, if it tells of one. What had expired by
    /// then was left out without a word to replicas, so then they need all data anew.
    pub fn resume_loaded_history(&mut self) {
        let loaded = self.persistence.loaded;
        if let Some((id, offset)) = loaded.history.place()
            && loaded.expired == 0
        {
            self.resume_history(id, offset);
        }
    }

    /// The data file that was loaded is of a history: it goes on where the file was made. A primary gives it a new name, and
    /// remembers the old one for replicas that come back.
    pub fn resume_history(&mut self, id: &str, offset: u64) {
        self.replication.adopt(id, offset);
        if self.replication.is_replica() || self.config.replicaof.is_some() {
            return;
        }
        self.replication.lead(&mut self.stream);
        self.replication.keep_history(self.config.repl_backlog_size, &mut self.stream);
        self.replication.alone_since = Clock::Real.millis();
        self.adopt_config();
    }

    /// Notes in the data file that is about to be written which history the data are of, and where in it they are.
    pub fn stamp_history(&mut self) {
        self.stream.flush();
        self.persistence.place.set(self.replication.place(self.stream.selected()));
    }

    /// As `stamp_history`, for data that replicas get: what follows names its database first, as the original has it.
    fn stamp_history_for_replicas(&mut self) {
        if !self.replication.is_replica() {
            self.stream.begin_part();
        }
        self.stamp_history();
    }

    /// Closes the connections of all replicas.
    pub fn drop_replicas(&mut self) {
        let clients: Vec<ClientId> = self.replication.replicas.iter().map(|replica| replica.client).collect();
        clients.into_iter().for_each(|client| self.disconnect_replica(client));
    }

    /// Closes the connection of a replica.
    pub fn disconnect_replica(&mut self, client: ClientId) {
        self.remove_replica(client);
        if let Some(session) = self.sessions.get_mut(client) {
            session.closing = true;
        }
        self.orders.push_back(Order::Disconnect { client, after_replies: false });
    }

    /// A client is a replica from now on. `place` is where in the history it goes on; without one it needs the data first.
    pub fn add_replica(&mut self, session: &mut Session, place: Option<u64>, plain: bool) {
        let now = Clock::Real.millis();
        let follower = session.follower.get_or_insert_default();
        follower.is_replica = true;
        let peer = session.peer.rsplit_once(':').map_or(&*session.peer, |(address, _)| address);
        let address = if follower.address.is_empty() { peer.to_owned() } else { follower.address.clone() };
        self.replication.replicas.push(Replica {
            client: session.id,
            address,
            port: follower.listening_port,
            stage: if place.is_some() { Stage::Online } else { Stage::Waiting { since: now } },
            sent: place.unwrap_or(0),
            acked: 0,
            synced: 0,
            acked_at: now,
            moved_at: now,
            plain,
            awaits_ack: false,
            eof: follower.eof,
            rdb_only: follower.rdb_only,
            filter: follower.filter,
        });
        self.replication.settle_needs();
        self.count_good_replicas();
    }

    /// Who is outside looks at the role, too.
    fn tell_role(&self) {
        if let Some(outside) = &self.outside {
            outside.role_changed(&self.config);
        }
    }

    /// A replica is gone.
    pub fn remove_replica(&mut self, client: ClientId) {
        let Some(at) = self.replication.replicas.iter().position(|replica| replica.client == client) else { return };
        let replica = self.replication.replicas.remove(at);
        info!("Connection with replica {} lost.", replica.name());
        self.settle_transfer();
        self.replication.alone_since = Clock::Real.millis();
        self.replication.settle_needs();
        self.count_good_replicas();
    }

    /// Tells the log when the last of the replicas that were sent data without a file has them, or is gone.
    pub fn settle_transfer(&mut self) {
        let receives = |replica: &Replica| replica.awaits_ack && matches!(replica.stage, Stage::Receiving(_));
        if self.replication.replicas.iter().any(receives) {
            return;
        }
        match self.replication.transfer.take() {
            Some(0) => warn!("Diskless rdb transfer, last replica dropped, killing fork child."),
            Some(done) => info!("Diskless rdb transfer, done reading from pipe, {done} replicas still up."),
            None => {}
        }
    }

    /// Looks anew at how many replicas are close enough for writes to be taken (`min-replicas-to-write`).
    pub fn count_good_replicas(&mut self) {
        let lacking = self.replication.lacks_replicas(&self.config, Clock::Real.millis());
        if self.replication.lacking != lacking {
            self.replication.lacking = lacking;
            self.review_restrictions();
        }
    }

    /// Starts a full sync for replicas that have waited long enough, unless something else is being written.
    pub fn start_full_sync_if_due(&mut self) {
        let now = Clock::Real.millis();
        if let Some(by_file) = self.replication.due_full_sync(&self.config, now)
            && !self.persistence.is_busy()
            && !self.persistence.is_loading()
        {
            self.start_full_sync(by_file);
        }
    }

    /// Starts a full sync for all replicas that wait.
    fn start_full_sync(&mut self, by_file: bool) {
        let target = if by_file { "disk" } else { "replicas sockets" };
        info!("Starting BGSAVE for SYNC with target: {target}");
        let started = if by_file {
            self.stamp_history_for_replicas();
            self.persistence.save_in_background(&mut self.keyspace, &self.config)
        } else {
            self.start_socket_sync()
        };
        if let Err(error) = started {
            warn!("BGSAVE for replication failed: {error}");
            let waiting = |replica: &&Replica| matches!(replica.stage, Stage::Waiting { .. });
            let clients: Vec<_> = self.replication.replicas.iter().filter(waiting).map(|replica| replica.client).collect();
            clients.into_iter().for_each(|client| self.disconnect_replica(client));
            return;
        }
        if by_file {
            self.replication.left_file = true;
            self.replication.save_offset = Some(self.replication.offset());
            self.attach_to_save();
        }
        self.review_restrictions();
    }

    /// Lets replicas that wait have the data file that is being written for others.
    pub fn attach_to_save(&mut self) {
        let Some(offset) = self.replication.save_offset else { return };
        for at in 0..self.replication.replicas.len() {
            let replica = &mut self.replication.replicas[at];
            if matches!(replica.stage, Stage::Waiting { .. }) && replica.filter.is_none() {
                replica.stage = Stage::Saving;
                self.greet(at, offset);
            }
        }
        self.replication.settle_needs();
    }

    /// Starts a snapshot into the connections of the replicas that wait.
    fn start_socket_sync(&mut self) -> std::io::Result<()> {
        self.stamp_history_for_replicas();
        let offset = self.replication.offset();
        let replicas = &self.replication.replicas;
        let waiting = |at: &usize| matches!(replicas[*at].stage, Stage::Waiting { .. }) && replicas[*at].eof;
        let (filtered, whole): (Vec<usize>, Vec<usize>) =
            (0..replicas.len()).filter(waiting).partition(|&at| replicas[at].filter.is_some());
        // The stamp is for one file: all data come before parts of them.
        if !whole.is_empty() {
            self.start_transfer(whole, offset)?;
        }
        for at in filtered {
            let data = self.filtered_data(self.replication.replicas[at].filter);
            self.replication.replicas[at].stage = Stage::Receiving(data?);
            self.greet(at, offset);
        }
        self.replication.settle_needs();
        Ok(())
    }

    /// Starts a snapshot of all data into the connections of these replicas.
    fn start_transfer(&mut self, replicas: Vec<usize>, offset: u64) -> std::io::Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let folder = Path::new(&self.config.dir).to_owned();
        let (sink, payloads) = SocketSink::new(replicas.len(), clock::random_id(), folder, stop.clone());
        let options = self.persistence.options(&self.keyspace, &self.config, false);
        let delay = self.config.rdb_key_save_delay;
        let mut snapshot = snapshot::start(&mut self.keyspace, Purpose::FullSync, options, delay, Box::new(sink))?;
        snapshot.stop = Some(stop);
        self.persistence.snapshot = Some(snapshot);
        info!("Background RDB transfer started by pid {}", std::process::id());
        self.replication.transfer.get_or_insert(0);
        let now = Clock::Real.millis();
        for (at, payload) in replicas.into_iter().zip(payloads) {
            let replica = &mut self.replication.replicas[at];
            replica.stage = Stage::Receiving(payload);
            replica.awaits_ack = true;
            replica.moved_at = now;
            self.greet(at, offset);
        }
        Ok(())
    }

    /// A file with the part of the data that a filter lets pass.
    fn filtered_data(&self, filter: Option<Filter>) -> std::io::Result<payload::Payload> {
        let mut options = self.persistence.options(&self.keyspace, &self.config, false);
        if filter != Some(Filter::Functions) {
            options.functions = Arc::default();
        }
        let mark = clock::random_id();
        let mut data = format!("$EOF:{mark}\r\n").into_bytes();
        data.extend_from_slice(&crate::persist::rdb::save::head_only(options)?);
        data.extend_from_slice(mark.as_bytes());
        Ok(payload::of_bytes(data))
    }

    /// Tells a replica which history it is about to get the data of, at which offset.
    fn greet(&mut self, at: usize, offset: u64) {
        let replica = &mut self.replication.replicas[at];
        replica.sent = offset;
        if replica.plain {
            return;
        }
        let client = replica.client;
        let greeting = format!("+FULLRESYNC {} {offset}\r\n", self.replication.id);
        if let Some(session) = self.sessions.get_mut(client) {
            session.out.bytes.extend_from_slice(greeting.as_bytes());
        }
        self.sessions.queue_send(client);
    }

    /// A data file is written, or could not be: replicas that wait for it get it, or are let go.
    pub fn data_file_saved(&mut self, is_saved: bool) {
        self.replication.save_offset = None;
        let path = Path::new(&self.config.dir).join(&*self.config.dbfilename);
        let now = Clock::Real.millis();
        let mut lost = Vec::new();
        for replica in self.replication.replicas.iter_mut().filter(|replica| matches!(replica.stage, Stage::Saving)) {
            match is_saved.then(|| payload::of_file(&path)) {
                Some(Ok(payload)) => {
                    replica.stage = Stage::Receiving(payload);
                    replica.moved_at = now;
                }
                Some(Err(error)) => {
                    warn!("SYNC failed. Can't open or read the data file after saving it: {error}");
                    lost.push(replica.client);
                }
                None => {
                    warn!("SYNC failed. The data could not be saved.");
                    lost.push(replica.client);
                }
            }
        }
        lost.into_iter().for_each(|client| self.disconnect_replica(client));
        self.replication.lags = true;
    }
}
