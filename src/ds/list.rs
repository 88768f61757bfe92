//! Lists: one listpack while small, a quicklist when large.

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::listpack::Listpack;
use super::parts::quicklist::Quicklist;
use crate::raw::entry::{FromValue, Value};

/// A list in either encoding.
pub enum List {
    Packed(Listpack),
    Quick(Big<Quicklist>),
}

impl FromValue<Object> for List {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::LIST, bytes) => Ok(List::Packed(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(List::Quick).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for List {
    const TYPE: ValueType = ValueType::List;

    fn empty(_: &Limits) -> Self {
        List::Packed(Listpack::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            List::Packed(pack) => pack.is_empty(),
            List::Quick(quick) => quick.is_empty(),
        }
    }

    fn into_value(self) -> Value<Object> {
        match self {
            List::Packed(pack) => Value::Thin(thin::LIST, pack.into_thin()),
            List::Quick(quick) => quick.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            List::Packed(pack) => List::Packed(pack.clone()),
            List::Quick(quick) => List::Quick(Big::new((**quick).clone())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            List::Packed(_) => "listpack",
            List::Quick(_) => "quicklist",
        }
    }

    fn memory_bytes(&self, _samples: usize) -> usize {
        match self {
            List::Packed(pack) => pack.memory_bytes(),
            List::Quick(quick) => quick.memory_bytes(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Quick(quick) => quick.node_count(),
        }
    }
}
