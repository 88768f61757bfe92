//! Commands by their families, as transcripts.

mod bitmaps;
mod expiry;
mod hyperloglogs;
mod keys;
mod lists;
mod scan;
mod sort;
mod strings;
