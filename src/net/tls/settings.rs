//! From directives to what `rustls` wants: certificates, keys, authorities, versions and cipher suites.

use crate::config::{Config, TlsAuthClients};
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What was read, and of which age.
pub struct Material {
    pub server: Arc<ServerConfig>,
    pub stamps: Vec<Stamp>,
}

/// A file's age and size; none if it cannot be looked at.
pub type Stamp = Option<(SystemTime, u64)>;

/// Why there is no TLS.
#[derive(Debug)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Refusal(text.into())
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(text.into()))
}

/// Directives that make up the material: a change of any of them has it made anew.
pub const DIRECTIVES: &[&str] = &[
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-auth-clients",
    "tls-protocols",
    "tls-ciphersuites",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
    "tls-session-cache-size",
];

/// Reads everything.
///
/// # Errors
/// The first thing that is missing, unreadable or does not fit the others.
pub fn load(config: &Config) -> Result<Material, Refusal> {
    // Taken before the files are read: what changes meanwhile is read once more.
    let stamps = stamps(config);
    Ok(Material { server: Arc::new(server(config, config.tls_auth_clients)?), stamps })
}

/// What we show to those who connect, and what we want to see of them.
///
/// # Errors
/// As `load`.
pub(super) fn server(config: &Config, clients: TlsAuthClients) -> Result<ServerConfig, Refusal> {
    if config.tls_cert_file.is_empty() {
        return refuse("No tls-cert-file configured!");
    }
    if config.tls_key_file.is_empty() {
        return refuse("No tls-key-file configured!");
    }
    let provider = Arc::new(provider(&config.tls_ciphersuites)?);
    let certified = certified_key(&config.tls_cert_file, &config.tls_key_file, &config.tls_key_file_pass, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&config.tls_protocols)?)
        .map_err(|error| Refusal(format!("Failed to configure protocols and ciphers: {error}")))?;
    let builder = match clients {
        TlsAuthClients::No => builder.with_no_client_auth(),
        wanted => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(config)?), provider);
            let verifier = if wanted == TlsAuthClients::Optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build();
            builder.with_client_cert_verifier(verifier.map_err(|error| Refusal(format!("Failed to configure CA: {error}")))?)
        }
    };
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.ignore_client_order = config.tls_prefer_server_ciphers;
    if config.tls_session_caching {
        // 0 means "without limit" to others; a cache of anybody's sessions needs one.
        const SESSIONS_DEFAULT: usize = 20_480;
        let sessions = usize::try_from(config.tls_session_cache_size).ok().filter(|n| *n > 0).unwrap_or(SESSIONS_DEFAULT);
        server.session_storage = ServerSessionMemoryCache::new(sessions);
    } else {
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(server)
}

/// The ages of all files that `load` reads.
pub fn stamps(config: &Config) -> Vec<Stamp> {
    let files = [
        &config.tls_cert_file,
        &config.tls_key_file,
        &config.tls_client_cert_file,
        &config.tls_client_key_file,
        &config.tls_ca_cert_file,
        &config.tls_ca_cert_dir,
    ];
    let stamp = |path: &&String| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    files.iter().filter(|path| !path.is_empty()).map(stamp).collect()
}

/// A certificate with the chain that vouches for it, and its key.
pub(super) fn certified_key(
    certificates: &str,
    key: &str,
    passphrase: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Refusal> {
    let chain = chain(Path::new(certificates))
        .and_then(|chain| if chain.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(chain) })
        .map_err(|error| Refusal(format!("Failed to load certificate: {certificates}: {error}")))?;
    let failed = |error: &dyn fmt::Display| Refusal(format!("Failed to load private key: {key}: {error}"));
    let secret = secret_key(key, passphrase).map_err(|error| failed(&error))?;
    let secret = provider.key_provider.load_private_key(secret).map_err(|error| failed(&error))?;
    let certified = CertifiedKey::new(chain, secret);
    // Other findings (a certificate of an old form) are for the clients to judge.
    match certified.keys_match() {
        Err(error @ rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err(failed(&error)),
        _ => Ok(certified),
    }
}

/// The key of a PEM file, which may need a passphrase.
fn secret_key(path: &str, passphrase: &str) -> Result<PrivateKeyDer<'static>, String> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if let Some(from) = text.find(BEGIN) {
        let block = &text[from..];
        let end = block.find(END).ok_or("the encrypted key has no end")?;
        let (_, document) = SecretDocument::from_pem(&block[..end + END.len()]).map_err(|error| error.to_string())?;
        let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|error| error.to_string())?;
        let plain = encrypted.decrypt(passphrase).map_err(|_| "the passphrase is wrong, or the encryption is not known")?;
        return Ok(PrivateKeyDer::Pkcs8(plain.as_bytes().to_vec().into()));
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("it is encrypted in an old form; `openssl pkcs8 -topk8` makes a new one of it".into());
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())
}

/// All certificates of a PEM file.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    certificates.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Those whose word on a certificate counts.
pub(super) fn authorities(config: &Config) -> Result<RootCertStore, Refusal> {
    if config.tls_ca_cert_file.is_empty() && config.tls_ca_cert_dir.is_empty() {
        return refuse(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or \
             tls-auth-clients are enabled!",
        );
    }
    let mut roots = RootCertStore::empty();
    if !config.tls_ca_cert_file.is_empty() {
        let path = &config.tls_ca_cert_file;
        let failed = |error: String| Refusal(format!("Failed to load CA certificate(s) file/directory: {path}: {error}"));
        for certificate in chain(Path::new(path)).map_err(failed)? {
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    if !config.tls_ca_cert_dir.is_empty() {
        let path = &config.tls_ca_cert_dir;
        let failed = |error| Refusal(format!("Failed to load CA certificate(s) file/directory: {path}: {error}"));
        let mut files: Vec<PathBuf> = std::fs::read_dir(path).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        // A directory may hold other things, and names for the same certificate by its hash.
        for file in files.iter().filter(|file| file.is_file()) {
            roots.add_parsable_certificates(chain(file).unwrap_or_default());
        }
    }
    if roots.is_empty() { refuse("There is no certificate among tls-ca-cert-file and tls-ca-cert-dir") } else { Ok(roots) }
}

/// The versions that `tls-protocols` names, of those that are still considered safe.
pub(super) fn versions(text: &str) -> Result<Vec<&'static SupportedProtocolVersion>, Refusal> {
    let mut versions = Vec::new();
    for word in text.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&version::TLS12),
            "tlsv1.3" => versions.push(&version::TLS13),
            "tlsv1" | "tlsv1.1" => tracing::warn!("tls-protocols: {word} is no longer safe and is not offered"),
            _ => return refuse("Invalid tls-protocols specified. Use a combination of 'TLSv1.2' and 'TLSv1.3'."),
        }
    }
    match (text.trim().is_empty(), versions.is_empty()) {
        (true, _) => Ok(rustls::ALL_VERSIONS.to_vec()),
        (false, true) => refuse("tls-protocols names no version that can be offered: 'TLSv1.2' and 'TLSv1.3' can"),
        (false, false) => Ok(versions),
    }
}

/// The arithmetic, with the suites of TLS 1.3 that `tls-ciphersuites` names, in its order. Those of TLS 1.2 are the library's.
pub(super) fn provider(ciphersuites: &str) -> Result<CryptoProvider, Refusal> {
    let mut provider = ring::default_provider();
    if ciphersuites.trim().is_empty() {
        return Ok(provider);
    }
    let mut suites = Vec::new();
    for name in ciphersuites.split(':').filter(|name| !name.is_empty()) {
        let wanted = match name {
            "TLS_AES_128_GCM_SHA256" => CipherSuite::TLS13_AES_128_GCM_SHA256,
            "TLS_AES_256_GCM_SHA384" => CipherSuite::TLS13_AES_256_GCM_SHA384,
            "TLS_CHACHA20_POLY1305_SHA256" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            _ => return refuse(format!("Failed to configure ciphersuites: {name} is not known")),
        };
        suites.extend(provider.cipher_suites.iter().filter(|suite| suite.suite() == wanted));
    }
    suites.extend(provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()));
    provider.cipher_suites = suites;
    Ok(provider)
}
