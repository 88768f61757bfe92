//! Free pages go back to the kernel on a thread of their own.
//!
//! The kernel takes its time over it, as it waits until the other processors have forgotten the addresses: mostly a part of a
//! millisecond, now and then two to four. While large collections were freed the engine stood still for that, 19 times in a
//! hundred seconds for more than a millisecond. Where this thread runs, whoever has a page too many rings and goes on. Where
//! nobody has started it, in tests and tools, memory is given back on the spot. (What mimalloc has free it gives back itself, on
//! whatever thread that is noticed.)

use super::{SYSTEM, pool};
use crate::raw::helper::Helper;

static GIVER: Helper = Helper::new();

/// Has memory given back by a thread from here on; see [`Helper::start`].
pub fn start() {
    if !SYSTEM {
        GIVER.start("memory_giver", pool::give_back);
    }
}

/// Has the thread give back what the pool has too much of. False if there is none.
pub(super) fn ring() -> bool {
    GIVER.ring()
}
