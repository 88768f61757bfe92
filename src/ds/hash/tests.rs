//! Hashes against a naive model, through every encoding.

use super::*;
use crate::clock::Rng;
use std::collections::BTreeMap;

fn limits(entries: usize) -> Limits {
    Limits { hash_entries: entries, hash_value: 20, hash_seed: 7, ..Limits::default() }
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn contents(hash: &Hash) -> Model {
    let mut all = Model::new();
    hash.for_each(|name, found| {
        assert!(all.insert(name.to_vec(), (found.value.to_vec(), found.deadline)).is_none(), "a field shown twice");
    });
    all
}

fn check(hash: &Hash, model: &Model, now: i64) {
    assert_eq!(contents(hash), *model);
    assert_eq!(hash.len(), model.len());
    assert_eq!(hash.past_len(now), model.values().filter(|(_, deadline)| is_past(*deadline, now)).count());
    assert_eq!(hash.nearest_deadline(), model.values().filter_map(|(_, deadline)| *deadline).min());
    if let Hash::PackedWithTtls(pack) = hash {
        let order: Vec<i64> = triplets(pack).map(|(_, _, deadline)| deadline.unwrap_or(i64::MAX)).collect();
        assert!(order.is_sorted());
    }
}

/// Random operations on a hash and on a map, with limits that let it stay small, or grow large on the way.
#[test]
fn a_hash_does_what_a_map_does() {
    for (seed, entries) in [(1, 8), (2, 1000), (3, 0), (4, 30), (5, 1000), (6, 40)] {
        let limits = limits(entries);
        let mut rng = Rng::seeded(seed);
        let mut hash = Hash::empty(&limits);
        let mut model = Model::new();
        let mut now = 1000;
        for _ in 0..3000 {
            let name = format!("{}{}", if rng.below(2) == 0 { "f" } else { "" }, rng.below(50)).into_bytes();
            let value = match rng.below(3) {
                0 => rng.below(300).to_string(),
                1 => "v".repeat(rng.below(if entries == 1000 { 20 } else { 25 }) as usize),
                _ => "same".to_owned(),
            };
            let value = value.as_bytes();
            match rng.below(10) {
                0..=3 => {
                    assert_eq!(hash.set(&name, value, Deadline::Drop, &limits), !model.contains_key(&name));
                    model.insert(name, (value.to_vec(), None));
                }
                4 => {
                    hash.set(&name, value, Deadline::Keep, &limits);
                    let old = model.get(&name).and_then(|(_, deadline)| *deadline);
                    model.insert(name, (value.to_vec(), old));
                }
                5..=6 => {
                    let deadline = (rng.below(4) > 0).then(|| now - 5 + rng.below(40) as i64);
                    let there = model.get_mut(&name).map(|(_, old)| *old = deadline).is_some();
                    assert_eq!(hash.set_deadline(&name, deadline, &limits), there);
                }
                7 => assert_eq!(hash.remove(&name), model.remove(&name).is_some()),
                8 => hash.find(&name, |found| {
                    assert_eq!(found.map(|found| (found.value.to_vec(), found.deadline)), model.get(&name).cloned());
                    assert_eq!(hash.has_past(&name, now), found.is_some_and(|found| found.is_past(now)));
                }),
                _ => {
                    now += rng.below(10) as i64;
                    let max = rng.below(5) as usize;
                    let mut gone = Vec::new();
                    let count = hash.remove_past(now, max, &mut |name| gone.push(name.to_vec()));
                    assert_eq!(count, gone.len());
                    assert!(count == max || hash.past_len(now) == 0);
                    for name in gone {
                        assert!(model.remove(&name).is_some_and(|(_, deadline)| is_past(deadline, now)));
                    }
                }
            }
            check(&hash, &model, now);
        }
        check(&hash.duplicate(), &model, now);
    }
}

#[test]
fn picks_are_fields_and_distinct_where_promised() {
    let limits = limits(100);
    for (fields, with_deadline) in [(10, false), (10, true), (500, false), (500, true)] {
        let mut rng = Rng::seeded(fields);
        let mut hash = Hash::empty(&limits);
        for i in 0..fields {
            let deadline = (with_deadline && i % 2 == 0).then_some(i as i64 + 1);
            hash.put(format!("f{i}").as_bytes(), i.to_string().as_bytes(), deadline, &limits);
        }
        let right = |name: Element<'_>, value: Element<'_>| assert_eq!(name.to_vec(), [b"f", &value.to_vec()[..]].concat());
        for count in [0, 1, 3, fields as usize / 2, fields as usize, 1000] {
            let mut names = std::collections::HashSet::new();
            hash.pick_distinct(count, &mut rng, &mut |name, value| {
                right(name, value);
                assert!(names.insert(name.to_vec()));
            });
            assert_eq!(names.len(), count.min(fields as usize));
            let mut picked = 0;
            hash.pick_many(count, &mut rng, &mut |name, value| {
                right(name, value);
                picked += 1;
            });
            assert_eq!(picked, count);
        }
        let mut names = std::collections::HashSet::new();
        for _ in 0..fields * 20 {
            hash.pick(&mut rng, &mut |name, value| {
                right(name, value);
                names.insert(name.to_vec());
            });
        }
        assert_eq!(names.len(), fields as usize);
    }
}

#[test]
fn encodings_change_at_their_limits() {
    let limits = limits(2);
    let mut hash = Hash::empty(&limits);
    hash.set(b"a", b"1", Deadline::Drop, &limits);
    assert_eq!(hash.encoding(), "listpack");
    assert!(!hash.set_deadline(b"x", None, &limits));
    assert_eq!(hash.encoding(), "listpack");
    hash.set_deadline(b"a", Some(5), &limits);
    hash.set(b"b", b"2", Deadline::Drop, &limits);
    assert_eq!(hash.encoding(), "listpackex");
    hash.set(b"c", b"3", Deadline::Drop, &limits);
    assert_eq!(hash.encoding(), "hashtable");
    let mut hash = Hash::empty(&limits);
    hash.set(b"a", &[b'x'; 21], Deadline::Drop, &limits);
    assert_eq!(hash.encoding(), "hashtable");
    let mut hash = Hash::empty(&limits);
    hash.expect_more(3, &limits);
    assert_eq!(hash.encoding(), "hashtable");
}
