//! LATENCY: spikes by event above `latency-monitor-threshold`, and how long each command's calls took.

use super::info::durations;
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::latency::EventHistory;
use std::fmt::Write as _;

const ADMIN: u32 = flags(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]);
const SPECIAL: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LATENCY",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "2.8.13",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about latency.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|DOCTOR",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.8.13",
        summary: "Describes the spikes in words.",
        flags: ADMIN,
        tips: SPECIAL,
        run: Handler::Server(doctor),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|GRAPH",
        arity: Arity::exactly(3),
        group: Group::Server,
        since: "2.8.13",
        summary: "Draws the spikes of an event.",
        syntax: "event",
        flags: ADMIN,
        tips: SPECIAL,
        run: Handler::Server(graph),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.8.13",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|HISTOGRAM",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands",
        summary: "Tells how long the calls of commands took, as cumulative counts.",
        syntax: "[command [command ...]]",
        flags: ADMIN,
        tips: SPECIAL,
        run: Handler::Server(histogram),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|HISTORY",
        arity: Arity::exactly(3),
        group: Group::Server,
        since: "2.8.13",
        summary: "Tells the spikes of an event.",
        syntax: "event",
        flags: ADMIN,
        tips: SPECIAL,
        run: Handler::Server(history),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|LATEST",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.8.13",
        summary: "Tells the latest spike of each event.",
        flags: ADMIN,
        tips: SPECIAL,
        run: Handler::Server(latest),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LATENCY|RESET",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "2.8.13",
        summary: "Forgets the spikes of some events, or of all.",
        syntax: "[event [event ...]]",
        flags: ADMIN,
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        run: Handler::Server(reset),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn doctor(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let world = &ctx.world;
    let mut text = String::new();
    if world.config.latency_monitor_threshold == 0 {
        text.push_str(
            "Latency monitoring is disabled: nothing was measured. Enable it with \
             CONFIG SET latency-monitor-threshold <milliseconds>, and ask again after some time.\n",
        );
    } else if world.slow.latency.events.is_empty() {
        text.push_str("No spike was seen since the server started or LATENCY RESET. All is well.\n");
    } else {
        text.push_str("These events took longer than latency-monitor-threshold:\n\n");
        for (i, (name, history)) in world.slow.latency.events.iter().enumerate() {
            let mean = history.sum_millis.checked_div(history.count).unwrap_or(0);
            let _ = writeln!(
                text,
                "{}. {name}: {} latency spikes (average {mean}ms, worst {}ms).",
                i + 1,
                history.count,
                history.max_millis
            );
        }
        text.push_str("\nAdvice:\n\n");
        let seen = |name: &str| world.slow.latency.events.contains_key(name);
        if seen("command") {
            text.push_str(
                "- SLOWLOG GET shows which commands were slow. Those that look at many elements at once (KEYS, SMEMBERS, \
                 long ranges) have cousins that go step by step (SCAN, SSCAN).\n",
            );
        }
        if seen("fast-command") {
            text.push_str(
                "- Even commands of constant time were slow: the process did not get the processor, or its memory was \
                 swapped out. Look at the machine.\n",
            );
        }
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn graph(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let given = ctx.args.get(2);
    let found = ctx.world.slow.latency.events.iter().find(|(name, _)| name.as_bytes() == given);
    let Some((name, history)) = found else {
        let mut text = b"ERR No samples available for event '".to_vec();
        text.extend_from_slice(given);
        text.push(b'\'');
        return Err(CommandError::bytes(text));
    };
    let now = ctx.world.keyspace.env.now_micros / 1_000_000;
    ctx.reply.verbatim("txt", draw(name, history, now).as_bytes());
    Ok(Flow::Done)
}

/// Columns of samples, the highest full height, with the age of each sample below.
fn draw(name: &str, history: &EventHistory, now: i64) -> String {
    const HEIGHT: u32 = 4;
    const COLUMNS: usize = 80;
    let skip = history.samples.len().saturating_sub(COLUMNS);
    let samples: Vec<(i64, u32)> = history.samples.iter().skip(skip).copied().collect();
    let high = samples.iter().map(|s| s.1).max().unwrap_or(0);
    let low = samples.iter().map(|s| s.1).min().unwrap_or(0);
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", history.max_millis);
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let steps = |millis: u32| ((millis - low) as u64 * HEIGHT as u64 / (high - low).max(1) as u64) as u32;
    for row in (0..=HEIGHT).rev() {
        for (_, millis) in &samples {
            text.push(match steps(*millis) {
                step if step == row && step == 0 => '_',
                step if step == row => '#',
                step if step > row => '|',
                _ => ' ',
            });
        }
        text.push('\n');
    }
    text.push('\n');
    let ages: Vec<String> = samples.iter().map(|s| age(now - s.0)).collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        for age in &ages {
            text.push(age.as_bytes().get(row).map_or(' ', |b| *b as char));
        }
        text.push('\n');
    }
    text
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m", s / 60),
        s @ 3600..86_400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Describe the spikes in words.",
        "GRAPH <event>",
        "    Draw the spikes of an event.",
        "HISTOGRAM [<command> ...]",
        "    Tell how long calls took, as cumulative counts.",
        "HISTORY <event>",
        "    Tell the spikes of an event.",
        "LATEST",
        "    Tell the latest spike of each event.",
        "RESET [<event> ...]",
        "    Forget spikes (default: all).",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn histogram(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut positions = Vec::new();
    if ctx.args.len() == 2 {
        positions.extend(ctx.world.commands.iter().map(|(at, _)| at));
    }
    for name in ctx.args.from(2) {
        let mut words = name.splitn(2, |b| *b == b'|');
        let Some(at) = words.next().and_then(|word| ctx.world.commands.find(word)) else { continue };
        match words.next() {
            Some(sub) => positions.extend(ctx.world.commands.find_sub(at, sub)),
            None => {
                positions.push(at);
                positions.extend(ctx.world.commands.get(at).subcommands.clone().map(|i| i as u16));
            }
        }
    }
    let map = ctx.reply.map_deferred();
    let mut count = 0;
    for at in positions {
        let Some(durations) = durations(ctx.world, at) else { continue };
        count += 1;
        let reply = &mut ctx.reply;
        reply.bulk(ctx.world.commands.get(at).name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(durations.total() as i64);
        reply.bulk(b"histogram_usec");
        let steps = reply.map_deferred();
        let mut n = 0;
        durations.cumulative(|bound, below| {
            reply.integer((bound / 1000) as i64);
            reply.integer(below as i64);
            n += 1;
        });
        reply.finish(steps, n);
    }
    ctx.reply.finish(map, count);
    Ok(Flow::Done)
}

fn history(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let given = ctx.args.get(2);
    let found = ctx.world.slow.latency.events.iter().find(|(name, _)| name.as_bytes() == given);
    let Some((_, history)) = found else {
        ctx.reply.array(0);
        return Ok(Flow::Done);
    };
    ctx.reply.array(history.samples.len());
    for (seconds, millis) in &history.samples {
        ctx.reply.array(2);
        ctx.reply.integer(*seconds);
        ctx.reply.integer(*millis as i64);
    }
    Ok(Flow::Done)
}

fn latest(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let events = &ctx.world.slow.latency.events;
    ctx.reply.array(events.len());
    for (name, history) in events {
        let (seconds, millis) = history.samples.back().copied().unwrap_or_default();
        ctx.reply.array(4);
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(seconds);
        ctx.reply.integer(millis as i64);
        ctx.reply.integer(history.max_millis as i64);
    }
    Ok(Flow::Done)
}

fn reset(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let events = &mut ctx.world.slow.latency.events;
    let before = events.len();
    if ctx.args.len() == 2 {
        events.clear();
    } else {
        events.retain(|name, _| !ctx.args.from(2).any(|given| given == name.as_bytes()));
    }
    let forgotten = before - events.len();
    ctx.reply.count(forgotten);
    Ok(Flow::Done)
}
