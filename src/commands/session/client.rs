//! CLIENT about this connection: its id, name, library, replies, and how it treats access clocks and eviction.

use super::connection::{check_name, is_listable};
use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::session::ReplyMode;

/// Flags of most of CLIENT's subcommands.
pub(super) const CLIENT: u32 = flags(&[Flag::NoScript, Flag::Loading, Flag::Stale]);
const CONNECTION: u32 = categories(&[Category::Connection]);

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLIENT",
        arity: Arity::at_least(2),
        group: Group::Connection,
        since: "2.4.0",
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands about client connections.",
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|GETNAME",
        arity: Arity::exactly(2),
        group: Group::Connection,
        since: "2.6.9",
        summary: "Tells the name of the connection.",
        flags: CLIENT,
        acl: CONNECTION,
        run: Handler::Session(getname),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|HELP",
        arity: Arity::exactly(2),
        group: Group::Connection,
        since: "5.0.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        acl: CONNECTION,
        run: Handler::Session(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|ID",
        arity: Arity::exactly(2),
        group: Group::Connection,
        since: "5.0.0",
        summary: "Tells the id of the connection.",
        flags: CLIENT,
        acl: CONNECTION,
        run: Handler::Session(id),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|NO-EVICT",
        arity: Arity::exactly(3),
        group: Group::Connection,
        since: "7.0.0",
        summary: "Exempts the connection from being closed when client buffers use too much memory.",
        syntax: "<ON|OFF>",
        flags: CLIENT | flags(&[Flag::Admin]),
        acl: CONNECTION,
        run: Handler::Session(no_evict),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|NO-TOUCH",
        arity: Arity::exactly(3),
        group: Group::Connection,
        since: "7.2.0",
        summary: "Lets the connection's commands leave the access clocks of keys as they are.",
        syntax: "<ON|OFF>",
        flags: CLIENT,
        acl: CONNECTION,
        run: Handler::Session(no_touch),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|REPLY",
        arity: Arity::exactly(3),
        group: Group::Connection,
        since: "3.2.0",
        summary: "Switches replies to the connection on or off, or leaves the next one out.",
        syntax: "<ON|OFF|SKIP>",
        flags: CLIENT,
        acl: CONNECTION,
        run: Handler::Session(reply),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|SETINFO",
        arity: Arity::exactly(4),
        group: Group::Connection,
        since: "7.2.0",
        summary: "Notes the name or the version of the client's library.",
        syntax: "<LIB-NAME libname|LIB-VER libver>",
        flags: CLIENT,
        acl: CONNECTION,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Handler::Session(setinfo),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT|SETNAME",
        arity: Arity::exactly(3),
        group: Group::Connection,
        since: "2.6.9",
        summary: "Names the connection.",
        syntax: "connection-name",
        flags: CLIENT,
        acl: CONNECTION,
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Handler::Session(setname),
        ..CommandSpec::BASE
    },
];
const _: () = check(COMMANDS);

fn getname(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let name = (!ctx.session.name.is_empty()).then_some(&*ctx.session.name);
    ctx.reply.bulk_or_null(name);
    Ok(Flow::Done)
}

fn help(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING (YES|NO)",
        "    Track, or do not track, the keys that the next command reads (modes OPTIN and OPTOUT).",
        "GETNAME",
        "    Tell the name of this connection.",
        "GETREDIR",
        "    Tell the id of the client that gets this connection's invalidation messages.",
        "ID",
        "    Tell the id of this connection.",
        "INFO",
        "    Describe this connection.",
        "KILL <ip:port>",
        "    Close the connection from this address.",
        "KILL <option> <value> [<option> <value> ...]",
        "    Close all connections that fit all of these:",
        "    * ID <client-id> [<client-id> ...]",
        "    * ADDR <ip:port>, IP <ip>, LADDR <ip:port>: the address of the client, or of our end",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "    * USER <username>, DB <db>, NAME <name>, LIB-NAME <name>, LIB-VER <version>",
        "    * FLAGS <letters>: has all of these flags",
        "    * MAXAGE <seconds>, IDLE <seconds>: connected, or without a request, for at least so long",
        "    * SKIPME (YES|NO): spare this connection (default: yes)",
        "    All but the last three also with NOT- before them.",
        "LIST [<option> <value> ...]",
        "    Describe all connections, or those that fit the options of KILL (SKIPME: default no).",
        "NO-EVICT (ON|OFF)",
        "    Never close this connection because client buffers use too much memory.",
        "NO-TOUCH (ON|OFF)",
        "    Leave access clocks of keys as they are.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Let commands that write, or all, wait for so many milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Send replies, send none, or leave out the next one.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Note the name or the version of the client's library.",
        "SETNAME <name>",
        "    Name this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
        "    Begin or end client-side caching.",
        "TRACKINGINFO",
        "    Tell how this connection uses client-side caching.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    End another client's wait for keys.",
        "UNPAUSE",
        "    End a pause of clients.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}

fn id(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.reply.integer(ctx.session.id.0 as i64);
    Ok(Flow::Done)
}

fn no_evict(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.session.no_evict = on_or_off(ctx)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn no_touch(ctx: &mut SessionCtx<'_>) -> CommandResult {
    ctx.session.no_touch = on_or_off(ctx)?;
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn reply(ctx: &mut SessionCtx<'_>) -> CommandResult {
    if ctx.args.is(2, "ON") {
        ctx.session.reply_mode = ReplyMode::On;
        ctx.reply.ok();
        return Ok(Flow::Done);
    }
    if ctx.args.is(2, "OFF") {
        ctx.session.reply_mode = ReplyMode::Off;
    } else if ctx.args.is(2, "SKIP") {
        if ctx.session.reply_mode != ReplyMode::Off {
            ctx.session.reply_mode = ReplyMode::SkipThisAndNext;
        }
    } else {
        return Err(error::SYNTAX);
    }
    Ok(Flow::Silent)
}

fn setinfo(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let value = ctx.args.get(3);
    let (place, shown) = if ctx.args.is(2, "LIB-NAME") {
        (&mut ctx.session.lib_name, "lib-name")
    } else if ctx.args.is(2, "LIB-VER") {
        (&mut ctx.session.lib_version, "lib-ver")
    } else {
        let mut text = b"ERR Unrecognized option '".to_vec();
        text.extend_from_slice(ctx.args.get(2));
        text.push(b'\'');
        return Err(CommandError::bytes(text));
    };
    if !is_listable(value) {
        return Err(CommandError::text(format!("ERR {shown} cannot contain spaces, newlines or special characters.")));
    }
    *place = value.into();
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn setname(ctx: &mut SessionCtx<'_>) -> CommandResult {
    check_name(ctx.args.get(2))?;
    ctx.session.name = ctx.args.get(2).into();
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn on_or_off(ctx: &SessionCtx<'_>) -> Result<bool, CommandError> {
    if ctx.args.is(2, "ON") {
        Ok(true)
    } else if ctx.args.is(2, "OFF") {
        Ok(false)
    } else {
        Err(error::SYNTAX)
    }
}
