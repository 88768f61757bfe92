//! INFO's section `keysizes`: how long strings are and how many elements collections have, counted by powers of two.
//!
//! The original counts with every write. Here writes stay free of it: the figures are taken when somebody asks. A database of
//! up to [`COUNTED_MAX`] keys is counted exactly; of a greater one some hundreds, from buckets all over the table, stand for all.
//! Which keys share a bucket is chance, so the estimate has no bent, but a few exceptional keys may be missed.

use crate::ds::hash::Hash;
use crate::ds::list::List;
use crate::ds::set::Set;
use crate::ds::sorted_set::SortedSet;
use crate::keyspace::value::{ValueType, type_of};
use crate::keyspace::{Entry, Str};
use crate::raw::table::Table;
use std::fmt::Write as _;

/// A database with more keys is not counted but estimated.
const COUNTED_MAX: usize = 2048;
/// Keys that are looked at for an estimate. Everybody waits meanwhile, and some ask ten times a second.
const LOOKED_AT: usize = 512;
/// Sizes are counted by the position of their highest bit; 0 is by itself.
const BINS: usize = 65;

/// The types that are counted, as fields name them.
const TYPES: [&str; 5] = ["strings_sizes", "lists_items", "sets_items", "zsets_items", "hashes_items"];

/// Sizes of the values of one database.
pub(super) struct KeySizes([[u64; BINS]; TYPES.len()]);

impl KeySizes {
    /// Counts. `turn` chooses the buckets where not all are looked at.
    pub(super) fn of(table: &Table<Entry>, turn: u64) -> Self {
        let mut sizes = KeySizes([[0; BINS]; TYPES.len()]);
        let (keys, buckets) = (table.len(), table.bucket_count());
        let stride = if keys <= COUNTED_MAX { 1 } else { (keys / LOOKED_AT + 1).min(buckets.max(1)) };
        let mut seen = 0_u64;
        table.survey(turn as usize % stride, stride, &mut |entry| {
            seen += 1;
            sizes.count(entry);
        });
        if seen > 0 && seen < keys as u64 {
            let share = keys as f64 / seen as f64;
            for count in sizes.0.as_flattened_mut() {
                *count = (*count as f64 * share).round() as u64;
            }
        }
        sizes
    }

    fn count(&mut self, entry: &Entry) {
        let (at, size) = match type_of(entry) {
            ValueType::String => (0, Str::of(entry).map_or(0, |text| text.len())),
            ValueType::List => (1, entry.lend::<List>().map_or(0, |list| list.len())),
            ValueType::Set => (2, entry.lend::<Set>().map_or(0, |set| set.len())),
            ValueType::SortedSet => (3, entry.lend::<SortedSet>().map_or(0, |set| set.len())),
            ValueType::Hash => (4, entry.lend::<Hash>().map_or(0, |hash| hash.len())),
            ValueType::Stream => return,
        };
        self.0[at][(usize::BITS - size.leading_zeros()) as usize] += 1;
    }

    /// A field per type that is there: its name and its counts, such as `1=2,64=5,1K=1`.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        TYPES.into_iter().zip(&self.0).filter_map(|(name, bins)| {
            let mut text = String::new();
            for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
                let comma = if text.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{}={count}", label(bin));
            }
            (!text.is_empty()).then_some((name, text))
        })
    }
}

/// The smallest size that a bin counts, with a unit for every ten bits.
fn label(bin: usize) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    match bin {
        0 => "0".into(),
        _ => format!("{}{}", 1 << ((bin - 1) % 10), UNITS[(bin - 1) / 10]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_called_by_their_least_size() {
        let labels: Vec<_> = [0, 1, 2, 10, 11, 12, 21, 64].into_iter().map(label).collect();
        assert_eq!(labels, ["0", "1", "2", "512", "1K", "2K", "1M", "8E"]);
    }

    #[test]
    fn a_few_keys_stand_for_many() {
        let mut table = Table::new(7);
        for n in 0..100_000_u64 {
            let key = n.to_string();
            let value = if n % 4 == 0 { "x".repeat(100) } else { "x".repeat(3) };
            let hash = table.hash(key.as_bytes());
            table.insert_unique(hash, Entry::with_string(key.as_bytes(), None, value.as_bytes(), true));
        }
        // Of 512 keys a quarter is large: one count, for all keys, has a standard deviation of 1,900, the mean of thirty 350. Five
        // and four of these are allowed.
        let mut sum = 0;
        for turn in 0..30 {
            let sizes = KeySizes::of(&table, turn);
            let (small, large) = (sizes.0[0][2], sizes.0[0][7]);
            assert!((99_990..=100_010).contains(&(small + large)), "{small} and {large}");
            sum += large;
            assert!((15_000..35_000).contains(&large), "{large} of 25,000");
        }
        assert!((23_500..26_500).contains(&(sum / 30)), "{sum}: no bent");
    }
}
