//! Closing an execution unit: what it did goes to everybody who listens, in one place.
//!
//! The write stream comes first, then notifications and the like, so that nobody hears of a change that the stream does
//! not yet hold.

use crate::keyspace::Effect;
use crate::resp::request::Args;
use crate::types::DbIndex;
use crate::world::World;

/// Publishes what the request just executed in `db` did. What belongs together propagates as a transaction; not so the
/// removals of stale keys that a scan came by (`together` false), which have nothing to do with each other.
#[cold]
pub fn close_unit(world: &mut World, db: DbIndex, args: Args<'_>, changed: bool, together: bool) {
    let effects = &mut world.keyspace.env.effects;
    let rewritten = effects.is_rewritten();
    let (before, instead) = effects.take_propagation();
    if world.stream.has_consumers() {
        let mut unit: Vec<(DbIndex, Args<'_>)> = before.iter().map(|(db, request)| (*db, request.args())).collect();
        if rewritten {
            unit.extend(instead.iter().map(|(db, request)| (*db, request.args())));
        } else if changed {
            unit.push((db, args));
        }
        for part in unit.chunks(if together { unit.len().max(1) } else { 1 }) {
            world.stream.append_unit(part);
        }
    }
    let log = world.keyspace.env.effects.take_log();
    if !log.is_empty() {
        notify(world, log);
    }
}

/// Publishes what happened outside of any request: keys that expired or were evicted.
pub fn close_background(world: &mut World) {
    let (before, instead) = world.keyspace.env.effects.take_propagation();
    if world.stream.has_consumers() {
        for (db, request) in before.iter().chain(&instead) {
            world.stream.append_unit(&[(*db, request.args())]);
        }
    }
    let log = world.keyspace.env.effects.take_log();
    if !log.is_empty() {
        notify(world, log);
    }
}

/// Tells listeners. The listeners themselves (pub/sub, WATCH, tracking, blocked clients) hang on here.
fn notify(world: &mut World, log: Vec<Effect>) {
    for effect in log {
        match &effect {
            // A key that went away matters too: a client that waits for a group of a stream hears that it is gone.
            Effect::Modified { db, key, .. } => world.blocked.key_changed(*db, key),
            Effect::Swapped { a, b } => {
                world.blocked.database_changed(*a);
                world.blocked.database_changed(*b);
            }
            Effect::Flushed { db } => world.blocked.database_changed(*db),
            Effect::Noticed { .. } => {}
        }
        world.listeners.hear(&effect);
    }
}
