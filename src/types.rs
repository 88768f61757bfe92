//! Small types that every layer shares. They say what a number means; none of them has behaviour.

/// Milliseconds since the Unix epoch. Deadlines are absolute.
pub type UnixMillis = i64;

/// Index of a logical database, as SELECT takes it. Always below `databases`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DbIndex(pub u32);

impl DbIndex {
    /// The position in the keyspace's vector of databases.
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// A client's id as CLIENT ID tells it: unique for the life of the server, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ClientId(pub u64);
