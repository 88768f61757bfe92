//! Carrying a snapshot on while the engine has other things to do: a slice now and then, as short as a slow command.
//!
//! While nothing else is to be done slices follow each other. Otherwise there is one for about every turn of the runtime's
//! timer (a millisecond or two), and a shorter one when the engine is busy: saving may take its time, clients may not be
//! made to wait. What they write is recorded ahead of the walk on top of that.

use super::{Engine, Mailbox};
use crate::persist::snapshot::{Purpose, Snapshot};
use crate::world::World;
use std::io;
use std::time::{Duration, Instant};

/// A slice while nothing else is to be done, and while little, and while much is.
const SLICE_IDLE: Duration = Duration::from_micros(250);
const SLICE_LIGHT: Duration = Duration::from_micros(125);
const SLICE_BUSY: Duration = Duration::from_micros(50);
/// Shares of time up to which the engine counts as idle and as lightly loaded.
const IDLE_SHARE: f64 = 0.01;
const LIGHT_SHARE: f64 = 0.6;
/// From slice to slice while there is other work.
const PERIOD: Duration = Duration::from_millis(1);

/// What decides on the next slice.
#[derive(Default)]
pub(super) struct Pace {
    /// Somebody sees to it that slices follow.
    pub(super) is_driven: bool,
    /// When the last slice ended, and the time that the engine had spent in its turns by then.
    last: Option<(Instant, u64)>,
    /// Share of the time that the engine is in its turns, smoothed.
    load: f64,
}

/// When the next slice is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    AtOnce,
    Soon,
    /// There is no snapshot any more.
    Never,
}

/// Drives snapshots for ever.
pub async fn run(mailbox: Mailbox) {
    loop {
        mailbox.snapshot_wanted().await;
        loop {
            match mailbox.with(|engine| engine.carry_snapshot_on(&mailbox)) {
                Next::AtOnce => tokio::task::yield_now().await,
                Next::Soon => tokio::time::sleep(PERIOD).await,
                Next::Never => break,
            }
        }
    }
}

impl Engine {
    /// One slice.
    fn carry_snapshot_on(&mut self, mailbox: &Mailbox) -> Next {
        self.release_batches(mailbox);
        let World { persistence, keyspace, stats, .. } = &mut self.world;
        let Some(snapshot) = &mut persistence.snapshot else {
            self.snapshot = Pace::default();
            return Next::Never;
        };
        let load = self.snapshot.measure(stats.engine_loop_nanos);
        let slice = match load {
            _ if load <= IDLE_SHARE => SLICE_IDLE,
            _ if load <= LIGHT_SHARE => SLICE_LIGHT,
            _ => SLICE_BUSY,
        };
        let more = snapshot.step(keyspace, slice);
        let outcome = if more { None } else { snapshot.outcome(keyspace) };
        self.snapshot.last = Some((Instant::now(), stats.engine_loop_nanos));
        if let Some(result) = outcome
            && let Some(snapshot) = persistence.snapshot.take()
        {
            self.snapshot = Pace::default();
            keyspace.refresh_clock();
            self.release_batches(mailbox);
            finished(&mut self.world, &snapshot, result);
            // Another may have begun.
            self.finish_turn(mailbox);
            return Next::Never;
        }
        if more && load <= IDLE_SHARE { Next::AtOnce } else { Next::Soon }
    }

    /// Starts to save if a save point or BGSAVE SCHEDULE wants it.
    pub(super) fn save_if_due(&mut self) {
        let World { persistence, keyspace, config, .. } = &mut self.world;
        if persistence.snapshot.is_some() || persistence.is_loading() {
            return;
        }
        if let Some(point) = persistence.due_save_point(keyspace, config) {
            tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        } else if !persistence.background.scheduled {
            return;
        }
        self.world.stamp_history();
        let World { persistence, keyspace, config, .. } = &mut self.world;
        // Logged, and told by INFO; and it is tried again.
        let _ = persistence.save_in_background(keyspace, config);
        self.world.review_restrictions();
    }
}

impl Pace {
    /// The engine's load since the last slice, smoothed. `busy` is the time that it has spent in its turns so far.
    fn measure(&mut self, busy: u64) -> f64 {
        const SMOOTHING: f64 = 0.2;
        if let Some((then, before)) = self.last {
            let elapsed = then.elapsed().as_nanos().max(1) as f64;
            let share = (busy.saturating_sub(before) as f64 / elapsed).min(1.0);
            self.load += (share - self.load) * SMOOTHING;
        } else {
            // Better too careful at first.
            self.load = 1.0;
        }
        self.load
    }
}

/// A snapshot is over: those who wanted it are told.
fn finished(world: &mut World, snapshot: &Snapshot, result: io::Result<u64>) {
    match snapshot.purpose {
        Purpose::Rdb => {
            let is_saved = result.is_ok();
            world.persistence.saved_in_background(snapshot, result);
            world.data_file_saved(is_saved);
        }
        Purpose::AofBase => {
            let World { persistence, config, stream, .. } = &mut *world;
            persistence.aof.base_written(result, config, stream);
        }
        Purpose::FullSync => match result {
            Ok(_) => tracing::info!("Background RDB transfer terminated with success"),
            Err(error) => tracing::warn!("Background transfer error: {error}"),
        },
    }
    world.start_full_sync_if_due();
    world.review_restrictions();
}

/// FLUSHALL: a file of what is gone would only be in the way, and one of nothing is quickly written.
pub(super) fn all_flushed(world: &mut World) {
    let World { persistence, keyspace, replication, .. } = &mut *world;
    // Unless replicas wait for it.
    if replication.save_offset.is_none() {
        persistence.cancel_save(keyspace);
    }
    if persistence.is_saving() {
        return;
    }
    world.stamp_history();
    let World { persistence, keyspace, config, .. } = &mut *world;
    if !config.save.is_empty() {
        // Logged.
        let _ = persistence.save(keyspace, config);
        world.review_restrictions();
    }
}
