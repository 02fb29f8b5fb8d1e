//! Options that make no sense are refused with their name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use spanwire::{
    Channel, ChannelBuilder, ChannelError, FloodLimits, Keepalive, Rate, ServeError, Server, ServerBuilder,
};

/// The option that a server refuses, and why.
async fn refused(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (&'static str, String) {
    match change(Server::builder()).bind("127.0.0.1:0").await {
        Err(error @ ServeError::Setting { setting, .. }) => (setting, error.to_string()),
        other => panic!("{other:?}"),
    }
}

fn channel_refused(change: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> (&'static str, String) {
    match change(Channel::builder("127.0.0.1:1")).build() {
        Err(error @ ChannelError::Setting { setting, .. }) => (setting, error.to_string()),
        other => panic!("{other:?}"),
    }
}

fn floods(change: impl FnOnce(&mut FloodLimits)) -> FloodLimits {
    let mut limits = FloodLimits::server_default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn a_server_names_the_option_that_makes_no_sense() {
    const NEVER: Duration = Duration::ZERO;
    let silent = Keepalive { timeout: NEVER, ..Keepalive::server_default() };
    let found = [
        refused(|server| server.max_concurrent_streams(0)).await.0,
        refused(|server| server.max_connections(0)).await.0,
        refused(|server| server.max_unfinished_request_bytes((4 << 20) - 1)).await.0,
        refused(|server| server.max_metadata_bytes(0)).await.0,
        refused(|server| server.max_metadata_fields(0)).await.0,
        refused(|server| server.handshake_timeout(NEVER)).await.0,
        refused(|server| server.stall_timeout(Some(NEVER))).await.0,
        refused(|server| server.max_connection_age(NEVER, None)).await.0,
        refused(|server| server.max_connection_idle(NEVER)).await.0,
        refused(|server| server.keepalive(Some(silent))).await.0,
        refused(|server| server.send_buffer_bytes(0)).await.0,
        refused(|server| server.stream_window_bytes(0)).await.0,
        refused(|server| server.connection_window_bytes(65_534)).await.0,
        refused(|server| server.max_stream_window_bytes(1 << 31)).await.0,
        refused(|server| server.flood_limits(floods(|limits| limits.resets = Some(Rate::new(0, 1))))).await.0,
        refused(|server| server.flood_limits(floods(|limits| limits.max_pending_acks = 0))).await.0,
    ];
    let expected = [
        "max_concurrent_streams",
        "max_connections",
        "max_unfinished_request_bytes",
        "max_metadata_bytes",
        "max_metadata_fields",
        "handshake_timeout",
        "stall_timeout",
        "max_connection_age",
        "max_connection_idle",
        "keepalive.timeout",
        "send_buffer_bytes",
        "stream_window_bytes",
        "connection_window_bytes",
        "max_stream_window_bytes",
        "flood_limits.resets",
        "flood_limits.max_pending_acks",
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_error_says_the_value_and_what_to_do() {
    assert_eq!(
        refused(|server| server.stream_window_bytes(2 << 20)).await.1,
        "stream_window_bytes: 2097152 cannot be used: it is above max_stream_window_bytes: raise that too"
    );
    assert_eq!(
        channel_refused(|channel| channel.connection_window_bytes(1000)).1,
        "connection_window_bytes: 1000 cannot be used: HTTP/2 has no connection window below 65535 bytes"
    );
}

#[test]
fn a_channel_names_the_option_that_makes_no_sense() {
    const SECOND: Duration = Duration::from_secs(1);
    let found = [
        channel_refused(|channel| channel.connect_timeout(Duration::ZERO)).0,
        channel_refused(|channel| channel.backoff(2 * SECOND, SECOND)).0,
        channel_refused(|channel| channel.keepalive(Keepalive::new(Duration::ZERO))).0,
        channel_refused(|channel| channel.max_metadata_fields(0)).0,
        channel_refused(|channel| channel.stream_window_bytes(2 << 20)).0,
    ];
    let expected =
        ["connect_timeout", "backoff", "keepalive.interval", "max_metadata_fields", "stream_window_bytes"];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn wide_and_narrow_values_that_make_sense_are_taken() {
    let widest = (1 << 31) - 1;
    let server = Server::builder()
        .stream_window_bytes(widest)
        .max_stream_window_bytes(widest)
        .connection_window_bytes(widest)
        .max_concurrent_streams(u32::MAX)
        .stall_timeout(None)
        .keepalive(None)
        .flood_limits(FloodLimits { resets: None, max_continuations: 0, ..FloodLimits::server_default() });
    server.bind("127.0.0.1:0").await.unwrap();
    Channel::builder("127.0.0.1:1").stream_window_bytes(1).connection_window_bytes(65_535).build().unwrap();
}
