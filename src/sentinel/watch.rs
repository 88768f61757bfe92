//! The work of each tick: connections that are missing are made, everybody is asked how they are, and whoever does not answer
//! counts as down.

use super::link::Expected;
use super::{Flags, HELLO_CHANNEL, InstanceId, Kind, Level, Order, PENDING_MAX, Role, Sentinel, Stage};
use crate::stream;

/// Which of a link's connections a request goes over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Commands,
    Hellos,
}

impl Sentinel {
    /// One tick; some ten of them make a second.
    pub fn tick(&mut self) {
        self.look_at_clock();
        for primary in self.primaries.clone() {
            self.look_after(primary);
            let watched = self.watched(primary);
            let members: Vec<InstanceId> = watched.replicas.iter().chain(&watched.sentinels).copied().collect();
            members.into_iter().for_each(|id| self.look_after(id));
            if self.watched(primary).failover.stage == Stage::UpdateConfig {
                self.switch_to_promoted(primary);
            }
        }
        self.scripts.tick(self.now, self.periods.script_runtime, &mut self.effects);
    }

    /// How long to wait for the next tick: another while each time, so that sentinels do not go on in step and all ask for
    /// votes at once.
    pub fn pause_ms(&mut self) -> u64 {
        const PER_SECOND: u64 = 10;
        1000 / (PER_SECOND + self.rng.below(PER_SECOND))
    }

    /// Stops acting for a while if time has leapt: nobody's silence means anything then.
    fn look_at_clock(&mut self) {
        let passed = self.now - self.ticked_at;
        if passed < 0 || passed > self.periods.tilt_trigger {
            self.tilt_since = Some(self.now);
            self.effects.event(Level::Warning, "+tilt", "#tilt mode entered".to_owned());
        }
        self.ticked_at = self.now;
    }

    fn look_after(&mut self, id: InstanceId) {
        self.connect(id);
        self.ask(id);
        if let Some(since) = self.tilt_since {
            if self.now - since < self.periods.tilt {
                return;
            }
            self.tilt_since = None;
            self.effects.event(Level::Warning, "-tilt", "#tilt mode exited".to_owned());
        }
        self.judge(id);
        if self.at(id).kind == Kind::Primary {
            self.count_verdicts(id);
            if self.start_failover_if_due(id) {
                self.ask_sentinels(id, true);
            }
            self.carry_failover_on(id);
            self.ask_sentinels(id, false);
        }
    }

    /// Makes the connections that an instance's link lacks.
    fn connect(&mut self, id: InstanceId) {
        let (now, link) = (self.now, self.link_of(id));
        if !link.disconnected || self.at(id).address.port == 0 || now - link.tried_at < self.periods.ping {
            return;
        }
        self.link_mut(id).tried_at = now;
        let listens = self.at(id).kind != Kind::Sentinel;
        if self.link_of(id).commands.is_none() {
            if self.settings.resolve_hostnames {
                // The name may stand for another address by now.
                let (host, port) = (self.at(id).address.host.clone(), self.at(id).address.port);
                if let Ok(address) = self.address(&host, port.into(), false) {
                    self.at_mut(id).address = address;
                }
            }
            let connection = self.open(id);
            self.link_mut(id).commands = Some(connection);
            self.introduce(id, Over::Commands, "cmd");
            self.ping(id);
        }
        if listens && self.link_of(id).hellos.is_none() {
            let connection = self.open(id);
            self.link_mut(id).hellos = Some(connection);
            self.introduce(id, Over::Hellos, "pubsub");
            self.send_over(id, Over::Hellos, None, &[b"SUBSCRIBE", HELLO_CHANNEL]);
        }
        self.link_mut(id).disconnected = false;
    }

    /// Says who we are.
    fn introduce(&mut self, id: InstanceId, over: Over, purpose: &str) {
        let (user, password) = match self.at(id).kind {
            Kind::Sentinel => match &self.settings.auth_pass {
                Some(password) => (self.settings.auth_user.clone(), Some(password.clone())),
                // Sentinels of old share one password.
                None => (None, Some(self.own_password.clone()).filter(|password| !password.is_empty())),
            },
            _ => (self.watched(id).auth_user.clone(), self.watched(id).auth_pass.clone()),
        };
        match (user, password) {
            (Some(user), Some(password)) => {
                self.send_over(id, over, Some(Expected::Anything), &[b"AUTH", &user, &password]);
            }
            (None, Some(password)) => {
                self.send_over(id, over, Some(Expected::Anything), &[b"AUTH", &password]);
            }
            _ => {}
        }
        let name = format!("sentinel-{:.8}-{purpose}", self.id);
        self.send_over(id, over, Some(Expected::Anything), &[b"CLIENT", b"SETNAME", name.as_bytes()]);
    }

    /// Sends a request to an instance. False if there is no connection.
    pub(super) fn send(&mut self, id: InstanceId, expected: Expected, words: &[&[u8]]) -> bool {
        self.send_over(id, Over::Commands, Some(expected), words)
    }

    fn send_over(&mut self, id: InstanceId, over: Over, expected: Option<Expected>, words: &[&[u8]]) -> bool {
        let command = self.watched(id).renames.get(&words[0].to_ascii_lowercase()).cloned();
        let link = self.link_mut(id);
        let connection = match over {
            Over::Commands => &mut link.commands,
            Over::Hellos => &mut link.hellos,
        };
        let Some(connection) = connection else { return false };
        connection.pending.extend(expected.map(|expected| (id, expected)));
        let connection = connection.id;
        let mut words = words.to_vec();
        if let Some(command) = &command {
            words[0] = command;
        }
        let mut request = Vec::new();
        stream::encode(&mut request, words.iter().copied());
        self.effects.orders.push(Order::Send { connection, request });
        true
    }

    fn ping(&mut self, id: InstanceId) {
        if self.send(id, Expected::Pong, &[b"PING"]) {
            let now = self.now;
            let link = self.link_mut(id);
            link.ping_sent_at = now;
            if link.unanswered_since == 0 {
                link.unanswered_since = now;
            }
        }
    }

    /// Asks what is due to be asked.
    fn ask(&mut self, id: InstanceId) {
        let (now, instance, link) = (self.now, self.at(id), self.link_of(id));
        if link.disconnected || link.pending() >= PENDING_MAX * link.users {
            return;
        }
        // A replica may be needed soon, or be turned into a primary by somebody else.
        let is_tense = instance.kind == Kind::Replica
            && (self.at(instance.primary).flags.has(Flags::O_DOWN | Flags::FAILOVER) || instance.replica.link_down_ms != 0);
        let info_period = if is_tense { 1000 } else { self.periods.info };
        let ping_period = instance.down_after.min(self.periods.ping);
        let info_due = instance.kind != Kind::Sentinel && (instance.info_at == 0 || now - instance.info_at > info_period);
        let ping_due = now - link.pong_at > ping_period && now - link.ping_sent_at > ping_period / 2;
        let hello_due = now - instance.hello_sent_at > self.periods.publish;
        if info_due {
            self.send(id, Expected::Info, &[b"INFO"]);
        }
        if ping_due {
            self.ping(id);
        }
        if hello_due {
            self.send_hello(id);
        }
    }

    /// Gives up connections that are silent, and decides whether the instance is down.
    fn judge(&mut self, id: InstanceId) {
        let (now, instance, link) = (self.now, self.at(id), self.link_of(id));
        let silence = match link.unanswered_since {
            0 if link.disconnected => now - link.good_pong_at,
            0 => 0,
            since => now - since,
        };
        let is_old = |since: i64| now - since > self.periods.reconnect_min;
        let half = instance.down_after / 2;
        let commands = link.commands.as_ref().filter(|connection| is_old(connection.since)).map(|c| c.id);
        let is_mute = link.unanswered_since != 0 && now - link.unanswered_since > half && now - link.pong_at > half;
        let hellos = link.hellos.as_ref().filter(|connection| is_old(connection.since)).map(|c| c.id);
        let is_lonely = now - link.hello_heard_at > self.periods.publish * 3;
        let reboot = self.watched(id);
        let is_down = silence > instance.down_after
            || instance.kind == Kind::Primary
                && (instance.role == Some(Role::Replica)
                    && now - instance.role_since > instance.down_after + self.periods.info * 2
                    || instance.flags.has(Flags::REBOOTED) && now - reboot.reboot_since > reboot.reboot_down_after);
        if let Some(connection) = commands.filter(|_| is_mute) {
            let link = self.link_mut(id);
            (link.commands, link.disconnected) = (None, true);
            self.close(connection);
        }
        if let Some(connection) = hellos.filter(|_| is_lonely) {
            let link = self.link_mut(id);
            (link.hellos, link.disconnected) = (None, true);
            self.close(connection);
        }
        let was_down = self.at(id).flags.has(Flags::S_DOWN);
        if is_down && !was_down {
            self.tell(Level::Warning, "+sdown", id, "");
            let instance = self.at_mut(id);
            instance.s_down_since = now;
            instance.flags.set(Flags::S_DOWN);
        } else if !is_down && was_down {
            self.tell(Level::Warning, "-sdown", id, "");
            self.at_mut(id).flags.clear(Flags::S_DOWN | Flags::SCRIPT_KILL_SENT);
        }
    }

    /// Decides whether enough sentinels miss a primary.
    fn count_verdicts(&mut self, primary: InstanceId) {
        let (watched, flags) = (self.watched(primary), self.at(primary).flags);
        let others = watched.sentinels.iter().filter(|id| self.at(**id).flags.has(Flags::PRIMARY_DOWN)).count();
        let (agree, quorum) = (others + 1, watched.quorum);
        let is_down = flags.has(Flags::S_DOWN) && agree >= quorum as usize;
        if is_down && !flags.has(Flags::O_DOWN) {
            self.tell(Level::Warning, "+odown", primary, &format!(" #quorum {agree}/{quorum}"));
            let now = self.now;
            let instance = self.at_mut(primary);
            instance.flags.set(Flags::O_DOWN);
            instance.o_down_since = now;
        } else if !is_down && flags.has(Flags::O_DOWN) {
            self.tell(Level::Warning, "-odown", primary, "");
            self.at_mut(primary).flags.clear(Flags::O_DOWN);
        }
    }

    /// Asks the other sentinels whether they miss a primary, and for their votes if a failover is under way. `at_once`: whatever
    /// they said lately.
    fn ask_sentinels(&mut self, primary: InstanceId, at_once: bool) {
        let now = self.now;
        for id in self.watched(primary).sentinels.clone() {
            let silence = now - self.at(id).verdict_at;
            if silence > self.periods.ask * 5 {
                let sentinel = self.at_mut(id);
                sentinel.flags.clear(Flags::PRIMARY_DOWN);
                sentinel.leader = None;
            }
            let instance = self.at(primary);
            if !instance.flags.has(Flags::S_DOWN) || self.link_of(id).disconnected || (!at_once && silence < self.periods.ask) {
                continue;
            }
            let (host, port) = (self.announced(&instance.address).to_owned(), instance.address.port.to_string());
            let epoch = self.epoch.to_string();
            let candidate = match self.watched(primary).failover.stage {
                Stage::None => "*".to_owned(),
                _ => self.id.clone(),
            };
            let words: [&[u8]; 6] = [
                b"SENTINEL",
                b"is-master-down-by-addr",
                host.as_bytes(),
                port.as_bytes(),
                epoch.as_bytes(),
                candidate.as_bytes(),
            ];
            self.send(id, Expected::Verdict, &words);
        }
    }
}
