//! A replica executes what its primary sends: the same requests in the same order, as a client that is obeyed. What was
//! executed goes on to the backlog and to replicas of this replica byte for byte, and only then counts as part of the history
//! that is known here; a transaction counts as one.

use super::batch::{Batch, Decoded};
use super::{Engine, Mailbox};
use crate::dispatch;
use crate::replication::replica::{Line, Stage};
use crate::resp::decode::{ARGS_MAX, INLINE_MAX, Limits};
use crate::resp::request::Args;
use crate::session::Session;
use crate::stream::encode;
use crate::types::DbIndex;
use crate::world::World;
use std::rc::Rc;
use std::time::Instant;
use tracing::warn;

/// What a primary sends was within its own limits.
const LIMITS: Limits =
    Limits { max_args: ARGS_MAX, max_bulk: usize::MAX, max_inline: INLINE_MAX, max_query: usize::MAX, authenticated: true };

/// What became of what the primary sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obeyed {
    /// All requests that are complete were executed.
    All,
    /// A script runs, or clients are paused: it has to wait.
    Later,
    /// The link is none any more.
    Gone,
}

impl Mailbox {
    /// Executes what the primary sent, as a turn of the engine.
    pub(super) fn obey(&self, line: &Rc<Line>, batch: &mut Batch) -> Obeyed {
        self.with(|engine| {
            if engine.is_paused() || engine.world.paused().is_some() {
                if let Some(upstream) = engine.upstream_on(line) {
                    upstream.unapplied = (batch.filled + upstream.unfed.len()) as u64;
                }
                return Obeyed::Later;
            }
            let start = Instant::now();
            dispatch::begin_turn(&mut engine.world);
            let obeyed = engine.obey(line, batch);
            engine.run_resumed(self);
            engine.finish_turn(self);
            engine.world.stats.engine_loops += 1;
            engine.world.stats.engine_loop_nanos += start.elapsed().as_nanos() as u64;
            obeyed
        })
    }
}

impl Engine {
    fn obey(&mut self, line: &Rc<Line>, batch: &mut Batch) -> Obeyed {
        let Some(upstream) = self.upstream_on(line) else { return Obeyed::Gone };
        upstream.heard_at = Instant::now();
        let Some(client) = upstream.client else { return Obeyed::Gone };
        let slot = self.world.sessions.get(client).map(|session| session.slot);
        let Some(mut session) = slot.and_then(|slot| self.world.sessions.take(client, slot)) else { return Obeyed::Gone };
        let bytes = std::mem::take(&mut batch.bytes_read) as u64;
        session.bytes_in += bytes;
        session.active_at = crate::clock::Clock::Real.millis();
        self.world.stats.bytes_in += bytes;
        self.world.stats.replication_bytes_in += bytes;
        let decoded = batch.decode(&self.world.commands, &LIMITS);
        let sound = decoded == Decoded::Nothing || self.obey_all(line, &mut session, batch);
        let error = batch.take_error();
        batch.compact();
        let unapplied = batch.filled as u64;
        if self.world.sessions.knows(client) {
            let closing = session.closing;
            self.world.sessions.put_back(session);
            if closing {
                return Obeyed::Gone;
            }
        } else {
            self.world.let_go(&mut session);
        }
        if let Some(upstream) = self.upstream_on(line) {
            upstream.unapplied = unapplied + upstream.unfed.len() as u64;
        }
        if let Some(error) = error {
            warn!("Protocol error from the master: {error}");
            self.distrust_history(line);
            return Obeyed::Gone;
        }
        if sound { Obeyed::All } else { Obeyed::Gone }
    }

    /// Executes the batch's requests. False if the primary must not be listened to any more.
    fn obey_all(&mut self, line: &Rc<Line>, session: &mut Session, batch: &Batch) -> bool {
        let requests = &batch.requests;
        // Where the next request begins, up to where bytes were handed on, and up to where they can be.
        let (mut at, mut fed, mut unit_end) = (0, 0, 0);
        for (n, request) in requests.iter().enumerate() {
            if n % super::PREFETCH_WINDOW == 0 {
                let next = requests[n..].iter().take(super::PREFETCH_WINDOW).map(|next| batch.args(*next));
                self.world.keyspace.prefetch(session.db, next.filter_map(|args| args.opt(1)));
            }
            let args = batch.args(*request);
            let idle = batch.input[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if batch.input.get(at + idle) != Some(&b'*') {
                warn!(
                    "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master connection and \
                     discarding the cached master."
                );
                self.distrust_history(line);
                return false;
            }
            at = end_of(args);
            if args.is(0, "REPLCONF") && args.is(1, "GETACK") && args.len() == 3 {
                fed = self.hand_on(line, session.db, &batch.input, fed, unit_end);
                self.acknowledge(line);
            } else {
                dispatch::obey(&mut self.world, session, args, request.command());
            }
            if session.transaction.is_none() {
                unit_end = at;
            }
            if self.world.blocked.has_ready() {
                self.serve_blocked();
            }
            // It may have been this very request that ended it.
            if session.closing || self.upstream_on(line).is_none() {
                self.hand_on(line, session.db, &batch.input, fed, unit_end);
                return false;
            }
        }
        fed = self.hand_on(line, session.db, &batch.input, fed, unit_end);
        // A transaction is open: it is not yet part of the history.
        if fed < at
            && let Some(upstream) = self.upstream_on(line)
        {
            upstream.unfed.extend_from_slice(&batch.input[fed..at]);
        }
        true
    }

    /// Makes executed bytes part of the history. Returns up to where that was done.
    fn hand_on(&mut self, line: &Rc<Line>, db: DbIndex, input: &[u8], from: usize, to: usize) -> usize {
        if from < to
            && let Some(upstream) = self.upstream_on(line)
        {
            upstream.db = db;
            let earlier = std::mem::take(&mut upstream.unfed);
            if !earlier.is_empty() {
                self.world.feed_raw(&earlier);
            }
            self.world.feed_raw(&input[from..to]);
        }
        from.max(to)
    }

    /// Tells the primary how far the history is known here.
    pub(super) fn acknowledge(&mut self, line: &Rc<Line>) {
        let World { replication, persistence, stream, .. } = &mut self.world;
        let (offset, end, durable) = (replication.offset(), stream.end(), persistence.aof.durable());
        let Some(upstream) = self.upstream_on(line) else { return };
        if upstream.stage != Stage::Connected {
            return;
        }
        let safe = durable.map(|durable| upstream.safety.look(durable, end, offset).to_string());
        let offset = offset.to_string();
        let mut request: Vec<&[u8]> = vec![b"REPLCONF", b"ACK", offset.as_bytes()];
        if let Some(safe) = &safe {
            request.extend([&b"FACK"[..], safe.as_bytes()]);
        }
        let mut words = Vec::new();
        encode(&mut words, request.iter().copied());
        upstream.line.say(&words);
    }

    /// What the primary sends makes no sense: the data are to come anew.
    fn distrust_history(&mut self, line: &Rc<Line>) {
        if let Some(upstream) = self.upstream_on(line) {
            upstream.may_continue = false;
        }
    }
}

/// Where a request ends in its input: behind the line end of its last argument.
fn end_of(args: Args<'_>) -> usize {
    args.parts().1.last().map_or(0, |(at, len)| *at as usize + *len as usize + 2)
}
