//! Under `appendfsync always` on a quick disk: which turn ends with the sync that lets the replies leave.
//!
//! The engine is quicker than its clients: a turn finds the requests of some of them, and while it runs those the next ones
//! arrive. A sync costs as much as several turns. So the turn before it is followed by another look at the sockets, as long
//! as that brings a good deal more; then one sync is for all. A lone client pays for one look in vain.

use super::{Engine, Mailbox};
use std::time::{Duration, Instant};

/// A look is to bring one more request for this many that wait already.
const WORTH: u64 = 8;
/// Looks before a sync, and what they may take.
const LOOKS_MAX: u32 = 4;
const TIME_MAX: Duration = Duration::from_micros(500);

/// What waits for the sync.
#[derive(Default)]
pub(super) struct Gathering {
    batches: u64,
    looks: u32,
    since: Option<Instant>,
}

impl Gathering {
    /// True if the turn that comes, whatever it brings, has something to sync.
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Whether to look for more, after a turn that began at `now` and served so many batches.
    fn goes_on(&mut self, served: u64, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.batches += served;
        self.looks += 1;
        served * WORTH >= self.batches && served > 0 && self.looks <= LOOKS_MAX && now.duration_since(since) < TIME_MAX
    }
}

impl Engine {
    /// True if what a turn wrote is synced on this thread: then it is worth a look whether more is coming.
    #[inline]
    pub(super) fn syncs_in_passing(&self) -> bool {
        self.world.persistence.aof.syncs_in_passing(&self.world.config)
    }

    /// Whether the turn that began at `start` leaves its writes to the next one, to be synced with what that brings.
    pub(super) fn leaves_sync(&mut self, served: u64, start: Instant) -> bool {
        let has_writes = self.gathering.is_on() || self.world.stream.pending_len() > 0;
        // Orders may be to end the server.
        has_writes && self.syncs_in_passing() && self.world.orders.is_empty() && self.gathering.goes_on(served, start)
    }

    /// Hands out what was written, and lets the replies leave that waited for no more than that.
    pub(super) fn commit(&mut self, mailbox: &Mailbox) {
        self.gathering = Gathering::default();
        self.world.stream.flush();
        if self.world.persistence.aof.durable() == Some(self.world.stream.end()) {
            // Where the engine has synced nobody else tells them.
            self.retry_awaiting_safety(mailbox);
            self.release_replies(mailbox);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_end_when_they_bring_little() {
        let now = Instant::now();
        let looks = |served: &[u64]| {
            let mut gathering = Gathering::default();
            served.iter().map(|served| gathering.goes_on(*served, now)).collect::<Vec<_>>()
        };
        assert_eq!(looks(&[1, 0]), [true, false]);
        assert_eq!(looks(&[18, 7, 1]), [true, true, false]);
        assert_eq!(looks(&[9; 5]), [true, true, true, true, false]);
        let mut gathering = Gathering::default();
        assert!(gathering.goes_on(10, now) && !gathering.goes_on(10, now + TIME_MAX));
    }
}
