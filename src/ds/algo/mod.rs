//! Algorithms over plain bytes and numbers. They know neither keys nor replies, so every one can be tested against a
//! naive model.
pub mod bits;
pub mod crc64;
pub mod geohash;
pub mod glob;
pub mod hash_slot;
pub mod lcs;
pub mod lzf;
pub mod partial_sort;
