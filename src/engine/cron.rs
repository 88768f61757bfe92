//! Timed work, ten times a second by default and each part under a budget: expiry, a look at some clients, rates.

use super::{Engine, Mailbox, moderation};
use crate::clock::Clock;
use crate::config::AppendFsync;
use crate::raw::{alloc, huge};
use crate::world::World;
use std::time::{Duration, Instant};

/// Ticks for ever. The timer is real even when the keyspace's clock is moved by hand.
pub async fn run(mailbox: Mailbox) {
    let mut last = Instant::now();
    loop {
        let (hz, wait, slice) = mailbox.with(|engine| {
            let slice = engine.defrag_wait();
            let world = &engine.world;
            let pause = world.pause.filter(|_| engine.has_postponed()).map(|pause| pause.until);
            let next = world.blocked.next_deadline().into_iter().chain(pause).min();
            let wait = if world.memory.unfinished {
                // While what was evicted is freed there is nothing to do but wait.
                Some(world.memory.evicted_until.is_some() as i64)
            } else if world.pubsub.is_leaving() {
                Some(1)
            } else {
                next.map(|at| at - world.keyspace.env.clock.millis())
            };
            (world.config.hz.clamp(1, 500) as u64, wait, slice)
        });
        let period = Duration::from_micros(1_000_000 / hz);
        let until_tick = period.saturating_sub(last.elapsed());
        // A client's timeout may come before the next tick.
        let pause = wait.map_or(until_tick, |ms| until_tick.min(Duration::from_millis(ms.max(0) as u64)));
        let pause = slice.map_or(pause, |slice| pause.min(slice));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = mailbox.timers_changed() => {}
        }
        mailbox.with(|engine| {
            engine.world.keyspace.refresh_clock();
            engine.expire_blocked(&mailbox);
            engine.expire_pause(&mailbox);
            if engine.waits_for_freeing() {
                engine.finish_freed(&mailbox);
            }
            crate::dispatch::memory::go_on(&mut engine.world);
            engine.defragment();
            if last.elapsed() >= period {
                last = Instant::now();
                engine.tick(period);
            }
            engine.serve_after_background(&mailbox);
            engine.finish_turn(&mailbox);
        });
        mailbox.trim_after_burst();
    }
}

/// Share of a tick that expiry may take, in percent, at the default effort; each further step of effort adds two.
const EXPIRE_SHARE_PERCENT: u64 = 25;
const EXPIRE_SHARE_PER_EFFORT: u64 = 2;

/// Takes in blocks that other threads freed, in a moment; what is left waits for the next tick, or until memory is short.
fn take_in_freed() {
    const BUDGET: Duration = Duration::from_micros(200);
    let start = Instant::now();
    while alloc::collect(1) == 1 && start.elapsed() < BUDGET {}
}

impl Engine {
    /// One tick.
    pub fn tick(&mut self, period: Duration) {
        moderation::tick(Instant::now());
        let world = &mut self.world;
        if huge::rest() {
            alloc::settle();
            world.keyspace.settle();
        }
        alloc::giver::tidy();
        if world.stats.commands_rate.last_value() == world.stats.commands {
            alloc::rest();
        }
        world.keyspace.refresh_clock();
        if world.debug.pause_cron || world.scripting.busy.is_some() {
            return;
        }
        if world.scheduled_end.is_some() {
            self.end_as_scheduled();
        }
        self.world.carry_end_on();
        let world = &mut self.world;
        world.stats.cron_ticks += 1;
        let start = Instant::now();
        let millis = Clock::Real.millis();
        let stats = &mut world.stats;
        stats.engine_loops += 1;
        stats.loops_rate.sample(stats.engine_loops, millis);
        stats.loop_nanos_rate.sample(stats.engine_loop_nanos, millis);
        stats.commands_rate.sample(stats.commands, millis);
        stats.bytes_in_rate.sample(stats.bytes_in, millis);
        stats.bytes_out_rate.sample(stats.bytes_out, millis);
        let used = alloc::used() as u64;
        if used > stats.used_memory_peak {
            stats.used_memory_peak = used;
            stats.used_memory_peak_millis = millis;
        }
        if world.keyspace.env.active_expire && !world.keyspace.env.keeps_past() && !world.persistence.is_loading() {
            self.expire(period);
        }
        self.expire_own();
        self.world.carry_failover_on();
        self.world.look_after_cluster();
        self.save_if_due();
        self.world.keyspace.maintain_tables();
        self.world.limit_tracking(None);
        self.look_at_clients();
        self.world.migration.connections.trim();
        self.look_after_aof();
        self.look_after_replication();
        crate::dispatch::memory::refresh(&mut self.world);
        self.consider_defrag();
        take_in_freed();
        let nanos = start.elapsed().as_nanos() as u64;
        self.world.stats.cron_nanos += nanos;
        self.world.stats.engine_loop_nanos += nanos;
    }

    fn expire(&mut self, period: Duration) {
        let world = &mut self.world;
        let effort = world.config.active_expire_effort.clamp(1, 10) as u64 - 1;
        let share = EXPIRE_SHARE_PERCENT + EXPIRE_SHARE_PER_EFFORT * effort;
        let budget = period * share as u32 / 100;
        let start = Instant::now();
        let swept = world.keyspace.sweep_expired(budget);
        let taken = start.elapsed();
        world.stats.active_expire_nanos += taken.as_nanos() as u64;
        world.note_latency("expire-cycle", taken);
        let env = &mut world.keyspace.env;
        if swept.out_of_time {
            env.stats.expired_time_cap_reached += 1;
        }
        let stale = if swept.seen == 0 { 0.0 } else { swept.expired as f64 * 100.0 / swept.seen as f64 };
        env.stats.expired_stale_percent = env.stats.expired_stale_percent * 0.95 + stale * 0.05;
        if swept.expired + swept.fields > 0 {
            crate::dispatch::publish::close_background(world);
        }
    }

    /// On a replica whose clients may write: removes what they gave a deadline.
    fn expire_own(&mut self) {
        const KEYS_PER_TICK: usize = 1000;
        let keyspace = &mut self.world.keyspace;
        if keyspace.env.follows && !keyspace.env.own_deadlines.keys.is_empty() && keyspace.sweep_own_deadlines(KEYS_PER_TICK) {
            crate::dispatch::publish::close_background(&mut self.world);
        }
    }

    /// Rewrites of the append-only file that are due, and how quick its disk is.
    fn look_after_aof(&mut self) {
        if self.world.persistence.is_loading() {
            return;
        }
        self.start_scheduled_rewrite(false);
        let World { config, persistence, slow, keyspace, .. } = &mut self.world;
        if let Some(growth) = persistence.aof.growth_due(config) {
            tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
            persistence.aof.rewrites_mut().schedule();
            self.start_scheduled_rewrite(false);
            return;
        }
        // Taken in any case: what was slow before somebody began to watch is not to be told.
        let slowest = persistence.aof.take_slowest();
        let threshold = config.latency_monitor_threshold;
        if threshold <= 0 {
            return;
        }
        let seconds = keyspace.env.now_micros / 1_000_000;
        let beside = if persistence.is_busy() { "aof-write-active-child" } else { "aof-write-alone" };
        let sync = if config.appendfsync == AppendFsync::Always { slowest.sync } else { 0 };
        let events =
            [(beside, slowest.write), ("aof-write", slowest.write), ("aof-fsync-always", sync), ("aof-rename", slowest.rename)];
        for (event, millis) in events {
            if i64::from(millis) >= threshold {
                slow.latency.record(event, seconds, millis);
            }
        }
    }

    /// Starts a rewrite that is to start as soon as it can; `at_once` if somebody waits for it.
    pub(super) fn start_scheduled_rewrite(&mut self, at_once: bool) {
        let World { config, persistence, keyspace, stream, .. } = &mut self.world;
        let busy = persistence.is_busy();
        let rewrites = persistence.aof.rewrites_mut();
        if rewrites.is_scheduled() && !busy && (at_once || !rewrites.is_limited()) {
            // A failure is in the log; it stays scheduled.
            let _ = persistence.rewrite_aof(keyspace, config, stream);
            self.world.adopt_config();
        }
    }
}
