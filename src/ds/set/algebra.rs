//! Intersection, union and difference of sets, each in two forms: told member by member, for a reply, and as a new set,
//! for a key. The latter takes the encodings that Redis' way of building it leads to.

use super::super::object::{Big, Limits};
use super::super::parts::element::Element;
use super::super::parts::intset::Intset;
use super::super::parts::listpack::Listpack;
use super::{MemberTable, Set, intset_max};
use crate::raw::table::Table;
use std::ops::ControlFlow;

/// Shows `f` the members that all sets have, until it breaks off. The order of `sets` may change.
pub fn intersect(sets: &mut [&Set], mut f: impl FnMut(Element<'_>) -> ControlFlow<()>) {
    // The smallest drives; the next smallest are the likeliest to lack a member, and the cheapest to ask.
    sets.sort_by_key(|set| set.len());
    let Some((&smallest, others)) = sets.split_first() else { return };
    if let (Set::Ints(ints), Some((Set::Ints(second), rest))) = (smallest, others.split_first()) {
        let mut stopped = false;
        ints.intersect(second, |value| {
            let element = Element::Int(value);
            stopped = stopped || (rest.iter().all(|set| set.contains(element)) && f(element).is_break());
        });
        return;
    }
    let _ = smallest.walk(
        |element| {
            if others.iter().all(|set| set.contains(element)) { f(element) } else { ControlFlow::Continue(()) }
        },
    );
}

/// The members that all sets have, as a set. The order of `sets` may change.
pub fn intersection(sets: &mut [&Set], limits: &Limits) -> Set {
    sets.sort_by_key(|set| set.len());
    // A listpack is quicker to append to; it becomes an intset in the end if it can.
    let mut made = match sets.first() {
        Some(Set::Ints(_)) | None => Set::Ints(Intset::new()),
        _ => Set::Packed(Listpack::new()),
    };
    let mut only_integers = true;
    intersect(sets, |element| {
        let element = if only_integers { element.canonical() } else { element };
        only_integers &= matches!(element, Element::Int(_));
        made.insert_new(element, limits);
        ControlFlow::Continue(())
    });
    if only_integers && !matches!(made, Set::Ints(_)) && made.len() <= intset_max(limits) {
        let mut members = Vec::with_capacity(made.len());
        made.each(|element| members.extend(element.as_int()));
        members.sort_unstable();
        return Set::Ints(Intset::from_sorted(&members));
    }
    made
}

/// Shows `f` the members of all sets, each once.
pub fn unite(sets: &[&Set], limits: &Limits, mut f: impl FnMut(Element<'_>)) {
    if let &[only] = sets {
        return only.each(f);
    }
    if let Some(members) = united_integers(sets) {
        return members.into_iter().for_each(|value| f(Element::Int(value)));
    }
    // Asking the sets before copies nothing; with many sets, or long listpacks, remembering the members is cheaper.
    let (mut asking, mut remembering, mut cost) = (0_usize, 0_usize, 0_usize);
    for set in sets {
        asking = asking.saturating_add(set.len().saturating_mul(cost));
        remembering = remembering.saturating_add(set.len() * COPY_COST);
        cost += lookup_cost(set);
    }
    if asking <= remembering {
        for (nth, set) in sets.iter().enumerate() {
            set.each(|element| {
                if !sets[..nth].iter().any(|before| before.contains(element)) {
                    f(element);
                }
            });
        }
    } else {
        let mut seen = MemberTable(Table::new(limits.hash_seed));
        for set in sets {
            set.each(|element| {
                if seen.insert(element) {
                    f(element);
                }
            });
        }
    }
}

/// The members of all sets, as a set.
pub fn union(sets: &[&Set], limits: &Limits) -> Set {
    if let Some(members) = united_integers(sets)
        && members.len() <= intset_max(limits)
    {
        return Set::Ints(Intset::from_sorted(&members));
    }
    let mut made = Set::Ints(Intset::new());
    for set in sets {
        set.each(|element| {
            made.insert(element, limits);
        });
    }
    made
}

/// Shows `f` the members of `first` that no other set has. The order of `others` may change.
pub fn subtract(first: &Set, others: &mut [&Set], limits: &Limits, mut f: impl FnMut(Element<'_>)) {
    if asks_others(first, others) {
        first.each(|element| {
            if !others.iter().any(|set| set.contains(element)) {
                f(element);
            }
        });
    } else {
        let table = MemberTable(Table::with_capacity(limits.hash_seed, first.len()));
        remainder(Set::Table(Big::new(table)), first, others, limits).each(f);
    }
}

/// The members of `first` that no other set has, as a set. The order of `others` may change.
pub fn difference(first: &Set, others: &mut [&Set], limits: &Limits) -> Set {
    let mut made = Set::Ints(Intset::new());
    if !asks_others(first, others) {
        return remainder(made, first, others, limits);
    }
    first.each(|element| {
        if !others.iter().any(|set| set.contains(element)) {
            made.insert_new(element, limits);
        }
    });
    made
}

/// Cost of copying a member into a table of its own, in lookups of a table.
const COPY_COST: usize = 3;

/// What asking a set for a member costs, in lookups of a table.
fn lookup_cost(set: &Set) -> usize {
    /// Listpack entries compared in the time of one lookup.
    const ENTRIES_PER_LOOKUP: usize = 8;
    match set {
        Set::Packed(pack) => 1 + pack.len() / ENTRIES_PER_LOOKUP,
        Set::Ints(_) | Set::Table(_) => 1,
    }
}

/// All members, ascending, if all sets are intsets.
fn united_integers(sets: &[&Set]) -> Option<Vec<i64>> {
    let all = sets.iter().map(|set| if let Set::Ints(ints) = set { Some(ints) } else { None });
    let all: Vec<&Intset> = all.collect::<Option<_>>()?;
    let mut members: Vec<i64> = all.iter().flat_map(|ints| ints.iter()).collect();
    // The stable sort finds the ascending runs and merges them.
    members.sort();
    members.dedup();
    Some(members)
}

/// Whether to ask the other sets for each member of the first, rather than to go through them all. Asking gets a
/// handicap of one half, for it ends at the first hit; then the largest are asked first. Redis' rule, because the encoding
/// of a stored difference depends on it.
fn asks_others(first: &Set, others: &mut [&Set]) -> bool {
    let asking = first.len().saturating_mul(1 + others.len()) / 2;
    let going_through = others.iter().fold(first.len(), |sum, set| sum.saturating_add(set.len()));
    let asks = asking <= going_through;
    if asks {
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    }
    asks
}

/// Puts the members of `first` into the empty set `rest` and takes those of the others out again.
fn remainder(mut rest: Set, first: &Set, others: &[&Set], limits: &Limits) -> Set {
    first.each(|element| rest.insert_new(element, limits));
    for set in others {
        if rest.is_empty() {
            break;
        }
        set.each(|element| {
            rest.remove(element);
        });
    }
    rest
}
