//! `World`: everything that belongs to "one Redis" — databases, clients, configuration, counters — in one value without
//! globals, so that a process can hold several.

mod cluster;
pub mod commandlog;
mod failover;
mod replication;
mod sentinel;
mod shutdown;
mod tls;
mod users;

use crate::acl::Acl;
use crate::cluster::Cluster;
use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandSpec, Flag};
use crate::command::table::CommandTable;
use crate::config::{Config, MaxmemoryPolicy, MemoryOrPercent, NotifyFlags, SanitizeDumpPayload};
use crate::keyspace::effects::Class;
use crate::keyspace::{Effect, Keyspace};
use crate::migration::{Connections, Job};
use crate::persist::Persistence;
use crate::persist::rdb::load::Library;
use crate::replication::Replication;
use crate::resp::reply::Mark;
use crate::resp::request::Args;
use crate::scripting::Scripting;
use crate::session::{Blocked, Pause, PubSub, Registry, Session, Tracking, Watch};
use crate::stats::Stats;
use crate::stream::WriteStream;
use crate::sys::crash::Recent;
use crate::types::ClientId;
use commandlog::{CommandLog, Remarkable};
pub use shutdown::{END_FAILED, End, Ending, Shutdown};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::warn;

/// One server's state.
pub struct World {
    pub keyspace: Keyspace,
    pub sessions: Registry,
    pub acl: Acl,
    pub blocked: Blocked,
    pub pubsub: PubSub,
    pub tracking: Tracking,
    /// Clients that are shown every command, with their places in the registry.
    pub monitors: Vec<(ClientId, usize)>,
    /// CLIENT PAUSE.
    pub pause: Option<Pause>,
    /// Classes of keyspace events that are published, and in which forms; 0 while nothing is.
    pub announced: u16,
    pub config: Config,
    pub commands: Arc<CommandTable>,
    pub stats: Stats,
    pub stream: WriteStream,
    pub replication: Replication,
    pub slow: SlowRecords,
    /// The commands that ran last, for the report on a crash, which finds them by their address.
    pub recent: Box<Recent>,
    pub persistence: Persistence,
    pub scripting: Scripting,
    /// There is one on a node of a cluster.
    pub cluster: Option<Box<Cluster>>,
    /// There is one on a sentinel.
    pub sentinel: Option<Box<sentinel::Watch>>,
    /// Keys on their way to other servers.
    pub migration: Migration,
    /// A signal asked for the end, and nothing has been done about it yet.
    pub scheduled_end: Option<Shutdown>,
    /// The end waits for replicas.
    pub ending: Option<Ending>,
    /// Clients that asked for it and wait with it.
    pub awaiting_end: Vec<ClientId>,
    /// Clients that wait until their writes are safe (WAIT, WAITAOF).
    pub awaiting_safety: Vec<ClientId>,
    /// What commands asked the engine to do, in order.
    pub orders: VecDeque<Order>,
    pub identity: Identity,
    /// DEBUG: switches that only tests turn.
    pub debug: DebugSwitches,
    pub listeners: Listeners,
    /// What directives reach beyond the world; none in tests without sockets.
    pub outside: Option<Rc<dyn Outside>>,
    /// The way to change the log level; none in servers that share a process's log.
    pub log: Option<crate::logging::LogControl>,
    /// More memory is used than `maxmemory` allows and nothing may be evicted: commands that add are refused.
    pub memory_short: bool,
    /// The memory of clients is limited, and so counted.
    pub limits_client_memory: bool,
    pub memory: MemoryGuard,
    /// Clients may not write: this server is a replica.
    pub read_only: bool,
    /// Some requests are refused for the state that the server is in: `dispatch::admit` asks which.
    pub is_restricted: bool,
    /// A transaction runs: what it does is not to be told apart.
    pub in_transaction: bool,
    /// Every command is measured alone, not only those that may take long.
    pub measure_all: bool,
    /// The time at which the request before this one ended, if it was measured and nothing has come between: to look at the clock
    /// costs as much as a fifth of a SET.
    pub last_ended: Option<std::time::Instant>,
}

impl World {
    /// True while requests do not simply run: clients are paused or monitored, some requests are refused, or a script takes long.
    #[inline]
    pub fn is_special(&self) -> bool {
        self.pause.is_some() | !self.monitors.is_empty() | self.is_restricted | self.scripting.busy.is_some()
    }

    /// What kind of server this is, as INFO, HELLO and the log name it.
    pub fn mode(&self) -> &'static str {
        match (self.config.sentinel_mode, self.cluster.is_some() || self.config.cluster_enabled) {
            (true, _) => "sentinel",
            (_, true) => "cluster",
            _ => "standalone",
        }
    }

    /// The pause of clients, unless it is over.
    pub fn paused(&self) -> Option<Pause> {
        self.pause_asked_for().or(self.stands_still().then_some(Pause { until: i64::MAX, all: false }))
    }

    /// The pause that a client asked for, unless it is over.
    pub fn pause_asked_for(&self) -> Option<Pause> {
        self.pause.filter(|pause| self.keyspace.env.now() < pause.until)
    }

    /// True while nothing may change here: another server takes over, or this one ends.
    fn stands_still(&self) -> bool {
        self.replication.is_failing_over() || self.ending.is_some()
    }

    /// Begins, changes or ends the pause of clients.
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        self.pause = pause;
        self.settle_pause();
    }

    fn settle_pause(&mut self) {
        self.keyspace.env.expiry_paused = self.pause.is_some() || self.stands_still();
    }

    /// Ends a client's transaction and its watch of keys.
    pub fn end_transaction(&mut self, session: &mut Session) {
        session.transaction = None;
        self.end_watch(session);
    }

    /// Ends a client's watch of keys.
    pub fn end_watch(&mut self, session: &mut Session) {
        if let Some(mut watch) = session.watch.take() {
            watch.end(&mut self.keyspace);
        }
    }

    /// Lets go of everything that a client holds here: it starts afresh, or is gone.
    pub fn let_go(&mut self, session: &mut Session) {
        self.end_transaction(session);
        self.pubsub.leave(session);
        if session.tracking {
            self.tracking.end(session);
            self.settle_changes();
        }
        if session.is_replica() {
            self.remove_replica(session.id);
        }
        if std::mem::take(&mut session.monitor) {
            self.monitors.retain(|(client, _)| *client != session.id);
        }
    }

    /// Changes of keys are logged if anybody wants to hear of them: clients that wait, clients that track, listeners.
    pub fn settle_changes(&mut self) {
        let effects = &mut self.keyspace.env.effects;
        effects.tracked = !self.tracking.is_idle();
        effects.watch_modified = effects.tracked || !self.blocked.is_empty() || self.listeners.any();
    }

    /// Forgets tracked keys beyond the limit, for the client whose request is running.
    pub fn limit_tracking(&mut self, by: Option<ClientId>) {
        let max = self.config.tracking_table_max_keys as usize;
        self.tracking.shrink_to(max, &mut self.sessions, &mut self.keyspace.env.rng, by);
    }

    /// Takes over what other parts keep in their own form of the configuration.
    pub fn adopt_config(&mut self) {
        let config = &self.config;
        let settings = &mut self.keyspace.env.settings;
        settings.lfu = matches!(config.maxmemory_policy, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu);
        let lru = matches!(config.maxmemory_policy, MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru);
        settings.shared_numbers = config.maxmemory == 0 || !(lru || settings.lfu);
        settings.lfu_log_factor = config.lfu_log_factor as u32;
        settings.lfu_decay_minutes = config.lfu_decay_time as u32;
        settings.lazyfree_user_del = config.lazyfree_lazy_user_del;
        settings.lazyfree_user_flush = config.lazyfree_lazy_user_flush;
        settings.lazyfree_server_del = config.lazyfree_lazy_server_del;
        settings.lazyfree_expire = config.lazyfree_lazy_expire;
        settings.bulk_max = config.proto_max_bulk_len as usize;
        settings.hll_sparse_max_bytes = config.hll_sparse_max_bytes as usize;
        settings.rdb_compression = config.rdbcompression;
        settings.sanitize_dumps = config.sanitize_dump_payload != SanitizeDumpPayload::No;
        settings.sanitize_by_user = config.sanitize_dump_payload == SanitizeDumpPayload::Clients;
        settings.limits.list_fill = config.list_max_listpack_size;
        settings.limits.list_compress_depth = config.list_compress_depth as usize;
        settings.limits.hash_entries = config.hash_max_listpack_entries as usize;
        settings.limits.hash_value = config.hash_max_listpack_value as usize;
        settings.limits.set_intset = config.set_max_intset_entries as usize;
        settings.limits.set_entries = config.set_max_listpack_entries as usize;
        settings.limits.set_value = config.set_max_listpack_value as usize;
        settings.limits.sorted_set_entries = config.zset_max_listpack_entries as usize;
        settings.limits.sorted_set_value = config.zset_max_listpack_value as usize;
        settings.limits.stream_node_bytes = config.stream_node_max_bytes as usize;
        settings.limits.stream_node_entries = config.stream_node_max_entries as usize;
        // Below a millisecond even a command of constant time can be slow, so each is measured.
        const EVERY_COMMAND_BELOW_MICROS: i64 = 1000;
        self.limits_client_memory = !matches!(config.maxmemory_clients, MemoryOrPercent::Bytes(0) | MemoryOrPercent::Percent(0));
        self.measure_all = (0..EVERY_COMMAND_BELOW_MICROS).contains(&config.slowlog_log_slower_than);
        self.slow.log.adopt_config(&self.config);
        self.keyspace.env.effects.streaming = self.stream.has_consumers();
        self.persistence.aof.adopt_config(&self.config);
        self.announced = announced(config.notify_keyspace_events);
        // Misses and new keys are far too frequent for those who did not ask for them by name.
        let heard = if self.listeners.any() { !(Class::NEW | Class::KEY_MISS) } else { 0 };
        self.keyspace.env.effects.notify = self.announced | heard;
        self.replication.lacking = self.replication.lacks_replicas(&self.config, crate::clock::Clock::Real.millis());
        self.review_restrictions();
        self.adopt_cluster_config();
    }

    /// Bytes of memory in use that `maxmemory` does not limit. Evicting keys makes them more, so counting them would evict all.
    pub fn memory_not_counted(&self) -> usize {
        let kept = self.replication.backlog().memory_bytes();
        kept.saturating_sub(self.config.repl_backlog_size as usize) + self.unsent_to_replicas()
    }

    /// Memory of what the connections of replicas hold and the network has not taken.
    fn unsent_to_replicas(&self) -> usize {
        let clients = self.replication.replicas.iter().map(|replica| replica.client);
        let links = clients.filter_map(|client| self.sessions.get(client)?.link.as_ref());
        links.map(|link| link.buffers().unsent_memory).sum()
    }

    /// Notes that something else than a command took long, for LATENCY.
    pub fn note_latency(&mut self, event: &'static str, taken: Duration) {
        let (threshold, millis) = (self.config.latency_monitor_threshold, taken.as_millis() as i64);
        if threshold > 0 && millis >= threshold {
            self.slow.latency.record(event, self.keyspace.env.now_micros / 1_000_000, millis as u32);
        }
    }

    /// Notes a command whose request or reply was large.
    #[cold]
    pub fn note_sizes(&mut self, session: &Session, spec: &CommandSpec, args: Args<'_>, start: Mark) {
        self.note_remarkable(Remarkable::LargeRequest, args.wire_bytes() as u64, session, spec, args);
        self.note_remarkable(Remarkable::LargeReply, session.out.len_since(start) as u64, session, spec, args);
    }

    #[cold]
    fn note_remarkable(&mut self, kind: Remarkable, figure: u64, session: &Session, spec: &CommandSpec, args: Args<'_>) {
        self.slow.log.note(kind, figure, (&self.config, self.keyspace.env.now_micros), session, spec, args);
    }

    /// Gives up whatever snapshot is in the making: the server ends, or its data go.
    pub fn give_snapshots_up(&mut self) {
        self.persistence.background.scheduled = false;
        if let Some(snapshot) = self.persistence.snapshot.take() {
            warn!("There is a snapshot in the making. Giving it up.");
            snapshot.cancel(&mut self.keyspace);
        }
    }

    /// Why writes are refused, if they are.
    pub fn refused_writes(&self) -> Option<CommandError> {
        if self.persistence.stops_writes(&self.config) {
            return Some(error::MISCONF_RDB);
        }
        let reason = self.persistence.aof.failure()?;
        Some(CommandError::text(format!("MISCONF Errors writing to the AOF file: {reason}")))
    }

    /// True while the data may be old and clients are not to see them: the link to the primary is down.
    pub fn is_stale(&self) -> bool {
        !self.config.replica_serve_stale_data && self.replication.upstream.as_ref().is_some_and(|up| !up.is_connected())
    }

    /// Looks anew at what requests have to be held back for; to be called when any of that changed.
    pub fn review_restrictions(&mut self) {
        let World { persistence, config, .. } = self;
        let saving = persistence.is_saving();
        persistence.aof.set_saving(saving, config);
        let follows = self.replication.is_replica();
        self.keyspace.env.follows = follows;
        self.keyspace.env.own_deadlines.noted = follows && !self.config.replica_read_only;
        if !follows {
            self.keyspace.env.own_deadlines.keys.clear();
        }
        self.is_restricted = self.cluster.is_some()
            || self.persistence.loading.is_some()
            || self.refused_writes().is_some()
            || self.is_stale()
            || self.replication.lacking
            || self.stands_still();
        self.read_only = self.config.replica_read_only && follows;
    }

    /// Takes over the libraries of functions of a file that was loaded. With `merge` they replace those of the same name.
    ///
    /// # Errors
    /// One cannot be loaded, or is there already.
    pub fn adopt_libraries(&mut self, codes: &[Library], merge: bool) -> Result<(), String> {
        self.scripting.restore_libraries(codes, false, merge).map_err(|refusal| String::from_utf8_lossy(&refusal).into_owned())
    }

    /// Notes a command that took long, for SLOWLOG and LATENCY.
    #[inline]
    pub fn note_duration(&mut self, session: &Session, spec: &CommandSpec, args: Args<'_>, nanos: u64) {
        let micros = (nanos / 1000) as i64;
        let slow = self.config.slowlog_log_slower_than;
        if slow >= 0 && micros >= slow {
            self.note_remarkable(Remarkable::Slow, micros as u64, session, spec, args);
        }
        let threshold = self.config.latency_monitor_threshold;
        if threshold > 0 && micros / 1000 >= threshold {
            let event = if spec.has(Flag::Fast) { "fast-command" } else { "command" };
            self.slow.latency.record(event, self.keyspace.env.now_micros / 1_000_000, (micros / 1000) as u32);
        }
    }
}

/// The classes and forms of keyspace events that a directive selects; none if it selects no form, or no class.
fn announced(flags: NotifyFlags) -> u16 {
    const FORMS: u16 = Class::KEYSPACE | Class::KEYEVENT;
    let pairs = [
        (NotifyFlags::KEYSPACE, Class::KEYSPACE),
        (NotifyFlags::KEYEVENT, Class::KEYEVENT),
        (NotifyFlags::GENERIC, Class::GENERIC),
        (NotifyFlags::STRING, Class::STRING),
        (NotifyFlags::LIST, Class::LIST),
        (NotifyFlags::SET, Class::SET),
        (NotifyFlags::HASH, Class::HASH),
        (NotifyFlags::ZSET, Class::ZSET),
        (NotifyFlags::EXPIRED, Class::EXPIRED),
        (NotifyFlags::EVICTED, Class::EVICTED),
        (NotifyFlags::STREAM, Class::STREAM),
        (NotifyFlags::NEW, Class::NEW),
        (NotifyFlags::KEY_MISS, Class::KEY_MISS),
    ];
    let classes = pairs.iter().filter(|(flag, _)| flags.contains(*flag)).fold(0, |all, (_, class)| all | class);
    if classes & FORMS == 0 || classes & !FORMS == 0 { 0 } else { classes }
}

/// What MIGRATE knows from one request to the next.
#[derive(Default)]
pub struct Migration {
    pub connections: Connections,
    /// Keys whose arrival is waited for, by the client that waits.
    pub under_way: HashMap<ClientId, Vec<Watch>>,
}

/// What the limit on memory means at the moment.
pub struct MemoryGuard {
    /// Bytes that the engine's thread may hold.
    pub left: isize,
    /// Eviction ran out of time and goes on between turns.
    pub unfinished: bool,
    /// Evicted values are freed on another thread up to this ticket (see `LazyFree::ticket`).
    pub evicted_until: Option<u64>,
    /// Since when there has been too little memory.
    pub exceeded_since: Option<Instant>,
}

impl MemoryGuard {
    /// There is no limit.
    pub const UNLIMITED: isize = isize::MAX;
}

impl Default for MemoryGuard {
    fn default() -> Self {
        MemoryGuard { left: Self::UNLIMITED, unfinished: false, evicted_until: None, exceeded_since: None }
    }
}

/// Those who want to hear of effects beside the parts of the server that always do: tests.
#[derive(Default)]
pub struct Listeners(Vec<Listener>);

/// Hears of every effect.
pub type Listener = Box<dyn FnMut(&Effect)>;

impl Listeners {
    /// Adds a listener.
    pub fn add(&mut self, listener: Listener) {
        self.0.push(listener);
    }

    /// True if there is any.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Tells all of them.
    pub fn hear(&mut self, effect: &Effect) {
        for listener in &mut self.0 {
            listener(effect);
        }
    }
}

/// The part of a server that directives reach and that is not in its world: sockets and limits of the process.
pub trait Outside {
    /// Acts on the directives `names`, whose values were those of `before`. May correct `after`.
    ///
    /// # Errors
    /// The directive that cannot be obeyed, and why. Then nothing has changed.
    fn apply(&self, before: &Config, after: &mut Config, names: &[&'static str]) -> Result<(), (&'static str, String)>;

    /// Has a job done on a thread that may wait, and its outcome brought to the engine.
    fn migrate(&self, job: Job, connections: Connections);

    /// The server follows another one now, or none any more.
    fn role_changed(&self, config: &Config);

    /// What TLS connections to other servers begin with.
    ///
    /// # Errors
    /// What the directives lack for it.
    fn tls_to_others(&self, config: &Config) -> Result<Arc<rustls::ClientConfig>, String>;

    /// What TLS connections of other nodes of the cluster begin with.
    ///
    /// # Errors
    /// Likewise.
    fn tls_of_nodes(&self, config: &Config) -> Result<Arc<rustls::ServerConfig>, String>;

    /// Addresses listened on, as `name=tcp,bind=…,port=…` or likewise for `unix` and `tls`, for INFO.
    fn listeners(&self) -> Vec<String>;
}

/// What only the engine, or the server around it, can do.
#[derive(Debug)]
pub enum Order {
    /// End the server.
    Shutdown(Shutdown),
    /// Close a client's connection; at once, or when its replies have left.
    Disconnect { client: ClientId, after_replies: bool },
    /// Directives changed: apply what lives outside the world (listeners, log level, timers).
    ConfigChanged(Vec<&'static str>),
    /// End a client's wait, as a timeout would or with an error.
    Unblock { client: ClientId, error: bool },
    /// End a client's wait with this error: its keys are another node's now, say.
    Refuse { client: ClientId, error: CommandError },
    /// Clients are no longer paused: go on with their requests.
    Resume,
    /// End the script that is stopped in the debugger.
    EndDebugging,
    /// Send keys to another server; the client waits.
    Migrate(Box<Job>),
    /// Empty the keyspace and load the append-only file; the client waits for it.
    LoadAof { client: ClientId },
    /// The server follows another primary now, or none any more.
    ChangeRole,
    /// All databases were emptied on purpose: a snapshot of them is of no use any more.
    AllFlushed,
    /// A client became a replica: see what it is to be sent.
    ReplicaJoined(ClientId),
    /// A replica told how far it is, and clients wait for that.
    Acknowledged,
    /// Stand still for so many milliseconds (DEBUG SLEEP).
    Sleep { millis: u64 },
}

/// Names and times that tell this server from others.
pub struct Identity {
    pub run_id: String,
    pub started: Instant,
    pub started_unix_seconds: i64,
    pub tcp_port: u16,
    /// Bytes of memory in use before the first key.
    pub startup_memory: u64,
    pub config_file: String,
    pub executable: String,
}

/// See DEBUG.
#[derive(Default)]
pub struct DebugSwitches {
    /// Reply buffers' peak handling for tests of CLIENT LIST.
    pub reply_buffer_peak_reset: bool,
    pub reply_buffer_resizing: bool,
    pub pause_cron: bool,
    /// Scripts may run what is not for scripts.
    pub any_command_in_scripts: bool,
}

/// Where remarkable commands are noted; SLOWLOG, COMMANDLOG and LATENCY read it.
#[derive(Default)]
pub struct SlowRecords {
    pub log: CommandLog,
    pub latency: crate::latency::LatencyMonitor,
}
