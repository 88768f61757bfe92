//! Commands by their families, as transcripts.

mod bitmaps;
mod expiry;
mod hyperloglogs;
mod keys;
mod scan;
mod sorted_sets;
mod strings;
