//! Finding a request's keys by its row's key specs: for COMMAND GETKEYS, ACL, Cluster routing and prefetching.
//!
//! Counts in the arguments come from outside: a count that is no number, or that leads past the end, is an error for the
//! asker and never an index (the class of CVE-2023-36824).

use super::args::Args;
use super::spec::{Begin, CommandSpec, Find, KeyFlags};
use crate::resp::number;

/// Why no keys could be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoKeys {
    /// The arguments contradict the command's rules.
    Invalid,
}

/// Calls `found(argument index, KeyFlags bits)` for every key of the request, in order of the specs.
pub fn keys_of(spec: &CommandSpec, args: Args<'_>, mut found: impl FnMut(usize, u16)) -> Result<(), NoKeys> {
    for rule in spec.keys {
        let first = match rule.begin {
            Begin::Index(i) => i,
            Begin::Keyword { word, from } => match position(args, word, from) {
                Some(i) => i + 1,
                None => continue,
            },
            Begin::Unknown => {
                if spec.name == "SORT"
                    && rule.flags & KeyFlags::OW != 0
                    && let Some(i) = sort_destination(args)
                {
                    found(i, rule.flags);
                }
                continue;
            }
        };
        if first >= args.len() {
            continue;
        }
        let (from, last, step) = match rule.find {
            Find::Range { last, step, limit } => {
                let last = if last >= 0 {
                    first + last as usize
                } else if limit <= 1 {
                    args.len().checked_sub(last.unsigned_abs() as usize).ok_or(NoKeys::Invalid)?
                } else {
                    let rest = args.len() - first;
                    (first + rest / limit).saturating_sub(last.unsigned_abs() as usize)
                };
                (first, last, step)
            }
            Find::Count { count_at, first: offset, step } => {
                let at = first + count_at;
                if at >= args.len() {
                    return Err(NoKeys::Invalid);
                }
                let count = number::parse_i64(args.get(at)).filter(|n| *n >= 0).ok_or(NoKeys::Invalid)?;
                if count == 0 {
                    continue;
                }
                let from = first + offset;
                let span = (count as usize - 1).checked_mul(step).ok_or(NoKeys::Invalid)?;
                (from, from.checked_add(span).ok_or(NoKeys::Invalid)?, step)
            }
            Find::Unknown => continue,
        };
        if last >= args.len() {
            return Err(NoKeys::Invalid);
        }
        for i in (from..=last).step_by(step.max(1)) {
            found(i, rule.flags & !KeyFlags::INCOMPLETE);
        }
    }
    Ok(())
}

/// Calls `found` for every key of the request with what the command does to it, also where a row's rules are only an upper
/// bound: for commands whose options decide what becomes of a key, and for those that name keys behind options.
pub fn exact_keys_of(spec: &CommandSpec, args: Args<'_>, mut found: impl FnMut(usize, u16)) -> Result<(), NoKeys> {
    let any = |from: usize, words: &[&str]| (from..args.len()).any(|i| words.iter().any(|word| args.is(i, word)));
    match spec.name {
        "SET" => {
            let access = if any(3, &["GET"]) { super::spec::READ_UPDATE } else { super::spec::OVERWRITE };
            keys_of(spec, args, |at, _| found(at, access))
        }
        "BITFIELD" => {
            let access = if any(2, &["SET", "INCRBY"]) { super::spec::READ_UPDATE } else { super::spec::READ };
            keys_of(spec, args, |at, _| found(at, access))
        }
        // Each may be given again, and the last counts; the rules find the first.
        "GEORADIUS" | "GEORADIUSBYMEMBER" => {
            found(1, super::spec::READ);
            let stores = (4..args.len().saturating_sub(1)).filter(|i| args.is(*i, "STORE") || args.is(*i, "STOREDIST"));
            stores.for_each(|i| found(i + 1, super::spec::OVERWRITE));
            Ok(())
        }
        "MIGRATE" => {
            match keys_word_of_migrate(args) {
                // Which of the two is meant, the command does not know either.
                Some(_) if !args.get(3).is_empty() => {}
                Some(keys) => (keys + 1..args.len()).for_each(|i| found(i, super::spec::TAKE)),
                None => found(3, super::spec::TAKE),
            }
            Ok(())
        }
        _ => keys_of(spec, args, found),
    }
}

/// Where MIGRATE's KEYS stands, if it does: not where a password or a name of the same look would.
fn keys_word_of_migrate(args: Args<'_>) -> Option<usize> {
    let mut i = 6;
    while i < args.len() && !args.is(i, "KEYS") {
        i += match () {
            () if args.is(i, "AUTH") => 2,
            () if args.is(i, "AUTH2") => 3,
            () => 1,
        };
    }
    (i < args.len()).then_some(i)
}

/// The channels that a request publishes to or subscribes to, and whether they are patterns.
pub fn channels_of(spec: &CommandSpec, args: Args<'_>) -> Option<(std::ops::Range<usize>, bool)> {
    match spec.name {
        "PUBLISH" | "SPUBLISH" => Some((1..2, false)),
        "SUBSCRIBE" | "SSUBSCRIBE" => Some((1..args.len(), false)),
        "PSUBSCRIBE" => Some((1..args.len(), true)),
        _ => None,
    }
}

/// First key, last key and step as clients knew them before there were key specs: what plain ranges in a row can tell.
pub fn legacy_range(spec: &CommandSpec) -> (i64, i64, i64) {
    let plain = |rule: &super::spec::KeySpec| match (rule.begin, rule.find) {
        (Begin::Index(first), Find::Range { last, step, .. }) => Some((first as i64, last as i64, step as i64)),
        _ => None,
    };
    let absolute = |first: i64, last: i64| if last >= 0 { first + last } else { last };
    if let [rule] = spec.keys
        && let Some((first, last, step)) = plain(rule)
    {
        return (first, absolute(first, last), step);
    }
    let (mut from, mut to) = (0, 0);
    for (first, last, step) in spec.keys.iter().filter_map(plain) {
        // Ranges that do not follow one another cannot be told in three numbers.
        if step != 1 || (to != 0 && to != first - 1) {
            continue;
        }
        from = if from == 0 { first } else { from.min(first) };
        let last = absolute(first, last);
        // Counted from the end is further than any number.
        to = if (last < 0) == (to < 0) { to.max(last) } else { to.min(last) };
    }
    if from == 0 { (0, 0, 0) } else { (from, to, 1) }
}

/// The first key's argument index, from the first rule alone: what prefetching needs.
#[inline]
pub fn first_key(spec: &CommandSpec) -> Option<usize> {
    match spec.keys.first()?.begin {
        Begin::Index(i) => match spec.keys[0].find {
            Find::Range { .. } => Some(i),
            _ => None,
        },
        _ => None,
    }
}

/// The destination of SORT, which no rule finds: the words before the last STORE are arguments of other options or not.
fn sort_destination(args: Args<'_>) -> Option<usize> {
    let (mut i, mut found) = (2, None);
    while i < args.len() {
        if args.is(i, "LIMIT") {
            i += 2;
        } else if args.is(i, "GET") || args.is(i, "BY") {
            i += 1;
        } else if args.is(i, "STORE") && i + 1 < args.len() {
            found = Some(i + 1);
            i += 1;
        }
        i += 1;
    }
    found
}

fn position(args: Args<'_>, word: &str, from: i32) -> Option<usize> {
    if from >= 0 {
        (from as usize..args.len()).find(|i| args.is(*i, word))
    } else {
        let start = args.len().checked_sub(from.unsigned_abs() as usize)?;
        (1..=start).rev().find(|i| args.is(*i, word))
    }
}
