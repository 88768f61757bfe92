//! The `sentinel` lines of the configuration file. They hold what the administrator wants and what the sentinel has learned: its id,
//! epochs and votes, replicas and other sentinels.

use super::info::leading_number;
use super::instance::PARALLEL_SYNCS;
use super::script::is_executable;
use super::{ID_LEN, InstanceId, MILLIS_MAX, Sentinel};
use crate::config::directive::{parse_yes_no, yes_no};
use crate::config::{Config, ConfigError, SentinelLine};

/// Milliseconds of silence after which an instance is down, unless a line says otherwise.
pub(super) const DOWN_AFTER: i64 = 30_000;
/// Milliseconds that a step of a failover may take, likewise.
pub(super) const FAILOVER_TIMEOUT: i64 = 3 * 60 * 1000;

/// A line that is wrong, by its place in the list, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    pub at: usize,
    pub reason: String,
}

/// Lines that must be read before a primary is named, as they say how to read its address.
const BEFORE_PRIMARIES: &[&[u8]] = &[
    b"announce-ip",
    b"announce-port",
    b"deny-scripts-reconfig",
    b"sentinel-user",
    b"sentinel-pass",
    b"current-epoch",
    b"myid",
    b"resolve-hostnames",
    b"announce-hostnames",
];

const NO_PRIMARY: &str = "No such master with specified name.";

/// Looks whether a sentinel can begin with these lines.
///
/// # Errors
/// The first line that is wrong.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let mut sentinel = Sentinel::new(0, 0, |_| Some(std::net::Ipv4Addr::LOCALHOST.into()));
    sentinel.read(&config.sentinel).map_err(|BadLine { at, reason }| {
        let line = &config.sentinel[at];
        ConfigError::Line {
            origin: config.config_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            line: line.line,
            text: String::from_utf8_lossy(&line.text).into_owned(),
            reason,
        }
    })
}

impl Sentinel {
    /// Takes over the lines of a file, in any order.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn read(&mut self, lines: &[SentinelLine]) -> Result<(), BadLine> {
        let turn = |line: &SentinelLine| {
            let name = line.args.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            match &*name {
                b"monitor" => 1,
                name if BEFORE_PRIMARIES.contains(&name) => 0,
                _ => 2,
            }
        };
        for wanted in 0..=2 {
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| turn(line) == wanted) {
                let words: Vec<&[u8]> = line.args.iter().map(Vec::as_slice).collect();
                self.read_line(&words).map_err(|reason| BadLine { at, reason })?;
            }
        }
        Ok(())
    }

    fn read_line(&mut self, words: &[&[u8]]) -> Result<(), String> {
        let name = words.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        match (&*name, &words[1.min(words.len())..]) {
            (b"monitor", &[name, host, port, quorum]) => {
                let quorum = u32::try_from(leading_number(quorum)).ok().filter(|quorum| *quorum > 0);
                let quorum = quorum.ok_or("Quorum must be 1 or greater.")?;
                let added = self.add_primary(&text(name), &text(host), leading_number(port), quorum);
                added.map(drop).map_err(|error| error.to_string())
            }
            (b"current-epoch", &[epoch]) => {
                self.epoch = self.epoch.max(number(epoch));
                Ok(())
            }
            (b"myid", &[id]) if id.len() == ID_LEN => {
                self.id = text(id);
                Ok(())
            }
            (b"myid", &[_]) => Err("Malformed Sentinel id in myid option.".into()),
            (b"announce-ip", &[ip]) => {
                self.settings.announce_ip = filled(ip);
                Ok(())
            }
            (b"announce-port", &[port]) => {
                self.settings.announce_port = u16::try_from(leading_number(port)).map_err(|_| "Invalid port number.")?;
                Ok(())
            }
            (b"sentinel-user", &[user]) => {
                self.settings.auth_user = filled(user);
                Ok(())
            }
            (b"sentinel-pass", &[password]) => {
                self.settings.auth_pass = filled(password);
                Ok(())
            }
            (b"deny-scripts-reconfig", &[word]) => {
                let refusal = "Please specify yes or no for the deny-scripts-reconfig options.";
                self.settings.deny_scripts_reconfig = parse_yes_no(word).map_err(|_| refusal)?;
                Ok(())
            }
            (b"resolve-hostnames", &[word]) => {
                let refusal = "Please specify yes or no for the resolve-hostnames option.";
                self.settings.resolve_hostnames = parse_yes_no(word).map_err(|_| refusal)?;
                Ok(())
            }
            (b"announce-hostnames", &[word]) => {
                let refusal = "Please specify yes or no for the announce-hostnames option.";
                self.settings.announce_hostnames = parse_yes_no(word).map_err(|_| refusal)?;
                Ok(())
            }
            // The form of old, without an id.
            (b"known-sentinel", &[_, _, _]) => Ok(()),
            (name, &[primary, ref rest @ ..]) if is_about_primary(name, rest.len()) => {
                let primary = self.find(primary).ok_or(NO_PRIMARY)?;
                self.read_about(primary, name, rest)
            }
            _ => Err("Unrecognized sentinel configuration statement.".into()),
        }
    }

    /// A line about one primary.
    fn read_about(&mut self, primary: InstanceId, name: &[u8], words: &[&[u8]]) -> Result<(), String> {
        let positive = |word: &[u8]| match leading_number(word) {
            n if n > 0 => Ok(n.min(MILLIS_MAX)),
            _ => Err("negative or zero time parameter."),
        };
        let watched = self.watched_mut(primary);
        match (name, words) {
            (b"down-after-milliseconds", &[millis]) => self.set_down_after(primary, positive(millis)?),
            (b"failover-timeout", &[millis]) => watched.failover_timeout = positive(millis)?,
            (b"parallel-syncs", &[count]) => watched.parallel_syncs = leading_number(count),
            (b"notification-script", &[path]) => {
                if !is_executable(path) {
                    return Err("Notification script seems non existing or non executable.".into());
                }
                watched.notification_script = Some(path.to_vec());
            }
            (b"client-reconfig-script", &[path]) => {
                if !is_executable(path) {
                    return Err("Client reconfiguration script seems non existing or non executable.".into());
                }
                watched.reconfig_script = Some(path.to_vec());
            }
            (b"auth-pass", &[password]) => watched.auth_pass = Some(password.to_vec()),
            (b"auth-user", &[user]) => watched.auth_user = Some(user.to_vec()),
            (b"config-epoch", &[epoch]) => {
                watched.config_epoch = number(epoch);
                self.epoch = self.epoch.max(number(epoch));
            }
            (b"leader-epoch", &[epoch]) => self.at_mut(primary).leader_epoch = number(epoch),
            (b"master-reboot-down-after-period", &[millis]) => match leading_number(millis) {
                millis if millis < 0 => return Err("negative time parameter.".into()),
                millis => watched.reboot_down_after = millis.min(MILLIS_MAX),
            },
            (b"rename-command", &[old, new]) => {
                if watched.renames.insert(old.to_ascii_lowercase(), new.to_vec()).is_some() {
                    return Err("Same command renamed multiple times with rename-command.".into());
                }
            }
            (b"known-replica" | b"known-slave", &[host, port]) => {
                self.add_replica(primary, &text(host), leading_number(port)).map_err(|error| error.to_string())?;
            }
            (b"known-sentinel", &[host, port, id]) => {
                let added = self.add_sentinel(primary, &text(id), &text(host), leading_number(port));
                added.map_err(|error| error.to_string())?;
            }
            _ => return Err("Unrecognized sentinel configuration statement.".into()),
        }
        Ok(())
    }

    /// The lines of now.
    pub fn lines(&self) -> Vec<SentinelLine> {
        let mut lines = Vec::new();
        let mut add = |words: &[&[u8]]| lines.push(SentinelLine::new(words, false));
        add(&[b"myid", self.id.as_bytes()]);
        let settings = &self.settings;
        let mut lines_of_switches = Vec::new();
        for (name, is_set, default) in [
            ("deny-scripts-reconfig", settings.deny_scripts_reconfig, true),
            ("resolve-hostnames", settings.resolve_hostnames, false),
            ("announce-hostnames", settings.announce_hostnames, false),
        ] {
            lines_of_switches.push(SentinelLine::new(&[name.as_bytes(), yes_no(is_set).as_bytes()], is_set == default));
        }
        lines.append(&mut lines_of_switches);
        for primary in &self.primaries {
            self.lines_of(*primary, &mut lines);
        }
        let mut add = |name: &str, value: &[u8]| lines.push(SentinelLine::new(&[name.as_bytes(), value], false));
        add("current-epoch", self.epoch.to_string().as_bytes());
        if let Some(ip) = &settings.announce_ip {
            add("announce-ip", ip);
        }
        if settings.announce_port != 0 {
            add("announce-port", settings.announce_port.to_string().as_bytes());
        }
        if let Some(user) = &settings.auth_user {
            add("sentinel-user", user);
        }
        if let Some(password) = &settings.auth_pass {
            add("sentinel-pass", password);
        }
        lines
    }

    fn lines_of(&self, primary: InstanceId, lines: &mut Vec<SentinelLine>) {
        let (instance, watched) = (self.at(primary), self.watched(primary));
        let name = instance.name.as_bytes();
        let mut add = |kind: &str, words: &[&[u8]]| {
            let words: Vec<&[u8]> = [kind.as_bytes(), name].into_iter().chain(words.iter().copied()).collect();
            lines.push(SentinelLine::new(&words, false));
        };
        let current = self.current_address(primary);
        let (port, quorum) = (current.port.to_string(), watched.quorum.to_string());
        add("monitor", &[self.announced(current).as_bytes(), port.as_bytes(), quorum.as_bytes()]);
        for (kind, value, default) in [
            ("down-after-milliseconds", instance.down_after, DOWN_AFTER),
            ("failover-timeout", watched.failover_timeout, FAILOVER_TIMEOUT),
            ("parallel-syncs", watched.parallel_syncs, PARALLEL_SYNCS),
        ] {
            if value != default {
                add(kind, &[value.to_string().as_bytes()]);
            }
        }
        for (kind, value) in [
            ("notification-script", &watched.notification_script),
            ("client-reconfig-script", &watched.reconfig_script),
            ("auth-pass", &watched.auth_pass),
            ("auth-user", &watched.auth_user),
        ] {
            if let Some(value) = value {
                add(kind, &[value]);
            }
        }
        if watched.reboot_down_after != 0 {
            add("master-reboot-down-after-period", &[watched.reboot_down_after.to_string().as_bytes()]);
        }
        add("config-epoch", &[watched.config_epoch.to_string().as_bytes()]);
        add("leader-epoch", &[instance.leader_epoch.to_string().as_bytes()]);
        for replica in watched.replicas.iter().map(|id| self.at(*id)) {
            // Once it has the primary's place, the old primary has its.
            let address = if replica.address.is_same(current) { &instance.address } else { &replica.address };
            add("known-replica", &[self.announced(address).as_bytes(), address.port.to_string().as_bytes()]);
        }
        for sentinel in watched.sentinels.iter().map(|id| self.at(*id)) {
            let (address, port) = (&sentinel.address, sentinel.address.port.to_string());
            let id = sentinel.run_id.as_deref().unwrap_or_default();
            add("known-sentinel", &[self.announced(address).as_bytes(), port.as_bytes(), id.as_bytes()]);
        }
        for (old, new) in &watched.renames {
            add("rename-command", &[old, new]);
        }
    }
}

/// True if a line of this name, with so many words behind the primary's name, is about one primary.
fn is_about_primary(name: &[u8], words: usize) -> bool {
    let expected = match name {
        b"rename-command" | b"known-replica" | b"known-slave" => 2,
        b"known-sentinel" => 3,
        b"down-after-milliseconds"
        | b"failover-timeout"
        | b"parallel-syncs"
        | b"notification-script"
        | b"client-reconfig-script"
        | b"auth-pass"
        | b"auth-user"
        | b"config-epoch"
        | b"leader-epoch"
        | b"master-reboot-down-after-period" => 1,
        _ => return false,
    };
    words == expected
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// A word that may be empty, which means that there is none.
pub fn filled(word: &[u8]) -> Option<Vec<u8>> {
    (!word.is_empty()).then(|| word.to_vec())
}

fn number(word: &[u8]) -> u64 {
    str::from_utf8(word).ok().and_then(|word| word.parse().ok()).unwrap_or(0)
}
