//! The nodes: leaves of packed words, and inner nodes with what a descent needs to stay inside them.

use crate::raw::member::{Member, prefetch};

/// Members per leaf; with links and length a leaf is 512 bytes.
pub(super) const LEAF_SLOTS: usize = 61;
/// Children per inner node.
pub(super) const INNER_SLOTS: usize = 32;

const _: () = assert!(size_of::<Leaf>() == 512);

/// Bits of a word that hold the address. User addresses of x86-64 and aarch64 fit in them.
const ADDRESS_BITS: u32 = 48;
/// The largest hint.
const HINT_MAX: u64 = (1 << (64 - ADDRESS_BITS)) - 1;

/// A member's address with a 16-bit hint of its score above it, so that most searches of a leaf end without
/// touching a member: the hint never decreases along a leaf, and members are compared only where hints are equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    pub(super) const EMPTY: Word = Word(0);

    pub(super) fn new(hint: u64, member: Member) -> Word {
        let address = member.address().expose_provenance() as u64;
        debug_assert!(address >> ADDRESS_BITS == 0 && hint <= HINT_MAX);
        Word(hint << ADDRESS_BITS | address)
    }

    pub(super) fn hint(self) -> u64 {
        self.0 >> ADDRESS_BITS
    }

    /// The member. The word must not be `EMPTY`.
    pub(super) fn member(self) -> Member {
        let address = (self.0 & ((1 << ADDRESS_BITS) - 1)) as usize;
        debug_assert!(address != 0);
        // SAFETY: words in use are made by `new` from a member's exposed address.
        unsafe { Member::from_address(std::ptr::with_exposed_provenance_mut(address)) }
    }

    pub(super) fn with_hint(self, hint: u64) -> Word {
        Word::new(hint, self.member())
    }
}

/// The linear map from score keys to hints that all leaves under one inner node share, so that words move between
/// those leaves as they are.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    base: u64,
    shift: u32,
}

impl Scale {
    /// Every key has hint 0: for the tree that is one leaf.
    pub(super) const FLAT: Scale = Scale { base: u64::MAX, shift: 0 };

    /// A scale that spreads `low..=high` over half of the hints and leaves a quarter free on each side.
    pub(super) fn spanning(low: u64, high: u64) -> Scale {
        let bits = 64 - high.saturating_sub(low).leading_zeros();
        let shift = bits.saturating_sub(15);
        Scale { base: low.saturating_sub((1 << 14) << shift), shift }
    }

    pub(super) fn hint(self, key: u64) -> u64 {
        (key.saturating_sub(self.base) >> self.shift).min(HINT_MAX)
    }

    /// Whether hints still tell keys between `low` and `high` apart: inside the scale and wide enough.
    pub(super) fn serves(self, low: u64, high: u64) -> bool {
        if low == high {
            return true;
        }
        if low < self.base || (high.saturating_sub(self.base) >> self.shift) > HINT_MAX {
            return false;
        }
        self.shift == 0 || self.hint(high) - self.hint(low) >= 1 << 11
    }
}

#[repr(C)]
pub(super) struct Leaf {
    pub(super) prev: *mut Leaf,
    pub(super) next: *mut Leaf,
    pub(super) len: usize,
    pub(super) words: [Word; LEAF_SLOTS],
}

impl Leaf {
    pub(super) fn new_raw() -> *mut Leaf {
        Box::into_raw(Box::new(Leaf {
            prev: std::ptr::null_mut(),
            next: std::ptr::null_mut(),
            len: 0,
            words: [Word::EMPTY; LEAF_SLOTS],
        }))
    }

    pub(super) fn words(&self) -> &[Word] {
        &self.words[..self.len]
    }

    pub(super) fn insert(&mut self, pos: usize, word: Word) {
        self.words.copy_within(pos..self.len, pos + 1);
        self.words[pos] = word;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, pos: usize, count: usize) {
        self.words.copy_within(pos + count..self.len, pos);
        self.len -= count;
    }

    /// Moves the last `count` words of `self` to the head of `right`.
    pub(super) fn give_right(&mut self, right: &mut Leaf, count: usize) {
        right.words.copy_within(..right.len, count);
        right.words[..count].copy_from_slice(&self.words[self.len - count..self.len]);
        right.len += count;
        self.len -= count;
    }

    /// Moves the first `count` words of `right` to the end of `self`.
    pub(super) fn take_right(&mut self, right: &mut Leaf, count: usize) {
        self.words[self.len..self.len + count].copy_from_slice(&right.words[..count]);
        self.len += count;
        right.remove(0, count);
    }

    /// Computes every hint again. Reads all the members, so they are prefetched first.
    pub(super) fn rehint(&mut self, scale: Scale) {
        self.prefetch_members();
        for word in &mut self.words[..self.len] {
            // SAFETY: the tree's contract: members in it are alive.
            *word = word.with_hint(scale.hint(unsafe { word.member().key() }));
        }
    }

    pub(super) fn prefetch_members(&self) {
        for word in self.words() {
            word.member().prefetch();
        }
    }
}

/// Brings the lines of a node closer.
pub(super) fn prefetch_lines<T>(at: *const T, bytes: usize) {
    for line in 0..bytes.div_ceil(64) {
        prefetch(at.wrapping_byte_add(line * 64));
    }
}

#[repr(C)]
pub(super) struct Inner {
    pub(super) len: usize,
    pub(super) scale: Scale,
    /// Score key of each child's first member: most descents compare nothing else.
    pub(super) keys: [u64; INNER_SLOTS],
    /// Members below each child, for ranks.
    pub(super) counts: [usize; INNER_SLOTS],
    /// `Leaf` on the lowest level, else `Inner`.
    pub(super) kids: [*mut u8; INNER_SLOTS],
    /// Each child's first member, to settle equal keys.
    pub(super) firsts: [Word; INNER_SLOTS],
}

/// A child and what its parent keeps about it.
#[derive(Clone, Copy)]
pub(super) struct Child {
    pub(super) node: *mut u8,
    pub(super) count: usize,
    pub(super) first: Member,
}

impl Inner {
    pub(super) fn new_raw(scale: Scale) -> *mut Inner {
        Box::into_raw(Box::new(Inner {
            len: 0,
            scale,
            keys: [0; INNER_SLOTS],
            counts: [0; INNER_SLOTS],
            kids: [std::ptr::null_mut(); INNER_SLOTS],
            firsts: [Word::EMPTY; INNER_SLOTS],
        }))
    }

    pub(super) fn keys(&self) -> &[u64] {
        &self.keys[..self.len]
    }

    pub(super) fn total(&self) -> usize {
        self.counts[..self.len].iter().sum()
    }

    pub(super) fn first(&self) -> Member {
        self.firsts[0].member()
    }

    pub(super) fn leaf(&self, at: usize) -> *mut Leaf {
        self.kids[at].cast()
    }

    pub(super) fn set_first(&mut self, at: usize, first: Member) {
        // SAFETY: the tree's contract: members in it are alive.
        self.keys[at] = unsafe { first.key() };
        self.firsts[at] = Word::new(0, first);
    }

    pub(super) fn insert(&mut self, at: usize, child: Child) {
        let len = self.len;
        self.keys.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.kids.copy_within(at..len, at + 1);
        self.firsts.copy_within(at..len, at + 1);
        self.counts[at] = child.count;
        self.kids[at] = child.node;
        self.set_first(at, child.first);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, at: usize) {
        let len = self.len;
        self.keys.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.kids.copy_within(at + 1..len, at);
        self.firsts.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Moves the last `count` children of `self` to the head of `right`.
    pub(super) fn give_right(&mut self, right: &mut Inner, count: usize) {
        let (from, old) = (self.len - count, right.len);
        macro_rules! shift {
            ($($field:ident),*) => { $(
                right.$field.copy_within(..old, count);
                right.$field[..count].copy_from_slice(&self.$field[from..self.len]);
            )* };
        }
        shift!(keys, counts, kids, firsts);
        right.len += count;
        self.len -= count;
    }

    /// Moves the first `count` children of `right` to the end of `self`.
    pub(super) fn take_right(&mut self, right: &mut Inner, count: usize) {
        let (to, old) = (self.len, right.len);
        macro_rules! shift {
            ($($field:ident),*) => { $(
                self.$field[to..to + count].copy_from_slice(&right.$field[..count]);
                right.$field.copy_within(count..old, 0);
            )* };
        }
        shift!(keys, counts, kids, firsts);
        self.len += count;
        right.len -= count;
    }

    /// The scale that suits the children as they are. It leaves out the first child's lower end and extends past
    /// the last child's start, so that an outlier (an infinity, say) at either end does not flatten the hints.
    pub(super) fn ideal_span(&self) -> (u64, u64) {
        match self.len {
            0 => (0, 0),
            1 => (self.keys[0], self.keys[0]),
            2 => (self.keys[0], self.keys[1]),
            len => (self.keys[1], self.keys[len - 1]),
        }
    }
}
