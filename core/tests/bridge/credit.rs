//! Points 3 and 5: messages come as they are granted, senders wait for room, bytes may be kept.

use spanwire::bridge::{Answer, EventKind, OpError, Room};
use spanwire::{Kind, Status};

use super::host::{BIDI, Host, SERVER, UP};

#[test]
fn messages_come_as_they_are_granted_and_no_more() {
    let host = Host::new();
    let call = host.stream(1, BIDI, Kind::Bidi, 2);
    let (server_call, _) = host.request();
    for index in 0..10u8 {
        server_call.send(vec![index].into()).unwrap();
    }
    server_call.finish(Status::ok(), Answer::default()).unwrap();
    assert_eq!(host.messages(1, 2), [vec![0], vec![1]]);
    assert!(host.is_quiet(1), "nothing more was granted");
    call.grant(3).unwrap();
    assert_eq!(host.messages(1, 3), [vec![2], vec![3], vec![4]]);
    assert!(host.is_quiet(1));
    call.grant(100).unwrap();
    assert_eq!(host.messages(1, 5).len(), 5);
    assert!(host.done(1).status.is_ok());
}

#[test]
fn server_gets_request_messages_as_it_grants_them() {
    let host = Host::new();
    let call = host.stream(1, UP, Kind::ClientStreaming, 0);
    for index in 0..5u8 {
        call.send(vec![index].into()).unwrap();
    }
    call.half_close().unwrap();
    let (server_call, _) = host.request();
    assert!(host.is_quiet(SERVER));
    server_call.grant(4).unwrap();
    assert_eq!(host.messages(SERVER, 4).len(), 4);
    assert!(host.is_quiet(SERVER));
    server_call.grant(1).unwrap();
    assert_eq!(host.messages(SERVER, 1).len(), 1);
    // The only answer needs no credit.
    server_call.send(b"sum".as_slice().into()).unwrap();
    server_call.finish(Status::ok(), Answer::default()).unwrap();
    assert_eq!(host.messages(1, 1), ["sum"]);
    assert!(host.done(1).status.is_ok());
}

#[test]
fn end_of_a_stream_needs_no_credit() {
    let host = Host::new();
    let call = host.stream(1, BIDI, Kind::Bidi, 0);
    call.half_close().unwrap();
    let (server_call, _) = host.request();
    match host.next(SERVER).kind {
        EventKind::Messages { messages, end } => assert!(messages.is_empty() && end),
        other => panic!("{other:?}"),
    }
    server_call.finish(Status::aborted("enough"), Answer::default()).unwrap();
    assert_eq!(host.done(1).status.message(), "enough");
}

#[test]
fn sender_is_told_when_it_has_to_wait_and_when_not_any_more() {
    let host = Host::new();
    let call = host.stream(1, UP, Kind::ClientStreaming, 0);
    let (server_call, _) = host.request();
    let chunk = bytes::Bytes::from(vec![7; 16 * 1024]);
    let mut sent = 0;
    // Nobody reads, so the windows fill up and then the call's own queue.
    loop {
        sent += 1;
        match call.send(chunk.clone().into()) {
            Ok(Room::Ready) => host.settle(),
            Ok(Room::Full) => break,
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 10_000, "it never fills up");
    }
    host.settle();
    if host.is_quiet(1) {
        assert_eq!(call.send(chunk.clone().into()), Err(OpError::Blocked), "what is not taken is not kept");
        server_call.grant(10_000).unwrap();
    }
    assert!(matches!(host.next(1).kind, EventKind::Writable));
    assert!(call.send(chunk.into()).is_ok());
    call.half_close().unwrap();
    server_call.grant(10_000).unwrap();
    let mut received = 0;
    loop {
        match host.next(SERVER).kind {
            EventKind::Messages { messages, end } => {
                received += messages.len();
                if end {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, sent + 1);
}

#[test]
fn empty_messages_fill_a_call_too() {
    let host = Host::new();
    let call = host.stream(1, UP, Kind::ClientStreaming, 0);
    let mut sent = 0;
    spanwire::bridge::begin_batch();
    while call.send(b"".as_slice().into()).unwrap() == Room::Ready {
        sent += 1;
        assert!(sent < 100_000, "it never fills up");
    }
    spanwire::bridge::end_batch();
    assert!(matches!(host.next(1).kind, EventKind::Writable));
    host.request();
}

#[test]
fn server_that_sends_more_than_there_is_room_for_has_to_wait_too() {
    let host = Host::new();
    let call = host.stream(1, BIDI, Kind::Bidi, 0);
    let (server_call, _) = host.request();
    let chunk = bytes::Bytes::from(vec![7; 16 * 1024]);
    let mut sent = 0;
    while server_call.send(chunk.clone().into()).unwrap() == Room::Ready {
        host.settle();
        sent += 1;
        assert!(sent < 10_000);
    }
    assert!(host.is_quiet(1) || sent > 0);
    call.grant(10_000).unwrap();
    assert!(matches!(host.next(SERVER).kind, EventKind::Writable));
    server_call.finish(Status::ok(), Answer::default()).unwrap();
    assert_eq!(host.messages(1, sent + 1).len(), sent + 1);
    assert!(host.done(1).status.is_ok());
}

#[test]
fn bytes_may_be_kept_beyond_their_call_and_engine() {
    let host = Host::new();
    let call = host.stream(1, BIDI, Kind::Bidi, 1);
    let (server_call, _) = host.request();
    let sent = vec![9; 100_000];
    server_call.send(sent.clone().into()).unwrap();
    let kept = host.messages(1, 1).remove(0);
    drop((call, server_call));
    host.engine.shutdown();
    drop(host);
    assert_eq!(kept, sent);
}

#[test]
fn message_that_is_too_large_is_refused_and_the_call_goes_on() {
    let options = spanwire::bridge::ChannelOptions {
        limits: spanwire::bridge::Limits { max_send_message_bytes: 10, ..Default::default() },
        ..Default::default()
    };
    let host = Host::with(&Default::default(), &options, 10);
    let call = host.stream(1, UP, Kind::ClientStreaming, 1);
    let refused = call.send(vec![0; 11].into()).unwrap_err();
    assert_eq!(refused.to_string(), "message of 11 bytes is larger than max_send_message_bytes (10)");
    call.send(vec![0; 10].into()).unwrap();
    host.request();
}

#[test]
fn kinds_with_one_request_take_one() {
    let host = Host::new();
    let call = host.stream(1, super::host::DOWN, Kind::ServerStreaming, 1);
    call.send(b"one".as_slice().into()).unwrap();
    assert!(matches!(call.send(b"two".as_slice().into()), Err(OpError::Over(_))));
    let (_server_call, request) = host.request();
    assert_eq!(request.message.as_ref().unwrap().bytes, "one");
}

#[test]
fn accepted_requests_are_as_many_as_were_asked_for() {
    let options = spanwire::bridge::ServerOptions { manual_accept: true, ..Default::default() };
    let host = Host::with(&options, &Default::default(), 0);
    for tag in 1..=3 {
        host.unary(tag, b"waits");
    }
    host.server.accept(2).unwrap();
    let calls = [host.request().0, host.request().0];
    let mut events = Vec::new();
    let waited = host.queue.next(1, &mut events, Some(std::time::Duration::from_millis(50))).unwrap();
    assert_eq!(waited, 0, "{events:?}");
    host.server.accept(1).unwrap();
    host.request();
    drop(calls);
}
