//! Sockets: listening, reading requests, writing replies. Nothing here knows what a command does.

pub mod bus;
pub mod connection;
pub mod io_thread;
pub mod listener;
pub mod local;
pub mod runtime;
pub mod sentinel;
pub mod tls;
