//! The one home of libc calls.
#![allow(unsafe_code)]

pub mod mem;
pub mod process;
pub mod random;
pub mod time;
