//! A fingerprint of the data set for DEBUG DIGEST: 160 bits that do not depend on the order of keys or members, nor on how a
//! value is encoded, so that tests can compare data before and after a reload or across replicas. Not for secrets.

use crate::ds::hash::Hash;
use crate::ds::list::List;
use crate::ds::set::Set;
use crate::ds::sorted_set::SortedSet;
use crate::ds::stream::{StreamId, StreamValue};
use crate::keyspace::value::{ValueType, type_of};
use crate::keyspace::{Entry, Str};
use std::fmt;

/// 160 bits; zero for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Digest([u64; 3]);

impl Digest {
    /// The digest of some bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let lane = |seed| rapidhash::v3::rapidhash_v3_seeded(bytes, &rapidhash::v3::RapidSecrets::seed(seed));
        Digest([lane(1), lane(2), lane(3)])
    }

    /// Takes in another digest; the order does not matter, equal ones do not cancel out.
    pub(super) fn add(&mut self, other: &Digest) {
        for (lane, more) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_add(more);
        }
    }

    /// Takes in another digest at a place of its own.
    fn chain(&mut self, other: &Digest) {
        let mut bytes = [0u8; 48];
        for (i, lane) in self.0.iter().chain(&other.0).enumerate() {
            bytes[8 * i..8 * i + 8].copy_from_slice(&lane.to_le_bytes());
        }
        *self = Digest::of(&bytes);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a:016x}{b:016x}{:08x}", c as u32)
    }
}

/// The digest of a key with its value, in a database.
pub(super) fn of_key(db: u32, entry: &Entry) -> Digest {
    let mut digest = Digest::of(&db.to_le_bytes());
    digest.chain(&Digest::of(entry.key()));
    digest.chain(&of_value(entry));
    digest
}

/// The digest of a value. That it has a deadline counts, the deadline itself does not.
pub(super) fn of_value(entry: &Entry) -> Digest {
    let kind = type_of(entry);
    let mut digest = Digest::of(kind.name().as_bytes());
    if entry.deadline().is_some() {
        digest.chain(&Digest::of(b"volatile"));
    }
    match kind {
        ValueType::String => {
            if let Ok(text) = Str::of(entry) {
                digest.chain(&Digest::of(text.text(&mut itoa::Buffer::new())));
            }
        }
        ValueType::Hash => {
            // In no order: the encodings have different ones.
            let mut fields = Digest::default();
            if let Some(hash) = entry.lend::<Hash>() {
                hash.for_each(|name, found| {
                    let mut field = name.with_text(Digest::of);
                    field.chain(&found.value.with_text(Digest::of));
                    if found.deadline.is_some() {
                        field.chain(&Digest::of(b"volatile"));
                    }
                    fields.add(&field);
                });
            }
            digest.chain(&fields);
        }
        ValueType::List => {
            if let Some(list) = entry.lend::<List>() {
                list.for_range(0, list.len(), |element| digest.chain(&element.with_text(Digest::of)));
            }
        }
        ValueType::Set => {
            let mut members = Digest::default();
            if let Some(set) = entry.lend::<Set>() {
                set.each(|member| members.add(&member.with_text(Digest::of)));
            }
            digest.chain(&members);
        }
        ValueType::SortedSet => {
            let mut members = Digest::default();
            if let Some(set) = entry.lend::<SortedSet>() {
                for pair in set.iter() {
                    let mut member = pair.member.with_text(Digest::of);
                    member.chain(&Digest::of(&pair.score().to_bits().to_le_bytes()));
                    members.add(&member);
                }
            }
            digest.chain(&members);
        }
        ValueType::Stream => {
            if let Some(stream) = entry.lend::<StreamValue>() {
                for item in stream.range(StreamId::MIN, StreamId::MAX, false) {
                    digest.chain(&Digest::of(&item.id.ms.to_le_bytes()));
                    digest.chain(&Digest::of(&item.id.seq.to_le_bytes()));
                    for (name, value) in item.pairs() {
                        digest.chain(&name.with_text(Digest::of));
                        digest.chain(&value.with_text(Digest::of));
                    }
                }
            }
        }
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_equal_parts_count() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let (mut one, mut other) = (a, b);
        one.add(&b);
        other.add(&a);
        assert_eq!(one, other);
        let mut twice = a;
        twice.add(&a);
        assert_ne!(twice, Digest::default());
        assert_eq!(one.to_string().len(), 40);
        assert_eq!(Digest::default().to_string(), "0".repeat(40));
    }
}
