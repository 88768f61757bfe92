//! Streams in RDB files: nodes as they are in memory, counters, and consumer groups with what was not acknowledged.

use super::encode::{Encoder, Out};
use super::format::kind;
use super::read::{Reader, Result, Source};
use crate::ds::object::{Big, Object};
use crate::ds::parts::element::Element;
use crate::ds::stream::{ConsumerId, Group, Nack, Stream, StreamId, StreamValue};
use crate::raw::entry::Value;
use std::collections::BTreeMap;

/// Bytes of an entry of a group's list of pending ones, at least: id, time, and count of deliveries.
const PENDING_LEN_MIN: u64 = 25;
const ID_LEN: u64 = 16;

/// Reads a stream of one of the three forms.
pub(super) fn read<S: Source>(input: &mut Reader<S>, kind: u8) -> Result<Value<Object>> {
    let mut stream = Stream::new();
    for _ in 0..input.count(ID_LEN + 2)? {
        node(input, &mut stream)?;
    }
    let len = input.len()?;
    if len != stream.len() {
        return Err(input.fault("a stream's length differs from its nodes'"));
    }
    let last_id = id(input)?;
    let mut max_deleted = StreamId::MIN;
    let mut added = len;
    if kind != kind::STREAM {
        // The first id is told by the nodes.
        id(input)?;
        max_deleted = id(input)?;
        added = input.len()?;
    }
    if last_id < stream.counters().last_id {
        return Err(input.fault("a stream's last id is below that of an entry"));
    }
    stream.set_counters(last_id, added, max_deleted);
    for _ in 0..input.count(1)? {
        group(input, kind, &mut stream)?;
    }
    Ok(Big::new(stream).into_value())
}

fn node<S: Source>(input: &mut Reader<S>, stream: &mut Stream) -> Result<()> {
    let base = match input.string()? {
        Element::Str(bytes) => <[u8; 16]>::try_from(bytes).ok().map(StreamId::from_bytes),
        Element::Int(_) => None,
    };
    let base = base.ok_or_else(|| input.fault("a stream's node under something that is no id"))?;
    let outcome = match input.string()? {
        Element::Str(bytes) => stream.push_node(base, bytes).err().map(|corrupt| corrupt.reason),
        Element::Int(_) => Some("a number in place of a stream's node"),
    };
    match outcome {
        // Tools look for these words in the log.
        Some(reason) => Err(input.fault(format!("Stream listpack integrity check failed: {reason}"))),
        None => Ok(()),
    }
}

fn id<S: Source>(input: &mut Reader<S>) -> Result<StreamId> {
    Ok(StreamId::new(input.len()?, input.len()?))
}

fn group<S: Source>(input: &mut Reader<S>, kind: u8, stream: &mut Stream) -> Result<()> {
    let mut name = Vec::new();
    input.text(&mut name)?;
    let last_id = id(input)?;
    let read = match kind {
        kind::STREAM => stream.counters().entries_up_to(last_id),
        // -1 in the original: it cannot be told.
        _ => Some(input.len()?).filter(|read| *read != u64::MAX),
    };
    let mut group = Group::new(last_id, read);
    let mut pending = BTreeMap::new();
    for _ in 0..input.count(PENDING_LEN_MIN)? {
        let id = StreamId::from_bytes(input.bytes()?);
        let delivered_at = i64::from_le_bytes(input.bytes()?);
        if pending.insert(id, (delivered_at, input.len()?)).is_some() {
            return Err(input.fault("an entry pending twice in a group"));
        }
    }
    for _ in 0..input.count(1)? {
        consumer(input, kind, &mut group, &mut pending)?;
    }
    if !pending.is_empty() {
        return Err(input.fault("a pending entry without a consumer"));
    }
    if stream.groups.insert(name.into(), group).is_some() {
        return Err(input.fault("duplicate groups of a stream"));
    }
    Ok(())
}

fn consumer<S: Source>(
    input: &mut Reader<S>,
    kind: u8,
    group: &mut Group,
    pending: &mut BTreeMap<StreamId, (i64, u64)>,
) -> Result<()> {
    let mut name = Vec::new();
    input.text(&mut name)?;
    let seen_at = i64::from_le_bytes(input.bytes()?);
    let active_at = match kind {
        kind::STREAM_3 => Some(i64::from_le_bytes(input.bytes()?)).filter(|at| *at != -1),
        _ => Some(seen_at),
    };
    let consumer: ConsumerId = group.create(&name, seen_at).ok_or_else(|| input.fault("Duplicate stream consumer detected"))?;
    group.consumer_mut(consumer).active_at = active_at;
    for _ in 0..input.count(ID_LEN)? {
        let id = StreamId::from_bytes(input.bytes()?);
        let Some((delivered_at, deliveries)) = pending.remove(&id) else {
            return Err(input.fault("a consumer's entry that is not pending in its group"));
        };
        group.assign(id, Nack { delivered_at, deliveries, consumer });
    }
    Ok(())
}

/// Writes a stream in its newest form.
pub(super) fn write(encoder: &mut Encoder, stream: &StreamValue, out: &mut impl Out) {
    encoder.len(stream.node_count() as u64, out);
    for (base, node) in stream.nodes() {
        write_node(encoder, base, node, out);
    }
    write_rest(encoder, stream, out);
}

/// Writes a node.
pub fn write_node(encoder: &mut Encoder, base: StreamId, node: &[u8], out: &mut impl Out) {
    encoder.text(&base.to_bytes(), out);
    encoder.text(node, out);
}

/// Writes what follows the nodes.
pub fn write_rest(encoder: &mut Encoder, stream: &Stream, out: &mut impl Out) {
    let counters = stream.counters();
    encoder.len(counters.len, out);
    for id in [counters.last_id, counters.first_id, counters.max_deleted_id] {
        write_id(encoder, id, out);
    }
    encoder.len(counters.entries_added, out);
    encoder.len(stream.groups.len() as u64, out);
    for (name, group) in &stream.groups {
        encoder.text(name, out);
        write_id(encoder, group.last_id, out);
        encoder.len(group.entries_read.unwrap_or(u64::MAX), out);
        encoder.len(group.pending().len() as u64, out);
        for (id, nack) in group.pending() {
            out.put(&id.to_bytes());
            out.put(&nack.delivered_at.to_le_bytes());
            encoder.len(nack.deliveries, out);
        }
        encoder.len(group.consumer_count() as u64, out);
        for (_, consumer) in group.consumers() {
            encoder.text(&consumer.name, out);
            out.put(&consumer.seen_at.to_le_bytes());
            out.put(&consumer.active_at.unwrap_or(-1).to_le_bytes());
            encoder.len(consumer.pending().len() as u64, out);
            for id in consumer.pending() {
                out.put(&id.to_bytes());
            }
        }
    }
}

fn write_id(encoder: &mut Encoder, id: StreamId, out: &mut impl Out) {
    encoder.len(id.ms, out);
    encoder.len(id.seq, out);
}
