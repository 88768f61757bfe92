//! CONFIG GET, SET, REWRITE and RESETSTAT. What a directive is and which values it takes is in `config/`; what acts outside
//! of the world (listeners, files, limits of the process) is applied through `World::outside`, and a failure there takes the
//! whole CONFIG SET back.

use crate::acl::User;
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::config::{SetContext, SetError, rewrite, table};
use crate::session::{Origin, Session};
use crate::world::Order;

const ADMIN: u32 = flags(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CONFIG",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "2.0.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about the configuration.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CONFIG|GET",
        arity: Arity::at_least(3),
        group: Group::Server,
        since: "2.0.0",
        complexity: "O(N) where N is the number of directives",
        summary: "Tells the values of directives, chosen by name or pattern.",
        syntax: "parameter [parameter ...]",
        flags: ADMIN,
        history: &[("7.0.0", "Takes several names.")],
        run: Handler::Server(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CONFIG|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "5.0.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CONFIG|RESETSTAT",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.0.0",
        summary: "Starts the counters of INFO anew.",
        flags: ADMIN,
        tips: ALL_NODES,
        run: Handler::Server(resetstat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CONFIG|REWRITE",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.8.0",
        summary: "Writes the present settings into the configuration file.",
        flags: ADMIN,
        tips: ALL_NODES,
        run: Handler::Server(rewrite),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CONFIG|SET",
        arity: Arity::at_least(4),
        group: Group::Server,
        since: "2.0.0",
        complexity: "O(N) where N is the number of directives given",
        summary: "Changes directives while the server runs: all of those given, or none.",
        syntax: "parameter value [parameter value ...]",
        flags: ADMIN,
        tips: ALL_NODES,
        history: &[("7.0.0", "Takes several pairs.")],
        run: Handler::Server(set),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn get(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let patterns: Vec<&[u8]> = ctx.args.from(2).collect();
    let found = ctx.world.config.get(&patterns);
    ctx.reply.map(found.len());
    for (name, value) in &found {
        ctx.reply.bulk(name);
        ctx.reply.bulk(value);
    }
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]",
        "    Tell the directives whose names fit, with their values.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Change directives: all of them or none.",
        "RESETSTAT",
        "    Start the counters of INFO anew.",
        "REWRITE",
        "    Write the present settings into the configuration file.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn resetstat(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.world.stats.reset();
    ctx.world.persistence.aof.reset_stats();
    ctx.world.keyspace.env.stats = Default::default();
    ctx.world.keyspace.env.lazyfree.reset();
    ctx.world.scripting.evicted = 0;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn rewrite(ctx: &mut ServerCtx<'_>) -> CommandResult {
    rewrite_file(ctx, false)
}

/// Writes the file; `force_all` with every setting.
pub(super) fn rewrite_file(ctx: &mut ServerCtx<'_>, force_all: bool) -> CommandResult {
    ctx.world.config.users = ctx.world.acl.lines();
    let written = rewrite::rewrite_file(&ctx.world.config, force_all);
    ctx.world.config.users.clear();
    match written {
        Ok(()) => {
            tracing::info!("CONFIG REWRITE executed with success.");
            ctx.reply.ok();
            Ok(Flow::Done)
        }
        Err(refusal) => {
            tracing::warn!("CONFIG REWRITE failed: {refusal}");
            Err(CommandError::text(refusal.to_string()))
        }
    }
}

fn set(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let args = ctx.args;
    if !args.len().is_multiple_of(2) {
        return Err(error::wrong_arity(ctx.spec.name));
    }
    let pairs: Vec<(&[u8], &[u8])> = (2..args.len()).step_by(2).map(|i| (args.get(i), args.get(i + 1))).collect();
    let context = SetContext { client_is_local: is_local(ctx.session), loading: ctx.world.persistence.is_loading() };
    let world = &mut *ctx.world;
    let before = world.config.clone();
    let refuse = |refusal: SetError| CommandError::text(refusal.to_string());
    let changed = world.config.set_many(&pairs, context).map_err(refuse)?;
    let names: Vec<&'static str> = changed.iter().map(|directive| directive.name).collect();
    if let Some(outside) = world.outside.clone()
        && let Err((name, reason)) = outside.apply(&before, &mut world.config, &names)
    {
        world.config = before;
        return Err(match table::find(name.as_bytes()) {
            Some(directive) => refuse(SetError::not_applied(directive, reason)),
            None => CommandError::text(format!("ERR {reason}")),
        });
    }
    world.adopt_config();
    if names.contains(&"requirepass") {
        let user = User::clone(world.acl.default_user()).with_only_password(&world.config.requirepass);
        world.put_user(ctx.session, user);
    }
    if world.in_transaction && world.config.appendonly && names.contains(&"appendonly") {
        tracing::info!("AOF was enabled inside a transaction. An AOF background was scheduled to start behind it.");
    }
    if !names.is_empty() {
        world.orders.push_back(Order::ConfigChanged(names));
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// True for clients on this machine, as `local` in the directives that guard dangerous commands means it.
pub(super) fn is_local(session: &Session) -> bool {
    match session.origin {
        Origin::Unix | Origin::Internal => true,
        Origin::Tcp | Origin::Tls => {
            let address = session.peer.rsplit_once(':').map_or(&*session.peer, |(address, _)| address);
            let address = address.trim_start_matches('[').trim_end_matches(']');
            address.parse::<std::net::IpAddr>().is_ok_and(|ip| match ip {
                std::net::IpAddr::V4(ip) => ip.is_loopback(),
                std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
            })
        }
    }
}
