//! The one home of C interfaces: libc and Lua.
#![allow(unsafe_code)]

pub mod crash;
pub mod file;
pub mod lua;
pub mod mem;
pub mod printf;
pub mod process;
pub mod random;
pub mod socket;
pub mod time;
pub mod title;
