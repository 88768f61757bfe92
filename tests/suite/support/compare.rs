//! When two servers' replies to a request count as the same: if they are equal, or if a rule says why they need not be.

use super::notation::Args;
use super::reply::Reply;

/// A reason why replies may differ, and how far.
struct Rule {
    applies: fn(&Request<'_>) -> bool,
    same: fn(&Request<'_>, &Reply, &Reply) -> bool,
    reason: &'static str,
}

/// A request whose words are compared without regard to case.
struct Request<'a> {
    name: String,
    args: &'a Args,
}

impl Request<'_> {
    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    fn has(&self, word: &str) -> bool {
        self.args.iter().skip(1).any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The argument behind the last such word.
    fn behind(&self, word: &str) -> Option<&[u8]> {
        let at = self.args.iter().rposition(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))?;
        self.args.get(at + 1).map(Vec::as_slice)
    }

    fn arg(&self, at: usize) -> &[u8] {
        self.args.get(at).map_or(b"", Vec::as_slice)
    }
}

const RULES: &[Rule] = &[
    Rule {
        applies: |r| {
            r.is(&["SMEMBERS", "SINTER", "SUNION", "SDIFF", "KEYS", "HKEYS", "HVALS"]) || (r.is(&["SPOP"]) && r.arg(2) == b"1000")
        },
        same: |_, a, b| unordered(a, b, 1),
        reason: "sets, fields and keys have no order",
    },
    Rule { applies: |r| r.is(&["HGETALL"]), same: |_, a, b| unordered(a, b, 2), reason: "fields have no order" },
    Rule {
        applies: |r| r.is(&["SORT", "SORT_RO"]) && r.behind("BY").is_some_and(|pattern| !pattern.contains(&b'*')),
        same: |r, a, b| {
            unordered(a, b, r.args.iter().filter(|arg| arg.eq_ignore_ascii_case(b"GET")).count().max(1)) || limited(r, a, b)
        },
        reason: "without sorting, members of a set come in the order of its hash table",
    },
    Rule {
        applies: |r| r.is(&["SORT", "SORT_RO"]) && r.has("ALPHA"),
        same: |_, a, b| {
            let has_nul = |item: &Reply| item.text().is_some_and(|text| text.contains(&0));
            a.items().is_some_and(|items| items.iter().any(has_nul)) && unordered(a, b, 1)
        },
        reason: "a comparison by locale ends at a NUL, so what is equal up to there comes in any order",
    },
    Rule {
        applies: |r| r.name.starts_with("GEO") && !r.has("ASC") && !r.has("DESC") && !r.has("COUNT"),
        same: |_, a, b| unordered(a, b, 1),
        reason: "without ASC or DESC places come in any order",
    },
    Rule {
        applies: |r| r.name.starts_with("GEO") && r.has("ANY"),
        same: |_, a, b| shape(a, b),
        reason: "ANY takes the places that are found first",
    },
    Rule {
        applies: |r| r.is(&["SCAN", "SSCAN", "HSCAN", "ZSCAN"]),
        same: scanned,
        reason: "cursors and the order of a scan are the server's own",
    },
    Rule {
        applies: |r| r.is(&["RANDOMKEY", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "SPOP"]),
        same: |_, a, b| shape(a, b),
        reason: "a random pick",
    },
    Rule {
        applies: |r| {
            r.is(&["TIME", "LASTSAVE", "DUMP"]) || (r.is(&["CLIENT"]) && r.has("ID")) || (r.is(&["MEMORY"]) && r.has("USAGE"))
        },
        same: |_, a, b| shape(a, b),
        reason: "clocks, ids, the version inside a dump, the allocator",
    },
    Rule { applies: |r| r.is(&["XADD"]) && r.has("*"), same: |_, a, b| shape(a, b), reason: "the clock makes the ID" },
    Rule {
        applies: |r| r.is(&["OBJECT"]) && (r.has("IDLETIME") || r.has("FREQ")),
        same: |_, a, b| shape(a, b),
        reason: "depends on the moment",
    },
    Rule {
        applies: |r| r.is(&["DBSIZE"]),
        same: |_, a, b| near(a, b, 0, 2),
        reason: "keys past their end are counted until something finds them; the dumps compare which keys there are",
    },
    Rule {
        applies: |r| r.is(&["TTL", "EXPIRETIME", "HTTL", "HEXPIRETIME"]),
        same: |_, a, b| near(a, b, 1000, 2),
        reason: "relative times begin when the command runs",
    },
    Rule {
        applies: |r| r.is(&["PTTL", "PEXPIRETIME", "HPTTL", "HPEXPIRETIME"]),
        same: |_, a, b| near(a, b, 1_000_000, 5000),
        reason: "relative times begin when the command runs",
    },
    Rule {
        applies: |r| r.is(&["XPENDING", "XINFO"]),
        same: |_, a, b| stream_info(a, b),
        reason: "idle times and delivery times",
    },
    Rule {
        applies: |r| r.has("HELP") && r.is(&["OBJECT", "XINFO", "XGROUP", "CLIENT"]),
        same: |_, a, b| a.items().is_some() && b.items().is_some(),
        reason: "help texts are our own",
    },
];

/// True if these replies to `args` are as good as equal.
pub fn same(args: &Args, ours: &Reply, theirs: &Reply) -> bool {
    if ours == theirs {
        return true;
    }
    let name = args.first().map_or_else(String::new, |name| String::from_utf8_lossy(name).to_ascii_uppercase());
    let request = Request { name, args };
    RULES.iter().any(|rule| !rule.reason.is_empty() && (rule.applies)(&request) && (rule.same)(&request, ours, theirs))
}

/// Equal as multisets of groups of `width` elements.
fn unordered(ours: &Reply, theirs: &Reply, width: usize) -> bool {
    fn groups(reply: &Reply, width: usize) -> Option<Vec<Vec<Reply>>> {
        let mut groups: Vec<Vec<Reply>> = match reply {
            Reply::Map(pairs) => pairs.iter().map(|(key, value)| vec![key.clone(), value.clone()]).collect(),
            _ => reply.items()?.chunks(width).map(<[Reply]>::to_vec).collect(),
        };
        groups.sort();
        Some(groups)
    }
    ours.kind() == theirs.kind() && groups(ours, width).is_some_and(|ours| Some(ours) == groups(theirs, width))
}

/// Of an unordered collection LIMIT shows any part, so only the number of elements must be the same.
fn limited(request: &Request<'_>, ours: &Reply, theirs: &Reply) -> bool {
    let count = |reply: &Reply| reply.items().map(<[Reply]>::len);
    request.has("LIMIT") && count(ours).is_some() && count(ours) == count(theirs)
}

/// The same types and lengths; the texts and numbers may differ.
pub fn shape(ours: &Reply, theirs: &Reply) -> bool {
    match (ours, theirs) {
        (Reply::Error(_), _) | (_, Reply::Error(_)) => ours == theirs,
        (Reply::Map(a), Reply::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| shape(&a.0, &b.0) && shape(&a.1, &b.1))
        }
        _ => match (ours.items(), theirs.items()) {
            (Some(a), Some(b)) => ours.kind() == theirs.kind() && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| shape(a, b)),
            _ => ours.kind() == theirs.kind() && ours.is_null() == theirs.is_null(),
        },
    }
}

/// Equal but for integers that are both at least `least` and differ by at most `drift`.
fn near(ours: &Reply, theirs: &Reply, least: i64, drift: u64) -> bool {
    match (ours, theirs) {
        (Reply::Integer(a), Reply::Integer(b)) => a == b || (a.min(b) >= &least && a.abs_diff(*b) <= drift),
        _ => match (ours.items(), theirs.items()) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b, least, drift)),
            _ => ours == theirs,
        },
    }
}

/// A scan from the start that came to its end at once must find the same; anything else is only looked at from afar.
fn scanned(request: &Request<'_>, ours: &Reply, theirs: &Reply) -> bool {
    let (Some([from, found]), Some([their_from, their_found])) = (ours.items(), theirs.items()) else { return false };
    let start = if request.is(&["SCAN"]) { request.arg(1) } else { request.arg(2) };
    let at_once = start == b"0" && from.text() == Some(b"0") && their_from.text() == Some(b"0");
    let width = if request.is(&["ZSCAN"]) || (request.is(&["HSCAN"]) && !request.has("NOVALUES")) { 2 } else { 1 };
    from.kind() == their_from.kind()
        && if at_once { unordered(found, their_found, width) } else { found.kind() == their_found.kind() }
}

/// Equal if numbers are compared as such: older servers write 17 digits where later ones write the shortest form.
pub fn same_numbers(ours: &Reply, theirs: &Reply) -> bool {
    match (ours, theirs) {
        (Reply::Map(a), Reply::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_numbers(&a.0, &b.0) && same_numbers(&a.1, &b.1))
        }
        _ => match (ours.items(), theirs.items()) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_numbers(a, b)),
            _ => {
                let number = |reply: &Reply| std::str::from_utf8(reply.text()?).ok()?.parse::<f64>().ok();
                let close = |a: f64, b: f64| a == b || (a - b).abs() <= a.abs().max(1.0) * 1e-9;
                ours == theirs || matches!((number(ours), number(theirs)), (Some(a), Some(b)) if close(a, b))
            }
        },
    }
}

/// Names whose numbers depend on the moment.
const MOMENTS: &[&[u8]] = &[b"idle", b"inactive", b"seen-time", b"active-time"];
/// How far apart the two servers may run a command, in milliseconds.
const DRIFT_MS: u64 = 10_000;
/// Numbers above are times of day in milliseconds, and not counts.
const TIME_MIN: i64 = 100_000_000_000;

/// XINFO's and XPENDING's replies, which have times in certain places.
pub fn stream_info(ours: &Reply, theirs: &Reply) -> bool {
    fn close(a: &Reply, b: &Reply, moment: bool) -> bool {
        match (a, b) {
            (Reply::Integer(a), Reply::Integer(b)) => {
                let time = moment && a.min(b) >= &0 || a.min(b) >= &TIME_MIN;
                a == b || (time && a.abs_diff(*b) <= DRIFT_MS)
            }
            _ => stream_info(a, b),
        }
    }
    let moment = |name: &Reply| name.text().is_some_and(|name| MOMENTS.contains(&name));
    match (ours, theirs) {
        (Reply::Map(a), Reply::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && close(&a.1, &b.1, moment(&a.0)))
        }
        (Reply::Array(a), Reply::Array(b)) => {
            // XPENDING's rows: ID, consumer, idle time, deliveries.
            let row = matches!(&a[..], [Reply::Bulk(_), Reply::Bulk(_), Reply::Integer(_), Reply::Integer(_)]);
            a.len() == b.len() && (0..a.len()).all(|i| close(&a[i], &b[i], (row && i == 2) || (i > 0 && moment(&a[i - 1]))))
        }
        _ => ours == theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::notation::split;

    fn wire(text: &str) -> Reply {
        Reply::decode(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn rules_go_as_far_as_they_say() {
        let check = |request: &str, ours: &str, theirs: &str| same(&split(request).unwrap(), &wire(ours), &wire(theirs));
        assert!(check("smembers k", "~2\r\n+a\r\n+b\r\n", "~2\r\n+b\r\n+a\r\n"));
        assert!(!check("smembers k", "*2\r\n+a\r\n+b\r\n", "~2\r\n+b\r\n+a\r\n"));
        assert!(!check("lrange k 0 -1", "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n"));
        assert!(check("hgetall k", "*4\r\n+a\r\n+1\r\n+b\r\n+2\r\n", "*4\r\n+b\r\n+2\r\n+a\r\n+1\r\n"));
        assert!(!check("hgetall k", "*4\r\n+a\r\n+1\r\n+b\r\n+2\r\n", "*4\r\n+b\r\n+1\r\n+a\r\n+2\r\n"));
        assert!(check("ttl k", ":100001\r\n", ":100000\r\n"));
        assert!(!check("ttl k", ":-1\r\n", ":-2\r\n"));
        assert!(check("spop k", "+a\r\n", "+b\r\n"));
        assert!(!check("spop k", "+a\r\n", "$-1\r\n"));
        assert!(check(
            "xpending k g - + 1",
            "*1\r\n*4\r\n$1\r\na\r\n$1\r\nc\r\n:3\r\n:1\r\n",
            "*1\r\n*4\r\n$1\r\na\r\n$1\r\nc\r\n:9\r\n:1\r\n"
        ));
        assert!(!check(
            "xpending k g - + 1",
            "*1\r\n*4\r\n$1\r\na\r\n$1\r\nc\r\n:3\r\n:1\r\n",
            "*1\r\n*4\r\n$1\r\na\r\n$1\r\nc\r\n:3\r\n:2\r\n"
        ));
    }
}
