//! Going through a hash: HGETALL, HKEYS, HVALS, HSCAN, and HRANDFIELD, which names fields by chance.

use super::{READER, hash_of};
use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::elements::{Row, bulk};
use crate::commands::scan_options::{self, ScanOptions, Scanned};
use crate::ds::hash::is_past;
use crate::ds::object::Typed;
use crate::ds::parts::element::Element;
use crate::resp::reply::{Output, ReplyWriter};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HGETALL",
        complexity: "O(N) for N fields in the hash",
        summary: "Tells all fields with their values.",
        run: Handler::Keys(hgetall),
        ..ALL
    },
    CommandSpec {
        name: "HKEYS",
        complexity: "O(N) for N fields in the hash",
        summary: "Names all fields.",
        run: Handler::Keys(hkeys),
        ..ALL
    },
    CommandSpec {
        name: "HRANDFIELD",
        arity: Arity::at_least(2),
        since: "6.2.0",
        complexity: "O(N) for N fields told",
        summary: "Names one or more fields chosen at random.",
        syntax: "key [count [WITHVALUES]]",
        tips: &["nondeterministic_output"],
        run: Handler::Keys(hrandfield),
        ..ALL
    },
    CommandSpec {
        name: "HSCAN",
        arity: Arity::at_least(3),
        since: "2.8.0",
        complexity: "O(1) per call, O(N) for all calls until the cursor is 0 again, with N fields in the hash",
        summary: "Tells some fields with their values, and the cursor with which to go on.",
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        tips: &["nondeterministic_output"],
        run: Handler::Keys(hscan),
        ..ALL
    },
    CommandSpec {
        name: "HVALS",
        complexity: "O(N) for N fields in the hash",
        summary: "Tells the values of all fields.",
        run: Handler::Keys(hvals),
        ..ALL
    },
];
const _: () = check(COMMANDS);

/// What these rows have in common.
const ALL: CommandSpec = CommandSpec {
    arity: Arity::exactly(2),
    syntax: "key",
    flags: flags(&[Flag::ReadOnly]),
    tips: &["nondeterministic_output_order"],
    ..READER
};

fn hgetall(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_all(ctx, true, true)
}

fn hkeys(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_all(ctx, true, false)
}

fn hrandfield(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let key = ctx.args.get(1);
    let wanted = Wanted::parse(ctx)?;
    let now = ctx.db.now();
    let past = match ctx.db.read(key) {
        Some(entry) => is_past(hash_of(entry)?.nearest_deadline(), now),
        None => false,
    };
    if past {
        // All of them, so that each field that is left is as likely as the others.
        ctx.db.entry(key).expire_past(usize::MAX);
    }
    let (db, env) = ctx.db.keyspace.db_mut(ctx.db.index);
    let entry = db.table.get(db.table.hash(key), key);
    let Some(entry) = entry else {
        match wanted {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.array(0),
        }
        return Ok(Flow::Done);
    };
    let hash = hash_of(entry)?;
    let reply = &mut ctx.reply;
    let Some(Wanted { count, repeats, values }) = wanted else {
        hash.pick(&mut env.rng, &mut |name, _| bulk(reply, name));
        return Ok(Flow::Done);
    };
    let told = if repeats { count } else { count.min(hash.len()) };
    let pairs = values && reply.is_resp3();
    reply.array(if values && !pairs { told * 2 } else { told });
    let tell = |reply: &mut ReplyWriter<'_>, name: Element<'_>, value: Element<'_>| {
        if pairs {
            reply.array(2);
        }
        bulk(reply, name);
        if values {
            bulk(reply, value);
        }
    };
    if repeats {
        // No hash bounds their number; the limit on the client's replies may.
        const AT_ONCE: usize = 1024;
        let mut left = count;
        while left > 0 && !reply.is_full() {
            let some = left.min(AT_ONCE);
            hash.pick_many(some, &mut env.rng, &mut |name, value| tell(reply, name, value));
            left -= some;
        }
        return Ok(Flow::Done);
    }
    let mut tell = |name: Element<'_>, value: Element<'_>| tell(reply, name, value);
    if told == hash.len() {
        hash.for_each(|name, found| tell(name, found.value));
    } else {
        hash.pick_distinct(told, &mut env.rng, &mut tell);
    }
    Ok(Flow::Done)
}

fn hscan(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let mut cursor = scan_options::cursor(ctx.args.get(2))?;
    let now = ctx.db.now();
    // The cursor comes first in the reply and is known last.
    let mut fields = Output::default();
    let mut writer = ReplyWriter::new(&mut fields, ctx.reply.is_resp3());
    let (mut seen, mut told) = (0, 0);
    match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => {
            let hash = hash_of(entry)?;
            let options = ScanOptions::parse(ctx.args, 3, Scanned::Fields)?;
            let mut buckets_left = options.buckets_max();
            loop {
                cursor = hash.scan(cursor, &mut |name, found| {
                    seen += 1;
                    if found.is_past(now) || !name.with_text(|name| options.matches(name)) {
                        return;
                    }
                    bulk(&mut writer, name);
                    told += 1;
                    if !options.no_values {
                        bulk(&mut writer, found.value);
                        told += 1;
                    }
                });
                buckets_left -= 1;
                if cursor == 0 || seen >= options.count || buckets_left == 0 {
                    break;
                }
            }
        }
        None => cursor = 0,
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(told);
    ctx.reply.encoded(&fields);
    Ok(Flow::Done)
}

fn hvals(ctx: &mut KeysCtx<'_>) -> CommandResult {
    tell_all(ctx, false, true)
}

/// Tells all fields that are not past their deadline, by their names, values or both.
fn tell_all(ctx: &mut KeysCtx<'_>, names: bool, values: bool) -> CommandResult {
    let now = ctx.db.now();
    let reply = &mut ctx.reply;
    let mut head = |fields| if names && values { reply.map(fields) } else { reply.array(fields) };
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        head(0);
        return Ok(Flow::Done);
    };
    let hash = hash_of(entry)?;
    head(hash.len() - hash.past_len(now));
    let mut row = Row::new(reply);
    if let (Some(pairs), true, true) = (hash.pairs(), names, values) {
        pairs.visit_all(&mut row);
        return Ok(Flow::Done);
    }
    hash.for_each(|name, found| {
        if found.is_past(now) {
            return;
        }
        if names {
            row.push(name);
        }
        if values {
            row.push(found.value);
        }
    });
    Ok(Flow::Done)
}

/// How many fields HRANDFIELD is to choose.
struct Wanted {
    count: usize,
    /// A field may be chosen several times.
    repeats: bool,
    values: bool,
}

impl Wanted {
    /// Most fields chosen with repeats, which no hash bounds: their names alone would be half a gigabyte and more.
    const REPEATS_MAX: u64 = 1 << 26;

    /// The count and what is behind it; none for a request without one.
    fn parse(ctx: &KeysCtx<'_>) -> Result<Option<Self>, CommandError> {
        let args = ctx.args;
        if args.len() == 2 {
            return Ok(None);
        }
        let count = args.i64(2)?;
        if count == i64::MIN {
            return Err(CommandError::text(format!(
                "ERR value is out of range, value must between {} and {}",
                -i64::MAX,
                i64::MAX
            )));
        }
        if args.len() > 4 || (args.len() == 4 && !args.is(3, "WITHVALUES")) {
            return Err(error::SYNTAX);
        }
        let values = args.len() == 4;
        if values && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(error::OUT_OF_RANGE);
        }
        let repeats = count < 0;
        if repeats && count.unsigned_abs() > Self::REPEATS_MAX && !ctx.reply.is_limited() {
            return Err(error::OUT_OF_RANGE);
        }
        Ok(Some(Wanted { count: count.unsigned_abs() as usize, repeats, values }))
    }
}
