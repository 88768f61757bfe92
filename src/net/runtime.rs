//! The runtimes: each thread that serves sockets has one of its own.

use crate::engine::moderation;

/// A runtime for one thread. A long turn of ready connections is not cut by looks at the sockets, so that the engine finds
/// them all in its mailbox.
pub fn engine() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(1024)
        .on_thread_park(moderation::before_sleep)
        .build()
}

/// A runtime for an I/O thread.
pub fn io_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().event_interval(1024).build()
}
