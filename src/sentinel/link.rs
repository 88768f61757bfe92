//! The links to instances, as the state sees them: which connections there are, what was asked over them, and when the other
//! side was last heard of. Sentinels that watch several primaries together share one link.

use super::instance::InstanceId;
use std::collections::VecDeque;

/// Names a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub(super) u64);

/// Names a connection; never given twice, so that news of one that was given up is known as such.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub(super) u64);

/// What to do with a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Nothing: what was asked for shows elsewhere.
    Anything,
    Pong,
    Info,
    /// Of the hello.
    Published,
    /// Of SENTINEL IS-MASTER-DOWN-BY-ADDR.
    Verdict,
}

/// A connection from its first attempt on.
#[derive(Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub since: i64,
    /// What was asked and not answered, in order, and for whom.
    pub pending: VecDeque<(InstanceId, Expected)>,
    /// Our own address there, once it is established.
    pub here: Option<String>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, since: i64) -> Self {
        Connection { id, since, pending: VecDeque::new(), here: None }
    }
}

/// A link. Times are in milliseconds; 0 stands for never.
#[derive(Debug)]
pub struct Link {
    /// Instances that use it.
    pub users: usize,
    /// A connection is missing.
    pub disconnected: bool,
    pub commands: Option<Connection>,
    /// Listens to hellos; sentinels have none.
    pub hellos: Option<Connection>,
    pub hello_heard_at: i64,
    /// When a PING last had an answer of an instance that is well.
    pub good_pong_at: i64,
    /// When the first PING was sent that has had no such answer; 0 if none is out.
    pub unanswered_since: i64,
    pub ping_sent_at: i64,
    /// When a PING last had any answer.
    pub pong_at: i64,
    pub tried_at: i64,
}

impl Link {
    /// A link without connections. A ping counts as sent, so that an instance that is never reached is down some time.
    pub(super) fn new(now: i64) -> Self {
        Link {
            users: 1,
            disconnected: true,
            commands: None,
            hellos: None,
            hello_heard_at: 0,
            good_pong_at: now,
            unanswered_since: now,
            ping_sent_at: 0,
            pong_at: now,
            tried_at: 0,
        }
    }

    /// Requests without a reply.
    pub fn pending(&self) -> usize {
        let pending = |connection: &Option<Connection>| connection.as_ref().map_or(0, |c| c.pending.len());
        pending(&self.commands) + pending(&self.hellos)
    }

    /// Starts the account of pings anew.
    pub(super) fn forget_pings(&mut self, now: i64) {
        (self.unanswered_since, self.ping_sent_at, self.good_pong_at, self.pong_at) = (now, 0, now, now);
    }
}
