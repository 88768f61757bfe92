//! A TLS session that we begin: towards servers that a sentinel watches. Little is said over it, so plain copies will do.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The session over its socket. The handshake runs inside of the first reads and writes.
pub struct Session {
    socket: TcpStream,
    tls: ClientConnection,
}

/// Begins a session with the server at an address.
///
/// # Errors
/// The library's, if it finds its configuration wanting.
pub fn start(socket: TcpStream, config: Arc<ClientConfig>, ip: IpAddr) -> io::Result<Session> {
    let tls = ClientConnection::new(config, ServerName::IpAddress(ip.into())).map_err(io::Error::other)?;
    Ok(Session { socket, tls })
}

impl Session {
    /// Sends what is encrypted.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let mut sink = Sink { socket: &mut self.socket, context };
            match self.tls.write_tls(&mut sink) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                written => written.map(drop)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in what comes. True at the end.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut sink = Sink { socket: &mut self.socket, context };
        match self.tls.read_tls(&mut sink) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
            Ok(0) => return Poll::Ready(Ok(true)),
            Ok(_) => {}
        }
        let processed = self.tls.process_new_packets();
        Poll::Ready(processed.map(|_| false).map_err(io::Error::other))
    }
}

impl AsyncRead for Session {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let session = self.get_mut();
        loop {
            match session.tls.reader().read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // The other side may wait for our part of the handshake. If its socket is full, it still may have sent something.
            if let Poll::Ready(Err(error)) = session.poll_send(context) {
                return Poll::Ready(Err(error));
            }
            if ready!(session.poll_receive(context))? {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(Err(error)) = session.poll_send(context) {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl AsyncWrite for Session {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let session = self.get_mut();
        ready!(session.poll_send(context))?;
        let written = session.tls.writer().write(bytes)?;
        // What does not leave now leaves with a flush.
        if let Poll::Ready(Err(error)) = session.poll_send(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = self.get_mut();
        session.tls.send_close_notify();
        ready!(session.poll_send(context))?;
        Pin::new(&mut session.socket).poll_shutdown(context)
    }
}

/// The socket as the library wants it: it does not wait.
struct Sink<'a, 'b> {
    socket: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

impl Read for Sink<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = ReadBuf::new(buffer);
        match Pin::new(&mut *self.socket).poll_read(self.context, &mut read) {
            Poll::Ready(done) => done.map(|()| read.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write(self.context, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
