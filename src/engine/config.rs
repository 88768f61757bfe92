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
    if names.contains(&"port") || names.contains(&"tls-port") {
        let config = &world.config;
        world.identity.tcp_port = if config.port != 0 { config.port } else { config.tls_port } as u16;
    }
    world.limit_tracking(None);
    // Without a password everybody is the default user; and limits on requests may be others.
    if ["requirepass", "proto-max-bulk-len", "client-query-buffer-limit"].iter().any(|name| names.contains(name)) {
        let open = world.config.requirepass.is_empty();
        let ids: Vec<_> = world.sessions.ids().collect();
        for id in ids {
            let (known, unknown) = (world.limits(true), world.limits(false));
            let Some(session) = world.sessions.get_mut(id) else { continue };
            session.authenticated |= open;
            if let Some(link) = &session.link {
                link.set_limits(if session.authenticated { known } else { unknown });
            }
        }
    }
}
