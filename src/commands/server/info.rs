//! INFO: the server described in sections of `field:value` lines. Fields keep the original's names and places, because
//! monitoring tools look for them; what does not exist here is left out or stands at zero.

use super::key_sizes::KeySizes;
use crate::acl::log::Reason;
use crate::clock::Clock;
use crate::command::context::ServerCtx;
use crate::command::spec::*;
use crate::config::REDIS_VERSION;
use crate::histogram::Histogram;
use crate::persist::aof::State;
use crate::raw::alloc;
use crate::replication::failover::Failover;
use crate::replication::primary::Replica;
use crate::replication::replica::{Stage, Upstream, seconds_since};
use crate::sentinel::Flags;
use crate::session::Topic;
use crate::sys::process;
use crate::types::DbIndex;
use crate::world::World;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "INFO",
    arity: Arity::at_least(1),
    group: Group::Server,
    complexity: "O(1), but for a section per command or client",
    summary: "Describes the server and tells its figures.",
    syntax: "[section [section ...]]",
    flags: flags(&[Flag::Loading, Flag::Stale]),
    acl: categories(&[Category::Dangerous]),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    history: &[("7.0.0", "Takes several sections.")],
    run: Handler::Server(info),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

fn info(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut wanted = [false; SECTIONS.len()];
    let mut choose = |pick: &dyn Fn(&Section) -> bool| {
        for (wanted, section) in wanted.iter_mut().zip(SECTIONS) {
            *wanted |= pick(section);
        }
    };
    let is_sentinel = ctx.world.sentinel.is_some();
    let exists = |section: &Section| if is_sentinel { section.tells_sentinel() } else { section.shown != Shown::OfSentinel };
    let by_default = |section: &Section| exists(section) && (is_sentinel || section.shown == Shown::ByDefault);
    if ctx.args.len() == 1 {
        choose(&by_default);
    }
    for name in ctx.args.from(1) {
        let name = name.to_ascii_lowercase();
        match &*name {
            b"default" => choose(&by_default),
            b"all" | b"everything" => choose(&|section| exists(section) && section.shown != Shown::ByName),
            _ => choose(&|section| exists(section) && section.title.to_ascii_lowercase().as_bytes() == name),
        }
    }
    // Before anything is written, or the text would be counted too.
    let used = alloc::used() as u64;
    let mut text = String::with_capacity(8 * 1024);
    for (_, section) in wanted.iter().zip(SECTIONS).filter(|(wanted, _)| **wanted) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {}\r\n", section.title);
        (section.write)(ctx.world, &mut Fields { text: &mut text, used });
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    ByDefault,
    /// With `all` and `everything`.
    WithAll,
    ByName,
    /// On a sentinel.
    OfSentinel,
}

struct Section {
    title: &'static str,
    shown: Shown,
    write: fn(&World, &mut Fields<'_>),
}

impl Section {
    /// True for what a sentinel tells, too: nothing about data.
    fn tells_sentinel(&self) -> bool {
        ["Server", "Clients", "Stats", "CPU", "Sentinel"].contains(&self.title)
    }
}

const SECTIONS: &[Section] = &[
    Section { title: "Server", shown: Shown::ByDefault, write: server },
    Section { title: "Clients", shown: Shown::ByDefault, write: clients },
    Section { title: "Memory", shown: Shown::ByDefault, write: memory },
    Section { title: "Persistence", shown: Shown::ByDefault, write: persistence },
    Section { title: "Threads", shown: Shown::ByDefault, write: threads },
    Section { title: "Stats", shown: Shown::ByDefault, write: stats },
    Section { title: "Replication", shown: Shown::ByDefault, write: replication },
    Section { title: "CPU", shown: Shown::ByDefault, write: cpu },
    Section { title: "Modules", shown: Shown::ByDefault, write: |_, _| {} },
    Section { title: "Commandstats", shown: Shown::WithAll, write: commandstats },
    Section { title: "Errorstats", shown: Shown::ByDefault, write: errorstats },
    Section { title: "Latencystats", shown: Shown::WithAll, write: latencystats },
    Section { title: "Cluster", shown: Shown::ByDefault, write: cluster },
    Section { title: "Keyspace", shown: Shown::ByDefault, write: keyspace },
    Section { title: "Keysizes", shown: Shown::ByDefault, write: keysizes },
    Section { title: "Debug", shown: Shown::ByName, write: debug },
    Section { title: "Sentinel", shown: Shown::OfSentinel, write: sentinel },
];

/// Writes lines.
struct Fields<'a> {
    text: &'a mut String,
    /// Bytes of memory that were in use when the command began.
    used: u64,
}

impl Fields<'_> {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Fields that stand at zero.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.add(name, 0);
        }
    }

    /// A number of bytes, and the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.human(name, bytes);
    }

    fn human(&mut self, name: &str, bytes: u64) {
        let _ = write!(self.text, "{name}_human:{}\r\n", Human(bytes));
    }
}

/// Bytes with a unit, as `1.05M`.
pub(super) struct Human(pub(super) u64);

impl std::fmt::Display for Human {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{}B", self.0);
        }
        let (mut value, mut unit) = (self.0 as f64 / 1024.0, 'K');
        for next in ['M', 'G', 'T', 'P'] {
            if value < 1024.0 {
                break;
            }
            (value, unit) = (value / 1024.0, next);
        }
        write!(f, "{value:.2}{unit}")
    }
}

fn server(world: &World, out: &mut Fields<'_>) {
    let identity = &world.identity;
    let uptime = identity.started.elapsed().as_secs();
    out.add("redis_version", REDIS_VERSION);
    out.add("redis_git_sha1", "00000000");
    out.add("redis_git_dirty", 0);
    out.add("redis_build_id", "0");
    out.add("redis_mode", world.mode());
    out.add("server_name", "redstart");
    out.add("redstart_version", env!("CARGO_PKG_VERSION"));
    out.add("os", process::system_name());
    out.add("arch_bits", usize::BITS);
    out.add("monotonic_clock", "POSIX clock_gettime");
    out.add("multiplexing_api", "epoll");
    out.add("process_id", std::process::id());
    let supervised = match std::env::var_os("NOTIFY_SOCKET") {
        Some(_) => "systemd",
        None => "no",
    };
    out.add("process_supervised", supervised);
    out.add("run_id", &identity.run_id);
    out.add("tcp_port", identity.tcp_port);
    out.add("server_time_usec", Clock::Real.micros());
    out.add("uptime_in_seconds", uptime);
    out.add("uptime_in_days", uptime / 86_400);
    out.add("hz", world.config.hz);
    out.add("configured_hz", world.config.hz);
    out.add("lru_clock", (world.keyspace.env.now_micros / 1_000_000) & 0xff_ffff);
    out.add("executable", &identity.executable);
    out.add("config_file", &identity.config_file);
    out.add("io_threads_active", (world.config.io_threads > 1) as u8);
    if let Some(millis) = world.ends_in_millis() {
        out.add("shutdown_in_milliseconds", millis);
    }
    for (i, listener) in world.outside.iter().flat_map(|outside| outside.listeners()).enumerate() {
        out.add(&format!("listener{i}"), listener);
    }
}

fn clients(world: &World, out: &mut Fields<'_>) {
    let closing = world.sessions.iter().filter(|session| session.closing || session.is_replica()).count();
    let links = || world.sessions.iter().filter_map(|session| session.link.as_ref()).map(|link| link.buffers());
    out.add("connected_clients", world.sessions.len() - closing);
    out.add("cluster_connections", world.cluster.as_ref().map_or(0, |cluster| cluster.links().count()));
    out.add("maxclients", world.config.maxclients);
    out.add("client_recent_max_input_buffer", links().map(|b| b.query + b.query_free).max().unwrap_or(0));
    out.add("client_recent_max_output_buffer", links().map(|b| b.unsent).max().unwrap_or(0));
    out.add("blocked_clients", world.sessions.iter().filter(|session| session.blocked).count());
    out.add("tracking_clients", world.tracking.clients());
    out.add("pubsub_clients", world.pubsub.clients());
    out.add("watching_clients", world.keyspace.env.effects.watched.clients);
    out.add("clients_in_timeout_table", world.blocked.timed());
    out.add("total_watched_keys", world.keyspace.env.effects.watched.keys());
    out.add("total_blocking_keys", world.blocked.keys());
    out.add("total_blocking_keys_on_nokey", world.blocked.keys_or_gone());
}

/// What the server's memory is used for, in bytes.
pub(super) struct MemoryUse {
    pub(super) used: u64,
    pub(super) peak: u64,
    pub(super) resident: u64,
    pub(super) startup: u64,
    /// Clients that are no replicas.
    pub(super) clients: u64,
    /// What replicas of now have yet to be sent, and their connections.
    pub(super) replicas: u64,
    /// What is kept of the history for those who may come back.
    pub(super) backlog: u64,
    pub(super) tables: u64,
    pub(super) overhead: u64,
    pub(super) dataset: u64,
    pub(super) active: u64,
    pub(super) reserved: u64,
}

impl MemoryUse {
    /// What `used` bytes are used for.
    pub(super) fn of(world: &World, used: u64) -> Self {
        const PAGE_BYTES: u64 = 64 * 1024;
        let allocator = alloc::stats();
        let startup = world.identity.startup_memory.min(used);
        let (mut clients, mut links) = (0, 0);
        for session in world.sessions.iter() {
            *(if session.is_replica() { &mut links } else { &mut clients }) += session.memory_bytes() as u64;
        }
        let history = world.replication.backlog().memory_bytes() as u64;
        let backlog = if world.replication.has_replicas() { history.min(world.config.repl_backlog_size) } else { history };
        let payloads: usize = world.replication.replicas.iter().map(Replica::payload_bytes).sum();
        let replicas = links + payloads as u64 + history - backlog;
        // Tables without keys are part of what the server starts with.
        let tables = match world.keyspace.total_keys() {
            0 => 0,
            _ => world.keyspace.table_bytes() as u64,
        };
        let overhead = (startup + clients + replicas + backlog + tables).min(used);
        MemoryUse {
            used,
            peak: world.stats.used_memory_peak.max(used),
            resident: process::resident_bytes(),
            startup,
            clients,
            replicas,
            backlog,
            tables,
            overhead,
            dataset: used - overhead,
            active: (allocator.pages as u64 * PAGE_BYTES + allocator.large_live as u64).max(used),
            reserved: (allocator.small_reserved + allocator.large_live) as u64,
        }
    }

    /// Share of the memory beyond the start that the data take.
    pub(super) fn dataset_percent(&self) -> f64 {
        percent(self.dataset, self.used - self.startup)
    }
}

pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What scripts and functions hold.
fn scripts(world: &World, out: &mut Fields<'_>) {
    let scripting = &world.scripting;
    let (scripts_vm, functions_vm) = scripting.vm_bytes();
    let (scripts, functions) = (scripting.cache.memory_bytes(), scripting.libraries.memory_bytes());
    out.add("used_memory_vm_eval", scripts_vm);
    out.bytes("used_memory_lua", scripts_vm as u64);
    out.add("used_memory_scripts_eval", scripts);
    out.add("number_of_cached_scripts", scripting.cache.len());
    out.add("number_of_functions", scripting.libraries.function_count());
    out.add("number_of_libraries", scripting.libraries.iter().len());
    out.add("used_memory_vm_functions", functions_vm);
    out.bytes("used_memory_vm_total", (scripts_vm + functions_vm) as u64);
    out.add("used_memory_functions", functions);
    out.bytes("used_memory_scripts", (scripts + functions) as u64);
}

fn memory(world: &World, out: &mut Fields<'_>) {
    let memory = MemoryUse::of(world, out.used);
    out.bytes("used_memory", memory.used);
    out.bytes("used_memory_rss", memory.resident);
    out.bytes("used_memory_peak", memory.peak);
    out.add("used_memory_peak_perc", format_args!("{:.2}%", percent(memory.used, memory.peak)));
    out.add("used_memory_overhead", memory.overhead);
    out.add("used_memory_startup", memory.startup);
    out.add("used_memory_dataset", memory.dataset);
    out.add("used_memory_dataset_perc", format_args!("{:.2}%", memory.dataset_percent()));
    out.add("allocator_allocated", memory.used);
    out.add("allocator_active", memory.active);
    out.add("allocator_resident", memory.reserved);
    out.add("allocator_muzzy", 0);
    out.bytes("total_system_memory", process::total_memory());
    scripts(world, out);
    out.bytes("maxmemory", world.config.maxmemory);
    out.add("maxmemory_policy", world.config.maxmemory_policy.name());
    out.add("allocator_frag_ratio", format_args!("{:.2}", ratio(memory.active, memory.used)));
    out.add("allocator_frag_bytes", memory.active as i64 - memory.used as i64);
    out.add("allocator_rss_ratio", format_args!("{:.2}", ratio(memory.reserved, memory.active)));
    out.add("allocator_rss_bytes", memory.reserved as i64 - memory.active as i64);
    out.add("rss_overhead_ratio", format_args!("{:.2}", ratio(memory.resident, memory.reserved)));
    out.add("rss_overhead_bytes", memory.resident as i64 - memory.reserved as i64);
    out.add("mem_fragmentation_ratio", format_args!("{:.2}", ratio(memory.resident, memory.used)));
    out.add("mem_fragmentation_bytes", memory.resident as i64 - memory.used as i64);
    out.add("mem_not_counted_for_evict", world.memory_not_counted());
    out.add("mem_replication_backlog", memory.backlog);
    out.add("mem_total_replication_buffers", world.replication.backlog().memory_bytes());
    out.zeros(&["mem_replica_full_sync_buffer"]);
    out.add("mem_clients_slaves", memory.replicas);
    out.add("mem_clients_normal", memory.clients);
    out.zeros(&["mem_cluster_links"]);
    out.add("mem_aof_buffer", world.persistence.aof.figures().buffered);
    out.add("mem_allocator", "redstart");
    out.add("mem_overhead_db_hashtable_rehashing", 0);
    out.add("active_defrag_running", world.stats.defrag_percent);
    out.add("lazyfree_pending_objects", world.keyspace.env.lazyfree.pending());
    out.add("lazyfreed_objects", world.keyspace.env.lazyfree.freed());
}

fn persistence(world: &World, out: &mut Fields<'_>) {
    let persistence = &world.persistence;
    let snapshot = persistence.snapshot.as_ref();
    out.add("loading", persistence.is_loading() as u8);
    out.add("async_loading", persistence.is_loading_beside() as u8);
    out.add("current_cow_peak", snapshot.map_or(0, |snapshot| snapshot.queued_max));
    out.add("current_cow_size", snapshot.map_or(0, |snapshot| snapshot.queued()));
    out.zeros(&["current_cow_size_age"]);
    let (done, keys) = snapshot.map_or((0, 0), |snapshot| (snapshot.keys_done(), snapshot.keys));
    out.add("current_fork_perc", format_args!("{:.2}", percent(done, keys)));
    out.add("current_save_keys_processed", done);
    out.add("current_save_keys_total", keys);
    out.add("rdb_changes_since_last_save", persistence.unsaved_changes(&world.keyspace));
    out.add("rdb_bgsave_in_progress", (persistence.is_saving() || world.replication.transfer.is_some()) as u8);
    out.add("rdb_last_save_time", persistence.last_save);
    out.add("rdb_last_bgsave_status", if persistence.last_save_failed { "err" } else { "ok" });
    let seconds = |time: Option<Duration>| time.map_or(-1, |time| time.as_secs() as i64);
    out.add("rdb_last_bgsave_time_sec", seconds(persistence.background.took));
    let current = persistence.snapshot.as_ref().filter(|_| persistence.is_saving());
    out.add("rdb_current_bgsave_time_sec", seconds(current.map(|snapshot| snapshot.started.elapsed())));
    out.add("rdb_saves", persistence.saves);
    out.add("rdb_last_cow_size", persistence.background.extra_bytes);
    out.add("rdb_last_load_keys_expired", persistence.loaded.expired);
    out.add("rdb_last_load_keys_loaded", persistence.loaded.keys);
    let aof = &persistence.aof;
    let (rewrites, status) = (aof.rewrites(), |ok| if ok { "ok" } else { "err" });
    out.add("aof_enabled", (aof.state() != State::Off) as u8);
    out.add("aof_rewrite_in_progress", rewrites.is_running() as u8);
    out.add("aof_rewrite_scheduled", rewrites.is_scheduled() as u8);
    out.add("aof_last_rewrite_time_sec", rewrites.last_seconds());
    out.add("aof_current_rewrite_time_sec", rewrites.current_seconds());
    out.add("aof_last_bgrewrite_status", status(rewrites.last_ok()));
    out.add("aof_rewrites", rewrites.count());
    out.add("aof_rewrites_consecutive_failures", rewrites.failures());
    out.add("aof_last_write_status", status(aof.failure().is_none()));
    out.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    if world.config.appendonly {
        let figures = aof.figures();
        out.add("aof_current_size", figures.current_bytes);
        out.add("aof_base_size", figures.base_bytes);
        out.add("aof_pending_rewrite", rewrites.is_scheduled() as u8);
        out.add("aof_buffer_length", figures.buffered);
        out.add("aof_pending_bio_fsync", figures.syncing as u8);
        out.add("aof_delayed_fsync", figures.delayed);
    }
    if let Some(loading) = &persistence.loading {
        out.add("loading_start_time", loading.started_unix_seconds);
        out.add("loading_total_bytes", loading.bytes);
        out.add("loading_rdb_used_mem", loading.memory_bytes);
        out.add("loading_loaded_bytes", loading.bytes_done);
        out.add("loading_loaded_perc", format_args!("{:.2}", percent(loading.bytes_done, loading.bytes)));
        let elapsed = loading.started.elapsed().as_secs_f64();
        let left = ratio(loading.bytes.saturating_sub(loading.bytes_done), loading.bytes_done) * elapsed;
        out.add("loading_eta_seconds", left.ceil() as u64);
    }
}

fn threads(world: &World, out: &mut Fields<'_>) {
    let stats = &world.stats;
    out.add(
        "io_thread_0",
        format_args!("clients={},reads={},writes={}", world.sessions.len(), stats.reads_processed, stats.writes_processed),
    );
}

fn stats(world: &World, out: &mut Fields<'_>) {
    let stats = &world.stats;
    let keys = &world.keyspace.env.stats;
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    out.add("total_connections_received", stats.connections);
    out.add("total_commands_processed", stats.commands);
    out.add("instantaneous_ops_per_sec", stats.commands_rate.per_second());
    out.add("total_net_input_bytes", stats.bytes_in);
    out.add("total_net_output_bytes", stats.bytes_out);
    out.add("total_net_repl_input_bytes", stats.replication_bytes_in);
    out.add("total_net_repl_output_bytes", stats.replication_bytes_out);
    out.add("instantaneous_input_kbps", kilobytes(stats.bytes_in_rate.per_second()));
    out.add("instantaneous_output_kbps", kilobytes(stats.bytes_out_rate.per_second()));
    out.add("instantaneous_input_repl_kbps", kilobytes(0));
    out.add("instantaneous_output_repl_kbps", kilobytes(0));
    out.add("rejected_connections", stats.rejected_connections);
    out.add("sync_full", stats.sync_full);
    out.add("sync_partial_ok", stats.sync_partial_ok);
    out.add("sync_partial_err", stats.sync_partial_err);
    out.add("expired_subkeys", keys.expired_fields);
    out.add("expired_keys", keys.expired);
    out.add("expired_stale_perc", format_args!("{:.2}", keys.expired_stale_percent));
    out.add("expired_time_cap_reached_count", keys.expired_time_cap_reached);
    out.add("expire_cycle_cpu_milliseconds", stats.active_expire_nanos / 1_000_000);
    out.add("evicted_keys", keys.evicted);
    out.add("evicted_clients", stats.evicted_clients);
    out.add("evicted_scripts", world.scripting.evicted);
    let exceeded = world.memory.exceeded_since.map_or(0, |since| since.elapsed().as_millis());
    out.add("total_eviction_exceeded_time", u128::from(stats.eviction_exceeded_nanos / 1_000_000) + exceeded);
    out.add("current_eviction_exceeded_time", exceeded);
    out.add("keyspace_hits", keys.hits);
    out.add("keyspace_misses", keys.misses);
    out.add("pubsub_channels", world.pubsub.count(Topic::Channel));
    out.add("pubsub_patterns", world.pubsub.count(Topic::Pattern));
    out.add("pubsubshard_channels", world.pubsub.count(Topic::Shard));
    out.zeros(&["latest_fork_usec"]);
    out.add("total_forks", world.persistence.background.begun);
    out.add("migrate_cached_sockets", world.migration.connections.len());
    out.add("slave_expires_tracked_keys", world.keyspace.env.own_deadlines.keys.len());
    out.add("active_defrag_hits", stats.defrag_hits);
    out.add("active_defrag_misses", stats.defrag_misses);
    out.add("active_defrag_key_hits", stats.defrag_key_hits);
    out.add("active_defrag_key_misses", stats.defrag_key_misses);
    out.add("total_active_defrag_time", stats.defrag_total.as_millis());
    out.add("current_active_defrag_time", stats.defrag_current.as_millis());
    out.add("tracking_total_keys", world.tracking.keys());
    out.add("tracking_total_items", world.tracking.items());
    out.add("tracking_total_prefixes", world.tracking.prefixes());
    out.add("unexpected_error_replies", stats.unexpected_errors);
    out.add("total_error_replies", stats.errors);
    out.add("dump_payload_sanitizations", 0);
    out.add("total_reads_processed", stats.reads_processed);
    out.add("total_writes_processed", stats.writes_processed);
    out.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    out.add("client_query_buffer_limit_disconnections", stats.query_buffer_limit_disconnections);
    out.add("client_output_buffer_limit_disconnections", stats.output_buffer_limit_disconnections);
    out.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    out.add("eventloop_cycles", stats.engine_loops);
    out.add("eventloop_duration_sum", stats.engine_loop_nanos / 1000);
    let commands: u64 = stats.per_command.iter().map(|command| command.nanos).sum();
    out.add("eventloop_duration_cmd_sum", commands.min(stats.engine_loop_nanos) / 1000);
    let cycles = stats.loops_rate.per_second();
    out.add("instantaneous_eventloop_cycles_per_sec", cycles);
    let mean = stats.loop_nanos_rate.per_second().checked_div(cycles).unwrap_or(0);
    out.add("instantaneous_eventloop_duration_usec", mean / 1000);
    let denied = |reason| world.acl.log.count(reason);
    out.add("acl_access_denied_auth", denied(Reason::Auth));
    out.add("acl_access_denied_cmd", denied(Reason::Command));
    out.add("acl_access_denied_key", denied(Reason::Key));
    out.add("acl_access_denied_channel", denied(Reason::Channel));
}

/// What a replica tells of its primary.
fn primary_of(world: &World, upstream: &Upstream, out: &mut Fields<'_>) {
    let config = &world.config;
    let offset = world.replication.offset();
    let up = upstream.is_connected();
    out.add("master_host", &upstream.host);
    out.add("master_port", upstream.port);
    out.add("master_link_status", if up { "up" } else { "down" });
    out.add("master_last_io_seconds_ago", if up { seconds_since(upstream.heard_at) as i64 } else { -1 });
    let transfer = match upstream.stage {
        Stage::Sync(transfer) => Some(transfer),
        _ => None,
    };
    out.add("master_sync_in_progress", transfer.is_some() as u8);
    out.add("slave_read_repl_offset", offset + upstream.unapplied);
    out.add("slave_repl_offset", offset);
    if let Some(transfer) = transfer {
        // Without a known end: 0, as for one that is streamed.
        let total = transfer.total.unwrap_or(0) as i64;
        let share = if total > 0 { transfer.read as f64 * 100.0 / total as f64 } else { 0.0 };
        out.add("master_sync_total_bytes", total);
        out.add("master_sync_read_bytes", transfer.read);
        out.add("master_sync_left_bytes", total - transfer.read as i64);
        out.add("master_sync_perc", format_args!("{share:.2}"));
        out.add("master_sync_last_io_seconds_ago", seconds_since(transfer.heard_at));
    }
    if !up {
        let down = upstream.down_since.map_or(-1, |since| seconds_since(since) as i64);
        out.add("master_link_down_since_seconds", down);
    }
    out.add("slave_priority", config.replica_priority);
    out.add("slave_read_only", config.replica_read_only as u8);
    out.add("replica_announced", config.replica_announced as u8);
}

fn replication(world: &World, out: &mut Fields<'_>) {
    let replication = &world.replication;
    let now = Clock::Real.millis();
    out.add("role", if replication.is_replica() { "slave" } else { "master" });
    if let Some(upstream) = &replication.upstream {
        primary_of(world, upstream, out);
    }
    out.add("connected_slaves", replication.replicas.len());
    if world.config.min_replicas_to_write > 0 && world.config.min_replicas_max_lag > 0 {
        out.add("min_slaves_good_slaves", replication.good_replicas(&world.config, now));
    }
    for (at, replica) in replication.replicas.iter().enumerate() {
        let lag = if replica.is_online() { replica.lag_seconds(now) } else { 0 };
        let line = format!(
            "ip={},port={},state={},offset={},lag={lag}",
            replica.address,
            replica.port,
            replica.stage_name(),
            replica.acked
        );
        out.add(&format!("slave{at}"), line);
    }
    out.add("master_failover_state", Failover::state_name(replication.failover.as_ref()));
    out.add("master_replid", &replication.id);
    out.add("master_replid2", &replication.second_id);
    out.add("master_repl_offset", replication.end(&world.stream));
    out.add("second_repl_offset", replication.second_offset);
    let backlog = replication.backlog();
    out.add("repl_backlog_active", backlog.is_active() as u8);
    out.add("repl_backlog_size", world.config.repl_backlog_size);
    out.add("repl_backlog_first_byte_offset", if backlog.is_active() { backlog.first() + 1 } else { 0 });
    out.add("repl_backlog_histlen", backlog.len());
}

fn cpu(_: &World, out: &mut Fields<'_>) {
    let (own, children, thread) = process::cpu_times();
    for (suffix, times) in [("", own), ("_children", children), ("_main_thread", thread)] {
        out.add(&format!("used_cpu_sys{suffix}"), format_args!("{:.6}", times.system));
        out.add(&format!("used_cpu_user{suffix}"), format_args!("{:.6}", times.user));
    }
}

fn commandstats(world: &World, out: &mut Fields<'_>) {
    let unmeasured = world.stats.unmeasured_nanos();
    for (at, command) in world.commands.iter() {
        let stats = &world.stats.per_command[at as usize];
        if stats.calls == 0 && stats.rejected == 0 && stats.failed == 0 {
            continue;
        }
        let nanos = stats.nanos + stats.calls.saturating_sub(stats.measured) * unmeasured;
        let micros = nanos / 1000;
        let mean = if stats.calls == 0 { 0.0 } else { micros as f64 / stats.calls as f64 };
        out.add(
            &format!("cmdstat_{}", command.name),
            format_args!(
                "calls={},usec={micros},usec_per_call={mean:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.rejected, stats.failed
            ),
        );
    }
}

fn errorstats(world: &World, out: &mut Fields<'_>) {
    for (code, count) in &world.stats.per_error {
        out.add(&format!("errorstat_{}", String::from_utf8_lossy(code)), format_args!("count={count}"));
    }
}

fn latencystats(world: &World, out: &mut Fields<'_>) {
    if !world.config.latency_tracking {
        return;
    }
    for (at, command) in world.commands.iter() {
        let Some(durations) = durations(world, at) else { continue };
        let mut text = String::new();
        for percent in &world.config.latency_tracking_info_percentiles {
            let micros = durations.percentile(*percent) as f64 / 1000.0;
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}p{percent}={micros:.3}");
        }
        out.add(&format!("latency_percentiles_usec_{}", command.name), text);
    }
}

/// How long the calls of a command took. Calls that were not measured count with what is known of all of them together.
pub(super) fn durations(world: &World, at: u16) -> Option<Histogram> {
    let stats = &world.stats.per_command[at as usize];
    let mut durations = stats.durations.clone().unwrap_or_default();
    let unmeasured = stats.calls.saturating_sub(stats.measured);
    if unmeasured > 0 {
        durations.record(world.stats.unmeasured_nanos().max(1000), unmeasured);
    }
    (durations.total() > 0).then_some(durations)
}

fn cluster(world: &World, out: &mut Fields<'_>) {
    out.add("cluster_enabled", world.config.cluster_enabled as u8);
}

fn keyspace(world: &World, out: &mut Fields<'_>) {
    for index in 0..world.keyspace.databases() as u32 {
        let db = world.keyspace.db(DbIndex(index));
        if db.table.is_empty() {
            continue;
        }
        let ttl = if db.meta.volatile == 0 { 0 } else { db.meta.ttl_mean as i64 };
        out.add(
            &format!("db{index}"),
            format_args!("keys={},expires={},avg_ttl={ttl},subexpiry={}", db.table.len(), db.meta.volatile, db.meta.fields.len()),
        );
    }
}

fn keysizes(world: &World, out: &mut Fields<'_>) {
    for index in 0..world.keyspace.databases() as u32 {
        let table = &world.keyspace.db(DbIndex(index)).table;
        if !table.is_empty() {
            for (name, counts) in KeySizes::of(table, world.stats.commands).fields() {
                out.add(&format!("db{index}_distrib_{name}"), counts);
            }
        }
    }
}

fn sentinel(world: &World, out: &mut Fields<'_>) {
    let Some(sentinel) = world.sentinel.as_ref().map(|watch| &watch.state) else { return };
    let now = world.keyspace.env.now();
    out.add("sentinel_masters", sentinel.primaries().len());
    out.add("sentinel_tilt", sentinel.tilt_since.is_some() as u8);
    out.add("sentinel_tilt_since_seconds", sentinel.tilt_since.map_or(-1, |since| (now - since) / 1000));
    out.add("sentinel_running_scripts", sentinel.scripts.running());
    out.add("sentinel_scripts_queue_length", sentinel.scripts.jobs().len());
    out.add("sentinel_simulate_failure_flags", sentinel.failures.bits());
    for (at, primary) in sentinel.primaries().enumerate() {
        let Some(watched) = &primary.watched else { continue };
        let status = match primary.flags {
            flags if flags.has(Flags::O_DOWN) => "odown",
            flags if flags.has(Flags::S_DOWN) => "sdown",
            _ => "ok",
        };
        let (host, port) = (sentinel.announced(&primary.address), primary.address.port);
        let (replicas, sentinels) = (watched.replicas.len(), watched.sentinels.len() + 1);
        out.add(
            &format!("master{at}"),
            format_args!("name={},status={status},address={host}:{port},slaves={replicas},sentinels={sentinels}", primary.name),
        );
    }
}

fn debug(world: &World, out: &mut Fields<'_>) {
    let stats = &world.stats;
    out.add("eventloop_duration_aof_sum", 0);
    out.add("eventloop_duration_cron_sum", stats.cron_nanos / 1000);
    out.add("eventloop_duration_max", stats.engine_loop_nanos_max / 1000);
    out.add("eventloop_cmd_per_cycle_max", stats.commands_per_loop_max);
    out.add("cron_ticks", stats.cron_ticks);
}
