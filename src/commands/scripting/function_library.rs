//! Libraries of functions come and go: FUNCTION with LOAD, DELETE, FLUSH, DUMP, RESTORE.

use super::{BASE, bad_subcommand, is_flush_mode};
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::ds::algo::crc64::checksum;
use crate::keyspace::lazyfree::Garbage;
use crate::persist::rdb::encode::Encoder;
use crate::persist::rdb::format::{VALKEY_VERSION, VERSION_MAX, opcode};
use crate::persist::rdb::read::{Reader, Slice, Source as _};

/// With no more functions than this, another thread is not worth its while.
const LAZY_MIN: usize = 64;

const WRITE: u32 = flags(&[Flag::NoScript, Flag::Write]);
const ADD: u32 = WRITE | flags(&[Flag::DenyOom]);
const TO_ALL: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "FUNCTION|DELETE",
        arity: Arity::exactly(3),
        summary: "Drops a library.",
        syntax: "library-name",
        flags: WRITE,
        tips: TO_ALL,
        run: Handler::Server(delete),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|DUMP",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of functions",
        summary: "Returns all libraries as a payload.",
        run: Handler::Server(dump),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|FLUSH",
        arity: Arity::at_least(2),
        complexity: "O(N) where N is the number of functions",
        summary: "Drops all libraries.",
        syntax: "[ASYNC|SYNC]",
        flags: WRITE,
        tips: TO_ALL,
        run: Handler::Server(flush),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|LOAD",
        arity: Arity::at_least(3),
        complexity: "That of the library's code",
        summary: "Loads a library.",
        syntax: "[REPLACE] function-code",
        flags: ADD,
        tips: TO_ALL,
        run: Handler::Server(load),
        ..BASE
    },
    CommandSpec {
        name: "FUNCTION|RESTORE",
        arity: Arity::at_least(3),
        complexity: "O(N) where N is the number of functions in the payload",
        summary: "Loads the libraries of a payload.",
        syntax: "serialized-value [FLUSH|APPEND|REPLACE]",
        flags: ADD,
        tips: TO_ALL,
        run: Handler::Server(restore),
        ..BASE
    },
];
const _: () = check(COMMANDS);

/// Counts a change, so that the request propagates.
fn changed(ctx: &mut ServerCtx<'_>) {
    ctx.world.keyspace.env.effects.more(1);
}

fn load(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut replace = false;
    let code_at = ctx.args.len() - 1;
    for at in 2..code_at {
        if !ctx.args.is(at, "REPLACE") {
            return Err(CommandError::bytes([b"ERR Unknown option given: ", ctx.args.get(at)].concat()));
        }
        replace = true;
    }
    let name = ctx.world.scripting.load_library(ctx.args.get(code_at), replace, true).map_err(CommandError::bytes)?;
    changed(ctx);
    ctx.reply.bulk(&name);
    Ok(Flow::Done)
}

fn delete(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if !ctx.world.scripting.delete_library(ctx.args.get(2)) {
        return Err(CommandError::new("ERR Library not found"));
    }
    changed(ctx);
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn flush(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len() > 3 {
        return Err(bad_subcommand("FUNCTION", "flush"));
    }
    if !is_flush_mode(ctx) {
        return Err(CommandError::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    let env = &mut ctx.world.keyspace.env;
    let lazily = if ctx.args.len() == 2 { env.settings.lazyfree_user_flush } else { ctx.args.is(2, "ASYNC") };
    if let Some((interpreter, functions)) = ctx.world.scripting.flush_functions()
        && lazily
        && functions > LAZY_MIN
    {
        env.lazyfree.send(Garbage::Other(Box::new(interpreter), functions as u64 + 1));
    }
    changed(ctx);
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn dump(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(ctx.world.config.rdbcompression);
    for (_, library) in ctx.world.scripting.libraries.iter() {
        out.push(opcode::FUNCTION);
        encoder.text(&library.code, &mut out);
    }
    out.extend_from_slice(&VERSION_MAX.to_le_bytes());
    let crc = checksum(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    ctx.reply.bulk(&out);
    Ok(Flow::Done)
}

fn restore(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.len() > 4 {
        return Err(bad_subcommand("FUNCTION", "restore"));
    }
    let policy = ctx.args.opt(3).unwrap_or(b"APPEND").to_ascii_uppercase();
    if !matches!(&policy[..], b"APPEND" | b"REPLACE" | b"FLUSH") {
        return Err(CommandError::new("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."));
    }
    let codes = libraries_of(ctx.args.get(2))?;
    let scripting = &mut ctx.world.scripting;
    scripting.restore_libraries(&codes, policy == b"FLUSH", policy == b"REPLACE").map_err(CommandError::bytes)?;
    changed(ctx);
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The codes of the libraries in a payload.
fn libraries_of(payload: &[u8]) -> Result<Vec<Box<[u8]>>, CommandError> {
    const FOOTER_LEN: usize = 10;
    const BAD_CHECKSUM: CommandError = CommandError::new("ERR DUMP payload version or checksum are wrong");
    let (body, footer) = payload.split_last_chunk::<FOOTER_LEN>().ok_or(BAD_CHECKSUM)?;
    let (version, crc) = footer.split_at(2);
    let version = u16::from_le_bytes([version[0], version[1]]);
    if (version > VERSION_MAX && version != VALKEY_VERSION) || checksum(&payload[..payload.len() - 8]).to_le_bytes() != crc {
        return Err(BAD_CHECKSUM);
    }
    let mut codes = Vec::new();
    let mut input = Reader::new(Slice::new(body));
    while input.source.remaining() > 0 {
        let kind = input.byte().map_err(|_| CommandError::new("ERR can not read data type"))?;
        match kind {
            opcode::FUNCTION => {}
            opcode::FUNCTION_EARLY => return Err(CommandError::new("ERR Pre-GA function format not supported")),
            _ => return Err(CommandError::new("ERR given type is not a function")),
        }
        let mut code = Vec::new();
        input.text(&mut code).map_err(|_| CommandError::new("ERR Failed loading library name"))?;
        codes.push(code.into());
    }
    Ok(codes)
}
