//! The hash table behind the keyspace and behind large sets, hashes and sorted sets: linear hashing
//! over buckets of one cache line.
//!
//! A table of `n = 2^L + s` buckets has bucket `i < s` already split into `i` and `i + 2^L`; the
//! others wait their turn. An insert that brings the load above seven items a bucket splits exactly
//! one bucket, a removal that brings it below four merges the last bucket back. So there is no
//! second table, no resize that stops the world and no transient double memory: about eleven bytes
//! per item at every size. The buckets are the leaves of a trie over the low bits of the hash,
//! which is what the SCAN cursor walks (see [`Table::scan`]).
//!
//! Items are thin pointers that the table owns. A bucket keeps a byte of each item's hash, so that
//! a miss costs one cache line and a hit two. Nothing else of the hash is kept: a split computes it
//! again, which is why the bucket next in turn is prefetched an insert or two ahead.
//!
//! Witold Litwin, "Linear hashing: a new tool for file and table addressing" (1980).

mod bucket;
mod cut;
mod iter;
mod slot;
mod walk;

#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};

use super::chunks::{CHUNK_BYTES, Chunks};
use bucket::{Bucket, SHOWN, SLOTS, Slots, TAG_MASK, TAG_OF_ITEM, prefetch};
use cut::Cut;

pub use cut::CutOf;
pub use iter::{IntoIter, Iter};
pub use slot::{Occupied, Slot, Vacant};
pub use walk::Verdict;

/// An owned thin pointer that a slot can hold: the item lives behind it.
///
/// # Safety
/// - `into_raw` gives up ownership and returns an address that is a multiple of 8 and below 2^48;
///   `from_raw` of that address takes ownership back. Neither touches the item itself or panics.
/// - While one value owns the item the table makes further values of the same address by
///   `from_raw`, reads through them and forgets them. So `Self` must be nothing but the address, and
///   must not claim to be its only user (a `Box` does).
/// - `key` returns the same bytes for as long as the item is in a table, and does not panic.
pub unsafe trait Item: Sized {
    /// Gives up ownership of the item.
    fn into_raw(self) -> NonNull<u8>;

    /// Takes ownership of an item again.
    ///
    /// # Safety
    /// `raw` comes from `into_raw` and no other value owns the item, or else the result is
    /// forgotten, not dropped.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;

    /// What the item is found by.
    fn key(&self) -> &[u8];

    /// Two bits kept in the slot, readable without touching the item. They are stored when the
    /// item is put into the table or changed through a [`Slot`].
    fn tag(&self) -> u8 {
        0
    }
}

/// Items per bucket above which the table grows.
const GROW_LOAD: usize = 7;
/// Items per bucket below which it shrinks; well apart from the other, so that a table does not
/// breathe with every insert and removal.
const SHRINK_LOAD: usize = 4;
/// Buckets in a chunk. The first chunk is allocated in steps up to this size.
const CHUNK: usize = CHUNK_BYTES / size_of::<Bucket>();
const BUCKET_LAYOUT: Layout = Layout::new::<Bucket>();

const _: () = assert!(SHRINK_LOAD * 3 < GROW_LOAD * 2 && GROW_LOAD < SLOTS);

/// A hash table of owned items, unique by key. See the module's documentation for the shape.
///
/// Every operation does a bounded amount of work, except [`Table::reserve`] on a table with items,
/// [`Table::clear`] and dropping.
pub struct Table<T: Item> {
    secrets: RapidSecrets,
    /// Chunk 0, `first_capacity` buckets; dangling while that is 0.
    first: NonNull<Bucket>,
    first_capacity: u32,
    /// No chain is longer than this, counted in buckets. Falls back to 1 when there are no
    /// children.
    longest_chain: u32,
    /// Chunks 1 and up.
    rest: Chunks,
    buckets: usize,
    /// `2^(L+1) - 1`.
    mask: usize,
    len: usize,
    children: usize,
    /// The mark of a bucket that has nothing to show to the cut, see `cut.rs`.
    mark: u8,
    cut: Option<Box<Cut<T>>>,
    items: PhantomData<T>,
}

/// The hash function of a table, apart from it.
#[derive(Clone, Copy)]
pub struct KeyHash(RapidSecrets);

impl KeyHash {
    /// What [`Table::hash`] gives for this key.
    #[inline]
    pub fn of(&self, key: &[u8]) -> u64 {
        rapidhash_v3_micro_inline::<true, false>(key, &self.0)
    }
}

/// A borrowed item.
pub struct Ref<'a, T: Item> {
    item: ManuallyDrop<T>,
    table: PhantomData<&'a T>,
}

impl<T: Item> Deref for Ref<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.item
    }
}

/// Where an item is: a bucket of the chain that starts at `head`.
#[derive(Clone, Copy)]
struct Place {
    head: NonNull<Bucket>,
    bucket: NonNull<Bucket>,
    slot: usize,
}

impl<T: Item> Table<T> {
    /// An empty table that gives keys the same hashes as this one.
    pub fn like(&self) -> Self {
        Self::with_secrets(self.secrets)
    }

    /// An empty table, which allocates nothing. `seed` keys the hash: tables of the same seed give
    /// a key the same hash, and who does not know the seed cannot make keys collide.
    pub fn new(seed: u64) -> Self {
        Self::with_secrets(RapidSecrets::seed(seed))
    }

    /// An empty table with room for `items`.
    pub fn with_capacity(seed: u64, items: usize) -> Self {
        let mut table = Self::new(seed);
        table.reserve(items);
        table
    }

    /// Makes room for `items` in total, so that inserting up to there splits nothing. Cheap on an
    /// empty table; otherwise every bucket is split that needs to be. The room is kept until items
    /// are removed (or [`Table::maintain`]). Nine bytes an item are mapped at once, so a count that
    /// comes from a file or a peer must be capped first.
    pub fn reserve(&mut self, items: usize) {
        let wanted = items.div_ceil(GROW_LOAD);
        self.rest.reserve(wanted.div_ceil(CHUNK).saturating_sub(1));
        if self.len > 0 {
            while self.buckets < wanted {
                self.split();
            }
        } else if self.buckets < wanted {
            self.set_first_capacity(first_capacity_for(wanted));
            while CHUNK * (1 + self.rest.len()) < wanted {
                self.rest.push_cold();
            }
            self.set_buckets(wanted);
            self.mark_all();
        }
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many buckets there are, children not counted. Indices below this are valid for
    /// [`Table::bucket_items`].
    #[inline]
    pub fn bucket_count(&self) -> usize {
        self.buckets
    }

    /// Growth has paused: gives back memory that was made ready for more of it.
    pub fn settle(&mut self) {
        self.rest.settle();
    }

    /// Bytes of the buckets, the child buckets and the directory; neither the items nor this
    /// struct.
    pub fn memory_bytes(&self) -> usize {
        (self.first_capacity as usize + self.children) * size_of::<Bucket>() + self.rest.memory_bytes()
    }

    /// The hash of a key, which the other functions want. It is good for every table of the same
    /// seed.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_micro_inline::<true, false>(key, &self.secrets)
    }

    /// The hash function of this table.
    pub fn key_hash(&self) -> KeyHash {
        KeyHash(self.secrets)
    }

    /// Asks for the bucket of a key without waiting for it: the first step of a batch of lookups.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if self.buckets > 0 {
            prefetch(self.bucket(self.bucket_of(hash)).as_ptr().cast());
        }
    }

    /// Asks for the items that may be the key, once their bucket has arrived: the second step.
    #[inline]
    pub fn prefetch_items(&self, hash: u64) {
        if self.len == 0 {
            return;
        }
        // SAFETY: the bucket is in the table, and nobody writes to it while the table is borrowed.
        let bucket = unsafe { self.bucket(self.bucket_of(hash)).as_ref() };
        for slot in Slots(bucket.matches(fingerprint(hash))) {
            prefetch(address(bucket.word(slot)));
        }
        if let Some(child) = bucket.child() {
            prefetch(child.as_ptr().cast());
        }
    }

    /// The item of a key. `hash` is [`Table::hash`] of it.
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<Ref<'_, T>> {
        let place = self.find(hash, key)?;
        // SAFETY: `find` returns a used slot of this table.
        Some(self.borrow(unsafe { place.bucket.as_ref() }.word(place.slot)))
    }

    /// Shows `f` all items whose keys have this hash: as good as always one, if it comes from a key that is there.
    pub fn items_of_hash(&self, hash: u64, f: &mut dyn FnMut(&T)) {
        if self.len == 0 {
            return;
        }
        let mut at = Some(self.bucket(self.bucket_of(hash)));
        while let Some(bucket) = at {
            // SAFETY: a bucket of this table, to which nobody writes while the table is borrowed.
            let bucket = unsafe { bucket.as_ref() };
            for slot in Slots(bucket.matches(fingerprint(hash))) {
                let item = self.borrow(bucket.word(slot));
                if self.hash(item.key()) == hash {
                    f(&item);
                }
            }
            at = bucket.child();
        }
    }

    /// The place of a key, to change, insert or remove its item.
    #[inline]
    pub fn slot(&mut self, hash: u64, key: &[u8]) -> Slot<'_, T> {
        match self.find(hash, key) {
            Some(place) => Slot::Occupied(Occupied::new(self, place)),
            None => Slot::Vacant(Vacant::new(self, hash)),
        }
    }

    /// Inserts an item whose key the caller knows to be absent. A key inserted twice would be in
    /// the table twice.
    #[inline]
    pub fn insert_unique(&mut self, hash: u64, item: T) {
        debug_assert_eq!(hash, self.hash(item.key()));
        if self.buckets == 0 {
            self.set_first_capacity(1);
            self.set_buckets(1);
            self.mark_all();
        }
        let head = self.bucket(self.bucket_of(hash));
        let word = into_word(item) | self.newcomer(head);
        self.push(head, fingerprint(hash), word);
        self.len += 1;
        let room = self.buckets * GROW_LOAD;
        if self.len > room {
            self.split();
        } else if self.len + 3 == room {
            // A few inserts on this bucket will be split, which needs the keys of its items.
            self.prefetch_chain(self.next_to_split());
        } else if self.len + 1 == room {
            // By now its child has arrived.
            // SAFETY: a bucket of this table, to which nobody writes meanwhile.
            if let Some(child) = unsafe { self.next_to_split().as_ref() }.child() {
                self.prefetch_chain(child);
            }
        }
    }

    /// Removes the item of a key and returns it.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<T> {
        let place = self.find(hash, key)?;
        Some(self.remove_at(place))
    }

    /// Drops all items and returns all memory.
    pub fn clear(&mut self) {
        *self = Self::with_secrets(self.secrets);
    }

    /// Leaves an empty table behind and hands out the items of the old one. Detaching is quick
    /// whatever the size; the iterator may be dropped in another thread, or worked off in slices.
    pub fn drain(&mut self) -> IntoIter<T> {
        let empty = Self::with_secrets(self.secrets);
        std::mem::replace(self, empty).into_iter()
    }

    /// Merges up to `budget_buckets` buckets that are due, and tells whether to go on: false when
    /// none is due any more or the next may not be merged yet (see [`Table::begin_cut`]). Removals
    /// through a [`Slot`] or [`Table::remove`] keep up by themselves; this is for a table that
    /// reserved too much or was held up.
    pub fn maintain(&mut self, budget_buckets: usize) -> bool {
        for _ in 0..budget_buckets {
            if !self.shrink() {
                return false;
            }
        }
        self.shrink_is_due()
    }

    /// The bucket a hash belongs to.
    #[inline(always)]
    pub fn bucket_of(&self, hash: u64) -> usize {
        let index = hash as usize & self.mask;
        if index >= self.buckets { index & (self.mask >> 1) } else { index }
    }

    fn with_secrets(secrets: RapidSecrets) -> Self {
        Self {
            secrets,
            first: NonNull::dangling(),
            first_capacity: 0,
            longest_chain: 1,
            rest: Chunks::new(),
            buckets: 0,
            mask: 0,
            len: 0,
            children: 0,
            mark: 0,
            cut: None,
            items: PhantomData,
        }
    }

    /// The address of a bucket, which must be below the capacity.
    #[inline(always)]
    fn bucket(&self, index: usize) -> NonNull<Bucket> {
        if index < CHUNK {
            debug_assert!(index < self.first_capacity as usize);
            // SAFETY: buckets below CHUNK are in the first chunk, which has room for all that
            // exist.
            unsafe { self.first.add(index) }
        } else {
            // SAFETY: buckets are counted only once their chunk is there, and a chunk holds CHUNK
            // of them.
            unsafe { self.rest.get(index / CHUNK - 1).cast::<Bucket>().add(index % CHUNK) }
        }
    }

    #[inline(always)]
    fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        if self.len == 0 {
            return None;
        }
        let fp = fingerprint(hash);
        let head = self.bucket(self.bucket_of(hash));
        let mut at = head;
        loop {
            // SAFETY: `at` is a bucket of this table, and nobody writes to it while the table is
            // borrowed.
            let bucket = unsafe { at.as_ref() };
            for slot in Slots(bucket.matches(fp)) {
                if self.borrow(bucket.word(slot)).key() == key {
                    return Some(Place { head, bucket: at, slot });
                }
            }
            at = bucket.child()?;
        }
    }

    /// A slot's word as an item, borrowed from the table.
    #[inline(always)]
    fn borrow(&self, word: u64) -> Ref<'_, T> {
        Ref { item: ManuallyDrop::new(from_word(word)), table: PhantomData }
    }

    /// Puts a word into the first free slot of a chain, which gets another bucket when there is
    /// none.
    #[inline]
    fn push(&mut self, head: NonNull<Bucket>, fp: u8, word: u64) {
        let mut at = head;
        let mut length = 1;
        loop {
            // SAFETY: `at` is a bucket of this table, and this is the only reference to it.
            let bucket = unsafe { at.as_mut() };
            let free = bucket.free();
            if free != 0 {
                bucket.put(free.trailing_zeros() as usize, fp, word);
                return;
            }
            length += 1;
            match bucket.child() {
                Some(child) => at = child,
                None => {
                    let mut child = self.new_child();
                    let (moved_fp, moved) = bucket.take(SLOTS - 1);
                    bucket.link(child);
                    // SAFETY: the child is fresh, nothing else refers to it.
                    let child = unsafe { child.as_mut() };
                    child.put(0, moved_fp, moved);
                    child.put(1, fp, word);
                    self.longest_chain = self.longest_chain.max(length);
                    return;
                }
            }
        }
    }

    #[inline]
    fn remove_at(&mut self, place: Place) -> T {
        debug_assert!(!self.is_due(place), "an item of the cut is taken away unseen");
        let item = self.take_out(place.bucket, place.slot);
        self.compact(place.head);
        self.shrink();
        item
    }

    /// Empties a used slot of this table, leaving a hole.
    #[inline]
    fn take_out(&mut self, mut bucket: NonNull<Bucket>, slot: usize) -> T {
        // SAFETY: the bucket is in the table, and this is the only reference to it.
        let (_, word) = unsafe { bucket.as_mut() }.take(slot);
        self.len -= 1;
        from_word(word)
    }

    /// Closes the holes of a chain from its end, so that it is never longer than it needs to be.
    #[inline]
    fn compact(&mut self, head: NonNull<Bucket>) {
        // SAFETY: the head is in the table; the reference ends here.
        if unsafe { head.as_ref() }.is_chained() {
            self.compact_chain(head);
        }
    }

    fn compact_chain(&mut self, head: NonNull<Bucket>) {
        loop {
            // The last bucket, the one before it, and the first with a hole before the last.
            let mut before = None;
            let mut hole = None;
            let mut last = head;
            loop {
                // SAFETY: here and below, all are buckets of this table, and while a reference to
                // one is alive there is no other.
                let bucket = unsafe { last.as_ref() };
                let Some(child) = bucket.child() else { break };
                if hole.is_none() && bucket.free() != 0 {
                    hole = Some(last);
                }
                before = Some(last);
                last = child;
            }
            let Some(mut before) = before else { return };
            // SAFETY: see above.
            let used = unsafe { last.as_ref() }.used();
            if used == 0 {
                // SAFETY: see above; the child is empty and has no child, so it can go.
                unsafe { before.as_mut() }.unlink();
                self.free_child(last);
            } else if let Some(mut hole) = hole {
                // SAFETY: see above; `hole` comes before `last`.
                let (fp, word) = unsafe { last.as_mut() }.take(used.trailing_zeros() as usize);
                // SAFETY: see above.
                let hole = unsafe { hole.as_mut() };
                hole.put(hole.free().trailing_zeros() as usize, fp, word);
            } else if used.is_power_of_two() {
                // A single item fits where the link is.
                // SAFETY: see above.
                let (fp, word) = unsafe { last.as_mut() }.take(used.trailing_zeros() as usize);
                // SAFETY: see above.
                let before = unsafe { before.as_mut() };
                before.unlink();
                before.put(SLOTS - 1, fp, word);
                self.free_child(last);
                return;
            } else {
                return;
            }
        }
    }

    /// Splits the bucket whose turn it is.
    #[cold]
    #[inline(never)]
    fn split(&mut self) {
        let target = self.buckets;
        if target == 0 {
            self.set_first_capacity(1);
            self.set_buckets(1);
            self.mark_all();
            return;
        }
        if target < CHUNK {
            if target >= self.first_capacity as usize {
                self.set_first_capacity(first_capacity_for(target + 1));
            }
        } else if target.is_multiple_of(CHUNK) {
            self.rest.push();
        }
        let bit = self.mask / 2 + 1;
        let source = target - bit;
        self.set_buckets(target + 1);
        let (head, mut new) = (self.bucket(source), self.bucket(target));
        self.prefetch_chain(head);
        // SAFETY: two different buckets of the table, each referred to once.
        unsafe { new.as_mut().begin(head.as_ref().epoch()) };
        let mut moved = false;
        let mut at = Some(head);
        while let Some(mut bucket) = at {
            // SAFETY: a bucket of the source's chain; the reference ends with the statement.
            for slot in Slots(unsafe { bucket.as_ref() }.used()) {
                // SAFETY: the same.
                let word = unsafe { bucket.as_ref() }.word(slot);
                if self.hash(self.borrow(word).key()) as usize & bit != 0 {
                    // SAFETY: the same; `push` works on the target's chain, which shares no bucket
                    // with this one.
                    let (fp, word) = unsafe { bucket.as_mut() }.take(slot);
                    self.push(new, fp, word);
                    moved = true;
                }
            }
            // SAFETY: the same.
            at = unsafe { bucket.as_ref() }.child();
        }
        if moved {
            self.compact(head);
        }
        // The next bucket's cache line is asked for now, its items a few inserts on.
        prefetch(self.next_to_split().as_ptr().cast());
    }

    #[inline]
    fn next_to_split(&self) -> NonNull<Bucket> {
        self.bucket(self.buckets - (self.mask / 2 + 1))
    }

    fn shrink_is_due(&self) -> bool {
        self.buckets > 1 && self.len < (self.buckets - 1) * SHRINK_LOAD
    }

    /// Merges the last bucket into the one it was split from, if that is due and may be done.
    #[inline]
    fn shrink(&mut self) -> bool {
        self.shrink_is_due() && self.merge()
    }

    fn merge(&mut self) -> bool {
        let source = self.buckets - 1;
        let target = source ^ (1 << source.ilog2());
        let (mut head, into) = (self.bucket(source), self.bucket(target));
        // SAFETY: two buckets of the table, and no reference outlives the statement.
        if unsafe { head.as_ref().epoch() != into.as_ref().epoch() } {
            return false;
        }
        self.set_buckets(source);
        // No key is needed here: the fingerprint does not depend on the bucket.
        let mut at = Some(head);
        while let Some(mut bucket) = at {
            // SAFETY: a bucket of the source's chain, referred to once at a time; `push` works on
            // the target's chain.
            for slot in Slots(unsafe { bucket.as_ref() }.used()) {
                // SAFETY: the same.
                let (fp, word) = unsafe { bucket.as_mut() }.take(slot);
                self.push(into, fp, word);
            }
            // SAFETY: the same.
            at = unsafe { bucket.as_ref() }.child();
            if bucket != head {
                self.free_child(bucket);
            }
        }
        // SAFETY: the same. Buckets beyond the last are all zeroes, epoch included.
        unsafe { *head.as_mut() = Bucket::EMPTY };
        if source >= CHUNK {
            if source.is_multiple_of(CHUNK) {
                self.rest.pop();
            }
        } else if source * 2 <= self.first_capacity as usize {
            self.set_first_capacity(first_capacity_for(source));
        }
        true
    }

    #[inline(always)]
    fn set_buckets(&mut self, buckets: usize) {
        self.buckets = buckets;
        self.mask = (2 << buckets.ilog2()) - 1;
    }

    /// Asks for all items of a chain's first bucket, and for the next bucket.
    #[inline]
    fn prefetch_chain(&self, head: NonNull<Bucket>) {
        // SAFETY: a bucket of this table, to which nobody writes while the table is borrowed.
        let bucket = unsafe { head.as_ref() };
        for slot in Slots(bucket.used()) {
            prefetch(address(bucket.word(slot)));
        }
        if let Some(child) = bucket.child() {
            prefetch(child.as_ptr().cast());
        }
    }

    /// Grows or shrinks the first chunk's memory; what is added is zeroed. The buckets in use must
    /// fit.
    fn set_first_capacity(&mut self, capacity: usize) {
        debug_assert!(capacity >= self.buckets.min(CHUNK));
        let old = self.first_capacity as usize;
        if capacity == old {
            return;
        }
        let layout = first_layout(capacity);
        // SAFETY: the layouts are not empty; `first` was allocated with the old one.
        let memory = unsafe {
            match old {
                0 => alloc_zeroed(layout),
                _ => realloc(self.first.as_ptr().cast(), first_layout(old), layout.size()),
            }
        };
        let Some(memory) = NonNull::new(memory.cast::<Bucket>()) else { handle_alloc_error(layout) };
        if old > 0 && capacity > old {
            // SAFETY: these buckets were just added.
            unsafe { memory.add(old).as_ptr().write_bytes(0, capacity - old) };
        }
        self.first = memory;
        self.first_capacity = capacity as u32;
    }

    /// Children come from the allocator one by one: a size of one cache line, aligned to it, is a
    /// class of its own there and wastes nothing.
    fn new_child(&mut self) -> NonNull<Bucket> {
        // SAFETY: the layout is not empty.
        let Some(child) = NonNull::new(unsafe { alloc_zeroed(BUCKET_LAYOUT) }.cast()) else { handle_alloc_error(BUCKET_LAYOUT) };
        self.children += 1;
        child
    }

    /// Frees a child that nothing links to any more.
    fn free_child(&mut self, child: NonNull<Bucket>) {
        self.children -= 1;
        if self.children == 0 {
            self.longest_chain = 1;
        }
        // SAFETY: children come from `new_child`.
        unsafe { dealloc(child.as_ptr().cast(), BUCKET_LAYOUT) };
    }
}

impl<T: Item> Drop for Table<T> {
    fn drop(&mut self) {
        for index in 0..self.buckets {
            if index + 1 < self.buckets {
                self.prefetch_chain(self.bucket(index + 1));
            }
            let head = self.bucket(index);
            let mut at = Some(head);
            while let Some(bucket) = at {
                // SAFETY: a bucket of this table; the reference ends with the statement.
                for slot in Slots(unsafe { bucket.as_ref() }.used()) {
                    drop(self.take_out(bucket, slot));
                }
                // SAFETY: the same.
                at = unsafe { bucket.as_ref() }.child();
                if bucket != head {
                    self.free_child(bucket);
                }
            }
        }
        if self.first_capacity > 0 {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.first.as_ptr().cast(), first_layout(self.first_capacity as usize)) };
        }
    }
}

// SAFETY: the table owns its items and its memory, and no part of it is tied to a thread.
unsafe impl<T: Item + Send> Send for Table<T> {}
// SAFETY: through a shared table only shared items are reached.
unsafe impl<T: Item + Sync> Sync for Table<T> {}

/// A byte of the hash that the bucket index does not use, mapped to 1..=255.
#[inline(always)]
fn fingerprint(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

/// What a slot stores of an item.
#[inline(always)]
fn into_word<T: Item>(item: T) -> u64 {
    let tag = u64::from(item.tag()) & TAG_OF_ITEM;
    let address = item.into_raw().as_ptr().expose_provenance() as u64;
    debug_assert!(address & TAG_MASK == 0 && address >> 48 == 0, "an item's address must leave room for its tag");
    address | tag
}

/// The item of a slot's word. The caller sees to it that only one such value is dropped.
#[inline(always)]
fn from_word<T: Item>(word: u64) -> T {
    // SAFETY: words of used slots come from `into_word`, so they are not null.
    unsafe { T::from_raw(NonNull::new_unchecked(address(word).cast_mut())) }
}

#[inline(always)]
fn address(word: u64) -> *const u8 {
    std::ptr::with_exposed_provenance((word & !TAG_MASK) as usize)
}

/// The size of the first chunk for `buckets`: 1, 2, 3, 4, 6, 8, 12, 16 and so on, so that at most a
/// third is spare.
fn first_capacity_for(buckets: usize) -> usize {
    let above = buckets.next_power_of_two().min(CHUNK);
    let step = above / 4 * 3;
    if step >= buckets { step } else { above }
}

fn first_layout(capacity: usize) -> Layout {
    Layout::array::<Bucket>(capacity).expect("at most CHUNK buckets")
}
