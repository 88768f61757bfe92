//! The one test binary, a module per area. `support` spawns servers, talks to them and makes commands up.

mod abuse;
mod append_only;
mod check;
mod clients;
mod cluster;
mod commands;
mod crash;
mod damage;
mod debugger;
mod disk;
mod encodings;
mod errors;
mod handshakes;
mod interchange;
mod memory;
mod migration;
mod model;
mod persist;
mod regression;
mod replica;
mod replication;
mod scripts;
mod sentinel;
mod shutdown;
mod snapshot;
mod support;
mod tidy;
mod tls;
mod torture;
mod vulnerabilities;

/// As in the server, so that memory is counted in tests too.
#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;
