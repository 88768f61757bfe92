//! Whether the cluster can serve: every slot has an owner, and most of the primaries can be reached.

use super::{Cluster, NodeFlags};
use crate::config::Config;
use crate::ds::algo::hash_slot::SLOTS;
use crate::types::UnixMillis;

/// Whether requests about keys are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Health {
    Ok,
    #[default]
    Down,
}

/// What is remembered of the cluster's health.
#[derive(Default)]
pub(super) struct State {
    health: Health,
    /// Primaries with slots.
    size: usize,
    first_look: Option<UnixMillis>,
    /// When most of the primaries were last out of reach.
    minority_at: Option<UnixMillis>,
}

/// So long a primary that starts serves nothing: the others may have given its slots away meanwhile.
const START_DELAY_MILLIS: i64 = 2000;
/// And so long after it could not reach the others, at least and at most.
const REJOIN_DELAY_MILLIS: std::ops::RangeInclusive<i64> = 500..=5000;

impl Cluster {
    /// Whether requests about keys are served.
    #[inline]
    pub fn is_healthy(&self) -> bool {
        self.health.health == Health::Ok
    }

    /// Primaries with slots.
    pub fn size(&self) -> usize {
        self.health.size
    }

    /// Looks at the cluster's health. To be called after changes, and from time to time.
    pub fn review_health(&mut self, now: UnixMillis, config: &Config) {
        // Delays give other nodes the time to tell of changes. A node that knows no other need not wait.
        let waits = self.node_count() > 1 && self.myself().is_primary();
        let first_look = *self.health.first_look.get_or_insert(now);
        if waits && self.health.health == Health::Down && now - first_look < START_DELAY_MILLIS {
            return;
        }
        let unserved = |slot| match self.owner(slot).and_then(|owner| self.node(owner)) {
            Some(owner) => owner.flags.has(NodeFlags::FAILED),
            None => true,
        };
        let uncovered = config.cluster_require_full_coverage && (0..SLOTS).any(unserved);
        let primaries = || self.nodes().filter(|node| node.is_primary() && !node.slots.is_empty());
        let size = primaries().count();
        let reachable = primaries().filter(|node| !node.flags.has(NodeFlags::FAILED | NodeFlags::MAYBE_FAILED)).count();
        self.health.size = size;
        let minority = reachable < size / 2 + 1;
        if minority {
            self.health.minority_at = Some(now);
        }
        let health = if uncovered || minority { Health::Down } else { Health::Ok };
        if health == self.health.health {
            return;
        }
        let delay = config.cluster_node_timeout.clamp(*REJOIN_DELAY_MILLIS.start(), *REJOIN_DELAY_MILLIS.end());
        if health == Health::Ok && waits && self.health.minority_at.is_some_and(|at| now - at < delay) {
            return;
        }
        self.health.health = health;
        match health {
            Health::Ok => tracing::info!("Cluster state changed: ok"),
            Health::Down => tracing::warn!("Cluster state changed: fail"),
        }
    }
}
