//! What commands DO, a folder or file per family and a file per topic. Each topic file begins with its rows, its table of
//! contents; adding a command touches that file and its test, nothing else.

pub mod acl;
pub mod bitmap;
mod cluster;
pub mod elements;
mod expire_options;
mod failover;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod keys;
pub mod list;
pub mod pubsub;
mod replicaof;
mod replication;
pub mod scan_options;
pub mod scripting;
pub mod sentinel;
pub mod server;
pub mod session;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod transaction;

use crate::command::CommandSpec;

/// All rows of all topics.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().flat_map(|topics| topics.iter()).flat_map(|rows| rows.iter())
}

/// The topics of a family, each with its rows.
type Topics = &'static [&'static [CommandSpec]];

const FAMILIES: &[Topics] = &[
    session::TOPICS,
    acl::TOPICS,
    server::TOPICS,
    keys::TOPICS,
    string::TOPICS,
    bitmap::TOPICS,
    hyperloglog::TOPICS,
    list::TOPICS,
    hash::TOPICS,
    set::TOPICS,
    sorted_set::TOPICS,
    stream::TOPICS,
    geo::TOPICS,
    pubsub::TOPICS,
    transaction::TOPICS,
    scripting::TOPICS,
    cluster::TOPICS,
    replication::TOPICS,
    replicaof::TOPICS,
    failover::TOPICS,
];
