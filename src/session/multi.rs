//! A transaction between MULTI and EXEC: the requests that wait in it and whether one of them was refused.

use crate::resp::request::{Args, OwnedRequest};

/// A request that waits for EXEC.
pub struct Queued {
    /// Position of the command in the table.
    pub command: u16,
    pub request: OwnedRequest,
}

/// What a client has collected since MULTI.
#[derive(Default)]
pub struct Transaction {
    pub queue: Vec<Queued>,
    /// A request was refused: EXEC will be, too.
    pub broken: bool,
    /// The flags of all commands in the queue together.
    pub flags: u32,
}

impl Transaction {
    /// Adds a request. A transaction that is refused anyway keeps none, so that it cannot take memory.
    pub fn queue(&mut self, command: u16, flags: u32, args: Args<'_>) {
        if !self.broken {
            self.queue.push(Queued { command, request: OwnedRequest::copy(args) });
            self.flags |= flags;
        }
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        let requests: usize = self.queue.iter().map(|queued| queued.request.memory_bytes()).sum();
        requests + self.queue.capacity() * size_of::<Queued>()
    }
}
