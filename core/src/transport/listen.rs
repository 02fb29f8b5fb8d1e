// TEMPORARY placeholder by the lead: overwrite this file
use super::io::{PeerAddr, RawIo};
use std::{io, time::Duration};
pub(crate) enum Address {
    Tcp { host: String, port: u16 },
}
impl std::str::FromStr for Address {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (h, p) = s.rsplit_once(':').ok_or("x")?;
        Ok(Address::Tcp { host: h.into(), port: p.parse().map_err(|_| "p")? })
    }
}
#[derive(Debug)]
pub(crate) struct Bound(std::net::TcpListener);
pub(crate) async fn bind(a: &Address, _l: usize) -> io::Result<Vec<Bound>> {
    let Address::Tcp { host, port } = a;
    let l = std::net::TcpListener::bind((host.as_str(), *port))?;
    l.set_nonblocking(true)?;
    Ok(vec![Bound(l)])
}
impl Bound {
    pub(crate) fn local_addr(&self) -> PeerAddr {
        PeerAddr::Tcp(self.0.local_addr().unwrap())
    }
    pub(crate) fn into_listener(self) -> io::Result<Listener> {
        Ok(Listener(tokio::net::TcpListener::from_std(self.0)?))
    }
}
pub(crate) struct Listener(tokio::net::TcpListener);
impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(RawIo, PeerAddr)> {
        let (s, a) = self.0.accept().await?;
        Ok((super::io::accepted_tcp(s), PeerAddr::Tcp(a)))
    }
}
pub(crate) struct AcceptBackoff;
impl AcceptBackoff {
    pub(crate) fn new() -> Self {
        Self
    }
    pub(crate) fn on_error(&mut self, _: &io::Error) -> Duration {
        Duration::from_millis(5)
    }
    pub(crate) fn on_success(&mut self) {}
}
