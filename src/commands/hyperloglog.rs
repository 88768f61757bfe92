//! HyperLogLog: PFADD, PFCOUNT, PFDEBUG, PFMERGE, PFSELFTEST.
//!
//! The values are strings in a format of their own, which `ds::hyperloglog` reads and writes; what is here is which key is
//! looked at and what counts as a change. A dense value is changed where it lies. PFCOUNT reads, but the cardinality that
//! it keeps in the value is a change of the value, so it is propagated; no one is notified of it.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::hyperloglog::{self as hll, Encoding, Invalid};
use crate::keyspace::{Event, Str};

const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PFADD",
        arity: Arity::at_least(2),
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(1) per element",
        summary: "Counts elements in a HyperLogLog, which is created if it is missing.",
        syntax: "key [element [element ...]]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        acl: categories(&[Category::HyperLogLog]),
        keys: &[KeySpec::at(1).access(INSERT)],
        run: Handler::Keys(pfadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFCOUNT",
        arity: Arity::at_least(2),
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(1) for one key, with a small constant while its cache holds; O(N) for N keys, with a large one",
        summary: "Estimates how many different elements were added to a HyperLogLog, or to several together.",
        syntax: "key [key ...]",
        flags: flags(&[Flag::ReadOnly, Flag::MayReplicate]),
        acl: categories(&[Category::HyperLogLog]),
        keys: &[KeySpec::range(1, -1, 1).access(KeyFlags::RW | KeyFlags::ACCESS)],
        run: Handler::Keys(pfcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFDEBUG",
        arity: Arity::exactly(3),
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "N/A",
        summary: "Shows the inside of a HyperLogLog.",
        syntax: "subcommand key",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Admin]),
        acl: categories(&[Category::HyperLogLog]),
        keys: &[KeySpec::at(2).access(KeyFlags::RW | KeyFlags::ACCESS)],
        run: Handler::Keys(pfdebug),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFMERGE",
        arity: Arity::at_least(2),
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "O(N) for N keys, with a large constant",
        summary: "Adds what several HyperLogLogs counted to one of them.",
        syntax: "destkey [sourcekey [sourcekey ...]]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        acl: categories(&[Category::HyperLogLog]),
        keys: &[KeySpec::at(1).access(KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::INSERT), KeySpec::range(2, -1, 1).access(READ)],
        run: Handler::Keys(pfmerge),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFSELFTEST",
        arity: Arity::exactly(1),
        group: Group::HyperLogLog,
        since: "2.8.9",
        complexity: "N/A",
        summary: "Tests the arithmetic of HyperLogLogs.",
        flags: flags(&[Flag::Admin]),
        acl: categories(&[Category::HyperLogLog]),
        run: Handler::Keys(pfselftest),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

/// The one topic of this family.
pub const TOPICS: &[&[CommandSpec]] = &[COMMANDS];

const NO_KEY: CommandError = CommandError::new("ERR The specified key does not exist");
const NOT_SPARSE: CommandError = CommandError::new("ERR HLL encoding is not sparse");

/// Elements that PFSELFTEST counts.
const SELF_TEST_ELEMENTS: u64 = 10_000_000;

fn pfadd(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let elements = ctx.args.from(2);
    let sparse_max = ctx.db.keyspace.env.settings.hll_sparse_max_bytes;
    let entry = ctx.db.entry(ctx.args.get(1));
    // A dense value stays where it is; a sparse one is small and is edited as a copy.
    let found = entry.with_string(|old| old.map(|text| sparse_copy(text)))?;
    let dense_len = entry.with_string(|old| old.map_or(0, |text| text.len()))?;
    let changes = match found {
        Some(Err(invalid)) => return Err(refusal(invalid)),
        Some(Ok(None)) => {
            let add_all = |bytes: &mut [u8]| elements.filter(|element| hll::add_dense(bytes, element)).count() as u64;
            entry.try_edit(dense_len, add_all, Event::PFADD)
        }
        Some(Ok(Some(mut value))) => {
            let changes = add_all(&mut value, elements, sparse_max)?;
            if changes > 0 {
                entry.put_string(&value, true, Event::PFADD);
                ctx.db.keyspace.env.effects.more(changes - 1);
            }
            changes
        }
        None => {
            let mut value = hll::new_sparse();
            let changes = 1 + add_all(&mut value, elements, sparse_max)?;
            hll::mark_stale(&mut value);
            entry.put_string(&value, true, Event::PFADD);
            ctx.db.keyspace.env.effects.more(changes - 1);
            changes
        }
    };
    ctx.reply.integer((changes > 0) as i64);
    Ok(Flow::Done)
}

/// A copy of a sparse value, or none of a dense one.
fn sparse_copy(text: Str<'_>) -> Result<Option<Vec<u8>>, Invalid> {
    let mut digits = itoa::Buffer::new();
    let bytes = text.text(&mut digits);
    Ok(match hll::encoding(bytes)? {
        Encoding::Dense => None,
        Encoding::Sparse => Some(bytes.to_vec()),
    })
}

/// Adds the elements; how many of them changed the value.
fn add_all<'a>(value: &mut Vec<u8>, elements: impl Iterator<Item = &'a [u8]>, sparse_max: usize) -> Result<u64, CommandError> {
    let mut changes = 0;
    for element in elements {
        changes += hll::add(value, element, sparse_max).map_err(refusal)? as u64;
    }
    Ok(changes)
}

fn pfcount(ctx: &mut KeysCtx<'_>) -> CommandResult {
    if ctx.args.len() > 2 {
        let merged = merge(ctx)?;
        ctx.reply.integer(hll::count_registers(&merged.registers) as i64);
        return Ok(Flow::Done);
    }
    let key = ctx.args.get(1);
    let (cached, len) = match ctx.db.read(key) {
        None => (Some(0), 0),
        Some(entry) => {
            let text = Str::of(&entry)?;
            let cached = hll::cached(text.text(&mut itoa::Buffer::new())).map_err(refusal)?;
            (cached, text.len())
        }
    };
    if let Some(count) = cached {
        ctx.reply.integer(count as i64);
        return Ok(Flow::Done);
    }
    let mut counted = Ok(0);
    let count = |bytes: &mut [u8]| {
        let result = hll::count(bytes);
        counted = result.map(|count| count.cardinality);
        result.is_ok_and(|count| !count.cached) as u64
    };
    ctx.db.entry(key).try_edit(len, count, Event::PFCOUNT);
    ctx.reply.integer(counted.map_err(refusal)? as i64);
    Ok(Flow::Done)
}

fn pfdebug(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let entry = ctx.db.entry(args.get(2));
    let mut value = entry.with_string(|old| old.map(|text| text.to_vec()))?.ok_or(NO_KEY)?;
    let encoding = hll::encoding(&value).map_err(refusal)?;
    if args.is(1, "GETREG") {
        let registers = hll::registers(&value).map_err(refusal)?;
        if hll::to_dense(&mut value).map_err(refusal)? {
            entry.put_string(&value, true, Event::PFDEBUG);
        }
        ctx.reply.array(registers.len());
        for register in registers.iter() {
            ctx.reply.integer(i64::from(*register));
        }
    } else if args.is(1, "DECODE") {
        let text = hll::decode(&value).map_err(refusal)?.ok_or(NOT_SPARSE)?;
        ctx.reply.bulk(text.as_bytes());
    } else if args.is(1, "ENCODING") {
        ctx.reply.simple(encoding.name());
    } else if args.is(1, "TODENSE") {
        let converted = hll::to_dense(&mut value).map_err(refusal)?;
        if converted {
            entry.put_string(&value, true, Event::PFDEBUG);
        }
        ctx.reply.integer(converted as i64);
    } else {
        return Err(CommandError::bytes([b"ERR Unknown PFDEBUG subcommand '", args.get(1), b"'"].concat()));
    }
    Ok(Flow::Done)
}

fn pfmerge(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let Merged { registers, dense } = merge(ctx)?;
    let sparse_max = ctx.db.keyspace.env.settings.hll_sparse_max_bytes;
    let entry = ctx.db.entry(ctx.args.get(1));
    let value = match entry.with_string(|old| old.map(|text| text.to_vec()))? {
        Some(mut value) => {
            hll::store_registers(&mut value, &registers, dense, sparse_max).map_err(refusal)?;
            value
        }
        None => hll::from_registers(&registers, dense, sparse_max),
    };
    entry.put_string(&value, true, Event::PFADD);
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The union of several values.
struct Merged {
    registers: Box<hll::Registers>,
    /// One of them was dense.
    dense: bool,
}

/// Merges the values of all keys from argument 1 on; missing ones are empty.
fn merge(ctx: &mut KeysCtx<'_>) -> Result<Merged, CommandError> {
    let mut merged = Merged { registers: hll::empty_registers(), dense: false };
    for key in ctx.args.from(1) {
        let Some(entry) = ctx.db.read(key) else { continue };
        let mut digits = itoa::Buffer::new();
        let bytes = Str::of(&entry)?.text(&mut digits);
        merged.dense |= hll::encoding(bytes).map_err(refusal)? == Encoding::Dense;
        hll::merge_into(&mut merged.registers, bytes).map_err(refusal)?;
    }
    Ok(merged)
}

fn pfselftest(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let env = &mut ctx.db.keyspace.env;
    let seed = env.rng.next_u64();
    hll::self_test(seed, SELF_TEST_ELEMENTS, env.settings.hll_sparse_max_bytes)
        .map_err(|failure| CommandError::text(format!("ERR {failure}")))?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn refusal(invalid: Invalid) -> CommandError {
    match invalid {
        Invalid::Foreign => error::NOT_HLL,
        Invalid::Corrupt => error::CORRUPT_HLL,
    }
}
