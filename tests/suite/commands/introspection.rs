//! The table of commands against the facts of the original, and COMMAND's views of it.

use redstart::command::getkeys::legacy_range;
use redstart::command::spec::{Begin, Category, Find, Flag, KeyFlags, KeySpec};
use redstart::testkit::check;
use std::collections::BTreeMap;

/// name, arity, flags, ACL categories, first/last/step, key specs, group, since, tips: facts as the original reports them.
const FACTS: &str = include_str!("../../data/command_facts.tsv");

/// Rows that differ on purpose: name, column, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

fn key_spec(rule: &KeySpec) -> String {
    let names = KeyFlags::NAMES.iter().enumerate().filter(|(bit, _)| rule.flags & (1 << bit) != 0);
    let mut flags: Vec<&str> = names.map(|(_, name)| *name).collect();
    flags.sort_unstable();
    let begin = match rule.begin {
        Begin::Index(at) => format!("index:{at}"),
        Begin::Keyword { word, from } => format!("keyword:{word}:{from}"),
        Begin::Unknown => "unknown".into(),
    };
    let find = match rule.find {
        Find::Range { last, step, limit } => format!("range:{last}:{step}:{limit}"),
        Find::Count { count_at, first, step } => format!("keynum:{count_at}:{first}:{step}"),
        Find::Unknown => "unknown".into(),
    };
    format!("{}/{begin}/{find}", flags.join("+"))
}

fn joined(names: impl Iterator<Item = &'static str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.join(",")
}

#[test]
fn rows_state_the_facts() {
    let mut lines = FACTS.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let facts: BTreeMap<&str, Vec<&str>> =
        lines.map(|line| line.split('\t').collect::<Vec<_>>()).map(|fields| (fields[0], fields)).collect();
    let mut wrong = Vec::new();
    for row in redstart::commands::all() {
        let Some(wanted) = facts.get(row.name) else {
            wrong.push(format!("{}: no such command is known", row.name));
            continue;
        };
        let shown =
            Flag::ALL.iter().filter(|f| !matches!(f, Flag::MayReplicate | Flag::Transaction | Flag::TouchesArbitraryKeys));
        let categories = row.all_categories();
        let (first, last, step) = legacy_range(row);
        let found = [
            row.name.to_owned(),
            row.arity.0.to_string(),
            joined(shown.filter(|flag| row.has(**flag)).map(|flag| flag.name())),
            joined(Category::ALL.iter().filter(|c| categories & c.bit() != 0).map(|c| c.name())),
            format!("{first},{last},{step}"),
            row.keys.iter().map(key_spec).collect::<Vec<_>>().join(" "),
            row.group.name().to_owned(),
            row.since.to_owned(),
            joined(row.tips.iter().copied()),
        ];
        for ((column, found), wanted) in columns.iter().zip(&found).zip(wanted) {
            let excepted = EXCEPTIONS.iter().any(|(name, what, _)| name == &row.name && what == column);
            if found != wanted && !excepted {
                wrong.push(format!("{} {column}: {found} and not {wanted}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands whose arguments go beyond those recorded: name, why.
const NEWER_SYNTAX: &[(&str, &str)] =
    &[("BITOP", "operations of Redis 8.2"), ("SET", "IFEQ of Valkey"), ("ZSCAN", "NOSCORES of Valkey")];

/// What COMMAND DOCS tells of arguments follows from the row's syntax, and that from `tests/data/commands.tsv`.
#[test]
fn rows_state_the_syntax() {
    let mut syntaxes = BTreeMap::new();
    for line in include_str!("../../data/commands.tsv").lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        syntaxes.insert(columns[0].replace(' ', "|"), columns[4]);
    }
    let one_blank = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for row in redstart::commands::all() {
        let Some(wanted) = syntaxes.get(row.name) else { continue };
        compared += 1;
        if one_blank(row.syntax) != one_blank(wanted) && !NEWER_SYNTAX.iter().any(|(name, _)| *name == row.name) {
            wrong.push(format!("{}:\n  {}\n  {wanted}", row.name, row.syntax));
        }
    }
    println!("{compared} compared");
    assert!(compared > 300 && wrong.is_empty(), "{compared} compared:\n{}", wrong.join("\n"));
}

#[test]
fn every_syntax_can_be_read() {
    for row in redstart::commands::all() {
        let arguments = redstart::command::syntax::arguments(row);
        assert_eq!(arguments.is_empty(), row.syntax.is_empty(), "{}", row.name);
        let keys = arguments.iter().filter(|argument| argument.key_spec.is_some());
        for key in keys {
            assert!(key.key_spec.unwrap() < row.keys.len(), "{} {}", row.name, key.name);
        }
    }
}

#[test]
fn command_info_tells_a_row() {
    check(
        r#"
        > COMMAND INFO get nosuch
        [["get", 2, [+readonly, +fast], 1, 1, 1, [+@read, +@string, +@fast], [], [["flags", [+RO, +access], "begin_search", ["type", "index", "spec", ["index", 1]], "find_keys", ["type", "range", "spec", ["lastkey", 0, "keystep", 1, "limit", 0]]]], []], nil]
        > COMMAND INFO config|get
        [["config|get", -3, [+admin, +noscript, +loading, +stale], 0, 0, 0, [+@admin, +@slow, +@dangerous], [], [], []]]
        # resp3
        > COMMAND INFO select
        [["select", 2, ~[+loading, +stale, +fast], 0, 0, 0, ~[+@fast, +@connection], ~[], ~[], ~[]]]
        > COMMAND DOCS nosuch
        {}
        > COMMAND DOCS ping
        {"ping": {"summary": "Answers PONG, or with the given text.", "since": "1.0.0", "group": "connection", "complexity": "O(1)", "arguments": [{"name": "message", "type": "string", "display_text": "message", "flags": ~[+optional]}]}}
        > COMMAND FOO
        -ERR unknown subcommand 'FOO'. Try COMMAND HELP.
        > COMMAND COUNT x
        -ERR wrong number of arguments for 'command|count' command
        "#,
    );
}

#[test]
fn keys_are_found_in_requests() {
    check(
        r#"
        > COMMAND GETKEYS SET k v
        ["k"]
        > COMMAND GETKEYS MSET a 1 b 2
        ["a", "b"]
        > COMMAND GETKEYSANDFLAGS SET k v
        [["k", [+OW, +update]]]
        > COMMAND GETKEYSANDFLAGS SET k v GET
        [["k", [+RW, +access, +update]]]
        > COMMAND GETKEYSANDFLAGS SORT k STORE d
        [["k", [+RO, +access]], ["d", [+OW, +update]]]
        > COMMAND GETKEYSANDFLAGS SORT k STORE first STORE d
        [["k", [+RO, +access]], ["d", [+OW, +update]]]
        > COMMAND GETKEYSANDFLAGS SORT k STORE k
        [["k", [+RO, +access]], ["k", [+OW, +update]]]
        > COMMAND GETKEYS FOO
        -ERR Invalid command specified
        > COMMAND GETKEYS PING
        -ERR The command has no key arguments
        > COMMAND GETKEYS SET k
        -ERR Invalid number of arguments specified for command
        > COMMAND GETKEYS
        -ERR wrong number of arguments for 'command|getkeys' command
        # resp3
        > COMMAND GETKEYSANDFLAGS GET k
        [["k", ~[+RO, +access]]]
        "#,
    );
}

#[test]
fn names_are_listed_by_filters() {
    check(
        r#"
        > COMMAND LIST FILTERBY PATTERN client|no*
        ["client|no-evict", "client|no-touch"]
        > COMMAND LIST FILTERBY PATTERN ECHO
        ["echo"]
        > COMMAND LIST FILTERBY ACLCAT nocat
        []
        > COMMAND LIST FILTERBY MODULE nomod
        []
        > COMMAND LIST FILTERBY FOO bar
        -ERR syntax error
        > COMMAND LIST FOO
        -ERR syntax error
        "#,
    );
}
