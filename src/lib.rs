//! Redstart: a Redis-compatible in-memory server. (The architecture page is written when the parts stand.)
#![deny(unsafe_code)]
#![warn(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod clock;
pub mod command;
pub mod commands;
pub mod config;
pub mod dispatch;
pub mod ds;
pub mod engine;
pub mod histogram;
pub mod keyspace;
pub mod latency;
pub mod logging;
pub mod net;
pub mod persist;
pub mod raw;
pub mod resp;
pub mod server;
pub mod session;
pub mod stats;
pub mod stream;
pub mod sys;
pub mod testkit;
pub mod types;
pub mod world;
