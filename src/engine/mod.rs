//! The actor that owns every key. Connections put batches of decoded requests into its mailbox and ring; it runs them all,
//! appends the write stream once, sends each client its replies once, and gives the batches back.
//!
//! With one runtime on one thread (the default) the ring is a wake-up of a task on the same queue: the engine runs behind
//! every connection that the same poll of the sockets made ready, and thus finds the work of all of them in its mailbox.

pub mod batch;
pub mod cron;
pub mod event;

use crate::dispatch::{self, Step};
use crate::session::Session;
use crate::types::ClientId;
use crate::world::World;
use batch::Batch;
use event::Event;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

/// Requests whose keys are read into the cache together, ahead of running them.
const PREFETCH_WINDOW: usize = 16;

/// The engine and its world.
pub struct Engine {
    pub world: World,
    /// Batches that wait because their client does.
    parked: Vec<Box<Batch>>,
    outcome: Option<event::Outcome>,
}

/// Where the rest of the process talks to the engine from its own thread.
#[derive(Clone)]
pub struct Mailbox(Rc<Shared>);

struct Shared {
    engine: RefCell<Engine>,
    queue: RefCell<VecDeque<Event>>,
    spare: RefCell<Vec<Box<Batch>>>,
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Spare batches kept for the next busy moment.
const SPARE_BATCHES_MAX: usize = 256;

impl Mailbox {
    /// The mailbox of a new engine.
    pub fn new(world: World) -> Self {
        Mailbox(Rc::new(Shared {
            engine: RefCell::new(Engine { world, parked: Vec::new(), outcome: None }),
            queue: RefCell::default(),
            spare: RefCell::default(),
            rung: Cell::new(false),
            waker: RefCell::default(),
        }))
    }

    /// Puts an event into the queue and rings.
    #[inline]
    pub fn post(&self, event: Event) {
        self.0.queue.borrow_mut().push_back(event);
        if !self.0.rung.replace(true)
            && let Some(waker) = &*self.0.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// A batch for a connection that has something to read.
    #[inline]
    pub fn lend_batch(&self) -> Box<Batch> {
        self.0.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a batch that its connection does not need at the moment.
    #[inline]
    pub fn return_batch(&self, mut batch: Box<Batch>) {
        let mut spare = self.0.spare.borrow_mut();
        if spare.len() < SPARE_BATCHES_MAX && batch.is_reusable() {
            batch.reset();
            spare.push(batch);
        }
    }

    /// Uses the engine between two of its turns: cron, listeners, tests. Not from inside a command.
    pub fn with<R>(&self, f: impl FnOnce(&mut Engine) -> R) -> R {
        f(&mut self.0.engine.borrow_mut())
    }

    /// Runs the engine for ever on this thread; ends with how the server is to end.
    pub async fn run(self) -> event::Outcome {
        std::future::poll_fn(|context| {
            let mut waker = self.0.waker.borrow_mut();
            if waker.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            drop(waker);
            self.turn();
            match self.0.engine.borrow_mut().outcome.take() {
                Some(outcome) => std::task::Poll::Ready(outcome),
                None => std::task::Poll::Pending,
            }
        })
        .await
    }

    /// One turn: everything that is in the mailbox now.
    pub fn turn(&self) {
        self.0.rung.set(false);
        let mut queue = self.0.queue.take();
        if queue.is_empty() {
            *self.0.queue.borrow_mut() = queue;
            return;
        }
        self.0.engine.borrow_mut().turn(&mut queue, self);
        // The emptied queue goes back, so that its memory is used again.
        let mut current = self.0.queue.borrow_mut();
        if current.is_empty() {
            *current = queue;
        }
    }
}

impl Engine {
    /// Handles all events in order; batches in a row are run together.
    fn turn(&mut self, queue: &mut VecDeque<Event>, mailbox: &Mailbox) {
        let start = Instant::now();
        self.world.keyspace.refresh_clock();
        let mut batches: Vec<Box<Batch>> = Vec::with_capacity(queue.len());
        while let Some(event) = queue.pop_front() {
            match event {
                Event::Batch(batch) => batches.push(batch),
                other => {
                    self.run_batches(&mut batches, mailbox);
                    self.handle(other);
                }
            }
        }
        self.run_batches(&mut batches, mailbox);
        self.finish_turn(mailbox);
        let stats = &mut self.world.stats;
        let nanos = start.elapsed().as_nanos() as u64;
        stats.engine_loops += 1;
        stats.engine_loop_nanos += nanos;
        stats.engine_loop_nanos_max = stats.engine_loop_nanos_max.max(nanos);
    }

    /// After everything ran: the write stream once, each client's replies once, then what commands ordered.
    pub(crate) fn finish_turn(&mut self, mailbox: &Mailbox) {
        self.world.stream.flush();
        self.send_replies();
        while let Some(order) = self.world.orders.pop_front() {
            self.carry_out(order, mailbox);
            self.send_replies();
        }
    }

    fn send_replies(&mut self) {
        let world = &mut self.world;
        let stats = &mut world.stats;
        world.sessions.drain_sends(|session| {
            let bytes = session.out.len() as u64;
            stats.bytes_out += bytes;
            session.bytes_out += bytes;
            stats.writes_processed += 1;
            match &session.link {
                Some(link) => {
                    if bytes > 0 {
                        link.send(&mut session.out);
                    }
                    if session.closing {
                        link.close_after_send();
                    }
                }
                None => {}
            }
        });
    }

    /// Runs the requests of all batches in order, prefetching the keys of the next few.
    fn run_batches(&mut self, batches: &mut Vec<Box<Batch>>, mailbox: &Mailbox) {
        if batches.is_empty() {
            return;
        }
        // `ahead` runs before `now` by up to a window of requests, over the borders of batches.
        let mut window = [(0u32, 0u64); PREFETCH_WINDOW];
        let mut ahead = (0usize, 0usize);
        let mut prefetched = 0usize;
        for i in 0..batches.len() {
            let (client, slot) = (batches[i].client, batches[i].slot);
            let Some(mut session) = self.world.sessions.take(client, slot) else { continue };
            self.world.sessions.lend_output(&mut session);
            session.active_at = self.world.keyspace.env.now();
            let count = batches[i].requests.len();
            session.bytes_in += batches[i].bytes_read as u64;
            self.world.stats.bytes_in += batches[i].bytes_read as u64;
            self.world.stats.reads_processed += 1;
            batches[i].bytes_read = 0;
            let mut at = batches[i].next;
            // A client that is being closed runs nothing more.
            while at < count && !session.closing {
                if prefetched == 0 {
                    prefetched = self.prefetch(batches, &mut ahead, i, at, session.db, &mut window);
                }
                prefetched = prefetched.saturating_sub(1);
                let batch = &batches[i];
                let request = batch.requests[at];
                let step = dispatch::execute(&mut self.world, &mut session, batch.args(request), request.command());
                at += 1;
                if step != Step::Next {
                    break;
                }
            }
            batches[i].next = at;
            if at >= count
                && !session.closing
                && let Some(error) = batches[i].take_error()
            {
                dispatch::protocol_error(&mut self.world, &mut session, &error);
            }
            self.world.sessions.put_back(session);
        }
        self.world.stream.flush();
        self.send_replies();
        for batch in batches.drain(..) {
            Batch::go_home(batch, mailbox);
        }
    }

    /// Reads the buckets, then the entries, of the next requests' first keys into the cache. Returns for how many.
    fn prefetch(
        &self,
        batches: &[Box<Batch>],
        ahead: &mut (usize, usize),
        batch_now: usize,
        at_now: usize,
        db: crate::types::DbIndex,
        window: &mut [(u32, u64); PREFETCH_WINDOW],
    ) -> usize {
        *ahead = (batch_now, at_now);
        let (mut looked, mut found) = (0, 0);
        let keyspace = &self.world.keyspace;
        if keyspace.db(db).table.len() < crate::keyspace::db::PREFETCH_MIN_KEYS {
            return usize::MAX;
        }
        while looked < PREFETCH_WINDOW && ahead.0 < batches.len() {
            let batch = &batches[ahead.0];
            let Some(request) = batch.requests.get(ahead.1) else {
                *ahead = (ahead.0 + 1, batches.get(ahead.0 + 1).map_or(0, |b| b.next));
                continue;
            };
            if let Some(command) = request.command()
                && let Some(key_at) = self.world.commands.get(command).first_key
                && key_at < request.count as usize
            {
                window[found].1 = keyspace.prefetch_bucket(db, batch.args(*request).get(key_at));
                found += 1;
            }
            looked += 1;
            ahead.1 += 1;
        }
        for (_, hash) in &window[..found] {
            keyspace.prefetch_entry(db, *hash);
        }
        looked
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Batch(_) => {}
            Event::Disconnected(client) => self.forget(client),
            Event::Signal(shutdown) => self.outcome = Some(event::Outcome { shutdown }),
        }
    }

    /// Files a new client. `None` if there is no room; the caller tells the client.
    pub fn admit_client(&mut self, session: Box<Session>) -> Result<(ClientId, usize), Box<Session>> {
        let limit = self.world.config.maxclients.max(1) as usize;
        self.world.stats.connections += 1;
        if self.world.sessions.len() >= limit {
            self.world.stats.rejected_connections += 1;
            return Err(session);
        }
        Ok(self.world.sessions.add(session))
    }

    /// A client is gone.
    pub fn forget(&mut self, client: ClientId) {
        self.parked.retain(|batch| batch.client != client);
        drop(self.world.sessions.remove(client));
    }

    fn carry_out(&mut self, order: crate::world::Order, mailbox: &Mailbox) {
        use crate::world::Order;
        match order {
            Order::Shutdown(shutdown) => {
                self.outcome = Some(event::Outcome { shutdown });
                // The engine's task must be polled once more to end.
                mailbox.post(Event::Signal(shutdown));
            }
            Order::Disconnect { client, after_replies } => {
                if let Some(session) = self.world.sessions.get_mut(client) {
                    session.closing = true;
                    match (&session.link, after_replies) {
                        (Some(link), true) => link.close_after_send(),
                        (Some(link), false) => link.close_now(),
                        (None, _) => {}
                    }
                }
                if !after_replies {
                    self.forget(client);
                }
            }
            Order::ConfigChanged(names) => crate::server::apply_config(&mut self.world, &names),
            Order::Sleep { millis } => std::thread::sleep(std::time::Duration::from_millis(millis)),
        }
    }
}
