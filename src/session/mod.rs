//! One client's state on the engine's side: who it is, which database it uses, what it is in the middle of, and the replies
//! that wait to be sent. Sockets and request buffers live in `net/`; a session reaches its socket through a `Link`.

pub mod blocked;
pub mod follower;
pub mod link;
pub mod message;
pub mod multi;
pub mod pause;
pub mod pubsub;
pub mod registry;
mod sharded;
pub mod tracking;
pub mod watch;

use crate::acl::User;
use crate::resp::reply::Output;
use crate::types::{ClientId, DbIndex, UnixMillis};
pub use blocked::Blocked;
pub use link::{Gauge, Link, LinkBuffers};
pub use message::Message;
pub use multi::Transaction;
pub use pause::Pause;
pub use pubsub::{PubSub, Subscriptions, Topic};
pub use registry::Registry;
use std::rc::Rc;
pub use tracking::Tracking;
pub use watch::Watch;

/// Whether a client wants to hear replies (CLIENT REPLY).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// Not the reply to this command, which asked for it.
    SkipThisAndNext,
    SkipNext,
}

/// Whether a client's scripts are debugged (SCRIPT DEBUG).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Debugging {
    #[default]
    No,
    Sync,
    /// It asked for sessions that leave no trace. There are none, and its scripts must not run in their stead.
    Refused,
}

/// How a client got here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    #[default]
    Tcp,
    Unix,
    Tls,
    /// No socket: a test, AOF replay, a script.
    Internal,
}

/// A client.
#[derive(Default)]
pub struct Session {
    pub id: ClientId,
    /// Place in the registry.
    pub slot: usize,
    pub db: DbIndex,
    pub resp3: bool,
    pub authenticated: bool,
    /// Requests must be judged one by one: the client is not logged in, or its user may not do everything. See `World::settle`.
    pub guarded: bool,
    pub no_evict: bool,
    pub no_touch: bool,
    /// Closed when its replies are sent; no further request is executed.
    pub closing: bool,
    /// Waits for keys.
    pub blocked: bool,
    /// The primary that this server follows: what it sends is executed as it comes.
    pub is_primary: bool,
    /// Waits in the registry's list of sessions with something to send.
    pub send_queued: bool,
    pub origin: Origin,
    /// Nobody in particular for sessions of the server's own, which may do everything.
    pub user: Option<Rc<User>>,
    pub reply_mode: ReplyMode,
    pub debugging: Debugging,
    pub name: Box<[u8]>,
    pub lib_name: Box<[u8]>,
    pub lib_version: Box<[u8]>,
    /// `address:port` of the client and of our end; the socket's path for a Unix socket.
    pub peer: Box<str>,
    pub local: Box<str>,
    pub fd: i32,
    /// The thread that has the socket; 0 is the engine's own.
    pub io_thread: u16,
    /// Unix time in milliseconds by the real clock.
    pub connected_at: i64,
    pub active_at: i64,
    /// Position of the last command in the table.
    pub last_command: Option<u16>,
    pub out: Output,
    pub link: Option<Box<dyn Link>>,
    pub commands: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Between MULTI and EXEC.
    pub transaction: Option<Box<Transaction>>,
    /// There is one while keys are watched.
    pub watch: Option<Box<Watch>>,
    /// How far a request came that is run bit by bit.
    pub progress: Progress,
    /// There are some while the client listens to anything.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Takes part in client-side caching; how, `Tracking` knows.
    pub tracking: bool,
    /// Its next request may use a slot that is being imported (ASKING).
    pub asking: bool,
    /// Reads from a replica of a cluster's node (READONLY).
    pub reads_replica: bool,
    /// Is shown every command (MONITOR).
    pub monitor: bool,
    /// Bytes of memory of the requests that run at the moment.
    pub lent_bytes: usize,
    /// Bytes of memory that the registry has counted for this client.
    pub counted_bytes: usize,
    /// Offset in the write stream behind the last write of this client.
    pub wrote_to: u64,
    /// The same in the history that replicas follow.
    pub replicated_to: u64,
    /// What the client told of itself as a replica.
    pub follower: Option<Box<follower::Follower>>,
    /// Its replies tell of the data (noted while replies wait for the disk).
    pub told_data: bool,
    /// Waits for its writes to be safe (WAIT, WAITAOF).
    pub awaits: Option<Awaits>,
    /// When the soft limit of the output buffer was first exceeded, in milliseconds; 0 if it is not.
    pub over_soft_limit_since: i64,
}

/// How far a request came that is run bit by bit, so that others have their turn meanwhile.
#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// How much of it is done, in the handler's own terms; 0 if no request is in the middle.
    pub done: usize,
    /// How long that took.
    pub nanos: u64,
}

/// What WAIT and WAITAOF wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Awaits {
    /// Offset in the write stream.
    pub offset: u64,
    /// Offset in the history that replicas follow.
    pub replicated: u64,
    pub deadline: Option<UnixMillis>,
    /// Replicas were asked how far they are.
    pub asked: bool,
}

impl Session {
    /// True while requests of this client do not simply run: inside MULTI they are queued, a subscriber may not send all, the
    /// keys that a tracking client reads are noted, a replica may ask for nothing.
    #[inline]
    pub fn is_special(&self) -> bool {
        self.transaction.is_some() | self.subscriptions.is_some() | self.tracking | self.follower.is_some()
    }

    /// True for a client that is a replica.
    pub fn is_replica(&self) -> bool {
        self.follower.as_ref().is_some_and(|follower| follower.is_replica)
    }

    /// How many things of a kind the client listens to.
    pub fn subscribed(&self, topic: Topic) -> usize {
        self.subscriptions.as_ref().map_or(0, |mine| mine.count(topic))
    }

    /// Bytes of memory that its transaction and its watch hold.
    pub fn multi_bytes(&self) -> usize {
        let queue = self.transaction.as_ref().map_or(0, |transaction| transaction.memory_bytes());
        queue + self.watch.as_ref().map_or(0, |watch| watch.memory_bytes())
    }

    /// Bytes of memory that the session holds, its connection's buffers included.
    pub fn memory_bytes(&self) -> usize {
        let link = self.link.as_ref().map_or(0, |link| link.buffers().memory);
        let subscriptions = self.subscriptions.as_ref().map_or(0, |mine| mine.memory_bytes());
        let names = self.name.len() + self.lib_name.len();
        let out = self.out.bytes.capacity() + self.out.len() - self.out.bytes.len();
        size_of::<Session>() + out + names + self.multi_bytes() + subscriptions + link + self.lent_bytes
    }

    /// The name of the user.
    pub fn user_name(&self) -> &[u8] {
        self.user.as_ref().map_or(b"(superuser)", |user| &user.name)
    }

    /// Returns to the state of a new connection (RESET), but for the connection itself and its user.
    pub fn reset(&mut self) {
        self.db = DbIndex(0);
        self.resp3 = false;
        self.name = Box::default();
        self.reply_mode = ReplyMode::On;
        self.debugging = Debugging::No;
        self.no_touch = false;
        self.no_evict = false;
        (self.asking, self.reads_replica) = (false, false);
        self.awaits = None;
    }
}
