//! TLS for clients and servers: rustls with its ring provider, HTTP/2 by ALPN, and nothing else unless a server speaks
//! gRPC-Web or a page of the web is fetched.
//!
//! The provider is always named. A process-wide default would make the behaviour depend on what else is linked in.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::by_name::ByName;
pub use self::identity::TlsIdentity;
use self::pem::PemSource;
pub use self::pem::TlsError;
use super::io::{Io, RawIo};
use crate::reload::Reloading;

mod by_name;
mod identity;
mod names;
mod pem;
#[cfg(test)]
mod tests;

/// What is read again when it changes.
const FILES: &str = "TLS files";

/// The protocol that both sides offer and require.
pub(super) const ALPN_H2: &[u8] = b"h2";

/// The one that servers offer besides, for gRPC-Web, and that of web servers.
pub(super) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// A certificate chain and its key.
#[derive(Clone, Debug)]
struct Identity {
    certificate: PemSource,
    key: PemSource,
}

impl Identity {
    fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Ok((self.certificate.certificates("certificate")?, self.key.private_key("private key")?))
    }

    /// Says which of the two rustls did not like.
    fn explain(&self, error: rustls::Error) -> TlsError {
        match &error {
            rustls::Error::InconsistentKeys(_) => {
                let problem = format_args!("does not match the certificate {:?}", self.certificate);
                self.key.error("private key", problem)
            }
            rustls::Error::InvalidCertificate(why) => {
                self.certificate.error("certificate", format_args!("cannot be used: {why:?}"))
            }
            _ => self.key.error("private key", format_args!("cannot be used: {error}")),
        }
        .caused_by(error)
    }
}

/// The files among these sources.
fn files<'a>(
    authorities: &'a [PemSource],
    identities: impl IntoIterator<Item = &'a Identity>,
) -> Vec<PathBuf> {
    let identities = identities.into_iter().flat_map(|identity| [&identity.certificate, &identity.key]);
    authorities.iter().chain(identities).filter_map(PemSource::file).cloned().collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

/// What a provider without the default protocol versions would say; ring has them.
fn no_versions(error: rustls::Error) -> TlsError {
    TlsError::new("TLS", &error).caused_by(error)
}

fn add_authorities(roots: &mut RootCertStore, sources: &[PemSource]) -> Result<(), TlsError> {
    const WHAT: &str = "CA certificate";
    for source in sources {
        for certificate in source.certificates(WHAT)? {
            roots.add(certificate).map_err(|error| {
                source.error(WHAT, format_args!("cannot be used: {error}")).caused_by(error)
            })?;
        }
    }
    Ok(())
}

/// How a client's connections use TLS.
///
/// Nothing is read or checked until the channel is built; a missing file or a wrong key is that call's error. Files that
/// change are read again for the next connection; if they cannot be used then, the old ones stay, with a warning.
///
/// ```
/// # use spanwire::ClientTls;
/// let tls = ClientTls::new().with_ca_file("ca.pem").with_identity_files("client.pem", "client.key");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    authorities: Vec<PemSource>,
    system_roots: bool,
    identity: Option<Identity>,
    server_name: Option<String>,
    accept_any_certificate: bool,
}

impl ClientTls {
    /// Trusts the certificate authorities that the system trusts.
    ///
    /// Android and iOS keep them where only their own TLS can use them: give some with
    /// [`with_ca_pem`](Self::with_ca_pem) there, or building the channel fails and says so.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities (PEM, one or several) *instead of* the system's. Further calls add to them.
    pub fn with_ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(PemSource::Memory(pem.into()));
        self
    }

    /// Like [`with_ca_pem`](Self::with_ca_pem), from a file.
    pub fn with_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(PemSource::File(path.into()));
        self
    }

    /// Trusts the system's authorities besides those given by hand.
    pub fn with_system_roots(mut self) -> Self {
        self.system_roots = true;
        self
    }

    /// Shows this certificate chain (PEM, leaf first) to servers that ask for one. The key must not be encrypted.
    pub fn with_identity_pem(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let (certificate, key) = (PemSource::Memory(certificate.into()), PemSource::Memory(key.into()));
        self.identity = Some(Identity { certificate, key });
        self
    }

    /// Like [`with_identity_pem`](Self::with_identity_pem), from files.
    pub fn with_identity_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (PemSource::File(certificate.into()), PemSource::File(key.into()));
        self.identity = Some(Identity { certificate, key });
        self
    }

    /// The name (or IP address) the server's certificate must be for, instead of the host that is dialled.
    /// It is also the name sent to the server (SNI).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate of any server.
    ///
    /// The connection is encrypted but not authenticated: whoever can intercept it can read and change it.
    /// For experiments on one's own machine only.
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.accept_any_certificate = true;
        self
    }

    /// Reads the files and makes the configuration all connections of a channel share.
    pub(crate) fn build(&self) -> Result<ClientTlsConfig, TlsError> {
        self.build_for(ALPN_H2)
    }

    /// The same for connections that speak `protocol`.
    pub(crate) fn build_for(&self, protocol: &'static [u8]) -> Result<ClientTlsConfig, TlsError> {
        let server_name = self.server_name.as_deref().map(parse_server_name).transpose()?;
        let files = files(&self.authorities, self.identity.as_ref());
        let tls = self.clone();
        let connector =
            Arc::new(Reloading::new(FILES, files, Duration::ZERO, move || tls.connector(protocol))?);
        Ok(ClientTlsConfig { connector, server_name, protocol })
    }

    fn connector(&self, protocol: &[u8]) -> Result<TlsConnector, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(no_versions)?;
        let builder = if self.accept_any_certificate {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.load()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| identity.explain(error))?
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        add_authorities(&mut roots, &self.authorities)?;
        if self.authorities.is_empty() || self.system_roots {
            let found = rustls_native_certs::load_native_certs();
            // Stores of real systems hold a few certificates that cannot be parsed; those that can are enough.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let reason = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
                let problem =
                    format_args!("found no certificate authorities{reason}: give yours with with_ca_file");
                return Err(TlsError::new("system root certificates", problem));
            }
        }
        Ok(roots)
    }
}

fn parse_server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|error| {
        TlsError::new("TLS server name", format_args!("{name:?} is neither a host name nor an IP address"))
            .caused_by(error)
    })
}

/// A client's TLS configuration, ready for use. Cheap to clone; clones share the cache of sessions to resume.
#[derive(Clone)]
pub(crate) struct ClientTlsConfig {
    connector: Arc<Reloading<TlsConnector>>,
    server_name: Option<ServerName<'static>>,
    protocol: &'static [u8],
}

impl fmt::Debug for ClientTlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTlsConfig").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl ClientTlsConfig {
    /// Makes the client's handshake on `io`. `host` is the host dialled, without port and brackets; a name set by
    /// [`ClientTls::server_name`] wins.
    ///
    /// Errors say that TLS failed and why, among them a server that does not agree to HTTP/2. Sets no time limit.
    pub(crate) async fn handshake(&self, io: RawIo, host: &str) -> io::Result<Io> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_server_name(host).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?,
        };
        let connector = Arc::clone(&self.connector.current());
        let stream = connector.connect(name, io).await.map_err(explain_handshake)?;
        // HTTP/1.1 is what a server speaks that says nothing.
        if self.protocol == ALPN_H2 {
            require_h2(stream.get_ref().1.alpn_protocol(), "server")?;
        }
        Ok(Io::TlsClient(Box::new(stream)))
    }
}

/// How a server's listeners use TLS.
///
/// Nothing is read or checked until the server binds; a missing file or a wrong key is that call's error. Files that change
/// are read again for the next connection; if they cannot be used then, the old ones stay, with a warning.
#[derive(Clone, Debug)]
pub struct ServerTls {
    identity: Identity,
    more: Vec<Identity>,
    client_authorities: Vec<PemSource>,
    require_client_auth: Option<bool>,
}

impl ServerTls {
    /// Uses this certificate chain (PEM, leaf first) and its unencrypted private key (PEM: PKCS #8, PKCS #1 or SEC 1).
    pub fn from_pem(certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self::with_identity(PemSource::Memory(certificate.into()), PemSource::Memory(key.into()))
    }

    /// Like [`from_pem`](Self::from_pem), from files.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::with_identity(PemSource::File(certificate.into()), PemSource::File(key.into()))
    }

    fn with_identity(certificate: PemSource, key: PemSource) -> Self {
        let identity = Identity { certificate, key };
        Self { identity, more: Vec::new(), client_authorities: Vec::new(), require_client_auth: None }
    }

    /// One more certificate chain and its key, for servers with several names: a client that asks for a name (SNI) gets the
    /// first certificate that is for it, and the first of all if none is.
    pub fn and_pem(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let (certificate, key) = (PemSource::Memory(certificate.into()), PemSource::Memory(key.into()));
        self.more.push(Identity { certificate, key });
        self
    }

    /// Like [`and_pem`](Self::and_pem), from files.
    pub fn and_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (PemSource::File(certificate.into()), PemSource::File(key.into()));
        self.more.push(Identity { certificate, key });
        self
    }

    /// Asks clients for a certificate signed by one of these authorities (PEM), and refuses clients without, unless
    /// [`require_client_auth(false)`](Self::require_client_auth) is set. Further calls add authorities.
    pub fn client_ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_authorities.push(PemSource::Memory(pem.into()));
        self
    }

    /// Like [`client_ca_pem`](Self::client_ca_pem), from a file.
    pub fn client_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_authorities.push(PemSource::File(path.into()));
        self
    }

    /// Whether a client must show a certificate. `false` lets clients without one in, as anonymous; a certificate that
    /// is shown is checked all the same. The default is `true` once a client authority is given.
    pub fn require_client_auth(mut self, required: bool) -> Self {
        self.require_client_auth = Some(required);
        self
    }

    /// Reads the files and makes the configuration all connections of a server share. With `http1` it takes clients
    /// that do not speak HTTP/2, too.
    pub(crate) fn build(&self, http1: bool) -> Result<ServerTlsConfig, TlsError> {
        let files = files(&self.client_authorities, std::iter::once(&self.identity).chain(&self.more));
        let tls = self.clone();
        let acceptor = Reloading::new(FILES, files, Duration::ZERO, move || tls.acceptor(http1))?;
        Ok(ServerTlsConfig { acceptor: Arc::new(acceptor), http1 })
    }

    fn acceptor(&self, http1: bool) -> Result<TlsAcceptor, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let certified = |identity: &Identity| {
            let (chain, key) = identity.load()?;
            let certified = CertifiedKey::from_der(chain, key, &provider);
            certified.map(Arc::new).map_err(|error| identity.explain(error))
        };
        let builder = builder.with_safe_default_protocol_versions().map_err(no_versions)?;
        let builder = if self.client_authorities.is_empty() {
            if self.require_client_auth == Some(true) {
                let problem = "client certificates are required but no client CA is given";
                return Err(TlsError::new("TLS server", problem));
            }
            builder.with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            add_authorities(&mut roots, &self.client_authorities)?;
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            if self.require_client_auth == Some(false) {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier
                .build()
                .map_err(|error| TlsError::new("client CA certificates", &error).caused_by(error))?;
            builder.with_client_cert_verifier(verifier)
        };
        let more = self.more.iter().map(certified).collect::<Result<_, _>>()?;
        let mut config =
            builder.with_cert_resolver(Arc::new(ByName { first: certified(&self.identity)?, more }));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        if http1 {
            config.alpn_protocols.push(ALPN_HTTP1.to_vec());
        }
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A server's TLS configuration, ready for use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ServerTlsConfig {
    acceptor: Arc<Reloading<TlsAcceptor>>,
    http1: bool,
}

impl fmt::Debug for ServerTlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTlsConfig").finish_non_exhaustive()
    }
}

impl ServerTlsConfig {
    /// Makes the server's handshake on `io`.
    ///
    /// Errors say that TLS failed and why, among them a client that does not offer HTTP/2. Sets no time limit.
    pub(crate) async fn handshake(&self, io: RawIo) -> io::Result<Io> {
        let acceptor = Arc::clone(&self.acceptor.current());
        let stream = acceptor.accept(io).await.map_err(explain_handshake)?;
        if !self.http1 {
            require_h2(stream.get_ref().1.alpn_protocol(), "client")?;
        }
        Ok(Io::TlsServer(Box::new(stream)))
    }
}

/// Refuses a peer that did not agree to HTTP/2: without ALPN either side could speak anything next.
fn require_h2(negotiated: Option<&[u8]>, peer: &str) -> io::Result<()> {
    match negotiated {
        Some(ALPN_H2) => Ok(()),
        Some(other) => Err(refused(format!(
            "the {peer} chose {:?} by ALPN; gRPC needs HTTP/2 (\"h2\")",
            String::from_utf8_lossy(other)
        ))),
        None => {
            Err(refused(format!("the {peer} negotiated no protocol by ALPN; gRPC needs HTTP/2 (\"h2\")")))
        }
    }
}

fn refused(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS handshake failed: {problem}"))
}

/// Puts what a user can do about it behind rustls's words. Keeps the kind.
fn explain_handshake(error: io::Error) -> io::Error {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let hint = match cause {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            " (no trusted authority signed the certificate; was its CA given?)"
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            " (the peer does not seem to speak TLS on this port)"
        }
        Some(
            Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol),
        ) => " (the peers have no protocol in common; gRPC needs HTTP/2, \"h2\" in ALPN)",
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            " (the peer closed the connection; it may not speak TLS on this port)"
        }
        _ => "",
    };
    let text = format!("TLS handshake failed: {error}{hint}");
    io::Error::new(error.kind(), text)
}

/// Accepts every certificate, but still checks that the peer has its key: a broken handshake stays an error.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
