//! RDB: the snapshot format, also the body of DUMP payloads and of full synchronisations.
//!
//! `format` names the numbers of the format, `read` and `legacy` take bytes apart, `decode` makes entries of them, `encode`
//! makes bytes of entries; `load` and `save` (by two threads, see `pair`) deal with whole files. Nothing in a file is believed:
//! every length is compared with what is left of the input before memory is taken for it, and broken input is an error with
//! its place.

pub mod decode;
pub mod encode;
pub mod feed;
pub mod format;
mod legacy;
pub mod load;
pub mod output;
mod pair;
pub mod read;
pub mod save;
pub mod stream;

pub use decode::{Decoded, Rules};
pub use encode::Encoder;
pub use read::LoadError;
