//! Client-side caching: which client may hold a copy of which key, or wants to hear of every key with a prefix, and is told
//! when the key changes.
//!
//! Keys are filed under their names alone: an invalidation names no database. A key is forgotten as it is invalidated; a client
//! that still wants it reads it again. Keys of clients that are gone stay until they change or the table is full, so that a
//! client costs nothing when it leaves.
//!
//! Changes under a prefix are gathered and told once in a turn of the engine. Everything else is told at once: to the client
//! whose request makes the change, behind the reply (see `Registry::deliver`).

use super::message::Audience;
use super::{Message, Registry, Session};
use crate::clock::Rng;
use crate::resp::reply::ReplyWriter;
use crate::types::ClientId;
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The channel on which subscribers that speak RESP2 hear of invalid keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";
/// Keys that are forgotten at most each time the table is found to hold too many.
const FORGOTTEN_AT_ONCE: usize = 1000;

/// Who tracks what.
#[derive(Default)]
pub struct Tracking {
    clients: BTreeMap<ClientId, Tracker>,
    /// The clients that have read a key, in ascending order. (Indexed, so that one can be taken at random.)
    keys: IndexMap<Box<[u8]>, Vec<ClientId>>,
    /// Clients of all keys together.
    items: usize,
    prefixes: BTreeMap<Rc<[u8]>, Prefix>,
    /// How many prefixes there are of each length: a key is only compared with prefixes of lengths that exist.
    lengths: BTreeMap<usize, usize>,
    has_news: bool,
}

/// How one client tracks.
pub struct Tracker {
    slot: usize,
    /// The client that is told instead.
    pub redirect: Option<ClientId>,
    pub mode: Mode,
    /// Is not told of changes that it makes itself.
    pub no_loop: bool,
    /// CLIENT CACHING was said: the next command is treated the other way round.
    pub caching: bool,
    /// The client to be told instead is gone.
    pub broken: bool,
    prefixes: BTreeSet<Rc<[u8]>>,
}

/// Which keys a client tracks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Those that it reads.
    #[default]
    Read,
    /// Those that it reads right after CLIENT CACHING YES.
    OptIn,
    /// Those that it reads, but not right after CLIENT CACHING NO.
    OptOut,
    /// Those with its prefixes, whether it reads them or not.
    Broadcast,
}

/// What CLIENT TRACKING ON asks for.
#[derive(Default)]
pub struct Wish<'a> {
    pub redirect: Option<ClientId>,
    pub mode: Mode,
    pub no_loop: bool,
    pub prefixes: Vec<&'a [u8]>,
}

/// Keys that begin alike.
#[derive(Default)]
struct Prefix {
    clients: BTreeSet<ClientId>,
    /// Keys that changed in this turn, with the client that made the last change if one did.
    changed: BTreeMap<Box<[u8]>, Option<ClientId>>,
}

/// Two prefixes of one client of which one begins with the other.
pub struct Overlap<'a> {
    pub wanted: &'a [u8],
    pub other: Box<[u8]>,
    /// The client has the other already, instead of asking for both at once.
    pub is_old: bool,
}

impl Tracker {
    /// The prefixes of a client in broadcasting mode, in order.
    pub fn prefixes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.prefixes.iter().map(|prefix| &**prefix)
    }
}

impl Tracking {
    /// Looks for prefixes that overlap with each other, or with those that the client has.
    pub fn find_overlap<'a>(&self, client: ClientId, wanted: &[&'a [u8]]) -> Option<Overlap<'a>> {
        let begins = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        for (i, &prefix) in wanted.iter().enumerate() {
            let mut mine = self.clients.get(&client).into_iter().flat_map(Tracker::prefixes);
            let old = mine.find(|other| begins(prefix, other)).map(|other| (other, true));
            let new = || wanted[i + 1..].iter().find(|other| begins(prefix, other)).map(|other| (*other, false));
            if let Some((other, is_old)) = old.or_else(new) {
                return Some(Overlap { wanted: prefix, other: other.into(), is_old });
            }
        }
        None
    }

    /// Begins to track, or changes how; prefixes are added to those that the client has.
    pub fn begin(&mut self, session: &mut Session, wish: &Wish<'_>) {
        session.tracking = true;
        let slot = session.slot;
        let tracker = self.clients.entry(session.id).or_insert_with(|| Tracker {
            slot,
            redirect: None,
            mode: Mode::Read,
            no_loop: false,
            caching: false,
            broken: false,
            prefixes: BTreeSet::new(),
        });
        (tracker.redirect, tracker.mode, tracker.no_loop, tracker.broken) = (wish.redirect, wish.mode, wish.no_loop, false);
        if wish.mode != Mode::Broadcast {
            return;
        }
        let everything: &[&[u8]] = &[b""];
        for &name in if wish.prefixes.is_empty() { everything } else { &wish.prefixes } {
            let known = self.prefixes.get_key_value(name).map(|(known, _)| known.clone());
            let name = known.unwrap_or_else(|| {
                *self.lengths.entry(name.len()).or_default() += 1;
                Rc::from(name)
            });
            self.prefixes.entry(name.clone()).or_default().clients.insert(session.id);
            tracker.prefixes.insert(name);
        }
    }

    /// Ends a client's tracking.
    pub fn end(&mut self, session: &mut Session) {
        session.tracking = false;
        let Some(tracker) = self.clients.remove(&session.id) else { return };
        for name in tracker.prefixes {
            let Some(prefix) = self.prefixes.get_mut(&name) else { continue };
            prefix.clients.remove(&session.id);
            if prefix.clients.is_empty() {
                self.prefixes.remove(&name);
                if let Some(count) = self.lengths.get_mut(&name.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&name.len());
                    }
                }
            }
        }
    }

    /// How a client tracks, if it does.
    pub fn of(&self, client: ClientId) -> Option<&Tracker> {
        self.clients.get(&client)
    }

    /// How a client tracks, to be changed.
    pub fn of_mut(&mut self, client: ClientId) -> Option<&mut Tracker> {
        self.clients.get_mut(&client)
    }

    /// True if a client tracks the keys that it reads now.
    pub fn wants_keys(&self, client: ClientId) -> bool {
        self.clients.get(&client).is_some_and(|tracker| match tracker.mode {
            Mode::Read => true,
            Mode::OptIn => tracker.caching,
            Mode::OptOut => !tracker.caching,
            Mode::Broadcast => false,
        })
    }

    /// Notes that a client has read a key.
    pub fn remember(&mut self, client: ClientId, key: &[u8]) {
        let readers = match self.keys.get_mut(key) {
            Some(readers) => readers,
            None => self.keys.entry(key.into()).or_default(),
        };
        if let Err(at) = readers.binary_search(&client) {
            readers.insert(at, client);
            self.items += 1;
        }
    }

    /// A key changed. `by` is the client whose request is running, `itself` tells that the key changed by itself then.
    pub fn key_changed(&mut self, sessions: &mut Registry, key: &[u8], by: Option<ClientId>, itself: bool) {
        for &length in self.lengths.keys().take_while(|length| **length <= key.len()) {
            if let Some(prefix) = self.prefixes.get_mut(&key[..length]) {
                prefix.changed.insert(key.into(), by.filter(|_| !itself));
                self.has_news = true;
            }
        }
        if let Some(readers) = self.keys.swap_remove(key) {
            self.invalidate(sessions, key, readers, by);
        }
    }

    fn invalidate(&mut self, sessions: &mut Registry, key: &[u8], readers: Vec<ClientId>, by: Option<ClientId>) {
        self.items -= readers.len();
        let write = |reply: &mut ReplyWriter<'_>| {
            write_invalidation(reply, |reply| {
                reply.array(1);
                reply.bulk(key);
            });
        };
        let mut message = Message::new(&write);
        for client in readers {
            let Some(tracker) = self.clients.get_mut(&client) else { continue };
            // What it read before it changed to broadcasting is no longer its business.
            if tracker.mode != Mode::Broadcast && !(tracker.no_loop && by == Some(client)) {
                tell(&mut message, sessions, client, tracker);
            }
        }
    }

    /// All keys of a database are gone: every copy of any key is invalid.
    pub fn flushed(&mut self, sessions: &mut Registry) {
        self.keys = IndexMap::default();
        self.items = 0;
        let write = |reply: &mut ReplyWriter<'_>| write_invalidation(reply, |reply| reply.null());
        let mut message = Message::new(&write);
        for (&client, tracker) in &mut self.clients {
            tell(&mut message, sessions, client, tracker);
        }
    }

    /// True if keys with a prefix have changed since the last call of `broadcast`.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Tells of the keys with prefixes that have changed.
    #[cold]
    pub fn broadcast(&mut self, sessions: &mut Registry) {
        self.has_news = false;
        for prefix in self.prefixes.values_mut() {
            let changed = std::mem::take(&mut prefix.changed);
            if changed.is_empty() {
                continue;
            }
            let write = |reply: &mut ReplyWriter<'_>| {
                write_invalidation(reply, |reply| {
                    reply.array(changed.len());
                    changed.keys().for_each(|key| reply.bulk(key));
                });
            };
            let mut message = Message::new(&write);
            for &client in &prefix.clients {
                let Some(tracker) = self.clients.get_mut(&client) else { continue };
                let of_others = || changed.iter().filter(|(_, by)| **by != Some(client));
                let count = if tracker.no_loop { of_others().count() } else { changed.len() };
                if count == changed.len() {
                    tell(&mut message, sessions, client, tracker);
                } else if count > 0 {
                    let write = |reply: &mut ReplyWriter<'_>| {
                        write_invalidation(reply, |reply| {
                            reply.array(count);
                            of_others().for_each(|(key, _)| reply.bulk(key));
                        });
                    };
                    tell(&mut Message::new(&write), sessions, client, tracker);
                }
            }
        }
    }

    /// Forgets keys at random, telling those who have read them, while there are more than `max` (0: any number), but
    /// only so many at once. True if there are still too many.
    pub fn shrink_to(&mut self, max: usize, sessions: &mut Registry, rng: &mut Rng, by: Option<ClientId>) -> bool {
        for _ in 0..FORGOTTEN_AT_ONCE {
            if max == 0 || self.keys.len() <= max {
                return false;
            }
            let at = rng.below(self.keys.len() as u64) as usize;
            if let Some((key, readers)) = self.keys.swap_remove_index(at) {
                self.invalidate(sessions, &key, readers, by);
            }
        }
        max != 0 && self.keys.len() > max
    }

    /// True if nobody tracks: changes of keys are of no interest.
    pub fn is_idle(&self) -> bool {
        self.clients.is_empty()
    }

    /// Number of clients that track.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Number of keys that someone has read.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Number of clients that have read a key, of all keys together.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Number of different prefixes.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// Bytes of memory that a client's own part takes.
    pub fn memory_bytes_of(&self, client: ClientId) -> usize {
        const PER_PREFIX: usize = size_of::<Rc<[u8]>>() + size_of::<ClientId>();
        let prefixes = |tracker: &Tracker| tracker.prefixes().map(|prefix| prefix.len() + PER_PREFIX).sum::<usize>();
        self.clients.get(&client).map_or(0, |tracker| size_of::<Tracker>() + prefixes(tracker))
    }
}

/// Writes what tells of invalid keys; `keys` writes which.
fn write_invalidation(reply: &mut ReplyWriter<'_>, keys: impl Fn(&mut ReplyWriter<'_>)) {
    if reply.is_resp3() {
        reply.push(2);
        reply.bulk(b"invalidate");
    } else {
        reply.push(3);
        reply.bulk(b"message");
        reply.bulk(CHANNEL);
    }
    keys(reply);
}

/// Tells a client, or the one that is told instead.
fn tell(message: &mut Message<'_>, sessions: &mut Registry, client: ClientId, tracker: &mut Tracker) {
    let Some(target) = tracker.redirect else {
        message.audience = Audience::Resp3;
        sessions.deliver(client, tracker.slot, message);
        return;
    };
    if let Some(slot) = sessions.place_of(target) {
        message.audience = Audience::Resp3OrSubscribers;
        sessions.deliver(target, slot, message);
        return;
    }
    tracker.broken = true;
    let write = |reply: &mut ReplyWriter<'_>| {
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(target.0 as i64);
    };
    sessions.deliver(client, tracker.slot, &mut Message::to(Audience::Resp3, &write));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(n: usize) -> Registry {
        let mut sessions = Registry::default();
        for _ in 0..n {
            sessions.add(Box::new(Session { resp3: true, ..Session::default() }));
        }
        sessions
    }

    fn sent(sessions: &mut Registry, client: u64) -> String {
        let session = sessions.get_mut(ClientId(client)).unwrap();
        let text = String::from_utf8(session.out.flatten()).unwrap();
        session.out.clear();
        text.replace("\r\n", " ")
    }

    #[test]
    fn nothing_is_left_of_those_who_leave_but_their_keys() {
        let (mut sessions, mut tracking) = (clients(2), Tracking::default());
        let wish = Wish { mode: Mode::Broadcast, prefixes: vec![b"a", b"bc"], ..Wish::default() };
        for id in 1..=2 {
            tracking.begin(sessions.get_mut(ClientId(id)).unwrap(), &wish);
        }
        assert_eq!((tracking.clients(), tracking.prefixes(), tracking.lengths.len()), (2, 2, 2));
        tracking.end(sessions.get_mut(ClientId(1)).unwrap());
        tracking.key_changed(&mut sessions, b"bcd", Some(ClientId(2)), false);
        tracking.key_changed(&mut sessions, b"b", None, false);
        tracking.broadcast(&mut sessions);
        assert_eq!(sent(&mut sessions, 1), "");
        assert_eq!(sent(&mut sessions, 2), ">2 $10 invalidate *1 $3 bcd ");
        tracking.end(sessions.get_mut(ClientId(2)).unwrap());
        assert_eq!((tracking.clients(), tracking.prefixes(), tracking.lengths.len()), (0, 0, 0));
    }

    #[test]
    fn a_full_table_forgets_keys_and_says_so() {
        let (mut sessions, mut tracking, mut rng) = (clients(1), Tracking::default(), Rng::seeded(1));
        tracking.begin(sessions.get_mut(ClientId(1)).unwrap(), &Wish::default());
        for i in 0..FORGOTTEN_AT_ONCE + 10 {
            tracking.remember(ClientId(1), i.to_string().as_bytes());
        }
        assert!(!tracking.shrink_to(0, &mut sessions, &mut rng, None));
        assert!(tracking.shrink_to(5, &mut sessions, &mut rng, None));
        assert!(!tracking.shrink_to(5, &mut sessions, &mut rng, None));
        assert_eq!((tracking.keys(), tracking.items()), (5, 5));
        assert_eq!(sent(&mut sessions, 1).matches("invalidate").count(), FORGOTTEN_AT_ONCE + 5);
    }
}
