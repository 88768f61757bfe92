//! Persistence: data files in Redis' formats.

pub mod rdb;
