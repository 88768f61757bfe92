//! The one home of libc calls.
#![allow(unsafe_code)]

pub mod crash;
pub mod mem;
pub mod process;
pub mod time;
