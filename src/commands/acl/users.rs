//! ACL SETUSER, DELUSER, GETUSER, LIST and USERS: the users and their rules.

use super::{ADMIN, ALL_NODES};
use crate::acl::{self, Selector, User};
use crate::command::args::Args;
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::reply::ReplyWriter;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ACL|DELUSER",
        arity: Arity::at_least(3),
        complexity: "O(1) amortized time considering the typical user",
        summary: "Deletes users and closes their connections.",
        syntax: "username [username ...]",
        tips: ALL_NODES,
        run: Handler::Server(deluser),
        ..ADMIN
    },
    CommandSpec {
        name: "ACL|GETUSER",
        arity: Arity::exactly(3),
        complexity: "O(N) where N is the number of passwords and rules of the user",
        summary: "Describes a user.",
        syntax: "username",
        history: &[
            ("6.2.0", "Tells patterns of channels."),
            ("7.0.0", "Tells selectors, and keys and channels as rules instead of lists."),
        ],
        run: Handler::Server(getuser),
        ..ADMIN
    },
    CommandSpec {
        name: "ACL|LIST",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of users",
        summary: "Shows all users as lines of the ACL file.",
        run: Handler::Server(list),
        ..ADMIN
    },
    CommandSpec {
        name: "ACL|SETUSER",
        arity: Arity::at_least(3),
        complexity: "O(N) where N is the number of rules given",
        summary: "Creates a user or changes the rules of one.",
        syntax: "username [rule [rule ...]]",
        tips: ALL_NODES,
        history: &[
            ("6.2.0", "Takes patterns of channels."),
            ("7.0.0", "Takes selectors and patterns of keys that are only read or written."),
        ],
        run: Handler::Server(setuser),
        ..ADMIN
    },
    CommandSpec {
        name: "ACL|USERS",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of users",
        summary: "Tells the names of all users.",
        run: Handler::Server(users),
        ..ADMIN
    },
];
const _: () = check(COMMANDS);

/// The refusal for a subcommand that takes fewer arguments than its row says, in the words of old.
pub(super) fn wrong_form(args: Args<'_>) -> CommandError {
    let given = args.get(1);
    let shown = &given[..given.len().min(128)];
    CommandError::bytes([b"ERR unknown subcommand or wrong number of arguments for '", shown, b"'. Try ACL HELP."].concat())
}

fn deluser(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.from(2).any(|name| name == acl::DEFAULT) {
        return Err(CommandError::new("ERR The 'default' user cannot be removed"));
    }
    let (args, mut deleted) = (ctx.args, 0);
    let expelled = ctx.world.change_users(ctx.session, |acl| {
        deleted = args.from(2).filter(|name| acl.remove(name).is_some()).count();
    });
    ctx.reply.count(deleted);
    Ok(if expelled { Flow::Close } else { Flow::Done })
}

fn getuser(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let reply = &mut ctx.reply;
    let Some(user) = ctx.world.acl.get(ctx.args.get(2)) else {
        reply.null();
        return Ok(Flow::Done);
    };
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.password_hashes().len());
    user.password_hashes().for_each(|hash| reply.bulk(hash.as_bytes()));
    write_selector(reply, user.root());
    reply.bulk(b"selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(3);
        write_selector(reply, selector);
    }
    Ok(Flow::Done)
}

fn write_selector(reply: &mut ReplyWriter<'_>, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands());
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

fn list(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let users = ctx.world.acl.users();
    ctx.reply.array(users.len());
    users.for_each(|user| ctx.reply.bulk(&user.line()));
    Ok(Flow::Done)
}

fn setuser(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let name = ctx.args.get(2);
    if acl::has_blanks(name) {
        return Err(CommandError::new("ERR Usernames can't contain spaces or null characters"));
    }
    // All of it is applied to a copy, so that a mistake changes nothing.
    let rules = ctx.world.rules();
    let mut user = ctx.world.acl.get(name).map_or_else(|| User::new(name, rules), |known| User::clone(known));
    user.apply_all(ctx.args.from(3), rules).map_err(|refusal| CommandError::text(format!("ERR {refusal}")))?;
    let expelled = ctx.world.put_user(ctx.session, user);
    ctx.reply.ok();
    Ok(if expelled { Flow::Close } else { Flow::Done })
}

fn users(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let users = ctx.world.acl.users();
    ctx.reply.array(users.len());
    users.for_each(|user| ctx.reply.bulk(&user.name));
    Ok(Flow::Done)
}
