//! Several sorted sets, or plain ones whose members count 1 each, put together: ZDIFF, ZINTER, ZUNION and what goes with them.

use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::object::Limits;
use crate::ds::parts::element::Element;
use crate::ds::set::Set;
use crate::ds::sorted_set::{BATCH, SortedSet, SortedSetBuilder};
use crate::keyspace::value::type_of;
use crate::keyspace::{Event, ValueType};
use crate::raw::entry::Lent;
use crate::resp::request::Args;
use std::ops::{ControlFlow, Range};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZDIFF",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(L+(N-K)*log(N)) for L members in all, N in the first and K of them listed",
        summary: "Lists the members of the first sorted set that none of the others has.",
        syntax: "numkeys key [key ...] [WITHSCORES]",
        flags: flags(&[Flag::ReadOnly, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::counted(1).access(READ)],
        run: Handler::Keys(zdiff),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZDIFFSTORE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(L+(N-K)*log(N)) for L members in all, N in the first and K of them stored",
        summary: "Stores the members of the first sorted set that none of the others has.",
        syntax: "destination numkeys key [key ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(OVERWRITE), KeySpec::counted(2).access(READ)],
        run: Handler::Keys(zdiffstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINTER",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N*K)+O(M*log(M)) for K sets, N members in the smallest and M listed",
        summary: "Lists the members that all of several sorted sets have.",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]",
        flags: flags(&[Flag::ReadOnly, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::counted(1).access(READ)],
        run: Handler::Keys(zinter),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINTERCARD",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(N*K) for K sets and N members in the smallest",
        summary: "Counts the members that all of several sorted sets have, up to a limit if asked.",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        flags: flags(&[Flag::ReadOnly, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::counted(1).access(READ)],
        run: Handler::Keys(zintercard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINTERSTORE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(N*K)+O(M*log(M)) for K sets, N members in the smallest and M stored",
        summary: "Stores the members that all of several sorted sets have.",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(OVERWRITE), KeySpec::counted(2).access(READ)],
        run: Handler::Keys(zinterstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZUNION",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N)+O(M*log(M)) for N members in all sets and M listed",
        summary: "Lists the members of several sorted sets together.",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]",
        flags: flags(&[Flag::ReadOnly, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::counted(1).access(READ)],
        run: Handler::Keys(zunion),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZUNIONSTORE",
        arity: Arity::at_least(4),
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(N)+O(M*log(M)) for N members in all sets and M stored",
        summary: "Stores the members of several sorted sets together.",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(OVERWRITE), KeySpec::counted(2).access(READ)],
        run: Handler::Keys(zunionstore),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn zdiff(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Operation::Difference)
}

fn zdiffstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    store(ctx, Operation::Difference, Event::ZDIFFSTORE)
}

fn zinter(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Operation::Intersection)
}

fn zintercard(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let keys = keys(ctx, 1)?;
    look_at(&mut ctx.db, ctx.args, keys.clone())?;
    let mut limit = usize::MAX;
    let mut i = keys.end;
    while i < ctx.args.len() {
        if !ctx.args.is(i, "LIMIT") || i + 1 == ctx.args.len() {
            return Err(error::SYNTAX);
        }
        let given = ctx.args.i64(i + 1).ok().and_then(|n| usize::try_from(n).ok());
        limit = given.ok_or(CommandError::new("ERR LIMIT can't be negative"))?;
        i += 2;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut sources = sources(&ctx.db, ctx.args, keys, &[]);
    let mut count = 0;
    intersect(&mut sources, Aggregate::Sum, &mut |_, _| {
        count += 1;
        if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    ctx.reply.count(count);
    Ok(Flow::Done)
}

fn zinterstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    store(ctx, Operation::Intersection, Event::ZINTERSTORE)
}

fn zunion(ctx: &mut KeysCtx<'_>) -> CommandResult {
    list(ctx, Operation::Union)
}

fn zunionstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    store(ctx, Operation::Union, Event::ZUNIONSTORE)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Difference,
    Intersection,
    Union,
}

/// What becomes of the scores of a member that several sets have.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    #[inline]
    fn apply(self, old: f64, new: f64) -> f64 {
        match self {
            Aggregate::Sum => number_or_zero(old + new),
            Aggregate::Min => {
                if new < old {
                    new
                } else {
                    old
                }
            }
            Aggregate::Max => {
                if new > old {
                    new
                } else {
                    old
                }
            }
        }
    }
}

struct Options {
    /// One for each key, or none if all are 1.
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: bool,
}

fn list(ctx: &mut KeysCtx<'_>, operation: Operation) -> CommandResult {
    let keys = keys(ctx, 1)?;
    let (result, scores) = combine(ctx, operation, keys, false)?;
    super::list_all(&mut ctx.reply, result.iter(), scores);
    Ok(Flow::Done)
}

fn store(ctx: &mut KeysCtx<'_>, operation: Operation, event: Event) -> CommandResult {
    let keys = keys(ctx, 2)?;
    let (result, _) = combine(ctx, operation, keys, true)?;
    ctx.reply.count(result.len());
    super::store(&mut ctx.db, ctx.args.get(1), result, event);
    Ok(Flow::Done)
}

/// The result of an operation on these keys, and whether its scores are to be shown.
fn combine(
    ctx: &mut KeysCtx<'_>,
    operation: Operation,
    keys: Range<usize>,
    store: bool,
) -> Result<(SortedSet, bool), CommandError> {
    look_at(&mut ctx.db, ctx.args, keys.clone())?;
    let options = Options::parse(ctx.args, keys.clone(), operation, store)?;
    let limits = &ctx.db.keyspace.env.settings.limits;
    let mut sources = sources(&ctx.db, ctx.args, keys, &options.weights);
    let result = match operation {
        Operation::Union => unite(&mut sources, options.aggregate, limits),
        Operation::Intersection => {
            let mut result = SortedSetBuilder::new(limits, 0);
            intersect(&mut sources, options.aggregate, &mut |member, score| {
                result.push(member, score);
                ControlFlow::Continue(())
            });
            result
        }
        Operation::Difference => {
            let mut result = SortedSetBuilder::new(limits, 0);
            subtract(&sources, &mut |member, score| {
                result.push(member, score);
            });
            result
        }
    };
    Ok((if store { result.finish(limits) } else { result.finish_large() }, options.scores))
}

/// Where the keys are that are counted by argument `at`.
fn keys(ctx: &KeysCtx<'_>, at: usize) -> Result<Range<usize>, CommandError> {
    let count = ctx.args.i64(at)?;
    if count < 1 {
        let name = ctx.spec.name.to_ascii_lowercase();
        return Err(CommandError::text(format!("ERR at least 1 input key is needed for '{name}' command")));
    }
    let first = at + 1;
    match usize::try_from(count) {
        Ok(count) if count <= ctx.args.len() - first => Ok(first..first + count),
        _ => Err(error::SYNTAX),
    }
}

/// Reads the keys, as far as that has effects, and refuses other types.
fn look_at(db: &mut Selected<'_>, args: Args<'_>, keys: Range<usize>) -> Result<(), CommandError> {
    db.keyspace.prefetch(db.index, keys.clone().map(|at| args.get(at)));
    for at in keys {
        if let Some(entry) = db.read(args.get(at))
            && !matches!(type_of(&entry), ValueType::SortedSet | ValueType::Set)
        {
            return Err(error::WRONGTYPE);
        }
    }
    Ok(())
}

impl Options {
    fn parse(args: Args<'_>, keys: Range<usize>, operation: Operation, store: bool) -> Result<Self, CommandError> {
        let mut options = Options { weights: Vec::new(), aggregate: Aggregate::Sum, scores: false };
        let weighs = operation != Operation::Difference;
        let mut i = keys.end;
        while i < args.len() {
            if weighs && args.is(i, "WEIGHTS") && args.len() - i > keys.len() {
                options.weights.clear();
                for _ in keys.clone() {
                    i += 1;
                    options.weights.push(args.f64(i).map_err(|_| CommandError::new("ERR weight value is not a float"))?);
                }
            } else if weighs && args.is(i, "AGGREGATE") && i + 1 < args.len() {
                i += 1;
                options.aggregate = match () {
                    () if args.is(i, "SUM") => Aggregate::Sum,
                    () if args.is(i, "MIN") => Aggregate::Min,
                    () if args.is(i, "MAX") => Aggregate::Max,
                    () => return Err(error::SYNTAX),
                };
            } else if !store && args.is(i, "WITHSCORES") {
                options.scores = true;
            } else {
                return Err(error::SYNTAX);
            }
            i += 1;
        }
        Ok(options)
    }
}

/// One of the sets put together.
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

enum Members<'a> {
    None,
    Set(Lent<'a, Set>),
    SortedSet(Lent<'a, SortedSet>),
}

/// The values of keys that were looked at.
fn sources<'a>(db: &'a Selected<'_>, args: Args<'_>, keys: Range<usize>, weights: &[f64]) -> Vec<Source<'a>> {
    let table = &db.keyspace.db(db.index).table;
    let source = |(nth, at)| {
        let entry = |key: &[u8]| table.get(table.hash(key), key);
        let key = args.get(at);
        let members = match entry(key).and_then(|entry| entry.into_lent::<SortedSet>()) {
            Some(set) => Members::SortedSet(set),
            None => entry(key).and_then(|entry| entry.into_lent::<Set>()).map_or(Members::None, Members::Set),
        };
        Source { members, weight: weights.get(nth).copied().unwrap_or(1.0) }
    };
    keys.enumerate().map(source).collect()
}

impl Source<'_> {
    fn len(&self) -> usize {
        match &self.members {
            Members::None => 0,
            Members::SortedSet(set) => set.len(),
            Members::Set(set) => set.len(),
        }
    }

    /// The score of a member, not weighted.
    fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.members {
            Members::None => None,
            Members::SortedSet(set) => set.score(member),
            Members::Set(set) => set.contains(Element::Str(member)).then_some(1.0),
        }
    }

    /// Shows every member with its score, not weighted, until `f` says to stop.
    fn each(&self, f: &mut dyn FnMut(&[u8], f64) -> ControlFlow<()>) {
        // Stopping early is no failure.
        let _ = match &self.members {
            Members::None => ControlFlow::Continue(()),
            Members::SortedSet(set) => set.iter().try_for_each(|pair| {
                let score = pair.score();
                pair.member.with_text(|member| f(member, score))
            }),
            Members::Set(set) => set.walk(|member| member.with_text(|member| f(member, 1.0))),
        };
    }

    #[inline]
    fn weighted(&self, score: f64) -> f64 {
        number_or_zero(self.weight * score)
    }
}

/// Infinity times zero, or infinity minus infinity, counts as zero.
#[inline]
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The members that any source has. Sources are sorted by size: sums of many scores depend on the order, and this is the one
/// that Redis takes.
fn unite(sources: &mut [Source<'_>], aggregate: Aggregate, limits: &Limits) -> SortedSetBuilder {
    sources.sort_by_key(Source::len);
    let mut result = SortedSetBuilder::new(limits, sources.last().map_or(0, Source::len));
    let combine = |old, new| aggregate.apply(old, new);
    for source in sources.iter() {
        let Members::SortedSet(set) = &source.members else {
            source.each(&mut |member, score| {
                result.merge(member, source.weighted(score), combine);
                ControlFlow::Continue(())
            });
            continue;
        };
        let mut batch: [(&[u8], f64); BATCH] = [(&[], 0.0); BATCH];
        let mut filled = 0;
        for pair in set.iter() {
            let score = source.weighted(pair.score());
            match pair.member {
                Element::Str(member) => {
                    batch[filled] = (member, score);
                    filled += 1;
                    if filled == BATCH {
                        result.merge_all(&batch, combine);
                        filled = 0;
                    }
                }
                Element::Int(_) => pair.member.with_text(|member| result.merge(member, score, combine)),
            }
        }
        result.merge_all(&batch[..filled], combine);
    }
    result
}

/// Shows the members that all sources have, until `found` says to stop.
fn intersect(sources: &mut [Source<'_>], aggregate: Aggregate, found: &mut dyn FnMut(&[u8], f64) -> ControlFlow<()>) {
    sources.sort_by_key(Source::len);
    let Some((smallest, others)) = sources.split_first() else { return };
    smallest.each(&mut |member, score| {
        let mut total = smallest.weighted(score);
        for other in others {
            match other.score(member) {
                Some(score) => total = aggregate.apply(total, score * other.weight),
                None => return ControlFlow::Continue(()),
            }
        }
        found(member, total)
    });
}

/// Shows the members of the first source that no other has.
fn subtract(sources: &[Source<'_>], found: &mut dyn FnMut(&[u8], f64)) {
    let Some((first, others)) = sources.split_first() else { return };
    first.each(&mut |member, score| {
        if others.iter().all(|other| other.score(member).is_none()) {
            found(member, score);
        }
        ControlFlow::Continue(())
    });
}
