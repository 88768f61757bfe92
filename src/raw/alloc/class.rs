//! Size classes: which block sizes exist and which one serves a request.
//!
//! Keyspace entries and collection members are 16 to 256 bytes, so up to there a class is every 8 bytes: on average
//! 4 bytes are lost where 16-byte classes lose 8. Above, the step grows with the size (16 to 512, 64 to 2048) and
//! keeps the loss under an eighth; each further class would hold a page of its own, hardly used. Values of about 1 KB are
//! common and live in their entry: a general allocator's class for them is 1280 bytes, ours 1088.

/// The largest request that a page serves; larger ones go to the general allocator.
pub const SMALL_MAX: usize = 2048;
/// The largest alignment that blocks can have: pages hand them out from a 64-byte boundary on.
pub const ALIGN_MAX: usize = 64;
/// How many classes there are.
pub const CLASSES: usize = 32 + 16 + 24;
/// Length of arrays that a class indexes: a power of two, so that masking replaces the bounds check.
pub const CLASS_SLOTS: usize = 128;

const _: () = assert!(CLASSES <= CLASS_SLOTS);

/// Bytes of a block, by class. Unused tail entries are 0.
pub static BLOCK_BYTES: [u16; CLASS_SLOTS] = block_bytes();
/// Class by size in 8-byte units, rounded up.
static CLASS_OF: [u8; SMALL_MAX / 8 + 1] = class_of_units();

/// The class whose blocks hold `size` bytes; `size` is at most [`SMALL_MAX`]. Nothing is served by one of 8 bytes.
#[inline(always)]
pub fn class_of(size: usize) -> usize {
    debug_assert!(size <= SMALL_MAX);
    CLASS_OF[size.div_ceil(8)] as usize
}

/// The size to look a class up with so that its blocks have `align` (at most [`ALIGN_MAX`]), or `None` when the
/// request is not small. Sizes that are multiples of an alignment of 16 to 64 always have a class that is one too.
#[inline(always)]
pub fn small_size(size: usize, align: usize) -> Option<usize> {
    if size > SMALL_MAX || align > ALIGN_MAX {
        return None;
    }
    // At most 2048 again, as that is a multiple of every alignment here.
    Some((size + align - 1) & !(align - 1))
}

const fn block_bytes() -> [u16; CLASS_SLOTS] {
    let mut bytes = [0; CLASS_SLOTS];
    let mut class = 0;
    let mut size = 0;
    while class < CLASSES {
        size += if size < 256 {
            8
        } else if size < 512 {
            16
        } else {
            64
        };
        bytes[class] = size;
        class += 1;
    }
    bytes
}

const fn class_of_units() -> [u8; SMALL_MAX / 8 + 1] {
    let bytes = block_bytes();
    let mut table = [0; SMALL_MAX / 8 + 1];
    let mut class = 0;
    let mut units = 1;
    while units < table.len() {
        while (bytes[class] as usize) < units * 8 {
            class += 1;
        }
        table[units] = class as u8;
        units += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        assert_eq!(BLOCK_BYTES[CLASSES - 1] as usize, SMALL_MAX);
        for size in 0..=SMALL_MAX {
            let class = class_of(size);
            assert!(BLOCK_BYTES[class] as usize >= size.max(1));
            assert!(class == 0 || (BLOCK_BYTES[class - 1] as usize) < size);
        }
    }

    #[test]
    fn aligned_requests_get_blocks_that_are_multiples_of_the_alignment() {
        for align in [1, 2, 4, 8, 16, 32, 64] {
            for size in 1..=SMALL_MAX {
                let rounded = small_size(size, align).unwrap();
                let block = BLOCK_BYTES[class_of(rounded)] as usize;
                assert!(block >= size && block.is_multiple_of(align));
            }
        }
        assert_eq!(small_size(2049, 8), None);
        assert_eq!(small_size(8, 128), None);
    }
}
