//! The unit of exchange between connections and the engine: the requests that one read brought, decoded, with their bytes.
//!
//! A batch is lent to a connection that has something to read, travels to the engine, and goes back. It is recycled, so a
//! command costs no allocation; an idle connection holds none.

use super::Mailbox;
use crate::command::table::CommandTable;
use crate::dispatch;
use crate::resp::decode::{Decoder, Limits, Step};
use crate::resp::request::{Args, Span};
use crate::types::ClientId;

/// Room for requests in a new batch.
pub const INPUT_BYTES: usize = 16 * 1024;
/// A batch whose buffers have grown beyond this is not recycled.
const INPUT_RECYCLED_MAX: usize = 64 * 1024;

/// One request inside a batch.
#[derive(Clone, Copy)]
pub struct Request {
    first: u32,
    /// Number of arguments.
    pub count: u32,
    command: u16,
}

/// No such command.
const UNKNOWN: u16 = u16::MAX;

impl Request {
    /// The command's position in the table, if the name is known.
    #[inline]
    pub fn command(&self) -> Option<u16> {
        (self.command != UNKNOWN).then_some(self.command)
    }
}

/// The other end of a batch: its connection.
pub trait Home {
    /// Takes the batch back; the engine is done with it.
    fn take_back(&self, batch: Box<Batch>);
}

/// Requests of one client.
#[derive(Default)]
pub struct Batch {
    pub client: ClientId,
    pub slot: usize,
    /// Buffer for what is read; `filled` bytes of it are in use.
    pub input: Vec<u8>,
    pub filled: usize,
    /// Bytes read since the engine last counted them.
    pub bytes_read: usize,
    pub requests: Vec<Request>,
    /// The request to run next.
    pub next: usize,
    pub home: Option<std::rc::Rc<dyn Home>>,
    spans: Vec<Span>,
    decoder: Decoder,
    error: Option<String>,
}

impl Batch {
    /// The arguments of a request.
    #[inline]
    pub fn args(&self, request: Request) -> Args<'_> {
        let spans = &self.spans[request.first as usize..(request.first + request.count) as usize];
        self.decoder.args(&self.input, spans)
    }
}
