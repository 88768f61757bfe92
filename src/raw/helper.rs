//! A thread that does one thing whenever somebody rings for it, and sleeps otherwise.
//!
//! For work that the engine must not wait for, and that nobody waits for: it stands back behind everything else.

use crate::sys::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

pub struct Helper {
    thread: OnceLock<Thread>,
    is_rung: AtomicBool,
    /// It will look at the bell before it sleeps: there is no need to wake it, which costs whoever rings 10 to 50 microseconds.
    is_awake: AtomicBool,
    /// It rests this long after its work, while those who ring need not wake it.
    rest: Duration,
}

impl Helper {
    /// A helper that does not run yet.
    pub const fn new(rest: Duration) -> Helper {
        Helper { thread: OnceLock::new(), is_rung: AtomicBool::new(false), is_awake: AtomicBool::new(true), rest }
    }

    /// Starts the thread, unless it runs, and tells whether it does now: the system may have none to give. To be called once the
    /// process is what it will be: a fork would lose it.
    pub fn start(&'static self, name: &str, work: impl FnMut() + Send + 'static) -> bool {
        if self.thread.get().is_none()
            && let Ok(handle) = std::thread::Builder::new().name(name.into()).spawn(move || self.serve(work))
        {
            let _ = self.thread.set(handle.thread().clone());
        }
        self.is_running()
    }

    /// Whether the thread runs.
    pub fn is_running(&self) -> bool {
        self.thread.get().is_some()
    }

    /// Has the work done, once for all who ring before it begins. False if the thread does not run.
    pub fn ring(&self) -> bool {
        let Some(thread) = self.thread.get() else { return false };
        // In this order on both sides, so that one of the two sees what the other did.
        self.is_rung.store(true, Ordering::SeqCst);
        if !self.is_awake.load(Ordering::SeqCst) && !self.is_awake.swap(true, Ordering::SeqCst) {
            thread.unpark();
        }
        true
    }

    fn serve(&self, mut work: impl FnMut()) {
        process::stand_back();
        loop {
            while self.is_rung.swap(false, Ordering::SeqCst) {
                work();
                if !self.rest.is_zero() {
                    std::thread::sleep(self.rest);
                }
            }
            self.is_awake.store(false, Ordering::SeqCst);
            while !self.is_rung.load(Ordering::SeqCst) {
                std::thread::park();
            }
            self.is_awake.store(true, Ordering::SeqCst);
        }
    }
}
