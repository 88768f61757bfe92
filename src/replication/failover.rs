//! Handing the primary's part over to a replica (FAILOVER): what is known while it goes on.

use crate::types::UnixMillis;

/// A failover that goes on. Meanwhile nobody writes.
#[derive(Clone, Debug)]
pub struct Failover {
    /// The replica that is to take over; none: the first that has everything.
    pub target: Option<(String, u16)>,
    /// When waiting for the replica ends.
    pub deadline: Option<UnixMillis>,
    /// At the deadline the replica takes over in any case.
    pub force: bool,
    pub stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The replica has yet to get everything.
    WaitsForSync,
    /// The replica is told to take over.
    InProgress,
}

impl Failover {
    /// The stage in the words of INFO.
    pub fn state_name(failover: Option<&Failover>) -> &'static str {
        match failover.map(|failover| failover.stage) {
            None => "no-failover",
            Some(Stage::WaitsForSync) => "waiting-for-sync",
            Some(Stage::InProgress) => "failover-in-progress",
        }
    }
}
