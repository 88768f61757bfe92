//! Tasks that stay on their thread. tokio's plain `spawn` on a `current_thread` runtime puts a task straight into that
//! thread's queue; it only asks that the future could move. `SendWrapper` promises that it does not, and checks.
//!
//! (`LocalSet` would serve too, but every wake from the socket driver goes through its own queue and, as it is the root
//! future, through an eventfd write.)

use send_wrapper::SendWrapper;
use std::future::Future;

/// Runs `future` on this thread's runtime, which must be a `current_thread` one.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    tokio::spawn(SendWrapper::new(future));
}
