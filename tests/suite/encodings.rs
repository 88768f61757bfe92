//! OBJECT ENCODING around each threshold, as recorded on Redis 8.0.6: `tests/data/encodings.tsv`. A row names a construction
//! in words; here is what each of them means in requests.

use crate::support::client::Client;
use crate::support::notation::table;
use crate::support::spawn::Server;

/// Constructions whose outcome differs, and why.
const KNOWN: &[(&str, &str)] = &[("VADD, one element", "there are no vector sets")];

#[test]
fn encodings_change_where_those_of_redis_do() {
    let server = Server::ours(&["--enable-debug-command", "yes", "--save", ""]);
    let mut client = server.client();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for row in table(include_str!("../data/encodings.tsv")) {
        let &[kind, _, construction, n, expected, ..] = &row[..] else { panic!("{row:?}") };
        if kind != "encoding" || KNOWN.iter().any(|(known, _)| *known == construction) {
            continue;
        }
        count += 1;
        client.run("FLUSHALL");
        build(&mut client, construction, n.parse().unwrap_or(0));
        let found = client.run("OBJECT ENCODING k");
        let found = found.text().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_else(|| found.to_string());
        let found = match expected.split_once(' ') {
            Some(_) => format!("{} {} bytes", sparseness(&mut client), client.run("STRLEN k").integer().unwrap_or(0)),
            None => found,
        };
        if found != expected {
            wrong.push(format!("{construction}, n = {n}: {found}, there {expected}"));
        }
    }
    println!("{count} constructions");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn sparseness(client: &mut Client) -> String {
    client.run("PFDEBUG ENCODING k").text().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

/// Sends many arguments, 500 in a request: a list looks at each request as a whole.
fn many(client: &mut Client, head: &str, args: impl Iterator<Item = String>) {
    const AT_ONCE: usize = 500;
    let args: Vec<String> = args.collect();
    for some in args.chunks(AT_ONCE) {
        let mut request: Vec<String> = head.split(' ').map(str::to_owned).collect();
        request.extend_from_slice(some);
        let reply = client.call(&request).expect("a reply");
        assert!(!reply.is_error(), "{head}: {reply}");
    }
}

fn do_all(client: &mut Client, requests: &[&str]) {
    for request in requests {
        let reply = client.run(request);
        assert!(!reply.is_error(), "{request}: {reply}");
    }
}

/// Distinct texts of 10 bytes.
fn text(i: usize) -> String {
    format!("m{i:09}")
}

fn texts(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(text)
}

fn integers(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|i| i.to_string())
}

fn pairs(n: usize) -> impl Iterator<Item = String> {
    (0..n).flat_map(|i| [format!("f{i}"), format!("v{i}")])
}

fn scored(n: usize) -> impl Iterator<Item = String> {
    (0..n).flat_map(|i| [i.to_string(), format!("m{i}")])
}

fn build(c: &mut Client, construction: &str, n: usize) {
    let long = "x".repeat(n);
    let some = |text: &str| text.to_owned();
    match construction {
        "SET, value of n bytes" => do_all(c, &[&format!("SET k {long}")]),
        "SET with a TTL, value of n bytes" => do_all(c, &[&format!("SET k {long} EX 1000")]),
        // The key's length does not matter in the server that the table is compared with, so it may be called otherwise.
        "SET, key of 32 bytes, value of n bytes" | "SET, key of 100 bytes, value of n bytes" => {
            let key = "k".repeat(if construction.contains("32") { 32 } else { 100 });
            do_all(c, &[&format!("SET {key} {long}"), &format!("RENAME {key} k")]);
        }
        "SET a, APPEND b" => do_all(c, &["SET k a", "APPEND k b"]),
        "SET 1, APPEND 2" => do_all(c, &["SET k 1", "APPEND k 2"]),
        "APPEND a to no key" => do_all(c, &["APPEND k a"]),
        "APPEND 1 to no key" => do_all(c, &["APPEND k 1"]),
        "SET 1, SETRANGE 0 2" => do_all(c, &["SET k 1", "SETRANGE k 0 2"]),
        "SETRANGE 0 a to no key" => do_all(c, &["SETRANGE k 0 a"]),
        "SETBIT 0 1 to no key" => do_all(c, &["SETBIT k 0 1"]),
        "SET 1, SETBIT 7 0" => do_all(c, &["SET k 1", "SETBIT k 7 0"]),
        "BITFIELD SET u8 0 1" => do_all(c, &["BITFIELD k SET u8 0 1"]),
        "BITOP NOT k a (a = abc)" => do_all(c, &["SET a abc", "BITOP NOT k a"]),
        "INCR to no key" => do_all(c, &["INCR k"]),
        "SET 10, INCR" => do_all(c, &["SET k 10", "INCR k"]),
        "INCRBYFLOAT 1.5 to no key" => do_all(c, &["INCRBYFLOAT k 1.5"]),
        "SET 1, INCRBYFLOAT 1" => do_all(c, &["SET k 1", "INCRBYFLOAT k 1"]),
        "SET 12, GETSET 5" => do_all(c, &["SET k 12", "GETSET k 5"]),
        "MSET k 5" => do_all(c, &["MSET k 5"]),
        "SETEX 100 5" => do_all(c, &["SETEX k 100 5"]),
        "SET a = 5, COPY a k" => do_all(c, &["SET a 5", "COPY a k"]),
        "APPEND a to a, COPY a k" => do_all(c, &["APPEND a a", "COPY a k"]),
        "PFADD k a" => do_all(c, &["PFADD k a"]),
        "PFADD k (no elements)" => do_all(c, &["PFADD k"]),
        "SET k a, DEBUG RELOAD" => do_all(c, &["SET k a", "DEBUG RELOAD"]),
        "APPEND k a, DEBUG RELOAD" => do_all(c, &["APPEND k a", "DEBUG RELOAD"]),
        "APPEND k 1, DEBUG RELOAD" => do_all(c, &["APPEND k 1", "DEBUG RELOAD"]),
        "RPUSH, n elements of 1 byte" => many(c, "RPUSH k", (0..n).map(|_| some("a"))),
        "RPUSH, n elements of 10 bytes" => many(c, "RPUSH k", texts(n)),
        "RPUSH, n elements of 100 bytes" => many(c, "RPUSH k", (0..n).map(|_| "a".repeat(100))),
        "RPUSH, n small integers" => many(c, "RPUSH k", (0..n).map(|i| (i % 100).to_string())),
        "RPUSH, one element of n bytes" => many(c, "RPUSH k", [long].into_iter()),
        "RPUSH 2000 of 10 bytes, then LTRIM 0 n-1" => {
            many(c, "RPUSH k", texts(2000));
            do_all(c, &[&format!("LTRIM k 0 {}", n - 1)]);
        }
        "RPUSH 2000 of 10 bytes, then LPOP 2000-n" => {
            many(c, "RPUSH k", texts(2000));
            do_all(c, &[&format!("LPOP k {}", 2000 - n)]);
        }
        "RPUSH n of 10 bytes, then LSET 0 with 8200 bytes" => {
            many(c, "RPUSH k", texts(n));
            many(c, "LSET k 0", ["x".repeat(8200)].into_iter());
        }
        "SORT k of 3 elements, STORE" => do_all(c, &["RPUSH a 3 1 2", "SORT a STORE k"]),
        "RPUSH 2000 of 10 bytes, LTRIM 0 600, DEBUG RELOAD" => {
            many(c, "RPUSH k", texts(2000));
            do_all(c, &["LTRIM k 0 600", "DEBUG RELOAD"]);
        }
        "SADD, n integers" => many(c, "SADD k", integers(n)),
        "SADD, n strings" => many(c, "SADD k", texts(n)),
        "SADD, one string of n bytes" => many(c, "SADD k", [long].into_iter()),
        "SADD n integers, then one string" => {
            many(c, "SADD k", integers(n));
            do_all(c, &["SADD k a"]);
        }
        "SADD n integers, then one string of 65 bytes" => {
            many(c, "SADD k", integers(n));
            many(c, "SADD k", ["x".repeat(65)].into_iter());
        }
        "SADD 600 integers, then SREM down to n" => {
            many(c, "SADD k", integers(600));
            many(c, "SREM k", integers(600 - n));
        }
        "SADD one string, SREM it after adding n integers" => {
            do_all(c, &["SADD k a"]);
            many(c, "SADD k", integers(n));
            do_all(c, &["SREM k a"]);
        }
        "SUNIONSTORE k of n integers" => {
            many(c, "SADD a", integers(n));
            do_all(c, &["SUNIONSTORE k a"]);
        }
        "SUNIONSTORE k of n strings" => {
            many(c, "SADD a", texts(n));
            do_all(c, &["SUNIONSTORE k a"]);
        }
        "SINTERSTORE k of n integers" => {
            many(c, "SADD a", integers(n));
            do_all(c, &["SINTERSTORE k a a"]);
        }
        "SADD n strings, DEBUG RELOAD" => {
            many(c, "SADD k", texts(n));
            do_all(c, &["DEBUG RELOAD"]);
        }
        "SADD 600 integers, SREM to 10, DEBUG RELOAD" => {
            many(c, "SADD k", integers(600));
            many(c, "SREM k", integers(590));
            do_all(c, &["DEBUG RELOAD"]);
        }
        "SADD 600 strings, SREM to 10, DEBUG RELOAD" => {
            many(c, "SADD k", texts(600));
            many(c, "SREM k", texts(590));
            do_all(c, &["DEBUG RELOAD"]);
        }
        "HSET, n fields" => many(c, "HSET k", pairs(n)),
        "HSET, one field name of n bytes" => many(c, "HSET k", [long, some("v")].into_iter()),
        "HSET, one value of n bytes" => many(c, "HSET k f", [long].into_iter()),
        "HSET 700 fields, then HDEL down to n" => {
            many(c, "HSET k", pairs(700));
            many(c, "HDEL k", (n..700).map(|i| format!("f{i}")));
        }
        "HSET n fields, HEXPIRE on one" => {
            many(c, "HSET k", pairs(n));
            do_all(c, &["HEXPIRE k 1000 FIELDS 1 f0"]);
        }
        "HSET, HEXPIRE, HPERSIST" => do_all(c, &["HSET k f v g w", "HEXPIRE k 1000 FIELDS 1 f", "HPERSIST k FIELDS 1 f"]),
        "HSET, HEXPIRE, HDEL of the field" => do_all(c, &["HSET k f v g w", "HEXPIRE k 1000 FIELDS 1 f", "HDEL k f"]),
        "HSETEX EX 1000, one field" => do_all(c, &["HSETEX k EX 1000 FIELDS 1 f v"]),
        "HSETEX without expiry, one field" => do_all(c, &["HSETEX k FIELDS 1 f v"]),
        "HINCRBY k f 1" => do_all(c, &["HINCRBY k f 1"]),
        "HSET 700 fields, HDEL to 10, DEBUG RELOAD" => {
            many(c, "HSET k", pairs(700));
            many(c, "HDEL k", (10..700).map(|i| format!("f{i}")));
            do_all(c, &["DEBUG RELOAD"]);
        }
        "HSET, HEXPIRE, DEBUG RELOAD" => do_all(c, &["HSET k f v", "HEXPIRE k 1000 FIELDS 1 f", "DEBUG RELOAD"]),
        "ZADD, n members" => many(c, "ZADD k", scored(n)),
        "ZADD, one member of n bytes" => many(c, "ZADD k 1", [long].into_iter()),
        "ZADD 300 members, then ZREM down to n" => {
            many(c, "ZADD k", scored(300));
            many(c, "ZREM k", (n..300).map(|i| format!("m{i}")));
        }
        "ZUNIONSTORE k 1 a, a of n members" => {
            many(c, "ZADD a", scored(n));
            do_all(c, &["ZUNIONSTORE k 1 a"]);
        }
        "ZRANGESTORE k a 0 -1, a of n members" => {
            many(c, "ZADD a", scored(n));
            do_all(c, &["ZRANGESTORE k a 0 -1"]);
        }
        "ZRANGESTORE k a 0 4, a of 300 members" => {
            many(c, "ZADD a", scored(300));
            do_all(c, &["ZRANGESTORE k a 0 4"]);
        }
        "GEOADD, one member" => do_all(c, &["GEOADD k 10 20 m"]),
        "GEOSEARCHSTORE, one member" => {
            do_all(c, &["GEOADD a 10 20 m", "GEOSEARCHSTORE k a FROMMEMBER m BYRADIUS 1 km ASC"]);
        }
        "ZADD 300 members, ZREM to 10, DEBUG RELOAD" => {
            many(c, "ZADD k", scored(300));
            many(c, "ZREM k", (10..300).map(|i| format!("m{i}")));
            do_all(c, &["DEBUG RELOAD"]);
        }
        "XADD, one entry" => do_all(c, &["XADD k * f v"]),
        "XGROUP CREATE MKSTREAM" => do_all(c, &["XGROUP CREATE k g $ MKSTREAM"]),
        "PFADD k e0 .. e(n-1)" => many(c, "PFADD k", (0..n).map(|i| format!("e{i}"))),
        request if request.starts_with("SET k ") || request.starts_with("SADD ") => {
            do_all(c, &[&request.replace("SADD ", "SADD k ")]);
        }
        other => panic!("{other} is not known here"),
    }
}
