//! Picking fields at random: HRANDFIELD's three ways. All fields count, also those past their deadline; who does not want
//! them removes them first.

use super::{Found, Hash, PAIR, TRIPLET};
use crate::clock::Rng;
use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::{Listpack, Pos};
use std::collections::HashSet;

/// From this share of the fields on (one in so many) it is quicker to go through all of them.
const WALK_SHARE: usize = 3;

impl Hash {
    /// Calls `f` with the name and value of a field. Nothing is called on an empty hash.
    pub fn pick(&self, rng: &mut Rng, f: &mut dyn FnMut(Element<'_>, Element<'_>)) {
        let (pack, step) = match self {
            Hash::Packed(pack) => (pack, PAIR),
            Hash::PackedWithTtls(pack) => (pack, TRIPLET),
            Hash::Table(fields) => {
                if let Some(field) = fields.random(|| rng.next_u64()) {
                    f(Element::Str(field.name()), Element::Str(field.value()));
                }
                return;
            }
        };
        if !self.is_empty() {
            let index = rng.below(self.len() as u64) as i64 * step as i64;
            if let Some(at) = pack.seek(index) {
                show(pack, at, f);
            }
        }
    }

    /// Calls `f` with `count` fields, the same ones possibly several times.
    pub fn pick_many(&self, count: usize, rng: &mut Rng, f: &mut dyn FnMut(Element<'_>, Element<'_>)) {
        let (pack, step) = match self {
            Hash::Packed(pack) => (pack, PAIR),
            Hash::PackedWithTtls(pack) => (pack, TRIPLET),
            Hash::Table(_) => {
                for _ in 0..count {
                    self.pick(rng, f);
                }
                return;
            }
        };
        // One walk, whatever their number.
        let heads: Vec<Pos> = pack.entries().step_by(step).map(|(at, _)| at).collect();
        if heads.is_empty() {
            return;
        }
        for _ in 0..count {
            show(pack, heads[rng.below(heads.len() as u64) as usize], f);
        }
    }

    /// Calls `f` with `count` different fields; with all of them if there are no more.
    pub fn pick_distinct(&self, count: usize, rng: &mut Rng, f: &mut dyn FnMut(Element<'_>, Element<'_>)) {
        let fields = match self {
            Hash::Packed(pack) => return pack.sample(PAIR, count, |n| rng.below(n), |at| show(pack, at, f)),
            Hash::PackedWithTtls(pack) => return pack.sample(TRIPLET, count, |n| rng.below(n), |at| show(pack, at, f)),
            Hash::Table(fields) => fields,
        };
        let mut wanted = count.min(fields.len());
        if wanted >= fields.len() / WALK_SHARE {
            // Selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
            let mut left = fields.len();
            self.for_each(|name, Found { value, .. }| {
                if wanted > 0 && rng.below(left as u64) < wanted as u64 {
                    f(name, value);
                    wanted -= 1;
                }
                left -= 1;
            });
            return;
        }
        let mut seen = HashSet::with_capacity(wanted);
        while seen.len() < wanted {
            let Some(field) = fields.random(|| rng.next_u64()) else { return };
            // Fields stay where they are meanwhile, so their hashes tell them apart as well as their names.
            if seen.insert(fields.table().hash(field.name())) {
                f(Element::Str(field.name()), Element::Str(field.value()));
            }
        }
    }
}

fn show(pack: &Listpack, at: Pos, f: &mut dyn FnMut(Element<'_>, Element<'_>)) {
    if let Some(value) = pack.next(at) {
        f(pack.get(at), pack.get(value));
    }
}
