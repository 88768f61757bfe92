//! Which types of values there are, how a collection is stored in an entry, and the box that large ones live in.
//!
//! A collection is small (packed bytes) or large (a boxed object). Each family has one type, in its own file, that is both:
//! `List`, `Set`, `Hash`, `SortedSet`, `Stream`. It implements `Typed`, by which the keyspace takes it out of an entry, lets
//! it be changed and puts it back, without knowing the family.

use super::parts::quicklist::Quicklist;
use crate::raw::entry::{FromValue, Value};
use crate::raw::relocate::{Relocate, Tally};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// The types of values as TYPE names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
}

impl ValueType {
    /// The name that TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::String => "string",
            ValueType::List => "list",
            ValueType::Set => "set",
            ValueType::SortedSet => "zset",
            ValueType::Hash => "hash",
            ValueType::Stream => "stream",
        }
    }

    /// The type of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        use ValueType::*;
        [String, List, Set, SortedSet, Hash, Stream].into_iter().find(|t| name.eq_ignore_ascii_case(t.name().as_bytes()))
    }
}

/// Sub-kinds of packed values.
pub mod thin {
    pub const LIST: u8 = 0;
    pub const INTSET: u8 = 1;
    pub const SET: u8 = 2;
    pub const HASH: u8 = 3;
    pub const HASH_WITH_TTLS: u8 = 4;
    pub const SORTED_SET: u8 = 5;
}

/// Sub-kinds of boxed values.
pub mod boxed {
    pub const LIST: u8 = 0;
    pub const SET: u8 = 1;
    pub const HASH: u8 = 2;
    pub const SORTED_SET: u8 = 3;
    pub const STREAM: u8 = 4;
}

/// Large values.
pub enum Object {
    List(Quicklist),
    Set(super::set::MemberTable),
    Hash(super::hash::FieldTable),
    SortedSet(crate::raw::zset::ScoreMap),
    Stream(super::stream::Stream),
}

impl Object {
    /// Moves elements out of sparse pages: those of up to `parts` buckets or nodes from `*cursor` on. True when the last is
    /// reached. Members of sorted sets and nodes of streams stay.
    pub fn relocate_some(&mut self, cursor: &mut usize, parts: usize, tally: &mut Tally) -> bool {
        match self {
            Object::Set(members) => members.0.relocate(cursor, parts, &mut |member| member.relocate(tally)),
            Object::Hash(fields) => fields.relocate(cursor, parts, tally),
            Object::List(list) => list.relocate(cursor, parts, tally),
            Object::SortedSet(_) | Object::Stream(_) => true,
        }
    }
}

/// Below this many elements a table stays in the cache by itself.
pub(super) const PREFETCH_MIN_ELEMENTS: usize = 4096;

/// Runs `$body` with `$table` bound to the table that finds the elements of the collection by name, if there is one.
macro_rules! with_table {
    ($object:expr, $table:ident => $body:expr, else $other:expr) => {
        match $object {
            Object::Set(members) => {
                let $table = &members.0;
                $body
            }
            Object::Hash(fields) => {
                let $table = fields.table();
                $body
            }
            Object::SortedSet(map) => {
                let $table = map.index();
                $body
            }
            Object::List(_) | Object::Stream(_) => $other,
        }
    };
}

impl Object {
    /// Asks for the place of an element without waiting for it: the first step of a batch of lookups. Returns the element's
    /// hash, for the second one; 0 where this is not worth it.
    #[inline]
    pub fn prefetch_bucket(&self, element: &[u8]) -> u64 {
        with_table!(self, table => {
            if table.len() < PREFETCH_MIN_ELEMENTS {
                return 0;
            }
            let hash = table.hash(element);
            table.prefetch_bucket(hash);
            hash
        }, else 0)
    }

    /// The second step: asks for what may be the element.
    #[inline]
    pub fn prefetch_items(&self, hash: u64) {
        with_table!(self, table => table.prefetch_items(hash), else ());
    }
}

/// What a large value of one family is inside its box.
pub trait Variant: Sized {
    /// Sub-kind, of module `boxed`.
    const KIND: u8;
    /// Boxes it.
    fn wrap(self) -> Object;
    /// Looks inside.
    fn of(object: &Object) -> Option<&Self>;
    /// Looks inside, to change it.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
}

macro_rules! variants {
    ($($name:ident: $type:ty = $kind:ident;)*) => {$(
        impl Variant for $type {
            const KIND: u8 = boxed::$kind;

            fn wrap(self) -> Object {
                Object::$name(self)
            }

            fn of(object: &Object) -> Option<&Self> {
                match object {
                    Object::$name(inner) => Some(inner),
                    _ => None,
                }
            }

            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                match object {
                    Object::$name(inner) => Some(inner),
                    _ => None,
                }
            }
        }
    )*};
}

variants! {
    List: Quicklist = LIST;
    Set: super::set::MemberTable = SET;
    Hash: super::hash::FieldTable = HASH;
    SortedSet: crate::raw::zset::ScoreMap = SORTED_SET;
    Stream: super::stream::Stream = STREAM;
}

/// A box that is known to hold a `T`: the one word that an entry stores.
pub struct Big<T>(Box<Object>, PhantomData<T>);

impl<T: Variant> Big<T> {
    /// Boxes a large value.
    pub fn new(inner: T) -> Self {
        Big(Box::new(inner.wrap()), PhantomData)
    }

    /// From an entry's value of sub-kind `T::KIND`; anything else is given back.
    pub fn from_box(object: Box<Object>) -> Result<Self, Box<Object>> {
        if T::of(&object).is_some() { Ok(Big(object, PhantomData)) } else { Err(object) }
    }

    /// Into an entry.
    pub fn into_value(self) -> Value<Object> {
        Value::Boxed(T::KIND, self.0)
    }
}

impl<T: Variant> Deref for Big<T> {
    type Target = T;

    fn deref(&self) -> &T {
        T::of(&self.0).unwrap_or_else(|| unreachable!("checked when the box was made"))
    }
}

impl<T: Variant> DerefMut for Big<T> {
    fn deref_mut(&mut self) -> &mut T {
        T::of_mut(&mut self.0).unwrap_or_else(|| unreachable!("checked when the box was made"))
    }
}

/// A collection, small or large, as the keyspace handles it.
pub trait Typed: FromValue<Object> {
    const TYPE: ValueType;

    /// A collection without elements, in its smallest encoding.
    fn empty(limits: &Limits) -> Self;
    /// True if the key is to be removed. Streams stay when they are empty.
    fn is_empty(&self) -> bool;
    /// Into an entry.
    fn into_value(self) -> Value<Object>;
    /// A copy of its own (COPY).
    fn duplicate(&self) -> Self;
    /// The encoding as OBJECT ENCODING names it.
    fn encoding(&self) -> &'static str;
    /// Bytes of memory, without the entry; `samples` elements are measured of a large one, 0 means all.
    fn memory_bytes(&self, samples: usize) -> usize;
    /// About how many allocations dropping it frees: large ones are dropped on another thread.
    fn free_effort(&self) -> usize;

    /// The nearest deadline of an element, in Unix milliseconds. Only fields of hashes have deadlines of their own.
    #[inline]
    fn nearest_deadline(&self) -> Option<i64> {
        None
    }
}

/// Where collections change their encoding; from the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `list-max-listpack-size`: negative for bytes (-1 = 4 KB … -5 = 64 KB), positive for elements.
    pub list_fill: i64,
    pub list_compress_depth: usize,
    pub hash_entries: usize,
    pub hash_value: usize,
    pub set_intset: usize,
    pub set_entries: usize,
    pub set_value: usize,
    pub sorted_set_entries: usize,
    pub sorted_set_value: usize,
    pub stream_node_bytes: usize,
    pub stream_node_entries: usize,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: elements from this size on are nodes of their own; 0: those above a node's size.
    pub list_packed_threshold: usize,
    /// Keys the hash functions of large sets and hashes.
    pub hash_seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            list_fill: -2,
            list_compress_depth: 0,
            hash_entries: 128,
            hash_value: 64,
            set_intset: 512,
            set_entries: 128,
            set_value: 64,
            sorted_set_entries: 128,
            sorted_set_value: 64,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            list_packed_threshold: 0,
            hash_seed: 0,
        }
    }
}
