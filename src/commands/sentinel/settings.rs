//! Settings: of one master (SENTINEL SET), of all (SENTINEL CONFIG), and how long things take (SENTINEL DEBUG).

use super::{BASE, change, primary, saved, view};
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::config::LogLevel;
use crate::config::directive::{parse_yes_no, yes_no};
use crate::ds::algo::glob;
use crate::resp::number;
use crate::sentinel::script::is_executable;
use crate::sentinel::{InstanceId, MILLIS_MAX, Sentinel};
use crate::world::Order;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SENTINEL|CONFIG",
        arity: Arity::at_least(4),
        since: "6.2.0",
        complexity: "O(N) where N is the number of settings given",
        summary: "Tells or changes settings that hold for all masters.",
        syntax: "<SET parameter value [parameter value ...]|GET parameter [parameter ...]>",
        history: &[("7.2.0", "Takes several parameters.")],
        run: Handler::Server(config),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|DEBUG",
        arity: Arity::at_least(2),
        since: "7.0.0",
        complexity: "O(N) where N is the number of parameters",
        summary: "Tells or changes how long things take.",
        syntax: "[parameter value [parameter value ...]]",
        run: Handler::Server(debug),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|SET",
        arity: Arity::at_least(5),
        summary: "Changes the settings of a master.",
        syntax: "master-name option value [option value ...]",
        run: Handler::Server(set),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const DENIED: CommandError = CommandError::new(
    "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig configuration directive in your Sentinel configuration",
);
const BAD_NOTIFICATION: CommandError = CommandError::new("ERR Notification script seems non existing or non executable");
const BAD_RECONFIG: CommandError = CommandError::new("ERR Client reconfiguration script seems non existing or non executable");
const GET_OR_SET: CommandError = CommandError::new(
    "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> <value> [<param> <value> ...] are supported.",
);

fn set(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let primary = primary(ctx)?;
    let (args, mut at, mut changed) = (ctx.args, 3, false);
    while at < args.len() {
        let rest: Vec<&[u8]> = args.from(at).collect();
        // What came before holds, whatever becomes of the rest.
        match change(ctx, |sentinel| set_option(sentinel, primary, &rest))? {
            Ok(words) => at += words,
            Err(refusal) => {
                if changed {
                    ctx.world.save_sentinel();
                }
                return Err(refusal);
            }
        }
        changed = true;
    }
    saved(ctx)
}

/// Sets the option at the head of `words`; how many words it took.
fn set_option(sentinel: &mut Sentinel, primary: InstanceId, words: &[&[u8]]) -> Result<usize, CommandError> {
    let option = words[0];
    let invalid =
        |value: &[u8]| CommandError::bytes([b"ERR Invalid argument '", value, b"' for SENTINEL SET '", option, b"'"].concat());
    let at_least = |value: &[u8], min: i64| number::parse_i64(value).filter(|n| *n >= min).ok_or_else(|| invalid(value));
    let millis = |value: &[u8], min: i64| at_least(value, min).map(|n| n.min(MILLIS_MAX));
    let filled = |value: &[u8]| (!value.is_empty()).then(|| value.to_vec());
    let denied = sentinel.settings.deny_scripts_reconfig;
    let watched = sentinel.watched_mut(primary);
    let name = option.to_ascii_lowercase();
    match (&*name, &words[1..]) {
        (b"down-after-milliseconds", &[value, ..]) => sentinel.set_down_after(primary, millis(value, 1)?),
        (b"failover-timeout", &[value, ..]) => watched.failover_timeout = millis(value, 1)?,
        (b"parallel-syncs", &[value, ..]) => watched.parallel_syncs = at_least(value, 1)?,
        (b"quorum", &[value, ..]) => watched.quorum = u32::try_from(at_least(value, 1)?).map_err(|_| invalid(value))?,
        (b"master-reboot-down-after-period", &[value, ..]) => watched.reboot_down_after = millis(value, 0)?,
        (b"notification-script" | b"client-reconfig-script", &[_, ..]) if denied => return Err(DENIED),
        (b"notification-script", &[path, ..]) => {
            if !path.is_empty() && !is_executable(path) {
                return Err(BAD_NOTIFICATION);
            }
            watched.notification_script = filled(path);
        }
        (b"client-reconfig-script", &[path, ..]) => {
            if !path.is_empty() && !is_executable(path) {
                return Err(BAD_RECONFIG);
            }
            watched.reconfig_script = filled(path);
        }
        (b"auth-pass", &[password, ..]) => {
            watched.auth_pass = filled(password);
            sentinel.drop_connections(primary);
            // Who listens to events is not to learn it.
            sentinel.tell_of_setting(primary, &[option, b"******"]);
            return Ok(2);
        }
        (b"auth-user", &[user, ..]) => {
            watched.auth_user = filled(user);
            sentinel.drop_connections(primary);
        }
        (b"rename-command", &[old, new, ..]) => {
            if let Some(empty) = [old, new].into_iter().find(|name| name.is_empty()) {
                return Err(invalid(empty));
            }
            watched.renames.remove(&old.to_ascii_lowercase());
            if !old.eq_ignore_ascii_case(new) {
                watched.renames.insert(old.to_ascii_lowercase(), new.to_vec());
            }
            sentinel.tell_of_setting(primary, &words[..3]);
            return Ok(3);
        }
        _ => {
            let text = b"ERR Unknown option or number of arguments for SENTINEL SET '";
            return Err(CommandError::bytes([&text[..], option, b"'"].concat()));
        }
    }
    sentinel.tell_of_setting(primary, &words[..2]);
    Ok(2)
}

fn config(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.is(2, "GET") {
        config_get(ctx)
    } else if ctx.args.is(2, "SET") && ctx.args.len() >= 5 {
        config_set(ctx)
    } else {
        Err(GET_OR_SET)
    }
}

fn config_get(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let settings = view(ctx)?.settings.clone();
    let switch = |is_on: bool| yes_no(is_on).as_bytes().to_vec();
    let all = [
        ("resolve-hostnames", switch(settings.resolve_hostnames)),
        ("announce-hostnames", switch(settings.announce_hostnames)),
        ("announce-ip", settings.announce_ip.unwrap_or_default()),
        ("announce-port", settings.announce_port.to_string().into_bytes()),
        ("sentinel-user", settings.auth_user.unwrap_or_default()),
        ("sentinel-pass", settings.auth_pass.unwrap_or_default()),
        ("loglevel", ctx.world.config.loglevel.name().as_bytes().to_vec()),
    ];
    let mut shown = Vec::new();
    for pattern in ctx.args.from(3) {
        for (at, (name, _)) in all.iter().enumerate() {
            if glob::matches(pattern, name.as_bytes(), true) && !shown.contains(&at) {
                shown.push(at);
            }
        }
    }
    ctx.reply.map(shown.len());
    for at in shown {
        ctx.reply.bulk(all[at].0.as_bytes());
        ctx.reply.bulk(&all[at].1);
    }
    Ok(Flow::Done)
}

/// A setting for all masters, checked.
enum Setting {
    ResolveHostnames(bool),
    AnnounceHostnames(bool),
    AnnounceIp(Option<Vec<u8>>),
    AnnouncePort(u16),
    User(Option<Vec<u8>>),
    Password(Option<Vec<u8>>),
    LogLevel(LogLevel),
}

impl Setting {
    /// None if the value will not do.
    fn parse(name: &[u8], value: &[u8]) -> Option<Setting> {
        let filled = || (!value.is_empty()).then(|| value.to_vec());
        Some(match name {
            b"resolve-hostnames" => Setting::ResolveHostnames(parse_yes_no(value).ok()?),
            b"announce-hostnames" => Setting::AnnounceHostnames(parse_yes_no(value).ok()?),
            b"announce-ip" => Setting::AnnounceIp(filled()),
            b"announce-port" => Setting::AnnouncePort(number::parse_i64(value)?.try_into().ok()?),
            b"sentinel-user" => Setting::User(filled()),
            b"sentinel-pass" => Setting::Password(filled()),
            _ => {
                let levels = LogLevel::ALL.iter().copied();
                let known = |level: &LogLevel| value.eq_ignore_ascii_case(level.name().as_bytes());
                Setting::LogLevel(levels.into_iter().find(known)?)
            }
        })
    }
}

/// The names of settings for all masters.
const SETTINGS: &[&[u8]] = &[
    b"resolve-hostnames",
    b"announce-hostnames",
    b"announce-ip",
    b"announce-port",
    b"sentinel-user",
    b"sentinel-pass",
    b"loglevel",
];

fn config_set(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let refuse = |parts: &[&[u8]]| Err(CommandError::bytes([b"ERR ", parts.concat().as_slice()].concat()));
    let args = ctx.args;
    let (mut seen, mut settings) = (Vec::new(), Vec::new());
    for at in (3..args.len()).step_by(2) {
        let (given, name) = (args.get(at), args.get(at).to_ascii_lowercase());
        if !SETTINGS.contains(&&*name) {
            return refuse(&[b"Invalid argument '", given, b"' to SENTINEL CONFIG SET"]);
        }
        if seen.contains(&name) {
            return refuse(&[b"Duplicate argument '", given, b"' to SENTINEL CONFIG SET"]);
        }
        let Some(value) = args.opt(at + 1) else { return refuse(&[b"Missing argument '", given, b"' value"]) };
        let Some(setting) = Setting::parse(&name, value) else {
            return refuse(&[b"Invalid value '", value, b"' to SENTINEL CONFIG SET '", given, b"'"]);
        };
        seen.push(name);
        settings.push(setting);
    }
    let mut level = None;
    let drop_connections = settings.iter().any(|setting| matches!(setting, Setting::User(_) | Setting::Password(_)));
    change(ctx, |sentinel| {
        let current = &mut sentinel.settings;
        for setting in settings {
            match setting {
                Setting::ResolveHostnames(is_on) => current.resolve_hostnames = is_on,
                Setting::AnnounceHostnames(is_on) => current.announce_hostnames = is_on,
                Setting::AnnounceIp(ip) => current.announce_ip = ip,
                Setting::AnnouncePort(port) => current.announce_port = port,
                Setting::User(user) => current.auth_user = user,
                Setting::Password(password) => current.auth_pass = password,
                Setting::LogLevel(wanted) => level = Some(wanted),
            }
        }
        if drop_connections {
            sentinel.drop_sentinel_connections();
        }
    })?;
    if let Some(level) = level {
        ctx.world.config.loglevel = level;
        ctx.world.orders.push_back(Order::ConfigChanged(vec!["loglevel"]));
    }
    saved(ctx)
}

fn debug(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let mut periods = view(ctx)?.periods.clone();
    if args.len() == 2 {
        let all = periods.all();
        ctx.reply.map(all.len());
        for (name, value) in all {
            ctx.reply.bulk(name.as_bytes());
            ctx.reply.bulk_integer(*value);
        }
        return Ok(Flow::Done);
    }
    for at in (2..args.len()).step_by(2) {
        let name = args.get(at);
        let mut all = periods.all();
        let known = all.iter_mut().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        let (Some((_, period)), Some(value)) = (known, args.opt(at + 1)) else {
            let text = b"ERR Unknown option or number of arguments for SENTINEL DEBUG '";
            return Err(CommandError::bytes([&text[..], name, b"'"].concat()));
        };
        let Some(millis) = number::parse_i64(value).filter(|millis| *millis > 0) else {
            let text = [b"ERR Invalid argument '", value, b"' for SENTINEL DEBUG '", name, b"'"];
            return Err(CommandError::bytes(text.concat()));
        };
        **period = millis.min(MILLIS_MAX);
    }
    change(ctx, |sentinel| sentinel.periods = periods)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}
