//! Commands by their families, as transcripts.

mod bitmaps;
mod expiry;
mod hashes;
mod hyperloglogs;
mod introspection;
mod keys;
mod lists;
mod scan;
mod server;
mod session;
mod sets;
mod sort;
mod sorted_sets;
mod strings;
