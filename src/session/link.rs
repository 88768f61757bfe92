//! The way from a session to its connection, which may be on another thread, and the sizes of the connection's buffers.

use crate::resp::decode::Limits;
use crate::resp::reply::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The way from a session to its connection.
pub trait Link {
    /// Sends what is in `out`, or as much as the socket takes now; the connection keeps the rest. Clears `out`. Returns how many
    /// bytes the socket has not taken yet.
    fn send(&self, out: &mut Output) -> usize;
    /// Closes the connection once everything sent so far has left.
    fn close_after_send(&self);
    /// Closes the connection at once.
    fn close_now(&self);
    /// Limits on what is read from here on (they are smaller before AUTH).
    fn set_limits(&self, limits: Limits);
    /// Whether what is sent leaves at once. If not, the system waits for more while something is on its way: fewer packets, later.
    fn set_nodelay(&self, _nodelay: bool) {}
    /// What the connection holds.
    fn buffers(&self) -> LinkBuffers;
    /// Lets the connection look after its request buffer: once the client was idle for a while it is taken back, and one that
    /// is larger than need be gets smaller.
    fn tidy(&self, idle: bool);
    /// The client waits for something else than its turn, or no longer: if it goes meanwhile it is not to be served. (The requests
    /// of others are run even if the client has stopped sending: it may still read.)
    fn set_waits(&self, _waits: bool) {}
}

/// Sizes of a connection's buffers, for CLIENT LIST and for limits.
#[derive(Default, Clone, Copy)]
pub struct LinkBuffers {
    /// Bytes of requests read and not yet understood.
    pub query: usize,
    /// Free room in the request buffer.
    pub query_free: usize,
    /// Bytes of replies that the socket has not taken yet.
    pub unsent: usize,
    /// Bytes of memory that hold these replies.
    pub unsent_memory: usize,
    /// Bytes of memory held by all of these.
    pub memory: usize,
}

/// Sizes of a connection's buffers where the engine can see them, whatever thread has the socket.
#[derive(Default)]
pub struct Gauge {
    unsent: AtomicUsize,
    unsent_memory: AtomicUsize,
    /// Bytes of replies on their way to the connection's thread.
    in_flight: AtomicUsize,
    /// Of the request buffer, while the connection has one: bytes in it, room in it, memory.
    query: AtomicUsize,
    query_free: AtomicUsize,
    memory: AtomicUsize,
    /// See `Link::set_waits`.
    waits: AtomicBool,
    /// Something came from the client while the engine had its requests.
    is_noticed: AtomicBool,
}

impl Gauge {
    /// Shows whether the client waits. True if its connection is to look whether it is gone.
    pub fn set_waits(&self, waits: bool) -> bool {
        // Either the connection sees this or it is seen here that something came.
        self.waits.store(waits, Ordering::SeqCst);
        waits && self.is_noticed.load(Ordering::SeqCst)
    }

    /// Whether the client waits, and something came meanwhile: what it was is to be looked at again, as it may hide its end.
    pub fn waits_noticed(&self) -> bool {
        self.waits.load(Ordering::SeqCst) && self.is_noticed.load(Ordering::SeqCst)
    }

    /// Something came, or the client is gone, while the engine has its requests. True if the client waits.
    pub fn notice(&self) -> bool {
        self.is_noticed.store(true, Ordering::SeqCst);
        self.waits.load(Ordering::SeqCst)
    }

    /// The engine has none of the client's requests.
    pub fn forget_notice(&self) {
        self.is_noticed.store(false, Ordering::Relaxed);
    }

    /// What it shows.
    pub fn read(&self) -> LinkBuffers {
        let unsent_memory = self.unsent_memory.load(Ordering::Relaxed) + self.in_flight.load(Ordering::Relaxed);
        LinkBuffers {
            query: self.query.load(Ordering::Relaxed),
            query_free: self.query_free.load(Ordering::Relaxed),
            unsent: self.unsent(),
            unsent_memory,
            memory: self.memory.load(Ordering::Relaxed) + unsent_memory,
        }
    }

    /// Bytes of replies that the socket has not taken yet.
    pub fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed) + self.in_flight.load(Ordering::Relaxed)
    }

    /// Shows how many bytes of replies the connection holds, and the memory that they take.
    pub fn set_unsent(&self, bytes: usize, memory: usize) {
        self.unsent.store(bytes, Ordering::Relaxed);
        self.unsent_memory.store(memory, Ordering::Relaxed);
    }

    /// Replies left for the connection's thread.
    pub fn departed(&self, bytes: usize) {
        self.in_flight.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Replies reached the connection's thread.
    pub fn arrived(&self, bytes: usize) {
        self.in_flight.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Shows the request buffer: bytes in it, room in it, memory.
    pub fn set_query(&self, bytes: usize, free: usize, memory: usize) {
        self.query.store(bytes, Ordering::Relaxed);
        self.query_free.store(free, Ordering::Relaxed);
        self.memory.store(memory, Ordering::Relaxed);
    }
}
