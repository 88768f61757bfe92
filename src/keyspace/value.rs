//! Which value types there are, in which encodings, and where in an entry each lives.

use crate::raw::entry::{self, Payload};

/// A key with its value.
pub type Entry = entry::Entry<Object>;
/// What an entry holds, for reading.
pub type EntryPayload<'a> = Payload<'a, Object>;

/// Values that live in a box of their own.
pub enum Object {}

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

/// A command met a value of another type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongType;

/// Strings of at most this many bytes are called embstr, as in the original, where they share their object's block.
pub const EMBSTR_MAX: usize = 44;

/// The type of an entry's value.
pub fn type_of(entry: &Entry) -> ValueType {
    match entry.payload() {
        Payload::Int(_) | Payload::Inline { .. } | Payload::Shared(_) => ValueType::String,
        Payload::Thin(sub, _) => match sub {
            thin::LIST => ValueType::List,
            thin::INTSET | thin::SET => ValueType::Set,
            thin::HASH | thin::HASH_WITH_TTLS => ValueType::Hash,
            _ => ValueType::SortedSet,
        },
        Payload::Boxed(sub, _) => match sub {
            boxed::LIST => ValueType::List,
            boxed::SET => ValueType::Set,
            boxed::HASH => ValueType::Hash,
            boxed::SORTED_SET => ValueType::SortedSet,
            _ => ValueType::Stream,
        },
    }
}

/// The encoding as OBJECT ENCODING names it.
pub fn encoding_of(entry: &Entry) -> &'static str {
    match entry.payload() {
        Payload::Int(_) => "int",
        Payload::Inline { bytes, plain: true } if bytes.len() <= EMBSTR_MAX => "embstr",
        Payload::Inline { .. } | Payload::Shared(_) => "raw",
        Payload::Thin(sub, _) => match sub {
            thin::INTSET => "intset",
            thin::HASH_WITH_TTLS => "listpackex",
            _ => "listpack",
        },
        Payload::Boxed(sub, _) => match sub {
            boxed::LIST => "quicklist",
            boxed::SET | boxed::HASH => "hashtable",
            boxed::SORTED_SET => "skiplist",
            _ => "stream",
        },
    }
}

/// Bytes of memory that the key and its value take, without its share of the table.
pub fn memory_bytes(entry: &Entry) -> usize {
    let outside = match entry.payload() {
        Payload::Shared(buffer) => buffer.memory_bytes(),
        Payload::Thin(_, packed) => packed.memory_bytes(),
        Payload::Int(_) | Payload::Inline { .. } => 0,
        Payload::Boxed(_, object) => match *object {},
    };
    entry.block_bytes().next_multiple_of(8) + outside
}

/// A string value, whatever it is stored as.
#[derive(Clone, Copy)]
pub enum Str<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Shared(&'a crate::raw::shared::SharedBytes),
}

impl<'a> Str<'a> {
    /// The string in an entry.
    #[inline]
    pub fn of(entry: &'a Entry) -> Result<Str<'a>, WrongType> {
        match entry.payload() {
            Payload::Int(n) => Ok(Str::Int(n)),
            Payload::Inline { bytes, .. } => Ok(Str::Bytes(bytes)),
            Payload::Shared(buffer) => Ok(Str::Shared(buffer)),
            _ => Err(WrongType),
        }
    }

    /// The text; an integer is written into `scratch`.
    #[inline]
    pub fn text<'b>(&self, scratch: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Str::Int(n) => scratch.format(*n).as_bytes(),
            Str::Bytes(bytes) => bytes,
            Str::Shared(buffer) => buffer.as_slice(),
        }
    }

    /// Number of bytes of the text.
    pub fn len(&self) -> usize {
        match self {
            Str::Int(n) => itoa::Buffer::new().format(*n).len(),
            Str::Bytes(bytes) => bytes.len(),
            Str::Shared(buffer) => buffer.len(),
        }
    }

    /// True for the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text in a buffer of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        self.text(&mut itoa::Buffer::new()).to_vec()
    }

    /// The integer that the text spells, if it spells one.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Str::Int(n) => Some(*n),
            Str::Bytes(bytes) => crate::resp::number::parse_i64(bytes),
            // Beside a long key even a short string has a buffer of its own.
            Str::Shared(buffer) => crate::resp::number::parse_i64(buffer.as_slice()),
        }
    }

    /// The text for keeping beyond the look at the entry: long ones are shared, not copied.
    pub fn keep(&self) -> Text {
        match self {
            Str::Shared(buffer) => Text::Shared((*buffer).clone()),
            other => Text::Own(other.to_vec()),
        }
    }
}

/// A string that was taken from an entry, for commands that look at several keys at once.
pub enum Text {
    Own(Vec<u8>),
    Shared(crate::raw::shared::SharedBytes),
}

impl Text {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Text::Own(bytes) => bytes,
            Text::Shared(buffer) => buffer.as_slice(),
        }
    }
}

impl Default for Text {
    /// The empty string, as which commands on several keys take a missing one.
    fn default() -> Self {
        Text::Own(Vec::new())
    }
}
