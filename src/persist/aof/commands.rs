//! Entries as the commands that make them anew: the base of an append-only file without RDB (`aof-use-rdb-preamble no`).
//!
//! Collections are written in pieces of at most 64 elements, so that no command of a replay takes long.

use crate::ds::hash::Hash;
use crate::ds::list::List;
use crate::ds::parts::element::Element;
use crate::ds::set::Set;
use crate::ds::sorted_set::SortedSet;
use crate::ds::stream::{Group, StreamId, StreamValue};
use crate::keyspace::value::{Entry, Str, ValueType, type_of};
use crate::persist::rdb::encode::Out;
use crate::resp::number;
use crate::types::DbIndex;

/// Elements added by one command.
const PIECE: usize = 64;

/// Writes SELECT.
pub fn select(db: DbIndex, out: &mut impl Out) {
    let mut digits = itoa::Buffer::new();
    request(out, &[b"SELECT", digits.format(db.0).as_bytes()]);
}

/// Writes what loads a library of functions.
pub fn library(code: &[u8], out: &mut impl Out) {
    request(out, &[b"FUNCTION", b"LOAD", code]);
}

/// Writes what makes an entry anew.
pub fn entry(entry: &Entry, out: &mut impl Out) {
    let key = entry.key();
    match type_of(entry) {
        ValueType::String => {
            if let Ok(text) = Str::of(entry) {
                request(out, &[b"SET", key, text.text(&mut itoa::Buffer::new())]);
            }
        }
        ValueType::List => {
            if let Some(list) = entry.lend::<List>() {
                let mut pieces = Pieces::new(b"RPUSH", key, 1, list.len(), out);
                list.for_range(0, list.len(), |element| pieces.element(element));
            }
        }
        ValueType::Set => {
            if let Some(set) = entry.lend::<Set>() {
                let mut pieces = Pieces::new(b"SADD", key, 1, set.len(), out);
                set.each(|member| pieces.element(member));
            }
        }
        ValueType::SortedSet => {
            if let Some(set) = entry.lend::<SortedSet>() {
                let mut pieces = Pieces::new(b"ZADD", key, 2, set.len(), out);
                for pair in set.iter() {
                    pieces.text(number::f64_text(pair.score()).as_bytes());
                    pieces.element(pair.member);
                }
            }
        }
        ValueType::Hash => {
            if let Some(hash) = entry.lend::<Hash>() {
                self::hash(key, &hash, out);
            }
        }
        ValueType::Stream => {
            if let Some(value) = entry.lend::<StreamValue>() {
                stream(key, &value, out);
            }
        }
    }
    if let Some(deadline) = entry.deadline() {
        request(out, &[b"PEXPIREAT", key, itoa::Buffer::new().format(deadline).as_bytes()]);
    }
}

fn hash(key: &[u8], hash: &Hash, out: &mut impl Out) {
    let mut pieces = Pieces::new(b"HMSET", key, 2, hash.len(), out);
    hash.for_each(|name, found| {
        pieces.element(name);
        pieces.element(found.value);
    });
    hash.for_each(|name, found| {
        if let Some(deadline) = found.deadline {
            let mut digits = itoa::Buffer::new();
            let deadline = digits.format(deadline).as_bytes();
            name.with_text(|name| request(out, &[b"HPEXPIREAT", key, deadline, b"FIELDS", b"1", name]));
        }
    });
}

fn stream(key: &[u8], stream: &StreamValue, out: &mut impl Out) {
    for item in stream.range(StreamId::MIN, StreamId::MAX, false) {
        count(out, 3 + 2 * item.len());
        for part in [b"XADD", key, item.id.text().as_bytes()] {
            bulk(out, part);
        }
        for (name, value) in item.pairs() {
            name.with_text(|text| bulk(out, text));
            value.with_text(|text| bulk(out, text));
        }
    }
    if stream.is_empty() {
        // There is no command for an empty stream: an entry is added and trimmed away at once.
        request(out, &[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    let counters = stream.counters();
    let mut added = itoa::Buffer::new();
    request(
        out,
        &[
            b"XSETID",
            key,
            counters.last_id.text().as_bytes(),
            b"ENTRIESADDED",
            added.format(counters.entries_added).as_bytes(),
            b"MAXDELETEDID",
            counters.max_deleted_id.text().as_bytes(),
        ],
    );
    for (name, group) in &stream.groups {
        let read = group.entries_read.map_or(-1, |read| read as i64);
        let (last, mut digits) = (group.last_id.text(), itoa::Buffer::new());
        let read = digits.format(read).as_bytes();
        request(out, &[b"XGROUP", b"CREATE", key, name, last.as_bytes(), b"ENTRIESREAD", read]);
        consumers(key, name, group, out);
    }
}

fn consumers(key: &[u8], name: &[u8], group: &Group, out: &mut impl Out) {
    for (_, consumer) in group.consumers() {
        request(out, &[b"XGROUP", b"CREATECONSUMER", key, name, &consumer.name]);
        for id in consumer.pending() {
            let Some(nack) = group.pending().get(id) else { continue };
            let (mut at, mut times) = (itoa::Buffer::new(), itoa::Buffer::new());
            request(
                out,
                &[
                    b"XCLAIM",
                    key,
                    name,
                    &consumer.name,
                    b"0",
                    id.text().as_bytes(),
                    b"TIME",
                    at.format(nack.delivered_at).as_bytes(),
                    b"RETRYCOUNT",
                    times.format(nack.deliveries).as_bytes(),
                    b"JUSTID",
                    b"FORCE",
                ],
            );
        }
    }
}

/// Writes a long row of elements as several commands.
struct Pieces<'a, O> {
    command: &'a [u8],
    key: &'a [u8],
    /// Arguments of an element.
    each: usize,
    /// Elements that no command was announced for.
    left: usize,
    /// Arguments that the current command still needs.
    open: usize,
    out: &'a mut O,
}

impl<'a, O: Out> Pieces<'a, O> {
    fn new(command: &'a [u8], key: &'a [u8], each: usize, elements: usize, out: &'a mut O) -> Self {
        Pieces { command, key, each, left: elements, open: 0, out }
    }

    fn element(&mut self, element: Element<'_>) {
        element.with_text(|text| self.text(text));
    }

    fn text(&mut self, text: &[u8]) {
        if self.open == 0 {
            let piece = self.left.min(PIECE);
            self.left -= piece;
            self.open = piece * self.each;
            count(self.out, 2 + self.open);
            bulk(self.out, self.command);
            bulk(self.out, self.key);
        }
        self.open -= 1;
        bulk(self.out, text);
    }
}

fn request(out: &mut impl Out, args: &[&[u8]]) {
    count(out, args.len());
    args.iter().for_each(|arg| bulk(out, arg));
}

fn count(out: &mut impl Out, args: usize) {
    out.put(b"*");
    out.put(itoa::Buffer::new().format(args).as_bytes());
    out.put(b"\r\n");
}

fn bulk(out: &mut impl Out, bytes: &[u8]) {
    out.put(b"$");
    out.put(itoa::Buffer::new().format(bytes.len()).as_bytes());
    out.put(b"\r\n");
    out.put(bytes);
    out.put(b"\r\n");
}
