//! The backlog: the latest part of the history that replicas follow, as bytes, each with its place in the history.
//!
//! There is one copy for all. A replica that is connected is a place in it, up to which it was sent everything; one that comes
//! back after a break asks for the place where it stopped. `repl-backlog-size` bounds what is kept for those who may come
//! back; what a connected replica has yet to be sent is kept in any case, until that replica is given up
//! (`client-output-buffer-limit`).
//!
//! A place is a number of bytes of the history: the byte behind place 0 is the first one. (The protocol counts from 1: who has
//! 10 bytes asks for byte 11.)

use std::collections::VecDeque;

/// The latest part of the history.
#[derive(Default)]
pub struct Backlog {
    blocks: VecDeque<Block>,
    /// Place before the first byte that is kept.
    first: u64,
    /// Place behind the last byte.
    end: u64,
    /// Bytes that may be asked for again.
    limit: u64,
    /// Bytes are kept; without, only counted.
    active: bool,
    /// Everything behind this place is still to be sent to somebody.
    needed: Option<u64>,
    /// Memory of the blocks.
    memory: usize,
}

struct Block {
    /// Place before its first byte.
    start: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// Blocks are a sixteenth of the backlog, within these bounds.
const BLOCK_BYTES_MIN: u64 = 1 << 10;
const BLOCK_BYTES_MAX: u64 = 64 << 10;
/// A list with room for this many blocks is not worth shrinking.
const LIST_MIN: usize = 64;

impl Backlog {
    /// The place behind the last byte: the offset of the history.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The place before the first byte that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Bytes that are kept.
    pub fn len(&self) -> u64 {
        self.end - self.first
    }

    /// True if nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// True while bytes are kept.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Bytes of memory that the history takes.
    pub fn memory_bytes(&self) -> usize {
        self.memory + self.blocks.capacity() * size_of::<Block>()
    }

    /// Starts to keep bytes, from here on.
    pub fn activate(&mut self, limit: u64) {
        self.limit = limit;
        if !std::mem::replace(&mut self.active, true) {
            self.first = self.end;
        }
    }

    /// Forgets all bytes and keeps no more of them.
    pub fn deactivate(&mut self) {
        self.active = false;
        self.restart(self.end);
    }

    /// Another history: it is at `end`, and nothing before that is known.
    pub fn restart(&mut self, end: u64) {
        self.blocks = VecDeque::new();
        self.memory = 0;
        (self.first, self.end) = (end, end);
        self.needed = None;
    }

    /// `repl-backlog-size` changed.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.trim();
    }

    /// What is behind `place` is still to be sent to some replica; `None`: every replica was sent everything.
    pub fn set_needed(&mut self, place: Option<u64>) {
        self.needed = place;
        self.trim();
    }

    /// Adds bytes to the history.
    pub fn append(&mut self, mut bytes: &[u8]) {
        if !self.active {
            self.end += bytes.len() as u64;
            self.first = self.end;
            return;
        }
        while !bytes.is_empty() {
            let room = self.blocks.back().map_or(0, |block| block.bytes.capacity() - block.bytes.len());
            if room == 0 {
                let capacity = (self.limit / 16).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) as usize;
                self.blocks.push_back(Block { start: self.end, bytes: Vec::with_capacity(capacity) });
                self.memory += capacity;
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(block) = self.blocks.back_mut() {
                block.bytes.extend_from_slice(now);
            }
            self.end += now.len() as u64;
            bytes = later;
        }
        self.trim();
    }

    /// Some of the bytes behind `place`; none if there are none, or if they are gone.
    pub fn read(&self, place: u64) -> &[u8] {
        if place < self.first || place >= self.end {
            return &[];
        }
        let at = self.blocks.partition_point(|block| block.end() <= place);
        self.blocks.get(at).map_or(&[], |block| &block.bytes[(place - block.start) as usize..])
    }

    /// True if everything behind `place` is known.
    pub fn reaches(&self, place: u64) -> bool {
        self.active && (self.first..=self.end).contains(&place)
    }

    /// Drops whole blocks that nobody needs any more.
    fn trim(&mut self) {
        while self.len() > self.limit
            && let Some(block) = self.blocks.front()
            && self.blocks.len() > 1
            && self.end - block.end() >= self.limit
            && self.needed.is_none_or(|place| place >= block.end())
        {
            self.first = block.end();
            self.memory -= block.bytes.capacity();
            self.blocks.pop_front();
        }
        // The list of a long history is large, too.
        if self.blocks.capacity() > LIST_MIN.max(4 * self.blocks.len()) {
            self.blocks.shrink_to(2 * self.blocks.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(backlog: &Backlog, mut place: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while place < backlog.end() {
            let bytes = backlog.read(place);
            assert!(!bytes.is_empty(), "nothing at {place}");
            out.extend_from_slice(bytes);
            place += bytes.len() as u64;
        }
        out
    }

    #[test]
    fn keeps_the_latest_bytes_under_their_places() {
        let mut backlog = Backlog::default();
        backlog.append(b"unseen");
        assert!(!backlog.reaches(6));
        backlog.activate(16 << 10);
        let text: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        text.chunks(777).for_each(|part| backlog.append(part));
        assert_eq!(backlog.end(), 100_006);
        assert!(backlog.len() >= 16 << 10 && backlog.len() <= (16 << 10) + 1024, "{}", backlog.len());
        assert_eq!(all(&backlog, backlog.first()), text[backlog.first() as usize - 6..]);
        assert!(backlog.reaches(backlog.end()) && !backlog.reaches(backlog.first() - 1) && !backlog.reaches(100_007));
        assert!(backlog.read(5).is_empty() && backlog.read(100_006).is_empty());
    }

    #[test]
    fn keeps_what_a_replica_needs() {
        let mut backlog = Backlog::default();
        backlog.activate(16 << 10);
        backlog.append(&[1; 10]);
        backlog.set_needed(Some(10));
        backlog.append(&[2; 200_000]);
        assert_eq!(backlog.first(), 0);
        assert_eq!(all(&backlog, 10), [2; 200_000]);
        backlog.set_needed(Some(150_000));
        assert!(backlog.first() <= 150_000 && backlog.first() > 140_000);
        backlog.set_needed(None);
        assert!(backlog.len() <= (16 << 10) + 1024);
        assert!(backlog.memory_bytes() <= (16 << 10) + 2048 + LIST_MIN * size_of::<Block>());
        backlog.deactivate();
        assert!(backlog.is_empty() && backlog.memory_bytes() == 0 && backlog.end() == 200_010);
    }
}
