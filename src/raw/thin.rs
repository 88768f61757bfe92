//! An owned byte buffer behind a single pointer.
//!
//! Small collections are many, so their handle matters: a `Vec<u8>` costs 24 bytes, this costs 8 and has a niche
//! for `Option`. The length lives in the buffer's own first four bytes (u32, little endian), which is where a
//! listpack keeps its total size anyway, and the capacity is a function of the length, so nobody stores it.
//! The price: a length that moves back and forth over a capacity step reallocates each time.

use super::relocate::{self, Relocate, Tally};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::ptr::NonNull;

/// Bytes of the length field every buffer starts with.
pub const HEADER_LEN: usize = 4;

/// Longest buffer, header included. Its capacity still fits in a u32.
pub const LEN_MAX: usize = (1 << 32) - (1 << 28);

const ALIGN: usize = 8;

const _: () = assert!(usize::BITS == 64);
const _: () = assert!(capacity(LEN_MAX) == LEN_MAX && LEN_MAX <= u32::MAX as usize);
const _: () = assert!(size_of::<Option<ThinBytes>>() == 8);

/// A growable byte buffer whose handle is one pointer, aligned to 8.
///
/// `as_slice()[..4]` is always the total length as a little-endian u32.
#[repr(transparent)]
pub struct ThinBytes {
    /// Start of an allocation of `capacity(len)` bytes; the first `len` are initialised, and the first four of
    /// those hold `len`.
    head: NonNull<u8>,
}

/// A buffer would have grown past [`LEN_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("buffer exceeds the longest length")
    }
}

impl std::error::Error for TooLong {}

impl Relocate for ThinBytes {
    fn relocate(&mut self, tally: &mut Tally) {
        let size = capacity(self.len());
        // SAFETY: the allocation has this size, and this is the only pointer to it.
        unsafe { relocate::block(&mut self.head, size, tally) };
    }
}

impl ThinBytes {
    /// A zeroed buffer of `len` bytes, header included; less than [`HEADER_LEN`] is raised to it.
    pub fn new(len: usize) -> Result<ThinBytes, TooLong> {
        let len = len.max(HEADER_LEN);
        let buffer = ThinBytes::allocate(len)?;
        // SAFETY: the allocation has room for `len` bytes.
        unsafe { buffer.head.as_ptr().write_bytes(0, len) };
        Ok(buffer.stamped(len))
    }

    /// A copy of `bytes`, whose first four are overwritten with the length; fewer than four are filled up with zeros.
    pub fn from_slice(bytes: &[u8]) -> Result<ThinBytes, TooLong> {
        if bytes.len() < HEADER_LEN {
            return ThinBytes::new(HEADER_LEN);
        }
        let buffer = ThinBytes::allocate(bytes.len())?;
        // SAFETY: the allocation is new, hence disjoint from `bytes`, and has room for all of them.
        unsafe { buffer.head.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(buffer.stamped(bytes.len()))
    }

    /// Total length in bytes, header included; at least [`HEADER_LEN`].
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: the first four bytes are always initialised, and the pointer is aligned to 8.
        let stored = unsafe { self.head.cast::<u32>().as_ptr().read() };
        u32::from_le(stored) as usize
    }

    /// Whether nothing follows the header.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == HEADER_LEN
    }

    /// The whole buffer, header included.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised and borrowed together with `self`.
        unsafe { std::slice::from_raw_parts(self.head.as_ptr(), self.len()) }
    }

    /// Everything after the header (`as_slice()[4..]`), so that the length cannot be overwritten.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let len = self.len();
        // SAFETY: bytes 4..len are initialised and exclusively borrowed together with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.head.as_ptr().add(HEADER_LEN), len - HEADER_LEN) }
    }

    /// Replaces the `remove` bytes at `at` by `insert` bytes, moves what follows, and returns those `insert` bytes
    /// for the caller to fill. Until then they hold unspecified (but initialised) bytes.
    ///
    /// Errors when the result would exceed [`LEN_MAX`]; nothing has changed then.
    ///
    /// # Panics
    /// When `at..at + remove` reaches into the header or past the end.
    pub fn splice(&mut self, at: usize, remove: usize, insert: usize) -> Result<&mut [u8], TooLong> {
        let len_old = self.open(at, remove, insert)?;
        let (fresh, gap_end) = (len_old.max(at), at + insert);
        // SAFETY: the gap lies within the allocation. Its bytes past the old length are initialised here, those before
        // have always been; the caller gets them exclusively, together with `self`.
        unsafe {
            let head = self.head.as_ptr();
            if gap_end > fresh {
                head.add(fresh).write_bytes(0, gap_end - fresh);
            }
            Ok(std::slice::from_raw_parts_mut(head.add(at), insert))
        }
    }

    /// As [`ThinBytes::splice`], with the bytes that fill the gap.
    ///
    /// # Panics
    /// When `at..at + remove` reaches into the header or past the end.
    pub fn splice_in(&mut self, at: usize, remove: usize, bytes: &[u8]) -> Result<(), TooLong> {
        self.open(at, remove, bytes.len())?;
        // SAFETY: the gap has room for all of them and is disjoint from `bytes`, as `self` is borrowed exclusively.
        unsafe { self.head.as_ptr().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Makes the gap; returns the old length. The bytes of the gap past that are not initialised: the caller writes them.
    fn open(&mut self, at: usize, remove: usize, insert: usize) -> Result<usize, TooLong> {
        let len_old = self.len();
        assert!(at >= HEADER_LEN && at <= len_old && remove <= len_old - at, "splice outside the buffer");
        let tail = len_old - at - remove;
        let len_new = (at + tail).checked_add(insert).filter(|&len| len <= LEN_MAX).ok_or(TooLong)?;
        if len_new > len_old {
            self.resize_allocation(len_old, len_new);
        }
        if remove != insert {
            let head = self.head.as_ptr();
            // SAFETY: source and target end at `len_old` and `len_new`, both within the allocation, which has grown
            // already and has yet to shrink.
            unsafe { head.add(at + insert).copy_from(head.add(at + remove), tail) };
        }
        if len_new < len_old {
            self.resize_allocation(len_old, len_new);
        }
        self.stamp(len_new);
        Ok(len_old)
    }

    /// Appends `bytes`. Errors when the result would exceed [`LEN_MAX`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.splice_in(self.len(), 0, bytes)
    }

    /// Shortens the buffer to `len` bytes, header included. Longer than the buffer: nothing happens.
    pub fn truncate(&mut self, len: usize) {
        let len = len.max(HEADER_LEN);
        let len_old = self.len();
        if len < len_old {
            self.resize_allocation(len_old, len);
            self.stamp(len);
        }
    }

    /// Gives the allocation away; [`ThinBytes::from_raw`] takes it back.
    pub fn into_raw(self) -> NonNull<u8> {
        let head = self.head;
        std::mem::forget(self);
        head
    }

    /// Takes back what [`ThinBytes::into_raw`] gave away.
    ///
    /// # Safety
    /// `head` comes from `into_raw`, its first four bytes are as they were, and nobody else owns or uses it.
    pub unsafe fn from_raw(head: NonNull<u8>) -> ThinBytes {
        ThinBytes { head }
    }

    /// Bytes of the allocation behind the handle.
    pub fn memory_bytes(&self) -> usize {
        capacity(self.len())
    }

    /// Room for `len` bytes, header not yet written.
    fn allocate(len: usize) -> Result<ThinBytes, TooLong> {
        if len > LEN_MAX {
            return Err(TooLong);
        }
        let layout = layout(len);
        // SAFETY: the layout is at least 8 bytes.
        let head = unsafe { alloc(layout) };
        match NonNull::new(head) {
            Some(head) => Ok(ThinBytes { head }),
            None => handle_alloc_error(layout),
        }
    }

    /// Writes the length of a buffer whose first `len` bytes are initialised but for the header.
    fn stamped(mut self, len: usize) -> ThinBytes {
        self.stamp(len);
        self
    }

    fn stamp(&mut self, len: usize) {
        debug_assert!((HEADER_LEN..=LEN_MAX).contains(&len));
        // SAFETY: every allocation has at least 8 bytes and is aligned to 8.
        unsafe { self.head.cast::<u32>().as_ptr().write((len as u32).to_le()) };
    }

    /// Moves from the allocation for `len_old` to the one for `len_new`; the caller stamps the length.
    fn resize_allocation(&mut self, len_old: usize, len_new: usize) {
        let (old, new) = (layout(len_old), layout(len_new));
        if old.size() == new.size() {
            return;
        }
        // SAFETY: the allocation was made with the layout for `len_old`; the new size is not zero and below isize::MAX.
        let head = unsafe { realloc(self.head.as_ptr(), old, new.size()) };
        match NonNull::new(head) {
            Some(head) => self.head = head,
            None => handle_alloc_error(new),
        }
    }
}

/// Allocation size for a length, header included: little waste, and a handful of size classes.
///
/// Steps of 8 to 256, of 16 to 512, of 64 to 1024; above that, an eighth of the power of two below.
pub const fn capacity(len: usize) -> usize {
    let step = match len {
        0..=256 => 8,
        257..=512 => 16,
        513..=1024 => 64,
        _ => 1 << ((len - 1).ilog2() - 3),
    };
    let rounded = len.next_multiple_of(step);
    if rounded < ALIGN { ALIGN } else { rounded }
}

fn layout(len: usize) -> Layout {
    Layout::from_size_align(capacity(len), ALIGN).expect("lengths are below LEN_MAX")
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        // SAFETY: the allocation was made with the layout for its length, and nobody uses it any more.
        unsafe { dealloc(self.head.as_ptr(), layout(self.len())) };
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> ThinBytes {
        ThinBytes::from_slice(self.as_slice()).expect("as long as an existing buffer")
    }
}

impl fmt::Debug for ThinBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThinBytes").field(&self.as_slice()).finish()
    }
}

impl PartialEq for ThinBytes {
    fn eq(&self, other: &ThinBytes) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for ThinBytes {}

// SAFETY: the buffer is owned through one pointer and reached through `&self` or `&mut self` only.
unsafe impl Send for ThinBytes {}
// SAFETY: `&ThinBytes` only reads.
unsafe impl Sync for ThinBytes {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header every buffer of this length has.
    fn header(len: usize) -> [u8; 4] {
        (len as u32).to_le_bytes()
    }

    #[test]
    fn capacity_has_little_slack() {
        let mut last = 0;
        for len in 4..300_000 {
            let room = capacity(len);
            assert!(room >= len && room.is_multiple_of(8) && room >= last);
            assert!(room - len <= 8.max(len / 8), "{len} takes {room}");
            last = room;
        }
        assert_eq!(capacity(256), 256);
        assert_eq!(capacity(257), 272);
        assert_eq!(capacity(513), 576);
        assert_eq!(capacity(1025), 1152);
        assert_eq!(capacity(8192), 8192);
        assert_eq!(capacity(LEN_MAX - 1), LEN_MAX);
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(ThinBytes::new(LEN_MAX + 1).unwrap_err(), TooLong);
        let mut buffer = ThinBytes::new(10).unwrap();
        assert_eq!(buffer.splice(4, 0, LEN_MAX).unwrap_err(), TooLong);
        assert_eq!(buffer.splice(4, 0, usize::MAX).unwrap_err(), TooLong);
        assert_eq!(buffer.as_slice(), [10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn short_buffers_have_a_header() {
        assert_eq!(ThinBytes::new(0).unwrap().as_slice(), header(4));
        assert_eq!(ThinBytes::from_slice(b"xy").unwrap().as_slice(), header(4));
        assert!(ThinBytes::from_slice(b"wxyz").unwrap().is_empty());
        let mut buffer = ThinBytes::from_slice(b"wxyz!").unwrap();
        buffer.truncate(0);
        assert_eq!(buffer.as_slice(), header(4));
    }

    #[test]
    #[should_panic(expected = "outside")]
    fn splice_stays_out_of_the_header() {
        let _ = ThinBytes::new(8).unwrap().splice(3, 1, 0);
    }

    #[test]
    #[should_panic(expected = "outside")]
    fn splice_stays_inside() {
        let _ = ThinBytes::new(8).unwrap().splice(6, 3, 0);
    }

    #[test]
    fn raw_round_trip_and_threads() {
        let buffer = ThinBytes::from_slice(b"....hello").unwrap();
        let head = std::thread::spawn(move || buffer).join().unwrap().into_raw();
        assert_eq!(head.as_ptr() as usize % 8, 0);
        // SAFETY: it comes from into_raw just above.
        let buffer = unsafe { ThinBytes::from_raw(head) };
        assert_eq!(&buffer.as_slice()[4..], b"hello");
        assert_eq!(buffer.clone(), buffer);
        assert_eq!(buffer.memory_bytes(), 16);
    }

    #[test]
    fn splices_agree_with_a_vec() {
        let mut rng = crate::clock::Rng::seeded(0x9E37_79B9_7F4A_7C15_u64);
        let mut random = move |below: usize| rng.index(below);
        for round in 0..40 {
            let mut buffer = ThinBytes::new(4).unwrap();
            let mut model = vec![0; 4];
            for _ in 0..200 {
                let at = 4 + random(model.len() - 3);
                let remove = random(model.len() - at + 1).min(random(400) + 1);
                let insert = random(if round % 2 == 0 { 40 } else { 700 });
                let fill: Vec<u8> = (0..insert).map(|_| random(256) as u8).collect();
                if random(2) == 0 {
                    buffer.splice(at, remove, insert).unwrap().copy_from_slice(&fill);
                } else {
                    buffer.splice_in(at, remove, &fill).unwrap();
                }
                model.splice(at..at + remove, fill);
                if random(10) == 0 {
                    let len = 4 + random(model.len() - 3);
                    buffer.truncate(len);
                    model.truncate(len);
                }
                if random(10) == 0 {
                    buffer.append(b"more").unwrap();
                    model.extend_from_slice(b"more");
                }
                let len = model.len();
                model[..4].copy_from_slice(&header(len));
                assert_eq!(buffer.as_slice(), model);
                assert_eq!(buffer.as_mut_slice(), &model[4..]);
            }
            assert_eq!(buffer.clone().as_slice(), model);
        }
    }
}
