//! The hash commands.
//!
//! A field past its deadline is hidden from every read. Those that ask for fields by name, and HRANDFIELD, also remove what
//! they find expired, as does the sweep; HLEN counts what has not been removed yet, as in the original.

mod counter;
mod exchange;
mod lifetime;
mod value;
mod whole;

use crate::command::CommandSpec;
use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::hash::Hash;
use crate::keyspace::Entry;
use crate::raw::entry::Lent;
use crate::raw::table::Ref;
use crate::resp::number::parse_i64;
use crate::resp::request::Args;
use crate::types::UnixMillis;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] =
    &[value::COMMANDS, whole::COMMANDS, counter::COMMANDS, lifetime::COMMANDS, exchange::COMMANDS];

/// What the rows of this family that read have in common.
const READER: CommandSpec = CommandSpec {
    group: Group::Hash,
    since: "2.0.0",
    flags: flags(&[Flag::ReadOnly, Flag::Fast]),
    acl: categories(&[Category::Hash]),
    keys: &[KeySpec::at(1).access(READ)],
    ..CommandSpec::BASE
};

/// What the rows of this family that write have in common.
const WRITER: CommandSpec =
    CommandSpec { flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]), keys: &[KeySpec::at(1).access(UPDATE)], ..READER };

/// The hash in an entry.
#[inline]
fn hash_of(entry: Ref<'_, Entry>) -> Result<Lent<'_, Hash>, CommandError> {
    entry.into_lent::<Hash>().ok_or(error::WRONGTYPE)
}

/// Removes a field if it is past its deadline, for a command that is about to write it. Refuses values of other types.
fn drop_past(db: &mut Selected<'_>, key: &[u8], name: &[u8]) -> Result<(), CommandError> {
    let now = db.expiry_now();
    let entry = db.entry(key);
    if entry.value::<Hash>()?.is_some_and(|hash| hash.has_past(name, now)) {
        entry.expire_named(std::iter::once(name));
    }
    Ok(())
}

/// The latest deadline a field can have, in Unix milliseconds: the original keeps 46 bits of it.
const DEADLINE_MAX: UnixMillis = (1 << 46) - 1;

/// What the number in a request means.
#[derive(Clone, Copy)]
struct Amount {
    /// Seconds, not milliseconds.
    seconds: bool,
    /// Counted from now on, not from the epoch.
    from_now: bool,
}

impl Amount {
    /// The point in time that argument `i` stands for.
    fn deadline(self, ctx: &KeysCtx<'_>, i: usize) -> Result<UnixMillis, CommandError> {
        const NEGATIVE: CommandError = CommandError::new("ERR invalid expire time, must be >= 0");
        let amount = ctx.args.i64(i)?;
        if amount < 0 {
            return Err(NEGATIVE);
        }
        let millis = if self.seconds { amount.checked_mul(1000) } else { Some(amount) };
        let start = if self.from_now { ctx.db.now() } else { 0 };
        let deadline = millis.and_then(|millis| millis.checked_add(start)).filter(|deadline| *deadline <= DEADLINE_MAX);
        deadline.ok_or_else(|| error::invalid_expire(ctx.spec.name))
    }

    /// The meaning of an option, if it is one that has an amount.
    fn of_option(args: Args<'_>, i: usize) -> Option<Amount> {
        let options = [("EX", true, true), ("PX", false, true), ("EXAT", true, false), ("PXAT", false, false)];
        let (_, seconds, from_now) = options.into_iter().find(|(word, ..)| args.is(i, word))?;
        Some(Amount { seconds, from_now })
    }
}

/// Checks `FIELDS count name …` at argument `at`, up to the end of the request; the names begin two further on. `bad_count`
/// is the error for a count below 1.
fn expect_fields(ctx: &KeysCtx<'_>, at: usize, bad_count: CommandError) -> Result<(), CommandError> {
    const MISSING: CommandError = CommandError::new("ERR Mandatory argument FIELDS is missing or not at the right position");
    const MISMATCH: CommandError = CommandError::new("ERR The `numfields` parameter must match the number of arguments");
    let args = ctx.args;
    if at >= args.len() || !args.is(at, "FIELDS") {
        return Err(MISSING);
    }
    let count = args.opt(at + 1).ok_or_else(|| error::wrong_arity(ctx.spec.name))?;
    let count = parse_i64(count).filter(|count| *count >= 1).ok_or(bad_count)?;
    if usize::try_from(count) != Ok(args.len() - at - 2) {
        return Err(MISMATCH);
    }
    Ok(())
}

/// The error of most commands for a count of fields below 1.
const COUNT_NOT_POSITIVE: CommandError = CommandError::new("ERR Number of fields must be a positive integer");
