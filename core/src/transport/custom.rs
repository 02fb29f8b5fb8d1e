//! Byte streams that the caller brings: to connect with, and to serve on.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::io::{RawIo, accepted_tcp};

/// What a connection can run on.
trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A stream of a type that only the caller knows.
pub(crate) struct Custom(Box<dyn ByteStream>);

impl Custom {
    pub(super) fn pin(&mut self) -> Pin<&mut (impl AsyncRead + AsyncWrite + ?Sized + use<>)> {
        Pin::new(&mut *self.0)
    }

    pub(super) fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

/// Takes any stream. Those that the engine knows are taken as such: they keep their address, and writes that raise no
/// signal.
pub(crate) fn raw_io<T>(stream: T) -> RawIo
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    fn take<T: 'static>(stream: &mut dyn Any) -> Option<T> {
        stream.downcast_mut::<Option<T>>().and_then(Option::take)
    }
    let mut stream = Some(stream);
    if let Some(tcp) = take::<TcpStream>(&mut stream) {
        return accepted_tcp(tcp);
    }
    #[cfg(unix)]
    if let Some(unix) = take::<UnixStream>(&mut stream) {
        return unix.into();
    }
    if let Some(pipe) = take::<DuplexStream>(&mut stream) {
        return pipe.into();
    }
    match stream {
        Some(stream) => RawIo::Custom(Custom(Box::new(stream))),
        // Only the branches above take it out.
        None => unreachable!("the stream is of one type"),
    }
}

/// Makes the stream of one connection attempt.
pub(crate) struct Dial(Box<dyn Fn() -> Dialing + Send + Sync>);

type Dialing = Pin<Box<dyn Future<Output = io::Result<RawIo>> + Send>>;

impl Dial {
    pub(crate) fn new<F, Fut, T>(dial: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Dial(Box::new(move || {
            let stream = dial();
            Box::pin(async move { stream.await.map(raw_io) })
        }))
    }

    /// A panic of the caller's code is a failed attempt, so that the next one waits its time.
    pub(crate) async fn dial(&self) -> io::Result<RawIo> {
        let panicked = |_| io::Error::other("the connector panicked");
        let mut dialing = catch_unwind(AssertUnwindSafe(|| (self.0)())).map_err(panicked)?;
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| dialing.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(panic) => Poll::Ready(Err(panicked(panic))),
        })
        .await
    }
}

/// Connections that are accepted elsewhere.
///
/// The lock is never contended: it only makes what is shared between threads of something that need not be.
pub(crate) struct Incoming(Mutex<Pin<Box<dyn Stream<Item = io::Result<RawIo>> + Send>>>);

impl Incoming {
    pub(crate) fn new<S, T>(streams: S) -> Self
    where
        S: Stream<Item = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Incoming(Mutex::new(Box::pin(Known(Box::pin(streams)))))
    }

    /// The next connection. `None`: there will be no more.
    pub(crate) async fn accept(&mut self) -> Option<io::Result<RawIo>> {
        let streams = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| streams.as_mut().poll_next(cx))) {
            Ok(polled) => polled,
            Err(_) => {
                tracing::error!("the stream of connections panicked: no more are accepted from it");
                Poll::Ready(None)
            }
        })
        .await
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Incoming")
    }
}

/// Streams of one type as the engine's own.
struct Known<S>(Pin<Box<S>>);

impl<S, T> Stream for Known<S>
where
    S: Stream<Item = io::Result<T>>,
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Item = io::Result<RawIo>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map(|next| next.map(|stream| stream.map(raw_io)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, Join, join};

    use super::*;
    use crate::PeerAddr;

    fn foreign() -> (Join<impl AsyncRead + use<>, impl AsyncWrite + use<>>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1024);
        let (read, write) = tokio::io::split(ours);
        (join(read, write), theirs)
    }

    #[tokio::test]
    async fn streams_that_are_known_stay_what_they_are() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let RawIo::Tcp(tcp) = raw_io(connected.unwrap()) else { panic!("not TCP") };
        assert!(tcp.nodelay().unwrap());
        assert_eq!(raw_io(accepted.unwrap().0).peer_addr(), PeerAddr::Tcp(tcp.local_addr().unwrap()));
        #[cfg(unix)]
        assert_eq!(raw_io(UnixStream::pair().unwrap().0).peer_addr(), PeerAddr::Unix(None));
        assert_eq!(raw_io(tokio::io::duplex(1).0).peer_addr(), PeerAddr::InProcess);
    }

    #[tokio::test]
    async fn a_stream_of_the_callers_own_type_carries_bytes_both_ways() {
        let (ours, mut theirs) = foreign();
        let mut io = raw_io(ours);
        assert_eq!(io.peer_addr(), PeerAddr::Custom);
        assert_eq!(format!("{io:?}"), "Custom(Custom)");
        io.write_all(b"there").await.unwrap();
        io.flush().await.unwrap();
        let mut read = [0; 5];
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"there");
        theirs.write_all(b"back").await.unwrap();
        io.read_exact(&mut read[..4]).await.unwrap();
        assert_eq!(&read[..4], b"back");
        io.shutdown().await.unwrap();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 0);
    }
}
