//! Sorting only as far as is asked for: the first few of many, as `GEOSEARCH … COUNT` needs them.
//!
//! The quicksort of Bentley and McIlroy ("Engineering a Sort Function", 1993), which leaves alone what lies behind the
//! wanted ones. Its pivots and exchanges are followed to the letter, since they decide in which order equal elements
//! come out, and Redis sorts with the same: users see the same places first at the same distance.

use std::cmp::Ordering;

/// Below this many elements insertion is faster than another partition.
const FEW: usize = 7;
/// Above this many the pivot is the median of three medians.
const MANY: usize = 40;

/// Puts the `wanted` least elements in front, sorted; the others follow in no order. Equal ones may change places.
///
/// Bad pivots cannot make it quadratic: after too many rounds the rest is left to the standard sort.
pub fn sort_first<T>(items: &mut [T], wanted: usize, compare: &impl Fn(&T, &T) -> Ordering) {
    let rounds = 4 * items.len().checked_ilog2().unwrap_or(0);
    sort_within(items, wanted, compare, rounds);
}

fn sort_within<T>(mut items: &mut [T], mut wanted: usize, compare: &impl Fn(&T, &T) -> Ordering, mut rounds: u32) {
    loop {
        if wanted == 0 {
            return;
        }
        if items.len() < FEW {
            return insertion_sort(items, compare);
        }
        if rounds == 0 {
            return items.sort_by(compare);
        }
        rounds -= 1;
        let (less, greater) = partition(items, compare);
        let start = items.len() - greater;
        let (front, back) = items.split_at_mut(start);
        let (front, wanted_behind) = (&mut front[..less], wanted.saturating_sub(start));
        // The smaller part by recursion, the larger one by the loop: the stack stays logarithmic.
        if less < greater {
            sort_within(front, wanted, compare, rounds);
            (items, wanted) = (back, wanted_behind);
        } else {
            sort_within(back, wanted_behind, compare, rounds);
            items = front;
        }
    }
}

fn insertion_sort<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Moves what is less than a pivot to the front and what is greater to the back; answers how many of each there are.
///
/// Equal ones are collected at both ends first and swapped into the middle at last.
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    items.swap(0, pivot(items, compare));
    // Equal ones lie in 1..equal_front and in equal_back..len; front..=back is not looked at yet.
    let (mut equal_front, mut front, mut back, mut equal_back) = (1, 1, len - 1, len);
    loop {
        while front <= back {
            match compare(&items[front], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(equal_front, front);
                    equal_front += 1;
                }
                Ordering::Less => {}
            }
            front += 1;
        }
        while front <= back {
            match compare(&items[back], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    equal_back -= 1;
                    items.swap(back, equal_back);
                }
                Ordering::Greater => {}
            }
            back -= 1;
        }
        if front > back {
            break;
        }
        items.swap(front, back);
        front += 1;
        back -= 1;
    }
    let (less, greater) = (front - equal_front, equal_back - front);
    swap_ends(&mut items[..front], equal_front.min(less));
    swap_ends(&mut items[front..], greater.min(len - equal_back));
    (less, greater)
}

/// Exchanges the first `count` elements with the last `count`, each pair in its order.
fn swap_ends<T>(items: &mut [T], count: usize) {
    let start = items.len() - count;
    for at in 0..count {
        items.swap(at, start + at);
    }
}

/// Where the element lies around which to divide.
fn pivot<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let (mut low, mut middle, mut high) = (0, len / 2, len - 1);
    if len > MANY {
        let step = len / 8;
        low = median(items, [low, low + step, low + 2 * step], compare);
        middle = median(items, [middle - step, middle, middle + step], compare);
        high = median(items, [high - 2 * step, high - step, high], compare);
    }
    if len > FEW { median(items, [low, middle, high], compare) } else { middle }
}

fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let less = |one: usize, other: usize| compare(&items[one], &items[other]).is_lt();
    if less(a, b) {
        if less(b, c) {
            b
        } else if less(a, c) {
            c
        } else {
            a
        }
    } else if compare(&items[b], &items[c]).is_gt() {
        b
    } else if less(a, c) {
        a
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;

    #[test]
    fn the_wanted_ones_are_the_least_and_the_rest_is_still_there() {
        let mut rng = Rng::seeded(7);
        for round in 0..4000 {
            let len = rng.below(if round % 10 == 0 { 2000 } else { 60 }) as usize;
            let values = 1 + rng.below(80);
            let items: Vec<u64> = (0..len).map(|_| rng.below(values)).collect();
            let wanted = rng.below(len as u64 + 3) as usize;
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let mut ours = items.clone();
            sort_first(&mut ours, wanted, &u64::cmp);
            let shown = wanted.min(len);
            assert_eq!(ours[..shown], sorted[..shown], "{wanted} of {items:?}");
            ours.sort_unstable();
            assert_eq!(ours, sorted, "{wanted} of {items:?}");
        }
    }

    /// What `GEORADIUSBYMEMBER … COUNT 5 ASC` of Redis 8.0.6 answered for places of which many lie equally far.
    #[test]
    fn equal_ones_come_in_the_order_of_redis() {
        let cells = [0, 1, 3, 3, 5, 5, 6, 7, 7, 7, 7, 8, 9, 9, 11, 13, 14, 14];
        let by_distance = [9, 3, 11, 1, 8, 6, 14, 0, 13, 7, 5];
        let distance = |cell: u32| match cell {
            11 => 1,
            _ => by_distance.iter().position(|&other| other == cell).unwrap(),
        };
        let mut items: Vec<(usize, u32)> = cells.into_iter().enumerate().collect();
        sort_first(&mut items, 5, &|a, b| distance(a.1).cmp(&distance(b.1)));
        assert_eq!(items[..5], [(12, 9), (13, 9), (14, 11), (2, 3), (3, 3)]);
    }

    #[test]
    fn bad_pivots_do_not_make_it_quadratic() {
        // McIlroy's adversary ("A Killer Adversary for Quicksort", 1999): values are given only when they are compared.
        use std::cell::{Cell, RefCell};
        const LEN: usize = 30_000;
        let (values, solid) = (RefCell::new(vec![LEN; LEN]), Cell::new(0));
        let (candidate, compared) = (Cell::new(0), Cell::new(0u64));
        let mut items: Vec<usize> = (0..LEN).collect();
        let freeze = |at: usize| {
            values.borrow_mut()[at] = solid.get();
            solid.set(solid.get() + 1);
        };
        sort_first(&mut items, LEN, &|&a, &b| {
            compared.set(compared.get() + 1);
            if values.borrow()[a] == LEN && values.borrow()[b] == LEN {
                freeze(if a == candidate.get() { a } else { b });
            }
            if values.borrow()[a] == LEN {
                candidate.set(a);
            } else if values.borrow()[b] == LEN {
                candidate.set(b);
            }
            values.borrow()[a].cmp(&values.borrow()[b])
        });
        assert!(compared.get() < 100 * LEN as u64, "{} comparisons", compared.get());
    }
}
