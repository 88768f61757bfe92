//! Commands by their families, as transcripts.

mod bitmaps;
mod expiry;
mod hyperloglogs;
mod keys;
mod scan;
mod sets;
mod strings;
