//! Connections that this server begins itself: to its primary, to the servers that a sentinel watches, to the other nodes of a cluster. They
//! lead over TLS if the directives say so; little depends on their speed, so the library's own stream serves them.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// Something to talk over: a socket, or TLS over one. What was written has left for sure only after a flush.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Connects to an address, from another of our own if `source` is one of the same kind.
///
/// # Errors
/// The system's.
pub async fn connect(address: SocketAddr, source: &str) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source.parse::<IpAddr>().ok().filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Begins a TLS session over a connection, if there is a configuration for one.
///
/// # Errors
/// The other side speaks no TLS, or will not have us, or is not to be believed.
pub async fn secure(socket: TcpStream, tls: Option<Arc<ClientConfig>>) -> io::Result<Box<dyn Stream>> {
    match tls {
        None => Ok(Box::new(socket)),
        Some(config) => {
            let name = ServerName::IpAddress(socket.peer_addr()?.ip().into());
            Ok(Box::new(TlsConnector::from(config).connect(name, socket).await?))
        }
    }
}
