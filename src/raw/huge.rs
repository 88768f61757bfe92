//! Huge pages for what is read at random, made ready ahead of need by a thread of their own.
//!
//! A keyspace of a million keys is far more than the processor has translations of addresses for, so that every look at a key
//! costs a walk through the page tables, on a virtual machine through two of them; a page of 2 MB takes five hundred times
//! less of these. Servers that fork for their snapshots have to do without: the first write to such a page would copy all of
//! it. Nothing forks here.
//!
//! What speaks against them is met like this. The first touch of a huge page zeroes 2 MB, from 0.1 ms to, on some virtual
//! machines, 5 ms: so a thread does that ahead of need, and whoever comes before it is done gets small pages instead of
//! waiting. A huge page is resident as a whole: so there are none before a heap is large, and the one that was made ready is
//! given back when growth pauses. The kernel's own way, to collapse small pages into a huge one later, was measured and is
//! not used: whoever reads there meanwhile stands still for 0.7 to 4 ms.

use super::alloc::giver;
use super::helper::Helper;
use crate::sys::mem;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::Duration;

/// Bytes of a huge page.
pub const BYTES: usize = 2 << 20;
/// So many looks in a row without growth, and growth has paused.
const QUIET_LOOKS: u32 = 1;

/// The page that is ready, or null.
static READY: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// Looks since the last sign of growth.
static QUIET: AtomicU32 = AtomicU32::new(0);
static MAKER: Helper = Helper::new(Duration::ZERO);

/// Has huge pages made from here on, where the system gives them to those who ask. Before this, and without it, there are none.
/// Without a thread, too, which is slower, not wrong; see [`Helper::start`].
pub fn allow() {
    MAKER.start("huge_pages", make_ready);
}

/// A huge page of zeroes, if one is ready: whole, touched, aligned to its size, and the caller's to unmap.
pub fn take() -> Option<NonNull<u8>> {
    QUIET.store(0, Ordering::Relaxed);
    NonNull::new(READY.swap(null_mut(), Ordering::Acquire))
}

/// Has a page made ready, unless one is.
pub fn order() {
    if READY.load(Ordering::Relaxed).is_null() {
        MAKER.ring();
    }
}

/// To be called several times a second: gives the page that is ready back when growth has paused. True when it just did.
pub fn rest() -> bool {
    let quiet = QUIET.load(Ordering::Relaxed);
    if quiet < QUIET_LOOKS {
        QUIET.store(quiet + 1, Ordering::Relaxed);
        return false;
    }
    if let Some(unused) = NonNull::new(READY.swap(null_mut(), Ordering::Acquire)) {
        // SAFETY: the page was mapped by `make`, and nobody took it.
        unsafe { giver::unmap(unused, BYTES) };
    }
    if quiet == QUIET_LOOKS {
        QUIET.store(quiet + 1, Ordering::Relaxed);
    }
    quiet == QUIET_LOOKS
}

fn make_ready() {
    if READY.load(Ordering::Relaxed).is_null()
        && let Some(page) = make()
    {
        QUIET.store(0, Ordering::Relaxed);
        READY.store(page.as_ptr(), Ordering::Release);
    }
}

fn make() -> Option<NonNull<u8>> {
    let page = mem::map_aligned(BYTES, BYTES)?;
    // SAFETY: the range was mapped a moment ago; a zero written to it changes nothing, but has the kernel find the memory.
    unsafe {
        mem::advise_huge(page, BYTES, true);
        page.write_volatile(0);
    }
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What others of the same process take in between is theirs; whatever this test gets is whole and zeroed.
    #[test]
    fn pages_are_made_ready_and_given_back() {
        allow();
        let mut taken = None;
        for _ in 0..2000 {
            order();
            taken = take();
            if taken.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let page = taken.expect("a page is made within two seconds");
        assert!(page.as_ptr().addr().is_multiple_of(BYTES));
        // SAFETY: the page is this test's alone.
        unsafe {
            assert!((0..BYTES).step_by(512).all(|at| page.add(at).read() == 0));
            page.add(BYTES - 1).write(1);
            mem::unmap(page, BYTES);
        }
        assert!((0..10 * QUIET_LOOKS).any(|_| rest()), "growth has paused");
    }
}
