//! Replication: the history of changes that other servers follow, who follows it, and whom this server follows.
//!
//! A history has a name (the replication id) and an offset, the number of its bytes so far. On a primary the history is the
//! write stream, plus what only replicas are told (PING, REPLCONF GETACK). On a replica it is whatever its primary sends, byte
//! for byte: that goes to the backlog and to replicas of its own under the same name and the same offsets, and what the
//! replica itself changes never enters it. So any server of a tree can take the place of any other.
//!
//! - [`backlog`]: the latest part of the history.
//! - [`primary`]: the replicas of this server; [`payload`]: the data on their way to them.
//! - [`replica`]: the link of a replica to its primary; [`handshake`]: what is said before the data come.
//!
//! What touches sessions and the keyspace as well is in `world::replication` (changing sides), `commands::replication` (what
//! replicas ask) and `engine::replication` (what they are sent).

pub mod backlog;
pub mod failover;
pub mod handshake;
pub mod payload;
pub mod primary;
pub mod replica;

use crate::clock;
use crate::config::Config;
use crate::persist::rdb::save::Place;
use crate::stream::{Consumer, ConsumerId, WriteStream};
use crate::types::{ClientId, DbIndex};
use backlog::Backlog;
use failover::Failover;
use primary::{Replica, Stage};
use replica::Upstream;
use std::cell::{Ref, RefCell};
use std::rc::Rc;

/// One server's part in replication.
pub struct Replication {
    /// Names the history: 40 hexadecimal digits.
    pub id: String,
    /// The name under which the history was known before this server became a primary; 40 zeros if there is none.
    pub second_id: String,
    /// First byte, counted from 1, that is not in the history of that name; -1 if there is none.
    pub second_offset: i64,
    /// The primary that this server follows; none if it is one.
    pub upstream: Option<Box<Upstream>>,
    /// Who follows this server, in the order of arrival.
    pub replicas: Vec<Replica>,
    /// Since when there has been no replica; real time in milliseconds.
    pub alone_since: i64,
    /// Somebody waits for acknowledgements (WAIT): replicas are asked for them at the end of the turn.
    pub wants_acks: bool,
    /// There are too few good replicas for writes (`min-replicas-to-write`).
    pub lacking: bool,
    /// Some replica has not been handed everything.
    pub lags: bool,
    /// While replicas are being sent data without a file: how many have got all of them.
    pub transfer: Option<usize>,
    /// No PING, so that the offset stands still while another server takes over.
    pub quiet: bool,
    /// A data file was made for replicas.
    pub left_file: bool,
    /// Offset of the data file that is being written, if it was begun for replicas.
    pub save_offset: Option<u64>,
    /// When cron last came by, in real milliseconds, and how often it has.
    pub looked_at: i64,
    pub seconds: u64,
    /// This server hands its part over to a replica.
    pub failover: Option<Failover>,
    history: Rc<RefCell<Backlog>>,
    /// What brings the write stream to the history: on primaries, while there is a backlog.
    feed: Option<ConsumerId>,
}

/// No history at all.
pub const NO_ID: &str = "0000000000000000000000000000000000000000";

/// Brings the write stream to the history.
struct Feed(Rc<RefCell<Backlog>>);

impl Consumer for Feed {
    fn append(&mut self, bytes: &[u8], _end: u64) {
        self.0.borrow_mut().append(bytes);
    }
}

impl Default for Replication {
    fn default() -> Self {
        Replication {
            id: clock::random_id(),
            second_id: NO_ID.into(),
            second_offset: -1,
            upstream: None,
            replicas: Vec::new(),
            alone_since: 0,
            wants_acks: false,
            lacking: false,
            lags: false,
            transfer: None,
            quiet: false,
            left_file: false,
            save_offset: None,
            looked_at: 0,
            seconds: 0,
            failover: None,
            history: Rc::default(),
            feed: None,
        }
    }
}

impl Replication {
    /// True if this server follows another.
    pub fn is_replica(&self) -> bool {
        self.upstream.is_some()
    }

    /// True while what happens here is a history that others may follow.
    pub fn leads(&self) -> bool {
        self.feed.is_some()
    }

    /// True while this server hands its part over to a replica (FAILOVER).
    pub fn is_failing_over(&self) -> bool {
        self.failover.is_some()
    }

    /// The offset of the history: bytes handed out so far.
    pub fn offset(&self) -> u64 {
        self.history.borrow().end()
    }

    /// True while the write stream goes into the history.
    #[inline]
    pub fn is_fed(&self) -> bool {
        self.feed.is_some()
    }

    /// The offset behind everything that was written, handed out or not.
    pub fn end(&self, stream: &WriteStream) -> u64 {
        self.offset() + if self.feed.is_some() { stream.pending_len() } else { 0 }
    }

    /// The latest part of the history.
    pub fn backlog(&self) -> Ref<'_, Backlog> {
        self.history.borrow()
    }

    /// Starts to keep the history, if it is not kept already. `size` is `repl-backlog-size`.
    pub fn keep_history(&mut self, size: u64, stream: &mut WriteStream) {
        self.history.borrow_mut().activate(size);
        if !self.is_replica() && self.feed.is_none() {
            self.feed = Some(stream.attach(Box::new(Feed(self.history.clone()))));
        }
    }

    /// Frees the history. What happens from here on nobody follows, so it is another one, under another name.
    pub fn drop_history(&mut self, stream: &mut WriteStream) {
        self.detach(stream);
        self.history.borrow_mut().deactivate();
        self.id = clock::random_id();
        self.forget_second_id();
    }

    /// Bytes that are for replicas only, at a border of units: PING, REPLCONF GETACK.
    pub fn tell_replicas(&mut self, bytes: &[u8], stream: &mut WriteStream) {
        stream.flush();
        self.history.borrow_mut().append(bytes);
    }

    /// Bytes of the history that came from the primary.
    pub fn feed_raw(&mut self, bytes: &[u8]) {
        self.history.borrow_mut().append(bytes);
    }

    /// The server follows a primary from now on: what it writes itself does not enter the history any more.
    pub fn follow(&mut self, upstream: Box<Upstream>, stream: &mut WriteStream) {
        self.detach(stream);
        self.upstream = Some(upstream);
    }

    /// The server follows nobody any more. From here on the history is its own, under a name of its own; up to here
    /// it is also known under the old one.
    pub fn lead(&mut self, stream: &mut WriteStream) {
        self.upstream = None;
        self.second_id = std::mem::replace(&mut self.id, clock::random_id());
        self.second_offset = self.offset() as i64 + 1;
        if self.history.borrow().is_active() && self.feed.is_none() {
            self.feed = Some(stream.attach(Box::new(Feed(self.history.clone()))));
        }
    }

    /// The data are those of another history at this offset (after a full sync, or after a restart).
    pub fn adopt(&mut self, id: &str, offset: u64) {
        self.id = id.into();
        self.forget_second_id();
        self.history.borrow_mut().restart(offset);
    }

    /// The history that this server follows goes on under another name (+CONTINUE with an id).
    pub fn rename(&mut self, id: &str) {
        if self.id != id {
            self.second_id = std::mem::replace(&mut self.id, id.into());
            self.second_offset = self.offset() as i64 + 1;
        }
    }

    /// The history is no longer known under the name that it had on another primary.
    pub fn forget_second_id(&mut self) {
        self.second_id = NO_ID.into();
        self.second_offset = -1;
    }

    /// `repl-backlog-size` changed.
    pub fn set_backlog_size(&mut self, size: u64) {
        if self.backlog().is_active() {
            self.history.borrow_mut().set_limit(size);
        }
    }

    /// A replica, to be changed, and the history.
    pub fn replica_and_backlog(&mut self, at: usize) -> (&mut Replica, Ref<'_, Backlog>) {
        (&mut self.replicas[at], self.history.borrow())
    }

    /// The replica that this client is.
    pub fn replica_mut(&mut self, client: ClientId) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|replica| replica.client == client)
    }

    /// True if anybody follows.
    #[inline]
    pub fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// Sees to it that what replicas have yet to be sent is kept.
    pub fn settle_needs(&mut self) {
        let follows = |replica: &&Replica| !matches!(replica.stage, Stage::Waiting { .. } | Stage::Done);
        let needed = self.replicas.iter().filter(follows).map(|replica| replica.sent).min();
        self.history.borrow_mut().set_needed(needed);
    }

    /// Replicas that follow the history and told that they have it up to `offset`.
    pub fn acknowledged(&self, offset: u64) -> usize {
        self.replicas.iter().filter(|replica| replica.is_online() && replica.acked >= offset).count()
    }

    /// Replicas that told that their disk has the history up to `offset`.
    pub fn synced(&self, offset: u64) -> usize {
        self.replicas.iter().filter(|replica| replica.is_online() && replica.synced >= offset).count()
    }

    /// Replicas that are close enough (`min-replicas-max-lag`). `now` is real time in milliseconds.
    pub fn good_replicas(&self, config: &Config, now: i64) -> usize {
        let is_good = |replica: &&Replica| replica.is_online() && replica.lag_seconds(now) <= config.min_replicas_max_lag;
        self.replicas.iter().filter(is_good).count()
    }

    /// True if there are fewer good replicas than `min-replicas-to-write`.
    pub fn lacks_replicas(&self, config: &Config, now: i64) -> bool {
        let matters = config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0 && !self.is_replica();
        matters && (self.good_replicas(config, now) as i64) < config.min_replicas_to_write
    }

    /// If a full sync is due: whether by way of the data file.
    pub fn due_full_sync(&self, config: &Config, now: i64) -> Option<bool> {
        let (mut oldest, mut waiting) = (0, 0);
        for replica in &self.replicas {
            let Stage::Waiting { since } = replica.stage else { continue };
            if !replica.eof || !(config.repl_diskless_sync || replica.filter.is_some()) {
                return Some(true);
            }
            waiting += 1;
            oldest = oldest.max(now - since);
        }
        let max = config.repl_diskless_sync_max_replicas;
        let is_due = oldest >= config.repl_diskless_sync_delay * 1000 || (max > 0 && waiting >= max);
        (waiting > 0 && is_due).then_some(false)
    }

    /// Where in the history the data are, if they are of one that can be followed. Everything written must have been handed out.
    /// `selected` is the database that this server's own stream is in.
    pub fn place(&self, selected: DbIndex) -> Option<Place> {
        let db = match &self.upstream {
            Some(upstream) if upstream.may_continue || upstream.is_connected() => upstream.db,
            Some(_) => return None,
            None => selected,
        };
        self.backlog().is_active().then(|| Place { id: self.id.clone(), offset: self.offset(), db })
    }

    /// Whether a replica that has `offset` bytes of the history called `id` can go on from there; if not, why.
    pub fn can_continue(&self, id: &str, offset: u64) -> Result<(), String> {
        let is_mine = id.eq_ignore_ascii_case(&self.id);
        let was_mine = id.eq_ignore_ascii_case(&self.second_id) && (offset as i64) < self.second_offset;
        if !is_mine && !was_mine {
            return Err(if id.eq_ignore_ascii_case(&self.second_id) {
                format!(
                    "Requested offset for second ID was {}, but I can reply up to {}",
                    offset.wrapping_add(1),
                    self.second_offset
                )
            } else {
                format!(
                    "Replication ID mismatch (Replica asked for '{id}', my replication IDs are '{}' and '{}')",
                    self.id, self.second_id
                )
            });
        }
        let backlog = self.backlog();
        if !backlog.reaches(offset) {
            return Err(format!("lack of backlog (Replica request was: {})", offset.wrapping_add(1)));
        }
        Ok(())
    }

    fn detach(&mut self, stream: &mut WriteStream) {
        if let Some(feed) = self.feed.take() {
            stream.detach(feed);
        }
    }
}
