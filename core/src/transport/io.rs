//! Byte streams a connection runs on: TCP, Unix sockets, in-process pipes and the caller's own, plain or under TLS.
//!
//! [`RawIo`] is the stream as the system gives it, [`Io`] the same with or without TLS. Both are plain enums: one
//! predictable branch instead of a virtual call for every read and write, and one type for everything above.
//!
//! On Linux and Android writes use `sendmsg(MSG_NOSIGNAL)`. The standard library does so only for `write` on TCP;
//! `write_vectored`, which the HTTP/2 layer prefers, would raise `SIGPIPE` and kill a C or Swift host that has left the
//! signal at its default.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::{client, server};

use super::custom::Custom;
use super::sniff::Begun;
use super::tls::TlsIdentity;

/// The address of the other end of a connection.
///
/// `Display` writes it in the gRPC form: `ipv4:192.0.2.1:5000`, `ipv6:[::1]:5000`, `unix:/run/app.sock`, `inprocess`,
/// `custom`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddr {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A peer on a Unix socket; most clients have no path of their own.
    Unix(Option<PathBuf>),
    /// The other end is in this process.
    InProcess,
    /// The connection runs on a byte stream that the program made itself.
    Custom,
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(SocketAddr::V4(address)) => write!(f, "ipv4:{address}"),
            Self::Tcp(SocketAddr::V6(address)) => write!(f, "ipv6:{address}"),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
            Self::InProcess => f.write_str("inprocess"),
            Self::Custom => f.write_str("custom"),
        }
    }
}

/// A byte stream without TLS.
#[derive(Debug)]
pub(crate) enum RawIo {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A Unix socket, with a path or abstract.
    #[cfg(unix)]
    Unix(UnixStream),
    /// One end of a pipe in memory.
    Duplex(DuplexStream),
    /// Of a type that the engine does not know.
    Custom(Custom),
}

impl RawIo {
    /// The other end's address. A TCP peer that has already gone away is reported as `0.0.0.0:0`.
    pub(crate) fn peer_addr(&self) -> PeerAddr {
        match self {
            Self::Tcp(stream) => {
                PeerAddr::Tcp(stream.peer_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                let path = stream.peer_addr().ok().and_then(|a| a.as_pathname().map(Path::to_path_buf));
                PeerAddr::Unix(path)
            }
            Self::Duplex(_) => PeerAddr::InProcess,
            Self::Custom(_) => PeerAddr::Custom,
        }
    }

    /// Ends the connection when sent data stays unacknowledged for `timeout`, or the peer has no room for it for so long
    /// (TCP_USER_TIMEOUT, gRFC A18). Zero leaves it to the system.
    ///
    /// Does nothing where the system has no such option, and for anything but TCP.
    pub(crate) fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Self::Tcp(stream) = self {
            let timeout = (timeout > Duration::ZERO).then_some(timeout);
            return socket2::SockRef::from(stream).set_tcp_user_timeout(timeout);
        }
        let _ = timeout;
        Ok(())
    }
}

impl From<TcpStream> for RawIo {
    fn from(stream: TcpStream) -> Self {
        no_sigpipe(socket2::SockRef::from(&stream));
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for RawIo {
    fn from(stream: UnixStream) -> Self {
        no_sigpipe(socket2::SockRef::from(&stream));
        Self::Unix(stream)
    }
}

/// Apple's systems have no flag for one write, but an option of the socket, which accepted ones do not inherit.
fn no_sigpipe(socket: socket2::SockRef<'_>) {
    // Like the option to send without delay, it fails only on a connection that is already dead.
    #[cfg(target_vendor = "apple")]
    let _ = socket.set_nosigpipe(true);
    #[cfg(not(target_vendor = "apple"))]
    let _ = socket;
}

impl From<DuplexStream> for RawIo {
    fn from(stream: DuplexStream) -> Self {
        Self::Duplex(stream)
    }
}

/// How long sent data may stay unacknowledged where no keepalive says otherwise. A peer that vanished is then noticed
/// in this time and not in the system's quarter of an hour.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects to one TCP address; see [`accepted_tcp`].
///
/// Sets no time limit: the caller owns the deadline of the whole attempt, TLS included.
pub(crate) async fn connect_tcp(address: SocketAddr) -> io::Result<RawIo> {
    Ok(accepted_tcp(TcpStream::connect(address).await?))
}

/// Prepares a TCP connection that was accepted elsewhere: Nagle's algorithm off, [`USER_TIMEOUT`] on.
pub(crate) fn accepted_tcp(stream: TcpStream) -> RawIo {
    // They fail only on a connection that is already dead; the first read or write will say so better.
    let _ = stream.set_nodelay(true);
    let raw = RawIo::from(stream);
    let _ = raw.set_user_timeout(USER_TIMEOUT);
    raw
}

/// Connects to a Unix socket. On Linux a path that starts with a NUL byte is a name in the abstract namespace.
#[cfg(unix)]
pub(crate) async fn connect_unix(path: &Path) -> io::Result<RawIo> {
    UnixStream::connect(path).await.map(RawIo::from)
}

/// Unix sockets are not supported on this system.
#[cfg(not(unix))]
pub(crate) async fn connect_unix(_path: &Path) -> io::Result<RawIo> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Unix sockets are not supported on this system"))
}

/// Calls `$method` on the pinned stream inside the enum.
macro_rules! delegate {
    ($self:expr, [$($variant:path),+], $stream:ident => $body:expr) => {
        match $self.get_mut() {
            $($variant($stream) => { let $stream = Pin::new($stream); $body })+
        }
    };
}

impl AsyncRead for RawIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Duplex(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Custom(stream) => stream.pin().poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for RawIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => unix_write(stream, cx, buf),
            Self::Duplex(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Custom(stream) => stream.pin().poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => tcp_write_vectored(stream, cx, bufs),
            #[cfg(unix)]
            Self::Unix(stream) => unix_write_vectored(stream, cx, bufs),
            Self::Duplex(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Custom(stream) => stream.pin().poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            #[cfg(unix)]
            Self::Unix(_) => true,
            Self::Duplex(stream) => stream.is_write_vectored(),
            Self::Custom(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Duplex(stream) => Pin::new(stream).poll_flush(cx),
            Self::Custom(stream) => stream.pin().poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Duplex(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Custom(stream) => stream.pin().poll_shutdown(cx),
        }
    }
}

/// Writes that cannot raise `SIGPIPE`.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod quiet {
    use std::io::{self, IoSlice};
    use std::task::{Context, Poll, ready};

    use socket2::SockRef;
    use tokio::io::Interest;
    use tokio::net::{TcpStream, UnixStream};

    /// `MSG_NOSIGNAL`, the same number on every architecture Linux runs on.
    const NO_SIGNAL: i32 = 0x4000;

    /// The two calls a write needs of a stream that is registered with the reactor.
    pub(super) trait Socket {
        fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
        fn attempt(&self, write: impl FnOnce(SockRef<'_>) -> io::Result<usize>) -> io::Result<usize>;
    }

    macro_rules! socket {
        ($type:ty) => {
            impl Socket for $type {
                fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    self.poll_write_ready(cx)
                }

                fn attempt(&self, write: impl FnOnce(SockRef<'_>) -> io::Result<usize>) -> io::Result<usize> {
                    self.try_io(Interest::WRITABLE, || write(SockRef::from(self)))
                }
            }
        };
    }
    socket!(TcpStream);
    socket!(UnixStream);

    /// `try_io` forgets the readiness when the system says "would block", so the loop ends in `Pending`.
    fn poll(
        socket: &impl Socket,
        cx: &mut Context<'_>,
        write: impl Fn(SockRef<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(socket.poll_ready(cx))?;
            match socket.attempt(&write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    pub(super) fn write(socket: &impl Socket, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        poll(socket, cx, |raw| raw.send_with_flags(buf, NO_SIGNAL))
    }

    pub(super) fn write_vectored(
        socket: &impl Socket,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll(socket, cx, |raw| raw.send_vectored_with_flags(bufs, NO_SIGNAL))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn tcp_write_vectored(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    quiet::write_vectored(stream, cx, bufs)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn unix_write(stream: &mut UnixStream, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    quiet::write(stream, cx, buf)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn unix_write_vectored(
    stream: &mut UnixStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    quiet::write_vectored(stream, cx, bufs)
}

// Apple's sockets carry an option instead, see `no_sigpipe`, and Windows has no such signal.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn tcp_write_vectored(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write_vectored(cx, bufs)
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn unix_write(stream: &mut UnixStream, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(cx, buf)
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn unix_write_vectored(
    stream: &mut UnixStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write_vectored(cx, bufs)
}

/// A byte stream as the HTTP/2 layer sees it: plain, or the inside of a TLS session.
#[derive(Debug)]
pub(crate) enum Io {
    /// No TLS.
    Plain(RawIo),
    /// We are the TLS client. Boxed: a session is about a kilobyte, and most connections in a process are of one kind.
    TlsClient(Box<client::TlsStream<RawIo>>),
    /// We are the TLS server.
    TlsServer(Box<server::TlsStream<RawIo>>),
    /// Something was read of it before.
    Begun(Box<Begun>),
}

impl Io {
    /// The stream below TLS.
    pub(crate) fn raw(&self) -> &RawIo {
        match self {
            Self::Plain(stream) => stream,
            Self::TlsClient(stream) => stream.get_ref().0,
            Self::TlsServer(stream) => stream.get_ref().0,
            Self::Begun(stream) => stream.io.raw(),
        }
    }

    /// The other end's address; see [`RawIo::peer_addr`].
    pub(crate) fn peer_addr(&self) -> PeerAddr {
        self.raw().peer_addr()
    }

    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::TlsClient(_) | Self::TlsServer(_) => true,
            Self::Begun(stream) => stream.io.is_tls(),
        }
    }

    /// The protocol that TLS agreed upon.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::TlsClient(stream) => stream.get_ref().1.alpn_protocol(),
            Self::TlsServer(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Begun(stream) => stream.io.alpn(),
        }
    }

    /// The peer's certificates. `None` without TLS and for a client that showed none.
    pub(crate) fn tls_identity(&self) -> Option<TlsIdentity> {
        let certificates = match self {
            Self::Plain(_) => None,
            Self::TlsClient(stream) => stream.get_ref().1.peer_certificates(),
            Self::TlsServer(stream) => stream.get_ref().1.peer_certificates(),
            Self::Begun(stream) => return stream.io.tls_identity(),
        };
        certificates.and_then(TlsIdentity::from_chain)
    }
}

impl<T: Into<RawIo>> From<T> for Io {
    fn from(stream: T) -> Self {
        Self::Plain(stream.into())
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, [Self::Plain, Self::TlsClient, Self::TlsServer, Self::Begun], s => s.poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, [Self::Plain, Self::TlsClient, Self::TlsServer, Self::Begun], s => s.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, [Self::Plain, Self::TlsClient, Self::TlsServer, Self::Begun], s => s.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::TlsClient(stream) => stream.is_write_vectored(),
            Self::TlsServer(stream) => stream.is_write_vectored(),
            Self::Begun(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, [Self::Plain, Self::TlsClient, Self::TlsServer, Self::Begun], s => s.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, [Self::Plain, Self::TlsClient, Self::TlsServer, Self::Begun], s => s.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn tcp_pair() -> (RawIo, RawIo) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(connect_tcp(address), listener.accept());
        (client.unwrap(), accepted_tcp(server.unwrap().0))
    }

    #[test]
    fn addresses_are_written_in_the_grpc_form() {
        let tcp = |text: &str| PeerAddr::Tcp(text.parse().unwrap()).to_string();
        assert_eq!(tcp("192.0.2.1:5000"), "ipv4:192.0.2.1:5000");
        assert_eq!(tcp("[::1]:5000"), "ipv6:[::1]:5000");
        assert_eq!(PeerAddr::Unix(Some("/run/a.sock".into())).to_string(), "unix:/run/a.sock");
        assert_eq!(PeerAddr::Unix(None).to_string(), "unix:");
        assert_eq!(PeerAddr::InProcess.to_string(), "inprocess");
        assert_eq!(PeerAddr::Custom.to_string(), "custom");
    }

    #[tokio::test]
    async fn tcp_connections_have_no_delay_and_know_their_peer() {
        let (client, server) = tcp_pair().await;
        let RawIo::Tcp(stream) = &client else { panic!("not TCP") };
        assert!(stream.nodelay().unwrap());
        assert_eq!(server.peer_addr(), PeerAddr::Tcp(stream.local_addr().unwrap()));
        assert!(client.is_write_vectored());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_user_timeout_reaches_the_socket() {
        fn set(raw: &RawIo) -> Option<Duration> {
            let RawIo::Tcp(stream) = raw else { panic!("not TCP") };
            socket2::SockRef::from(stream).tcp_user_timeout().unwrap()
        }
        let (client, server) = tcp_pair().await;
        assert_eq!((set(&client), set(&server)), (Some(USER_TIMEOUT), Some(USER_TIMEOUT)));
        client.set_user_timeout(Duration::from_secs(7)).unwrap();
        assert_eq!(set(&client), Some(Duration::from_secs(7)));
    }

    /// Writes more than the socket holds, so the write has to wait for the reader at least once.
    async fn copies_everything(writer: RawIo, mut reader: RawIo) {
        let sent: Vec<u8> = (0..4_000_000_u32).map(|n| n as u8).collect();
        let expected = sent.clone();
        let mut writer = Io::from(writer);
        let write = async move {
            let mut at = 0;
            while at < sent.len() {
                let middle = (at + 5).min(sent.len());
                let bufs = [IoSlice::new(&sent[at..middle]), IoSlice::new(&sent[middle..])];
                at += writer.write_vectored(&bufs).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(write, reader.read_to_end(&mut received));
        read.unwrap();
        assert!(received == expected);
    }

    #[tokio::test]
    async fn tcp_carries_vectored_writes() {
        let (client, server) = tcp_pair().await;
        copies_everything(client, server).await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn unix_sockets_carry_vectored_writes() {
        let (client, server) = UnixStream::pair().unwrap();
        copies_everything(client.into(), server.into()).await;
    }

    #[tokio::test]
    async fn pipes_carry_vectored_writes() {
        let (client, server) = tokio::io::duplex(1024);
        assert_eq!(RawIo::from(client).peer_addr(), PeerAddr::InProcess);
        drop(server);
        let (client, server) = tokio::io::duplex(64 * 1024);
        copies_everything(client.into(), server.into()).await;
    }

    #[tokio::test]
    async fn a_write_to_a_closed_peer_is_an_error() {
        let (client, server) = tcp_pair().await;
        drop(server);
        let mut client = Io::from(client);
        let error = loop {
            let bufs = [IoSlice::new(b"a"), IoSlice::new(b"b")];
            match client.write_vectored(&bufs).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error:?}");
    }
}
