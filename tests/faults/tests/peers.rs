//! The raw peers against each other: a fault test is only as good as the peer that plays it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, RawClient, RawConnection, RawServer, reason};

async fn pair() -> (RawClient, RawConnection) {
    let server = RawServer::bind().await;
    let (client, connection) = tokio::join!(RawClient::connect(server.address()), server.accept());
    (client, connection)
}

#[tokio::test]
async fn a_unary_call_goes_through() {
    let (mut client, mut server) = pair().await;
    let stream = client.call("/a.B/C").await;
    client.last_message(stream, &[7; 40_000]).await;
    let (request, messages) = server.whole_request().await;
    assert_eq!(request.fields.get(":path"), Some("/a.B/C"));
    assert_eq!(messages, [(0, vec![7; 40_000].into())]);
    server.reply(request.stream, b"yes").await;
    let answer = client.answer(stream).await;
    assert_eq!((answer.http_status(), answer.grpc_status()), (Some("200"), Some("0")));
    assert_eq!(answer.messages(), [(0, "yes".into())]);
    assert!(!answer.is_trailers_only());
}

#[tokio::test]
async fn header_blocks_may_be_larger_than_a_frame() {
    let (mut client, mut server) = pair().await;
    client.call_with(&Fields::grpc_request("/a.B/C").with("long", vec![b'x'; 40_000])).await;
    assert_eq!(server.request().await.fields.get("long").map(str::len), Some(40_000));
}

#[tokio::test]
async fn waits_keep_what_they_pass_over() {
    let (mut client, mut server) = pair().await;
    let (one, two) = (client.call("/a.B/C").await, client.call("/a.B/D").await);
    for stream in [two, one] {
        assert_eq!(server.request().await.stream, 4 - stream);
    }
    server.trailers_only(one, 5, "no").await;
    server.rst(two, reason::REFUSED_STREAM).await;
    server.goaway(one, reason::NO_ERROR, "bye").await;
    assert_eq!(client.wait_goaway().await, (one, reason::NO_ERROR, "bye".into()));
    assert_eq!(client.answer(two).await.reset, Some(reason::REFUSED_STREAM));
    let answer = client.answer(one).await;
    assert!(answer.is_trailers_only());
    assert_eq!((answer.grpc_status(), answer.grpc_message()), (Some("5"), "no"));
}

#[tokio::test]
async fn settings_and_pings_are_acknowledged_while_waiting() {
    let (mut client, mut server) = pair().await;
    client.ping(b"12345678").await;
    client.settings(&[(setting::MAX_FRAME_SIZE, 20_000)]).await;
    client.call("/a.B/C").await;
    server.request().await;
    client.wait("PING ACK", |event| *event == Event::PingAck(*b"12345678")).await;
    client.wait("SETTINGS ACK", |event| *event == Event::SettingsAck).await;
}

#[tokio::test]
async fn the_end_is_an_event_and_sending_after_it_is_harmless() {
    let (mut client, mut server) = pair().await;
    client.shut_down().await;
    assert!(server.wait_closed().await);
    drop(client);
    for _ in 0..3 {
        server.send(Frame::priority(1)).await;
    }
}

#[tokio::test]
#[should_panic(expected = "no RST_STREAM 1 within")]
async fn a_wait_in_vain_shows_the_transcript() {
    let (mut client, mut server) = pair().await;
    client.patience = std::time::Duration::from_millis(10);
    server.headers(1).await;
    client.wait_reset(1).await;
}
