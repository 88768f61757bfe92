//! Walks that span many calls while the table changes in between (SCAN, expiry, snapshots), and
//! random picks.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::bucket::{Bucket, SLOTS, Slots, TAG_MASK, prefetch};
use super::{Item, Place, Ref, Table, address, from_word, into_word};

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

    /// Shows `f` the items of every `stride`th bucket from `first` on. They are far from each other in memory, so some are asked
    /// for ahead of their turn: buckets first, and then what is in them.
    pub fn survey(&self, first: usize, stride: usize, f: &mut dyn FnMut(&T)) {
        const AHEAD: usize = 8;
        let stride = stride.max(1);
        for index in (first..self.buckets).step_by(stride) {
            let ahead =
                |buckets: usize| Some(index.saturating_add(stride.saturating_mul(buckets))).filter(|at| *at < self.buckets);
            if let Some(bucket) = ahead(2 * AHEAD) {
                prefetch(self.bucket(bucket).as_ptr().cast());
            }
            if let Some(bucket) = ahead(AHEAD) {
                self.prefetch_index(bucket);
            }
            self.bucket_items(index, f);
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

    /// Lets `f` change where the items of up to `buckets` buckets from `*cursor` on lie in memory; their keys and tags must stay
    /// the same. Moves the cursor as [`Table::sweep`] does, and returns whether the last bucket was reached.
    pub fn relocate(&mut self, cursor: &mut usize, buckets: usize, f: &mut dyn FnMut(&mut T)) -> bool {
        let start = if *cursor < self.buckets { *cursor } else { 0 };
        let end = start.saturating_add(buckets).min(self.buckets);
        for index in start..end {
            if index + 1 < end {
                self.prefetch_tagged(self.bucket(index + 1), 0);
            }
            let mut at = Some(self.bucket(index));
            while let Some(bucket) = at {
                // SAFETY: a bucket of this table. Here and below no reference to it outlives its statement, so that slots
                // can be written to in between.
                for slot in Slots(unsafe { bucket.as_ref() }.used()) {
                    self.relocate_at(bucket, slot, f);
                }
                // SAFETY: see above.
                at = unsafe { bucket.as_ref() }.child();
            }
        }
        *cursor = if end < self.buckets { end } else { 0 };
        end >= self.buckets
    }

    /// Lets `f` change where one item lies in memory; its key and tag must stay the same.
    pub fn relocate_one(&mut self, hash: u64, key: &[u8], f: &mut dyn FnMut(&mut T)) {
        if let Some(place) = self.find(hash, key) {
            self.relocate_at(place.bucket, place.slot, f);
        }
    }

    fn relocate_at(&mut self, bucket: NonNull<Bucket>, slot: usize, f: &mut dyn FnMut(&mut T)) {
        // SAFETY: a used slot of this table, which is borrowed for writing.
        let word = unsafe { bucket.as_ref() }.word(slot);
        let mut lent = Lent { item: ManuallyDrop::new(from_word::<T>(word)), bucket, slot, tags: word & TAG_MASK };
        f(&mut lent.item);
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

    /// Shows `f` up to `n` items picked at random, only those whose stored tag has a bit of `tag_mask` if that is not 0. Looks at
    /// a bounded number of buckets, so it may find fewer than `n`, and may show an item twice. Returns how many were shown.
    ///
    /// One item is taken from a bucket. To take more would be cheaper and no less random at first sight, but a choice among
    /// neighbours is a poor one to evict by: measured as the hit rate of a cache, it costs more than a point.
    pub fn sample(&self, rng: &mut dyn FnMut() -> u64, n: usize, tag_mask: u8, f: &mut dyn FnMut(&T)) -> usize {
        const AT_ONCE: usize = 8;
        if self.len == 0 {
            return 0;
        }
        let mut shown = 0;
        let mut tries = n.saturating_mul(4).saturating_add(32);
        while shown < n && tries > 0 {
            let width = (n - shown).min(AT_ONCE);
            tries = tries.saturating_sub(width);
            let (mut picks, mut words) = ([(0, 0); AT_ONCE], [0; AT_ONCE]);
            for (pick, random) in &mut picks[..width] {
                *random = rng();
                // By a random hash, as a bucket that is yet to be split has twice the items of one that was.
                *pick = self.bucket_of(*random);
                prefetch(self.bucket(*pick).as_ptr().cast());
            }
            let mut found = 0;
            for &(pick, random) in &picks[..width] {
                if let Some(word) = self.any_tagged(pick, random.rotate_left(32), tag_mask) {
                    prefetch(address(word));
                    words[found] = word;
                    found += 1;
                }
            }
            words[..found].iter().for_each(|word| f(&self.borrow(*word)));
            shown += found;
        }
        shown
    }

    /// The word of an item of a bucket and its children, chosen by a random number among those whose tag has a bit of
    /// `tag_mask`; among all if that is 0.
    fn any_tagged(&self, index: usize, random: u64, tag_mask: u8) -> Option<u64> {
        let chain = || {
            std::iter::successors(Some(self.bucket(index)), |bucket| {
                // SAFETY: a bucket of the table, which is borrowed.
                unsafe { bucket.as_ref() }.child()
            })
        };
        // SAFETY: as above.
        let candidates = |bucket: NonNull<Bucket>| tagged(unsafe { bucket.as_ref() }, tag_mask);
        let count: u32 = chain().map(|bucket| candidates(bucket).count_ones()).sum();
        let mut left = below(random, count as usize);
        for bucket in chain() {
            let slots = candidates(bucket);
            match Slots(slots).nth(left) {
                // SAFETY: as above.
                Some(slot) => return Some(unsafe { bucket.as_ref() }.word(slot)),
                None => left -= slots.count_ones() as usize,
            }
        }
        None
    }

    /// Shows `f` items whose stored tag has a bit of `tag_mask`, in the order of the buckets from `*cursor` on, until `n` were
    /// shown (the rest of a bucket is shown too), or one if that took `buckets` buckets. Goes once around the table at the most and leaves the cursor behind the
    /// last bucket seen. For tags that too few items have for [`Table::sample`]. Returns how many were shown.
    pub fn seek(&self, cursor: &mut usize, n: usize, buckets: usize, tag_mask: u8, f: &mut dyn FnMut(&T)) -> usize {
        let (mut shown, mut looked) = (0, 0);
        while looked < self.buckets && shown < n && (shown == 0 || looked < buckets) {
            let index = if *cursor < self.buckets { *cursor } else { 0 };
            let mut at = Some(self.bucket(index));
            while let Some(bucket) = at {
                // SAFETY: a bucket of the table, which is borrowed.
                let bucket = unsafe { bucket.as_ref() };
                for slot in Slots(tagged(bucket, tag_mask)) {
                    f(&self.borrow(bucket.word(slot)));
                    shown += 1;
                }
                at = bucket.child();
            }
            *cursor = index + 1;
            looked += 1;
        }
        shown
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

/// An item that was taken from its slot and goes back into it, with what else the slot's word says, whatever happens.
struct Lent<T: Item> {
    item: ManuallyDrop<T>,
    bucket: NonNull<Bucket>,
    slot: usize,
    tags: u64,
}

impl<T: Item> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: the item is not used after this, which is the only time.
        let item = unsafe { ManuallyDrop::take(&mut self.item) };
        let word = into_word(item) & !TAG_MASK | self.tags;
        // SAFETY: the slot is the one that the item came from, in a table that is borrowed for writing.
        unsafe { self.bucket.as_mut() }.set_word(self.slot, word);
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
