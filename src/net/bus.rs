//! The sockets of the cluster bus: takes connections of other nodes, makes those that the node's view wants, and carries whole
//! messages between them and the engine. All of it runs on the engine's thread.

use super::local;
use crate::cluster::message::{PREFIX_BYTES, length};
use crate::cluster::{LinkId, TICK_MILLIS, Wish};
use crate::engine::Mailbox;
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};

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
            Ok((stream, _)) => {
                let mailbox = mailbox.clone();
                local::spawn(async move {
                    let (out, messages) = mpsc::unbounded_channel();
                    let Some((here, there)) = ends(&stream) else { return };
                    if let Some(joined) = mailbox.bus_accepted(out, here, there) {
                        serve(mailbox, stream, joined, messages).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!("Error accepting cluster node: {error}");
                tokio::time::sleep(Duration::from_millis(TICK_MILLIS)).await;
            }
        }
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
    let connection = async { TcpStream::connect(address.map_err(io::Error::other)?).await };
    let connected = tokio::time::timeout(CONNECT_MAX, connection).await;
    let joined = match connected {
        Ok(Ok(stream)) => ends(&stream).and_then(|(here, there)| {
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
    let _ = stream.set_nodelay(true);
    Some((stream.local_addr().ok()?.ip(), stream.peer_addr().ok()?.ip()))
}

/// Carries messages until either side is done.
async fn serve(
    mailbox: Mailbox,
    mut stream: TcpStream,
    (link, queued): (LinkId, Arc<AtomicUsize>),
    mut messages: UnboundedReceiver<Bytes>,
) {
    let (mut reader, mut writer) = stream.split();
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
