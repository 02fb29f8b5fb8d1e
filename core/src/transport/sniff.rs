//! Which version of HTTP a client speaks, for servers that know two of them on one port.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::io::Io;
use super::tls::{ALPN_H2, ALPN_HTTP1};

/// What HTTP/2 begins with, as far as nothing of HTTP/1.1 does: `PRI` is no method there and will not become one.
const PREFACE: &[u8] = b"PRI ";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Finds out: by what TLS agreed upon, and without TLS by the first bytes, which are there to be read again.
pub(crate) async fn sniff(mut io: Io) -> io::Result<(Io, Version)> {
    if io.is_tls() {
        // A client that names no protocol may speak the one that came first.
        let version = if io.alpn() == Some(ALPN_H2) { Version::Http2 } else { Version::Http1 };
        debug_assert!(version == Version::Http2 || io.alpn().is_none_or(|alpn| alpn == ALPN_HTTP1));
        return Ok((io, version));
    }
    let mut first = [0; PREFACE.len()];
    let mut have = 0;
    while have < PREFACE.len() && PREFACE.starts_with(&first[..have]) {
        match io.read(&mut first[have..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => have += read,
        }
    }
    let version = if first == PREFACE { Version::Http2 } else { Version::Http1 };
    let first = Bytes::copy_from_slice(&first[..have]);
    Ok((Io::Begun(Box::new(Begun { first, io })), version))
}

/// A stream of which something was read already.
#[derive(Debug)]
pub(crate) struct Begun {
    first: Bytes,
    pub(super) io: Io,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let len = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..len]);
        self.first.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    async fn sniffed(pieces: &[&[u8]]) -> io::Result<(Version, Vec<u8>)> {
        let (mut client, server) = duplex(64);
        let sniffing = tokio::spawn(sniff(Io::from(server)));
        for piece in pieces {
            client.write_all(piece).await?;
            tokio::task::yield_now().await;
        }
        drop(client);
        let (mut io, version) = sniffing.await??;
        let mut all = Vec::new();
        io.read_to_end(&mut all).await?;
        Ok((version, all))
    }

    #[tokio::test]
    async fn the_first_bytes_tell_and_are_read_again() {
        for (version, pieces) in [
            (Version::Http2, &[&b"PRI * HTTP/2.0\r\n\r\nSM"[..]][..]),
            (Version::Http2, &[b"P", b"R", b"I", b" * HTTP/2.0"]),
            (Version::Http1, &[b"P", b"O", b"ST / HTTP/1.1"]),
            (Version::Http1, &[b"PRIX / HTTP/1.1"]),
            (Version::Http1, &[b"\0"]),
        ] {
            assert_eq!(sniffed(pieces).await.unwrap(), (version, pieces.concat()));
        }
        assert_eq!(sniffed(&[b"PR"]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
