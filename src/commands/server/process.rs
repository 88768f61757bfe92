//! The server as a whole: its time, role, last snapshot, end, modules (it has none), and a picture.

use super::config::is_local;
use super::debug::not_allowed;
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::scripting::busy_error;
use crate::config::REDIS_VERSION;
use crate::world::{END_FAILED, End, Order, Shutdown};

const MODULE: u32 = flags(&[Flag::Admin, Flag::NoScript]);
const MODULE_CHANGE: u32 = MODULE | flags(&[Flag::NoAsyncLoading]);

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LASTSAVE",
        arity: Arity::exactly(1),
        group: Group::Server,
        summary: "Tells when the data were last saved, in seconds since 1970.",
        flags: flags(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        acl: categories(&[Category::Admin, Category::Dangerous]),
        tips: &["nondeterministic_output"],
        run: Handler::Server(lastsave),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LOLWUT",
        arity: Arity::at_least(1),
        group: Group::Server,
        since: "5.0.0",
        complexity: "O(N) where N is the number of lines drawn",
        summary: "Draws a picture and tells the version.",
        syntax: "[VERSION version]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        run: Handler::Server(lolwut),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MODULE",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "4.0.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about modules.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MODULE|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "5.0.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(module_help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MODULE|LIST",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(N) where N is the number of modules",
        summary: "Tells the loaded modules: there are none.",
        flags: MODULE,
        tips: &["nondeterministic_output_order"],
        run: Handler::Server(module_list),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MODULE|LOAD",
        arity: Arity::at_least(3),
        group: Group::Server,
        since: "4.0.0",
        summary: "Refuses to load a module.",
        syntax: "path [arg [arg ...]]",
        flags: MODULE_CHANGE,
        run: Handler::Server(module_load),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MODULE|LOADEX",
        arity: Arity::at_least(3),
        group: Group::Server,
        since: "7.0.0",
        summary: "Refuses to load a module.",
        syntax: "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]",
        flags: MODULE_CHANGE,
        run: Handler::Server(module_load),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MODULE|UNLOAD",
        arity: Arity::exactly(3),
        group: Group::Server,
        since: "4.0.0",
        summary: "Refuses to unload a module: there are none.",
        syntax: "name",
        flags: MODULE_CHANGE,
        run: Handler::Server(module_unload),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ROLE",
        arity: Arity::exactly(1),
        group: Group::Server,
        since: "2.8.12",
        summary: "Tells the server's part in replication.",
        flags: flags(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast]),
        acl: categories(&[Category::Admin, Category::Dangerous]),
        run: Handler::Server(role),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SHUTDOWN",
        arity: Arity::at_least(1),
        group: Group::Server,
        complexity: "O(N) where N is the number of keys, if they are saved; O(1) otherwise",
        summary: "Ends the server.",
        syntax: "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]",
        flags: flags(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::NoMulti, Flag::AllowBusy]),
        history: &[("7.0.0", "Knows `NOW`, `FORCE` and `ABORT`.")],
        run: Handler::Server(shutdown),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TIME",
        arity: Arity::exactly(1),
        group: Group::Server,
        since: "2.6.0",
        summary: "Tells the time in seconds and microseconds.",
        flags: flags(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        tips: &["nondeterministic_output"],
        run: Handler::Server(time),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn lastsave(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.integer(ctx.world.persistence.last_save);
    Ok(Flow::Done)
}

fn lolwut(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len() >= 3 && ctx.args.is(1, "VERSION") {
        ctx.args.i64(2)?;
    }
    let mut text = mountains(|n| ctx.world.keyspace.env.rng.below(n));
    text.push_str(&format!(
        "\nA range of mountains, never the same twice. Redis ver. {REDIS_VERSION} (Redstart {})\n",
        env!("CARGO_PKG_VERSION")
    ));
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// Three ranges of mountains behind one another under a night sky, as text. `below(n)` gives random numbers below `n`.
fn mountains(mut below: impl FnMut(u64) -> u64) -> String {
    const WIDTH: usize = 72;
    const HEIGHT: usize = 16;
    let mut canvas = [[' '; WIDTH]; HEIGHT];
    for _ in 0..WIDTH {
        let (x, y) = (below(WIDTH as u64) as usize, below(HEIGHT as u64 / 2) as usize);
        canvas[y][x] = if below(6) == 0 { '*' } else { '.' };
    }
    // The near ranges are lower and drawn over the far ones.
    for (top, fill) in [(3, '\''), (7, ':'), (11, '#')] {
        let mut line = top + below(4) as usize;
        for x in 0..WIDTH {
            let step = below(5);
            line = match step {
                0 | 1 => line.saturating_sub(1).max(top),
                2 => line,
                _ => (line + 1).min(top + 4).min(HEIGHT - 1),
            };
            canvas[line][x] = if step < 2 { '/' } else { '\\' };
            for row in canvas.iter_mut().skip(line + 1) {
                row[x] = fill;
            }
        }
    }
    canvas.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
}

fn module_help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST",
        "    Tell the loaded modules: there are none.",
        "LOAD <path> [<arg> ...]",
        "LOADEX <path> [CONFIG <name> <value> ...] [ARGS ...]",
        "UNLOAD <name>",
        "    Refused: modules are written for another server's insides.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn module_list(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.array(0);
    Ok(Flow::Done)
}

fn module_load(ctx: &mut ServerCtx<'_>) -> CommandResult {
    module_guard(ctx)?;
    Err(CommandError::new("ERR Error loading the extension. Redstart has no module interface."))
}

fn module_unload(ctx: &mut ServerCtx<'_>) -> CommandResult {
    module_guard(ctx)?;
    Err(CommandError::new("ERR Error unloading module: no such module with that name"))
}

fn module_guard(ctx: &ServerCtx<'_>) -> Result<(), CommandError> {
    if ctx.world.config.enable_module_command.allows(is_local(ctx.session)) {
        Ok(())
    } else {
        Err(not_allowed("MODULE", "enable-module-command"))
    }
}

fn role(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let replication = &ctx.world.replication;
    if let Some(upstream) = &replication.upstream {
        ctx.reply.array(5);
        ctx.reply.bulk(b"slave");
        ctx.reply.bulk(upstream.host.as_bytes());
        ctx.reply.integer(upstream.port.into());
        ctx.reply.bulk(upstream.stage_name().as_bytes());
        ctx.reply.integer(if upstream.is_connected() { replication.offset() as i64 } else { -1 });
        return Ok(Flow::Done);
    }
    ctx.reply.array(3);
    ctx.reply.bulk(b"master");
    ctx.reply.integer(replication.end(&ctx.world.stream) as i64);
    let online = || replication.replicas.iter().filter(|replica| replica.is_online());
    ctx.reply.array(online().count());
    for replica in online() {
        ctx.reply.array(3);
        ctx.reply.bulk(replica.address.as_bytes());
        ctx.reply.bulk(replica.port.to_string().as_bytes());
        ctx.reply.bulk(replica.acked.to_string().as_bytes());
    }
    Ok(Flow::Done)
}

fn shutdown(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut wanted = Shutdown::default();
    let mut abort = false;
    for i in 1..ctx.args.len() {
        let (save, nosave) = (ctx.args.is(i, "SAVE"), ctx.args.is(i, "NOSAVE"));
        if (save && wanted.save != Some(false)) || (nosave && wanted.save != Some(true)) {
            wanted.save = Some(save);
        } else if ctx.args.is(i, "NOW") {
            wanted.now = true;
        } else if ctx.args.is(i, "FORCE") {
            wanted.force = true;
        } else if ctx.args.is(i, "ABORT") {
            abort = true;
        } else {
            return Err(error::SYNTAX);
        }
    }
    if abort && wanted != Shutdown::default() {
        return Err(error::SYNTAX);
    }
    if abort {
        if !ctx.world.abort_end() {
            return Err(CommandError::new("ERR No shutdown in progress."));
        }
        ctx.reply.ok();
        return Ok(Flow::Done);
    }
    // In the middle of a script the data are not fit to be saved.
    if let Some(busy) = ctx.world.scripting.busy.as_ref().filter(|_| wanted.save != Some(false)) {
        return Err(busy_error(busy.purpose));
    }
    match ctx.world.begin_end(wanted) {
        End::Due => {
            ctx.world.orders.push_back(Order::Shutdown(wanted));
            Ok(Flow::Silent)
        }
        End::Waits => {
            ctx.world.awaiting_end.push(ctx.session.id);
            Ok(Flow::Block)
        }
        End::Failed => Err(END_FAILED),
    }
}

fn time(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let now = ctx.world.keyspace.env.now_micros;
    ctx.reply.array(2);
    ctx.reply.bulk_integer(now / 1_000_000);
    ctx.reply.bulk_integer(now % 1_000_000);
    Ok(Flow::Done)
}
