//! TLS between servers (`tls-cluster`, `tls-replication`): whom we believe, and what we show them.
//!
//! A server must show a certificate that an authority of ours vouches for, whatever the name in it: nodes know each other by
//! addresses, and the original does not look at names either.

use super::settings::{Refusal, Stamp, authorities, certified_key, provider, server, stamps, versions};
use crate::config::{Config, TlsAuthClients};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use std::cell::RefCell;
use std::sync::Arc;

/// What connections between servers begin with.
#[derive(Default)]
pub struct Peers {
    client: Made<ClientConfig>,
    node: Made<ServerConfig>,
}

/// Something that is made of the directives and their files when it is first asked for, and again when files have changed.
struct Made<T>(RefCell<Option<(Vec<Stamp>, Arc<T>)>>);

impl<T> Default for Made<T> {
    fn default() -> Self {
        Made(RefCell::default())
    }
}

impl<T> Made<T> {
    fn get(&self, config: &Config, make: impl Fn(&Config) -> Result<T, Refusal>) -> Result<Arc<T>, Refusal> {
        let now = stamps(config);
        let mut current = self.0.borrow_mut();
        if let Some((read, made)) = &*current
            && *read == now
        {
            return Ok(made.clone());
        }
        let made = Arc::new(make(config)?);
        *current = Some((now, made.clone()));
        Ok(made)
    }
}

impl Peers {
    /// The configuration for a connection that begins now.
    ///
    /// # Errors
    /// What is missing, unreadable or does not fit together.
    pub fn client(&self, config: &Config) -> Result<Arc<ClientConfig>, Refusal> {
        self.client.get(config, load)
    }

    /// The configuration for a connection that another node of the cluster begins now. It has to show a certificate, whatever
    /// clients have to.
    ///
    /// # Errors
    /// Likewise.
    pub fn node(&self, config: &Config) -> Result<Arc<ServerConfig>, Refusal> {
        self.node.get(config, |config| server(config, TlsAuthClients::Yes))
    }

    /// Looks whether there can be connections to other servers.
    ///
    /// # Errors
    /// Likewise.
    pub fn check(config: &Config) -> Result<(), Refusal> {
        server(config, TlsAuthClients::Yes)?;
        load(config).map(drop)
    }

    /// Directives have changed.
    pub fn forget(&self) {
        self.client.0.take();
        self.node.0.take();
    }
}

fn load(config: &Config) -> Result<ClientConfig, Refusal> {
    let provider = Arc::new(provider(&config.tls_ciphersuites)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(config)?), provider.clone());
    let verifier = verifier.build().map_err(|error| Refusal::new(format!("Failed to configure CA: {error}")))?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&config.tls_protocols)?)
        .map_err(|error| Refusal::new(format!("Failed to configure protocols and ciphers: {error}")))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)));
    // What is for clients only goes first; a server's own certificate serves, too.
    let [certificate, key, pass] = if config.tls_client_cert_file.is_empty() {
        [&config.tls_cert_file, &config.tls_key_file, &config.tls_key_file_pass]
    } else {
        [&config.tls_client_cert_file, &config.tls_client_key_file, &config.tls_client_key_file_pass]
    };
    if certificate.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let certified = certified_key(certificate, key, pass, &provider)?;
    Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
}

/// Believes what the library believes, but for the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when everything else was found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
