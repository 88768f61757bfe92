//! The world as a sentinel: its state is opened at the start, and what a step of it leads to is done here. The file comes first,
//! as others act on what they are told.

use super::World;
use crate::clock;
use crate::config::rewrite;
use crate::sentinel::{BadLine, Event, Level, Order, Sentinel};
use std::net::{IpAddr, ToSocketAddrs};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{debug, info, trace, warn};

/// A sentinel's state, with the way to those who carry its orders out.
pub struct Watch {
    pub state: Sentinel,
    orders: UnboundedSender<Order>,
    /// Until somebody carries them out.
    waiting: Option<UnboundedReceiver<Order>>,
}

impl World {
    /// Makes this server a sentinel, if it is to be one. To be called before anything is loaded.
    ///
    /// # Errors
    /// There is no file to keep its state in, or the file's lines are wrong.
    pub fn become_sentinel(&mut self) -> Result<(), String> {
        if !self.config.sentinel_mode {
            return Ok(());
        }
        let Some(path) = self.config.config_file.clone() else {
            return Err("Sentinel needs config file on disk to save state. Exiting...".into());
        };
        if let Err(error) = std::fs::File::options().write(true).open(&path) {
            let reason = crate::config::io_reason(&error);
            return Err(format!("Sentinel config file {} is not writable: {reason}. Exiting...", path.display()));
        }
        // There are no data to keep.
        self.config.save.clear();
        self.persistence.starts_empty = true;
        let mut state = Sentinel::new(self.keyspace.env.now(), clock::entropy(), look_up);
        state.adopt_config(&self.config);
        let lines = std::mem::take(&mut self.config.sentinel);
        state.read(&lines).map_err(|BadLine { reason, .. }| reason)?;
        let is_new = state.id.is_empty();
        if is_new {
            state.id = clock::random_id();
        }
        let (orders, waiting) = unbounded_channel();
        self.sentinel = Some(Box::new(Watch { state, orders, waiting: Some(waiting) }));
        if is_new {
            // A failure is in the log.
            self.save_sentinel();
        }
        self.with_sentinel(Sentinel::begin);
        Ok(())
    }

    /// The orders to be carried out; to be asked for once.
    pub fn sentinel_orders(&mut self) -> Option<UnboundedReceiver<Order>> {
        self.sentinel.as_mut()?.waiting.take()
    }

    /// Lets the sentinel do something now, and does what follows. `None` on other servers.
    pub fn with_sentinel<R>(&mut self, f: impl FnOnce(&mut Sentinel) -> R) -> Option<R> {
        let watch = self.sentinel.as_mut()?;
        watch.state.set_now(self.keyspace.env.now());
        watch.state.adopt_config(&self.config);
        let result = f(&mut watch.state);
        self.settle_sentinel();
        Some(result)
    }

    /// Does what the sentinel's last steps lead to.
    fn settle_sentinel(&mut self) {
        let Some(watch) = &mut self.sentinel else { return };
        let effects = watch.state.take_effects();
        if effects.is_empty() {
            return;
        }
        if effects.save {
            self.save_sentinel();
        }
        for event in &effects.events {
            log(event);
            if event.level > Level::Debug && !event.name.is_empty() {
                self.pubsub.publish(&mut self.sessions, event.name.as_bytes(), event.text.as_bytes());
            }
        }
        if effects.crash {
            // As if the power had failed: this is what the test that asked for it wants to see.
            std::process::exit(CRASHED);
        }
        if let Some(watch) = &self.sentinel {
            for order in effects.orders {
                // Nobody is there any more when the server ends.
                let _ = watch.orders.send(order);
            }
        }
    }

    /// Writes the sentinel's state into the configuration file. False if that fails, which the log tells.
    pub fn save_sentinel(&mut self) -> bool {
        let Some(watch) = &self.sentinel else { return false };
        self.config.sentinel = watch.state.lines();
        self.config.users = self.acl.lines();
        let written = rewrite::rewrite_file(&self.config, false);
        self.config.sentinel.clear();
        self.config.users.clear();
        match &written {
            Ok(()) => info!("Sentinel new configuration saved on disk"),
            Err(error) => warn!("WARNING: Sentinel was not able to save the new configuration on disk!!!: {error}"),
        }
        written.is_ok()
    }
}

/// What the process ends with when a failure is simulated.
const CRASHED: i32 = 99;

fn log(event: &Event) {
    let gap = if event.name.is_empty() { "" } else { " " };
    let (name, text) = (event.name, &event.text);
    match event.level {
        Level::Debug => trace!("{name}{gap}{text}"),
        Level::Verbose => debug!("{name}{gap}{text}"),
        Level::Notice => info!("{name}{gap}{text}"),
        Level::Warning => warn!("{name}{gap}{text}"),
    }
}

/// The first address of a host name, by the system's means. It may take a while, as it does for the original.
fn look_up(host: &str) -> Option<IpAddr> {
    (host, 0).to_socket_addrs().ok()?.next().map(|address| address.ip())
}
