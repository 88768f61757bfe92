//! Adding members and changing scores: ZADD, ZINCRBY.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::sorted_set::{Added, SortedSet};
use crate::keyspace::Event;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZADD",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)) per member, with N members in the sorted set",
        summary: "Adds members to a sorted set or changes their scores; creates the key if it is missing.",
        syntax: "key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        history: &[
            ("2.4.0", "Takes several members."),
            ("3.0.2", "Takes the options `XX`, `NX`, `CH` and `INCR`."),
            ("6.2.0", "Takes the options `GT` and `LT`."),
        ],
        element: ElementAt::Last,
        run: Handler::Keys(zadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINCRBY",
        arity: Arity::exactly(4),
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)) with N members in the sorted set",
        summary: "Adds a number to the score of a member, which begins at zero.",
        syntax: "key increment member",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        element: ElementAt::At(3),
        run: Handler::Keys(zincrby),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

const SCORE_IS_NAN: CommandError = CommandError::new("ERR resulting score is not a number (NaN)");

/// When a member gets the score, and what the reply tells.
#[derive(Clone, Copy, Default)]
struct Options {
    missing_only: bool,
    present_only: bool,
    greater_only: bool,
    less_only: bool,
    count_changed: bool,
    increment: bool,
}

fn zadd(ctx: &mut KeysCtx<'_>) -> CommandResult {
    add_with_options(ctx, Options::default())
}

/// Reads options as ZADD does, so that a score spelled like one is a syntax error here too.
fn zincrby(ctx: &mut KeysCtx<'_>) -> CommandResult {
    add_with_options(ctx, Options { increment: true, ..Options::default() })
}

fn add_with_options(ctx: &mut KeysCtx<'_>, mut options: Options) -> CommandResult {
    let mut first = 2;
    // Scores begin like none of the options, so the usual request leaves here at once.
    while first < ctx.args.len() && ctx.args.get(first).first().is_some_and(u8::is_ascii_alphabetic) {
        match () {
            () if ctx.args.is(first, "NX") => options.missing_only = true,
            () if ctx.args.is(first, "XX") => options.present_only = true,
            () if ctx.args.is(first, "GT") => options.greater_only = true,
            () if ctx.args.is(first, "LT") => options.less_only = true,
            () if ctx.args.is(first, "CH") => options.count_changed = true,
            () if ctx.args.is(first, "INCR") => options.increment = true,
            () => break,
        }
        first += 1;
    }
    let left = ctx.args.len() - first;
    if left == 0 || !left.is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    if options.missing_only && options.present_only {
        return Err(CommandError::new("ERR XX and NX options at the same time are not compatible"));
    }
    let conditions = [options.missing_only, options.greater_only, options.less_only];
    if conditions.into_iter().filter(|given| *given).count() > 1 {
        return Err(CommandError::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if options.increment && left > 2 {
        return Err(CommandError::new("ERR INCR option supports a single increment-element pair"));
    }
    add(ctx, options, first)
}

/// Scores read before anything changes; more of them go to the heap.
const SCORES_AT_HAND: usize = 16;

/// Adds the pairs of score and member from argument `first` on.
fn add(ctx: &mut KeysCtx<'_>, options: Options, first: usize) -> CommandResult {
    let args = ctx.args;
    let count = (args.len() - first) / 2;
    let mut few = [0.0; SCORES_AT_HAND];
    let mut many = Vec::new();
    let scores = match few.get_mut(..count) {
        Some(few) => few,
        None => {
            many.resize(count, 0.0);
            &mut many[..]
        }
    };
    for (nth, score) in scores.iter_mut().enumerate() {
        *score = args.f64(first + 2 * nth)?;
    }

    let (mut added, mut updated) = (0_u64, 0_u64);
    // The score of the last member, if it was not passed over.
    let mut result = None;
    let mut is_nan = false;
    let event = if options.increment { Event::ZINCR } else { Event::ZADD };
    ctx.db.entry(args.get(1)).edit::<SortedSet, _>(|set, env| {
        let limits = &env.settings.limits;
        set.expect(count, args.get(first + 1).len(), limits);
        for (nth, &score) in scores.iter().enumerate() {
            result = None;
            let done = set.update(args.get(first + 1 + 2 * nth), limits, |old| {
                result = options.decide(old, score);
                // Infinity and its opposite; there is one member then, so nothing has changed.
                is_nan = result.is_some_and(f64::is_nan);
                result.filter(|score| !score.is_nan())
            });
            match done {
                Some(Added::New) => added += 1,
                Some(Added::Updated(_)) => updated += 1,
                Some(Added::Same) | None => {}
            }
        }
        let changes = added + updated;
        env.effects.more(changes.saturating_sub(1));
        ((), (changes > 0).then_some(event))
    })?;
    if is_nan {
        return Err(SCORE_IS_NAN);
    }
    match result {
        _ if !options.increment => ctx.reply.integer((added + if options.count_changed { updated } else { 0 }) as i64),
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

impl Options {
    /// The score that a member is to have; none to pass it over.
    #[inline]
    fn decide(self, old: Option<f64>, given: f64) -> Option<f64> {
        let Some(old) = old else {
            return (!self.present_only).then_some(given);
        };
        let score = if self.increment { old + given } else { given };
        let passed_over = self.missing_only || (self.greater_only && score <= old) || (self.less_only && score >= old);
        (!passed_over).then_some(score)
    }
}
