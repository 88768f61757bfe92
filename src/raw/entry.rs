//! One key of the keyspace and its value in ONE allocation, behind one pointer.
//!
//! ```text
//! 0  kind (6 bits) | HAS_TTL (bit 6)      1..4  access clock: 24 bits of LRU seconds or LFU minutes+counter
//! 4  deadline, 8 bytes, only if HAS_TTL
//! …  key length (varint) · key
//! …  value: length (varint) · bytes      for an inline string
//!          8 bytes, 8-aligned              for an integer, a shared buffer, a packed collection or a boxed object
//! ```
//! Redis spends a 16-byte object, a table entry and a string header on what is here four bytes; and because the deadline
//! lives here too, there is no second table of expires. Nothing counts references: who needs a value longer than the
//! entry holds it takes a reference on the shared buffer inside, or a copy.
//!
//! The size of the allocation follows from its content, so it is not stored. Values of the upper layers come in three
//! shapes that this file can own without knowing them: packed bytes (`ThinBytes`), a box of `B`, and strings.

use super::relocate::{self, Relocate, Tally};
use super::shared::SharedBytes;
use super::table::{Item, Ref};
use super::thin::ThinBytes;
use super::varint;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// An entry of at most this many bytes keeps its string inline: as far as the allocator's own classes go. (With a limit of
/// 256 a value of 1 KB took 1,323 bytes and SET of new ones 2.4 µs, most of it the kernel clearing pages; inline it takes
/// 1,100.)
pub const INLINE_TOTAL_MAX: usize = 2048;
/// A string of at most this many bytes stays beside its key however long that is: what OBJECT ENCODING calls it must not
/// depend on the key.
pub const INLINE_ALWAYS: usize = 44;
/// Number of sub-kinds that packed and boxed payloads each have room for.
pub const SUBKINDS: u8 = 16;

const HEADER: usize = 4;
const HAS_TTL: u8 = 1 << 6;
const KIND: u8 = 0x3f;

const INT: u8 = 0;
const EMBEDDED: u8 = 1;
const RAW: u8 = 2;
const SHARED: u8 = 3;
const THIN: u8 = 16;
const BOXED: u8 = 32;

/// Slot tag: the entry has a deadline.
pub const TAG_TTL: u8 = 1;
/// Slot tag: the value lives outside the entry and may be large.
pub const TAG_BIG: u8 = 2;

/// What an entry holds, for reading.
pub enum Payload<'a, B> {
    Int(i64),
    /// A string inside the entry. `plain` is true if it was built as one piece and never edited (OBJECT ENCODING embstr).
    Inline {
        bytes: &'a [u8],
        plain: bool,
    },
    Shared(&'a SharedBytes),
    Thin(u8, &'a ThinBytes),
    Boxed(u8, &'a B),
}

/// What an entry holds, for writing in place.
pub enum PayloadMut<'a, B> {
    Int(&'a mut i64),
    Inline(&'a mut [u8]),
    Shared(&'a mut SharedBytes),
    Thin(&'a mut ThinBytes),
    Boxed(&'a mut B),
}

/// A value on its way into or out of an entry.
pub enum Value<B> {
    Int(i64),
    Shared(SharedBytes),
    /// Sub-kind below `SUBKINDS`.
    Thin(u8, ThinBytes),
    /// Sub-kind below `SUBKINDS`.
    Boxed(u8, Box<B>),
}

/// A type that a value of one word can be turned into. An implementation moves the value into itself or gives it back; it
/// must not drop or keep it elsewhere, as `Entry::lend` makes one from a value that the entry goes on owning.
pub trait FromValue<B>: Sized {
    /// The typed form, or the value as it was if it is of another type.
    fn from_value(value: Value<B>) -> Result<Self, Value<B>>;
}

/// A typed value that still belongs to its entry: to be read, never dropped.
pub struct Lent<'a, T> {
    value: ManuallyDrop<T>,
    _entry: PhantomData<&'a T>,
}

impl<T> std::ops::Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'a, B> Ref<'a, Entry<B>> {
    /// The value in its typed form, for as long as the table stays borrowed. `None` as for `Entry::lend`.
    #[inline]
    pub fn into_lent<T: FromValue<B>>(self) -> Option<Lent<'a, T>> {
        // The entry lies in the table, not in this reference to it, so the longer lifetime is its true one.
        self.lend::<T>().map(|lent| Lent { value: lent.value, _entry: PhantomData })
    }
}

/// An owned entry. `B` is the type of boxed objects.
pub struct Entry<B> {
    block: NonNull<u8>,
    _owns: PhantomData<B>,
}

// SAFETY: an entry owns everything that it points to.
unsafe impl<B: Send> Send for Entry<B> {}

// SAFETY: the pointer is the allocation itself, 8-aligned; the key lies inside and moves only with the allocation.
unsafe impl<B> Item for Entry<B> {
    fn into_raw(self) -> NonNull<u8> {
        let block = self.block;
        std::mem::forget(self);
        block
    }

    unsafe fn from_raw(block: NonNull<u8>) -> Self {
        Entry { block, _owns: PhantomData }
    }

    fn key(&self) -> &[u8] {
        Entry::key(self)
    }

    fn tag(&self) -> u8 {
        let first = self.byte(0);
        (if first & HAS_TTL != 0 { TAG_TTL } else { 0 }) | (if first & KIND >= SHARED { TAG_BIG } else { 0 })
    }
}

/// Offsets inside one entry's block.
struct Shape {
    key_at: usize,
    key_len: usize,
    value_at: usize,
}

const fn align8(n: usize) -> usize {
    (n + 7) & !7
}

impl<B> Entry<B> {
    /// An entry with a string value. The string is kept inline if it is short or the whole fits `INLINE_TOTAL_MAX`, else in
    /// a buffer.
    /// `plain` says that OBJECT ENCODING may call it embstr.
    #[inline]
    pub fn with_string(key: &[u8], deadline: Option<i64>, bytes: &[u8], plain: bool) -> Self {
        let head = Self::head_len(key.len(), deadline.is_some());
        let total = head + varint::len(bytes.len()) + bytes.len();
        if total > INLINE_TOTAL_MAX && bytes.len() > INLINE_ALWAYS {
            return Self::with_value(key, deadline, Value::Shared(SharedBytes::new(bytes)));
        }
        let mut made = Self::allocate(total);
        made.write_head(if plain { EMBEDDED } else { RAW }, key, deadline);
        made.write_inline(head, bytes);
        made
    }

    /// An entry with a value of one word.
    pub fn with_value(key: &[u8], deadline: Option<i64>, value: Value<B>) -> Self {
        let at = align8(Self::head_len(key.len(), deadline.is_some()));
        let mut made = Self::allocate(at + 8);
        let (kind, word) = Self::pack(value);
        made.write_head(kind, key, deadline);
        made.write_word(at, word);
        made
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let (at, len) = self.key_span();
        // SAFETY: every constructor wrote the key there.
        unsafe { std::slice::from_raw_parts(self.at(at), len) }
    }

    /// The deadline, if there is one.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        if self.byte(0) & HAS_TTL == 0 {
            return None;
        }
        // SAFETY: the flag says that eight bytes of deadline follow the header.
        Some(unsafe { self.at(HEADER).cast::<i64>().read_unaligned() })
    }

    /// The 24-bit access clock.
    #[inline]
    pub fn clock(&self) -> u32 {
        // SAFETY: the four header bytes are initialised and the block is 8-aligned.
        unsafe { self.block.cast::<u32>().read() >> 8 }
    }

    /// Sets the 24-bit access clock; higher bits are dropped. It is a hint beside the value, so a shared borrow may set it.
    #[inline]
    pub fn set_clock(&mut self, clock: u32) {
        // SAFETY: as in `clock`; the exclusive borrow makes this the only access.
        unsafe {
            let first = self.block.cast::<u32>();
            first.write((first.read() & 0xff) | (clock << 8));
        }
    }

    /// What the entry holds.
    #[inline]
    pub fn payload(&self) -> Payload<'_, B> {
        let kind = self.byte(0) & KIND;
        if kind == EMBEDDED || kind == RAW {
            let (at, len) = self.inline_span();
            // SAFETY: constructors wrote `len` bytes there.
            let bytes = unsafe { std::slice::from_raw_parts(self.at(at), len) };
            return Payload::Inline { bytes, plain: kind == EMBEDDED };
        }
        let word = self.at(self.word_at());
        // SAFETY: for these kinds an aligned word lies there, and the kind says which type owns it. Each of the types is
        // one non-null pointer (`Box`, and the `repr(transparent)`-like single-field structs of this folder).
        unsafe {
            match kind {
                INT => Payload::Int(word.cast::<i64>().read()),
                SHARED => Payload::Shared(&*word.cast::<SharedBytes>()),
                THIN..BOXED => Payload::Thin(kind - THIN, &*word.cast::<ThinBytes>()),
                _ => Payload::Boxed(kind - BOXED, &**word.cast::<Box<B>>()),
            }
        }
    }

    /// What the entry holds, for changing it without changing its kind or (inline) its length.
    #[inline]
    pub fn payload_mut(&mut self) -> PayloadMut<'_, B> {
        let kind = self.byte(0) & KIND;
        if kind == EMBEDDED || kind == RAW {
            let (at, len) = self.inline_span();
            // SAFETY: as in `payload`, and the borrow is exclusive.
            return PayloadMut::Inline(unsafe { std::slice::from_raw_parts_mut(self.at(at), len) });
        }
        let word = self.at(self.word_at());
        // SAFETY: as in `payload`, and the borrow is exclusive.
        unsafe {
            match kind {
                INT => PayloadMut::Int(&mut *word.cast::<i64>()),
                SHARED => PayloadMut::Shared(&mut *word.cast::<SharedBytes>()),
                THIN..BOXED => PayloadMut::Thin(&mut *word.cast::<ThinBytes>()),
                _ => PayloadMut::Boxed(&mut **word.cast::<Box<B>>()),
            }
        }
    }

    /// The value in its typed form, for reading. `None` for inline strings and values of other types.
    #[inline]
    pub fn lend<T: FromValue<B>>(&self) -> Option<Lent<'_, T>> {
        let kind = self.byte(0) & KIND;
        if kind == EMBEDDED || kind == RAW {
            return None;
        }
        // SAFETY: the entry owns the word; the copy is never dropped, see `FromValue` and `Lent`.
        match T::from_value(unsafe { self.word_value(kind) }) {
            Ok(value) => Some(Lent { value: ManuallyDrop::new(value), _entry: PhantomData }),
            Err(other) => {
                std::mem::forget(other);
                None
            }
        }
    }

    /// Takes the value out (it must be one of a word), and stores what `change` makes of it. If `change` panics the entry is
    /// left an integer.
    #[inline]
    pub fn map_value<R>(&mut self, change: impl FnOnce(Value<B>) -> (Value<B>, R)) -> R {
        let kind = self.byte(0) & KIND;
        assert!(kind != EMBEDDED && kind != RAW, "inline strings are not of one word");
        let at = self.word_at();
        // SAFETY: the word is owned by this entry until the next line makes the entry an integer.
        let value = unsafe { self.word_value(kind) };
        self.set_byte(0, (self.byte(0) & !KIND) | INT);
        let (value, result) = change(value);
        let (kind, word) = Self::pack(value);
        self.set_byte(0, (self.byte(0) & !KIND) | kind);
        self.write_word(at, word);
        result
    }

    /// A bitwise copy of the value.
    ///
    /// # Safety
    /// `kind` is the entry's and is one of a word; the caller sees to it that only one owner remains.
    #[inline]
    unsafe fn word_value(&self, kind: u8) -> Value<B> {
        let word = self.at(self.word_at());
        // SAFETY: the kind says which type lies in the aligned word.
        unsafe {
            match kind {
                INT => Value::Int(word.cast::<i64>().read()),
                SHARED => Value::Shared(word.cast::<SharedBytes>().read()),
                THIN..BOXED => Value::Thin(kind - THIN, word.cast::<ThinBytes>().read()),
                _ => Value::Boxed(kind - BOXED, word.cast::<Box<B>>().read()),
            }
        }
    }

    /// Marks an inline string as edited (OBJECT ENCODING raw). Other kinds are left alone.
    pub fn mark_edited(&mut self) {
        if self.byte(0) & KIND == EMBEDDED {
            self.set_byte(0, (self.byte(0) & !KIND) | RAW);
        }
    }

    /// Replaces the value by a string, keeping key, deadline and clock; in place if the block need not move.
    #[inline]
    pub fn set_string(self, bytes: &[u8], plain: bool) -> Self {
        let mut this = self;
        let kind = this.byte(0) & KIND;
        let head = this.head_end();
        let total = head + varint::len(bytes.len()) + bytes.len();
        if total <= INLINE_TOTAL_MAX || bytes.len() <= INLINE_ALWAYS {
            let old = this.total();
            this.drop_word();
            this.set_byte(0, (this.byte(0) & !KIND) | if plain { EMBEDDED } else { RAW });
            this.resize(old, total);
            this.write_inline(head, bytes);
            return this;
        }
        if kind == SHARED
            && let PayloadMut::Shared(buffer) = this.payload_mut()
        {
            buffer.assign(bytes);
            return this;
        }
        this.set_value(Value::Shared(SharedBytes::new(bytes)))
    }

    /// Replaces the value by one of one word, keeping key, deadline and clock.
    pub fn set_value(self, value: Value<B>) -> Self {
        let mut this = self;
        let old = this.total();
        let at = align8(this.head_end());
        this.drop_word();
        let (kind, word) = Self::pack(value);
        this.set_byte(0, (this.byte(0) & !KIND) | kind);
        this.resize(old, at + 8);
        this.write_word(at, word);
        this
    }

    /// Sets or clears the deadline. The block moves only if its size changes.
    pub fn set_deadline(self, deadline: Option<i64>) -> Self {
        let mut this = self;
        let has = this.byte(0) & HAS_TTL != 0;
        match (has, deadline) {
            (_, None) if !has => {}
            (true, Some(at)) => this.write_deadline(at),
            _ => {
                let old = this.total();
                let shape = this.shape();
                let kind = this.byte(0) & KIND;
                let inline = kind == EMBEDDED || kind == RAW;
                let key_head = shape.key_at - varint::len(shape.key_len);
                let new_key_head = if deadline.is_some() { key_head + 8 } else { key_head - 8 };
                // The key's length and bytes, and an inline value behind them, move by eight bytes as one piece. A word
                // is aligned already and moves by eight as well.
                let tail = old - key_head;
                let new_total = if deadline.is_some() { old + 8 } else { old - 8 };
                debug_assert!(inline || shape.value_at.is_multiple_of(8));
                if deadline.is_some() {
                    this.resize(old, new_total);
                }
                // SAFETY: `tail` bytes lie at both places inside the block; the ranges may overlap, `copy` allows it.
                unsafe { std::ptr::copy(this.at(key_head), this.at(new_key_head), tail) };
                if let Some(at) = deadline {
                    this.set_byte(0, this.byte(0) | HAS_TTL);
                    this.write_deadline(at);
                } else {
                    this.set_byte(0, this.byte(0) & !HAS_TTL);
                    this.resize(old, new_total);
                }
            }
        }
        this
    }

    /// Takes the value out; what is left of the entry is freed. An inline string comes back as a shared buffer.
    pub fn into_value(self) -> Value<B> {
        let mut this = self;
        let kind = this.byte(0) & KIND;
        if kind == EMBEDDED || kind == RAW {
            return match this.payload() {
                Payload::Inline { bytes, .. } => Value::Shared(SharedBytes::new(bytes)),
                _ => unreachable!("the kind was looked at above"),
            };
        }
        // SAFETY: the word is owned by this entry; making the entry an integer below gives up that ownership.
        let value = unsafe { this.word_value(kind) };
        this.set_byte(0, (this.byte(0) & !KIND) | INT);
        value
    }

    /// Moves the value to an entry with another key (RENAME), keeping deadline and clock.
    pub fn rename(self, key: &[u8]) -> Self {
        let (deadline, clock) = (self.deadline(), self.clock());
        let inline = match self.payload() {
            Payload::Inline { bytes, plain } => Some(Self::with_string(key, deadline, bytes, plain)),
            _ => None,
        };
        let mut made = match inline {
            Some(made) => made,
            None => Self::with_value(key, deadline, self.into_value()),
        };
        made.set_clock(clock);
        made
    }

    /// Bytes of the entry's own block. What shared, packed and boxed values take comes on top.
    pub fn block_bytes(&self) -> usize {
        self.total()
    }

    fn pack(value: Value<B>) -> (u8, u64) {
        match value {
            Value::Int(n) => (INT, n as u64),
            Value::Shared(s) => (SHARED, s.into_raw().as_ptr() as u64),
            Value::Thin(sub, t) => {
                assert!(sub < SUBKINDS);
                (THIN + sub, t.into_raw().as_ptr() as u64)
            }
            Value::Boxed(sub, b) => {
                assert!(sub < SUBKINDS);
                (BOXED + sub, Box::into_raw(b) as u64)
            }
        }
    }

    fn head_len(key_len: usize, ttl: bool) -> usize {
        HEADER + if ttl { 8 } else { 0 } + varint::len(key_len) + key_len
    }

    #[inline]
    fn key_span(&self) -> (usize, usize) {
        let at = if self.byte(0) & HAS_TTL != 0 { HEADER + 8 } else { HEADER };
        let (len, width) = self.read_varint(at);
        (at + width, len)
    }

    /// Where the head (header, deadline, key) ends.
    #[inline]
    fn head_end(&self) -> usize {
        let (at, len) = self.key_span();
        at + len
    }

    #[inline]
    fn word_at(&self) -> usize {
        align8(self.head_end())
    }

    #[inline]
    fn inline_span(&self) -> (usize, usize) {
        let at = self.head_end();
        let (len, width) = self.read_varint(at);
        (at + width, len)
    }

    fn shape(&self) -> Shape {
        let (key_at, key_len) = self.key_span();
        let kind = self.byte(0) & KIND;
        if kind == EMBEDDED || kind == RAW {
            let (at, _) = self.inline_span();
            Shape { key_at, key_len, value_at: at }
        } else {
            let at = align8(key_at + key_len);
            Shape { key_at, key_len, value_at: at }
        }
    }

    #[inline]
    fn total(&self) -> usize {
        let kind = self.byte(0) & KIND;
        if kind == EMBEDDED || kind == RAW {
            let (at, len) = self.inline_span();
            at + len
        } else {
            self.word_at() + 8
        }
    }

    /// Moves its blocks, that of a boxed object itself but not what that owns, out of sparse pages.
    pub fn relocate(&mut self, tally: &mut Tally) {
        let size = Self::layout(self.total()).size();
        // SAFETY: the block was allocated with this layout, and nothing points to it or into it but this entry.
        unsafe { relocate::block(&mut self.block, size, tally) };
        match self.payload_mut() {
            PayloadMut::Shared(buffer) => buffer.relocate(tally),
            PayloadMut::Thin(bytes) => bytes.relocate(tally),
            PayloadMut::Boxed(_) if align_of::<B>() <= 8 && size_of::<B>() > 0 => {
                let word = self.at(self.word_at()).cast::<NonNull<u8>>();
                // SAFETY: the aligned word is a box of `B`, which is one pointer to a block of this size; the object may be
                // moved as it is neither pinned nor borrowed.
                unsafe { relocate::block(&mut *word, size_of::<B>(), tally) };
            }
            _ => {}
        }
    }

    #[inline]
    fn layout(total: usize) -> Layout {
        // A block below 2^33 bytes: keys and inline values are bounded by proto-max-bulk-len.
        Layout::from_size_align(align8(total), 8).expect("bounded by the request limits")
    }

    #[inline]
    fn allocate(total: usize) -> Self {
        let layout = Self::layout(total);
        // SAFETY: the size is at least the header.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
        Entry { block, _owns: PhantomData }
    }

    #[inline]
    fn resize(&mut self, old: usize, new: usize) {
        if align8(old) == align8(new) {
            return;
        }
        let layout = Self::layout(new);
        // SAFETY: the block was allocated with the layout of `old`; sizes are not zero.
        let block = unsafe { realloc(self.block.as_ptr(), Self::layout(old), layout.size()) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
        self.block = block;
    }

    #[inline]
    fn write_head(&mut self, kind: u8, key: &[u8], deadline: Option<i64>) {
        // SAFETY: the block is at least a header long and 8-aligned.
        unsafe { self.block.cast::<u32>().write(kind as u32) };
        let mut at = HEADER;
        if let Some(when) = deadline {
            self.set_byte(0, kind | HAS_TTL);
            self.write_deadline(when);
            at += 8;
        }
        let at = self.write_varint(at, key.len());
        // SAFETY: the caller allocated room for the key behind its length.
        unsafe { std::ptr::copy_nonoverlapping(key.as_ptr(), self.at(at), key.len()) };
    }

    #[inline]
    fn write_inline(&mut self, at: usize, bytes: &[u8]) {
        let at = self.write_varint(at, bytes.len());
        // SAFETY: the caller made room for the bytes behind their length.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(at), bytes.len()) };
    }

    fn write_word(&mut self, at: usize, word: u64) {
        // SAFETY: the caller made room for an aligned word at `at`.
        unsafe { self.at(at).cast::<u64>().write(word) };
    }

    fn write_deadline(&mut self, when: i64) {
        // SAFETY: the caller made room for the deadline behind the header.
        unsafe { self.at(HEADER).cast::<i64>().write_unaligned(when) };
    }

    /// Drops what the word owns. The kind must be rewritten by the caller at once.
    fn drop_word(&mut self) {
        let kind = self.byte(0) & KIND;
        if kind < SHARED {
            return;
        }
        let word = self.at(self.word_at());
        self.set_byte(0, (self.byte(0) & !KIND) | INT);
        // SAFETY: the kind says which type the word owns; the entry is an integer from the line above on, so the value
        // is dropped once.
        unsafe {
            match kind {
                SHARED => drop(word.cast::<SharedBytes>().read()),
                THIN..BOXED => drop(word.cast::<ThinBytes>().read()),
                _ => drop(word.cast::<Box<B>>().read()),
            }
        }
    }

    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers stay inside the block.
        unsafe { self.block.as_ptr().add(offset) }
    }

    #[inline]
    fn byte(&self, offset: usize) -> u8 {
        // SAFETY: callers stay inside the initialised part of the block.
        unsafe { self.block.as_ptr().add(offset).read() }
    }

    #[inline]
    fn set_byte(&mut self, offset: usize, byte: u8) {
        // SAFETY: callers stay inside the block.
        unsafe { self.block.as_ptr().add(offset).write(byte) }
    }

    #[inline]
    fn read_varint(&self, at: usize) -> (usize, usize) {
        // SAFETY: callers pass the offset of a length that a constructor wrote.
        unsafe { varint::read(self.at(at)) }
    }

    /// Returns the offset behind the length.
    #[inline]
    fn write_varint(&mut self, at: usize, n: usize) -> usize {
        // SAFETY: callers made room for the length.
        at + unsafe { varint::write(self.at(at), n) }
    }
}

impl<B> Drop for Entry<B> {
    fn drop(&mut self) {
        let total = self.total();
        self.drop_word();
        // SAFETY: the block was allocated with the layout of its total size.
        unsafe { dealloc(self.block.as_ptr(), Self::layout(total)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type E = Entry<Vec<u32>>;

    fn text(e: &E) -> Vec<u8> {
        match e.payload() {
            Payload::Int(n) => n.to_string().into_bytes(),
            Payload::Inline { bytes, .. } => bytes.to_vec(),
            Payload::Shared(s) => s.as_slice().to_vec(),
            Payload::Thin(sub, t) => [b"thin", &[sub][..], &t.as_slice()[4..]].concat(),
            Payload::Boxed(sub, b) => [b"boxed", &[sub][..], &b.iter().map(|n| *n as u8).collect::<Vec<_>>()].concat(),
        }
    }

    #[test]
    fn a_random_life_agrees_with_a_model() {
        let mut rng = crate::clock::Rng::seeded(0x9e37_79b9_7f4a_7c15u64);
        let mut next = |n: u64| rng.below(n);
        for _ in 0..300 {
            let key: Vec<u8> = (0..[0, 1, 16, 127, 128, 300][next(6) as usize]).map(|i| i as u8).collect();
            let (mut value, mut deadline, mut clock) = (b"v".to_vec(), None, 0);
            let mut key = key;
            let mut e = E::with_string(&key, None, &value, true);
            for _ in 0..60 {
                match next(9) {
                    0..3 => {
                        value = (0..next(300)).map(|i| (i * 7) as u8).collect();
                        e = e.set_string(&value, next(2) == 0);
                    }
                    3 => {
                        let n = next(u64::MAX) as i64;
                        value = n.to_string().into_bytes();
                        e = e.set_value(Value::Int(n));
                    }
                    4 => {
                        value = [b"thin", &[3][..], b"abcdef"].concat();
                        e = e.set_value(Value::Thin(3, ThinBytes::from_slice(b"....abcdef").unwrap()));
                    }
                    5 => {
                        value = [b"boxed", &[2][..], &[9, 8][..]].concat();
                        e = e.set_value(Value::Boxed(2, Box::new(vec![9, 8])));
                    }
                    6 => {
                        deadline = if next(3) == 0 { None } else { Some(next(1 << 50) as i64) };
                        e = e.set_deadline(deadline);
                    }
                    7 => {
                        clock = next(1 << 24) as u32;
                        e.set_clock(clock);
                    }
                    _ => {
                        key = (0..next(40)).map(|i| (i + 5) as u8).collect();
                        e = e.rename(&key);
                    }
                }
                assert_eq!(e.key(), key);
                assert_eq!(text(&e), value);
                assert_eq!(e.deadline(), deadline);
                assert_eq!(e.clock(), clock);
                assert_eq!(e.tag() & TAG_TTL != 0, deadline.is_some());
            }
        }
    }

    #[test]
    fn a_typical_key_takes_what_the_design_says() {
        assert_eq!(align8(E::with_string(b"key:000000000001", None, &[b'v'; 32], true).block_bytes()), 56);
        assert_eq!(align8(E::with_string(b"key:000000000001", Some(1), &[b'v'; 32], true).block_bytes()), 64);
        assert_eq!(E::with_value(b"key:000000000001", None, Value::Int(7)).block_bytes(), 32);
    }
}
