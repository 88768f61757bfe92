//! Lua scripts and functions.

pub mod lib;
