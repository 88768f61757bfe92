//! I/O threads (`io-threads` above 1): each has a runtime of its own and owns sockets. It reads, decodes, looks commands up
//! and writes; the engine only executes. What crosses threads is a recycled batch, through a ring for one writer and one
//! reader; a thread that is awake is never rung.

use super::connection::{Connection, ReadHalf, WriteHalf};
use super::{local, tls};
use crate::command::table::CommandTable;
use crate::engine::batch::{Batch, Home, Post, Spares};
use crate::engine::event::Event;
use crate::engine::ring::{self, Bell, Receiver, Sender};
use crate::engine::{Mailbox, NewSocket, Remote, ToConnection};
use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use crate::session::{Gauge, Link, LinkBuffers};
use crate::types::ClientId;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::net::{TcpStream, UnixStream};

/// Places in a ring. A connection has at most one batch under way, so this is rarely exceeded; what does not fit waits.
const RING_PLACES: usize = 4096;

/// Starts `threads` I/O threads beside the engine's.
///
/// # Errors
/// The system's, if it gives no thread.
pub fn start(mailbox: &Mailbox, commands: &Arc<CommandTable>, threads: usize) -> io::Result<()> {
    for number in 1..=threads {
        let (events, from_thread) = ring::channel(RING_PLACES, mailbox.bell());
        let bell = Arc::new(Bell::default());
        let (orders, to_thread) = ring::channel(RING_PLACES, bell.clone());
        let commands = commands.clone();
        let name = format!("io_thd_{number}");
        std::thread::Builder::new().name(name).spawn(move || run(number as u16, events, to_thread, bell, commands))?;
        mailbox.add_remote(Remote { events: from_thread, orders: Rc::new(orders) });
    }
    Ok(())
}

fn run(number: u16, events: Sender<Event>, orders: Receiver<ToConnection>, bell: Arc<Bell>, commands: Arc<CommandTable>) {
    let Ok(runtime) = super::runtime::io_thread() else { return };
    let thread = Rc::new(Thread {
        number,
        events,
        to_ring: Cell::new(false),
        ringer: RefCell::new(None),
        spares: Spares::default(),
        places: RefCell::default(),
        commands,
    });
    let owner = thread.clone();
    runtime.block_on(async move {
        let ringing = thread.clone();
        local::spawn(async move { std::future::poll_fn(|context| ringing.ring(context)).await });
        let (gone, ended) = tokio::sync::oneshot::channel::<()>();
        local::spawn(async move {
            std::future::poll_fn(|context| {
                loop {
                    let mut any = false;
                    while let Some(order) = orders.receive() {
                        any = true;
                        thread.obey(order);
                    }
                    if any {
                        // Lets the connections that were served read again before the next look.
                        context.waker().wake_by_ref();
                        return Poll::<()>::Pending;
                    }
                    if orders.is_abandoned() {
                        return Poll::Ready(());
                    }
                    bell.about_to_sleep(context.waker());
                    if orders.is_empty() && !orders.is_abandoned() {
                        return Poll::Pending;
                    }
                    bell.stay_awake();
                }
            })
            .await;
            drop(gone);
        });
        let _ = ended.await;
    });
    // Connections know their thread and the thread knows them: they and their sockets go only if it forgets them.
    owner.places.borrow_mut().clear();
}

/// Where a connection is filed, with the client that it belongs to: places are used again.
type Place = Option<(ClientId, Rc<Connection>)>;

/// One I/O thread.
struct Thread {
    number: u16,
    events: Sender<Event>,
    /// Something was posted in this round of ready sockets. The engine is rung once, behind all of them: waking it costs more
    /// than a command does.
    to_ring: Cell<bool>,
    ringer: RefCell<Option<Waker>>,
    spares: Spares,
    places: RefCell<Vec<Place>>,
    commands: Arc<CommandTable>,
}

impl Thread {
    /// The task that rings: woken by the first event of a round it stands in the queue behind the round's connections.
    fn ring(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.ringer.borrow().is_none() {
            *self.ringer.borrow_mut() = Some(context.waker().clone());
        }
        if self.to_ring.replace(false) {
            self.events.ring();
        }
        Poll::Pending
    }

    fn obey(self: &Rc<Self>, order: ToConnection) {
        match order {
            ToConnection::Return(mut batch) => match self.find(batch.connection, batch.client) {
                Some(connection) => {
                    if !batch.out.is_empty() {
                        connection.send(&mut batch.out);
                    }
                    if batch.close_after {
                        connection.close(true);
                    }
                    connection.take_back(batch);
                }
                None => self.spares.give_back(batch),
            },
            ToConnection::Send { connection, client, mut out } => {
                if let Some(connection) = self.find(connection, client) {
                    connection.arrived(out.len());
                    connection.send(&mut out);
                }
            }
            ToConnection::Tidy { connection, client, idle } => {
                if let Some(connection) = self.find(connection, client) {
                    connection.tidy(idle);
                }
            }
            ToConnection::Look { connection, client } => {
                if let Some(connection) = self.find(connection, client) {
                    connection.look();
                }
            }
            ToConnection::Close { connection, client, after_send } => {
                if let Some(connection) = self.find(connection, client) {
                    connection.close(after_send);
                }
            }
            ToConnection::SetLimits { connection, client, limits } => {
                if let Some(connection) = self.find(connection, client) {
                    connection.set_limits(limits);
                }
            }
            ToConnection::SetNodelay { connection, client, nodelay } => {
                if let Some(connection) = self.find(connection, client) {
                    connection.set_nodelay(nodelay);
                }
            }
            ToConnection::Adopt { socket, place, client, slot, limits, gauge } => {
                if self.adopt(socket, place, client, slot, limits, gauge).is_err() {
                    self.events.send(Event::Disconnected(client));
                }
            }
        }
    }

    fn adopt(
        self: &Rc<Self>,
        socket: NewSocket,
        place: u32,
        client: ClientId,
        slot: usize,
        limits: Limits,
        gauge: Arc<Gauge>,
    ) -> io::Result<()> {
        let (read, write) = match socket {
            NewSocket::Tcp(stream) => {
                let (read, write) = TcpStream::from_std(stream)?.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            NewSocket::Unix(stream) => {
                let (read, write) = UnixStream::from_std(stream)?.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            NewSocket::Tls { stream, config, established } => {
                let begun = tls::stream::start(TcpStream::from_std(stream)?, config, established);
                let (reader, channel) = begun.map_err(io::Error::other)?;
                (ReadHalf::Tls(reader), WriteHalf::Tls(channel))
            }
        };
        let connection = Connection::new(write, self.clone(), self.number, limits, gauge);
        connection.set_place(place);
        let mut places = self.places.borrow_mut();
        if places.len() <= place as usize {
            places.resize_with(place as usize + 1, || None);
        }
        places[place as usize] = Some((client, connection.clone()));
        let thread = self.clone();
        local::spawn(async move {
            connection.run(read, client, slot, thread.commands.clone()).await;
            let mut places = thread.places.borrow_mut();
            if let Some(entry) = places.get_mut(place as usize)
                && entry.as_ref().is_some_and(|(owner, _)| *owner == client)
            {
                *entry = None;
            }
        });
        Ok(())
    }

    /// The connection at a place, if it is still this client's.
    #[inline]
    fn find(&self, place: u32, client: ClientId) -> Option<Rc<Connection>> {
        match self.places.borrow().get(place as usize) {
            Some(Some((owner, connection))) if *owner == client => Some(connection.clone()),
            _ => None,
        }
    }
}

impl Post for Thread {
    fn lend_batch(&self) -> Box<Batch> {
        self.spares.lend()
    }

    fn return_batch(&self, batch: Box<Batch>) {
        self.spares.give_back(batch);
    }

    fn post(&self, event: Event) {
        self.events.push(event);
        if !self.to_ring.replace(true)
            && let Some(waker) = &*self.ringer.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// A session's way to its connection on an I/O thread. Its place there is the session's slot, which is as unique.
pub struct RemoteLink {
    pub orders: Rc<Sender<ToConnection>>,
    pub connection: u32,
    pub client: ClientId,
    pub gauge: Arc<Gauge>,
}

impl Link for RemoteLink {
    fn send(&self, out: &mut Output) -> usize {
        let out = std::mem::take(out);
        let before = self.gauge.unsent();
        self.gauge.departed(out.len());
        self.orders.send(ToConnection::Send { connection: self.connection, client: self.client, out });
        before
    }

    fn close_after_send(&self) {
        let close = ToConnection::Close { connection: self.connection, client: self.client, after_send: true };
        self.orders.send(close);
    }

    fn close_now(&self) {
        let close = ToConnection::Close { connection: self.connection, client: self.client, after_send: false };
        self.orders.send(close);
    }

    fn set_limits(&self, limits: Limits) {
        self.orders.send(ToConnection::SetLimits { connection: self.connection, client: self.client, limits });
    }

    fn set_nodelay(&self, nodelay: bool) {
        self.orders.send(ToConnection::SetNodelay { connection: self.connection, client: self.client, nodelay });
    }

    fn buffers(&self) -> LinkBuffers {
        let shown = self.gauge.read();
        LinkBuffers { memory: shown.memory + size_of::<Connection>(), ..shown }
    }

    fn tidy(&self, idle: bool) {
        self.orders.send(ToConnection::Tidy { connection: self.connection, client: self.client, idle });
    }

    fn set_waits(&self, waits: bool) {
        if self.gauge.set_waits(waits) {
            self.orders.send(ToConnection::Look { connection: self.connection, client: self.client });
        }
    }
}
