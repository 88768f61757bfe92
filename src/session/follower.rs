//! What a client tells of itself before it becomes a replica (REPLCONF).

/// A client that is a replica, or is about to become one.
#[derive(Default, Debug)]
pub struct Follower {
    /// PSYNC or SYNC was accepted: what the client gets from here on is the history.
    pub is_replica: bool,
    /// The port on which it serves; 0 if it did not tell.
    pub listening_port: u16,
    /// The address under which it wants to be known; empty if that of its socket will do.
    pub address: String,
    /// It finds the end of data whose length is not told ahead.
    pub eof: bool,
    /// It understands that a history goes on under another name.
    pub psync2: bool,
    /// It wants the data only, not what happens afterwards.
    pub rdb_only: bool,
    /// It wants only a part of the data.
    pub filter: Option<Filter>,
}

/// Which part of the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    Nothing,
    Functions,
}
