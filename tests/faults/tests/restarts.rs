//! Client streams at the moments when messages can get lost: while the call is started again, while a message
//! waits for room, and at the deadline.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BIDI, DOWN, LONG, UNARY, UP, assert_status, pass, raw};
use futures_util::{FutureExt, poll};
use spanwire::{Channel, ChannelBuilder, Code, Raw, Sending, Sent, Status, Streaming};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, RawConnection, RawServer, grpc, reason};
use std::pin::pin;
use std::time::Duration;
use tokio::task::JoinHandle;

/// More than a stream keeps of its requests to be able to send them again.
const BEYOND_REPLAY: usize = 300 * 1024;

/// Both ways through the engine: with an interceptor, and without.
fn both_ways(server: &RawServer) -> [Channel; 2] {
    let builder = || Channel::builder(&server.target());
    let intercepted = |builder: ChannelBuilder| builder.interceptor(pass);
    [builder().build().unwrap(), intercepted(builder()).build().unwrap()]
}

/// Reads the answer in a task of its own; its messages and its status.
fn read(mut streaming: Streaming<Raw>) -> JoinHandle<(Vec<Raw>, Status)> {
    tokio::spawn(async move {
        let mut messages = Vec::new();
        loop {
            match streaming.next().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, Status::ok()),
                Err(status) => return (messages, status),
            }
        }
    })
}

/// Asserts that the call ended with OK and the one message `yes`.
async fn assert_yes(reader: JoinHandle<(Vec<Raw>, Status)>) {
    let (messages, status) = reader.await.unwrap();
    assert_eq!((messages, status.code()), (vec![raw("yes")], Code::Ok), "{status}");
}

/// A call that the server turned away with GOAWAY after its first message, and whose next connection is being
/// made: it waits for the server's SETTINGS.
struct Reopening {
    sending: Sending<Raw>,
    reader: JoinHandle<(Vec<Raw>, Status)>,
    _first: RawConnection,
    second: RawConnection,
}

async fn reopening(server: &RawServer, channel: &Channel) -> Reopening {
    let call = async { channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap().split() };
    let ((mut sending, streaming), mut first) = tokio::join!(call, server.accept());
    let reader = read(streaming);
    sending.send(raw("first")).await.unwrap();
    let request = first.request().await;
    first.messages(request.stream).await;
    first.goaway(0, reason::NO_ERROR, "").await;
    // Whoever connects again has seen that the stream is gone.
    let second = server.accept_bare().await;
    Reopening { sending, reader, _first: first, second }
}

async fn open(connection: &mut RawConnection) {
    connection.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)], 1 << 24).await;
}

fn bodies(body: &[u8]) -> Vec<usize> {
    grpc::split(body).iter().map(|(_, message)| message.len()).collect()
}

#[tokio::test]
async fn a_message_beyond_the_replay_limit_survives_the_reopening_of_its_call() {
    let server = RawServer::bind().await;
    for channel in both_ways(&server) {
        let Reopening { mut sending, reader, mut second, _first } = reopening(&server, &channel).await;
        let sent = {
            let mut send = pin!(sending.send(raw(vec![1; BEYOND_REPLAY])));
            // It is in line now, with no stream to go to.
            let early = poll!(send.as_mut());
            open(&mut second).await;
            match early {
                std::task::Poll::Ready(sent) => sent,
                std::task::Poll::Pending => send.await,
            }
        };
        sent.unwrap();
        sending.half_close();
        let request = second.request().await;
        assert_eq!(bodies(&second.body(request.stream).await), [5, BEYOND_REPLAY]);
        second.reply(request.stream, b"yes").await;
        assert_yes(reader).await;
    }
}

#[tokio::test]
async fn small_messages_do_not_wait_for_the_reopening_and_arrive_in_order() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let Reopening { mut sending, reader, mut second, _first } = reopening(&server, &channel).await;
    for size in 1..=100 {
        sending.send(raw(vec![2; size])).now_or_never().expect("there is a place for it").unwrap();
    }
    sending.half_close();
    open(&mut second).await;
    let request = second.request().await;
    let sizes: Vec<_> = std::iter::once(5).chain(1..=100).collect();
    assert_eq!(bodies(&second.body(request.stream).await), sizes);
    second.reply(request.stream, b"yes").await;
    assert_yes(reader).await;
}

/// A call that is turned away with GOAWAY after its first message, while nobody reads its answer.
async fn turned_away_unread(server: &RawServer, channel: &Channel) -> (Sending<Raw>, Streaming<Raw>) {
    let call = async { channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap().split() };
    let ((mut sending, streaming), mut first) = tokio::join!(call, server.accept());
    sending.send(raw("first")).await.unwrap();
    let request = first.request().await;
    first.messages(request.stream).await;
    first.goaway(0, reason::NO_ERROR, "").await;
    first.wait_closed().await;
    (sending, streaming)
}

#[tokio::test]
async fn what_is_sent_while_nobody_reads_arrives_once_somebody_does() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let (mut sending, streaming) = turned_away_unread(&server, &channel).await;
    for size in 1..=100 {
        sending.send(raw(vec![2; size])).now_or_never().expect("there is a place for it").unwrap();
    }
    sending.half_close();
    let reader = read(streaming);
    let mut second = server.accept().await;
    let request = second.request().await;
    let sizes: Vec<_> = std::iter::once(5).chain(1..=100).collect();
    assert_eq!(bodies(&second.body(request.stream).await), sizes);
    second.reply(request.stream, b"yes").await;
    assert_yes(reader).await;
}

#[tokio::test]
async fn a_sender_that_nobody_reads_beside_never_waits_for_the_reader() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let (mut sending, streaming) = turned_away_unread(&server, &channel).await;
    let mut sent = 0;
    while sending.send(raw([3; 1000])).now_or_never().expect("it must not wait").is_ok() {
        sent += 1;
        assert!(sent < 1000, "nothing keeps so much");
    }
    let (_, status) = read(streaming).await.unwrap();
    assert_eq!((status.code(), status.sent()), (Code::Unavailable, Sent::NotSent), "{status}");
}

#[tokio::test]
async fn a_sender_dropped_while_its_call_is_reopened_sends_no_end_of_stream() {
    let server = RawServer::bind().await;
    for channel in both_ways(&server) {
        let Reopening { sending, reader, mut second, _first } = reopening(&server, &channel).await;
        drop(sending);
        let (_, status) = reader.await.unwrap();
        assert_status(&status, Code::Cancelled, "without half_close");
        assert_eq!(status.sent(), Sent::NotSent, "{status}");
        open(&mut second).await;
        // The next request shows what came before it on this connection: at most a stream that was reset.
        let call = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(LONG).into_future();
        let play = async {
            loop {
                let request = second.request().await;
                if request.fields.get(":path") == Some("/test.Peer/Unary") {
                    second.body(request.stream).await;
                    second.reply(request.stream, b"yes").await;
                    return;
                }
                second.wait_reset(request.stream).await;
            }
        };
        let (answer, ()) = tokio::join!(call, play);
        assert_eq!(answer.unwrap(), raw("yes"));
        let ended =
            |event: &&Event| matches!(event, Event::Data { stream, end_stream: true, .. } if *stream == 1);
        assert_eq!(second.passed().filter(ended).count(), 0, "{}", second.transcript());
    }
}

#[tokio::test]
async fn half_close_after_a_dropped_send_keeps_its_message() {
    // No room for the message at all, and room for a part of it.
    for window in [0, 10] {
        let server = RawServer::bind().await;
        for channel in both_ways(&server) {
            let call = async { channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap().split() };
            let settings = [(setting::INITIAL_WINDOW_SIZE, window)];
            let accept = server.accept_with(&settings, 1 << 24);
            let ((mut sending, streaming), mut connection) = tokio::join!(call, accept);
            let reader = read(streaming);
            let request = connection.request().await;
            {
                let mut send = pin!(sending.send(raw(vec![3; 100])));
                let _ = poll!(send.as_mut());
            }
            sending.half_close();
            connection.window_update(request.stream, 1 << 20).await;
            assert_eq!(bodies(&connection.body(request.stream).await), [100], "window {window}");
            connection.reply(request.stream, b"yes").await;
            assert_yes(reader).await;
        }
    }
}

#[tokio::test]
async fn a_deadline_while_a_message_waits_resets_the_stream_and_later_sends_fail() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let call = channel.bidi::<Raw, Raw>(&BIDI).timeout(Duration::from_millis(150));
    let settings = [(setting::INITIAL_WINDOW_SIZE, 10)];
    let accept = server.accept_with(&settings, 1 << 24);
    let (call, mut connection) = tokio::join!(call.into_future(), accept);
    // Nobody reads the answer while the message waits: the sender alone meets the deadline.
    let (mut sending, streaming) = call.unwrap().split();
    let stream = connection.request().await.stream;
    // The first goes while there is any room, and uses it up.
    sending.send(raw(vec![4; 10])).await.unwrap();
    let status = sending.send(raw(vec![4; 100])).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // There would be room now, in the middle of the message.
    connection.window_update(stream, 1 << 20).await;
    connection.sync().await;
    assert!(sending.send(raw("next")).await.is_err());
    assert_eq!(connection.wait_reset(stream).await, reason::CANCEL);
    let (_, status) = read(streaming).await.unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(connection.data_bytes(), 10, "nothing follows the first part");
}

#[tokio::test]
async fn an_unwritten_call_that_ends_locally_may_still_be_sent_unless_its_connection_is_gone() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let call = async { channel.bidi::<Raw, Raw>(&BIDI).await.unwrap().split() };
    let ((mut sending, _streaming), connection) = tokio::join!(call, server.accept());
    // The server reads no more. That the socket takes no more shows by nothing but silence.
    let chunk = raw(vec![5; 60_000]);
    while let Ok(sent) = tokio::time::timeout(Duration::from_millis(150), sending.send(chunk.clone())).await {
        sent.unwrap();
    }
    let late = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(Duration::from_millis(30));
    let status = late.await.unwrap_err();
    assert_eq!((status.code(), status.sent()), (Code::DeadlineExceeded, Sent::MaybeSent), "{status}");

    let mut unwritten = pin!(channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(LONG).into_future());
    assert!(poll!(unwritten.as_mut()).is_pending());
    // The call may be made again, but nobody listens any more.
    drop((server, connection));
    let status = unwritten.await.unwrap_err();
    assert_eq!((status.code(), status.sent()), (Code::Unavailable, Sent::NotSent), "{status}");
}

#[tokio::test]
async fn a_call_that_is_refused_for_good_was_not_sent() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let play = async {
        let mut connection = server.accept().await;
        for _ in 0..2 {
            let stream = connection.request().await.stream;
            connection.rst(stream, reason::REFUSED_STREAM).await;
        }
        connection
    };
    let call = channel.unary::<Raw, Raw>(&UNARY, raw("hi")).timeout(LONG).into_future();
    let (outcome, _connection) = tokio::join!(call, play);
    let status = outcome.unwrap_err();
    assert_eq!(
        (status.code(), status.sent(), status.attempts()),
        (Code::Unavailable, Sent::NotSent, 2),
        "{status}"
    );
}

#[tokio::test]
async fn a_stream_that_is_refused_for_good_was_not_sent() {
    let server = RawServer::bind().await;
    let [channel, _] = both_ways(&server);
    let play = async {
        let mut connection = server.accept().await;
        for _ in 0..2 {
            let stream = connection.request().await.stream;
            connection.rst(stream, reason::REFUSED_STREAM).await;
        }
        connection
    };
    let call = async { channel.server_streaming::<Raw, Raw>(&DOWN, raw("hi")).timeout(LONG).await };
    let call = async { read(call.await.unwrap()).await.unwrap().1 };
    let (status, _connection) = tokio::join!(call, play);
    assert_eq!(
        (status.code(), status.sent(), status.attempts()),
        (Code::Unavailable, Sent::NotSent, 2),
        "{status}"
    );
}

#[tokio::test]
async fn an_early_answer_is_still_there_after_a_send_that_failed() {
    let server = RawServer::bind().await;
    for channel in both_ways(&server) {
        let call = async { channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap() };
        let (mut call, mut connection) = tokio::join!(call, server.accept());
        call.send(raw("first")).await.unwrap();
        let stream = connection.request().await.stream;
        connection.reply(stream, b"enough").await;
        connection.rst(stream, reason::NO_ERROR).await;
        // Sending goes on until the client notices.
        let status = loop {
            match call.send(raw("more")).await {
                Ok(()) => tokio::task::yield_now().await,
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::Cancelled, "{status}");
        assert_eq!(call.finish().await.unwrap(), raw("enough"));
    }
}

#[tokio::test]
async fn headers_of_a_call_that_failed_while_it_sent_are_its_status() {
    let server = RawServer::bind().await;
    for channel in both_ways(&server) {
        let call = async { channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap() };
        let (mut call, mut connection) = tokio::join!(call, server.accept());
        call.send(raw("first")).await.unwrap();
        let stream = connection.request().await.stream;
        connection.trailers_only(stream, 9, "not now").await;
        connection.rst(stream, reason::NO_ERROR).await;
        while call.send(raw("more")).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert_status(&call.headers().await.unwrap_err(), Code::FailedPrecondition, "not now");
        assert_status(&call.next().await.unwrap_err(), Code::FailedPrecondition, "not now");
    }
}
