//! Cutting streams to size: XTRIM, and the options that XADD shares with it.

use super::{INVALID_ID, halves, id};
use crate::command::args::Args;
use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::stream::{Counters, Keep, NewId, StreamId, StreamValue};
use crate::keyspace::Event;
use crate::keyspace::db::Env;
use crate::resp::number;
use crate::resp::request::OwnedRequest;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "XTRIM",
    arity: Arity::at_least(4),
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) with N entries removed, which is quick where whole nodes go",
    summary: "Removes the oldest entries of a stream.",
    syntax: "key <MAXLEN|MINID> [=|~] threshold [LIMIT count]",
    flags: flags(&[Flag::Write]),
    acl: categories(&[Category::Stream]),
    keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
    tips: &["nondeterministic_output"],
    history: &[("6.2.0", "Takes `MINID` and `LIMIT`.")],
    run: Handler::Keys(xtrim),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

fn xtrim(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let Some(trim) = Options::parse(args, false, &ctx.db.keyspace.env)?.trim else {
        return Err(CommandError::new("ERR syntax error, XTRIM must be called with a trimming strategy"));
    };
    let done = ctx.db.entry(args.get(1)).edit_existing::<StreamValue, _>(|stream, env| {
        let removed = stream.trim(trim.keep, trim.approximate, trim.limit);
        env.effects.more(removed.saturating_sub(1));
        ((removed, *stream.counters()), (removed > 0).then_some(Event::XTRIM))
    })?;
    let (removed, counters) = done.unwrap_or_default();
    if removed > 0 && trim.approximate {
        trim.propagate(&mut ctx.db, args, &counters, None);
    }
    ctx.reply.integer(removed as i64);
    Ok(Flow::Done)
}

/// How to trim, and where the request says so.
pub(super) struct Trim {
    pub(super) keep: Keep,
    pub(super) approximate: bool,
    pub(super) limit: Option<u64>,
    threshold_at: usize,
    limit_at: Option<usize>,
}

/// The options of XADD and XTRIM.
pub(super) struct Options {
    pub(super) trim: Option<Trim>,
    /// NOMKSTREAM.
    pub(super) existing_only: bool,
    /// The id of the entry to add.
    pub(super) id: NewId,
    /// Where the id is; behind the last argument if there is none.
    pub(super) id_at: usize,
}

impl Options {
    /// Reads the options, with `adding` up to the new entry's id.
    pub(super) fn parse(args: Args<'_>, adding: bool, env: &Env) -> Result<Options, CommandError> {
        let mut options = Options { trim: None, existing_only: false, id: NewId::Auto { now_ms: env.now() as u64 }, id_at: 2 };
        let mut limit = None;
        while options.id_at < args.len() {
            let i = options.id_at;
            let more = args.len() - 1 - i;
            if adding && args.get(i) == b"*" {
                break;
            }
            let (maxlen, minid) = (args.is(i, "MAXLEN"), args.is(i, "MINID"));
            if more > 0 && (maxlen || minid) {
                if options.trim.is_some() {
                    return Err(CommandError::new(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let sign = if more >= 2 { args.get(i + 1) } else { b"" };
                let approximate = sign == b"~";
                let at = i + 1 + (approximate || sign == b"=") as usize;
                let keep = if maxlen { Keep::Len(at_least_zero(args, at, "MAXLEN")?) } else { Keep::From(id(args.get(at), 0)?) };
                options.trim = Some(Trim { keep, approximate, limit: None, threshold_at: at, limit_at: None });
                options.id_at = at;
            } else if more > 0 && args.is(i, "LIMIT") {
                limit = Some((i, at_least_zero(args, i + 1, "LIMIT")?));
                options.id_at += 1;
            } else if adding && args.is(i, "NOMKSTREAM") {
                options.existing_only = true;
            } else if adding {
                options.id = new_id(args.get(i))?;
                break;
            } else {
                return Err(error::SYNTAX);
            }
            options.id_at += 1;
        }
        options.set_limit(limit, env)?;
        Ok(options)
    }

    /// Bounds the work of approximate trimming, by LIMIT (zero: no bound) or by default.
    fn set_limit(&mut self, limit: Option<(usize, u64)>, env: &Env) -> Result<(), CommandError> {
        const NODES_MAX: u64 = 100;
        const DEFAULT: u64 = 10_000;
        const DEFAULT_MAX: u64 = 1_000_000;

        let Some(trim) = &mut self.trim else {
            return match limit {
                Some((_, 1..)) => {
                    Err(CommandError::new("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"))
                }
                Some(_) => Err(LIMIT_WITHOUT_APPROXIMATION),
                None => Ok(()),
            };
        };
        trim.limit_at = limit.map(|(at, _)| at);
        trim.limit = match limit {
            // Whoever sent this has trimmed already and told to what.
            _ if env.obeys => None,
            Some(_) if !trim.approximate => return Err(LIMIT_WITHOUT_APPROXIMATION),
            Some((_, most)) => (most > 0).then_some(most),
            None if !trim.approximate => None,
            None => match NODES_MAX.saturating_mul(env.settings.limits.stream_node_entries as u64) {
                0 => Some(DEFAULT),
                entries => Some(entries.min(DEFAULT_MAX)),
            },
        };
        Ok(())
    }
}

const LIMIT_WITHOUT_APPROXIMATION: CommandError =
    CommandError::new("ERR syntax error, LIMIT cannot be used without the special ~ option");

impl Trim {
    /// Propagates the request with what approximate trimming came to: others may have other nodes. `id` is an argument to
    /// be replaced as well, by the id.
    pub(super) fn propagate(&self, db: &mut Selected<'_>, args: Args<'_>, after: &Counters, id: Option<(usize, StreamId)>) {
        let index = db.index;
        db.keyspace.env.effects.propagate_as(index, || {
            let mut number = itoa::Buffer::new();
            let first = if after.len == 0 { StreamId::MAX } else { after.first_id }.text();
            let threshold = match self.keep {
                Keep::Len(_) => number.format(after.len).as_bytes(),
                Keep::From(_) => first.as_bytes(),
            };
            let mut request = OwnedRequest::default();
            for i in 0..args.len() {
                match (self.limit_at, id) {
                    _ if i + 1 == self.threshold_at => request.push(b"="),
                    _ if i == self.threshold_at => request.push(threshold),
                    (Some(at), _) if i == at || i == at + 1 => {}
                    (_, Some((at, id))) if i == at => request.push(id.text().as_bytes()),
                    _ => request.push(args.get(i)),
                }
            }
            request
        });
    }
}

fn at_least_zero(args: Args<'_>, i: usize, name: &str) -> Result<u64, CommandError> {
    let value = args.i64(i)?;
    u64::try_from(value).map_err(|_| CommandError::text(format!("ERR The {name} argument must be >= 0.")))
}

/// The id of a new entry: whole, or `ms-*`.
fn new_id(text: &[u8]) -> Result<NewId, CommandError> {
    let (ms, rest) = halves(text).ok_or(INVALID_ID)?;
    match rest {
        Some(b"*") => Ok(NewId::AutoSeq { ms }),
        Some(seq) => number::parse_u64(seq).map(|seq| NewId::Exact(StreamId::new(ms, seq))).ok_or(INVALID_ID),
        None => Ok(NewId::Exact(StreamId::new(ms, 0))),
    }
}
