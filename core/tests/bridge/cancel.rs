//! Point 4: cancelling, by whom and whenever.

use std::time::Duration;

use spanwire::bridge::{Answer, CallOptions, EventKind, OpError};
use spanwire::{Code, Kind, Metadata};

use super::host::{BIDI, Host, SERVER, UNARY};

#[test]
fn cancelling_is_allowed_at_any_time_and_any_number_of_times() {
    let host = Host::new();
    let call = host.stream(1, BIDI, Kind::Bidi, 1);
    call.cancel().unwrap();
    call.cancel().unwrap();
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
    call.cancel().unwrap();
    assert!(host.is_quiet(1), "one end");
}

#[test]
fn server_learns_that_a_call_was_cancelled() {
    let host = Host::new();
    let call = host.stream(1, BIDI, Kind::Bidi, 1);
    let (server_call, _) = host.request();
    assert!(!server_call.is_over());
    std::thread::scope(|scope| {
        scope.spawn(|| call.cancel().unwrap());
    });
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
    assert!(matches!(host.next(SERVER).kind, EventKind::Cancelled));
    assert!(server_call.is_over());
    assert_eq!(server_call.send(b"".as_slice().into()), Err(OpError::Over("the call is over")));
}

#[test]
fn unary_call_with_a_handle_can_be_cancelled() {
    let host = Host::new();
    let call = host.channel.unary_call();
    let options = CallOptions::default();
    host.channel.unary(UNARY, b"".as_slice().into(), options, host.report(1), Some(&call), None).unwrap();
    let (_server_call, _) = host.request();
    call.cancel().unwrap();
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
    assert!(matches!(host.next(SERVER).kind, EventKind::Cancelled));
}

#[test]
fn call_whose_last_handle_is_dropped_is_cancelled_and_still_ends() {
    let host = Host::new();
    drop(host.stream(1, BIDI, Kind::Bidi, 1));
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
    assert!(host.is_quiet(1));
}

#[test]
fn handle_dropped_after_the_end_changes_nothing() {
    let host = Host::new();
    let call = host.channel.unary_call();
    let options = CallOptions::default();
    host.channel.unary(UNARY, b"".as_slice().into(), options, host.report(1), Some(&call), None).unwrap();
    host.request().0.respond(b"yes".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    assert!(host.done(1).status.is_ok());
    drop(call);
    assert!(host.is_quiet(1));
}

#[test]
fn server_that_cancels_resets_the_stream() {
    let host = Host::new();
    let _call = host.stream(1, BIDI, Kind::Bidi, 1);
    host.unary(2, b"");
    for _ in 0..2 {
        let (server_call, _) = host.request();
        server_call.cancel().unwrap();
        assert!(matches!(server_call.cancel(), Err(OpError::Over(_))));
    }
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
    assert_eq!(host.done(2).status.code(), Code::Cancelled);
    assert!(host.is_quiet(SERVER), "its own doing");
}

#[test]
fn cancelling_before_there_is_a_connection_ends_the_call_at_once() {
    let host = Host::new();
    let channel =
        spanwire::bridge::Channel::new(&host.engine, "unix:/no/such/socket", &Default::default()).unwrap();
    let options = CallOptions { wait_for_ready: true, ..CallOptions::default() };
    let (call, begin) = channel.stream(BIDI, Kind::Bidi, options, host.report(1), None).unwrap();
    begin.begin();
    call.cancel().unwrap();
    assert_eq!(host.done(1).status.code(), Code::Cancelled);
}

#[test]
fn random_moments_of_cancelling_lose_no_end() {
    let host = Host::new();
    for round in 0..300u64 {
        let call = host.stream(1, BIDI, Kind::Bidi, 4);
        call.send(b"x".as_slice().into()).unwrap();
        let steps = round % 4;
        let server_call = (steps > 0).then(|| host.request().0);
        if let (Some(server_call), true) = (&server_call, steps > 1) {
            server_call.send(b"y".as_slice().into()).unwrap();
        }
        if steps > 2 {
            host.messages(1, 1);
        }
        call.cancel().unwrap();
        assert_eq!(host.done(1).status.code(), Code::Cancelled, "{round}");
        // Whatever the server got of it ends as well.
        if server_call.is_some() {
            while !matches!(host.next(SERVER).kind, EventKind::Cancelled) {}
        } else {
            host.settle();
            while !host.is_quiet(SERVER) {
                drop(host.next(SERVER));
            }
        }
    }
    let quiet = std::time::Instant::now() + Duration::from_secs(20);
    while host.server.stats().unwrap().calls > 0 {
        assert!(std::time::Instant::now() < quiet, "calls are left");
        host.settle();
    }
}
