//! Small messages share DATA frames, and none of them is lost, late or out of order for that.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BIDI, LONG, TestServer, UP, behind_interceptors, channel, raw};
use spanwire::{Channel, Kind, Method, Raw};
use spanwire_faults::frame::setting;
use spanwire_faults::{Event, Fields, Frame, Link, RawClient, RawServer, grpc, reason};

const CHAT: Method = Method::new("/test.Probe/Chat", Kind::Bidi);

/// The DATA frames with something in them until the peer's half ends: how many, and the messages in them.
async fn frames_of(link: &mut Link) -> (usize, Vec<Vec<u8>>) {
    let (mut frames, mut body) = (0, Vec::new());
    let mut ended = false;
    while !ended {
        let is_of_stream = |event: &Event| matches!(event, Event::Data { .. } | Event::Headers(_));
        match link.wait("DATA or HEADERS", is_of_stream).await {
            Event::Data { data, end_stream, .. } => {
                frames += usize::from(!data.is_empty());
                body.extend_from_slice(&data);
                ended = end_stream;
            }
            Event::Headers(headers) => ended = headers.end_stream,
            _ => {}
        }
    }
    (frames, grpc::split(&body).into_iter().map(|(_, message)| message.to_vec()).collect())
}

fn numbers(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| n.to_string().into_bytes()).collect()
}

#[tokio::test]
async fn a_servers_small_messages_share_frames_and_all_arrive_in_order() {
    let server = TestServer::start().await;
    for count in [1, 2, 3, 1000] {
        let mut client = RawClient::connect_with(server.address(), &[], 1 << 24).await;
        let stream = client.call("/test.Probe/Count").await;
        client.last_message(stream, count.to_string().as_bytes()).await;
        let (frames, messages) = frames_of(&mut client).await;
        assert_eq!(messages, numbers(count));
        if !behind_interceptors() {
            assert!(frames <= 2, "{count} messages in {frames} frames");
        }
    }
}

#[tokio::test]
async fn a_clients_small_messages_share_frames_and_all_arrive_in_order() {
    let server = RawServer::bind().await;
    for count in [1, 2, 3, 1000] {
        let channel = channel(&server);
        let call = async { channel.client_streaming::<Raw, Raw>(&UP).timeout(LONG).await.unwrap() };
        let (mut upload, mut connection) =
            tokio::join!(call, server.accept_with(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)], 1 << 24));
        let stream = connection.request().await.stream;
        for number in numbers(count) {
            upload.send(raw(number)).await.unwrap();
        }
        let play = async {
            let outcome = frames_of(&mut connection).await;
            connection.reply(stream, b"all").await;
            outcome
        };
        let (reply, (frames, messages)) = tokio::join!(upload.finish(), play);
        assert_eq!(reply.unwrap(), raw("all"));
        assert_eq!(messages, numbers(count));
        if !behind_interceptors() {
            assert!(frames <= 2, "{count} messages in {frames} frames");
        }
    }
}

#[tokio::test]
async fn what_was_gathered_goes_out_before_large_messages_and_before_the_end() {
    let server = TestServer::start().await;
    let channel = common::build(Channel::builder(&server.target()));
    let (mut sending, mut replies) = channel.bidi::<Raw, Raw>(&CHAT).timeout(LONG).await.unwrap().split();
    let sizes = [1, 2, 3, 100_000, 4, 5, 4_091, 4_092, 4_091, 6, 40_000, 0, 0, 7];
    let send = async {
        for (index, size) in sizes.into_iter().enumerate() {
            sending.send(Raw(vec![index as u8; size].into())).await.unwrap();
        }
        sending.half_close();
    };
    let read = async {
        let mut got = Vec::new();
        while let Some(reply) = replies.next().await.unwrap() {
            assert!(reply.0.iter().all(|byte| usize::from(*byte) == got.len()));
            got.push(reply.0.len());
        }
        got
    };
    assert_eq!(tokio::join!(send, read).1, sizes);
}

#[tokio::test]
async fn a_sender_that_pauses_leaves_nothing_behind() {
    let server = RawServer::bind().await;
    let channel = channel(&server);
    let call = async { channel.bidi::<Raw, Raw>(&BIDI).timeout(LONG).await.unwrap().split() };
    let ((mut sending, _replies), mut connection) = tokio::join!(call, server.accept());
    let stream = connection.request().await.stream;
    let mut arrived = 0;
    for burst in 1..=20 {
        for _ in 0..burst {
            sending.send(raw("12345")).await.unwrap();
        }
        let due = arrived + burst * 10;
        while arrived < due {
            let event = connection.wait("DATA", |event| matches!(event, Event::Data { .. })).await;
            if let Event::Data { data, .. } = event {
                arrived += data.len();
            }
        }
        assert_eq!(arrived, due);
    }
    connection.rst(stream, reason::CANCEL).await;
}

#[tokio::test]
async fn a_cancelled_stream_with_gathered_messages_disturbs_no_other() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect_with(server.address(), &[], 1 << 24).await;
    for _ in 0..50 {
        let stream = client.take_stream();
        let head = Frame::headers(stream, Fields::grpc_request("/test.Probe/Count").encode());
        let ask = Frame::data(stream, grpc::message(b"5000")).end_stream();
        client.send_all(&[head, ask, Frame::rst(stream, reason::CANCEL)]).await;
    }
    let stream = client.call("/test.Probe/Count").await;
    client.last_message(stream, b"100").await;
    assert_eq!(client.answer(stream).await.messages().len(), 100);
}

/// The task of the connection and the senders run on different threads, and meet in every order.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_message_is_left_behind_when_senders_and_connection_race() {
    let server = TestServer::start().await;
    let channel = common::build(Channel::builder(&server.target()));
    let streams = (0..16_u32).map(|seed| {
        let channel = channel.clone();
        tokio::spawn(async move {
            let call = channel.bidi::<Raw, Raw>(&CHAT).timeout(LONG);
            let (mut sending, mut replies) = call.await.unwrap().split();
            let mut random = seed;
            for round in 0..200_u32 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let burst = 1 + random / 7 % 9;
                for index in 0..burst {
                    sending.send(raw((round * 16 + index).to_string())).await.unwrap();
                }
                // Every burst comes back whole without another push.
                for index in 0..burst {
                    let reply = replies.next().await.unwrap();
                    assert_eq!(reply, Some(raw((round * 16 + index).to_string())));
                }
            }
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.unwrap();
    }
}
