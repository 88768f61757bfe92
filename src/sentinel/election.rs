//! Who may act: votes are given once per epoch, and whoever has those of the majority, and of as many as the quorum, leads the
//! failover of that epoch.

use super::{DESYNC_MAX_MS, Flags, InstanceId, Level, Sentinel};
use std::collections::BTreeMap;

/// Whether enough sentinels can be reached, for SENTINEL CKQUORUM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// Sentinels that are up, this one included.
    pub usable: usize,
    /// They are enough to agree that the primary is down …
    pub agree: bool,
    /// … and to elect one who acts.
    pub elect: bool,
}

impl Sentinel {
    /// Whether this sentinel misses the primary at an address, and its vote if `candidate` asks for one: the leader and the
    /// epoch of the vote. An epoch of a candidate may be new to this sentinel.
    pub fn verdict(&mut self, host: &str, port: i64, epoch: u64, candidate: Option<&str>) -> (bool, Option<String>, u64) {
        let Ok(address) = self.address(host, port, true) else { return (false, None, 0) };
        let primary = self.primaries.iter().copied().find(|id| self.at(*id).address.is_same(&address));
        let Some(primary) = primary else { return (false, None, 0) };
        let is_down = self.tilt_since.is_none() && self.at(primary).flags.has(Flags::S_DOWN);
        let Some(candidate) = candidate else { return (is_down, None, 0) };
        let (leader, epoch) = self.vote(primary, epoch, candidate);
        (is_down, leader, epoch)
    }

    /// Votes for a candidate, unless there was a vote in this epoch or a later one. The vote that counts.
    pub(super) fn vote(&mut self, primary: InstanceId, epoch: u64, candidate: &str) -> (Option<String>, u64) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.effects.save = true;
            self.tell_as(Level::Warning, "+new-epoch", primary, epoch.to_string());
        }
        if self.at(primary).leader_epoch < epoch && self.epoch <= epoch {
            let own_epoch = self.epoch;
            let instance = self.at_mut(primary);
            (instance.leader, instance.leader_epoch) = (Some(candidate.to_owned()), own_epoch);
            // Another vote in the same epoch, after a restart, would let two of them lead.
            self.effects.save = true;
            self.tell_as(Level::Warning, "+vote-for-leader", primary, format!("{candidate} {own_epoch}"));
            if !candidate.eq_ignore_ascii_case(&self.id) {
                // Whoever has the vote gets time to act.
                self.watched_mut(primary).failover.started_at = self.now + self.rng.below(DESYNC_MAX_MS) as i64;
            }
        }
        let instance = self.at(primary);
        (instance.leader.clone(), instance.leader_epoch)
    }

    /// The leader of an epoch, if the votes are in. This sentinel votes with the others, or for itself if nobody has voted.
    pub(super) fn leader(&mut self, primary: InstanceId, epoch: u64) -> Option<String> {
        let watched = self.watched(primary);
        let (voters, quorum) = (watched.sentinels.len() + 1, watched.quorum as usize);
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        for sentinel in watched.sentinels.iter().map(|id| self.at(*id)) {
            if let Some(leader) = sentinel.leader.as_ref().filter(|_| sentinel.leader_epoch == self.epoch) {
                *votes.entry(leader.clone()).or_default() += 1;
            }
        }
        let favourite = votes.iter().max_by_key(|(_, count)| **count).map(|(leader, _)| leader.clone());
        let candidate = favourite.unwrap_or_else(|| self.id.clone());
        let (own, own_epoch) = self.vote(primary, epoch, &candidate);
        if let Some(leader) = own.filter(|_| own_epoch == epoch) {
            *votes.entry(leader).or_default() += 1;
        }
        let (leader, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        (count > voters / 2 && count >= quorum).then_some(leader)
    }

    /// Whether enough sentinels are up to fail a primary over.
    pub fn quorum(&self, primary: InstanceId) -> Quorum {
        let watched = self.watched(primary);
        let is_up = |id: &&InstanceId| !self.at(**id).flags.has(Flags::S_DOWN | Flags::O_DOWN);
        let usable = watched.sentinels.iter().filter(is_up).count() + 1;
        let voters = watched.sentinels.len() + 1;
        Quorum { usable, agree: usable >= watched.quorum as usize, elect: usable > voters / 2 }
    }
}
