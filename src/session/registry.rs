//! All clients, by place and by id. The session that runs a command is taken out for that time, so that the command can
//! change both it and the registry.

use super::message::Audience;
use super::{Message, Session};
use crate::resp::reply::Output;
use crate::types::ClientId;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The clients of one server.
#[derive(Default)]
pub struct Registry {
    slots: Vec<Option<Box<Session>>>,
    free: Vec<usize>,
    by_id: BTreeMap<ClientId, usize>,
    last_id: u64,
    /// Sessions that have something to send, in the order in which they got it.
    to_send: Vec<usize>,
    /// Output buffers that nobody uses at the moment.
    spare: Vec<Vec<u8>>,
    /// Messages for sessions that are taken out.
    late: Vec<Late>,
    /// Bytes of memory that have been counted for all clients.
    memory: usize,
}

/// A message for a session that is taken out, in both protocols: which one it speaks is known when it is back.
struct Late {
    client: ClientId,
    audience: Audience,
    encoded: [Output; 2],
}

/// More spare output buffers than this are given back to the allocator, and so are larger ones.
const SPARE_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 64 * 1024;
/// A new output buffer has room for this much.
const OUTPUT_START_BYTES: usize = 4 * 1024;

impl Registry {
    /// Files a session under a new id.
    pub fn add(&mut self, mut session: Box<Session>) -> (ClientId, usize) {
        self.last_id += 1;
        let id = ClientId(self.last_id);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        session.id = id;
        session.slot = slot;
        self.by_id.insert(id, slot);
        self.slots[slot] = Some(session);
        (id, slot)
    }

    /// Forgets a session for good.
    pub fn remove(&mut self, id: ClientId) -> Option<Box<Session>> {
        let slot = self.by_id.remove(&id)?;
        let session = self.slots[slot].take();
        self.memory -= session.as_ref().map_or(0, |session| session.counted_bytes);
        self.late.retain(|late| late.client != id);
        self.free.push(slot);
        session
    }

    /// Takes the session out to run its commands; `put_back` must follow.
    #[inline]
    pub fn take(&mut self, id: ClientId, slot: usize) -> Option<Box<Session>> {
        match self.slots.get_mut(slot) {
            Some(place) if place.as_ref().is_some_and(|s| s.id == id) => place.take(),
            _ => None,
        }
    }

    /// Puts back what `take` took; queues it for sending if it has replies.
    #[inline]
    pub fn put_back(&mut self, mut session: Box<Session>) {
        let slot = session.slot;
        if self.has_late() {
            self.collect_late(&mut session);
        }
        if !session.send_queued && (!session.out.is_empty() || session.closing) {
            session.send_queued = true;
            self.to_send.push(slot);
        }
        self.slots[slot] = Some(session);
    }

    /// Puts back a session in the middle of its requests. What there is of replies waits for the rest, unless it is much or the
    /// rest may take long. Where replies are limited it waits up to the limit: what a pipeline is answered counts as a whole, and
    /// a client that is cut off for it gets nothing. (A subscriber's limit is not for that, and high.)
    pub fn put_back_unfinished(&mut self, mut session: Box<Session>, is_long: bool) {
        const ENOUGH: usize = 16 * 1024;
        let limit = session.out.limit;
        let most = if limit != 0 && session.subscriptions.is_none() {
            limit
        } else if is_long {
            0
        } else {
            ENOUGH
        };
        if session.closing || session.out.len() >= most {
            return self.put_back(session);
        }
        if self.has_late() {
            self.collect_late(&mut session);
        }
        let slot = session.slot;
        self.slots[slot] = Some(session);
    }

    /// The session with this id, unless it is taken out.
    pub fn get(&self, id: ClientId) -> Option<&Session> {
        self.slots[*self.by_id.get(&id)?].as_deref()
    }

    /// Where a client is filed that can be sent something.
    pub fn place_of(&self, id: ClientId) -> Option<usize> {
        let slot = *self.by_id.get(&id)?;
        let is_closing = self.slots[slot].as_ref().is_some_and(|session| session.closing);
        (!is_closing).then_some(slot)
    }

    /// The session with this id, to be changed, unless it is taken out.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Session> {
        let slot = *self.by_id.get(&id)?;
        self.slots[slot].as_deref_mut()
    }

    /// True if there is such a client, taken out or not.
    pub fn knows(&self, id: ClientId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Sessions in the order of their ids, without one that is taken out.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values().filter_map(|slot| self.slots[*slot].as_deref())
    }

    /// All sessions, to be changed, without one that is taken out.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().filter_map(|slot| slot.as_deref_mut())
    }

    /// Ids in ascending order, those taken out included.
    pub fn ids(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.by_id.keys().copied()
    }

    /// Up to `count` ids behind `last` in ascending order, and from the first on when there are no more.
    pub fn next_ids(&self, last: ClientId, count: usize) -> Vec<ClientId> {
        let behind = self.by_id.range((Bound::Excluded(last), Bound::Unbounded));
        behind.chain(self.by_id.range(..=last)).map(|(id, _)| *id).take(count).collect()
    }

    /// Bytes of memory that have been counted for all clients.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// What has been counted for some clients changed by so much.
    pub fn adjust_memory(&mut self, changed: isize) {
        self.memory = self.memory.saturating_add_signed(changed);
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True without clients.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Queues a session that got output from elsewhere.
    pub fn queue_send(&mut self, id: ClientId) {
        if let Some(&slot) = self.by_id.get(&id)
            && let Some(session) = self.slots[slot].as_deref_mut()
            && !session.send_queued
        {
            session.send_queued = true;
            self.to_send.push(slot);
        }
    }

    /// Gives the client at this place a message. One that is taken out gets it behind the reply to the request that it runs.
    /// False if the client is gone.
    pub fn deliver(&mut self, id: ClientId, slot: usize, message: &mut Message<'_>) -> bool {
        match self.slots.get_mut(slot) {
            Some(Some(session)) if session.id == id => {
                if session.closing || !message.audience.includes(session) {
                    return true;
                }
                if session.out.bytes.capacity() == 0
                    && let Some(spare) = self.spare.pop()
                {
                    session.out.bytes = spare;
                }
                session.out.append(message.encoded(session.resp3));
                if !session.send_queued {
                    session.send_queued = true;
                    self.to_send.push(slot);
                }
                true
            }
            Some(None) if self.by_id.get(&id) == Some(&slot) => {
                self.late.push(Late { client: id, audience: message.audience, encoded: message.both() });
                true
            }
            _ => false,
        }
    }

    /// True if a session that is taken out was sent messages.
    #[inline]
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Gives a session that is taken out the messages that came meanwhile.
    #[cold]
    pub fn collect_late(&mut self, session: &mut Session) {
        self.late.retain(|late| {
            if late.client == session.id && late.audience.includes(session) {
                session.out.append(&late.encoded[session.resp3 as usize]);
            }
            late.client != session.id
        });
    }

    /// Calls `f` with each session that has something to send, and clears the queue.
    pub fn drain_sends(&mut self, mut f: impl FnMut(&mut Session)) {
        let mut queue = std::mem::take(&mut self.to_send);
        for slot in queue.drain(..) {
            if let Some(session) = self.slots[slot].as_deref_mut() {
                session.send_queued = false;
                f(session);
                let buffer = std::mem::take(&mut session.out.bytes);
                if buffer.is_empty() {
                    if self.spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES_MAX && buffer.capacity() != 0 {
                        self.spare.push(buffer);
                    }
                } else {
                    session.out.bytes = buffer;
                }
            }
        }
        self.to_send = queue;
    }

    /// Takes back a buffer that was lent as part of an output.
    pub fn take_back_output(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES_MAX && buffer.capacity() != 0 {
            self.spare.push(buffer);
        }
    }

    /// Frees the output buffers that are kept for later, but for those of the size that every client starts with.
    pub fn free_large_spares(&mut self) {
        self.spare.retain(|buffer| buffer.capacity() <= OUTPUT_START_BYTES);
    }

    /// Gives a session that is about to get replies a buffer for them.
    #[inline]
    pub fn lend_output(&mut self, session: &mut Session) {
        if session.out.bytes.capacity() == 0 {
            session.out.bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(OUTPUT_START_BYTES));
        }
    }
}
