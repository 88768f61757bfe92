//! The unit of exchange between connections and the engine: the requests that one read brought, decoded, with their bytes.
//!
//! A batch is lent to a connection that has something to read, travels to the engine, and goes back. It is recycled, so a
//! command costs no allocation; an idle connection holds none.

use super::event::Event;
use crate::command::table::CommandTable;
use crate::dispatch;
use crate::raw::member::prefetch;
use crate::resp::decode::{Decoder, Limits, ProtocolError, Step};
use crate::resp::reply::Output;
use crate::resp::request::{Args, Span};
use crate::types::ClientId;
use std::cell::{Cell, RefCell};

/// Room for requests in a new batch.
pub const INPUT_BYTES: usize = 32 * 1024;
/// Bytes of one client's long argument that are read before others get their turn.
pub const READ_MAX: usize = 256 * 1024;
/// A batch whose buffers have grown beyond this is not recycled.
const INPUT_RECYCLED_MAX: usize = 64 * 1024;
/// Requests kept room for in a recycled batch.
const REQUESTS_RECYCLED_MAX: usize = 4096;

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

/// The other end of a batch: its connection, on the engine's own thread.
pub trait Home {
    /// Takes the batch back; the engine is done with it.
    fn take_back(&self, batch: Box<Batch>);
}

/// Where a connection gets batches from and posts its events to: the engine's mailbox, or an I/O thread's way to it.
pub trait Post {
    /// A batch for a connection that has something to read.
    fn lend_batch(&self) -> Box<Batch>;
    /// Takes a batch that its connection does not need at the moment.
    fn return_batch(&self, batch: Box<Batch>);
    /// Puts an event into the engine's queue and rings.
    fn post(&self, event: Event);
    /// True if the engine is about to take a turn on this thread.
    fn is_rung(&self) -> bool {
        false
    }
}

/// Batches that nobody uses at the moment.
#[derive(Default)]
#[allow(clippy::vec_box)] // A batch travels by its box; unboxing it here would copy it twice.
pub struct Spares {
    batches: RefCell<Vec<Box<Batch>>>,
    dropped: Cell<usize>,
}

/// Spare batches kept for the next busy moment.
const SPARE_BATCHES_MAX: usize = 128;

impl Spares {
    /// A batch as good as new.
    #[inline]
    pub fn lend(&self) -> Box<Batch> {
        self.batches.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a batch for later if it is worth it.
    #[inline]
    pub fn give_back(&self, mut batch: Box<Batch>) {
        let mut spare = self.batches.borrow_mut();
        if spare.len() < SPARE_BATCHES_MAX && batch.is_reusable() {
            batch.reset();
            spare.push(batch);
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// How many batches were too many, or too large, to be kept since the last call. After a burst their memory is worth
    /// giving back to the system.
    pub fn take_dropped(&self) -> usize {
        self.dropped.take()
    }
}

/// Whether there is work for the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    Something,
    Nothing,
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
    /// The I/O thread that reads and writes for this client; 0 is the engine's own.
    pub thread: u16,
    /// The connection's place among those of its thread.
    pub connection: u32,
    /// Replies on their way to another thread. On the engine's own they are written to the socket at once.
    pub out: Output,
    /// The connection is to be closed when `out` has left.
    pub close_after: bool,
    /// There may be another complete request in the input: the client was to authenticate first, under smaller limits.
    pub undecoded: bool,
    spans: Vec<Span>,
    decoder: Decoder,
    error: Option<ProtocolError>,
    wanted: usize,
}

impl Batch {
    /// The arguments of a request.
    #[inline]
    pub fn args(&self, request: Request) -> Args<'_> {
        let spans = &self.spans[request.first as usize..(request.first + request.count) as usize];
        Args::new(&self.input, spans)
    }

    /// Brings closer what another thread has written of these batches: it is in that thread's cache, and the engine would wait
    /// for one line after the other.
    pub fn prefetch(batches: &[Box<Batch>]) {
        const LINE: usize = 64;
        for batch in batches {
            let start = std::ptr::from_ref::<Batch>(batch).cast::<u8>();
            (0..size_of::<Batch>()).step_by(LINE).for_each(|at| prefetch(start.wrapping_add(at)));
        }
        for batch in batches {
            prefetch(batch.requests.as_ptr());
            prefetch(batch.spans.as_ptr());
            prefetch(batch.input.as_ptr());
        }
    }

    /// Makes room for the next read. An argument that is announced gets its room at once, up to a limit, so that it is not
    /// copied as it grows; what is longer doubles its room. True if the buffer is larger now than a batch's usually is.
    pub fn make_room(&mut self) -> bool {
        const ROOM_MIN: usize = 4 * 1024;
        /// A client that announces much and sends nothing costs this much address space, and no memory.
        const ANNOUNCED_MAX: usize = 4 << 20;
        if self.input.is_empty() {
            self.input.resize(INPUT_BYTES, 0);
        }
        let size = self.input.len();
        let enough = (self.wanted + ROOM_MIN).max(self.filled + ROOM_MIN);
        if self.wanted <= size && size - self.filled >= ROOM_MIN {
            return false;
        }
        let size = enough.min((self.filled + ANNOUNCED_MAX).max(size * 2));
        self.resize_input(size);
        true
    }

    /// Where the next read goes. Nobody reads more at once than the others should wait for, be there room for more.
    pub fn room(&mut self) -> &mut [u8] {
        let most = (self.wanted.saturating_sub(self.filled)).clamp(INPUT_BYTES, READ_MAX);
        let end = self.input.len().min(self.filled + most);
        &mut self.input[self.filled..end]
    }

    /// Adds bytes that were read elsewhere.
    pub fn push_input(&mut self, bytes: &[u8]) {
        if self.input.len() < self.filled + bytes.len() {
            self.resize_input((self.filled + bytes.len()).max(INPUT_BYTES));
        }
        self.input[self.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Takes room back from a buffer that is not needed in its size; what it holds stays. True if there was any to take.
    pub fn shrink(&mut self, room: usize) -> bool {
        let size = room.max(self.filled);
        let shrinks = size < self.input.len();
        if shrinks {
            self.resize_input(size);
        }
        shrinks
    }

    /// Takes room back from the lists of arguments and requests, if they have far more than input of this length fills; an
    /// argument takes five bytes of it at least.
    pub fn shrink_lists(&mut self, input: usize) {
        const ENOUGH: usize = 1024;
        const ARGUMENT_BYTES_MIN: usize = 5;
        let most = (input / ARGUMENT_BYTES_MIN).max(ENOUGH);
        if self.spans.capacity() > 2 * most {
            self.spans.shrink_to(most);
        }
        if self.requests.capacity() > 2 * most {
            self.requests.shrink_to(most);
        }
    }

    /// Moves the input to a buffer of another size. Fresh memory is zero already: unlike a buffer that is resized, pages that
    /// are never read into are never touched.
    fn resize_input(&mut self, size: usize) {
        let mut input = vec![0; size];
        input[..self.filled].copy_from_slice(&self.input[..self.filled]);
        self.input = input;
    }

    /// Bytes read that do not belong to any argument yet.
    pub fn pending(&self) -> usize {
        self.filled.saturating_sub(self.decoder.position())
    }

    /// Decodes every complete request in the input and looks their commands up.
    pub fn decode(&mut self, commands: &CommandTable, limits: &Limits) -> Decoded {
        self.undecoded = false;
        let Batch { input, spans, decoder, requests, .. } = self;
        let input = &mut input[..self.filled];
        loop {
            match decoder.next(input, spans, limits) {
                Step::Request { first, count } => {
                    let args = Args::new(input, &spans[first..first + count]);
                    let command = dispatch::lookup(commands, args).unwrap_or(UNKNOWN);
                    requests.push(Request { first: first as u32, count: count as u32, command });
                    // The next request may come under other limits: this one may be AUTH.
                    if !limits.authenticated {
                        self.undecoded = true;
                        return Decoded::Something;
                    }
                }
                Step::NeedMore { total } => {
                    self.wanted = total;
                    break;
                }
                Step::Error(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        if self.requests.is_empty() && self.error.is_none() { Decoded::Nothing } else { Decoded::Something }
    }

    /// The error that ended decoding, if one did.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take().map(|error| error.to_string())
    }

    /// Drops the requests that were run and moves the unfinished one to the front.
    pub fn compact(&mut self) {
        let start = self.decoder.start();
        self.decoder.shift(&mut self.spans);
        self.input.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.wanted = self.wanted.saturating_sub(start);
        self.requests.clear();
        self.next = 0;
    }

    /// True if the batch is worth keeping for another connection.
    pub fn is_reusable(&self) -> bool {
        self.input.len() <= INPUT_RECYCLED_MAX
            && self.requests.capacity() <= REQUESTS_RECYCLED_MAX
            && self.spans.capacity() * size_of::<Span>() <= INPUT_RECYCLED_MAX
    }

    /// Makes the batch as good as new, keeping its buffers.
    pub fn reset(&mut self) {
        self.filled = 0;
        self.bytes_read = 0;
        self.requests.clear();
        self.spans.clear();
        self.next = 0;
        self.thread = 0;
        self.out.clear();
        self.close_after = false;
        self.undecoded = false;
        self.decoder = Decoder::default();
        self.error = None;
        self.wanted = 0;
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Batch>()
            + self.input.capacity()
            + self.requests.capacity() * size_of::<Request>()
            + self.spans.capacity() * size_of::<Span>()
    }
}
