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
