//! DEBUG: what test suites call to look behind the curtain or to bring about what otherwise takes patience. Guarded by
//! `enable-debug-command`, as some of it brings the server down on purpose.

use super::config::{is_local, rewrite_file};
use super::digest;
use super::persistence::reload;
use crate::clock;
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::config::parse_memory;
use crate::ds::algo::glob;
use crate::ds::hash::Hash;
use crate::ds::list::List;
use crate::ds::set::Set;
use crate::ds::sorted_set::SortedSet;
use crate::keyspace::value::{ValueType, encoding_of, type_of};
use crate::keyspace::{Entry, Event, Str};
use crate::raw::alloc;
use crate::raw::entry::Payload;
use crate::raw::table::{Item, Table};
use crate::resp::number;
use crate::session::Session;
use crate::types::DbIndex;
use crate::world::Order;
use std::time::Duration;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "DEBUG",
    arity: Arity::at_least(2),
    group: Group::Server,
    complexity: "Depends on the subcommand.",
    summary: "Holds the commands for tests of the server itself.",
    flags: flags(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
    run: Handler::Server(debug),
    ..CommandSpec::BASE
}];
const _: () = check(COMMANDS);

fn debug(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if !ctx.world.config.enable_debug_command.allows(is_local(ctx.session)) {
        return Err(not_allowed("DEBUG", "enable-debug-command"));
    }
    let name = ctx.args.get(1).to_ascii_uppercase();
    let count = ctx.args.len();
    match (&*name, count) {
        (b"AOF-FLUSH-SLEEP", 3) => {
            ctx.world.persistence.aof.set_flush_sleep(leading_number(ctx.args.get(2)).max(0.0) as u64);
            done(ctx)
        }
        (b"ASSERT", 2) => panic!("DEBUG ASSERT was asked for"),
        (b"CHANGE-REPL-ID", 2) => {
            ctx.world.replication.id = clock::random_id();
            ctx.world.replication.forget_second_id();
            done(ctx)
        }
        (b"CONFIG-REWRITE-FORCE-ALL", 2) => rewrite_file(ctx, true),
        // Tables grow and shrink one bucket at a time; there is no resizing that could be put off.
        (b"DICT-RESIZING", 3) => done(ctx),
        (b"DIGEST", 2) => digest_all(ctx),
        (b"DIGEST-VALUE", 3..) => digest_values(ctx),
        (b"DROP-CLUSTER-PACKET-FILTER", 3) => {
            let kind = ctx.args.i64(2)?;
            if let Some(cluster) = &mut ctx.world.cluster {
                cluster.dropped_kind = kind;
            }
            done(ctx)
        }
        (b"ERROR", 3) => Err(CommandError::bytes(ctx.args.get(2).to_vec())),
        (b"HELP", 2) => help(ctx),
        (b"HTSTATS", 3..=4) => htstats(ctx),
        (b"HTSTATS-KEY", 3..=4) => htstats_key(ctx),
        (b"LOADAOF", 2) => {
            ctx.world.orders.push_back(Order::LoadAof { client: ctx.session.id });
            Ok(Flow::Block)
        }
        (b"LISTPACK", 3) => listpack(ctx),
        (b"LOG", 3) => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(ctx.args.get(2)));
            done(ctx)
        }
        (b"OBJECT", 3..=4) => object(ctx),
        (b"PANIC", 2) => panic!("DEBUG PANIC was asked for"),
        (b"PAUSE-CRON", 3) => {
            ctx.world.debug.pause_cron = leading_number(ctx.args.get(2)) != 0.0;
            done(ctx)
        }
        (b"SET-DISABLE-DENY-SCRIPTS", 3) => {
            ctx.world.debug.any_command_in_scripts = leading_number(ctx.args.get(2)) != 0.0;
            done(ctx)
        }
        (b"POPULATE", 3..=5) => populate(ctx),
        (b"PROTOCOL", 3) => protocol(ctx),
        (b"QUICKLIST-PACKED-THRESHOLD", 3) => packed_threshold(ctx),
        (b"RELOAD", 2..) => reload(ctx),
        (b"REPLYBUFFER", 4) => reply_buffer(ctx),
        (b"SDSLEN", 3) => sdslen(ctx),
        (b"SEGFAULT", 2) => {
            crate::sys::crash::segfault();
            done(ctx)
        }
        (b"SET-ACTIVE-EXPIRE", 3) => {
            ctx.world.keyspace.env.active_expire = leading_number(ctx.args.get(2)) != 0.0;
            done(ctx)
        }
        (b"SET-SKIP-CHECKSUM-VALIDATION", 3) => {
            ctx.world.keyspace.env.settings.skip_dump_checksum = leading_number(ctx.args.get(2)) != 0.0;
            done(ctx)
        }
        (b"REPLICATE", 3..) => {
            let mut bytes = Vec::new();
            crate::stream::encode(&mut bytes, ctx.args.from(2));
            ctx.world.replication.tell_replicas(&bytes, &mut ctx.world.stream);
            done(ctx)
        }
        (b"SLEEP", 3) => sleep(ctx),
        (b"STRINGMATCH-LEN", 4) => match number::parse_i64(ctx.args.get(2)) {
            Some(len) => string_match(ctx, len),
            None => Err(unknown(ctx)),
        },
        (b"STRUCTSIZE", 2) => {
            let text = format!(
                "bits:{} entry:{} session:{} table:{} ",
                usize::BITS,
                size_of::<Entry>(),
                size_of::<Session>(),
                size_of::<crate::raw::table::Table<Entry>>()
            );
            ctx.reply.simple(&text);
            Ok(Flow::Done)
        }
        _ => Err(unknown(ctx)),
    }
}

/// The refusal of a command that a directive guards.
pub(super) fn not_allowed(command: &str, directive: &str) -> CommandError {
    CommandError::text(format!(
        "ERR {command} command not allowed. If the {directive} option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server."
    ))
}

fn unknown(ctx: &ServerCtx<'_>) -> CommandError {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    let given = ctx.args.get(1);
    text.extend_from_slice(&given[..given.len().min(128)]);
    text.extend_from_slice(b"'. Try DEBUG HELP.");
    CommandError::bytes(text)
}

fn done(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The number that a text begins with, 0 if it begins with none: callers of DEBUG are used to that.
fn leading_number(text: &[u8]) -> f64 {
    let end = text.iter().position(|b| !b.is_ascii_digit() && !b".-+".contains(b)).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok().and_then(|t| t.parse().ok()).unwrap_or(0.0)
}

fn digest_all(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let mut whole = digest::Digest::default();
    for index in 0..ctx.world.keyspace.databases() as u32 {
        for entry in ctx.world.keyspace.db(DbIndex(index)).table.iter() {
            whole.add(&digest::of_key(index, &entry));
        }
    }
    ctx.reply.simple(&whole.to_string());
    Ok(Flow::Done)
}

fn digest_values(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.array(ctx.args.len() - 2);
    for key in ctx.args.from(2) {
        let digest = ctx.world.keyspace.peek(ctx.session.db, key).map(|entry| digest::of_value(&entry));
        ctx.reply.simple(&digest.unwrap_or_default().to_string());
    }
    Ok(Flow::Done)
}

fn htstats(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let index = ctx.args.i64(2)?;
    let index = u32::try_from(index).ok().filter(|i| (*i as usize) < ctx.world.keyspace.databases());
    let index = DbIndex(index.ok_or(CommandError::new("ERR Out of range database"))?);
    let db = ctx.world.keyspace.db(index);
    let figures = table_figures(&db.table, ctx.args.opt(3).is_some());
    let text = format!(
        "[Dictionary HT]\n{figures}[Expires HT]\nNone: deadlines are kept in the entries ({} have one).\n",
        db.meta.volatile
    );
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

fn htstats_key(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let full = ctx.args.opt(3).is_some();
    let entry = ctx.world.keyspace.peek(ctx.session.db, ctx.args.get(2)).ok_or(error::NO_SUCH_KEY)?;
    let set = entry.lend::<Set>().and_then(|set| match &*set {
        Set::Table(table) => Some(table_figures(&table.0, full)),
        _ => None,
    });
    let hash = entry.lend::<Hash>().and_then(|hash| match &*hash {
        Hash::Table(table) => Some(table_figures(table.table(), full)),
        _ => None,
    });
    let sorted = || entry.lend::<SortedSet>().filter(|_| encoding_of(&entry) == "skiplist");
    let text = set.or(hash).or_else(|| sorted().map(|set| format!("A tree of {} elements, each known by name.\n", set.len())));
    let refusal = CommandError::new("ERR The value stored at the specified key is not represented using an hash table");
    ctx.reply.verbatim("txt", text.ok_or(refusal)?.as_bytes());
    Ok(Flow::Done)
}

/// What there is to tell of a table. It grows and shrinks by one bucket at a time, so there is never a second one.
fn table_figures<T: Item>(table: &Table<T>, full: bool) -> String {
    let mut text = format!(
        "Hash table 0 stats (main hash table):\n table size: {}\n number of elements: {}\n",
        table.bucket_count(),
        table.len()
    );
    if full {
        let (mut used, mut longest) = (0, 0);
        for index in 0..table.bucket_count() {
            let mut items = 0;
            table.bucket_items(index, &mut |_| items += 1);
            used += (items > 0) as usize;
            longest = longest.max(items);
        }
        let mean = table.len() as f64 / used.max(1) as f64;
        text += &format!(" different slots: {used}\n max chain length: {longest}\n avg chain length (counted): {mean:.02}\n");
    }
    text
}

/// Logs a packed value byte for byte.
fn listpack(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let entry = ctx.world.keyspace.peek(ctx.session.db, ctx.args.get(2)).ok_or(error::NO_SUCH_KEY)?;
    match entry.payload() {
        Payload::Thin(_, packed) if encoding_of(&entry).starts_with("listpack") => {
            tracing::info!("Listpack: {}", packed.as_slice().escape_ascii());
        }
        _ => return Err(CommandError::new("ERR Not a listpack encoded object.")),
    }
    ctx.reply.simple("Listpack structure printed on stdout");
    Ok(Flow::Done)
}

fn object(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let keyspace = &ctx.world.keyspace;
    let entry = keyspace.held(ctx.session.db, ctx.args.get(2)).ok_or(error::NO_SUCH_KEY)?;
    let (encoding, length, clock) = (encoding_of(&entry), serialized_bytes(&entry), entry.clock());
    let address = &raw const *entry as usize;
    let list = entry.into_lent::<List>().map(|list| nodes_of_list(&list)).unwrap_or_default();
    let text = format!(
        "Value at:{address:#x} refcount:1 encoding:{encoding} serializedlength:{length} lru:{clock} lru_seconds_idle:{}{list}",
        keyspace.env.idle_seconds(clock)
    );
    ctx.reply.simple(&text);
    Ok(Flow::Done)
}

/// What DEBUG OBJECT adds about a long list.
fn nodes_of_list(list: &List) -> String {
    let List::Quick(quick) = list else { return String::new() };
    let nodes = quick.node_count();
    let bytes: usize = quick.nodes().map(|node| node.plain_bytes()).sum();
    format!(
        " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{bytes}",
        quick.len() as f64 / nodes.max(1) as f64,
        quick.limits().fill,
        i32::from(quick.limits().compress_depth > 0)
    )
}

/// Bytes of the value in a snapshot without compression, roughly: what DEBUG OBJECT calls `serializedlength`.
fn serialized_bytes(entry: &Entry) -> usize {
    let framed = |len: usize| {
        len + if len < 64 {
            1
        } else if len < 16384 {
            2
        } else {
            5
        }
    };
    match entry.payload() {
        Payload::Int(n) => match n {
            -128..=127 => 2,
            -32768..=32767 => 3,
            _ if i32::try_from(n).is_ok() => 5,
            _ => framed(itoa::Buffer::new().format(n).len()),
        },
        Payload::Inline { bytes, .. } => framed(bytes.len()),
        Payload::Shared(buffer) => framed(buffer.len()),
        Payload::Thin(_, packed) => framed(packed.len()),
        Payload::Boxed(..) => crate::keyspace::value::memory_bytes(entry, 5),
    }
}

fn populate(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let count = ctx.args.non_negative(2).map_err(|_| error::MUST_BE_POSITIVE)?;
    let prefix = ctx.args.opt(3).unwrap_or(b"key");
    let size = match ctx.args.len() {
        5 => Some(ctx.args.non_negative(4).map_err(|_| error::MUST_BE_POSITIVE)? as usize),
        _ => None,
    };
    let keyspace = &mut ctx.world.keyspace;
    if size.is_some_and(|size| size > keyspace.env.settings.bulk_max) {
        return Err(error::STRING_TOO_LONG);
    }
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut digits = itoa::Buffer::new();
    for i in 0..count {
        let number = digits.format(i).as_bytes();
        key.clear();
        key.extend_from_slice(prefix);
        key.push(b':');
        key.extend_from_slice(number);
        let handle = keyspace.entry(ctx.session.db, &key);
        if handle.exists() {
            continue;
        }
        value.clear();
        value.extend_from_slice(b"value:");
        value.extend_from_slice(number);
        if let Some(size) = size {
            value.resize(size, 0);
        }
        handle.put_string(&value, false, Event::SET);
    }
    // Replicas and logs are not told: whoever populates wants the keys here only.
    keyspace.env.effects.propagate_nothing();
    done(ctx)
}

/// Sets the size from which list elements are nodes of their own; 0 leaves it to the size of nodes again.
fn packed_threshold(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const MAX: u64 = (1 << 32) - (1 << 20);
    let size = parse_memory(ctx.args.get(2)).filter(|size| *size <= MAX);
    let refusal = CommandError::new("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
    ctx.world.keyspace.env.settings.limits.list_packed_threshold = size.ok_or(refusal)? as usize;
    done(ctx)
}

fn protocol(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let reply = &mut ctx.reply;
    match &*ctx.args.get(2).to_ascii_lowercase() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !reply.is_resp3() => return Err(CommandError::new("ERR RESP2 is not supported by this command")),
        b"push" => {
            // What is pushed while a command runs leaves behind its reply.
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        _ => {
            return Err(CommandError::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Flow::Done)
}

fn reply_buffer(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if ctx.args.is(2, "PEAK-RESET-TIME") {
        let known = ctx.args.is(3, "NEVER") || ctx.args.is(3, "RESET");
        if !known {
            ctx.args.i64(3)?;
        }
        ctx.world.debug.reply_buffer_peak_reset = !ctx.args.is(3, "NEVER");
        return done(ctx);
    }
    if ctx.args.is(2, "RESIZING") {
        ctx.world.debug.reply_buffer_resizing = leading_number(ctx.args.get(3)) != 0.0;
        return done(ctx);
    }
    Err(unknown(ctx))
}

fn sdslen(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let key = ctx.args.get(2);
    let entry = ctx.world.keyspace.peek(ctx.session.db, key).ok_or(error::NO_SUCH_KEY)?;
    if type_of(&entry) != ValueType::String || encoding_of(&entry) == "int" {
        return Err(CommandError::new("ERR Not an sds encoded string."));
    }
    let len = Str::of(&entry).map_or(0, |text| text.len());
    let outside = match entry.payload() {
        Payload::Shared(buffer) => buffer.memory_bytes(),
        _ => 0,
    };
    let block = alloc::block_size(entry.block_bytes());
    let spare = outside.saturating_sub(len);
    ctx.reply.simple(&format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {block}, val_sds_len:{len}, val_sds_avail:{spare}, val_zmalloc: {outside}",
        key.len()
    ));
    Ok(Flow::Done)
}

fn sleep(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const SECONDS_MAX: f64 = 24.0 * 3600.0;
    let seconds = leading_number(ctx.args.get(2)).clamp(0.0, SECONDS_MAX);
    // Here and not as an order: whoever asks wants to see a command that takes this long.
    std::thread::sleep(Duration::from_secs_f64(seconds));
    done(ctx)
}

fn string_match(ctx: &mut ServerCtx<'_>, len: i64) -> CommandResult {
    const LEN_MAX: i64 = 64 << 20;
    if !(0..=LEN_MAX).contains(&len) {
        return Err(error::OUT_OF_RANGE);
    }
    let text = vec![b'a'; len as usize];
    ctx.reply.integer(glob::matches(ctx.args.get(3), &text, false) as i64);
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "AOF-FLUSH-SLEEP <microseconds>",
        "    Wait before each write to the append-only file.",
        "ASSERT",
        "    Fail an assertion: end the server with a report.",
        "CHANGE-REPL-ID",
        "    Take a new replication id.",
        "CONFIG-REWRITE-FORCE-ALL",
        "    Write every directive into the configuration file.",
        "DICT-RESIZING <0|1>",
        "    Accepted without effect: tables are never resized as a whole.",
        "DIGEST",
        "    Tell a fingerprint of all keys and values.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Tell a fingerprint of the value of each key.",
        "DROP-CLUSTER-PACKET-FILTER <packet-type>",
        "    Drop messages of the cluster bus that have this number; -1: none.",
        "ERROR <string>",
        "    Answer with this error.",
        "HTSTATS <dbid> [full]",
        "    Tell figures of a database's table.",
        "HTSTATS-KEY <key> [full]",
        "    Tell figures of a value's table.",
        "LOADAOF",
        "    Empty the memory and load the append-only file.",
        "LISTPACK <key>",
        "    Log the raw bytes of a packed value.",
        "LOG <message>",
        "    Write a line to the log.",
        "OBJECT <key>",
        "    Tell how a value is stored.",
        "PANIC",
        "    Panic: end the server with a report.",
        "PAUSE-CRON <0|1>",
        "    Stop or resume timed work.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create string keys, which are not propagated.",
        "PROTOCOL <type>",
        "    Answer with a value of this type: string, integer, double, bignum, null, array, set, map, attrib, push,",
        "    verbatim, true, false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Give elements of lists from this size on nodes of their own; 0: those above the size of a node.",
        "RELOAD [<option> ...]",
        "    Save the data, empty the memory and load the data again. NOSAVE, NOFLUSH: leave a step out; MERGE: let keys of",
        "    the file replace those in memory.",
        "REPLICATE <string> [<string> ...]",
        "    Send a request to the replicas, and to them only.",
        "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|milliseconds>",
        "REPLYBUFFER RESIZING <0|1>",
        "    Accepted: buffers for replies are lent to clients, not owned by them.",
        "SDSLEN <key>",
        "    Tell the lengths of a key and its string.",
        "SEGFAULT",
        "    Read where nothing is: end the server with a report.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Stop or resume the search for expired keys.",
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "    Believe RESTORE's payloads whatever their checksum.",
        "SLEEP <seconds>",
        "    Stand still.",
        "STRINGMATCH-LEN <len> <pattern>",
        "    Match a long text against a pattern.",
        "STRUCTSIZE",
        "    Tell the sizes of some structures.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
