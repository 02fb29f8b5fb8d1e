//! Connections that we opened.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use h2::client::{Builder, Connection, ResponseFuture};

use crate::{Duplex, Frame, Handshake, SendStream};

/// A connection of a client, to be polled until it ends.
pub struct ClientConnection(Connection<Box<dyn Duplex>, Frame>);

impl ClientConnection {
    /// Speaks HTTP/2 on `io`; ready when the preface is handed over.
    #[must_use]
    pub fn handshake(builder: Builder, io: Box<dyn Duplex>) -> Handshake<(SendRequest, ClientConnection)> {
        Box::pin(async move {
            let (send, connection) = builder.handshake(io).await?;
            Ok((SendRequest(send), ClientConnection(connection)))
        })
    }

    /// Reads and writes. Ready when the connection is over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }

    /// The way to send pings; `None` after the first time.
    pub fn ping_pong(&mut self) -> Option<h2::PingPong> {
        self.0.ping_pong()
    }

    /// How many streams the server lets us have open at once.
    #[must_use]
    pub fn max_concurrent_send_streams(&self) -> usize {
        self.0.max_concurrent_send_streams()
    }

    /// The receive window of new streams.
    ///
    /// # Errors
    /// The last change is not acknowledged yet.
    pub fn set_initial_window_size(&mut self, bytes: u32) -> Result<(), h2::Error> {
        self.0.set_initial_window_size(bytes)
    }

    /// The receive window of the connection.
    pub fn set_target_window_size(&mut self, bytes: u32) {
        self.0.set_target_window_size(bytes);
    }
}

/// Opens streams on a [`ClientConnection`].
pub struct SendRequest(h2::client::SendRequest<Frame>);

impl SendRequest {
    /// Opens a stream. `end`: nothing follows the head.
    ///
    /// # Errors
    /// The connection takes no more streams, or not this head.
    pub fn send_request(
        &mut self,
        head: http::Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream), h2::Error> {
        let (response, stream) = self.0.send_request(head, end)?;
        Ok((response, SendStream(stream)))
    }
}

// Written out, because what is derived would be compiled by those who call it.
impl Clone for SendRequest {
    fn clone(&self) -> Self {
        SendRequest(self.0.clone())
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRequest").finish_non_exhaustive()
    }
}
