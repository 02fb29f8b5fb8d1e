//! Questions on sockets: datagrams, and streams for answers that are too long for those.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::lookup::{Answer, By, Lookup, Step};

/// Room for a datagram. We ask for none above 512 bytes.
const DATAGRAM_BYTES: usize = 4096;

/// Asks until there is an answer, or nobody has one. `patience` is for each question.
pub(super) async fn run(
    mut lookup: Lookup,
    servers: &[SocketAddr],
    patience: Duration,
) -> Result<Answer, String> {
    let mut step = lookup.begin();
    loop {
        let (server, by) = match step {
            Step::Ask { server, by } => (servers[server], by),
            Step::Done(result) => return result,
        };
        step = match timeout(patience, ask(&mut lookup, server, by)).await {
            Ok(Ok(step)) => step,
            Ok(Err(error)) => lookup.failed(&format!("the DNS server {server}: {error}")),
            Err(_) => lookup.failed(&format!("the DNS server {server} did not answer within {patience:?}")),
        };
    }
}

async fn ask(lookup: &mut Lookup, server: SocketAddr, by: By) -> io::Result<Step> {
    match by {
        By::Datagram => ask_by_datagram(lookup, server).await,
        By::Stream => ask_by_stream(lookup, server).await,
    }
}

async fn ask_by_datagram(lookup: &mut Lookup, server: SocketAddr) -> io::Result<Step> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // Others than the server are not heard then.
    socket.connect(server).await?;
    socket.send(lookup.query()).await?;
    let mut datagram = vec![0; DATAGRAM_BYTES];
    loop {
        let length = socket.recv(&mut datagram).await?;
        if let Some(step) = lookup.heard(&datagram[..length]) {
            return Ok(step);
        }
    }
}

async fn ask_by_stream(lookup: &mut Lookup, server: SocketAddr) -> io::Result<Step> {
    let mut stream = TcpStream::connect(server).await?;
    // A query has far less than 64 KiB.
    let length = lookup.query().len() as u16;
    stream.write_all(&[&length.to_be_bytes(), lookup.query()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    lookup.heard(&answer).ok_or_else(|| io::Error::other("it answers another question"))
}
