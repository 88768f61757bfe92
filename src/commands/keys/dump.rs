//! Values as portable bytes: DUMP, RESTORE.
//!
//! A payload is what an RDB file holds for the value (type, then value), two bytes of RDB version and a CRC-64 of all that.
//! It says the version of Redis 8 whatever the type, and thus is byte for byte what Redis 8 answers.

use crate::command::context::KeysCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::crc64::checksum;
use crate::keyspace::db::discard;
use crate::keyspace::{Entry, Event};
use crate::persist::rdb::decode::{self, Decoded, Rules};
use crate::persist::rdb::encode::{Encoder, kind_of};
use crate::persist::rdb::format::{Flavor, VALKEY_VERSION, VERSION_MAX, version_of};
use crate::persist::rdb::load::{AccessMark, clock};
use crate::persist::rdb::read::{Reader, Slice};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DUMP",
        arity: Arity::exactly(2),
        since: "2.6.0",
        complexity: "O(1) to find the key and O(N*M) to write its value, where N is the number of elements and M their average size",
        summary: "Tells a value as bytes that RESTORE takes.",
        syntax: "key",
        flags: flags(&[Flag::ReadOnly]),
        acl: categories(&[Category::Keyspace]),
        keys: &[KeySpec::at(1).access(READ)],
        tips: &["nondeterministic_output"],
        run: Handler::Keys(dump),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RESTORE",
        since: "2.6.0",
        history: &[("3.0.0", "Knows `REPLACE`."), ("5.0.0", "Knows `ABSTTL`, `IDLETIME` and `FREQ`.")],
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        ..RESTORE
    },
    CommandSpec {
        name: "RESTORE-ASKING",
        group: Group::Server,
        since: "3.0.0",
        history: &[("3.0.0", "Knows `REPLACE`."), ("5.0.0", "Knows `ABSTTL`, `IDLETIME` and `FREQ`.")],
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::Asking]),
        ..RESTORE
    },
];
const _: () = check(COMMANDS);

const RESTORE: CommandSpec = CommandSpec {
    arity: Arity::at_least(4),
    complexity: "O(1) to create the key and O(N*M) to read its value, where N is the number of elements and M their average size; sorted sets O(N*M*log(N))",
    summary: "Creates a key from the bytes that DUMP told.",
    syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
    acl: categories(&[Category::Keyspace, Category::Dangerous]),
    keys: &[KeySpec::at(1).access(OVERWRITE)],
    run: Handler::Keys(restore),
    ..CommandSpec::BASE
};

const BAD_CHECKSUM: CommandError = CommandError::new("ERR DUMP payload version or checksum are wrong");
const BAD_DATA: CommandError = CommandError::new("ERR Bad data format");

/// Bytes behind the value: version and checksum.
const FOOTER_LEN: usize = 10;

fn dump(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let compression = ctx.db.keyspace.env.settings.rdb_compression;
    match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => ctx.reply.bulk(&payload(&entry, compression)),
        None => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

/// The payload of an entry's value.
pub fn payload(entry: &Entry, compression: bool) -> Vec<u8> {
    payload_of_version(entry, compression, VERSION_MAX)
}

/// The payload of an entry's value for another server, which may be older: of the first version that knows its form.
pub fn portable_payload(entry: &Entry, compression: bool) -> Vec<u8> {
    payload_of_version(entry, compression, version_of(kind_of(entry)))
}

fn payload_of_version(entry: &Entry, compression: bool, version: u16) -> Vec<u8> {
    let mut out = vec![kind_of(entry)];
    Encoder::new(compression).value(entry, &mut out);
    out.extend_from_slice(&version.to_le_bytes());
    let crc = checksum(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The options of RESTORE.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    access: AccessMark,
}

fn restore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let options = options(ctx)?;
    let (key, bytes) = (ctx.args.get(1), ctx.args.get(3));
    if !options.replace && ctx.db.peek(key).is_some() {
        return Err(error::BUSYKEY);
    }
    let ttl = ctx.args.i64(2)?;
    if ttl < 0 {
        return Err(CommandError::new("ERR Invalid TTL value, must be >= 0"));
    }
    let settings = &ctx.db.keyspace.env.settings;
    let flavor = verify(bytes, settings.skip_dump_checksum)?;
    let deadline = match ttl {
        0 => None,
        _ if options.absolute => Some(ttl),
        _ => Some(ttl.saturating_add(ctx.db.now())),
    };
    let deep = settings.sanitize_dumps && !(settings.sanitize_by_user && ctx.rights.trusted_payloads);
    let rules = Rules { limits: &settings.limits, flavor, deep };
    // The footer is not cut off: a length that reaches into it goes through, as in the original.
    let mut input = Reader::new(Slice::new(&bytes[1..]));
    let decoded = decode::value(&mut input, rules, bytes[0], key, deadline);
    let mut entry = match decoded {
        Ok(Decoded::Entry(entry)) => entry,
        Ok(Decoded::Empty | Decoded::Module(_)) => return Err(BAD_DATA),
        Err(fault) => {
            tracing::warn!("Bad data format of a payload to be restored: {fault}");
            return Err(BAD_DATA);
        }
    };
    if deadline.is_some_and(|deadline| deadline <= ctx.db.expiry_now()) {
        // It would be gone at once; only what it replaces is.
        if options.replace && ctx.db.delete(key, Event::DEL) {
            let command = if ctx.db.keyspace.env.settings.lazyfree_server_del { &b"UNLINK"[..] } else { b"DEL" };
            ctx.db.propagate_as([command, key]);
        }
        ctx.reply.ok();
        return Ok(Flow::Done);
    }
    entry.set_clock(clock(ctx.db.keyspace, options.access));
    let old = ctx.db.entry(key).put_entry(entry, Event::RESTORE);
    let env = &mut ctx.db.keyspace.env;
    if let Some(old) = old {
        let lazily = env.settings.lazyfree_server_del;
        discard(env, old, lazily);
    }
    if let Some(deadline) = deadline
        && !options.absolute
    {
        let mut digits = itoa::Buffer::new();
        let deadline = digits.format(deadline).as_bytes();
        let head = [ctx.args.get(0), key, deadline];
        let request: Vec<&[u8]> = head.into_iter().chain(ctx.args.from(3)).chain([&b"ABSTTL"[..]]).collect();
        ctx.db.propagate_as(request);
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}

fn options(ctx: &KeysCtx<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut i = 4;
    while i < ctx.args.len() {
        let has_value = i + 1 < ctx.args.len();
        if ctx.args.is(i, "REPLACE") {
            options.replace = true;
        } else if ctx.args.is(i, "ABSTTL") {
            options.absolute = true;
        } else if ctx.args.is(i, "IDLETIME") && has_value && options.access.frequency.is_none() {
            i += 1;
            let idle = u64::try_from(ctx.args.i64(i)?);
            options.access.idle = Some(idle.map_err(|_| CommandError::new("ERR Invalid IDLETIME value, must be >= 0"))?);
        } else if ctx.args.is(i, "FREQ") && has_value && options.access.idle.is_none() {
            i += 1;
            let counter = u8::try_from(ctx.args.i64(i)?);
            let refusal = CommandError::new("ERR Invalid FREQ value, must be >= 0 and <= 255");
            options.access.frequency = Some(counter.map_err(|_| refusal)?);
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    Ok(options)
}

/// Whose payload it is, if version and checksum are right.
fn verify(bytes: &[u8], trust: bool) -> Result<Flavor, CommandError> {
    let Some((body, footer)) = bytes.split_last_chunk::<FOOTER_LEN>() else { return Err(BAD_CHECKSUM) };
    let (version, crc) = footer.split_at(2);
    let flavor = match u16::from_le_bytes([version[0], version[1]]) {
        ..=VERSION_MAX => Flavor::Redis,
        VALKEY_VERSION => Flavor::Valkey,
        _ => return Err(BAD_CHECKSUM),
    };
    if !trust && checksum(&bytes[..bytes.len() - 8]).to_le_bytes() != crc {
        return Err(BAD_CHECKSUM);
    }
    // There is no type even.
    if body.is_empty() {
        return Err(BAD_DATA);
    }
    Ok(flavor)
}
