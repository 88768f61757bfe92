//! Publish and subscribe: who listens to which channels, patterns and shard channels.
//!
//! Names are kept once and shared by the table of subscribers and the subscribers themselves. A message is encoded once for
//! each protocol; long ones are not even copied into the subscribers' output.

use super::{Message, Registry, Session};
use crate::ds::algo::glob;
use crate::raw::shared::SharedBytes;
use crate::resp::reply::{REFERENCE_MIN, ReplyWriter};
use crate::types::ClientId;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The kinds of things that a client can subscribe to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    Channel,
    Pattern,
    /// A channel that belongs to a slot of a cluster.
    Shard,
}

/// Subscribers of one thing with their places in the registry, in the order of their ids.
type Subscribers = BTreeMap<ClientId, usize>;

/// All subscriptions of all clients.
#[derive(Default)]
pub struct PubSub {
    topics: [BTreeMap<Rc<[u8]>, Subscribers>; 3],
    clients: usize,
}

/// The subscriptions of one client.
#[derive(Default)]
pub struct Subscriptions {
    topics: [BTreeSet<Rc<[u8]>>; 3],
}

impl Subscriptions {
    /// How many things of a kind the client listens to.
    pub fn count(&self, topic: Topic) -> usize {
        self.topics[topic as usize].len()
    }

    /// What the client listens to, in order.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = &Rc<[u8]>> {
        self.topics[topic as usize].iter()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.topics.iter().flatten().map(|name| name.len() + size_of::<Rc<[u8]>>()).sum()
    }
}

impl PubSub {
    /// Subscribes a client. False if it listens already.
    pub fn subscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) -> bool {
        if session.subscriptions.is_none() {
            self.clients += 1;
        }
        let mine = &mut session.subscriptions.get_or_insert_default().topics[topic as usize];
        if mine.contains(name) {
            return false;
        }
        let all = &mut self.topics[topic as usize];
        let name: Rc<[u8]> = all.get_key_value(name).map_or_else(|| name.into(), |(known, _)| known.clone());
        all.entry(name.clone()).or_default().insert(session.id, session.slot);
        mine.insert(name)
    }

    /// Ends a client's subscription. False if there was none.
    pub fn unsubscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) -> bool {
        let Some(subscriptions) = &mut session.subscriptions else { return false };
        if !subscriptions.topics[topic as usize].remove(name) {
            return false;
        }
        let none_left = subscriptions.topics.iter().all(BTreeSet::is_empty);
        let all = &mut self.topics[topic as usize];
        if let Some(subscribers) = all.get_mut(name) {
            subscribers.remove(&session.id);
            if subscribers.is_empty() {
                all.remove(name);
            }
        }
        if none_left {
            session.subscriptions = None;
            self.clients -= 1;
        }
        true
    }

    /// Ends all subscriptions of a client.
    pub fn leave(&mut self, session: &mut Session) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            let names: Vec<_> = session.subscriptions.iter().flat_map(|mine| mine.names(topic)).cloned().collect();
            for name in names {
                self.unsubscribe(session, topic, &name);
            }
        }
    }

    /// Sends a message to those who listen to a channel, and to those who listen to a pattern that fits. Returns to how many.
    pub fn publish(&self, sessions: &mut Registry, channel: &[u8], payload: &[u8]) -> usize {
        let payload = Payload::new(payload);
        let mut receivers = self.send(sessions, Topic::Channel, channel, &payload);
        for (pattern, subscribers) in &self.topics[Topic::Pattern as usize] {
            if glob::matches(pattern, channel, false) {
                let write = |reply: &mut ReplyWriter<'_>| {
                    reply.push(4);
                    reply.bulk(b"pmessage");
                    reply.bulk(pattern);
                    reply.bulk(channel);
                    payload.write(reply);
                };
                receivers += deliver(sessions, subscribers, &write);
            }
        }
        receivers
    }

    /// Sends a message to those who listen to a shard channel. Returns to how many.
    pub fn publish_shard(&self, sessions: &mut Registry, channel: &[u8], payload: &[u8]) -> usize {
        self.send(sessions, Topic::Shard, channel, &Payload::new(payload))
    }

    fn send(&self, sessions: &mut Registry, topic: Topic, channel: &[u8], payload: &Payload<'_>) -> usize {
        let Some(subscribers) = self.topics[topic as usize].get(channel) else { return 0 };
        let kind: &[u8] = if topic == Topic::Shard { b"smessage" } else { b"message" };
        let write = |reply: &mut ReplyWriter<'_>| {
            reply.push(3);
            reply.bulk(kind);
            reply.bulk(channel);
            payload.write(reply);
        };
        deliver(sessions, subscribers, &write)
    }

    /// True if nobody listens to channels or patterns.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.topics[Topic::Channel as usize].is_empty() && self.topics[Topic::Pattern as usize].is_empty()
    }

    /// Everything of a kind that has subscribers, in order, with how many there are.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = (&[u8], usize)> {
        self.topics[topic as usize].iter().map(|(name, subscribers)| (&**name, subscribers.len()))
    }

    /// How many things of a kind have subscribers.
    pub fn count(&self, topic: Topic) -> usize {
        self.topics[topic as usize].len()
    }

    /// How many clients listen to this.
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        self.topics[topic as usize].get(name).map_or(0, Subscribers::len)
    }

    /// The clients that listen to this, in order.
    pub fn listeners(&self, topic: Topic, name: &[u8]) -> Vec<ClientId> {
        self.topics[topic as usize].get(name).map_or_else(Vec::new, |subscribers| subscribers.keys().copied().collect())
    }

    /// Number of clients that listen to anything.
    pub fn clients(&self) -> usize {
        self.clients
    }
}

fn deliver(sessions: &mut Registry, subscribers: &Subscribers, write: &dyn Fn(&mut ReplyWriter<'_>)) -> usize {
    let mut message = Message::new(write);
    for (&client, &slot) in subscribers {
        sessions.deliver(client, slot, &mut message);
    }
    subscribers.len()
}

/// What is published. A long text is put into a shared buffer, so that outputs refer to it.
enum Payload<'a> {
    Short(&'a [u8]),
    Long(SharedBytes),
}

impl<'a> Payload<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        if bytes.len() < REFERENCE_MIN { Payload::Short(bytes) } else { Payload::Long(SharedBytes::new(bytes)) }
    }

    fn write(&self, reply: &mut ReplyWriter<'_>) {
        match self {
            Payload::Short(bytes) => reply.bulk(bytes),
            Payload::Long(buffer) => reply.bulk_shared(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_those_who_leave() {
        let mut pubsub = PubSub::default();
        let mut sessions = Registry::default();
        for _ in 0..3 {
            sessions.add(Box::default());
        }
        for id in 1..=3 {
            let session = sessions.get_mut(ClientId(id)).unwrap();
            assert!(pubsub.subscribe(session, Topic::Channel, b"news"));
            assert!(!pubsub.subscribe(session, Topic::Channel, b"news"));
            assert!(pubsub.subscribe(session, Topic::Pattern, b"n*"));
        }
        assert_eq!(pubsub.publish(&mut sessions, b"news", b"hello"), 6);
        assert_eq!(pubsub.publish(&mut sessions, b"nothing", b"hello"), 3);
        assert_eq!(pubsub.publish_shard(&mut sessions, b"news", b"hello"), 0);
        for id in 1..=3 {
            let mut session = sessions.remove(ClientId(id)).unwrap();
            pubsub.leave(&mut session);
            assert!(session.subscriptions.is_none());
        }
        assert!(pubsub.is_empty());
        assert_eq!((pubsub.clients(), pubsub.count(Topic::Pattern)), (0, 0));
    }
}
