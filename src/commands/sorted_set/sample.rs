//! Some members, at random or one part after the other: ZRANDMEMBER, ZSCAN.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::commands::scan_options::{self, ScanOptions, Scanned};
use crate::ds::sorted_set::SortedSet;
use crate::resp::reply::{Output, ReplyWriter};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZRANDMEMBER",
        arity: Arity::at_least(2),
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N) for N members listed",
        summary: "Tells members chosen at random, different ones unless the count is negative.",
        syntax: "key [count [WITHSCORES]]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        tips: &["nondeterministic_output"],
        run: Handler::Keys(zrandmember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZSCAN",
        arity: Arity::at_least(3),
        group: Group::SortedSet,
        since: "2.8.0",
        complexity: "O(1) per call, O(N) for all calls until the cursor is 0 again, with N members in the sorted set",
        summary: "Lists some members and scores, and the cursor with which to go on.",
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::SortedSet]),
        keys: &[KeySpec::at(1).access(READ)],
        tips: &["nondeterministic_output"],
        run: Handler::Keys(zscan),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

/// More members with repetitions than anybody needs. Redis writes as many as are asked for until its memory is used up.
const REPEATED_MAX: u64 = 1 << 27;

fn zrandmember(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let Some((count, scores)) = wanted(ctx)? else {
        return one(ctx);
    };
    let mut rng = ctx.db.keyspace.env.rng.clone();
    match super::read(&mut ctx.db, ctx.args.get(1))? {
        None => ctx.reply.array(0),
        Some(set) if count >= 0 => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
            super::list(&mut ctx.reply, count, scores);
            set.sample(count, &mut |n| rng.below(n), &mut |pair| super::item(&mut ctx.reply, pair, scores));
        }
        Some(set) => {
            let count = count.unsigned_abs();
            if count > REPEATED_MAX {
                return Err(error::OUT_OF_RANGE);
            }
            super::list(&mut ctx.reply, count as usize, scores);
            for _ in 0..count {
                if let Some(pair) = set.random(&mut |n| rng.below(n)) {
                    super::item(&mut ctx.reply, pair, scores);
                }
            }
        }
    }
    ctx.db.keyspace.env.rng = rng;
    Ok(Flow::Done)
}

fn one(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let random = ctx.db.keyspace.env.rng.next_u64();
    let set = super::read(&mut ctx.db, ctx.args.get(1))?;
    // The high half of the product is a number below n.
    let below = |n: u64| ((u128::from(random) * u128::from(n)) >> 64) as u64;
    match set.as_ref().and_then(|set| set.random(&mut { below })) {
        Some(pair) => bulk(&mut ctx.reply, pair.member),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

/// How many members, and whether with scores; none if no count was given.
fn wanted(ctx: &KeysCtx<'_>) -> Result<Option<(i64, bool)>, CommandError> {
    if ctx.args.len() == 2 {
        return Ok(None);
    }
    let count = ctx.args.i64(2)?;
    // Its absolute value must be a number as well.
    if count == i64::MIN {
        return Err(CommandError::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let scores = ctx.args.len() == 4 && ctx.args.is(3, "WITHSCORES");
    if ctx.args.len() > 3 && !scores {
        return Err(error::SYNTAX);
    }
    if scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(error::OUT_OF_RANGE);
    }
    Ok(Some((count, scores)))
}

fn zscan(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let cursor = scan_options::cursor(ctx.args.get(2))?;
    let Some(set) = super::read(&mut ctx.db, ctx.args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Flow::Done);
    };
    let options = ScanOptions::parse(ctx.args, 3, Scanned::Scores)?;
    // The cursor comes first in the reply and is known last.
    let mut found = Output::default();
    let (cursor, items) = scan(&set, cursor, &options, &mut ReplyWriter::new(&mut found, ctx.reply.is_resp3()));
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(items);
    ctx.reply.encoded(&found);
    Ok(Flow::Done)
}

/// Writes what a call finds; returns the cursor of the next call and how many items were written.
fn scan(set: &SortedSet, mut cursor: u64, options: &ScanOptions<'_>, reply: &mut ReplyWriter<'_>) -> (u64, usize) {
    let (mut seen, mut items) = (0, 0);
    let mut buckets_left = options.buckets_max();
    loop {
        cursor = set.scan(cursor, &mut |pair| {
            seen += 1;
            if !pair.member.with_text(|member| options.matches(member)) {
                return;
            }
            bulk(reply, pair.member);
            items += 1;
            if !options.no_values {
                // Scores are bulk strings here in either protocol, and those of large sets have another form than elsewhere.
                if set.is_large() {
                    scanned_score(reply, pair.score())
                } else {
                    reply.bulk_double(pair.score())
                }
                items += 1;
            }
        });
        buckets_left -= 1;
        if cursor == 0 || seen >= options.count || buckets_left == 0 {
            return (cursor, items);
        }
    }
}

/// A score as C's `%.17g` prints it.
fn scanned_score(reply: &mut ReplyWriter<'_>, score: f64) {
    /// Whole numbers below this have at most 17 digits.
    const WHOLE_MAX: f64 = 1e17;

    if score.is_infinite() {
        return reply.bulk_double(score);
    }
    if score.trunc() == score && score.abs() < WHOLE_MAX {
        return if score == 0.0 { reply.bulk_double(score) } else { reply.bulk_integer(score as i64) };
    }
    let text = format!("{score:.16e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shortest = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    let text = match exponent {
        -4..17 => shortest(&format!("{score:.*}", (16 - exponent) as usize)),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", shortest(digits), exponent.unsigned_abs())
        }
    };
    reply.bulk(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanned_scores_have_seventeen_digits() {
        for (score, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-12.0, "-12"),
            (2.5, "2.5"),
            (0.1, "0.10000000000000001"),
            (3.3, "3.2999999999999998"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (1e-10, "1e-10"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (12345678901234567.0, "12345678901234568"),
            (99999999999999984.0, "99999999999999984"),
            (1e17, "1e+17"),
            (1e21, "1e+21"),
            (-1e100, "-1e+100"),
            (123456.75, "123456.75"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut out = Output::default();
            scanned_score(&mut ReplyWriter::new(&mut out, true), score);
            assert_eq!(String::from_utf8(out.flatten()).unwrap(), format!("${}\r\n{text}\r\n", text.len()));
        }
    }
}
