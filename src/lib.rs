//! Redstart: a Redis-compatible in-memory server.
//!
//! # Bird's eye
//! ```text
//! listener → connection → request decoder → mailbox → ENGINE (one thread owns every key)
//!                                                        │ dispatch: look up → admit → run → close the unit
//!                      reply bytes ← session's output ←──┤
//!                                                        └→ write stream → consumers (AOF, replicas, tests)
//! ```
//! A connection reads whatever its socket has, decodes every complete request and posts the batch. The engine drains its
//! mailbox, runs all requests of all batches, appends the write stream once, and writes each client's replies once. While many
//! clients send steadily the thread naps before it sleeps, to be woken for more at a time (`engine::moderation`). With
//! `io-threads` above 1 the sockets live on other threads, and batches travel through rings; the engine is the same.
//!
//! # Code map, from the ground up
//! | room | what lives there |
//! |---|---|
//! | `types`, `clock` | small shared types; time and randomness as inputs |
//! | `raw` | the one home of unsafe memory layouts: allocator, hash table, entries, members, B+tree |
//! | `sys` | the one home of C interfaces: libc, Lua |
//! | `ds` | the typed values, encodings inside; `parts` (listpack, intset, quicklist) and `algo` |
//! | `resp` | requests off the wire, replies onto it, text rules for numbers |
//! | `config` | one plain value, a row per directive, redis.conf, command line |
//! | `keyspace` | databases, entries, effects, expiry, freeing |
//! | `acl` | users, what each may do, and the log of refusals |
//! | `session` | one client's state; who waits, watches and subscribes |
//! | `stream` | the write stream |
//! | `replication` | the history that replicas follow, its backlog, primaries and replicas |
//! | `persist` | RDB files, snapshots, the append-only file |
//! | `check` | redis-check-rdb and redis-check-aof |
//! | `outbound` | connections that we begin: to primaries, nodes, watched servers |
//! | `migration` | sending keys to another server (MIGRATE) |
//! | `cluster` | a node's view of its cluster: nodes, slots, health, nodes.conf |
//! | `sentinel` | a sentinel's view of the servers that it watches, and what it does when one is gone |
//! | `scripting` | Lua scripts and functions |
//! | `command` | what a command IS: row, table, arguments, contexts, errors |
//! | `commands` | what it DOES, a folder per family and a file per topic |
//! | `dispatch` | guards, execution, publishing of effects |
//! | `engine` | the actor, its mailbox, cron |
//! | `net` | sockets, TLS, I/O threads |
//! | `server` | builds every part and joins them |
//! | `testkit` | a server in a box: transcript in; replies, propagation and events out |
//!
//! # How a command runs
//! `net::connection` decodes `INCR k` and looks `INCR` up; the batch reaches `engine`, which prefetches the key's bucket and
//! calls `dispatch::execute`. That admits the request (`dispatch::admit`), builds a `command::context::KeysCtx` and calls
//! the row's function, `commands::string::counter::incr`. It asks `ctx.db.entry(key)` for a `keyspace::Handle` and changes
//! the value through a method that takes an `Event`. `dispatch::publish` closes the unit: write stream, notifications,
//! watchers, blocked clients. The reply is in the session's output already; the engine sends it at the end of its turn.
//!
//! # Invariants
//! - One thread owns the keyspace. Nothing else reads or writes a key: there is no lock, atomic or `Arc` on a key's path.
//! - `ds` knows no RESP, no sessions, no persistence. Handlers see a context, never the engine.
//! - A write cannot forget its effects: the only ways to change a value take an `Event`.
//! - Each write is encoded once, into the write stream.
//! - There is no `fork()` but the one that makes a daemon.
//! - `unsafe` lives in `raw` and `sys` only. (`tests/suite/tidy.rs` watches over this and over the order of the layers.)
//! - Reply text that clients match on is written once, in `command::error`.
//! - The server is a value: `server::Server::builder()` works many times in one process.
#![deny(unsafe_code)]
#![warn(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod acl;
pub mod check;
pub mod clock;
pub mod cluster;
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
pub mod migration;
pub mod net;
pub mod outbound;
pub mod persist;
pub mod raw;
pub mod replication;
pub mod resp;
pub mod scripting;
pub mod sentinel;
pub mod server;
pub mod session;
pub mod stats;
pub mod stream;
pub mod sys;
pub mod testkit;
pub mod types;
pub mod world;
