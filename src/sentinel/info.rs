//! What instances say of themselves in INFO, and what follows from it: replicas are found, roles that nobody gave are taken back, and
//! a failover goes on.

use super::{Flags, ID_LEN, InstanceId, Kind, Level, Role, Sentinel, Stage};

impl Sentinel {
    /// An INFO came.
    pub(super) fn informed(&mut self, id: InstanceId, info: Vec<u8>) {
        let role = self.note_info(id, &info);
        let now = self.now;
        let instance = self.at_mut(id);
        instance.info = Some(info);
        instance.info_at = now;
        if role != instance.role {
            (instance.role, instance.role_since) = (role, now);
            if role == Some(Role::Replica) {
                instance.replica.changed_at = now;
            }
            let fits = match instance.kind {
                Kind::Primary => role == Some(Role::Primary),
                _ => role == Some(Role::Replica),
            };
            let name = if fits { "+role-change" } else { "-role-change" };
            let role = if role == Some(Role::Primary) { "master" } else { "slave" };
            self.tell(Level::Verbose, name, id, &format!(" new reported role is {role}"));
        }
        if self.tilt_since.is_some() || self.at(id).kind != Kind::Replica {
            return;
        }
        match role {
            Some(Role::Primary) => self.replica_became_primary(id),
            Some(Role::Replica) => {
                self.fix_replica(id);
                self.follow_reconfiguration(id);
            }
            None => {}
        }
    }

    /// Takes over what the lines say; the role that the instance reports.
    fn note_info(&mut self, id: InstanceId, info: &[u8]) -> Option<Role> {
        let (now, kind) = (self.now, self.at(id).kind);
        self.at_mut(id).replica.link_down_ms = 0;
        let mut role = None;
        for line in info.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let text = || String::from_utf8_lossy(value).into_owned();
            let replica = &mut self.at_mut(id).replica;
            match name {
                b"run_id" if value.len() >= ID_LEN => self.note_run_id(id, &value[..ID_LEN]),
                b"role" if value.starts_with(b"master") => role = Some(Role::Primary),
                b"role" if value.starts_with(b"slave") => role = Some(Role::Replica),
                b"master_link_down_since_seconds" => replica.link_down_ms = leading_number(value).saturating_mul(1000),
                _ if kind == Kind::Primary && is_replica_line(name) => self.note_replica(id, value),
                _ if role != Some(Role::Replica) => {}
                b"master_host" => {
                    let host = text();
                    if !replica.host.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(&host)) {
                        (replica.host, replica.changed_at) = (Some(host), now);
                    }
                }
                b"master_port" => {
                    let port = leading_number(value);
                    if replica.port != port {
                        (replica.port, replica.changed_at) = (port, now);
                    }
                }
                b"master_link_status" => replica.link_up = value.eq_ignore_ascii_case(b"up"),
                b"slave_priority" => replica.priority = leading_number(value),
                b"slave_repl_offset" => replica.offset = u64::try_from(leading_number(value)).unwrap_or(0),
                b"replica_announced" => replica.announced = leading_number(value) != 0,
                _ => {}
            }
        }
        role
    }

    fn note_run_id(&mut self, id: InstanceId, run_id: &[u8]) {
        let run_id = String::from_utf8_lossy(run_id).into_owned();
        match &self.at(id).run_id {
            Some(known) if *known == run_id => return,
            None => {}
            Some(_) => {
                self.tell(Level::Notice, "+reboot", id, "");
                if self.at(id).kind == Kind::Primary && self.watched(id).reboot_down_after != 0 {
                    self.at_mut(id).flags.set(Flags::REBOOTED);
                    self.watched_mut(id).reboot_since = self.now;
                }
            }
        }
        self.at_mut(id).run_id = Some(run_id);
    }

    /// A primary names a replica: `ip=…,port=…,…`, or `ip,port,…` if it is old.
    fn note_replica(&mut self, primary: InstanceId, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        let mut parts = value.split(',');
        let field = |name: &str| value.split(',').find_map(|part| part.strip_prefix(name));
        let (host, port) = match field("ip=") {
            Some(host) => (Some(host), field("port=")),
            None => (parts.next(), parts.next()),
        };
        let (Some(host), Some(port)) = (host, port) else { return };
        let port = leading_number(port.as_bytes());
        // One that is known already is refused.
        if let Ok(id) = self.add_replica(primary, host, port) {
            self.tell(Level::Notice, "+slave", id, "");
            self.effects.save = true;
        }
    }

    /// True if a primary is known to be well, so that others can be told to follow it.
    fn is_sane(&self, primary: InstanceId) -> bool {
        let instance = self.at(primary);
        instance.role == Some(Role::Primary)
            && !instance.flags.has(Flags::S_DOWN | Flags::O_DOWN)
            && self.now - instance.info_at < self.periods.info * 2
    }

    /// True if an instance has not been down for so long.
    fn was_up_for(&self, id: InstanceId, millis: i64) -> bool {
        let instance = self.at(id);
        let last = instance.s_down_since.max(instance.o_down_since);
        last == 0 || self.now - last > millis
    }

    fn replica_became_primary(&mut self, id: InstanceId) {
        let (instance, primary) = (self.at(id), self.at(id).primary);
        let is_promoted = instance.flags.has(Flags::PROMOTED);
        let awaited = self.at(primary).flags.has(Flags::FAILOVER) && self.watched(primary).failover.stage == Stage::WaitPromotion;
        if is_promoted && awaited {
            return self.promoted(id);
        }
        // Somebody else may have a reason that we shall hear of.
        let patience = self.periods.publish * 4;
        if !is_promoted && self.is_sane(primary) && self.was_up_for(id, patience) && self.now - instance.role_since > patience {
            let address = self.at(primary).address.clone();
            if self.send_replica_of(id, Some(&address)) {
                self.tell(Level::Notice, "+convert-to-slave", id, "");
            }
        }
    }

    /// A replica that follows somebody else is told to follow the primary.
    fn fix_replica(&mut self, id: InstanceId) {
        let (replica, primary) = (&self.at(id).replica, self.at(id).primary);
        let address = self.at(primary).address.clone();
        let follows =
            replica.port == i64::from(address.port) && replica.host.as_ref().is_some_and(|host| self.has_host(&address, host));
        let patience = self.watched(primary).failover_timeout;
        if !follows
            && self.is_sane(primary)
            && self.was_up_for(id, patience)
            && self.now - self.at(id).replica.changed_at > patience
            && self.send_replica_of(id, Some(&address))
        {
            self.tell(Level::Notice, "+fix-slave-config", id, "");
        }
    }

    /// A replica that was told to follow the new primary does so, step by step.
    fn follow_reconfiguration(&mut self, id: InstanceId) {
        let promoted = self.watched(id).failover.promoted.and_then(|promoted| self.get(promoted));
        let replica = &self.at(id).replica;
        let follows = promoted.is_some_and(|promoted| {
            replica.port == i64::from(promoted.address.port)
                && replica.host.as_ref().is_some_and(|host| self.has_host(&promoted.address, host))
        });
        let is_up = replica.link_up;
        if self.at(id).flags.has(Flags::RECONF_SENT) && follows {
            let flags = &mut self.at_mut(id).flags;
            flags.clear(Flags::RECONF_SENT);
            flags.set(Flags::RECONF_IN_PROGRESS);
            self.tell(Level::Notice, "+slave-reconf-inprog", id, "");
        }
        if self.at(id).flags.has(Flags::RECONF_IN_PROGRESS) && is_up {
            let flags = &mut self.at_mut(id).flags;
            flags.clear(Flags::RECONF_IN_PROGRESS);
            flags.set(Flags::RECONF_DONE);
            self.tell(Level::Notice, "+slave-reconf-done", id, "");
        }
    }
}

/// `slave` and a number.
fn is_replica_line(name: &[u8]) -> bool {
    name.strip_prefix(b"slave").is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
}

/// The number that a text begins with; 0 if there is none. What does not fit is at the limit.
pub(super) fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -value } else { value }
}
