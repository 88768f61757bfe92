//! A replica that takes the place of its primary: after an election, because the primary failed, or because somebody wants it.
//!
//! The view only decides who is who. That this server really follows another, or nobody, is up to whoever holds the view: it
//! compares the two from time to time (`engine::bus`).

use super::LinkId;
use super::message::{self, Body, Kind};
use crate::clock::Rng;
use crate::cluster::{Cluster, Node, NodeFlags, NodeId};
use crate::config::Config;
use crate::types::UnixMillis;

/// How long a failover that somebody asked for may take.
const MANUAL_MILLIS: i64 = 5000;
/// The shortest time for which an election lasts.
const ELECTION_MILLIS_MIN: i64 = 2000;

/// What a replica has done to be elected.
#[derive(Default)]
pub(super) struct Election {
    /// When votes are asked for; none before the first election.
    at: Option<UnixMillis>,
    asked: bool,
    pub(super) votes: usize,
    pub(super) epoch: u64,
    rank: usize,
}

/// A failover that somebody asked for.
#[derive(Default)]
pub(super) struct Manual {
    /// When it is given up; none while there is none.
    until: Option<UnixMillis>,
    /// On the primary: who is to take over.
    pub(super) successor: Option<NodeId>,
    /// On the replica: how far the primary's data went when it paused its clients, and that nothing has to be waited for any more.
    pub(super) wanted_offset: Option<i64>,
    may_start: bool,
}

/// How well a replica keeps up with its primary.
#[derive(Clone, Copy)]
pub struct Following {
    /// Time since the primary was last heard of.
    pub silence_millis: i64,
}

/// How a failover is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailoverKind {
    /// With the primary's help, so that nothing is lost.
    Agreed,
    /// Without the primary.
    Forced,
    /// Without anybody.
    Takeover,
}

impl Cluster {
    /// Makes this node a replica of another one.
    pub fn follow(&mut self, primary: NodeId) {
        let Some(shard) = self.node(primary).map(|node| node.shard) else { return };
        let me = self.myself_mut();
        me.flags.clear(NodeFlags::PRIMARY | NodeFlags::MIGRATE_TO);
        me.flags.set(NodeFlags::REPLICA);
        me.shard = shard;
        self.set_primary(self.me, Some(primary));
        self.migrating.clear();
        self.importing.clear();
        self.end_manual_failover();
        (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
    }

    /// Where the primary of this node is, if it is a replica and that is known. `tls`: the port for that.
    pub fn primary_address(&self, tls: bool) -> Option<(&str, u16)> {
        let primary = self.node(self.myself().primary?)?;
        let port = primary.client_port(tls);
        (!primary.ip.is_empty() && port != 0).then_some((&primary.ip, port))
    }

    /// True while clients of this primary are paused for its successor.
    pub(super) fn is_paused(&self) -> bool {
        self.bus.manual.until.is_some() && self.myself().is_primary()
    }

    /// Begins to take the primary's place. The caller has looked whether that makes sense.
    pub fn start_failover(&mut self, kind: FailoverKind, now: UnixMillis, rng: &mut Rng) {
        self.end_manual_failover();
        self.bus.manual.until = Some(now + MANUAL_MILLIS);
        match kind {
            FailoverKind::Takeover => {
                tracing::info!("Taking over the master (user request).");
                self.bump_epoch();
                self.replace_primary(now, rng);
            }
            FailoverKind::Forced => {
                tracing::info!("Forced failover user request accepted.");
                self.bus.manual.may_start = true;
            }
            FailoverKind::Agreed => {
                tracing::info!("Manual failover user request accepted.");
                let link = self.myself().primary.and_then(|primary| self.node(primary)).and_then(|primary| primary.link);
                if let Some(link) = link {
                    let start = message::encode(&self.header(Kind::FailoverStart), &Body::Nothing);
                    self.send(link, Kind::FailoverStart, start);
                }
            }
        }
    }

    fn end_manual_failover(&mut self) {
        if self.bus.manual.successor.is_some() {
            self.bus.wanted.resume = true;
        }
        self.bus.manual = Manual::default();
    }

    /// A replica asks this primary to hold still, so that it can take over.
    pub(super) fn hold_still_for(&mut self, sender: NodeId, link: LinkId, now: UnixMillis, rng: &mut Rng) {
        if self.node(sender).is_none_or(|node| node.primary != Some(self.me)) {
            return;
        }
        self.end_manual_failover();
        self.bus.manual.until = Some(now + MANUAL_MILLIS);
        self.bus.manual.successor = Some(sender);
        self.bus.wanted.pause_until = Some(now + 2 * MANUAL_MILLIS);
        tracing::info!("Manual failover requested by replica {sender}.");
        self.send_gossip(link, Kind::Ping, now, rng);
    }

    /// The primary told how far its data go, while it holds still.
    pub(super) fn note_paused_primary(&mut self, sender: NodeId, offset: i64) {
        let waits = self.bus.manual.until.is_some() && self.myself().primary == Some(sender);
        if waits && self.bus.manual.wanted_offset.is_none() {
            tracing::info!("Received replication offset for paused master manual failover: {offset}");
            self.bus.manual.wanted_offset = Some(offset);
        }
    }

    /// A primary gives its vote.
    pub(super) fn count_vote(&mut self, sender: NodeId, epoch: u64) {
        let votes = self.node(sender).is_some_and(|node| node.is_primary() && !node.slots.is_empty());
        if votes && self.bus.election.asked && epoch >= self.bus.election.epoch {
            self.bus.election.votes += 1;
        }
    }

    /// Goes on with a failover, if there is reason for one.
    pub(super) fn look_after_failover(&mut self, following: Following, now: UnixMillis, rng: &mut Rng, config: &Config) {
        if self.bus.manual.until.is_some_and(|until| now > until) {
            tracing::warn!("Manual failover timed out.");
            self.end_manual_failover();
        }
        if let Some(link) = self.bus.manual.successor.and_then(|node| self.node(node)).and_then(|node| node.link) {
            self.send_gossip(link, Kind::Ping, now, rng);
        }
        let Some(primary) = self.myself().primary.and_then(|primary| self.node(primary)) else { return };
        let (failed, serves) = (primary.flags.has(NodeFlags::FAILED), !primary.slots.is_empty());
        if self.bus.manual.until.is_some() && self.bus.manual.wanted_offset == Some(self.offset) && !self.bus.manual.may_start {
            tracing::info!("All master replication stream processed, manual failover can start.");
            self.bus.manual.may_start = true;
        }
        let manual = self.bus.manual.may_start;
        if !serves || !(failed && !config.cluster_replica_no_failover || manual) {
            return;
        }
        let timeout = config.cluster_node_timeout;
        let stale = following.silence_millis - timeout
            > config.repl_ping_replica_period * 1000 + timeout * config.cluster_replica_validity_factor;
        if config.cluster_replica_validity_factor > 0 && stale && !manual {
            return;
        }
        self.stand_for_election(manual, now, rng, config);
    }

    fn stand_for_election(&mut self, manual: bool, now: UnixMillis, rng: &mut Rng, config: &Config) {
        let lasts = (2 * config.cluster_node_timeout).max(ELECTION_MILLIS_MIN);
        let rank = self.rank();
        let election = &mut self.bus.election;
        let Some(at) = election.at.filter(|at| now - at <= 2 * lasts) else {
            // News of the failure, and offsets of other replicas, are to get around first.
            let delay = if manual { 0 } else { 500 + rng.below(500) as i64 + 1000 * rank as i64 };
            *election = Election { at: Some(now + delay), rank, ..Election::default() };
            tracing::info!("Start of election delayed for {delay} milliseconds (rank #{rank}, offset {}).", self.offset);
            self.tell_siblings(now, rng);
            return;
        };
        if !election.asked && !manual && rank > election.rank {
            election.at = Some(at + 1000 * (rank - election.rank) as i64);
            election.rank = rank;
            return;
        }
        if now < at || now - at > lasts {
            return;
        }
        if !election.asked {
            self.current_epoch += 1;
            (election.asked, election.epoch) = (true, self.current_epoch);
            tracing::info!("Starting a failover election for epoch {}.", self.current_epoch);
            self.bus.wanted.save = true;
            let mut header = self.header(Kind::VoteRequest);
            if manual {
                header.message_flags |= message::FLAG_FORCE_VOTE;
            }
            self.broadcast_as(header, &Body::Nothing);
            return;
        }
        let (votes, epoch) = (election.votes, election.epoch);
        if votes > self.size() / 2 {
            tracing::info!("Failover election won: I'm the new master.");
            let me = self.myself_mut();
            me.epoch = me.epoch.max(epoch);
            self.replace_primary(now, rng);
        }
    }

    /// How many other replicas of the same primary know more than this one.
    fn rank(&self) -> usize {
        let Some(primary) = self.myself().primary else { return 0 };
        let ahead =
            |node: &&Node| node.id != self.me && !node.flags.has(NodeFlags::NO_FAILOVER) && node.replication_offset > self.offset;
        self.replicas_of(primary).filter(ahead).count()
    }

    fn tell_siblings(&mut self, now: UnixMillis, rng: &mut Rng) {
        let Some(primary) = self.myself().primary else { return };
        let links: Vec<LinkId> =
            self.replicas_of(primary).filter(|node| node.id != self.me).filter_map(|node| node.link).collect();
        links.into_iter().for_each(|link| self.send_gossip(link, Kind::Pong, now, rng));
    }

    /// Becomes a primary with the slots of the one that this node followed, and tells everybody.
    fn replace_primary(&mut self, now: UnixMillis, rng: &mut Rng) {
        let Some(old) = self.myself().primary else { return };
        self.make_primary(self.me);
        let slots: Vec<u16> = self.node(old).map(|node| node.slots.iter().collect()).unwrap_or_default();
        for slot in slots {
            self.unassign(slot);
            self.assign(slot, self.me);
        }
        self.bus.election = Election::default();
        self.end_manual_failover();
        (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        self.tell_all(now, rng);
    }
}
