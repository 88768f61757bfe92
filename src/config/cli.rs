//! The command line of redis-server: `[file] [--name value…]… [-]`.
//!
//! Options become lines of configuration that are read after the file and standard input, so
//! every directive is an option and there is one parser for both. clap writes the help; it does
//! not parse, because no option parser has this grammar: one argument may hold a name and its
//! values, values may begin with dashes, and `--save` may come without any.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::file::{ConfigError, Loader};
use super::text::{error_text, quote, split_words};
use super::{Config, REDIS_VERSION};

/// What the process was started to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Serve.
    Run(Options),
    /// Load the configuration, report what is wrong with it, and end.
    CheckConfig(Options),
    /// Print `version_text` and end.
    Version,
    /// Print `help_text` to standard error and end with status 1, as redis-server does.
    Help,
    /// Test so many megabytes of memory. `None`: the number is missing.
    TestMemory(Option<u64>),
    /// Look at the settings of the system and say which should differ.
    CheckSystem,
    /// Check an RDB file: the arguments that follow.
    CheckRdb(Vec<OsString>),
    /// Check an append-only file: the arguments that follow.
    CheckAof(Vec<OsString>),
}

/// Which program of the family this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A data server.
    Server,
    /// A Sentinel.
    Sentinel,
    /// `redis-check-rdb`.
    CheckRdb,
    /// `redis-check-aof`.
    CheckAof,
}

/// Where the configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Run as Sentinel.
    pub sentinel: bool,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// More configuration is on standard input.
    pub stdin: bool,
    /// Lines made of the arguments.
    pub lines: Vec<u8>,
}

impl Options {
    /// Reads file, standard input and arguments, in this order; later lines win.
    pub fn load(&self, stdin: impl Read) -> Result<Config, ConfigError> {
        let start = if self.sentinel { Config::for_sentinel() } else { Config::default() };
        let mut loader = Loader::new(start);
        if let Some(file) = &self.file {
            loader.main_file(file)?;
        }
        if self.stdin {
            let mut text = Vec::new();
            let mut stdin = stdin;
            stdin
                .read_to_end(&mut text)
                .map_err(|error| ConfigError::Open { path: "standard input".into(), reason: error_text(&error) })?;
            loader.text(&text, "standard input")?;
        }
        loader.text(&self.lines, "arguments")?;
        loader.finish()
    }
}

/// Reads the arguments of the process, the name of the program first.
pub fn parse(args: &[OsString]) -> Command {
    let (mode, args) = mode(args);
    let first = args.first().map_or(&b""[..], |arg| arg.as_encoded_bytes());
    match mode {
        Mode::CheckRdb => return Command::CheckRdb(args.to_vec()),
        Mode::CheckAof => return Command::CheckAof(args.to_vec()),
        Mode::Server | Mode::Sentinel => {}
    }
    match first {
        b"-v" | b"--version" => Command::Version,
        b"-h" | b"--help" => Command::Help,
        b"--test-memory" => {
            let megabytes = match args {
                [_, megabytes] => megabytes.to_str().and_then(|text| text.parse().ok()),
                _ => None,
            };
            Command::TestMemory(megabytes)
        }
        b"--check-system" => Command::CheckSystem,
        b"--check-config" => Command::CheckConfig(options(mode, &args[1..])),
        _ => Command::Run(options(mode, args)),
    }
}

/// The mode, by the name the program was called by or by a first argument that names one, and
/// the arguments after that. `redis-server` as first argument helps where an image is told which
/// program to run.
pub fn mode(args: &[OsString]) -> (Mode, &[OsString]) {
    let (program, args) = match args.split_first() {
        Some((program, args)) => (Path::new(program).file_name(), args),
        None => (None, args),
    };
    let program = program.map(|name| name.to_string_lossy()).unwrap_or_default();
    for (part, mode) in [("check-rdb", Mode::CheckRdb), ("check-aof", Mode::CheckAof), ("sentinel", Mode::Sentinel)] {
        if program.contains(part) {
            return (mode, args);
        }
    }
    let named = match args.first().map(|arg| arg.as_encoded_bytes()) {
        Some(b"server" | b"redis-server" | b"valkey-server") => Some(Mode::Server),
        Some(b"sentinel" | b"redis-sentinel" | b"valkey-sentinel") => Some(Mode::Sentinel),
        Some(b"check-rdb" | b"redis-check-rdb" | b"valkey-check-rdb") => Some(Mode::CheckRdb),
        Some(b"check-aof" | b"redis-check-aof" | b"valkey-check-aof") => Some(Mode::CheckAof),
        _ => None,
    };
    match named {
        Some(mode) => (mode, &args[1..]),
        None => (Mode::Server, args),
    }
}

/// Turns arguments into lines of configuration.
fn options(mode: Mode, args: &[OsString]) -> Options {
    let sentinel = mode == Mode::Sentinel || args.iter().any(|arg| arg == "--sentinel");
    let mut options = Options { sentinel, file: None, stdin: false, lines: Vec::new() };
    let mut args = args;
    // Standard input is asked for by the first or the last of all arguments.
    let mut at_start = true;
    if let Some((first, rest)) = args.split_first()
        && first.as_encoded_bytes().first() != Some(&b'-')
        && !first.is_empty()
    {
        options.file = Some(first.into());
        (args, at_start) = (rest, false);
    }
    // Whether the last name has all it needs, so that dashes begin the next one.
    let mut complete = true;
    for (index, arg) in args.iter().enumerate() {
        let arg = arg.as_encoded_bytes();
        let next = args.get(index + 1).map(|next| next.as_encoded_bytes());
        if arg == b"-" && (index == 0 && at_start || next.is_none()) {
            options.stdin = true;
        } else if let Some(name) = arg.strip_prefix(b"--").filter(|_| complete) {
            if !options.lines.is_empty() {
                options.lines.push(b'\n');
            }
            options.lines.extend_from_slice(name);
            options.lines.push(b' ');
            complete = split_words(arg).is_none_or(|words| words.len() != 1);
            // These two may come without a value: then nothing, or another name, follows.
            let alone = next.is_none_or(|next| next.starts_with(b"--"));
            if name.eq_ignore_ascii_case(b"save") && alone {
                options.lines.extend_from_slice(b"\"\"");
                complete = true;
            } else if name.eq_ignore_ascii_case(b"sentinel") && alone {
                complete = true;
            }
        } else {
            options.lines.extend_from_slice(&quote(arg));
            options.lines.push(b' ');
            complete = true;
        }
    }
    options
}

/// The line for `--version`. Tools look for the first number in it, so that is Redis' version.
pub fn version_text() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let bits = usize::BITS;
    format!("Redis server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits={bits} build=0 redstart={own}\n")
}

/// The text for `--help`.
pub fn help_text() -> String {
    use clap::{Arg, ArgAction};
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let command = clap::Command::new("redstart")
        .about("A Redis-compatible in-memory server.")
        .override_usage(
            "redstart [FILE] [--NAME VALUE...]... [-]\n       redstart [FILE] --sentinel\n       \
             redstart check-rdb FILE\n       redstart check-aof FILE",
        )
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("FILE").help("Configuration file, in the format of redis.conf"))
        .arg(Arg::new("-").help("First or last: read more configuration from standard input"))
        .arg(
            Arg::new("NAME")
                .long("NAME")
                .value_name("VALUE")
                .num_args(1..)
                .help("Any setting of the configuration file, for example --port 6380"),
        )
        .arg(flag("sentinel", "Run as Sentinel"))
        .arg(flag("check-config", "Check file and settings, and end"))
        .arg(flag("check-system", "Check the settings of the operating system, and end"))
        .arg(Arg::new("test-memory").long("test-memory").value_name("MEGABYTES").help("Test memory, and end"))
        .arg(flag("version", "Print the version").short('v'))
        .arg(flag("help", "Print this help").short('h'))
        .after_help(
            "Settings from arguments win over standard input, and that wins over the file.\n\
             --port auto takes a free port. Called redis-sentinel, redis-check-rdb or\n\
             redis-check-aof, the program acts as those do.\n\n\
             Examples:\n  redstart\n  redstart /etc/redis/redis.conf --loglevel verbose\n  \
             redstart --port 7777 --replicaof 127.0.0.1 6379\n  \
             echo 'maxmemory 128mb' | redstart -",
        );
    command.clone().render_help().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        std::iter::once("redis-server").chain(args.iter().copied()).map(OsString::from).collect()
    }

    fn run(args: &[&str]) -> Options {
        match parse(&os(args)) {
            Command::Run(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn load(args: &[&str]) -> Config {
        run(args).load(&b""[..]).unwrap_or_else(|error| panic!("{args:?}{error}"))
    }

    fn refused(args: &[&str]) -> (String, String) {
        match run(args).load(&b""[..]) {
            Err(ConfigError::Line { text, reason, .. }) => (text, reason),
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn shown(config: &Config, name: &str) -> String {
        String::from_utf8(config.get(&[name.as_bytes()])[0].1.clone()).unwrap()
    }

    #[test]
    fn one_argument_may_hold_name_and_value() {
        let config = load(&["--requirepass secret", "--save 1 1 ", "--appendonly yes"]);
        assert_eq!(config.requirepass, b"secret");
        assert_eq!(shown(&config, "save"), "1 1");
        assert!(config.appendonly);
        assert_eq!(shown(&load(&["--save 60 1"]), "save"), "60 1");
        let config = load(&["--maxmemory '700mb'", "--proc-title-template --my--title"]);
        assert_eq!(config.maxmemory, 700 << 20);
        assert_eq!(config.proc_title_template, "--my--title");
    }

    #[test]
    fn save_without_value() {
        for args in [
            &["--save", "--loglevel", "verbose"][..],
            &["--loglevel", "verbose", "--save"],
            &["--save", "", "--loglevel", "verbose"],
            &["--loglevel", "verbose", "--save", ""],
            &["--save ''", "--loglevel verbose"],
            &["--proc-title-template", "--save", "--save", "", "--loglevel", "verbose"],
        ] {
            let config = load(args);
            assert_eq!(shown(&config, "save"), "", "{args:?}");
            assert_eq!(shown(&config, "loglevel"), "verbose", "{args:?}");
        }
    }

    #[test]
    fn many_values() {
        let config = load(&[
            "--shutdown-on-sigint",
            "nosave",
            "force",
            "now",
            "--shutdown-on-sigterm",
            "nosave force",
            "--bind",
            "127.0.0.1",
            "::1",
            "--replicaof",
            "h",
            "1",
        ]);
        assert_eq!(shown(&config, "shutdown-on-sigint"), "nosave now force");
        assert_eq!(shown(&config, "shutdown-on-sigterm"), "nosave force");
        assert_eq!(shown(&config, "bind"), "127.0.0.1 ::1");
        assert_eq!(shown(&config, "replicaof"), "h 1");
    }

    #[test]
    fn what_test_runners_pass() {
        let config = load(&[
            "--daemonize",
            "no",
            "--rdbcompression",
            "yes",
            "--rdbchecksum",
            "no",
            "--appendonly",
            "no",
            "--databases",
            "8",
            "--timeout",
            "0",
            "--pidfile",
            "/tmp/x.pid",
            "--unixsocket",
            "/tmp/x.sock",
            "--dbfilename",
            "x.rdb",
            "--logfile",
            "/tmp/x.log",
            "--loglevel",
            "notice",
            "--syslog-enabled",
            "no",
            "--bind",
            "127.0.0.1",
            "--port",
            "22334",
            "--dir",
            "/tmp",
            "--save",
            "60",
            "1",
        ]);
        assert_eq!((config.databases, config.port), (8, 22_334));
        assert_eq!(config.unixsocket, "/tmp/x.sock");
        let config = load(&["--port", "auto", "--save", "", "--bind", "127.0.0.1"]);
        assert!(config.port_auto && config.port == 0 && config.save.is_empty());
        assert_eq!(load(&["redis-server", "--port", "7"]).port, 7);
    }

    #[test]
    fn wrong_arguments_are_shown_as_lines() {
        const NUMBER: &str = "wrong number of arguments";
        const WORDS: &str = "argument(s) must be one of the following";
        for (args, line, start) in [
            (&["--invalid"][..], "invalid", "Bad directive or wrong number of arguments"),
            (&["--port"], "port", NUMBER),
            (&["--port", "6380", "--loglevel"], "loglevel", NUMBER),
            (&["--port", "6379", "6380"], "port \"6379\" \"6380\"", NUMBER),
            (&["--port", "--loglevel", "verbose"], "port \"--loglevel\" \"verbose\"", NUMBER),
            (&["--port", "--bla", "--loglevel", "verbose"], "port \"--bla\"", "argument couldn't"),
            (&["--logfile", "--a--b", "--loglevel", "--bla"], "loglevel \"--bla\"", WORDS),
            (&["--shutdown-on-sigint"], "shutdown-on-sigint", WORDS),
            (&["--replicaof", "--h", "abc"], "replicaof \"--h\" \"abc\"", "Invalid master port"),
            (&["--replicaof", "--h", "--abc"], "replicaof \"--h\"", NUMBER),
        ] {
            let (text, reason) = refused(args);
            assert_eq!(text, line, "{args:?}");
            assert!(reason.starts_with(start), "{args:?}: {reason}");
        }
    }

    #[test]
    fn file_then_input_then_arguments() {
        let path = std::env::temp_dir().join(format!("redstart-cli-{}.conf", std::process::id()));
        std::fs::write(&path, "port 1\ntimeout 1\nhz 1\nsave 900 1\n").unwrap();
        let file = path.to_str().unwrap();
        let options = run(&[file, "--port", "3", "--save", "100 100", "-"]);
        assert!(options.stdin);
        let config = options.load(&b"port 2\ntimeout 2"[..]).unwrap();
        assert_eq!((config.port, config.timeout, config.hz), (3, 2, 1));
        assert_eq!(shown(&config, "save"), "900 1 100 100");
        assert_eq!(config.config_file, Some(path.clone()));
        std::fs::remove_file(&path).unwrap();

        assert_eq!(run(&["-"]).load(&b"maxmemory 128mb"[..]).unwrap().maxmemory, 128 << 20);
        assert!(run(&["-", "--port", "1"]).stdin);
        assert!(!run(&["--logfile", "-", "--port", "1"]).stdin);
    }

    #[test]
    fn modes() {
        let by_name = |name: &str, args: &[&str]| {
            let all: Vec<OsString> = std::iter::once(name).chain(args.iter().copied()).map(OsString::from).collect();
            let (mode, rest) = mode(&all);
            (mode, rest.len())
        };
        assert_eq!(by_name("/usr/bin/redis-server", &["a.conf"]), (Mode::Server, 1));
        assert_eq!(by_name("/usr/bin/redis-sentinel", &["a.conf"]), (Mode::Sentinel, 1));
        assert_eq!(by_name("./redis-check-rdb", &["x"]), (Mode::CheckRdb, 1));
        assert_eq!(by_name("redis-check-aof", &["--fix", "x"]), (Mode::CheckAof, 2));
        assert_eq!(by_name("/sentinel/redstart", &["check-aof", "x"]), (Mode::CheckAof, 1));
        for args in [&["--sentinel"][..], &["--sentinel", "--port", "1"], &["--port 1", "--sentinel"]] {
            assert!(load(args).sentinel_mode, "{args:?}");
        }
        assert_eq!(load(&["--sentinel"]).port, 26_379);
    }

    #[test]
    fn other_commands() {
        assert_eq!(parse(&os(&["-v"])), Command::Version);
        assert_eq!(parse(&os(&["--version"])), Command::Version);
        assert_eq!(parse(&os(&["-h"])), Command::Help);
        assert_eq!(parse(&os(&["--test-memory", "64"])), Command::TestMemory(Some(64)));
        assert_eq!(parse(&os(&["--test-memory"])), Command::TestMemory(None));
        assert_eq!(parse(&os(&["--check-system"])), Command::CheckSystem);
        let Command::CheckConfig(options) = parse(&os(&["--check-config", "x.conf", "--port 1"])) else {
            panic!();
        };
        assert_eq!(options.file, Some("x.conf".into()));
        assert!(version_text().starts_with("Redis server v=8.0.0 "));
        assert!(help_text().contains("--check-config"));
    }
}
