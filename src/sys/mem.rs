//! Anonymous memory from the kernel, for the allocator in `raw/alloc.rs` and for nobody else.
//!
//! Advice (huge pages, discarding) is a hint: a kernel that refuses it costs memory or speed, never correctness,
//! so its errors are dropped here.
use std::ptr::NonNull;

/// The smallest page of the machines we run on. On kernels with larger pages a `discard` of less is refused, harmlessly.
pub const PAGE: usize = 4096;

/// Maps `bytes` (a multiple of [`PAGE`]) of zeroed, private, not yet resident memory. `None` when the kernel refuses.
pub fn map(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory that exists.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED { None } else { NonNull::new(at.cast()) }
}

/// As [`map`], at an address that is a multiple of `align` (a power of two, at least [`PAGE`]).
pub fn map_aligned(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let total = bytes.checked_add(align)?;
    let start = map(total)?;
    let before = start.as_ptr().align_offset(align);
    let after = align - before;
    // SAFETY: `before + bytes + after == total`: all offsets stay inside the mapping made above, and the two ends
    // given back are unused and whole pages, because `align` and `bytes` are.
    unsafe {
        let aligned = start.add(before);
        if before > 0 {
            unmap(start, before);
        }
        unmap(aligned.add(bytes), after);
        Some(aligned)
    }
}

/// Gives address space back.
///
/// # Safety
/// The range comes from [`map`] or [`map_aligned`] (or is whole pages of it) and nothing in it is used any more.
pub unsafe fn unmap(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller owns the range.
    unsafe { libc::munmap(at.as_ptr().cast(), bytes) };
}

/// Gives the memory back but keeps the addresses: the range reads as zeroes when it is next touched (or keeps its
/// content where the kernel refuses).
///
/// # Safety
/// The range is whole pages of a mapping made here and its content is of no value.
pub unsafe fn discard(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller owns the range and its content.
    unsafe { libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
}

/// Asks for huge pages in a range, or asks for none (which matters where the system hands them out unasked).
///
/// # Safety
/// The range is whole pages of a mapping made here.
pub unsafe fn advise_huge(at: NonNull<u8>, bytes: usize, wanted: bool) {
    #[cfg(target_os = "linux")]
    {
        let advice = if wanted { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        // SAFETY: this advice changes no content, and the caller owns the range.
        unsafe { libc::madvise(at.as_ptr().cast(), bytes, advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (at, bytes, wanted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_aligned_zeroed_and_discardable() {
        let (bytes, align) = (1 << 20, 2 << 20);
        let at = map_aligned(bytes, align).unwrap();
        assert_eq!(at.as_ptr().addr() % align, 0);
        // SAFETY: the mapping is ours, `bytes` long, and used by nothing else.
        unsafe {
            advise_huge(at, bytes, false);
            for offset in (0..bytes).step_by(PAGE) {
                assert_eq!(at.add(offset).read(), 0);
                at.add(offset).write(7);
            }
            discard(at.add(PAGE), PAGE);
            assert_eq!(at.read(), 7);
            #[cfg(target_os = "linux")]
            assert_eq!(at.add(PAGE).read(), 0);
            unmap(at, bytes);
        }
    }

    #[test]
    fn a_mapping_beyond_the_address_space_is_refused() {
        assert!(map(1 << 62).is_none());
        assert!(map_aligned(usize::MAX - PAGE + 1, 2 << 20).is_none());
    }
}
