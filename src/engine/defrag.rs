//! Active defragmentation (`activedefrag`): when it runs and how much of the time it may take. What it does is in
//! `keyspace::defrag`.
//!
//! Pages that hold far more than what lives in them are the reason to begin a pass; how much more decides on the share of the
//! processor, between `active-defrag-cycle-min` and `-max`. The share is taken in short slices (`active-defrag-cycle-us`), so
//! that no client waits for more than one of them.

use super::Engine;
use crate::config::Config;
use crate::keyspace::defrag::Defrag;
use crate::raw::alloc;
use crate::types::DbIndex;
use std::time::{Duration, Instant};

/// The shortest slice that is worth beginning.
const SLICE_MIN: Duration = Duration::from_micros(50);
const PAGE_BYTES: u64 = 64 << 10;

/// A pass, while there is one.
#[derive(Default)]
pub struct ActiveDefrag {
    pass: Defrag,
    /// Share of the time that the pass may take, in percent; 0 while there is none.
    pub percent: u64,
    /// When the next slice is due.
    next: Option<Instant>,
    started: Option<Instant>,
    /// Time of all passes so far.
    total: Duration,
}

impl ActiveDefrag {
    /// How long all passes took, the present one included, and how long that one.
    pub fn times(&self) -> (Duration, Duration) {
        let current = self.started.map_or(Duration::ZERO, |at| at.elapsed());
        (self.total + current, current)
    }

    /// Time until the next slice, if there is to be one.
    pub fn wait(&self) -> Option<Duration> {
        self.next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn stop(&mut self) {
        if let Some(started) = self.started.take() {
            self.total += started.elapsed();
        }
        *self = ActiveDefrag { total: self.total, ..ActiveDefrag::default() };
    }
}

/// The share of the time that is worth spending, in percent, or 0.
fn worth(config: &Config, running: bool) -> u64 {
    let stats = alloc::stats();
    let (pages, live) = (stats.pages as u64 * PAGE_BYTES, stats.small_live.max(1) as u64);
    let waste = pages.saturating_sub(live);
    let percent = (waste * 100 / live) as i64;
    let (lower, upper) = (config.active_defrag_threshold_lower, config.active_defrag_threshold_upper);
    if !running && (percent < lower || waste < config.active_defrag_ignore_bytes) {
        return 0;
    }
    let (min, max) = (config.active_defrag_cycle_min, config.active_defrag_cycle_max.max(config.active_defrag_cycle_min));
    let above = (percent - lower).clamp(0, (upper - lower).max(1));
    (min + (max - min) * above / (upper - lower).max(1)).clamp(1, 99) as u64
}

impl Engine {
    /// Looks whether a pass is to begin, ten times a second.
    pub(super) fn consider_defrag(&mut self) {
        let world = &mut self.world;
        if !world.config.activedefrag {
            if self.defrag.percent > 0 {
                self.defrag.stop();
                world.stats.defrag_percent = 0;
            }
            return;
        }
        let running = self.defrag.percent > 0;
        self.defrag.percent = worth(&world.config, running);
        world.stats.defrag_percent = self.defrag.percent;
        if !running && self.defrag.percent > 0 {
            let keys: usize = (0..world.keyspace.databases() as u32).map(|i| world.keyspace.db(DbIndex(i)).table.len()).sum();
            tracing::debug!("Starting active defrag, {keys} keys");
            self.defrag.started = Some(Instant::now());
            self.defrag.next = Some(Instant::now());
        }
    }

    /// Takes the next slice, if it is due.
    pub(super) fn defragment(&mut self) {
        let start = Instant::now();
        if self.defrag.next.is_none_or(|next| next > start) {
            return;
        }
        let world = &mut self.world;
        let slice = Duration::from_micros(world.config.active_defrag_cycle_us.max(0) as u64).max(SLICE_MIN);
        let step = world.keyspace.defragment(&mut self.defrag.pass, slice);
        let stats = &mut world.stats;
        stats.defrag_hits += step.blocks.moved;
        stats.defrag_misses += step.blocks.stayed;
        stats.defrag_key_hits += step.keys.moved;
        stats.defrag_key_misses += step.keys.stayed;
        world.note_latency("active-defrag-cycle", start.elapsed());
        if step.done {
            alloc::trim();
            self.defrag.stop();
            self.world.stats.defrag_percent = 0;
        } else {
            // So that slices and the time between them are in this proportion.
            let rest = slice * (100 - self.defrag.percent as u32) / self.defrag.percent.max(1) as u32;
            self.defrag.next = Some(Instant::now() + rest);
        }
        let (total, current) = self.defrag.times();
        (self.world.stats.defrag_total, self.world.stats.defrag_current) = (total, current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_from_the_waste() {
        // A running pass goes on whatever the waste, with the least share at the least.
        let config = Config { active_defrag_threshold_lower: 1000, active_defrag_threshold_upper: 1000, ..Config::default() };
        assert_eq!(worth(&config, false), 0);
        assert_eq!(worth(&config, true), 1);
    }
}
