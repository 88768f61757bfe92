//! Bitmaps combined bit by bit into another key: BITOP.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::bits::{self, BitOp};
use crate::keyspace::{Event, Str, Text};

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "BITOP",
    arity: Arity::at_least(4),
    group: Group::Bitmap,
    since: "2.6.0",
    complexity: "O(N), N being the length of all strings together",
    summary: "Combines the bits of strings and stores the result under another key.",
    syntax: "<AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE> destkey key [key ...]",
    flags: flags(&[Flag::Write, Flag::DenyOom]),
    acl: categories(&[Category::Bitmap]),
    keys: &[KeySpec::at(2).access(OVERWRITE), KeySpec::range(3, -1, 1).access(READ)],
    history: &[("8.2.0", "Added the `DIFF`, `DIFF1`, `ANDOR` and `ONE` operations.")],
    run: Handler::Keys(bitop),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

const NOT_TAKES_ONE: CommandError = CommandError::new("ERR BITOP NOT must be called with a single source key.");

const OPERATIONS: &[(&str, BitOp)] = &[
    ("AND", BitOp::And),
    ("OR", BitOp::Or),
    ("XOR", BitOp::Xor),
    ("NOT", BitOp::Not),
    ("DIFF", BitOp::Diff),
    ("DIFF1", BitOp::Diff1),
    ("ANDOR", BitOp::AndOr),
    ("ONE", BitOp::One),
];

fn bitop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let (word, op) = *OPERATIONS.iter().find(|(word, _)| args.is(1, word)).ok_or(error::SYNTAX)?;
    let sources = args.len() - 3;
    match op {
        BitOp::Not if sources != 1 => return Err(NOT_TAKES_ONE),
        BitOp::Diff | BitOp::Diff1 | BitOp::AndOr if sources < 2 => {
            return Err(CommandError::text(format!("ERR BITOP {word} must be called with multiple source keys.")));
        }
        _ => {}
    }
    let mut texts: Vec<Text> = Vec::with_capacity(sources);
    for key in args.from(3) {
        texts.push(match ctx.db.read(key) {
            Some(entry) => Str::of(&entry)?.keep(),
            None => Text::default(),
        });
    }
    let slices: Vec<&[u8]> = texts.iter().map(Text::as_slice).collect();
    let result = bits::combine(op, &slices);
    // The destination may be a source: let go of its bytes, so that they need not be copied to be replaced.
    drop(texts);
    let destination = args.get(2);
    if result.is_empty() {
        ctx.db.delete(destination, Event::DEL);
    } else {
        ctx.db.entry(destination).set_computed(&result, Event::SET);
    }
    ctx.reply.count(result.len());
    Ok(Flow::Done)
}
