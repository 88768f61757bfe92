//! Random commands to the server under test and to a real one: the replies must be the same, and so must the keyspaces.
//!
//! Commands come in rounds, each with its own seed on an empty keyspace, in RESP3 for odd seeds. The report of a
//! difference names the round's seed, so `REDSTART_DIFF_SEED=<seed>` leads straight to it.
//!
//! | variable | meaning |
//! |---|---|
//! | `REDSTART_DIFF_COMMANDS` | how many commands (3,000) |
//! | `REDSTART_DIFF_SEED` | seed of the first round (1); the next rounds count on from it |
//! | `REDSTART_DIFF_GROUPS` | families, separated by commas, or `all` (`READY`) |
//! | `REDSTART_DIFF_ALL` | `1`: go on and list all distinct differences |
//! | `REDSTART_DIFF_CONFIG` | `name value …` for CONFIG SET on both, to meet encodings' thresholds sooner |
//! | `REDSTART_OURS`, `REDSTART_PEER` | the servers, see `support/spawn.rs` |

use crate::support::client::{Address, Client};
use crate::support::compare::{same, same_numbers, stream_info};
use crate::support::generate::{FAMILIES, Generator, Row, keys_of};
use crate::support::notation::{Args, encode, shorten, show, split};
use crate::support::reply::Reply;
use crate::support::spawn::{Server, peer};
use crate::support::{env, env_number, glob};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Families that the server is expected to have.
const READY: &[&str] = &["strings", "bitmaps", "hll", "keys", "lists", "hashes", "sets", "zsets", "geo", "connection"];

/// Differences that are accepted: a pattern for `COMMAND: our reply <> their reply` (`*` for anything), and why.
const KNOWN: &[(&str, &str)] = &[
    ("SCAN: (error) ERR unknown type name *", "an unknown type is an error as in the suite of newer servers; 8.0 finds nothing"),
    ("PFDEBUG: (error) INVALIDOBJ * <> *", "the original reads the byte behind a HyperLogLog that ends within an opcode"),
    ("PFADD: (error) INVALIDOBJ * <> (integer) *", "as PFDEBUG"),
    ("GETRANGE: * <> *", "an end before the string's beginning gives nothing, as in newer servers; 8.0 gives the first byte"),
    ("SUBSTR: * <> *", "as GETRANGE"),
    ("*: (error) ERR unknown subcommand *", "the original cuts the echoed name at a zero byte"),
    ("LSET: (error) ERR index out of range <> OK", "a great index of a short list is cut to 32 bits there"),
    ("CLIENT SETNAME: (error) ERR Client names cannot contain * <> OK", "a name ends at a zero byte there"),
    ("CLIENT GETNAME: * <> \"\\x00*", "what that set is told"),
    ("*: (error) ERR unknown command * <> (error) ERR unknown command *", "as do the arguments that the text tells"),
    ("*: (error) ERR Unsupported option * <> (error) ERR Unsupported option *", "as does the option that the text tells"),
    ("*: (error) ERR unknown argument: * <> (error) ERR unknown argument: *", "as does the argument that the text tells"),
    ("PFDEBUG: (error) ERR Unknown * subcommand * <> (error) ERR Unknown * subcommand *", "as above"),
    ("DUMP-ENCODING: embstr <> raw", "a SETBIT or BITFIELD that changes nothing makes a string raw there all the same"),
    ("DUMP-ENCODING: int <> raw", "as above"),
    ("OBJECT ENCODING: \"int\" <> \"raw\"", "as above"),
    ("OBJECT ENCODING: \"embstr\" <> \"raw\"", "as above"),
    (
        "DUMP-PRESENCE: (no key) <> string \"\\x00*",
        "a BITFIELD whose writes all FAIL leaves zeroes there, and tells no replica and no file",
    ),
    ("DUMP-VALUE: string \"\\x00* <> string \"\\x00*", "what a BITOP of such zeroes gives"),
    ("DUMP-ENCODING: listpack <> listpackex", "a deadline in the past counts as one there, though the field is gone at once"),
    ("OBJECT REFCOUNT: (integer) 2147483647 <> (integer) 1", "a copy of a small integer is no shared one there"),
    (
        "DUMP-VALUE: string \"HYLL*value:* <> string \"HYLL*value:*",
        "PFADD to what was written over in the middle is an error, which leaves the first elements there",
    ),
    (
        "SORT*: * <> (error) ERR One or more scores can't be converted into double",
        "an earlier number out of range is still remembered there",
    ),
];

/// Differences that are accepted in rounds with SORT, which turns a sorted set into a skiplist there although it only reads
/// it.
const KNOWN_OF_SORT: &[&str] = &[
    "DUMP-ENCODING: listpack <> skiplist",
    "OBJECT ENCODING: \"listpack\" <> \"skiplist\"",
    "ZSCAN: [\"0\", * <> [\"0\", *",
    // A negative offset of LIMIT leaves nothing of a listpack, but counts from the end of a skiplist.
    "ZRANGESTORE: (integer) 0 <> (integer) *",
    "Z*RANGE*: [] <> [*",
    // A skiplist keeps the sign of a zero, a listpack does not.
    "DUMP-VALUE: zset *\"0\"* <> zset *\"-0\"*",
];

/// Differences that only say that the peer is older than what the server is compatible with, or goes its own way since.
const KNOWN_OF_OTHERS: &[(&str, &str)] = &[
    ("*: * <> (error) ERR unknown command *", "a later command"),
    ("*: * <> (error) ERR unknown subcommand *", "a later subcommand"),
    ("DUMP-ENCODING: * <> *", "later encodings"),
    ("OBJECT ENCODING: * <> *", "later encodings"),
    ("Z*RANK: * <> (error) ERR wrong number of arguments *", "WITHSCORE came in 7.2"),
    ("XREAD: * <> (error) ERR Invalid stream ID *", "the last entry by + came in 7.4"),
    ("HSCAN: * <> (error) ERR syntax error", "NOVALUES came in 7.4"),
    ("*SCAN: (error) ERR invalid cursor <> *", "other rules for cursors"),
    ("*SCAN: * <> (error) ERR invalid cursor", "other rules for cursors"),
    ("BIT*: (error) * <> (integer) *", "since 7.2 arguments are checked before the key is found missing"),
    ("EXEC: * <> (error) EXECABORT *", "one of its commands is a later one"),
    ("*: (error) * <> (error) *", "texts, and the order of checks"),
    ("LPOS: (error) * <> *", "the least rank is refused since 7.2"),
    ("LREM: (error) * <> *", "the least count is refused since 7.2"),
    ("Z*: (error) ERR min or max is not a float <> *", "7.0 skips blanks in numbers"),
    ("DUMP-VALUE: stream * <> stream *", "consumers have an active time, and blocking makes them, since 7.2"),
    ("XINFO *: * <> *", "consumers have an active time, and blocking makes them, since 7.2"),
    ("*: (error) ERR timeout is out of range <> (error) ERR timeout is negative", "8.0 tells them apart"),
    ("H*EX*: (error) ERR invalid expire time in * <> *", "Valkey takes later times than Redis does"),
    ("GETEX: (n*) <> (error) *", "Valkey looks at the time before it finds the key missing"),
    ("Z*: * <> (error) ERR value is not a valid float", "Valkey takes no hexadecimal numbers"),
    ("GEO*: * <> (error) ERR value is not a valid float", "as above"),
    ("GEO*: * <> (error) ERR need numeric *", "as above"),
    ("H*EXPIRE*: (error) ERR Mandatory argument FIELDS * <> [*", "Valkey takes an option twice"),
    ("HSETEX: (error) ERR Only one of FXX or FNX * <> (integer) *", "as above"),
    ("HGETEX: (error) ERR Mandatory argument FIELDS * <> [*", "Valkey takes a key named FIELDS for that word"),
    ("HGETEX: [* <> (error) ERR value is not an integer or out of range", "as above"),
    ("XREAD: [* <> *", "the last entry, which + asks for, is nothing special to Valkey"),
];

/// Commands of a round.
const ROUND: usize = 1000;
/// Commands between two comparisons of the keyspaces.
const BETWEEN_DUMPS: usize = 250;
/// A pipeline ends at either of these.
const BATCH_COMMANDS: usize = 50;
const BATCH_BYTES: usize = 32 << 10;
/// Databases that are compared.
const DATABASES: usize = 16;
/// Longest reply shown.
const SHOWN: usize = 1500;

#[test]
fn random_commands_get_the_replies_of_a_real_server() {
    let Some(peer) = peer() else { return };
    let Some(ours) = Server::ours_if_ready(&[]) else { return };
    let theirs = Server::start(&peer, &[]).unwrap_or_else(|error| panic!("the peer does not start: {error}"));
    let groups = env("REDSTART_DIFF_GROUPS");
    let groups: Vec<&str> = match groups.as_deref() {
        None => READY.to_vec(),
        Some("all") => Vec::new(),
        Some(list) => list.split(',').map(str::trim).collect(),
    };
    let mut run = Run {
        go_on: env("REDSTART_DIFF_ALL").is_some_and(|value| value != "0"),
        other: !is_current(&mut theirs.client()),
        left_out: &unknown_commands(&mut theirs.client()) | &unknown_commands(&mut ours.client()),
        sorts: true,
        our_address: ours.address.clone(),
        their_address: theirs.address.clone(),
        our_dump: ours.client(),
        their_dump: theirs.client(),
        found: BTreeMap::new(),
    };
    for client in [&mut run.our_dump, &mut run.their_dump] {
        // An idle Redis looks at timeouts of blocked clients once per tick.
        client.run("CONFIG SET hz 500");
    }
    if let Some(pairs) = env("REDSTART_DIFF_CONFIG") {
        let request = [split("CONFIG SET").unwrap(), split(&pairs).unwrap()].concat();
        for client in [&mut run.our_dump, &mut run.their_dump] {
            let reply = client.call(&request).expect("a reply to CONFIG SET");
            assert!(!reply.is_error(), "{}: {reply}", show(&request));
        }
    }
    let total = env_number("REDSTART_DIFF_COMMANDS", 3000) as usize;
    let first = env_number("REDSTART_DIFF_SEED", 1);
    let (mut done, mut seed, mut stopped) = (0, first, None);
    while done < total && stopped.is_none() {
        match run.round(seed, &groups, ROUND.min(total - done)) {
            Ok(count) => done += count,
            Err(report) => stopped = Some(report),
        }
        seed += 1;
    }
    println!("{done} commands from seed {first}");
    let mut report = stopped.unwrap_or_default();
    let mut found: Vec<_> = run.found.into_values().collect();
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    for (count, example) in &found {
        let _ = write!(report, "\n{count} times, first:\n{example}");
    }
    if !found.is_empty() {
        let _ = write!(report, "\n{} distinct differences", found.len());
    }
    assert!(report.is_empty(), "{report}\n--- log of the server under test:\n{}", tail(&ours.log()));
}

/// True for a Redis of the generation whose replies are the aim.
fn is_current(client: &mut Client) -> bool {
    let info = client.run("INFO server");
    let info = String::from_utf8_lossy(info.text().unwrap_or_default()).into_owned();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 8) && !info.contains("valkey_version")
}

/// Commands of the families that the peer does not have.
fn unknown_commands(client: &mut Client) -> BTreeSet<&'static str> {
    let names = FAMILIES.iter().flat_map(|family| family.rows).map(Row::name);
    names
        .filter(|name| client.run(&format!("COMMAND INFO {name}")).items().is_none_or(|found| found.iter().all(Reply::is_null)))
        .collect()
}

struct Run {
    go_on: bool,
    /// The peer is of another generation or kind than the aim.
    other: bool,
    /// Commands that one of the two does not know.
    left_out: BTreeSet<&'static str>,
    /// Whether the round has SORT.
    sorts: bool,
    our_address: Address,
    their_address: Address,
    /// Connections that only look at the keyspaces.
    our_dump: Client,
    their_dump: Client,
    /// By signature: how often, and the first one's report.
    found: BTreeMap<String, (usize, String)>,
}

/// What a transaction is doing on the connections.
type Queue = Option<Vec<Args>>;

impl Run {
    /// Runs a round: the number of commands sent, or why there is no going on.
    fn round(&mut self, seed: u64, groups: &[&str], commands: usize) -> Result<usize, String> {
        let connect =
            |address: &Address| Client::connect(address).map_err(|error| format!("seed {seed}: no connection: {error}"));
        let (mut ours, mut theirs) = (connect(&self.our_address)?, connect(&self.their_address)?);
        let protocol = if seed % 2 == 1 { "3" } else { "2" };
        for request in [&["FLUSHALL"][..], &["HELLO", protocol]] {
            let failed = |error: std::io::Error| format!("seed {seed}: no reply to {request:?}: {error}");
            let (our_reply, their_reply) = (ours.call(request).map_err(failed)?, theirs.call(request).map_err(failed)?);
            if our_reply.is_error() != their_reply.is_error() {
                let args: Args = request.iter().map(|word| word.as_bytes().to_vec()).collect();
                let place = Place { seed, at: 0, sent: &[] };
                self.differs(&place, &args, &our_reply.to_string(), &their_reply.to_string())?;
            }
        }
        self.sorts = seed % 4 < 2;
        let sorts = ["SORT", "SORT_RO"].into_iter().filter(|_| !self.sorts).collect();
        let mut generator = Generator::new(seed, groups, &(&self.left_out | &sorts));
        let mut sent: Vec<Args> = Vec::new();
        let mut queue: Queue = None;
        let mut dumped_at = 0;
        while sent.len() < commands {
            let (batch, mut bytes) = (sent.len(), Vec::new());
            while sent.len() - batch < BATCH_COMMANDS && bytes.len() < BATCH_BYTES {
                for args in generator.unit() {
                    encode(&args, &mut bytes);
                    sent.push(args);
                }
            }
            let failed = |who: &str, at: usize, error: std::io::Error| {
                let last: Vec<String> = sent[at.saturating_sub(5)..=at].iter().map(|args| shorten(&show(args), 300)).collect();
                format!("seed {seed}, command {at}: {who} has no reply: {error}; the last commands:\n  {}", last.join("\n  "))
            };
            ours.send_raw(&bytes).map_err(|error| failed("the server under test", batch, error))?;
            theirs.send_raw(&bytes).map_err(|error| failed("the peer", batch, error))?;
            let mut our_replies = Vec::with_capacity(sent.len() - batch);
            for at in batch..sent.len() {
                our_replies.push(ours.read().map_err(|error| failed("the server under test", at, error))?);
            }
            let mut tainted: BTreeSet<Vec<u8>> = BTreeSet::new();
            for at in batch..sent.len() {
                let their_reply = theirs.read().map_err(|error| failed("the peer", at, error))?;
                let our_reply = &our_replies[at - batch];
                tainted.extend(changed_by_refusal(&sent[at], &their_reply, queue.as_ref()));
                for (args, ours, theirs) in differences(&sent[at], our_reply, &their_reply, &mut queue) {
                    let other_digits = self.other || (self.sorts && command_of(&args) == "ZSCAN");
                    if other_digits && same_numbers(&ours, &theirs) {
                        continue;
                    }
                    // What follows from an earlier difference is not worth telling.
                    let mut keys = keys_of(&args).peekable();
                    let follows = !tainted.is_empty() && (keys.peek().is_none() || keys.any(|key| tainted.contains(key)));
                    if !follows {
                        self.differs(&Place { seed, at, sent: &sent }, &args, &ours.to_string(), &theirs.to_string())?;
                    }
                    if changes_everything(&args) {
                        // Now the two differ anywhere. The next round begins anew.
                        return Ok(sent.len());
                    }
                    tainted.extend(keys_of(&args).map(<[u8]>::to_vec));
                }
            }
            self.delete(tainted);
            if sent.len() - dumped_at >= BETWEEN_DUMPS || sent.len() >= commands {
                dumped_at = sent.len();
                self.compare_keyspaces(&Place { seed, at: sent.len() - 1, sent: &sent })?;
            }
        }
        Ok(sent.len())
    }

    /// Reports or counts a difference.
    fn differs(&mut self, place: &Place<'_>, args: &Args, ours: &str, theirs: &str) -> Result<(), String> {
        let command = command_of(args);
        let line = format!("{command}: {ours} <> {theirs}");
        let accepted = KNOWN.iter().chain(if self.other { KNOWN_OF_OTHERS } else { &[] });
        let of_sort = KNOWN_OF_SORT.iter().filter(|_| self.sorts);
        if accepted.into_iter().map(|(pattern, _)| pattern).chain(of_sort).any(|pattern| glob(pattern, &line)) {
            return Ok(());
        }
        let mut report = format!("seed {}, command {}: {}\n", place.seed, place.at, shorten(&show(args), SHOWN));
        let _ = writeln!(report, "  ours:   {}\n  theirs: {}", shorten(ours, SHOWN), shorten(theirs, SHOWN));
        place.history(args, &mut report);
        if !self.go_on {
            return Err(report);
        }
        let words = |text: &str| text.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        let kind = |text: &str| if text.starts_with('(') { words(text) } else { text.chars().take(1).collect() };
        self.found.entry(format!("{command}: {} <> {}", kind(ours), kind(theirs))).or_insert((0, report)).0 += 1;
        Ok(())
    }

    /// After a difference the keys have different contents: without them the rest of the round is worth comparing.
    fn delete(&mut self, keys: BTreeSet<Vec<u8>>) {
        if keys.is_empty() {
            return;
        }
        for client in [&mut self.our_dump, &mut self.their_dump] {
            for database in 0..DATABASES {
                let _ = client.call(&["SELECT", &database.to_string()]);
                let _ = client.call(&[&[b"DEL".to_vec()][..], &keys.iter().cloned().collect::<Vec<_>>()].concat());
            }
        }
    }

    fn compare_keyspaces(&mut self, place: &Place<'_>) -> Result<(), String> {
        let ours = dump(&mut self.our_dump).map_err(|error| format!("seed {}: dump of our keyspace: {error}", place.seed))?;
        let theirs =
            dump(&mut self.their_dump).map_err(|error| format!("seed {}: dump of their keyspace: {error}", place.seed))?;
        let mut differing = BTreeSet::new();
        for key in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (ours, theirs) = (ours.get(key), theirs.get(key));
            let told = |of: &dyn Fn(&Key) -> String| {
                let told = |key: Option<&Key>| key.map_or_else(|| "(no key)".to_owned(), of);
                (told(ours), told(theirs))
            };
            let (what, (ours, theirs)) = match (ours, theirs) {
                (Some(a), Some(b)) if a.kind != b.kind => ("TYPE", told(&|key| key.kind.clone())),
                (Some(a), Some(b)) if !(same_value(a, b) || self.other && same_numbers(&a.value, &b.value)) => {
                    ("VALUE", told(&|key| format!("{} {}", key.kind, key.value)))
                }
                (Some(a), Some(b)) if a.encoding != b.encoding => ("ENCODING", told(&|key| key.encoding.clone())),
                (Some(a), Some(b)) if a.expires_ms.abs_diff(b.expires_ms) > 5000 => {
                    ("EXPIRY", told(&|key| key.expires_ms.to_string()))
                }
                (Some(a), Some(b)) if !same_times(&a.field_times, &b.field_times) => {
                    ("FIELD-EXPIRY", told(&|key| format!("{:?}", key.field_times)))
                }
                (Some(_), Some(_)) => continue,
                _ => ("PRESENCE", told(&|key| format!("{} {}", key.kind, key.value))),
            };
            differing.insert(key.1.clone());
            let request = vec![format!("DUMP-{what}").into_bytes(), key.1.clone(), format!("DB{}", key.0).into_bytes()];
            self.differs(place, &request, &ours, &theirs)?;
        }
        self.delete(differing);
        Ok(())
    }
}

/// Commands of the history that a report shows.
const HISTORY: usize = 60;

/// Where in a round something happened.
struct Place<'a> {
    seed: u64,
    at: usize,
    sent: &'a [Args],
}

impl Place<'_> {
    /// The last commands up to here that name a key of `args`.
    fn history(&self, args: &Args, report: &mut String) {
        let mut keys: BTreeSet<&[u8]> = keys_of(args).collect();
        if args[0].starts_with(b"DUMP-") {
            keys.insert(&args[1]);
        }
        let touching = |sent: &&Args| sent.iter().any(|word| keys.contains(&word[..])) || changes_everything(sent);
        let mut last: Vec<&Args> =
            self.sent[..self.sent.len().min(self.at + 1)].iter().rev().filter(touching).take(HISTORY).collect();
        last.reverse();
        if !keys.is_empty() {
            let _ = writeln!(report, "  what touched its keys:");
            for args in last {
                let _ = writeln!(report, "    {}", shorten(&show(args), 400));
            }
        }
    }
}

fn changes_everything(args: &Args) -> bool {
    let command = args[0].to_ascii_uppercase();
    [&b"FLUSHALL"[..], b"FLUSHDB", b"SWAPDB", b"SELECT", b"MULTI", b"EXEC", b"DISCARD"].contains(&&command[..])
}

/// A command's name, with the subcommand of containers.
fn command_of(args: &Args) -> String {
    let name = String::from_utf8_lossy(&args[0]).to_ascii_uppercase();
    match args.get(1) {
        Some(sub) if ["OBJECT", "XGROUP", "XINFO", "CLIENT"].contains(&name.as_str()) => {
            format!("{name} {}", String::from_utf8_lossy(sub).to_ascii_uppercase())
        }
        _ => name,
    }
}

/// The replies that differ: one, none, or those of the commands in a transaction. Follows the transaction's state.
fn differences(args: &Args, ours: &Reply, theirs: &Reply, queue: &mut Queue) -> Vec<(Args, Reply, Reply)> {
    let command = args[0].to_ascii_uppercase();
    if let (b"EXEC", Some(queued), Reply::Array(a), Reply::Array(b)) = (&command[..], queue.as_ref(), ours, theirs)
        && a.len() == queued.len()
        && b.len() == queued.len()
    {
        let all = queue.take().unwrap_or_default().into_iter().zip(a.iter().zip(b));
        return all.filter(|(args, (a, b))| !same(args, a, b)).map(|(args, (a, b))| (args, a.clone(), b.clone())).collect();
    }
    match (&command[..], ours) {
        (b"MULTI", Reply::Simple(_)) if queue.is_none() => *queue = Some(Vec::new()),
        (b"EXEC" | b"DISCARD", reply) if args.len() == 1 || !reply.is_error() => *queue = None,
        (_, Reply::Simple(text)) if text == b"QUEUED" => queue.iter_mut().for_each(|queue| queue.push(args.clone())),
        _ => {}
    }
    if same(args, ours, theirs) { Vec::new() } else { vec![(args.clone(), ours.clone(), theirs.clone())] }
}

/// The keys that Redis changed although it refused, without telling replicas or watchers: a BITFIELD that refuses to write a
/// field makes room for it all the same, and a PFADD keeps what it had added before it met the damage.
fn changed_by_refusal(args: &Args, theirs: &Reply, queue: Option<&Vec<Args>>) -> Vec<Vec<u8>> {
    let refused = |(args, reply): (&Args, &Reply)| {
        let has_null = || reply.items().is_some_and(|items| items.iter().any(Reply::is_null));
        let changed = match command_of(args).as_str() {
            "BITFIELD" => has_null(),
            "PFADD" => matches!(reply, Reply::Error(text) if text.starts_with(b"INVALIDOBJ")),
            _ => false,
        };
        (changed && args.len() > 1).then(|| args[1].clone())
    };
    match (queue, theirs.items()) {
        (Some(queue), Some(replies)) if command_of(args) == "EXEC" => queue.iter().zip(replies).filter_map(refused).collect(),
        _ => refused((args, theirs)).into_iter().collect(),
    }
}

/// A key as the dump sees it.
struct Key {
    kind: String,
    encoding: String,
    expires_ms: i64,
    /// Elements of unordered types are sorted.
    value: Reply,
    /// When the fields of a hash end, by field; empty where the server has no such thing.
    field_times: BTreeMap<Reply, i64>,
}

fn same_value(ours: &Key, theirs: &Key) -> bool {
    ours.value == theirs.value || (ours.kind == "stream" && stream_info(&ours.value, &theirs.value))
}

fn same_times(ours: &BTreeMap<Reply, i64>, theirs: &BTreeMap<Reply, i64>) -> bool {
    let near = |(field, at): (&Reply, &i64)| theirs.get(field).is_some_and(|other| at.abs_diff(*other) <= 5000);
    ours.is_empty() || theirs.is_empty() || (ours.len() == theirs.len() && ours.iter().all(near))
}

/// Everything in the databases.
fn dump(client: &mut Client) -> Result<BTreeMap<(usize, Vec<u8>), Key>, String> {
    let mut keys = BTreeMap::new();
    for database in 0..DATABASES {
        let select = vec![b"SELECT".to_vec(), database.to_string().into_bytes()];
        let found = ask(client, &[select, split("KEYS *")?])?.pop();
        let names: Vec<Vec<u8>> =
            found.iter().filter_map(Reply::items).flatten().filter_map(Reply::text).map(<[u8]>::to_vec).collect();
        if names.is_empty() {
            continue;
        }
        check_scan(client, &names)?;
        let request = |words: &str, key: &Vec<u8>, rest: &str| {
            [split(words).unwrap_or_default(), vec![key.clone()], split(rest).unwrap_or_default()].concat()
        };
        let about: Vec<Args> = names
            .iter()
            .flat_map(|key| [request("TYPE", key, ""), request("OBJECT ENCODING", key, ""), request("PEXPIRETIME", key, "")])
            .collect();
        let about = ask(client, &about)?;
        let text = |reply: &Reply| String::from_utf8_lossy(reply.text().unwrap_or_default()).into_owned();
        let values: Vec<Args> = names
            .iter()
            .zip(about.chunks(3))
            .map(|(key, about)| match text(&about[0]).as_str() {
                "list" => request("LRANGE", key, "0 -1"),
                "set" => request("SMEMBERS", key, ""),
                "hash" => request("HGETALL", key, ""),
                "zset" => request("ZRANGE", key, "0 -1 WITHSCORES"),
                "stream" => request("XINFO STREAM", key, "FULL COUNT 0"),
                _ => request("GET", key, ""),
            })
            .collect();
        let values = ask(client, &values)?;
        for ((name, about), value) in names.into_iter().zip(about.chunks(3)).zip(values) {
            let (kind, mut value, mut field_times) = (text(&about[0]), value, BTreeMap::new());
            if let ("set", Reply::Array(items)) = (kind.as_str(), &mut value) {
                items.sort();
            }
            if let ("hash", Reply::Array(items)) = (kind.as_str(), &mut value) {
                let mut pairs: Vec<Vec<Reply>> = items.chunks(2).map(<[Reply]>::to_vec).collect();
                pairs.sort();
                let fields: Vec<Reply> = pairs.iter().map(|pair| pair[0].clone()).collect();
                *items = pairs.concat();
                let mut args = request("HPEXPIRETIME", &name, &format!("FIELDS {}", fields.len()));
                args.extend(fields.iter().filter_map(Reply::text).map(<[u8]>::to_vec));
                if let Reply::Array(times) = client.call(&args).map_err(|error| error.to_string())? {
                    field_times = fields.into_iter().zip(times.iter().filter_map(Reply::integer)).collect();
                }
            }
            let key = Key { kind, encoding: text(&about[1]), expires_ms: about[2].integer().unwrap_or(0), value, field_times };
            keys.insert((database, name), key);
        }
    }
    Ok(keys)
}

/// A whole iteration of SCAN in small steps must find every key.
fn check_scan(client: &mut Client, names: &[Vec<u8>]) -> Result<(), String> {
    let (mut found, mut cursor) = (BTreeSet::new(), b"0".to_vec());
    for _ in 0..10_000 {
        let reply = client.call(&[b"SCAN", &cursor[..], b"COUNT", b"7"]).map_err(|error| error.to_string())?;
        let Some([next, keys]) = reply.items() else { return Err(format!("SCAN says {reply}")) };
        found.extend(keys.items().unwrap_or_default().iter().filter_map(Reply::text).map(<[u8]>::to_vec));
        cursor = next.text().unwrap_or_default().to_vec();
        if cursor == b"0" {
            let missing: Vec<&Vec<u8>> = names.iter().filter(|name| !found.contains(*name)).collect();
            return if missing.is_empty() { Ok(()) } else { Err(format!("SCAN does not find {missing:?}")) };
        }
    }
    Err("SCAN does not end".into())
}

fn ask(client: &mut Client, requests: &[Args]) -> Result<Vec<Reply>, String> {
    let (replies, result) = client.pipeline(requests);
    result.map_err(|error| error.to_string())?;
    Ok(replies)
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
