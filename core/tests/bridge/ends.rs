//! Points 2 and 8: every call ends once, whatever ends it.

use std::time::Duration;

use spanwire::bridge::{Answer, CallOptions, ChannelOptions, EventKind, OpError, Outgoing, ServerOptions};
use spanwire::{Code, Kind, Metadata, Status};

use super::host::{BIDI, DOWN, Host, SERVER, UNARY, UP};

#[test]
fn each_kind_ends_with_one_done_and_nothing_behind_it() {
    let host = Host::new();
    for (tag, method, kind) in
        [(1, DOWN, Kind::ServerStreaming), (2, UP, Kind::ClientStreaming), (3, BIDI, Kind::Bidi)]
    {
        let call = host.stream(tag, method, kind, 10);
        call.send(b"request".as_slice().into()).unwrap();
        call.half_close().unwrap();
        let (server_call, _) = host.request();
        server_call.grant(10).unwrap_or(());
        server_call.send(b"answer".as_slice().into()).unwrap();
        server_call.finish(Status::ok(), Answer::default()).unwrap();
        assert_eq!(host.messages(tag, 1), ["answer"]);
        assert!(host.done(tag).status.is_ok());
        assert!(host.is_quiet(tag));
        assert_eq!(call.send(b"".as_slice().into()), Err(OpError::Over("the call is over")));
        assert_eq!(
            server_call.finish(Status::ok(), Answer::default()).unwrap_err(),
            OpError::Over("the call is over")
        );
        while !host.is_quiet(SERVER) {
            assert!(!matches!(host.next(SERVER).kind, EventKind::Cancelled), "it was answered");
        }
    }
}

/// Whatever the calls' tasks do at that moment.
#[test]
fn what_is_sent_right_before_the_end_is_not_lost() {
    let host = Host::with(&ServerOptions::default(), &ChannelOptions::default(), 10);
    for round in 0..3000_usize {
        let pause = |step: usize| (0..round * step % 4000).for_each(|_| std::hint::spin_loop());
        let call = host.stream(1, BIDI, Kind::Bidi, 10);
        pause(37);
        let mut request = Outgoing::from(b"request".as_slice());
        request.last = true;
        call.send(request).unwrap();
        let (server_call, _) = host.request();
        let mut requests = Vec::new();
        loop {
            let EventKind::Messages { messages, end } = host.next(SERVER).kind else {
                panic!("{requests:?}")
            };
            requests.extend(messages.into_iter().map(|one| one.bytes));
            if end {
                break;
            }
        }
        assert_eq!(requests, ["request"], "round {round}");
        pause(53);
        server_call.send(b"answer".as_slice().into()).unwrap();
        server_call.finish(Status::ok(), Answer::default()).unwrap();
        assert_eq!(host.messages(1, 1), ["answer"], "round {round}");
        assert!(host.done(1).status.is_ok());
    }
}

#[test]
fn deadline_ends_a_call_on_both_sides() {
    let host = Host::new();
    let options = CallOptions { timeout_ms: 50, ..CallOptions::default() };
    host.channel.unary(UNARY, b"".as_slice().into(), options, host.report(1), None, None).unwrap();
    let (call, _) = host.request();
    assert!(call.time_remaining().unwrap() <= Duration::from_millis(50));
    assert_eq!(host.done(1).status.code(), Code::DeadlineExceeded);
    assert!(matches!(host.next(SERVER).kind, EventKind::Cancelled));
    assert!(call.respond(b"late".as_slice().into(), Answer::default(), Metadata::new()).is_err());
    assert!(host.is_quiet(SERVER) && host.is_quiet(1));
}

#[test]
fn deadline_ends_a_call_whose_messages_nobody_takes() {
    let host = Host::new();
    let options = CallOptions { timeout_ms: 200, ..CallOptions::default() };
    let call = host.stream_with(1, BIDI, Kind::Bidi, options);
    let (server_call, _) = host.request();
    server_call.send(b"unread".as_slice().into()).unwrap();
    assert_eq!(host.done(1).status.code(), Code::DeadlineExceeded);
    drop(call);
}

#[test]
fn timeout_that_has_passed_sends_nothing() {
    let host = Host::new();
    let options = CallOptions { timeout_ms: -1, ..CallOptions::default() };
    host.channel.unary(UNARY, b"".as_slice().into(), options, host.report(1), None, None).unwrap();
    let outcome = host.done(1);
    assert_eq!(outcome.status.code(), Code::DeadlineExceeded);
    assert_eq!(outcome.status.sent(), spanwire::Sent::NotSent);
    assert!(host.is_quiet(SERVER));
}

#[test]
fn lost_connection_ends_its_calls() {
    let host = Host::new();
    host.unary(1, b"");
    let _stream = host.stream(2, BIDI, Kind::Bidi, 1);
    let (one, _) = host.request();
    let (other, _) = host.request();
    host.server.shutdown(Duration::ZERO, &host.queue, 7).unwrap();
    for tag in [1, 2] {
        let code = host.done(tag).status.code();
        assert!(matches!(code, Code::Unavailable | Code::Cancelled | Code::Internal), "{code:?}");
    }
    assert!(matches!(host.next(7).kind, EventKind::ServerClosed));
    for _ in 0..2 {
        assert!(matches!(host.next(SERVER).kind, EventKind::Cancelled));
    }
    drop((one, other));
}

#[test]
fn engine_that_is_shut_down_ends_every_call() {
    let host = Host::new();
    host.unary(1, b"");
    let _stream = host.stream(2, BIDI, Kind::Bidi, 1);
    let calls = [host.request().0, host.request().0];
    host.engine.shutdown();
    for tag in [1, 2] {
        assert_eq!(host.done(tag).status.code(), Code::Cancelled);
    }
    for _ in 0..2 {
        assert!(matches!(host.next(SERVER).kind, EventKind::Cancelled));
    }
    for call in calls {
        assert!(matches!(call.finish(Status::ok(), Answer::default()), Err(OpError::ShutDown(_))));
    }
    let refused =
        host.channel.unary(UNARY, b"".as_slice().into(), CallOptions::default(), host.report(3), None, None);
    assert_eq!(refused, Err(OpError::ShutDown("the engine was shut down")));
}

#[test]
fn server_call_that_nobody_answers_fails() {
    let host = Host::new();
    host.unary(1, b"");
    drop(host.request());
    let outcome = host.done(1);
    assert_eq!(outcome.status.code(), Code::Internal);
    assert_eq!(outcome.status.message(), "the handler let the call go without answering it");
    assert!(host.is_quiet(SERVER), "the host ended it");
}

#[test]
fn request_that_nobody_takes_out_of_its_event_fails() {
    let host = Host::new();
    host.unary(1, b"");
    let event = host.next(SERVER);
    assert!(matches!(event.kind, EventKind::Request(_)));
    drop(event);
    assert_eq!(host.done(1).status.code(), Code::Internal);
}

#[test]
fn second_answer_is_refused_and_changes_nothing() {
    let host = Host::new();
    host.unary(1, b"");
    let (call, _) = host.request();
    call.respond(b"first".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    let again = call.finish(Status::internal("second"), Answer::default());
    assert!(matches!(again, Err(OpError::Over(_))), "{again:?}");
    assert_eq!(host.done(1).message.unwrap().bytes, "first");
}

#[test]
fn answer_that_is_being_sent_admits_no_other() {
    let host = Host::new();
    for tag in 1..100 {
        host.unary(tag, b"");
        let (call, _) = host.request();
        call.respond(b"first".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
        // The lane takes the answer up meanwhile.
        for _ in 0..50 {
            let again = call.finish(Status::internal("second"), Answer::default());
            assert!(matches!(again, Err(OpError::Over(_))), "{again:?}");
            std::thread::yield_now();
        }
        assert_eq!(host.done(tag).message.unwrap().bytes, "first");
    }
}

#[test]
fn methods_that_nobody_has_are_unimplemented() {
    let host = Host::new();
    for (method, text) in [
        ("/test.Bridge/Nothing", "service test.Bridge has no method Nothing"),
        ("/test.Nobody/Nothing", "this server has no service test.Nobody"),
    ] {
        host.channel
            .unary(method, b"".as_slice().into(), CallOptions::default(), host.report(1), None, None)
            .unwrap();
        let status = host.done(1).status;
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, text));
    }
}

#[test]
fn waker_that_panics_does_not_end_the_engine() {
    let host = Host::new();
    let queue = spanwire::bridge::Queue::with_waker(|| panic!("a host's fault"));
    let report = spanwire::bridge::ReportTo { queue: queue.clone(), tag: 1, attachment: None };
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    let mut events = Vec::new();
    while events.is_empty() {
        queue.next(1, &mut events, Some(Duration::from_secs(20))).unwrap();
    }
    host.unary(2, b"still there");
    host.request().0.respond(b"yes".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    assert_eq!(host.done(2).message.unwrap().bytes, "yes");
}
