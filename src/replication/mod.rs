//! Replication: the history of changes that other servers follow, who follows it, and whom this server follows.
//!
//! A history has a name (the replication id) and an offset, the number of its bytes so far. On a primary the history is the
//! write stream, plus what only replicas are told (PING, REPLCONF GETACK). On a replica it is whatever its primary sends, byte
//! for byte: that goes to the backlog and to replicas of its own under the same name and the same offsets, and what the
//! replica itself changes never enters it. So any server of a tree can take the place of any other.
//!
//! - [`backlog`]: the latest part of the history.
//! - [`replica`]: the link of a replica to its primary.
//!
//! What touches sessions and the keyspace as well is in `world::replication` (changing sides), `commands::replication` (what
//! replicas ask) and `engine::replication` (what they are sent).

pub mod backlog;
pub mod replica;

use crate::clock;
use crate::stream::{Consumer, ConsumerId, WriteStream};
use backlog::Backlog;
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

    /// The offset of the history: bytes handed out so far.
    pub fn offset(&self) -> u64 {
        self.history.borrow().end()
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

    fn detach(&mut self, stream: &mut WriteStream) {
        if let Some(feed) = self.feed.take() {
            stream.detach(feed);
        }
    }
}
