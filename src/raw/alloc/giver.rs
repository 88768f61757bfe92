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
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static GIVER: Helper = Helper::new(Duration::from_millis(1));

/// Mappings that wait to be unmapped. They are noted here and not in their own first bytes: writing to what has been given back
/// would have the kernel find memory for it again, and the more the larger its pages are. There is room for two gigabytes of
/// segments: this thread may have to wait for a core while those that free run, and 64 were too few then.
static UNUSED: [Slot; 1024] = [const { Slot { at: AtomicPtr::new(null_mut()), bytes: AtomicUsize::new(0) } }; 1024];

/// Where to look for a free one.
static NEXT: AtomicUsize = AtomicUsize::new(0);

struct Slot {
    /// Null while there is nothing to unmap.
    at: AtomicPtr<u8>,
    /// Zero while the slot belongs to nobody.
    bytes: AtomicUsize,
}

/// mimalloc gives back what it has free once in this time, where something was freed, as it would by itself.
const PERIOD: Duration = Duration::from_secs(1);
/// What [`freed_large`] was when it last did.
static SEEN: AtomicUsize = AtomicUsize::new(0);

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
    let mut tidied = None;
    if !SYSTEM && GIVER.start("memory_giver", move || work(&mut tidied)) {
        // SAFETY: the option exists, and may be set at any time.
        unsafe { mi_option_set(PURGE_DELAY, NEVER) };
    }
}

/// Has the thread give back what the pool has too much of. False if there is none.
pub(super) fn ring() -> bool {
    GIVER.ring()
}

/// Gives address space back: soon, or at once if there is no thread for it or too much waits for it.
///
/// # Safety
/// As for [`mem::unmap`].
pub unsafe fn unmap(at: NonNull<u8>, bytes: usize) {
    let claim = |slot: &&Slot| slot.bytes.compare_exchange(0, bytes, Ordering::Acquire, Ordering::Relaxed).is_ok();
    // The slots fill one after the other: where some in a row are taken, all are.
    let slot = GIVER.is_running().then(|| NEXT.fetch_add(1, Ordering::Relaxed)).and_then(|first| {
        let mut slots = (0..8).map(|step| &UNUSED[first.wrapping_add(step) % UNUSED.len()]);
        slots.find(claim)
    });
    let Some(slot) = slot else {
        // SAFETY: as promised by the caller.
        return unsafe { mem::unmap(at, bytes) };
    };
    slot.at.store(at.as_ptr(), Ordering::Release);
    GIVER.ring();
}

fn unmap_unused() {
    for slot in &UNUSED {
        if let Some(at) = NonNull::new(slot.at.swap(null_mut(), Ordering::Acquire)) {
            // SAFETY: the range was handed over by `unmap`, and is ours since the swap.
            unsafe { mem::unmap(at, slot.bytes.load(Ordering::Relaxed)) };
            slot.bytes.store(0, Ordering::Release);
        }
    }
}

/// Has the thread give back what mimalloc has free, if there may be something. To be called several times a second.
pub fn tidy() {
    if !SYSTEM && freed_large() != SEEN.load(Ordering::Relaxed) {
        GIVER.ring();
    }
}

/// Everything there is to give back; `tidied` is when mimalloc last did.
fn work(tidied: &mut Option<Instant>) {
    pool::give_back();
    unmap_unused();
    let freed = freed_large();
    if freed != SEEN.load(Ordering::Relaxed) && tidied.is_none_or(|at| at.elapsed() >= PERIOD) {
        SEEN.store(freed, Ordering::Relaxed);
        // On a thread that has not allocated anything large yet the second call alone would do nothing.
        // SAFETY: both may be called at any time.
        unsafe {
            mi_thread_init();
            mi_collect(true);
        }
        *tidied = Some(Instant::now());
    }
}
