//! FAILOVER: a primary that wants to be relieved stops writing, waits until a replica has everything, tells it to take over, and
//! follows it.

use super::{Order, World};
use crate::replication::failover::{Failover, Stage};
use tracing::info;

impl World {
    /// Begins a failover; the caller has found nothing against it.
    pub fn begin_failover(&mut self, failover: Failover) {
        match &failover.target {
            Some((host, port)) => info!("FAILOVER requested to {host}:{port}."),
            None => info!("FAILOVER requested to any replica."),
        }
        self.replication.failover = Some(failover);
        // The offset must stand still, so that a replica can reach it.
        self.replication.quiet = true;
        self.settle_pause();
        self.review_restrictions();
    }

    /// Gives a failover up. False if there is none.
    pub fn abort_failover(&mut self, reason: &str) -> bool {
        let Some(failover) = &self.replication.failover else { return false };
        match &failover.target {
            Some((host, port)) => info!("FAILOVER to {host}:{port} aborted: {reason}"),
            None => info!("FAILOVER to any replica aborted: {reason}"),
        }
        if failover.stage == Stage::InProgress {
            self.become_primary();
        }
        self.end_failover();
        true
    }

    /// A failover is over: those who waited go on.
    pub fn end_failover(&mut self) {
        self.replication.failover = None;
        self.replication.quiet = false;
        self.settle_pause();
        self.review_restrictions();
        self.orders.push_back(Order::Resume);
    }

    /// Looks whether the replica has everything, or time is up. To be called now and then.
    pub fn carry_failover_on(&mut self) {
        let now = self.keyspace.env.clock.millis();
        let Some(failover) = self.replication.failover.as_ref().filter(|failover| failover.stage == Stage::WaitsForSync) else {
            return;
        };
        if failover.deadline.is_some_and(|deadline| deadline <= now) {
            match &failover.target {
                Some((host, port)) if failover.force => {
                    let (host, port) = (host.clone(), *port);
                    info!("FAILOVER to {host}:{port} time out exceeded, failing over.");
                    self.hand_over(host, port);
                }
                _ => {
                    self.abort_failover("Replica never caught up before timeout");
                }
            }
            return;
        }
        let offset = self.replication.end(&self.stream);
        let wanted = |host: &str, port: u16| failover.target.as_ref().is_none_or(|(h, p)| h == host && *p == port);
        let mut replicas = self.replication.replicas.iter().filter(|replica| wanted(&replica.address, replica.port));
        if let Some(replica) = replicas.find(|replica| replica.is_online() && replica.acked == offset) {
            let (host, port) = (replica.address.clone(), replica.port);
            info!("Failover target {host}:{port} is synced, failing over.");
            self.hand_over(host, port);
        }
    }

    fn hand_over(&mut self, host: String, port: u16) {
        self.become_replica_of(&host, port);
        if let Some(upstream) = &mut self.replication.upstream {
            upstream.takes_over = true;
        }
        if let Some(failover) = &mut self.replication.failover {
            failover.target = Some((host, port));
            failover.stage = Stage::InProgress;
        }
    }
}
