//! Sets against a naive model, in all encodings and with thresholds low enough to cross them often.

use super::*;
use crate::clock::Rng;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeSet<Vec<u8>>;

impl Rng {
    fn member(&mut self) -> Vec<u8> {
        let n = self.below(60) as i64 - 10;
        match self.below(8) {
            0..4 => n.to_string().into_bytes(),
            4..7 => format!("m{n}").into_bytes(),
            _ => format!("{n:030}").into_bytes(),
        }
    }

    fn limits(&mut self) -> Limits {
        let set_intset = self.below(40) as usize;
        let set_entries = self.below(30) as usize;
        let set_value = if self.below(3) == 0 { 20 } else { 64 };
        Limits { set_intset, set_entries, set_value, hash_seed: self.next_u64(), ..Limits::default() }
    }

    /// A set of up to `size` members; integers only for one in three.
    fn set(&mut self, size: u64, limits: &Limits) -> (Set, Model) {
        let (mut set, mut model) = (Set::empty(limits), Model::new());
        let integers = self.below(3) == 0;
        for _ in 0..self.below(size + 1) {
            let member = if integers { self.below(70).to_string().into_bytes() } else { self.member() };
            if model.is_empty() {
                set.expect(1, Element::Str(&member), limits);
            }
            assert_eq!(set.insert(Element::Str(&member), limits), model.insert(member));
        }
        (set, model)
    }
}

fn contents(set: &Set) -> Model {
    let mut members = Model::new();
    set.each(|element| assert!(members.insert(element.to_vec()), "{element:?} twice"));
    assert_eq!(members.len(), set.len());
    assert_eq!(set.is_empty(), members.is_empty());
    members
}

fn texts(members: &[&str]) -> Model {
    members.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn agrees_with_a_tree() {
    let mut rng = Rng::seeded(42);
    for _ in 0..60 {
        let limits = rng.limits();
        let (mut set, mut model) = (Set::empty(&limits), Model::new());
        for _ in 0..300 {
            let member = rng.member();
            let element = Element::Str(&member);
            assert_eq!(set.contains(element), model.contains(&member));
            if rng.below(3) < 2 {
                assert_eq!(set.insert(element, &limits), model.insert(member.clone()));
                match &set {
                    Set::Ints(ints) => assert!(ints.len() <= limits.set_intset),
                    Set::Packed(pack) => assert!(pack.len() <= limits.set_entries),
                    Set::Table(_) => {}
                }
            } else {
                assert_eq!(set.remove(element), model.remove(&member));
            }
        }
        assert_eq!(contents(&set), model);
        assert_eq!(contents(&set.duplicate()), model);
    }
}

#[test]
fn algebra_agrees_with_trees() {
    let mut rng = Rng::seeded(7);
    for _ in 0..3000 {
        let limits = rng.limits();
        let sizes = [3, 20, 60];
        let count = 1 + rng.below(5);
        let make = |_| {
            let size = sizes[rng.index(3)];
            rng.set(size, &limits)
        };
        let made: Vec<(Set, Model)> = (0..count).map(make).collect();
        let sets = || made.iter().map(|(set, _)| set).collect::<Vec<_>>();
        let models: Vec<&Model> = made.iter().map(|(_, model)| model).collect();
        let all_but_first = || models[1..].iter();

        let mut told = Vec::new();
        let common: Model = models[0].iter().filter(|m| all_but_first().all(|other| other.contains(*m))).cloned().collect();
        intersect(&mut sets(), |element| {
            told.push(element.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!((told.len(), told.drain(..).collect::<Model>()), (common.len(), common.clone()));
        assert_eq!(contents(&intersection(&mut sets(), &limits)), common);
        let limit = 1 + rng.below(3) as usize;
        let mut seen = 0;
        intersect(&mut sets(), |_| {
            seen += 1;
            if seen == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, limit.min(common.len()));

        let all: Model = models.iter().flat_map(|model| model.iter()).cloned().collect();
        unite(&sets(), &limits, |element| told.push(element.to_vec()));
        assert_eq!((told.len(), told.drain(..).collect::<Model>()), (all.len(), all.clone()));
        assert_eq!(contents(&union(&sets(), &limits)), all);

        let rest: Model = models[0].iter().filter(|m| !all_but_first().any(|other| other.contains(*m))).cloned().collect();
        subtract(sets()[0], &mut sets()[1..], &limits, |element| told.push(element.to_vec()));
        assert_eq!((told.len(), told.drain(..).collect::<Model>()), (rest.len(), rest.clone()));
        assert_eq!(contents(&difference(sets()[0], &mut sets()[1..], &limits)), rest);
    }
}

#[test]
fn popping_takes_what_it_shows() {
    let mut rng = Rng::seeded(3);
    for _ in 0..1500 {
        let limits = rng.limits();
        let (mut set, mut model) = rng.set(60, &limits);
        let count = rng.below(70) as usize;
        let before = model.len();
        let mut show = |element: Element<'_>| assert!(model.remove(&element.to_vec()), "{element:?}");
        if count.is_multiple_of(3) {
            set.pop(&mut || rng.next_u64(), &mut show);
        } else {
            set.pop_many(count, &limits, &mut || rng.next_u64(), &mut show);
        }
        let taken = if count.is_multiple_of(3) { 1 } else { count };
        assert_eq!(model.len(), before.saturating_sub(taken));
        assert_eq!(contents(&set), model);
    }
}

#[test]
fn samples_are_different_members() {
    let mut rng = Rng::seeded(5);
    for _ in 0..1500 {
        let limits = rng.limits();
        let (set, model) = rng.set(60, &limits);
        let count = rng.below(70) as usize;
        let mut told = Vec::new();
        set.sample(count, &mut || rng.next_u64(), |element| told.push(element.to_vec()));
        assert_eq!(told.len(), count.min(model.len()));
        assert!(told.iter().all(|member| model.contains(member)));
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len());

        told.clear();
        set.sample_repeating(count as u64, &mut || rng.next_u64(), |element| told.push(element.to_vec()));
        assert_eq!(told.len(), if model.is_empty() { 0 } else { count });
        assert!(told.iter().all(|member| model.contains(member)));
    }
}

/// Every way to choose must choose every member about as often: chi-square over 40 members stays below a bound that chance
/// exceeds once in a million.
#[test]
fn chance_is_fair() {
    const MEMBERS: u64 = 40;
    const ROUNDS: u64 = 1500;
    const CHI_SQUARE_MAX: f64 = 98.0;
    let mut rng = Rng::seeded(11);
    let large = Limits { set_intset: 0, set_entries: 0, hash_seed: 9, ..Limits::default() };
    let mut pack = Set::Packed(Listpack::new());
    let (mut ints, mut table) = (Set::empty(&Limits::default()), Set::empty(&large));
    for i in 0..MEMBERS {
        ints.insert(Element::Int(i as i64), &Limits::default());
        table.insert(Element::Int(i as i64), &large);
        pack.insert(Element::Int(i as i64), &Limits::default());
    }
    for set in [ints, table, pack] {
        for count in [1, 4, 25, 37] {
            for way in ["sample", "repeat", "pop"] {
                let mut hits = BTreeMap::new();
                let mut total = 0.0;
                for _ in 0..ROUNDS {
                    let mut random = || rng.next_u64();
                    let hit = |element: Element<'_>| {
                        *hits.entry(element.to_vec()).or_insert(0.0) += 1.0;
                        total += 1.0;
                    };
                    match way {
                        "sample" => set.sample(count, &mut random, hit),
                        "repeat" => set.sample_repeating(count as u64, &mut random, hit),
                        _ => set.duplicate().pop_many(count, &large, &mut random, hit),
                    }
                }
                let expected = total / MEMBERS as f64;
                assert_eq!(hits.len() as u64, MEMBERS);
                let chi_square: f64 = hits.values().map(|n| (n - expected) * (n - expected) / expected).sum();
                assert!(chi_square < CHI_SQUARE_MAX, "{} {way} {count}: {chi_square}", set.encoding());
            }
        }
    }
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let limits = Limits::default();
    let integers = |n: i64| {
        let mut set = Set::empty(&limits);
        (0..n).for_each(|value| assert!(set.insert(Element::Int(value), &limits)));
        set
    };
    assert_eq!(integers(512).encoding(), "intset");
    assert_eq!(integers(513).encoding(), "hashtable");
    for (n, text, encoding) in [
        (0, "a", "listpack"),
        (127, "a", "listpack"),
        (128, "a", "hashtable"),
        (1, &"x".repeat(64)[..], "listpack"),
        (1, &"x".repeat(65)[..], "hashtable"),
    ] {
        let mut set = integers(n);
        assert!(set.insert(Element::Str(text.as_bytes()), &limits));
        assert_eq!(set.encoding(), encoding, "{n} integers and {text}");
        assert!(set.remove(Element::Str(text.as_bytes())));
        assert_eq!(set.encoding(), encoding);
        assert_eq!(contents(&set), contents(&integers(n)));
    }
    // What alone would be too much makes the set large at once.
    for (more, first, encoding) in
        [(512, "1", "intset"), (513, "1", "hashtable"), (128, "a", "listpack"), (129, "a", "hashtable")]
    {
        let mut set = Set::empty(&limits);
        set.expect(more, Element::Str(first.as_bytes()), &limits);
        assert_eq!(set.encoding(), encoding, "{more} like {first}");
    }
    // Where integers may not be packed, a set of one may still be.
    let none = Limits { set_intset: 0, ..Limits::default() };
    let mut set = Set::empty(&none);
    set.expect(1, Element::Str(b"1"), &none);
    assert_eq!(set.encoding(), "listpack");
}

#[test]
fn results_take_the_encodings_that_redis_gives_them() {
    let limits = Limits::default();
    let mut large = Set::empty(&limits);
    (0..600).for_each(|value| assert!(large.insert(Element::Int(value), &limits)));
    let mut mixed = large.duplicate();
    mixed.insert(Element::Str(b"a"), &limits);
    (3..600).for_each(|value| assert!(large.remove(Element::Int(value))));
    assert_eq!(large.encoding(), "hashtable");
    assert_eq!(contents(&large), texts(&["0", "1", "2"]));
    assert_eq!(intersection(&mut [&large, &mixed], &limits).encoding(), "intset");
    assert_eq!(union(&[&large], &limits).encoding(), "intset");
    // The second way of subtracting goes through a copy of the first set, whose size shows.
    assert_eq!(difference(&mixed, &mut [&large, &large, &large], &limits).encoding(), "hashtable");
    large.insert(Element::Str(b"a"), &limits);
    assert_eq!(intersection(&mut [&large, &mixed], &limits).encoding(), "listpack");
    assert_eq!(union(&[&large], &limits).encoding(), "listpack");
}

#[test]
fn a_large_set_of_which_little_is_left_becomes_small() {
    let limits = Limits::default();
    let mut rng = Rng::seeded(1);
    let table = |len: usize| {
        let mut set = Set::empty(&limits);
        (0..600).for_each(|i| assert!(set.insert(Element::Str(format!("{i:0len$}m").as_bytes()), &limits)));
        set
    };
    for (len, count, encoding) in [(5, 590, "listpack"), (5, 499, "hashtable"), (5, 500, "listpack"), (80, 590, "hashtable")] {
        let mut set = table(len);
        set.pop_many(count, &limits, &mut || rng.next_u64(), |_| {});
        assert_eq!((set.len(), set.encoding()), (600 - count, encoding));
    }
}
