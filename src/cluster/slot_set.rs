//! A set of hash slots in the shape in which the bus sends it: 16384 bits, the lowest bit of a byte first.

use crate::ds::algo::hash_slot::SLOTS;

/// Bytes of a set.
pub const SLOT_BYTES: usize = SLOTS as usize / 8;

/// Some of the slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet {
    bits: Box<[u8; SLOT_BYTES]>,
    count: u16,
}

impl Default for SlotSet {
    fn default() -> Self {
        SlotSet { bits: Box::new([0; SLOT_BYTES]), count: 0 }
    }
}

impl SlotSet {
    /// The set that the bus sent; what is missing at the end is not in it.
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut bits = Box::new([0; SLOT_BYTES]);
        bits.iter_mut().zip(bytes).for_each(|(bit, byte)| *bit = *byte);
        let count = bits.iter().map(|byte| byte.count_ones() as u16).sum();
        SlotSet { bits, count }
    }

    /// As the bus sends it.
    pub fn as_bytes(&self) -> &[u8; SLOT_BYTES] {
        &self.bits
    }

    /// Number of slots in the set.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if the slot is in the set.
    #[inline]
    pub fn contains(&self, slot: u16) -> bool {
        self.bits[slot as usize / 8] & (1 << (slot % 8)) != 0
    }

    /// Adds a slot. False if it was there.
    pub fn insert(&mut self, slot: u16) -> bool {
        let fresh = !self.contains(slot);
        self.bits[slot as usize / 8] |= 1 << (slot % 8);
        self.count += fresh as u16;
        fresh
    }

    /// Takes a slot out. False if it was not there.
    pub fn remove(&mut self, slot: u16) -> bool {
        let known = self.contains(slot);
        self.bits[slot as usize / 8] &= !(1 << (slot % 8));
        self.count -= known as u16;
        known
    }

    /// The slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..SLOTS).filter(|slot| self.contains(*slot))
    }

    /// The runs of slots that follow one another: first and last.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_and_go() {
        let mut set = SlotSet::default();
        assert!(set.insert(0) && set.insert(1) && set.insert(16383) && !set.insert(1));
        assert_eq!((set.len(), set.ranges()), (3, vec![(0, 1), (16383, 16383)]));
        assert!(SlotSet::from_slice(set.as_bytes()) == set);
        assert!(set.remove(0) && !set.remove(0));
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 16383]);
    }
}
