//! The wire: requests in, replies out, and the text rules for numbers.

pub mod bulks;
pub mod decode;
pub mod number;
pub mod reply;
pub mod request;
