//! Free pages go back to the kernel on a thread of their own.
//!
//! The kernel takes its time over it, as it waits until the other processors have forgotten the addresses: mostly a part of a
//! millisecond, now and then two to four. While large collections were freed the engine stood still for that, 19 times in a hundred
//! seconds for more than a millisecond. Where this thread runs, whoever has a page too many rings and goes on. Where nobody has started it,
//! in tests and tools, memory is given back on the spot. (What mimalloc has free it gives back itself, on whatever thread that is
//! noticed.)

use super::{SYSTEM, pool};
use crate::sys::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

static THREAD: OnceLock<Thread> = OnceLock::new();
static IS_RUNG: AtomicBool = AtomicBool::new(false);

/// Has memory given back by a thread from here on. To be called once the process is what it will be: a fork would lose the thread.
pub fn start() {
    if SYSTEM || THREAD.get().is_some() {
        return;
    }
    // Without the thread memory is given back by whoever has it, which is slower, not wrong.
    if let Ok(giver) = std::thread::Builder::new().name("memory_giver".into()).spawn(serve) {
        let _ = THREAD.set(giver.thread().clone());
    }
}

/// Has the thread give back what the pool has too much of. False if there is none.
pub(super) fn ring() -> bool {
    let Some(giver) = THREAD.get() else { return false };
    if !IS_RUNG.swap(true, Ordering::AcqRel) {
        giver.unpark();
    }
    true
}

fn serve() {
    process::stand_back();
    loop {
        while !IS_RUNG.swap(false, Ordering::AcqRel) {
            std::thread::park();
        }
        pool::give_back();
    }
}
