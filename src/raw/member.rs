//! One member of a large sorted set: `[f64 score LE][varint length][member bytes]` in a single allocation.
//!
//! The score tree and the member index both point here, so a member costs one allocation and its score is
//! written in one place. The allocation is aligned to 8 and exactly as long as its contents: with an allocator
//! that has 8-byte classes a member of 16 bytes takes 32. The length is a LEB128 varint: one byte up to 127.
//!
//! [`Member`] is a bare handle that can be copied and frees nothing; [`OwnedMember`] is the one owner.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cmp::Ordering;
use std::ptr::NonNull;

/// Bytes of the score at the head of the allocation.
const SCORE: usize = 8;
/// Alignment of the allocation; the low three bits of a handle are free for tags.
const ALIGN: usize = 8;

/// A handle to a member, valid as long as its [`OwnedMember`] lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member(NonNull<u8>);

/// The owner of a member's allocation.
pub struct OwnedMember(Member);

// SAFETY: the allocation is plain bytes and has one owner; the handles made from it stay with that owner's zset.
unsafe impl Send for OwnedMember {}

/// Maps a score to an integer of the same order. Both zeros map to the same one, because Redis compares scores
/// as doubles. (A NaN has a place too, so that a stray one cannot break the order; commands refuse it earlier.)
pub(super) fn order_key(score: f64) -> u64 {
    let bits = if score == 0.0 { 0 } else { score.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Brings the cache line at `at` closer. Any address is fine: a prefetch cannot fault.
#[inline(always)]
pub fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing the program can observe and ignores bad addresses.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

impl OwnedMember {
    /// Copies `bytes` behind `score` into a fresh allocation.
    pub(super) fn new(score: f64, bytes: &[u8]) -> OwnedMember {
        let mut head = [0_u8; 10];
        let head_len = write_varint(&mut head, bytes.len());
        let layout = layout(head_len, bytes.len());
        // SAFETY: the layout is never empty; the three writes fill exactly `SCORE + head_len + bytes.len()` bytes.
        unsafe {
            let Some(at) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            at.cast::<u64>().write(score.to_bits().to_le());
            at.add(SCORE).copy_from_nonoverlapping(NonNull::from(&head).cast(), head_len);
            at.add(SCORE + head_len).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            OwnedMember(Member(at))
        }
    }

    /// The handle that the tree stores.
    pub(super) fn handle(&self) -> Member {
        self.0
    }

    /// The score.
    pub fn score(&self) -> f64 {
        // SAFETY: the owner is alive, so the allocation is.
        unsafe { self.0.score() }
    }

    /// The member bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the owner is borrowed for as long as the slice.
        unsafe { self.0.bytes() }
    }

    /// Length of the allocation in bytes, before the allocator rounds it.
    pub(super) fn size(&self) -> usize {
        // SAFETY: the owner is alive, so the allocation is.
        unsafe { self.0.layout().size() }
    }

    /// Gives up ownership; [`OwnedMember::from_raw`] takes it again.
    pub(super) fn into_raw(self) -> NonNull<u8> {
        let at = self.0.0;
        std::mem::forget(self);
        at
    }

    /// # Safety
    /// `at` comes from [`OwnedMember::into_raw`] and has no other owner.
    pub(super) unsafe fn from_raw(at: NonNull<u8>) -> OwnedMember {
        OwnedMember(Member(at))
    }
}

impl Clone for OwnedMember {
    fn clone(&self) -> Self {
        OwnedMember::new(self.score(), self.bytes())
    }
}

impl Drop for OwnedMember {
    fn drop(&mut self) {
        // SAFETY: this is the one owner, and the layout is the one it was allocated with.
        unsafe { dealloc(self.0.0.as_ptr(), self.0.layout()) }
    }
}

/// Every method but `address` and `prefetch` needs the owner alive: that is the safety rule of the `unsafe` ones.
impl Member {
    pub(super) fn address(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// # Safety
    /// `at` is the address of a member.
    pub(super) unsafe fn from_address(at: *mut u8) -> Member {
        // SAFETY: a member's address is not null.
        Member(unsafe { NonNull::new_unchecked(at) })
    }

    pub(super) fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }

    /// The score.
    ///
    /// # Safety
    /// The member has not been freed.
    pub(super) unsafe fn score(self) -> f64 {
        // SAFETY: the allocation starts with eight aligned bytes of score.
        f64::from_bits(u64::from_le(unsafe { self.0.cast::<u64>().read() }))
    }

    /// Overwrites the score. The caller keeps the tree in order.
    ///
    /// # Safety
    /// The member has not been freed.
    pub(super) unsafe fn set_score(self, score: f64) {
        // SAFETY: as in `score`; nothing borrows the first eight bytes.
        unsafe { self.0.cast::<u64>().write(score.to_bits().to_le()) }
    }

    /// The score as an integer of the same order.
    ///
    /// # Safety
    /// The member has not been freed.
    pub(super) unsafe fn key(self) -> u64 {
        // SAFETY: the caller's promise is passed on.
        order_key(unsafe { self.score() })
    }

    /// The member's bytes.
    ///
    /// # Safety
    /// The member has not been freed.
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: `new` wrote a length and that many bytes behind it.
        unsafe {
            let (head_len, len) = self.lengths();
            std::slice::from_raw_parts(self.0.as_ptr().add(SCORE + head_len), len)
        }
    }

    /// Orders this member against a score key and member bytes.
    ///
    /// # Safety
    /// The member has not been freed.
    pub(super) unsafe fn cmp_to(self, key: u64, bytes: &[u8]) -> Ordering {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.key().cmp(&key).then_with(|| self.bytes().cmp(bytes)) }
    }

    /// Bytes of the length field, and the length.
    ///
    /// # Safety
    /// The member has not been freed.
    unsafe fn lengths(self) -> (usize, usize) {
        // SAFETY: `new` wrote a well-formed varint behind the score.
        unsafe {
            let head = self.0.add(SCORE);
            let first = head.read();
            if first < 0x80 {
                return (1, usize::from(first));
            }
            let (mut len, mut at) = (usize::from(first & 0x7f), 1);
            loop {
                let byte = head.add(at).read();
                len |= usize::from(byte & 0x7f) << (7 * at);
                at += 1;
                if byte < 0x80 {
                    return (at, len);
                }
            }
        }
    }

    /// The layout of the allocation.
    ///
    /// # Safety
    /// The member has not been freed.
    unsafe fn layout(self) -> Layout {
        // SAFETY: the caller's promise is passed on.
        let (head_len, len) = unsafe { self.lengths() };
        layout(head_len, len)
    }
}

fn layout(head_len: usize, len: usize) -> Layout {
    // A slice is at most isize::MAX bytes long and such a one cannot be copied into memory beside itself.
    Layout::from_size_align(SCORE + head_len + len, ALIGN).expect("a member fits the address space")
}

fn write_varint(out: &mut [u8; 10], mut value: usize) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_score_and_bytes() {
        for len in [0, 1, 16, 127, 128, 129, 16_383, 16_384, 70_000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let member = OwnedMember::new(-1.5, &bytes);
            assert_eq!(member.score(), -1.5);
            assert_eq!(member.bytes(), bytes);
            let raw = member.into_raw();
            // SAFETY: just given up by `into_raw`.
            let member = unsafe { OwnedMember::from_raw(raw) };
            // SAFETY: the owner is alive.
            unsafe { member.handle().set_score(7.0) };
            assert_eq!((member.score(), member.bytes().len()), (7.0, len));
        }
        assert_eq!(OwnedMember::new(0.0, &[0; 16]).size(), 25);
    }

    #[test]
    fn order_keys_follow_the_scores() {
        let scores = [f64::NEG_INFINITY, -1e300, -1.0, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, 1.5, 2.0, f64::INFINITY];
        assert!(scores.windows(2).all(|pair| order_key(pair[0]) < order_key(pair[1])));
        assert_eq!(order_key(-0.0), order_key(0.0));
    }
}
