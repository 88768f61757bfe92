//! Hashes: a listpack of fields and values while small (of triplets once a field has a time to live), a table of fields when
//! large.

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::listpack::Listpack;
use crate::raw::entry::{FromValue, Value};
use crate::raw::field::Field;
use crate::raw::table::Table;

/// The fields of a large hash.
pub struct FieldTable {
    pub table: Table<Field>,
    /// The nearest deadline of a field, in Unix milliseconds; `i64::MAX` if no field has one. Never later than the truth.
    pub nearest_deadline: i64,
}

/// A hash in any encoding.
pub enum Hash {
    Packed(Listpack),
    /// Triplets of field, value and deadline (0: none), fields with the nearest deadline first.
    PackedWithTtls(Listpack),
    Table(Big<FieldTable>),
}

impl FromValue<Object> for Hash {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::HASH, bytes) => Ok(Hash::Packed(Listpack::from_thin(bytes))),
            Value::Thin(thin::HASH_WITH_TTLS, bytes) => Ok(Hash::PackedWithTtls(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(Hash::Table).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for Hash {
    const TYPE: ValueType = ValueType::Hash;

    fn empty(_: &Limits) -> Self {
        Hash::Packed(Listpack::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(pack) | Hash::PackedWithTtls(pack) => pack.is_empty(),
            Hash::Table(fields) => fields.table.is_empty(),
        }
    }

    fn into_value(self) -> Value<Object> {
        match self {
            Hash::Packed(pack) => Value::Thin(thin::HASH, pack.into_thin()),
            Hash::PackedWithTtls(pack) => Value::Thin(thin::HASH_WITH_TTLS, pack.into_thin()),
            Hash::Table(fields) => fields.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            Hash::Packed(pack) => Hash::Packed(pack.clone()),
            Hash::PackedWithTtls(pack) => Hash::PackedWithTtls(pack.clone()),
            Hash::Table(fields) => Hash::Table(Big::new(fields.duplicate())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::PackedWithTtls(_) => "listpackex",
            Hash::Table(_) => "hashtable",
        }
    }

    fn memory_bytes(&self, samples: usize) -> usize {
        match self {
            Hash::Packed(pack) | Hash::PackedWithTtls(pack) => pack.memory_bytes(),
            Hash::Table(fields) => fields.memory_bytes(samples),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Hash::Table(fields) => fields.table.len(),
            _ => 1,
        }
    }
}

impl FieldTable {
    /// A copy of its own.
    pub fn duplicate(&self) -> FieldTable {
        let mut copy = self.table.like();
        copy.reserve(self.table.len());
        for field in self.table.iter() {
            let field = Field::new(field.name(), field.value(), field.deadline());
            copy.insert_unique(copy.hash(field.name()), field);
        }
        FieldTable { table: copy, nearest_deadline: self.nearest_deadline }
    }

    /// Bytes of memory; `samples` fields are measured, 0 means all.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let samples = if samples == 0 { self.table.len() } else { samples.min(self.table.len()) };
        let measured: usize = self.table.iter().take(samples).map(|field| field.memory_bytes()).sum();
        let all = (measured as u128 * self.table.len() as u128).checked_div(samples as u128).unwrap_or(0) as usize;
        size_of::<Object>() + self.table.memory_bytes() + all
    }
}
