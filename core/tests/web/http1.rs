//! Calls over HTTP/1.1.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::*;

const OK: &str = "grpc-status: 0\r\n";

#[tokio::test(start_paused = true)]
async fn calls_follow_each_other_on_one_connection() {
    let served = serve();
    let mut client = served.client().await;
    for text in ["one", "two", ""] {
        let answer = client.call("/test.Echo/Echo", &[], &frame(text.as_bytes())).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
        assert_eq!(answer.messages(), (vec![text.as_bytes().to_vec()], OK.to_owned()));
    }
    let stats = served.handle.stats();
    assert_eq!((stats.total_connections, stats.total_calls), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn server_streaming_sends_each_message_when_it_is_there() {
    let served = serve();
    let mut client = served.client().await;
    let answer = client.call("/test.Echo/Repeat", &[], &frame(b"abc")).await;
    assert_eq!(answer.messages(), (vec![b"abc".to_vec(); 3], OK.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn requests_are_streams_too() {
    let served = serve();
    let mut client = served.client().await;
    let body = [frame(b"a"), frame(b""), frame(b"bc")].concat();
    let answer = client.call("/test.Echo/Join", &[], &body).await;
    assert_eq!(answer.messages(), (vec![b"abc".to_vec()], OK.to_owned()));

    // Each message is answered while the request goes on.
    client.send(format!("{}Transfer-Encoding: chunked\r\n\r\n", head("/test.Echo/Chat", &[]))).await;
    for (index, text) in ["first", "second"].into_iter().enumerate() {
        let message = frame(text.as_bytes());
        client.send(format!("{:x}\r\n", message.len())).await;
        client.send([&message, &b"\r\n"[..]].concat()).await;
        if index == 0 {
            assert_eq!(client.head().await.unwrap().header("chat-header"), Some("first"));
        }
        assert_eq!(client.chunk().await.unwrap(), message);
    }
    client.send("0\r\n\r\n").await;
    let trailers = client.chunk().await.unwrap();
    assert_eq!(frames(&trailers), [(0x80, b"grpc-status: 0\r\nchat-trailer: last\r\n".to_vec())]);
    assert_eq!(client.chunk().await.unwrap(), b"");
}

// Wire checklist line 51.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_at_once_has_its_status_in_the_headers() {
    let served = serve();
    let mut client = served.client().await;
    let answer = client.call("/test.Echo/Fail", &[], &frame(b"no:\xc3\xa4")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(answer.header("grpc-status"), Some("9"));
    assert_eq!(answer.header("grpc-message"), Some("no:%C3%A4"));
    assert!(answer.header("grpc-status-details-bin").is_some());
    let answer = client.call("/no.Service/Method", &[], &frame(b"")).await;
    assert_eq!(answer.header("grpc-status"), Some("12"));
}

#[tokio::test(start_paused = true)]
async fn text_mode_is_base64_both_ways_padding_anywhere() {
    let served = serve();
    let mut client = served.client().await;
    let fields = [("Content-Type", "application/grpc-web-text")];
    // Each message is encoded by itself, so that padding comes in the middle of the body.
    let body: String = ["ab", "c"].map(|text| STANDARD.encode(frame(text.as_bytes()))).concat();
    assert!(body.trim_end_matches('=').contains('='));
    let answer = client.call("/test.Echo/Join", &fields, body.as_bytes()).await;
    assert_eq!(answer.header("content-type"), Some("application/grpc-web-text+proto"));
    assert_eq!(decoded(&answer.body), [(0, b"abc".to_vec()), (0x80, OK.into())]);

    let large = vec![7; 100_000];
    let answer = client.call("/test.Echo/Echo", &fields, STANDARD.encode(frame(&large)).as_bytes()).await;
    assert_eq!(decoded(&answer.body), [(0, large), (0x80, OK.into())]);
}

/// Base64 in pieces, each with its padding.
fn decoded(text: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let groups = text.chunks(4).map(|group| STANDARD.decode(group).unwrap());
    frames(&groups.collect::<Vec<_>>().concat())
}

#[tokio::test(start_paused = true)]
async fn bad_base64_ends_the_call() {
    let served = serve();
    for (body, why) in [("AAAA!AAA", "no base64"), ("AAAAAAA", "inside a group")] {
        let mut client = served.client().await;
        let fields = [("Content-Type", "application/grpc-web-text")];
        let answer = client.call("/test.Echo/Echo", &fields, body.as_bytes()).await;
        assert_eq!(answer.header("grpc-status"), Some("13"));
        assert!(answer.header("grpc-message").unwrap().contains(why), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_messages_wait_for_a_client_that_reads_slowly() {
    let served = serve();
    let mut client = served.client().await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let answer = client.call("/test.Echo/Echo", &[], &frame(&large)).await;
    let (messages, trailers) = answer.messages();
    assert!(messages == [large]);
    assert_eq!(trailers, OK);
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_limits_are_those_of_grpc() {
    let served = serve_with(|builder| builder.max_recv_message_bytes(10));
    let mut client = served.client().await;
    let answer = client.call("/test.Echo/Sleep", &[("Grpc-Timeout", "50m")], &frame(b"")).await;
    assert_eq!(answer.header("grpc-status"), Some("4"));
    let answer = client.call("/test.Echo/Echo", &[], &frame(b"0123456789")).await;
    assert_eq!(answer.messages().1, OK);
    let answer = client.call("/test.Echo/Echo", &[], &frame(b"0123456789a")).await;
    assert_eq!(answer.header("grpc-status"), Some("8"));
    assert_eq!(served.handle.stats().limits.message_bytes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_call() {
    let served = serve();
    let mut client = served.client().await;
    client.send(format!("{}Content-Length: 5\r\n\r\n", head("/test.Echo/Sleep", &[]))).await;
    client.send(frame(b"")).await;
    let seen = served.echo.seen.clone();
    until(|| seen.started.load(Ordering::SeqCst) == 1).await;
    assert_eq!(served.handle.stats().calls, 1);
    drop(client);
    until(|| seen.dropped.load(Ordering::SeqCst) == 1).await;
    until(|| served.handle.stats().calls == 0 && served.handle.stats().connections == 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_grpc_web_is_refused_with_a_reason() {
    let served = serve();
    let mut client = served.client().await;
    let answer = client.call("/test.Echo/Echo", &[("Content-Type", "application/grpc")], &frame(b"")).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (505, Some("13")));
    let answer = client.call("/test.Echo/Echo", &[("Content-Type", "application/json")], b"{}").await;
    assert_eq!(answer.status, 415);
    client.send("GET / HTTP/1.1\r\nHost: api.example\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert!(String::from_utf8_lossy(&answer.body).starts_with("This is a gRPC server"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_calls_end_and_closes_connections() {
    let served = serve();
    let mut idle = served.client().await;
    idle.call("/test.Echo/Echo", &[], &frame(b"")).await;
    let mut busy = served.client().await;
    busy.send(format!("{}Transfer-Encoding: chunked\r\n\r\n", head("/test.Echo/Join", &[]))).await;
    until(|| served.handle.stats().calls == 1).await;
    let handle = served.handle.clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(Duration::from_secs(60)).await });
    assert_eq!(idle.closed().await, b"");
    busy.send("6\r\n\0\0\0\0\x01a\r\n0\r\n\r\n").await;
    let answer = busy.answer().await.unwrap();
    assert_eq!(answer.messages().0, [b"a"]);
    assert_eq!(busy.closed().await, b"");
    shutdown.await.unwrap();
    assert_eq!(served.handle.stats().connections, 0);
}
