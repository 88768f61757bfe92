//! Bits by themselves: BITCOUNT, BITPOS, GETBIT, SETBIT.

use super::parse_offset;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::bits::{self, Unit};
use crate::keyspace::{Event, Str};
use crate::resp::request::Args;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BITCOUNT",
        arity: Arity::at_least(2),
        group: Group::Bitmap,
        since: "2.6.0",
        complexity: "O(N)",
        summary: "Counts the bits that are set in a string or a part of it.",
        syntax: "key [start end [BYTE|BIT]]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Bitmap]),
        keys: &[KeySpec::at(1).access(READ)],
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        run: Handler::Keys(bitcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITPOS",
        arity: Arity::at_least(3),
        group: Group::Bitmap,
        since: "2.8.7",
        complexity: "O(N)",
        summary: "Finds the first bit of a string, or of a part of it, that is set or that is clear.",
        syntax: "key bit [start [end [BYTE|BIT]]]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Bitmap]),
        keys: &[KeySpec::at(1).access(READ)],
        history: &[("7.0.0", "Added the `BYTE|BIT` option.")],
        run: Handler::Keys(bitpos),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETBIT",
        arity: Arity::exactly(3),
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Tells the bit at an offset; zero beyond the end of the string.",
        syntax: "key offset",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Bitmap]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(getbit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETBIT",
        arity: Arity::exactly(4),
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Sets or clears the bit at an offset, growing the string to hold it, and tells what it was.",
        syntax: "key offset value",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::Bitmap]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(setbit),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

const BAD_BIT: CommandError = CommandError::new("ERR bit is not an integer or out of range");
const BAD_SOUGHT_BIT: CommandError = CommandError::new("ERR The bit argument must be 1 or 0.");

fn bitcount(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let (range, unit) = match args.len() {
        2 => (None, Unit::Byte),
        4 | 5 => (Some((args.i64(2)?, args.i64(3)?)), unit_at(args, 4)?),
        _ => return Err(error::SYNTAX),
    };
    let count = match ctx.db.read(args.get(1)) {
        Some(entry) => bits::bitcount(Str::of(&entry)?.text(&mut itoa::Buffer::new()), range, unit),
        None => 0,
    };
    ctx.reply.integer(count as i64);
    Ok(Flow::Done)
}

fn bitpos(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let bit = match args.i64(2)? {
        0 => false,
        1 => true,
        _ => return Err(BAD_SOUGHT_BIT),
    };
    if args.len() > 6 {
        return Err(error::SYNTAX);
    }
    let start = if args.len() > 3 { Some(args.i64(3)?) } else { None };
    let unit = unit_at(args, 5)?;
    let end = if args.len() > 4 { Some(args.i64(4)?) } else { None };
    let position = match ctx.db.read(args.get(1)) {
        Some(entry) => bits::bitpos(Str::of(&entry)?.text(&mut itoa::Buffer::new()), bit, start, end, unit),
        // A missing key is a row of zeros without an end.
        None => -i64::from(bit),
    };
    ctx.reply.integer(position);
    Ok(Flow::Done)
}

/// The unit named by argument `i`, bytes if there is none.
fn unit_at(args: Args<'_>, i: usize) -> Result<Unit, CommandError> {
    match args.opt(i) {
        None => Ok(Unit::Byte),
        Some(word) if word.eq_ignore_ascii_case(b"BYTE") => Ok(Unit::Byte),
        Some(word) if word.eq_ignore_ascii_case(b"BIT") => Ok(Unit::Bit),
        Some(_) => Err(error::SYNTAX),
    }
}

fn getbit(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let offset = parse_offset(ctx.args.get(2), None, ctx.db.keyspace.env.settings.bulk_max)?;
    let bit = match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => bits::get_bit(Str::of(&entry)?.text(&mut itoa::Buffer::new()), offset),
        None => false,
    };
    ctx.reply.integer(bit as i64);
    Ok(Flow::Done)
}

fn setbit(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let offset = parse_offset(ctx.args.get(2), None, ctx.db.keyspace.env.settings.bulk_max)?;
    let bit = match ctx.args.i64(3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(BAD_BIT),
    };
    let entry = ctx.db.entry(ctx.args.get(1));
    let old_len = entry.with_string(|old| old.map_or(0, |s| s.len()))?;
    let len = old_len.max(offset as usize / 8 + 1);
    let mut before = false;
    let set = |bytes: &mut [u8]| {
        before = bits::set_bit(bytes, offset, bit).unwrap_or(false);
        (before != bit || len > old_len) as u64
    };
    entry.try_edit(len, set, Event::SETBIT);
    ctx.reply.integer(before as i64);
    Ok(Flow::Done)
}
