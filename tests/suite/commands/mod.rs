//! Commands by their families, as transcripts.

mod bitmaps;
mod expiry;
mod hashes;
mod hyperloglogs;
mod keys;
mod scan;
mod strings;
