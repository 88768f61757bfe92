//! Builds every part, joins them, and stops them in order: the only file that knows all of them.

use crate::clock::{self, Clock};
use crate::command::table::CommandTable;
use crate::commands;
use crate::config::Config;
use crate::engine::batch::Post;
use crate::engine::event::{Event, Outcome};
use crate::engine::{Mailbox, cron};
use crate::keyspace::Keyspace;
use crate::net::listener::{self, BindError, Bound, Door};
use crate::net::{io_thread, local, runtime};
use crate::persist::{LoadFailure, Persistence};
use crate::session::Registry;
use crate::stats::Stats;
use crate::stream::WriteStream;
use crate::world::{DebugSwitches, Identity, Listeners, Outside, Shutdown, SlowRecords, World};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

/// Which TCP port to listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// A free one, chosen by the system.
    Auto,
    Number(u16),
    /// None: a Unix socket only.
    None,
}

/// A server in this process, on a thread of its own. Dropping it stops it.
///
/// ```
/// use redstart::server::{Port, Server};
/// use std::io::{Read, Write};
///
/// let server = Server::builder().port(Port::Auto).start().unwrap();
/// let mut client = std::net::TcpStream::connect(server.address()).unwrap();
/// client.write_all(b"PING\r\n").unwrap();
/// let mut reply = [0; 7];
/// client.read_exact(&mut reply).unwrap();
/// assert_eq!(&reply, b"+PONG\r\n");
/// ```
pub struct Server {
    address: SocketAddr,
    stop: Option<tokio::sync::mpsc::UnboundedSender<Shutdown>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Collects what a server is to be like.
pub struct Builder {
    config: Config,
    clock: Clock,
}

impl Server {
    /// A builder with the defaults of a server for tests: loopback only, any free port, no snapshots.
    pub fn builder() -> Builder {
        let mut config = Config { bind: vec!["127.0.0.1".into()], port: 0, port_auto: true, ..Config::default() };
        config.save.clear();
        Builder { config, clock: Clock::Real }
    }

    /// Where it listens. Port 0 if it has a Unix socket only.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://…` for client libraries.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(Shutdown { save: Some(false), now: true, ..Shutdown::default() });
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Builder {
    /// The TCP port.
    pub fn port(mut self, port: Port) -> Self {
        (self.config.port, self.config.port_auto) = match port {
            Port::Auto => (0, true),
            Port::Number(n) => (n as i64, false),
            Port::None => (0, false),
        };
        self
    }

    /// Any directive of redis.conf. Panics on one that is unknown or refused: it is a mistake in the calling program.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let line = format!("{name} {value}");
        let origin = std::path::Path::new("builder");
        if let Err(error) = crate::config::file::apply_str(&mut self.config, &line, origin) {
            panic!("{line}: {error}");
        }
        self
    }

    /// A clock to be moved by hand.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the server on a thread of its own and returns when it has loaded its data and listens.
    ///
    /// # Errors
    /// An address that cannot be had, a broken data file, or no thread or runtime for the server.
    pub fn start(self) -> std::io::Result<Server> {
        let (ready, started) = mpsc::channel();
        let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        let Builder { config, clock } = self;
        let thread = std::thread::Builder::new().name("redstart".into()).spawn(move || {
            let bound = match bind(&config) {
                Ok(bound) => bound,
                Err(error) => {
                    let text = format!("{}: {}", error.address, error.error);
                    let _ = ready.send(Err(std::io::Error::new(error.error.kind(), text)));
                    return;
                }
            };
            let port = bound.iter().find_map(tcp_address);
            let runtime = match runtime::engine() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let mut world = world(config, clock, port.map_or(0, |a| a.port()), String::new());
            if let Err(failure) = load(&mut world) {
                let _ = ready.send(Err(std::io::Error::new(std::io::ErrorKind::InvalidData, failure)));
                return;
            }
            runtime.block_on(async move {
                let mailbox = Mailbox::new(world);
                let address = port.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
                let _ = ready.send(Ok(address));
                let signals = mailbox.clone();
                local::spawn(async move {
                    let shutdown = stopped.recv().await.unwrap_or_default();
                    signals.post(Event::Signal(shutdown));
                });
                serve(mailbox, bound).await;
            });
        })?;
        match started.recv() {
            Ok(Ok(address)) => Ok(Server { address, stop: Some(stop), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(std::io::Error::other("the server's thread ended before it listened")),
        }
    }
}

/// Binds everything that the configuration asks for. Optional addresses that this machine lacks are left out.
///
/// # Errors
/// The first address that cannot be had and is not optional.
pub fn bind(config: &Config) -> Result<Vec<Bound>, BindError> {
    let mut bound = bind_tcp(config)?;
    if !config.unixsocket.is_empty() {
        let permissions = (config.unixsocketperm != 0).then_some(config.unixsocketperm as u32);
        bound.push(Bound::Unix(listener::bind_unix(&config.unixsocket, permissions, config.tcp_backlog as i32)?));
    }
    Ok(bound)
}

fn bind_tcp(config: &Config) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::new();
    let mut port = config.port as u16;
    if port == 0 && !config.port_auto {
        return Ok(bound);
    }
    for address in config.bind.iter().filter(|address| !address.is_empty()) {
        match listener::bind_tcp(address, port, config.tcp_backlog as i32) {
            Ok(listener) => {
                // With a port of the system's choice every further address takes the same.
                port = listener.local_addr().map_or(port, |a| a.port());
                bound.push(Bound::Tcp(listener));
            }
            Err(error) if error.optional && is_missing_address(&error.error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}

fn is_missing_address(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::EADDRNOTAVAIL))
}

/// The address of a TCP listener.
pub fn tcp_address(bound: &Bound) -> Option<SocketAddr> {
    bound.address()
}

/// A fresh world.
pub fn world(config: Config, clock: Clock, tcp_port: u16, executable: String) -> World {
    let commands = Arc::new(CommandTable::new(commands::all(), &config.rename_commands));
    let seed = clock::entropy();
    let keyspace = Keyspace::new(config.databases.max(1) as usize, clock, seed);
    let config_file = config.config_file.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let mut world = World {
        keyspace,
        sessions: Registry::default(),
        blocked: Default::default(),
        pubsub: Default::default(),
        monitors: Vec::new(),
        pause: None,
        announced: 0,
        stats: Stats::new(commands.len()),
        commands,
        config,
        stream: WriteStream::default(),
        slow: SlowRecords::default(),
        persistence: Persistence::new(Clock::Real.micros() / 1_000_000),
        scripting: Default::default(),
        orders: Default::default(),
        identity: Identity {
            run_id: clock::random_id(),
            replication_id: clock::random_id(),
            started: Instant::now(),
            started_unix_seconds: Clock::Real.micros() / 1_000_000,
            tcp_port,
            startup_memory: crate::raw::alloc::used() as u64,
            config_file,
            executable,
        },
        debug: DebugSwitches::default(),
        listeners: Listeners::default(),
        outside: None,
        log: None,
        memory_short: false,
        measure_all: false,
    };
    world.adopt_config();
    world
}

/// Fills a fresh world from the data file, if there is one.
///
/// # Errors
/// The file is broken or cannot be read. It is left as it is.
pub fn load(world: &mut World) -> Result<(), LoadFailure> {
    let World { persistence, keyspace, config, .. } = world;
    persistence.load(keyspace, config, false)
}

/// Serves until the engine ends.
pub async fn serve(mailbox: Mailbox, bound: Vec<Bound>) -> Outcome {
    let doors = bound.into_iter().filter_map(|bound| match Door::open(bound, &mailbox) {
        Ok(door) => Some(door),
        Err(error) => {
            tracing::warn!("A listening socket cannot be served: {error}");
            None
        }
    });
    let doors = RefCell::new(doors.collect());
    let surroundings = Rc::new(Surroundings { mailbox: mailbox.clone(), doors });
    mailbox.with(|engine| engine.world.outside = Some(surroundings.clone()));
    local::spawn(cron::run(mailbox.clone()));
    local::spawn(mailbox.clone().go_on());
    let (threads, commands) = mailbox.with(|e| (e.world.config.io_threads.max(1) as usize - 1, e.world.commands.clone()));
    if let Err(error) = io_thread::start(&mailbox, &commands, threads) {
        tracing::warn!("Can't start I/O threads: {error}");
    }
    // Not the root future: waking that one costs a system call.
    let (done, ended) = tokio::sync::oneshot::channel();
    let engine = mailbox.clone();
    local::spawn(async move {
        let outcome = engine.run().await;
        let _ = done.send(outcome);
    });
    let outcome = ended.await.unwrap_or(Outcome { shutdown: Shutdown::default() });
    // Who sees its connection end must not find the door still open.
    surroundings.doors.borrow().iter().for_each(|door| door.close());
    // The surroundings know the mailbox and the mailbox knows them.
    mailbox.with(|engine| engine.world.outside = None);
    mailbox.forget_clients();
    outcome
}

/// What CONFIG SET reaches outside of the world.
struct Surroundings {
    mailbox: Mailbox,
    doors: RefCell<Vec<Rc<Door>>>,
}

impl Outside for Surroundings {
    fn apply(&self, before: &Config, after: &mut Config, names: &[&'static str]) -> Result<(), (&'static str, String)> {
        if names.contains(&"appendonly") && after.appendonly {
            return Err(("appendonly", "Persistence is not part of this version".into()));
        }
        if names.contains(&"maxclients") && after.maxclients > before.maxclients {
            let wanted = after.maxclients as u64 + RESERVED_FILES;
            let files = crate::sys::process::raise_open_files(wanted);
            if files < wanted {
                let possible = files.saturating_sub(RESERVED_FILES);
                let reason =
                    format!("The operating system is not able to handle the specified number of clients, try with {possible}");
                return Err(("maxclients", reason));
            }
        }
        if names.contains(&"port") {
            after.port_auto = false;
            return self
                .listen(before, after)
                .map_err(|_| ("port", "Unable to listen on this port. Check server logs.".to_owned()));
        }
        if names.contains(&"bind") {
            return self.listen(before, after).map_err(|_| ("bind", "Failed to bind to specified addresses.".to_owned()));
        }
        Ok(())
    }

    fn listeners(&self) -> Vec<String> {
        let doors = self.doors.borrow();
        let tcp: Vec<SocketAddr> = doors.iter().filter_map(|door| door.address()).collect();
        let mut lines = Vec::new();
        if let Some(first) = tcp.first() {
            let binds: String = tcp.iter().map(|address| format!("bind={},", address.ip())).collect();
            lines.push(format!("name=tcp,{binds}port={}", first.port()));
        }
        lines.extend(doors.iter().filter(|d| d.address().is_none()).map(|d| format!("name=unix,bind={}", d.path())));
        lines
    }
}

/// Descriptors that the server needs beside those of its clients.
pub const RESERVED_FILES: u64 = 32;

impl Surroundings {
    /// Listens where `after` says instead of where `before` said. The old sockets are closed first, as a new one may be for
    /// the same address; if the new ones cannot be had, the old addresses are bound again.
    fn listen(&self, before: &Config, after: &Config) -> Result<(), BindError> {
        let mut doors = self.doors.borrow_mut();
        let tcp_at = |door: &Rc<Door>| door.address();
        let port = doors.iter().find_map(tcp_at).map_or(0, |address| address.port());
        doors.retain(|door| {
            let stays = door.address().is_none();
            if !stays {
                door.close();
            }
            stays
        });
        let mut result = Ok(());
        let bound = match bind_tcp(&resolved(after, port)) {
            Ok(bound) => bound,
            Err(error) => {
                tracing::warn!("Failed listening on {}: {}", error.address, error.error);
                result = Err(error);
                bind_tcp(&resolved(before, port)).unwrap_or_default()
            }
        };
        doors.extend(bound.into_iter().filter_map(|bound| Door::open(bound, &self.mailbox).ok()));
        result
    }
}

/// A configuration with the port that the system chose, where it was asked to choose.
fn resolved(config: &Config, port: u16) -> Config {
    match config.port_auto {
        true => Config { port: port as i64, port_auto: false, ..config.clone() },
        false => config.clone(),
    }
}
