//! Replies that wait for the disk: under `appendfsync always`, and under the other policies while the disk does not keep up (see
//! `persist::aof::writer`).
//!
//! The replies of a turn are held until the writes that they tell of, and all before them, are safe; those of reads too, as a
//! read may have seen a write that is not yet safe. Meanwhile the engine goes on with the next turn, whose writes join the
//! next sync. So each sync commits the work of all clients, and none of them waits for the engine. (On a quick disk the engine
//! syncs itself at the end of a turn, and replies are held no longer than that: see `gather`.)

use super::batch::Batch;
use super::{Engine, Mailbox};
use crate::command::spec::{Flag, Group, Handler};
use crate::resp::reply::Output;
use crate::types::ClientId;
use crate::world::World;
use std::collections::{HashSet, VecDeque};

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
    tells_data: bool,
}

/// While more bytes than this are held clients are not read from.
const HELD_MAX: usize = 64 << 20;

impl Held {
    /// True if nothing waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// True if replies to this client wait.
    pub(super) fn holds(&self, client: ClientId) -> bool {
        self.queue.iter().any(|reply| reply.client == client)
    }

    /// Keeps a batch from its client, which may thus not send more.
    pub(super) fn keep_batch(&mut self, batch: Box<Batch>) {
        self.batches.push(batch);
    }

    /// True if clients are kept from sending more.
    pub(super) fn keeps_batches(&self) -> bool {
        !self.batches.is_empty()
    }
}

impl Engine {
    /// True if replies must wait now, be it only behind others.
    #[inline]
    pub(super) fn holds_replies(&self) -> bool {
        self.world.persistence.aof.holds_replies(&self.world.config) || !self.held.is_empty()
    }

    /// True if clients that write are not to send more for now: a snapshot cannot keep up with them.
    #[inline]
    pub(super) fn writers_wait(&self) -> bool {
        self.world.persistence.snapshot.as_ref().is_some_and(|snapshot| snapshot.holds_writers())
    }

    /// True if the client of this batch, which was run, is not to send more for now.
    #[inline]
    pub(super) fn is_to_wait(&self, batch: &Batch, writers_wait: bool) -> bool {
        self.held.bytes >= HELD_MAX || (writers_wait && self.writes(batch))
    }

    fn writes(&self, batch: &Batch) -> bool {
        batch.requests.iter().filter_map(|request| request.command()).any(|at| {
            let spec = self.world.commands.get(at).spec;
            spec.has(Flag::Write) || matches!(spec.group, Group::Transactions | Group::Scripting)
        })
    }

    /// Lets clients send again that were kept from it, if there is no reason for that any more.
    pub(super) fn release_batches(&mut self, mailbox: &Mailbox) {
        if self.held.bytes < HELD_MAX && self.held.keeps_batches() && !self.writers_wait() {
            std::mem::take(&mut self.held.batches).into_iter().for_each(|batch| mailbox.send_home(batch));
            mailbox.ring_remotes();
        }
    }

    /// Sends the replies of this turn if all is safe; else keeps them until it is. The stream has been flushed.
    pub(super) fn hold_replies(&mut self) {
        let after = self.world.stream.end();
        if self.held.is_empty() && self.world.persistence.aof.settled(&self.world.config).is_none_or(|settled| settled >= after) {
            return self.send_replies_now();
        }
        let fails = self.world.persistence.aof.failure().is_some();
        let held = &mut self.held;
        self.world.sessions.drain_sends(|session| {
            let (out, tells_data) = (std::mem::take(&mut session.out), std::mem::take(&mut session.told_data));
            held.bytes += out.len();
            held.queue.push_back(Reply { after, client: session.id, out, close: session.closing, tells_data });
        });
        if fails {
            self.release_figures();
        }
        self.world.persistence.aof.note_held(self.held.queue.len());
    }

    /// True if the replies to a batch tell of the data. Others need not wait while the disk fails: otherwise nobody could ask
    /// the server what ails it.
    pub(super) fn tells_data(&self, batch: &Batch) -> bool {
        let fails = self.world.persistence.aof.failure().is_some();
        batch.requests.iter().any(|request| {
            let Some(at) = request.command() else { return false };
            let spec = self.world.commands.get(at).spec;
            // Then writes are refused.
            let on_keys = matches!(spec.run, Handler::Keys(_)) && !(fails && spec.has(Flag::Write));
            on_keys || matches!(spec.group, Group::Transactions | Group::Scripting)
        })
    }

    /// The disk fails: sends what tells nothing of the data and does not stand behind what does.
    fn release_figures(&mut self) {
        let mut waiting = HashSet::new();
        for reply in std::mem::take(&mut self.held.queue) {
            if reply.tells_data || waiting.contains(&reply.client) {
                waiting.insert(reply.client);
                self.held.queue.push_back(reply);
            } else {
                self.held.bytes -= reply.out.len();
                send(&mut self.world, reply);
            }
        }
    }

    /// Sends what need not wait any longer.
    pub(super) fn release_replies(&mut self, mailbox: &Mailbox) {
        let settled = self.world.persistence.aof.settled(&self.world.config).unwrap_or(u64::MAX);
        while self.held.queue.front().is_some_and(|reply| reply.after <= settled) {
            let Some(reply) = self.held.queue.pop_front() else { break };
            self.held.bytes -= reply.out.len();
            send(&mut self.world, reply);
        }
        self.world.persistence.aof.note_held(self.held.queue.len());
        self.release_batches(mailbox);
    }

    /// Looks at what the append-only file's writer reports.
    pub(super) fn look_at_disk(&mut self, mailbox: &Mailbox) {
        let world = &mut self.world;
        let news = world.persistence.aof.look(&world.config, &mut world.stream);
        if news.guard_changed {
            world.review_restrictions();
            self.release_figures();
        }
        self.release_replies(mailbox);
        self.retry_awaiting_safety(mailbox);
    }

    /// Looks whether clients that wait for their writes to be safe wait any longer.
    pub(super) fn retry_awaiting_safety(&mut self, mailbox: &Mailbox) {
        if !self.world.awaiting_safety.is_empty() {
            self.world.keyspace.refresh_clock();
            for client in std::mem::take(&mut self.world.awaiting_safety) {
                self.retry(client);
            }
            self.world.settle_changes();
            self.run_resumed(mailbox);
        }
    }
}

/// Sends a reply that need not wait any longer.
fn send(world: &mut World, reply: Reply) {
    let Reply { client, mut out, close, .. } = reply;
    let bytes = out.len();
    if let Some(session) = world.sessions.get_mut(client) {
        super::clients::count_sent(&mut world.stats, session, bytes);
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
