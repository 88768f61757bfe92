//! Listening sockets and what happens to a connection before its first byte is read.

use super::connection::{Connection, LocalLink, ReadHalf, WriteHalf};
use super::io_thread::RemoteLink;
use super::local;
use super::tls::{self, Tls};
use crate::engine::batch::Post;
use crate::engine::event::Event;
use crate::engine::{Mailbox, NewSocket, ToConnection};
use crate::session::{Gauge, Link, Origin, Session};
use crate::types::{ClientId, DbIndex};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A listening socket, bound but not yet served.
pub enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    /// TLS over TCP.
    Tls(std::net::TcpListener, Rc<Tls>),
}

/// What is spoken at a door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Tcp,
    Unix,
    Tls,
}

impl Kind {
    /// Its name in logs and in INFO.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Unix => "unix",
            Kind::Tls => "tls",
        }
    }
}

impl Bound {
    /// What will be spoken there.
    pub fn kind(&self) -> Kind {
        match self {
            Bound::Tcp(_) => Kind::Tcp,
            Bound::Unix(_) => Kind::Unix,
            Bound::Tls(..) => Kind::Tls,
        }
    }

    /// The address, unless it is a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Bound::Tcp(listener) | Bound::Tls(listener, _) => listener.local_addr().ok(),
            Bound::Unix(_) => None,
        }
    }
}

/// Why a listener could not be had: the address as configured, and the system's reason.
#[derive(Debug)]
pub struct BindError {
    pub address: String,
    pub optional: bool,
    pub error: io::Error,
}

/// Binds one address of `bind`; a leading `-` makes it optional, `*` and `::*` mean every address of a family.
/// Port 0 asks the system for a free one.
pub fn bind_tcp(address: &str, port: u16, backlog: i32) -> Result<std::net::TcpListener, BindError> {
    let optional = address.starts_with('-');
    let name = address.trim_start_matches('-');
    let fail = |error| BindError { address: format!("{name}:{port}"), optional, error };
    let candidates: Vec<SocketAddr> = match name {
        "*" => vec![SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port)],
        "::*" => vec![SocketAddr::new(IpAddr::from([0u16; 8]), port)],
        _ => (name, port).to_socket_addrs().map_err(fail)?.collect(),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for at in candidates {
        match listen(at, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(fail(last))
}

fn listen(at: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(at))?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Binds a Unix socket. The permissions are set before anybody can connect (CVE-2023-45145): the socket listens only after.
pub fn bind_unix(path: &str, permissions: Option<u32>, backlog: i32) -> Result<std::os::unix::net::UnixListener, BindError> {
    let fail = |error| BindError { address: path.to_owned(), optional: false, error };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        if let Some(mode) = permissions {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        socket.listen(backlog)?;
        Ok(socket)
    };
    bind().map(|socket| socket.into()).map_err(fail)
}

/// A listening socket that is served, and can be closed while the server runs.
pub struct Door {
    socket: RefCell<Option<Socketed>>,
    /// Wakes the task that serves the socket, so that it ends when the socket is closed.
    task: RefCell<Option<Waker>>,
    kind: Kind,
    address: Option<SocketAddr>,
    path: String,
    /// There is one for a TLS socket.
    tls: Option<Rc<Tls>>,
}

enum Socketed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Door {
    /// Serves a bound socket until it is closed. To be called on the thread that runs the engine, inside its runtime.
    ///
    /// # Errors
    /// The runtime's, if it cannot watch one socket more.
    pub fn open(bound: Bound, mailbox: &Mailbox) -> io::Result<Rc<Door>> {
        let (kind, address, mut path, mut tls) = (bound.kind(), bound.address(), String::new(), None);
        let socket = match bound {
            Bound::Tcp(listener) => Socketed::Tcp(TcpListener::from_std(listener)?),
            Bound::Tls(listener, settings) => {
                tls = Some(settings);
                Socketed::Tcp(TcpListener::from_std(listener)?)
            }
            Bound::Unix(listener) => {
                let at = listener.local_addr().ok();
                path = at.and_then(|a| a.as_pathname().map(|p| p.display().to_string())).unwrap_or_default();
                Socketed::Unix(UnixListener::from_std(listener)?)
            }
        };
        let door = Rc::new(Door { socket: RefCell::new(Some(socket)), task: RefCell::default(), kind, address, path, tls });
        local::spawn(door.clone().serve(mailbox.clone()));
        Ok(door)
    }

    /// Stops listening at once: the address is free again. Connections stay.
    pub fn close(&self) {
        self.socket.borrow_mut().take();
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }

    /// What is spoken there.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens, unless it is a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The path of a Unix socket, empty for others.
    pub fn path(&self) -> &str {
        &self.path
    }

    async fn serve(self: Rc<Self>, mailbox: Mailbox) {
        // A failing accept (no more file descriptors) must neither spin nor starve the others (CVE-2025-48367).
        const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);
        let mut taken = 0;
        while let Some(accepted) = std::future::poll_fn(|context| self.poll_accept(context)).await {
            match accepted {
                Ok(Accepted::Tcp(stream, peer)) => accept_tcp(stream, peer, self.tls.as_deref(), &mailbox),
                Ok(Accepted::Unix(stream)) => accept_unix(stream, &self.path, &mailbox),
                Err(error) => {
                    tracing::warn!("Accepting client connection: {error}");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
            taken += 1;
            if taken >= self.taken_max(&mailbox) {
                taken = 0;
                // Those who are connected are looked at before more are let in.
                tokio::task::yield_now().await;
            }
        }
    }

    /// How many connections are taken in a row.
    fn taken_max(&self, mailbox: &Mailbox) -> i64 {
        mailbox.with(|engine| match self.kind {
            Kind::Tls => engine.world.config.max_new_tls_connections_per_cycle,
            Kind::Tcp | Kind::Unix => engine.world.config.max_new_connections_per_cycle,
        })
    }

    /// The next connection; none when the socket was closed.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        let polled = match &*self.socket.borrow() {
            None => return Poll::Ready(None),
            Some(Socketed::Tcp(listener)) => listener.poll_accept(context).map_ok(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Some(Socketed::Unix(listener)) => listener.poll_accept(context).map_ok(|(stream, _)| Accepted::Unix(stream)),
        };
        *self.task.borrow_mut() = Some(context.waker().clone());
        polled.map(Some)
    }
}

fn accept_tcp(stream: TcpStream, peer: SocketAddr, tls: Option<&Tls>, mailbox: &Mailbox) {
    let keepalive = mailbox.with(|engine| engine.world.config.tcp_keepalive);
    let _ = stream.set_nodelay(true);
    if keepalive > 0 {
        let interval = Duration::from_secs((keepalive as u64 / 3).max(1));
        let settings =
            TcpKeepalive::new().with_time(Duration::from_secs(keepalive as u64)).with_interval(interval).with_retries(3);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&settings);
    }
    let local = stream.local_addr().map(|a| text_of(&a)).unwrap_or_default();
    let refusal = mailbox.with(|engine| {
        let guarded = engine.world.config.protected_mode && engine.world.acl.default_user().nopass;
        (guarded && !is_loopback(&peer)).then_some(PROTECTED_MODE)
    });
    let session = Session {
        origin: if tls.is_some() { Origin::Tls } else { Origin::Tcp },
        peer: text_of(&peer).into(),
        local: local.into(),
        fd: stream.as_raw_fd(),
        ..Session::default()
    };
    if let Some(text) = refusal {
        mailbox.with(|engine| engine.world.stats.rejected_connections += 1);
        if tls.is_none() {
            let _ = stream.try_write(text.as_bytes());
        }
        return;
    }
    let Some(tls) = tls else {
        start(Client::Tcp(stream), session, mailbox);
        return;
    };
    let established = Arc::new(AtomicBool::new(false));
    if let Some(client) = start(Client::Tls(stream, tls.server(), established.clone()), session, mailbox) {
        local::spawn(expect_handshake(client, established, mailbox.clone()));
    }
}

/// How long a client may take for its handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Closes a client that has not shaken hands in time: it would hold its place for ever.
async fn expect_handshake(client: ClientId, established: Arc<AtomicBool>, mailbox: Mailbox) {
    tokio::time::sleep(HANDSHAKE_MAX).await;
    if established.load(Ordering::Relaxed) {
        return;
    }
    mailbox.with(|engine| {
        if let Some(session) = engine.world.sessions.get_mut(client) {
            tracing::debug!("Client {} took too long for the TLS handshake", session.peer);
            session.closing = true;
            if let Some(link) = &session.link {
                link.close_now();
            }
        }
    });
}

fn accept_unix(stream: UnixStream, path: &str, mailbox: &Mailbox) {
    let session = Session {
        origin: Origin::Unix,
        peer: format!("{path}:0").into(),
        local: format!("{path}:0").into(),
        fd: stream.as_raw_fd(),
        ..Session::default()
    };
    start(Client::Unix(stream), session, mailbox);
}

/// A new client's socket, on the thread that accepted it.
enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(TcpStream, Arc<rustls::ServerConfig>, Arc<AtomicBool>),
}

impl Client {
    fn try_write(&self, bytes: &[u8]) {
        // A client that is turned away may not read it; nothing depends on it.
        let _ = match self {
            Client::Tcp(stream) => stream.try_write(bytes),
            Client::Unix(stream) => stream.try_write(bytes),
            // It could not be read before the handshake.
            Client::Tls(..) => return,
        };
    }

    fn into_new_socket(self) -> io::Result<NewSocket> {
        Ok(match self {
            Client::Tcp(stream) => NewSocket::Tcp(stream.into_std()?),
            Client::Unix(stream) => NewSocket::Unix(stream.into_std()?),
            Client::Tls(stream, config, established) => NewSocket::Tls { stream: stream.into_std()?, config, established },
        })
    }

    fn into_split(self) -> Result<(ReadHalf, WriteHalf), rustls::Error> {
        Ok(match self {
            Client::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Client::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            Client::Tls(stream, config, established) => {
                let (reader, channel) = tls::stream::start(stream, config, established)?;
                (ReadHalf::Tls(reader), WriteHalf::Tls(channel))
            }
        })
    }
}

/// Files the client and gives its socket to the thread that is to serve it. `None` if it was turned away.
fn start(socket: Client, mut session: Session, mailbox: &Mailbox) -> Option<ClientId> {
    let admitted = mailbox.with(|engine| {
        let now = crate::clock::Clock::Real.millis();
        session.connected_at = now;
        session.active_at = now;
        session.db = DbIndex(0);
        engine.world.welcome(&mut session);
        let limits = engine.world.limits(&session);
        let commands = engine.world.commands.clone();
        engine.admit_client(Box::new(session)).map(|(client, slot)| (client, slot, limits, commands))
    });
    let Ok((client, slot, limits, commands)) = admitted else {
        socket.try_write(b"-ERR max number of clients reached\r\n");
        return None;
    };
    let gauge = Arc::new(Gauge::default());
    let attach = |link: Box<dyn Link>, thread: u16| {
        mailbox.with(|engine| {
            if let Some(session) = engine.world.sessions.get_mut(client) {
                session.link = Some(link);
                session.io_thread = thread;
            }
        });
    };
    if let Some((thread, orders)) = mailbox.thread_for(client) {
        // The session's slot is unique among clients of all threads, so it serves as the place on the thread, too.
        let place = slot as u32;
        attach(Box::new(RemoteLink { orders: orders.clone(), connection: place, client, gauge: gauge.clone() }), thread);
        match socket.into_new_socket() {
            Ok(socket) => orders.send(ToConnection::Adopt { socket, place, client, slot, limits, gauge }),
            Err(_) => mailbox.post(Event::Disconnected(client)),
        }
        return Some(client);
    }
    let (read, write) = match socket.into_split() {
        Ok(halves) => halves,
        Err(error) => {
            tracing::warn!("Error accepting a client connection: {error}");
            mailbox.post(Event::Disconnected(client));
            return None;
        }
    };
    let connection = Connection::new(write, Rc::new(mailbox.clone()), 0, limits, gauge);
    let place = mailbox.add_home(connection.clone());
    connection.set_place(place);
    attach(Box::new(LocalLink(connection.clone())), 0);
    let mailbox = mailbox.clone();
    local::spawn(async move {
        connection.run(read, client, slot, commands).await;
        mailbox.remove_home(place);
    });
    Some(client)
}

fn is_loopback(peer: &SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

/// `address:port`, with brackets around IPv6 as clients parse it.
fn text_of(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) => format!("[{}]:{}", v6.ip(), v6.port()),
        SocketAddr::V4(_) => address.to_string(),
    }
}

/// What a stranger hears from a server without a password. The beginning up to "protected mode" is matched by tools.
const PROTECTED_MODE: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set \
for the default user. In this mode connections are only accepted from the loopback interface. To connect from elsewhere: \
1) switch protected mode off with CONFIG SET protected-mode no, from a client on this host, once the server cannot be \
reached from networks that you do not trust (CONFIG REWRITE makes it last); 2) or write 'protected-mode no' into the \
configuration file and restart; 3) or start with --protected-mode no; 4) or set a password for the default user.\r\n";
