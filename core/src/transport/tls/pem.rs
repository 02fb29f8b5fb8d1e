//! Certificates and keys out of PEM, with errors that say which file and what is wrong with it.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A TLS configuration that cannot be used.
///
/// The text names the file, or what was given in memory, and what is wrong with it. It never contains key material.
#[derive(Debug)]
pub struct TlsError {
    subject: String,
    problem: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TlsError {
    pub(super) fn new(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self { subject: subject.to_string(), problem: problem.to_string(), source: None }
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Where PEM text comes from. Files are read only when the configuration is built.
#[derive(Clone)]
pub(super) enum PemSource {
    Memory(Vec<u8>),
    File(PathBuf),
}

impl fmt::Debug for PemSource {
    /// Shows a path but no bytes: they may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "<{} bytes of PEM>", bytes.len()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl PemSource {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Memory(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// `what` as a reader knows it: `CA certificate (/etc/ca.pem)`.
    fn subject(&self, what: &str) -> String {
        match self {
            Self::Memory(_) => format!("{what} (given in memory)"),
            Self::File(path) => format!("{what} ({})", path.display()),
        }
    }

    fn read(&self, what: &str) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::File(path) => fs::read(path).map_err(|error| {
                TlsError::new(self.subject(what), format_args!("cannot read the file: {error}"))
                    .caused_by(error)
            }),
        }
    }

    /// Every certificate in the text, in its order; at least one.
    pub(super) fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read(what)?;
        let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let certificates = found.map_err(|error| {
            TlsError::new(self.subject(what), format_args!("broken PEM: {error}")).caused_by(error)
        })?;
        if !certificates.is_empty() {
            return Ok(certificates);
        }
        let problem = if contains(&text, b"PRIVATE KEY-----") {
            "no certificate found in PEM: it holds a private key"
        } else if looks_like_der(&text) {
            "no certificate found in PEM: it looks like DER, convert it to PEM"
        } else {
            "no certificate found in PEM"
        };
        Err(TlsError::new(self.subject(what), problem))
    }

    /// The first private key in the text.
    pub(super) fn private_key(&self, what: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = self.read(what)?;
        if contains(&text, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&text, b"Proc-Type: 4,ENCRYPTED") {
            let problem = "the private key is encrypted with a password: decrypt it first";
            return Err(TlsError::new(self.subject(what), problem));
        }
        match PrivateKeyDer::pem_slice_iter(&text).next() {
            Some(Ok(key)) => Ok(key),
            Some(Err(error)) => {
                Err(TlsError::new(self.subject(what), format_args!("broken PEM: {error}")).caused_by(error))
            }
            None if contains(&text, b"BEGIN CERTIFICATE") => {
                Err(TlsError::new(self.subject(what), "no private key found in PEM: it holds a certificate"))
            }
            None if looks_like_der(&text) => Err(TlsError::new(
                self.subject(what),
                "no private key found in PEM: it looks like DER, convert it to PEM",
            )),
            None => Err(TlsError::new(self.subject(what), "no private key found in PEM")),
        }
    }

    /// Refers to this source in an error about what is inside.
    pub(super) fn error(&self, what: &str, problem: impl fmt::Display) -> TlsError {
        TlsError::new(self.subject(what), problem)
    }
}

/// DER begins with a SEQUENCE of a long form length.
fn looks_like_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x80..=0x84, ..])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
