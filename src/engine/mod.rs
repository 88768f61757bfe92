//! The actor that owns every key. Connections put batches of decoded requests into its mailbox and ring; it runs them all,
//! appends the write stream once, sends each client its replies once, and gives the batches back.
//!
//! With one runtime on one thread (the default) the ring is a wake-up of a task on the same queue: the engine runs behind
//! every connection that the same poll of the sockets made ready, and thus finds the work of all of them in its mailbox.

#![allow(clippy::vec_box)] // Batches travel by their boxes; a vector of the values would copy them.

pub mod batch;
mod bus;
mod clients;
mod config;
pub mod cron;
mod debug;
mod defrag;
pub mod event;
mod gather;
mod hold;
pub mod loading;
mod mailbox;
pub mod moderation;
mod nap;
mod obey;
mod prefetch;
pub mod replication;
pub mod ring;
mod sentinel;
pub mod snapshot;
mod sync;
mod upstream;

use crate::command::context::BlockOn;
use crate::command::error::{self, CommandError};
use crate::commands::keys::migrate::{self, Settled};
use crate::dispatch::{self, Step};
use crate::keyspace::lazyfree::Garbage;
use crate::resp::reply::ReplyWriter;
use crate::resp::request::OwnedRequest;
use crate::session::Session;
use crate::types::ClientId;
use crate::world::World;
use batch::{Batch, Post};
use event::Event;
use prefetch::PREFETCH_WINDOW;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

pub use mailbox::{Mailbox, NewSocket, Remote, ToConnection, wake_behind_sockets};

/// How long the requests of one batch may take before others get their turn. Commands of constant time are not measured but
/// counted.
const SLICE: Duration = Duration::from_micros(250);
/// As many requests of one batch run before others get their turn.
const REQUESTS_PER_TURN: usize = 256;

/// The engine and its world.
pub struct Engine {
    pub world: World,
    /// Requests that wait for keys, with all that came behind them.
    parked: HashMap<ClientId, Parked>,
    /// Of those, who waits until garbage is freed, and for how much of it.
    freeing: Vec<(ClientId, u64)>,
    /// Batches whose client waits no longer.
    resumed: Vec<Box<Batch>>,
    /// The batches of a turn; empty between turns, kept for its memory.
    batches: Vec<Box<Batch>>,
    /// Batches whose next request waits for the end of a pause of clients.
    postponed: Vec<Box<Batch>>,
    /// Batches that took long and were left in the middle; the next turn goes on with them, behind what came meanwhile.
    unfinished: Vec<Box<Batch>>,
    /// The request whose script takes long.
    paused: Option<PausedRequest>,
    /// The request whose script is stopped in the debugger.
    debugged: Option<debug::Debugged>,
    defrag: defrag::ActiveDefrag,
    outcome: Option<event::Outcome>,
    /// The client that cron looked at last.
    looked_at: ClientId,
    held: hold::Held,
    gathering: gather::Gathering,
    load: Option<Box<loading::Load>>,
    sync: Option<Box<sync::Sync>>,
    snapshot: snapshot::Pace,
    read_ahead: prefetch::ReadAhead,
}

/// A batch whose next request waits.
struct Parked {
    batch: Box<Batch>,
    /// See `BlockOn::again`.
    again: Option<OwnedRequest>,
}

/// A request in the middle of running a script, with its client, which is out of the registry all the while.
struct PausedRequest {
    session: Box<Session>,
    batch: Box<Batch>,
    paused: Box<dispatch::Paused>,
}

impl Engine {
    fn new(world: World) -> Self {
        Engine {
            world,
            parked: HashMap::new(),
            freeing: Vec::new(),
            resumed: Vec::new(),
            batches: Vec::new(),
            postponed: Vec::new(),
            unfinished: Vec::new(),
            paused: None,
            debugged: None,
            defrag: Default::default(),
            outcome: None,
            looked_at: ClientId::default(),
            held: hold::Held::default(),
            gathering: gather::Gathering::default(),
            load: None,
            sync: None,
            snapshot: snapshot::Pace::default(),
            read_ahead: prefetch::ReadAhead::default(),
        }
    }

    /// Handles all events in order; batches in a row are run together.
    fn turn(&mut self, queue: &mut VecDeque<Event>, mailbox: &Mailbox) {
        let start = Instant::now();
        let commands = self.world.stats.commands;
        dispatch::begin_turn(&mut self.world);
        let mut served = 0;
        let mut batches = std::mem::take(&mut self.batches);
        let mut unfinished = std::mem::take(&mut self.unfinished);
        while let Some(event) = queue.pop_front() {
            match event {
                Event::Batch(batch) => {
                    served += 1;
                    batches.push(batch);
                }
                other => {
                    self.run_batches(&mut batches, mailbox);
                    self.handle(other, mailbox);
                }
            }
        }
        self.run_batches(&mut batches, mailbox);
        if !unfinished.is_empty() {
            // The others have their replies by now.
            unfinished.retain(|batch| self.world.sessions.knows(batch.client));
            self.run_batches(&mut unfinished, mailbox);
        }
        self.batches = batches;
        let leaves_sync = self.leaves_sync(served, start);
        self.end_turn(leaves_sync, mailbox);
        if !mailbox.has_remotes() {
            // With I/O threads it naps in another way, see `nap`.
            moderation::served(served);
        }
        let stats = &mut self.world.stats;
        let nanos = start.elapsed().as_nanos() as u64;
        stats.engine_loops += 1;
        stats.engine_loop_nanos += nanos;
        stats.engine_loop_nanos_max = stats.engine_loop_nanos_max.max(nanos);
        // CONFIG RESETSTAT may have started the count anew meanwhile.
        stats.commands_per_loop_max = stats.commands_per_loop_max.max(stats.commands.saturating_sub(commands));
    }

    /// After everything ran: the write stream once, each client's replies once, then what commands ordered.
    pub(crate) fn finish_turn(&mut self, mailbox: &Mailbox) {
        self.end_turn(false, mailbox);
    }

    /// As above, unless this is left to the next turn.
    fn end_turn(&mut self, leaves_sync: bool, mailbox: &Mailbox) {
        match leaves_sync {
            true => mailbox.wake_engine(),
            false => self.commit(mailbox),
        }
        self.send_replies();
        self.world.pubsub.leave_on();
        if self.world.memory.unfinished {
            mailbox.wake_timers();
        }
        if self.world.replication.has_replicas() {
            self.feed_replicas(mailbox);
        }
        while let Some(order) = self.world.orders.pop_front() {
            self.carry_out(order, mailbox);
            self.send_replies();
        }
        if self.world.replication.lags {
            mailbox.wake_replicas();
        }
        if self.world.persistence.snapshot.is_some() && !self.snapshot.is_driven {
            self.snapshot.is_driven = true;
            mailbox.wake_snapshots();
        }
    }

    /// Sends every client what there is for it, or keeps it until the disk has what it tells of.
    fn send_replies(&mut self) {
        if self.world.tracking.has_news() {
            self.world.tracking.broadcast(&mut self.world.sessions);
        }
        if self.holds_replies() { self.hold_replies() } else { self.send_replies_now() }
    }

    /// Runs the requests of all batches in order, prefetching the keys of the next few.
    fn run_batches(&mut self, batches: &mut Vec<Box<Batch>>, mailbox: &Mailbox) {
        let mut resumed = Vec::new();
        while !batches.is_empty() {
            self.run_round(batches, mailbox);
            // Clients that were served by this round go on with what they sent behind the request that waited.
            std::mem::swap(&mut self.resumed, &mut resumed);
            batches.append(&mut resumed);
        }
    }

    fn run_round(&mut self, batches: &mut Vec<Box<Batch>>, mailbox: &Mailbox) {
        let mut prefetched = 0usize;
        self.world.last_ended = None;
        if self.world.limits_client_memory {
            self.count_batches(batches);
        }
        for i in 0..batches.len() {
            if i % PREFETCH_WINDOW == 0 && batches[i].thread != 0 {
                Batch::prefetch(&batches[i..batches.len().min(i + PREFETCH_WINDOW)]);
            }
            let (client, slot) = (batches[i].client, batches[i].slot);
            let Some(mut session) = self.world.sessions.take(client, slot) else { continue };
            if session.closing {
                // Another client closed it in this turn: nothing of it runs any more.
                self.world.sessions.put_back(session);
                continue;
            }
            session.lent_bytes = batches[i].memory_bytes();
            session.out.limit = clients::limit_of(&session, &self.world.config).hard as usize;
            self.world.sessions.lend_output(&mut session);
            session.active_at = self.world.keyspace.env.now();
            let count = batches[i].requests.len();
            if self.holds_replies() {
                session.told_data |= self.tells_data(&batches[i]);
            }
            session.bytes_in += batches[i].bytes_read as u64;
            self.world.stats.bytes_in += batches[i].bytes_read as u64;
            self.world.stats.reads_processed += u64::from(batches[i].bytes_read > 0);
            batches[i].bytes_read = 0;
            let mut at = batches[i].next;
            let turn_ends = at + REQUESTS_PER_TURN;
            let (mut waits, mut postponed, mut paused, mut unfinished) = (None, false, None, false);
            let mut is_long = false;
            let mut first_ended = None;
            while at < count {
                if prefetched == 0 {
                    prefetched = self.read_ahead.prefetch(&self.world, batches, i, at, session.db);
                }
                prefetched -= 1;
                let batch = &batches[i];
                let request = batch.requests[at];
                let step = match self.debugged {
                    _ if session.progress.done != 0 => {
                        dispatch::run_on(&mut self.world, &mut session, batch.args(request), request.command())
                    }
                    None => dispatch::execute(&mut self.world, &mut session, batch.args(request), request.command()),
                    Some(_) => self.run_beside_debugger(&mut session, batch.args(request), request.command()),
                };
                let closes = matches!(step, Step::Close);
                match step {
                    Step::Wait(block) => {
                        waits = Some(block);
                        break;
                    }
                    Step::Postpone => {
                        postponed = true;
                        break;
                    }
                    Step::More => {
                        unfinished = true;
                        break;
                    }
                    Step::Pause(stopped) if stopped.awaits_client() => {
                        self.stop_debugged(&session, batches[i].args(request), stopped);
                        at += 1;
                    }
                    Step::Pause(request) => {
                        paused = Some(request);
                        break;
                    }
                    Step::Next | Step::Close => at += 1,
                }
                // What a script has changed so far is nobody's yet.
                if self.world.blocked.has_ready() && !self.is_paused() {
                    self.serve_blocked();
                }
                if closes {
                    break;
                }
                if at >= count {
                    continue;
                }
                is_long =
                    self.world.last_ended.is_some_and(|ended| ended.duration_since(*first_ended.get_or_insert(ended)) >= SLICE);
                if is_long || at >= turn_ends {
                    unfinished = true;
                    break;
                }
            }
            batches[i].next = at;
            if waits.is_some() || postponed || paused.is_some() {
                set_waits(&session, true);
            }
            if let Some(paused) = paused {
                let batch = std::mem::take(&mut batches[i]);
                self.paused = Some(PausedRequest { session, batch, paused });
                mailbox.wake_script();
                continue;
            }
            if let Some(block) = waits {
                self.park(&mut session, std::mem::take(&mut batches[i]), block, mailbox);
            } else if postponed {
                session.blocked = true;
                self.postponed.push(std::mem::take(&mut batches[i]));
                mailbox.wake_timers();
            } else if unfinished {
                self.unfinished.push(std::mem::take(&mut batches[i]));
                mailbox.wake_engine();
            } else if at >= count
                && !session.closing
                && let Some(error) = batches[i].take_error()
            {
                dispatch::protocol_error(&mut self.world, &mut session, &error);
            }
            if batches[i].thread != 0 && !self.holds_replies() {
                self.hand_over(&mut session, &mut batches[i]);
            }
            session.lent_bytes = 0;
            if unfinished {
                self.world.sessions.put_back_unfinished(session, is_long);
            } else {
                self.world.sessions.put_back(session);
            }
        }
        if !self.syncs_in_passing() {
            self.world.stream.flush();
        }
        if batches.iter().any(|batch| batch.thread != 0) {
            // These carry their replies, which leave before anything that was pushed to the same client later, and before the
            // order to close it.
            self.send_batches_home(batches, mailbox);
            self.send_replies();
            mailbox.ring_remotes();
        } else {
            self.send_replies();
            self.send_batches_home(batches, mailbox);
        }
    }

    fn send_batches_home(&mut self, batches: &mut Vec<Box<Batch>>, mailbox: &Mailbox) {
        let writers_wait = self.writers_wait();
        for batch in batches.drain(..) {
            // An empty batch stands where one was parked.
            if batch.requests.is_empty() && batch.filled == 0 {
                continue;
            }
            match self.is_to_wait(&batch, writers_wait) {
                true => self.held.keep_batch(batch),
                false => mailbox.send_home(batch),
            }
        }
    }

    /// Files a client that waits for keys, with the requests it may have sent behind the one that waits.
    fn park(&mut self, session: &mut Session, batch: Box<Batch>, block: BlockOn, mailbox: &Mailbox) {
        if let Some(ticket) = block.freed {
            self.freeing.push((session.id, ticket));
            session.blocked = true;
            self.parked.insert(session.id, Parked { batch, again: None });
            // It may be a matter of microseconds; no timer is as fine.
            self.world.keyspace.env.lazyfree.send(Garbage::Notice(Box::new(mailbox.timers_waker())));
            return;
        }
        let args = batch.args(batch.requests[batch.next]);
        let keys = block.keys.iter().map(|at| args.get(*at).into()).collect();
        self.world.blocked.add(session.id, session.db, keys, block.deadline);
        if block.or_gone {
            self.world.blocked.or_gone(session.id);
        }
        self.world.settle_changes();
        session.blocked = true;
        self.parked.insert(session.id, Parked { batch, again: block.again });
        if block.deadline.is_some() {
            mailbox.wake_timers();
        }
    }

    /// Runs requests that waited for keys which something else than a request changed.
    pub fn serve_after_background(&mut self, mailbox: &Mailbox) {
        // What a script has changed so far is nobody's yet.
        if self.world.blocked.has_ready() && !self.is_paused() {
            self.serve_blocked();
            self.run_resumed(mailbox);
        }
    }

    /// Runs the requests of clients whose keys are ready again, in the order in which they began to wait.
    fn serve_blocked(&mut self) {
        // What made them ready may have taken long (a transaction, DEBUG SLEEP): a key past its deadline by now is no answer.
        self.world.keyspace.refresh_clock();
        while let Some(((db, key), clients)) = self.world.blocked.next_ready() {
            // A key past its deadline is no answer, and its end is for others to bring about.
            if self.world.keyspace.is_past(db, &key) {
                continue;
            }
            for client in clients {
                self.retry(client);
            }
        }
        self.world.settle_changes();
    }

    fn retry(&mut self, client: ClientId) {
        // The batch is out of the map while its request runs, so that whatever the request does (closing its own client
        // included, the class of CVE-2026-23479) cannot take it away underneath.
        let Some(Parked { mut batch, again }) = self.parked.remove(&client) else { return };
        let Some(mut session) = self.world.sessions.take(client, batch.slot) else {
            self.world.blocked.remove(client);
            return;
        };
        self.world.sessions.lend_output(&mut session);
        let request = batch.requests[batch.next];
        let args = again.as_ref().map_or_else(|| batch.args(request), OwnedRequest::args);
        session.told_data = true;
        let step = dispatch::retry(&mut self.world, &mut session, args, request.command());
        if let Step::Wait(_) = step {
            self.world.sessions.put_back(session);
            self.parked.insert(client, Parked { batch, again });
            return;
        }
        batch.next += 1;
        self.release(session, batch);
    }

    /// True while a request is in the middle of running a script.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some() || self.debugged.is_some()
    }

    /// Goes on for a while with the request whose script takes long.
    fn go_on(&mut self, mailbox: &Mailbox) {
        let Some(PausedRequest { mut session, mut batch, paused }) = self.paused.take() else { return };
        let args = batch.args(batch.requests[batch.next]);
        if let Step::Pause(paused) = dispatch::go_on(&mut self.world, &mut session, args, paused) {
            self.paused = Some(PausedRequest { session, batch, paused });
            return;
        }
        batch.next += 1;
        if self.world.sessions.knows(session.id) {
            set_waits(&session, false);
            self.world.sessions.put_back(session);
            self.resumed.push(batch);
        } else {
            // The client has gone meanwhile.
            self.world.let_go(&mut session);
        }
        if self.world.blocked.has_ready() {
            self.serve_blocked();
        }
        self.run_resumed(mailbox);
        self.finish_turn(mailbox);
    }

    /// Time until defragmentation goes on, if it does.
    pub fn defrag_wait(&self) -> Option<std::time::Duration> {
        self.defrag.wait()
    }

    /// True if a client waits until garbage is freed.
    pub fn waits_for_freeing(&self) -> bool {
        !self.freeing.is_empty()
    }

    /// Answers the clients whose garbage is freed.
    pub fn finish_freed(&mut self, mailbox: &Mailbox) {
        let lazyfree = &self.world.keyspace.env.lazyfree;
        let (done, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.freeing).into_iter().partition(|(_, ticket)| lazyfree.is_freed(*ticket));
        self.freeing = rest;
        for (client, _) in done {
            self.answer_done(client);
        }
        self.run_resumed(mailbox);
    }

    /// Answers a client whose request was done and waited for what is done beside the engine.
    fn answer_done(&mut self, client: ClientId) {
        let Some(Parked { mut batch, .. }) = self.parked.remove(&client) else { return };
        let Some(mut session) = self.world.sessions.take(client, batch.slot) else { return };
        self.world.sessions.lend_output(&mut session);
        dispatch::freed(&mut self.world, &mut session, batch.requests[batch.next].command());
        batch.next += 1;
        self.release(session, batch);
    }

    /// Ends a client's wait with the reply of a timeout, or with an error. False if it does not wait.
    pub fn unblock(&mut self, client: ClientId, error: Option<CommandError>) -> bool {
        if error.is_none() && self.awaits_safety_no_more(client) {
            return true;
        }
        let Some(Parked { mut batch, .. }) = self.parked.remove(&client) else { return false };
        let Some(mut session) = self.world.sessions.take(client, batch.slot) else { return false };
        self.world.sessions.lend_output(&mut session);
        let request = batch.requests[batch.next];
        dispatch::give_up(&mut self.world, &mut session, batch.args(request), request.command(), error);
        batch.next += 1;
        self.release(session, batch);
        self.world.settle_changes();
        true
    }

    /// Ends a client's wait with the reply that `answer` writes. False if it does not wait.
    fn end_wait(&mut self, client: ClientId, answer: impl FnOnce(&mut ReplyWriter<'_>)) -> bool {
        let Some(Parked { mut batch, .. }) = self.parked.remove(&client) else { return false };
        let Some(mut session) = self.world.sessions.take(client, batch.slot) else { return false };
        self.world.sessions.lend_output(&mut session);
        answer(&mut ReplyWriter::new(&mut session.out, session.resp3));
        batch.next += 1;
        self.release(session, batch);
        self.world.settle_changes();
        true
    }

    fn release(&mut self, mut session: Box<Session>, batch: Box<Batch>) {
        session.blocked = false;
        session.awaits = None;
        set_waits(&session, false);
        self.world.blocked.remove(session.id);
        self.world.sessions.put_back(session);
        self.resumed.push(batch);
    }

    /// Begins to end the server if a signal asked for it.
    pub(super) fn end_as_scheduled(&mut self) {
        let Some(shutdown) = self.world.scheduled_end.take() else { return };
        if self.world.begin_end(shutdown) == crate::world::End::Due {
            self.world.orders.push_back(crate::world::Order::Shutdown(shutdown));
        }
    }

    /// Has keys sent to another server.
    fn send_keys(&mut self, job: crate::migration::Job) {
        if let Some(outside) = self.world.outside.clone() {
            outside.migrate(job, self.world.migration.connections.clone());
        }
    }

    /// Keys were sent: those that arrived go, and the client hears of it, unless it waits no longer.
    fn settle_migration(&mut self, outcome: crate::migration::Outcome, mailbox: &Mailbox) {
        let client = outcome.job.client;
        self.world.keyspace.refresh_clock();
        let settled = migrate::settle(&mut self.world, outcome);
        dispatch::publish::close_background(&mut self.world);
        match settled {
            Settled::Again(job) => return self.send_keys(*job),
            Settled::Done(None) => self.end_wait(client, |reply| reply.ok()),
            Settled::Done(Some(failure)) => self.end_wait(client, |reply| reply.error(&failure)),
        };
        self.run_resumed(mailbox);
    }

    /// The time of a client that waits until its writes are safe is over: it is told how far they are. False if it does not
    /// wait for that.
    fn awaits_safety_no_more(&mut self, client: ClientId) -> bool {
        let Some(session) = self.world.sessions.get_mut(client) else { return false };
        let Some(awaits) = &mut session.awaits else { return false };
        awaits.deadline = Some(i64::MIN);
        self.world.awaiting_safety.retain(|waiting| *waiting != client);
        self.retry(client);
        true
    }

    /// Ends the waits whose time is over.
    pub fn expire_blocked(&mut self, mailbox: &Mailbox) {
        if self.is_paused() {
            return;
        }
        let now = self.world.keyspace.env.now();
        for client in self.world.blocked.expired(now) {
            self.unblock(client, None);
        }
        self.run_resumed(mailbox);
    }

    /// Ends the pause of clients if its time is over.
    pub fn expire_pause(&mut self, mailbox: &Mailbox) {
        if self.world.pause.is_some() && self.world.pause_asked_for().is_none() && !self.is_paused() {
            self.world.set_pause(None);
            self.resume(mailbox);
        }
    }

    /// True if a request waits for the end of a pause.
    pub fn has_postponed(&self) -> bool {
        !self.postponed.is_empty()
    }

    /// Runs the requests that waited for the end of a pause.
    fn resume(&mut self, mailbox: &Mailbox) {
        for batch in self.postponed.drain(..) {
            if let Some(session) = self.world.sessions.get_mut(batch.client) {
                session.blocked = false;
                set_waits(session, false);
            }
            self.resumed.push(batch);
        }
        self.run_resumed(mailbox);
    }

    fn run_resumed(&mut self, mailbox: &Mailbox) {
        let mut batches = std::mem::take(&mut self.resumed);
        self.run_batches(&mut batches, mailbox);
    }

    fn handle(&mut self, event: Event, mailbox: &Mailbox) {
        match event {
            Event::Batch(_) => {}
            Event::Grown(client) => self.has_grown(client),
            Event::Disconnected(client) => self.forget(client),
            Event::Migrated(outcome) => self.settle_migration(*outcome, mailbox),
            Event::QueryTooLarge { client, bytes } => {
                self.world.stats.query_buffer_limit_disconnections += 1;
                tracing::warn!("Closing client id={} that reached max query buffer length ({bytes} bytes)", client.0);
            }
            // An end that was ordered was prepared by whoever ordered it.
            Event::Signal(shutdown) if self.outcome.is_some() => self.outcome = Some(event::Outcome { shutdown }),
            Event::Signal(shutdown) => {
                self.world.scheduled_end = Some(shutdown);
                // While cron stands still, for tests, SHUTDOWN ABORT has time to come.
                if !self.world.debug.pause_cron {
                    self.end_as_scheduled();
                }
            }
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
        self.end_debugging_of(client);
        self.parked.remove(&client);
        self.world.blocked.remove(client);
        self.freeing.retain(|(waiting, _)| *waiting != client);
        self.postponed.retain(|batch| batch.client != client);
        if let Some(mut session) = self.world.sessions.remove(client) {
            self.world.pubsub.leave_for_good(&mut session);
            self.world.let_go(&mut session);
        }
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
                        // Behind the replies, wherever they wait.
                        (Some(_), true) => self.world.sessions.queue_send(client),
                        (Some(link), false) => link.close_now(),
                        (None, _) => {}
                    }
                }
                if !after_replies {
                    self.forget(client);
                }
            }
            Order::ConfigChanged(names) => {
                config::apply(&mut self.world, &names);
                if names.contains(&"maxmemory-clients") || names.contains(&"maxmemory") {
                    self.count_all_clients();
                }
                if names.contains(&"appendonly") {
                    self.follow_appendonly();
                    self.look_at_disk(mailbox);
                }
                if self.world.memory.unfinished {
                    mailbox.wake_timers();
                }
            }
            Order::ChangeRole => self.change_role(mailbox),
            Order::LoadAof { client } => loading::start_on_demand(mailbox.clone(), client),
            Order::Unblock { client, error } => {
                self.unblock(client, error.then_some(error::UNBLOCKED));
                self.run_resumed(mailbox);
            }
            Order::ReplicaJoined(client) => self.welcome_replica(client),
            Order::Acknowledged => self.retry_awaiting_safety(mailbox),
            Order::Refuse { client, error } => {
                self.unblock(client, Some(error));
                self.run_resumed(mailbox);
            }
            Order::Resume => self.resume(mailbox),
            Order::EndDebugging => self.end_debugging(),
            Order::Migrate(job) => self.send_keys(*job),
            Order::AllFlushed => snapshot::all_flushed(&mut self.world),
            Order::Sleep { millis } => std::thread::sleep(std::time::Duration::from_millis(millis)),
        }
    }
}

/// Tells a client's connection whether the client waits: see `Link::set_waits`.
fn set_waits(session: &Session, waits: bool) {
    if let Some(link) = &session.link {
        link.set_waits(waits);
    }
}
