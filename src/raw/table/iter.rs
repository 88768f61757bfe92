//! Walking all items in the order of the buckets, borrowed or owned, with the next bucket's items
//! already on their way.

use std::iter::FusedIterator;
use std::ptr::NonNull;

use super::bucket::{Bucket, Slots};
use super::{Item, Ref, Table};

/// All items of a table, in no order that means anything.
pub struct Iter<'a, T: Item> {
    table: &'a Table<T>,
    /// The bucket being emitted, maybe a child, and its slots still to come.
    current: Option<NonNull<Bucket>>,
    slots: Slots,
    /// The index of the bucket after the current chain.
    next: usize,
    left: usize,
}

/// The items of a table that is being taken apart. Dropping it drops those not yet taken.
pub struct IntoIter<T: Item> {
    table: Table<T>,
    next: usize,
}

impl<T: Item> Table<T> {
    /// All items, each exactly once.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { table: self, current: None, slots: Slots(0), next: 0, left: self.len }
    }

    /// Asks for the items of bucket `index`, if there is such a bucket.
    #[inline]
    pub(super) fn prefetch_index(&self, index: usize) {
        if index < self.buckets {
            self.prefetch_chain(self.bucket(index));
        }
    }
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = Ref<'a, T>;

    #[inline]
    fn next(&mut self) -> Option<Ref<'a, T>> {
        loop {
            if let Some(current) = self.current {
                // SAFETY: a bucket of the table, which is borrowed.
                let bucket = unsafe { current.as_ref() };
                if let Some(slot) = self.slots.next() {
                    self.left -= 1;
                    return Some(self.table.borrow(bucket.word(slot)));
                }
                self.current = bucket.child();
            }
            if self.current.is_none() {
                if self.next >= self.table.buckets {
                    return None;
                }
                self.current = Some(self.table.bucket(self.next));
                self.next += 1;
                self.table.prefetch_index(self.next);
            }
            // SAFETY: a bucket of the table, which is borrowed.
            self.slots = Slots(self.current.map_or(0, |bucket| unsafe { bucket.as_ref() }.used()));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Item> ExactSizeIterator for Iter<'_, T> {}
impl<T: Item> FusedIterator for Iter<'_, T> {}

impl<'a, T: Item> IntoIterator for &'a Table<T> {
    type Item = Ref<'a, T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Item> IntoIterator for Table<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { table: self, next: 0 }
    }
}

impl<T: Item> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.table.len > 0 && self.next < self.table.buckets {
            let mut at = Some(self.table.bucket(self.next));
            while let Some(bucket) = at {
                // SAFETY: a bucket of the table, which this iterator owns; the reference ends
                // before the slot is emptied.
                let (used, child) = unsafe { (bucket.as_ref().used(), bucket.as_ref().child()) };
                if let Some(slot) = Slots(used).next() {
                    return Some(self.table.take_out(bucket, slot));
                }
                at = child;
            }
            self.next += 1;
            self.table.prefetch_index(self.next + 1);
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.table.len, Some(self.table.len))
    }
}

impl<T: Item> ExactSizeIterator for IntoIter<T> {}
impl<T: Item> FusedIterator for IntoIter<T> {}
