//! The table of directives: one row tells all. To add one, add a field to `Config`, its default
//! to `defaults.rs`, a row here, and a paragraph to `redis.conf.example`; the tests below hold
//! the four together.

use super::directive::{Choice, Directive, Field, boolean, bytes, choice, field, int, memory, octal, pick, special, string};
use super::value::*;
use super::{check, special};

// Limits that come from the integer types other servers keep their settings in.
const INT: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
const UINT: i64 = u32::MAX as i64;
const LONG: u64 = i64::MAX as u64;

/// Every directive, grouped by topic.
pub const DIRECTIVES: &[Directive] = &[
    // Network
    special("bind", special::BIND).multi(),
    string("bind-source-addr", field!(bind_source_addr)),
    boolean("protected-mode", field!(protected_mode)),
    special("port", special::PORT),
    int("tcp-backlog", field!(tcp_backlog), 0, INT).immutable(),
    string("unixsocket", field!(unixsocket)).immutable(),
    octal("unixsocketperm", field!(unixsocketperm), 0, 0o777).immutable(),
    int("timeout", field!(timeout), 0, INT),
    int("tcp-keepalive", field!(tcp_keepalive), 0, INT),
    int("max-new-connections-per-cycle", field!(max_new_connections_per_cycle), 1, 1000),
    int("max-new-tls-connections-per-cycle", field!(max_new_tls_connections_per_cycle), 1, 1000),
    int("socket-mark-id", field!(socket_mark_id), 0, UINT).immutable().no_effect("sockets carry no mark"),
    // TLS
    special("tls-port", special::TLS_PORT),
    string("tls-cert-file", field!(tls_cert_file)).volatile(),
    string("tls-key-file", field!(tls_key_file)).volatile(),
    string("tls-key-file-pass", field!(tls_key_file_pass)).sensitive(),
    string("tls-client-cert-file", field!(tls_client_cert_file)).volatile(),
    string("tls-client-key-file", field!(tls_client_key_file)).volatile(),
    string("tls-client-key-file-pass", field!(tls_client_key_file_pass)).sensitive(),
    string("tls-dh-params-file", field!(tls_dh_params_file))
        .volatile()
        .no_effect("the TLS library has no finite-field Diffie-Hellman"),
    string("tls-ca-cert-file", field!(tls_ca_cert_file)).volatile(),
    string("tls-ca-cert-dir", field!(tls_ca_cert_dir)).volatile(),
    choice("tls-auth-clients", pick!(tls_auth_clients: TlsAuthClients)),
    boolean("tls-replication", field!(tls_replication)),
    boolean("tls-cluster", field!(tls_cluster)),
    string("tls-protocols", field!(tls_protocols)),
    string("tls-ciphers", field!(tls_ciphers)).no_effect("the TLS library offers its own safe list for TLS 1.2"),
    string("tls-ciphersuites", field!(tls_ciphersuites)),
    boolean("tls-prefer-server-ciphers", field!(tls_prefer_server_ciphers)),
    boolean("tls-session-caching", field!(tls_session_caching)),
    int("tls-session-cache-size", field!(tls_session_cache_size), 0, INT),
    int("tls-session-cache-timeout", field!(tls_session_cache_timeout), 0, INT).no_effect("the TLS library decides"),
    // General
    boolean("daemonize", field!(daemonize)).immutable(),
    choice("supervised", pick!(supervised: Supervised)).immutable(),
    string("pidfile", field!(pidfile)).immutable(),
    choice("loglevel", pick!(loglevel: LogLevel)),
    string("logfile", field!(logfile)).keeps_empty().immutable(),
    boolean("syslog-enabled", field!(syslog_enabled)).immutable().no_effect("log to a file or to standard output instead"),
    string("syslog-ident", field!(syslog_ident))
        .keeps_empty()
        .immutable()
        .no_effect("log to a file or to standard output instead"),
    choice("syslog-facility", pick!(syslog_facility: SyslogFacility))
        .immutable()
        .no_effect("log to a file or to standard output instead"),
    boolean("crash-log-enabled", field!(crash_log_enabled)),
    boolean("crash-memcheck-enabled", field!(crash_memcheck_enabled)).no_effect("crashes do not start a memory test"),
    boolean("hide-user-data-from-log", field!(hide_user_data_from_log)),
    int("databases", field!(databases), 1, INT).immutable(),
    boolean("always-show-logo", field!(always_show_logo)).immutable(),
    boolean("set-proc-title", field!(set_proc_title)).immutable(),
    string("proc-title-template", field!(proc_title_template)).keeps_empty().check(check::is_title_template),
    string("ignore-warnings", field!(ignore_warnings)).keeps_empty().no_effect("there is no such warning"),
    special("shutdown-on-sigint", special::SHUTDOWN_ON_SIGINT).multi(),
    special("shutdown-on-sigterm", special::SHUTDOWN_ON_SIGTERM).multi(),
    int("shutdown-timeout", field!(shutdown_timeout), 0, INT),
    special("hz", special::HZ),
    boolean("dynamic-hz", field!(dynamic_hz)),
    choice("enable-protected-configs", pick!(enable_protected_configs: Protected)).immutable(),
    choice("enable-debug-command", pick!(enable_debug_command: Protected)).immutable(),
    choice("enable-module-command", pick!(enable_module_command: Protected)).immutable(),
    // Snapshots (RDB)
    special("save", special::SAVE).multi(),
    boolean("stop-writes-on-bgsave-error", field!(stop_writes_on_bgsave_error)),
    boolean("rdbcompression", field!(rdbcompression)),
    boolean("rdbchecksum", field!(rdbchecksum)).immutable(),
    choice("sanitize-dump-payload", pick!(sanitize_dump_payload: SanitizeDumpPayload))
        .no_effect("every payload is checked in full"),
    string("dbfilename", field!(dbfilename)).keeps_empty().check(check::is_db_filename).protected(),
    boolean("rdb-del-sync-files", field!(rdb_del_sync_files)),
    boolean("rdb-save-incremental-fsync", field!(rdb_save_incremental_fsync)),
    int("rdb-key-save-delay", field!(rdb_key_save_delay), INT_MIN, INT).hidden(),
    int("key-load-delay", field!(key_load_delay), INT_MIN, INT).hidden(),
    int("loading-process-events-interval-bytes", field!(loading_process_events_interval_bytes), 1024, INT).hidden(),
    special("dir", special::DIR).protected().not_while_loading(),
    // Append-only file
    boolean("appendonly", field!(appendonly)),
    string("appendfilename", field!(appendfilename)).keeps_empty().check(check::is_aof_filename).immutable(),
    string("appenddirname", field!(appenddirname)).keeps_empty().check(check::is_aof_dirname).immutable(),
    choice("appendfsync", pick!(appendfsync: AppendFsync)),
    boolean("no-appendfsync-on-rewrite", field!(no_appendfsync_on_rewrite)),
    int("auto-aof-rewrite-percentage", field!(auto_aof_rewrite_percentage), 0, INT),
    memory("auto-aof-rewrite-min-size", field!(auto_aof_rewrite_min_size), 0, LONG),
    boolean("aof-load-truncated", field!(aof_load_truncated)),
    boolean("aof-use-rdb-preamble", field!(aof_use_rdb_preamble)),
    boolean("aof-timestamp-enabled", field!(aof_timestamp_enabled)),
    boolean("aof-rewrite-incremental-fsync", field!(aof_rewrite_incremental_fsync)),
    boolean("aof-disable-auto-gc", field!(aof_disable_auto_gc)).hidden(),
    // Replication
    special("replicaof", special::REPLICAOF).alias("slaveof").immutable().multi(),
    bytes("masterauth", field!(masterauth)).foreign_alias("primaryauth").sensitive(),
    bytes("masteruser", field!(masteruser)).foreign_alias("primaryuser").sensitive(),
    boolean("replica-serve-stale-data", field!(replica_serve_stale_data)).alias("slave-serve-stale-data"),
    boolean("replica-read-only", field!(replica_read_only)).alias("slave-read-only"),
    boolean("repl-diskless-sync", field!(repl_diskless_sync)),
    int("repl-diskless-sync-delay", field!(repl_diskless_sync_delay), 0, INT),
    int("repl-diskless-sync-max-replicas", field!(repl_diskless_sync_max_replicas), 0, INT),
    choice("repl-diskless-load", pick!(repl_diskless_load: ReplDisklessLoad)).not_while_loading(),
    boolean("repl-rdb-channel", field!(repl_rdb_channel)).hidden().no_effect("full syncs use the one replication connection"),
    memory("replica-full-sync-buffer-limit", field!(replica_full_sync_buffer_limit), 0, LONG)
        .no_effect("full syncs use the one replication connection"),
    int("repl-ping-replica-period", field!(repl_ping_replica_period), 1, INT).alias("repl-ping-slave-period"),
    int("repl-timeout", field!(repl_timeout), 1, INT),
    boolean("repl-disable-tcp-nodelay", field!(repl_disable_tcp_nodelay)),
    special("repl-backlog-size", special::REPL_BACKLOG_SIZE),
    int("repl-backlog-ttl", field!(repl_backlog_ttl), 0, i64::MAX),
    int("replica-priority", field!(replica_priority), 0, INT).alias("slave-priority"),
    boolean("replica-announced", field!(replica_announced)),
    string("replica-announce-ip", field!(replica_announce_ip)).alias("slave-announce-ip"),
    int("replica-announce-port", field!(replica_announce_port), 0, 65_535).alias("slave-announce-port"),
    boolean("replica-lazy-flush", field!(replica_lazy_flush)).alias("slave-lazy-flush"),
    boolean("replica-ignore-maxmemory", field!(replica_ignore_maxmemory)).alias("slave-ignore-maxmemory"),
    boolean("replica-ignore-disk-write-errors", field!(replica_ignore_disk_write_errors)),
    int("min-replicas-to-write", field!(min_replicas_to_write), 0, INT).alias("min-slaves-to-write"),
    int("min-replicas-max-lag", field!(min_replicas_max_lag), 0, INT).alias("min-slaves-max-lag"),
    choice("propagation-error-behavior", pick!(propagation_error_behavior: PropagationErrorBehavior)),
    // Security
    bytes("requirepass", field!(requirepass)).sensitive(),
    string("aclfile", field!(aclfile)).keeps_empty().immutable(),
    int("acllog-max-len", field!(acllog_max_len), 0, i64::MAX),
    choice("acl-pubsub-default", pick!(acl_pubsub_default: AclPubsubDefault)),
    // Clients
    int("maxclients", field!(maxclients), 1, UINT),
    special("maxmemory-clients", special::MAXMEMORY_CLIENTS),
    memory("client-query-buffer-limit", field!(client_query_buffer_limit), 1 << 20, LONG),
    special("client-output-buffer-limit", special::CLIENT_OUTPUT_BUFFER_LIMIT).multi(),
    memory("proto-max-bulk-len", field!(proto_max_bulk_len), 1 << 20, LONG),
    int("tracking-table-max-keys", field!(tracking_table_max_keys), 0, i64::MAX),
    // Memory
    memory("maxmemory", field!(maxmemory), 0, u64::MAX),
    choice("maxmemory-policy", pick!(maxmemory_policy: MaxmemoryPolicy)),
    int("maxmemory-samples", field!(maxmemory_samples), 1, 64),
    int("maxmemory-eviction-tenacity", field!(maxmemory_eviction_tenacity), 0, 100),
    int("lfu-log-factor", field!(lfu_log_factor), 0, INT),
    int("lfu-decay-time", field!(lfu_decay_time), 0, INT),
    int("active-expire-effort", field!(active_expire_effort), 1, 10),
    boolean("lazyfree-lazy-eviction", field!(lazyfree_lazy_eviction)),
    boolean("lazyfree-lazy-expire", field!(lazyfree_lazy_expire)),
    boolean("lazyfree-lazy-server-del", field!(lazyfree_lazy_server_del)),
    boolean("lazyfree-lazy-user-del", field!(lazyfree_lazy_user_del)),
    boolean("lazyfree-lazy-user-flush", field!(lazyfree_lazy_user_flush)),
    boolean("activerehashing", field!(activerehashing)).no_effect("tables grow and shrink one bucket at a time"),
    boolean("activedefrag", field!(activedefrag)),
    memory("active-defrag-ignore-bytes", field!(active_defrag_ignore_bytes), 1, LONG),
    int("active-defrag-threshold-lower", field!(active_defrag_threshold_lower), 0, 1000),
    int("active-defrag-threshold-upper", field!(active_defrag_threshold_upper), 0, 1000),
    int("active-defrag-cycle-min", field!(active_defrag_cycle_min), 1, 99),
    int("active-defrag-cycle-max", field!(active_defrag_cycle_max), 1, 99),
    int("active-defrag-max-scan-fields", field!(active_defrag_max_scan_fields), 1, i64::MAX)
        .no_effect("large values are walked bit by bit"),
    boolean("jemalloc-bg-thread", field!(jemalloc_bg_thread)).no_effect("jemalloc is not used"),
    choice("oom-score-adj", pick!(oom_score_adj: OomScoreAdj)),
    special("oom-score-adj-values", special::OOM_SCORE_ADJ_VALUES).multi(),
    boolean("disable-thp", field!(disable_thp)).immutable(),
    // Encodings
    int("hash-max-listpack-entries", field!(hash_max_listpack_entries), 0, i64::MAX).alias("hash-max-ziplist-entries"),
    memory("hash-max-listpack-value", field!(hash_max_listpack_value), 0, LONG).alias("hash-max-ziplist-value"),
    int("list-max-listpack-size", field!(list_max_listpack_size), INT_MIN, INT).alias("list-max-ziplist-size"),
    int("list-compress-depth", field!(list_compress_depth), 0, INT),
    int("set-max-intset-entries", field!(set_max_intset_entries), 0, i64::MAX),
    int("set-max-listpack-entries", field!(set_max_listpack_entries), 0, i64::MAX),
    int("set-max-listpack-value", field!(set_max_listpack_value), 0, i64::MAX),
    int("zset-max-listpack-entries", field!(zset_max_listpack_entries), 0, i64::MAX).alias("zset-max-ziplist-entries"),
    memory("zset-max-listpack-value", field!(zset_max_listpack_value), 0, LONG).alias("zset-max-ziplist-value"),
    memory("hll-sparse-max-bytes", field!(hll_sparse_max_bytes), 0, LONG),
    memory("stream-node-max-bytes", field!(stream_node_max_bytes), 0, LONG),
    int("stream-node-max-entries", field!(stream_node_max_entries), 0, i64::MAX),
    // Events, scripts, slow commands, latency
    special("notify-keyspace-events", special::NOTIFY_KEYSPACE_EVENTS),
    int("busy-reply-threshold", field!(busy_reply_threshold), 0, i64::MAX).alias("lua-time-limit"),
    int("slowlog-log-slower-than", field!(slowlog_log_slower_than), -1, i64::MAX)
        .foreign_alias("commandlog-execution-slower-than"),
    int("slowlog-max-len", field!(slowlog_max_len), 0, i64::MAX).foreign_alias("commandlog-slow-execution-max-len"),
    int("latency-monitor-threshold", field!(latency_monitor_threshold), 0, i64::MAX),
    boolean("latency-tracking", field!(latency_tracking)),
    special("latency-tracking-info-percentiles", special::LATENCY_TRACKING_INFO_PERCENTILES).multi(),
    string("locale-collate", field!(locale_collate))
        .keeps_empty()
        .check(check::is_locale)
        .no_effect("text is compared byte by byte"),
    boolean("lua-enable-deprecated-api", field!(lua_enable_deprecated_api))
        .immutable()
        .hidden()
        .no_effect("scripts get the current API only"),
    // Threads
    int("io-threads", field!(io_threads), 1, 128).immutable(),
    string("server-cpulist", field!(server_cpulist)).alias("server_cpulist").immutable().no_effect("threads are not pinned"),
    string("bio-cpulist", field!(bio_cpulist)).alias("bio_cpulist").immutable().no_effect("threads are not pinned"),
    string("aof-rewrite-cpulist", field!(aof_rewrite_cpulist))
        .alias("aof_rewrite_cpulist")
        .immutable()
        .no_effect("threads are not pinned"),
    string("bgsave-cpulist", field!(bgsave_cpulist)).alias("bgsave_cpulist").immutable().no_effect("threads are not pinned"),
    // Cluster
    boolean("cluster-enabled", field!(cluster_enabled)).immutable(),
    string("cluster-config-file", field!(cluster_config_file)).keeps_empty().immutable(),
    int("cluster-port", field!(cluster_port), 0, 65_535).immutable(),
    int("cluster-node-timeout", field!(cluster_node_timeout), 0, i64::MAX),
    int("cluster-replica-validity-factor", field!(cluster_replica_validity_factor), 0, INT)
        .alias("cluster-slave-validity-factor"),
    int("cluster-migration-barrier", field!(cluster_migration_barrier), 0, INT),
    boolean("cluster-allow-replica-migration", field!(cluster_allow_replica_migration)),
    boolean("cluster-require-full-coverage", field!(cluster_require_full_coverage)),
    boolean("cluster-replica-no-failover", field!(cluster_replica_no_failover)).alias("cluster-slave-no-failover"),
    boolean("cluster-allow-reads-when-down", field!(cluster_allow_reads_when_down)),
    boolean("cluster-allow-pubsubshard-when-down", field!(cluster_allow_pubsubshard_when_down)),
    memory("cluster-link-sendbuf-limit", field!(cluster_link_sendbuf_limit), 0, u64::MAX),
    string("cluster-announce-ip", field!(cluster_announce_ip)),
    int("cluster-announce-port", field!(cluster_announce_port), 0, 65_535),
    int("cluster-announce-tls-port", field!(cluster_announce_tls_port), 0, 65_535),
    int("cluster-announce-bus-port", field!(cluster_announce_bus_port), 0, 65_535),
    string("cluster-announce-hostname", field!(cluster_announce_hostname)).check(check::is_hostname),
    string("cluster-announce-human-nodename", field!(cluster_announce_human_nodename)).check(check::is_nodename),
    choice("cluster-preferred-endpoint-type", pick!(cluster_preferred_endpoint_type: ClusterEndpoint)),
    int("cluster-compatibility-sample-ratio", field!(cluster_compatibility_sample_ratio), 0, 100)
        .no_effect("commands are not sampled"),
    int("cluster-ping-interval", field!(cluster_ping_interval), 0, i64::MAX).hidden(),
    // Tests and debugging
    boolean("use-exit-on-panic", field!(use_exit_on_panic)).hidden(),
    int("watchdog-period", field!(watchdog_period), 0, INT).hidden(),
    // Other servers' names: accepted so that their files load
    boolean("io-threads-do-reads", field!(io_threads_do_reads)).immutable().hidden().no_effect("socket threads always read"),
    int("active-defrag-cycle-us", field!(active_defrag_cycle_us), 0, 100_000).hidden(),
    string("availability-zone", field!(availability_zone)).keeps_empty().hidden().no_effect("nothing reports it"),
    string("cluster-announce-client-ipv4", field!(cluster_announce_client_ipv4))
        .check(check::is_ipv4)
        .hidden()
        .no_effect("clients get the announced address"),
    string("cluster-announce-client-ipv6", field!(cluster_announce_client_ipv6))
        .check(check::is_ipv6)
        .hidden()
        .no_effect("clients get the announced address"),
    int("cluster-announce-client-port", field!(cluster_announce_client_port), 0, 65_535)
        .hidden()
        .no_effect("clients get the announced port"),
    int("cluster-announce-client-tls-port", field!(cluster_announce_client_tls_port), 0, 65_535)
        .hidden()
        .no_effect("clients get the announced port"),
    int("cluster-blacklist-ttl", field!(cluster_blacklist_ttl), i64::MIN, i64::MAX)
        .hidden()
        .no_effect("forgotten nodes stay out for a minute"),
    choice("cluster-config-save-behavior", pick!(cluster_config_save_behavior: ClusterConfigSave))
        .hidden()
        .no_effect("the file is always synced"),
    int("cluster-databases", field!(cluster_databases), 1, INT).immutable().hidden().no_effect("a cluster has one database"),
    int("cluster-manual-failover-timeout", field!(cluster_manual_failover_timeout), 1, INT)
        .hidden()
        .no_effect("manual failover waits five seconds"),
    int("cluster-slot-migration-log-max-len", field!(cluster_slot_migration_log_max_len), 0, i64::MAX)
        .hidden()
        .no_effect("slots are migrated key by key"),
    boolean("cluster-slot-stats-enabled", field!(cluster_slot_stats_enabled)).hidden().no_effect("slots are not measured"),
    int("commandlog-large-reply-max-len", field!(commandlog_large_reply_max_len), 0, i64::MAX).hidden(),
    int("commandlog-large-request-max-len", field!(commandlog_large_request_max_len), 0, i64::MAX).hidden(),
    int("commandlog-reply-larger-than", field!(commandlog_reply_larger_than), -1, i64::MAX).hidden(),
    int("commandlog-request-larger-than", field!(commandlog_request_larger_than), -1, i64::MAX).hidden(),
    string("debug-context", field!(debug_context)).keeps_empty().hidden().no_effect("there is no crash report"),
    boolean("dual-channel-replication-enabled", field!(dual_channel_replication_enabled))
        .hidden()
        .no_effect("full syncs use the one replication connection"),
    boolean("extended-redis-compatibility", field!(extended_redis_compatibility)).hidden().no_effect("nothing else is announced"),
    string("hash-seed", field!(hash_seed)).keeps_empty().immutable().hidden().no_effect("the seed is always random"),
    boolean("import-mode", field!(import_mode)).hidden().no_effect("imports are not told apart"),
    choice("log-format", pick!(log_format: LogFormat)).hidden().no_effect("lines have the one format that tools wait for"),
    choice("log-timestamp-format", pick!(log_timestamp_format: LogTimestampFormat))
        .hidden()
        .no_effect("lines have the one format that tools wait for"),
    boolean("lua-enable-insecure-api", field!(lua_enable_insecure_api))
        .protected()
        .hidden()
        .no_effect("scripts get the current API only"),
    int("min-io-threads-avoid-copy-reply", field!(min_io_threads_avoid_copy_reply), 0, INT)
        .hidden()
        .no_effect("large replies are never copied"),
    boolean("mptcp", field!(mptcp)).immutable().hidden().no_effect("plain TCP only"),
    int("prefetch-batch-max-size", field!(prefetch_batch_max_size), 0, 128).hidden().no_effect("batches have a fixed size"),
    choice("rdb-version-check", pick!(rdb_version_check: RdbVersionCheck)).hidden().no_effect("newer versions are refused"),
    string("rdma-bind", field!(rdma_bind)).check(check::is_no_rdma).hidden().no_effect("RDMA is not supported"),
    int("rdma-completion-vector", field!(rdma_completion_vector), INT_MIN, INT)
        .immutable()
        .hidden()
        .no_effect("RDMA is not supported"),
    int("rdma-port", field!(rdma_port), 0, 65_535).hidden().no_effect("RDMA is not supported"),
    memory("rdma-rx-size", field!(rdma_rx_size), 64 << 10, 16 << 20).immutable().hidden().no_effect("RDMA is not supported"),
    boolean("repl-mptcp", field!(repl_mptcp)).immutable().hidden().no_effect("plain TCP only"),
    int("slot-migration-max-failover-repl-bytes", field!(slot_migration_max_failover_repl_bytes), -1, i64::MAX)
        .hidden()
        .no_effect("slots are migrated key by key"),
    choice("tls-auth-clients-user", pick!(tls_auth_clients_user: TlsAuthClientsUser))
        .hidden()
        .no_effect("a certificate does not log in"),
    int("tls-auto-reload-interval", field!(tls_auto_reload_interval), 0, INT)
        .hidden()
        .no_effect("certificates are read again when their files change"),
    string("unixsocketgroup", field!(unixsocketgroup))
        .immutable()
        .hidden()
        .no_effect("the socket belongs to the group of the process"),
];

/// The directive of this name or alias; case does not matter.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|directive| directive.is_called(name))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Effect, Flags, Protected, SetContext, SetError, file};
    use super::*;
    use std::collections::HashSet;

    /// Names, defaults and outcomes as real servers gave them.
    const FACTS: &str = include_str!("../../tests/data/config_defaults.tsv");
    const EXAMPLE: &str = include_str!("../../redis.conf.example");

    fn facts() -> impl Iterator<Item = [&'static str; 4]> {
        FACTS.lines().skip(1).map(|line| {
            let mut columns = line.split('\t');
            std::array::from_fn(|_| columns.next().unwrap_or_default())
        })
    }

    fn set(config: &mut Config, name: &str, value: &[u8]) -> Result<(), SetError> {
        let pair = (name.as_bytes(), value);
        config.set_many(&[pair], SetContext::default()).map(drop)
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = HashSet::new();
        for directive in DIRECTIVES {
            for name in [Some(directive.name), directive.alias].into_iter().flatten() {
                assert!(seen.insert(name), "{name}");
                assert_eq!(name, name.to_lowercase());
            }
        }
        assert_eq!(facts().count(), seen.len());
    }

    #[test]
    fn defaults_are_those_of_real_servers() {
        let config = Config::default();
        for [name, default, ..] in facts() {
            let value = config.get(&[name.as_bytes()]);
            let [(shown, value)] = value.as_slice() else {
                panic!("{name} is not known");
            };
            assert_eq!(shown, name.as_bytes());
            match name {
                "dir" => assert!(value.starts_with(b"/"), "dir"),
                _ => assert_eq!(String::from_utf8_lossy(value), default, "{name}"),
            }
        }
    }

    #[test]
    fn setting_the_same_value_gives_the_same_outcome() {
        for [name, _, outcome, _] in facts() {
            let mut config = Config::default();
            let value = config.get(&[name.as_bytes()]).remove(0).1;
            let expected = match outcome {
                "ok" => Ok(()),
                "immutable" => Err("can't set immutable config"),
                "protected" => Err("can't set protected config"),
                error => Err(error.strip_prefix("error: ").unwrap_or(error)),
            };
            let expected = expected.map_err(|reason| SetError::Failed { name: name.into(), reason: reason.into() });
            assert_eq!(set(&mut config, name, &value), expected, "{name}");
            if name != "dir" {
                assert_eq!(config, Config::default(), "{name}");
            }
        }
    }

    #[test]
    fn unacceptable_values_are_refused_in_the_same_words() {
        for [name, _, outcome, refusal] in facts() {
            if outcome != "ok" || refusal.is_empty() {
                continue;
            }
            // Each refusal follows from one of these.
            let values = ["!", "-99999999999999", "9223372036854775807", "-1", "1 2 3 4 5"];
            let mut config = Config::default();
            let refused = values.iter().any(|value| {
                let error = set(&mut config, name, value.as_bytes());
                matches!(error, Err(SetError::Failed { reason, .. }) if reason == refusal)
            });
            // Every integer can be set to something here.
            let anything = refusal.contains("argument must be between");
            assert!(refused || anything && limits(name) == refusal, "{name}: {refusal}");
        }
    }

    /// The text about the limits of an integer, for those that have room for all the above.
    fn limits(name: &str) -> String {
        match find(name.as_bytes()).unwrap().kind {
            super::super::directive::Kind::Int { min, max, .. } => {
                format!("argument must be between {min} and {max} inclusive")
            }
            _ => String::new(),
        }
    }

    #[test]
    fn hidden_names_and_foreign_aliases_need_the_exact_name() {
        let all = Config::default().get(&[b"*"]);
        let shown = |name: &str| all.iter().any(|(known, _)| known == name.as_bytes());
        for name in ["maxmemory", "slave-priority", "replica-priority", "slaveof"] {
            assert!(shown(name), "{name}");
        }
        for name in ["key-load-delay", "primaryauth", "hash-seed", "commandlog-slow-execution-max-len"] {
            assert!(!shown(name), "{name}");
            assert_eq!(Config::default().get(&[name.as_bytes()]).len(), 1);
        }
        let names = |patterns: &[&[u8]]| {
            let found = Config::default().get(patterns).into_iter();
            found.map(|(name, _)| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[b"slave-PRIORITY", b"SLAVE-priority", b"*a?e-priority", b"no", b"no*such"]), ["slave-PRIORITY"]);
        assert_eq!(names(&[b"MAXMEMORY-*l*"]), ["maxmemory-clients", "maxmemory-policy", "maxmemory-samples"]);
    }

    #[test]
    fn one_refusal_undoes_all() {
        let mut config = Config::default();
        let failed = |name: &str, reason: &str| Err(SetError::Failed { name: name.into(), reason: reason.into() });
        let mut set = |pairs: &[(&str, &str)], context: SetContext| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            let changed = config.set_many(&pairs, context);
            let unchanged = config == Config::default();
            changed
                .map(|changed| {
                    config = Config::default();
                    changed.iter().map(|directive| directive.name).collect::<Vec<_>>()
                })
                .inspect_err(|_| assert!(unchanged))
        };
        let plain = SetContext::default();
        for (pairs, expected) in [
            (&[("maxmemory", "1mb"), ("HZ", "abc")][..], failed("hz", "argument couldn't be parsed into an integer")),
            (&[("maxmemory", "0"), ("foo", "1")], Err(SetError::Unknown { name: b"foo".to_vec() })),
            (&[("Databases", "2"), ("foo", "1")], failed("Databases", "can't set immutable config")),
            (&[("maxmemory", "0"), ("maxmemory", "0")], failed("maxmemory", "duplicate parameter")),
            (&[("dir", "/")], failed("dir", "can't set protected config")),
            (&[("maxmemory-clients", "101%")], failed("maxmemory-clients", "percentage argument must be less or equal to 100")),
            (&[("save", "1 0")], Ok(vec!["save"])),
            (&[("save", "1")], failed("save", "Invalid save parameters")),
            (&[("save", " 1 1")], failed("save", "Invalid save parameters")),
            (
                &[("client-output-buffer-limit", "foo 0 0 0")],
                failed("client-output-buffer-limit", "Invalid client class specified in buffer limit configuration."),
            ),
            (
                &[("client-output-buffer-limit", "normal abc 0 0")],
                failed(
                    "client-output-buffer-limit",
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
                ),
            ),
            (&[("oom-score-adj-values", "1 2")], failed("oom-score-adj-values", "wrong number of arguments")),
            (
                &[("latency-tracking-info-percentiles", "101")],
                failed(
                    "latency-tracking-info-percentiles",
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                ),
            ),
            (
                &[("shutdown-on-sigint", "save nosave")],
                failed("shutdown-on-sigint", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
            ),
            (&[("port", "99999")], failed("port", "argument must be between 0 and 65535 inclusive")),
            (
                &[("proto-max-bulk-len", "1")],
                failed("proto-max-bulk-len", "argument must be between 1048576 and 9223372036854775807 inclusive"),
            ),
            (&[("slave-priority", "1"), ("replica-priority", "2")], Ok(vec!["replica-priority"])),
            (&[("tls-cert-file", ""), ("timeout", "0"), ("hz", "11")], Ok(vec!["tls-cert-file", "hz"])),
            (&[("bind", ""), ("latency-tracking-info-percentiles", "")], Ok(vec!["bind", "latency-tracking-info-percentiles"])),
        ] {
            assert_eq!(set(pairs, plain), expected, "{pairs:?}");
        }
        let loading = SetContext { loading: true, ..plain };
        assert_eq!(set(&[("repl-diskless-load", "swapdb")], loading), Err(SetError::Loading));
        let message = set(&[("a'b", "")], plain).unwrap_err().to_string();
        assert_eq!(message, "ERR Unknown option or number of arguments for CONFIG SET - 'a'b'");
        let message = set(&[("hz", "-1")], plain).unwrap_err().to_string();
        assert!(message.starts_with("ERR CONFIG SET failed (possibly related to argument 'hz') - "));
    }

    #[test]
    fn values_out_of_range_that_are_moved_into_it() {
        let mut config = Config::default();
        for (name, given, kept) in [
            ("hz", "0", "1"),
            ("hz", "1000", "500"),
            ("repl-backlog-size", "1", "16384"),
            ("maxmemory-clients", "0%", "0"),
            ("maxmemory", "99999999999999999999", "18446744073709551615"),
        ] {
            set(&mut config, name, given.as_bytes()).unwrap();
            assert_eq!(config.get(&[name.as_bytes()])[0].1, kept.as_bytes(), "{name}");
        }
    }

    #[test]
    fn protected_settings_open_by_degrees() {
        for (switch, local, allowed) in [
            (Protected::No, true, false),
            (Protected::Local, false, false),
            (Protected::Local, true, true),
            (Protected::Yes, false, true),
        ] {
            let mut config = Config { enable_protected_configs: switch, ..Config::default() };
            let context = SetContext { client_is_local: local, loading: false };
            let result = config.set_many(&[(b"dbfilename", b"x.rdb")], context);
            assert_eq!(result.is_ok(), allowed, "{switch:?} {local}");
        }
    }

    #[test]
    fn the_example_shows_every_default_that_matters() {
        let known = |line: &&str| {
            let name = line.split(' ').next().unwrap_or_default();
            DIRECTIVES.iter().any(|directive| directive.name == name)
        };
        let lines: Vec<&str> = EXAMPLE.lines().filter_map(|line| line.strip_prefix("# ")).filter(known).collect();
        let config = file::load_str(&lines.join("\n"), "redis.conf.example").unwrap();
        for directive in DIRECTIVES {
            let (value, default) = (directive.get(&config), directive.get(&Config::default()));
            assert_eq!(value, default, "{}", directive.name);
            let start = format!("{} ", directive.name);
            let listed = lines.iter().any(|line| line.starts_with(&start));
            let wanted = directive.effect == Effect::Works && !directive.flags.contains(Flags::HIDDEN);
            assert_eq!(listed, wanted, "{}", directive.name);
        }
        assert_eq!(file::load_str(EXAMPLE, "redis.conf.example").unwrap(), Config::default());
    }
}
