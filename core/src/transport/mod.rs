//! Connections: sockets, TLS and HTTP/2, below everything that knows what a call is.
//!
//! This is the only folder that names h2. Above it a stream is [`SendPart`] and [`RecvPart`], or on the server
//! an `Incoming` request: a handful of poll functions that speak of headers, data, trailers and resets.
//! A connection is driven by one task, which takes in everything that was read, lets the calls run, and writes
//! once.

pub(crate) mod client;
pub(crate) mod custom;
pub(crate) mod fetch;
pub(crate) mod foreign;
pub(crate) mod header_list;
mod heart;
pub(crate) mod http1;
pub(crate) mod inprocess;
pub(crate) mod io;
pub(crate) mod limits;
pub(crate) mod linger;
pub(crate) mod listen;
pub(crate) mod outbox;
pub(crate) mod ping;
mod room;
pub(crate) mod server;
mod sniff;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod watch;

pub use io::PeerAddr;
pub use limits::{FloodLimits, Rate};
pub use ping::Keepalive;
pub(crate) use sniff::{Version, sniff};
pub(crate) use stream::{RecvPart, SendPart, StreamEvent, StreamFailure, code_name};
pub use tls::{ClientTls, ServerTls, TlsError, TlsIdentity};

use crate::stats::Counters;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    addr: PeerAddr,
    tls: bool,
    tls_identity: Option<TlsIdentity>,
}

impl Peer {
    pub(crate) fn of(io: &io::Io) -> Self {
        Peer { addr: io.peer_addr(), tls: io.is_tls(), tls_identity: io.tls_identity() }
    }

    /// One that no connection has.
    #[cfg(test)]
    pub(crate) fn made(addr: PeerAddr, tls: bool, tls_identity: Option<TlsIdentity>) -> Self {
        Peer { addr, tls, tls_identity }
    }

    /// The address, as the transport sees it (a proxy's, if there is one between).
    #[must_use]
    pub fn addr(&self) -> &PeerAddr {
        &self.addr
    }

    /// Whether the connection is encrypted with TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The certificates that the peer proved to own; `None` without TLS or without a peer certificate.
    #[must_use]
    pub fn tls_identity(&self) -> Option<&TlsIdentity> {
        self.tls_identity.as_ref()
    }
}

/// Messages up to this size are handed to the connection without asking for room first, when they are the
/// only one of their call: that costs less than waiting would, and is bounded by the number of calls.
pub(crate) const SEND_NOW_BYTES: usize = 16 * 1024;

/// The largest frame that we take, and the most that we hand over at once. A message of 64 KiB and what is around it
/// comes in one piece, is read at once and never copied. Above 80 KiB h2 would count on headers in frames as large, and
/// take fewer CONTINUATION frames than a peer with frames of 16 KiB needs for our metadata limit.
pub(crate) const MAX_FRAME_BYTES: u32 = 72 * 1024;

/// HTTP/2 settings of one side, as plain data.
#[derive(Clone, Debug)]
pub(crate) struct Http2 {
    /// What a stream may have under way before its reader asks for more, at first; grows with the measured
    /// bandwidth-delay product up to `max_stream_window`.
    pub(crate) stream_window: u32,
    /// Upper bound of the grown stream window.
    pub(crate) max_stream_window: u32,
    /// What all streams of a connection together may have under way, at least: see [`connection_window`].
    pub(crate) connection_window: u32,
    /// Largest metadata accepted, in bytes as HTTP/2 counts them (name + value + 32 each).
    pub(crate) max_metadata_bytes: u32,
    /// Bytes that one stream may have queued for sending before its sender waits.
    pub(crate) send_buffer: usize,
    /// Streams that a client may have open at once.
    pub(crate) max_concurrent_streams: u32,
    pub(crate) floods: FloodLimits,
}

impl Default for Http2 {
    fn default() -> Self {
        Http2 {
            stream_window: 512 * 1024,
            max_stream_window: 1 << 20,
            connection_window: 2 << 20,
            max_metadata_bytes: 16 * 1024,
            send_buffer: 64 * 1024,
            max_concurrent_streams: 256,
            floods: FloodLimits::client_default(),
        }
    }
}

/// Counts the end of a connection that h2 brought about for what the peer did.
pub(crate) fn count_end(error: &h2::Error, counters: &Counters) {
    if error.is_go_away() && !error.is_remote() {
        match error.reason() {
            Some(h2::Reason::ENHANCE_YOUR_CALM) => counters.http2_excess.hit(),
            Some(h2::Reason::NO_ERROR) | None => {}
            Some(_) => counters.http2_violations.hit(),
        }
    }
}

/// The connection's window for a stream window: several times as much, so that one stream whose reader pauses
/// does not stop the others.
pub(crate) fn connection_window(stream_window: u32, at_least: u32) -> u32 {
    stream_window.saturating_mul(4).max(at_least).min(limits::MAX_WINDOW)
}

impl Http2 {
    /// The limit given to h2. h2 answers a header list above its limit by itself and without a gRPC status
    /// (a server with HTTP 431, a client with a local reset), so it gets four times ours: up to there the call
    /// is refused by us, with RESOURCE_EXHAUSTED and the name of the limit.
    pub(crate) fn h2_header_list_limit(&self) -> u32 {
        self.max_metadata_bytes.saturating_mul(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connections_window_is_four_of_a_stream_and_never_wider_than_http2_has() {
        assert_eq!(connection_window(1 << 18, 1 << 20), 1 << 20);
        assert_eq!(connection_window(1 << 20, 1 << 20), 4 << 20);
        assert_eq!(connection_window(limits::MAX_WINDOW, 0), limits::MAX_WINDOW);
    }
}
