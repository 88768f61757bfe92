//! The one home of libc calls.
#![allow(unsafe_code)]
pub mod mem;
