//! Consumer groups as such: XGROUP.

use super::{bad_subcommand, id, id_or_end, no_group_of};
use crate::command::args::Args;
use crate::command::context::KeysCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::ds::stream::{Group as ConsumerGroup, StreamId, StreamValue};
use crate::keyspace::Event;
use crate::keyspace::db::Env;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XGROUP",
        arity: Arity::at_least(2),
        group: Group::Stream,
        since: "5.0.0",
        complexity: "As the subcommand says.",
        summary: "Commands that manage consumer groups.",
        run: Handler::Container,
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XGROUP|CREATE",
        arity: Arity::at_least(5),
        summary: "Creates a consumer group.",
        syntax: "key group <id|$> [MKSTREAM] [ENTRIESREAD entries-read]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::at(2).access(INSERT)],
        history: &[("7.0.0", "Takes `ENTRIESREAD`.")],
        run: Handler::Keys(xgroup_create),
        ..MANAGING
    },
    CommandSpec {
        name: "XGROUP|CREATECONSUMER",
        arity: Arity::exactly(5),
        since: "6.2.0",
        summary: "Creates a consumer in a group.",
        syntax: "key group consumer",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::at(2).access(INSERT)],
        run: Handler::Keys(xgroup_createconsumer),
        ..MANAGING
    },
    CommandSpec {
        name: "XGROUP|DELCONSUMER",
        arity: Arity::exactly(5),
        complexity: "O(N) with N pending entries of the consumer",
        summary: "Deletes a consumer of a group, with its pending entries.",
        syntax: "key group consumer",
        keys: &[KeySpec::at(2).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(xgroup_delconsumer),
        ..MANAGING
    },
    CommandSpec {
        name: "XGROUP|DESTROY",
        arity: Arity::exactly(4),
        complexity: "O(N) with N pending entries of the group",
        summary: "Deletes a consumer group.",
        syntax: "key group",
        keys: &[KeySpec::at(2).access(KeyFlags::RW | KeyFlags::DELETE)],
        run: Handler::Keys(xgroup_destroy),
        ..MANAGING
    },
    CommandSpec {
        name: "XGROUP|HELP",
        arity: Arity::exactly(2),
        summary: "Explains the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Keys(xgroup_help),
        ..MANAGING
    },
    CommandSpec {
        name: "XGROUP|SETID",
        arity: Arity::at_least(5),
        summary: "Sets the id behind which a group is given entries.",
        syntax: "key group <id|$> [ENTRIESREAD entries-read]",
        keys: &[KeySpec::at(2).access(UPDATE)],
        history: &[("7.0.0", "Takes `ENTRIESREAD`.")],
        run: Handler::Keys(xgroup_setid),
        ..MANAGING
    },
];
const _: () = check(COMMANDS);

/// What the subcommands have in common.
const MANAGING: CommandSpec = CommandSpec {
    group: Group::Stream,
    since: "5.0.0",
    flags: flags(&[Flag::Write]),
    acl: categories(&[Category::Stream]),
    ..CommandSpec::BASE
};

const NO_STREAM: CommandError = CommandError::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);
const GROUP_EXISTS: CommandError = CommandError::new("BUSYGROUP Consumer Group name already exists");

fn xgroup_create(ctx: &mut KeysCtx<'_>) -> CommandResult {
    const ARGS_MAX: usize = 8;

    let args = ctx.args;
    let (key, name) = (args.get(2), args.get(3));
    let options = Options::parse(args, true)?;
    let index = ctx.db.index;
    let handle = ctx.db.entry(key);
    let is_new = !handle.exists();
    let created = handle.edit::<StreamValue, _>(|stream, env| {
        let last_id = match args.get(4) {
            _ if is_new && !options.make_stream => Err(NO_STREAM),
            _ if args.len() > ARGS_MAX => Err(bad_subcommand("XGROUP", args.get(1))),
            b"$" => Ok(stream.counters().last_id),
            text => id(text, 0),
        };
        let last_id = match last_id {
            Ok(_) if stream.groups.contains_key(name) => return (Err(GROUP_EXISTS), None),
            Ok(last_id) => last_id,
            Err(refusal) => return (Err(refusal), None),
        };
        stream.groups.insert(name.into(), ConsumerGroup::new(last_id, options.entries_read));
        if is_new {
            return (Ok(()), Some(Event::XGROUP_CREATE));
        }
        // Who watches the key watches its entries.
        env.effects.more(1);
        env.effects.noticed(index, key, Event::XGROUP_CREATE);
        (Ok(()), None)
    })?;
    created?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn xgroup_createconsumer(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, consumer) = (ctx.args.get(2), ctx.args.get(4));
    let index = ctx.db.index;
    let created = change(ctx, |group, env| {
        let created = group.create(consumer, env.now()).is_some();
        if created {
            env.effects.more(1);
            env.effects.noticed(index, key, Event::XGROUP_CREATECONSUMER);
        }
        Ok(created)
    })?;
    ctx.reply.integer(created as i64);
    Ok(Flow::Done)
}

fn xgroup_delconsumer(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, consumer) = (ctx.args.get(2), ctx.args.get(4));
    let index = ctx.db.index;
    let pending = change(ctx, |group, env| {
        let pending = group.delete(consumer);
        if pending.is_some() {
            env.effects.more(1);
            env.effects.noticed(index, key, Event::XGROUP_DELCONSUMER);
        }
        Ok(pending.unwrap_or(0))
    })?;
    ctx.reply.count(pending);
    Ok(Flow::Done)
}

fn xgroup_destroy(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (key, name) = (ctx.args.get(2), ctx.args.get(3));
    let destroyed = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, _| {
        let destroyed = stream.groups.remove(name).is_some();
        // A change of the key, unlike what else happens to groups: consumers who wait hear that their group is gone.
        (destroyed, destroyed.then_some(Event::XGROUP_DESTROY))
    })?;
    ctx.reply.integer(destroyed.ok_or(NO_STREAM)? as i64);
    Ok(Flow::Done)
}

fn xgroup_help(ctx: &mut KeysCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    A new group, to be given the entries behind <id> ($: the new ones). Options are:",
        "    * MKSTREAM",
        "      Create an empty stream if the key is missing.",
        "    * ENTRIESREAD entries_read",
        "      How many entries there were up to <id> (for the server's own use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    A new consumer of the group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Delete a consumer, with its pending entries.",
        "DESTROY <key> <groupname>",
        "    Delete the group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Give the group the entries behind <id> from now on.",
        "HELP",
        "    This text.",
    ]);
    Ok(Flow::Done)
}

fn xgroup_setid(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let (key, name) = (args.get(2), args.get(3));
    let options = Options::parse(args, false)?;
    let index = ctx.db.index;
    let set = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, env| {
        let newest = stream.counters().last_id;
        let Some(group) = stream.groups.get_mut(name) else { return (Err(no_group_of(key, name)), None) };
        let last_id = match (args.len(), args.get(4)) {
            (5 | 7, b"$") => Ok(newest),
            (5 | 7, text) => id_or_end(text, 0),
            _ => Err(bad_subcommand("XGROUP", args.get(1))),
        };
        let last_id: StreamId = match last_id {
            Ok(id) => id,
            Err(refusal) => return (Err(refusal), None),
        };
        group.last_id = last_id;
        group.entries_read = options.entries_read;
        env.effects.more(1);
        env.effects.noticed(index, key, Event::XGROUP_SETID);
        (Ok(()), None)
    })?;
    set.unwrap_or(Err(NO_STREAM))?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// Changes the group that the arguments behind the subcommand name.
fn change<R>(
    ctx: &mut KeysCtx<'_>,
    f: impl FnOnce(&mut ConsumerGroup, &mut Env) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let (key, name) = (ctx.args.get(2), ctx.args.get(3));
    let done = ctx.db.entry(key).edit_existing::<StreamValue, _>(|stream, env| {
        let result = match stream.groups.get_mut(name) {
            Some(group) => f(group, env),
            None => Err(no_group_of(key, name)),
        };
        (result, None)
    })?;
    done.unwrap_or(Err(NO_STREAM))
}

/// The options of CREATE and SETID.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, creating: bool) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut i = 5;
        while i < args.len() {
            if creating && args.is(i, "MKSTREAM") {
                options.make_stream = true;
            } else if args.is(i, "ENTRIESREAD") && i + 1 < args.len() {
                i += 1;
                options.entries_read = match args.i64(i)? {
                    -1 => None,
                    count => Some(
                        u64::try_from(count)
                            .map_err(|_| CommandError::new("ERR value for ENTRIESREAD must be positive or -1"))?,
                    ),
                };
            } else {
                return Err(bad_subcommand("XGROUP", args.get(1)));
            }
            i += 1;
        }
        Ok(options)
    }
}
