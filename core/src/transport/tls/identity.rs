//! Who the peer of a connection is, as its certificate has it.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;

use super::names::Names;

/// The certificates a peer has proved to be its own, and the names in them. Cheap to clone.
#[derive(Clone)]
pub struct TlsIdentity(Arc<Inner>);

struct Inner {
    certificates: Box<[Bytes]>,
    /// Read when somebody asks, once for a connection.
    names: OnceLock<Names>,
}

impl TlsIdentity {
    /// `None` if the chain is empty.
    pub(crate) fn from_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        if chain.is_empty() {
            return None;
        }
        let certificates = chain.iter().map(|der| Bytes::copy_from_slice(der)).collect();
        Some(TlsIdentity(Arc::new(Inner { certificates, names: OnceLock::new() })))
    }

    /// The chain as the peer sent it: DER, its own certificate first, never empty.
    #[must_use]
    pub fn certificates(&self) -> &[Bytes] {
        &self.0.certificates
    }

    /// The peer's own certificate (DER).
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.0.certificates.first().map_or(&[], |leaf| leaf)
    }

    /// The DNS names that the certificate is for, in its order. Of a client they say what it is called, not where it is.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.names().dns
    }

    /// The URIs that the certificate is for.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.names().uris
    }

    /// The IP addresses that the certificate is for; where the peer really is says [`Peer::addr`](crate::Peer::addr).
    #[must_use]
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.names().ips
    }

    /// The mail addresses that the certificate is for.
    #[must_use]
    pub fn emails(&self) -> &[String] {
        &self.names().emails
    }

    /// The subject of the certificate in the form of RFC 4514, such as `CN=ada,O=Shop`; empty if it has none.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.names().subject
    }

    /// The SPIFFE ID, if the certificate is an X.509-SVID: one with a single URI, which is such an ID.
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&str> {
        match self.uris() {
            [id] if id
                .strip_prefix("spiffe://")
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) =>
            {
                Some(id)
            }
            _ => None,
        }
    }

    /// The names that policies know the peer by, in the order in which they are tried: URIs, DNS names, the subject.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &str> {
        let names = self.names();
        names.uris.iter().chain(&names.dns).map(String::as_str).chain([names.subject.as_str()])
    }

    fn names(&self) -> &Names {
        // Whoever checked the certificate could read it. One that [`Names`] cannot read has no names, and so no
        // rights that go with them.
        self.0.names.get_or_init(|| Names::read(self.leaf()).unwrap_or_default())
    }
}

impl PartialEq for TlsIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.0.certificates == other.0.certificates
    }
}

impl Eq for TlsIdentity {}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("certificates", &self.0.certificates).finish_non_exhaustive()
    }
}
