//! Listening on Unix sockets, whose files outlive those who made them.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixStream;

use super::BACKLOG;

/// The file that listening made. Dropped with the last socket, it removes the file, unless that is another by now: a new
/// server may have taken the path over.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode; `None` for an abstract name, which has no file.
    identity: Option<(u64, u64)>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = |now: Metadata| Some((now.dev(), now.ino())) == self.identity;
        if self.identity.is_some() && fs::symlink_metadata(&self.path).is_ok_and(same) {
            // Nothing can be done about a failure, and the next server removes what is stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A Unix socket that listens, outside of any runtime.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    socket: net::UnixListener,
    file: Arc<SocketFile>,
}

impl UnixSocket {
    /// Listens on `path`. A file left by a server that is gone is replaced.
    ///
    /// # Errors
    /// Someone listens there (`AddrInUse`), or the file is no socket: it is left alone.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let is_abstract = path.as_os_str().as_encoded_bytes().first() == Some(&0);
        if !is_abstract {
            remove_if_stale(path, &address)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&address)?;
        let identity = if is_abstract {
            None
        } else {
            fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
        };
        let file = Arc::new(SocketFile { path: path.to_owned(), identity });
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: OwnedFd::from(socket).into(), file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, file: self.file.clone() })
    }

    pub(crate) fn into_listener(self) -> io::Result<UnixListener> {
        Ok(UnixListener { listener: tokio::net::UnixListener::from_std(self.socket)?, _file: self.file })
    }
}

/// A Unix socket that listens, within a runtime.
#[derive(Debug)]
pub(crate) struct UnixListener {
    listener: tokio::net::UnixListener,
    _file: Arc<SocketFile>,
}

impl UnixListener {
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok(stream))
    }
}

fn remove_if_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is in the way"));
    }
    if is_served(address)? {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there"));
    }
    fs::remove_file(path)
}

/// Asks by connecting, without waiting: a full queue is somebody's, a refusal is nobody's.
fn is_served(address: &SockAddr) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            io::ErrorKind::WouldBlock => Ok(true),
            _ => Err(error),
        },
    }
}
