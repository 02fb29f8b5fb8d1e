//! Servers with several certificates: which one a client is shown.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The first certificate that is for the name that the client asks for (SNI); else the first of all, whose names the client
/// can then find wanting by itself.
#[derive(Debug)]
pub(super) struct ByName {
    pub(super) first: Arc<CertifiedKey>,
    pub(super) more: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = if self.more.is_empty() { None } else { hello.server_name() };
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let chosen = name.and_then(|name| {
            let all = std::iter::once(&self.first).chain(&self.more);
            all.into_iter().find(|key| is_for(key, &name))
        });
        Some(chosen.unwrap_or(&self.first).clone())
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
