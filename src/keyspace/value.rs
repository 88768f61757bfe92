//! Which value types there are, in which encodings, and where in an entry each lives.

pub use crate::ds::object::{Object, Typed, ValueType, boxed, thin};
use crate::ds::{hash::Hash, list::List, set::Set, sorted_set::SortedSet, stream::StreamValue};
use crate::raw::entry::{self, Payload};

/// A key with its value.
pub type Entry = entry::Entry<Object>;
/// What an entry holds, for reading.
pub type EntryPayload<'a> = Payload<'a, Object>;

/// A command met a value of another type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongType;

/// Strings of at most this many bytes are called embstr, as in the original, where they share their object's block.
pub const EMBSTR_MAX: usize = entry::INLINE_ALWAYS;

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

/// The large collection in an entry, if that is what it holds.
#[inline]
pub fn object_of(entry: &Entry) -> Option<&Object> {
    match entry.payload() {
        Payload::Boxed(_, object) => Some(object),
        _ => None,
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

/// Runs `$body` with `$value` bound to the collection in `$entry`; strings run `$string`.
macro_rules! with_collection {
    ($entry:expr, $value:ident => $body:expr, else $string:expr) => {{
        let entry: &Entry = $entry;
        match type_of(entry) {
            ValueType::String => $string,
            ValueType::List => entry.lend::<List>().map(|$value| $body),
            ValueType::Set => entry.lend::<Set>().map(|$value| $body),
            ValueType::SortedSet => entry.lend::<SortedSet>().map(|$value| $body),
            ValueType::Hash => entry.lend::<Hash>().map(|$value| $body),
            ValueType::Stream => entry.lend::<StreamValue>().map(|$value| $body),
        }
    }};
}

/// Bytes of memory that the key and its value take, without its share of the table. Of a large collection `samples` elements
/// are measured; 0 means all.
pub fn memory_bytes(entry: &Entry, samples: usize) -> usize {
    let outside = with_collection!(entry, value => value.memory_bytes(samples), else match entry.payload() {
        Payload::Shared(buffer) => Some(buffer.memory_bytes()),
        _ => None,
    });
    entry.block_bytes().next_multiple_of(8) + outside.unwrap_or(0)
}

/// About how many allocations dropping the entry frees.
pub fn free_effort(entry: &Entry) -> usize {
    with_collection!(entry, value => value.free_effort(), else None).unwrap_or(1)
}

/// A copy of an entry under another key, as COPY makes it: same value and deadline, fresh clock.
pub fn duplicate(entry: &Entry, key: &[u8]) -> Entry {
    let deadline = entry.deadline();
    let value = with_collection!(entry, value => value.duplicate().into_value(), else None);
    match (value, entry.payload()) {
        (Some(value), _) => Entry::with_value(key, deadline, value),
        (None, Payload::Int(n)) => Entry::with_value(key, deadline, entry::Value::Int(n)),
        (None, Payload::Shared(buffer)) => Entry::with_value(key, deadline, entry::Value::Shared(buffer.clone())),
        (None, Payload::Inline { bytes, plain }) => Entry::with_string(key, deadline, bytes, plain),
        (None, _) => unreachable!("every other kind is a collection"),
    }
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
