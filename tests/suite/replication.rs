//! Replication: a primary in this process and replicas that are played by hand, byte by byte; then real servers as
//! replicas, under writes of all types.

mod peers;
pub mod primary;
