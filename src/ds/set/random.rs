//! Members by chance: picked, or taken out. Every subset of the asked size is as likely as any other.
//!
//! Randomness comes as a function that returns 64 uniform bits.

use super::super::object::Limits;
use super::super::parts::element::Element;
use super::super::parts::intset::Intset;
use super::super::parts::listpack::{Listpack, Pos};
use super::Set;
use crate::raw::table::Verdict;
use std::collections::HashSet;

/// Picking one by one pays while fewer than one in this many is wanted; repeats are frequent above.
const PICK_MIN_RATIO: usize = 3;
/// Redis' bound for taking out one by one: above, what is left is made into a new set, which may be a small one.
const LEFT_PER_TAKEN: usize = 5;
/// An intset is written anew when more members than this are taken out.
const SINGLE_REMOVALS_MAX: usize = 4;

impl Set {
    /// Lends a random member to `f`; `None` if the set is empty.
    pub fn random<R>(&self, random: &mut dyn FnMut() -> u64, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            Set::Ints(ints) => ints.random(|n| below(random, n)).map(|value| f(Element::Int(value))),
            Set::Packed(pack) => {
                let len = pack.len() as u64;
                let at = if len > 0 { pack.seek(below(random, len) as i64)? } else { return None };
                Some(f(pack.get(at)))
            }
            Set::Table(table) => table.0.random(random).map(|member| f(Element::Str(member.bytes()))),
        }
    }

    /// Shows `f` random members `count` times; the same may come again.
    pub fn sample_repeating(&self, count: u64, random: &mut dyn FnMut() -> u64, mut f: impl FnMut(Element<'_>)) {
        if let Set::Packed(pack) = self
            && count > 1
            && !pack.is_empty()
        {
            // One walk to find the entries instead of one for each pick.
            let places: Vec<Pos> = pack.entries().map(|(at, _)| at).collect();
            for _ in 0..count {
                f(pack.get(places[below(random, places.len() as u64) as usize]));
            }
            return;
        }
        for _ in 0..count {
            if self.random(random, &mut f).is_none() {
                return;
            }
        }
    }

    /// Shows `f` so many different members, or all if there are fewer, in no particular order.
    pub fn sample(&self, count: usize, random: &mut dyn FnMut() -> u64, mut f: impl FnMut(Element<'_>)) {
        let len = self.len();
        if count >= len {
            return self.each(f);
        }
        match self {
            Set::Packed(pack) => pack.sample(1, count, |n| below(random, n), |at| f(pack.get(at))),
            Set::Table(table) if count.saturating_mul(PICK_MIN_RATIO) <= len => {
                // A member is known by where its bytes lie.
                let mut seen = HashSet::with_capacity(count);
                while seen.len() < count {
                    let Some(member) = table.0.random(random) else { return };
                    if seen.insert(member.bytes().as_ptr() as usize) {
                        f(Element::Str(member.bytes()));
                    }
                }
            }
            Set::Ints(ints) if count.saturating_mul(PICK_MIN_RATIO) <= len => {
                let mut seen = HashSet::with_capacity(count);
                while seen.len() < count {
                    let Some(value) = ints.random(|n| below(random, n)) else { return };
                    if seen.insert(value) {
                        f(Element::Int(value));
                    }
                }
            }
            Set::Ints(_) | Set::Table(_) => {
                let mut selection = Selection { wanted: count, left: len };
                self.each(|element| {
                    if selection.takes(random) {
                        f(element);
                    }
                });
            }
        }
    }

    /// Takes out a random member and lends it to `f`; `None` if the set is empty.
    pub fn pop<R>(&mut self, random: &mut dyn FnMut() -> u64, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            Set::Ints(ints) => {
                let value = ints.random(|n| below(random, n))?;
                ints.remove(value);
                Some(f(Element::Int(value)))
            }
            Set::Packed(pack) => {
                let len = pack.len() as u64;
                let at = if len > 0 { pack.seek(below(random, len) as i64)? } else { return None };
                let result = f(pack.get(at));
                pack.delete(at);
                Some(result)
            }
            Set::Table(table) => {
                let (hash, name) = {
                    let member = table.0.random(random)?;
                    (table.0.hash(member.bytes()), ShortText::new(member.bytes()))
                };
                table.before_change(hash, name.bytes());
                let member = table.0.remove(hash, name.bytes())?;
                Some(f(Element::Str(member.bytes())))
            }
        }
    }

    /// Takes out so many random members, or all if there are fewer, and shows them to `f`. As in Redis a large set of
    /// which little is left becomes a small one.
    pub fn pop_many(&mut self, count: usize, limits: &Limits, random: &mut dyn FnMut() -> u64, mut f: impl FnMut(Element<'_>)) {
        let len = self.len();
        let left = len.saturating_sub(count);
        let mut selection = Selection { wanted: count.min(len), left: len };
        match self {
            Set::Ints(ints) if count > SINGLE_REMOVALS_MAX => {
                let mut kept = Vec::with_capacity(left);
                for value in ints.iter() {
                    if selection.takes(random) { f(Element::Int(value)) } else { kept.push(value) }
                }
                *ints = Intset::from_sorted(&kept);
            }
            Set::Packed(pack) => {
                let mut taken = Vec::with_capacity(count.min(len));
                pack.sample(
                    1,
                    count,
                    |n| below(random, n),
                    |at| {
                        f(pack.get(at));
                        taken.push(at);
                    },
                );
                pack.delete_many(&taken);
            }
            Set::Table(table) if left.saturating_mul(LEFT_PER_TAKEN) <= count => {
                let mut longest = 0;
                let mut due = Vec::new();
                table.0.sweep(
                    &mut 0,
                    usize::MAX,
                    0,
                    &mut |member| {
                        if selection.takes(random) {
                            return Verdict::Remove;
                        }
                        longest = longest.max(member.bytes().len());
                        Verdict::Keep
                    },
                    &mut |member, is_due| {
                        f(Element::Str(member.bytes()));
                        if is_due {
                            due.push(member);
                        }
                    },
                );
                due.into_iter().for_each(|member| table.0.keep_gone(member));
                // What a cut has to find stays a table.
                if table.0.is_cut() {
                    return;
                }
                if left <= limits.set_entries && longest <= limits.set_value {
                    let mut pack = Listpack::new();
                    self.each(|element| {
                        pack.push_back(element);
                    });
                    *self = Set::Packed(pack);
                }
            }
            Set::Ints(_) | Set::Table(_) => {
                for _ in 0..count {
                    if self.pop(random, &mut f).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

/// Chooses a given number of things that pass by one after another.
/// (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.)
struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    /// Whether the next one is chosen.
    fn takes(&mut self, random: &mut dyn FnMut() -> u64) -> bool {
        let takes = self.wanted > 0 && below(random, self.left as u64) < self.wanted as u64;
        self.left = self.left.saturating_sub(1);
        self.wanted -= takes as usize;
        takes
    }
}

/// A copy of a member's bytes, without allocating for most.
enum ShortText {
    Short([u8; ShortText::MAX], u8),
    Long(Vec<u8>),
}

impl ShortText {
    const MAX: usize = 64;

    fn new(bytes: &[u8]) -> ShortText {
        if bytes.len() > ShortText::MAX {
            return ShortText::Long(bytes.to_vec());
        }
        let mut short = [0; ShortText::MAX];
        short[..bytes.len()].copy_from_slice(bytes);
        ShortText::Short(short, bytes.len() as u8)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            ShortText::Short(bytes, len) => &bytes[..usize::from(*len)],
            ShortText::Long(bytes) => bytes,
        }
    }
}

/// A number below `n`.
fn below(random: &mut dyn FnMut() -> u64, n: u64) -> u64 {
    ((u128::from(random()) * u128::from(n)) >> 64) as u64
}
