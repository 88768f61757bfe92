//! One client's state on the engine's side: who it is, which database it uses, what it is in the middle of, and the replies
//! that wait to be sent. Sockets and request buffers live in `net/`; a session reaches its socket through a `Link`.

pub mod blocked;
pub mod message;
pub mod multi;
pub mod pause;
pub mod pubsub;
pub mod registry;
pub mod watch;

use crate::acl::User;
use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use crate::types::{ClientId, DbIndex};
pub use blocked::Blocked;
pub use message::Message;
pub use multi::Transaction;
pub use pause::Pause;
pub use pubsub::{PubSub, Subscriptions, Topic};
pub use registry::Registry;
use std::rc::Rc;
pub use watch::Watch;

/// The way from a session to its connection.
pub trait Link {
    /// Sends what is in `out`, or as much as the socket takes now; the connection keeps the rest. Clears `out`.
    fn send(&self, out: &mut Output);
    /// Closes the connection once everything sent so far has left.
    fn close_after_send(&self);
    /// Closes the connection at once.
    fn close_now(&self);
    /// Limits on what is read from here on (they are smaller before AUTH).
    fn set_limits(&self, limits: Limits);
    /// What the connection holds.
    fn buffers(&self) -> LinkBuffers;
}

/// Sizes of a connection's buffers, for CLIENT LIST and for limits.
#[derive(Default, Clone, Copy)]
pub struct LinkBuffers {
    /// Bytes of requests read and not yet executed.
    pub query: usize,
    /// Free room in the request buffer.
    pub query_free: usize,
    /// Bytes of replies that the socket has not taken yet.
    pub unsent: usize,
    /// Bytes of memory held by the connection.
    pub memory: usize,
}

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
    /// Waits in the registry's list of sessions with something to send.
    pub send_queued: bool,
    pub origin: Origin,
    /// Nobody in particular for sessions of the server's own, which may do everything.
    pub user: Option<Rc<User>>,
    pub reply_mode: ReplyMode,
    pub name: Box<[u8]>,
    pub lib_name: Box<[u8]>,
    pub lib_version: Box<[u8]>,
    /// `address:port` of the client and of our end; the socket's path for a Unix socket.
    pub peer: Box<str>,
    pub local: Box<str>,
    pub fd: i32,
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
    /// There are some while the client listens to anything.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Is shown every command (MONITOR).
    pub monitor: bool,
    /// When the soft limit of the output buffer was first exceeded, in milliseconds; 0 if it is not.
    pub over_soft_limit_since: i64,
}

impl Session {
    /// The flags of CLIENT LIST.
    pub fn flag_letters(&self) -> String {
        let mut letters = String::new();
        let mut add = |when: bool, letter| {
            if when {
                letters.push(letter);
            }
        };
        add(self.monitor, 'O');
        add(self.subscriptions.is_some(), 'P');
        add(self.transaction.is_some(), 'x');
        add(self.blocked, 'b');
        add(self.watch.as_ref().is_some_and(|watch| watch.is_touched()), 'd');
        add(self.closing, 'c');
        add(self.origin == Origin::Unix, 'U');
        add(self.no_evict, 'e');
        add(self.no_touch, 'T');
        if letters.is_empty() {
            letters.push('N');
        }
        letters
    }

    /// True while requests of this client do not simply run: inside MULTI they are queued, a subscriber may not send all.
    #[inline]
    pub fn is_special(&self) -> bool {
        self.transaction.is_some() | self.subscriptions.is_some()
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
        size_of::<Session>() + self.out.bytes.capacity() + names + self.multi_bytes() + subscriptions + link
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
        self.no_touch = false;
        self.no_evict = false;
    }
}
