//! Quicklists against a deque of texts, under several limits, compressed and not.

use std::collections::VecDeque;

use super::*;
use crate::clock::Rng;

/// Run lengths: a codec as simple as can be.
const RUNS: Codec = Codec {
    compress: |plain| {
        let mut out = Vec::new();
        for run in plain.chunk_by(|a, b| a == b) {
            for part in run.chunks(255) {
                out.extend([part.len() as u8, part[0]]);
            }
        }
        (out.len() < plain.len()).then_some(out)
    },
    expand: |data, len| {
        let mut out = Vec::with_capacity(len);
        for pair in data.chunks_exact(2) {
            out.extend(std::iter::repeat_n(pair[1], pair[0].into()));
        }
        (out.len() == len).then_some(out)
    },
};

fn str_of(text: &[u8]) -> Element<'_> {
    Element::Str(text)
}

fn text_of(element: Element<'_>) -> Vec<u8> {
    element.to_vec()
}

fn texts(list: &Quicklist, from: i64, direction: Direction) -> Vec<Vec<u8>> {
    let mut cursor = list.cursor(from, direction);
    let mut out = Vec::new();
    while let Some(element) = cursor.next_element() {
        out.push(element.to_vec());
    }
    assert!(cursor.next_element().is_none());
    out
}

fn check(list: &Quicklist, model: &VecDeque<Vec<u8>>) {
    assert_eq!(list.len(), model.len());
    assert!(texts(list, 0, Direction::Forward).iter().eq(model));
    assert!(texts(list, -1, Direction::Backward).iter().eq(model.iter().rev()));
    assert_eq!(list.counts.iter().map(|&count| count as usize).sum::<usize>(), model.len());
    assert_eq!(list.counts.len(), list.nodes.len());
    for (index, view) in list.nodes().enumerate() {
        match view {
            NodeView::Pack { pack, count } => assert!(count > 0 && pack.iter().count() == count),
            NodeView::Plain(_) => assert_eq!(list.counts[index], 1),
            NodeView::Packed { count, plain_len, .. } => {
                assert!(count > 0 && plain_len > 0);
                assert!(list.is_inner(index), "node {index} of {} is compressed", list.nodes.len());
            }
        }
    }
}

/// What a node holds, compressed or not.
fn node_texts(view: NodeView<'_>) -> Vec<Vec<u8>> {
    match view {
        NodeView::Pack { pack, count } => {
            assert_eq!(pack.iter().count(), count);
            pack.iter().map(|element| element.to_vec()).collect()
        }
        NodeView::Plain(text) => vec![text.to_vec()],
        NodeView::Packed { data, plain_len, count } => {
            let plain = (RUNS.expand)(data, plain_len).unwrap();
            let pack = Listpack::from_bytes_validated(&plain).unwrap();
            assert_eq!(pack.iter().count(), count);
            pack.iter().map(|element| element.to_vec()).collect()
        }
    }
}

/// A cut under way: what it is to show, and what it has shown.
#[derive(Default)]
struct CutModel {
    runs: bool,
    expected: Vec<Vec<Vec<u8>>>,
    shown: Vec<Vec<Vec<u8>>>,
    finished: usize,
}

impl CutModel {
    fn go_on(&mut self, list: &mut Quicklist, random: u64) {
        if !self.runs {
            if random.is_multiple_of(8) {
                self.runs = true;
                self.expected = list.nodes().map(node_texts).collect();
                self.shown.clear();
                list.cut().begin(7);
            }
            return;
        }
        assert_eq!(list.cut_label(), Some(7));
        assert!(list.single_listpack_bytes().is_none());
        if list.cut().step(random as usize % 3, &mut |view| self.shown.push(node_texts(view))) {
            list.cut().end();
            assert_eq!(self.shown, self.expected);
            self.runs = false;
            self.finished += 1;
        }
    }
}

fn limits_to_try() -> Vec<Limits> {
    let base = Limits::default();
    vec![
        base,
        Limits { fill: -1, compress_depth: 1, codec: Some(RUNS), ..base },
        Limits { fill: 4, ..base },
        Limits { fill: 3, compress_depth: 2, codec: Some(RUNS), ..base },
        Limits { fill: 1, large_min: Some(60), compress_depth: 1, codec: Some(RUNS) },
        Limits { fill: 6, large_min: Some(100), ..base },
        Limits { fill: 0, ..base },
    ]
}

#[test]
fn agrees_with_a_deque() {
    let mut rng = Rng::seeded(11);
    let mut random = || rng.next_u64();
    for limits in limits_to_try() {
        let (mut list, mut model) = (Quicklist::new(limits), VecDeque::new());
        let (mut peak, mut cut) = (0, CutModel::default());
        for round in 0..2500 {
            let raw = random();
            if raw % 5 < 3 {
                cut.go_on(&mut list, raw >> 16);
            }
            let text = match random() % 20 {
                0..8 => (raw % 10).to_string().into_bytes(),
                8..18 => vec![b'a' + (raw % 4) as u8; 1 + (raw >> 8) as usize % 120],
                18 => vec![b'h'; (raw >> 8) as usize % 3000],
                _ if raw.is_multiple_of(8) => vec![b'H'; 9000],
                _ => format!("-{raw}").into_bytes(),
            };
            let element = str_of(&text);
            let index = random() as usize % model.len().max(1);
            match random() % 24 {
                0..5 => {
                    list.push_back(element);
                    model.push_back(text);
                }
                5..9 => {
                    list.push_front(element);
                    model.push_front(text);
                }
                9 => assert_eq!(list.pop_back(text_of), model.pop_back()),
                10 => assert_eq!(list.pop_front(text_of), model.pop_front()),
                11 | 12 => {
                    assert_eq!(list.get(index as i64, text_of).as_ref(), model.get(index));
                    let from_end = index as i64 - model.len() as i64;
                    assert_eq!(list.get(from_end, text_of).as_ref(), model.get(index));
                    assert_eq!(list.get(model.len() as i64, |_| ()), None);
                    assert_eq!(list.get(-1 - model.len() as i64, |_| ()), None);
                }
                13 | 14 => {
                    assert_eq!(list.set(index as i64, element), !model.is_empty());
                    if let Some(slot) = model.get_mut(index) {
                        *slot = text;
                    }
                }
                15..18 => {
                    list.insert(index, element);
                    model.insert(index, text);
                }
                18 => {
                    let pivot = model.get(index).cloned().unwrap_or_default();
                    let after = raw.is_multiple_of(2);
                    let found = model.iter().position(|other| *other == pivot);
                    assert_eq!(list.insert_at_pivot(str_of(&pivot), after, element), found.is_some());
                    if let Some(found) = found {
                        model.insert(found + usize::from(after), text);
                    }
                }
                19 if raw.is_multiple_of(4) => {
                    let count = (raw >> 8) as i64 % 9 - 4;
                    let value = model.get(index).cloned().unwrap_or_default();
                    let mut hits: Vec<usize> = (0..model.len()).filter(|&at| model[at] == value).collect();
                    match count {
                        0 => {}
                        1.. => hits.truncate(count as usize),
                        _ => drop(hits.drain(..hits.len().saturating_sub(-count as usize))),
                    }
                    assert_eq!(list.remove_value(str_of(&value), count), hits.len());
                    hits.iter().rev().for_each(|&at| drop(model.remove(at)));
                }
                20 if raw.is_multiple_of(4) => {
                    let count = (raw >> 8) as usize % 40;
                    let deleted = list.delete_range(index, count);
                    assert_eq!(deleted, count.min(model.len() - index));
                    model.drain(index..index + deleted);
                }
                21 if raw.is_multiple_of(64) => {
                    let count = (raw >> 8) as usize % (model.len() + 5);
                    list.trim(index, count);
                    model = model.into_iter().skip(index).take(count).collect();
                }
                22 => {
                    let expected = if raw.is_multiple_of(2) { model.pop_back() } else { model.pop_front() };
                    let direction = if raw.is_multiple_of(2) { Direction::Forward } else { Direction::Backward };
                    assert_eq!(list.rotate(direction, text_of), expected);
                    match expected {
                        Some(text) if raw.is_multiple_of(2) => model.push_front(text),
                        Some(text) => model.push_back(text),
                        None => {}
                    }
                }
                23 if raw.is_multiple_of(8) => {
                    let forward = texts(&list, index as i64, Direction::Forward);
                    assert!(forward.iter().eq(model.iter().skip(index)));
                    let backward = texts(&list, index as i64, Direction::Backward);
                    assert!(backward.iter().eq(model.iter().take(index + 1).rev()));
                }
                _ => {}
            }
            peak = peak.max(model.len());
            if round % 50 == 0 {
                check(&list, &model);
            }
        }
        check(&list, &model);
        assert!(peak > 200, "{peak}");
        while cut.runs {
            cut.go_on(&mut list, 1);
        }
        assert!(cut.finished > 5 && !cut.runs, "{}", cut.finished);
        list.cut().begin(0);
        for other in limits_to_try() {
            let mut copy = list.clone();
            assert_eq!(copy.cut_label(), None);
            copy.set_limits(other);
            check(&copy, &model);
        }
        while let Some(text) = model.pop_front() {
            assert_eq!(list.pop_front(text_of), Some(text));
        }
        assert!(list.is_empty() && list.node_count() == 0);
        assert!(list.pop_back(|_| ()).is_none() && list.cursor(0, Direction::Forward).next_element().is_none());
    }
}

#[test]
fn nodes_fill_as_in_redis() {
    let count_nodes = |limits, text: &[u8], times| {
        let mut list = Quicklist::new(limits);
        (0..times).for_each(|_| list.push_back(str_of(text)));
        list.nodes().map(|view| if let NodeView::Pack { count, .. } = view { count } else { 0 }).collect::<Vec<_>>()
    };
    let base = Limits::default();
    assert_eq!(count_nodes(Limits { fill: 3, ..base }, b"x", 7), [3, 3, 1]);
    assert_eq!(count_nodes(Limits { fill: 0, ..base }, b"x", 2), [1, 1]);
    // 100 bytes take 103; the last one has to leave room for an estimate of 108.
    assert_eq!(count_nodes(Limits { fill: -1, ..base }, &[b'x'; 100], 80), [39, 39, 2]);
    assert_eq!(count_nodes(base, &[b'x'; 8193], 2), [0, 0]);
    assert_eq!(count_nodes(base, &[b'x'; 8192], 2), [1, 1]);
    assert_eq!(count_nodes(Limits { fill: 1000, ..base }, &[b'x'; 8193], 1), [0]);
    assert_eq!(count_nodes(Limits { large_min: Some(5), ..base }, b"12345", 2), [0, 0]);
}

#[test]
fn inner_nodes_are_compressed() {
    let limits = Limits { fill: 4, compress_depth: 1, codec: Some(RUNS), large_min: None };
    let mut list = Quicklist::new(limits);
    (0..40).for_each(|_| list.push_back(str_of(&[b'r'; 100])));
    let packed = |list: &Quicklist| {
        list.nodes().map(|view| if matches!(view, NodeView::Packed { .. }) { 'z' } else { '-' }).collect::<String>()
    };
    assert_eq!(packed(&list), "-zzzzzzzz-");
    let small = list.memory_bytes();
    list.insert(22, str_of(b"middle"));
    assert_eq!(packed(&list), "-zzzzzzzzz-");
    list.trim(9, 20);
    assert_eq!(packed(&list), "-zzzz-");
    list.push_front(str_of(b"front"));
    list.set_limits(Limits { compress_depth: 0, ..limits });
    assert_eq!(packed(&list), "------");
    assert!(list.memory_bytes() > small);
}

#[test]
fn positions_from_both_ends() {
    let mut list = Quicklist::new(Limits { fill: 2, ..Limits::default() });
    b"abcabcabc".iter().for_each(|byte| list.push_back(str_of(&[*byte])));
    let find = |direction, skip, compare_max, count| {
        let mut found = Vec::new();
        list.positions(str_of(b"b"), direction, skip, compare_max, |index| {
            found.push(index);
            found.len() < count
        });
        found
    };
    assert_eq!(find(Direction::Forward, 0, usize::MAX, 9), [1, 4, 7]);
    assert_eq!(find(Direction::Forward, 1, usize::MAX, 1), [4]);
    assert_eq!(find(Direction::Forward, 0, 5, 9), [1, 4]);
    assert_eq!(find(Direction::Backward, 0, usize::MAX, 2), [7, 4]);
    assert_eq!(find(Direction::Backward, 2, usize::MAX, 2), [1]);
    assert!(find(Direction::Backward, 3, usize::MAX, 2).is_empty());
    assert!(find(Direction::Forward, 0, 1, 2).is_empty());
}

#[test]
fn to_and_from_one_listpack() {
    let mut pack = Listpack::new();
    for value in 0..10 {
        pack.append_int(value);
    }
    let mut list = Quicklist::from_listpack(pack.clone(), Limits { fill: 4, ..Limits::default() });
    assert_eq!(list.single_listpack_bytes(), Some(pack.bytes()));
    assert_eq!((list.len(), list.node_count()), (10, 1));
    list.push_front(Element::Int(0));
    list.pop_front(|_| ());
    assert_eq!(list.take_single_listpack(), Some(pack.clone()), "with room in front for a while");
    assert!(list.is_empty() && list.take_single_listpack().is_none());
    list.append_pack_node(pack);
    list.append_pack_node(Listpack::new());
    list.append_plain_node(b"large");
    assert_eq!((list.len(), list.node_count()), (11, 2));
    assert!(list.single_listpack_bytes().is_none());
    assert_eq!(list.get(-1, text_of).unwrap(), b"large");
}

/// The number of elements was taken from the header, and one more than "unknown" was none.
#[test]
fn a_header_need_not_tell_how_many_there_are() {
    let mut pack = Listpack::new();
    (0..5).for_each(|value| _ = pack.append_int(value));
    let mut bytes = pack.as_bytes().to_vec();
    bytes[4..6].copy_from_slice(&[0xFF; 2]);
    let pack = Listpack::from_bytes_validated(&bytes).unwrap();
    let mut list = Quicklist::from_listpack(pack, Limits::default());
    assert_eq!(list.pop_front(text_of).unwrap(), b"0");
    list.push_front(Element::Int(7));
    check(&list, &["7", "1", "2", "3", "4"].map(|text| text.as_bytes().to_vec()).into());
}

#[test]
fn a_million_elements_take_little() {
    let mut list = Quicklist::new(Limits::default());
    for number in 0..1_000_000_u32 {
        list.push_back(str_of(format!("element:{number:09}").as_bytes()));
    }
    let per_element = (list.memory_bytes() + size_of::<Quicklist>()) as f64 / 1e6;
    assert!(per_element < 19.6, "{per_element}");
    for index in [0, 1, 499_999, 500_000, 999_999] {
        assert_eq!(list.get(index, text_of).unwrap(), format!("element:{index:09}").as_bytes());
    }
    list.trim(999_990, 10);
    assert!(list.memory_bytes() < 20_000);
}
