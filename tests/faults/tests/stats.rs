//! Every limit that is hit shows in the counter of its name, and in no other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{FrozenClock, LONG, TestServer, UNARY, build, raw};
use spanwire::{Channel, FloodLimits, Rate, Raw};
use spanwire_faults::frame::{PREFACE, flag, setting};
use spanwire_faults::{Event, Fields, Frame, RawClient, RawServer, reason};
use std::time::Duration;

const ECHO: &str = "/test.Probe/Echo";
const NEVER: &str = "/test.Probe/Never";

/// The counters of a server that are not 0.
fn hits(server: &TestServer) -> Vec<(&'static str, u64)> {
    server.handle().stats().limits.iter().filter(|(_, count)| *count > 0).collect()
}

/// What one client hits that sends `frames` until the server ends the connection.
async fn hits_of(
    limits: FloodLimits,
    frames: impl FnOnce(&mut RawClient) -> Vec<Frame>,
) -> Vec<(&'static str, u64)> {
    let server = TestServer::with(|server| server.flood_limits(limits)).await;
    let mut client = RawClient::connect(server.address()).await;
    let frames = frames(&mut client);
    client.send_all(&frames).await;
    client.wait_goaway().await;
    hits(&server)
}

fn start(client: &mut RawClient, path: &str) -> (u32, Frame) {
    let stream = client.take_stream();
    (stream, Frame::headers(stream, Fields::grpc_request(path).encode()))
}

#[tokio::test]
async fn floods_are_counted_by_name_and_their_limits_are_options() {
    let narrow = || FloodLimits {
        resets: Some(Rate::new(1, 1)),
        settings: Rate::new(2, 1),
        max_settings_entries: 3,
        control_frames: Rate::new(5, 1),
        max_continuations: 1,
        ..FloodLimits::server_default()
    };
    let resets = |client: &mut RawClient| {
        let mut frames = Vec::new();
        for _ in 0..280 {
            let (stream, headers) = start(client, NEVER);
            frames.extend([headers, Frame::rst(stream, reason::CANCEL)]);
        }
        frames
    };
    assert_eq!(hits_of(narrow(), resets).await, [("resets", 1)]);
    let pings = |_: &mut RawClient| vec![Frame::ping([0; 8]); 4];
    assert_eq!(hits_of(narrow(), pings).await, [("pings", 1)]);
    let settings = |_: &mut RawClient| vec![Frame::settings(&[]); 2];
    assert_eq!(hits_of(narrow(), settings).await, [("settings", 1)]);
    let entries = |_: &mut RawClient| vec![Frame::settings(&[(0xf000, 1); 4])];
    assert_eq!(hits_of(narrow(), entries).await, [("settings_entries", 1)]);
    let unknown = |_: &mut RawClient| vec![Frame::new(0xfa, 0, 0, &b"what?"[..]); 6];
    assert_eq!(hits_of(narrow(), unknown).await, [("control_frames", 1)]);
    let continuations = |client: &mut RawClient| {
        let (stream, headers) = start(client, ECHO);
        let more = Frame::continuation(stream, vec![]).without_flag(flag::END_HEADERS);
        vec![headers.without_flag(flag::END_HEADERS), more.clone(), more]
    };
    assert_eq!(hits_of(narrow(), continuations).await, [("continuations", 1)]);
}

#[tokio::test]
async fn what_http2_ends_by_itself_is_counted() {
    let tiny = FloodLimits { small_data_budget: 50_000, ..FloodLimits::server_default() };
    let data = |client: &mut RawClient| {
        let (stream, headers) = start(client, NEVER);
        let mut frames = vec![headers];
        frames.extend(vec![Frame::data(stream, &b"x"[..]); 1000]);
        frames
    };
    assert_eq!(hits_of(tiny, data).await, [("http2_excess", 1)]);
    let bad = |_: &mut RawClient| vec![Frame::data(0, &b"x"[..])];
    assert_eq!(hits_of(FloodLimits::server_default(), bad).await, [("http2_violations", 1)]);
}

#[tokio::test]
async fn limits_of_calls_are_counted() {
    let server = TestServer::with(|server| server.max_recv_message_bytes(100)).await;
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.unary(ECHO, &[7; 101]).await.grpc_status(), Some("8"));
    assert_eq!(client.unary("/test.Probe/Upload", &[7; 101]).await.grpc_status(), Some("8"));
    assert_eq!(hits(&server), [("message_bytes", 2)]);
    let large = Fields::grpc_request(ECHO).with("x-large", vec![b'a'; 17_000]);
    assert_eq!(client.unary_with(&large, b"").await.grpc_status(), Some("8"));
    let many = (0..130).fold(Fields::grpc_request(ECHO), |fields, _| fields.with("x-many", "1"));
    assert_eq!(client.unary_with(&many, b"").await.grpc_status(), Some("8"));
    let far_beyond = Fields::grpc_request(ECHO).with("x-large", vec![b'a'; 70_000]);
    assert_eq!(client.unary_with(&far_beyond, b"").await.http_status(), Some("431"));
    assert_eq!(hits(&server), [("metadata_bytes", 2), ("metadata_fields", 1), ("message_bytes", 2)]);
}

#[tokio::test]
async fn timeouts_are_counted() {
    let clock = FrozenClock::new();
    let mut server = TestServer::with(|server| server.keepalive(None)).await;
    let mut mute = RawClient::connect_bare(server.address()).await;
    let mut without_settings = RawClient::connect_bare(server.address()).await;
    without_settings.send_bytes(PREFACE).await;
    let mut client = RawClient::connect_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)], 0).await;
    clock.advance(Duration::from_secs(21)).await;
    mute.read_to_end().await;
    without_settings.read_to_end().await;
    assert_eq!(hits(&server), [("handshakes", 2)]);
    let stream = client.call("/test.Probe/Flood").await;
    client.last_message(stream, b"10000").await;
    server.started("Flood").await;
    client.sync().await;
    clock.advance(Duration::from_secs(61)).await;
    client.wait_reset(stream).await;
    assert_eq!(hits(&server), [("stalled_streams", 1), ("handshakes", 2)]);
}

#[tokio::test]
async fn connections_and_calls_are_counted() {
    let mut server = TestServer::with(|server| server.max_connections(2)).await;
    let mut first = RawClient::connect(server.address()).await;
    let mut second = RawClient::connect(server.address()).await;
    for _ in 0..3 {
        first.unary(ECHO, b"hi").await;
    }
    let stream = second.call(NEVER).await;
    second.last_message(stream, b"").await;
    server.started("Never").await;
    let stats = server.handle().stats();
    assert_eq!((stats.connections, stats.total_connections), (2, 2));
    assert_eq!((stats.calls, stats.total_calls), (1, 4));
    // The third connection waits for the end of another.
    let mut third = RawClient::connect_bare(server.address()).await;
    third.send_bytes(PREFACE).await;
    third.settings(&[]).await;
    drop(second);
    third.wait("the server's SETTINGS", |event| matches!(event, Event::Settings(_))).await;
    let stats = server.handle().stats();
    assert_eq!((stats.connections, stats.total_connections), (2, 3));
    assert_eq!((stats.calls, stats.total_calls), (0, 4));
    assert_eq!(hits(&server), [("connection_waits", 1)]);
}

#[tokio::test]
async fn a_channel_counts_what_its_server_does() {
    let server = RawServer::bind().await;
    let limits = FloodLimits { settings: Rate::new(2, 1), ..FloodLimits::client_default() };
    let channel = build(Channel::builder(&server.target()).flood_limits(limits));
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG);
    let play = async {
        let mut connection = server.accept().await;
        connection.request().await;
        assert_eq!(channel.stats().calls, 1);
        connection.send_all(&vec![Frame::settings(&[]); 3]).await;
        connection.wait_goaway().await;
        connection
    };
    let (outcome, _connection) = tokio::join!(call.into_future(), play);
    assert!(outcome.is_err());
    let stats = channel.stats();
    assert_eq!((stats.total_connections, stats.failed_connections, stats.calls), (1, 0, 0));
    assert_eq!(stats.limits.settings, 1);
    drop(server);
    assert!(channel.unary::<Raw, Raw>(&UNARY, raw("")).timeout(LONG).await.is_err());
    assert_eq!(channel.stats().failed_connections, 1);
}

// ---- streams beyond the limit ----

/// A client that sends so many requests at once, before it has read anything; how many of them are refused.
async fn burst(client: &mut RawClient, streams: usize) -> usize {
    let frames: Vec<_> = (0..streams).map(|_| start(client, NEVER).1).collect();
    client.send_all(&frames).await;
    let refused = |event: &Event| matches!(event, Event::Reset { code: reason::REFUSED_STREAM, .. });
    client.sync().await;
    let mut count = 0;
    while client.take_passed(refused).is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn who_cannot_know_the_limit_of_streams_is_refused_and_stays() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect_bare(server.address()).await;
    client.send_bytes(PREFACE).await;
    client.settings(&[]).await;
    assert_eq!(burst(&mut client, 3000).await, 2744);
    assert_eq!(hits(&server), [("refused_streams", 2744)]);
    // Who knows the limit is refused for a while, and then thrown out.
    assert_eq!(burst(&mut client, 900).await, 900);
    let frames: Vec<_> = (0..1000).map(|_| start(&mut client, NEVER).1).collect();
    client.send_all(&frames).await;
    assert_eq!(client.wait_goaway().await.2, "too_many_resets");
    assert_eq!(server.handle().stats().limits.resets, 1);
}
