//! Closing an execution unit: what it did goes to everybody who listens, in one place.
//!
//! The write stream comes first, then notifications and the like, so that nobody hears of a change that the stream does
//! not yet hold.

use crate::keyspace::effects::Class;
use crate::keyspace::{Effect, Event};
use crate::resp::request::{Args, OwnedRequest};
use crate::session::Session;
use crate::stream::{Part, Targets};
use crate::types::{ClientId, DbIndex};
use crate::world::{Order, World};
use std::io::Write as _;

/// Publishes what the request that the session just executed did. What belongs together propagates as a transaction; not so the
/// removals of stale keys that a scan came by (`together` false), which have nothing to do with each other.
#[cold]
pub fn close_unit(world: &mut World, session: &Session, args: Args<'_>, changed: bool, together: bool) {
    let effects = &mut world.keyspace.env.effects;
    if std::mem::take(&mut effects.all_flushed) {
        world.orders.push_back(Order::AllFlushed);
    }
    let rewritten = effects.is_rewritten();
    let (before, instead) = effects.take_propagation();
    if world.stream.has_consumers() {
        let mut unit: Vec<(DbIndex, Args<'_>)> = before.iter().map(|(db, request)| (*db, request.args())).collect();
        if rewritten {
            unit.extend(instead.iter().map(|(db, request)| (*db, request.args())));
        } else if changed {
            unit.push((session.db, args));
        }
        for part in unit.chunks(if together { unit.len().max(1) } else { 1 }) {
            world.stream.append_unit(part);
        }
    }
    notify(world, Some(session.id));
}

/// Closes a part of a unit that goes on (a command of a transaction): listeners hear of it at once, what is to propagate is
/// added to `unit`. `targets` are told of the request; of keys that went away by themselves, everybody is.
pub fn close_part(world: &mut World, session: &Session, args: Args<'_>, changed: bool, targets: Targets, unit: &mut Vec<Part>) {
    let effects = &mut world.keyspace.env.effects;
    let rewritten = effects.is_rewritten();
    let (before, instead) = effects.take_propagation();
    if world.stream.has_consumers() {
        unit.extend(before.into_iter().map(|(db, request)| (db, request, Targets::ALL)));
        if targets == Targets::NONE {
            // The script wants nobody to know.
        } else if rewritten {
            unit.extend(instead.into_iter().map(|(db, request)| (db, request, targets)));
        } else if changed {
            unit.push((session.db, OwnedRequest::copy(args), targets));
        }
    }
    notify(world, Some(session.id));
}

/// Publishes what happened outside of any request: keys that expired or were evicted.
pub fn close_background(world: &mut World) {
    let (before, instead) = world.keyspace.env.effects.take_propagation();
    if world.stream.has_consumers() {
        for (db, request) in before.iter().chain(&instead) {
            world.stream.append_unit(&[(*db, request.args())]);
        }
    }
    notify(world, None);
}

/// Tells listeners: clients that hold copies of keys, subscribers of keyspace events, blocked clients. (WATCH is told by the
/// keyspace itself.) `by` is the client whose request did it.
fn notify(world: &mut World, by: Option<ClientId>) {
    let mut flushed = false;
    for effect in world.keyspace.env.effects.take_log() {
        match &effect {
            // A key that went away matters too: a client that waits for a group of a stream hears that it is gone.
            Effect::Modified { db, key, event, .. } => {
                if !world.tracking.is_idle() {
                    let itself = event.class & (Class::EXPIRED | Class::EVICTED) != 0;
                    world.tracking.key_changed(&mut world.sessions, key, by, itself);
                }
                announce(world, *db, key, *event);
                world.blocked.key_changed(*db, key);
            }
            Effect::Noticed { db, key, event } => announce(world, *db, key, *event),
            Effect::Swapped { a, b } => {
                world.blocked.database_changed(*a);
                world.blocked.database_changed(*b);
            }
            Effect::Flushed { db } => {
                // FLUSHALL empties many databases, but it is one piece of news.
                if !std::mem::replace(&mut flushed, true) {
                    world.tracking.flushed(&mut world.sessions);
                }
                world.blocked.database_changed(*db);
            }
        }
        world.listeners.hear(&effect);
    }
}

/// Publishes a keyspace event, if its class is wanted, in the two forms that clients can ask for.
fn announce(world: &mut World, db: DbIndex, key: &[u8], event: Event) {
    let wanted = world.announced;
    if wanted & event.class == 0 || world.pubsub.is_empty() {
        return;
    }
    let mut channel = Vec::with_capacity(32 + key.len());
    if wanted & Class::KEYSPACE != 0 {
        let _ = write!(channel, "__keyspace@{}__:", db.0);
        channel.extend_from_slice(key);
        world.pubsub.publish(&mut world.sessions, &channel, event.name.as_bytes());
    }
    if wanted & Class::KEYEVENT != 0 {
        channel.clear();
        let _ = write!(channel, "__keyevent@{}__:{}", db.0, event.name);
        world.pubsub.publish(&mut world.sessions, &channel, key);
    }
}
