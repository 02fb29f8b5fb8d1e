//! What clients of HTTP/1.1 may take, and what comes of trying to confuse the server.

use std::time::Duration;

use spanwire::LimitCounts;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::client::*;

const ECHO: &str = "/test.Echo/Echo";

/// Waits for the end of the connection: after how many seconds of virtual time, and what was counted by then.
async fn end(served: &Served, client: &mut Client) -> (u64, LimitCounts) {
    let began = Instant::now();
    client.closed().await;
    until(|| served.handle.stats().connections == 0).await;
    (began.elapsed().as_secs(), served.handle.stats().limits)
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_request_has_as_long_as_a_handshake() {
    for first in ["", "P", "POST", "POST /test.Echo/Echo HTTP/1.1\r\nHost: a\r\n"] {
        let served = serve();
        let mut client = served.client().await;
        client.send(first).await;
        let (seconds, counts) = end(&served, &mut client).await;
        assert_eq!((seconds, counts.handshakes), (20, 1), "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn and_so_has_the_next_one_from_its_first_byte_on() {
    let served = serve();
    let mut client = served.client().await;
    client.call(ECHO, &[], &frame(b"")).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    client.send("POST").await;
    let (seconds, counts) = end(&served, &mut client).await;
    assert_eq!((seconds, counts.handshakes, counts.connection_idle), (20, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed() {
    for (idle, due) in [(None, 60), (Some(5), 5)] {
        let served = serve_with(|builder| match idle {
            None => builder,
            Some(idle) => builder.max_connection_idle(Duration::from_secs(idle)),
        });
        let mut client = served.client().await;
        client.call(ECHO, &[], &frame(b"")).await;
        let (seconds, counts) = end(&served, &mut client).await;
        assert_eq!((seconds, counts.connection_idle, counts.handshakes), (due, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_closed_behind_its_call() {
    let served = serve_with(|builder| {
        builder.max_connection_age(Duration::from_secs(10), Some(Duration::from_secs(100)))
    });
    let mut client = served.client().await;
    client.send(format!("{}Content-Length: 5\r\n\r\n", head("/test.Echo/Sleep", &[]))).await;
    client.send(frame(b"")).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.messages().0.len(), 1);
    let (_, counts) = end(&served, &mut client).await;
    assert_eq!(counts.connection_age, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_half_a_request_loses_the_connection() {
    let served = serve();
    let mut client = served.client().await;
    client.send(format!("{}Content-Length: 100\r\n\r\n", head("/test.Echo/Join", &[]))).await;
    // Slowly is slow enough.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        client.send(frame(b"x")).await;
    }
    let (seconds, counts) = end(&served, &mut client).await;
    assert_eq!((seconds, counts.stalled_streams), (60, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_loses_the_connection() {
    // More than may wait for it, so that the call itself waits; and less, so that only the connection does.
    for (size, stalled) in [(3_000_000, (1, 0)), (40_000, (0, 1))] {
        let served = serve();
        let mut client = served.client().await;
        let body = frame(&vec![0; size]);
        client.send(format!("{}Content-Length: {}\r\n\r\n", head(ECHO, &[]), body.len())).await;
        client.send(body).await;
        let began = Instant::now();
        until(|| served.handle.stats().connections == 0).await;
        let counts = served.handle.stats().limits;
        assert_eq!((counts.stalled_streams, counts.stalled_connections), stalled);
        assert_eq!(began.elapsed().as_secs(), 60);
        assert_eq!(served.handle.stats().calls, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_too_large_are_refused_by_the_call_and_far_beyond_by_the_connection() {
    let served = serve();
    let mut client = served.client().await;
    let field = |len| "x".repeat(len);
    let answer = client.call(ECHO, &[("x-large", &field(17_000))], &frame(b"")).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("8")));
    assert!(answer.header("grpc-message").unwrap().contains("max_metadata_bytes"));
    let names: Vec<_> = (0..129).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let answer = client.call(ECHO, &many, &frame(b"")).await;
    assert!(answer.header("grpc-message").unwrap().contains("max_metadata_fields"));
    let counts = served.handle.stats().limits;
    assert_eq!((counts.metadata_bytes, counts.metadata_fields), (1, 1));

    // The server closes before it has read all of it.
    let large = format!("{}x-large: {}", head(ECHO, &[]), field(66_000));
    let _ = client.pipe.write_all(large.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 431);
    assert_eq!(client.closed().await, b"");
}

#[tokio::test(start_paused = true)]
async fn requests_in_one_piece_are_answered_one_after_the_other() {
    let served = serve();
    let mut client = served.client().await;
    let one = |text: &[u8]| {
        let body = frame(text);
        [format!("{}Content-Length: {}\r\n\r\n", head(ECHO, &[]), body.len()).into_bytes(), body].concat()
    };
    client.send([one(b"1"), one(b"2"), one(b"3")].concat()).await;
    for text in [b"1", b"2", b"3"] {
        assert_eq!(client.answer().await.unwrap().messages().0, [text]);
    }
}

#[tokio::test(start_paused = true)]
async fn two_lengths_hide_no_second_request() {
    let inner = "POST /test.Echo/Sleep HTTP/1.1\r\nHost: a\r\n\r\n";
    // The chunks count, and nothing behind them is read as a request.
    for order in [
        "Content-Length: 99\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let served = serve();
        let mut client = served.client().await;
        client.send(format!("{}{order}\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\n\r\n{inner}", head(ECHO, &[]))).await;
        assert_eq!(client.answer().await.unwrap().messages().0, [b""]);
        assert_eq!(client.closed().await, b"");
        assert_eq!(served.handle.stats().total_calls, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_breaks_http_never_reaches_a_handler() {
    for broken in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding : chunked",
        "Two words: x",
        " folded: x",
        "x: a\0b",
        "x: a\rb",
        "Host: other",
    ] {
        let served = serve();
        let mut client = served.client().await;
        client.send(format!("{}{broken}\r\n\r\n\0\0\0\0\0", head(ECHO, &[]))).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 400, "{broken}");
        assert_ne!(answer.header("grpc-status"), Some("0"), "{broken}");
    }
    for (line, status) in [
        ("POST /test.Echo/Echo HTTP/1.1 x", 400),
        ("POST /test.Echo/Echo HTTP/2.0", 400),
        ("POST  /test.Echo/Echo HTTP/1.1", 400),
        ("PO\0ST /test.Echo/Echo HTTP/1.1", 400),
        ("CONNECT a:1 HTTP/1.1", 405),
        ("TRACE / HTTP/1.1", 405),
    ] {
        let served = serve();
        let mut client = served.client().await;
        client.send(format!("{line}\r\nHost: a\r\n\r\n")).await;
        assert_eq!(client.answer().await.unwrap().status, status, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_chunks_end_the_call_and_the_connection() {
    for chunks in ["x\r\n", "-1\r\n", "5 ;\0\r\n", "fffffffffffffffff\r\n", "1\r\nab\r\n"] {
        let served = serve();
        let mut client = served.client().await;
        client
            .send(format!("{}Transfer-Encoding: chunked\r\n\r\n{chunks}", head("/test.Echo/Join", &[])))
            .await;
        let said = String::from_utf8(client.closed().await).unwrap();
        assert!(!said.contains("grpc-status: 0"), "{chunks:?}: {said}");
        until(|| served.handle.stats().calls == 0 && served.handle.stats().connections == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_given_up_is_cut_off_and_not_ended() {
    let served = serve_with(|builder| builder.stall_timeout(None));
    let mut client = served.client().await;
    // The head is out when the deadline comes, and the client has not taken all of the message before.
    let body = frame(&[0; 3_000]);
    let fields = [("grpc-timeout", "5S")];
    client
        .send(format!("{}Content-Length: {}\r\n\r\n", head("/test.Echo/Repeat", &fields), body.len()))
        .await;
    client.send(body).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    while let Some(chunk) = client.chunk().await {
        assert!(!chunk.is_empty(), "the answer looks whole");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_taken_in_so_that_its_client_sees_the_answer() {
    let served = serve();
    let mut client = served.client().await;
    client.send(format!("{}Content-Length: 20005\r\n\r\n", head("/no.Service/Method", &[]))).await;
    // Not with its head, as browsers do it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.send(frame(&[0; 20_000])).await;
    assert_eq!(client.answer().await.unwrap().header("grpc-status"), Some("12"));
    assert_eq!(client.call(ECHO, &[], &frame(b"next")).await.messages().0, [b"next"]);

    // One that does not come, or is asked for first, is not waited for.
    for field in ["x-none", "expect"] {
        let mut client = served.client().await;
        let fields = [(field, "100-continue")];
        client.send(format!("{}Content-Length: 5\r\n\r\n", head("/no.Service/Method", &fields))).await;
        assert_eq!(client.answer().await.unwrap().header("grpc-status"), Some("12"));
        assert_eq!(client.closed().await, b"");
    }
}
