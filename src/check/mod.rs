//! The tools beside the server: redis-check-rdb and redis-check-aof. They read files as the server does, with the same
//! code, and tell what they find in the lines that scripts around the original tools look for.

pub mod aof;
pub mod rdb;
