//! SORT and SORT_RO, of lists, sets and sorted sets, by the elements or by values that other keys hold.
//!
//! A pattern names a key per element, which takes the place of its first `*`; `->field` behind that asks for a field of a
//! hash. Offsets and counts are brought inside the collection before anything is allocated for them (CVE-2022-35977).

use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::hash_slot;
use crate::ds::hash::Hash;
use crate::ds::list::{End, List};
use crate::ds::object::Typed;
use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::TEXT_LEN_MAX;
use crate::ds::set::Set;
use crate::ds::sorted_set::SortedSet;
use crate::keyspace::db::discard;
use crate::keyspace::value::{ValueType, type_of};
use crate::keyspace::{Entry, Event, Str};
use crate::raw::table::Ref;
use crate::resp::request::Args;
use crate::types::UnixMillis;
use std::ops::Range;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SORT",
        summary: "Sorts the elements of a list, a set or a sorted set, and tells or stores the result.",
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA] [STORE destination]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        keys: &[KeySpec::at(1).access(READ), unknown_keys(READ), unknown_keys(OVERWRITE)],
        run: Handler::Keys(sort),
        ..SORT
    },
    CommandSpec {
        name: "SORT_RO",
        since: "7.0.0",
        summary: "Sorts the elements of a list, a set or a sorted set, and tells the result.",
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]",
        flags: flags(&[Flag::ReadOnly, Flag::MovableKeys]),
        keys: &[KeySpec::at(1).access(READ), unknown_keys(READ)],
        run: Handler::Keys(sort_ro),
        ..SORT
    },
];
const _: () = check(COMMANDS);

/// What the rows have in common.
const SORT: CommandSpec = CommandSpec {
    arity: Arity::at_least(2),
    complexity: "O(N+M*log(M)) for N elements and M told; O(N) if they are not sorted",
    acl: categories(&[Category::List, Category::Set, Category::SortedSet, Category::Dangerous]),
    ..CommandSpec::BASE
};

/// Keys that only the elements tell.
const fn unknown_keys(access: u16) -> KeySpec {
    KeySpec { flags: access, begin: Begin::Unknown, find: Find::Unknown }
}

fn sort(ctx: &mut KeysCtx<'_>) -> CommandResult {
    sort_with(ctx, true)
}

fn sort_ro(ctx: &mut KeysCtx<'_>) -> CommandResult {
    sort_with(ctx, false)
}

struct Options<'a> {
    by: Option<&'a [u8]>,
    /// A BY pattern that names no key per element: the collection's own order will do.
    unsorted: bool,
    gets: Vec<&'a [u8]>,
    offset: i64,
    count: i64,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

fn sort_with(ctx: &mut KeysCtx<'_>, may_store: bool) -> CommandResult {
    let slot = ctx.db.keyspace.is_node().then(|| hash_slot::of_key(ctx.args.get(1)));
    let mut options = parse(ctx.args, may_store, slot, ctx.rights.reads_every_key)?;
    let collection = match ctx.db.read(ctx.args.get(1)) {
        Some(entry) => Collection::of(entry).ok_or(error::WRONGTYPE)?,
        None => Collection::None,
    };
    // A set has no order of its own that a replica or a script could rely on.
    if options.unsorted && matches!(collection, Collection::Set(_)) && (options.store.is_some() || !ctx.may_block) {
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    let window = window(options.offset, options.count, collection.len());
    let elements = if options.unsorted {
        collection.elements(window, options.descending)
    } else {
        let all = collection.elements(0..collection.len(), false);
        let mut sorted = in_order(&mut ctx.db, all, &options)?;
        sorted.truncate(window.end);
        sorted.drain(..window.start);
        sorted
    };
    match options.store {
        None => {
            answer(ctx, &elements, &options.gets);
            Ok(Flow::Done)
        }
        Some(destination) => store(ctx, &elements, &options.gets, destination),
    }
}

/// An element, or a value that stands for it.
type Bytes = Box<[u8]>;

/// What can be sorted.
enum Collection<'a> {
    None,
    List(crate::raw::entry::Lent<'a, List>),
    Set(crate::raw::entry::Lent<'a, Set>),
    SortedSet(crate::raw::entry::Lent<'a, SortedSet>),
}

impl<'a> Collection<'a> {
    fn of(entry: Ref<'a, Entry>) -> Option<Self> {
        match type_of(&entry) {
            ValueType::List => entry.into_lent().map(Collection::List),
            ValueType::Set => entry.into_lent().map(Collection::Set),
            ValueType::SortedSet => entry.into_lent().map(Collection::SortedSet),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Collection::None => 0,
            Collection::List(list) => list.len(),
            Collection::Set(set) => match &**set {
                Set::Ints(ints) => ints.len(),
                Set::Packed(pack) => pack.len(),
                Set::Table(members) => members.0.len(),
            },
            Collection::SortedSet(sorted) => match &**sorted {
                SortedSet::Packed(pack) => pack.len() / 2,
                SortedSet::Tree(tree) => tree.len(),
            },
        }
    }

    /// The elements of a range, counted from the back if `reverse`, where there is an order.
    fn elements(&self, range: Range<usize>, reverse: bool) -> Vec<Bytes> {
        let mut all: Vec<Bytes> = Vec::with_capacity(range.len());
        if range.is_empty() {
            return all;
        }
        let mut add = |element: Element<'_>| all.push(element.to_vec().into());
        match self {
            Collection::None => {}
            Collection::List(list) if reverse => list.for_range_back(list.len() - 1 - range.start, range.len(), add),
            Collection::List(list) => list.for_range(range.start, range.len(), add),
            Collection::Set(set) => match &**set {
                Set::Ints(ints) => ints.elements().skip(range.start).take(range.len()).for_each(add),
                Set::Packed(pack) => pack.iter().skip(range.start).take(range.len()).for_each(add),
                Set::Table(members) => {
                    let part = members.0.iter().skip(range.start).take(range.len());
                    part.for_each(|member| add(Element::Str(member.bytes())));
                }
            },
            Collection::SortedSet(sorted) => match &**sorted {
                SortedSet::Packed(pack) if reverse => {
                    pack.iter().rev().skip(1).step_by(2).skip(range.start).take(range.len()).for_each(add);
                }
                SortedSet::Packed(pack) => pack.iter().step_by(2).skip(range.start).take(range.len()).for_each(add),
                SortedSet::Tree(tree) => {
                    let len = tree.len();
                    let ranks = if reverse { len - range.end..len - range.start } else { range };
                    tree.range(ranks, reverse).for_each(|(_, member)| add(Element::Str(member)));
                }
            },
        }
        all
    }
}

/// Which part of `len` elements LIMIT asks for. A negative count means all.
fn window(offset: i64, count: i64, len: usize) -> Range<usize> {
    let start = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(len);
    let most = usize::try_from(count).unwrap_or(usize::MAX).min(len - start);
    start..start + most
}

/// The elements sorted as the options say.
fn in_order(db: &mut Selected<'_>, mut elements: Vec<Bytes>, options: &Options<'_>) -> Result<Vec<Bytes>, CommandError> {
    let direct = |ordering: std::cmp::Ordering| if options.descending { ordering.reverse() } else { ordering };
    if options.alpha {
        let Some(pattern) = options.by else {
            elements.sort_by(|a, b| direct(a.cmp(b)));
            return Ok(elements);
        };
        // A missing value comes before any other; equals stay as they were.
        let mut weighed: Vec<(Option<Bytes>, Bytes)> =
            elements.into_iter().map(|element| (look_up(db, pattern, &element), element)).collect();
        weighed.sort_by(|a, b| direct(a.0.cmp(&b.0)));
        return Ok(weighed.into_iter().map(|(_, element)| element).collect());
    }
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let score = match options.by {
            None => number(&element),
            Some(pattern) => look_up(db, pattern, &element).map_or(Some(0.0), |weight| number(&weight)),
        };
        let Some(score) = score else {
            return Err(CommandError::new("ERR One or more scores can't be converted into double"));
        };
        weighed.push((score, element));
    }
    // By the elements where the scores are equal, so that the order is always the same.
    weighed.sort_by(|a, b| direct(a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.1.cmp(&b.1))));
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// A weight. Nothing, up to a NUL, counts as zero; there is no NaN among weights.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    std::str::from_utf8(text).ok()?.parse::<f64>().ok().filter(|score| !score.is_nan())
}

/// Answers with the elements, or with what they stand for.
fn answer(ctx: &mut KeysCtx<'_>, elements: &[Bytes], gets: &[&[u8]]) {
    ctx.reply.array(elements.len() * gets.len().max(1));
    for element in elements {
        if gets.is_empty() {
            ctx.reply.bulk(element);
        }
        for pattern in gets {
            ctx.reply.bulk_or_null(look_up(&mut ctx.db, pattern, element).as_deref());
        }
    }
}

/// Makes the elements, or what they stand for, a list under another key. An empty result deletes that key.
fn store(ctx: &mut KeysCtx<'_>, elements: &[Bytes], gets: &[&[u8]], destination: &[u8]) -> CommandResult {
    let limits = ctx.db.keyspace.env.settings.limits.clone();
    let mut list = List::long(&limits);
    for element in elements {
        if gets.is_empty() {
            list.push(End::Back, Element::Str(element));
        }
        for pattern in gets {
            let value = look_up(&mut ctx.db, pattern, element).unwrap_or_default();
            if value.len() > TEXT_LEN_MAX {
                return Err(error::STRING_TOO_LONG);
            }
            list.push(End::Back, Element::Str(&value));
        }
    }
    let len = list.len();
    if len == 0 {
        ctx.db.delete(destination, Event::DEL);
    } else {
        list.pack(&limits);
        let mut entry = Entry::with_value(destination, None, list.into_value());
        entry.set_clock(ctx.db.keyspace.env.fresh_clock());
        let old = ctx.db.entry(destination).put_entry(entry, Event::SORTSTORE);
        let env = &mut ctx.db.keyspace.env;
        env.effects.more(len as u64 - 1);
        if let Some(old) = old {
            let lazily = env.settings.lazyfree_server_del;
            discard(env, old, lazily);
        }
    }
    ctx.reply.count(len);
    Ok(Flow::Done)
}

/// What `pattern` means for an element: itself for `#`, else the string under the key, or the field of the hash under the
/// key, that the pattern names. A pattern without `*` means nothing.
fn look_up(db: &mut Selected<'_>, pattern: &[u8], element: &[u8]) -> Option<Bytes> {
    if pattern == b"#" {
        return Some(element.into());
    }
    let star = memchr::memchr(b'*', pattern)?;
    let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = memchr::memmem::find(behind, b"->").filter(|at| at + 2 < behind.len());
    let (after, field) = match arrow {
        Some(at) => (&behind[..at], Some(&behind[at + 2..])),
        None => (behind, None),
    };
    let key = [before, element, after].concat();
    let now = db.now();
    let entry = db.read(&key)?;
    match field {
        None => Some(Str::of(&entry).ok()?.to_vec().into()),
        Some(field) => field_of(&*entry.into_lent::<Hash>()?, field, now).map(Into::into),
    }
}

/// A field's value, unless its time is over.
fn field_of(hash: &Hash, field: &[u8], now: UnixMillis) -> Option<Vec<u8>> {
    hash.find(field, |found| found.filter(|f| !f.is_past(now)).map(|f| f.value.to_vec()))
}

/// `any_key`: keys that patterns name may be read, whichever they are (CVE-2023-41053).
fn parse(args: Args<'_>, may_store: bool, slot: Option<u16>, any_key: bool) -> Result<Options<'_>, CommandError> {
    let mut options = Options {
        by: None,
        unsorted: false,
        gets: Vec::new(),
        offset: 0,
        count: -1,
        descending: false,
        alpha: false,
        store: None,
    };
    let mut i = 2;
    while i < args.len() {
        let left = args.len() - i - 1;
        if args.is(i, "ASC") {
            options.descending = false;
        } else if args.is(i, "DESC") {
            options.descending = true;
        } else if args.is(i, "ALPHA") {
            options.alpha = true;
        } else if args.is(i, "LIMIT") && left >= 2 {
            (options.offset, options.count) = (args.i64(i + 1)?, args.i64(i + 2)?);
            i += 2;
        } else if may_store && args.is(i, "STORE") && left >= 1 {
            options.store = Some(args.get(i + 1));
            i += 1;
        } else if args.is(i, "BY") && left >= 1 {
            let pattern = args.get(i + 1);
            options.by = Some(pattern);
            let unsorted = !pattern.contains(&b'*');
            if !unsorted && leaves_slot(pattern, slot) {
                return Err(denied_in_cluster("BY"));
            }
            if !unsorted && !any_key {
                return Err(denied("BY"));
            }
            options.unsorted |= unsorted;
            i += 1;
        } else if args.is(i, "GET") && left >= 1 {
            if args.get(i + 1) != b"#" && leaves_slot(args.get(i + 1), slot) {
                return Err(denied_in_cluster("GET"));
            }
            if !any_key {
                return Err(denied("GET"));
            }
            options.gets.push(args.get(i + 1));
            i += 1;
        } else {
            return Err(error::SYNTAX);
        }
        i += 1;
    }
    Ok(options)
}

/// True if a pattern can name keys outside of the slot of the sorted key, on a node of a cluster.
fn leaves_slot(pattern: &[u8], slot: Option<u16>) -> bool {
    slot.is_some_and(|slot| hash_slot::of_pattern(pattern) != Some(slot))
}

fn denied_in_cluster(option: &str) -> CommandError {
    CommandError::text(format!(
        "ERR {option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
    ))
}

fn denied(option: &str) -> CommandError {
    CommandError::text(format!("ERR {option} option of SORT denied due to insufficient ACL permissions."))
}
