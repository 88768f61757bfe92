//! The configuration: one plain value with one plain field per directive.
//!
//! Nothing here acts on a setting. CONFIG SET clones the value, changes the clone, lets the engine
//! apply the difference, and swaps or drops it; so nothing ever needs to be undone field by field.
//! - `table.rs` has a row per directive: names, type, limits, who may set it.
//! - `file.rs` reads redis.conf, `rewrite.rs` writes it back, `cli.rs` reads the command line.
//! - `set.rs` answers CONFIG GET and CONFIG SET.

mod check;
pub mod cli;
mod defaults;
pub mod directive;
pub mod file;
mod glob;
pub mod rewrite;
pub mod set;
mod special;
pub mod table;
pub(crate) mod text;
pub mod value;

pub use directive::{Directive, Effect, Flags};
pub use file::ConfigError;
pub use set::{SetContext, SetError};
pub(crate) use text::split_words;
pub(crate) use text::{error_text as io_reason, parse_memory};
pub use value::*;

use std::path::{Path, PathBuf};

/// The Redis version that the server answers to, in INFO, HELLO and `--version`.
pub const REDIS_VERSION: &str = "8.0.0";

/// All settings. Fields carry the names of their directives; `Default` has the real defaults.
/// Sizes are bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    // Network
    /// Addresses to listen on. A leading "-" makes one optional: it is skipped when the machine
    /// lacks it. "*" is every IPv4 address, "::*" every IPv6 address.
    pub bind: Vec<String>,
    /// Address that outgoing connections (to a master, to other nodes) start from.
    pub bind_source_addr: String,
    /// While on, and no password is set, only clients of this machine are served.
    pub protected_mode: bool,
    /// TCP port. 0 opens none; "auto" takes a free one and logs it.
    pub port: i64,
    /// Connections that may wait to be accepted; the kernel caps it (net.core.somaxconn).
    pub tcp_backlog: i64,
    /// Path of a Unix socket to listen on. Empty: none.
    pub unixsocket: String,
    /// Permission bits of that socket, in octal. 0 leaves them to the umask.
    pub unixsocketperm: i64,
    /// Seconds after which an idle client is disconnected. 0: never.
    pub timeout: i64,
    /// Seconds between TCP keepalive probes, which find peers that vanished. 0: none.
    pub tcp_keepalive: i64,
    /// Connections accepted in one turn of the event loop.
    pub max_new_connections_per_cycle: i64,
    /// TLS connections accepted in one turn of the event loop.
    pub max_new_tls_connections_per_cycle: i64,
    /// Mark put on listening sockets, for packet filters.
    pub socket_mark_id: i64,

    // TLS
    /// Port for TLS connections. 0: none.
    pub tls_port: i64,
    /// Certificate chain of this server, PEM.
    pub tls_cert_file: String,
    /// Private key that belongs to it, PEM.
    pub tls_key_file: String,
    /// Passphrase of the private key.
    pub tls_key_file_pass: String,
    /// Certificate shown when this server connects to others. Empty: tls-cert-file.
    pub tls_client_cert_file: String,
    /// Private key for tls-client-cert-file.
    pub tls_client_key_file: String,
    /// Passphrase of that key.
    pub tls_client_key_file_pass: String,
    /// Diffie-Hellman parameters for old clients.
    pub tls_dh_params_file: String,
    /// Bundle of certificate authorities that peers are checked against, PEM.
    pub tls_ca_cert_file: String,
    /// Directory of such authorities.
    pub tls_ca_cert_dir: String,
    /// Whether clients must show a certificate: yes, no, or optional (checked if shown).
    pub tls_auth_clients: TlsAuthClients,
    /// Use TLS on the link to the master.
    pub tls_replication: bool,
    /// Use TLS on the cluster bus.
    pub tls_cluster: bool,
    /// Accepted versions, separated by spaces: "TLSv1.2 TLSv1.3". Empty: both.
    pub tls_protocols: String,
    /// Cipher list for TLS 1.2.
    pub tls_ciphers: String,
    /// Cipher suites for TLS 1.3.
    pub tls_ciphersuites: String,
    /// Prefer the server's order of ciphers.
    pub tls_prefer_server_ciphers: bool,
    /// Let clients resume TLS sessions.
    pub tls_session_caching: bool,
    /// Sessions kept for that.
    pub tls_session_cache_size: i64,
    /// Seconds a session is kept.
    pub tls_session_cache_timeout: i64,

    // General
    /// Run in the background.
    pub daemonize: bool,
    /// Tell a supervisor when the server is ready: systemd (NOTIFY_SOCKET), upstart, auto, no.
    pub supervised: Supervised,
    /// File that holds the process id while the server runs.
    pub pidfile: String,
    /// How much is logged: debug, verbose, notice, warning, nothing.
    pub loglevel: LogLevel,
    /// File to log to. Empty: standard output.
    pub logfile: String,
    /// Log to the system logger as well.
    pub syslog_enabled: bool,
    /// Name used in the system log.
    pub syslog_ident: String,
    /// Facility used in the system log.
    pub syslog_facility: SyslogFacility,
    /// Write a report when the server crashes.
    pub crash_log_enabled: bool,
    /// Test memory after a crash.
    pub crash_memcheck_enabled: bool,
    /// Keep keys and values out of the log.
    pub hide_user_data_from_log: bool,
    /// Number of databases for SELECT.
    pub databases: i64,
    /// Print the start banner even when not on a terminal.
    pub always_show_logo: bool,
    /// Show the state of the server in the process title.
    pub set_proc_title: bool,
    /// Layout of that title.
    pub proc_title_template: String,
    /// Names of start-up warnings to leave out.
    pub ignore_warnings: String,
    /// What SIGINT does, as with SHUTDOWN: default, or any of save, nosave, now, force.
    pub shutdown_on_sigint: ShutdownOn,
    /// What SIGTERM does.
    pub shutdown_on_sigterm: ShutdownOn,
    /// Seconds that a shutdown waits for replicas that lag.
    pub shutdown_timeout: i64,
    /// Rounds of timed work per second, 1 to 500.
    pub hz: i64,
    /// Do more rounds when many clients are connected.
    pub dynamic_hz: bool,
    /// Whether CONFIG SET may change protected settings (dir, dbfilename): no, yes, or local
    /// connections only.
    pub enable_protected_configs: Protected,
    /// Whether DEBUG may be used: no, yes, local.
    pub enable_debug_command: Protected,
    /// Whether MODULE LOAD and UNLOAD may be used: no, yes, local.
    pub enable_module_command: Protected,

    // Snapshots (RDB)
    /// Save after this many seconds if there were at least so many changes; several pairs may be
    /// given. "" turns saving off.
    pub save: Vec<SavePoint>,
    /// Refuse writes while the last snapshot failed, so that someone notices.
    pub stop_writes_on_bgsave_error: bool,
    /// Compress strings in snapshots (LZF).
    pub rdbcompression: bool,
    /// End snapshots with a checksum and verify it when loading.
    pub rdbchecksum: bool,
    /// Check payloads of RESTORE and of snapshots thoroughly: no, yes, clients.
    pub sanitize_dump_payload: SanitizeDumpPayload,
    /// Name of the snapshot file, inside dir.
    pub dbfilename: String,
    /// Delete files of full syncs when there is no persistence.
    pub rdb_del_sync_files: bool,
    /// Flush snapshots to disk bit by bit while they are written.
    pub rdb_save_incremental_fsync: bool,
    /// Microseconds to wait after each key of a snapshot (negative: keys per microsecond). For
    /// tests.
    pub rdb_key_save_delay: i64,
    /// The same while loading. For tests.
    pub key_load_delay: i64,
    /// Bytes loaded between two looks at the sockets.
    pub loading_process_events_interval_bytes: i64,
    /// Working directory: snapshots, the append-only files and nodes.conf live here.
    pub dir: String,

    // Append-only file
    /// Log every write to the append-only file.
    pub appendonly: bool,
    /// First part of the names of its files.
    pub appendfilename: String,
    /// Directory of these files, inside dir.
    pub appenddirname: String,
    /// When writes are forced to disk: everysec, always (before the reply), no (left to the
    /// kernel).
    pub appendfsync: AppendFsync,
    /// Skip that while a rewrite or a snapshot is running.
    pub no_appendfsync_on_rewrite: bool,
    /// Rewrite the file when it has grown by this percentage. 0: never by itself.
    pub auto_aof_rewrite_percentage: i64,
    /// … and has at least this size.
    pub auto_aof_rewrite_min_size: u64,
    /// Start even if the end of the file is cut off, dropping the torn command.
    pub aof_load_truncated: bool,
    /// Write the base file as a snapshot instead of commands.
    pub aof_use_rdb_preamble: bool,
    /// Note the time in the file, so that it can be cut back to a moment.
    pub aof_timestamp_enabled: bool,
    /// Flush a rewrite to disk bit by bit.
    pub aof_rewrite_incremental_fsync: bool,
    /// Keep the files that a rewrite made useless. For tests.
    pub aof_disable_auto_gc: bool,

    // Replication
    /// Host and port of the master to follow. "no one": none.
    pub replicaof: Option<Master>,
    /// Password to authenticate to the master with.
    pub masterauth: Vec<u8>,
    /// User name to authenticate to the master with. Empty: the default user.
    pub masteruser: Vec<u8>,
    /// Answer from old data while the link to the master is down.
    pub replica_serve_stale_data: bool,
    /// Refuse writes from clients while following a master.
    pub replica_read_only: bool,
    /// Send full syncs straight to the sockets instead of through a file.
    pub repl_diskless_sync: bool,
    /// Seconds to wait for more replicas before a full sync starts.
    pub repl_diskless_sync_delay: i64,
    /// Start at once when so many replicas wait. 0: always wait.
    pub repl_diskless_sync_max_replicas: i64,
    /// How a replica loads a full sync: disabled (through a file), on-empty-db, swapdb (keeping
    /// the old data until done).
    pub repl_diskless_load: ReplDisklessLoad,
    /// Send full syncs over a second connection.
    pub repl_rdb_channel: bool,
    /// Bytes a replica may gather while it loads a full sync.
    pub replica_full_sync_buffer_limit: u64,
    /// Seconds between pings to replicas.
    pub repl_ping_replica_period: i64,
    /// Seconds of silence after which a replication link counts as broken.
    pub repl_timeout: i64,
    /// Save packets on replication links at the price of delay.
    pub repl_disable_tcp_nodelay: bool,
    /// Bytes of the write stream kept for replicas that return after a break.
    pub repl_backlog_size: u64,
    /// Seconds after the last replica left until they are freed. 0: never.
    pub repl_backlog_ttl: i64,
    /// Sentinel promotes the replica with the lowest number; 0 is never promoted.
    pub replica_priority: i64,
    /// Whether Sentinel reports this replica to clients.
    pub replica_announced: bool,
    /// Address that a replica reports to its master, behind NAT for instance.
    pub replica_announce_ip: String,
    /// Port that a replica reports to its master. 0: its own.
    pub replica_announce_port: i64,
    /// Free the old data in the background before a full sync is loaded.
    pub replica_lazy_flush: bool,
    /// Leave eviction to the master.
    pub replica_ignore_maxmemory: bool,
    /// Keep following the master when a replica cannot write its append-only file.
    pub replica_ignore_disk_write_errors: bool,
    /// Refuse writes with fewer good replicas than this. 0: off.
    pub min_replicas_to_write: i64,
    /// Seconds of lag up to which a replica is good.
    pub min_replicas_max_lag: i64,
    /// What to do when a replicated command fails: ignore, panic, panic-on-replicas.
    pub propagation_error_behavior: PropagationErrorBehavior,

    // Security
    /// Password of the default user.
    pub requirepass: Vec<u8>,
    /// File with users and their rules. Then "user" lines are not allowed here.
    pub aclfile: String,
    /// Entries kept by ACL LOG.
    pub acllog_max_len: i64,
    /// Channels a new user may use: allchannels, resetchannels (none).
    pub acl_pubsub_default: AclPubsubDefault,

    // Clients
    /// Clients connected at the same time.
    pub maxclients: i64,
    /// Memory for all client buffers together, in bytes or as a percentage of maxmemory; the
    /// biggest clients go first. 0: no limit.
    pub maxmemory_clients: MemoryOrPercent,
    /// Bytes a client may send ahead before it is disconnected.
    pub client_query_buffer_limit: u64,
    /// Class, hard limit, soft limit, seconds above the soft limit: a client that reads too slowly
    /// is disconnected. Classes: normal, replica, pubsub.
    pub client_output_buffer_limit: OutputBufferLimits,
    /// Longest string in a request, and longest value.
    pub proto_max_bulk_len: u64,
    /// Keys remembered for client-side caching. 0: no limit.
    pub tracking_table_max_keys: i64,

    // Memory
    /// Memory for data, in bytes (1k = 1000, 1kb = 1024). 0: no limit.
    pub maxmemory: u64,
    /// What to remove when it is used up: noeviction, allkeys-lru, allkeys-lfu, allkeys-random,
    /// volatile-lru, volatile-lfu, volatile-random, volatile-ttl.
    pub maxmemory_policy: MaxmemoryPolicy,
    /// Keys looked at to find one to remove: more is more exact and slower.
    pub maxmemory_samples: i64,
    /// How much delay eviction may cause, 0 (little) to 100 (no matter how long).
    pub maxmemory_eviction_tenacity: i64,
    /// How slowly the access counter of the lfu policies grows.
    pub lfu_log_factor: i64,
    /// Minutes after which that counter is lowered. 0: never.
    pub lfu_decay_time: i64,
    /// How hard to look for expired keys, 1 to 10.
    pub active_expire_effort: i64,
    /// Free evicted values in the background.
    pub lazyfree_lazy_eviction: bool,
    /// Free expired values in the background.
    pub lazyfree_lazy_expire: bool,
    /// Free overwritten values in the background.
    pub lazyfree_lazy_server_del: bool,
    /// Let DEL behave like UNLINK.
    pub lazyfree_lazy_user_del: bool,
    /// Let FLUSHALL, FLUSHDB, SCRIPT FLUSH and FUNCTION FLUSH be ASYNC unless they say SYNC.
    pub lazyfree_lazy_user_flush: bool,
    /// Spend time on rehashing tables while idle.
    pub activerehashing: bool,
    /// Move values together to free pages.
    pub activedefrag: bool,
    /// Waste below which nothing is moved.
    pub active_defrag_ignore_bytes: u64,
    /// Percentage of waste at which moving starts.
    pub active_defrag_threshold_lower: i64,
    /// Percentage of waste at which it uses full effort.
    pub active_defrag_threshold_upper: i64,
    /// Least share of the processor.
    pub active_defrag_cycle_min: i64,
    /// Largest share of the processor.
    pub active_defrag_cycle_max: i64,
    /// Collections above this size are handled apart.
    pub active_defrag_max_scan_fields: i64,
    /// Let the allocator purge in a thread of its own.
    pub jemalloc_bg_thread: bool,
    /// Tell the kernel whom to kill first when memory runs out: no, yes or relative, absolute.
    pub oom_score_adj: OomScoreAdj,
    /// The values for a master, a replica, and a background job.
    pub oom_score_adj_values: [i64; 3],
    /// Decline transparent huge pages where the system gives them unasked.
    pub disable_thp: bool,

    // Encodings
    /// Fields up to which a hash stays compact.
    pub hash_max_listpack_entries: i64,
    /// Longest field or value in a compact hash.
    pub hash_max_listpack_value: u64,
    /// Entries per node of a list, or its size: -1 to -5 mean 4, 8, 16, 32, 64 kb.
    pub list_max_listpack_size: i64,
    /// Nodes at each end of a list left uncompressed. 0: compress none.
    pub list_compress_depth: i64,
    /// Members up to which a set of integers stays compact.
    pub set_max_intset_entries: i64,
    /// Members up to which any set stays compact.
    pub set_max_listpack_entries: i64,
    /// Longest member in a compact set.
    pub set_max_listpack_value: i64,
    /// Members up to which a sorted set stays compact.
    pub zset_max_listpack_entries: i64,
    /// Longest member in a compact sorted set.
    pub zset_max_listpack_value: u64,
    /// Size up to which a HyperLogLog stays sparse.
    pub hll_sparse_max_bytes: u64,
    /// Size of one node of a stream. 0: no limit.
    pub stream_node_max_bytes: u64,
    /// Entries in one node of a stream. 0: no limit.
    pub stream_node_max_entries: i64,

    // Events, scripts, slow commands, latency
    /// Which changes are published: K (by key) and/or E (by event), with g $ l s h z t x e d n m,
    /// A for most. Empty: none.
    pub notify_keyspace_events: NotifyFlags,
    /// Milliseconds after which a script counts as stuck and others get -BUSY. 0: never.
    pub busy_reply_threshold: i64,
    /// Microseconds above which a command enters the slow log. 0: all; -1: none.
    pub slowlog_log_slower_than: i64,
    /// Entries kept in the slow log.
    pub slowlog_max_len: i64,
    /// Milliseconds above which an event enters LATENCY HISTORY. 0: off.
    pub latency_monitor_threshold: i64,
    /// Keep a histogram of run times per command.
    pub latency_tracking: bool,
    /// Percentiles of them shown by INFO latencystats.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Locale for SORT ALPHA.
    pub locale_collate: String,
    /// Give scripts the deprecated parts of the API.
    pub lua_enable_deprecated_api: bool,

    // Threads
    /// Threads that read and write sockets. 1: the main thread does it.
    pub io_threads: i64,
    /// Processors for the main and the socket threads.
    pub server_cpulist: String,
    /// Processors for background threads.
    pub bio_cpulist: String,
    /// Processors for rewrites of the append-only file.
    pub aof_rewrite_cpulist: String,
    /// Processors for snapshots.
    pub bgsave_cpulist: String,

    // Cluster
    /// Run as a node of a cluster.
    pub cluster_enabled: bool,
    /// File in which the node keeps its view of the cluster. Not for editing.
    pub cluster_config_file: String,
    /// Port of the cluster bus. 0: port + 10000.
    pub cluster_port: i64,
    /// Milliseconds of silence after which a node counts as failing.
    pub cluster_node_timeout: i64,
    /// A replica that lost its master longer than this many node timeouts ago does not take over.
    /// 0: always may.
    pub cluster_replica_validity_factor: i64,
    /// Replicas a master keeps before one may move to a master without.
    pub cluster_migration_barrier: i64,
    /// Let replicas move like that at all.
    pub cluster_allow_replica_migration: bool,
    /// Stop answering when some slots have no node.
    pub cluster_require_full_coverage: bool,
    /// Never take over for a failed master by itself.
    pub cluster_replica_no_failover: bool,
    /// Serve reads of own slots while the cluster is down.
    pub cluster_allow_reads_when_down: bool,
    /// Serve sharded pub/sub while the cluster is down.
    pub cluster_allow_pubsubshard_when_down: bool,
    /// Bytes that may wait on a link of the bus before it is dropped. 0: no limit.
    pub cluster_link_sendbuf_limit: u64,
    /// Address announced to the other nodes.
    pub cluster_announce_ip: String,
    /// Port announced to them. 0: port.
    pub cluster_announce_port: i64,
    /// TLS port announced to them. 0: tls-port.
    pub cluster_announce_tls_port: i64,
    /// Bus port announced to them. 0: cluster-port.
    pub cluster_announce_bus_port: i64,
    /// Host name announced to them.
    pub cluster_announce_hostname: String,
    /// Name for log lines.
    pub cluster_announce_human_nodename: String,
    /// What clients are redirected to: ip, hostname, unknown-endpoint.
    pub cluster_preferred_endpoint_type: ClusterEndpoint,
    /// Percentage of commands checked for being fit for a cluster.
    pub cluster_compatibility_sample_ratio: i64,
    /// Milliseconds between pings on the bus.
    pub cluster_ping_interval: i64,

    // Tests and debugging
    /// Leave by exit instead of abort on a panic.
    pub use_exit_on_panic: bool,
    /// Milliseconds after which the watchdog logs a stack.
    pub watchdog_period: i64,

    // Other servers' names: accepted so that their files load
    /// Let the socket threads read as well.
    pub io_threads_do_reads: bool,
    /// Microseconds of one round.
    pub active_defrag_cycle_us: i64,
    /// Zone told to clients.
    pub availability_zone: String,
    /// IPv4 address told to clients.
    pub cluster_announce_client_ipv4: String,
    /// IPv6 address told to clients.
    pub cluster_announce_client_ipv6: String,
    /// Port told to clients.
    pub cluster_announce_client_port: i64,
    /// TLS port told to clients.
    pub cluster_announce_client_tls_port: i64,
    /// Seconds a forgotten node stays out.
    pub cluster_blacklist_ttl: i64,
    /// How nodes.conf is saved.
    pub cluster_config_save_behavior: ClusterConfigSave,
    /// Databases in cluster mode.
    pub cluster_databases: i64,
    /// Milliseconds for a manual failover.
    pub cluster_manual_failover_timeout: i64,
    /// Entries of the migration log.
    pub cluster_slot_migration_log_max_len: i64,
    /// Statistics per slot.
    pub cluster_slot_stats_enabled: bool,
    /// Entries of the log of large replies.
    pub commandlog_large_reply_max_len: i64,
    /// Entries of the log of large requests.
    pub commandlog_large_request_max_len: i64,
    /// Bytes above which a reply is logged.
    pub commandlog_reply_larger_than: i64,
    /// Bytes above which a request is logged.
    pub commandlog_request_larger_than: i64,
    /// Text for crash reports.
    pub debug_context: String,
    /// Send full syncs over a second connection.
    pub dual_channel_replication_enabled: bool,
    /// Announce itself as Redis.
    pub extended_redis_compatibility: bool,
    /// Seed of the hash function.
    pub hash_seed: String,
    /// Do not expire keys while importing.
    pub import_mode: bool,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// Format of their time.
    pub log_timestamp_format: LogTimestampFormat,
    /// Give scripts the deprecated parts of the API.
    pub lua_enable_insecure_api: bool,
    /// Threads from which replies are not copied.
    pub min_io_threads_avoid_copy_reply: i64,
    /// Multipath TCP.
    pub mptcp: bool,
    /// Keys fetched ahead together.
    pub prefetch_batch_max_size: i64,
    /// What to do with a newer snapshot.
    pub rdb_version_check: RdbVersionCheck,
    /// Addresses for RDMA.
    pub rdma_bind: String,
    /// Completion vector for RDMA.
    pub rdma_completion_vector: i64,
    /// Port for RDMA.
    pub rdma_port: i64,
    /// Buffer size for RDMA.
    pub rdma_rx_size: u64,
    /// Multipath TCP on replication links.
    pub repl_mptcp: bool,
    /// Lag at which a migrated slot is taken over.
    pub slot_migration_max_failover_repl_bytes: i64,
    /// Field of a certificate that names the user.
    pub tls_auth_clients_user: TlsAuthClientsUser,
    /// Seconds between looks at changed certificates.
    pub tls_auto_reload_interval: i64,
    /// Group of the Unix socket.
    pub unixsocketgroup: String,

    // What is no directive with a value
    /// `port auto`: take a free port. `port` is 0 until the listener knows which.
    pub port_auto: bool,
    /// Likewise for `tls_port`.
    pub tls_port_auto: bool,
    /// Started as Sentinel: other defaults, and `sentinel` lines are allowed.
    pub sentinel_mode: bool,
    /// Absolute path of the file that was loaded; CONFIG REWRITE writes to it.
    pub config_file: Option<PathBuf>,
    /// `rename-command`: old and new name, in order. An empty new name removes the command.
    pub rename_commands: Vec<(Vec<u8>, Vec<u8>)>,
    /// `user` lines: the words after `user`, name first. Before CONFIG REWRITE, the users as
    /// they are now.
    pub users: Vec<Vec<Vec<u8>>>,
    /// `sentinel` lines, for Sentinel to make sense of. Before CONFIG REWRITE, those of now.
    pub sentinel: Vec<SentinelLine>,
}

/// A `sentinel …` line of the configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SentinelLine {
    /// The words after `sentinel`; at least one.
    pub args: Vec<Vec<u8>>,
    /// Number of the line, from 1, for error texts.
    pub line: usize,
    /// The line as it stands in the file.
    pub text: Vec<u8>,
    /// It says what would hold without it, too: it takes the place of an old line, and is not added.
    pub optional: bool,
}

impl SentinelLine {
    /// A line to be written, of the words after `sentinel`.
    pub fn new(words: &[&[u8]], optional: bool) -> Self {
        let args: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        let text = [&b"sentinel "[..], &rewrite::join(&args)].concat();
        Self { args, line: 0, text, optional }
    }
}

impl Config {
    /// The defaults of a Sentinel: its own port, and open to the network.
    pub fn for_sentinel() -> Self {
        Self { port: 26_379, protected_mode: false, sentinel_mode: true, ..Self::default() }
    }

    /// A path as seen from the working directory `dir`.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        Path::new(&self.dir).join(relative)
    }
}
