//! At the ends of a list: LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP; and LLEN.

use super::{pop_one, pop_several, push_event};
use crate::command::context::KeysCtx;
use crate::command::error;
use crate::command::spec::*;
use crate::ds::list::{End, List};
use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::TEXT_LEN_MAX;
use crate::keyspace::Env;
use crate::keyspace::value::ValueType;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LLEN",
        arity: Arity::exactly(2),
        group: Group::List,
        summary: "Tells the length of a list.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly, Flag::Fast]),
        acl: categories(&[Category::List]),
        keys: &[KeySpec::at(1).access(LOOK)],
        run: Handler::Keys(llen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LPOP",
        summary: "Takes elements from the front of a list and tells them; a list left empty is deleted.",
        run: Handler::Keys(lpop),
        ..POP
    },
    CommandSpec {
        name: "LPUSH",
        history: &[("2.4.0", "Several elements may be given.")],
        summary: "Puts elements, one after the other, at the front of a list; creates the list if it is missing.",
        run: Handler::Keys(lpush),
        ..PUSH
    },
    CommandSpec {
        name: "LPUSHX",
        since: "2.2.0",
        history: &[("4.0.0", "Several elements may be given.")],
        summary: "Puts elements, one after the other, at the front of a list if the list exists.",
        run: Handler::Keys(lpushx),
        ..PUSH
    },
    CommandSpec {
        name: "RPOP",
        summary: "Takes elements from the back of a list and tells them; a list left empty is deleted.",
        run: Handler::Keys(rpop),
        ..POP
    },
    CommandSpec {
        name: "RPUSH",
        history: &[("2.4.0", "Several elements may be given.")],
        summary: "Adds elements, one after the other, to the back of a list; creates the list if it is missing.",
        run: Handler::Keys(rpush),
        ..PUSH
    },
    CommandSpec {
        name: "RPUSHX",
        since: "2.2.0",
        history: &[("4.0.0", "Several elements may be given.")],
        summary: "Adds elements, one after the other, to the back of a list if the list exists.",
        run: Handler::Keys(rpushx),
        ..PUSH
    },
];
const _: () = check(COMMANDS);

/// What the rows that add at an end have in common.
const PUSH: CommandSpec = CommandSpec {
    arity: Arity::at_least(3),
    group: Group::List,
    complexity: "O(N) for N elements added",
    syntax: "key element [element ...]",
    flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
    acl: categories(&[Category::List]),
    keys: &[KeySpec::at(1).access(INSERT)],
    ..CommandSpec::BASE
};

/// What the rows that take from an end have in common.
const POP: CommandSpec = CommandSpec {
    arity: Arity::at_least(2),
    group: Group::List,
    complexity: "O(N) for N elements taken",
    syntax: "key [count]",
    flags: flags(&[Flag::Write, Flag::Fast]),
    acl: categories(&[Category::List]),
    keys: &[KeySpec::at(1).access(TAKE)],
    history: &[("6.2.0", "Several elements may be taken (`count`).")],
    ..CommandSpec::BASE
};

fn llen(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let len = match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => entry.into_lent::<List>().ok_or(error::WRONGTYPE)?.len(),
        None => 0,
    };
    ctx.reply.count(len);
    Ok(Flow::Done)
}

fn lpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop(ctx, End::Front)
}

fn lpush(ctx: &mut KeysCtx<'_>) -> CommandResult {
    push(ctx, End::Front, false)
}

fn lpushx(ctx: &mut KeysCtx<'_>) -> CommandResult {
    push(ctx, End::Front, true)
}

fn rpop(ctx: &mut KeysCtx<'_>) -> CommandResult {
    pop(ctx, End::Back)
}

fn rpush(ctx: &mut KeysCtx<'_>) -> CommandResult {
    push(ctx, End::Back, false)
}

fn rpushx(ctx: &mut KeysCtx<'_>) -> CommandResult {
    push(ctx, End::Back, true)
}

fn push(ctx: &mut KeysCtx<'_>, end: End, only_existing: bool) -> CommandResult {
    let args = ctx.args;
    let (mut bytes, mut longest) = (0, 0);
    for element in args.from(2) {
        bytes += element.len();
        longest = longest.max(element.len());
    }
    if longest > TEXT_LEN_MAX {
        return Err(error::STRING_TOO_LONG);
    }
    let add = |list: &mut List, env: &mut Env| {
        list.grow(bytes, args.len() - 2, &env.settings.limits);
        args.from(2).for_each(|element| list.push(end, Element::Str(element)));
        env.effects.more(args.len() as u64 - 3);
        (list.len(), Some(push_event(end)))
    };
    let place = ctx.db.entry(args.get(1));
    let len = if only_existing { place.edit_existing(add)?.unwrap_or(0) } else { place.edit(add)? };
    ctx.reply.count(len);
    Ok(Flow::Done)
}

fn pop(ctx: &mut KeysCtx<'_>, end: End) -> CommandResult {
    let key = ctx.args.get(1);
    match ctx.args.len() {
        2 => {
            if !pop_one(ctx, key, end, |_| ())? {
                ctx.reply.null();
            }
        }
        3 => {
            let count = ctx.args.non_negative(2).map_err(|_| error::MUST_BE_POSITIVE)? as usize;
            if count == 0 {
                let place = ctx.db.entry(key);
                place.expect(ValueType::List)?;
                if place.exists() {
                    ctx.reply.array(0);
                    return Ok(Flow::Done);
                }
            }
            if pop_several(ctx, key, end, count, |_| ())?.is_none() {
                ctx.reply.null_array();
            }
        }
        _ => return Err(error::wrong_arity(ctx.spec.name)),
    }
    Ok(Flow::Done)
}
