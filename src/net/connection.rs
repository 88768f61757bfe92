//! One client's socket. Its task reads whatever is there, decodes every complete request, posts the batch to the engine and
//! waits for more; the engine writes replies straight to the socket, and only what the socket does not take comes back here.
//!
//! The same code runs on the engine's own thread and on I/O threads; `Post` hides which of the two it is.
//!
//! While the engine holds the batch the task reads no further, so a client that does not wait for its replies is held back
//! by its own socket.

use super::tls::stream::{Channel, Reader};
use crate::command::table::CommandTable;
use crate::engine::batch::{Batch, Decoded, Home, Post};
use crate::engine::event::Event;
use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use crate::session::{Link, LinkBuffers};
use crate::types::ClientId;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{tcp, unix};

/// The reading half of a socket.
pub enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
    Tls(Reader),
}

/// The writing half of a socket.
pub enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
    Tls(Rc<Channel>),
}

impl ReadHalf {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Unix(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Tls(reader) => reader.poll_read(context, buffer),
        }
    }

    /// True if the client has closed its end and nothing is left to read.
    fn is_closed(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            ReadHalf::Tcp(half) => SockRef::from(half.as_ref()).peek(&mut byte),
            ReadHalf::Unix(half) => SockRef::from(half.as_ref()).peek(&mut byte),
            ReadHalf::Tls(reader) => return reader.is_closed(),
        };
        match peeked {
            Ok(n) => n == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            ReadHalf::Tcp(half) => half.as_ref().poll_read_ready(context),
            ReadHalf::Unix(half) => half.as_ref().poll_read_ready(context),
            ReadHalf::Tls(reader) => reader.poll_ready(context),
        }
    }

    /// Ends the conversation as the transport wants it, if it has a way to.
    fn close(&self) {
        if let ReadHalf::Tls(reader) = self {
            reader.close();
        }
    }
}

impl WriteHalf {
    /// Writes `out` from byte `sent` on (counted in sending order); `WouldBlock` leaves `sent` where the socket stopped.
    fn write_out(&self, out: &Output, sent: &mut usize) -> io::Result<()> {
        match self {
            WriteHalf::Tcp(half) => write_plain(half, out, sent),
            WriteHalf::Unix(half) => write_plain(half, out, sent),
            WriteHalf::Tls(channel) => write_encrypted(channel, out, sent),
        }
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            WriteHalf::Tcp(half) => half.as_ref().poll_write_ready(context),
            WriteHalf::Unix(half) => half.as_ref().poll_write_ready(context),
            WriteHalf::Tls(channel) => channel.poll_ready(context),
        }
    }
}

/// A socket that takes bytes as they are.
trait Plain {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Plain for tcp::OwnedWriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(pieces)
    }
}

impl Plain for unix::OwnedWriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(pieces)
    }
}

/// The part of a connection that its task and the engine share; both are on one thread.
pub struct Connection {
    write: WriteHalf,
    post: Rc<dyn Post>,
    /// Its thread, and its place there; batches carry both.
    thread: u16,
    place: Cell<u32>,
    /// Bytes of replies that the socket has not taken yet, where the engine can see them.
    unsent_bytes: Arc<AtomicUsize>,
    batch: RefCell<Possession>,
    /// The task wants to be woken when the batch is back.
    wants_batch: Cell<bool>,
    task: RefCell<Option<Waker>>,
    unsent: RefCell<Unsent>,
    has_unsent: Cell<bool>,
    closing: Cell<Closing>,
    limits: Cell<Limits>,
}

/// Where the connection's batch is.
#[derive(Default)]
enum Possession {
    /// There is none: nothing has been read that was not executed.
    #[default]
    Idle,
    /// Here, with the beginning of a request in it.
    Home(Box<Batch>),
    /// With the engine.
    Away,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    AfterSend,
    Now,
}

/// Replies that the socket has not taken yet.
#[derive(Default)]
struct Unsent {
    out: Output,
    /// Bytes of `out` (in sending order, references included) that have left.
    sent: usize,
}

/// At most this many pieces in one vectored write: the kernel's own limit.
const PIECES_MAX: usize = 1024;

impl Connection {
    /// The shared part of a new connection on a thread.
    pub fn new(write: WriteHalf, post: Rc<dyn Post>, thread: u16, limits: Limits, unsent_bytes: Arc<AtomicUsize>) -> Rc<Self> {
        Rc::new(Connection {
            write,
            post,
            thread,
            place: Cell::new(0),
            unsent_bytes,
            batch: RefCell::default(),
            wants_batch: Cell::new(false),
            task: RefCell::default(),
            unsent: RefCell::default(),
            has_unsent: Cell::new(false),
            closing: Cell::new(Closing::No),
            limits: Cell::new(limits),
        })
    }

    /// Tells the connection its place among those of its thread.
    pub fn set_place(&self, place: u32) {
        self.place.set(place);
    }

    /// Reads, decodes and posts until the client goes or is sent away.
    pub async fn run(self: Rc<Self>, mut read: ReadHalf, client: ClientId, slot: usize, commands: Arc<CommandTable>) {
        std::future::poll_fn(|context| self.poll(context, &mut read, client, slot, &commands)).await;
        read.close();
        self.closing.set(Closing::Now);
        self.post.post(Event::Disconnected(client));
    }

    fn poll(
        self: &Rc<Self>,
        context: &mut Context<'_>,
        read: &mut ReadHalf,
        client: ClientId,
        slot: usize,
        commands: &CommandTable,
    ) -> Poll<()> {
        if self.task.borrow().as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
            *self.task.borrow_mut() = Some(context.waker().clone());
        }
        if self.has_unsent.get() && self.poll_send(context).is_err() {
            return Poll::Ready(());
        }
        match self.closing.get() {
            Closing::Now => return Poll::Ready(()),
            Closing::AfterSend if !self.has_unsent.get() => return Poll::Ready(()),
            Closing::AfterSend => return Poll::Pending,
            Closing::No => {}
        }
        loop {
            let mut batch = match self.batch.replace(Possession::Away) {
                Possession::Home(batch) => batch,
                Possession::Idle => self.post.lend_batch(),
                Possession::Away => {
                    // Something came while the engine has the batch. If that is the end, a client that waits for keys must
                    // not be served any more.
                    if read.is_closed() {
                        return Poll::Ready(());
                    }
                    self.wants_batch.set(true);
                    return Poll::Pending;
                }
            };
            if batch.undecoded && batch.decode(commands, &self.limits.get()) == Decoded::Something {
                self.send_to_engine(batch, client, slot);
                self.wants_batch.set(true);
                return Poll::Pending;
            }
            batch.make_room();
            let filled = batch.filled;
            let mut buffer = ReadBuf::new(&mut batch.input[filled..]);
            match read.poll_read(context, &mut buffer) {
                Poll::Pending => {
                    self.keep(batch);
                    return Poll::Pending;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    let n = buffer.filled().len();
                    if n == 0 {
                        return Poll::Ready(());
                    }
                    batch.filled += n;
                    batch.bytes_read += n;
                    if batch.filled > self.limits.get().max_query {
                        self.post.post(Event::QueryTooLarge { client, bytes: batch.filled });
                        return Poll::Ready(());
                    }
                }
            }
            if batch.decode(commands, &self.limits.get()) == Decoded::Nothing {
                *self.batch.borrow_mut() = Possession::Home(batch);
                continue;
            }
            self.send_to_engine(batch, client, slot);
            // Asks to be woken by the next bytes; if they are there already, by the batch's return.
            if read.poll_ready(context).is_ready() {
                self.wants_batch.set(true);
            }
            return Poll::Pending;
        }
    }

    fn send_to_engine(&self, mut batch: Box<Batch>, client: ClientId, slot: usize) {
        (batch.client, batch.slot) = (client, slot);
        (batch.thread, batch.connection) = (self.thread, self.place.get());
        self.post.post(Event::Batch(batch));
    }

    /// Sends replies; what the socket does not take now is kept and sent when it does.
    pub fn send(&self, out: &mut Output) {
        if self.closing.get() == Closing::Now {
            return out.clear();
        }
        if self.has_unsent.get() {
            self.unsent.borrow_mut().out.append(out);
            self.count_unsent();
            return out.clear();
        }
        let mut sent = 0;
        match self.write.write_out(out, &mut sent) {
            Ok(()) => out.clear(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *self.unsent.borrow_mut() = Unsent { out: std::mem::take(out), sent };
                self.has_unsent.set(true);
                self.count_unsent();
                self.wake();
            }
            Err(_) => {
                out.clear();
                self.close(false);
            }
        }
    }

    /// Closes the connection, now or when everything has left.
    pub fn close(&self, after_send: bool) {
        if !after_send {
            self.closing.set(Closing::Now);
        } else if self.closing.get() == Closing::No {
            self.closing.set(Closing::AfterSend);
        }
        self.wake();
    }

    /// Limits on what is read from here on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    fn count_unsent(&self) {
        let unsent = self.unsent.borrow();
        self.unsent_bytes.store(unsent.out.len().saturating_sub(unsent.sent), Ordering::Relaxed);
    }

    /// Keeps a batch that holds the beginning of a request; gives an empty one back.
    fn keep(&self, batch: Box<Batch>) {
        *self.batch.borrow_mut() = if batch.filled == 0 {
            self.post.return_batch(batch);
            Possession::Idle
        } else {
            Possession::Home(batch)
        };
    }

    /// Sends what is left over; `Err` if the client is gone.
    fn poll_send(&self, context: &mut Context<'_>) -> Result<(), ()> {
        loop {
            let done = self.push_unsent().map_err(|_| ())?;
            if done {
                self.has_unsent.set(false);
                self.unsent_bytes.store(0, Ordering::Relaxed);
                return Ok(());
            }
            match self.write.poll_ready(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(()),
            }
        }
    }

    /// Writes as much of the left-over replies as the socket takes; true if that was all.
    fn push_unsent(&self) -> io::Result<bool> {
        let mut unsent = self.unsent.borrow_mut();
        let Unsent { out, sent } = &mut *unsent;
        match self.write.write_out(out, sent) {
            Ok(()) => {
                *unsent = Unsent::default();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent_bytes.store(out.len().saturating_sub(*sent), Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.task.borrow() {
            waker.wake_by_ref();
        }
    }
}

fn write_plain(write: &impl Plain, out: &Output, sent: &mut usize) -> io::Result<()> {
    if out.references.is_empty() {
        while *sent < out.bytes.len() {
            *sent += nonzero(write.try_write(&out.bytes[*sent..])?)?;
        }
        return Ok(());
    }
    let total = out.len();
    while *sent < total {
        let mut pieces = Vec::with_capacity(PIECES_MAX.min(2 * out.references.len() + 1));
        let mut skip = *sent;
        let mut add = |piece| {
            let piece: &[u8] = piece;
            if skip >= piece.len() {
                skip -= piece.len();
            } else if pieces.len() < PIECES_MAX {
                pieces.push(IoSlice::new(&piece[skip..]));
                skip = 0;
            }
        };
        let mut from = 0;
        for reference in &out.references {
            add(&out.bytes[from..reference.at]);
            add(reference.buffer.as_slice());
            from = reference.at;
        }
        add(&out.bytes[from..]);
        *sent += nonzero(write.try_write_vectored(&pieces)?)?;
    }
    Ok(())
}

/// Encrypts replies, and sends them with as few writes as the room for encrypted bytes allows: mostly with one. When all are
/// encrypted and not all have left, `WouldBlock` comes back with nothing left of `out`, and the next call sends the rest.
fn write_encrypted(channel: &Channel, out: &Output, sent: &mut usize) -> io::Result<()> {
    let mut skip = *sent;
    let mut add = |mut piece: &[u8]| {
        let skipped = skip.min(piece.len());
        skip -= skipped;
        piece = &piece[skipped..];
        while !piece.is_empty() {
            let taken = channel.encrypt(piece)?;
            if taken == 0 {
                channel.flush()?;
            }
            piece = &piece[taken..];
            *sent += taken;
        }
        Ok::<_, io::Error>(())
    };
    let mut from = 0;
    for reference in &out.references {
        add(&out.bytes[from..reference.at])?;
        add(reference.buffer.as_slice())?;
        from = reference.at;
    }
    add(&out.bytes[from..])?;
    channel.flush()
}

fn nonzero(n: usize) -> io::Result<usize> {
    if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }
}

impl Home for Connection {
    fn take_back(&self, batch: Box<Batch>) {
        let undecoded = batch.undecoded;
        self.keep(batch);
        if self.wants_batch.replace(false) || undecoded {
            self.wake();
        }
    }
}

/// A session's way to its connection on the engine's own thread.
pub struct LocalLink(pub Rc<Connection>);

impl Link for LocalLink {
    fn send(&self, out: &mut Output) {
        self.0.send(out);
    }

    fn close_after_send(&self) {
        self.0.close(true);
    }

    fn close_now(&self) {
        self.0.close(false);
    }

    fn set_limits(&self, limits: Limits) {
        self.0.set_limits(limits);
    }

    fn buffers(&self) -> LinkBuffers {
        let unsent = self.0.unsent.borrow();
        let (query, query_free, batch_bytes) = match &*self.0.batch.borrow() {
            Possession::Home(batch) => (batch.filled, batch.input.len() - batch.filled, batch.memory_bytes()),
            _ => (0, 0, 0),
        };
        let waiting = unsent.out.len().saturating_sub(unsent.sent);
        let memory = size_of::<Connection>() + batch_bytes + unsent.out.bytes.capacity() + waiting;
        LinkBuffers { query, query_free, unsent: waiting, memory }
    }
}
