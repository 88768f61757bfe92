//! Keys whatever they hold: their names, lifetimes and databases. The type of a value matters to none of these commands,
//! so collections need nothing here to be renamed, copied or expired.

mod databases;
mod dump;
mod existence;
mod lifetime;
pub mod migrate;
mod names;
mod object;
mod scan;

pub use dump::payload as dump_payload;

use crate::command::CommandSpec;
use crate::command::context::Selected;
use crate::keyspace::{Entry, Event};

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[
    existence::COMMANDS,
    names::COMMANDS,
    lifetime::COMMANDS,
    scan::COMMANDS,
    object::COMMANDS,
    databases::COMMANDS,
    dump::COMMANDS,
    migrate::COMMANDS,
];

/// Looks at a key as a read that leaves its access clock alone: it counts as a hit or a miss.
fn look<R>(db: &mut Selected<'_>, key: &[u8], f: impl FnOnce(&Entry) -> R) -> Option<R> {
    let seen = db.peek(key).map(|entry| f(&entry));
    let env = &mut db.keyspace.env;
    if seen.is_some() {
        env.stats.hits += 1;
    } else {
        env.stats.misses += 1;
        env.effects.noticed(db.index, key, Event::KEY_MISS);
    }
    seen
}
