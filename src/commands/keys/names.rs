//! Giving values other names and other databases: COPY, MOVE, RENAME, RENAMENX.

use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::keyspace::{Event, Place};
use crate::resp::request::Args;
use crate::types::DbIndex;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "COPY",
        arity: Arity::at_least(3),
        since: "6.2.0",
        complexity: "O(N) for a collection of N elements, O(1) for a string",
        summary: "Copies a key's value and time to live to another key.",
        syntax: "source destination [DB destination-db] [REPLACE]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::at(1).access(READ), KeySpec::at(2).access(OVERWRITE)],
        run: Handler::Keys(copy),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MOVE",
        arity: Arity::exactly(3),
        summary: "Moves a key to another database, unless it exists there.",
        syntax: "key db",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::at(1).access(READ_UPDATE)],
        run: Handler::Keys(move_),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RENAME",
        arity: Arity::exactly(3),
        summary: "Renames a key, whatever is stored under the new name.",
        syntax: "key newkey",
        flags: flags(&[Flag::Write]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::at(1).access(TAKE), KeySpec::at(2).access(OVERWRITE)],
        run: Handler::Keys(rename),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RENAMENX",
        arity: Arity::exactly(3),
        summary: "Renames a key if nothing is stored under the new name.",
        syntax: "key newkey",
        flags: flags(&[Flag::Write, Flag::Fast]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::at(1).access(TAKE), KeySpec::at(2).access(KeyFlags::OW | KeyFlags::INSERT)],
        history: &[("3.2.0", "Equal names are no error any more.")],
        run: Handler::Keys(renamenx),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn copy(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (mut to, mut replace) = (Place { db: ctx.db.index, key: ctx.args.get(2) }, false);
    let mut i = 3;
    while i < ctx.args.len() {
        if ctx.args.is(i, "REPLACE") {
            replace = true;
        } else if ctx.args.is(i, "DB") && i + 1 < ctx.args.len() {
            to.db = database(&ctx.db, ctx.args, i + 1)?;
            i += 1;
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    let from = Place { db: ctx.db.index, key: ctx.args.get(1) };
    if from == to {
        return Err(error::SAME_OBJECT);
    }
    let copied = ctx.db.read(from.key).is_some()
        && (replace || is_free(&mut ctx.db, to))
        && ctx.db.keyspace.copy(from, to, Event::COPY_TO);
    ctx.reply.integer(copied as i64);
    Ok(Flow::Done)
}

fn move_(ctx: &mut KeysCtx<'_>) -> CommandResult {
    if ctx.db.keyspace.is_node() {
        return Err(CommandError::new("ERR MOVE is not allowed in cluster mode"));
    }
    let key = ctx.args.get(1);
    let from = Place { db: ctx.db.index, key };
    let to = Place { db: database(&ctx.db, ctx.args, 2)?, key };
    if from == to {
        return Err(error::SAME_OBJECT);
    }
    let moved = !is_free(&mut ctx.db, from)
        && is_free(&mut ctx.db, to)
        && ctx.db.keyspace.relocate(from, to, Event::MOVE_FROM, Event::MOVE_TO);
    ctx.reply.integer(moved as i64);
    Ok(Flow::Done)
}

fn rename(ctx: &mut KeysCtx<'_>) -> CommandResult {
    give_name(ctx, true)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn renamenx(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let renamed = give_name(ctx, false)?;
    ctx.reply.integer(renamed as i64);
    Ok(Flow::Done)
}

/// Renames, and tells whether the key has a new name now. Its old name again is not one.
fn give_name(ctx: &mut KeysCtx<'_>, replace: bool) -> Result<bool, CommandError> {
    let from = Place { db: ctx.db.index, key: ctx.args.get(1) };
    let to = Place { db: ctx.db.index, key: ctx.args.get(2) };
    if is_free(&mut ctx.db, from) {
        return Err(error::NO_SUCH_KEY);
    }
    if from == to || !replace && !is_free(&mut ctx.db, to) {
        return Ok(false);
    }
    Ok(ctx.db.keyspace.relocate(from, to, Event::RENAME_FROM, Event::RENAME_TO))
}

/// True if no key is in this place.
fn is_free(db: &mut Selected<'_>, place: Place<'_>) -> bool {
    db.keyspace.peek(place.db, place.key).is_none()
}

/// Argument `i` as the index of a database that there is.
fn database(db: &Selected<'_>, args: Args<'_>, i: usize) -> Result<DbIndex, CommandError> {
    const NOT_32_BITS: CommandError =
        CommandError::new("ERR value is out of range, value must between -2147483648 and 2147483647");
    let n = i32::try_from(args.i64(i)?).map_err(|_| NOT_32_BITS)?;
    match u32::try_from(n) {
        Ok(n) if (n as usize) < db.keyspace.databases() => Ok(DbIndex(n)),
        _ => Err(error::DB_OUT_OF_RANGE),
    }
}
