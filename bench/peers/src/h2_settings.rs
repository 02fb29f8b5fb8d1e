//! The settings of HTTP/2 on both sides, and the flow control that h2 leaves to its users.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use spanwire_bench_load::Error;

/// The receive windows that hyper, and so tonic's server, has.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// The settings of a server.
#[must_use]
pub fn server() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// The settings of a client.
#[must_use]
pub fn client() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(1_000_000);
    builder
}

/// The next piece of a body; its flow control is given back at once.
///
/// # Errors
/// The stream or the connection failed.
pub async fn next_data(body: &mut RecvStream) -> Result<Option<Bytes>, Error> {
    let Some(data) = body.data().await.transpose()? else { return Ok(None) };
    body.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

/// Sends all of `data`, as fast as the peer's windows allow.
///
/// # Errors
/// The stream or the connection failed.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let mut room = stream.capacity();
        if room == 0 {
            room = poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or("the stream is over")??;
        }
        stream.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}
