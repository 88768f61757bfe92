//! Free memory goes back to the kernel on a thread of its own.
//!
//! The kernel takes its time over it, as it waits until the other processors have forgotten the addresses: mostly a part of a
//! millisecond, now and then two to four. While large collections were freed the engine stood still for that, 19 times in a
//! hundred seconds for more than a millisecond, and as often again when mimalloc noticed that what it has free had been free for
//! a second. Where this thread runs, whoever has a page too many rings and goes on, and mimalloc gives back nothing unasked.
//! Where nobody has started it, in tests and tools, memory is given back on the spot.

use super::{SYSTEM, freed_large, mi_collect, pool};
use crate::raw::helper::Helper;
use crate::sys::mem;
use std::ffi::{c_int, c_long};
use std::ptr::{NonNull, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static GIVER: Helper = Helper::new(Duration::from_millis(1));

/// A mapping that waits to be unmapped, told in its own first bytes.
struct Unused {
    next: *mut Unused,
    bytes: usize,
}

/// Stack of these.
static UNUSED: AtomicPtr<Unused> = AtomicPtr::new(null_mut());

/// mimalloc gives back what it has free once in this time, where something was freed, as it would by itself.
const PERIOD: Duration = Duration::from_secs(1);
/// What [`freed_large`] was when it last did.
static SEEN: AtomicUsize = AtomicUsize::new(0);
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

unsafe extern "C" {
    /// mimalloc's: sets one of its options.
    fn mi_option_set(option: c_int, value: c_long);
    /// mimalloc's: makes the thread known to it.
    fn mi_thread_init();
}

/// Has memory given back by a thread from here on; see [`Helper::start`].
pub fn start() {
    /// The number of mimalloc's option that says after how many milliseconds free memory is given back.
    const PURGE_DELAY: c_int = 15;
    /// Longer than anybody waits, and still not too much when a time is added. Below zero nothing would be put down as free.
    const NEVER: c_long = c_long::MAX / 16;
    if !SYSTEM && GIVER.start("memory_giver", work) {
        // SAFETY: the option exists, and may be set at any time.
        unsafe { mi_option_set(PURGE_DELAY, NEVER) };
    }
}

/// Has the thread give back what the pool has too much of. False if there is none.
pub(super) fn ring() -> bool {
    GIVER.ring()
}

/// Gives address space back: soon, or at once if there is no thread for it.
///
/// # Safety
/// As for [`mem::unmap`]; the range is writable and a page at least.
pub unsafe fn unmap(at: NonNull<u8>, bytes: usize) {
    if !GIVER.is_running() {
        // SAFETY: as promised by the caller.
        return unsafe { mem::unmap(at, bytes) };
    }
    let unused = at.cast::<Unused>().as_ptr();
    let mut top = UNUSED.load(Ordering::Relaxed);
    loop {
        // SAFETY: the range is ours until the exchange succeeds, and begins at a page.
        unsafe { unused.write(Unused { next: top, bytes }) };
        match UNUSED.compare_exchange_weak(top, unused, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => top = now,
        }
    }
    GIVER.ring();
}

fn unmap_unused() {
    let mut next = UNUSED.swap(null_mut(), Ordering::Acquire);
    while let Some(at) = NonNull::new(next) {
        // SAFETY: what is on the stack was handed over by `unmap`, and is ours since the swap.
        unsafe {
            let Unused { next: after, bytes } = at.read();
            next = after;
            mem::unmap(at.cast(), bytes);
        }
    }
}

/// Has the thread give back what mimalloc has free, if there may be something. To be called several times a second.
pub(super) fn tidy() {
    if !SYSTEM && freed_large() != SEEN.load(Ordering::Relaxed) {
        GIVER.ring();
    }
}

fn work() {
    pool::give_back();
    unmap_unused();
    let freed = freed_large();
    let Ok(mut last) = LAST.lock() else { return };
    if freed != SEEN.load(Ordering::Relaxed) && last.is_none_or(|last| last.elapsed() >= PERIOD) {
        SEEN.store(freed, Ordering::Relaxed);
        // On a thread that has not allocated anything large yet the second call alone would do nothing.
        // SAFETY: both may be called at any time.
        unsafe {
            mi_thread_init();
            mi_collect(true);
        }
        *last = Some(Instant::now());
    }
}
