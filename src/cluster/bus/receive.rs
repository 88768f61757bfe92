//! What a message of another node changes here.
//!
//! Messages are believed as far as the original believes them: of strangers only an invitation (MEET) counts, and who claims a
//! slot has to have a newer epoch than its owner.

use super::message::{self, Body, FLAG_EXTENSIONS, FLAG_FORCE_VOTE, Header, Kind};
use super::{LinkId, Published};
use crate::clock::Rng;
use crate::cluster::{Cluster, Node, NodeFlags, NodeId, SlotSet};
use crate::config::Config;
use crate::ds::algo::hash_slot::SLOTS;
use crate::types::UnixMillis;

/// What is at hand when a message comes.
struct Moment<'a> {
    link: LinkId,
    now: UnixMillis,
    config: &'a Config,
    rng: &'a mut Rng,
}

impl Cluster {
    /// Takes in a message. What cannot be read is dropped.
    pub fn receive(&mut self, link: LinkId, bytes: &[u8], now: UnixMillis, rng: &mut Rng, config: &Config) {
        let (header, body) = match message::parse(bytes) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(reason) => return tracing::warn!("A message of the cluster bus was dropped: {reason}"),
        };
        self.bus.received[header.kind as usize] += 1;
        if header.kind as i64 == self.dropped_kind {
            return tracing::warn!("Packet that matches debug drop filter");
        }
        let sender = self.sender_of(link, &header);
        if let Some(node) = sender.and_then(|sender| self.nodes.get_mut(&sender)) {
            node.data_received = now;
            if header.message_flags & FLAG_EXTENSIONS != 0 {
                node.flags.set(NodeFlags::EXTENSIONS);
            }
            if !node.flags.has(NodeFlags::HANDSHAKE) {
                self.current_epoch = self.current_epoch.max(header.current_epoch);
                node.replication_offset = header.offset as i64;
                if header.config_epoch > node.epoch {
                    node.epoch = header.config_epoch;
                    self.bus.wanted.save = true;
                }
                if header.message_flags & message::FLAG_PAUSED != 0 {
                    let id = node.id;
                    self.note_paused_primary(id, header.offset as i64);
                }
            }
        }
        let moment = Moment { link, now, config, rng };
        match (body, sender) {
            (Body::Gossip(entries, extensions), _) => self.receive_gossip(moment, &header, sender, &entries, extensions),
            (_, None) => {}
            (Body::Fail(Some(id)), Some(_)) => self.believe_failure(id, now),
            (Body::Publish { channel, message }, Some(_)) => {
                let shard = header.kind == Kind::PublishShard;
                let (channel, message) = (channel.to_vec(), message.to_vec());
                self.bus.wanted.publish.push(Published { shard, channel, message });
            }
            (Body::Update { epoch, node: Some(id), slots }, Some(_)) => self.receive_update(id, epoch, &slots, moment.config),
            (Body::Nothing, Some(sender)) => match header.kind {
                Kind::VoteRequest => self.vote_if_right(sender, &header, now, moment.config),
                Kind::Vote => self.count_vote(sender, header.current_epoch),
                Kind::FailoverStart => self.hold_still_for(sender, link, now, moment.rng),
                _ => {}
            },
            _ => {}
        }
    }

    /// Who sent a message: whom the connection leads to, or else the node of that name.
    fn sender_of(&mut self, link: LinkId, header: &Header) -> Option<NodeId> {
        let known = self.bus.links.get(&link)?.node;
        if let Some(node) = known.and_then(|node| self.node(node))
            && !node.flags.has(NodeFlags::HANDSHAKE)
        {
            return Some(node.id);
        }
        let sender = header.sender.filter(|sender| *sender != self.me)?;
        let node = self.nodes.get_mut(&sender)?;
        if known.is_none() {
            // One connection from each node is enough: the newer one counts.
            if let Some(old) = node.inbound.replace(link) {
                self.bus.links.remove(&old);
            }
            if let Some(link) = self.bus.links.get_mut(&link) {
                link.node = Some(sender);
            }
        }
        Some(sender)
    }

    fn receive_gossip(
        &mut self,
        moment: Moment<'_>,
        header: &Header,
        sender: Option<NodeId>,
        entries: &[message::Gossip],
        extensions: message::Extensions,
    ) {
        let Moment { link, now, config, rng } = moment;
        let Some((inbound, here, there)) = self.bus.links.get(&link).map(|link| (link.inbound, link.here, link.there)) else {
            return;
        };
        if header.kind != Kind::Pong {
            if config.cluster_announce_ip.is_empty() && (header.kind == Kind::Meet || self.myself().ip.is_empty()) {
                let here = here.to_canonical().to_string();
                let me = self.myself_mut();
                if me.ip != here {
                    tracing::info!("IP address for this node updated to {here}");
                    me.ip = here;
                    self.bus.wanted.save = true;
                }
            }
            if sender.is_none() && header.kind == Kind::Meet && header.sender != Some(self.me) {
                let mut node = Node::new(NodeId::random(), NodeFlags::HANDSHAKE);
                address(&mut node, header, there, self.tls);
                node.known_since = now;
                self.nodes.insert(node.id, node);
                self.hear_news(None, entries, now, config);
            }
            self.send_gossip(link, Kind::Pong, now, rng);
        }
        let mut sender = sender;
        if !inbound {
            let Some(expected) = self.bus.links.get(&link).and_then(|link| link.node) else { return };
            match self.finish_handshake(link, expected, header, sender, now) {
                Some(node) => sender = Some(node),
                None => return,
            }
        }
        let Some(sender) = sender else { return };
        if inbound && header.kind == Kind::Ping {
            self.follow_address(sender, header, there);
        }
        if !inbound && header.kind == Kind::Pong {
            self.note_answer(sender, now, config);
        }
        self.follow_role(sender, header);
        self.follow_slots(sender, header, config);
        self.settle_epochs(sender, header);
        self.hear_news(Some(sender), entries, now, config);
        self.hear_extensions(sender, extensions, now);
    }

    /// Of an answer on a connection that this node made: whom it really leads to. `None` if the connection is gone.
    fn finish_handshake(
        &mut self,
        link: LinkId,
        expected: NodeId,
        header: &Header,
        sender: Option<NodeId>,
        now: UnixMillis,
    ) -> Option<NodeId> {
        let node = self.node(expected)?;
        if !node.flags.has(NodeFlags::HANDSHAKE) {
            if header.sender == Some(expected) {
                return Some(expected);
            }
            // Somebody else lives there now.
            let node = self.nodes.get_mut(&expected)?;
            node.flags.set(NodeFlags::NO_ADDRESS);
            node.ip.clear();
            (node.port, node.tls_port, node.bus_port) = (0, 0, 0);
            self.drop_link(link);
            self.bus.wanted.save = true;
            return None;
        }
        let name = header.sender;
        if name.is_none() || name == Some(self.me) || sender.is_some() {
            // Known by its name already, or this node itself: the one in the handshake was a stand-in.
            let stand_in = node.clone();
            if let Some(known) = sender.and_then(|sender| self.nodes.get_mut(&sender)) {
                let fresh = (stand_in.port, stand_in.tls_port, stand_in.bus_port);
                if known.flags.has(NodeFlags::NO_ADDRESS) || known.ip.is_empty() {
                    (known.port, known.tls_port, known.bus_port) = fresh;
                    known.ip = stand_in.ip;
                    known.flags.clear(NodeFlags::NO_ADDRESS);
                }
            }
            self.forget(expected);
            return None;
        }
        let mut node = self.nodes.remove(&expected)?;
        node.id = name?;
        node.flags.clear(NodeFlags::HANDSHAKE | NodeFlags::MEET);
        node.flags.set(header.flags & (NodeFlags::PRIMARY | NodeFlags::REPLICA));
        if header.message_flags & FLAG_EXTENSIONS != 0 {
            node.flags.set(NodeFlags::EXTENSIONS);
        }
        (node.data_received, node.epoch) = (now, header.config_epoch);
        self.current_epoch = self.current_epoch.max(header.current_epoch);
        let id = node.id;
        if let Some(link) = self.bus.links.get_mut(&link) {
            link.node = Some(id);
        }
        self.nodes.insert(id, node);
        (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        tracing::debug!("Handshake with node {id} completed.");
        Some(id)
    }

    fn follow_address(&mut self, sender: NodeId, header: &Header, there: std::net::IpAddr) {
        let tls = self.tls;
        let Some(node) = self.nodes.get_mut(&sender).filter(|node| !node.flags.has(NodeFlags::HANDSHAKE)) else { return };
        let before = (node.ip.clone(), node.port, node.tls_port, node.bus_port);
        address(node, header, there, tls);
        if before == (node.ip.clone(), node.port, node.tls_port, node.bus_port) {
            return;
        }
        node.flags.clear(NodeFlags::NO_ADDRESS);
        tracing::info!("Address updated for node {sender} ({}), now {}:{}", node.nodename, node.ip, header.port);
        if let Some(link) = node.link {
            self.drop_link(link);
        }
        (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
    }

    fn note_answer(&mut self, sender: NodeId, now: UnixMillis, config: &Config) {
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        (node.pong_received, node.ping_sent) = (now, 0);
        if node.flags.has(NodeFlags::MAYBE_FAILED) {
            node.flags.clear(NodeFlags::MAYBE_FAILED);
            (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        } else if node.flags.has(NodeFlags::FAILED) {
            self.forgive(sender, now, config);
        }
    }

    /// Whether the sender is a primary, or whose replica it is.
    fn follow_role(&mut self, sender: NodeId, header: &Header) {
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        let no_failover = NodeFlags::NO_FAILOVER;
        node.flags.clear(no_failover);
        node.flags.set(header.flags & no_failover);
        let Some(primary) = header.primary else { return self.make_primary(sender) };
        let (was_primary, shard, epoch) = (node.is_primary(), node.shard, node.epoch);
        if was_primary {
            let successor = self.node(primary).filter(|primary| primary.shard == shard).map(|primary| primary.id);
            match successor {
                Some(_) if epoch > header.config_epoch => return,
                Some(successor) => {
                    let slots: Vec<u16> = self.node(sender).map(|node| node.slots.iter().collect()).unwrap_or_default();
                    for slot in slots {
                        self.unassign(slot);
                        self.assign(slot, successor);
                    }
                    self.make_primary(successor);
                    if let Some(successor) = self.nodes.get_mut(&successor) {
                        successor.epoch = header.config_epoch;
                    }
                }
                None => {
                    let slots: Vec<u16> = self.node(sender).map(|node| node.slots.iter().collect()).unwrap_or_default();
                    slots.into_iter().for_each(|slot| self.unassign(slot));
                }
            }
            (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        }
        let shard = self.node(primary).map(|primary| primary.shard);
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        node.flags.clear(NodeFlags::PRIMARY | NodeFlags::MIGRATE_TO);
        node.flags.set(NodeFlags::REPLICA);
        if let Some(shard) = shard
            && node.primary != Some(primary)
        {
            node.shard = shard;
            self.set_primary(sender, Some(primary));
            self.bus.wanted.save = true;
        }
    }

    pub(super) fn make_primary(&mut self, id: NodeId) {
        let Some(node) = self.node(id).filter(|node| !node.is_primary()) else { return };
        let takes_over = node.primary.is_some() && id != self.me;
        self.set_primary(id, None);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if takes_over {
            node.flags.set(NodeFlags::MIGRATE_TO);
        }
        node.flags.clear(NodeFlags::REPLICA);
        node.flags.set(NodeFlags::PRIMARY);
        (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
    }

    /// The slots that the sender, or its primary, claims.
    fn follow_slots(&mut self, sender: NodeId, header: &Header, config: &Config) {
        let Some(node) = self.node(sender) else { return };
        let owner = if node.is_primary() { Some(sender) } else { node.primary };
        let Some(owner) = owner.and_then(|owner| self.node(owner)) else { return };
        if owner.slots == header.slots {
            return;
        }
        if owner.id == sender {
            self.take_claims(sender, header.config_epoch, &header.slots, config);
        }
        // Who claims what a newer epoch gave to another is told so.
        let newer = header.slots.iter().filter_map(|slot| {
            let owner = self.owner(slot).filter(|owner| *owner != sender && !self.bus.unclaimed.contains(&slot))?;
            self.node(owner).filter(|owner| owner.epoch > header.config_epoch).map(|owner| owner.id)
        });
        let Some(newer) = newer.into_iter().next() else { return };
        self.send_update(sender, newer);
    }

    fn send_update(&mut self, to: NodeId, about: NodeId) {
        let Some((link, node)) = self.node(to).and_then(|to| to.link).zip(self.node(about)) else { return };
        let (epoch, mut slots) = (node.epoch, node.slots.clone());
        self.bus.unclaimed.iter().for_each(|slot| {
            slots.remove(*slot);
        });
        let body = Body::Update { epoch, node: Some(about), slots };
        let message = message::encode(&self.header(Kind::Update), &body);
        self.send(link, Kind::Update, message);
    }

    fn receive_update(&mut self, id: NodeId, epoch: u64, slots: &SlotSet, config: &Config) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.epoch < epoch) else { return };
        node.epoch = epoch;
        self.bus.wanted.save = true;
        self.make_primary(id);
        self.take_claims(id, epoch, slots, config);
    }

    /// Gives slots to a node that claims them, where nobody has them, or who has them has an older epoch.
    fn take_claims(&mut self, sender: NodeId, epoch: u64, slots: &SlotSet, config: &Config) {
        if sender == self.me {
            return;
        }
        // The one whose loss decides whom this node follows next.
        let home = self.myself().primary.unwrap_or(self.me);
        let mut taken_from_home = 0;
        for slot in 0..SLOTS {
            let owner = self.owner(slot);
            if !slots.contains(slot) {
                // Until another node claims it the old owner is still the best guess.
                if owner == Some(sender) {
                    self.bus.unclaimed.insert(slot);
                }
                continue;
            }
            if owner == Some(sender) {
                self.bus.unclaimed.remove(&slot);
                continue;
            }
            // A slot that is on its way here is settled by whoever moves it.
            if self.importing.contains_key(&slot) {
                continue;
            }
            let older = owner.and_then(|owner| self.node(owner)).is_none_or(|owner| owner.epoch < epoch);
            if older || self.bus.unclaimed.contains(&slot) {
                if owner == Some(self.me) {
                    self.bus.wanted.lost.insert(slot);
                }
                taken_from_home += (owner == Some(home)) as usize;
                self.unassign(slot);
                self.assign(slot, sender);
                self.bus.unclaimed.remove(&slot);
                (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
            }
        }
        let home_is_empty = self.node(home).is_none_or(|home| home.slots.is_empty());
        let took_over = taken_from_home > 0 && home_is_empty && home != sender;
        if took_over && (config.cluster_allow_replica_migration || slots.len() == taken_from_home) {
            tracing::info!("Configuration change detected. Reconfiguring myself as a replica of {sender}");
            self.follow(sender);
            // All data come from there.
            self.bus.wanted.lost.clear();
        } else if let Some(grand) =
            self.node(home).and_then(|home| home.primary).filter(|grand| *grand != self.me && home != self.me)
        {
            tracing::info!("I'm a sub-replica! Reconfiguring myself as a replica of grandmaster {grand}");
            self.follow(grand);
        }
    }

    /// Two primaries of one epoch: the one with the smaller name takes another.
    fn settle_epochs(&mut self, sender: NodeId, header: &Header) {
        let me = self.myself();
        let same = me.is_primary() && me.epoch == header.config_epoch && sender > me.id;
        if same && self.node(sender).is_some_and(Node::is_primary) {
            self.current_epoch += 1;
            let epoch = self.current_epoch;
            self.myself_mut().epoch = epoch;
            self.bus.wanted.save = true;
            tracing::info!("configEpoch collision with node {sender}: configEpoch set to {epoch}");
        }
    }

    fn believe_failure(&mut self, id: NodeId, now: UnixMillis) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if !node.flags.has(NodeFlags::FAILED | NodeFlags::MYSELF) {
            tracing::info!("FAIL message received about {id} ({})", node.nodename);
            node.flags.set(NodeFlags::FAILED);
            node.flags.clear(NodeFlags::MAYBE_FAILED);
            node.failed_at = now;
            (self.bus.wanted.save, self.bus.wanted.review) = (true, true);
        }
    }

    /// Votes for a replica that wants to take its primary's place, once in an epoch.
    fn vote_if_right(&mut self, candidate: NodeId, header: &Header, now: UnixMillis, config: &Config) {
        let refuse = |reason: &str| tracing::warn!("Failover auth denied to {candidate}: {reason}");
        let me = self.myself();
        if !me.is_primary() || me.slots.is_empty() {
            return;
        }
        if header.current_epoch < self.current_epoch {
            return refuse("its epoch is old");
        }
        if self.last_vote_epoch == self.current_epoch {
            return refuse("already voted in this epoch");
        }
        let Some(node) = self.node(candidate).filter(|node| node.is_replica()) else { return refuse("it is a master node") };
        let Some(primary) = node.primary.and_then(|primary| self.node(primary)) else { return refuse("its master is unknown") };
        if !primary.flags.has(NodeFlags::FAILED) && header.message_flags & FLAG_FORCE_VOTE == 0 {
            return refuse("its master is up");
        }
        if now - primary.voted_at < 2 * config.cluster_node_timeout {
            return refuse("voted about this master a short time ago");
        }
        let newer =
            |slot| self.owner(slot).and_then(|owner| self.node(owner)).is_some_and(|owner| owner.epoch > header.config_epoch);
        if header.slots.iter().any(|slot| !self.bus.unclaimed.contains(&slot) && newer(slot)) {
            return refuse("a slot has a newer owner");
        }
        let (link, primary) = (node.link, primary.id);
        self.last_vote_epoch = self.current_epoch;
        if let Some(primary) = self.nodes.get_mut(&primary) {
            primary.voted_at = now;
        }
        // A vote that a crash makes forgotten could be given twice.
        if self.save().is_err() {
            return;
        }
        if let Some(link) = link {
            let message = message::encode(&self.header(Kind::Vote), &Body::Nothing);
            self.send(link, Kind::Vote, message);
            tracing::info!("Failover auth granted to {candidate} for epoch {}", self.current_epoch);
        }
    }
}

/// Takes over where a node says it is: at the address it announces, or where its connection comes from.
fn address(node: &mut Node, header: &Header, there: std::net::IpAddr, tls: bool) {
    node.ip = if header.ip.is_empty() { there.to_canonical().to_string() } else { header.ip.clone() };
    (node.port, node.tls_port) = if tls { (header.other_port, header.port) } else { (header.port, header.other_port) };
    node.bus_port = header.bus_port;
}
