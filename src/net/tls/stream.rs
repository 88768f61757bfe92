//! A TLS session over a socket, as the two halves of a connection: the task reads, the engine (or the task, for what is left
//! over) writes. Both are on one thread. The handshake runs inside of the first reads.
//!
//! What a read brings is decrypted whole and at once, from one system call; replies are encrypted whole and leave with one.
//! `tokio-rustls` has neither: it reads four kilobytes at a time, and writing means polling from the task.

use rustls::{ServerConfig, ServerConnection};
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes taken off the socket at a time: two records of the largest kind.
const READ_BYTES: usize = 32 * 1024;

/// The session with its socket, as both halves share it.
pub struct Channel {
    socket: OwnedWriteHalf,
    tls: RefCell<ServerConnection>,
    /// Encrypted bytes that were read and did not fit the reader's buffer. Nearly always empty.
    undecrypted: RefCell<Vec<u8>>,
    /// There may be decrypted bytes that were not read.
    readable: Cell<bool>,
    established: Arc<AtomicBool>,
}

/// The reading half.
pub struct Reader {
    socket: OwnedReadHalf,
    channel: Rc<Channel>,
}

/// Begins a session on an accepted socket. `established` turns true when the handshake is over.
///
/// # Errors
/// The library's, if it finds its configuration wanting.
pub fn start(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    established: Arc<AtomicBool>,
) -> Result<(Reader, Rc<Channel>), rustls::Error> {
    let tls = RefCell::new(ServerConnection::new(config)?);
    let (read, write) = stream.into_split();
    let channel = Channel { socket: write, tls, undecrypted: RefCell::default(), readable: Cell::new(false), established };
    let channel = Rc::new(channel);
    Ok((Reader { socket: read, channel: channel.clone() }, channel))
}

impl Reader {
    /// Reads decrypted bytes; none at the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(read) = self.channel.take(buffer) {
                return Poll::Ready(read);
            }
            if !self.channel.undecrypted.borrow().is_empty() {
                let waiting = self.channel.undecrypted.take();
                self.channel.decrypt(&waiting, buffer)?;
                continue;
            }
            // The other side of a handshake waits for our part before it sends more.
            if self.channel.wants_write()
                && let Err(error) = self.channel.flush()
            {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Poll::Ready(Err(error));
                }
                let socket: &TcpStream = self.channel.socket.as_ref();
                if socket.poll_write_ready(context)?.is_ready() {
                    continue;
                }
            }
            let mut raw = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut raw = ReadBuf::uninit(&mut raw);
            match Pin::new(&mut self.socket).poll_read(context, &mut raw)? {
                Poll::Pending if buffer.filled().is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
                Poll::Ready(()) if raw.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(()) => self.channel.decrypt(raw.filled(), buffer)?,
            }
            if !buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether there is anything to read, or else asks to be woken by it.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.channel.readable.get() || !self.channel.undecrypted.borrow().is_empty() {
            return Poll::Ready(Ok(()));
        }
        let socket: &TcpStream = self.socket.as_ref();
        socket.poll_read_ready(context)
    }

    /// True if the client has closed its end, by the word of TLS or without, and nothing is left to read. Reads what has come,
    /// as the word of TLS lies encrypted in the socket.
    pub fn is_closed(&self) -> bool {
        let channel = &self.channel;
        if channel.readable.get() {
            return false;
        }
        let mut raw = vec![0; READ_BYTES];
        match self.socket.try_read(&mut raw) {
            Ok(0) => true,
            Ok(n) => {
                let mut nothing = ReadBuf::new(&mut []);
                channel.decrypt(&raw[..n], &mut nothing).is_err() || channel.has_ended()
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Says good-bye as TLS wants it, so that the other end knows that nothing was cut off.
    pub fn close(&self) {
        if !self.channel.established.load(Ordering::Relaxed) {
            return;
        }
        let mut tls = self.channel.tls.borrow_mut();
        tls.send_close_notify();
        drop(tls);
        // A client that does not take it is gone anyway.
        let _ = self.channel.flush();
    }
}

impl Channel {
    /// Moves decrypted bytes into `buffer`. `None` if there are none and more may come; no bytes are the end.
    fn take(&self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        if !self.readable.get() {
            return None;
        }
        let before = buffer.filled().len();
        let read = self.drain(&mut self.tls.borrow_mut(), buffer);
        match read {
            Ok(true) => Some(Ok(())),
            Ok(false) if buffer.filled().len() > before => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Moves what is decrypted into `buffer`. True at the end of the stream.
    fn drain(&self, tls: &mut ServerConnection, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        while buffer.remaining() > 0 {
            match tls.reader().read(buffer.initialize_unfilled()) {
                Ok(0) => return Ok(true),
                Ok(n) => buffer.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable.set(false);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.readable.set(true);
        Ok(false)
    }

    /// Decrypts what came off the socket into `buffer`, as far as there is room; the rest is kept.
    fn decrypt(&self, mut raw: &[u8], buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut tls = self.tls.borrow_mut();
        while !raw.is_empty() && !self.readable.get() {
            tls.read_tls(&mut raw)?;
            let state = match tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    let handshake = !self.established.load(Ordering::Relaxed);
                    if handshake {
                        tracing::debug!("Error accepting a client connection: {error}");
                    }
                    drop(tls);
                    // The other end hears why, unless it does not speak TLS at all: an alert would look like a reply.
                    if !(handshake && matches!(error, rustls::Error::InvalidMessage(_))) {
                        let _ = self.flush();
                    }
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            if !self.established.load(Ordering::Relaxed) && !tls.is_handshaking() {
                self.established.store(true, Ordering::Relaxed);
            }
            if state.peer_has_closed() {
                self.readable.set(true);
            }
            if state.plaintext_bytes_to_read() > 0 {
                self.drain(&mut tls, buffer)?;
            }
        }
        if !raw.is_empty() {
            self.undecrypted.borrow_mut().extend_from_slice(raw);
        }
        let wants_write = tls.wants_write();
        drop(tls);
        if wants_write {
            return match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            };
        }
        Ok(())
    }

    /// True if the client said that nothing more comes, and everything before was read.
    fn has_ended(&self) -> bool {
        let mut tls = self.tls.borrow_mut();
        tls.process_new_packets().is_ok_and(|state| state.peer_has_closed() && state.plaintext_bytes_to_read() == 0)
    }

    fn wants_write(&self) -> bool {
        self.tls.borrow().wants_write()
    }

    /// Encrypts `bytes` as far as there is room; returns how many.
    pub fn encrypt(&self, bytes: &[u8]) -> io::Result<usize> {
        self.tls.borrow_mut().writer().write(bytes)
    }

    /// Sends what is encrypted.
    ///
    /// # Errors
    /// `WouldBlock` if the socket does not take all of it now.
    pub fn flush(&self) -> io::Result<()> {
        let mut tls = self.tls.borrow_mut();
        while tls.wants_write() {
            if tls.write_tls(&mut Socket(&self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// See `Link::set_nodelay`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        let socket: &TcpStream = self.socket.as_ref();
        socket.set_nodelay(nodelay)
    }

    /// Asks to be woken when the socket takes more.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket: &TcpStream = self.socket.as_ref();
        socket.poll_write_ready(context)
    }
}

/// The socket as `rustls` writes to it.
struct Socket<'a>(&'a OwnedWriteHalf);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
