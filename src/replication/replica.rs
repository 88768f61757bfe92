//! The replica's side: the primary that this server follows, how far it got with it, and the way to the task that talks to it.
//!
//! The task (`engine::upstream`) has the socket. It tells the engine what it learns and hands it what the primary sends; this is
//! what the engine knows of it, and what INFO and ROLE tell.

use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use crate::session::{Link, LinkBuffers};
use crate::types::{ClientId, DbIndex};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The primary that this server follows, and how far it got with it.
pub struct Upstream {
    pub host: String,
    pub port: u16,
    pub stage: Stage,
    /// The data are a moment of the history that this server knows by id and offset: the primary may be asked for the rest.
    pub may_continue: bool,
    /// The database that the history's next request is for.
    pub db: DbIndex,
    /// The primary as a client, while the link is up.
    pub client: Option<ClientId>,
    /// Bytes of the history that were received and are not part of it yet.
    pub unapplied: u64,
    /// Of those, the beginning of a transaction that is open.
    pub unfed: Vec<u8>,
    /// When the primary was last heard of.
    pub heard_at: Instant,
    /// When the link went down; none if it has not been up.
    pub down_since: Option<Instant>,
    /// How much of the history is on this server's disk.
    pub safety: Safety,
    /// The primary is asked to take over from this server (FAILOVER).
    pub takes_over: bool,
    /// The way to the task.
    pub line: Rc<Line>,
}

/// How far a replica got with its primary.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stage {
    /// A connection is to be made.
    Connect,
    Connecting,
    Handshake,
    /// The data come.
    Sync(Transfer),
    Connected,
}

/// Data on their way.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Transfer {
    /// Bytes of them; none if that is not known before the end.
    pub total: Option<u64>,
    pub read: u64,
    pub heard_at: Instant,
}

/// How much of the history is on the disk. The append-only file counts the bytes of the write stream, the history those that the
/// primary sent; the two are compared from time to time.
#[derive(Default, Clone, Copy, Debug)]
pub struct Safety {
    /// Offset of the history that the disk has.
    offset: u64,
    /// When the stream is on the disk up to here, the history is up to there.
    awaited: Option<(u64, u64)>,
}

impl Safety {
    /// The stream is on the disk up to `durable` and ends at `end`, where the history is at `offset`. Returns the offset of the history
    /// that the disk has.
    pub fn look(&mut self, durable: u64, end: u64, offset: u64) -> u64 {
        if let Some((_, reached)) = self.awaited.take_if(|(awaited, _)| durable >= *awaited) {
            self.offset = reached;
        }
        if durable >= end {
            self.offset = offset;
        } else {
            self.awaited.get_or_insert((end, offset));
        }
        self.offset
    }
}

impl Stage {
    /// The data are about to come.
    pub fn sync(total: Option<u64>) -> Stage {
        Stage::Sync(Transfer { total, read: 0, heard_at: Instant::now() })
    }
}

impl Upstream {
    /// A primary not yet talked to.
    pub fn new(host: String, port: u16) -> Self {
        Upstream {
            host,
            port,
            stage: Stage::Connect,
            may_continue: false,
            db: DbIndex(0),
            client: None,
            unapplied: 0,
            unfed: Vec::new(),
            heard_at: Instant::now(),
            down_since: None,
            safety: Safety::default(),
            takes_over: false,
            line: Rc::default(),
        }
    }

    /// The link is up: what the primary does is done here.
    pub fn is_connected(&self) -> bool {
        self.stage == Stage::Connected
    }

    /// The stage in the words of ROLE.
    pub fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Connect => "connect",
            Stage::Connecting => "connecting",
            Stage::Handshake => "handshake",
            Stage::Sync(_) => "sync",
            Stage::Connected => "connected",
        }
    }
}

/// How the engine reaches the task that has the socket. One line is for one primary: when another is to be followed, or none,
/// it is cut, and the task ends.
#[derive(Default)]
pub struct Line {
    out: RefCell<Vec<u8>>,
    /// The connection is to be closed.
    hung_up: Cell<bool>,
    /// The primary is not to be talked to any more.
    cut: Notify,
    news: Notify,
}

impl Line {
    /// Has bytes sent to the primary.
    pub fn say(&self, bytes: &[u8]) {
        self.out.borrow_mut().extend_from_slice(bytes);
        self.news.notify_one();
    }

    /// What is to be sent.
    pub fn take_words(&self) -> Vec<u8> {
        self.out.take()
    }

    /// Closes the connection; another will be made.
    pub fn hang_up(&self) {
        self.hung_up.set(true);
        self.news.notify_one();
    }

    /// True once after the connection was to be closed.
    pub fn take_hung_up(&self) -> bool {
        self.hung_up.take()
    }

    /// Ends the task.
    pub fn cut(&self) {
        self.cut.notify_one();
    }

    /// Waits until the task is to end.
    pub async fn until_cut(&self) {
        self.cut.notified().await;
    }

    /// Waits until there is something to do.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

/// The way from the primary's session to its connection.
pub struct PrimaryLink(pub Rc<Line>);

impl Link for PrimaryLink {
    /// Nobody replies to a primary.
    fn send(&self, out: &mut Output) -> usize {
        out.clear();
        0
    }

    fn close_after_send(&self) {
        self.0.hang_up();
    }

    fn close_now(&self) {
        self.0.hang_up();
    }

    fn set_limits(&self, _limits: Limits) {}

    fn buffers(&self) -> LinkBuffers {
        LinkBuffers::default()
    }

    fn tidy(&self, _idle: bool) {}
}

/// Seconds since then, as INFO tells them.
pub fn seconds_since(then: Instant) -> u64 {
    then.elapsed().min(Duration::from_secs(i64::MAX as u64)).as_secs()
}
