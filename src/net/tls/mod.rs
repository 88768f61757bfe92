//! TLS. `settings` makes a `rustls` configuration out of directives and files, `client` one for connections to other servers; `stream` runs a session over a socket in the
//! two halves that a connection uses; here is the current configuration, and when it is read again.
//!
//! Each accepted client takes the configuration that holds at that moment; sessions that are under way keep theirs.

pub mod client;
pub mod settings;
pub mod stream;

use crate::config::Config;
use settings::Material;
pub use settings::Refusal;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the sockets of `tls-port` offer.
pub struct Tls {
    current: RefCell<Current>,
    looked_at: Cell<Instant>,
}

struct Current {
    material: Material,
    /// The directives that it was made from, for the day on which the files change.
    config: Config,
}

/// The files are looked at once in this time at most, and only when somebody connects.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Tls {
    /// Reads certificates, keys and authorities.
    ///
    /// # Errors
    /// What is missing, unreadable or does not fit together.
    pub fn load(config: &Config) -> Result<Tls, Refusal> {
        let current = Current { material: settings::load(config)?, config: config.clone() };
        Ok(Tls { current: RefCell::new(current), looked_at: Cell::new(Instant::now()) })
    }

    /// Takes over other directives, and reads all files again.
    ///
    /// # Errors
    /// As `load`; then everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), Refusal> {
        let material = settings::load(config)?;
        *self.current.borrow_mut() = Current { material, config: config.clone() };
        self.looked_at.set(Instant::now());
        Ok(())
    }

    /// The configuration for a client that connects now. If the files have changed they are read first; a certificate that does
    /// not fit its key (one of the two may not be written yet) leaves the old ones in use.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let now = Instant::now();
        if now - self.looked_at.get() >= LOOK_AGAIN {
            self.looked_at.set(now);
            self.look_at_files();
        }
        self.current.borrow().material.server.clone()
    }

    fn look_at_files(&self) {
        let mut current = self.current.borrow_mut();
        let stamps = settings::stamps(&current.config);
        if stamps == current.material.stamps {
            return;
        }
        match settings::load(&current.config) {
            Ok(material) => {
                tracing::info!("TLS certificates have changed and were read again");
                current.material = material;
            }
            Err(refusal) => {
                tracing::warn!("TLS certificates have changed and cannot be used, the old ones stay in use: {refusal}");
                current.material.stamps = stamps;
            }
        }
    }
}
