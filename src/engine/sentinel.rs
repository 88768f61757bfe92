//! The sentinel on the engine's side: takes what its connections bring, and the passing of time, to its state.

use super::Mailbox;
use crate::sentinel::reply::Reply;
use crate::sentinel::script::{Ended, JobId};
use crate::sentinel::{ConnectionId, Order, Sentinel};
use tokio::sync::mpsc::UnboundedReceiver;

impl Mailbox {
    /// What the sentinel wants done, as it comes; `None` on other servers, and if somebody has asked before.
    pub fn sentinel_orders(&self) -> Option<UnboundedReceiver<Order>> {
        self.with(|engine| engine.world.sentinel_orders())
    }

    /// Time has passed. Returns how long to wait for the next tick, in milliseconds.
    pub fn sentinel_tick(&self) -> u64 {
        /// As long as there is no sentinel.
        const IDLE_MS: u64 = 1000;
        let tick = |sentinel: &mut Sentinel| {
            sentinel.tick();
            sentinel.pause_ms()
        };
        self.with_sentinel(tick).unwrap_or(IDLE_MS)
    }

    /// A connection is established, with this address of ours.
    pub fn sentinel_connected(&self, connection: ConnectionId, here: String) {
        self.with_sentinel(|sentinel| sentinel.connected(connection, here));
    }

    /// A connection could not be made, or has ended.
    pub fn sentinel_lost(&self, connection: ConnectionId) {
        self.with_sentinel(|sentinel| sentinel.lost(connection));
    }

    /// A reply or a message came.
    pub fn sentinel_reply(&self, connection: ConnectionId, reply: Reply) {
        self.with_sentinel(|sentinel| sentinel.received(connection, reply));
    }

    /// A script runs as this process.
    pub fn script_started(&self, job: JobId, pid: u32) {
        self.with_sentinel(|sentinel| sentinel.script_started(job, pid));
    }

    /// A script has ended.
    pub fn script_ended(&self, job: JobId, how: Ended) {
        self.with_sentinel(|sentinel| sentinel.script_ended(job, how));
    }

    fn with_sentinel<R>(&self, f: impl FnOnce(&mut Sentinel) -> R) -> Option<R> {
        self.with(|engine| {
            engine.world.keyspace.refresh_clock();
            let result = engine.world.with_sentinel(f);
            // Subscribers have heard of events.
            engine.finish_turn(self);
            result
        })
    }
}
