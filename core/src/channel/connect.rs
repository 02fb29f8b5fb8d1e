//! From a target to a connection that speaks HTTP/2.

use std::net::SocketAddr;

use tokio::time::{Instant, timeout, timeout_at};

use super::target::{Endpoint, Target};
use crate::Status;
use crate::stats::ChannelCounters;
use crate::timer::after;
use crate::transport::client::{Connection, Driver};
use crate::transport::custom::Dial;
use crate::transport::io::{Io, RawIo, connect_tcp, connect_unix};
use crate::transport::tls::ClientTlsConfig;
use crate::transport::{Http2, Keepalive, inprocess};

/// Makes connections to one target.
pub(crate) struct Connector {
    pub(crate) target: Target,
    /// Makes the byte stream, instead of what the target says.
    pub(crate) dial: Option<Dial>,
    pub(crate) tls: Option<ClientTlsConfig>,
    pub(crate) http2: Http2,
    /// Longest that one attempt may take, if shorter than what the backoff allows.
    pub(crate) connect_timeout: std::time::Duration,
    pub(crate) counters: ChannelCounters,
}

impl Connector {
    /// One attempt: all addresses in turn, then TLS, then HTTP/2 up to the server's SETTINGS.
    pub(crate) async fn connect(
        &self,
        deadline: Instant,
        keepalive: Option<&Keepalive>,
    ) -> Result<(Connection, Driver), Status> {
        let deadline = deadline.min(after(Instant::now(), self.connect_timeout));
        let status = match timeout_at(deadline, self.attempt(deadline, keepalive)).await {
            Ok(Ok(connection)) => {
                self.counters.connected.hit();
                return Ok(connection);
            }
            Ok(Err(status)) => {
                Status::new(status.code(), format!("cannot connect to {}: {}", self.target, status.message()))
            }
            Err(_) => {
                self.counters.limits.handshakes.hit();
                Status::unavailable(format!(
                    "cannot connect to {}: no answer within connect_timeout ({:?})",
                    self.target, self.connect_timeout
                ))
            }
        };
        self.counters.failed.hit();
        Err(status)
    }

    async fn attempt(
        &self,
        deadline: Instant,
        keepalive: Option<&Keepalive>,
    ) -> Result<(Connection, Driver), Status> {
        let raw = self.socket(deadline).await.map_err(|error| Status::unavailable(error.to_string()))?;
        if let Some(keepalive) = keepalive {
            // Without it a vanished peer is noticed by the ping alone: worth having, not worth failing for.
            let _ = raw.set_user_timeout(keepalive.timeout);
        }
        let io = match &self.tls {
            None => Io::from(raw),
            Some(tls) => tls
                .handshake(raw, self.target.host())
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?,
        };
        Connection::establish(io, &self.http2, keepalive, &self.counters.limits).await
    }

    async fn socket(&self, deadline: Instant) -> std::io::Result<RawIo> {
        if let Some(dial) = &self.dial {
            return dial.dial().await;
        }
        match &self.target.endpoint {
            Endpoint::Dns { host, port, .. } => {
                let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port)).await?.collect();
                first_of(&addresses, deadline).await
            }
            Endpoint::Addresses(addresses) => first_of(addresses, deadline).await,
            Endpoint::Unix(path) => connect_unix(path).await,
            Endpoint::UnixAbstract(name) => connect_unix(format!("\0{name}").as_ref()).await,
            Endpoint::InProcess(name) => inprocess::connect(name).await,
        }
    }
}

/// The first address that accepts; else the error of the last one. Each gets its share of the time, so that
/// one that never answers does not keep the others from being tried.
async fn first_of(addresses: &[SocketAddr], deadline: Instant) -> std::io::Result<RawIo> {
    let mut failure = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let attempt = timeout(share, connect_tcp(*address)).await;
        match attempt.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(io) => return Ok(io),
            Err(error) => failure = std::io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(failure)
}
