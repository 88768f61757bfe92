//! Commands by their families, as transcripts.

mod bitmaps;
mod expiry;
mod hyperloglogs;
mod introspection;
mod keys;
mod lists;
mod notifications;
mod pubsub;
mod scan;
mod server;
mod session;
mod sets;
mod sort;
mod sorted_sets;
mod strings;
mod transactions;
