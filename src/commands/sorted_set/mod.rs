//! Sorted sets. Bounds and positions become ranges of ranks in `bounds`; what is shared by all topics stands below.

mod add;
pub mod bounds;
mod combine;
mod look;
mod pop;
mod range;
mod remove;
mod sample;

use crate::command::CommandSpec;
use crate::command::context::Selected;
use crate::command::error::{self, CommandError};
use crate::commands::elements::{Row, bulk};
use crate::ds::sorted_set::{Pair, SortedSet};
use crate::keyspace::value::Typed;
use crate::keyspace::{Entry, Event};
use crate::raw::entry::Lent;
use crate::resp::reply::ReplyWriter;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] =
    &[add::COMMANDS, look::COMMANDS, range::COMMANDS, remove::COMMANDS, pop::COMMANDS, combine::COMMANDS, sample::COMMANDS];

/// The sorted set of a key, for reading.
#[inline]
fn read<'a>(db: &'a mut Selected<'_>, key: &[u8]) -> Result<Option<Lent<'a, SortedSet>>, CommandError> {
    match db.read(key) {
        Some(entry) => entry.into_lent().ok_or(error::WRONGTYPE).map(Some),
        None => Ok(None),
    }
}

/// Makes a sorted set the value of a key, whatever the key held, without a deadline; an empty one removes the key.
pub fn store(db: &mut Selected<'_>, key: &[u8], set: SortedSet, event: Event) {
    if set.is_empty() {
        db.delete(key, Event::DEL);
        return;
    }
    let mut entry = Entry::with_value(key, None, set.into_value());
    entry.set_clock(db.keyspace.env.fresh_clock());
    if let Some(old) = db.entry(key).put_entry(entry, event) {
        let lazily = db.keyspace.env.settings.lazyfree_server_del;
        crate::keyspace::db::discard(&mut db.keyspace.env, old, lazily);
    }
}

/// Begins a list of members. RESP3 has a pair for each member with its score, RESP2 one flat list.
fn list(reply: &mut ReplyWriter<'_>, members: usize, scores: bool) {
    reply.array(if scores && !reply.is_resp3() { 2 * members } else { members });
}

/// Writes an item of a list.
#[inline]
fn item(reply: &mut ReplyWriter<'_>, pair: Pair<'_>, scores: bool) {
    if scores && reply.is_resp3() {
        reply.array(2);
    }
    bulk(reply, pair.member);
    if scores {
        reply.double(pair.score());
    }
}

/// Writes a whole list.
fn list_all<'a>(reply: &mut ReplyWriter<'_>, pairs: impl ExactSizeIterator<Item = Pair<'a>>, scores: bool) {
    list(reply, pairs.len(), scores);
    if !scores {
        let mut row = Row::new(reply);
        return pairs.for_each(|pair| row.push(pair.member));
    }
    for pair in pairs {
        item(reply, pair, scores);
    }
}
