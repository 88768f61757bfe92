//! The end of the server: asked for by SHUTDOWN or a signal, put off until replicas have everything, called off, or prepared
//! for.
//!
//! A server that ended while replicas lag would take with it what its clients were told is written. So writes stand still and
//! replicas get up to `shutdown-timeout` seconds to tell that they have all of it; a client that asked for the end waits
//! with them. What comes after that (files, the last snapshot) may fail, and then the server goes on.

use super::{Order, World};
use crate::command::error::CommandError;
use crate::persist::aof;
use crate::replication::primary::{Replica, Stage};
use crate::types::UnixMillis;
use tracing::{info, warn};

/// How to end.
#[derive(Debug, PartialEq, Eq, Clone, Copy, Default)]
pub struct Shutdown {
    pub save: Option<bool>,
    /// Without waiting for replicas.
    pub now: bool,
    /// Even if the data cannot be saved.
    pub force: bool,
    /// A second signal: leave without ceremony, as a failure.
    pub insist: bool,
}

/// An end that waits for replicas.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    wanted: Shutdown,
    /// When they are waited for no longer.
    pub deadline: UnixMillis,
}

/// What came of the wish to end.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum End {
    /// Everything is prepared: `Order::Shutdown` may follow.
    Due,
    /// It waits for replicas, this one or an earlier one.
    Waits,
    /// The server goes on; the log tells why.
    Failed,
}

/// The reply to SHUTDOWN when the server goes on.
pub const END_FAILED: CommandError = CommandError::new("ERR Errors trying to SHUTDOWN. Check logs.");

impl World {
    /// Begins to end the server.
    pub fn begin_end(&mut self, wanted: Shutdown) -> End {
        if self.ending.is_some() {
            return End::Waits;
        }
        warn!("User requested shutdown...");
        let patience_ms = self.config.shutdown_timeout.saturating_mul(1000);
        // A script that takes long may never end, and then nobody ever gets what it wrote.
        let may_wait = !wanted.now && patience_ms > 0 && self.scripting.busy.is_none();
        if !may_wait || !self.lagging().any(is_worth_waiting_for) {
            return self.finish_end(wanted);
        }
        let deadline = self.keyspace.env.clock.millis().saturating_add(patience_ms);
        self.ending = Some(Ending { wanted, deadline });
        // The offset must stand still, so that replicas can reach it.
        self.settle_pause();
        self.review_restrictions();
        info!("Waiting for replicas before shutting down.");
        End::Waits
    }

    /// Looks whether an end need not wait any longer. To be called now and then.
    pub fn carry_end_on(&mut self) {
        let Some(Ending { wanted, deadline }) = self.ending else { return };
        if self.keyspace.env.clock.millis() < deadline && self.lagging().any(is_worth_waiting_for) {
            return;
        }
        if self.finish_end(wanted) == End::Due {
            self.orders.push_back(Order::Shutdown(wanted));
        }
    }

    /// Calls the end off. False if nobody asked for one.
    pub fn abort_end(&mut self) -> bool {
        let is_asked_for = self.scheduled_end.take().is_some() || self.ending.is_some();
        if is_asked_for {
            self.cancel_end();
            warn!("Shutdown manually aborted.");
        }
        is_asked_for
    }

    /// Milliseconds until replicas are waited for no longer, while they are.
    pub fn ends_in_millis(&self) -> Option<i64> {
        self.ending.map(|ending| ending.deadline - self.keyspace.env.now())
    }

    /// Replicas that have not told that they have everything.
    fn lagging(&self) -> impl Iterator<Item = &Replica> {
        let end = self.replication.end(&self.stream);
        self.replication.replicas.iter().filter(move |replica| replica.acked != end)
    }

    fn finish_end(&mut self, wanted: Shutdown) -> End {
        self.tell_of_replicas();
        match self.save_before_end(wanted) {
            Ok(()) => End::Due,
            Err(_) => {
                warn!("Errors trying to shut down the server. Check the logs for more information. The server goes on.");
                self.cancel_end();
                End::Failed
            }
        }
    }

    /// Tells the log how far replicas are.
    fn tell_of_replicas(&self) {
        let (end, now) = (self.replication.end(&self.stream), crate::clock::Clock::Real.millis());
        let (all, mut lagging) = (self.replication.replicas.len(), 0);
        for replica in self.lagging() {
            lagging += 1;
            let behind = end.saturating_sub(replica.acked);
            let lag = if replica.is_online() { replica.lag_seconds(now) } else { 0 };
            info!(
                "Lagging replica {} reported offset {behind} behind master, lag={lag}, state={}.",
                replica.name(),
                replica.stage_name()
            );
        }
        if all > 0 {
            info!("{} of {all} replicas are in sync when shutting down.", all - lagging);
        }
    }

    /// The server goes on: those who waited for its end are told, and those who were kept from writing go on.
    fn cancel_end(&mut self) {
        if self.ending.take().is_none() {
            return;
        }
        self.settle_pause();
        self.review_restrictions();
        for client in std::mem::take(&mut self.awaiting_end) {
            self.orders.push_back(Order::Refuse { client, error: END_FAILED });
        }
        self.orders.push_back(Order::Resume);
    }

    /// Saves the data before the server ends, if that is wanted or the configuration has save points.
    ///
    /// # Errors
    /// It failed, and the end is not forced.
    fn save_before_end(&mut self, wanted: Shutdown) -> std::io::Result<()> {
        if self.persistence.loading.is_some() {
            warn!("The data are still being loaded: nothing is saved.");
            return Ok(());
        }
        if self.persistence.aof.state() == aof::State::WaitsForRewrite {
            // There is no complete file yet.
            if !wanted.force {
                warn!("Writing initial AOF, can't exit.");
                return Err(std::io::Error::other("the first append-only file is being written"));
            }
            warn!("Writing initial AOF. Exit anyway.");
        }
        if self.persistence.aof.state() != aof::State::Off {
            info!("Calling fsync() on the AOF file.");
            self.persistence.aof.flush(&mut self.stream, true);
        }
        self.give_snapshots_up();
        if self.sentinel.is_some() {
            // It has no data.
            return Ok(());
        }
        if !wanted.save.unwrap_or(!self.config.save.is_empty()) {
            return Ok(());
        }
        self.stamp_history();
        info!("Saving the final RDB snapshot before exiting.");
        let saved = self.persistence.save(&self.keyspace, &self.config);
        match (saved, wanted.force) {
            (Err(_), true) => warn!("Error trying to save the DB. Exit anyway."),
            (Err(error), false) => {
                warn!("Error trying to save the DB, can't exit.");
                return Err(error);
            }
            (Ok(_), _) => {}
        }
        Ok(())
    }
}

/// True for a replica that will tell sometime that it has everything.
fn is_worth_waiting_for(replica: &Replica) -> bool {
    !replica.plain && !matches!(replica.stage, Stage::Done)
}
