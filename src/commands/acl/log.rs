//! ACL LOG: what was refused lately, and to whom.

use super::ADMIN;
use crate::command::context::ServerCtx;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "ACL|LOG",
    arity: Arity::at_least(2),
    complexity: "O(N) where N is the number of entries shown",
    summary: "Shows the latest refusals and failed logins, or forgets them.",
    syntax: "[count|RESET]",
    history: &[("7.2.0", "Tells each entry's id, when it was created and when it was last updated.")],
    run: Handler::Server(log),
    ..ADMIN
}];
const _: () = check(COMMANDS);

/// Entries shown unless a number is given.
const SHOWN_DEFAULT: i64 = 10;

fn log(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let log = &mut ctx.world.acl.log;
    let count = match args.len() {
        2 => SHOWN_DEFAULT,
        3 if args.is(2, "RESET") => {
            log.clear();
            ctx.reply.ok();
            return Ok(Flow::Done);
        }
        3 => args.i64(2)?.max(0),
        _ => return Err(super::users::wrong_form(args)),
    };
    let now = ctx.world.keyspace.env.now();
    let shown = log.entries().len().min(count as usize);
    let reply = &mut ctx.reply;
    reply.array(shown);
    for entry in log.entries().take(shown) {
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        reply.bulk(b"reason");
        reply.bulk(entry.reason.name().as_bytes());
        reply.bulk(b"context");
        reply.bulk(entry.place.name().as_bytes());
        reply.bulk(b"object");
        reply.bulk(&entry.object);
        reply.bulk(b"username");
        reply.bulk(&entry.user);
        reply.bulk(b"age-seconds");
        reply.double((now - entry.updated) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(&entry.client);
        reply.bulk(b"entry-id");
        reply.integer(entry.id as i64);
        reply.bulk(b"timestamp-created");
        reply.integer(entry.created);
        reply.bulk(b"timestamp-last-updated");
        reply.integer(entry.updated);
    }
    Ok(Flow::Done)
}
