//! Holding clients and letting them go: CLIENT PAUSE, UNPAUSE and UNBLOCK; and MONITOR, which shows what they do.

use super::client::CLIENT;
use crate::command::context::SessionCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::number;
use crate::session::Pause;
use crate::types::ClientId;
use crate::world::Order;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLIENT|PAUSE",
        arity: Arity::at_least(3),
        since: "3.0.0",
        summary: "Lets all commands, or those that write, wait for some time.",
        syntax: "timeout [WRITE|ALL]",
        history: &[("6.2.0", "May be restricted to commands that write.")],
        run: Handler::Session(pause),
        ..BASE
    },
    CommandSpec {
        name: "CLIENT|UNBLOCK",
        arity: Arity::at_least(3),
        since: "5.0.0",
        complexity: "O(log N) where N is the number of connections",
        summary: "Ends another client's wait for keys.",
        syntax: "client-id [TIMEOUT|ERROR]",
        run: Handler::Session(unblock),
        ..BASE
    },
    CommandSpec {
        name: "CLIENT|UNPAUSE",
        arity: Arity::exactly(2),
        since: "6.2.0",
        complexity: "O(N) where N is the number of paused connections",
        summary: "Ends a pause of clients.",
        run: Handler::Session(unpause),
        ..BASE
    },
    CommandSpec {
        name: "MONITOR",
        arity: Arity::exactly(1),
        group: Group::Server,
        acl: 0,
        summary: "Shows every command that the server runs, as it runs.",
        run: Handler::Session(monitor),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec = CommandSpec {
    group: Group::Connection,
    flags: CLIENT | flags(&[Flag::Admin]),
    acl: categories(&[Category::Connection]),
    ..CommandSpec::BASE
};

fn pause(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let all = match args.len() {
        3 => true,
        4 if args.is(3, "ALL") => true,
        4 if args.is(3, "WRITE") => false,
        4 => return Err(CommandError::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(crate::command::error::SYNTAX),
    };
    let millis = number::parse_i64(args.get(2));
    let millis = millis.ok_or(CommandError::new("ERR timeout is not an integer or out of range"))?;
    if millis < 0 {
        return Err(crate::command::error::TIMEOUT_NEGATIVE);
    }
    let until = ctx.world.keyspace.env.now().checked_add(millis).ok_or(crate::command::error::TIMEOUT_OUT_OF_RANGE)?;
    // A pause that is under way can become longer or stricter, not the opposite.
    let pause = match ctx.world.pause_asked_for() {
        Some(before) => Pause { until: until.max(before.until), all: all || before.all },
        None => Pause { until, all },
    };
    ctx.world.set_pause(Some(pause));
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn unblock(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let error = match ctx.args.opt(3) {
        None => false,
        Some(_) if ctx.args.is(3, "TIMEOUT") => false,
        Some(_) if ctx.args.is(3, "ERROR") => true,
        Some(_) => return Err(CommandError::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let client = ClientId(ctx.args.i64(2)? as u64);
    let orders = &mut ctx.world.orders;
    let is_ordered = orders.iter().any(|order| matches!(order, Order::Unblock { client: other, .. } if *other == client));
    // Who waits for the end of the server waits for that.
    let waits = ctx.world.blocked.contains(client) && !is_ordered && !ctx.world.awaiting_end.contains(&client);
    if waits {
        orders.push_back(Order::Unblock { client, error });
    }
    ctx.reply.integer(waits as i64);
    Ok(Flow::Done)
}

fn unpause(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.world.set_pause(None);
    ctx.world.orders.push_back(Order::Resume);
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn monitor(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if !ctx.may_block {
        return Err(CommandError::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if !ctx.session.monitor {
        ctx.session.monitor = true;
        ctx.world.monitors.push((ctx.session.id, ctx.session.slot));
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}
