//! Numbers of the RDB format: types of values, opcodes, versions. Facts of the format as Redis 1 to 8 and Valkey 9 write it.

/// The newest version that is read and written, as Redis 8 has it.
pub const VERSION_MAX: u16 = 12;
/// The oldest version that is ever written: the first with aux fields and sizes of databases.
pub const VERSION_WRITTEN_MIN: u16 = 7;
/// The first version with a checksum at the end.
pub const VERSION_CHECKSUM: u16 = 5;
/// The version that Valkey writes under its own magic.
pub const VALKEY_VERSION: u16 = 80;
/// Bytes of magic and version at the start of a file.
pub const HEADER_LEN: usize = 9;

/// Whose numbers a file uses: the two lines of the format give some numbers different meanings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavor {
    Redis,
    Valkey,
}

/// Types of values.
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as binary doubles.
    pub const ZSET_2: u8 = 5;
    /// Modules before 4.0 was finished: cannot be skipped.
    pub const MODULE_EARLY: u8 = 6;
    pub const MODULE: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Nodes are ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    /// Nodes are listpacks or single elements.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// With counters.
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    /// With the consumers' active times.
    pub const STREAM_3: u8 = 21;
    /// Fields with absolute deadlines: Redis 7.4 before it was finished.
    pub const HASH_DEADLINES_EARLY: u8 = 22;
    /// Triplets without the nearest deadline in front: Redis 7.4 before it was finished.
    pub const HASH_TRIPLETS_EARLY: u8 = 23;
    /// Fields with deadlines relative to the nearest one.
    pub const HASH_DEADLINES: u8 = 24;
    /// A listpack of fields, values and deadlines.
    pub const HASH_TRIPLETS: u8 = 25;
    /// Valkey: fields with absolute deadlines behind the values. The number is also `HASH_DEADLINES_EARLY`.
    pub const VALKEY_HASH_2: u8 = 22;
}

/// What stands in place of a type when it is not an entry that follows.
pub mod opcode {
    /// Valkey: slots being imported.
    pub const SLOT_IMPORT: u8 = 243;
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    /// Functions of Redis 7.0 before it was finished.
    pub const FUNCTION_EARLY: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_MILLIS: u8 = 252;
    pub const EXPIRE_SECONDS: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// Encodings of strings that are not plain text.
pub mod string {
    pub const INT8: u8 = 0;
    pub const INT16: u8 = 1;
    pub const INT32: u8 = 2;
    pub const LZF: u8 = 3;
}

/// What a node of `LIST_QUICKLIST_2` holds.
pub mod node {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// The marks of what follows in a module's data.
pub mod module {
    pub const EOF: u64 = 0;
    pub const SIGNED: u64 = 1;
    pub const UNSIGNED: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// The first version that knows a type.
pub fn version_of(kind: u8) -> u16 {
    match kind {
        kind::HASH_DEADLINES | kind::HASH_TRIPLETS => 12,
        kind::STREAM_3 | kind::SET_LISTPACK => 11,
        kind::HASH_LISTPACK | kind::ZSET_LISTPACK | kind::LIST_QUICKLIST_2 | kind::STREAM_2 => 10,
        kind::STREAM => 9,
        kind::ZSET_2 | kind::MODULE => 8,
        _ => VERSION_WRITTEN_MIN,
    }
}

/// The first version that knows idle times and frequencies.
pub const VERSION_ACCESS: u16 = 9;
/// The first version that knows functions.
pub const VERSION_FUNCTIONS: u16 = 10;

/// The largest deadline of a hash's field, in Unix milliseconds.
pub const FIELD_DEADLINE_MAX: u64 = (1 << 48) - 2;
