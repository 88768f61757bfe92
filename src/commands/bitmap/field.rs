//! Integers of any width at any bit of a string: BITFIELD, BITFIELD_RO.
//!
//! All operations are parsed before the first one runs. They run in order and see each other's results; the string grows
//! once, to the last bit that any of them may write.

use super::parse_offset;
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::bits::{self, FieldType, Overflow};
use crate::keyspace::{Event, Str};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::Args;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BITFIELD",
        arity: Arity::at_least(2),
        group: Group::Bitmap,
        since: "3.2.0",
        complexity: "O(1) per operation",
        summary: "Reads, sets and counts up integers of any width inside a string.",
        syntax: "key [<GET encoding offset|[OVERFLOW <WRAP|SAT|FAIL>] <SET encoding offset value|INCRBY encoding offset increment>> [<GET encoding offset|[OVERFLOW <WRAP|SAT|FAIL>] <SET encoding offset value|INCRBY encoding offset increment>> ...]]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::Bitmap]),
        keys: &[KeySpec::at(1).access(READ_UPDATE | KeyFlags::VARIABLE)],
        run: Handler::Keys(bitfield),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITFIELD_RO",
        arity: Arity::at_least(2),
        group: Group::Bitmap,
        since: "6.0.0",
        complexity: "O(1) per operation",
        summary: "Reads integers of any width inside a string.",
        syntax: "key [GET encoding offset [GET encoding offset ...]]",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::Bitmap]),
        keys: &[KeySpec::at(1).access(READ)],
        run: Handler::Keys(bitfield_ro),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

const BAD_TYPE: CommandError =
    CommandError::new("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
const BAD_OVERFLOW: CommandError = CommandError::new("ERR Invalid OVERFLOW type specified");
const ONLY_GET: CommandError = CommandError::new("ERR BITFIELD_RO only supports the GET subcommand");

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

#[derive(Clone, Copy)]
struct Operation {
    field: FieldType,
    offset: u64,
    action: Action,
    overflow: Overflow,
}

fn bitfield(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let operations = parse(ctx.args, ctx.db.keyspace.env.settings.bulk_max)?;
    match reach(&operations) {
        Some(end) => write(ctx, &operations, end),
        None => read(ctx, &operations),
    }
}

fn bitfield_ro(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let operations = parse(ctx.args, ctx.db.keyspace.env.settings.bulk_max)?;
    match reach(&operations) {
        Some(_) => Err(ONLY_GET),
        None => read(ctx, &operations),
    }
}

fn parse(args: Args<'_>, longest: usize) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut i = 2;
    while i < args.len() {
        let behind = args.len() - i - 1;
        if args.is(i, "OVERFLOW") && behind >= 1 {
            overflow = match args.get(i + 1) {
                word if word.eq_ignore_ascii_case(b"WRAP") => Overflow::Wrap,
                word if word.eq_ignore_ascii_case(b"SAT") => Overflow::Saturate,
                word if word.eq_ignore_ascii_case(b"FAIL") => Overflow::Fail,
                _ => return Err(BAD_OVERFLOW),
            };
            i += 2;
            continue;
        }
        let get = args.is(i, "GET");
        let set = args.is(i, "SET");
        let arguments = if get { 2 } else { 3 };
        let known = get || set || args.is(i, "INCRBY");
        if !known || behind < arguments {
            return Err(error::SYNTAX);
        }
        let field = FieldType::parse(args.get(i + 1)).ok_or(BAD_TYPE)?;
        let offset = parse_offset(args.get(i + 2), Some(field.bits()), longest)?;
        let action = match (get, set) {
            (true, _) => Action::Get,
            (_, true) => Action::Set(args.i64(i + 3)?),
            _ => Action::Increment(args.i64(i + 3)?),
        };
        operations.push(Operation { field, offset, action, overflow });
        i += 1 + arguments;
    }
    Ok(operations)
}

/// How long the string must be for all writes, in bytes; `None` if there are none.
fn reach(operations: &[Operation]) -> Option<u64> {
    let writes = operations.iter().filter(|o| !matches!(o.action, Action::Get));
    writes.filter_map(|o| bits::field_end(o.offset, o.field)).max()
}

fn read(ctx: &mut KeysCtx<'_>, operations: &[Operation]) -> CommandResult {
    let entry = ctx.db.read(ctx.args.get(1));
    let mut digits = itoa::Buffer::new();
    let bytes: &[u8] = match &entry {
        Some(entry) => Str::of(entry)?.text(&mut digits),
        None => &[],
    };
    ctx.reply.array(operations.len());
    for operation in operations {
        ctx.reply.integer(bits::get_field(bytes, operation.offset, operation.field));
    }
    Ok(Flow::Done)
}

fn write(ctx: &mut KeysCtx<'_>, operations: &[Operation], end: u64) -> CommandResult {
    let entry = ctx.db.entry(ctx.args.get(1));
    let old_len = entry.with_string(|old| old.map_or(0, |s| s.len()))?;
    let len = old_len.max(end as usize);
    let reply = &mut ctx.reply;
    reply.array(operations.len());
    let run_all = |bytes: &mut [u8]| {
        let changes = operations.iter().filter(|operation| run(bytes, operation, len > old_len, reply));
        changes.count() as u64
    };
    entry.try_edit(len, run_all, Event::SETBIT);
    Ok(Flow::Done)
}

/// Runs one operation and answers it; whether it changed the string. In a string that grows every write is a change.
fn run(bytes: &mut [u8], operation: &Operation, grows: bool, reply: &mut ReplyWriter<'_>) -> bool {
    let Operation { field, offset, action, overflow } = *operation;
    let old = bits::get_field(bytes, offset, field);
    let (new, answer) = match action {
        Action::Get => {
            reply.integer(old);
            return false;
        }
        Action::Set(value) => {
            let new = bits::fit_set(field, value, overflow);
            (new, new.map(|_| old))
        }
        Action::Increment(by) => {
            let new = bits::fit_increment(field, old, by, overflow);
            (new, new)
        }
    };
    let (Some(new), Some(answer)) = (new, answer) else {
        reply.null();
        return false;
    };
    bits::set_field(bytes, offset, field, new);
    reply.integer(answer);
    grows || new != old
}
