//! What a validator says about bytes that came from outside (a data file, RESTORE, a replication stream).

use std::fmt;

/// Bytes that are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Where in the given bytes the fault was noticed.
    pub offset: usize,
    /// What is wrong there, for the log.
    pub reason: &'static str,
}

impl Corrupt {
    pub(crate) fn at(offset: usize, reason: &'static str) -> Corrupt {
        Corrupt { offset, reason }
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

impl std::error::Error for Corrupt {}
