//! Whole entries on their way from one place to another: RENAME, MOVE and COPY. Each is one change, though a move is told of
//! by two keys.

use super::db::{Keyspace, discard};
use super::effects::Event;
use super::handle::duplicate;
use crate::types::DbIndex;

/// A key in a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    pub db: DbIndex,
    pub key: &'a [u8],
}

impl Keyspace {
    /// Moves an entry with its deadline and access clock; what was at `to` is gone. The events name the change at either
    /// end. Returns false, with nothing done, if there is nothing at `from`. The places must differ.
    pub fn relocate(&mut self, from: Place<'_>, to: Place<'_>, left: Event, arrived: Event) -> bool {
        debug_assert_ne!(from, to);
        let Some(entry) = self.entry(from.db, from.key).detach() else { return false };
        let entry = if from.key == to.key { entry } else { entry.rename(to.key) };
        self.vacate(to);
        self.env.effects.went_away(from.db, from.key, left);
        self.entry(to.db, to.key).put_entry(entry, arrived);
        true
    }

    /// Copies an entry with its deadline; what was at `to` is gone. Returns false, with nothing done, if there is nothing at
    /// `from`. The places must differ.
    pub fn copy(&mut self, from: Place<'_>, to: Place<'_>, arrived: Event) -> bool {
        debug_assert_ne!(from, to);
        let Some(mut entry) = self.peek(from.db, from.key).map(|found| duplicate(&found, to.key)) else { return false };
        entry.set_clock(self.env.fresh_clock());
        self.vacate(to);
        self.entry(to.db, to.key).put_entry(entry, arrived);
        true
    }

    /// Removes what is in the way of a newcomer. The newcomer's event tells of it.
    fn vacate(&mut self, place: Place<'_>) {
        if let Some(old) = self.entry(place.db, place.key).detach() {
            let lazily = self.env.settings.lazyfree_server_del;
            discard(&mut self.env, old, lazily);
        }
    }
}
