//! Freeing on another thread: what takes long to drop is sent away, so that the engine never stands still for it.

use super::value::{Entry, Object};
use crate::raw::entry::Value;
use crate::raw::table::Table;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

/// What can be sent away.
pub enum Garbage {
    Table(Table<Entry>),
    Entry(Entry),
    /// A value that was overwritten.
    Value(Value<Object>),
    /// A value that a snapshot was the last to need; it does not count as lazily freed.
    Orphan(Value<Object>),
    /// Anything else, and of how many objects it consists.
    Other(Box<dyn Send>, u64),
    /// Nothing to free, but somebody to tell that all sent before it is freed.
    Notice(Box<dyn FnOnce() + Send>),
}

impl Garbage {
    fn objects(&self) -> u64 {
        match self {
            Garbage::Table(table) => table.len() as u64,
            Garbage::Entry(_) | Garbage::Value(_) => 1,
            Garbage::Orphan(_) | Garbage::Notice(_) => 0,
            Garbage::Other(_, objects) => *objects,
        }
    }

    /// Frees it, or gives the notice that it is.
    fn dispose(self) {
        if let Garbage::Notice(give) = self {
            give();
        }
    }
}

/// Counts that the freeing thread shares with INFO.
#[derive(Default)]
struct Counts {
    pending: AtomicU64,
    freed: AtomicU64,
    /// Pieces of garbage done with since the start.
    done: AtomicU64,
}

/// The way to the freeing thread, which starts when it is first needed and ends with this value.
#[derive(Default)]
pub struct LazyFree {
    to_thread: Option<Sender<Garbage>>,
    /// Pieces of garbage sent since the start.
    sent: u64,
    counts: Arc<Counts>,
}

impl LazyFree {
    /// Sends garbage away. If no thread can be had it is dropped here.
    pub fn send(&mut self, garbage: Garbage) {
        let objects = garbage.objects();
        self.sent += 1;
        self.counts.pending.fetch_add(objects, Ordering::Relaxed);
        let sender = self.to_thread.get_or_insert_with(|| Self::start(self.counts.clone()));
        if let Err(unsent) = sender.send(garbage) {
            unsent.0.dispose();
            self.counts.done.fetch_add(1, Ordering::Release);
            self.counts.pending.fetch_sub(objects, Ordering::Relaxed);
        }
    }

    /// What `is_freed` is to be asked about, for everything sent so far.
    pub fn ticket(&self) -> u64 {
        self.sent
    }

    /// True when everything that had been sent when the ticket was given is freed.
    pub fn is_freed(&self, ticket: u64) -> bool {
        self.counts.done.load(Ordering::Acquire) >= ticket
    }

    /// Objects that wait to be freed.
    pub fn pending(&self) -> u64 {
        self.counts.pending.load(Ordering::Acquire)
    }

    /// Objects freed so far.
    pub fn freed(&self) -> u64 {
        self.counts.freed.load(Ordering::Relaxed)
    }

    /// Starts counting anew (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        self.counts.freed.store(0, Ordering::Relaxed);
    }

    fn start(counts: Arc<Counts>) -> Sender<Garbage> {
        let (sender, receiver) = channel::<Garbage>();
        // Without a thread the receiver is dropped, `send` fails and garbage is freed on the spot.
        let _ = std::thread::Builder::new().name("lazyfree".into()).spawn(move || {
            for garbage in receiver {
                let objects = garbage.objects();
                garbage.dispose();
                // In this order, so that who sees nothing pending sees everything freed.
                counts.freed.fetch_add(objects, Ordering::Relaxed);
                counts.done.fetch_add(1, Ordering::Release);
                counts.pending.fetch_sub(objects, Ordering::Release);
            }
        });
        sender
    }
}
