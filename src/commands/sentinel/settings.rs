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
use crate::sentinel::{InstanceId, MILLIS_MAX, Sentinel, Settings, filled};
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

/// A setting that holds for all masters.
struct General {
    name: &'static str,
    get: fn(&Settings, LogLevel) -> Vec<u8>,
    /// None if the value will not do.
    set: fn(&mut Settings, &mut LogLevel, &[u8]) -> Option<()>,
    /// Others are to be greeted anew when it changes.
    is_credential: bool,
}

impl General {
    const BASE: General = General { name: "", get: |_, _| Vec::new(), set: |_, _, _| None, is_credential: false };
}

const SETTINGS: &[General] = &[
    General {
        name: "resolve-hostnames",
        get: |settings, _| switch(settings.resolve_hostnames),
        set: |settings, _, value| parse_yes_no(value).ok().map(|is_on| settings.resolve_hostnames = is_on),
        ..General::BASE
    },
    General {
        name: "announce-hostnames",
        get: |settings, _| switch(settings.announce_hostnames),
        set: |settings, _, value| parse_yes_no(value).ok().map(|is_on| settings.announce_hostnames = is_on),
        ..General::BASE
    },
    General {
        name: "announce-ip",
        get: |settings, _| settings.announce_ip.clone().unwrap_or_default(),
        set: |settings, _, value| {
            settings.announce_ip = filled(value);
            Some(())
        },
        ..General::BASE
    },
    General {
        name: "announce-port",
        get: |settings, _| settings.announce_port.to_string().into_bytes(),
        set: |settings, _, value| number::parse_i64(value)?.try_into().ok().map(|port| settings.announce_port = port),
        ..General::BASE
    },
    General {
        name: "sentinel-user",
        get: |settings, _| settings.auth_user.clone().unwrap_or_default(),
        set: |settings, _, value| {
            settings.auth_user = filled(value);
            Some(())
        },
        is_credential: true,
    },
    General {
        name: "sentinel-pass",
        get: |settings, _| settings.auth_pass.clone().unwrap_or_default(),
        set: |settings, _, value| {
            settings.auth_pass = filled(value);
            Some(())
        },
        is_credential: true,
    },
    General {
        name: "loglevel",
        get: |_, level| level.name().into(),
        set: |_, level, value| {
            let mut levels = LogLevel::ALL.iter().copied();
            levels.find(|known| value.eq_ignore_ascii_case(known.name().as_bytes())).map(|known| *level = known)
        },
        ..General::BASE
    },
];

fn switch(is_on: bool) -> Vec<u8> {
    yes_no(is_on).into()
}

fn config_get(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let settings = view(ctx)?.settings.clone();
    let mut shown = Vec::new();
    for pattern in ctx.args.from(3) {
        for (at, setting) in SETTINGS.iter().enumerate() {
            if glob::matches(pattern, setting.name.as_bytes(), true) && !shown.contains(&at) {
                shown.push(at);
            }
        }
    }
    ctx.reply.map(shown.len());
    for at in shown {
        ctx.reply.bulk(SETTINGS[at].name.as_bytes());
        ctx.reply.bulk(&(SETTINGS[at].get)(&settings, ctx.world.config.loglevel));
    }
    Ok(Flow::Done)
}

fn config_set(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let refuse = |parts: &[&[u8]]| Err(CommandError::bytes([b"ERR ", parts.concat().as_slice()].concat()));
    let args = ctx.args;
    let (mut settings, mut level) = (view(ctx)?.settings.clone(), ctx.world.config.loglevel);
    let (mut seen, mut drop_connections) = (Vec::new(), false);
    for at in (3..args.len()).step_by(2) {
        let given = args.get(at);
        let Some(setting) = SETTINGS.iter().find(|known| given.eq_ignore_ascii_case(known.name.as_bytes())) else {
            return refuse(&[b"Invalid argument '", given, b"' to SENTINEL CONFIG SET"]);
        };
        if seen.contains(&setting.name) {
            return refuse(&[b"Duplicate argument '", given, b"' to SENTINEL CONFIG SET"]);
        }
        let Some(value) = args.opt(at + 1) else { return refuse(&[b"Missing argument '", given, b"' value"]) };
        if (setting.set)(&mut settings, &mut level, value).is_none() {
            return refuse(&[b"Invalid value '", value, b"' to SENTINEL CONFIG SET '", given, b"'"]);
        }
        seen.push(setting.name);
        drop_connections |= setting.is_credential;
    }
    change(ctx, |sentinel| {
        sentinel.settings = settings;
        if drop_connections {
            sentinel.drop_sentinel_connections();
        }
    })?;
    if seen.contains(&"loglevel") {
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
