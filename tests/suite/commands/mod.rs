//! Commands by their families, as transcripts.

mod acl;
mod bitmaps;
mod dump;
mod eviction;
mod expiry;
mod geo;
mod hashes;
mod hyperloglogs;
mod introspection;
mod keys;
mod lists;
mod notifications;
mod pubsub;
mod safety;
mod saving;
mod scan;
mod scripting;
mod server;
mod session;
mod sets;
mod sort;
mod sorted_sets;
mod streams;
mod strings;
mod tracking;
mod transactions;
