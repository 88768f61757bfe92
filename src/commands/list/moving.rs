//! From one list to another: LMOVE, RPOPLPUSH and their forms that wait, BLMOVE and BRPOPLPUSH.

use super::{end_named, pop_event, push_event, timeout, wait};
use crate::command::context::KeysCtx;
use crate::command::spec::*;
use crate::ds::list::{End, List};
use crate::ds::parts::element::Element;
use crate::keyspace::value::ValueType;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BLMOVE",
        arity: Arity::exactly(6),
        since: "6.2.0",
        summary: "Moves an element from an end of a list to an end of another and tells it; waits for one if there is none.",
        syntax: "source destination <LEFT|RIGHT> <LEFT|RIGHT> timeout",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Blocking]),
        run: Handler::Keys(blmove),
        ..MOVE
    },
    CommandSpec {
        name: "BRPOPLPUSH",
        arity: Arity::exactly(4),
        since: "2.2.0",
        summary: "Moves the last element of a list to the front of another and tells it; waits for one if there is none.",
        syntax: "source destination timeout",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Blocking]),
        deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
        history: &[("6.0.0", "The timeout may have fractions of seconds.")],
        run: Handler::Keys(brpoplpush),
        ..MOVE
    },
    CommandSpec {
        name: "LMOVE",
        arity: Arity::exactly(5),
        since: "6.2.0",
        summary: "Moves an element from an end of a list to an end of another and tells it.",
        syntax: "source destination <LEFT|RIGHT> <LEFT|RIGHT>",
        run: Handler::Keys(lmove),
        ..MOVE
    },
    CommandSpec {
        name: "RPOPLPUSH",
        arity: Arity::exactly(3),
        since: "1.2.0",
        summary: "Moves the last element of a list to the front of another and tells it.",
        syntax: "source destination",
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        run: Handler::Keys(rpoplpush),
        ..MOVE
    },
];
const _: () = check(COMMANDS);

/// What the rows have in common.
const MOVE: CommandSpec = CommandSpec {
    group: Group::List,
    flags: flags(&[Flag::Write, Flag::DenyOom]),
    acl: categories(&[Category::List]),
    keys: &[KeySpec::at(1).access(TAKE), KeySpec::at(2).access(INSERT)],
    ..CommandSpec::BASE
};

fn blmove(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (from, to) = (end_named(ctx.args, 3)?, end_named(ctx.args, 4)?);
    let args = ctx.args;
    let deadline = timeout::deadline(args, 5, ctx.db.now())?;
    if move_one(ctx, from, to)? {
        ctx.db.propagate_as([b"LMOVE", args.get(1), args.get(2), args.get(3), args.get(4)]);
        return Ok(Flow::Done);
    }
    wait_for_source(ctx, deadline)
}

fn brpoplpush(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let deadline = timeout::deadline(ctx.args, 3, ctx.db.now())?;
    if move_one(ctx, End::Back, End::Front)? {
        ctx.db.propagate_as([b"RPOPLPUSH", ctx.args.get(1), ctx.args.get(2)]);
        return Ok(Flow::Done);
    }
    wait_for_source(ctx, deadline)
}

fn lmove(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (from, to) = (end_named(ctx.args, 3)?, end_named(ctx.args, 4)?);
    if !move_one(ctx, from, to)? {
        ctx.reply.null();
    }
    Ok(Flow::Done)
}

fn rpoplpush(ctx: &mut KeysCtx<'_>) -> CommandResult {
    if !move_one(ctx, End::Back, End::Front)? {
        ctx.reply.null();
    }
    Ok(Flow::Done)
}

/// Where nobody waits this answers with a plain null, unlike the end of a wait, which is a null array.
fn wait_for_source(ctx: &mut KeysCtx<'_>, deadline: Option<i64>) -> CommandResult {
    if !ctx.may_block {
        ctx.reply.null();
        return Ok(Flow::Done);
    }
    wait(ctx, 1..2, deadline)
}

/// Moves an element from the list at argument 1 to that at argument 2 and answers with it; false, and nothing written, if
/// the first is missing. Listeners hear of the destination first, and both together count as one change.
fn move_one(ctx: &mut KeysCtx<'_>, from: End, to: End) -> Result<bool, crate::command::error::CommandError> {
    let (source, destination, index) = (ctx.args.get(1), ctx.args.get(2), ctx.db.index);
    let place = ctx.db.entry(source);
    let edge = if from == End::Front { 0 } else { -1 };
    let Some(element) = place.value::<List>()?.and_then(|list| list.get(edge, |element| Moved::of(element, &list))) else {
        return Ok(false);
    };
    if source != destination {
        ctx.db.entry(destination).expect(ValueType::List)?;
    }
    element.text(|text| ctx.reply.bulk(text));

    ctx.db.entry(destination).edit::<List, _>(|list, env| {
        // The same list is turned: the element goes before it comes again.
        if source == destination {
            list.pop(from, |_| ());
        }
        list.grow(element.counted_bytes(), 1, &env.settings.limits);
        list.push(to, element.element());
        if source == destination {
            list.shrink(&env.settings.limits);
        }
        ((), Some(push_event(to)))
    })?;
    if source == destination {
        ctx.db.keyspace.env.effects.modified_too(index, source, pop_event(from), true);
        return Ok(true);
    }
    ctx.db.entry(source).edit_existing::<List, _>(|list, env| {
        list.pop(from, |_| ());
        list.shrink(&env.settings.limits);
        env.effects.modified_too(index, source, pop_event(from), list.len() > 0);
        ((), None)
    })?;
    Ok(true)
}

/// An element between two lists.
enum Moved {
    /// Out of a quicklist, where integers stay integers: their text is not looked at when the destination is made ready.
    Int(i64),
    Text(Vec<u8>),
}

impl Moved {
    fn of(element: Element<'_>, list: &List) -> Moved {
        match (element, list) {
            (Element::Int(n), List::Quick(_)) => Moved::Int(n),
            _ => Moved::Text(element.to_vec()),
        }
    }

    fn element(&self) -> Element<'_> {
        match self {
            Moved::Int(n) => Element::Int(*n),
            Moved::Text(text) => Element::Str(text),
        }
    }

    fn text<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.element().with_text(f)
    }

    fn counted_bytes(&self) -> usize {
        match self {
            Moved::Int(_) => 0,
            Moved::Text(text) => text.len(),
        }
    }
}
