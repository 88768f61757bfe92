//! Sets: an intset while all members are integers, a listpack while small, a table of members when large.

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::intset::Intset;
use super::parts::listpack::Listpack;
use crate::raw::entry::{FromValue, Value};
use crate::raw::table::Table;
use crate::raw::text::Text;

/// The members of a large set.
pub struct MemberTable(pub Table<Text>);

/// A set in any encoding.
pub enum Set {
    Ints(Intset),
    Packed(Listpack),
    Table(Big<MemberTable>),
}

impl FromValue<Object> for Set {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::INTSET, bytes) => Ok(Set::Ints(Intset::from_thin(bytes))),
            Value::Thin(thin::SET, bytes) => Ok(Set::Packed(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(Set::Table).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for Set {
    const TYPE: ValueType = ValueType::Set;

    fn empty(_: &Limits) -> Self {
        Set::Ints(Intset::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            Set::Ints(ints) => ints.is_empty(),
            Set::Packed(pack) => pack.is_empty(),
            Set::Table(table) => table.0.is_empty(),
        }
    }

    fn into_value(self) -> Value<Object> {
        match self {
            Set::Ints(ints) => Value::Thin(thin::INTSET, ints.into_thin()),
            Set::Packed(pack) => Value::Thin(thin::SET, pack.into_thin()),
            Set::Table(table) => table.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            Set::Ints(ints) => Set::Ints(ints.clone()),
            Set::Packed(pack) => Set::Packed(pack.clone()),
            Set::Table(table) => Set::Table(Big::new(table.duplicate())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            Set::Ints(_) => "intset",
            Set::Packed(_) => "listpack",
            Set::Table(_) => "hashtable",
        }
    }

    fn memory_bytes(&self, samples: usize) -> usize {
        match self {
            Set::Ints(ints) => ints.memory_bytes(),
            Set::Packed(pack) => pack.memory_bytes(),
            Set::Table(table) => table.memory_bytes(samples),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Set::Table(table) => table.0.len(),
            _ => 1,
        }
    }
}

impl MemberTable {
    /// A copy of its own.
    pub fn duplicate(&self) -> MemberTable {
        let mut copy = self.0.like();
        copy.reserve(self.0.len());
        for member in self.0.iter() {
            let member = Text::new(member.bytes());
            copy.insert_unique(copy.hash(member.bytes()), member);
        }
        MemberTable(copy)
    }

    /// Bytes of memory; `samples` members are measured, 0 means all.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let samples = if samples == 0 { self.0.len() } else { samples.min(self.0.len()) };
        let measured: usize = self.0.iter().take(samples).map(|member| member.memory_bytes()).sum();
        let all = (measured as u128 * self.0.len() as u128).checked_div(samples as u128).unwrap_or(0) as usize;
        size_of::<Object>() + self.0.memory_bytes() + all
    }
}
