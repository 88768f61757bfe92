//! The steps by which a replica takes a primary's place. Each tick looks whether the next one can be done; what was sent shows in the
//! INFO of those to whom it was sent.

use super::link::Expected;
use super::{Address, DESYNC_MAX_MS, Flags, Instance, InstanceId, Level, Sentinel, Stage};

/// Why a failover that a client asks for does not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    UnderWay,
    NoGoodReplica,
}

impl Sentinel {
    /// Begins a failover because a client asks for it: nobody has to agree.
    ///
    /// # Errors
    /// There is one under way, or no replica is fit.
    pub fn force_failover(&mut self, primary: InstanceId) -> Result<(), Refused> {
        if self.at(primary).flags.has(Flags::FAILOVER) {
            return Err(Refused::UnderWay);
        }
        if self.best_replica(primary).is_none() {
            return Err(Refused::NoGoodReplica);
        }
        self.log(Level::Notice, format!("Executing user requested FAILOVER of '{}'", self.at(primary).name));
        self.start_failover(primary);
        self.at_mut(primary).flags.set(Flags::FORCED);
        Ok(())
    }

    /// Begins a failover if the primary is down for enough of us and nobody has tried lately.
    pub(super) fn start_failover_if_due(&mut self, primary: InstanceId) -> bool {
        let (flags, watched) = (self.at(primary).flags, self.watched(primary));
        if !flags.has(Flags::O_DOWN) || flags.has(Flags::FAILOVER) {
            return false;
        }
        let started_at = watched.failover.started_at;
        let until = started_at + watched.failover_timeout.saturating_mul(2);
        if self.now < until {
            if watched.failover.delay_logged != started_at {
                self.watched_mut(primary).failover.delay_logged = started_at;
                let seconds = (until - self.now) / 1000;
                self.log(Level::Notice, format!("Next failover delay: I will not start a failover for {seconds} seconds"));
            }
            return false;
        }
        self.start_failover(primary);
        true
    }

    fn start_failover(&mut self, primary: InstanceId) {
        // An epoch that others made up may be the last one there is.
        self.epoch = self.epoch.saturating_add(1);
        let (epoch, now) = (self.epoch, self.now);
        let delay = self.rng.below(DESYNC_MAX_MS) as i64;
        self.at_mut(primary).flags.set(Flags::FAILOVER);
        let failover = &mut self.watched_mut(primary).failover;
        (failover.stage, failover.epoch) = (Stage::WaitStart, epoch);
        (failover.started_at, failover.stage_since) = (now + delay, now);
        self.tell_as(Level::Warning, "+new-epoch", primary, epoch.to_string());
        self.tell(Level::Warning, "+try-failover", primary, "");
    }

    /// Does the next step, if there is one to do.
    pub(super) fn carry_failover_on(&mut self, primary: InstanceId) {
        if !self.at(primary).flags.has(Flags::FAILOVER) {
            return;
        }
        match self.watched(primary).failover.stage {
            Stage::WaitStart => self.await_election(primary),
            Stage::SelectReplica => self.select_replica(primary),
            Stage::SendReplicaOfNoOne => self.promote(primary),
            Stage::WaitPromotion if self.stage_took_too_long(primary) => {
                self.tell(Level::Warning, "-failover-abort-slave-timeout", primary, "");
                self.abort_failover(primary);
            }
            Stage::ReconfReplicas => self.reconfigure_replicas(primary),
            Stage::None | Stage::WaitPromotion | Stage::UpdateConfig => {}
        }
    }

    fn stage_took_too_long(&self, primary: InstanceId) -> bool {
        let watched = self.watched(primary);
        self.now - watched.failover.stage_since > watched.failover_timeout
    }

    fn enter(&mut self, primary: InstanceId, stage: Stage) {
        let now = self.now;
        let failover = &mut self.watched_mut(primary).failover;
        (failover.stage, failover.stage_since) = (stage, now);
    }

    fn await_election(&mut self, primary: InstanceId) {
        let epoch = self.watched(primary).failover.epoch;
        let leads = self.leader(primary, epoch).is_some_and(|leader| leader.eq_ignore_ascii_case(&self.id));
        if !leads && !self.at(primary).flags.has(Flags::FORCED) {
            let watched = self.watched(primary);
            let patience = self.periods.election.min(watched.failover_timeout);
            if self.now - watched.failover.started_at > patience {
                self.tell(Level::Warning, "-failover-abort-not-elected", primary, "");
                self.abort_failover(primary);
            }
            return;
        }
        self.tell(Level::Warning, "+elected-leader", primary, "");
        if self.failures.after_election {
            self.crash();
        }
        self.enter(primary, Stage::SelectReplica);
        self.tell(Level::Warning, "+failover-state-select-slave", primary, "");
    }

    fn crash(&mut self) {
        self.log(Level::Warning, "Sentinel CRASH because of SENTINEL simulate-failure".to_owned());
        self.effects.crash = true;
    }

    /// The replica that is fit and the best by priority, by how much it has of the data, and by run id.
    fn best_replica(&self, primary: InstanceId) -> Option<InstanceId> {
        let (now, instance) = (self.now, self.at(primary));
        let is_down = instance.flags.has(Flags::S_DOWN);
        let down_ms = if is_down { now - instance.s_down_since } else { 0 };
        let link_down_max = down_ms + instance.down_after.saturating_mul(10);
        // While the primary is down its replicas are asked every second.
        let info_age_max = if is_down { self.periods.ping * 5 } else { self.periods.info * 3 };
        let is_fit = |replica: &Instance| {
            let link = self.link(replica);
            !replica.flags.has(Flags::S_DOWN | Flags::O_DOWN)
                && !link.disconnected
                && now - link.good_pong_at <= self.periods.ping * 5
                && replica.replica.priority != 0
                && now - replica.info_at <= info_age_max
                && replica.replica.link_down_ms <= link_down_max
        };
        let merit = |id: &InstanceId| {
            let replica = self.at(*id);
            let run_id = replica.run_id.as_ref().map(|run_id| run_id.to_ascii_lowercase());
            // One that tells no run id comes last.
            (replica.replica.priority, std::cmp::Reverse(replica.replica.offset), run_id.is_none(), run_id)
        };
        self.watched(primary).replicas.iter().copied().filter(|id| is_fit(self.at(*id))).min_by_key(merit)
    }

    fn select_replica(&mut self, primary: InstanceId) {
        let Some(replica) = self.best_replica(primary) else {
            self.tell(Level::Warning, "-failover-abort-no-good-slave", primary, "");
            return self.abort_failover(primary);
        };
        self.tell(Level::Warning, "+selected-slave", replica, "");
        self.at_mut(replica).flags.set(Flags::PROMOTED);
        self.watched_mut(primary).failover.promoted = Some(replica);
        self.enter(primary, Stage::SendReplicaOfNoOne);
        self.tell(Level::Notice, "+failover-state-send-slaveof-noone", replica, "");
    }

    fn promote(&mut self, primary: InstanceId) {
        let Some(replica) = self.watched(primary).failover.promoted else { return self.abort_failover(primary) };
        if self.link_of(replica).disconnected {
            if self.stage_took_too_long(primary) {
                self.tell(Level::Warning, "-failover-abort-slave-timeout", primary, "");
                self.abort_failover(primary);
            }
            return;
        }
        if self.send_replica_of(replica, None) {
            self.tell(Level::Notice, "+failover-state-wait-promotion", replica, "");
            self.enter(primary, Stage::WaitPromotion);
        }
    }

    /// The chosen replica says that it is a primary. From now on this is what all sentinels are to know.
    pub(super) fn promoted(&mut self, replica: InstanceId) {
        let primary = self.at(replica).primary;
        let watched = self.watched_mut(primary);
        watched.config_epoch = watched.failover.epoch;
        self.enter(primary, Stage::ReconfReplicas);
        self.effects.save = true;
        self.tell(Level::Warning, "+promoted-slave", replica, "");
        if self.failures.after_promotion {
            self.crash();
        }
        self.tell(Level::Warning, "+failover-state-reconf-slaves", primary, "");
        let (old, new) = (self.at(primary).address.clone(), self.at(replica).address.clone());
        self.run_reconfig_script(primary, "leader", &old, &new);
        self.hurry_hellos(primary);
    }

    /// Turns the other replicas to the new primary, so many at a time as are allowed.
    fn reconfigure_replicas(&mut self, primary: InstanceId) {
        let replicas = self.watched(primary).replicas.clone();
        let is_under_way = |id: &&InstanceId| self.at(**id).flags.has(Flags::RECONF_SENT | Flags::RECONF_IN_PROGRESS);
        let mut under_way = replicas.iter().filter(is_under_way).count() as i64;
        let new = self.watched(primary).failover.promoted.and_then(|id| self.get(id)).map(|promoted| promoted.address.clone());
        for id in replicas {
            if under_way >= self.watched(primary).parallel_syncs {
                break;
            }
            let replica = self.at(id);
            if replica.flags.has(Flags::PROMOTED | Flags::RECONF_DONE) {
                continue;
            }
            if replica.flags.has(Flags::RECONF_SENT) && self.now - replica.replica.reconf_sent_at > self.periods.reconf_timeout {
                // It will be found to follow the wrong primary and be told again.
                self.tell(Level::Notice, "-slave-reconf-sent-timeout", id, "");
                let flags = &mut self.at_mut(id).flags;
                flags.clear(Flags::RECONF_SENT);
                flags.set(Flags::RECONF_DONE);
            }
            if self.at(id).flags.has(Flags::RECONF_SENT | Flags::RECONF_IN_PROGRESS) || self.link_of(id).disconnected {
                continue;
            }
            if self.send_replica_of(id, new.as_ref()) {
                let now = self.now;
                let replica = self.at_mut(id);
                replica.flags.set(Flags::RECONF_SENT);
                replica.replica.reconf_sent_at = now;
                self.tell(Level::Notice, "+slave-reconf-sent", id, "");
                under_way += 1;
            }
        }
        self.end_failover_if_done(primary);
    }

    fn end_failover_if_done(&mut self, primary: InstanceId) {
        let Some(promoted) = self.watched(primary).failover.promoted.and_then(|id| self.get(id)) else { return };
        if promoted.flags.has(Flags::S_DOWN) {
            return;
        }
        let new = promoted.address.clone();
        let settled = Flags::PROMOTED | Flags::RECONF_DONE | Flags::S_DOWN;
        let replicas = self.watched(primary).replicas.clone();
        let is_done = replicas.iter().all(|id| self.at(*id).flags.has(settled));
        let is_late = self.stage_took_too_long(primary);
        if is_late {
            self.tell(Level::Warning, "+failover-end-for-timeout", primary, "");
        }
        if is_done || is_late {
            self.tell(Level::Warning, "+failover-end", primary, "");
            self.enter(primary, Stage::UpdateConfig);
        }
        if is_late {
            for id in replicas {
                let flags = self.at(id).flags;
                let is_told = flags.has(Flags::PROMOTED | Flags::RECONF_DONE | Flags::RECONF_SENT);
                if !is_told && !self.link_of(id).disconnected && self.send_replica_of(id, Some(&new)) {
                    self.tell(Level::Notice, "+slave-reconf-sent-be", id, "");
                    self.at_mut(id).flags.set(Flags::RECONF_SENT);
                }
            }
        }
    }

    /// Gives a failover up. Only before the chosen replica is a primary.
    fn abort_failover(&mut self, primary: InstanceId) {
        self.at_mut(primary).flags.clear(Flags::FAILOVER | Flags::FORCED);
        self.enter(primary, Stage::None);
        if let Some(promoted) = self.watched_mut(primary).failover.promoted.take()
            && let Some(promoted) = self.instances.get_mut(&promoted)
        {
            promoted.flags.clear(Flags::PROMOTED);
        }
    }

    /// Tells an instance to follow a primary, or to be one. It keeps that in its file, and its clients have to look for the primary
    /// anew; all or nothing.
    pub(super) fn send_replica_of(&mut self, id: InstanceId, primary: Option<&Address>) -> bool {
        let (host, port) = match primary {
            Some(address) => (self.announced(address).to_owned(), address.port.to_string()),
            None => ("NO".to_owned(), "ONE".to_owned()),
        };
        let requests: [&[&[u8]]; 6] = [
            &[b"MULTI"],
            &[b"SLAVEOF", host.as_bytes(), port.as_bytes()],
            &[b"CONFIG", b"REWRITE"],
            &[b"CLIENT", b"KILL", b"TYPE", b"normal"],
            &[b"CLIENT", b"KILL", b"TYPE", b"pubsub"],
            &[b"EXEC"],
        ];
        requests.into_iter().all(|request| self.send(id, Expected::Anything, request))
    }
}
