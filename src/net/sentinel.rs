//! The connections of a sentinel and the processes of its scripts: carries its orders out and brings it the news. All of it runs
//! on the engine's thread but for the waiting for scripts.

use super::local;
use crate::engine::Mailbox;
use crate::outbound::{self, Stream};
use crate::sentinel::reply::{self, Reply};
use crate::sentinel::script::{Ended, JobId};
use crate::sentinel::{ConnectionId, Order};
use bytes::{Buf, BytesMut};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long a connection may take to come about. The sentinel itself gives up on those that bring nothing.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Between two looks whether a script has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Serves the sentinel, if this server is one, until the process ends.
pub fn open(mailbox: &Mailbox) {
    if let Some(orders) = mailbox.sentinel_orders() {
        local::spawn(carry_out(mailbox.clone(), orders));
        local::spawn(tick(mailbox.clone()));
    }
}

/// Notices the passing of time.
async fn tick(mailbox: Mailbox) {
    loop {
        let pause = mailbox.sentinel_tick();
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn carry_out(mailbox: Mailbox, mut orders: UnboundedReceiver<Order>) {
    let mut connections: HashMap<ConnectionId, UnboundedSender<Vec<u8>>> = HashMap::new();
    let mut scripts: HashMap<JobId, Arc<AtomicBool>> = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Connect { connection, ip, port } => {
                connections.retain(|_, out| !out.is_closed());
                let (out, requests) = unbounded_channel();
                connections.insert(connection, out);
                local::spawn(serve(mailbox.clone(), connection, ip, port, requests));
            }
            // Requests for a connection that has ended meanwhile have no reply.
            Order::Send { connection, request } => {
                if let Some(out) = connections.get(&connection) {
                    let _ = out.send(request);
                }
            }
            Order::Close(connection) => drop(connections.remove(&connection)),
            Order::Run { job, words } => {
                let stop = Arc::new(AtomicBool::new(false));
                scripts.retain(|_, stop| Arc::strong_count(stop) > 1);
                scripts.insert(job, stop.clone());
                run(&mailbox, job, words, stop);
            }
            Order::Kill(job) => {
                if let Some(stop) = scripts.remove(&job) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// One connection, from its beginning to its end.
async fn serve(mailbox: Mailbox, id: ConnectionId, ip: String, port: u16, mut requests: UnboundedReceiver<Vec<u8>>) {
    let connected = tokio::select! {
        connected = tokio::time::timeout(CONNECT_MAX, connect(&mailbox, &ip, port)) => connected,
        // What is sent before there is a connection waits in the queue, so only its end is of interest here.
        () = until_closed(&mut requests) => return,
    };
    let ended = match connected {
        Ok(Ok((stream, here))) => {
            mailbox.sentinel_connected(id, here);
            talk(&mailbox, id, stream, requests).await
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = ended {
        tracing::trace!("A link to {ip}:{port} has ended: {error}");
    }
    mailbox.sentinel_lost(id);
}

/// Waits until the sentinel gives a connection up. What it sends meanwhile stays in the queue.
async fn until_closed(requests: &mut UnboundedReceiver<Vec<u8>>) {
    while !requests.is_closed() {
        tokio::time::sleep(LOOK).await;
    }
}

async fn connect(mailbox: &Mailbox, ip: &str, port: u16) -> io::Result<(Box<dyn Stream>, String)> {
    let (source, tls) = mailbox.with(|engine| (engine.world.config.bind_source_addr.clone(), engine.world.tls_for_replication()));
    let ip: IpAddr = ip.parse().map_err(io::Error::other)?;
    let socket = outbound::connect((ip, port).into(), &source).await?;
    let here = socket.local_addr()?.ip().to_string();
    let stream = outbound::secure(socket, tls.map_err(io::Error::other)?).await?;
    Ok((stream, here))
}

/// Carries requests there and replies back until either side is done.
async fn talk(
    mailbox: &Mailbox,
    id: ConnectionId,
    mut stream: Box<dyn Stream>,
    mut requests: UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(mut request) => {
                    // All that is there leaves at once.
                    while let Ok(next) = requests.try_recv() {
                        request.extend_from_slice(&next);
                    }
                    stream.write_all(&request).await?;
                    stream.flush().await?;
                }
                None => return Ok(()),
            },
            read = stream.read_buf(&mut buffer) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                while let Some(reply) = next_reply(&mut buffer)? {
                    mailbox.sentinel_reply(id, reply);
                }
            }
        }
    }
}

/// The next whole reply of what has been read.
fn next_reply(buffer: &mut BytesMut) -> io::Result<Option<Reply>> {
    let malformed = |_| io::Error::new(io::ErrorKind::InvalidData, "what came is no reply");
    let Some((reply, length)) = reply::read(buffer).map_err(malformed)? else { return Ok(None) };
    buffer.advance(length);
    Ok(Some(reply))
}

/// Starts a script. One that cannot be started counts as one that failed for good.
fn run(mailbox: &Mailbox, job: JobId, words: Vec<Vec<u8>>, stop: Arc<AtomicBool>) {
    /// As the original's child process ends when it cannot become the script.
    const NOT_STARTED: i32 = 2;
    let mut words = words.into_iter().map(std::ffi::OsString::from_vec);
    let Some(path) = words.next() else { return };
    let mut child = match Command::new(path).args(words).stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(_) => return mailbox.script_ended(job, Ended::Exit(NOT_STARTED)),
    };
    mailbox.script_started(job, child.id());
    let mailbox = mailbox.clone();
    local::spawn(async move {
        let status = loop {
            if stop.swap(false, Ordering::Relaxed) {
                // It may have ended by itself just now.
                let _ = child.kill();
            }
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(_) => break None,
            }
        };
        let how = match status {
            Some(status) => match status.signal() {
                Some(signal) => Ended::Signal(signal),
                None => Ended::Exit(status.code().unwrap_or(NOT_STARTED)),
            },
            None => Ended::Exit(NOT_STARTED),
        };
        mailbox.script_ended(job, how);
    });
}
