//! From an address to a connection that speaks HTTP/2.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::proxy::Tunnel;
use crate::Status;
use crate::stats::ChannelCounters;
use crate::timer::after;
use crate::transport::client::{Connection, Driver};
use crate::transport::custom::Dial;
use crate::transport::io::{Io, RawIo, connect_tcp, connect_unix};
use crate::transport::tls::ClientTlsConfig;
use crate::transport::{Http2, Keepalive, inprocess};

/// Makes the connections of one channel.
pub(crate) struct Connector {
    /// The target as it was written, for errors.
    pub(crate) target: String,
    /// The name that a server's certificate must be for.
    pub(crate) host: String,
    /// Makes the byte stream, instead of what the address says.
    pub(crate) dial: Option<Dial>,
    /// What TCP addresses are those of, if not of the target.
    pub(crate) tunnel: Option<Tunnel>,
    pub(crate) tls: Option<ClientTlsConfig>,
    pub(crate) http2: Http2,
    /// Longest that one attempt may take, if shorter than what the backoff allows.
    pub(crate) connect_timeout: Duration,
    pub(crate) keepalive: Mutex<Option<Keepalive>>,
    pub(crate) counters: Arc<ChannelCounters>,
}

impl Connector {
    /// A server complained of our pings: all connections from here on make half as many (gRFC A8).
    pub(crate) fn ping_less(&self) {
        let mut keepalive = self.keepalive.lock().unwrap_or_else(PoisonError::into_inner);
        *keepalive = keepalive.as_ref().map(Keepalive::doubled);
    }

    /// One attempt: the byte stream, then TLS, then HTTP/2 up to the server's SETTINGS.
    pub(crate) async fn connect(
        &self,
        address: &Address,
        deadline: Instant,
    ) -> Result<(Connection, Driver), Status> {
        let deadline = deadline.min(after(Instant::now(), self.connect_timeout));
        let status = match timeout_at(deadline, self.attempt(address)).await {
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
                    "cannot connect to {}: {}no answer within connect_timeout ({:?})",
                    self.target,
                    self.prefix(address),
                    self.connect_timeout
                ))
            }
        };
        self.counters.failed.hit();
        Err(status)
    }

    async fn attempt(&self, address: &Address) -> Result<(Connection, Driver), Status> {
        let failed = |error: std::io::Error| Status::unavailable(format!("{}{error}", self.prefix(address)));
        let mut raw = self.socket(address).await.map_err(failed)?;
        if let Some(tunnel) = &self.tunnel {
            tunnel.open(&mut raw).await.map_err(Status::unavailable)?;
        }
        let keepalive = self.keepalive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(keepalive) = &keepalive {
            // Without it a vanished peer is noticed by the ping alone: worth having, not worth failing for.
            let _ = raw.set_user_timeout(keepalive.timeout);
        }
        let io = match &self.tls {
            None => Io::from(raw),
            Some(tls) => tls.handshake(raw, &self.host).await.map_err(failed)?,
        };
        Connection::establish(io, &self.http2, keepalive.as_ref(), &self.counters.limits).await
    }

    async fn socket(&self, address: &Address) -> std::io::Result<RawIo> {
        if let Some(dial) = &self.dial {
            return dial.dial().await;
        }
        match address {
            Address::Tcp(address) => connect_tcp(*address).await,
            Address::Unix(path) => connect_unix(path).await,
            Address::UnixAbstract(name) => connect_unix(format!("\0{name}").as_ref()).await,
            Address::InProcess(name) => inprocess::connect(name).await,
            Address::Connector => Err(std::io::Error::other("the channel has no connector")),
        }
    }

    /// Which of several addresses an error is of.
    fn prefix(&self, address: &Address) -> String {
        match (address, &self.tunnel) {
            (Address::Tcp(address), None) => format!("{address}: "),
            (Address::Tcp(address), Some(tunnel)) => format!("{tunnel}: {address}: "),
            _ => String::new(),
        }
    }
}
