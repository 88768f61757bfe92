//! Going through a set bit by bit: SSCAN.

use crate::command::context::KeysCtx;
use crate::command::error::WRONGTYPE;
use crate::command::spec::*;
use crate::commands::elements::bulk;
use crate::commands::scan_options::{self, ScanOptions, Scanned};
use crate::ds::set::Set;
use crate::resp::reply::{Output, ReplyWriter};

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "SSCAN",
    arity: Arity::at_least(3),
    group: Group::Set,
    since: "2.8.0",
    complexity: "O(1) per call, O(N) for all calls until the cursor is 0 again, with N members in the set",
    summary: "Tells some members of a set, and the cursor with which to go on.",
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    flags: flags(&[Flag::ReadOnly]),
    acl: categories(&[Category::Set]),
    keys: &[KeySpec::at(1).access(READ)],
    tips: &["nondeterministic_output"],
    run: Handler::Keys(sscan),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

fn sscan(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let mut cursor = scan_options::cursor(ctx.args.get(2))?;
    let Some(entry) = ctx.db.read(ctx.args.get(1)) else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Flow::Done);
    };
    let set = entry.into_lent::<Set>().ok_or(WRONGTYPE)?;
    let options = ScanOptions::parse(ctx.args, 3, Scanned::Members)?;
    // The cursor comes first in the reply and is known last.
    let mut members = Output::default();
    let mut writer = ReplyWriter::new(&mut members, ctx.reply.is_resp3());
    let mut told = 0;
    if let Set::Table(table) = &*set {
        let mut seen = 0;
        let mut buckets_left = options.buckets_max();
        loop {
            cursor = table.0.scan(cursor, &mut |member| {
                seen += 1;
                if options.matches(member.bytes()) {
                    writer.bulk(member.bytes());
                    told += 1;
                }
            });
            buckets_left -= 1;
            if cursor == 0 || seen >= options.count || buckets_left == 0 {
                break;
            }
        }
    } else {
        // A small set is told at once.
        cursor = 0;
        set.each(|member| {
            if options.pattern.is_none() || member.with_text(|text| options.matches(text)) {
                bulk(&mut writer, member);
                told += 1;
            }
        });
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    ctx.reply.array(told);
    ctx.reply.encoded(&members);
    Ok(Flow::Done)
}
