//! Reads redis.conf: one directive per line, quotes and escapes, `include`, repeated `save`.
//!
//! A server's configuration is a sequence of texts (file, standard input, command line) read by
//! one `Loader`; later lines win. Lines that need other parts of the server to make sense of
//! them (`user`, `rename-command`, `sentinel`) are collected.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::directive::Flags;
use super::text::{error_text, split_words, trim};
use super::{Config, REDIS_VERSION, SentinelLine, glob, table};

/// Most files that may include one another. A file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 32;

/// Most bytes of a file; what is longer is no configuration.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Directives of old that are accepted with one value and forgotten.
const RETIRED: [&[u8]; 3] = [b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands"];

/// Why a configuration could not be loaded. `Display` is the text for standard error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// A line is wrong.
    Line {
        /// Path of the file, or where else the text came from.
        origin: String,
        /// Number of the line in there, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Each line is fine and the whole is not.
    Whole { reason: String },
    /// A file cannot be read.
    Open { path: PathBuf, reason: String },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***");
        match self {
            Self::Line { origin, line, text, reason } => {
                writeln!(f, "{head}\nReading the configuration file, at line {line}")?;
                writeln!(f, ">>> '{text}'\n{reason}\n(in {origin})")
            }
            Self::Whole { reason } => writeln!(f, "{head}\n{reason}"),
            Self::Open { path, reason } => {
                let path = path.display();
                writeln!(f, "Fatal error, can't open config file '{path}': {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Loads a file on top of the defaults.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let mut loader = Loader::new(Config::default());
    loader.main_file(path)?;
    loader.finish()
}

/// Loads a text on top of the defaults. `origin` says in errors where it came from.
pub fn load_str(text: &str, origin: &str) -> Result<Config, ConfigError> {
    let mut loader = Loader::new(Config::default());
    loader.text(text.as_bytes(), origin)?;
    loader.finish()
}

/// Sets what a text says on top of `config`, which stays as it was if the text is refused.
pub fn apply_str(config: &mut Config, text: &str, origin: &Path) -> Result<(), ConfigError> {
    let mut loader = Loader::new(config.clone());
    loader.text(text.as_bytes(), &origin.display().to_string())?;
    *config = loader.finish()?;
    Ok(())
}

/// Reads one text after the other into a configuration.
pub struct Loader {
    config: Config,
    /// The first `save` of all texts replaces the default; those after it add to it.
    save_seen: bool,
    depth: usize,
}

impl Loader {
    /// Starts from `config`.
    pub fn new(config: Config) -> Self {
        Self { config, save_seen: false, depth: 0 }
    }

    /// Reads the file that CONFIG REWRITE will write to.
    pub fn main_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.config.config_file = Some(absolute);
        self.file(path)
    }

    /// Reads a text. `origin` says in errors where it came from.
    pub fn text(&mut self, text: &[u8], origin: &str) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&c| c == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.line(line, index + 1).map_err(|refusal| match refusal {
                Refusal::Inside(error) => error,
                Refusal::Reason(reason) => ConfigError::Line {
                    origin: origin.to_owned(),
                    line: index + 1,
                    text: String::from_utf8_lossy(line).into_owned(),
                    reason,
                },
            })?;
        }
        Ok(())
    }

    /// Checks what only the whole can tell and hands the configuration out.
    pub fn finish(mut self) -> Result<Config, ConfigError> {
        if self.config.cluster_enabled {
            if self.config.replicaof.is_some() {
                let reason = "replicaof directive not allowed in cluster mode".to_owned();
                return Err(ConfigError::Whole { reason });
            }
            // A cluster has database 0 only.
            self.config.databases = 1;
        }
        Ok(self.config)
    }

    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let failed = |reason| ConfigError::Open { path: path.to_owned(), reason };
        let text = read(path).map_err(|error| failed(error_text(&error)))?;
        self.text(&text, &path.display().to_string())
    }

    fn line(&mut self, line: &[u8], number: usize) -> Result<(), Refusal> {
        let words = split_words(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, args)) = words.split_first() else {
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        if let Some(directive) = table::find(&name) {
            return Ok(self.directive(directive, args)?);
        }
        match (name.as_slice(), args) {
            (retired, [_]) if RETIRED.contains(&retired) => {}
            (b"include", [path]) => self.include(path)?,
            (b"rename-command", [from, to]) => {
                self.config.rename_commands.push((from.clone(), to.clone()));
            }
            (b"user", [name, ..]) if self.config.users.iter().any(|user| user[0] == *name) => {
                let name = String::from_utf8_lossy(name);
                let reason = "Duplicate user found. A user can only be defined once in config files";
                return Err(Refusal::Reason(format!("Error in user declaration '{name}': {reason}")));
            }
            (b"user", [_, ..]) => self.config.users.push(args.to_vec()),
            (b"loadmodule", [_, ..]) => {
                return Err("Modules can't be loaded: this server has no module API".into());
            }
            // The bare word comes from the command line, where it has done its work already.
            (b"sentinel", []) => {}
            (b"sentinel", _) if self.config.sentinel_mode => {
                let (args, text) = (args.to_vec(), line.to_vec());
                self.config.sentinel.push(SentinelLine { args, line: number, text, optional: false });
            }
            (b"sentinel", _) => {
                return Err("sentinel directive while not in sentinel mode".into());
            }
            (module, [_, ..]) if module.contains(&b'.') => {
                return Err("Settings of modules are not known: this server has no module API".into());
            }
            _ => return Err("Bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }

    fn directive(&mut self, directive: &super::Directive, words: &[Vec<u8>]) -> Result<(), String> {
        let multi = directive.flags.contains(Flags::MULTI_ARG);
        if !multi && words.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        // `save "900 1"`: one word may hold all of them.
        let inner = match words {
            [word] if multi && !word.is_empty() => split_words(word).ok_or("Unbalanced quotes in configuration line")?,
            _ => words.to_vec(),
        };
        let args: Vec<&[u8]> = inner.iter().map(Vec::as_slice).collect();
        let points_before = self.config.save.clone();
        directive.set(&mut self.config, &args)?;
        if directive.name == "save" {
            let adds = self.save_seen && !self.config.save.is_empty();
            if adds {
                self.config.save.splice(0..0, points_before);
            }
            self.save_seen = true;
        }
        Ok(())
    }

    /// A path without wildcards must exist; with wildcards, no match is fine. So a directory for
    /// additions may be empty.
    fn include(&mut self, path: &[u8]) -> Result<(), Refusal> {
        if self.depth == INCLUDE_DEPTH_MAX {
            return Err("Too many nested include directives".into());
        }
        let path = self.config.path(super::special::text(path)?);
        self.depth += 1;
        let wild = glob::is_pattern(path.as_os_str().as_encoded_bytes());
        let files = if wild { expand(&path) } else { vec![path] };
        for file in files {
            self.file(&file).map_err(Refusal::Inside)?;
        }
        self.depth -= 1;
        Ok(())
    }
}

/// Why a line was refused: for a reason of its own, or because of one in an included file.
enum Refusal {
    Reason(String),
    Inside(ConfigError),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.to_owned())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("File too large"));
    }
    Ok(text)
}

/// The existing paths that fit a pattern, sorted. Names that begin with a dot must be asked for.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let wanted = part.as_os_str().as_encoded_bytes();
        if !glob::is_pattern(wanted) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for directory in &found {
            let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            for entry in std::fs::read_dir(here).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let bytes = name.as_encoded_bytes();
                let visible = bytes.first() != Some(&b'.') || wanted.first() == Some(&b'.');
                if visible && glob::matches(wanted, bytes, false) {
                    next.push(directory.join(&name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Config {
        load_str(text, "test").unwrap_or_else(|error| panic!("{error}"))
    }

    fn reason(text: &str) -> (usize, String) {
        match load_str(text, "test") {
            Err(ConfigError::Line { line, reason, .. }) => (line, reason),
            other => panic!("{other:?}"),
        }
    }

    fn shown(config: &Config, name: &str) -> String {
        let values = config.get(&[name.as_bytes()]);
        String::from_utf8(values[0].1.clone()).unwrap()
    }

    #[test]
    fn names_quotes_units_and_aliases() {
        let config = load(
            "# a comment\r\n\n  PORT 7000\r\nMaxMemory 2gb\nlogfile ''\nslave-priority 7\n\
             requirepass \"a\\x41 b\"\nunixsocketperm 770\nappendfsync ALWAYS\n\
             client-output-buffer-limit replica 1mb 2mb 3\nbind 127.0.0.1 -::1\n\
             oom-score-adj relative\nmaxmemory-clients 5%\nhz 9999\nnotify-keyspace-events KEA\n\
             lua-replicate-commands yes\nlist-max-ziplist-entries 512\n\
             latency-tracking-info-percentiles \"50 99.5\"\nshutdown-on-sigterm nosave now\n",
        );
        assert_eq!(config.port, 7000);
        assert_eq!(config.maxmemory, 2 << 30);
        assert_eq!(config.replica_priority, 7);
        assert_eq!(config.requirepass, b"aA b");
        assert_eq!(config.unixsocketperm, 0o770);
        assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
        assert_eq!(config.hz, 500);
        for (name, value) in [
            ("unixsocketperm", "770"),
            ("appendfsync", "always"),
            ("client-output-buffer-limit", "normal 0 0 0 slave 1048576 2097152 3 pubsub 33554432 8388608 60"),
            ("oom-score-adj", "yes"),
            ("maxmemory-clients", "5%"),
            ("notify-keyspace-events", "AKE"),
            ("latency-tracking-info-percentiles", "50 99.5"),
            ("shutdown-on-sigterm", "nosave now"),
            ("bind", "127.0.0.1 -::1"),
        ] {
            assert_eq!(shown(&config, name), value, "{name}");
        }
    }

    #[test]
    fn save_replaces_once_and_then_adds() {
        let save = |text: &str| shown(&load(text), "save");
        assert_eq!(save(""), "3600 1 300 100 60 10000");
        assert_eq!(save("save 100 100"), "100 100");
        assert_eq!(save("save 900 1\nsave 100 100"), "900 1 100 100");
        assert_eq!(save("save 900 1 300 10"), "900 1 300 10");
        assert_eq!(save("save \"900 1\""), "900 1");
        assert_eq!(save("save 900 1\nsave \"\""), "");
        assert_eq!(save("save ''\nsave 5 6"), "5 6");
        assert_eq!(save("save"), "");
    }

    #[test]
    fn a_refused_text_changes_nothing() {
        let mut config = Config::default();
        apply_str(&mut config, "timeout 5\nsave", Path::new("test")).unwrap();
        assert!(config.timeout == 5 && config.save.is_empty());
        assert!(apply_str(&mut config, "timeout 6\nhz x", Path::new("test")).is_err());
        assert_eq!(config.timeout, 5);
    }

    #[test]
    fn lines_for_others_are_collected() {
        let config = load(
            "rename-command FLUSHALL \"\"\nrename-command get fetch\nuser alice on +@all ~*\n\
             user bob off\nreplicaof 10.0.0.1 6380",
        );
        assert_eq!(config.rename_commands.len(), 2);
        assert_eq!(config.rename_commands[0], (b"FLUSHALL".to_vec(), Vec::new()));
        assert_eq!(config.users[0], [&b"alice"[..], b"on", b"+@all", b"~*"]);
        assert_eq!(config.users.len(), 2);
        assert_eq!(shown(&config, "slaveof"), "10.0.0.1 6380");
        assert_eq!(load("replicaof 10.0.0.1 6380\nslaveof NO ONE").replicaof, None);
    }

    #[test]
    fn sentinel_lines_need_sentinel_mode() {
        let text = "sentinel monitor m 127.0.0.1 6379 2";
        assert_eq!(reason(text).1, "sentinel directive while not in sentinel mode");
        let mut loader = Loader::new(Config::for_sentinel());
        loader.text(text.as_bytes(), "test").unwrap();
        let config = loader.finish().unwrap();
        assert_eq!(config.sentinel[0].args[0], b"monitor");
        assert_eq!((config.port, config.protected_mode), (26_379, false));
    }

    #[test]
    fn refusals_name_the_line() {
        for (text, line, expected) in [
            ("port 1\nport abc", 2, "argument couldn't be parsed into an integer"),
            ("port", 1, "wrong number of arguments"),
            ("port 1 2", 1, "wrong number of arguments"),
            ("nosuch 1", 1, "Bad directive or wrong number of arguments"),
            ("rename-command x", 1, "Bad directive or wrong number of arguments"),
            ("logfile \"x", 1, "Unbalanced quotes in configuration line"),
            ("save 1", 1, "Invalid save parameters"),
            ("replicaof h abc", 1, "Invalid master port"),
            ("unixsocketperm 888", 1, "argument couldn't be parsed as an octal number"),
            ("unixsocketperm 7777", 1, "argument must be between 0 and 777 inclusive"),
            ("appendonly maybe", 1, "argument must be 'yes' or 'no'"),
            ("dir /no/such/place", 1, "No such file or directory"),
            ("dbfilename a/b", 1, "dbfilename can't be a path, just a filename"),
        ] {
            assert_eq!(reason(text), (line, expected.to_owned()), "{text}");
        }
        assert!(reason("loadmodule /x.so").1.contains("no module API"));
        assert!(matches!(load_str("cluster-enabled yes\nreplicaof h 1", "test"), Err(ConfigError::Whole { .. })));
        let text = load_str("x y", "/etc/redis.conf").unwrap_err().to_string();
        assert_eq!(
            text,
            "\n*** FATAL CONFIG FILE ERROR (Redis 8.0.0) ***\n\
             Reading the configuration file, at line 1\n>>> 'x y'\n\
             Bad directive or wrong number of arguments\n(in /etc/redis.conf)\n"
        );
    }

    #[test]
    fn includes() {
        let dir = std::env::temp_dir().join(format!("redstart-include-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("conf.d")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        write("conf.d/a.conf", "timeout 1\ntcp-keepalive 1");
        write("conf.d/b.conf", "timeout 2");
        write("conf.d/.hidden.conf", "timeout 3");
        write("bad.conf", "\n\nport x");
        write("self.conf", "include self.conf");
        let inside = |text: &str| load_str(&format!("dir {}\n{text}", dir.display()), "test");

        let config = inside("include conf.d/*.conf\ninclude none/*.conf").unwrap();
        assert_eq!((config.timeout, config.tcp_keepalive), (2, 1));
        let Err(ConfigError::Line { origin, line, .. }) = inside("include bad.conf") else {
            panic!();
        };
        assert!(origin.ends_with("bad.conf") && line == 3);
        assert!(matches!(inside("include nosuch.conf"), Err(ConfigError::Open { .. })));
        let Err(ConfigError::Line { reason, .. }) = inside("include self.conf") else {
            panic!();
        };
        assert_eq!(reason, "Too many nested include directives");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
