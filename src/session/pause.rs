//! CLIENT PAUSE: until when which commands wait.

use crate::types::UnixMillis;

/// A pause of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// When it ends by itself.
    pub until: UnixMillis,
    /// Every command waits, not only those that write.
    pub all: bool,
}
