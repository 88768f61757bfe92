//! Replies that wait for the disk (`appendfsync always`).
//!
//! The replies of a turn are held until the writes that they tell of, and all before them, are safe; those of reads too, as a
//! read may have seen a write that is not yet safe. Meanwhile the engine goes on with the next turn, whose writes join the
//! next sync. So each sync commits the work of all clients, and none of them waits for the engine.

use super::batch::Batch;
use super::{Engine, Mailbox};
use crate::command::spec::{Flag, Group, Handler};
use crate::resp::reply::Output;
use crate::types::ClientId;
use std::collections::VecDeque;

/// Replies of clients in the order in which they may leave.
#[derive(Default)]
pub(super) struct Held {
    queue: VecDeque<Reply>,
    bytes: usize,
    /// Batches whose clients may not send more for now.
    batches: Vec<Box<Batch>>,
}

struct Reply {
    /// Offset in the write stream that must be safe first.
    after: u64,
    client: ClientId,
    out: Output,
    close: bool,
}

/// While more bytes than this are held clients are not read from.
const HELD_MAX: usize = 64 << 20;

impl Held {
    /// True if nothing waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Keeps a batch from its client, which may thus not send more.
    pub(super) fn keep_batch(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        if self.bytes < HELD_MAX {
            return Some(batch);
        }
        self.batches.push(batch);
        None
    }
}

impl Engine {
    /// True if replies must wait now, be it only behind others.
    #[inline]
    pub(super) fn holds_replies(&self) -> bool {
        self.world.persistence.aof.holds_replies(&self.world.config) || !self.held.is_empty()
    }

    /// Sends the replies of this turn if all is safe; else keeps them until it is. The stream has been flushed.
    pub(super) fn hold_replies(&mut self) {
        let after = self.world.stream.end();
        if self.held.is_empty() && self.world.persistence.aof.settled().is_none_or(|settled| settled >= after) {
            return self.send_replies_now();
        }
        let held = &mut self.held;
        self.world.sessions.drain_sends(|session| {
            let out = std::mem::take(&mut session.out);
            held.bytes += out.len();
            held.queue.push_back(Reply { after, client: session.id, out, close: session.closing });
        });
    }

    /// While the disk fails: true if the replies to a batch tell nothing of the data, so that they need not wait. Otherwise
    /// nobody could ask the server what ails it.
    #[cold]
    pub(super) fn tells_no_data(&self, client: ClientId, batch: &Batch) -> bool {
        let told = |request: &super::batch::Request| {
            let Some(at) = request.command() else { return false };
            let spec = self.world.commands.get(at).spec;
            // Writes are refused.
            let reads = matches!(spec.run, Handler::Keys(_)) && !spec.has(Flag::Write);
            reads || matches!(spec.group, Group::Transactions | Group::Scripting)
        };
        !batch.requests.iter().any(told) && !self.held.queue.iter().any(|reply| reply.client == client)
    }

    /// Sends what need not wait any longer.
    pub(super) fn release_replies(&mut self, mailbox: &Mailbox) {
        let settled = self.world.persistence.aof.settled().unwrap_or(u64::MAX);
        while self.held.queue.front().is_some_and(|reply| reply.after <= settled) {
            let Some(Reply { client, mut out, close, .. }) = self.held.queue.pop_front() else { break };
            let bytes = out.len();
            self.held.bytes -= bytes;
            let world = &mut self.world;
            if let Some(session) = world.sessions.get_mut(client) {
                super::count_sent(&mut world.stats, session, bytes as u64);
                if let Some(link) = &session.link {
                    if bytes > 0 {
                        link.send(&mut out);
                    }
                    if close {
                        link.close_after_send();
                    }
                }
            }
            world.sessions.take_back_output(std::mem::take(&mut out.bytes));
        }
        if self.held.bytes < HELD_MAX && !self.held.batches.is_empty() {
            std::mem::take(&mut self.held.batches).into_iter().for_each(|batch| mailbox.send_home(batch));
            mailbox.ring_remotes();
        }
    }

    /// Looks at what the append-only file's writer reports.
    pub(super) fn look_at_disk(&mut self, mailbox: &Mailbox) {
        let world = &mut self.world;
        let news = world.persistence.aof.look(&world.config, &mut world.stream);
        if news.guard_changed {
            world.review_restrictions();
        }
        self.release_replies(mailbox);
        if !self.world.awaiting_safety.is_empty() {
            self.world.keyspace.refresh_clock();
            for client in std::mem::take(&mut self.world.awaiting_safety) {
                self.retry(client);
            }
            self.settle_watching();
            self.run_resumed(mailbox);
        }
    }
}
