//! The cluster bus on the engine's side: takes what the sockets bring to the node's view, and does what follows for keys,
//! subscribers and waiting clients.

use super::{Engine, Mailbox};
use crate::cluster::{Following, LinkId, NodeId, Wish};
use crate::dispatch::publish;
use crate::keyspace::Event;
use crate::resp::request::OwnedRequest;
use crate::session::{Pause, Session, Topic};
use crate::types::DbIndex;
use crate::world::{Order, World};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::mpsc::UnboundedSender;

/// A connection as the view knows it, and the count of bytes that have not left.
pub type Joined = (LinkId, Arc<AtomicUsize>);

/// Keys of a slot that are deleted between two publications.
const KEYS_AT_ONCE: usize = 256;

impl Mailbox {
    /// A message came over a connection of the bus.
    pub fn bus_message(&self, link: LinkId, bytes: &[u8]) {
        self.with_bus(|world| {
            let World { cluster: Some(cluster), keyspace, config, .. } = world else { return };
            let now = keyspace.env.now();
            cluster.receive(link, bytes, now, &mut keyspace.env.rng, config);
        });
    }

    /// Another node has connected to the bus.
    pub fn bus_accepted(&self, out: UnboundedSender<Bytes>, here: IpAddr, there: IpAddr) -> Option<Joined> {
        self.with_bus(|world| {
            let now = world.keyspace.env.now();
            world.cluster.as_mut().map(|cluster| cluster.accepted(out, here, there, now))
        })
    }

    /// A connection to another node is there.
    pub fn bus_connected(&self, to: NodeId, out: UnboundedSender<Bytes>, here: IpAddr, there: IpAddr) -> Option<Joined> {
        self.with_bus(|world| {
            let World { cluster: Some(cluster), keyspace, .. } = world else { return None };
            let now = keyspace.env.now();
            cluster.connected(to, out, here, there, (now, &mut keyspace.env.rng))
        })
    }

    /// A connection to another node could not be made.
    pub fn bus_not_connected(&self, to: NodeId) {
        self.with_bus(|world| {
            let now = world.keyspace.env.now();
            if let Some(cluster) = &mut world.cluster {
                cluster.not_connected(to, now);
            }
        });
    }

    /// A connection of the bus has ended.
    pub fn bus_lost(&self, link: LinkId) {
        self.with_bus(|world| {
            if let Some(cluster) = &mut world.cluster {
                cluster.drop_link(link);
            }
        });
    }

    /// Looks after the other nodes; tells to which of them to connect.
    pub fn bus_tick(&self) -> Vec<Wish> {
        self.with_bus(|world| {
            let following = following(world);
            let World { cluster: Some(cluster), keyspace, config, .. } = world else { return Vec::new() };
            let now = keyspace.env.now();
            cluster.look_after_nodes(following, now, &mut keyspace.env.rng, config)
        })
    }

    fn with_bus<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        self.with(|engine| {
            engine.world.keyspace.refresh_clock();
            let offset = engine.world.replication.offset();
            if let Some(cluster) = &mut engine.world.cluster {
                cluster.offset = offset as i64;
            }
            let result = f(&mut engine.world);
            if engine.obey_bus() {
                engine.finish_turn(self);
            }
            result
        })
    }
}

impl Engine {
    /// Does what the bus wants done. False if there was nothing.
    fn obey_bus(&mut self) -> bool {
        let world = &mut self.world;
        let Some(wanted) = world.cluster.as_mut().map(|cluster| cluster.take_wanted()) else { return false };
        world.settle_cluster_role();
        if let Some(until) = wanted.pause_until {
            world.set_pause(Some(Pause { until, all: false }));
        }
        if wanted.resume {
            world.set_pause(None);
            world.orders.push_back(Order::Resume);
        }
        if wanted.save {
            // A failure is in the log.
            let _ = world.save_cluster();
        }
        for message in &wanted.publish {
            if message.shard {
                world.pubsub.publish_shard(&mut world.sessions, &message.channel, &message.message);
            } else {
                world.pubsub.publish(&mut world.sessions, &message.channel, &message.message);
            }
        }
        wanted.lost.iter().for_each(|slot| delete_keys_of(world, *slot));
        if wanted.review {
            world.review_cluster();
            world.redirect_waiting();
            end_foreign_channels(world);
        }
        wanted.save || wanted.review || !wanted.publish.is_empty() || !world.orders.is_empty()
    }
}

/// How well this replica keeps up with its primary.
fn following(world: &World) -> Following {
    // A link that broke while the engine was held up by a script broke when it was last heard of, and not when it noticed.
    let silence = world.replication.upstream.as_ref().map(|upstream| match upstream.down_since {
        Some(down) if !upstream.is_connected() => down.elapsed().max(upstream.heard_at.elapsed()),
        _ => upstream.heard_at.elapsed(),
    });
    Following { silence_millis: silence.map_or(0, |silence| silence.as_millis() as i64) }
}

/// Deletes the keys of a slot that is another node's now.
fn delete_keys_of(world: &mut World, slot: u16) {
    const DB: DbIndex = DbIndex(0);
    loop {
        let db = world.keyspace.db(DB);
        let Some(slots) = &db.meta.slots else { return };
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        slots.first_keys(&db.table, slot, KEYS_AT_ONCE, &mut |entry| keys.push(entry.key().into()));
        if keys.is_empty() {
            return;
        }
        for key in &keys {
            world.keyspace.env.effects.propagate_before(DB, || OwnedRequest::build([&b"DEL"[..], key]));
            world.keyspace.delete(DB, key, true, Event::DEL);
        }
        publish::close_background(world);
    }
}

/// Ends subscriptions to shard channels of other nodes.
fn end_foreign_channels(world: &mut World) {
    if world.pubsub.count(Topic::Shard) == 0 {
        return;
    }
    let Some(cluster) = &world.cluster else { return };
    let me = cluster.myself();
    let home = me.primary.unwrap_or(me.id);
    let foreign: Vec<bool> = (0..crate::ds::algo::hash_slot::SLOTS).map(|slot| cluster.owner(slot) != Some(home)).collect();
    // Nobody's request does this.
    let mut nobody = Session::default();
    world.end_shard_channels(&mut nobody, |slot| foreign[slot as usize]);
}
