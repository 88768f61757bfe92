//! A thread that does one thing whenever somebody rings for it, and sleeps otherwise.
//!
//! For work that the engine must not wait for, and that nobody waits for: it stands back behind everything else.

use crate::sys::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

pub struct Helper {
    thread: OnceLock<Thread>,
    is_rung: AtomicBool,
}

impl Helper {
    /// A helper that does not run yet.
    pub const fn new() -> Helper {
        Helper { thread: OnceLock::new(), is_rung: AtomicBool::new(false) }
    }

    /// Starts the thread, unless it runs or the system has none to give. To be called once the process is what it will be: a fork
    /// would lose it.
    pub fn start(&'static self, name: &str, work: fn()) {
        if self.thread.get().is_some() {
            return;
        }
        if let Ok(handle) = std::thread::Builder::new().name(name.into()).spawn(move || self.serve(work)) {
            let _ = self.thread.set(handle.thread().clone());
        }
    }

    /// Has the work done, once for all who ring before it begins. False if the thread does not run.
    pub fn ring(&self) -> bool {
        let Some(thread) = self.thread.get() else { return false };
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            thread.unpark();
        }
        true
    }

    fn serve(&self, work: fn()) {
        process::stand_back();
        loop {
            while !self.is_rung.swap(false, Ordering::AcqRel) {
                std::thread::park();
            }
            work();
        }
    }
}
