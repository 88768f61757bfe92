//! From entries to bytes: what SAVE, snapshots and DUMP write.
//!
//! Every value gets the type that Redis 8 gives it, with the same bytes: packed values as they are, lists node by node,
//! sorted sets from the highest score down. A file's version is the lowest that knows all types in it, which is for its
//! writer to keep track of by [`format::version_of`](super::format::version_of).

use super::format::{kind, node, opcode, string};
use super::stream;
use crate::ds::algo::lzf;
use crate::ds::hash::{FieldTable, Hash};
use crate::ds::list::List;
use crate::ds::parts::element::{Element, parse_int};
use crate::ds::parts::quicklist::NodeView;
use crate::ds::set::Set;
use crate::ds::sorted_set::SortedSet;
use crate::ds::stream::StreamValue;
use crate::keyspace::value::{Entry, Str, ValueType, type_of};
use crate::raw::field::Field;
use crate::raw::shared::SharedBytes;

/// Where encoded bytes go. Errors are kept by whoever writes and told at the end.
pub trait Out {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Takes a string that may be compressed, if it sees to that itself.
    fn put_long(&mut self, _text: &[u8]) -> bool {
        false
    }

    /// Takes a reference to a string in place of its bytes, if it has a use for that; as `put_long` otherwise.
    fn put_shared(&mut self, _text: &SharedBytes) -> bool {
        false
    }
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// How the access clock of an entry is to be saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Seconds since the last use.
    Idle(u64),
    /// The logarithmic counter of uses.
    Frequency(u8),
}

/// Encodes values one by one.
pub struct Encoder {
    compression: bool,
    table: Option<lzf::Table>,
    packed: Vec<u8>,
    /// An intset on its way.
    ints: Vec<u8>,
}

/// Strings up to this many bytes may be saved as integers, as the longest of those that fit 32 bits.
const INT_TEXT_MAX: usize = 11;
/// Strings up to this many bytes are never compressed.
const PLAIN_MAX: usize = 20;
/// Compression must save this many bytes.
const GAIN_MIN: usize = 4;

impl Encoder {
    /// `compression` is `rdbcompression`.
    pub fn new(compression: bool) -> Self {
        Encoder { compression, table: None, packed: Vec::new(), ints: Vec::new() }
    }

    /// Appends a whole entry with its deadline and, if given, its access clock. Returns the type it was written as.
    pub fn entry(&mut self, entry: &Entry, access: Option<Access>, out: &mut impl Out) -> u8 {
        let kind = self.head(entry, access, out);
        self.value(entry, out);
        kind
    }

    /// Appends what stands before an entry's value. Returns the type it is to be written as.
    pub fn head(&mut self, entry: &Entry, access: Option<Access>, out: &mut impl Out) -> u8 {
        if let Some(deadline) = entry.deadline() {
            out.put(&[opcode::EXPIRE_MILLIS]);
            out.put(&deadline.to_le_bytes());
        }
        match access {
            Some(Access::Idle(seconds)) => {
                out.put(&[opcode::IDLE]);
                self.len(seconds, out);
            }
            Some(Access::Frequency(counter)) => out.put(&[opcode::FREQ, counter]),
            None => {}
        }
        let kind = kind_of(entry);
        out.put(&[kind]);
        self.text(entry.key(), out);
        kind
    }

    /// Appends the value of an entry, without its type.
    pub fn value(&mut self, entry: &Entry, out: &mut impl Out) {
        match type_of(entry) {
            ValueType::String => match Str::of(entry) {
                Ok(Str::Int(n)) => self.int(n, out),
                Ok(Str::Shared(text)) if text.len() > PLAIN_MAX && out.put_shared(text) => {}
                Ok(text) => self.text(text.text(&mut itoa::Buffer::new()), out),
                Err(_) => {}
            },
            ValueType::List => {
                if let Some(value) = entry.lend::<List>() {
                    self.list(&value, out);
                }
            }
            ValueType::Set => {
                if let Some(value) = entry.lend::<Set>() {
                    self.set(&value, out);
                }
            }
            ValueType::SortedSet => {
                if let Some(value) = entry.lend::<SortedSet>() {
                    self.sorted_set(&value, out);
                }
            }
            ValueType::Hash => {
                if let Some(value) = entry.lend::<Hash>() {
                    self.hash(&value, out);
                }
            }
            ValueType::Stream => {
                if let Some(value) = entry.lend::<StreamValue>() {
                    stream::write(self, &value, out);
                }
            }
        }
    }

    /// Appends a length.
    pub fn len(&mut self, len: u64, out: &mut impl Out) {
        match len {
            0..0x40 => out.put(&[len as u8]),
            0x40..0x4000 => out.put(&[0x40 | (len >> 8) as u8, len as u8]),
            _ => match u32::try_from(len) {
                Ok(len) => {
                    out.put(&[0x80]);
                    out.put(&len.to_be_bytes());
                }
                Err(_) => {
                    out.put(&[0x81]);
                    out.put(&len.to_be_bytes());
                }
            },
        }
    }

    /// Appends a string: as an integer if it spells a short one, compressed if that is shorter, else as it is.
    pub fn text(&mut self, text: &[u8], out: &mut impl Out) {
        if text.len() <= INT_TEXT_MAX
            && let Some(n) = parse_int(text)
            && small_int(n, out)
        {
            return;
        }
        if text.len() > PLAIN_MAX && out.put_long(text) {
            return;
        }
        self.long_text(text, out);
    }

    /// Appends a string that spells no short integer: compressed if that is shorter, else as it is.
    pub fn long_text(&mut self, text: &[u8], out: &mut impl Out) {
        if self.compression && text.len() > PLAIN_MAX && self.compressed(text, out) {
            return;
        }
        self.len(text.len() as u64, out);
        out.put(text);
    }

    /// Appends an integer value.
    fn int(&mut self, n: i64, out: &mut impl Out) {
        if !small_int(n, out) {
            let mut digits = itoa::Buffer::new();
            let text = digits.format(n).as_bytes();
            self.len(text.len() as u64, out);
            out.put(text);
        }
    }

    fn element(&mut self, element: Element<'_>, out: &mut impl Out) {
        element.with_text(|text| self.text(text, out));
    }

    /// True if the text was appended in compressed form.
    fn compressed(&mut self, text: &[u8], out: &mut impl Out) -> bool {
        let mut packed = std::mem::take(&mut self.packed);
        let room = text.len() - GAIN_MIN;
        if packed.len() < room {
            packed.resize(room, 0);
        }
        let table = self.table.get_or_insert_default();
        let len = lzf::compress(text, &mut packed[..room], table);
        if let Some(len) = len {
            self.blob(&packed[..len], text.len(), out);
        }
        // A very long string's buffer is not kept.
        const KEPT_MAX: usize = 1 << 20;
        if packed.len() <= KEPT_MAX {
            self.packed = packed;
        }
        len.is_some()
    }

    /// Appends what is compressed already.
    fn blob(&mut self, packed: &[u8], len: usize, out: &mut impl Out) {
        out.put(&[0xc0 | string::LZF]);
        self.len(packed.len() as u64, out);
        self.len(len as u64, out);
        out.put(packed);
    }

    fn list(&mut self, list: &List, out: &mut impl Out) {
        match list {
            List::Packed(pack) => {
                self.len(1, out);
                self.len(node::PACKED, out);
                self.text(pack.as_bytes(), out);
            }
            List::Quick(quick) => {
                self.len(quick.node_count() as u64, out);
                quick.nodes().for_each(|view| self.node(view, out));
            }
        }
    }

    /// Appends a node of a list.
    pub fn node(&mut self, view: NodeView<'_>, out: &mut impl Out) {
        match view {
            NodeView::Plain(text) => {
                self.len(node::PLAIN, out);
                self.text(text, out);
            }
            NodeView::Pack { pack, .. } => {
                self.len(node::PACKED, out);
                self.text(pack.as_bytes(), out);
            }
            NodeView::Packed { data, plain_len, .. } => {
                self.len(node::PACKED, out);
                self.blob(data, plain_len, out);
            }
        }
    }

    fn set(&mut self, set: &Set, out: &mut impl Out) {
        match set {
            Set::Ints(ints) => {
                let mut bytes = std::mem::take(&mut self.ints);
                bytes.clear();
                ints.write_redis_bytes(&mut bytes);
                self.text(&bytes, out);
                self.ints = bytes;
            }
            Set::Packed(pack) => self.text(pack.as_bytes(), out),
            Set::Table(_) => {
                self.len(set.len() as u64, out);
                set.each(|member| self.element(member, out));
            }
        }
    }

    fn sorted_set(&mut self, set: &SortedSet, out: &mut impl Out) {
        match set {
            SortedSet::Packed(pack) => self.text(pack.as_bytes(), out),
            SortedSet::Tree(tree) => {
                self.len(tree.len() as u64, out);
                tree.range(0..tree.len(), true).for_each(|(score, member)| self.scored(member, score, out));
            }
        }
    }

    /// Appends a member of a large sorted set.
    pub fn scored(&mut self, member: &[u8], score: f64, out: &mut impl Out) {
        self.text(member, out);
        out.put(&score.to_le_bytes());
    }

    fn hash(&mut self, hash: &Hash, out: &mut impl Out) {
        match hash {
            Hash::Packed(pack) => self.text(pack.as_bytes(), out),
            Hash::PackedWithTtls(pack) => {
                let nearest = crate::ds::object::Typed::nearest_deadline(hash).unwrap_or(0);
                out.put(&nearest.to_le_bytes());
                self.text(pack.as_bytes(), out);
            }
            Hash::Table(fields) => self.fields(fields, out),
        }
    }

    fn fields(&mut self, fields: &FieldTable, out: &mut impl Out) {
        let nearest = fields.nearest_deadline();
        if let Some(nearest) = nearest {
            out.put(&nearest.to_le_bytes());
        }
        self.len(fields.len() as u64, out);
        fields.table().iter().for_each(|field| self.field(&field, nearest, out));
    }

    /// Appends a field of a large hash; with its deadline, if the hash has any.
    pub fn field(&mut self, field: &Field, nearest: Option<i64>, out: &mut impl Out) {
        if let Some(nearest) = nearest {
            let after = field.deadline().map_or(0, |deadline| deadline - nearest + 1);
            self.len(after as u64, out);
        }
        self.text(field.name(), out);
        self.text(field.value(), out);
    }
}

/// The type under which an entry's value is saved.
pub fn kind_of(entry: &Entry) -> u8 {
    match type_of(entry) {
        ValueType::String => kind::STRING,
        ValueType::List => kind::LIST_QUICKLIST_2,
        ValueType::Set => match entry.lend::<Set>().as_deref() {
            Some(Set::Ints(_)) => kind::SET_INTSET,
            Some(Set::Packed(_)) => kind::SET_LISTPACK,
            _ => kind::SET,
        },
        ValueType::SortedSet => match entry.lend::<SortedSet>().as_deref() {
            Some(SortedSet::Packed(_)) => kind::ZSET_LISTPACK,
            _ => kind::ZSET_2,
        },
        ValueType::Hash => match entry.lend::<Hash>().as_deref() {
            Some(Hash::Packed(_)) => kind::HASH_LISTPACK,
            Some(Hash::PackedWithTtls(_)) => kind::HASH_TRIPLETS,
            Some(Hash::Table(fields)) if fields.nearest_deadline().is_some() => kind::HASH_DEADLINES,
            _ => kind::HASH,
        },
        ValueType::Stream => kind::STREAM_3,
    }
}

/// Appends an integer in one, two or four bytes; false if it needs more.
fn small_int(n: i64, out: &mut impl Out) -> bool {
    if let Ok(n) = i8::try_from(n) {
        out.put(&[0xc0 | string::INT8, n as u8]);
    } else if let Ok(n) = i16::try_from(n) {
        out.put(&[0xc0 | string::INT16]);
        out.put(&n.to_le_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.put(&[0xc0 | string::INT32]);
        out.put(&n.to_le_bytes());
    } else {
        return false;
    }
    true
}
