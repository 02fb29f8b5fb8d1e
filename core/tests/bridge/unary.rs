//! Points 1 and 7: one operation and one event on each side, with everything that belongs to a call.

use spanwire::bridge::{Answer, CallOptions, EventKind, OpError, Outgoing};
use spanwire::{Code, Encoding, Metadata, Sent, Status};

use super::host::{Host, SERVER, UNARY};

fn metadata(key: &str, value: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.append(key, value).unwrap();
    metadata
}

#[test]
fn unary_call_is_one_operation_and_one_event_on_each_side() {
    let host = Host::new();
    let options = CallOptions { metadata: metadata("x-request", "1"), ..CallOptions::default() };
    host.channel.unary(UNARY, b"ping".as_slice().into(), options, host.report(1), None, None).unwrap();
    let (call, request) = host.request();
    assert_eq!(request.message.as_ref().unwrap().bytes, "ping");
    assert!(request.end);
    assert_eq!(call.method(), UNARY);
    assert_eq!(call.metadata().get("x-request"), Some("1"));
    assert!(call.time_remaining().is_none());
    let answer = Answer { headers: metadata("x-head", "2"), compression: None };
    call.respond(b"pong".as_slice().into(), answer, metadata("x-tail", "3")).unwrap();
    drop(call);
    let outcome = host.done(1);
    assert!(outcome.status.is_ok());
    assert_eq!(outcome.message.unwrap().bytes, "pong");
    assert_eq!(outcome.headers.as_ref().unwrap().get("x-head"), Some("2"));
    assert_eq!(outcome.status.metadata().get("x-tail"), Some("3"));
    assert_eq!(outcome.peer.unwrap().to_string().rsplit(':').next(), host.server.target().rsplit(':').next());
    assert_eq!(host.queue.counts().0, 2, "one event each");
    assert!(host.is_quiet(1) && host.is_quiet(SERVER));
}

#[test]
fn status_crosses_with_everything_it_has() {
    let host = Host::new();
    host.unary(1, b"");
    let (call, _) = host.request();
    let status = Status::not_found("no such zone").with_details(b"details".as_slice().into());
    call.finish(status.with_metadata(metadata("x-tail", "1")), Answer::default()).unwrap();
    let outcome = host.done(1);
    assert_eq!(outcome.status.code(), Code::NotFound);
    assert_eq!(outcome.status.message(), "no such zone");
    assert_eq!(outcome.status.details(), b"details");
    assert_eq!(outcome.status.metadata().get("x-tail"), Some("1"));
    assert_eq!(outcome.status.sent(), Sent::Answered);
    assert_eq!((outcome.attempts, outcome.status.attempts()), (1, 1));
    assert!(outcome.message.is_none());
}

#[test]
fn call_that_reaches_no_server_says_so() {
    let host = Host::new();
    let target = "unix:/no/such/socket";
    let channel = spanwire::bridge::Channel::new(&host.engine, target, &Default::default()).unwrap();
    channel.unary(UNARY, b"".as_slice().into(), CallOptions::default(), host.report(1), None, None).unwrap();
    let outcome = host.done(1);
    assert_eq!(outcome.status.code(), Code::Unavailable);
    assert_eq!(outcome.status.sent(), Sent::NotSent);
}

#[test]
fn answers_without_a_message_or_with_the_wrong_size_are_told_apart() {
    let host = Host::new();
    host.unary(1, b"");
    let (call, _) = host.request();
    call.finish(Status::ok(), Answer::default()).unwrap();
    assert_eq!(host.done(1).status.code(), Code::Unimplemented);
}

#[test]
fn compression_is_chosen_on_each_side_and_seen_on_the_other() {
    let host = Host::new();
    let options = CallOptions { compression: Some(Encoding::Gzip), ..CallOptions::default() };
    let big = vec![b'a'; 5000];
    for plain in [false, true] {
        let mut request = Outgoing::from(big.clone());
        request.plain = plain;
        host.channel.unary(UNARY, request, options.clone(), host.report(1), None, None).unwrap();
        let (call, request) = host.request();
        let received = request.message.as_ref().unwrap();
        assert_eq!((received.bytes.len(), received.compressed), (5000, !plain));
        let answer = Answer { compression: Some(Encoding::Gzip), ..Answer::default() };
        let mut response = Outgoing::copied(&big);
        response.plain = plain;
        call.respond(response, answer, Metadata::new()).unwrap();
        let message = host.done(1).message.unwrap();
        assert_eq!((message.bytes.len(), message.compressed), (5000, !plain));
    }
}

#[test]
fn handle_of_a_unary_call_takes_no_message() {
    let host = Host::new();
    let call = host.channel.unary_call();
    let none = CallOptions::default();
    host.channel.unary(UNARY, b"".as_slice().into(), none, host.report(1), Some(&call), None).unwrap();
    assert!(matches!(call.send(b"more".as_slice().into()), Err(OpError::Over(_))));
    assert_eq!(call.half_close(), Ok(()), "which it is already");
}

#[test]
fn headers_sent_early_still_lead_to_an_answer() {
    let host = Host::new();
    host.unary(1, b"");
    let (call, _) = host.request();
    let answer = Answer { headers: metadata("x-early", "1"), compression: None };
    call.headers(answer.clone()).unwrap();
    assert!(call.headers(answer).is_err(), "they were sent already");
    host.settle();
    call.respond(b"late".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    let outcome = host.done(1);
    assert_eq!(outcome.message.unwrap().bytes, "late");
    assert_eq!(outcome.headers.as_ref().unwrap().get("x-early"), Some("1"));
}

#[test]
fn calls_that_come_together_are_told_together() {
    let host = Host::new();
    host.unary(1, b"connects");
    host.request().0.respond(b"".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    host.done(1);
    let before = host.queue.counts();
    spanwire::bridge::begin_batch();
    for tag in 2..102 {
        host.unary(tag, b"one of many");
    }
    spanwire::bridge::end_batch();
    let calls: Vec<_> = (2..102).map(|_| host.request().0).collect();
    spanwire::bridge::begin_batch();
    for call in &calls {
        call.respond(b"".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    }
    spanwire::bridge::end_batch();
    for tag in 2..102 {
        assert!(matches!(host.next(tag).kind, EventKind::Done(outcome) if outcome.status.is_ok()));
    }
    let (events, rings) = (host.queue.counts().0 - before.0, host.queue.counts().1 - before.1);
    assert_eq!(events, 200);
    assert!(rings < 40, "{rings} wake-ups for {events} events");
}

#[test]
fn calls_made_for_another_call_end_no_later_than_that() {
    let host = Host::new();
    let options = CallOptions { timeout_ms: 10_000, ..CallOptions::default() };
    host.channel.unary(UNARY, b"outer".as_slice().into(), options, host.report(1), None, None).unwrap();
    let (outer, _) = host.request();
    let none = CallOptions::default();
    host.channel.unary(UNARY, b"inner".as_slice().into(), none, host.report(2), None, Some(&outer)).unwrap();
    let (inner, _) = host.request();
    assert!(
        inner.time_remaining().unwrap()
            <= outer.time_remaining().unwrap() + std::time::Duration::from_millis(1)
    );
}
