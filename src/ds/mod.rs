//! The typed values. They know neither RESP nor keys.
pub mod algo;
pub mod hyperloglog;
pub mod parts;
pub mod stream;
