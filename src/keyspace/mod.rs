//! The keyspace: databases of entries, and the one set of rules by which entries are found, changed, expired and removed.
//!
//! Handlers get at keys through `Keyspace::read` and `Keyspace::entry` only. Both drop a key that is past its deadline
//! first; `entry` gives a `Handle`, whose every change takes an `Event`.

pub mod cut;
pub mod db;
pub mod defrag;
pub mod effects;
pub mod evict;
pub mod expire;
pub mod fields;
pub mod handle;
pub mod lazyfree;
pub mod relocate;
pub mod slot_index;
pub mod value;
pub mod watched;

pub use cut::{Cut, Recorder};
pub use db::{Db, Env, Keyspace, Settings};
pub use effects::{Effect, Effects, Event};
pub use handle::Handle;
pub use relocate::Place;
pub use value::{Entry, Object, Str, Text, ValueType, WrongType};
