//! Where the rest of the process talks to the engine from its own thread: events are posted here, the engine takes them in
//! turns, and batches find their way home from here.

use super::Engine;
use super::batch::{Batch, Home, Post, Spares};
use super::event::{self, Event};
use super::nap::Naps;
use super::ring::{Bell, Receiver, Sender};
use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use crate::session::Gauge;
use crate::types::ClientId;
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::sync::Notify;

/// Where the rest of the process talks to the engine from its own thread.
#[derive(Clone)]
pub struct Mailbox(Rc<Shared>);

struct Shared {
    engine: RefCell<Engine>,
    queue: RefCell<VecDeque<Event>>,
    spares: Spares,
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Connections of this thread, by the place that their batches name.
    homes: RefCell<Vec<Option<Rc<dyn Home>>>>,
    free_homes: RefCell<Vec<u32>>,
    /// Other threads that read and write sockets.
    remotes: RefCell<Vec<Remote>>,
    bell: Arc<Bell>,
    timers: Arc<Notify>,
    /// A script takes long.
    busy: Notify,
    snapshots: Notify,
    /// Some replica has not been handed everything.
    replicas: Notify,
    naps: RefCell<Naps>,
    /// Events that I/O threads sent: mostly requests, of which a pipeline counts as one.
    received: Cell<u64>,
}

/// The engine's side of an I/O thread.
pub struct Remote {
    pub events: Receiver<Event>,
    pub orders: Rc<Sender<ToConnection>>,
}

/// What the engine tells an I/O thread.
pub enum ToConnection {
    /// The requests were run; the replies are in the batch.
    Return(Box<Batch>),
    /// Bytes that no request asked for, or asked for earlier.
    Send {
        connection: u32,
        client: ClientId,
        out: Output,
    },
    /// Close, at once or when everything has left.
    Close {
        connection: u32,
        client: ClientId,
        after_send: bool,
    },
    /// Look after the request buffer: see `Link::tidy`.
    Tidy {
        connection: u32,
        client: ClientId,
        idle: bool,
    },
    /// Look whether the client, which waits, is gone.
    Look {
        connection: u32,
        client: ClientId,
    },
    SetLimits {
        connection: u32,
        client: ClientId,
        limits: Limits,
    },
    /// See `Link::set_nodelay`.
    SetNodelay {
        connection: u32,
        client: ClientId,
        nodelay: bool,
    },
    /// A new client's socket.
    Adopt {
        socket: NewSocket,
        place: u32,
        client: ClientId,
        slot: usize,
        limits: Limits,
        gauge: Arc<Gauge>,
    },
}

/// A socket on its way to the thread that will serve it.
pub enum NewSocket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    /// `established` turns true when the handshake is over.
    Tls {
        stream: std::net::TcpStream,
        config: Arc<rustls::ServerConfig>,
        established: Arc<AtomicBool>,
    },
}

impl Mailbox {
    /// The mailbox of a new engine.
    pub fn new(world: World) -> Self {
        Mailbox(Rc::new(Shared {
            engine: RefCell::new(Engine::new(world)),
            queue: RefCell::default(),
            spares: Spares::default(),
            rung: Cell::new(false),
            waker: RefCell::default(),
            homes: RefCell::default(),
            free_homes: RefCell::default(),
            remotes: RefCell::default(),
            bell: Arc::default(),
            timers: Arc::default(),
            busy: Notify::new(),
            snapshots: Notify::new(),
            replicas: Notify::new(),
            naps: RefCell::default(),
            received: Cell::new(0),
        }))
    }

    /// Gives a connection of this thread a place where its batches find it.
    pub fn add_home(&self, home: Rc<dyn Home>) -> u32 {
        let mut homes = self.0.homes.borrow_mut();
        match self.0.free_homes.borrow_mut().pop() {
            Some(at) => {
                homes[at as usize] = Some(home);
                at
            }
            None => {
                homes.push(Some(home));
                homes.len() as u32 - 1
            }
        }
    }

    /// Forgets a connection of this thread.
    pub fn remove_home(&self, at: u32) {
        self.0.homes.borrow_mut()[at as usize] = None;
        self.0.free_homes.borrow_mut().push(at);
    }

    /// Lets go of all clients, at the end. Connections know the mailbox and the mailbox knows them, by their places and by the
    /// links of sessions: without this none of them would be freed, and no socket closed.
    pub fn forget_clients(&self) {
        self.0.homes.borrow_mut().iter_mut().for_each(|home| *home = None);
        self.with(|engine| {
            let clients: Vec<ClientId> = engine.world.sessions.ids().collect();
            clients.into_iter().for_each(|client| engine.forget(client));
        });
    }

    /// Adds an I/O thread; returns its number, from 1 on.
    pub fn add_remote(&self, remote: Remote) -> u16 {
        let mut remotes = self.0.remotes.borrow_mut();
        remotes.push(remote);
        remotes.len() as u16
    }

    /// True if there are I/O threads.
    pub(super) fn has_remotes(&self) -> bool {
        !self.0.remotes.borrow().is_empty()
    }

    /// The bell of this mailbox, for those who write to a `Remote`.
    pub fn bell(&self) -> Arc<Bell> {
        self.0.bell.clone()
    }

    /// The way to the I/O thread that is to serve the next client, if there are any: its number and its orders.
    pub fn thread_for(&self, client: ClientId) -> Option<(u16, Rc<Sender<ToConnection>>)> {
        let remotes = self.0.remotes.borrow();
        let at = (client.0 as usize).checked_rem(remotes.len())?;
        Some((at as u16 + 1, remotes[at].orders.clone()))
    }

    /// Uses the engine between two of its turns: cron, listeners, tests. Not from inside a command.
    pub fn with<R>(&self, f: impl FnOnce(&mut Engine) -> R) -> R {
        f(&mut self.0.engine.borrow_mut())
    }

    /// Gives the memory of a burst back to the system, when there was one.
    pub fn trim_after_burst(&self) {
        const BURST: usize = 64;
        if self.0.spares.take_dropped() > BURST {
            crate::raw::alloc::trim();
        }
    }

    /// Lets the engine see what the append-only file's writer reports.
    pub fn look_at_disk(&self) {
        let engine = &mut *self.0.engine.borrow_mut();
        engine.look_at_disk(self);
        engine.finish_turn(self);
    }

    /// Waits until something changed the next time at which cron is needed.
    pub async fn timers_changed(&self) {
        self.0.timers.notified().await;
    }

    /// Goes on, bit by bit, with scripts that take long, so that between two bits others are answered. Never ends.
    pub async fn go_on(self) {
        loop {
            self.0.busy.notified().await;
            while self.with(|engine| engine.paused.is_some()) {
                // Sockets are looked at before this task runs again.
                tokio::task::yield_now().await;
                self.0.engine.borrow_mut().go_on(&self);
            }
        }
    }

    /// Waits until a snapshot is to be carried on.
    pub async fn snapshot_wanted(&self) {
        self.0.snapshots.notified().await;
    }

    /// Waits until some replica cannot be handed everything at once.
    pub async fn replicas_lag(&self) {
        self.0.replicas.notified().await;
    }

    /// Has the next time at which cron is needed looked at anew.
    pub(super) fn wake_timers(&self) {
        self.0.timers.notify_one();
    }

    /// The same, for another thread to call.
    pub(super) fn timers_waker(&self) -> impl FnOnce() + Send + use<> {
        let timers = self.0.timers.clone();
        move || timers.notify_one()
    }

    /// Has the engine take another turn, behind the sockets.
    pub(super) fn wake_engine(&self) {
        if let Some(waker) = &*self.0.waker.borrow() {
            wake_behind_sockets(waker);
        }
    }

    /// A script takes long.
    pub(super) fn wake_script(&self) {
        self.0.busy.notify_one();
    }

    /// A snapshot is to be carried on.
    pub(super) fn wake_snapshots(&self) {
        self.0.snapshots.notify_one();
    }

    /// Some replica has not been handed everything.
    pub(super) fn wake_replicas(&self) {
        self.0.replicas.notify_one();
    }

    /// Runs the engine for ever on this thread; ends with how the server is to end.
    pub async fn run(self) -> event::Outcome {
        std::future::poll_fn(|context| {
            let mut waker = self.0.waker.borrow_mut();
            if waker.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            drop(waker);
            self.turn();
            self.await_remotes(context);
            match self.0.engine.borrow_mut().outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// One turn: everything that is in the mailbox now. True if there was anything.
    pub fn turn(&self) -> bool {
        self.0.rung.set(false);
        let mut queue = self.0.queue.take();
        let posted = queue.len();
        for remote in self.0.remotes.borrow().iter() {
            while let Some(event) = remote.events.receive() {
                queue.push_back(event);
            }
        }
        self.0.received.set(self.0.received.get() + (queue.len() - posted) as u64);
        let mut engine = self.0.engine.borrow_mut();
        if queue.is_empty() && engine.unfinished.is_empty() && !engine.gathering.is_on() {
            *self.0.queue.borrow_mut() = queue;
            return false;
        }
        engine.turn(&mut queue, self);
        drop(engine);
        // The emptied queue goes back, so that its memory is used again.
        let mut current = self.0.queue.borrow_mut();
        if current.is_empty() {
            *current = queue;
        }
        true
    }

    /// With I/O threads: takes further turns while there is work, then sleeps until rung.
    fn await_remotes(&self, context: &mut Context<'_>) {
        // After this many turns the tasks of this thread (cron, new clients) get theirs.
        const TURNS_MAX: usize = 64;
        if !self.has_remotes() {
            return;
        }
        for _ in 0..TURNS_MAX {
            if self.turn() {
                if self.0.engine.borrow().unfinished.is_empty() {
                    continue;
                }
                break;
            }
            let Some(nap) = self.0.naps.borrow_mut().after(self.0.received.get(), Instant::now()) else { break };
            std::thread::sleep(nap);
        }
        self.0.bell.about_to_sleep(context.waker());
        if self.0.remotes.borrow().iter().any(|remote| !remote.events.is_empty()) {
            self.0.bell.stay_awake();
            context.waker().wake_by_ref();
        }
    }

    /// Sends a batch that was run back to its connection.
    #[inline]
    pub(super) fn send_home(&self, batch: Box<Batch>) {
        if batch.thread != 0 {
            let remotes = self.0.remotes.borrow();
            return remotes[batch.thread as usize - 1].orders.push(ToConnection::Return(batch));
        }
        let home = self.0.homes.borrow().get(batch.connection as usize).cloned().flatten();
        match home {
            Some(home) => home.take_back(batch),
            None => self.0.spares.give_back(batch),
        }
    }

    pub(super) fn ring_remotes(&self) {
        for remote in self.0.remotes.borrow().iter() {
            remote.orders.ring();
        }
    }
}

/// Wakes a task of this thread, behind all whose sockets turn out to be ready: they are looked at before it runs.
pub fn wake_behind_sockets(waker: &Waker) {
    let yielding = std::pin::pin!(tokio::task::yield_now());
    // It gives the waker to the runtime, and has then done what it is here for.
    let _ = yielding.poll(&mut Context::from_waker(waker));
}

impl Post for Mailbox {
    fn is_rung(&self) -> bool {
        self.0.rung.get()
    }

    #[inline]
    fn lend_batch(&self) -> Box<Batch> {
        self.0.spares.lend()
    }

    #[inline]
    fn return_batch(&self, batch: Box<Batch>) {
        self.0.spares.give_back(batch);
    }

    #[inline]
    fn post(&self, event: Event) {
        self.0.queue.borrow_mut().push_back(event);
        if !self.0.rung.replace(true)
            && let Some(waker) = &*self.0.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}
