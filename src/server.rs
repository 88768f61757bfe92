//! Builds every part, joins them, and stops them in order: the only file that knows all of them.

mod oom_score;
pub mod title;
mod watchdog;

use crate::acl::{Acl, Rules};
use crate::clock::{self, Clock};
use crate::command::table::CommandTable;
use crate::commands;
use crate::config::Config;
use crate::engine::batch::Post;
use crate::engine::event::{Event, Outcome};
use crate::engine::{Mailbox, cron, loading};
use crate::keyspace::Keyspace;
use crate::migration::{Connections, Job};
use crate::net::listener::{self, BindError, Bound, Door, Kind};
use crate::net::tls::client::Peers;
use crate::net::tls::{self, Tls};
use crate::net::{self, io_thread, local, runtime};
use crate::persist::Persistence;
use crate::persist::disk::Disk;
use crate::scripting::Scripting;
use crate::session::Registry;
use crate::stats::Stats;
use crate::stream::WriteStream;
use crate::world::{DebugSwitches, Identity, Listeners, Outside, Shutdown, SlowRecords, World};
use oom_score::OomScore;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;
use watchdog::Watchdog;

/// Which TCP port to listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// A free one, chosen by the system.
    Auto,
    Number(u16),
    /// None.
    None,
}

impl Port {
    /// As the configuration has it: the number, and whether the system chooses.
    fn setting(self) -> (i64, bool) {
        match self {
            Port::Auto => (0, true),
            Port::Number(n) => (n as i64, false),
            Port::None => (0, false),
        }
    }
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
    tls_address: Option<SocketAddr>,
    stop: Option<tokio::sync::mpsc::UnboundedSender<Shutdown>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Collects what a server is to be like.
pub struct Builder {
    config: Config,
    clock: Clock,
    disk: Option<Arc<dyn Disk>>,
    /// Data files were spoken of.
    has_data: bool,
}

impl Server {
    /// A builder with the defaults of a server for tests: loopback only, any free port, no snapshots. A data file that lies in
    /// the working directory is left alone unless one of `dir`, `dbfilename`, `save` and `appendonly` is set.
    pub fn builder() -> Builder {
        let mut config = Config { bind: vec!["127.0.0.1".into()], port: 0, port_auto: true, ..Config::default() };
        config.save.clear();
        Builder { config, clock: Clock::Real, disk: None, has_data: false }
    }

    /// Where it listens. Port 0 if it has a Unix socket only.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS, if it does.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
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
        (self.config.port, self.config.port_auto) = port.setting();
        self
    }

    /// The port for TLS; there is none unless asked for. Certificates are given with `set`.
    pub fn tls_port(mut self, port: Port) -> Self {
        (self.config.tls_port, self.config.tls_port_auto) = port.setting();
        self
    }

    /// Any directive of redis.conf. Panics on one that is unknown or refused: it is a mistake in the calling program.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let line = format!("{name} {value}");
        let origin = std::path::Path::new("builder");
        if let Err(error) = crate::config::file::apply_str(&mut self.config, &line, origin) {
            panic!("{line}: {error}");
        }
        self.has_data |= ["dir", "dbfilename", "save", "appendonly"].iter().any(|known| name.eq_ignore_ascii_case(known));
        self
    }

    /// A clock to be moved by hand.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A disk for the append-only file other than this machine's.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Starts the server on a thread of its own and returns when it has loaded its data and listens.
    ///
    /// # Errors
    /// An address that cannot be had, a broken data file, or no thread or runtime for the server.
    pub fn start(self) -> std::io::Result<Server> {
        let (ready, started) = mpsc::channel();
        let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        let Builder { mut config, clock, disk, has_data } = self;
        let thread = std::thread::Builder::new().name("redstart".into()).spawn(move || {
            let bound = match bind(&config) {
                Ok(bound) => bound,
                Err(error) => {
                    let kind = match &error {
                        StartError::Address(error) => error.error.kind(),
                        StartError::Tls(_) => std::io::ErrorKind::InvalidInput,
                    };
                    let _ = ready.send(Err(std::io::Error::new(kind, error)));
                    return;
                }
            };
            settle_ports(&mut config, &bound);
            let (port, tls_port) = (address_of(&bound, Kind::Tcp), address_of(&bound, Kind::Tls));
            let runtime = match runtime::engine() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let mut world = world(config, clock, port.or(tls_port).map_or(0, |a| a.port()), String::new());
            world.persistence.aof.set_surroundings(disk, None);
            world.persistence.starts_empty = !has_data;
            if let Err(errors) = world.load_users() {
                let _ = ready.send(Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, errors)));
                return;
            }
            if let Err(reason) = world.become_sentinel().and_then(|()| world.join_cluster()) {
                let _ = ready.send(Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason)));
                return;
            }
            let bus = match bind_bus(&world.config) {
                Ok(bus) => bus,
                Err(error) => {
                    let _ = ready.send(Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, error)));
                    return;
                }
            };
            runtime.block_on(async move {
                let mailbox = Mailbox::new(world);
                let address = port.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
                let signals = mailbox.clone();
                local::spawn(async move {
                    let shutdown = stopped.recv().await.unwrap_or_default();
                    signals.post(Event::Signal(shutdown));
                });
                let loaded = move |outcome: Result<(), &str>| {
                    let failed = |reason: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, reason.to_owned());
                    let _ = ready.send(outcome.map(|()| (address, tls_port)).map_err(failed));
                };
                serve(mailbox, bound, bus, loaded).await;
            });
        })?;
        match started.recv() {
            Ok(Ok((address, tls_address))) => Ok(Server { address, tls_address, stop: Some(stop), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(std::io::Error::other("the server's thread ended before it listened")),
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug)]
pub enum StartError {
    Address(BindError),
    Tls(tls::Refusal),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Address(BindError { address, error, .. }) => write!(f, "{address}: {error}"),
            StartError::Tls(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        StartError::Address(error)
    }
}

impl From<tls::Refusal> for StartError {
    fn from(refusal: tls::Refusal) -> Self {
        StartError::Tls(refusal)
    }
}

/// Binds everything that the configuration asks for. Optional addresses that this machine lacks are left out.
///
/// # Errors
/// The first address that cannot be had and is not optional, or what TLS lacks.
pub fn bind(config: &Config) -> Result<Vec<Bound>, StartError> {
    let mut bound: Vec<Bound> = bind_tcp(config, Plan::plain(config))?.into_iter().map(Bound::Tcp).collect();
    let plan = Plan::tls(config);
    if config.tls_replication || config.tls_cluster {
        Peers::check(config)?;
    }
    if plan.is_wanted() {
        let tls = Rc::new(Tls::load(config)?);
        bound.extend(bind_tcp(config, plan)?.into_iter().map(|listener| Bound::Tls(listener, tls.clone())));
    }
    if !config.unixsocket.is_empty() {
        let permissions = (config.unixsocketperm != 0).then_some(config.unixsocketperm as u32);
        bound.push(Bound::Unix(listener::bind_unix(&config.unixsocket, permissions, backlog(config))?));
    }
    Ok(bound)
}

/// Binds the port of the cluster bus on every address that clients are served at, if the server is a node.
///
/// # Errors
/// The first address that cannot be had and is not optional.
pub fn bind_bus(config: &Config) -> Result<Vec<std::net::TcpListener>, StartError> {
    match crate::cluster::bus_port(config).filter(|_| config.cluster_enabled) {
        Some(port) => Ok(bind_tcp(config, Plan { port, auto: false })?),
        None => Ok(Vec::new()),
    }
}

/// Which port to bind.
#[derive(Clone, Copy)]
struct Plan {
    port: u16,
    /// Port 0 stands for a free one, not for none.
    auto: bool,
}

impl Plan {
    fn plain(config: &Config) -> Plan {
        Plan { port: config.port as u16, auto: config.port_auto }
    }

    fn tls(config: &Config) -> Plan {
        Plan { port: config.tls_port as u16, auto: config.tls_port_auto }
    }

    fn is_wanted(self) -> bool {
        self.port != 0 || self.auto
    }
}

fn bind_tcp(config: &Config, plan: Plan) -> Result<Vec<std::net::TcpListener>, BindError> {
    let mut bound = Vec::new();
    let mut port = plan.port;
    if !plan.is_wanted() {
        return Ok(bound);
    }
    for address in config.bind.iter().filter(|address| !address.is_empty()) {
        match listener::bind_tcp(address, port, backlog(config)) {
            Ok(listener) => {
                // With a port of the system's choice every further address takes the same.
                port = listener.local_addr().map_or(port, |a| a.port());
                bound.push(listener);
            }
            Err(error) if error.optional && is_missing_address(&error.error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}

/// How many connections may wait to be accepted. What was set is obeyed. Where nobody set anything the room is larger than the
/// number that is shown: it costs nothing, and of thousands of clients that come at once those for whom there is none try again
/// only after a second, after two, after four.
fn backlog(config: &Config) -> i32 {
    /// What the kernel allows by default.
    const AMPLE: i32 = 4096;
    if config.tcp_backlog == Config::default().tcp_backlog { AMPLE } else { config.tcp_backlog as i32 }
}

fn is_missing_address(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::EADDRNOTAVAIL))
}

/// Notes the ports that the system chose, where it was asked to choose.
pub fn settle_ports(config: &mut Config, bound: &[Bound]) {
    if let Some(address) = address_of(bound, Kind::Tcp).filter(|_| config.port_auto) {
        config.port = address.port().into();
    }
    if let Some(address) = address_of(bound, Kind::Tls).filter(|_| config.tls_port_auto) {
        config.tls_port = address.port().into();
    }
}

/// The first address of a kind.
pub fn address_of(bound: &[Bound], kind: Kind) -> Option<SocketAddr> {
    bound.iter().filter(|bound| bound.kind() == kind).find_map(Bound::address)
}

/// A fresh world.
pub fn world(mut config: Config, clock: Clock, tcp_port: u16, executable: String) -> World {
    let renames = &config.rename_commands;
    let commands = Arc::new(match config.sentinel_mode {
        true => CommandTable::new(commands::sentinel::all(), renames),
        false => CommandTable::new(commands::all(), renames),
    });
    let acl = Acl::new(Rules::new(&*commands, &config), &config.requirepass);
    if config.cluster_enabled {
        config.databases = 1;
    }
    let seed = clock::entropy();
    let keyspace = Keyspace::new(config.databases.max(1) as usize, clock, seed);
    let config_file = config.config_file.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let scripting = Scripting::default();
    let mut persistence = Persistence::new(Clock::Real.micros() / 1_000_000);
    persistence.functions = scripting.libraries.sources();
    let mut world = World {
        keyspace,
        sessions: Registry::default(),
        acl,
        blocked: Default::default(),
        pubsub: Default::default(),
        tracking: Default::default(),
        monitors: Vec::new(),
        pause: None,
        announced: 0,
        stats: Stats::new(commands.len()),
        commands,
        config,
        stream: WriteStream::default(),
        replication: Default::default(),
        slow: SlowRecords::default(),
        recent: Default::default(),
        persistence,
        scripting,
        cluster: None,
        sentinel: None,
        migration: Default::default(),
        scheduled_end: None,
        ending: None,
        awaiting_end: Vec::new(),
        awaiting_safety: Vec::new(),
        orders: Default::default(),
        identity: Identity {
            run_id: clock::random_id(),
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
        limits_client_memory: false,
        memory_short: false,
        memory: Default::default(),
        read_only: false,
        is_restricted: false,
        in_transaction: false,
        measure_all: false,
        last_ended: None,
    };
    world.adopt_config();
    world
}

/// Loads the data and serves until the engine ends. Clients are answered from the start on; `loaded` is called when the data
/// are there, or why they are not, which ends the server.
pub async fn serve(
    mailbox: Mailbox,
    bound: Vec<Bound>,
    bus: Vec<std::net::TcpListener>,
    loaded: impl FnOnce(Result<(), &str>),
) -> Outcome {
    let tls = bound.iter().find_map(|bound| match bound {
        Bound::Tls(_, tls) => Some(tls.clone()),
        _ => None,
    });
    let doors = bound.into_iter().filter_map(|bound| match Door::open(bound, &mailbox) {
        Ok(door) => Some(door),
        Err(error) => {
            tracing::warn!("A listening socket cannot be served: {error}");
            None
        }
    });
    let doors = RefCell::new(doors.collect());
    let (oom_score, watchdog) = (OomScore::default(), Watchdog::default());
    let surroundings: Rc<Surroundings> = Rc::new(Surroundings {
        mailbox: mailbox.clone(),
        doors,
        oom_score,
        watchdog,
        tls: RefCell::new(tls),
        peers: Peers::default(),
    });
    // A refusal is in the log; the server is of use without.
    let _ = mailbox.with(|engine| surroundings.oom_score.apply(&engine.world.config));
    let _ = mailbox.with(|engine| surroundings.watchdog.apply(&engine.world.config));
    mailbox.with(|engine| engine.world.outside = Some(surroundings.clone()));
    mailbox.with(|engine| crate::sys::crash::watch(&engine.world.recent));
    watch_disk(&mailbox);
    local::spawn(mailbox.clone().go_on());
    local::spawn(crate::engine::snapshot::run(mailbox.clone()));
    local::spawn(crate::engine::replication::run(mailbox.clone()));
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
    let mut ended = ended;
    let started = tokio::select! {
        // Whoever ends the server does not wait until it has loaded its data.
        outcome = &mut ended => Err(outcome.ok()),
        loaded = loading::at_start(&mailbox) => Ok(loaded),
    };
    let outcome = match started {
        Ok(Ok(())) => {
            mailbox.with(|engine| engine.world.claim_slots());
            if let Err(error) = net::bus::open(&mailbox, bus) {
                tracing::warn!("The cluster bus cannot be served: {error}");
            }
            net::sentinel::open(&mailbox);
            local::spawn(cron::run(mailbox.clone()));
            loaded(Ok(()));
            ended.await.ok()
        }
        Ok(Err(reason)) => {
            loaded(Err(&reason));
            Some(loading::failed())
        }
        Err(outcome) => outcome,
    };
    let outcome = outcome.unwrap_or(Outcome { shutdown: Shutdown::default() });
    for path in surroundings.doors.borrow().iter().map(|door| door.path()).filter(|path| !path.is_empty()) {
        tracing::info!("Removing the unix socket file.");
        let _ = std::fs::remove_file(path);
    }
    // Who sees its connection end must not find the door still open.
    surroundings.doors.borrow().iter().for_each(|door| door.close());
    // The surroundings know the mailbox and the mailbox knows them.
    mailbox.with(|engine| engine.world.outside = None);
    mailbox.forget_clients();
    outcome
}

/// Has the engine look at the append-only file whenever its writer has news.
fn watch_disk(mailbox: &Mailbox) {
    let news = Arc::new(tokio::sync::Notify::new());
    let teller = news.clone();
    let tell = Arc::new(move || teller.notify_one());
    mailbox.with(|engine| engine.world.persistence.aof.set_surroundings(None, Some(tell)));
    let mailbox = mailbox.clone();
    local::spawn(async move {
        loop {
            news.notified().await;
            mailbox.look_at_disk();
        }
    });
}

/// What CONFIG SET reaches outside of the world.
struct Surroundings {
    mailbox: Mailbox,
    doors: RefCell<Vec<Rc<Door>>>,
    oom_score: OomScore,
    watchdog: Watchdog,
    /// There is one as soon as anything speaks TLS.
    tls: RefCell<Option<Rc<Tls>>>,
    peers: Peers,
}

impl Outside for Surroundings {
    fn apply(&self, before: &Config, after: &mut Config, names: &[&'static str]) -> Result<(), (&'static str, String)> {
        let applied = self.apply_in_turn(before, after, names);
        if applied.is_err() && names.iter().any(|name| name.starts_with("oom-score-adj")) {
            // It was the first; what could not be set says so in the log.
            let _ = self.oom_score.apply(before);
        }
        applied
    }

    fn migrate(&self, job: Job, connections: Connections) {
        let mailbox = self.mailbox.clone();
        local::spawn(async move {
            // If the thread is lost the client goes on waiting, until it is told otherwise or its patience ends.
            if let Ok(outcome) = tokio::task::spawn_blocking(move || job.run(&connections)).await {
                mailbox.post(Event::Migrated(Box::new(outcome)));
            }
        });
    }

    fn role_changed(&self, config: &Config) {
        // A refusal is in the log.
        let _ = self.oom_score.apply(config);
    }

    fn tls_to_others(&self, config: &Config) -> Result<Arc<rustls::ClientConfig>, String> {
        self.peers.client(config).map_err(|refusal| refusal.to_string())
    }

    fn tls_of_nodes(&self, config: &Config) -> Result<Arc<rustls::ServerConfig>, String> {
        self.peers.node(config).map_err(|refusal| refusal.to_string())
    }

    fn listeners(&self) -> Vec<String> {
        let doors = self.doors.borrow();
        let mut lines = Vec::new();
        for kind in [Kind::Tcp, Kind::Unix, Kind::Tls] {
            let doors = doors.iter().filter(|door| door.kind() == kind);
            let Some(first) = doors.clone().next() else { continue };
            let place =
                |door: &Rc<Door>| door.address().map_or_else(|| door.path().to_owned(), |address| address.ip().to_string());
            let binds: String = doors.map(|door| format!(",bind={}", place(door))).collect();
            let port = first.address().map(|address| format!(",port={}", address.port())).unwrap_or_default();
            lines.push(format!("name={}{binds}{port}", kind.name()));
        }
        lines
    }
}

/// Descriptors that the server needs beside those of its clients.
pub const RESERVED_FILES: u64 = 32;

/// True if a directive is worth a look at all that makes up TLS.
fn is_about_tls(name: &str) -> bool {
    tls::settings::DIRECTIVES.contains(&name) || ["tls-port", "tls-replication", "tls-cluster"].contains(&name)
}

impl Surroundings {
    /// Acts on directives one after another.
    fn apply_in_turn(&self, before: &Config, after: &mut Config, names: &[&'static str]) -> Result<(), (&'static str, String)> {
        for name in ["oom-score-adj", "oom-score-adj-values"] {
            if names.contains(&name) && self.oom_score.apply(after).is_err() {
                return Err((name, "Failed to set current oom_score_adj. Check server logs.".into()));
            }
        }
        if names.contains(&"watchdog-period")
            && let Err(error) = self.watchdog.apply(after)
        {
            return Err(("watchdog-period", format!("no thread: {error}")));
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
        if let Some(name) = names.iter().find(|name| is_about_tls(name)) {
            self.peers.forget();
            self.set_tls(after).map_err(|refusal| {
                tracing::warn!("{refusal}");
                (*name, "Unable to update TLS configuration. Check server logs.".to_owned())
            })?;
        }
        if names.contains(&"proc-title-template") {
            title::show(after);
        }
        let addresses = ["bind", "port", "tls-port"];
        let Some(name) = addresses.into_iter().find(|name| names.contains(name)) else { return Ok(()) };
        let kinds: &[Kind] = match name {
            "bind" => &[Kind::Tcp, Kind::Tls],
            _ if names.contains(&"port") && names.contains(&"tls-port") => &[Kind::Tcp, Kind::Tls],
            "port" => &[Kind::Tcp],
            _ => &[Kind::Tls],
        };
        self.listen(before, after, kinds).map_err(|_| match name {
            "bind" => (name, "Failed to bind to specified addresses.".to_owned()),
            _ => (name, "Unable to listen on this port. Check server logs.".to_owned()),
        })?;
        title::show(after);
        Ok(())
    }

    /// Has new clients meet the certificates that `after` names, if anything speaks TLS.
    fn set_tls(&self, after: &Config) -> Result<(), tls::Refusal> {
        if after.tls_replication || after.tls_cluster {
            Peers::check(after)?;
        }
        let mut tls = self.tls.borrow_mut();
        match &*tls {
            Some(tls) => tls.reload(after),
            None if Plan::tls(after).is_wanted() => {
                *tls = Some(Rc::new(Tls::load(after)?));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Listens where `after` says instead of where `before` said, for these kinds of sockets. The old sockets are closed first, as a new one may be for
    /// the same address; if the new ones cannot be had, the old addresses are bound again.
    fn listen(&self, before: &Config, after: &mut Config, kinds: &[Kind]) -> Result<(), BindError> {
        let mut doors = self.doors.borrow_mut();
        doors.retain(|door| {
            let stays = !kinds.contains(&door.kind());
            if !stays {
                door.close();
            }
            stays
        });
        let mut result = Ok(());
        let bound = match self.bind(after, kinds) {
            Ok(bound) => bound,
            Err(error) => {
                tracing::warn!("Failed listening on {}: {}", error.address, error.error);
                result = Err(error);
                self.bind(before, kinds).unwrap_or_default()
            }
        };
        if result.is_ok() {
            settle_ports(after, &bound);
        }
        doors.extend(bound.into_iter().filter_map(|bound| Door::open(bound, &self.mailbox).ok()));
        result
    }

    fn bind(&self, config: &Config, kinds: &[Kind]) -> Result<Vec<Bound>, BindError> {
        let mut bound = Vec::new();
        if kinds.contains(&Kind::Tcp) {
            bound.extend(bind_tcp(config, Plan::plain(config))?.into_iter().map(Bound::Tcp));
        }
        if kinds.contains(&Kind::Tls)
            && let Some(tls) = &*self.tls.borrow()
        {
            bound.extend(bind_tcp(config, Plan::tls(config))?.into_iter().map(|listener| Bound::Tls(listener, tls.clone())));
        }
        Ok(bound)
    }
}
