//! One certificate for all servers under attack, and TLS clients that may offer anything.

use std::sync::{Arc, LazyLock};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in the certificate.
pub const NAME: &str = "attack.test";

/// A certificate and its key.
static CERTIFICATE: LazyLock<CertifiedKey<rcgen::KeyPair>> = LazyLock::new(|| {
    generate_simple_self_signed(vec![NAME.to_owned()])
        .unwrap_or_else(|error| panic!("no certificate: {error}"))
});

/// The certificate in PEM.
pub fn certificate_pem() -> String {
    CERTIFICATE.cert.pem()
}

/// What makes the server speak TLS.
pub fn server_flags() -> Vec<String> {
    let key = CERTIFICATE.signing_key.serialize_pem();
    vec![format!("--certificate-pem={}", certificate_pem()), format!("--key-pem={key}")]
}

/// A TLS handshake that offers these protocols, or none.
///
/// # Errors
/// What the handshake ended in.
pub async fn connect(tcp: TcpStream, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CERTIFICATE.cert.der().clone()).map_err(std::io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(NAME).map_err(std::io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}
