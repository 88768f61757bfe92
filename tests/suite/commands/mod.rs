//! Commands by their families, as transcripts.

mod bitmaps;
mod dump;
mod expiry;
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
