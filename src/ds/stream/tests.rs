//! Streams against a naive model, and a node against the bytes of a real one.

use std::collections::BTreeMap;

use super::*;
use crate::clock::Rng;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

const LIMITS: NodeLimits = NodeLimits { bytes: 4096, entries: 10 };

fn add(stream: &mut Stream, id: StreamId, fields: &Fields) -> Result<(), AppendError> {
    let pairs = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    stream.append(id, pairs, LIMITS)
}

fn fields(text: &str) -> Fields {
    let words: Vec<&str> = text.split(' ').collect();
    words.chunks(2).map(|pair| (pair[0].into(), pair[1].into())).collect()
}

fn read(entry: Entry<'_>) -> (StreamId, Fields) {
    assert_eq!(entry.pairs().size_hint().0, entry.len());
    (entry.id, entry.pairs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

fn check(stream: &Stream, model: &BTreeMap<StreamId, Fields>, rng: &mut Rng) {
    let whole = |reverse| stream.range(StreamId::MIN, StreamId::MAX, reverse).map(read);
    assert!(whole(false).eq(model.iter().map(|(&id, fields)| (id, fields.clone()))));
    assert!(whole(true).eq(model.iter().rev().map(|(&id, fields)| (id, fields.clone()))));
    assert_eq!(stream.len(), model.len() as u64);
    let first = model.keys().next().copied().unwrap_or_default();
    assert_eq!(stream.counters().first_id, first);
    assert_eq!(stream.last().map(|entry| entry.id), model.keys().next_back().copied());
    let top = stream.counters().last_id.ms + 2;
    for _ in 0..20 {
        let mut id = || StreamId::new(rng.below(top), rng.below(4));
        let (start, end) = (id(), id());
        let expected: Vec<_> = match start <= end {
            true => model.range(start..=end).map(|(&id, _)| id).collect(),
            false => Vec::new(),
        };
        assert!(stream.range(start, end, false).map(|entry| entry.id).eq(expected.iter().copied()));
        assert!(stream.range(start, end, true).map(|entry| entry.id).eq(expected.iter().rev().copied()));
        assert_eq!(stream.get(start).map(read), model.get(&start).map(|fields| (start, fields.clone())));
    }
    // Saved and loaded it is the same.
    let mut loaded = Stream::new();
    for (base, bytes) in stream.nodes() {
        loaded.push_node(base, bytes).unwrap();
    }
    let counters = stream.counters();
    loaded.set_counters(counters.last_id, counters.entries_added, counters.max_deleted_id);
    assert_eq!(loaded.counters(), counters);
    assert!(loaded.nodes().eq(stream.nodes()));
}

#[test]
fn agrees_with_a_model() {
    let rng = &mut Rng::seeded(0xfeed_5eed);
    let (mut stream, mut model) = (Stream::new(), BTreeMap::new());
    // A cut under way: what it is to show and has shown, and how many there were.
    let (mut expected, mut shown, mut cuts, mut emptied) = (None, Vec::new(), 0, 0);
    for step in 0..20_000 {
        match (&expected, rng.below(3)) {
            (None, 0) if rng.below(8) == 0 => {
                expected = Some(stream.nodes().map(|(base, node)| (base, node.to_vec())).collect::<Vec<_>>());
                stream.cut().begin(3);
                assert_eq!((stream.cut_label(), stream.clone().cut_label()), (Some(3), None));
            }
            (Some(whole), 0) if stream.cut().step(rng.below(4) as usize, &mut |base, node| shown.push((base, node.to_vec()))) => {
                assert_eq!(&std::mem::take(&mut shown), whole);
                stream.cut().end();
                expected = None;
                cuts += 1;
            }
            _ => {}
        }
        if model.is_empty() && rng.below(2) == 0 {
            // What XSETID does: ids that were there before come again.
            let back = StreamId::new(stream.counters().last_id.ms.saturating_sub(rng.below(60)), 0);
            stream.set_counters(back, stream.counters().entries_added, StreamId::MIN);
            emptied += 1;
        }
        match rng.below(40) {
            0 => {
                let most = rng.below(model.len() as u64 + 2);
                let removed = stream.trim(Keep::Len(most), false, None);
                for _ in 0..removed {
                    model.pop_first();
                }
                assert!(model.len() as u64 <= most);
            }
            1 => {
                let id = StreamId::new(rng.below(stream.counters().last_id.ms + 2) / 2, 1);
                stream.trim(Keep::From(id), false, None);
                model = model.split_off(&id);
            }
            2 => {
                let most = rng.below(model.len() as u64 + 2);
                let limit = rng.below(50);
                let removed = stream.trim(Keep::Len(most), true, Some(limit));
                assert!(removed <= limit && (removed == 0 || model.len() as u64 - removed >= most));
                for _ in 0..removed {
                    model.pop_first();
                }
            }
            3..=11 => {
                let id = StreamId::new(rng.below(stream.counters().last_id.ms + 2), rng.below(3));
                assert_eq!(stream.delete(id), model.remove(&id).is_some());
            }
            12..=14 if !model.is_empty() => {
                let at = rng.below(model.len() as u64) as usize;
                let id = *model.keys().nth(at).unwrap();
                assert!(stream.delete(id) && !stream.delete(id));
                model.remove(&id);
            }
            _ => {
                let now_ms = stream.counters().last_id.ms + rng.below(2);
                let id = stream.resolve(NewId::Auto { now_ms }).unwrap();
                let fields = match rng.below(4) {
                    0 => fields("name x other 17"),
                    1 => fields(&format!("f{} {}", rng.below(4), rng.below(1 << 40))),
                    _ => fields(&format!("sensor {} value -{}", rng.below(9), rng.below(100_000))),
                };
                add(&mut stream, id, &fields).unwrap();
                model.insert(id, fields);
            }
        }
        if step % 600 == 0 {
            check(&stream, &model, rng);
        }
    }
    check(&stream, &model, rng);
    assert!(cuts > 100 && emptied > 10, "{cuts} {emptied}");
    let left = model.len() as u64;
    assert_eq!(stream.trim(Keep::Len(0), false, None), left);
    check(&stream, &BTreeMap::new(), rng);
    assert_eq!(stream.node_count(), 0);
}

/// XADD s 5-1 a 1 b two; 5-3 a 300 b -7; 900-0 c x; 901-0 a 1 b 2; 902-0 a 1 b 2; XDEL s 5-3, at four entries a node.
#[test]
fn nodes_are_those_of_redis() {
    let mut stream = Stream::new();
    let limits = NodeLimits { bytes: 4096, entries: 4 };
    let added = [(5, 1, "a 1 b two"), (5, 3, "a 300 b -7"), (900, 0, "c x"), (901, 0, "a 1 b 2"), (902, 0, "a 1 b 2")];
    for (ms, seq, text) in added {
        let fields = fields(text);
        let pairs = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        stream.append(StreamId::new(ms, seq), pairs, limits).unwrap();
    }
    assert!(stream.delete(StreamId::new(5, 3)));
    let first = b"\x52\0\0\0\x1f\0\x03\x01\x01\x01\x02\x01\x81a\x02\x81b\x02\0\x01\
        \x02\x01\0\x01\0\x01\x01\x01\x83two\x04\x05\x01\
        \x03\x01\0\x01\x02\x01\xc1\x2c\x02\xdf\xf9\x02\x05\x01\
        \0\x01\xc3\x7f\x02\xdf\xff\x02\x01\x01\x81c\x02\x81x\x02\x06\x01\
        \x02\x01\xc3\x80\x02\xdf\xff\x02\x01\x01\x02\x01\x05\x01\xff";
    let second = b"\x21\0\0\0\x0c\0\x01\x01\0\x01\x02\x01\x81a\x02\x81b\x02\0\x01\
        \x02\x01\0\x01\0\x01\x01\x01\x02\x01\x05\x01\xff";
    let nodes: Vec<_> = stream.nodes().collect();
    let expected = [(StreamId::new(5, 1), first.as_slice()), (StreamId::new(902, 0), second.as_slice())];
    assert_eq!(nodes, expected);
    let deleted = StreamId::new(5, 3);
    let (first_id, last_id) = (StreamId::new(5, 1), StreamId::new(902, 0));
    let counters = Counters { len: 4, entries_added: 5, first_id, last_id, max_deleted_id: deleted };
    assert_eq!(*stream.counters(), counters);
}

#[test]
fn ids_rise() {
    let mut stream = Stream::new();
    let one = fields("a 1");
    assert_eq!(stream.resolve(NewId::Exact(StreamId::MIN)), Err(AppendError::NotGreater));
    assert_eq!(stream.resolve(NewId::AutoSeq { ms: 0 }), Ok(StreamId::new(0, 1)));
    add(&mut stream, StreamId::new(5, 3), &one).unwrap();
    assert_eq!(stream.resolve(NewId::Auto { now_ms: 4 }), Ok(StreamId::new(5, 4)));
    assert_eq!(stream.resolve(NewId::Auto { now_ms: 6 }), Ok(StreamId::new(6, 0)));
    assert_eq!(stream.resolve(NewId::AutoSeq { ms: 5 }), Ok(StreamId::new(5, 4)));
    assert_eq!(stream.resolve(NewId::AutoSeq { ms: 4 }), Err(AppendError::NotGreater));
    assert_eq!(add(&mut stream, StreamId::new(5, 3), &one), Err(AppendError::NotGreater));
    add(&mut stream, StreamId::MAX, &one).unwrap();
    assert_eq!(stream.resolve(NewId::Auto { now_ms: 9 }), Err(AppendError::Exhausted));
    assert_eq!(stream.resolve(NewId::AutoSeq { ms: u64::MAX }), Err(AppendError::NotGreater));
    assert_eq!(stream.len(), 2);
    let (start, end) = (Bound::Excluded(StreamId::new(5, 3)), Bound::Unbounded);
    assert_eq!(ids_between(start, end), Some((StreamId::new(5, 4), StreamId::MAX)));
    assert_eq!(ids_between(Bound::Excluded(StreamId::MAX), end), None);
}

#[test]
fn damaged_nodes_are_refused() {
    let mut stream = Stream::new();
    for i in 1..8 {
        let text = if i % 3 == 0 { "x 1 y 2" } else { "a 100 b hello" };
        add(&mut stream, StreamId::new(i, i), &fields(text)).unwrap();
    }
    stream.delete(StreamId::new(3, 3));
    let (base, bytes) = stream.nodes().next().map(|(base, bytes)| (base, bytes.to_vec())).unwrap();
    let rng = &mut Rng::seeded(11);
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(damaged.len() as u64) as usize;
            damaged[at] = rng.below(256) as u8;
        }
        let mut loaded = Stream::new();
        match loaded.push_node(base, &damaged) {
            Err(_) => refused += 1,
            // What is accepted must be walked and changed without a panic.
            Ok(()) => {
                let seen = loaded.range(StreamId::MIN, StreamId::MAX, false).map(read).count();
                assert_eq!(seen as u64, loaded.len());
                assert_eq!(loaded.range(StreamId::MIN, StreamId::MAX, true).map(read).count(), seen);
                loaded.delete(StreamId::new(4, 4));
                loaded.trim(Keep::Len(2), false, None);
                assert!(loaded.len() <= 2);
            }
        }
    }
    assert!(refused > 10_000);
    let mut twice = Stream::new();
    twice.push_node(base, &bytes).unwrap();
    assert!(twice.push_node(StreamId::new(2, 0), &bytes).is_err());
}

#[test]
fn groups_keep_pending_entries_with_their_owners() {
    let mut group = Group::new(StreamId::MIN, Some(0));
    let alice = group.create(b"alice", 1).unwrap();
    let bob = group.create(b"bob", 1).unwrap();
    assert_eq!(group.create(b"bob", 1), None);
    let nack = |consumer| Nack { delivered_at: 5, deliveries: 1, consumer };
    for i in 1..=4 {
        group.assign(StreamId::new(i, 0), nack(alice));
    }
    group.assign(StreamId::new(2, 0), nack(bob));
    assert_eq!((group.consumer(alice).pending().len(), group.consumer(bob).pending().len()), (3, 1));
    assert!(group.ack(StreamId::new(2, 0)) && !group.ack(StreamId::new(2, 0)));
    *group.nack_mut(StreamId::new(1, 0)).unwrap().1 += 1;
    assert_eq!(group.pending()[&StreamId::new(1, 0)].deliveries, 2);
    assert_eq!((group.delete(b"alice"), group.delete(b"alice")), (Some(3), None));
    assert!(group.pending().is_empty());
    let carol = group.create(b"carol", 2).unwrap();
    assert_eq!((carol, group.find(b"carol"), group.consumer_count()), (alice, Some(carol), 2));
    assert!(group.consumers().map(|(_, consumer)| &*consumer.name).eq([b"bob".as_slice(), b"carol"]));
}

#[test]
fn lag_is_known_unless_deletions_hide_it() {
    let mut stream = Stream::new();
    let group_at = |ms, read| Group::new(StreamId::new(ms, 0), read);
    assert_eq!(stream.counters().lag(&group_at(0, None)), Some(0));
    for ms in 1..=10 {
        add(&mut stream, StreamId::new(ms, 0), &fields("a 1")).unwrap();
    }
    let lag = |stream: &Stream, group: &Group| stream.counters().lag(group);
    assert_eq!(lag(&stream, &group_at(0, None)), Some(10));
    assert_eq!(lag(&stream, &group_at(1, None)), Some(9));
    assert_eq!(lag(&stream, &group_at(4, None)), None);
    assert_eq!(lag(&stream, &group_at(4, Some(4))), Some(6));
    assert_eq!(lag(&stream, &group_at(10, None)), Some(0));
    stream.delete(StreamId::new(7, 0));
    assert_eq!(lag(&stream, &group_at(4, Some(4))), None);
    assert_eq!(lag(&stream, &group_at(8, Some(8))), Some(2));
    let mut group = group_at(8, Some(8));
    stream.counters().advance(&mut group, StreamId::new(9, 0));
    assert_eq!((group.last_id.ms, group.entries_read), (9, Some(9)));
    stream.counters().advance(&mut group, StreamId::new(3, 0));
    assert_eq!(group.last_id.ms, 9);
    stream.trim(Keep::From(StreamId::new(9, 0)), false, None);
    assert_eq!(lag(&stream, &group_at(2, None)), Some(2));
    stream.trim(Keep::Len(0), false, None);
    assert_eq!(lag(&stream, &group_at(2, None)), Some(0));
}

#[test]
fn the_tree_of_ids_has_as_many_nodes_as_the_original() {
    let nodes = |ids: &[StreamId]| {
        let mut stream = Stream::new();
        for id in ids {
            stream.append(*id, std::iter::once((&b"f"[..], &b"v"[..])), NodeLimits { bytes: 0, entries: 1 }).unwrap();
        }
        stream.tree_nodes()
    };
    let id = StreamId::new;
    assert_eq!(nodes(&[]), 1);
    assert_eq!(nodes(&[id(5, 0)]), 2);
    assert_eq!(nodes(&[id(9, 0), id(9, 1)]), 4);
    assert_eq!(nodes(&[id(101, 0), id(112, 0), id(115, 2)]), 8);
}
