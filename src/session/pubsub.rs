//! Publish and subscribe: who listens to which channels, patterns and shard channels.
//!
//! Names are kept once and shared by the table of subscribers and the subscribers themselves. A message is encoded once for
//! each protocol; long ones are not even copied into the subscribers' output.
//!
//! One client may listen to very many things, and the others are not to notice: to begin and to cease takes constant time, and
//! a message passes over most patterns that do not fit after a look at one word. When such a client is gone its names are
//! forgotten a few at a time; until then they are counted, but nobody is sent anything for them.

use super::sharded::Sharded;
use super::{Message, Registry, Session};
use crate::ds::algo::glob;
use crate::raw::shared::SharedBytes;
use crate::resp::reply::{REFERENCE_MIN, ReplyWriter};
use crate::types::ClientId;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// The kinds of things that a client can subscribe to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    Channel,
    Pattern,
    /// A channel that belongs to a slot of a cluster.
    Shard,
}

/// Who listens to one thing.
struct Subscribers {
    head: Head,
    clients: Clients,
}

/// Clients with their places in the registry, in the order of their ids.
enum Clients {
    /// Most things that one client listens to in great numbers are its own: they need no allocation.
    One(ClientId, usize),
    Many(BTreeMap<ClientId, usize>),
}

impl Clients {
    fn insert(&mut self, client: ClientId, slot: usize) {
        if let Clients::One(other, its_slot) = *self
            && other != client
        {
            *self = Clients::Many(BTreeMap::from([(other, its_slot)]));
        }
        match self {
            Clients::One(_, place) => *place = slot,
            Clients::Many(clients) => drop(clients.insert(client, slot)),
        }
    }

    /// Forgets a client. True if it was the last.
    fn remove(&mut self, client: ClientId) -> bool {
        match self {
            Clients::One(only, _) => *only == client,
            Clients::Many(clients) => {
                clients.remove(&client);
                clients.is_empty()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Clients::One(..) => 1,
            Clients::Many(clients) => clients.len(),
        }
    }

    fn ids(&self) -> Vec<ClientId> {
        let mut ids = Vec::with_capacity(self.len());
        self.each(|client, _| ids.push(client));
        ids
    }

    fn each(&self, mut f: impl FnMut(ClientId, usize)) {
        match self {
            Clients::One(client, slot) => f(*client, *slot),
            Clients::Many(clients) => clients.iter().for_each(|(client, slot)| f(*client, *slot)),
        }
    }
}

/// The beginning of a name as a word, as far as one is known.
struct Head {
    word: u64,
    known: u64,
}

impl Head {
    /// What all names begin with that this pattern fits. A name without special bytes is its own beginning.
    fn of(pattern: &[u8]) -> Head {
        let len = glob::literal_prefix(pattern).len().min(size_of::<u64>());
        let known = if len == 0 { 0 } else { u64::MAX >> (u64::BITS as usize - 8 * len) };
        Head { word: first_word(pattern) & known, known }
    }

    #[inline]
    fn may_fit(&self, first_word: u64) -> bool {
        (first_word ^ self.word) & self.known == 0
    }
}

/// The first bytes of a name, with zeros behind a short one.
fn first_word(name: &[u8]) -> u64 {
    let mut word = [0; size_of::<u64>()];
    let len = name.len().min(word.len());
    word[..len].copy_from_slice(&name[..len]);
    u64::from_le_bytes(word)
}

/// All subscriptions of all clients.
#[derive(Default)]
pub struct PubSub {
    topics: [Sharded<Subscribers>; 3],
    clients: usize,
    /// Clients that are gone, and what is left of their subscriptions.
    leaving: VecDeque<(ClientId, Box<Subscriptions>)>,
}

/// Subscriptions that are ended in one go.
const LEAVE_AT_ONCE: usize = 32;

/// The subscriptions of one client.
#[derive(Default)]
pub struct Subscriptions {
    topics: [Sharded<()>; 3],
    /// Bytes of all names.
    bytes: usize,
}

impl Subscriptions {
    /// How many things of a kind the client listens to.
    pub fn count(&self, topic: Topic) -> usize {
        self.topics[topic as usize].len()
    }

    /// What the client listens to.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = &Rc<[u8]>> {
        self.topics[topic as usize].iter().map(|(name, ())| name)
    }

    /// Takes some name out.
    fn pop(&mut self) -> Option<(Topic, Rc<[u8]>)> {
        [Topic::Channel, Topic::Pattern, Topic::Shard].into_iter().find_map(|topic| {
            let name = self.topics[topic as usize].pop()?;
            self.bytes -= name.len();
            Some((topic, name))
        })
    }

    fn is_empty(&self) -> bool {
        self.topics.iter().all(Sharded::is_empty)
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.topics.iter().map(|names| names.len() * size_of::<Rc<[u8]>>()).sum::<usize>()
    }
}

impl PubSub {
    /// Subscribes a client. False if it listens already.
    pub fn subscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) -> bool {
        if session.subscriptions.is_none() {
            self.clients += 1;
        }
        let mine = session.subscriptions.get_or_insert_default();
        let all = &mut self.topics[topic as usize];
        match all.get_mut(name) {
            Some((name, subscribers)) => {
                if !mine.topics[topic as usize].insert(name.clone(), ()) {
                    return false;
                }
                subscribers.clients.insert(session.id, session.slot);
            }
            None => {
                let name: Rc<[u8]> = name.into();
                let head = Head::of(&name);
                mine.topics[topic as usize].insert(name.clone(), ());
                all.insert(name, Subscribers { head, clients: Clients::One(session.id, session.slot) });
            }
        }
        mine.bytes += name.len();
        true
    }

    /// Ends a client's subscription. False if there was none.
    pub fn unsubscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) -> bool {
        let Some(subscriptions) = &mut session.subscriptions else { return false };
        if !subscriptions.topics[topic as usize].remove(name) {
            return false;
        }
        subscriptions.bytes -= name.len();
        if subscriptions.is_empty() {
            session.subscriptions = None;
            self.clients -= 1;
        }
        self.forget(session.id, topic, name);
        true
    }

    fn forget(&mut self, client: ClientId, topic: Topic, name: &[u8]) {
        let all = &mut self.topics[topic as usize];
        if all.get_mut(name).is_some_and(|(_, subscribers)| subscribers.clients.remove(client)) {
            all.remove(name);
        }
    }

    /// Ends all subscriptions of a client.
    pub fn leave(&mut self, session: &mut Session) {
        while !self.leave_some(session) {}
    }

    /// Ends some subscriptions of a client. True if it has none now.
    pub fn leave_some(&mut self, session: &mut Session) -> bool {
        let Some(mine) = &mut session.subscriptions else { return true };
        let is_over = self.forget_some(session.id, mine);
        if is_over {
            session.subscriptions = None;
            self.clients -= 1;
        }
        is_over
    }

    /// Ends all subscriptions of a client that is gone; many of them later.
    pub fn leave_for_good(&mut self, session: &mut Session) {
        if !self.leave_some(session)
            && let Some(rest) = session.subscriptions.take()
        {
            self.clients -= 1;
            self.leaving.push_back((session.id, rest));
        }
    }

    /// True while subscriptions of clients that are gone wait for their end.
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Ends some of those.
    pub fn leave_on(&mut self) {
        if let Some((client, mut rest)) = self.leaving.pop_front()
            && !self.forget_some(client, &mut rest)
        {
            self.leaving.push_front((client, rest));
        }
    }

    /// True if nothing is left.
    fn forget_some(&mut self, client: ClientId, mine: &mut Subscriptions) -> bool {
        for _ in 0..LEAVE_AT_ONCE {
            let Some((topic, name)) = mine.pop() else { return true };
            self.forget(client, topic, &name);
        }
        mine.is_empty()
    }

    /// Sends a message to those who listen to a channel, and to those who listen to a pattern that fits. Returns to how many.
    pub fn publish(&self, sessions: &mut Registry, channel: &[u8], payload: &[u8]) -> usize {
        let payload = Payload::new(payload);
        let mut receivers = self.send(sessions, Topic::Channel, channel, &payload);
        let first_word = first_word(channel);
        for (pattern, subscribers) in self.topics[Topic::Pattern as usize].iter() {
            if subscribers.head.may_fit(first_word) && glob::matches(pattern, channel, false) {
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

    /// Everything of a kind that has subscribers, with how many there are.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = (&[u8], usize)> {
        self.topics[topic as usize].iter().map(|(name, subscribers)| (&**name, subscribers.clients.len()))
    }

    /// How many things of a kind have subscribers.
    pub fn count(&self, topic: Topic) -> usize {
        self.topics[topic as usize].len()
    }

    /// How many clients listen to this.
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        self.topics[topic as usize].get(name).map_or(0, |subscribers| subscribers.clients.len())
    }

    /// The clients that listen to this, in order.
    pub fn listeners(&self, topic: Topic, name: &[u8]) -> Vec<ClientId> {
        self.topics[topic as usize].get(name).map_or_else(Vec::new, |subscribers| subscribers.clients.ids())
    }

    /// Number of clients that listen to anything.
    pub fn clients(&self) -> usize {
        self.clients
    }
}

fn deliver(sessions: &mut Registry, subscribers: &Subscribers, write: &dyn Fn(&mut ReplyWriter<'_>)) -> usize {
    let mut message = Message::new(write);
    let mut receivers = 0;
    subscribers.clients.each(|client, slot| receivers += sessions.deliver(client, slot, &mut message) as usize);
    receivers
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

    #[test]
    fn very_many_names_are_forgotten_bit_by_bit() {
        let mut pubsub = PubSub::default();
        let mut sessions = Registry::default();
        for id in 1..=2 {
            sessions.add(Box::default());
            let session = sessions.get_mut(ClientId(id)).unwrap();
            for name in 0..1000 {
                pubsub.subscribe(session, Topic::Pattern, format!("{name}*").as_bytes());
            }
        }
        pubsub.leave_for_good(&mut sessions.remove(ClientId(1)).unwrap());
        assert_eq!(pubsub.clients(), 1);
        let mut rounds = 0;
        while pubsub.is_leaving() {
            assert_eq!(pubsub.publish(&mut sessions, b"7", b"hello"), 1, "who is gone receives nothing");
            pubsub.leave_on();
            rounds += 1;
        }
        assert_eq!(rounds, 1000 / LEAVE_AT_ONCE);
        assert_eq!((pubsub.count(Topic::Pattern), pubsub.subscribers(Topic::Pattern, b"7*")), (1000, 1));
        // One that stays, but starts afresh.
        let session = sessions.get_mut(ClientId(2)).unwrap();
        pubsub.leave(session);
        assert!(session.subscriptions.is_none() && pubsub.is_empty());
    }

    #[test]
    fn patterns_are_passed_over_only_if_they_do_not_fit() {
        let texts: [&[u8]; 10] = [b"", b"n", b"new", b"news", b"news.oslo", b"news.oslo.1", b"news.osl\0", b"n\0", b"[", b"\xff"];
        let patterns: [&[u8]; 12] =
            [b"", b"*", b"n*", b"news*", b"news.os*", b"news.oslo*", b"news.oslo", b"n?ws*", b"n[e]ws", b"\\[", b"n\0*", b"\xff"];
        for pattern in patterns {
            for text in texts {
                let passed_over = !Head::of(pattern).may_fit(first_word(text));
                assert!(!(passed_over && glob::matches(pattern, text, false)), "{pattern:?} {text:?}");
            }
        }
        assert!(!Head::of(b"news.*").may_fit(first_word(b"new")));
        assert!(!Head::of(b"news.77.*").may_fit(first_word(b"news.78.oslo")));
    }
}
