//! Sorted sets: a listpack of members and scores in order while small, a member table with an order-statistic tree when large.

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::listpack::Listpack;
use crate::raw::entry::{FromValue, Value};
use crate::raw::zset::ScoreMap;

/// A sorted set in either encoding.
pub enum SortedSet {
    Packed(Listpack),
    Tree(Big<ScoreMap>),
}

impl FromValue<Object> for SortedSet {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::SORTED_SET, bytes) => Ok(SortedSet::Packed(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(SortedSet::Tree).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for SortedSet {
    const TYPE: ValueType = ValueType::SortedSet;

    fn empty(_: &Limits) -> Self {
        SortedSet::Packed(Listpack::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            SortedSet::Packed(pack) => pack.is_empty(),
            SortedSet::Tree(tree) => tree.is_empty(),
        }
    }

    fn into_value(self) -> Value<Object> {
        match self {
            SortedSet::Packed(pack) => Value::Thin(thin::SORTED_SET, pack.into_thin()),
            SortedSet::Tree(tree) => tree.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            SortedSet::Packed(pack) => SortedSet::Packed(pack.clone()),
            SortedSet::Tree(tree) => SortedSet::Tree(Big::new(tree.duplicate())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            SortedSet::Packed(_) => "listpack",
            SortedSet::Tree(_) => "skiplist",
        }
    }

    fn memory_bytes(&self, _samples: usize) -> usize {
        match self {
            SortedSet::Packed(pack) => pack.memory_bytes(),
            SortedSet::Tree(tree) => tree.memory_bytes(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            SortedSet::Packed(_) => 1,
            SortedSet::Tree(tree) => tree.len(),
        }
    }
}
