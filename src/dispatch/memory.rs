//! The memory limit: before each command, room is made by evicting keys; where there is none to be had, commands that add
//! are refused. So `used_memory` exceeds `maxmemory` by what one command adds, no more.
//!
//! A command pays one comparison while there is no limit, and two loads while there is one: how much the engine's own
//! thread holds is compared with what the limit leaves to it, and that is worked out once per turn. What other threads hold
//! (I/O buffers, garbage on its way out) changes the outcome from the next turn on.
//!
//! Eviction takes its time within a budget (`maxmemory-eviction-tenacity`). What is left over then goes on between turns;
//! until it is done, commands are let through.

use super::publish;
use crate::config::MaxmemoryPolicy;
use crate::raw::alloc;
use crate::session::Session;
use crate::world::{MemoryGuard, World};
use std::time::{Duration, Instant};

/// Evictions between two looks at the clock.
const EVICTIONS_PER_LOOK: usize = 16;

/// How making room ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// There is room.
    Enough,
    /// Time ran out; it goes on between turns.
    Unfinished,
    /// There is nothing left that may go.
    Exhausted,
}

/// Makes room before a command, if it takes any. What the client is told of evicted keys comes before the reply.
#[inline]
pub fn before_command(world: &mut World, session: &mut Session) {
    let left = world.memory.left;
    if left != MemoryGuard::UNLIMITED && (world.memory_short || alloc::used_by_thread() > left) {
        make_room(world);
        world.last_ended = None;
        if world.sessions.has_late() {
            world.sessions.collect_late(session);
        }
    }
}

/// Works out what the limit leaves to the engine's thread: at the start of each turn.
#[inline]
pub fn refresh(world: &mut World) {
    if world.config.maxmemory != 0 {
        look_around(world);
    } else if world.memory.left != MemoryGuard::UNLIMITED {
        world.memory.left = MemoryGuard::UNLIMITED;
        world.memory_short = false;
        note_outcome(world, Outcome::Enough);
    }
}

/// The limit was changed.
pub fn limit_changed(world: &mut World) {
    refresh(world);
    let limit = world.config.maxmemory;
    let used = (alloc::used() - world.memory_not_counted().min(alloc::used())) as u64;
    if limit != 0 && limit < used {
        tracing::warn!(
            "The new maxmemory ({limit}) is less than the memory in use ({used}). Keys will be evicted or commands that add \
             refused, as maxmemory-policy says."
        );
    }
    world.memory.unfinished = limit != 0;
}

/// Goes on with what ran out of time.
pub fn go_on(world: &mut World) {
    if std::mem::take(&mut world.memory.unfinished) {
        make_room(world);
    }
}

fn look_around(world: &mut World) {
    let (all, own) = (alloc::used() as isize, alloc::used_by_thread());
    let limit = isize::try_from(world.config.maxmemory).unwrap_or(isize::MAX);
    let left = limit.saturating_add(world.memory_not_counted() as isize).saturating_sub(all - own);
    world.memory.left = left.min(MemoryGuard::UNLIMITED - 1);
}

fn is_over(world: &World) -> bool {
    alloc::used_by_thread() > world.memory.left
}

#[cold]
fn make_room(world: &mut World) {
    refresh(world);
    // What the primary or a file of the server's own says is obeyed; and while clients are paused nothing changes.
    let leaves_it_to_the_primary = world.config.replica_ignore_maxmemory && world.replication.is_replica();
    if world.keyspace.env.obeys || leaves_it_to_the_primary || world.paused().is_some() {
        world.memory_short = false;
        return;
    }
    if is_over(world) {
        // Room that is merely kept for replies goes before any key does.
        world.sessions.free_large_spares();
    }
    let outcome = if is_over(world) { evict(world) } else { Outcome::Enough };
    world.memory_short = outcome == Outcome::Exhausted;
    world.memory.unfinished = outcome == Outcome::Unfinished;
    note_outcome(world, outcome);
}

fn note_outcome(world: &mut World, outcome: Outcome) {
    match (outcome, world.memory.exceeded_since) {
        (Outcome::Enough, Some(since)) => {
            world.stats.eviction_exceeded_nanos += since.elapsed().as_nanos() as u64;
            world.memory.exceeded_since = None;
        }
        (Outcome::Unfinished | Outcome::Exhausted, None) => world.memory.exceeded_since = Some(Instant::now()),
        _ => {}
    }
}

fn evict(world: &mut World) -> Outcome {
    let policy = world.config.maxmemory_policy;
    if policy == MaxmemoryPolicy::Noeviction {
        return Outcome::Exhausted;
    }
    let (start, budget) = (Instant::now(), time_limit(world.config.maxmemory_eviction_tenacity));
    let samples = world.config.maxmemory_samples.max(1) as usize;
    // What those who are told of evicted keys cost does not count: telling them would go on until no key was left.
    let excess = alloc::used_by_thread().saturating_sub(world.memory.left);
    let (mut evicted, mut freed) = (0, 0);
    let outcome = loop {
        if !is_over(world) || freed >= excess {
            break Outcome::Enough;
        }
        if let Some(ticket) = world.memory.evicted_until {
            // What is on its way out still counts, and further keys must not go for it.
            if !world.keyspace.env.lazyfree.is_freed(ticket) {
                break Outcome::Unfinished;
            }
            world.memory.evicted_until = None;
            look_around(world);
            continue;
        }
        let Some(victim) = world.keyspace.pick_victim(policy, samples) else {
            break if wait_for_garbage(world, start, budget) { Outcome::Enough } else { Outcome::Exhausted };
        };
        let (removal, before) = (Instant::now(), alloc::used_by_thread());
        if world.keyspace.evict(victim, world.config.lazyfree_lazy_eviction) {
            world.memory.evicted_until = Some(world.keyspace.env.lazyfree.ticket());
        }
        freed += before - alloc::used_by_thread();
        world.note_latency("eviction-del", removal.elapsed());
        publish::close_background(world);
        evicted += 1;
        if evicted % EVICTIONS_PER_LOOK == 0 {
            // Another thread may have freed what was sent to it.
            look_around(world);
            if start.elapsed() > budget && is_over(world) {
                break Outcome::Unfinished;
            }
        }
    };
    world.note_latency("eviction-cycle", start.elapsed());
    outcome
}

/// No key may go any more; perhaps what is on its way out is enough. Waits for it a moment, and tells whether it was.
fn wait_for_garbage(world: &mut World, start: Instant, budget: Duration) -> bool {
    let waiting = Instant::now();
    while world.keyspace.env.lazyfree.pending() > 0 && start.elapsed() < budget && is_over(world) {
        std::thread::sleep(budget.min(Duration::from_millis(1)));
        look_around(world);
    }
    world.note_latency("eviction-lazyfree", waiting.elapsed());
    !is_over(world)
}

/// How long one command may be held up, by `maxmemory-eviction-tenacity`: up to half a millisecond in ten equal steps, then
/// longer by 15 percent each, and without limit in the end.
fn time_limit(tenacity: i64) -> Duration {
    match tenacity {
        ..=10 => Duration::from_micros(50 * tenacity.max(0) as u64),
        11..100 => Duration::from_micros((500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64),
        _ => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::time_limit;
    use std::time::Duration;

    #[test]
    fn tenacity_is_a_time() {
        assert_eq!([0, 1, 10].map(time_limit), [0, 50, 500].map(Duration::from_micros));
        assert_eq!(time_limit(11), Duration::from_micros(575));
        assert!((60..180).contains(&time_limit(99).as_secs()));
        assert_eq!(time_limit(100), Duration::MAX);
    }
}
