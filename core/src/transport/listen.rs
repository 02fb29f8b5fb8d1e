//! Listening sockets: where a server is to be reached, and how it goes on when accepting fails.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::time::Instant;

use self::host::HostPort;
use super::io::{PeerAddr, RawIo, accepted_tcp};

pub(crate) mod host;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;

/// Connections the system may hold until they are accepted.
const BACKLOG: i32 = 1024;

/// Where a server listens.
///
/// `Display` writes what `FromStr` takes: `0.0.0.0:50051`, `[::]:0`, `localhost:50051`, `unix:/run/app.sock`, and on
/// Linux `unix-abstract:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A host name or IP address, without brackets, and a port; 0 lets the system choose.
    Tcp { host: String, port: u16 },
    /// The path of a Unix socket. One that begins with NUL is an abstract name.
    Unix(PathBuf),
}

/// Text that is no [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let fail = |problem: &str| Err(AddressError(format!("the address {text:?} {problem}")));
        if let Some(name) = text.strip_prefix("unix-abstract:") {
            return match name {
                "" => fail("has no name"),
                name => Ok(Self::Unix(format!("\0{name}").into())),
            };
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = match path.strip_prefix("//") {
                Some(absolute) if absolute.starts_with('/') => absolute,
                Some(_) => return fail("has no absolute path behind unix://; write unix:/path"),
                None => path,
            };
            return match path {
                "" => fail("has no path; write unix:/path"),
                path if path.contains('\0') => fail("has a NUL byte in the path"),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let rest = rest.trim_matches('/');
            return fail(&format!("has a scheme ({scheme}) that servers do not take; write {rest:?}"));
        }
        if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
            return fail(&format!("has no host; write \"[::]:{port}\" to listen on every interface"));
        }
        match HostPort::parse(text) {
            Ok(HostPort { host, port: Some(port) }) => Ok(Self::Tcp { host: host.to_owned(), port }),
            Ok(_) => fail("has no port; write \"host:port\", with port 0 for any"),
            Err(problem) => fail(&problem),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => {
                let path = path.to_string_lossy();
                match path.strip_prefix('\0') {
                    Some(name) => write!(f, "unix-abstract:{name}"),
                    None => write!(f, "unix:{path}"),
                }
            }
        }
    }
}

/// Listens on `address`, with one socket per lane.
///
/// On Linux the sockets are independent and the system spreads connections over them (`SO_REUSEPORT`); elsewhere, and on
/// Unix sockets, they are handles to one. A host name is resolved, and its first address that can be bound is taken. With
/// `share_port` other processes may listen on the port, too.
///
/// # Errors
/// Name the address, among them an address that is in use: also, without `share_port`, by a socket that would share it.
pub(crate) async fn bind(address: &Address, lanes: usize, share_port: bool) -> io::Result<Vec<Bound>> {
    let result = match address {
        Address::Tcp { host, port } => bind_host(host, *port, lanes, share_port).await,
        Address::Unix(path) => bind_unix(path, lanes),
    };
    result.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

async fn bind_host(host: &str, port: u16, lanes: usize, share_port: bool) -> io::Result<Vec<Bound>> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match bind_tcp(address, lanes, share_port) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Whether several sockets on one port share its connections evenly.
const BALANCES: bool = cfg!(any(target_os = "linux", target_os = "android"));

fn bind_tcp(address: SocketAddr, lanes: usize, share_port: bool) -> io::Result<Vec<Bound>> {
    if lanes <= 1 || !BALANCES {
        let first = Bound::Tcp(listen_tcp(address, share_port)?);
        return clones(first, lanes);
    }
    if address.port() != 0 && !share_port {
        // Sockets that share a port never complain of each other. This one does, of a server that runs already.
        drop(listen_tcp(address, false)?);
    }
    let first = listen_tcp(address, true)?;
    let address = first.local_addr()?;
    let mut sockets = vec![Bound::Tcp(first)];
    for _ in 1..lanes {
        sockets.push(Bound::Tcp(listen_tcp(address, true)?));
    }
    Ok(sockets)
}

fn listen_tcp(address: SocketAddr, share_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Elsewhere it means that a server can be restarted at once; on Windows, that its port can be stolen.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if share_port {
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        #[cfg(not(unix))]
        return Err(io::Error::new(io::ErrorKind::Unsupported, "ports cannot be shared on this system"));
    }
    if address.is_ipv6() && address.ip().is_unspecified() {
        // "[::]" means every address, IPv4 too, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// `first` and as many more handles to it as make `lanes`.
fn clones(first: Bound, lanes: usize) -> io::Result<Vec<Bound>> {
    let mut sockets = vec![first];
    while sockets.len() < lanes {
        let next = sockets[0].try_clone()?;
        sockets.push(next);
    }
    Ok(sockets)
}

#[cfg(unix)]
fn bind_unix(path: &std::path::Path, lanes: usize) -> io::Result<Vec<Bound>> {
    clones(Bound::Unix(unix::UnixSocket::bind(path)?), lanes)
}

#[cfg(not(unix))]
fn bind_unix(_path: &std::path::Path, _lanes: usize) -> io::Result<Vec<Bound>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Unix sockets are not supported on this system"))
}

/// A socket that listens and belongs to no runtime yet: connections queue in the system.
///
/// The file of a Unix socket is removed when the last handle to it is dropped, if it is still the one made here.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(unix::UnixSocket),
}

impl Bound {
    /// Where it listens, with the port that the system chose.
    pub(crate) fn local_addr(&self) -> PeerAddr {
        match self {
            Self::Tcp(socket) => {
                PeerAddr::Tcp(socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))))
            }
            #[cfg(unix)]
            Self::Unix(socket) => PeerAddr::Unix(Some(socket.path().to_owned())),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    /// Registers it with the runtime this is called in.
    pub(crate) fn into_listener(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => TcpListener::from_std(socket).map(Listener::Tcp),
            #[cfg(unix)]
            Self::Unix(socket) => socket.into_listener().map(Listener::Unix),
        }
    }
}

/// A socket that listens, within a runtime.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::UnixListener),
}

impl Listener {
    /// The next connection and its peer. Cancel safe.
    ///
    /// # Errors
    /// Tell of one connection, or of the process running out of something; the listener goes on. See [`AcceptBackoff`].
    pub(crate) async fn accept(&self) -> io::Result<(RawIo, PeerAddr)> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// See [`accept`](Self::accept).
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(RawIo, PeerAddr)>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Ok((accepted_tcp(stream), PeerAddr::Tcp(address))))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let stream = RawIo::from(ready!(listener.poll_accept(cx))?);
                let address = stream.peer_addr();
                Poll::Ready(Ok((stream, address)))
            }
        }
    }
}

/// What to do when accepting fails: go on, but slower while the process is out of descriptors or memory.
#[derive(Debug, Default)]
pub(crate) struct AcceptBackoff {
    pause: Duration,
    warned_at: Option<Instant>,
}

impl AcceptBackoff {
    const FIRST: Duration = Duration::from_millis(5);
    const MAX: Duration = Duration::from_secs(1);
    /// Failures closer together than this are one trouble, and told once.
    const QUIET: Duration = Duration::from_secs(60);

    /// Nothing has failed.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How long to wait before accepting again: not at all if only one connection failed, else from 5 ms to 1 s.
    pub(crate) fn on_error(&mut self, error: &io::Error) -> Duration {
        if is_about_one_connection(error) {
            return Duration::ZERO;
        }
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::MAX);
        let now = Instant::now();
        if self.warned_at.is_none_or(|at| now.saturating_duration_since(at) >= Self::QUIET) {
            self.warned_at = Some(now);
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
        self.pause
    }

    /// A connection was accepted.
    pub(crate) fn on_success(&mut self) {
        self.pause = Duration::ZERO;
    }
}

/// The peer went away between its connect and our accept.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
