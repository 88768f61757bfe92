//! One cache line of the hash table: nine fingerprints and nine 48-bit tagged pointers.
//!
//! Byte 0 holds the flags, bytes 1 to 9 the fingerprints (0 marks a free slot), bytes 10 to 63 the
//! pointers, little endian. All fingerprints are compared at once, so a lookup that misses reads
//! this line and no other. When nine slots do not suffice the last one points to a child bucket of
//! the same shape; its fingerprint is then 0, so that searches need not know.

use std::ptr::NonNull;

/// Slots in a bucket.
pub(super) const SLOTS: usize = 9;
/// The slot that a chained bucket gives up for the pointer to its child.
const LINK: usize = SLOTS - 1;
/// One bit per slot.
const ALL: u32 = (1 << SLOTS) - 1;
/// Bits of a slot's word that are not address.
pub(super) const TAG_MASK: u64 = 7;
/// Those of them that hold the item's tag.
pub(super) const TAG_OF_ITEM: u64 = 3;
/// The other: the cut has been shown the item, or is not to be, see `cut.rs`.
pub(super) const SHOWN: u64 = 4;

const _: () = assert!(TAG_OF_ITEM | SHOWN == TAG_MASK && TAG_OF_ITEM & SHOWN == 0);

/// Flag: the last slot is the pointer to a child.
const CHAINED: u8 = 1;
const EPOCH_SHIFT: u8 = 1;
const EPOCH_MASK: u8 = Bucket::EPOCH_MAX;

/// A bucket. All zeroes is an empty one.
#[repr(C, align(64))]
pub(super) struct Bucket([u8; 64]);

const _: () = assert!(size_of::<Bucket>() == 64 && 10 + SLOTS * 6 == 64);

impl Bucket {
    pub(super) const EMPTY: Self = Self([0; 64]);
    /// The largest mark.
    pub(super) const EPOCH_MAX: u8 = 7;

    /// The slots whose fingerprint is `fp` (not 0), one bit each.
    #[inline(always)]
    pub(super) fn matches(&self, fp: u8) -> u32 {
        debug_assert_ne!(fp, 0);
        self.equal(fp)
    }

    /// The slots that hold an item, one bit each.
    #[inline(always)]
    pub(super) fn used(&self) -> u32 {
        !self.equal(0) & ALL
    }

    /// The slots that can take an item, one bit each.
    #[inline(always)]
    pub(super) fn free(&self) -> u32 {
        let mut free = self.equal(0);
        if self.is_chained() {
            free &= !(1 << LINK);
        }
        free
    }

    #[inline(always)]
    pub(super) fn fingerprint(&self, slot: usize) -> u8 {
        self.0[1 + slot]
    }

    /// The 48-bit pointer of a slot together with its tag.
    #[inline(always)]
    pub(super) fn word(&self, slot: usize) -> u64 {
        // Two bytes early, so that the last slot's eight bytes end with the bucket.
        let at = 8 + 6 * slot;
        let bytes: [u8; 8] = self.0[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes) >> 16
    }

    #[inline(always)]
    pub(super) fn set_word(&mut self, slot: usize, word: u64) {
        debug_assert_eq!(word >> 48, 0);
        let at = 10 + 6 * slot;
        self.0[at..at + 6].copy_from_slice(&word.to_le_bytes()[..6]);
    }

    #[inline(always)]
    pub(super) fn put(&mut self, slot: usize, fp: u8, word: u64) {
        debug_assert!(self.free() & (1 << slot) != 0 && fp != 0);
        self.0[1 + slot] = fp;
        self.set_word(slot, word);
    }

    /// Frees a slot, returning its fingerprint and word.
    #[inline(always)]
    pub(super) fn take(&mut self, slot: usize) -> (u8, u64) {
        debug_assert!(self.used() & (1 << slot) != 0);
        let taken = (self.fingerprint(slot), self.word(slot));
        self.0[1 + slot] = 0;
        self.set_word(slot, 0);
        taken
    }

    #[inline(always)]
    pub(super) fn is_chained(&self) -> bool {
        self.0[0] & CHAINED != 0
    }

    #[inline(always)]
    pub(super) fn child(&self) -> Option<NonNull<Bucket>> {
        if !self.is_chained() {
            return None;
        }
        NonNull::new(std::ptr::with_exposed_provenance_mut(self.word(LINK) as usize))
    }

    /// Makes the last slot, which must be free, the pointer to `child`.
    pub(super) fn link(&mut self, child: NonNull<Bucket>) {
        debug_assert!(!self.is_chained() && self.fingerprint(LINK) == 0);
        self.set_word(LINK, child.as_ptr().expose_provenance() as u64);
        self.0[0] |= CHAINED;
    }

    /// Forgets the child; the last slot is free again.
    pub(super) fn unlink(&mut self) {
        self.0[0] &= !CHAINED;
        self.set_word(LINK, 0);
    }

    pub(super) fn epoch(&self) -> u8 {
        (self.0[0] >> EPOCH_SHIFT) & EPOCH_MASK
    }

    /// Sets the mark of a bucket of zeroes. Its memory is often new, so it must not be read first: the kernel would lend a page of
    /// zeroes and, at the write a moment later, take it away from all cores again, which wait for each other there.
    pub(super) fn begin(&mut self, epoch: u8) {
        self.0[0] = (epoch & EPOCH_MASK) << EPOCH_SHIFT;
    }

    pub(super) fn set_epoch(&mut self, epoch: u8) {
        self.0[0] = (self.0[0] & !(EPOCH_MASK << EPOCH_SHIFT)) | ((epoch & EPOCH_MASK) << EPOCH_SHIFT);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn equal(&self, byte: u8) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8};
        // SAFETY: SSE2 is part of x86-64, and the first 16 bytes of a bucket are readable and
        // 64-aligned.
        let hits = unsafe {
            let line = _mm_load_si128(self.0.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8(byte as i8)))
        };
        (hits as u32 >> 1) & ALL
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn equal(&self, byte: u8) -> u32 {
        self.equal_portable(byte)
    }

    /// The same without vector instructions.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    fn equal_portable(&self, byte: u8) -> u32 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let eight = u64::from_le_bytes(self.0[1..9].try_into().expect("eight bytes"));
        let differ = eight ^ (0x0101_0101_0101_0101 * u64::from(byte));
        // Exact: the high bits are masked before the sum, so that no carry crosses into the next
        // byte.
        let zero = !(((differ & LOW) + LOW) | differ | LOW);
        // Gathers the eight high bits into one byte.
        let hits = ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
        hits | (u32::from(self.0[9] == byte) << LINK)
    }
}

/// The slots named by a mask of [`Bucket::matches`] or [`Bucket::used`], in order.
#[derive(Clone, Copy)]
pub(super) struct Slots(pub(super) u32);

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// Asks for the cache line at `address` without waiting for it. Any address will do.
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots are independent of each other, of the flags and of the epoch.
    #[test]
    fn slots_do_not_disturb_each_other() {
        let word = |slot: usize, turn: u64| (0x7fff_0000_0000 + slot as u64 * 0x1111_1110 + turn * 8) | turn & 7;
        let mut bucket = Bucket::EMPTY;
        for turn in 0..8 {
            for slot in 0..SLOTS {
                bucket.put(slot, 255 - slot as u8, word(slot, turn));
                bucket.set_epoch(turn as u8);
                assert_eq!(bucket.used(), (2 << slot) - 1);
            }
            for slot in 0..SLOTS {
                assert_eq!(bucket.matches(255 - slot as u8), 1 << slot);
                assert_eq!(bucket.word(slot), word(slot, turn));
            }
            assert_eq!((bucket.free(), bucket.matches(7), bucket.epoch()), (0, 0, turn as u8));
            for slot in (0..SLOTS).rev() {
                assert_eq!(bucket.take(slot), (255 - slot as u8, word(slot, turn)));
            }
            assert_eq!((bucket.used(), bucket.free()), (0, ALL));
        }
    }

    /// The link takes the last slot's place and is no item.
    #[test]
    fn a_link_is_no_item() {
        let mut child = Box::new(Bucket::EMPTY);
        let mut bucket = Bucket::EMPTY;
        bucket.put(7, 9, 0xffff_ffff_fff8);
        bucket.link(NonNull::from(&mut *child));
        assert_eq!((bucket.used(), bucket.free()), (1 << 7, 0x7f));
        assert_eq!(bucket.child(), Some(NonNull::from(&mut *child)));
        bucket.unlink();
        assert_eq!((bucket.child(), bucket.free()), (None, 0x17f));
    }

    /// Both ways to compare fingerprints agree.
    #[test]
    fn portable_comparison_agrees() {
        let mut rng = crate::clock::Rng::seeded(0x9e37_79b9_7f4a_7c15_u64);
        for _ in 0..2000 {
            let mut bucket = Bucket::EMPTY;
            for byte in &mut bucket.0 {
                *byte = [0, 1, 127, 128, 129, 255][rng.index(6)];
            }
            for byte in [0, 1, 2, 127, 128, 129, 254, 255] {
                assert_eq!(bucket.equal(byte), bucket.equal_portable(byte));
            }
        }
    }
}
