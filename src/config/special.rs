//! Directives whose value is more than one number, word or text: how each is read, printed and
//! rewritten. The rows that use these are in `table.rs`.

use super::Config;
use super::directive::{RewrittenLine, Special, set_integer, set_memory};
use super::text::{error_text, format_memory, parse_integer, parse_integer_leniently, parse_memory, quote};
use super::value::{Master, MemoryOrPercent, NotifyFlags, OutputBufferLimit, SavePoint, ShutdownOn};

const WRONG_NUMBER: &str = "wrong number of arguments";

/// Most addresses that `bind` takes.
const BIND_MAX: usize = 16;

/// Smallest backlog of the write stream, in bytes.
const REPL_BACKLOG_MIN: u64 = 16 << 10;

/// `port`: a number, or `auto` for a free port that the system picks.
pub(super) const PORT: Special = Special {
    get: |config| config.port.to_string(),
    set: |config, args| set_port(&mut config.port, &mut config.port_auto, one(args)?),
    rewrite: |config, default| vec![port_line("port", config.port, config.port_auto, default.port)],
};

/// `tls-port`, likewise.
pub(super) const TLS_PORT: Special = Special {
    get: |config| config.tls_port.to_string(),
    set: |config, args| set_port(&mut config.tls_port, &mut config.tls_port_auto, one(args)?),
    rewrite: |config, default| vec![port_line("tls-port", config.tls_port, config.tls_port_auto, default.tls_port)],
};

fn set_port(port: &mut i64, auto: &mut bool, arg: &[u8]) -> Result<(), String> {
    if arg.eq_ignore_ascii_case(b"auto") {
        (*port, *auto) = (0, true);
        return Ok(());
    }
    set_integer(port, arg, 0, 65_535)?;
    *auto = false;
    Ok(())
}

fn port_line(name: &'static str, port: i64, auto: bool, default: i64) -> RewrittenLine {
    let text = if auto { "auto".to_owned() } else { port.to_string() };
    RewrittenLine::new(name, text, auto || port != default)
}

/// `hz`: values out of range are accepted and moved into it.
pub(super) const HZ: Special = Special {
    get: |config| config.hz.to_string(),
    set: |config, args| {
        set_integer(&mut config.hz, one(args)?, 0, i64::from(i32::MAX))?;
        config.hz = config.hz.clamp(1, 500);
        Ok(())
    },
    rewrite: |config, default| vec![RewrittenLine::new("hz", config.hz.to_string(), config.hz != default.hz)],
};

/// `bind`: any number of addresses, none with `""`.
pub(super) const BIND: Special = Special {
    get: |config| config.bind.join(" "),
    set: |config, args| {
        if args.len() > BIND_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        config.bind = without_lone_empty(args).iter().map(|a| text(a)).collect::<Result<_, _>>()?;
        Ok(())
    },
    rewrite: |config, default| {
        if config.bind == default.bind {
            return Vec::new();
        }
        let addresses = if config.bind.is_empty() { "\"\"".to_owned() } else { config.bind.join(" ") };
        vec![RewrittenLine::new("bind", addresses, true)]
    },
};

/// `save`: pairs of seconds and changes. The file may give it several times; see `file.rs`.
pub(super) const SAVE: Special = Special {
    get: |config| {
        let points = config.save.iter().map(|p| format!("{} {}", p.seconds, p.changes));
        points.collect::<Vec<_>>().join(" ")
    },
    set: |config, args| {
        let invalid = || "Invalid save parameters".to_owned();
        let (pairs, []) = without_lone_empty(args).as_chunks::<2>() else {
            return Err(invalid());
        };
        let mut points = Vec::with_capacity(pairs.len());
        for [seconds, changes] in pairs {
            let seconds = parse_integer_leniently(seconds, 10).filter(|&s| s >= 1);
            let changes = parse_integer_leniently(changes, 10).filter(|&c| c >= 0);
            let (Some(seconds), Some(changes)) = (seconds, changes) else {
                return Err(invalid());
            };
            points.push(SavePoint { seconds, changes: changes.min(i64::from(i32::MAX)) });
        }
        config.save = points;
        Ok(())
    },
    // Always written: without a line the defaults would come back.
    rewrite: |config, _| {
        if config.sentinel_mode {
            return Vec::new();
        }
        if config.save.is_empty() {
            return vec![RewrittenLine::new("save", "\"\"", true)];
        }
        let points = config.save.iter();
        points.map(|p| RewrittenLine::new("save", format!("{} {}", p.seconds, p.changes), true)).collect()
    },
};

/// `dir`: must exist. A relative path starts from the previous value, as with `cd`.
pub(super) const DIR: Special = Special {
    get: |config| absolute_dir(config),
    set: |config, args| {
        let dir = std::path::Path::new(&config.dir).join(text(one(args)?)?);
        let dir = std::fs::canonicalize(dir).map_err(|e| error_text(&e))?;
        if !dir.is_dir() {
            return Err("Not a directory".into());
        }
        let dir = dir.into_os_string().into_string();
        config.dir = dir.map_err(|_| NOT_TEXT.to_owned())?;
        Ok(())
    },
    // Always written: the next start may happen elsewhere.
    rewrite: |config, _| {
        let dir = quote(absolute_dir(config).as_bytes());
        vec![RewrittenLine::new("dir", dir, true)]
    },
};

/// `replicaof`: host and port, or `no one`.
pub(super) const REPLICAOF: Special = Special {
    get: |config| match &config.replicaof {
        Some(master) => format!("{} {}", master.host, master.port),
        None => String::new(),
    },
    set: |config, args| {
        let [host, port] = args else {
            return Err(WRONG_NUMBER.into());
        };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            config.replicaof = None;
            return Ok(());
        }
        let port = parse_integer_leniently(port, 10).and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or("Invalid master port")?;
        config.replicaof = Some(Master { host: text(host)?, port });
        Ok(())
    },
    // In a cluster the bus decides who follows whom.
    rewrite: |config, _| match &config.replicaof {
        Some(master) if !config.cluster_enabled => {
            let address = format!("{} {}", master.host, master.port);
            vec![RewrittenLine::new("replicaof", address, true)]
        }
        _ => Vec::new(),
    },
};

/// `repl-backlog-size`: small sizes are accepted and raised to what a backlog needs.
pub(super) const REPL_BACKLOG_SIZE: Special = Special {
    get: |config| config.repl_backlog_size.to_string(),
    set: |config, args| {
        set_memory(&mut config.repl_backlog_size, one(args)?, 1, i64::MAX as u64)?;
        config.repl_backlog_size = config.repl_backlog_size.max(REPL_BACKLOG_MIN);
        Ok(())
    },
    rewrite: |config, default| {
        let changed = config.repl_backlog_size != default.repl_backlog_size;
        let size = format_memory(config.repl_backlog_size);
        vec![RewrittenLine::new("repl-backlog-size", size, changed)]
    },
};

/// `maxmemory-clients`: a size or a percentage.
pub(super) const MAXMEMORY_CLIENTS: Special = Special {
    get: |config| match config.maxmemory_clients {
        MemoryOrPercent::Bytes(bytes) => bytes.to_string(),
        MemoryOrPercent::Percent(percent) => format!("{percent}%"),
    },
    set: |config, args| {
        let value = one(args)?;
        if let Some(bytes) = parse_memory(value) {
            if bytes > i64::MAX as u64 {
                return Err(format!("argument must be between -100 and {} inclusive", i64::MAX));
            }
            config.maxmemory_clients = MemoryOrPercent::Bytes(bytes);
            return Ok(());
        }
        let percent = value.strip_suffix(b"%").and_then(parse_integer).filter(|&p| p >= 0);
        let percent = percent.ok_or("argument must be a memory or percent value")?;
        if percent > 100 {
            return Err("percentage argument must be less or equal to 100".into());
        }
        config.maxmemory_clients = match percent {
            0 => MemoryOrPercent::Bytes(0),
            percent => MemoryOrPercent::Percent(percent as u8),
        };
        Ok(())
    },
    rewrite: |config, default| {
        let value = match config.maxmemory_clients {
            MemoryOrPercent::Bytes(bytes) => format_memory(bytes),
            MemoryOrPercent::Percent(percent) => format!("{percent}%"),
        };
        let changed = config.maxmemory_clients != default.maxmemory_clients;
        vec![RewrittenLine::new("maxmemory-clients", value, changed)]
    },
};

/// `client-output-buffer-limit`: class, hard limit, soft limit, seconds; again and again.
/// Classes that are not named keep their limits.
pub(super) const CLIENT_OUTPUT_BUFFER_LIMIT: Special = Special {
    get: |config| {
        let limits = &config.client_output_buffer_limit;
        let classes = [("normal", limits.normal), ("slave", limits.replica), ("pubsub", limits.pubsub)];
        classes.map(|(class, l)| format!("{class} {} {} {}", l.hard, l.soft, l.soft_seconds)).join(" ")
    },
    set: |config, args| {
        let (groups, []) = args.as_chunks::<4>() else {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        };
        let mut limits = config.client_output_buffer_limit;
        for [class, hard, soft, soft_seconds] in groups {
            let place = match class.to_ascii_lowercase().as_slice() {
                b"normal" => &mut limits.normal,
                b"slave" | b"replica" => &mut limits.replica,
                b"pubsub" => &mut limits.pubsub,
                _ => {
                    let reason = "Invalid client class specified in buffer limit configuration.";
                    return Err(reason.into());
                }
            };
            let seconds = parse_integer_leniently(soft_seconds, 10);
            let seconds = seconds.filter(|s| (0..=i64::from(i32::MAX)).contains(s));
            *place = match (parse_memory(hard), parse_memory(soft), seconds) {
                (Some(hard), Some(soft), Some(soft_seconds)) => OutputBufferLimit { hard, soft, soft_seconds },
                _ => {
                    let reason = "Error in hard, soft or soft_seconds setting in buffer limit \
                                  configuration.";
                    return Err(reason.into());
                }
            };
        }
        config.client_output_buffer_limit = limits;
        Ok(())
    },
    rewrite: |config, default| {
        let (now, then) = (&config.client_output_buffer_limit, &default.client_output_buffer_limit);
        let classes =
            [("normal", now.normal, then.normal), ("replica", now.replica, then.replica), ("pubsub", now.pubsub, then.pubsub)];
        let lines = classes.map(|(class, limit, default)| {
            let (hard, soft) = (format_memory(limit.hard), format_memory(limit.soft));
            let value = format!("{class} {hard} {soft} {}", limit.soft_seconds);
            RewrittenLine::new("client-output-buffer-limit", value, limit != default)
        });
        lines.to_vec()
    },
};

/// `oom-score-adj-values`: for a master, a replica, a background job.
pub(super) const OOM_SCORE_ADJ_VALUES: Special = Special {
    get: |config| config.oom_score_adj_values.map(|v| v.to_string()).join(" "),
    set: |config, args| {
        let Ok(args) = <&[&[u8]; 3]>::try_from(args) else {
            return Err(WRONG_NUMBER.into());
        };
        let mut values = [0; 3];
        for (value, arg) in values.iter_mut().zip(args) {
            let number = parse_integer_leniently(arg, 10).filter(|v| (-2000..=2000).contains(v));
            *value = number.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        }
        config.oom_score_adj_values = values;
        Ok(())
    },
    rewrite: |config, default| {
        let values = config.oom_score_adj_values;
        let text = values.map(|v| v.to_string()).join(" ");
        let changed = values != default.oom_score_adj_values;
        vec![RewrittenLine::new("oom-score-adj-values", text, changed)]
    },
};

/// `notify-keyspace-events`: letters.
pub(super) const NOTIFY_KEYSPACE_EVENTS: Special = Special {
    get: |config| config.notify_keyspace_events.to_string(),
    set: |config, args| {
        let flags = NotifyFlags::parse(one(args)?);
        config.notify_keyspace_events = flags.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        Ok(())
    },
    rewrite: |config, _| {
        let flags = config.notify_keyspace_events;
        let letters = format!("\"{flags}\"");
        vec![RewrittenLine::new("notify-keyspace-events", letters, !flags.is_empty())]
    },
};

/// `latency-tracking-info-percentiles`: any number of them, none with `""`.
pub(super) const LATENCY_TRACKING_INFO_PERCENTILES: Special = Special {
    get: |config| percentiles(config),
    set: |config, args| {
        let mut percentiles = Vec::new();
        for arg in without_lone_empty(args) {
            let number = std::str::from_utf8(arg).ok().and_then(|arg| arg.parse::<f64>().ok());
            let number = number.filter(|number| !number.is_nan());
            let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
            if !(0.0..=100.0).contains(&number) {
                let reason = "latency-tracking-info-percentiles parameters should sit between \
                              [0.0,100.0]";
                return Err(reason.into());
            }
            percentiles.push(number);
        }
        config.latency_tracking_info_percentiles = percentiles;
        Ok(())
    },
    rewrite: |config, _| {
        let text = match config.latency_tracking_info_percentiles.is_empty() {
            true => "\"\"".to_owned(),
            false => percentiles(config),
        };
        vec![RewrittenLine::new("latency-tracking-info-percentiles", text, true)]
    },
};

/// `shutdown-on-sigint`.
pub(super) const SHUTDOWN_ON_SIGINT: Special = Special {
    get: |config| shutdown_words(config.shutdown_on_sigint),
    set: |config, args| {
        config.shutdown_on_sigint = parse_shutdown(args)?;
        Ok(())
    },
    rewrite: |config, default| {
        let value = config.shutdown_on_sigint;
        let changed = value != default.shutdown_on_sigint;
        vec![RewrittenLine::new("shutdown-on-sigint", shutdown_words(value), changed)]
    },
};

/// `shutdown-on-sigterm`.
pub(super) const SHUTDOWN_ON_SIGTERM: Special = Special {
    get: |config| shutdown_words(config.shutdown_on_sigterm),
    set: |config, args| {
        config.shutdown_on_sigterm = parse_shutdown(args)?;
        Ok(())
    },
    rewrite: |config, default| {
        let value = config.shutdown_on_sigterm;
        let changed = value != default.shutdown_on_sigterm;
        vec![RewrittenLine::new("shutdown-on-sigterm", shutdown_words(value), changed)]
    },
};

/// Why a value is refused that has to be text and is not.
pub(super) const NOT_TEXT: &str = "argument must be UTF-8 text without NUL";

/// The value as text.
pub(super) fn text(value: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(NOT_TEXT.into()),
    }
}

/// The one argument of a directive that takes one.
pub(super) fn one<'a>(args: &[&'a [u8]]) -> Result<&'a [u8], String> {
    match args {
        [value] => Ok(value),
        _ => Err(WRONG_NUMBER.into()),
    }
}

/// Lists are emptied with `""`.
fn without_lone_empty<'a, 'b>(args: &'a [&'b [u8]]) -> &'a [&'b [u8]] {
    if args == [b"".as_slice()] { &[] } else { args }
}

/// The working directory as an absolute path; as given if it has vanished.
fn absolute_dir(config: &Config) -> String {
    let absolute = std::fs::canonicalize(&config.dir).ok();
    let absolute = absolute.and_then(|dir| dir.into_os_string().into_string().ok());
    absolute.unwrap_or_else(|| config.dir.clone())
}

/// Up to six decimals, without trailing zeros.
fn percentiles(config: &Config) -> String {
    let percentiles = config.latency_tracking_info_percentiles.iter();
    let texts = percentiles.map(|p| {
        let text = format!("{p:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn parse_shutdown(args: &[&[u8]]) -> Result<ShutdownOn, String> {
    const WORDS: &str = "argument(s) must be one of the following: default, save, nosave, now, force";
    if args.is_empty() {
        return Err(WORDS.into());
    }
    let mut on = ShutdownOn::default();
    for word in args {
        match word.to_ascii_lowercase().as_slice() {
            b"default" => {}
            b"save" => on.save = true,
            b"nosave" => on.nosave = true,
            b"now" => on.now = true,
            b"force" => on.force = true,
            _ => return Err(WORDS.into()),
        }
    }
    if on.save && on.nosave {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(on)
}

fn shutdown_words(on: ShutdownOn) -> String {
    let words = [(on.save, "save"), (on.nosave, "nosave"), (on.now, "now"), (on.force, "force")];
    let words: Vec<&str> = words.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
    if words.is_empty() { "default".into() } else { words.join(" ") }
}
