//! Moving blocks out of sparse pages, so that these become empty and go back to the system: what defragmentation does to a
//! value. A block that lies well stays where it is, so most calls cost a look at its page's header.

use super::alloc;
use std::ptr::NonNull;

/// What was done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Blocks that were moved.
    pub moved: u64,
    /// Blocks that stayed.
    pub stayed: u64,
}

/// Something that can move its blocks of memory.
pub trait Relocate {
    /// Moves those blocks that lie in sparse pages.
    fn relocate(&mut self, tally: &mut Tally);
}

/// Moves one block, if it lies in a sparse page.
///
/// # Safety
/// `at` was handed out by the global allocator for `size` bytes at a multiple of 8, and is the only pointer to the block that
/// will be used from now on.
pub(super) unsafe fn block(at: &mut NonNull<u8>, size: usize, tally: &mut Tally) {
    // SAFETY: the block is live and of this size, as promised by the caller. If it is in a sparse page, it is from our own
    // allocator, which is the global one.
    unsafe {
        if !alloc::is_sparse(*at, size) {
            tally.stayed += 1;
            return;
        }
        let moved = alloc::allocate(size);
        std::ptr::copy_nonoverlapping(at.as_ptr(), moved.as_ptr(), size);
        alloc::deallocate(*at, size);
        *at = moved;
    }
    tally.moved += 1;
}
