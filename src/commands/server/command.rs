//! COMMAND and its subcommands: the table of commands told to clients. Everything here is a view of the rows.

use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::getkeys;
use crate::command::spec::*;
use crate::command::syntax::{self, Argument, Kind};
use crate::command::table::{Command, CommandTable};
use crate::ds::algo::glob;
use crate::resp::reply::ReplyWriter;
use crate::resp::request::Args;

const ANYTIME: u32 = flags(&[Flag::Loading, Flag::Stale]);
const CONNECTION: u32 = categories(&[Category::Connection]);
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "COMMAND",
        arity: Arity::at_least(1),
        group: Group::Server,
        since: "2.8.13",
        complexity: "O(N) where N is the number of commands",
        summary: "Tells all commands with their properties.",
        flags: ANYTIME,
        acl: CONNECTION,
        tips: UNORDERED,
        run: Handler::Server(command),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|COUNT",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "2.8.13",
        summary: "Tells the number of commands.",
        flags: ANYTIME,
        acl: CONNECTION,
        run: Handler::Server(count),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|DOCS",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands asked for",
        summary: "Tells what commands do and which arguments they take.",
        syntax: "[command-name [command-name ...]]",
        flags: ANYTIME,
        acl: CONNECTION,
        tips: UNORDERED,
        run: Handler::Server(docs),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|GETKEYS",
        arity: Arity::at_least(3),
        group: Group::Server,
        since: "2.8.13",
        complexity: "O(N) where N is the number of arguments",
        summary: "Tells the keys in a request.",
        syntax: "command [arg [arg ...]]",
        flags: ANYTIME,
        acl: CONNECTION,
        run: Handler::Server(getkeys),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|GETKEYSANDFLAGS",
        arity: Arity::at_least(3),
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the number of arguments",
        summary: "Tells the keys in a request and what becomes of each.",
        syntax: "command [arg [arg ...]]",
        flags: ANYTIME,
        acl: CONNECTION,
        run: Handler::Server(getkeysandflags),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|HELP",
        arity: Arity::exactly(2),
        group: Group::Server,
        since: "5.0.0",
        summary: "Lists the subcommands.",
        flags: ANYTIME,
        acl: CONNECTION,
        run: Handler::Server(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|INFO",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "2.8.13",
        complexity: "O(N) where N is the number of commands asked for",
        summary: "Tells the properties of some commands.",
        syntax: "[command-name [command-name ...]]",
        flags: ANYTIME,
        acl: CONNECTION,
        tips: UNORDERED,
        history: &[("7.0.0", "Tells of all commands if none is named.")],
        run: Handler::Server(info),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND|LIST",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands",
        summary: "Tells the names of commands.",
        syntax: "[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
        flags: ANYTIME,
        acl: CONNECTION,
        tips: UNORDERED,
        run: Handler::Server(list),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn command(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len() > 1 {
        return Err(error::unknown_subcommand(ctx.spec.name, ctx.args.get(1)));
    }
    write_all(ctx);
    Ok(Flow::Done)
}

fn count(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.count(ctx.world.commands.top_level().count());
    Ok(Flow::Done)
}

fn docs(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let table = &ctx.world.commands;
    let wanted: Vec<&Command> = match ctx.args.len() {
        2 => table.top_level().map(|(_, command)| command).collect(),
        _ => ctx.args.from(2).filter_map(|name| find(table, name)).map(|at| table.get(at)).collect(),
    };
    ctx.reply.map(wanted.len());
    for command in wanted {
        ctx.reply.bulk(command.name.as_bytes());
        write_docs(&mut ctx.reply, table, command);
    }
    Ok(Flow::Done)
}

fn getkeys(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (args, keys) = keys_of(ctx)?;
    ctx.reply.array(keys.len());
    for (at, _) in keys {
        ctx.reply.bulk(args.get(at));
    }
    Ok(Flow::Done)
}

fn getkeysandflags(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let (args, keys) = keys_of(ctx)?;
    ctx.reply.array(keys.len());
    for (at, flags) in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(args.get(at));
        write_key_flags(&mut ctx.reply, flags);
    }
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Tell all commands with their properties.",
        "COUNT",
        "    Tell the number of commands.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Tell the names of commands.",
        "INFO [<command-name> ...]",
        "    Tell the properties of some commands (default: all).",
        "DOCS [<command-name> ...]",
        "    Tell what some commands do and which arguments they take (default: all).",
        "GETKEYS <full-command>",
        "    Tell the keys in a request.",
        "GETKEYSANDFLAGS <full-command>",
        "    Tell the keys in a request and what becomes of each.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn info(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len() == 2 {
        write_all(ctx);
        return Ok(Flow::Done);
    }
    let table = &ctx.world.commands;
    ctx.reply.array(ctx.args.len() - 2);
    for name in ctx.args.from(2) {
        match find(table, name) {
            Some(at) => write_info(&mut ctx.reply, table, table.get(at)),
            None => ctx.reply.null(),
        }
    }
    Ok(Flow::Done)
}

fn list(ctx: &mut ServerCtx<'_>) -> CommandResult {
    enum Filter<'a> {
        None,
        Nothing,
        Category(u32),
        Pattern(&'a [u8]),
    }
    let args = ctx.args;
    let filter = match args.len() {
        2 => Filter::None,
        5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => Filter::Nothing,
        5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => {
            let name = args.get(4).to_ascii_lowercase();
            let found = Category::ALL.iter().find(|category| category.name().as_bytes() == name);
            found.map_or(Filter::Nothing, |category| Filter::Category(category.bit()))
        }
        5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => Filter::Pattern(args.get(4)),
        _ => return Err(error::SYNTAX),
    };
    let array = ctx.reply.array_deferred();
    let mut count = 0;
    for (_, command) in ctx.world.commands.iter() {
        let fits = match filter {
            Filter::None => true,
            Filter::Nothing => false,
            Filter::Category(bit) => command.spec.all_categories() & bit != 0,
            Filter::Pattern(pattern) => glob::matches(pattern, command.name.as_bytes(), true),
        };
        if fits && !command.name.is_empty() {
            ctx.reply.bulk(command.name.as_bytes());
            count += 1;
        }
    }
    ctx.reply.finish(array, count);
    Ok(Flow::Done)
}

/// A command by its name, `container|sub` for subcommands.
fn find(table: &CommandTable, name: &[u8]) -> Option<u16> {
    match memchr::memchr(b'|', name) {
        None => table.find(name),
        Some(bar) => table.find_sub(table.find(&name[..bar])?, &name[bar + 1..]),
    }
}

/// The keys of the request that follows GETKEYS, as positions in it.
fn keys_of<'a>(ctx: &ServerCtx<'a>) -> Result<(Args<'a>, Vec<(usize, u16)>), CommandError> {
    let (bytes, spans) = ctx.args.parts();
    let args = Args::new(bytes, &spans[2..]);
    let at = ctx.world.commands.lookup(args).ok_or(CommandError::new("ERR Invalid command specified"))?;
    let spec = ctx.world.commands.get(at).spec;
    if spec.keys.is_empty() {
        return Err(CommandError::new("ERR The command has no key arguments"));
    }
    if !spec.arity.allows(args.len()) {
        return Err(CommandError::new("ERR Invalid number of arguments specified for command"));
    }
    let mut keys = Vec::new();
    match getkeys::exact_keys_of(spec, args, |at, flags| keys.push((at, flags))) {
        Ok(()) if !keys.is_empty() => Ok((args, keys)),
        _ if spec.has(Flag::NoMandatoryKeys) => Ok((args, Vec::new())),
        _ => Err(CommandError::new("ERR Invalid arguments specified for command")),
    }
}

fn write_all(ctx: &mut ServerCtx<'_>) {
    let table = &ctx.world.commands;
    ctx.reply.array(table.top_level().count());
    for (_, command) in table.top_level() {
        write_info(&mut ctx.reply, table, command);
    }
}

fn write_info(reply: &mut ReplyWriter<'_>, table: &CommandTable, command: &Command) {
    let spec = command.spec;
    let (first, last, step) = getkeys::legacy_range(spec);
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(spec.arity.0 as i64);
    let shown =
        |flag: &&Flag| spec.has(**flag) && !matches!(flag, Flag::MayReplicate | Flag::Transaction | Flag::TouchesArbitraryKeys);
    reply.set(Flag::ALL.iter().filter(shown).count());
    Flag::ALL.iter().filter(shown).for_each(|flag| reply.simple(flag.name()));
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let all = spec.all_categories();
    reply.set(all.count_ones() as usize);
    for category in Category::ALL.iter().filter(|category| all & category.bit() != 0) {
        reply.simple(&format!("@{}", category.name()));
    }
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|rule| write_key_spec(reply, rule));
    reply.set(command.subcommands.len());
    for at in command.subcommands.clone() {
        write_info(reply, table, table.get(at as u16));
    }
}

fn write_key_spec(reply: &mut ReplyWriter<'_>, rule: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    write_key_flags(reply, rule.flags);
    reply.bulk(b"begin_search");
    match rule.begin {
        Begin::Index(index) => write_rule(reply, "index", &[("index", index as i64)]),
        Begin::Keyword { word, from } => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(from as i64);
        }
        Begin::Unknown => write_rule(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match rule.find {
        Find::Range { last, step, limit } => {
            write_rule(reply, "range", &[("lastkey", last as i64), ("keystep", step as i64), ("limit", limit as i64)]);
        }
        Find::Count { count_at, first, step } => {
            let fields = [("keynumidx", count_at as i64), ("firstkey", first as i64), ("keystep", step as i64)];
            write_rule(reply, "keynum", &fields);
        }
        Find::Unknown => write_rule(reply, "unknown", &[]),
    }
}

fn write_rule(reply: &mut ReplyWriter<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

fn write_key_flags(reply: &mut ReplyWriter<'_>, flags: u16) {
    reply.set(flags.count_ones() as usize);
    for (bit, name) in KeyFlags::NAMES.iter().enumerate() {
        if flags & (1 << bit) != 0 {
            reply.simple(name);
        }
    }
}

fn write_docs(reply: &mut ReplyWriter<'_>, table: &CommandTable, command: &Command) {
    let spec = command.spec;
    let map = reply.map_deferred();
    let mut fields = 4;
    for (name, value) in
        [("summary", spec.summary), ("since", spec.since), ("group", spec.group.name()), ("complexity", spec.complexity)]
    {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    // Commands for the system's own ends are marked; DEBUG is the one that a group does not tell.
    let is_internal = matches!(spec.name, "DEBUG" | "PFDEBUG" | "PFSELFTEST" | "REPLCONF" | "PSYNC" | "SYNC" | "RESTORE-ASKING");
    if spec.deprecated.is_some() || is_internal {
        fields += 1;
        reply.bulk(b"doc_flags");
        reply.set(spec.deprecated.is_some() as usize + is_internal as usize);
        if spec.deprecated.is_some() {
            reply.simple("deprecated");
        }
        if is_internal {
            reply.simple("syscmd");
        }
    }
    if let Some((since, instead)) = spec.deprecated {
        fields += 2;
        reply.bulk(b"deprecated_since");
        reply.bulk(since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(instead.as_bytes());
    }
    if !spec.history.is_empty() {
        fields += 1;
        reply.bulk(b"history");
        reply.set(spec.history.len());
        for (version, change) in spec.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    let arguments = syntax::arguments(spec);
    if !arguments.is_empty() {
        fields += 1;
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments);
    }
    if !command.subcommands.is_empty() {
        fields += 1;
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for at in command.subcommands.clone() {
            let sub = table.get(at as u16);
            reply.bulk(sub.name.as_bytes());
            write_docs(reply, table, sub);
        }
    }
    reply.finish(map, fields);
}

fn write_arguments(reply: &mut ReplyWriter<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let map = reply.map_deferred();
        let mut fields = 2;
        let text = |reply: &mut ReplyWriter<'_>, name: &str, value: &str| {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        };
        text(reply, "name", &argument.name);
        text(reply, "type", argument.kind.name());
        if !matches!(argument.kind, Kind::OneOf | Kind::Block) {
            fields += 1;
            text(reply, "display_text", &argument.name);
        }
        if let Some(index) = argument.key_spec {
            fields += 1;
            reply.bulk(b"key_spec_index");
            reply.count(index);
        }
        if let Some(token) = &argument.token {
            fields += 1;
            text(reply, "token", token);
        }
        let flags =
            [(argument.optional, "optional"), (argument.multiple, "multiple"), (argument.multiple_token, "multiple_token")];
        let set = flags.iter().filter(|(yes, _)| *yes).count();
        if set > 0 {
            fields += 1;
            reply.bulk(b"flags");
            reply.set(set);
            flags.iter().filter(|(yes, _)| *yes).for_each(|(_, name)| reply.simple(name));
        }
        if !argument.arguments.is_empty() {
            fields += 1;
            reply.bulk(b"arguments");
            write_arguments(reply, &argument.arguments);
        }
        reply.finish(map, fields);
    }
}
