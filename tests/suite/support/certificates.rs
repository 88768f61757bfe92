//! Certificates for a test: an authority of its own, and what it vouches for.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use redstart::server::{Builder, Port, Server};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory with an authority's certificates: `ca`, `server`, `client`, as PEM files. Removed at the end.
pub struct Certificates {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub fn new() -> Certificates {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("redstart-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&directory).expect("a directory for certificates");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(directory.join("ca.crt"), certificate.pem()).expect("written");
        let certificates = Certificates { directory, issuer: Issuer::new(params, key) };
        certificates.issue("server", &["localhost", "127.0.0.1"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        certificates.issue("client", &["client"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        certificates
    }

    /// Makes a certificate and its key, or replaces them.
    pub fn issue(&self, name: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.file(&format!("{name}.crt")), certificate.pem()).expect("written");
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    pub fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// A server that shows `server` and wants its clients to show a certificate of this authority.
    pub fn server(&self) -> Builder {
        Server::builder()
            .tls_port(Port::Auto)
            .set("tls-cert-file", &self.file("server.crt"))
            .set("tls-key-file", &self.file("server.key"))
            .set("tls-ca-cert-file", &self.file("ca.crt"))
    }

    /// The directives of a server that shows `server` to those who connect and `client` to those it connects to.
    pub fn directives(&self) -> Vec<(&'static str, String)> {
        let files = [
            ("tls-cert-file", "server.crt"),
            ("tls-key-file", "server.key"),
            ("tls-client-cert-file", "client.crt"),
            ("tls-client-key-file", "client.key"),
            ("tls-ca-cert-file", "ca.crt"),
        ];
        files.iter().map(|(name, file)| (*name, self.file(file))).collect()
    }

    /// The same as arguments of a command line.
    pub fn args(&self) -> Vec<String> {
        self.directives().into_iter().flat_map(|(name, file)| [format!("--{name}"), file]).collect()
    }

    /// What a client trusts and shows.
    pub fn client(&self, shown: Option<&str>, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.crt")).expect("the authority")).expect("it is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        let builder = builder.with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(self.file(&format!("{name}.crt"))).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(vec![certificate], key).expect("they fit")
            }
        })
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
