//! Walks that span many calls while the table changes in between (SCAN, expiry, snapshots), and
//! random picks.

use std::ptr::NonNull;

use super::bucket::{Bucket, SLOTS, Slots, prefetch};
use super::{Item, Place, Ref, Table, address};

/// What to do with an item that [`Table::sweep`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It is taken out.
    Remove,
    /// It stays, and the sweep ends with this bucket: the rest of it (a handful of items) is still
    /// shown.
    Stop,
}

impl<T: Item> Table<T> {
    /// Shows `f` the items of one bucket and returns the cursor of the next, 0 after the last.
    /// Start with 0.
    ///
    /// An item that is in the table from the first call to the last is shown at least once,
    /// whatever is inserted or removed between the calls; it may be shown more than once. Any
    /// cursor is safe, also one made up.
    ///
    /// The buckets are the leaves of a binary trie over the hash's low bits, read from the lowest:
    /// those below `s` and their halves `L + 1` bits deep, the others `L`. The cursor counts in
    /// reversed bit order, so it goes through the leaves from left to right, and a split or merge
    /// only changes how finely the part still ahead is divided.
    pub fn scan(&self, cursor: u64, f: &mut dyn FnMut(&T)) -> u64 {
        if self.buckets == 0 {
            return 0;
        }
        let mut mask = self.mask as u64;
        let half = mask >> 1;
        // s = n - 2^L, and 2^L = half + 1.
        if cursor & half >= (self.buckets as u64) - (half + 1) {
            mask = half;
        }
        let next = ((cursor | !mask).reverse_bits().wrapping_add(1)).reverse_bits();
        self.prefetch_index((cursor & mask) as usize);
        prefetch(self.bucket(self.bucket_of(next)).as_ptr().cast());
        self.bucket_items((cursor & mask) as usize, f);
        next
    }

    /// Shows `f` all items of a bucket and its children. Does nothing if `index` is not below
    /// [`Table::bucket_count`].
    pub fn bucket_items(&self, index: usize, f: &mut dyn FnMut(&T)) {
        if index >= self.buckets {
            return;
        }
        let mut at = Some(self.bucket(index));
        while let Some(bucket) = at {
            // SAFETY: a bucket of the table, which is borrowed.
            let bucket = unsafe { bucket.as_ref() };
            for slot in Slots(bucket.used()) {
                f(&self.borrow(bucket.word(slot)));
            }
            at = bucket.child();
        }
    }

    /// Shows `f` the items of up to `buckets` buckets from `*cursor` on, in the order of the
    /// buckets, and hands those it wants removed to `removed`. With a `tag_mask` other than 0 only
    /// items are touched whose stored tag has one of its bits. Leaves the cursor behind the last
    /// bucket seen, or at 0 after the last bucket of the table, where a call ends at the latest;
    /// returns whether it did.
    ///
    /// With a removed item goes whether the table's cut had yet to be shown it.
    ///
    /// A lap shows every item, except that removals between calls may merge the last bucket into
    /// one already passed; the next lap shows its items.
    pub fn sweep(
        &mut self,
        cursor: &mut usize,
        buckets: usize,
        tag_mask: u8,
        f: &mut dyn FnMut(&T) -> Verdict,
        removed: &mut dyn FnMut(T, bool),
    ) -> bool {
        let start = if *cursor < self.buckets { *cursor } else { 0 };
        let end = start.saturating_add(buckets).min(self.buckets);
        let mut index = start;
        let mut removals = 0;
        let mut stop = false;
        while index < end && !stop {
            if index + 1 < end {
                self.prefetch_tagged(self.bucket(index + 1), tag_mask);
            }
            let head = self.bucket(index);
            let before = removals;
            let mut at = Some(head);
            while let Some(bucket) = at {
                // SAFETY: a bucket of this table. Here and below no reference to it outlives its
                // statement, so that slots can be emptied in between.
                let candidates = tagged(unsafe { bucket.as_ref() }, tag_mask);
                for slot in Slots(candidates) {
                    // SAFETY: see above.
                    let word = unsafe { bucket.as_ref() }.word(slot);
                    match f(&self.borrow(word)) {
                        Verdict::Keep => {}
                        Verdict::Stop => stop = true,
                        Verdict::Remove => {
                            removals += 1;
                            let due = self.is_due(Place { head, bucket, slot });
                            removed(self.take_out(bucket, slot), due);
                        }
                    }
                }
                // SAFETY: see above.
                at = unsafe { bucket.as_ref() }.child();
            }
            if removals > before {
                self.compact(head);
            }
            index += 1;
        }
        let wrapped = index >= self.buckets;
        *cursor = if wrapped { 0 } else { index };
        // Not earlier: a merge could carry items from ahead of the cursor to behind it.
        self.maintain(removals);
        wrapped
    }

    /// An item picked at random, each as likely as any other if `rng` returns uniform numbers.
    /// About four buckets are looked at in a large table; many more only in one that holds much
    /// less than it reserved.
    pub fn random(&self, rng: &mut dyn FnMut() -> u64) -> Option<Ref<'_, T>> {
        if self.len == 0 {
            return None;
        }
        // Each bucket counts as if it had `places` items; picking one it does not have means trying
        // again.
        let places = (SLOTS - 1) * self.longest_chain as usize + 1;
        let tries = (self.buckets.saturating_mul(places) / self.len).saturating_mul(64).min(1 << 16);
        let mut index = 0;
        for _ in 0..tries.max(64) {
            index = below(rng(), self.buckets);
            if let Some(word) = self.nth(index, below(rng(), places)) {
                return Some(self.borrow(word));
            }
        }
        // A table all but empty for its size: the next item that comes has to do.
        for step in 0..self.buckets {
            if let Some(word) = self.nth((index + step) % self.buckets, 0) {
                return Some(self.borrow(word));
            }
        }
        None
    }

    /// Shows `f` up to `n` items from random buckets, in no fair distribution, only those whose
    /// stored tag has a bit of `tag_mask` if that is not 0. Looks at a bounded number of buckets,
    /// so it may find fewer than `n`, and may show an item twice. For choosing what to evict.
    pub fn sample(&self, rng: &mut dyn FnMut() -> u64, n: usize, tag_mask: u8, f: &mut dyn FnMut(&T)) {
        const AT_ONCE: usize = 4;
        if self.len == 0 {
            return;
        }
        let mut left = n;
        let mut rounds = n.saturating_mul(2).saturating_add(8);
        while left > 0 && rounds > 0 {
            rounds -= 1;
            let mut picks = [0; AT_ONCE];
            let width = left.div_ceil(SLOTS / 2).min(AT_ONCE);
            let picks = &mut picks[..width];
            for pick in &mut *picks {
                *pick = below(rng(), self.buckets);
                prefetch(self.bucket(*pick).as_ptr().cast());
            }
            for &mut pick in &mut *picks {
                self.prefetch_tagged(self.bucket(pick), tag_mask);
            }
            for &mut pick in &mut *picks {
                let mut at = Some(self.bucket(pick));
                while let Some(bucket) = at {
                    // SAFETY: a bucket of the table, which is borrowed.
                    let bucket = unsafe { bucket.as_ref() };
                    for slot in Slots(tagged(bucket, tag_mask)).take(left) {
                        f(&self.borrow(bucket.word(slot)));
                        left -= 1;
                    }
                    at = bucket.child();
                }
            }
        }
    }

    /// The word of item `nth` of a bucket and its children, if there are so many.
    fn nth(&self, index: usize, mut nth: usize) -> Option<u64> {
        let mut at = self.bucket(index);
        loop {
            // SAFETY: a bucket of the table, which is borrowed.
            let bucket = unsafe { at.as_ref() };
            let used = bucket.used();
            let count = used.count_ones() as usize;
            if nth < count {
                return Slots(used).nth(nth).map(|slot| bucket.word(slot));
            }
            nth -= count;
            at = bucket.child()?;
        }
    }

    /// Asks for the items of a bucket that a sweep with `tag_mask` would touch.
    fn prefetch_tagged(&self, bucket: NonNull<Bucket>, tag_mask: u8) {
        // SAFETY: a bucket of the table, which is borrowed.
        let bucket = unsafe { bucket.as_ref() };
        for slot in Slots(tagged(bucket, tag_mask)) {
            prefetch(address(bucket.word(slot)));
        }
        if let Some(child) = bucket.child() {
            prefetch(child.as_ptr().cast());
        }
    }
}

/// The used slots whose tag has a bit of `tag_mask`; all used slots if that is 0.
#[inline]
fn tagged(bucket: &Bucket, tag_mask: u8) -> u32 {
    let used = bucket.used();
    if tag_mask == 0 {
        return used;
    }
    Slots(used).filter(|&slot| bucket.word(slot) as u8 & tag_mask & 7 != 0).fold(0, |mask, slot| mask | 1 << slot)
}

/// A number below `bound` from a random one, without division.
#[inline]
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}
