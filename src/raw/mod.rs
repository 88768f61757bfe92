//! The one home of unsafe memory layouts. Imports nothing from the rest of the crate but `sys`; its tests draw
//! from the generator in `clock`.
#![allow(unsafe_code)]

pub mod alloc;
mod btree;
pub mod chunks;
pub mod entry;
pub mod field;
mod helper;
pub mod huge;
pub mod member;
pub mod relocate;
pub mod shared;
pub mod simd;
pub mod table;
pub mod text;
pub mod thin;
mod varint;
pub mod zset;
