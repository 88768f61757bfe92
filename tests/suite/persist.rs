//! Data files: reference files of three servers against what they are known to hold, values of every type and encoding
//! through bytes and back, damaged files, and servers that save, end, start and load.
//!
//! `REDSTART_RDB_DIR` names a folder with more reference files (`NAME.rdb` with `NAME.json` each) to be read by `all_files`.

use crate::support::json::Json;
use redstart::clock::Rng;
use redstart::ds::hash::Hash;
use redstart::ds::list::List;
use redstart::ds::object::Limits;
use redstart::ds::parts::element::Element;
use redstart::ds::set::Set;
use redstart::ds::sorted_set::SortedSet;
use redstart::ds::stream::{Group, StreamValue};
use redstart::keyspace::value::{Entry, Str, ValueType, encoding_of, type_of};
use redstart::persist::rdb::decode::{Decoded, Rules, value};
use redstart::persist::rdb::encode::{Encoder, kind_of};
use redstart::persist::rdb::format::Flavor;
use redstart::persist::rdb::load::{AccessMark, Options, Sink, read};
use redstart::persist::rdb::read::{LoadError, Reader, Slice};
use redstart::testkit::Kit;
use std::collections::BTreeMap;
use std::path::Path;

/// Collects a file's content.
#[derive(Default)]
pub struct Content {
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    functions: Vec<Vec<u8>>,
    pub entries: BTreeMap<(u64, Vec<u8>), (Entry, AccessMark)>,
}

impl Sink for Content {
    fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.aux.push((name.to_vec(), value.to_vec()));
    }

    fn function(&mut self, code: &[u8]) {
        self.functions.push(code.to_vec());
    }

    fn entry(&mut self, db: u64, entry: Entry, access: AccessMark) -> Result<(), &'static str> {
        match self.entries.insert((db, entry.key().to_vec()), (entry, access)) {
            None => Ok(()),
            Some(_) => Err("a key is there twice"),
        }
    }
}

/// Those of the configuration's defaults.
pub fn limits() -> Limits {
    Limits { hash_entries: 512, ..Limits::default() }
}

fn load(bytes: &[u8], checksum: bool, deep: bool) -> Result<Content, LoadError> {
    let mut content = Content::default();
    let options = Options { limits: &limits(), checksum, deep };
    let used = read(bytes, bytes.len() as u64, options, &mut content)?;
    assert_eq!(used, bytes.len() as u64);
    Ok(content)
}

/// What a value is, in the words of the reference descriptions.
pub fn describe(entry: &Entry) -> Json {
    let text = |element: Element<'_>| Json::Text(element.to_vec());
    match type_of(entry) {
        ValueType::String => Json::Text(Str::of(entry).map(|text| text.to_vec()).unwrap_or_default()),
        ValueType::List => {
            let mut items = Vec::new();
            entry.lend::<List>().unwrap().for_range(0, usize::MAX, |element| items.push(text(element)));
            Json::List(items)
        }
        ValueType::Set => {
            let mut items = Vec::new();
            entry.lend::<Set>().unwrap().each(|element| items.push(text(element)));
            items.sort();
            Json::List(items)
        }
        ValueType::SortedSet => {
            let set = entry.lend::<SortedSet>().unwrap();
            let score = |score: f64| Json::text(&format!("{score:?}"));
            Json::List(set.iter().map(|pair| Json::List(vec![text(pair.member), score(pair.score())])).collect())
        }
        ValueType::Hash => {
            let mut items = Vec::new();
            entry.lend::<Hash>().unwrap().for_each(|name, found| {
                let mut item = vec![text(name), text(found.value)];
                item.extend(found.deadline.map(Json::number));
                items.push(Json::List(item));
            });
            items.sort();
            Json::List(items)
        }
        ValueType::Stream => stream(&entry.lend::<StreamValue>().unwrap()),
    }
}

fn stream(stream: &StreamValue) -> Json {
    let counters = stream.counters();
    let id = |id: redstart::ds::stream::StreamId| Json::text(&id.to_string());
    let entries = stream.range(redstart::ds::stream::StreamId::MIN, redstart::ds::stream::StreamId::MAX, false);
    let entries = entries.map(|entry| {
        let words = entry.pairs().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).map(Json::Text).collect();
        Json::List(vec![id(entry.id), Json::List(words)])
    });
    let group = |name: &[u8], group: &Group| {
        let pending = group.pending().iter().map(|(at, nack)| {
            let owner = group.consumer(nack.consumer).name.to_vec();
            Json::List(vec![id(*at), Json::Text(owner), Json::number(nack.delivered_at), Json::number(nack.deliveries)])
        });
        let consumers = group.consumers().map(|(_, consumer)| {
            Json::List(vec![
                Json::Text(consumer.name.to_vec()),
                Json::number(consumer.seen_at),
                Json::number(consumer.active_at.unwrap_or(-1)),
                Json::List(consumer.pending().iter().map(|at| id(*at)).collect()),
            ])
        });
        Json::List(vec![
            Json::Text(name.to_vec()),
            id(group.last_id),
            group.entries_read.map_or(Json::Null, Json::number),
            Json::List(pending.collect()),
            Json::List(consumers.collect()),
        ])
    };
    Json::List(vec![
        Json::number(counters.len),
        id(counters.last_id),
        id(counters.max_deleted_id),
        Json::number(counters.entries_added),
        id(counters.first_id),
        Json::List(entries.collect()),
        Json::List(stream.groups.iter().map(|(name, inner)| group(name, inner)).collect()),
    ])
}

/// The reference's description in the same form.
fn expected(kind: &[u8], value: &Json) -> Json {
    let member = |map: &Json, name: &str| map.get(name).cloned().unwrap_or(Json::Null);
    match kind {
        b"zset" => Json::List(
            value
                .list()
                .iter()
                .map(|pair| {
                    let score: f64 = std::str::from_utf8(pair.list()[1].bytes()).unwrap().parse().unwrap();
                    Json::List(vec![pair.list()[0].clone(), Json::text(&format!("{score:?}"))])
                })
                .collect(),
        ),
        b"set" | b"hash" => {
            let mut items = value.list().to_vec();
            items.sort();
            Json::List(items)
        }
        b"stream" => {
            let group = |group: &Json| {
                let consumers = member(group, "consumers");
                let consumers = consumers.list().iter().map(|consumer| {
                    let seen = member(consumer, "seen-time");
                    // Redis 7.0 does not know of it.
                    let active = consumer.get("active-time").cloned().unwrap_or(seen.clone());
                    let pending = member(consumer, "pending");
                    let pending = pending.list().iter().map(|entry| entry.list()[0].clone()).collect();
                    Json::List(vec![member(consumer, "name"), seen, active, Json::List(pending)])
                });
                Json::List(vec![
                    member(group, "name"),
                    member(group, "last-delivered-id"),
                    member(group, "entries-read"),
                    member(group, "pending"),
                    Json::List(consumers.collect()),
                ])
            };
            Json::List(vec![
                member(value, "length"),
                member(value, "last-generated-id"),
                member(value, "max-deleted-entry-id"),
                member(value, "entries-added"),
                member(value, "recorded-first-entry-id"),
                member(value, "entries"),
                Json::List(member(value, "groups").list().iter().map(group).collect()),
            ])
        }
        _ => value.clone(),
    }
}

/// Compares a file with its description.
fn check_file(path: &Path) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let bytes = std::fs::read(path).unwrap();
    let described = Json::parse(&std::fs::read_to_string(path.with_extension("json")).unwrap());
    let content = load(&bytes, true, true).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (key, value) in described.get("aux").unwrap().members() {
        let pair = (key.clone().into_bytes(), value.bytes().to_vec());
        assert!(content.aux.contains(&pair), "{name}: aux field {key}");
    }
    check_content(&name, &content, &described, true);
}

/// Compares what was read with its description; with `closely`, down to encodings and times of use.
fn check_content(name: &str, content: &Content, described: &Json, closely: bool) {
    let functions = described.get("functions").unwrap().list();
    let codes: Vec<&[u8]> = functions.iter().map(|library| library.get("library_code").unwrap().bytes()).collect();
    assert_eq!(content.functions.len(), codes.len(), "{name}");
    assert!(content.functions.iter().all(|code| codes.contains(&&code[..])), "{name}");
    let mut keys = 0;
    for (db, entries) in described.get("dbs").unwrap().members() {
        for wanted in entries.list() {
            let (key, kind) = (wanted.get("key").unwrap().bytes(), wanted.get("type").unwrap().bytes());
            if kind == b"vectorset" {
                continue;
            }
            keys += 1;
            let shown = format!("{name}, database {db}, key {}", String::from_utf8_lossy(key));
            let (entry, access) = content.entries.get(&(db.parse().unwrap(), key.to_vec())).expect(&shown);
            assert_eq!(type_of(entry).name().as_bytes(), kind, "{shown}");
            let (mut is, mut value) = (describe(entry), expected(kind, wanted.get("value").unwrap()));
            if kind == b"stream" && !closely {
                forget_times(&mut is);
                forget_times(&mut value);
            }
            assert_eq!(is, value, "{shown}");
            assert_eq!(entry.deadline(), wanted.get("pexpireat").and_then(Json::int), "{shown}");
            if !closely {
                continue;
            }
            assert_eq!(access.frequency.map(i64::from), wanted.get("freq").and_then(Json::int), "{shown}");
            if let Some(idle) = wanted.get("idletime").and_then(Json::int) {
                assert!(access.idle.is_some_and(|seen| (seen as i64 - idle).abs() <= 2), "{shown}: {access:?}");
            }
            if name.starts_with("redis8.0") {
                // A string that was edited before it was saved is not when it was loaded. And beside a very long key even a
                // short string has a buffer of its own here.
                let edited = encoding_of(entry) == "embstr" && wanted.get("encoding").unwrap().bytes() == b"raw";
                let beside = key.len() > 1000;
                assert!(edited || beside || encoding_of(entry).as_bytes() == wanted.get("encoding").unwrap().bytes(), "{shown}");
                assert_eq!(i64::from(kind_of(entry)), wanted.get("rdb_type").and_then(Json::int).unwrap(), "{shown}");
            }
            // What is written again is the same value, and with what is kept in order the same bytes.
            let again = through_bytes(entry);
            assert_eq!(describe(&again), describe(entry), "{shown}");
            assert_eq!(encoding_of(&again), encoding_of(entry), "{shown}");
        }
    }
    assert_eq!(content.entries.len(), keys, "{name}");
}

/// When consumers of a stream were seen and active, which requests do not tell.
fn forget_times(stream: &mut Json) {
    let Json::List(parts) = stream else { return };
    let Some(Json::List(groups)) = parts.last_mut() else { return };
    for group in groups {
        let Json::List(parts) = group else { continue };
        let Some(Json::List(consumers)) = parts.last_mut() else { continue };
        for consumer in consumers {
            if let Json::List(parts) = consumer {
                parts.drain(1..3);
            }
        }
    }
}

/// Append-only files of other servers, in folders beside their descriptions.
fn check_logs(folder: &Path) -> usize {
    let description = |path: &Path| format!("{}.json", path.display());
    let described = |path: &Path| path.is_dir() && Path::new(&description(path)).exists();
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| described(path));
    let mut checked = 0;
    for path in folders {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let folder = crate::append_only::Folder::new(&format!("reference-{name}"));
        folder.write("x", "");
        for file in std::fs::read_dir(path.join("appendonlydir")).unwrap() {
            let file = file.unwrap();
            std::fs::write(folder.log(&file.file_name().to_string_lossy()), std::fs::read(file.path()).unwrap()).unwrap();
        }
        let server = crate::append_only::start(&folder);
        let mut c = crate::append_only::client(&server);
        assert_eq!(crate::append_only::ask(&mut c, "SAVE"), "+OK");
        let content = load(&std::fs::read(folder.0.join("dump.rdb")).unwrap(), true, true).unwrap();
        let described = Json::parse(&std::fs::read_to_string(description(&path)).unwrap());
        check_content(&name, &content, &described, false);
        checked += 1;
    }
    checked
}

#[test]
fn append_only_files_of_other_servers() {
    assert_eq!(check_logs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/aof")), 2);
}

/// An entry written and read.
fn through_bytes(entry: &Entry) -> Entry {
    let mut bytes = Vec::new();
    Encoder::new(true).value(entry, &mut bytes);
    let rules = Rules { limits: &limits(), flavor: Flavor::Redis, deep: true };
    let mut input = Reader::new(Slice::new(&bytes));
    match value(&mut input, rules, kind_of(entry), entry.key(), entry.deadline()) {
        Ok(Decoded::Entry(again)) => again,
        Ok(_) => panic!("nothing was read"),
        Err(error) => panic!("{error}"),
    }
}

pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "rdb")).collect();
    files.sort();
    files
}

pub fn golden() -> Vec<std::path::PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rdb"))
}

#[test]
fn golden_files() {
    let files = golden();
    assert!(files.len() >= 10);
    files.iter().for_each(|file| check_file(file));
}

#[test]
fn all_files() {
    let Some(folder) = std::env::var_os("REDSTART_RDB_DIR") else { return };
    files(Path::new(&folder)).iter().for_each(|file| check_file(file));
    check_logs(Path::new(&folder));
}

#[test]
fn damaged_files_are_refused_without_harm() {
    let rng = &mut Rng::seeded(0x5eed_0fda);
    let mut refused = 0;
    for file in golden() {
        let bytes = std::fs::read(&file).unwrap();
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..=rng.index(4) {
                let at = rng.index(damaged.len());
                match rng.index(3) {
                    0 => damaged[at] ^= 1 << rng.index(8),
                    1 => damaged[at] = [0, 1, 0x3f, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff][rng.index(9)],
                    _ => damaged.truncate(at + 1),
                }
            }
            let mut content = Content::default();
            let options = Options { limits: &limits(), checksum: false, deep: rng.index(2) == 0 };
            refused += read(&damaged[..], damaged.len() as u64, options, &mut content).is_err() as usize;
            // What got through can be looked at, written and read.
            for (entry, _) in content.entries.values() {
                describe(entry);
                Encoder::new(true).value(entry, &mut Vec::new());
            }
        }
        for cut in 0..bytes.len() {
            assert!(load(&bytes[..cut], true, false).is_err());
        }
    }
    assert!(refused > 1000);
}

#[test]
fn checksums_are_compared_when_there_is_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rdb/redis8.0-empty.rdb");
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let error = load(&bytes, true, false).err().unwrap();
    assert!(error.reason.contains("CRC error"), "{error}");
    assert!(load(&bytes, false, false).is_ok());
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    assert!(load(&bytes, true, false).is_ok());
}

/// Values in forms that only old servers wrote.
#[test]
fn old_forms() {
    let rules = Rules { limits: &limits(), flavor: Flavor::Redis, deep: true };
    let read = |kind: u8, bytes: &[u8]| match value(&mut Reader::new(Slice::new(bytes)), rules, kind, b"k", None) {
        Ok(Decoded::Entry(entry)) => format!("{} {:?}", encoding_of(&entry), describe(&entry)).replace("Text", ""),
        Ok(Decoded::Empty) => "empty".into(),
        Ok(Decoded::Module(name)) => format!("module {name}"),
        Err(error) => error.to_string(),
    };
    let list = "listpack List([([97]), ([49])])";
    assert_eq!(read(1, b"\x02\x01a\xc0\x01"), list);
    assert_eq!(read(1, b"\x00"), "empty");
    let ziplist = b"\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff";
    assert_eq!(read(14, &[b"\x01", &ziplist[..]].concat()), list);
    assert_eq!(read(10, ziplist), list.replace("listpack", "quicklist"));
    assert_eq!(read(13, ziplist), "listpack List([List([([97]), ([49])])])");
    assert_eq!(read(12, ziplist), "listpack List([List([([97]), ([49, 46, 48])])])");
    assert_eq!(read(9, b"\x07\x01\x01a\x01\x001\xff"), "listpack List([List([([97]), ([49])])])");
    assert_eq!(read(3, b"\x01\x01a\x041e-1"), "listpack List([List([([97]), ([48, 46, 49])])])");
    assert_eq!(read(3, b"\x01\x01a\xff"), "listpack List([List([([97]), ([45, 105, 110, 102])])])");
    assert!(read(3, b"\x01\x01a\xfd").starts_with("a score that is not a number"));
    assert!(read(2, b"\x02\x01a\x01a").starts_with("duplicate members"));
    assert!(read(2, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff").starts_with("more elements announced"));
    assert_eq!(
        read(7, b"\x81\x79\x04\x21\xc1\x30\xe1\x04\x00\x02\x05\x05\x01a\x04\0\0\0\0\0\0\0\0\x03\0\0\0\0\0"),
        "module eQQhwTDhB"
    );
    assert!(read(99, b"").starts_with("unknown type or opcode 99"));
    let deadlines = |kind, bytes: &[u8]| read(kind, bytes);
    let hash = "listpackex List([List([([97]), ([98]), Number(\"1000\")]), List([([99]), ([100])])])";
    assert_eq!(deadlines(24, b"\xe8\x03\0\0\0\0\0\0\x02\x01\x01a\x01b\x00\x01c\x01d"), hash);
    assert_eq!(deadlines(22, b"\x02\x43\xe8\x01a\x01b\x00\x01c\x01d"), hash);
    // Triplets out of order are put in order, or refused when payloads are looked at closely.
    let triplets = b"\x18\x18\0\0\0\x06\0\x81c\x02\x81d\x02\0\x01\x81a\x02\x81b\x02\xc3\xe8\x02\xff";
    assert!(deadlines(23, triplets).contains("integrity check failed"));
    let rules = Rules { deep: false, ..rules };
    match value(&mut Reader::new(Slice::new(triplets)), rules, 23, b"k", None) {
        Ok(Decoded::Entry(entry)) => assert!(hash.ends_with(&format!("{:?}", describe(&entry)).replace("Text", ""))),
        _ => panic!("not read"),
    }
}

/// What a random value is made of: short numbers and texts, and long ones.
fn word(rng: &mut Rng) -> Vec<u8> {
    match rng.index(8) {
        0..=3 => (rng.index(1 << 20) as i64 - (1 << 19)).to_string().into_bytes(),
        4 => vec![b'x'; rng.index(100)],
        5 => (0..rng.index(40)).map(|_| rng.index(256) as u8).collect(),
        6 => (rng.index(usize::MAX / 2) as i64).to_string().into_bytes(),
        _ => format!("word-{}", rng.index(1000)).into_bytes(),
    }
}

#[test]
fn values_go_through_bytes() {
    use redstart::ds::object::Typed;
    use redstart::ds::sorted_set::SortedSetBuilder;
    let rng = &mut Rng::seeded(0xbead_5eed);
    let limits = limits();
    for round in 0..400 {
        let most = [3, 30, 130, 700][rng.index(4)];
        let len = 1 + rng.index(most);
        let built = match round % 5 {
            0 => {
                let mut list = List::empty(&limits);
                for _ in 0..len {
                    let word = word(rng);
                    list.grow(word.len(), 1, &limits);
                    list.push(redstart::ds::list::End::Back, Element::Str(&word));
                }
                list.into_value()
            }
            1 => {
                let mut set = Set::empty(&limits);
                let numbers = rng.index(2) == 0;
                for _ in 0..len {
                    let bits = [6, 20, 40][rng.index(3)];
                    let number = rng.index(1 << bits) as i64;
                    let word = if numbers { number.to_string().into_bytes() } else { word(rng) };
                    set.insert(Element::Str(&word), &limits);
                }
                set.into_value()
            }
            2 => {
                let mut members = SortedSetBuilder::new(&limits, 0);
                for _ in 0..len {
                    let score = [rng.index(1000) as f64, rng.index(1000) as f64 / 7.0, f64::INFINITY, -1e300][rng.index(4)];
                    members.push(&word(rng), score);
                }
                members.finish(&limits).into_value()
            }
            3 => {
                let mut hash = Hash::empty(&limits);
                let volatile = rng.index(2) == 0;
                for _ in 0..len {
                    let deadline = (volatile && rng.index(3) == 0).then(|| 1 + rng.index(1 << 45) as i64);
                    hash.put(&word(rng), &word(rng), deadline, &limits);
                }
                hash.into_value()
            }
            _ => {
                let entry = Entry::with_string(b"key", Some(7), &word(rng).repeat(1 + rng.index(200)), true);
                assert_eq!(describe(&through_bytes(&entry)), describe(&entry));
                continue;
            }
        };
        let entry = Entry::with_value(b"key", Some(7), built);
        let again = through_bytes(&entry);
        assert_eq!(describe(&again), describe(&entry), "round {round}");
        assert_eq!(encoding_of(&again), encoding_of(&entry), "round {round}");
        assert_eq!((again.key(), again.deadline()), (&b"key"[..], Some(7)));
    }
}

/// Payloads of real servers are taken, and told again byte for byte where the order of elements is given.
#[test]
fn dumps_of_other_servers() {
    let text = include_str!("../data/dumps.tsv");
    let mut same = 0;
    let mut kit = Kit::new();
    for line in text.lines().skip(1) {
        let [server, key, kind, encoding, hex] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let payload: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        kit.run("FLUSHALL");
        let request = [&b"RESTORE"[..], b"key", b"0", &payload].into_iter().collect();
        assert_eq!(kit.run_request(&request), "+OK", "{server} {key}");
        assert_eq!(kit.run("TYPE key"), format!("+{kind}"), "{server} {key}");
        // Redis keeps the nearest deadline of a hash that has none any more.
        if server == "redis8.0" && key != "hashttl:persisted" && (encoding != "hashtable" || kind == "string") {
            let keyspace = &mut kit.world.keyspace;
            let entry = keyspace.peek(redstart::types::DbIndex(0), b"key").unwrap();
            let told = redstart::commands::keys::dump_payload(&entry, true);
            assert_eq!(told, payload, "{server} {key} {encoding}");
            same += 1;
        }
    }
    assert!(same > 50, "{same}");
}

#[test]
fn servers_save_and_load() {
    use redstart::server::{Port, Server};
    use std::io::{Read, Write};
    let folder = std::env::temp_dir().join(format!("redstart-persist-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let start =
        || Server::builder().port(Port::Auto).set("dir", folder.to_str().unwrap()).set("enable-debug-command", "yes").start();
    let ask = |server: &Server, requests: &str, reply: &str| {
        let mut client = std::net::TcpStream::connect(server.address()).unwrap();
        client.write_all(requests.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        assert_eq!(told, reply, "{requests}");
    };
    let server = start().unwrap();
    ask(
        &server,
        "SET a 1\r\nSET gone x PX 1\r\nRPUSH l a b\r\nSELECT 3\r\nSET b two EX 1000\r\n",
        "+OK\r\n+OK\r\n:2\r\n+OK\r\n+OK\r\n",
    );
    let written = std::time::SystemTime::now();
    ask(&server, "SAVE\r\nDEBUG RELOAD\r\nGET a\r\n", "+OK\r\n+OK\r\n$1\r\n1\r\n");
    drop(server);
    // A quick machine comes here within the millisecond, and the engine's clock may be a tick behind.
    while written.elapsed().unwrap_or_default() < std::time::Duration::from_millis(20) {
        std::thread::yield_now();
    }
    let file = folder.join("dump.rdb");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(&bytes[..9], b"REDIS0010", "lists need version 10");
    let server = start().unwrap();
    ask(&server, "DBSIZE\r\nLRANGE l 0 -1\r\nSELECT 3\r\nPERSIST b\r\n", ":2\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n+OK\r\n:1\r\n");
    // Files of its own are loaded as anybody else's; and what is in memory may stay.
    ask(&server, "SET c 3\r\nDEBUG RELOAD NOSAVE NOFLUSH MERGE\r\nGET c\r\n", "+OK\r\n+OK\r\n$1\r\n3\r\n");
    ask(
        &server,
        "DEBUG RELOAD NOSAVE\r\nGET c\r\nDEBUG RELOAD X\r\n",
        "+OK\r\n$-1\r\n-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.\r\n",
    );
    drop(server);
    let content = load(&bytes, true, true).unwrap();
    // With or without the one that is past its deadline, as it was seen in time or not.
    assert!((3..=4).contains(&content.entries.len()));
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let error = start().err().unwrap().to_string();
    assert!(error.contains("dump.rdb") && error.contains("CRC error") && error.contains("offset"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
    std::fs::remove_dir_all(&folder).unwrap();
}
