//! Hellos: by them sentinels find one another, and the newest address of a primary reaches all of them.
//!
//! A hello has eight fields between commas: the sender's address, port, id and epoch; the primary's name, address, port and
//! the epoch of that address. It is published at primaries and replicas, and sent to other sentinels as if to publish it there.

use super::info::leading_number;
use super::link::Expected;
use super::reply::Reply;
use super::{HELLO_CHANNEL, InstanceId, Level, Sentinel};

impl Sentinel {
    /// Something came over a connection that listens to hellos.
    pub(super) fn heard(&mut self, reply: &Reply) {
        let Reply::Array(items) = reply else { return };
        if let [Reply::Bulk(kind), Reply::Bulk(_), Reply::Bulk(text)] = &items[..]
            && kind == b"message"
            // Ours, too, come back to us.
            && memchr::memmem::find(text, self.id.as_bytes()).is_none()
        {
            self.greeted(text);
        }
    }

    /// A hello came.
    pub fn greeted(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let fields: Vec<&str> = text.split(',').collect();
        let &[host, port, run_id, epoch, name, primary_host, primary_port, config_epoch] = &fields[..] else { return };
        let Some(primary) = self.find(name.as_bytes()) else { return };
        let (port, primary_port) = (leading_number(port.as_bytes()), leading_number(primary_port.as_bytes()));
        let (epoch, config_epoch) = (epoch_of(epoch), epoch_of(config_epoch));
        let sender = self.known_sender(primary, host, port, run_id).or_else(|| self.meet(primary, host, port, run_id));
        if epoch > self.epoch {
            self.epoch = epoch;
            self.effects.save = true;
            self.tell_as(Level::Warning, "+new-epoch", primary, epoch.to_string());
        }
        let Some(sender) = sender else { return };
        if self.watched(primary).config_epoch < config_epoch {
            self.watched_mut(primary).config_epoch = config_epoch;
            self.adopt_address(primary, sender, primary_host, primary_port);
        }
        if let Some(sender) = self.instances.get_mut(&sender) {
            sender.hello_at = self.now;
        }
    }

    fn known_sender(&mut self, primary: InstanceId, host: &str, port: i64, run_id: &str) -> Option<InstanceId> {
        let known = self.sentinel_of(primary, run_id)?;
        let address = self.address(host, port, true).ok()?;
        address.is_same(&self.at(known).address).then_some(known)
    }

    /// A sentinel is new here, or under another address than before.
    fn meet(&mut self, primary: InstanceId, host: &str, port: i64, run_id: &str) -> Option<InstanceId> {
        let moved = self.forget_sentinel(primary, run_id);
        if moved {
            self.tell(Level::Notice, "+sentinel-address-switch", primary, &format!(" ip {host} port {port} for {run_id}"));
        } else if let Ok(address) = self.address(host, port, true) {
            // Whoever was there before has another id now, or is gone.
            let known = self.watched(primary).sentinels.iter().copied();
            if let Some(other) = known.into_iter().find(|id| address.is_same(&self.at(*id).address)) {
                self.tell(Level::Notice, "+sentinel-invalid-addr", other, "");
                let run_id = self.at(other).run_id.clone().unwrap_or_default();
                for primary in self.primaries.clone() {
                    self.forget_sentinel(primary, &run_id);
                }
            }
        }
        let id = self.add_sentinel(primary, run_id, host, port).ok()?;
        if moved {
            self.spread_sentinel_address(id);
        } else {
            self.tell(Level::Notice, "+sentinel", id, "");
        }
        self.effects.save = true;
        Some(id)
    }

    /// Another sentinel has a newer address of a primary.
    fn adopt_address(&mut self, primary: InstanceId, sender: InstanceId, host: &str, port: i64) {
        let old = self.at(primary).address.clone();
        if i64::from(old.port) == port && self.has_host(&old, host) {
            return;
        }
        self.tell(Level::Warning, "+config-update-from", sender, "");
        let text = format!("{} {} {} {host} {port}", self.at(primary).name, self.announced(&old), old.port);
        self.tell_as(Level::Warning, "+switch-master", primary, text);
        self.change_address(primary, host, port);
        let new = self.at(primary).address.clone();
        self.run_reconfig_script(primary, "observer", &old, &new);
    }

    /// Sends a hello to an instance, unless nothing can be sent or our own address is not known yet.
    pub(super) fn send_hello(&mut self, id: InstanceId) {
        let primary = self.at(id).primary;
        let link = self.link_of(id);
        let here = link.commands.as_ref().and_then(|connection| connection.here.clone());
        let announced = self.settings.announce_ip.as_ref().map(|ip| String::from_utf8_lossy(ip).into_owned());
        let Some(ip) = announced.or(here).filter(|_| !link.disconnected) else { return };
        let port = match self.settings.announce_port {
            0 => self.own_port,
            announced => announced,
        };
        let address = self.current_address(primary);
        let hello = format!(
            "{ip},{port},{},{},{},{},{},{}",
            self.id,
            self.epoch,
            self.at(primary).name,
            self.announced(address),
            address.port,
            self.watched(primary).config_epoch
        );
        self.send(id, Expected::Published, &[b"PUBLISH", HELLO_CHANNEL, hello.as_bytes()]);
    }

    /// Has hellos sent with the next tick: there is news.
    pub(super) fn hurry_hellos(&mut self, primary: InstanceId) {
        let earlier = self.periods.publish + 1;
        for instance in self.instances.values_mut().filter(|instance| instance.primary == primary) {
            if instance.hello_sent_at >= earlier {
                instance.hello_sent_at -= earlier;
            }
        }
    }
}

fn epoch_of(text: &str) -> u64 {
    u64::try_from(leading_number(text.as_bytes())).unwrap_or(0)
}
