//! The stream commands.
//!
//! What several topics share is here: ids as clients write them, entries as replies, and what is told of a group's changes.
//! A group propagates by its results: whoever reads the write stream is not to deliver anything itself.

mod append;
mod group;
mod info;
mod pending;
mod range;
mod read;
mod trim;

use crate::command::CommandSpec;
use crate::command::context::Selected;
use crate::command::error::{CommandError, WRONGTYPE};
use crate::commands::elements::bulk;
use crate::ds::stream::{Entry, Group, Nack, StreamId, StreamValue};
use crate::keyspace::effects::Effects;
use crate::raw::entry::Lent;
use crate::resp::number;
use crate::resp::reply::ReplyWriter;
use crate::resp::request::OwnedRequest;
use crate::types::DbIndex;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] =
    &[append::COMMANDS, group::COMMANDS, info::COMMANDS, pending::COMMANDS, range::COMMANDS, read::COMMANDS, trim::COMMANDS];

const INVALID_ID: CommandError = CommandError::new("ERR Invalid stream ID specified as stream command argument");

/// Longest text that is looked at as an id.
const ID_TEXT_MAX: usize = 127;

/// An id; where the text has milliseconds only, `seq` is its other half.
fn id(text: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    let (ms, rest) = halves(text).ok_or(INVALID_ID)?;
    let seq = match rest {
        Some(rest) => number::parse_u64(rest).ok_or(INVALID_ID)?,
        None => seq,
    };
    Ok(StreamId::new(ms, seq))
}

/// The first half of an id, and the text of the second.
fn halves(text: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    if text.len() > ID_TEXT_MAX {
        return None;
    }
    let (ms, rest) = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Some((number::parse_u64(ms)?, rest))
}

/// An id, or `-` or `+` for the ends of all ids.
fn id_or_end(text: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => id(text, seq),
    }
}

/// Where an interval starts; `(` leaves the id itself out.
fn range_start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            id(rest, 0)?.next().ok_or(CommandError::new("ERR invalid start ID for the interval"))
        }
        text => id_or_end(text, 0),
    }
}

/// Where an interval ends; `(` leaves the id itself out.
fn range_end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            id(rest, u64::MAX)?.previous().ok_or(CommandError::new("ERR invalid end ID for the interval"))
        }
        text => id_or_end(text, u64::MAX),
    }
}

/// The stream at a key, for reading.
fn find<'b>(db: &'b mut Selected<'_>, key: &[u8]) -> Result<Option<Lent<'b, StreamValue>>, CommandError> {
    db.read(key).map(|entry| entry.into_lent().ok_or(WRONGTYPE)).transpose()
}

/// Refuses if there is no such key or group.
fn expect_group(db: &mut Selected<'_>, key: &[u8], group: &[u8]) -> Result<(), CommandError> {
    match find(db, key)? {
        Some(stream) if stream.groups.contains_key(group) => Ok(()),
        _ => Err(no_group(key, group)),
    }
}

/// What messages show of a name: it ends at a zero byte.
fn shown(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// "no such key or group".
fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::bytes([b"NOGROUP No such key '", shown(key), b"' or consumer group '", shown(group), b"'"].concat())
}

/// "no such group" of a key that exists.
fn no_group_of(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::bytes([b"NOGROUP No such consumer group '", shown(group), b"' for key name '", shown(key), b"'"].concat())
}

/// The refusal of arguments that a subcommand does not know; both names as they were sent.
fn bad_subcommand(container: &str, sub: &[u8]) -> CommandError {
    const SHOWN_MAX: usize = 128;
    let shown = &sub[..sub.len().min(SHOWN_MAX)];
    let text: [&[u8]; 5] =
        [b"ERR unknown subcommand or wrong number of arguments for '", shown, b"'. Try ", container.as_bytes(), b" HELP."];
    CommandError::bytes(text.concat())
}

/// An id as a bulk string.
fn write_id(reply: &mut ReplyWriter<'_>, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// An entry as clients get it: its id, and its fields and values in one array.
fn write_entry(reply: &mut ReplyWriter<'_>, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(2 * entry.len());
    for (field, value) in entry.pairs() {
        bulk(reply, field);
        bulk(reply, value);
    }
}

/// Writes entries as an array; a `count` of zero is no limit.
fn write_entries<'e>(reply: &mut ReplyWriter<'_>, entries: impl Iterator<Item = Entry<'e>>, count: usize) {
    let list = reply.array_deferred();
    let mut written = 0;
    for entry in entries {
        write_entry(reply, &entry);
        written += 1;
        if written == count {
            break;
        }
    }
    reply.finish(list, written);
}

/// A group by its names, for what is propagated about it.
#[derive(Clone, Copy)]
struct GroupName<'a> {
    db: DbIndex,
    key: &'a [u8],
    group: &'a [u8],
}

impl GroupName<'_> {
    /// Propagates whose a pending entry is now, in a form that has the same effect however often it is applied.
    fn propagate_claim(self, effects: &mut Effects, group: &Group, id: StreamId, nack: &Nack) {
        effects.propagate_as(self.db, || {
            let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
            OwnedRequest::build([
                &b"XCLAIM"[..],
                self.key,
                self.group,
                &group.consumer(nack.consumer).name,
                b"0",
                id.text().as_bytes(),
                b"TIME",
                time.format(nack.delivered_at).as_bytes(),
                b"RETRYCOUNT",
                count.format(nack.deliveries).as_bytes(),
                b"FORCE",
                b"JUSTID",
                b"LASTID",
                group.last_id.text().as_bytes(),
            ])
        });
    }

    /// Propagates how far a group was delivered, where no pending entry tells it.
    fn propagate_last_id(self, effects: &mut Effects, group: &Group) {
        effects.propagate_as(self.db, || {
            let mut read = itoa::Buffer::new();
            let read = group.entries_read.map_or("-1", |count| read.format(count));
            let id = group.last_id.text();
            let request: [&[u8]; 7] = [b"XGROUP", b"SETID", self.key, self.group, id.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
            OwnedRequest::build(request)
        });
    }

    /// Propagates that a consumer was created, where no pending entry tells it.
    fn propagate_consumer(self, effects: &mut Effects, consumer: &[u8]) {
        effects.propagate_as(self.db, || {
            let request: [&[u8]; 5] = [b"XGROUP", b"CREATECONSUMER", self.key, self.group, consumer];
            OwnedRequest::build(request)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_clients_write_them() {
        assert_eq!(id(b"5-6", 0).ok(), Some(StreamId::new(5, 6)));
        assert_eq!(id(b"5", 7).ok(), Some(StreamId::new(5, 7)));
        assert_eq!(range_start(b"(5-6").ok(), Some(StreamId::new(5, 7)));
        assert_eq!(range_end(b"(5").ok(), Some(StreamId::new(5, u64::MAX - 1)));
        assert_eq!(range_end(b"+").ok(), Some(StreamId::MAX));
        for wrong in [&b""[..], b"-", b"+", b"a", b"1-", b"-1", b"1-2-3", &[b'1'; 128]] {
            assert_eq!(id(wrong, 0), Err(INVALID_ID), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(range_end(b"(0-0").is_err() && range_start(b"(").is_err() && range_start(b"(-").is_err());
    }
}
