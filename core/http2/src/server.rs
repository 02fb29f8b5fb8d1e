//! Connections that we accepted.

use std::fmt;
use std::task::{Context, Poll};

use h2::server::{Builder, Connection};
use h2::{Reason, RecvStream};

use crate::{Duplex, Frame, Handshake, SendStream};

/// A connection of a server, to be polled for requests until it ends.
pub struct ServerConnection(Connection<Box<dyn Duplex>, Frame>);

impl ServerConnection {
    /// Speaks HTTP/2 on `io`; ready when the client's preface came.
    #[must_use]
    pub fn handshake(builder: &Builder, io: Box<dyn Duplex>) -> Handshake<ServerConnection> {
        let handshake = builder.handshake(io);
        Box::pin(async move { handshake.await.map(ServerConnection) })
    }

    /// Reads, writes, and answers with the next request. Ready with `None` when the connection is over.
    #[allow(clippy::type_complexity, reason = "it is h2's")]
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(http::Request<RecvStream>, SendResponse), h2::Error>>> {
        self.0.poll_accept(cx).map_ok(|(request, respond)| (request, SendResponse(respond)))
    }

    /// The way to send pings; `None` after the first time.
    pub fn ping_pong(&mut self) -> Option<h2::PingPong> {
        self.0.ping_pong()
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

    /// Tells the client to open no more streams; those that are open go on.
    pub fn graceful_shutdown(&mut self) {
        self.0.graceful_shutdown();
    }

    /// Whether a stream is open, or has something left to send.
    #[must_use]
    pub fn has_streams(&self) -> bool {
        self.0.has_streams()
    }
}

/// The way to answer one request.
pub struct SendResponse(h2::server::SendResponse<Frame>);

impl SendResponse {
    /// Sends the head. `end`: nothing follows.
    ///
    /// # Errors
    /// The stream is gone, or was answered.
    pub fn send_response(&mut self, head: http::Response<()>, end: bool) -> Result<SendStream, h2::Error> {
        self.0.send_response(head, end).map(SendStream)
    }

    /// Resets the stream.
    pub fn send_reset(&mut self, reason: Reason) {
        self.0.send_reset(reason);
    }

    /// Ready when the client has reset the stream. Only before the head is sent.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.0.poll_reset(cx)
    }

    /// The stream's number.
    #[must_use]
    pub fn stream_id(&self) -> u32 {
        self.0.stream_id().as_u32()
    }
}

impl fmt::Debug for SendResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendResponse").finish_non_exhaustive()
    }
}
