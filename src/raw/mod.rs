//! The one home of unsafe memory layouts. Imports nothing from the rest of the crate.
#![allow(unsafe_code)]

mod btree;
pub mod chunks;
pub mod member;
pub mod table;
pub mod zset;
