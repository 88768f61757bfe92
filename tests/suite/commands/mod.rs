//! Commands by their families, as transcripts.

mod expiry;
mod keys;
mod scan;
