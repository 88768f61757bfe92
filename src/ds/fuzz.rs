//! Bytes from outside that are almost right, for the three validators: what one of them accepts must be safe to use.
//!
//! Each round takes a valid value, damages it, mends the sizes that the damage would be noticed by at once (else nothing but
//! the first check would be tested), and works on what is accepted: all walks, searches and changes. `ROUNDS=10000000
//! cargo test --lib --profile fast fuzz` runs longer than the tests do; `SEED` changes the damage.

use super::parts::element::Element;
use super::parts::intset::Intset;
use super::parts::listpack::Listpack;
use super::stream::{Keep, NodeLimits, Stream, StreamId};
use crate::clock::Rng;

/// A generator for one format; `SEED` makes it another.
fn rng(salt: u64) -> Rng {
    Rng::seeded(std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64) << 8 | salt)
}

fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(30_000)
}

/// Bytes that mean something to one of the formats.
const TELLING: [u8; 16] = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xdf, 0xe0, 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xff];

/// Changes, drops, adds and doubles a few bytes.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.index(4) {
        if bytes.is_empty() {
            return bytes.push(rng.next_u64() as u8);
        }
        let at = rng.index(bytes.len());
        match rng.index(8) {
            0 => bytes[at] ^= 1 << rng.index(8),
            1 | 2 => bytes[at] = TELLING[rng.index(TELLING.len())],
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 => drop(bytes.remove(at)),
            5 => bytes.insert(at, TELLING[rng.index(TELLING.len())]),
            6 => bytes.truncate(at),
            _ => {
                let end = (at + 1 + rng.index(24)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

/// Makes the size, the terminator and now and then the count of a listpack right again.
fn mend_listpack(bytes: &mut [u8], rng: &mut Rng) {
    let len = bytes.len();
    if len < 7 || rng.index(16) == 0 {
        return;
    }
    bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    bytes[len - 1] = 0xff;
    if rng.index(2) == 0 {
        bytes[4..6].copy_from_slice(&[0xff, 0xff]);
    }
}

fn element<'t>(text: &'t mut Vec<u8>, rng: &mut Rng) -> Element<'t> {
    let bits = rng.index(64) as u32;
    match rng.index(4) {
        0 | 1 => Element::Int((rng.next_u64() as i64) << 8 >> bits),
        2 => {
            text.resize(rng.index(80), b'a' + rng.index(3) as u8);
            Element::Str(text)
        }
        _ => {
            text.resize(rng.index(5000), b'x');
            Element::Str(text)
        }
    }
}

fn some_listpack(rng: &mut Rng) -> Listpack {
    let (mut pack, mut text) = (Listpack::new(), Vec::new());
    for _ in 0..rng.index(12) {
        pack.push_back(element(&mut text, rng));
    }
    pack
}

#[test]
fn accepted_listpacks_are_safe() {
    let (mut rng, mut accepted) = (rng(0x11), 0);
    for _ in 0..rounds() {
        let mut bytes = some_listpack(&mut rng).as_bytes().to_vec();
        damage(&mut bytes, &mut rng);
        mend_listpack(&mut bytes, &mut rng);
        let Ok(mut pack) = Listpack::from_bytes_validated(&bytes) else { continue };
        accepted += 1;
        assert_eq!(pack.as_bytes(), bytes);
        let texts: Vec<Vec<u8>> = pack.iter().map(|element| element.to_vec()).collect();
        assert_eq!(pack.len(), texts.len());
        assert!(pack.iter().rev().map(|element| element.to_vec()).eq(texts.iter().rev().cloned()));
        for (at, text) in texts.iter().enumerate() {
            let pos = pack.seek(at as i64).unwrap();
            assert!(pack.get(pos).eq_bytes(text));
            assert!(pack.find(Element::Str(text), 0).is_some());
        }
        let at = rng.index(texts.len().max(1));
        if let Some(pos) = pack.seek(at as i64) {
            pack.replace(pos, Element::Str(b"replaced"));
        }
        pack.push_front(Element::Int(-1));
        let right = pack.split_off(at);
        pack.append_all(&right);
        pack.delete_range(0, 2);
        assert!(Listpack::from_bytes_validated(pack.as_bytes()).is_ok());
        assert_eq!(pack.len(), (texts.len() + 1).saturating_sub(2));
    }
    println!("listpacks accepted: {accepted} of {}", rounds());
    assert!(accepted > rounds() / 100);
}

#[test]
fn accepted_intsets_are_safe() {
    let (mut rng, mut accepted) = (rng(0x22), 0);
    for _ in 0..rounds() {
        let mut set = Intset::new();
        let width = [15, 31, 63][rng.index(3)];
        for _ in 0..rng.index(20) {
            set.insert((rng.next_u64() as i64) << 8 >> (63 - width));
        }
        let mut bytes = set.to_redis_bytes();
        damage(&mut bytes, &mut rng);
        if bytes.len() >= 8 && rng.index(16) > 0 {
            let width = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).clamp(1, 8);
            let members = (bytes.len() as u32 - 8) / width;
            bytes.truncate(8 + (members * width) as usize);
            bytes[4..8].copy_from_slice(&members.to_le_bytes());
        }
        let Ok(mut set) = Intset::from_redis_bytes_validated(&bytes) else { continue };
        accepted += 1;
        let members: Vec<i64> = set.iter().collect();
        assert!(members.is_sorted_by(|a, b| a < b) && members.iter().all(|&member| set.contains(member)));
        assert_eq!(Intset::from_redis_bytes_validated(&set.to_redis_bytes()).unwrap(), set);
        set.insert(rng.next_u64() as i64);
        members.iter().for_each(|&member| assert!(set.remove(member)));
        assert!(set.len() <= 1);
    }
    println!("intsets accepted: {accepted} of {}", rounds());
    assert!(accepted > rounds() / 100);
}

#[test]
fn accepted_stream_nodes_are_safe() {
    let (mut rng, mut accepted) = (rng(0x33), 0);
    let base = StreamId::new(5, 1);
    let limits = NodeLimits { bytes: 1 << 20, entries: 0 };
    for _ in 0..rounds() {
        let mut stream = Stream::new();
        let mut id = base;
        for _ in 0..1 + rng.index(5) {
            let names = [["a", "b"], ["a", "c"], ["long-field-name", "b"]][rng.index(3)];
            let value = vec![b'0' + rng.index(10) as u8; rng.index(70)];
            let pairs = names[..rng.index(3)].iter().map(|name| (name.as_bytes(), value.as_slice()));
            stream.append(id, pairs, limits).unwrap();
            if rng.index(4) == 0 {
                stream.delete(id);
            }
            id = StreamId::new(id.ms + rng.index(300) as u64, id.seq + 1);
        }
        let Some((_, node)) = stream.nodes().next() else { continue };
        let mut bytes = node.to_vec();
        damage(&mut bytes, &mut rng);
        mend_listpack(&mut bytes, &mut rng);
        let mut stream = Stream::new();
        if stream.push_node(base, &bytes).is_err() {
            continue;
        }
        accepted += 1;
        let read = |stream: &Stream, reverse| -> Vec<(StreamId, usize)> {
            let range = stream.range(StreamId::MIN, StreamId::MAX, reverse);
            range.map(|entry| (entry.id, entry.pairs().map(|(name, value)| name.text_len() + value.text_len()).sum())).collect()
        };
        let forward = read(&stream, false);
        assert!(read(&stream, true).iter().rev().eq(&forward));
        assert_eq!(forward.len() as u64, stream.len());
        assert!(forward.is_sorted_by(|a, b| a.0 < b.0));
        let last = stream.counters().last_id;
        if let Some(next) = last.next() {
            stream.append(next, [(&b"f"[..], &b"v"[..])].into_iter(), limits).unwrap();
        }
        for (id, _) in forward {
            assert!(stream.get(id).is_some());
            match rng.index(3) {
                0 => assert!(stream.delete(id)),
                1 => drop(stream.trim(Keep::From(id), rng.index(2) == 0, None)),
                _ => {}
            }
        }
        assert_eq!(stream.range(StreamId::MIN, StreamId::MAX, true).count() as u64, stream.len());
    }
    println!("stream nodes accepted: {accepted} of {}", rounds());
    assert!(accepted > rounds() / 200);
}
