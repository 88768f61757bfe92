//! Random Lua scripts to the server under test and to a real one: the replies must be the same.
//!
//! Each script has its own seed and runs on an empty keyspace, in RESP3 for odd seeds. The report of a difference names the
//! seed, so `REDSTART_LUA_SEED=<seed> REDSTART_LUA_SCRIPTS=1` leads straight to it.
//!
//! | variable | meaning |
//! |---|---|
//! | `REDSTART_LUA_SCRIPTS` | how many scripts (300) |
//! | `REDSTART_LUA_SEED` | seed of the first script (1); the next count on from it |
//! | `REDSTART_LUA_TOPICS` | topics, separated by commas (all of `generate::lua::TOPICS`) |
//! | `REDSTART_DIFF_ALL` | `1`: go on and list all distinct differences |
//! | `REDSTART_OURS`, `REDSTART_PEER` | the servers, see `support/spawn.rs`; without a peer of the aimed at generation nothing is compared |

use crate::support::client::Client;
use crate::support::generate::lua::Scripts;
use crate::support::notation::shorten;
use crate::support::reply::Reply;
use crate::support::spawn::{Server, peer};
use crate::support::{env, env_number, glob};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Differences that are accepted: a pattern for `topic: our reply <> their reply` (`*` for anything), and why.
const KNOWN: &[(&str, &str)] = &[
    ("format: *nan* <> *na*", "LuaJIT keeps no sign of NaN (see `same_signs`), which counts in a width"),
    ("cmsgpack: *110 97 110* <> *45 110 97 110*", "as above, byte by byte"),
    ("arithmetic: *bad argument #1 to '* <> *bad argument #2 to '*", "the last argument is looked at first there"),
    ("string: \"true -* <> \"true 1.84467440737095*", "in another base than 10 a negative number wraps around there"),
    ("string: \"true nil\" <> \"true 7\"", "a number ends at a zero byte there"),
    (
        "error: *Attempt to modify a readonly table* <> *Attempt to modify a readonly table*",
        "the place is told there only by assignments",
    ),
];

/// Longest reply shown.
const SHOWN: usize = 800;

#[test]
fn random_scripts_get_the_replies_of_a_real_server() {
    if env("REDSTART_PEER").is_none() {
        println!("left out: REDSTART_PEER is not set");
        return;
    }
    let Some(peer) = peer() else { return };
    let Some(ours) = Server::ours_if_ready(&["--enable-debug-command", "yes"]) else { return };
    if ours.client().run("EVAL 'return 1' 0").is_error() {
        println!("left out: the server does not run scripts");
        return;
    }
    let theirs = Server::start(&peer, &["--enable-debug-command", "yes"]);
    let theirs = theirs.unwrap_or_else(|error| panic!("the peer does not start: {error}"));
    let topics = env("REDSTART_LUA_TOPICS").unwrap_or_default();
    let topics: Vec<&str> = topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()).collect();
    let go_on = env("REDSTART_DIFF_ALL").is_some_and(|value| value != "0");
    let (first, count) = (env_number("REDSTART_LUA_SEED", 1), env_number("REDSTART_LUA_SCRIPTS", 300));
    let mut pairs = [2, 3].map(|protocol| {
        [&ours, &theirs].map(|server| {
            let mut client = server.client();
            client.run(&format!("HELLO {protocol}"));
            client
        })
    });
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for seed in first..first + count {
        let (topic, script) = Scripts::new(seed, &topics).script();
        let [our_reply, their_reply] = pairs[(seed % 2) as usize].each_mut().map(|client| run(client, &script));
        if our_reply == their_reply {
            continue;
        }
        let (our_reply, their_reply) = (same_signs(&our_reply.to_string()), same_signs(&their_reply.to_string()));
        if our_reply == their_reply {
            continue;
        }
        let line = format!("{topic}: {our_reply} <> {their_reply}");
        if KNOWN.iter().any(|(pattern, _)| glob(pattern, &line)) {
            continue;
        }
        let text = script.rsplit("all(pcall(f, ...)) end\n").next().unwrap_or_default();
        let mut report = format!("seed {seed}, {topic}: {}\n", shorten(text, SHOWN));
        let _ = writeln!(report, "  ours:   {}\n  theirs: {}", shorten(&our_reply, SHOWN), shorten(&their_reply, SHOWN));
        let kind =
            |text: &str| text.split_whitespace().take(6).collect::<Vec<_>>().join(" ").chars().take(40).collect::<String>();
        found.entry(format!("{topic}: {} <> {}", kind(&our_reply), kind(&their_reply))).or_insert((0, report)).0 += 1;
        if !go_on {
            break;
        }
    }
    println!("{count} scripts from seed {first}");
    let mut report = String::new();
    for (count, example) in found.values() {
        let _ = write!(report, "\n{count} times, first:\n{example}");
    }
    assert!(report.is_empty(), "{report}\n{} distinct differences", found.len());
}

/// The text without signs of NaN, of which LuaJIT writes none, and of zeros, as Lua 5.1 has one constant for both.
fn same_signs(text: &str) -> String {
    let mut same = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(minus) = rest.find('-') {
        same.push_str(&rest[..minus]);
        let after = &rest[minus + 1..];
        let in_number = same.ends_with(|before: char| before.is_ascii_alphanumeric() || before == '.');
        let is_zero = after.starts_with('0') && !after[1..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '.');
        if !after.starts_with("nan") && (in_number || !is_zero) {
            same.push('-');
        }
        rest = after;
    }
    same + rest
}

/// Runs a script on an empty keyspace, with a key and an argument.
fn run(client: &mut Client, script: &str) -> Reply {
    client.run("FLUSHALL");
    let reply = client.call(&["EVAL", script, "1", "key:1", "argument"]);
    reply.unwrap_or_else(|error| panic!("no reply to {script}: {error}"))
}
