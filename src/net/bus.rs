//! The sockets of the cluster bus: takes connections of other nodes, makes those that the node's view wants, and carries whole
//! messages between them and the engine. All of it runs on the engine's thread.

use super::local;
use crate::cluster::message::{PREFIX_BYTES, length};
use crate::cluster::{LinkId, TICK_MILLIS, Wish};
use crate::engine::Mailbox;
use crate::outbound::{self, Stream};
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_rustls::TlsAcceptor;

/// Longest message: what a client can publish, and its header.
const MESSAGE_BYTES_MAX: usize = (512 << 20) + (64 << 10);
/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Serves the bus on these sockets, until the process ends.
///
/// # Errors
/// A socket cannot be served.
pub fn open(mailbox: &Mailbox, listeners: Vec<std::net::TcpListener>) -> io::Result<()> {
    if listeners.is_empty() {
        return Ok(());
    }
    for listener in listeners {
        listener.set_nonblocking(true)?;
        local::spawn(accept(mailbox.clone(), TcpListener::from_std(listener)?));
    }
    mailbox.with(|engine| {
        if let Some(cluster) = &mut engine.world.cluster {
            cluster.open_bus();
        }
    });
    local::spawn(watch(mailbox.clone()));
    Ok(())
}

async fn accept(mailbox: Mailbox, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => local::spawn(welcome(mailbox.clone(), socket)),
            Err(error) => {
                tracing::warn!("Error accepting cluster node: {error}");
                tokio::time::sleep(Duration::from_millis(TICK_MILLIS)).await;
            }
        }
    }
}

/// Takes in a node that has connected, or somebody who says so.
async fn welcome(mailbox: Mailbox, socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    let Some((here, there)) = ends(&socket) else { return };
    let stream = match tokio::time::timeout(CONNECT_MAX, accept_tls(&mailbox, socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!("Error accepting cluster node connection: {error}"),
        Err(_) => return,
    };
    let (out, messages) = mpsc::unbounded_channel();
    if let Some(joined) = mailbox.bus_accepted(out, here, there) {
        serve(mailbox, stream, joined, messages).await;
    }
}

async fn accept_tls(mailbox: &Mailbox, socket: TcpStream) -> io::Result<Box<dyn Stream>> {
    match mailbox.with(|engine| engine.world.tls_of_nodes()).map_err(io::Error::other)? {
        None => Ok(Box::new(socket)),
        Some(config) => Ok(Box::new(TlsAcceptor::from(config).accept(socket).await?)),
    }
}

/// Notices the passing of time.
async fn watch(mailbox: Mailbox) {
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MILLIS)).await;
        for wish in mailbox.bus_tick() {
            local::spawn(connect(mailbox.clone(), wish));
        }
    }
}

async fn connect(mailbox: Mailbox, wish: Wish) {
    let address = wish.ip.parse::<IpAddr>().map(|ip| SocketAddr::from((ip, wish.bus_port)));
    let (source, tls) = mailbox.with(|engine| (engine.world.config.bind_source_addr.clone(), engine.world.tls_to_nodes()));
    let connection = async {
        let socket = outbound::connect(address.map_err(io::Error::other)?, &source).await?;
        let ends = ends(&socket);
        io::Result::Ok((outbound::secure(socket, tls.map_err(io::Error::other)?).await?, ends))
    };
    let connected = tokio::time::timeout(CONNECT_MAX, connection).await;
    let joined = match connected {
        Ok(Ok((stream, ends))) => ends.and_then(|(here, there)| {
            let (out, messages) = mpsc::unbounded_channel();
            Some((mailbox.bus_connected(wish.node, out, here, there)?, stream, messages))
        }),
        _ => {
            mailbox.bus_not_connected(wish.node);
            None
        }
    };
    if let Some((joined, stream, messages)) = joined {
        serve(mailbox, stream, joined, messages).await;
    }
}

fn ends(stream: &TcpStream) -> Option<(IpAddr, IpAddr)> {
    Some((stream.local_addr().ok()?.ip(), stream.peer_addr().ok()?.ip()))
}

/// Carries messages until either side is done.
async fn serve(
    mailbox: Mailbox,
    stream: Box<dyn Stream>,
    (link, queued): (LinkId, Arc<AtomicUsize>),
    mut messages: UnboundedReceiver<Bytes>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let read = async {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(message) = next_message(&mut buffer)? {
                mailbox.bus_message(link, &message);
            }
            if reader.read_buf(&mut buffer).await? == 0 {
                return io::Result::Ok(());
            }
        }
    };
    let write = async {
        // The view drops its end to end the connection.
        while let Some(message) = messages.recv().await {
            writer.write_all(&message).await?;
            writer.flush().await?;
            queued.fetch_sub(message.len(), Ordering::Relaxed);
        }
        io::Result::Ok(())
    };
    let ended = tokio::select! {
        ended = read => ended,
        ended = write => ended,
    };
    if let Err(error) = ended {
        tracing::debug!("I/O error on a link of the cluster bus: {error}");
    }
    mailbox.bus_lost(link);
}

/// The next whole message of what has been read.
fn next_message(buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let length = length(prefix).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message too long"));
    }
    Ok((buffer.len() >= length).then(|| buffer.split_to(length)))
}
