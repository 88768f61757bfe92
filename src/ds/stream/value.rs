//! A stream as the keyspace handles it: always in a box, and kept when it is empty.

use super::Stream;
use crate::ds::object::{Big, Limits, Object, Typed, ValueType};
use crate::raw::entry::{FromValue, Value};

/// A stream in its box.
pub type StreamValue = Big<Stream>;

impl FromValue<Object> for StreamValue {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Boxed(kind, object) => Big::from_box(object).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for StreamValue {
    const TYPE: ValueType = ValueType::Stream;

    fn empty(_: &Limits) -> Self {
        Big::new(Stream::new())
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn into_value(self) -> Value<Object> {
        Big::into_value(self)
    }

    fn duplicate(&self) -> Self {
        Big::new((**self).clone())
    }

    fn encoding(&self) -> &'static str {
        "stream"
    }

    fn memory_bytes(&self, _samples: usize) -> usize {
        Stream::memory_bytes(self)
    }

    fn free_effort(&self) -> usize {
        let of_groups = |group: &super::Group| 1 + 2 * group.pending().len() + group.consumer_count();
        self.node_count() + self.groups.values().map(of_groups).sum::<usize>()
    }
}
