//! Sorted sets against a naive model, in both encodings.

use std::collections::BTreeMap;

use super::*;
use crate::clock::Rng;
use crate::raw::entry::Value;

type Model = BTreeMap<Vec<u8>, f64>;

fn in_order(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut all: Vec<(Vec<u8>, f64)> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
    all
}

fn owned(pair: Pair<'_>) -> (Vec<u8>, f64) {
    (pair.member.to_vec(), pair.score())
}

fn check(set: &SortedSet, model: &Model, rng: &mut Rng) {
    let all = in_order(model);
    assert_eq!((set.len(), set.is_empty()), (all.len(), all.is_empty()));
    assert_eq!(set.iter().map(owned).collect::<Vec<_>>(), all);
    for _ in 0..20.min(all.len()) {
        let rank = rng.below(all.len() as u64) as usize;
        let end = rank + rng.below(20) as usize;
        let part = &all[rank..end.min(all.len())];
        assert_eq!(set.range(rank..end, false).map(owned).collect::<Vec<_>>(), part);
        assert!(set.range(rank..end, true).map(owned).eq(part.iter().rev().cloned()));
        assert_eq!(set.range(rank..end, true).len(), part.len());
        let (member, score) = &all[rank];
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member, false), Some((rank, *score)));
        assert_eq!(set.rank(member, true), Some((all.len() - 1 - rank, *score)));
        let max = score + rng.below(9) as f64 / 2.0;
        let from = |limit: f64, after: bool| all.partition_point(|p| if after { p.1 <= limit } else { p.1 < limit });
        for (min_after, max_after) in [(false, true), (true, true), (false, false)] {
            let min = if min_after { Bound::Excluded(*score) } else { Bound::Included(*score) };
            let bound = if max_after { Bound::Included(max) } else { Bound::Excluded(max) };
            let expected = from(*score, min_after)..from(max, max_after);
            let found = set.ranks_by_score(min, bound);
            assert!(found == expected || (found.is_empty() && expected.is_empty()), "{found:?} {expected:?}");
        }
        let pair = set.random(&mut |n| rng.below(n)).map(owned).unwrap();
        assert_eq!(model.get(&pair.0), Some(&pair.1));
    }
    let mut sampled = BTreeMap::new();
    set.sample(7, &mut |n| rng.below(n), &mut |pair| {
        let (member, score) = owned(pair);
        assert_eq!(model.get(&member), Some(&score));
        assert!(sampled.insert(member, score).is_none(), "an element twice");
    });
    assert_eq!(sampled.len(), 7.min(all.len()));
    let mut cursor = 0;
    let mut seen = BTreeMap::new();
    loop {
        cursor = set.scan(cursor, &mut |pair| {
            seen.extend([owned(pair)]);
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&seen, model);
}

fn score_from(rng: &mut Rng) -> f64 {
    match rng.below(10) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => 5e18 + rng.below(5) as f64 * 1e16,
        3 => -(rng.below(100) as f64) / 7.0,
        _ => rng.below(40) as f64 / 4.0,
    }
}

fn play(limits: &Limits, names: u64, steps: usize, seed: u64) {
    let rng = &mut Rng::seeded(seed);
    let mut set = SortedSet::empty(limits);
    let mut model = Model::new();
    for step in 0..steps {
        let name = rng.below(names);
        let member = if name.is_multiple_of(2) { format!("{name}") } else { format!("m{name}") }.into_bytes();
        match rng.below(12) {
            0..=2 => assert_eq!(set.remove(&member), model.remove(&member)),
            3 => {
                let start = rng.below(set.len() as u64 + 1) as usize;
                let end = start + rng.below(6) as usize;
                for (member, _) in in_order(&model).into_iter().skip(start).take(end - start) {
                    model.remove(&member);
                }
                set.remove_ranks(start..end);
            }
            4 => {
                let was = model.get(&member).copied();
                let refused = set.update(&member, limits, |old| {
                    assert_eq!(old, was);
                    None
                });
                assert_eq!(refused, None);
            }
            _ => {
                let score = score_from(rng);
                let expected = match model.insert(member.clone(), score) {
                    None => Added::New,
                    Some(old) if old == score => Added::Same,
                    Some(old) => Added::Updated(old),
                };
                assert_eq!(set.add(&member, score, limits), expected);
            }
        }
        if step % 50 == 0 {
            check(&set, &model, rng);
            check(&set.duplicate(), &model, rng);
        }
    }
    check(&set, &model, rng);
}

#[test]
fn agrees_with_a_model_in_both_encodings() {
    let limits = Limits::default();
    play(&limits, 100, 3_000, 11);
    play(&Limits { sorted_set_entries: 20, ..limits.clone() }, 100, 1_500, 12);
    play(&Limits { sorted_set_entries: 0, ..limits.clone() }, 600, 5_000, 13);
    play(&Limits { sorted_set_value: 2, ..limits }, 100, 1_500, 14);
}

#[test]
fn turns_large_where_redis_does() {
    let limits = Limits::default();
    let mut set = SortedSet::empty(&limits);
    for i in 0..128 {
        set.add(format!("{i}").as_bytes(), 1.0, &limits);
    }
    assert_eq!(set.encoding(), "listpack");
    set.add(b"127", 2.0, &limits);
    assert_eq!(set.encoding(), "listpack");
    set.add(b"128", 2.0, &limits);
    assert_eq!((set.encoding(), set.len()), ("skiplist", 129));

    let mut set = SortedSet::empty(&limits);
    set.add(&[b'x'; 64], 1.0, &limits);
    assert_eq!(set.encoding(), "listpack");
    set.add(&[b'x'; 65], 1.0, &limits);
    assert_eq!((set.encoding(), set.len()), ("skiplist", 2));

    let mut set = SortedSet::empty(&limits);
    set.expect(129, 1, &limits);
    assert_eq!(set.encoding(), "skiplist");
    let mut set = SortedSet::empty(&limits);
    set.expect(128, 64, &limits);
    assert_eq!(set.encoding(), "listpack");
}

#[test]
fn small_sets_have_the_bytes_of_the_original() {
    let limits = Limits::default();
    let mut set = SortedSet::empty(&limits);
    for (member, score) in [("two", 2.5), ("1", -0.0), ("big", 1e300), ("inf", f64::INFINITY), ("one", 4096.0)] {
        set.add(member.as_bytes(), score, &limits);
    }
    let SortedSet::Packed(packed) = &set else { panic!("small") };
    let stored: Vec<String> = packed.iter().map(|element| format!("{element:?}")).collect();
    let expected = ["1", "0", "\"two\"", "\"2.5\"", "\"one\"", "4096", "\"big\"", "\"1e+300\"", "\"inf\"", "\"inf\""];
    assert_eq!(stored, expected);
    assert!(set.score(b"1").unwrap().is_sign_positive());

    let again = SortedSet::from_packed(packed.clone(), &limits);
    assert_eq!(again.encoding(), "listpack");
    let large = SortedSet::from_packed(packed.clone(), &Limits { sorted_set_entries: 4, ..limits });
    assert_eq!(large.encoding(), "skiplist");
    assert!(large.iter().map(owned).eq(set.iter().map(owned)));
}

#[test]
fn ranges_of_bytes_at_one_score() {
    let limits = Limits::default();
    for entries in [0, 128] {
        let limits = Limits { sorted_set_entries: entries, ..limits.clone() };
        let mut set = SortedSet::empty(&limits);
        for i in 0..50 {
            set.add(format!("{:02}", i * 2).as_bytes(), 0.0, &limits);
        }
        let ranks = |min, max| set.ranks_by_lex(min, max);
        assert_eq!(ranks(Bound::Included(b"10"), Bound::Included(b"20")), 5..11);
        assert_eq!(ranks(Bound::Excluded(b"10"), Bound::Excluded(b"20")), 6..10);
        assert_eq!(ranks(Bound::Unbounded, Bound::Excluded(b"01")), 0..1);
        assert_eq!(ranks(Bound::Included(b"98"), Bound::Unbounded), 49..50);
        assert!(ranks(Bound::Included(b"9"), Bound::Included(b"0")).is_empty());
    }
}

#[test]
fn the_builder_chooses_the_encoding_and_merges() {
    let limits = Limits::default();
    let sum = |old: f64, new: f64| old + new;
    for n in [0_u32, 1, 128, 129, 1_000] {
        let mut builder = SortedSetBuilder::new(&limits, 0);
        let names: Vec<String> = (0..n).map(|i| format!("m{}", i * 7919 % 1_000)).collect();
        let batch: Vec<(&[u8], f64)> = names.iter().map(|name| (name.as_bytes(), f64::from(name.len() as u32))).collect();
        builder.merge_all(&batch, sum);
        builder.merge_all(&batch, sum);
        assert_eq!(builder.len(), n as usize);
        for (member, _) in &batch {
            assert!(!builder.push(member, 99.0));
        }
        let set = builder.finish(&limits);
        assert_eq!(set.encoding(), if n <= 128 { "listpack" } else { "skiplist" });
        let model: Model = batch.iter().map(|(member, score)| (member.to_vec(), score * 2.0)).collect();
        check(&set, &model, &mut Rng::seeded(5));
    }
    let mut builder = SortedSetBuilder::new(&limits, 1);
    builder.merge(&[b'x'; 65], 1.0, sum);
    assert_eq!(builder.finish(&limits).encoding(), "skiplist");
}

#[test]
fn goes_into_an_entry_and_comes_back() {
    let limits = Limits { sorted_set_entries: 3, ..Limits::default() };
    for n in 1..6 {
        let mut set = SortedSet::empty(&limits);
        for i in 0..n {
            set.add(format!("{i}").as_bytes(), f64::from(i), &limits);
        }
        let encoding = set.encoding();
        let Ok(back) = SortedSet::from_value(set.into_value()) else { panic!("a sorted set") };
        assert_eq!((back.encoding(), back.len()), (encoding, n as usize));
    }
    assert!(SortedSet::from_value(Value::Int(1)).is_err());
}
