//! Parts of strings: GETRANGE and its old name SUBSTR, SETRANGE, LCS.

use super::value;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::lcs::{self, LcsError};
use crate::keyspace::{Event, Str, Text};
use crate::resp::request::Args;
use std::ops::Range;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GETRANGE",
        arity: Arity::exactly(4),
        group: Group::String,
        since: "2.4.0",
        complexity: "O(N), N being the length of the reply",
        summary: "Tells a part of a string value. Positions are inclusive; negative ones count from the end.",
        syntax: "key start end",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(getrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LCS",
        arity: Arity::at_least(3),
        group: Group::String,
        since: "7.0.0",
        complexity: "O(N*M), N and M being the lengths of the two strings",
        summary: "Finds the longest common subsequence of two strings.",
        syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::range(1, 1, 1).access(READ)],
        run: Handler::Keys(lcs),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETRANGE",
        arity: Arity::exactly(4),
        group: Group::String,
        since: "2.2.0",
        complexity: "O(M), M being the length of the text written, where the string need not grow; else O(N) of the new length",
        summary: "Overwrites a part of a string from an offset on; what is missing before it becomes zero bytes.",
        syntax: "key offset value",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        run: Handler::Keys(setrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SUBSTR",
        arity: Arity::exactly(4),
        group: Group::String,
        complexity: "O(N), N being the length of the reply",
        summary: "Tells a part of a string value: the old name of GETRANGE.",
        syntax: "key start end",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::String]),
        keys: &[KeySpec::at(1).access(READ)],
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        run: Handler::Keys(getrange),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

const LCS_NOT_STRINGS: CommandError = CommandError::new("ERR The specified keys must contain string values");
const LCS_LEN_AND_IDX: CommandError = CommandError::new("ERR If you want both the length and indexes, please just use IDX.");

fn getrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (start, end) = (ctx.args.i64(2)?, ctx.args.i64(3)?);
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        ctx.reply.bulk(b"");
        return Ok(Flow::Done);
    };
    let text = Str::of(&entry)?;
    let mut digits = itoa::Buffer::new();
    let bytes = text.text(&mut digits);
    let range = resolve(start, end, bytes.len());
    if range.len() == bytes.len() {
        // The whole of a long string leaves as a reference.
        value::write(&mut ctx.reply, text);
    } else {
        ctx.reply.bulk(&bytes[range]);
    }
    Ok(Flow::Done)
}

/// An inclusive range with negative positions from the end, cut to `len`; empty ranges are `0..0`.
fn resolve(start: i64, end: i64, len: usize) -> Range<usize> {
    let total = len as i64;
    let absolute = |at: i64| if at < 0 { at + total } else { at };
    let (start, end) = (absolute(start).max(0), absolute(end).min(total - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// What LCS is to tell.
struct LcsOptions {
    len: bool,
    idx: bool,
    shortest: i64,
    with_len: bool,
}

fn lcs(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let a = text_for_lcs(ctx, 1)?;
    let b = text_for_lcs(ctx, 2)?;
    let (a, b) = (a.as_slice(), b.as_slice());
    let options = parse_lcs(ctx.args)?;
    let limit = ctx.db.keyspace.env.settings.bulk_max as u64;
    if options.len {
        let len = lcs::length(a, b, limit).map_err(refusal)?;
        ctx.reply.count(len);
        return Ok(Flow::Done);
    }
    let found = lcs::longest(a, b, limit).map_err(refusal)?;
    if !options.idx {
        ctx.reply.bulk(&found.bytes);
        return Ok(Flow::Done);
    }
    ctx.reply.map(2);
    ctx.reply.bulk(b"matches");
    let long_enough = |m: &&lcs::Match| m.len as i64 >= options.shortest;
    ctx.reply.array(found.matches.iter().filter(long_enough).count());
    for m in found.matches.iter().filter(long_enough) {
        ctx.reply.array(2 + options.with_len as usize);
        for start in [m.a_start, m.b_start] {
            ctx.reply.array(2);
            ctx.reply.count(start);
            ctx.reply.count(start + m.len - 1);
        }
        if options.with_len {
            ctx.reply.count(m.len);
        }
    }
    ctx.reply.bulk(b"len");
    ctx.reply.count(found.bytes.len());
    Ok(Flow::Done)
}

/// The string in the key at argument `i`; a missing key is an empty one.
fn text_for_lcs(ctx: &mut KeysCtx<'_>, i: usize) -> Result<Text, CommandError> {
    match ctx.db.read(ctx.args.get(i)).as_deref().map(Str::of) {
        Some(Ok(text)) => Ok(text.keep()),
        Some(Err(_)) => Err(LCS_NOT_STRINGS),
        None => Ok(Text::default()),
    }
}

fn parse_lcs(args: Args<'_>) -> Result<LcsOptions, CommandError> {
    let mut options = LcsOptions { len: false, idx: false, shortest: 0, with_len: false };
    let mut i = 3;
    while i < args.len() {
        if args.is(i, "IDX") {
            options.idx = true;
        } else if args.is(i, "LEN") {
            options.len = true;
        } else if args.is(i, "WITHMATCHLEN") {
            options.with_len = true;
        } else if args.is(i, "MINMATCHLEN") && i + 1 < args.len() {
            options.shortest = args.i64(i + 1)?;
            i += 1;
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    if options.len && options.idx {
        return Err(LCS_LEN_AND_IDX);
    }
    Ok(options)
}

fn refusal(why: LcsError) -> CommandError {
    CommandError::text(format!("ERR {why}"))
}

fn setrange(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let offset = usize::try_from(ctx.args.i64(2)?).map_err(|_| error::OFFSET_OUT_OF_RANGE)?;
    let text = ctx.args.get(3);
    let longest = ctx.db.keyspace.env.settings.bulk_max;
    let entry = ctx.db.entry(ctx.args.get(1));
    let old = entry.with_string(|old| old.map_or(0, |s| s.len()))?;
    if text.is_empty() {
        ctx.reply.count(old);
        return Ok(Flow::Done);
    }
    let end = offset.checked_add(text.len()).filter(|end| *end <= longest).ok_or(error::STRING_TOO_LONG)?;
    let len = old.max(end);
    entry.edit_string(len, |bytes| bytes[offset..end].copy_from_slice(text), Event::SETRANGE);
    ctx.reply.count(len);
    Ok(Flow::Done)
}
