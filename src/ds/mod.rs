//! The typed values. They know neither RESP nor keys.
pub mod algo;
#[cfg(test)]
mod fuzz;
pub mod hash;
pub mod hyperloglog;
pub mod list;
pub mod object;
pub mod parts;
pub mod set;
pub mod sorted_set;
pub mod stream;
