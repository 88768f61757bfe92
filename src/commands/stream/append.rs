//! Entries one by one and the numbers about them: XADD, XDEL, XLEN, XSETID.

use super::trim::Options;
use super::{find, id};
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::stream::{AppendError, NewId, NodeLimits, StreamId, StreamValue};
use crate::keyspace::Event;
use crate::keyspace::db::Env;
use crate::resp::request::OwnedRequest;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XADD",
        arity: Arity::at_least(5),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(1) to add; O(N) to trim, with N entries removed",
        summary: "Appends an entry to a stream; creates the key if it is missing.",
        syntax: "key [NOMKSTREAM] [<MAXLEN|MINID> [=|~] threshold [LIMIT count]] <*|id> field value [field value ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        tips: &["nondeterministic_output"],
        history: &[("6.2.0", "Takes `NOMKSTREAM`, `MINID` and `LIMIT`."), ("7.0.0", "Takes ids of the form `<ms>-*`.")],
        run: Handler::Keys(xadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XDEL",
        arity: Arity::at_least(3),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(1) per entry, whatever the stream's size",
        summary: "Deletes entries of a stream and tells how many there were.",
        syntax: "key id [id ...]",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(xdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XLEN",
        arity: Arity::exactly(2),
        group: Group::Stream,
        since: "5.0.0",
        summary: "Counts the entries of a stream.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(xlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XSETID",
        arity: Arity::at_least(3),
        group: Group::Stream,
        since: "5.0.0",
        summary: "Sets the last id of a stream, and other numbers about it. The server uses this itself.",
        syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::Stream]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        history: &[("7.0.0", "Takes `ENTRIESADDED` and `MAXDELETEDID`.")],
        run: Handler::Keys(xsetid),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

const ID_IS_ZERO: CommandError = CommandError::new("ERR The ID specified in XADD must be greater than 0-0");
const ID_NOT_GREATER: CommandError =
    CommandError::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const EXHAUSTED: CommandError = CommandError::new("ERR The stream has exhausted the last possible ID, unable to add more items");
const TOO_LARGE: CommandError = CommandError::new("ERR Elements are too large to be stored");

fn xadd(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let key = args.get(1);
    let options = Options::parse(args, true, &ctx.db.keyspace.env)?;
    let first = options.id_at + 1;
    let left = args.len().saturating_sub(first);
    if left == 0 || !left.is_multiple_of(2) {
        return Err(error::wrong_arity(ctx.spec.name));
    }
    if options.id == NewId::Exact(StreamId::MIN) {
        return Err(ID_IS_ZERO);
    }
    let handle = ctx.db.entry(key);
    if options.existing_only && !handle.exists() {
        ctx.reply.null();
        return Ok(Flow::Done);
    }
    let fields = (first..args.len()).step_by(2).map(|i| (args.get(i), args.get(i + 1)));
    let added = handle.edit::<StreamValue, _>(|stream, env| {
        if stream.counters().last_id == StreamId::MAX {
            return (Err(EXHAUSTED), None);
        }
        let appended = stream.resolve(options.id).and_then(|id| stream.append(id, fields, node_limits(env)).map(|()| id));
        let id = match appended {
            Ok(id) => id,
            Err(AppendError::NotGreater) => return (Err(ID_NOT_GREATER), None),
            Err(AppendError::Exhausted) => return (Err(EXHAUSTED), None),
            Err(AppendError::TooLarge) => return (Err(TOO_LARGE), None),
        };
        let trimmed = options.trim.as_ref().map_or(0, |trim| stream.trim(trim.keep, trim.approximate, trim.limit));
        (Ok((id, trimmed, *stream.counters())), Some(Event::XADD))
    })?;
    let (id, trimmed, after) = added?;
    let index = ctx.db.index;
    let effects = &mut ctx.db.keyspace.env.effects;
    if trimmed > 0 {
        effects.noticed(index, key, Event::XTRIM);
    }
    if effects.streaming {
        let given = matches!(options.id, NewId::Exact(_));
        match options.trim.filter(|trim| trim.approximate) {
            Some(trim) => trim.propagate(&mut ctx.db, args, &after, (!given).then_some((options.id_at, id))),
            None if !given => effects.propagate_as(index, || {
                let id = id.text();
                let with_id = |i| if i == options.id_at { id.as_bytes() } else { args.get(i) };
                OwnedRequest::build((0..args.len()).map(with_id))
            }),
            None => {}
        }
    }
    ctx.reply.bulk(id.text().as_bytes());
    Ok(Flow::Done)
}

fn node_limits(env: &Env) -> NodeLimits {
    let limits = &env.settings.limits;
    NodeLimits { bytes: limits.stream_node_bytes, entries: limits.stream_node_entries as u64 }
}

fn xdel(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    // What is not there is not looked for: ids that are none are fine then.
    if find(&mut ctx.db, key)?.is_none() {
        ctx.reply.integer(0);
        return Ok(Flow::Done);
    }
    let ids = ctx.args.from(2).map(|text| id(text, 0)).collect::<Result<Vec<_>, _>>()?;
    let deleted = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, env| {
        let deleted = ids.iter().filter(|id| stream.delete(**id)).count();
        env.effects.more((deleted as u64).saturating_sub(1));
        (deleted, (deleted > 0).then_some(Event::XDEL))
    })?;
    ctx.reply.count(deleted.unwrap_or(0));
    Ok(Flow::Done)
}

fn xlen(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let len = find(&mut ctx.db, ctx.args.get(1))?.map_or(0, |stream| stream.len());
    ctx.reply.integer(len as i64);
    Ok(Flow::Done)
}

fn xsetid(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let key = args.get(1);
    let last_id = id(args.get(2), 0)?;
    let (mut entries_added, mut max_deleted) = (None, StreamId::MIN);
    let mut i = 3;
    while i < args.len() {
        let has_value = i + 1 < args.len();
        if has_value && args.is(i, "ENTRIESADDED") {
            let count = u64::try_from(args.i64(i + 1)?);
            entries_added = Some(count.map_err(|_| CommandError::new("ERR entries_added must be positive"))?);
        } else if has_value && args.is(i, "MAXDELETEDID") {
            max_deleted = id(args.get(i + 1), 0)?;
            if last_id < max_deleted {
                return Err(CommandError::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(error::SYNTAX);
        }
        i += 2;
    }
    let index = ctx.db.index;
    let done = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, env| {
        let now = *stream.counters();
        let refusal = if last_id < now.max_deleted_id {
            Some("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
        } else if stream.last().is_some_and(|last| last_id < last.id) {
            Some("ERR The ID specified in XSETID is smaller than the target stream top item")
        } else if now.len > 0 && entries_added.is_some_and(|count| count < now.len) {
            Some("ERR The entries_added specified in XSETID is smaller than the target stream length")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return (Err(CommandError::new(refusal)), None);
        }
        let max_deleted = if max_deleted == StreamId::MIN { now.max_deleted_id } else { max_deleted };
        stream.set_counters(last_id, entries_added.unwrap_or(now.entries_added), max_deleted);
        // Watchers see the entries, which stay the same.
        env.effects.more(1);
        env.effects.noticed(index, key, Event::XSETID);
        (Ok(()), None)
    })?;
    done.unwrap_or(Err(error::NO_SUCH_KEY))?;
    ctx.reply.ok();
    Ok(Flow::Done)
}
