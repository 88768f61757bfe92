//! What a client of a node says about its next requests: ASKING, READONLY, READWRITE.

use crate::command::context::ServerCtx;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ASKING",
        flags: flags(&[Flag::Fast]),
        summary: "Lets the next command use a slot that is being imported.",
        run: Handler::Server(asking),
        ..BASE
    },
    CommandSpec {
        name: "READONLY",
        summary: "Lets the connection read from a replica of a cluster's node.",
        run: Handler::Server(readonly),
        ..BASE
    },
    CommandSpec { name: "READWRITE", summary: "Ends what READONLY began.", run: Handler::Server(readwrite), ..BASE },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec = CommandSpec {
    group: Group::Cluster,
    since: "3.0.0",
    acl: categories(&[Category::Connection]),
    flags: flags(&[Flag::Fast, Flag::Loading, Flag::Stale]),
    ..CommandSpec::BASE
};

fn asking(ctx: &mut ServerCtx<'_>) -> CommandResult {
    super::view(ctx)?;
    ctx.session.asking = true;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn readonly(ctx: &mut ServerCtx<'_>) -> CommandResult {
    super::view(ctx)?;
    ctx.session.reads_replica = true;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn readwrite(ctx: &mut ServerCtx<'_>) -> CommandResult {
    super::view(ctx)?;
    ctx.session.reads_replica = false;
    ctx.reply.ok();
    Ok(Flow::Done)
}
