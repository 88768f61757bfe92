//! A replica that moves to a primary which has lost its own, so that replicas end up where they are missed.
//!
//! Nobody decides this for others. Every replica looks at the same cluster, and only the one that all of them would choose moves.

use crate::cluster::{Cluster, Node, NodeFlags, NodeId};
use crate::config::Config;
use crate::types::UnixMillis;
use std::collections::BTreeMap;

/// So long a primary has to be without a replica. After a failover the replicas of the old primary are given that time to tell
/// that they follow the new one.
const PATIENCE_MILLIS: i64 = 5000;

impl Cluster {
    /// Follows a primary without replicas, if there is one and this replica is the one to go.
    pub(super) fn look_after_orphans(&mut self, now: UnixMillis, config: &Config) {
        let home = self.myself().primary.filter(|_| config.cluster_allow_replica_migration);
        let Some(home) = home else { return self.bus.orphans.clear() };
        let working = self.working_replicas();
        let is_orphan = |id: &NodeId| {
            working[id] == 0 && self.node(*id).is_some_and(|node| node.flags.has(NodeFlags::MIGRATE_TO) && !node.slots.is_empty())
        };
        let orphans = working.keys().copied().filter(is_orphan);
        self.bus.orphans = orphans.map(|id| (id, self.bus.orphans.get(&id).copied().unwrap_or(now))).collect();
        let waits_longest = self.bus.orphans.iter().min_by_key(|(_, since)| **since);
        let Some((&orphan, _)) = waits_longest.filter(|(_, since)| now - **since > PATIENCE_MILLIS) else { return };
        if self.is_healthy() && self.leaves_enough(home, config) && self.goes_first(home, &working) {
            tracing::info!("Migrating to orphaned master {orphan}");
            self.bus.orphans.clear();
            self.follow(orphan);
        }
    }

    /// How many replicas that did not fail each primary has that did not fail either.
    fn working_replicas(&self) -> BTreeMap<NodeId, usize> {
        const UNKNOWN: u16 = NodeFlags::FAILED | NodeFlags::MYSELF | NodeFlags::NO_ADDRESS | NodeFlags::HANDSHAKE;
        let primaries = self.nodes().filter(|node| node.is_primary() && !node.flags.has(UNKNOWN));
        let mut working: BTreeMap<NodeId, usize> = primaries.map(|node| (node.id, 0)).collect();
        for primary in self.nodes().filter(|node| has_not_failed(node)).filter_map(|node| node.primary) {
            if let Some(count) = working.get_mut(&primary) {
                *count += 1;
            }
        }
        working
    }

    /// True if a primary keeps as many replicas as it is to keep when one of them goes.
    fn leaves_enough(&self, home: NodeId, config: &Config) -> bool {
        let answers = |node: &&Node| !node.flags.has(NodeFlags::FAILED | NodeFlags::MAYBE_FAILED);
        self.replicas_of(home).filter(answers).count() as i64 > config.cluster_migration_barrier
    }

    /// True if no other replica is to go before this one: those of the primaries with the largest number of replicas go first, by
    /// their names. The original counts replicas that failed among them, and nobody goes until such a one is back.
    fn goes_first(&self, home: NodeId, working: &BTreeMap<NodeId, usize>) -> bool {
        let largest = working.values().copied().max().unwrap_or(0);
        if largest < 2 || working.get(&home) != Some(&largest) {
            return false;
        }
        let may_go = |node: &&Node| node.primary.is_some_and(|primary| working.get(&primary) == Some(&largest));
        self.nodes().filter(|node| has_not_failed(node)).find(may_go).is_some_and(|first| first.id == self.me)
    }
}

fn has_not_failed(node: &Node) -> bool {
    !node.flags.has(NodeFlags::FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;
    use crate::cluster::Following;

    /// A node's name from a letter: primaries are `x`, `y`, `z`, replicas `a`, `b` and so on.
    fn id(letter: char) -> NodeId {
        NodeId::parse(&[letter as u8; 40]).unwrap()
    }

    /// A node with the clock that it goes by.
    struct Seen {
        cluster: Cluster,
        config: Config,
        now: UnixMillis,
    }

    impl Seen {
        /// The view of one node: `x`, `y` and `z` share the slots, and who follows them is told in pairs.
        fn by(me: char, replicas: &[(char, char)]) -> Self {
            let mut text = String::new();
            for (primary, slots) in [('x', "0-5000"), ('y', "5001-10000"), ('z', "10001-16383")] {
                text.push_str(&format!("{} 10.0.0.1:1@2 master - 0 0 1 connected {slots}\n", id(primary)));
            }
            for (replica, primary) in replicas {
                let myself = if *replica == me { "myself," } else { "" };
                text.push_str(&format!("{} 10.0.0.1:1@2 {myself}slave {} 0 0 1 connected\n", id(*replica), id(*primary)));
            }
            let mut seen = Seen { cluster: Cluster::read(&text).unwrap(), config: Config::default(), now: 1_000_000 };
            seen.cluster.review_health(seen.now, &seen.config);
            assert!(seen.cluster.is_healthy());
            seen
        }

        fn set(&mut self, node: char, flag: u16) {
            self.cluster.nodes.get_mut(&id(node)).unwrap().flags.set(flag);
        }

        fn clear(&mut self, node: char, flag: u16) {
            self.cluster.nodes.get_mut(&id(node)).unwrap().flags.clear(flag);
        }

        fn is_worth_joining(&self, node: char) -> bool {
            self.cluster.node(id(node)).unwrap().flags.has(NodeFlags::MIGRATE_TO)
        }

        /// Whom this node follows when some time has passed.
        fn after(&mut self, millis: i64) -> char {
            let end = self.now + millis;
            loop {
                self.cluster.look_after_nodes(Following { silence_millis: 0 }, self.now, &mut Rng::seeded(1), &self.config);
                if self.now >= end {
                    break;
                }
                self.now = (self.now + 100).min(end);
            }
            self.cluster.myself().primary.unwrap().as_bytes()[0] as char
        }
    }

    /// `x` has three replicas, `y` two, `z` one, which failed.
    const UNEVEN: [(char, char); 6] = [('c', 'x'), ('d', 'x'), ('e', 'x'), ('a', 'y'), ('b', 'y'), ('f', 'z')];

    fn uneven(me: char) -> Seen {
        let mut seen = Seen::by(me, &UNEVEN);
        assert_eq!(seen.after(60_000), UNEVEN.iter().find(|(replica, _)| *replica == me).unwrap().1);
        seen.set('f', NodeFlags::FAILED);
        seen
    }

    #[test]
    fn a_replica_moves_when_the_time_is_up() {
        let mut seen = uneven('c');
        assert_eq!(seen.after(5000), 'x');
        seen.cluster.take_wanted();
        assert_eq!(seen.after(100), 'z');
        let wanted = seen.cluster.take_wanted();
        assert!(wanted.save && wanted.review);
        assert_eq!(seen.cluster.myself().shard, seen.cluster.node(id('z')).unwrap().shard);
        // It stays.
        assert_eq!(seen.after(60_000), 'z');
    }

    #[test]
    fn the_time_begins_anew_when_a_replica_is_back() {
        let mut seen = uneven('c');
        assert_eq!(seen.after(4900), 'x');
        seen.clear('f', NodeFlags::FAILED);
        assert_eq!(seen.after(100), 'x');
        seen.set('f', NodeFlags::FAILED);
        assert_eq!(seen.after(5000), 'x');
        assert_eq!(seen.after(200), 'z');
    }

    #[test]
    fn one_of_several_moves() {
        for (me, home) in UNEVEN.iter().filter(|(me, _)| !"cf".contains(*me)) {
            assert_eq!(uneven(*me).after(60_000), *home, "{me}");
        }
        // The next one in line when the first one has failed, or does not answer and is still counted.
        let mut seen = uneven('d');
        seen.set('c', NodeFlags::FAILED);
        assert_eq!(seen.after(60_000), 'x', "those of the other primary have smaller names, and now are as many");
        seen.set('a', NodeFlags::FAILED);
        assert_eq!(seen.after(60_000), 'z');
    }

    #[test]
    fn a_primary_keeps_what_it_is_to_keep() {
        let mut seen = uneven('c');
        seen.config.cluster_migration_barrier = 3;
        assert_eq!(seen.after(60_000), 'x');
        seen.config.cluster_migration_barrier = 2;
        // One that does not answer is not kept for sure.
        seen.set('e', NodeFlags::MAYBE_FAILED);
        assert_eq!(seen.after(60_000), 'x');
        seen.clear('e', NodeFlags::MAYBE_FAILED);
        assert_eq!(seen.after(100), 'z');
        // The last one does not go, whatever the configuration says.
        let mut seen = Seen::by('a', &[('a', 'x'), ('b', 'y'), ('f', 'z')]);
        seen.config.cluster_migration_barrier = 0;
        seen.set('f', NodeFlags::FAILED);
        assert_eq!(seen.after(60_000), 'x');
    }

    #[test]
    fn nobody_moves_where_that_is_not_allowed() {
        let mut seen = uneven('c');
        seen.config.cluster_allow_replica_migration = false;
        assert_eq!(seen.after(60_000), 'x');
        seen.config.cluster_allow_replica_migration = true;
        assert_eq!(seen.after(5000), 'x');
        assert_eq!(seen.after(100), 'z');
    }

    #[test]
    fn nobody_moves_while_the_cluster_is_down() {
        let mut seen = uneven('c');
        seen.set('y', NodeFlags::FAILED);
        seen.cluster.review_health(seen.now, &seen.config);
        assert_eq!(seen.after(60_000), 'x');
        seen.clear('y', NodeFlags::FAILED);
        seen.cluster.review_health(seen.now, &seen.config);
        assert_eq!(seen.after(100), 'z');
    }

    #[test]
    fn nobody_moves_to_a_primary_that_failed_or_never_had_replicas() {
        let mut seen = uneven('c');
        seen.config.cluster_require_full_coverage = false;
        seen.set('z', NodeFlags::FAILED);
        seen.cluster.review_health(seen.now, &seen.config);
        assert!(seen.cluster.is_healthy());
        assert_eq!(seen.after(60_000), 'x');
        seen.clear('z', NodeFlags::FAILED | NodeFlags::MIGRATE_TO);
        assert_eq!(seen.after(60_000), 'x');
    }

    #[test]
    fn the_flag_comes_and_goes() {
        let mut seen = Seen::by('a', &[('a', 'x'), ('b', 'x'), ('f', 'z')]);
        // `y` has its slots from when nobody had replicas, and no replica since.
        assert_eq!(['x', 'y', 'z'].map(|node| seen.is_worth_joining(node)), [true, false, true]);
        // A replica that fails is not gone. One that leaves is.
        seen.set('f', NodeFlags::FAILED);
        assert!(seen.is_worth_joining('z'));
        seen.cluster.set_primary(id('f'), Some(id('y')));
        assert_eq!(['y', 'z'].map(|node| seen.is_worth_joining(node)), [true, false]);
        seen.cluster.forget(id('f'));
        assert!(!seen.is_worth_joining('y'));
        // While one of several is left nothing changes.
        seen.cluster.set_primary(id('b'), Some(id('z')));
        assert!(seen.is_worth_joining('x') && seen.is_worth_joining('z'));
        // A replica that takes over needs some itself.
        seen.cluster.make_primary(id('b'));
        assert_eq!(['b', 'z'].map(|node| seen.is_worth_joining(node)), [true, false]);
        // So does who gets a first slot where others have replicas; another slot changes nothing.
        for slot in 5001..=10_000 {
            seen.cluster.unassign(slot);
        }
        seen.cluster.assign(5001, id('y'));
        assert!(seen.is_worth_joining('y'));
        seen.clear('y', NodeFlags::MIGRATE_TO);
        seen.cluster.assign(5002, id('y'));
        assert!(!seen.is_worth_joining('y'));
        // Nobody has replicas any more.
        seen.cluster.make_primary(id('a'));
        seen.cluster.unassign(5001);
        seen.cluster.unassign(5002);
        seen.cluster.assign(5001, id('y'));
        assert!(!seen.is_worth_joining('y') && !seen.is_worth_joining('x'));
    }
}
