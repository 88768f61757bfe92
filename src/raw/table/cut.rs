//! The items as they were at one moment, shown bit by bit while the table goes on changing: what a snapshot is made of.
//!
//! A cut begins in no time, whatever the size. From then on [`Table::cut_step`] shows the items bucket by bucket, each
//! exactly once as far as it was there when the cut began, and who is about to change or remove an item that has yet
//! to be shown shows it first ([`Occupied::is_due`](super::Occupied::is_due)).
//!
//! Every bucket has a mark of three bits. Without a cut all have the table's own. A cut begins by changing the table's,
//! which makes all buckets differ from it; a bucket that was walked gets it. A split hands the mark on to both halves, and
//! buckets with different marks are not merged, so that no item slips from one side to the other. In a bucket yet to
//! be walked single items can be out of the walk: those that came after the cut began, and those shown before their
//! turn because they were about to change. Such a slot is flagged, and the walk takes the flag away again.

use std::ptr::NonNull;

use super::bucket::{Bucket, SHOWN, Slots};
use super::{Item, Place, Table};

/// What a table knows of its cut.
pub(super) struct Cut<T> {
    /// The walk's next bucket: all before it are walked.
    next: usize,
    /// Copies of items that changed before their turn, where the owner of the table keeps such.
    kept: Vec<T>,
    /// What whoever began the cut knows it by.
    label: u32,
}

/// A table that is lent for the sake of its cut: whoever has it can begin, walk and end one, and nothing else.
pub struct CutOf<'a, T: Item>(&'a mut Table<T>);

impl<'a, T: Item> CutOf<'a, T> {
    /// Lends a table so.
    pub fn new(table: &'a mut Table<T>) -> Self {
        CutOf(table)
    }

    /// See [`Table::cut_label`].
    pub fn label(&self) -> Option<u32> {
        self.0.cut_label()
    }

    /// See [`Table::begin_cut`].
    pub fn begin(&mut self, label: u32) {
        self.0.begin_cut(label);
    }

    /// See [`Table::cut_step`].
    pub fn step(&mut self, buckets: usize, f: &mut dyn FnMut(&T)) -> bool {
        self.0.cut_step(buckets, f)
    }

    /// See [`Table::take_kept`].
    pub fn take_kept(&mut self) -> Vec<T> {
        self.0.take_kept()
    }

    /// See [`Table::end_cut`].
    pub fn end(&mut self) {
        self.0.end_cut();
    }
}

impl<T: Item> Table<T> {
    /// Begins a cut: from now on the items of this moment can be walked with [`Table::cut_step`]. Until [`Table::end_cut`]
    /// whoever changes or removes an item that [is due](super::Occupied::is_due) must show it to the cut first. `label` is
    /// given back by [`Table::cut_label`].
    ///
    /// # Panics
    /// If there is a cut already.
    pub fn begin_cut(&mut self, label: u32) {
        assert!(self.cut.is_none(), "one cut at a time");
        self.mark = (self.mark + 1) & Bucket::EPOCH_MAX;
        self.cut = Some(Box::new(Cut { next: 0, kept: Vec::new(), label }));
    }

    /// Whether there is a cut.
    #[inline(always)]
    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// The label of the cut, if there is one.
    pub fn cut_label(&self) -> Option<u32> {
        self.cut.as_ref().map(|cut| cut.label)
    }

    /// Shows `f` the items of the cut in the next few buckets, as far as they were not shown yet, and returns whether
    /// that was all of them. True without a cut.
    pub fn cut_step(&mut self, buckets: usize, f: &mut dyn FnMut(&T)) -> bool {
        const AHEAD: usize = 2;
        let Some(cut) = &self.cut else { return true };
        let start = cut.next.min(self.buckets);
        let end = start.saturating_add(buckets).min(self.buckets);
        for index in start..end {
            if index + AHEAD < self.buckets {
                super::prefetch(self.bucket(index + AHEAD).as_ptr().cast());
            }
            self.prefetch_index(index + 1);
            let mut head = self.bucket(index);
            // SAFETY: a bucket of the table, which is borrowed for writing; the reference ends with the statement, here and
            // below.
            if unsafe { head.as_ref() }.epoch() == self.mark {
                continue;
            }
            let mut at = Some(head);
            while let Some(mut bucket) = at {
                // SAFETY: see above.
                for slot in Slots(unsafe { bucket.as_ref() }.used()) {
                    // SAFETY: see above.
                    let word = unsafe { bucket.as_ref() }.word(slot);
                    if word & SHOWN == 0 {
                        f(&self.borrow(word));
                    } else {
                        // SAFETY: see above.
                        unsafe { bucket.as_mut() }.set_word(slot, word & !SHOWN);
                    }
                }
                // SAFETY: see above.
                at = unsafe { bucket.as_ref() }.child();
            }
            // SAFETY: see above.
            unsafe { head.as_mut() }.set_epoch(self.mark);
        }
        if let Some(cut) = &mut self.cut {
            cut.next = end;
        }
        end == self.buckets
    }

    /// Ends the cut. What of it was not walked is passed over without being shown, which takes a moment in a large table.
    pub fn end_cut(&mut self) {
        while !self.cut_step(usize::MAX, &mut |_| ()) {}
        self.cut = None;
    }

    /// Keeps a copy of the key's item for [`Table::take_kept`] if it is due, so that the item can change.
    #[cold]
    pub fn keep(&mut self, hash: u64, key: &[u8])
    where
        T: Clone,
    {
        let Some(place) = self.find(hash, key) else { return };
        if !self.is_due(place) {
            return;
        }
        self.set_shown(place);
        // SAFETY: `find` returns a used slot of this table.
        let copy = T::clone(&self.borrow(unsafe { place.bucket.as_ref() }.word(place.slot)));
        if let Some(cut) = &mut self.cut {
            cut.kept.push(copy);
        }
    }

    /// Keeps an item that was due and is gone.
    pub fn keep_gone(&mut self, item: T) {
        if let Some(cut) = &mut self.cut {
            cut.kept.push(item);
        }
    }

    /// How many copies are kept.
    pub fn kept_len(&self) -> usize {
        self.cut.as_ref().map_or(0, |cut| cut.kept.len())
    }

    /// The copies kept since the last call.
    pub fn take_kept(&mut self) -> Vec<T> {
        self.cut.as_mut().map(|cut| std::mem::take(&mut cut.kept)).unwrap_or_default()
    }

    /// Whether the item of a used slot belongs to the cut and has yet to be shown.
    #[inline]
    pub(super) fn is_due(&self, place: Place) -> bool {
        if self.cut.is_none() {
            return false;
        }
        // SAFETY: buckets of this table, to which nobody writes while it is borrowed.
        let (epoch, word) = unsafe { (place.head.as_ref().epoch(), place.bucket.as_ref().word(place.slot)) };
        epoch != self.mark && word & SHOWN == 0
    }

    /// Flags the item of a used slot as shown, if its bucket is yet to be walked.
    pub(super) fn set_shown(&mut self, mut place: Place) {
        // SAFETY: buckets of this table, which is borrowed for writing; no reference outlives its statement.
        unsafe {
            if self.cut.is_some() && place.head.as_ref().epoch() != self.mark {
                let word = place.bucket.as_ref().word(place.slot);
                place.bucket.as_mut().set_word(place.slot, word | SHOWN);
            }
        }
    }

    /// The flag for an item that comes into this bucket now.
    #[inline(always)]
    pub(super) fn newcomer(&self, head: NonNull<Bucket>) -> u64 {
        // SAFETY: a bucket of this table, to which nobody writes while it is borrowed.
        if self.cut.is_some() && unsafe { head.as_ref() }.epoch() != self.mark { SHOWN } else { 0 }
    }

    /// Marks all buckets, of which there was none before: no cut has anything to find in them.
    pub(super) fn mark_all(&mut self) {
        if self.mark != 0 {
            for index in 0..self.buckets {
                // SAFETY: a bucket of the table, which is borrowed for writing.
                unsafe { self.bucket(index).as_mut() }.set_epoch(self.mark);
            }
        }
    }
}
