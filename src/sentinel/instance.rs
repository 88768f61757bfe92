//! What a sentinel knows of one instance: a primary, one of its replicas, or another sentinel that watches the primary.

use super::link::LinkId;
use std::collections::BTreeMap;

/// Names an instance for as long as it is known; never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceId(pub(super) u64);

/// What an instance is to this sentinel, whatever it says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Primary,
    Replica,
    Sentinel,
}

impl Kind {
    /// The word in events and replies.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Primary => "master",
            Kind::Replica => "slave",
            Kind::Sentinel => "sentinel",
        }
    }
}

/// The role that an instance says it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Primary,
    Replica,
}

/// Where an instance is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The name or address that it was given with.
    pub host: String,
    /// The address that the name stands for; empty while it is not known.
    pub ip: String,
    /// 0 for one that cannot be reached.
    pub port: u16,
}

impl Address {
    /// True for the same port at the same address, or under the same name.
    pub fn is_same(&self, other: &Address) -> bool {
        self.port == other.port && (self.ip == other.ip || self.host.eq_ignore_ascii_case(&other.host))
    }

    /// What others are to be told: the name, if names are announced.
    pub fn announced(&self, hostnames: bool) -> &str {
        if hostnames { &self.host } else { &self.ip }
    }

    /// The same with the port, as replicas are called.
    pub fn announced_with_port(&self, hostnames: bool) -> String {
        let host = self.announced(hostnames);
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }
}

/// A set of things that hold of an instance at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u32);

impl Flags {
    /// This sentinel does not reach it.
    pub const S_DOWN: u32 = 1 << 0;
    /// Enough sentinels do not reach it.
    pub const O_DOWN: u32 = 1 << 1;
    /// Of a sentinel: it does not reach the primary.
    pub const PRIMARY_DOWN: u32 = 1 << 2;
    /// Of a primary: another takes its place.
    pub const FAILOVER: u32 = 1 << 3;
    /// Of a replica: it was chosen to take the primary's place.
    pub const PROMOTED: u32 = 1 << 4;
    /// Of a replica: it was told to follow the new primary …
    pub const RECONF_SENT: u32 = 1 << 5;
    /// … it does …
    pub const RECONF_IN_PROGRESS: u32 = 1 << 6;
    /// … and is in step with it.
    pub const RECONF_DONE: u32 = 1 << 7;
    /// Of a primary: the failover was asked for by a client.
    pub const FORCED: u32 = 1 << 8;
    /// It was busy with a script, and told to end that.
    pub const SCRIPT_KILL_SENT: u32 = 1 << 9;
    /// Of a primary: it has started anew and has not answered a PING since.
    pub const REBOOTED: u32 = 1 << 10;

    /// True if any of these bits is set.
    pub fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    pub fn set(&mut self, bits: u32) {
        self.0 |= bits;
    }

    pub fn clear(&mut self, bits: u32) {
        self.0 &= !bits;
    }

    /// The names of what is set, with what the link and the kind add, as SENTINEL MASTER and its like tell them.
    pub fn describe(self, kind: Kind, disconnected: bool) -> String {
        let marks = [
            (self.has(Self::S_DOWN), "s_down"),
            (self.has(Self::O_DOWN), "o_down"),
            (true, kind.name()),
            (disconnected, "disconnected"),
            (self.has(Self::PRIMARY_DOWN), "master_down"),
            (self.has(Self::FAILOVER), "failover_in_progress"),
            (self.has(Self::PROMOTED), "promoted"),
            (self.has(Self::RECONF_SENT), "reconf_sent"),
            (self.has(Self::RECONF_IN_PROGRESS), "reconf_inprog"),
            (self.has(Self::RECONF_DONE), "reconf_done"),
            (self.has(Self::FORCED), "force_failover"),
            (self.has(Self::SCRIPT_KILL_SENT), "script_kill_sent"),
            (self.has(Self::REBOOTED), "master_reboot"),
        ];
        let names: Vec<&str> = marks.iter().filter(|(holds, _)| *holds).map(|(_, name)| *name).collect();
        names.join(",")
    }
}

/// One instance. Times are milliseconds of the clock that the sentinel is given; 0 stands for never.
#[derive(Debug)]
pub struct Instance {
    pub kind: Kind,
    pub flags: Flags,
    /// A primary's name by the configuration, a replica's address, a sentinel's id.
    pub name: String,
    /// The run id that the instance reports, or a sentinel's id.
    pub run_id: Option<String>,
    pub address: Address,
    pub link: LinkId,
    /// The primary that a replica or sentinel belongs to; a primary names itself.
    pub primary: InstanceId,
    /// When a hello was last published through it.
    pub hello_sent_at: i64,
    /// Of a sentinel: when its hello last came.
    pub hello_at: i64,
    /// Of a sentinel: when it last told whether it reaches the primary.
    pub verdict_at: i64,
    pub s_down_since: i64,
    pub o_down_since: i64,
    /// Milliseconds of silence after which it counts as down.
    pub down_after: i64,
    pub info_at: i64,
    /// The last INFO, as it came.
    pub info: Option<Vec<u8>>,
    pub role: Option<Role>,
    pub role_since: i64,
    pub replica: Reported,
    /// For whom it voted: of a primary, this sentinel's own vote about it.
    pub leader: Option<String>,
    pub leader_epoch: u64,
    /// What only a primary has.
    pub watched: Option<Box<Watched>>,
}

/// What a replica reports of itself.
#[derive(Debug)]
pub struct Reported {
    /// Milliseconds since its link to the primary broke; 0 while it has one.
    pub link_down_ms: i64,
    /// The lowest is promoted first; 0 never.
    pub priority: i64,
    /// Clients are told of it.
    pub announced: bool,
    pub host: Option<String>,
    pub port: i64,
    pub link_up: bool,
    pub offset: u64,
    /// When the address that it follows last changed.
    pub changed_at: i64,
    /// When it was told to follow the new primary.
    pub reconf_sent_at: i64,
}

/// Priority of a replica that has not told any.
const PRIORITY: i64 = 100;

impl Reported {
    pub(super) fn new(now: i64) -> Self {
        Reported {
            link_down_ms: 0,
            priority: PRIORITY,
            announced: true,
            host: None,
            port: 0,
            link_up: false,
            offset: 0,
            changed_at: now,
            reconf_sent_at: 0,
        }
    }
}

/// A primary as something to be watched: who else is there, how it is to be treated, and its failover.
#[derive(Debug)]
pub struct Watched {
    /// How new the address is that this sentinel has for it.
    pub config_epoch: u64,
    /// Sentinels that must agree on its being down.
    pub quorum: u32,
    /// Replicas that may turn to a new primary at a time.
    pub parallel_syncs: i64,
    pub failover_timeout: i64,
    /// Milliseconds after which a primary that has started anew counts as down; 0 for not at all.
    pub reboot_down_after: i64,
    pub reboot_since: i64,
    pub auth_user: Option<Vec<u8>>,
    pub auth_pass: Option<Vec<u8>>,
    /// New names of commands at the primary and its replicas, by their names in lower case.
    pub renames: BTreeMap<Vec<u8>, Vec<u8>>,
    pub notification_script: Option<Vec<u8>>,
    pub reconfig_script: Option<Vec<u8>>,
    /// In the order in which they became known.
    pub replicas: Vec<InstanceId>,
    pub sentinels: Vec<InstanceId>,
    pub failover: Failover,
}

/// How many replicas turn to a new primary at a time unless somebody says otherwise.
pub const PARALLEL_SYNCS: i64 = 1;

impl Watched {
    pub(super) fn new(quorum: u32, failover_timeout: i64) -> Self {
        Watched {
            config_epoch: 0,
            quorum,
            parallel_syncs: PARALLEL_SYNCS,
            failover_timeout,
            reboot_down_after: 0,
            reboot_since: 0,
            auth_user: None,
            auth_pass: None,
            renames: BTreeMap::new(),
            notification_script: None,
            reconfig_script: None,
            replicas: Vec::new(),
            sentinels: Vec::new(),
            failover: Failover::default(),
        }
    }
}

/// How far a failover is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stage {
    #[default]
    None,
    /// The sentinels elect who is to do it.
    WaitStart,
    SelectReplica,
    SendReplicaOfNoOne,
    /// The chosen replica was told, and has to report that it is a primary.
    WaitPromotion,
    /// The other replicas are turned to it.
    ReconfReplicas,
    UpdateConfig,
}

impl Stage {
    /// The word in replies.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::None => "none",
            Stage::WaitStart => "wait_start",
            Stage::SelectReplica => "select_slave",
            Stage::SendReplicaOfNoOne => "send_slaveof_noone",
            Stage::WaitPromotion => "wait_promotion",
            Stage::ReconfReplicas => "reconf_slaves",
            Stage::UpdateConfig => "update_config",
        }
    }
}

/// A primary's failover, under way or the last one.
#[derive(Clone, Debug, Default)]
pub struct Failover {
    pub stage: Stage,
    pub epoch: u64,
    pub stage_since: i64,
    /// When the last attempt began, here or by the sentinel that got this one's vote.
    pub started_at: i64,
    /// The `started_at` for which the log has told of the delay.
    pub delay_logged: i64,
    pub promoted: Option<InstanceId>,
}
