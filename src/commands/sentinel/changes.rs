//! What a sentinel is told to do: SENTINEL MONITOR, REMOVE, RESET, FAILOVER, FLUSHCONFIG, and SIMULATE-FAILURE for tests.

use super::{BASE, change, primary, saved, text, view};
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::number;
use crate::sentinel::{Failures, Refused};
use tracing::warn;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SENTINEL|FAILOVER",
        arity: Arity::exactly(3),
        summary: "Fails a master over without asking other sentinels.",
        syntax: "master-name",
        run: Handler::Server(failover),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|FLUSHCONFIG",
        arity: Arity::exactly(2),
        summary: "Writes settings and state into the configuration file.",
        run: Handler::Server(flushconfig),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|MONITOR",
        arity: Arity::exactly(6),
        summary: "Watches a master.",
        syntax: "name ip port quorum",
        run: Handler::Server(monitor),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|REMOVE",
        arity: Arity::exactly(3),
        summary: "Watches a master no longer.",
        syntax: "master-name",
        run: Handler::Server(remove),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|RESET",
        arity: Arity::exactly(3),
        complexity: "O(N) where N is the number of masters",
        summary: "Forgets what is known of the masters whose names fit a pattern.",
        syntax: "pattern",
        run: Handler::Server(reset),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|SIMULATE-FAILURE",
        arity: Arity::at_least(3),
        since: "3.2.0",
        summary: "Has the sentinel end at once in the middle of a failover.",
        syntax: "[crash-after-election|crash-after-promotion|help [crash-after-election|crash-after-promotion|help ...]]",
        run: Handler::Server(simulate_failure),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const UNDER_WAY: CommandError = CommandError::new("INPROG Failover already in progress");
const NO_GOOD_REPLICA: CommandError = CommandError::new("NOGOODSLAVE No suitable replica to promote");
const BAD_ADDRESS: CommandError = CommandError::new("ERR Invalid IP address or hostname specified");
const BAD_QUORUM: CommandError = CommandError::new("ERR Quorum must be 1 or greater.");

fn failover(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let primary = primary(ctx)?;
    change(ctx, |sentinel| sentinel.force_failover(primary))?.map_err(|refused| match refused {
        Refused::UnderWay => UNDER_WAY,
        Refused::NoGoodReplica => NO_GOOD_REPLICA,
    })?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn flushconfig(ctx: &mut ServerCtx<'_>) -> CommandResult {
    saved(ctx)
}

fn monitor(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let number = |at: usize, refusal: &'static str| {
        number::parse_i64(ctx.args.get(at)).ok_or_else(|| CommandError::text(format!("ERR {refusal}")))
    };
    let quorum = number(5, "Invalid quorum")?;
    let port = number(4, "Invalid port")?;
    let quorum = u32::try_from(quorum).ok().filter(|quorum| *quorum > 0).ok_or(BAD_QUORUM)?;
    let (name, host) = (text(ctx.args.get(2)), text(ctx.args.get(3)));
    view(ctx)?.resolve(&host).ok_or(BAD_ADDRESS)?;
    let added = change(ctx, |sentinel| sentinel.monitor(&name, &host, port, quorum))?;
    added.map_err(|refusal| CommandError::text(format!("ERR {refusal}")))?;
    saved(ctx)
}

fn remove(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let primary = primary(ctx)?;
    change(ctx, |sentinel| sentinel.remove(primary))?;
    saved(ctx)
}

fn reset(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let pattern = ctx.args.get(2);
    let count = change(ctx, |sentinel| sentinel.reset(pattern))?;
    ctx.reply.count(count);
    Ok(Flow::Done)
}

fn simulate_failure(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut failures = Failures::default();
    let mut result = Ok(());
    for word in ctx.args.from(2) {
        match &*word.to_ascii_lowercase() {
            b"crash-after-election" => {
                failures.after_election = true;
                warn!("Failure simulation: this Sentinel will crash after being successfully elected as failover leader");
            }
            b"crash-after-promotion" => {
                failures.after_promotion = true;
                warn!("Failure simulation: this Sentinel will crash after promoting the selected replica to master");
            }
            b"help" => {
                ctx.reply.array(2);
                ctx.reply.bulk(b"crash-after-election");
                ctx.reply.bulk(b"crash-after-promotion");
                result = Err(None);
                break;
            }
            _ => {
                result = Err(Some(CommandError::new("ERR Unknown failure simulation specified")));
                break;
            }
        }
    }
    change(ctx, |sentinel| sentinel.failures = failures)?;
    match result {
        Ok(()) => ctx.reply.ok(),
        Err(None) => {}
        Err(Some(refusal)) => return Err(refusal),
    }
    Ok(Flow::Done)
}
