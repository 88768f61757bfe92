//! The types that values of the configuration have when they are more than a number or a text.
//! Each knows the spelling that redis.conf and CONFIG GET use, so nothing else spells them.

/// Defines enums whose variants have one spelling each in redis.conf.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($variant),+ }

        impl $name {
            /// The accepted words, in the order in which error texts list them.
            pub const NAMES: &'static [&'static str] = &[$($text),+];
            /// The meaning of each word of `NAMES`.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for this value.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    )+};
}

choices! {
    /// `maxmemory-policy`: what to remove when memory is used up.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru",
        VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru",
        AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random",
        Noeviction = "noeviction",
    }
    /// `appendfsync`: when the append-only file is forced to disk.
    AppendFsync { Everysec = "everysec", Always = "always", No = "no" }
    /// `loglevel`, from the most to the least.
    LogLevel {
        Debug = "debug",
        Verbose = "verbose",
        Notice = "notice",
        Warning = "warning",
        Nothing = "nothing",
    }
    /// `syslog-facility`.
    SyslogFacility {
        User = "user",
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7",
    }
    /// `supervised`: who started the server.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    /// `repl-diskless-load`: how a replica takes a full sync.
    ReplDisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", Swapdb = "swapdb" }
    /// `tls-auth-clients`: whether clients must show a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
    /// `acl-pubsub-default`: the channels of a new user.
    AclPubsubDefault { Allchannels = "allchannels", Resetchannels = "resetchannels" }
    /// `sanitize-dump-payload`.
    SanitizeDumpPayload { No = "no", Yes = "yes", Clients = "clients" }
    /// The `enable-…` switches: nobody, everybody, or clients of this machine.
    Protected { No = "no", Yes = "yes", Local = "local" }
    /// `cluster-preferred-endpoint-type`: what redirections name.
    ClusterEndpoint { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }
    /// `propagation-error-behavior`: what a failing replicated command leads to.
    PropagationErrorBehavior {
        Ignore = "ignore",
        Panic = "panic",
        PanicOnReplicas = "panic-on-replicas",
    }
    /// `cluster-config-save-behavior` of Valkey.
    ClusterConfigSave { Sync = "sync", BestEffort = "best-effort" }
    /// `log-format` of Valkey.
    LogFormat { Legacy = "legacy", Logfmt = "logfmt", Json = "json" }
    /// `log-timestamp-format` of Valkey.
    LogTimestampFormat { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds" }
    /// `rdb-version-check` of Valkey.
    RdbVersionCheck { Strict = "strict", Relaxed = "relaxed" }
    /// `tls-auth-clients-user` of Valkey.
    TlsAuthClientsUser { Cn = "CN", Uri = "URI", Off = "off" }
}

impl Protected {
    /// Whether a client may do what the switch guards.
    pub fn allows(self, client_is_local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => client_is_local,
        }
    }
}

/// `oom-score-adj`: whether and how the kernel's out-of-memory score is set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OomScoreAdj {
    /// The score is left alone.
    No,
    /// Values are added to the score that the process started with. Written `yes` or `relative`.
    Relative,
    /// Values are set as they stand.
    Absolute,
}

impl OomScoreAdj {
    /// The accepted words, in the order in which error texts list them.
    pub const NAMES: &'static [&'static str] = &["no", "yes", "relative", "absolute"];
    /// The meaning of each word of `NAMES`: two words mean the same.
    pub const ALL: &'static [Self] = &[Self::No, Self::Relative, Self::Relative, Self::Absolute];

    /// The word for this value; `relative` reads back as `yes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Relative => "yes",
            Self::Absolute => "absolute",
        }
    }
}

/// One pair of `save`: a snapshot is due after `seconds` if there were `changes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavePoint {
    /// Seconds since the last snapshot, at least 1.
    pub seconds: i64,
    /// Changes since then, at least 0.
    pub changes: i64,
}

impl SavePoint {
    /// The save points of a server that was told nothing.
    pub fn defaults() -> Vec<Self> {
        [(3600, 1), (300, 100), (60, 10_000)].map(|(seconds, changes)| Self { seconds, changes }).to_vec()
    }
}

/// The address of a master, from `replicaof`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Master {
    /// Host name or address.
    pub host: String,
    /// Port, 0 to 65535.
    pub port: u16,
}

/// `maxmemory-clients`: a size, or a share of `maxmemory`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryOrPercent {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// Percentage of `maxmemory`, 0 to 100.
    Percent(u8),
}

/// Limits of one class of clients in `client-output-buffer-limit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputBufferLimit {
    /// Bytes at which a client is disconnected at once. 0: no limit.
    pub hard: u64,
    /// Bytes above which a client may stay for `soft_seconds`. 0: no limit.
    pub soft: u64,
    /// Seconds that go with `soft`.
    pub soft_seconds: i64,
}

/// `client-output-buffer-limit` for all classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputBufferLimits {
    /// Ordinary clients, MONITOR included.
    pub normal: OutputBufferLimit,
    /// Replicas. Called `slave` where it is printed.
    pub replica: OutputBufferLimit,
    /// Clients with at least one subscription.
    pub pubsub: OutputBufferLimit,
}

impl Default for OutputBufferLimits {
    fn default() -> Self {
        const MB: u64 = 1 << 20;
        let limit = |hard, soft| OutputBufferLimit { hard, soft, soft_seconds: 60 };
        Self { normal: OutputBufferLimit::default(), replica: limit(256 * MB, 64 * MB), pubsub: limit(32 * MB, 8 * MB) }
    }
}

/// `shutdown-on-sigint` and `shutdown-on-sigterm`: the options of the SHUTDOWN a signal causes.
/// All false is `default`: save if there are save points, wait for replicas, stop on failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownOn {
    /// Save even without save points.
    pub save: bool,
    /// Do not save. Never together with `save`.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Stop even if saving fails.
    pub force: bool,
}

/// A set of event classes, as `notify-keyspace-events` names them: one letter per class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NotifyFlags(u16);

impl NotifyFlags {
    /// `K`: publish on `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: Self = Self(1);
    /// `E`: publish on `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: commands that fit every type, such as DEL and EXPIRE.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`: strings.
    pub const STRING: Self = Self(1 << 3);
    /// `l`: lists.
    pub const LIST: Self = Self(1 << 4);
    /// `s`: sets.
    pub const SET: Self = Self(1 << 5);
    /// `h`: hashes.
    pub const HASH: Self = Self(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: Self = Self(1 << 7);
    /// `x`: a key expired.
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`: a key was evicted.
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`: streams.
    pub const STREAM: Self = Self(1 << 10);
    /// `d`: module types.
    pub const MODULE: Self = Self(1 << 11);
    /// `n`: a key was created.
    pub const NEW: Self = Self(1 << 12);
    /// `m`: a key was looked for in vain.
    pub const KEY_MISS: Self = Self(1 << 13);
    /// `A`: all classes but `n` and `m`, which would be far too frequent.
    pub const ALL: Self = Self(
        Self::GENERIC.0
            | Self::STRING.0
            | Self::LIST.0
            | Self::SET.0
            | Self::HASH.0
            | Self::ZSET.0
            | Self::EXPIRED.0
            | Self::EVICTED.0
            | Self::STREAM.0
            | Self::MODULE.0,
    );

    /// Letters of single classes in the order in which they are printed.
    const LETTERS: [(u8, Self); 14] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'n', Self::NEW),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
    ];

    /// Reads letters; `None` if one is unknown.
    pub fn parse(letters: &[u8]) -> Option<Self> {
        letters.iter().try_fold(Self::default(), |set, &letter| {
            if letter == b'A' {
                return Some(Self(set.0 | Self::ALL.0));
            }
            let (_, class) = Self::LETTERS.iter().find(|(known, _)| *known == letter)?;
            Some(Self(set.0 | class.0))
        })
    }

    /// Whether all classes of `other` are in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether at least one class of `other` is in the set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is published.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for NotifyFlags {
    /// Prints the letters in Redis' order. `A` swallows `n` there, so it does here.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.contains(Self::ALL);
        if all {
            f.write_str("A")?;
        }
        let swallowed = Self(Self::ALL.0 | Self::NEW.0);
        for (letter, class) in Self::LETTERS {
            if self.contains(class) && !(all && swallowed.contains(class)) {
                write!(f, "{}", letter as char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_letters_are_normalised() {
        for (given, printed) in [("KEA", "AKE"), ("KEAnm", "AKEm"), ("g$lshzxetd", "A"), ("nmE", "nEm"), ("Ex", "xE"), ("", "")] {
            let flags = NotifyFlags::parse(given.as_bytes()).unwrap();
            assert_eq!(flags.to_string(), printed, "{given}");
        }
        assert_eq!(NotifyFlags::parse(b"Ko"), None);
    }

    #[test]
    fn each_word_means_the_value_that_prints_it() {
        assert_eq!(MaxmemoryPolicy::NAMES.len(), MaxmemoryPolicy::ALL.len());
        for (name, value) in MaxmemoryPolicy::NAMES.iter().zip(MaxmemoryPolicy::ALL) {
            assert_eq!(value.name(), *name);
        }
        assert_eq!(OomScoreAdj::NAMES.len(), OomScoreAdj::ALL.len());
    }
}
