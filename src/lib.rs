//! Redstart: a Redis-compatible in-memory server.
#![deny(unsafe_code)]
#![warn(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod config;
pub mod ds;
pub mod raw;
pub mod resp;
pub mod sys;
