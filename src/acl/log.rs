//! What ACL LOG shows: refusals and failed logins, the latest first. One like another within a minute counts up instead of
//! filling the log.

use crate::types::UnixMillis;
use std::collections::VecDeque;

/// How long an entry takes in others like it, in milliseconds.
const MERGE_WITHIN: i64 = 60_000;
/// How many of the latest entries are looked at for one that is alike.
const MERGE_LOOK_BACK: usize = 10;

/// Why something was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Command,
    Key,
    Channel,
    Auth,
}

impl Reason {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    TopLevel,
    /// A transaction, when it was queued or when it ran.
    Multi,
    Script,
}

impl Place {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Place::TopLevel => "toplevel",
            Place::Multi => "multi",
            Place::Script => "lua",
        }
    }
}

/// Something that was refused, once or several times.
pub struct Entry {
    pub id: u64,
    pub count: u64,
    pub reason: Reason,
    pub place: Place,
    /// The command, key or channel.
    pub object: Box<[u8]>,
    pub user: Box<[u8]>,
    /// The client as CLIENT INFO describes it, at the last time.
    pub client: Box<[u8]>,
    pub created: UnixMillis,
    pub updated: UnixMillis,
}

/// The log, and how often anything was refused since the start.
#[derive(Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    next_id: u64,
    counts: [u64; 4],
}

impl Log {
    /// Notes a refusal. `max_len` entries are kept; `client` is only asked for where there is an entry to fill.
    pub fn note(&mut self, new: Note<'_>, now: UnixMillis, max_len: usize, client: impl FnOnce() -> Vec<u8>) {
        self.counts[new.reason as usize] += 1;
        self.entries.truncate(max_len);
        if max_len == 0 {
            return;
        }
        let alike = |entry: &Entry| {
            entry.reason == new.reason
                && entry.place == new.place
                && (now - entry.updated).abs() <= MERGE_WITHIN
                && *entry.object == *new.object
                && *entry.user == *new.user
        };
        let known = self.entries.iter().take(MERGE_LOOK_BACK).position(alike).and_then(|at| self.entries.remove(at));
        let client = client().into();
        let entry = match known {
            Some(known) => Entry { count: known.count + 1, updated: now, client, ..known },
            None => {
                let id = self.next_id;
                self.next_id += 1;
                let (object, user) = (new.object.into(), new.user.into());
                let Note { reason, place, .. } = new;
                Entry { id, count: 1, reason, place, object, user, client, created: now, updated: now }
            }
        };
        self.entries.push_front(entry);
        self.entries.truncate(max_len);
    }

    /// The entries, the latest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets all entries. Ids go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How often something was refused for this reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize]
    }
}

/// A refusal to be noted.
#[derive(Clone, Copy)]
pub struct Note<'a> {
    pub reason: Reason,
    pub place: Place,
    pub object: &'a [u8],
    pub user: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_are_alike_become_one() {
        let mut log = Log::default();
        let note = |log: &mut Log, object: &[u8], now| {
            let new = Note { reason: Reason::Key, place: Place::TopLevel, object, user: b"u" };
            log.note(new, now, 3, Vec::new);
        };
        let shown = |log: &Log| log.entries().map(|e| (e.id, e.count, e.object.to_vec())).collect::<Vec<_>>();
        for (object, now) in [(b"a", 0), (b"b", 1), (b"a", 60_000)] {
            note(&mut log, object, now);
        }
        assert_eq!(shown(&log), [(0, 2, b"a".to_vec()), (1, 1, b"b".to_vec())]);
        // Too late to be one with its like.
        note(&mut log, b"b", 60_002);
        note(&mut log, b"c", 60_003);
        assert_eq!(shown(&log), [(3, 1, b"c".to_vec()), (2, 1, b"b".to_vec()), (0, 2, b"a".to_vec())]);
        assert_eq!(log.count(Reason::Key), 5);
        log.note(Note { reason: Reason::Auth, place: Place::Multi, object: b"AUTH", user: b"u" }, 0, 0, Vec::new);
        assert_eq!((log.entries().len(), log.count(Reason::Auth)), (0, 1));
    }
}
