//! What comes over connections finds the instance that it is about. Replies for instances that are gone are dropped.

use super::link::Expected;
use super::reply::Reply;
use super::{ConnectionId, Flags, InstanceId, Level, Sentinel};

impl Sentinel {
    /// A connection is established; `here` is our own address on it.
    pub fn connected(&mut self, connection: ConnectionId, here: String) {
        let Some(link) = self.connections.get(&connection).and_then(|link| self.links.get_mut(link)) else { return };
        let both = [&mut link.commands, &mut link.hellos].into_iter().flatten();
        if let Some(connection) = both.into_iter().find(|c| c.id == connection) {
            connection.here = Some(here);
        }
    }

    /// A connection was never established, or has ended.
    pub fn lost(&mut self, connection: ConnectionId) {
        let Some(link) = self.connections.remove(&connection).and_then(|link| self.links.get_mut(&link)) else { return };
        for place in [&mut link.commands, &mut link.hellos] {
            if place.as_ref().is_some_and(|c| c.id == connection) {
                *place = None;
                link.disconnected = true;
            }
        }
    }

    /// A reply, or a message, came over a connection.
    pub fn received(&mut self, connection: ConnectionId, reply: Reply) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Some(hellos) = link.hellos.as_mut().filter(|hellos| hellos.id == connection) {
            if hellos.pending.pop_front().is_some() {
                return;
            }
            if let Reply::Error(_) = reply {
                // It will not let us listen: without that the connection is of no use.
                (link.hellos, link.disconnected) = (None, true);
                return self.close(connection);
            }
            link.hello_heard_at = now;
            return self.heard(&reply);
        }
        let Some(commands) = link.commands.as_mut().filter(|commands| commands.id == connection) else { return };
        match commands.pending.pop_front() {
            Some((instance, expected)) if self.instances.contains_key(&instance) => self.answered(instance, expected, reply),
            Some(_) => {}
            None => {
                // Nobody asked: a refusal of the whole connection, after which the other side hangs up.
                let link = self.links.get_mut(&id);
                if let Some(link) = link {
                    (link.commands, link.disconnected) = (None, true);
                }
                self.close(connection);
            }
        }
    }

    fn answered(&mut self, id: InstanceId, expected: Expected, reply: Reply) {
        match (expected, reply) {
            (Expected::Anything, _) => {}
            (Expected::Pong, reply) => self.ponged(id, &reply),
            (Expected::Info, Reply::Bulk(info)) => self.informed(id, info),
            (Expected::Published, Reply::Error(_)) => {}
            (Expected::Published, _) => self.at_mut(id).hello_sent_at = self.now,
            (Expected::Verdict, Reply::Array(items)) => {
                if let [Reply::Integer(down), Reply::Bulk(leader), Reply::Integer(epoch)] = &items[..] {
                    self.judged(id, *down == 1, leader, *epoch as u64);
                }
            }
            (Expected::Info | Expected::Verdict, _) => {}
        }
    }

    /// A PING was answered.
    fn ponged(&mut self, id: InstanceId, reply: &Reply) {
        let now = self.now;
        if let Reply::Status(text) | Reply::Error(text) = reply {
            let is_well = ["PONG", "LOADING", "MASTERDOWN"].iter().any(|word| text.starts_with(word.as_bytes()));
            let flags = self.at(id).flags;
            if is_well {
                let link = self.link_mut(id);
                (link.good_pong_at, link.unanswered_since) = (now, 0);
                if text.starts_with(b"PONG") {
                    self.at_mut(id).flags.clear(Flags::REBOOTED);
                }
            } else if text.starts_with(b"BUSY") && flags.has(Flags::S_DOWN) && !flags.has(Flags::SCRIPT_KILL_SENT) {
                // A script keeps it from answering.
                self.send(id, Expected::Anything, &[b"SCRIPT", b"KILL"]);
                self.at_mut(id).flags.set(Flags::SCRIPT_KILL_SENT);
            }
        }
        self.link_mut(id).pong_at = now;
    }

    /// Another sentinel told whether it misses the primary, and perhaps for whom it votes.
    fn judged(&mut self, id: InstanceId, down: bool, leader: &[u8], epoch: u64) {
        let now = self.now;
        let sentinel = self.at_mut(id);
        sentinel.verdict_at = now;
        match down {
            true => sentinel.flags.set(Flags::PRIMARY_DOWN),
            false => sentinel.flags.clear(Flags::PRIMARY_DOWN),
        }
        if leader == b"*" {
            return;
        }
        let leader = String::from_utf8_lossy(leader).into_owned();
        let is_news = sentinel.leader_epoch != epoch;
        let text = format!("{} voted for {leader} {epoch}", sentinel.name);
        (sentinel.leader, sentinel.leader_epoch) = (Some(leader), epoch);
        if is_news {
            self.log(Level::Notice, text);
        }
    }
}
