//! Timed work, ten times a second by default and each part under a budget: expiry, idle clients, output limits, rates.

use super::{Engine, Mailbox};
use crate::clock::Clock;
use crate::config::OutputBufferLimit;
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
            let wait = match (world.memory.unfinished, engine.waits_for_freeing()) {
                (true, _) => Some(0),
                (_, true) => Some(1),
                _ => next.map(|at| at - world.keyspace.env.clock.micros() / 1000),
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

impl Engine {
    /// One tick.
    pub fn tick(&mut self, period: Duration) {
        let world = &mut self.world;
        world.keyspace.refresh_clock();
        if world.debug.pause_cron || world.scripting.busy.is_some() {
            return;
        }
        world.stats.cron_ticks += 1;
        let start = Instant::now();
        let millis = Clock::Real.micros() / 1000;
        let stats = &mut world.stats;
        stats.engine_loops += 1;
        stats.loops_rate.sample(stats.engine_loops, millis);
        stats.loop_nanos_rate.sample(stats.engine_loop_nanos, millis);
        stats.commands_rate.sample(stats.commands, millis);
        stats.bytes_in_rate.sample(stats.bytes_in, millis);
        stats.bytes_out_rate.sample(stats.bytes_out, millis);
        let used = crate::raw::alloc::used() as u64;
        if used > stats.used_memory_peak {
            stats.used_memory_peak = used;
            stats.used_memory_peak_millis = millis;
        }
        if world.keyspace.env.active_expire && !world.keyspace.env.expiry_paused {
            self.expire(period);
        }
        self.save_if_due();
        self.world.keyspace.maintain_tables();
        self.look_at_clients(millis);
        crate::dispatch::memory::refresh(&mut self.world);
        self.consider_defrag();
        crate::raw::alloc::collect(64);
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

    /// Idle clients and those that do not read their replies.
    fn look_at_clients(&mut self, millis: i64) {
        let world = &mut self.world;
        let timeout = world.config.timeout * 1000;
        let limits = world.config.client_output_buffer_limit;
        let limited = |limit: OutputBufferLimit| limit.hard != 0 || limit.soft != 0;
        if timeout == 0 && !limited(limits.normal) && (world.pubsub.clients() == 0 || !limited(limits.pubsub)) {
            return;
        }
        let ids: Vec<_> = world.sessions.ids().collect();
        for id in ids {
            let Some(session) = world.sessions.get_mut(id) else { continue };
            let listens = session.subscriptions.is_some();
            if timeout > 0 && millis - session.active_at > timeout && !listens && !session.blocked {
                tracing::debug!("Closing idle client");
                session.closing = true;
                if let Some(link) = &session.link {
                    link.close_now();
                }
                continue;
            }
            let limit = if listens { limits.pubsub } else { limits.normal };
            if limited(limit) && over_limit(session, limit, millis) {
                world.stats.output_buffer_limit_disconnections += 1;
            }
        }
    }
}

/// Closes a client whose replies pile up beyond the limits.
fn over_limit(session: &mut crate::session::Session, limit: OutputBufferLimit, millis: i64) -> bool {
    let Some(link) = &session.link else { return false };
    let waiting = link.buffers().unsent as u64;
    let hard = limit.hard != 0 && waiting >= limit.hard;
    let soft = limit.soft != 0 && waiting >= limit.soft;
    if !soft {
        session.over_soft_limit_since = 0;
    } else if session.over_soft_limit_since == 0 {
        session.over_soft_limit_since = millis;
    }
    let too_long = soft && millis - session.over_soft_limit_since > limit.soft_seconds * 1000;
    if hard || too_long {
        tracing::warn!("Client id={} closed for overcoming of output buffer limits.", session.id.0);
        session.closing = true;
        link.close_now();
    }
    hard || too_long
}
