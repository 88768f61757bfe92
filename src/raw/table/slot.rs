//! The place of one key, looked up once and then read, changed, filled or emptied.

use super::{Item, Place, Ref, SHOWN, Table, into_word};

/// What [`Table::slot`] found.
pub enum Slot<'a, T: Item> {
    /// The key is in the table.
    Occupied(Occupied<'a, T>),
    /// It is not.
    Vacant(Vacant<'a, T>),
}

/// The place of a key that is in the table.
pub struct Occupied<'a, T: Item> {
    table: &'a mut Table<T>,
    place: Place,
}

/// The place of a key that is not in the table.
pub struct Vacant<'a, T: Item> {
    table: &'a mut Table<T>,
    hash: u64,
}

impl<'a, T: Item> Occupied<'a, T> {
    #[inline(always)]
    pub(super) fn new(table: &'a mut Table<T>, place: Place) -> Self {
        Self { table, place }
    }

    /// The item.
    #[inline]
    pub fn get(&self) -> Ref<'_, T> {
        self.table.borrow(self.word())
    }

    /// The item, for as long as the table stays borrowed.
    #[inline]
    pub fn into_ref(self) -> Ref<'a, T> {
        let word = self.word();
        let table: &'a Table<T> = self.table;
        table.borrow(word)
    }

    /// Takes the item out, stores what `change` makes of it (with its new address and tag) and
    /// returns what else it returns. The key must stay the same. If `change` panics the item is
    /// gone from the table.
    #[inline]
    pub fn update<R>(&mut self, change: impl FnOnce(T) -> (T, R)) -> R {
        let fp = self.fingerprint();
        let shown = self.word() & SHOWN;
        let old = self.table.take_out(self.place.bucket, self.place.slot);
        let (new, result) = change(old);
        debug_assert_eq!(super::fingerprint(self.table.hash(new.key())), fp, "an update must keep the key");
        self.put(fp, new, shown);
        result
    }

    /// Changes the item through a mutable reference; its address and tag are stored again
    /// afterwards. The key must stay the same. If `change` panics the item is gone from the table.
    #[inline]
    pub fn with_mut<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        self.update(|mut item| {
            let result = change(&mut item);
            (item, result)
        })
    }

    /// Puts another item of the same key in the old one's place and returns the old one.
    #[inline]
    pub fn replace(&mut self, new: T) -> T {
        self.update(|old| (new, old))
    }

    /// Stores the item's tag again, after it has changed behind the table's back.
    #[inline]
    pub fn retag(&mut self) {
        self.with_mut(|_| ());
    }

    /// Whether the item belongs to the table's cut and has yet to be shown to it.
    #[inline]
    pub fn is_due(&self) -> bool {
        self.table.is_due(self.place)
    }

    /// The item has been shown to the cut now, or is not to be: it may change and go.
    pub fn set_shown(&mut self) {
        self.table.set_shown(self.place);
    }

    /// Takes the item out of the table for good.
    #[inline]
    pub fn remove(self) -> T {
        self.table.remove_at(self.place)
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        // SAFETY: the place is a used slot of the table, which is borrowed.
        unsafe { self.place.bucket.as_ref() }.word(self.place.slot)
    }

    #[inline(always)]
    fn fingerprint(&self) -> u8 {
        // SAFETY: as in `word`.
        unsafe { self.place.bucket.as_ref() }.fingerprint(self.place.slot)
    }

    #[inline(always)]
    fn put(&mut self, fp: u8, item: T, shown: u64) {
        let word = into_word(item) | shown;
        // SAFETY: the bucket is in the table, which is borrowed for writing; the slot was emptied
        // just before.
        unsafe { self.place.bucket.as_mut() }.put(self.place.slot, fp, word);
        self.table.len += 1;
    }
}

impl<'a, T: Item> Vacant<'a, T> {
    #[inline(always)]
    pub(super) fn new(table: &'a mut Table<T>, hash: u64) -> Self {
        Self { table, hash }
    }

    /// Inserts an item, whose key must be the one looked up.
    #[inline]
    pub fn insert(self, item: T) {
        self.table.insert_unique(self.hash, item);
    }
}
