//! From bytes to entries: one value of any type that an RDB file may hold, in the form in which it is kept in memory.
//!
//! Packed values (listpacks, intsets, nodes of lists and streams) are copied as they are after one walk that checks them.
//! Which encoding a value gets follows the limits in force, as in the original, not those of the file.

use super::format::{FIELD_DEADLINE_MAX, Flavor, kind, module, node};
use super::legacy;
use super::read::{LoadError, Reader, Result, Source};
use super::stream;
use crate::ds::hash::{FieldTable, Hash};
use crate::ds::list::{End, List};
use crate::ds::object::{Big, Limits, Typed};
use crate::ds::parts::corrupt::Corrupt;
use crate::ds::parts::element::Element;
use crate::ds::parts::intset::Intset;
use crate::ds::parts::listpack::Listpack;
use crate::ds::set::{MemberTable, Set};
use crate::ds::sorted_set::{SortedSet, SortedSetBuilder};
use crate::keyspace::value::{Entry, Object};
use crate::raw::entry::Value;
use crate::raw::table::Table;
use crate::resp::number::{parse_f64, parse_i64};
use std::collections::HashSet;

/// How values are read.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Where collections change their encoding.
    pub limits: &'a Limits,
    pub flavor: Flavor,
    /// Packed values are searched for duplicates, too (`sanitize-dump-payload`).
    pub deep: bool,
}

/// What was read.
pub enum Decoded {
    Entry(Entry),
    /// A collection without elements, which cannot exist; old servers are known to have written such.
    Empty,
    /// A module's value, which was skipped; the module type's name.
    Module(String),
}

/// Elements that room is made for ahead of time; beyond that structures grow as the elements arrive.
const ROOM_MAX: usize = 1 << 16;

type Read<T> = Result<Option<T>>;

/// Reads the value of a key; its type was read before.
///
/// # Errors
/// Broken data, or a type that is not known.
pub fn value<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, kind: u8, key: &[u8], deadline: Option<i64>) -> Result<Decoded> {
    let value = match kind {
        kind::STRING => return string(input, key, deadline).map(Decoded::Entry),
        kind::LIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 | kind::LIST_ZIPLIST => {
            list(input, rules, kind)?.map(List::into_value)
        }
        kind::SET => set(input, rules)?.map(Set::into_value),
        kind::SET_INTSET => set_of_ints(input, rules)?.map(Set::into_value),
        kind::SET_LISTPACK => set_of_pack(input, rules)?.map(Set::into_value),
        kind::ZSET | kind::ZSET_2 => sorted_set(input, rules, kind == kind::ZSET_2)?.map(SortedSet::into_value),
        kind::ZSET_LISTPACK | kind::ZSET_ZIPLIST => {
            sorted_set_of_pack(input, rules, kind == kind::ZSET_ZIPLIST)?.map(SortedSet::into_value)
        }
        kind::HASH => hash(input, rules)?.map(Hash::into_value),
        kind::HASH_LISTPACK | kind::HASH_ZIPLIST | kind::HASH_ZIPMAP => hash_of_pack(input, rules, kind)?.map(Hash::into_value),
        kind::VALKEY_HASH_2 if rules.flavor == Flavor::Valkey => valkey_hash(input, rules)?.map(Hash::into_value),
        kind::HASH_DEADLINES_EARLY | kind::HASH_DEADLINES => {
            hash_with_deadlines(input, rules, kind == kind::HASH_DEADLINES)?.map(Hash::into_value)
        }
        kind::HASH_TRIPLETS_EARLY | kind::HASH_TRIPLETS => {
            hash_of_triplets(input, rules, kind == kind::HASH_TRIPLETS)?.map(Hash::into_value)
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => Some(stream::read(input, kind)?),
        kind::MODULE => return skip_module(input).map(Decoded::Module),
        kind::MODULE_EARLY => return Err(input.fault("a module's value in a form that cannot be skipped")),
        other => return Err(input.fault(format!("unknown type or opcode {other}"))),
    };
    Ok(match value {
        Some(value) => Decoded::Entry(Entry::with_value(key, deadline, value)),
        None => Decoded::Empty,
    })
}

/// A fault in a packed value that was just read. Tools look for these words in the log.
fn packed<S: Source>(input: &Reader<S>, what: &str, corrupt: Corrupt) -> LoadError {
    input.fault(format!("{what} integrity check failed: {} (byte {})", corrupt.reason, corrupt.offset))
}

fn string<S: Source>(input: &mut Reader<S>, key: &[u8], deadline: Option<i64>) -> Result<Entry> {
    let value = match input.string()? {
        Element::Int(n) => n,
        Element::Str(text) => match parse_i64(text) {
            Some(n) => n,
            None => return Ok(Entry::with_string(key, deadline, text, true)),
        },
    };
    Ok(Entry::with_value(key, deadline, Value::<Object>::Int(value)))
}

fn list<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, kind: u8) -> Read<List> {
    let limits = rules.limits;
    let mut list = List::long(limits);
    match kind {
        kind::LIST => {
            for _ in 0..input.count(1)? {
                list.push(End::Back, input.string()?);
            }
        }
        kind::LIST_ZIPLIST => {
            let mut refused = None;
            if let Element::Str(bytes) = input.string()? {
                let outcome = legacy::ziplist(bytes, |element| {
                    list.push(End::Back, element);
                    Ok(())
                });
                refused = outcome.err();
            }
            if let Some(corrupt) = refused {
                return Err(packed(input, "List ziplist", corrupt));
            }
        }
        _ => {
            let List::Quick(quick) = &mut list else { return Ok(None) };
            for _ in 0..input.count(1)? {
                let container = if kind == kind::LIST_QUICKLIST_2 { input.len()? } else { node::PACKED };
                let pack = match (container, kind) {
                    (node::PLAIN, _) => {
                        let empty = match input.string()? {
                            Element::Str([]) => true,
                            element => {
                                element.with_text(|text| quick.append_plain_node(text));
                                false
                            }
                        };
                        if empty {
                            return Err(input.fault("a list's node without content"));
                        }
                        continue;
                    }
                    (node::PACKED, kind::LIST_QUICKLIST_2) => plain_listpack(input)?,
                    (node::PACKED, _) => from_ziplist(input, "Ziplist")?,
                    _ => return Err(input.fault("unknown kind of a list's node")),
                };
                quick.append_pack_node(pack);
            }
        }
    }
    if list.is_empty() {
        return Ok(None);
    }
    // A ziplist stays a long list, as in the original.
    if kind != kind::LIST_ZIPLIST {
        list.pack(limits);
    }
    Ok(Some(list))
}

/// A listpack of any entries.
fn plain_listpack<S: Source>(input: &mut Reader<S>) -> Result<Listpack> {
    let outcome = match input.string()? {
        Element::Str(bytes) => Listpack::from_bytes_validated(bytes),
        Element::Int(_) => Err(Corrupt { offset: 0, reason: "a number in place of a listpack" }),
    };
    outcome.map_err(|corrupt| packed(input, "Listpack", corrupt))
}

/// A listpack whose entries `check` accepts.
fn listpack<S: Source>(
    input: &mut Reader<S>,
    check: impl FnMut(usize, Element<'_>) -> std::result::Result<(), &'static str>,
) -> Result<Listpack> {
    let outcome = match input.string()? {
        Element::Str(bytes) => Listpack::from_bytes_checked(bytes, check),
        Element::Int(_) => Err(Corrupt { offset: 0, reason: "a number in place of a listpack" }),
    };
    outcome.map_err(|corrupt| packed(input, "Listpack", corrupt))
}

/// A listpack of the elements of a ziplist.
fn from_ziplist<S: Source>(input: &mut Reader<S>, what: &str) -> Result<Listpack> {
    let mut pack = Listpack::new();
    let outcome = match input.string()? {
        Element::Str(bytes) => legacy::ziplist(bytes, |element| append(&mut pack, element)),
        Element::Int(_) => Err(Corrupt { offset: 0, reason: "a number in place of a ziplist" }),
    };
    outcome.map(|()| pack).map_err(|corrupt| packed(input, what, corrupt))
}

fn append(pack: &mut Listpack, element: Element<'_>) -> std::result::Result<(), &'static str> {
    /// More than the encoding and back length of one entry take.
    const OVERHEAD: usize = 16;
    if !pack.would_fit(element.text_len() + OVERHEAD) {
        return Err("too much for a listpack");
    }
    pack.push_back(element);
    Ok(())
}

/// Refuses equal elements at the heads of tuples of `step`, if that is asked for.
fn refuse_duplicates<S: Source>(input: &Reader<S>, rules: Rules<'_>, pack: &Listpack, step: usize) -> Result<()> {
    if !rules.deep {
        return Ok(());
    }
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    for element in pack.iter().step_by(step) {
        if !seen.insert(element.to_vec()) {
            return Err(input.fault("Listpack integrity check failed: duplicates"));
        }
    }
    Ok(())
}

fn set<S: Source>(input: &mut Reader<S>, rules: Rules<'_>) -> Read<Set> {
    let limits = rules.limits;
    let count = input.count(1)?;
    let mut set = match count > limits.set_intset {
        true => Set::Table(Big::new(member_table(limits, count))),
        false => Set::empty(limits),
    };
    for _ in 0..count {
        if !set.insert(input.string()?, limits) {
            return Err(input.fault("duplicate members of a set"));
        }
    }
    Ok((count > 0).then_some(set))
}

fn member_table(limits: &Limits, members: usize) -> MemberTable {
    MemberTable(Table::with_capacity(limits.hash_seed, members.min(ROOM_MAX)))
}

fn set_of_ints<S: Source>(input: &mut Reader<S>, rules: Rules<'_>) -> Read<Set> {
    let outcome = match input.string()? {
        Element::Str(bytes) => Intset::from_redis_bytes_validated(bytes),
        Element::Int(_) => Err(Corrupt { offset: 0, reason: "a number in place of an intset" }),
    };
    let ints = outcome.map_err(|corrupt| packed(input, "Intset", corrupt))?;
    if ints.len() <= rules.limits.set_intset {
        return Ok(Some(Set::Ints(ints)));
    }
    let mut table = member_table(rules.limits, ints.len());
    ints.elements().for_each(|member| table.insert_new(member));
    Ok(Some(Set::Table(Big::new(table))))
}

fn set_of_pack<S: Source>(input: &mut Reader<S>, rules: Rules<'_>) -> Read<Set> {
    let pack = plain_listpack(input)?;
    refuse_duplicates(input, rules, &pack, 1)?;
    if pack.len() <= rules.limits.set_entries {
        return Ok((!pack.is_empty()).then_some(Set::Packed(pack)));
    }
    let mut table = member_table(rules.limits, pack.len());
    if !pack.iter().all(|member| table.insert(member)) {
        return Err(input.fault("duplicate members of a set"));
    }
    Ok(Some(Set::Table(Big::new(table))))
}

fn sorted_set<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, binary: bool) -> Read<SortedSet> {
    let count = input.count(if binary { 9 } else { 2 })?;
    let mut builder = SortedSetBuilder::new(rules.limits, count.min(ROOM_MAX));
    let mut member = Vec::new();
    for _ in 0..count {
        input.text(&mut member)?;
        let score = if binary { f64::from_le_bytes(input.bytes()?) } else { text_score(input)? };
        if score.is_nan() {
            return Err(input.fault("a score that is not a number"));
        }
        if !builder.push(&member, score) {
            return Err(input.fault("duplicate members of a sorted set"));
        }
    }
    Ok((count > 0).then(|| builder.finish(rules.limits)))
}

/// A score as text behind its length, or one of three marks.
fn text_score<S: Source>(input: &mut Reader<S>) -> Result<f64> {
    match input.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        len => {
            let score = parse_f64(input.source.take(len.into())?);
            score.ok_or_else(|| input.fault("a score that is not a number"))
        }
    }
}

/// Accepts scores, which are at odd places.
fn check_score(at: usize, element: Element<'_>) -> std::result::Result<(), &'static str> {
    let fine = at.is_multiple_of(2)
        || match element {
            Element::Int(_) => true,
            Element::Str(text) => parse_f64(text).is_some_and(|score| !score.is_nan()),
        };
    if fine { Ok(()) } else { Err("a score that is not a number") }
}

fn sorted_set_of_pack<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, is_ziplist: bool) -> Read<SortedSet> {
    let pack = match is_ziplist {
        true => {
            let pack = from_ziplist(input, "Zset ziplist")?;
            for (at, element) in pack.iter().enumerate() {
                check_score(at, element).map_err(|reason| input.fault(reason))?;
            }
            pack
        }
        false => listpack(input, check_score)?,
    };
    let len = pack.len();
    if len % 2 != 0 {
        return Err(input.fault("a member without a score"));
    }
    // Ziplists were not checked by anybody since they were written.
    refuse_duplicates(input, Rules { deep: rules.deep || is_ziplist, ..rules }, &pack, 2)?;
    if len / 2 <= rules.limits.sorted_set_entries {
        return Ok((len > 0).then_some(SortedSet::Packed(pack)));
    }
    Ok(Some(SortedSet::from_packed(pack, rules.limits)))
}

fn hash<S: Source>(input: &mut Reader<S>, rules: Rules<'_>) -> Read<Hash> {
    let count = input.count(2)?;
    let mut hash = new_hash(rules.limits, count);
    let mut name = Vec::new();
    for _ in 0..count {
        input.text(&mut name)?;
        let new = input.string()?.with_text(|value| hash.put(&name, value, None, rules.limits));
        if !new {
            return Err(input.fault("duplicate fields of a hash"));
        }
    }
    Ok((count > 0).then_some(hash))
}

/// A hash for so many fields.
fn new_hash(limits: &Limits, fields: usize) -> Hash {
    match fields > limits.hash_entries {
        true => Hash::Table(Big::new(FieldTable::with_capacity(limits.hash_seed, fields.min(ROOM_MAX)))),
        false => Hash::empty(limits),
    }
}

/// Fields with deadlines in front; relative to the nearest one, which stands at the head, or absolute.
fn hash_with_deadlines<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, relative: bool) -> Read<Hash> {
    let nearest = if relative { u64::from_le_bytes(input.bytes()?) } else { 1 };
    if nearest > FIELD_DEADLINE_MAX + 1 {
        return Err(input.fault("impossible nearest deadline of a hash"));
    }
    let count = input.count(3)?;
    let mut hash = new_hash(rules.limits, count);
    let mut name = Vec::new();
    for _ in 0..count {
        let deadline = match input.len()? {
            0 => None,
            more => Some(field_deadline(input, more.checked_add(nearest).map(|sum| sum - 1))?),
        };
        input.text(&mut name)?;
        let new = input.string()?.with_text(|value| hash.put(&name, value, deadline, rules.limits));
        if !new {
            return Err(input.fault("duplicate fields of a hash"));
        }
    }
    Ok((count > 0).then_some(hash))
}

fn field_deadline<S: Source>(input: &Reader<S>, deadline: Option<u64>) -> Result<i64> {
    let deadline = deadline.filter(|at| (1..=FIELD_DEADLINE_MAX).contains(at)).and_then(|at| i64::try_from(at).ok());
    deadline.ok_or_else(|| input.fault("impossible deadline of a hash's field"))
}

/// Valkey's form: fields with values and absolute deadlines, -1 for none.
fn valkey_hash<S: Source>(input: &mut Reader<S>, rules: Rules<'_>) -> Read<Hash> {
    let count = input.count(10)?;
    let mut hash = new_hash(rules.limits, count);
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        input.text(&mut name)?;
        input.text(&mut value)?;
        let deadline = match i64::from_le_bytes(input.bytes()?) {
            ..0 => None,
            // A field that never was: deadlines are above zero here.
            at => Some(field_deadline(input, Some(at.max(1) as u64))?),
        };
        if !hash.put(&name, &value, deadline, rules.limits) {
            return Err(input.fault("duplicate fields of a hash"));
        }
    }
    Ok((count > 0).then_some(hash))
}

fn hash_of_pack<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, kind: u8) -> Read<Hash> {
    let limits = rules.limits;
    let pack = match kind {
        kind::HASH_LISTPACK => plain_listpack(input)?,
        kind::HASH_ZIPLIST => from_ziplist(input, "Hash ziplist")?,
        _ => return zipmap(input, rules),
    };
    let len = pack.len();
    if len % 2 != 0 {
        return Err(input.fault("a field without a value"));
    }
    refuse_duplicates(input, Rules { deep: rules.deep || kind == kind::HASH_ZIPLIST, ..rules }, &pack, 2)?;
    if len / 2 <= limits.hash_entries {
        return Ok((len > 0).then_some(Hash::Packed(pack)));
    }
    let mut hash = new_hash(limits, len / 2);
    let mut entries = pack.iter();
    while let (Some(name), Some(value)) = (entries.next(), entries.next()) {
        if !name.with_text(|name| value.with_text(|value| hash.put(name, value, None, limits))) {
            // Tools look for these words in the log.
            return Err(input.fault("Hash listpack with dup elements"));
        }
    }
    Ok(Some(hash))
}

fn zipmap<S: Source>(input: &mut Reader<S>, rules: Rules<'_>) -> Read<Hash> {
    let mut hash = Hash::empty(rules.limits);
    let outcome = match input.string()? {
        Element::Str(bytes) => legacy::zipmap(bytes, |name, value| match hash.put(name, value, None, rules.limits) {
            true => Ok(()),
            false => Err("duplicate fields of a hash"),
        }),
        Element::Int(_) => Err(Corrupt { offset: 0, reason: "a number in place of a zipmap" }),
    };
    outcome.map_err(|corrupt| packed(input, "Zipmap", corrupt))?;
    if hash.is_empty() {
        return Err(packed(input, "Zipmap", Corrupt { offset: 0, reason: "no pairs" }));
    }
    Ok(Some(hash))
}

fn hash_of_triplets<S: Source>(input: &mut Reader<S>, rules: Rules<'_>, with_nearest: bool) -> Read<Hash> {
    let limits = rules.limits;
    if with_nearest {
        // The listpack tells it as well.
        input.bytes::<8>()?;
    }
    let (mut last, mut sorted) = (0, true);
    let pack = listpack(input, |at, element| {
        if at % 3 < 2 {
            return Ok(());
        }
        let deadline = element.as_int().and_then(|at| u64::try_from(at).ok()).filter(|at| *at <= FIELD_DEADLINE_MAX);
        // None stands behind all others.
        let rank = match deadline.ok_or("impossible deadline of a hash's field")? {
            0 => u64::MAX,
            at => at,
        };
        sorted &= rank >= last;
        last = rank;
        Ok(())
    })?;
    let len = pack.len();
    if len % 3 != 0 {
        return Err(input.fault("a field without a value or deadline"));
    }
    refuse_duplicates(input, rules, &pack, 3)?;
    if rules.deep && !sorted {
        return Err(input.fault("Listpack integrity check failed: deadlines out of order"));
    }
    if sorted && len / 3 <= limits.hash_entries {
        return Ok((len > 0).then_some(Hash::PackedWithTtls(pack)));
    }
    let mut hash = new_hash(limits, len / 3);
    let mut entries = pack.iter();
    while let (Some(name), Some(value), Some(at)) = (entries.next(), entries.next(), entries.next()) {
        let deadline = at.as_int().filter(|at| *at != 0);
        if !name.with_text(|name| value.with_text(|value| hash.put(name, value, deadline, limits))) {
            return Err(input.fault("duplicate fields of a hash"));
        }
    }
    Ok(Some(hash))
}

/// Goes past a module's value and tells the name of its type.
pub fn skip_module<S: Source>(input: &mut Reader<S>) -> Result<String> {
    let id = input.len()?;
    skip_module_data(input)?;
    Ok(module_name(id))
}

/// Goes past the parts of a module's data, to the end mark.
pub fn skip_module_data<S: Source>(input: &mut Reader<S>) -> Result<()> {
    loop {
        match input.len()? {
            module::EOF => return Ok(()),
            module::SIGNED | module::UNSIGNED => {
                input.len()?;
            }
            module::FLOAT => {
                input.bytes::<4>()?;
            }
            module::DOUBLE => {
                input.bytes::<8>()?;
            }
            module::STRING => {
                input.string()?;
            }
            _ => return Err(input.fault("unknown part of a module's data")),
        }
    }
}

/// The name of a module type: nine characters of six bits above ten bits of version.
pub fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| CHARACTERS[(id >> (58 - 6 * i)) as usize & 63] as char).collect()
}
