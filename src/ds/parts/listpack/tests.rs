//! Listpacks against a list of texts, against bytes made by Redis, and validators against damaged bytes.

use super::super::element::Each;
use super::*;
use crate::clock::Rng;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn pack_of(texts: &[&[u8]]) -> Listpack {
    let mut pack = Listpack::new();
    for text in texts {
        pack.push_back(Element::Str(text));
    }
    pack
}

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(Element::to_vec).collect()
}

/// A text of a random kind: integers of all widths, lookalikes, strings of all length classes.
fn random_text(random: &mut impl FnMut() -> u64) -> Vec<u8> {
    let raw = random();
    match random() % 12 {
        0..=5 => ((raw as i64) >> (random() % 64)).to_string().into_bytes(),
        6 => format!("0{}", raw % 100).into_bytes(),
        7..=9 => vec![b'a' + (raw % 26) as u8; (raw >> 8) as usize % 70],
        10 => vec![b'k'; (raw >> 8) as usize % 300],
        _ => vec![b'z'; if raw.is_multiple_of(8) { 4090 + (raw >> 8) as usize % 20 } else { 126 }],
    }
}

/// Walks both ways and compares with the model.
fn check(pack: &Listpack, model: &[Vec<u8>]) {
    validate(pack.as_bytes(), |index, element| if element.eq_bytes(&model[index]) { Ok(()) } else { Err("differs") }).unwrap();
    assert_eq!(pack.len(), model.len());
    assert_eq!(pack.is_empty(), model.is_empty());
    assert!(pack.iter().rev().map(Element::to_vec).eq(model.iter().rev().cloned()));
    let mut lent = Vec::new();
    pack.visit_all(&mut Each(|element: Element<'_>| lent.push(element.to_vec())));
    assert_eq!(lent, model);
    let size: usize = model.iter().map(|text| encoded_size(Element::Str(text))).sum();
    assert_eq!(pack.bytes(), EMPTY_LEN + size);
}

#[test]
fn same_bytes_as_redis() {
    // One element per encoding and per edge of it; made by RPUSH on Redis 7.0.15, taken from DUMP.
    let redis = "230100001e00000101017f01c08002dfff02cfff02f1001003d00002f1ffef03f1ff7f03f200800004f1008003f2ff7fff04f2ff\
        ff7f04f30000800005f200008004f3ffff7fff05f3ffffff7f05f4000000800000000009f30000008005f4ffffff7fffffffff09\
        f4ffffffffffffff7f09f4000000000000008009800181610282303103822d300393393232333337323033363835343737353830\
        3814bf";
    let redis = [hex(redis), vec![b'x'; 63], hex("40e040"), vec![b'y'; 64], hex("42ff")].concat();
    let ints = [
        0,
        1,
        127,
        128,
        -1,
        4095,
        4096,
        -4096,
        -4097,
        32_767,
        32_768,
        -32_768,
        -32_769,
        8_388_607,
        8_388_608,
        -8_388_608,
        -8_388_609,
        (1 << 31) - 1,
        1 << 31,
        -(1 << 31),
        -(1 << 31) - 1,
        i64::MAX,
        i64::MIN,
    ];
    let strings: [&[u8]; 7] = [b"", b"a", b"01", b"-0", b"9223372036854775808", &[b'x'; 63], &[b'y'; 64]];
    let mut pack = Listpack::new();
    for value in ints {
        pack.append_int(value);
    }
    for text in strings {
        pack.push_back(Element::Str(text));
    }
    assert_eq!(pack.as_bytes(), redis);
    let read = Listpack::from_bytes_validated(&redis).unwrap();
    assert!(read.iter().map(Element::as_int).eq(ints.map(Some).into_iter().chain([None; 7])));
}

#[test]
fn same_bytes_as_redis_in_other_types() {
    let pack = pack_of(&[b"f", b"v"]);
    assert_eq!(pack.as_bytes(), hex("0d0000000200816602817602ff"), "a hash");
    let mut pack = pack_of(&[b"Palermo"]);
    pack.append_int(3_479_099_956_230_698);
    pack.push_back(Element::Str(b"Catania"));
    pack.append_int(3_479_447_370_796_909);
    let geo = "2d00000004008750616c65726d6f08f42a7a0715395c0c000987436174616e696108f46d0f8df8895c0c0009ff";
    assert_eq!(pack.as_bytes(), hex(geo), "a sorted set of places");
    let scores = "7b000000180086626f74746f6d07842d696e6605816202dfff028474696e7905872d31652d33303008800100018574656e7468\
        0683302e31048200ff030101816102010181630283322e35040701030187726f756e64656408f400000000000020000983626967048631\
        652b3330300783746f700483696e6604ff";
    let pack = Listpack::from_bytes_validated(&hex(scores)).unwrap();
    let again = texts(&pack);
    assert_eq!(pack_of(&again.iter().map(Vec::as_slice).collect::<Vec<_>>()), pack);
    let mut ints = Listpack::new();
    for value in (1..=15).rev() {
        ints.push_front(Element::Int(value % 15));
    }
    ints.push_back(Element::Int(0));
    assert_eq!(ints.delete_range(-2, 2), 2);
    ints.push_front(Element::Str(b"0"));
    assert_eq!(ints.as_bytes(), hex("250000000f0000010101020103010401050106010701080109010a010b010c010d010e01ff"), "a list",);
}

#[test]
fn back_lengths_step_where_redis_does() {
    for (len, size) in [(1, 1), (127, 1), (128, 2), (16_382, 2), (16_383, 3), (2_097_150, 3), (2_097_151, 4)] {
        assert_eq!(back_length_size(len), size);
        let (bytes, used) = back_length(len);
        let mut buffer = vec![0; len];
        buffer.extend_from_slice(&bytes[..used]);
        assert_eq!(entry_before(&buffer, buffer.len()), 0);
    }
    let text = vec![b'x'; 16_380];
    check(&pack_of(&[&text, &text[1..], &text[2..]]), &[text.clone(), text[1..].to_vec(), text[2..].to_vec()]);
}

#[test]
fn agrees_with_a_vec() {
    let mut rng = Rng::seeded(2024);
    let mut random = || rng.next_u64();
    for _ in 0..30 {
        let (mut pack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
        for _ in 0..150 {
            let text = random_text(&mut random);
            let element = Element::Str(&text);
            let index = random() as usize % model.len().max(1);
            let at = pack.seek(index as i64);
            assert_eq!(at, pack.seek(index as i64 - model.len() as i64));
            match (random() % 14, at) {
                (0 | 1, _) => {
                    pack.push_front(element);
                    model.insert(0, text);
                }
                (2, Some(pos)) => {
                    let new = pack.insert_before(pos, element);
                    assert_eq!(pack.get(new), element);
                    model.insert(index, text);
                }
                (3, Some(pos)) => {
                    let new = pack.insert_after(pos, element);
                    assert_eq!(pack.prev(new), Some(pos));
                    model.insert(index + 1, text);
                }
                (4 | 5, Some(pos)) => {
                    assert_eq!(pack.replace(pos, element), pos);
                    model[index] = text;
                }
                (6, Some(pos)) => {
                    let next = pack.delete(pos);
                    model.remove(index);
                    assert_eq!(next.map(|pos| pack.get(pos).to_vec()).as_ref(), model.get(index));
                }
                (7, Some(_)) if random().is_multiple_of(4) => {
                    let count = random() as usize % 9;
                    let deleted = pack.delete_range(index as i64, count);
                    assert_eq!(deleted, count.min(model.len() - index));
                    model.drain(index..index + deleted);
                }
                (8, Some(_)) if random().is_multiple_of(4) => {
                    let chosen: Vec<bool> = model.iter().map(|_| random().is_multiple_of(5)).collect();
                    let positions: Vec<Pos> =
                        pack.entries().zip(&chosen).filter(|(_, hit)| **hit).map(|((pos, _), _)| pos).collect();
                    pack.delete_many(&positions);
                    let mut hits = chosen.iter();
                    model.retain(|_| !hits.next().unwrap());
                }
                (9, Some(pos)) => {
                    let needle = if random().is_multiple_of(2) { model[index].clone() } else { text };
                    let found = pack.find_from(pos, Element::Str(&needle), 0);
                    let expected = model[index..].iter().position(|other| *other == needle);
                    assert_eq!(found, expected.and_then(|offset| pack.seek((index + offset) as i64)));
                }
                (10, Some(_)) => {
                    let right = pack.split_off(index);
                    check(&right, &model[index..]);
                    check(&pack, &model[..index]);
                    if random().is_multiple_of(2) {
                        pack.append_all(&right);
                    } else {
                        let mut joined = right;
                        joined.prepend_all(&pack);
                        pack = joined;
                    }
                }
                _ => {
                    pack.push_back(element);
                    model.push(text);
                }
            }
        }
        check(&pack, &model);
        assert_eq!(Listpack::from_bytes_validated(pack.as_bytes()).unwrap(), pack);
        assert_eq!(pack.seek(model.len() as i64), None);
        assert_eq!(pack.seek(-1 - model.len() as i64), None);
        pack.clear();
        check(&pack, &[]);
    }
}

#[test]
fn find_skips_values() {
    let pack = pack_of(&[b"a", b"b", b"b", b"1", b"7", b"a"]);
    assert_eq!(pack.find(Element::Str(b"b"), 1), pack.seek(2));
    assert_eq!(pack.find(Element::Str(b"b"), 0), pack.seek(1));
    assert_eq!(pack.find(Element::Str(b"1"), 1), None);
    assert_eq!(pack.find(Element::Str(b"7"), 1), pack.seek(4));
    assert_eq!(pack.find(Element::Int(7), 1), pack.seek(4));
    assert_eq!(pack.find(Element::Str(b"07"), 0), None);
    assert_eq!(pack.find(Element::Str(b""), 7), None);
    assert_eq!(Listpack::new().find(Element::Int(0), 0), None);
}

#[test]
fn integer_text_stored_as_text_still_equals() {
    // Other writers may leave integers as text, or in a wider encoding than needed.
    let pack = Listpack::from_bytes_validated(&hex("11000000020082313203f30c00000005ff")).unwrap();
    assert!(pack.iter().all(|element| element == Element::Int(12) && element.eq_bytes(b"12")));
    assert_eq!(pack.find(Element::Str(b"12"), 0), pack.first());
}

#[test]
fn removes_values_from_either_end() {
    let all = [&b"x"[..], b"1", b"x", b"y", b"1", b"x"];
    let left = |value: &[u8], limit, direction| {
        let mut pack = pack_of(&all);
        let removed = pack.remove_value(Element::Str(value), limit, direction);
        (removed, texts(&pack).concat())
    };
    assert_eq!(left(b"x", usize::MAX, Direction::Forward), (3, b"1y1".to_vec()));
    assert_eq!(left(b"x", 2, Direction::Forward), (2, b"1y1x".to_vec()));
    assert_eq!(left(b"x", 2, Direction::Backward), (2, b"x1y1".to_vec()));
    assert_eq!(left(b"1", 1, Direction::Backward), (1, b"x1xyx".to_vec()));
    assert_eq!(left(b"z", 1, Direction::Backward), (0, b"x1xy1x".to_vec()));
    assert_eq!(left(b"x", 0, Direction::Forward), (0, b"x1xy1x".to_vec()));
}

#[test]
fn picks_and_samples() {
    let pack = pack_of(&[b"a", b"1", b"b", b"2", b"c", b"3"]);
    let mut picked = Vec::new();
    pack.pick(&[0, 0, 3, 5, 5, 9], |nth, pos| picked.push((nth, pack.get(pos).to_vec())));
    let expected = [(0, b"a"), (1, b"a"), (2, b"2"), (3, b"3"), (4, b"3")].map(|(nth, text)| (nth, text.to_vec()));
    assert_eq!(picked, expected);

    let mut rng = Rng::seeded(3);
    let mut random = || rng.next_u64();
    let mut seen = [0; 3];
    for _ in 0..3000 {
        let mut fields = Vec::new();
        pack.sample(2, 2, |below| random() % below, |pos| fields.push(pack.get(pos).to_vec()));
        assert!(fields.len() == 2 && fields[0] < fields[1]);
        fields.iter().for_each(|field| seen[usize::from(field[0] - b'a')] += 1);
    }
    assert!(seen.iter().all(|&times| (1800..2200).contains(&times)), "{seen:?}");
    let mut count = 0;
    pack.sample(2, 99, |below| random() % below, |_| count += 1);
    assert_eq!(count, 3);
}

#[test]
fn counts_beyond_the_header_field() {
    let mut pack = Listpack::new();
    for _ in 0..65_534 {
        pack.append_int(1);
    }
    assert_eq!(pack.count_field(), 65_534);
    pack.append_int(2);
    pack.append_int(3);
    assert_eq!((pack.count_field(), pack.len()), (COUNT_UNKNOWN, 65_536));
    assert_eq!(pack.seek(-1).map(|pos| pack.get(pos)), Some(Element::Int(3)));
    assert_eq!(pack.seek(65_534).map(|pos| pack.get(pos)), Some(Element::Int(2)));
    assert_eq!((pack.seek(65_536), pack.seek(-65_537)), (None, None));
    assert!(Listpack::from_bytes_validated(pack.as_bytes()).is_ok());
    let right = pack.split_off(65_000);
    assert_eq!((pack.count_field(), right.count_field()), (65_000, 536));
    pack.append_all(&right);
    assert_eq!((pack.count_field(), pack.len()), (COUNT_UNKNOWN, 65_536));
    pack.delete(pack.first().unwrap());
    pack.delete_range(0, 500);
    assert_eq!((pack.count_field(), pack.len()), (65_035, 65_035));
}

#[test]
fn fits_up_to_the_safety_limit() {
    let pack = Listpack::new();
    assert!(pack.would_fit(SAFETY_LIMIT - EMPTY_LEN));
    assert!(!pack.would_fit(SAFETY_LIMIT - EMPTY_LEN + 1));
    assert!(!pack.would_fit(usize::MAX));
}

#[test]
fn corrupt_bytes_are_refused() {
    let fault = |text: &str| Listpack::from_bytes_validated(&hex(text)).unwrap_err();
    assert_eq!(fault("070000000000").reason, "listpack shorter than its header");
    assert_eq!(fault("080000000000ff").reason, "listpack size differs from its header");
    assert_eq!(fault("070000000000fe"), Corrupt::at(6, "listpack without terminator"));
    assert_eq!(fault("070000000100ff"), Corrupt::at(4, "wrong number of listpack entries"));
    assert_eq!(fault("090000000100ffffff"), Corrupt::at(6, "bad listpack entry"));
    assert_eq!(fault("090000000100f50bff"), Corrupt::at(6, "bad listpack entry"));
    assert_eq!(fault("0a0000000100826103ff").offset, 9, "text reaches over the terminator");
    assert_eq!(fault("0d0000000100f0ffffffff05ff").reason, "bad listpack entry");
    assert_eq!(fault("0d0000000100f0fffffffffff0").reason, "listpack without terminator");
    assert_eq!(fault("0900000001000102ff"), Corrupt::at(7, "bad listpack back length"));
    assert_eq!(fault("0900000001000081ff"), Corrupt::at(7, "bad listpack back length"), "too long a form");
    let refused = Listpack::from_bytes_checked(pack_of(&[b"a", b"b"]).as_bytes(), |index, element| {
        if index == 1 && element == Element::Str(b"b") { Err("no b") } else { Ok(()) }
    });
    assert_eq!(refused.unwrap_err(), Corrupt::at(9, "no b"));
}

#[test]
fn damaged_bytes_never_panic() {
    let mut rng = Rng::seeded(77);
    let mut random = || rng.next_u64();
    let long = [b'q'; 200];
    let seeds = [
        pack_of(&[b"a", b"1", b"-700", b"hello", b"123456789012", b"99999"]),
        pack_of(&[&long, b"1", &long[..64], b"-2000000", b"x"]),
        pack_of(&[b"1", b"2", b"3", b"4"]),
    ];
    let mut accepted = 0;
    for round in 0..200_000 {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..1 + random() % 3 {
            // Mostly past the size field, or nothing else would be tried.
            let at = if random().is_multiple_of(16) { random() as usize % 6 } else { 4 + random() as usize % (bytes.len() - 4) };
            bytes[at] = if random().is_multiple_of(2) { bytes[at] ^ 1 << (random() % 8) } else { random() as u8 };
        }
        if random().is_multiple_of(16) {
            bytes.truncate(random() as usize % bytes.len());
            let len = bytes.len() as u32;
            if let Some(header) = bytes.first_chunk_mut() {
                *header = len.to_le_bytes();
            }
        }
        let Ok(mut pack) = Listpack::from_bytes_validated(&bytes) else {
            continue;
        };
        accepted += 1;
        let forward = texts(&pack);
        assert!(pack.iter().rev().map(Element::to_vec).eq(forward.iter().rev().cloned()));
        assert_eq!(pack.len(), forward.len());
        for text in forward.iter().take(2) {
            assert!(pack.find(Element::Str(text), 0).is_some());
            pack.push_front(Element::Str(text));
        }
        pack.delete_range(-1, 1);
        assert!(Listpack::from_bytes_validated(pack.as_bytes()).is_ok());
    }
    assert!(accepted > 10_000, "{accepted}");
}
