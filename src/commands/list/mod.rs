//! The list commands.
//!
//! What several topics share is here: the two ends by name, an element as a reply, and what popping some elements answers,
//! counts and tells.

mod ends;
mod inside;
mod moving;
mod pop_many;
mod sort;
pub(super) mod timeout;

use crate::command::CommandSpec;
use crate::command::context::{BlockOn, KeysCtx};
use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandResult, Flow};
use crate::commands::elements::{Row, bulk};
use crate::ds::list::{End, List};
use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::TEXT_LEN_MAX;
use crate::keyspace::{Event, WrongType};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::Args;
use crate::types::UnixMillis;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[ends::COMMANDS, inside::COMMANDS, moving::COMMANDS, pop_many::COMMANDS, sort::COMMANDS];

/// LEFT or RIGHT.
fn end_named(args: Args<'_>, i: usize) -> Result<End, CommandError> {
    if args.is(i, "RIGHT") {
        Ok(End::Back)
    } else if args.is(i, "LEFT") {
        Ok(End::Front)
    } else {
        Err(error::SYNTAX)
    }
}

/// The event of adding at an end.
fn push_event(end: End) -> Event {
    match end {
        End::Front => Event::LPUSH,
        End::Back => Event::RPUSH,
    }
}

/// The event of taking from an end.
fn pop_event(end: End) -> Event {
    match end {
        End::Front => Event::LPOP,
        End::Back => Event::RPOP,
    }
}

/// The command that takes from an end.
fn pop_command(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}

/// Argument `i` as an element. Longer ones than a listpack holds (just below 4 GB) are refused.
fn element<'a>(args: Args<'a>, i: usize) -> Result<Element<'a>, CommandError> {
    let text = args.get(i);
    if text.len() > TEXT_LEN_MAX { Err(error::STRING_TOO_LONG) } else { Ok(Element::Str(text)) }
}

/// Takes one element from an end and answers with it, after what `before` writes; false, and nothing written, if there is no
/// such list.
fn pop_one(ctx: &mut KeysCtx<'_>, key: &[u8], end: End, before: impl FnOnce(&mut ReplyWriter<'_>)) -> Result<bool, WrongType> {
    let reply = &mut ctx.reply;
    let popped = ctx.db.entry(key).edit_existing::<List, _>(|list, env| {
        before(reply);
        list.pop(end, |element| bulk(reply, element));
        list.shrink(&env.settings.limits);
        ((), Some(pop_event(end)))
    })?;
    Ok(popped.is_some())
}

/// Takes up to `count` (at least one) elements from an end and answers with an array of them, after what `before` writes.
/// Returns how many; none, and nothing written, if there is no such list.
fn pop_several(
    ctx: &mut KeysCtx<'_>,
    key: &[u8],
    end: End,
    count: usize,
    before: impl FnOnce(&mut ReplyWriter<'_>),
) -> Result<Option<usize>, WrongType> {
    let reply = &mut ctx.reply;
    ctx.db.entry(key).edit_existing::<List, _>(|list, env| {
        let len = list.len();
        let taken = count.min(len);
        before(reply);
        reply.array(taken);
        match end {
            End::Front => list.visit_range(0, taken, &mut Row::new(reply)),
            End::Back => {
                let mut row = Row::new(reply);
                list.for_range_back(len.saturating_sub(1), taken, |element| row.push(element));
            }
        }
        list.cut(end, taken);
        list.shrink(&env.settings.limits);
        env.effects.more((taken as u64).saturating_sub(1));
        (taken, Some(pop_event(end)))
    })
}

/// Waits for the keys at these argument positions, or answers as the end of the wait would where nobody waits.
fn wait(ctx: &mut KeysCtx<'_>, keys: std::ops::Range<usize>, deadline: Option<UnixMillis>) -> CommandResult {
    if !ctx.may_block {
        ctx.reply.null_array();
        return Ok(Flow::Done);
    }
    *ctx.block = Some(BlockOn { keys: keys.collect(), deadline, ..BlockOn::default() });
    Ok(Flow::Block)
}
