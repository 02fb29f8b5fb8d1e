//! SETTINGS_MAX_HEADER_LIST_SIZE of the peer: what does not fit is not sent, and the call says why.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BIDI, LONG, TestServer, UNARY, assert_status, channel, raw};
use spanwire::{Channel, Code, Raw, Sent, Status};
use spanwire_faults::frame::setting;
use spanwire_faults::{Answer, Fields, RawClient, RawConnection, RawServer, grpc, reason};

const ECHO: &str = "/test.Probe/Echo";
/// Fails with the code and the message that the request names.
const FAIL: &str = "/test.Probe/Fail";
/// Answers with OK and so many bytes of metadata in the trailers.
const TRAIL: &str = "/test.Probe/Trail";

/// A response head without metadata: `:status` and `content-type`.
const HEAD: usize = 102;
/// A Trailers-Only answer without a message.
const SHORTEST: usize = HEAD + 44;

async fn client_with(server: &TestServer, limit: usize) -> RawClient {
    let settings = [(setting::INITIAL_WINDOW_SIZE, 1 << 20), limit_of(limit)];
    RawClient::connect_with(server.address(), &settings, 1 << 20).await
}

fn limit_of(bytes: usize) -> (u16, u32) {
    (setting::MAX_HEADER_LIST_SIZE, u32::try_from(bytes).unwrap())
}

async fn set_limit(client: &mut RawClient, bytes: usize) {
    client.settings(&[limit_of(bytes)]).await;
    client.settled().await;
}

/// A reset, and nothing before it.
#[track_caller]
fn assert_reset(answer: &Answer) {
    assert_eq!(answer.reset, Some(reason::INTERNAL_ERROR), "{answer:?}");
    assert!(answer.headers.is_empty() && answer.body.is_empty(), "{answer:?}");
}

fn echo_request(value: &str) -> Fields {
    Fields::grpc_request(ECHO).with("echo-a", value)
}

// Hazard A17
#[tokio::test]
async fn server_resets_calls_of_which_no_answer_fits_and_serves_the_next() {
    let server = TestServer::start().await;
    for limit in [0, 1, 100] {
        let mut client = client_with(&server, limit).await;
        assert_reset(&client.unary(ECHO, b"hi").await);
        assert_reset(&client.unary("/test.Probe/Count", b"3").await);
        assert_reset(&client.unary(FAIL, b"5 not here").await);
        assert_reset(&client.unary("/test.Probe/NoSuchMethod", b"").await);
        let no_grpc = Fields::grpc_request(ECHO).set("content-type", "text/plain");
        assert_reset(&client.unary_with(&no_grpc, b"").await);
        set_limit(&mut client, 1000).await;
        assert_eq!(client.unary(ECHO, b"hi").await.messages()[0].1, "hi");
        set_limit(&mut client, limit).await;
        assert_reset(&client.unary(ECHO, b"hi").await);
    }
}

#[tokio::test]
async fn server_sends_a_head_that_fits_to_the_byte_and_says_why_one_byte_more_does_not() {
    let server = TestServer::start().await;
    let value = "v".repeat(300);
    let mut client = RawClient::connect(server.address()).await;
    let whole = client.unary_with(&echo_request(&value), b"hi").await;
    let size = whole.headers.list_size();
    assert_eq!(whole.headers.get("echo-a"), Some(&*value));

    set_limit(&mut client, size).await;
    let fits = client.unary_with(&echo_request(&value), b"hi").await;
    assert_eq!((&fits.headers, &fits.trailers), (&whole.headers, &whole.trailers));

    set_limit(&mut client, size - 1).await;
    let answer = client.unary_with(&echo_request(&value), b"hi").await;
    assert!(answer.is_trailers_only(), "{answer:?}");
    assert_eq!(answer.grpc_status(), Some("13"));
    assert!(answer.headers.list_size() < size);
    let reason =
        format!("{size} bytes of headers, above the peer's SETTINGS_MAX_HEADER_LIST_SIZE of {}", size - 1);
    assert!(answer.grpc_message().contains(&reason), "{answer:?}");

    assert_eq!(client.unary(ECHO, b"hi").await.grpc_status(), Some("0"));
}

#[tokio::test]
async fn server_shortens_the_message_of_an_error_and_keeps_its_code() {
    let server = TestServer::start().await;
    // The code alone, and `grpc-message` before its value.
    let with_message = SHORTEST + 12 + 32;
    let mut client = RawClient::connect(server.address()).await;
    for (limit, message) in [
        (with_message + 6, "enough"),
        (with_message + 5, "eno"),
        (with_message + 2, "e"),
        (with_message, ""),
        (SHORTEST, ""),
    ] {
        set_limit(&mut client, limit).await;
        let answer = client.unary(FAIL, b"8 enough").await;
        assert_eq!(answer.grpc_status(), Some("8"), "{limit}: {answer:?}");
        assert_eq!(answer.grpc_message(), message, "{limit}");
        assert!(answer.headers.list_size() <= limit);
    }
    set_limit(&mut client, SHORTEST - 1).await;
    assert_reset(&client.unary(FAIL, b"8 enough").await);
    // Letters of four bytes, each sent as twelve, are not cut in two.
    set_limit(&mut client, with_message + 40).await;
    assert_eq!(
        client.unary(FAIL, "8 😀😀😀😀😀".as_bytes()).await.grpc_message(),
        "%F0%9F%98%80%F0%9F%98%80"
    );
}

#[tokio::test]
async fn server_leaves_details_out_before_the_message() {
    let server = TestServer::start().await;
    let mut client = client_with(&server, 300).await;
    let answer = client.unary("/test.Probe/Details", &[7; 300]).await;
    assert_eq!((answer.grpc_status(), answer.grpc_message()), (Some("3"), "see details"));
    assert!(!answer.headers.contains("grpc-status-details-bin"));
}

#[tokio::test]
async fn server_makes_an_ok_an_error_when_its_trailers_do_not_fit() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let whole = client.unary(TRAIL, b"500").await;
    let size = whole.trailers.as_ref().unwrap().list_size();

    set_limit(&mut client, size).await;
    assert_eq!(client.unary(TRAIL, b"500").await.trailers, whole.trailers);

    set_limit(&mut client, size - 1).await;
    let answer = client.unary(TRAIL, b"500").await;
    assert_eq!(answer.headers, whole.headers);
    assert_eq!(answer.grpc_status(), Some("13"), "{answer:?}");
    assert!(answer.grpc_message().contains(&format!("{size} bytes of headers")), "{answer:?}");
}

#[tokio::test]
async fn a_limit_that_is_lowered_holds_for_the_trailers_of_calls_that_run() {
    let mut server = TestServer::start().await;
    let mut client = client_with(&server, 1000).await;
    let mut begun = Vec::new();
    for _ in 0..2 {
        let stream = client.call("/test.Probe/Chat").await;
        client.grpc_message(stream, b"one").await;
        client.wait_headers(stream).await;
        begun.push(stream);
    }
    // `grpc-status` (44) and the first bytes of a message.
    set_limit(&mut client, 100).await;
    client.data(begun[0], &grpc::prefixed(7, 3, b"bad")).await;
    let trailers = client.wait_headers(begun[0]).await;
    assert!(trailers.end_stream);
    assert_eq!(trailers.fields.get("grpc-status"), Some("13"));
    assert!(trailers.fields.list_size() <= 100, "{trailers:?}");
    // Not even OK.
    set_limit(&mut client, 43).await;
    client.half_close(begun[1]).await;
    assert_eq!(client.wait_reset(begun[1]).await, reason::INTERNAL_ERROR);
    assert_eq!(server.calls(), 2);
    for _ in 0..2 {
        server.ended().await;
    }
}

#[tokio::test]
async fn a_handler_whose_head_does_not_fit_is_stopped() {
    let mut server = TestServer::start().await;
    let mut client = client_with(&server, 1).await;
    let stream = client.call("/test.Probe/Flood").await;
    client.last_message(stream, b"100").await;
    assert_eq!(client.wait_reset(stream).await, reason::INTERNAL_ERROR);
    server.ended().await;
    let stream = client.call("/test.Probe/HeadersFirst").await;
    assert_eq!(client.wait_reset(stream).await, reason::INTERNAL_ERROR);
    server.ended().await;
    // One that waits while another task sends.
    set_limit(&mut client, 250).await;
    let request = Fields::grpc_request("/test.Probe/Elsewhere").with("echo-a", "v".repeat(300));
    assert_eq!(client.unary_with(&request, b"hi").await.grpc_status(), Some("13"));
    server.ended().await;
}

async fn call(channel: &Channel, value: &str) -> Result<Raw, Status> {
    // No deadline of the call's own: its header would make the size of the request uncertain.
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).metadata("x-a", value);
    tokio::time::timeout(LONG, call.into_future()).await.unwrap()
}

async fn accept(server: &RawServer, limit: usize) -> RawConnection {
    server.accept_with(&[limit_of(limit)], 0).await
}

/// Fails without a word to the server.
#[track_caller]
fn assert_not_sent(result: Result<Raw, Status>, limit: usize) -> Status {
    let status = result.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &format!("SETTINGS_MAX_HEADER_LIST_SIZE of {limit}"));
    assert_eq!(status.sent(), Sent::NotSent);
    status
}

// Hazard A17
#[tokio::test]
async fn client_does_not_send_what_the_server_does_not_take() {
    for limit in [0, 1, 100] {
        let server = RawServer::bind().await;
        let channel = channel(&server);
        let (result, mut connection) = tokio::join!(call(&channel, "v"), accept(&server, limit));
        let _ = assert_not_sent(result, limit);
        let streamed = async { channel.bidi::<Raw, Raw>(&BIDI).await?.next().await };
        assert_eq!(streamed.await.unwrap_err().code(), Code::ResourceExhausted);

        connection.settings(&[limit_of(1000)]).await;
        connection.settled().await;
        let (result, request) = tokio::join!(call(&channel, "v"), answer(&mut connection));
        assert_eq!(result.unwrap(), raw("yes"));
        assert_eq!(request.0, 1, "nothing was sent before");
    }
}

/// Answers the next request; its stream and its size.
async fn answer(connection: &mut RawConnection) -> (u32, usize) {
    let (request, _) = connection.whole_request().await;
    connection.reply(request.stream, b"yes").await;
    (request.stream, request.fields.list_size())
}

#[tokio::test]
async fn client_sends_a_request_that_fits_to_the_byte_and_not_one_byte_more() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let serve = async {
        let mut connection = server.accept().await;
        let (_, size) = answer(&mut connection).await;
        connection.settings(&[limit_of(size)]).await;
        connection.settled().await;
        (connection, size)
    };
    let (first, (mut connection, size)) = tokio::join!(call(&channel, "four"), serve);
    first.unwrap();
    let status = assert_not_sent(call(&channel, "five!").await, size);
    assert!(status.message().contains(&format!("{} bytes of headers", size + 1)), "{status}");
    let (result, request) = tokio::join!(call(&channel, "four"), answer(&mut connection));
    assert_eq!(result.unwrap(), raw("yes"));
    assert_eq!(request, (3, size), "the refused one took no stream");
}
