// TEMPORARY placeholder by the lead: overwrite this file
use std::net::SocketAddr;
use std::path::PathBuf;
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) endpoint: Endpoint,
    s: String,
}
#[derive(Clone, Debug)]
pub enum Endpoint {
    Dns { host: String, port: u16, server: Option<String> },
    Addresses(Vec<SocketAddr>),
    Unix(PathBuf),
    UnixAbstract(String),
    InProcess(String),
}
#[derive(Debug, thiserror::Error)]
#[error("bad")]
pub struct TargetError;
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.s)
    }
}
impl Target {
    pub(crate) fn parse(s: &str) -> Result<Self, TargetError> {
        let e = if let Some(n) = s.strip_prefix("inprocess:") {
            Endpoint::InProcess(n.into())
        } else {
            let t = s.trim_start_matches("dns:///");
            let (h, p) = t.rsplit_once(':').ok_or(TargetError)?;
            Endpoint::Dns { host: h.into(), port: p.parse().map_err(|_| TargetError)?, server: None }
        };
        Ok(Target { endpoint: e, s: s.into() })
    }
    pub(crate) fn authority(&self) -> &str {
        "localhost"
    }
    pub(crate) fn host(&self) -> &str {
        "localhost"
    }
}
