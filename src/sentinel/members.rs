//! Instances come, go and change their addresses.

use super::instance::{Failover, Kind, Reported, Role, Watched};
use super::link::{Connection, LinkId};
use super::{Address, ConnectionId, Flags, Instance, InstanceId, Level, Link, Order, Sentinel};
use crate::ds::algo::glob;
use std::net::IpAddr;

/// Why an instance was not added. `Display` is the text of errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAdded {
    Duplicate(Kind),
    Unresolved,
    Port,
}

impl std::fmt::Display for NotAdded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotAdded::Duplicate(Kind::Primary) => "Duplicate master name.",
            NotAdded::Duplicate(Kind::Replica) => "Duplicate hostname and port for replica.",
            NotAdded::Duplicate(Kind::Sentinel) => "Duplicate runid for sentinel.",
            NotAdded::Unresolved => "Can't resolve instance hostname.",
            NotAdded::Port => "Invalid port number.",
        })
    }
}

impl Sentinel {
    /// The address that a name stands for. Names that are no addresses themselves are looked up only if that is allowed.
    pub fn resolve(&self, host: &str) -> Option<String> {
        match host.parse::<IpAddr>() {
            Ok(ip) => Some(ip.to_string()),
            Err(_) if self.settings.resolve_hostnames => (self.resolve)(host).map(|ip| ip.to_string()),
            Err(_) => None,
        }
    }

    /// An address by its parts. A name that cannot be looked up now may be later, if `unresolved` says that this will do.
    pub(super) fn address(&mut self, host: &str, port: i64, unresolved: bool) -> Result<Address, NotAdded> {
        let port = u16::try_from(port).map_err(|_| NotAdded::Port)?;
        let ip = self.resolve(host);
        if ip.is_none() {
            self.log(Level::Warning, format!("Failed to resolve hostname '{host}'"));
            if !(unresolved && self.settings.resolve_hostnames) {
                return Err(NotAdded::Unresolved);
            }
        }
        Ok(Address { host: host.to_owned(), ip: ip.unwrap_or_default(), port })
    }

    /// True if an address has this host, by what it stands for or, if nobody knows that, by name.
    pub(super) fn has_host(&self, address: &Address, host: &str) -> bool {
        match self.resolve(host) {
            Some(ip) => address.ip.eq_ignore_ascii_case(&ip),
            None if self.settings.resolve_hostnames => address.host.eq_ignore_ascii_case(host),
            None => address.ip.eq_ignore_ascii_case(host),
        }
    }

    /// Watches a primary.
    ///
    /// # Errors
    /// The name is taken, or the address is none.
    pub fn add_primary(&mut self, name: &str, host: &str, port: i64, quorum: u32) -> Result<InstanceId, NotAdded> {
        let address = self.address(host, port, true)?;
        if self.find(name.as_bytes()).is_some() {
            return Err(NotAdded::Duplicate(Kind::Primary));
        }
        let id = InstanceId(self.fresh());
        let watched = Watched::new(quorum, self.periods.failover_timeout);
        let instance = self.instance(Kind::Primary, name.to_owned(), address, id, self.periods.down_after);
        self.instances.insert(id, Instance { watched: Some(Box::new(watched)), ..instance });
        self.primaries.push(id);
        Ok(id)
    }

    /// As above, and tells of it.
    ///
    /// # Errors
    /// As above.
    pub fn monitor(&mut self, name: &str, host: &str, port: i64, quorum: u32) -> Result<(), NotAdded> {
        let primary = self.add_primary(name, host, port, quorum)?;
        self.effects.save = true;
        self.tell_of_monitoring(primary);
        Ok(())
    }

    pub(super) fn add_replica(&mut self, primary: InstanceId, host: &str, port: i64) -> Result<InstanceId, NotAdded> {
        let address = self.address(host, port, true)?;
        let name = address.announced_with_port(self.settings.announce_hostnames);
        if self.watched(primary).replicas.iter().any(|id| self.at(*id).name == name) {
            return Err(NotAdded::Duplicate(Kind::Replica));
        }
        let id = self.add_member(primary, Kind::Replica, name, address);
        self.watched_mut(primary).replicas.push(id);
        Ok(id)
    }

    /// Adds another sentinel. One that is known by way of another primary shares the link.
    pub(super) fn add_sentinel(
        &mut self,
        primary: InstanceId,
        name: &str,
        host: &str,
        port: i64,
    ) -> Result<InstanceId, NotAdded> {
        let address = self.address(host, port, true)?;
        if self.watched(primary).sentinels.iter().any(|id| self.at(*id).name == name) {
            return Err(NotAdded::Duplicate(Kind::Sentinel));
        }
        let id = self.add_member(primary, Kind::Sentinel, name.to_owned(), address);
        self.at_mut(id).run_id = Some(name.to_owned());
        self.watched_mut(primary).sentinels.push(id);
        self.share_link(id);
        Ok(id)
    }

    fn add_member(&mut self, primary: InstanceId, kind: Kind, name: String, address: Address) -> InstanceId {
        let id = InstanceId(self.fresh());
        let down_after = self.at(primary).down_after;
        let instance = self.instance(kind, name, address, primary, down_after);
        self.instances.insert(id, instance);
        id
    }

    fn instance(&mut self, kind: Kind, name: String, address: Address, primary: InstanceId, down_after: i64) -> Instance {
        let (now, link) = (self.now, LinkId(self.fresh()));
        self.links.insert(link, Link::new(now));
        Instance {
            kind,
            flags: Flags::default(),
            name,
            run_id: None,
            address,
            link,
            primary,
            hello_sent_at: now,
            hello_at: now,
            verdict_at: now,
            s_down_since: 0,
            o_down_since: 0,
            down_after,
            info_at: 0,
            info: None,
            role: match kind {
                Kind::Primary => Some(Role::Primary),
                Kind::Replica => Some(Role::Replica),
                Kind::Sentinel => None,
            },
            role_since: now,
            replica: Reported::new(now),
            leader: None,
            leader_epoch: 0,
            watched: None,
        }
    }

    fn share_link(&mut self, id: InstanceId) {
        let own = self.at(id).primary;
        let Some(run_id) = self.at(id).run_id.clone() else { return };
        let others = self.primaries.clone().into_iter().filter(|primary| *primary != own);
        let Some(twin) = others.filter_map(|primary| self.sentinel_of(primary, &run_id)).next() else { return };
        self.release_link(id);
        let link = self.at(twin).link;
        self.at_mut(id).link = link;
        self.link_mut(id).users += 1;
    }

    /// A primary's sentinel by its id.
    pub(super) fn sentinel_of(&self, primary: InstanceId, run_id: &str) -> Option<InstanceId> {
        let known = self.watched(primary).sentinels.iter().copied();
        known.into_iter().find(|id| self.at(*id).run_id.as_deref() == Some(run_id))
    }

    /// An instance gives its link up. To be followed by another link, or by the instance's end.
    fn release_link(&mut self, id: InstanceId) {
        let link = self.at(id).link;
        self.link_mut(id).users -= 1;
        if self.link_of(id).users == 0 {
            self.disconnect(link);
            self.links.remove(&link);
        }
    }

    fn forget(&mut self, id: InstanceId) {
        self.release_link(id);
        self.instances.remove(&id);
    }

    /// Watches a primary no longer.
    pub fn remove(&mut self, primary: InstanceId) {
        self.tell(Level::Warning, "-monitor", primary, "");
        self.forget_replicas(primary);
        self.forget_sentinels(primary);
        self.primaries.retain(|id| *id != primary);
        self.forget(primary);
        self.effects.save = true;
    }

    fn forget_replicas(&mut self, primary: InstanceId) {
        self.watched_mut(primary).failover.promoted = None;
        for id in std::mem::take(&mut self.watched_mut(primary).replicas) {
            self.forget(id);
        }
    }

    fn forget_sentinels(&mut self, primary: InstanceId) {
        for id in std::mem::take(&mut self.watched_mut(primary).sentinels) {
            self.forget(id);
        }
    }

    /// Forgets the sentinel of this id among those of a primary. False if there is none.
    pub(super) fn forget_sentinel(&mut self, primary: InstanceId, run_id: &str) -> bool {
        let mut gone = false;
        while let Some(id) = self.sentinel_of(primary, run_id) {
            self.watched_mut(primary).sentinels.retain(|known| *known != id);
            self.forget(id);
            gone = true;
        }
        gone
    }

    /// Forgets everything about the primaries whose names fit a pattern but how to watch them; their number.
    pub fn reset(&mut self, pattern: &[u8]) -> usize {
        let mut count = 0;
        for primary in self.primaries.clone() {
            if glob::matches(pattern, self.at(primary).name.as_bytes(), false) {
                count += 1;
                self.forget_sentinels(primary);
                self.reset_primary(primary);
                self.tell(Level::Warning, "+reset-master", primary, "");
            }
        }
        count
    }

    /// A primary without replicas and without a failover; the other sentinels stay.
    fn reset_primary(&mut self, primary: InstanceId) {
        self.forget_replicas(primary);
        let link = self.at(primary).link;
        self.disconnect(link);
        let now = self.now;
        self.link_mut(primary).forget_pings(now);
        let instance = self.at_mut(primary);
        instance.flags = Flags::default();
        instance.leader = None;
        instance.run_id = None;
        instance.replica.host = None;
        (instance.role, instance.role_since) = (Some(Role::Primary), now);
        let failover = &mut self.watched_mut(primary).failover;
        *failover = Failover { epoch: failover.epoch, delay_logged: failover.delay_logged, ..Failover::default() };
    }

    /// The primary is another server from now on. The one that it was counts among the replicas.
    pub(super) fn change_address(&mut self, primary: InstanceId, host: &str, port: i64) -> bool {
        let Ok(new) = self.address(host, port, false) else { return false };
        let old = self.at(primary).address.clone();
        let replicas = self.watched(primary).replicas.iter().map(|id| self.at(*id).address.clone());
        let mut replicas: Vec<Address> = replicas.filter(|address| !address.is_same(&new)).collect();
        if !old.is_same(&new) {
            replicas.push(old);
        }
        self.reset_primary(primary);
        let instance = self.at_mut(primary);
        instance.address = new;
        (instance.s_down_since, instance.o_down_since) = (0, 0);
        for address in replicas {
            if let Ok(id) = self.add_replica(primary, &address.host, address.port.into()) {
                self.tell(Level::Notice, "+slave", id, "");
            }
        }
        self.effects.save = true;
        true
    }

    /// The failover is over: the promoted replica is the primary.
    pub(super) fn switch_to_promoted(&mut self, primary: InstanceId) {
        let instance = self.at(primary);
        let promoted = self.watched(primary).failover.promoted.and_then(|id| self.get(id)).unwrap_or(instance);
        let (old, new) = (&instance.address, promoted.address.clone());
        let text = format!("{} {} {} {} {}", instance.name, self.announced(old), old.port, self.announced(&new), new.port);
        self.tell_as(Level::Warning, "+switch-master", primary, text);
        // If nobody knows the name's address just now the next tick tries again.
        self.change_address(primary, &new.host, new.port.into());
    }

    /// Has the administrator's script reconfigure clients: they find the primary elsewhere.
    pub(super) fn run_reconfig_script(&mut self, primary: InstanceId, role: &str, from: &Address, to: &Address) {
        let Some(script) = self.watched(primary).reconfig_script.clone() else { return };
        let name = self.at(primary).name.clone();
        let (from_port, to_port) = (from.port.to_string(), to.port.to_string());
        let words = [&*name, role, "start", self.announced(from), &*from_port, self.announced(to), &*to_port];
        let words = std::iter::once(script).chain(words.iter().map(|word| word.as_bytes().to_vec())).collect();
        self.scripts.schedule(words);
    }

    /// All replicas and sentinels of a primary take over how long it may be silent.
    pub fn set_down_after(&mut self, primary: InstanceId, down_after: i64) {
        let watched = self.watched(primary);
        let members: Vec<InstanceId> = watched.replicas.iter().chain(&watched.sentinels).copied().collect();
        for id in std::iter::once(primary).chain(members) {
            self.at_mut(id).down_after = down_after;
        }
    }

    /// Drops the connections to a primary and its replicas: new ones begin with other credentials.
    pub fn drop_connections(&mut self, primary: InstanceId) {
        let replicas = self.watched(primary).replicas.clone();
        for id in std::iter::once(primary).chain(replicas) {
            let link = self.at(id).link;
            self.disconnect(link);
        }
    }

    /// Drops the connections to all other sentinels, likewise.
    pub fn drop_sentinel_connections(&mut self) {
        let sentinels = self.instances.values().filter(|instance| instance.kind == Kind::Sentinel);
        let links: Vec<LinkId> = sentinels.map(|instance| instance.link).collect();
        links.into_iter().for_each(|link| self.disconnect(link));
    }

    /// A sentinel has told a new address: it holds for all primaries that it watches.
    pub(super) fn spread_sentinel_address(&mut self, id: InstanceId) {
        let Some(run_id) = self.at(id).run_id.clone() else { return };
        let address = self.at(id).address.clone();
        let mut others = 0;
        for primary in self.primaries.clone() {
            let Some(twin) = self.sentinel_of(primary, &run_id) else { continue };
            let link = self.at(twin).link;
            self.disconnect(link);
            if twin != id {
                self.at_mut(twin).address = address.clone();
                others += 1;
            }
        }
        if others > 0 {
            self.tell(Level::Notice, "+sentinel-address-update", id, &format!(" {others} additional matching instances"));
        }
    }

    /// Closes both connections of a link.
    pub(super) fn disconnect(&mut self, link: LinkId) {
        let Some(link) = self.links.get_mut(&link) else { return };
        link.disconnected = true;
        let closed: Vec<ConnectionId> = [link.commands.take(), link.hellos.take()].into_iter().flatten().map(|c| c.id).collect();
        closed.into_iter().for_each(|id| self.close(id));
    }

    /// Has a connection closed that no link names any more.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.effects.orders.push(Order::Close(connection));
    }

    /// Begins a connection for an instance's link.
    pub(super) fn open(&mut self, id: InstanceId) -> Connection {
        let (connection, link) = (ConnectionId(self.fresh()), self.at(id).link);
        let address = &self.at(id).address;
        self.effects.orders.push(Order::Connect { connection, ip: address.ip.clone(), port: address.port });
        self.connections.insert(connection, link);
        Connection::new(connection, self.now)
    }
}
