//! HyperLogLog against known bytes, exact counts and damaged input.

use super::*;
use crate::clock::Rng;

#[test]
fn hash_vectors() {
    assert_eq!(murmur64a(b"", 0), 0);
    assert_eq!(register_of(b"a"), register_of(b"a"));
    // Registers that other servers use for these elements, seen with PFDEBUG DECODE.
    let mut value = new_sparse();
    add(&mut value, b"a", SPARSE_MAX_BYTES).unwrap();
    add(&mut value, b"b", SPARSE_MAX_BYTES).unwrap();
    add(&mut value, b"c", SPARSE_MAX_BYTES).unwrap();
    assert_eq!(decode(&value).unwrap().unwrap(), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    assert_eq!(count(&mut value).unwrap(), Count { cardinality: 3, cached: false });
    assert_eq!(count(&mut value).unwrap(), Count { cardinality: 3, cached: true });
}

#[test]
fn empty_value() {
    let mut value = new_sparse();
    assert_eq!(value, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(count(&mut value).unwrap(), Count { cardinality: 0, cached: true });
    assert_eq!(validate(&value), Ok(()));
    mark_stale(&mut value);
    assert_eq!(count(&mut value).unwrap().cardinality, 0);
    assert_eq!(count_registers(&empty_registers()), 0);
}

/// Both encodings hold the registers of a plain array, whatever the order and the size limit.
#[test]
fn encodings_agree_with_an_array() {
    let mut rng = Rng::seeded(17);
    let mut next = |n: u64| rng.below(n);
    for round in 0..30 {
        let (mut sparse, mut dense, mut model) = (new_sparse(), new_sparse(), empty_registers());
        to_dense(&mut dense).unwrap();
        let limit = [SPARSE_MAX_BYTES, 20, 300, 20_000, 0][round % 5];
        for n in 0..next(1500) {
            let element = next(3000).to_string();
            let (index, run) = register_of(element.as_bytes());
            let raised = run > model[index];
            model[index] = model[index].max(run);
            assert_eq!(add(&mut sparse, element.as_bytes(), limit), Ok(raised));
            assert_eq!(add(&mut dense, element.as_bytes(), limit), Ok(raised));
            if n % 50 == 0 {
                assert_eq!(registers(&sparse).unwrap(), model);
                assert_eq!(registers(&dense).unwrap(), model);
                assert_eq!(validate(&sparse), Ok(()));
                let counted = count(&mut dense).unwrap().cardinality;
                assert_eq!(count(&mut sparse).unwrap().cardinality, counted);
                assert_eq!(count_registers(&model), counted);
            }
        }
        if encoding(&sparse) == Ok(Encoding::Sparse) {
            assert!(sparse.len() <= limit.max(18));
            to_dense(&mut sparse).unwrap();
        }
        assert_eq!(sparse[HEADER..], dense[HEADER..]);
    }
}

/// Merging with the cursor writes the same bytes as setting each register on its own.
#[test]
fn merging_equals_single_steps() {
    let mut rng = Rng::seeded(19);
    let mut next = |n: u64| rng.below(n);
    for round in 0..60 {
        let (mut a, mut b) = (new_sparse(), new_sparse());
        for _ in 0..next(700) {
            // Raw registers near each other, so that runs of VAL form and join.
            let (index, run) = (next(400) as usize * (1 + round % 40), 1 + next(4) as u8);
            let value = if next(2) == 0 { &mut a } else { &mut b };
            sparse::raise(value, &mut sparse::Cursor::default(), index, run, 20_000).unwrap();
        }
        let mut merged = empty_registers();
        merge_into(&mut merged, &a).unwrap();
        merge_into(&mut merged, &b).unwrap();
        let mut expected = a.clone();
        for (index, &run) in merged.iter().enumerate().filter(|&(_, &run)| run > 0) {
            sparse::raise(&mut expected, &mut sparse::Cursor::default(), index, run, 20_000).unwrap();
        }
        mark_stale(&mut expected);
        let mut got = a.clone();
        store_registers(&mut got, &merged, false, 20_000).unwrap();
        assert_eq!(got, expected);
        assert_eq!(registers(&got).unwrap(), merged);
        let dense = from_registers(&merged, true, SPARSE_MAX_BYTES);
        assert_eq!(encoding(&dense), Ok(Encoding::Dense));
        assert_eq!(registers(&dense).unwrap(), merged);
        let promoted = from_registers(&merged, false, 60);
        assert_eq!(registers(&promoted).unwrap(), merged);
    }
}

#[test]
fn long_runs_turn_dense() {
    let mut registers = empty_registers();
    registers[5] = 32;
    assert_eq!(encoding(&from_registers(&registers, false, 3000)), Ok(Encoding::Sparse));
    registers[5] = 33;
    let value = from_registers(&registers, false, 3000);
    assert_eq!(encoding(&value), Ok(Encoding::Dense));
    assert_eq!(value.len(), 12_304);
    assert_eq!(value[HEADER - 1], CACHE_STALE);
}

#[test]
fn self_test_passes() {
    assert_eq!(self_test(0x5eed, 100_000, SPARSE_MAX_BYTES), Ok(()));
}

#[test]
fn refuses_foreign_and_corrupt_strings() {
    assert_eq!(encoding(b""), Err(Invalid::Foreign));
    assert_eq!(encoding(b"HYLL\x00\0\0\0\0\0\0\0\0\0\0\0"), Err(Invalid::Foreign));
    assert_eq!(encoding(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"), Err(Invalid::Foreign));
    let broken: &[&[u8]] = &[
        b"",                 // nothing covered
        b"\x7f",             // cut XZERO
        b"\x7f\xfe",         // one register short
        b"\x7f\xff\x80",     // one too many
        b"\x7f\xff\x7f\xff", // twice the registers
        b"\x7f\xff\x7f",     // covered, then cut
    ];
    for runs in broken {
        let mut value = [&header(Encoding::Sparse)[..], runs].concat();
        mark_stale(&mut value);
        assert_eq!(validate(&value), Err(Invalid::Corrupt), "{runs:?}");
        assert_eq!(merge_into(&mut empty_registers(), &value), Err(Invalid::Corrupt));
        assert_eq!(to_dense(&mut value), Err(Invalid::Corrupt));
        assert_eq!(count(&mut value), Err(Invalid::Corrupt));
    }
}

/// Random bytes, and random damage to good values, never panic and never break a good invariant.
#[test]
fn survives_random_bytes() {
    let mut rng = Rng::seeded(23);
    let mut next = |n: u64| rng.below(n);
    let mut good = new_sparse();
    for n in 0..300u32 {
        add(&mut good, &n.to_le_bytes(), SPARSE_MAX_BYTES).unwrap();
    }
    for round in 0..4_000 {
        let mut value = good.clone();
        if round % 2 == 0 {
            value.truncate(HEADER);
            for _ in 0..next(60) {
                value.push([0x7f, 0x40, 0xff, next(256) as u8][next(4) as usize]);
            }
        } else {
            for _ in 0..1 + next(4) {
                let at = next(value.len() as u64) as usize;
                value[at] = next(256) as u8;
            }
            value.truncate(value.len() - next(3) as usize);
        }
        let valid = validate(&value).is_ok();
        let _ = (decode(&value), registers(&value), count(&mut value.clone()), to_dense(&mut value.clone()));
        let _ = store_registers(&mut value.clone(), &empty_registers(), round % 3 == 0, 3000);
        for n in 0..20u32 {
            let added = add(&mut value, &(round * 31 + n).to_le_bytes(), if n < 10 { 3000 } else { 40 });
            assert!(!valid || added.is_ok());
        }
        assert!(!valid || validate(&value).is_ok());
    }
    let mut dense = [&header(Encoding::Dense)[..], &[0xff; dense::BYTES]].concat();
    mark_stale(&mut dense);
    assert!(count(&mut dense).is_ok(), "registers beyond any possible run");
}
