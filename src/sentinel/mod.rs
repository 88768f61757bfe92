//! Sentinel: watches primaries and their replicas together with other sentinels, and puts a replica in a primary's place when
//! enough of them agree that it is gone.
//!
//! All of this room is state without sockets and without a clock: whoever drives it (`engine::sentinel`) says what time it is and
//! what came over which connection, and carries out the `Effects`. So a test can move the clock by hand and see every step.
//! - `instance`, `link`: what is known of the others, and of the connections to them
//! - `watch`: the work of each tick: connecting, PING, INFO, hello, and who is down
//! - `replies`, `info`, `hello`: what others say
//! - `election`, `failover`: who may act, and the steps of it
//! - `members`: instances come, go and change their addresses
//! - `file`: the lines of the configuration file, by which a sentinel remembers all of it
//! - `script`: the administrator's scripts
//!
//! The words on the wire are those of the protocol: master for primary, slave for replica.

mod election;
mod failover;
mod file;
mod hello;
mod info;
mod instance;
mod link;
mod members;
mod replies;
pub mod reply;
pub mod script;
mod watch;

#[cfg(test)]
mod tests;

pub use election::Quorum;
pub use failover::Refused;
pub use file::{BadLine, check, filled};
pub use instance::{Address, Flags, Instance, InstanceId, Kind, Role, Stage, Watched};
pub use link::{ConnectionId, Link};
pub use members::NotAdded;

use crate::clock::Rng;
use crate::config::Config;
use link::LinkId;
use script::{Ended, JobId, Scripts};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The channel by which sentinels find one another.
pub const HELLO_CHANNEL: &[u8] = b"__sentinel__:hello";
/// Characters of a sentinel's id, and of a run id.
pub const ID_LEN: usize = 40;
/// Requests without a reply beyond which nothing more is asked over a link.
const PENDING_MAX: usize = 100;
/// Milliseconds that anything may be set to take: for ever, and yet sums of several of them are numbers.
pub const MILLIS_MAX: i64 = i64::MAX / 64;
/// An attempt begins up to this many milliseconds late, so that sentinels do not all ask for votes at once.
const DESYNC_MAX_MS: u64 = 1000;

/// Finds the address of a host name.
pub type Resolver = fn(&str) -> Option<IpAddr>;

/// A sentinel's state.
pub struct Sentinel {
    /// Its id, for ever.
    pub id: String,
    /// The newest epoch that it has heard of.
    pub epoch: u64,
    pub settings: Settings,
    pub periods: Periods,
    pub failures: Failures,
    pub scripts: Scripts,
    /// When it last found that it cannot trust the clock, while it does not act for that.
    pub tilt_since: Option<i64>,
    ticked_at: i64,
    /// In the order in which they were added.
    primaries: Vec<InstanceId>,
    /// Those that `primaries` and the lists of each primary name, and no others.
    instances: BTreeMap<InstanceId, Instance>,
    /// Those that instances name, and no others.
    links: BTreeMap<LinkId, Link>,
    connections: BTreeMap<ConnectionId, LinkId>,
    next: u64,
    now: i64,
    rng: Rng,
    resolve: Resolver,
    /// What the configuration of the server says about this sentinel as one to connect to.
    own_port: u16,
    own_password: Vec<u8>,
    effects: Effects,
}

/// What is set for all primaries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub announce_ip: Option<Vec<u8>>,
    /// 0 for the port that it listens on.
    pub announce_port: u16,
    pub deny_scripts_reconfig: bool,
    pub auth_user: Option<Vec<u8>>,
    pub auth_pass: Option<Vec<u8>>,
    pub resolve_hostnames: bool,
    pub announce_hostnames: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            announce_ip: None,
            announce_port: 0,
            deny_scripts_reconfig: true,
            auth_user: None,
            auth_pass: None,
            resolve_hostnames: false,
            announce_hostnames: false,
        }
    }
}

/// How long things take, in milliseconds. SENTINEL DEBUG changes them, for tests.
#[derive(Clone, Debug)]
pub struct Periods {
    pub info: i64,
    pub ping: i64,
    pub ask: i64,
    pub publish: i64,
    pub down_after: i64,
    pub failover_timeout: i64,
    /// Between two ticks there must not lie more.
    pub tilt_trigger: i64,
    pub tilt: i64,
    pub reconf_timeout: i64,
    pub reconnect_min: i64,
    pub election: i64,
    pub script_runtime: i64,
    pub script_retry: i64,
}

impl Default for Periods {
    fn default() -> Self {
        Periods {
            info: 10_000,
            ping: 1000,
            ask: 1000,
            publish: 2000,
            down_after: file::DOWN_AFTER,
            failover_timeout: file::FAILOVER_TIMEOUT,
            tilt_trigger: 2000,
            tilt: 30_000,
            reconf_timeout: 10_000,
            reconnect_min: 15_000,
            election: 10_000,
            script_runtime: 60_000,
            script_retry: 30_000,
        }
    }
}

impl Periods {
    /// All of them with their names, in the order of SENTINEL DEBUG.
    pub fn all(&mut self) -> [(&'static str, &mut i64); 13] {
        [
            ("INFO-PERIOD", &mut self.info),
            ("PING-PERIOD", &mut self.ping),
            ("ASK-PERIOD", &mut self.ask),
            ("PUBLISH-PERIOD", &mut self.publish),
            ("DEFAULT-DOWN-AFTER", &mut self.down_after),
            ("DEFAULT-FAILOVER-TIMEOUT", &mut self.failover_timeout),
            ("TILT-TRIGGER", &mut self.tilt_trigger),
            ("TILT-PERIOD", &mut self.tilt),
            ("SLAVE-RECONF-TIMEOUT", &mut self.reconf_timeout),
            ("MIN-LINK-RECONNECT-PERIOD", &mut self.reconnect_min),
            ("ELECTION-TIMEOUT", &mut self.election),
            ("SCRIPT-MAX-RUNTIME", &mut self.script_runtime),
            ("SCRIPT-RETRY-DELAY", &mut self.script_retry),
        ]
    }
}

/// Ends that tests ask for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Failures {
    pub after_election: bool,
    pub after_promotion: bool,
}

impl Failures {
    /// As INFO tells them.
    pub fn bits(self) -> u8 {
        u8::from(self.after_election) | u8::from(self.after_promotion) << 1
    }
}

/// How much an event matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Logged only.
    Debug,
    Verbose,
    Notice,
    /// The administrator's script is run, too.
    Warning,
}

/// Something to log and, if it has a name, to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub level: Level,
    /// The channel; empty for what is logged only.
    pub name: &'static str,
    pub text: String,
}

/// Something to do outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Begin a connection. What is sent meanwhile waits.
    Connect {
        connection: ConnectionId,
        ip: String,
        port: u16,
    },
    Send {
        connection: ConnectionId,
        request: Vec<u8>,
    },
    Close(ConnectionId),
    /// Start a script.
    Run {
        job: JobId,
        words: Vec<Vec<u8>>,
    },
    Kill(JobId),
}

/// What a step leads to. The file is to be written before anything else is done: others may act on what they are told.
#[derive(Debug, Default)]
pub struct Effects {
    pub save: bool,
    pub events: Vec<Event>,
    pub orders: Vec<Order>,
    /// The process is to end at once, as a test asked for it.
    pub crash: bool,
}

impl Effects {
    fn event(&mut self, level: Level, name: &'static str, text: String) {
        self.events.push(Event { level, name, text });
    }

    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.save && self.events.is_empty() && self.orders.is_empty() && !self.crash
    }
}

impl Sentinel {
    /// A sentinel without an id that watches nothing. All of its chances follow from `seed`.
    pub fn new(now: i64, seed: u64, resolve: Resolver) -> Self {
        Sentinel {
            id: String::new(),
            epoch: 0,
            settings: Settings::default(),
            periods: Periods::default(),
            failures: Failures::default(),
            scripts: Scripts::default(),
            tilt_since: None,
            ticked_at: now,
            primaries: Vec::new(),
            instances: BTreeMap::new(),
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            next: 0,
            now,
            rng: Rng::seeded(seed),
            resolve,
            own_port: 0,
            own_password: Vec::new(),
            effects: Effects::default(),
        }
    }

    /// Takes over what the configuration says about where this sentinel listens and what others have to say to it.
    pub fn adopt_config(&mut self, config: &Config) {
        let tls = config.tls_replication && config.tls_port != 0;
        self.own_port = if tls { config.tls_port } else { config.port } as u16;
        if self.own_password != config.requirepass {
            self.own_password.clone_from(&config.requirepass);
        }
    }

    /// Sets the time at which what follows happens.
    pub fn set_now(&mut self, now: i64) {
        self.now = now;
    }

    /// The time of the present step.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// What is to be done since this was last asked.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// The first step of its life: tells which primaries are watched.
    pub fn begin(&mut self) {
        self.ticked_at = self.now;
        self.log(Level::Notice, format!("Sentinel ID is {}", self.id));
        for primary in self.primaries.clone() {
            self.tell_of_monitoring(primary);
        }
    }

    /// The primaries, in the order in which they were added.
    pub fn primaries(&self) -> impl ExactSizeIterator<Item = &Instance> {
        self.primaries.iter().map(|id| self.at(*id))
    }

    /// The primary of this name.
    pub fn find(&self, name: &[u8]) -> Option<InstanceId> {
        self.primaries.iter().copied().find(|id| self.at(*id).name.as_bytes() == name)
    }

    /// An instance that is known by its id at present. The lists and maps here name no others.
    pub fn at(&self, id: InstanceId) -> &Instance {
        &self.instances[&id]
    }

    /// The same, if it is still known.
    pub fn get(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    fn at_mut(&mut self, id: InstanceId) -> &mut Instance {
        self.instances.get_mut(&id).expect("only known instances are named")
    }

    /// The link of an instance.
    pub fn link(&self, instance: &Instance) -> &Link {
        &self.links[&instance.link]
    }

    fn link_of(&self, id: InstanceId) -> &Link {
        self.link(self.at(id))
    }

    fn link_mut(&mut self, id: InstanceId) -> &mut Link {
        let link = self.at(id).link;
        self.links.get_mut(&link).expect("an instance's link is there")
    }

    /// What is set and known about the primary that an instance is or belongs to.
    pub fn watched(&self, id: InstanceId) -> &Watched {
        self.at(self.at(id).primary).watched.as_deref().expect("a primary is watched")
    }

    /// The same, to be changed.
    pub fn watched_mut(&mut self, id: InstanceId) -> &mut Watched {
        let primary = self.at(id).primary;
        self.at_mut(primary).watched.as_deref_mut().expect("a primary is watched")
    }

    /// The address at which a primary's clients find it: that of its successor, as soon as that one is a primary.
    pub fn current_address(&self, primary: InstanceId) -> &Address {
        let (instance, failover) = (self.at(primary), &self.watched(primary).failover);
        match failover.promoted.and_then(|promoted| self.get(promoted)) {
            Some(promoted) if instance.flags.has(Flags::FAILOVER) && failover.stage >= Stage::ReconfReplicas => &promoted.address,
            _ => &instance.address,
        }
    }

    /// The host of an address as others are to be told it.
    pub fn announced<'a>(&self, address: &'a Address) -> &'a str {
        address.announced(self.settings.announce_hostnames)
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// An instance as events name it: kind, name and address, and those of its primary.
    fn describe(&self, id: InstanceId) -> String {
        let place =
            |instance: &Instance| format!("{} {} {}", instance.name, self.announced(&instance.address), instance.address.port);
        let instance = self.at(id);
        match instance.kind {
            Kind::Primary => format!("master {}", place(instance)),
            kind => format!("{} {} @ {}", kind.name(), place(instance), place(self.at(instance.primary))),
        }
    }

    /// An event about an instance, which its text begins with; `more` follows.
    fn tell(&mut self, level: Level, name: &'static str, id: InstanceId, more: &str) {
        let text = self.describe(id) + more;
        self.tell_as(level, name, id, text);
    }

    /// An event about an instance with a text of its own.
    fn tell_as(&mut self, level: Level, name: &'static str, id: InstanceId, text: String) {
        if level == Level::Warning
            && let Some(script) = self.watched(id).notification_script.clone()
        {
            self.scripts.schedule(vec![script, name.into(), text.clone().into_bytes()]);
        }
        self.effects.event(level, name, text);
    }

    fn log(&mut self, level: Level, text: String) {
        self.effects.event(level, "", text);
    }

    /// A client has changed a setting of a primary.
    pub fn tell_of_setting(&mut self, primary: InstanceId, words: &[&[u8]]) {
        let more: String = words.iter().map(|word| format!(" {}", String::from_utf8_lossy(word))).collect();
        self.tell(Level::Warning, "+set", primary, &more);
    }

    /// A script runs as this process.
    pub fn script_started(&mut self, job: JobId, pid: u32) {
        self.scripts.started(job, pid, &mut self.effects);
    }

    /// A script has ended.
    pub fn script_ended(&mut self, job: JobId, how: Ended) {
        self.scripts.ended(job, how, self.now, self.periods.script_retry, &mut self.effects);
    }

    fn tell_of_monitoring(&mut self, primary: InstanceId) {
        let quorum = self.watched(primary).quorum;
        self.tell(Level::Warning, "+monitor", primary, &format!(" quorum {quorum}"));
    }
}
