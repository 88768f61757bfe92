//! A random life of a list beside a plain vector, in all shapes of limits.

use super::*;
use crate::clock::Rng;

fn limits(fill: i64, compress_depth: usize, packed_threshold: usize) -> Limits {
    Limits { list_fill: fill, list_compress_depth: compress_depth, list_packed_threshold: packed_threshold, ..Limits::default() }
}

fn text(rng: &mut Rng) -> Vec<u8> {
    match rng.index(20) {
        0..9 => rng.index(50).to_string().into_bytes(),
        9..18 => format!("element-{}", rng.index(30)).into_bytes(),
        18 => vec![b'x'; rng.index(300)],
        _ => vec![b'y'; 3000 + rng.index(3000)],
    }
}

fn contents(list: &List) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    list.for_range(0, usize::MAX, |element| all.push(element.to_vec()));
    all
}

#[test]
fn a_random_life_agrees_with_a_model() {
    for (seed, limits) in
        [limits(-1, 0, 0), limits(-2, 1, 0), limits(4, 0, 0), limits(3, 2, 0), limits(-1, 1, 100), limits(0, 0, 5)]
            .iter()
            .enumerate()
    {
        let mut rng = Rng::seeded(seed as u64);
        let mut list = List::empty(limits);
        let mut model: Vec<Vec<u8>> = Vec::new();
        for step in 0..3000 {
            let element = text(&mut rng);
            let end = if rng.index(2) == 0 { End::Front } else { End::Back };
            let len = model.len();
            match rng.index(if len > 60 { 13 } else { 10 }) {
                0..4 => {
                    list.grow(element.len(), 1, limits);
                    list.push(end, Element::Str(&element));
                    model.insert(if end == End::Front { 0 } else { len }, element);
                }
                4 => {
                    let popped = list.pop(end, |element| element.to_vec());
                    list.shrink(limits);
                    let expected =
                        (len > 0).then(|| if end == End::Front { model.remove(0) } else { model.pop().unwrap_or_default() });
                    assert_eq!(popped, expected);
                }
                5 => {
                    let index = rng.index(70) as i64 - 35;
                    list.grow(element.len(), 1, limits);
                    let set = list.set(index, Element::Str(&element));
                    list.shrink(limits);
                    let at = if index < 0 { index + len as i64 } else { index };
                    assert_eq!(set, (0..len as i64).contains(&at));
                    if set {
                        model[at as usize] = element;
                    }
                }
                6 => {
                    let (pivot, after) = (text(&mut rng), rng.index(2) == 0);
                    list.grow(element.len(), 1, limits);
                    let inserted = list.insert_beside(Element::Str(&pivot), after, Element::Str(&element));
                    let at = model.iter().position(|e| *e == pivot);
                    assert_eq!(inserted, at.is_some());
                    if let Some(at) = at {
                        model.insert(at + usize::from(after), element);
                    }
                }
                7 => {
                    let skip = rng.index(3);
                    let mut found = Vec::new();
                    list.positions(Element::Str(&element), end, skip, 40, |at| {
                        found.push(at);
                        found.len() < 3
                    });
                    let matching = |i: &usize| model[*i] == element;
                    let expected: Vec<usize> = match end {
                        End::Front => (0..len.min(40)).filter(matching).skip(skip).take(3).collect(),
                        End::Back => (len.saturating_sub(40)..len).rev().filter(matching).skip(skip).take(3).collect(),
                    };
                    assert_eq!(found, expected);
                }
                8 => {
                    let count = rng.index(5) as i64 - 2;
                    let removed = list.remove(Element::Str(&element), count);
                    list.shrink(limits);
                    let mut hits: Vec<usize> = (0..len).filter(|i| model[*i] == element).collect();
                    match count {
                        0 => {}
                        1.. => hits.truncate(count as usize),
                        _ => drop(hits.drain(..hits.len().saturating_sub(count.unsigned_abs() as usize))),
                    }
                    assert_eq!(removed, hits.len());
                    hits.into_iter().rev().for_each(|i| drop(model.remove(i)));
                }
                9 => {
                    let (start, count) = (rng.index(len + 1), rng.index(20));
                    let mut back = Vec::new();
                    if start < len {
                        list.for_range_back(start, count, |element| back.push(element.to_vec()));
                        let expected: Vec<_> = model[..=start].iter().rev().take(count).cloned().collect();
                        assert_eq!(back, expected);
                    }
                    let mut forth = Vec::new();
                    list.for_range(start, count, |element| forth.push(element.to_vec()));
                    assert_eq!(forth, model.iter().skip(start).take(count).cloned().collect::<Vec<_>>());
                    assert_eq!(list.get(start as i64, |element| element.to_vec()), model.get(start).cloned());
                }
                _ => {
                    let count = rng.index(50);
                    list.cut(end, count);
                    list.shrink(limits);
                    let range = if end == End::Front { 0..count.min(len) } else { len - count.min(len)..len };
                    model.drain(range);
                }
            }
            assert_eq!(list.len(), model.len());
            assert_eq!(list.is_empty(), model.is_empty());
            if step % 50 == 0 {
                assert_eq!(contents(&list), model);
                assert_eq!(contents(&list.duplicate()), model);
            }
        }
    }
}

#[test]
fn encodings_change_where_the_original_changes_them() {
    let default = Limits::default();
    let mut list = List::empty(&default);
    // Three bytes each behind a header of seven; the last one's text of one byte would lead past 8192.
    for _ in 0..2729 {
        list.grow(1, 1, &default);
        list.push(End::Back, Element::Str(b"a"));
        assert_eq!(list.encoding(), "listpack");
    }
    list.grow(1, 1, &default);
    assert_eq!(list.encoding(), "quicklist");
    for (left, encoding) in [(1364, "quicklist"), (1363, "listpack")] {
        list.cut(End::Back, list.len() - left);
        list.shrink(&default);
        assert_eq!((list.len(), list.encoding()), (left, encoding));
    }

    let counted = limits(4, 0, 0);
    let mut list = List::empty(&counted);
    for _ in 0..5 {
        list.grow(1, 1, &counted);
        list.push(End::Back, Element::Str(b"a"));
    }
    assert_eq!(list.encoding(), "quicklist");
    for (left, encoding) in [(4, "quicklist"), (3, "quicklist"), (2, "listpack")] {
        list.pop(End::Back, |_| ());
        list.shrink(&counted);
        assert_eq!((list.len(), list.encoding()), (left, encoding));
    }
}

#[test]
fn a_long_list_is_built_then_packed() {
    let default = Limits::default();
    let mut list = List::long(&default);
    (0..10).for_each(|n| list.push(End::Back, Element::Int(n)));
    list.pack(&default);
    assert_eq!((list.len(), list.encoding()), (10, "listpack"));
    let mut list = List::long(&default);
    (0..10_000).for_each(|n| list.push(End::Back, Element::Int(n)));
    list.pack(&default);
    assert_eq!((list.len(), list.encoding()), (10_000, "quicklist"));
}
