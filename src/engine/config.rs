//! Directives that changed at run time: what follows from them inside the engine.

use crate::world::World;

/// Applies directives that changed at run time to what lives outside the world and cannot fail.
pub(super) fn apply(world: &mut World, names: &[&'static str]) {
    world.adopt_config();
    if names.contains(&"loglevel")
        && let Some(log) = &world.log
    {
        log.set_level(world.config.loglevel);
    }
    if names.contains(&"crash-log-enabled") {
        crate::sys::crash::configure(world.config.crash_log_enabled, world.config.use_exit_on_panic);
    }
    if names.contains(&"maxmemory") {
        crate::dispatch::memory::limit_changed(world);
    }
    if names.contains(&"port") || names.contains(&"tls-port") {
        let config = &world.config;
        world.identity.tcp_port = if config.port != 0 { config.port } else { config.tls_port } as u16;
    }
    if names.contains(&"repl-backlog-size") {
        world.replication.set_backlog_size(world.config.repl_backlog_size);
    }
    if names.contains(&"min-replicas-to-write") || names.contains(&"min-replicas-max-lag") {
        world.count_good_replicas();
    }
    world.limit_tracking(None);
    if names.contains(&"proto-max-bulk-len") || names.contains(&"client-query-buffer-limit") {
        world.settle_all();
    }
}
