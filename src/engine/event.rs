//! The closed list of what can wake the engine. Timed work is in `cron`.

use super::batch::Batch;
use crate::types::ClientId;
use crate::world::Shutdown;

/// Something for the engine to do. Events cross threads.
pub enum Event {
    /// Requests of one client, decoded.
    Batch(Box<Batch>),
    /// A client's requests outgrew `client-query-buffer-limit`; its connection ends.
    QueryTooLarge { client: ClientId, bytes: usize },
    /// A client's request buffer has become larger than usual.
    Grown(ClientId),
    /// A connection ended.
    Disconnected(ClientId),
    /// Keys were sent to another server, or not.
    Migrated(Box<crate::migration::Outcome>),
    /// The process was asked to end.
    Signal(Shutdown),
}

/// How the engine's work ended.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub shutdown: Shutdown,
}
