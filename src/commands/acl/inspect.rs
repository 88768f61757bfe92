//! ACL CAT, DRYRUN, GENPASS, WHOAMI and HELP: what there is to know without changing anything.

use super::{ADMIN, PLAIN};
use crate::acl::Catalog;
use crate::command::args::Args;
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::permission;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ACL",
        arity: Arity::at_least(2),
        group: Group::Server,
        since: "6.0.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about users and what they may do.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ACL|CAT",
        arity: Arity::at_least(2),
        complexity: "O(1) since the categories and commands are a fixed set",
        summary: "Tells the categories of commands, or the commands of a category.",
        syntax: "[category]",
        run: Handler::Server(cat),
        ..PLAIN
    },
    CommandSpec {
        name: "ACL|DRYRUN",
        arity: Arity::at_least(4),
        since: "7.0.0",
        summary: "Tells whether a user may run a command, without running it.",
        syntax: "username command [arg [arg ...]]",
        run: Handler::Server(dryrun),
        ..ADMIN
    },
    CommandSpec {
        name: "ACL|GENPASS",
        arity: Arity::at_least(2),
        summary: "Makes a random password.",
        syntax: "[bits]",
        run: Handler::Server(genpass),
        ..PLAIN
    },
    CommandSpec {
        name: "ACL|HELP",
        arity: Arity::exactly(2),
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..PLAIN
    },
    CommandSpec {
        name: "ACL|WHOAMI",
        arity: Arity::exactly(2),
        summary: "Tells the user that the connection is logged in as.",
        run: Handler::Server(whoami),
        ..PLAIN
    },
];
const _: () = check(COMMANDS);

fn cat(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let reply = &mut ctx.reply;
    match args.len() {
        2 => {
            reply.array(Category::ALL.len());
            Category::ALL.iter().for_each(|category| reply.bulk(category.name().as_bytes()));
        }
        3 => {
            let table = &ctx.world.commands;
            let Some(bit) = table.category(args.get(2)) else {
                let name = args.get(2);
                return Err(CommandError::bytes([b"ERR Unknown category '", &name[..name.len().min(128)], b"'"].concat()));
            };
            let array = reply.array_deferred();
            let mut count = 0;
            for (_, command) in table.iter().filter(|(at, _)| table.categories(*at) & bit != 0) {
                reply.bulk(command.spec.name.to_ascii_lowercase().as_bytes());
                count += 1;
            }
            reply.finish(array, count);
        }
        _ => return Err(super::users::wrong_form(args)),
    }
    Ok(Flow::Done)
}

fn dryrun(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let name = ctx.args.get(2);
    let not_found = |what: &[u8], name: &[u8]| Err(CommandError::bytes([b"ERR ", what, b" '", name, b"' not found"].concat()));
    let Some(user) = ctx.world.acl.get(name) else { return not_found(b"User", name) };
    let (bytes, spans) = ctx.args.parts();
    let request = Args::new(bytes, &spans[3..]);
    let table = &ctx.world.commands;
    // A container stands for itself only where no subcommand is given.
    let found = table.lookup(request).filter(|at| request.len() == 1 || table.get(*at).subcommands.is_empty());
    let Some(at) = found else { return not_found(b"Command", request.get(0)) };
    let spec = table.get(at).spec;
    if !spec.arity.allows(request.len()) {
        return Err(error::wrong_arity(spec.name));
    }
    match permission::may_run(user, at, spec, request) {
        Ok(()) => ctx.reply.ok(),
        Err(denial) => ctx.reply.bulk(&permission::denial_text(denial, user, spec, request, true)),
    }
    Ok(Flow::Done)
}

const BITS_DEFAULT: i64 = 256;
const BITS_MAX: i64 = 4096;

fn genpass(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let bits = match ctx.args.len() {
        2 => BITS_DEFAULT,
        3 => ctx.args.i64(2)?,
        _ => return Err(super::users::wrong_form(ctx.args)),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(CommandError::text(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {BITS_MAX}"
        )));
    }
    // Four bits per digit, rounded up.
    let digits = (bits as usize).div_ceil(4);
    let random = crate::sys::random::bytes(digits.div_ceil(2));
    let random = random.map_err(|error| CommandError::text(format!("ERR No random numbers: {error}")))?;
    let mut text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    ctx.reply.bulk(text.as_bytes());
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    Tell the categories, or the commands of a category.",
        "DELUSER <username> [<username> ...]",
        "    Delete users and close their connections.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Tell whether a user may run a command, without running it.",
        "GETUSER <username>",
        "    Describe a user.",
        "GENPASS [<bits>]",
        "    Make a random password of 256 bits, or of as many as asked for.",
        "LIST",
        "    Show all users as lines of the ACL file.",
        "LOAD",
        "    Put the users of the ACL file in the place of all users.",
        "LOG [<count> | RESET]",
        "    Show the latest refusals, or forget them.",
        "SAVE",
        "    Write all users to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create a user, or change one.",
        "USERS",
        "    Tell the names of all users.",
        "WHOAMI",
        "    Tell the user of this connection.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn whoami(ctx: &mut ServerCtx<'_>) -> CommandResult {
    match &ctx.session.user {
        Some(user) => ctx.reply.bulk(&user.name),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}
