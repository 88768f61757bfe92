//! One client's socket. Its task reads whatever is there, decodes every complete request, posts the batch to the engine and
//! waits for more; the engine writes replies straight to the socket, and only what the socket does not take comes back here.
//!
//! The same code runs on the engine's own thread and on I/O threads; `Post` hides which of the two it is.
//!
//! While the engine holds the batch the task reads no further, so a client that does not wait for its replies is held back
//! by its own socket.

use super::tls::stream::{Channel, Reader};
use crate::command::table::CommandTable;
use crate::engine::batch::{Batch, Decoded, Home, INPUT_BYTES, Post, READ_MAX};
use crate::engine::event::Event;
use crate::engine::wake_behind_sockets;
use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use crate::session::{Gauge, Link, LinkBuffers};
use crate::sys::socket::has_stopped_sending;
use crate::types::ClientId;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
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

    /// True if the client has closed its end, whether or not something is left to read.
    fn is_closed(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let socket = match self {
            ReadHalf::Tcp(half) => SockRef::from(half.as_ref()),
            ReadHalf::Unix(half) => SockRef::from(half.as_ref()),
            ReadHalf::Tls(reader) => return reader.is_closed(),
        };
        match socket.peek(&mut byte) {
            Ok(n) => n == 0 || has_stopped_sending(&*socket),
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

    /// See `Link::set_nodelay`.
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            WriteHalf::Tcp(half) => half.as_ref().set_nodelay(nodelay),
            WriteHalf::Unix(_) => Ok(()),
            WriteHalf::Tls(channel) => channel.set_nodelay(nodelay),
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
    gauge: Arc<Gauge>,
    /// The gauge shows a request buffer.
    is_gauged: Cell<bool>,
    batch: RefCell<Possession>,
    /// A request did not arrive in one piece: the next ones may not, either, so the buffer is kept.
    keeps_batch: Cell<bool>,
    /// Something was read since the last look at the buffer, and how much of it was in use at most.
    was_read: Cell<bool>,
    peak: Cell<usize>,
    /// The task wants to be woken when the batch is back.
    wants_batch: Cell<bool>,
    /// More was there to read when the engine was done with the last batch.
    has_more: Cell<More>,
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

/// Whether a client that has more to say has let others pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    No,
    LetPass,
    LetAnswer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    AfterSend,
    Now,
}

/// Replies that the socket has not taken yet, in pieces: what piles up is neither copied as it grows nor freed late.
#[derive(Default)]
struct Unsent {
    pieces: VecDeque<Output>,
    /// Bytes of all pieces, referenced buffers included.
    bytes: usize,
    /// Bytes of the first piece (in sending order, references included) that have left.
    sent: usize,
    /// Bytes of memory of all pieces: the first one keeps what has left.
    memory: usize,
}

impl Unsent {
    fn left(&self) -> usize {
        self.bytes - self.sent
    }

    /// Adds replies behind the others: short ones to the last piece, so that many of them do not become many pieces.
    fn push(&mut self, out: &mut Output) {
        const PIECE_BYTES: usize = 64 * 1024;
        self.bytes += out.len();
        match self.pieces.back_mut() {
            Some(last) if last.bytes.len() + out.bytes.len() <= PIECE_BYTES => {
                self.memory -= last.bytes.capacity();
                let (len, needed) = (last.bytes.len(), last.bytes.len() + out.bytes.len());
                if needed > last.bytes.capacity() {
                    // As a vector grows, but never beyond what a piece can use.
                    last.bytes.reserve_exact((2 * len).clamp(needed, PIECE_BYTES) - len);
                }
                last.append(out);
                self.memory += last.bytes.capacity() + out.len() - out.bytes.len();
                out.clear();
            }
            _ => {
                self.memory += memory_of(out);
                self.pieces.push_back(std::mem::take(out));
            }
        }
    }

    /// Drops the first piece, which has left.
    fn pop(&mut self) {
        if let Some(first) = self.pieces.pop_front() {
            self.bytes -= first.len();
            self.memory -= memory_of(&first);
        }
        self.sent = 0;
    }
}

/// Bytes of memory that replies take, with all that they refer to.
fn memory_of(out: &Output) -> usize {
    out.len() - out.bytes.len() + out.bytes.capacity()
}

/// At most this many pieces in one vectored write: the kernel's own limit.
const PIECES_MAX: usize = 1024;

impl Connection {
    /// The shared part of a new connection on a thread.
    pub fn new(write: WriteHalf, post: Rc<dyn Post>, thread: u16, limits: Limits, gauge: Arc<Gauge>) -> Rc<Self> {
        Rc::new(Connection {
            write,
            post,
            thread,
            place: Cell::new(0),
            gauge,
            is_gauged: Cell::new(false),
            batch: RefCell::default(),
            keeps_batch: Cell::new(false),
            was_read: Cell::new(false),
            peak: Cell::new(0),
            wants_batch: Cell::new(false),
            has_more: Cell::new(More::No),
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
        if self.lets_others_pass() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut taken = 0;
        loop {
            let mut batch = match self.batch.replace(Possession::Away) {
                Possession::Home(batch) => batch,
                Possession::Idle => self.post.lend_batch(),
                Possession::Away => {
                    // Something came while the engine has the batch. If that is the end, a client that waits for keys must
                    // not be served any more. Others may only have stopped sending.
                    if self.gauge.notice() {
                        if read.is_closed() {
                            return Poll::Ready(());
                        }
                        // Asks to be woken by the end; if there is more to read, `tidy` has to look again.
                        let _ = read.poll_ready(context);
                    }
                    self.wants_batch.set(true);
                    return Poll::Pending;
                }
            };
            if batch.undecoded && batch.decode(commands, &self.limits.get()) == Decoded::Something {
                self.send_to_engine(batch, client, slot);
                self.gauge.notice();
                self.wants_batch.set(true);
                return Poll::Pending;
            }
            if batch.make_room() {
                self.post.post(Event::Grown(client));
            }
            let mut buffer = ReadBuf::new(batch.room());
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
                    taken += n;
                    if batch.filled > self.limits.get().max_query {
                        self.post.post(Event::QueryTooLarge { client, bytes: batch.filled });
                        return Poll::Ready(());
                    }
                }
            }
            if batch.decode(commands, &self.limits.get()) == Decoded::Nothing {
                self.was_read.set(true);
                self.keeps_batch.set(batch.filled != 0);
                if taken >= READ_MAX {
                    self.keep(batch);
                    wake_behind_sockets(context.waker());
                    return Poll::Pending;
                }
                *self.batch.borrow_mut() = Possession::Home(batch);
                continue;
            }
            self.send_to_engine(batch, client, slot);
            // Asks to be woken by the next bytes; if they are there already, by the batch's return. It may be the end that is there:
            // if the client waits for keys, this is to look again.
            if read.poll_ready(context).is_ready() {
                self.gauge.notice();
                self.wants_batch.set(true);
            }
            return Poll::Pending;
        }
    }

    /// A client that has always more to say lets those pass who just came, and lets the engine answer them, before its next
    /// batch is in the engine's way.
    fn lets_others_pass(&self) -> bool {
        let waits = match self.has_more.get() {
            More::No => return false,
            // All who came with the same look at the sockets have their turn before this task's next one.
            More::LetPass => true,
            More::LetAnswer => self.post.is_rung(),
        };
        self.has_more.set(if waits { More::LetAnswer } else { More::No });
        waits
    }

    fn send_to_engine(&self, mut batch: Box<Batch>, client: ClientId, slot: usize) {
        (batch.client, batch.slot) = (client, slot);
        (batch.thread, batch.connection) = (self.thread, self.place.get());
        if self.keeps_batch.get() {
            self.was_read.set(true);
            self.peak.set(self.peak.get().max(batch.filled));
        }
        if self.is_gauged.get() {
            self.show(&Possession::Away);
        }
        self.post.post(Event::Batch(batch));
    }

    /// Sends replies; what the socket does not take now is kept and sent when it does. Returns how much that is.
    pub fn send(&self, out: &mut Output) -> usize {
        if self.closing.get() == Closing::Now {
            out.clear();
            return 0;
        }
        if self.has_unsent.get() {
            self.unsent.borrow_mut().push(out);
            return self.count_unsent();
        }
        let mut sent = 0;
        match self.write.write_out(out, &mut sent) {
            Ok(()) => out.clear(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut unsent = self.unsent.borrow_mut();
                unsent.push(out);
                unsent.sent = sent;
                drop(unsent);
                self.has_unsent.set(true);
                self.wake();
                return self.count_unsent();
            }
            Err(_) => {
                out.clear();
                self.close(false);
            }
        }
        0
    }

    /// Closes the connection, now or when everything has left.
    pub fn close(&self, after_send: bool) {
        if !after_send {
            // What has not left never will: its memory is free at once.
            self.closing.set(Closing::Now);
            self.drop_unsent();
        } else if self.closing.get() == Closing::No {
            self.closing.set(Closing::AfterSend);
        }
        self.wake();
    }

    /// Looks whether the client is gone, as it waits.
    pub fn look(&self) {
        self.wake();
    }

    /// Limits on what is read from here on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// See `Link::set_nodelay`.
    pub fn set_nodelay(&self, nodelay: bool) {
        // If the socket refuses, it works as before.
        let _ = self.write.set_nodelay(nodelay);
    }

    /// Replies that were on their way from another thread are here.
    pub fn arrived(&self, bytes: usize) {
        self.gauge.arrived(bytes);
    }

    fn count_unsent(&self) -> usize {
        let unsent = self.unsent.borrow();
        self.gauge.set_unsent(unsent.left(), unsent.memory);
        unsent.left()
    }

    fn drop_unsent(&self) {
        *self.unsent.borrow_mut() = Unsent::default();
        self.has_unsent.set(false);
        self.gauge.set_unsent(0, 0);
    }

    /// Keeps a batch that holds the beginning of a request, and one whose connection is likely to need it again; gives others
    /// back.
    fn keep(&self, batch: Box<Batch>) {
        let kept = if batch.filled == 0 && !self.keeps_batch.get() {
            self.post.return_batch(batch);
            Possession::Idle
        } else {
            Possession::Home(batch)
        };
        if self.is_gauged.get() || matches!(kept, Possession::Home(_)) {
            self.show(&kept);
        }
        *self.batch.borrow_mut() = kept;
    }

    fn show(&self, kept: &Possession) {
        let (query, free, memory) = match kept {
            Possession::Home(batch) => (batch.pending(), batch.input.len() - batch.filled, batch.memory_bytes()),
            _ => (0, 0, 0),
        };
        self.is_gauged.set(memory != 0);
        self.gauge.set_query(query, free, memory);
    }

    /// Looks after the request buffer, about once a second: see `Link::tidy`.
    pub fn tidy(&self, idle: bool) {
        /// Buffers above this are worth shrinking.
        const SHRUNK_MIN: usize = INPUT_BYTES;
        let idle = !self.was_read.replace(false) && idle;
        let peak = self.peak.replace(0);
        let mut batch = match self.batch.replace(Possession::Away) {
            Possession::Home(batch) => batch,
            other => {
                self.batch.replace(other);
                if self.gauge.waits_noticed() {
                    self.look();
                }
                return;
            }
        };
        if idle {
            self.keeps_batch.set(false);
            batch.shrink(0);
        } else if batch.input.len() > SHRUNK_MIN && batch.pending() == 0 && peak < batch.input.len() / 2 {
            batch.shrink(peak.max(SHRUNK_MIN));
        }
        batch.shrink_lists(peak);
        self.keep(batch);
    }

    /// Sends what is left over; `Err` if the client is gone.
    fn poll_send(&self, context: &mut Context<'_>) -> Result<(), ()> {
        loop {
            let done = self.push_unsent().map_err(|_| ())?;
            if done {
                self.has_unsent.set(false);
                self.gauge.set_unsent(0, 0);
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
        loop {
            let Unsent { pieces, sent, .. } = &mut *unsent;
            let Some(first) = pieces.front() else { break };
            match self.write.write_out(first, sent) {
                Ok(()) => unsent.pop(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.gauge.set_unsent(unsent.left(), unsent.memory);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        *unsent = Unsent::default();
        Ok(true)
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
    fn take_back(&self, mut batch: Box<Batch>) {
        batch.compact();
        self.gauge.forget_notice();
        let undecoded = batch.undecoded;
        self.keep(batch);
        // A client that sends without end would keep the others from being looked at.
        if (self.wants_batch.replace(false) || undecoded)
            && let Some(waker) = &*self.task.borrow()
        {
            self.has_more.set(More::LetPass);
            wake_behind_sockets(waker);
        }
    }
}

/// A session's way to its connection on the engine's own thread.
pub struct LocalLink(pub Rc<Connection>);

impl Link for LocalLink {
    fn send(&self, out: &mut Output) -> usize {
        self.0.send(out)
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

    fn set_nodelay(&self, nodelay: bool) {
        self.0.set_nodelay(nodelay);
    }

    fn buffers(&self) -> LinkBuffers {
        let shown = self.0.gauge.read();
        LinkBuffers { memory: shown.memory + size_of::<Connection>(), ..shown }
    }

    fn tidy(&self, idle: bool) {
        self.0.tidy(idle);
    }

    fn set_waits(&self, waits: bool) {
        if self.0.gauge.set_waits(waits) {
            self.0.look();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    #[test]
    fn a_sockets_small_writes_are_held_back_when_told_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (_read, half) = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap().into_split();
            let write = WriteHalf::Tcp(half);
            for nodelay in [true, false, true] {
                write.set_nodelay(nodelay).unwrap();
                let WriteHalf::Tcp(half) = &write else { unreachable!() };
                assert_eq!(SockRef::from(half.as_ref()).tcp_nodelay().unwrap(), nodelay);
            }
        });
    }
}
