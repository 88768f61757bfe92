//! The software watchdog: with `watchdog-period` a thread looks whether the engine's runtime still runs its tasks, and has the
//! log show where it is when it has not for so many milliseconds. Commands do not know of it: what beats is a task of its own.

use crate::config::Config;
use crate::net::local;
use crate::sys::crash::Thread;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Looks of the thread, and beats, per period.
const PER_PERIOD: u32 = 4;

/// None while the period is 0. Lives on the thread that it watches.
#[derive(Default)]
pub struct Watchdog(RefCell<Option<Running>>);

struct Running {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    beats: AtomicU64,
    stop: AtomicBool,
}

impl Watchdog {
    /// Watches with the period that the configuration wants. To be called on the thread to be watched.
    ///
    /// # Errors
    /// The system's, if there is no thread to be had.
    pub fn apply(&self, config: &Config) -> std::io::Result<()> {
        let mut running = self.0.borrow_mut();
        *running = None;
        let Some(period) = u64::try_from(config.watchdog_period).ok().filter(|ms| *ms > 0).map(Duration::from_millis) else {
            return Ok(());
        };
        let Some(watched) = Thread::current() else {
            tracing::warn!("There is no watchdog inside of another program");
            return Ok(());
        };
        let shared = Arc::<Shared>::default();
        let (beating, watching) = (shared.clone(), shared.clone());
        local::spawn(async move {
            while !beating.stop.load(Ordering::Relaxed) {
                beating.beats.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(period / PER_PERIOD).await;
            }
        });
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(move || watch(&watching, period, watched))?;
        *running = Some(Running { shared, thread: Some(thread) });
        Ok(())
    }
}

fn watch(shared: &Shared, period: Duration, watched: Thread) {
    let (mut known, mut missed) = (0, 0);
    while !shared.stop.load(Ordering::Relaxed) {
        std::thread::park_timeout(period / PER_PERIOD);
        let beats = shared.beats.load(Ordering::Relaxed);
        missed = if beats == known { missed + 1 } else { 0 };
        known = beats;
        // Shown once for each time that the engine stands still.
        if missed == PER_PERIOD {
            watched.show_stack();
        }
    }
}

impl Drop for Running {
    /// Waits for the thread: what it watches may end afterwards.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
