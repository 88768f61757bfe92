//! When this server speaks TLS with other servers, and what such a conversation begins with.

use super::World;
use crate::config::Config;
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;

impl World {
    /// For connections to a primary, or to servers that a sentinel watches; none if they are plain.
    ///
    /// # Errors
    /// There is to be TLS, and the directives lack something for it.
    pub fn tls_for_replication(&self) -> Result<Option<Arc<ClientConfig>>, String> {
        self.tls_to_others(|config| config.tls_replication)
    }

    /// For connections to other nodes of the cluster, likewise.
    ///
    /// # Errors
    /// Likewise.
    pub fn tls_to_nodes(&self) -> Result<Option<Arc<ClientConfig>>, String> {
        self.tls_to_others(|config| config.tls_cluster)
    }

    /// For connections of other nodes of the cluster, likewise.
    ///
    /// # Errors
    /// Likewise.
    pub fn tls_of_nodes(&self) -> Result<Option<Arc<ServerConfig>>, String> {
        match &self.outside {
            Some(outside) if self.config.tls_cluster => outside.tls_of_nodes(&self.config).map(Some),
            _ => Ok(None),
        }
    }

    fn tls_to_others(&self, is_wanted: impl Fn(&Config) -> bool) -> Result<Option<Arc<ClientConfig>>, String> {
        match &self.outside {
            Some(outside) if is_wanted(&self.config) => outside.tls_to_others(&self.config).map(Some),
            _ => Ok(None),
        }
    }
}
